#pragma once
/// What fresh memory holds, and what lies around arrays to show writes past them. Both read as NaN.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "ventral/cuda/emulator/sanitizers.hpp"
#include "ventral/error.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

/// A line of the kernel's source.
struct Site {
  const char* file = nullptr;
  int line = 0;
};
VENTRAL_EMULATOR_UNSEEN inline bool same(Site a, Site b) { return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0); }
inline std::string to_string(Site site) { return concat(site.file, ":", site.line); }

/// What guard zones hold, by their offset in memory modulo 4: a NaN as float and double, and every other number a NaN as bfloat16.
struct GuardPattern {
  static constexpr std::size_t most = 512;
  unsigned char bytes[most + 4] = {};
  constexpr GuardPattern() {
    for (std::size_t i = 0; i < most + 4; ++i) bytes[i] = static_cast<unsigned char>(0xFFF5A5A5u >> i % 4 * 8);
  }
};
inline constexpr GuardPattern guard_pattern;

/// Fills memory with 0xFF bytes: NaN in every floating-point type, -1 in integers. Not seen by ThreadSanitizer, to which a memset is a write by this thread.
VENTRAL_EMULATOR_UNSEEN inline void fill_fresh(void* p, std::size_t bytes) {
  if constexpr (under_tsan) {
    volatile char* to = static_cast<char*>(p);
    for (std::size_t i = 0; i < bytes; ++i) to[i] = static_cast<char>(0xFF);
  } else {
    std::memset(p, 0xFF, bytes);
  }
}

/// Copies a value. Not seen by ThreadSanitizer, to which buffers used again by other lanes would be races.
VENTRAL_EMULATOR_UNSEEN inline void copy_unseen(void* to, const void* from, std::size_t bytes) {
  if constexpr (under_tsan) {
    volatile unsigned char* p = static_cast<unsigned char*>(to);
    for (std::size_t i = 0; i < bytes; ++i) p[i] = static_cast<const unsigned char*>(from)[i];
  } else if (bytes) {
    std::memcpy(to, from, bytes);
  }
}

/// Fills a guard zone that lies at an offset in its memory.
VENTRAL_EMULATOR_UNSEEN inline void fill_guard(char* p, std::size_t bytes, std::size_t offset) {
  if constexpr (under_asan) {
    asan_poison(p, bytes);
  } else {
    volatile char* to = p;
    for (std::size_t i = 0; i < bytes; ++i) to[i] = static_cast<char>(guard_pattern.bytes[(offset + i) % 4]);
  }
}

/// The first damaged byte of a guard zone, or `bytes` when it is whole. AddressSanitizer needs no check: it has stopped the write.
VENTRAL_EMULATOR_UNSEEN inline std::size_t damaged_byte(const char* p, std::size_t bytes, std::size_t offset) {
  if constexpr (under_asan) return bytes;
  if (!under_tsan && bytes <= guard_pattern.most && std::memcmp(p, guard_pattern.bytes + offset % 4, bytes) == 0) [[likely]]
    return bytes;
  std::size_t i = 0;
  while (i < bytes && p[i] == static_cast<char>(guard_pattern.bytes[(offset + i) % 4])) ++i;
  return i;
}

}  // namespace ventral::inline v0::cuda::emulated::emulator
