#pragma once
#include <algorithm>

#include "ventral/io/file.hpp"
#include "ventral/report/style.hpp"
#include "ventral/report/table.hpp"

namespace ventral::inline v0::report {

/// A coordinate in an SVG: at most two decimals, never NaN or infinite (those become 0), never beyond +-10^6.
inline std::string coordinate(double v) {
  if (!std::isfinite(v)) v = 0;
  std::string text = detail::to_text(std::clamp(v, -1e6, 1e6), std::chars_format::fixed, 2);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

enum class Anchor { start, middle, end };

/// Builds one SVG picture. Classes are those of figure_css; all text is escaped; a hint is shown when the reader points at the shape.
class Svg {
 public:
  /// `label` is read out by screen readers.
  Svg(double width, double height, std::string_view label) {
    // never smaller than text of about 8 pixels: a wide figure scrolls on a narrow screen
    out_ =
        concat("<svg class=\"figure\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ", coordinate(width), " ", coordinate(height), "\" width=\"",
               coordinate(width), "\" height=\"", coordinate(height), "\" style=\"max-width:100%;height:auto;min-width:", coordinate(0.66 * width),
               "px\" role=\"img\" aria-label=\"", escaped(label), "\">\n");
  }

  void rect(double x, double y, double w, double h, std::string_view classes, std::string_view hint = {}) {
    close(concat("<rect x=\"", coordinate(x), "\" y=\"", coordinate(y), "\" width=\"", coordinate(std::max(0.0, w)), "\" height=\"",
                 coordinate(std::max(0.0, h)), "\""),
          "rect", classes, hint);
  }
  void line(double x1, double y1, double x2, double y2, std::string_view classes) {
    close(concat("<line x1=\"", coordinate(x1), "\" y1=\"", coordinate(y1), "\" x2=\"", coordinate(x2), "\" y2=\"", coordinate(y2), "\""), "line",
          classes, {});
  }
  /// A path from the text of its `d`, made with coordinate().
  void path(std::string_view d, std::string_view classes, std::string_view hint = {}) { close(concat("<path d=\"", d, "\""), "path", classes, hint); }
  /// Text on the baseline y, turned by `degrees` about (x, y).
  void text(double x, double y, std::string_view content, std::string_view classes = {}, Anchor anchor = Anchor::start, double degrees = 0) {
    constexpr const char* names[] = {"start", "middle", "end"};
    std::string head = concat("<text x=\"", coordinate(x), "\" y=\"", coordinate(y), "\"");
    if (anchor != Anchor::start) head += concat(" text-anchor=\"", names[static_cast<int>(anchor)], "\"");
    if (degrees != 0) head += concat(" transform=\"rotate(", coordinate(degrees), " ", coordinate(x), " ", coordinate(y), ")\"");
    if (!classes.empty()) head += concat(" class=\"", classes, "\"");
    out_ += concat(head, ">", escaped(content), "</text>\n");
  }
  /// Lines of text below each other, the first on the baseline y.
  void lines(double x, double y, const std::vector<std::string>& content, std::string_view classes = {}, Anchor anchor = Anchor::start,
             double pitch = 14) {
    for (std::size_t i = 0; i < content.size(); ++i) text(x, y + pitch * static_cast<double>(i), content[i], classes, anchor);
  }
  /// The marker of a series (circle, square, triangle, diamond, cross, downward triangle), about 2 r across.
  void marker(double x, double y, double r, int series, std::string_view classes, std::string_view hint = {}) {
    const auto at = [&](double dx, double dy) { return coordinate(x + r * dx) + " " + coordinate(y + r * dy); };
    std::string d;
    switch (series % series_styles) {
      case 0:
        d = concat("M", at(-1, 0), "A", coordinate(r), " ", coordinate(r), " 0 1 0 ", at(1, 0), "A", coordinate(r), " ", coordinate(r), " 0 1 0 ",
                   at(-1, 0), "Z");
        break;
      case 1:
        d = concat("M", at(-0.9, -0.9), "L", at(0.9, -0.9), "L", at(0.9, 0.9), "L", at(-0.9, 0.9), "Z");
        break;
      case 2:
        d = concat("M", at(0, -1.2), "L", at(1.1, 0.85), "L", at(-1.1, 0.85), "Z");
        break;
      case 3:
        d = concat("M", at(0, -1.3), "L", at(1.3, 0), "L", at(0, 1.3), "L", at(-1.3, 0), "Z");
        break;
      case 4:
        d = concat("M", at(-0.4, -1.1), "L", at(0.4, -1.1), "L", at(0.4, -0.4), "L", at(1.1, -0.4), "L", at(1.1, 0.4), "L", at(0.4, 0.4), "L",
                   at(0.4, 1.1), "L");
        d += concat(at(-0.4, 1.1), "L", at(-0.4, 0.4), "L", at(-1.1, 0.4), "L", at(-1.1, -0.4), "L", at(-0.4, -0.4), "Z");
        break;
      default:
        d = concat("M", at(0, 1.2), "L", at(1.1, -0.85), "L", at(-1.1, -0.85), "Z");
    }
    path(d, classes, hint);
  }
  /// A PNG picture over a rectangle, its pixels as sharp squares.
  void image(double x, double y, double w, double h, std::span<const std::uint8_t> png) {
    out_ += concat("<image x=\"", coordinate(x), "\" y=\"", coordinate(y), "\" width=\"", coordinate(w), "\" height=\"", coordinate(h),
                   "\" preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" href=\"data:image/png;base64,", base64(png), "\"/>\n");
  }

  /// The whole picture.
  std::string str() const { return out_ + "</svg>\n"; }

 private:
  void close(std::string head, std::string_view tag, std::string_view classes, std::string_view hint) {
    if (!classes.empty()) head += concat(" class=\"", classes, "\"");
    out_ += hint.empty() ? head + "/>\n" : concat(head, "><title>", escaped(hint), "</title></", tag, ">\n");
  }

  std::string out_;
};

/// A file that goes with a figure: `name` ends in its kind (rdm.npy).
struct Attachment {
  std::string name;
  Bytes bytes;
};

/// A picture with the numbers in it: what draw(...) makes and Page::add takes.
struct Figure {
  std::string title;
  std::string svg;
  std::string note;  ///< what the reader must know, below the caption: how many values are undefined, what is not drawn
  Table numbers;     ///< every number shown; may be empty where attachments hold them
  std::vector<Attachment> attachments;
};

namespace detail {

/// A picture that says why there is nothing to see.
inline Figure empty_figure(std::string_view title, std::string_view why, Table numbers = {}) {
  Svg svg(420, 90, title);
  svg.rect(0.5, 0.5, 419, 89, "rule");
  svg.text(210, 36, shortened(title, 400, 14), "title", Anchor::middle);
  svg.text(210, 62, why, "soft", Anchor::middle);
  return {std::string(title), svg.str(), {}, std::move(numbers), {}};
}

/// Draws a title in lines of at most `width` from (x, 18) down; returns the y below it.
inline double draw_title(Svg& svg, double x, double width, std::string_view title) {
  const auto lines = wrapped(title, width, 14.5);
  svg.lines(x, 18, lines, "title", Anchor::start, 18);
  return 10 + 18 * static_cast<double>(lines.size());
}
inline double title_height(double width, std::string_view title) { return 10 + 18 * static_cast<double>(wrapped(title, width, 14.5).size()); }

}  // namespace detail

/// Writes one figure as an SVG file that stands alone, with its colours and hatches, atomically.
inline void write_svg(const std::string& path, const Figure& figure) {
  const std::size_t inside = figure.svg.find(">\n");
  require(inside != figure.svg.npos, "report::write_svg: ", path, ": the figure was not made by draw()");
  const std::string text =
      concat(figure.svg.substr(0, inside + 2), "<style>", figure_css, "</style>\n", hatch_definitions, figure.svg.substr(inside + 2));
  write_file(path, ByteSpan(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

}  // namespace ventral::inline v0::report
