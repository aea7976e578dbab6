#include "support.hpp"
#include "ventral/cuda/conv2d_library.cuh"
#include "ventral/layers/conv2d.hpp"

// The CUDA kernels of convolution one by one: each against the CPU twin in double, on shapes that fit no tile.
using namespace ventral;

namespace {

struct Setting {
  Conv2dOptions options;
  Shape shape;
};

const std::vector<Setting>& settings() {
  static const std::vector<Setting> all = {
      {{.in = 3, .out = 5, .kernel = 3}, {2, 3, 7, 6}},
      {{.in = 1, .out = 1, .kernel = 1}, {1, 1, 1, 1}},
      {{.in = 1, .out = 6, .kernel = 5, .padding = 2}, {1, 1, 13, 11}},
      {{.in = 2, .out = 3, .kernel = {3, 2}, .stride = {2, 3}, .padding = {1, 0, 2, 1}}, {2, 2, 9, 10}},  // asymmetric
      {{.in = 2, .out = 11, .kernel = 2, .stride = 3, .padding = 1}, {1, 2, 8, 11}},                      // elements that no window sees
      {{.in = 2, .out = 4, .kernel = 1, .stride = 2}, {3, 2, 7, 5}},
      {{.in = 9, .out = 4, .kernel = 3, .dilation = 2}, {2, 9, 9, 7}},
      {{.in = 3, .out = 5, .kernel = 3, .stride = 2, .padding = 2, .dilation = 2}, {2, 3, 11, 9}},        // half of the phases without a tap
      {{.in = 2, .out = 3, .kernel = {3, 2}, .stride = {6, 4}, .dilation = {4, 6}}, {2, 2, 23, 15}},
      {{.in = 4, .out = 18, .kernel = 3, .padding = 1, .groups = 2}, {2, 4, 5, 5}},
      {{.in = 3, .out = 3, .kernel = 3, .padding = 1, .groups = 3}, {2, 3, 6, 9}},                        // depthwise
      {{.in = 5, .out = 10, .kernel = 5, .stride = 2, .padding = 2, .groups = 5}, {1, 5, 13, 9}},         // with a multiplier
      {{.in = 20, .out = 7, .kernel = 1}, {3, 20, 5, 4}},
      {{.in = 2, .out = 37, .kernel = {4, 5}}, {3, 2, 4, 5}},                                             // the whole image
      {{.in = 4, .out = 6, .kernel = 4, .groups = 2}, {2, 4, 4, 4}},                                      // the same in groups
      {{.in = 3, .out = 17, .kernel = 7, .stride = 2, .padding = 3}, {1, 3, 17, 15}},
      {{.in = 2, .out = 3, .kernel = {1, 4}, .padding = {0, 3}}, {2, 2, 1, 70}},                          // a line
      {{.in = 2, .out = 3, .kernel = {1, 300}, .padding = {0, 150}}, {1, 2, 2, 20}},  // more taps than shared memory holds
      {{.in = 3, .out = 131, .kernel = 2}, {1, 3, 4, 4}},                                                 // more outputs than a tile
      {{.in = 133, .out = 3, .kernel = 2, .padding = 1}, {1, 133, 3, 3}},                                 // more channels than a tile
      {{.in = 2, .out = 2, .kernel = 3, .padding = 4}, {1, 2, 2, 1}},                                     // windows in the padding alone
      {{.in = 1, .out = 2, .kernel = 2, .stride = 9}, {2, 1, 4, 5}},                                      // stride larger than the image
  };
  return all;
}

template <class T>
using OnCuda = Tensor<T, Cuda>;

/// Numbers of T, normal and smaller than 1 for the most part, and what the CPU makes of them in double.
template <class T>
struct Experiment {
  Index groups;
  WindowPlan plan;
  Tensor<T> x, w, b, dy, dw, db;  ///< dw and db: what the gradients are added to
  Tensor<double> y, dx, dw_sum, db_sum;

