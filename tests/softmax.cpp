#include "ventral/layers/softmax.hpp"

#include "support.hpp"
#include "ventral/layers/activation.hpp"

using namespace ventral;

TEST_CASE_TEMPLATE("softmax: values at known points, any axis", Space, VENTRAL_TEST_SPACES) {
  const Tensor<double, Space> x = Tensor<double, Cpu>({2, 3}, {-1, 0, 1, 2, 2, 5}).to<Space>();
  const auto at = [&](auto layer) { return test::run(layer, x).template to<Cpu>(); };
  const Tensor<double> rows({2, 3}, {0.09003057317038046, 0.24472847105479767, 0.6652409557748219,
                             0.04527850074362907, 0.04527850074362907, 0.9094429985127418});
  CHECK(test::relative_error(at(Softmax<double, Space>()), rows) < 1e-14);
  CHECK(test::relative_error(at(Softmax<double, Space>({.axis = -1})), rows) < 1e-14);
  const double a = 1 / (1 + std::exp(3.0)), b = 1 / (1 + std::exp(2.0)), c = 1 / (1 + std::exp(4.0));
  CHECK(test::relative_error(at(Softmax<double, Space>({.axis = 0})), Tensor<double>({2, 3}, {a, b, c, 1 - a, 1 - b, 1 - c})) < 1e-14);
  auto logs = rows.clone();
  for (double& v : logs) v = std::log(v);
  CHECK(test::relative_error(at(LogSoftmax<double, Space>()), logs) < 1e-14);
}

TEST_CASE_TEMPLATE("softmax: gradients", Space, VENTRAL_TEST_SPACES) {
  const auto check = [&](auto layer, const Tensor<double, Space>& x) {
    test::check_gradient(layer, x);
    Sequential<double, Space> behind;
    behind.add("front", Tanh<double, Space>({.amplitude = 1.7159, .gain = 2.0 / 3})).add("softmax", layer);
    test::check_gradient(behind, x);
  };
  for (const int axis : {0, 1, 2, -1, -4}) {
    const auto x = test::random_tensor<double, Space>({3, 4, 2, 5});
    check(Softmax<double, Space>({.axis = axis}), x);
    check(LogSoftmax<double, Space>({.axis = axis}), x);
  }
  check(Softmax<double, Space>({.axis = 0}), test::random_tensor<double, Space>({6}));
  check(LogSoftmax<double, Space>({.axis = 3}), test::random_tensor<double, Space>({2, 2, 1, 3, 2}));
}

TEST_CASE("softmax: large numbers, infinities, NaN") {
  Softmax<float> softmax;
  LogSoftmax<float> logs;
  const Tensor<float> x({2, 4}, {0, 1, 2, 3, 10000, 10001, 10002, 10003});
  const auto y = test::run(softmax, x), l = test::run(logs, x);
  for (Index k = 0; k < 4; ++k) {
    CHECK(y[k] == y[4 + k]);
    CHECK(l[k] == l[4 + k]);
  }
  CHECK(l[0] == doctest::Approx(-3.4401896));
  const auto rare = test::run(logs, Tensor<float>({1, 2}, {-1000, 1000}));
  CHECK(rare[0] == -2000);
  CHECK(rare[1] == 0);
  const auto out = test::run(softmax, Tensor<float>({1, 3}, {-INFINITY, 2, 2}));
  CHECK(out[0] == 0);
  CHECK(out[1] == 0.5f);
  for (const float v : test::run(softmax, Tensor<float>({3, 2}, {NAN, 1, 1, NAN, INFINITY, 1}))) CHECK(std::isnan(v));
}

TEST_CASE("softmax: empty batch, one class, rows of many sizes sum to one, the same bits on one and two threads") {
  Softmax<float> softmax;
  LogSoftmax<float> logs;
  CHECK(test::run(softmax, Tensor<float>({0, 10})).shape() == Shape{0, 10});
  CHECK(test::run(softmax, Tensor<float>({3, 0})).shape() == Shape{3, 0});
  CHECK(test::run_backward(logs, Tensor<float>({4, 0, 3}), Tensor<float>({4, 0, 3})).dx.shape() == Shape{4, 0, 3});
  CHECK(test::run(softmax, Tensor<float>::full({1, 1}, -4))[0] == 1);
  const int before = cpu::threads();
  for (const Index n : {3, 10, 1000}) {
    const auto x = test::random_tensor<float>({64, n, 3}), dy = test::random_tensor<float>({64, n, 3}, 2);
    cpu::set_threads(1);
    const auto a = test::run_backward(softmax, x, dy);
    cpu::set_threads(2);
    const auto b = test::run_backward(softmax, x, dy);
    CHECK(test::relative_error(a.y, b.y) == 0);
    CHECK(test::relative_error(a.dx, b.dx) == 0);
    double sum = 0;
    for (const float v : a.y) sum += static_cast<double>(v);
    CHECK(sum == doctest::Approx(64 * 3).epsilon(1e-6));
  }
  cpu::set_threads(before);
}

TEST_CASE("softmax: messages") {
  CHECK(test::message_of<ShapeError>([] { static_cast<void>(Softmax<float>().output_shape({5})); }) == "Softmax: input [5] has no axis 1");
  CHECK(test::message_of<ShapeError>([] { static_cast<void>(LogSoftmax<float>({.axis = -3}).output_shape({5, 2})); }) ==
        "LogSoftmax: input [5,2] has no axis -3");
  CHECK(Softmax<float>().flops({2, 10}) == 100);
}
