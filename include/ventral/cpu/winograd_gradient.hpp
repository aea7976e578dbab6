#pragma once
#include <algorithm>

#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/scratch.hpp"
#include "ventral/cpu/winograd_tiles.hpp"

namespace ventral::inline v0::cpu::detail {

/// The weight gradient dw = G^T [sum over tiles and images of (A dy A^T) (B^T x B)] G: a product of matrices for each frequency, whose depth are the pixels
/// of 4 tiles of 16 images, a step. Either in runs: each transforms some of the images and adds to sums of its own, of all weights, which are added in order.
/// Or, where these sums are large and dy is small, in panels: all of dy is transformed first, then the sums of 32 channels and some outputs stay in cache
/// while all images pass by. Which, follows from the shape.
class WinogradGradient {
 public:
  WinogradGradient(const WinogradTiles& tiles, Index window, const PixelSource& x, const PixelSource& dy)
      : winograd_(winograd_kernels(tiles.tile, window)),
        tiles_(tiles),
        x_(x),
        dy_(dy),
        channels_(x.channels()),
        outputs_(dy.channels()),
        panels_((channels_ + pair - 1) / pair * 2),
        wide_(panels_ * block_images),
        row_size_((tiles.tile * winograd_step + winograd_.halo()) * block_images) {}

  /// Adds to dw and db, where not null.
  void run(float* dw, float* db) {
    const Index f = winograd_.frequencies, steps = (tiles_.rows * tiles_.columns + winograd_step - 1) / winograd_step;
    if (f * outputs_ * wide_ <= large_sums || blocks() * steps * f * outputs_ * winograd_row >= most_numbers) return run_in_runs(dw, db);
    tiles_.band = tiles_.rows, tiles_.bands = 1;  // which saves copying the rows that bands share
    run_in_panels(steps, dw, db);
  }

 private:
  static constexpr Index pair = 2 * block_images, v_plane = block_images * winograd_row + 16, most_taps = 25;
  static constexpr Index large_sums = Index{1} << 20, most_numbers = Index{3} << 20;  // more than the second, less than the third level of cache holds

  static Index plane_of(Index outputs, Index row) { return (outputs + 7) / 8 * 8 * row + 16; }

  /// A band of tiles of one block of images.
  struct Band {
    Index block, first, last, count;  ///< rows of tiles, and tiles
  };
  Band band(Index chunk) const {
    const Index b = chunk % tiles_.bands, first = b * tiles_.band, last = tiles_.last_row(b);
    return {chunk / tiles_.bands, first, last, (last - first) * tiles_.columns};
  }
  Index blocks() const { return blocks_of(x_.x.shape[0]); }
  Index band_rows() const { return tiles_.tile * tiles_.band; }
  Lanes pixels(const Band& a, Index from_channel, Index to_channel, Arena& arena) const {
    const Index top = a.first * tiles_.tile - tiles_.before_h, rows = (a.last - a.first) * tiles_.tile + winograd_.halo();
    return x_.lanes(a.block, top, top + rows, from_channel, to_channel, arena.take<float>(x_.size(band_rows() + winograd_.halo())));
  }
  Lanes slopes(const Band& a, Index o0, Index o1, Arena& arena) const {
    return dy_.lanes(a.block, a.first * tiles_.tile, a.last * tiles_.tile, o0, o1, arena.take<float>(dy_.size(band_rows())));
  }

  /// What the transforms of a chunk work in.
  struct Room {
    float *columns, *zeros, *v;
  };
  Index room_bytes() const {
    return Arena::bytes<float>((tiles_.tile + winograd_.halo()) * row_size_) + Arena::bytes<float>(row_size_) + Arena::bytes<float>(winograd_.frequencies * v_plane);
  }
  Room room(Arena& arena) const {
    float *const columns = arena.take<float>((tiles_.tile + winograd_.halo()) * row_size_), *const zeros = arena.take<float>(row_size_);
    std::fill_n(zeros, row_size_, 0.f);
    return {columns, zeros, arena.take<float>(winograd_.frequencies * v_plane)};
  }

