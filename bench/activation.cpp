// Activations: memory-bound where the formula is cheap (ReLU), arithmetic-bound where it is not (tanh).
#include "ventral/layers/activation.hpp"

#include <cmath>

#include "support/layer_contender.hpp"
#include "support/libtorch.hpp"

namespace {

using namespace bench;
using Kind = libtorch::Activation;

struct Place {
  const char* name;
  Shape shape;
};
const Place places[] = {{"lenet-64x6x28", {64, 6, 28, 28}}, {"mnist-64x32x28", {64, 32, 28, 28}}, {"alex-64x96x55", {64, 96, 55, 55}}};

double value(Kind kind, double x) {
  switch (kind) {
    case Kind::relu:
      return x > 0 ? x : 0;
    case Kind::leaky_relu:
      return x > 0 ? x : 0.01 * x;
    case Kind::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Kind::tanh:
      return std::tanh(x);
    case Kind::elu:
      return x > 0 ? x : std::expm1(x);
    case Kind::softplus:
      return std::log1p(std::exp(x));
  }
  return 0;
}

double slope(Kind kind, double x) {
  const double s = 1 / (1 + std::exp(-x)), t = std::tanh(x);
  switch (kind) {
    case Kind::relu:
      return x > 0 ? 1 : 0;
    case Kind::leaky_relu:
      return x > 0 ? 1 : 0.01;
    case Kind::sigmoid:
      return s * (1 - s);
    case Kind::tanh:
      return 1 - t * t;
    case Kind::elu:
      return x > 0 ? 1 : std::exp(x);
    case Kind::softplus:
      return s;
  }
  return 0;
}

struct Data {
  Tensor<float> x, dy;
};

template <class L>
void add(Program& program, const char* name, Kind kind) {
  for (const Place& place : places) {
    const double count = static_cast<double>(place.shape.size());
    const auto data = [shape = place.shape] { return std::make_shared<Data>(Data{random_tensor(shape, 1, -3, 3), random_tensor(shape, 2)}); };
    program.add(std::string(name) + "/forward/" + place.name, {.bytes = float_bytes(2 * count)}, [=] {
      const auto d = data();
      Contest c;
      c.data = d;
      c.ours = layer_contender(L(), Part::forward, d->x);
      c.reference = libtorch::activation_forward(kind, d->x.ref());
      c.expected = {{"y", [=](Index i) { return value(kind, static_cast<double>(d->x[i])); }, 1e-5}};
      return c;
    });
    program.add(std::string(name) + "/backward/" + place.name, {.bytes = float_bytes(3 * count)}, [=] {
      const auto d = data();
      Contest c;
      c.data = d;
      c.ours = layer_contender(L(), Part::data, d->x, d->dy);
      c.reference = libtorch::activation_backward(kind, d->x, d->dy);
      c.expected = {{"dx", [=](Index i) { return static_cast<double>(d->dy[i]) * slope(kind, static_cast<double>(d->x[i])); }, 1e-5}};
      return c;
    });
  }
}

}  // namespace

int main(int argc, char** argv) {
  Program program(argc, argv, "activation");
  add<ventral::ReLU<float>>(program, "relu", Kind::relu);
  add<ventral::LeakyReLU<float>>(program, "leaky_relu", Kind::leaky_relu);
  add<ventral::Sigmoid<float>>(program, "sigmoid", Kind::sigmoid);
  add<ventral::Tanh<float>>(program, "tanh", Kind::tanh);
  add<ventral::ELU<float>>(program, "elu", Kind::elu);
  add<ventral::Softplus<float>>(program, "softplus", Kind::softplus);
  return program.run();
}
