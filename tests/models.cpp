#include <vector>

#include "support.hpp"
#include "ventral/loss.hpp"
#include "ventral/models/lenet.hpp"
#include "ventral/models/mlp.hpp"
#include "ventral/models/modern_lenet.hpp"
#include "ventral/models/perceptron.hpp"
#include "ventral/optimizer.hpp"

using namespace ventral;

TEST_CASE_TEMPLATE("LeNet-5: layers, names, parameters", Space, VENTRAL_TEST_SPACES) {
  auto net = lenet5<float, Space>();
  CHECK(net.parameter_count() == 61706);
  CHECK(net.output_shape({3, 1, 28, 28}) == Shape{3, 10});
  CHECK(net.names() == std::vector<std::string>{"conv1", "act1", "pool1", "conv2", "act2", "pool2", "flatten", "fc1", "act3", "fc2", "act4", "fc3"});
  CHECK(net.parameters().front().name == "conv1.weight");
  CHECK(net.parameters().back().name == "fc3.bias");
  CHECK(net.flops({1, 1, 28, 28}) > 800000);
  CHECK(net.flops({1, 1, 28, 28}) < 900000);
  CHECK(lenet5<float, Space>({.style = LeNetStyle::lecun, .channels = 3, .classes = 100}).output_shape({1, 3, 28, 28}) == Shape{1, 100});
  CHECK(test::message_of<ShapeError>([&] {
          static_cast<void>(net.output_shape({3, 3, 28, 28}));
        }) == "Conv2d 'conv1': input [3,3,28,28] has 3 channels; weight [6,1,5,5] expects 1");
}

TEST_CASE_TEMPLATE("LeNet-5: gradients of the whole network", Space, VENTRAL_TEST_SPACES) {
  for (const LeNetStyle style : {LeNetStyle::modern, LeNetStyle::lecun}) {
    auto net = lenet5<double, Space>({.style = style, .seed = 3});
    test::check_gradient(net, test::random_tensor<double, Space>({1, 1, 28, 28}), {.max_elements = 10});
  }
}

TEST_CASE_TEMPLATE("modern LeNet: size, cost, a gradient for every parameter", Space, VENTRAL_TEST_SPACES) {
  auto net = modern_lenet<float, Space>();
  CHECK(net.output_shape({2, 1, 28, 28}) == Shape{2, 10});
  CHECK(net.parameter_count() == 32 * 9 + 32 * 32 * 9 + 64 * 32 * 9 + 64 * 64 * 9 + 2 * (32 + 32 + 64 + 64) + 1024 * 128 + 128 + 128 * 10 + 10);
  CHECK(net.parameter_count() <= 500000);
  CHECK(net.flops({1, 1, 28, 28}) < 25000000);
  CHECK(net.buffers().size() >= 8);
  // Every layer's gradient is checked on its own; here, that each gets one.
  const auto x = test::random_tensor<float, Space>({2, 1, 28, 28});
  const In<float, Space> y = net.forward(x, Mode::training);
  Tensor<float, Space> dy(y.shape);
  SoftmaxCrossEntropy<float, Space>()(y, Tensor<std::int32_t, Space>({2}), dy);
  net.backward(dy);
  for (const auto& p : net.parameters()) {
    INFO(p.name);
    CHECK(test::relative_error(p.parameter->gradient.template to<Cpu>(), Tensor<float>(p.parameter->value.shape())) > 0);
    CHECK(test::relative_error(p.parameter->gradient.template to<Cpu>(), Tensor<float>(p.parameter->value.shape())) < 1e3);
  }
}

TEST_CASE_TEMPLATE("a network made twice from a seed has the same weights; from another, others", Space, VENTRAL_TEST_SPACES) {
  auto a = lenet5<float, Space>({.seed = 7}), b = lenet5<float, Space>({.seed = 7}), c = lenet5<float, Space>({.seed = 8});
  const auto weight = [](auto& net) { return net.parameters()[0].parameter->value.template to<Cpu>(); };
  CHECK(test::relative_error(weight(a), weight(b)) == 0);
  CHECK(test::relative_error(weight(a), weight(c)) > 0.1);
}

TEST_CASE_TEMPLATE("MLP: sizes, names, XOR", Space, VENTRAL_TEST_SPACES) {
  auto net = mlp<double, Space>({.sizes = {2, 4, 2}, .activation = MLPActivation::tanh, .seed = 2});
  CHECK(net.names() == std::vector<std::string>{"flatten", "fc1", "act1", "fc2"});
  CHECK(net.parameter_count() == 2 * 4 + 4 + 4 * 2 + 2);
  CHECK(mlp<float, Space>().output_shape({5, 1, 28, 28}) == Shape{5, 10});
  CHECK(test::message_of<Error>([] { mlp<float, Space>({.sizes = {3}}); }) == "mlp: 1 sizes; at least those of input and output are needed");

  const auto x = Tensor<double, Cpu>({4, 2}, {0, 0, 0, 1, 1, 0, 1, 1}).to<Space>();
  const auto y = Tensor<std::int32_t, Cpu>({4}, {0, 1, 1, 0}).to<Space>();
  Tensor<double, Space> dy({4, 2});
  SoftmaxCrossEntropy<double, Space> loss;
  Adam<double, Space> adam(net.parameters(), {.rate = 0.05});
  double value = 1;
  for (int i = 0; i < 300; ++i) {
    adam.zero_gradients();
    value = loss(net.forward(x, Mode::training), y, dy);
    net.backward(dy);
    adam.step();
  }
  CHECK(value < 0.01);
}

TEST_CASE("perceptron: Rosenblatt's rule, AND is learnt, XOR cannot be") {
  const Tensor<double> x({4, 2}, {0, 0, 0, 1, 1, 0, 1, 1});
  const Tensor<std::int32_t> both({4}, {-1, -1, -1, 1}), either({4}, {-1, 1, 1, -1});
  Perceptron unit(2);
  CHECK(unit.learn(x.data() + 6, 1));  // a sum of 0 is a mistake, even if the answer would be right
  CHECK(unit.w == std::vector<double>{1, 1});
  CHECK(unit.b == 1);
  CHECK(!unit.learn(x.data() + 6, 1));

  Perceptron conjunction(2);
  Index mistakes = 0, last = -1;
  for (int epoch = 0; epoch < 100 && last != 0; ++epoch) mistakes += last = conjunction.learn(x, both);
  CHECK(last == 0);
  CHECK(conjunction.right(x, both) == 4);
  Perceptron separator(2);
  separator.w = {1, 1}, separator.b = -1.5;
  CHECK(mistake_bound(separator, x, both) == doctest::Approx(3 * 4.25 / 0.25));  // R^2 = 3, gamma = 0.5 / sqrt(4.25)
  CHECK(static_cast<double>(mistakes) <= mistake_bound(separator, x, both));

  Perceptron stuck(2);
  Index best = 0;
  for (int epoch = 0; epoch < 100; ++epoch) {
    CHECK(stuck.learn(x, either) > 0);
    best = std::max(best, stuck.right(x, either));
  }
  CHECK(best <= 3);
  CHECK(mistake_bound(separator, x, either) == INFINITY);
  CHECK(test::message_of<ShapeError>([&] {
          stuck.learn(Tensor<double>({4, 3}), both);
        }) == "Perceptron: examples [4,3] and labels [4]; expected [N,2] and [N]");
  CHECK(test::message_of<Error>([&] { stuck.learn(x.data(), 0); }) == "Perceptron: label 0; -1 or 1 expected");
}
