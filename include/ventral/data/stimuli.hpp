#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "ventral/cpu/parallel.hpp"
#include "ventral/data/dataset.hpp"
#include "ventral/io/resize.hpp"
#include "ventral/window.hpp"

namespace ventral::inline v0 {

/// What prepare_stimuli does, in this order.
struct StimulusOptions {
  Index channels = 0;  ///< 1: colour becomes grey, 0.299 R + 0.587 G + 0.114 B (ITU-R Rec. 601); 3: grey becomes three equal channels; 0: as they are
  Pair size = 0;       ///< height and width to resize to, as resize() does (area averages where it shrinks) but not rounded; 0: as they are
  bool keep_aspect = true;  ///< fit the image into `size` and fill the rest, the image in the middle, with the background; false: stretch it
  Padding padding = 0;      ///< pixels of background added around
  double background = 0.5;  ///< grey level, 0 black to 1 white
  bool each = false;        ///< normalize each image by its own mean and standard deviation over all its pixels and channels; a uniform one becomes 0
  std::vector<double> mean = {};       ///< subtracted, in levels 0..1: none, one, or one for each channel; the background here makes it 0
  std::vector<double> deviation = {};  ///< divided by: none, one, or one for each channel
};

namespace detail {

/// Images in memory: extents, and distances between neighbouring channels and pixels of a row.
struct StimulusLayout {
  Index count, channels, height, width, channel_step, pixel_step;
};

/// Resizes a plane [h,w] to [height,width] with the weights of resize(): rows, then columns.
inline void resize_levels(const std::vector<float>& from, Index w, const ResizeAxis& rows, const ResizeAxis& columns, std::vector<float>& row,
                          float* to, Index to_stride) {
  const auto at = [](const auto& v, Index i) { return v[static_cast<std::size_t>(i)]; };
  for (Index y = 0; y < static_cast<Index>(rows.start.size()); ++y) {
    row.assign(static_cast<std::size_t>(w), 0.0f);
    for (Index k = at(rows.first, y); k < at(rows.first, y + 1); ++k)
      for (Index i = 0, line = (at(rows.start, y) + k - at(rows.first, y)) * w; i < w; ++i)
        row[static_cast<std::size_t>(i)] += at(rows.weight, k) * at(from, line + i);
    for (Index o = 0; o < static_cast<Index>(columns.start.size()); ++o) {
      float sum = 0;
      for (Index k = at(columns.first, o); k < at(columns.first, o + 1); ++k)
        sum += at(columns.weight, k) * at(row, at(columns.start, o) + k - at(columns.first, o));
      to[y * to_stride + o] = sum;
    }
  }
}

/// Mean 0 and standard deviation 1 over all of one image.
inline void standardize_image(float* x, Index n) {
  double sum = 0, square = 0;
  for (Index i = 0; i < n; ++i) sum += x[i];
  const double mean = sum / static_cast<double>(n);
  for (Index i = 0; i < n; ++i) square += (x[i] - mean) * (x[i] - mean);
  const double deviation = std::sqrt(square / static_cast<double>(n));
  const double scale = deviation > 1e-6 ? 1 / deviation : 0;  // below, rounding errors of a uniform image
  for (Index i = 0; i < n; ++i) x[i] = static_cast<float>((x[i] - mean) * scale);
}

inline void check_stimulus_options(const StimulusLayout& s, const StimulusOptions& o) {
  require<ShapeError>(s.channels == 1 || s.channels == 3, "prepare_stimuli: images of ", s.channels,
                      " channels; 1 (grey) or 3 (red, green, blue) expected");
  require<ShapeError>(s.height > 0 && s.width > 0, "prepare_stimuli: images of ", s.height, "x", s.width, " pixels");
  require(o.channels == 0 || o.channels == 1 || o.channels == 3, "prepare_stimuli: channels is ", o.channels, "; 0 (as they are), 1 or 3 expected");
  require<ShapeError>((o.size.h > 0 && o.size.w > 0) || o.size == Pair(0), "prepare_stimuli: size ", o.size.h, "x", o.size.w,
                      "; both positive, or 0 for as they are");
  const Padding& p = o.padding;
  require<ShapeError>(p.rule == Padding::Rule::given && std::min({p.top, p.left, p.bottom, p.right}) >= 0,
                      "prepare_stimuli: padding must be given in pixels, not negative");
  const Index channels = o.channels > 0 ? o.channels : s.channels;
  for (const auto* list : {&o.mean, &o.deviation})
    require<ShapeError>(list->size() <= 1 || static_cast<Index>(list->size()) == channels, "prepare_stimuli: ", list->size(),
                        list == &o.mean ? " means" : " deviations", " for ", channels, " channels; one, or one for each");
  for (const double d : o.deviation) require(d > 0, "prepare_stimuli: deviation ", d, " must be positive");
  require(!o.each || (o.mean.empty() && o.deviation.empty()), "prepare_stimuli: `each` takes every image's own mean and deviation; give no others");
}

/// Levels 0..1 of channel c of an image, or of its grey version where one channel is wanted of three.
inline void stimulus_levels(const std::uint8_t* image, const StimulusLayout& s, Index channels, Index c, std::vector<float>& levels) {
  levels.resize(static_cast<std::size_t>(s.height * s.width));
  for (Index i = 0; i < s.height * s.width; ++i) {
    const auto level = [&](Index channel) { return static_cast<float>(image[i * s.pixel_step + channel * s.channel_step]) / 255; };
    const bool to_grey = s.channels == 3 && channels == 1;
    levels[static_cast<std::size_t>(i)] = to_grey ? 0.299f * level(0) + 0.587f * level(1) + 0.114f * level(2) : level(s.channels == 1 ? 0 : c);
  }
}

/// Height and width of an image fitted into a frame.
inline Pair fitted_size(Pair image, Pair frame) {
  const auto ratio = [](Index to, Index from) { return static_cast<double>(to) / static_cast<double>(from); };
  const double zoom = std::min(ratio(frame.h, image.h), ratio(frame.w, image.w));
  const auto scaled = [zoom](Index n, Index limit) {
    return std::clamp(static_cast<Index>(std::lround(zoom * static_cast<double>(n))), Index{1}, limit);
  };
  return {scaled(image.h, frame.h), scaled(image.w, frame.w)};
}

inline Tensor<float> prepare_stimuli(const std::uint8_t* images, const StimulusLayout& s, const StimulusOptions& o) {
  check_stimulus_options(s, o);
  const Index channels = o.channels > 0 ? o.channels : s.channels;
  const Pair frame = o.size.h > 0 ? o.size : Pair(s.height, s.width);
  const Pair inner = o.keep_aspect ? fitted_size({s.height, s.width}, frame) : frame;
  const Index height = frame.h + o.padding.top + o.padding.bottom, width = frame.w + o.padding.left + o.padding.right, plane = height * width;
  const Index corner = (o.padding.top + (frame.h - inner.h) / 2) * width + o.padding.left + (frame.w - inner.w) / 2;
  const ResizeAxis rows = resize_axis(s.height, inner.h), columns = resize_axis(s.width, inner.w);
  auto out = Tensor<float>::full({s.count, channels, height, width}, static_cast<float>(o.background));
  cpu::parallel_for(s.count, [&](Index n) {
    std::vector<float> levels, row;
    for (Index c = 0; c < channels; ++c) {
      stimulus_levels(images + n * s.channels * s.height * s.width, s, channels, c, levels);
      float* to = out.data() + (n * channels + c) * plane;
      resize_levels(levels, s.width, rows, columns, row, to + corner, width);
      const auto of_channel = [c](const std::vector<double>& list, double none) {
        return list.empty() ? none : list[list.size() == 1 ? 0 : static_cast<std::size_t>(c)];
      };
      const double mean = of_channel(o.mean, 0), deviation = of_channel(o.deviation, 1);
      if (!o.mean.empty() || !o.deviation.empty())
        for (Index i = 0; i < plane; ++i) to[i] = static_cast<float>((to[i] - mean) / deviation);
    }
    if (o.each) standardize_image(out.data() + n * channels * plane, channels * plane);
  });
  return out;
}

}  // namespace detail

/// Images as experiments store them, 8 bits and colour last: [N,H,W], [N,H,W,1] or [N,H,W,3] -> what a network takes: x [N,C,H',W'], every step as
/// StimulusOptions says. Levels are 0..1 (pixel / 255) unless normalized; nothing is linearized. Throws ShapeError for other shapes and sizes that do
/// not fit, Error when an option is out of range.
[[nodiscard]] inline Tensor<float> prepare_stimuli(In<std::uint8_t> images, const StimulusOptions& o = {}) {
  const Shape& s = images.shape;
  require<ShapeError>(s.rank() == 3 || s.rank() == 4, "prepare_stimuli: images ", s, "; [N,H,W] or [N,H,W,3] expected");
  const Index channels = s.rank() == 4 ? s[3] : 1;
  require<ShapeError>(channels == 1 || channels == 3, "prepare_stimuli: images ", s, " have ", channels,
                      " channels on the last axis; 1 or 3 expected");
  return detail::prepare_stimuli(images.data, {s[0], channels, s[1], s[2], 1, channels}, o);
}

/// The same from a data set, whose images are [N,C,H,W].
[[nodiscard]] inline Tensor<float> prepare_stimuli(const Dataset& data, const StimulusOptions& o = {}) {
  const Shape& s = data.images.shape();
  require<ShapeError>(s.rank() == 4, "prepare_stimuli: images ", s, "; [N,C,H,W] expected");
  return detail::prepare_stimuli(data.images.data(), {s[0], s[1], s[2], s[3], s[2] * s[3], 1}, o);
}

}  // namespace ventral::inline v0
