#pragma once
#include <algorithm>
#include <cmath>

#include "ladder/ladder.hpp"
#include "ladder/vectors.cuh"
#include "ventral/cuda/divisive_norm.cuh"

/// The ladder of divisive normalization across channels, as in AlexNet: 5 channels, power 3/4. What cannot be avoided: 8 bytes for each number, and a power.
namespace bench::ladder {

inline Launch norm_launch(const char* kernel, const Normalization& p, Index threads) {
  return {.kernel = kernel, .blocks = blocks_for(threads), .shape = {p.images, p.channels, p.pixels}};
}

/// The sum of squares over the window of channels around c of an image.
VENTRAL_DEVICE float window_sum(const Normalization& p, const float* image, Index c, Index pixel) {
  float sum = 0;
  for (Index i = c - p.reach; i <= c + p.reach; ++i)
    if (0 <= i && i < p.channels) sum += image[i * p.pixels + pixel] * image[i * p.pixels + pixel];
  return sum;
}
VENTRAL_DEVICE void normalize(const Normalization& p, Index image, Index c, Index pixel) {
  const float* const x = p.x + image * p.channels * p.pixels;
  const float base = *p.k + *p.alpha / static_cast<float>(2 * p.reach + 1) * window_sum(p, x, c, pixel);
  p.y[(image * p.channels + c) * p.pixels + pixel] = x[c * p.pixels + pixel] * std::pow(base, -*p.beta);
}

/// Naive: a thread for each result, neighbours along the channels, where they share their windows, but the numbers are a plane apart.
/// Reads 6 times and writes once 32 bytes for each result, an eighth of it used. Bound by: sectors.
VENTRAL_KERNEL void norm_along_channels_kernel(Normalization p) {
  for (Index i = first_element(); i < p.images * p.channels * p.pixels; i += element_step())
    normalize(p, i / p.channels / p.pixels, i % p.channels, i / p.channels % p.pixels);
}
inline void norm_along_channels(Stream stream, const Normalization& p) {
  launch(stream, norm_launch("norm_along_channels_kernel", p, p.images * p.channels * p.pixels), norm_along_channels_kernel, p);
}

/// Coalesced: neighbours along the pixels of a plane. The window's planes are read by other blocks, too, in time for the L2 cache to have them.
/// Saves: 32 bytes become 4, six times; one of them from memory. Bound by: the L2 cache, 20 bytes for each result, and instructions: 64-bit divisions, pow.
VENTRAL_KERNEL void norm_along_pixels_kernel(Normalization p) {
  for (Index i = first_element(); i < p.images * p.channels * p.pixels; i += element_step())
    normalize(p, i / p.pixels / p.channels, i / p.pixels % p.channels, i % p.pixels);
}
inline void norm_along_pixels(Stream stream, const Normalization& p) {
  launch(stream, norm_launch("norm_along_pixels_kernel", p, p.images * p.channels * p.pixels), norm_along_pixels_kernel, p);
}

struct AnyPower {
  VENTRAL_DEVICE static float inverse(float base, float beta) { return std::pow(base, -beta); }
};
/// Square roots for 3/4 and 1/2, logarithm and exponential to the base of 2 for others. base > 0.
struct ShortPower {
  VENTRAL_DEVICE static float inverse(float base, float beta) {
    if (beta == 0.75f) return rsqrt(base) * std::sqrt(rsqrt(base));
    return beta == 0.5f ? rsqrt(base) : std::exp2(-beta * std::log2(base));
  }
};

/// A thread for `run` pixels beside each other and `segment` channels: it walks along the channels, and the window's squares stay in its registers. Each
/// square is added anew to each of its windows: a running sum that subtracts what leaves would keep the rounding errors of large numbers long gone.
template <int reach, int run, class Power>
VENTRAL_KERNEL void norm_walk_kernel(Normalization p, Index segment, bool vectors) {
  const Index across = (p.pixels + run - 1) / run, segments = (p.channels + segment - 1) / segment;
  const Index thread = first_element(), pixel = thread % across * run, image = thread / across / segments, first = thread / across % segments * segment;
  if (image >= p.images) return;
  const Index start = image * p.channels * p.pixels + pixel, last = first + segment < p.channels ? first + segment : p.channels, left = p.pixels - pixel;
  const float k = *p.k, slope = *p.alpha / static_cast<float>(2 * reach + 1), beta = *p.beta;
  Run<run> x[reach + 1]{}, squares[2 * reach + 1]{};  // of channels c to c + reach, and c - reach to c + reach
  for (Index in = first - reach, c = first - 2 * reach; c < last; ++in, ++c) {
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < 2 * reach; ++i) squares[i] = squares[i + 1];
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < reach; ++i) x[i] = x[i + 1];
    x[reach] = 0 <= in && in < p.channels ? load_run<run>(p.x + start + in * p.pixels, left, vectors) : Run<run>{};
    Run<run> y;
    VENTRAL_DEVICE_UNROLL
    for (int e = 0; e < run; ++e) {
      squares[2 * reach].v[e] = x[reach].v[e] * x[reach].v[e];
      float sum = 0;
      VENTRAL_DEVICE_UNROLL
      for (int i = 0; i <= 2 * reach; ++i) sum += squares[i].v[e];
      y.v[e] = x[0].v[e] * Power::inverse(k + slope * sum, beta);
    }
    if (c >= first) store_run(p.y + start + c * p.pixels, y, left, vectors);
  }
}
/// Launches the walk, compiled for a reach of 1, 2 or 4: windows of 3, 5 and 9 channels. Others: a sum for each result.
template <int run, class Power>
void norm_walk(Stream stream, const Normalization& p, Index segment) {
  const Index threads = p.images * ((p.channels + segment - 1) / segment) * ((p.pixels + run - 1) / run);
  const bool vectors = vectors_fit(p.x, p.pixels) && vectors_fit(p.y, p.pixels);
  const auto walk = [&](auto kernel) { launch(stream, norm_launch("norm_walk_kernel", p, threads), kernel, p, segment, vectors); };
  if (p.reach == 1) walk(norm_walk_kernel<1, run, Power>);
  else if (p.reach == 2) walk(norm_walk_kernel<2, run, Power>);
  else if (p.reach == 4) walk(norm_walk_kernel<4, run, Power>);
  else norm_along_pixels(stream, p);
}

