#include "ventral/data/augment.hpp"

#include "support.hpp"
#include "ventral/data/digits.hpp"

using namespace ventral;

namespace {

template <class T>
Tensor<T> augmented(const Tensor<T>& x, const Augmentation& options, std::uint64_t seed = 1, Index first = 0) {
  auto y = Tensor<T>::uninitialized(x.shape());
  augment<T>(x, y, options, Random(seed), first);
  return y;
}
template <class T>
bool same(const Tensor<T>& a, const Tensor<T>& b) {
  return a.shape() == b.shape() && std::equal(a.begin(), a.end(), b.begin());
}

/// N images of n x n whose value is the column (or the row): what comes out is where it came from.
Tensor<double> ramp(Index count, Index n, bool columns) {
  Tensor<double> x({count, 1, n, n});
  for (Index i = 0; i < x.size(); ++i) x[i] = static_cast<double>(columns ? i % n : i / n % n);
  return x;
}

const Augmentation all{.shift = 2, .rotation = 15, .scale = 0.15, .shear = 0.2, .elastic = 34};

}  // namespace

TEST_CASE("augment: nothing asked, nothing changed") {
  const auto x = test::random_tensor<float>({3, 2, 7, 5});
  CHECK(same(augmented(x, {}), x));
  const Dataset d = draw_digits(5);
  CHECK(same(augmented(d.images, {}), d.images));
  CHECK(augmented(Tensor<float>({0, 1, 4, 4}), all).shape() == Shape{0, 1, 4, 4});
  CHECK(augmented(Tensor<float>({2, 3, 0, 4}), all).shape() == Shape{2, 3, 0, 4});
  CHECK(augmented(Tensor<float>({1, 1, 1, 1}), all).shape() == Shape{1, 1, 1, 1});
}

TEST_CASE("augment: the same for a seed and index, whatever the batches, threads and place") {
  const Dataset d = draw_digits(70);
  cpu::set_threads(1);
  const auto a = augmented(d.images, all);
  cpu::set_threads(2);
  const auto b = augmented(d.images, all);
  cpu::set_threads(1);
  CHECK(same(a, b));
  CHECK_FALSE(same(a, d.images));
  CHECK_FALSE(same(a, augmented(d.images, all, 2)));
  auto part = Tensor<std::uint8_t>::uninitialized({20, 1, 28, 28});
  augment<std::uint8_t>(d.images.slice(50, 70), part, all, Random(1), 50);
  CHECK(std::equal(part.begin(), part.end(), a.data() + 50 * 784));
  auto in_place = d.images.clone();
  augment<std::uint8_t>(in_place, in_place, all, Random(1));
  CHECK(same(in_place, a));
  Tensor<std::uint8_t> twice({2, 1, 28, 28});  // the same image twice comes out in two ways
  for (Index i = 0; i < twice.size(); ++i) twice[i] = d.images[i % 784];
  const auto two = augmented(twice, all);
  CHECK_FALSE(std::equal(two.data(), two.data() + 784, two.data() + 784));
}

TEST_CASE("augment: shift, scale, rotation and shear move pixels as far as they say") {
  const Index n = 31, middle = 15;
  const auto at = [&](const Tensor<double>& x, Index image, Index row, Index column) { return x.at(image, 0, row, column); };
  {
    const auto x = augmented(ramp(300, n, true), {.shift = 3});
    double low = 99, high = -99;
    for (Index i = 0; i < 300; ++i) {
      const double moved = at(x, i, middle, middle) - middle;
      low = std::min(low, moved), high = std::max(high, moved);
      CHECK(at(x, i, 5, 10) - 10 == doctest::Approx(moved));  // all pixels alike
    }
    CHECK(low >= -3);
    CHECK(high <= 3);
    CHECK(low < -2.8);
    CHECK(high > 2.8);
  }
  {
    const auto x = augmented(ramp(300, n, false), {.scale = 0.2});
    double low = 99, high = -99;
    for (Index i = 0; i < 300; ++i) {
      const double factor = 10 / (at(x, i, middle + 10, middle) - middle);
      low = std::min(low, factor), high = std::max(high, factor);
      CHECK(at(x, i, middle, 3) == doctest::Approx(middle));
    }
    CHECK(low >= 0.8 - 1e-6);
    CHECK(high <= 1.2 + 1e-6);
    CHECK(high - low > 0.35);
  }
  {
    const auto y = augmented(ramp(300, n, false), {.rotation = 30}), x = augmented(ramp(300, n, true), {.rotation = 30});
    double largest = 0;
    for (Index i = 0; i < 300; ++i) {
      const double dy = at(y, i, middle, middle + 8) - middle, dx = at(x, i, middle, middle + 8) - middle;
      CHECK(std::hypot(dx, dy) == doctest::Approx(8).epsilon(1e-5));
      largest = std::max(largest, std::abs(std::atan2(dy, dx)));
    }
    CHECK(largest <= 0.5236);
    CHECK(largest > 0.5);
  }
  {
    const auto x = augmented(ramp(300, n, true), {.shear = 0.3});
    double largest = 0;
    for (Index i = 0; i < 300; ++i) {
      const double per_row = (at(x, i, middle + 10, middle) - middle) / 10;
      largest = std::max(largest, std::abs(per_row));
      CHECK(at(x, i, middle, 7) == doctest::Approx(7));
    }
    CHECK(largest <= 0.3 + 1e-6);
    CHECK(largest > 0.28);
  }
}

