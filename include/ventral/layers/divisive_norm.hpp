#pragma once
#include "ventral/cpu/divisive_norm.hpp"
#include "ventral/layer.hpp"

namespace ventral::inline v0 {

/// Which of a divisive normalization's parameters are trained.
struct DivisiveLearning {
  bool k = false, alpha = false, beta = false;
};

struct DivisiveNormOptions {
  Reach channels = 1, height = 1, width = 1;  ///< the box: an odd extent (`5`) or how far it reaches (`{2, 1}`); 1 by default
  double k = 1, alpha = 1, beta = 0.5;
  double exponent = 2;            ///< of the pooled responses; positive
  DivisiveLearning learn = {};
  Index per_channel = 0;          ///< number of channels, each with its own k, alpha and beta; 0: one of each for the layer
  double threshold = 0;           ///< divide only where the divisor is at least this (Pinto's variant)
  double smallest_k = 1e-6;       ///< below which a learned k does not count
};

/// Divisive normalization: each unit's response is divided by the pooled responses of its neighbours.
/// y = x / (k + alpha / |box| sum_box |x|^exponent)^beta; with a threshold, y = x where that divisor is below it.
/// The box spans channels, rows and columns around the unit; elements outside the tensor count 0 and |box| stays the full size. Channels only:
/// AlexNet's response normalization; space only: surround suppression; all three: the normalization of Pinto's and Yamins' networks.
/// x, y [N,C,H,W]; a box of channels alone takes [N,C,...] of any rank. Learned parameters `k`, `alpha`, `beta` are [1] or [C] and are the values
/// themselves: k counts as max(k, smallest_k), alpha and beta as max(., 0), and at that floor only a gradient that raises them passes
/// (the bound of Balle 2017). Gradients: see cpu::divisive_norm_backward; |x| has slope 0 at 0.
/// Throws ShapeError when the shape does not fit, Error when a value is out of range.
/// Sources: Carandini and Heeger 2012, "Normalization as a canonical neural computation"; Pinto, Cox, DiCarlo 2008, "Why is real-world visual
/// object recognition hard?"; Krizhevsky, Sutskever, Hinton 2012, section 3.3.
template <class T, class SpaceType = Cpu>
class DivisiveNorm {
 public:
  using Scalar = T;
  using Space = SpaceType;
  static constexpr const char* kind = "DivisiveNorm";

  Parameter<T, Space> k, alpha, beta;

  explicit DivisiveNorm(DivisiveNormOptions o = {}) : DivisiveNorm(o, kind) {}

