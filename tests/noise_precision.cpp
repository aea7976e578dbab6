#include "ventral/brain/noise_precision.hpp"

#include <doctest/doctest.h>

#include "ventral/random.hpp"

using namespace ventral;
using namespace ventral::brain;

namespace {

constexpr Shrinkage all_shrinkages[] = {Shrinkage::none, Shrinkage::diagonal, Shrinkage::towards_identity, Shrinkage::towards_diagonal};

Tensor<double> residuals(Index rows, Index p, std::uint64_t seed) {
  Tensor<double> x({rows, p});
  Random random(seed);
  for (Index t = 0; t < rows; ++t) {
    const double common = random.normal();
    for (Index k = 0; k < p; ++k) x.at(t, k) = 3 + static_cast<double>(k + 1) * random.normal() + common;
  }
  return x;
}

/// The papers' formulas term by term.
Tensor<double> by_definition(const Tensor<double>& x, Shrinkage shrinkage, double degrees) {
  const Index r = x.dim(0), p = x.dim(1);
  Tensor<double> z = x.clone(), s({p, p}), out({p, p});
  const double n = static_cast<double>(r);
  for (Index k = 0; k < p; ++k) {
    double mean = 0;
    for (Index t = 0; t < r; ++t) mean += x.at(t, k) / n;
    for (Index t = 0; t < r; ++t) z.at(t, k) -= mean;
  }
  for (Index i = 0; i < p; ++i)
    for (Index j = 0; j < p; ++j)
      for (Index t = 0; t < r; ++t) s.at(i, j) += z.at(t, i) * z.at(t, j) / n;
  double trace = 0, d2 = 0, b2 = 0, variances = 0, squares = 0;
  for (Index i = 0; i < p; ++i) trace += s.at(i, i) / static_cast<double>(p);
  for (Index i = 0; i < p; ++i)
    for (Index j = 0; j < p; ++j) {
      d2 += std::pow(s.at(i, j) - (i == j ? trace : 0), 2);
      for (Index t = 0; t < r; ++t) b2 += std::pow(z.at(t, i) * z.at(t, j) - s.at(i, j), 2) / (n * n);
      if (i == j) continue;
      const double scale = std::sqrt(s.at(i, i) * s.at(j, j)) * n / degrees;  // of correlations, with the unbiased variances
      double mean = 0, square = 0;
      for (Index t = 0; t < r; ++t) {
        const double w = z.at(t, i) * z.at(t, j) / scale;
        mean += w / (n - 1), square += w * w / (n - 1);
      }
      variances += n / (degrees * degrees) * (square - mean * mean), squares += mean * mean;
    }
  b2 = std::min(b2, d2);
  const double lambda = std::min(1.0, std::max(0.0, variances / squares));
  for (Index i = 0; i < p; ++i)
    for (Index j = 0; j < p; ++j) {
      const double full = s.at(i, j) * n / degrees;
      if (shrinkage == Shrinkage::none) out.at(i, j) = full;
      if (shrinkage == Shrinkage::diagonal) out.at(i, j) = i == j ? full : 0;
      if (shrinkage == Shrinkage::towards_diagonal) out.at(i, j) = i == j ? full : (1 - lambda) * full;
      if (shrinkage == Shrinkage::towards_identity) out.at(i, j) = (b2 / d2 * (i == j ? trace : 0) + (d2 - b2) / d2 * s.at(i, j)) * n / degrees;
    }
  return out;
}

}  // namespace

TEST_CASE("noise precision: covariances as defined, with and without degrees of freedom given") {
  for (const Index rows : {4, 30})
    for (const std::optional<double> degrees : {std::optional<double>(), std::optional(3.0)}) {
      const auto x = residuals(rows, 6, 1);
      for (const Shrinkage s : all_shrinkages) {
        const Tensor<double> found = noise_covariance(x, s, degrees), expected = by_definition(x, s, degrees.value_or(static_cast<double>(rows - 1)));
        CAPTURE(rows);
        CAPTURE(static_cast<int>(s));
        for (Index k = 0; k < found.size(); ++k) CHECK(found[k] == doctest::Approx(expected[k]).epsilon(1e-10));
      }
    }
}

