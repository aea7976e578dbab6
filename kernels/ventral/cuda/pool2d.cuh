#pragma once
#include <cmath>
#include <cstdint>
#include <limits>

#include "ventral/cuda/pool_window.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

// What pooling makes of the numbers under a window, one at a time: start(position of the first), take(x, position in the plane), value(cells that count).
// `outside` changes nothing when it is taken: it stands for cells outside the image.

/// A NaN replaces any number, and only another NaN a NaN.
template <class T>
struct MaxUnderWindow {
  using C = Compute<T>;
  static constexpr bool wins = true;
  static constexpr C outside = -std::numeric_limits<C>::infinity();
  C best;
  std::int32_t where;

  template <class I>
  VENTRAL_DEVICE void start(I first) {
    best = outside;
    where = static_cast<std::int32_t>(first);
  }
  template <class I>
  VENTRAL_DEVICE void take(C v, I at) {
    if (!(v > best || v != v)) return;
    best = v;
    where = static_cast<std::int32_t>(at);
  }
  template <class I>
  VENTRAL_DEVICE C value(I) const {
    return best;
  }
};

template <class T>
struct MeanUnderWindow {
  using C = Compute<T>;
  static constexpr bool wins = false;
  static constexpr C outside = C(0);
  C sum;

  template <class I>
  VENTRAL_DEVICE void start(I) {
    sum = 0;
  }
  template <class I>
  VENTRAL_DEVICE void take(C v, I) {
    sum += v;
  }
  template <class I>
  VENTRAL_DEVICE C value(I counted) const {
    return sum * (C(1) / static_cast<C>(counted));
  }
};

/// `Square` for p = 2.
template <class T, bool Square>
struct NormUnderWindow {
  using C = Compute<T>;
  static constexpr bool wins = false;
  C p, sum;

  template <class I>
  VENTRAL_DEVICE void start(I) {
    sum = 0;
  }
  template <class I>
  VENTRAL_DEVICE void take(C v, I) {
    if constexpr (Square) sum += v * v;
    else sum += std::pow(std::abs(v), p);
  }
  template <class I>
  VENTRAL_DEVICE C value(I) const {
    if constexpr (Square) return std::sqrt(sum);
    else return std::pow(sum, C(1) / p);
  }
};

/// A thread for each output, neighbours along a row; reads the image through the cache, where windows overlap.
template <class I, class Fold, class T>
VENTRAL_KERNEL void pool_forward_kernel(Index outputs, PoolPlan<I> plan, bool count_include_pad, const T* x, T* y, std::int32_t* winners, Fold fold) {
  for (Index i = first_element(); i < outputs; i += element_step()) {
    const PlanePosition<I> o(static_cast<I>(i), plan.h.out, plan.w.out);
    const WindowTaps<I> r(plan.h, o.row, count_include_pad), c(plan.w, o.column, count_include_pad);
    const T* const plane = x + static_cast<Index>(o.plane) * plan.h.in * plan.w.in;
    const I origin = r.position * plan.w.in + c.position;
    fold.start(origin);
    for (I a = 0; a < r.taps; ++a)
      for (I b = 0; b < c.taps; ++b) {
        const I at = origin + a * plan.h.dilation * plan.w.in + b * plan.w.dilation;
        fold.take(load(plane + at), at);
      }
    store(y + i, fold.value(r.counted * c.counted));
    if constexpr (Fold::wins)
      if (winners) winners[i] = fold.where;
  }
}

// The share of one output in the gradient of one input: share(output, its row and column, position of the input in the plane).

template <class T>
struct ShareOfMax {
  static constexpr bool wins = true;
  const std::int32_t* winners;
  const T* dy;
  VENTRAL_DEVICE void start(Index) {}
  template <class I>
  VENTRAL_DEVICE Compute<T> share(const PoolPlan<I>&, Index o, I, I, I cell) const {
    return winners[o] == static_cast<std::int32_t>(cell) ? load(dy + o) : Compute<T>(0);
  }
  template <int kernel, int stride, int n>
  VENTRAL_DEVICE void divide(const KnownSizes&, int, int, Compute<T> (&)[n]) const {}
};

