#pragma once
#include <cmath>
#include <limits>

#include "ladder/ladder.hpp"
#include "ladder/vectors.cuh"
#include "ventral/cuda/softmax.cuh"

/// The ladder of softmax over the classes of each row. What cannot be avoided: 8 bytes for each number, and an exponential.
namespace bench::ladder {

constexpr float lowest = -std::numeric_limits<float>::infinity();

inline Launch softmax_launch(const char* kernel, const Softmax& p, Index rows_each, int threads = 256) {
  return {.kernel = kernel, .blocks = blocks_for(p.rows, rows_each), .threads = threads, .shape = {p.rows, p.classes}};
}

/// Naive: a thread for each row, in three passes: the largest, the sum, the results. Neighbouring threads are a row apart.
/// Reads three times 32 bytes for each number of 4. Bound by: sectors, and by waiting for them: there are as many threads as rows.
VENTRAL_KERNEL void softmax_threads_kernel(Softmax p) {
  for (Index row = first_element(); row < p.rows; row += element_step()) {
    const float* const x = p.x + row * p.classes;
    float largest = lowest, sum = 0;
    for (Index j = 0; j < p.classes; ++j) largest = larger(largest, x[j]);
    for (Index j = 0; j < p.classes; ++j) sum += std::exp(x[j] - largest);
    for (Index j = 0; j < p.classes; ++j) p.y[row * p.classes + j] = std::exp(x[j] - largest) / sum;
  }
}
inline void softmax_threads(Stream stream, const Softmax& p) { launch(stream, softmax_launch("softmax_threads_kernel", p, 256), softmax_threads_kernel, p); }

/// A warp for each row: lanes take neighbouring numbers, then exchange what they found by shuffles, in 5 steps without shared memory.
/// Saves: 32 bytes for each number become 4, three times, of which the L1 cache should serve the last two. Bound by: the L2 cache where it does not.
VENTRAL_BOUNDED_KERNEL(256) void softmax_warps_kernel(Softmax p) {
  const Index row = first_element() / 32;
  if (row >= p.rows) return;  // the whole warp
  const float* const x = p.x + row * p.classes;
  const Index lane = threadIdx.x % 32;
  float largest = lowest, sum = 0;
  for (Index j = lane; j < p.classes; j += 32) largest = larger(largest, x[j]);
  largest = warp_max(largest);
  for (Index j = lane; j < p.classes; j += 32) sum += std::exp(x[j] - largest);
  const float scale = 1 / warp_sum(sum);
  for (Index j = lane; j < p.classes; j += 32) p.y[row * p.classes + j] = std::exp(x[j] - largest) * scale;
}
inline void softmax_warps(Stream stream, const Softmax& p) { launch(stream, softmax_launch("softmax_warps_kernel", p, 8), softmax_warps_kernel, p); }

/// The largest number so far, and the sum of exp(x - largest): when a larger one comes, the sum is scaled to it.
/// Source: Milakov, Gimelshein 2018, "Online normalizer calculation for softmax", algorithm 3.
struct Online {
  float largest = lowest, sum = 0;

