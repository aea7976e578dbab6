#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "ventral/tensor.hpp"

namespace ventral::inline v0 {

/// How numbers become grey levels or colours.
enum class Palette {
  grey,      ///< lowest black, highest white
  diverging  ///< blue below 0, white at 0, red above; the scale is symmetric
};

/// A picture made of equal tiles, laid out row by row.
struct GridOptions {
  Palette palette = Palette::grey;
  Index columns = 0;                ///< tiles in a row; 0: as many as make the picture about square
  Index zoom = 1;                   ///< each value becomes zoom x zoom pixels
  Index gap = 1;                    ///< pixels between tiles
  std::uint8_t background = 128;    ///< of gaps and missing tiles
  bool each = false;                ///< scale each tile by its own range instead of the range of all
  double low = std::numeric_limits<double>::quiet_NaN();   ///< a range to scale by instead of the one found
  double high = std::numeric_limits<double>::quiet_NaN();
};

namespace detail {

struct ValueRange {
  double low = 0, high = 0;
};

/// Range of the finite values; options override it, and a diverging one is made symmetric about 0.
template <class T>
[[gnu::cold]] ValueRange range_of(const T* x, Index n, const GridOptions& o) {
  ValueRange r{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  for (Index i = 0; i < n; ++i) {
    const double v = static_cast<double>(x[i]);
    if (std::isfinite(v)) r.low = std::min(r.low, v), r.high = std::max(r.high, v);
  }
  if (r.low > r.high) r = {0, 0};
  if (!std::isnan(o.low)) r.low = o.low;
  if (!std::isnan(o.high)) r.high = o.high;
  if (o.palette == Palette::diverging) r.high = std::max(std::abs(r.low), std::abs(r.high)), r.low = -r.high;
  return r;
}

/// Red, green and blue of a value; NaN is magenta in colour, the lowest level in grey.
inline void paint_value(double v, const ValueRange& r, Palette palette, std::uint8_t (&rgb)[3]) {
  const auto level = [](double part) { return static_cast<std::uint8_t>(std::lround(255 * std::clamp(part, 0.0, 1.0))); };
  const double part = r.high > r.low ? (v - r.low) / (r.high - r.low) : 0.5;
  if (palette == Palette::grey) {
    rgb[0] = rgb[1] = rgb[2] = std::isnan(part) ? std::uint8_t{0} : level(part);
  } else if (std::isnan(part)) {
    rgb[0] = rgb[2] = 255, rgb[1] = 0;
  } else {
    const double d = std::clamp(2 * part - 1, -1.0, 1.0);
    rgb[0] = level(d < 0 ? 1 + d : 1.0), rgb[1] = level(1 - std::abs(d)), rgb[2] = level(d > 0 ? 1 - d : 1.0);
  }
}

}  // namespace detail

/// Lays out tiles [N,H,W] (filters, feature maps) or [N,3,H,W] (RGB in their own range) as one picture [C,H',W'] to be written by write_png: C is 1 for grey
/// tiles in the grey palette, else 3. The range of values is that of all tiles, or of each; infinities are clipped. Throws ShapeError for other shapes or no
/// tiles. A convolution's weight [out,in,kh,kw] is shown by `grid(weight.value.reshaped({out * in, kh, kw}))`.
template <class T>
[[gnu::cold]] Tensor<std::uint8_t> grid(TensorRef<T> tiles, const GridOptions& o = {}) {
  const Shape& s = tiles.shape;
  const bool rgb = s.rank() == 4;
  require<ShapeError>((s.rank() == 3 || (rgb && s[1] == 3)) && s.size() > 0, "grid: tiles ", s, "; [N,H,W] or [N,3,H,W] expected, not empty");
  require(o.zoom >= 1 && o.gap >= 0 && o.columns >= 0, "grid: zoom ", o.zoom, ", gap ", o.gap, ", columns ", o.columns, "; at least 1, 0, 0 expected");
  const Index n = s[0], h = s.dim(-2), w = s.dim(-1), planes = rgb ? 3 : 1, pitch_h = h * o.zoom + o.gap, pitch_w = w * o.zoom + o.gap;
  const Index square = static_cast<Index>(std::ceil(std::sqrt(static_cast<double>(n) * static_cast<double>(pitch_h) / static_cast<double>(pitch_w))));
  const Index columns = std::clamp(o.columns > 0 ? o.columns : square, Index{1}, n), rows = (n + columns - 1) / columns;
  const Palette palette = rgb ? Palette::grey : o.palette;
  GridOptions scaling = o;
  scaling.palette = palette;
  const Index channels = rgb || palette != Palette::grey ? 3 : 1;
  auto out = Tensor<std::uint8_t>::full({channels, rows * pitch_h - o.gap, columns * pitch_w - o.gap}, o.background);
  const Index height = out.dim(1), width = out.dim(2);
  detail::ValueRange range = detail::range_of(tiles.data, tiles.size(), scaling);
  for (Index i = 0; i < n; ++i) {
    const auto* tile = tiles.data + i * planes * h * w;
    if (o.each) range = detail::range_of(tile, planes * h * w, scaling);
    const Index top = i / columns * pitch_h, left = i % columns * pitch_w;
    for (Index y = 0; y < h * o.zoom; ++y)
      for (Index x = 0; x < w * o.zoom; ++x) {
        const Index at = y / o.zoom * w + x / o.zoom;
        std::uint8_t colour[3];
        for (Index c = 0; c < channels; ++c) {
          if (c == 0 || rgb) detail::paint_value(static_cast<double>(tile[c * h * w * (rgb ? 1 : 0) + at]), range, palette, colour);
          out[(c * height + top + y) * width + left + x] = colour[c];
        }
      }
  }
  return out;
}
template <class T>
[[gnu::cold]] Tensor<std::uint8_t> grid(const Tensor<T>& tiles, const GridOptions& o = {}) {
  return grid(tiles.ref(), o);
}

}  // namespace ventral::inline v0
