#pragma once
/// What the copy engine (TMA) works on: descriptions of matrices and of images, and copies of boxes of them that have not ended.
#include "ventral/cuda/emulator/mbarrier_table.hpp"

namespace ventral::inline v0::cuda::emulated {

/// A matrix or images in global memory and the box of it that is copied at once: what cuTensorMapEncodeTiled or cuTensorMapEncodeIm2col puts into a
/// CUtensorMap. Index 0 is the innermost: columns and rows; or channels, columns, rows and images.
struct TensorMap {
  const char* data;
  std::size_t pitch[3];    ///< bytes from one to the next, along index 1, 2, 3
  long long extent[4];     ///< in numbers
  int box[2];              ///< of the box, in numbers; of images: channels and pixels
  unsigned number;         ///< bytes of a number
  bool to_tf32;            ///< floats are rounded on their way
  bool images;
  int first[2], last[2], step[2];  ///< of images: columns and rows where windows stand, the last counted from the end, which is 0
};

namespace emulator {

/// Where a byte lies that was to lie at `address`, under the swizzle of 128 bytes: in every 1024 bytes, eight rows of eight pieces of 16, piece p of row r
/// changes places with piece p xor r. Source: PTX ISA, swizzling modes of tensors; CUDA driver API, CU_TENSOR_MAP_SWIZZLE_128B.
inline std::size_t swizzle_128(std::size_t address) { return address ^ (address >> 7 & 7) << 4; }

/// A box from `at` on, on its way to shared memory; of images, each pixel read so far from where its window stands.
struct BulkCopy {
  char* to;
  TensorMap map;
  int at[4], offset[2];
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
