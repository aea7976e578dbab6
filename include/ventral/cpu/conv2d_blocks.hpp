#pragma once
#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/conv2d_pointwise.hpp"
#include "ventral/cpu/conv_frame.hpp"
#include "ventral/cpu/convert.hpp"
#include "ventral/cpu/scratch.hpp"
#include "ventral/cpu/winograd.hpp"

/// Convolution of float with 16 images in the lanes of a register (Format::blocks): every multiply-add works on one tap of 16 images, borders are padding
/// in a copy, nothing is shuffled. x, y and their gradients in rows become lanes while they are copied.
namespace ventral::inline v0::cpu {

namespace detail {

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

/// Runs all filters over a grid, about `group` pixels at a time: what these see stays in the second-level cache for all outputs.
/// Tiles are four pixels in a row, or squares of two by two for pooling and for trimmed filters.
inline void run_filters(const BlockKernels& kernels, const Filters& f, const PixelGrid& grid, const Epilogue& e, Index group, const Trim* trim = nullptr) {
  const bool pooled = e.pool != Epilogue::Pool::none, square = pooled || trim;
  const Index rows = pooled ? 2 * grid.rows : grid.rows, columns = pooled ? 2 * grid.columns : grid.columns, across = (columns + 1) / 2;
  const Index tiles = square ? (rows + 1) / 2 * across : (rows * columns + 3) / 4, step = std::max(Index{1}, group / 4);
  ConvTile t;
  t.segments = 1, t.taps = f.taps, t.skip = 0, t.offset = f.offset, t.x = grid.x, t.y_plane = pooled ? 4 * block_images : grid.y_plane, t.relu = e.relu && !pooled;
  alignas(64) float four[6 * 4 * block_images];
  for (Index first = 0; first < tiles; first += step)
    for (Index o = 0, height; o < f.outputs; o += height) {
      height = conv_tile_height(f.outputs - o);
      t.w = f.packed + o * f.taps, t.bias = f.bias + o, t.outputs = std::min(height, f.outputs - o), t.y = pooled ? four : grid.y + o * grid.y_plane;
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

/// Pixels of a group: as many rows of outputs, or tiles of a row, as see `cache` pixels of all channels.
inline Index pixels_in_cache(Index channels, const WindowAxis& h, Index columns, Index span_w, Index stride_w) {
  constexpr Index cache = 6144;
  const Index budget = cache / channels, row = (columns - 1) * stride_w + span_w, rows = budget / row;
  if (rows >= h.span()) return round_up(((rows - h.span()) / h.stride + 1) * columns, 4);
  return std::max(Index{4}, (budget / h.span() - span_w) / stride_w / 4 * 4);
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
  const Index group = pixels_in_cache(s.channels, plan.h, plan.w.out, plan.w.span(), plan.w.stride);

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
    run_filters(kernels, {s.outputs, s.depth(), offset, packed + g * group_size, bias + g * padded}, grid, e, group);
    if (in_blocks) return;
    const Index images = std::min(block_images, s.images - block * block_images);
    for (Index o = 0; o < s.outputs; ++o)
      lanes_to_rows(images, out_rows * columns, out + o * band_pixels * block_images, y.data + y_block + y_plane + o * pixels + y_first, groups * s.outputs * pixels);
  });
}

/// The gradient before the epilogue, of a run of output rows and all outputs of a group, in zeros as wide as the filters reach.
struct BlockGradient {
  WindowAxis h, w;
  Index outputs, top, left, rows, pitch, plane;  ///< in pixels

  /// `reach`: whether windows of dx look at it.
  BlockGradient(const WindowPlan& plan, Index output_count, Index run, bool reach, bool pooled) : h(plan.h), w(plan.w), outputs(output_count) {
    top = reach ? (h.span() - 1) / h.stride : 0, left = reach ? (w.span() - 1) / w.stride : 0;
    if (pooled) top = round_up(top, 2);
    rows = top + run;
    pitch = left + (reach ? std::max(w.out, (w.in - 1 + w.before) / w.stride + 1) : w.out);
    plane = spread_plane(rows * pitch);
  }
  Index size() const { return outputs * plane * block_images; }
  /// Of the gradient of output row `first` of the run.
  Index origin() const { return (top * pitch + left) * block_images; }

  /// Expands rows [first - top, last), adds the sums of rows [first, last) to sums [outputs, 16] unless null.
  /// dy and y start at the group's first output; `planes` [2 * pixels after the epilogue * 16] holds what is in rows.
  void fill(const BlockKernels& kernels, const Epilogue& e, Index images, In<float> dy, In<float> y, const unsigned char* winners, Index block, Index output,
            Index first, Index last, float* d, float* sums, float* planes) const {
    const Index scale = e.pool == Epilogue::Pool::none ? 1 : 2, columns = w.out / scale, pixels = h.out / scale * columns;
    const Index from = std::max(Index{0}, first - top), to = std::min(h.out, last), own = std::min(first, to), image = dy.shape.product(1, 4);
    const bool needs_y = e.relu && e.pool == Epilogue::Pool::none;
    const auto lanes_of = [&](In<float> t, Index o, float* memory) {
      const float* const in = t.data + block * block_images * image;
      if (t.format == Format::blocks) return in + (output + o) * pixels * block_images;
      const Index begin = from / scale * columns, end = to / scale * columns;
      if (end > begin) rows_to_lanes(images, end - begin, in + (output + o) * pixels + begin, image, memory + begin * block_images);
      return static_cast<const float*>(memory);
    };
    for (Index o = 0; o < outputs; ++o) {
      float* const out = d + o * plane * block_images;
      for (Index r = 0; r < rows; ++r) {
        float* const row = out + r * pitch * block_images;
        const bool inside = first - top + r >= from && first - top + r < to;
        std::fill_n(row, (inside ? left : pitch) * block_images, 0.f);
        if (inside) std::fill_n(row + (left + w.out) * block_images, (pitch - left - w.out) * block_images, 0.f);
      }
      const float *const slope = lanes_of(dy, o, planes), *const value = needs_y ? lanes_of(y, o, planes + pixels * block_images) : nullptr;
      const unsigned char* const winner = winners ? winners + (block * block_images * image) + (output + o) * pixels * block_images : nullptr;
      const auto expand = [&](Index begin, Index end, float* sum) {
        if (begin >= end) return;
        const Index at = begin / scale * columns * block_images;
        kernels.expand({e.relu, e.pool, end - begin, w.out, slope + at, value ? value + at : nullptr, winner ? winner + at : nullptr,
                        out + ((begin - first + top) * pitch + left) * block_images, pitch * block_images, sum});
      };
      expand(from, own, nullptr);
      expand(own, to, sums ? sums + o * block_images : nullptr);
    }
  }
};

/// The pixels of dx that are the same number of taps away from an output: a convolution of stride 1 with some of the taps.
struct Phase {
  Index taps;
  const Index* offset;
  const float* packed;  ///< of group 0
  Index group_size;
};

struct BackwardPass {
  const BlockKernels& kernels;
  WindowPlan plan;
  ConvSizes s;
  In<float> x, w, y;
  const unsigned char* winners;
  In<float> dy;
  Epilogue e;
  Out<float>*dx, *dw, *db;
};

class BlockBackward {
 public:
  BlockBackward(const BackwardPass& pass)
      : p_(pass), plan_(pass.plan), s_(pass.s), pooled_(pass.e.pool != Epilogue::Pool::none), blocks_((s_.images + block_images - 1) / block_images),
        reach_(p_.dx ? std::max(plan_.h.out, (plan_.h.in - 1 + plan_.h.before) / plan_.h.stride + 1) : plan_.h.out), rows_(choose_rows()),
        bands_((reach_ + rows_ - 1) / rows_), input_(plan_, s_.channels, std::min(rows_, plan_.h.out), p_.x.format),
        gradient_(plan_, s_.outputs, rows_, p_.dx != nullptr, pooled_) {}

  void run() {
    constexpr Index enough_chunks = 16, most_numbers = Index{1} << 22;
    const Index units = blocks_ * bands_, size = s_.groups * s_.outputs * s_.depth(), all_outputs = s_.groups * s_.outputs;
    const bool sums = p_.dw || p_.db;
    const Index runs = sums ? std::clamp(std::min((enough_chunks + s_.groups - 1) / s_.groups, most_numbers / size), Index{1}, units) : units;
    const Index dw_size = p_.dw ? runs * size : 0, db_size = p_.db ? runs * all_outputs * block_images : 0;
    Scratch& scratch = Scratch::mine();
    scratch.reserve(shared_bytes() + Arena::bytes<float>(dw_size) + Arena::bytes<float>(db_size), bytes());
    Arena shared = scratch.shared();
    prepare(shared);
    float *const dw = shared.take<float>(dw_size), *const db = shared.take<float>(db_size);
    parallel_for(s_.groups * runs, [&](Index chunk) {
      const Index g = chunk / runs, run = chunk % runs;
      float* const dw_sum = p_.dw ? dw + run * size + g * s_.outputs * s_.depth() : nullptr;
      float* const db_sum = p_.db ? db + (run * all_outputs + g * s_.outputs) * block_images : nullptr;
      if (dw_sum) std::fill_n(dw_sum, s_.outputs * s_.depth(), 0.f);
      if (db_sum) std::fill_n(db_sum, s_.outputs * block_images, 0.f);
      Scratch::Lease lease(scratch);
      for (Index unit = units * run / runs; unit < units * (run + 1) / runs; ++unit) work(g, unit / bands_, unit % bands_ * rows_, dw_sum, db_sum, lease.arena());
    });
    if (p_.dw)
      parallel_ranges(size, Index{1} << 13, [&](Index first, Index last) {
        for (Index run = 0; run < runs; ++run)
          for (Index i = first; i < last; ++i) p_.dw->data[i] += dw[run * size + i];
      });
    if (p_.db)
      for (Index o = 0; o < all_outputs; ++o) {
        double sum = 0;
        for (Index run = 0; run < runs; ++run)
          for (Index lane = 0; lane < block_images; ++lane) sum += static_cast<double>(db[(run * all_outputs + o) * block_images + lane]);
        p_.db->data[o] += static_cast<float>(sum);
      }
  }

