#include "support.hpp"
#include "ventral/layers/batch_norm2d.hpp"
#include "ventral/models/category_oracle.hpp"
#include "ventral/models/lenet.hpp"
#include "ventral/models/pixels.hpp"
#include "ventral/models/random_twin.hpp"

using namespace ventral;

TEST_CASE_TEMPLATE("baselines: pixels as they are, and as means of blocks", Space, VENTRAL_TEST_SPACES) {
  const Tensor<float> x({1, 2, 2, 3}, {1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60});
  const Tensor<float, Space> there = x.to<Space>();
  auto net = pixels<float, Space>();
  Tensor<float, Space> y(net.output_shape(x.shape()));
  y.copy_from(net.forward(there));
  CHECK(y.shape() == Shape{1, 12});
  CHECK(test::relative_error(y.template to<Cpu>(), Tensor<float>({1, 12}, {1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60})) == 0);

  auto coarse = pixels<float, Space>({.block = 2});
  Tensor<float, Space> means(coarse.output_shape(x.shape()));
  means.copy_from(coarse.forward(there));
  CHECK(test::relative_error(means.template to<Cpu>(), Tensor<float>({1, 4}, {3, 4.5f, 30, 45})) < 1e-6);  // the last block has one column
  CHECK(net.output_shape({0, 3, 4, 4}) == Shape{0, 48});
  CHECK(test::message_of<ShapeError>([&] {
          static_cast<void>(coarse.output_shape({3, 4}));
        }) == "MeanPool2d 'blocks': input [3,4] has rank 2; [N,C,H,W] expected");
}

TEST_CASE("baselines: the category oracle and its RDM") {
  const Tensor<std::int32_t> labels({4}, {1, 0, 1, 2});
  const Tensor<double> y = category_oracle<double>(labels, 3);
  CHECK(test::relative_error(y, Tensor<double>({4, 3}, {0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1})) == 0);
  const brain::Rdm rdm = category_rdm(labels);
  CHECK(std::vector<double>(rdm.values().begin(), rdm.values().end()) == std::vector<double>{1, 0, 1, 1, 1, 1});
  CHECK(category_oracle(Tensor<std::int32_t>(Shape{0}), 3).shape() == Shape{0, 3});
  CHECK(test::message_of<Error>([&] { static_cast<void>(category_oracle(labels, 2)); }) ==
        "category_oracle: label 2 of condition 3 is out of range; there are 2 classes, from 0");
  CHECK(test::message_of<ShapeError>([] {
          static_cast<void>(category_oracle(Tensor<std::int32_t>({2, 2}), 2));
        }) == "category_oracle: labels [2,2]; [N] is needed");
  CHECK(test::message_of<ShapeError>([] {
          static_cast<void>(category_rdm(Tensor<std::int32_t>({2, 2})));
        }) == "category_rdm: labels [2,2]; [N] is needed");
  CHECK(test::message_of<ShapeError>([] { static_cast<void>(category_rdm(Tensor<std::int32_t>(Shape{1}))); }) ==
        "an RDM of 1 conditions; at least 2 are needed");
}

TEST_CASE_TEMPLATE("baselines: a random twin has the architecture and nothing that was learned", Space, VENTRAL_TEST_SPACES) {
  auto net = lenet5<float, Space>({.seed = 4});
  const auto weight = [](auto& n) { return n.parameters()[0].parameter->value.template to<Cpu>(); };
  const Tensor<float> before = weight(net);
  auto twin = random_twin(net, 5), same = random_twin(net, 5), other = random_twin(net, 6);
  CHECK(twin.names() == net.names());
  CHECK(twin.parameter_count() == net.parameter_count());
  CHECK(test::relative_error(weight(net), before) == 0);
  CHECK(test::relative_error(weight(twin), before) > 0.5);
  CHECK(test::relative_error(weight(twin), weight(same)) == 0);
  CHECK(test::relative_error(weight(twin), weight(other)) > 0.5);
  auto fresh = lenet5<float, Space>({.seed = 5});
  CHECK(test::relative_error(weight(twin), weight(fresh)) == 0);  // what the network of that seed starts from

  Sequential<float, Space> learned;
  learned.add("bn", BatchNorm2d<float, Space>({.channels = 2}));
  learned.forward(test::random_tensor<float, Space>({4, 2, 3, 3}, 1, 5, 2), Mode::training);
  auto forgot = random_twin(learned, 1);
  const auto mean_of = [](auto& n) { return n.buffers()[0].buffer->value.template to<Cpu>(); };
  CHECK(mean_of(learned)[0] > 0.1f);
  CHECK(mean_of(forgot)[0] == 0);
}
