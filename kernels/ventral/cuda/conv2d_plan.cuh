#pragma once
#include <numeric>

#include "ventral/cuda/runtime.cuh"
#include "ventral/window.hpp"

/// How convolutions are laid over the GPU's threads: what may be tuned, and the one picture that forward and both gradients share.
///
/// Forward and the gradient by the input are the same work, a gather: an element of what is written is the sum over channels and taps of a weight
/// times an element of what is read. Forward reads position u stride - before + m dilation for output u and tap m. The gradient by the input reads
/// (u + before - m dilation) / stride where that divides; so its pixels fall into `stride` phases along each axis, and within a phase everything is a
/// convolution with stride 1 again, by those taps that divide.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

/// Which kernels compute a convolution.
enum class ConvKernel {
  automatic,      ///< by the limits of ConvTuning
  direct,         ///< threads along the pixels, weights in shared memory: for few outputs a group, as in a first layer or a depthwise one
  implicit_gemm,  ///< a product of matrices, tile by tile; the matrix of all windows is never written out
  hopper,         ///< the same by Hopper's copy engine and wgmma, forward and by the input, for 16-bit numbers and tf32: see conv_gather_on_hopper; else as implicit_gemm
  winograd        ///< F(2x2,3x3), forward and by the input, for what it computes: float, 3x3, stride and dilation 1, one group; else as implicit_gemm
};

/// Rows x columns of the product that a block of 256 threads computes.
enum class ConvTile { automatic, low_16x256, square_64x64, square_128x128 };

/// What benchmarks sweep. Results differ by rounding only; the same tuning and shapes give the same bits on every device with tensor cores.
struct ConvTuning {
  ConvKernel kernel = ConvKernel::automatic;
  ConvTile tile = ConvTile::automatic;
  Index direct_rows = 8;      ///< automatic: direct up to so many rows of the product a group (outputs; channels for the gradient by the input)
  Index direct_weights = 1024;  ///< automatic: the weight gradient is direct up to so many weights a group
  Index low_rows = 32;        ///< automatic: the low tile up to so many rows,
  Index large_blocks = 264;   ///< and the largest when there are at least so many blocks of it: two for each processor of an H100
  Index split_blocks = 528;   ///< the weight gradient's sum over images and pixels is split until there are about so many blocks,
  Index split_pixels = 1024;  ///< into runs of at least so many pixels
  bool tensor_cores = true;   ///< for bfloat16, half, and floats whose math allows them; from compute capability 8.0
  bool winograd = false;      ///< automatic: winograd for what it computes and where it pays; off before a GPU has measured it
  Index winograd_rows = 33;      ///< it pays from so many rows
  Index winograd_channels = 16;  ///< and channels read on
  bool wide_index = false;    ///< 64-bit positions even where 32 bits would do
  Index launch_blocks = (Index{1} << 31) - 1;  ///< the most blocks in one launch
};

namespace detail {

template <class I>
constexpr I conv_parts(I whole, I part) {
  return (whole + part - 1) / part;
}

/// Whether 0 <= i < bound, by one comparison.
template <class I>
VENTRAL_DEVICE bool conv_inside(I i, I bound) {
  return static_cast<std::make_unsigned_t<I>>(i) < static_cast<std::make_unsigned_t<I>>(bound);
}

/// One axis of a gather: pixel u of the phase reads u * stride + first + m * dilation for m < taps, by weight tap + m * tap_step, and is written at
/// place + u * place_step.
template <class I>
struct ConvPhase {
  I count, stride, first, dilation, taps, tap, tap_step, place, place_step;
};

/// One axis of a convolution, in the direction of the gather: extents read and written, and how its phases differ.
template <class I>
struct ConvAxis {
  I read, written, kernel, stride, before, dilation;
  I phases, tap_step, reach;  ///< gradient by the input: stride and dilation over their greatest common divisor; forward: one phase
  bool transposed;

