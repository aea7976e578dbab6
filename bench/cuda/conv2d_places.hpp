#pragma once
#include <algorithm>

#include "ventral/shape.hpp"

/// The convolutions that benchmarks and the sweep of their tuning run: of LeNet-5, a small MNIST network, AlexNet, VGG, ResNet, convnet-benchmarks.
namespace bench::device {

using ventral::Index, ventral::Shape;

struct Place {
  const char* name;
  Index batch, in, size, out, kernel, stride, padding, groups;
  bool on_tensor_cores = false;  ///< whether tf32 and bfloat16 have rows, too
  bool fused = false;            ///< and bias, ReLU and pooling in one with it

  /// Whether Winograd's kernel computes it, and takes it by its own rule.
  bool by_winograd() const { return kernel == 3 && stride == 1 && groups == 1 && std::min(in, out) > 32; }
  Index across() const { return (size + 2 * padding - kernel) / stride + 1; }
  Shape x() const { return {batch, in, size, size}; }
  Shape w() const { return {out, in / groups, kernel, kernel}; }
  Shape y() const { return {batch, out, across(), across()}; }
};
inline const Place places[] = {{"alexconv2", 16, 64, 27, 192, 5, 1, 2, 1, true, true},
                        {"vgg3", 8, 128, 56, 256, 3, 1, 1, 1, true, true},
                        {"res1x1", 16, 256, 56, 64, 1, 1, 0, 1, true},
                        {"alexconv1", 16, 3, 227, 96, 11, 4, 0, 1, true},
                        {"stem7x7", 16, 3, 224, 64, 7, 2, 3, 1, true, true},
                        {"convnet-L1-b32", 32, 3, 128, 96, 11, 1, 0, 1, true},
                        {"convnet-L2-b8", 8, 64, 64, 128, 9, 1, 0, 1, true},
                        {"convnet-L3-b32", 32, 128, 32, 128, 9, 1, 0, 1, true},
                        {"convnet-L4-b128", 128, 128, 16, 128, 7, 1, 0, 1, true},
                        {"convnet-L5-b128", 128, 384, 13, 384, 3, 1, 0, 1, true},
                        {"res3x3", 16, 64, 56, 64, 3, 1, 1, 1, true},
                        {"lenetC1", 64, 1, 32, 6, 5, 1, 0, 1, false, true},
                        {"lenetC3", 64, 6, 14, 16, 5, 1, 0, 1},
                        {"mnist32", 64, 32, 28, 32, 3, 1, 1, 1, true, true},
                        {"c64-14", 64, 64, 14, 64, 3, 1, 1, 1},
                        {"mnist-first", 64, 1, 28, 32, 3, 1, 1, 1},
                        {"dw3x3", 16, 128, 56, 128, 3, 1, 1, 128}};
inline const Place tiny_places[] = {{"tiny3x3", 2, 3, 7, 5, 3, 1, 1, 1, true, true}, {"tiny20", 1, 8, 6, 20, 3, 1, 1, 1, true, true}, {"tiny40", 2, 34, 7, 40, 3, 1, 1, 1}, {"tiny5x5s2", 1, 4, 9, 2, 5, 2, 2, 2}, {"tiny1x1", 1, 1, 1, 1, 1, 1, 0, 1}};

}  // namespace bench::device
