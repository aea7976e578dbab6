// Divisive normalization over channels (AlexNet's), over space (surround suppression) and over both (Pinto's). LibTorch offers the first alone.
#include "ventral/layers/divisive_norm.hpp"

#include <algorithm>
#include <cmath>

#include "support/layer_contender.hpp"
#include "support/libtorch.hpp"

namespace {

using namespace bench;

struct Box {
  const char* name;
  Index channels, height, width;
};
const Box boxes[] = {{"channels5", 5, 1, 1}, {"space5x5", 1, 5, 5}, {"box5x5x5", 5, 5, 5}};

struct Place {
  const char* name;
  Shape shape;
};
const Place places[] = {{"mnist-64x32x28", {64, 32, 28, 28}}, {"alex-64x96x55", {64, 96, 55, 55}}};

constexpr double k = 1, alpha = 0.5, beta = 0.75;

struct Data {
  Tensor<float> x, dy;
  Box box;

  double size() const { return static_cast<double>(box.channels * box.height * box.width); }
  double divisor(Index i) const {
    double sum = 0;
    around(i, [&](Index j) { sum += static_cast<double>(x[j]) * static_cast<double>(x[j]); });
    return k + alpha / size() * sum;
  }
  double y(Index i) const { return static_cast<double>(x[i]) * std::pow(divisor(i), -beta); }
  double dx(Index i) const {
    double sum = 0;
    around(i, [&](Index j) { sum += static_cast<double>(dy[j]) * static_cast<double>(x[j]) * std::pow(divisor(j), -beta - 1); });
    return static_cast<double>(dy[i]) * std::pow(divisor(i), -beta) - 2 * alpha * beta / size() * static_cast<double>(x[i]) * sum;
  }

 private:
  template <class Body>
  void around(Index i, Body body) const {
    const Index channels = x.dim(1), height = x.dim(2), width = x.dim(3);
    const Index w = i % width, h = i / width % height, c = i / (width * height) % channels, n = i / (width * height * channels);
    for (Index cc = std::max(Index{0}, c - box.channels / 2); cc <= std::min(channels - 1, c + box.channels / 2); ++cc)
      for (Index hh = std::max(Index{0}, h - box.height / 2); hh <= std::min(height - 1, h + box.height / 2); ++hh)
        for (Index ww = std::max(Index{0}, w - box.width / 2); ww <= std::min(width - 1, w + box.width / 2); ++ww)
          body(((n * channels + cc) * height + hh) * width + ww);
  }
};

}  // namespace

int main(int argc, char** argv) {
  Program program(argc, argv, "divisive_norm");
  for (const Box& box : boxes)
    for (const Place& place : places) {
      const ventral::DivisiveNorm<float> layer({.channels = box.channels, .height = box.height, .width = box.width, .k = k, .alpha = alpha, .beta = beta});
      const libtorch::ResponseNorm same{box.channels, alpha, beta, k};
      const bool comparable = box.height == 1 && box.width == 1;
      const double count = static_cast<double>(place.shape.size());
      const auto data = [shape = place.shape, box] { return std::make_shared<const Data>(Data{random_tensor(shape, 1), random_tensor(shape, 2), box}); };
      program.add(ventral::concat(box.name, "/forward/", place.name), {.bytes = float_bytes(2 * count)}, [=] {
        const auto d = data();
        Contest c;
        c.data = d;
        c.ours = layer_contender(layer, Part::forward, d->x);
        if (comparable) c.reference = libtorch::local_response_norm_forward(same, d->x);
        c.expected = {{"y", [=](Index i) { return d->y(i); }, 1e-5}};
        return c;
      });
      program.add(ventral::concat(box.name, "/both/", place.name), {.bytes = float_bytes(5 * count)}, [=] {
        const auto d = data();
        Contest c;
        c.data = d;
        c.ours = layer_contender(layer, Part::both, d->x, d->dy);
        if (comparable) c.reference = libtorch::local_response_norm_both(same, d->x, d->dy);
        c.expected = {{"dx", [=](Index i) { return d->dx(i); }, 1e-4}};
        return c;
      });
    }
  return program.run();
}
