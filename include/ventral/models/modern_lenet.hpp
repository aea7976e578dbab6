#pragma once
#include "ventral/layers/batch_norm2d.hpp"
#include "ventral/layers/dropout.hpp"
#include "ventral/models/lenet.hpp"

namespace ventral::inline v0 {

struct ModernLeNetOptions {
  Index channels = 1, classes = 10;
  double dropout = 0.2;  ///< before the last layer; half of it after each pooling
  std::uint64_t seed = 1;
};

/// LeNet as one would build it now, for images [N,channels,28,28], scores [N,classes]: twice two 3x3 convolutions (32, then 64 channels, without
/// padding, each with batch normalization and ReLU) and 2x2 max pooling, a hidden layer of 128 units, dropout.
/// About 197,000 parameters and 20 MFLOP an image. Sources: Simonyan, Zisserman 2015 (3x3 filters in pairs); Ioffe, Szegedy 2015; Srivastava et al. 2014.
template <class T, class Space = Cpu>
Sequential<T, Space> modern_lenet(const ModernLeNetOptions& o = {}) {
  Sequential<T, Space> net;
  const auto stage = [&](Index i, Index in, Index out) {
    net.add(concat("conv", i), Conv2d<T, Space>({.in = in, .out = out, .kernel = 3, .bias = false}));  // the normalization has one
    net.add(concat("norm", i), BatchNorm2d<T, Space>({.channels = out}));
    net.add(concat("act", i), ReLU<T, Space>());
  };
  const auto pool = [&](Index i) {
    net.add(concat("pool", i), MaxPool2d<T, Space>({.kernel = 2}));
    net.add(concat("drop", i), Dropout<T, Space>({.rate = o.dropout / 2}));
  };
  stage(1, o.channels, 32);
  stage(2, 32, 32);
  pool(1);
  stage(3, 32, 64);
  stage(4, 64, 64);
  pool(2);
  net.add("flatten", Flatten<T, Space>());
  net.add("fc1", Linear<T, Space>({.in = 64 * 4 * 4, .out = 128}));
  net.add("act5", ReLU<T, Space>());
  net.add("drop3", Dropout<T, Space>({.rate = o.dropout}));
  net.add("fc2", Linear<T, Space>({.in = 128, .out = o.classes}));
  net.initialize(o.seed);
  return net;
}

}  // namespace ventral::inline v0
