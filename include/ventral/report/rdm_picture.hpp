#pragma once
#include "ventral/brain/rdm.hpp"
#include "ventral/io/npy.hpp"
#include "ventral/report/png.hpp"
#include "ventral/report/svg.hpp"

namespace ventral::inline v0::report {

/// Conditions [first, last) that belong together.
struct Block {
  std::string label;
  Index first = 0, last = 0;
};

/// An RDM to draw, e.g. `draw(RdmPicture{.title = "human IT", .rdm = it, .blocks = {{"animate", 0, 48}, {"inanimate", 48, 92}}})`.
struct RdmPicture {
  std::string title;
  brain::Rdm rdm = {};
  std::vector<Block> blocks = {};
  std::vector<std::string> conditions = {};  ///< names, in the CSV file; may be empty
};

/// Where each value stands among the others, in percent: 100 (rank - 1) / (n - 1), equal values sharing the mean of their ranks; 50 for a single one.
/// NaN stays NaN and does not count. O(n log n).
/// Source: Kriegeskorte, Mur, Bandettini 2008, Front Syst Neurosci 2:4 (RDMs shown in percentiles of dissimilarity).
inline std::vector<double> rank_percentiles(std::span<const double> values) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isnan(values[i])) order.push_back(i);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] != values[b] ? values[a] < values[b] : a < b; });
  std::vector<double> out(values.size(), brain::undefined);
  for (std::size_t first = 0, last; first < order.size(); first = last) {
    for (last = first + 1; last < order.size() && values[order[last]] == values[order[first]];) ++last;
    const double rank = 0.5 * static_cast<double>(first + last - 1), most = static_cast<double>(order.size() - 1);
    for (std::size_t i = first; i < last; ++i) out[order[i]] = most > 0 ? 100 * rank / most : 50;
  }
  return out;
}

namespace detail {

constexpr int rdm_colours = 255;  // and one transparent, under which the hatch for undefined pairs shows

inline std::vector<std::array<std::uint8_t, 3>> rdm_palette() {
  std::vector<std::array<std::uint8_t, 3>> palette;
  for (int i = 0; i < rdm_colours; ++i) palette.push_back(colour_of(i / (rdm_colours - 1.0)));
  palette.push_back({255, 255, 255});
  return palette;
}

/// The full matrix of percentiles as a PNG of at most `most` pixels a side, each the mean of the pairs in it.
inline Bytes rdm_png(const brain::Rdm& percentiles, Index most) {
  const Index n = percentiles.conditions(), pool = (n + most - 1) / most, side = (n + pool - 1) / pool;
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(side * side));
  for (Index a = 0; a < side; ++a)
    for (Index b = a; b < side; ++b) {
      double sum = 0;
      Index count = 0;
      for (Index i = a * pool; i < std::min(n, (a + 1) * pool); ++i)
        for (Index j = b * pool; j < std::min(n, (b + 1) * pool); ++j)
          if (const double v = percentiles(i, j); !std::isnan(v)) sum += v, ++count;
      const auto level = count ? std::lround(sum / static_cast<double>(count) / 100 * (rdm_colours - 1)) : long{rdm_colours};
      pixels[static_cast<std::size_t>(a * side + b)] = pixels[static_cast<std::size_t>(b * side + a)] = static_cast<std::uint8_t>(level);
    }
  return encode_palette_png(pixels, static_cast<std::uint32_t>(side), static_cast<std::uint32_t>(side), rdm_palette());
}

/// Brackets and names of the blocks to the left and brackets above the square; lines between blocks in it. Close labels are moved apart.
inline void draw_blocks(Svg& svg, const RdmPicture& p, double x, double y, double size) {
  const double scale = size / static_cast<double>(p.rdm.conditions());
  std::vector<const Block*> blocks;
  for (const Block& b : p.blocks) blocks.push_back(&b);
  std::sort(blocks.begin(), blocks.end(), [](const Block* a, const Block* b) { return a->first < b->first; });
  std::vector<double> at;
  for (const Block* b : blocks) {
    const double middle = y + 0.5 * scale * static_cast<double>(b->first + b->last);
    at.push_back(at.empty() ? middle : std::max(middle, at.back() + 13));
  }
  for (std::size_t i = at.size(), limit = 0; i-- > 0; ++limit) at[i] = std::min(at[i], y + size - 13 * static_cast<double>(limit));
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const double first = scale * static_cast<double>(blocks[i]->first), last = scale * static_cast<double>(blocks[i]->last),
                 middle = y + (first + last) / 2;
    const auto c = [](double v) { return coordinate(v); };
    const double gap = std::min(1.0, (last - first) / 4);
    svg.path(concat("M", c(x - 4), " ", c(y + first + gap), "H", c(x - 8), "V", c(y + last - gap), "H", c(x - 4), "M", c(x - 8), " ", c(middle), "L",
                    c(x - 14), " ", c(at[i])),
             "axis");
    svg.path(concat("M", c(x + first + gap), " ", c(y - 4), "V", c(y - 8), "H", c(x + last - gap), "V", c(y - 4)), "axis");
    svg.text(x - 17, at[i] + 4, blocks[i]->label, "small", Anchor::end);
    if (blocks[i]->last < p.rdm.conditions()) {
      svg.line(x, y + last, x + size, y + last, "split");
      svg.line(x + last, y, x + last, y + size, "split");
    }
  }
}

