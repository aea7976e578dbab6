#include "instantiate.cuh"
#include "ventral/cuda/global_pool.cuh"
#include "ventral/cuda/pool2d.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

VENTRAL_FOR_ALL(max_pool_forward)
VENTRAL_FOR_ALL(max_pool_backward)
VENTRAL_FOR_ALL(mean_pool_forward)
VENTRAL_FOR_ALL(mean_pool_backward)
VENTRAL_FOR_ALL(lp_pool_forward)
VENTRAL_FOR_ALL(lp_pool_backward)
VENTRAL_FOR_ALL(global_max_pool_forward)
VENTRAL_FOR_ALL(global_mean_pool_forward)
VENTRAL_FOR_ALL(global_mean_pool_backward)

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
