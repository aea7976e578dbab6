#pragma once
#include "ventral/cpu/linear.hpp"
#include "ventral/epilogue.hpp"
#include "ventral/initializer.hpp"
#include "ventral/layer.hpp"
#include "ventral/small_stage.hpp"

namespace ventral::inline v0 {

struct LinearOptions {
  Index in = 0, out = 0;
  bool bias = true;
  Initializer init = Init::he_uniform;  ///< of the weights; biases start at 0
};

/// A layer of units that see every input: y = x w^T + b. x [...,in] (leading axes are a batch), weight [out,in], bias [out], y [...,out].
/// dx = dy w, dw = dy^T x, db = sum dy. Throws ShapeError when the last extent of x is not `in`.
template <class T, class SpaceType = Cpu>
class Linear {
 public:
  using Scalar = T;
  using Space = SpaceType;
  static constexpr const char* kind = "Linear";

  Parameter<T, Space> weight, bias;

  [[gnu::cold]] explicit Linear(LinearOptions o) : options_(o) {
    require<ShapeError>(o.in > 0 && o.out > 0, "Linear: in ", o.in, " and out ", o.out, " must be positive");
    weight = Parameter<T, Space>({o.out, o.in});
    if (o.bias) bias = Parameter<T, Space>({o.out});
    initialize(Random(0));
  }

  const LinearOptions& options() const { return options_; }

  Shape output_shape(const Shape& x) const {
    require<ShapeError>(x.rank() >= 2, "Linear: input ", x, " has rank ", x.rank(), "; [N,...,", options_.in, "] is needed");
    require<ShapeError>(x.dim(-1) == options_.in, "Linear: input ", x, " has ", x.dim(-1), " features; weight ", weight.value.shape(), " expects ",
                        options_.in);
    return x.with(-1, options_.out);
  }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>&) { linear_forward(x.stream(), rows(x), weight.value, bias.value, rows(y)); }
  void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) {
    backward(x, y, dy, dx, pass, Epilogue{});
  }

  /// ReLU as y is written.
  bool fuses(const Epilogue& e, const Shape&) const { return e.pool == Epilogue::Pool::none; }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass, const Epilogue& e) {
    if (e.relu) linear_relu_forward(x.stream(), rows(x), weight.value, bias.value, rows(y));
    else forward(x, y, pass);
  }
  void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass, const Epilogue& e) {
    Out<T, Space> gated, dx_rows, dw, db;
    if (e.relu) gated = rows(pass.template workspace<T>(0, dy.shape));
    if (dx) dx_rows = rows(*dx);
    if (!weight.frozen) dw = weight.accumulated_gradient();
    if (options_.bias && !bias.frozen) db = bias.accumulated_gradient();
    linear_backward(x.stream(), rows(x), rows(y), In<T, Space>(weight.value), rows(dy), e.relu ? &gated : nullptr, dx ? &dx_rows : nullptr,
                    weight.frozen ? nullptr : &dw, options_.bias && !bias.frozen ? &db : nullptr);
  }

  std::vector<NamedParameter<T, Space>> parameters() {
    std::vector<NamedParameter<T, Space>> p{{"weight", &weight}};
    if (options_.bias) p.push_back({"bias", &bias});
    return p;
  }
  void initialize(Random random) {
    ventral::initialize(weight.value, options_.init, options_.in, options_.out, random);
    bias.value.zero();
  }
  bool describe(SmallStage<T, Space>& s, const Shape& x) {
    s.kind = SmallStage<T, Space>::Kind::linear;
    s.weight = &weight;
    if (options_.bias) s.bias = &bias;
    return x.rank() == 2;
  }
  Index flops(const Shape& x) const { return 2 * x.size() * options_.out; }

 private:
  template <class Ref>
  static Ref rows(Ref x) {
    const int last = x.shape.rank() - 1;
    return x.reshaped({x.shape.product(0, last), x.shape[last]});
  }

  LinearOptions options_;
};

}  // namespace ventral::inline v0
