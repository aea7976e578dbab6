#pragma once
#include <type_traits>

#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/conv2d_blocks.hpp"
#include "ventral/cpu/conv2d_seen_pixels.hpp"
#include "ventral/cpu/conv_frame.hpp"
#include "ventral/cpu/gemm.hpp"
#include "ventral/window.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

/// Output rows in one chunk: few enough that `planes` rows of an image stay in the second-level cache, and that a small batch gives enough chunks.
template <class T>
Index rows_per_chunk(const WindowPlan& plan, Index planes, Index others, Index work_per_row) {
  constexpr Index cache = 192 * 1024 / static_cast<Index>(sizeof(T)), longest = 1024, enough_chunks = 8, small_work = 1 << 18;
  const Frame one(plan, 1, 1, sizeof(T));
  Index rows = std::min(longest / one.pitch, cache / (planes * one.phases_h * one.phases_w * one.pitch));
  if (others < enough_chunks) rows = std::min(rows, std::max(plan.h.out * others / enough_chunks, small_work / work_per_row + 1));
  return even_part(plan.h.out, rows);
}

constexpr Index many_weights = 1 << 13;  // from which products in rows run at full speed

/// A window that covers the whole image once: a product of matrices, with an image as a row.
inline bool covers_image(const WindowPlan& plan, Index groups) {
  const auto whole = [](const WindowAxis& a) { return a.kernel == a.in && a.out == 1 && a.before == 0 && a.after == 0 && a.dilation == 1; };
  return groups == 1 && whole(plan.h) && whole(plan.w);
}

/// Whether a convolution between these formats runs with images in lanes: it must if one is in blocks, else if that pays.
template <class T>
bool runs_in_blocks(const WindowPlan& plan, const ConvSizes& s, Format x, Format y, bool pays) {
  const auto whole = [](const WindowAxis& a) { return a.kernel == 1 && a.stride == 1 && a.before == 0 && a.after == 0; };
  if constexpr (!std::is_same_v<T, float>) return false;
  return x == Format::blocks || y == Format::blocks || (pays && !covers_image(plan, s.groups) && !(whole(plan.h) && whole(plan.w)));
}

}  // namespace detail

/// Whether a convolution of x [N,C,H,W] with so many outputs is faster with images in lanes than in rows: when enough lanes hold an image. Rows are at their
/// best, 85 % of full lanes, where there are many weights to multiply with, but they have no Winograd.
inline bool blocks_pay(const WindowPlan& plan, Index groups, const Shape& x, Index outputs) {
  const detail::ConvSizes s(plan, groups, x, outputs);
  return filled_percent(x[0]) >= (s.depth() * s.outputs < detail::many_weights || winograd_pays(plan, groups, x, outputs) ? 50 : 75);
}
/// The same for the gradient of the weights, which adds up the lanes of each weight at the end: that takes enough places to sum over before, but for Winograd.
inline bool blocks_pay_for_weights(const WindowPlan& plan, Index groups, const Shape& x, Index outputs) {
  constexpr Index enough_places = 128;
  const detail::ConvSizes s(plan, groups, x, outputs);
  const bool few = s.pixels * stored_images(s.images, Format::blocks) < enough_places * block_images && s.depth() * s.outputs >= detail::many_weights;
  if (few && !winograd_weight_pays(plan, groups, x, outputs)) return false;
  return (s.channels >= 8 || plan.w.stride == 1 || groups > 1) && blocks_pay(plan, groups, x, outputs);
}

