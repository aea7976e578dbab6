#include "ventral/sequential.hpp"

#include <memory>
#include <thread>

#include "support.hpp"
#include "ventral/layers/activation.hpp"
#include "ventral/layers/conv2d.hpp"
#include "ventral/layers/divisive_norm.hpp"
#include "ventral/layers/flatten.hpp"
#include "ventral/layers/linear.hpp"
#include "ventral/layers/pool2d.hpp"

using namespace ventral;

namespace {

using Net = Sequential<double>;

/// [N,2,6,5] -> [N,4]: filter, tanh, pool, normalize, flatten, linear.
template <class Space = Cpu>
Sequential<double, Space> small_net(std::uint64_t seed = 3) {
  Sequential<double, Space> net;
  net.add("conv", Conv2d<double, Space>({.in = 2, .out = 3, .kernel = 3}))
      .add("tanh", Tanh<double, Space>())
      .add("pool", MaxPool2d<double, Space>({.kernel = 2, .stride = 1}))
      .add("norm", DivisiveNorm<double, Space>({.channels = 3, .learn = {.k = true, .alpha = true}}))
      .add("flat", Flatten<double, Space>())
      .add("fc", Linear<double, Space>({.in = 3 * 3 * 2, .out = 4}));
  net.initialize(seed);
  return net;
}

Tensor<double> input(Index batch = 2, std::uint64_t seed = 1) { return test::random_tensor<double>({batch, 2, 6, 5}, seed); }

/// What a Probe was asked to do.
struct Calls {
  int forward = 0, backward = 0, with_dx = 0;
};

/// y = weight x with one weight, or y = x with none; counts its calls.
class Probe {
 public:
  using Scalar = double;
  using Space = Cpu;
  static constexpr const char* kind = "Probe";

  std::shared_ptr<Calls> calls = std::make_shared<Calls>();
  Parameter<double, Cpu> weight;

  explicit Probe(bool has_weight) : weight({has_weight ? 1 : 0}) { weight.value.fill(2); }
  Shape output_shape(const Shape& x) const { return x; }
  void forward(In<double> x, Out<double> y, Pass<Cpu>&) {
    ++calls->forward;
    for (Index i = 0; i < x.size(); ++i) y.data[i] = x.data[i] * factor();
  }
  void backward(In<double> x, In<double>, In<double> dy, Out<double>* dx, Pass<Cpu>&) {
    ++calls->backward;
    calls->with_dx += dx != nullptr;
    for (Index i = 0; dx && i < x.size(); ++i) dx->data[i] = dy.data[i] * factor();
    if (weight.value.empty() || weight.frozen) return;
    for (Index i = 0; i < x.size(); ++i) weight.accumulated_gradient().data[0] += dy.data[i] * x.data[i];
  }
  std::vector<NamedParameter<double, Cpu>> parameters() {
    if (weight.value.empty()) return {};
    return {{"weight", &weight}};
  }

 private:
  double factor() const { return weight.value.empty() ? 1 : weight.value[0]; }
};

bool equal(In<double> a, In<double> b) { return a.shape == b.shape && std::equal(a.data, a.data + a.size(), b.data); }

}  // namespace

TEST_CASE_TEMPLATE("Sequential: forward is its layers one after another, in every mode", Space, VENTRAL_TEST_SPACES) {
  auto net = small_net<Space>();
  const auto x = test::random_tensor<double, Space>({2, 2, 6, 5});
  auto& conv = net.template layer<Conv2d<double, Space>>("conv");
  Tanh<double, Space> tanh;
  MaxPool2d<double, Space> pool({.kernel = 2, .stride = 1});
  const auto a = test::run(conv, x), b = test::run(tanh, a), c = test::run(pool, b), d = test::run(net.template layer<DivisiveNorm<double, Space>>("norm"), c);
  Flatten<double, Space> flatten;
  const auto y = test::run(net.template layer<Linear<double, Space>>("fc"), test::run(flatten, d)).template to<Cpu>();
  const auto copy_of = [](In<double, Space> r) {
    auto t = Tensor<double, Space>::uninitialized(r.shape);
    t.copy_from(r);
    return t.template to<Cpu>();
  };
  CHECK(test::relative_error(copy_of(net.forward(x)), y) == 0);
  CHECK(test::relative_error(copy_of(net.forward(x, Keep::activations)), y) == 0);
  CHECK(test::relative_error(copy_of(net.forward(x, Mode::training)), y) == 0);
  CHECK(test::relative_error(test::run(net, x).template to<Cpu>(), y) == 0);
  CHECK(test::relative_error(copy_of(net.activation("tanh")), b.template to<Cpu>()) == 0);
  CHECK(net.activation("flat").shape == Shape{2, 18});
}

