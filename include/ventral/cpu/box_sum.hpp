#pragma once
#include <algorithm>
#include <cstring>

#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/vector_math.hpp"
#include "ventral/divisive_box.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

/// r[i] = w[i] + w[i + shift] + ... + w[i + (taps - 1) shift], in one sweep.
template <class I, int taps, class T>
VENTRAL_ALWAYS_INLINE void short_window_sums(const T* w, T* r, Index count, Index shift) {
  for_vectors<Simd<T, I>>(count, [&](Index i, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
    auto sum = lanes.load(w + i);
    VENTRAL_UNROLL
    for (int k = 1; k < taps; ++k) sum = sum + lanes.load(w + i + k * shift);
    lanes.store(r + i, sum);
  });
}

/// a[i] = b[i] + c[i] for i in [0, count), ascending: a may be b, and c may lie ahead in the same array.
template <class I, class T>
VENTRAL_ALWAYS_INLINE void add_ascending(T* a, const T* b, const T* c, Index count) {
  for_vectors<Simd<T, I>>(count, [&](Index i, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA { lanes.store(a + i, lanes.load(b + i) + lanes.load(c + i)); });
}

/// The sums of `n` elements, `shift` apart, from each of `count` positions of w (which has count + (n - 1) shift elements and is overwritten).
/// Long windows double: sums of 2, 4, 8, ... are sums of two sums, so the cost grows with log2 n. Nothing is ever subtracted, so that a sum
/// of small numbers next to large ones stays exact to log2 n roundings. Returns where the sums are: r or w.
template <class T>
T* window_sums(T* w, T* r, Index count, Index n, Index shift) {
  if (n == 1) return w;
  simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
    using I = decltype(isa);
    switch (n) {
      case 2: return short_window_sums<I, 2>(w, r, count, shift);
      case 3: return short_window_sums<I, 3>(w, r, count, shift);
      case 4: return short_window_sums<I, 4>(w, r, count, shift);
      case 5: return short_window_sums<I, 5>(w, r, count, shift);
      default: break;
    }
    Index length = count + (n - 1) * shift, done = 0;  // r holds the sums of the first `done` elements
    for (Index step = 1;; step *= 2) {                 // w holds the sums of `step` elements
      if (n & step) {
        if (done == 0) std::memcpy(r, w, static_cast<std::size_t>(count) * sizeof(T));
        else add_ascending<I>(r, r, w + done * shift, count);
        done += step;
      }
      if (done == n) return;
      length -= step * shift;
      add_ascending<I>(w, w, w + step * shift, length);
    }
  });
  return r;
}

/// How the box sums of a shape are cut into tiles, and tiles shared out to lanes with a scratch each: by the shape alone.
struct BoxTiling {
  static constexpr Index tile_elements = 1 << 13, most_lanes = 16, alignment = 64;
  Reach channels, height, width;     ///< no longer than the axis
  Index rows = 1, columns = 1;       ///< of a tile of the pass over planes; positions of a tile of the pass over channels
  Index row_tiles = 0, column_tiles = 0;
  Index plane_lanes = 0, channel_lanes = 0;
  Index plane_scratch = 0, channel_scratch = 0;  ///< elements, of a lane

  static Reach clamped(Reach r, Index length) {
    const Index most = std::max(Index{0}, length - 1);
    return {std::min(r.before, most), std::min(r.after, most)};
  }
  static Index aligned(Index n) { return (n + alignment - 1) / alignment * alignment; }

  BoxTiling(const DivisiveBox& box, const Shape& x)
      : channels(clamped(box.channels, x[1])), height(clamped(box.height, x[2])), width(clamped(box.width, x[3])) {
    const Index planes = x[0] * x[1], positions = x[2] * x[3];
    if (planes * positions == 0) return;
    const Index pitch = x[3] + width.extent() - 1, halo = height.extent() - 1;
    rows = std::clamp(tile_elements / pitch - halo, std::min(height.extent(), x[2]), x[2]);
    row_tiles = (x[2] + rows - 1) / rows;
    plane_lanes = std::min(most_lanes, planes * row_tiles);
    plane_scratch = 2 * aligned((rows + halo) * pitch + width.extent()) + aligned((rows + halo) * x[3]);
    const Index depth = x[1] + channels.extent() - 1;
    columns = std::min(positions, std::clamp(tile_elements / depth, Index{64}, Index{512}) / 64 * 64);
    column_tiles = (positions + columns - 1) / columns;
    channel_lanes = std::min(most_lanes, x[0] * column_tiles);
    channel_scratch = 2 * aligned(depth * columns);
  }
  bool over_planes() const { return height.extent() > 1 || width.extent() > 1; }
  bool over_channels() const { return channels.extent() > 1 || !over_planes(); }
  Index scratch() const {
    return std::max(over_planes() ? plane_lanes * plane_scratch : 0, over_channels() ? channel_lanes * channel_scratch : 0);
  }
};

