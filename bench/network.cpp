// Whole networks: training steps (forward, loss, backward, SGD with momentum) and inference, at several batch sizes. Both sides start from the same weights,
// and their first losses must agree before anything is timed.
#include <algorithm>
#include <cmath>

#include "support/layer_contender.hpp"
#include "support/libtorch.hpp"
#include "ventral/layers/activation.hpp"
#include "ventral/layers/conv2d.hpp"
#include "ventral/layers/flatten.hpp"
#include "ventral/layers/linear.hpp"
#include "ventral/layers/local_response_norm.hpp"
#include "ventral/layers/pool2d.hpp"
#include "ventral/loss.hpp"
#include "ventral/optimizer.hpp"
#include "ventral/sequential.hpp"

namespace {

using namespace bench;
using namespace ventral;
using Kind = LayerPlan::Kind;

struct Architecture {
  const char* name;
  Shape image;
  Init init;
  double rate;       ///< of the steps whose losses are compared
  double tolerance;  ///< of these losses after the first step
  std::vector<LayerPlan> layers;

  Index classes() const { return layers.back().out; }
};

constexpr double rate_of_timing = 1e-6;  // leaves the weights, and so the work, as they are

LayerPlan conv(Index out, Index kernel, Index padding = 0, Index stride = 1) { return {Kind::conv, out, kernel, stride, padding}; }
LayerPlan linear(Index out) { return {.kind = Kind::linear, .out = out}; }
LayerPlan max_pool(Index kernel, Index stride) { return {.kind = Kind::max_pool, .kernel = kernel, .stride = stride}; }
constexpr LayerPlan relu{.kind = Kind::relu}, scaled_tanh{.kind = Kind::scaled_tanh}, norm{.kind = Kind::response_norm}, flatten{.kind = Kind::flatten};
constexpr LayerPlan mean_pool{.kind = Kind::mean_pool, .kernel = 2, .stride = 2};

const Architecture architectures[] = {
    {"lenet",
     {1, 28, 28},
     Init::he_uniform,
     0.05,
     1e-4,
     {conv(6, 5, 2), relu, max_pool(2, 2), conv(16, 5), relu, max_pool(2, 2), flatten, linear(120), relu, linear(84), relu, linear(10)}},
    {"lecun",  // as in 1998: 1.7159 tanh(2x/3) and mean pooling
     {1, 28, 28},
     Init::lecun_uniform,
     0.05,
     1e-4,
     {conv(6, 5, 2), scaled_tanh, mean_pool, conv(16, 5), scaled_tanh, mean_pool, flatten, linear(120), scaled_tanh, linear(84), scaled_tanh, linear(10)}},
    {"wide",
     {1, 28, 28},
     Init::he_uniform,
     0.01,
     1e-4,
     {conv(32, 3, 1), relu, conv(32, 3, 1), relu, max_pool(2, 2), conv(64, 3, 1), relu, conv(64, 3, 1), relu, max_pool(2, 2), flatten, linear(128), relu, linear(10)}},
    {"alex",  // AlexNet's layers and widths before the dense ones on 127x127 pixels, without groups and dropout; 100 classes
     {3, 127, 127},
     Init::he_uniform,
     0.005,
     1e-3,  // a unit whose input is within rounding of 0 may fall on either side of ReLU: gradients below it then differ by 0.5 %
     {conv(96, 11, 0, 4), relu, norm, max_pool(3, 2), conv(256, 5, 2), relu, norm, max_pool(3, 2), conv(384, 3, 1), relu, conv(384, 3, 1), relu, conv(256, 3, 1), relu,
      max_pool(3, 2), flatten, linear(1024), relu, linear(1024), relu, linear(100)}}};

Shape batch_shape(const Architecture& a, Index batch) { return {batch, a.image[0], a.image[1], a.image[2]}; }

/// The network, and the FLOP of a forward pass of its convolutions and dense layers, for one image; `first`: of the first one.
template <class T>
struct Model {
  Sequential<T> net;
  double flop = 0, first = 0;

  explicit Model(const Architecture& a) {
    Shape s = batch_shape(a, 1);
    for (const LayerPlan& p : a.layers) s = add(concat("layer", net.size() + 1), p, a.init, s);
    net.initialize(7);
  }

 private:
  Shape add(const std::string& name, const LayerPlan& p, Init init, const Shape& x) {
    switch (p.kind) {
      case Kind::conv: return add(name, Conv2d<T>({.in = x[1], .out = p.out, .kernel = p.kernel, .stride = p.stride, .padding = p.padding, .init = init}), x);
      case Kind::linear: return add(name, Linear<T>({.in = x[1], .out = p.out, .init = init}), x);
      case Kind::relu: return add(name, ReLU<T>(), x);
      case Kind::scaled_tanh: return add(name, Tanh<T>({.amplitude = tanh_amplitude, .gain = tanh_gain}), x);
      case Kind::max_pool: return add(name, MaxPool2d<T>({.kernel = p.kernel, .stride = p.stride}), x);
      case Kind::mean_pool: return add(name, MeanPool2d<T>({.kernel = p.kernel, .stride = p.stride}), x);
      case Kind::response_norm: return add(name, LocalResponseNorm<T>({.size = norm_size, .alpha = norm_alpha, .beta = norm_beta, .k = norm_k}), x);
      case Kind::flatten: break;
    }
    return add(name, Flatten<T>(), x);
  }
  template <class L>
  Shape add(const std::string& name, const L& layer, const Shape& x) {
    if constexpr (requires { layer.weight; }) {
      const double here = static_cast<double>(layer.flops(x));
      flop += here;
      if (first == 0) first = here;
    }
    net.add(name, layer);
    return layer.output_shape(x);
  }
};

struct Data {
  Tensor<float> x;
  Tensor<std::int32_t> labels;

