#include "helpers.hpp"
#include "ventral/brain/inference.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

using namespace ventral;
using namespace ventral::brain;
using test::message_of;

namespace {

Rdm noisy(std::uint64_t truth_seed, std::uint64_t seed, Index conditions, double noise) {
  Random truth(truth_seed), random(seed);
  Rdm rdm(conditions);
  for (double& v : rdm.values()) v = truth.uniform() + noise * random.normal();
  return rdm;
}

std::vector<Rdm> noisy_subjects(Index count, Index conditions) {
  std::vector<Rdm> subjects;
  for (Index s = 0; s < count; ++s) subjects.push_back(noisy(1, 100 + static_cast<std::uint64_t>(s), conditions, 0.3));
  return subjects;
}

std::vector<ModelRdm> three_models(Index conditions) {
  return {{"true", noisy(1, 0, conditions, 0)}, {"near", noisy(1, 5, conditions, 0.4)}, {"random", noisy(77, 6, conditions, 0.1)}};
}

double mean(const std::vector<double>& v) {
  double sum = 0;
  for (const double x : v) sum += x;
  return sum / static_cast<double>(v.size());
}

bool same_bits(const Tensor<double>& a, const Tensor<double>& b) {
  bool same = a.shape() == b.shape();
  for (Index i = 0; same && i < a.size(); ++i) same = a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]));
  return same;
}

/// Mean over the drawn subjects of the model taken at the drawn conditions, written out with copies of RDMs.
double score_by_expansion(const Rdm& model, const std::vector<Rdm>& subjects, std::span<const Index> draws, std::span<const Index> conditions,
                          Comparator c) {
  double sum = 0, total = 0;
  for (std::size_t s = 0; s < subjects.size(); ++s)
    for (Index k = 0; k < draws[s]; ++k) sum += compare(model.selected(conditions), subjects[s].selected(conditions), c), total += 1;
  return sum / total;
}

}  // namespace

TEST_CASE("inference: every bootstrap sample is the score of the expanded RDMs, the ceiling that of copied subjects left out together") {
  const std::vector<Rdm> subjects = noisy_subjects(4, 8);
  const std::vector<ModelRdm> models = three_models(8);
  for (const Comparator c : {Comparator::tau_a, Comparator::spearman, Comparator::pearson, Comparator::cosine}) {
    CAPTURE(name(c));
    constexpr Index samples = 8;
    const Evaluation e = evaluate_models(models, subjects, {.comparator = c, .samples = samples, .seed = 3});
    REQUIRE(e.bootstrap.both.shape() == Shape{samples, 5});
    std::vector<Index> whole{0, 1, 2, 3, 4, 5, 6, 7};
    for (Index i = 0; i < samples; ++i) {
      Random own = Random(3).fork(static_cast<std::uint64_t>(i));
      const std::vector<Index> drawn = bootstrap_counts(8, own), people = bootstrap_counts(4, own), once(4, 1);
      const ConditionSample sample(drawn);
      for (Index m = 0; m < 3; ++m) {
        const Rdm& model = models[static_cast<std::size_t>(m)].rdm;
        CHECK(e.bootstrap.both.at(i, m) == doctest::Approx(score_by_expansion(model, subjects, people, sample.index, c)).epsilon(1e-12));
        CHECK(e.bootstrap.conditions.at(i, m) == doctest::Approx(score_by_expansion(model, subjects, once, sample.index, c)).epsilon(1e-12));
        CHECK(e.bootstrap.subjects.at(i, m) == doctest::Approx(score_by_expansion(model, subjects, people, whole, c)).epsilon(1e-12));
      }
      std::vector<Rdm> copies;
      std::vector<Index> who;
      std::vector<Rdm> at_conditions;
      for (std::size_t s = 0; s < 4; ++s) {
        at_conditions.push_back(subjects[s].selected(sample.index));
        for (Index k = 0; k < people[s]; ++k) copies.push_back(at_conditions.back()), who.push_back(static_cast<Index>(s));
      }
      const NoiseCeiling conditions = noise_ceiling(at_conditions, c);
      CHECK(e.bootstrap.conditions.at(i, 3) == doctest::Approx(conditions.lower).epsilon(1e-12));
      CHECK(e.bootstrap.conditions.at(i, 4) == doctest::Approx(conditions.upper).epsilon(1e-12));
      if (distinct(people) < 2) continue;
      const SubjectCeilings each = subject_ceilings(copies, c, {.groups = who});
      std::vector<double> lower, upper;
      std::size_t g = 0;
      for (std::size_t s = 0; s < 4; ++s) {
        for (Index k = 0; k < people[s]; ++k) lower.push_back(each.lower[g]), upper.push_back(each.upper[g]);
        g += people[s] > 0;
      }
      CHECK(e.bootstrap.both.at(i, 3) == doctest::Approx(mean(lower)).epsilon(1e-12));
      CHECK(e.bootstrap.both.at(i, 4) == doctest::Approx(mean(upper)).epsilon(1e-12));
    }
  }
}

