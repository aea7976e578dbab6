#pragma once
#include <cmath>

#include "ventral/cuda/channel_sums.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

// What becomes of the sums of a channel, on the device.
struct FinishMean {
  double values;
  double* mean;
  VENTRAL_DEVICE void operator()(Index c, Pair<double> sum) const { mean[c] = sum.first / values; }
};

template <class T>
struct FinishVariance {
  double values, eps, momentum;
  const double* mean;
  double* inverse;
  T *running_mean, *running_variance;

  VENTRAL_DEVICE void operator()(Index c, Pair<double> sum) const {
    const double square = sum.second - sum.first * sum.first / values;  // takes back what rounding left of the mean
    inverse[c] = 1 / std::sqrt(square / values + eps);
    blend(running_mean + c, mean[c]);
    blend(running_variance + c, square / (values - 1));
  }
  VENTRAL_DEVICE void blend(T* running, double batch) const {
    store(running, static_cast<Compute<T>>((1 - momentum) * static_cast<double>(load(running)) + momentum * batch));
  }
};

struct FinishSums {
  Index channels;
  double* sums;
  VENTRAL_DEVICE void operator()(Index c, Pair<double> sum) const {
    sums[c] = sum.first;
    sums[channels + c] = sum.second;
  }
};

/// The scratch that the caller gave, or more of it when the chunks of few large planes are more than the images.
struct ChannelScratch {
  Tensor<double, Space> own;
  double* partial;
  ChannelScratch(const ChannelShape& s, Out<double> given) : partial(given.data) {
    const Index needed = channel_partial_sums(s);
    if (needed <= given.size()) return;
    own.resize({needed});
    partial = own.data();
  }
};

/// y = (x - center) scale + shift, or dx = dy scale + (x - center) slope + shift: the mean is split in two numbers, center and a rest that goes
/// into shift, so that a large mean costs no precision.
template <class C>
struct ChannelMap {
  C center, scale, slope, shift;
  VENTRAL_DEVICE C operator()(C x) const { return (x - center) * scale + shift; }
  VENTRAL_DEVICE C operator()(C x, C dy) const { return dy * scale + (x - center) * slope + shift; }
};

template <class T>
struct ForwardMap {
  using C = Compute<T>;
  Index channels;
  const double* statistics;
  const T *w, *b;

  VENTRAL_DEVICE ChannelMap<C> operator()(Index c) const {
    const double mean = statistics[c], scale = statistics[channels + c] * (w ? static_cast<double>(load(w + c)) : 1);
    const C center = static_cast<C>(mean);
    const double rest = mean - static_cast<double>(center);
    return {center, static_cast<C>(scale), C(0), static_cast<C>((b ? static_cast<double>(load(b + c)) : 0) - rest * scale)};
  }
};

template <class T>
struct BackwardMap {
  using C = Compute<T>;
  Index channels;
  double values;
  const double *statistics, *sums;
  const T* w;

  VENTRAL_DEVICE ChannelMap<C> operator()(Index c) const {
    const double mean = statistics[c], inverse = statistics[channels + c], scale = inverse * (w ? static_cast<double>(load(w + c)) : 1);
    const C center = static_cast<C>(mean);
    const double slope = -scale * inverse * inverse * sums[channels + c] / values, rest = mean - static_cast<double>(center);
    return {center, static_cast<C>(scale), static_cast<C>(slope), static_cast<C>(-scale * sums[c] / values - slope * rest)};
  }
};

/// dx of dy alone, with statistics that do not depend on x.
template <class T>
struct ScaleMap {
  using C = Compute<T>;
  Index channels;
  const double* statistics;
  const T* w;

  VENTRAL_DEVICE ChannelMap<C> operator()(Index c) const {
    return {C(0), static_cast<C>(statistics[channels + c] * (w ? static_cast<double>(load(w + c)) : 1)), C(0), C(0)};
  }
};

constexpr int map_threads = 256;

/// Planes that a block's `span` neighbouring elements can touch.
constexpr Index planes_touched(Index span, Index cells) { return (span - 1 + cells - 1) / cells + 1; }

