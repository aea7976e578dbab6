#include "helpers.hpp"
#include "ventral/brain/explained_variance.hpp"

#include <doctest/doctest.h>

#include <string>

#include "ventral/brain/layer_choice.hpp"
#include "ventral/brain/predictivity.hpp"

using namespace ventral;
using brain::ExplainedVariance;
using test::message_of;

namespace {

brain::Reliability with_ceilings(std::vector<double> ceiling, double median) {
  brain::Reliability r;
  r.ceiling = std::move(ceiling), r.median_ceiling = median;
  return r;
}

}  // namespace

TEST_CASE("explained variance: the four variants by hand, undefined sites counted") {
  const std::vector<double> r = {0.4, 0.6, -0.3, NAN, 0.5};
  const brain::Reliability reliability = with_ceilings({0.8, 0.5, 0.9, 0.7, NAN}, 0.75);
  const auto of = [&](ExplainedVariance v) { return brain::explained_variance(r, reliability, v); };
  CHECK(of(ExplainedVariance::r2_over_c).value == doctest::Approx(0.16 / 0.8));  // of 0.2, 0.72, 0.1
  CHECK(of(ExplainedVariance::r2_over_c2).value == doctest::Approx(0.25));       // of 0.25, 1.44, 0.111
  CHECK(of(ExplainedVariance::medr2_over_medc).value == doctest::Approx(0.16 / 0.75));
  CHECK(of(ExplainedVariance::medr_over_medc_squared).value == doctest::Approx(0.16 / (0.75 * 0.75)));
  for (int v = 0; v < 4; ++v) {
    CHECK(of(static_cast<ExplainedVariance>(v)).sites_used == 3);
    CHECK(of(static_cast<ExplainedVariance>(v)).sites_undefined == 2);
  }
  CHECK(std::string(brain::name(ExplainedVariance::medr2_over_medc)) == "medr2_over_medc");
  const brain::NoiseCorrected none = brain::explained_variance(std::vector<double>{NAN}, with_ceilings({0.5}, 0.5), ExplainedVariance::r2_over_c);
  CHECK(std::isnan(none.value));
  CHECK(none.sites_undefined == 1);
  CHECK(std::isnan(brain::explained_variance(std::vector<double>{0.5}, with_ceilings({0}, 0), ExplainedVariance::medr2_over_medc).value));
  CHECK(message_of([&] { brain::explained_variance(r, with_ceilings({1}, 1), ExplainedVariance::r2_over_c); }) ==
        "explained_variance: 5 correlations for 1 sites");
}

TEST_CASE("layer choice: chosen on one set of stimuli, scored on the other") {
  Random random(1);
  Tensor<double> responses({8, 1});
  for (double& v : responses) v = random.normal();
  std::vector<Tensor<double>> layers;
  for (int l = 0; l < 3; ++l) layers.push_back(responses.clone());
  for (Index i = 0; i < 4; ++i) layers[0][i] = -responses[i];      // wrong on the first half, right on the second
  for (Index i = 4; i < 8; ++i) layers[1][i] = -responses[i];      // the other way round
  for (Index i = 0; i < 8; ++i) layers[2][i] = 1;                  // undefined
  const std::vector<Index> first = {0, 1, 2, 3}, second = {4, 5, 6, 7};
  const brain::LayerChoice choice = brain::choose_layer(layers, responses, first, second);
  CHECK(choice.layer == 1);
  CHECK(choice.selection_scores[0] == doctest::Approx(-1));
  CHECK(std::isnan(choice.selection_scores[2]));
  CHECK(choice.score == doctest::Approx(-1));
  CHECK(brain::choose_layer(layers, responses, second, first).layer == 0);
  const std::vector<Index> overlapping = {3, 4};
  CHECK(message_of([&] { brain::choose_layer(layers, responses, first, overlapping); }) == "choose_layer: stimulus 3 serves selection and scoring");
  CHECK(message_of([&] { brain::choose_layer(layers, responses, first, {}); }) ==
        "choose_layer: 4 selection and 0 scoring stimuli; neither may be empty");
  CHECK(message_of([&] { brain::choose_layer(layers, responses, first, std::vector<Index>{8}); }) == "choose_layer: stimulus 8 of 8");
  CHECK(message_of([&] { brain::choose_layer({}, responses, first, second); }) == "choose_layer: no layers");
  CHECK(message_of([&] { brain::choose_layer({&layers[2], 1}, responses, first, second); }) ==
        "choose_layer: no layer has a defined correlation on the selection stimuli");
}

