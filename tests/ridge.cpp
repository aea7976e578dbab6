#include "helpers.hpp"
#include "ventral/brain/ridge.hpp"

#include <doctest/doctest.h>

#include <string>

#include "ventral/brain/ridge_gram.hpp"
#include "ventral/random.hpp"

using namespace ventral;
using brain::RidgeOptions;
using brain::RidgeRoute;
using test::largest_difference;
using test::message_of;
using test::random_tensor;

namespace {

Tensor<double> rows_of(const Tensor<double>& m, const std::vector<Index>& rows) {
  Tensor<double> out({static_cast<Index>(rows.size()), m.dim(1)});
  for (std::size_t i = 0; i < rows.size(); ++i) std::copy_n(m.data() + rows[i] * m.dim(1), m.dim(1), out.data() + static_cast<Index>(i) * m.dim(1));
  return out;
}

/// Gaussian elimination with pivoting: B = A^-1 B.
void solve(Tensor<double> a, Tensor<double>& b) {
  const Index n = a.dim(0), q = b.dim(1);
  for (Index k = 0; k < n; ++k) {
    Index pivot = k;
    for (Index i = k; i < n; ++i)
      if (std::abs(a[i * n + k]) > std::abs(a[pivot * n + k])) pivot = i;
    for (Index j = 0; j < n; ++j) std::swap(a[k * n + j], a[pivot * n + j]);
    for (Index j = 0; j < q; ++j) std::swap(b[k * q + j], b[pivot * q + j]);
    for (Index i = 0; i < n; ++i) {
      if (i == k) continue;
      const double f = a[i * n + k] / a[k * n + k];
      for (Index j = k; j < n; ++j) a[i * n + j] -= f * a[k * n + j];
      for (Index j = 0; j < q; ++j) b[i * q + j] -= f * b[k * q + j];
    }
  }
  for (Index i = 0; i < n * q; ++i) b[i] /= a[i / q * n + i / q];
}

/// Predictions at x_new of the definition: normal equations of [1 X] with the penalty on all but the intercept.
Tensor<double> brute_force(const Tensor<double>& x, const Tensor<double>& y, double penalty, const Tensor<double>& x_new) {
  const Index n = x.dim(0), p = x.dim(1), q = y.dim(1);
  Tensor<double> a({p + 1, p + 1}), b({p + 1, q}), out({x_new.dim(0), q});
  const auto design = [p](const Tensor<double>& m, Index i, Index k) { return k == p ? 1.0 : m[i * p + k]; };
  for (Index k = 0; k <= p; ++k) {
    for (Index i = 0; i < n; ++i) {
      for (Index l = 0; l <= p; ++l) a[k * (p + 1) + l] += design(x, i, k) * design(x, i, l);
      for (Index j = 0; j < q; ++j) b[k * q + j] += design(x, i, k) * y[i * q + j];
    }
    if (k < p) a[k * (p + 1) + k] += penalty;
  }
  solve(std::move(a), b);
  for (Index i = 0; i < out.dim(0); ++i)
    for (Index k = 0; k <= p; ++k)
      for (Index j = 0; j < q; ++j) out[i * q + j] += design(x_new, i, k) * b[k * q + j];
  return out;
}

/// Mean squared errors [q] of refits without each fold.
Tensor<double> refit_errors(const Tensor<double>& x, const Tensor<double>& y, double penalty, const std::vector<std::vector<Index>>& folds) {
  const Index n = x.dim(0), q = y.dim(1);
  Tensor<double> mse({q});
  for (const auto& fold : folds) {
    std::vector<Index> rest;
    for (Index i = 0; i < n; ++i)
      if (std::find(fold.begin(), fold.end(), i) == fold.end()) rest.push_back(i);
    const Tensor<double> predicted = brute_force(rows_of(x, rest), rows_of(y, rest), penalty, rows_of(x, fold)), truth = rows_of(y, fold);
    for (Index i = 0; i < truth.size(); ++i) mse[i % q] += (truth[i] - predicted[i]) * (truth[i] - predicted[i]) / static_cast<double>(n);
  }
  return mse;
}

std::vector<std::vector<Index>> contiguous(Index n, Index count) {
  std::vector<std::vector<Index>> folds(static_cast<std::size_t>(count));
  for (Index i = 0, f = 0, end = 0; f < count; ++f)
    for (end += n / count + (f < n % count ? 1 : 0); i < end; ++i) folds[static_cast<std::size_t>(f)].push_back(i);
  return folds;
}

struct Problem {
  Tensor<double> x, y, x_new;
};
Problem problem(Index n, Index p, Index q) {
  Problem d{random_tensor<double>({n, p}, 1, 2), random_tensor<double>({n, q}, 2, -1), random_tensor<double>({4, p}, 3, 2)};
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < q; ++j) d.y[i * q + j] += 2 * d.x[i * p + j % p];
  return d;
}

