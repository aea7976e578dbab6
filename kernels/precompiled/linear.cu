#include "instantiate.cuh"
#include "ventral/cuda/linear.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

VENTRAL_RELU_ELSEWHERE(float) VENTRAL_RELU_ELSEWHERE(double) VENTRAL_RELU_ELSEWHERE(bfloat16) VENTRAL_RELU_ELSEWHERE(half)
VENTRAL_FOR_ALL(linear_forward)
VENTRAL_FOR_ALL(linear_relu_forward)
VENTRAL_FOR_ALL(linear_backward_input)
VENTRAL_FOR_ALL(linear_backward_weight)
VENTRAL_FOR_ALL(linear_backward_bias)
VENTRAL_FOR_ALL(linear_backward)

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
