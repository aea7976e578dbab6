#pragma once
/// The asynchronous copies that a thread has issued.
#include <cstdlib>

#include "ventral/cuda/emulator/guard.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

/// One copy to shared memory; bytes beyond `valid` become 0.
struct AsyncCopy {
  unsigned* to;
  const unsigned* from;
  unsigned bytes, valid, group;
  Site site;
};

/// Copies in the order of issue. Plain memory, because the fibers' bookkeeping must not be seen by ThreadSanitizer.
struct AsyncQueue {
  AsyncCopy* copies = nullptr;
  unsigned first = 0, count = 0, capacity = 0;
  unsigned group = 0;  ///< committed so far

  AsyncQueue() = default;
  AsyncQueue(const AsyncQueue&) = delete;
  AsyncQueue& operator=(const AsyncQueue&) = delete;
  ~AsyncQueue() { std::free(copies); }

  VENTRAL_EMULATOR_UNSEEN void clear() { first = count = group = 0; }
  VENTRAL_EMULATOR_UNSEEN unsigned committed() const { return group; }
  VENTRAL_EMULATOR_UNSEEN void push(const AsyncCopy& copy) {
    if (first == count) first = count = 0;
    if (count == capacity) {
      capacity = capacity ? 2 * capacity : 16;
      copies = static_cast<AsyncCopy*>(std::realloc(copies, capacity * sizeof(AsyncCopy)));
      if (!copies) throw CudaError("the emulator found no memory for asynchronous copies");
    }
    copies[count++] = copy;
    copies[count - 1].group = group;
  }
  /// The next copy of a group before `group_end`, in *copy; false when there is none.
  VENTRAL_EMULATOR_UNSEEN bool pop(unsigned group_end, AsyncCopy* copy) {
    if (first == count || copies[first].group >= group_end) return false;
    *copy = copies[first++];
    return true;
  }
};

}  // namespace ventral::inline v0::cuda::emulated::emulator
