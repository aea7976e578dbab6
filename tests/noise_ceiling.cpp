#include "helpers.hpp"
#include "ventral/brain/noise_ceiling.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

using namespace ventral;
using namespace ventral::brain;
using test::message_of;

namespace {

std::vector<double> noisy(std::uint64_t seed, Index conditions, double noise) {
  Random truth(99), random(seed);
  std::vector<double> v(static_cast<std::size_t>(pairs_of(conditions)));
  for (double& x : v) x = std::nearbyint(10 * (truth.uniform() + noise * random.normal()));  // with ties
  return v;
}

std::vector<Rdm> noisy_subjects(Index count, Index conditions) {
  std::vector<Rdm> rdms;
  for (Index s = 0; s < count; ++s) rdms.emplace_back(noisy(static_cast<std::uint64_t>(s), conditions, 0.4));
  return rdms;
}

double mean(const std::vector<double>& v) {
  double sum = 0;
  for (const double x : v) sum += x;
  return sum / static_cast<double>(v.size());
}

/// How each comparator normalises an RDM for the pool, written out.
std::vector<double> normalised(const Rdm& rdm, Comparator c) {
  std::vector<double> v(rdm.values().begin(), rdm.values().end());
  const bool z = c == Comparator::pearson || c == Comparator::corr_cov, ratio = c == Comparator::cosine || c == Comparator::cosine_cov;
  if (!z && !ratio) return average_ranks(v);
  const double m = z ? mean(v) : 0;
  double squares = 0;
  for (double& x : v) x -= m, squares += x * x;
  for (double& x : v) x /= std::sqrt(squares / static_cast<double>(v.size()));
  return v;
}

Rdm pool(const std::vector<Rdm>& rdms, Comparator c, std::size_t left_out) {
  std::vector<double> sum(rdms[0].values().size(), 0.0);
  for (std::size_t s = 0; s < rdms.size(); ++s) {
    const std::vector<double> v = normalised(rdms[s], c);
    for (std::size_t k = 0; k < v.size(); ++k) sum[k] += s == left_out ? 0 : v[k];
  }
  return Rdm(sum);
}

}  // namespace

TEST_CASE("noise ceiling: every comparator against the definition written out") {
  const std::vector<Rdm> subjects = noisy_subjects(4, 7);
  for (const Comparator c : {Comparator::tau_a, Comparator::tau_b, Comparator::spearman, Comparator::rho_a, Comparator::pearson, Comparator::cosine,
                             Comparator::corr_cov, Comparator::cosine_cov}) {
    CAPTURE(name(c));
    double lower = 0, upper = 0;
    for (std::size_t s = 0; s < 4; ++s)
      lower += compare(pool(subjects, c, s), subjects[s], c) / 4, upper += compare(pool(subjects, c, 4), subjects[s], c) / 4;
    const NoiseCeiling ceiling = noise_ceiling(subjects, c);
    CHECK(ceiling.lower == doctest::Approx(lower).epsilon(1e-12));
    CHECK(ceiling.upper == doctest::Approx(upper).epsilon(1e-12));
    CHECK(ceiling.lower < ceiling.upper);
  }
}

TEST_CASE("noise ceiling: three pools for Spearman, the bound is the highest of any model") {
  const std::vector<Rdm> subjects = noisy_subjects(3, 6);
  const NoiseCeiling again = noise_ceiling(subjects, Comparator::spearman),
                     raw = noise_ceiling(subjects, Comparator::spearman, {.pool = CeilingPool::raw_mean}),
                     bound = noise_ceiling(subjects, Comparator::spearman, {.pool = CeilingPool::bound});
  CHECK(bound.upper > again.upper);
  CHECK(raw.upper != again.upper);
  std::vector<double> plain(15, 0.0), model(15);
  for (const Rdm& s : subjects)
    for (std::size_t k = 0; k < 15; ++k) plain[k] += s.values()[k];
  double upper = 0;
  for (const Rdm& s : subjects) upper += compare(Rdm(plain), s, Comparator::spearman) / 3;
  CHECK(raw.upper == doctest::Approx(upper).epsilon(1e-12));
  Random random(5);
  for (int trial = 0; trial < 200; ++trial) {  // no model's mean Spearman exceeds the bound
    for (std::size_t k = 0; k < 15; ++k) model[k] = plain[k] + random.normal();
    CHECK(mean(subject_scores(Rdm(model), subjects, Comparator::spearman)) <= bound.upper);
  }
}

