#pragma once
#include "ventral/report/trace.hpp"

namespace ventral::inline v0::report {

/// A model in a plane: its performance and its predictivity, say.
struct Point {
  std::string label;
  double x = 0, y = 0;
  std::string group = {};  ///< its marker; named in the legend
};

/// Points with their correlation, as Fig. 2a of Yamins & DiCarlo 2016.
struct Scatter {
  std::string title, x_label, y_label;
  std::vector<Point> points = {};
  bool line = true;  ///< draw the least-squares line
};

/// Pearson's r with its 95 % interval: tanh(atanh r +- 1.96 / sqrt(n - 3)). The interval is NaN below four pairs.
/// Source: Fisher 1921, Metron 1: 3-32.
struct CorrelationInterval {
  double r = NAN, lower = NAN, upper = NAN;
  Index pairs = 0;
};
/// Over the pairs that are both finite; NaN below two of them or where one side is constant. Throws ShapeError when the lengths differ.
inline CorrelationInterval correlation_interval(std::span<const double> x, std::span<const double> y) {
  require<ShapeError>(x.size() == y.size(), "correlation_interval: ", x.size(), " against ", y.size(), " values");
  const auto [r, pairs] = detail::paired_correlation(x, y);
  CorrelationInterval out{r, NAN, NAN, pairs};
  if (std::isnan(r) || pairs < 4) return out;
  const double z = std::atanh(r), half = 1.959963984540054 / std::sqrt(static_cast<double>(pairs - 3));
  out.lower = std::tanh(z - half), out.upper = std::tanh(z + half);
  return out;
}

namespace detail {

struct LabelBox {
  double left, top, right, bottom;
  bool meets(const LabelBox& o) const { return left < o.right && o.left < right && top < o.bottom && o.top < bottom; }
};

/// Sets the label of each point beside it where it meets no point, label or edge; labels that find no place are left to the table. Returns how many
/// those are.
inline Index draw_point_labels(Svg& svg, const Frame& f, const std::vector<Point>& points) {
  std::vector<LabelBox> taken;
  for (const Point& p : points)
    if (std::isfinite(p.x) && std::isfinite(p.y)) taken.push_back({f.x(p.x) - 6, f.y(p.y) - 6, f.x(p.x) + 6, f.y(p.y) + 6});
  Index left_out = 0;
  for (const Point& p : points) {
    if (p.label.empty() || !std::isfinite(p.x) || !std::isfinite(p.y)) continue;
    const double x = f.x(p.x), y = f.y(p.y), w = text_width(p.label, 11);
    bool placed = false;
    for (int i = 0; i < 24 && !placed; ++i) {
      constexpr int across[] = {1, -1, 0, 0, 1, 1, -1, -1}, down[] = {0, 0, -1, 1, -1, 1, -1, 1};
      const int side = across[i % 8], ring = i / 8;  // beside the point, else further off with a line
      const double reach = 8.0 + 11 * ring, dx = side * reach, dy = down[i % 8] * (reach + 2);
      const double at = x + dx - (side > 0 ? 0 : side < 0 ? w : w / 2), base = y + dy + 4;
      const LabelBox box{at, base - 10, at + w, base + 3};
      if (box.left < f.left + 2 || box.right > f.right() + 4 || box.top < f.top - 4 || box.bottom > f.bottom()) continue;
      if (std::any_of(taken.begin(), taken.end(), [&](const LabelBox& o) { return box.meets(o); })) continue;
      if (ring > 0) svg.line(x + 0.5 * dx, y + 0.5 * dy, x + 0.95 * dx, y + 0.9 * dy, "rule");
      svg.text(x + dx, base, p.label, "small halo", side > 0 ? Anchor::start : side < 0 ? Anchor::end : Anchor::middle);
      taken.push_back(box);
      placed = true;
    }
    left_out += !placed;
  }
  return left_out;
}

/// The least-squares line over the points, cut to the frame.
inline void draw_fitted_line(Svg& svg, const Frame& f, std::span<const double> x, std::span<const double> y) {
  double n = 0, mx = 0, my = 0, xx = 0, xy = 0;
  Extent range;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i]) || !std::isfinite(y[i])) continue;
    const double dx = x[i] - mx;
    ++n, mx += dx / n, my += (y[i] - my) / n, xx += dx * (x[i] - mx), xy += dx * (y[i] - my);
    range.add(x[i]);
  }
  if (n < 2 || !(xx > 0)) return;
  const double slope = xy / xx, low = f.up.low, high = f.up.high;
  const auto at = [&](double v) { return my + slope * (v - mx); };
  double from = range.low, to = range.high;
  if (slope != 0) {
    const double a = mx + (low - my) / slope, b = mx + (high - my) / slope;
    from = std::max(from, std::min(a, b)), to = std::min(to, std::max(a, b));
  }
  if (from < to) svg.line(f.x(from), f.y(at(from)), f.x(to), f.y(at(to)), "fit");
}

}  // namespace detail

