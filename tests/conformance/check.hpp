#pragma once
#include <cmath>
#include <string>

#include "conformance/case.hpp"
#include "ventral/layer.hpp"

namespace conformance {

using ventral::Cpu;
using ventral::In;
using ventral::Mode;
using ventral::Out;
using ventral::Parameter;
using ventral::Pass;
using ventral::TensorRef;

/// How far a result may be from the reference. Norm: |got - want| / |want| over a whole array, at most `relative`.
/// Element by element: |got - want| <= atol + rtol |want|, reported as the largest share of what is allowed.
struct Tolerance {
  bool by_element = false;
  double relative = 0, rtol = 0, atol = 0;
  double allowed() const { return by_element ? 1 : relative; }
};

/// A copy in main memory of a result in the memory of a space.
template <class T, class Space>
Tensor<std::remove_const_t<T>> to_cpu(TensorRef<T, Space> x) {
  auto out = Tensor<std::remove_const_t<T>>::uninitialized(x.shape);
  Space::copy_to_host(out.data(), x.data, static_cast<std::size_t>(x.size()) * sizeof(T));
  return out;
}

/// Compares the results of one case, computed in T on a space, with the reference, and remembers the worst.
template <class T, class Space>
class Check {
 public:
  explicit Check(Tolerance tolerance) : tolerance_(tolerance) {}

  void compare(const std::string& name, In<T, Space> got, const Array& want)
    requires(!std::is_same_v<Space, Cpu>)
  {
    compare(name, to_cpu(got), want);
  }
  void compare(const std::string& name, In<T> got, const Array& want) {
    ++comparisons_;
    if (!(got.shape == want.shape())) return fail(concat(name, " has shape ", got.shape, "; expected ", want.shape()));
    note(name, tolerance_.by_element ? by_element(got, want) : by_norm(got, want));
  }
  void compare(const std::string& name, double got, const Array& want) {
    const T held = static_cast<T>(got);
    compare(name, In<T>(&held, want.values.size() == 1 ? want.shape() : Shape{}), want);
  }
  /// Anything else that must hold.
  void expect(bool holds, const std::string& what) {
    ++comparisons_;
    if (!holds) fail(what);
  }

  int comparisons() const { return comparisons_; }
  double error() const { return error_; }
  /// Empty when all is well.
  const std::string& failure() const { return failure_; }

 private:
  void fail(const std::string& what) { failure_ += (failure_.empty() ? "" : "; ") + what; }
  void note(const std::string& name, double error) {
    if (!(error <= error_)) error_ = error;
    if (!(error <= tolerance_.allowed())) fail(concat(name, " is off by ", error, tolerance_.by_element ? " times the tolerance" : concat("; ", tolerance_.allowed(), " allowed")));
  }
  static double difference(double got, double want) { return got == want || (std::isnan(got) && std::isnan(want)) ? 0 : std::abs(got - want); }
  double by_norm(In<T> got, const Array& want) const {
    double distance = 0, norm = 0;
    for (Index i = 0; i < got.size(); ++i) {
      const double d = difference(static_cast<double>(got.data[i]), want.values[i]);
      distance += d * d;
      norm += want.values[i] * want.values[i];
    }
    return norm > 0 ? std::sqrt(distance / norm) : std::sqrt(distance);
  }
  double by_element(In<T> got, const Array& want) const {
    double worst = 0;
    for (Index i = 0; i < got.size(); ++i) {
      const double share = difference(static_cast<double>(got.data[i]), want.values[i]) / (tolerance_.atol + tolerance_.rtol * std::abs(want.values[i]));
      if (!(share <= worst)) worst = share;
    }
    return worst;
  }

  Tolerance tolerance_;
  int comparisons_ = 0;
  double error_ = 0;
  std::string failure_;
};

/// Gives a parameter the values of an array of as many elements.
template <class T, class Space>
void set(Parameter<T, Space>& parameter, const Array& a) {
  const Shape& shape = parameter.value.shape();
  if (a.values.size() != shape.size()) throw Malformed(concat("array '", a.name, "' of shape ", a.shape(), " does not fit a parameter of shape ", shape));
  parameter.value.copy_from(a.as<T, Space>().reshaped(shape));
}

/// One forward pass of a layer.
template <class L>
auto forward(L& layer, In<typename L::Scalar, typename L::Space> x, Mode mode = Mode::inference) {
  Pass<typename L::Space> pass(mode, 1);
  auto y = Tensor<typename L::Scalar, typename L::Space>::uninitialized(layer.output_shape(x.shape));
  layer.forward(x, y, pass);
  return y;
}

}  // namespace conformance
