#pragma once
/// Correct kernels that use every function of CUDA's that the emulator has.
#include <stdexcept>
#include <thread>

#include "ventral/cuda/runtime.cuh"

namespace ventral::inline v0::cuda::emulated::examples {

/// Writes each thread's indices.
VENTRAL_KERNEL void index_kernel(uint3* thread, uint3* block) {
  const unsigned in_block = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned number = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned i = number * blockDim.x * blockDim.y * blockDim.z + in_block;
  thread[i] = threadIdx;
  __syncthreads();
  block[i] = blockIdx;
}

/// The sum of x by a fixed tree, in each block.
VENTRAL_KERNEL void sum_kernel(Index n, const float* x, float* sums) {
  VENTRAL_SHARED(float, part, 32);
  float sum = 0;
  for (Index i = first_element(); i < n; i += element_step()) sum += x[i];
  for (int step = 16; step; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  sum = threadIdx.x < blockDim.x / 32 ? part[threadIdx.x] : 0.0f;
  for (int step = 16; step; step /= 2) sum += __shfl_down_sync(~0u, sum, step);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

/// out[t] = the sum of 0..t of x, by doubling steps.
VENTRAL_KERNEL void scan_kernel(const int* x, int* out) {
  VENTRAL_DYNAMIC_SHARED(int, line);
  const int t = static_cast<int>(threadIdx.x), n = static_cast<int>(blockDim.x);
  line[t] = x[t];
  for (int step = 1; step < n; step *= 2) {
    __syncthreads();
    const int before = t >= step ? line[t - step] : 0;
    __syncthreads();
    line[t] += before;
  }
  out[t] = line[t];
}

VENTRAL_KERNEL void counting_barriers_kernel(int* counts) {
  const int t = static_cast<int>(threadIdx.x);
  const int odd = __syncthreads_count(t % 2), some = __syncthreads_or(t == 3), none = __syncthreads_or(0), all = __syncthreads_and(1),
            not_all = __syncthreads_and(t != 3), again = __syncthreads_count(1);
  const int found[6] = {odd, some, none, all, not_all, again};
  for (int i = 0; i < 6; ++i) counts[6 * t + i] = found[i];
}

/// Every warp operation, in a warp of 32: 12 numbers for each lane.
VENTRAL_KERNEL void warp_kernel(int* out) {
  const int lane = static_cast<int>(threadIdx.x), value = 100 + lane;
  const int found[12] = {
      __shfl_sync(~0u, value, 5),         __shfl_sync(~0u, value, 5, 8),
      __shfl_xor_sync(~0u, value, 3),     __shfl_up_sync(~0u, value, 2u),
      __shfl_up_sync(~0u, value, 2, 8),   __shfl_down_sync(~0u, value, 2u),
      __shfl_down_sync(~0u, value, 2, 8), static_cast<int>(__ballot_sync(~0u, lane % 3 == 0)),
      __any_sync(~0u, lane == 7),         __any_sync(~0u, 0),
      __all_sync(~0u, lane < 32),         __all_sync(~0u, lane != 7),
  };
  for (int i = 0; i < 12; ++i) out[12 * lane + i] = found[i];
}

/// The halves of a warp reduce apart, in different numbers of steps, and then together; values of 8 and 16 bytes.
VENTRAL_KERNEL void halves_kernel(double* sums, double2* pairs) {
  const unsigned half = threadIdx.x / 16, mask = half ? 0xFFFF0000u : 0xFFFFu;
  double sum = threadIdx.x;
  for (int step = half ? 8 : 4; step; step /= 2) sum += __shfl_xor_sync(mask, sum, step);
  if (half == 0) sum += __shfl_xor_sync(mask, sum, 8);
  sums[threadIdx.x] = sum;
  __syncwarp();
  pairs[threadIdx.x] = __shfl_xor_sync(~0u, make_double2(sum, -sum), 16);
}

/// The values of one gather stay while the next one's are published.
VENTRAL_KERNEL void gather_twice_kernel(int* wrong) {
  struct Values {
    int lane[64];
  };
  Values mine{};
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 64; ++i) mine.lane[i] = 1000 * round + static_cast<int>(threadIdx.x % 32) + i;
    const Values* all = emulator::warp_gather(mine, ~0u);
    for (int from = 0; from < 32; ++from)
      for (int i = 0; i < 64; ++i)
        if (all[from].lane[i] != 1000 * round + from + i) atomicAdd(wrong, 1);
  }
}

VENTRAL_KERNEL void atomics_kernel(int* i, unsigned* u, unsigned long long* l, float* f, double* d) {
  const int t = static_cast<int>(threadIdx.x);
  atomicAdd(i, t);
  atomicMax(i + 1, t);
  atomicMin(i + 2, -t);
  atomicOr(i + 3, 1 << t % 8);
  atomicAnd(i + 4, ~(1 << t % 8));
  atomicAdd(u, 2);
  atomicCAS(u + 1, threadIdx.x, threadIdx.x + 1);
  atomicExch(u + 2, threadIdx.x);
  atomicAdd(l, 1ull << 33);
  atomicMax(l + 1, 5ull + threadIdx.x);
  atomicAdd(f, 0.5f);
  atomicAdd(d, 0.25);
}

VENTRAL_KERNEL void bits_kernel(int* out) {
  out[0] = __popc(0xF0F0u), out[1] = __clz(1), out[2] = __clz(0), out[3] = __ffs(8), out[4] = __ffs(0);
  out[5] = static_cast<int>(__umulhi(0x80000000u, 6)), out[6] = __float_as_uint(1.0f) == 0x3F800000u, out[7] = __uint_as_float(0x40000000u) == 2.0f;
  out[8] = rsqrtf(4.0f) == 0.5f && rsqrt(16.0) == 0.25, out[9] = __expf(0.0f) == 1 && __logf(1.0f) == 0 && __fdividef(6.0f, 3.0f) == 2;
  out[10] = warpSize, out[11] = __ldg(out), out[12] = make_float4(1, 2, 3, 4).w == 4 && make_int2(5, 6).y == 6;
  const long long before = clock64();
  out[13] = clock64() >= before && __saturatef(2.0f) == 1;
}

/// What fresh memory holds; shared arrays keep their place within a block and are new in the next.
VENTRAL_KERNEL void fresh_shared_kernel(int* wrong) {
  VENTRAL_SHARED(float, first, 3);
  VENTRAL_SHARED(int, second, 5);
  VENTRAL_DYNAMIC_SHARED(double, third);
  const bool fresh = first[threadIdx.x] != first[threadIdx.x] && second[threadIdx.x] == -1 && third[threadIdx.x] != third[threadIdx.x];
  const bool aligned = reinterpret_cast<std::uintptr_t>(first) % 16 == 0 && reinterpret_cast<std::uintptr_t>(second) % 16 == 0 &&
                       reinterpret_cast<std::uintptr_t>(third) % 128 == 0;
  if (!fresh || !aligned) atomicAdd(wrong, 1);
  __syncthreads();
  first[threadIdx.x] = 1, second[threadIdx.x] = 2, third[threadIdx.x] = 3;
}

/// Loads of 4, 8 and 16 bytes in two groups, the second only in part; wait for the first, then for both.
VENTRAL_KERNEL void async_groups_kernel(const float* x, float* out) {
  VENTRAL_SHARED(float, tile, 16);
  emulator::async_copy(tile, x, 16, 16);
  emulator::async_copy(tile + 4, x + 4, 8, 8);
  emulator::async_commit();
  emulator::async_copy(tile + 8, x + 8, 16, 8);
  emulator::async_copy(tile + 12, x + 12, 4, 0);
  emulator::async_commit();
  emulator::async_wait(2);
  out[0] = tile[0];
  emulator::async_wait(1);
  for (int i = 0; i < 6; ++i) out[1 + i] = tile[i];
  out[7] = tile[8];
  emulator::async_wait(0);
  for (int i = 0; i < 5; ++i) out[8 + i] = tile[8 + i];
}

/// Each block waits until all have begun, for ten seconds at most: they must run side by side, which a kernel may not rely on.
VENTRAL_KERNEL void meeting_kernel(int* begun, int* met) {
  atomicAdd(begun, 1);
  const long long end = clock64() + 10'000'000'000;
  while (atomicAdd(begun, 0) < static_cast<int>(gridDim.x) && clock64() < end) std::this_thread::yield();
  if (atomicAdd(begun, 0) == static_cast<int>(gridDim.x)) atomicAdd(met, 1);
}

VENTRAL_KERNEL void throwing_kernel(unsigned thread) {
  __syncthreads();
  if (threadIdx.x == thread) throw std::out_of_range("thrown by a kernel");
  __syncthreads();
}

VENTRAL_KERNEL void launching_kernel() { launch({}, {.kernel = "throwing_kernel", .blocks = 1}, throwing_kernel, 0); }

VENTRAL_KERNEL void large_shared_kernel(float* y) {
  VENTRAL_SHARED(float, a, 10000);
  VENTRAL_SHARED(float, b, 10000);
  a[0] = b[0] = 1;
  y[0] = a[0];
}

/// The order in which threads come by: a serial number for each.
VENTRAL_KERNEL void order_kernel(int* next, int* order) { order[first_element()] = atomicAdd(next, 1); }

}  // namespace ventral::inline v0::cuda::emulated::examples
