#pragma once
#include "ventral/cuda/channel_sums.cuh"
#include "ventral/cuda/conv2d_plan.cuh"
#include "ventral/cuda/gemm_tensor_tile.cuh"
#include "ventral/cuda/reduce.cuh"

/// The weight gradient of a convolution: for each group a product dy [outputs, pixels] times windows [pixels, depth], summed over the pixels of all
/// images. The sum is cut into runs by shape alone; their sums are added in order.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail {

/// Adds the sum of a channel to its bias gradient.
template <class T>
struct AddToBias {
  T* db;
  VENTRAL_DEVICE void operator()(Index channel, Pair<double> sum) const {
    store(db + channel, static_cast<Compute<T>>(static_cast<double>(load(db + channel)) + sum.first));
  }
};

/// The bias gradient as a part of the weight gradient's kernels, which saves it launches of its own: blocks behind those of the first kernel sum chunks of dy's
/// channels, blocks behind those of the second add the chunks. The same bits as conv2d_backward_bias.
template <class T>
struct ConvBiasGradient {
  ChannelShape shape;
  ChannelChunks cut;
  bool packed;
  const T* dy;
  T* db;                                 ///< null: not wanted
  double* partial = nullptr;             ///< [channel_partial_sums(shape)]
  Index chunks_from = 0, adds_from = 0;  ///< the first blocks for it

  ConvBiasGradient(In<T> slope, T* bias)
      : shape(channel_shape(slope.shape)), cut(shape), packed(shape.cells % pack_width<T> == 0 && packs_fit<pack_width<T>>(slope.data)), dy(slope.data), db(bias) {}

  static constexpr Index most_values = Index{1} << 22;  ///< of which the sum takes a GPU less time than a launch or two

  /// Whether the layer is small, and its sums are by as many threads as conv2d_backward_bias takes: channel_threads for a chunk, few to add chunks.
  bool fits() const {
    return shape.cells > 1 && shape.values() > few_channel_values && cut.chunks <= few_channel_chunks && shape.channels * shape.values() <= most_values;
  }
  Index chunk_blocks() const { return db ? shape.channels * cut.chunks : 0; }
  Index add_blocks() const { return db && cut.chunks > 1 ? shape.channels : 0; }

  /// True for a block behind those of the weight gradient, when its work is done.
  VENTRAL_DEVICE bool sum_chunk() const {
    if (blockIdx.x < chunks_from) return false;
    const Index block = blockIdx.x - chunks_from;
    const AddToBias<T> add{db};
    if (packed) sum_channel_chunk<channel_threads, pack_width<T>>(SumOfX{}, shape, cut, block, dy, dy, nullptr, partial, add);
    else sum_channel_chunk<channel_threads, 1>(SumOfX{}, shape, cut, block, dy, dy, nullptr, partial, add);
    return true;
  }
  VENTRAL_DEVICE bool add_chunks() const {
    if (blockIdx.x < adds_from) return false;
    if (threadIdx.x < few_channel_threads)
      add_channel_chunks<few_channel_threads>(shape.channels, cut.chunks, blockIdx.x - adds_from, partial, AddToBias<T>{db});
    return true;
  }
};

/// dw[g outputs + o, c, i, j] += the sum over images and pixels of dy[n, g outputs + o, pixel] x[n, g channels + c, what tap (i, j) saw].
template <class T, class I>
struct ConvWeightGradient {
  const T *x, *dy;
  T* dw;
  Compute<T>* partial;  ///< [splits, size of dw]; null for one run, whose sum is added to dw at once
  ConvAxis<I> v, h;
  I images, groups, channels, outputs;  ///< channels and outputs of one group
  ConvBiasGradient<T> bias;
  I splits = 1, run = 0;  ///< runs of so many pixels

  VENTRAL_HOST_DEVICE constexpr I depth() const { return channels * v.kernel * h.kernel; }
  VENTRAL_HOST_DEVICE constexpr I size() const { return groups * outputs * depth(); }
  VENTRAL_HOST_DEVICE constexpr I pixels() const { return images * v.written * h.written; }
  constexpr Index tiles(Index rows, Index columns) const { return conv_parts(Index{outputs}, rows) * groups * conv_parts(Index{depth()}, columns); }

