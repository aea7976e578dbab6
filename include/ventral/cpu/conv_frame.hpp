#pragma once
#include <algorithm>
#include <cstring>

#include "ventral/window.hpp"

namespace ventral::inline v0::cpu::detail {

/// The sizes of one convolution, channels and outputs counted within a group.
struct ConvSizes {
  Index images, groups, channels, outputs, taps, pixels;  // taps: of one channel

  ConvSizes(const WindowPlan& plan, Index group_count, const Shape& x, Index all_outputs)
      : images(x[0]), groups(group_count), channels(x[1] / group_count), outputs(all_outputs / group_count), taps(plan.h.kernel * plan.w.kernel),
        pixels(plan.h.out * plan.w.out) {}
  Index depth() const { return channels * taps; }
  bool empty() const { return images * pixels * channels * outputs == 0; }
};

/// Parts of nearly equal size, none above `limit`.
inline Index even_part(Index whole, Index limit) {
  const Index parts = (whole + std::max(Index{1}, limit) - 1) / std::max(Index{1}, limit);
  return (whole + parts - 1) / parts;
}

inline Index round_up(Index n, Index unit) { return (n + unit - 1) / unit * unit; }

/// Where a convolution finds its taps: part of an image copied with its padding, and split by stride, so that the inputs of a tap for consecutive
/// outputs lie side by side. With stride s, row r and column t of phase (a, b) hold the padded image at (s r + a, s t + b); output (y, x) is column
/// y * pitch + x, and tap (c, i, j) of it lies at offset(c, i, j) + column. So the matrix of all taps ("im2col", [taps, columns]) is never
/// written out: its row for a tap is the frame itself, read from offset(tap). Columns beyond `out_w` of each row mean nothing.
struct Frame {
  WindowAxis h, w;
  Index channels, out_rows;     ///< of this frame: a block of channels and of output rows
  Index phases_h, phases_w;     ///< those that a tap falls on
  Index rows, pitch;            ///< of one phase
  Index channel_stride;

  static constexpr Index slack = 32;  ///< numbers readable behind the end, for whole registers

  Frame(const WindowPlan& plan, Index block_channels, Index block_rows, Index number_size)
      : h(plan.h), w(plan.w), channels(block_channels), out_rows(block_rows) {
    phases_h = std::min(h.stride, h.span());
    phases_w = std::min(w.stride, w.span());
    rows = out_rows + (h.span() - 1) / h.stride;
    pitch = w.out + (w.span() - 1) / w.stride;
    channel_stride = phases_h * phases_w * rows * pitch;
    if (channel_stride * number_size % 512 == 0) channel_stride += 64 / number_size;  // so that channels do not share cache sets
  }

  Index taps() const { return channels * h.kernel * w.kernel; }
  Index size() const { return channels * channel_stride + slack; }
  /// Columns of `n` output rows: the last one ends with its last output.
  Index columns(Index n) const { return n > 0 ? (n - 1) * pitch + w.out : 0; }
  Index offset(Index channel, Index i, Index j) const {
    const Index y = i * h.dilation, x = j * w.dilation;
    return channel * channel_stride + (y % h.stride * phases_w + x % w.stride) * rows * pitch + y / h.stride * pitch + x / w.stride;
  }
  /// offset of every tap, in the order of the weights.
  void write_offsets(Index* out) const {
    for (Index c = 0; c < channels; ++c)
      for (Index i = 0; i < h.kernel; ++i)
        for (Index j = 0; j < w.kernel; ++j) *out++ = offset(c, i, j);
  }

  /// Copies what output rows [first_row, first_row + n) see of the image x [channels, h.in, w.in].
  template <class T>
  void fill(const T* x, Index first_row, Index n, T* frame) const {
    each_row(first_row, n, [&](Index c, Index y, Index column, Index first, Index last, Index at) {
      T* out = frame + at;
      const bool inside = y >= 0 && y < h.in && first < last;
      if (!inside) return static_cast<void>(std::fill_n(out, pitch, T(0)));
      const T* in = x + (c * h.in + y) * w.in + column;
      std::fill_n(out, first, T(0));
      if (w.stride == 1) std::copy(in + first, in + last, out + first);
      else
        for (Index t = first; t < last; ++t) out[t] = in[t * w.stride];
      std::fill_n(out + last, pitch - last, T(0));
    });
  }

  /// The other way round: writes all of x [channels, h.in, w.in] from a frame of all output rows; 0 where no window reaches.
  template <class T>
  void read_back(const T* frame, T* x) const {
    std::fill_n(x, channels * h.in * w.in, T(0));
    each_row(0, out_rows, [&](Index c, Index y, Index column, Index first, Index last, Index at) {
      if (y < 0 || y >= h.in) return;
      const T* in = frame + at;
      T* out = x + (c * h.in + y) * w.in + column;
      if (w.stride == 1 && first < last) std::copy(in + first, in + last, out + first);
      else
        for (Index t = first; t < last; ++t) out[t * w.stride] = in[t];
    });
  }

 private:
  /// body(channel, image row, image column of t = 0, first t inside the image, last, offset in the frame) for each row of the frame.
  template <class Body>
  void each_row(Index first_row, Index n, Body body) const {
    const Index used = n + (h.span() - 1) / h.stride;
    for (Index c = 0; c < channels; ++c)
      for (Index a = 0; a < phases_h; ++a)
        for (Index b = 0; b < phases_w; ++b) {
          const Index column = b - w.before;
          const Index first = std::clamp((-column + w.stride - 1) / w.stride, Index{0}, pitch);
          const Index last = std::clamp((w.in - column + w.stride - 1) / w.stride, first, pitch);
          for (Index r = 0; r < used; ++r)
            body(c, (first_row + r) * h.stride + a - h.before, column, first, last, c * channel_stride + ((a * phases_w + b) * rows + r) * pitch);
        }
  }
};

}  // namespace ventral::inline v0::cpu::detail
