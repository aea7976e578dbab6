#pragma once
/// The mbarriers of a block: what their 8 bytes of shared memory stand for.
#include "ventral/cuda/emulator/guard.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

/// A barrier in shared memory. A phase ends when all arrivals have come and as many bytes were copied as expected; the next one begins at once.
struct Mbarrier {
  static constexpr std::uint64_t mark = 0xFFF5A5A54D424152;  ///< what the 8 bytes hold, to show that they are written to
  static constexpr int most = (1 << 20) - 1;                 ///< arrivals, and bytes

  std::uint64_t* place;
  unsigned expected, missing;  ///< arrivals of a phase; those of this one that have not come
  int bytes;                   ///< expected in this phase, and not copied yet
  unsigned phase;              ///< how many have ended
  unsigned by, syncs;          ///< the thread that initialised it, after so many barriers of the block
  bool fenced;                 ///< whether the copy engine can see it
  Site site;
};

struct Mbarriers {
  static constexpr unsigned most = 64;
  Mbarrier all[most];
  unsigned count = 0;

  VENTRAL_EMULATOR_UNSEEN Mbarrier* find(const void* place) {
    for (unsigned i = 0; i < count; ++i)
      if (all[i].place == place) return &all[i];
    return nullptr;
  }
};

}  // namespace ventral::inline v0::cuda::emulated::emulator
