#pragma once
#include <limits>

#include "ventral/cuda/conv2d_gather.cuh"
#include "ventral/cuda/gemm_tensor_tile.cuh"

/// The gather of conv2d_plan.cuh as a product of matrices, by the tiles of gemm_tile.cuh: weights [rows, depth] times windows [depth, pixels].
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail {

/// What one place along the depth, a channel and a tap, adds to a pixel's position in x, to its line and column, and to a row's position in w.
template <class I>
struct alignas(16) GatherTap {
  I offset, line, column, weight;  ///< beyond the depth: weight is -1, and the line outside of every image
};

/// The taps of a slab in shared memory, so that nobody else counts channels, lines and columns: a few threads write those of the slab after the next.
template <class Tile, class I>
class TapTable {
 public:
  template <class T>
  VENTRAL_DEVICE TapTable(const ConvPlace<T, I>& place)
      : at_(ConvCursor<I>::at(thread_in_block(), place.v.taps, place.h.taps)), step_(ConvCursor<I>::at(Tile::depth, place.v.taps, place.h.taps)), k_(thread_in_block()) {}

  template <class T>
  VENTRAL_DEVICE void write(const ConvGather<T, I>& p, const ConvPlace<T, I>& place, GatherTap<I>* taps) {
    if (thread_in_block() >= Tile::depth) return;
    const I line = at_.i * place.v.dilation, column = at_.j * place.h.dilation;
    const GatherTap<I> tap{(at_.c * p.v.read + line) * p.h.read + column, line, column, place.weight(p, 0, at_)};
    taps[thread_in_block()] = k_ < place.depth ? tap : GatherTap<I>{0, std::numeric_limits<I>::max() / 2, 0, -1};
    at_.advance(step_, place.v.taps, place.h.taps);
    k_ += Tile::depth;
  }

 private:
  ConvCursor<I> at_, step_;
  I k_;
};

/// A thread's share of each slab of weights: one place along the depth, several rows, so that neighbours read neighbours.
template <class Tile, class I>
class WeightSlabs {
  using T = typename Tile::Scalar;
  static constexpr int apart = Tile::threads / Tile::depth, each = (Tile::rows + apart - 1) / apart;

 public:
  /// Reads the next slab into registers; zeros beyond the matrix.
  VENTRAL_DEVICE void read(const ConvGather<T, I>& p, const ConvPlace<T, I>& place, const GatherTap<I>* taps) {
    const I first = place.row + thread_in_block() / Tile::depth, k = taps[thread_in_block() % Tile::depth].weight;
    const T* const from = place.w + (k >= 0 && first < p.rows ? first * p.row_step + k : 0);
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < each; ++i) held_[i] = k >= 0 && first + i * apart < p.rows ? from[i * apart * p.row_step] : T(0);
  }
  VENTRAL_DEVICE void write(T* slab) const {
    const int k = thread_in_block() % Tile::depth, first = thread_in_block() / Tile::depth;
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < each; ++i)
      if (Tile::rows % apart == 0 || first + i * apart < Tile::rows) slab[Tile::A::at(first + i * apart, k)] = held_[i];
  }

 private:
  T held_[each];
};

/// The place among a tile's columns, in the order of windows, of column c: what a thread holds as four columns in a row is one window then.
template <class Tile>
VENTRAL_DEVICE int window_order(int c) {
  constexpr int apart = Tile::pair_step;
  return (c / (2 * apart) * (apart / 2) + c % apart / 2) * 4 + c / apart % 2 * 2 + c % 2;
}

/// A thread's share of each slab of windows: one pixel, whose place is found once, and several places along the depth. Neighbours read neighbours.
template <class Tile, class I>
class WindowSlabs {
  using T = typename Tile::Scalar;
  static constexpr int apart = Tile::threads / Tile::columns, each = Tile::depth / apart;
  static_assert(Tile::threads % Tile::columns == 0 && Tile::depth % apart == 0);

 public:
  VENTRAL_DEVICE WindowSlabs(const ConvGather<T, I>& p, const ConvPlace<T, I>& place)
      : pixel_(p, place, place.column + column_in_tile(p.ending.max_pool)), corner_(pixel_.v * p.h.read + pixel_.h) {}

  VENTRAL_DEVICE void read(const ConvGather<T, I>& p, const GatherTap<I>* taps) {
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < each; ++i) {
      const GatherTap<I> tap = taps[thread_in_block() / Tile::columns + i * apart];  // the same for a warp
      const bool exists = conv_inside(pixel_.v + tap.line, pixel_.bound) && conv_inside(pixel_.h + tap.column, p.h.read);
      held_[i] = exists ? pixel_.x[corner_ + tap.offset] : T(0);
    }
  }
  VENTRAL_DEVICE void write(T* slab) const {
    const int column = thread_in_block() % Tile::columns, k = thread_in_block() / Tile::columns;
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < each; ++i) slab[Tile::B::at(column, k + i * apart)] = held_[i];
  }
  /// Where each column is written, for the end.
  VENTRAL_DEVICE void note_places(I* to) const {
    if (thread_in_block() < Tile::columns) to[thread_in_block()] = pixel_.to;
  }

 private:
  VENTRAL_DEVICE static int column_in_tile(bool pools) {
    const int column = thread_in_block() % Tile::columns;
    return pools ? window_order<Tile>(column) : column;
  }

  ConvPixel<T, I> pixel_;
  I corner_;  ///< position of tap (0, 0) in the group's first channel; perhaps none that exists
  T held_[each];
};

