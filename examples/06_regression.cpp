// How well do the units of a network predict single recording sites? Ridge and PLS regression on held-out images, corrected for the noise of the sites.
//   06_regression [--data DIR] [--load FILE | --images 16000 --epochs 10] [--components 25] [--out DIR]
#include <algorithm>
#include <cstdio>

#include "support/model_features.hpp"
#include "support/object_network.hpp"
#include "support/options.hpp"
#include "support/recordings.hpp"
#include "ventral/brain/hypothesis_tests.hpp"
#include "ventral/brain/predictivity.hpp"
#include "ventral/data/stimuli.hpp"
#include "ventral/report/bars.hpp"
#include "ventral/report/page.hpp"
#include "ventral/report/trace.hpp"

using namespace ventral;
using brain::ExplainedVariance, brain::Mapping, brain::Predictivity;

namespace {

struct Settings {
  std::string data, load, out = "regression";
  int images = 16000, epochs = 10, components = 25;
  std::uint64_t seed = 1;
};

struct Score {
  std::string name;
  bool control = false;
  brain::Gram gram;
  Predictivity ridge, pls;      // on the held-out images
  double choosing_r = 0;        // median r of ridge within the training images: what layers are chosen by
};

/// 95 % interval of the median over sites of r^2 / c, by resampling the sites.
std::pair<double, double> interval(const Predictivity& p, std::uint64_t seed) {
  std::vector<double> each, medians;
  for (std::size_t s = 0; s < p.r.size(); ++s) each.push_back(p.r[s] * p.r[s] / p.reliability.ceiling[s]);
  Random random(seed);
  for (int sample = 0; sample < 1000; ++sample) {
    std::vector<double> drawn;
    for (std::size_t s = 0; s < each.size(); ++s) drawn.push_back(each[static_cast<std::size_t>(random.below(static_cast<Index>(each.size())))]);
    medians.push_back(brain::median_of_defined(drawn));
  }
  return {brain::quantile(medians, 0.025), brain::quantile(medians, 0.975)};
}

double explained(const Predictivity& p) { return p.explained(ExplainedVariance::r2_over_c).value; }

/// Splits within the training images, each category spread evenly over four folds.
std::vector<brain::Split> inner_splits(const Recording& r, std::uint64_t seed) {
  std::vector<Index> category;
  for (const Index i : r.train) category.push_back(r.category[static_cast<std::size_t>(i)]);
  std::vector<brain::Split> splits = brain::stratified_k_fold(category, 4, Random(seed));
  for (brain::Split& split : splits)
    for (auto* side : {&split.train, &split.test})
      for (Index& i : *side) i = r.train[static_cast<std::size_t>(i)];
  return splits;
}

Score score(ModelFeatures model, const Recording& r, const Settings& s) {
  const brain::Split held_out{r.train, r.test};
  Score result{.name = std::move(model.name), .control = model.control, .gram = brain::gram(model.features), .ridge = {}, .pls = {}};
  result.ridge = predictivity(result.gram, r.trials, std::span(&held_out, 1), {.seed = s.seed});
  result.pls = predictivity(result.gram, r.trials, std::span(&held_out, 1), {.mapping = Mapping::pls, .pls = {.components = std::min<Index>(s.components, model.features.dim(1))}, .seed = s.seed});
  result.choosing_r = predictivity(result.gram, r.trials, inner_splits(r, s.seed), {.seed = s.seed}).median_r;
  const auto [low, high] = interval(result.ridge, s.seed);
  std::printf("%-26s%10.3f [%6.3f,%6.3f]%12.3f%12.3f%14.3f\n", result.name.c_str(), explained(result.ridge), low, high, explained(result.pls), result.ridge.median_r, result.choosing_r);
  return result;
}

/// The layer of a network that predicts best within the training images.
const Score& chosen(const std::vector<Score>& scores, const std::string& network) {
  const Score* best = nullptr;
  for (const Score& score : scores)
    if (score.name.starts_with(network) && (!best || score.choosing_r > best->choosing_r)) best = &score;
  require(best, "no layer of ", network);
  return *best;
}

/// Ridge predictions of one site against its mean responses on the held-out images.
report::Trace trace_of(const Score& model, const Recording& r, Index site) {
  const Tensor<double> mean = brain::mean_over_trials(r.trials);
  const auto rows = [&](const std::vector<Index>& index) {
    Tensor<double> y({static_cast<Index>(index.size()), 1});
    for (std::size_t i = 0; i < index.size(); ++i) y[static_cast<Index>(i)] = mean.at(index[i], site);
    return y;
  };
  const Tensor<double> actual = rows(r.test), predicted = brain::fit_ridge_gram(centred_gram(model.gram, r.train), rows(r.train)).predict(cross_gram(model.gram, r.test, r.train));
  report::Trace trace{.title = concat("Site ", site, " (most reliable), ", model.name), .actual = {actual.begin(), actual.end()}, .predicted = {predicted.begin(), predicted.end()}};
  for (const Index i : r.test) trace.categories.push_back(concat("category ", r.category[static_cast<std::size_t>(i)]));
  return trace;
}

/// Two models site by site: the median difference of r, and Wilcoxon's p that the first is better.
void compare(const Score& first, const Score& second, report::Table& table) {
  const std::vector<double> each = brain::detail::paired_differences(first.ridge.r, second.ridge.r, "06_regression");
  const double difference = brain::median_of_defined(each), p = brain::wilcoxon_signed_rank(first.ridge.r, second.ridge.r, brain::Alternative::greater).p;
  const char* verdict = difference <= 0 ? "not as expected" : p < 0.05 ? "as expected" : "as expected, not significant";
  std::printf("%s - %s: median difference of r %+.3f, one-sided p = %.2g: %s\n", first.name.c_str(), second.name.c_str(), difference, p, verdict);
  table.add({concat(first.name, " - ", second.name), difference, p, verdict});
}

int example(int argc, char** argv) {
  Settings s;
  Options options("06_regression", "Predicts recording sites from the layers of a network, and from baselines.");
  options.add("data", s.data, "folder with cowley_v4 (docs/data.md); without: a simulated population of known truth").add("load", s.load, "weights of the network instead of training it");
  options.add("images", s.images, "drawn objects to train on").add("epochs", s.epochs, "passes over them").add("components", s.components, "of PLS");
  options.add("seed", s.seed, "of weights, patches, folds and simulation").add("out", s.out, "folder for report.html, its tables, and the weights");
  options.parse(argc, argv);

  std::printf("expected beforehand: the trained layer chosen on training images predicts better than pixels, Gabor energy and the untrained layer chosen likewise\n");
  const Recording recording = load_recording(s.data, s.seed);
  std::printf("data: %s; %zu training and %zu held-out images\n", recording.origin.c_str(), recording.train.size(), recording.test.size());
  make_folder(s.out);
  Sequential<float> net = object_network({.images = s.images, .epochs = s.epochs, .seed = s.seed, .load = s.load, .save = s.out + "/objects.safetensors"});

  std::printf("explained variance (median of r^2 / ceiling over sites) on held-out images\n%-26s%10s %15s%12s%12s%14s\n", "model", "ridge", "95 % interval", "PLS", "median r", "r, training");
  std::vector<ModelFeatures> models = model_features(recording.images, net, s.seed);
  if (!recording.truth.empty()) {
    Sequential<float> hidden = hidden_network();
    models.push_back({recording.truth, layer_features(hidden, "layer3", prepare_stimuli(recording.images, {.mean = {object_mean / 255}, .deviation = {object_deviation / 255}})), true});
  }
  std::vector<Score> scores;
  for (ModelFeatures& model : models) scores.push_back(score(std::move(model), recording, s));

  const Score &trained = chosen(scores, "trained"), &untrained = chosen(scores, "untrained");
  report::Table verdicts({"contrast", "median difference of r", "p (one-sided)", "verdict"});
  for (const Score* other : {&chosen(scores, "pixels"), &chosen(scores, "Gabor"), &untrained}) compare(trained, *other, verdicts);
  report::BarChart bars{.title = "Explained variance of held-out responses", .y_label = "median r² / ceiling", .series = {"ridge", "PLS"}, .error_label = "95 % interval over sites"};
  for (const Score& score : scores)
    for (const int series : {0, 1}) {
      const Predictivity& p = series == 0 ? score.ridge : score.pls;
      const auto [low, high] = interval(p, s.seed);
      bars.bars.push_back({.label = score.name, .value = explained(p), .control = score.control, .series = series, .lower = low, .upper = high});
    }
  const std::vector<double>& ceiling = trained.ridge.reliability.ceiling;
  const Index site = std::max_element(ceiling.begin(), ceiling.end()) - ceiling.begin();
  report::Page page("Regression: network units and recording sites");
  page.text(recording.origin);
  page.add(bars, "Grey: controls. 1 is a model as good as the noise of the sites allows.");
  page.add(trace_of(trained, recording, site), "Held-out images; the site was chosen by its reliability.");
  page.table(verdicts, "What was expected before the comparison, and how it came out (Wilcoxon signed rank test over sites).");
  page.write(s.out + "/report.html");
  std::printf("%lld of %zu sites without a ceiling\n", static_cast<long long>(trained.ridge.reliability.undefined_sites), ceiling.size());
  if (!recording.truth.empty()) std::printf("truth: %s explains %.3f, the best other model %.3f\n", recording.truth.c_str(), explained(scores.back().ridge), explained(std::max_element(scores.begin(), scores.end() - 1, [](const Score& a, const Score& b) { return explained(a.ridge) < explained(b.ridge); })->ridge));
  std::printf("result: %s, chosen on training images, explains %.3f of the explainable variance\nreport: %s/report.html\n", trained.name.c_str(), explained(trained.ridge), s.out.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_example("06_regression", example, argc, argv); }
