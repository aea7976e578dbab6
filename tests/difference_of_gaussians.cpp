#include "ventral/models/difference_of_gaussians.hpp"

#include "support.hpp"

using namespace ventral;

TEST_CASE("difference of Gaussians: the filter is what the formula says") {
  const Tensor<double> g = gaussian_filter(1.5, 9);
  double sum = 0;
  for (const double v : g) sum += v;
  CHECK(sum == doctest::Approx(1));
  CHECK(g.at(4, 6) / g.at(4, 4) == doctest::Approx(std::exp(-4 / (2 * 1.5 * 1.5))));
  CHECK(g.at(2, 4) == doctest::Approx(g.at(4, 2)));

  auto net = difference_of_gaussians<double>({.sigmas = {1}, .ratio = 2, .surround = 0.5});
  const Tensor<double>& w = net.layer<Conv2d<double>>("dog").weight.value;
  REQUIRE(w.shape() == Shape{2, 1, 13, 13});
  const Tensor<double> centre = gaussian_filter(1, 13), around = gaussian_filter(2, 13);
  for (Index i = 0; i < 169; ++i) {
    CHECK(w[i] == doctest::Approx(centre[i] - 0.5 * around[i]));
    CHECK(w[169 + i] == -w[i]);
  }
}

TEST_CASE_TEMPLATE("difference of Gaussians: on and off channels, no response to uniform light", Space, VENTRAL_TEST_SPACES) {
  auto net = difference_of_gaussians<float, Space>();
  CHECK(!net.trains());
  Tensor<float> x({1, 1, 21, 25});
  x.fill(1);
  Tensor<float> y = net.capture(x.to<Space>(), {"rectify"})[0].template to<Cpu>();
  CHECK(y.shape() == Shape{1, 2, 21, 25});
  CHECK(std::abs(y.at(0, 0, 10, 12)) < 1e-6);
  CHECK(std::abs(y.at(0, 1, 10, 12)) < 1e-6);

  x.at(0, 0, 10, 12) = 2;  // a spot of light: its centre is on, its surround off
  y = net.capture(x.to<Space>(), {"rectify"})[0].template to<Cpu>();
  CHECK(y.at(0, 0, 10, 12) > 0.09);
  CHECK(y.at(0, 1, 10, 12) == 0);
  CHECK(y.at(0, 0, 10, 15) == 0);
  CHECK(y.at(0, 1, 10, 15) > 0.003);
  for (const float v : y) CHECK(v >= 0);
}

TEST_CASE("difference of Gaussians: sigmas as channels, stride, empty batch, errors") {
  auto net = difference_of_gaussians<float>({.sigmas = {0.5, 1, 2}, .ratio = 5, .stride = 3});
  CHECK(net.output_shape({2, 1, 20, 31}) == Shape{2, 6, 7, 11});
  CHECK(net.forward(Tensor<float>({0, 1, 20, 31})).shape == Shape{0, 6, 7, 11});
  const auto message = [](DifferenceOfGaussiansOptions o) {
    return test::message_of<Error>([&] { static_cast<void>(difference_of_gaussians<float>(o)); });
  };
  CHECK(message({.sigmas = {}}) == "difference_of_gaussians: 0 sigmas, ratio 1.6, surround 1; at least one, above 1 and not negative are needed");
  CHECK(message({.ratio = 1}) == "difference_of_gaussians: 1 sigmas, ratio 1, surround 1; at least one, above 1 and not negative are needed");
  CHECK(message({.sigmas = {1, 0}}) == "gaussian_filter: sigma 0 must be positive");
  CHECK(message({.sigmas = {-1}}) == "difference_of_gaussians: sigma -1 must be positive");
}
