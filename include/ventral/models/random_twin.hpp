#pragma once
#include "ventral/sequential.hpp"

namespace ventral::inline v0 {

/// The same architecture with fresh random weights and running statistics: what the architecture does without learning.
/// Weights are drawn by each layer's own initializer, so the twin is what the network was before training, up to the seed; `net` is left alone.
/// A hand-made model gets random filters of the same shapes. What was frozen stays so.
/// Source: the untrained controls of Yamins et al. 2014, PNAS 111; Jarrett, Kavukcuoglu, Ranzato, LeCun 2009, ICCV (random filters are hard to beat).
template <class T, class Space>
[[nodiscard]] Sequential<T, Space> random_twin(const Sequential<T, Space>& net, std::uint64_t seed) {
  Sequential<T, Space> twin = net.clone();
  twin.initialize(seed);
  return twin;
}

}  // namespace ventral::inline v0
