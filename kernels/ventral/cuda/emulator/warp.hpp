#pragma once
/// Warp operations: lanes named by a mask meet, and see each other's values.
#include <bit>

#include "ventral/cuda/emulator/guard.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

/// What the lanes of one warp operation publish. Used again when each of them has come to its next operation.
struct WarpBuffer {
  static constexpr std::size_t most_bytes = 256;
  alignas(16) unsigned char values[32 * most_bytes];
  unsigned votes = 0;
  unsigned holders = 0;  ///< lanes that may still read it
};

[[gnu::cold]] inline std::string mask_text(unsigned mask) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", mask);
  return text;
}

/// A warp operation that some of its lanes have come to.
struct WarpOperation {
  unsigned mask, arrived;
  std::size_t bytes;
  Site site;
  WarpBuffer* buffer;
};

/// The operations in progress of one warp; disjoint masks may be at different ones.
struct Warp {
  unsigned lanes = 0;   ///< those that the block has
  unsigned exited = 0;  ///< those that have returned
  int count = 0, buffers_made = 0;
  WarpOperation operations[32];
  WarpBuffer* held[32];
  WarpBuffer* buffers[33];  // never more: each of the 32 lanes holds at most one

  Warp() = default;
  Warp(const Warp&) = delete;
  Warp& operator=(const Warp&) = delete;
  ~Warp() {
    for (int i = 0; i < buffers_made; ++i) delete buffers[i];
  }

  VENTRAL_EMULATOR_UNSEEN void clear(unsigned threads) {
    lanes = threads >= 32 ? ~0u : (1u << threads) - 1;
    exited = 0;
    count = 0;
    for (int i = 0; i < buffers_made; ++i) buffers[i]->holders = 0;
    for (WarpBuffer*& buffer : held) buffer = nullptr;
  }

  VENTRAL_EMULATOR_UNSEEN WarpOperation* find(unsigned mask) {
    for (int i = 0; i < count; ++i)
      if (operations[i].mask == mask) return &operations[i];
    return nullptr;
  }
  /// An operation in which a lane of `mask` waits for `lane`, while that lane has come to another one which waits for it.
  VENTRAL_EMULATOR_UNSEEN const WarpOperation* conflicting(unsigned lane, unsigned mask) const {
    for (int i = 0; i < count; ++i)
      if (operations[i].mask != mask && (operations[i].mask >> lane & 1) && (operations[i].arrived & mask)) return &operations[i];
    return nullptr;
  }
  VENTRAL_EMULATOR_UNSEEN WarpOperation* begin(unsigned mask, std::size_t bytes, Site site) {
    WarpBuffer* buffer = free_buffer();
    buffer->holders = mask;
    buffer->votes = 0;
    if (bytes && mask != ~0u) fill_fresh(buffer->values, 32 * bytes);
    operations[count] = {mask, 0, bytes, site, buffer};
    return &operations[count++];
  }
  VENTRAL_EMULATOR_UNSEEN void end(WarpOperation* operation) { *operation = operations[--count]; }

  WarpBuffer* make_buffer() { return buffers[buffers_made++] = new WarpBuffer; }
  /// ThreadSanitizer takes an allocation for a write, which must not come from one of the lanes.
  void make_all_buffers() {
    while (buffers_made < 33) make_buffer();
  }

 private:
  VENTRAL_EMULATOR_UNSEEN WarpBuffer* free_buffer() {
    for (int i = 0; i < buffers_made; ++i)
      if (buffers[i]->holders == 0) return buffers[i];
    return make_buffer();
  }
};

}  // namespace ventral::inline v0::cuda::emulated::emulator
