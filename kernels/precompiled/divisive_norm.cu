#include "instantiate.cuh"
#include "ventral/cuda/divisive_norm.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

VENTRAL_FOR_ALL(divisive_norm_forward)
VENTRAL_FOR_ALL(divisive_norm_backward)
VENTRAL_FOR_ALL(divisive_norm_parameter_backward)

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
