#pragma once
#include "ventral/cpu/local_contrast_norm.hpp"
#include "ventral/layer.hpp"

namespace ventral::inline v0 {

struct LocalContrastNormOptions {
  Index size = 9;          ///< rows and columns of the Gaussian window; odd
  double sigma = 0;        ///< its standard deviation in pixels; 0: a quarter of the size
  double constant = 0;     ///< c, the least divisor; 0: the mean of the local deviation over each image
  double smallest = 1e-4;  ///< the divisor is never below this, so that a flat image gives 0
};

/// Local contrast normalization: subtracts the local mean, then divides by the local deviation.
/// v = x - sum w x; s = sqrt(sum w v^2); y = v / max(c, s, smallest). Sums run over all channels and a Gaussian window of space around the unit;
/// w adds up to 1: where the window leaves the image, the part inside is scaled up, so a uniform image gives 0 to its borders.
/// c is the mean of s over the image, or a constant. x, y [N,C,H,W]; no parameters. The gradient runs through s and c; where s and c tie it goes
/// to c, and s = 0 passes none: see cpu::local_contrast_backward. Throws ShapeError when x is no image.
/// Source: Jarrett, Kavukcuoglu, Ranzato, LeCun 2009, "What is the best multi-stage architecture for object recognition?", section 2.1, after
/// Pinto, Cox, DiCarlo 2008.
template <class T, class SpaceType = Cpu>
class LocalContrastNorm {
 public:
  using Scalar = T;
  using Space = SpaceType;
  static constexpr const char* kind = "LocalContrastNorm";

  explicit LocalContrastNorm(LocalContrastNormOptions o = {}) : rule_{o.size, o.sigma > 0 ? o.sigma : static_cast<double>(o.size) / 4, o.constant, o.smallest} {
    require<ShapeError>(o.size >= 1 && o.size % 2 == 1 && o.size < (1 << 20), "LocalContrastNorm: size ", o.size,
                        "; an odd number of pixels below 2^20 is needed");
    require(o.sigma >= 0, "LocalContrastNorm: sigma ", o.sigma, " must be positive, or 0 for a quarter of the size");
    require(o.constant >= 0, "LocalContrastNorm: constant ", o.constant, " must be positive, or 0 for the mean deviation");
    require(o.smallest > 0, "LocalContrastNorm: smallest ", o.smallest, " must be positive");
    window_.kernel = 2 * o.size - 1;
  }

  Shape output_shape(const Shape& x) const {
    require<ShapeError>(x.rank() == 4, "LocalContrastNorm: input ", x, " has rank ", x.rank(), "; [N,C,H,W] is needed");
    return x;
  }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass) {
    const Shape map = {x.shape[0], x.shape[2], x.shape[3]};
    local_contrast_forward(x.stream(), rule_, x, pass.template keep<T>(0, map), pass.template keep<T>(1, map), scratch(x, pass), y);
  }
  void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) {
    const Shape map = {x.shape[0], x.shape[2], x.shape[3]};
    if (dx) local_contrast_backward(x.stream(), rule_, y, dy, pass.template kept<T>(0, map), pass.template kept<T>(1, map), scratch(x, pass), *dx);
  }
  /// What a unit sees through the two windows, the mean of the deviation left out.
  const Window& window() const { return window_; }
  Index kept_bytes(const Shape& x, Format) const { return 2 * x[0] * x[2] * x[3] * static_cast<Index>(sizeof(T)); }
  Index flops(const Shape& x) const { return x.size() * 6 + x[0] * x[2] * x[3] * 8 * rule_.size; }

 private:
  Out<T, Space> scratch(In<T, Space> x, Pass<Space>& pass) const {
    return pass.template workspace<T>(0, {local_contrast_scratch<T>(x.stream(), rule_, x.shape)});
  }

  ContrastRule rule_;
  Window window_;
};

}  // namespace ventral::inline v0
