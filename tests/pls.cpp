#include "helpers.hpp"
#include "ventral/brain/pls.hpp"

#include <doctest/doctest.h>

#include <string>

#include "ventral/brain/pls_gram.hpp"
#include "ventral/random.hpp"

using namespace ventral;
using test::largest_difference;
using test::message_of;
using test::random_tensor;

namespace {

/// Takes column means off, divides by the sample deviation when asked, returns {mean, deviation}.
std::vector<std::array<double, 2>> standardise(Tensor<double>& m, bool scale) {
  const Index n = m.dim(0), p = m.dim(1);
  std::vector<std::array<double, 2>> moments;
  for (Index j = 0; j < p; ++j) {
    double mean = 0, squares = 0;
    for (Index i = 0; i < n; ++i) mean += m[i * p + j] / static_cast<double>(n);
    for (Index i = 0; i < n; ++i) squares += (m[i * p + j] - mean) * (m[i * p + j] - mean);
    const double deviation = scale ? std::sqrt(squares / static_cast<double>(n - 1)) : 1;
    for (Index i = 0; i < n; ++i) m[i * p + j] = (m[i * p + j] - mean) / deviation;
    moments.push_back({mean, deviation});
  }
  return moments;
}

/// PLS2 by the letter: NIPALS on deflated X and Y, every inner loop run until nothing changes; new rows are deflated alongside.
Tensor<double> nipals(const Tensor<double>& x0, const Tensor<double>& y0, Index components, const Tensor<double>& x_new, bool scale) {
  Tensor<double> x = x0.clone(), y = y0.clone(), z = x_new.clone();
  const auto mx = standardise(x, scale), my = standardise(y, scale);
  const Index n = x.dim(0), p = x.dim(1), q = y.dim(1), m = z.dim(0);
  for (Index i = 0; i < m * p; ++i) z[i] = (z[i] - mx[static_cast<std::size_t>(i % p)][0]) / mx[static_cast<std::size_t>(i % p)][1];
  Tensor<double> out({m, q});
  const auto at = [](auto& v, Index i) -> double& { return v[static_cast<std::size_t>(i)]; };
  for (Index a = 0; a < components; ++a) {
    std::vector<double> u(static_cast<std::size_t>(n)), w(static_cast<std::size_t>(p)), t(u.size()), c(static_cast<std::size_t>(q)), load(w.size());
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < q; ++j) at(u, i) += y[i * q + j] * static_cast<double>(1 + j % 3);
    for (int round = 0; round < 20000; ++round) {
      std::fill(w.begin(), w.end(), 0.0), std::fill(t.begin(), t.end(), 0.0), std::fill(c.begin(), c.end(), 0.0);
      double norm = 0, tt = 0, cc = 0, change = 0;
      for (Index i = 0; i < n; ++i)
        for (Index k = 0; k < p; ++k) at(w, k) += x[i * p + k] * at(u, i);
      for (const double v : w) norm += v * v;
      for (double& v : w) v /= std::sqrt(norm);
      for (Index i = 0; i < n; ++i)
        for (Index k = 0; k < p; ++k) at(t, i) += x[i * p + k] * at(w, k);
      for (const double v : t) tt += v * v;
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < q; ++j) at(c, j) += y[i * q + j] * at(t, i) / tt;
      for (const double v : c) cc += v * v;
      for (Index i = 0; i < n; ++i) {
        double next = 0;
        for (Index j = 0; j < q; ++j) next += y[i * q + j] * at(c, j) / cc;
        change = std::max(change, std::abs(next - at(u, i)));
        at(u, i) = next;
      }
      if (change < 1e-14) break;
    }
    double tt = 0;
    for (const double v : t) tt += v * v;
    for (Index i = 0; i < n; ++i)
      for (Index k = 0; k < p; ++k) at(load, k) += x[i * p + k] * at(t, i) / tt;
    for (Index i = 0; i < m; ++i) {
      double score = 0;
      for (Index k = 0; k < p; ++k) score += z[i * p + k] * at(w, k);
      for (Index k = 0; k < p; ++k) z[i * p + k] -= score * at(load, k);
      for (Index j = 0; j < q; ++j) out[i * q + j] += score * at(c, j) * my[static_cast<std::size_t>(j)][1];
    }
    for (Index i = 0; i < n; ++i) {
      for (Index k = 0; k < p; ++k) x[i * p + k] -= at(t, i) * at(load, k);
      for (Index j = 0; j < q; ++j) y[i * q + j] -= at(t, i) * at(c, j);
    }
  }
  for (Index i = 0; i < m * q; ++i) out[i] += my[static_cast<std::size_t>(i % q)][0];
  return out;
}

