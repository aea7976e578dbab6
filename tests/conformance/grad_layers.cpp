#include "conformance/grad_layer.hpp"
#include "ventral/layers/activation.hpp"
#include "ventral/layers/batch_norm2d.hpp"
#include "ventral/layers/divisive_norm.hpp"
#include "ventral/layers/gdn.hpp"
#include "ventral/layers/global_pool.hpp"
#include "ventral/layers/local_response_norm.hpp"
#include "ventral/layers/pool2d.hpp"
#include "ventral/layers/prelu.hpp"
#include "ventral/layers/softmax.hpp"

namespace conformance {

namespace {

using namespace ventral;

template <class T, class Space>
void max_pool(const Case& c, Check<T, Space>& check) {
  const Attributes& a = c.attributes;
  const Pair kernel = pair(a, "kernel", 2);
  MaxPool2d<T, Space> layer(
      {.kernel = kernel, .stride = pair(a, "stride", kernel), .padding = padding(a), .dilation = pair(a, "dilation", 1), .rounding = rounding(a)});
  check_layer(c, check, layer);
}
template <class T, class Space>
void mean_pool(const Case& c, Check<T, Space>& check) {
  const Attributes& a = c.attributes;
  const Pair kernel = pair(a, "kernel", 2);
  MeanPool2d<T, Space> layer({.kernel = kernel,
                              .stride = pair(a, "stride", kernel),
                              .padding = padding(a),
                              .dilation = pair(a, "dilation", 1),
                              .rounding = rounding(a),
                              .count_include_pad = a.boolean("count_include_pad", true)});
  check_layer(c, check, layer);
}
template <class T, class Space>
void lp_pool(const Case& c, Check<T, Space>& check) {
  const Attributes& a = c.attributes;
  const Pair kernel = pair(a, "kernel", 2);
  LpPool2d<T, Space> layer({.kernel = kernel,
                            .stride = pair(a, "stride", kernel),
                            .padding = padding(a),
                            .dilation = pair(a, "dilation", 1),
                            .rounding = rounding(a),
                            .p = a.number("p", 2)});
  check_layer(c, check, layer);
}

template <class T, class Space>
void local_response_norm(const Case& c, Check<T, Space>& check) {
  const Attributes& a = c.attributes;
  LocalResponseNorm<T, Space> layer(
      {.size = a.integer("size", 5), .alpha = a.number("alpha", 1e-4), .beta = a.number("beta", 0.75), .k = a.number("k", 1)});
  check_layer(c, check, layer);
}

template <class T, class Space>
void divisive_norm(const Case& c, Check<T, Space>& check) {
  const Attributes& a = c.attributes;
  const Attributes::Numbers box = a.numbers("box", {1, 1, 1});
  if (box.size() != 3) throw Malformed("attribute 'box' is not channels, height, width");
  for (const double extent : box)
    if (static_cast<Index>(extent) % 2 == 0) throw NotOffered("DivisiveNorm with an even box of unknown centre");
  const Index values = c.has("k") ? c.array("k").values.size() : 1;
  DivisiveNorm<T, Space> layer({.channels = static_cast<Index>(box[0]),
                                .height = static_cast<Index>(box[1]),
                                .width = static_cast<Index>(box[2]),
                                .k = a.number("k", 1),
                                .alpha = a.number("alpha", 1),
                                .beta = a.number("beta", 0.5),
                                .exponent = a.number("exponent", 2),
                                .learn = {true, true, true},
                                .per_channel = values > 1 ? values : 0,
                                .threshold = a.number("threshold", 0)});
  std::vector<Held<T, Space>> parameters;
  if (c.has("k")) parameters.push_back({"k", &layer.k});
  if (c.has("alpha")) parameters.push_back({"alpha", &layer.alpha});
  if (c.has("beta")) parameters.push_back({"beta", &layer.beta});
  check_layer(c, check, layer, parameters);
}

template <class T, class Space>
void batch_norm2d(const Case& c, Check<T, Space>& check) {
  const Attributes& a = c.attributes;
  const bool training = a.boolean("training", true), affine = c.has("w");
  BatchNorm2d<T, Space> layer(
      {.channels = c.array("x").shape().dim(1), .eps = a.number("eps", 1e-5), .momentum = a.number("momentum", 0.1), .affine = affine});
  std::vector<Held<T, Space>> parameters;
  if (affine) parameters = {{"w", &layer.weight}, {"b", &layer.bias}};
  const auto buffers = buffers_of(layer);
  for (const auto& b : buffers)
    if (const std::string name = b.name + "_in"; c.has(name)) b.buffer->value.copy_from(c.array(name).as<T, Space>());
  if (!training) {
    for (const Held<T, Space>& p : parameters) set(*p.parameter, c.array(p.array));
    check.compare("y", forward(layer, c.array("x").as<T, Space>()), c.array("y"));
    if (c.has("dx")) throw NotOffered("BatchNorm2d, backward in inference");
  } else {
    check_layer(c, check, layer, parameters, false);
  }
  for (const auto& b : buffers)
    if (const std::string name = b.name + "_out"; c.has(name)) check.compare(name, b.buffer->value, c.array(name));
}

template <class T, class Space>
void gdn(const Case& c, Check<T, Space>& check) {
  GDN<T, Space> layer({.channels = c.array("x").shape().dim(1)});
  check_layer(c, check, layer, {{"b", &layer.beta}, {"g", &layer.gamma}});
}

template <class T, class Space>
void prelu(const Case& c, Check<T, Space>& check) {
  PReLU<T, Space> layer({.channels = c.array("w").values.size()});
  check_layer(c, check, layer, {{"w", &layer.weight}});
}

/// A layer made of the attributes.
template <class T, class Space, class Make>
Runner<T, Space> plain(Make make) {
  return [make](const Case& c, Check<T, Space>& check) {
    auto layer = make(c.attributes);
    check_layer(c, check, layer);
  };
}

}  // namespace

template <class T, class Space>
Runners<T, Space> grad_layers() {
  using A = const Attributes&;
  return {
      {"MaxPool2d", max_pool<T, Space>},
      {"MeanPool2d", mean_pool<T, Space>},
      {"LpPool2d", lp_pool<T, Space>},
      {"LocalResponseNorm", local_response_norm<T, Space>},
      {"DivisiveNorm", divisive_norm<T, Space>},
      {"BatchNorm2d", batch_norm2d<T, Space>},
      {"GDN", gdn<T, Space>},
      {"PReLU", prelu<T, Space>},
      {"ReLU", plain<T, Space>([](A) { return ReLU<T, Space>(); })},
      {"LeakyReLU",
       plain<T, Space>([](A a) { return LeakyReLU<T, Space>({.slope = a.number(a.has("negative_slope") ? "negative_slope" : "slope", 0.01)}); })},
      {"Sigmoid", plain<T, Space>([](A) { return Sigmoid<T, Space>(); })},
      {"Tanh", plain<T, Space>([](A a) { return Tanh<T, Space>({.amplitude = a.number("amplitude", 1), .gain = a.number("gain", 1)}); })},
      {"ELU", plain<T, Space>([](A a) { return ELU<T, Space>({.alpha = a.number("alpha", 1)}); })},
      {"Softplus", plain<T, Space>([](A) { return Softplus<T, Space>(); })},
      {"Softmax", plain<T, Space>([](A a) { return Softmax<T, Space>({.axis = static_cast<int>(a.integer("axis", 1))}); })},
      {"LogSoftmax", plain<T, Space>([](A a) { return LogSoftmax<T, Space>({.axis = static_cast<int>(a.integer("axis", 1))}); })},
      {"GlobalMaxPool", plain<T, Space>([](A) { return GlobalMaxPool<T, Space>(); })},
      {"GlobalMeanPool", plain<T, Space>([](A) { return GlobalMeanPool<T, Space>(); })},
  };
}

CONFORMANCE_INSTANTIATE(grad_layers)

}  // namespace conformance
