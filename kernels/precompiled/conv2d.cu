#include "instantiate.cuh"
#include "ventral/cuda/conv2d.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

VENTRAL_RELU_ELSEWHERE(float) VENTRAL_RELU_ELSEWHERE(double) VENTRAL_RELU_ELSEWHERE(bfloat16) VENTRAL_RELU_ELSEWHERE(half)
VENTRAL_ELSEWHERE(linear_forward)
VENTRAL_ELSEWHERE(linear_relu_forward)
VENTRAL_ELSEWHERE(linear_backward_input)
VENTRAL_ELSEWHERE(linear_backward_weight)

VENTRAL_FOR_ALL(conv2d_forward)
VENTRAL_FOR_ALL(conv2d_backward_input)
VENTRAL_FOR_ALL(conv2d_backward_weight)
VENTRAL_FOR_ALL(conv2d_backward_bias)
VENTRAL_FOR_ALL(conv2d_forward_fused)
VENTRAL_FOR_ALL(conv2d_backward_fused)
VENTRAL_FOR_ALL(add_channel_bias)

// for those who sweep the tuning
VENTRAL_FOR_ALL(conv2d_forward_tuned)
VENTRAL_FOR_ALL(conv2d_backward_input_tuned)
VENTRAL_FOR_ALL(conv2d_backward_weight_tuned)

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