constexpr RidgeRoute routes[] = {RidgeRoute::eigen, RidgeRoute::cholesky};

}  // namespace

TEST_CASE("ridge: leave-one-out and k-fold errors are those of refits, predictions those of the definition") {
  const std::vector<double> penalties = {0.01, 1, 30};
  for (const auto& [n, p, q] : {std::array<Index, 3>{14, 4, 3}, {9, 25, 2}, {11, 11, 2}, {12, 1, 1}, {3, 2, 1}, {4, 1, 2}}) {
    const Problem d = problem(n, p, q);
    for (const RidgeRoute route : routes)
      for (const Index folds : {Index{0}, Index{3}}) {
        if (folds == 3 && n == 3) continue;
        const brain::Ridge fit = brain::fit_ridge(d.x, d.y, {.penalties = penalties, .folds = folds, .route = route});
        double best = INFINITY, best_penalty = 0;
        for (Index a = 0; a < 3; ++a) {
          const Tensor<double> expected = refit_errors(d.x, d.y, penalties[static_cast<std::size_t>(a)], contiguous(n, folds == 0 ? n : folds));
          double mean = 0;
          for (Index j = 0; j < q; ++j) {
            CHECK(fit.validation_mse[a * q + j] == doctest::Approx(expected[j]).epsilon(1e-8));
            mean += expected[j];
          }
          if (mean < best) best = mean, best_penalty = penalties[static_cast<std::size_t>(a)];
        }
        CHECK(fit.penalty[0] == best_penalty);
        CHECK(largest_difference(fit.predict(d.x_new), brute_force(d.x, d.y, best_penalty, d.x_new)) < 1e-9);
      }
  }
}

TEST_CASE("ridge: left-out errors are those of refits where the fit without them leaves next to no residual") {
  const Index n = 12;
  for (const Index p : {11, 12, 13})
    for (const RidgeRoute route : routes)
      for (const Index count : {Index{0}, Index{2}}) {
        Problem d = problem(n, p, 1);
        for (double& v : d.x) v *= 1e6;
        const RidgeOptions options{.penalties = {0.1}, .folds = count, .route = route};
        double mse = 0;
        for (const std::vector<Index>& fold : contiguous(n, count == 0 ? n : count)) {
          std::vector<Index> rest;
          for (Index i = 0; i < n; ++i)
            if (std::find(fold.begin(), fold.end(), i) == fold.end()) rest.push_back(i);
          const Tensor<double> predicted = brain::fit_ridge(rows_of(d.x, rest), rows_of(d.y, rest), options).predict(rows_of(d.x, fold));
          for (std::size_t i = 0; i < fold.size(); ++i) mse += std::pow(predicted[static_cast<Index>(i)] - d.y[fold[i]], 2) / static_cast<double>(n);
        }
        CHECK(brain::fit_ridge(d.x, d.y, options).validation_mse[0] == doctest::Approx(mse).epsilon(1e-6));
      }
}

TEST_CASE("ridge: one feature, by hand") {
  // x = -1, 0, 1 around 5; y = 1, 2, 6: slope 5 / (2 + 3) = 1 at penalty 3, mean 3
  const brain::Ridge fit = brain::fit_ridge(Tensor<float>({3, 1}, {4, 5, 6}), Tensor<double>({3, 1}, {1, 2, 6}), {.penalties = {3}});
  CHECK(fit.coefficients[0] == doctest::Approx(1));
  CHECK(fit.intercept[0] == doctest::Approx(-2));
  CHECK(fit.predict(Tensor<float>({1, 1}, {10}))[0] == doctest::Approx(8));
}

