#include "helpers.hpp"
#include "ventral/brain/reliability.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace ventral;
using test::message_of;

namespace {

/// A population with a known signal: response = stimulus effect + noise, [repetitions,stimuli,sites].
Tensor<double> simulated(Index repetitions, Index stimuli, Index sites, double noise, std::uint64_t seed) {
  Random random(seed);
  Tensor<double> signal({stimuli, sites}), trials({repetitions, stimuli, sites});
  for (double& v : signal) v = random.normal();
  for (Index i = 0; i < trials.size(); ++i) trials[i] = signal[i % signal.size()] + noise * random.normal();
  return trials;
}

}  // namespace

TEST_CASE("reliability: medians leave NaN out") {
  CHECK(brain::median_of_defined(std::vector<double>{3, NAN, 1, 2}) == 2);
  CHECK(brain::median_of_defined(std::vector<double>{4, 1}) == 2.5);
  CHECK(std::isnan(brain::median_of_defined(std::vector<double>{NAN})));
  CHECK(brain::count_undefined(std::vector<double>{NAN, 1, NAN}) == 2);
}

TEST_CASE("reliability: by hand, with Spearman-Brown") {
  // site 0: halves (1, 2, 4) and (2, 1, 3): r = 2.5 / sqrt(14/3 * 2) ; site 1: constant; site 2: halves equal
  const Tensor<double> trials({2, 3, 3}, {1, 5, 0, 2, 5, 1, 4, 5, 3, /**/ 2, 5, 0, 1, 5, 1, 3, 5, 3});
  const brain::Reliability found = brain::split_half_reliability(trials, Tensor<Index>({1, 2}, {1, 0}));
  const double r = (1.0 / 3 * 0 + (-1.0 / 3) * -1 + 5.0 / 3 * 1 + (-4.0 / 3) * 0) / std::sqrt(42.0 / 9 * 2);
  CHECK(found.r[0] == doctest::Approx(r));
  CHECK(found.spearman_brown[0] == doctest::Approx(2 * r / (1 + r)));
  CHECK(found.ceiling[0] == found.spearman_brown[0]);
  CHECK(std::isnan(found.r[1]));
  CHECK(std::isnan(found.ceiling[1]));
  CHECK(found.ceiling[2] == doctest::Approx(1));
  CHECK(found.undefined_sites == 1);
  CHECK(found.median_ceiling == doctest::Approx((1 + found.ceiling[0]) / 2));
}

TEST_CASE("reliability: the ceiling is the mean over splits, the population's the mean of medians") {
  const Tensor<double> trials = simulated(6, 30, 5, 1, 1);
  const brain::Reliability found = brain::split_half_reliability(trials, brain::random_halves(6, 4, Random(2)));
  double of_medians = 0;
  for (Index s = 0; s < 4; ++s) of_medians += brain::median_of_defined({found.spearman_brown.data() + s * 5, 5}) / 4;
  CHECK(found.median_ceiling == doctest::Approx(of_medians));
  for (Index j = 0; j < 5; ++j) {
    double mean = 0;
    for (Index s = 0; s < 4; ++s) mean += found.spearman_brown[s * 5 + j] / 4;
    CHECK(found.ceiling[static_cast<std::size_t>(j)] == doctest::Approx(mean));
  }
}

TEST_CASE("reliability: Spearman-Brown finds the reliability of the mean of all repetitions") {
  const Index repetitions = 4;
  const brain::Reliability found =
      brain::split_half_reliability(simulated(repetitions, 16000, 3, 2, 3), brain::random_halves(repetitions, 3, Random(4)));
  for (const double c : found.ceiling)
    CHECK(c == doctest::Approx(1 / (1 + 4.0 / static_cast<double>(repetitions)))
                   .epsilon(0.05));  // r = 1/3 to 0.9 / sqrt(16000), the ceiling of 0.5 to 0.008: three of these
}

