#pragma once
#include <algorithm>
#include <cmath>

#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/lanes.hpp"
#include "ventral/cpu/scratch.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

/// How the values of the channels of [N,C,...] lie: in planes of `cells` numbers, `batch` of them a channel and `channels` planes apart. In blocks a plane
/// holds the images of a block side by side, and of the last one only the first `used` count.
struct ChannelShape {
  Index batch, channels, cells, unit, used;
  double values;  ///< that count, of a channel

  ChannelShape(const Shape& s, Format f)
      : batch(s[0]),
        channels(s[1]),
        cells(s.product(2, s.rank())),
        unit(f == Format::rows ? 1 : block_images),
        used(unit),
        values(static_cast<double>(batch * cells)) {
    used -= stored_images(batch, f) - batch;
    batch = stored_images(batch, f) / unit;
    cells *= unit;
  }
  Index planes() const { return batch * channels; }
  /// Whether plane p has lanes without an image.
  bool partial(Index p) const { return used < unit && p / channels == batch - 1; }
};

/// What is summed over a channel: d = x - center and d^2, or g = dy and g d.
struct ChannelSums {
  double a = 0, b = 0;

  template <bool Gradient, class T>
  void add(const T* x, const T* dy, T center) {
    const double d = static_cast<double>(*x) - static_cast<double>(center), g = Gradient ? static_cast<double>(*dy) : d;
    a += g;
    b += g * d;
  }
};

#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // as in simd.hpp
#endif

/// The sums of n numbers: of d = x - center and its square, or with `Gradient` of dy and dy d. Numbers of type T are added up to eight times in a lane before
/// the sum moves on to double: its error stays that of a few roundings, whatever n.
template <class T, bool Gradient>
struct SumPlane {
  template <class I>
  static VENTRAL_ALWAYS_INLINE ChannelSums run(const T* x, const T* dy, Index n, T center) {
    using V = Simd<T, I>;
    using D = Simd<double, I>;
    constexpr int chains = 4;  // additions that do not wait for each other
    constexpr Index step = chains * V::lanes;
    const V c = V::all(center);
    D a = D::zero(), b = D::zero();
    const auto add = [&](Index at, V& va, V& vb) VENTRAL_ALWAYS_INLINE_LAMBDA {
      const V d{V::load(x + at).v - c.v}, g = Gradient ? V::load(dy + at) : d;
      va.v += g.v;
      vb.v += g.v * d.v;
    };
    const auto flush = [&](const V& v, D& sum) VENTRAL_ALWAYS_INLINE_LAMBDA {
      T part[V::lanes];
      v.store(part);
      for (Index l = 0; l < V::lanes; l += D::lanes) sum.v += load_as_double<D>(part + l).v;
    };
    Index i = 0;
    while (n - i >= V::lanes) {
      V va[chains], vb[chains];
      VENTRAL_UNROLL
      for (int k = 0; k < chains; ++k) va[k] = vb[k] = V::zero();
      const Index stop = i + std::min<Index>((n - i) / step, 8) * step;
      for (; i < stop; i += step) {
        VENTRAL_UNROLL
        for (int k = 0; k < chains; ++k) add(i + k * V::lanes, va[k], vb[k]);
      }
      for (; n - i < step && n - i >= V::lanes; i += V::lanes) add(i, va[0], vb[0]);
      flush(va[0] + va[1] + (va[2] + va[3]), a);
      flush(vb[0] + vb[1] + (vb[2] + vb[3]), b);
    }
    ChannelSums sums{a.sum(), b.sum()};
    for (; i < n; ++i) sums.template add<Gradient>(x + i, Gradient ? dy + i : nullptr, center);
    return sums;
  }
};

/// y = (x - center) scale + shift, or dx = dy scale + (x - center) slope + shift: the mean is split in two numbers of type T, center and a rest
/// that goes into shift, so that a large mean costs no precision.
template <class T>
struct ChannelMap {
  T center, scale, slope, shift;

  T operator()(T x) const { return (x - center) * scale + shift; }
  T operator()(T x, T dy) const { return dy * scale + (x - center) * slope + shift; }
};

