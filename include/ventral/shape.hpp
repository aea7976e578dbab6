#pragma once
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>

#include "ventral/error.hpp"

namespace ventral::inline v0 {

/// Signed type of all extents, strides and counts.
using Index = std::int64_t;

/// Extents of a tensor, at most five, row-major (the last one is contiguous). Images are [N,C,H,W].
/// An extent may be 0 (an empty tensor); rank 0 is a scalar with one element.
/// Throws ShapeError on a negative extent, on more than five, and when the element count overflows.
class Shape {
 public:
  static constexpr int max_rank = 5;

  constexpr Shape() = default;
  constexpr Shape(std::initializer_list<Index> extents) : Shape(extents.begin(), extents.end()) {}
  template <class Iterator>
  [[gnu::noinline]] constexpr Shape(Iterator first, Iterator last) {
    for (; first != last; ++first) push_back(static_cast<Index>(*first));
  }

  constexpr int rank() const { return rank_; }
  constexpr Index operator[](int axis) const { return extent_[axis]; }
  constexpr const Index* begin() const { return extent_; }
  constexpr const Index* end() const { return extent_ + rank_; }

  /// Extent of an axis; negative axes count from the end. Throws ShapeError when there is no such axis.
  constexpr Index dim(int axis) const {
    require<ShapeError>(axis >= -rank_ && axis < rank_, "axis ", axis, " of a shape of rank ", rank_);
    return extent_[axis < 0 ? axis + rank_ : axis];
  }

  /// Number of elements: the product of all extents, 1 for rank 0.
  constexpr Index size() const { return product(0, rank_); }
  /// Product of the extents in [first, last).
  constexpr Index product(int first, int last) const {
    Index n = 1;
    for (int i = first; i < last; ++i) n *= extent_[i];
    return n;
  }

  [[gnu::noinline]] constexpr void push_back(Index extent) {
    require<ShapeError>(rank_ < max_rank, "a shape has at most ", max_rank, " extents");
    require<ShapeError>(extent >= 0, "extent ", extent, " on axis ", rank_, " is negative");
    Index n = 1;  // zeros left out, so that the product of any part cannot overflow either
    for (int i = 0; i < rank_; ++i) n *= extent_[i] > 0 ? extent_[i] : 1;
    require<ShapeError>(extent == 0 || n <= (std::numeric_limits<Index>::max() / 16) / extent, "extent ", extent, " on axis ",
                        rank_, " makes the tensor too large to address");
    extent_[rank_++] = extent;
  }

  /// The same shape with one extent replaced; negative axes count from the end.
  [[gnu::noinline]] constexpr Shape with(int axis, Index extent) const {
    static_cast<void>(dim(axis));
    Shape s;
    for (int i = 0; i < rank_; ++i) s.push_back(i == (axis < 0 ? axis + rank_ : axis) ? extent : extent_[i]);
    return s;
  }

  friend constexpr bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i)
      if (a.extent_[i] != b.extent_[i]) return false;
    return true;
  }

 private:
  Index extent_[max_rank] = {};
  int rank_ = 0;
};

/// `[8,3,32,32]`; a scalar is `[]`.
[[gnu::cold]] inline std::string to_string(const Shape& shape) {
  std::string out = "[";
  for (int i = 0; i < shape.rank(); ++i) {
    if (i > 0) out += ',';
    out += std::to_string(shape[i]);
  }
  return out += ']';
}

}  // namespace ventral::inline v0
