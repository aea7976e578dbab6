#pragma once
#include "ventral/cuda/primitives.cuh"

/// A block's share of a matrix product, for GEMM kernels and for whatever else ends in one (convolution): the block brings a slab of each operand
/// into shared memory, in its own way, and the tile multiplies them into sums that it keeps in registers.
///
///     using Tile = RegisterTile<float, 64, 64, 16, 8, 4, Innermost::depth, Innermost::extent>;   // 64 x 64 numbers of c, 16 deep; 128 threads
///     VENTRAL_SHARED(float, a, Tile::A::size);
///     VENTRAL_SHARED(float, b, Tile::B::size);
///     Tile tile;
///     tile.clear();
///     for (Index k0 = 0; k0 < k; k0 += Tile::depth) {
///       for (int i = thread; i < 64 * 16; i += Tile::threads) a[Tile::A::at(i / 16, i % 16)] = ...;    // at(row, depth); zeros outside the matrix
///       for (int i = thread; i < 64 * 16; i += Tile::threads) b[Tile::B::at(i % 64, i / 64)] = ...;    // at(column, depth)
///       __syncthreads();
///       tile.multiply(a, b);
///       __syncthreads();
///     }
///     for (int i = 0; i < Tile::thread_rows; ++i)        // unrolled: VENTRAL_DEVICE_UNROLL before each
///       for (int j = 0; j < Tile::thread_columns; ++j) ... tile.row(i), tile.column(j), tile.sum(i, j) ...
///
/// With copy_slab and two slabs of each, copying overlaps the arithmetic: see gemm_tiled.cuh. Threads are counted by thread_in_block(), x fastest.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

/// Which axis of a slab is contiguous, in shared memory and, for copy_slab, in global memory: the depth (the axis summed over), or the extent (rows
/// of a, columns of b).
enum class Innermost { depth, extent };

/// How a slab of one operand, `extent` x `depth` numbers, lies in shared memory. `padding` numbers after each run keep banks apart.
template <class T, int extent_, int depth_, Innermost innermost_, int padding>
struct Slab {
  using Scalar = T;
  static constexpr int extent = extent_, depth = depth_;
  static constexpr Innermost innermost = innermost_;
  static constexpr int run = innermost == Innermost::depth ? depth : extent, runs = innermost == Innermost::depth ? extent : depth;
  static constexpr int stride = run + padding, size = runs * stride;
  static constexpr int at(int i, int k) { return innermost == Innermost::depth ? i * stride + k : k * stride + i; }
};

namespace detail {

/// This thread's place when a block of rows x columns threads is cut into warps of 4 x 8.
template <int thread_columns>
struct ThreadPlace {
  int row, column;
  VENTRAL_DEVICE ThreadPlace() {
    constexpr int across = thread_columns / 8;
    const int thread = thread_in_block(), warp = thread / 32, lane = thread % 32;
    row = warp / across * 4 + lane / 8;
    column = warp % across * 8 + lane % 8;
  }
};

}  // namespace detail

/// rows x columns sums, each thread thread_rows x thread_columns of them, by ordinary arithmetic in Compute<T>: exact products for any T.
/// A thread's rows and columns lie so that a warp reads shared memory in vectors without bank conflicts: neighbours take neighbouring vectors of a
/// slab whose extent is innermost, neighbouring rows of one whose depth is. thread_rows + thread_columns numbers are read for each
/// thread_rows x thread_columns multiplications.
template <class T, int rows_, int columns_, int depth_, int thread_rows_, int thread_columns_, Innermost a_innermost, Innermost b_innermost>
class RegisterTile {
 public:
  using Scalar = T;
  using Sum = Compute<T>;
  static constexpr int rows = rows_, columns = columns_, depth = depth_, thread_rows = thread_rows_, thread_columns = thread_columns_;
  static constexpr int down = rows / thread_rows, across = columns / thread_columns, threads = down * across;
  static constexpr int vector = sizeof(T) == 8 ? 2 : 4, step = vector;  // numbers read at once along the extent, along the depth
  template <int extent, Innermost innermost>
  using Operand = Slab<T, extent, depth, innermost, innermost == Innermost::depth ? 16 / static_cast<int>(sizeof(T)) : 0>;
  using A = Operand<rows, a_innermost>;
  using B = Operand<columns, b_innermost>;
  /// A thread's columns j, j + 1, ... lie beside each other from a multiple of it to the next.
  static constexpr int column_run = b_innermost == Innermost::depth ? 1 : vector;
  /// From a thread's columns j, j + 1 to its next two, for j a multiple of 4 and runs of at least two.
  static constexpr int pair_step = vector > 2 ? 2 : across * vector;
  static_assert(down % 4 == 0 && across % 8 == 0 && depth % step == 0 && thread_rows % vector == 0 && thread_columns % vector == 0);

