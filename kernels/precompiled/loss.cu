#include "instantiate.cuh"
#include "ventral/cuda/loss.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

VENTRAL_FOR_ALL(sum_labels)
VENTRAL_FOR_ALL(queue_label_weights)
VENTRAL_FOR_ALL(softmax_cross_entropy)
VENTRAL_FOR_ALL(negative_log_likelihood)
VENTRAL_FOR_REAL(squared_error)
VENTRAL_FOR_REAL(binary_cross_entropy)
VENTRAL_FOR_REAL(binary_hinge)
VENTRAL_FOR_REAL(class_hinge)

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
