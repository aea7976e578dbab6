#include "ventral/cuda/provider.hpp"

#include "support.hpp"
#include "ventral/ventral.hpp"

using namespace ventral;

namespace {

Sequential<float, Cuda> small_network() {
  Sequential<float, Cuda> net;
  net.add("conv", Conv2d<float, Cuda>({.in = 2, .out = 4, .kernel = 3, .padding = 1}));
  net.add("pool", MeanPool2d<float, Cuda>({.kernel = 2}));
  net.add("flat", Flatten<float, Cuda>());
  net.add("fc", Linear<float, Cuda>({.in = 4 * 3 * 3, .out = 5}));
  net.add("softmax", Softmax<float, Cuda>());
  return net;
}

/// The network's output, and then the gradients of its parameters.
std::vector<Tensor<float>> results(Sequential<float, Cuda>& net) {
  const auto x = test::random_tensor<float, Cuda>({3, 2, 6, 6}, 1), dy = test::random_tensor<float, Cuda>({3, 5}, 2);
  std::vector<Tensor<float>> out;
  Tensor<float, Cuda> y({3, 5});
  Cuda::copy(y.data(), net.forward(x, Mode::training).data, 15 * sizeof(float));
  out.push_back(y.to<Cpu>());
  net.zero_gradients();
  net.backward(dy);
  for (auto& p : net.parameters()) out.push_back(p.parameter->gradient.template to<Cpu>());
  return out;
}

bool same(const std::vector<Tensor<float>>& a, const std::vector<Tensor<float>>& b) {
  bool equal = a.size() == b.size();
  for (std::size_t i = 0; equal && i < a.size(); ++i) equal = std::equal(a[i].begin(), a[i].end(), b[i].begin(), b[i].end());
  return equal;
}

}  // namespace

#if defined(VENTRAL_CUDA_EMULATED)

namespace {

std::vector<std::string> calls;  // of the provider below
bool declines = false;

/// A provider that notes its calls, and leaves the work to ventral's kernels or, told to decline, says that it did not do it.
template <auto launcher, class... A>
bool note(const char* name, gpu::Stream stream, const A&... a) {
  calls.push_back(name);
  if (declines) return false;
  stream.provider = Provider::ventral;
  launcher(stream, a...);
  return true;
}

/// Stands in the table while it lives.
struct NotingProvider {
  using F = float;
  gpu::ProviderTable<F> before = gpu::provider_table<F>();

  NotingProvider() {
    calls.clear();
    gpu::ProviderTable<F>& t = gpu::provider_table<F>();
    t.name = "a provider for tests";
    t.linear_forward = [](auto s, auto... a) { return note<gpu::linear_forward<F>>("linear_forward", s, a...); };
    t.linear_backward_input = [](auto s, auto... a) { return note<gpu::linear_backward_input<F>>("linear_backward_input", s, a...); };
    t.linear_backward_weight = [](auto s, auto... a) { return note<gpu::linear_backward_weight<F>>("linear_backward_weight", s, a...); };
    t.conv2d_forward = [](auto s, const WindowPlan& p, auto... a) { return note<gpu::conv2d_forward<F>>("conv2d_forward", s, p, a...); };
    t.conv2d_backward_input = [](auto s, const WindowPlan& p, auto... a) { return note<gpu::conv2d_backward_input<F>>("conv2d_backward_input", s, p, a...); };
    t.conv2d_backward_weight = [](auto s, const WindowPlan& p, auto... a) {
      return note<gpu::conv2d_backward_weight<F>>("conv2d_backward_weight", s, p, a...);
    };
    t.mean_pool_forward = [](auto s, const WindowPlan& p, auto... a) { return note<gpu::mean_pool_forward<F>>("mean_pool_forward", s, p, a...); };
    t.mean_pool_backward = [](auto s, const WindowPlan& p, auto... a) { return note<gpu::mean_pool_backward<F>>("mean_pool_backward", s, p, a...); };
    t.softmax_forward = [](auto s, auto... a) { return note<gpu::softmax_forward<F>>("softmax_forward", s, a...); };
    t.softmax_backward = [](auto s, auto... a) { return note<gpu::softmax_backward<F>>("softmax_backward", s, a...); };
  }
  ~NotingProvider() { gpu::provider_table<F>() = before; }
};

}  // namespace

TEST_CASE("provider: without the library an error says what to link") {
  auto net = small_network();
  CHECK_THROWS_WITH_AS(net.provider(Provider::cudnn), doctest::Contains("link the CMake target ventral::cudnn"), CudaError);
  CHECK(!net.provider());
  CHECK_THROWS_AS(gpu::UseProvider{Provider::cudnn}, CudaError);
  CHECK(Cuda::stream().provider == Provider::ventral);
  net.provider(Provider::ventral);
  CHECK(lenet5<float>().provider(Provider::cudnn).provider() == Provider::cudnn);  // the CPU has its own kernels, whatever is asked
}

