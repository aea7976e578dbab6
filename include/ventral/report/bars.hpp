#pragma once
#include "ventral/report/axes.hpp"

namespace ventral::inline v0::report {

/// One bar. Its whisker is [lower, upper] where these are given, else value +- error; NaN draws none.
struct Bar {
  std::string label;
  double value = 0;
  double error = NAN;               ///< s.e.m.
  double p = NAN;                   ///< shown as stars, n.s., or nothing for NaN
  bool control = false;             ///< grey and hatched
  std::string group = {};           ///< bars of one group follow each other: an area
  int series = 0;                   ///< position in BarChart::series: a model or training
  double lower = NAN, upper = NAN;  ///< interval
};

/// A horizontal band, of one group or (with an empty group) of all.
struct Band {
  double lower = NAN, upper = NAN;
  std::string label = "noise ceiling";
  std::string group = {};
};

/// Bars first and second (positions) compared, drawn as a line above when p < 0.05.
struct Comparison {
  std::size_t first = 0, second = 0;
  double p = NAN;
};

/// Bars with whiskers, significance marks and noise ceilings, as Fig. 2c and 2e of Yamins & DiCarlo 2016.
struct BarChart {
  std::string title, y_label;
  std::vector<Bar> bars = {};
  std::vector<Band> ceilings = {};
  std::vector<Comparison> comparisons = {};
  std::vector<std::string> series = {};  ///< names for a legend; empty: one series
  std::string error_label = "s.e.m.";    ///< what the whiskers are, for the note
};

namespace detail {

struct Whisker {
  double lower, upper;
  bool drawn() const { return std::isfinite(lower) && std::isfinite(upper); }
};
inline Whisker whisker_of(const Bar& b) {
  if (!std::isnan(b.lower) && !std::isnan(b.upper)) return {b.lower, b.upper};
  return {b.value - b.error, b.value + b.error};
}

/// Where the bars stand and how their labels are set.
struct BarLayout {
  double left = 0, top = 0, slot = 0, right_room = 0, bottom_room = 0;
  bool turned = false;
  std::vector<double> centre;
  std::vector<std::vector<std::string>> labels;
  struct Group {
    std::string name;
    double from, to;
  };
  std::vector<Group> groups;
  struct Line {
    double from, to, level;
    std::string mark;
  };
  std::vector<Line> lines;
  double levels = 0;
};

inline void place_bars(BarLayout& l, const BarChart& chart) {
  constexpr double longest = 200, turn = 0.7071;
  const std::size_t n = chart.bars.size();
  l.slot = std::clamp(620 / static_cast<double>(n), 34.0, 84.0);
  std::size_t most = 1;
  for (const Bar& b : chart.bars) {
    auto lines = wrapped(b.label, l.slot - 6, 12);
    for (const auto& line : lines) l.turned |= text_width(line, 12) > l.slot - 4;
    most = std::max(most, lines.size());
    l.labels.push_back(std::move(lines));
  }
  l.turned |= most > 3;
  l.bottom_room = 10 + 14 * static_cast<double>(most);
  double x = 0;
  if (l.turned) l.bottom_room = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const Bar& b = chart.bars[i];
    if (i > 0 && b.group != chart.bars[i - 1].group) x += 16;
    if (l.groups.empty() || l.groups.back().name != b.group) l.groups.push_back({b.group, x, x});
    l.groups.back().to = x + l.slot;
    l.centre.push_back(x + l.slot / 2);
    x += l.slot;
    if (!l.turned) continue;
    l.labels[i] = {shortened(b.label, longest, 12)};
    const double width = text_width(l.labels[i][0], 12) * turn;
    l.bottom_room = std::max(l.bottom_room, width + 22);
    l.left = std::max(l.left, width - l.centre[i] + 4);
  }
}

/// Gives each significant comparison the lowest level at which its line meets no other, short lines first.
inline void place_comparisons(BarLayout& l, const BarChart& chart) {
  std::vector<Comparison> drawn;
  for (const Comparison& c : chart.comparisons) {
    require(c.first < chart.bars.size() && c.second < chart.bars.size() && c.first != c.second, "BarChart: comparison of bars ", c.first, " and ",
            c.second, "; there are ", chart.bars.size(), ", from 0");
    if (c.p < 0.05) drawn.push_back({std::min(c.first, c.second), std::max(c.first, c.second), c.p});
  }
  std::sort(drawn.begin(), drawn.end(), [](const Comparison& a, const Comparison& b) {
    return a.second - a.first != b.second - b.first ? a.second - a.first < b.second - b.first : a.first < b.first;
  });
  for (const Comparison& c : drawn) {
    BarLayout::Line line{l.centre[c.first] + 3, l.centre[c.second] - 3, 0, stars(c.p)};
    const auto meets = [&](const BarLayout::Line& o) { return o.level == line.level && o.from < line.to && line.from < o.to; };
    while (std::any_of(l.lines.begin(), l.lines.end(), meets)) ++line.level;
    l.levels = std::max(l.levels, line.level + 1);
    l.lines.push_back(std::move(line));
  }
}

inline Table bar_table(const BarChart& chart) {
  Table t({"bar", "group", "series", "control", "value", "error", "lower", "upper", "P", "mark"});
  for (const Bar& b : chart.bars) {
    const Whisker w = whisker_of(b);
    const auto s = static_cast<std::size_t>(std::max(0, b.series));
    t.add({b.label, b.group, s < chart.series.size() ? chart.series[s] : "", b.control ? "yes" : "no", b.value, b.error, w.lower, w.upper, b.p,
           stars(b.p)});
  }
  for (const Band& c : chart.ceilings) t.add({c.label, c.group, "", "", NAN, NAN, c.lower, c.upper, NAN, ""});
  for (const Comparison& c : chart.comparisons)
    t.add({chart.bars[c.first].label + " against " + chart.bars[c.second].label, "", "", "", chart.bars[c.first].value - chart.bars[c.second].value,
           NAN, NAN, NAN, c.p, stars(c.p)});
  return t;
}

inline void draw_bar(Svg& svg, const Frame& f, const Bar& b, double x, double width) {
  const double zero = f.y(0);
  const std::string hint =
      concat(b.label, ": ", number(b.value), std::isnan(b.error) ? "" : " +- " + number(b.error), std::isnan(b.p) ? "" : ", " + p_value(b.p));
  if (!std::isfinite(b.value)) return svg.text(x + 4, zero - 6, number(b.value), "small soft", Anchor::start, -90);
  const double y = f.y(b.value), top = std::min(y, zero), height = std::max(0.8, std::abs(y - zero));
  const int style = std::max(0, b.series) % series_styles;
  svg.rect(x - width / 2, top, width, height, b.control ? "control" : concat("s", style), hint);
  if (b.control || style > 0) svg.rect(x - width / 2, top, width, height, b.control ? "hc" : concat("h", style), hint);
  const Whisker w = whisker_of(b);
  double above = top, below = top + height;
  if (w.drawn()) {
    const double low = f.y(w.lower), high = f.y(w.upper);
    svg.path(concat("M", coordinate(x), " ", coordinate(low), "V", coordinate(high), "M", coordinate(x - 4), " ", coordinate(low), "h8M",
                    coordinate(x - 4), " ", coordinate(high), "h8"),
             "whisker");
    above = std::min(above, high), below = std::max(below, low);
  }
  const std::string mark = stars(b.p);
  const double drop = mark[0] == '*' ? 2 : -3;  // asterisks hang high above the baseline
  if (!mark.empty()) svg.text(x, b.value < 0 ? below + 13 : above + drop - 1, mark, mark[0] == '*' ? "halo" : "halo small", Anchor::middle);
}

inline void draw_bands(Svg& svg, const Frame& f, const BarLayout& l, const BarChart& chart, bool labels) {
  for (const Band& band : chart.ceilings) {
    if (!std::isfinite(band.lower) || !std::isfinite(band.upper)) continue;
    double from = f.left, to = f.right();
    for (const auto& g : l.groups)
      if (!band.group.empty() && g.name == band.group) from = f.left + g.from, to = f.left + g.to;
    const double high = f.y(std::max(band.lower, band.upper)), low = f.y(std::min(band.lower, band.upper));
    const std::string range = number(band.lower) + " \xE2\x80\x93 " + number(band.upper);
    if (!labels) {
      svg.rect(from, high, to - from, std::max(1.0, low - high), "band", band.label + " " + range);
      svg.line(from, high, to, high, "edge");
      svg.line(from, low, to, low, "edge");
    } else if (band.group.empty()) {
      auto text = wrapped(band.label, l.right_room - 12, 11);
      text.push_back(range);
      svg.lines(f.right() + 8, std::clamp((high + low) / 2 + 4 - 6.5 * static_cast<double>(text.size() - 1), f.top + 8, f.bottom()), text,
                "small soft", Anchor::start, 13);
    } else {
      svg.text((from + to) / 2, f.top - 18, shortened(band.label, to - from + 8, 11), "small soft", Anchor::middle);
      svg.text((from + to) / 2, f.top - 5, range, "small soft", Anchor::middle);
    }
  }
}

/// Names of bars below the frame, and of groups under a line.
inline void draw_bar_labels(Svg& svg, const Frame& f, const BarLayout& l) {
  for (std::size_t i = 0; i < l.centre.size(); ++i) {
    const double x = f.left + l.centre[i];
    if (l.turned) svg.text(x + 4, f.bottom() + 16, l.labels[i][0], "", Anchor::end, -45);
    else svg.lines(x, f.bottom() + 17, l.labels[i], "", Anchor::middle);
  }
  for (const auto& g : l.groups) {
    if (g.name.empty()) continue;
    const double y = f.bottom() + l.bottom_room + 2;
    svg.line(f.left + g.from + 5, y, f.left + g.to - 5, y, "axis");
    svg.text(f.left + (g.from + g.to) / 2, y + 16, shortened(g.name, g.to - g.from + 14, 12.5), "title", Anchor::middle);
  }
}

}  // namespace detail