  Experiment(const Setting& s) : groups(s.options.groups) {
    const Conv2d<T> layer(s.options);
    const Shape out = layer.output_shape(s.shape), weights = layer.weight.value.shape();
    plan = place(layer.window(), s.shape[2], s.shape[3], "test");
    x = test::random_tensor<T>(s.shape, 1);
    w = test::random_tensor<T>(weights, 2, 0, 1 / std::sqrt(static_cast<double>(weights.product(1, 4))));
    b = test::random_tensor<T>({s.options.out}, 3);
    dy = test::random_tensor<T>(out, 4);
    dw = test::random_tensor<T>(weights, 5);
    db = test::random_tensor<T>({s.options.out}, 6);
    y = Tensor<double>(out), dx = Tensor<double>(s.shape), dw_sum = dw.template cast<double>(), db_sum = db.template cast<double>();
    const auto x_ = x.template cast<double>(), w_ = w.template cast<double>(), b_ = b.template cast<double>(), dy_ = dy.template cast<double>();
    const cpu::Stream stream;
    cpu::conv2d_forward<double>(stream, plan, groups, x_, w_, b_, y);
    cpu::conv2d_backward_input<double>(stream, plan, groups, w_, dy_, dx);
    cpu::conv2d_backward_weight<double>(stream, plan, groups, x_, dy_, dw_sum);
    cpu::conv2d_backward_bias<double>(stream, dy_, db_sum);
  }
};

template <class T>
Tensor<T> weight_gradient(const Experiment<T>& e, const gpu::ConvTuning& tuning) {
  const auto x_ = e.x.template to<Cuda>(), dy_ = e.dy.template to<Cuda>();
  auto dw_ = e.dw.template to<Cuda>();
  gpu::conv2d_backward_weight_tuned<T>(Cuda::stream(), tuning, e.plan, e.groups, x_, dy_, dw_);
  return dw_.template to<Cpu>();
}

/// What the kernels make of an experiment; y and dx are NaN where nothing is written.
template <class T>
struct Outcome {
  Tensor<T> y, dx, dw;

  Outcome(const Experiment<T>& e, const gpu::ConvTuning& tuning, bool bias = true) {
    const gpu::Stream stream = Cuda::stream();
    const auto x_ = e.x.template to<Cuda>(), w_ = e.w.template to<Cuda>(), b_ = e.b.template to<Cuda>(), dy_ = e.dy.template to<Cuda>();
    auto y_ = OnCuda<T>::full(e.y.shape(), T(NAN)), dx_ = OnCuda<T>::full(e.dx.shape(), T(NAN));
    gpu::conv2d_forward_tuned<T>(stream, tuning, e.plan, e.groups, x_, w_, bias ? In<T, Cuda>(b_) : In<T, Cuda>(), y_);
    gpu::conv2d_backward_input_tuned<T>(stream, tuning, e.plan, e.groups, w_, dy_, dx_);
    y = y_.template to<Cpu>(), dx = dx_.template to<Cpu>(), dw = weight_gradient(e, tuning);
  }
};

template <class T>
constexpr double tolerance = sizeof(T) == 8 ? 1e-14 : sizeof(T) == 4 ? 2e-6 : std::is_same_v<T, half> ? 5e-4 : 4e-3;

template <class T>
void check_outcome(const Experiment<T>& e, const gpu::ConvTuning& tuning, double limit = tolerance<T>) {
  INFO("kernel " << static_cast<int>(tuning.kernel) << ", tile " << static_cast<int>(tuning.tile) << ", " << (tuning.wide_index ? "64" : "32")
                 << " bits, runs of " << tuning.split_pixels << ", tensor cores " << tuning.tensor_cores);
  const Outcome<T> o(e, tuning);
  CHECK(test::relative_error(o.y, e.y) < limit);
  CHECK(test::relative_error(o.dx, e.dx) < limit);
  CHECK(test::relative_error(o.dw, e.dw_sum) < limit);
}

template <class T>
bool same_bits(const Tensor<T>& a, const Tensor<T>& b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(T)) == 0;
}

using gpu::ConvKernel;
using gpu::ConvTile;
constexpr ConvKernel gemm = ConvKernel::implicit_gemm;

}  // namespace

