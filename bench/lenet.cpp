// LeNet-5 as a whole: training steps (forward, loss, backward, SGD with momentum) and inference, `modern` with ReLU and max pooling, `lecun` with scaled tanh
// and mean pooling; then each layer of the modern one alone. Both sides start from the same weights, and their first losses must agree before anything is
// timed.
#include "ventral/models/lenet.hpp"

#include <algorithm>
#include <cmath>

#include "support/layer_contender.hpp"
#include "support/libtorch.hpp"
#include "ventral/loss.hpp"
#include "ventral/optimizer.hpp"

namespace {

using namespace bench;
using namespace ventral;

constexpr double rate_of_check = 0.05, rate_of_timing = 1e-6;  // the latter leaves the weights, and so the work, as they are
constexpr double conv1_flop = 2.0 * 6 * 784 * 25, forward_flop = conv1_flop + 2.0 * (16 * 100 * 150 + 400 * 120 + 120 * 84 + 84 * 10);

template <class T>
Sequential<T> network(LeNetStyle style) {
  return lenet5<T>({.style = style, .seed = 7});
}

struct Data {
  Tensor<float> x;
  Tensor<std::int32_t> labels;
  Tensor<double> logits;  // what inference must give

  Data(Index batch, LeNetStyle style) : x(random_tensor({batch, 1, 28, 28}, 1, 0, 1)), labels({batch}) {
    Random random(2);
    for (std::int32_t& label : labels) label = static_cast<std::int32_t>(random.below(10));
    Sequential<float> single = network<float>(style);
    Sequential<double> net = network<double>(style);
    auto from = single.parameters();
    auto to = net.parameters();
    for (std::size_t i = 0; i < from.size(); ++i) to[i].parameter->value = from[i].parameter->value.template cast<double>();
    const Tensor<double> input = x.template cast<double>();
    const In<double> y = net.forward(input);
    logits = Tensor<double>(y.shape);
    logits.copy_from(y);
  }
};

class Training final : public Contender {
 public:
  Training(const Data& data, LeNetStyle style, double rate)
      : data_(data), net_(network<float>(style)), optimizer_(net_.parameters(), {.rate = rate, .momentum = 0.9}), dy_({data.x.dim(0), 10}) {}
  void run() override {
    optimizer_.zero_gradients();
    const In<float> y = net_.forward(data_.x, Mode::training);
    loss_value_ = loss_(y, data_.labels, dy_);
    net_.backward(dy_);
    optimizer_.step();
  }
  double loss() const { return loss_value_; }
  void set_rate(double rate) { optimizer_.set_rate(rate); }

 private:
  const Data& data_;
  Sequential<float> net_;
  SGD<float> optimizer_;
  SoftmaxCrossEntropy<float> loss_;
  Tensor<float> dy_;
  double loss_value_ = 0;
};

class Inference final : public Contender {
 public:
  Inference(const Data& data, LeNetStyle style) : data_(data), net_(network<float>(style)) {}
  void run() override { y_ = net_.forward(data_.x); }
  /// The network's own memory, which its next forward pass overwrites.
  std::vector<Output> outputs() override { return {TensorRef<float>(const_cast<float*>(y_.data), y_.shape)}; }

