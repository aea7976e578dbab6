#pragma once
/// What a launch of a kernel is, for those who launch (runtime.cuh) and those who run it (device.cuh, the emulator).
#include "ventral/cuda/space.hpp"
#include "ventral/shape.hpp"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

/// Blocks of a grid, or threads of a block, along up to three axes.
struct Extent {
  unsigned x = 1, y = 1, z = 1;
  constexpr Extent() = default;
  template <class X, class Y = int, class Z = int>
  constexpr Extent(X x_count, Y y_count = 1, Z z_count = 1)
      : x(static_cast<unsigned>(x_count)), y(static_cast<unsigned>(y_count)), z(static_cast<unsigned>(z_count)) {}
  constexpr Index size() const { return Index{x} * y * z; }
};

/// One launch of a kernel: its name and the shapes it works on, for messages; blocks, threads of a block, bytes of dynamic shared memory.
/// A grid without blocks does nothing.
struct Launch {
  const char* kernel;
  Extent blocks, threads = 256;
  std::size_t shared = 0;
  Shape shape{}, other{};
};

/// Blocks that give each of n elements a thread, as many as a grid may have; kernels step by element_step() to cover the rest.
constexpr Extent blocks_for(Index n, Index threads = 256) {
  const Index blocks = (n + threads - 1) / threads, most = (Index{1} << 31) - 1;
  return Extent(blocks < most ? blocks : most);
}

[[gnu::cold]] inline std::string to_string(const Launch& l) {
  const auto extent = [](Extent e) { return concat(e.x, "x", e.y, "x", e.z); };
  std::string out = concat(l.kernel, " <<<", extent(l.blocks), " blocks, ", extent(l.threads), " threads");
  if (l.shared) out += concat(", ", l.shared, " bytes shared");
  out += ">>>";
  if (l.shape.rank()) out += concat(" on ", l.shape);
  if (l.other.rank()) out += concat(" and ", l.other);
  return out;
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
