#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#if !defined(VENTRAL_TEST_OWN_KERNELS)
#include "ventral/cuda.hpp"
#endif
#include "ventral/gradient_check.hpp"
#include "ventral/sequential.hpp"

/// The spaces that layer tests run on: TEST_CASE_TEMPLATE("...", Space, VENTRAL_TEST_SPACES). Cuda is the emulator, or a GPU in ventral_tests_cuda.
#define VENTRAL_TEST_SPACES ventral::Cpu, ventral::Cuda

namespace test {

using namespace ventral;

/// Normal numbers, the same for a given seed.
template <class T, class Space = Cpu>
Tensor<T, Space> random_tensor(Shape shape, std::uint64_t seed = 1, double mean = 0, double deviation = 1) {
  Random random(seed);
  Tensor<T, Cpu> x(shape);
  for (T& v : x) v = static_cast<T>(random.normal(mean, deviation));
  return x.template to<Space>();
}

/// |a - b| / |b| over whole arrays; infinite when shapes differ or anything is not finite.
template <class A, class B>
double relative_error(const Tensor<A, Cpu>& a, const Tensor<B, Cpu>& b) {
  if (!(a.shape() == b.shape())) return INFINITY;
  double difference = 0, norm = 0;
  for (Index i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    if (!std::isfinite(d)) return INFINITY;
    difference += d * d;
    norm += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return norm == 0 ? std::sqrt(difference) : std::sqrt(difference / norm);
}

/// Runs a layer once on x and returns y.
template <Layer L>
auto run(L& layer, const Tensor<typename L::Scalar, typename L::Space>& x, Mode mode = Mode::inference) {
  Pass<typename L::Space> pass(mode);
  auto y = Tensor<typename L::Scalar, typename L::Space>::uninitialized(layer.output_shape(x.shape()));
  layer.forward(x, y, pass);
  return y;
}

/// Forward and backward of a layer: y, dx for the given dy; parameter gradients are left in the layer.
template <class T, class Space>
struct Result {
  Tensor<T, Space> y, dx;
};
template <Layer L>
auto run_backward(L& layer, const Tensor<typename L::Scalar, typename L::Space>& x, const Tensor<typename L::Scalar, typename L::Space>& dy) {
  using T = typename L::Scalar;
  using Space = typename L::Space;
  Pass<Space> pass(Mode::training);
  auto y = Tensor<T, Space>::uninitialized(layer.output_shape(x.shape()));
  layer.forward(x, y, pass);
  auto dx = Tensor<T, Space>::uninitialized(x.shape());
  Out<T, Space> out = dx.ref();
  layer.backward(x, y, dy, &out, pass);
  return Result<T, Space>{std::move(y), std::move(dx)};
}

/// The message of the exception of type E that f throws; fails the test when it throws none.
template <class E, class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  } catch (const std::exception& e) {
    FAIL("another exception: " << e.what());
  }
  FAIL("no exception");
  return "";
}

/// Finite differences on a layer or network, relative error at most 1e-6. Check each layer alone and with another in front (in a Sequential).
template <Layer L>
void check_gradient(L& layer, const Tensor<double, typename L::Space>& x, GradientCheckOptions options = {}) {
  const GradientReport report = gradient_check(layer, x, options);
  INFO(to_string(report));
  CHECK(report.passed(1e-6));
}

}  // namespace test