  VENTRAL_DEVICE void clear() {
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < thread_rows; ++i)
      VENTRAL_DEVICE_UNROLL
      for (int j = 0; j < thread_columns; ++j) sum_[i][j] = Sum(0);
  }

  /// Adds the product of two slabs. Ends before other threads have: a barrier is due before the slabs are written again.
  VENTRAL_DEVICE void multiply(const T* a, const T* b) {
    VENTRAL_DEVICE_UNROLL
    for (int k = 0; k < depth; k += step) {
      Sum left[thread_rows][step], right[column_run][step];
      read<A, down>(left, a, place_.row, 0, k);
      VENTRAL_DEVICE_UNROLL
      for (int first = 0; first < thread_columns; first += column_run) {
        read<B, across>(right, b, place_.column, first, k);
        VENTRAL_DEVICE_UNROLL
        for (int s = 0; s < step; ++s)
          VENTRAL_DEVICE_UNROLL
          for (int i = 0; i < thread_rows; ++i)
            VENTRAL_DEVICE_UNROLL
            for (int j = 0; j < column_run; ++j) sum_[i][first + j] += left[i][s] * right[j][s];
      }
    }
  }

  /// Where in the tile sum(i, j) of this thread belongs.
  VENTRAL_DEVICE int row(int i) const { return place<A, down>(place_.row, i); }
  VENTRAL_DEVICE int column(int j) const { return place<B, across>(place_.column, j); }
  VENTRAL_DEVICE Sum sum(int i, int j) const { return sum_[i][j]; }

 private:
  template <class S, int count>
  VENTRAL_DEVICE static int place(int thread, int i) {
    if constexpr (S::innermost == Innermost::depth) return thread + count * i;
    else return (thread + count * (i / vector)) * vector + i % vector;
  }

  /// `step` numbers, along the depth, of some of this thread's rows, or columns, from number `first`.
  template <class S, int count, int some>
  VENTRAL_DEVICE static void read(Sum (&out)[some][step], const T* slab, int thread, int first, int k) {
    if constexpr (S::innermost == Innermost::depth) {
      VENTRAL_DEVICE_UNROLL
      for (int i = 0; i < some; ++i) {
        const auto run = load_vector<T, step * static_cast<int>(sizeof(T))>(slab + S::at(place<S, count>(thread, first + i), k));
        VENTRAL_DEVICE_UNROLL
        for (int s = 0; s < step; ++s) out[i][s] = static_cast<Sum>(run.v[s]);
      }
    } else {
      VENTRAL_DEVICE_UNROLL
      for (int s = 0; s < step; ++s)
        VENTRAL_DEVICE_UNROLL
        for (int i = 0; i < some; i += vector) {
          const auto run = load_vector<T, vector * static_cast<int>(sizeof(T))>(slab + S::at(place<S, count>(thread, first + i), k + s));
          VENTRAL_DEVICE_UNROLL
          for (int j = 0; j < vector; ++j) out[i + j][s] = static_cast<Sum>(run.v[j]);
        }
    }
  }

  detail::ThreadPlace<across> place_;
  Sum sum_[thread_rows][thread_columns];
};

/// Begins to copy a slab from a matrix in global memory (see async_copy; async_commit() is the caller's): element (i, k) of the slab is
/// from[i * stride + k] when the depth is innermost, from[k * stride + i] otherwise; zero for i >= extent or k >= depth, what is left of the matrix.
/// `vectors`: every run starts at a multiple of 16 bytes and what is left along it is a multiple of 16 bytes. Neighbouring threads read neighbours.
template <class S, int threads, class T>
VENTRAL_DEVICE void copy_slab(T* slab, const T* from, Index stride, Index extent, Index depth, bool vectors) {
  constexpr bool by_depth = S::innermost == Innermost::depth;
  const int thread = thread_in_block();
  const Index runs = by_depth ? extent : depth, run = by_depth ? depth : extent;
  if (vectors) {
    constexpr int length = 16 / static_cast<int>(sizeof(T)), pieces = S::run / length, count = S::runs * pieces;
    VENTRAL_DEVICE_UNROLL
    for (int first = 0; first < count; first += threads) {
      const int piece = first + thread, r = piece / pieces, i = piece % pieces * length;
      if (count % threads == 0 || piece < count) async_copy<16>(slab + r * S::stride + i, from + r * stride + i, r < runs && i < run);
    }
  } else {
    for (int piece = thread; piece < S::runs * S::run; piece += threads) {
      const int r = piece / S::run, i = piece % S::run;
      const bool valid = r < runs && i < run;
      if constexpr (sizeof(T) >= 4) async_copy<sizeof(T)>(slab + r * S::stride + i, from + r * stride + i, valid);
      else slab[r * S::stride + i] = valid ? from[r * stride + i] : T(0);
    }
  }
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
