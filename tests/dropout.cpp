#include "ventral/layers/dropout.hpp"

#include "agreement.hpp"
#include "blocks.hpp"
#include "ventral/layers/activation.hpp"

using namespace ventral;

TEST_CASE_TEMPLATE("dropout: element i is kept where random number i is at least the rate", Space, VENTRAL_TEST_SPACES) {
  for (const Index n : {1, 5, 64, 100, 20011}) {
    for (const double rate : {0.1, 0.5, 0.75}) {
      Dropout<float, Space> layer({.rate = rate});
      const auto x = test::random_tensor<float, Space>({n});
      auto y = Tensor<float, Space>({n});
      Pass<Space> pass;
      pass.start(Mode::training, 42, 7);
      layer.forward(x, y, pass);
      const auto from = x.template to<Cpu>(), to = y.template to<Cpu>();
      const Random random = pass.random();
      bool right = true;
      for (Index i = 0; i < n; ++i) {
        const bool kept = static_cast<double>(random.uniform_at(static_cast<std::uint64_t>(i))) >= rate;
        right = right && to[i] == (kept ? from[i] * static_cast<float>(1 / (1 - rate)) : 0);
      }
      CHECK(right);
    }
  }
}

TEST_CASE("dropout: the share dropped is the rate, the mean stays; other steps draw other masks") {
  Dropout<double> layer({.rate = 0.3});
  const auto x = Tensor<double>::full({100, 1000}, 1);
  Tensor<double> y(x.shape()), again(x.shape()), other(x.shape());
  Pass<Cpu> pass;
  pass.start(Mode::training, 1, 0);
  layer.forward(x, y, pass);
  layer.forward(x, again, pass);
  pass.start(Mode::training, 1, 1);
  layer.forward(x, other, pass);
  double dropped = 0, both = 0, sum = 0;
  for (Index i = 0; i < x.size(); ++i) {
    dropped += y[i] == 0;
    both += y[i] == 0 && other[i] == 0;
    sum += y[i];
  }
  CHECK(dropped / 1e5 == doctest::Approx(0.3).epsilon(0.02));
  CHECK(both / 1e5 == doctest::Approx(0.09).epsilon(0.04));
  CHECK(sum / 1e5 == doctest::Approx(1).epsilon(0.01));
  CHECK(test::relative_error(y, again) == 0);
}

TEST_CASE_TEMPLATE("dropout: gradients", Space, VENTRAL_TEST_SPACES) {
  const auto x = test::random_tensor<double, Space>({3, 2, 5, 7});
  for (const double rate : {0.0, 0.2, 0.5}) {
    Dropout<double, Space> layer({.rate = rate});
    test::check_gradient(layer, x);
    Sequential<double, Space> behind;
    behind.add("front", Tanh<double, Space>({.amplitude = 1.7159, .gain = 2.0 / 3})).add("dropout", layer);
    test::check_gradient(behind, x);
  }
}

TEST_CASE_TEMPLATE("dropout: inference, rates 0 and 1, a dropped NaN, empty input", Space, VENTRAL_TEST_SPACES) {
  Dropout<float, Space> none({.rate = 0}), all({.rate = 1}), some;
  const auto x = test::random_tensor<float, Space>({301}), dy = test::random_tensor<float, Space>({301}, 2);
  const auto error = [](const Tensor<float, Space>& a, const Tensor<float, Space>& b) {
    return test::relative_error(a.template to<Cpu>(), b.template to<Cpu>());
  };
  const Tensor<float, Space> zero({301});
  CHECK(error(test::run(some, x), x) == 0);
  const auto n = test::run_backward(none, x, dy), a = test::run_backward(all, x, dy);
  CHECK(error(n.y, x) == 0);
  CHECK(error(n.dx, dy) == 0);
  CHECK(error(a.y, zero) == 0);
  CHECK(error(a.dx, zero) == 0);
  CHECK(error(test::run(all, Tensor<float>::full({301}, NAN).to<Space>(), Mode::training), zero) == 0);
  const Tensor<float, Space> empty({0, 8});
  CHECK(test::run_backward(some, empty, empty).dx.shape() == Shape{0, 8});
}

TEST_CASE_TEMPLATE("dropout: Cuda agrees with Cpu, bit by bit", T, float, double) {
  for (const double rate : {0.1, 0.5, 0.75, 1.0})
    for (const Shape& shape : {Shape{1}, Shape{2}, Shape{7}, Shape{64}, Shape{13, 101}})
      test::check_agreement<T>([&]<class U, class Space> { return Dropout<U, Space>({.rate = rate}); }, shape, 1e-300);
}

TEST_CASE_TEMPLATE("dropout: 16-bit numbers agree with float", T, bfloat16, half) {
  test::check_narrow<T>([]<class U, class Space> { return Dropout<U, Space>({.rate = 0.3}); }, {7, 143});
}

TEST_CASE("dropout in blocks: the masks of rows") {
  for (const Index n : {1, 15, 16, 17, 130}) {
    test::check_blocks(Dropout<float>({.rate = 0.4}), test::random_tensor<float>({n, 84}), 0);
    test::check_blocks(Dropout<float>({.rate = 0}), test::random_tensor<float>({n, 3, 2, 2}), 0);
  }
  CHECK(!Dropout<float>().takes_blocks({16, 10}));
}

TEST_CASE("dropout: the same bits on one and two threads; messages") {
  Dropout<float> layer({.rate = 0.4});
  const auto x = test::random_tensor<float>({7, 9001}), dy = test::random_tensor<float>({7, 9001}, 2);
  const int before = cpu::threads();
  cpu::set_threads(1);
  const auto a = test::run_backward(layer, x, dy);
  cpu::set_threads(2);
  const auto b = test::run_backward(layer, x, dy);
  cpu::set_threads(before);
  CHECK(test::relative_error(a.y, b.y) == 0);
  CHECK(test::relative_error(a.dx, b.dx) == 0);
  CHECK(test::message_of<Error>([] { Dropout<float>({.rate = 1.5}); }) == "Dropout: rate is 1.5; 0 to 1 expected");
  CHECK(test::message_of<Error>([] { Dropout<float>({.rate = NAN}); }) == "Dropout: rate is nan; 0 to 1 expected");
}
