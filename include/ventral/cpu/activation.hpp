#pragma once
#include "ventral/activation_function.hpp"
#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/simd.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

/// Elements per chunk of an element-wise kernel: small enough to share out, large enough to hide the hand-over.
constexpr Index elementwise_grain = 1 << 14;

template <class I, class T>
VENTRAL_ALWAYS_INLINE void relu_forward(const T* x, T* y, Index n) {
  using V = Simd<T, I>;
  const V zero = V::zero();
  Index i = 0;
  for (; i + V::lanes <= n; i += V::lanes) {
    const V v = V::load(x + i);
    V::select(v < zero, zero, v).store(y + i);  // written so that NaN passes
  }
  for (; i < n; ++i) y[i] = activation::Relu<T>{}.value(x[i]);
}

template <class I, class T>
VENTRAL_ALWAYS_INLINE void relu_backward(const T* x, const T* dy, T* dx, Index n) {
  using V = Simd<T, I>;
  const V zero = V::zero();
  Index i = 0;
  for (; i + V::lanes <= n; i += V::lanes) V::select(V::load(x + i) > zero, V::load(dy + i), zero).store(dx + i);
  for (; i < n; ++i) dx[i] = x[i] > T(0) ? dy[i] : T(0);
}

}  // namespace detail

/// y = f.value(x), element by element. Reads and writes each element once; y may be x.
template <class Function, class T>
void activation_forward(Stream, const Function& f, In<T> x, Out<T> y) {
  parallel_ranges(y.size(), detail::elementwise_grain, [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) y.data[i] = f.value(x.data[i]);
  });
}

/// dx = dy f.slope(x, y), element by element; dx may be dy.
template <class Function, class T>
void activation_backward(Stream, const Function& f, In<T> x, In<T> y, In<T> dy, Out<T> dx) {
  parallel_ranges(dx.size(), detail::elementwise_grain, [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) dx.data[i] = dy.data[i] * f.slope(x.data[i], y.data[i]);
  });
}

template <class T>
void activation_forward(Stream, const activation::Relu<T>&, In<T> x, Out<T> y) {
  parallel_ranges(y.size(), detail::elementwise_grain, [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA { detail::relu_forward<decltype(isa)>(x.data + first, y.data + first, last - first); });
  });
}

template <class T>
void activation_backward(Stream, const activation::Relu<T>&, In<T> x, In<T>, In<T> dy, Out<T> dx) {
  parallel_ranges(dx.size(), detail::elementwise_grain, [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA { detail::relu_backward<decltype(isa)>(x.data + first, dy.data + first, dx.data + first, last - first); });
  });
}

}  // namespace ventral::inline v0::cpu