TEST_CASE("provider: a network's layers go to the provider, and to ventral's kernels where it declines") {
  const NotingProvider table;
  auto net = small_network();
  const auto own = results(net);
  CHECK(calls.empty());
  net.provider(Provider::cudnn);
  const std::vector<std::string> expected{"conv2d_forward",        "mean_pool_forward",      "linear_forward",     "softmax_forward",       "softmax_backward",
                                          "linear_backward_input", "linear_backward_weight", "mean_pool_backward", "conv2d_backward_weight"};
  for (const bool declining : {false, true}) {
    calls.clear();
    declines = declining;
    CHECK(same(results(net), own));
    CHECK(calls == expected);
  }
  declines = false;
  CHECK(Cuda::stream().provider == Provider::ventral);  // as it was
}

TEST_CASE("provider: copied, moved and nested with the network") {
  const NotingProvider table;
  auto net = small_network();
  net.provider(Provider::cudnn);
  auto copy = net;
  CHECK(copy.provider() == Provider::cudnn);
  Sequential<float, Cuda> moved = std::move(copy), assigned;
  assigned = net;
  CHECK(moved.provider() == Provider::cudnn);
  CHECK(assigned.provider() == Provider::cudnn);

  Sequential<float, Cuda> outer, inner;
  inner.add("conv", Conv2d<float, Cuda>({.in = 1, .out = 1, .kernel = 2}));
  outer.add("a", inner);
  inner.provider(Provider::ventral);
  outer.add("b", inner);
  outer.provider(Provider::cudnn);
  calls.clear();
  outer.forward(Tensor<float, Cuda>({1, 1, 5, 5}));
  CHECK(calls == std::vector<std::string>{"conv2d_forward"});  // of a; b says otherwise
}

#else

namespace {

bool no_library() {
  const bool none = !gpu::provider_table<float>().name;
  if (none) MESSAGE("skipped: ventral::cudnn is not linked");
  return none;
}

}  // namespace

TEST_CASE("provider: cuBLAS and cuDNN agree with ventral's kernels") {
  if (no_library()) return;
  for (const Math math : {Math::exact, Math::tf32}) {
    auto net = small_network();
    net.math(Math::exact);
    const auto own = results(net);
    net.math(math).provider(Provider::cudnn);
    const auto other = results(net), again = results(net);
    CHECK(same(other, again));
    for (std::size_t i = 0; i < own.size(); ++i) CHECK(test::relative_error(other[i], own[i]) < (math == Math::exact ? 1e-5 : 5e-3));
  }
}

TEST_CASE("provider: convolutions of cuDNN agree with ventral's kernels") {
  if (no_library()) return;
  const auto check = [](const Conv2dOptions& options, Shape shape) {
    CAPTURE(to_string(shape));
    Conv2d<float, Cuda> layer(options);
    const auto x = test::random_tensor<float, Cuda>(shape, 1), dy = test::random_tensor<float, Cuda>(layer.output_shape(shape), 2);
    const auto own = test::run_backward(layer, x, dy);
    const auto own_dw = layer.weight.gradient.to<Cpu>();
    layer.weight.gradient.zero();
    const gpu::UseProvider provider(Provider::cudnn);
    const auto other = test::run_backward(layer, x, dy);
    CHECK(test::relative_error(other.y.to<Cpu>(), own.y.to<Cpu>()) < 1e-5);
    CHECK(test::relative_error(other.dx.to<Cpu>(), own.dx.to<Cpu>()) < 1e-5);
    CHECK(test::relative_error(layer.weight.gradient.to<Cpu>(), own_dw) < 1e-5);
  };
  check({.in = 3, .out = 4, .kernel = 3}, {2, 3, 7, 6});
  check({.in = 1, .out = 6, .kernel = 5, .padding = 2}, {5, 1, 28, 28});
  check({.in = 2, .out = 3, .kernel = {3, 2}, .stride = {2, 3}, .padding = {1, 0, 2, 1}}, {2, 2, 9, 10});  // asymmetric: declined
  check({.in = 2, .out = 13, .kernel = 2, .stride = 3, .padding = 1}, {1, 2, 8, 11});
  check({.in = 4, .out = 6, .kernel = 3, .padding = 1, .dilation = 2, .groups = 2}, {2, 4, 7, 7});
  check({.in = 5, .out = 2, .kernel = 1}, {3, 5, 4, 4});
}

#endif
