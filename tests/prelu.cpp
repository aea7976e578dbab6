#include "ventral/layers/prelu.hpp"

#include "agreement.hpp"
#include "ventral/layers/activation.hpp"

using namespace ventral;

TEST_CASE_TEMPLATE("PReLU: values by hand, one slope for all and one a channel", Space, VENTRAL_TEST_SPACES) {
  using T = double;
  const auto x = Tensor<T>({2, 2, 2}, {-1, 2, -4, 0, 3, -8, -2, 5}).to<Space>(), dy = Tensor<T>({2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8}).to<Space>();
  const auto error = [](const Tensor<T, Space>& a, const Tensor<T>& b) { return test::relative_error(a.template to<Cpu>(), b); };
  PReLU<T, Space> one;
  const auto a = test::run_backward(one, x, dy);
  CHECK(error(a.y, Tensor<T>({2, 2, 2}, {-0.25, 2, -1, 0, 3, -2, -0.5, 5})) == 0);
  CHECK(error(a.dx, Tensor<T>({2, 2, 2}, {0.25, 2, 0.75, 1, 5, 1.5, 1.75, 8})) == 0);
  CHECK(error(one.weight.gradient, Tensor<T>({1}, {-1 - 12 - 48 - 14})) == 0);
  PReLU<T, Space> two({.channels = 2});
  two.weight.value = Tensor<T>({2}, {0.5, -2}).to<Space>();
  const auto b = test::run_backward(two, x, dy);
  CHECK(error(b.y, Tensor<T>({2, 2, 2}, {-0.5, 2, 8, 0, 3, -4, 4, 5})) == 0);
  CHECK(error(b.dx, Tensor<T>({2, 2, 2}, {0.5, 2, -6, -8, 5, 3, -14, 8})) == 0);
  CHECK(error(two.weight.gradient, Tensor<T>({2}, {-1 - 48, -12 - 14})) == 0);
  test::run_backward(two, x, dy);
  CHECK(error(two.weight.gradient, Tensor<T>({2}, {-98, -52})) == 0);  // accumulates
  two.weight.frozen = true;
  test::run_backward(two, x, dy);
  CHECK(error(two.weight.gradient, Tensor<T>({2}, {-98, -52})) == 0);
}

TEST_CASE_TEMPLATE("PReLU: gradients", Space, VENTRAL_TEST_SPACES) {
  const auto check = [&](auto layer, const Tensor<double, Space>& x) {
    test::check_gradient(layer, x);
    Sequential<double, Space> behind;
    behind.add("front", Tanh<double, Space>({.amplitude = 1.7159, .gain = 2.0 / 3})).add("prelu", layer);
    test::check_gradient(behind, x);
  };
  check(PReLU<double, Space>(), test::random_tensor<double, Space>({3, 2, 5, 7}));
  check(PReLU<double, Space>({.channels = 3}), test::random_tensor<double, Space>({4, 3, 5, 7}));
  check(PReLU<double, Space>({.channels = 6}), test::random_tensor<double, Space>({9, 6}));
  check(PReLU<double, Space>({.initial = -0.5}), test::random_tensor<double, Space>({23}));
}

TEST_CASE("PReLU: long inputs, the same bits on one and two threads, NaN, empty input") {
  const auto x = test::random_tensor<float>({5, 3, 97, 31}), dy = test::random_tensor<float>({5, 3, 97, 31}, 2);
  const int before = cpu::threads();
  for (const Index channels : {1, 3}) {
    PReLU<float> one({.channels = channels}), two = one;
    cpu::set_threads(1);
    const auto a = test::run_backward(one, x, dy);
    cpu::set_threads(2);
    const auto b = test::run_backward(two, x, dy);
    CHECK(test::relative_error(a.dx, b.dx) == 0);
    CHECK(test::relative_error(one.weight.gradient, two.weight.gradient) == 0);
    Tensor<double> dw({channels});
    bool right = true;
    for (Index i = 0; i < x.size(); ++i) {
      right = right && a.y[i] == (x[i] > 0 ? x[i] : 0.25f * x[i]) && a.dx[i] == (x[i] > 0 ? dy[i] : 0.25f * dy[i]);
      if (x[i] <= 0) dw[channels == 1 ? 0 : i / (97 * 31) % 3] += static_cast<double>(x[i]) * static_cast<double>(dy[i]);
    }
    CHECK(right);
    CHECK(test::relative_error(one.weight.gradient, dw) < 1e-6);
    for (const float v : test::run(one, Tensor<float>::full({2, 3, 20}, NAN))) CHECK(std::isnan(v));
    CHECK(test::run_backward(one, Tensor<float>({0, 3, 4}), Tensor<float>({0, 3, 4})).dx.shape() == Shape{0, 3, 4});
    CHECK(test::run_backward(one, Tensor<float>({2, 3, 0}), Tensor<float>({2, 3, 0})).dx.shape() == Shape{2, 3, 0});
  }
  cpu::set_threads(before);
}

