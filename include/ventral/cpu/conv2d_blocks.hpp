#pragma once
#include "ventral/cpu/block_backward.hpp"
#include "ventral/cpu/block_filters.hpp"
#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/conv2d_pointwise.hpp"
#include "ventral/cpu/winograd.hpp"

/// Convolution of float with 16 images in the lanes of a register (Format::blocks): every multiply-add works on one tap of 16 images, borders are padding
/// in a copy, nothing is shuffled. x, y and their gradients in rows become lanes while they are copied.
namespace ventral::inline v0::cpu {

namespace detail {

/// What conv2d_forward_fused does where neither Winograd nor products of matrices are faster: a chunk is a band of rows of one block of 16 images and group.
inline void forward_in_blocks(const BlockKernels& kernels, const WindowPlan& plan, Index groups, In<float> x, In<float> w, In<float> b, const Epilogue& e,
                              Out<unsigned char> winners, Out<float> y) {
  const ConvSizes s(plan, groups, x.shape, w.shape[0]);
  const bool pooled = e.pool != Epilogue::Pool::none, in_blocks = y.format == Format::blocks;
  const Index scale = pooled ? 2 : 1, columns = plan.w.out / scale, down = plan.h.out / scale, pixels = down * columns;
  if (s.images * pixels * s.outputs == 0) return;
  constexpr Index copy_pixels = 1 << 14, enough_chunks = 8;
  const Index blocks = (s.images + block_images - 1) / block_images;
  const BlockInput one(plan, s.channels, 1, x.format);
  const Index most = one.direct ? plan.h.out : (copy_pixels / (s.channels * one.pitch) - plan.h.span()) / plan.h.stride + 1;
  const Index rows = cut_rows(plan.h.out, most, (enough_chunks + blocks * groups - 1) / (blocks * groups), plan.w.out * s.depth() * s.outputs * block_images, pooled);
  const Index bands = (plan.h.out + rows - 1) / rows, band_pixels = (rows + scale - 1) / scale * columns;
  const BlockInput input(plan, s.channels, rows, x.format);
  const Index padded = packed_outputs(s.outputs), group_size = padded * s.depth();
  const Group in_cache = group_in_cache(s.channels, s.taps, plan.h, plan.w.out, plan.w.span(), plan.w.stride, pooled);

  Scratch& scratch = Scratch::mine();
  scratch.reserve(2 * Arena::bytes<Index>(s.depth()) + Arena::bytes<float>(groups * group_size) + Arena::bytes<float>(groups * padded),
                  Arena::bytes<float>(input.size()) + Arena::bytes<float>(in_blocks ? 0 : s.outputs * band_pixels * block_images));
  Arena shared = scratch.shared();
  Index *const offset = shared.take<Index>(s.depth()), *const at = shared.take<Index>(s.depth());
  float *const packed = shared.take<float>(groups * group_size), *const bias = shared.take<float>(groups * padded);
  input.write_offsets(offset);
  for (Index t = 0; t < s.depth(); ++t) at[t] = t;
  for (Index g = 0; g < groups; ++g) {
    pack_filters(s.outputs, s.depth(), w.data + g * s.outputs * s.depth(), s.depth(), at, packed + g * group_size);
    for (Index o = 0; o < padded; ++o) bias[g * padded + o] = b.data && o < s.outputs ? b.data[g * s.outputs + o] : 0.f;
  }

  parallel_for(blocks * groups * bands, [&](Index chunk) {
    const Index band = chunk % bands, g = chunk / bands % groups, block = chunk / bands / groups;
    const Index first = band * rows, n = std::min(rows, plan.h.out - first), out_rows = n / scale;
    if (out_rows == 0) return;
    Scratch::Lease lease(scratch);
    Arena arena = lease.arena();
    float* const copy = arena.take<float>(input.size());
    float* const out = in_blocks ? nullptr : arena.take<float>(s.outputs * band_pixels * block_images);
    const Index y_block = block * block_images * groups * s.outputs * pixels, y_plane = g * s.outputs * pixels, y_first = first / scale * columns;
    const Index in_lanes = y_block + (y_plane + y_first) * block_images;
    PixelGrid grid{out_rows, columns, input.see(x, block, g * s.channels, first, n, copy), plan.h.stride * input.pitch * block_images,
                   plan.w.stride * block_images, in_blocks ? y.data + in_lanes : out, (in_blocks ? pixels : band_pixels) * block_images, columns * block_images,
                   block_images, winners.data ? winners.data + in_lanes : nullptr, pixels * block_images};
    run_filters(kernels, {s.outputs, s.depth(), offset, packed + g * group_size, bias + g * padded}, grid, e, in_cache);
    if (in_blocks) return;
    const Index images = std::min(block_images, s.images - block * block_images);
    for (Index o = 0; o < s.outputs; ++o)
      lanes_to_rows(images, out_rows * columns, out + o * band_pixels * block_images, y.data + y_block + y_plane + o * pixels + y_first, groups * s.outputs * pixels);
  });
}

}  // namespace detail

/// db[o] += sum over images and pixels of dy[n,o]; dy [N,O,H',W'] in rows or blocks, db [O].
template <class T>
void conv2d_backward_bias(Stream, In<T> dy, Out<T> db) {
  const detail::ImageMatrices m(dy.shape, dy.format);
  const auto& kernels = detail::matrix_kernels<T>();
  constexpr Index numbers = 1 << 16;  // that make a chunk
  parallel_ranges(m.rows, numbers / (m.count * m.columns + 1) + 1, [&](Index first, Index last) {
    for (Index o = first; o < last; ++o) {
      double sum = 0;
      for (Index n = 0; n < m.count; ++n) sum += static_cast<double>(kernels.sum(m.columns, dy.data + n * m.size() + o * m.columns));
      db.data[o] += static_cast<T>(sum);
    }
  });
}

/// Whether a convolution can end with this epilogue: ReLU, and pooling of 2x2 without overlap or padding.
inline bool fuses_in_conv2d(const Epilogue& e, const WindowPlan&) {
  const auto pairs = [](const WindowAxis& a) { return a.kernel == 2 && a.stride == 2 && a.before == 0 && a.dilation == 1 && a.out == a.in / 2; };
  return e.pool == Epilogue::Pool::none || (pairs(e.window.h) && pairs(e.window.w));
}

/// y = pool(relu(conv(x, w) + b)), each of the two if e has it. x [N,C,H,W], w [O,C/groups,kh,kw], b [O] or absent (null), y as after the epilogue; x and y
/// in rows or blocks. `winners`, in the layout of y in blocks, is for backward, null if there will be none: of a maximum 0 to 3, the first place of
/// it in row-major order, the last of several NaNs, or 255 where ReLU blocks it, as it does a NaN; of a mean a bit for each place that ReLU lets through.
template <class T = float>
void conv2d_forward_fused(Stream, const WindowPlan& plan, Index groups, In<T> x, In<T> w, In<T> b, const Epilogue& e, Out<unsigned char> winners, Out<T> y) {
  if (winograd_pays(plan, groups, x.shape, w.shape[0])) return winograd_forward({}, plan, x, w, b, e, winners, y);
  if (e.pool == Epilogue::Pool::none && w.shape[0] > 0 && detail::is_pointwise(detail::Pointwise::images, plan, groups, x.shape, x.format, y.format))
    return detail::pointwise_forward<float>(x, w, b, e.relu, y);
  detail::forward_in_blocks(detail::block_kernels(), plan, groups, x, w, b, e, winners, y);
}

/// The gradients of conv2d_forward_fused, each if not null: dx is overwritten, dw and db are added to. y is what forward wrote (read for ReLU without
/// pooling only). The gradient before the epilogue is written once for a block of images, in cache; dx, dw and db are taken from it there.
template <class T = float>
void conv2d_backward_fused(Stream, const WindowPlan& plan, Index groups, In<T> x, In<T> w, In<T> y, In<unsigned char> winners, In<T> dy, const Epilogue& e,
                           Out<T>* dx, Out<T>* dw, Out<T>* db) {
  using namespace detail;
  if (dx && winograd_pays(plan, groups, x.shape, w.shape[0])) {
    winograd_backward_fused<float>({}, plan, x, w, y, winners, dy, e, dx, nullptr, nullptr);
    dx = nullptr;
  }
  if ((dw || db) && winograd_weight_pays(plan, groups, x.shape, w.shape[0])) {
    winograd_backward_fused<float>({}, plan, x, w, y, winners, dy, e, nullptr, dw, db);
    dw = db = nullptr;
  }
  const bool plain = e.empty() && dy.size() > 0;
  if (dx && plain && is_pointwise(Pointwise::images, plan, groups, x.shape, dy.format, dx->format)) {
    pointwise_backward_input<float>(w, dy, *dx);
    dx = nullptr;
  }
  if (dw && plain && is_pointwise(Pointwise::weights, plan, groups, x.shape, x.format, dy.format)) {
    pointwise_backward_weight<float>(x, dy, *dw);
    dw = nullptr;
  }
  if (!dx && !dw && db && plain) return conv2d_backward_bias<float>({}, dy, *db);
  if (dx || dw || db) backward_in_blocks({block_kernels(), plan, ConvSizes(plan, groups, x.shape, w.shape[0]), x, w, y, winners.data, dy, e, dx, dw, db});
}

// In the library ventral::kernels.
VENTRAL_COMPILED_ONE(conv2d_forward_fused<float>)
VENTRAL_COMPILED_ONE(conv2d_backward_fused<float>)

}  // namespace ventral::inline v0::cpu
