#pragma once
#include <algorithm>

#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/scratch.hpp"
#include "ventral/cpu/simd.hpp"
#include "ventral/tensor.hpp"
#include "ventral/window.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

/// Images whose patches are laid out together: the weights of a place are read once for all of them.
constexpr Index patch_rows = 16;

/// The numbers under the window at (i, j) of one image [C,H,W], in the order of the weights; 0 where the window is outside.
template <class T>
void gather_patch(const WindowPlan& p, Index channels, Index i, Index j, const T* image, T* patch) {
  std::fill(patch, patch + channels * p.h.kernel * p.w.kernel, T(0));
  const Index first = p.w.first_tap(j), last = p.w.last_tap(j);
  for (Index c = 0; c < channels; ++c)
    for (Index r = p.h.first_tap(i); r < p.h.last_tap(i); ++r) {
      const Index row = (c * p.h.in + p.h.origin(i) + r * p.h.dilation) * p.w.in + p.w.origin(j);
      T* to = patch + (c * p.h.kernel + r) * p.w.kernel;
      for (Index k = first; k < last; ++k) to[k] = image[row + k * p.w.dilation];
    }
}

/// Adds a patch to the image that it was gathered from.
template <class T>
void scatter_patch(const WindowPlan& p, Index channels, Index i, Index j, const T* patch, T* image) {
  const Index first = p.w.first_tap(j), last = p.w.last_tap(j);
  for (Index c = 0; c < channels; ++c)
    for (Index r = p.h.first_tap(i); r < p.h.last_tap(i); ++r) {
      const Index row = (c * p.h.in + p.h.origin(i) + r * p.h.dilation) * p.w.in + p.w.origin(j);
      const T* from = patch + (c * p.h.kernel + r) * p.w.kernel;
      for (Index k = first; k < last; ++k) image[row + k * p.w.dilation] += from[k];
    }
}

template <class I, class T>
VENTRAL_ALWAYS_INLINE T dot(const T* a, const T* b, Index n) {
  using V = Simd<T, I>;
  V sum = V::zero();
  Index i = 0;
  for (; i + V::lanes <= n; i += V::lanes) sum = V::load(a + i) * V::load(b + i) + sum;
  T rest = T(0);
  for (; i < n; ++i) rest += a[i] * b[i];
  return sum.sum() + rest;
}

/// y += factor x.
template <class I, class T>
VENTRAL_ALWAYS_INLINE void add_multiple(T factor, const T* x, T* y, Index n) {
  using V = Simd<T, I>;
  const V f = V::all(factor);
  Index i = 0;
  for (; i + V::lanes <= n; i += V::lanes) (f * V::load(x + i) + V::load(y + i)).store(y + i);
  for (; i < n; ++i) y[i] += factor * x[i];
}

}  // namespace detail

/// y[n,o,i,j] = b[o,i,j] + sum over the taps of w[(i,j),o,:] x[n,:,window at (i,j)]. x [N,in,H,W], w [Ho Wo,out,in kh kw], b [out,Ho,Wo] or
/// empty, y [N,out,Ho,Wo]. 2 size(y) in kh kw operations; w is read once for every 16 images.
template <class T>
void locally_connected_forward(Stream, const WindowPlan& plan, In<T> x, In<T> w, In<T> b, Out<T> y) {
  const Index batch = x.shape[0], in = x.shape[1], out = y.shape[1], places = plan.h.out * plan.w.out, taps = w.shape[2], image = x.shape.product(1, 4);
  Scratch& scratch = Scratch::mine();
  scratch.reserve(0, Arena::bytes<T>(detail::patch_rows * taps));
  parallel_ranges(places, 4, [&](Index first, Index last) {
    Scratch::Lease lease(scratch);
    T* const patches = lease.arena().take<T>(detail::patch_rows * taps);
    for (Index p = first; p < last; ++p)
      for (Index begin = 0; begin < batch; begin += detail::patch_rows) {
        const Index rows = std::min(detail::patch_rows, batch - begin);
        for (Index n = 0; n < rows; ++n) detail::gather_patch(plan, in, p / plan.w.out, p % plan.w.out, x.data + (begin + n) * image, patches + n * taps);
        simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
          for (Index o = 0; o < out; ++o)
            for (Index n = 0; n < rows; ++n)
              y.data[((begin + n) * out + o) * places + p] =
                  detail::dot<decltype(isa)>(patches + n * taps, w.data + (p * out + o) * taps, taps) + (b.data ? b.data[o * places + p] : T(0));
        });
      }
  });
}