 private:
  Index choose_rows() const {
    constexpr Index copy_pixels = 1 << 16, enough_units = 4;
    const BlockGradient one(plan_, s_.outputs, 1, p_.dx != nullptr, pooled_);
    const Index x_pitch = p_.dw ? BlockInput(plan_, s_.channels, 1, Format::rows).pitch * plan_.h.stride * s_.channels : 0;
    const Index most = copy_pixels / (s_.outputs * one.pitch + x_pitch) - one.top - plan_.h.span() / plan_.h.stride;
    return cut_rows(reach_, std::max(most, (255 + plan_.w.out) / plan_.w.out), (enough_units + blocks_ * s_.groups - 1) / (blocks_ * s_.groups),
                    plan_.w.out * s_.depth() * s_.outputs * block_images, pooled_);
  }
  Index phases_h() const { return p_.dx ? std::min(plan_.h.stride, plan_.h.in) : 0; }
  Index phases_w() const { return p_.dx ? std::min(plan_.w.stride, plan_.w.in) : 0; }
  Index sums_size() const { return p_.dw ? 6 * block_images * round_up(std::min(most_taps, s_.depth()), 4) : 0; }
  Index planes_size() const { return 2 * after_epilogue() * block_images; }
  Index after_epilogue() const { return pooled_ ? plan_.h.out / 2 * (plan_.w.out / 2) : s_.pixels; }
  bool dx_in_rows() const { return p_.dx && p_.dx->format == Format::rows; }
  /// Whether taps of dx that see no output are left out, as they are many at the border of a small image.
  bool trims() const {
    const auto plain = [](const WindowAxis& a) { return a.stride == 1 && a.dilation == 1; };
    return plain(plan_.h) && plain(plan_.w) && s_.outputs <= 32 && s_.taps > 1;
  }
  Index dx_rows() const { return std::min(plan_.h.in, rows_ * plan_.h.stride); }

  Index shared_bytes() const {
    const Index taps = s_.outputs * s_.taps, channels = packed_outputs(s_.channels);
    return Arena::bytes<Index>(s_.depth()) + 2 * Arena::bytes<Index>(taps) + Arena::bytes<Phase>(phases_h() * phases_w()) +
           Arena::bytes<float>(s_.groups * channels * taps) + Arena::bytes<float>(channels);
  }
  Index bytes() const {
    return Arena::bytes<float>(p_.dw ? input_.size() : 0) + Arena::bytes<float>(gradient_.size()) + Arena::bytes<float>(planes_size()) +
           Arena::bytes<float>(sums_size()) + Arena::bytes<float>(dx_in_rows() ? s_.channels * dx_rows() * plan_.w.in * block_images : 0);
  }

