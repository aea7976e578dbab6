#pragma once
#include <algorithm>

#include "ventral/cuda/gemm_tiled.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

/// The kernels of a product. `naive` and `tiled` are in gemm_simple.cuh; `register_tiled` and `tensor` are gemm_pipelined_kernel on a RegisterTile or
/// a TensorTile. `tensor` is `register_tiled` for what tensor cores do not multiply: see tensor_multiplies. `hopper` is gemm_hopper_kernel, of a tile of its own,
/// for 16-bit numbers and tf32 on Hopper, and `tensor` where that cannot run; no rule picks it before a GPU has measured it.
enum class GemmKernel { naive, tiled, register_tiled, tensor, hopper };
/// Size of the tile of c that a block of the last two works on: 64 x 64, 128 x 128 (double 128 x 64), or for floats without tensor cores 128 x 256.
enum class GemmTile { small, large, huge };
template <class T, Math math>
constexpr bool tensor_multiplies = sizeof(T) == 2 || (std::is_same_v<T, float> && math != Math::exact);

/// How a product is computed. `parts`: pieces of k that are summed apart, then added in order (naive: always one).
struct GemmTuning {
  GemmKernel kernel = GemmKernel::register_tiled;
  GemmTile tile = GemmTile::small;
  Index parts = 1;
};

/// The limits of the rule that picks a tuning.
struct GemmRule {
  Index few = 16;           ///< rows or columns of c that are too few for a tile: `tiled`
  Index large_tiles = 128;  ///< large tiles when c is that many of them
  Index blocks = 128;       ///< k is cut into parts until there are that many blocks,
  Index part_depth = 128;   ///< each part this deep at least,
  Index most_parts = 32;    ///< and no more parts than these
};

/// The tuning of a product of T, from its shape and the GPU's compute capability: tensor cores for 16-bit numbers and where `math` allows them for float,
/// from 8.0 on (before: 16 bits `tiled`); else `tiled` for few rows or columns, else `register_tiled`. Never from a timing, so a shape gives the same bits
/// every time; never the huge tile, before a GPU has measured it.
template <class T, Math math = Math::exact>
GemmTuning gemm_tuning(Index m, Index n, Index k, int capability = compute_capability(), GemmRule rule = {}) {
  const auto tiles = [&](Index rows, Index columns) { return ((m + rows - 1) / rows) * ((n + columns - 1) / columns); };
  const bool tensor = tensor_multiplies<T, math> && capability >= 80;
  const bool few = !tensor && (sizeof(T) == 2 || m <= rule.few || n <= rule.few);
  GemmTuning t;
  t.kernel = few ? GemmKernel::tiled : tensor ? GemmKernel::tensor : GemmKernel::register_tiled;
  t.tile = tiles(128, 128) >= rule.large_tiles ? GemmTile::large : GemmTile::small;
  const Index blocks = t.kernel == GemmKernel::tiled ? tiles(16, 16) : tiles(64, 64);
  if (blocks > 0 && t.tile == GemmTile::small) t.parts = std::max(Index{1}, std::min({rule.blocks / blocks, k / rule.part_depth, rule.most_parts}));
  return t;
}

namespace detail {

constexpr Innermost depth_or(bool depth) { return depth ? Innermost::depth : Innermost::extent; }

/// The tile of each kernel, size and element type, and its stages.
template <class T, Math math, GemmKernel kernel, GemmTile size, Innermost a, Innermost b>
struct TileOf {  // 16-bit numbers come here on old GPUs only
  using type = RegisterTile<T, 64, 64, 16, 8, 4, a, b>;
  static constexpr int stages = 2;
};
template <Math math, Innermost a, Innermost b>
struct TileOf<float, math, GemmKernel::register_tiled, GemmTile::large, a, b> {
  using type = RegisterTile<float, 128, 128, 16, 8, 8, a, b>;
  static constexpr int stages = 2;
};
/// 8 x 16 sums a thread instead of 8 x 8: 21 multiplications for each vector of shared memory read, not 16, and three quarters of the reads from
/// the second-level cache. Predicted, if nothing but issuing instructions counts: 512 of 536 are multiplications (96 %), against 256 of 272 (94 %).
/// Registers a thread, by layout: 225 to 255 here, 128 to 254 there (nvcc 13, 7.5 to 9.0a, none in memory), so 8 warps to a processor, and 16 only where
/// the large tile has 128.
template <Math math, Innermost a, Innermost b>
struct TileOf<float, math, GemmKernel::register_tiled, GemmTile::huge, a, b> {
  using type = RegisterTile<float, 128, 256, 8, 8, 16, a, b>;
  static constexpr int stages = 3;
};
template <Math math, GemmTile size, Innermost a, Innermost b>
struct TileOf<double, math, GemmKernel::register_tiled, size, a, b> {
  static constexpr bool large = size != GemmTile::small;
  using type = std::conditional_t<large, RegisterTile<double, 128, 64, 8, 8, 4, a, b>, RegisterTile<double, 64, 64, 8, 4, 4, a, b>>;
  static constexpr int stages = 2;
};
template <class T, Math math, GemmTile size, Innermost a, Innermost b>
struct TileOf<T, math, GemmKernel::tensor, size, a, b> {
  static constexpr bool large = size != GemmTile::small;
  static constexpr int depth = 64 / static_cast<int>(sizeof(T));
  using type = std::conditional_t<large, TensorTile<T, 128, 128, depth, 2, 4, a, b, math>, TensorTile<T, 64, 64, depth, 2, 2, a, b, math>>;
  static constexpr int stages = 3;
};

}  // namespace detail

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
