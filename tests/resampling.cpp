#include "helpers.hpp"
#include "ventral/brain/resampling.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "ventral/brain/permutation_test.hpp"

using namespace ventral;
using namespace ventral::brain;
using test::message_of;

namespace {

Rdm random_rdm(std::uint64_t seed, Index conditions, int levels) {
  Random random(seed);
  Rdm rdm(conditions);
  for (double& v : rdm.values()) v = static_cast<double>(random.below(levels));
  return rdm;
}

constexpr Comparator all[] = {Comparator::tau_a, Comparator::tau_b, Comparator::spearman, Comparator::rho_a, Comparator::pearson, Comparator::cosine};

}  // namespace

TEST_CASE("resampling: a comparison by multiplicity is the comparison of the RDMs taken at the drawn conditions") {
  Rdm a = random_rdm(1, 9, 12), b = random_rdm(2, 9, 40);
  for (int with_nan = 0; with_nan < 2; ++with_nan) {
    if (with_nan) a.values()[3] = undefined, b.values()[17] = undefined;
    const PreparedRdm first(a), second(b);
    Random random(3);
    for (int trial = 0; trial < 20; ++trial) {
      const std::vector<Index> counts = bootstrap_counts(9, random);
      const ConditionSample sample(counts);
      CHECK(sample.index.size() == 9);
      for (const Comparator c : all) {
        CAPTURE(name(c));
        CHECK(compare(first, second, sample, c) == doctest::Approx(compare(a.selected(sample.index), b.selected(sample.index), c)).epsilon(1e-12));
        CHECK(compare(first, second, {}, c) == doctest::Approx(compare(a, b, c)).epsilon(1e-12));
      }
    }
  }
}

TEST_CASE("resampling: whitened comparators in a sample expand the RDMs") {
  const Rdm a = random_rdm(1, 6, 30), b = random_rdm(2, 6, 30);
  CHECK(compare(PreparedRdm(a), PreparedRdm(b), {}, Comparator::cosine_cov) == compare(a, b, Comparator::cosine_cov));
  const std::vector<Index> permutation(6, 1);
  CHECK(compare(PreparedRdm(a), PreparedRdm(b), ConditionSample(permutation), Comparator::corr_cov) ==
        doctest::Approx(compare(a, b, Comparator::corr_cov)));
}

TEST_CASE("resampling: bootstrap counts sum to n and average to one; multiplicity of a pair is the product") {
  Random random(7);
  std::vector<double> mean(5, 0.0);
  for (int i = 0; i < 2000; ++i) {
    const std::vector<Index> counts = bootstrap_counts(5, random);
    Index sum = 0;
    for (std::size_t k = 0; k < 5; ++k) sum += counts[k], mean[k] += static_cast<double>(counts[k]) / 2000;
    CHECK(sum == 5);
  }
  for (const double m : mean) CHECK(m == doctest::Approx(1).epsilon(0.08));  // four times sqrt(4 / 5 / 2000)
  const std::vector<Index> counts{2, 0, 3, 1};
  const ConditionSample sample(counts);
  CHECK(sample.index == std::vector<Index>{0, 0, 2, 2, 2, 3});
  CHECK(sample.multiplicity == std::vector<std::uint32_t>{0, 6, 2, 0, 0, 3});
  CHECK(distinct(counts) == 3);
}

TEST_CASE("resampling: two-factor variance, its formula and its bounds") {
  CHECK(two_factor_variance(8, 4, 3, 5, 11) == doctest::Approx(5.0 / 4 * 4 + 11.0 / 10 * 3 - 5.0 / 4 * 11.0 / 10 * (8 - 4 - 3)));
  CHECK(two_factor_variance(20, 4, 3, 5, 11) == doctest::Approx(5));      // not below one factor's
  CHECK(two_factor_variance(7, 4, 3, 5, 11) == doctest::Approx(7));       // not above both
  CHECK(sample_variance(std::vector<double>{1, undefined, 2, 6}) == doctest::Approx(7));
  CHECK(std::isnan(sample_variance(std::vector<double>{1, undefined})));
}