TEST_CASE("augment: the elastic field has the documented size and is smooth") {
  for (const double sigma : {3.0, 4.0, 6.0}) {
    const Index n = 40;
    const auto x = augmented(ramp(60, n, true), {.elastic = 34, .smoothness = sigma});
    double square = 0, jump = 0, count = 0;
    for (Index i = 0; i < 60; ++i)
      for (Index row = 10; row < 30; ++row)
        for (Index column = 10; column < 30; ++column) {
          const double d = x.at(i, 0, row, column) - static_cast<double>(column), e = x.at(i, 0, row, column + 1) - static_cast<double>(column + 1);
          square += d * d, jump += (e - d) * (e - d), count += 1;
        }
    const double rms = std::sqrt(square / count);
    CHECK(rms == doctest::Approx(0.163 * 34 / sigma).epsilon(0.12));
    CHECK(std::sqrt(jump / count) < rms / (sigma - 1));  // neighbours differ by 1 / (sqrt 2 sigma) of it
  }
}

TEST_CASE("augment: background, channels alike, every SIMD tail") {
  const auto white = augmented(Tensor<float>::full({1, 1, 9, 9}, 1), {.shift = 20, .background = 5});
  for (const float v : white) CHECK((v >= 1 && v <= 5));
  CHECK(*std::max_element(white.begin(), white.end()) == 5);
  for (const Index w : {1, 2, 3, 15, 16, 17, 33}) {
    Tensor<float> x({2, 3, 6, w});
    for (Index i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % (6 * w));
    const auto y = augmented(x, all);
    for (Index i = 0; i < 2; ++i)
      for (Index p = 0; p < 6 * w; ++p) {
        CHECK(y[(3 * i) * 6 * w + p] == y[(3 * i + 1) * 6 * w + p]);
        CHECK(std::isfinite(y[3 * i * 6 * w + p]));
      }
  }
}

TEST_CASE("augment: options and shapes out of range") {
  const Tensor<float> x({1, 1, 4, 4});
  const auto error = [&](const Augmentation& o) { return test::message_of<Error>([&] { augmented(x, o); }); };
  CHECK(error({.shift = -1}) == "Augmentation: shift is -1; 0 to 10000 expected");
  CHECK(error({.scale = 1}) == "Augmentation: scale is 1; 0 to 0.9 expected");
  CHECK(error({.elastic = NAN}) == "Augmentation: elastic is nan; 0 to 1e+06 expected");
  CHECK(error({.elastic = 1, .smoothness = 0}) == "Augmentation: smoothness is 0; 0.1 to 1000 expected");
  CHECK(test::message_of<Error>([&] {
          augmented(Tensor<std::uint8_t>({1, 1, 2, 2}), {.background = 256});
        }) == "Augmentation: background is 256; 0 to 255 expected");
  CHECK(test::message_of<ShapeError>([&] { augmented(Tensor<float>({4, 4}), {}); }) == "augment: x [4,4], y [4,4]; [N,C,H,W] expected for both");
  augmented(x, {.elastic = 1e6, .smoothness = 1000});  // far outside, many times around: no crash
}
