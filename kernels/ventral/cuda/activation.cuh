#pragma once
#include "ventral/activation_function.hpp"
#include "ventral/cuda/elementwise.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

template <class Function>
struct ActivationValue {
  Function f;
  template <class C>
  VENTRAL_DEVICE C operator()(C x) const {
    return f.value(x);
  }
};

template <class Function>
struct ActivationGradient {
  Function f;
  template <class C>
  VENTRAL_DEVICE C operator()(C x, C y, C dy) const {
    return dy * f.slope(x, y);
  }
};

/// Chooses where ActivationGradient multiplies, so that an infinite dy does not become NaN below 0.
struct ReluGradient {
  template <class C>
  VENTRAL_DEVICE C operator()(C x, C dy) const {
    return x > C(0) ? dy : C(0);
  }
};

}  // namespace detail

/// y = f.value(x), element by element; y may be x. Any shape; T may be a 16-bit type, f is computed in float then.
/// Reads x once and writes y once, 16 bytes a thread.
template <class Function, class T>
void activation_forward(Stream stream, const Function& f, In<T> x, Out<T> y) {
  map_elements(stream, "activation_forward", detail::ActivationValue<Function>{f}, y.shape, y.data, x.data);
}

/// dx = dy f.slope(x, y), element by element; dx may be dy. Reads dy and what f uses of x and y once and writes dx once.
template <class Function, class T>
void activation_backward(Stream stream, const Function& f, In<T> x, In<T> y, In<T> dy, Out<T> dx) {
  if constexpr (std::is_same_v<Function, activation::Relu<T>>) map_elements(stream, "relu_backward", detail::ReluGradient{}, dx.shape, dx.data, x.data, dy.data);
  else map_elements(stream, "activation_backward", detail::ActivationGradient<Function>{f}, dx.shape, dx.data, x.data, y.data, dy.data);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
