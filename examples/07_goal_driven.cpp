// Goal-driven models of the ventral stream (Yamins et al. 2014): networks of random architecture are trained to recognize objects, never on
// responses; is the one that recognizes better also the one whose units predict V4 better?
//   07_goal_driven [--data DIR] [--models 16] [--images 8000] [--epochs 3] [--seed 1] [--out DIR] [--quick]
#include <chrono>
#include <cmath>
#include <cstdio>

#include "support/goal_driven.hpp"
#include "support/options.hpp"
#include "ventral/report/page.hpp"
#include "ventral/report/scatter.hpp"

using namespace ventral;

namespace {

struct Settings {
  std::string data, out;
  int models = 16, images = 8000, epochs = 3;
  std::uint64_t seed = 1;
  bool quick = false;
};

/// A network, before or after training, and its scores.
struct Model {
  std::string name, architecture;
  bool trained = false;
  double network = NAN;  ///< balanced accuracy of its own output; untrained networks have none
  double readout = 0;    ///< balanced accuracy of a linear readout from the last layer
  Predictivity v4;
};

Model measure(Sequential<float>& net, const HcnnArchitecture& a, bool trained, const ObjectTask& task, const Recording& recording) {
  const std::vector<std::string> layers = layer_names(a);
  Model m{concat("hcnn", a.seed), to_string(a), trained, NAN, readout_accuracy(net, layers.back(), task), v4_predictivity(net, layers, recording)};
  if (trained) m.network = network_accuracy(net, task);
  std::printf(trained ? "%-9s trained   %7.3f" : "%-9s untrained       -", m.name.c_str(), m.network);
  std::printf(" %8.3f %8.3f  %-7s %s\n", m.readout, m.v4.explained_variance, m.v4.layer.c_str(), m.architecture.c_str());
  std::fflush(stdout);
  return m;
}

/// Every model of the family is measured, untrained and trained: none is left out or chosen.
std::vector<Model> measure_family(const Settings& s, const ObjectTask& task, const Recording& recording) {
  std::printf("network, readout: balanced accuracy of a network's own output, and of a linear readout of its last layer; V4: explained variance of\n"
              "held-out images from the layer chosen on training images. An architecture is filters@size/stride, then its stages; | parts layers.\n");
  std::printf("%-19s %7s %8s %8s  %-7s %s\n", "model", "network", "readout", "V4", "layer", "architecture");
  std::vector<Model> models;
  for (int i = 0; i < s.models; ++i) {
    const HcnnArchitecture a = draw_architecture(mix(s.seed, static_cast<std::uint64_t>(i)) % 100000, task.train.images.shape());
    Sequential<float> net = build_hcnn<float>(a, s.seed);
    models.push_back(measure(net, a, false, task, recording));
    train_network(net, task, s.epochs, s.seed);
    models.push_back(measure(net, a, true, task, recording));
  }
  return models;
}

enum class Performance { network, readout };

/// r of performance and predictivity with its interval, for all models or the trained ones alone.
void print_correlation(const std::vector<Model>& models, Performance by, bool untrained_too, const char* what) {
  std::vector<double> x, y;
  for (const Model& m : models)
    if (m.trained || untrained_too) x.push_back(by == Performance::network ? m.network : m.readout), y.push_back(m.v4.explained_variance);
  const report::CorrelationInterval c = report::correlation_interval(x, y);
  std::printf("%s: r = %.3f [%.3f, %.3f], %lld models\n", what, c.r, c.lower, c.upper, static_cast<long long>(c.pairs));
}

/// How much training changes predictivity: the mean difference within pairs and its standard error.
void print_gain(const std::vector<Model>& models) {
  double n = 0, mean = 0, squares = 0, better = 0;
  for (std::size_t i = 0; i + 1 < models.size(); i += 2) {
    const double gain = models[i + 1].v4.explained_variance - models[i].v4.explained_variance, step = gain - mean;
    mean += step / ++n, squares += step * (gain - mean), better += gain > 0;
  }
  std::printf("training changes predictivity by %+.3f +- %.3f (s.e.m.); %.0f of %.0f networks gain\n", mean, std::sqrt(squares / (n - 1) / n), better,
              n);
}

void write_report(const std::vector<Model>& models, const Recording& recording, const std::string& folder) {
  const auto scatter = [&](bool untrained_too) {
    report::Scatter plot{.title = untrained_too ? "All networks" : "Trained networks",
                         .x_label = "performance: balanced accuracy of a linear readout",
                         .y_label = "V4 predictivity: explained variance"};
    for (const bool trained : {true, false})  // the same marker for the trained in both figures
      for (const Model& m : models)
        if (m.trained == trained && (trained || untrained_too))
          plot.points.push_back({untrained_too ? "" : m.name, m.readout, m.v4.explained_variance, trained ? "trained" : "untrained"});
    return draw(plot);
  };
  report::Table table({"model", "state", "network accuracy", "readout accuracy", "explained variance", "layer", "architecture"});
  for (const Model& m : models)
    table.add({m.name, m.trained ? "trained" : "untrained", m.network, m.readout, m.v4.explained_variance, m.v4.layer, m.architecture});
  report::Page page("Performance against predictivity");
  page.text("Networks of random architecture, trained to recognize drawn objects; their units then predict recording sites. Responses: " +
            recording.origin + ". After Yamins & DiCarlo 2016, Fig. 2a. Expected: better performance goes with better predictivity.");
  page.row({scatter(false), scatter(true)},
           "Recognition of held-out objects of high variation against the noise-corrected explained variance of held-out images, median over sites; "
           "one point a network.");
  page.table(table, "Every network that was drawn; untrained ones have no accuracy of their own. An architecture is filters@size/stride, then its "
             "stages; | parts layers. No architecture, layer or seed was chosen on the scores shown.");
  make_folder(folder);
  page.write(folder + "/goal_driven.html");
  std::printf("report: %s/goal_driven.html\n", folder.c_str());
}

int example(int argc, char** argv) {
  Settings s;
  Options options("07_goal_driven",
                  "Trains networks of random architecture to recognize objects and asks whether the better ones predict V4 better.");
  options.add("data", s.data, "folder with cowley_v4; without it V4 is simulated")
      .add("models", s.models, "architectures to draw; each is measured untrained and trained");
  options.add("images", s.images, "objects to train on")
      .add("epochs", s.epochs, "passes over them")
      .add("seed", s.seed, "of architectures, weights and images");
  options.add("out", s.out, "folder for the report")
      .add("quick", s.quick, "few and briefly trained networks, to see that it works")
      .parse(argc, argv);
  if (s.quick) s.models = 4, s.images = 1000, s.epochs = 2;
  require(s.models >= 4 && s.images >= 100 && s.epochs >= 1, "--models must be at least 4, --images 100, --epochs 1");

  const auto begin = std::chrono::steady_clock::now();
  const Recording recording = load_responses(s.data, s.images, s.epochs, s.seed);
  const ObjectTask task = draw_task(s.images, recording.images.dim(-1), s.seed);
  std::printf("expected: better performance goes with better predictivity (r > 0), and training raises predictivity\n");
  std::printf("responses: %s\n", recording.origin.c_str());
  if (!recording.truth.empty()) std::printf("truth: %s\n", recording.truth.c_str());
  std::printf("task: %lld objects in 8 categories to train on; tested on %lld others of high variation (chance 0.125)\n",
              static_cast<long long>(task.train.size()), static_cast<long long>(task.test.size()));
  const std::vector<Model> models = measure_family(s, task, recording);
  if (!s.out.empty()) write_report(models, recording, s.out);
  std::printf("%.0f s\n\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  print_gain(models);
  print_correlation(models, Performance::network, false, "performance of the networks against predictivity, trained");
  print_correlation(models, Performance::readout, false, "performance of the readout against predictivity, trained");
  print_correlation(models, Performance::readout, true, "performance against predictivity");
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_example("07_goal_driven", example, argc, argv); }
