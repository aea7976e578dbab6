#pragma once
#include <atomic>

#include "ventral/cuda/conv2d_epilogue.cuh"
#include "ventral/cuda/conv2d_plan.cuh"
#include "ventral/cuda/ops.hpp"
#include "ventral/cuda/primitives.cuh"

/// Winograd's convolution F(2x2,3x3) in one kernel: 16 multiplications for 4 outputs instead of 36, so a floor 2.25 times lower than that of any direct
/// kernel. A patch of 2 x 2 outputs sees 4 x 4 inputs d; with 3 x 3 weights g
///
///     y = A^T [ sum over channels of (G g G^T) * (B^T d B) ] A        * : number by number, in 16 "frequencies"
///
/// which makes 16 matrix products u v, one for each frequency: u [rows, channels] from the weights, v [channels, patches] from the image.
/// Sources: Lavin, Gray 2016, "Fast algorithms for convolutional neural networks", https://arxiv.org/abs/1509.09308; the block of 64 outputs by 32 patches:
/// Yan, Wang, Chu 2020, "Optimizing batched Winograd convolution on GPUs". The maps are those of cpu::WinogradPoints<4>.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

inline std::atomic<bool>& winograd_switch() {
  static std::atomic<bool> on{false};
  return on;
}

/// What a block works on: 64 outputs by 32 patches, 4 channels at a time. Slabs in shared memory: u [16][4][64], v [16][4][32]; two of each are 48 KiB,
/// what every GPU has without asking.
struct WinogradBlock {
  static constexpr int rows = 64, patches = 32, depth = 4, frequencies = 16, threads = 256;
  static constexpr int u_slab = frequencies * depth * rows, v_slab = frequencies * depth * patches;
};

/// One convolution, or gradient by the input: rows are the channels written, as in ConvGather.
template <class T>
struct WinogradConvolution {
  const T *x, *u, *b;
  T* y;
  int images, channels, rows;
  int read_h, read_w, written_h, written_w;
  int before_h, before_w;    ///< rows and columns of padding that the first patch sees; negative when it begins within the image
  int patches_h, patches_w;  ///< of one image
  bool pairs;                ///< whether two neighbours of y can be written as one
  ConvEnding ending;

  constexpr int patches() const { return images * patches_h * patches_w; }
  constexpr int row_blocks() const { return conv_parts(rows, WinogradBlock::rows); }
  constexpr int steps() const { return conv_parts(channels, WinogradBlock::depth); }
  constexpr Index blocks() const { return Index{row_blocks()} * conv_parts(patches(), WinogradBlock::patches); }
  constexpr Index u_size() const { return Index{row_blocks()} * steps() * WinogradBlock::u_slab; }
};

/// u = G g G^T, in the order in which blocks want it: [block of 64 rows][step of 4 channels][frequency][channel][row], zeros where there are no such rows or
/// channels. Transposed: weights turned by 180 degrees, channels and outputs exchanged. w [outputs, channels, 3, 3]; a block of threads for each slab.
template <class T>
VENTRAL_BOUNDED_KERNEL(WinogradBlock::threads) void conv2d_winograd_weights_kernel(int rows, int channels, bool transposed, const T* w, T* u) {
  using B = WinogradBlock;
  const int thread = thread_in_block(), steps = conv_parts(channels, B::depth), block = static_cast<int>(blockIdx.x);
  const int row = block / steps * B::rows + thread % B::rows, channel = block % steps * B::depth + thread / B::rows;
  const bool exists = row < rows && channel < channels;
  const T* const from = w + (exists ? 9 * (transposed ? Index{channel} * rows + row : Index{row} * channels + channel) : 0);
  const auto map = [](T a, T b, T c, T(&t)[4]) {
    const T even = T(0.5) * (a + c), odd = T(0.5) * b;
    t[0] = a, t[1] = even + odd, t[2] = even - odd, t[3] = c;
  };
  T half[3][4];
  VENTRAL_DEVICE_UNROLL
  for (int j = 0; j < 3; ++j) {
    const auto g = [&](int i) { return exists ? from[transposed ? 8 - (3 * i + j) : 3 * i + j] : T(0); };
    map(g(0), g(1), g(2), half[j]);
  }
  T* const to = u + Index{block} * B::u_slab + thread;
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < 4; ++i) {
    T t[4];
    map(half[0][i], half[1][i], half[2][i], t);
    VENTRAL_DEVICE_UNROLL
    for (int j = 0; j < 4; ++j) to[(4 * i + j) * B::depth * B::rows] = t[j];
  }
}

/// A thread's share of each slab of v: half of the frequencies (two of the four rows of B^T d B) of one patch and channel, from three rows of the patch.
/// Rows a, b, c become a - c and b + c in the upper half, where they are 0, 1, 2; a - c and b - c in the lower, where they are 2, 3, 1.
/// A warp has the 32 patches of a half and channel, so that neighbours read and write neighbours.
template <class T>
class WinogradPatches {
  using B = WinogradBlock;