/// y[n,o] = b[o] + sum_{c,i,j} w[o,c,i,j] x[n,c](stride y + dilation (i,j) - padding): correlation, as everywhere in the field.
/// x [N,C,H,W], w [O,C/groups,kh,kw], b [O] or absent (null), y [N,O,H',W']; elements outside the image count 0.
/// 2 N O H' W' (C/groups) kh kw operations; x is read O(1) times. Method: see detail::Frame; chunks are blocks of rows of an image and group.
template <class T>
void conv2d_forward(Stream stream, const WindowPlan& plan, Index groups, In<T> x, In<T> w, In<T> b, Out<T> y) {
  using namespace detail;
  const ConvSizes s(plan, groups, x.shape, w.shape[0]);
  if (s.outputs > 0 && sees_pixels(plan, groups, x.shape, x.format, y.format)) return seen_forward<T>(plan, x, w, b, y);
  if (s.outputs > 0 && is_pointwise(Pointwise::images, plan, groups, x.shape, x.format, y.format)) return pointwise_forward<T>(x, w, b, false, y);
  if constexpr (std::is_same_v<T, float>)
    if (runs_in_blocks<T>(plan, s, x.format, y.format, blocks_pay(plan, groups, x.shape, w.shape[0])))
      return conv2d_forward_fused(stream, plan, groups, x, w, b, {}, {}, y);
  const auto& kernels = matrix_kernels<T>();
  if (s.images * s.pixels * s.outputs == 0) return;
  if (covers_image(plan, groups)) {
    for (Index n = 0; n < s.images; ++n)
      for (Index o = 0; o < s.outputs; ++o) y.data[n * s.outputs + o] = b.data ? b.data[o] : T(0);
    return gemm<T>(stream, s.images, s.outputs, s.depth(), 1, {x.data, s.depth()}, {w.data, s.depth(), true}, 1, y.data, s.outputs);
  }
  const Index rows = rows_per_chunk<T>(plan, s.channels, s.images * groups, plan.w.out * s.depth() * s.outputs);
  const Index chunks_an_image = (plan.h.out + rows - 1) / rows;
  const Frame frame(plan, s.channels, rows, sizeof(T));
  const Index width = round_up(frame.columns(rows), kernels.panel()), group_size = kernels.packed_rows(s.outputs) * s.depth();

  Scratch& scratch = Scratch::mine();
  const Index offsets = std::max(s.depth(), s.outputs);
  scratch.reserve(2 * Arena::bytes<Index>(offsets) + Arena::bytes<T>(groups * group_size + 4),
                  Arena::bytes<T>(frame.size()) + Arena::bytes<T>(tallest_tile * width));
  Arena shared = scratch.shared();
  Index *const tap = shared.take<Index>(offsets), *const w_row = shared.take<Index>(offsets);
  T* const packed = shared.take<T>(groups * group_size + 4);
  frame.write_offsets(tap);
  for (Index o = 0; o < s.outputs; ++o) w_row[o] = o * s.depth();
  for (Index g = 0; g < groups; ++g) pack_tiles(kernels, s.outputs, s.depth(), w.data + g * s.outputs * s.depth(), w_row, packed + g * group_size);

  parallel_for(s.images * groups * chunks_an_image, [&](Index chunk) {
    const Index first = chunk % chunks_an_image * rows, n = std::min(rows, plan.h.out - first), image_group = chunk / chunks_an_image, g = image_group % groups;
    Scratch::Lease lease(scratch);
    Arena arena = lease.arena();
    T *const taps = arena.take<T>(frame.size()), *const out = arena.take<T>(tallest_tile * width);
    frame.fill(x.data + image_group * s.channels * plan.h.in * plan.w.in, first, n, taps);
    const Index columns = round_up(frame.columns(n), kernels.lanes);
    for (Index o = 0; o < s.outputs; o += kernels.height) {
      const Index height = kernels.tile_height(s.outputs - o);
      multiply_tiles<T>(kernels, height, columns, s.depth(), {packed + g * group_size + o * s.depth(), 0}, {taps, tap, kernels.panel()}, out, width, false);
      for (Index i = 0; i < std::min(height, s.outputs - o); ++i)
        kernels.shift_rows(n, plan.w.out, out + i * width, frame.pitch, b.data ? b.data[g * s.outputs + o + i] : T(0),
                           y.data + (image_group * s.outputs + o + i) * s.pixels + first * plan.w.out, plan.w.out);
    }
  });
}

