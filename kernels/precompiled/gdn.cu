#include "instantiate.cuh"
#include "ventral/cuda/gdn.cuh"
#include "ventral/cuda/local_contrast_norm.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

VENTRAL_FOR_ALL(gdn_forward)
VENTRAL_FOR_ALL(gdn_backward)
VENTRAL_FOR_ALL(local_contrast_scratch)
VENTRAL_FOR_ALL(local_contrast_forward)
VENTRAL_FOR_ALL(local_contrast_backward)

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
