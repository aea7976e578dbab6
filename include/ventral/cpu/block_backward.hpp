#pragma once
#include "ventral/cpu/block_filters.hpp"
#include "ventral/cpu/parallel.hpp"

/// The gradients of convolution in blocks.
namespace ventral::inline v0::cpu::detail {

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
    const bool copies = dy.format == Format::rows && !e.relu && scale == 1 && !sums && top == 0 && pitch == w.out;  // the sums are the bias's
    for (Index o = 0; o < outputs; ++o) {
      float* const out = d + o * plane * block_images;
      if (copies && to == last) {
        rows_to_lanes(images, (to - from) * columns, dy.data + block * block_images * image + (output + o) * pixels + from * columns, image, out);
        continue;
      }
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
        gradient_(plan_, s_.outputs, rows_, p_.dx != nullptr, pooled_),
        in_place_(p_.dy.format == Format::blocks && p_.dw && !p_.dx && !p_.db && !p_.e.relu && !pooled_) {}

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
    constexpr Index copy_pixels = 1 << 16, large_gradient = 1 << 16;
    const Index enough_units = s_.outputs * s_.depth() < large_gradient ? 4 : 2;  // each has sums of its own for all weights
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
    float *const copy = arena.take<float>(p_.dw ? input_.size() : 0), *const d = arena.take<float>(in_place_ ? 0 : gradient_.size());
    float *const planes = arena.take<float>(planes_size()), *const sums = arena.take<float>(sums_size());
    const Index images = std::min(block_images, s_.images - block * block_images), last = std::min(first + rows_, reach_);
    if (!in_place_) gradient_.fill(p_.kernels, p_.e, images, p_.dy, p_.y, p_.winners, block, g * s_.outputs, first, last, d, db, planes);
    const Index n = std::min(last, plan_.h.out) - first, plane = block * p_.dy.shape[1] + g * s_.outputs;
    const float* const slope = in_place_ ? p_.dy.data + (plane * s_.pixels + first * plan_.w.out) * block_images : d + gradient_.origin();
    if (dw && n > 0) add_weight_gradient(input_.see(p_.x, block, g * s_.channels, first, n, copy), slope, n, dw, sums);
    if (p_.dx) write_input_gradient(g, block, first, last, images, d + gradient_.origin(), arena);
  }

  /// Taps whose sums stay in the second-level cache while they run over pieces of the gradient that stay in the first-level cache: smaller ones where
  /// neighbouring taps share no pixels. A single piece needs the sums of one call at a time.
  static constexpr Index most_taps = 512;

  void add_weight_gradient(const float* x, const float* d, Index n, float* dw, float* sums) const {
    const Index most_pixels = plan_.w.stride > 1 ? 64 : 108;
    const Index columns = even_part(plan_.w.out, most_pixels), rows = even_part(n, most_pixels / columns), depth = s_.depth();
    const Index at_once = columns == plan_.w.out && rows >= n ? 4 : most_taps;
    ConvDots t;
    t.d_plane = (in_place_ ? s_.pixels : gradient_.plane) * block_images, t.d_row = gradient_.pitch * block_images;
    t.x_row = plan_.h.stride * input_.pitch * block_images, t.x_column = plan_.w.stride * block_images;
    for (Index o = 0, height; o < s_.outputs; o += height) {
      height = conv_tile_height(s_.outputs - o);
      const Index tile = height * 4 * block_images;
      t.outputs = std::min(height, s_.outputs - o);
      for (Index first = 0; first < depth; first += at_once) {
        const Index last = std::min(depth, first + at_once);
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
            Quad sum = lane_sums(sums + (tap - first) / 4 * tile + r * 4 * block_images);
            float* const to = dw + (o + r) * depth + tap;
            if (last - tap >= 4) {
              sum += load_quad(to);
              __builtin_memcpy(to, &sum, sizeof sum);
            } else {
              for (Index q = 0; q < last - tap; ++q) to[q] += sum[q];
            }
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
        const Group group = group_in_cache(s_.outputs, std::max(Index{1}, phase.taps / s_.outputs), seen, grid.columns, (w.span() - 1) / w.stride + 1, 1, trims());
        run_filters(p_.kernels, f, grid, {}, group, trims() ? &trim : nullptr);
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
  bool in_place_;  ///< dy is read where it is: only the weights' gradient is wanted
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

}  // namespace ventral::inline v0::cpu::detail
