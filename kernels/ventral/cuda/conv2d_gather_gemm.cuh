#pragma once
#include "ventral/cuda/conv2d_gather.cuh"
#include "ventral/cuda/gemm_tensor_tile.cuh"

/// The gather of conv2d_plan.cuh as a product of matrices, by the tiles of gemm_tile.cuh: weights [rows, depth] times windows [depth, pixels].
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail {

/// A thread's share of each slab of weights: one place along the depth, several rows, so that neighbours read neighbours.
template <class Tile, class I>
class WeightSlabs {
  using T = typename Tile::Scalar;
  static constexpr int apart = Tile::threads / Tile::depth, each = (Tile::rows + apart - 1) / apart;

 public:
  VENTRAL_DEVICE WeightSlabs(const ConvPlace<T, I>& place)
      : at_(ConvCursor<I>::at(thread_in_block() % Tile::depth, place.v.taps, place.h.taps)),
        step_(ConvCursor<I>::at(Tile::depth, place.v.taps, place.h.taps)) {}

  /// Reads the next slab into registers; zeros beyond the matrix.
  VENTRAL_DEVICE void read(const ConvGather<T, I>& p, const ConvPlace<T, I>& place) {
    const I first = place.row + thread_in_block() / Tile::depth;
    const bool exists = at_.c < p.channels && first < p.rows && place.depth > 0;
    const T* const from = place.w + (exists ? place.weight(p, first, at_) : 0);
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < each; ++i) held_[i] = exists && first + i * apart < p.rows ? from[i * apart * p.row_step] : T(0);
    at_.advance(step_, place.v.taps, place.h.taps);
  }
  VENTRAL_DEVICE void write(T* slab) const {
    const int k = thread_in_block() % Tile::depth, first = thread_in_block() / Tile::depth;
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < each; ++i)
      if (Tile::rows % apart == 0 || first + i * apart < Tile::rows) slab[Tile::A::at(first + i * apart, k)] = held_[i];
  }

 private:
  ConvCursor<I> at_, step_;
  T held_[each];
};

/// A thread's share of each slab of windows: one pixel, whose place is found once, and several places along the depth. Neighbours read neighbours.
template <class Tile, class I>
class WindowSlabs {
  using T = typename Tile::Scalar;
  static constexpr int apart = Tile::threads / Tile::columns, each = Tile::depth / apart;
  static_assert(Tile::threads % Tile::columns == 0 && Tile::depth % apart == 0);

 public:
  VENTRAL_DEVICE WindowSlabs(const ConvGather<T, I>& p, const ConvPlace<T, I>& place)
      : pixel_(p, place, place.column + thread_in_block() % Tile::columns),
        at_(ConvCursor<I>::at(thread_in_block() / Tile::columns, place.v.taps, place.h.taps)),
        step_(ConvCursor<I>::at(apart, place.v.taps, place.h.taps)) {}

  VENTRAL_DEVICE void read(const ConvGather<T, I>& p, const ConvPlace<T, I>& place) {
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < each; ++i) {
      const I line = pixel_.v + at_.i * place.v.dilation, column = pixel_.h + at_.j * place.h.dilation;
      const bool exists = at_.c < p.channels && conv_inside(line, pixel_.bound) && conv_inside(column, p.h.read);
      held_[i] = exists ? pixel_.x[(at_.c * p.v.read + line) * p.h.read + column] : T(0);
      at_.advance(step_, place.v.taps, place.h.taps);
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
  ConvPixel<T, I> pixel_;
  ConvCursor<I> at_, step_;
  T held_[each];
};

/// The tile's sums, with the bias, into y: as vectors where columns lie side by side.
template <class Tile, class T, class I>
VENTRAL_DEVICE void write_gathered(const Tile& tile, const ConvGather<T, I>& p, const ConvPlace<T, I>& place, const I* to) {
  constexpr int run = Tile::column_run;
  using Run = Vector<T, run * static_cast<int>(sizeof(T))>;
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < Tile::thread_rows; ++i) {
    const I row = place.row + tile.row(i);
    if (row >= p.rows) continue;
    const Compute<T> bias = p.b ? load(p.b + place.group * p.rows + row) : Compute<T>(0);
    T* const out = p.y + row * p.v.written * p.h.written;
    VENTRAL_DEVICE_UNROLL
    for (int j = 0; j < Tile::thread_columns; j += run) {
      const I first = to[tile.column(j)];
      if (to[tile.column(j + run - 1)] == first + run - 1 && first >= 0 && reinterpret_cast<std::uintptr_t>(out + first) % sizeof(Run) == 0) {
        Run values;
        VENTRAL_DEVICE_UNROLL
        for (int l = 0; l < run; ++l) store(&values.v[l], tile.sum(i, j + l) + bias);
        store_vector(out + first, values);
      } else {
        VENTRAL_DEVICE_UNROLL
        for (int l = 0; l < run; ++l)
          if (const I at = to[tile.column(j + l)]; at >= 0) store(out + at, tile.sum(i, j + l) + bias);
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
  VENTRAL_SHARED(I, to, Tile::columns);
  const ConvPlace<T, I> place(p, Tile::rows, Tile::columns);
  WeightSlabs<Tile, I> weights(place);
  WindowSlabs<Tile, I> windows(p, place);
  Tile tile;
  tile.clear();
  windows.note_places(to);
  weights.read(p, place);
  windows.read(p, place);
  weights.write(a);
  windows.write(b);
  __syncthreads();
  int now = 0;
  for (I k = 0; k < place.depth; k += Tile::depth, now ^= 1) {
    const bool more = k + Tile::depth < place.depth;
    if (more) {
      weights.read(p, place);
      windows.read(p, place);
    }
    tile.multiply(a + now * Tile::A::size, b + now * Tile::B::size);
    if (more) {
      weights.write(a + (now ^ 1) * Tile::A::size);
      windows.write(b + (now ^ 1) * Tile::B::size);
    }
    __syncthreads();
  }
  write_gathered(tile, p, place, to);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail
