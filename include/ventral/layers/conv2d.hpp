#pragma once
#include "ventral/cpu/conv2d.hpp"
#include "ventral/cpu/conv2d_blocks.hpp"
#include "ventral/initializer.hpp"
#include "ventral/layer.hpp"
#include "ventral/small_stage.hpp"

namespace ventral::inline v0 {

struct Conv2dOptions {
  Index in = 0, out = 0;  ///< channels
  Pair kernel = 1, stride = 1;
  Padding padding = 0;
  Pair dilation = 1;
  Index groups = 1;  ///< output group g sees input group g only; groups = in is a depthwise convolution
  bool bias = true;
  Initializer init = Init::he_uniform;  ///< of the weights; biases start at 0
};

/// A bank of local linear filters, the same at every place: simple cells in the models of the visual system.
/// y[n,o,y,x] = bias[o] + sum_{c,i,j} weight[o,c,i,j] x[n,c, y stride + i dilation - padding, ...] (correlation, the kernel is not flipped).
/// x [N,in,H,W], weight [out,in/groups,kh,kw], bias [out], y [N,out,H',W'] with H' as `place()` says.
/// The gradients are exact; parameter gradients accumulate. Throws ShapeError on channels that do not fit and windows larger than the padded image.
template <class T, class SpaceType = Cpu>
class Conv2d {
  static constexpr bool on_cpu = std::is_same_v<SpaceType, Cpu>, in_blocks = on_cpu && std::is_same_v<T, float>, has_fused = in_blocks || !on_cpu;

 public:
  using Scalar = T;
  using Space = SpaceType;
  static constexpr const char* kind = "Conv2d";

  Parameter<T, Space> weight, bias;

  [[gnu::cold]] explicit Conv2d(Conv2dOptions o) : options_(o) {
    require<ShapeError>(o.in > 0 && o.out > 0 && o.groups > 0, "Conv2d: in ", o.in, ", out ", o.out, " and groups ", o.groups, " must be positive");
    require<ShapeError>(o.in % o.groups == 0 && o.out % o.groups == 0, "Conv2d: ", o.in, " channels in and ", o.out, " out cannot be cut into ", o.groups,
                        " groups");
    detail::require_window(window(), kind);
    weight = Parameter<T, Space>({o.out, o.in / o.groups, o.kernel.h, o.kernel.w});
    if (o.bias) bias = Parameter<T, Space>({o.out});
    initialize(Random(0));
  }

  const Conv2dOptions& options() const { return options_; }
  Window window() const { return {options_.kernel, options_.stride, options_.padding, options_.dilation, Rounding::floor}; }

  Shape output_shape(const Shape& x) const {
    require<ShapeError>(x.rank() == 4, "Conv2d: input ", x, " has rank ", x.rank(), "; [N,", options_.in, ",H,W] is needed");
    require<ShapeError>(x[1] == options_.in, "Conv2d: input ", x, " has ", x[1], " channels; weight ", weight.value.shape(), " expects ", options_.in);
    const WindowPlan p = plan(x);
    return {x[0], options_.out, p.h.out, p.w.out};
  }
  // On the CPU, float: x and y in rows or blocks. There, and on a GPU, the ReLU and pooling that follow (on a GPU: max pooling) on the way out.
  static constexpr bool mixes_formats = true;
  bool takes_blocks(const Shape&) const { return in_blocks; }
  bool prefers_blocks(const Shape& x) const { return in_blocks && cpu::blocks_pay(plan(x), options_.groups, x, options_.out); }
  bool fuses(const Epilogue& e, const Shape& x) const
    requires(has_fused)
  {
    if (on_cpu ? !prefers_blocks(x) : e.pool == Epilogue::Pool::mean) return false;
    return cpu::fuses_in_conv2d(e, plan(x));
  }
  Index kept_bytes(const Shape& x, Format, const Epilogue& e) const { return e.pool == Epilogue::Pool::none ? 0 : winners_shape(x, e)[0]; }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass, const Epilogue& e)
    requires(has_fused)
  {
    Out<unsigned char, Space> winners;
    if (pass.training() && e.pool != Epilogue::Pool::none) winners = pass.template keep<unsigned char>(0, winners_shape(x.shape, e));
    conv2d_forward_fused(x.stream(), plan(x.shape), options_.groups, x, weight.value, bias.value, e, winners, y);
  }
  void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass, const Epilogue& e)
    requires(has_fused)
  {
    In<unsigned char, Space> winners;
    if (e.pool != Epilogue::Pool::none) winners = pass.template kept<unsigned char>(0, winners_shape(x.shape, e));
    Out<T, Space> dw, db;
    if (!weight.frozen) dw = weight.accumulated_gradient();
    if (options_.bias && !bias.frozen) db = bias.accumulated_gradient();
    conv2d_backward_fused(x.stream(), plan(x.shape), options_.groups, x, weight.value, y, winners, dy, e, dx, dw.data ? &dw : nullptr, db.data ? &db : nullptr);
  }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>&) { conv2d_forward(x.stream(), plan(x.shape), options_.groups, x, weight.value, bias.value, y); }
  void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) {
    if constexpr (in_blocks) {
      if (prefers_blocks(x.shape)) return backward(x, y, dy, dx, pass, Epilogue{});
    }
    if (dx) conv2d_backward_input(x.stream(), plan(x.shape), options_.groups, weight.value, dy, *dx);
    if (!weight.frozen) conv2d_backward_weight(x.stream(), plan(x.shape), options_.groups, x, dy, weight.accumulated_gradient());
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
  bool describe(SmallStage<T, Space>& s, const Shape& x) {
    s.kind = SmallStage<T, Space>::Kind::convolution;
    s.window = plan(x);
    s.weight = &weight;
    if (options_.bias) s.bias = &bias;
    return options_.groups == 1;
  }
  Index flops(const Shape& x) const { return 2 * output_shape(x).size() * weight.value.shape().product(1, 4); }

 private:
  WindowPlan plan(const Shape& x) const { return place(window(), x[2], x[3], kind); }
  /// A byte for each pooled output, on the CPU of whole blocks.
  Shape winners_shape(const Shape& x, const Epilogue& e) const {
    return {stored_images(x[0], on_cpu ? Format::blocks : Format::rows) * options_.out * e.window.h.out * e.window.w.out};
  }

  Conv2dOptions options_;
};

}  // namespace ventral::inline v0