/// dx[n] = the sum over places and outputs of dy[n,o,i,j] w[(i,j),o,:], put back where the patch came from.
template <class T>
void locally_connected_backward_input(Stream, const WindowPlan& plan, In<T> w, In<T> dy, Out<T> dx) {
  const Index batch = dx.shape[0], in = dx.shape[1], out = dy.shape[1], places = plan.h.out * plan.w.out, taps = w.shape[2], image = dx.shape.product(1, 4);
  Scratch& scratch = Scratch::mine();
  scratch.reserve(0, Arena::bytes<T>(taps));
  parallel_ranges(batch, 1, [&](Index n, Index) {
    Scratch::Lease lease(scratch);
    T* const patch = lease.arena().take<T>(taps);
    std::fill(dx.data + n * image, dx.data + (n + 1) * image, T(0));
    for (Index p = 0; p < places; ++p) {
      std::fill(patch, patch + taps, T(0));
      simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
        for (Index o = 0; o < out; ++o) detail::add_multiple<decltype(isa)>(dy.data[(n * out + o) * places + p], w.data + (p * out + o) * taps, patch, taps);
      });
      detail::scatter_patch(plan, in, p / plan.w.out, p % plan.w.out, patch, dx.data + n * image);
    }
  });
}

/// dw[(i,j),o,:] += the sum over n of dy[n,o,i,j] x[n,:,window at (i,j)], in the order of the batch.
template <class T>
void locally_connected_backward_weight(Stream, const WindowPlan& plan, In<T> x, In<T> dy, Out<T> dw) {
  const Index batch = x.shape[0], in = x.shape[1], out = dy.shape[1], places = plan.h.out * plan.w.out, taps = dw.shape[2], image = x.shape.product(1, 4);
  Scratch& scratch = Scratch::mine();
  scratch.reserve(0, Arena::bytes<T>(detail::patch_rows * taps));
  parallel_ranges(places, 4, [&](Index first, Index last) {
    Scratch::Lease lease(scratch);
    T* const patches = lease.arena().take<T>(detail::patch_rows * taps);
    for (Index p = first; p < last; ++p)
      for (Index begin = 0; begin < batch; begin += detail::patch_rows) {
        const Index rows = std::min(detail::patch_rows, batch - begin);
        for (Index n = 0; n < rows; ++n) detail::gather_patch(plan, in, p / plan.w.out, p % plan.w.out, x.data + (begin + n) * image, patches + n * taps);
        simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
          for (Index o = 0; o < out; ++o)
            for (Index n = 0; n < rows; ++n)
              detail::add_multiple<decltype(isa)>(dy.data[((begin + n) * out + o) * places + p], patches + n * taps, dw.data + (p * out + o) * taps, taps);
        });
      }
  });
}

/// db[o,i,j] += the sum over n of dy[n,o,i,j].
template <class T>
void locally_connected_backward_bias(Stream, In<T> dy, Out<T> db) {
  parallel_ranges(db.size(), Index{1} << 12, [&](Index first, Index last) {
    for (Index n = 0; n < dy.shape[0]; ++n)
      for (Index i = first; i < last; ++i) db.data[i] += dy.data[n * db.size() + i];
  });
}

}  // namespace ventral::inline v0::cpu