  /// Ends the sum of one run for weight k of an output.
  VENTRAL_DEVICE void give(I split, I output, I k, Compute<T> sum) const {
    if (partial) {
      partial[(static_cast<Index>(split) * groups * outputs + output) * depth() + k] = sum;
    } else {
      T* const to = dw + output * depth() + k;
      store(to, load(to) + sum);
    }
  }
};

/// Where a block works: a tile of the weights of one group, and the run of pixels that it sums over.
template <class T, class I>
struct ConvWeightPlace {
  I row, column, group, split, first, last;

  VENTRAL_DEVICE ConvWeightPlace(const ConvWeightGradient<T, I>& p, I rows, I columns) {
    const I down = conv_parts(p.outputs, rows), across = conv_parts(p.depth(), columns);
    I rest = static_cast<I>(blockIdx.x);
    row = rest % down * rows;
    rest /= down;
    column = rest % across * columns;
    rest /= across;
    group = rest % p.groups;
    split = rest / p.groups;
    first = split * p.run;
    last = p.pixels() - first < p.run ? p.pixels() : first + p.run;
  }
};

/// One weight of an output: which element of x its tap sees, from where the window begins. Beyond the depth everything lies outside.
template <class I>
struct alignas(16) ConvTap {
  I offset, v, h;

  ConvTap() = default;
  template <class T>
  VENTRAL_DEVICE ConvTap(const ConvWeightGradient<T, I>& p, I k) {
    const bool exists = k < p.depth();
    const ConvCursor<I> at = ConvCursor<I>::at(exists ? k : 0, p.v.kernel, p.h.kernel);
    v = exists ? at.i * p.v.dilation : p.v.read + p.v.before;
    h = at.j * p.h.dilation;
    offset = exists ? (at.c * p.v.read + v) * p.h.read + h : 0;
  }
};

/// A pixel of a batch: its element of dy, its window in x.
template <class T, class I>
struct ConvWindow {
  const T *dy, *x;
  I v, h, origin;  ///< position of tap (0, 0), and in a plane of x

  VENTRAL_DEVICE ConvWindow(const ConvWeightGradient<T, I>& p, I group, const ConvCursor<I>& at) {
    const I image_group = at.c * p.groups + group;
    dy = p.dy + image_group * p.outputs * p.v.written * p.h.written + at.i * p.h.written + at.j;
    x = p.x + image_group * p.channels * p.v.read * p.h.read;
    v = at.i * p.v.stride - p.v.before;
    h = at.j * p.h.stride - p.h.before;
    origin = v * p.h.read + h;
  }
  VENTRAL_DEVICE T value(const ConvWeightGradient<T, I>& p, const ConvTap<I>& tap) const {
    return conv_inside(v + tap.v, p.v.read) && conv_inside(h + tap.h, p.h.read) ? x[origin + tap.offset] : T(0);
  }
};

// ---- direct

constexpr int conv_weight_threads = 256;

/// `count` numbers (a power of two, at most 32) of each lane, added over the warp: lane l returns the sum of number l / (32 / count). In each step
/// lanes swap halves of what is left: 16 exchanges for 16 numbers, where one by one would take 80.
template <int count, class C>
VENTRAL_DEVICE C warp_sums(C (&v)[count]) {
  const int lane = thread_in_block() % 32;
  VENTRAL_DEVICE_UNROLL
  for (int left = count / 2, apart = 16; apart > 0; left /= 2, apart /= 2) {
    if (left == 0) v[0] += exchange_lanes(v[0], apart);
    const bool upper = (lane & apart) != 0;
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < left; ++i) {
      const C other = exchange_lanes(upper ? v[i] : v[i + left], apart);
      v[i] = (upper ? v[i + left] : v[i]) + other;
    }
  }
  return v[0];
}

/// The same over a block of conv_weight_threads: thread t < count returns the sum of number t. A barrier; all threads must come here, once.
template <int count, class C>
VENTRAL_DEVICE C conv_block_sums(C (&v)[count]) {
  constexpr int warps = conv_weight_threads / 32, lanes_each = 32 / count;
  VENTRAL_SHARED(C, of_warp, warps * count);
  const int thread = thread_in_block();
  const C sum = warp_sums(v);
  if (thread % lanes_each == 0) of_warp[thread / lanes_each] = sum;
  __syncthreads();
  C total(0);
  for (int w = 0; w < warps && thread < count; ++w) total += of_warp[w * count + thread];
  return total;
}

/// The weight gradient of a few outputs and taps by one block, threads along the pixels, then a sum over the block. dy and x are read once for each
/// block that needs them, coalesced; rows columns products for rows + columns numbers read.
template <class T, class I, int rows, int columns>
VENTRAL_BOUNDED_KERNEL(conv_weight_threads) void conv2d_weight_direct_kernel(ConvWeightGradient<T, I> p) {
  if (p.bias.sum_chunk()) return;
  const ConvWeightPlace<T, I> place(p, rows, columns);
  ConvTap<I> taps[columns];
  VENTRAL_DEVICE_UNROLL
  for (int j = 0; j < columns; ++j) taps[j] = ConvTap<I>(p, place.column + j);
  Compute<T> sum[rows * columns] = {};
  const I plane = p.v.written * p.h.written;
  ConvCursor<I> at = ConvCursor<I>::at(place.first + static_cast<I>(threadIdx.x), p.v.written, p.h.written);
  const ConvCursor<I> step = ConvCursor<I>::at(conv_weight_threads, p.v.written, p.h.written);
  for (I pixel = place.first + static_cast<I>(threadIdx.x); pixel < place.last; pixel += conv_weight_threads) {
    const ConvWindow<T, I> window(p, place.group, at);
    Compute<T> slope[rows];
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < rows; ++i) slope[i] = place.row + i < p.outputs ? load(window.dy + (place.row + i) * plane) : Compute<T>(0);
    VENTRAL_DEVICE_UNROLL
    for (int j = 0; j < columns; ++j) {
      const auto value = static_cast<Compute<T>>(window.value(p, taps[j]));
      VENTRAL_DEVICE_UNROLL
      for (int i = 0; i < rows; ++i) sum[i * columns + j] += slope[i] * value;
    }
    at.advance(step, p.v.written, p.h.written);
  }
  const Compute<T> total = conv_block_sums(sum);
  const int e = static_cast<int>(threadIdx.x);
  const I output = place.row + e / columns, k = place.column + e % columns;
  if (e < rows * columns && output < p.outputs && k < p.depth()) p.give(place.split, place.group * p.outputs + output, k, total);
}

// ---- as a product of matrices

/// A thread's share of each slab of dy and of windows: one pixel, several outputs and taps. Neighbours read neighbouring pixels.
template <class Tile, class I>
class GradientSlabs {
  using T = typename Tile::Scalar;
  static constexpr int apart = Tile::threads / Tile::depth;
  static constexpr int rows_each = (Tile::rows + apart - 1) / apart, columns_each = Tile::columns / apart;
  static_assert(Tile::threads % Tile::depth == 0 && Tile::columns % apart == 0);

 public:
  VENTRAL_DEVICE GradientSlabs(const ConvWeightGradient<T, I>& p, const ConvWeightPlace<T, I>& place)
      : pixel_(place.first + thread_in_block() % Tile::depth), at_(ConvCursor<I>::at(pixel_, p.v.written, p.h.written)),
        step_(ConvCursor<I>::at(Tile::depth, p.v.written, p.h.written)) {}