TEST_CASE_TEMPLATE("convolution kernels: all of them agree with the CPU", T, float, double) {
  for (const Setting& s : settings()) {
    INFO("x " << to_string(s.shape) << ", outputs " << s.options.out << ", kernel " << s.options.kernel.h << "x" << s.options.kernel.w);
    const Experiment<T> e(s);
    check_outcome<T>(e, {.kernel = ConvKernel::direct});
    check_outcome<T>(e, {.kernel = gemm, .tile = ConvTile::low_16x256});
    if (sizeof(T) == 4 && s.options.out > 4) check_outcome<T>(e, {.kernel = gemm, .tile = ConvTile::square_128x128});
    check_outcome<T>(e, {.kernel = gemm, .tile = ConvTile::square_64x64, .wide_index = sizeof(T) == 8});
    if (s.options.in < 4) check_outcome<T>(e, {.kernel = ConvKernel::direct, .wide_index = true});
  }
}

TEST_CASE_TEMPLATE("convolution kernels: what is chosen by shape agrees with the CPU", T, float, double) {
  for (const Setting& s : settings()) {
    INFO("x " << to_string(s.shape) << ", outputs " << s.options.out << ", kernel " << s.options.kernel.h << "x" << s.options.kernel.w);
    check_outcome<T>(Experiment<T>(s), {});
  }
}

TEST_CASE("convolution kernels: tf32 and three of it, in every tile, agree with the CPU") {
  for (const Setting& s : settings()) {
    INFO("x " << to_string(s.shape) << ", outputs " << s.options.out << ", kernel " << s.options.kernel.h << "x" << s.options.kernel.w);
    const Experiment<float> e(s);
    for (const Math math : {Math::tf32x3, Math::tf32}) {
      const Cuda::UseMath use(math);
      const double limit = math == Math::tf32 ? 2e-3 : tolerance<float>;
      for (const ConvTile tile : {ConvTile::low_16x256, ConvTile::square_64x64, ConvTile::square_128x128})
        if (tile != ConvTile::square_128x128 || s.options.out > 4) check_outcome<float>(e, {.kernel = gemm, .tile = tile}, limit);
      check_outcome<float>(e, {}, limit);
      check_outcome<float>(e, {.kernel = gemm, .tensor_cores = false});
      check_outcome<float>(e, {.kernel = ConvKernel::direct});
      if (s.options.in < 3) check_outcome<float>(e, {.kernel = gemm, .wide_index = true});
    }
  }
}

namespace {

/// Whether Hopper's kernel takes forward or, `transposed`, the gradient by the input.
template <class T>
bool taken_by_hopper(const Setting& s, bool transposed) {
  const Experiment<T> e(s);
  const gpu::detail::ConvSizes sizes(e.plan, e.groups, e.x.shape(), e.y.shape());
  const auto fits = [&](const WindowAxis& axis) {
    const auto a = gpu::detail::conv_axis<int>(axis, transposed);
    for (int f = 0; f < a.phases; ++f)
      if (!gpu::detail::WindowRun(a.phase(f)).fits(a.read)) return false;
    return true;
  };
  return e.groups == 1 && fits(sizes.plan.h) && fits(sizes.plan.w);
}

}  // namespace

TEST_CASE_TEMPLATE("convolution kernels: by Hopper's copy engine and tensor cores, in each mode", T, bfloat16, half, float) {
  const Cuda::UseMath use(Math::tf32);
  const double limit = sizeof(T) == 4 ? 2e-3 : tolerance<T>;
  const gpu::ConvTuning hopper{.kernel = ConvKernel::hopper};
  int taken = 0, tried = 0, number = 0;
  for (const Setting& s : settings()) {
    const int directions = taken_by_hopper<T>(s, false) + taken_by_hopper<T>(s, true);
    if (!std::is_same_v<T, bfloat16> && (directions < 2 || ++number % 3)) continue;  // the types differ in the slab's depth alone
    INFO("x " << to_string(s.shape) << ", outputs " << s.options.out << ", kernel " << s.options.kernel.h << "x" << s.options.kernel.w);
    check_outcome<T>(Experiment<T>(s), hopper, limit);
    taken += directions, ++tried;
  }
  CHECK(taken > tried);
  check_outcome<T>(Experiment<T>({{.in = 70, .out = 140, .kernel = 3, .padding = 1}, {5, 70, 8, 7}}), hopper, limit);  // two slabs a tap, more tiles than blocks
  check_outcome<T>(Experiment<T>({{.in = 64, .out = 128, .kernel = 3, .stride = 2, .padding = 1}, {2, 64, 16, 16}}), hopper, limit);
}

