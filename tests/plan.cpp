#include "ventral/plan.hpp"

#include "support.hpp"
#include "ventral/cpu/parallel.hpp"
#include "ventral/layers/activation.hpp"
#include "ventral/layers/batch_norm2d.hpp"
#include "ventral/layers/conv2d.hpp"
#include "ventral/layers/divisive_norm.hpp"
#include "ventral/layers/dropout.hpp"
#include "ventral/layers/flatten.hpp"
#include "ventral/layers/gdn.hpp"
#include "ventral/layers/global_pool.hpp"
#include "ventral/layers/linear.hpp"
#include "ventral/layers/local_response_norm.hpp"
#include "ventral/layers/parallel.hpp"
#include "ventral/layers/pool2d.hpp"
#include "ventral/layers/residual.hpp"
#include "ventral/profile.hpp"

// What a network plans, formats and fused stages, must change no result beyond rounding: the same network in double runs layer by layer, in rows.

using namespace ventral;

namespace {

template <class T>
Sequential<T> lenet() {
  Sequential<T> net;
  net.add("conv1", Conv2d<T>({.in = 1, .out = 6, .kernel = 5, .padding = 2})).add("relu1", ReLU<T>()).add("pool1", MaxPool2d<T>());
  net.add("conv2", Conv2d<T>({.in = 6, .out = 16, .kernel = 5})).add("relu2", ReLU<T>()).add("pool2", MaxPool2d<T>());
  net.add("flatten", Flatten<T>()).add("fc1", Linear<T>({.in = 64, .out = 20})).add("relu3", ReLU<T>()).add("fc2", Linear<T>({.in = 20, .out = 3}));
  return net;
}

template <class T>
Sequential<T> lecun() {
  Sequential<T> net;
  net.add("conv1", Conv2d<T>({.in = 1, .out = 3, .kernel = 3})).add("tanh1", Tanh<T>()).add("pool1", MeanPool2d<T>());
  net.add("conv2", Conv2d<T>({.in = 3, .out = 5, .kernel = 2, .bias = false})).add("pool2", MeanPool2d<T>()).add("sigmoid", Sigmoid<T>());
  return net;
}

template <class T>
Sequential<T> alexnet() {
  Sequential<T> net;
  net.add("norm0", LocalResponseNorm<T>({.size = 1}));
  net.add("conv1", Conv2d<T>({.in = 1, .out = 8, .kernel = 5, .stride = 2})).add("relu1", ReLU<T>()).add("norm1", LocalResponseNorm<T>({.size = 5}));
  net.add("pool1", MaxPool2d<T>({.kernel = 3, .stride = 2, .rounding = Rounding::ceil}));
  net.add("conv2", Conv2d<T>({.in = 8, .out = 6, .kernel = 3, .padding = 1, .groups = 2})).add("relu2", ReLU<T>()).add("gdn", GDN<T>({.channels = 6}));
  net.add("conv3", Conv2d<T>({.in = 6, .out = 4, .kernel = 1})).add("pool3", MaxPool2d<T>()).add("relu3", ReLU<T>());
  return net;
}

template <class T>
Sequential<T> residual() {
  Sequential<T> body, branch, net;
  body.add("conv", Conv2d<T>({.in = 4, .out = 4, .kernel = 3, .padding = 1, .bias = false})).add("norm", BatchNorm2d<T>({.channels = 4})).add("relu", ReLU<T>());
  branch.add("conv", Conv2d<T>({.in = 4, .out = 2, .kernel = 1})).add("elu", ELU<T>());
  Parallel<T> both;
  both.add("one", body).add("two", branch);
  net.add("conv", Conv2d<T>({.in = 1, .out = 4, .kernel = 3, .padding = 1, .bias = false})).add("norm", BatchNorm2d<T>({.channels = 4})).add("relu", ReLU<T>());
  net.add("block", Residual<T>(body)).add("pool", MaxPool2d<T>()).add("both", both).add("depthwise", Conv2d<T>({.in = 6, .out = 6, .kernel = 3, .groups = 6}));
  net.add("global", GlobalMeanPool<T>()).add("flatten", Flatten<T>()).add("fc", Linear<T>({.in = 6, .out = 3})).add("relu2", ReLU<T>());
  return net;
}

/// The network `net` in float beside itself in double: outputs, every activation, and all gradients.
void compare(Sequential<float> (*make)(), Sequential<double> (*make_double)(), Index batch, Index side) {
  CAPTURE(batch);
  auto net = make();
  auto exact = make_double();
  net.initialize(7);
  const auto from = net.parameters();
  const auto to = exact.parameters();
  for (std::size_t i = 0; i < from.size(); ++i) to[i].parameter->value = from[i].parameter->value.template cast<double>();
  const auto x = test::random_tensor<float>({batch, 1, side, side}, 3);
  const auto exact_x = x.template cast<double>();
  const auto same = [](In<float> a, In<double> b, double tolerance) {
    REQUIRE(a.shape == b.shape);
    REQUIRE(a.format == Format::rows);
    double error = 0, norm = 0;
    for (Index i = 0; i < a.size(); ++i) {
      error += (static_cast<double>(a.data[i]) - b.data[i]) * (static_cast<double>(a.data[i]) - b.data[i]);
      norm += b.data[i] * b.data[i];
    }
    CHECK(error <= tolerance * tolerance * norm);
  };
  same(net.forward(x), exact.forward(exact_x), 2e-6);
  same(net.forward(x, Keep::activations), exact.forward(exact_x, Keep::activations), 2e-6);
  for (const auto& name : net.names()) {
    CAPTURE(name);
    same(net.activation(name), exact.activation(name), 2e-6);
  }
  const auto y = net.forward(x, Mode::training);
  const auto exact_y = exact.forward(exact_x, Mode::training);
  same(y, exact_y, 2e-6);
  for (const auto& name : net.names()) {
    CAPTURE(name);
    same(net.activation(name), exact.activation(name), 2e-6);
  }
  const auto dy = test::random_tensor<float>(y.shape, 4);
  Tensor<float> dx(x.shape());
  Tensor<double> exact_dx(x.shape());
  net.backward(dy, dx);
  exact.backward(dy.template cast<double>(), exact_dx);
  same(dx, exact_dx, 2e-5);
  for (std::size_t i = 0; i < from.size(); ++i) {
    CAPTURE(from[i].name);
    same(from[i].parameter->gradient, to[i].parameter->gradient, 2e-5);
  }
  net.backward(dy);  // without dx, and once more: gradients add up
  for (std::size_t i = 0; i < from.size(); ++i) {
    auto twice = to[i].parameter->gradient.clone();
    for (double& v : twice) v *= 2;
    same(from[i].parameter->gradient, twice, 2e-5);
  }
}

}  // namespace

