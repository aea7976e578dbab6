// Batch normalization in training. Traffic counts x twice (once for the statistics) forward, x and dy twice backward.
#include "ventral/layers/batch_norm2d.hpp"

#include <cmath>

#include "support/layer_contender.hpp"
#include "support/libtorch.hpp"

namespace {

using namespace bench;

struct Place {
  const char* name;
  Shape shape;
};
const Place places[] = {{"lenet-64x6x28", {64, 6, 28, 28}}, {"mnist-64x32x28", {64, 32, 28, 28}}, {"alex-64x96x55", {64, 96, 55, 55}}};

/// Sums over one channel, in double.
struct Channel {
  double mean = 0, scale = 0;          // scale = 1 / sqrt(variance + eps)
  double gradient = 0, projected = 0;  // sum dy, sum dy normalized(x)
};

struct Data {
  Tensor<float> x, dy, gamma, beta;
  std::vector<Channel> channels;

  Data(Shape shape)
      : x(random_tensor(shape, 1, -1, 3)),
        dy(random_tensor(shape, 2)),
        gamma(random_tensor({shape[1]}, 3, 0.5, 1.5)),
        beta(random_tensor({shape[1]}, 4)),
        channels(static_cast<std::size_t>(shape[1])) {
    const double count = static_cast<double>(x.size() / x.dim(1));
    for (Index i = 0; i < x.size(); ++i) of(i).mean += static_cast<double>(x[i]) / count;
    for (Index i = 0; i < x.size(); ++i) of(i).scale += (static_cast<double>(x[i]) - of(i).mean) * (static_cast<double>(x[i]) - of(i).mean) / count;
    for (Channel& c : channels) c.scale = 1 / std::sqrt(c.scale + 1e-5);
    for (Index i = 0; i < x.size(); ++i) of(i).gradient += static_cast<double>(dy[i]), of(i).projected += static_cast<double>(dy[i]) * normalized(i);
  }

  double y(Index i) const { return static_cast<double>(gamma[place(i)]) * normalized(i) + static_cast<double>(beta[place(i)]); }
  double dx(Index i) const {
    const Channel& c = channels[static_cast<std::size_t>(place(i))];
    const double count = static_cast<double>(x.size() / x.dim(1));
    return static_cast<double>(gamma[place(i)]) * c.scale * (static_cast<double>(dy[i]) - c.gradient / count - normalized(i) * c.projected / count);
  }

 private:
  Index place(Index i) const { return i / (x.dim(2) * x.dim(3)) % x.dim(1); }
  Channel& of(Index i) { return channels[static_cast<std::size_t>(place(i))]; }
  double normalized(Index i) const {
    const Channel& c = channels[static_cast<std::size_t>(place(i))];
    return (static_cast<double>(x[i]) - c.mean) * c.scale;
  }
};

std::unique_ptr<Contender> ours(const Data& d, Part part) {
  ventral::BatchNorm2d<float> layer({.channels = d.x.dim(1)});
  layer.weight.value.copy_from(d.gamma);
  layer.bias.value.copy_from(d.beta);
  return layer_contender(std::move(layer), part, d.x, d.dy);
}

}  // namespace

int main(int argc, char** argv) {
  Program program(argc, argv, "batch_norm2d");
  for (const Place& place : places) {
    const Shape shape = place.shape;
    const double count = static_cast<double>(shape.size());
    program.add(std::string("forward/") + place.name, {.bytes = float_bytes(3 * count)}, [=] {
      const auto d = std::make_shared<const Data>(shape);
      Contest c;
      c.data = d;
      c.ours = ours(*d, Part::forward);
      c.reference = libtorch::batch_norm2d_forward(d->x, d->gamma, d->beta);
      c.expected = {{"y", [=](Index i) { return d->y(i); }, 1e-4}};
      return c;
    });
    program.add(std::string("backward/") + place.name, {.bytes = float_bytes(5 * count)}, [=] {
      const auto d = std::make_shared<const Data>(shape);
      Contest c;
      c.data = d;
      c.ours = ours(*d, Part::backward);
      c.reference = libtorch::batch_norm2d_backward(d->x, d->gamma, d->beta, d->dy);
      c.expected = {{"dx", [=](Index i) { return d->dx(i); }, 1e-4},
                    {"dgamma", [=](Index k) { return d->channels[static_cast<std::size_t>(k)].projected; }, 1e-3},
                    {"dbeta", [=](Index k) { return d->channels[static_cast<std::size_t>(k)].gradient; }, 1e-3}};
      return c;
    });
  }
  return program.run();
}