TEST_CASE("convolution kernels: the gradient by the input multiplies by no tap in vain") {
  for (Index stride = 1; stride <= 5; ++stride)
    for (Index dilation = 1; dilation <= 4; ++dilation)
      for (Index kernel = 1; kernel <= 7; ++kernel)
        for (Index before = 0; before <= 3; ++before)
          for (const Index in : {1, 2, 5, 11, 24}) {
            const auto axis = gpu::detail::conv_axis<Index>({in, 3, kernel, stride, before, 0, dilation}, true);
            Index tried = 0, needed = 0;
            for (Index f = 0; f < axis.phases; ++f) tried += axis.phase(f).count * axis.phase(f).taps;
            for (Index u = 0; u < in; ++u)
              for (Index tap = 0; tap < kernel; ++tap) needed += (u + before - tap * dilation) % stride == 0;
            REQUIRE(tried == needed);  // those that lie between outputs are left out, those beyond the ends are not
          }
}

TEST_CASE_TEMPLATE("convolution kernels: bfloat16 and half, with and without tensor cores", T, bfloat16, half) {
  for (const Setting& s : settings()) {
    INFO("x " << to_string(s.shape) << ", outputs " << s.options.out << ", kernel " << s.options.kernel.h << "x" << s.options.kernel.w);
    const Experiment<T> e(s);
    check_outcome<T>(e, {});
    if (s.options.in > 20 || s.options.kernel.w > 20) continue;
    if (std::is_same_v<T, half>) check_outcome<T>(e, {.kernel = ConvKernel::direct});
    check_outcome<T>(e, {.kernel = gemm, .tile = s.options.in == 2 ? ConvTile::low_16x256 : ConvTile::square_64x64});
    if (s.options.in == 3) check_outcome<T>(e, {.kernel = gemm, .tensor_cores = false});
  }
  const Experiment<T> large({{.in = 5, .out = 140, .kernel = 3, .padding = 1}, {3, 5, 8, 7}});
  check_outcome<T>(large, {.kernel = gemm, .tile = ConvTile::square_128x128});
  check_outcome<T>(large, {.kernel = gemm, .wide_index = true});
}

TEST_CASE_TEMPLATE("convolution kernels: bfloat16 and half are summed in float", T, bfloat16, half) {
  // 1 + 2000 times 2^-12: a sum in 16 bits would stay at 1
  const Index channels = 2001;
  Tensor<T> x = Tensor<T>::full({1, channels, 1, 1}, T(0x1p-12)), w = Tensor<T>::full({1, channels, 1, 1}, T(1));
  x[0] = T(1);
  const auto x_ = x.template to<Cuda>(), w_ = w.template to<Cuda>();
  for (const ConvKernel kernel : {ConvKernel::direct, gemm}) {
    OnCuda<T> y({1, 1, 1, 1});
    gpu::conv2d_forward_tuned<T>(Cuda::stream(), {.kernel = kernel}, place({}, 1, 1, "test"), 1, x_, w_, In<T, Cuda>(), y);
    CHECK(static_cast<float>(y.template to<Cpu>()[0]) == static_cast<float>(T(1 + 2000 * 0x1p-12f)));
  }
}

TEST_CASE_TEMPLATE("convolution kernels: the weight gradient cut into runs", T, float, double) {
  const Setting long_sums[] = {{{.in = 2, .out = 3, .kernel = 3, .padding = 1}, {7, 2, 10, 9}},
                               {{.in = 3, .out = 18, .kernel = {2, 3}, .stride = 2}, {9, 3, 16, 15}}};
  for (const Setting& s : long_sums) {
    const Experiment<T> e(s);
    for (const ConvKernel kernel : {ConvKernel::direct, gemm}) {
      const gpu::ConvTuning whole{.kernel = kernel, .split_pixels = Index{1} << 40};
      const auto sum = weight_gradient(e, whole);
      CHECK(test::relative_error(sum, e.dw_sum) < tolerance<T>);
      for (const Index pixels : {33, 300}) {
        const auto sum_of_runs = weight_gradient(e, {.kernel = kernel, .split_pixels = pixels});
        CHECK(test::relative_error(sum_of_runs, e.dw_sum) < tolerance<T>);
        CHECK_FALSE(same_bits(sum_of_runs, sum));  // it was cut: the order of the sum differs
      }
      CHECK(test::relative_error(weight_gradient(e, {.kernel = kernel, .split_blocks = 20, .split_pixels = 10}), e.dw_sum) < tolerance<T>);
    }
  }
}

TEST_CASE("convolution kernels: the same bits every time") {
  const Setting some[] = {{{.in = 3, .out = 20, .kernel = 3, .stride = 2, .padding = 1}, {5, 3, 12, 13}},
                          {{.in = 4, .out = 4, .kernel = 3, .groups = 4}, {3, 4, 9, 9}}};
  for (const Setting& s : some) {
    const Experiment<float> e(s);
    for (const ConvKernel kernel : {ConvKernel::direct, gemm}) {
      const gpu::ConvTuning tuning{.kernel = kernel, .split_pixels = 32};
      const Outcome<float> one(e, tuning), two(e, tuning);
      CHECK(same_bits(one.y, two.y));
      CHECK(same_bits(one.dx, two.dx));
      CHECK(same_bits(one.dw, two.dw));
    }
  }
}

TEST_CASE("convolution kernels: without a bias") {
  const Experiment<double> e({{.in = 3, .out = 5, .kernel = 3}, {2, 3, 7, 6}});
  for (const ConvKernel kernel : {ConvKernel::direct, gemm}) {
    const Outcome<double> with(e, {.kernel = kernel}), without(e, {.kernel = kernel}, false);
    for (Index i = 0; i < with.y.size(); ++i) CHECK(with.y[i] - without.y[i] == doctest::Approx(e.b[i / 20 % 5]).epsilon(1e-12));
  }
}

TEST_CASE_TEMPLATE("convolution kernels: bias and its gradient", T, float, double, bfloat16, half) {
  for (const Shape& shape : {Shape{3, 5, 7, 3}, Shape{1, 1, 1, 1}, Shape{2, 3, 8, 8}, Shape{40, 2, 16, 15}, Shape{300, 7, 1, 1}}) {
    const auto dy = test::random_tensor<T>(shape, 1), before = test::random_tensor<T>({shape[1]}, 2);
    auto db = before.template cast<double>(), y = dy.template cast<double>();
    cpu::conv2d_backward_bias<double>({}, y, db);
    cpu::add_channel_bias<double>({}, before.template cast<double>(), y);
    auto db_ = before.template to<Cuda>(), y_ = dy.template to<Cuda>();
    const auto b_ = before.template to<Cuda>();
    gpu::conv2d_backward_bias<T>(Cuda::stream(), y_, db_);
    gpu::add_channel_bias<T>(Cuda::stream(), b_, y_);
    CHECK(test::relative_error(db_.template to<Cpu>(), db) < tolerance<T>);
    CHECK(test::relative_error(y_.template to<Cpu>(), y) < tolerance<T>);
  }
}