TEST_CASE("inference: means, standard errors, intervals, p values and their adjustment fit together") {
  const std::vector<Rdm> subjects = noisy_subjects(5, 20);
  const std::vector<ModelRdm> models = three_models(20);
  const Evaluation e = evaluate_models(models, subjects, {.samples = 100});
  REQUIRE(e.models.size() == 3);
  REQUIRE(e.pairs.size() == 3);
  CHECK(e.degrees_of_freedom == 4);
  CHECK(&e.samples() == &e.bootstrap.both);
  const NoiseCeiling ceiling = noise_ceiling(subjects, Comparator::tau_a);
  CHECK(e.ceiling.lower == ceiling.lower);
  CHECK(e.ceiling.upper == ceiling.upper);
  CHECK(e.ceiling_standard_error.lower > 0);
  std::vector<double> p_zero, p_pair;
  for (std::size_t m = 0; m < 3; ++m) {
    const ModelScore& score = e.models[m];
    CHECK(score.mean == doctest::Approx(mean(subject_scores(models[m].rdm, subjects, Comparator::tau_a))).epsilon(1e-14));
    CHECK(score.p_zero == doctest::Approx(student_t_tail(score.mean / score.standard_error, 4)));
    CHECK(score.high - score.mean == doctest::Approx(student_t_quantile(0.975, 4) * score.standard_error));
    CHECK(score.mean - score.low == doctest::Approx(score.high - score.mean));
    p_zero.push_back(score.p_zero);
  }
  for (const ModelPair& pair : e.pairs) {
    CHECK(pair.difference == e.models[static_cast<std::size_t>(pair.first)].mean - e.models[static_cast<std::size_t>(pair.second)].mean);
    CHECK(pair.p == doctest::Approx(2 * student_t_tail(std::abs(pair.difference) / pair.standard_error, 4)));
    p_pair.push_back(pair.p);
  }
  CHECK(e.models[1].p_zero_adjusted == adjust_benjamini_hochberg(p_zero)[1]);
  CHECK(e.pairs[2].p_adjusted == adjust_benjamini_hochberg(p_pair)[2]);
  CHECK(e.models[0].p_zero < 0.001);  // bounds beyond all of 300 simulations with other seeds: at most 0.0003
  CHECK(e.models[2].p_zero > 0.05);   // at least 0.1
  CHECK(e.models[0].p_ceiling > 0.02);  // at least 0.038
  CHECK(e.models[2].p_ceiling < 0.03);  // at most 0.021
  CHECK(e.pairs[1].first == 0);
  CHECK(e.pairs[1].second == 2);
  CHECK(e.pairs[1].p < 0.02);  // at most 0.0098
}

TEST_CASE("inference: one factor has variance n/(n - 1) times the bootstrap's; over subjects that is the standard error of the mean") {
  const std::vector<Rdm> subjects = noisy_subjects(6, 10);
  const std::vector<ModelRdm> models = three_models(10);
  const Evaluation e = evaluate_models(models, subjects, {.samples = 2000, .resample = Resample::subjects});
  CHECK(e.bootstrap.both.empty());
  CHECK(e.degrees_of_freedom == 5);
  for (const ModelScore& m : e.models)
    CHECK(m.standard_error == doctest::Approx(std::sqrt(sample_variance(m.subjects) / 6)).epsilon(0.07));  // 1 / sqrt(4000) = 0.016
  const Evaluation by_condition = evaluate_models(models, subjects, {.samples = 50, .resample = Resample::conditions});
  CHECK(by_condition.degrees_of_freedom == 9);
  CHECK(by_condition.models[1].standard_error ==
        doctest::Approx(std::sqrt(10.0 / 9 * sample_variance(brain::detail::contrast(by_condition.bootstrap.conditions, 1, -1)))));
}

