#pragma once
#include <algorithm>

#include "ventral/cpu/lanes.hpp"
#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/vector_math.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

/// x cut into pieces that have one slope each: planes of [N,C,...], of one image or of a block of them, or runs of fixed length when all share a slope.
struct SlopePieces {
  Index channels, length, size;
  SlopePieces(const Shape& x, Index slopes, Format format = Format::rows)
      : channels(slopes), length(slopes == 1 ? Index{1} << 12 : x.product(2, x.rank()) * (format == Format::blocks ? block_images : 1)),
        size(stored_size(x, format)) {}
  Index count() const { return length == 0 ? 0 : (size + length - 1) / length; }
  Index channel(Index piece) const { return channels == 1 ? 0 : piece % channels; }
  Index elements(Index piece) const { return std::min(length, size - piece * length); }
  Index per_chunk() const { return planes_per_chunk(length); }
};

/// y = x where `by` > 0, else slope x.
template <class I, class T>
VENTRAL_ALWAYS_INLINE void scale_where_negative(T slope, const T* by, const T* x, T* y, Index n) {
  using V = Simd<T, I>;
  const V s = spread<V>(slope), zero = V::zero(), one = V::all(1);
  Index i = 0;
  for (; i + V::lanes <= n; i += V::lanes) {
    (V::load(x + i) * V::select(zero < V::load(by + i), one, s)).store(y + i);
  }
  for (; i < n; ++i) y[i] = by[i] > T(0) ? x[i] : slope * x[i];
}

/// The sum of dy x where x <= 0, in double.
template <class I, class T>
VENTRAL_ALWAYS_INLINE double slope_gradient(const T* x, const T* dy, Index n) {
  using V = Simd<double, I>;
  V sum = V::zero();
  const V zero = V::zero();
  Index i = 0;
  for (; i + V::lanes <= n; i += V::lanes) {
    const V v = load_as_double<V>(x + i);
    sum = sum + V::select(zero < v, zero, v * load_as_double<V>(dy + i));
  }
  double rest = 0;
  for (; i < n; ++i) rest += x[i] > T(0) ? 0 : static_cast<double>(x[i]) * static_cast<double>(dy[i]);
  return sum.sum() + rest;
}

}  // namespace detail

/// y = x where x > 0, else w_c x; w [C], c along axis 1 of x, or w [1] for all. y may be x. All three in both formats.
template <class T>
void prelu_forward(Stream, In<T> w, In<T> x, Out<T> y) {
  const detail::SlopePieces pieces(x.shape, w.size(), x.format);
  parallel_ranges(pieces.count(), pieces.per_chunk(), [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      for (Index p = first; p < last; ++p) {
        const Index at = p * pieces.length;
        detail::scale_where_negative<decltype(isa)>(w.data[pieces.channel(p)], x.data + at, x.data + at, y.data + at, pieces.elements(p));
      }
    });
  });
}

/// dx = dy where x > 0, else w_c dy. dx may be dy.
template <class T>
void prelu_backward(Stream, In<T> w, In<T> x, In<T> dy, Out<T> dx) {
  const detail::SlopePieces pieces(x.shape, w.size(), x.format);
  parallel_ranges(pieces.count(), pieces.per_chunk(), [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      for (Index p = first; p < last; ++p) {
        const Index at = p * pieces.length;
        detail::scale_where_negative<decltype(isa)>(w.data[pieces.channel(p)], x.data + at, dy.data + at, dx.data + at, pieces.elements(p));
      }
    });
  });
}

/// Number of partial sums that prelu_backward_slope needs.
inline Index prelu_partial_sums(Stream, const Shape& x, Index slopes) { return detail::SlopePieces(x, slopes).count(); }

/// dw_c += the sum of dy x where x <= 0, in double and in the order of the elements. `partial` [prelu_partial_sums(...)] is scratch.
template <class T>
void prelu_backward_slope(Stream, In<T> x, In<T> dy, Out<double> partial, Out<T> dw) {
  const detail::SlopePieces pieces(x.shape, dw.size(), x.format);
  parallel_ranges(pieces.count(), pieces.per_chunk(), [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      for (Index p = first; p < last; ++p) {
        const Index at = p * pieces.length;
        partial.data[p] = detail::slope_gradient<decltype(isa)>(x.data + at, dy.data + at, pieces.elements(p));
      }
    });
  });
  for (Index c = 0; c < dw.size(); ++c) {
    double sum = 0;
    for (Index p = c; p < pieces.count(); p += dw.size()) sum += partial.data[p];
    dw.data[c] += static_cast<T>(sum);
  }
}

}  // namespace ventral::inline v0::cpu