TEST_CASE("resampling: of a mean over subjects and conditions, two-factor variance is the analysis of variance's") {
  // Exact bootstrap variances: vs and vc of row and column means, both = vs + vc + that of the residuals. The unbiased estimate of the variance of the
  // mean is (MS_subjects + MS_conditions - MS_residual) / (subjects conditions).
  Random random(3);
  constexpr Index subjects = 5, conditions = 7;
  constexpr double cells = subjects * conditions;
  double value[subjects][conditions], row[subjects] = {}, column[conditions] = {}, mean = 0, ss = 0, sc = 0, residual = 0;
  for (Index s = 0; s < subjects; ++s) {
    const double own = random.normal();
    for (Index c = 0; c < conditions; ++c) {
      value[s][c] = 2 * own + 2 * std::sin(3.0 * static_cast<double>(c)) + 3 * random.normal();
      row[s] += value[s][c] / conditions, column[c] += value[s][c] / subjects, mean += value[s][c] / cells;
    }
  }
  for (const double r : row) ss += conditions * (r - mean) * (r - mean);
  for (const double c : column) sc += subjects * (c - mean) * (c - mean);
  for (Index s = 0; s < subjects; ++s)
    for (Index c = 0; c < conditions; ++c) residual += std::pow(value[s][c] - row[s] - column[c] + mean, 2);
  const double vs = ss / (cells * subjects), vc = sc / (cells * conditions), both = vs + vc + residual / (cells * cells);
  const double expected = (ss / (subjects - 1) + sc / (conditions - 1) - residual / ((subjects - 1) * (conditions - 1))) / cells;
  REQUIRE(expected < both);
  REQUIRE(expected > std::max(vs * subjects / (subjects - 1), vc * conditions / (conditions - 1)));
  CHECK(two_factor_variance(both, vs, vc, subjects, conditions) == doctest::Approx(expected).epsilon(1e-12));
}

TEST_CASE("resampling: the two-factor bootstrap recovers a variance that is known") {
  // Score of subject s and condition c: x_s + y_c + noise; variance of the mean 1/5 + 4/20 + 9/100, while the plain bootstrap of both counts the
  // noise three times.
  Random random(11);
  constexpr Index subjects = 5, conditions = 20;
  double corrected = 0, plain = 0, truth = 1.0 / 5 + 4.0 / 20 + 9.0 / 100;
  for (int trial = 0; trial < 100; ++trial) {
    double value[subjects][conditions], x[subjects], y[conditions];
    for (double& v : x) v = random.normal();
    for (double& v : y) v = 2 * random.normal();
    for (Index s = 0; s < subjects; ++s)
      for (Index c = 0; c < conditions; ++c) value[s][c] = x[s] + y[c] + 3 * random.normal();
    std::vector<double> both, by_subject, by_condition;
    const std::vector<Index> each_subject(subjects, 1), each_condition(conditions, 1);
    const auto mean = [&](const std::vector<Index>& s, const std::vector<Index>& c) {
      double sum = 0;
      for (std::size_t i = 0; i < s.size(); ++i)
        for (std::size_t k = 0; k < c.size(); ++k) sum += static_cast<double>(s[i] * c[k]) * value[i][k];
      return sum / (subjects * conditions);
    };
    for (int sample = 0; sample < 200; ++sample) {
      const std::vector<Index> s = bootstrap_counts(subjects, random), c = bootstrap_counts(conditions, random);
      both.push_back(mean(s, c)), by_subject.push_back(mean(s, each_condition)), by_condition.push_back(mean(each_subject, c));
    }
    plain += sample_variance(both) / 100;
    corrected += two_factor_variance(sample_variance(both), sample_variance(by_subject), sample_variance(by_condition), subjects, conditions) / 100;
  }
  CHECK(corrected == doctest::Approx(truth).epsilon(0.15));  // of 4 and 19 degrees of freedom, 46 % in one trial: 0.046, three of these
  CHECK(std::abs(corrected - truth) < std::abs(plain - truth));
}