/// out = map(x) or, with `Gradient`, map(x, dy), of n numbers.
template <class T, bool Gradient>
struct MapPlane {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const ChannelMap<T>& m, const T* x, const T* dy, T* out, Index n) {
    using V = Simd<T, I>;
    const V center = V::all(m.center), scale = V::all(m.scale), slope = V::all(m.slope), shift = V::all(m.shift);
    const ChannelMap<T> map = m;
    Index i = 0;
    for (; i + V::lanes <= n; i += V::lanes) {
      const V d = V::load(x + i) - center;
      if constexpr (Gradient) V{V::load(dy + i).v * scale.v + (d.v * slope.v + shift.v)}.store(out + i);
      else V{d.v * scale.v + shift.v}.store(out + i);
    }
    for (; i < n; ++i) {
      if constexpr (Gradient) out[i] = map(x[i], dy[i]);
      else out[i] = map(x[i]);
    }
  }
};

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/// One pass of batch normalization over x or over x and dy, by planes.
template <class T, bool Gradient>
class ChannelPass {
 public:
  ChannelPass(const ChannelShape& s, const T* x, const T* dy, T* out)
      : s_(s),
        x_(x),
        dy_(dy),
        out_(out),
        sum_(simd_function<SumPlane<T, Gradient>, ChannelSums(const T*, const T*, Index, T)>(simd_level())),
        map_(simd_function<MapPlane<T, Gradient>, void(const ChannelMap<T>&, const T*, const T*, T*, Index)>(simd_level())) {}

  /// The sums of plane p.
  ChannelSums sum(Index p, T center) const {
    const T *const x = x_ + p * s_.cells, *const dy = Gradient ? dy_ + p * s_.cells : nullptr;
    if (!s_.partial(p)) return sum_(x, dy, s_.cells, center);
    ChannelSums sums;
    for (Index i = 0; i < s_.cells; i += block_images)
      for (Index l = i; l < i + s_.used; ++l) sums.template add<Gradient>(x + l, Gradient ? dy + l : nullptr, center);
    return sums;
  }
  /// The sums of one channel, plane by plane in the order of the batch.
  ChannelSums sum_channel(Index c, T center) const {
    ChannelSums sums;
    for (Index p = c; p < s_.planes(); p += s_.channels) {
      const ChannelSums one = sum(p, center);
      sums.a += one.a;
      sums.b += one.b;
    }
    return sums;
  }
  /// Maps plane p; gradients of lanes without an image are 0.
  void map(Index p, const ChannelMap<T>& m) const {
    T* const out = out_ + p * s_.cells;
    map_(m, x_ + p * s_.cells, Gradient ? dy_ + p * s_.cells : nullptr, out, s_.cells);
    if (s_.partial(p))  // 0 in gradients; elsewhere lest they grow from layer to layer
      for (Index i = 0; i < s_.cells; i += block_images) std::fill(out + i + s_.used, out + i + block_images, T(0));
  }
  /// Whether a channel is a chunk: then its second pass finds it in cache. Short planes far apart are worth that in a small cache only.
  bool by_channel() const {
    const Index bytes = s_.batch * s_.cells * static_cast<Index>(sizeof(T)) * (Gradient ? 2 : 1);
    return bytes <= Index{1} << 18 || (s_.channels >= 16 && s_.cells >= Index{1} << 12 && bytes <= Index{1} << 23);
  }

  /// The mean of the first values of a channel, more or less: close enough to that of all for sums of differences in type T.
  T rough_mean(Index c) const {
    const T first = x_[c * s_.cells];
    const Index n = std::min<Index>(s_.cells, 1024);
    if (s_.cells == 1 || s_.partial(c)) return first;
    const auto sum = simd_function<SumPlane<T, false>, ChannelSums(const T*, const T*, Index, T)>(simd_level());
    return first + static_cast<T>(sum(x_ + c * s_.cells, nullptr, n, first).a / static_cast<double>(n));
  }

