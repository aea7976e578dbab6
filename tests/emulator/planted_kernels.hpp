#pragma once
/// Kernels that are right, and wrong in one place when `bug` is true: the mistakes that the emulator is there to show.
#include "ventral/cuda/grid.cuh"

namespace ventral::inline v0::cuda::emulated::planted {

// ---- barriers

/// y = x in reverse order, through shared memory. The bug: no barrier between the write and the read of another thread's element.
template <bool bug>
VENTRAL_KERNEL void reverse_kernel(const float* x, float* y) {
  VENTRAL_SHARED(float, tile, 64);
  const unsigned n = blockDim.x, t = threadIdx.x;
  tile[t] = x[t];
  if constexpr (!bug) __syncthreads();
  y[t] = tile[n - 1 - t];
}

/// Moves x around a ring, one place a round. The bug: no barrier between reading a neighbour's element and the next round's write.
template <bool bug>
VENTRAL_KERNEL void rotate_kernel(int rounds, const float* x, float* y) {
  VENTRAL_SHARED(float, ring, 64);
  float value = x[threadIdx.x];
  for (int i = 0; i < rounds; ++i) {
    ring[threadIdx.x] = value;
    __syncthreads();
    value = ring[(threadIdx.x + 1) % blockDim.x];
    if constexpr (!bug) __syncthreads();
  }
  y[threadIdx.x] = value;
}

/// The bug: the threads of a block come to different barriers.
template <bool bug>
VENTRAL_KERNEL void branch_barrier_kernel(float* y) {
  if (bug && threadIdx.x >= 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  y[threadIdx.x] = 1;
}

/// The bug: threads beyond the end return before a barrier.
template <bool bug>
VENTRAL_KERNEL void early_return_kernel(unsigned n, const float* x, float* y) {
  VENTRAL_SHARED(float, tile, 64);
  if (bug && threadIdx.x >= n) return;
  tile[threadIdx.x] = threadIdx.x < n ? x[threadIdx.x] : 0.0f;
  __syncthreads();
  if (threadIdx.x < n) y[threadIdx.x] = tile[(threadIdx.x + 1) % n];
}

/// The bug: half a warp waits for the other half, which waits at a barrier.
template <bool bug>
VENTRAL_KERNEL void half_warp_kernel(float* y) {
  if (!bug || threadIdx.x < 16) __syncwarp();
  __syncthreads();
  y[threadIdx.x] = 1;
}

// ---- races for global memory: right under every schedule, because fibers do not interrupt each other

/// Counts threads. The bug: an addition that is not atomic.
template <bool bug>
VENTRAL_KERNEL void count_kernel(int* count) {
  if constexpr (bug) {
    count[0] += 1;
  } else {
    atomicAdd(count, 1);
  }
}

/// Counts blocks, after a barrier. The bug: as above, between blocks only.
template <bool bug>
VENTRAL_KERNEL void count_blocks_kernel(int* count) {
  __syncthreads();
  if (threadIdx.x != 0) return;
  if constexpr (bug) {
    count[0] += 1;
  } else {
    atomicAdd(count, 1);
  }
}

/// The last block to finish adds up what the others have written. The bug: no fences between the data and the count of blocks that are done.
template <bool bug>
VENTRAL_KERNEL void last_block_kernel(int* parts, unsigned* done, int* sum) {
  VENTRAL_SHARED(int, last, 1);
  if (threadIdx.x == 0) {
    parts[blockIdx.x] = static_cast<int>(blockIdx.x) + 1;
    if constexpr (!bug) __threadfence();
    last[0] = atomicAdd(done, 1) == gridDim.x - 1;
    if constexpr (!bug) __threadfence();
  }
  __syncthreads();
  if (!last[0] || threadIdx.x) return;
  for (unsigned i = 0; i < gridDim.x; ++i) sum[0] += parts[i];
}

/// y = x in reverse order within each warp, through shared memory. The bug: a shuffle, which all lanes come to, too, but which orders no memory accesses.
template <bool bug>
VENTRAL_KERNEL void reverse_warp_kernel(const float* x, float* y) {
  VENTRAL_SHARED(float, tile, 64);
  const unsigned t = threadIdx.x;
  tile[t] = x[t];
  if constexpr (bug) __shfl_sync(~0u, x[t], 0);
  else __syncwarp();
  y[t] = tile[t ^ 31];
}

// ---- the grid

enum class GridBug {
  none,
  no_wait,       ///< for the other blocks' numbers
  two_places,    ///< where blocks wait
  two_counters,  ///< of arrivals
  block_returns,
  thread_returns,
};

/// sums[b] = the blocks' sum over all rounds of b + 1 + round, as block b sees it, of grids of 64 threads: each thread adds up what one thread of each block has
/// written.
template <GridBug bug>
VENTRAL_KERNEL void grid_kernel(int rounds, unsigned* arrivals, int* parts, int* sums) {
  const unsigned t = threadIdx.x, b = blockIdx.x;
  if (bug == GridBug::two_counters && b == 1) ++arrivals;
  if (bug == GridBug::thread_returns && t == 40 && b == 1) return;
  int sum = 0;
  for (int round = 0; round < rounds; ++round) {
    if (bug == GridBug::block_returns && round == 1 && b == 0) return;
    parts[b * 64 + t] = static_cast<int>(b) + 1 + round;
    if (bug == GridBug::two_places && b == 1) {
      grid_sync(arrivals);
    } else if (bug != GridBug::no_wait) {
      grid_sync(arrivals);
    }
    for (unsigned i = 0; i < gridDim.x; ++i) sum += parts[i * 64 + (t + 7) % 64];
    grid_sync(arrivals);
  }
  sums[b * 64 + t] = sum;
}

// ---- memory

/// The bug: the last thread writes one element past a shared array.
template <bool bug>
VENTRAL_KERNEL void shared_write_kernel(float* y) {
  VENTRAL_SHARED(float, tile, 64);
  tile[threadIdx.x + (bug ? 1 : 0)] = 1;
  __syncthreads();
  y[threadIdx.x] = 1;
}

/// The bug: the first thread writes before a shared array, and no barrier follows.
template <bool bug>
VENTRAL_KERNEL void shared_write_before_kernel(float* y) {
  VENTRAL_SHARED(float, tile, 64);
  VENTRAL_SHARED(float, other, 64);
  other[static_cast<int>(threadIdx.x) - (bug ? 1 : 0)] = 1;
  tile[threadIdx.x] = 1;
  y[threadIdx.x] = tile[threadIdx.x];
}

/// The bug: the last thread reads one element past a shared array.
template <bool bug>
VENTRAL_KERNEL void shared_read_kernel(float* y) {
  VENTRAL_SHARED(float, tile, 64);
  tile[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x + (bug ? 1 : 0)];
}

/// The bug: one element past the dynamic shared memory is written.
template <bool bug>
VENTRAL_KERNEL void dynamic_write_kernel(float* y) {
  VENTRAL_DYNAMIC_SHARED(float, tile);
  tile[threadIdx.x + (bug ? 1 : 0)] = 1;
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x];
}

/// Sums a block's x. The bug: the sum's start value is missing.
template <bool bug>
VENTRAL_KERNEL void uninitialised_kernel(const float* x, float* y) {
  VENTRAL_SHARED(float, sum, 1);
  if (!bug && threadIdx.x == 0) sum[0] = 0;
  __syncthreads();
  atomicAdd(sum, x[threadIdx.x]);
  __syncthreads();
  y[threadIdx.x] = sum[0];
}

/// y = x + 1. The bug: threads beyond the end write too.
template <bool bug>
VENTRAL_KERNEL void global_write_kernel(Index n, const float* x, float* y) {
  const Index i = first_element();
  if (i < n + (bug ? 1 : 0)) y[i] = x[i < n ? i : 0] + 1;
}

/// y = x of the right neighbour. The bug: the last one reads past the end.
template <bool bug>
VENTRAL_KERNEL void global_read_kernel(Index n, const float* x, float* y) {
  const Index i = first_element();
  if (i < n) y[i] = bug || i + 1 < n ? x[i + 1] : 0.0f;
}

/// y = x in pieces of four numbers. The bug: an address that is not a multiple of 16 bytes, which a GPU refuses.
template <bool bug>
VENTRAL_KERNEL void vector_load_kernel(const float* x, float* y) {
  const float4 four = *reinterpret_cast<const float4*>(x + 4 * threadIdx.x + (bug ? 1 : 0));
  y[threadIdx.x] = four.x + four.y + four.z + four.w;
}

// ---- warps

/// The sum of half a warp in its first lane. The bug: the other half calls it too, which the mask does not name.
template <bool bug>
VENTRAL_KERNEL void mask_kernel(const float* x, float* y) {
  if (!bug && threadIdx.x >= 16) return;
  float sum = x[threadIdx.x];
  for (unsigned step = 8; step; step /= 2) sum += __shfl_down_sync(0xFFFFu, sum, step, 16);
  y[threadIdx.x] = sum;
}

/// The first half of a warp takes values from a lane. The bug: from one that is not in the mask.
template <bool bug>
VENTRAL_KERNEL void inactive_lane_kernel(const float* x, float* y) {
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_sync(0xFFFFu, x[threadIdx.x], bug ? 20 : 10);
}

/// The bug: lane 0 names another mask than the others.
template <bool bug>
VENTRAL_KERNEL void mismatched_mask_kernel(float* y) {
  y[threadIdx.x] = static_cast<float>(__ballot_sync(bug && threadIdx.x == 0 ? 0x1u | 0xFF00u : ~0u, 1));
}

/// The bug: one lane comes to another warp operation than the others.
template <bool bug>
VENTRAL_KERNEL void mismatched_line_kernel(const float* x, float* y) {
  if (bug && threadIdx.x == 7) {
    y[threadIdx.x] = __shfl_xor_sync(~0u, x[threadIdx.x], 1);
  } else {
    y[threadIdx.x] = __shfl_xor_sync(~0u, x[threadIdx.x], 1);
  }
}

/// The bug: a warp operation names lanes that have returned.
template <bool bug>
VENTRAL_KERNEL void exited_lane_kernel(unsigned n, const float* x, float* y) {
  if (bug && threadIdx.x >= n) return;
  const float value = __shfl_xor_sync(~0u, threadIdx.x < n ? x[threadIdx.x] : 0.0f, 16);
  if (threadIdx.x < n) y[threadIdx.x] = value;
}

/// c = a * b for 8x8 matrices by one warp, as tensor cores share it out: lane l holds a and b at row l / 4, columns 2 (l % 4) and the next one.
/// The bug: the fragment of b is read as if it were transposed.
struct Fragment {
  float a[2], b[2];
};
template <bool bug>
VENTRAL_KERNEL void fragment_kernel(const float* a, const float* b, float* c) {
  const unsigned row = threadIdx.x / 4, column = threadIdx.x % 4 * 2;
  const Fragment mine{{a[row * 8 + column], a[row * 8 + column + 1]}, {b[row * 8 + column], b[row * 8 + column + 1]}};
  const Fragment* all = emulator::warp_gather(mine, ~0u);
  for (unsigned j = 0; j < 2; ++j) {
    float sum = 0;
    for (unsigned k = 0; k < 8; ++k) {
      const unsigned b_row = bug ? column + j : k, b_column = bug ? k : column + j;
      sum += all[row * 4 + k / 2].a[k % 2] * all[b_row * 4 + b_column / 2].b[b_column % 2];
    }
    c[row * 8 + column + j] = sum;
  }
}

// ---- asynchronous copies

/// y = x through shared memory, four elements a thread, copied asynchronously. The bug: the data are used without a wait for them.
template <bool bug>
VENTRAL_KERNEL void async_kernel(const float* x, float* y) {
  VENTRAL_SHARED(float, tile, 256);
  const unsigned t = 4 * threadIdx.x;
  emulator::async_copy(tile + t, x + t, 16, 16);
  emulator::async_commit();
  if constexpr (!bug) emulator::async_wait(0);
  __syncthreads();
  const unsigned other = 4 * (blockDim.x - 1 - threadIdx.x);
  for (unsigned i = 0; i < 4; ++i) y[other + i] = tile[other + i];
  if constexpr (bug) emulator::async_wait(0);
}

/// The bug: a thread returns before its copies have arrived.
template <bool bug>
VENTRAL_KERNEL void async_exit_kernel(const float* x, float* y) {
  VENTRAL_SHARED(float, tile, 256);
  emulator::async_copy(tile + 4 * threadIdx.x, x + 4 * threadIdx.x, 16, 16);
  emulator::async_commit();
  if constexpr (!bug) emulator::async_wait(0);
  y[threadIdx.x] = 1;
}

/// The bug: an address that is not a multiple of 16 bytes.
template <bool bug>
VENTRAL_KERNEL void async_alignment_kernel(const float* x, float* y) {
  VENTRAL_SHARED(float, tile, 260);
  emulator::async_copy(tile + 4 * threadIdx.x, x + 4 * threadIdx.x + (bug ? 1 : 0), 16, 12);
  emulator::async_commit();
  emulator::async_wait(0);
  y[threadIdx.x] = tile[4 * threadIdx.x + 3];
}

// ---- the stack

/// The bug: more memory on the stack than a thread has.
template <bool bug>
VENTRAL_KERNEL void stack_kernel(float* y) {
  volatile char bytes[bug ? 1 << 20 : 16];
  for (std::size_t i = 0; i < sizeof bytes; i += 16) bytes[sizeof bytes - 1 - i] = 1;
  y[threadIdx.x] = static_cast<float>(bytes[sizeof bytes - 1]);
}

}  // namespace ventral::inline v0::cuda::emulated::planted
