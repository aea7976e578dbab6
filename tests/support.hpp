#pragma once
#include <doctest/doctest.h>

#include "helpers.hpp"
#if !defined(VENTRAL_TEST_OWN_KERNELS)
#include "ventral/cuda.hpp"
#endif
#include "ventral/gradient_check.hpp"
#include "ventral/sequential.hpp"

/// The spaces that layer tests run on: TEST_CASE_TEMPLATE("...", Space, VENTRAL_TEST_SPACES). Cuda is the emulator, or a GPU in ventral_tests_cuda.
#define VENTRAL_TEST_SPACES ventral::Cpu, ventral::Cuda

namespace test {

using namespace ventral;

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

/// Finite differences on a layer or network, relative error at most 1e-6. Check each layer alone and with another in front (in a Sequential).
template <Layer L>
void check_gradient(L& layer, const Tensor<double, typename L::Space>& x, GradientCheckOptions options = {}) {
  const GradientReport report = gradient_check(layer, x, options);
  INFO(to_string(report));
  CHECK(report.passed(1e-6));
}

}  // namespace test
