#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/pool_backward.hpp"
#include "ventral/cpu/pool_rows.hpp"
#include "ventral/cpu/pool_taps.hpp"
#include "ventral/cpu/scratch.hpp"
#include "ventral/window.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // as in simd.hpp
#endif

constexpr Index prefetch_distance = 1024;  // numbers

/// Outputs [first, last) of rows [i, last_row) of one plane, number by number.
template <class Pooling, class T>
void pool_singly(const WindowPlan& plan, bool count_include_pad, Index unit, const T* x, Pooling pooling, Index i, Index last_row, Index first, Index last) {
  const WindowAxis &h = plan.h, &w = plan.w;
  for (Index j = first; i < last_row; j = j + 1 < last ? j + 1 : (++i, first)) {
    const Taps rows = taps_of(h, i, count_include_pad), columns = taps_of(w, j, count_include_pad);
    const Index origin = (h.origin(i) + rows.first * h.dilation) * w.in + w.origin(j) + columns.first * w.dilation;
    pooling.count(rows.counted * columns.counted);
    for (Index l = 0; l < unit; ++l) {
      auto fold = pooling.start_one(rows.first * w.kernel + columns.first);
      for (Index r = 0; r < rows.count(); ++r) {
        for (Index c = 0; c < columns.count(); ++c) fold.take({x[(origin + r * h.dilation * w.in + c * w.dilation) * unit + l]});
        fold.skip(w.kernel - columns.count());
      }
      pooling.store_one(fold, (i * w.out + j) * unit + l);
    }
  }
}

/// Takes one row of taps, outputs `Stride` apart; with 2, lanes are in the order of Pairs, and neighbouring taps share their loads.
template <int Stride, int Kernel, class V, class Fold, class T>
VENTRAL_ALWAYS_INLINE void take_row(Fold& fold, const T* row, Index columns, Index column_step) {
  if constexpr (Stride == 1) {
    for (Index c = 0; c < columns; ++c) fold.take(V::load(row + c * column_step));
  } else if constexpr (Kernel > 0) {
    const auto pairs = Pairs<V>::load(row);
    fold.take(pairs.even);
    fold.take(pairs.odd);
    if constexpr (Kernel == 3) fold.take(Pairs<V>::load(row + 2).even);
  } else {
    for (Index c = 0; c < columns; ++c) fold.take(Pairs<V>::load(row + c * column_step).even);
  }
}

/// Rows [i, last_row) of outputs that have the same taps inside the image: of each the columns from `first` on in steps of a register while they are below
/// `stop`, the last register reaching beyond it. `x` is the number under tap 0 of output (i, 0). `Kernel` is the window's extent both ways (2 or 3, all of it
/// inside), or 0 for any.
template <int Stride, int Kernel, class V, class Pooling, class T>
VENTRAL_ALWAYS_INLINE void pool_rows(const WindowPlan& plan, const Taps& taps, const T* x, const Pooling pooling, Index i, Index last_row, Index first,
                                     Index stop, V& seen) {
  const Index row_step = plan.h.dilation * plan.w.in, columns = plan.w.kernel, column_step = plan.w.dilation, rows = taps.count(), out = plan.w.out;
  const Index next_row = plan.h.stride * plan.w.in, width = plan.w.in, fetched = std::min<Index>(plan.h.stride, 2);
  const auto arrange = [](const V& v) VENTRAL_ALWAYS_INLINE_LAMBDA {
    if constexpr (Stride == 2) return Pairs<V>::in_order(v);
    else return v;
  };
  for (; i < last_row; ++i, x += next_row)
    for (Index j = first; j < stop; j += V::lanes) {
      auto fold = pooling.template start<V>(taps.first * columns);
      const T* const row = x + j * Stride;
      for (Index r = 0; r < fetched; ++r)
        for (Index k = 0; k < Stride; ++k) __builtin_prefetch(row + r * width + k * V::lanes + prefetch_distance);
      if constexpr (Kernel > 0) {
        take_row<Stride, Kernel, V>(fold, row, Kernel, 1);
        take_row<Stride, Kernel, V>(fold, row + row_step, Kernel, 1);
        if constexpr (Kernel == 3) take_row<Stride, Kernel, V>(fold, row + 2 * row_step, Kernel, 1);
      } else {
        for (Index r = 0; r < rows; ++r) take_row<Stride, Kernel, V>(fold, row + r * row_step, columns, column_step);
      }
      pooling.store(fold, i * out + j, seen, arrange);
    }
}

