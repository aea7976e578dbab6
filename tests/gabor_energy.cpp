#include "ventral/models/gabor_energy.hpp"

#include <numbers>

#include "support.hpp"

using namespace ventral;

namespace {

constexpr double pi = std::numbers::pi;

/// A grating of amplitude 1 [1,1,size,size] about the middle of the image.
template <class T>
Tensor<T> grating(Index size, double wavelength, double orientation, double phase) {
  Tensor<T> x({1, 1, size, size});
  for (Index i = 0; i < size * size; ++i) {
    const double c = static_cast<double>(size - 1) / 2,
                 u = (static_cast<double>(i % size) - c) * std::cos(orientation) + (static_cast<double>(i / size) - c) * std::sin(orientation);
    x[i] = static_cast<T>(std::cos(2 * pi * u / wavelength + phase));
  }
  return x;
}

double sum_of(const Tensor<double>& f, double power) {
  double sum = 0;
  for (const double v : f) sum += std::pow(v, power);
  return sum;
}

}  // namespace

TEST_CASE("Gabor filters: zero mean, unit norm, even and odd, at right angles to each other") {
  CHECK(gabor_sigma(1, 1) == doctest::Approx(0.562).epsilon(0.001));  // the usual rule for one octave
  for (const bool round : {false, true})
    for (const double orientation : {0.0, 0.7, pi / 2}) {
      const Gabor g{.wavelength = 6, .orientation = orientation, .sigma = 3, .aspect = 0.6, .round = round};
      Gabor sine = g;
      sine.phase = -pi / 2;
      const Tensor<double> even = gabor_filter(g, 19), odd = gabor_filter(sine, 19);
      double product = 0;
      for (Index i = 0; i < 361; ++i) {
        CHECK(even[i] == doctest::Approx(even[360 - i]));
        CHECK(odd[i] == doctest::Approx(-odd[360 - i]));
        product += even[i] * odd[i];
      }
      CHECK(std::abs(sum_of(even, 1)) < 1e-12);
      CHECK(sum_of(even, 2) == doctest::Approx(1));
      CHECK(sum_of(odd, 2) == doctest::Approx(1));
      CHECK(std::abs(product) < 1e-12);
      CHECK((even[0] == 0) == round);  // the corner lies outside the disc
    }
  const Tensor<double> upright = gabor_filter({.wavelength = 6, .sigma = 3}, 13),
                       lying = gabor_filter({.wavelength = 6, .orientation = pi / 2, .sigma = 3}, 13);
  CHECK(upright.at(6, 9) < 0);  // half a wavelength to the right
  CHECK(upright.at(9, 6) > 0);
  CHECK(lying.at(9, 6) == doctest::Approx(upright.at(6, 9)));
  CHECK(test::message_of<Error>([] { static_cast<void>(gabor_filter({.wavelength = 0}, 9)); }) ==
        "gabor_filter: wavelength 0, sigma 4 and aspect 1 must be positive");
  // at two pixels a period the odd filter is rounding error: energies of 1e15 without the check
  CHECK(test::message_of<Error>([] { static_cast<void>(gabor_energy<float>({.wavelengths = {2}})); }) ==
        "gabor_filter: a wavelength of 2 pixels; more than 2 are needed to sample a grating");
  CHECK(test::message_of<Error>([] { static_cast<void>(gabor_filter({.wavelength = 1e9, .sigma = 1e9}, 3)); }) ==
        "gabor_filter: a wavelength of 1e+09 hardly varies over 3x3 pixels");
  CHECK(test::message_of<ShapeError>([] { static_cast<void>(gabor_filter({}, 1)); }) == "gabor_filter: 1 pixels; at least 2 are needed");
  CHECK(test::message_of<Error>([] { static_cast<void>(gabor_sigma(4, 0)); }) == "gabor_sigma: wavelength 4 and bandwidth 0 must be positive");
}

