#pragma once
#include "ventral/shape.hpp"

namespace ventral::inline v0 {

/// How far a box reaches along one axis, its centre left out: `{2, 1}` is two before and one after. One odd number is the whole
/// extent, centred: `5` is `{2, 2}`. Throws ShapeError when that number is even or not positive.
struct Reach {
  Index before = 0, after = 0;
  constexpr Reach() = default;
  constexpr Reach(Index extent) : before(extent / 2), after(extent / 2) {
    require<ShapeError>(extent >= 1 && extent % 2 == 1, "a box extent of ", extent, " has no centre: give an odd one, or how far it reaches {before, after}");
  }
  constexpr Reach(Index reach_before, Index reach_after) : before(reach_before), after(reach_after) {}
  constexpr Index extent() const { return before + 1 + after; }
  friend constexpr bool operator==(const Reach&, const Reach&) = default;
};

/// The neighbours that a unit is normalized by: a box of channels, rows and columns around it.
struct DivisiveBox {
  Reach channels, height, width;
  constexpr Index size() const { return channels.extent() * height.extent() * width.extent(); }
  /// The box of all units that have this one in theirs.
  constexpr DivisiveBox reflected() const {
    return {{channels.after, channels.before}, {height.after, height.before}, {width.after, width.before}};
  }
};

/// What a divisive normalization kernel needs to know besides its parameters.
struct DivisiveRule {
  DivisiveBox box;
  double exponent = 2;
  double threshold = 0;   ///< a divisor below it is not applied
  double smallest_k = 0;  ///< k counts as at least this; alpha and beta as at least 0
};

/// The gradient by a parameter that counts as max(value, floor): at or below the floor only a gradient that raises the value passes.
template <class T>
constexpr T gradient_above(T floor, T value, T gradient) {
  return value > floor || gradient < T(0) ? gradient : T(0);
}

}  // namespace ventral::inline v0
