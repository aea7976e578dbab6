// Pooling: memory-bound. Traffic of max pooling counts the winner, 4 bytes an output, as the layer keeps it.
#include "ventral/layers/pool2d.hpp"

#include <algorithm>
#include <limits>

#include "support/layer_contender.hpp"
#include "support/libtorch.hpp"

namespace {

using namespace bench;
using libtorch::Pool;

struct Place {
  const char* name;
  Shape shape;
};
const Place places[] = {{"lenet-64x6x28", {64, 6, 28, 28}}, {"mnist-64x32x28", {64, 32, 28, 28}}, {"alex-64x96x55", {64, 96, 55, 55}}};

/// Input, output gradient and the windows on one image, without padding.
struct Data {
  Tensor<float> x, dy;
  Index kernel, stride;

  Index cell(Index plane, Index row, Index column) const { return (plane * x.dim(2) + row) * x.dim(3) + column; }
  /// Flat position of the winner under the window of output `o`.
  Index winner(Index o) const {
    Index best = first(o);
    each(o, [&](Index i) { best = x[i] > x[best] ? i : best; });
    return best;
  }
  double mean(Index o) const {
    double sum = 0;
    each(o, [&](Index i) { sum += static_cast<double>(x[i]); });
    return sum / static_cast<double>(kernel * kernel);
  }
  /// Gradient at input i: a share of each window over it, all or nothing for the maximum.
  double gradient(Pool kind, Index i) const {
    const Index width = x.dim(3), height = x.dim(2), column = i % width, row = i / width % height, plane = i / (width * height);
    double sum = 0;
    for (Index oh = std::max(Index{0}, (row - kernel + stride) / stride); oh <= std::min(row / stride, dy.dim(2) - 1); ++oh)
      for (Index ow = std::max(Index{0}, (column - kernel + stride) / stride); ow <= std::min(column / stride, dy.dim(3) - 1); ++ow) {
        const Index o = (plane * dy.dim(2) + oh) * dy.dim(3) + ow;
        const double share = kind == Pool::mean ? 1 / static_cast<double>(kernel * kernel) : winner(o) == i ? 1 : 0;
        sum += share * static_cast<double>(dy[o]);
      }
    return sum;
  }

 private:
  Index first(Index o) const {
    const Index width = dy.dim(3), height = dy.dim(2);
    return cell(o / (width * height), o / width % height * stride, o % width * stride);
  }
  template <class Body>
  void each(Index o, Body body) const {
    for (Index r = 0; r < kernel; ++r)
      for (Index c = 0; c < kernel; ++c) body(first(o) + r * x.dim(3) + c);
  }
};

template <class L>
void add(Program& program, const std::string& name, Pool kind, Index kernel, Index stride) {
  const ventral::Window window{kernel, stride, 0, 1, ventral::Rounding::floor};
  const L layer({.kernel = kernel, .stride = stride});
  for (const Place& place : places) {
    const Shape shape = place.shape, pooled = layer.output_shape(shape);
    const double in = static_cast<double>(shape.size()), out = static_cast<double>(pooled.size()), position = kind == Pool::max ? out : 0;
    const auto data = [=] { return std::make_shared<Data>(Data{random_tensor(shape, 1), random_tensor(pooled, 2), kernel, stride}); };
    program.add(name + "/forward/" + place.name, {.bytes = float_bytes(in + out + position)}, [=] {
      const auto d = data();
      Contest c;
      c.data = d;
      c.ours = layer_contender(layer, Part::forward, d->x);
      c.reference = libtorch::pool2d_forward(kind, window, d->x);
      c.expected = {{"y", [=](Index o) { return kind == Pool::mean ? d->mean(o) : static_cast<double>(d->x[d->winner(o)]); }, 1e-5}};
      return c;
    });
    program.add(name + "/backward/" + place.name, {.bytes = float_bytes(in + out + position)}, [=] {
      const auto d = data();
      Contest c;
      c.data = d;
      c.ours = layer_contender(layer, Part::data, d->x, d->dy);
      c.reference = libtorch::pool2d_backward(kind, window, d->x, d->dy);
      c.expected = {{"dx", [=](Index i) { return d->gradient(kind, i); }, 1e-5}};
      return c;
    });
  }
}

}  // namespace

int main(int argc, char** argv) {
  Program program(argc, argv, "pool2d");
  add<ventral::MaxPool2d<float>>(program, "max2x2", Pool::max, 2, 2);
  add<ventral::MaxPool2d<float>>(program, "max3x3s2", Pool::max, 3, 2);
  add<ventral::MeanPool2d<float>>(program, "mean2x2", Pool::mean, 2, 2);
  add<ventral::MeanPool2d<float>>(program, "mean3x3s2", Pool::mean, 3, 2);
  return program.run();
}