/// y = map(channel)(x...): a block takes `span` elements, works out the maps of the planes that they lie in once, then applies them.
/// Packs must divide the planes. Each array is read or written once.
template <int Width, class I, class MapOf, class T, class... U>
VENTRAL_KERNEL void map_channels_kernel(Index n, Index span, I cells, MapOf map_of, T* y, const U*... x) {
  VENTRAL_DYNAMIC_SHARED(ChannelMap<Compute<T>>, maps);
  const Index first = blockIdx.x * span, last = std::min(n, first + span) - 1;
  const I plane = static_cast<I>(first) / cells, planes = static_cast<I>(last) / cells - plane + 1;
  for (I p = static_cast<I>(threadIdx.x); p < planes; p += map_threads)
    maps[p] = map_of(static_cast<Index>((plane + p) % static_cast<I>(map_of.channels)));
  __syncthreads();
  for (Index i = first + static_cast<Index>(threadIdx.x) * Width; i <= last; i += map_threads * Width)
    map_pack<Width>(maps[static_cast<I>(i) / cells - plane], y + i, load_pack<Width>(x + i)...);
}

template <class MapOf, class T, class... U>
void map_channels(Stream stream, const char* kernel, const Shape& shape, const MapOf& map_of, T* y, const U*... x) {
  constexpr int width = pack_width<T>;
  const Index n = shape.size(), cells = shape.product(2, shape.rank());
  if (n == 0) return;
  const auto run = [&](auto divisor, auto mapping, Index step) {
    const Index span = n >= Index{1} << 22 ? 4 * step : step;  // maps for more elements once there are blocks enough
    const std::size_t shared = sizeof(ChannelMap<Compute<T>>) * static_cast<std::size_t>(planes_touched(std::min(span, n), cells));
    launch(stream, {.kernel = kernel, .blocks = (n + span - 1) / span, .threads = map_threads, .shared = shared, .shape = shape}, mapping, n, span,
           static_cast<decltype(divisor)>(cells), map_of, y, x...);
  };
  using Small = std::uint32_t;  // 64-bit division takes several times as long
  const bool packed = cells % width == 0 && packs_fit<width>(y, x...), small = n <= (Index{1} << 31);
  if (packed && small) run(Small{}, map_channels_kernel<width, Small, MapOf, T, U...>, map_threads * width);
  else if (packed) run(Index{}, map_channels_kernel<width, Index, MapOf, T, U...>, map_threads * width);
  else if (small) run(Small{}, map_channels_kernel<1, Small, MapOf, T, U...>, map_threads);
  else run(Index{}, map_channels_kernel<1, Index, MapOf, T, U...>, map_threads);
}

/// Thread c takes channel c.
template <class T>
VENTRAL_KERNEL void batch_norm_running_statistics_kernel(Index channels, double eps, const T* mean, const T* variance, double* statistics) {
  for (Index c = first_element(); c < channels; c += element_step()) {
    statistics[c] = static_cast<double>(load(mean + c));
    statistics[channels + c] = 1 / std::sqrt(static_cast<double>(load(variance + c)) + eps);
  }
}

/// Thread c takes channel c.
template <class T>
VENTRAL_KERNEL void batch_norm_add_gradients_kernel(Index channels, const double* inverse, const double* sums, T* dw, T* db) {
  for (Index c = first_element(); c < channels; c += element_step()) {
    if (dw) store(dw + c, load(dw + c) + static_cast<Compute<T>>(sums[channels + c] * inverse[c]));
    if (db) store(db + c, load(db + c) + static_cast<Compute<T>>(sums[c]));
  }
}

}  // namespace detail

