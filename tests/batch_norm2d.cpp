#include "ventral/layers/batch_norm2d.hpp"

#include "agreement.hpp"
#include "blocks.hpp"
#include "ventral/layers/activation.hpp"

using namespace ventral;

namespace {

/// The formulas, in double and two passes, for an input [N,C,...].
struct Expected {
  Tensor<double> y, dx, dw, db, mean, var;
};
template <class T>
Expected expected(const Tensor<T>& x, const Tensor<T>& dy, const Tensor<T>& w, const Tensor<T>& b, double eps) {
  const Index channels = x.dim(1), cells = x.shape().product(2, x.rank()), m = x.size() / channels;
  Expected e;
  e.y = Tensor<double>(x.shape());
  e.dx = Tensor<double>(x.shape());
  for (Tensor<double>* t : {&e.dw, &e.db, &e.mean, &e.var}) *t = Tensor<double>({channels});
  const auto channel = [&](Index i) { return i / cells % channels; };
  const double n = static_cast<double>(m);
  for (Index i = 0; i < x.size(); ++i) e.mean[channel(i)] += static_cast<double>(x[i]) / n;
  for (Index i = 0; i < x.size(); ++i) e.var[channel(i)] += std::pow(static_cast<double>(x[i]) - e.mean[channel(i)], 2) / n;
  for (Index i = 0; i < x.size(); ++i) {
    const Index c = channel(i);
    const double xhat = (static_cast<double>(x[i]) - e.mean[c]) / std::sqrt(e.var[c] + eps);
    e.y[i] = static_cast<double>(w[c]) * xhat + static_cast<double>(b[c]);
    e.dw[c] += static_cast<double>(dy[i]) * xhat;
    e.db[c] += static_cast<double>(dy[i]);
  }
  for (Index i = 0; i < x.size(); ++i) {
    const Index c = channel(i);
    const double s = std::sqrt(e.var[c] + eps), xhat = (static_cast<double>(x[i]) - e.mean[c]) / s;
    e.dx[i] = static_cast<double>(w[c]) / s * (static_cast<double>(dy[i]) - e.db[c] / n - xhat * e.dw[c] / n);
  }
  return e;
}

}  // namespace

TEST_CASE_TEMPLATE("batch norm: every shape against the formulas", T, float, double) {
  const double tolerance = sizeof(T) == 4 ? 2e-6 : 1e-12;
  for (const Shape& shape : {Shape{4, 3, 5, 7}, Shape{1, 2, 1, 3}, Shape{2, 1, 33, 9}, Shape{5, 40}, Shape{64, 3}, Shape{3, 2, 17},
                             Shape{2, 3, 2, 3, 4}, Shape{300, 2, 1, 1}}) {
    INFO(to_string(shape));
    BatchNorm2d<T> layer({.channels = shape[1], .eps = 1e-3, .momentum = 0.25});
    layer.weight.value = test::random_tensor<T>({shape[1]}, 5);
    layer.bias.value = test::random_tensor<T>({shape[1]}, 6);
    const auto x = test::random_tensor<T>(shape, 7, 0.5, 2), dy = test::random_tensor<T>(shape, 8);
    const Expected e = expected(x, dy, layer.weight.value, layer.bias.value, 1e-3);
    const auto r = test::run_backward(layer, x, dy);
    CHECK(test::relative_error(r.y, e.y) < tolerance);
    CHECK(test::relative_error(r.dx, e.dx) < tolerance);
    CHECK(test::relative_error(layer.weight.gradient, e.dw) < tolerance);
    CHECK(test::relative_error(layer.bias.gradient, e.db) < tolerance);
    const double m = static_cast<double>(x.size() / shape[1]);
    for (Index c = 0; c < shape[1]; ++c) {
      CHECK(static_cast<double>(layer.running_mean.value[c]) == doctest::Approx(0.25 * e.mean[c]).epsilon(1e-5));
      CHECK(static_cast<double>(layer.running_var.value[c]) == doctest::Approx(0.75 + 0.25 * e.var[c] * m / (m - 1)).epsilon(1e-5));
    }
  }
}

