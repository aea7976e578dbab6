#pragma once
#include "ventral/cpu/locally_connected2d.hpp"
#include "ventral/initializer.hpp"
#include "ventral/layer.hpp"

namespace ventral::inline v0 {

struct LocallyConnected2dOptions {
  Index in = 0, out = 0;        ///< channels
  Index height = 0, width = 0;  ///< of the input: every place has weights of its own
  Pair kernel = 1, stride = 1;
  Padding padding = 0;
  Pair dilation = 1;
  bool bias = true;
  Initializer init = Init::he_uniform;  ///< of the weights; biases start at 0
};

/// Local linear filters, others at every place: convolution without shared weights, as the retina-to-cortex map has it.
/// y[n,o,i,j] = bias[o,i,j] + sum_{c,r,k} weight[(i,j),o,(c,r,k)] x[n,c, i stride + r dilation - padding, ...].
/// x [N,in,height,width], weight [H'W', out, in kh kw] (what one place needs lies together), bias [out,H',W'], y [N,out,H',W'].
/// The gradients are exact; parameter gradients accumulate. Throws ShapeError for an input of another size and windows larger than the padded image.
/// Source: LeCun 1989 ("Generalization and network design strategies", Net-3); Taigman, Yang, Ranzato, Wolf 2014 (DeepFace).
template <class T, class SpaceType = Cpu>
class LocallyConnected2d {
 public:
  using Scalar = T;
  using Space = SpaceType;
  using Options = LocallyConnected2dOptions;
  static constexpr const char* kind = "LocallyConnected2d";

  Parameter<T, Space> weight, bias;

  explicit LocallyConnected2d(Options o) : options_(o), window_{o.kernel, o.stride, o.padding, o.dilation, Rounding::floor} {
    require<ShapeError>(o.in > 0 && o.out > 0 && o.height > 0 && o.width > 0, kind,
                        ": in ", o.in, ", out ", o.out, ", height ", o.height, " and width ", o.width, " must be positive");
    plan_ = place(window_, o.height, o.width, kind);
    weight = Parameter<T, Space>(Shape{plan_.h.out * plan_.w.out, o.out, o.in * o.kernel.h * o.kernel.w});
    if (o.bias) bias = Parameter<T, Space>(Shape{o.out, plan_.h.out, plan_.w.out});
    initialize(Random());
  }

  const Options& options() const { return options_; }
  const Window& window() const { return window_; }

  Shape output_shape(const Shape& x) const {
    const Options& o = options_;
    require<ShapeError>(x.rank() == 4 && x[1] == o.in && x[2] == o.height && x[3] == o.width, kind,
                        ": input ", x, "; [N,", o.in, ",", o.height, ",", o.width, "] expected");
    return {x[0], o.out, plan_.h.out, plan_.w.out};
  }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>&) { locally_connected_forward(x.stream(), plan_, x, weight.value, bias.value, y); }
  void backward(In<T, Space> x, In<T, Space>, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>&) {
    if (dx) locally_connected_backward_input(x.stream(), plan_, weight.value, dy, *dx);
    if (!weight.frozen) locally_connected_backward_weight(x.stream(), plan_, x, dy, weight.accumulated_gradient());
    if (options_.bias && !bias.frozen) locally_connected_backward_bias(x.stream(), dy, bias.accumulated_gradient());
  }

  std::vector<NamedParameter<T, Space>> parameters() {
    std::vector<NamedParameter<T, Space>> p{{"weight", &weight}};
    if (options_.bias) p.push_back({"bias", &bias});
    return p;
  }
  void initialize(Random random) {
    const Index area = options_.kernel.h * options_.kernel.w;
    ventral::initialize(weight.value, options_.init, options_.in * area, options_.out * area, random);
    bias.value.zero();
  }
  Index flops(const Shape& x) const { return 2 * output_shape(x).size() * weight.value.shape()[2]; }

 private:
  Options options_;
  Window window_;
  WindowPlan plan_;
};

}  // namespace ventral::inline v0
