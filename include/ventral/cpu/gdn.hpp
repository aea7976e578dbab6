#pragma once
#include <algorithm>

#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/vector_math.hpp"
#include "ventral/divisive_box.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

/// How positions are cut into tiles and shared out to lanes, each with a scratch: by the shape alone.
struct GdnTiling {
  static constexpr Index columns = 64, rows = 4, most_lanes = 16;
  Index channels, positions, tiles_per_sample, tiles, lanes, lane_scratch, matrix;
  explicit GdnTiling(const Shape& x)
      : channels(x[1]), positions(x.product(2, x.rank())), tiles_per_sample((positions + columns - 1) / columns), tiles(x[0] * tiles_per_sample),
        lanes(std::min(most_lanes, tiles)), lane_scratch((channels + rows) * columns), matrix((channels + rows) * channels) {}
  Index scratch() const { return matrix + lanes * lane_scratch; }
};

/// out[r][i] = sum_j m[r][j] s[j][i] for four rows of m [.., channels] and `count` columns of s [channels, count].
template <class I, class T>
VENTRAL_ALWAYS_INLINE void four_rows(const T* m, const T* s, Index channels, Index count, T* out) {
  using V = Simd<T, I>;
  for_vectors<V>(count, [&](Index i, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
    V a = V::zero(), b = a, c = a, d = a;
    for (Index j = 0; j < channels; ++j) {
      const V v = lanes.load(s + j * count + i);
      const T* row = m + j;
      a = a + V::all(row[0]) * v;
      b = b + V::all(row[channels]) * v;
      c = c + V::all(row[2 * channels]) * v;
      d = d + V::all(row[3 * channels]) * v;
    }
    lanes.store(out + i, a), lanes.store(out + count + i, b), lanes.store(out + 2 * count + i, c), lanes.store(out + 3 * count + i, d);
  });
}

/// Multiplies a matrix with the channels at every position. `scratch` begins with the matrix [channels + 4, channels]; fill(first, count, to)
/// makes stretches of one channel, finish(channel, first, count, sums) takes the products, both as flat stretches of [N,C,positions].
template <class T, class Fill, class Finish>
void channel_products(const GdnTiling& t, T* scratch, const Fill& fill, const Finish& finish) {
  parallel_for(t.lanes, [&](Index lane) {
    T *s = scratch + t.matrix + lane * t.lane_scratch, *out = s + t.channels * t.columns;
    for (Index tile = lane; tile < t.tiles; tile += t.lanes) {
      const Index begin = tile % t.tiles_per_sample * t.columns, count = std::min(t.columns, t.positions - begin);
      const Index start = tile / t.tiles_per_sample * t.channels * t.positions + begin;
      for (Index c = 0; c < t.channels; ++c) fill(start + c * t.positions, count, s + c * count);
      for (Index c = 0; c < t.channels; c += t.rows) {
        simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA { four_rows<decltype(isa)>(scratch + c * t.channels, s, t.channels, count, out); });
        for (Index r = c; r < std::min(t.channels, c + t.rows); ++r) finish(r, start + r * t.positions, count, out + (r - c) * count);
      }
    }
  });
}

/// The matrix max(gamma, 0), or its transpose, followed by rows of zeros.
template <class T>
void place_gamma(const GdnTiling& t, const T* gamma, bool transposed, T* to) {
  for (Index i = 0; i < t.channels; ++i)
    for (Index j = 0; j < t.channels; ++j) {
      const T g = transposed ? gamma[j * t.channels + i] : gamma[i * t.channels + j];
      to[i * t.channels + j] = g < T(0) ? T(0) : g;  // NaN stays
    }
  std::fill(to + t.channels * t.channels, to + t.matrix, T(0));
}

/// Adds to dgamma rows [first, last), at most four: -1/2 sum over samples and positions of q_i x_j^2; and to dbeta: -1/2 sum q_i.
template <class T>
void gdn_parameter_rows(const GdnTiling& t, T floor, const T* beta, const T* gamma, const T* x, const T* q, Index samples, Index first, Index last, T* dbeta,
                        T* dgamma) {
  for (Index i = first; i < last; ++i)
    for (Index j = dgamma ? 0 : t.channels; j <= t.channels; ++j) {  // j == channels: beta
      if (j == t.channels && !dbeta) break;
      double total = 0;
      for (Index n = 0; n < samples; ++n) {
        const T *a = q + (n * t.channels + i) * t.positions, *b = x + (n * t.channels + j) * t.positions;
        simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
          using V = Simd<T, decltype(isa)>;
          V sum = V::zero();
          if (j == t.channels) {
            for_vectors<V>(t.positions, [&](Index p, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA { sum = sum + lanes.load(a + p); });
          } else {
            for_vectors<V>(t.positions, [&](Index p, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
              const V v = lanes.load(b + p);
              sum = sum + lanes.load(a + p) * v * v;
            });
          }
          total -= 0.5 * static_cast<double>(sum.sum());
        });
      }
      const T gradient = static_cast<T>(total);
      if (j == t.channels) dbeta[i] += gradient_above(floor, beta[i], gradient);
      else dgamma[i * t.channels + j] += gradient_above(T(0), gamma[i * t.channels + j], gradient);
    }
}

}  // namespace detail

