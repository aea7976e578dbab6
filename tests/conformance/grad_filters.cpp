#include "conformance/grad_layer.hpp"
#include "ventral/layers/activation.hpp"
#include "ventral/layers/conv2d.hpp"
#include "ventral/layers/conv_transpose2d.hpp"
#include "ventral/layers/flatten.hpp"
#include "ventral/layers/linear.hpp"
#include "ventral/layers/pool2d.hpp"
#include "ventral/loss.hpp"
#include "ventral/sequential.hpp"

// The layers that multiply matrices, and the network of them: their kernels take the longest to compile.
namespace conformance {

namespace {

using namespace ventral;

const Array& weight4(const Case& c) {
  const Array& w = c.array("w");
  if (w.rank() != 4) throw Malformed(concat("w has shape ", w.shape(), "; four axes expected"));
  return w;
}

/// A layer with weights and perhaps a bias.
template <class T, class Space, class L>
void check_filter(const Case& c, Check<T, Space>& check, L& layer, bool bias) {
  std::vector<Held<T, Space>> parameters{{"w", &layer.weight}};
  if (bias) parameters.push_back({"b", &layer.bias});
  check_layer(c, check, layer, parameters);
}

template <class T, class Space>
void conv2d(const Case& c, Check<T, Space>& check) {
  const Attributes& a = c.attributes;
  const Shape& w = weight4(c).shape();
  const Index groups = a.integer("groups", 1);
  const bool bias = a.boolean("bias", c.has("b"));
  Conv2d<T, Space> layer({.in = w[1] * groups,
                          .out = w[0],
                          .kernel = pair(a, "kernel", {w[2], w[3]}),
                          .stride = pair(a, "stride", 1),
                          .padding = padding(a),
                          .dilation = pair(a, "dilation", 1),
                          .groups = groups,
                          .bias = bias});
  check_filter(c, check, layer, bias);
}

template <class T, class Space>
void conv_transpose2d(const Case& c, Check<T, Space>& check) {
  const Attributes& a = c.attributes;
  const Shape& w = weight4(c).shape();
  const Index groups = a.integer("groups", 1);
  const bool bias = a.boolean("bias", c.has("b"));
  ConvTranspose2d<T, Space> layer({.in = w[0],
                                   .out = w[1] * groups,
                                   .kernel = pair(a, "kernel", {w[2], w[3]}),
                                   .stride = pair(a, "stride", 1),
                                   .padding = padding(a),
                                   .output_padding = pair(a, "output_padding", 0),
                                   .dilation = pair(a, "dilation", 1),
                                   .groups = groups,
                                   .bias = bias});
  check_filter(c, check, layer, bias);
}

template <class T, class Space>
void linear(const Case& c, Check<T, Space>& check) {
  const Shape& w = c.array("w").shape();
  const bool bias = c.attributes.boolean("bias", c.has("b"));
  Linear<T, Space> layer({.in = w.dim(1), .out = w.dim(0), .bias = bias});
  check_filter(c, check, layer, bias);
}

template <class T, class Space>
void add_activation(Sequential<T, Space>& net, const std::string& name, const std::string& kind) {
  if (kind == "relu") net.add(name, ReLU<T, Space>());
  else if (kind == "tanh") net.add(name, Tanh<T, Space>());
  else if (kind == "sigmoid") net.add(name, Sigmoid<T, Space>());
  else throw NotOffered(concat("LeNet5 with activation ", kind));
}
template <class T, class Space>
void add_pool(Sequential<T, Space>& net, const std::string& name, const std::string& kind) {
  if (kind == "max2") net.add(name, MaxPool2d<T, Space>({.kernel = 2}));
  else if (kind == "mean2") net.add(name, MeanPool2d<T, Space>({.kernel = 2}));
  else throw NotOffered(concat("LeNet5 with pool ", kind));
}

/// The whole network: logits, loss and every parameter's gradient.
template <class T, class Space>
void lenet5(const Case& c, Check<T, Space>& check) {
  const std::string activation = c.attributes.text("activation", "relu"), pool = c.attributes.text("pool", "max2");
  const auto extent = [&](const char* array, int axis) { return c.array(array).shape().dim(axis); };
  Sequential<T, Space> net;
  net.add("conv1", Conv2d<T, Space>({.in = extent("conv1.weight", 1),
                                     .out = extent("conv1.weight", 0),
                                     .kernel = extent("conv1.weight", 2),
                                     .padding = c.attributes.integer("conv1_padding", 2)}));
  add_activation(net, "activation1", activation);
  add_pool(net, "pool1", pool);
  net.add("conv2", Conv2d<T, Space>({.in = extent("conv2.weight", 1), .out = extent("conv2.weight", 0), .kernel = extent("conv2.weight", 2)}));
  add_activation(net, "activation2", activation);
  add_pool(net, "pool2", pool);
  net.add("flatten", Flatten<T, Space>());
  net.add("fc1", Linear<T, Space>({.in = extent("fc1.weight", 1), .out = extent("fc1.weight", 0)}));
  add_activation(net, "activation3", activation);
  net.add("fc2", Linear<T, Space>({.in = extent("fc2.weight", 1), .out = extent("fc2.weight", 0)}));
  add_activation(net, "activation4", activation);
  net.add("fc3", Linear<T, Space>({.in = extent("fc3.weight", 1), .out = extent("fc3.weight", 0)}));
  for (const auto& p : net.parameters()) set(*p.parameter, c.array(p.name));

  const Tensor<T, Space> x = c.array("x").as<T, Space>();
  const In<T, Space> logits = net.forward(x, Mode::training);
  check.compare("logits", logits, c.array("logits"));
  SoftmaxCrossEntropy<T, Space> loss;
  auto d = Tensor<T, Space>::uninitialized(logits.shape);
  check.compare("loss", loss(logits, c.array("target").as<std::int32_t, Space>(), d), c.array("loss"));
  auto dx = Tensor<T, Space>::uninitialized(x.shape());
  net.backward(d, dx);
  if (c.has("d_x")) check.compare("d_x", dx, c.array("d_x"));
  for (const auto& p : net.parameters())
    if (const std::string name = "d_" + p.name; c.has(name)) check.compare(name, p.parameter->gradient, c.array(name));
}

}  // namespace

template <class T, class Space>
Runners<T, Space> grad_filters() {
  return {{"Conv2d", conv2d<T, Space>}, {"ConvTranspose2d", conv_transpose2d<T, Space>}, {"Linear", linear<T, Space>}, {"LeNet5", lenet5<T, Space>}};
}

CONFORMANCE_INSTANTIATE(grad_filters)

}  // namespace conformance