TEST_CASE("plan: networks give the results of their layers, whatever formats and fused stages they run in") {
  for (const Index batch : {0, 1, 7, 8, 15, 16, 17, 33}) {
    compare(lenet<float>, lenet<double>, batch, 16);
    compare(lecun<float>, lecun<double>, batch, 9);
    compare(alexnet<float>, alexnet<double>, batch, 23);
    if (batch > 0) compare(residual<float>, residual<double>, batch, 10);
  }
}

TEST_CASE("plan: the same bits for any number of threads, as a layer, and from one step to the next") {
  auto net = residual<float>();
  const auto x = test::random_tensor<float>({40, 1, 10, 10}, 3), dy = test::random_tensor<float>({40, 3}, 4);
  std::vector<Tensor<float>> first;
  const int before = cpu::threads();
  for (const int threads : {1, 2, 5}) {
    cpu::set_threads(threads);
    for (int step = 0; step < 2; ++step) {
      net.zero_gradients();
      net.forward(x, Mode::training);
      net.backward(dy);
      std::size_t i = 0;
      for (const auto& p : net.parameters()) {
        if (first.size() <= i) first.push_back(p.parameter->gradient.clone());
        CHECK(test::largest_difference(p.parameter->gradient, first[i]) == 0);
        ++i;
      }
    }
  }
  cpu::set_threads(before);
}

TEST_CASE("plan: a stretch of layers in blocks begins where one prefers them, and formats are converted where no layer does") {
  const auto stage = [](bool takes, bool prefers, bool mixes) {
    detail::PlannedStage s;
    s.traits = {.takes_blocks = takes, .prefers_blocks = prefers, .mixes_formats = mixes};
    s.x = s.y = Shape{16, 2};
    return s;
  };
  const auto text = [](const detail::Plan& plan) {
    std::string out;
    for (const auto& s : plan.stages) {
      out += s.kind == detail::PlannedStage::Kind::conversion ? "c" : s.kind == detail::PlannedStage::Kind::view ? "v" : "l";
      out += s.from == Format::rows ? "r" : "b";
      out += s.to == Format::rows ? "r " : "b ";
    }
    return out;
  };
  const auto neutral = stage(true, false, false), conv = stage(true, true, true), rows = stage(false, false, false);
  auto view = stage(false, false, false);
  view.kind = detail::PlannedStage::Kind::view;
  const auto planned = [&](std::vector<detail::PlannedStage> stages) {
    detail::Plan plan;
    plan.stages = std::move(stages);
    detail::plan_formats(plan);
    return text(plan);
  };
  CHECK(planned({}) == "");
  CHECK(planned({neutral, neutral}) == "lrr lrr ");
  CHECK(planned({neutral, conv, neutral}) == "lrr lrb lbb cbr ");
  CHECK(planned({conv, conv, rows}) == "lrb lbr lrr ");
  CHECK(planned({conv, neutral, rows, conv}) == "lrb lbb cbr lrr lrr ");
  CHECK(planned({conv, view, rows}) == "lrr vrr lrr ");
  CHECK(planned({conv, neutral, view, rows}) == "lrb lbb vbb cbr lrr ");
}