  /// Reads the next slabs into registers; zeros beyond the run.
  VENTRAL_DEVICE void read(const ConvWeightGradient<T, I>& p, const ConvWeightPlace<T, I>& place, const ConvTap<I>* taps) {
    const bool exists = pixel_ < place.last;
    const ConvWindow<T, I> window(p, place.group, exists ? at_ : ConvCursor<I>{0, 0, 0});
    const int first = thread_in_block() / Tile::depth;
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < rows_each; ++i) {
      const I row = place.row + first + i * apart;
      slope_[i] = exists && row < p.outputs ? window.dy[row * p.v.written * p.h.written] : T(0);
    }
    VENTRAL_DEVICE_UNROLL
    for (int j = 0; j < columns_each; ++j) value_[j] = exists ? window.value(p, taps[first + j * apart]) : T(0);
    pixel_ += Tile::depth;
    at_.advance(step_, p.v.written, p.h.written);
  }
  VENTRAL_DEVICE void write(T* a, T* b) const {
    const int k = thread_in_block() % Tile::depth, first = thread_in_block() / Tile::depth;
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < rows_each; ++i)
      if (Tile::rows % apart == 0 || first + i * apart < Tile::rows) a[Tile::A::at(first + i * apart, k)] = slope_[i];
    VENTRAL_DEVICE_UNROLL
    for (int j = 0; j < columns_each; ++j) b[Tile::B::at(first + j * apart, k)] = value_[j];
  }

 private:
  I pixel_;
  ConvCursor<I> at_, step_;
  T slope_[rows_each], value_[columns_each];
};

/// The weight gradient as implicit GEMM: a block for each tile of outputs and taps, and run of pixels. Pipelined as conv2d_gather_gemm_kernel.
/// 2 rows columns run operations a block; dy is read once for each block of taps, x once for each block of outputs and tap (mostly from the caches).
template <class Tile, class I, class T>
VENTRAL_BOUNDED_KERNEL(Tile::threads) void conv2d_weight_gemm_kernel(ConvWeightGradient<T, I> p) {
  VENTRAL_SHARED(T, a, 2 * Tile::A::size);
  VENTRAL_SHARED(T, b, 2 * Tile::B::size);
  VENTRAL_SHARED(ConvTap<I>, taps, Tile::columns);
  if (p.bias.sum_chunk()) return;
  const ConvWeightPlace<T, I> place(p, Tile::rows, Tile::columns);
  if (thread_in_block() < Tile::columns) taps[thread_in_block()] = ConvTap<I>(p, place.column + thread_in_block());
  __syncthreads();
  GradientSlabs<Tile, I> slabs(p, place);
  Tile tile;
  tile.clear();
  slabs.read(p, place, taps);
  slabs.write(a, b);
  __syncthreads();
  int now = 0;
  for (I k = place.first; k < place.last; k += Tile::depth, now ^= 1) {
    const bool more = place.last - k > Tile::depth;
    if (more) slabs.read(p, place, taps);
    tile.multiply(a + now * Tile::A::size, b + now * Tile::B::size);
    if (more) slabs.write(a + (now ^ 1) * Tile::A::size, b + (now ^ 1) * Tile::B::size);
    __syncthreads();
  }
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < Tile::thread_rows; ++i)
    VENTRAL_DEVICE_UNROLL
    for (int j = 0; j < Tile::thread_columns; ++j) {
      const I row = place.row + tile.row(i), column = place.column + tile.column(j);
      if (row < p.outputs && column < p.depth()) p.give(place.split, place.group * p.outputs + row, column, tile.sum(i, j));
    }
}

/// dw += the sums of the runs, in their order; a thread for each weight. Reads splits * size(dw) numbers. The bias gradient's chunks are added beside.
template <class T>
VENTRAL_KERNEL void conv2d_weight_sum_kernel(Index size, Index splits, const Compute<T>* partial, T* dw, ConvBiasGradient<T> bias) {
  if (bias.add_chunks()) return;
  for (Index e = first_element(); e < size; e += bias.adds_from * blockDim.x) {
    Compute<T> sum = partial[e];
    for (Index s = 1; s < splits; ++s) sum += partial[s * size + e];
    store(dw + e, load(dw + e) + sum);
  }
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail
