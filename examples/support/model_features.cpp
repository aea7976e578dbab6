#include "support/model_features.hpp"

#include "support/object_network.hpp"
#include "ventral/data/objects.hpp"
#include "ventral/data/stimuli.hpp"
#include "ventral/models/difference_of_gaussians.hpp"
#include "ventral/models/gabor_energy.hpp"
#include "ventral/models/hmax.hpp"
#include "ventral/models/pixels.hpp"
#include "ventral/models/random_twin.hpp"

using namespace ventral;

std::vector<ModelFeatures> model_features(In<std::uint8_t> images, Sequential<float>& net, std::uint64_t seed) {
  const auto grey = [&](Index size, double mean, double deviation) { return prepare_stimuli(images, {.channels = 1, .size = size, .mean = {mean}, .deviation = {deviation}}); };
  constexpr double screen = 128.0 / 255;  // around the image, which EVC sees too (docs/measurements/brain.md says how that was found)
  std::vector<ModelFeatures> models;
  const auto output = [](Sequential<float> model, const Tensor<float>& x) { return layer_features(model, model.names().back(), x); };
  models.push_back({"pixels", output(pixels<float>(), grey(32, 0.5, 0.25)), true});
  models.push_back({"difference of Gaussians", output(difference_of_gaussians<float>({.sigmas = {1, 2, 4}}), grey(64, 0.5, 0.25)), true});
  models.push_back({"Gabor energy", output(gabor_energy<float>(), prepare_stimuli(images, {.channels = 1, .size = 128, .padding = 64, .background = screen, .mean = {screen}})), true});
  Hmax<float> hmax;
  hmax.imprint(prepare_stimuli(draw_objects(50, {.seed = seed + 1, .size = 96, .variation = Variation::medium})), 25, seed);
  models.push_back({"HMAX C2", hmax.features(grey(96, 0, 1)).c2, true});
  const Tensor<float> x = grey(object_size, object_mean / 255, object_deviation / 255);
  Sequential<float> twin = random_twin(net, seed + 2);
  for (const std::string& layer : object_layers) models.push_back({"untrained " + layer, layer_features(twin, layer, x), true});
  for (const std::string& layer : object_layers) models.push_back({"trained " + layer, layer_features(net, layer, x), false});
  return models;
}