TEST_CASE("permutation test: every permutation of four conditions is counted, and chance is uniform") {
  const Rdm a(std::vector<double>{1, 2, 3, 4, 5, 6}), b(std::vector<double>{1, 2, 4, 3, 5, 6});
  const PermutationTest test = permutation_test(a, b, Comparator::tau_a, {.permutations = 40000});
  CHECK(test.statistic == doctest::Approx(13.0 / 15));
  std::vector<Index> p{0, 1, 2, 3};
  int as_high = 0;
  do as_high += compare(a.selected(p), b, Comparator::tau_a) >= test.statistic;
  while (std::next_permutation(p.begin(), p.end()));
  REQUIRE(as_high == 1);  // so that p = 1/24, and its relative standard deviation sqrt(23 / 40000) = 0.024: four of them
  CHECK(test.p == doctest::Approx(1 / 24.0).epsilon(0.1));
  double mean = 0;
  for (int trial = 0; trial < 200; ++trial)  // a uniform p: standard deviation of the mean sqrt(1 / 12 / 200) = 0.02
    mean +=
        permutation_test(random_rdm(static_cast<std::uint64_t>(2 * trial), 8, 1000), random_rdm(static_cast<std::uint64_t>(2 * trial + 1), 8, 1000),
                         Comparator::spearman, {.permutations = 99, .alternative = Alternative::two_sided})
            .p /
        200;
  CHECK(std::abs(mean - 0.5) < 0.08);
}

TEST_CASE("permutation test: the null is that of RDMs permuted and sorted anew, for every comparator") {
  Rdm a = random_rdm(8, 7, 5), b = random_rdm(9, 7, 20);
  for (int with_nan = 0; with_nan < 2; ++with_nan) {
    if (with_nan) a.values()[4] = undefined, b.values()[11] = undefined;
    for (const Comparator c : {Comparator::tau_a, Comparator::tau_b, Comparator::spearman, Comparator::rho_a, Comparator::pearson, Comparator::cosine_cov}) {
      if (with_nan && c == Comparator::cosine_cov) continue;
      const PermutationTest test = permutation_test(a, b, c, {.permutations = 30, .seed = 3});
      for (Index i = 0; i < 30; ++i) {
        std::vector<Index> order{0, 1, 2, 3, 4, 5, 6};
        Random own = Random(3).fork(static_cast<std::uint64_t>(i));
        own.shuffle(order.begin(), order.end());
        CHECK(test.null[static_cast<std::size_t>(i)] == compare(a.selected(order), b, c));
      }
    }
  }
}

TEST_CASE("permutation test: the same bits on one and two threads; undefined and bad input") {
  const Rdm a = random_rdm(5, 12, 9), b = random_rdm(6, 12, 90);
  const int threads = cpu::threads();
  cpu::set_threads(1);
  const PermutationTest one = permutation_test(a, b, Comparator::tau_b, {.permutations = 200});
  cpu::set_threads(2);
  const PermutationTest two = permutation_test(a, b, Comparator::tau_b, {.permutations = 200});
  cpu::set_threads(threads);
  CHECK(one.null == two.null);
  CHECK(one.p == two.p);
  CHECK(permutation_test(a, b, Comparator::tau_b, {.permutations = 200, .alternative = Alternative::less}).p > 1 - one.p);
  CHECK(std::isnan(permutation_test(a, Rdm(12), Comparator::spearman, {.permutations = 5}).p));
  CHECK(message_of([&] { static_cast<void>(permutation_test(a, Rdm(5), Comparator::tau_a)); }) == "permutation_test: RDMs of 12 and 5 conditions");
  CHECK(message_of([&] { static_cast<void>(permutation_test(Rdm(2), Rdm(2), Comparator::tau_a)); }) ==
        "permutation_test: 2 conditions; at least 3 are needed");
  CHECK(message_of([&] { static_cast<void>(permutation_test(a, b, Comparator::tau_a, {.permutations = 0})); }) ==
        "permutation_test: 0 permutations; at least 1 is needed");
}
