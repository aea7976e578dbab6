#include "ventral/data/stimuli.hpp"

#include <doctest/doctest.h>

#include <string>

#include "ventral/random.hpp"

using namespace ventral;

namespace {

template <class E>
std::string message(const Tensor<std::uint8_t>& images, const StimulusOptions& o) {
  try {
    static_cast<void>(prepare_stimuli(images, o));
  } catch (const E& e) {
    return e.what();
  }
  return "no such exception";
}

/// Images of reproducible noise.
Tensor<std::uint8_t> noise(Shape shape) {
  Tensor<std::uint8_t> x(shape);
  Random random(3);
  for (std::uint8_t& v : x) v = static_cast<std::uint8_t>(random.below(256));
  return x;
}

}  // namespace

TEST_CASE("stimuli: levels 0..1, grey by Rec. 601, colour first") {
  const Tensor<std::uint8_t> rgb({1, 1, 2, 3}, {255, 0, 51, 0, 255, 102});
  const Tensor<float> colour = prepare_stimuli(rgb);
  CHECK(colour.shape() == Shape{1, 3, 1, 2});
  for (const auto& [i, v] : {std::pair{0, 1.0}, {1, 0.0}, {2, 0.0}, {3, 1.0}, {4, 0.2}, {5, 0.4}}) CHECK(colour[i] == doctest::Approx(v));
  const Tensor<float> grey = prepare_stimuli(rgb, {.channels = 1});
  CHECK(grey.shape() == Shape{1, 1, 1, 2});
  CHECK(grey[0] == doctest::Approx(0.299 + 0.114 * 0.2));
  CHECK(grey[1] == doctest::Approx(0.587 + 0.114 * 0.4));
  const Tensor<float> three = prepare_stimuli(Tensor<std::uint8_t>({1, 1, 2}, {51, 255}), {.channels = 3});
  CHECK(three.shape() == Shape{1, 3, 1, 2});
  for (Index i = 0; i < 6; ++i) CHECK(three[i] == doctest::Approx(i % 2 ? 1 : 0.2));
  CHECK(prepare_stimuli(Tensor<std::uint8_t>({2, 4, 5, 1})).shape() == Shape{2, 1, 4, 5});
}

TEST_CASE("stimuli: resized as resize() does, kept in shape or stretched, padded with background") {
  const Tensor<std::uint8_t> x = noise({2, 9, 13});
  for (const Pair size : {Pair(4, 6), Pair(20, 21), Pair(5, 30)}) {
    const Tensor<float> y = prepare_stimuli(x, {.size = size, .keep_aspect = false});
    for (Index n = 0; n < 2; ++n) {
      const Tensor<std::uint8_t> reference = resize(x.slice(n, n + 1), size.h, size.w);
      for (Index i = 0; i < reference.size(); ++i) CHECK(std::abs(y[n * reference.size() + i] * 255 - static_cast<float>(reference[i])) < 0.502f);
    }
  }
  // 2 x 4 pixels into 4 x 4: the aspect is kept, the image stands in the middle.
  const Tensor<std::uint8_t> wide({1, 2, 4}, {0, 0, 255, 255, 0, 0, 255, 255});
  const Tensor<float> fitted = prepare_stimuli(wide, {.size = 4, .padding = {0, 1, 0, 0}, .background = 0.25});
  CHECK(fitted.shape() == Shape{1, 1, 4, 5});
  for (Index i = 0; i < 20; ++i) {
    const bool inside = i / 5 >= 1 && i / 5 < 3 && i % 5 > 0;
    CHECK(fitted[i] == (inside ? (i % 5 >= 3 ? 1.0f : 0.0f) : 0.25f));
  }
  CHECK(prepare_stimuli(wide, {.size = {1, 100}}).shape() == Shape{1, 1, 1, 100});
  CHECK(prepare_stimuli(noise({1, 50, 1}), {.size = 4}).shape() == Shape{1, 1, 4, 4});  // a side never vanishes
}

