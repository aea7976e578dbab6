#pragma once
#include <string>
#include <vector>

#include "ventral/sequential.hpp"

// The network that 05_rsa and 06_regression look into: four layers of filter, threshold, pool and divisive normalization, trained on drawn objects.

/// Its layers, from the image on; each has a stage `normalize` that is its output.
inline const std::vector<std::string> object_layers{"layer1", "layer2", "layer3", "layer4"};

struct ObjectNetworkOptions {
  int images = 16000, epochs = 10;
  std::uint64_t seed = 1;
  std::string load;  ///< weights to use instead of training
  std::string save;  ///< file for the weights; empty: not saved
};

/// Pixels of an image that the network takes: [N,1,object_size,object_size], grey 0..255 brought to mean 0 and deviation 1 by `object_pixels`.
inline constexpr ventral::Index object_size = 64;
inline constexpr double object_mean = 128, object_deviation = 64;

/// The network with fresh weights; `decoder` gives the scores of the eight categories.
ventral::Sequential<float> build_object_network(std::uint64_t seed);

/// The network, trained on objects of high variation (data/objects.hpp) or loaded; prints its accuracy on held-out objects.
ventral::Sequential<float> object_network(const ObjectNetworkOptions& options);

/// What a layer says of images x [N,1,H,W]: [N, features], computed in blocks of images.
ventral::Tensor<float> layer_features(ventral::Sequential<float>& net, const std::string& layer, const ventral::Tensor<float>& x);
