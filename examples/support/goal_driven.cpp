#include "support/goal_driven.hpp"

#include <cmath>
#include <numeric>

#include "ventral/brain/explained_variance.hpp"
#include "ventral/brain/readout.hpp"
#include "ventral/brain/ridge.hpp"
#include "ventral/data/objects.hpp"
#include "ventral/schedule.hpp"
#include "ventral/training.hpp"

using namespace ventral;

namespace {

/// Units of each named layer to images [n,1,H,W]: [n,units] each, computed in blocks of images.
std::vector<Tensor<float>> features_of(Sequential<float>& net, const std::vector<std::string>& layers, TensorRef<const std::uint8_t> images,
                                       const PixelStatistics& pixels) {
  constexpr Index block = 64;
  std::vector<Tensor<float>> features;
  const Index n = images.shape[0];
  for (Index first = 0; first < n; first += block) {
    const Index last = std::min(first + block, n);
    Tensor<float> x(images.shape.with(0, last - first));
    normalize_pixels<float>(images.slice(first, last), x.ref(), pixels);
    const std::vector<Tensor<float>> found = net.capture(x, layers);
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const Index width = found[l].size() / (last - first);
      if (first == 0) features.push_back(Tensor<float>({n, width}));
      std::copy(found[l].begin(), found[l].end(), features[l].data() + first * width);
    }
  }
  return features;
}

template <class T>
Tensor<T> rows(const Tensor<T>& x, const std::vector<Index>& which) {
  Tensor<T> out({static_cast<Index>(which.size()), x.dim(1)});
  for (std::size_t i = 0; i < which.size(); ++i) std::copy_n(x.data() + which[i] * x.dim(1), x.dim(1), out.data() + static_cast<Index>(i) * x.dim(1));
  return out;
}

/// Pixels of the recording's images: brought to mean 0 and deviation 1 over all of them, as those of the task are.
PixelStatistics own_pixels(const Tensor<std::uint8_t>& images) {
  Dataset d;
  d.images = images.clone();
  return pixel_statistics(d);
}

/// Replaces the responses of a recording by Poisson counts of 40 random units of a layer, their rates brought to 6 +- 2.5 spikes.
void simulate_sites(Recording& r, const Tensor<float>& units, Random random) {
  constexpr Index sites = 40, repeats = 8;
  const Index n = units.dim(0), width = units.dim(1);
  r.trials = Tensor<double>({repeats, n, sites});
  for (Index s = 0; s < sites;) {
    const Index unit = random.below(width);
    double mean = 0, square = 0;
    for (Index i = 0; i < n; ++i) mean += units[i * width + unit] / static_cast<double>(n);
    for (Index i = 0; i < n; ++i) square += std::pow(units[i * width + unit] - mean, 2) / static_cast<double>(n);
    if (square < 1e-8) continue;  // a silent unit
    for (Index t = 0; t < repeats; ++t)
      for (Index i = 0; i < n; ++i) {
        const double stop = std::exp(-std::clamp(6 + 2.5 * (units[i * width + unit] - mean) / std::sqrt(square), 0.1, 40.0));
        double spikes = 0;
        for (double product = random.uniform(); product > stop; product *= random.uniform()) ++spikes;  // Knuth
        r.trials[(t * n + i) * sites + s] = spikes;
      }
    ++s;
  }
}

/// Three layers of the family's kind.
HcnnArchitecture hidden_architecture(Index size) {
  HcnnArchitecture a;
  a.input = {1, 1, size, size};
  const HcnnPoolOptions pool{.kernel = 3, .stride = 2, .padding = Padding::same()};
  const DivisiveNormOptions normalize{.channels = 5, .height = 3, .width = 3};
  for (const Index in : {1, 16, 32})
    a.layers.push_back({.filter = {.in = in, .out = in == 1 ? 16 : 32, .kernel = 5, .stride = in == 1 ? 2 : 1, .padding = Padding::same()},
                        .pool = pool,
                        .normalize = normalize});
  return a;
}

}  // namespace

ObjectTask draw_task(Index images, Index size, std::uint64_t seed) {
  const auto part = [&](std::uint64_t stream, Index count, Variation v) {
    return draw_objects(count, {.seed = mix(seed, stream), .size = size, .variation = v});
  };
  const Index probe = std::clamp<Index>(images / 10, 400, 800);
  ObjectTask task{part(1, images / 2, Variation::medium), part(3, probe, Variation::high), part(4, probe, Variation::high), {}};
  const Dataset medium = std::move(task.train), high = part(2, images - images / 2, Variation::high);
  task.train = medium.empty_like(images);
  std::copy(high.images.begin(), high.images.end(), std::copy(medium.images.begin(), medium.images.end(), task.train.images.begin()));
  std::copy(high.labels.begin(), high.labels.end(), std::copy(medium.labels.begin(), medium.labels.end(), task.train.labels.begin()));
  task.pixels = pixel_statistics(task.train);
  return task;
}

