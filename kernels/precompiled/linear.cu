#include "instantiate.cuh"
#include "ventral/cuda/linear.cuh"

namespace ventral::inline v0::cuda::device {

VENTRAL_FOR_ALL(linear_forward)
VENTRAL_FOR_ALL(linear_backward_input)
VENTRAL_FOR_ALL(linear_backward_weight)
VENTRAL_FOR_ALL(linear_backward_bias)

}  // namespace ventral::inline v0::cuda::device
