#include "ventral/layers/hcnn_layer.hpp"

#include "support.hpp"

using namespace ventral;

namespace {

HcnnLayerOptions layer_options(Index in, Index out) {
  return {.filter = {.in = in, .out = out, .kernel = 3, .padding = 1},
          .pool = {.kernel = 3, .stride = 2, .padding = 1},
          .normalize = {.channels = 3, .height = 3, .width = 3, .k = 0.5}};
}

}  // namespace

TEST_CASE("hcnn_layer: stages in the order given, under their names") {
  auto usual = hcnn_layer<double>(layer_options(2, 4));
  CHECK(usual.names() == std::vector<std::string>{"filter", "activation", "pool", "normalize"});
  CHECK(usual.output_shape({1, 2, 9, 7}) == Shape{1, 4, 5, 4});
  auto o = layer_options(2, 4);
  o.order = {Stage::normalize, Stage::filter, Stage::pool, Stage::activation};
  CHECK(hcnn_layer<double>(o).names() == std::vector<std::string>{"normalize", "filter", "pool", "activation"});
  o.order = {Stage::pool};
  o.filter = {};  // ignored when there is no filter stage
  CHECK(hcnn_layer<double>(o).names() == std::vector<std::string>{"pool"});
}

TEST_CASE_TEMPLATE("hcnn_layer: its output is that of its parts", Space, VENTRAL_TEST_SPACES) {
  auto o = layer_options(2, 4);
  o.activation = HcnnActivation::sigmoid;
  o.pool.kind = HcnnPool::mean;
  auto net = hcnn_layer<double, Space>(o);
  net.initialize(3);
  const auto x = test::random_tensor<double, Space>({2, 2, 9, 7});
  Sigmoid<double, Space> sigmoid;
  MeanPool2d<double, Space> pool({.kernel = 3, .stride = 2, .padding = 1});
  DivisiveNorm<double, Space> norm(o.normalize);
  const auto filtered = test::run(net.template layer<Conv2d<double, Space>>("filter"), x);
  const auto y = test::run(norm, test::run(pool, test::run(sigmoid, filtered))).template to<Cpu>();
  CHECK(test::relative_error(test::run(net, x).template to<Cpu>(), y) == 0);
  double size = 0;
  for (const double v : y) size += std::abs(v);
  CHECK(size > 1);
}

TEST_CASE("hcnn_layer: a stack on Cuda agrees with that on the CPU, forward and backward") {
  const auto check = [](const auto& x, const auto& dy, double tolerance) {
    using T = typename std::remove_cvref_t<decltype(x)>::Scalar;
    const auto outcome = [&](auto space) {
      using Space = decltype(space);
      auto second = layer_options(5, 3);
      second.normalize.learn = {.k = true, .alpha = true, .beta = true};
      Sequential<T, Space> net;
      net.add("V1", hcnn_layer<T, Space>(layer_options(2, 5))).add("V2", hcnn_layer<T, Space>(second));
      net.initialize(4);
      const auto r = test::run_backward(net, x.template to<Space>(), dy.template to<Space>());
      std::vector<Tensor<T>> all;
      all.push_back(r.y.template to<Cpu>());
      all.push_back(r.dx.template to<Cpu>());
      for (const auto& p : net.parameters()) all.push_back(p.parameter->gradient.template to<Cpu>());
      return all;
    };
    const auto expected = outcome(Cpu()), found = outcome(Cuda());
    REQUIRE(found.size() == 9);
    for (std::size_t i = 0; i < found.size(); ++i) CHECK(test::relative_error(found[i], expected[i]) < tolerance);
  };
  const auto x = test::random_tensor<double>({3, 2, 19, 13}), dy = test::random_tensor<double>({3, 3, 5, 4}, 2);
  check(x, dy, 1e-12);
  check(x.cast<float>(), dy.cast<float>(), 1e-4);
}

TEST_CASE_TEMPLATE("hcnn_layer: gradients of stacks, every activation and pool", Space, VENTRAL_TEST_SPACES) {
  for (const HcnnActivation activation : {HcnnActivation::relu, HcnnActivation::sigmoid, HcnnActivation::tanh})
    for (const HcnnPool pool : {HcnnPool::max, HcnnPool::mean, HcnnPool::lp}) {
      auto first = layer_options(2, 4), second = layer_options(4, 3);
      first.activation = second.activation = activation;
      first.pool.kind = second.pool.kind = pool;
      second.normalize.learn = {.k = true, .alpha = true, .beta = true};
      second.order = {Stage::filter, Stage::normalize, Stage::activation, Stage::pool};
      Sequential<double, Space> net;
      net.add("V1", hcnn_layer<double, Space>(first)).add("V2", hcnn_layer<double, Space>(second));
      net.initialize(4);
      CHECK(net.parameters()[2].name == "V2.filter.weight");
      test::check_gradient(net, test::random_tensor<double, Space>({2, 2, 9, 7}), {.max_elements = 40});
    }
}

TEST_CASE("hcnn_layer: receptive fields in the summary of a stack") {
  Sequential<float> net;
  net.add("V1", hcnn_layer<float>(layer_options(1, 8))).add("V2", hcnn_layer<float>(layer_options(8, 8)));
  // filter 3, pool 5, box 9; then, 2 pixels apart: 13, 17, 25
  CHECK(net.field_after({}).size == Pair(25));
  CHECK(net.field_after({}).jump == Pair(4));
  CHECK(net.summary({1, 1, 32, 32}).find("     25     4\n") != std::string::npos);
}

TEST_CASE("hcnn_layer: errors") {
  auto o = layer_options(1, 2);
  o.order = {};
  CHECK(test::message_of<Error>([&] { hcnn_layer<float>(o); }) == "hcnn_layer: the order names no stage; filter, activation, pool, normalize can be given");
  o.order = {Stage::filter, Stage::pool, Stage::filter};
  CHECK(test::message_of<Error>([&] { hcnn_layer<float>(o); }) == "hcnn_layer: the order names filter twice");
  Sequential<float> net;
  net.add("V1", hcnn_layer<float>(layer_options(3, 2)));
  CHECK(test::message_of<ShapeError>([&] {
          static_cast<void>(net.output_shape({1, 1, 8, 8}));
        }).find("Sequential 'V1': Conv2d 'filter': input [1,1,8,8] has 1 channels") == 0);
}