 private:
  const Data& data_;
  Sequential<float> net_;
  In<float> y_;
};

std::unique_ptr<libtorch::LeNet> reference(const Data& data, LeNetStyle style, bool training) {
  Sequential<float> net = network<float>(style);
  std::vector<In<float>> weights;
  for (auto& p : net.parameters()) weights.push_back(p.parameter->value);
  return libtorch::lenet({.lecun = style == LeNetStyle::lecun, .training = training, .padding = 2, .rate = rate_of_check}, weights, data.x, data.labels);
}

/// Takes five steps on both sides. Throws Error when the losses differ by more than 1e-4, relative to the loss or the tenth of the first, or do not fall.
void compare_losses(Training& ours, libtorch::LeNet& theirs) {
  double first = 0;
  for (int step = 0; step < 5; ++step) {
    ours.run(), theirs.run();
    if (step == 0) first = ours.loss();
    require(std::abs(ours.loss() - theirs.loss()) <= 1e-4 * std::max(theirs.loss(), 0.1 * first), "loss of step ", step, ": ventral ", ours.loss(), ", ",
            theirs.name(), " ", theirs.loss());
  }
  require(ours.loss() < first, "the loss did not fall in five steps: ", first, " to ", ours.loss());
}

void add_network(Program& program, const char* name, LeNetStyle style, Index batch) {
  const double images = static_cast<double>(batch);
  program.add(concat("train/", name, "/b", batch), {.flop = images * (3 * forward_flop - conv1_flop), .items = images}, [=] {
    const auto d = std::make_shared<const Data>(batch, style);
    auto ours = std::make_unique<Training>(*d, style, rate_of_check);
    auto theirs = reference(*d, style, true);
    if (theirs) {
      compare_losses(*ours, *theirs);
      theirs->set_rate(rate_of_timing);
    }
    ours->set_rate(rate_of_timing);
    Contest c;
    c.data = d;
    c.ours = std::move(ours);
    c.reference = std::move(theirs);
    return c;
  });
  program.add(concat("infer/", name, "/b", batch), {.flop = images * forward_flop, .items = images}, [=] {
    const auto d = std::make_shared<const Data>(batch, style);
    Contest c;
    c.data = d;
    c.ours = std::make_unique<Inference>(*d, style);
    c.reference = reference(*d, style, false);
    c.expected = {{"logits", [=](Index i) { return d->logits[i]; }, 1e-4}};
    return c;
  });
}

/// One layer at batch 64 by itself: the profile of a training step. No reference and no check: the op programs have those.
template <class L>
void add_layer(Program& program, const std::string& name, const L& layer, Shape x, Part backward) {
  for (const Part part : {Part::forward, backward}) {
    program.add(concat("layer/", name, part == Part::forward ? "/forward" : "/backward"), {.items = 64}, [=] {
      struct Memory {
        Tensor<float> x, dy;
      };
      const auto d = std::make_shared<const Memory>(Memory{random_tensor(x, 1), random_tensor(layer.output_shape(x), 2)});
      Contest c;
      c.data = d;
      c.ours = layer_contender(layer, part, d->x, d->dy);
      return c;
    });
  }
}

void add_layers(Program& program) {
  Sequential<float> net = network<float>(LeNetStyle::modern);
  add_layer(program, "conv1", net.layer<Conv2d<float>>("conv1"), {64, 1, 28, 28}, Part::weights);
  add_layer(program, "relu1", ReLU<float>(), {64, 6, 28, 28}, Part::data);
  add_layer(program, "pool1", MaxPool2d<float>({.kernel = 2}), {64, 6, 28, 28}, Part::data);
  add_layer(program, "conv2", net.layer<Conv2d<float>>("conv2"), {64, 6, 14, 14}, Part::backward);
  add_layer(program, "relu2", ReLU<float>(), {64, 16, 10, 10}, Part::data);
  add_layer(program, "pool2", MaxPool2d<float>({.kernel = 2}), {64, 16, 10, 10}, Part::data);
  add_layer(program, "fc1", net.layer<Linear<float>>("fc1"), {64, 400}, Part::backward);
  add_layer(program, "fc2", net.layer<Linear<float>>("fc2"), {64, 120}, Part::backward);
  add_layer(program, "fc3", net.layer<Linear<float>>("fc3"), {64, 84}, Part::backward);
}

}  // namespace

int main(int argc, char** argv) {
  Program program(argc, argv, "lenet");
  for (const Index batch : {64, 1, 16, 256}) add_network(program, "modern", LeNetStyle::modern, batch);
  add_network(program, "lecun", LeNetStyle::lecun, 64);
  add_layers(program);
  return program.run();
}