struct Problem {
  Tensor<double> x, y, x_new;
};
Problem problem(Index n, Index p, Index q) {
  Problem d{random_tensor<double>({n, p}, 1, 3), random_tensor<double>({n, q}, 2, -1), random_tensor<double>({5, p}, 3, 3)};
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < q; ++j) d.y[i * q + j] += static_cast<double>(1 + 2 * j) * d.x[i * p + j % p];
  return d;
}

/// Rows of x_new against rows of x, centred on x.
Tensor<double> cross_products(const Tensor<double>& x_new, const brain::CentredColumns& x) {
  const Index m = x_new.dim(0), n = x.values.dim(0), p = x_new.dim(1);
  Tensor<double> cross({m, n});
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j)
      for (Index k = 0; k < p; ++k) cross[i * n + j] += (x_new[i * p + k] - x.mean[static_cast<std::size_t>(k)]) * x.values[j * p + k];
  return cross;
}

}  // namespace

TEST_CASE("pls: predictions are those of NIPALS run to the end, for every number of components, from features and from a Gram matrix") {
  for (const auto& [n, p, q, k] : {std::array<Index, 4>{15, 6, 3, 4}, {10, 24, 2, 5}, {12, 3, 7, 3}, {9, 14, 1, 4}, {8, 1, 2, 1}}) {
    const Problem d = problem(n, p, q);
    const brain::Pls fit = brain::fit_pls(d.x, d.y, {.components = k});
    const brain::Pls scaled = brain::fit_pls(d.x, d.y, {.components = k, .scale = true});
    const brain::CentredColumns x = brain::centred_columns(TensorRef<const double>(d.x), "x");
    const brain::GramPls dual = brain::fit_pls_gram(brain::symmetric_product(x.values), d.y, {.components = k});
    const Tensor<double> cross = cross_products(d.x_new, x);
    CHECK(fit.components() == k);
    for (Index c = 1; c <= k; ++c) {
      const Tensor<double> expected = nipals(d.x, d.y, c, d.x_new, false);
      CHECK(largest_difference(fit.predict(d.x_new, c), expected) < 1e-8);
      CHECK(largest_difference(dual.predict(cross, c), expected) < 1e-8);
      CHECK(largest_difference(scaled.predict(d.x_new, c), nipals(d.x, d.y, c, d.x_new, true)) < 1e-8);
    }
    CHECK(largest_difference(fit.predict(d.x_new), fit.predict(d.x_new, k)) == 0);
  }
}

TEST_CASE("pls: coefficients reproduce the predictions; all components are ordinary least squares") {
  const Problem d = problem(20, 4, 3);
  for (const bool scale : {false, true}) {
    const brain::Pls fit = brain::fit_pls(d.x, d.y, {.components = 4, .scale = scale});
    const Tensor<double> b = fit.coefficients(), predicted = fit.predict(d.x);
    double normal_equations = 0;  // X'(y - prediction) = 0
    for (Index k = 0; k < 4; ++k)
      for (Index j = 0; j < 3; ++j) {
        double sum = 0;
        for (Index i = 0; i < 20; ++i) sum += d.x[i * 4 + k] * (d.y[i * 3 + j] - predicted[i * 3 + j]);
        normal_equations = std::max(normal_equations, std::abs(sum));
      }
    CHECK(normal_equations < 1e-10);
    for (Index j = 0; j < 3; ++j) {
      double difference = 0;
      for (Index k = 0; k < 4; ++k) difference += (d.x[4 + k] - d.x[k]) * b[k * 3 + j];
      CHECK(difference == doctest::Approx(predicted[3 + j] - predicted[j]));
    }
  }
}

