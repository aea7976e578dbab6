#pragma once
/// What the copy engine (TMA) works on: descriptions of matrices, and copies of boxes of them that have not ended.
#include "ventral/cuda/emulator/mbarrier_table.hpp"

namespace ventral::inline v0::cuda::emulated {

/// A matrix in global memory and the box of it that is copied at once: what cuTensorMapEncodeTiled puts into a CUtensorMap. Index 0 is the innermost.
struct TensorMap {
  const char* data;
  std::size_t pitch;       ///< bytes from row to row
  long long extent[2];     ///< of the matrix, in numbers
  int box[2];              ///< of the box, in numbers
  unsigned number;         ///< bytes of a number
  bool to_tf32;            ///< floats are rounded on their way
};

namespace emulator {

/// Where a byte lies that was to lie at `address`, under the swizzle of 128 bytes: in every 1024 bytes, eight rows of eight pieces of 16, piece p of row r
/// changes places with piece p xor r. Source: PTX ISA, swizzling modes of tensors; CUDA driver API, CU_TENSOR_MAP_SWIZZLE_128B.
inline std::size_t swizzle_128(std::size_t address) { return address ^ (address >> 7 & 7) << 4; }

/// A box of a matrix from (x, y), on its way to shared memory.
struct BulkCopy {
  char* to;
  TensorMap map;
  int x, y;
  Mbarrier* barrier;
  Site site;
};

/// The copies in flight of a block.
struct BulkQueue {
  static constexpr unsigned most = 128;
  BulkCopy copies[most];
  unsigned count = 0;

  VENTRAL_EMULATOR_UNSEEN BulkCopy take(unsigned i) {
    const BulkCopy taken = copies[i];
    for (--count; i < count; ++i) copies[i] = copies[i + 1];
    return taken;
  }
};

}  // namespace emulator

}  // namespace ventral::inline v0::cuda::emulated