  VENTRAL_DEVICE void take(float x) {
    if (x > largest) sum = sum * std::exp(largest - x) + (1 + (x - x)), largest = x;  // NaN from infinity on, as exp(infinity - infinity)
    else sum += x == largest ? 1.0f : std::exp(x - largest);
  }
  /// Takes what another lane found. Two that found nothing have infinite differences, and nothing to scale.
  VENTRAL_DEVICE void merge(float other_largest, float other_sum) {
    const float both = larger(largest, other_largest);
    sum = scaled(sum, largest, both) + scaled(other_sum, other_largest, both);
    largest = both;
  }
  VENTRAL_DEVICE static float scaled(float sum, float from, float to) { return from == to ? sum : sum * std::exp(from - to); }
};

/// Online: the largest and the sum in one pass.
/// Saves: one of three reads. Bound by: memory where rows are longer than a cache holds; else exponentials, still two, and a branch for each number.
VENTRAL_BOUNDED_KERNEL(256) void softmax_online_kernel(Softmax p) {
  const Index row = first_element() / 32;
  if (row >= p.rows) return;
  const float* const x = p.x + row * p.classes;
  const Index lane = threadIdx.x % 32;
  Online found;
  for (Index j = lane; j < p.classes; j += 32) found.take(x[j]);
  VENTRAL_DEVICE_UNROLL
  for (int apart = 16; apart > 0; apart /= 2) {
    const float largest = exchange_lanes(found.largest, apart), sum = exchange_lanes(found.sum, apart);
    found.merge(largest, sum);
  }
  const float scale = 1 / found.sum;
  for (Index j = lane; j < p.classes; j += 32) p.y[row * p.classes + j] = std::exp(x[j] - found.largest) * scale;
}
inline void softmax_online(Stream stream, const Softmax& p) { launch(stream, softmax_launch("softmax_online_kernel", p, 8), softmax_online_kernel, p); }

/// Registers: `each` numbers of a row stay in each lane's registers, loaded all at once; what a longer row has beyond is read again, as before.
/// Saves: every read but the first, and one of two exponentials. Bound by: memory, 8 bytes for each number, for up to 1024 classes; beyond, by too few warps.
template <int each>
VENTRAL_BOUNDED_KERNEL(256) void softmax_registers_kernel(Softmax p) {
  const Index row = first_element() / 32, lane = threadIdx.x % 32, n = (p.classes - lane + 31) / 32;  // numbers of this lane: lane, lane + 32, ...
  if (row >= p.rows || p.classes == 0) return;
  const float* const x = p.x + row * p.classes + lane;
  float* const y = p.y + row * p.classes + lane;
  float kept[each], largest = lowest, sum = 0;
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < each; ++i) kept[i] = i < n ? x[32 * i] : lowest;
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < each; ++i) largest = larger(largest, kept[i]);
  for (Index i = each; i < n; ++i) largest = larger(largest, x[32 * i]);
  largest = warp_max(largest);
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < each; ++i) kept[i] = std::exp(kept[i] - largest), sum += i < n ? kept[i] : 0.0f;
  for (Index i = each; i < n; ++i) sum += std::exp(x[32 * i] - largest);
  const float scale = 1 / warp_sum(sum);
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < each; ++i)
    if (i < n) y[32 * i] = kept[i] * scale;
  for (Index i = each; i < n; ++i) y[32 * i] = std::exp(x[32 * i] - largest) * scale;
}
inline void softmax_registers(Stream stream, const Softmax& p) {
  const Launch l = softmax_launch("softmax_registers_kernel", p, 8);
  if (p.classes <= 128) launch(stream, l, softmax_registers_kernel<4>, p);
  else if (p.classes <= 512) launch(stream, l, softmax_registers_kernel<16>, p);
  else launch(stream, l, softmax_registers_kernel<32>, p);
}

/// A block for each long row: the same with block_max and block_sum, so that up to 6144 classes stay in registers with 256 threads, 24576 with 1024.
/// Saves: the second and third read of long rows. Bound by: memory; two barriers for each of two sums cost little where a row is long. Short rows: as before.
template <int threads, int each>
VENTRAL_BOUNDED_KERNEL(threads) void softmax_blocks_kernel(Softmax p) {
  const int t = static_cast<int>(threadIdx.x);
  const Index n = (p.classes - t + threads - 1) / threads;  // numbers of this thread: t, t + threads, ...
  const float* const x = p.x + blockIdx.x * p.classes + t;
  float* const y = p.y + blockIdx.x * p.classes + t;
  float kept[each], largest = lowest, sum = 0;
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < each; ++i) kept[i] = i < n ? x[threads * i] : lowest;
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < each; ++i) largest = larger(largest, kept[i]);
  for (Index i = each; i < n; ++i) largest = larger(largest, x[threads * i]);
  largest = block_max<threads>(largest);
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < each; ++i) kept[i] = std::exp(kept[i] - largest), sum += i < n ? kept[i] : 0.0f;
  for (Index i = each; i < n; ++i) sum += std::exp(x[threads * i] - largest);
  const float scale = 1 / block_sum<threads>(sum);
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < each; ++i)
    if (i < n) y[threads * i] = kept[i] * scale;
  for (Index i = each; i < n; ++i) y[threads * i] = std::exp(x[threads * i] - largest) * scale;
}
inline void softmax_blocks(Stream stream, const Softmax& p) {
  if (p.classes <= 1024) softmax_registers(stream, p);
  else if (p.classes <= 6144) launch(stream, softmax_launch("softmax_blocks_kernel", p, 1, 256), softmax_blocks_kernel<256, 24>, p);
  else launch(stream, softmax_launch("softmax_blocks_kernel", p, 1, 1024), softmax_blocks_kernel<1024, 24>, p);
}

/// The product's: any axis, type and length, a thread, a warp or a block for a line, which stays in registers.
inline void softmax_product(Stream stream, const Softmax& p) { softmax_forward<float>(stream, 1, {p.x, {p.rows, p.classes}}, {p.y, {p.rows, p.classes}}); }

}  // namespace bench::ladder
