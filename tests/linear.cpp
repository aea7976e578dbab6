#include "ventral/layers/linear.hpp"

#include "support.hpp"
#include "ventral/layers/activation.hpp"

using namespace ventral;

TEST_CASE_TEMPLATE("Linear: a product worked by hand", T, float, double) {
  Linear<T> layer({.in = 3, .out = 2});
  layer.weight.value = Tensor<T>({2, 3}, {1, 2, 3, -1, 0, 1});
  layer.bias.value = Tensor<T>({2}, {10, 20});
  const auto result = test::run_backward(layer, Tensor<T>({2, 3}, {1, 1, 1, 0, 2, 4}), Tensor<T>({2, 2}, {1, 0, 2, -1}));
  CHECK(test::relative_error(result.y, Tensor<T>({2, 2}, {16, 20, 26, 24})) == 0);
  CHECK(test::relative_error(result.dx, Tensor<T>({2, 3}, {1, 2, 3, 3, 4, 5})) == 0);
  CHECK(test::relative_error(layer.weight.gradient, Tensor<T>({2, 3}, {1, 5, 9, 0, -2, -4})) == 0);
  CHECK(test::relative_error(layer.bias.gradient, Tensor<T>({2}, {3, -1})) == 0);
}

TEST_CASE_TEMPLATE("Linear: gradients by finite differences", Space, VENTRAL_TEST_SPACES) {
  for (const Shape& shape : {Shape{1, 7}, Shape{5, 7}, Shape{2, 3, 7}, Shape{2, 1, 2, 2, 7}}) {
    const auto x = test::random_tensor<double, Space>(shape);
    for (const bool bias : {true, false}) {
      Linear<double, Space> layer({.in = 7, .out = 4, .bias = bias});
      test::check_gradient(layer, x);
      Sequential<double, Space> behind;
      behind.add("front", Tanh<double, Space>()).add("linear", layer);
      test::check_gradient(behind, x);
    }
  }
}

TEST_CASE("Linear: leading axes are a batch, also an empty one") {
  Linear<double> layer({.in = 6, .out = 33});
  const auto x = test::random_tensor<double>({4, 5, 6});
  const auto y = test::run(layer, x);
  CHECK(y.shape() == Shape{4, 5, 33});
  Tensor<double> flat({20, 6});
  flat.copy_from(x.reshaped({20, 6}));
  const auto flat_y = test::run(layer, flat);
  CHECK(std::equal(y.begin(), y.end(), flat_y.begin()));
  const auto empty = test::run_backward(layer, Tensor<double>({0, 6}), Tensor<double>({0, 33}));
  CHECK(empty.y.shape() == Shape{0, 33});
  for (const double v : layer.weight.gradient) CHECK(v == 0);
}

TEST_CASE("Linear: the same bits for any number of threads") {
  const int before = cpu::threads();
  const auto x = test::random_tensor<float>({64, 400}), dy = test::random_tensor<float>({64, 120}, 2);
  Linear<float> a({.in = 400, .out = 120}), b({.in = 400, .out = 120});
  cpu::set_threads(1);
  const auto one = test::run_backward(a, x, dy);
  cpu::set_threads(2);
  const auto two = test::run_backward(b, x, dy);
  cpu::set_threads(before);
  CHECK(std::equal(one.y.begin(), one.y.end(), two.y.begin()));
  CHECK(std::equal(one.dx.begin(), one.dx.end(), two.dx.begin()));
  CHECK(std::equal(a.weight.gradient.begin(), a.weight.gradient.end(), b.weight.gradient.begin()));
}

TEST_CASE("Linear: parameters, FLOPs, error messages") {
  Linear<float> layer({.in = 120, .out = 10});
  CHECK(layer.parameters().size() == 2);
  CHECK(layer.flops({64, 120}) == 2 * 64 * 120 * 10);
  const auto message = [](auto f) { return test::message_of<ShapeError>(f); };
  CHECK(message([&] { layer.output_shape({8, 84}); }) == "Linear: input [8,84] has 84 features; weight [10,120] expects 120");
  CHECK(message([&] { layer.output_shape({120}); }) == "Linear: input [120] has rank 1; [N,...,120] is needed");
  CHECK(message([] { Linear<float>({.in = 3}); }) == "Linear: in 3 and out 0 must be positive");
}
