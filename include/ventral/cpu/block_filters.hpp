#pragma once
#include "ventral/cpu/block_kernels.hpp"
#include "ventral/cpu/conv_frame.hpp"
#include "ventral/cpu/convert.hpp"
#include "ventral/cpu/scratch.hpp"

/// Filters over 16 images in the lanes of a register: what convolution in blocks does forward, and backward for the gradient of its input.
namespace ventral::inline v0::cpu::detail {

/// Filters packed for tiles: outputs in tiles of 6, 4 or 1, and where each of their taps lies.
struct Filters {
  Index outputs, taps;
  const Index* offset;
  const float *packed, *bias;  ///< bias [packed_outputs]
};

/// Taps ordered by row, column and channel, of which only those that fall on rows [0, rows) and columns [0, columns) count: pixel (r, c) of a grid sees with
/// tap (i, j) row r + row - i, column c + column - j.
struct Trim {
  Index kernel_h, kernel_w, channels, rows, columns, row, column;

  /// The taps of pixels [first, last] that count.
  void narrow(Index first_row, Index last_row, Index first_column, Index last_column, ConvTile& t, const Index* offset, const float* w, Index height) const {
    const Index i = std::max(Index{0}, first_row + row - rows + 1), i_last = std::min(kernel_h - 1, last_row + row);
    const Index j = std::max(Index{0}, first_column + column - columns + 1), j_last = std::min(kernel_w - 1, last_column + column);
    t.segments = std::max(Index{0}, i_last - i + 1), t.taps = std::max(Index{0}, j_last - j + 1) * channels, t.skip = kernel_w * channels - t.taps;
    t.offset = offset + (i * kernel_w + j) * channels, t.w = w + (i * kernel_w + j) * channels * height;
  }
};

/// Outputs with the last tile filled up.
inline Index packed_outputs(Index outputs) {
  Index o = 0;
  while (o < outputs) o += conv_tile_height(outputs - o);
  return o;
}

/// packed[o * taps + t * height + r] = w[(o + r) * row + at[t]], 0 beyond the outputs.
inline void pack_filters(Index outputs, Index taps, const float* w, Index row, const Index* at, float* packed) {
  for (Index o = 0, height; o < outputs; o += height) {
    height = conv_tile_height(outputs - o);
    const Index valid = std::min(height, outputs - o);
    float* out = packed + o * taps;
    for (Index t = 0; t < taps; ++t, out += height)
      for (Index r = 0; r < height; ++r) out[r] = r < valid ? w[(o + r) * row + at[t]] : 0.f;
  }
}

/// Pixels of one block that filters run over: input pixel (r, c) is at x + r x_row + c x_column, output (r, c) of plane o at y + o y_plane + r y_row + c y_column.
/// With pooling, r and c count pooled outputs, and x_row and x_column are the steps of the outputs before it.
struct PixelGrid {
  Index rows, columns;
  const float* x;
  Index x_row, x_column;
  float* y;
  Index y_plane, y_row, y_column;
  unsigned char* winners;
  Index winners_plane;
};

/// How much of a convolution works in cache: pixels of a grid, and the taps of some channels.
struct Group {
  Index pixels, taps;
};

/// Runs all filters over a grid, a group at a time: what its pixels see stays in the second-level cache for all outputs.
/// Tiles are four pixels in a row, or squares of two by two for pooling and for trimmed filters, which take all taps at once.
inline void run_filters(const BlockKernels& kernels, const Filters& f, const PixelGrid& grid, const Epilogue& e, Group group, const Trim* trim = nullptr) {
  const bool pooled = e.pool != Epilogue::Pool::none, square = pooled || trim;
  const Index rows = pooled ? 2 * grid.rows : grid.rows, columns = pooled ? 2 * grid.columns : grid.columns, across = (columns + 1) / 2;
  const Index tiles = square ? (rows + 1) / 2 * across : (rows * columns + 3) / 4, step = std::max(Index{1}, group.pixels / 4);
  const Index some_taps = square ? std::max(Index{1}, f.taps) : group.taps;
  ConvTile t;
  t.segments = 1, t.skip = 0, t.x = grid.x, t.y_plane = pooled ? 4 * block_images : grid.y_plane;
  alignas(64) float four[6 * 4 * block_images];
  for (Index first = 0; first < tiles; first += step)
    for (Index tap = 0; tap == 0 || tap < f.taps; tap += some_taps)
      for (Index o = 0, height; o < f.outputs; o += height) {
        height = conv_tile_height(f.outputs - o);
        t.w = f.packed + o * f.taps + tap * height, t.bias = f.bias + o, t.outputs = std::min(height, f.outputs - o), t.y = pooled ? four : grid.y + o * grid.y_plane;
        t.taps = std::min(some_taps, f.taps - tap), t.offset = f.offset + tap, t.resume = tap > 0, t.relu = e.relu && !pooled && tap + some_taps >= f.taps;
        const auto kernel = kernels.tile[conv_tile_kind(height)];
        Index r = square ? first / across * 2 : first * 4 / columns, c = square ? first % across * 2 : first * 4 % columns;
        for (Index tile = first; tile < std::min(tiles, first + step); ++tile) {
          if (square) {
            const Index down = std::min(r + 1, rows - 1), right = std::min(c + 1, columns - 1);
            for (Index i = 0; i < 4; ++i) {
              const Index v = i < 2 ? r : down, u = i % 2 == 0 ? c : right;
              t.pixel[i] = v * grid.x_row + u * grid.x_column;
              t.y_pixel[i] = pooled ? i * block_images : v * grid.y_row + u * grid.y_column;
            }
            if (trim) trim->narrow(r, down, c, right, t, f.offset, f.packed + o * f.taps, height);
          } else {
            for (Index i = 0; i < 4; ++i) {
              t.pixel[i] = r * grid.x_row + c * grid.x_column;
              t.y_pixel[i] = r * grid.y_row + c * grid.y_column;
              if (r == rows - 1 && c == columns - 1) continue;  // the last pixel fills the tile
              if (++c == columns) c = 0, ++r;
            }
          }
          kernel(t);
          if (pooled) {
            const Index at = r / 2 * grid.y_row + c / 2 * grid.y_column;
            unsigned char* const winners = grid.winners ? grid.winners + o * grid.winners_plane + at : nullptr;
            kernels.pool({t.outputs, four, grid.y + o * grid.y_plane + at, grid.y_plane, winners, grid.winners_plane, e.relu, e.pool == Epilogue::Pool::mean});
          }
          if (square && (c += 2) >= columns) c = 0, r += 2;
        }
      }
}

/// A group whose pixels see about `cache` pixels of its channels: a few rows of outputs, or tiles of a row. Many channels are cut so that rows fit.
inline Group group_in_cache(Index channels, Index taps, const WindowAxis& h, Index columns, Index span_w, Index stride_w, bool all_channels) {
  constexpr Index cache = 6144, fewest_channels = 32;
  const Index row = (columns - 1) * stride_w + span_w, two_rows = (h.span() + h.stride) * row;
  const Index some = all_channels ? channels : even_part(channels, std::max(fewest_channels, cache / two_rows)), budget = cache / some, rows = budget / row;
  if (rows >= h.span()) return {round_up(((rows - h.span()) / h.stride + 1) * columns, 4), some * taps};
  return {std::max(Index{4}, (budget / h.span() - span_w) / stride_w / 4 * 4), some * taps};
}

/// A plane is a few pixels longer where planes would share cache sets.
inline Index spread_plane(Index pixels) { return pixels % 16 == 0 ? pixels + 1 : pixels; }

/// What a run of output rows sees of `channels` planes of a block: x itself where windows stay inside the image, else a copy with its padding.
struct BlockInput {
  WindowAxis h, w;
  Index channels;
  bool direct;
  Index pitch, plane;  ///< pixels from row to row, from channel to channel

