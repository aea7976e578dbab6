#include "ventral/layers/activation.hpp"

#include <limits>

#include "agreement.hpp"
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

TEST_CASE_TEMPLATE("activations: extremes neither overflow nor hide NaN", Space, VENTRAL_TEST_SPACES) {
  const float inf = INFINITY, nan = NAN;
  const auto x = Tensor<float>({7}, {-inf, -1e30f, -100, 0, 100, 1e30f, inf}).to<Space>();
  ReLU<float, Space> relu;
  const auto at = [&](auto layer) { return test::run(layer, x).template to<Cpu>(); };
  const auto s = at(Sigmoid<float, Space>()), p = at(Softplus<float, Space>()), r = at(relu);
  CHECK(s[0] == 0);
  CHECK(s[2] == doctest::Approx(3.7835e-44).epsilon(0.05));
  CHECK(s[6] == 1);
  CHECK(p[1] == 0);
  CHECK(p[5] == 1e30f);
  CHECK(r[6] == inf);
  const auto bad = Tensor<float>::full({43}, nan).to<Space>();  // vector part and tail
  for (const float v : test::run(relu, bad).template to<Cpu>()) CHECK(std::isnan(v));
  const auto dy = Tensor<float>({2}, {inf, nan}).to<Space>(), below = Tensor<float>({2}, {-1, 0}).to<Space>();
  for (const float v : test::run_backward(relu, below, dy).dx.template to<Cpu>()) CHECK(v == 0);  // chosen, not multiplied
}

TEST_CASE_TEMPLATE("activations: empty input, odd sizes, one element", Space, VENTRAL_TEST_SPACES) {
  ReLU<float, Space> relu;
  CHECK(test::run(relu, Tensor<float, Space>({0, 3, 2, 2})).shape() == Shape{0, 3, 2, 2});
  for (const Index n : {1, 3, 15, 16, 17, 33, 40001}) {
    const auto x = test::random_tensor<float>({n}), dy = test::random_tensor<float>({n}, 2);
    const auto result = test::run_backward(relu, x.to<Space>(), dy.to<Space>());
    const auto y = result.y.template to<Cpu>(), dx = result.dx.template to<Cpu>();
    bool same = true;
    for (Index i = 0; i < n; ++i) same = same && y[i] == (x[i] > 0 ? x[i] : 0) && dx[i] == (x[i] > 0 ? dy[i] : 0);
    CHECK(same);
  }
}

namespace {

/// Calls check with a function that gives each activation for a type and a space.
template <class Check>
void for_each_activation(const Check& check) {
  check([]<class T, class Space> { return ReLU<T, Space>(); });
  check([]<class T, class Space> { return LeakyReLU<T, Space>({.slope = 0.25}); });
  check([]<class T, class Space> { return Sigmoid<T, Space>(); });
  check([]<class T, class Space> { return Tanh<T, Space>({.amplitude = 1.5, .gain = 0.75}); });
  check([]<class T, class Space> { return ELU<T, Space>({.alpha = 0.5}); });
  check([]<class T, class Space> { return Softplus<T, Space>(); });
}

}  // namespace

TEST_CASE_TEMPLATE("activations: Cuda agrees with Cpu", T, float, double) {
  for (const Shape& shape : {Shape{1}, Shape{3, 5, 7}, Shape{2, 2, 16, 16}})
    for_each_activation([&](const auto& make) { test::check_agreement<T>(make, shape); });
}

TEST_CASE_TEMPLATE("activations: 16-bit numbers agree with float", T, bfloat16, half) {
  for (const Shape& shape : {Shape{1, 5}, Shape{7, 11, 13}})  // 1001 elements: packs of eight and a tail
    for_each_activation([&](const auto& make) { test::check_narrow<T>(make, shape, 6); });
  Heaviside<T, Cuda> step;
  const auto y = test::run(step, Tensor<T>({3}, {T(-2), T(0), T(2)}).template to<Cuda>()).template to<Cpu>();
  CHECK(test::relative_error(y, Tensor<float>({3}, {0, 1, 1})) == 0);
}

