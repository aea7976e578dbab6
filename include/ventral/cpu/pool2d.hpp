#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>

#include "ventral/cpu/lanes.hpp"
#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/pool_rows.hpp"
#include "ventral/tensor.hpp"
#include "ventral/window.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

/// Taps [first, last) of an output that are inside the image, and how many a mean counts: those or, with `padded`, those inside the padded image.
struct Taps {
  Index first, last, counted;
};
constexpr Taps taps_of(const WindowAxis& a, Index o, bool padded) {
  if (a.origin(o) >= 0 && a.origin(o) + a.span() <= a.in) return {0, a.kernel, a.kernel};  // no division on the common way
  const Index first = a.first_tap(o), last = a.last_tap(o);
  return {first, last, padded ? std::min(a.kernel, (a.in + a.after - a.origin(o) + a.dilation - 1) / a.dilation) : last - first};
}

/// The outputs [first, last) of an axis whose taps all lie inside the image.
struct Interior {
  Index first, last;
};
constexpr Interior interior(const WindowAxis& a) {
  const Index first = std::min(a.out, (a.before + a.stride - 1) / a.stride), room = a.in + a.before - a.span();
  return {first, std::max(first, room < 0 ? 0 : std::min(a.out, room / a.stride + 1))};
}

/// One row of outputs of one plane, and what they look at: taps [first_tap, last_tap) of the window's rows are inside the image.
struct PoolLine {
  const WindowAxis& w;
  Index origin, rows, row_step, out;  // position of the first row under the window; the line's first output
};

/// Outputs [first, last) of a line, all of whose taps are inside the image; at least V::lanes of them. The last vector may overlap the one before.
template <class V, int Stride, class Row, class T>
VENTRAL_ALWAYS_INLINE void pool_vectors(const T* plane, const PoolLine& l, const Row& row, Index first, Index last) {
  for (Index j = first;; j = std::min(j + V::lanes, last - V::lanes)) {
    auto fold = row.template start<V>();
    const Index origin = l.origin + l.w.origin(j);
    for (Index r = 0; r < l.rows; ++r)
      for (Index c = 0; c < l.w.kernel; ++c) {
        const Index offset = r * l.row_step + c * l.w.dilation;
        fold.take(load_strided<V, Stride>(plane + origin + offset), offset);
      }
    row.store(fold, l.out + j, origin, Stride);
    if (j + V::lanes >= last) return;
  }
}

/// The same with the widest register that the outputs fill.
template <class I, int Stride, class Row, class T>
VENTRAL_ALWAYS_INLINE void pool_span(const T* plane, const PoolLine& l, const Row& row, Index first, Index last) {
  using V256 = Simd<T, Isa<SimdLevel::avx2>>;
  const Index n = last - first;
  if constexpr (I::level >= SimdLevel::avx512)
    if (n >= Simd<T, I>::lanes) return pool_vectors<Simd<T, I>, Stride>(plane, l, row, first, last);
  if constexpr (I::level >= SimdLevel::avx2)
    if (n >= V256::lanes) return pool_vectors<V256, Stride>(plane, l, row, first, last);
  pool_vectors<Simd<T, Isa<SimdLevel::baseline>>, Stride>(plane, l, row, first, last);
}

/// Any outputs [first, last) of a line, one by one.
template <class Row, class T>
VENTRAL_ALWAYS_INLINE void pool_singly(const T* plane, const PoolLine& l, Row& row, Index counted_rows, bool count_include_pad, Index first, Index last) {
  for (Index j = first; j < last; ++j) {
    const Taps t = taps_of(l.w, j, count_include_pad);
    const Index origin = l.origin + l.w.origin(j) + t.first * l.w.dilation;
    auto fold = row.template start<OneLane<T>>();
    for (Index r = 0; r < l.rows; ++r)
      for (Index c = 0; c < t.last - t.first; ++c) fold.take({plane[origin + r * l.row_step + c * l.w.dilation]}, r * l.row_step + c * l.w.dilation);
    row.count(counted_rows * t.counted);
    row.store(fold, l.out + j, origin, 0);
  }
}

