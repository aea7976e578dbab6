#include "ventral/layers/softmax.hpp"

#include "agreement.hpp"
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

TEST_CASE_TEMPLATE("softmax: large numbers, infinities, NaN", Space, VENTRAL_TEST_SPACES) {
  const auto softmax = [](const Tensor<float>& x) {
    Softmax<float, Space> layer;
    return test::run(layer, x.to<Space>()).template to<Cpu>();
  };
  const auto logs = [](const Tensor<float>& x) {
    LogSoftmax<float, Space> layer;
    return test::run(layer, x.to<Space>()).template to<Cpu>();
  };
  const Tensor<float> x({2, 4}, {0, 1, 2, 3, 10000, 10001, 10002, 10003});
  const auto y = softmax(x), l = logs(x);
  for (Index k = 0; k < 4; ++k) {
    CHECK(y[k] == y[4 + k]);
    CHECK(l[k] == l[4 + k]);
  }
  CHECK(l[0] == doctest::Approx(-3.4401896));
  const auto rare = logs(Tensor<float>({1, 2}, {-1000, 1000}));
  CHECK(rare[0] == -2000);
  CHECK(rare[1] == 0);
  const auto out = softmax(Tensor<float>({1, 3}, {-INFINITY, 2, 2}));
  CHECK(out[0] == 0);
  CHECK(out[1] == 0.5f);
  for (const float v : softmax(Tensor<float>({4, 2}, {NAN, 1, 1, NAN, INFINITY, 1, -INFINITY, -INFINITY}))) CHECK(std::isnan(v));
  for (const Index n : {20, 1100, 17000})  // lines that a warp and blocks of threads share
    for (const Index at : {Index{0}, n / 2, n - 1}) {
      auto line = test::random_tensor<float>({1, n});
      line[at] = NAN;
      for (const float v : logs(line)) CHECK(std::isnan(v));
    }
}

TEST_CASE_TEMPLATE("softmax: Cuda agrees with Cpu, for lines of one thread, a warp and a block", T, float, double) {
  const auto check = [](Shape shape, int axis) {
    test::check_agreement<T>([&]<class U, class Space> { return Softmax<U, Space>({.axis = axis}); }, shape);
    test::check_agreement<T>([&]<class U, class Space> { return LogSoftmax<U, Space>({.axis = axis}); }, shape);
  };
  for (const Index n : {1, 2, 10, 31, 32, 33, 128, 129, 1000, 1024, 1025, 4096, 4097, 12289, 40000}) check({3, n}, 1);
  check({300, 3}, 1);
  check({3, 10, 5}, 1);     // strided: more lines than numbers in them
  check({2, 70, 3}, 1);     // fewer
  check({1, 1100, 2}, 1);   // far fewer
  check({2, 3, 2, 5}, 0);
}

TEST_CASE_TEMPLATE("softmax: 16-bit numbers agree with float", T, bfloat16, half) {
  for (const Shape& shape : {Shape{5, 3}, Shape{5, 100}, Shape{2, 1500}, Shape{3, 10, 7}}) {
    test::check_narrow<T>([]<class U, class Space> { return Softmax<U, Space>(); }, shape, 6);
    test::check_narrow<T>([]<class U, class Space> { return LogSoftmax<U, Space>(); }, shape, 6);
  }
}

TEST_CASE("softmax on Cuda: in place, empty input") {
  for (const Shape& shape : {Shape{2, 5}, Shape{2, 50}, Shape{2, 1100}, Shape{1, 17000}}) {
    const auto x = test::random_tensor<float>(shape);
    Softmax<float> softmax;
    LogSoftmax<float> logs;
    auto y = x.to<Cuda>(), l = x.to<Cuda>();
    softmax_forward(y.stream(), 1, y, y.ref());
    log_softmax_forward(l.stream(), 1, l, l.ref());
    CHECK(test::relative_error(y.to<Cpu>(), test::run(softmax, x)) < 1e-6);
    CHECK(test::relative_error(l.to<Cpu>(), test::run(logs, x)) < 1e-6);
  }
  Softmax<float, Cuda> softmax;
  LogSoftmax<float, Cuda> logs;
  CHECK(test::run(softmax, Tensor<float, Cuda>({0, 10})).shape() == Shape{0, 10});
  CHECK(test::run_backward(logs, Tensor<float, Cuda>({4, 0, 3}), Tensor<float, Cuda>({4, 0, 3})).dx.shape() == Shape{4, 0, 3});
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

TEST_CASE_TEMPLATE("softmax: plain loops in double, any axis, in place, lines of all lengths", T, float, double) {
  const double tolerance = sizeof(T) == 4 ? 3e-7 : 1e-14;
  struct Case {
    Shape shape;
    int axis;
  };
  for (const Case& c : {Case{{1, 2}, 1}, {{3, 7}, 1}, {{17, 10}, 1}, {{5, 31}, 1}, {{2, 64}, 1}, {{3, 5000}, 1}, {{2, 5, 7, 3}, 1}, {{3, 21, 65}, 1}, {{33, 4}, 0}, {{2, 3, 4}, 2}}) {
    INFO(to_string(c.shape) << ", axis " << c.axis);
    const auto x = test::random_tensor<T>(c.shape, 6, 0, 4), dy = test::random_tensor<T>(c.shape, 7);
    const Index n = c.shape[c.axis], step = c.shape.product(c.axis + 1, c.shape.rank());
    Tensor<double> y(c.shape), l(c.shape), dx(c.shape), dl(c.shape);
    for (Index line = 0; line < x.size() / n; ++line) {
      const Index first = line / step * step * n + line % step;
      double sum = 0, dot = 0, total = 0;
      for (Index i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[first + i * step]));
      for (Index i = 0; i < n; ++i) {
        const Index at = first + i * step;
        l[at] = static_cast<double>(x[at]) - std::log(sum);
        y[at] = std::exp(l[at]);
        dot += y[at] * static_cast<double>(dy[at]), total += static_cast<double>(dy[at]);
      }
      for (Index i = 0; i < n; ++i) {
        const Index at = first + i * step;
        dx[at] = y[at] * (static_cast<double>(dy[at]) - dot), dl[at] = static_cast<double>(dy[at]) - y[at] * total;
      }
    }
    auto found = x.clone(), logs = x.clone(), back = dy.clone(), back_log = dy.clone();
    cpu::softmax_forward(x.stream(), c.axis, found, found.ref());
    cpu::log_softmax_forward(x.stream(), c.axis, logs, logs.ref());
    cpu::softmax_backward(x.stream(), c.axis, found, back, back.ref());
    cpu::log_softmax_backward(x.stream(), c.axis, logs, back_log, back_log.ref());
    CHECK(test::relative_error(found, y) < tolerance);
    CHECK(test::relative_error(logs, l) < tolerance);
    CHECK(test::relative_error(back, dx) < 4 * tolerance);
    CHECK(test::relative_error(back_log, dl) < 4 * tolerance);
  }
}

TEST_CASE("softmax: messages") {
  CHECK(test::message_of<ShapeError>([] { static_cast<void>(Softmax<float>().output_shape({5})); }) == "Softmax: input [5] has no axis 1");
  CHECK(test::message_of<ShapeError>([] { static_cast<void>(LogSoftmax<float>({.axis = -3}).output_shape({5, 2})); }) ==
        "LogSoftmax: input [5,2] has no axis -3");
  CHECK(Softmax<float>().flops({2, 10}) == 100);
}
