#include "helpers.hpp"
#include "ventral/brain/weighted_model.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

using namespace ventral;
using namespace ventral::brain;
using test::message_of;

namespace {

double residual(const Tensor<double>& a, const std::vector<double>& b, const std::vector<double>& w) {
  double sum = 0;
  for (Index r = 0; r < a.dim(0); ++r) {
    double error = b[static_cast<std::size_t>(r)];
    for (Index i = 0; i < a.dim(1); ++i) error -= a.at(r, i) * w[static_cast<std::size_t>(i)];
    sum += error * error;
  }
  return sum;
}

Rdm random_rdm(std::uint64_t seed, Index conditions) {
  Random random(seed);
  Rdm rdm(conditions);
  for (double& v : rdm.values()) v = random.uniform();
  return rdm;
}

/// Subjects whose RDMs are a mixture of model RDMs and noise.
std::vector<Rdm> mixtures(const std::vector<ModelRdm>& models, const std::vector<double>& weights, Index subjects, double noise, std::uint64_t seed) {
  std::vector<Rdm> rdms;
  for (Index s = 0; s < subjects; ++s) {
    Random random = Random(seed).fork(static_cast<std::uint64_t>(s));
    Rdm rdm(models[0].rdm.conditions());
    for (std::size_t k = 0; k < rdm.values().size(); ++k) {
      rdm.values()[k] = 3 + noise * random.normal();
      for (std::size_t m = 0; m < models.size(); ++m) rdm.values()[k] += weights[m] * models[m].rdm.values()[k];
    }
    rdms.push_back(std::move(rdm));
  }
  return rdms;
}

}  // namespace

TEST_CASE("nnls: scipy.optimize.nnls, and the conditions of a minimum") {
  const Tensor<double> a({4, 3}, {1, 2, .5, 3, 1, 1, .2, 4, 1, 1, 1, 5});
  const std::vector<double> b{1, -2, 3, 4}, w = nnls(a, b);
  CHECK(w[0] == 0);
  CHECK(w[1] == doctest::Approx(0.41692789968652).epsilon(1e-12));
  CHECK(w[2] == doctest::Approx(0.620689655172414).epsilon(1e-12));
  CHECK(std::sqrt(residual(a, b, w)) == doctest::Approx(3.1597984142677173).epsilon(1e-12));

  Random random(4);
  for (int trial = 0; trial < 100; ++trial) {
    const Index m = 12, k = 1 + trial % 7;
    Tensor<double> x({m, k});
    std::vector<double> y(static_cast<std::size_t>(m));
    for (double& v : x) v = random.normal();
    for (double& v : y) v = random.normal();
    const std::vector<double> z = nnls(x, y);
    for (Index i = 0; i < k; ++i) {  // slope 0 where w > 0, not above 0 where w = 0
      double slope = 0;
      for (Index r = 0; r < m; ++r) {
        double error = y[static_cast<std::size_t>(r)];
        for (Index j = 0; j < k; ++j) error -= x.at(r, j) * z[static_cast<std::size_t>(j)];
        slope += error * x.at(r, i);
      }
      CHECK(z[static_cast<std::size_t>(i)] >= 0);
      if (z[static_cast<std::size_t>(i)] > 0) CHECK(std::abs(slope) < 1e-10);
      else CHECK(slope < 1e-10);
    }
  }
}

TEST_CASE("nnls: dependent columns, zero columns, ridge, bad input") {
  const Tensor<double> twice({3, 3}, {1, 1, 0, 2, 2, 0, 3, 3, 0});
  const std::vector<double> b{1, 2, 3}, w = nnls(twice, b);
  CHECK(w[0] + w[1] == doctest::Approx(1));
  CHECK(w[2] == 0);
  CHECK(nnls(Tensor<double>({3, 1}, {1, 2, 3}), b, 14)[0] == doctest::Approx(0.5));  // 14 / (14 + 14)
  CHECK(nnls(Tensor<double>({3, 1}, {-1, -2, -3}), b)[0] == 0);
  CHECK(message_of([&] { static_cast<void>(nnls(Tensor<double>({2, 1}), b)); }) == "nnls: a matrix of shape [2,1] and 3 values");
  CHECK(message_of([&] { static_cast<void>(nnls(twice, b, -1)); }) == "nnls: penalty -1; needs at least 0");
  CHECK(message_of([&] { static_cast<void>(nnls_normal(Tensor<double>({2, 2}), b)); }) == "nnls: a Gram matrix of shape [2,2] and 3 projections");
}

TEST_CASE("weighted model: recovers the weights of a mixture and beats each model, on subjects and conditions it never saw") {
  const std::vector<ModelRdm> models{{"a", random_rdm(1, 20)}, {"b", random_rdm(2, 20)}, {"unrelated", random_rdm(3, 20)}};
  const std::vector<Rdm> clean = mixtures(models, {2, 1, 0}, 3, 0, 9), noisy = mixtures(models, {2, 1, 0}, 4, 0.3, 9);
  const WeightedEvaluation exact = evaluate_weighted_model(models, clean, {.comparator = Comparator::pearson, .folds = 4, .penalties = {0}});
  CHECK(exact.mean == doctest::Approx(1).epsilon(1e-9));
  REQUIRE(exact.folds.size() == 12);
  for (const WeightedFold& fold : exact.folds) {
    CHECK(fold.weights[0] / fold.weights[1] == doctest::Approx(2));
    CHECK(fold.weights[2] == doctest::Approx(0));
  }
  CHECK(exact.weights[0] == doctest::Approx(2.0 / 3));
  const WeightedEvaluation e = evaluate_weighted_model(models, noisy, {.folds = 4});
  CHECK(e.subjects.size() == 4);
  double best = 0;
  for (const ModelRdm& model : models) {
    double mean = 0;
    for (const double s : subject_scores(model.rdm, noisy, Comparator::tau_a)) mean += s / 4;
    best = std::max(best, mean);
  }
  CHECK(e.mean > best);
}

TEST_CASE("weighted model: noise models do not score above 0 in the mean, though they fit the training data") {
  double mean = 0, squares = 0, training = 0;
  constexpr int trials = 40;
  for (int trial = 0; trial < trials; ++trial) {
    std::vector<ModelRdm> models;
    for (int m = 0; m < 12; ++m) models.push_back({"noise", random_rdm(static_cast<std::uint64_t>(1000 * trial + m), 12)});
    const std::vector<Rdm> subjects =
        mixtures({{"truth", random_rdm(static_cast<std::uint64_t>(1000 * trial + 500), 12)}}, {1}, 3, 0.1, static_cast<std::uint64_t>(trial));
    const double score =
        evaluate_weighted_model(models, subjects, {.comparator = Comparator::pearson, .folds = 2, .inner_folds = 2, .penalties = {0, 0.1}}).mean;
    mean += score / trials, squares += score * score / trials;
    const brain::detail::WeightedStudy study{models, subjects, subject_groups(3, {}), Comparator::pearson};
    const std::vector<Index> everyone{0, 1, 2}, all{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    training += brain::detail::score_weights(study, brain::detail::fit_weights(brain::detail::prepare_fit(study, everyone, all), 0), 0, all) / trials;
  }
  const double standard_error = std::sqrt((squares - mean * mean) / trials);
  CHECK(std::abs(mean) < 3 * standard_error);
  CHECK(training > 0.25);  // what scoring on the data of the fit would have claimed
}

TEST_CASE("weighted model: held-out data change no weights") {
  const std::vector<ModelRdm> models{{"a", random_rdm(1, 12)}, {"b", random_rdm(2, 12)}};
  std::vector<Rdm> subjects = mixtures(models, {1, 1}, 3, 0.5, 3);
  const WeightedModelOptions options{.folds = 2, .inner_folds = 2};
  const WeightedEvaluation before = evaluate_weighted_model(models, subjects, options);
  for (double& v : subjects[2].values()) v = 100 - v * v;
  const WeightedEvaluation after = evaluate_weighted_model(models, subjects, options);
  for (std::size_t f = 0; f < before.folds.size(); ++f) {
    const bool held_out = before.folds[f].subject == 2;
    CHECK((before.folds[f].weights == after.folds[f].weights) == held_out);
    if (held_out) CHECK(before.folds[f].penalty == after.folds[f].penalty);
  }
}

TEST_CASE("weighted model: sessions of a subject stay together, same bits on one and two threads") {
  const std::vector<ModelRdm> models{{"a", random_rdm(1, 12)}, {"b", random_rdm(2, 12)}};
  const std::vector<Rdm> rdms = mixtures(models, {1, 2}, 4, 0.5, 3);
  const WeightedModelOptions options{.folds = 2, .inner_folds = 2, .groups = {0, 0, 1, 1}};
  const int threads = cpu::threads();
  cpu::set_threads(1);
  const WeightedEvaluation one = evaluate_weighted_model(models, rdms, options);
  cpu::set_threads(2);
  const WeightedEvaluation two = evaluate_weighted_model(models, rdms, options);
  cpu::set_threads(threads);
  CHECK(one.folds.size() == 4);
  CHECK(one.subjects.size() == 2);
  CHECK(one.mean == two.mean);
  CHECK(one.weights == two.weights);
}

TEST_CASE("weighted model: bad input is named") {
  const std::vector<ModelRdm> models{{"a", random_rdm(1, 12)}};
  const std::vector<Rdm> subjects = mixtures(models, {1}, 2, 0.5, 3);
  const auto evaluate = [&](WeightedModelOptions options) {
    return message_of([&] { static_cast<void>(evaluate_weighted_model(models, subjects, options)); });
  };
  CHECK(evaluate({.penalties = {}}) == "evaluate_weighted_model: no penalties");
  CHECK(evaluate({.folds = 2, .penalties = {-1}}) == "evaluate_weighted_model: penalty -1; needs at least 0");
  CHECK(evaluate({.folds = 1}) == "evaluate_weighted_model: 1 folds and 3 inner folds; needs at least 2 of each");
  CHECK(evaluate({.folds = 5}) == "evaluate_weighted_model: 12 conditions for 5 folds and 3 inner folds; each fold needs at least 3");
  CHECK(evaluate({.folds = 2, .inner_folds = 2, .groups = {3, 3}}) == "evaluate_weighted_model: 1 subject; at least 2 are needed");
  CHECK(message_of([&] { static_cast<void>(evaluate_weighted_model(std::vector<ModelRdm>{{"V1", Rdm(11)}}, subjects)); }) ==
        "evaluate_weighted_model: model 'V1' has 11 conditions; the subjects have 12");
  CHECK(message_of([&] { static_cast<void>(evaluate_weighted_model(std::vector<ModelRdm>{}, subjects)); }) == "evaluate_weighted_model: no models");
}
