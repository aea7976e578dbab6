#pragma once
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "ventral/cpu/parallel.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::cpu {

/// Hands out parts of one buffer, each on a cache line of its own.
class Arena {
 public:
  explicit Arena(unsigned char* first) : next_(first) {}
  /// Bytes that `count` elements of type T take.
  template <class T>
  static Index bytes(Index count) {
    return (count * static_cast<Index>(sizeof(T)) + 63) / 64 * 64;
  }
  template <class T>
  T* take(Index count) {
    unsigned char* const p = next_;
    next_ += bytes<T>(count);
    return static_cast<T*>(static_cast<void*>(p));
  }

 private:
  unsigned char* next_;
};

/// Temporary memory of the CPU kernels called by one thread: a part all of a job's chunks read, and one part for each thread that works on chunks.
/// It is sized before the job starts, on the calling thread, and kept: a step that was run once allocates nothing, whichever thread takes which chunk.
class Scratch {
  struct Part {
    Tensor<unsigned char> memory;
    std::atomic<bool> taken{false};
  };

 public:
  static Scratch& mine() {
    static thread_local Scratch scratch;
    return scratch;
  }

  /// Makes room for `shared` bytes and for `each` bytes a thread.
  void reserve(Index shared, Index each) {
    if (shared_.size() < shared) shared_.resize({shared});
    while (static_cast<int>(parts_.size()) < threads()) parts_.push_back(std::make_unique<Part>());
    for (auto& part : parts_)
      if (part->memory.size() < each) part->memory.resize({each});
  }
  /// What all chunks read; written before the job starts.
  Arena shared() { return Arena(shared_.data()); }

  /// One thread's part, held while a chunk runs.
  class Lease {
   public:
    explicit Lease(Scratch& scratch) : part_(scratch.free_part()) {}
    ~Lease() { part_.taken.store(false, std::memory_order_release); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Arena arena() { return Arena(part_.memory.data()); }

   private:
    Part& part_;
  };

 private:
  Part& free_part() {
    for (;;) {
      for (auto& part : parts_)
        if (!part->taken.exchange(true, std::memory_order_acquire)) return *part;
      std::this_thread::yield();  // only when the number of threads grew since reserve()
    }
  }

  Tensor<unsigned char> shared_;
  std::vector<std::unique_ptr<Part>> parts_;
};

}  // namespace ventral::inline v0::cpu
