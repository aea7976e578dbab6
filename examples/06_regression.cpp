// How well do the units of a network predict single recording sites? Ridge and PLS regression, scored on held-out images and corrected for noise.
//   06_regression [--data DIR] [--load FILE | --images 16000 --epochs 10] [--components 25] [--out DIR]
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "support/model_features.hpp"
#include "support/object_network.hpp"
#include "support/options.hpp"
#include "support/recordings.hpp"
#include "support/site_scores.hpp"
#include "ventral/brain/hypothesis_tests.hpp"
#include "ventral/data/stimuli.hpp"
#include "ventral/report/bars.hpp"
#include "ventral/report/page.hpp"

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
  Predictivity ridge, pls;  // on the held-out images
  double choosing_r = 0;    // median r of ridge within the training images: what layers are chosen by
};

double explained(const Predictivity& p) { return p.explained(ExplainedVariance::r2_over_c).value; }

Score score(ModelFeatures model, const Recording& r, const Settings& s) {
  const brain::Split held_out{r.train, r.test};
  Score result{.name = std::move(model.name), .control = model.control, .gram = brain::gram(model.features), .ridge = {}, .pls = {}};
  const Index components = std::min<Index>(s.components, model.features.dim(1));
  result.ridge = predictivity(result.gram, r.trials, std::span(&held_out, 1), {.seed = s.seed});
  result.pls =
      predictivity(result.gram, r.trials, std::span(&held_out, 1), {.mapping = Mapping::pls, .pls = {.components = components}, .seed = s.seed});
  result.choosing_r = predictivity(result.gram, r.trials, training_folds(r, 4, s.seed), {.seed = s.seed}).median_r;
  const auto [low, high] = explained_interval(result.ridge, s.seed);
  std::printf("%-26s%8.3f  [%6.3f,%6.3f]%9.3f", result.name.c_str(), explained(result.ridge), low, high, explained(result.pls));
  std::printf("%12.3f%13.3f\n", result.ridge.median_r, result.choosing_r);
  return result;
}

/// The layer of a network that predicts best within the training images.
const Score& chosen(const std::vector<Score>& scores, const std::string& network) {
  const Score* best = nullptr;
  for (const Score& score : scores)
    if (score.name.starts_with(network) && !std::isnan(score.choosing_r) && (!best || score.choosing_r > best->choosing_r)) best = &score;
  require(best, "no defined r of ", network);
  return *best;
}

/// Two models site by site: the median difference of r, and Wilcoxon's p that the first is better.
void compare(const Score& first, const Score& second, report::Table& table) {
  const std::vector<double> each = brain::detail::paired_differences(first.ridge.r, second.ridge.r, "06_regression");
  const double difference = brain::median_of_defined(each);
  const double p = brain::wilcoxon_signed_rank(first.ridge.r, second.ridge.r, brain::Alternative::greater).p;
  const char* verdict = difference <= 0 ? "not as expected" : p < 0.05 ? "as expected" : "as expected, not significant";
  const std::string contrast = concat(first.name, " - ", second.name);
  std::printf("%-40s%+8.3f%13.2g  %s\n", contrast.c_str(), difference, p, verdict);
  table.add({contrast, difference, p, verdict});
}