TEST_CASE_TEMPLATE("quadrature energy: pairs of channels, gradients, errors", Space, VENTRAL_TEST_SPACES) {
  QuadratureEnergy<double, Space> energy;
  const Tensor<double> x({1, 4, 1, 2}, {3, 0, 4, -2, 5, 0, -12, 0});
  const Tensor<double> y = test::run(energy, x.to<Space>()).template to<Cpu>();
  CHECK(y.shape() == Shape{1, 2, 1, 2});
  CHECK(y[0] == doctest::Approx(5));
  CHECK(y[1] == doctest::Approx(2));
  CHECK(y[2] == doctest::Approx(13));
  CHECK(y[3] == 0);
  test::check_gradient(energy, test::random_tensor<double, Space>({2, 6, 3, 4}));
  CHECK(test::run(energy, Tensor<double, Space>({0, 6, 3, 4})).shape() == Shape{0, 3, 3, 4});
  CHECK(test::message_of<ShapeError>([&] {
          static_cast<void>(energy.output_shape({1, 3, 2, 2}));
        }) == "QuadratureEnergy: input [1,3,2,2]; [N,2K,...], pairs of channels, is needed");
}

TEST_CASE("Gabor energy does not depend on the phase of a grating; the even filter alone does") {
  auto scale = gabor_scale<double>(8, {.orientations = 4});
  double least = 1e9, most = 0, least_even = 1e9, most_even = 0;
  for (int step = 0; step < 16; ++step) {
    const Tensor<double> x = grating<double>(64, 8, 0, pi * step / 8);
    scale.forward(x, Keep::activations);
    const In<double> energy = scale.activation("energy"), filters = scale.activation("filters");
    const Index middle = 3 * energy.shape[3] + 3;  // orientation 0, a unit whose field lies inside
    least = std::min(least, energy.data[middle]), most = std::max(most, energy.data[middle]);
    least_even = std::min(least_even, std::abs(filters.data[middle])), most_even = std::max(most_even, std::abs(filters.data[middle]));
  }
  CHECK(most / least < 1.01);
  CHECK(most == doctest::Approx(1).epsilon(0.01));  // in units of contrast
  CHECK(least_even < 0.25 * most_even);
}

TEST_CASE("Gabor energy is tuned to orientation and spatial frequency") {
  auto scale = gabor_scale<float>(8, {.orientations = 8});
  const auto response = [&](double wavelength, double orientation, Index unit) {
    const In<float> y = scale.forward(grating<float>(64, wavelength, orientation, 0.3));
    return static_cast<double>(y.data[unit * y.shape[2] * y.shape[3] + 4 * y.shape[3] + 4]);
  };
  for (Index best = 0; best < 8; ++best)
    for (Index unit = 0; unit < 8; ++unit) {
      const double r = response(8, pi * static_cast<double>(best) / 8, unit),
                   away = static_cast<double>(std::min((unit - best + 8) % 8, (best - unit + 8) % 8));
      if (away == 0) CHECK(r == doctest::Approx(1).epsilon(0.02));
      if (away >= 2) CHECK(r < 0.5);
      if (away == 4) CHECK(r < 0.02);
    }
  // One octave at half height: from 2/3 to 4/3 of the best frequency. Beyond, the Gaussian of the envelope.
  CHECK(response(12, 0, 0) == doctest::Approx(0.5).epsilon(0.05));
  CHECK(response(6, 0, 0) == doctest::Approx(0.5).epsilon(0.05));
  CHECK(response(16, 0, 0) == doctest::Approx(std::exp(-2 * std::pow(pi * gabor_sigma(8, 1) / 16, 2))).epsilon(0.05));
  CHECK(response(4, 0, 0) < 0.01);
}

