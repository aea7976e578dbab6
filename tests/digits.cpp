#include "ventral/data/digits.hpp"

#include "support.hpp"

using namespace ventral;

TEST_CASE("digits: the same for a seed, whatever the parts and the number of threads") {
  cpu::set_threads(1);
  const Dataset a = draw_digits(600, {.seed = 7});
  a.check("digits");
  CHECK(a.images.shape() == Shape{600, 1, 28, 28});
  CHECK(a.classes == 10);
  cpu::set_threads(2);
  const Dataset b = draw_digits(600, {.seed = 7});
  cpu::set_threads(1);
  CHECK(std::equal(a.images.begin(), a.images.end(), b.images.begin()));
  const Dataset tail = draw_digits(100, {.seed = 7, .first = 500});
  CHECK(std::equal(tail.images.begin(), tail.images.end(), a.images.data() + 500 * 784));
  CHECK(std::equal(tail.labels.begin(), tail.labels.end(), a.labels.data() + 500));
  std::uint8_t one[784];
  CHECK(draw_digit(7, 123, one) == a.labels[123]);
  CHECK(std::equal(one, one + 784, a.images.data() + 123 * 784));
  const Dataset other = draw_digits(600, {.seed = 8});
  CHECK_FALSE(std::equal(a.images.begin(), a.images.end(), other.images.begin()));
  CHECK(draw_digits(0).images.shape() == Shape{0, 1, 28, 28});
}

TEST_CASE("digits: ink, size and centre as in MNIST") {
  const Dataset d = draw_digits(3000);
  const PixelStatistics s = pixel_statistics(d);
  CHECK(s.mean == doctest::Approx(33.3).epsilon(0.1));  // MNIST: 33.3 and 78.6
  CHECK(s.deviation == doctest::Approx(78.6).epsilon(0.1));
  std::vector<int> count(10);
  double off = 0;
  for (Index i = 0; i < d.size(); ++i) {
    ++count[static_cast<std::size_t>(d.labels[i])];
    double mass = 0, x = 0, y = 0;
    int peak = 0;
    for (int p = 0; p < 784; ++p) {
      const int v = d.images[i * 784 + p];
      mass += v, x += v * (p % 28 + 0.5), y += v * (p / 28 + 0.5);
      peak = std::max(peak, v);
    }
    CHECK(peak >= 150);
    CHECK(mass > 255 * 15);
    CHECK(std::hypot(x / mass - 14, y / mass - 14) < 2.5);
    off += std::hypot(x / mass - 14, y / mass - 14);
  }
  CHECK(off / static_cast<double>(d.size()) < 0.6);
  for (const int n : count) CHECK(std::abs(n - 300) < 75);
}

TEST_CASE("digits: classes differ, and differ less with a calm hand") {
  // nearest class mean, learnt on one part and tried on another
  const auto accuracy = [](const DigitStyle& style) {
    const Dataset train = draw_digits(2000, {.style = style}), trial = draw_digits(500, {.first = 2000, .style = style});
    std::vector<double> mean(7840), n(10);
    for (Index i = 0; i < train.size(); ++i) {
      const auto k = static_cast<std::size_t>(train.labels[i]);
      n[k] += 1;
      for (std::size_t p = 0; p < 784; ++p) mean[k * 784 + p] += train.images[i * 784 + static_cast<Index>(p)];
    }
    int right = 0;
    for (Index i = 0; i < trial.size(); ++i) {
      double best = INFINITY;
      std::size_t guess = 0;
      for (std::size_t k = 0; k < 10; ++k) {
        double distance = 0;
        for (std::size_t p = 0; p < 784; ++p) {
          const double e = mean[k * 784 + p] / n[k] - trial.images[i * 784 + static_cast<Index>(p)];
          distance += e * e;
        }
        if (distance < best) best = distance, guess = k;
      }
      right += static_cast<int>(guess) == trial.labels[i];
    }
    return right / 500.0;
  };
  const double usual = accuracy({}), calm = accuracy({.jitter = 0.01, .slant = 0.05, .rotation = 0.03, .stretch = 0.05, .bend = 0.01});
  INFO("usual " << usual << ", calm " << calm);
  CHECK(usual > 0.6);
  CHECK(usual < 0.95);
  CHECK(calm > usual + 0.05);
}

TEST_CASE("digits: styles out of range") {
  CHECK(test::message_of<Error>([] { draw_digits(1, {.style = {.bend = -1}}); }) == "DigitStyle: -1 is outside [0, 1]");
  CHECK(test::message_of<Error>([] { draw_digits(1, {.style = {.thickness = 0}}); }) == "DigitStyle: thickness is 0; 0.5 to 20 pixels expected");
  CHECK(test::message_of<Error>([] { draw_digits(-1); }) == "draw_digits: count is -1");
  for (const Index i : {0, 1, 2, 3}) {  // the wildest allowed style stays inside the image
    std::uint8_t image[784];
    CHECK(draw_digit(1, i, image, {.jitter = 1, .slant = 1, .rotation = 1, .stretch = 1, .bend = 1, .thickness = 20, .thickness_spread = 1}) < 10);
    CHECK(draw_digit(1, i, image, {.jitter = 0, .slant = 0, .rotation = 0, .stretch = 0, .bend = 0, .thickness = 0.5, .thickness_spread = 0}) < 10);
  }
}