int example(int argc, char** argv) {
  Settings s;
  Options options("06_regression", "Predicts recording sites from the layers of a network, and from baselines.");
  options.add("data", s.data, "folder with cowley_v4 (docs/data.md); without: a simulated population of known truth")
      .add("load", s.load, "weights of the network instead of training it")
      .add("images", s.images, "drawn objects to train on")
      .add("epochs", s.epochs, "passes over them")
      .add("components", s.components, "of PLS")
      .add("seed", s.seed, "of weights, patches, folds and simulation")
      .add("out", s.out, "folder for report.html, its tables, and the weights");
  options.parse(argc, argv);

  std::printf("expected of a brain: the trained layer, chosen on training images, beats pixels, Gabor energy and the untrained layer\n");
  const Recording recording = load_recording(s.data, s.seed);
  const bool simulated = !recording.truth.empty();
  if (simulated) std::printf("expected of this simulation: %s, of random weights, wins, and untrained layers come next\n", recording.truth.c_str());
  std::printf("data: %s; %zu training and %zu held-out images\n", recording.origin.c_str(), recording.train.size(), recording.test.size());
  make_folder(s.out);
  Sequential<float> net = object_network(
      {.images = s.images, .epochs = s.epochs, .seed = s.seed, .load = s.load, .save = s.out + "/objects.safetensors"});

  std::printf("\nexplained variance (median over sites of r^2 / ceiling) of held-out images by ridge, with its 95 %% interval, and by PLS; median r\n"
              "of ridge there, and, cross-validated, on training images, which layers are chosen by\n"
              "%-26s%8s  %-15s%9s%12s%13s\n", "model", "ridge", " 95 % interval", "PLS", "median r", "r, training");
  std::vector<ModelFeatures> models = model_features(recording.images, net, s.seed);
  if (simulated) {
    Sequential<float> hidden = hidden_network();
    const StimulusOptions as_trained{.mean = {object_mean / 255}, .deviation = {object_deviation / 255}};
    models.push_back({recording.truth, layer_features(hidden, "layer3", prepare_stimuli(recording.images, as_trained)), true});
  }
  std::vector<Score> scores;
  for (ModelFeatures& model : models) scores.push_back(score(std::move(model), recording, s));

  const Score &trained = chosen(scores, "trained"), &untrained = chosen(scores, "untrained");
  report::Table verdicts({"contrast", "median difference of r", "p (one-sided)", "verdict"});
  std::printf("\n%-40s%8s%13s  %s\n", "contrast of r by ridge", "median", "p, one-sided", "verdict");
  for (const Score* other : {&chosen(scores, "pixels"), &chosen(scores, "Gabor"), &untrained}) compare(trained, *other, verdicts);
  report::BarChart bars{
      .title = "Explained variance of held-out responses", .y_label = "median of r² / ceiling", .error_label = "95 % interval over sites"};
  for (const char* mapping : {"ridge regression", "PLS regression"})
    for (const Score& score : scores) {
      const Predictivity& p = mapping[0] == 'r' ? score.ridge : score.pls;
      const auto [low, high] = explained_interval(p, s.seed);
      bars.bars.push_back({.label = score.name, .value = explained(p), .control = score.control, .group = mapping, .lower = low, .upper = high});
    }
  const Index site = most_reliable_site(trained.ridge);
  report::Page page("Regression: network units and recording sites");
  page.text("Data: " + recording.origin + ".");
  if (simulated) page.text("The sites were made from " + recording.truth + ", of random weights: it should win, and untrained layers come next.");
  page.add(bars, "Fitted on training images, scored on others. 1: as good as the noise of the sites allows.");
  page.add(site_trace(concat("Responses of site ", site, " and their prediction from ", trained.name), trained.gram, recording, site),
           "Ridge regression, held-out images; the site with the most reliable responses.");
  page.table(verdicts, "What was expected of a brain before the comparison, and how it came out (Wilcoxon signed rank test over sites).");
  page.write(s.out + "/report.html");
  std::printf("%lld of %zu sites without a ceiling\n", static_cast<long long>(trained.ridge.reliability.undefined_sites), trained.ridge.r.size());
  const auto worse = [](const Score& a, const Score& b) { return explained(a.ridge) < explained(b.ridge); };
  if (simulated)
    std::printf("truth: %s explains %.3f, the best other model %.3f\n", recording.truth.c_str(), explained(scores.back().ridge),
                explained(std::max_element(scores.begin(), scores.end() - 1, worse)->ridge));
  std::printf("result: %s, chosen on training images, explains %.3f of the explainable variance\n", trained.name.c_str(), explained(trained.ridge));
  std::printf("report: %s/report.html\n", s.out.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_example("06_regression", example, argc, argv); }
