#pragma once
#include "ventral/report/svg.hpp"

namespace ventral::inline v0::report {

/// A range of values with ticks at the multiples of `step` in it, 1, 2 or 5 times a power of ten.
struct Axis {
  double low = 0, high = 1, step = 0.2;

  double first() const { return std::ceil(low / step - 1e-6); }
  int ticks() const { return static_cast<int>(std::floor(high / step + 1e-6) - first()) + 1; }
  double tick(int i) const {
    const double v = (first() + i) * step;
    return std::abs(v) < step * 1e-9 ? 0 : v;
  }
  std::string tick_label(int i) const {
    const double v = tick(i), largest = std::max(std::abs(low), std::abs(high));
    if (largest >= 1e6 || step < 1e-5) return number(v, 4);
    return detail::to_text(v, std::chars_format::fixed, std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9))));
  }
  double part(double v) const { return (v - low) / (high - low); }
};

/// The axis of about `wanted` steps over [low, high]; a range of no extent is widened.
inline Axis nice_axis(double low, double high, int wanted = 5) {
  constexpr double largest = 1e250;
  low = std::clamp(low, -largest, largest), high = std::clamp(high, -largest, largest);
  const double size = std::max(std::abs(low), std::abs(high));
  if (!(high - low > 1e-9 * size) || high - low < 1e-250) {
    const double pad = size > 1e-250 ? 0.5 * size : 1;
    low -= pad, high += pad;
  }
  const double raw = (high - low) / wanted, power = std::pow(10.0, std::floor(std::log10(raw)));
  const double step = raw <= 1.0001 * power ? power : raw <= 2.0001 * power ? 2 * power : raw <= 5.0001 * power ? 5 * power : 10 * power;
  return {std::floor(low / step + 1e-9) * step, std::ceil(high / step - 1e-9) * step, step};
}

/// Lowest and highest of the finite values seen.
struct Extent {
  double low = INFINITY, high = -INFINITY;

  void add(double v) {
    if (std::isfinite(v)) low = std::min(low, v), high = std::max(high, v);
  }
  bool empty() const { return low > high; }
};

/// The rectangle of a plot and the values along its sides.
struct Frame {
  double left, top, width, height;
  Axis across, up;

  double right() const { return left + width; }
  double bottom() const { return top + height; }
  double x(double v) const { return left + width * across.part(v); }
  double y(double v) const { return bottom() - height * up.part(v); }
};

/// Room that tick labels of a vertical axis take.
inline double tick_room(const Axis& axis) {
  double room = 0;
  for (int i = 0; i < axis.ticks(); ++i) room = std::max(room, text_width(axis.tick_label(i), 12));
  return room;
}

/// Draws the vertical axis, its grid and its label (a rotated line at most as long as the axis).
inline void draw_vertical_axis(Svg& svg, const Frame& f, std::string_view label) {
  for (int i = 0; i < f.up.ticks(); ++i) {
    const double y = f.y(f.up.tick(i));
    svg.line(f.left, y, f.right(), y, "grid");
    svg.line(f.left - 4, y, f.left, y, "axis");
    svg.text(f.left - 7, y + 4, f.up.tick_label(i), "", Anchor::end);
  }
  svg.line(f.left, f.top, f.left, f.bottom(), "axis");
  const auto lines = wrapped(label, f.height, 12);
  double x = f.left - tick_room(f.up) - 16 - 15 * (static_cast<double>(lines.size()) - 1);
  for (const auto& text : lines) svg.text(x, f.top + f.height / 2, text, "", Anchor::middle, -90), x += 15;
}
/// What draw_vertical_axis needs on the left of the frame.
inline double vertical_axis_room(const Axis& up, double height, std::string_view label) {
  return tick_room(up) + 16 + 15 * static_cast<double>(wrapped(label, height, 12).size());
}

/// Draws the horizontal axis with ticks and its label, within 40 below the frame.
inline void draw_horizontal_axis(Svg& svg, const Frame& f, std::string_view label) {
  for (int i = 0; i < f.across.ticks(); ++i) {
    const double x = f.x(f.across.tick(i));
    svg.line(x, f.top, x, f.bottom(), "grid");
    svg.line(x, f.bottom(), x, f.bottom() + 4, "axis");
    svg.text(x, f.bottom() + 17, f.across.tick_label(i), "", Anchor::middle);
  }
  svg.line(f.left, f.bottom(), f.right(), f.bottom(), "axis");
  svg.text(f.left + f.width / 2, f.bottom() + 36, shortened(label, f.width + 40, 12), "", Anchor::middle);
}

/// A row of labelled samples in the style of each series, from (x, y) to the right; returns where it ends.
inline double draw_legend(Svg& svg, double x, double y, const std::vector<std::string>& names, bool markers) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    const int style = static_cast<int>(i) % series_styles;
    const std::string fill = concat("s", style), hatch = concat("h", style);
    if (markers) {
      svg.marker(x + 6, y - 4, 5, style, fill);
    } else {
      svg.rect(x, y - 10, 14, 12, fill);
      if (style > 0) svg.rect(x, y - 10, 14, 12, hatch);
    }
    svg.text(x + 19, y, names[i]);
    x += 34 + text_width(names[i], 12);
  }
  return x;
}

}  // namespace ventral::inline v0::report
