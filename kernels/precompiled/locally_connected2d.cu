#include "instantiate.cuh"
#include "ventral/cuda/locally_connected2d.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

VENTRAL_FOR_ALL(locally_connected_forward)
VENTRAL_FOR_ALL(locally_connected_backward_input)
VENTRAL_FOR_ALL(locally_connected_backward_weight)
VENTRAL_FOR_ALL(locally_connected_backward_bias)

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
