#pragma once
/// Copies from main memory that streams have queued: each comes when somebody waits for it, as late as a GPU may run it. One who reads too early finds what
/// was there before; if the source is overwritten too early, the wrong numbers come. That a copy comes too early, over data still in use, does not show.
#include <atomic>
#include <cstring>
#include <deque>
#include <iterator>
#include <map>
#include <mutex>

#include "ventral/cuda/emulator/arrays.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

class LateCopies {
 public:
  static LateCopies& instance() {
    static LateCopies* const copies = new LateCopies;  // outlives tensors of static storage
    return *copies;
  }

  void queue(Stream stream, void* to, const void* from, std::size_t bytes) {
    Arrays::instance().check_range(to, bytes, "queue_copy_from_host, to");
    const std::lock_guard hold(mutex_);
    const auto after = locked_.upper_bound(from);
    const auto end = [](const void* first, std::size_t size) { return static_cast<const char*>(first) + size; };
    const bool locked = after != locked_.begin() && end(from, bytes) <= end(std::prev(after)->first, std::prev(after)->second);
    require<CudaError>(locked, "queue_copy_from_host: the source is not in page-locked memory (PinnedMemory), so the copy would not run beside anything");
    copies_.push_back({stream.handle, to, from, bytes, ++last_});
    waiting_.store(copies_.size(), std::memory_order_relaxed);
  }
  /// The number of the last copy queued by any stream.
  std::uint64_t last() {
    const std::lock_guard hold(mutex_);
    return last_;
  }
  /// All copies of a stream up to one of this number come.
  void deliver(void* stream, std::uint64_t number) {
    const std::lock_guard hold(mutex_);
    std::erase_if(copies_, [&](const Copy& c) {
      const bool comes = c.stream == stream && c.number <= number;
      if (comes) std::memcpy(c.to, c.from, c.bytes);
      return comes;
    });
    waiting_.store(copies_.size(), std::memory_order_relaxed);
  }
  /// What a stream does next finds all that it has queued before.
  void deliver(Stream stream) {
    if (waiting_.load(std::memory_order_relaxed)) deliver(stream.handle, ~std::uint64_t{0});
  }

  void lock(const void* memory, std::size_t bytes) {
    const std::lock_guard hold(mutex_);
    locked_[memory] = bytes;
  }
  void unlock(const void* memory) {
    const std::lock_guard hold(mutex_);
    locked_.erase(memory);
  }

 private:
  struct Copy {
    void *stream, *to;
    const void* from;
    std::size_t bytes;
    std::uint64_t number;
  };
  std::mutex mutex_;
  std::deque<Copy> copies_;
  std::atomic<std::size_t> waiting_{0};
  std::uint64_t last_ = 0;
  std::map<const void*, std::size_t> locked_;
};

}  // namespace ventral::inline v0::cuda::emulated::emulator