/// Pools one plane of rows: registers of outputs where all taps are inside the image and outputs are neighbours or every second column apart, the rest one
/// by one. A register may reach beyond its row: what it spoils there is written later, `room` numbers may be written from the plane's first output on.
template <class I, class Pooling, class T>
VENTRAL_ALWAYS_INLINE void pool_plane(const WindowPlan& plan, bool count_include_pad, const T* x, const T* x_end, Pooling pooling, Index room) {
  using V = Simd<T, I>;
  const WindowAxis &h = plan.h, &w = plan.w;
  const Interior tall = interior(h), inner = w.stride <= 2 ? interior(w) : Interior{w.out, w.out};
  const bool last_plane = x_end - x < h.in * w.in + 2 * V::lanes || room < h.out * w.out + V::lanes;
  const int kernel = h.kernel == w.kernel && w.stride == 2 && h.dilation * w.dilation == 1 && h.kernel <= 3 ? static_cast<int>(h.kernel) : 0;
  V seen = V::zero();
  for (Index i = 0, next; i < h.out; i = next) {
    const Taps taps = taps_of(h, i, count_include_pad);
    next = !last_plane && tall.first <= i && i < tall.last ? tall.last : i + 1;
    const T* const from = x + (h.origin(i) + taps.first * h.dilation) * w.in - w.before;
    Index stop = inner.last;
    if (last_plane) {  // registers must end before x and y do
      const Index readable = x_end - from - ((taps.count() - 1) * h.dilation * w.in + (w.kernel - 1) * w.dilation + 2 * V::lanes);
      stop = std::min(stop, std::min(room - i * w.out - V::lanes + 1, readable < 0 ? 0 : readable / w.stride + 1));
    }
    pooling.count(taps.counted * w.kernel);
    if (w.stride == 1) pool_rows<1, 0, V>(plan, taps, from, pooling, i, next, inner.first, stop, seen);
    else if (kernel == 2 && taps.count() == 2) pool_rows<2, 2, V>(plan, taps, from, pooling, i, next, inner.first, stop, seen);
    else if (kernel == 3 && taps.count() == 3) pool_rows<2, 3, V>(plan, taps, from, pooling, i, next, inner.first, stop, seen);
    else pool_rows<2, 0, V>(plan, taps, from, pooling, i, next, inner.first, stop, seen);
    const Index done = stop <= inner.first ? inner.first : inner.first + (stop - inner.first + V::lanes - 1) / V::lanes * V::lanes;
    if (done < inner.last) pool_singly(plan, count_include_pad, 1, x, pooling, i, i + 1, done, inner.last);
  }
  if (inner.first > 0) pool_singly(plan, count_include_pad, 1, x, pooling, 0, h.out, 0, inner.first);
  if (inner.last < w.out) pool_singly(plan, count_include_pad, 1, x, pooling, 0, h.out, inner.last, w.out);
  const T sum = seen.sum();
  if (sum != sum) pool_singly(plan, count_include_pad, 1, x, pooling, 0, h.out, 0, w.out);
}

/// Pools one plane of blocks.
template <class I, class Pooling, class T>
VENTRAL_ALWAYS_INLINE void pool_block(const WindowPlan& plan, bool count_include_pad, const T* x, Pooling pooling) {
  using V = Simd<T, I>;
  const WindowAxis &h = plan.h, &w = plan.w;
  V seen = V::zero();
  for (Index i = 0; i < h.out; ++i) {
    const Taps rows = taps_of(h, i, count_include_pad);
    for (Index j = 0; j < w.out; ++j) {
      const Taps columns = taps_of(w, j, count_include_pad);
      const T* const from = x + ((h.origin(i) + rows.first * h.dilation) * w.in + w.origin(j) + columns.first * w.dilation) * block_images;
      pooling.count(rows.counted * columns.counted);
      for (Index r = 0; r < std::min<Index>(h.stride, 2); ++r)
        for (Index c = 0; c < std::min<Index>(w.stride, 2); ++c)  // of the row after the next
          __builtin_prefetch(from + ((2 * h.stride + r) * w.in + c) * block_images);
      for (Index s = 0; s < block_images; s += V::lanes) {
        auto fold = pooling.template start<V>(rows.first * w.kernel + columns.first);
        for (Index r = 0; r < rows.count(); ++r) {
          for (Index c = 0; c < columns.count(); ++c) fold.take(V::load(from + (r * h.dilation * w.in + c * w.dilation) * block_images + s));
          fold.skip(w.kernel - columns.count());
        }
        pooling.store(fold, (i * w.out + j) * block_images + s, seen, [](const V& v) VENTRAL_ALWAYS_INLINE_LAMBDA { return v; });
      }
    }
  }
  const T sum = seen.sum();
  if (sum != sum) pool_singly(plan, count_include_pad, block_images, x, pooling, 0, h.out, 0, w.out);
}

