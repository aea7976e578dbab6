// Convolutions of LeNet-5, a small MNIST network, AlexNet, VGG and ResNet: forward, gradient by the input, gradient by the weights. FLOP are those of the
// direct sum.
#include "ventral/layers/conv2d.hpp"

#include "support/layer_contender.hpp"
#include "support/libtorch.hpp"

namespace {

using namespace bench;

struct Place {
  const char* name;
  Index batch, in, size, out, kernel, stride, padding, groups;
};
const Place places[] = {{"lenetC1", 64, 1, 32, 6, 5, 1, 0, 1},      {"lenetC3", 64, 6, 14, 16, 5, 1, 0, 1},     {"mnist32", 64, 32, 28, 32, 3, 1, 1, 1},
                        {"c64-14", 64, 64, 14, 64, 3, 1, 1, 1},     {"mnist-first", 64, 1, 28, 32, 3, 1, 1, 1}, {"alexconv1", 16, 3, 227, 96, 11, 4, 0, 1},
                        {"alexconv2", 16, 64, 27, 192, 5, 1, 2, 1}, {"vgg3", 8, 128, 56, 256, 3, 1, 1, 1},      {"res1x1", 16, 256, 56, 64, 1, 1, 0, 1},
                        {"stem7x7", 16, 3, 224, 64, 7, 2, 3, 1},    {"dw3x3", 16, 128, 56, 128, 3, 1, 1, 128}};

struct Data {
  Place p;
  Tensor<float> x, w, b, dy;

  Index across() const { return dy.dim(3); }

  double y(Index i) const {
    const Index ow = i % across(), oh = i / across() % across(), k = i / (across() * across()) % p.out, n = i / (across() * across() * p.out);
    double sum = static_cast<double>(b[k]);
    for (Index c = 0; c < p.in / p.groups; ++c)
      for (Index r = 0; r < p.kernel; ++r)
        for (Index s = 0; s < p.kernel; ++s) sum += weight(k, c, r, s) * input(n, channel(k, c), oh * p.stride - p.padding + r, ow * p.stride - p.padding + s);
    return sum;
  }
  double dx(Index i) const {
    const Index column = i % p.size, row = i / p.size % p.size, c = i / (p.size * p.size) % p.in, n = i / (p.size * p.size * p.in);
    const Index outs = p.out / p.groups, ins = p.in / p.groups, group = c / ins;
    double sum = 0;
    for (Index k = group * outs; k < (group + 1) * outs; ++k)
      for (Index r = 0; r < p.kernel; ++r)
        for (Index s = 0; s < p.kernel; ++s) sum += weight(k, c % ins, r, s) * output_gradient(n, k, row + p.padding - r, column + p.padding - s);
    return sum;
  }
  double dw(Index i) const {
    const Index s = i % p.kernel, r = i / p.kernel % p.kernel, ins = p.in / p.groups, c = i / (p.kernel * p.kernel) % ins, k = i / (p.kernel * p.kernel * ins);
    double sum = 0;
    for (Index n = 0; n < p.batch; ++n)
      for (Index oh = 0; oh < across(); ++oh)
        for (Index ow = 0; ow < across(); ++ow)
          sum += static_cast<double>(dy[((n * p.out + k) * across() + oh) * across() + ow]) *
                 input(n, channel(k, c), oh * p.stride - p.padding + r, ow * p.stride - p.padding + s);
    return sum;
  }
  double db(Index k) const {
    double sum = 0;
    for (Index n = 0; n < p.batch; ++n)
      for (Index i = 0; i < across() * across(); ++i) sum += static_cast<double>(dy[(n * p.out + k) * across() * across() + i]);
    return sum;
  }

 private:
  Index channel(Index k, Index c) const { return k / (p.out / p.groups) * (p.in / p.groups) + c; }
  double weight(Index k, Index c, Index r, Index s) const { return static_cast<double>(w[((k * (p.in / p.groups) + c) * p.kernel + r) * p.kernel + s]); }
  double input(Index n, Index c, Index row, Index column) const {
    if (row < 0 || row >= p.size || column < 0 || column >= p.size) return 0;
    return static_cast<double>(x[((n * p.in + c) * p.size + row) * p.size + column]);
  }
  /// Gradient of the output whose window begins at (row, column), times stride; 0 between outputs and outside.
  double output_gradient(Index n, Index k, Index row, Index column) const {
    if (row < 0 || column < 0 || row % p.stride || column % p.stride || row / p.stride >= across() || column / p.stride >= across()) return 0;
    return static_cast<double>(dy[((n * p.out + k) * across() + row / p.stride) * across() + column / p.stride]);
  }
};

using Layer = ventral::Conv2d<float>;

Layer make_layer(const Place& p) { return Layer({.in = p.in, .out = p.out, .kernel = p.kernel, .stride = p.stride, .padding = p.padding, .groups = p.groups}); }

std::shared_ptr<const Data> make_data(const Place& p) {
  const Shape x{p.batch, p.in, p.size, p.size};
  return std::make_shared<const Data>(Data{p, random_tensor(x, 1), random_tensor({p.out, p.in / p.groups, p.kernel, p.kernel}, 2), random_tensor({p.out}, 3),
                                           random_tensor(make_layer(p).output_shape(x), 4)});
}

std::unique_ptr<Contender> ours(const Data& d, Part part) {
  Layer layer = make_layer(d.p);
  layer.weight.value.copy_from(d.w);
  layer.bias.value.copy_from(d.b);
  return layer_contender(std::move(layer), part, d.x, d.dy);
}

}  // namespace

int main(int argc, char** argv) {
  Program program(argc, argv, "conv2d");
  for (const Place& p : places) {
    const ventral::Window window{p.kernel, p.stride, p.padding, 1, ventral::Rounding::floor};
    const Shape y = make_layer(p).output_shape({p.batch, p.in, p.size, p.size});
    const Work work{.flop = 2 * static_cast<double>(y.size() * (p.in / p.groups) * p.kernel * p.kernel)};
    const std::string name = p.name;
    program.add(name + "/forward", work, [=] {
      const auto d = make_data(p);
      Contest c;
      c.data = d;
      c.ours = ours(*d, Part::forward);
      c.reference = libtorch::conv2d_forward(window, p.groups, d->x, d->w, d->b);
      c.expected = {{"y", [=](Index i) { return d->y(i); }, 1e-5}};
      return c;
    });
    program.add(name + "/data", work, [=] {
      const auto d = make_data(p);
      Contest c;
      c.data = d;
      c.ours = ours(*d, Part::data);
      c.reference = libtorch::conv2d_backward_data(window, p.groups, d->x, d->w, d->dy);
      c.expected = {{"dx", [=](Index i) { return d->dx(i); }, 1e-5}};
      return c;
    });
    program.add(name + "/weights", work, [=] {
      const auto d = make_data(p);
      Contest c;
      c.data = d;
      c.ours = ours(*d, Part::weights);
      c.reference = libtorch::conv2d_backward_weights(window, p.groups, d->x, d->w, d->dy);
      c.expected = {{"dw", [=](Index i) { return d->dw(i); }, 1e-4}, {"db", [=](Index i) { return d->db(i); }, 1e-4}};
      return c;
    });
  }
  return program.run();
}
