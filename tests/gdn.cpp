#include "ventral/layers/gdn.hpp"

#include "support.hpp"
#include "ventral/layers/activation.hpp"

using namespace ventral;

namespace {

/// A layer with positive random beta and gamma.
template <class Space>
GDN<double, Space> random_gdn(Index channels) {
  GDN<double, Space> layer({.channels = channels});
  Random random(11);
  Tensor<double> beta({channels}), gamma({channels, channels});
  for (double& v : beta) v = random.uniform(0.5, 2);
  for (double& v : gamma) v = random.uniform(0.05, 0.5);
  layer.beta.value = beta.to<Space>();
  layer.gamma.value = gamma.to<Space>();
  return layer;
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
    const auto x = test::random_tensor<double>(shape);
    test::check_gradient(layer, x, {.max_elements = 100});
    Sequential<double, Space> behind;
    behind.add("front", Tanh<double, Space>()).add("gdn", layer);
    test::check_gradient(behind, x, {.max_elements = 100});
  }
}

TEST_CASE("GDN: initial values, floors, frozen, float") {
  GDN<float> layer({.channels = 3});
  CHECK(layer.beta.value[2] == 1);
  CHECK(layer.gamma.value.at(1, 1) == 0.1f);
  CHECK(layer.gamma.value.at(1, 2) == 0);
  layer.gamma.value.at(0, 1) = -5;
  layer.beta.value[0] = -1;
  const Tensor<float> x({1, 3, 1, 1}, {1, 2, 3});
  const auto up = test::run_backward(layer, x, Tensor<float>::full({1, 3, 1, 1}, -1));
  CHECK(up.y[0] == doctest::Approx(1 / std::sqrt(0.1 + 1e-6)));
  CHECK(layer.gamma.gradient.at(0, 1) == 0);  // y is to grow, which would take gamma lower still
  CHECK(layer.beta.gradient[0] == 0);
  CHECK(layer.gamma.gradient.at(0, 0) > 0);
  static_cast<void>(test::run_backward(layer, x, Tensor<float>::full({1, 3, 1, 1}, 1)));
  CHECK(layer.gamma.gradient.at(0, 1) < 0);
  CHECK(layer.beta.gradient[0] < 0);

  GDN<double> reference = random_gdn<Cpu>(5);
  GDN<float> single({.channels = 5});
  single.beta.value = reference.beta.value.cast<float>();
  single.gamma.value = reference.gamma.value.cast<float>();
  single.gamma.frozen = true;
  const auto image = test::random_tensor<double>({2, 5, 6, 7}), dy = test::random_tensor<double>({2, 5, 6, 7}, 2);
  const auto expected = test::run_backward(reference, image, dy);
  const auto found = test::run_backward(single, image.cast<float>(), dy.cast<float>());
  CHECK(test::relative_error(found.y, expected.y) < 1e-6);
  CHECK(test::relative_error(found.dx, expected.dx) < 1e-5);
  CHECK(test::relative_error(single.beta.gradient, reference.beta.gradient) < 1e-5);
  CHECK(single.gamma.gradient.empty());
}

TEST_CASE("GDN: empty batch, threads, errors") {
  GDN<float> layer({.channels = 5});
  CHECK(test::run_backward(layer, Tensor<float>({0, 5, 2, 2}), Tensor<float>({0, 5, 2, 2})).dx.empty());
  CHECK(layer.gamma.gradient.at(0, 0) == 0);
  layer.gamma.value[1] = NAN;
  CHECK(std::isnan(test::run(layer, Tensor<float>::full({1, 5, 1, 1}, 1))[0]));
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