  void prepare(Arena& shared) {
    const Index taps = s_.outputs * s_.taps, channels = packed_outputs(s_.channels);
    Index *const x_offset = shared.take<Index>(s_.depth()), *offset = shared.take<Index>(taps), *const at = shared.take<Index>(taps);
    phase_ = shared.take<Phase>(phases_h() * phases_w());
    float* packed = shared.take<float>(s_.groups * channels * taps);
    zeros_ = shared.take<float>(channels);
    x_offset_ = x_offset;
    if (p_.dw) input_.write_offsets(x_offset);
    std::fill_n(zeros_, channels, 0.f);
    for (Index v = 0; v < phases_h(); ++v)
      for (Index u = 0; u < phases_w(); ++u) {
        const Index n = write_taps(v, u, offset, at), size = channels * n;
        phase_[v * phases_w() + u] = {n, offset, packed, size};
        for (Index g = 0; g < s_.groups; ++g) pack_filters(s_.channels, n, p_.w.data + g * s_.outputs * s_.depth(), s_.taps, at, packed + g * size);
        offset += n, packed += s_.groups * size;
      }
  }
  /// The taps that pixel (v, u) of dx is under: offsets in the gradient from the output that tap 0 or an earlier one would belong to, and places in w.
  Index write_taps(Index v, Index u, Index* offset, Index* at) const {
    const WindowAxis &h = plan_.h, &w = plan_.w;
    const Index a = (v + h.before) % h.stride, b = (u + w.before) % w.stride;
    Index n = 0;
    const auto add = [&](Index o, Index i, Index j) {
      if (i * h.dilation % h.stride != a || j * w.dilation % w.stride != b) return;
      const Index up = (i * h.dilation - a) / h.stride, back = (j * w.dilation - b) / w.stride;
      offset[n] = (o * gradient_.plane - up * gradient_.pitch - back) * block_images;
      at[n++] = o * s_.depth() + i * w.kernel + j;
    };
    const Index inner = trims() ? s_.outputs : 1;
    for (Index first = 0; first < s_.outputs; first += inner)
      for (Index i = 0; i < h.kernel; ++i)
        for (Index j = 0; j < w.kernel; ++j)
          for (Index o = first; o < first + inner; ++o) add(o, i, j);
    return n;
  }

  /// Output rows [first, first + rows) of one block and group: all that their gradient gives.
  void work(Index g, Index block, Index first, float* dw, float* db, Arena arena) const {
    float *const copy = arena.take<float>(p_.dw ? input_.size() : 0), *const d = arena.take<float>(gradient_.size());
    float *const planes = arena.take<float>(planes_size()), *const sums = arena.take<float>(sums_size());
    const Index images = std::min(block_images, s_.images - block * block_images), last = std::min(first + rows_, reach_);
    gradient_.fill(p_.kernels, p_.e, images, p_.dy, p_.y, p_.winners, block, g * s_.outputs, first, last, d, db, planes);
    const Index n = std::min(last, plan_.h.out) - first;
    if (dw && n > 0) add_weight_gradient(input_.see(p_.x, block, g * s_.channels, first, n, copy), d + gradient_.origin(), n, dw, sums);
    if (p_.dx) write_input_gradient(g, block, first, last, images, d + gradient_.origin(), arena);
  }

  /// Taps whose sums stay in the second-level cache while they run over pieces of the gradient that stay in the first-level cache: smaller ones where
  /// neighbouring taps share no pixels.
  static constexpr Index most_taps = 512;

  void add_weight_gradient(const float* x, const float* d, Index n, float* dw, float* sums) const {
    const Index most_pixels = plan_.w.stride > 1 ? 64 : 108;
    const Index columns = even_part(plan_.w.out, most_pixels), rows = even_part(n, most_pixels / columns), depth = s_.depth();
    ConvDots t;
    t.d_plane = gradient_.plane * block_images, t.d_row = gradient_.pitch * block_images;
    t.x_row = plan_.h.stride * input_.pitch * block_images, t.x_column = plan_.w.stride * block_images;
    for (Index o = 0, height; o < s_.outputs; o += height) {
      height = conv_tile_height(s_.outputs - o);
      const Index tile = height * 4 * block_images;
      t.outputs = std::min(height, s_.outputs - o);
      for (Index first = 0; first < depth; first += most_taps) {
        const Index last = std::min(depth, first + most_taps);
        std::fill_n(sums, (last - first + 3) / 4 * tile, 0.f);
        for (Index row = 0; row < n; row += rows)
          for (Index column = 0; column < plan_.w.out; column += columns) {
            t.rows = std::min(rows, n - row), t.columns = std::min(columns, plan_.w.out - column);
            t.d = d + o * t.d_plane + row * t.d_row + column * block_images, t.x = x + row * t.x_row + column * t.x_column, t.sums = sums;
            for (Index tap = first; tap < last; tap += 4, t.sums += tile) {
              for (Index q = 0; q < 4; ++q) t.offset[q] = x_offset_[std::min(tap + q, last - 1)];
              (last - tap == 1 && height == 6 ? p_.kernels.dots_of_one_tap : p_.kernels.dots[conv_tile_kind(height)])(t);
            }
          }
        for (Index tap = first; tap < last; tap += 4)
          for (Index r = 0; r < t.outputs; ++r) {
            const Quad sum = lane_sums(sums + (tap - first) / 4 * tile + r * 4 * block_images);
            for (Index q = 0; q < std::min(Index{4}, last - tap); ++q) dw[(o + r) * depth + tap + q] += sum[q];
          }
      }
    }
  }