  /// b[frequency][panel][tile][image][channel] of n tiles from t on, for channels [c0, c1) in panels of 16; `panels` of them are between frequencies.
  void transform_pixels(const Band& a, const Lanes& x, Index t, Index n, Index c0, Index c1, const Room& r, float* b, Index panels) const {
    const Index tile = tiles_.tile, top = a.first * tile - tiles_.before_h;
    for (Index c = c0; c < c1; c += block_images, b += winograd_panel) {
      const Index some = std::min(block_images, c1 - c);
      tiles_.stretches(t, n, [&](Index ty, Index tx, Index at, Index len) {
        const WinogradInput call{{}, 0, 0, len, tile, r.columns, r.v + at * block_images, v_plane, 0};
        tiles_.transform(winograd_.input, x_, x, top + ty * tile, tx * tile - tiles_.before_w, winograd_.halo(), c, some, call, winograd_row, r.zeros);
      });
      for (Index i = 0; i < winograd_.frequencies; ++i)
        rows_to_lanes(some, n * block_images, r.v + i * v_plane, winograd_row, b + i * panels * winograd_panel);
    }
  }
  /// d[frequency][output][tile][image] of n tiles from t on, for outputs [o0, o1); adds the sums over pixels of each to sums[output][16].
  void transform_slopes(const Band& a, const Lanes& dy, Index t, Index n, Index o0, Index o1, const Room& r, float* d, Index d_plane, float* sums) const {
    const Index tile = tiles_.tile;
    tiles_.stretches(t, n, [&](Index ty, Index tx, Index at, Index len) {
      const WinogradInput call{{}, 0, 0, len, tile, r.columns, d + at * block_images, d_plane, 0, sums + o0 * block_images};
      tiles_.transform(winograd_.gradient, dy_, dy, (a.first + ty) * tile, tx * tile, 0, o0, o1 - o0, call, winograd_row, r.zeros);
    });
  }
  /// u[output][channel] = d b of one frequency, or += with `add`.
  void multiply(Index n, Index outputs, const float* d, const float* b, Index channels, float* u, bool add) const {
    for (Index c = 0; c < channels; c += winograd_.product_columns) {
      const float* const from = b + c / block_images * winograd_panel + c % block_images;
      for (Index o = 0; o < outputs; o += winograd_.product_rows) winograd_.product(n * block_images, d + o * winograd_row, from, u + o * channels + c, channels, add);
    }
  }
  /// dw[o][c...c+15] += G^T u G, u the sum of `parts`.
  void add_weights(const float* u, Index plane, Index parts, Index part, Index o, Index c, float* dw) const {
    alignas(64) float g[most_taps * block_images];
    const Index taps = winograd_.taps();
    winograd_.weight_gradient(u, plane, parts, part, g);
    for (Index i = 0; i < std::min(block_images, channels_ - c); ++i)
      for (Index t = 0; t < taps; ++t) dw[(o * channels_ + c + i) * taps + t] += g[t * block_images + i];
  }
  void add_bias(const float* sums, Index parts, Index part, Index o, float* db) const {
    for (Index i = 0; i < parts; ++i)
      for (Index lane = 0; lane < block_images; ++lane) db[o] += sums[i * part + o * block_images + lane];
  }

  void run_in_runs(float* dw, float* db) {
    const Index f = winograd_.frequencies, u_plane = plane_of(outputs_, wide_), u_size = f * u_plane + outputs_ * block_images;
    const Index chunks = blocks() * tiles_.bands, runs = std::clamp((Index{5} << 20) / u_size, Index{1}, std::min(chunks, Index{16}));
    const Index part = runs < 4 ? std::min(outputs_, Index{128}) : outputs_, parts = (outputs_ + part - 1) / part, d_plane = plane_of(part, winograd_row);
    Scratch& scratch = Scratch::mine();
    scratch.reserve(Arena::bytes<float>(runs * u_size), room_bytes() + Arena::bytes<float>(f * panels_ * winograd_panel) + Arena::bytes<float>(f * d_plane) +
                                                            Arena::bytes<float>(x_.size(band_rows() + winograd_.halo())) + Arena::bytes<float>(dy_.size(band_rows())));
    float* const u = scratch.shared().take<float>(runs * u_size);
    parallel_for(runs * parts, [&](Index i) {
      const Index run = i / parts, o0 = i % parts * part, o1 = std::min(outputs_, o0 + part), begin = chunks * run / runs;
      Scratch::Lease lease(scratch);
      float *const sum = u + run * u_size, *const bias = sum + f * u_plane;
      std::fill(bias + o0 * block_images, bias + o1 * block_images, 0.f);
      for (Index chunk = begin; chunk < chunks * (run + 1) / runs; ++chunk) {
        Arena arena = lease.arena();
        const Room r = room(arena);
        float *const b = arena.take<float>(f * panels_ * winograd_panel), *const d = arena.take<float>(f * d_plane);
        const Band a = band(chunk);
        const Lanes x = pixels(a, 0, channels_, arena), dy = slopes(a, o0, o1, arena);
        for (Index t = 0; t < a.count; t += winograd_step) {
          const Index n = std::min(winograd_step, a.count - t);
          transform_pixels(a, x, t, n, 0, channels_, r, b, panels_);
          transform_slopes(a, dy, t, n, o0, o1, r, d, d_plane, bias);
          for (Index k = 0; k < f; ++k)
            multiply(n, o1 - o0, d + k * d_plane, b + k * panels_ * winograd_panel, wide_, sum + k * u_plane + o0 * wide_, chunk > begin || t > 0);
        }
      }
    });
    parallel_ranges(outputs_, std::max(Index{1}, 4096 / wide_), [&](Index first, Index last) {
      for (Index o = first; o < last; ++o) {
        for (Index c = 0; dw && c < channels_; c += block_images) add_weights(u + o * wide_ + c, u_plane, runs, u_size, o, c, dw);
        if (db) add_bias(u + f * u_plane, runs, u_size, o, db);
      }
    });
  }

