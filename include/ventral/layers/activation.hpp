#pragma once
#include "ventral/cpu/activation.hpp"
#include "ventral/epilogue.hpp"
#include "ventral/layer.hpp"
#include "ventral/small_stage.hpp"

namespace ventral::inline v0 {

namespace detail {

/// A layer that applies one formula to each element: what ReLU, Sigmoid, Tanh, ELU, ... share.
template <class T, class SpaceType, class Function>
class Elementwise {
 public:
  using Scalar = T;
  using Space = SpaceType;

  explicit Elementwise(Function f) : function_(f) {}
  Shape output_shape(const Shape& x) const { return x; }
  bool takes_blocks(const Shape&) const { return std::is_same_v<T, float> && std::is_same_v<Space, Cpu>; }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>&) { activation_forward(x.stream(), function_, x.stored(), y.stored()); }
  void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>&) {
    if (dx) activation_backward(x.stream(), function_, x.stored(), y.stored(), dy.stored(), dx->stored());
  }
  /// One operation an element, whatever it costs.
  Index flops(const Shape& x) const { return x.size(); }

 private:
  Function function_;
};

}  // namespace detail

/// Rectification, y = max(0, x): the threshold of most convolutional models of the ventral stream. Gradient 0 at the kink x = 0.
template <class T, class Space = Cpu>
struct ReLU : detail::Elementwise<T, Space, activation::Relu<T>> {
  static constexpr const char* kind = "ReLU";
  ReLU() : detail::Elementwise<T, Space, activation::Relu<T>>({}) {}

  /// Also in front of a max pooling that another layer has taken over: the two commute.
  bool join(Epilogue& e, const Shape&) const {
    if (e.relu || e.pool == Epilogue::Pool::mean) return false;
    return e.relu = true;
  }
  bool describe(SmallStage<T, Space>& s, const Shape&) const {
    s.kind = SmallStage<T, Space>::Kind::relu;
    return true;
  }
};

struct LeakyReLUOptions {
  double slope = 0.01;  ///< of the negative side
};
/// y = x where x > 0, else slope x (Maas, Hannun, Ng 2013).
template <class T, class Space = Cpu>
struct LeakyReLU : detail::Elementwise<T, Space, activation::LeakyRelu<T>> {
  static constexpr const char* kind = "LeakyReLU";
  explicit LeakyReLU(LeakyReLUOptions o = {}) : detail::Elementwise<T, Space, activation::LeakyRelu<T>>({static_cast<Compute<T>>(o.slope)}) {}
};

/// y = 1 / (1 + exp(-x)).
template <class T, class Space = Cpu>
struct Sigmoid : detail::Elementwise<T, Space, activation::Sigmoid<T>> {
  static constexpr const char* kind = "Sigmoid";
  Sigmoid() : detail::Elementwise<T, Space, activation::Sigmoid<T>>({}) {}
  bool describe(SmallStage<T, Space>& s, const Shape&) const {
    s.kind = SmallStage<T, Space>::Kind::sigmoid;
    return true;
  }
};

struct TanhOptions {
  double amplitude = 1, gain = 1;
};
/// y = amplitude tanh(gain x). LeCun 1998 uses {.amplitude = 1.7159, .gain = 2.0 / 3}.
template <class T, class Space = Cpu>
struct Tanh : detail::Elementwise<T, Space, activation::Tanh<T>> {
  static constexpr const char* kind = "Tanh";
  explicit Tanh(TanhOptions o = {})
      : detail::Elementwise<T, Space, activation::Tanh<T>>({static_cast<Compute<T>>(o.amplitude), static_cast<Compute<T>>(o.gain)}), options_(o) {}
  bool describe(SmallStage<T, Space>& s, const Shape&) const {
    s.kind = SmallStage<T, Space>::Kind::tanh;
    s.amplitude = options_.amplitude, s.gain = options_.gain;
    return true;
  }

 private:
  TanhOptions options_;
};

struct ELUOptions {
  double alpha = 1;
};
/// y = x where x > 0, else alpha (exp(x) - 1) (Clevert, Unterthiner, Hochreiter 2016).
template <class T, class Space = Cpu>
struct ELU : detail::Elementwise<T, Space, activation::Elu<T>> {
  static constexpr const char* kind = "ELU";
  explicit ELU(ELUOptions o = {}) : detail::Elementwise<T, Space, activation::Elu<T>>({static_cast<Compute<T>>(o.alpha)}) {}
};

/// y = log(1 + exp(x)).
template <class T, class Space = Cpu>
struct Softplus : detail::Elementwise<T, Space, activation::Softplus<T>> {
  static constexpr const char* kind = "Softplus";
  Softplus() : detail::Elementwise<T, Space, activation::Softplus<T>>({}) {}
};

/// y = 1 where x >= 0, else 0: Rosenblatt's unit. It has no useful gradient: backward throws Error and names what trains instead.
template <class T, class SpaceType = Cpu>
class Heaviside {
 public:
  using Scalar = T;
  using Space = SpaceType;
  static constexpr const char* kind = "Heaviside";

  Shape output_shape(const Shape& x) const { return x; }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>&) { activation_forward(x.stream(), activation::Heaviside<T>{}, x, y); }
  void backward(In<T, Space>, In<T, Space>, In<T, Space>, Out<T, Space>*, Pass<Space>&) {
    throw Error("Heaviside: a step has no useful gradient; train with the perceptron rule, or put Sigmoid in its place");
  }
};

}  // namespace ventral::inline v0
