#pragma once
#include <string>
#include <vector>

#include "ventral/sequential.hpp"

/// What a model says of images: [images, features].
struct ModelFeatures {
  std::string name;
  ventral::Tensor<float> features;
  bool control = false;  ///< a baseline that was not trained on recognition
};

/// The baselines and the layers of a network and of its untrained twin for images [n,H,W] or [n,H,W,3], 8 bits, seen in grey:
/// pixels (32 x 32), difference of Gaussians (64 x 64), Gabor energy (128 x 128 on a grey screen of twice that size), HMAX C2 (96 x 96, 100 patches of drawn objects), then untrained and trained layers.
std::vector<ModelFeatures> model_features(ventral::In<std::uint8_t> images, ventral::Sequential<float>& net, std::uint64_t seed);
