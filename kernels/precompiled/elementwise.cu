#include "instantiate.cuh"
#include "ventral/cuda/combine.cuh"
#include "ventral/cuda/dropout.cuh"
#include "ventral/cuda/prelu.cuh"
#include "ventral/cuda/softmax.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

VENTRAL_FOR_ALL(add_tensors)
VENTRAL_FOR_ALL(insert_channels)
VENTRAL_FOR_ALL(extract_channels)
VENTRAL_FOR_ALL(softmax_forward)
VENTRAL_FOR_ALL(softmax_backward)
VENTRAL_FOR_ALL(log_softmax_forward)
VENTRAL_FOR_ALL(log_softmax_backward)
VENTRAL_FOR_ALL(prelu_forward)
VENTRAL_FOR_ALL(prelu_backward)
VENTRAL_FOR_ALL(prelu_backward_slope)
VENTRAL_FOR_ALL(dropout_forward)
VENTRAL_FOR_ALL(dropout_backward)

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