TEST_CASE("activations: blocks of images give the numbers of rows, and unused lanes gradients of 0") {
  for (const Index n : {1, 15, 16, 17}) {
    const Shape shape{n, 3, 2, 5};
    for_each_activation([&](const auto& make) {
      auto layer = make.template operator()<float, Cpu>();
      CHECK(layer.takes_blocks(shape));
      const auto x = test::random_tensor<float>(shape), dy = test::random_tensor<float>(shape, 2);
      const auto expected = test::run_backward(layer, x, dy);
      const auto make_blocks = [&] {
        auto t = Tensor<float>::uninitialized(shape, Format::blocks);
        t.zero();
        return t;
      };
      auto bx = make_blocks(), bdy = make_blocks(), y = make_blocks(), dx = make_blocks();
      const auto for_places = [&](auto body) {
        for (Index i = 0, flat = 0; i < n; ++i)
          for (Index c = 0; c < 3; ++c)
            for (Index h = 0; h < 2; ++h)
              for (Index w = 0; w < 5; ++w) body(flat++, i, c, h, w);
      };
      for_places([&](Index flat, auto... p) { bx.at(p...) = x[flat], bdy.at(p...) = dy[flat]; });
      Pass<Cpu> pass(Mode::training);
      Out<float> out = dx.ref();
      layer.forward(bx, y, pass);
      layer.backward(bx, y, bdy, &out, pass);
      bool same = true;
      for_places([&](Index flat, auto... p) { same = same && y.at(p...) == expected.y[flat] && dx.at(p...) == expected.dx[flat]; });
      double unused = 0, all = 0;
      for (const float v : dx) all += std::abs(static_cast<double>(v));
      for (const float v : expected.dx) unused += std::abs(static_cast<double>(v));
      INFO(std::string(decltype(layer)::kind) << ", " << n << " images");
      CHECK(same);
      CHECK(all == doctest::Approx(unused).epsilon(1e-12));
      for (const float v : y) CHECK(std::isfinite(v));
    });
  }
  CHECK(!ReLU<double>().takes_blocks({16, 3}));
}

TEST_CASE("ReLU: joins what another layer does to its result, but not after mean pooling") {
  Epilogue plain, max{.pool = Epilogue::Pool::max}, mean{.pool = Epilogue::Pool::mean};
  CHECK(ReLU<float>().join(plain, {1}));
  CHECK(plain.relu);
  CHECK(!ReLU<float>().join(plain, {1}));
  CHECK(ReLU<float>().join(max, {1}));
  CHECK(!ReLU<float>().join(mean, {1}));
  CHECK(!mean.relu);
}

TEST_CASE_TEMPLATE("activations: the formulas, at all sizes, in place, NaN and infinities", T, float, double) {
  const auto check = [&](const auto& f, double tolerance) {
    for (const Index n : {1, 7, 16, 31, 16390}) {
      auto x = test::random_tensor<T>({n}, 4, 0, 3);
      const auto dy = test::random_tensor<T>({n}, 5);
      if (n > 16) x[3] = -INFINITY, x[4] = INFINITY, x[5] = 0, x[6] = T(-120);
      Tensor<T> y({n}), dx = dy.clone(), again = x.clone();
      cpu::activation_forward(x.stream(), f, x, y.ref());
      cpu::activation_forward(x.stream(), f, again, again.ref());
      cpu::activation_backward(x.stream(), f, x, y, dx, dx.ref());
      bool good = true;
      for (Index i = 0; i < n; ++i) {
        const auto near = [&](T a, T b) { return a == b || std::abs(a - b) <= T(tolerance) * std::max(T(1), std::abs(b)); };
        good = good && near(y[i], f.value(x[i])) && near(dx[i], dy[i] * f.slope(x[i], y[i])) && again[i] == y[i];
      }
      CHECK(good);
    }
    const auto bad = Tensor<T>::full({43}, std::numeric_limits<T>::quiet_NaN());
    Tensor<T> y({43});
    cpu::activation_forward(bad.stream(), f, bad, y.ref());
    for (const T v : y) CHECK(std::isnan(v));
  };
  const double tolerance = 8 * static_cast<double>(std::numeric_limits<T>::epsilon());
  check(activation::Relu<T>{}, 0);
  check(activation::LeakyRelu<T>{T(0.1)}, tolerance);
  check(activation::Sigmoid<T>{}, tolerance);
  check(activation::Tanh<T>{T(1.7159), T(0.66)}, tolerance);
  check(activation::Elu<T>{T(0.7)}, tolerance);
  check(activation::Softplus<T>{}, tolerance);
}

TEST_CASE("Heaviside: no gradient, and it says so") {
  Heaviside<float> layer;
  CHECK(test::message_of<Error>([&] { test::run_backward(layer, Tensor<float>({2}), Tensor<float>({2})); }) ==
        "Heaviside: a step has no useful gradient; train with the perceptron rule, or put Sigmoid in its place");
}
