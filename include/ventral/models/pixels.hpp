#pragma once
#include "ventral/layers/flatten.hpp"
#include "ventral/layers/pool2d.hpp"
#include "ventral/sequential.hpp"

namespace ventral::inline v0 {

struct PixelsOptions {
  Pair block = 1;  ///< each block of that many pixels becomes their mean; smaller ones at the lower and right border
};

/// The image itself as features: grey or colour [N,C,H,W] -> [N, C ceil(H / block) ceil(W / block)]. What any model must beat.
/// Throws ShapeError for another rank, when blocks are larger than the image.
template <class T, class Space = Cpu>
Sequential<T, Space> pixels(const PixelsOptions& o = {}) {
  Sequential<T, Space> net;
  if (!(o.block == Pair(1))) net.add("blocks", MeanPool2d<T, Space>({.kernel = o.block, .rounding = Rounding::ceil}));
  net.add("flatten", Flatten<T, Space>());
  return net;
}

}  // namespace ventral::inline v0
