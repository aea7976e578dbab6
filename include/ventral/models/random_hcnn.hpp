#pragma once
#include <string>

#include "ventral/layers/flatten.hpp"
#include "ventral/layers/hcnn_layer.hpp"
#include "ventral/layers/linear.hpp"
#include "ventral/random.hpp"

namespace ventral::inline v0 {

/// A hierarchical convolutional network drawn at random from a family: its layers, what it sees, and how many classes it tells apart.
struct HcnnArchitecture {
  std::uint64_t seed = 0;                ///< that it was drawn with
  Shape input{1, 1, 56, 56};             ///< of one image [1,C,H,W]
  std::vector<HcnnLayerOptions> layers;  ///< first to last
  Index classes = 8;
};

struct HcnnFamily {
  Index classes = 8;
  Index deepest = 4;       ///< layers, 1 to this many
  double flop = 8e6;       ///< most that a forward pass of one image may cost
  Index features = 12544;  ///< most units that a layer may give on
};

namespace detail {

/// Draws the numbers of one architecture, layer by layer.
class HcnnDraw {
 public:
  HcnnDraw(Random random, const HcnnFamily& family) : random_(random), family_(family) {}

  HcnnArchitecture draw(const Shape& input) {
    HcnnArchitecture a;
    a.input = input;
    a.classes = family_.classes;
    const Index depth = 1 + random_.below(family_.deepest);
    Index channels = input[1], side = std::min(input[2], input[3]);
    for (Index i = 0; i < depth && side >= 4; ++i) {
      a.layers.push_back(layer(channels, side));
      const HcnnLayerOptions& l = a.layers.back();
      channels = l.filter.out;
      side = after(side, l);
    }
    return a;
  }

 private:
  template <class V, std::size_t n>
  V one_of(const V (&values)[n]) {
    return values[random_.below(static_cast<Index>(n))];
  }

  HcnnLayerOptions layer(Index channels, Index side) {
    HcnnLayerOptions l;
    using enum HcnnActivation;
    l.activation = one_of({relu, relu, relu, relu, relu, tanh, tanh, sigmoid});
    l.filter = {.in = channels,
                .out = one_of<Index>({8, 12, 16, 24, 32, 48}),
                .kernel = 3 + random_.below(5),
                .stride = side >= 40 ? 1 + random_.below(2) : 1,
                .padding = Padding::same(),
                .init = l.activation == relu ? Init::he_uniform : Init::xavier_uniform};
    l.pool.kind = one_of({HcnnPool::max, HcnnPool::max, HcnnPool::mean, HcnnPool::lp});
    l.pool.kernel = 2 + random_.below(4);
    l.pool.stride = one_of<Index>({1, 2, 2, 3});
    l.pool.padding = Padding::same();
    l.normalize = {.channels = one_of<Index>({1, 3, 5, 7}),
                   .height = one_of<Index>({1, 3, 5}),
                   .alpha = one_of({0.25, 1.0, 4.0}),
                   .beta = one_of({0.25, 0.5, 0.75})};
    l.normalize.width = l.normalize.height;
    using enum Stage;
    switch (random_.below(6)) {
      case 0:
        l.order = {filter, activation};
        break;
      case 1:
        l.order = {filter, activation, normalize};
        break;
      case 2:
        l.order = {filter, activation, normalize, pool};
        break;
      case 3:
        l.order = {filter, activation, pool, normalize};
        break;
      case 4:
        l.order = {filter, normalize, activation, pool};
        break;
      default:
        l.order = {filter, activation, pool};
    }
    return l;
  }
  static Index after(Index side, const HcnnLayerOptions& l) {
    side = (side + l.filter.stride.h - 1) / l.filter.stride.h;
    for (const Stage s : l.order)
      if (s == Stage::pool) side = (side + l.pool.stride.h - 1) / l.pool.stride.h;
    return side;
  }

  Random random_;
  const HcnnFamily& family_;
};

}  // namespace detail

/// Names of an architecture's layers in the network: `layer1`, `layer2`, ...; the activation of each is what its last stage gives.
inline std::vector<std::string> layer_names(const HcnnArchitecture& a) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < a.layers.size(); ++i) names.push_back("layer" + std::to_string(i + 1));
  return names;
}

