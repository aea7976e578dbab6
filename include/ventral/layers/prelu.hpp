#pragma once
#include "ventral/cpu/prelu.hpp"
#include "ventral/layer.hpp"

namespace ventral::inline v0 {

struct PReLUOptions {
  Index channels = 1;     ///< one slope for each channel (axis 1), or one for all
  double initial = 0.25;  ///< slope at first
};
/// y = x where x > 0, else weight_c x, with a learned slope for each channel or one for all. x of any shape, [N,C,...] with several slopes.
/// Gradient dx = dy where x > 0, else weight_c dy (at the kink too); dweight_c = the sum of dy x where x <= 0. Throws ShapeError for other channels.
/// Source: He, Zhang, Ren, Sun 2015, eq. 1.
template <class T, class SpaceType = Cpu>
class PReLU {
 public:
  using Scalar = T;
  using Space = SpaceType;
  using Options = PReLUOptions;
  static constexpr const char* kind = "PReLU";

  Parameter<T, Space> weight;  ///< [channels]

  explicit PReLU(Options o = {}) : initial_(o.initial) {
    require<ShapeError>(o.channels >= 1, kind, ": ", o.channels, " channels; at least 1 is needed");
    weight = Parameter<T, Space>(Shape{o.channels});
    initialize(Random());
  }

  Shape output_shape(const Shape& x) const {
    const Index slopes = weight.value.size();
    require<ShapeError>(slopes == 1 || x.rank() >= 2, kind, ": input ", x, " has rank ", x.rank(), "; [N,", slopes, ",...] expected");
    require<ShapeError>(slopes == 1 || x[1] == slopes, kind, ": input ", x, " has ", x[1], " channels; weight ", weight.value.shape(), " expects ", slopes);
    return x;
  }
  bool takes_blocks(const Shape&) const { return std::is_same_v<T, float> && std::is_same_v<Space, Cpu>; }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>&) { prelu_forward(x.stream(), weight.value, x, y); }
  void backward(In<T, Space> x, In<T, Space>, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) {
    if (!weight.frozen) {
      const Shape partial{prelu_partial_sums(x.stream(), x.stored().shape, weight.value.size())};
      prelu_backward_slope(x.stream(), x, dy, pass.template workspace<double>(0, partial), weight.accumulated_gradient());
    }
    if (dx) prelu_backward(x.stream(), weight.value, x, dy, *dx);
  }

  std::vector<NamedParameter<T, Space>> parameters() { return {{"weight", &weight}}; }
  void initialize(Random) { weight.value.fill(static_cast<T>(initial_)); }
  /// A multiplication an element.
  Index flops(const Shape& x) const { return x.size(); }

 private:
  double initial_;
};

}  // namespace ventral::inline v0
