#pragma once
#include "ventral/cuda/conv2d_epilogue.cuh"
#include "ventral/cuda/conv2d_plan.cuh"

/// The gather of conv2d_plan.cuh on one block: which rows and pixels it computes. And its direct kernel.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail {

/// A gather over a batch of images, as a product for each group and phase: rows are the channels written, columns the pixels of all images, the depth
/// is the channels read times the taps. y[n, g rows + r, pixel] = b[g rows + r] + sum over (c, taps) of w x[n, g channels + c, window of the pixel],
/// then what `ending` does. Where that pools, the pixels of a window follow each other as columns 4 i to 4 i + 3.
template <class T, class I>
struct ConvGather {
  const T *x, *w, *b;
  T* y;
  ConvAxis<I> v, h;                   ///< vertical, horizontal
  I images, groups, channels, rows;   ///< channels and rows of one group
  I channel_step, row_step;           ///< distances in w
  I plane;                            ///< numbers in y for a row and image
  ConvEnding ending;
  I first_block = 0;                  ///< of this launch

  constexpr Index columns() const { return Index{images} * v.longest() * h.longest(); }
  /// Blocks that cover all groups and phases with tiles.
  constexpr Index blocks(Index tile_rows, Index tile_columns) const {
    return conv_parts(Index{rows}, tile_rows) * groups * conv_parts(columns(), tile_columns) * v.phases * h.phases;
  }
};

/// Where a block works: the first row and column of its tile in the product of a group and phase. Blocks that share pixels follow each other.
template <class T, class I>
struct ConvPlace {
  ConvPhase<I> v, h;
  I group, row, column, columns, depth;
  const T* w;  ///< of the group and phase

  VENTRAL_DEVICE ConvPlace(const ConvGather<T, I>& p, I tile_rows, I tile_columns) {
    const I down = conv_parts(p.rows, tile_rows), across = conv_parts(p.images * p.v.longest() * p.h.longest(), tile_columns);
    I rest = p.first_block + static_cast<I>(blockIdx.x);
    row = rest % down * tile_rows;
    rest /= down;
    group = rest % p.groups;
    rest /= p.groups;
    column = rest % across * tile_columns;
    rest /= across;
    v = p.v.phase(rest / p.h.phases);
    h = p.h.phase(rest % p.h.phases);
    columns = p.images * v.count * h.count;
    depth = p.channels * v.taps * h.taps;
    if (depth == 0) v.taps = h.taps = 1;  // what cursors divide by
    w = p.w + group * p.rows * p.channels * p.v.kernel * p.h.kernel + v.tap * p.h.kernel + h.tap;
  }
  /// Position in w of a row's weight for channel c and tap (i, j) of the phase.
  VENTRAL_DEVICE I weight(const ConvGather<T, I>& p, I r, const ConvCursor<I>& at) const {
    return r * p.row_step + at.c * p.channel_step + at.i * v.tap_step * p.h.kernel + at.j * h.tap_step;
  }
};

/// One column of a block's product, a pixel of one image: its window in x, its element in y.
template <class T, class I>
struct ConvPixel {
  const T* x;  ///< first channel of the group
  I v, h;      ///< position of tap (0, 0)
  I bound;     ///< of v; 0 when there is no such pixel, so that everything lies outside
  I to;        ///< position in y of the group's row 0, of its window where the gather pools; -1 when there is no such pixel

  VENTRAL_DEVICE ConvPixel(const ConvGather<T, I>& p, const ConvPlace<T, I>& place, I column) {
    const bool exists = column < place.columns;
    const int halve = p.ending.max_pool ? 1 : 0;
    const I flat = exists ? column : 0, corner = flat & (3 * halve);
    const ConvCursor<I> at = ConvCursor<I>::at(flat >> 2 * halve, place.v.count >> halve, place.h.count >> halve);
    x = p.x + (at.c * p.groups + place.group) * p.channels * p.v.read * p.h.read;
    v = ((at.i << halve) + (corner >> 1)) * place.v.stride + place.v.first;
    h = ((at.j << halve) + (corner & 1)) * place.h.stride + place.h.first;
    bound = exists ? p.v.read : 0;
    const I line = place.v.place + at.i * place.v.place_step;
    to = exists ? (at.c * p.groups + place.group) * p.rows * p.plane + line * (p.h.written >> halve) + place.h.place + at.j * place.h.place_step : -1;
  }
};

