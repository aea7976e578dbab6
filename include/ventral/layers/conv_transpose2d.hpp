#pragma once
#include "ventral/cpu/conv2d.hpp"
#include "ventral/initializer.hpp"
#include "ventral/layer.hpp"

namespace ventral::inline v0 {

struct ConvTranspose2dOptions {
  Index in = 0, out = 0;  ///< channels
  Pair kernel = 1, stride = 1;
  Padding padding = 0;      ///< rows and columns taken off the output
  Pair output_padding = 0;  ///< rows and columns added at its end, fewer than stride or dilation: of the sizes that a convolution maps to the input, which one
  Pair dilation = 1;
  Index groups = 1;
  bool bias = true;
  Initializer init = Init::he_uniform;  ///< of the weights; biases start at 0
};

/// The transpose of Conv2d, a learned upsampling: each input paints its kernel on the output.
/// y[n,o] = bias[o] + what conv2d_backward_input gives for x as the gradient (Zeiler, Krishnan, Taylor, Fergus 2010).
/// x [N,in,H,W], weight [in,out/groups,kh,kw], bias [out], y [N,out,H',W'] with H' = (H - 1) stride - top - bottom + (kh - 1) dilation + output_padding + 1.
/// dx is a convolution of dy. Throws ShapeError on channels that do not fit, an output_padding too large, an empty output, and `same` padding.
template <class T, class SpaceType = Cpu>
class ConvTranspose2d {
 public:
  using Scalar = T;
  using Space = SpaceType;
  static constexpr const char* kind = "ConvTranspose2d";

  Parameter<T, Space> weight, bias;

  explicit ConvTranspose2d(ConvTranspose2dOptions o) : options_(o) {
    require<ShapeError>(o.in > 0 && o.out > 0 && o.groups > 0, "ConvTranspose2d: in ", o.in, ", out ", o.out, " and groups ", o.groups, " must be positive");
    require<ShapeError>(o.in % o.groups == 0 && o.out % o.groups == 0, "ConvTranspose2d: ", o.in, " channels in and ", o.out, " out cannot be cut into ",
                        o.groups, " groups");
    require<ShapeError>(o.padding.rule == Padding::Rule::given, "ConvTranspose2d: `same` padding does not determine the output; give the rows and columns");
    detail::require_window({o.kernel, o.stride, o.padding, o.dilation, Rounding::floor}, kind);
    const auto fits = [](Index extra, Index stride, Index dilation) { return extra >= 0 && (extra < stride || extra < dilation); };
    require<ShapeError>(fits(o.output_padding.h, o.stride.h, o.dilation.h) && fits(o.output_padding.w, o.stride.w, o.dilation.w),
                        "ConvTranspose2d: output_padding ", o.output_padding.h, "x", o.output_padding.w, " must be smaller than stride ", o.stride.h, "x",
                        o.stride.w, " or dilation ", o.dilation.h, "x", o.dilation.w);
    weight = Parameter<T, Space>({o.in, o.out / o.groups, o.kernel.h, o.kernel.w});
    if (o.bias) bias = Parameter<T, Space>({o.out});
    initialize(Random(0));
  }

  const ConvTranspose2dOptions& options() const { return options_; }

  Shape output_shape(const Shape& x) const {
    require<ShapeError>(x.rank() == 4, "ConvTranspose2d: input ", x, " has rank ", x.rank(), "; [N,", options_.in, ",H,W] is needed");
    require<ShapeError>(x[1] == options_.in, "ConvTranspose2d: input ", x, " has ", x[1], " channels; weight ", weight.value.shape(), " expects ", options_.in);
    const WindowPlan p = plan(x);
    require<ShapeError>((p.h.in > 0 && p.w.in > 0) || x.product(2, 4) == 0, "ConvTranspose2d: input ", x, " gives an output of ", p.h.in, "x", p.w.in);
    return {x[0], options_.out, std::max(Index{0}, p.h.in), std::max(Index{0}, p.w.in)};
  }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>&) {
    conv2d_backward_input(x.stream(), plan(x.shape), options_.groups, weight.value, x, y);
    if (options_.bias) add_channel_bias(x.stream(), bias.value, y);
  }
  void backward(In<T, Space> x, In<T, Space>, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>&) {
    if (dx) conv2d_forward(x.stream(), plan(x.shape), options_.groups, dy, weight.value, In<T, Space>(), *dx);
    if (!weight.frozen) conv2d_backward_weight(x.stream(), plan(x.shape), options_.groups, dy, x, weight.accumulated_gradient());
    if (options_.bias && !bias.frozen) conv2d_backward_bias(x.stream(), dy, bias.accumulated_gradient());
  }

  std::vector<NamedParameter<T, Space>> parameters() {
    std::vector<NamedParameter<T, Space>> p{{"weight", &weight}};
    if (options_.bias) p.push_back({"bias", &bias});
    return p;
  }
  void initialize(Random random) {
    const Index area = options_.kernel.h * options_.kernel.w;
    ventral::initialize(weight.value, options_.init, options_.in / options_.groups * area, options_.out / options_.groups * area, random);
    bias.value.zero();
  }
  Index flops(const Shape& x) const { return 2 * x.size() * weight.value.shape().product(1, 4); }

 private:
  /// The convolution this is the transpose of: its output is our input.
  WindowPlan plan(const Shape& x) const {
    const ConvTranspose2dOptions& o = options_;
    const auto axis = [](Index in, Index kernel, Index stride, Index before, Index after, Index dilation, Index extra) {
      const Index size = in == 0 ? 0 : (in - 1) * stride - before - after + (kernel - 1) * dilation + extra + 1;
      return WindowAxis{size, in, kernel, stride, before, after, dilation};
    };
    return {axis(x[2], o.kernel.h, o.stride.h, o.padding.top, o.padding.bottom, o.dilation.h, o.output_padding.h),
            axis(x[3], o.kernel.w, o.stride.w, o.padding.left, o.padding.right, o.dilation.w, o.output_padding.w)};
  }

  ConvTranspose2dOptions options_;
};

}  // namespace ventral::inline v0