  /// The largest number of pixels in a phase.
  VENTRAL_HOST_DEVICE constexpr I longest() const { return transposed ? conv_parts(written, stride) : written; }
  VENTRAL_HOST_DEVICE constexpr ConvPhase<I> phase(I f) const {
    if (!transposed) return {written, stride, -before, dilation, kernel, 0, 1, 0, 1};
    const I last = tap_step < kernel ? tap_step : kernel;
    I tap = 0;
    while (tap < last && (f + before - tap * dilation) % stride != 0) ++tap;
    const I taps = tap < last ? (kernel - 1 - tap) / tap_step + 1 : 0;
    return {conv_parts(written - f, stride), 1, (f + before - tap * dilation) / stride, -reach, taps, tap, tap_step, f, stride};
  }
};

template <class I>
ConvAxis<I> conv_axis(const WindowAxis& a, bool transposed) {
  const auto as = [](Index v) { return static_cast<I>(v); };
  const Index common = std::gcd(a.stride, a.dilation);
  ConvAxis<I> r{as(a.in), as(a.out), as(a.kernel), as(a.stride), as(a.before), as(a.dilation), 1, 1, 1, transposed};
  if (!transposed) return r;
  std::swap(r.read, r.written);
  r.phases = as(std::min(a.stride, a.in));
  r.tap_step = as(a.stride / common);
  r.reach = as(a.dilation / common);
  return r;
}

/// A flat position in [c][i][j] that moves on without divisions: a tap in the matrix of windows, or a pixel of a batch.
template <class I>
struct ConvCursor {
  I c, i, j;

  VENTRAL_HOST_DEVICE static constexpr ConvCursor at(I flat, I extent_i, I extent_j) {
    const I rest = flat / extent_j;
    return {rest / extent_i, rest % extent_i, flat % extent_j};
  }
  /// Goes on by a step, which is itself a cursor made by at().
  VENTRAL_HOST_DEVICE constexpr void advance(const ConvCursor& step, I extent_i, I extent_j) {
    j += step.j;
    i += step.i;
    c += step.c;
    if (j >= extent_j) j -= extent_j, ++i;
    if (i >= extent_i) i -= extent_i, ++c;
  }
};

/// The sizes of one convolution, channels and outputs counted within a group. A window that covers its image once, as in a LeNet's last convolution,
/// becomes a 1x1 window on an image of as many channels as it has elements: the gradient would else look for each element's one tap among all.
struct ConvSizes {
  WindowPlan plan;
  Index images, groups, channels, outputs;

  ConvSizes(const WindowPlan& window, Index group_count, const Shape& x, const Shape& y)
      : plan(window), images(x[0]), groups(group_count), channels(x[1] / group_count), outputs(y[1] / group_count) {
    const auto whole = [](const WindowAxis& a) { return a.kernel == a.in && a.out == 1 && a.before == 0 && a.after == 0 && a.dilation == 1; };
    if (!whole(plan.h) || !whole(plan.w)) return;
    channels *= plan.h.in * plan.w.in;
    plan.h = plan.w = WindowAxis{1, 1, 1, 1, 0, 0, 1};
  }
  /// Whether this is a linear layer: y [images, outputs] = x [images, channels] w^T.
  bool linear() const { return groups == 1 && plan.h.in * plan.w.in * plan.h.kernel * plan.w.kernel * plan.h.out * plan.w.out == 1; }
  Index depth() const { return channels * plan.h.kernel * plan.w.kernel; }

  /// Whether 32 bits hold every position in the tensors and, with a tile's overhang, in the padding around the images.
  bool fits_int() const {
    constexpr Index limit = (Index{1} << 31) - (Index{1} << 20), extent = Index{1} << 29;
    const auto reach = [](const WindowAxis& a) { return a.in + a.before + a.span() + a.out * a.stride + a.dilation; };
    const Index h = reach(plan.h), w = reach(plan.w), read = channels * plan.h.in * plan.w.in, written = outputs * plan.h.out * plan.w.out;
    const Index last = limit / std::max(images * groups, Index{1});
    const bool tensors = read < last && written < last && groups * outputs * depth() < limit;
    return tensors && h < extent && w < extent && h < extent / std::max(plan.w.in, Index{1});
  }
};

}  // namespace detail

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
