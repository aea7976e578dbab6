#include "support.hpp"
#include "ventral/cuda.hpp"
#include "ventral/cuda/conv2d_library.cuh"
#include "ventral/ventral.hpp"

// Convolutions and linear layers that do the work of the ReLU and pooling behind them, on CUDA tensors: the same bits as layer by layer.
using namespace ventral;

namespace {

using gpu::ConvKernel;
using gpu::ConvTile;
using gpu::ConvTuning;

struct Setting {
  Conv2dOptions options;
  Shape shape;
};
const Setting settings[] = {
    {{.in = 3, .out = 5, .kernel = 3}, {2, 3, 7, 6}},
    {{.in = 1, .out = 1, .kernel = 1}, {1, 1, 2, 2}},
    {{.in = 1, .out = 6, .kernel = 5, .padding = 2}, {1, 1, 13, 11}},
    {{.in = 2, .out = 3, .kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 0, 2, 1}}, {3, 2, 9, 10}},  // asymmetric
    {{.in = 9, .out = 12, .kernel = 3, .dilation = 2, .bias = false}, {2, 9, 9, 12}},
    {{.in = 4, .out = 18, .kernel = 3, .padding = 1, .groups = 2}, {2, 4, 5, 5}},
    {{.in = 3, .out = 3, .kernel = 3, .padding = 1, .groups = 3}, {2, 3, 6, 9}},  // depthwise
    {{.in = 20, .out = 70, .kernel = 1}, {3, 20, 5, 4}},
    {{.in = 3, .out = 131, .kernel = 2, .stride = 2}, {1, 3, 18, 18}},  // more outputs than a tile
    {{.in = 2, .out = 37, .kernel = {4, 5}}, {3, 2, 4, 5}},             // the whole image, so a product; nothing to pool
    {{.in = 300, .out = 20, .kernel = 4}, {3, 300, 4, 4}},              // the same with a depth that is cut
};

/// Numbers of which many are equal, so that windows have several maxima; `special`: among them NaN, infinities and -0.
template <class T>
Tensor<T> equal_numbers(const Shape& shape, unsigned seed, bool special = false) {
  Tensor<T> x = test::random_tensor<T>(shape, seed);
  for (T& v : x) v = static_cast<T>(std::round(2 * static_cast<double>(v)) / 2);
  const double odd[] = {NAN, INFINITY, -INFINITY, -0.0, NAN};
  if (special)
    for (Index i = 0; i < x.size(); i += 7) x[i] = static_cast<T>(odd[i / 7 % 5]);
  return x;
}

/// NaN of any kind counts as the same; 0 and -0 do not.
template <class T>
bool same_bits(const Tensor<T>& a, const Tensor<T>& b) {
  if (a.shape() != b.shape()) return false;
  for (Index i = 0; i < a.size(); ++i) {
    const double u = static_cast<double>(a[i]), v = static_cast<double>(b[i]);
    if (!(u == v && std::signbit(u) == std::signbit(v)) && !(u != u && v != v)) return false;
  }
  return true;
}
template <class T>
Tensor<T> to_cpu(const Tensor<T, Cuda>& x) {
  return x.template to<Cpu>();
}

WindowPlan pairs_on(const WindowPlan& plan) { return place({.kernel = 2, .stride = 2}, plan.h.out, plan.w.out, "test"); }

