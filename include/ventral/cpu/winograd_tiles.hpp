#pragma once
#include <algorithm>

#include "ventral/cpu/convert.hpp"
#include "ventral/cpu/winograd_kernels.hpp"
#include "ventral/epilogue.hpp"
#include "ventral/window.hpp"

/// Where Winograd's convolution finds its pixels, and how it cuts its output.
namespace ventral::inline v0::cpu::detail {

/// Pixels of a block of 16 images, image in the lanes: row y of channel c starts at data + c * channel + y * pitch.
struct Lanes {
  const float* data;
  Index channel, pitch;

  const float* row(Index c, Index y) const { return data + c * channel + y * pitch; }
};

inline Index blocks_of(Index images) { return (images + block_images - 1) / block_images; }

/// Where a convolution finds the pixels of a tensor, in either format, or of the gradient before an epilogue: in lanes, a band of rows at a time.
struct PixelSource {
  In<float> x;  ///< [N,C,h,w], or the gradient after the epilogue
  Index h, w;   ///< of the pixels: those before pooling
  const Epilogue* epilogue = nullptr;
  In<float> y = {};
  const unsigned char* winners = nullptr;

  explicit PixelSource(In<float> tensor) : x(tensor), h(tensor.shape[2]), w(tensor.shape[3]) {}
  PixelSource(In<float> dy, Index height, Index width, const Epilogue& e, In<float> out, const unsigned char* which)
      : x(dy), h(height), w(width), epilogue(e.empty() ? nullptr : &e), y(out), winners(which) {}

  bool in_place() const { return !epilogue && x.format == Format::blocks; }
  Index channels() const { return x.shape[1]; }
  /// Numbers of scratch that a band of this many rows takes.
  Index size(Index rows) const { return in_place() ? 0 : (channels() + 2) * (rows + 2) * w * block_images; }

  /// Rows [first, last), as far as they exist, of channels [from_channel, to_channel) of a block.
  [[gnu::noinline]] Lanes lanes(Index block, Index first, Index last, Index from_channel, Index to_channel, float* scratch) const {
    const Index cells = x.shape[2] * x.shape[3], images = std::min(block_images, x.shape[0] - block * block_images), pitch = w * block_images;
    if (in_place()) return {x.data + block * channels() * cells * block_images, cells * block_images, pitch};
    const bool pooled = epilogue && epilogue->pool != Epilogue::Pool::none;
    first = std::clamp(first, Index{0}, h), last = std::clamp(last, first, h);
    if (pooled) first -= first % 2, last = std::min(last + last % 2, h);
    const Index rows = last - first, begin = (pooled ? first / 2 : first) * x.shape[3], end = (pooled ? last / 2 : last) * x.shape[3];
    float *const dy_room = scratch, *const y_room = scratch + rows * pitch, *const at = y_room + rows * pitch;
    for (Index c = from_channel; c < to_channel; ++c) {
      const Index in_rows = (block * block_images * channels() + c) * cells + begin, in_blocks = ((block * channels() + c) * cells + begin) * block_images;
      const auto part = [&](In<float> from, float* room) -> const float* {  // what the rows look at, in lanes
        if (from.format == Format::blocks) return from.data + in_blocks;
        rows_to_lanes(images, end - begin, from.data + in_rows, channels() * cells, room);
        return room;
      };
      float* const out = at + c * rows * pitch;
      if (!epilogue) part(x, out);
      else
        expand_gradient(*epilogue, rows, w, part(x, dy_room), epilogue->relu && !pooled ? part(y, y_room) : nullptr, winners ? winners + in_blocks : nullptr,
                        out, w);
    }
    return {at - first * pitch, rows * pitch, pitch};
  }
};

/// The tiles that a convolution cuts its output into, stride 1: output (i, j) sees the pixels from (i - before_h, j - before_w) on.
struct WinogradTiles {
  Index tile, before_h, before_w, rows, columns, band, bands;  ///< rows and columns of tiles; rows in a band, which is a chunk of work

  /// At least `fewest` tiles in a band, where there are.
  WinogradTiles(Index size, Index images, Index top, Index left, Index out_h, Index out_w, Index fewest = 1)
      : tile(size),
        before_h(top),
        before_w(left),
        rows((out_h + size - 1) / size),
        columns((out_w + size - 1) / size),
        band(std::min(std::max({std::min(rows * blocks_of(images) / 4, 8 / size), (fewest + columns - 1) / std::max(Index{1}, columns), Index{1}}),
                      std::max(rows, Index{1}))),
        bands((rows + band - 1) / band) {}

  Index last_row(Index b) const { return std::min(rows, (b + 1) * band); }
  /// body(tile row, tile column, place in the run, tiles) for each stretch of tiles [first, first + n) that lie side by side.
  template <class Body>
  void stretches(Index first, Index n, Body body) const {
    for (Index t = first, count; t < first + n; t += count) {
      count = std::min(columns - t % columns, first + n - t);
      body(t / columns, t % columns, t - first, count);
    }
  }
  /// Transforms channels [first, first + count) of a stretch of tiles; `halo` columns belong to the next tile, too.
  [[gnu::noinline]] void transform(void (*kernel)(const WinogradInput&), const PixelSource& source, const Lanes& in, Index y0, Index x0, Index halo,
                                   Index first, Index count, WinogradInput call, Index v_channel, const float* zeros) const {
    const Index width = tile * call.tiles + halo;
    call.left = std::clamp(-x0, Index{0}, width), call.inside = std::clamp(source.w - x0, call.left, width) - call.left, call.next = in.channel;
    for (Index c = first; c < first + count; ++c, call.v += v_channel) {
      for (Index i = 0; i < tile + halo; ++i) {
        const Index y = y0 + i;
        call.row[i] = y >= 0 && y < source.h ? in.row(c, y) + (x0 + call.left) * block_images : zeros;
      }
      kernel(call);
      if (call.sum) call.sum += block_images;
    }
  }
};

}  // namespace ventral::inline v0::cpu::detail