/// Walking: a thread for each pixel goes through all its channels, and keeps the window in registers.
/// Saves: 6 reads of each number become 1, and the divisions of positions. Bound by: waiting for memory: a thread has one load under way, and there are only as
/// many threads as pixels.
inline void norm_walking(Stream stream, const Normalization& p) { norm_walk<1, AnyPower>(stream, p, std::max(p.channels, Index{1})); }

/// Segments: the channels are cut into runs of 16, each with a thread of its own, so that there is more under way.
/// Costs: the 2 reach channels at a segment's border are read twice, 20 of 16 for 5 channels, from the L2 cache. Bound by: instructions, tens for each pow.
inline void norm_segments(Stream stream, const Normalization& p) { norm_walk<1, AnyPower>(stream, p, 16); }

/// Vectors: a thread takes four pixels, 16 bytes a load where planes are a multiple of that.
/// Saves: three of four loads and stores, and the counting around them. Bound by: instructions, of pow.
inline void norm_vectors(Stream stream, const Normalization& p) { norm_walk<4, AnyPower>(stream, p, 16); }

/// Roots: u^-3/4 = rsqrt(u) sqrt(rsqrt(u)), a few instructions instead of pow's tens, fused into the walk as before.
/// Bound by: memory, 8 bytes for each number, and by how much of it is under way.
inline void norm_roots(Stream stream, const Normalization& p) { norm_walk<4, ShortPower>(stream, p, 16); }

/// The product's: boxes over channels, rows and columns, any exponent, sums kept for backward. Five channels: segments and roots, one pixel a thread.
inline void norm_product(Stream stream, const Normalization& p) {
  const ventral::DivisiveRule rule{{{p.reach, p.reach}, 1, 1}};
  const ventral::Shape shape{p.images, p.channels, p.pixels};
  divisive_norm_forward<float>(stream, rule, {p.k, {1}}, {p.alpha, {1}}, {p.beta, {1}}, {p.x, shape}, {p.y, shape}, {}, {p.y, shape});
}

}  // namespace bench::ladder
