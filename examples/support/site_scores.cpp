#include "support/site_scores.hpp"

#include <algorithm>
#include <cmath>

#include "ventral/brain/hypothesis_tests.hpp"

using namespace ventral;

std::pair<double, double> explained_interval(const brain::Predictivity& p, std::uint64_t seed) {
  std::vector<double> each, medians;
  for (std::size_t s = 0; s < p.r.size(); ++s)
    if (const double c = p.reliability.ceiling[s]; !std::isnan(p.r[s] / c) && c != 0) each.push_back(p.r[s] * p.r[s] / c);
  if (each.empty()) return {brain::undefined, brain::undefined};
  Random random(seed);
  for (int sample = 0; sample < 1000; ++sample) {
    std::vector<double> drawn;
    for (std::size_t s = 0; s < each.size(); ++s) drawn.push_back(each[static_cast<std::size_t>(random.below(static_cast<Index>(each.size())))]);
    medians.push_back(brain::median_of_defined(drawn));
  }
  return {brain::quantile(medians, 0.025), brain::quantile(medians, 0.975)};
}

Index most_reliable_site(const brain::Predictivity& p) {
  const std::vector<double>& ceiling = p.reliability.ceiling;
  const auto less = [](double a, double b) { return std::isnan(a) ? !std::isnan(b) : a < b; };
  return std::max_element(ceiling.begin(), ceiling.end(), less) - ceiling.begin();
}

report::Trace site_trace(const std::string& title, const brain::Gram& layer, const Recording& r, Index site) {
  const Tensor<double> mean = brain::mean_over_trials(r.trials);
  const auto rows = [&](const std::vector<Index>& index) {
    Tensor<double> y({static_cast<Index>(index.size()), 1});
    for (std::size_t i = 0; i < index.size(); ++i) y[static_cast<Index>(i)] = mean.at(index[i], site);
    return y;
  };
  const brain::GramRidge fit = brain::fit_ridge_gram(centred_gram(layer, r.train), rows(r.train));
  const Tensor<double> actual = rows(r.test), predicted = fit.predict(cross_gram(layer, r.test, r.train));
  report::Trace trace{.title = title,
                      .y_label = "spikes, mean over repeats",
                      .actual = {actual.begin(), actual.end()},
                      .predicted = {predicted.begin(), predicted.end()}};
  for (const Index i : r.test) trace.categories.push_back(r.category_names[static_cast<std::size_t>(r.category[static_cast<std::size_t>(i)])]);
  return trace;
}
