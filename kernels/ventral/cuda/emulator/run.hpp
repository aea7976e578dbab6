#pragma once
/// A launch: the blocks of a grid, on one or more OS threads.
#include <atomic>
#include <mutex>
#include <numeric>
#include <thread>
#include <vector>

#include "ventral/cpu/parallel.hpp"
#include "ventral/cuda/emulator/arrays.hpp"
#include "ventral/cuda/emulator/waiting.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

/// One launch, worked on by several OS threads.
struct Job {
  const Launch& launch;
  void (*body)(void*);
  void* context;
  const Options& options;
  Index blocks;
  std::atomic<Index> next{0};
  std::mutex mutex{};
  std::exception_ptr error{};

  std::uint64_t stride = 1;  ///< of a random order of blocks: coprime to their number

  /// The block that runs as number i.
  Index block(Index i) const {
    if (options.order == Order::lifo) return blocks - 1 - i;
    if (options.order == Order::fifo) return i;
    return static_cast<Index>((static_cast<std::uint64_t>(i) * stride + options.seed % 65536) % static_cast<std::uint64_t>(blocks));
  }

  /// Runs blocks that no other OS thread has taken, until there are no more or one has failed.
  void work() {
    Block* runners[2] = {};
    try {
      for (Index i; (i = next.fetch_add(1, std::memory_order_relaxed)) < blocks;) {
        Block& runner = Block::of_this_thread(i);
        if (!runners[i % 2]) {
          runner.begin(launch, body, context, options);
          runners[i % 2] = &runner;
        }
        runner.run(block(i));
      }
    } catch (...) {
      next.store(blocks, std::memory_order_relaxed);
      note_error();
    }
    for (Block* runner : runners)
      if (runner) runner->end();
  }

  /// Runs one block of a grid in which they may wait for each other.
  void work_on(Index number, Grid& grid) {
    Block& runner = Block::of_this_thread(0);
    try {
      runner.begin(launch, body, context, options);
      runner.join(grid);
      runner.run(number);
    } catch (...) {
      note_error();
    }
    runner.end();
    grid.leave();
  }

  /// Keeps the first exception.
  void note_error() {
    const std::lock_guard hold(mutex);
    if (!error) error = std::current_exception();
  }
};

/// About a third of the number of blocks.
inline std::uint64_t coprime_stride(Index blocks) {
  if (blocks < 5 || blocks > Index{1} << 31) return 1;
  std::uint64_t stride = static_cast<std::uint64_t>(blocks) / 3 + 1;
  while (std::gcd(stride, static_cast<std::uint64_t>(blocks)) != 1) ++stride;
  return stride;
}

/// Throws CudaError when a GPU could not launch it either.
inline void check_configuration(const Launch& l) {
  const auto check = [&](bool ok, const auto&... reason) { require<CudaError>(ok, "kernel ", to_string(l), " could not be launched: ", reason...); };
  const Extent &b = l.blocks, &t = l.threads;
  check(t.x >= 1 && t.y >= 1 && t.z >= 1 && t.size() <= Block::most_threads && t.z <= 64, "a block has 1 to ", Block::most_threads,
        " threads, at most 64 along z");
  check(b.x <= 0x7FFFFFFFu && b.y <= 65535 && b.z <= 65535, "a grid has at most 2147483647 x 65535 x 65535 blocks");
  check(l.shared <= SharedMemory::limit, "a block has at most ", SharedMemory::limit, " bytes of shared memory");
  check(!Block::current, "a kernel cannot launch another");
}

/// Throws what went wrong in a job that is done.
inline void check_end(const Job& job) {
  Arrays& arrays = Arrays::instance();
  if (job.error) {
    arrays.repair();
    std::rethrow_exception(job.error);
  }
  if (arrays.damaged()) [[unlikely]]
    throw CudaError(concat("kernel ", to_string(job.launch), ": ", arrays.damage()));
}

/// Runs body(context) as every thread of the grid. Throws what it throws, and CudaError naming kernel, shapes, block, thread and line for misuse of CUDA.
inline void run(const Launch& launch, void (*body)(void*), void* context) {
  if (launch.blocks.x == 0 || launch.blocks.y == 0 || launch.blocks.z == 0) return;
  check_configuration(launch);
  Job job{launch, body, context, options(), launch.blocks.size()};
  if (job.options.order == Order::random) job.stride = coprime_stride(job.blocks);
  if (job.options.workers <= 1 || job.blocks == 1) {
    job.work();
  } else {
    cpu::parallel_for(job.options.workers, [&](Index) { job.work(); });
  }
  check_end(job);
}

/// Blocks that can run side by side.
constexpr Index most_blocks_together = 3;

/// The same, all blocks side by side.
inline void run_together(const Launch& launch, void (*body)(void*), void* context) {
  check_configuration(launch);
  const Index blocks = launch.blocks.size();
  require<CudaError>(1 <= blocks && blocks <= most_blocks_together, "kernel ", to_string(launch), " could not be launched: 1 to ", most_blocks_together,
                     " blocks run side by side on the emulator");
  Job job{launch, body, context, options(), blocks};
  Grid grid(blocks);
  std::vector<std::thread> others;
  for (Index i = 1; i < blocks; ++i) others.emplace_back([&job, &grid, i] { job.work_on(i, grid); });
  job.work_on(0, grid);
  for (std::thread& other : others) other.join();
  check_end(job);
}

}  // namespace ventral::inline v0::cuda::emulated::emulator
