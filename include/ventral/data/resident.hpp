#pragma once
#include <numeric>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "ventral/data/batches.hpp"

namespace ventral::inline v0 {

namespace detail {

/// Whether a source has its examples as bytes, too: fill_bytes() and levels(), as ImageSource.
template <class Source>
constexpr bool has_bytes = requires(Source& source) { source.levels(); };

}  // namespace detail

/// A whole data set in the memory of a space: inputs x [N,...] as the network takes them, and targets [N,...]. Inputs may be kept as bytes, in a quarter of
/// the memory of floats; what they stand for is looked up as a batch is gathered, so that numbers are the same.
template <class T, class TargetType, class SpaceType>
class ResidentData {
 public:
  using Space = SpaceType;
  using Target = TargetType;

  /// All examples of a source. Throws Error when they are not the same each time, as its fixed() says.
  template <class Source>
  [[gnu::cold]] static ResidentData of(Source& source) {
    const std::vector<Index> all = all_of(source);
    Tensor<T, Cpu> x;
    Tensor<Target, Cpu> target;
    source.fill(std::span<const Index>(all), Random(0), x, target);
    return ResidentData(x.template to<Space>(), target.template to<Space>());
  }
  /// The same, kept as bytes, of a source that has them.
  template <class Source>
  [[gnu::cold]] static ResidentData bytes_of(Source& source) {
    static_assert(detail::has_bytes<Source>, "a source of bytes has fill_bytes(which, bytes, targets) and levels(), as ImageSource");
    const std::vector<Index> all = all_of(source);
    Tensor<std::uint8_t, Cpu> bytes;
    Tensor<Target, Cpu> target;
    source.fill_bytes(std::span<const Index>(all), bytes, target);
    return ResidentData(bytes.template to<Space>(), source.levels().template to<Space>(), target.template to<Space>());
  }
  ResidentData(Tensor<T, Space> x, Tensor<Target, Space> target) : x_(std::move(x)), target_(std::move(target)) { check(x_.shape()); }
  /// Bytes [N,...] that stand for x = levels[table][byte]. levels [tables,256]: one table, or one for each equal share of an example, as each channel of an
  /// image: level = (byte - mean) / deviation, say.
  ResidentData(Tensor<std::uint8_t, Space> bytes, Tensor<T, Space> levels, Tensor<Target, Space> target)
      : bytes_(std::move(bytes)), levels_(std::move(levels)), target_(std::move(target)) {
    check(bytes_.shape());
    require<ShapeError>(levels_.rank() == 2 && levels_.dim(0) >= 1 && levels_.dim(1) == 256 && shape().product(1, shape().rank()) % levels_.dim(0) == 0,
                        "ResidentData: levels ", levels_.shape(), " for bytes ", bytes_.shape(), "; [tables,256] for equal shares of an example expected");
  }

  Index size() const { return target_.dim(0); }
  bool as_bytes() const { return !levels_.empty(); }
  /// Of x, all examples.
  const Shape& shape() const { return as_bytes() ? bytes_.shape() : x_.shape(); }
  /// Throws Error where they are kept as bytes.
  In<T, Space> x() const {
    require(!as_bytes(), "ResidentData: inputs are kept as bytes; gather() gives a batch of them");
    return x_.ref();
  }
  In<Target, Space> target() const { return target_.ref(); }
  /// How inputs are kept: numbers, or bytes with their levels, a table of 256 for each `share` of an example; null is what they are not.
  struct Kept {
    const T* x;
    const unsigned char* bytes;
    const T* levels;
    Index share;
  };
  Kept kept() const {
    if (!as_bytes()) return {x_.data(), nullptr, nullptr, 1};
    return {nullptr, bytes_.data(), levels_.data(), shape().product(1, shape().rank()) / levels_.dim(0)};
  }

  /// For examples that come and go (data/streamed.hpp): where they lie, and the bytes of one. From then on they are not fixed().
  struct Room {
    unsigned char *x, *target;
    std::size_t x_bytes, target_bytes;
  };
  Room room() {
    fixed_ = false;
    const auto bytes = [&](const Shape& s, std::size_t each) { return static_cast<std::size_t>(s.product(1, s.rank())) * each; };
    return {as_bytes() ? bytes_.data() : reinterpret_cast<unsigned char*>(x_.data()), reinterpret_cast<unsigned char*>(target_.data()),
            bytes(shape(), as_bytes() ? 1 : sizeof(T)), bytes(target_.shape(), sizeof(Target))};
  }
  /// Whether the examples stay the same.
  bool fixed() const { return fixed_; }

  /// Queues a batch: x[i] and target[i] are example place.order[i], with the order in device memory and in range.
  template <class Place>
  void gather(const Place& place, Out<T, Space> x, Out<Target, Space> target) const {
    if (as_bytes()) gather_batch_of_bytes(x.stream(), place, bytes_.ref(), levels_.ref(), target_.ref(), x, target);
    else gather_batch(x.stream(), place, x_.ref(), target_.ref(), x, target);
  }

 private:
  template <class Source>
  static std::vector<Index> all_of(Source& source) {
    static_assert(requires { source.fixed(); }, "a source whose examples are to stay on the device says by `bool fixed() const` that they are the same each time");
    require(source.fixed(), "examples that are changed at random in main memory cannot stay on the device: leave out the augmentation, or the capture, or stream them");
    std::vector<Index> all(static_cast<std::size_t>(source.size()));
    std::iota(all.begin(), all.end(), Index{0});
    return all;
  }
  void check(const Shape& x) const {
    require<ShapeError>(x.rank() >= 1 && target_.rank() >= 1 && x[0] == target_.dim(0), "ResidentData: x ", x, " and target ", target_.shape(),
                        " differ in their number of examples");
  }

  Tensor<T, Space> x_;  // or, in its place
  Tensor<std::uint8_t, Space> bytes_;
  Tensor<T, Space> levels_;
  Tensor<Target, Space> target_;
  bool fixed_ = true;
};

}  // namespace ventral::inline v0
