#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "ventral/tensor.hpp"

namespace ventral::inline v0 {

namespace detail {

/// For one axis: output pixel o is the sum of weight[first[o] + k] * input[start[o] + k].
struct ResizeAxis {
  std::vector<Index> start, first;
  std::vector<float> weight;
};

/// Shrinking averages the area that an output pixel covers; enlarging interpolates linearly between pixel centres, the border repeated.
[[gnu::cold]] inline ResizeAxis resize_axis(Index in, Index out) {
  ResizeAxis a;
  const double ratio = static_cast<double>(in) / static_cast<double>(out);
  for (Index o = 0; o < out; ++o) {
    a.first.push_back(static_cast<Index>(a.weight.size()));
    if (in > out) {
      const double low = static_cast<double>(o) * ratio, high = std::min(static_cast<double>(o + 1) * ratio, static_cast<double>(in));
      const Index begin = static_cast<Index>(low);
      a.start.push_back(begin);
      for (Index i = begin; i < in && static_cast<double>(i) < high; ++i) {
        const double covered = std::min(high, static_cast<double>(i + 1)) - std::max(low, static_cast<double>(i));
        a.weight.push_back(static_cast<float>(covered / (high - low)));
      }
    } else {
      const double centre = std::clamp((static_cast<double>(o) + 0.5) * ratio - 0.5, 0.0, static_cast<double>(in - 1));
      const Index begin = std::min(static_cast<Index>(centre), in - 1);
      const double part = centre - static_cast<double>(begin);
      a.start.push_back(begin);
      a.weight.push_back(static_cast<float>(1 - part));
      if (begin + 1 < in) a.weight.push_back(static_cast<float>(part));
    }
  }
  a.first.push_back(static_cast<Index>(a.weight.size()));
  return a;
}

}  // namespace detail

/// Resizes pixels [C,H,W] to a given height and width: area averages where it shrinks, bilinear interpolation where it grows, axis by axis; rounded.
/// Throws ShapeError when an extent is 0 or the rank is not 3.
[[nodiscard]] inline Tensor<std::uint8_t> resize(TensorRef<const std::uint8_t> x, Index height, Index width) {
  require<ShapeError>(x.shape.rank() == 3 && x.size() > 0, "resize: pixels ", x.shape, "; [C,H,W] expected, not empty");
  require<ShapeError>(height > 0 && width > 0, "resize: to ", height, "x", width, "; both must be positive");
  const Index channels = x.shape[0], h = x.shape[1], w = x.shape[2];
  const detail::ResizeAxis rows = detail::resize_axis(h, height), columns = detail::resize_axis(w, width);
  auto out = Tensor<std::uint8_t>::uninitialized({channels, height, width});
  std::vector<float> row(static_cast<std::size_t>(w));
  const auto at = [](const auto& v, Index i) { return v[static_cast<std::size_t>(i)]; };
  for (Index c = 0; c < channels; ++c)
    for (Index y = 0; y < height; ++y) {
      std::fill(row.begin(), row.end(), 0.0f);
      for (Index k = at(rows.first, y); k < at(rows.first, y + 1); ++k) {
        const std::uint8_t* from = x.data + (c * h + at(rows.start, y) + k - at(rows.first, y)) * w;
        const float weight = at(rows.weight, k);
        for (Index i = 0; i < w; ++i) row[static_cast<std::size_t>(i)] += weight * static_cast<float>(from[i]);
      }
      for (Index o = 0; o < width; ++o) {
        float sum = 0;
        for (Index k = at(columns.first, o); k < at(columns.first, o + 1); ++k)
          sum += at(columns.weight, k) * at(row, at(columns.start, o) + k - at(columns.first, o));
        out[(c * height + y) * width + o] = static_cast<std::uint8_t>(std::clamp(sum + 0.5f, 0.0f, 255.0f));
      }
    }
  return out;
}

/// The part [top, top + height) x [left, left + width) of pixels [C,H,W]. Throws ShapeError when it is not inside.
[[nodiscard]] inline Tensor<std::uint8_t> crop(TensorRef<const std::uint8_t> x, Index top, Index left, Index height, Index width) {
  require<ShapeError>(x.shape.rank() == 3, "crop: pixels ", x.shape, "; [C,H,W] expected");
  const Index h = x.shape[1], w = x.shape[2];
  require<ShapeError>(0 <= top && 0 <= left && 0 <= height && 0 <= width && height <= h - top && width <= w - left, "crop: ", height, "x", width, " at row ",
                      top, ", column ", left, " is not inside pixels ", x.shape);
  auto out = Tensor<std::uint8_t>::uninitialized({x.shape[0], height, width});
  for (Index c = 0; c < x.shape[0]; ++c)
    for (Index y = 0; y < height; ++y) {
      const std::uint8_t* from = x.data + (c * h + top + y) * w + left;
      std::copy(from, from + width, out.data() + (c * height + y) * width);
    }
  return out;
}

}  // namespace ventral::inline v0
