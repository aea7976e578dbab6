#pragma once
#include "ventral/shape.hpp"

namespace bench {

/// A layer of a network that both sides build. Channels in follow from the layers before.
struct LayerPlan {
  enum class Kind { conv, linear, relu, scaled_tanh, max_pool, mean_pool, response_norm, flatten };
  Kind kind;
  ventral::Index out = 0, kernel = 1, stride = 1, padding = 0;
};

// Constants of the layers without options: 1.7159 tanh(2x/3), and AlexNet's normalization, alpha divided by the size.
constexpr double tanh_amplitude = 1.7159, tanh_gain = 2.0 / 3;
constexpr ventral::Index norm_size = 5;
constexpr double norm_alpha = 5e-4, norm_beta = 0.75, norm_k = 2;

}  // namespace bench
