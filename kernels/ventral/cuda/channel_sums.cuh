#pragma once
#include <algorithm>

#include "ventral/cuda/elementwise.cuh"
#include "ventral/cuda/reduce.cuh"

/// Sums over the channels of [N,C,...], in double: what batch normalization and the slopes of PReLU need. The values of a channel are cut into
/// chunks by shape alone, a block each; the chunks are added in order, so that results have the same bits every time.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail {

/// Batches, channels and values per plane of [N,C,...].
struct ChannelShape {
  Index batch, channels, cells;
  constexpr Index values() const { return batch * cells; }
};
inline ChannelShape channel_shape(const Shape& s) { return {s[0], s[1], s.product(2, s.rank())}; }

constexpr int channel_threads = 256, few_channel_threads = 32;       // of a block that sums a chunk, or adds chunks
constexpr Index few_channel_values = 1024, few_channel_chunks = 64;  // up to so many, few threads
constexpr int row_lanes = 32, row_count = 8, row_threads = row_lanes * row_count;  // the block for planes of one value: channels, rows at a time

/// How the values of a channel are shared out. Enough blocks to fill a large GPU (2048), each with enough to do (8192 values, or 128 rows).
struct ChannelChunks {
  Index chunks, per_chunk;
  explicit ChannelChunks(const ChannelShape& s) {
    const Index groups = s.cells == 1 ? (s.channels + row_lanes - 1) / row_lanes : s.channels, enough = s.cells == 1 ? 128 : 8192;
    chunks = std::clamp(s.values() / enough, Index{1}, std::max(Index{1}, 2048 / groups));
    per_chunk = ((std::max(Index{1}, s.values()) + chunks - 1) / chunks + 15) / 16 * 16;  // a multiple of every pack
    chunks = std::max(Index{1}, (s.values() + per_chunk - 1) / per_chunk);
  }
};

/// Doubles of scratch that channel_sums needs.
inline Index channel_partial_sums(const ChannelShape& s) {
  const Index chunks = ChannelChunks(s).chunks;
  return chunks == 1 ? 0 : 2 * chunks * s.channels;
}

// What is summed, in double: two numbers from each x and dy.
struct SumOfX {
  static constexpr bool reads_dy = false;
  VENTRAL_DEVICE Pair<double> operator()(double x, double, double) const { return {x, 0}; }
};
struct SumsOfDeviations {
  static constexpr bool reads_dy = false;
  VENTRAL_DEVICE Pair<double> operator()(double x, double, double mean) const { return {x - mean, (x - mean) * (x - mean)}; }
};
struct SumsOfGradients {
  static constexpr bool reads_dy = true;
  VENTRAL_DEVICE Pair<double> operator()(double x, double dy, double mean) const { return {dy, dy * (x - mean)}; }
};
struct SumWhereNegative {
  static constexpr bool reads_dy = true;
  VENTRAL_DEVICE Pair<double> operator()(double x, double dy, double) const { return {x > 0 ? 0 : x * dy, 0}; }
};

/// The terms of `Width` neighbours, added up.
template <int Width, class Terms, class T>
VENTRAL_DEVICE Pair<double> pack_terms(const Terms& terms, const T* x, const T* dy, double mean) {
  const Pack<T, Width> a = load_pack<Width>(x), b = Terms::reads_dy ? load_pack<Width>(dy) : a;
  Pair<double> sum{0, 0};
  VENTRAL_DEVICE_UNROLL
  for (int l = 0; l < Width; ++l) sum = sum + terms(static_cast<double>(load(&a.v[l])), static_cast<double>(load(&b.v[l])), mean);
  return sum;
}

/// The sum of one chunk of a channel: to `finish` when it is the only one, else to partial[2][chunks][C].
template <class Finish>
VENTRAL_DEVICE void give_channel_sum(const Finish& finish, Index channels, Index channel, Index chunks, Index chunk, Pair<double> sum,
                                     double* partial) {
  if (chunks == 1) {
    finish(channel, sum);
  } else {
    partial[chunk * channels + channel] = sum.first;
    partial[(chunks + chunk) * channels + channel] = sum.second;
  }
}

/// The sum of chunk block / C of channel block % C by a block; its threads lie along the planes, in packs where these divide them. Reads x, and dy if needed,
/// once.
template <int threads, int Width, class Terms, class T, class Finish>
VENTRAL_DEVICE void sum_channel_chunk(const Terms& terms, const ChannelShape& s, const ChannelChunks& cut, Index block, const T* x, const T* dy,
                                      const double* mean, double* partial, const Finish& finish) {
  const Index channel = block % s.channels, chunk = block / s.channels, packs = s.cells / Width;
  const Index first = chunk * cut.per_chunk / Width + threadIdx.x, last = std::min((chunk + 1) * cut.per_chunk, s.values()) / Width;
  const Index planes = threads / packs, rest = threads % packs;  // a step of the block, so that the loop has no division
  const double center = mean ? mean[channel] : 0;
  Pair<double> sum{0, 0};
  Index n = first / packs, cell = first % packs;
  for (Index k = first; k < last; k += threads) {
    const Index at = ((n * s.channels + channel) * packs + cell) * Width;
    sum = sum + pack_terms<Width>(terms, x + at, dy + at, center);
    n += planes;
    cell += rest;
    if (cell >= packs) cell -= packs, ++n;
  }
  sum = block_sum<threads>(sum);
  if (threadIdx.x == 0) give_channel_sum(finish, s.channels, channel, cut.chunks, chunk, sum, partial);
}

