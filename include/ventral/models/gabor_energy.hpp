#pragma once
#include <algorithm>
#include <optional>
#include <vector>

#include "ventral/layers/conv2d.hpp"
#include "ventral/layers/divisive_norm.hpp"
#include "ventral/layers/flatten.hpp"
#include "ventral/layers/parallel.hpp"
#include "ventral/layers/pool2d.hpp"
#include "ventral/models/gabor_filters.hpp"
#include "ventral/sequential.hpp"

namespace ventral::inline v0 {

/// Complex cells from pairs of simple cells: y[n,k] = sqrt(x[n,2k]^2 + x[n,2k+1]^2). x [N,2K,...] -> y [N,K,...].
/// Gradient dy x / y, 0 where y = 0. Throws ShapeError on an odd number of channels.
/// Source: Adelson, Bergen 1985, "Spatiotemporal energy models for the perception of motion", JOSA A 2.
template <class T, class SpaceType = Cpu>
class QuadratureEnergy {
 public:
  using Scalar = T;
  using Space = SpaceType;
  static constexpr const char* kind = "QuadratureEnergy";

  Shape output_shape(const Shape& x) const {
    require<ShapeError>(x.rank() >= 2 && x[1] % 2 == 0, "QuadratureEnergy: input ", x, "; [N,2K,...], pairs of channels, is needed");
    return x.with(1, x[1] / 2);
  }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass) {
    if (y.size() > 0) pairs_.forward(planes(x), planes(y), pass);
  }
  void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) {
    if (!dx || y.size() == 0) return;
    Out<T, Space> flat = planes(*dx);
    pairs_.backward(planes(x), planes(y), planes(dy), &flat, pass);
  }
  Index flops(const Shape& x) const { return 2 * x.size(); }

 private:
  /// Channels as the rows of an image, so that a window of 2 x 1 holds a pair.
  template <class U>
  static TensorRef<U, Space> planes(TensorRef<U, Space> x) {
    return x.reshaped({x.shape[0], 1, x.shape[1], x.shape.product(2, x.shape.rank())});
  }

  LpPool2d<T, Space> pairs_{{.kernel = {2, 1}, .p = 2}};
};

/// What the filters of every scale have in common.
enum class GaborGain {
  contrast,  ///< a grating of amplitude 1 at the best wavelength and orientation gives 1: energies are contrasts, comparable across scales
  unit_norm  ///< a sum of squares of 1: the same noise at all scales; responses to gratings grow with the wavelength
};

struct GaborEnergyOptions {
  Index orientations = 8;                                ///< equally spaced over 180 degrees, the first for upright bars
  std::vector<double> wavelengths = {4, 8, 16, 32, 64};  ///< in pixels: 32 to 2 cycles over an image of 128 pixels
  double bandwidth = 1;                                  ///< octaves at half height
  double aspect = 1;                                     ///< below 1: fields elongated along the bars
  double stride = 1;                                     ///< between neighbouring units, in wavelengths
  GaborGain gain = GaborGain::contrast;
  std::optional<DivisiveNormOptions> normalization = {};  ///< of each scale's energies; across orientations with `.channels = 2 orientations - 1`
};

/// One scale of gabor_energy as maps: grey images [N,1,H,W] -> energies [N,orientations,H / stride,W / stride]. Layers filters (even and odd by
/// turns), energy, norm.
template <class T, class Space = Cpu>
Sequential<T, Space> gabor_scale(double wavelength, const GaborEnergyOptions& o = {}) {
  require(o.orientations >= 1 && o.stride > 0, "gabor_scale: ", o.orientations, " orientations and stride ", o.stride, " must be positive");
  const Index stride = std::max(Index{1}, static_cast<Index>(std::lround(o.stride * wavelength)));
  Gabor gabor{.wavelength = wavelength, .sigma = gabor_sigma(wavelength, o.bandwidth), .aspect = o.aspect};
  require(o.aspect > 0, "gabor_scale: aspect ", o.aspect, " must be positive");
  const Index reach = static_cast<Index>(std::ceil(3 * gabor.sigma / std::min(1.0, o.aspect)));
  const Index radius = std::max(reach, stride / 2), size = 2 * radius + 1;
  // Units stand in the middle of cells of stride x stride pixels, which tile the image.
  const Index before = radius - (stride - 1) / 2, after = radius - stride / 2;
  Conv2d<T, Space> filters(
      {.in = 1, .out = 2 * o.orientations, .kernel = size, .stride = stride, .padding = {before, before, after, after}, .bias = false});
  detail::write_filters(filters.weight.value, [&](Index channel) {
    gabor.orientation = std::numbers::pi * static_cast<double>(channel / 2) / static_cast<double>(o.orientations);
    gabor.phase = channel % 2 == 0 ? 0 : -std::numbers::pi / 2;
    Tensor<double> filter = gabor_filter(gabor, size);
    const double gain = o.gain == GaborGain::contrast ? grating_response(filter, gabor) : 1;
    for (double& v : filter) v /= gain;
    return filter;
  });
  Sequential<T, Space> scale;
  scale.add("filters", std::move(filters));
  scale.add("energy", QuadratureEnergy<T, Space>());
  if (o.normalization) scale.add("norm", DivisiveNorm<T, Space>(*o.normalization));
  scale.set_frozen(true);
  return scale;
}

/// Gabor energy, a model of complex cells in V1: sqrt(even^2 + odd^2) of zero-mean Gabor filters in quadrature, at every orientation and wavelength.
/// Grey images [N,1,H,W] -> features [N, sum over scales of orientations H/stride W/stride], scale after scale. Weights are fixed (frozen).
/// The default is the Gabor wavelet pyramid of Kay et al. for 128 x 128 pixels, in units of contrast.
/// Pixels outside the image count 0: subtract the background first (StimulusOptions::mean), or its edge is seen. An area sees more than the image:
/// pad with the screen around it (StimulusOptions::padding) before comparing patterns by correlation, so that units that stay silent count as such.
/// Throws ShapeError where the image is smaller than a stride, Error on options out of range.
/// Sources: Adelson, Bergen 1985, JOSA A 2; Jones, Palmer 1987, J Neurophysiol 58; Kay, Naselaris, Prenger, Gallant 2008, Nature 452; with
/// normalization Pinto, Cox, DiCarlo 2008, PLoS Comput Biol 4.
template <class T, class Space = Cpu>
Sequential<T, Space> gabor_energy(const GaborEnergyOptions& o = {}) {
  require(!o.wavelengths.empty(), "gabor_energy: no wavelengths");
  Parallel<T, Space> scales;
  for (std::size_t i = 0; i < o.wavelengths.size(); ++i) {
    Sequential<T, Space> scale = gabor_scale<T, Space>(o.wavelengths[i], o);
    scale.add("flatten", Flatten<T, Space>());
    scales.add(concat("scale", i + 1), std::move(scale));
  }
  Sequential<T, Space> net;
  net.add("gabor", std::move(scales));
  return net;
}

}  // namespace ventral::inline v0
