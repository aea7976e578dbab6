#include "ventral/layers/local_contrast_norm.hpp"

#include "support.hpp"
#include "ventral/layers/activation.hpp"

using namespace ventral;

namespace {

/// The formula, read literally: no separable sums.
Tensor<double> direct(const LocalContrastNormOptions& o, const Tensor<double>& x) {
  const Index samples = x.dim(0), channels = x.dim(1), h = x.dim(2), w = x.dim(3), r = o.size / 2;
  const double sigma = o.sigma > 0 ? o.sigma : static_cast<double>(o.size) / 4;
  const auto mean = [&](const Tensor<double>& a, Index n, Index i, Index j, bool squared) {
    double sum = 0, weights = 0;
    for (Index p = std::max(Index{0}, i - r); p <= std::min(h - 1, i + r); ++p)
      for (Index q = std::max(Index{0}, j - r); q <= std::min(w - 1, j + r); ++q)
        for (Index c = 0; c < channels; ++c) {
          const double g = std::exp(-static_cast<double>((p - i) * (p - i) + (q - j) * (q - j)) / (2 * sigma * sigma)), v = a.at(n, c, p, q);
          sum += g * (squared ? v * v : v), weights += g;
        }
    return sum / weights;
  };
  Tensor<double> v(x.shape()), y(x.shape()), s({samples, h, w});
  for (Index n = 0; n < samples; ++n) {
    for (Index i = 0; i < h; ++i)
      for (Index j = 0; j < w; ++j)
        for (Index c = 0; c < channels; ++c) v.at(n, c, i, j) = x.at(n, c, i, j) - mean(x, n, i, j, false);
    double total = 0;
    for (Index i = 0; i < h; ++i)
      for (Index j = 0; j < w; ++j) total += s.at(n, i, j) = std::sqrt(mean(v, n, i, j, true));
    const double least = o.constant > 0 ? o.constant : total / static_cast<double>(h * w);
    for (Index i = 0; i < h; ++i)
      for (Index j = 0; j < w; ++j)
        for (Index c = 0; c < channels; ++c) y.at(n, c, i, j) = v.at(n, c, i, j) / std::max({least, s.at(n, i, j), o.smallest});
  }
  return y;
}

const LocalContrastNormOptions variants[] = {{},           {.size = 3}, {.size = 5, .sigma = 3},     {.size = 7, .constant = 0.9},
                                             {.size = 25}, {.size = 1}, {.size = 5, .smallest = 0.9}};

/// y and dx, on the CPU.
template <class Space, class T>
test::Result<T, Cpu> outcome(const LocalContrastNormOptions& o, const Tensor<T>& x, const Tensor<T>& dy) {
  LocalContrastNorm<T, Space> layer(o);
  const auto r = test::run_backward(layer, x.template to<Space>(), dy.template to<Space>());
  return {r.y.template to<Cpu>(), r.dx.template to<Cpu>()};
}

}  // namespace

TEST_CASE_TEMPLATE("LocalContrastNorm: agrees with the formula", Space, VENTRAL_TEST_SPACES) {
  for (const Shape shape : {Shape{2, 3, 9, 13}, Shape{1, 2, 6, 5}, Shape{3, 2, 1, 17}})
    for (const auto& o : variants) {
      const auto x = test::random_tensor<double>(shape, 3, 5);
      LocalContrastNorm<double, Space> layer(o);
      LocalContrastNorm<float, Space> single(o);
      const auto expected = direct(o, x);
      CHECK(test::relative_error(test::run(layer, x.to<Space>()).template to<Cpu>(), expected) < 1e-13);
      CHECK(test::relative_error(test::run(single, x.cast<float>().to<Space>()).template to<Cpu>(), expected) < 1e-5);
    }
}

TEST_CASE_TEMPLATE("LocalContrastNorm: gradients, through the deviation and its mean", Space, VENTRAL_TEST_SPACES) {
  for (const auto& o : variants) {
    const auto x = test::random_tensor<double, Space>({2, 2, 6, 7}, 5, 1);
    LocalContrastNorm<double, Space> layer(o);
    test::check_gradient(layer, x, {.max_elements = 30});
    Sequential<double, Space> behind;
    behind.add("front", Tanh<double, Space>()).add("contrast", layer);
    test::check_gradient(behind, x, {.max_elements = 30});
  }
  LocalContrastNorm<double, Space> layer({.size = 3});
  test::check_gradient(layer, test::random_tensor<double, Space>({1, 1, 5, 4}));
  test::check_gradient(layer, test::random_tensor<double, Space>({2, 3, 1, 1}));
}