TEST_CASE("plan: memory() tells what a training step will hold") {
  auto net = residual<float>();
  net.add("dropout", Dropout<float>({.rate = 0.5}));
  for (const Index batch : {3, 16, 21}) {
    const Shape shape{batch, 1, 10, 10};
    const NetworkMemory m = net.memory(shape), inference = net.memory(shape, Mode::inference);
    CHECK(m.parameters == net.parameter_count() * 4);
    CHECK(m.gradients == m.parameters);
    CHECK(inference.kept > 0);  // of the residual block
    CHECK(inference.kept < m.kept);
    CHECK(inference.gradients == 0);
    CHECK(inference.arena < m.arena);
  }
  for (auto make : {lenet<float>, lecun<float>, alexnet<float>, residual<float>})
    for (const Index batch : {3, 16, 21}) {
      CAPTURE(batch);
      auto one = make();
      one.add("dropout", Dropout<float>({.rate = 0.5}));
      const Index side = make == lecun<float> ? 9 : make == alexnet<float> ? 23 : make == lenet<float> ? 16 : 10;
      const auto x = test::random_tensor<float>({batch, 1, side, side}, 3);
      Tensor<float> y(one.output_shape(x.shape())), dx(x.shape());
      Out<float> to = dx.ref();
      Pass<Cpu> pass(Mode::training);
      one.forward(x, y, pass);
      one.backward(x, y, y, &to, pass);
      CHECK(pass.kept_memory() == one.kept_bytes(x.shape(), Format::rows, Mode::training));
      Pass<Cpu> lean(Mode::inference);
      one.forward(x, y, lean);
      CHECK(lean.kept_memory() == one.kept_bytes(x.shape(), Format::rows, Mode::inference));
    }
}

TEST_CASE("plan: NaN and infinity end in a fused stage where they end layer by layer") {
  const auto step = []<class T, class Pool>(T, Pool pool, bool relu) {
    Sequential<T> net;  // the convolution passes the first two of three columns
    Conv2d<T> first({.in = 1, .out = 1, .kernel = {1, 2}, .bias = false});
    first.weight.value[0] = 1, first.weight.value[1] = 0;
    net.add("conv", first);
    if (relu) net.add("relu", ReLU<T>());
    net.add("pool", pool);
    Tensor<T> x({16, 1, 2, 3});
    for (Index i = 0; i < x.size(); ++i) x[i] = static_cast<T>(i % 7 - 3);
    const T nan = std::numeric_limits<T>::quiet_NaN(), infinity = std::numeric_limits<T>::infinity();
    x[0] = x[4] = nan, x[6 + 3] = nan, x[12] = infinity, x[18] = -infinity, x[24] = infinity, x[24 + 4] = nan;
    const In<T> y = net.forward(x, Mode::training);
    Tensor<T> dy(y.shape), dx(x.shape());
    dy.fill(1);
    net.backward(dy, dx);
    std::vector<double> all(dx.begin(), dx.end());
    for (Index i = 0; i < y.size(); ++i) all.push_back(static_cast<double>(y.data[i]));
    return all;
  };
  const auto check = [](const std::vector<double>& fused, const std::vector<double>& apart) {
    for (std::size_t i = 0; i < fused.size(); ++i) {
      CAPTURE(i);
      CHECK((fused[i] == apart[i] || (fused[i] != fused[i] && apart[i] != apart[i])));
    }
  };
  for (const bool relu : {false, true}) {
    CAPTURE(relu);
    check(step(float(), MaxPool2d<float>(), relu), step(double(), MaxPool2d<double>(), relu));
    check(step(float(), MeanPool2d<float>(), relu), step(double(), MeanPool2d<double>(), relu));
  }
}

TEST_CASE("profile: a row for each stage, times that add up, and a table") {
  auto net = lenet<float>();
  const auto x = test::random_tensor<float>({16, 1, 16, 16}, 3);
  const Profile p = net.profile(x, {.steps = 3});
  CHECK(p.images == 16);
  double flop = 0;
  for (const auto& r : p.rows) {
    CHECK(r.forward > 0);
    CHECK(r.bytes > 0);
    flop += r.flop;
  }
  CHECK(flop == static_cast<double>(net.flops(x.shape())));
  REQUIRE(p.rows.size() == 4);
  CHECK(p.rows[0].layers == "conv1+relu1+pool1");
  CHECK(p.rows[0].format == Format::blocks);
  CHECK(p.rows[1].layers == "conv2+relu2+pool2");
  CHECK(p.rows[1].format == Format::rows);  // for the linear layer
  CHECK(p.rows[2].layers == "fc1+relu3");
  CHECK(p.text().find("conv1") != std::string::npos);
  CHECK(p.backward() > 0);
  const Profile inference = net.profile(x, {.steps = 1, .backward = false});
  CHECK(inference.backward() == 0);
  CHECK_THROWS_AS(net.profile(test::random_tensor<float>({16, 2, 16, 16}, 3), {}), ShapeError);
  net.forward(x);  // the clocks of the failed profile are gone (the address sanitizer would tell)
}