/// Draws points with a marker for each group, r with its 95 % interval (Fisher z; fewer than ten points are noted), and the least-squares line.
/// Points with a value that is not finite are counted, not drawn. Labels that would cover another are left to the table.
inline Figure draw(const Scatter& s) {
  Table numbers({"label", "group", s.x_label.empty() ? "x" : s.x_label, s.y_label.empty() ? "y" : s.y_label});
  std::vector<std::string> groups;
  std::vector<double> x, y;
  Extent across, up;
  Index missing = 0;
  for (const Point& p : s.points) {
    numbers.add({p.label, p.group, p.x, p.y});
    x.push_back(p.x), y.push_back(p.y);
    if (std::find(groups.begin(), groups.end(), p.group) == groups.end()) groups.push_back(p.group);
    if (std::isfinite(p.x) && std::isfinite(p.y)) across.add(p.x), up.add(p.y);
    else ++missing;
  }
  if (across.empty()) return detail::empty_figure(s.title, s.points.empty() ? "no points" : "all points are undefined", std::move(numbers));

  const auto padded = [](Extent e) {
    const double pad = 0.04 * (e.high - e.low);
    return nice_axis(e.low - pad, e.high + pad);
  };
  constexpr double width = 420, height = 320;
  Frame f{0, 0, width, height, padded(across), padded(up)};
  f.left = vertical_axis_room(f.up, height, s.y_label) + 6;
  const bool legend = groups.size() > 1 || !groups[0].empty();
  double legend_width = 0;
  for (const auto& g : groups) legend_width += 34 + text_width(g, 12);
  const double whole = std::max(f.left + width + 24, legend ? f.left + legend_width : 0), title = detail::title_height(whole - 12, s.title);
  f.top = title + (legend ? 46 : 24);
  Svg svg(whole, f.bottom() + 46, s.title + ": " + s.y_label + " against " + s.x_label);
  detail::draw_title(svg, 4, whole - 12, s.title);
  if (legend) draw_legend(svg, f.left, title + 12, groups, true);
  draw_vertical_axis(svg, f, s.y_label);
  draw_horizontal_axis(svg, f, s.x_label);
  if (s.line) detail::draw_fitted_line(svg, f, x, y);
  for (const Point& p : s.points) {
    if (!std::isfinite(p.x) || !std::isfinite(p.y)) continue;
    const int style = static_cast<int>(std::find(groups.begin(), groups.end(), p.group) - groups.begin()) % series_styles;
    svg.marker(f.x(p.x), f.y(p.y), 5, style, concat("mark s", style), concat(p.label, p.label.empty() ? "" : ": ", number(p.x), ", ", number(p.y)));
  }
  const Index unlabelled = detail::draw_point_labels(svg, f, s.points);
  const CorrelationInterval c = correlation_interval(x, y);
  const std::string interval = std::isnan(c.lower) ? "" : concat("  [", number(c.lower), ", ", number(c.upper), "]");
  svg.text(f.right(), f.top - 8, concat("r = ", number(c.r), interval, ", n = ", c.pairs), "", Anchor::end);

  Figure figure{s.title, svg.str(), concat("Pearson r = ", number(c.r)), std::move(numbers), {}};
  if (!std::isnan(c.lower)) figure.note += concat(", 95 % interval ", number(c.lower), " to ", number(c.upper), " (Fisher z)");
  figure.note += concat(", n = ", c.pairs,
                        c.pairs < 4    ? ": too few for an interval. "
                        : c.pairs < 10 ? ": few points, a wide and approximate interval. "
                                       : ". ");
  if (missing) figure.note += concat(missing, " of ", s.points.size(), " points are undefined and not drawn. ");
  if (unlabelled) figure.note += concat(unlabelled, " labels found no place; the table names all points. ");
  return figure;
}

}  // namespace ventral::inline v0::report