TEST_CASE("stimuli: normalized by given numbers or by each image's own") {
  const Tensor<std::uint8_t> x = noise({3, 4, 5, 3});
  const Tensor<float> plain = prepare_stimuli(x), y = prepare_stimuli(x, {.mean = {0.1, 0.2, 0.3}, .deviation = {0.5}});
  for (Index i = 0; i < y.size(); ++i) CHECK(y[i] == doctest::Approx((plain[i] - 0.1 * static_cast<double>(i / 20 % 3 + 1)) / 0.5));
  const Tensor<float> centred = prepare_stimuli(x, {.padding = 2, .background = 0.4, .mean = {0.4}});
  CHECK(centred[0] == doctest::Approx(0));  // background minus itself
  const Tensor<float> own = prepare_stimuli(x, {.each = true});
  for (Index n = 0; n < 3; ++n) {
    double sum = 0, square = 0;
    for (Index i = n * 60; i < (n + 1) * 60; ++i) sum += own[i], square += own[i] * own[i];
    CHECK(std::abs(sum) < 1e-4);
    CHECK(square / 60 == doctest::Approx(1));
  }
  for (const float v : prepare_stimuli(Tensor<std::uint8_t>::full({1, 7, 9}, 77), {.size = 5, .padding = 0, .background = 77.0 / 255, .each = true}))
    CHECK(v == 0);
}

TEST_CASE("stimuli: from a data set, no images, the same for any number of threads") {
  Dataset data;
  data.images = noise({2, 3, 4, 5});
  data.labels = Tensor<std::int32_t>({2});
  Tensor<std::uint8_t> last({2, 4, 5, 3});
  for (Index i = 0; i < last.size(); ++i) last[i] = data.images[i / 60 * 60 + i % 3 * 20 + i / 3 % 20];
  const StimulusOptions o{.channels = 1, .size = 3, .padding = 1};
  const Tensor<float> a = prepare_stimuli(data, o), b = prepare_stimuli(last, o);
  REQUIRE(a.shape() == b.shape());
  for (Index i = 0; i < a.size(); ++i) CHECK(a[i] == b[i]);
  CHECK(prepare_stimuli(Tensor<std::uint8_t>({0, 4, 5, 3}), o).shape() == Shape{0, 1, 5, 5});
  const int threads = cpu::threads();
  cpu::set_threads(1);
  const Tensor<float> one = prepare_stimuli(data, o);
  cpu::set_threads(2);
  const Tensor<float> two = prepare_stimuli(data, o);
  cpu::set_threads(threads);
  for (Index i = 0; i < one.size(); ++i) CHECK(one[i] == two[i]);
}

TEST_CASE("stimuli: bad input is named") {
  const Tensor<std::uint8_t> x({1, 2, 2, 3});
  CHECK(message<ShapeError>(Tensor<std::uint8_t>({2, 2}), {}) == "prepare_stimuli: images [2,2]; [N,H,W] or [N,H,W,3] expected");
  CHECK(message<ShapeError>(Tensor<std::uint8_t>({1, 3, 8, 8}), {}) ==
        "prepare_stimuli: images [1,3,8,8] have 8 channels on the last axis; 1 or 3 expected");
  CHECK(message<ShapeError>(Tensor<std::uint8_t>({1, 0, 8}), {}) == "prepare_stimuli: images of 0x8 pixels");
  CHECK(message<Error>(x, {.channels = 2}) == "prepare_stimuli: channels is 2; 0 (as they are), 1 or 3 expected");
  CHECK(message<ShapeError>(x, {.size = {0, 4}}) == "prepare_stimuli: size 0x4; both positive, or 0 for as they are");
  CHECK(message<ShapeError>(x, {.padding = -1}) == "prepare_stimuli: padding must be given in pixels, not negative");
  CHECK(message<ShapeError>(x, {.padding = Padding::same()}) == "prepare_stimuli: padding must be given in pixels, not negative");
  CHECK(message<ShapeError>(x, {.mean = {1, 2}}) == "prepare_stimuli: 2 means for 3 channels; one, or one for each");
  CHECK(message<ShapeError>(x, {.channels = 1, .deviation = {1, 2, 3}}) == "prepare_stimuli: 3 deviations for 1 channels; one, or one for each");
  CHECK(message<Error>(x, {.deviation = {0}}) == "prepare_stimuli: deviation 0 must be positive");
  CHECK(message<Error>(x, {.each = true, .mean = {0.5}}) == "prepare_stimuli: `each` takes every image's own mean and deviation; give no others");
  Dataset data;
  data.images = Tensor<std::uint8_t>({1, 2, 3, 3});
  CHECK_THROWS_WITH_AS(static_cast<void>(prepare_stimuli(data)), "prepare_stimuli: images of 2 channels; 1 (grey) or 3 (red, green, blue) expected",
                       ShapeError);
}
