#include "ventral/layers/parallel.hpp"

#include "agreement.hpp"
#include "ventral/layers/activation.hpp"
#include "ventral/layers/conv2d.hpp"
#include "ventral/layers/gdn.hpp"

using namespace ventral;

namespace {

template <class Space>
Conv2d<double, Space> conv(Index in, Index out, Index kernel) {
  Conv2d<double, Space> layer({.in = in, .out = out, .kernel = kernel, .padding = kernel / 2});
  layer.initialize(Random(static_cast<std::uint64_t>(10 * out + kernel)));
  return layer;
}

/// Three branches: one layer, a Sequential, a layer without parameters.
template <class Space>
Parallel<double, Space> branches(Join join, Index small = 2, Index large = 3) {
  Sequential<double, Space> deep;
  deep.add("conv", conv<Space>(2, large, 3)).add("tanh", Tanh<double, Space>());
  Parallel<double, Space> p({.join = join});
  p.add("small", conv<Space>(2, small, 1)).add("deep", deep).add("pass", Sigmoid<double, Space>());
  return p;
}

}  // namespace

TEST_CASE_TEMPLATE("Parallel: outputs side by side or added", Space, VENTRAL_TEST_SPACES) {
  const auto x = test::random_tensor<double, Space>({2, 2, 5, 3});
  auto side = branches<Space>(Join::concatenate), sum = branches<Space>(Join::add, 2, 2);
  CHECK(side.output_shape(x.shape()) == Shape{2, 7, 5, 3});
  CHECK(sum.output_shape(x.shape()) == x.shape());
  const auto y = test::run(side, x).template to<Cpu>(), z = test::run(sum, x).template to<Cpu>();
  auto small = conv<Space>(2, 2, 1);
  Sigmoid<double, Space> sigmoid;
  const auto first = test::run(small, x).template to<Cpu>(), last = test::run(sigmoid, x).template to<Cpu>();
  const auto deep = test::run(sum.template branch<Sequential<double, Space>>("deep"), x).template to<Cpu>();
  CHECK(y.at(1, 1, 4, 2) == first.at(1, 1, 4, 2));
  CHECK(y.at(1, 6, 4, 2) == last.at(1, 1, 4, 2));
  CHECK(z.at(1, 1, 4, 2) == first.at(1, 1, 4, 2) + deep.at(1, 1, 4, 2) + last.at(1, 1, 4, 2));
}

TEST_CASE_TEMPLATE("Parallel: gradients", Space, VENTRAL_TEST_SPACES) {
  const auto x = test::random_tensor<double, Space>({2, 2, 5, 3});
  for (auto p : {branches<Space>(Join::concatenate), branches<Space>(Join::add, 2, 2)}) {
    test::check_gradient(p, x, {.max_elements = 50});
    Sequential<double, Space> net;
    net.add("front", conv<Space>(2, 2, 3)).add("branches", p).add("back", Tanh<double, Space>());
    test::check_gradient(net, x, {.max_elements = 50});
  }
  Parallel<double, Space> one({.join = Join::add});
  one.add("only", conv<Space>(2, 4, 3));
  test::check_gradient(one, x, {.max_elements = 50});
  Parallel<double, Space> rows;
  rows.add("a", Tanh<double, Space>()).add("b", Sigmoid<double, Space>());
  test::check_gradient(rows, test::random_tensor<double, Space>({3, 4}));
}

namespace {

/// Branches without trained layers, joined in either way.
template <class Check>
void for_each_join(const Check& check) {
  for (const Join join : {Join::concatenate, Join::add})
    check([join]<class T, class Space> {
      Parallel<T, Space> p({.join = join});
      p.add("tanh", Tanh<T, Space>({.gain = 0.75})).add("sigmoid", Sigmoid<T, Space>()).add("relu", ReLU<T, Space>());
      return p;
    });
}

}  // namespace

TEST_CASE_TEMPLATE("Parallel: Cuda agrees with Cpu", T, float, double) {
  for (const Shape& shape : {Shape{3, 1}, Shape{3, 5, 7}, Shape{2, 3, 4, 8}, Shape{0, 2, 4, 4}})
    for_each_join([&](const auto& make) { test::check_agreement<T>(make, shape); });
}

TEST_CASE_TEMPLATE("Parallel: 16-bit numbers agree with float", T, bfloat16, half) {
  for_each_join([&](const auto& make) { test::check_narrow<T>(make, {3, 5, 7}, 6); });
}

TEST_CASE("Parallel: names, freezing, receptive field, no dx, empty batch") {
  Sequential<double> net;
  net.add("branches", branches<Cpu>(Join::concatenate));
  const auto p = net.parameters();
  CHECK(p.size() == 4);
  CHECK(p[0].name == "branches.small.weight");
  CHECK(p[2].name == "branches.deep.conv.weight");
  CHECK(net.field_after({}).size == Pair(3));
  auto& parallel = net.layer<Parallel<double>>("branches");
  CHECK(parallel.size() == 3);
  parallel.branch<Sequential<double>>("deep").freeze("conv");
  const auto x = test::random_tensor<double>({2, 2, 4, 4}), dy = test::random_tensor<double>({2, 7, 4, 4});
  net.forward(x, Mode::training);
  net.backward(dy);
  CHECK(p[0].parameter->gradient.size() == 4);
  CHECK(p[2].parameter->gradient.empty());
  net.freeze("branches");
  CHECK_FALSE(net.trains());
  net.unfreeze();
  net.zero_gradients();
  net.forward(x, Mode::training);
  net.backward(dy);
  CHECK(p[2].parameter->gradient.size() == p[2].parameter->value.size());
  CHECK(test::run_backward(parallel, Tensor<double>({0, 2, 4, 4}), Tensor<double>({0, 7, 4, 4})).dx.empty());
}

TEST_CASE("Parallel: errors") {
  Parallel<double> p;
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(p.output_shape({1, 2, 3, 3})); }) == "Parallel: no branches");
  p.add("a", conv<Cpu>(2, 2, 1));
  CHECK(test::message_of<Error>([&] { p.add("a", Tanh<double>()); }) == "branch name 'a' is taken by a Conv2d");
  CHECK(test::message_of<Error>([&] { p.add("b.c", Tanh<double>()); }) == "branch name 'b.c' must not be empty or contain a '.'");
  CHECK(test::message_of<Error>([&] { p.branch<Tanh<double>>("b"); }) == "no branch 'b'; there are: a");
  CHECK(test::message_of<Error>([&] { p.branch<Tanh<double>>("a"); }) == "branch 'a' is a Conv2d, not a Tanh");
  p.add("wide", Conv2d<double>({.in = 2, .out = 2, .kernel = 3}));
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(p.output_shape({1, 2, 5, 5})); }) ==
        "Parallel: branch 'wide' gives [1,2,3,3], which cannot be concatenated with [1,2,5,5] of 'a'");
  auto sum = branches<Cpu>(Join::add);
  CHECK(test::message_of<ShapeError>([&] {
          static_cast<void>(sum.output_shape({1, 2, 5, 5}));
        }) == "Parallel: branch 'deep' gives [1,3,5,5], which cannot be added to [1,2,5,5] of 'small'");
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(sum.output_shape({1, 3, 5, 5})); }).find("Conv2d 'small': input [1,3,5,5] has 3 channels") == 0);
}