TEST_CASE_TEMPLATE("PReLU: Cuda agrees with Cpu", T, float, double) {
  const auto one = []<class U, class Space> { return PReLU<U, Space>(); };
  for (const Shape& shape : {Shape{1}, Shape{5, 7, 3}, Shape{3, 11000}}) test::check_agreement<T>(one, shape);  // 33000 values: four chunks
  for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{3, 5, 7, 3}, Shape{2, 3, 4, 8}, Shape{9, 37}, Shape{700, 3}, Shape{2, 2, 97, 101}})
    test::check_agreement<T>([&]<class U, class Space> { return PReLU<U, Space>({.channels = shape[1]}); }, shape);
}

TEST_CASE("PReLU on Cuda: NaN, empty input") {
  for (const Index channels : {1, 3}) {
    PReLU<float, Cuda> layer({.channels = channels});
    for (const float v : test::run(layer, Tensor<float>::full({2, 3, 20}, NAN).to<Cuda>()).to<Cpu>()) CHECK(std::isnan(v));
    for (const Shape& shape : {Shape{0, 3, 4}, Shape{2, 3, 0}}) {
      const Tensor<float, Cuda> none(shape);
      CHECK(test::run_backward(layer, none, none).dx.shape() == shape);
      CHECK(test::relative_error(layer.weight.gradient.to<Cpu>(), Tensor<float>({channels})) == 0);
    }
  }
}

TEST_CASE("PReLU: blocks of images give the numbers of rows") {
  for (const Index n : {1, 15, 16, 17, 40})
    for (const Index channels : {1, 3}) {
      const Shape shape{n, 3, 1, 7};
      PReLU<float> layer({.channels = channels}), blocked = layer;
      CHECK(layer.takes_blocks(shape));
      const auto x = test::random_tensor<float>(shape), dy = test::random_tensor<float>(shape, 2);
      const auto expected = test::run_backward(layer, x, dy);
      auto bx = Tensor<float>::uninitialized(shape, Format::blocks), bdy = Tensor<float>::uninitialized(shape, Format::blocks);
      auto y = Tensor<float>::uninitialized(shape, Format::blocks), dx = Tensor<float>::uninitialized(shape, Format::blocks);
      bx.fill(-2), bdy.zero();  // what unused lanes hold must not count
      for (Index i = 0; i < x.size(); ++i) bx.at(i / 21, i % 21 / 7, 0, i % 7) = x[i], bdy.at(i / 21, i % 21 / 7, 0, i % 7) = dy[i];
      Pass<Cpu> pass(Mode::training);
      Out<float> out = dx.ref();
      blocked.forward(bx, y, pass);
      blocked.backward(bx, y, bdy, &out, pass);
      bool same = true;
      for (Index i = 0; i < x.size(); ++i) same = same && y.at(i / 21, i % 21 / 7, 0, i % 7) == expected.y[i] && dx.at(i / 21, i % 21 / 7, 0, i % 7) == expected.dx[i];
      CHECK(same);
      CHECK(test::relative_error(blocked.weight.gradient, layer.weight.gradient) < 1e-6);
    }
}

TEST_CASE("PReLU: messages") {
  PReLU<float> layer({.channels = 4});
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(layer.output_shape({8, 3, 5, 5})); }) ==
        "PReLU: input [8,3,5,5] has 3 channels; weight [4] expects 4");
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(layer.output_shape({8})); }) == "PReLU: input [8] has rank 1; [N,4,...] expected");
  CHECK(test::message_of<ShapeError>([] { PReLU<float>({.channels = 0}); }) == "PReLU: 0 channels; at least 1 is needed");
  CHECK(PReLU<float>().output_shape({8}) == Shape{8});
  CHECK(PReLU<float>().output_shape(Shape{}) == Shape{});
}
