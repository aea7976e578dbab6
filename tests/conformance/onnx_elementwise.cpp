#include "conformance/runners.hpp"
#include "ventral/layers/activation.hpp"
#include "ventral/layers/dropout.hpp"
#include "ventral/layers/flatten.hpp"
#include "ventral/layers/prelu.hpp"
#include "ventral/layers/softmax.hpp"

namespace conformance {

namespace {

using namespace ventral;

/// A layer made of the attributes, on an input of any shape.
template <class T, class Space, class Make>
Runner<T, Space> plain(Make make) {
  return [make](const Case& c, Check<T, Space>& check) {
    c.attributes.read({"consumed_inputs"});  // of the first opsets: a hint about memory
    auto layer = make(c.attributes);
    const Tensor<T, Space> x = c.input(0).as<T, Space>();
    check.compare("Y", forward(layer, x), c.wanted(0));
  };
}

/// x [outer, slopes, inner]: the slopes' axes, from the first to the last that is not 1, become the channel axis.
template <class T, class Space>
void prelu(const Case& c, Check<T, Space>& check) {
  c.attributes.read({"consumed_inputs"});
  const Array &x = c.input(0), &slope = c.input(1);
  const std::size_t rank = x.axes.size();
  std::vector<Index> axes = slope.axes;
  if (c.opset < 7 && axes.size() == 1 && axes[0] != 1 && rank >= 2) axes.resize(rank - 1, 1);  // one slope a channel, without broadcasting
  if (axes.size() > rank) throw Malformed(concat("slope of shape ", slope.shape(), " for an input of shape ", x.shape()));
  axes.insert(axes.begin(), rank - axes.size(), 1);
  std::size_t first = rank, last = 0;
  for (std::size_t i = 0; i < rank; ++i) {
    if (axes[i] != 1 && axes[i] != x.axes[i]) throw Malformed(concat("slope of shape ", slope.shape(), " for an input of shape ", x.shape()));
    if (axes[i] != 1) first = std::min(first, i), last = i + 1;
  }
  first = std::min(first, last);
  Index outer = 1, middle = 1;
  for (std::size_t i = 0; i < first; ++i) outer *= x.axes[i];
  for (std::size_t i = first; i < last; ++i) middle *= x.axes[i];
  const Index inner = outer * middle == 0 ? 0 : x.values.size() / (outer * middle);

  Tensor<T> slopes({middle});
  for (Index at = 0; at < middle; ++at) {  // within the middle, axes of extent 1 repeat their slope
    Index from = 0, step = 1, left = at;
    for (std::size_t i = last; i-- > first;) {
      const Index here = left % x.axes[i];
      left /= x.axes[i];
      if (axes[i] != 1) from += here * step, step *= axes[i];
    }
    slopes[at] = static_cast<T>(slope.values[from]);
  }
  PReLU<T, Space> layer({.channels = middle});
  layer.weight.value = slopes.template to<Space>();
  check.compare("Y", forward(layer, x.as<T, Space>().reshaped({outer, middle, inner})).reshaped(c.wanted(0).shape()), c.wanted(0));
}

/// Before opset 13 everything from the axis on is one; from 13 on the axis alone.
template <template <class, class> class L, class T, class Space>
void softmax(const Case& c, Check<T, Space>& check) {
  const Array& x = c.input(0);
  const int rank = x.rank(), given = static_cast<int>(c.attributes.integer("axis", c.opset < 13 ? 1 : -1)), axis = given < 0 ? given + rank : given;
  if (axis < 0 || axis > rank || (axis == rank && c.opset >= 13)) throw Malformed(concat("axis ", given, " of an input of shape ", x.shape()));
  const Array& want = c.wanted(0);
  const Tensor<T, Space> values = x.as<T, Space>();
  if (c.opset >= 13 && rank <= Shape::max_rank) {
    L<T, Space> layer({.axis = given});
    return check.compare("Y", forward(layer, values), want);
  }
  Index outer = 1, along = 1;
  for (int i = 0; i < axis; ++i) outer *= x.axes[static_cast<std::size_t>(i)];
  for (int i = axis; i < (c.opset < 13 ? rank : axis + 1); ++i) along *= x.axes[static_cast<std::size_t>(i)];
  L<T, Space> layer({.axis = 1});
  const Index inner = outer * along == 0 ? 1 : values.size() / (outer * along);
  check.compare("Y", forward(layer, values.reshaped({outer, along, inner})).reshaped(want.shape()), want);
}

/// Everything before the axis, and everything from it on.
template <class T, class Space>
void flatten(const Case& c, Check<T, Space>& check) {
  const Array& x = c.input(0);
  const int given = static_cast<int>(c.attributes.integer("axis", 1)), axis = given < 0 ? given + x.rank() : given;
  if (axis < 0 || axis > x.rank()) throw Malformed(concat("axis ", given, " of an input of shape ", x.shape()));
  Index outer = 1;
  for (int i = 0; i < axis; ++i) outer *= x.axes[static_cast<std::size_t>(i)];
  const Tensor<T, Space> values = x.as<T, Space>();
  Flatten<T, Space> layer;
  check.compare("output", forward(layer, values.reshaped({outer, 1, outer == 0 ? 0 : values.size() / outer})), c.wanted(0));
}

template <class T, class Space>
void dropout(const Case& c, Check<T, Space>& check) {
  c.attributes.read({"seed", "consumed_inputs"});
  const Array& x = c.input(0);
  const double absent = c.attributes.number("ratio", 0.5), ratio = c.optional_input(1) ? c.input(1).scalar() : absent;
  const bool is_test = c.attributes.boolean("is_test", false);
  const bool training = c.opset < 7 ? !is_test : c.optional_input(2) && c.input(2).scalar() != 0;
  const Mode mode = training ? Mode::training : Mode::inference;
  Dropout<T, Space> layer({.rate = ratio});
  const Tensor<T, Space> in = x.as<T, Space>(), ones = Tensor<T, Space>::full(in.shape(), T(1)), y = forward(layer, in, mode);
  const Tensor<T> factor = forward(layer, ones, mode).template to<Cpu>();
  const double kept = training ? 1 / (1 - ratio) : 1;

  Array expected{"output", x.dtype, x.axes, Tensor<double>(x.shape())}, mask{"mask", "bool", x.axes, Tensor<double>(x.shape())};
  Index dropped = 0;
  for (Index i = 0; i < in.size(); ++i) {
    mask.values[i] = factor[i] != T(0);
    expected.values[i] = x.values[i] * kept * mask.values[i];
    dropped += factor[i] == T(0);
  }
  check.compare("output, as the mask says,", y, expected);
  const double n = static_cast<double>(in.size()), share = n > 0 ? static_cast<double>(dropped) / n : 0, rate = training ? ratio : 0;
  check.expect(std::abs(share - rate) <= 5 * std::sqrt(rate * (1 - rate) / std::max(n, 1.0)), concat("a share of ", share, " was dropped; ratio ", rate));

  if (!c.random) {
    if (const Array* want = c.output(0)) check.compare("output", y, *want);
    if (const Array* want = c.output(1)) check.compare("mask", mask.values.cast<T>(), *want);
    return;
  }
  // The recorded mask came from another generator: the record is checked against itself.
  for (Index i = 0; c.output(0) && i < in.size(); ++i) {
    const double want = c.output(0)->values[i], whole = x.values[i] * kept;
    const bool in_mask = c.output(1) ? c.output(1)->values[i] != 0 : want != 0;
    check.expect(std::abs(want - (in_mask ? whole : 0)) <= c.atol + c.rtol * std::abs(whole), concat("the recorded output is not input * mask / (1 - ratio) at element ", i));
  }
}

}  // namespace

template <class T, class Space>
Runners<T, Space> onnx_elementwise() {
  using A = const Attributes&;
  return {
      {"Relu", plain<T, Space>([](A) { return ReLU<T, Space>(); })},
      {"LeakyRelu", plain<T, Space>([](A a) { return LeakyReLU<T, Space>({.slope = a.number("alpha", 0.01)}); })},
      {"Sigmoid", plain<T, Space>([](A) { return Sigmoid<T, Space>(); })},
      {"Tanh", plain<T, Space>([](A) { return Tanh<T, Space>(); })},
      {"Elu", plain<T, Space>([](A a) { return ELU<T, Space>({.alpha = a.number("alpha", 1)}); })},
      {"Softplus", plain<T, Space>([](A) { return Softplus<T, Space>(); })},
      {"PRelu", prelu<T, Space>},
      {"Softmax", softmax<Softmax, T, Space>},
      {"LogSoftmax", softmax<LogSoftmax, T, Space>},
      {"Flatten", flatten<T, Space>},
      {"Dropout", dropout<T, Space>},
  };
}

CONFORMANCE_INSTANTIATE(onnx_elementwise)

}  // namespace conformance
