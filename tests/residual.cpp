#include "ventral/layers/residual.hpp"

#include "agreement.hpp"
#include "ventral/layers/activation.hpp"
#include "ventral/layers/conv2d.hpp"
#include "ventral/layers/flatten.hpp"
#include "ventral/layers/gdn.hpp"

using namespace ventral;

namespace {

template <class Space>
Sequential<double, Space> conv(Index in, Index out, Index stride = 1) {
  Sequential<double, Space> s;
  s.add("conv", Conv2d<double, Space>({.in = in, .out = out, .kernel = 3, .stride = stride, .padding = 1})).add("tanh", Tanh<double, Space>());
  s.initialize(5);
  return s;
}

}  // namespace

TEST_CASE_TEMPLATE("Residual: y is the sum of both paths", Space, VENTRAL_TEST_SPACES) {
  const auto x = test::random_tensor<double, Space>({2, 3, 5, 4});
  auto body = conv<Space>(3, 3), other = conv<Space>(3, 3);
  other.initialize(6);
  Residual<double, Space> identity(body), both(body, other);
  const auto a = test::run(body, x).template to<Cpu>(), b = test::run(other, x).template to<Cpu>(), input = x.template to<Cpu>();
  Tensor<double> sum(a.shape()), with_input(a.shape());
  for (Index i = 0; i < a.size(); ++i) sum[i] = a[i] + b[i], with_input[i] = a[i] + input[i];
  CHECK(test::relative_error(test::run(identity, x).template to<Cpu>(), with_input) < 1e-15);
  CHECK(test::relative_error(test::run(both, x).template to<Cpu>(), sum) < 1e-15);
  CHECK(test::relative_error(test::run(both, x, Mode::training).template to<Cpu>(), sum) < 1e-15);
}

TEST_CASE_TEMPLATE("Residual: gradients", Space, VENTRAL_TEST_SPACES) {
  const auto x = test::random_tensor<double, Space>({2, 3, 5, 4});
  Residual<double, Space> identity(conv<Space>(3, 3));
  test::check_gradient(identity, x, {.max_elements = 50});
  Sequential<double, Space> projection;
  projection.add("project", Conv2d<double, Space>({.in = 3, .out = 4, .kernel = 1, .stride = 2}));
  Residual<double, Space> block(conv<Space>(3, 4, 2), projection);
  test::check_gradient(block, x, {.max_elements = 50});
  Sequential<double, Space> net;
  net.add("front", Conv2d<double, Space>({.in = 3, .out = 3, .kernel = 3, .padding = 1}))
      .add("block", block)
      .add("again", Residual<double, Space>(conv<Space>(4, 4)))
      .add("flat", Flatten<double, Space>());
  test::check_gradient(net, x, {.max_elements = 50});
  Residual<double, Space> nothing{Sequential<double, Space>()};
  CHECK(test::run_backward(nothing, x, x).dx.template to<Cpu>()[3] == 2 * x.template to<Cpu>()[3]);
}

namespace {

/// Blocks without trained layers, with and without a shortcut.
template <class Check>
void for_each_block(const Check& check) {
  check([]<class T, class Space> {
    Sequential<T, Space> body;
    body.add("tanh", Tanh<T, Space>({.gain = 0.75}));
    return Residual<T, Space>(body);
  });
  check([]<class T, class Space> {
    Sequential<T, Space> body, shortcut;
    body.add("tanh", Tanh<T, Space>()).add("sigmoid", Sigmoid<T, Space>());
    shortcut.add("relu", ReLU<T, Space>());
    return Residual<T, Space>(body, shortcut);
  });
}

}  // namespace

TEST_CASE_TEMPLATE("Residual: Cuda agrees with Cpu", T, float, double) {
  for (const Shape& shape : {Shape{1}, Shape{3, 5, 7}, Shape{2, 2, 4, 8}, Shape{0, 2, 4, 4}})
    for_each_block([&](const auto& make) { test::check_agreement<T>(make, shape); });
}

TEST_CASE_TEMPLATE("Residual: 16-bit numbers agree with float", T, bfloat16, half) {
  for_each_block([&](const auto& make) { test::check_narrow<T>(make, {3, 5, 7}, 6); });
}

TEST_CASE("Residual: names, freezing, copies, receptive field, no dx, empty batch") {
  Sequential<double> net;
  net.add("block", Residual<double>(conv<Cpu>(2, 2), conv<Cpu>(2, 2)));
  const auto p = net.parameters();
  CHECK(p.size() == 4);
  CHECK(p[0].name == "block.body.conv.weight");
  CHECK(p[3].name == "block.shortcut.conv.bias");
  CHECK(net.field_after({}).size == Pair(3));
  CHECK(net.flops({1, 2, 4, 4}) > 2 * net.layer<Residual<double>>("block").body.flops({1, 2, 4, 4}));

  const auto x = test::random_tensor<double>({1, 2, 4, 4});
  auto copy = net;
  net.layer<Residual<double>>("block").body.freeze("conv");
  net.forward(x, Mode::training);
  net.backward(x);  // no dx asked for: the frozen body stops early, the shortcut does not
  CHECK(p[0].parameter->gradient.empty());
  CHECK(p[2].parameter->gradient.size() == p[2].parameter->value.size());
  copy.initialize(77);
  CHECK(copy.parameters()[0].parameter->value[0] != p[0].parameter->value[0]);
  CHECK(test::run_backward(net.layer<Residual<double>>("block"), Tensor<double>({0, 2, 4, 4}), Tensor<double>({0, 2, 4, 4})).dx.empty());
}

TEST_CASE("Residual: errors name the path") {
  Sequential<double> net;
  net.add("block", Residual<double>(conv<Cpu>(2, 3)));
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(net.output_shape({1, 2, 4, 4})); }) ==
        "Residual 'block': input [1,2,4,4] gives [1,3,4,4] through the body and [1,2,4,4] through the shortcut; they must be the same");
  CHECK(test::message_of<ShapeError>([&] {
          static_cast<void>(net.output_shape({1, 5, 4, 4}));
        }).find("Residual 'block': Conv2d 'conv': input [1,5,4,4] has 5 channels") == 0);
}
