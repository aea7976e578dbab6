#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ventral/tensor.hpp"

namespace ventral::inline v0 {

/// Labelled images in main memory.
struct Dataset {
  Tensor<std::uint8_t> images{Shape{0, 1, 1, 1}};  ///< [N,C,H,W], 0..255
  Tensor<std::int32_t> labels;                     ///< [N], 0..classes-1
  Index classes = 0;
  std::vector<std::string> names;  ///< of the classes; empty when they are numbered only

  Index size() const { return labels.size(); }

  /// Throws Error, prefixed by `what`, unless shapes match and every label is below `classes`.
  [[gnu::cold]] void check(std::string_view what) const {
    require<ShapeError>(images.rank() == 4, what, ": images ", images.shape(), "; [N,C,H,W] expected");
    require<ShapeError>(labels.rank() == 1 && labels.size() == images.dim(0), what, ": labels ", labels.shape(), " for images ", images.shape());
    require(names.empty() || static_cast<Index>(names.size()) == classes, what, ": ", names.size(), " names for ", classes, " classes");
    for (Index i = 0; i < labels.size(); ++i)
      require(0 <= labels[i] && labels[i] < classes, what, ": label ", labels[i], " of image ", i, " is out of range; there are ", classes, " classes, from 0");
  }

  /// A copy of the examples [first, last).
  [[gnu::cold]] [[nodiscard]] Dataset slice(Index first, Index last) const {
    Dataset out = empty_like(last - first);
    out.images.copy_from(images.slice(first, last));
    out.labels.copy_from(labels.slice(first, last));
    return out;
  }
  /// A copy of the chosen examples, in the given order.
  [[nodiscard]] Dataset subset(std::span<const Index> which) const;
  [[nodiscard]] Dataset clone() const { return slice(0, size()); }

  /// Room for n examples of the same kind; contents are unspecified.
  [[gnu::cold]] [[nodiscard]] Dataset empty_like(Index n) const {
    require<ShapeError>(n >= 0, "a data set of ", n, " examples");
    Dataset out;
    out.images = Tensor<std::uint8_t>::uninitialized(images.shape().with(0, n));
    out.labels = Tensor<std::int32_t>::uninitialized({n});
    out.classes = classes;
    out.names = names;
    return out;
  }
};

/// Copies the chosen examples of a data set into images [n,C,H,W] and labels [n].
inline void gather(const Dataset& from, std::span<const Index> which, Out<std::uint8_t> images, Out<std::int32_t> labels) {
  const Index n = static_cast<Index>(which.size()), pixels = from.images.shape().product(1, 4);
  require<ShapeError>(images.shape == from.images.shape().with(0, n) && labels.shape == Shape{n}, "gather: ", n, " of images ", from.images.shape(),
                      " into images ", images.shape, " and labels ", labels.shape);
  for (Index i = 0; i < n; ++i) {
    const Index j = which[static_cast<std::size_t>(i)];
    require(0 <= j && j < from.size(), "gather: example ", j, " of ", from.size());
    if (pixels > 0) std::memcpy(images.data + i * pixels, from.images.data() + j * pixels, static_cast<std::size_t>(pixels));
    labels.data[i] = from.labels[j];
  }
}

inline Dataset Dataset::subset(std::span<const Index> which) const {
  Dataset out = empty_like(static_cast<Index>(which.size()));
  gather(*this, which, out.images, out.labels);
  return out;
}

/// A data set in two parts.
struct DatasetSplit {
  Dataset first, last;
};

/// Cuts off the last n examples, say to choose settings on.
[[gnu::cold]] inline DatasetSplit split_last(const Dataset& data, Index n) {
  require(0 <= n && n <= data.size(), "split_last: ", n, " of ", data.size(), " examples");
  return {data.slice(0, data.size() - n), data.slice(data.size() - n, data.size())};
}
/// The same of a data set that is needed no longer: with n = 0 it is not copied.
[[gnu::cold]] inline DatasetSplit split_last(Dataset&& data, Index n) {
  if (n != 0) return split_last(std::as_const(data), n);
  Dataset none = data.empty_like(0);
  return {std::move(data), std::move(none)};
}

/// Mean and standard deviation of pixels, in grey levels 0..255.
struct PixelStatistics {
  double mean = 0, deviation = 255;
};

/// Over all pixels of all images. An image set of one grey level, or an empty one, has deviation 0.
inline PixelStatistics pixel_statistics(const Dataset& data) {
  std::vector<std::int64_t> count(256);
  for (const std::uint8_t v : data.images) ++count[v];
  double sum = 0, square = 0;
  const double n = static_cast<double>(data.images.size());
  for (int v = 0; v < 256; ++v) sum += v * static_cast<double>(count[static_cast<std::size_t>(v)]);
  const double mean = n > 0 ? sum / n : 0;
  for (int v = 0; v < 256; ++v) square += (v - mean) * (v - mean) * static_cast<double>(count[static_cast<std::size_t>(v)]);
  return {mean, n > 0 ? std::sqrt(square / n) : 0};
}

/// x = (pixel - mean) / deviation: what a network is fed. The default maps 0..255 to 0..1. Throws ShapeError when the shapes differ, Error when deviation is 0.
template <class T>
void normalize_pixels(In<std::uint8_t> pixels, Out<T> x, const PixelStatistics& statistics = {}) {
  require<ShapeError>(pixels.shape == x.shape, "normalize_pixels: pixels ", pixels.shape, " into x ", x.shape);
  require(statistics.deviation > 0, "normalize_pixels: deviation is ", statistics.deviation);
  T level[256];
  for (int v = 0; v < 256; ++v) level[v] = static_cast<T>((v - statistics.mean) / statistics.deviation);
  for (Index i = 0; i < x.size(); ++i) x.data[i] = level[pixels.data[i]];
}

}  // namespace ventral::inline v0