/// Calls body(tile, lane) for every tile; tiles of a lane run one after another.
template <class Body>
void parallel_tiles(Index tiles, Index lanes, const Body& body) {
  parallel_for(lanes, [&](Index lane) {
    for (Index tile = lane; tile < tiles; tile += lanes) body(tile, lane);
  });
}

/// Sums over rows and columns, plane by plane. See box_sums.
template <class T, class Fill, class Finish>
void plane_sums(const BoxTiling& t, const Shape& x, T* scratch, const Fill& fill, const Finish& finish) {
  const Index h = x[2], w = x[3], pitch = w + t.width.extent() - 1, halo = t.height.extent() - 1;
  parallel_tiles(x[0] * x[1] * t.row_tiles, t.plane_lanes, [&](Index tile, Index lane) {
    const Index plane = tile / t.row_tiles, channel = plane % x[1];
    const Index top = tile % t.row_tiles * t.rows, rows = std::min(t.rows, h - top);
    const Index first = std::max(Index{0}, top - t.height.before), last = std::min(h, top + rows + t.height.after);
    const Index padded = BoxTiling::aligned((t.rows + halo) * pitch + t.width.extent()), used = (rows + halo) * pitch + t.width.extent() - 1;
    T *a = scratch + lane * t.plane_scratch, *b = a + padded, *source = b + padded;
    fill(channel, plane * h * w + first * w, (last - first) * w, source);
    std::memset(a, 0, static_cast<std::size_t>(used) * sizeof(T));
    T* inside = a + (first - (top - t.height.before)) * pitch + t.width.before;
    for (Index i = 0; i < last - first; ++i) std::memcpy(inside + i * pitch, source + i * w, static_cast<std::size_t>(w) * sizeof(T));
    T* across = window_sums(a, b, (rows + halo) * pitch, t.width.extent(), 1);
    T* sums = window_sums(across, across == a ? b : a, rows * pitch, t.height.extent(), pitch);
    if (pitch != w)
      for (Index i = 1; i < rows; ++i) std::memmove(sums + i * w, sums + i * pitch, static_cast<std::size_t>(w) * sizeof(T));
    finish(channel, plane * h * w + top * w, rows * w, sums);
  });
}

/// Sums over channels, for stretches of positions. See box_sums.
template <class T, class Fill, class Finish>
void channel_sums(const BoxTiling& t, const Shape& x, T* scratch, const Fill& fill, const Finish& finish) {
  const Index channels = x[1], positions = x[2] * x[3], depth = channels + t.channels.extent() - 1;
  parallel_tiles(x[0] * t.column_tiles, t.channel_lanes, [&](Index tile, Index lane) {
    const Index begin = tile % t.column_tiles * t.columns, m = std::min(t.columns, positions - begin);
    const Index start = tile / t.column_tiles * channels * positions + begin;
    T *a = scratch + lane * t.channel_scratch, *b = a + BoxTiling::aligned(depth * t.columns);
    std::memset(a, 0, static_cast<std::size_t>(t.channels.before * m) * sizeof(T));
    for (Index c = 0; c < channels; ++c) fill(c, start + c * positions, m, a + (t.channels.before + c) * m);
    std::memset(a + (t.channels.before + channels) * m, 0, static_cast<std::size_t>(t.channels.after * m) * sizeof(T));
    const T* sums = window_sums(a, b, channels * m, t.channels.extent(), m);
    for (Index c = 0; c < channels; ++c) finish(c, start + c * positions, m, sums + c * m);
  });
}

/// Sums over a box around every element of a quantity on [N,C,H,W]; elements outside count 0. The quantity is made piece by piece: fill(channel, first,
/// count, to) writes elements [first, first + count), all of one channel; finish(channel, first, count, sums) takes their sums and may write any
/// array at [first, first + count). `middle` [N,C,H,W] holds the sums between the two passes of a box of all three axes; finish may write it.
/// `scratch` has BoxTiling(box, x).scratch() elements. Cost: about extent adds an element and axis up to 5, beyond that 2 log2(extent).
template <class T, class Fill, class Finish>
void box_sums(const DivisiveBox& box, const Shape& x, T* middle, T* scratch, const Fill& fill, const Finish& finish) {
  if (x.size() == 0) return;
  const BoxTiling t(box, x);
  if (!t.over_planes()) return channel_sums(t, x, scratch, fill, finish);
  if (!t.over_channels()) return plane_sums(t, x, scratch, fill, finish);
  const auto bytes = [](Index count) { return static_cast<std::size_t>(count) * sizeof(T); };
  plane_sums(t, x, scratch, fill, [&](Index, Index first, Index count, const T* sums) { std::memcpy(middle + first, sums, bytes(count)); });
  channel_sums(t, x, scratch, [&](Index, Index first, Index count, T* to) { std::memcpy(to, middle + first, bytes(count)); }, finish);
}

}  // namespace detail

}  // namespace ventral::inline v0::cpu