TEST_CASE_TEMPLATE("batch norm: values by hand, training and inference", Space, VENTRAL_TEST_SPACES) {
  BatchNorm2d<double, Space> layer({.channels = 2, .eps = 1e-12, .momentum = 0.5, .affine = false});
  CHECK(layer.parameters().empty());
  const auto error = [](const Tensor<double, Space>& a, const Tensor<double>& b) { return test::relative_error(a.template to<Cpu>(), b); };
  const auto x = Tensor<double>({2, 2, 1, 2}, {1, 3, 10, 10, 5, 7, 30, 30}).to<Space>();
  const double s = std::sqrt(5.0);  // channel 0: 1 3 5 7; channel 1: 10 10 30 30
  CHECK(error(test::run(layer, x, Mode::training), Tensor<double>({2, 2, 1, 2}, {-3 / s, -1 / s, -1, -1, 1 / s, 3 / s, 1, 1})) < 1e-10);
  CHECK(error(layer.running_mean.value, Tensor<double>({2}, {2, 10})) < 1e-15);
  CHECK(error(layer.running_var.value, Tensor<double>({2}, {0.5 + 10.0 / 3, 0.5 + 200.0 / 3})) < 1e-15);
  const auto held = layer.running_mean.value.template to<Cpu>();
  const double a = std::sqrt(0.5 + 10.0 / 3), b = std::sqrt(0.5 + 200.0 / 3);
  CHECK(error(test::run(layer, x), Tensor<double>({2, 2, 1, 2}, {-1 / a, 1 / a, 0, 0, 3 / a, 5 / a, 20 / b, 20 / b})) < 1e-10);
  CHECK(error(layer.running_mean.value, held) == 0);  // inference writes nothing
}

TEST_CASE_TEMPLATE("batch norm: gradients", Space, VENTRAL_TEST_SPACES) {
  const auto check = [&](auto layer, const Tensor<double, Space>& x) {
    Random random(4);
    for (auto& p : parameters_of(layer)) {
      Tensor<double> w(p.parameter->value.shape());
      for (double& v : w) v = random.normal(1, 0.3);
      p.parameter->value = w.template to<Space>();
    }
    test::check_gradient(layer, x);
    Sequential<double, Space> behind;
    behind.add("front", Tanh<double, Space>({.amplitude = 1.7159, .gain = 2.0 / 3})).add("norm", layer);
    test::check_gradient(behind, x);
  };
  check(BatchNorm2d<double, Space>({.channels = 3}), test::random_tensor<double, Space>({4, 3, 3, 5}));
  check(BatchNorm2d<double, Space>({.channels = 3, .affine = false}), test::random_tensor<double, Space>({2, 3, 5, 4}));
  check(BatchNorm2d<double, Space>({.channels = 5}), test::random_tensor<double, Space>({7, 5}));
  check(BatchNorm2d<double, Space>({.channels = 1}), test::random_tensor<double, Space>({1, 1, 4, 4}));
  check(BatchNorm2d<double, Space>({.channels = 3, .use_running_statistics = true}), test::random_tensor<double, Space>({4, 3, 3, 5}));
}

TEST_CASE_TEMPLATE("batch norm: fine-tuning with the running statistics leaves them alone", Space, VENTRAL_TEST_SPACES) {
  BatchNorm2d<double, Space> layer({.channels = 1, .eps = 1e-12});
  layer.use_running_statistics(true);
  layer.running_mean.value.fill(1);
  layer.running_var.value.fill(4);
  layer.weight.value.fill(3);
  const auto first = [](const Tensor<double, Space>& t) { return t.template to<Cpu>()[0]; };
  const auto x = Tensor<double>({1, 1, 1, 2}, {1, 5}).to<Space>(), dy = Tensor<double>({1, 1, 1, 2}, {1, 10}).to<Space>();
  const auto r = test::run_backward(layer, x, dy);
  CHECK(test::relative_error(r.y.template to<Cpu>(), Tensor<double>({1, 1, 1, 2}, {0, 6})) < 1e-12);
  CHECK(test::relative_error(r.dx.template to<Cpu>(), Tensor<double>({1, 1, 1, 2}, {1.5, 15})) < 1e-12);
  CHECK(first(layer.weight.gradient) == doctest::Approx(20));
  CHECK(first(layer.bias.gradient) == 11);
  CHECK(first(layer.running_mean.value) == 1);
  layer.weight.frozen = true;
  test::run_backward(layer, x, dy);
  CHECK(first(layer.weight.gradient) == doctest::Approx(20));
  CHECK(first(layer.bias.gradient) == 22);  // gradients accumulate
}