TEST_CASE("LocalContrastNorm: Cuda agrees with the CPU on awkward shapes") {
  for (const Shape& shape : {Shape{2, 3, 17, 23}, Shape{1, 1, 1, 1}, Shape{3, 5, 1, 37}, Shape{5, 1, 41, 1}, Shape{1, 2, 2, 3}})
    for (const auto& o : variants) {
      INFO(to_string(shape) << " size " << o.size);
      const auto x = test::random_tensor<double>(shape, 2, 3), dy = test::random_tensor<double>(shape, 4);
      const auto found = outcome<Cuda>(o, x, dy), expected = outcome<Cpu>(o, x, dy);
      const double tolerance = shape.size() == 1 ? 1e-9 : 1e-12;  // one pixel: all is rounding over `smallest`
      CHECK(test::relative_error(found.y, expected.y) < tolerance);
      CHECK(test::relative_error(found.dx, expected.dx) < tolerance);
      if (shape.size() < 100) continue;
      const auto narrow = outcome<Cuda>(o, x.cast<float>(), dy.cast<float>());
      CHECK(test::relative_error(narrow.y, expected.y) < 1e-5);
      CHECK(test::relative_error(narrow.dx, expected.dx) < 1e-5);
    }
}

TEST_CASE_TEMPLATE("LocalContrastNorm: 16-bit storage, computed with in float", T, bfloat16, half) {
  const double rounding = std::is_same_v<T, half> ? 0x1p-11 : 0x1p-8;
  for (const auto& o : {variants[0], variants[2], variants[3]}) {
    const auto x = test::random_tensor<double>({2, 3, 13, 9}, 2, 3).cast<T>(), dy = test::random_tensor<double>({2, 3, 13, 9}, 4).cast<T>();
    const auto expected = outcome<Cpu>(o, x.template cast<double>(), dy.template cast<double>());
    const auto found = outcome<Cuda>(o, x, dy);
    CHECK(test::relative_error(found.y, expected.y) < 2 * rounding);
    CHECK(test::relative_error(found.dx, expected.dx) < 8 * rounding);
  }
}

TEST_CASE_TEMPLATE("LocalContrastNorm: brightness drops out, contrast too, a uniform image gives 0", Space, VENTRAL_TEST_SPACES) {
  LocalContrastNorm<double, Space> layer({.size = 5});
  const auto x = test::random_tensor<double>({1, 1, 9, 9});
  Tensor<double> other = x.clone();
  for (double& v : other) v = 3 * v + 40;
  CHECK(test::relative_error(test::run(layer, other.to<Space>()).template to<Cpu>(), test::run(layer, x.to<Space>()).template to<Cpu>()) < 1e-12);
  const auto r = outcome<Space>({}, Tensor<float>::full({1, 2, 12, 12}, 7), Tensor<float>::full({1, 2, 12, 12}, 1));
  for (const float v : r.y) CHECK(std::abs(v) < 0.02f);  // rounding over `smallest`
  for (const float v : r.dx) CHECK(std::isfinite(v));
}

TEST_CASE_TEMPLATE("LocalContrastNorm: empty batch, NaN", Space, VENTRAL_TEST_SPACES) {
  CHECK(outcome<Space>({}, Tensor<float>({0, 3, 5, 5}), Tensor<float>({0, 3, 5, 5})).dx.empty());
  CHECK(outcome<Space>({}, Tensor<float>({2, 3, 0, 5}), Tensor<float>({2, 3, 0, 5})).y.empty());
  auto bad = Tensor<float>::full({1, 1, 20, 20}, 1);
  bad.at(0, 0, 3, 3) = NAN;
  const auto y = outcome<Space>({}, bad, bad).y;
  CHECK(std::isnan(y.at(0, 0, 3, 3)));
  CHECK(std::isfinite(y.at(0, 0, 19, 19)));
}

TEST_CASE("LocalContrastNorm: threads, errors") {
  LocalContrastNorm<float> layer;
  const auto x = test::random_tensor<float>({19, 2, 11, 12});
  const int before = cpu::threads();
  cpu::set_threads(1);
  const auto one = test::run_backward(layer, x, x);
  cpu::set_threads(3);
  const auto three = test::run_backward(layer, x, x);
  cpu::set_threads(before);
  CHECK(std::equal(one.dx.begin(), one.dx.end(), three.dx.begin()));

  const auto refused = [](LocalContrastNormOptions o) { return test::message_of<Error>([&] { LocalContrastNorm<float> l(o); }); };
  CHECK(refused({.size = 4}) == "LocalContrastNorm: size 4; an odd number of pixels below 2^20 is needed");
  CHECK(refused({.sigma = -1}) == "LocalContrastNorm: sigma -1 must be positive, or 0 for a quarter of the size");
  CHECK(refused({.constant = -1}) == "LocalContrastNorm: constant -1 must be positive, or 0 for the mean deviation");
  CHECK(refused({.smallest = 0}) == "LocalContrastNorm: smallest 0 must be positive");
  CHECK(test::message_of<ShapeError>([&] {
          static_cast<void>(layer.output_shape({3, 4}));
        }) == "LocalContrastNorm: input [3,4] has rank 2; [N,C,H,W] is needed");
}
