// Which layer of a network sees objects as a brain area does? RDMs of layers and baselines against recorded RDMs, with noise ceilings and tests.
//   05_rsa [--data DIR] [--load FILE | --images 16000 --epochs 10] [--samples 1000] [--out DIR]
#include <cstdio>

#include "support/model_features.hpp"
#include "support/object_network.hpp"
#include "support/options.hpp"
#include "support/recordings.hpp"
#include "ventral/brain/distances.hpp"
#include "ventral/brain/inference.hpp"
#include "ventral/models/category_oracle.hpp"
#include "ventral/report/bars.hpp"
#include "ventral/report/page.hpp"
#include "ventral/report/rdm_picture.hpp"

using namespace ventral;

namespace {

struct Settings {
  std::string data, load, out = "rsa";
  int images = 16000, epochs = 10, samples = 1000, conditions = 96;
  std::uint64_t seed = 1;
};

/// Said before anything is computed; contrast first - second in an area whose name begins with `area`.
struct Expectation {
  const char *area, *first, *second;
};
constexpr Expectation expectations[] = {{"EVC", "Gabor energy", "trained layer4"}, {"EVC", "trained layer1", "trained layer4"}, {"IT", "trained layer4", "trained layer1"},
                                        {"IT", "trained layer4", "untrained layer4"}, {"IT", "trained layer4", "pixels"}};

std::vector<report::Block> blocks_of(const RsaData& data) {
  std::vector<report::Block> blocks;
  for (Index i = 0; i < data.category.size(); ++i) {
    if (blocks.empty() || data.category[i] != data.category[i - 1]) blocks.push_back({data.category_names[static_cast<std::size_t>(data.category[i])], i, i});
    blocks.back().last = i + 1;
  }
  return blocks;
}

brain::Rdm mean_of(const std::vector<brain::Rdm>& rdms) {
  brain::Rdm mean(rdms[0].conditions());
  for (const brain::Rdm& one : rdms)
    for (std::size_t k = 0; k < mean.values().size(); ++k) mean.values()[k] += one.values()[k] / static_cast<double>(rdms.size());
  return mean;
}

report::BarChart chart(const Area& area, const brain::Evaluation& e, const std::vector<ModelFeatures>& models) {
  report::BarChart chart{.title = area.name, .y_label = "Kendall's tau-a"};
  for (std::size_t m = 0; m < e.models.size(); ++m) {
    const brain::ModelScore& score = e.models[m];
    chart.bars.push_back({.label = score.name, .value = score.mean, .error = score.standard_error, .p = score.p_zero_adjusted, .control = m >= models.size() || models[m].control});
  }
  if (area.subjects.size() > 1) chart.ceilings.push_back({.lower = e.ceiling.lower, .upper = e.ceiling.upper});
  return chart;
}

/// How an expectation came out: the difference, its p value adjusted over all pairs, and the verdict.
void judge(const Expectation& expected, const Area& area, const brain::Evaluation& e, report::Table& verdicts) {
  if (!area.name.starts_with(expected.area) && area.name.find(concat(" ", expected.area, " ")) == std::string::npos) return;
  for (const brain::ModelPair& pair : e.pairs) {
    const std::string &first = e.models[static_cast<std::size_t>(pair.first)].name, &second = e.models[static_cast<std::size_t>(pair.second)].name;
    const bool straight = first == expected.first && second == expected.second;
    if (!straight && !(first == expected.second && second == expected.first)) continue;
    const double difference = straight ? pair.difference : -pair.difference;
    const char* verdict = difference <= 0 ? "not as expected" : pair.p_adjusted < 0.05 ? "as expected" : "as expected, not significant";
    std::printf("%s: %s - %s = %+.3f (s.e. %.3f, FDR p = %.2g): %s\n", area.name.c_str(), expected.first, expected.second, difference, pair.standard_error, pair.p_adjusted, verdict);
    verdicts.add({area.name, concat(expected.first, " - ", expected.second), difference, pair.standard_error, pair.p_adjusted, verdict});
  }
}

int example(int argc, char** argv) {
  Settings s;
  Options options("05_rsa", "Compares the layers of a network, and baselines, with brain areas by representational similarity analysis.");
  options.add("data", s.data, "folder with kriegeskorte92 and cichy92 (docs/data.md); without: drawn objects, simulated areas").add("load", s.load, "weights of the network instead of training it");
  options.add("images", s.images, "drawn objects to train on").add("epochs", s.epochs, "passes over them").add("samples", s.samples, "of the bootstrap");
  options.add("conditions", s.conditions, "images of a simulation").add("seed", s.seed, "of weights, patches, simulation and bootstrap").add("out", s.out, "folder for report.html, its tables, and the weights");
  options.parse(argc, argv);

  std::printf("expected beforehand:\n");
  for (const Expectation& e : expectations) std::printf("  %s: %s above %s\n", e.area, e.first, e.second);
  const RsaData data = load_rsa_data(s.data, s.conditions, s.seed);
  std::printf("data: %s\n", data.origin.c_str());
  make_folder(s.out);
  Sequential<float> net = object_network({.images = s.images, .epochs = s.epochs, .seed = s.seed, .load = s.load, .save = s.out + "/objects.safetensors"});

  const std::vector<ModelFeatures> models = model_features(data.images, net, s.seed);
  std::vector<brain::ModelRdm> rdms;
  for (const ModelFeatures& m : models) rdms.push_back({m.name, brain::rdm(m.features, brain::Distance::correlation)});
  rdms.push_back({"category oracle", category_rdm(data.category)});

  report::Page page("Representational similarity: network layers and brain areas");
  page.text(data.origin);
  std::vector<report::Figure> pictures;
  for (const Area& area : data.areas) pictures.push_back(draw(report::RdmPicture{.title = area.name, .rdm = mean_of(area.subjects), .blocks = blocks_of(data)}));
  for (const brain::ModelRdm& m : rdms)
    if (m.name == "Gabor energy" || m.name.starts_with("trained")) pictures.push_back(draw(report::RdmPicture{.title = m.name, .rdm = m.rdm, .blocks = blocks_of(data)}));
  page.row(pictures, "Dissimilarities in rank percentiles.");

  report::Table verdicts({"area", "contrast", "difference", "s.e.", "FDR p", "verdict"});
  for (const Area& area : data.areas) {
    const bool several = area.subjects.size() > 1;
    const brain::Evaluation e =
        evaluate_models(rdms, area.subjects, {.samples = s.samples, .seed = s.seed, .resample = several ? brain::Resample::both : brain::Resample::conditions});
    const std::string text = to_string(e);
    std::printf("\n%s\n%s", area.name.c_str(), text.substr(0, text.find("\npair ") + 1).c_str());  // all pairs would be long
    for (const Expectation& expected : expectations) judge(expected, area, e, verdicts);
    page.add(chart(area, e, models), several ? "Mean over subjects; s.e.m. over subjects and stimuli; stars: above 0." : "One RDM; s.e.m. over stimuli.");
  }
  page.table(verdicts, "What was expected before the comparison, and how it came out.");
  page.write(s.out + "/report.html");
  std::printf("\nreport: %s/report.html\n", s.out.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_example("05_rsa", example, argc, argv); }
