#pragma once
#include <limits>

#include "ventral/cuda/runtime.cuh"

/// What the normalizations share: powers of positive numbers, and scratch in the type that kernels compute in.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// A positive number within the range of normal ones, as the CPU's power() takes it: 0 counts as the smallest, infinity as the largest; NaN stays.
template <class S>
VENTRAL_DEVICE S normal_number(S x) {
  constexpr S least = std::numeric_limits<S>::min(), most = std::numeric_limits<S>::max();
  return x < least ? least : x > most ? most : x;
}

/// x^exponent for x >= 0, as 2^(exponent log2 x), kept within the range of normal numbers; NaN stays NaN.
template <class S>
VENTRAL_DEVICE S positive_power(S x, S exponent) {
  constexpr S low = std::numeric_limits<S>::min_exponent - 1, high = std::numeric_limits<S>::max_exponent - 1;
  const S t = exponent * std::log2(normal_number(x));
  return std::exp2(t < low ? low : t > high ? high : t);
}

/// x^-beta for x >= 0. Square roots for the exponents of the literature, 1/2 and 3/4: faster, and right to a rounding or two.
template <class S>
VENTRAL_DEVICE S inverse_power(S x, S beta) {
  const S u = normal_number(x);
  if (beta == S(0.5)) return rsqrt(u);
  if (beta == S(1)) return S(1) / u;
  if (beta == S(0.75)) {
    const S root = rsqrt(u);
    return root * std::sqrt(root);
  }
  return positive_power(u, -beta);
}

/// Room for n numbers as kernels compute them: the given scratch where T is that type, else (16-bit T) memory of its own while this lives.
template <class T>
class ComputeScratch {
 public:
  ComputeScratch(Out<T> given, Index n) {
    if constexpr (std::is_same_v<T, Compute<T>>) {
      data_ = given.data;
    } else {
      own_ = Tensor<Compute<T>, Space>::uninitialized({n});
      data_ = own_.data();
    }
  }
  Compute<T>* data() const { return data_; }

 private:
  Tensor<Compute<T>, Space> own_;
  Compute<T>* data_;
};

}  // namespace detail

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
