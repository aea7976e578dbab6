#pragma once
#include <algorithm>
#include <cstring>

#include "ventral/cpu/scratch.hpp"
#include "ventral/cpu/simd.hpp"
#include "ventral/divisive_box.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

// Sums over boxes, in pieces that stay in the cache. Nothing is ever subtracted from a sum, so that a sum of small numbers next to large ones stays exact
// to a few roundings: short windows are added up anew, long ones are sums of two sums.

/// Windows up to this long are added up term by term.
constexpr Index short_window = 8;

/// to[r][j] = sum_k from[r][j + k shift] for r < rows, j < length, k < taps, then `zeros` zeros. Whole registers: from is read, and to is written, up to
/// a register beyond the end of a row, and the next row makes that good.
template <class T>
struct SumRows {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index rows, Index length, Index taps, Index shift, const T* from, Index from_pitch, T* to, Index to_pitch, Index zeros) {
    using V = Simd<T, I>;
    for (Index r = 0; r < rows; ++r, from += from_pitch, to += to_pitch) {
      for (Index j = 0; j < length; j += V::lanes) {
        const T* p = from + j;
        V sum = V::load(p);
        for (Index k = 1; k < taps; ++k) sum = sum + V::load(p += shift);
        sum.store(to + j);
      }
      for (Index j = 0; j < zeros; j += V::lanes) V::zero().store(to + length + j);
    }
  }
};

/// a[i] = b[i] + c[i] for whole registers that cover [0, count), ascending: a may be b, and c may lie ahead in the same array.
template <class T>
struct AddLines {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index count, T* a, const T* b, const T* c) {
    using V = Simd<T, I>;
    for (Index i = 0; i < count; i += V::lanes) (V::load(b + i) + V::load(c + i)).store(a + i);
  }
};

template <class T>
struct BoxKernels {
  void (*sum_rows)(Index, Index, Index, Index, const T*, Index, T*, Index, Index);
  void (*add_lines)(Index, T*, const T*, const T*);

  explicit BoxKernels(SimdLevel level)
      : sum_rows(simd_function<SumRows<T>, void(Index, Index, Index, Index, const T*, Index, T*, Index, Index)>(level)),
        add_lines(simd_function<AddLines<T>, void(Index, T*, const T*, const T*)>(level)) {}
};

/// The sums of `n` elements, `shift` apart, from each of `count` positions of w (which has count + (n - 1) shift elements and is overwritten).
/// Long windows double: sums of 2, 4, 8, ... are sums of two sums, so the cost grows with log2 n. Returns where the sums are: r or w.
template <class T>
T* window_sums(const BoxKernels<T>& kernel, T* w, T* r, Index count, Index n, Index shift) {
  if (n == 1) return w;
  if (n <= short_window) {
    kernel.sum_rows(1, count, n, shift, w, 0, r, 0, 0);
    return r;
  }
  Index length = count + (n - 1) * shift, done = 0;  // r holds the sums of the first `done` elements
  for (Index step = 1;; step *= 2) {                 // w holds the sums of `step` elements
    if (n & step) {
      if (done == 0) std::memcpy(r, w, static_cast<std::size_t>(count) * sizeof(T));
      else kernel.add_lines(count, r, r, w + done * shift);
      done += step;
    }
    if (done == n) return r;
    length -= step * shift;
    kernel.add_lines(length, w, w, w + step * shift);
  }
}

/// Lines whose sum is wanted.
template <class T>
struct LineSet {
  const T* line[short_window] = {};
  Index count = 0;
  void add(const T* p) { line[count++] = p; }
};

/// The last lines of a sequence, for sums over a window that slides along it. Short windows list their lines. Long ones are cut at the multiples of n:
/// the sum of a window is a sum from its first line to a cut and one from there to its last line, so a step costs three additions whatever n is.
template <class T>
class SlidingLines {
 public:
  /// Lines a ring needs.
  static Index lines(Reach reach) { return reach.extent() + (reach.extent() > short_window ? 1 : 0); }

  SlidingLines(const BoxKernels<T>& kernel, Reach reach, Index length, T* memory, Index pitch, Index used)
      : kernel_(kernel), reach_(reach), n_(reach.extent()), length_(length), memory_(memory), pitch_(pitch), used_(used) {}

  /// Where line i goes; after it is written, `close(i)`. Lines come one after another, each when window i - reach.after is due.
  T* line(Index i) const { return memory_ + i % n_ * pitch_; }
  void close(Index i) const {
    if (n_ <= short_window) return;
    T* const begun = memory_ + n_ * pitch_;  // sum from the last cut to here
    if (i % n_ == 0) std::memcpy(begun, line(i), static_cast<std::size_t>(used_) * sizeof(T));
    else kernel_.add_lines(used_, begun, begun, line(i));
    if (i % n_ == n_ - 1 || i == length_ - 1)
      for (Index j = i; j % n_ > 0; --j) kernel_.add_lines(used_, line(j - 1), line(j - 1), line(j));
  }
  /// Lines that add up to the window around line i.
  LineSet<T> around(Index i) const {
    LineSet<T> set;
    const Index first = std::max(Index{0}, i - reach_.before), last = std::min(length_ - 1, i + reach_.after);
    if (n_ <= short_window) {
      for (Index j = first; j <= last; ++j) set.add(line(j));
      return set;
    }
    if (first % n_ > 0) set.add(line(first));
    if (first % n_ == 0 || first / n_ != last / n_) set.add(memory_ + n_ * pitch_);
    return set;
  }