TEST_CASE("inference: Wilcoxon over subjects and bootstrap percentiles as tests") {
  const std::vector<Rdm> subjects = noisy_subjects(7, 9);
  const std::vector<ModelRdm> models = three_models(9);
  const Evaluation w = evaluate_models(models, subjects, {.samples = 20, .test = ModelTest::wilcoxon});
  const SubjectCeilings each = subject_ceilings(subjects, Comparator::tau_a);
  CHECK(w.models[0].p_zero == 1.0 / 128);
  CHECK(w.models[2].p_ceiling == wilcoxon_signed_rank(w.models[2].subjects, each.lower).p);
  CHECK(w.pairs[0].p == wilcoxon_signed_rank(w.models[0].subjects, w.models[1].subjects).p);
  const Evaluation b = evaluate_models(models, subjects, {.samples = 99, .test = ModelTest::bootstrap, .confidence = 0.9});
  CHECK(b.models[0].p_zero == 0.01);
  CHECK(b.models[2].p_ceiling == bootstrap_p(brain::detail::contrast(b.samples(), 2, 3)));
  CHECK(b.pairs[2].p == bootstrap_p(brain::detail::contrast(b.samples(), 1, 2)));
  CHECK(b.models[1].low == doctest::Approx(quantile(brain::detail::contrast(b.samples(), 1, -1), 0.05)).epsilon(1e-12));
  CHECK(b.models[1].high == doctest::Approx(quantile(brain::detail::contrast(b.samples(), 1, -1), 0.95)).epsilon(1e-12));
}

TEST_CASE("inference: intervals cover the truth at least as often as they say, and are not twice too long") {
  // Dissimilarities of conditions drawn from a population, so that conditions are what varies; a model of other features, truth 0. Intervals of 50 %
  // tell most about their length: 638 of 1000 simulations with other seeds covered 0, 347 with half the length, 939 with twice.
  // Of 150 expected 96 with standard deviation 5.9: three and a half of these either way.
  const auto distances = [](const std::vector<double>& z) {
    Rdm rdm(static_cast<Index>(z.size()));
    std::size_t k = 0;
    for (std::size_t i = 0; i < z.size(); ++i)
      for (std::size_t j = i + 1; j < z.size(); ++j) rdm.values()[k++] = std::abs(z[i] - z[j]);
    return rdm;
  };
  int covered = 0;
  for (std::uint64_t trial = 0; trial < 150; ++trial) {
    Random random(trial);
    std::vector<double> truth(12), other(12), seen(12);
    for (double& v : truth) v = random.normal();
    for (double& v : other) v = random.normal();
    std::vector<Rdm> subjects;
    for (int s = 0; s < 6; ++s) {
      for (std::size_t i = 0; i < 12; ++i) seen[i] = truth[i] + random.normal();
      subjects.push_back(distances(seen));
    }
    const std::vector<ModelRdm> unrelated{{"unrelated", distances(other)}};
    const Evaluation e =
        evaluate_models(unrelated, subjects, {.comparator = Comparator::pearson, .samples = 40, .seed = trial, .confidence = 0.5});
    covered += e.models[0].low <= 0 && 0 <= e.models[0].high;
  }
  CHECK(covered >= 75);
  CHECK(covered <= 117);
}

TEST_CASE("inference: the same bits on one and two threads, another seed other samples") {
  const std::vector<Rdm> subjects = noisy_subjects(4, 9);
  const std::vector<ModelRdm> models = three_models(9);
  const int threads = cpu::threads();
  cpu::set_threads(1);
  const Evaluation one = evaluate_models(models, subjects, {.samples = 40});
  cpu::set_threads(2);
  const Evaluation two = evaluate_models(models, subjects, {.samples = 40}), other = evaluate_models(models, subjects, {.samples = 40, .seed = 2});
  cpu::set_threads(threads);
  CHECK(same_bits(one.bootstrap.both, two.bootstrap.both));
  CHECK(same_bits(one.bootstrap.subjects, two.bootstrap.subjects));
  CHECK(same_bits(one.bootstrap.conditions, two.bootstrap.conditions));
  CHECK(to_string(one) == to_string(two));
  CHECK_FALSE(same_bits(one.bootstrap.both, other.bootstrap.both));
}

TEST_CASE("inference: samples of too few conditions are counted and left out; one subject has no ceiling; sessions are one subject") {
  const std::vector<Rdm> few = noisy_subjects(3, 3);
  const std::vector<ModelRdm> models = three_models(3);
  const Evaluation e = evaluate_models(models, few, {.samples = 100});
  Index missing = 0;
  for (Index i = 0; i < 100; ++i) missing += std::isnan(e.bootstrap.both.at(i, 0));
  CHECK(e.left_out == missing);
  CHECK(e.left_out > 60);  // three of three conditions come up in 2 samples of 9: 78 with standard deviation 4.2
  CHECK(e.left_out < 95);

  const std::vector<Rdm> subjects = noisy_subjects(4, 9);
  const Evaluation single = evaluate_models(three_models(14), noisy_subjects(1, 14), {.samples = 30, .resample = Resample::conditions});
  CHECK(std::isnan(single.ceiling.lower));
  CHECK(std::isnan(single.models[0].p_ceiling));
  CHECK(single.models[0].p_zero < 0.05);  // at most 0.012 in 300 simulations with other seeds

  const Evaluation sessions = evaluate_models(three_models(9), subjects, {.samples = 30, .groups = {5, 5, 8, 8}});
  CHECK(sessions.subjects == 2);
  CHECK(sessions.models[1].subjects == subject_scores(three_models(9)[1].rdm, subjects, Comparator::tau_a, std::vector<Index>{5, 5, 8, 8}));
  CHECK(sessions.ceiling.lower == noise_ceiling(subjects, Comparator::tau_a, {.groups = {5, 5, 8, 8}}).lower);
}

TEST_CASE("inference: the table has a row for each model, ceiling and pair, all aligned") {
  const Evaluation e = evaluate_models(three_models(9), noisy_subjects(4, 9), {.samples = 30});
  const std::string table = to_string(e);
  CHECK(table.find("tau_a, 9 conditions, 4 subjects; 30 bootstrap samples of conditions and subjects (0 left out); t test\n") == 0);
  std::vector<std::string> lines;
  for (std::size_t at = 0, end; (end = table.find('\n', at)) != std::string::npos; at = end + 1) lines.push_back(table.substr(at, end - at));
  REQUIRE(lines.size() == 11);
  CHECK(lines[1].find("model") == 0);
  CHECK(lines[5].find("lower ceiling") == 0);
  CHECK(lines[9].find("true - random") == 0);
  CHECK(lines[2].size() == lines[1].size());
  CHECK(lines[3].size() == lines[1].size());
  CHECK(lines[8].size() == lines[7].size());
}

TEST_CASE("inference: bad input is named") {
  const std::vector<Rdm> subjects = noisy_subjects(2, 5);
  std::vector<ModelRdm> models = three_models(5);
  const auto evaluate = [&](InferenceOptions options = {}) {
    return message_of([&] { static_cast<void>(evaluate_models(models, subjects, options)); });
  };
  CHECK(message_of([&] { static_cast<void>(evaluate_models(std::vector<ModelRdm>{}, subjects)); }) == "evaluate_models: no models");
  CHECK(message_of([&] { static_cast<void>(evaluate_models(models, subjects, {.comparator = Comparator::cosine_cov})); }) ==
        "evaluate_models: cosine_cov needs every pair of conditions, and a bootstrap over conditions drops those of twice the same; resample subjects, or use another "
        "comparator");
  CHECK(std::isfinite(evaluate_models(models, subjects, {.comparator = Comparator::cosine_cov, .samples = 20, .resample = Resample::subjects}).models[0].standard_error));
  CHECK(message_of([&] { static_cast<void>(evaluate_models(models, std::vector<Rdm>{})); }) == "evaluate_models: no subject RDMs");
  CHECK(message_of([&] { static_cast<void>(evaluate_models(models, std::span(subjects).first(1))); }) ==
        "evaluate_models: 1 subject; at least 2 are needed to resample conditions and subjects");
  CHECK(evaluate({.samples = 0}) == "evaluate_models: 0 bootstrap samples; at least 2 are needed");
  CHECK(evaluate({.confidence = 95}) == "evaluate_models: confidence 95; needs a number between 0 and 1");
  CHECK(evaluate({.pool = CeilingPool::bound}) == "evaluate_models: pool bound is defined for spearman; the comparator is tau_a");
  CHECK(evaluate({.groups = {1}}) == "groups: 1 labels for 2 RDMs; one for each is needed");
  CHECK(message_of([&] {
          static_cast<void>(evaluate_models(three_models(2), std::vector<Rdm>{Rdm(2), Rdm(2)}));
        }) == "evaluate_models: 2 conditions; at least 3 are needed");
  models.push_back({"HMAX", Rdm(4)});
  CHECK(evaluate() == "evaluate_models: model 'HMAX' has 4 conditions; the subjects have 5");
}