/// The tile's sums, with the bias, pooled into y: each thread holds whole windows.
template <class Tile, class T, class I>
VENTRAL_DEVICE void write_pooled(const Tile& tile, const ConvGather<T, I>& p, const ConvPlace<T, I>& place, const I* to) {
  static_assert(Tile::thread_columns % 4 == 0);
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < Tile::thread_rows; ++i) {
    const I row = place.row + tile.row(i);
    if (row >= p.rows) continue;
    const Compute<T> bias = p.b ? load(p.b + place.group * p.rows + row) : Compute<T>(0);
    VENTRAL_DEVICE_UNROLL
    for (int j = 0; j < Tile::thread_columns; j += 4) {
      const Compute<T> window[4] = {tile.sum(i, j) + bias, tile.sum(i, j + 1) + bias, tile.sum(i, j + 2) + bias, tile.sum(i, j + 3) + bias};
      if (const I at = to[tile.column(j)]; at >= 0) p.ending.template write_largest<T>(p.y, at + row * p.plane, window);
    }
  }
}

/// The tile's sums, with the bias and the activation, into y: as vectors where columns lie side by side.
template <class Tile, class T, class I>
VENTRAL_DEVICE void write_gathered(const Tile& tile, const ConvGather<T, I>& p, const ConvPlace<T, I>& place, const I* to) {
  constexpr int run = Tile::column_run;
  using Run = Vector<T, run * static_cast<int>(sizeof(T))>;
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < Tile::thread_rows; ++i) {
    const I row = place.row + tile.row(i);
    if (row >= p.rows) continue;
    const Compute<T> bias = p.b ? load(p.b + place.group * p.rows + row) : Compute<T>(0);
    T* const out = p.y + row * p.plane;
    VENTRAL_DEVICE_UNROLL
    for (int j = 0; j < Tile::thread_columns; j += run) {
      const I first = to[tile.column(j)];
      if (to[tile.column(j + run - 1)] == first + run - 1 && first >= 0 && reinterpret_cast<std::uintptr_t>(out + first) % sizeof(Run) == 0) {
        Run values;
        VENTRAL_DEVICE_UNROLL
        for (int l = 0; l < run; ++l) store(&values.v[l], p.ending.finish(tile.sum(i, j + l) + bias));
        store_vector(out + first, values);
      } else {
        VENTRAL_DEVICE_UNROLL
        for (int l = 0; l < run; ++l)
          if (const I at = to[tile.column(j + l)]; at >= 0) store(out + at, p.ending.finish(tile.sum(i, j + l) + bias));
      }
    }
  }
}

/// A gather as implicit GEMM: a block for each tile of rows and pixels of a group and phase. Slabs of both operands go through registers into two
/// buffers of shared memory, so that the next one is read while the last is multiplied; a barrier for each. 2 rows columns depth operations a block;
/// weights are read once for each block of pixels, x once for each block of rows and tap (most of it from the caches).
/// Source: Chetlur et al. 2014 (cuDNN), section 3.
template <class Tile, class I, class T>
VENTRAL_BOUNDED_KERNEL(Tile::threads) void conv2d_gather_gemm_kernel(ConvGather<T, I> p) {
  VENTRAL_SHARED(T, a, 2 * Tile::A::size);
  VENTRAL_SHARED(T, b, 2 * Tile::B::size);
  VENTRAL_SHARED(GatherTap<I>, taps, 2 * Tile::depth);
  VENTRAL_SHARED(I, to, Tile::columns);
  const ConvPlace<T, I> place(p, Tile::rows, Tile::columns);
  TapTable<Tile, I> table(place);
  WeightSlabs<Tile, I> weights;
  WindowSlabs<Tile, I> windows(p, place);
  Tile tile;
  tile.clear();
  windows.note_places(to);
  table.write(p, place, taps);
  table.write(p, place, taps + Tile::depth);
  __syncthreads();
  weights.read(p, place, taps);
  windows.read(p, taps);
  weights.write(a);
  windows.write(b);
  __syncthreads();
  int now = 0;
  for (I k = 0; k < place.depth; k += Tile::depth, now ^= 1) {
    const bool more = k + Tile::depth < place.depth;
    if (more) {
      const GatherTap<I>* const next = taps + (now ^ 1) * Tile::depth;
      weights.read(p, place, next);
      windows.read(p, next);
    }
    tile.multiply(a + now * Tile::A::size, b + now * Tile::B::size);
    if (more) {
      weights.write(a + (now ^ 1) * Tile::A::size);
      windows.write(b + (now ^ 1) * Tile::B::size);
      table.write(p, place, taps + now * Tile::depth);  // read before the last barrier
    }
    __syncthreads();
  }
  if (p.ending.max_pool) write_pooled(tile, p, place, to);
  else write_gathered(tile, p, place, to);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail
