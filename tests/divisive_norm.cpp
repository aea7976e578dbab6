#include "ventral/layers/divisive_norm.hpp"

#include "support.hpp"
#include "ventral/layers/activation.hpp"
#include "ventral/layers/local_response_norm.hpp"

using namespace ventral;

namespace {

/// The formula, read literally, in double.
Tensor<double> direct(const DivisiveNormOptions& o, const Tensor<double>& x) {
  Tensor<double> y(x.shape());
  const Index c = x.dim(1), h = x.dim(2), w = x.dim(3);
  for (Index n = 0; n < x.dim(0); ++n)
    for (Index i = 0; i < c; ++i)
      for (Index j = 0; j < h; ++j)
        for (Index k = 0; k < w; ++k) {
          double sum = 0;
          for (Index p = i - o.channels.before; p <= i + o.channels.after; ++p)
            for (Index q = j - o.height.before; q <= j + o.height.after; ++q)
              for (Index r = k - o.width.before; r <= k + o.width.after; ++r)
                if (p >= 0 && p < c && q >= 0 && q < h && r >= 0 && r < w) sum += std::pow(std::abs(x.at(n, p, q, r)), o.exponent);
          const double box = static_cast<double>(o.channels.extent() * o.height.extent() * o.width.extent());
          const double divisor = std::pow(o.k + o.alpha / box * sum, o.beta);
          y.at(n, i, j, k) = divisor < o.threshold ? x.at(n, i, j, k) : x.at(n, i, j, k) / divisor;
        }
  return y;
}

const std::vector<DivisiveNormOptions>& variants() {
  static const std::vector<DivisiveNormOptions> all = {
      {.channels = 5, .k = 2, .alpha = 0.5, .beta = 0.75},
      {.channels = {3, 0}, .k = 1, .alpha = 2, .beta = 1},
      {.height = 3, .width = 5, .k = 0.1, .alpha = 1, .beta = 0.5},
      {.height = {0, 2}, .width = {4, 1}, .k = 0.5, .alpha = 3, .beta = 1.2, .exponent = 1},
      {.channels = 3, .height = 3, .width = {2, 0}, .k = 0.7, .alpha = 1.5, .beta = 0.6, .exponent = 2.5},
      {.channels = 9, .height = 9, .width = 9, .k = 0.3, .alpha = 20, .beta = 0.5},  // larger than the tensor
      {.channels = 3, .height = 3, .width = 3, .k = 0, .alpha = 27, .beta = 0.5, .threshold = 4},
      {.k = 1, .alpha = 1, .beta = 0.5},
  };
  return all;
}

DivisiveNormOptions learned(DivisiveNormOptions o, Index per_channel = 0) {
  o.learn = {.k = o.k > 0, .alpha = true, .beta = true};
  o.per_channel = per_channel;
  return o;
}

/// What forward and backward give, on the CPU: y, dx, and the gradients by k, alpha, beta.
template <class T>
struct Outcome {
  Tensor<T> y, dx, gradient[3];
};
template <class Space, class T>
Outcome<T> outcome(const DivisiveNormOptions& o, const Tensor<T>& x, const Tensor<T>& dy) {
  DivisiveNorm<T, Space> layer(o);
  Random random(3);
  for (auto* p : {&layer.k, &layer.alpha, &layer.beta}) {
    auto values = p->value.template to<Cpu>();
    for (T& v : values) v = static_cast<T>(static_cast<double>(v) * random.uniform(0.9, 1.1));
    if (o.per_channel) p->value = values.template to<Space>();
  }
  const auto r = test::run_backward(layer, x.template to<Space>(), dy.template to<Space>());
  Outcome<T> out{r.y.template to<Cpu>(), r.dx.template to<Cpu>(), {}};
  int i = 0;
  for (auto* p : {&layer.k, &layer.alpha, &layer.beta}) out.gradient[i++] = p->gradient.template to<Cpu>();
  return out;
}

}  // namespace

TEST_CASE_TEMPLATE("DivisiveNorm: the formula by hand", Space, VENTRAL_TEST_SPACES) {
  // |box| 3, alpha 3: D = 1 + 1 + 4, 1 + 1 + 4 + 9, 1 + 4 + 9
  DivisiveNorm<double, Space> layer({.channels = 3, .k = 1, .alpha = 3, .beta = 0.5});
  const auto x = Tensor<double>({1, 3, 1, 1}, {1, 2, 3}).to<Space>();
  const Tensor<double> expected({1, 3, 1, 1}, {1 / std::sqrt(6.0), 2 / std::sqrt(15.0), 3 / std::sqrt(14.0)});
  CHECK(test::relative_error(test::run(layer, x).template to<Cpu>(), expected) < 1e-15);
}

TEST_CASE_TEMPLATE("DivisiveNorm: every kind of box agrees with a direct sum", Space, VENTRAL_TEST_SPACES) {
  for (const Shape shape : {Shape{2, 6, 7, 5}, Shape{1, 1, 3, 9}, Shape{3, 4, 1, 1}}) {
    const auto x = test::random_tensor<double>(shape, 4, 0.3, 2);
    for (const auto& o : variants()) {
      DivisiveNorm<double, Space> layer(o);
      DivisiveNorm<float, Space> single(o);
      const auto expected = direct(o, x);
      CHECK(test::relative_error(test::run(layer, x.to<Space>()).template to<Cpu>(), expected) < 1e-14);
      CHECK(test::relative_error(test::run(layer, x.to<Space>(), Mode::training).template to<Cpu>(), expected) < 1e-14);
      CHECK(test::relative_error(test::run(single, x.cast<float>().to<Space>()).template to<Cpu>(), expected) < 1e-6);
    }
  }
}

TEST_CASE_TEMPLATE("DivisiveNorm: all channels of a wide layer, whose rows are shorter than a register or two", T, float, double) {
  for (const Shape shape : {Shape{1, 384, 13, 13}, {2, 512, 7, 7}, {1, 2048, 7, 7}, {1, 1500, 3, 3}, {1, 700, 40, 1}}) {
    CAPTURE(shape);
    const Index channels = shape[1], height = shape[2], width = shape[3], plane = height * width;
    DivisiveNorm<T> layer({.channels = Reach(channels - 1, channels - 1), .height = 3, .width = 3});
    const auto x = test::random_tensor<T>(shape, 1);
    const auto y = test::run(layer, x);
    std::vector<double> squares(static_cast<std::size_t>(shape[0] * plane));
    for (Index i = 0; i < x.size(); ++i) squares[static_cast<std::size_t>(i / (channels * plane) * plane + i % plane)] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    double worst = 0;
    for (Index i = 0; i < x.size(); ++i) {
      const Index image = i / (channels * plane), row = i % plane / width, column = i % width;
      double sum = 0;
      for (Index r = std::max<Index>(0, row - 1); r <= std::min(height - 1, row + 1); ++r)
        for (Index c = std::max<Index>(0, column - 1); c <= std::min(width - 1, column + 1); ++c) sum += squares[static_cast<std::size_t>(image * plane + r * width + c)];
      worst = std::max(worst, std::abs(static_cast<double>(y[i]) - static_cast<double>(x[i]) / std::sqrt(1 + sum / (static_cast<double>(2 * channels - 1) * 9))));
    }
    CHECK(worst < (std::is_same_v<T, float> ? 3e-6 : 1e-12));
  }
}

TEST_CASE_TEMPLATE("DivisiveNorm: float stays right element by element, 1e-3 next to 1e4", Space, VENTRAL_TEST_SPACES) {
  Random random(9);
  Tensor<double> x({1, 12, 17, 19});
  for (double& v : x) v = static_cast<double>(static_cast<float>(std::pow(10.0, random.uniform(-3, 4)) * (random.uniform() < 0.5 ? -1 : 1)));
  const DivisiveNormOptions o{.channels = 3, .height = 3, .width = 3, .k = 1e-6, .alpha = 1, .beta = 0.5};
  DivisiveNorm<float, Space> layer(o);
  const auto y = test::run(layer, x.cast<float>().to<Space>()).template to<Cpu>();
  const auto expected = direct(o, x);
  double worst = 0;
  for (Index i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(static_cast<double>(y[i]) / expected[i] - 1));
  CHECK(worst < 2e-6);
}

TEST_CASE_TEMPLATE("DivisiveNorm: gradients by x, k, alpha, beta", Space, VENTRAL_TEST_SPACES) {
  const auto x = test::random_tensor<double, Space>({2, 4, 5, 6}, 6, 0.2, 1.5);
  for (const auto& o : variants())
    for (const Index per_channel : {0, 4}) {
      DivisiveNorm<double, Space> layer(learned(o, per_channel));
      CHECK(layer.parameters().size() == (o.k > 0 ? 3 : 2));
      if (per_channel)
        layer.alpha.value = test::random_tensor<double, Space>({4}, 8, o.alpha, o.alpha / 5),
        layer.beta.value = test::random_tensor<double, Space>({4}, 9, o.beta, 0.1);
      test::check_gradient(layer, x, {.max_elements = 60});
      Sequential<double, Space> behind;
      behind.add("front", Tanh<double, Space>({.amplitude = 2})).add("norm", layer);
      test::check_gradient(behind, x, {.max_elements = 40});
    }
}

TEST_CASE_TEMPLATE("DivisiveNorm: gradient in float agrees with double", Space, VENTRAL_TEST_SPACES) {
  const auto x = test::random_tensor<double>({2, 6, 9, 8}), dy = test::random_tensor<double>({2, 6, 9, 8}, 2);
  for (const auto& o : variants()) {
    const auto expected = outcome<Cpu>(learned(o), x, dy);
    const auto found = outcome<Space>(learned(o), x.cast<float>(), dy.cast<float>());
    CHECK(test::relative_error(found.dx, expected.dx) < 1e-5);
    CHECK(test::relative_error(found.gradient[2], expected.gradient[2]) < 1e-4);
    CHECK(test::relative_error(found.gradient[1], expected.gradient[1]) < 1e-4);
  }
}

TEST_CASE("DivisiveNorm: Cuda agrees with the CPU on awkward shapes") {
  const DivisiveNormOptions boxes[] = {{.channels = 3, .height = 5, .width = 3, .k = 0.5, .alpha = 2, .beta = 0.75},
                                       {.channels = {7, 0}, .k = 1, .alpha = 3, .beta = 1},
                                       {.height = {1, 0}, .width = {0, 3}, .k = 0.3, .alpha = 1, .beta = 0.6, .exponent = 3},
                                       {.height = 21, .width = 25, .k = 0.3, .alpha = 5, .beta = 0.5},
                                       {.channels = {2, 1}, .height = 33, .width = 3, .k = 0.3, .alpha = 5, .beta = 0.4, .exponent = 1.5},
                                       {.channels = 5, .height = 3, .width = 3, .k = 0.1, .alpha = 40, .beta = 0.5, .threshold = 1.5}};
  const auto check = [](const DivisiveNormOptions& o, const auto& x, const auto& dy, double tolerance) {
    const auto expected = outcome<Cpu>(o, x, dy);
    const auto found = outcome<Cuda>(o, x, dy);
    CHECK(test::relative_error(found.y, expected.y) < tolerance);
    CHECK(test::relative_error(found.dx, expected.dx) < tolerance);
    for (int i = 0; i < 3; ++i) CHECK(test::relative_error(found.gradient[i], expected.gradient[i]) < 10 * tolerance);
  };
  for (const Shape& shape : {Shape{2, 7, 37, 23}, Shape{1, 1, 1, 1}, Shape{5, 3, 4, 2}, Shape{1, 13, 1, 41}, Shape{3, 1, 35, 1}})
    for (const auto& o : boxes)
      for (const Index per_channel : {Index{0}, shape[1]}) {
        INFO(to_string(shape) << " per channel " << per_channel);
        const auto x = test::random_tensor<double>(shape, 5, 0.2), dy = test::random_tensor<double>(shape, 6);
        check(learned(o, per_channel), x, dy, 1e-12);
        if (per_channel) check(learned(o, per_channel), x.cast<float>(), dy.cast<float>(), 1e-5);
      }
  for (const Shape& shape : {Shape{3, 1, 2, 3}, Shape{1, 2, 1, 1}, Shape{2, 3, 5, 1}, Shape{1, 6, 1, 300}, Shape{1, 37, 3, 7}, Shape{2, 70, 5, 5}})  // windows known to the compiler
    for (const Index per_channel : {Index{0}, shape[1]})
      for (const auto& o : {DivisiveNormOptions{.channels = 5, .k = 2, .alpha = 0.5, .beta = 0.75}, {.channels = 5, .k = 0, .alpha = 5, .beta = 0.5, .exponent = 1, .threshold = 1}}) {
        INFO(to_string(shape) << " per channel " << per_channel);
        check(learned(o, per_channel), test::random_tensor<float>(shape, 5, 0.4), test::random_tensor<float>(shape, 6), 1e-5);
      }
  check(learned({.channels = {170, 90}}), test::random_tensor<double>({1, 300, 2, 1}), test::random_tensor<double>({1, 300, 2, 1}, 2), 1e-12);
  check(learned({.channels = 5}), test::random_tensor<double>({3, 9, 2, 3, 5}), test::random_tensor<double>({3, 9, 2, 3, 5}, 2), 1e-12);
  check(learned({.channels = 5}), test::random_tensor<double>({9, 6}), test::random_tensor<double>({9, 6}, 2), 1e-12);
}

TEST_CASE_TEMPLATE("DivisiveNorm: 16-bit storage, computed with in float", T, bfloat16, half) {
  const double rounding = std::is_same_v<T, half> ? 0x1p-11 : 0x1p-8;
  for (const auto& o : variants()) {
    const auto x = test::random_tensor<double>({2, 6, 9, 8}, 1, 0.2, 2).cast<T>(), dy = test::random_tensor<double>({2, 6, 9, 8}, 2).cast<T>();
    auto options = learned(o);
    options.k = static_cast<double>(T(o.k)), options.alpha = static_cast<double>(T(o.alpha)), options.beta = static_cast<double>(T(o.beta));
    const auto expected = outcome<Cpu>(options, x.template cast<double>(), dy.template cast<double>());
    const auto found = outcome<Cuda>(options, x, dy);
    CHECK(test::relative_error(found.y, expected.y) < rounding);
    CHECK(test::relative_error(found.dx, expected.dx) < 4 * rounding);
    for (int i = 1; i < 3; ++i) CHECK(test::relative_error(found.gradient[i], expected.gradient[i]) < 8 * rounding);
  }
}

TEST_CASE("DivisiveNorm: in half precision, squares beyond its range do no harm") {
  for (const double exponent : {1.0, 2.0, 3.0}) {
    const DivisiveNormOptions o = learned({.channels = 3, .height = 3, .k = 1, .alpha = 0.25, .beta = 0.5, .exponent = exponent});
    const Shape shape{1, 5, 4, 3};
    const auto x = test::random_tensor<double>(shape, 1, 0, 900).cast<half>(), dy = test::random_tensor<double>(shape, 2, 0, 30).cast<half>();
    const auto expected = outcome<Cpu>(o, x.cast<double>(), dy.cast<double>());
    const auto found = outcome<Cuda>(o, x, dy);
    CHECK(test::relative_error(found.y, expected.y) < 0.001);
    CHECK(test::relative_error(found.dx, expected.dx) < 0.01);
    CHECK(test::relative_error(found.gradient[2], expected.gradient[2]) < 0.01);
  }
}

TEST_CASE_TEMPLATE("DivisiveNorm: slope 0 at the kink, whatever the exponent", Space, VENTRAL_TEST_SPACES) {
  for (const double exponent : {0.5, 1.0, 2.0, 3.0}) {
    const auto r = outcome<Space>({.channels = 3, .k = 4, .alpha = 3, .beta = 0.5, .exponent = exponent}, Tensor<double>({1, 2, 1, 1}, {0, 1}),
                                  Tensor<double>({1, 2, 1, 1}, {1, 1}));
    CHECK(r.y[0] == 0);
    CHECK(r.dx[0] == doctest::Approx(1 / std::sqrt(5.0)).epsilon(1e-12));
  }
}

TEST_CASE_TEMPLATE("DivisiveNorm: with a threshold, weak neighbourhoods pass unchanged", Space, VENTRAL_TEST_SPACES) {
  // Pinto's V1-like model: divided by the Euclidean norm of the box where that is at least 1
  const DivisiveNormOptions o{.channels = 3, .k = 0, .alpha = 3, .beta = 0.5, .threshold = 1};
  const auto r = outcome<Space>(o, Tensor<double>({3, 2, 1, 1}, {0.3, 0.4, 3, 4, 0, 0}), Tensor<double>::full({3, 2, 1, 1}, 1));
  CHECK(test::relative_error(r.y, Tensor<double>({3, 2, 1, 1}, {0.3, 0.4, 0.6, 0.8, 0, 0})) < 1e-15);
  CHECK(r.dx[0] == 1);
  CHECK(r.dx[5] == 1);
  CHECK(r.dx[2] == doctest::Approx(0.2 - 3.0 * 7 / 125));
  DivisiveNorm<double, Space> never({.k = 0.1, .beta = 0, .threshold = 2});
  CHECK(test::run(never, Tensor<double, Space>::full({1, 1, 1, 1}, 5)).template to<Cpu>()[0] == 5);
}

TEST_CASE("DivisiveNorm: saturation and surround suppression (Carandini and Heeger 2012)") {
  DivisiveNorm<double> layer({.height = 3, .width = 3, .k = 1, .alpha = 9, .beta = 0.5});
  const auto centre = [&](double c, double surround) {
    auto x = Tensor<double>::full({1, 1, 3, 3}, surround);
    x.at(0, 0, 1, 1) = c;
    return test::run(layer, x).at(0, 0, 1, 1);
  };
  CHECK(centre(2, 0) > centre(1, 0));
  CHECK(centre(1000, 0) == doctest::Approx(1).epsilon(1e-5));
  CHECK(centre(2, 1) < centre(2, 0));
  CHECK(centre(2, 2) < centre(2, 1));
}

TEST_CASE_TEMPLATE("DivisiveNorm: learned values count down to a floor, and the gradient can lift them from it", Space, VENTRAL_TEST_SPACES) {
  DivisiveNorm<double, Space> layer(learned({.channels = 3, .k = 1, .alpha = 1, .beta = 0.5, .smallest_k = 0.25}));
  const auto filled = [](double v) { return Tensor<double, Space>::full({1, 1, 1, 1}, v); };
  const auto x = filled(1), up = filled(-1), down = filled(1);
  layer.k.value.fill(-3);
  layer.alpha.value.fill(-2);
  CHECK(test::run_backward(layer, x, up).y.template to<Cpu>()[0] == doctest::Approx(2));  // 1 / sqrt(0.25)
  CHECK(layer.k.gradient.template to<Cpu>()[0] == 0);  // y is to grow, which would take k lower still
  CHECK(layer.alpha.gradient.template to<Cpu>()[0] == 0);
  static_cast<void>(test::run_backward(layer, x, down));
  CHECK(layer.k.gradient.template to<Cpu>()[0] < 0);
  CHECK(layer.alpha.gradient.template to<Cpu>()[0] < 0);
}

TEST_CASE("DivisiveNorm: frozen parameters, copies, initialize") {
  DivisiveNorm<double> layer(learned({.channels = 3, .k = 2, .alpha = 0.5}));
  layer.k.frozen = true;
  const auto x = test::random_tensor<double>({1, 3, 2, 2});
  test::run_backward(layer, x, x);
  CHECK(layer.k.gradient.empty());
  CHECK(layer.alpha.gradient.size() == 1);
  layer.alpha.value[0] = 9;
  DivisiveNorm<double> copy = layer;
  copy.initialize(Random(1));
  CHECK(copy.alpha.value[0] == 0.5);
  CHECK(layer.alpha.value[0] == 9);
  CHECK(DivisiveNorm<double>({.channels = 3}).parameters().empty());
}

TEST_CASE_TEMPLATE("DivisiveNorm: empty batch, NaN, other ranks", Space, VENTRAL_TEST_SPACES) {
  DivisiveNorm<float, Space> layer(learned({.channels = 3, .height = 3, .width = 3}));
  const auto r = test::run_backward(layer, Tensor<float, Space>({0, 2, 4, 4}), Tensor<float, Space>({0, 2, 4, 4}));
  CHECK(r.dx.shape() == Shape{0, 2, 4, 4});
  CHECK(layer.k.gradient.template to<Cpu>()[0] == 0);
  Tensor<float> x = Tensor<float>::full({1, 1, 5, 5}, 1);
  x.at(0, 0, 2, 2) = NAN;
  const auto y = test::run(layer, x.to<Space>()).template to<Cpu>();
  CHECK(std::isnan(y.at(0, 0, 1, 1)));
  CHECK(y.at(0, 0, 0, 4) == y.at(0, 0, 4, 0));
  CHECK(std::isfinite(y.at(0, 0, 0, 4)));
  layer.k.value.fill(NAN);
  CHECK(std::isnan(test::run(layer, Tensor<float, Space>::full({1, 1, 1, 1}, 1)).template to<Cpu>()[0]));

  DivisiveNorm<double, Space> channels({.channels = 3});
  const auto image = test::random_tensor<double>({2, 4, 3, 2});
  const auto expected = test::run(channels, image.to<Space>()).template to<Cpu>();
  Tensor<double> row({2, 4, 6}), volume({2, 4, 1, 3, 2});
  std::copy(image.begin(), image.end(), row.begin());
  std::copy(image.begin(), image.end(), volume.begin());
  const auto same = [&](const Tensor<double>& a) { return std::equal(a.begin(), a.end(), expected.begin()); };
  CHECK(same(test::run(channels, row.to<Space>()).template to<Cpu>()));
  CHECK(same(test::run(channels, volume.to<Space>()).template to<Cpu>()));
  test::check_gradient(channels, test::random_tensor<double, Space>({3, 5}));
}

TEST_CASE("DivisiveNorm: the same bits for any number of threads") {
  const auto x = test::random_tensor<float>({3, 7, 40, 33}), dy = test::random_tensor<float>({3, 7, 40, 33}, 2);
  const int before = cpu::threads();
  const auto with = [&](int threads) {
    cpu::set_threads(threads);
    DivisiveNorm<float> layer(learned({.channels = 3, .height = 5, .width = 7, .beta = 0.75}, 7));
    auto r = test::run_backward(layer, x, dy);
    Tensor<float> all({2, x.size() + 21});
    std::copy(r.y.begin(), r.y.end(), all.begin());
    std::copy(r.dx.begin(), r.dx.end(), all.begin() + x.size());
    float* rest = all.begin() + 2 * x.size();
    for (auto* p : {&layer.k, &layer.alpha, &layer.beta}) rest = std::copy(p->gradient.begin(), p->gradient.end(), rest);
    return all;
  };
  const auto one = with(1), three = with(3);
  cpu::set_threads(before);
  CHECK(std::equal(one.begin(), one.end(), three.begin()));
}

TEST_CASE("DivisiveNorm: blocks of images give what rows give, in forward, backward and by the parameters") {
  const auto in_blocks = [](const Tensor<float>& x, float beyond) {
    auto b = Tensor<float>::uninitialized(x.shape(), Format::blocks);
    b.fill(beyond);
    const Index image = x.size() / std::max(Index{1}, x.dim(0));
    for (Index i = 0; i < x.size(); ++i) b[(i / image / block_images * image + i % image) * block_images + i / image % block_images] = x[i];
    return b;
  };
  for (const Index batch : {0, 1, 15, 16, 17, 33})
    for (const Shape shape : {Shape{batch, 6, 5, 3}, Shape{batch, 1, 1, 1}, Shape{batch, 3, 1, 9}, Shape{batch, 13, 2, 2}})
      for (const auto& o : variants()) {
        INFO(to_string(shape));
        const auto x = test::random_tensor<float>(shape, 1, 0.3, 2), dy = test::random_tensor<float>(shape, 2);
        DivisiveNorm<float> rows(learned(o)), blocks(learned(o));
        CHECK(blocks.takes_blocks(shape));
        const auto r = test::run_backward(rows, x, dy);
        auto bx = in_blocks(x, 3), bdy = in_blocks(dy, 0), by = Tensor<float>::uninitialized(shape, Format::blocks), bdx = Tensor<float>::uninitialized(shape, Format::blocks);
        Pass<Cpu> pass(Mode::training);
        blocks.forward(bx, by, pass);
        Out<float> out = bdx;
        blocks.backward(bx, by, bdy, &out, pass);
        const auto y = in_blocks(r.y, 0), dx = in_blocks(r.dx, 0);
        double worst = 0, beyond = 0;
        for (Index i = 0; i < y.ref().stored().size(); ++i) {
          const bool inside = i / (bx.ref().stored().size() / std::max(Index{1}, stored_images(batch, Format::blocks) / 16)) * 16 + i % 16 < batch;
          if (inside) worst = std::max(worst, static_cast<double>(std::max(std::abs(by[i] - y[i]), std::abs(bdx[i] - dx[i]))));
          else beyond = std::max(beyond, static_cast<double>(std::abs(bdx[i])) + (std::isfinite(by[i]) ? 0 : 1));
        }
        CHECK(worst < 1e-5);
        CHECK(beyond == 0);
        if (batch == 0) continue;
        CHECK(test::relative_error(blocks.alpha.gradient, rows.alpha.gradient) < 1e-4);
        CHECK(test::relative_error(blocks.beta.gradient, rows.beta.gradient) < 1e-4);
      }
}

TEST_CASE("DivisiveNorm: exponents with a short way, windows of all lengths, tiles, at every SIMD level") {
  for (const cpu::SimdLevel level : {cpu::SimdLevel::baseline, cpu::SimdLevel::avx2, cpu::SimdLevel::avx512}) {
    if (level > cpu::simd_level()) continue;
    const auto check = [&](DivisiveNormOptions o, Shape shape) {
      INFO(cpu::to_string(level) << " " << to_string(shape) << " beta " << o.beta << " channels " << o.channels.extent());
      const DivisiveRule rule{{o.channels, o.height, o.width}, o.exponent};
      const auto value = [](double v) { return Tensor<float>::full({1}, static_cast<float>(v)); };
      const auto k = value(o.k), alpha = value(o.alpha), beta = value(o.beta);
      const auto x = test::random_tensor<double>(shape, 3, 0, 2), dy = test::random_tensor<double>(shape, 4);
      const auto narrow = x.cast<float>(), narrow_dy = dy.cast<float>();
      Tensor<float> y(shape), dx(shape);
      const auto call = [&](Index tile) { return cpu::detail::DivisiveCall<float>{cpu::detail::divisive_kernels<float>(level), rule, {rule.box, shape, Format::rows, tile}, k, alpha, beta}; };
      call(1024).forward(narrow.data(), nullptr, y.data());
      CHECK(test::relative_error(y, direct(o, x)) < 3e-7);
      call(512).backward(narrow.data(), narrow_dy.data(), dx.data());
      DivisiveNorm<double> exact(o);
      CHECK(test::relative_error(dx, test::run_backward(exact, x, dy).dx) < 1e-6);
    };
    for (const double beta : {0.0, 0.5, 0.75, 1.0, 0.6})
      for (const Shape shape : {Shape{1, 7, 3, 5}, Shape{2, 5, 37, 31}, Shape{1, 1, 4, 8}}) {
        check({.channels = 5, .k = 0.5, .beta = beta}, shape);
        check({.height = 3, .width = {0, 2}, .k = 2, .alpha = 3, .beta = beta}, shape);
      }
    for (const Index n : {1, 2, 7, 8, 9, 12, 16, 31, 60}) {
      const Reach r{n / 3, n - 1 - n / 3};
      check({.channels = r, .beta = 0.75}, {2, 23, 5, 3});
      check({.channels = 2 * n - 1, .beta = 0.5}, {1, 40, 1, 1});
      check({.height = r, .width = 3, .beta = 0.75}, {1, 2, 19, 6});
      check({.width = r, .beta = 0.75}, {1, 2, 3, 21});
      check({.channels = {1, 0}, .height = r, .width = r, .beta = 0.75}, {1, 3, 13, 14});
    }
    check({.channels = 3, .height = 5, .width = 3, .beta = 0.75}, {1, 4, 190, 101});  // several tiles of rows
  }
}

TEST_CASE("DivisiveNorm: infinite responses silence their neighbours") {
  for (const double beta : {0.5, 0.75, 1.0, 0.6}) {
    DivisiveNorm<float> layer({.channels = 3, .beta = beta});
    const auto y = test::run(layer, Tensor<float>({1, 4, 1, 1}, {1, INFINITY, 2, 3}));
    CHECK(y[0] < 1e-10f);
    CHECK(y[1] == INFINITY);
    CHECK(y[3] == doctest::Approx(3 / std::pow(1 + 13 / 3.0, beta)));
  }
}

TEST_CASE("DivisiveNorm: errors") {
  using D = DivisiveNorm<float>;
  const auto refused = [](DivisiveNormOptions o) { return test::message_of<Error>([&] { D layer(o); }); };
  CHECK(refused({.k = -1}) == "DivisiveNorm: k -1 must be positive, or 0 with a threshold");
  CHECK(refused({.k = 0}) == "DivisiveNorm: k 0 must be positive, or 0 with a threshold");
  CHECK(refused({.alpha = -1}) == "DivisiveNorm: alpha -1 and beta 0.5 must not be negative");
  CHECK(refused({.k = NAN}) == "DivisiveNorm: k nan must be positive, or 0 with a threshold");
  CHECK(refused({.exponent = 0}) == "DivisiveNorm: exponent 0 must be positive");
  CHECK(refused({.threshold = -1}) == "DivisiveNorm: threshold -1 must not be negative");
  CHECK(refused({.per_channel = -2}) == "DivisiveNorm: per_channel -2 is negative; a number of channels or 0 is needed");
  CHECK(refused({.height = {-1, 2}}) == "DivisiveNorm: the box reaches {-1, 2} in height; 0 to 2^20 is needed");
  CHECK(refused({.k = 1e-9, .learn = {.k = true}}) == "DivisiveNorm: a learned k of 1e-09 must be at least smallest_k, 1e-06, and that positive");
  const auto misfit = [](DivisiveNormOptions o, Shape x) { return test::message_of<ShapeError>([&] { static_cast<void>(D(o).output_shape(x)); }); };
  CHECK(misfit({.channels = 3}, {5}) == "DivisiveNorm: input [5] has no channel axis; [N,C,...] is needed");
  CHECK(misfit({.height = 3}, {1, 2, 3}) == "DivisiveNorm: input [1,2,3] has rank 3; a box of 3 rows and 1 columns expects [N,C,H,W]");
  CHECK(misfit({.per_channel = 4}, {1, 2, 3, 3}) == "DivisiveNorm: input [1,2,3,3] has 2 channels; per_channel expects 4");
}

TEST_CASE_TEMPLATE("LocalResponseNorm: even windows lean back, or forward as in ONNX", Space, VENTRAL_TEST_SPACES) {
  const auto x = Tensor<double>({1, 4, 1, 1}, {1, 2, 3, 4}).to<Space>();
  const auto y = [&](EvenWindow even) {
    LocalResponseNorm<double, Space> layer({.size = 4, .alpha = 4, .beta = 1, .k = 1, .even = even});
    return test::run(layer, x).template to<Cpu>();
  };
  CHECK(test::relative_error(y(EvenWindow::back), Tensor<double>({1, 4, 1, 1}, {1.0 / 6, 2.0 / 15, 3.0 / 31, 4.0 / 30})) < 1e-15);
  CHECK(test::relative_error(y(EvenWindow::forward), Tensor<double>({1, 4, 1, 1}, {1.0 / 15, 2.0 / 31, 3.0 / 30, 4.0 / 26})) < 1e-15);
  LocalResponseNorm<double, Space> even({.size = 4, .alpha = 0.5});
  test::check_gradient(even, test::random_tensor<double, Space>({2, 6, 3, 2}));
  CHECK(even.parameters().empty());
}

TEST_CASE("LocalResponseNorm: AlexNet's values, names in messages and networks") {
  LocalResponseNorm<double> layer({.size = 5, .alpha = 5e-4, .beta = 0.75, .k = 2});
  const auto y = test::run(layer, Tensor<double>::full({1, 7, 1, 1}, 10));
  CHECK(y[3] == doctest::Approx(10 / std::pow(2 + 1e-4 * 500, 0.75)).epsilon(1e-13));
  CHECK(test::message_of<ShapeError>([] { LocalResponseNorm<float> bad({.size = 0}); }) == "LocalResponseNorm: size 0; at least 1 channel is needed");
  CHECK(test::message_of<Error>([] { LocalResponseNorm<float> bad({.k = 0}); }) == "LocalResponseNorm: k 0 must be positive, or 0 with a threshold");
  Sequential<double> net;
  net.add("norm1", layer);
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(net.output_shape({3})); }) ==
        "LocalResponseNorm 'norm1': input [3] has no channel axis; [N,C,...] is needed");
  CHECK(net.summary({1, 7, 4, 4}).find("LocalResponseNorm") != std::string::npos);
}
