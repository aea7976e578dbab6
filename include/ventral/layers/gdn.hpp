#pragma once
#include "ventral/cpu/gdn.hpp"
#include "ventral/layer.hpp"

namespace ventral::inline v0 {

struct GDNOptions {
  Index channels = 1;
  double beta = 1, gamma = 0.1;  ///< initial values: of every beta, and of gamma's diagonal (0 elsewhere)
  double smallest_beta = 1e-6;   ///< below which a beta does not count
};

/// Generalized divisive normalization: every channel divided by a learned pool of all channels at the same place.
/// y_i = x_i / sqrt(beta_i + sum_j gamma_ij x_j^2); x, y [N,C,...]. Parameters `beta` [C] and `gamma` [C,C] are the values themselves: beta counts as
/// max(beta, smallest_beta), gamma as max(gamma, 0), and at that floor only a gradient that raises them passes. Gradients: see cpu::gdn_backward.
/// Throws ShapeError when the number of channels differs. Source: Balle, Laparra, Simoncelli 2016, "Density modeling of images using a generalized
/// normalization transformation", with the exponents fixed at 2 and 1/2.
template <class T, class SpaceType = Cpu>
class GDN {
 public:
  using Scalar = T;
  using Space = SpaceType;
  static constexpr const char* kind = "GDN";

  Parameter<T, Space> beta, gamma;

  explicit GDN(GDNOptions o) : options_(checked(o)) {
    beta = Parameter<T, Space>({o.channels});
    gamma = Parameter<T, Space>({o.channels, o.channels});
    initialize(Random());
  }

  Shape output_shape(const Shape& x) const {
    require<ShapeError>(x.rank() >= 2, "GDN: input ", x, " has no channel axis; [N,C,...] is needed");
    require<ShapeError>(x[1] == options_.channels, "GDN: input ", x, " has ", x[1], " channels; gamma ", gamma.value.shape(), " expects ", options_.channels);
    return x;
  }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass) {
    const Out<T, Space> norms = pass.training() ? pass.template keep<T>(0, x.shape) : y;
    gdn_forward(x.stream(), options_.smallest_beta, beta.value, gamma.value, x, norms, scratch(x, pass), y);
  }
  void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) {
    const In<T, Space> norms = pass.template kept<T>(0, x.shape);
    const Out<T, Space> q = pass.template workspace<T>(1, x.shape);
    const Out<T, Space> dbeta = gradient(beta), dgamma = gradient(gamma);
    gdn_backward(x.stream(), options_.smallest_beta, beta.value, gamma.value, x, y, dy, norms, q, scratch(x, pass), dx ? *dx : Out<T, Space>(), dbeta, dgamma);
  }
  std::vector<NamedParameter<T, Space>> parameters() { return {{"beta", &beta}, {"gamma", &gamma}}; }
  /// Back to the values of the options; nothing is drawn.
  void initialize(Random) {
    beta.value.fill(static_cast<T>(options_.beta));
    Tensor<T, Cpu> diagonal({options_.channels, options_.channels});
    for (Index i = 0; i < options_.channels; ++i) diagonal.at(i, i) = static_cast<T>(options_.gamma);
    gamma.value = diagonal.template to<Space>();
  }
  Index kept_bytes(const Shape& x, Format) const { return x.size() * static_cast<Index>(sizeof(T)); }
  Index flops(const Shape& x) const { return x.size() * (2 * options_.channels + 4); }

 private:
  static GDNOptions checked(const GDNOptions& o) {
    require<ShapeError>(o.channels >= 1, "GDN: channels ", o.channels, "; at least 1 is needed");
    require(o.smallest_beta > 0 && o.beta >= o.smallest_beta, "GDN: beta ", o.beta, " must be at least smallest_beta, ", o.smallest_beta,
            ", and that positive");
    require(o.gamma >= 0, "GDN: gamma ", o.gamma, " must not be negative");
    return o;
  }
  Out<T, Space> scratch(In<T, Space> x, Pass<Space>& pass) const { return pass.template workspace<T>(0, {gdn_scratch(x.stream(), x.shape)}); }
  static Out<T, Space> gradient(Parameter<T, Space>& p) { return p.frozen ? Out<T, Space>() : p.accumulated_gradient(); }

  GDNOptions options_;
};

}  // namespace ventral::inline v0