TEST_CASE_TEMPLATE("Sequential: gradients, alone, nested, and as the caller asks for dx", Space, VENTRAL_TEST_SPACES) {
  auto net = small_net<Space>();
  const auto x = test::random_tensor<double, Space>({2, 2, 6, 5});
  test::check_gradient(net, x, {.max_elements = 60});
  Sequential<double, Space> outer;
  outer.add("front", Conv2d<double, Space>({.in = 2, .out = 2, .kernel = 3, .padding = 1})).add("block", net).add("end", Sigmoid<double, Space>());
  test::check_gradient(outer, x, {.max_elements = 60});

  net.zero_gradients();
  net.forward(x, Mode::training);
  const auto dy = test::random_tensor<double, Space>({2, 4}, 8);
  Tensor<double, Space> dx(x.shape());
  net.backward(dy, dx);
  const auto with_dx = net.parameters()[0].parameter->gradient.clone().template to<Cpu>();
  net.zero_gradients();
  net.forward(x, Mode::training);
  net.backward(dy);
  CHECK(test::relative_error(net.parameters()[0].parameter->gradient.template to<Cpu>(), with_dx) == 0);
  net.backward(dy);  // gradients add up
  auto twice = with_dx.clone();
  for (double& v : twice) v *= 2;
  CHECK(test::relative_error(net.parameters()[0].parameter->gradient.template to<Cpu>(), twice) < 1e-15);
  CHECK(test::relative_error(test::run_backward(net, x, dy).dx.template to<Cpu>(), dx.template to<Cpu>()) == 0);
}

TEST_CASE("Sequential: empty networks and views at either end") {
  Net nothing;
  const auto x = input();
  CHECK(equal(nothing.forward(x), x));
  const auto r = test::run_backward(nothing, x, x);
  CHECK(equal(r.y, x));
  CHECK(equal(r.dx, x));
  Net flat;
  flat.add("flat", Flatten<double>());
  const auto dy = test::random_tensor<double>({2, 60}, 4);
  const auto f = test::run_backward(flat, x, dy);
  CHECK(equal(f.y, x.reshaped({2, 60})));
  CHECK(equal(f.dx, dy.reshaped(x.shape())));
  Net ends;
  ends.add("flat", Flatten<double>()).add("tanh", Tanh<double>()).add("again", Flatten<double>());
  test::check_gradient(ends, x);
  Tensor<double> dx(x.shape());
  ends.forward(x, Mode::training);
  ends.backward(dy, dx);
  CHECK(equal(dx, test::run_backward(ends, x, dy).dx));
  CHECK(equal(ends.activation("again"), ends.activation("tanh")));
}

TEST_CASE("Sequential: names, layers, replace, truncate, and errors that list what exists") {
  auto net = small_net();
  CHECK(net.size() == 6);
  CHECK(net.names() == std::vector<std::string>{"conv", "tanh", "pool", "norm", "flat", "fc"});
  CHECK(test::message_of<Error>([&] { net.add("conv", Tanh<double>()); }) == "layer name 'conv' is taken by a Conv2d");
  CHECK(test::message_of<Error>([&] { net.add("", Tanh<double>()); }) == "layer name '' must not be empty or contain a '.'");
  CHECK(test::message_of<Error>([&] { net.add("a.b", Tanh<double>()); }) == "layer name 'a.b' must not be empty or contain a '.'");
  const std::string known = "; the network has: conv, tanh, pool, norm, flat, fc";
  CHECK(test::message_of<Error>([&] { net.layer<Tanh<double>>("fc2"); }) == "no layer 'fc2'" + known);
  CHECK(test::message_of<Error>([&] { net.freeze("x"); }) == "no layer 'x'" + known);
  CHECK(test::message_of<Error>([&] { net.truncate("x"); }) == "no layer 'x'" + known);
  CHECK(test::message_of<Error>([&] { net.replace("x", Tanh<double>()); }) == "no layer 'x'" + known);
  CHECK(test::message_of<Error>([&] { net.capture(input(), {"conv", "x"}); }) == "no layer 'x'" + known);
  CHECK(test::message_of<Error>([&] { net.layer<Tanh<double>>("conv"); }) == "layer 'conv' is a Conv2d, not a Tanh");
  CHECK(test::message_of<Error>([&] { Net().truncate("x"); }) == "no layer 'x'; the network has: no layers");

  net.replace("tanh", ReLU<double>());
  CHECK(net.names()[1] == "tanh");
  const auto rectified = net.capture(input(), {"tanh"});
  CHECK(*std::min_element(rectified[0].begin(), rectified[0].end()) == 0);
  net.truncate("pool");
  CHECK(net.size() == 3);
  CHECK(net.output_shape({1, 2, 6, 5}) == Shape{1, 3, 3, 2});
  CHECK(net.forward(input()).shape == Shape{2, 3, 3, 2});
}

