#pragma once
#include "ventral/layer.hpp"
#include "ventral/window.hpp"

namespace ventral::inline v0 {

/// What a layer is to a kernel that runs whole networks (capture.hpp, CaptureOptions::persistent): one of a few operations on one example, with its
/// parameters. A layer that is one of them has `bool describe(SmallStage<T, Space>&, const Shape& x)`, which says so of an input x [N,...].
template <class T, class Space>
struct SmallStage {
  enum class Kind : unsigned char { view, convolution, linear, max_pool, mean_pool, relu, sigmoid, tanh };

  Kind kind = Kind::view;
  WindowPlan window = {};
  Parameter<T, Space>*weight = nullptr, *bias = nullptr;  ///< null: none
  bool count_include_pad = false;                         ///< of mean pooling
  double amplitude = 1, gain = 1;                         ///< of tanh
};

}  // namespace ventral::inline v0
