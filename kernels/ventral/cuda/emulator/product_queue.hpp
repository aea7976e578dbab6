#pragma once
/// The products that a thread has issued as one of its warpgroup (wgmma), and the sums they go to.
#include "ventral/cuda/emulator/guard.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

class Block;

/// d += a b, of which the thread has some sums. `add` knows shape and type.
struct WarpgroupProduct {
  unsigned sums;  ///< which of the thread's
  std::uint64_t a, b;
  void (*add)(Block&, float* sums, std::uint64_t a, std::uint64_t b, Site);
  Site site;
  unsigned group;
  bool done;
};

/// Sums that products in flight go to. Meanwhile the thread's own are NaN.
struct WarpgroupSums {
  static constexpr unsigned most = 128;
  float* d = nullptr;
  unsigned count = 0, unfinished = 0;  ///< numbers; products in flight
  float values[most];
};

struct ProductQueue {
  static constexpr unsigned most = 64, most_sums = 4;
  WarpgroupProduct products[most];
  WarpgroupSums sums[most_sums];
  unsigned first = 0, count = 0;  ///< products in flight
  unsigned group = 0;             ///< committed so far
  bool fenced = false;            ///< a wgmma.fence since the last wait
  std::uint64_t history = 0;      ///< of all that was issued: the same in all threads of a warpgroup

  VENTRAL_EMULATOR_UNSEEN void clear() {
    first = count = group = 0;
    fenced = false;
    history = 0;
    for (WarpgroupSums& s : sums) s.unfinished = 0;
  }
  VENTRAL_EMULATOR_UNSEEN WarpgroupProduct& at(unsigned i) { return products[(first + i) % most]; }
  /// The sums in d, in flight or not yet; null when there are too many.
  VENTRAL_EMULATOR_UNSEEN WarpgroupSums* find(const float* d) {
    WarpgroupSums* free = nullptr;
    for (WarpgroupSums& s : sums) {
      if (s.unfinished && s.d == d) return &s;
      if (!s.unfinished) free = &s;
    }
    return free;
  }
};

/// Where threads of a warpgroup wait for the others.
struct Meeting {
  unsigned arrived = 0, first = 0;
  std::uint64_t history = 0;
  Site site{};
};

}  // namespace ventral::inline v0::cuda::emulated::emulator