 public:
  VENTRAL_DEVICE WinogradPatches(const WinogradConvolution<T>& p, int first)
      : patch_(thread_in_block() % B::patches), lower_(thread_in_block() / B::patches % 2), channel_(thread_in_block() / (2 * B::patches)) {
    const bool exists = first + patch_ < p.patches();
    const ConvCursor<int> at = ConvCursor<int>::at(exists ? first + patch_ : 0, p.patches_h, p.patches_w);
    const int top = 2 * at.i - p.before_h, left = 2 * at.j - p.before_w, a = top + 2 * lower_, c = top + 2 - lower_;
    row_[0] = p.x + ((Index{at.c} * p.channels + channel_) * p.read_h + a) * p.read_w + left;
    row_[1] = row_[0] + p.read_w, row_[2] = row_[0] + (c - a) * p.read_w;
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < 3; ++i)
      VENTRAL_DEVICE_UNROLL
      for (int j = 0; j < 4; ++j)
        inside_ |= static_cast<unsigned>(exists && conv_inside(i < 2 ? a + i : c, p.read_h) && conv_inside(left + j, p.read_w)) << (4 * i + j);
  }

  /// Reads the pixels of the next slab into registers: zeros outside the image, and beyond the last channel.
  VENTRAL_DEVICE void read(const WinogradConvolution<T>& p) {
    const unsigned wanted = channel_ < p.channels ? inside_ : 0;
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < 3; ++i)
      VENTRAL_DEVICE_UNROLL
      for (int j = 0; j < 4; ++j) d_[i][j] = wanted >> (4 * i + j) & 1 ? row_[i][j] : T(0);
    VENTRAL_DEVICE_UNROLL
    for (const T*& row : row_) row += Index{B::depth} * p.read_h * p.read_w;
    channel_ += B::depth;
  }
  VENTRAL_DEVICE void write(T* v) const {
    T* const to = v + (lower_ * 8 * B::depth + thread_in_block() / (2 * B::patches)) * B::patches + patch_;
    const T sign = lower_ ? T(-1) : T(1);
    T t[2][4];
    VENTRAL_DEVICE_UNROLL
    for (int j = 0; j < 4; ++j) t[0][j] = d_[0][j] - d_[2][j], t[1][j] = d_[1][j] + sign * d_[2][j];
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < 2; ++i) {
      const T row[4] = {t[i][0] - t[i][2], t[i][1] + t[i][2], t[i][2] - t[i][1], t[i][3] - t[i][1]};
      VENTRAL_DEVICE_UNROLL
      for (int j = 0; j < 4; ++j) to[(4 * i + j) * B::depth * B::patches] = row[j];
    }
  }

 private:
  int patch_, lower_, channel_;
  unsigned inside_ = 0;  ///< bit 4 i + j: pixel (i, j) is in the image
  const T* row_[3];  ///< rows a, b, c of the next channel
  T d_[3][4];
};

/// The block's 16 products: a warp has two frequencies, a thread 8 x 8 numbers of each. For a channel and frequency it reads 4 vectors of shared memory
/// and multiplies 64 times, as many as in a product of matrices by tiles of 8 x 8.
template <class T>
class WinogradSums {
  using B = WinogradBlock;

 public:
  /// Neighbouring lanes share their patches' or their outputs' vector, in pairs, which lets shared memory serve half a warp at once.
  VENTRAL_DEVICE WinogradSums() {
    const int lane = thread_in_block() % 32;
    frequency_ = thread_in_block() / 32 * 2;
    row_ = lane / 2 % 4 + lane / 16 * 4;
    patch_ = lane % 2 + lane / 8 % 2 * 2;
    VENTRAL_DEVICE_UNROLL
    for (int f = 0; f < 2; ++f)
      VENTRAL_DEVICE_UNROLL
      for (int i = 0; i < 8; ++i)
        VENTRAL_DEVICE_UNROLL
        for (int j = 0; j < 8; ++j) sum_[f][i][j] = T(0);
  }

  VENTRAL_DEVICE void multiply(const T* u, const T* v) {
    VENTRAL_DEVICE_UNROLL
    for (int c = 0; c < B::depth; ++c)
      VENTRAL_DEVICE_UNROLL
      for (int f = 0; f < 2; ++f) {
        T left[8], right[8];
        const int line = (frequency_ + f) * B::depth + c;
        VENTRAL_DEVICE_UNROLL
        for (int i = 0; i < 8; i += 4) {
          const auto a = load_vector<T>(u + line * B::rows + 8 * i + 4 * row_), b = load_vector<T>(v + line * B::patches + 4 * i + 4 * patch_);
          VENTRAL_DEVICE_UNROLL
          for (int l = 0; l < 4; ++l) left[i + l] = a.v[l], right[i + l] = b.v[l];
        }
        VENTRAL_DEVICE_UNROLL
        for (int i = 0; i < 8; ++i)
          VENTRAL_DEVICE_UNROLL
          for (int j = 0; j < 8; ++j) sum_[f][i][j] += left[i] * right[j];
      }
  }