/// statistics [2,C] of x [N,C,...]: the mean of each channel and 1 / sqrt(variance + eps), population variance, in double and two passes over x.
/// running = (1 - momentum) running + momentum batch, with the unbiased variance, as PyTorch. `planes` [2,N+1,C] is scratch.
/// Needs two values a channel. Reads x twice; channel_sums says how threads lie.
template <class T>
void batch_norm_statistics(Stream stream, double eps, double momentum, In<T> x, Out<double> planes, Out<double> statistics, Out<T> running_mean,
                           Out<T> running_variance) {
  const detail::ChannelShape s = detail::channel_shape(x.shape);
  const double values = static_cast<double>(s.values());
  const detail::ChannelScratch scratch(s, planes);
  double *mean = statistics.data, *inverse = mean + s.channels;
  detail::channel_sums(stream, "batch_norm_means", detail::SumOfX{}, x.shape, s, x.data, x.data, nullptr, scratch.partial,
                       detail::FinishMean{values, mean});
  detail::channel_sums(stream, "batch_norm_variances", detail::SumsOfDeviations{}, x.shape, s, x.data, x.data, mean, scratch.partial,
                       detail::FinishVariance<T>{values, eps, momentum, mean, inverse, running_mean.data, running_variance.data});
}

/// The same statistics [2,C] from running ones.
template <class T>
void batch_norm_running_statistics(Stream stream, double eps, In<T> running_mean, In<T> running_variance, Out<double> statistics) {
  const Index channels = running_mean.size();
  launch(stream, {.kernel = "batch_norm_running_statistics_kernel", .blocks = blocks_for(channels, 128), .threads = 128, .shape = running_mean.shape},
         detail::batch_norm_running_statistics_kernel<T>, channels, eps, running_mean.data, running_variance.data, statistics.data);
}

/// y = w (x - mean) inverse + b, channel by channel; w and b [C] may be empty (1 and 0). x, y [N,C,...]. Reads x once and writes y once.
template <class T>
void batch_norm_forward(Stream stream, In<double> statistics, In<T> w, In<T> b, In<T> x, Out<T> y) {
  detail::map_channels(stream, "batch_norm_forward", x.shape, detail::ForwardMap<T>{x.shape[1], statistics.data, w.data, b.data}, y.data, x.data);
}

/// sums [2,C]: of dy and of dy (x - mean), in double. `planes` [2,N,C] or more is scratch. Reads x and dy once.
template <class T>
void batch_norm_sums(Stream stream, In<double> statistics, In<T> x, In<T> dy, Out<double> planes, Out<double> sums) {
  const detail::ChannelShape s = detail::channel_shape(x.shape);
  const detail::ChannelScratch scratch(s, planes);
  detail::channel_sums(stream, "batch_norm_sums", detail::SumsOfGradients{}, x.shape, s, x.data, dy.data, statistics.data, scratch.partial,
                       detail::FinishSums{s.channels, sums.data});
}

/// dw += sum of dy (x - mean) inverse, db += sum of dy; either may be empty.
template <class T>
void batch_norm_add_gradients(Stream stream, In<double> statistics, In<double> sums, Out<T> dw, Out<T> db) {
  const Index channels = statistics.shape[1];
  launch(stream, {.kernel = "batch_norm_add_gradients_kernel", .blocks = blocks_for(channels, 128), .threads = 128, .shape = statistics.shape},
         detail::batch_norm_add_gradients_kernel<T>, channels, statistics.data + channels, sums.data, dw.data, db.data);
}

/// dx = w inverse (dy - sum dy / M - (x - mean) inverse^2 sum(dy (x - mean)) / M), M values a channel; w inverse dy when sums are empty, for
/// running statistics, which do not depend on x. Reads dy, and with sums x, once and writes dx once.
template <class T>
void batch_norm_backward(Stream stream, In<double> statistics, In<double> sums, In<T> w, In<T> x, In<T> dy, Out<T> dx) {
  const detail::ChannelShape s = detail::channel_shape(x.shape);
  if (!sums.data)
    return detail::map_channels(stream, "batch_norm_backward", x.shape, detail::ScaleMap<T>{s.channels, statistics.data, w.data}, dx.data, dy.data);
  detail::map_channels(stream, "batch_norm_backward", x.shape,
                       detail::BackwardMap<T>{s.channels, static_cast<double>(s.values()), statistics.data, sums.data, w.data}, dx.data, x.data,
                       dy.data);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