TEST_CASE("ridge: penalties per site, given folds, and both routes agree") {
  for (const Index p : {5, 60}) {
    Problem d = problem(30, p, 4);
    for (Index i = 0; i < 30; ++i) d.y[i * 4 + 3] = 0.01 * d.y[i * 4] + static_cast<double>(i % 3);  // a site that wants another penalty
    RidgeOptions options{.penalties = brain::log_spaced(0.01, 1e4, 13), .per_site = true};
    for (Index i = 0; i < 30; ++i) options.fold_of.push_back(i % 4);
    options.route = RidgeRoute::eigen;
    const brain::Ridge eigen = brain::fit_ridge(d.x, d.y, options);
    options.route = RidgeRoute::cholesky;
    const brain::Ridge cholesky = brain::fit_ridge(d.x, d.y, options);
    CHECK(eigen.penalty == cholesky.penalty);
    CHECK(largest_difference(eigen.validation_mse, cholesky.validation_mse) < 1e-9);
    CHECK(largest_difference(eigen.coefficients, cholesky.coefficients) < 1e-10);
    CHECK(eigen.penalty[3] != eigen.penalty[0]);
    std::vector<std::vector<Index>> folds(4);
    for (Index i = 0; i < 30; ++i) folds[static_cast<std::size_t>(i % 4)].push_back(i);
    CHECK(eigen.validation_mse[4 * 4 + 1] == doctest::Approx(refit_errors(d.x, d.y, options.penalties[4], folds)[1]));
    for (Index j = 0; j < 4; ++j) {
      const Tensor<double> expected = brute_force(d.x, d.y, eigen.penalty[static_cast<std::size_t>(j)], d.x_new), found = eigen.predict(d.x_new);
      for (Index i = 0; i < 4; ++i) CHECK(found[i * 4 + j] == doctest::Approx(expected[i * 4 + j]));
    }
  }
}

TEST_CASE("ridge: from a Gram matrix the same predictions, tall and wide, larger than a block") {
  for (const auto& [n, p] : {std::array<Index, 2>{20, 6}, {12, 40}, {130, 300}}) {
    const Problem d = problem(n, p, 2);
    const brain::CentredColumns x = brain::centred_columns(TensorRef<const double>(d.x), "x");
    Tensor<double> cross({4, n});
    for (Index i = 0; i < 4; ++i)
      for (Index j = 0; j < n; ++j)
        for (Index k = 0; k < p; ++k) cross[i * n + j] += (d.x_new[i * p + k] - x.mean[static_cast<std::size_t>(k)]) * x.values[j * p + k];
    for (const RidgeRoute route : routes)
      for (const bool per_site : {false, true}) {
        const RidgeOptions options{.penalties = {0.1, 5, 200}, .per_site = per_site, .route = route};
        const brain::Ridge direct = brain::fit_ridge(d.x, d.y, options);
        const brain::GramRidge dual = brain::fit_ridge_gram(brain::symmetric_product(x.values), d.y, options);
        CHECK(dual.penalty == direct.penalty);
        CHECK(largest_difference(dual.validation_mse, direct.validation_mse) < 1e-9);
        CHECK(largest_difference(dual.predict(cross), direct.predict(d.x_new)) < 1e-9);
      }
  }
}

TEST_CASE("ridge: a constant site is predicted by its mean, others are not touched") {
  Problem d = problem(10, 30, 2);
  for (Index i = 0; i < 10; ++i) d.y[i * 2 + 1] = 0.1;
  const brain::Ridge fit = brain::fit_ridge(d.x, d.y, {.penalties = {1}});
  const Tensor<double> found = fit.predict(d.x_new), expected = brute_force(d.x, d.y, 1, d.x_new);
  for (Index i = 0; i < 4; ++i) {
    CHECK(found[i * 2 + 1] == 0.1);
    CHECK(found[i * 2] == doctest::Approx(expected[i * 2]));
  }
}

