#pragma once
#include <algorithm>
#include <cstdint>

#include "ventral/cpu/lanes.hpp"
#include "ventral/cpu/pool_taps.hpp"

/// The gradient of pooling, plane by plane.
namespace ventral::inline v0::cpu::detail {

#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // as in simd.hpp
#endif

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

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}  // namespace ventral::inline v0::cpu::detail
