#include "helpers.hpp"
#include "ventral/brain/one_to_one.hpp"

#include <doctest/doctest.h>

#include <string>

#include "ventral/brain/correlation.hpp"
#include "ventral/random.hpp"

using namespace ventral;
using test::message_of;

namespace {

std::vector<double> column(const Tensor<double>& m, Index j) {
  std::vector<double> c;
  for (Index i = 0; i < m.dim(0); ++i) c.push_back(m[i * m.dim(1) + j]);
  return c;
}

}  // namespace

TEST_CASE("one-to-one: the best unit of either sign, by brute force, over several chunks of features") {
  const Index n = 12, p = 5000, q = 4;
  Random random(1);
  Tensor<double> x({n, p}), y({n, q});
  for (double& v : x) v = random.normal(3, 1);
  for (double& v : y) v = random.normal();
  for (Index i = 0; i < n; ++i) y[i * q + 1] = -2 * x[i * p + 4500] + 0.1 * random.normal();
  const brain::OneToOne fit = brain::fit_one_to_one(x, y);
  const Tensor<double> predicted = fit.predict(x);
  for (Index j = 0; j < q; ++j) {
    Index best = -1;
    double r = 0;
    for (Index k = 0; k < p; ++k)
      if (const double v = brain::pearson(column(x, k), column(y, j)); std::abs(v) > std::abs(r)) best = k, r = v;
    const std::size_t s = static_cast<std::size_t>(j);
    CHECK(fit.unit[s] == best);
    CHECK(fit.correlation[s] == doctest::Approx(r));
    CHECK(std::abs(brain::pearson(column(predicted, j), column(y, j))) == doctest::Approx(std::abs(r)));
  }
  CHECK(fit.unit[1] == 4500);
  CHECK(fit.slope[1] < -1.5);
}

TEST_CASE("one-to-one: slope and intercept by hand, constants") {
  const Tensor<float> x({3, 3}, {0.1f, 7, 1, 0.1f, 1, 2, 0.1f, 4, 3});
  const Tensor<double> y({3, 2}, {10, 0.1, 8, 0.1, 6, 0.1});
  const brain::OneToOne fit = brain::fit_one_to_one(x, y);
  CHECK(fit.unit[0] == 2);
  CHECK(fit.correlation[0] == doctest::Approx(-1));
  CHECK(fit.slope[0] == doctest::Approx(-2));
  CHECK(fit.intercept[0] == doctest::Approx(12));
  CHECK(fit.unit[1] == -1);
  CHECK(std::isnan(fit.correlation[1]));
  const Tensor<double> predicted = fit.predict(Tensor<float>({1, 3}, {9, 9, 10}));
  CHECK(predicted[0] == doctest::Approx(-8));
  CHECK(predicted[1] == 0.1);
}

TEST_CASE("one-to-one: large units and sites, whose squares together exceed a double") {
  const Tensor<double> x({4, 1}, {1e100, 2e100, 3e100, 5e100}), y({4, 1}, {2e100, 4e100, 6e100, 10e100});
  CHECK(brain::fit_one_to_one(x, y).correlation[0] == doctest::Approx(1));
}

TEST_CASE("one-to-one: bad input is named") {
  CHECK(message_of([] { brain::fit_one_to_one(Tensor<double>({4, 2}), Tensor<double>({3, 2})); }) ==
        "fit_one_to_one: features [4,2] and responses [3,2]; needs [stimuli,features] and [stimuli,sites] of the same stimuli");
  Tensor<double> x({4, 2});
  x[3] = NAN;
  CHECK(message_of([&] {
          brain::fit_one_to_one(x, Tensor<double>({4, 1}));
        }) == "fit_one_to_one: features: nan at row 1, column 1; finite numbers are needed");
  const brain::OneToOne fit = brain::fit_one_to_one(Tensor<double>({4, 2}), Tensor<double>({4, 1}));
  CHECK(message_of([&] {
          static_cast<void>(fit.predict(Tensor<double>({1, 3})));
        }) == "OneToOne::predict: features of shape [1,3]; fitted on 2 features");
}