  /// center_of(c) -> the center of the sums; map_of(c, center, sums) -> the map, called once a channel, in parallel. Without `sums`, they are 0. No map
  /// without out.
  template <class CenterOf, class MapOf>
  void run(bool sums, const CenterOf& center_of, const MapOf& map_of) const {
    if (s_.cells == 1) return run_columns(sums, center_of, map_of);
    if (by_channel()) {
      parallel_ranges(s_.channels, planes_per_chunk(s_.batch * s_.cells), [&](Index first, Index last) {
        for (Index c = first; c < last; ++c) {
          const T center = center_of(c);
          const ChannelMap<T> m = map_of(c, center, sums ? sum_channel(c, center) : ChannelSums());
          for (Index p = s_.planes() - s_.channels + c; out_ && p >= 0; p -= s_.channels) map(p, m);  // the last one read is still near
        }
      });
      return;
    }
    Scratch& scratch = Scratch::mine();
    scratch.reserve(Arena::bytes<ChannelSums>(s_.planes()) + Arena::bytes<ChannelMap<T>>(s_.channels) + Arena::bytes<T>(s_.channels), 0);
    Arena arena = scratch.shared();
    ChannelSums* const parts = arena.take<ChannelSums>(s_.planes());
    ChannelMap<T>* const maps = arena.take<ChannelMap<T>>(s_.channels);
    T* const centers = arena.take<T>(s_.channels);
    for (Index c = 0; c < s_.channels; ++c) centers[c] = center_of(c);
    if (sums) parallel_ranges(s_.planes(), planes_per_chunk(s_.cells), [&](Index first, Index last) {
      for (Index p = first; p < last; ++p) parts[p] = sum(p, centers[p % s_.channels]);
    });
    for (Index c = 0; c < s_.channels; ++c) {
      ChannelSums all;
      for (Index p = c; sums && p < s_.planes(); p += s_.channels) all.a += parts[p].a, all.b += parts[p].b;
      maps[c] = map_of(c, centers[c], all);
    }
    if (out_) parallel_ranges(s_.planes(), planes_per_chunk(s_.cells), [&](Index first, Index last) {
      for (Index p = first; p < last; ++p) map(p, maps[p % s_.channels]);
    });
  }

 private:
  /// Planes of one value: a range of channels at a time, row after row.
  template <class CenterOf, class MapOf>
  void run_columns(bool sums_wanted, const CenterOf& center_of, const MapOf& map_of) const {
    constexpr Index block = 32;
    parallel_ranges(s_.channels, block, [&](Index first, Index last) {
      ChannelSums sums[block];
      ChannelMap<T> maps[block];
      T center[block];
      for (Index c = first; c < last; ++c) center[c - first] = center_of(c);
      for (Index row = 0; sums_wanted && row < s_.planes(); row += s_.channels)
        for (Index c = first; c < last; ++c)
          sums[c - first].template add<Gradient>(x_ + row + c, Gradient ? dy_ + row + c : nullptr, center[c - first]);
      for (Index c = first; c < last; ++c) maps[c - first] = map_of(c, center[c - first], sums[c - first]);
      for (Index row = 0; out_ && row < s_.planes(); row += s_.channels)
        for (Index c = first; c < last; ++c) {
          if constexpr (Gradient) out_[row + c] = maps[c - first](x_[row + c], dy_[row + c]);
          else out_[row + c] = maps[c - first](x_[row + c]);
        }
    });
  }

  const ChannelShape& s_;
  const T *x_, *dy_;
  T* out_;
  ChannelSums (*sum_)(const T*, const T*, Index, T);
  void (*map_)(const ChannelMap<T>&, const T*, const T*, T*, Index);
};

/// A mean as center + rest, both of type T.
template <class T>
struct SplitMean {
  T center;
  double rest;
  explicit SplitMean(double mean) : center(static_cast<T>(mean)), rest(mean - static_cast<double>(center)) {}
};

/// y = w (x - mean) inverse + b.
template <class T>
ChannelMap<T> normalizing_map(double mean_value, double inverse, const T* w, const T* b, Index c) {
  const SplitMean<T> mean(mean_value);
  const double scale = inverse * (w ? static_cast<double>(w[c]) : 1);
  return {mean.center, static_cast<T>(scale), T(0), static_cast<T>((b ? static_cast<double>(b[c]) : 0) - mean.rest * scale)};
}

}  // namespace detail

