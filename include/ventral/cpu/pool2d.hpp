#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/pool_rows.hpp"
#include "ventral/cpu/scratch.hpp"
#include "ventral/window.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // as in simd.hpp
#endif

constexpr Index prefetch_distance = 1024;  // numbers

/// The planes of a tensor [N,C,H,W], and how many numbers stand side by side for a cell: one, or an image of a block each.
struct ImagePlanes {
  Index unit, count;
  ImagePlanes(const Shape& s, Format f) : unit(f == Format::rows ? 1 : block_images), count(stored_images(s[0], f) / unit * s[1]) {}
};

/// Taps [first, last) of an output that are inside the image, and how many a mean counts: those or, with `padded`, those inside the padded image.
struct Taps {
  Index first, last, counted;
  Index count() const { return last - first; }
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

/// How the rows of outputs lie over the rows of the image, for outputs `stride` = 1 or 2 columns apart: cell m stride + phase of row a is under the windows
/// of outputs m + offset, counted from the first output, for each offset listed.
class RowWindows {
 public:
  Index left = 0, right = 0;  ///< columns beyond the first and last output that are looked at

  RowWindows(const WindowPlan& plan, Index* offsets, Index* ends) : offsets_(offsets), ends_(ends), plan_(plan) {
    for (Index c = 0; c < plan.w.kernel; ++c) {
      left = std::max(left, -shift(c));
      right = std::max(right, shift(c));
    }
  }
  static Index most_offsets(const WindowPlan& plan) { return plan.h.out * plan.h.kernel * plan.w.kernel; }
  static Index most_ends(const WindowPlan& plan) { return plan.h.in * plan.w.stride + 1; }
  /// Numbers of a row of outputs with zeros around it.
  Index width(Index lanes) const { return left + std::max(plan_.w.out, (plan_.w.in + plan_.w.stride - 1) / plan_.w.stride + right) + 2 * lanes; }

  /// Writes the list for rows of outputs that are `width` apart, in the order of the outputs.
  void list(Index width) {
    const WindowAxis &h = plan_.h, &w = plan_.w;
    Index n = 0, *end = ends_;
    *end++ = 0;
    for (Index a = 0; a < h.in; ++a)
      for (Index phase = 0; phase < w.stride; ++phase, *end++ = n) {
        const Index q = a + h.before, lowest = q - h.span() + 1;
        for (Index i = lowest <= 0 ? 0 : (lowest + h.stride - 1) / h.stride; i < h.out && i * h.stride <= q; ++i)
          for (Index c = w.kernel - 1; c >= 0 && (q - i * h.stride) % h.dilation == 0; --c)
            if (phase_of(c) == phase) offsets_[n++] = i * width + shift(c);
      }
  }
  const Index* begin(Index a, Index phase) const { return offsets_ + ends_[a * plan_.w.stride + phase]; }

 private:
  /// Tap c of output m + shift sees cell m stride + phase: phase + before - c dilation = shift stride.
  Index phase_of(Index c) const { return (c * plan_.w.dilation + plan_.w.before * (plan_.w.stride - 1)) % plan_.w.stride; }
  Index shift(Index c) const { return (phase_of(c) + plan_.w.before - c * plan_.w.dilation) / plan_.w.stride; }

