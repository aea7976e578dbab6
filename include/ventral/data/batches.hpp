#pragma once
#include <algorithm>
#include <functional>
#include <span>
#include <utility>

#include "ventral/cpu/parallel.hpp"
#include "ventral/data/dataset.hpp"
#include "ventral/random.hpp"

namespace ventral::inline v0 {

// Where training gets its batches: a source has size(), the number of examples, and fill(which, random, x, target), which gives x and target the shape
// of the batch and writes the examples of these numbers into them, in main memory. `random` is for augmentation; what is drawn from it is
// the same whenever the same step of a run is repeated. Any type with these two members will do. A third, fixed(), says whether examples are the same each
// time, so that they may be kept on a device (data/resident.hpp).

/// Labelled images as batches x = (pixel - mean) / deviation [n,C,H,W] and labels [n]. The data set must outlive it.
template <class T>
class ImageSource {
 public:
  /// Changes a batch of images [n,C,H,W] in place; the grey levels are still 0..255.
  using Transform = std::function<void(Out<T> images, const Random& random)>;

  /// Throws Error when deviation is 0 or a label is out of range.
  [[gnu::cold]] explicit ImageSource(const Dataset& data, const PixelStatistics& statistics = {}, Transform transform = {}) : data_(&data), transform_(std::move(transform)) {
    require(statistics.deviation > 0, "ImageSource: deviation is ", statistics.deviation);
    data.check("ImageSource");
    for (int v = 0; v < 256; ++v) level_[v] = static_cast<T>((v - statistics.mean) / statistics.deviation);
    scale_ = static_cast<T>(1 / statistics.deviation), offset_ = static_cast<T>(-statistics.mean / statistics.deviation);
  }
  explicit ImageSource(Dataset&&, const PixelStatistics& = {}, Transform = {}) = delete;  // a data set that ends here and now

  Index size() const { return data_->size(); }
  bool fixed() const { return !transform_; }
  void fill(std::span<const Index> which, const Random& random, Tensor<T>& x, Tensor<std::int32_t>& labels) const {
    gather(which, x, labels);
    if (!transform_) return;
    transform_(x.ref(), random);
    cpu::parallel_ranges(x.size(), 1 << 15, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i) x[i] = x[i] * scale_ + offset_;
    });
  }

  /// The same as bytes, to be kept or sent so: x = levels[byte], levels [1,256]. Only where examples are fixed.
  void fill_bytes(std::span<const Index> which, Tensor<std::uint8_t>& pixels, Tensor<std::int32_t>& labels) const { gather(which, pixels, labels); }
  Tensor<T> levels() const { return Tensor<T>({1, 256}, std::vector<T>(level_, level_ + 256)); }

 private:
  template <class U>
  void gather(std::span<const Index> which, Tensor<U>& x, Tensor<std::int32_t>& labels) const {
    const Index n = static_cast<Index>(which.size()), pixels = data_->images.shape().product(1, 4);
    x.resize(data_->images.shape().with(0, n));
    labels.resize({n});
    cpu::parallel_ranges(n, pixels ? (1 << 15) / pixels + 1 : n, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i) {
        const Index at = which[static_cast<std::size_t>(i)];
        labels[i] = data_->labels[at];
        write(data_->images.data() + at * pixels, x.data() + i * pixels, pixels);
      }
    });
  }
  static void write(const std::uint8_t* pixel, std::uint8_t* x, Index n) { std::copy_n(pixel, n, x); }
  void write(const std::uint8_t* pixel, T* x, Index n) const {
    if (transform_)
      for (Index i = 0; i < n; ++i) x[i] = static_cast<T>(pixel[i]);
    else
      for (Index i = 0; i < n; ++i) x[i] = level_[pixel[i]];
  }

  const Dataset* data_;
  Transform transform_;
  T level_[256], scale_, offset_;
};

/// Inputs x [N,...] and targets [N,...] held in tensors, which must outlive it.
template <class T, class Target>
class TensorSource {
 public:
  TensorSource(const Tensor<T>& x, const Tensor<Target>& target) : x_(&x), target_(&target) {
    require<ShapeError>(x.rank() >= 1 && target.rank() >= 1 && x.dim(0) == target.dim(0), "TensorSource: x ", x.shape(), " and target ", target.shape(),
                        " differ in their number of examples");
  }
  Index size() const { return x_->dim(0); }
  bool fixed() const { return true; }
  void fill(std::span<const Index> which, const Random&, Tensor<T>& x, Tensor<Target>& target) const {
    gather_rows(*x_, which, x);
    gather_rows(*target_, which, target);
  }

 private:
  template <class U>
  static void gather_rows(const Tensor<U>& from, std::span<const Index> which, Tensor<U>& to) {
    to.resize(from.shape().with(0, static_cast<Index>(which.size())));
    const Index size = from.shape().product(1, from.rank());
    for (std::size_t i = 0; i < which.size(); ++i)
      Cpu::copy(to.data() + static_cast<Index>(i) * size, from.data() + which[i] * size, static_cast<std::size_t>(size) * sizeof(U));
  }
  const Tensor<T>* x_;
  const Tensor<Target>* target_;
};

/// A source of `size` examples whose fill is a function: `batches(1000, [](std::span<const Index> which, Random random, Tensor<float>& x, Tensor<float>&
/// target) {...})`.
template <class Fill>
class FunctionSource {
 public:
  FunctionSource(Index size, Fill fill) : size_(size), fill_(std::move(fill)) {}
  Index size() const { return size_; }
  template <class T, class Target>
  void fill(std::span<const Index> which, const Random& random, Tensor<T>& x, Tensor<Target>& target) {
    fill_(which, random, x, target);
  }

 private:
  Index size_;
  Fill fill_;
};
template <class Fill>
FunctionSource<Fill> batches(Index size, Fill fill) {
  return {size, std::move(fill)};
}

}  // namespace ventral::inline v0