TEST_CASE("predictivity: a population made from the features is explained up to its noise, another one is not") {
  const Index stimuli = 120, features = 15, sites = 6, repetitions = 6;
  Random random(2);
  Tensor<double> x({stimuli, features}), w({features, sites}), other({stimuli, sites});
  for (double& v : x) v = random.normal(1, 1);
  for (double& v : w) v = random.normal();
  for (double& v : other) v = random.normal();
  Tensor<double> trials({repetitions, stimuli, sites});
  for (Index i = 0; i < trials.size(); ++i) {
    const Index s = i / sites % stimuli, j = i % sites;
    trials[i] = 5 * random.normal() + (j == 5 ? 4 * other[s * sites + j] : 0.0);
    for (Index k = 0; j < 4 && k < features; ++k) trials[i] += x[s * features + k] * w[k * sites + j];
    if (j == 4) trials[i] = 2;  // constant
  }
  const brain::Gram gram = brain::gram(x);
  const std::vector<brain::Split> splits = brain::k_fold(stimuli, 4);
  for (const auto mapping : {brain::Mapping::ridge, brain::Mapping::pls}) {
    const brain::Predictivity found = brain::predictivity(gram, trials, splits, {.mapping = mapping, .pls = {.components = 5}});
    for (std::size_t j = 0; j < 4; ++j) CHECK(found.r[j] * found.r[j] / found.reliability.ceiling[j] == doctest::Approx(1).epsilon(0.3));
    CHECK(std::isnan(found.r[4]));
    CHECK(std::abs(found.r[5]) < 0.3);
    CHECK(found.reliability.ceiling[5] > 0.5);
    CHECK(found.explained(ExplainedVariance::r2_over_c).sites_undefined == 1);
    CHECK(found.explained(ExplainedVariance::r2_over_c).value == doctest::Approx(0.95).epsilon(0.25));
    CHECK(found.median_r == brain::median_of_defined(found.r));
  }
  // the same number as fitting on the features themselves
  const brain::Split& split = splits[1];
  const Tensor<double> y = brain::mean_over_trials(trials);
  const auto rows = [](const Tensor<double>& m, const std::vector<Index>& index) {
    Tensor<double> out({static_cast<Index>(index.size()), m.dim(1)});
    for (std::size_t i = 0; i < index.size(); ++i)
      std::copy_n(m.data() + index[i] * m.dim(1), m.dim(1), out.data() + static_cast<Index>(i) * m.dim(1));
    return out;
  };
  const Tensor<double> direct = brain::fit_pls(rows(x, split.train), rows(y, split.train), {.components = 5}).predict(rows(x, split.test));
  const brain::Predictivity found = brain::predictivity(gram, trials, splits, {.mapping = brain::Mapping::pls, .pls = {.components = 5}});
  CHECK(found.split_r[1 * sites] == doctest::Approx(brain::site_correlations(direct, rows(y, split.test))[0]).epsilon(1e-9));
  CHECK(message_of([&] { brain::predictivity(gram, Tensor<double>({2, 7, 1}), splits); }) ==
        "predictivity: features of 120 stimuli and responses [2,7,1]; needs [repetitions,120,sites]");
  CHECK(message_of([&] { brain::predictivity(gram, Tensor<double>({1, 120, 1}), splits); }) == "reliability: 1 repetitions; at least 2 are needed");
  CHECK(message_of([&] { brain::predictivity(gram, trials, {}); }) == "predictivity: no splits");
  brain::Split bad = split;
  bad.test.push_back(bad.train[0]);
  CHECK(message_of([&] { brain::predictivity(gram, trials, {&bad, 1}); }) == "predictivity: a split both fits and tests stimulus 0");
  bad.train.push_back(120);
  CHECK(message_of([&] { brain::predictivity(gram, trials, {&bad, 1}); }) == "predictivity: a split names stimulus 120 of 120");
}
