#pragma once
#include "ventral/layers/divisive_norm.hpp"

namespace ventral::inline v0 {

/// Which way an even window leans.
enum class EvenWindow {
  back,    ///< one more channel before than after, as PyTorch
  forward  ///< one more after, as ONNX
};

struct LocalResponseNormOptions {
  Index size = 5;  ///< channels in the window, the unit's own included
  double alpha = 1e-4, beta = 0.75, k = 1;
  EvenWindow even = EvenWindow::back;
};

/// Normalization over neighbouring channels at the same place: y = x / (k + alpha / size sum x^2)^beta. A name for DivisiveNorm with a box of channels.
/// AlexNet writes alpha without the division by size: its n = 5, k = 2, alpha = 1e-4, beta = 0.75 is {.size = 5, .alpha = 5e-4, .k = 2} here.
/// x [N,C,...]. Source: Krizhevsky, Sutskever, Hinton 2012, "ImageNet classification with deep convolutional neural networks", section 3.3.
template <class T, class Space = Cpu>
class LocalResponseNorm : public DivisiveNorm<T, Space> {
 public:
  static constexpr const char* kind = "LocalResponseNorm";
  explicit LocalResponseNorm(LocalResponseNormOptions o = {}) : DivisiveNorm<T, Space>(general(o), kind) {}

 private:
  static DivisiveNormOptions general(const LocalResponseNormOptions& o) {
    require<ShapeError>(o.size >= 1, kind, ": size ", o.size, "; at least 1 channel is needed");
    const Index more = o.size / 2, less = o.size - 1 - more;
    DivisiveNormOptions d;
    d.channels = o.even == EvenWindow::back ? Reach(more, less) : Reach(less, more);
    d.k = o.k, d.alpha = o.alpha, d.beta = o.beta;
    return d;
  }
};

}  // namespace ventral::inline v0