/// Pools one plane: vectors inside where outputs are neighbours or every second column apart, the rest one by one.
template <class I, class Row, class T>
VENTRAL_ALWAYS_INLINE void pool_plane(const WindowPlan& plan, bool count_include_pad, const T* plane, Row row) {
  const WindowAxis &h = plan.h, &w = plan.w;
  Interior inner = interior(w);
  if (w.stride > 2 || inner.last - inner.first < Simd<T, Isa<SimdLevel::baseline>>::lanes) inner = {w.out, w.out};
  for (Index i = 0; i < h.out; ++i) {
    const Taps t = taps_of(h, i, count_include_pad);
    const PoolLine l{w, (h.origin(i) + t.first * h.dilation) * w.in, t.last - t.first, h.dilation * w.in, i * w.out};
    for (const Interior& border : {Interior{0, inner.first}, Interior{inner.last, w.out}})
      pool_singly(plane, l, row, t.counted, count_include_pad, border.first, border.last);
    if (inner.first == w.out) continue;
    row.count(t.counted * w.kernel);
    if (w.stride == 1) pool_span<I, 1>(plane, l, row, inner.first, inner.last);
    else pool_span<I, 2>(plane, l, row, inner.first, inner.last);
  }
}

/// Pools all planes; `row_of(p)` says where the outputs of plane p go.
template <class T, class RowOf>
void pool_planes(const WindowPlan& plan, bool count_include_pad, In<T> x, const RowOf& row_of) {
  const Index cells = plan.h.in * plan.w.in;
  if (plan.h.out * plan.w.out == 0) return;
  parallel_ranges(x.shape[0] * x.shape[1], planes_per_chunk(cells), [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      for (Index p = first; p < last; ++p) pool_plane<decltype(isa)>(plan, count_include_pad, x.data + p * cells, row_of(p));
    });
  });
}

/// to[j stride + c dilation - before] += dy[j] / count for all taps c inside the image: the share of one row of outputs in one row of the image.
template <class T>
void share_out(const WindowAxis& w, bool count_include_pad, Index counted_rows, const T* dy, T* to) {
  const Interior inner = interior(w);
  const T factor = T(1) / static_cast<T>(counted_rows * w.kernel);
  for (Index c = 0; c < w.kernel; ++c) {
    const Index shift = c * w.dilation - w.before;
    for (Index j = inner.first; j < inner.last; ++j) to[shift + j * w.stride] += dy[j] * factor;
  }
  for (Index j = 0; j < w.out; ++j) {
    if (inner.first <= j && j < inner.last) j = inner.last;
    if (j == w.out) break;
    const Taps t = taps_of(w, j, count_include_pad);
    const T share = dy[j] / static_cast<T>(counted_rows * t.counted);
    for (Index c = t.first; c < t.last; ++c) to[w.origin(j) + c * w.dilation] += share;
  }
}

template <class I, class T>
VENTRAL_ALWAYS_INLINE void add_to(T* to, const T* x, Index n) {
  using V = Simd<T, I>;
  Index i = 0;
  for (; i + V::lanes <= n; i += V::lanes) (V::load(to + i) + V::load(x + i)).store(to + i);
  for (; i < n; ++i) to[i] += x[i];
}

/// One plane, dx = 0 at first. The last row under a window that ends inside the image is not yet written to: the shares are laid out there
/// and then added to the rows above.
template <class I, class T>
VENTRAL_ALWAYS_INLINE void mean_pool_backward_plane(const WindowPlan& plan, bool count_include_pad, const T* dy, T* dx) {
  const WindowAxis &h = plan.h, &w = plan.w;
  for (Index i = 0; i < h.out; ++i) {
    const Taps t = taps_of(h, i, count_include_pad);
    const auto row = [&](Index r) { return dx + (h.origin(i) + r * h.dilation) * w.in; };
    const bool whole = t.last == h.kernel;
    for (Index r = whole ? t.last - 1 : t.first; r < t.last; ++r) share_out(w, count_include_pad, t.counted, dy + i * w.out, row(r));
    for (Index r = t.first; whole && r < t.last - 1; ++r) add_to<I>(row(r), row(t.last - 1), w.in);
  }
}

}  // namespace detail

/// y[n,c,i,j] = the largest x under the window at (i, j); cells in the padding never win, a NaN does. x [N,C,H,W], y [N,C,Ho,Wo].
/// `winners`, if its data are not null: the position h W + w in its plane of the first maximum, in row-major order. Every window must
/// cover a cell of the image. Reads x once and writes y and winners once.
template <class T>
void max_pool_forward(Stream, const WindowPlan& plan, In<T> x, Out<T> y, Out<std::int32_t> winners) {
  const Index outputs = plan.h.out * plan.w.out;
  detail::pool_planes<T>(plan, false, x, [&](Index p) { return detail::MaxRow<T>{y.data + p * outputs, winners.data ? winners.data + p * outputs : nullptr}; });
}