/// Elements of T that the kernels below need as scratch for x [N,C,...].
inline Index gdn_scratch(Stream, const Shape& x) { return detail::GdnTiling(x).scratch(); }

/// y_i = x_i / sqrt(norms_i), norms_i = max(beta_i, smallest_beta) + sum_j max(gamma_ij, 0) x_j^2 over the channels at the same position.
/// x, y, norms [N,C,...]; beta [C]; gamma [C,C]. `norms` is kept for backward; it may be y when there is none. 2 C FLOP an element and the square root.
template <class T>
void gdn_forward(Stream, double smallest_beta, In<T> beta, In<T> gamma, In<T> x, Out<T> norms, Out<T> scratch, Out<T> y) {
  const detail::GdnTiling t(x.shape);
  const T floor = static_cast<T>(smallest_beta);
  detail::place_gamma(t, gamma.data, false, scratch.data);
  detail::channel_products(
      t, scratch.data,
      [&](Index first, Index count, T* to) {
        const T* const from = x.data + first;
        simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
          using V = Simd<T, decltype(isa)>;
          detail::map_arrays<V>(count, from, from, from, to, [](const V& v, const V&, const V&) VENTRAL_ALWAYS_INLINE_LAMBDA { return v * v; });
        });
      },
      [&](Index channel, Index first, Index count, const T* sums) {
        const T b = beta.data[channel] < floor ? floor : beta.data[channel];
        simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
          using V = Simd<T, decltype(isa)>;
          const V base = V::all(b), minus_half = V::all(T(-0.5));
          detail::for_vectors<V>(count, [&](Index i, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
            const V v = lanes.load(x.data + first + i), norm = base + lanes.load(sums + i);
            lanes.store(norms.data + first + i, norm);
            lanes.store(y.data + first + i, v * power(norm, minus_half));
          });
        });
      });
}

/// With q_i = dy_i y_i / norms_i: dx_j = dy_j / sqrt(norms_j) - x_j sum_i gamma_ij q_i; adds -1/2 sum q_i to dbeta_i and -1/2 sum q_i x_j^2 to dgamma_ij,
/// sums over samples and positions. Empty dx, dbeta, dgamma are left out. At its floor (smallest_beta, 0) only a gradient that raises a value passes.
/// `q` [N,C,...] is scratch.
template <class T>
void gdn_backward(Stream, double smallest_beta, In<T> beta, In<T> gamma, In<T> x, In<T> y, In<T> dy, In<T> norms, Out<T> q, Out<T> scratch, Out<T> dx,
                  Out<T> dbeta, Out<T> dgamma) {
  const detail::GdnTiling t(x.shape);
  parallel_ranges(q.size(), 1 << 14, [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      using V = Simd<T, decltype(isa)>;
      detail::map_arrays<V>(last - first, dy.data + first, y.data + first, norms.data + first, q.data + first,
                            [](const V& d, const V& v, const V& norm) VENTRAL_ALWAYS_INLINE_LAMBDA { return d * v / norm; });
    });
  });
  if (dx.data) {
    detail::place_gamma(t, gamma.data, true, scratch.data);
    detail::channel_products(
        t, scratch.data, [&](Index first, Index count, T* to) { std::copy(q.data + first, q.data + first + count, to); },
        [&](Index, Index first, Index count, const T* sums) {
          simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
            using V = Simd<T, decltype(isa)>;
            const V minus_half = V::all(T(-0.5));
            detail::for_vectors<V>(count, [&](Index i, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
              const V direct = lanes.load(dy.data + first + i) * power(lanes.load(norms.data + first + i), minus_half);
              lanes.store(dx.data + first + i, direct - lanes.load(x.data + first + i) * lanes.load(sums + i));
            });
          });
        });
  }
  if (!dbeta.data && !dgamma.data) return;
  parallel_ranges(t.channels, t.rows, [&](Index first, Index last) {
    detail::gdn_parameter_rows(t, static_cast<T>(smallest_beta), beta.data, gamma.data, x.data, q.data, x.shape[0], first, last, dbeta.data, dgamma.data);
  });
}

}  // namespace ventral::inline v0::cpu