TEST_CASE("noise ceiling: sessions of one subject are left out together, mean within and then over subjects") {
  const std::vector<Rdm> rdms = noisy_subjects(5, 6);
  const std::vector<Index> who{7, 3, 7, 7, 3};
  const Rdm sevens = pool({rdms[0], rdms[2], rdms[3]}, Comparator::pearson, 9), threes = pool({rdms[1], rdms[4]}, Comparator::pearson, 9);
  const auto with = [&](const Rdm& pooled, std::size_t r) { return compare(pooled, rdms[r], Comparator::pearson); };
  const SubjectCeilings each = subject_ceilings(rdms, Comparator::pearson, {.groups = who});
  REQUIRE(each.lower.size() == 2);
  CHECK(each.lower[0] == doctest::Approx((with(threes, 0) + with(threes, 2) + with(threes, 3)) / 3));
  CHECK(each.lower[1] == doctest::Approx((with(sevens, 1) + with(sevens, 4)) / 2));
  const NoiseCeiling ceiling = noise_ceiling(rdms, Comparator::pearson, {.groups = who});
  CHECK(ceiling.lower == doctest::Approx((each.lower[0] + each.lower[1]) / 2));
  const std::vector<double> scores = subject_scores(threes, rdms, Comparator::pearson, who);
  CHECK(scores[0] == doctest::Approx(each.lower[0]));
}

TEST_CASE("noise ceiling: a pair that a subject lacks is pooled over the others, a constant subject gives NaN under Pearson and not under tau-a") {
  std::vector<Rdm> subjects = noisy_subjects(3, 5);
  subjects[1].values()[4] = undefined;
  const SubjectCeilings each = subject_ceilings(subjects, Comparator::cosine);
  for (const double v : each.lower) CHECK(std::isfinite(v));
  std::vector<double> sum(10);
  const std::vector<double> a = normalised(subjects[0], Comparator::cosine), c = normalised(subjects[2], Comparator::cosine);
  for (std::size_t k = 0; k < 10; ++k) sum[k] = a[k] + c[k];
  CHECK(each.lower[1] == doctest::Approx(compare(Rdm(sum), subjects[1], Comparator::cosine)).epsilon(1e-12));

  std::vector<Rdm> two{subjects[0], subjects[1]};  // the pool of all has pair 4 from subject 0 alone
  double squares = 0;
  std::vector<double> b(subjects[1].values().begin(), subjects[1].values().end()), pooled = a;
  for (std::size_t k = 0; k < 10; ++k) squares += k == 4 ? 0 : b[k] * b[k];
  for (std::size_t k = 0; k < 10; ++k) pooled[k] = k == 4 ? a[k] : (a[k] + b[k] / std::sqrt(squares / 9)) / 2;
  CHECK(subject_ceilings(two, Comparator::cosine).upper[0] == doctest::Approx(compare(Rdm(pooled), two[0], Comparator::cosine)).epsilon(1e-12));

  two[1] = Rdm(std::vector<double>(10, 2.0));
  CHECK(std::isnan(noise_ceiling(two, Comparator::pearson).lower));
  CHECK(noise_ceiling(two, Comparator::tau_a).lower == 0);

  two = {noisy_subjects(1, 6)[0], Rdm(std::vector<double>(15, 0.1))};  // a constant has no z scores, however 15 times 0.1 is rounded
  for (const double z : brain::detail::scaled_in_sample(two[1].values(), {}, true)) CHECK(std::isnan(z));
}

TEST_CASE("noise ceiling: bad input is named") {
  std::vector<Rdm> subjects = noisy_subjects(3, 5);
  CHECK(message_of([&] { static_cast<void>(noise_ceiling(std::vector<Rdm>{}, Comparator::tau_a)); }) == "noise_ceiling: no subject RDMs");
  CHECK(message_of([&] { static_cast<void>(noise_ceiling(std::span(subjects).first(1), Comparator::tau_a)); }) ==
        "noise_ceiling: 1 subject; at least 2 are needed");
  CHECK(message_of([&] {
          static_cast<void>(noise_ceiling(subjects, Comparator::tau_a, {.groups = {4, 4, 4}}));
        }) == "noise_ceiling: 1 subject; at least 2 are needed");
  CHECK(message_of([&] {
          static_cast<void>(noise_ceiling(subjects, Comparator::tau_a, {.groups = {1, 2}}));
        }) == "groups: 2 labels for 3 RDMs; one for each is needed");
  CHECK(message_of([&] { static_cast<void>(noise_ceiling(subjects, Comparator::tau_a, {.pool = CeilingPool::bound})); }) ==
        "noise_ceiling: pool bound is defined for spearman; the comparator is tau_a");
  CHECK(message_of([&] {
          static_cast<void>(noise_ceiling(std::vector<Rdm>{Rdm(2), Rdm(2)}, Comparator::tau_a));
        }) == "noise_ceiling: 2 conditions; at least 3 are needed");
  subjects.emplace_back(4);
  CHECK(message_of([&] { static_cast<void>(noise_ceiling(subjects, Comparator::tau_a)); }) ==
        "noise_ceiling: subject RDM 3 has 4 conditions; subject RDM 0 has 5");
  CHECK(message_of([&] { static_cast<void>(subject_scores(Rdm(6), std::span(subjects).first(2), Comparator::tau_a)); }) ==
        "subject_scores: the model has 6 conditions; the subjects have 5");
}
