#pragma once
#include <vector>

#include "ventral/layers/activation.hpp"
#include "ventral/layers/flatten.hpp"
#include "ventral/layers/linear.hpp"
#include "ventral/sequential.hpp"

namespace ventral::inline v0 {

enum class MLPActivation { relu, tanh, sigmoid };

struct MLPOptions {
  std::vector<Index> sizes = {784, 300, 10};  ///< inputs, units of each hidden layer, outputs
  MLPActivation activation = MLPActivation::relu;
  std::uint64_t seed = 1;
};

/// A multilayer perceptron: flatten, then fc1, act1, fc2, ..., the last layer without activation. Any shape [N,...] with sizes[0] elements an example will do.
/// Weights are drawn as He et al. 2015 for ReLU, as LeCun et al. 1998 else. Throws Error on fewer than two sizes.
/// Source: Rumelhart, Hinton, Williams 1986, "Learning representations by back-propagating errors", Nature 323.
template <class T, class Space = Cpu>
Sequential<T, Space> mlp(const MLPOptions& o = {}) {
  require(o.sizes.size() >= 2, "mlp: ", o.sizes.size(), " sizes; at least those of input and output are needed");
  const Init init = o.activation == MLPActivation::relu ? Init::he_uniform : Init::lecun_uniform;
  Sequential<T, Space> net;
  net.add("flatten", Flatten<T, Space>());
  for (std::size_t i = 1; i < o.sizes.size(); ++i) {
    net.add(concat("fc", i), Linear<T, Space>({.in = o.sizes[i - 1], .out = o.sizes[i], .init = init}));
    if (i + 1 == o.sizes.size()) break;
    if (o.activation == MLPActivation::relu) net.add(concat("act", i), ReLU<T, Space>());
    else if (o.activation == MLPActivation::tanh) net.add(concat("act", i), Tanh<T, Space>());
    else net.add(concat("act", i), Sigmoid<T, Space>());
  }
  net.initialize(o.seed);
  return net;
}

}  // namespace ventral::inline v0
