#pragma once
#include <cstdint>
#include <limits>

#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/pool2d.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // as in simd.hpp
#endif

/// The sums of `V::lanes` columns: p[0], p[step], ... and the V::lanes - 1 columns beside it, `n` numbers each.
template <class V, class T>
VENTRAL_ALWAYS_INLINE V column_sums(const T* p, Index step, Index n) {
  V sum = V::zero();
  for (Index i = 0; i < n; ++i) sum.v += V::load(p + i * step).v;
  return sum;
}

/// The largest number in each lane and its position, the first of equal ones; a NaN wins, the last of several: it is never <= the bar, and it raises the bar
/// to infinity. Numbers come `step` positions apart.
template <class V, class T>
struct Champions {
  using Positions = Whole<V>;
  V best = splat<V>(-std::numeric_limits<T>::infinity()), bar = best;
  Positions where, at = where;

  explicit VENTRAL_ALWAYS_INLINE Champions(const Positions& first) : where(first) {}
  VENTRAL_ALWAYS_INLINE void take(const V& v, const Positions& step) {
    const V level{v.v == v.v ? v.v : splat<V>(std::numeric_limits<T>::infinity()).v};
    where.v = v.v <= bar.v ? where.v : at.v;
    best.v = v.v <= bar.v ? best.v : v.v;
    bar.v = v.v <= bar.v ? bar.v : level.v;
    at.v += step.v;
  }
};
template <class V, int Value, std::size_t... L>
VENTRAL_ALWAYS_INLINE Whole<V> positions(std::index_sequence<L...>) {
  return Whole<V>::count(std::index_sequence<(0 * L + Value)...>());
}

/// Position of the first maximum of a plane; of the last NaN, if there is one.
template <class I, class T>
VENTRAL_ALWAYS_INLINE Index plane_winner(const T* x, Index n) {
  using V = Simd<T, I>;
  constexpr Index lanes = V::lanes;
  Champions<V, T> champions(Whole<V>::count(LaneNumbers<V>()));
  const Index whole = n - n % lanes;
  for (Index i = 0; i < whole; i += lanes) champions.take(V::load(x + i), positions<V, lanes>(LaneNumbers<V>()));
  std::int32_t where[lanes];
  champions.where.store(where);
  Index winner = 0;
  const auto offer = [&](Index at) {
    const T v = x[at], w = x[winner];
    if (v > w || (v == w && at < winner) || (v != v && (w == w || at > winner))) winner = at;
  };
  for (Index l = 0; whole > 0 && l < lanes; ++l) offer(where[l]);
  for (Index i = whole; i < n; ++i) offer(i);
  return winner;
}

/// Calls body(isa, p) for all planes, in chunks of many numbers; compiled for the level in use.
template <class Body>
void for_planes(const ImagePlanes& planes, Index cells, const Body& body) {
  parallel_ranges(planes.count, planes_per_chunk(cells * planes.unit), [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      for (Index p = first; p < last; ++p) body(isa, p);
    });
  });
}

}  // namespace detail

/// y[n,c] = the largest of the plane x[n,c]; `winners`, if its data are not null, its position h W + w. The first of equal ones; a NaN wins, the last of
/// several. ImagePlanes must not be empty. All in the format of x.
template <class T>
void global_max_pool_forward(Stream, In<T> x, Out<T> y, Out<std::int32_t> winners) {
  const Index cells = x.shape[2] * x.shape[3];
  const detail::ImagePlanes planes(x.shape, x.format);
  detail::for_planes(planes, cells, [&](auto isa, Index p) VENTRAL_ALWAYS_INLINE_LAMBDA {
    using V = Simd<T, decltype(isa)>;
    const T* const plane = x.data + p * cells * planes.unit;
    if constexpr (sizeof(T) == 4)
      if (planes.unit > 1) {
        for (Index s = 0; s < planes.unit; s += V::lanes) {
          detail::Champions<V, T> champions(detail::positions<V, 0>(detail::LaneNumbers<V>()));
          for (Index i = 0; i < cells; ++i) champions.take(V::load(plane + i * planes.unit + s), detail::positions<V, 1>(detail::LaneNumbers<V>()));
          champions.best.store(y.data + p * planes.unit + s);
          if (winners.data) champions.where.store(winners.data + p * planes.unit + s);
        }
        return;
      }
    const Index winner = detail::plane_winner<decltype(isa)>(plane, cells);
    y.data[p] = plane[winner];
    if (winners.data) winners.data[p] = static_cast<std::int32_t>(winner);
  });
}