TEST_CASE("convolution kernels: the bias gradient in the launches of the weight gradient, the same bits") {
  const std::pair<ConvKernel, Setting> settings[] = {{ConvKernel::direct, {{.in = 1, .out = 1, .kernel = 1}, {69, 1, 16, 15}}},      // two chunks, in packs
                                                     {ConvKernel::direct, {{.in = 1, .out = 3, .kernel = {1, 2}}, {9, 1, 11, 14}}},  // one chunk, one by one
                                                     {gemm, {{.in = 3, .out = 6, .kernel = 2, .padding = 1, .groups = 3}, {5, 3, 15, 14}}}};
  for (const auto& [kernel, s] : settings)
    for (const Index split_pixels : {512, 1 << 20}) {
      const Conv2d<float> layer(s.options);
      const WindowPlan plan = place(layer.window(), s.shape[2], s.shape[3], "test");
      const gpu::ConvTuning tuning{.kernel = kernel, .split_pixels = split_pixels};
      const auto random = [](const Shape& shape, unsigned seed) { return test::random_tensor<float>(shape, seed).to<Cuda>(); };
      const auto x = random(s.shape, 1), dy = random(layer.output_shape(s.shape), 2);
      auto dw = random(layer.weight.value.shape(), 3), db = random({s.options.out}, 4), dw_too = dw.clone(), db_too = db.clone();
      gpu::conv2d_backward_weight_tuned<float>(Cuda::stream(), tuning, plan, s.options.groups, x, dy, dw);
      gpu::conv2d_backward_bias<float>(Cuda::stream(), dy, db);
      CHECK(gpu::detail::ConvBiasGradient<float>(dy, db_too.data()).fits());
      gpu::conv2d_backward_weight_tuned<float>(Cuda::stream(), tuning, plan, s.options.groups, x, dy, dw_too, db_too.data());
      CHECK(same_bits(dw.to<Cpu>(), dw_too.to<Cpu>()));
      CHECK(same_bits(db.to<Cpu>(), db_too.to<Cpu>()));
    }
}

TEST_CASE("convolution kernels: 64-bit positions only where 32 bits do not suffice") {
  const auto fits = [](const Conv2dOptions& o, Index batch, Index height, Index width) {
    const WindowPlan plan = place({o.kernel, o.stride, o.padding, o.dilation}, height, width, "test");
    return gpu::detail::ConvSizes(plan, o.groups, {batch, o.in, height, width}, {batch, o.out, plan.h.out, plan.w.out}).fits_int();
  };
  CHECK(fits({.in = 64, .out = 64, .kernel = 3, .padding = 1}, 512, 224, 224));        // 1.6e9 numbers
  CHECK_FALSE(fits({.in = 64, .out = 64, .kernel = 3, .padding = 1}, 670, 224, 224));  // 2.15e9
  CHECK_FALSE(fits({.in = 1, .out = 3, .kernel = 1}, 1, 30000, 30000));                // y is larger than x
  CHECK_FALSE(fits({.in = 50000, .out = 50000, .kernel = 1}, 1, 1, 1));                // w
  CHECK_FALSE(fits({.in = 1, .out = 1, .kernel = {2, 1}, .padding = {Index{1} << 29, 0}, .dilation = {Index{1} << 30, 1}}, 1, 2, 1));
  CHECK_FALSE(fits({.in = 1, .out = 1, .kernel = 1, .stride = (Index{1} << 31) - 1}, 1, 5, 5));
}

TEST_CASE("convolution kernels: a stride of 2^31 - 1") {
  Experiment<double> e({{.in = 2, .out = 3, .kernel = 2, .stride = (Index{1} << 31) - 1, .padding = 1}, {2, 2, 3, 4}});
  check_outcome<double>(e, {});
  check_outcome<double>(e, {.kernel = gemm});
}

TEST_CASE("convolution kernels: more blocks than a launch may have") {
  const Experiment<float> e({{.in = 9, .out = 20, .kernel = 3, .stride = 2, .padding = 1, .groups = 1}, {2, 9, 9, 8}});
  check_outcome<float>(e, {.kernel = gemm, .launch_blocks = 3});
  check_outcome<float>(e, {.kernel = ConvKernel::direct, .launch_blocks = 5});
}

