#pragma once
#include <algorithm>

#include "ventral/cuda/conv2d_plan.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// Sizes of a locally connected layer; positions of type I.
template <class I>
struct LocalSizes {
  ConvAxis<I> v, h;  ///< forward, or transposed for the gradient by the input
  I batch, in, out, places, taps;

  LocalSizes(const WindowPlan& plan, bool transposed, Index n, Index channels, Index outputs, Index depth)
      : v(conv_axis<I>(plan.h, transposed)), h(conv_axis<I>(plan.w, transposed)), batch(static_cast<I>(n)), in(static_cast<I>(channels)),
        out(static_cast<I>(outputs)), places(static_cast<I>(plan.h.out * plan.w.out)), taps(static_cast<I>(depth)) {}
};

/// Whether 32 bits hold every position: calls f with an int if so, else with an Index.
template <class F>
void with_local_index(const WindowPlan& plan, Index batch, Index in, Index out, const F& f) {
  ConvSizes s(plan, 1, Shape{batch, in, plan.h.in, plan.w.in}, Shape{batch, out, plan.h.out, plan.w.out});
  const Index places = plan.h.out * plan.w.out, depth = in * plan.h.kernel * plan.w.kernel, limit = Index{1} << 30;
  if (s.fits_int() && places < limit && depth * (out + 4) < limit / std::max(places, Index{1})) f(int{});
  else f(Index{});
}

constexpr int local_threads = 256, local_outputs = 4, local_images = 2;

/// Four outputs of `places` neighbouring places for 512 / places images by one block: each thread has one place and two images. Weights, contiguous
/// for a place, go through shared memory `depth` taps at a time and serve all images; x and y are coalesced along the places.
/// w is read once for each block of images.
template <class T, class I, int places, int depth>
VENTRAL_BOUNDED_KERNEL(local_threads) void locally_connected_forward_kernel(LocalSizes<I> s, const T* x, const T* w, const T* b, T* y) {
  constexpr int apart = local_threads / places, images = local_images * apart;
  constexpr int row = local_outputs * places + 1;  // threads along the taps of an output write different banks
  VENTRAL_SHARED(Compute<T>, slab, depth * row);
  const I image_blocks = conv_parts(s.batch, I{images}), output_blocks = conv_parts(s.out, I{local_outputs}), block = static_cast<I>(blockIdx.x);
  const I first_output = block / image_blocks % output_blocks * local_outputs, first_place = block / image_blocks / output_blocks * places;
  const int lane = static_cast<int>(threadIdx.x) % places;
  const I place = first_place + lane, image = block % image_blocks * images + static_cast<I>(threadIdx.x) / places;
  const I line = place / s.h.written * s.v.stride - s.v.before, column = place % s.h.written * s.h.stride - s.h.before;
  const bool exists = place < s.places;
  Compute<T> sum[local_images][local_outputs] = {};
  ConvCursor<I> at{0, 0, 0};
  for (I first = 0; first < s.taps; first += depth) {
    const int count = static_cast<int>(s.taps - first < depth ? s.taps - first : depth);
    __syncthreads();
    for (int e = static_cast<int>(threadIdx.x); e < depth * local_outputs * places; e += local_threads) {
      const int k = e % depth, r = e / depth % local_outputs, p = e / depth / local_outputs;
      const bool inside = k < count && first_output + r < s.out && first_place + p < s.places;
      slab[k * row + r * places + p] = inside ? load(w + ((first_place + p) * s.out + first_output + r) * s.taps + first + k) : Compute<T>(0);
    }
    __syncthreads();
    for (int k = 0; k < count; ++k) {
      const I i = line + at.i * s.v.dilation, j = column + at.j * s.h.dilation;
      const bool inside = exists && conv_inside(i, s.v.read) && conv_inside(j, s.h.read);
      VENTRAL_DEVICE_UNROLL
      for (int n = 0; n < local_images; ++n) {
        const I from = image + n * apart;
        const Compute<T> value = inside && from < s.batch ? load(x + ((from * s.in + at.c) * s.v.read + i) * s.h.read + j) : Compute<T>(0);
        VENTRAL_DEVICE_UNROLL
        for (int r = 0; r < local_outputs; ++r) sum[n][r] += slab[k * row + r * places + lane] * value;
      }
      at.advance({0, 0, 1}, s.v.kernel, s.h.kernel);
    }
  }
  VENTRAL_DEVICE_UNROLL
  for (int n = 0; n < local_images; ++n)
    VENTRAL_DEVICE_UNROLL
    for (int r = 0; r < local_outputs; ++r) {
      const I to = image + n * apart, o = first_output + r;
      if (!exists || to >= s.batch || o >= s.out) continue;
      store(y + (to * s.out + o) * s.places + place, sum[n][r] + (b ? load(b + o * s.places + place) : Compute<T>(0)));
    }
}