/// dx[n,c](p) = sum over the outputs o and taps (i,j) that saw p of w[o,c,i,j] dy[n,o]. Shapes as in conv2d_forward.
/// Method: the gradient of every tap is a product w^T dy; added tap by tap to a frame, which is then read back. Chunks are blocks of channels of an image.
template <class T>
void conv2d_backward_input(Stream stream, const WindowPlan& plan, Index groups, In<T> w, In<T> dy, Out<T> dx) {
  using namespace detail;
  const ConvSizes s(plan, groups, dx.shape, w.shape[0]);
  if (s.outputs > 0 && sees_pixels(plan, groups, dx.shape, dy.format, dx.format)) return seen_backward_input<T>(plan, w, dy, dx);
  if (s.outputs > 0 && is_pointwise(Pointwise::images, plan, groups, dx.shape, dy.format, dx.format)) return pointwise_backward_input<T>(w, dy, dx);
  if constexpr (std::is_same_v<T, float>)
    if (runs_in_blocks<T>(plan, s, dx.format, dy.format, (s.channels >= 4 || groups > 1) && blocks_pay(plan, groups, dx.shape, w.shape[0])))
      return conv2d_backward_fused<float>(stream, plan, groups, {nullptr, dx.shape, dx.format}, w, {}, {}, dy, {}, &dx, nullptr, nullptr);
  const auto& kernels = matrix_kernels<T>();
  if (s.empty()) return static_cast<void>(std::fill_n(dx.data, dx.size(), T(0)));
  if (covers_image(plan, groups)) return gemm<T>(stream, s.images, s.depth(), s.outputs, 1, {dy.data, s.outputs}, {w.data, s.depth()}, 0, dx.data, s.depth());
  constexpr Index cache = 256 * 1024 / static_cast<Index>(sizeof(T)), fewest_taps = 72, enough_chunks = 16, small_work = 1 << 18;
  const Frame one(plan, 1, plan.h.out, sizeof(T));
  const Index in_cache = std::min(cache / one.channel_stride, s.channels * s.images * groups / enough_chunks);
  const Index worth = small_work / (s.outputs * s.pixels * s.taps) + 1;  // channels that make a chunk worth handing over
  const Index channels = even_part(s.channels, std::max({in_cache, worth, (fewest_taps + s.taps - 1) / s.taps}));
  const Index blocks = (s.channels + channels - 1) / channels;
  const Index rows = rows_per_chunk<T>(plan, s.outputs, Index{1} << 30, 1);
  // With fewer taps than outputs, rows of the taps' gradients are shifted to the frame's pitch instead of those of dy.
  const bool in_place = channels * s.taps < s.outputs && rows == plan.h.out && s.pixels % kernels.lanes == 0;
  const Frame frame(plan, channels, plan.h.out, sizeof(T));
  const Index width = round_up(in_place ? s.pixels : frame.columns(rows), kernels.panel()), block_size = kernels.packed_rows(channels * s.taps) * s.outputs;

  Scratch& scratch = Scratch::mine();
  scratch.reserve(Arena::bytes<Index>(frame.taps()) + Arena::bytes<Index>(s.outputs) + Arena::bytes<T>(groups * blocks * block_size),
                  Arena::bytes<T>(frame.size()) + Arena::bytes<T>(s.outputs * width) + Arena::bytes<T>(tallest_tile * width));
  Arena shared = scratch.shared();
  Index *const tap = shared.take<Index>(frame.taps()), *const dy_row = shared.take<Index>(s.outputs);
  T* const packed = shared.take<T>(groups * blocks * block_size);
  frame.write_offsets(tap);
  for (Index o = 0; o < s.outputs; ++o) dy_row[o] = o * (in_place ? s.pixels : width);
  for (Index g = 0; g < groups; ++g)
    for (Index block = 0; block < blocks; ++block) {
      const Index c = block * channels, n = std::min(channels, s.channels - c);
      const T* const from = w.data + g * s.outputs * s.depth() + c * s.taps;
      pack_tiles_of_columns(kernels, n * s.taps, s.outputs, from, s.depth(), packed + (g * blocks + block) * block_size);
    }

  parallel_for(s.images * groups * blocks, [&](Index chunk) {
    const Index block = chunk % blocks, image_group = chunk / blocks, c = block * channels;
    Frame part = frame;
    part.channels = std::min(channels, s.channels - c);
    Scratch::Lease lease(scratch);
    Arena arena = lease.arena();
    T *const taps = arena.take<T>(frame.size()), *const spread = arena.take<T>(s.outputs * width), *const out = arena.take<T>(tallest_tile * width);
    std::fill_n(taps, frame.size(), T(0));
    if (!in_place) std::fill_n(spread, s.outputs * width, T(0));
    const T* const a = packed + (image_group % groups * blocks + block) * block_size;
    for (Index first = 0; first < plan.h.out; first += rows) {
      const Index n = std::min(rows, plan.h.out - first), columns = in_place ? s.pixels : frame.columns(n);
      const T* const slope = dy.data + image_group * s.outputs * s.pixels + first * plan.w.out;
      for (Index o = 0; !in_place && o < s.outputs; ++o)
        kernels.shift_rows(n, plan.w.out, slope + o * s.pixels, plan.w.out, T(0), spread + o * width, frame.pitch);
      for (Index t = 0; t < part.taps(); t += kernels.height) {
        const Index height = kernels.tile_height(part.taps() - t);
        multiply_tiles<T>(kernels, height, round_up(columns, kernels.lanes), s.outputs, {a + t * s.outputs, 0},
                          {in_place ? slope : spread, dy_row, kernels.panel()}, out, width, false);
        for (Index i = 0; i < std::min(height, part.taps() - t); ++i) {
          T* const to = taps + tap[t + i] + first * frame.pitch;
          if (!in_place) kernels.add_row(columns, out + i * width, to);
          for (Index r = 0; in_place && r < n; ++r) kernels.add_row(plan.w.out, out + i * width + r * plan.w.out, to + r * frame.pitch);
        }
      }
    }
    part.read_back(taps, dx.data + (image_group * s.channels + c) * plan.h.in * plan.w.in);
  });
}