TEST_CASE("noise precision: covariance by hand") {
  const Tensor<float> x({3, 2}, {1, 0, 2, 0, 3, 3});
  const Tensor<double> s = noise_covariance(x, Shrinkage::none);
  CHECK(s[0] == doctest::Approx(1));
  CHECK(s[1] == doctest::Approx(1.5));
  CHECK(s[2] == doctest::Approx(1.5));
  CHECK(s[3] == doctest::Approx(3));
  const Tensor<double> inverse = noise_precision(x, Shrinkage::none);
  CHECK(inverse[0] == doctest::Approx(4));
  CHECK(inverse[1] == doctest::Approx(-2));
  CHECK(inverse[3] == doctest::Approx(4.0 / 3));
}

TEST_CASE("noise precision: the inverse of the covariance, at a size of several blocks") {
  const auto x = residuals(90, 150, 2);
  for (const Shrinkage s : {Shrinkage::diagonal, Shrinkage::towards_identity, Shrinkage::towards_diagonal}) {
    const Tensor<double> covariance = noise_covariance(x, s), precision = noise_precision(x, s);
    double worst = 0;
    for (Index i = 0; i < 150; ++i)
      for (Index j = 0; j < 150; ++j) {
        double sum = i == j ? -1 : 0;
        for (Index k = 0; k < 150; ++k) sum += covariance.at(i, k) * precision.at(k, j);
        worst = std::max(worst, std::abs(sum));
      }
    CHECK(worst < 1e-9);
  }
}

TEST_CASE("noise precision: features of one kind only, and silent ones") {
  Tensor<double> x({5, 2});
  for (Index t = 0; t < 5; ++t) x.at(t, 0) = static_cast<double>(t);
  const Tensor<double> s = noise_covariance(x, Shrinkage::towards_diagonal);
  CHECK(s[0] == doctest::Approx(2.5));
  CHECK(s[1] == 0);
  CHECK(s[3] == 0);
  CHECK_THROWS_WITH_AS(noise_precision(x, Shrinkage::towards_diagonal),
                       "noise_precision: feature 1 is constant, so that the covariance has no inverse; leave it out", Error);
  CHECK(noise_covariance(Tensor<double>({3, 2}), Shrinkage::towards_identity)[0] == 0);
}

TEST_CASE("noise precision: a constant feature is one at any value, a feature in small units is not") {
  auto x = residuals(30, 3, 4), at_zero = x.clone(), small = x.clone();
  for (Index t = 0; t < 30; ++t) x.at(t, 2) = 0.1, at_zero.at(t, 2) = 0, small.at(t, 2) *= 1e-9;
  const Tensor<double> s = noise_covariance(x, Shrinkage::towards_diagonal), expected = noise_covariance(at_zero, Shrinkage::towards_diagonal);
  for (Index k = 0; k < 9; ++k) CHECK(s[k] == expected[k]);
  CHECK_THROWS_AS(noise_precision(x, Shrinkage::diagonal), Error);
  const Tensor<double> precision = noise_precision(small, Shrinkage::none), whole = noise_precision(residuals(30, 3, 4), Shrinkage::none);
  CHECK(precision[0] == doctest::Approx(whole[0]));
  CHECK(precision[2] == doctest::Approx(whole[2] * 1e9));
  CHECK(precision[8] == doctest::Approx(whole[8] * 1e18));
}

TEST_CASE("noise precision: bad input is named") {
  CHECK_THROWS_WITH_AS(noise_covariance(Tensor<double>({1, 2}), Shrinkage::none), "noise_covariance: 1 residuals; at least 2 are needed", ShapeError);
  CHECK_THROWS_WITH_AS(noise_covariance(Tensor<double>({2, 0}), Shrinkage::none), "noise_covariance: residuals of 0 features; at least 1 is needed",
                       ShapeError);
  CHECK_THROWS_WITH_AS(noise_covariance(Tensor<double>(Shape{2}), Shrinkage::none),
                       "noise_covariance: residuals of shape [2]; [residuals,features] is needed", ShapeError);
  CHECK_THROWS_WITH_AS(noise_covariance(Tensor<double>({2, 2}, {1, 2, NAN, 3}), Shrinkage::none), "noise_covariance: residual (1,0) is nan", Error);
  CHECK_THROWS_WITH_AS(noise_covariance(Tensor<double>({2, 2}), Shrinkage::none, -1),
                       "noise_covariance: -1 degrees of freedom; more than 0 are needed", Error);
  CHECK_THROWS_WITH_AS(noise_covariance(Tensor<double>({2, 2}), Shrinkage::none, 0), "noise_covariance: 0 degrees of freedom; more than 0 are needed",
                       Error);
  CHECK_THROWS_WITH_AS(noise_precision(residuals(5, 8, 3), Shrinkage::none),
                       doctest::Contains("the covariance of 5 residuals of 8 features has no inverse"), Error);
}
