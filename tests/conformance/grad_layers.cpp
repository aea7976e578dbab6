#include "conformance/runners.hpp"
#include "ventral/layers/activation.hpp"
#include "ventral/layers/batch_norm2d.hpp"
#include "ventral/layers/conv2d.hpp"
#include "ventral/layers/conv_transpose2d.hpp"
#include "ventral/layers/divisive_norm.hpp"
#include "ventral/layers/gdn.hpp"
#include "ventral/layers/global_pool.hpp"
#include "ventral/layers/linear.hpp"
#include "ventral/layers/local_response_norm.hpp"
#include "ventral/layers/pool2d.hpp"
#include "ventral/layers/prelu.hpp"
#include "ventral/layers/softmax.hpp"

namespace conformance {

namespace {

using namespace ventral;

/// A parameter and the array that holds its value; its gradient is the array with a `d` before.
template <class T>
struct Held {
  std::string array;
  Parameter<T, Cpu>* parameter;
};

/// Runs a layer on `x` and compares whatever the case gives of y, dx and the parameters' gradients. y is the same in inference, unless said otherwise.
template <class L, class T = typename L::Scalar>
void check_layer(const Case& c, Check<T>& check, L& layer, const std::vector<Held<T>>& parameters = {}, bool same_in_inference = true) {
  for (const Held<T>& p : parameters) set(*p.parameter, c.array(p.array));
  const Tensor<T> x = c.array("x").as<T>();
  if (same_in_inference && c.has("y")) check.compare("y in inference", forward(layer, x), c.array("y"));

  Pass<Cpu> pass(Mode::training, 1);
  auto y = Tensor<T>::uninitialized(layer.output_shape(x.shape()));
  layer.forward(x, y, pass);
  if (c.has("y")) check.compare("y", y, c.array("y"));
  if (!c.has("dy")) return;
  const Tensor<T> dy = c.array("dy").as<T>();
  if (!(dy.shape() == y.shape())) throw Malformed(concat("dy has shape ", dy.shape(), "; y has ", y.shape()));
  auto dx = Tensor<T>::uninitialized(x.shape());
  Out<T> dx_out = dx.ref();
  layer.backward(x, y, dy, &dx_out, pass);
  if (c.has("dx")) check.compare("dx", dx, c.array("dx"));
  for (const Held<T>& p : parameters)
    if (const std::string name = "d" + p.array; c.has(name)) {
      const In<T> gradient = p.parameter->gradient;
      const bool same_size = gradient.size() == c.array(name).values.size();
      check.compare(name, same_size ? gradient.reshaped(c.array(name).shape()) : gradient, c.array(name));
    }
}

Pair pair(const Attributes& a, const char* name, Pair absent) {
  const Attributes::Numbers n = a.numbers(name, {static_cast<double>(absent.h), static_cast<double>(absent.w)});
  if (n.size() != 1 && n.size() != 2) throw Malformed(concat("attribute '", name, "' has ", n.size(), " numbers; 2 expected"));
  return {static_cast<Index>(n.front()), static_cast<Index>(n.back())};
}
/// Rows and columns, or top, left, bottom, right, or "same".
Padding padding(const Attributes& a) {
  if (a.is_text("padding")) {
    if (const std::string rule = a.text("padding", ""); rule != "same" && rule != "valid") throw Malformed(concat("padding '", rule, "'"));
    return a.text("padding", "") == "same" ? Padding::same() : Padding(0);
  }
  const Attributes::Numbers n = a.numbers("padding", {0, 0});
  if (n.size() != 4) {
    const Pair p = pair(a, "padding", 0);
    return {p.h, p.w};
  }
  return {static_cast<Index>(n[0]), static_cast<Index>(n[1]), static_cast<Index>(n[2]), static_cast<Index>(n[3])};
}
Rounding rounding(const Attributes& a) { return a.boolean("ceil_mode", false) ? Rounding::ceil : Rounding::floor; }

const Array& weight4(const Case& c) {
  const Array& w = c.array("w");
  if (w.rank() != 4) throw Malformed(concat("w has shape ", w.shape(), "; four axes expected"));
  return w;
}

template <class T>
void conv2d(const Case& c, Check<T>& check) {
  const Attributes& a = c.attributes;
  const Shape& w = weight4(c).shape();
  const Index groups = a.integer("groups", 1);
  const bool bias = a.boolean("bias", c.has("b"));
  Conv2d<T> layer({.in = w[1] * groups, .out = w[0], .kernel = pair(a, "kernel", {w[2], w[3]}), .stride = pair(a, "stride", 1), .padding = padding(a), .dilation = pair(a, "dilation", 1),
                   .groups = groups, .bias = bias});
  std::vector<Held<T>> parameters{{"w", &layer.weight}};
  if (bias) parameters.push_back({"b", &layer.bias});
  check_layer(c, check, layer, parameters);
}

template <class T>
void conv_transpose2d(const Case& c, Check<T>& check) {
  const Attributes& a = c.attributes;
  const Shape& w = weight4(c).shape();
  const Index groups = a.integer("groups", 1);
  const bool bias = a.boolean("bias", c.has("b"));
  ConvTranspose2d<T> layer({.in = w[0], .out = w[1] * groups, .kernel = pair(a, "kernel", {w[2], w[3]}), .stride = pair(a, "stride", 1), .padding = padding(a),
                            .output_padding = pair(a, "output_padding", 0), .dilation = pair(a, "dilation", 1), .groups = groups, .bias = bias});
  std::vector<Held<T>> parameters{{"w", &layer.weight}};
  if (bias) parameters.push_back({"b", &layer.bias});
  check_layer(c, check, layer, parameters);
}

template <class T>
void linear(const Case& c, Check<T>& check) {
  const Shape& w = c.array("w").shape();
  const bool bias = c.attributes.boolean("bias", c.has("b"));
  Linear<T> layer({.in = w.dim(1), .out = w.dim(0), .bias = bias});
  std::vector<Held<T>> parameters{{"w", &layer.weight}};
  if (bias) parameters.push_back({"b", &layer.bias});
  check_layer(c, check, layer, parameters);
}

template <class T>
void max_pool(const Case& c, Check<T>& check) {
  const Attributes& a = c.attributes;
  const Pair kernel = pair(a, "kernel", 2);
  MaxPool2d<T> layer({.kernel = kernel, .stride = pair(a, "stride", kernel), .padding = padding(a), .dilation = pair(a, "dilation", 1), .rounding = rounding(a)});
  check_layer(c, check, layer);
}
template <class T>
void mean_pool(const Case& c, Check<T>& check) {
  const Attributes& a = c.attributes;
  const Pair kernel = pair(a, "kernel", 2);
  MeanPool2d<T> layer({.kernel = kernel, .stride = pair(a, "stride", kernel), .padding = padding(a), .dilation = pair(a, "dilation", 1), .rounding = rounding(a),
                       .count_include_pad = a.boolean("count_include_pad", true)});
  check_layer(c, check, layer);
}
template <class T>
void lp_pool(const Case& c, Check<T>& check) {
  const Attributes& a = c.attributes;
  const Pair kernel = pair(a, "kernel", 2);
  LpPool2d<T> layer({.kernel = kernel, .stride = pair(a, "stride", kernel), .padding = padding(a), .dilation = pair(a, "dilation", 1), .rounding = rounding(a), .p = a.number("p", 2)});
  check_layer(c, check, layer);
}

template <class T>
void local_response_norm(const Case& c, Check<T>& check) {
  const Attributes& a = c.attributes;
  LocalResponseNorm<T> layer({.size = a.integer("size", 5), .alpha = a.number("alpha", 1e-4), .beta = a.number("beta", 0.75), .k = a.number("k", 1)});
  check_layer(c, check, layer);
}

template <class T>
void divisive_norm(const Case& c, Check<T>& check) {
  const Attributes& a = c.attributes;
  const Attributes::Numbers box = a.numbers("box", {1, 1, 1});
  if (box.size() != 3) throw Malformed("attribute 'box' is not channels, height, width");
  for (const double extent : box)
    if (static_cast<Index>(extent) % 2 == 0) throw NotOffered("DivisiveNorm with an even box of unknown centre");
  const Index values = c.has("k") ? c.array("k").values.size() : 1;
  DivisiveNorm<T> layer({.channels = static_cast<Index>(box[0]), .height = static_cast<Index>(box[1]), .width = static_cast<Index>(box[2]), .k = a.number("k", 1), .alpha = a.number("alpha", 1),
                         .beta = a.number("beta", 0.5), .exponent = a.number("exponent", 2), .learn = {true, true, true}, .per_channel = values > 1 ? values : 0,
                         .threshold = a.number("threshold", 0)});
  std::vector<Held<T>> parameters;
  if (c.has("k")) parameters.push_back({"k", &layer.k});
  if (c.has("alpha")) parameters.push_back({"alpha", &layer.alpha});
  if (c.has("beta")) parameters.push_back({"beta", &layer.beta});
  check_layer(c, check, layer, parameters);
}

template <class T>
void batch_norm2d(const Case& c, Check<T>& check) {
  const Attributes& a = c.attributes;
  const bool training = a.boolean("training", true), affine = c.has("w");
  BatchNorm2d<T> layer({.channels = c.array("x").shape().dim(1), .eps = a.number("eps", 1e-5), .momentum = a.number("momentum", 0.1), .affine = affine});
  std::vector<Held<T>> parameters;
  if (affine) parameters = {{"w", &layer.weight}, {"b", &layer.bias}};
  const auto buffers = buffers_of(layer);
  for (const auto& b : buffers)
    if (const std::string name = b.name + "_in"; c.has(name)) b.buffer->value.copy_from(c.array(name).template as<T>());
  if (!training) {
    for (const Held<T>& p : parameters) set(*p.parameter, c.array(p.array));
    check.compare("y", forward(layer, c.array("x").as<T>()), c.array("y"));
    if (c.has("dx")) throw NotOffered("BatchNorm2d, backward in inference");
  } else {
    check_layer(c, check, layer, parameters, false);
  }
  for (const auto& b : buffers)
    if (const std::string name = b.name + "_out"; c.has(name)) check.compare(name, b.buffer->value, c.array(name));
}

template <class T>
void gdn(const Case& c, Check<T>& check) {
  GDN<T> layer({.channels = c.array("x").shape().dim(1)});
  check_layer(c, check, layer, {{"b", &layer.beta}, {"g", &layer.gamma}});
}

template <class T>
void prelu(const Case& c, Check<T>& check) {
  PReLU<T> layer({.channels = c.array("w").values.size()});
  check_layer(c, check, layer, {{"w", &layer.weight}});
}

/// A layer made of the attributes.
template <class T, class Make>
Runner<T> plain(Make make) {
  return [make](const Case& c, Check<T>& check) {
    auto layer = make(c.attributes);
    check_layer(c, check, layer);
  };
}

}  // namespace

template <class T>
Runners<T> grad_layers() {
  using A = const Attributes&;
  return {
      {"Conv2d", conv2d<T>},
      {"ConvTranspose2d", conv_transpose2d<T>},
      {"Linear", linear<T>},
      {"MaxPool2d", max_pool<T>},
      {"MeanPool2d", mean_pool<T>},
      {"LpPool2d", lp_pool<T>},
      {"LocalResponseNorm", local_response_norm<T>},
      {"DivisiveNorm", divisive_norm<T>},
      {"BatchNorm2d", batch_norm2d<T>},
      {"GDN", gdn<T>},
      {"PReLU", prelu<T>},
      {"ReLU", plain<T>([](A) { return ReLU<T>(); })},
      {"LeakyReLU", plain<T>([](A a) { return LeakyReLU<T>({.slope = a.number(a.has("negative_slope") ? "negative_slope" : "slope", 0.01)}); })},
      {"Sigmoid", plain<T>([](A) { return Sigmoid<T>(); })},
      {"Tanh", plain<T>([](A a) { return Tanh<T>({.amplitude = a.number("amplitude", 1), .gain = a.number("gain", 1)}); })},
      {"ELU", plain<T>([](A a) { return ELU<T>({.alpha = a.number("alpha", 1)}); })},
      {"Softplus", plain<T>([](A) { return Softplus<T>(); })},
      {"Softmax", plain<T>([](A a) { return Softmax<T>({.axis = static_cast<int>(a.integer("axis", 1))}); })},
      {"LogSoftmax", plain<T>([](A a) { return LogSoftmax<T>({.axis = static_cast<int>(a.integer("axis", 1))}); })},
      {"GlobalMaxPool", plain<T>([](A) { return GlobalMaxPool<T>(); })},
      {"GlobalMeanPool", plain<T>([](A) { return GlobalMeanPool<T>(); })},
  };
}

template Runners<float> grad_layers();
template Runners<double> grad_layers();

}  // namespace conformance
