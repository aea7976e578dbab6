#pragma once
#include <vector>

#include "ventral/layers/activation.hpp"
#include "ventral/layers/conv2d.hpp"
#include "ventral/layers/divisive_norm.hpp"
#include "ventral/layers/pool2d.hpp"
#include "ventral/sequential.hpp"

namespace ventral::inline v0 {

/// An operation of a layer of a hierarchical convolutional model; also its name in the network: `filter`, `activation`, `pool`, `normalize`.
enum class Stage { filter, activation, pool, normalize };

constexpr const char* to_string(Stage s) {
  constexpr const char* names[] = {"filter", "activation", "pool", "normalize"};
  return names[static_cast<int>(s)];
}

enum class HcnnActivation { relu, sigmoid, tanh };
enum class HcnnPool { max, mean, lp };

struct HcnnPoolOptions {
  HcnnPool kind = HcnnPool::max;
  Pair kernel = 2;
  Pair stride = kernel;
  Padding padding = 0;
  double p = 2;  ///< the exponent of HcnnPool::lp
};

struct HcnnLayerOptions {
  Conv2dOptions filter = {};
  HcnnActivation activation = HcnnActivation::relu;
  HcnnPoolOptions pool = {};
  DivisiveNormOptions normalize = {};
  std::vector<Stage> order = {Stage::filter, Stage::activation, Stage::pool, Stage::normalize};  ///< the stages there are, first to last
};

/// One layer of a hierarchical convolutional model of the ventral stream: a bank of filters, a threshold, pooling and divisive
/// normalization, in the order given. Returns a network whose layers bear the names of their stages; `net.add("V1", hcnn_layer<float>({...}))`
/// stacks them. x [N,C,H,W]. Options of stages that `order` leaves out are ignored. Throws Error when there is no stage, or one twice.
/// Sources: Pinto, Doukhan, DiCarlo, Cox 2009, "A high-throughput screening approach"; Yamins et al. 2014; Yamins and DiCarlo 2016, box 1.
template <class T, class Space = Cpu>
Sequential<T, Space> hcnn_layer(const HcnnLayerOptions& o) {
  require(!o.order.empty(), "hcnn_layer: the order names no stage; filter, activation, pool, normalize can be given");
  Sequential<T, Space> net;
  for (const Stage stage : o.order) {
    const char* name = to_string(stage);
    for (const auto& taken : net.names()) require(taken != name, "hcnn_layer: the order names ", name, " twice");
    const HcnnPoolOptions& p = o.pool;
    if (stage == Stage::filter) net.add(name, Conv2d<T, Space>(o.filter));
    else if (stage == Stage::normalize) net.add(name, DivisiveNorm<T, Space>(o.normalize));
    else if (stage == Stage::activation && o.activation == HcnnActivation::relu) net.add(name, ReLU<T, Space>());
    else if (stage == Stage::activation && o.activation == HcnnActivation::sigmoid) net.add(name, Sigmoid<T, Space>());
    else if (stage == Stage::activation) net.add(name, Tanh<T, Space>());
    else if (p.kind == HcnnPool::max) net.add(name, MaxPool2d<T, Space>({.kernel = p.kernel, .stride = p.stride, .padding = p.padding}));
    else if (p.kind == HcnnPool::mean) net.add(name, MeanPool2d<T, Space>({.kernel = p.kernel, .stride = p.stride, .padding = p.padding}));
    else net.add(name, LpPool2d<T, Space>({.kernel = p.kernel, .stride = p.stride, .padding = p.padding, .p = p.p}));
  }
  return net;
}

}  // namespace ventral::inline v0