constexpr int conv_direct_threads = 128, conv_direct_depth = 256;

/// A thread's sums for one pixel: `rows` products of a run of weights in shared memory, [depth][rows], with the pixel's window. `at` is moved on.
template <int rows, class T, class I>
VENTRAL_DEVICE void add_window(const ConvGather<T, I>& p, const ConvPlace<T, I>& place, const ConvPixel<T, I>& pixel, const Compute<T>* w, I depth,
                               ConvCursor<I>& at, Compute<T> (&sum)[rows]) {
  for (I k = 0; k < depth;) {
    const I line = pixel.v + at.i * place.v.dilation, run = place.h.taps - at.j < depth - k ? place.h.taps - at.j : depth - k;
    if (conv_inside(line, pixel.bound)) {
      const T* const from = pixel.x + (at.c * p.v.read + line) * p.h.read;
      I column = pixel.h + at.j * place.h.dilation;
      for (I l = 0; l < run; ++l, column += place.h.dilation) {
        if (!conv_inside(column, p.h.read)) continue;
        const Compute<T> value = load(from + column);
        VENTRAL_DEVICE_UNROLL
        for (int r = 0; r < rows; ++r) sum[r] += w[(k + l) * rows + r] * value;
      }
    }
    k += run;
    at.j += run;
    if (at.j == place.h.taps) at.j = 0, ++at.i;
    if (at.i == place.v.taps) at.i = 0, ++at.c;
  }
}

/// Four neighbouring threads hold the sums of a window: each pools some of the rows.
template <int rows, class T, class I>
VENTRAL_DEVICE void pool_neighbours(const ConvGather<T, I>& p, const ConvPlace<T, I>& place, const ConvPixel<T, I>& pixel, const Compute<T> (&sum)[rows]) {
  const int corner = static_cast<int>(threadIdx.x % 4);
  VENTRAL_DEVICE_UNROLL
  for (int r = 0; r < rows; ++r) {
    Compute<T> window[4];
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < 4; ++i) window[i] = __shfl_sync(0xFFFFFFFFu, sum[r], i, 4);
    if (corner == r % 4 && pixel.to >= 0 && place.row + r < p.rows) p.ending.template write_largest<T>(p.y, pixel.to + (place.row + r) * p.plane, window);
  }
}

/// A gather by a thread for each pixel, which keeps the sums of `rows` rows in registers; the weights of a block, 256 taps at a time, lie in shared
/// memory. Threads lie along the pixels, so that reads and writes are coalesced. x is read rows_of_a_group / rows times, from the first-level cache.
template <class T, class I, int rows>
VENTRAL_BOUNDED_KERNEL(conv_direct_threads) void conv2d_gather_direct_kernel(ConvGather<T, I> p) {
  VENTRAL_SHARED(Compute<T>, w, conv_direct_depth * rows);
  const ConvPlace<T, I> place(p, rows, conv_direct_threads);
  const ConvPixel<T, I> pixel(p, place, place.column + static_cast<I>(threadIdx.x));
  Compute<T> sum[rows];
  VENTRAL_DEVICE_UNROLL
  for (int r = 0; r < rows; ++r) sum[r] = p.b && place.row + r < p.rows ? load(p.b + place.group * p.rows + place.row + r) : Compute<T>(0);
  ConvCursor<I> at{0, 0, 0};
  for (I first = 0; first < place.depth; first += conv_direct_depth) {
    const I depth = place.depth - first < conv_direct_depth ? place.depth - first : conv_direct_depth;
    __syncthreads();
    for (int e = static_cast<int>(threadIdx.x); e < depth * rows; e += conv_direct_threads) {
      const I r = place.row + e % rows;
      const ConvCursor<I> tap = ConvCursor<I>::at(first + e / rows, place.v.taps, place.h.taps);
      w[e] = r < p.rows ? load(place.w + place.weight(p, r, tap)) : Compute<T>(0);
    }
    __syncthreads();
    add_window(p, place, pixel, w, depth, at, sum);
  }
  if constexpr (rows > 1)  // one row does not pool: its kernel would be short of registers
    if (p.ending.max_pool) return pool_neighbours<rows>(p, place, pixel, sum);
  if (pixel.to < 0) return;
  VENTRAL_DEVICE_UNROLL
  for (int r = 0; r < rows; ++r)
    if (place.row + r < p.rows) store(p.y + pixel.to + (place.row + r) * p.plane, p.ending.finish(sum[r]));
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail
