#pragma once
#include <algorithm>
#include <cmath>

#include "ventral/cpu/lanes.hpp"
#include "ventral/cpu/parallel.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // as in simd.hpp
#endif

// What is summed over a channel, in double: two numbers from each x and dy.
struct SumOfX {
  template <class V>
  VENTRAL_ALWAYS_INLINE void operator()(const V& x, const V&, const V&, V& a, V&) const { a.v += x.v; }
};
struct SumsOfDeviations {
  template <class V>
  VENTRAL_ALWAYS_INLINE void operator()(const V& x, const V&, const V& mean, V& a, V& b) const {
    const V d{x.v - mean.v};
    a.v += d.v;
    b.v += d.v * d.v;
  }
};
struct SumsOfGradients {
  template <class V>
  VENTRAL_ALWAYS_INLINE void operator()(const V& x, const V& dy, const V& mean, V& a, V& b) const {
    a.v += dy.v;
    b.v += dy.v * (x.v - mean.v);
  }
};

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/// Batches, channels and values per plane of [N,C,...].
struct ChannelShape {
  Index batch, channels, cells;
  explicit ChannelShape(const Shape& s) : batch(s[0]), channels(s[1]), cells(s.product(2, s.rank())) {}
  Index planes() const { return batch * channels; }
  Index values() const { return batch * cells; }
};

/// The sums of one plane.
template <class I, class Terms, class T>
VENTRAL_ALWAYS_INLINE void plane_sums(const Terms& terms, const T* x, const T* dy, Index n, double mean, double& a, double& b) {
  using V = Simd<double, I>;
  using One = OneLane<double>;
  V va = V::zero(), vb = V::zero();
  One ra{0}, rb{0};
  const V vm = V::all(mean);
  Index i = 0;
  for (; i + V::lanes <= n; i += V::lanes) terms(load_as_double<V>(x + i), load_as_double<V>(dy + i), vm, va, vb);
  for (; i < n; ++i) terms(load_as_double<One>(x + i), load_as_double<One>(dy + i), One{mean}, ra, rb);
  a = va.sum() + ra.v;
  b = vb.sum() + rb.v;
}

/// sums [2,C]: over all values of a channel, plane by plane in the order of the batch; `planes` [2,N,C] holds the sums of each plane. Rows of
/// single values ([N,C]) are summed for a block of channels at once. `mean` [C] may be null.
template <class Terms, class T>
void channel_sums(const Terms& terms, const ChannelShape& s, const T* x, const T* dy, const double* mean, double* planes, double* sums) {
  using One = OneLane<double>;
  if (s.cells == 1) {
    constexpr Index block = 32;
    parallel_ranges(s.channels, block, [&](Index first, Index last) {
      One a[block] = {}, b[block] = {};
      for (Index n = 0; n < s.batch; ++n)
        for (Index c = first; c < last; ++c) {
          const Index i = n * s.channels + c;
          terms(load_as_double<One>(x + i), load_as_double<One>(dy + i), One{mean ? mean[c] : 0}, a[c - first], b[c - first]);
        }
      for (Index c = first; c < last; ++c) sums[c] = a[c - first].v, sums[s.channels + c] = b[c - first].v;
    });
    return;
  }
  parallel_ranges(s.planes(), planes_per_chunk(s.cells), [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      for (Index p = first; p < last; ++p)
        plane_sums<decltype(isa)>(terms, x + p * s.cells, dy + p * s.cells, s.cells, mean ? mean[p % s.channels] : 0, planes[p], planes[s.planes() + p]);
    });
  });
  for (Index i = 0; i < 2 * s.channels; ++i) sums[i] = 0;
  for (Index p = 0; p < s.planes(); ++p) sums[p % s.channels] += planes[p], sums[s.channels + p % s.channels] += planes[s.planes() + p];
}

/// y = (x - center) scale + shift, or dx = dy scale + (x - center) slope + shift: the mean is split in two numbers of type T, center and a rest
/// that goes into shift, so that a large mean costs no precision.
template <class T>
struct ChannelMap {
  T center, scale, slope, shift;
};

template <class I, class T>
VENTRAL_ALWAYS_INLINE void map_plane(const ChannelMap<T>& m, const T* x, T* y, Index n) {
  using V = Simd<T, I>;
  const V center = V::all(m.center), scale = V::all(m.scale), shift = V::all(m.shift);
  Index i = 0;
  for (; i + V::lanes <= n; i += V::lanes) ((V::load(x + i) - center) * scale + shift).store(y + i);
  for (; i < n; ++i) y[i] = (x[i] - m.center) * m.scale + m.shift;
}
template <class I, class T>
VENTRAL_ALWAYS_INLINE void map_plane(const ChannelMap<T>& m, const T* x, const T* dy, T* dx, Index n) {
  using V = Simd<T, I>;
  const V center = V::all(m.center), scale = V::all(m.scale), slope = V::all(m.slope), shift = V::all(m.shift);
  Index i = 0;
  for (; i + V::lanes <= n; i += V::lanes) (V::load(dy + i) * scale + (V::load(x + i) - center) * slope + shift).store(dx + i);
  for (; i < n; ++i) dx[i] = dy[i] * m.scale + (x[i] - m.center) * m.slope + m.shift;
}

/// The map of each channel, y = map(channel)(x) or dx = map(channel)(x, dy) with dy null or not.
template <class T, class MapOf>
void map_channels(const ChannelShape& s, const MapOf& map_of, const T* x, const T* dy, T* out) {
  if (s.cells == 1) {
    constexpr Index block = 32;
    parallel_ranges(s.channels, block, [&](Index first, Index last) {
      ChannelMap<T> maps[block];
      for (Index c = first; c < last; ++c) maps[c - first] = map_of(c);
      for (Index n = 0; n < s.batch; ++n)
        for (Index c = first; c < last; ++c) {
          const ChannelMap<T>& m = maps[c - first];
          const Index i = n * s.channels + c;
          const T centred = x[i] - m.center;
          out[i] = dy ? dy[i] * m.scale + centred * m.slope + m.shift : centred * m.scale + m.shift;
        }
    });
    return;
  }
  parallel_ranges(s.planes(), planes_per_chunk(s.cells), [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      using I = decltype(isa);
      for (Index p = first; p < last; ++p) {
        const ChannelMap<T> m = map_of(p % s.channels);
        const Index at = p * s.cells;
        if (dy) map_plane<I>(m, x + at, dy + at, out + at, s.cells);
        else map_plane<I>(m, x + at, out + at, s.cells);
      }
    });
  });
}

/// A mean as center + rest, both of type T.
template <class T>
struct SplitMean {
  T center;
  double rest;
  explicit SplitMean(double mean) : center(static_cast<T>(mean)), rest(mean - static_cast<double>(center)) {}
};

}  // namespace detail

/// statistics [2,C] of x [N,C,...]: the mean of each channel and 1 / sqrt(variance + eps), population variance, in double and two passes over x.
/// running = (1 - momentum) running + momentum batch, with the unbiased variance, as PyTorch. `planes` [2,N+1,C] is scratch.
/// Needs two values a channel.
template <class T>
void batch_norm_statistics(Stream, double eps, double momentum, In<T> x, Out<double> planes, Out<double> statistics, Out<T> running_mean,
                           Out<T> running_variance) {
  const detail::ChannelShape s(x.shape);
  const double values = static_cast<double>(s.values());
  double *mean = statistics.data, *inverse = mean + s.channels;
  detail::channel_sums(detail::SumOfX{}, s, x.data, x.data, nullptr, planes.data, statistics.data);
  for (Index c = 0; c < s.channels; ++c) mean[c] /= values;
  double* sums = planes.data + 2 * s.planes();
  detail::channel_sums(detail::SumsOfDeviations{}, s, x.data, x.data, mean, planes.data, sums);
  for (Index c = 0; c < s.channels; ++c) {
    const double square = sums[s.channels + c] - sums[c] * sums[c] / values;  // takes back what rounding left of the mean
    inverse[c] = 1 / std::sqrt(square / values + eps);
    running_mean.data[c] = static_cast<T>((1 - momentum) * static_cast<double>(running_mean.data[c]) + momentum * mean[c]);
    running_variance.data[c] = static_cast<T>((1 - momentum) * static_cast<double>(running_variance.data[c]) + momentum * square / (values - 1));
  }
}

/// The same statistics [2,C] from running ones.
template <class T>
void batch_norm_running_statistics(Stream, double eps, In<T> running_mean, In<T> running_variance, Out<double> statistics) {
  const Index channels = running_mean.size();
  for (Index c = 0; c < channels; ++c) {
    statistics.data[c] = static_cast<double>(running_mean.data[c]);
    statistics.data[channels + c] = 1 / std::sqrt(static_cast<double>(running_variance.data[c]) + eps);
  }
}

/// y = w (x - mean) inverse + b, channel by channel; w and b [C] may be empty (1 and 0). x, y [N,C,...].
template <class T>
void batch_norm_forward(Stream, In<double> statistics, In<T> w, In<T> b, In<T> x, Out<T> y) {
  const detail::ChannelShape s(x.shape);
  const auto map_of = [&](Index c) {
    const detail::SplitMean<T> mean(statistics.data[c]);
    const double scale = statistics.data[s.channels + c] * (w.data ? static_cast<double>(w.data[c]) : 1);
    return detail::ChannelMap<T>{mean.center, static_cast<T>(scale), T(0), static_cast<T>((b.data ? static_cast<double>(b.data[c]) : 0) - mean.rest * scale)};
  };
  detail::map_channels<T>(s, map_of, x.data, nullptr, y.data);
}

/// sums [2,C]: of dy and of dy (x - mean), in double. `planes` [2,N,C] or more is scratch.
template <class T>
void batch_norm_sums(Stream, In<double> statistics, In<T> x, In<T> dy, Out<double> planes, Out<double> sums) {
  detail::channel_sums(detail::SumsOfGradients{}, detail::ChannelShape(x.shape), x.data, dy.data, statistics.data, planes.data, sums.data);
}

/// dw += sum of dy (x - mean) inverse, db += sum of dy; either may be empty.
template <class T>
void batch_norm_add_gradients(Stream, In<double> statistics, In<double> sums, Out<T> dw, Out<T> db) {
  const Index channels = statistics.shape[1];
  for (Index c = 0; c < channels; ++c) {
    if (dw.data) dw.data[c] += static_cast<T>(sums.data[channels + c] * statistics.data[channels + c]);
    if (db.data) db.data[c] += static_cast<T>(sums.data[c]);
  }
}

/// dx = w inverse (dy - sum dy / M - (x - mean) inverse^2 sum(dy (x - mean)) / M), M values a channel; w inverse dy when sums are empty, for
/// running statistics, which do not depend on x.
template <class T>
void batch_norm_backward(Stream, In<double> statistics, In<double> sums, In<T> w, In<T> x, In<T> dy, Out<T> dx) {
  const detail::ChannelShape s(x.shape);
  const auto map_of = [&](Index c) {
    const detail::SplitMean<T> mean(statistics.data[c]);
    const double inverse = statistics.data[s.channels + c], values = static_cast<double>(s.values());
    const double scale = inverse * (w.data ? static_cast<double>(w.data[c]) : 1);
    if (!sums.data) return detail::ChannelMap<T>{T(0), static_cast<T>(scale), T(0), T(0)};
    const double slope = -scale * inverse * inverse * sums.data[s.channels + c] / values;
    return detail::ChannelMap<T>{mean.center, static_cast<T>(scale), static_cast<T>(slope), static_cast<T>(-scale * sums.data[c] / values - slope * mean.rest)};
  };
  detail::map_channels<T>(s, map_of, x.data, dy.data, dx.data);
}

}  // namespace ventral::inline v0::cpu