  void run_in_panels(Index steps, float* dw, float* db) {
    constexpr Index part = 128, few = 32;  // outputs
    const Index f = winograd_.frequencies, parts = (outputs_ + part - 1) / part, small_parts = (outputs_ + few - 1) / few;
    const Index d_plane = plane_of(outputs_, winograd_row), d_size = f * d_plane, u_plane = plane_of(std::min(part, outputs_), pair);
    Scratch& scratch = Scratch::mine();
    scratch.reserve(Arena::bytes<float>(blocks() * steps * d_size) + Arena::bytes<float>(blocks() * outputs_ * block_images),
                    room_bytes() + Arena::bytes<float>(f * 2 * winograd_panel) + Arena::bytes<float>(f * u_plane) +
                        Arena::bytes<float>(std::max(x_.size(band_rows() + winograd_.halo()), dy_.size(band_rows()))));
    Arena shared = scratch.shared();
    float *const d = shared.take<float>(blocks() * steps * d_size), *const bias = shared.take<float>(blocks() * outputs_ * block_images);
    parallel_for(blocks() * small_parts, [&](Index i) {
      const Index block = i / small_parts, o0 = i % small_parts * few, o1 = std::min(outputs_, o0 + few);
      Scratch::Lease lease(scratch);
      Arena arena = lease.arena();
      const Room r = room(arena);
      const Band a = band(block);
      const Lanes dy = slopes(a, o0, o1, arena);
      float* const sums = bias + block * outputs_ * block_images;
      std::fill(sums + o0 * block_images, sums + o1 * block_images, 0.f);
      for (Index t = 0; t < a.count; t += winograd_step)
        transform_slopes(a, dy, t, std::min(winograd_step, a.count - t), o0, o1, r, d + (block * steps + t / winograd_step) * d_size + o0 * winograd_row, d_plane,
                         sums);
    });
    for (Index o = 0; db && o < outputs_; ++o) add_bias(bias, blocks(), outputs_ * block_images, o, db);
    if (!dw) return;
    parallel_for(panels_ / 2 * parts, [&](Index i) {
      const Index c0 = i / parts * pair, c1 = std::min(channels_, c0 + pair), o0 = i % parts * part, o1 = std::min(outputs_, o0 + part);
      Scratch::Lease lease(scratch);
      Arena arena = lease.arena();
      const Room r = room(arena);
      float *const b = arena.take<float>(f * 2 * winograd_panel), *const u = arena.take<float>(f * u_plane);
      for (Index block = 0; block < blocks(); ++block) {
        const Band a = band(block);
        Arena rest = arena;
        const Lanes x = pixels(a, c0, c1, rest);
        for (Index t = 0; t < a.count; t += winograd_step) {
          const Index n = std::min(winograd_step, a.count - t);
          transform_pixels(a, x, t, n, c0, c1, r, b, 2);
          const float* const slope = d + (block * steps + t / winograd_step) * d_size + o0 * winograd_row;
          for (Index k = 0; k < f; ++k) multiply(n, o1 - o0, slope + k * d_plane, b + k * 2 * winograd_panel, pair, u + k * u_plane, block > 0 || t > 0);
        }
      }
      for (Index o = o0; o < o1; ++o)
        for (Index c = c0; c < c1; c += block_images) add_weights(u + (o - o0) * pair + c - c0, u_plane, 1, 0, o, c, dw);
    });
  }

  const WinogradKernels& winograd_;
  WinogradTiles tiles_;
  PixelSource x_, dy_;
  Index channels_, outputs_, panels_, wide_, row_size_;
};

}  // namespace ventral::inline v0::cpu::detail
