#include <algorithm>
#include <span>

#include "support.hpp"
#include "ventral/capture.hpp"
#include "ventral/ventral.hpp"

// Networks on CUDA tensors whose plans fuse layers give the bits of their layers one by one.
using namespace ventral;

namespace {

template <class T>
using Net = Sequential<T, Cuda>;

template <class T>
void add_all(Net<T>&) {}

/// Adds layers by the names 0, 1, ...; `apart`: each in a container of its own, over whose edge nothing is fused.
template <class T, class... L>
Net<T> network(bool apart, const L&... layers) {
  Net<T> net;
  int i = 0;
  const auto add = [&](const auto& layer) {
    const std::string name = std::to_string(i++);
    if (!apart) return static_cast<void>(net.add(name, layer));
    Net<T> alone;
    alone.add("layer", layer);
    net.add(name, alone);
  };
  (add(layers), ...);
  return net;
}

template <class T>
Net<T> conv_net(bool apart, Math math) {
  auto net = network<T>(apart, Conv2d<T, Cuda>({.in = 3, .out = 6, .kernel = 5, .padding = 2}), ReLU<T, Cuda>(), MaxPool2d<T, Cuda>({.kernel = 2}),
                        Conv2d<T, Cuda>({.in = 6, .out = 12, .kernel = 3, .groups = 2, .bias = false}), MaxPool2d<T, Cuda>({.kernel = 2}), ReLU<T, Cuda>(),
                        Conv2d<T, Cuda>({.in = 12, .out = 40, .kernel = 1}), ReLU<T, Cuda>(), MaxPool2d<T, Cuda>({.kernel = 2, .stride = 1}),
                        Conv2d<T, Cuda>({.in = 40, .out = 7, .kernel = 1}), ReLU<T, Cuda>(), Flatten<T, Cuda>(), Linear<T, Cuda>({.in = 7, .out = 9}), ReLU<T, Cuda>(),
                        Linear<T, Cuda>({.in = 9, .out = 4}));
  net.math(math);
  return net;
}

/// Stages of convolution, ReLU, a mean pooling (never fused), a max pooling alone, and one of ceil that reaches beyond the image.
template <class T>
Net<T> other_net(bool apart, Math math) {
  auto net = network<T>(apart, Conv2d<T, Cuda>({.in = 3, .out = 4, .kernel = 3}), ReLU<T, Cuda>(), MeanPool2d<T, Cuda>({.kernel = 2}),
                        Conv2d<T, Cuda>({.in = 4, .out = 4, .kernel = 3, .padding = 1, .groups = 4}), MaxPool2d<T, Cuda>({.kernel = 2}),
                        Conv2d<T, Cuda>({.in = 4, .out = 9, .kernel = 2, .padding = 1}), ReLU<T, Cuda>(),
                        MaxPool2d<T, Cuda>({.kernel = 2, .rounding = Rounding::ceil}), Conv2d<T, Cuda>({.in = 9, .out = 5, .kernel = 1}), ReLU<T, Cuda>(), ReLU<T, Cuda>());
  net.math(math);
  return net;
}

/// Parameters of b become those of a.
template <class T>
void copy_parameters(Net<T>& a, Net<T>& b) {
  const auto from = a.parameters(), to = b.parameters();
  REQUIRE(from.size() == to.size());
  for (std::size_t i = 0; i < from.size(); ++i) to[i].parameter->value = from[i].parameter->value.clone();
}

template <class T>
bool same_bits(In<T, Cuda> a, In<T, Cuda> b) {
  Tensor<T> u(a.shape), v(b.shape);
  Cuda::copy_to_host(u.data(), a.data, static_cast<std::size_t>(u.size()) * sizeof(T));
  Cuda::copy_to_host(v.data(), b.data, static_cast<std::size_t>(v.size()) * sizeof(T));
  const auto bytes = [](const Tensor<T>& t) { return std::as_bytes(std::span(t.data(), static_cast<std::size_t>(t.size()))); };
  return u.shape() == v.shape() && std::ranges::equal(bytes(u), bytes(v));
}

/// Inference, and two steps of training, the second one frozen in part and without dx.
template <class T>
void compare(Net<T> fused, Net<T> apart, Index batch) {
  copy_parameters(fused, apart);
  const auto x = test::random_tensor<T>({batch, 3, 15, 14}, 1).template to<Cuda>();
  CHECK(same_bits<T>(fused.forward(x), apart.forward(x)));
  CHECK(same_bits<T>(fused.forward(x, Keep::activations), apart.forward(x)));
  const auto of = fused.parameters(), oa = apart.parameters();
  for (const bool whole : {true, false}) {
    const In<T, Cuda> y = fused.forward(x, Mode::training);
    const auto dy = test::random_tensor<T>(y.shape, 2).template to<Cuda>();
    CHECK(same_bits<T>(y, apart.forward(x, Mode::training)));
    Tensor<T, Cuda> dx(x.shape()), dx_apart(x.shape());
    of.back().parameter->frozen = oa.back().parameter->frozen = of[2].parameter->frozen = oa[2].parameter->frozen = !whole;
    if (whole) fused.backward(dy, dx), apart.backward(dy, dx_apart);
    else fused.backward(dy), apart.backward(dy);
    CHECK(same_bits<T>(dx, dx_apart));
    for (std::size_t i = 0; i < of.size(); ++i) {
      CAPTURE(of[i].name);
      CHECK(same_bits<T>(of[i].parameter->gradient, oa[i].parameter->gradient));
    }
  }
  for (const auto& name : fused.names()) {
    CAPTURE(name);
    CHECK(same_bits<T>(fused.activation(name), apart.activation(name)));
  }
}

}  // namespace

TEST_CASE_TEMPLATE("fused networks: agree with their layers one by one, to the bit", T, float, double, bfloat16, half) {
  for (const Math math : {Math::exact, Math::tf32, Math::tf32x3}) {
    if (math != Math::exact && !std::is_same_v<T, float>) continue;
    for (const Index batch : {0, 1, 5}) {
      CAPTURE(batch);
      compare(conv_net<T>(false, math), conv_net<T>(true, math), batch);
      compare(other_net<T>(false, math), other_net<T>(true, math), batch);
    }
  }
}

TEST_CASE("fused networks: fewer kernels run, and less memory is kept") {
  const auto measure = [](Net<float> net) {
    const auto x = test::random_tensor<float>({2, 3, 15, 14}, 1).to<Cuda>();
    Tensor<float, Cuda> y(net.output_shape(x.shape()));
    Pass<Cuda> pass;
    gpu::Graph graph;
    net.forward(x, y, pass);
    graph.capture([&] { net.forward(x, y, pass); });
    return std::pair(graph.size(), net.memory(x.shape()));
  };
  const auto [few, small] = measure(conv_net<float>(false, Math::exact));
  const auto [many, large] = measure(conv_net<float>(true, Math::exact));
  CHECK(few == 7);
  CHECK(many == 15);  // with a copy, of the flattening in its container
  CHECK(small.arena + small.kept < large.arena + large.kept);
  Pass<Cuda> pass(Mode::training);
  auto net = conv_net<float>(false, Math::exact);
  const auto x = test::random_tensor<float>({2, 3, 15, 14}, 1).to<Cuda>();
  Tensor<float, Cuda> y(net.output_shape(x.shape())), dx(x.shape());
  Out<float, Cuda> to = dx.ref();
  net.forward(x, y, pass);
  net.backward(x, y, y, &to, pass);
  CHECK(pass.kept_memory() == net.kept_bytes(x.shape(), Format::rows, Mode::training));
}

TEST_CASE("fused networks: gradients, by finite differences") {
  auto net = network<double>(false, Conv2d<double, Cuda>({.in = 2, .out = 4, .kernel = 3, .padding = 1}), ReLU<double, Cuda>(), MaxPool2d<double, Cuda>({.kernel = 2}),
                             Conv2d<double, Cuda>({.in = 4, .out = 4, .kernel = 2, .groups = 2, .bias = false}), MaxPool2d<double, Cuda>({.kernel = 2}), ReLU<double, Cuda>(),
                             Conv2d<double, Cuda>({.in = 4, .out = 5, .kernel = 1}), ReLU<double, Cuda>(), MaxPool2d<double, Cuda>({.kernel = {2, 1}, .stride = 1}),
                             Flatten<double, Cuda>(), Linear<double, Cuda>({.in = 5, .out = 5}), ReLU<double, Cuda>(), Linear<double, Cuda>({.in = 5, .out = 3}));
  test::check_gradient(net, test::random_tensor<double>({2, 2, 11, 9}, 5).to<Cuda>());
}