void train_network(Sequential<float>& net, const ObjectTask& task, int epochs, std::uint64_t seed) {
  constexpr Index batch = 32;
  constexpr double rate = 0.002;
  Adam<float> optimizer(net.parameters(), {.rate = rate});
  const TrainingOptions options{.epochs = epochs,
                                .batch = batch,
                                .seed = seed,
                                .schedule = CosineRate{.rate = rate, .steps = training_steps(task.train.size(), batch, epochs)},
                                .clip_norm = 1,
                                .log = nullptr};
  fit(net, SoftmaxCrossEntropy<float>(), optimizer, ImageSource<float>(task.train, task.pixels), options);
}

double network_accuracy(Sequential<float>& net, const ObjectTask& task) {
  return evaluate(net, ImageSource<float>(task.test, task.pixels)).confusion.balanced_accuracy();
}

double readout_accuracy(Sequential<float>& net, const std::string& layer, const ObjectTask& task) {
  const std::vector<Index> labels(task.fit.labels.begin(), task.fit.labels.end());
  const brain::Readout readout = brain::fit_readout(features_of(net, {layer}, task.fit.images, task.pixels)[0], labels, task.fit.classes);
  const Tensor<double> scores = readout.scores(features_of(net, {layer}, task.test.images, task.pixels)[0]);
  ConfusionMatrix confusion(task.test.classes);
  confusion.add(scores.ref(), task.test.labels);
  return confusion.balanced_accuracy();
}

Recording load_responses(const std::string& data, Index images, int epochs, std::uint64_t seed) {
  Recording r = load_recording(data, seed);
  if (r.truth.empty()) return r;
  const Index size = r.images.dim(-1);
  const HcnnArchitecture hidden = hidden_architecture(size);
  Sequential<float> net = build_hcnn<float>(hidden, mix(seed, 0x1dde));
  train_network(net, draw_task(images, size, mix(seed, 0x1dde)), epochs, seed);
  r.truth = "layer3 of a hidden trained network, " + to_string(hidden);
  simulate_sites(r, features_of(net, {"layer3"}, r.images.reshaped({r.images.dim(0), 1, size, size}), own_pixels(r.images))[0], Random(seed, 7));
  return r;
}

Predictivity v4_predictivity(Sequential<float>& net, const std::vector<std::string>& layers, const Recording& recording) {
  const Index n = recording.images.dim(0), size = recording.images.dim(1), repeats = recording.trials.dim(0), sites = recording.trials.dim(2);
  const std::vector<Tensor<float>> features = features_of(net, layers, recording.images.reshaped({n, 1, size, size}), own_pixels(recording.images));
  const Tensor<double> responses = brain::mean_over_trials(recording.trials), train = rows(responses, recording.train),
                       test = rows(responses, recording.test);
  double smallest = INFINITY;
  std::size_t chosen = 0;
  Tensor<double> predicted;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const brain::Ridge fit = brain::fit_ridge(rows(features[l], recording.train), train);
    for (Index a = 0; a < fit.validation_mse.dim(0); ++a) {
      const double* mse = fit.validation_mse.data() + a * sites;
      const double error = std::accumulate(mse, mse + sites, 0.0);
      if (error < smallest) smallest = error, chosen = l, predicted = fit.predict(rows(features[l], recording.test));
    }
  }
  require(!predicted.empty(), "v4_predictivity: the error on the training images is undefined for every layer; a site or a unit has no finite value");
  Tensor<double> trials({repeats, test.dim(0), sites});
  for (Index t = 0; t < repeats; ++t)
    for (std::size_t i = 0; i < recording.test.size(); ++i)
      std::copy_n(recording.trials.data() + (t * n + recording.test[i]) * sites, sites,
                  trials.data() + (t * test.dim(0) + static_cast<Index>(i)) * sites);
  const brain::Reliability reliability = brain::split_half_reliability(trials, brain::random_halves(repeats, 20, Random(1)));
  const brain::NoiseCorrected score =
      brain::explained_variance(brain::site_correlations(predicted, test), reliability, brain::ExplainedVariance::r2_over_c);
  return {layers[chosen], score.value, score.sites_undefined};
}