TEST_CASE("reliability: missing trials are left out") {
  Tensor<double> trials = simulated(4, 6, 2, 1, 5);
  const Tensor<Index> halves({1, 4}, {1, 0, 1, 0});
  trials[(2 * 6 + 3) * 2] = NAN;  // repetition 2 of stimulus 3, site 0: the first half has repetition 0 alone
  const Tensor<double> mean = brain::mean_over_trials(trials);
  const auto at = [&](Index r, Index s) { return trials[(r * 6 + s) * 2]; };
  CHECK(mean[3 * 2] == doctest::Approx((at(0, 3) + at(1, 3) + at(3, 3)) / 3));
  std::vector<double> a, b;
  for (Index s = 0; s < 6; ++s) a.push_back(s == 3 ? at(0, 3) : (at(0, s) + at(2, s)) / 2), b.push_back((at(1, s) + at(3, s)) / 2);
  CHECK(brain::split_half_reliability(trials, halves).r[0] == doctest::Approx(brain::pearson(a, b)));
  trials[3 * 2] = NAN;  // no trial left in the first half: the stimulus drops out of site 0 only
  a.erase(a.begin() + 3), b.erase(b.begin() + 3);
  const brain::Reliability found = brain::split_half_reliability(trials, halves);
  CHECK(found.r[0] == doctest::Approx(brain::pearson(a, b)));
  CHECK(found.undefined_sites == 0);
  for (Index r = 0; r < 4; ++r) trials[(r * 6 + 3) * 2] = NAN;
  CHECK(std::isnan(brain::mean_over_trials(trials)[3 * 2]));
}

TEST_CASE("reliability: a constant site stays constant with trials missing") {
  auto trials = Tensor<double>::full({3, 5, 1}, 0.1);
  trials[0] = trials[6] = NAN;
  CHECK(brain::split_half_reliability(trials, brain::random_halves(3, 2, Random(1))).undefined_sites == 1);
}

TEST_CASE("reliability: halves of an odd count, the second one longer; seeded") {
  const Tensor<Index> halves = brain::random_halves(5, 20, Random(1));
  for (Index s = 0; s < 20; ++s) CHECK(std::count(halves.data() + s * 5, halves.data() + s * 5 + 5, Index{1}) == 2);
  const Tensor<Index> fewer = brain::random_halves(5, 2, Random(1));
  CHECK(std::equal(fewer.begin(), fewer.end(), halves.begin()));
}

TEST_CASE("reliability: correlations of sites") {
  const Tensor<double> a({3, 3}, {1, 1, 1, 2, 1, 2, 3, 1, NAN}), b({3, 3}, {2, 1, 2, 4, 2, 1, 6, 3, 9});
  const std::vector<double> r = brain::site_correlations(a, b);
  CHECK(r[0] == doctest::Approx(1));
  CHECK(std::isnan(r[1]));
  CHECK(r[2] == doctest::Approx(-1));
}

TEST_CASE("reliability: bad input is named") {
  CHECK(message_of([] {
          brain::split_half_reliability(Tensor<double>({1, 5, 2}), Tensor<Index>({1, 1}));
        }) == "reliability: 1 repetitions; at least 2 are needed");
  CHECK(message_of([] { brain::split_half_reliability(Tensor<double>({5, 2}), Tensor<Index>({1, 5})); }) ==
        "reliability: responses of shape [5,2]; needs [repetitions,stimuli,sites]");
  CHECK(message_of([] { brain::split_half_reliability(Tensor<double>({4, 5, 2}), Tensor<Index>({1, 3})); }) ==
        "reliability: halves [1,3] of 4 repetitions; needs [splits,4]");
  CHECK(message_of([] { brain::split_half_reliability(Tensor<double>({2, 5, 2}), Tensor<Index>({2, 2}, {1, 0, 1, 1})); }) ==
        "reliability: split 1 has 2 repetitions in the first half (1) and 0 in the second (0) of 2");
  CHECK(message_of([] { brain::random_halves(1, 3, Random()); }) ==
        "random_halves: 3 splits of 1 repetitions; needs at least 1 split and 2 repetitions");
  CHECK(message_of([] { brain::site_correlations(Tensor<double>({2, 3}), Tensor<double>({3, 2})); }) ==
        "site_correlations: [2,3] against [3,2]; needs the same [stimuli,sites]");
}