TEST_CASE_TEMPLATE("batch norm: a large mean costs no precision, a constant channel gives the bias", Space, VENTRAL_TEST_SPACES) {
  BatchNorm2d<float, Space> layer({.channels = 2});
  for (const Shape& shape : {Shape{8, 2, 16, 16}, Shape{512, 2}}) {
    const auto x = test::random_tensor<float>(shape, 3, 1e4, 1), dy = test::random_tensor<float>(shape, 4);
    const Expected e = expected(x, dy, layer.weight.value.template to<Cpu>(), layer.bias.value.template to<Cpu>(), 1e-5);
    BatchNorm2d<float, Space> fresh = layer;
    const auto r = test::run_backward(fresh, x.to<Space>(), dy.to<Space>());
    CHECK(test::relative_error(r.y.template to<Cpu>(), e.y) < 1e-6);
    CHECK(test::relative_error(r.dx.template to<Cpu>(), e.dx) < 1e-6);
    CHECK(static_cast<double>(fresh.running_var.value.template to<Cpu>()[0]) == doctest::Approx(0.9 + 0.1 * e.var[0] * 1.0005).epsilon(1e-3));
  }
  layer.bias.value.fill(0.5f);
  const auto constant = test::run(layer, Tensor<float>::full({2, 2, 3, 3}, 12345.678f).to<Space>(), Mode::training);
  for (const float v : constant.template to<Cpu>()) CHECK(v == doctest::Approx(0.5));
}

TEST_CASE_TEMPLATE("batch norm: Cuda agrees with Cpu", T, float, double) {
  for (const Shape& shape :
       {Shape{4, 3, 5, 7}, Shape{1, 2, 1, 3}, Shape{2, 1, 33, 9}, Shape{5, 40}, Shape{64, 3}, Shape{700, 33}, Shape{3, 2, 17}, Shape{2, 3, 2, 4, 8},
        Shape{300, 2, 1, 1}, Shape{2, 70, 2, 1}, Shape{3, 2, 16, 16}, Shape{1, 1, 129, 131}, Shape{2, 2, 96, 128}}) {  // the last two: chunks
    for (const bool affine : {true, false})
      test::check_agreement<T>([&]<class U, class Space> { return BatchNorm2d<U, Space>({.channels = shape[1], .eps = 1e-3, .affine = affine}); },
                               shape, sizeof(T) == 4 ? 2e-6 : 1e-12);
    test::check_agreement<T>([&]<class U, class Space> { return BatchNorm2d<U, Space>({.channels = shape[1], .use_running_statistics = true}); },
                             shape, sizeof(T) == 4 ? 2e-6 : 1e-12);
  }
}

TEST_CASE("batch norm on Cuda agrees with the CPU: more chunks than a warp adds, and more than the scratch of the layer holds") {
  const Shape shape{1, 1, 700, 800};  // 68 chunks
  const auto x = test::random_tensor<float>(shape, 3, 2), dy = test::random_tensor<float>(shape, 4);
  test::check_agreement<float>([]<class U, class Space> { return BatchNorm2d<U, Space>({.channels = 1}); }, x);
}

