#pragma once
#include "ventral/layer.hpp"
#include "ventral/small_stage.hpp"

namespace ventral::inline v0 {

/// [N,C,H,W] -> [N,C*H*W], the same elements. Inside a network it costs nothing: the output is a view of the input.
template <class T, class SpaceType = Cpu>
class Flatten {
 public:
  using Scalar = T;
  using Space = SpaceType;
  static constexpr const char* kind = "Flatten";
  static constexpr bool is_view = true;
  bool describe(SmallStage<T, Space>&, const Shape&) const { return true; }

  Shape output_shape(const Shape& x) const {
    require<ShapeError>(x.rank() >= 1, "Flatten: input ", x, " has no batch axis");
    return {x[0], x.product(1, x.rank())};
  }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>&) { Space::copy(y.data, x.data, static_cast<std::size_t>(x.size()) * sizeof(T)); }
  void backward(In<T, Space>, In<T, Space>, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>&) {
    if (dx) Space::copy(dx->data, dy.data, static_cast<std::size_t>(dy.size()) * sizeof(T));
  }
};

}  // namespace ventral::inline v0