/// The colour scale with its ends named, and a sample of the hatch when pairs are undefined.
inline void draw_rdm_legend(Svg& svg, double x, double y, double size, Index undefined) {
  std::vector<std::uint8_t> ramp(rdm_colours);
  for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<std::uint8_t>(i);
  const double width = undefined ? size * 0.58 : size;
  svg.image(x, y, width, 10, encode_palette_png(ramp, rdm_colours, 1, rdm_palette()));
  svg.rect(x, y, width, 10, "outline");
  svg.text(x, y + 24, "0", "small");
  svg.text(x + width / 2, y + 24, undefined ? "percentile" : "percentile of dissimilarity", "small", Anchor::middle);
  svg.text(x + width, y + 24, "100", "small", Anchor::end);
  if (undefined == 0) return;
  svg.rect(x + width + 16, y, 18, 10, "missing");
  svg.rect(x + width + 16, y, 18, 10, "outline");
  svg.text(x + width + 39, y + 9, "undefined", "small");
}

inline std::string rdm_csv(const RdmPicture& p, const brain::Rdm& percentiles) {
  std::string out = "first,second,dissimilarity,percentile\n";
  const Index n = p.rdm.conditions();
  const auto name = [&](Index i) { return p.conditions.empty() ? std::to_string(i) : csv_field(p.conditions[static_cast<std::size_t>(i)]); };
  for (Index i = 0; i < n; ++i)
    for (Index j = i + 1; j < n; ++j) out += name(i) + "," + name(j) + "," + exact_number(p.rdm(i, j)) + "," + exact_number(percentiles(i, j)) + "\n";
  return out;
}

}  // namespace detail

/// Draws an RDM in rank percentiles, with brackets, names and lines of its blocks. One pixel for each pair, in a PNG inside the SVG, for at most 1000
/// conditions (1.4 MB); beyond, pixels are means of neighbouring pairs, and the note says so. Undefined pairs are hatched and counted. The diagonal
/// has the lowest colour. Attached: rdm.npy [n (n - 1) / 2], the dissimilarities, and for at most 300 conditions rdm.csv, every pair with its
/// percentile. Throws ShapeError when names are not one for each condition, Error on a block that is not within the conditions.
inline Figure draw(const RdmPicture& p) {
  const Index n = p.rdm.conditions();
  if (n == 0) return detail::empty_figure(p.title, "no conditions");
  require<ShapeError>(p.conditions.empty() || static_cast<Index>(p.conditions.size()) == n, "RdmPicture: ", p.conditions.size(), " names for ", n,
                      " conditions");
  double room = 12;
  for (const Block& b : p.blocks) {
    require(0 <= b.first && b.first < b.last && b.last <= n, "RdmPicture: block '", b.label, "' of conditions ", b.first, " to ", b.last,
            "; there are ", n);
    room = std::max(room, text_width(b.label, 11) + 22);
  }
  const brain::Rdm percentiles(rank_percentiles(p.rdm.values()));
  const Index undefined = std::count_if(p.rdm.values().begin(), p.rdm.values().end(), [](double v) { return std::isnan(v); });

  constexpr double size = 320;
  constexpr Index most = 1000;
  const double top = detail::title_height(size + room, p.title) + 12;
  Svg svg(room + size + 12, top + size + 42, p.title + ": representational dissimilarity matrix of " + std::to_string(n) + " conditions");
  detail::draw_title(svg, 4, size + room, p.title);
  svg.rect(room, top, size, size, "missing");
  svg.image(room, top, size, size, detail::rdm_png(percentiles, most));
  detail::draw_blocks(svg, p, room, top, size);
  svg.rect(room, top, size, size, "outline");
  detail::draw_rdm_legend(svg, room, top + size + 10, size, undefined);

  Figure figure{p.title, svg.str(), {}, {}, {}};
  if (undefined) figure.note += concat(undefined, " of ", p.rdm.pairs(), " pairs are undefined (hatched). ");
  if (n > most) figure.note += concat("Each pixel is the mean of ", (n + most - 1) / most, " x ", (n + most - 1) / most, " pairs. ");
  Tensor<double> values({p.rdm.pairs()});
  std::copy(p.rdm.values().begin(), p.rdm.values().end(), values.begin());
  figure.attachments.push_back({"rdm.npy", encode_npy<double>(values)});
  if (n <= 300) {
    Bytes csv;
    ventral::detail::append_text(csv, detail::rdm_csv(p, percentiles));
    figure.attachments.push_back({"rdm.csv", std::move(csv)});
  }
  return figure;
}

}  // namespace ventral::inline v0::report
