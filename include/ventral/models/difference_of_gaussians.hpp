#pragma once
#include <algorithm>
#include <vector>

#include "ventral/layers/activation.hpp"
#include "ventral/layers/conv2d.hpp"
#include "ventral/models/gabor_filters.hpp"
#include "ventral/sequential.hpp"

namespace ventral::inline v0 {

struct DifferenceOfGaussiansOptions {
  std::vector<double> sigmas = {1};  ///< of the centres, in pixels: one pair of channels each
  double ratio = 1.6;                ///< surround / centre; 1.6 resembles a Laplacian most (Marr, Hildreth 1980), about 5 was measured in the retina
  double surround = 1;               ///< weight of the surround; 1: no response to uniform light. Retina: about 0.6 to 1
  Index stride = 1;
};

/// exp(-r^2 / (2 sigma^2)), sampled on size x size pixels about their centre and divided by its sum.
[[gnu::cold]] inline Tensor<double> gaussian_filter(double sigma, Index size) {
  require(sigma > 0, "gaussian_filter: sigma ", sigma, " must be positive");
  require<ShapeError>(size >= 1, "gaussian_filter: ", size, " pixels; at least 1 is needed");
  Tensor<double> g({size, size});
  double sum = 0;
  for (Index i = 0; i < size * size; ++i) {
    const double centre = static_cast<double>(size - 1) / 2, x = static_cast<double>(i % size) - centre, y = static_cast<double>(i / size) - centre;
    sum += g[i] = std::exp(-(x * x + y * y) / (2 * sigma * sigma));
  }
  for (double& v : g) v /= sum;
  return g;
}

/// Centre and surround as in retina and LGN: d = G(sigma) * x - surround G(ratio sigma) * x, channels on = max(0, d), off = max(0, -d).
/// Grey images [N,1,H,W] -> maps [N,2 sigmas,ceil(H / stride),ceil(W / stride)], on and off by turns: layers `dog` and `rectify`. Fields reach
/// 3 sigma of the surround; weights are fixed (frozen). Pixels outside the image count 0: subtract the background first.
/// Throws Error on options out of range.
/// Sources: Rodieck 1965, Vision Res 5; Enroth-Cugell, Robson 1966, J Physiol 187; Marr, Hildreth 1980, Proc R Soc B 207; Croner, Kaplan 1995,
/// Vision Res 35.
template <class T, class Space = Cpu>
Sequential<T, Space> difference_of_gaussians(const DifferenceOfGaussiansOptions& o = {}) {
  require(!o.sigmas.empty() && o.ratio > 1 && o.surround >= 0, "difference_of_gaussians: ", o.sigmas.size(), " sigmas, ratio ", o.ratio,
          ", surround ", o.surround, "; at least one, above 1 and not negative are needed");
  const double widest = *std::max_element(o.sigmas.begin(), o.sigmas.end());
  require(widest > 0, "difference_of_gaussians: sigma ", widest, " must be positive");
  const Index radius = static_cast<Index>(std::ceil(3 * o.ratio * widest)), size = 2 * radius + 1;
  Conv2d<T, Space> dog(
      {.in = 1, .out = 2 * static_cast<Index>(o.sigmas.size()), .kernel = size, .stride = o.stride, .padding = radius, .bias = false});
  detail::write_filters(dog.weight.value, [&](Index channel) {
    const double sigma = o.sigmas[static_cast<std::size_t>(channel / 2)], sign = channel % 2 == 0 ? 1 : -1;
    Tensor<double> filter = gaussian_filter(sigma, size);
    const Tensor<double> around = gaussian_filter(o.ratio * sigma, size);
    for (Index i = 0; i < filter.size(); ++i) filter[i] = sign * (filter[i] - o.surround * around[i]);
    return filter;
  });
  Sequential<T, Space> net;
  net.add("dog", std::move(dog));
  net.add("rectify", ReLU<T, Space>());
  net.set_frozen(true);
  return net;
}

}  // namespace ventral::inline v0