template <class T>
struct ShareOfMean {
  static constexpr bool wins = false;
  bool count_include_pad;
  const T* dy;
  VENTRAL_DEVICE void start(Index) {}
  template <class I>
  VENTRAL_DEVICE Compute<T> share(const PoolPlan<I>& plan, Index o, I row, I column, I) const {
    const I counted = WindowTaps<I>(plan.h, row, count_include_pad).counted * WindowTaps<I>(plan.w, column, count_include_pad).counted;
    return load(dy + o) / static_cast<Compute<T>>(counted);
  }
  /// The same for outputs [first, first + n) of a row, given dy.
  template <int kernel, int stride, int n>
  VENTRAL_DEVICE void divide(const KnownSizes& s, int row, int first, Compute<T> (&given)[n]) const {
    const int top = row * stride - s.above, left = std::max(first, 0) * stride - s.left, last = (std::min(first + n, s.columns) - 1) * stride - s.left;
    if (top >= 0 && top + kernel <= s.height && left >= 0 && last + kernel <= s.width) {  // whole windows: the compiler knows their size
      VENTRAL_DEVICE_UNROLL
      for (int k = 0; k < n; ++k) given[k] /= static_cast<Compute<T>>(kernel * kernel);
      return;
    }
    const int down = counted_cells<kernel>(top, s.height, s.below, count_include_pad);
    VENTRAL_DEVICE_UNROLL
    for (int k = 0; k < n; ++k) {
      const int across = counted_cells<kernel>((first + k) * stride - s.left, s.width, s.right, count_include_pad);
      given[k] /= static_cast<Compute<T>>(is_inside(first + k, s.columns) ? down * across : 1);
    }
  }
};

/// sign(x) (|x| / y)^(p-1) dy; 0 where y = 0, and at x = 0.
template <class T, bool Square>
struct ShareOfNorm {
  using C = Compute<T>;
  C power;
  const T *x, *y, *dy;
  C v;
  VENTRAL_DEVICE void start(Index i) { v = load(x + i); }
  template <class I>
  VENTRAL_DEVICE C share(const PoolPlan<I>&, Index o, I, I, I) const {
    const C norm = load(y + o);
    if (norm == C(0)) return C(0);
    if constexpr (Square) return load(dy + o) * (v / norm);
    else return v == C(0) ? C(0) : load(dy + o) * std::copysign(std::pow(std::abs(v) / norm, power), v);
  }
};

/// A thread for each input: adds the shares of the windows that cover it, in the order of the outputs, so that no two threads write to one place.
template <class I, class Share, class T>
VENTRAL_KERNEL void pool_backward_kernel(Index inputs, PoolPlan<I> plan, Share share, T* dx) {
  for (Index i = first_element(); i < inputs; i += element_step()) {
    const PlanePosition<I> at(static_cast<I>(i), plan.h.in, plan.w.in);
    const CoveringWindows<I> rows(plan.h, at.row), columns(plan.w, at.column);
    const Index plane = static_cast<Index>(at.plane) * plan.h.out * plan.w.out;
    Compute<T> sum = 0;
    share.start(i);
    for (I r = rows.first; r < rows.last; ++r) {
      if (!plan.h.has_tap(r, at.row)) continue;
      for (I c = columns.first; c < columns.last; ++c)
        if (plan.w.has_tap(c, at.column)) sum += share.share(plan, plane + r * plan.w.out + c, r, c, at.row * plan.w.in + at.column);
    }
    store(dx + i, sum);
  }
}

/// Any window.
template <class T, class Fold>
void pool_any_forward(Stream stream, const char* kernel, const WindowPlan& plan, bool count_include_pad, In<T> x, Out<T> y, std::int32_t* winners,
                      const Fold& fold) {
  const Launch l{.kernel = kernel, .blocks = blocks_for(y.size()), .shape = x.shape};
  const auto run = [&](auto counted) {
    using I = decltype(counted);
    launch(stream, l, pool_forward_kernel<I, Fold, T>, y.size(), PoolPlan<I>(plan), count_include_pad, x.data, y.data, winners, fold);
  };
  if (fits_int(plan, x.size(), y.size())) run(int{});
  else run(Index{});
}
template <class T, class Share>
void pool_any_backward(Stream stream, const char* kernel, const WindowPlan& plan, Index outputs, const Share& share, Out<T> dx) {
  const Launch l{.kernel = kernel, .blocks = blocks_for(dx.size()), .shape = dx.shape};
  if (fits_int(plan, dx.size(), outputs)) launch(stream, l, pool_backward_kernel<int, Share, T>, dx.size(), PoolPlan<int>(plan), share, dx.data);
  else launch(stream, l, pool_backward_kernel<Index, Share, T>, dx.size(), PoolPlan<Index>(plan), share, dx.data);
}

