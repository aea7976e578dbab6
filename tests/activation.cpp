#include "ventral/layers/activation.hpp"

#include "support.hpp"
#include "ventral/layers/flatten.hpp"

using namespace ventral;

TEST_CASE_TEMPLATE("activations: values at known points", Space, VENTRAL_TEST_SPACES) {
  const Tensor<double, Space> x = Tensor<double, Cpu>({5}, {-2.0, -0.5, 0.0, 0.5, 2.0}).to<Space>();
  const auto at = [&](auto layer) { return test::run(layer, x).template to<Cpu>(); };
  CHECK(test::relative_error(at(ReLU<double, Space>()), Tensor<double>({5}, {0, 0, 0, 0.5, 2})) == 0);
  CHECK(test::relative_error(at(LeakyReLU<double, Space>({.slope = 0.1})), Tensor<double>({5}, {-0.2, -0.05, 0, 0.5, 2})) < 1e-15);
  CHECK(test::relative_error(at(Heaviside<double, Space>()), Tensor<double>({5}, {0, 0, 1, 1, 1})) == 0);
  CHECK(test::relative_error(at(Sigmoid<double, Space>()), Tensor<double>({5}, {0.11920292202211755, 0.37754066879814541, 0.5, 0.62245933120185459, 0.88079707797788243})) < 1e-15);
  CHECK(test::relative_error(at(Tanh<double, Space>()), Tensor<double>({5}, {-0.96402758007581688, -0.46211715726000975, 0, 0.46211715726000975, 0.96402758007581688})) < 1e-15);
  CHECK(test::relative_error(at(ELU<double, Space>()), Tensor<double>({5}, {-0.86466471676338730, -0.39346934028736658, 0, 0.5, 2})) < 1e-15);
  CHECK(test::relative_error(at(Softplus<double, Space>()), Tensor<double>({5}, {0.12692801104297249, 0.47407698418010669, 0.69314718055994531, 0.97407698418010669, 2.12692801104297249})) < 1e-15);
}

TEST_CASE_TEMPLATE("activations: gradients", Space, VENTRAL_TEST_SPACES) {
  const auto x = test::random_tensor<double, Space>({3, 2, 5, 7});
  const auto check = [&](auto layer) {
    test::check_gradient(layer, x);
    Sequential<double, Space> behind;  // with another layer in front
    behind.add("front", Tanh<double, Space>({.amplitude = 1.7159, .gain = 2.0 / 3})).add("layer", layer);
    test::check_gradient(behind, x);
  };
  check(ReLU<double, Space>());
  check(LeakyReLU<double, Space>({.slope = 0.2}));
  check(Sigmoid<double, Space>());
  check(Tanh<double, Space>({.amplitude = 1.7159, .gain = 2.0 / 3}));
  check(ELU<double, Space>({.alpha = 0.7}));
  check(Softplus<double, Space>());
}

TEST_CASE("activations: extremes neither overflow nor hide NaN") {
  const float inf = INFINITY, nan = NAN;
  const Tensor<float> x({7}, {-inf, -1e30f, -100, 0, 100, 1e30f, inf});
  ReLU<float> relu;
  Sigmoid<float> sigmoid;
  Softplus<float> softplus;
  const auto s = test::run(sigmoid, x), p = test::run(softplus, x), r = test::run(relu, x);
  CHECK(s[0] == 0);
  CHECK(s[2] == doctest::Approx(3.7835e-44).epsilon(0.05));
  CHECK(s[6] == 1);
  CHECK(p[1] == 0);
  CHECK(p[5] == 1e30f);
  CHECK(r[6] == inf);
  const Tensor<float> bad = Tensor<float>::full({40}, nan);  // vector part and tail
  for (const float v : test::run(relu, bad)) CHECK(std::isnan(v));
}

TEST_CASE("activations: empty input, odd sizes, one element") {
  ReLU<float> relu;
  CHECK(test::run(relu, Tensor<float>({0, 3, 2, 2})).shape() == Shape{0, 3, 2, 2});
  for (const Index n : {1, 15, 16, 17, 33, 40001}) {
    const auto x = test::random_tensor<float>({n}), dy = test::random_tensor<float>({n}, 2);
    const auto result = test::run_backward(relu, x, dy);
    bool same = true;
    for (Index i = 0; i < n; ++i) same = same && result.y[i] == (x[i] > 0 ? x[i] : 0) && result.dx[i] == (x[i] > 0 ? dy[i] : 0);
    CHECK(same);
  }
}

TEST_CASE("Heaviside: no gradient, and it says so") {
  Heaviside<float> layer;
  CHECK(test::message_of<Error>([&] { test::run_backward(layer, Tensor<float>({2}), Tensor<float>({2})); }) ==
        "Heaviside: a step has no useful gradient; train with the perceptron rule, or put Sigmoid in its place");
}
