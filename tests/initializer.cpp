#include "ventral/initializer.hpp"

#include "support.hpp"

using namespace ventral;

namespace {

Tensor<double> drawn(Initializer init, Shape shape = {80, 50}, Index fan_in = 50, Index fan_out = 80, std::uint64_t seed = 1) {
  Tensor<double> w(shape);
  Random random(seed);
  initialize(w, init, fan_in, fan_out, random);
  return w;
}

double deviation(const Tensor<double>& w) {
  double square = 0;
  for (const double v : w) square += v * v;
  return std::sqrt(square / static_cast<double>(w.size()));
}

double largest(const Tensor<double>& w) {
  double m = 0;
  for (const double v : w) m = std::max(m, std::abs(v));
  return m;
}

}  // namespace

TEST_CASE("initialize: standard deviations are those of the papers") {
  const struct {
    Init uniform, normal;
    double deviation;
  } rules[] = {{Init::lecun_uniform, Init::lecun_normal, std::sqrt(1 / 50.0)},
               {Init::xavier_uniform, Init::xavier_normal, std::sqrt(2 / 130.0)},
               {Init::he_uniform, Init::he_normal, std::sqrt(2 / 50.0)}};
  for (const auto& rule : rules) {
    const auto u = drawn(rule.uniform), n = drawn(rule.normal);
    CHECK(deviation(u) == doctest::Approx(rule.deviation).epsilon(0.04));
    CHECK(deviation(n) == doctest::Approx(rule.deviation).epsilon(0.05));
    CHECK(largest(u) <= std::sqrt(3.0) * rule.deviation);
    CHECK(largest(u) > 0.99 * std::sqrt(3.0) * rule.deviation);
    CHECK(largest(n) > 2.5 * rule.deviation);
  }
  CHECK(largest(drawn(Init::uniform_fan_in)) <= std::sqrt(1 / 50.0));
  CHECK(largest(drawn(Init::uniform_fan_in)) > 0.99 * std::sqrt(1 / 50.0));
}

TEST_CASE("initialize: zeros, constant, gain") {
  CHECK(largest(drawn(Init::zeros)) == 0);
  for (const double v : drawn({Init::constant, 0.25}, {3})) CHECK(v == 0.25);
  const auto one = drawn(Init::he_uniform), three = drawn({Init::he_uniform, 3});
  CHECK(three[7] == doctest::Approx(3 * one[7]));
}

TEST_CASE("initialize: orthogonal rows or columns of length `gain`") {
  const auto check = [](Shape shape) {
    const auto w = drawn({Init::orthogonal, 2}, shape);
    const Index rows = shape[0], columns = shape.product(1, shape.rank()), count = std::min(rows, columns), length = std::max(rows, columns);
    for (Index i = 0; i < count; ++i)
      for (Index j = 0; j < count; ++j) {
        double dot = 0;
        for (Index k = 0; k < length; ++k) dot += rows <= columns ? w[i * columns + k] * w[j * columns + k] : w[k * columns + i] * w[k * columns + j];
        CHECK(dot == doctest::Approx(i == j ? 4 : 0).epsilon(1e-13));
      }
  };
  check({6, 10});
  check({10, 6});
  check({4, 2, 3, 3});
  check({5});
}

TEST_CASE("initialize: depends on the seed alone, the same weights in float and double") {
  const auto a = drawn(Init::he_uniform), b = drawn(Init::he_uniform), c = drawn(Init::he_uniform, {80, 50}, 50, 80, 2);
  CHECK(std::equal(a.begin(), a.end(), b.begin()));
  CHECK(a[0] != c[0]);
  Tensor<float> f({80, 50});
  Random random(1);
  initialize(f, Init::he_uniform, 50, 80, random);
  CHECK(f[123] == static_cast<float>(a[123]));
}

TEST_CASE("initialize: error messages") {
  CHECK(test::message_of<Error>([] { drawn(Init::he_normal, {3}, 0, 3); }) == "initialize: fan_in 0 and fan_out 3 must be positive");
  CHECK(test::message_of<Error>([] { drawn(Init::orthogonal, Shape{}); }) == "initialize: Init::orthogonal needs a tensor of rank 1 or more");
}
