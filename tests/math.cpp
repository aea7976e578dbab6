#include "ventral/layers/activation.hpp"
#include "ventral/layers/conv2d.hpp"
#include "ventral/layers/flatten.hpp"
#include "ventral/layers/linear.hpp"
#include "ventral/layers/residual.hpp"

#include "support.hpp"

// How float products are computed, chosen for a network: it reaches the kernels of Linear and Conv2d, forward and backward, and nothing else.
using namespace ventral;

namespace {

/// Whether this GPU, or the emulator, has tensor cores that the modes can use.
bool has_modes() {
  Linear<float, Cuda> layer({.in = 64, .out = 64});
  const auto x = test::random_tensor<float, Cuda>({64, 64}, 1);
  const auto exact = test::run(layer, x).to<Cpu>();
  const Cuda::UseMath use(Math::tf32);
  return test::relative_error(test::run(layer, x).to<Cpu>(), exact) > 0;
}

/// y, dx and dw of a layer.
template <class T>
struct Outcome {
  Tensor<T> y, dx, dw;

  template <class L>
  Outcome(L layer, const Tensor<double>& weight, const Tensor<double>& x, const Tensor<double>& dy) {
    using S = typename L::Space;
    layer.weight.value = weight.cast<T>().template to<S>();
    const auto r = test::run_backward(layer, x.cast<T>().template to<S>(), dy.cast<T>().template to<S>());
    y = r.y.template to<Cpu>(), dx = r.dx.template to<Cpu>(), dw = layer.weight.gradient.template to<Cpu>();
  }
};

template <class T>
bool same_bits(const Tensor<T>& a, const Tensor<T>& b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(T)) == 0;
}
template <class T>
bool same_bits(const Outcome<T>& a, const Outcome<T>& b) {
  return same_bits(a.y, b.y) && same_bits(a.dx, b.dx) && same_bits(a.dw, b.dw);
}

/// The largest of the three errors.
double error(const Outcome<float>& o, const Outcome<double>& reference) {
  return std::max({test::relative_error(o.y, reference.y), test::relative_error(o.dx, reference.dx), test::relative_error(o.dw, reference.dw)});
}
double least_error(const Outcome<float>& o, const Outcome<double>& reference) {
  return std::min({test::relative_error(o.y, reference.y), test::relative_error(o.dx, reference.dx), test::relative_error(o.dw, reference.dw)});
}

/// A layer in each math on Cuda, against double on Cpu, from numbers that float holds.
template <template <class, class> class L, class Options>
void check_layer(const Options& options, const Shape& shape) {
  const auto as_float = [](const Tensor<double>& x) { return x.cast<float>().template cast<double>(); };
  const L<double, Cpu> layer(options);
  const auto weight = as_float(test::random_tensor<double>(layer.weight.value.shape(), 1)), x = as_float(test::random_tensor<double>(shape, 2)),
             dy = as_float(test::random_tensor<double>(layer.output_shape(shape), 3));
  const Outcome<double> reference(layer, weight, x, dy);
  const auto on_cuda = [&](Math math) {
    const Cuda::UseMath use(math);
    return Outcome<float>(L<float, Cuda>(options), weight, x, dy);
  };
  const auto exact = on_cuda(Math::exact), split = on_cuda(Math::tf32x3), rounded = on_cuda(Math::tf32);
  INFO(layer.kind << " on " << to_string(shape));
  CHECK(error(exact, reference) < 2e-6);
  CHECK(error(split, reference) < 2e-6);
  CHECK(error(rounded, reference) < 1e-3);
  CHECK(least_error(rounded, reference) > 1e-5);  // all three were rounded
  CHECK(!same_bits(split, exact));
  for (const Math math : {Math::exact, Math::tf32x3, Math::tf32}) CHECK(same_bits(on_cuda(math), math == Math::exact ? exact : math == Math::tf32 ? rounded : split));
}

template <class T, class Space = Cuda>
Sequential<T, Space> small_network() {
  Sequential<T, Space> inner;
  inner.add("conv", Conv2d<T, Space>({.in = 12, .out = 12, .kernel = 3, .padding = 1}));
  Sequential<T, Space> net;
  net.add("conv", Conv2d<T, Space>({.in = 3, .out = 12, .kernel = 3})).add("relu", ReLU<T, Space>()).add("block", Residual<T, Space>(std::move(inner)));
  net.add("flatten", Flatten<T, Space>()).add("fc", Linear<T, Space>({.in = 12 * 36, .out = 10}));
  net.initialize(5);
  return net;
}

/// Output and all gradients of a network for one batch, one after the other.
template <class T, class Space>
Tensor<T> trace(Sequential<T, Space>& net) {
  const auto x = test::random_tensor<T, Space>({4, 3, 8, 8}, 1), dy = test::random_tensor<T, Space>({4, 10}, 2);
  net.zero_gradients();
  std::vector<T> all;
  const auto note = [&](In<T, Space> part) {
    auto copy = Tensor<T, Space>::uninitialized(part.shape);
    copy.copy_from(part);
    const auto host = copy.template to<Cpu>();
    all.insert(all.end(), host.begin(), host.end());
  };
  note(net.forward(x, Mode::training));
  net.backward(dy);
  for (const auto& p : net.parameters()) note(p.parameter->gradient);
  return Tensor<T>({static_cast<Index>(all.size())}, all);
}

}  // namespace

#if defined(VENTRAL_CUDA_EMULATED)
TEST_CASE("math: the emulator has all modes") { CHECK(has_modes()); }
#endif

TEST_CASE("math: Linear in each mode agrees with double") {
  if (!has_modes()) return;
  check_layer<Linear>(LinearOptions{.in = 70, .out = 37}, {45, 70});
  check_layer<Linear>(LinearOptions{.in = 600, .out = 5}, {3, 600});
  check_layer<Linear>(LinearOptions{.in = 33, .out = 1, .bias = false}, {1, 33});
}

TEST_CASE("math: Conv2d in each mode agrees with double") {
  if (!has_modes()) return;
  check_layer<Conv2d>(Conv2dOptions{.in = 12, .out = 20, .kernel = 3, .padding = 1}, {2, 12, 9, 7});
  check_layer<Conv2d>(Conv2dOptions{.in = 10, .out = 37, .kernel = 3, .stride = 2, .padding = 1}, {3, 10, 11, 8});
  check_layer<Conv2d>(Conv2dOptions{.in = 20, .out = 40, .kernel = {3, 2}, .dilation = 2, .groups = 2}, {1, 20, 9, 10});
  check_layer<Conv2d>(Conv2dOptions{.in = 36, .out = 132, .kernel = 1}, {1, 36, 5, 5});
  check_layer<Conv2d>(Conv2dOptions{.in = 16, .out = 24, .kernel = 4}, {3, 16, 4, 4});  // a linear layer
}

TEST_CASE("math: a network computes as it says, and the thread as before afterwards") {
  if (!has_modes()) return;
  auto net = small_network<float>();
  CHECK(!net.math());
  const auto exact = trace(net);
  auto rounding = net;
  CHECK(&rounding.math(Math::tf32) == &rounding);
  const auto rounded = trace(rounding);
  CHECK(test::relative_error(rounded, exact) > 1e-5);
  CHECK(test::relative_error(rounded, exact) < 2e-3);
  CHECK(Cuda::stream().math == Math::exact);
  CHECK(same_bits(trace(net), exact));
  auto copy = rounding;
  CHECK(copy.math() == Math::tf32);
  CHECK(same_bits(trace(copy), rounded));
  net = rounding;
  CHECK(same_bits(trace(net), rounded));
  auto moved = std::move(rounding);
  CHECK(same_bits(trace(moved), rounded));
  CHECK(same_bits(trace(moved.math(Math::exact)), exact));
  const auto split = trace(moved.math(Math::tf32x3));
  CHECK(!same_bits(split, exact));
  CHECK(test::relative_error(split, exact) < 2e-6);
}

TEST_CASE("math: networks inside one do as it does, unless they say otherwise") {
  if (!has_modes()) return;
  const auto run = [](std::optional<Math> outer, std::optional<Math> inner) {
    Sequential<float, Cuda> part, net;
    part.add("fc", Linear<float, Cuda>({.in = 40, .out = 30}));
    if (inner) part.math(*inner);
    net.add("part", std::move(part));
    net.initialize(3);
    if (outer) net.math(*outer);
    const auto x = test::random_tensor<float, Cuda>({20, 40}, 1);
    auto y = Tensor<float, Cuda>::uninitialized({20, 30});
    y.copy_from(net.forward(x));
    return y.to<Cpu>();
  };
  const auto exact = run({}, {}), rounded = run(Math::tf32, {});
  CHECK(!same_bits(exact, rounded));
  CHECK(same_bits(run({}, Math::tf32), rounded));
  CHECK(same_bits(run(Math::exact, Math::tf32), rounded));
  CHECK(same_bits(run(Math::tf32, Math::exact), exact));
  const Cuda::UseMath use(Math::tf32);
  CHECK(same_bits(run({}, {}), rounded));
  CHECK(same_bits(run(Math::exact, {}), exact));
}

TEST_CASE("math: another stream leaves it as it was") {
  const Cuda::UseMath use(Math::tf32);
  const gpu::OwnStream own;
  {
    const gpu::UseStream other(own);
    CHECK(Cuda::stream().handle == gpu::Stream(own).handle);
    CHECK(Cuda::stream().math == Math::tf32);
    const Cuda::UseMath inner(Math::tf32x3);
    CHECK(Cuda::stream().math == Math::tf32x3);
  }
  CHECK(Cuda::stream().math == Math::tf32);
}

TEST_CASE_TEMPLATE("math: double and 16-bit types are computed as ever", T, double, bfloat16, half) {
  Linear<T, Cuda> layer({.in = 40, .out = 30});
  Conv2d<T, Cuda> filters({.in = 12, .out = 20, .kernel = 3});
  const auto x = test::random_tensor<T, Cuda>({20, 40}, 1), image = test::random_tensor<T, Cuda>({2, 12, 6, 7}, 2);
  const auto y = test::run(layer, x).template to<Cpu>(), filtered = test::run(filters, image).template to<Cpu>();
  const Cuda::UseMath use(Math::tf32);
  CHECK(same_bits(test::run(layer, x).template to<Cpu>(), y));
  CHECK(same_bits(test::run(filters, image).template to<Cpu>(), filtered));
}

TEST_CASE("math: the CPU computes exactly whatever is asked") {
  auto net = small_network<float, Cpu>();
  const auto exact = trace(net);
  CHECK(same_bits(trace(net.math(Math::tf32)), exact));
}
