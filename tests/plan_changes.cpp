#include "support.hpp"
#include "ventral/layers/activation.hpp"
#include "ventral/layers/batch_norm2d.hpp"
#include "ventral/layers/conv2d.hpp"
#include "ventral/layers/parallel.hpp"
#include "ventral/layers/pool2d.hpp"
#include "ventral/layers/residual.hpp"
#include "ventral/sequential.hpp"

// A plan is void once a layer changed, however it was changed: the network then gives what a fresh copy of it gives.

using namespace ventral;

namespace {

using Net = Sequential<float>;

Conv2d<float> filters(Index in, Index out, Index kernel = 3, Index padding = 1) { return Conv2d<float>({.in = in, .out = out, .kernel = kernel, .padding = padding}); }

const Tensor<float>& images() {
  static const auto x = test::random_tensor<float>({16, 3, 8, 8}, 1);
  return x;
}

void check_against_copy(Net& net) {
  Net fresh = net;
  const In<float> y = net.forward(images()), expected = fresh.forward(images());
  REQUIRE(y.shape == expected.shape);
  CHECK(std::equal(y.data, y.data + y.size(), expected.data));
}

/// y = (1 + i mod 5) x, in rows only.
struct Scale {
  using Scalar = float;
  using Space = Cpu;
  static constexpr const char* kind = "Scale";

  Shape output_shape(const Shape& x) const { return x; }
  void forward(In<float> x, Out<float> y, Pass<Cpu>&) {
    CHECK(x.format == Format::rows);
    CHECK(y.format == Format::rows);
    for (Index i = 0; i < x.size(); ++i) y.data[i] = x.data[i] * static_cast<float>(1 + i % 5);
  }
  void backward(In<float>, In<float>, In<float>, Out<float>*, Pass<Cpu>&) {}
};

/// [N,C,H,W] as [N C,1,H,W].
struct ChannelsApart {
  using Scalar = float;
  using Space = Cpu;
  static constexpr const char* kind = "ChannelsApart";
  static constexpr bool is_view = true;

  Shape output_shape(const Shape& x) const { return {x[0] * x[1], 1, x[2], x[3]}; }
  void forward(In<float> x, Out<float> y, Pass<Cpu>&) { std::copy_n(x.data, x.size(), y.data); }
  void backward(In<float>, In<float>, In<float> dy, Out<float>* dx, Pass<Cpu>&) {
    if (dx) std::copy_n(dy.data, dy.size(), dx->data);
  }
};

/// Looks at all four axes as soon as it is asked for formats.
struct FourAxes : Scale {
  static constexpr const char* kind = "FourAxes";
  Shape output_shape(const Shape& x) const {
    require<ShapeError>(x.rank() == 4, "FourAxes: rank ", x.rank(), "; 4 is needed");
    return x;
  }
  bool takes_blocks(const Shape& x) const { return x[3] < 0; }
};

}  // namespace

TEST_CASE("plan: a layer assigned in place, of the same output shape") {
  Net net;
  net.add("conv", filters(3, 4)).add("relu", ReLU<float>()).add("pool", MaxPool2d<float>());
  net.forward(images());
  net.layer<MaxPool2d<float>>("pool") = MaxPool2d<float>({.kernel = 3, .stride = 2, .padding = 1});
  check_against_copy(net);
}

TEST_CASE("plan: a container that grows") {
  Parallel<float> parallel({.join = Join::add});
  parallel.add("relu", ReLU<float>());
  Net net;
  net.add("conv", filters(3, 4)).add("parallel", parallel).add("conv2", filters(4, 4));
  net.forward(images());
  net.layer<Parallel<float>>("parallel").add("scale", Scale());
  check_against_copy(net);
}

TEST_CASE("plan: a branch assigned in place, with other or fewer layers") {
  Net relu, tanh, longer;
  relu.add("conv", filters(3, 4)).add("relu", ReLU<float>());
  tanh.add("conv", filters(3, 4)).add("tanh", Tanh<float>());
  longer.add("conv", filters(3, 3)).add("tanh", Tanh<float>()).add("conv2", filters(3, 4));
  const auto one = [](const Net& branch) {
    Parallel<float> p;
    p.add("branch", branch);
    return p;
  };
  Net net;
  net.add("parallel", one(longer));
  for (const Net* branch : {&relu, &tanh, &longer, &relu}) {
    net.forward(images());
    net.layer<Parallel<float>>("parallel") = one(*branch);
    check_against_copy(net);
  }
}