TEST_CASE_TEMPLATE("Gabor energy: shapes, units in the middle of their cells, fixed weights, spaces agree", Space, VENTRAL_TEST_SPACES) {
  const GaborEnergyOptions o{.orientations = 3, .wavelengths = {4, 7}, .bandwidth = 1.4, .aspect = 0.7};
  auto net = gabor_energy<float, Space>(o);
  CHECK(net.output_shape({2, 1, 24, 30}) == Shape{2, 3 * 6 * 7 + 3 * 3 * 4});
  CHECK(!net.trains());
  const Tensor<float> x = test::random_tensor<float>({2, 1, 24, 30});
  const Tensor<float, Space> there = x.to<Space>();
  Tensor<float, Space> y(net.output_shape(x.shape()));
  y.copy_from(net.forward(there));
  auto reference = gabor_energy<double>(o);
  const Tensor<double> wide = x.cast<double>();
  Tensor<double> expected(y.shape());
  expected.copy_from(reference.forward(wide));
  CHECK(test::relative_error(y.template to<Cpu>(), expected) < 1e-5);
  CHECK(net.forward(Tensor<float, Space>({0, 1, 24, 30})).shape == Shape{0, net.output_shape(x.shape())[1]});

  // A dot in the middle of a cell is seen best by the unit of that cell.
  auto scale = gabor_scale<double>(5, {.orientations = 1});
  Tensor<double> dot({1, 1, 20, 20});
  dot.at(0, 0, 7, 12) = 1;
  const In<double> maps = scale.forward(dot);
  CHECK(std::max_element(maps.data, maps.data + maps.size()) - maps.data == 1 * 4 + 2);
}

TEST_CASE("Gabor energy: unit norm, normalization, errors") {
  const Tensor<double> filter = gabor_filter({.wavelength = 8, .sigma = gabor_sigma(8, 1)}, 29);
  auto unit = gabor_scale<double>(8, {.orientations = 1, .gain = GaborGain::unit_norm});
  const Tensor<double>& weight = unit.layer<Conv2d<double>>("filters").weight.value;
  REQUIRE(weight.shape() == Shape{2, 1, 29, 29});
  for (Index i = 0; i < filter.size(); ++i) CHECK(weight[i] == doctest::Approx(filter[i]));

  // Across orientations: energies e become e / sqrt(k + mean e^2), which saturates with contrast.
  auto norm = gabor_scale<double>(8, {.orientations = 4, .normalization = DivisiveNormOptions{.channels = 7, .k = 0.01, .alpha = 7.0 / 4}});
  CHECK(norm.names() == std::vector<std::string>{"filters", "energy", "norm"});
  Tensor<double> x = grating<double>(64, 8, 0, 0);
  const auto peak = [&] {
    norm.forward(x, Keep::activations);
    const In<double> e = norm.activation("energy"), y = norm.activation("norm");
    double pool = 0;
    for (Index k = 0; k < 4; ++k) pool += e.data[k * 64 + 27] * e.data[k * 64 + 27];
    CHECK(y.data[27] == doctest::Approx(e.data[27] / std::sqrt(0.01 + pool / 4)));
    return y.data[27];
  };
  const double high = peak();
  for (double& v : x) v *= 0.5;
  CHECK(peak() > 0.8 * high);

  CHECK(test::message_of<ShapeError>([] {
          static_cast<void>(gabor_energy<float>({.wavelengths = {4}}).output_shape({1, 3, 16, 16}));
        }).find("has 3 channels; weight [16,1,15,15] expects 1") != std::string::npos);
  CHECK(test::message_of<Error>([] { static_cast<void>(gabor_energy<float>({.wavelengths = {}})); }) == "gabor_energy: no wavelengths");
  CHECK(test::message_of<Error>([] { static_cast<void>(gabor_energy<float>({.orientations = 0})); }) ==
        "gabor_scale: 0 orientations and stride 1 must be positive");
  CHECK(test::message_of<Error>([] { static_cast<void>(gabor_energy<float>({.aspect = -1})); }) == "gabor_scale: aspect -1 must be positive");
}