/// dx = 0, then dx[n,c,winners[n,c,i,j]] += dy[n,c,i,j], output by output: the gradient goes to the first maximum of each window.
/// The plan is for spaces that look from each input at the windows above it.
template <class T>
void max_pool_backward(Stream, const WindowPlan&, In<std::int32_t> winners, In<T> dy, Out<T> dx) {
  const Index cells = dx.shape[2] * dx.shape[3], outputs = dy.shape[2] * dy.shape[3];
  parallel_ranges(dx.shape[0] * dx.shape[1], detail::planes_per_chunk(cells), [&](Index first, Index last) {
    std::fill(dx.data + first * cells, dx.data + last * cells, T(0));
    for (Index p = first; p < last; ++p)
      for (Index o = p * outputs; o < (p + 1) * outputs; ++o) dx.data[p * cells + winners.data[o]] += dy.data[o];
  });
}

/// y[n,c,i,j] = the sum of x under the window at (i, j), divided by the number of cells that count: those inside the image or, with
/// count_include_pad, inside the padded image too (a window may reach beyond that with Rounding::ceil). Reads x once and writes y once.
template <class T>
void mean_pool_forward(Stream, const WindowPlan& plan, bool count_include_pad, In<T> x, Out<T> y) {
  detail::pool_planes<T>(plan, count_include_pad, x, [&](Index p) { return detail::MeanRow<T>{y.data + p * plan.h.out * plan.w.out, T(1)}; });
}

/// dx[n,c,h,w] = the sum of dy / count over the windows that cover (h, w), in the order of the outputs. Reads dy once, writes dx kernel.h times.
template <class T>
void mean_pool_backward(Stream, const WindowPlan& plan, bool count_include_pad, In<T> dy, Out<T> dx) {
  const Index cells = plan.h.in * plan.w.in, outputs = plan.h.out * plan.w.out;
  parallel_ranges(dx.shape[0] * dx.shape[1], detail::planes_per_chunk(cells), [&](Index first, Index last) {
    std::fill(dx.data + first * cells, dx.data + last * cells, T(0));
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      for (Index p = first; p < last; ++p) detail::mean_pool_backward_plane<decltype(isa)>(plan, count_include_pad, dy.data + p * outputs, dx.data + p * cells);
    });
  });
}

/// y[n,c,i,j] = (sum |x|^p)^(1/p) over the window at (i, j), p >= 1; padding counts as 0. Reads x once and writes y once.
template <class T>
void lp_pool_forward(Stream, const WindowPlan& plan, double p, In<T> x, Out<T> y) {
  const Index outputs = plan.h.out * plan.w.out;
  const T power = static_cast<T>(p);
  if (p == 2) detail::pool_planes<T>(plan, false, x, [&](Index i) { return detail::NormRow<T, true>{y.data + i * outputs, power}; });
  else detail::pool_planes<T>(plan, false, x, [&](Index i) { return detail::NormRow<T, false>{y.data + i * outputs, power}; });
}

/// dx[n,c,h,w] = the sum of dy sign(x) (|x| / y)^(p-1) over the windows that cover (h, w); 0 where y = 0, and 0 at x = 0, the kink of p = 1.
template <class T>
void lp_pool_backward(Stream, const WindowPlan& plan, double p, In<T> x, In<T> y, In<T> dy, Out<T> dx) {
  const WindowAxis &h = plan.h, &w = plan.w;
  const Index cells = h.in * w.in;
  const T power = static_cast<T>(p - 1);
  const auto slope = [&](T v, T norm) { return p == 2 ? v / norm : v == T(0) ? v : std::copysign(std::pow(std::abs(v) / norm, power), v); };
  parallel_ranges(dx.shape[0] * dx.shape[1], detail::planes_per_chunk(cells), [&](Index first, Index last) {
    std::fill(dx.data + first * cells, dx.data + last * cells, T(0));
    for (Index row = first * h.out; row < last * h.out; ++row)
      for (Index j = 0; j < w.out; ++j) {
        const Index i = row % h.out, o = row * w.out + j, origin = row / h.out * cells + h.origin(i) * w.in + w.origin(j);
        if (y.data[o] == T(0)) continue;
        for (Index r = h.first_tap(i); r < h.last_tap(i); ++r)
          for (Index c = w.first_tap(j); c < w.last_tap(j); ++c) {
            const Index at = origin + r * h.dilation * w.in + c * w.dilation;
            dx.data[at] += dy.data[o] * slope(x.data[at], y.data[o]);
          }
      }
  });
}

}  // namespace ventral::inline v0::cpu
