#pragma once
/// Convolution by tunings of one's own, for tests and sweeps that link ventral::cuda or ventral::emulated_kernels: the library's functions, not compiled again.
#include "ventral/cuda/conv2d.cuh"

#if defined(__CUDACC__) || defined(VENTRAL_EMULATED_KERNELS)
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

#define VENTRAL_IN_LIBRARY(f)                                                                   \
  extern template decltype(f<float>) f<float>; extern template decltype(f<double>) f<double>; \
  extern template decltype(f<bfloat16>) f<bfloat16>; extern template decltype(f<half>) f<half>;
VENTRAL_IN_LIBRARY(conv2d_forward_tuned)
VENTRAL_IN_LIBRARY(conv2d_backward_input_tuned)
VENTRAL_IN_LIBRARY(conv2d_backward_weight_tuned)
VENTRAL_IN_LIBRARY(conv2d_backward_bias)
#undef VENTRAL_IN_LIBRARY

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
#endif
