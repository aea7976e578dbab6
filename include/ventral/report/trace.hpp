#pragma once
#include "ventral/report/axes.hpp"

namespace ventral::inline v0::report {

namespace detail {

/// Pearson's r over the pairs that are both finite, and their number; NaN below two pairs or where one side is constant.
struct PairedCorrelation {
  double r = NAN;
  Index pairs = 0;
};
inline PairedCorrelation paired_correlation(std::span<const double> x, std::span<const double> y) {
  PairedCorrelation out;
  double mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0;  // Welford's update: no cancellation
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i]) || !std::isfinite(y[i])) continue;
    const double n = static_cast<double>(++out.pairs), dx = x[i] - mean_x, dy = y[i] - mean_y;
    mean_x += dx / n, mean_y += dy / n;
    xx += dx * (x[i] - mean_x), yy += dy * (y[i] - mean_y), xy += dx * (y[i] - mean_y);
  }
  if (out.pairs >= 2 && xx > 0 && yy > 0) out.r = std::clamp(xy / std::sqrt(xx) / std::sqrt(yy), -1.0, 1.0);
  return out;
}

}  // namespace detail

/// Measured and predicted responses of one site to the stimuli, as Fig. 2b of Yamins & DiCarlo 2016.
struct Trace {
  std::string title;
  std::string y_label = "response";
  std::vector<double> actual = {}, predicted = {};  ///< one for each stimulus
  std::vector<std::string> categories = {};         ///< of each stimulus; may be empty
};

/// Draws both over the stimuli, which are gathered by category (in order of first appearance, stimuli of one in their order); gaps where a value is
/// NaN. Pearson's r over the stimuli with both values stands in the corner. Throws ShapeError when the numbers of stimuli differ.
inline Figure draw(const Trace& t) {
  const std::size_t n = t.actual.size();
  require<ShapeError>(t.predicted.size() == n && (t.categories.empty() || t.categories.size() == n), "Trace: ", n, " actual and ", t.predicted.size(),
                      " predicted responses, ", t.categories.size(), " categories; as many of each expected");
  if (n == 0) return detail::empty_figure(t.title, "no stimuli");

  struct Part {
    std::string name;
    std::vector<std::size_t> stimuli;
  };
  std::vector<Part> parts;
  for (std::size_t i = 0; i < n; ++i) {
    const std::string name = t.categories.empty() ? "" : t.categories[i];
    auto part = std::find_if(parts.begin(), parts.end(), [&](const Part& p) { return p.name == name; });
    if (part == parts.end()) part = parts.insert(parts.end(), {name, {}});
    part->stimuli.push_back(i);
  }

  Extent extent;
  for (std::size_t i = 0; i < n; ++i) extent.add(t.actual[i]), extent.add(t.predicted[i]);
  if (extent.empty()) extent.add(0);
  constexpr double height = 200;
  Frame f{0, 0, 640, height, {-0.5, static_cast<double>(n) - 0.5, 1}, nice_axis(extent.low, extent.high, 4)};
  f.left = vertical_axis_room(f.up, height, t.y_label) + 6;
  bool turned = false;
  double label_room = 0;
  const bool dense = n > 200;  // dashes would be mistaken for the shape of the trace
  for (const Part& p : parts) {
    const double width = text_width(p.name, 12);
    turned |= width > f.width * static_cast<double>(p.stimuli.size()) / static_cast<double>(n) - 4;
    label_room = std::max(label_room, std::min(width, 150.0) * 0.7071);
  }
  if (turned) f.left = std::max(f.left, label_room);
  const double title = detail::title_height(f.left + f.width, t.title);
  f.top = title + 20;
  Svg svg(f.left + f.width + 10, f.bottom() + (turned ? label_room + 18 : 24) + 20, t.title + ": actual and predicted responses");
  detail::draw_title(svg, 4, f.left + f.width, t.title);
  draw_vertical_axis(svg, f, t.y_label);

  Table numbers({"stimulus", "category", "actual", "predicted"});
  std::string actual, predicted;
  bool actual_open = false, predicted_open = false;
  std::size_t place = 0;
  for (std::size_t k = 0; k < parts.size(); ++k) {
    const double from = f.x(static_cast<double>(place) - 0.5);
    for (const std::size_t i : parts[k].stimuli) {
      const auto extend = [&](std::string& path, bool& open, double v) {
        if (std::isfinite(v))
          path += concat(open ? "L" : "M", coordinate(f.x(static_cast<double>(place))), " ", coordinate(f.y(v)), open ? "" : "h.01");
        open = std::isfinite(v);
      };
      extend(actual, actual_open, t.actual[i]), extend(predicted, predicted_open, t.predicted[i]);
      numbers.add({i, parts[k].name, t.actual[i], t.predicted[i]});
      ++place;
    }
    actual_open = predicted_open = false;  // no line from one category to the next
    const double to = f.x(static_cast<double>(place) - 0.5), middle = (from + to) / 2;
    if (k > 0) svg.line(from, f.top, from, f.bottom(), "rule");
    if (turned) svg.text(middle + 4, f.bottom() + 14, shortened(parts[k].name, 150, 12), "", Anchor::end, -45);
    else svg.text(middle, f.bottom() + 17, parts[k].name, "", Anchor::middle);
  }
  svg.line(f.left, f.bottom(), f.right(), f.bottom(), "axis");
  svg.path(actual, "actual");
  svg.path(predicted, dense ? "predicted" : "predicted dashed");

  const auto [r, pairs] = detail::paired_correlation(t.actual, t.predicted);
  svg.line(f.left, title + 6, f.left + 24, title + 6, "actual");
  svg.text(f.left + 30, title + 10, "actual");
  svg.line(f.left + 84, title + 6, f.left + 108, title + 6, dense ? "predicted" : "predicted dashed");
  svg.text(f.left + 114, title + 10, "predicted");
  svg.text(f.right(), title + 10, "r = " + number(r), "", Anchor::end);
  svg.text(f.left + f.width / 2, f.bottom() + (turned ? label_room + 18 : 24) + 14,
           concat(n, n == 1 ? " stimulus" : " stimuli", t.categories.empty() ? "" : ", by category"), "soft", Anchor::middle);

  Figure figure{t.title, svg.str(), concat("Pearson r = ", number(r), " over ", pairs, " stimuli. "), std::move(numbers), {}};
  if (pairs < static_cast<Index>(n)) figure.note += concat(static_cast<Index>(n) - pairs, " of ", n, " stimuli lack a value (gaps). ");
  return figure;
}

}  // namespace ventral::inline v0::report
