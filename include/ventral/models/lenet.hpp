#pragma once
#include "ventral/layers/activation.hpp"
#include "ventral/layers/conv2d.hpp"
#include "ventral/layers/flatten.hpp"
#include "ventral/layers/linear.hpp"
#include "ventral/layers/pool2d.hpp"
#include "ventral/sequential.hpp"

namespace ventral::inline v0 {

enum class LeNetStyle {
  modern,  ///< ReLU and max pooling
  lecun    ///< 1.7159 tanh(2x/3) and mean pooling
};

struct LeNetOptions {
  LeNetStyle style = LeNetStyle::modern;
  Index channels = 1, classes = 10;
  std::uint64_t seed = 1;
};

/// LeNet-5 for images [N,channels,28,28], scores [N,classes]: conv1 (6 of 5x5, padding 2), pool1, conv2 (16 of 5x5), pool2, fc1 (120), fc2 (84), fc3.
/// 61,706 parameters for one channel and ten classes. Of the original, the connection table of conv2, the trained coefficients of pooling and the output of
/// radial basis functions are left out. Source: LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", section II.B.
template <class T, class Space = Cpu>
[[gnu::cold]] Sequential<T, Space> lenet5(const LeNetOptions& o = {}) {
  const bool modern = o.style == LeNetStyle::modern;
  const Init init = modern ? Init::he_uniform : Init::lecun_uniform;
  Sequential<T, Space> net;
  const auto activation = [&](const char* name) {
    if (modern) net.add(name, ReLU<T, Space>());
    else net.add(name, Tanh<T, Space>({.amplitude = 1.7159, .gain = 2.0 / 3}));
  };
  const auto pool = [&](const char* name) {
    if (modern) net.add(name, MaxPool2d<T, Space>({.kernel = 2}));
    else net.add(name, MeanPool2d<T, Space>({.kernel = 2}));
  };
  net.add("conv1", Conv2d<T, Space>({.in = o.channels, .out = 6, .kernel = 5, .padding = 2, .init = init}));
  activation("act1");
  pool("pool1");
  net.add("conv2", Conv2d<T, Space>({.in = 6, .out = 16, .kernel = 5, .init = init}));
  activation("act2");
  pool("pool2");
  net.add("flatten", Flatten<T, Space>());
  net.add("fc1", Linear<T, Space>({.in = 400, .out = 120, .init = init}));
  activation("act3");
  net.add("fc2", Linear<T, Space>({.in = 120, .out = 84, .init = init}));
  activation("act4");
  net.add("fc3", Linear<T, Space>({.in = 84, .out = o.classes, .init = init}));
  net.initialize(o.seed);
  return net;
}

}  // namespace ventral::inline v0