/// Pools all planes; `pooling_at(o)` puts outputs from number o on.
template <class T, class PoolingAt>
void pool_planes(const WindowPlan& plan, bool count_include_pad, In<T> x, const PoolingAt& pooling_at) {
  const ImagePlanes planes(x.shape, x.format);
  const Index cells = plan.h.in * plan.w.in * planes.unit, outputs = plan.h.out * plan.w.out * planes.unit;
  if (outputs == 0) return;
  const T* const x_end = x.data + planes.count * cells;
  parallel_ranges(planes.count, planes_per_chunk(cells), [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      using I = decltype(isa);
      for (Index p = first; p < last; ++p) {
        if constexpr (sizeof(T) == 4)
          if (planes.unit > 1) {
            pool_block<I>(plan, count_include_pad, x.data + p * cells, pooling_at(p * outputs));
            continue;
          }
        pool_plane<I>(plan, count_include_pad, x.data + p * cells, x_end, pooling_at(p * outputs), (last - p) * outputs);
      }
    });
  });
}

/// The gradient of max pooling, or of mean pooling without winners.
template <bool Max, class T>
void pool_backward(const WindowPlan& plan, bool count_include_pad, const T* winners, In<T> dy, Out<T> dx) {
  const WindowAxis &h = plan.h, &w = plan.w;
  const ImagePlanes planes(dx.shape, dx.format);
  const Index outputs = h.out * w.out, plane = h.in * w.in * planes.unit, pooled = outputs * planes.unit;
  if (plane * planes.count == 0) return;
  constexpr Index widest = 64 / static_cast<Index>(sizeof(T));
  const bool rows = planes.unit == 1, pairs = rows && side_by_side(plan), triples = Max && rows && threes(plan) && simd_level() == SimdLevel::avx512;
  const bool gather = !Max && rows && !pairs && w.stride <= 2;
  const Index offset_count = Max ? h.kernel * w.kernel : gather ? RowWindows::most_offsets(plan) : 0;
  const Index end_count = gather ? RowWindows::most_ends(plan) : 0, share_count = Max || pairs ? 0 : outputs + widest;
  const Index shared_bytes = Arena::bytes<Index>(offset_count) + Arena::bytes<Index>(end_count) + Arena::bytes<T>(share_count);
  const Index width = gather ? RowWindows(plan, nullptr, nullptr).width(widest) : 0;
  Scratch& scratch = Scratch::mine();
  scratch.reserve(shared_bytes, Arena::bytes<T>(h.out * width));
  Arena shared = scratch.shared();
  Index* const offsets = shared.take<Index>(offset_count);
  RowWindows windows(plan, offsets, shared.take<Index>(end_count));
  T* const shares = shared.take<T>(share_count);
  if (gather) windows.list(width);
  for (Index k = 0; Max && k < offset_count; ++k) offsets[k] = k / w.kernel * h.dilation * w.in + k % w.kernel * w.dilation;
  for (Index o = 0; o < share_count; ++o)
    shares[o] = o < outputs ? T(1) / static_cast<T>(taps_of(h, o / w.out, count_include_pad).counted * taps_of(w, o % w.out, count_include_pad).counted) : T(0);

  parallel_ranges(planes.count, planes_per_chunk(plane), [&](Index first, Index last) {
    Scratch::Lease lease(scratch);
    T *const room = lease.arena().template take<T>(h.out * width), *const dx_end = dx.data + last * plane;
    const T* const dy_end = dy.data + planes.count * pooled;
    if (!pairs && !triples && !gather) std::fill(dx.data + first * plane, dx_end, T(0));
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      using I = decltype(isa);
      for (Index p = first; p < last; ++p) {
        const T *const won = Max ? winners + p * pooled : nullptr, *const from = dy.data + p * pooled;
        T* const to = dx.data + p * plane;
        if (pairs) {
          pairs_backward<I, Max>(plan, won, from, dy_end, to, dx_end);
        } else if (rows) {
          if constexpr (Max) {
            if constexpr (I::level == SimdLevel::avx512)  // narrower registers are no faster than one winner after the other
              if (triples && dy_end - from >= pooled + 2 * widest) {
                threes_backward<I>(plan, won, from, to, dx_end);
                continue;
              }
            if (triples) std::fill(to, to + plane, T(0));
            scatter_to_winners(plan, offsets, won, from, to);
          } else if (gather) mean_backward<I>(plan, windows, width, shares, from, dy_end, room, to, dx_end);
          else outputs_backward<OneLane<T>, false>(plan, 1, shares, won, from, to);
        } else if constexpr (sizeof(T) == 4) {
          outputs_backward<Simd<T, I>, Max>(plan, planes.unit, shares, won, from, to);
        }
      }
    });
  });
}

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}  // namespace detail