  void write_input_gradient(Index g, Index block, Index first, Index last, Index images, const float* d, Arena arena) const {
    const WindowAxis &h = plan_.h, &w = plan_.w;
    const Index begin = std::clamp(first * h.stride - h.before, Index{0}, h.in);
    const Index end = last == reach_ ? h.in : std::clamp(last * h.stride - h.before, Index{0}, h.in), pixels = h.in * w.in, image = s_.groups * s_.channels * pixels;
    if (begin >= end) return;
    const bool in_rows = dx_in_rows();
    float* const out = in_rows ? arena.take<float>(s_.channels * dx_rows() * w.in * block_images) : nullptr;
    float* const dx = p_.dx->data + block * block_images * image;
    const Index plane = (in_rows ? dx_rows() * w.in : pixels) * block_images;
    for (Index v = begin; v < std::min(end, begin + h.stride); ++v)
      for (Index u = 0; u < std::min(w.stride, w.in); ++u) {
        const Phase& phase = phase_[v % h.stride * phases_w() + u];
        const Filters f{s_.channels, phase.taps, phase.offset, phase.packed + g * phase.group_size, zeros_};
        const Index row = (v + h.before) / h.stride - first, column = (u + w.before) / w.stride;
        PixelGrid grid;
        grid.rows = (end - v + h.stride - 1) / h.stride, grid.columns = (w.in - u + w.stride - 1) / w.stride;
        grid.x = d + (row * gradient_.pitch + column) * block_images;
        grid.x_row = gradient_.pitch * block_images, grid.x_column = block_images;
        grid.y = (in_rows ? out : dx + (g * s_.channels * pixels + begin * w.in) * block_images) + ((v - begin) * w.in + u) * block_images;
        grid.y_plane = plane, grid.y_row = h.stride * w.in * block_images, grid.y_column = w.stride * block_images;
        grid.winners = nullptr, grid.winners_plane = 0;
        WindowAxis seen = h;
        seen.kernel = (h.span() - 1) / h.stride + 1, seen.dilation = 1, seen.stride = 1;
        const Trim trim{h.kernel, w.kernel, s_.outputs, h.out, w.out, begin + h.before, w.before};
        run_filters(p_.kernels, f, grid, {}, pixels_in_cache(s_.outputs, seen, grid.columns, (w.span() - 1) / w.stride + 1, 1), trims() ? &trim : nullptr);
      }
    for (Index c = 0; in_rows && c < s_.channels; ++c)
      lanes_to_rows(images, (end - begin) * w.in, out + c * plane, dx + (g * s_.channels + c) * pixels + begin * w.in, image);
  }

  BackwardPass p_;
  WindowPlan plan_;
  ConvSizes s_;
  bool pooled_;
  Index blocks_, reach_, rows_, bands_;
  BlockInput input_;
  BlockGradient gradient_;
  Index* x_offset_ = nullptr;
  Phase* phase_ = nullptr;
  float* zeros_ = nullptr;
};

inline void backward_in_blocks(const BackwardPass& pass) {
  const ConvSizes& s = pass.s;
  if (s.empty()) {
    if (pass.dx) std::fill_n(pass.dx->data, stored_size(pass.dx->shape, pass.dx->format), 0.f);
    return;
  }
  BlockBackward(pass).run();
}

}  // namespace detail

/// db[o] += sum over images and pixels of dy[n,o]; dy [N,O,H',W'] in rows or blocks, db [O].
template <class T>
void conv2d_backward_bias(Stream, In<T> dy, Out<T> db) {
  const detail::ImageMatrices m(dy.shape, dy.format);
  const auto& kernels = detail::matrix_kernels<T>();
  parallel_for(m.rows, [&](Index o) {
    double sum = 0;
    for (Index n = 0; n < m.count; ++n) sum += static_cast<double>(kernels.sum(m.columns, dy.data + n * m.size() + o * m.columns));
    db.data[o] += static_cast<T>(sum);
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
VENTRAL_COMPILED(void conv2d_forward_fused<float>(Stream, const WindowPlan&, Index, In<float>, In<float>, In<float>, const Epilogue&, Out<unsigned char>, Out<float>))
VENTRAL_COMPILED(void conv2d_backward_fused<float>(Stream, const WindowPlan&, Index, In<float>, In<float>, In<float>, In<unsigned char>, In<float>, const Epilogue&, Out<float>*, Out<float>*, Out<float>*))

}  // namespace ventral::inline v0::cpu
