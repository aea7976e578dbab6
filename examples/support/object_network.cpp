#include "support/object_network.hpp"

#include <cstdio>

#include "ventral/data/objects.hpp"
#include "ventral/io/state.hpp"
#include "ventral/layers/flatten.hpp"
#include "ventral/layers/hcnn_layer.hpp"
#include "ventral/layers/linear.hpp"
#include "ventral/schedule.hpp"
#include "ventral/training.hpp"

using namespace ventral;

Sequential<float> build_object_network(std::uint64_t seed) {
  const HcnnPoolOptions pool{.kernel = 3, .stride = 2, .padding = 1};
  const DivisiveNormOptions normalize{.channels = 5, .height = 3, .width = 3, .k = 1, .alpha = 1, .beta = 0.5};
  Sequential<float> net;
  net.add("layer1", hcnn_layer<float>({.filter = {.in = 1, .out = 24, .kernel = 7, .stride = 2, .padding = 3}, .pool = pool, .normalize = normalize}))
      .add("layer2", hcnn_layer<float>({.filter = {.in = 24, .out = 48, .kernel = 5, .padding = 2}, .pool = pool, .normalize = normalize}))
      .add("layer3", hcnn_layer<float>({.filter = {.in = 48, .out = 96, .kernel = 3, .padding = 1}, .pool = pool, .normalize = normalize}))
      .add("layer4", hcnn_layer<float>({.filter = {.in = 96, .out = 128, .kernel = 3, .padding = 1}, .normalize = normalize, .order = {Stage::filter, Stage::activation, Stage::normalize}}))
      .add("flat", Flatten<float>())
      .add("decoder", Linear<float>({.in = 128 * 16, .out = 8}));
  net.initialize(seed);
  return net;
}

Sequential<float> object_network(const ObjectNetworkOptions& o) {
  Sequential<float> net = build_object_network(o.seed);
  const PixelStatistics pixels{.mean = object_mean, .deviation = object_deviation};
  const Dataset other_objects = draw_objects(800, {.seed = o.seed + 1000, .size = object_size, .variation = Variation::high});
  if (!o.load.empty()) {
    load(net, o.load);
  } else {
    const Dataset objects = draw_objects(o.images, {.seed = o.seed, .size = object_size, .variation = Variation::high});
    const Index batch = 32, steps = training_steps(o.images, batch, o.epochs);
    SGD<float> optimizer(net.parameters(), {.rate = 0.05, .momentum = 0.9, .weight_decay = 5e-4, .nesterov = true});
    fit(net, SoftmaxCrossEntropy<float>(), optimizer, ImageSource<float>(objects, pixels), {.epochs = o.epochs, .batch = batch, .seed = o.seed, .schedule = warm_up(steps / 20, CosineRate{.rate = 0.05, .steps = steps - steps / 20})});
  }
  if (!o.save.empty()) save(net, o.save);
  std::printf("network: %.1f %% of held-out drawn objects right (chance 12.5 %%)\n", 100 * evaluate(net, ImageSource<float>(other_objects, pixels)).accuracy());
  return net;
}

Tensor<float> layer_features(Sequential<float>& net, const std::string& layer, const Tensor<float>& x) {
  constexpr Index block = 64;
  Tensor<float> features;
  for (Index first = 0; first < x.dim(0); first += block) {
    const Index last = std::min(first + block, x.dim(0));
    const std::vector<Tensor<float>> found = net.capture(x.slice(first, last), {layer});
    const Index width = found[0].size() / (last - first);
    if (first == 0) features = Tensor<float>({x.dim(0), width});
    std::copy(found[0].begin(), found[0].end(), features.data() + first * width);
  }
  return features;
}