  Data(const Architecture& a, Index batch) : x(random_tensor(batch_shape(a, batch), 1, 0, 1)), labels({batch}) {
    Random random(2);
    for (std::int32_t& label : labels) label = static_cast<std::int32_t>(random.below(a.classes()));
  }
};

/// What inference must give, in double.
Tensor<double> scores(const Architecture& a, const Data& data) {
  Model<float> single(a);
  Model<double> model(a);
  const auto from = single.net.parameters();
  const auto to = model.net.parameters();
  for (std::size_t i = 0; i < from.size(); ++i) to[i].parameter->value = from[i].parameter->value.template cast<double>();
  const Tensor<double> x = data.x.cast<double>();
  const In<double> y = model.net.forward(x);
  Tensor<double> copy(y.shape);
  copy.copy_from(y);
  return copy;
}

class Training final : public Contender {
 public:
  Training(const Data& data, const Architecture& a)
      : data_(data), model_(a), optimizer_(model_.net.parameters(), {.rate = a.rate, .momentum = 0.9}), dy_({data.x.dim(0), a.classes()}) {}
  void run() override {
    optimizer_.zero_gradients();
    const In<float> y = model_.net.forward(data_.x, Mode::training);
    loss_value_ = loss_(y, data_.labels, dy_);
    model_.net.backward(dy_);
    optimizer_.step();
  }
  double loss() const { return loss_value_; }
  void set_rate(double rate) { optimizer_.set_rate(rate); }

 private:
  const Data& data_;
  Model<float> model_;
  SGD<float> optimizer_;
  SoftmaxCrossEntropy<float> loss_;
  Tensor<float> dy_;
  double loss_value_ = 0;
};

class Inference final : public Contender {
 public:
  Inference(const Data& data, const Architecture& a) : data_(data), model_(a) {}
  void run() override { y_ = model_.net.forward(data_.x); }
  /// The network's own memory, which its next forward pass overwrites.
  std::vector<Output> outputs() override { return {TensorRef<float>(const_cast<float*>(y_.data), y_.shape)}; }

 private:
  const Data& data_;
  Model<float> model_;
  In<float> y_;
};

std::unique_ptr<libtorch::Network> reference(const Data& data, const Architecture& a, bool training) {
  Model<float> model(a);
  std::vector<In<float>> weights;
  for (auto& p : model.net.parameters()) weights.push_back(p.parameter->value);
  return libtorch::network(a.layers, training, a.rate, weights, data.x, data.labels);
}

/// Takes five steps on both sides. Throws Error when the losses differ, relative to the loss or the tenth of the first, or do not fall.
void compare_losses(Training& ours, libtorch::Network& theirs, double tolerance) {
  double first = 0;
  for (int step = 0; step < 5; ++step) {
    ours.run(), theirs.run();
    if (step == 0) first = ours.loss();
    const double allowed = (step == 0 ? 1e-5 : tolerance) * std::max(theirs.loss(), 0.1 * first);
    require(std::abs(ours.loss() - theirs.loss()) <= allowed, "loss of step ", step, ": ventral ", ours.loss(), ", ", theirs.name(), " ", theirs.loss());
  }
  require(ours.loss() < first, "the loss did not fall in five steps: ", first, " to ", ours.loss());
}

void add_network(Program& program, const Architecture& a, Index batch, double flop, double first_flop) {
  const double images = static_cast<double>(batch);
  program.add(concat("train/", a.name, "/b", batch), {.flop = images * (3 * flop - first_flop), .items = images}, [=, &a] {
    const auto d = std::make_shared<const Data>(a, batch);
    auto ours = std::make_unique<Training>(*d, a);
    auto theirs = reference(*d, a, true);
    if (theirs) {
      compare_losses(*ours, *theirs, a.tolerance);
      theirs->set_rate(rate_of_timing);
    }
    ours->set_rate(rate_of_timing);
    Contest c;
    c.data = d;
    c.ours = std::move(ours);
    c.reference = std::move(theirs);
    return c;
  });
  program.add(concat("infer/", a.name, "/b", batch), {.flop = images * flop, .items = images}, [=, &a] {
    const auto d = std::make_shared<const Data>(a, batch);
    Contest c;
    c.data = d;
    c.ours = std::make_unique<Inference>(*d, a);
    c.reference = reference(*d, a, false);
    c.expected = {{"scores", [y = std::make_shared<Tensor<double>>(scores(a, *d))](Index i) { return (*y)[i]; }, 1e-4}};
    return c;
  });
}

}  // namespace

int main(int argc, char** argv) {
  Program program(argc, argv, "network");
  for (const Architecture& a : architectures) {
    const Model<float> model(a);
    for (const Index batch : {1, 16, 64, 256}) add_network(program, a, batch, model.flop, model.first);
  }
  return program.run();
}
