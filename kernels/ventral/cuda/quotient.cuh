#pragma once
#include <cstdint>

#include "ventral/cuda/runtime.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

/// a / b for a >= 0 and b > 0, in 32 bits where both fit: 64-bit division takes several times as long.
VENTRAL_DEVICE Index quotient(Index a, Index b) {
  if ((a | b) >> 32) return a / b;
  return static_cast<Index>(static_cast<std::uint32_t>(a) / static_cast<std::uint32_t>(b));
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