/// y[n,c,i,j] = the largest x under the window at (i, j); cells in the padding never win, a NaN does. x [N,C,H,W], y [N,C,Ho,Wo], all in the format of x.
/// `winners`, if its data are not null: the number r kernel.w + c of the first tap that has it, as a number of type T. Every window must cover a cell of
/// the image. Reads x once and writes y and winners once.
template <class T>
void max_pool_forward(Stream, const WindowPlan& plan, In<T> x, Out<T> y, Out<T> winners) {
  detail::pool_planes<T>(plan, false, x, [&](Index o) { return detail::MaxOf<T>{y.data + o, winners.data ? winners.data + o : nullptr}; });
}

/// dx[n,c,h,w] = the sum of dy over the windows in which (h, w) won: the gradient goes to the first maximum of each window. Reads winners and dy once and
/// writes dx once, or, where windows are not two by two side by side, a second time in cache.
template <class T>
void max_pool_backward(Stream, const WindowPlan& plan, In<T> winners, In<T> dy, Out<T> dx) {
  detail::pool_backward<true, T>(plan, false, winners.data, dy, dx);
}

/// y[n,c,i,j] = the sum of x under the window at (i, j), divided by the number of cells that count: those inside the image or, with
/// count_include_pad, inside the padded image too (a window may reach beyond that with Rounding::ceil). Reads x once and writes y once.
template <class T>
void mean_pool_forward(Stream, const WindowPlan& plan, bool count_include_pad, In<T> x, Out<T> y) {
  detail::pool_planes<T>(plan, count_include_pad, x, [&](Index o) { return detail::MeanOf<T>(y.data + o); });
}

/// dx[n,c,h,w] = the sum of dy / count over the windows that cover (h, w), in the order of the outputs. Reads dy and writes dx once.
template <class T>
void mean_pool_backward(Stream, const WindowPlan& plan, bool count_include_pad, In<T> dy, Out<T> dx) {
  detail::pool_backward<false, T>(plan, count_include_pad, nullptr, dy, dx);
}

/// y[n,c,i,j] = (sum |x|^p)^(1/p) over the window at (i, j), p >= 1; padding counts as 0. Reads x once and writes y once.
template <class T>
void lp_pool_forward(Stream, const WindowPlan& plan, double p, In<T> x, Out<T> y) {
  const T power = static_cast<T>(p);
  if (p == 2) detail::pool_planes<T>(plan, false, x, [&](Index o) { return detail::NormOf<T, true>(y.data + o, power); });
  else detail::pool_planes<T>(plan, false, x, [&](Index o) { return detail::NormOf<T, false>(y.data + o, power); });
}

/// dx[n,c,h,w] = the sum of dy sign(x) (|x| / y)^(p-1) over the windows that cover (h, w); 0 where y = 0, and 0 at x = 0, the kink of p = 1.
template <class T>
void lp_pool_backward(Stream, const WindowPlan& plan, double p, In<T> x, In<T> y, In<T> dy, Out<T> dx) {
  const WindowAxis &h = plan.h, &w = plan.w;
  const detail::ImagePlanes planes(x.shape, x.format);
  const Index unit = planes.unit, cells = h.in * w.in * unit;
  const T power = static_cast<T>(p - 1);
  const auto slope = [&](T v, T norm) { return p == 2 ? v / norm : v == T(0) ? v : std::copysign(std::pow(std::abs(v) / norm, power), v); };
  parallel_ranges(planes.count, detail::planes_per_chunk(cells), [&](Index first, Index last) {
    std::fill(dx.data + first * cells, dx.data + last * cells, T(0));
    for (Index row = first * h.out; row < last * h.out; ++row)
      for (Index j = 0; j < w.out * unit; ++j) {
        const Index i = row % h.out, o = row * w.out * unit + j, origin = row / h.out * cells + (h.origin(i) * w.in + w.origin(j / unit)) * unit + j % unit;
        if (y.data[o] == T(0)) continue;
        for (Index r = h.first_tap(i); r < h.last_tap(i); ++r)
          for (Index c = w.first_tap(j / unit); c < w.last_tap(j / unit); ++c) {
            const Index at = origin + (r * h.dilation * w.in + c * w.dilation) * unit;
            dx.data[at] += dy.data[o] * slope(x.data[at], y.data[o]);
          }
      }
  });
}

// In the library ventral::kernels.
VENTRAL_COMPILED(max_pool_forward)
VENTRAL_COMPILED_OVERLOAD(void max_pool_backward<float>(Stream, const WindowPlan&, In<float>, In<float>, Out<float>))
VENTRAL_COMPILED_OVERLOAD(void max_pool_backward<double>(Stream, const WindowPlan&, In<double>, In<double>, Out<double>))
VENTRAL_COMPILED(mean_pool_forward)
VENTRAL_COMPILED(mean_pool_backward)
VENTRAL_COMPILED(lp_pool_forward)
VENTRAL_COMPILED(lp_pool_backward)

}  // namespace ventral::inline v0::cpu