namespace detail {

/// The weight gradient of one block of channels of one group, summed over a run of units (blocks of rows of images).
template <class T>
class WeightGradient {
 public:
  WeightGradient(const WindowPlan& plan, const ConvSizes& sizes)
      : kernels_(matrix_kernels<T>()), plan_(plan), s_(sizes),
        by_dots_(s_.outputs <= 2 || (s_.outputs <= 8 && s_.pixels >= most_pixels)), channels_(even_part(s_.channels, most_taps / s_.taps)),
        rows_(by_dots_ ? rows_per_chunk<T>(plan, channels_, Index{1} << 30, 1) : even_part(plan.h.out, most_pixels / plan.w.out)),
        capacity_(round_up(std::max(most_pixels, rows_ * plan.w.out), 4) + kernels_.lanes), frame_(plan, channels_, rows_, sizeof(T)) {}

  Index blocks() const { return (s_.channels + channels_ - 1) / channels_; }
  Index units_an_image() const { return (plan_.h.out + rows_ - 1) / rows_; }
  /// Runs that the units are cut into: enough chunks for a few threads, and partial sums of at most 4 MiB or so.
  Index runs() const {
    constexpr Index enough_chunks = 16, most_numbers = Index{1} << 20;
    const Index size = s_.groups * s_.outputs * s_.depth(), wanted = std::min(enough_chunks / (s_.groups * blocks()), most_numbers / size);
    return std::clamp(wanted, Index{1}, s_.images * units_an_image());
  }
  Index shared_bytes() const { return Arena::bytes<Index>(frame_.taps()) + Arena::bytes<Index>(s_.outputs) + Arena::bytes<Index>(capacity_); }
  Index bytes() const {
    const Index dots = Arena::bytes<T>(s_.outputs * spread_stride());
    const Index product = Arena::bytes<T>(kernels_.packed_rows(s_.outputs) * capacity_) + Arena::bytes<T>(kernels_.packed_columns(frame_.taps()) * capacity_);
    return Arena::bytes<T>(frame_.size()) + (by_dots_ ? dots : product);
  }
  void prepare(Arena& shared) {
    tap_ = shared.take<Index>(frame_.taps());
    dy_row_ = shared.take<Index>(s_.outputs);
    pixel_row_ = shared.take<Index>(capacity_);
    frame_.write_offsets(tap_);
    for (Index o = 0; o < s_.outputs; ++o) dy_row_[o] = o * s_.pixels;
    for (Index p = 0; p < capacity_; ++p) pixel_row_[p] = p * kernels_.panel();
  }