 private:
  const BoxKernels<T>& kernel_;
  Reach reach_;
  Index n_, length_;
  T* memory_;
  Index pitch_, used_;
};

struct Range {
  Index first, last;
  Index size() const { return last - first; }
};

/// How boxes over a tensor are cut into tiles of all channels and some rows, so that what a tile needs stays in the cache: by the shape alone. A box of
/// channels only sees rows of one element; blocks of 16 images are images whose columns are 16 apart.
struct BoxTiles {
  static constexpr Index least_line = 32, slack = 64;  ///< elements: of a line that kernels take; beyond a line that they may touch
  static constexpr Index cache = 1 << 17;
  Index images, channels, rows, row, step;
  Reach deep, high, wide;  ///< no longer than the axis
  Index unit = 1, tiles = 1;

  static Reach clamped(Reach r, Index length) {
    const Index most = std::max(Index{0}, length - 1);
    return {std::min(r.before, most), std::min(r.after, most)};
  }

  /// `flat_tile`: elements of a line in a box of channels only.
  BoxTiles(const DivisiveBox& box, const Shape& x, Format format, Index flat_tile)
      : images(stored_images(x[0], format)), channels(x[1]), rows(1), row(1), step(1), deep(clamped(box.channels, x[1])) {
    if (format == Format::blocks) images /= block_images, step = block_images;
    const bool flat = box.height.extent() == 1 && box.width.extent() == 1;
    rows = flat ? x.product(2, x.rank()) * step : x[2];
    if (!flat) row = x[3] * step, high = clamped(box.height, x[2]), wide = clamped(box.width, x[3]);
    if (images * channels * rows * row == 0) return;
    unit = flat ? least_line : 1;
    const Index most = flat ? flat_tile : std::max({Index{1}, high.extent() - 1, cache / (2 * deep.extent() + 3) / row - 2 * (high.extent() - 1)});
    const Index fewest = flat ? 1 : (least_line + row - 1) / row;  // rows that fill a line
    tiles = std::min((rows + most - 1) / most, std::max(Index{1}, rows / fewest));
  }

  Index plane() const { return rows * row; }
  Index pitch() const { return row + (wide.extent() - 1) * step; }
  bool spatial() const { return high.extent() > 1 || wide.extent() > 1; }
  /// Rows of a tile; those that reach into them, or out of them.
  Range range(Index tile) const {
    const Index units = (rows + unit - 1) / unit;
    return {units * tile / tiles * unit, std::min(rows, units * (tile + 1) / tiles * unit)};
  }
  Range grown(Range r, Reach reach) const { return {std::max(Index{0}, r.first - reach.before), std::min(rows, r.last + reach.after)}; }
  /// The most rows of a tile, with neighbours `times` as far as the box.
  Index most_rows(Index times) const { return std::min(rows, ((rows + unit - 1) / unit + tiles - 1) / tiles * unit + times * (high.extent() - 1)); }
  /// Elements to set aside for a line of so many rows.
  Index line(Index count) const { return (std::max(least_line, count * row) + 2 * slack - 1) / slack * slack; }
  /// Those for `plane_sums`.
  Index padded(Index count) const { return ((count + high.extent()) * pitch() + 2 * slack - 1) / slack * slack; }
};

/// Sums over rows and columns: from holds rows `in` of a plane, to gets rows `out`; in = grown(out, high). `a` and `b` are scratch of t.padded(out.size()).
/// Cost: about extent additions an element and axis up to 8, beyond that 2 log2(extent).
template <class T>
void plane_sums(const BoxKernels<T>& kernel, const BoxTiles& t, Reach high, Reach wide, Range in, Range out, const T* from, T* a, T* b, T* to) {
  const Index pitch = t.pitch(), all = out.size() + high.extent() - 1, above = in.first - (out.first - high.before), below = all - above - in.size();
  const auto bytes = [](Index count) { return static_cast<std::size_t>(count) * sizeof(T); };
  T* const inside = a + above * pitch + wide.before * t.step;
  std::memset(a, 0, bytes(above * pitch + wide.before * t.step));
  kernel.sum_rows(in.size(), t.row, 1, 0, from, t.row, inside, pitch, (wide.extent() - 1) * t.step);
  std::memset(a + (above + in.size()) * pitch, 0, bytes(below * pitch));
  T* sums = window_sums(kernel, a, b, all * pitch - (wide.extent() - 1) * t.step, wide.extent(), t.step);
  if (high.extent() <= short_window) return kernel.sum_rows(out.size(), t.row, high.extent(), pitch, sums, pitch, to, t.row, 0);
  sums = window_sums(kernel, sums, sums == a ? b : a, (out.size() - 1) * pitch + t.row, high.extent(), pitch);
  kernel.sum_rows(out.size(), t.row, 1, 0, sums, pitch, to, t.row, 0);
}

}  // namespace detail

}  // namespace ventral::inline v0::cpu