  /// 16 of the block's outputs at a time, number 2 part and 2 part + 1 of each thread, go to m [16][16][32], its lines `stride` apart.
  static constexpr int parts = 4, part_rows = 16, stride = B::patches + 8;
  VENTRAL_DEVICE void put(int part, T* m) const {
    VENTRAL_DEVICE_UNROLL
    for (int f = 0; f < 2; ++f)
      VENTRAL_DEVICE_UNROLL
      for (int i = 0; i < 2; ++i)
        VENTRAL_DEVICE_UNROLL
        for (int j = 0; j < 8; j += 4) {
          Vector<T> run;
          VENTRAL_DEVICE_UNROLL
          for (int l = 0; l < 4; ++l) run.v[l] = sum_[f][2 * part + i][j + l];
          store_vector(m + ((frequency_ + f) * part_rows + 8 * i + row_) * stride + 4 * j + 4 * patch_, run);
        }
  }
  /// Which of the block's outputs line `row` of m is.
  VENTRAL_DEVICE static int output(int part, int row) {
    const int i = 2 * part + row / 8;
    return i / 4 * 32 + row % 8 * 4 + i % 4;
  }

 private:
  int frequency_, row_, patch_;
  T sum_[2][8][8];
};

/// Two neighbours of a row of y, the second only if it exists.
template <class T>
VENTRAL_DEVICE void store_two(T* y, bool pair, bool second, T a, T b) {
  if (pair) return store_vector(y, Vector<T, 2 * sizeof(T)>{{a, b}});
  y[0] = a;
  if (second) y[1] = b;
}

/// y = A^T m A + b and the ending, whose windows are the patches, of the block's sums, 16 outputs at a time by way of shared memory: there a thread finds all frequencies of a patch and output.
template <class T>
VENTRAL_DEVICE void write_winograd(const WinogradConvolution<T>& p, const WinogradSums<T>& sums, int first_row, int first_patch, T* m) {
  using B = WinogradBlock;
  using S = WinogradSums<T>;
  const int patch = thread_in_block() % B::patches;
  const bool exists = first_patch + patch < p.patches();
  const ConvCursor<int> at = ConvCursor<int>::at(exists ? first_patch + patch : 0, p.patches_h, p.patches_w);
  const Index image = Index{at.c} * p.rows;
  T* const to = p.y + (image * p.written_h + 2 * at.i) * p.written_w + 2 * at.j;
  const bool lower = 2 * at.i + 1 < p.written_h, right = 2 * at.j + 1 < p.written_w;
  VENTRAL_DEVICE_UNROLL
  for (int part = 0; part < S::parts; ++part) {
    __syncthreads();  // the slabs, or the part before, have been read by all
    sums.put(part, m);
    __syncthreads();
    VENTRAL_DEVICE_UNROLL
    for (int line = thread_in_block() / B::patches, i = 0; i < 2; ++i, line += 8) {
      const int row = first_row + S::output(part, line);
      if (!exists || row >= p.rows) continue;
      T above[4], below[4];
      VENTRAL_DEVICE_UNROLL
      for (int j = 0; j < 4; ++j) {
        const auto number = [&](int k) { return m[((4 * k + j) * S::part_rows + line) * S::stride + patch]; };
        above[j] = number(0) + number(1) + number(2), below[j] = number(1) - number(2) + number(3);
      }
      const T bias = p.b ? p.b[row] : T(0);
      const T v[4] = {above[0] + above[1] + above[2] + bias, above[1] - above[2] + above[3] + bias, below[0] + below[1] + below[2] + bias,
                      below[1] - below[2] + below[3] + bias};
      if (p.ending.max_pool) {
        if (lower && right) p.ending.write_largest(p.y, ((image + row) * (p.written_h / 2) + at.i) * (p.written_w / 2) + at.j, v);
        continue;
      }
      T* const out = to + Index{row} * p.written_h * p.written_w;
      store_two(out, p.pairs, right, p.ending.finish(v[0]), p.ending.finish(v[1]));
      if (lower) store_two(out + p.written_w, p.pairs, right, p.ending.finish(v[2]), p.ending.finish(v[3]));
    }
  }
}