  /// Adds the sum over units [first, last) to dw [outputs, depth], in the columns of this block.
  void run(const T* x, const T* dy, Index g, Index block, Index first, Index last, T* dw, Arena arena) const {
    Frame frame = frame_;
    const Index c = block * channels_;
    frame.channels = std::min(channels_, s_.channels - c);
    T* const taps = arena.take<T>(frame_.size());
    T* const a = arena.take<T>(by_dots_ ? s_.outputs * spread_stride() : kernels_.packed_rows(s_.outputs) * capacity_);
    T* const b = by_dots_ ? nullptr : arena.take<T>(kernels_.packed_columns(frame_.taps()) * capacity_);
    if (by_dots_) std::fill_n(a, s_.outputs * spread_stride(), T(0)), std::fill_n(taps, frame_.size(), T(0));
    dw += c * s_.taps;
    Index filled = 0;
    for (Index unit = first; unit < last; ++unit) {
      const Index image_group = unit / units_an_image() * s_.groups + g, row = unit % units_an_image() * rows_, n = std::min(rows_, plan_.h.out - row);
      frame.fill(x + (image_group * s_.channels + c) * plan_.h.in * plan_.w.in, row, n, taps);
      const T* const slope = dy + image_group * s_.outputs * s_.pixels + row * plan_.w.out;
      if (by_dots_) {
        add_dots(frame, taps, n, slope, a, dw);
        continue;
      }
      if (filled + n * plan_.w.out + kernels_.lanes > capacity_) flush(frame.taps(), filled, a, b, dw);
      pack(frame, taps, n, slope, filled, a, b);
      filled += n * plan_.w.out;
    }
    flush(frame.taps(), filled, a, b, dw);
  }

 private:
  static constexpr Index most_taps = 288, most_pixels = 256;

  Index spread_stride() const { return round_up(frame_.columns(rows_), kernels_.lanes); }

  /// Few outputs: dot products of dy, spread to the pitch of the frame with zeros between, with the frame seen from each tap.
  void add_dots(const Frame& frame, const T* taps, Index n, const T* dy, T* spread, T* dw) const {
    const Index columns = round_up(frame.columns(n), kernels_.lanes), stride = spread_stride();
    for (Index o = 0; o < s_.outputs; ++o) {
      T* const row = spread + o * stride;
      kernels_.shift_rows(n, plan_.w.out, dy + o * s_.pixels, plan_.w.out, T(0), row, frame.pitch);
      std::fill(row + frame.columns(n), row + columns, T(0));  // a longer block may have been here
    }
    for (Index o = 0, rows; o < s_.outputs; o += rows) {
      rows = s_.outputs - o >= 3 ? 3 : 1;
      for (Index t = 0; t < frame.taps(); t += 4)
        kernels_.dot_tile[rows](columns, spread + o * stride, stride, taps, tap_ + t, std::min(Index{4}, frame.taps() - t), dw + o * s_.depth() + t,
                                s_.depth());
    }
  }
  /// Appends n rows of pixels: dy [outputs, pixels] to the tiles of a, all taps [taps, pixels] to the panels of b, both transposed.
  void pack(const Frame& frame, const T* taps, Index n, const T* dy, Index filled, T* a, T* b) const {
    for (Index o = 0; o < s_.outputs; o += kernels_.height) {
      const Index height = kernels_.tile_height(s_.outputs - o);
      kernels_.pack_transposed(std::min(height, s_.outputs - o), height, n * plan_.w.out, dy, dy_row_ + o, a + o * capacity_ + filled * height);
    }
    const Index width = kernels_.panel(), lanes = kernels_.lanes, out = plan_.w.out;
    const Index whole = out < lanes && 4 * out > lanes ? lanes : round_up(out, 4);  // what is beyond the row is overwritten by the next one
    for (Index t = 0; t < frame.taps(); t += width)
      for (Index r = 0; r < n; ++r)
        kernels_.pack_transposed(std::min(width, frame.taps() - t), width, whole, taps + r * frame.pitch, tap_ + t,
                                 b + t * capacity_ + (filled + r * plan_.w.out) * width);
  }
  void flush(Index taps, Index& filled, const T* a, const T* b, T* dw) const {
    if (filled > 0) multiply_tiles<T>(kernels_, s_.outputs, taps, filled, {a, capacity_}, {b, pixel_row_, capacity_ * kernels_.panel()}, dw, s_.depth(), true);
    filled = 0;
  }

