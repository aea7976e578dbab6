#pragma once
#include <cmath>
#include <numbers>
#include <vector>

#include "ventral/tensor.hpp"

namespace ventral::inline v0 {

/// A Gabor function: a grating under a Gaussian envelope, the classical description of a simple cell's receptive field in V1. Lengths are in pixels.
struct Gabor {
  double wavelength = 8;
  double orientation = 0;  ///< direction in which the grating varies, radians from the x axis towards larger rows: 0 for upright bars
  double phase = 0;        ///< 0: even (cosine); -pi/2: odd (sine)
  double sigma = 4;        ///< of the envelope, across the bars
  double aspect = 1;       ///< sigma across / sigma along the bars; below 1 the field is elongated
  bool round = false;      ///< the support is a disc of diameter `size` instead of the square
};

/// The envelope that gives a Gabor function of this wavelength a spatial-frequency bandwidth of b octaves at half height:
/// sigma = wavelength / pi sqrt(ln 2 / 2) (2^b + 1) / (2^b - 1); 0.56 wavelengths for one octave. Throws Error unless both are positive.
/// Source: De Valois, Albrecht, Thorell 1982, Vision Res 22 (bandwidths of 1 to 1.5 octaves in macaque V1).
inline double gabor_sigma(double wavelength, double octaves) {
  require(wavelength > 0 && octaves > 0, "gabor_sigma: wavelength ", wavelength, " and bandwidth ", octaves, " must be positive");
  const double ratio = std::exp2(octaves);
  return wavelength / std::numbers::pi * std::sqrt(std::numbers::ln2 / 2) * (ratio + 1) / (ratio - 1);
}

/// Samples a Gabor function on size x size pixels about their centre, with zero mean and a sum of squares of 1:
/// g = exp(-(u^2 + aspect^2 v^2) / (2 sigma^2)) (cos(2 pi u / wavelength + phase) - c), where u = x cos(orientation) + y sin(orientation) and
/// v = y cos(orientation) - x sin(orientation); c takes the mean away in the shape of the envelope, so that the support stays compact.
/// Returns [size,size], rows downwards. Throws Error when a parameter is not positive, for a wavelength of at most two pixels (the sampling theorem:
/// a sine of two pixels is 0 on all of them) and for one so long that the pixels see no change; ShapeError below two pixels.
/// Sources: Jones, Palmer 1987, J Neurophysiol 58; Daugman 1985, JOSA A 2.
[[gnu::cold]] inline Tensor<double> gabor_filter(const Gabor& g, Index size) {
  require(g.wavelength > 0 && g.sigma > 0 && g.aspect > 0, "gabor_filter: wavelength ", g.wavelength, ", sigma ", g.sigma, " and aspect ", g.aspect,
          " must be positive");
  require(g.wavelength > 2, "gabor_filter: a wavelength of ", g.wavelength, " pixels; more than 2 are needed to sample a grating");
  require<ShapeError>(size >= 2, "gabor_filter: ", size, " pixels; at least 2 are needed");
  Tensor<double> envelope({size, size}), filter({size, size});
  const double centre = static_cast<double>(size - 1) / 2, reach = static_cast<double>(size) / 2, c = std::cos(g.orientation),
               s = std::sin(g.orientation);
  double sum = 0, weight = 0, square = 0;
  for (Index i = 0; i < size * size; ++i) {
    const double x = static_cast<double>(i % size) - centre, y = static_cast<double>(i / size) - centre, u = x * c + y * s,
                 v = g.aspect * (y * c - x * s);
    envelope[i] = g.round && x * x + y * y > reach * reach ? 0 : std::exp(-(u * u + v * v) / (2 * g.sigma * g.sigma));
    filter[i] = envelope[i] * std::cos(2 * std::numbers::pi * u / g.wavelength + g.phase);
    sum += filter[i], weight += envelope[i];
  }
  for (Index i = 0; i < size * size; ++i) {
    filter[i] -= sum / weight * envelope[i];
    square += filter[i] * filter[i];
  }
  require(square > 1e-24 * weight * weight, "gabor_filter: a wavelength of ", g.wavelength, " hardly varies over ", size, "x", size, " pixels");
  for (double& v : filter) v /= std::sqrt(square);
  return filter;
}

/// Response of a filter [n,n] to the grating of a Gabor function: sum over pixels of f cos(2 pi u / wavelength + phase), u as in gabor_filter.
[[gnu::cold]] inline double grating_response(const Tensor<double>& filter, const Gabor& g) {
  const Index n = filter.dim(0);
  const double centre = static_cast<double>(n - 1) / 2, c = std::cos(g.orientation), s = std::sin(g.orientation);
  double sum = 0;
  for (Index i = 0; i < n * n; ++i) {
    const double u = (static_cast<double>(i % n) - centre) * c + (static_cast<double>(i / n) - centre) * s;
    sum += filter[i] * std::cos(2 * std::numbers::pi * u / g.wavelength + g.phase);
  }
  return sum;
}

namespace detail {

/// Sets a layer's weight [filters,...] to filter(0), filter(1), ...
template <class T, class Space, class Filter>
[[gnu::cold]] void write_filters(Tensor<T, Space>& weight, Filter filter) {
  std::vector<T> values;
  for (Index i = 0; i < weight.dim(0); ++i)
    for (const double v : filter(i)) values.push_back(static_cast<T>(v));
  weight.copy_from(Tensor<T>(weight.shape(), values).template to<Space>());
}

}  // namespace detail

}  // namespace ventral::inline v0
