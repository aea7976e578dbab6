#include "ventral/layers/gdn.hpp"

#include "support.hpp"
#include "ventral/layers/activation.hpp"

using namespace ventral;

namespace {

/// A layer with positive random beta and gamma.
template <class Space, class T = double>
GDN<T, Space> random_gdn(Index channels) {
  GDN<T, Space> layer({.channels = channels});
  Random random(11);
  Tensor<double> beta({channels}), gamma({channels, channels});
  for (double& v : beta) v = random.uniform(0.5, 2);
  for (double& v : gamma) v = random.uniform(0.05, 0.5);
  layer.beta.value = beta.cast<T>().template to<Space>();
  layer.gamma.value = gamma.cast<T>().template to<Space>();
  return layer;
}

/// What forward and backward of random_gdn give, on the CPU.
template <class T>
struct Outcome {
  Tensor<T> y, dx, dbeta, dgamma;
};
template <class Space, class T>
Outcome<T> outcome(const Tensor<T>& x, const Tensor<T>& dy) {
  auto layer = random_gdn<Space, T>(x.dim(1));
  const auto r = test::run_backward(layer, x.template to<Space>(), dy.template to<Space>());
  return {r.y.template to<Cpu>(), r.dx.template to<Cpu>(), layer.beta.gradient.template to<Cpu>(), layer.gamma.gradient.template to<Cpu>()};
}

}  // namespace

TEST_CASE_TEMPLATE("GDN: the formula by hand", Space, VENTRAL_TEST_SPACES) {
  GDN<double, Space> layer({.channels = 2});
  layer.beta.value = Tensor<double>({2}, {1, 2}).to<Space>();
  layer.gamma.value = Tensor<double>({2, 2}, {1, 2, 0.5, 0}).to<Space>();
  const auto x = Tensor<double>({1, 2, 1, 2}, {1, 0, 2, -3}).to<Space>();
  const Tensor<double> expected({1, 2, 1, 2}, {1 / std::sqrt(10.0), 0, 2 / std::sqrt(2.5), -3 / std::sqrt(2.0)});
  CHECK(test::relative_error(test::run(layer, x).template to<Cpu>(), expected) < 1e-15);
}

TEST_CASE_TEMPLATE("GDN: odd shapes agree with a direct sum", Space, VENTRAL_TEST_SPACES) {
  for (const Shape shape : {Shape{2, 7, 9, 11}, Shape{1, 1, 3, 3}, Shape{3, 4, 1, 1}, Shape{2, 5, 67}, Shape{5, 6}}) {
    const auto x = test::random_tensor<double>(shape);
    auto layer = random_gdn<Space>(shape[1]);
    const auto beta = layer.beta.value.template to<Cpu>(), gamma = layer.gamma.value.template to<Cpu>();
    const Index c = shape[1], positions = shape.product(2, shape.rank());
    Tensor<double> expected(shape);
    for (Index n = 0; n < shape[0]; ++n)
      for (Index i = 0; i < c; ++i)
        for (Index p = 0; p < positions; ++p) {
          double norm = beta[i];
          for (Index j = 0; j < c; ++j) norm += gamma.at(i, j) * x[(n * c + j) * positions + p] * x[(n * c + j) * positions + p];
          expected[(n * c + i) * positions + p] = x[(n * c + i) * positions + p] / std::sqrt(norm);
        }
    CHECK(test::relative_error(test::run(layer, x.to<Space>()).template to<Cpu>(), expected) < 1e-14);
    CHECK(test::relative_error(test::run(layer, x.to<Space>(), Mode::training).template to<Cpu>(), expected) < 1e-14);
  }
}

TEST_CASE_TEMPLATE("GDN: gradients", Space, VENTRAL_TEST_SPACES) {
  for (const Shape shape : {Shape{2, 5, 3, 5}, Shape{3, 1, 2, 1}, Shape{4, 6}, Shape{1, 4, 9, 9}}) {
    auto layer = random_gdn<Space>(shape[1]);
    const auto x = test::random_tensor<double, Space>(shape);
    test::check_gradient(layer, x, {.max_elements = 100});
    Sequential<double, Space> behind;
    behind.add("front", Tanh<double, Space>()).add("gdn", layer);
    test::check_gradient(behind, x, {.max_elements = 100});
  }
}

TEST_CASE("GDN: Cuda agrees with the CPU on awkward shapes") {
  const Shape shapes[] = {{2, 37, 5, 7}, {1, 1, 1, 1}, {3, 70, 13}, {67, 3}, {1, 5, 1, 131}, {7, 31, 11, 5}, {2, 32, 8, 8}};
  for (const Shape& shape : shapes) {
    INFO(to_string(shape));
    const auto x = test::random_tensor<double>(shape, 2), dy = test::random_tensor<double>(shape, 3);
    const auto check = [](const auto& found, const auto& expected, double tolerance) {
      CHECK(test::relative_error(found.y, expected.y) < tolerance);
      CHECK(test::relative_error(found.dx, expected.dx) < tolerance);
      CHECK(test::relative_error(found.dbeta, expected.dbeta) < tolerance);
      CHECK(test::relative_error(found.dgamma, expected.dgamma) < tolerance);
    };
    check(outcome<Cuda>(x, dy), outcome<Cpu>(x, dy), 1e-13);
    check(outcome<Cuda>(x.cast<float>(), dy.cast<float>()), outcome<Cpu>(x.cast<float>(), dy.cast<float>()), 1e-5);
  }
}

TEST_CASE_TEMPLATE("GDN: 16-bit storage, computed with in float; squares beyond half's range do no harm", T, bfloat16, half) {
  const double rounding = std::is_same_v<T, half> ? 0x1p-11 : 0x1p-8;
  for (const double size : {1.0, 600.0}) {
    const Shape shape{2, 35, 5, 3};
    const auto x = test::random_tensor<double>(shape, 1, 0, size).cast<T>(), dy = test::random_tensor<double>(shape, 2, 0, 8).cast<T>();
    GDN<double> reference({.channels = 35});
    const auto narrow = random_gdn<Cpu, double>(35);
    reference.beta.value = narrow.beta.value.template cast<T>().template cast<double>();
    reference.gamma.value = narrow.gamma.value.template cast<T>().template cast<double>();
    const auto expected = test::run_backward(reference, x.template cast<double>(), dy.template cast<double>());
    const auto found = outcome<Cuda>(x, dy);
    CHECK(test::relative_error(found.y, expected.y) < rounding);
    CHECK(test::relative_error(found.dx, expected.dx) < (size > 1 ? 0.02 : 4 * rounding));
    CHECK(test::relative_error(found.dbeta, reference.beta.gradient) < (size > 1 ? 0.1 : 4 * rounding));
    CHECK(test::relative_error(found.dgamma, reference.gamma.gradient) < 4 * rounding);
  }
}

