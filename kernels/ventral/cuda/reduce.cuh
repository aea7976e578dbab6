#pragma once
#include "ventral/cuda/primitives.cuh"

/// Sums and maxima over the threads of a warp or block, in an order that depends on nothing but the number of threads: the same bits every time.
///
///     template <int threads>
///     VENTRAL_BOUNDED_KERNEL(threads) void row_sum_kernel(Index columns, const float* x, float* sums) {  // a block for each row
///       float sum = 0;
///       for (Index j = threadIdx.x; j < columns; j += threads) sum += x[blockIdx.x * columns + j];
///       sum = block_sum<threads>(sum);                    // reached by all threads of the block
///       if (threadIdx.x == 0) sums[blockIdx.x] = sum;
///     }
///     launch(stream, {.kernel = "row_sum_kernel", .blocks = rows, .threads = 256}, row_sum_kernel<256>, columns, x.data, sums.data);
///
/// Values are float, double, whole numbers, or a Pair of them: two sums for one set of barriers, as mean and variance need.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

template <class T>
struct Pair {
  T first, second;
};
template <class T>
VENTRAL_DEVICE Pair<T> operator+(Pair<T> a, Pair<T> b) {
  return {a.first + b.first, a.second + b.second};
}

/// The value of the lane whose number differs by the bits of `mask`.
template <class T>
VENTRAL_DEVICE T exchange_lanes(T v, int mask) {
  return __shfl_xor_sync(0xFFFFFFFFu, v, mask);
}
template <class T>
VENTRAL_DEVICE Pair<T> exchange_lanes(Pair<T> v, int mask) {
  return {exchange_lanes(v.first, mask), exchange_lanes(v.second, mask)};
}

/// The larger of two numbers; NaN when either is.
template <class T>
VENTRAL_DEVICE T larger(T a, T b) {
  return a > b || a != a ? a : b;
}

/// The sum of v over the 32 lanes, in all of them. Tree: lanes 16 apart first, neighbours last. All lanes must come here.
template <class V>
VENTRAL_DEVICE V warp_sum(V v) {
  VENTRAL_DEVICE_UNROLL
  for (int apart = 16; apart > 0; apart /= 2) v = v + exchange_lanes(v, apart);
  return v;
}

/// The largest v of the 32 lanes, in all of them; NaN when one is. All lanes must come here.
template <class T>
VENTRAL_DEVICE T warp_max(T v) {
  VENTRAL_DEVICE_UNROLL
  for (int apart = 16; apart > 0; apart /= 2) v = larger(v, exchange_lanes(v, apart));
  return v;
}

namespace detail {

/// One value of each warp, given to all threads. The first barrier lets a block call this again and again.
template <int warps, class V>
VENTRAL_DEVICE const V* share_by_warp(V v) {
  VENTRAL_SHARED(V, of_warp, warps);
  __syncthreads();
  if (thread_in_block() % 32 == 0) of_warp[thread_in_block() / 32] = v;
  __syncthreads();
  return of_warp;
}

}  // namespace detail

/// The sum of v over a block of exactly `threads` threads (a multiple of 32, up to 1024), in all of them: warps as by warp_sum, then their sums in
/// order. Two barriers (none for one warp): all threads must come here. 16 bytes of shared memory a warp at most.
template <int threads, class V>
VENTRAL_DEVICE V block_sum(V v) {
  static_assert(threads % 32 == 0 && threads > 0 && threads <= 1024);
  v = warp_sum(v);
  if constexpr (threads > 32) {
    const V* const of_warp = detail::share_by_warp<threads / 32>(v);
    v = of_warp[0];
    VENTRAL_DEVICE_UNROLL
    for (int i = 1; i < threads / 32; ++i) v = v + of_warp[i];
  }
  return v;
}

/// The largest v of a block of exactly `threads` threads, in all of them; NaN when one is. As block_sum.
template <int threads, class T>
VENTRAL_DEVICE T block_max(T v) {
  static_assert(threads % 32 == 0 && threads > 0 && threads <= 1024);
  v = warp_max(v);
  if constexpr (threads > 32) {
    const T* const of_warp = detail::share_by_warp<threads / 32>(v);
    v = of_warp[0];
    VENTRAL_DEVICE_UNROLL
    for (int i = 1; i < threads / 32; ++i) v = larger(v, of_warp[i]);
  }
  return v;
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
