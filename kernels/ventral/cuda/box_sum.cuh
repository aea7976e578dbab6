#pragma once
#include <algorithm>

#include "ventral/cuda/channel_window.cuh"
#include "ventral/divisive_box.hpp"

/// Sums over a box around every element of [N,C,H,W], elements outside counting 0, in passes along one axis each: the cost grows with the sum of the
/// box's extents at most, and not at all along channels. As on the CPU nothing is ever subtracted: a sum of small numbers stays exact next to large
/// ones.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

// What the passes read and write. Loads are called with a channel and a flat position; finishes with the sum around it too.

template <class S>
struct LoadPlain {
  const S* from;
  VENTRAL_DEVICE S operator()(Index, Index at) const { return from[at]; }
};
template <class S>
struct StorePlain {
  S* to;
  VENTRAL_DEVICE void operator()(Index, Index at, S sum) const { to[at] = sum; }
};

/// Lines along one axis of an array seen as [outer, length, inner]. Each line is cut into segments, and a thread walks along each.
struct LineWalk {
  static constexpr Index enough_walkers = Index{1} << 16, longest_near = 192;
  Index outer = 0, length = 0, inner = 1;
  Index before = 0, after = 0;          ///< how far the window reaches
  Index segment = 1, segments = 1;      ///< elements of a segment, segments of a line
  Index lines_per_plane = 0, channels;  ///< what channel a line is of; 0 lines: the walk is along channels

  LineWalk(Index outer_extent, Index axis, Index inner_extent, Reach reach, Index plane_lines, Index channel_count)
      : outer(outer_extent), length(axis), inner(inner_extent), before(reach.before), after(reach.after), lines_per_plane(plane_lines),
        channels(channel_count) {
    // few lines: more threads, though each segment reads a window more than its length
    segments = std::clamp(enough_walkers / std::max(Index{1}, outer * inner), Index{1}, std::max(Index{1}, length / (2 * window())));
    segment = (length + segments - 1) / segments;
    segments = (length + segment - 1) / segment;
  }
  constexpr Index window() const { return before + 1 + after; }
  Index walkers() const { return outer * inner * segments; }
  /// Whether a thread's window fits in shared memory; if not, it lies in scratch.
  bool near() const { return window() <= longest_near; }
  Index threads() const { return window() <= 32 ? 128 : near() ? 32 : 128; }
  Index scratch() const { return near() ? 0 : window() * walkers(); }
};

/// Box sums along one axis: a thread walks a segment of a line and keeps the last `window` elements in a ring.
/// The ring's elements belong to two blocks of `window` elements: the older block's are kept as sums up to its end, the newer one's add up in `sum`,
/// so that every window is one sum of each: three additions an element for any window. The ring is in shared memory, or in `far` for long windows.
/// Reads and writes each element once; neighbouring threads take neighbouring lines (inner > 1: coalesced). No barriers.
/// Source: van Herk 1992, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels", with sums for maxima.
template <class S, class Load, class Finish>
VENTRAL_KERNEL void window_walk_kernel(LineWalk w, Load load, Finish finish, S* far) {
  VENTRAL_DYNAMIC_SHARED(S, near);
  const Index walker = first_element(), walkers = w.outer * w.inner * w.segments;
  if (walker >= walkers) return;
  S* const ring = far ? far + walker : near + threadIdx.x;
  const Index apart = far ? walkers : static_cast<Index>(blockDim.x);

  const Index at_segment = quotient(walker, w.inner), line = quotient(at_segment, w.segments), first = (at_segment - line * w.segments) * w.segment;
  const Index last = w.length < first + w.segment ? w.length : first + w.segment, start = line * w.length * w.inner + walker - at_segment * w.inner;
  const bool along_channels = w.lines_per_plane == 0;
  const Index channel = along_channels ? 0 : line / w.lines_per_plane % w.channels;
  const int window = static_cast<int>(w.window());
  S sum = S(0);
  int slot = 0;
  for (Index in = first - w.before, out = in - w.after; out < last; ++in, ++out) {
    const S v = 0 <= in && in < w.length ? load(along_channels ? in : channel, start + in * w.inner) : S(0);
    ring[slot * apart] = v;
    sum = sum + v;
    ++slot;
    if (out >= first) finish(along_channels ? out : channel, start + out * w.inner, slot < window ? sum + ring[slot * apart] : sum);
    if (slot < window) continue;
    S tail = S(0);  // the block is whole: its elements become sums up to its end
    for (slot = window - 1; slot > 0; --slot) {
      tail = tail + ring[slot * apart];
      ring[slot * apart] = tail;
    }
    sum = S(0);
  }
}

template <class S, class Load, class Finish>
void window_walk(Stream stream, const LineWalk& w, const Shape& x, S* far, const Load& load, const Finish& finish) {
  const std::size_t shared = w.near() ? static_cast<std::size_t>(w.window() * w.threads()) * sizeof(S) : 0;
  launch(stream,
         {.kernel = "window_walk_kernel", .blocks = blocks_for(w.walkers(), w.threads()), .threads = w.threads(), .shared = shared, .shape = x},
         window_walk_kernel<S, Load, Finish>, w, load, finish, w.near() ? static_cast<S*>(nullptr) : far);
}

/// How planes [H,W] are cut into tiles that a block sums in shared memory, for boxes of moderate height and width.
struct PlaneTiles {
  static constexpr Index side = 32, longest = 17, most_outputs = 1024, most_shared = 3840;  ///< the last two in elements
  Index planes, channels, height, width;
  int rows = 1, columns = 1;                       ///< of a tile
  int row_tiles = 0, column_tiles = 0, group = 1;  ///< planes of a block: more than one where a tile is a whole plane
  int above, left, tall, wide;                     ///< the box: rows above, columns to the left, extents
  FixedDivisor by_rows, by_columns, by_depth, by_pitch, by_channels;

  static Index cut(Index length) {
    const Index tiles = (length + side - 1) / side;
    return (length + tiles - 1) / tiles;
  }
  PlaneTiles(const Shape& x, Reach box_height, Reach box_width)
      : planes(x[0] * x[1]), channels(x[1]), height(x[2]), width(x[3]), rows(static_cast<int>(cut(height))), columns(static_cast<int>(cut(width))),
        row_tiles(static_cast<int>((height + rows - 1) / rows)), column_tiles(static_cast<int>((width + columns - 1) / columns)),
        above(static_cast<int>(box_height.before)), left(static_cast<int>(box_width.before)), tall(static_cast<int>(box_height.extent())),
        wide(static_cast<int>(box_width.extent())) {
    if (row_tiles == 1 && column_tiles == 1)
      group = static_cast<int>(std::clamp(std::min(most_outputs / (rows * columns), most_shared / plane_elements()), Index{1}, planes));
    by_rows = FixedDivisor(rows), by_columns = FixedDivisor(columns), by_depth = FixedDivisor(depth()), by_pitch = FixedDivisor(pitch());
    by_channels = FixedDivisor(channels);
  }
  constexpr int pitch() const { return columns + wide - 1; }
  constexpr int depth() const { return rows + tall - 1; }
  Index plane_elements() const { return static_cast<Index>(depth()) * (pitch() + columns); }
  Index blocks() const { return (planes + group - 1) / group * row_tiles * column_tiles; }
};

/// Box sums over height and width: a block loads a tile with its borders, adds up rows, then columns.
/// About (1 + borders) loads an element, `wide` + `tall` reads of shared memory; threads lie along rows. 3840 elements of shared memory at most.
template <class S, class Load, class Finish>
VENTRAL_BOUNDED_KERNEL(256) void box_tile_kernel(PlaneTiles t, Load load, Finish finish) {
  VENTRAL_DYNAMIC_SHARED(S, padded);
  const int pitch = t.pitch(), depth = t.depth(), outputs = t.rows * t.columns, threads = static_cast<int>(blockDim.x);
  const Index at_group = quotient(blockIdx.x, t.row_tiles * t.column_tiles), tile = blockIdx.x - at_group * t.row_tiles * t.column_tiles,
              plane0 = at_group * t.group;
  const int group = t.planes - plane0 < t.group ? static_cast<int>(t.planes - plane0) : t.group;
  const Index row_tile = quotient(tile, t.column_tiles), top = row_tile * t.rows, left = (tile - row_tile * t.column_tiles) * t.columns;
  const int channel0 = static_cast<int>(plane0 % t.channels);
  const auto channel = [&](int plane) { return Index{Division(channel0 + plane, t.by_channels).rest}; };
  S* const across = t.wide > 1 ? padded + group * depth * pitch : padded;

  for (int i = static_cast<int>(threadIdx.x); i < group * depth * pitch; i += threads) {
    const Division line(i, t.by_pitch), plane(line.quotient, t.by_depth);
    const Index row = top - t.above + plane.rest, column = left - t.left + line.rest;
    const bool inside = 0 <= row && row < t.height && 0 <= column && column < t.width;
    padded[i] = inside ? load(channel(plane.quotient), ((plane0 + plane.quotient) * t.height + row) * t.width + column) : S(0);
  }
  __syncthreads();
  if (t.wide > 1)
    for (int i = static_cast<int>(threadIdx.x); i < group * depth * t.columns; i += threads) {
      const Division line(i, t.by_columns);
      const S* const from = padded + line.quotient * pitch + line.rest;
      S sum = from[0];
      for (int k = 1; k < t.wide; ++k) sum = sum + from[k];
      across[i] = sum;
    }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < group * outputs; i += threads) {
    const Division line(i, t.by_columns), plane(line.quotient, t.by_rows);
    if (top + plane.rest >= t.height || left + line.rest >= t.width) continue;
    const S* const from = across + (plane.quotient * depth + plane.rest) * t.columns + line.rest;
    S sum = from[0];
    for (int k = 1; k < t.tall; ++k) sum = sum + from[k * t.columns];
    finish(channel(plane.quotient), ((plane0 + plane.quotient) * t.height + top + plane.rest) * t.width + left + line.rest, sum);
  }
}