TEST_CASE_TEMPLATE("batch norm: 16-bit numbers agree with float", T, bfloat16, half) {
  for (const Shape& shape : {Shape{4, 3, 5, 7}, Shape{64, 40}, Shape{2, 3, 8, 8}})
    test::check_narrow<T>([&]<class U, class Space> { return BatchNorm2d<U, Space>({.channels = shape[1]}); }, shape, 4);
}

TEST_CASE("batch norm on Cuda: empty batch; NaN is not hidden; the same bits again") {
  BatchNorm2d<float, Cuda> layer({.channels = 9});
  const Tensor<float, Cuda> none({0, 9, 4, 4});
  CHECK(test::run_backward(layer, none, none).dx.shape() == none.shape());
  CHECK(test::relative_error(layer.running_var.value.to<Cpu>(), Tensor<float>::full({9}, 1)) == 0);
  auto bad = test::random_tensor<float>({2, 9, 3, 3});
  auto again = layer;
  const auto dy = test::random_tensor<float, Cuda>(bad.shape(), 2);
  const auto a = test::run_backward(layer, bad.to<Cuda>(), dy), b = test::run_backward(again, bad.to<Cuda>(), dy);
  CHECK(test::relative_error(a.y.to<Cpu>(), b.y.to<Cpu>()) == 0);
  CHECK(test::relative_error(a.dx.to<Cpu>(), b.dx.to<Cpu>()) == 0);
  bad[0] = NAN;
  const auto y = test::run(layer, bad.to<Cuda>(), Mode::training).to<Cpu>();
  CHECK(std::isnan(y[1]));
  CHECK(std::isfinite(y[9]));
}

TEST_CASE("batch norm: the same bits on one and two threads; empty batch; NaN is not hidden") {
  const auto x = test::random_tensor<float>({6, 9, 41, 37}), dy = test::random_tensor<float>({6, 9, 41, 37}, 2);
  const int before = cpu::threads();
  BatchNorm2d<float> one({.channels = 9}), two = one;
  cpu::set_threads(1);
  const auto a = test::run_backward(one, x, dy);
  cpu::set_threads(2);
  const auto b = test::run_backward(two, x, dy);
  cpu::set_threads(before);
  CHECK(test::relative_error(a.y, b.y) == 0);
  CHECK(test::relative_error(a.dx, b.dx) == 0);
  CHECK(test::relative_error(one.weight.gradient, two.weight.gradient) == 0);
  CHECK(test::relative_error(one.running_var.value, two.running_var.value) == 0);
  CHECK(test::run_backward(one, Tensor<float>({0, 9, 4, 4}), Tensor<float>({0, 9, 4, 4})).dx.shape() == Shape{0, 9, 4, 4});
  CHECK(test::relative_error(one.running_var.value, two.running_var.value) == 0);
  auto bad = test::random_tensor<float>({2, 9, 3, 3});
  bad[0] = NAN;
  const auto y = test::run(one, bad, Mode::training);
  CHECK(std::isnan(y[1]));
  CHECK(std::isfinite(y[9]));
}

TEST_CASE("batch norm in blocks: as in rows; lanes without an image do not count") {
  for (const Index n : {1, 15, 16, 17, 100})
    for (const Shape& rest : {Shape{3, 5, 7}, Shape{1, 1, 3}, Shape{18, 33, 9}, Shape{2, 4}}) {
      Shape shape{n};
      for (const Index e : rest) shape.push_back(e);
      INFO(to_string(shape));
      const auto x = test::random_tensor<float>(shape, 7, 0.5, 2);
      for (const bool running : {false, true})
        test::check_blocks(BatchNorm2d<float>({.channels = shape[1], .eps = 1e-3, .use_running_statistics = running}), x, 1e-5);
    }
  test::check_blocks(BatchNorm2d<float>({.channels = 40}), test::random_tensor<float>({17, 40}), 1e-5);
}