  Shape output_shape(const Shape& x) const {
    require<ShapeError>(x.rank() >= 2, name_, ": input ", x, " has no channel axis; [N,C,...] is needed");
    const DivisiveBox& box = rule_.box;
    require<ShapeError>(x.rank() == 4 || (box.height.extent() == 1 && box.width.extent() == 1), name_, ": input ", x, " has rank ", x.rank(), "; a box of ",
                        box.height.extent(), " rows and ", box.width.extent(), " columns expects [N,C,H,W]");
    require<ShapeError>(options_.per_channel == 0 || x[1] == options_.per_channel, name_, ": input ", x, " has ", x[1], " channels; per_channel expects ",
                        options_.per_channel);
    return x;
  }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass) {
    const Out<T, Space> sums = pass.training() && keeps_sums() ? pass.template keep<T>(0, x.shape, x.format) : y;
    divisive_norm_forward(x.stream(), rule_, k.value, alpha.value, beta.value, x, sums, scratch(x, pass), y);
  }
  void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) {
    const In<T, Space> sums = keeps_sums() ? pass.template kept<T>(0, x.shape, x.format) : Out<T, Space>();
    if (dx) divisive_norm_backward(x.stream(), rule_, k.value, alpha.value, beta.value, x, y, dy, sums, scratch(x, pass), *dx);
    const Out<T, Space> dk = gradient(k, options_.learn.k), dalpha = gradient(alpha, options_.learn.alpha), dbeta = gradient(beta, options_.learn.beta);
    if (!dk.data && !dalpha.data && !dbeta.data) return;
    const Out<double, Space> partial = pass.template workspace<double>(1, {x.shape[0], x.shape[1], 3});
    divisive_norm_parameter_backward(x.stream(), rule_, k.value, alpha.value, beta.value, y, dy, sums, partial, dk, dalpha, dbeta);
  }
  bool takes_blocks(const Shape&) const { return std::is_same_v<T, float> && std::is_same_v<Space, Cpu>; }
  /// Those that are learned.
  std::vector<NamedParameter<T, Space>> parameters() {
    std::vector<NamedParameter<T, Space>> out;
    if (options_.learn.k) out.push_back({"k", &k});
    if (options_.learn.alpha) out.push_back({"alpha", &alpha});
    if (options_.learn.beta) out.push_back({"beta", &beta});
    return out;
  }
  /// Back to the values of the options; nothing is drawn.
  void initialize(Random) {
    k.value.fill(static_cast<T>(options_.k));
    alpha.value.fill(static_cast<T>(options_.alpha));
    beta.value.fill(static_cast<T>(options_.beta));
  }
  const DivisiveNormOptions& options() const { return options_; }
  /// A unit sees the rows and columns of its box.
  const Window& window() const { return window_; }
  Index kept_bytes(const Shape& x, Format format) const { return keeps_sums() ? stored_size(x, format) * static_cast<Index>(sizeof(T)) : 0; }
  /// A power and an addition for each extent of the box, then multiply, add, power, divide.
  Index flops(const Shape& x) const {
    const DivisiveBox& b = rule_.box;
    return x.size() * (b.channels.extent() + b.height.extent() + b.width.extent() + 2);
  }

 protected:
  DivisiveNorm(DivisiveNormOptions o, const char* name)
      : k({o.per_channel > 0 ? o.per_channel : 1}), alpha(k.value.shape()), beta(k.value.shape()), name_(name), options_(o),
        rule_{{o.channels, o.height, o.width}, o.exponent, o.threshold, o.learn.k ? o.smallest_k : 0} {
    const auto reach = [&](const char* axis, Reach r) {
      constexpr Index limit = Index{1} << 20;
      require<ShapeError>(r.before >= 0 && r.after >= 0 && r.before < limit && r.after < limit, name_, ": the box reaches {", r.before, ", ", r.after, "} in ",
                          axis, "; 0 to 2^20 is needed");
    };
    reach("channels", o.channels), reach("height", o.height), reach("width", o.width);
    require<ShapeError>(o.per_channel >= 0, name_, ": per_channel ", o.per_channel, " is negative; a number of channels or 0 is needed");
    require(o.alpha >= 0 && o.beta >= 0, name_, ": alpha ", o.alpha, " and beta ", o.beta, " must not be negative");
    require(o.exponent > 0, name_, ": exponent ", o.exponent, " must be positive");
    require(o.threshold >= 0, name_, ": threshold ", o.threshold, " must not be negative");
    require(o.k > 0 || (o.k == 0 && o.threshold > 0), name_, ": k ", o.k, " must be positive, or 0 with a threshold");
    require(!o.learn.k || (o.smallest_k > 0 && o.k >= o.smallest_k), name_, ": a learned k of ", o.k, " must be at least smallest_k, ", o.smallest_k,
            ", and that positive");
    initialize(Random());
    window_.kernel = {o.height.extent(), o.width.extent()};
  }

 private:
  /// For the gradients by the parameters; by x, the CPU finds them again.
  bool keeps_sums() const { return !std::is_same_v<Space, Cpu> || options_.learn.k || options_.learn.alpha || options_.learn.beta; }
  Out<T, Space> scratch(In<T, Space> x, Pass<Space>& pass) const { return pass.template workspace<T>(0, {divisive_norm_scratch(x.stream(), rule_, x.shape)}); }
  static Out<T, Space> gradient(Parameter<T, Space>& p, bool learned) { return learned && !p.frozen ? p.accumulated_gradient() : Out<T, Space>(); }

  const char* name_;
  DivisiveNormOptions options_;
  DivisiveRule rule_;
  Window window_;
};

}  // namespace ventral::inline v0