/// dx[n,c,h,w] = dy[n,c] at the winner, else 0. The plan is for spaces that look from each input at the windows above it.
template <class T>
void max_pool_backward(Stream, const WindowPlan&, In<std::int32_t> winners, In<T> dy, Out<T> dx) {
  const Index cells = dx.shape[2] * dx.shape[3];
  const detail::ImagePlanes planes(dx.shape, dx.format);
  detail::for_planes(planes, cells, [&](auto, Index p) VENTRAL_ALWAYS_INLINE_LAMBDA {
    T* const to = dx.data + p * cells * planes.unit;
    std::fill(to, to + cells * planes.unit, T(0));
    for (Index l = p * planes.unit; l < (p + 1) * planes.unit; ++l) to[winners.data[l] * planes.unit + l % planes.unit] = dy.data[l];
  });
}

/// y[n,c] = the mean of the plane x[n,c].
template <class T>
void global_mean_pool_forward(Stream, In<T> x, Out<T> y) {
  const Index cells = x.shape[2] * x.shape[3];
  const detail::ImagePlanes planes(x.shape, x.format);
  detail::for_planes(planes, cells, [&](auto isa, Index p) VENTRAL_ALWAYS_INLINE_LAMBDA {
    using V = Simd<T, decltype(isa)>;
    const T* const plane = x.data + p * cells * planes.unit;
    if constexpr (sizeof(T) == 4)
      if (planes.unit > 1) {
        for (Index s = 0; s < planes.unit; s += V::lanes)
          (detail::column_sums<V>(plane + s, planes.unit, cells) / V::all(static_cast<T>(cells))).store(y.data + p * planes.unit + s);
        return;
      }
    T rest = T(0);
    for (Index i = cells - cells % V::lanes; i < cells; ++i) rest += plane[i];
    y.data[p] = (detail::column_sums<V>(plane, V::lanes, cells / V::lanes).sum() + rest) / static_cast<T>(cells);
  });
}

/// dx[n,c,h,w] = dy[n,c] / (H W).
template <class T>
void global_mean_pool_backward(Stream, In<T> dy, Out<T> dx) {
  const Index cells = dx.shape[2] * dx.shape[3];
  const detail::ImagePlanes planes(dx.shape, dx.format);
  detail::for_planes(planes, cells, [&](auto isa, Index p) VENTRAL_ALWAYS_INLINE_LAMBDA {
    using V = Simd<T, decltype(isa)>;
    T* const to = dx.data + p * cells * planes.unit;
    if constexpr (sizeof(T) == 4)
      if (planes.unit > 1) {
        for (Index s = 0; s < planes.unit; s += V::lanes) {
          const V share = V::load(dy.data + p * planes.unit + s) / V::all(static_cast<T>(cells));
          for (Index i = 0; i < cells; ++i) share.store(to + i * planes.unit + s);
        }
        return;
      }
    std::fill(to, to + cells, dy.data[p] / static_cast<T>(cells));
  });
}

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

// In the library ventral::kernels.
VENTRAL_COMPILED(global_max_pool_forward)
VENTRAL_COMPILED(global_mean_pool_forward)
VENTRAL_COMPILED(global_mean_pool_backward)

}  // namespace ventral::inline v0::cpu
