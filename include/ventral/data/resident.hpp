#pragma once
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "ventral/data/batches.hpp"

namespace ventral::inline v0 {

/// A whole data set in the memory of a space: inputs x [N,...] as the network takes them, and targets [N,...].
template <class T, class Target, class SpaceType>
class ResidentData {
 public:
  using Space = SpaceType;

  /// All examples of a source. Throws Error when they are not the same each time, as its fixed() says.
  template <class Source>
  [[gnu::cold]] static ResidentData of(Source& source) {
    static_assert(requires { source.fixed(); }, "a source whose examples are to stay on the device says by `bool fixed() const` that they are the same each time");
    require(source.fixed(), "examples that are changed at random in main memory cannot stay on the device: leave out the augmentation, or the capture");
    std::vector<Index> all(static_cast<std::size_t>(source.size()));
    std::iota(all.begin(), all.end(), Index{0});
    Tensor<T, Cpu> x;
    Tensor<Target, Cpu> target;
    source.fill(std::span<const Index>(all), Random(0), x, target);
    return ResidentData(x.template to<Space>(), target.template to<Space>());
  }
  ResidentData(Tensor<T, Space> x, Tensor<Target, Space> target) : x_(std::move(x)), target_(std::move(target)) {
    require<ShapeError>(x_.rank() >= 1 && target_.rank() >= 1 && x_.dim(0) == target_.dim(0), "ResidentData: x ", x_.shape(), " and target ", target_.shape(),
                        " differ in their number of examples");
  }

  Index size() const { return x_.dim(0); }
  In<T, Space> x() const { return x_.ref(); }
  In<Target, Space> target() const { return target_.ref(); }

 private:
  Tensor<T, Space> x_;
  Tensor<Target, Space> target_;
};

}  // namespace ventral::inline v0