/// Statistics of the batch, then y = w (x - mean) inverse + b, channel by channel; w and b [C] may be empty (1 and 0). x, y [N,C,...].
/// statistics [2,C]: mean and inverse = 1 / sqrt(population variance + eps), in double, from the sums of x - x0 and its square, x0 near the mean.
/// running = (1 - momentum) running + momentum batch, with the unbiased variance, as PyTorch. Needs two values a channel. Reads x twice, the second time from
/// cache where a channel fits, and writes y once.
template <class T>
void batch_norm_train(Stream, double eps, double momentum, In<T> w, In<T> b, In<T> x, Out<T> y, Out<double> statistics, Out<T> running_mean,
                      Out<T> running_variance) {
  const detail::ChannelShape s(x.shape, x.format);
  const detail::ChannelPass<T, false> pass(s, x.data, nullptr, y.data);
  pass.run(true, [&](Index c) { return pass.rough_mean(c); }, [&](Index c, T center, const detail::ChannelSums& sums) {
    const double shift = sums.a / s.values, mean = static_cast<double>(center) + shift;
    const double square = sums.b - sums.a * shift, inverse = 1 / std::sqrt(square / s.values + eps);
    statistics.data[c] = mean;
    statistics.data[s.channels + c] = inverse;
    running_mean.data[c] = static_cast<T>((1 - momentum) * static_cast<double>(running_mean.data[c]) + momentum * mean);
    running_variance.data[c] = static_cast<T>((1 - momentum) * static_cast<double>(running_variance.data[c]) + momentum * square / (s.values - 1));
    return detail::normalizing_map(mean, inverse, w.data, b.data, c);
  });
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
  const detail::ChannelShape s(x.shape, x.format);
  detail::ChannelPass<T, false>(s, x.data, nullptr, y.data).run(false, [](Index) { return T(0); }, [&](Index c, T, const detail::ChannelSums&) {
    return detail::normalizing_map(statistics.data[c], statistics.data[s.channels + c], w.data, b.data, c);
  });
}

/// dw += sum of dy (x - mean) inverse, db += sum of dy, and with statistics of the batch dx = w inverse (dy - sum dy / M - (x - mean) inverse^2
/// sum(dy (x - mean)) / M), M values a channel; dx = w inverse dy with running ones, which do not depend on x. dw, db and dx may be empty. Reads x and dy
/// twice, the second time from cache where a channel fits, and writes dx once.
template <class T>
void batch_norm_backward(Stream, bool batch, In<double> statistics, In<T> w, In<T> x, In<T> dy, Out<T> dw, Out<T> db, Out<T> dx) {
  const detail::ChannelShape s(x.shape, x.format);
  const double* const mean_of = statistics.data;
  const bool sums_wanted = (batch && dx.data) || dw.data || db.data;
  const auto center_of = [&](Index c) { return static_cast<T>(mean_of[c]); };
  detail::ChannelPass<T, true>(s, x.data, dy.data, batch ? dx.data : nullptr).run(sums_wanted, center_of, [&](Index c, T, const detail::ChannelSums& sums) {
    const detail::SplitMean<T> mean(mean_of[c]);
    const double inverse = mean_of[s.channels + c], scale = inverse * (w.data ? static_cast<double>(w.data[c]) : 1);
    const double projected = sums.b - mean.rest * sums.a;  // sum of dy (x - mean)
    if (dw.data) dw.data[c] += static_cast<T>(projected * inverse);
    if (db.data) db.data[c] += static_cast<T>(sums.a);
    if (!batch) return detail::ChannelMap<T>{};
    const double slope = -scale * inverse * inverse * projected / s.values;
    return detail::ChannelMap<T>{mean.center, static_cast<T>(scale), static_cast<T>(slope), static_cast<T>(-scale * sums.a / s.values - slope * mean.rest)};
  });
  if (batch || !dx.data) return;
  detail::ChannelPass<T, false>(s, dy.data, nullptr, dx.data).run(false, [](Index) { return T(0); }, [&](Index c, T, const detail::ChannelSums&) {
    return detail::ChannelMap<T>{T(0), static_cast<T>(mean_of[s.channels + c] * (w.data ? static_cast<double>(w.data[c]) : 1)), T(0), T(0)};
  });
}

// In the library ventral::kernels.
VENTRAL_COMPILED(batch_norm_train)
VENTRAL_COMPILED(batch_norm_forward)
VENTRAL_COMPILED(batch_norm_backward)

}  // namespace ventral::inline v0::cpu