  const MatrixKernels<T>& kernels_;
  WindowPlan plan_;
  ConvSizes s_;
  bool by_dots_;
  Index channels_, rows_, capacity_;
  Frame frame_;
  Index *tap_ = nullptr, *dy_row_ = nullptr, *pixel_row_ = nullptr;
};

}  // namespace detail

/// dw[o,c,i,j] += sum over images and outputs of dy[n,o] x[n,c](what tap (i,j) saw). Shapes as in conv2d_forward.
/// Images are cut into runs by their number; partial sums are added in the order of the runs.
template <class T>
void conv2d_backward_weight(Stream stream, const WindowPlan& plan, Index groups, In<T> x, In<T> dy, Out<T> dw) {
  using namespace detail;
  const ConvSizes s(plan, groups, x.shape, dw.shape[0]);
  if (s.outputs > 0 && sees_pixels(plan, groups, x.shape, x.format, dy.format))
    return multiply_transposed<T>(SeenPixels(dy.shape), dy.data, SeenPixels(plan, x.shape), x.data, dw.data);
  if (s.outputs > 0 && is_pointwise(Pointwise::weights, plan, groups, x.shape, x.format, dy.format)) return pointwise_backward_weight<T>(x, dy, dw);
  if constexpr (std::is_same_v<T, float>)
    if (runs_in_blocks<T>(plan, s, x.format, dy.format, blocks_pay_for_weights(plan, groups, x.shape, dw.shape[0])))
      return conv2d_backward_fused<float>(stream, plan, groups, x, In<T>(dw), {}, {}, dy, {}, nullptr, &dw, nullptr);
  if (s.empty()) return;
  if (covers_image(plan, groups))
    return gemm<T>(stream, s.outputs, s.depth(), s.images, 1, {dy.data, s.outputs, true}, {x.data, s.depth()}, 1, dw.data, s.depth());
  WeightGradient<T> gradient(plan, s);
  const Index blocks = gradient.blocks(), runs = gradient.runs(), units = s.images * gradient.units_an_image();
  const Index group_size = s.outputs * s.depth(), size = dw.size();

  Scratch& scratch = Scratch::mine();
  scratch.reserve(gradient.shared_bytes() + Arena::bytes<T>(runs > 1 ? runs * size : 0), gradient.bytes());
  Arena shared = scratch.shared();
  gradient.prepare(shared);
  T* const partial = runs > 1 ? shared.take<T>(runs * size) : nullptr;
  if (partial) std::fill_n(partial, runs * size, T(0));

  parallel_for(groups * blocks * runs, [&](Index chunk) {
    const Index run = chunk % runs, block = chunk / runs % blocks, g = chunk / runs / blocks;
    Scratch::Lease lease(scratch);
    T* const sum = (partial ? partial + run * size : dw.data) + g * group_size;
    gradient.run(x.data, dy.data, g, block, units * run / runs, units * (run + 1) / runs, sum, lease.arena());
  });
  if (!partial) return;
  parallel_ranges(size, Index{1} << 12, [&](Index first, Index last) {
    for (Index run = 0; run < runs; ++run) matrix_kernels<T>().add_row(last - first, partial + run * size + first, dw.data + first);
  });
}

/// y[n,c] += b[c]; y [N,C,H,W].
template <class T>
void add_channel_bias(Stream, In<T> b, Out<T> y) {
  const Index channels = y.shape[1], pixels = y.shape.product(2, y.shape.rank());
  parallel_for(y.shape[0] * channels, [&](Index i) {
    T* const row = y.data + i * pixels;
    detail::matrix_kernels<T>().shift_rows(1, pixels, row, pixels, b.data[i % channels], row, pixels);
  });
}

// In the library ventral::kernels.
VENTRAL_COMPILED(conv2d_forward)
VENTRAL_COMPILED(conv2d_backward_input)
VENTRAL_COMPILED(conv2d_backward_weight)
VENTRAL_COMPILED(conv2d_backward_bias)

}  // namespace ventral::inline v0::cpu
