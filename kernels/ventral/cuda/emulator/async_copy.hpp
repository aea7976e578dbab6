#pragma once
/// Copies to shared memory that end later (cp.async): the data are there after the wait, and not before.
#include "ventral/cuda/emulator/waiting.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

/// Issues a copy of 4, 8 or 16 bytes to shared memory; only `valid` bytes are read, the others become 0. Until the wait the destination is NaN.
/// Throws CudaError when an address is not aligned to `bytes` or not in its memory.
inline void async_copy(void* to, const void* from, unsigned bytes, unsigned valid, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  Block& block = *Block::current;
  const Site site{file, line};
  if ((bytes != 4 && bytes != 8 && bytes != 16) || valid > bytes)
    block.fail(concat("asynchronous copy of ", valid, " of ", bytes, " bytes; 4, 8 or 16 are possible"), site);
  const auto misaligned = [&](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % bytes != 0; };
  if (misaligned(to) || misaligned(from))
    block.fail(concat("asynchronous copy with a misaligned ", misaligned(to) ? "destination" : "source", "; it has to be aligned to ", bytes, " bytes"), site);
  if (!block.in_shared(to, bytes)) block.fail("asynchronous copy whose destination is not in shared memory", site);
  if (valid && block.in_shared(from, valid)) block.fail("asynchronous copy whose source is in shared memory", site);
  AsyncCopy copy{static_cast<unsigned*>(to), static_cast<const unsigned*>(from), bytes, valid, 0, site};
  for (unsigned i = 0; i < bytes / 4; ++i) copy.to[i] = ~0u;
  block.copies().push(copy);
}

/// Makes a group of the copies issued since the last one.
VENTRAL_EMULATOR_UNSEEN inline void async_commit() { ++Block::current->copies().group; }

/// Waits until at most the last `groups` groups are unfinished.
inline void async_wait(unsigned groups) {
  AsyncQueue& queue = Block::current->copies();
  const unsigned committed = queue.committed();
  AsyncCopy copy;
  while (committed > groups && queue.pop(committed - groups, &copy))
    for (unsigned i = 0; i < copy.bytes / 4; ++i) {
      unsigned word = 0;
      if (copy.valid >= 4 * i + 4) {
        word = copy.from[i];
      } else if (copy.valid > 4 * i) {
        std::memcpy(&word, copy.from + i, copy.valid - 4 * i);
      }
      copy.to[i] = word;
    }
}

}  // namespace ventral::inline v0::cuda::emulated::emulator