TEST_CASE("plan: a Pass of one's own follows a replaced block, and serves another network") {
  Net relu, tanh, net, other;
  relu.add("conv", filters(3, 3)).add("relu", ReLU<float>());
  tanh.add("conv", filters(3, 3)).add("tanh", Tanh<float>());
  net.add("block", relu);
  other.add("conv", filters(3, 3)).add("sigmoid", Sigmoid<float>());
  Pass<Cpu> pass;
  Tensor<float> y(images().shape());
  const auto check = [&](Net& n) {
    n.forward(images(), y, pass);
    const In<float> expected = n.forward(images());
    CHECK(std::equal(y.data(), y.data() + y.size(), expected.data));
  };
  check(net);
  net.replace("block", tanh);
  check(net);
  check(other);
  check(net);
}

TEST_CASE("plan: a network that was moved from is empty") {
  Net net;
  net.add("conv", filters(3, 4));
  net.forward(images());
  const Net moved = std::move(net);
  CHECK(net.forward(images()).shape == images().shape());
  CHECK(moved.size() == 1);
}

TEST_CASE("plan: a view that cuts the batch otherwise") {
  Net net;
  net.add("conv", filters(3, 4)).add("act", LeakyReLU<float>()).add("apart", ChannelsApart()).add("conv2", filters(1, 2));
  Tensor<float> dx(images().shape());
  for (const Index batch : {1, 16}) {
    const auto x = test::random_tensor<float>({batch, 3, 8, 8}, 2);
    CHECK(net.forward(x).shape == Shape{4 * batch, 2, 8, 8});
  }
  const In<float> y = net.forward(images(), Mode::training);
  net.backward(test::random_tensor<float>(y.shape, 3), dx);
  Net before, after;  // the same cut in two
  before.add("conv", net.layer<Conv2d<float>>("conv")).add("act", LeakyReLU<float>());
  after.add("conv2", net.layer<Conv2d<float>>("conv2"));
  const In<float> middle = before.forward(images(), Mode::training);
  const In<float> expected = after.forward(middle.reshaped({64, 1, 8, 8}), Mode::training);
  Tensor<float> dmiddle({64, 1, 8, 8}), dx2(images().shape());
  after.backward(test::random_tensor<float>(y.shape, 3), dmiddle);
  before.backward(In<float>(dmiddle).reshaped({16, 4, 8, 8}), dx2);
  for (Index i = 0; i < y.size(); ++i) CHECK(y.data[i] == doctest::Approx(expected.data[i]).epsilon(1e-5));
  for (Index i = 0; i < dx.size(); ++i) CHECK(dx[i] == doctest::Approx(dx2[i]).epsilon(1e-5));
}

TEST_CASE("plan: shapes are checked before a layer is asked for formats, and errors bear names") {
  Net net;
  net.add("conv", filters(3, 4, 8, 0)).add("pool1", MaxPool2d<float>());
  CHECK_THROWS_WITH_AS(net.forward(images()), doctest::Contains("MaxPool2d 'pool1'"), ShapeError);
  Net picky, body, outer;
  picky.add("four", FourAxes());
  CHECK_THROWS_WITH_AS(picky.forward(test::random_tensor<float>({4, 4}, 1)), doctest::Contains("FourAxes 'four': rank 2"), ShapeError);
  body.add("conv", filters(5, 5));
  outer.add("residual", Residual<float>(body));
  CHECK_THROWS_WITH_AS(outer.forward(images()), doctest::Contains("Residual 'residual'"), ShapeError);
}

TEST_CASE("plan: no backward after a forward that failed") {
  Net net;
  net.add("conv", filters(3, 4)).add("norm", BatchNorm2d<float>({.channels = 4})).add("conv2", filters(4, 2));
  const auto x = test::random_tensor<float>({1, 3, 1, 1}, 1);
  Tensor<float> y({1, 2, 1, 1});
  Pass<Cpu> pass(Mode::training);
  CHECK_THROWS_AS(net.forward(x, y, pass), Error);  // one value a channel
  CHECK_THROWS_AS(net.backward(x, y, y, nullptr, pass), Error);
}