TEST_CASE("convolution kernels: winograd where it is asked for and pays") {
  const Experiment<float> e({{.in = 20, .out = 40, .kernel = 3, .padding = 1}, {2, 20, 9, 8}});
  const Outcome<float> forced(e, {.kernel = ConvKernel::winograd}), ordinary(e, {}), chosen(e, {.winograd = true});
  CHECK(test::relative_error(forced.y, e.y) < tolerance<float>);
  CHECK(test::relative_error(forced.dx, e.dx) < tolerance<float>);
  CHECK_FALSE(same_bits(forced.y, ordinary.y));  // off by default
  CHECK_FALSE(same_bits(forced.dx, ordinary.dx));
  CHECK(same_bits(chosen.y, forced.y));
  CHECK(same_bits(chosen.dx, ordinary.dx));  // 20 rows are too few
  CHECK(same_bits(Outcome<float>(e, {.winograd = true, .winograd_rows = 20}).dx, forced.dx));
  CHECK(same_bits(Outcome<float>(e, {.winograd = true, .winograd_channels = 21}).y, ordinary.y));
  {
    const Cuda::UseMath use(Math::tf32);
    CHECK(same_bits(Outcome<float>(e, {.winograd = true}).y, Outcome<float>(e, {}).y));  // tensor cores are faster
    CHECK(same_bits(Outcome<float>(e, {.tensor_cores = false, .winograd = true}).y, forced.y));
  }
  const auto x = e.x.to<Cuda>(), w = e.w.to<Cuda>(), b = e.b.to<Cuda>();
  OnCuda<float> y(e.y.shape());
  CHECK_FALSE(gpu::winograd());
  gpu::set_winograd(true);
  gpu::conv2d_forward<float>(Cuda::stream(), e.plan, 1, x, w, b, y);
  gpu::set_winograd(false);
  CHECK(same_bits(y.to<Cpu>(), forced.y));
}

TEST_CASE("convolution kernels: what winograd does not compute, or not well, others do") {
  const auto computes = [](const Conv2dOptions& o, Index batch, Index size) {
    const WindowPlan plan = place({o.kernel, o.stride, o.padding, o.dilation}, size, size, "test");
    return gpu::detail::winograd_computes(gpu::detail::ConvSizes(plan, o.groups, {batch, o.in, size, size}, {batch, o.out, plan.h.out, plan.w.out}));
  };
  CHECK(computes({.in = 3, .out = 5, .kernel = 3, .padding = 1}, 2, 7));
  CHECK_FALSE(computes({.in = 3, .out = 5, .kernel = {3, 5}}, 2, 7));
  CHECK_FALSE(computes({.in = 3, .out = 5, .kernel = 3, .stride = {1, 2}}, 2, 7));
  CHECK_FALSE(computes({.in = 3, .out = 5, .kernel = 3, .dilation = 2}, 2, 7));
  CHECK_FALSE(computes({.in = 4, .out = 4, .kernel = 3, .groups = 2}, 2, 7));
  CHECK_FALSE(computes({.in = 3, .out = 5, .kernel = 3}, 2, 3));                      // the whole image: a linear layer
  CHECK_FALSE(computes({.in = 64, .out = 64, .kernel = 3, .padding = 1}, 670, 224));  // 64-bit positions
  for (const Setting& s : settings())
    if (s.options.in < 9) check_outcome<float>(Experiment<float>(s), {.kernel = ConvKernel::winograd});
  const Experiment<float> small({{.in = 20, .out = 40, .kernel = 3, .padding = 1}, {2, 20, 3, 3}});  // 7 of 16 outputs of its patches lie beyond the edge
  CHECK(same_bits(Outcome<float>(small, {.winograd = true}).y, Outcome<float>(small, {}).y));
  const Experiment<float> e(settings()[9]);
  check_outcome<float>(e, {.kernel = ConvKernel::winograd, .wide_index = true});
  check_outcome<double>(Experiment<double>({{.in = 3, .out = 5, .kernel = 3}, {2, 3, 7, 6}}), {.kernel = ConvKernel::winograd});
}

TEST_CASE("convolution kernels: rounding error of winograd and of the others") {
  for (const Index channels : {32, 128, 512}) {
    const Experiment<float> e({{.in = channels, .out = 8, .kernel = 3, .padding = 1}, {1, channels, 8, 8}});
    const auto error = [&](ConvKernel kernel) { return test::relative_error(Outcome<float>(e, {.kernel = kernel}).y, e.y); };
    const double winograd = error(ConvKernel::winograd), product = error(gemm);
    MESSAGE(concat(channels, " channels: F(2x2,3x3) ", winograd, ", direct ", error(ConvKernel::direct), ", implicit GEMM ", product));
    CHECK(winograd < 1.5 * product);
  }
}