/// A block for each (chunk, channel).
template <int threads, int Width, class Terms, class T, class Finish>
VENTRAL_BOUNDED_KERNEL(threads)
void channel_sums_kernel(Terms terms, ChannelShape s, ChannelChunks cut, const T* x, const T* dy, const double* mean, double* partial, Finish finish) {
  sum_channel_chunk<threads, Width>(terms, s, cut, blockIdx.x, x, dy, mean, partial, finish);
}

/// The same for planes of one value ([N,C]): a block for each chunk of rows and 32 channels, threads along the channels.
template <class Terms, class T, class Finish>
VENTRAL_BOUNDED_KERNEL(row_threads)
void channel_row_sums_kernel(Terms terms, ChannelShape s, ChannelChunks cut, const T* x, const T* dy, const double* mean, double* partial,
                             Finish finish) {
  VENTRAL_SHARED(Pair<double>, sums, row_threads);
  const Index groups = (s.channels + row_lanes - 1) / row_lanes, chunk = blockIdx.x / groups, channel = blockIdx.x % groups * row_lanes + threadIdx.x;
  const Index last = std::min((chunk + 1) * cut.per_chunk, s.batch);
  Pair<double> sum{0, 0};
  if (channel < s.channels) {
    const double center = mean ? mean[channel] : 0;
    for (Index n = chunk * cut.per_chunk + threadIdx.y; n < last; n += row_count)
      sum = sum + pack_terms<1>(terms, x + n * s.channels + channel, dy + n * s.channels + channel, center);
  }
  sums[threadIdx.y * row_lanes + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y == 0 && channel < s.channels) {
    for (int row = 1; row < row_count; ++row) sum = sum + sums[row * row_lanes + static_cast<int>(threadIdx.x)];
    give_channel_sum(finish, s.channels, channel, cut.chunks, chunk, sum, partial);
  }
}

/// The chunks of a channel added in a fixed order by `threads` threads.
template <int threads, class Finish>
VENTRAL_DEVICE void add_channel_chunks(Index channels, Index chunks, Index channel, const double* partial, const Finish& finish) {
  Pair<double> sum{0, 0};
  for (Index i = threadIdx.x; i < chunks; i += threads)
    sum = sum + Pair<double>{partial[i * channels + channel], partial[(chunks + i) * channels + channel]};
  sum = block_sum<threads>(sum);
  if (threadIdx.x == 0) finish(channel, sum);
}

/// A block for each channel.
template <int threads, class Finish>
VENTRAL_BOUNDED_KERNEL(threads)
void channel_totals_kernel(Index channels, Index chunks, const double* partial, Finish finish) {
  add_channel_chunks<threads>(channels, chunks, blockIdx.x, partial, finish);
}

/// finish(c, sums of the terms over all values of channel c) for every channel, on the device. `partial` [channel_partial_sums(s)] is scratch.
template <class Terms, class T, class Finish>
void channel_sums(Stream stream, const char* kernel, const Terms& terms, const Shape& shape, const ChannelShape& s, const T* x, const T* dy,
                  const double* mean, double* partial, const Finish& finish) {
  constexpr int width = pack_width<T>, few = few_channel_threads, many = channel_threads;
  const ChannelChunks cut(s);
  const auto run = [&](auto sums, Index groups, Extent threads) {
    launch(stream, {.kernel = kernel, .blocks = groups * cut.chunks, .threads = threads, .shape = shape}, sums, terms, s, cut, x, dy, mean, partial,
           finish);
  };
  const bool packed = s.cells % width == 0 && packs_fit<width>(x, dy), small = s.values() <= few_channel_values;
  if (s.cells == 1) run(channel_row_sums_kernel<Terms, T, Finish>, (s.channels + row_lanes - 1) / row_lanes, {row_lanes, row_count});
  else if (packed && small) run(channel_sums_kernel<few, width, Terms, T, Finish>, s.channels, few);
  else if (packed) run(channel_sums_kernel<many, width, Terms, T, Finish>, s.channels, many);
  else if (small) run(channel_sums_kernel<few, 1, Terms, T, Finish>, s.channels, few);
  else run(channel_sums_kernel<many, 1, Terms, T, Finish>, s.channels, many);
  if (cut.chunks == 1) return;
  const Launch totals{.kernel = "channel_totals_kernel", .blocks = s.channels, .threads = cut.chunks > few_channel_chunks ? many : few, .shape = shape};
  if (cut.chunks > few_channel_chunks) launch(stream, totals, channel_totals_kernel<many, Finish>, s.channels, cut.chunks, partial, finish);
  else launch(stream, totals, channel_totals_kernel<few, Finish>, s.channels, cut.chunks, partial, finish);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail
