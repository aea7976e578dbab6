#include "instantiate.cuh"
#include "ventral/cuda/activation.cuh"

// Forward and backward of one formula for one type.
#define VENTRAL_ACTIVATION(F, T)                                                                   \
  template decltype(activation_forward<activation::F<T>, T>) activation_forward<activation::F<T>, T>; \
  template decltype(activation_backward<activation::F<T>, T>) activation_backward<activation::F<T>, T>;
#define VENTRAL_ACTIVATIONS(T)                                                                                                   \
  VENTRAL_ACTIVATION(Relu, T) VENTRAL_ACTIVATION(LeakyRelu, T) VENTRAL_ACTIVATION(Sigmoid, T) VENTRAL_ACTIVATION(Tanh, T)         \
  VENTRAL_ACTIVATION(Elu, T) VENTRAL_ACTIVATION(Softplus, T) template decltype(activation_forward<activation::Heaviside<T>, T>) activation_forward<activation::Heaviside<T>, T>;

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

VENTRAL_ACTIVATIONS(float)
VENTRAL_ACTIVATIONS(double)
VENTRAL_ACTIVATIONS(bfloat16)
VENTRAL_ACTIVATIONS(half)

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