/// The network of an architecture for images [N,C,H,W], scores [N,classes]: `layer1`, `layer2`, ... of filters, threshold, pooling and divisive
/// normalization (see hcnn_layer), then `flatten` and the linear `readout`. Its weights are drawn from the seed.
template <class T, class Space = Cpu>
Sequential<T, Space> build_hcnn(const HcnnArchitecture& a, std::uint64_t weight_seed = 1) {
  require(!a.layers.empty(), "build_hcnn: the architecture has no layer");
  Sequential<T, Space> net;
  const std::vector<std::string> names = layer_names(a);
  for (std::size_t i = 0; i < names.size(); ++i) net.add(names[i], hcnn_layer<T, Space>(a.layers[i]));
  const Index features = net.output_shape(a.input).size() / a.input[0];
  net.add("flatten", Flatten<T, Space>());
  net.add("readout", Linear<T, Space>({.in = features, .out = a.classes, .init = Init::xavier_uniform}));
  net.initialize(weight_seed);
  return net;
}

/// Draws an architecture: 1 to 4 layers; 8 to 48 filters of 3x3 to 7x7, the first ones perhaps with stride 2; ReLU, tanh or sigmoid; pooling by
/// maximum, mean or energy over 2x2 to 5x5 with stride 1 to 3, or none; divisive normalization over neighbours in space and channels, or none, before
/// or after pooling. Drawn again until a forward pass costs no more than `family.flop` and no layer gives on more than `family.features` units.
/// Depends on seed, input and family alone. input [N,C,H,W], of which N does not matter. Throws ShapeError below 16x16 pixels, Error when 1000 draws
/// give nothing cheap enough. After Pinto, Doukhan, DiCarlo, Cox 2009, PLoS Comput Biol 5:e1000579, and Yamins et al. 2014, PNAS 111:8619.
inline HcnnArchitecture draw_architecture(std::uint64_t seed, const Shape& input, const HcnnFamily& family = {}) {
  require<ShapeError>(input.rank() == 4 && input[1] >= 1 && input[2] >= 16 && input[3] >= 16, "draw_architecture: images ", input,
                      "; [N,C,H,W] of at least 16x16 pixels is needed");
  require(family.deepest >= 1 && family.classes >= 2, "draw_architecture: ", family.deepest, " layers and ", family.classes,
          " classes; at least 1 and 2 are needed");
  const Shape one = input.with(0, 1);
  for (std::uint64_t attempt = 0; attempt < 1000; ++attempt) {
    HcnnArchitecture a = detail::HcnnDraw(Random(seed).fork(attempt), family).draw(one);
    Index flop = 0, features = 0;
    Shape x = one;
    for (const HcnnLayerOptions& l : a.layers) {
      const Sequential<float> layer = hcnn_layer<float>(l);
      flop += layer.flops(x);
      x = layer.output_shape(x);
      features = std::max(features, x.size());
    }
    if (static_cast<double>(flop) > family.flop || features > family.features) continue;
    a.seed = seed;
    return a;
  }
  throw Error(
      concat("draw_architecture: no network of at most ", family.flop, " FLOP and ", family.features, " units in a layer for images ", input));
}

/// One line: `24@5x5/2 relu max3/2 norm(5,3x3) | 16@3x3 tanh`: filters @ size / stride, then the stages in their order.
inline std::string to_string(const HcnnArchitecture& a) {
  constexpr const char *activations[] = {"relu", "sigmoid", "tanh"}, *pools[] = {"max", "mean", "lp"};
  std::string out;
  for (const HcnnLayerOptions& l : a.layers) {
    if (!out.empty()) out += " | ";
    std::string between;
    for (const Stage s : l.order) {
      out += between;
      between = " ";
      if (s == Stage::filter)
        out += concat(l.filter.out, "@", l.filter.kernel.h, "x", l.filter.kernel.w, l.filter.stride.h > 1 ? concat("/", l.filter.stride.h) : "");
      if (s == Stage::activation) out += activations[static_cast<int>(l.activation)];
      if (s == Stage::pool) out += concat(pools[static_cast<int>(l.pool.kind)], l.pool.kernel.h, "/", l.pool.stride.h);
      if (s == Stage::normalize)
        out += concat("norm(", l.normalize.channels.extent(), ",", l.normalize.height.extent(), "x", l.normalize.width.extent(), ")");
    }
  }
  return out;
}

}  // namespace ventral::inline v0