constexpr int local_gathered_images = 8;

/// A thread for each element of the images and eight of these: the sum over outputs and over the places whose windows saw it, found by the phases of
/// conv2d_plan.cuh. Outputs outside, taps inside, so that neighbours use up each line of w while it is in the cache. w is read once for eight images.
template <class T, class I>
VENTRAL_BOUNDED_KERNEL(local_threads) void locally_connected_backward_input_kernel(LocalSizes<I> s, const T* w, const T* dy, T* dx) {
  const I elements = s.in * s.v.written * s.h.written, blocks = conv_parts(elements, I{local_threads}), block = static_cast<I>(blockIdx.x);
  const I e = block % blocks * local_threads + static_cast<I>(threadIdx.x), image = block / blocks * local_gathered_images;
  if (e >= elements) return;
  const ConvCursor<I> at = ConvCursor<I>::at(e, s.v.written, s.h.written);
  const ConvPhase<I> v = s.v.phase(at.i % s.v.stride), h = s.h.phase(at.j % s.h.stride);
  const I line = at.i / s.v.stride + v.first, column = at.j / s.h.stride + h.first;
  Compute<T> sum[local_gathered_images] = {};
  for (I o = 0; o < s.out; ++o)
    for (I m = 0; m < v.taps; ++m) {
      const I i = line + m * v.dilation;
      if (!conv_inside(i, s.v.read)) continue;
      const I tap = (at.c * s.v.kernel + v.tap + m * v.tap_step) * s.h.kernel + h.tap;
      for (I l = 0; l < h.taps; ++l) {
        const I j = column + l * h.dilation, place = i * s.h.read + j;
        if (!conv_inside(j, s.h.read)) continue;
        const Compute<T> weight = load(w + (place * s.out + o) * s.taps + tap + l * h.tap_step);
        VENTRAL_DEVICE_UNROLL
        for (int n = 0; n < local_gathered_images; ++n)
          if (image + n < s.batch) sum[n] += weight * load(dy + ((image + n) * s.out + o) * s.places + place);
      }
    }
  VENTRAL_DEVICE_UNROLL
  for (int n = 0; n < local_gathered_images; ++n)
    if (image + n < s.batch) store(dx + (image + n) * elements + e, sum[n]);
}

/// A thread for each tap of four outputs of a place, threads along the taps; the batch in its order. dw is read and written once, x read out / 4
/// times.
template <class T, class I>
VENTRAL_BOUNDED_KERNEL(local_threads) void locally_connected_backward_weight_kernel(LocalSizes<I> s, const T* x, const T* dy, T* dw) {
  const I output_blocks = conv_parts(s.out, I{local_outputs}), items = s.places * output_blocks * s.taps, image = s.in * s.v.read * s.h.read;
  const I item = static_cast<I>(blockIdx.x) * local_threads + static_cast<I>(threadIdx.x);
  if (item >= items) return;
  const I k = item % s.taps, first = item / s.taps % output_blocks * local_outputs, place = item / s.taps / output_blocks;
  const ConvCursor<I> tap = ConvCursor<I>::at(k, s.v.kernel, s.h.kernel);
  const I i = place / s.h.written * s.v.stride - s.v.before + tap.i * s.v.dilation;
  const I j = place % s.h.written * s.h.stride - s.h.before + tap.j * s.h.dilation;
  if (!conv_inside(i, s.v.read) || !conv_inside(j, s.h.read)) return;
  Compute<T> sum[local_outputs] = {};
  for (I n = 0; n < s.batch; ++n) {
    const Compute<T> value = load(x + n * image + (tap.c * s.v.read + i) * s.h.read + j);
    VENTRAL_DEVICE_UNROLL
    for (int r = 0; r < local_outputs; ++r)
      if (first + r < s.out) sum[r] += load(dy + (n * s.out + first + r) * s.places + place) * value;
  }
  VENTRAL_DEVICE_UNROLL
  for (int r = 0; r < local_outputs; ++r)
    if (first + r < s.out) {
      T* const to = dw + (place * s.out + first + r) * s.taps + k;
      store(to, load(to) + sum[r]);
    }
}

/// A thread for each bias; the batch in its order. Reads dy once.
template <class T>
VENTRAL_KERNEL void locally_connected_backward_bias_kernel(Index batch, Index size, const T* dy, T* db) {
  for (Index e = first_element(); e < size; e += element_step()) {
    Compute<T> sum(0);
    for (Index n = 0; n < batch; ++n) sum += load(dy + n * size + e);
    store(db + e, load(db + e) + sum);
  }
}

}  // namespace detail

/// y[n,o,i,j] = b[o,i,j] + sum over the taps of w[(i,j),o,:] x[n,:,window at (i,j)]. x [N,in,H,W], w [Ho Wo,out,in kh kw], b [out,Ho,Wo] or
/// empty, y [N,out,Ho,Wo]. 2 size(y) in kh kw operations; w is read once for every 64 images.
template <class T>
void locally_connected_forward(Stream stream, const WindowPlan& plan, In<T> x, In<T> w, In<T> b, Out<T> y) {
  const Index batch = x.shape[0], in = x.shape[1], out = y.shape[1];
  if (y.size() == 0) return;
  detail::with_local_index(plan, batch, in, out, [&]<class I>(I) {
    const detail::LocalSizes<I> s(plan, false, batch, in, out, w.shape[2]);
    const auto run = [&](auto kernel, Index places) {
      const Index images = detail::local_images * detail::local_threads / places;
      const Index tiles = detail::conv_parts(out, Index{detail::local_outputs}) * detail::conv_parts(plan.h.out * plan.w.out, places);
      const Launch l{.kernel = "locally_connected_forward_kernel", .blocks = tiles * detail::conv_parts(batch, images),
                     .threads = detail::local_threads, .shape = x.shape, .other = y.shape};
      launch(stream, l, kernel, s, x.data, w.data, b.data, y.data);
    };
    if (batch <= 8) run(detail::locally_connected_forward_kernel<T, I, 64, 8>, 64);
    else run(detail::locally_connected_forward_kernel<T, I, 8, 32>, 8);
  });
}

/// dx[n] = the sum over places and outputs of dy[n,o,i,j] w[(i,j),o,:], put back where the patch came from. Gathered, so in a fixed order.
template <class T>
void locally_connected_backward_input(Stream stream, const WindowPlan& plan, In<T> w, In<T> dy, Out<T> dx) {
  const Index batch = dx.shape[0], in = dx.shape[1], out = dy.shape[1];
  if (dx.size() == 0) return;
  detail::with_local_index(plan, batch, in, out, [&]<class I>(I) {
    const detail::LocalSizes<I> s(plan, true, batch, in, out, w.shape[2]);
    const Index images = detail::conv_parts(batch, Index{detail::local_gathered_images});
    const Launch l{.kernel = "locally_connected_backward_input_kernel",
                   .blocks = images * detail::conv_parts(dx.shape.product(1, 4), Index{detail::local_threads}),
                   .threads = detail::local_threads, .shape = dy.shape, .other = dx.shape};
    launch(stream, l, detail::locally_connected_backward_input_kernel<T, I>, s, w.data, dy.data, dx.data);
  });
}

/// dw[(i,j),o,:] += the sum over n of dy[n,o,i,j] x[n,:,window at (i,j)], in the order of the batch.
template <class T>
void locally_connected_backward_weight(Stream stream, const WindowPlan& plan, In<T> x, In<T> dy, Out<T> dw) {
  const Index batch = x.shape[0], in = x.shape[1], out = dy.shape[1];
  if (x.size() == 0 || dy.size() == 0) return;
  detail::with_local_index(plan, batch, in, out, [&]<class I>(I) {
    const detail::LocalSizes<I> s(plan, false, batch, in, out, dw.shape[2]);
    const Index items = dw.shape[0] * detail::conv_parts(out, Index{detail::local_outputs}) * dw.shape[2];
    const Launch l{.kernel = "locally_connected_backward_weight_kernel", .blocks = detail::conv_parts(items, Index{detail::local_threads}),
                   .threads = detail::local_threads, .shape = x.shape, .other = dy.shape};
    launch(stream, l, detail::locally_connected_backward_weight_kernel<T, I>, s, x.data, dy.data, dw.data);
  });
}

/// db[o,i,j] += the sum over n of dy[n,o,i,j].
template <class T>
void locally_connected_backward_bias(Stream stream, In<T> dy, Out<T> db) {
  if (dy.size() == 0) return;
  launch(stream, {.kernel = "locally_connected_backward_bias_kernel", .blocks = blocks_for(db.size()), .shape = dy.shape},
         detail::locally_connected_backward_bias_kernel<T>, dy.shape[0], db.size(), dy.data, db.data);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