TEST_CASE("Sequential: misuse is a precise error") {
  auto net = small_net();
  const auto x = input();
  Tensor<double> dx(x.shape()), dy({2, 4});
  const std::string needed = "Sequential: backward needs a forward pass with Mode::training before it";
  CHECK(test::message_of<Error>([&] { net.backward(dy); }) == needed);
  CHECK(test::message_of<Error>([&] { net.backward(dy, dx); }) == needed);
  CHECK(test::message_of<Error>([&] { static_cast<void>(net.activation("conv")); }) ==
        "activation 'conv': run forward with Keep::activations or Mode::training first");
  net.forward(x);
  CHECK(test::message_of<Error>([&] { net.backward(dy); }) == needed);
  CHECK(test::message_of<Error>([&] { static_cast<void>(net.activation("conv")); }).find("Keep::activations") != std::string::npos);
  net.forward(x, Mode::training);
  CHECK(test::message_of<ShapeError>([&] { net.backward(Tensor<double>({2, 5})); }) == "Sequential: dy has shape [2,5]; the output has [2,4]");
  Tensor<double> narrow({2, 2, 6, 4});
  CHECK(test::message_of<ShapeError>([&] { net.backward(dy, narrow); }) == "Sequential: dx has shape [2,2,6,4]; the input has [2,2,6,5]");
  CHECK(test::message_of<ShapeError>([&] {
          net.forward(Tensor<double>({1, 3, 6, 5}));
        }) == "Conv2d 'conv': input [1,3,6,5] has 3 channels; weight [3,2,3,3] expects 2");
  CHECK(test::message_of<Error>([&] { net.backward(dy); }) == needed);  // the failed forward counts for nothing
  Pass<Cpu> pass;
  Tensor<double> y({2, 5});
  CHECK(test::message_of<ShapeError>([&] { net.forward(x, y, pass); }) == "Sequential: y has shape [2,5]; expected [2,4]");
  Net outer;
  outer.add("block", net);
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(outer.output_shape({1, 2, 8, 5})); }).find("Sequential 'block': Linear 'fc': ") == 0);
  net.forward(x, Mode::training);
  net.replace("tanh", ReLU<double>());
  CHECK(test::message_of<Error>([&] { net.backward(dy); }) == needed);  // another network now
}

TEST_CASE("Sequential: parameters and buffers bear full names, also of nested networks") {
  Net outer;
  outer.add("block", small_net()).add("fc", Linear<double>({.in = 4, .out = 2}));
  std::vector<std::string> names;
  for (const auto& p : outer.parameters()) names.push_back(p.name);
  CHECK(names == std::vector<std::string>{"block.conv.weight", "block.conv.bias", "block.norm.k", "block.norm.alpha", "block.fc.weight", "block.fc.bias",
                                          "fc.weight", "fc.bias"});
  CHECK(outer.parameter_count() == 3 * 2 * 9 + 3 + 2 + 18 * 4 + 4 + 8 + 2);
  CHECK(outer.buffers().empty());
}

TEST_CASE("Sequential: copies share nothing; moves keep the weights") {
  auto net = small_net();
  const auto x = input();
  const auto y = test::run(net, x);
  Net copy = net;
  copy.parameters()[0].parameter->value.fill(0);
  CHECK(equal(net.forward(x), y));
  CHECK_FALSE(equal(copy.forward(x), y));
  copy = net.clone();
  CHECK(equal(copy.forward(x), y));
  copy.freeze("conv");
  CHECK_FALSE(net.parameters()[0].parameter->frozen);
  const Net frozen_copy = copy;
  CHECK(Net(frozen_copy).parameters()[0].parameter->frozen);
  Net moved = std::move(net);
  CHECK(equal(moved.forward(x), y));
  moved = small_net(99);
  CHECK_FALSE(equal(moved.forward(x), y));
}

TEST_CASE("Sequential: initialize is reproducible and differs from layer to layer") {
  auto a = small_net(7), b = small_net(7), c = small_net(8);
  CHECK(equal(a.forward(input()), b.forward(input())));
  CHECK_FALSE(equal(a.forward(input()), c.forward(input())));
  Net twins;
  twins.add("a", Linear<double>({.in = 5, .out = 5})).add("b", Linear<double>({.in = 5, .out = 5}));
  twins.initialize(1);
  CHECK_FALSE(equal(twins.parameters()[0].parameter->value, twins.parameters()[2].parameter->value));
  CHECK(twins.seed() == 1);
  twins.forward(Tensor<double>({1, 5}), Mode::training);
  twins.forward(Tensor<double>({1, 5}));
  CHECK(twins.step() == 1);
  twins.set_random_state(4, 9);
  CHECK(twins.seed() == 4);
  CHECK(twins.step() == 9);
}

TEST_CASE("Sequential: capture returns copies in the order asked for") {
  auto net = small_net();
  const auto found = net.capture(input(), {"fc", "conv", "flat"});
  CHECK(found.size() == 3);
  CHECK(found[0].shape() == Shape{2, 4});
  CHECK(found[1].shape() == Shape{2, 3, 4, 3});
  CHECK(found[2].shape() == Shape{2, 18});
  const auto again = net.capture(input(3, 5), {"fc"});
  CHECK(again[0].shape() == Shape{3, 4});
  CHECK(equal(found[0], net.forward(input())));
}

TEST_CASE("Sequential: a frozen prefix is not walked backward, unless dx is wanted") {
  Net net;
  const Probe plain(false), first(true), middle(false), last(true);
  net.add("plain", plain).add("first", first).add("middle", middle).add("last", last);
  const Tensor<double> x({1, 2}, {1, 2});
  const auto step = [&](bool want_dx) {
    Tensor<double> dx(x.shape());
    net.forward(x, Mode::training);
    if (want_dx) net.backward(x, dx);
    else net.backward(x);
    return dx[0];
  };
  step(false);
  CHECK(plain.calls->backward == 0);  // nothing to learn there
  CHECK(first.calls->backward == 1);
  CHECK(first.calls->with_dx == 0);
  CHECK(middle.calls->with_dx == 1);
  net.freeze("first");
  step(false);
  CHECK(first.calls->backward == 1);
  CHECK(middle.calls->backward == 1);
  CHECK(last.calls->backward == 2);
  CHECK(last.calls->with_dx == 1);
  CHECK(step(true) == 4);
  CHECK(plain.calls->backward == 1);
  CHECK(net.layer<Probe>("first").weight.gradient[0] == 2 * (1 + 4));  // of the first step only
  net.freeze("last");
  CHECK_FALSE(net.trains());
  step(false);
  CHECK(last.calls->backward == 3);
  net.unfreeze();
  step(false);
  CHECK(first.calls->backward == 3);
  net.layer<Probe>("first").weight.frozen = true;  // by hand, the same
  step(false);
  CHECK(first.calls->backward == 3);
}

TEST_CASE("Sequential: freezing reaches into nested networks, and out of them") {
  Net inner, outer;
  const Probe deep(true), deeper(true);
  inner.add("deep", deep).add("deeper", deeper);
  outer.add("block", inner).add("end", Probe(true));
  const Tensor<double> x({1, 1}, {1});
  const auto step = [&] {
    outer.forward(x, Mode::training);
    outer.backward(x);
  };
  outer.freeze("block");
  step();
  CHECK(deeper.calls->backward == 0);
  outer.unfreeze();
  outer.layer<Net>("block").freeze("deep");
  step();
  CHECK(deep.calls->backward == 0);
  CHECK(deeper.calls->backward == 1);
  outer.unfreeze();  // undoes the inner freeze too
  step();
  CHECK(deep.calls->backward == 1);
  outer.layer<Net>("block").add("grown", Probe(true));  // a container may change after it was added
  outer.layer<Net>("block").freeze("deeper");
  step();
  CHECK(outer.layer<Net>("block").layer<Probe>("grown").weight.gradient.size() == 1);
  CHECK(deeper.calls->backward == 2);
}

TEST_CASE("Sequential: training steps with changing batch size equal those of a fresh network") {
  auto net = small_net();
  for (const Index batch : {4, 2, 7, 0, 1, 4}) {
    const auto x = input(batch, 10 + static_cast<std::uint64_t>(batch)), dy = test::random_tensor<double>({batch, 4}, 20);
    auto fresh = small_net();
    net.zero_gradients();
    for (auto* n : {&net, &fresh}) {
      n->forward(x, Mode::training);
      n->backward(dy);
    }
    const auto a = net.parameters(), b = fresh.parameters();
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(equal(a[i].parameter->gradient, b[i].parameter->gradient));
    net.forward(input(9));  // inference in between leaves no trace
  }
}

TEST_CASE("Sequential: memory settles after the first step") {
  auto net = small_net();
  const auto x = input(5), dy = test::random_tensor<double>({5, 4}, 20);
  Pass<Cpu> pass(Mode::training);
  Tensor<double> y({5, 4}), dx(x.shape());
  Out<double> to = dx.ref();
  Index memory = 0;
  for (int i = 0; i < 3; ++i) {
    net.forward(x, y, pass);
    net.backward(x, y, dy, &to, pass);
    if (i > 0) CHECK(pass.memory() == memory);
    memory = pass.memory();
  }
  Pass<Cpu> lean(Mode::inference);
  net.forward(x, y, lean);
  CHECK(lean.memory() < memory);
}

TEST_CASE("Sequential: inference from several threads, a Pass each") {
  auto net = small_net();
  const auto expected = test::run(net, input());
  std::vector<std::thread> threads;
  std::vector<Tensor<double>> found(4);
  for (auto& y : found)
    threads.emplace_back([&net, &y] {
      const auto x = input();
      Pass<Cpu> pass;
      y.resize({2, 4});
      for (int i = 0; i < 20; ++i) net.forward(x, y, pass);
    });
  for (auto& t : threads) t.join();
  for (const auto& y : found) CHECK(equal(y, expected));
}

TEST_CASE("Sequential: a Pass used before an assignment follows the new layers") {
  const auto net_of = [](auto activation) {
    Sequential<float> net;
    net.add("conv", Conv2d<float>({.in = 1, .out = 4, .kernel = 3})).add("activation", activation).add("flat", Flatten<float>()).add("fc", Linear<float>({.in = 144, .out = 2}));
    net.initialize(3);
    return net;
  };
  const auto x = test::random_tensor<float>({16, 1, 8, 8}, 1), dy = test::random_tensor<float>({16, 2}, 2);
  Tensor<float> y({16, 2}), expected({16, 2});
  Sequential<float> net = net_of(ReLU<float>());
  Pass<Cpu> pass(Mode::training), fresh(Mode::training);
  net.forward(x, y, pass);
  net = net_of(Tanh<float>());
  CHECK_THROWS_AS(net.backward(x, y, dy, nullptr, pass), Error);  // that forward was of other layers
  net.forward(x, y, pass);
  net.forward(x, expected, fresh);
  CHECK(std::equal(y.data(), y.data() + y.size(), expected.data()));
}

TEST_CASE("Sequential: summary") {
  Sequential<float> net;
  net.add("conv1", Conv2d<float>({.in = 1, .out = 6, .kernel = 5, .padding = 2}))
      .add("relu1", ReLU<float>())
      .add("pool1", MaxPool2d<float>({.kernel = 2}))
      .add("norm1", DivisiveNorm<float>({.height = 3, .width = 5}))
      .add("flatten", Flatten<float>())
      .add("fc", Linear<float>({.in = 1176, .out = 10}));
  const std::string text = net.summary({2, 1, 28, 28});
  const auto row = [&text](std::string_view name) {
    const std::size_t at = text.find(name);
    return at == std::string::npos ? std::string() : text.substr(at, text.find('\n', at) - at);
  };
  CHECK(text.find("layer         kind              output               parameters          FLOP   field  step\n") == 0);
  CHECK(row("conv1").find("Conv2d            [2,6,28,28]                 156") != std::string::npos);
  CHECK(row("conv1").substr(row("conv1").size() - 14) == "       5     1");
  CHECK(row("pool1").substr(row("pool1").size() - 14) == "       6     2");
  CHECK(row("norm1").substr(row("norm1").size() - 14) == "   10x14     2");
  CHECK(row("fc").find("Linear            [2,10]                    11770") != std::string::npos);
  CHECK(text.find("11926 parameters, ") != std::string::npos);
  CHECK(text.find(" FLOP for an input of [2,1,28,28]\n") != std::string::npos);
  Sequential<float> outer;
  outer.add("block", net);
  CHECK(outer.flops({2, 1, 28, 28}) == net.flops({2, 1, 28, 28}));
  CHECK(outer.field_after({}).size == Pair(10, 14));
}