TEST_CASE("ridge: the same bits for any number of threads") {
  const int before = cpu::threads();
  const Problem d = problem(150, 200, 3);
  const RidgeOptions options{.penalties = {1, 10}, .route = RidgeRoute::cholesky};
  cpu::set_threads(1);
  const brain::Ridge one = brain::fit_ridge(d.x, d.y, options);
  cpu::set_threads(2);
  const brain::Ridge two = brain::fit_ridge(d.x, d.y, options);
  cpu::set_threads(before);
  CHECK(largest_difference(one.coefficients, two.coefficients) == 0);
  CHECK(largest_difference(one.validation_mse, two.validation_mse) == 0);
}

TEST_CASE("ridge: default penalties, four per decade") {
  const std::vector<double> penalties = RidgeOptions{}.penalties;
  REQUIRE(penalties.size() == 33);
  CHECK(penalties[0] == doctest::Approx(0.1));
  CHECK(penalties[4] == doctest::Approx(1));
  CHECK(penalties[32] == doctest::Approx(1e7));
  CHECK(message_of([] { brain::log_spaced(0, 1, 3); }) == "log_spaced: 3 numbers from 0 to 1; needs 0 < low < high and at least 2 numbers");
}

TEST_CASE("ridge: bad input is named") {
  const Problem d = problem(5, 3, 2);
  const auto fit = [&](RidgeOptions options) { return message_of([&] { brain::fit_ridge(d.x, d.y, options); }); };
  CHECK(fit({.penalties = {}}) == "ridge: no penalties; at least 1 is needed");
  CHECK(fit({.penalties = {1, -2}}) == "ridge: penalty -2; positive ones are needed");
  CHECK(fit({.folds = 6}) == "ridge: 6 folds of 5 stimuli; needs 0 (leave one out) or 2 to the number of stimuli");
  CHECK(fit({.fold_of = {0, 1}}) == "ridge: folds of 2 stimuli for 5 training stimuli");
  CHECK(fit({.fold_of = {0, 0, 2, 2, 0}}) == "ridge: fold 1 has no stimuli");
  CHECK(fit({.fold_of = {0, 0, 1, 2, Index{1} << 60}}) ==
        "ridge: fold 1152921504606846976 of 5 training stimuli; folds are numbered from 0, none is empty");
  CHECK(message_of([&] { brain::fit_ridge(d.x, problem(6, 3, 2).y); }) ==
        "fit_ridge: features [5,3] and responses [6,2]; needs [stimuli,features] and [stimuli,sites] of the same stimuli");
  CHECK(message_of([&] { brain::fit_ridge(Tensor<double>({2, 3}), Tensor<double>({2, 1})); }) ==
        "fit_ridge: features: shape [2,3]; needs [stimuli >= 3, columns >= 1]");
  Tensor<double> x = d.x.clone(), y = d.y.clone();
  x[2 * 3 + 1] = NAN;
  CHECK(message_of([&] { brain::fit_ridge(x, d.y); }) == "fit_ridge: features: nan at row 2, column 1; finite numbers are needed");
  y[4 * 2] = INFINITY;
  CHECK(message_of([&] { brain::fit_ridge(d.x, y); }) == "fit_ridge: responses: inf at row 4, column 0; finite numbers are needed");
  const brain::Ridge good = brain::fit_ridge(d.x, d.y);
  CHECK(message_of([&] { static_cast<void>(good.predict(Tensor<double>({1, 4}))); }) ==
        "Ridge::predict: features of shape [1,4]; fitted on 3 features, needs [stimuli,3]");
  CHECK(message_of([&] { brain::fit_ridge_gram(Tensor<double>({4, 4}), d.y); }) ==
        "fit_ridge_gram: Gram matrix of shape [4,4] and responses to 5 stimuli; needs [n,n] and [n,sites]");
  CHECK(message_of([&] { brain::fit_ridge_gram(Tensor<double>::full({5, 5}, 2), d.y); }) ==
        "fit_ridge_gram: row 0 of the Gram matrix sums to 10; it has to be centred on the training stimuli");
}