/// Which passes the box sums of a shape take, and their scratch: by box and shape alone.
struct BoxPlan {
  Shape x;
  Reach channels, height, width;            ///< no longer than the axis
  Index scratch = 0, middle = 0, ring = 0;  ///< elements in all; where the sums between rows and columns begin, where the rings do

  static Reach clamped(Reach r, Index length) {
    const Index most = std::max(Index{0}, length - 1);
    return {std::min(r.before, most), std::min(r.after, most)};
  }
  BoxPlan(const DivisiveBox& box, const Shape& shape)
      : x(shape), channels(clamped(box.channels, x[1])), height(clamped(box.height, x[2])), width(clamped(box.width, x[3])) {
    if (x.size() == 0) return;
    middle = over_planes() && over_channels() ? x.size() : 0;
    ring = middle + (over_planes() && !tiled() && height.extent() > 1 && width.extent() > 1 ? x.size() : 0);
    if (over_channels()) scratch = along_channels().scratch();
    if (over_planes() && !tiled()) scratch = std::max({scratch, along_rows().scratch(), along_columns().scratch()});
    scratch += ring;
  }
  bool over_planes() const { return height.extent() > 1 || width.extent() > 1; }
  bool over_channels() const { return channels.extent() > 1 || !over_planes(); }
  bool tiled() const { return height.extent() <= PlaneTiles::longest && width.extent() <= PlaneTiles::longest && x[1] < (Index{1} << 30); }
  LineWalk along_channels() const { return {x[0], x[1], x[2] * x[3], channels, 0, x[1]}; }
  LineWalk along_rows() const { return {x[0] * x[1] * x[2], x[3], 1, width, x[2], x[1]}; }
  LineWalk along_columns() const { return {x[0] * x[1], x[2], x[3], height, 1, x[1]}; }
};

/// Sums over rows and columns. See box_sums.
template <class S, class Load, class Finish>
void plane_sums(Stream stream, const BoxPlan& plan, S* scratch, const Load& load, const Finish& finish) {
  if (plan.tiled()) {
    const PlaneTiles t(plan.x, plan.height, plan.width);
    const std::size_t shared = static_cast<std::size_t>(t.group * t.plane_elements()) * sizeof(S);
    return launch(stream, {.kernel = "box_tile_kernel", .blocks = t.blocks(), .threads = 256, .shared = shared, .shape = plan.x},
                  box_tile_kernel<S, Load, Finish>, t, load, finish);
  }
  S *const middle = scratch + plan.middle, *const ring = scratch + plan.ring;
  if (plan.height.extent() == 1) return window_walk(stream, plan.along_rows(), plan.x, ring, load, finish);
  if (plan.width.extent() == 1) return window_walk(stream, plan.along_columns(), plan.x, ring, load, finish);
  window_walk(stream, plan.along_rows(), plan.x, ring, load, StorePlain<S>{middle});
  window_walk(stream, plan.along_columns(), plan.x, ring, LoadPlain<S>{middle}, finish);
}

/// Sums over a box around every element of a quantity on [N,C,H,W]; elements outside count 0. load(channel, at) makes the quantity at a flat position
/// (it may be called several times for each), finish(channel, at, sum) takes the sum around it. Both are functors of the device and copied into each
/// thread. `scratch` has BoxPlan(box, x).scratch elements. A launch for boxes of channels or of moderate height and width, two for both, three for
/// large ones.
template <class S, class Load, class Finish>
void box_sums(Stream stream, const DivisiveBox& box, const Shape& x, S* scratch, const Load& load, const Finish& finish) {
  if (x.size() == 0) return;
  const BoxPlan plan(box, x);
  if (!plan.over_channels()) return plane_sums(stream, plan, scratch, load, finish);
  if (!plan.over_planes()) {
    if constexpr (sizeof(S) == 4 && requires { load.read(Index{}); })
      if (channel_window<S>(stream, plan.channels, x, load, finish)) return;
    return window_walk(stream, plan.along_channels(), x, scratch + plan.ring, load, finish);
  }
  plane_sums(stream, plan, scratch, load, StorePlain<S>{scratch});
  window_walk(stream, plan.along_channels(), x, scratch + plan.ring, LoadPlain<S>{scratch}, finish);
}

}  // namespace detail

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