TEST_CASE("batch norm: a first value far from the others costs no precision") {
  auto x = test::random_tensor<float>({4, 2, 16, 16}, 3, 100, 1);
  const auto dy = test::random_tensor<float>(x.shape(), 4);
  x[0] = -1000;
  BatchNorm2d<float> layer({.channels = 2});
  const Expected e = expected(x, dy, layer.weight.value, layer.bias.value, 1e-5);
  const auto r = test::run_backward(layer, x, dy);
  CHECK(test::relative_error(r.y, e.y) < 2e-6);
  CHECK(test::relative_error(r.dx, e.dx) < 2e-6);
}

TEST_CASE("batch norm: with running statistics, dx does not depend on x, be it infinite") {
  for (const Format format : {Format::rows, Format::blocks}) {
    BatchNorm2d<float> layer({.channels = 1, .use_running_statistics = true});
    layer.weight.value.fill(2);
    const auto make = [&] { return Tensor<float>::uninitialized({2, 1, 2, 2}, format); };
    auto x = make(), y = make(), dy = make(), dx = make();
    x.fill(1), dy.fill(0);
    for (Index i = 0; i < 2; ++i)
      for (Index j = 0; j < 4; ++j) dy.at(i, 0, j / 2, j % 2) = static_cast<float>(1 + 2 * i);
    x.at(0, 0, 0, 0) = std::numeric_limits<float>::infinity(), x.at(1, 0, 1, 1) = std::numeric_limits<float>::quiet_NaN();
    Pass<Cpu> pass(Mode::training);
    layer.forward(x, y, pass);
    Out<float> to = dx.ref();
    layer.backward(x, y, dy, &to, pass);
    for (Index i = 0; i < 2; ++i)
      for (Index j = 0; j < 4; ++j) CHECK(dx.at(i, 0, j / 2, j % 2) == doctest::Approx(2 * (1 + 2 * static_cast<double>(i)) / std::sqrt(1 + 1e-5)));
  }
}

TEST_CASE_TEMPLATE("batch norm: with running statistics, infinite x leave dx alone, wherever it runs", Space, VENTRAL_TEST_SPACES) {
  BatchNorm2d<double, Space> layer({.channels = 2, .use_running_statistics = true});
  layer.weight.frozen = layer.bias.frozen = true;
  const double infinity = std::numeric_limits<double>::infinity();
  const auto x = Tensor<double>({1, 2, 1, 2}, {infinity, 1, -infinity, 2}).to<Space>(), dy = Tensor<double>({1, 2, 1, 2}, {1, 2, 3, 4}).to<Space>();
  const auto dx = test::run_backward(layer, x, dy).dx.template to<Cpu>();
  for (Index i = 0; i < 4; ++i) CHECK(dx[i] == doctest::Approx(static_cast<double>(i + 1) / std::sqrt(1 + 1e-5)));
}

TEST_CASE("batch norm: messages") {
  BatchNorm2d<float> layer({.channels = 4});
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(layer.output_shape({8, 3, 5, 5})); }) ==
        "BatchNorm2d: input [8,3,5,5] has 3 channels; 4 expected");
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(layer.output_shape({4})); }) ==
        "BatchNorm2d: input [4] has rank 1; [N,C,H,W] or [N,C] expected");
  CHECK(test::message_of<ShapeError>([&] { test::run(layer, Tensor<float>({1, 4, 1, 1}), Mode::training); }) ==
        "BatchNorm2d: input [1,4,1,1] has one value a channel; batch statistics need at least 2");
  CHECK(test::run(layer, Tensor<float>({1, 4, 1, 1})).size() == 4);  // inference has what it needs
  CHECK(test::message_of<ShapeError>([] { BatchNorm2d<float>({}); }) == "BatchNorm2d: 0 channels; at least 1 is needed");
  CHECK(test::message_of<Error>([] { BatchNorm2d<float>({.channels = 1, .eps = 0}); }) == "BatchNorm2d: eps is 0; a positive number is needed");
  CHECK(test::message_of<Error>([] { BatchNorm2d<float>({.channels = 1, .momentum = 2}); }) == "BatchNorm2d: momentum is 2; 0 to 1 expected");
  CHECK(layer.flops({1, 4, 2, 2}) == 32);
}