TEST_CASE_TEMPLATE("GDN: initial values, floors, frozen, float", Space, VENTRAL_TEST_SPACES) {
  GDN<float, Space> layer({.channels = 3});
  auto beta = layer.beta.value.template to<Cpu>(), gamma = layer.gamma.value.template to<Cpu>();
  CHECK(beta[2] == 1);
  CHECK(gamma.at(1, 1) == 0.1f);
  CHECK(gamma.at(1, 2) == 0);
  gamma.at(0, 1) = -5;
  beta[0] = -1;
  layer.beta.value = beta.template to<Space>();
  layer.gamma.value = gamma.template to<Space>();
  const auto x = Tensor<float>({1, 3, 1, 1}, {1, 2, 3}).to<Space>();
  const auto dgamma = [&](Index i, Index j) { return layer.gamma.gradient.template to<Cpu>().at(i, j); };
  const auto dbeta = [&] { return layer.beta.gradient.template to<Cpu>()[0]; };
  const auto up = test::run_backward(layer, x, Tensor<float, Space>::full({1, 3, 1, 1}, -1));
  CHECK(up.y.template to<Cpu>()[0] == doctest::Approx(1 / std::sqrt(0.1 + 1e-6)));
  CHECK(dgamma(0, 1) == 0);  // y is to grow, which would take gamma lower still
  CHECK(dbeta() == 0);
  CHECK(dgamma(0, 0) > 0);
  static_cast<void>(test::run_backward(layer, x, Tensor<float, Space>::full({1, 3, 1, 1}, 1)));
  CHECK(dgamma(0, 1) < 0);
  CHECK(dbeta() < 0);

  const auto image = test::random_tensor<double>({2, 5, 6, 7}), dy = test::random_tensor<double>({2, 5, 6, 7}, 2);
  const auto expected = outcome<Cpu>(image, dy);
  auto single = random_gdn<Space, float>(5);
  single.gamma.frozen = true;
  const auto found = test::run_backward(single, image.cast<float>().template to<Space>(), dy.cast<float>().template to<Space>());
  CHECK(test::relative_error(found.y.template to<Cpu>(), expected.y) < 1e-6);
  CHECK(test::relative_error(found.dx.template to<Cpu>(), expected.dx) < 1e-5);
  CHECK(test::relative_error(single.beta.gradient.template to<Cpu>(), expected.dbeta) < 1e-5);
  CHECK(single.gamma.gradient.empty());
}

TEST_CASE_TEMPLATE("GDN: empty batch, NaN", Space, VENTRAL_TEST_SPACES) {
  GDN<float, Space> layer({.channels = 5});
  const Tensor<float, Space> none({0, 5, 2, 2});
  CHECK(test::run_backward(layer, none, none).dx.empty());
  CHECK(layer.gamma.gradient.template to<Cpu>().at(0, 0) == 0);
  auto gamma = layer.gamma.value.template to<Cpu>();
  gamma[1] = NAN;
  layer.gamma.value = gamma.template to<Space>();
  const auto y = test::run(layer, Tensor<float, Space>::full({1, 5, 1, 1}, 1)).template to<Cpu>();
  CHECK(std::isnan(y[0]));
  CHECK(std::isfinite(y[1]));
}

TEST_CASE("GDN: threads, errors") {
  GDN<float> layer({.channels = 5});
  const auto x = test::random_tensor<float>({2, 5, 30, 31});
  const int before = cpu::threads();
  const auto with = [&](int threads) {
    cpu::set_threads(threads);
    GDN<float> own({.channels = 5});
    auto r = test::run_backward(own, x, x);
    Tensor<float> all({x.size() + 25});
    std::copy(own.gamma.gradient.begin(), own.gamma.gradient.end(), std::copy(r.dx.begin(), r.dx.end(), all.begin()));
    return all;
  };
  const auto one = with(1), three = with(3);
  cpu::set_threads(before);
  CHECK(std::equal(one.begin(), one.end(), three.begin()));
  CHECK(test::message_of<ShapeError>([&] {
          static_cast<void>(layer.output_shape({1, 4, 2, 2}));
        }) == "GDN: input [1,4,2,2] has 4 channels; gamma [5,5] expects 5");
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(layer.output_shape({4})); }) == "GDN: input [4] has no channel axis; [N,C,...] is needed");
  CHECK(test::message_of<ShapeError>([&] { GDN<float> bad({.channels = 0}); }) == "GDN: channels 0; at least 1 is needed");
  CHECK(test::message_of<Error>([&] { GDN<float> bad({.channels = 2, .beta = 0}); }) == "GDN: beta 0 must be at least smallest_beta, 1e-06, and that positive");
  CHECK(test::message_of<Error>([&] { GDN<float> bad({.channels = 2, .gamma = -1}); }) == "GDN: gamma -1 must not be negative");
}
