#include "instantiate.cuh"
#include "ventral/cuda/batch_norm2d.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

VENTRAL_FOR_ALL(batch_norm_statistics)
VENTRAL_FOR_ALL(batch_norm_running_statistics)
VENTRAL_FOR_ALL(batch_norm_forward)
VENTRAL_FOR_ALL(batch_norm_sums)
VENTRAL_FOR_ALL(batch_norm_add_gradients)
VENTRAL_FOR_ALL(batch_norm_backward)

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
