#pragma once
#include <algorithm>

#include "ventral/cuda/runtime.cuh"
#include "ventral/window.hpp"

/// Windows as the pooling kernels count them: in int where everything fits, since 64-bit division takes several times as long on a GPU.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail {

template <class I>
struct PoolAxis {
  I in, out, kernel, stride, before, after, dilation;

  explicit PoolAxis(const WindowAxis& a)
      : in(static_cast<I>(a.in)),
        out(static_cast<I>(a.out)),
        kernel(static_cast<I>(a.kernel)),
        stride(static_cast<I>(a.stride)),
        before(static_cast<I>(a.before)),
        after(static_cast<I>(a.after)),
        dilation(static_cast<I>(a.dilation)) {}
  VENTRAL_DEVICE I span() const { return (kernel - 1) * dilation + 1; }
  /// n / dilation, rounded up.
  VENTRAL_DEVICE I steps(I n) const { return dilation == 1 ? n : (n + dilation - 1) / dilation; }
  /// Whether one of the taps of output o, whose span covers the position, is on it.
  VENTRAL_DEVICE bool has_tap(I o, I position) const { return dilation == 1 || (position + before - o * stride) % dilation == 0; }
};

template <class I>
struct PoolPlan {
  PoolAxis<I> h, w;
  explicit PoolPlan(const WindowPlan& p) : h(p.h), w(p.w) {}
};

/// Whether int holds every number that the kernels come across.
inline bool fits_int(const WindowPlan& plan, Index inputs, Index outputs) {
  const auto fits = [](const WindowAxis& a) { return a.in + a.before + a.after + a.span() + a.stride + a.dilation <= Index{1} << 30; };
  return inputs <= Index{1} << 30 && outputs <= Index{1} << 30 && fits(plan.h) && fits(plan.w);
}

/// Element i of planes of rows x columns.
template <class I>
struct PlanePosition {
  I plane, row, column;
  VENTRAL_DEVICE PlanePosition(I i, I rows, I columns) {
    const I line = i / columns;
    column = i - line * columns;
    plane = line / rows;
    row = line - plane * rows;
  }
};

/// The taps of an output that are inside the image: position of the first, how many, and how many a mean counts: those or, with `padded`,
/// those inside the padded image.
template <class I>
struct WindowTaps {
  I position, taps, counted;
  VENTRAL_DEVICE WindowTaps(const PoolAxis<I>& a, I o, bool padded) {
    const I origin = o * a.stride - a.before;
    if (origin >= 0 && origin + a.span() <= a.in) {
      position = origin;
      taps = counted = a.kernel;
      return;
    }
    const I first = origin >= 0 ? 0 : std::min(a.kernel, a.steps(-origin));
    const I last = origin >= a.in ? 0 : std::min(a.kernel, a.steps(a.in - origin));
    position = origin + first * a.dilation;
    taps = std::max(I(0), last - first);
    counted = padded ? std::min(a.kernel, a.steps(a.in + a.after - origin)) : taps;
  }
};

/// The outputs [first, last) whose windows span a position of the image.
template <class I>
struct CoveringWindows {
  I first, last;
  VENTRAL_DEVICE CoveringWindows(const PoolAxis<I>& a, I position) {
    const I from_start = position + a.before, beyond = from_start - a.span();  // the window at 0 ends on `span - 1`
    first = beyond < 0 ? 0 : beyond / a.stride + 1;
    last = std::min(a.out, from_start / a.stride + 1);
  }
};

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail
