#pragma once
#include "ventral/cuda/gemm_tile.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// Numbers after each run of a slab that tensor cores read, so that the eight rows of a fragment lie in different banks.
template <class T>
constexpr int tensor_padding(Innermost innermost) {
  return sizeof(T) == 2 || innermost == Innermost::extent ? 8 : 4;
}

/// A fragment of an operand as it is multiplied: 16 bits as they are, float as tf32, or (`split`) as the sum of two, x = high + low to 2^-23 |x|.
template <class T, bool split, int n>
struct TensorOperand {
  std::uint32_t high[n], low[split ? n : 1];

  VENTRAL_DEVICE void set(int i, std::uint32_t bits) {
    if constexpr (sizeof(T) == 2) {
      high[i] = bits;
    } else {
      const float x = std::bit_cast<float>(bits);
      high[i] = to_tf32(x);
      if constexpr (split) low[i] = to_tf32(x - std::bit_cast<float>(high[i]));
    }
  }
};

}  // namespace detail

/// The same as RegisterTile on tensor cores, sums in float: bfloat16 and half as they are, float as tf32 or, with `math` tf32x3, as two tf32 numbers
/// each: a b = low high + high low + high high, to 2^-21 |a b|. Tensor cores cut their sums, so those of tf32x3 leave them after each step of 8 along the
/// depth and are added up by ordinary arithmetic: 4 additions for 3 mma. Then infinities, and what tf32 rounds to one (|x| >= 2^128 - 2^116), make NaN
/// in their row or column of c; numbers below 2^-114 are split to 2^-137, no better.
/// The block's warps, warps_down x warps_across, share the tile evenly; each reads fragments of 16 rows and 8 columns (see mma), those of 16 bits by
/// ldmatrix. Source of the split: Ootomo, Yokota 2022, Recovering single precision accuracy from Tensor Cores, IJHPCA 36(4).
template <class T, int rows_, int columns_, int depth_, int warps_down, int warps_across, Innermost a_innermost, Innermost b_innermost, Math math = Math::tf32>
class TensorTile {
  static constexpr bool split = sizeof(T) == 4 && math == Math::tf32x3;
  using Left = detail::TensorOperand<T, split, 4>;
  using Right = detail::TensorOperand<T, split, 2>;
  static constexpr int warp_rows = rows_ / warps_down, warp_columns = columns_ / warps_across, step = mma_depth<T>;
  static constexpr int down = warp_rows / 16, across = warp_columns / 8;

 public:
  using Scalar = T;
  using Sum = float;
  static constexpr int rows = rows_, columns = columns_, depth = depth_, threads = 32 * warps_down * warps_across;
  static constexpr int thread_rows = 2 * down, thread_columns = 2 * across;
  using A = Slab<T, rows, depth, a_innermost, detail::tensor_padding<T>(a_innermost)>;
  using B = Slab<T, columns, depth, b_innermost, detail::tensor_padding<T>(b_innermost)>;
  static_assert(warp_rows % 16 == 0 && warp_columns % 16 == 0 && depth % step == 0);

  VENTRAL_DEVICE TensorTile() {
    const int warp = thread_in_block() / 32;
    lane_ = thread_in_block() % 32;
    first_row_ = warp / warps_across * warp_rows;
    first_column_ = warp % warps_across * warp_columns;
  }

  VENTRAL_DEVICE void clear() {
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < down; ++i)
      VENTRAL_DEVICE_UNROLL
      for (int j = 0; j < across; ++j)
        VENTRAL_DEVICE_UNROLL
        for (int e = 0; e < 4; ++e) sum_[i][j][e] = 0;
  }

  /// Adds the product of two slabs; all threads of the block must come here. Ends before other warps have: a barrier is due before the slabs are
  /// written again.
  VENTRAL_DEVICE void multiply(const T* a, const T* b) {
    constexpr int last = has_tensor_cores ? depth : 0;  // without, this tile is never chosen
    VENTRAL_DEVICE_UNROLL
    for (int k = 0; k < last; k += step) {
      Right right[across];
      VENTRAL_DEVICE_UNROLL
      for (int j = 0; j < across; j += 2) read_b(right[j], right[j + 1], b, first_column_ + 8 * j, k);
      VENTRAL_DEVICE_UNROLL
      for (int i = 0; i < down; ++i) {
        const Left left = read_a(a, first_row_ + 16 * i, k);
        VENTRAL_DEVICE_UNROLL
        for (int j = 0; j < across; ++j) add_product(sum_[i][j], left, right[j]);
      }
    }
  }

  static constexpr int column_run = 2, pair_step = 8;
  VENTRAL_DEVICE int row(int i) const { return first_row_ + 8 * i + lane_ / 4; }
  VENTRAL_DEVICE int column(int j) const { return first_column_ + j / 2 * 8 + lane_ % 4 * 2 + j % 2; }
  VENTRAL_DEVICE float sum(int i, int j) const { return sum_[i / 2][j / 2][i % 2 * 2 + j % 2]; }

 private:
  VENTRAL_DEVICE static void add_product(float (&sum)[4], const Left& a, const Right& b) {
    if constexpr (split) {
      float part[4] = {};
      mma<T>(part, a.low, b.high);
      mma<T>(part, a.high, b.low);
      mma<T>(part, a.high, b.high);
      VENTRAL_DEVICE_UNROLL
      for (int e = 0; e < 4; ++e) sum[e] += part[e];
    } else {
      mma<T>(sum, a.high, b.high);
    }
  }

  /// 16 rows from `row`, one step from k.
  VENTRAL_DEVICE Left read_a(const T* a, int row, int k) const {
    Left left;
    std::uint32_t out[4];
    if constexpr (sizeof(T) == 2) {
      const int matrix = lane_ / 8, line = lane_ % 8, lower = matrix % 2 * 8, later = matrix / 2 * 8;
      if constexpr (a_innermost == Innermost::depth) load_matrices<false>(out, a + A::at(row + lower + line, k + later));
      else load_matrices<true>(out, a + A::at(row + lower, k + later + line));
    } else {
      VENTRAL_DEVICE_UNROLL
      for (int i = 0; i < 4; ++i) out[i] = std::bit_cast<std::uint32_t>(a[A::at(row + lane_ / 4 + i % 2 * 8, k + lane_ % 4 + i / 2 * 4)]);
    }
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < 4; ++i) left.set(i, out[i]);
    return left;
  }

  /// Two times 8 columns from `column`, one step from k.
  VENTRAL_DEVICE void read_b(Right& left, Right& right, const T* b, int column, int k) const {
    std::uint32_t out[4];
    if constexpr (sizeof(T) == 2) {
      const int matrix = lane_ / 8, line = lane_ % 8, later = matrix % 2 * 8, beside = matrix / 2 * 8;
      if constexpr (b_innermost == Innermost::depth) load_matrices<false>(out, b + B::at(column + beside + line, k + later));
      else load_matrices<true>(out, b + B::at(column + beside, k + later + line));
    } else {
      VENTRAL_DEVICE_UNROLL
      for (int i = 0; i < 4; ++i) out[i] = std::bit_cast<std::uint32_t>(b[B::at(column + lane_ / 4 + i / 2 * 8, k + lane_ % 4 + i % 2 * 4)]);
    }
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < 2; ++i) left.set(i, out[i]), right.set(i, out[2 + i]);
  }

  int lane_, first_row_, first_column_;
  float sum_[down][across][4];
};

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