  Index *offsets_, *ends_;
  const WindowPlan& plan_;
};

/// Whether windows of two by two lie side by side from the first cell on.
constexpr bool side_by_side(const WindowPlan& plan) {
  const auto pairs = [](const WindowAxis& a) { return a.kernel == 2 && a.stride == 2 && a.dilation == 1 && a.before == 0 && 2 * a.out <= a.in; };
  return pairs(plan.h) && pairs(plan.w);
}

/// Windows of two by two side by side: dx of a plane of rows, each written once. `Max`: dy to the winner, else a quarter to each. dy_end and dx_end bound
/// what may be read and written.
template <class I, bool Max, class T>
VENTRAL_ALWAYS_INLINE void pairs_backward(const WindowPlan& plan, const T* winners, const T* dy, const T* dy_end, T* dx, const T* dx_end) {
  using V = Simd<T, I>;
  const Index in = plan.w.in, out = plan.w.out;
  const V quarter = splat<V>(T(0.25)), one = splat<V>(T(1)), two = splat<V>(T(2)), three = splat<V>(T(3)), zero = V::zero();
  for (Index i = 0; i < plan.h.out; ++i, winners += Max ? out : 0, dy += out, dx += 2 * in) {
    if (dy_end - dy < out + V::lanes || dx_end - dx < 2 * in + 2 * V::lanes) {
      for (Index j = 0; j < 4 * out; ++j) {  // tap j % 4 of output j / 4
        T* const cell = dx + j % 4 / 2 * in + j / 4 * 2 + j % 2;
        if constexpr (Max) *cell = winners[j / 4] == static_cast<T>(j % 4) ? dy[j / 4] : T(0);
        else *cell = dy[j / 4] * T(0.25);
      }
    } else {
      for (Index m = (out - 1) / V::lanes * V::lanes; m >= 0; m -= V::lanes) {  // leftwards: what a register spoils beyond the upper row is written after it
        const V d = V::load(dy + m);
        Pairs<V> upper, lower;
        if constexpr (Max) {
          const V won = V::load(winners + m);
          upper = {V{won.v == zero.v ? d.v : zero.v}, V{won.v == one.v ? d.v : zero.v}};
          lower = {V{won.v == two.v ? d.v : zero.v}, V{won.v == three.v ? d.v : zero.v}};
        } else {
          upper.even = upper.odd = lower.even = lower.odd = V{d.v * quarter.v};
        }
        T* const to = dx + 2 * m;
        upper.low().store(to);
        upper.high().store(to + V::lanes);
        lower.low().store(to + in);
        lower.high().store(to + V::lanes + in);
      }
    }
    if (2 * out < in) dx[in - 1] = dx[2 * in - 1] = T(0);
  }
  if (2 * plan.h.out < plan.h.in) std::fill(dx, dx + in, T(0));
}

/// Whether windows of three by three start at every second cell from the first on.
constexpr bool threes(const WindowPlan& plan) {
  const auto fits = [](const WindowAxis& a) { return a.kernel == 3 && a.stride == 2 && a.dilation == 1 && a.before == 0 && 2 * a.out < a.in; };
  return fits(plan.h) && fits(plan.w);
}

/// The gradient of max pooling with such windows, each dx written once: the cells of even columns are under tap 0 of window m and tap 2 of window m - 1,
/// those of odd ones under tap 1 of window m, and so with rows. A register of outputs is read beyond the plane.
template <class I, class T>
VENTRAL_ALWAYS_INLINE void threes_backward(const WindowPlan& plan, const T* winners, const T* dy, T* dx, const T* dx_end) {
  using V = Simd<T, I>;
  const Index in = plan.w.in, out = plan.w.out;
  const V lane = lane_numbers<V, T>(LaneNumbers<V>()), zero = V::zero();
  for (Index a = 0; a < plan.h.in; ++a, dx += in)
    for (Index m = 0; 2 * m < in; m += V::lanes) {
      Pairs<V> sums{zero, zero};
      for (Index r = 2 - a % 2; r >= 0; r -= 2) {  // in the order of the outputs
        const Index i = (a - r) / 2, o = i * out + m;
        if (a < r || i >= plan.h.out) continue;
        const V tap = splat<V>(static_cast<T>(3 * r)), left = splat<V>(static_cast<T>(out - m)), one = splat<V>(T(1));
        const V won = V::load(winners + o), d{lane.v < left.v ? V::load(dy + o).v : zero.v};
        V won_before = won, d_before = zero;  // window m - 1
        if (m > 0) won_before = V::load(winners + o - 1), d_before.v = lane.v < left.v + one.v ? V::load(dy + o - 1).v : zero.v;
        else won_before = shifted_up(won), d_before = shifted_up(d);
        sums.even.v += won_before.v == tap.v + one.v + one.v ? d_before.v : zero.v;
        sums.even.v += won.v == tap.v ? d.v : zero.v;
        sums.odd.v += won.v == tap.v + one.v ? d.v : zero.v;
      }
      T* const to = dx + 2 * m;
      if (dx_end - to >= 2 * V::lanes) {
        sums.low().store(to);
        sums.high().store(to + V::lanes);
      } else {
        T part[2 * V::lanes];
        sums.low().store(part);
        sums.high().store(part + V::lanes);
        std::copy(part, part + (dx_end - to), to);
      }
    }
}

/// dx += dy at the winners of one plane of rows; offsets[tap] is where a tap lies from the first.
template <class T>
void scatter_to_winners(const WindowPlan& plan, const Index* offsets, const T* winners, const T* dy, T* dx) {
  for (Index i = 0; i < plan.h.out; ++i) {
    T* const row = dx + plan.h.origin(i) * plan.w.in - plan.w.before;
    for (Index j = 0; j < plan.w.out; ++j, ++winners, ++dy) row[j * plan.w.stride + offsets[static_cast<std::int32_t>(*winners)]] += *dy;
  }
}

/// Output by output of one plane: dx += dy at the winner for `Max`, else += dy times its share at every cell under the window.
template <class V, bool Max, class T>
VENTRAL_ALWAYS_INLINE void outputs_backward(const WindowPlan& plan, Index unit, const T* shares, const T* winners, const T* dy, T* dx) {
  const WindowAxis &h = plan.h, &w = plan.w;
  const bool alone = h.stride >= h.span() && w.stride >= w.span();
  for (Index i = 0; i < h.out; ++i) {
    const Taps rows = taps_of(h, i, false);
    for (Index j = 0; j < w.out; ++j) {
      const Taps columns = taps_of(w, j, false);
      const Index o = i * w.out + j;
      T* const to = dx + ((h.origin(i) + rows.first * h.dilation) * w.in + w.origin(j) + columns.first * w.dilation) * unit;
      for (Index s = 0; s < unit; s += V::lanes) {
        V d = V::load(dy + o * unit + s), won = V::zero(), tap = V::zero();
        if constexpr (Max) won = V::load(winners + o * unit + s), tap = splat<V>(static_cast<T>(rows.first * w.kernel + columns.first));
        else d.v *= splat<V>(shares[o]).v;
        for (Index r = 0; r < rows.count(); ++r) {
          for (Index c = 0; c < columns.count(); ++c) {
            T* const cell = to + (r * h.dilation * w.in + c * w.dilation) * unit + s;
            V share = d;
            if constexpr (Max) share.v = won.v == tap.v ? d.v : V::zero().v, tap.v += V::all(T(1)).v;
            if (!alone) share.v += V::load(cell).v;
            share.store(cell);
          }
          if constexpr (Max) tap.v += splat<V>(static_cast<T>(w.kernel - columns.count())).v;
        }
      }
    }
  }
}

/// dx of mean pooling of one plane of rows, from a copy of dy times its shares with zeros around it, in `room`.
template <class I, class T>
VENTRAL_ALWAYS_INLINE void mean_backward(const WindowPlan& plan, const RowWindows& windows, Index width, const T* shares, const T* dy, const T* dy_end,
                                         T* room, T* dx, const T* dx_end) {
  using V = Simd<T, I>;
  const Index in = plan.w.in, out = plan.w.out, stride = plan.w.stride;
  for (Index i = 0; i < plan.h.out; ++i) {
    T* const row = room + i * width;
    for (Index j = 0; j < windows.left; j += V::lanes) V::zero().store(row + j);
    for (Index j = 0; j < out; j += V::lanes) {
      const Index o = i * out + j, there = dy_end - (dy + o);
      (there >= V::lanes ? V::load(dy + o) * V::load(shares + o) : V::load_part(dy + o, there) * V::load(shares + o)).store(row + windows.left + j);
    }
    for (Index j = windows.left + out; j + V::lanes <= width; j += V::lanes) V::zero().store(row + j);
    V::zero().store(row + width - V::lanes);
  }
  const auto sum = [&](Index a, Index phase, Index m) VENTRAL_ALWAYS_INLINE_LAMBDA {
    V sum = V::zero();
    for (const Index *o = windows.begin(a, phase), *end = windows.begin(a, phase + 1); o != end; ++o) sum.v += V::load(room + windows.left + *o + m).v;
    return sum;
  };
  const auto store = [&](const V& v, T* to) VENTRAL_ALWAYS_INLINE_LAMBDA {
    if (dx_end - to >= V::lanes) v.store(to);
    else if (to < dx_end) v.store_part(to, dx_end - to);
  };
  for (Index a = 0; a < plan.h.in; ++a, dx += in)
    for (Index m = 0; m * stride < in; m += V::lanes) {
      const V even = sum(a, 0, m);
      if (stride == 1) {
        store(even, dx + m);
      } else {
        const Pairs<V> pairs{even, sum(a, 1, m)};
        store(pairs.low(), dx + 2 * m);
        store(pairs.high(), dx + 2 * m + V::lanes);
      }
    }
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

/// What the library ventral::kernels holds.
#define VENTRAL_POOLING(T) \
  VENTRAL_COMPILED(void max_pool_forward<T>(Stream, const WindowPlan&, In<T>, Out<T>, Out<T>)) \
  VENTRAL_COMPILED(void max_pool_backward<T>(Stream, const WindowPlan&, In<T>, In<T>, Out<T>)) \
  VENTRAL_COMPILED(void mean_pool_forward<T>(Stream, const WindowPlan&, bool, In<T>, Out<T>)) \
  VENTRAL_COMPILED(void mean_pool_backward<T>(Stream, const WindowPlan&, bool, In<T>, Out<T>)) \
  VENTRAL_COMPILED(void lp_pool_forward<T>(Stream, const WindowPlan&, double, In<T>, Out<T>)) \
  VENTRAL_COMPILED(void lp_pool_backward<T>(Stream, const WindowPlan&, double, In<T>, In<T>, In<T>, Out<T>))
VENTRAL_POOLING(float)
VENTRAL_POOLING(double)
#undef VENTRAL_POOLING

}  // namespace ventral::inline v0::cpu