/// Draws bars with whiskers, stars (* P < 0.05, ** 0.01, *** 0.001, **** 0.0001, else n.s.), noise ceilings and lines between bars that differ.
/// Long labels are wrapped or turned, a value that is not finite is written out in the place of its bar. Throws Error on a comparison of bars that do
/// not exist.
inline Figure draw(const BarChart& chart) {
  if (chart.bars.empty()) return detail::empty_figure(chart.title, "no bars");
  detail::BarLayout l;
  detail::place_bars(l, chart);
  detail::place_comparisons(l, chart);

  Extent extent;
  extent.add(0);
  bool whiskers = false, marks = false, grouped_bands = false, groups = false;
  for (const Bar& b : chart.bars) {
    const detail::Whisker w = detail::whisker_of(b);
    extent.add(b.value);
    if (w.drawn()) extent.add(w.lower), extent.add(w.upper), whiskers = true;
    marks |= !std::isnan(b.p);
    groups |= !b.group.empty();
  }
  for (const Band& c : chart.ceilings) {
    extent.add(c.lower), extent.add(c.upper);
    if (!c.group.empty()) grouped_bands = true;
    else l.right_room = 92;
  }
  const double head = (marks ? 0.06 : 0.0) * (extent.high - extent.low);
  if (extent.high > 0) extent.high += head;
  if (extent.low < 0) extent.low -= head;

  constexpr double height = 240;
  Frame f{0, 0, l.centre.back() + l.slot / 2, height, {}, nice_axis(extent.low, extent.high, 6)};
  if (extent.low < 0) f.up.low = std::max(f.up.low, extent.low - 0.02 * (extent.high - extent.low));  // no empty room for a whisker just below 0
  f.left = std::max(l.left, vertical_axis_room(f.up, height, chart.y_label)) + 6;
  l.right_room = std::max(l.right_room, 10.0);
  double legend = 0;
  for (const auto& s : chart.series) legend += 34 + text_width(s, 12);
  const double width = std::max({f.left + f.width + l.right_room, f.left + legend, std::min(420.0, text_width(chart.title, 14.5) + 12)});
  const double title = detail::title_height(width - 12, chart.title), legend_room = chart.series.empty() ? 0 : 24;
  f.top = title + legend_room + 13 * l.levels + (grouped_bands ? 32 : 8) + (l.levels > 0 ? 8 : 0);

  Svg svg(width, f.bottom() + l.bottom_room + (groups ? 26 : 4), chart.title + ": bar chart of " + chart.y_label);
  detail::draw_title(svg, 4, width - 12, chart.title);
  draw_legend(svg, f.left, title + 12, chart.series, false);
  draw_vertical_axis(svg, f, chart.y_label);
  detail::draw_bands(svg, f, l, chart, false);
  svg.line(f.left, f.y(0), f.right(), f.y(0), "axis");
  for (std::size_t i = 0; i < chart.bars.size(); ++i) detail::draw_bar(svg, f, chart.bars[i], f.left + l.centre[i], std::min(46.0, 0.66 * l.slot));
  detail::draw_bands(svg, f, l, chart, true);
  for (const auto& line : l.lines) {
    const double y = f.top - (grouped_bands ? 32 : 8) - 13 * line.level;
    svg.path(concat("M", coordinate(f.left + line.from), " ", coordinate(y + 4), "V", coordinate(y), "H", coordinate(f.left + line.to), "V",
                    coordinate(y + 4)),
             "axis");
    svg.text(f.left + (line.from + line.to) / 2, y + 1, line.mark, "halo", Anchor::middle);
  }
  detail::draw_bar_labels(svg, f, l);

  Figure figure{chart.title, svg.str(), {}, detail::bar_table(chart), {}};
  if (whiskers) figure.note += "Whiskers: " + chart.error_label + (chart.error_label.ends_with('.') ? " " : ". ");
  if (marks || !chart.comparisons.empty()) figure.note += "* P < 0.05, ** P < 0.01, *** P < 0.001, **** P < 0.0001, n.s. not significant. ";
  if (l.lines.size() < chart.comparisons.size()) figure.note += "Comparisons without a line have P >= 0.05 or are undefined. ";
  if (std::any_of(chart.bars.begin(), chart.bars.end(), [](const Bar& b) { return b.control; })) figure.note += "Grey, hatched: controls. ";
  return figure;
}

}  // namespace ventral::inline v0::report
