#pragma once
#include <bit>
#include <cstdint>

#include "ventral/cuda/runtime.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

/// a / b for a >= 0 and b > 0, in 32 bits where both fit: 64-bit division takes several times as long.
VENTRAL_DEVICE Index quotient(Index a, Index b) {
  if ((a | b) >> 32) return a / b;
  return static_cast<Index>(static_cast<std::uint32_t>(a) / static_cast<std::uint32_t>(b));
}

/// A number that kernels divide by again and again: a multiplication, an addition and a shift instead of some 20 instructions.
/// a / d = (a m / 2^32 + a) / 2^s with s = ceil(log2 d), m = 2^32 (2^s - d) / d + 1, rounded down; exact for 0 <= a < 2^31, 0 < d < 2^31.
/// Source: Granlund and Montgomery 1994, "Division by invariant integers using multiplication", figure 4.1.
class FixedDivisor {
 public:
  explicit FixedDivisor(Index d = 1)
      : d_(static_cast<std::uint32_t>(d > 0 ? d : 1)),  // by 0 nothing is ever divided
        shift_(static_cast<std::uint32_t>(std::bit_width(d_ - 1))),
        factor_(static_cast<std::uint32_t>((((std::uint64_t{1} << shift_) - d_) << 32) / d_ + 1)) {}

  constexpr int quotient(int a) const {
    const std::uint32_t n = static_cast<std::uint32_t>(a);
    return static_cast<int>((static_cast<std::uint32_t>(std::uint64_t{n} * factor_ >> 32) + n) >> shift_);
  }
  constexpr int operator*() const { return static_cast<int>(d_); }

 private:
  std::uint32_t d_, shift_, factor_;
};

/// a / d and what is left.
struct Division {
  int quotient, rest;
  VENTRAL_DEVICE Division(int a, const FixedDivisor& d) : quotient(d.quotient(a)), rest(a - quotient * *d) {}
};

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
