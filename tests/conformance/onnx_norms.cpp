#include "conformance/runners.hpp"
#include "ventral/layers/batch_norm2d.hpp"
#include "ventral/layers/global_pool.hpp"
#include "ventral/layers/local_response_norm.hpp"

namespace conformance {

namespace {

using namespace ventral;

/// [N,C,...] as [N,C,1,rest]: for layers to which the place within a channel means nothing. [N] has one channel.
Shape by_channel(const Array& x) {
  if (x.rank() < 1) throw Malformed("a scalar input");
  const Index n = x.axes[0], channels = x.rank() > 1 ? x.axes[1] : 1;
  Index rest = 1;
  for (std::size_t i = 2; i < x.axes.size(); ++i) rest *= x.axes[i];
  return {n, channels, 1, rest};
}

template <class T, class Space>
void lrn(const Case& c, Check<T, Space>& check) {
  const Attributes& a = c.attributes;
  if (!a.has("size")) throw Malformed("LRN needs the attribute 'size'");
  LocalResponseNorm<T, Space> layer({.size = a.integer("size", 1),
                                     .alpha = a.number("alpha", 1e-4),
                                     .beta = a.number("beta", 0.75),
                                     .k = a.number("bias", 1),
                                     .even = EvenWindow::forward});
  check.compare("Y", forward(layer, c.input(0).as<T, Space>()), c.wanted(0));
}

template <template <class, class> class L, class T, class Space>
void global_pool(const Case& c, Check<T, Space>& check) {
  L<T, Space> layer;
  const Array& want = c.wanted(0);
  const Tensor<T, Space> y = forward(layer, c.input(0).as<T, Space>().reshaped(by_channel(c.input(0))));
  check.compare("Y", y.size() == want.values.size() ? y.reshaped(want.shape()) : y.ref(), want);
}

template <class T, class Space>
void batch_norm(const Case& c, Check<T, Space>& check) {
  const Attributes& a = c.attributes;
  a.read({"consumed_inputs"});
  const bool is_test = a.boolean("is_test", false);
  const bool training = c.opset >= 14 ? a.boolean("training_mode", false) : c.opset >= 7 ? c.outputs.size() > 1 : !is_test;
  if (!a.boolean("spatial", true)) throw NotOffered("BatchNormalization with statistics of each place (spatial 0)");
  if (c.output(3) || c.output(4)) throw NotOffered("BatchNormalization with saved statistics");
  const double momentum = a.number("momentum", 0.9);  // share of the old value; PyTorch's momentum is that of the new one
  const Array& x = c.input(0);
  const Shape image = by_channel(x);
  BatchNorm2d<T, Space> layer({.channels = image[1], .eps = a.number("epsilon", 1e-5), .momentum = 1 - momentum, .affine = true});
  set(layer.weight, c.input(1));
  set(layer.bias, c.input(2));
  const auto buffer = [&](const char* name) -> Tensor<T, Space>& {
    for (const auto& b : buffers_of(layer))
      if (b.name == name) return b.buffer->value;
    throw Error(concat("BatchNorm2d has no buffer ", name));
  };
  Tensor<T, Space>&mean = buffer("running_mean"), &variance = buffer("running_var");
  mean.copy_from(c.input(3).as<T, Space>());
  variance.copy_from(c.input(4).as<T, Space>());
  const Tensor<T, Space> y = forward(layer, x.as<T, Space>().reshaped(image), training ? Mode::training : Mode::inference);
  check.compare("Y", y.reshaped(x.shape()), c.wanted(0));

  if (c.output(1)) check.compare("running_mean", mean, *c.output(1));
  if (!c.output(2)) return;
  // The layer's running variance takes the unbiased variance of the batch, as PyTorch's does; ONNX takes the population's, (n - 1) / n of it.
  const double n = static_cast<double>(image[0] * image[3]);
  Tensor<T> population = variance.template to<Cpu>();
  for (Index i = 0; i < population.size(); ++i) {
    const double old = momentum * c.input(4).values[i];
    population[i] = static_cast<T>(old + (static_cast<double>(population[i]) - old) * (training ? (n - 1) / n : 1));
  }
  check.compare("running_var", population, *c.output(2));
}

}  // namespace

template <class T, class Space>
Runners<T, Space> onnx_norms() {
  return {{"LRN", lrn<T, Space>},
          {"GlobalAveragePool", global_pool<GlobalMeanPool, T, Space>},
          {"GlobalMaxPool", global_pool<GlobalMaxPool, T, Space>},
          {"BatchNormalization", batch_norm<T, Space>}};
}

CONFORMANCE_INSTANTIATE(onnx_norms)

}  // namespace conformance
