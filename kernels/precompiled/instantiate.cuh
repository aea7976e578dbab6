#pragma once
/// The library behind ventral::cuda: explicit instantiations of the launchers of ventral/cuda/ops.hpp, and nothing else.
#include "ventral/cuda/ops.hpp"
#include "ventral/cuda/runtime.cuh"

// Instantiates the function template f for one type, for those that compute, and for those that are stored, too.
#define VENTRAL_INSTANTIATE(f, T) template decltype(f<T>) f<T>;
#define VENTRAL_FOR_REAL(f) VENTRAL_INSTANTIATE(f, float) VENTRAL_INSTANTIATE(f, double)
#define VENTRAL_FOR_ALL(f) VENTRAL_FOR_REAL(f) VENTRAL_INSTANTIATE(f, bfloat16) VENTRAL_INSTANTIATE(f, half)
// The same functions are in another file of the library: calls here must not bring a second copy.
#define VENTRAL_ELSEWHERE(f)                                                                                              \
  extern template decltype(f<float>) f<float>; extern template decltype(f<double>) f<double>;                           \
  extern template decltype(f<bfloat16>) f<bfloat16>; extern template decltype(f<half>) f<half>;
#define VENTRAL_RELU_ELSEWHERE(T) \
  extern template decltype(activation_backward<activation::Relu<T>, T>) activation_backward<activation::Relu<T>, T>;
