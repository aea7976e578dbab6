#include "conformance/runners.hpp"
#include "ventral/layers/activation.hpp"
#include "ventral/layers/conv2d.hpp"
#include "ventral/layers/flatten.hpp"
#include "ventral/layers/linear.hpp"
#include "ventral/layers/pool2d.hpp"
#include "ventral/loss.hpp"
#include "ventral/sequential.hpp"

namespace conformance {

namespace {

using namespace ventral;

/// Compares y and dx of a loss. `make(reduction)` is the loss; without reduction, y is an array and dx the gradient of sum(y dy).
template <class T, class Target, class Make>
void check_loss(const Case& c, Check<T>& check, const Tensor<Target>& target, Make make) {
  const std::string reduction = c.attributes.text("reduction", "mean");
  if (reduction != "mean" && reduction != "sum" && reduction != "none") throw NotOffered(concat(c.op, " with reduction ", reduction));
  const bool each = reduction == "none";
  const Tensor<T> x = c.array("x").as<T>();
  auto loss = make(reduction == "mean" ? Reduction::mean : Reduction::sum);
  auto dx = Tensor<T>::uninitialized(x.shape());
  const double y = loss(x, target, dx);
  if (each) {
    auto values = Tensor<T>::uninitialized(target.shape());
    loss.values(x, target, values);
    check.compare("y", values, c.array("y"));
  } else {
    check.compare("y", y, c.array("y"));
    check.compare("y without gradient", loss(x, target), c.array("y"));
  }
  if (!c.has("dx")) return;
  // The loss gives the gradient for dy = 1; position i of the target is one score, or the classes on axis 1 of x.
  const Tensor<T> dy = c.has("dy") ? c.array("dy").as<T>() : Tensor<T>::full({}, T(1));
  const bool by_class = x.size() != target.size();
  const Index inner = by_class ? x.shape().product(2, x.rank()) : 1, classes = by_class ? x.dim(1) : 1;
  for (Index i = 0; i < dx.size(); ++i) dx[i] *= dy[each ? i / (classes * inner) * inner + i % inner : 0];
  check.compare("dx", dx, c.array("dx"));
}

CrossEntropyOptions cross_entropy_options(const Case& c) {
  CrossEntropyOptions o;
  o.smoothing = c.attributes.number("label_smoothing", 0);
  o.ignore = c.attributes.integer("ignore_index", -100);
  const char* weights = c.has("weight") ? "weight" : "w";
  if (c.has(weights)) o.class_weights.assign(c.array(weights).values.begin(), c.array(weights).values.end());
  return o;
}

template <template <class, class> class Loss, class T>
void label_loss(const Case& c, Check<T>& check) {
  CrossEntropyOptions o = cross_entropy_options(c);
  check_loss(c, check, c.array("target").as<std::int32_t>(), [&](Reduction r) {
    o.reduction = r;
    return Loss<T, Cpu>(o);
  });
}

template <class T>
void mse(const Case& c, Check<T>& check) {
  check_loss(c, check, c.array("target").as<T>(), [](Reduction r) { return MSE<T>({.reduction = r}); });
}
template <class T>
void bce_with_logits(const Case& c, Check<T>& check) {
  const double positive = c.attributes.number("pos_weight", 1);
  check_loss(c, check, c.array("target").as<T>(), [&](Reduction r) { return BCEWithLogits<T>({.positive_weight = positive, .reduction = r}); });
}
template <class T>
void hinge(const Case& c, Check<T>& check) {
  const double margin = c.attributes.number("margin", 1);
  check_loss(c, check, c.array("target").as<std::int32_t>(), [&](Reduction r) { return Hinge<T>({.margin = margin, .reduction = r}); });
}

template <class T>
void add_activation(Sequential<T>& net, const std::string& name, const std::string& kind) {
  if (kind == "relu") net.add(name, ReLU<T>());
  else if (kind == "tanh") net.add(name, Tanh<T>());
  else if (kind == "sigmoid") net.add(name, Sigmoid<T>());
  else throw NotOffered(concat("LeNet5 with activation ", kind));
}
template <class T>
void add_pool(Sequential<T>& net, const std::string& name, const std::string& kind) {
  if (kind == "max2") net.add(name, MaxPool2d<T>({.kernel = 2}));
  else if (kind == "mean2") net.add(name, MeanPool2d<T>({.kernel = 2}));
  else throw NotOffered(concat("LeNet5 with pool ", kind));
}

/// The whole network: logits, loss and every parameter's gradient.
template <class T>
void lenet5(const Case& c, Check<T>& check) {
  const std::string activation = c.attributes.text("activation", "relu"), pool = c.attributes.text("pool", "max2");
  const auto extent = [&](const char* array, int axis) { return c.array(array).shape().dim(axis); };
  Sequential<T> net;
  net.add("conv1", Conv2d<T>({.in = extent("conv1.weight", 1), .out = extent("conv1.weight", 0), .kernel = extent("conv1.weight", 2), .padding = c.attributes.integer("conv1_padding", 2)}));
  add_activation(net, "activation1", activation);
  add_pool(net, "pool1", pool);
  net.add("conv2", Conv2d<T>({.in = extent("conv2.weight", 1), .out = extent("conv2.weight", 0), .kernel = extent("conv2.weight", 2)}));
  add_activation(net, "activation2", activation);
  add_pool(net, "pool2", pool);
  net.add("flatten", Flatten<T>());
  net.add("fc1", Linear<T>({.in = extent("fc1.weight", 1), .out = extent("fc1.weight", 0)}));
  add_activation(net, "activation3", activation);
  net.add("fc2", Linear<T>({.in = extent("fc2.weight", 1), .out = extent("fc2.weight", 0)}));
  add_activation(net, "activation4", activation);
  net.add("fc3", Linear<T>({.in = extent("fc3.weight", 1), .out = extent("fc3.weight", 0)}));
  for (const auto& p : net.parameters()) set(*p.parameter, c.array(p.name));

  const Tensor<T> x = c.array("x").as<T>();
  const In<T> logits = net.forward(x, Mode::training);
  check.compare("logits", logits, c.array("logits"));
  SoftmaxCrossEntropy<T> loss;
  auto d = Tensor<T>::uninitialized(logits.shape);
  check.compare("loss", loss(logits, c.array("target").as<std::int32_t>(), d), c.array("loss"));
  auto dx = Tensor<T>::uninitialized(x.shape());
  net.backward(d, dx);
  if (c.has("d_x")) check.compare("d_x", dx, c.array("d_x"));
  for (const auto& p : net.parameters())
    if (const std::string name = "d_" + p.name; c.has(name)) check.compare(name, p.parameter->gradient, c.array(name));
}

}  // namespace

template <class T>
Runners<T> grad_losses() {
  return {
      {"SoftmaxCrossEntropy", label_loss<SoftmaxCrossEntropy, T>}, {"NegativeLogLikelihood", label_loss<NegativeLogLikelihood, T>}, {"MSE", mse<T>}, {"BCEWithLogits", bce_with_logits<T>}, {"Hinge", hinge<T>},
      {"LeNet5", lenet5<T>},
  };
}

template Runners<float> grad_losses();
template Runners<double> grad_losses();

}  // namespace conformance
