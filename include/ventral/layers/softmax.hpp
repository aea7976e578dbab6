#pragma once
#include "ventral/cpu/softmax.hpp"
#include "ventral/layer.hpp"

namespace ventral::inline v0 {

struct SoftmaxOptions {
  int axis = 1;  ///< negative axes count from the end
};

namespace detail {

/// What Softmax and LogSoftmax share: an axis of the input, any shape.
template <class T, class SpaceType>
class AlongAxis {
 public:
  using Scalar = T;
  using Space = SpaceType;

  /// About five operations an element: maximum, difference, exponential, sum, division.
  Index flops(const Shape& x) const { return 5 * x.size(); }

 protected:
  explicit AlongAxis(int axis) : axis_(axis) {}
  /// The axis counted from the front. Throws ShapeError when the input has no such axis.
  int axis(const Shape& x, const char* kind) const {
    require<ShapeError>(-x.rank() <= axis_ && axis_ < x.rank(), kind, ": input ", x, " has no axis ", axis_);
    return axis_ < 0 ? axis_ + x.rank() : axis_;
  }

 private:
  int axis_;
};

}  // namespace detail

/// y_k = exp(x_k) / sum_j exp(x_j) along an axis of an input of any shape, without overflow. A line with a NaN or +infinity, or of -infinity
/// alone, becomes NaN. Gradient y_k (dy_k - sum_j dy_j y_j). Throws ShapeError when there is no such axis.
template <class T, class SpaceType = Cpu>
class Softmax : public detail::AlongAxis<T, SpaceType> {
 public:
  using Space = SpaceType;
  static constexpr const char* kind = "Softmax";

  explicit Softmax(SoftmaxOptions o = {}) : detail::AlongAxis<T, Space>(o.axis) {}

  Shape output_shape(const Shape& x) const {
    static_cast<void>(this->axis(x, kind));
    return x;
  }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>&) { softmax_forward(x.stream(), this->axis(x.shape, kind), x, y); }
  void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>&) {
    if (dx) softmax_backward(x.stream(), this->axis(x.shape, kind), y, dy, *dx);
  }
};

/// y_k = x_k - log(sum_j exp(x_j)) along an axis of an input of any shape, without overflow. A line with a NaN or +infinity, or of -infinity
/// alone, becomes NaN. Gradient dy_k - exp(y_k) sum_j dy_j. Throws ShapeError when there is no such axis.
template <class T, class SpaceType = Cpu>
class LogSoftmax : public detail::AlongAxis<T, SpaceType> {
 public:
  using Space = SpaceType;
  static constexpr const char* kind = "LogSoftmax";

  explicit LogSoftmax(SoftmaxOptions o = {}) : detail::AlongAxis<T, Space>(o.axis) {}

  Shape output_shape(const Shape& x) const {
    static_cast<void>(this->axis(x, kind));
    return x;
  }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>&) { log_softmax_forward(x.stream(), this->axis(x.shape, kind), x, y); }
  void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>&) {
    if (dx) log_softmax_backward(x.stream(), this->axis(x.shape, kind), y, dy, *dx);
  }
};

}  // namespace ventral::inline v0
