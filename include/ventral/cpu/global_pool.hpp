#pragma once
#include <cstdint>
#include <limits>

#include "ventral/cpu/pool2d.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

template <class I, class T>
VENTRAL_ALWAYS_INLINE T plane_sum(const T* x, Index n) {
  using V = Simd<T, I>;
  V sum = V::zero();
  Index i = 0;
  for (; i + V::lanes <= n; i += V::lanes) sum = sum + V::load(x + i);
  T rest = T(0);
  for (; i < n; ++i) rest += x[i];
  return sum.sum() + rest;
}

/// Position of the first maximum; of the last NaN, if there is one.
template <class I, class T>
VENTRAL_ALWAYS_INLINE Index plane_winner(const T* x, Index n) {
  using V = Simd<T, I>;
  using Row = MaxRow<T>;
  constexpr Index lanes = V::lanes;
  auto fold = Row{}.template start<V>();
  const Index whole = n - n % lanes;
  for (Index i = 0; i < whole; i += lanes) fold.take(V::load(x + i), i);
  T best[lanes];
  std::int32_t where[lanes];
  fold.best.store(best);
  fold.where.store(where);
  Index winner = 0;
  const auto offer = [&](Index at) {
    const T v = x[at], w = x[winner];
    if (v > w || (v == w && at < winner) || (v != v && (w == w || at > winner))) winner = at;
  };
  for (Index l = 0; whole > 0 && l < lanes; ++l) offer(where[l] + l);
  for (Index i = whole; i < n; ++i) offer(i);
  return winner;
}

}  // namespace detail

/// y[n,c] = the largest of the plane x[n,c]; `winners`, if its data are not null, its position h W + w. As max_pool_forward with one window
/// over the whole plane; max_pool_backward with that window is its gradient. Planes must not be empty.
template <class T>
void global_max_pool_forward(Stream, In<T> x, Out<T> y, Out<std::int32_t> winners) {
  const Index cells = x.shape[2] * x.shape[3];
  parallel_ranges(x.shape[0] * x.shape[1], detail::planes_per_chunk(cells), [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      for (Index p = first; p < last; ++p) {
        const Index winner = detail::plane_winner<decltype(isa)>(x.data + p * cells, cells);
        y.data[p] = x.data[p * cells + winner];
        if (winners.data) winners.data[p] = static_cast<std::int32_t>(winner);
      }
    });
  });
}

/// y[n,c] = the mean of the plane x[n,c].
template <class T>
void global_mean_pool_forward(Stream, In<T> x, Out<T> y) {
  const Index cells = x.shape[2] * x.shape[3];
  parallel_ranges(x.shape[0] * x.shape[1], detail::planes_per_chunk(cells), [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      for (Index p = first; p < last; ++p) y.data[p] = detail::plane_sum<decltype(isa)>(x.data + p * cells, cells) / static_cast<T>(cells);
    });
  });
}

/// dx[n,c,h,w] = dy[n,c] / (H W).
template <class T>
void global_mean_pool_backward(Stream, In<T> dy, Out<T> dx) {
  const Index cells = dx.shape[2] * dx.shape[3];
  parallel_ranges(dx.shape[0] * dx.shape[1], detail::planes_per_chunk(cells), [&](Index first, Index last) {
    for (Index p = first; p < last; ++p) std::fill(dx.data + p * cells, dx.data + (p + 1) * cells, dy.data[p] / static_cast<T>(cells));
  });
}

}  // namespace ventral::inline v0::cpu
