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
constexpr Expectation expectations[] = {{"EVC", "Gabor energy", "trained layer4"},
                                        {"EVC", "trained layer1", "trained layer4"},
                                        {"IT", "trained layer4", "trained layer1"},
                                        {"IT", "trained layer4", "untrained layer4"},
                                        {"IT", "trained layer4", "pixels"}};

/// A contrast of the expectations in one area, and how it came out.
struct Planned {
  std::string area, contrast;
  double difference, standard_error, p;
};

report::BarChart chart(const Area& area, const brain::Evaluation& e, const std::vector<ModelFeatures>& models) {
  const bool several = area.subjects.size() > 1;
  report::BarChart chart{
      .title = area.name, .y_label = "Kendall's tau-a", .error_label = several ? "s.e.m. over subjects and stimuli" : "s.e.m. over stimuli"};
  for (std::size_t m = 0; m < e.models.size(); ++m) {
    const brain::ModelScore& score = e.models[m];
    const bool control = m >= models.size() || models[m].control;
    chart.bars.push_back({.label = score.name, .value = score.mean, .error = score.standard_error, .p = score.p_zero_adjusted, .control = control});
  }
  if (several) chart.ceilings.push_back({.lower = e.ceiling.lower, .upper = e.ceiling.upper});
  return chart;
}

/// The contrasts that were planned for an area.
void add_planned(std::vector<Planned>& planned, const Area& area, const brain::Evaluation& e) {
  for (const Expectation& expected : expectations) {
    if (!area.name.starts_with(expected.area) && area.name.find(concat(" ", expected.area, " ")) == std::string::npos) continue;
    for (const brain::ModelPair& pair : e.pairs) {
      const auto is = [&](Index model, const char* name) { return e.models[static_cast<std::size_t>(model)].name == name; };
      const bool straight = is(pair.first, expected.first) && is(pair.second, expected.second);
      if (!straight && !(is(pair.first, expected.second) && is(pair.second, expected.first))) continue;
      const double difference = straight ? pair.difference : -pair.difference;
      planned.push_back({area.name, concat(expected.first, " - ", expected.second), difference, pair.standard_error, pair.p});
    }
  }
}

/// How the planned contrasts of all areas came out, their p values adjusted for the false discovery rate over all of them.
report::Table judge(const std::vector<Planned>& planned) {
  std::vector<double> p;
  for (const Planned& c : planned) p.push_back(c.p);
  const auto adjusted = brain::adjust_benjamini_hochberg(p);
  report::Table table({"area", "contrast", "difference", "s.e.", "p", "FDR p", "verdict"});
  std::printf("\nwhat was expected beforehand: differences of tau-a; p two-sided, FDR over these %zu contrasts\n", planned.size());
  std::printf("%-34s%-35s%8s%8s%10s%10s  %s\n", "area", "contrast", "diff.", "s.e.", "p", "FDR", "verdict");
  for (std::size_t i = 0; i < planned.size(); ++i) {
    const Planned& c = planned[i];
    const char* significant = c.difference > 0 ? "as expected" : "the opposite";
    const char* verdict = adjusted[i] < 0.05 ? significant : adjusted[i] >= 0.05 ? "no significant difference" : "undefined";
    std::printf("%-34s%-35s%+8.3f%8.3f", c.area.c_str(), c.contrast.c_str(), c.difference, c.standard_error);
    std::printf("%10.2g%10.2g  %s\n", c.p, adjusted[i], verdict);
    table.add({c.area, c.contrast, c.difference, c.standard_error, c.p, adjusted[i], verdict});
  }
  return table;
}

int example(int argc, char** argv) {
  Settings s;
  Options options("05_rsa", "Compares the layers of a network, and baselines, with brain areas by representational similarity analysis.");
  options.add("data", s.data, "folder with kriegeskorte92 and cichy92 (docs/data.md); without: drawn objects, simulated areas")
      .add("load", s.load, "weights of the network instead of training it")
      .add("images", s.images, "drawn objects to train on").add("epochs", s.epochs, "passes over them")
      .add("samples", s.samples, "of the bootstrap").add("conditions", s.conditions, "images of a simulation")
      .add("seed", s.seed, "of weights, patches, simulation and bootstrap")
      .add("out", s.out, "folder for report.html, its tables, and the weights");
  options.parse(argc, argv);

  std::printf("expected beforehand:\n");
  for (const Expectation& e : expectations) std::printf("  %s: %s above %s\n", e.area, e.first, e.second);
  const RsaData data = load_rsa_data(s.data, s.conditions, s.seed);
  std::printf("data: %s\n", data.origin.c_str());
  make_folder(s.out);
  Sequential<float> net = object_network(
      {.images = s.images, .epochs = s.epochs, .seed = s.seed, .load = s.load, .save = s.out + "/objects.safetensors"});

  const std::vector<ModelFeatures> models = model_features(data.images, net, s.seed);
  std::vector<brain::ModelRdm> rdms;
  for (const ModelFeatures& m : models) rdms.push_back({m.name, brain::rdm(m.features, brain::Distance::correlation)});
  rdms.push_back({"category oracle", category_rdm(data.category)});

  report::Page page("Representational similarity: network layers and brain areas");
  page.text("Data: " + data.origin + ".");
  page.text("An RDM says of every two images how differently a model or an area responds to them: 1 - Pearson's r of the patterns. A model is like "
            "an area when their RDMs order the pairs of images alike: Kendall's tau-a is 1 for the same order and 0 for unrelated ones.");
  std::vector<report::Figure> pictures;
  const auto add_picture = [&](const std::string& title, const brain::Rdm& rdm) {
    pictures.push_back(draw(report::RdmPicture{.title = title, .rdm = rdm, .blocks = category_blocks(data)}));
  };
  for (const Area& area : data.areas) add_picture(area.name, mean_rdm(area.subjects));
  for (const brain::ModelRdm& m : rdms)
    if (m.name == "Gabor energy" || m.name.starts_with("trained")) add_picture(m.name, m.rdm);
  page.row(pictures, "Areas: means over subjects. Rank percentiles: dark pairs of images are alike; a dark square is a category seen as one.");

  std::vector<Planned> planned;
  for (const Area& area : data.areas) {
    const bool several = area.subjects.size() > 1;
    const auto resample = several ? brain::Resample::both : brain::Resample::conditions;
    const brain::Evaluation e = evaluate_models(rdms, area.subjects, {.samples = s.samples, .seed = s.seed, .resample = resample});
    const std::string text = to_string(e);
    std::printf("\n%s\n%s", area.name.c_str(), text.substr(0, text.find("\npair ") + 1).c_str());  // all pairs would be long
    std::printf("Spearman with the mean RDM:");
    for (const brain::ModelRdm& m : rdms) std::printf(" %s %.3f;", m.name.c_str(), compare(m.rdm, mean_rdm(area.subjects), brain::Comparator::spearman));
    std::printf("\n");
    add_planned(planned, area, e);
    page.add(chart(area, e, models),
             concat("The RDM of each model against ", several ? "those of the subjects, mean over subjects" : "the one RDM there is",
                    ". Stars: above 0 (one-sided t test with the bootstrap's s.e.m., adjusted for the false discovery rate over the models).",
                    several ? " Noise ceiling: between its lines lies what the best possible model would reach, as subjects differ." : ""));
  }
  page.table(judge(planned), "What was expected before the comparison, and how it came out. p is two-sided; FDR p is adjusted for the false "
                             "discovery rate over the rows of this table.");
  page.write(s.out + "/report.html");
  std::printf("\nreport: %s/report.html\n", s.out.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_example("05_rsa", example, argc, argv); }