TEST_CASE("pls: nearly equal leading pairs, where a power iteration stops early") {
  // X orthonormal columns, Y = two of them weighted 1 and 1 - 1e-7: the first component alone has to be the heavier one
  const Index n = 8;
  Tensor<double> x({n, 2}), y({n, 2});
  for (Index i = 0; i < n; ++i) {
    x[i * 2] = i % 2 == 0 ? 1 : -1, x[i * 2 + 1] = i < 4 ? 1 : -1;
    y[i * 2] = x[i * 2], y[i * 2 + 1] = (1 - 1e-7) * x[i * 2 + 1];
  }
  const Tensor<double> b = brain::fit_pls(x, y, {.components = 1}).coefficients();
  CHECK(b[0] == doctest::Approx(1).epsilon(1e-12));
  CHECK(std::abs(b[1]) + std::abs(b[2]) + std::abs(b[3]) < 1e-7);
}

TEST_CASE("pls: float features, constant features and sites") {
  const Problem d = problem(12, 6, 3);
  const Tensor<float> x32 = d.x.cast<float>();
  CHECK(largest_difference(brain::fit_pls(x32, d.y, {.components = 3}).predict(x32),
                           brain::fit_pls(x32.cast<double>(), d.y, {.components = 3}).predict(x32.cast<double>())) == 0);
  Tensor<double> x = d.x.clone(), y = d.y.clone();
  for (Index i = 0; i < 12; ++i) x[i * 6 + 2] = 0.1, y[i * 3 + 1] = 0.3;
  for (const bool scale : {false, true}) {
    const Tensor<double> predicted = brain::fit_pls(x, y, {.components = 3, .scale = scale}).predict(x);
    for (Index i = 0; i < 12; ++i) {
      CHECK(predicted[i * 3 + 1] == 0.3);
      CHECK(std::isfinite(predicted[i * 3]));
    }
  }
}

TEST_CASE("pls: bad input is named; more components than the rank tell the rank") {
  const Problem d = problem(10, 6, 2);
  CHECK(message_of([&] { brain::fit_pls(d.x, d.y, {.components = 7}); }) == "PLS: 7 components; centred features of this shape have rank 6 at most");
  CHECK(message_of([&] { brain::fit_pls(d.x, d.y); }) == "PLS: 25 components; centred features of this shape have rank 6 at most");
  CHECK(message_of([&] { brain::fit_pls(d.x, d.y, {.components = 0}); }) == "PLS: 0 components; at least 1 is needed");
  Tensor<double> x({10, 6});
  for (Index i = 0; i < 60; ++i) x[i] = d.x[i / 6 * 6] * static_cast<double>(1 + i % 6) + d.x[i / 6 * 6 + 1] * static_cast<double>(i % 6 * (i % 6));
  CHECK(message_of([&] { brain::fit_pls(x, d.y, {.components = 4}); }) == "PLS: 4 components; these features and responses have rank 2");
  const brain::CentredColumns xc = brain::centred_columns(TensorRef<const double>(x), "x");
  CHECK(message_of([&] { brain::fit_pls_gram(brain::symmetric_product(xc.values), d.y, {.components = 4}); }) ==
        "PLS: 4 components; these features and responses have rank 2");
  CHECK(message_of([&] {
          brain::fit_pls(d.x, Tensor<double>::full({10, 2}, 3), {.components = 1});
        }) == "PLS: 1 components; these features and responses have rank 0");
  CHECK(message_of([&] { brain::fit_pls(d.x, problem(9, 6, 2).y, {.components = 1}); }) ==
        "fit_pls: features [10,6] and responses [9,2]; needs [stimuli,features] and [stimuli,sites] of the same stimuli");
  Tensor<double> bad = d.x.clone();
  bad[3 * 6 + 5] = NAN;
  CHECK(message_of([&] { brain::fit_pls(bad, d.y, {.components = 1}); }) == "fit_pls: features: nan at row 3, column 5; finite numbers are needed");
  const brain::Pls fit = brain::fit_pls(d.x, d.y, {.components = 2});
  CHECK(message_of([&] { static_cast<void>(fit.predict(d.x, 3)); }) == "PLS: 3 components asked of a fit of 2");
  CHECK(message_of([&] {
          static_cast<void>(fit.predict(Tensor<double>({2, 5})));
        }) == "Pls::predict: features of shape [2,5]; fitted on 6 features, needs [stimuli,6]");
}