  BlockInput(const WindowPlan& plan, Index channel_count, Index out_rows, Format format) : h(plan.h), w(plan.w), channels(channel_count) {
    const auto inside = [](const WindowAxis& a) { return a.before == 0 && (a.out - 1) * a.stride + a.span() <= a.in; };
    direct = format == Format::blocks && inside(h) && inside(w);
    pitch = direct ? w.in : (w.out - 1) * w.stride + w.span();
    plane = direct ? h.in * w.in : spread_plane(rows(out_rows) * pitch);
  }

  Index rows(Index n) const { return (n - 1) * h.stride + h.span(); }
  Index size() const { return direct ? 0 : channels * plane * block_images; }
  /// Of every tap, in the order of the weights.
  void write_offsets(Index* out) const {
    for (Index c = 0; c < channels; ++c)
      for (Index i = 0; i < h.kernel; ++i)
        for (Index j = 0; j < w.kernel; ++j) *out++ = (c * plane + i * h.dilation * pitch + j * w.dilation) * block_images;
  }
  /// The first pixel that output rows [first, first + n) see of a block, from `channel` on; `copy` has size() numbers.
  const float* see(In<float> x, Index block, Index channel, Index first, Index n, float* copy) const {
    const Index image = x.shape.product(1, 4), pixels = h.in * w.in, from = first * h.stride - h.before;
    const bool lanes = x.format == Format::blocks;
    const float* const in = x.data + block * block_images * image + channel * pixels * (lanes ? block_images : 1);
    if (direct) return in + from * w.in * block_images;
    const Index valid = std::min(block_images, x.shape[0] - block * block_images);
    const Index left = std::min(w.before, pitch), inside = std::max(Index{0}, std::min(w.in, pitch - left)), right = pitch - left - inside;
    for (Index c = 0; c < channels; ++c) {
      float* out = copy + c * plane * block_images;
      for (Index r = from; r < from + rows(n); ++r, out += pitch * block_images) {
        if (r < 0 || r >= h.in || inside == 0) {
          std::fill_n(out, pitch * block_images, 0.f);
          continue;
        }
        const Index whole = left + right == 0 && pitch == w.in ? std::min(h.in, from + rows(n)) - r : 1, at = c * pixels + r * w.in;
        std::fill_n(out, left * block_images, 0.f);
        if (lanes) std::copy_n(in + at * block_images, whole * inside * block_images, out + left * block_images);
        else rows_to_lanes(valid, whole * inside, in + at, image, out + left * block_images);
        std::fill_n(out + (left + inside) * block_images, right * block_images, 0.f);
        r += whole - 1, out += (whole - 1) * pitch * block_images;
      }
    }
    return copy;
  }
};

/// Rows of `whole` in each of at least `parts` parts, if `work` for each is worth a chunk of its own; even where pooled.
inline Index cut_rows(Index whole, Index most, Index parts, Index work_per_row, bool pooled) {
  constexpr Index small_work = Index{1} << 21;  // multiply-adds
  Index rows = std::min(whole, std::max(Index{1}, most));
  if (parts > 1) rows = std::min(rows, std::max((whole + parts - 1) / parts, small_work / std::max(Index{1}, work_per_row) + 1));
  rows = even_part(whole, rows);
  return pooled ? round_up(rows, 2) : rows;
}

}  // namespace ventral::inline v0::cpu::detail
