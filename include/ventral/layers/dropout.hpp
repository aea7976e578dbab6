#pragma once
#include "ventral/cpu/dropout.hpp"
#include "ventral/layer.hpp"

namespace ventral::inline v0 {

struct DropoutOptions {
  double rate = 0.5;  ///< probability that an element is dropped, 0 to 1
};
/// Training: y = 0 with probability `rate`, else x / (1 - rate), so that the mean stays; inference: y = x. Any shape. The mask is drawn from the
/// pass: the same again when a step is repeated, another in each layer and step. Gradient dy / (1 - rate) where x was kept, else 0.
/// Throws Error for a rate outside 0 to 1. Source: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov 2014.
template <class T, class SpaceType = Cpu>
class Dropout {
 public:
  using Scalar = T;
  using Space = SpaceType;
  using Options = DropoutOptions;
  static constexpr const char* kind = "Dropout";

  explicit Dropout(Options o = {}) : rate_(o.rate) { require(o.rate >= 0 && o.rate <= 1, kind, ": rate is ", o.rate, "; 0 to 1 expected"); }

  Shape output_shape(const Shape& x) const { return x; }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass) {
    if (!pass.training() || rate_ == 0) return Space::copy(y.data, x.data, bytes(x));
    dropout_forward(x.stream(), pass.step_random(), rate_, x, y, pass.template keep<unsigned char>(0, x.shape, x.format));
  }
  void backward(In<T, Space> x, In<T, Space>, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) {
    if (!dx) return;
    if (rate_ == 0) return Space::copy(dx->data, dy.data, bytes(dy));
    dropout_backward(dy.stream(), rate_, pass.template kept<unsigned char>(0, x.shape, x.format), dy, *dx);
  }
  /// Of the mask.
  Index kept_bytes(const Shape& x, Format format) const { return stored_size(x, format); }
  /// Whether x, y and their gradients may lie in blocks.
  bool takes_blocks(const Shape& x) const { return std::is_same_v<T, float> && std::is_same_v<Space, Cpu> && cpu::dropout_takes_blocks(x); }
  /// A multiplication an element.
  Index flops(const Shape& x) const { return x.size(); }

 private:
  static std::size_t bytes(In<T, Space> x) { return static_cast<std::size_t>(stored_size(x.shape, x.format)) * sizeof(T); }

  double rate_;
};

}  // namespace ventral::inline v0