/// y = b + convolution, a block for each 64 outputs and 32 patches, those of the same patches side by side. While a slab of u and v is multiplied, the next u
/// comes by asynchronous copies and the next pixels to registers; a barrier for each slab. A slab costs a thread 512 multiplications and, beside them, 32
/// vectors read from shared memory, 12 pixels, 16 additions, 8 numbers written, 4 copies and addresses: 644 instructions (nvcc 13, 9.0a), so predicted at most
/// 80 % of the FFMA rate, 1.8 times that of the direct sum. 20 KiB a slab come from the second-level cache. 246, 238, 255 registers on 7.5, 8.0, 9.0a: a
/// block to a processor.
template <class T>
VENTRAL_BOUNDED_KERNEL(WinogradBlock::threads) void conv2d_winograd_kernel(WinogradConvolution<T> p) {
  using B = WinogradBlock;
  VENTRAL_SHARED(T, shared, 2 * (B::u_slab + B::v_slab));
  static_assert(B::frequencies * WinogradSums<T>::part_rows * WinogradSums<T>::stride <= 2 * (B::u_slab + B::v_slab));
  const int block = static_cast<int>(blockIdx.x), row_block = block % p.row_blocks(), first_patch = block / p.row_blocks() * B::patches, steps = p.steps();
  const auto u = [&](int step) { return shared + step % 2 * B::u_slab; };
  const auto v = [&](int step) { return shared + 2 * B::u_slab + step % 2 * B::v_slab; };
  const T* weights = p.u + Index{row_block} * steps * B::u_slab + 4 * thread_in_block();
  const auto copy_weights = [&](T* slab) {
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < B::u_slab; i += 4 * B::threads) async_copy<16>(slab + i + 4 * thread_in_block(), weights + i);
    async_commit();
    weights += B::u_slab;
  };
  WinogradPatches<T> patches(p, first_patch);
  WinogradSums<T> sums;
  copy_weights(u(0));
  patches.read(p);
  patches.write(v(0));
  for (int step = 0; step < steps; ++step) {
    const bool more = step + 1 < steps;
    async_wait<0>();
    __syncthreads();  // this step's slabs are there for all; those of the step before have been read by all
    if (more) {
      copy_weights(u(step + 1));
      patches.read(p);
    }
    sums.multiply(u(step), v(step));
    if (more) patches.write(v(step + 1));
  }
  write_winograd(p, sums, row_block * B::rows, first_patch, shared);
}

/// Whether a convolution is one that F(2x2,3x3) computes.
inline bool winograd_computes(const ConvSizes& s) {
  const auto plain = [](const WindowAxis& a) { return a.kernel == 3 && a.stride == 1 && a.dilation == 1; };
  return s.groups == 1 && s.channels > 0 && plain(s.plan.h) && plain(s.plan.w) && s.fits_int();
}

/// Forward, or with `transposed` the gradient by the input; shapes of x, w and y as in conv_gather. Workspace: the transformed weights, 16 numbers for 9.
template <class T>
void conv_winograd(Stream stream, const ConvSizes& s, bool transposed, In<T> x, In<T> w, In<T> b, const ConvEnding& ending, Out<T> y) {
  const ConvAxis<int> v = conv_axis<int>(s.plan.h, transposed), h = conv_axis<int>(s.plan.w, transposed);
  const auto before = [&](const ConvAxis<int>& a) { return transposed ? 2 - a.before : a.before; };
  const auto as = [](Index n) { return static_cast<int>(n); };
  WinogradConvolution<T> p{x.data,        nullptr,
                           b.data,        y.data,
                           as(s.images),  as(transposed ? s.outputs : s.channels),
                           as(transposed ? s.channels : s.outputs),
                           v.read,        h.read,
                           v.written,     h.written,
                           before(v),     before(h),
                           conv_parts(v.written, 2), conv_parts(h.written, 2),
                           h.written % 2 == 0 && vectors_fit<T, 2 * sizeof(T)>(y.data, 2), ending};
  Tensor<T, Space> u = Tensor<T, Space>::uninitialized({p.u_size()});
  p.u = u.data();
  const auto named = [&](const char* kernel, Index blocks) {
    return Launch{.kernel = kernel, .blocks = blocks, .threads = WinogradBlock::threads, .shape = x.shape, .other = y.shape};
  };
  launch(stream, named("conv2d_winograd_weights_kernel", p.row_blocks() * p.steps()), conv2d_winograd_weights_kernel<T>, p.rows, p.channels, transposed, w.data,
         u.data());
  launch(stream, named("conv2d_winograd_kernel", p.blocks()), conv2d_winograd_kernel<T>, p);
}

}  // namespace detail

VENTRAL_CUDA_FUNCTION bool winograd() { return detail::winograd_switch().load(std::memory_order_relaxed); }
VENTRAL_CUDA_FUNCTION void set_winograd(bool on) { detail::winograd_switch().store(on, std::memory_order_relaxed); }

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