/// y and the gradient before the epilogue, which the convolution's own gradients are made of, by one kernel and layer by layer.
template <class T>
void compare(const Setting& s, const ConvTuning& tuning, bool relu, bool pools, bool special) {
  const Conv2d<T> layer(s.options);
  const Shape whole = layer.output_shape(s.shape);
  if (pools && (whole[2] < 2 || whole[3] < 2)) return;
  const WindowPlan plan = place(layer.window(), s.shape[2], s.shape[3], "test"), window = pools ? pairs_on(plan) : WindowPlan{};
  const Shape shape = pools ? Shape{whole[0], whole[1], window.h.out, window.w.out} : whole;
  INFO("x " << to_string(s.shape) << ", outputs " << s.options.out << ", kernel " << static_cast<int>(tuning.kernel) << ", tile "
            << static_cast<int>(tuning.tile) << ", relu " << relu << ", pool " << pools << ", special " << special);

  const gpu::Stream stream = Cuda::stream();
  const Shape filters = layer.weight.value.shape();  // not special: sums that 16 bits make equal, and only they
  const auto weights = special ? equal_numbers<T>(filters, 2) : test::random_tensor<T>(filters, 2);
  const auto x = equal_numbers<T>(s.shape, 1, special).template to<Cuda>(), w = weights.template to<Cuda>();
  const auto b = equal_numbers<T>({s.options.out}, 3).template to<Cuda>(), dy = equal_numbers<T>(shape, 4, special).template to<Cuda>();
  const In<T, Cuda> bias = s.options.bias ? In<T, Cuda>(b) : In<T, Cuda>();
  const auto nan = [](const Shape& of) { return Tensor<T, Cuda>::full(of, T(NAN)); };

  auto before = nan(whole), active = nan(whole), y = nan(shape), dactive = nan(whole), dbefore = nan(whole);
  Tensor<std::int32_t, Cuda> winners(shape);
  gpu::conv2d_forward_tuned<T>(stream, tuning, plan, s.options.groups, x, w, bias, before);
  if (relu) gpu::activation_forward(stream, activation::Relu<T>{}, before.ref(), active.ref());
  else Cuda::copy(active.data(), before.data(), static_cast<std::size_t>(whole.size()) * sizeof(T));
  if (pools) gpu::max_pool_forward<T>(stream, window, active, y, winners), gpu::max_pool_backward<T>(stream, window, winners, dy, dactive);
  if (relu && pools) gpu::activation_backward(stream, activation::Relu<T>{}, before.ref(), active.ref(), dactive.ref(), dbefore.ref());

  auto fused = nan(shape), dfused = nan(whole), inferred = nan(shape);
  Tensor<unsigned char, Cuda> takers(pools ? shape : Shape{0});
  gpu::conv2d_forward_tuned<T>(stream, tuning, plan, s.options.groups, x, w, bias, fused, {relu, pools, pools ? takers.data() : nullptr});
  CHECK(same_bits(to_cpu(fused), to_cpu(pools ? y : active)));
  if (!pools) return;
  gpu::detail::unpool_pairs<T>(stream, takers, dy, dfused);
  CHECK(same_bits(to_cpu(dfused), to_cpu(relu ? dbefore : dactive)));
  gpu::conv2d_forward_tuned<T>(stream, tuning, plan, s.options.groups, x, w, bias, inferred, {relu, pools, nullptr});
  CHECK(same_bits(to_cpu(inferred), to_cpu(y)));
}

template <class T>
void compare_endings(const Setting& s, const ConvTuning& tuning) {
  for (const bool special : {false, true}) {
    compare<T>(s, tuning, true, false, special);
    for (const bool relu : {false, true}) compare<T>(s, tuning, relu, true, special);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("fused: every kernel of convolution agrees with the layers one by one", T, float, double, bfloat16, half) {
  for (const Setting& s : settings) {
    compare_endings<T>(s, {});
    if (s.options.in > 100) continue;
    compare_endings<T>(s, {.kernel = ConvKernel::direct});
    if (sizeof(T) == 2) compare<T>(s, {.kernel = ConvKernel::implicit_gemm, .tensor_cores = false}, true, true, true);
    for (const ConvTile tile : {ConvTile::low_16x256, ConvTile::square_64x64, ConvTile::square_128x128})
      if (tile != ConvTile::square_128x128 || s.options.out > 12) compare_endings<T>(s, {.kernel = ConvKernel::implicit_gemm, .tile = tile});
    compare<T>(s, {.kernel = ConvKernel::implicit_gemm, .wide_index = true}, true, true, false);
    compare<T>(s, {.kernel = ConvKernel::direct, .wide_index = true, .launch_blocks = 1}, true, true, false);
  }
}

TEST_CASE("fused: Winograd's kernel agrees with the layers one by one") {
  const Setting plain[] = {{{.in = 3, .out = 5, .kernel = 3}, {2, 3, 7, 6}},
                           {{.in = 9, .out = 70, .kernel = 3, .padding = 1}, {3, 9, 5, 8}},
                           {{.in = 5, .out = 2, .kernel = 3, .padding = {0, 2, 1, 2}, .bias = false}, {1, 5, 4, 9}}};
  for (const Setting& s : plain) compare_endings<float>(s, {.kernel = ConvKernel::winograd});
}

TEST_CASE("fused: tf32 and three of it, in every tile, agree with the layers one by one") {
  for (const Setting& s : settings)
    for (const Math math : {Math::tf32, Math::tf32x3}) {
      const Cuda::UseMath use(math);
      compare_endings<float>(s, {});
      for (const ConvTile tile : {ConvTile::low_16x256, ConvTile::square_64x64, ConvTile::square_128x128})
        if (s.options.in < 100) compare<float>(s, {.kernel = ConvKernel::implicit_gemm, .tile = tile}, true, true, false);
    }
}