/// A window that is known to the compiler, where int counts everything; else any.
template <class T, class Fold>
void pool_forward(Stream stream, const char* kernel, const WindowPlan& plan, bool count_include_pad, In<T> x, Out<T> y, std::int32_t* winners,
                  const Fold& fold) {
  if (fits_int(plan, x.size(), y.size()) && pool_window_forward(stream, kernel, plan, count_include_pad, x, y, winners, fold)) return;
  pool_any_forward(stream, kernel, plan, count_include_pad, x, y, winners, fold);
}
template <class T, class Share>
void pool_backward(Stream stream, const char* kernel, const WindowPlan& plan, const std::int32_t* winners, In<T> dy, const Share& share, Out<T> dx) {
  if (fits_int(plan, dx.size(), dy.size()) && pool_window_backward(stream, kernel, plan, winners, dy.data, share, dx)) return;
  pool_any_backward(stream, kernel, plan, dy.size(), share, dx);
}

}  // namespace detail

/// y[n,c,i,j] = the largest x under the window at (i, j); cells in the padding never win, a NaN does. x [N,C,H,W], y [N,C,Ho,Wo].
/// `winners`, if its data are not null: the position h W + w in its plane of the first maximum, in row-major order. Every window must
/// cover a cell of the image. Reads x once, overlaps from the cache, and writes y and winners once.
template <class T>
void max_pool_forward(Stream stream, const WindowPlan& plan, In<T> x, Out<T> y, Out<std::int32_t> winners) {
  detail::pool_forward<T>(stream, "max_pool_forward", plan, false, x, y, winners.data, detail::MaxUnderWindow<T>{});
}

/// dx[n,c,h,w] = the sum of dy over the windows that (h, w) has won, in the order of the outputs: the gradient goes to the first maximum of each.
/// Reads winners and dy once, overlaps from the cache, and writes dx once.
template <class T>
void max_pool_backward(Stream stream, const WindowPlan& plan, In<std::int32_t> winners, In<T> dy, Out<T> dx) {
  detail::pool_backward(stream, "max_pool_backward", plan, winners.data, dy, detail::ShareOfMax<T>{winners.data, dy.data}, dx);
}

/// y[n,c,i,j] = the sum of x under the window at (i, j), divided by the number of cells that count: those inside the image or, with
/// count_include_pad, inside the padded image too (a window may reach beyond that with Rounding::ceil). Reads x once and writes y once.
template <class T>
void mean_pool_forward(Stream stream, const WindowPlan& plan, bool count_include_pad, In<T> x, Out<T> y) {
  if (detail::provided(stream, &ProviderTable<T>::mean_pool_forward, plan, count_include_pad, x, y)) return;
  detail::pool_forward<T>(stream, "mean_pool_forward", plan, count_include_pad, x, y, nullptr, detail::MeanUnderWindow<T>{});
}

/// dx[n,c,h,w] = the sum of dy / count over the windows that cover (h, w), in the order of the outputs. Reads dy once and writes dx once.
template <class T>
void mean_pool_backward(Stream stream, const WindowPlan& plan, bool count_include_pad, In<T> dy, Out<T> dx) {
  if (detail::provided(stream, &ProviderTable<T>::mean_pool_backward, plan, count_include_pad, dy, dx)) return;
  detail::pool_backward(stream, "mean_pool_backward", plan, nullptr, dy, detail::ShareOfMean<T>{count_include_pad, dy.data}, dx);
}

/// y[n,c,i,j] = (sum |x|^p)^(1/p) over the window at (i, j), p >= 1; padding counts as 0. Reads x once and writes y once.
template <class T>
void lp_pool_forward(Stream stream, const WindowPlan& plan, double p, In<T> x, Out<T> y) {
  const Compute<T> power = static_cast<Compute<T>>(p);
  if (p == 2) detail::pool_any_forward<T>(stream, "lp_pool_forward", plan, false, x, y, nullptr, detail::NormUnderWindow<T, true>{power, {}});
  else detail::pool_any_forward<T>(stream, "lp_pool_forward", plan, false, x, y, nullptr, detail::NormUnderWindow<T, false>{power, {}});
}

/// dx[n,c,h,w] = the sum of dy sign(x) (|x| / y)^(p-1) over the windows that cover (h, w); 0 where y = 0, and 0 at x = 0, the kink of p = 1.
/// Reads x, y and dy once and writes dx once.
template <class T>
void lp_pool_backward(Stream stream, const WindowPlan& plan, double p, In<T> x, In<T> y, In<T> dy, Out<T> dx) {
  const Compute<T> power = static_cast<Compute<T>>(p - 1);
  if (p == 2)
    detail::pool_any_backward(stream, "lp_pool_backward", plan, dy.size(), detail::ShareOfNorm<T, true>{power, x.data, y.data, dy.data, {}}, dx);
  else detail::pool_any_backward(stream, "lp_pool_backward", plan, dy.size(), detail::ShareOfNorm<T, false>{power, x.data, y.data, dy.data, {}}, dx);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
