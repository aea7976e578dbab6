#include "ventral/models/hmax.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace ventral;

namespace {

/// Two bands, so that small images do.
HmaxOptions small() { return {.bands = 2, .patch_sizes = {2, 4}}; }

/// Smooth random images [N,1,h,w] of levels about 0.5, shifted by (down, right).
template <class T = float>
Tensor<T> blobs(Index n, Index h, Index w, double down = 0, double right = 0) {
  Tensor<T> x = Tensor<T>::full({n, 1, h, w}, T(0.5));
  for (Index image = 0; image < n; ++image) {
    Random random = Random(9).fork(static_cast<std::uint64_t>(image));
    for (int blob = 0; blob < 12; ++blob) {
      const double cy = random.uniform(0.25, 0.75) * static_cast<double>(h) + down, cx = random.uniform(0.25, 0.75) * static_cast<double>(w) + right;
      const double wide = random.uniform(1, 4), high = random.uniform(1, 4), level = random.uniform(-0.4, 0.4);
      for (Index i = 0; i < h * w; ++i) {
        const double y = (static_cast<double>(i / w) - cy) / high, r = (static_cast<double>(i % w) - cx) / wide;
        x[image * h * w + i] += static_cast<T>(level * std::exp(-(y * y + r * r) / 2));
      }
    }
  }
  return x;
}

template <class E, class F>
std::string message(F f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  return "no such exception";
}

}  // namespace

TEST_CASE("HMAX: C1 is the maximum over positions and two scales of normalized Gabor responses") {
  const Hmax<double> hmax(small());
  const Tensor<double> x = blobs<double>(1, 40, 44);
  const std::vector<Tensor<double>> maps = hmax.c1_maps(x);
  REQUIRE(maps.size() == 2);
  CHECK(maps[0].shape() == Shape{1, 4, 9, 10});  // windows of 8, 4 apart
  CHECK(maps[1].shape() == Shape{1, 4, 7, 8});   // windows of 10, 5 apart; the last ones reach beyond the image
  // By the formulas, for band 1 (filters of 11 and 13), orientation 1, place (2, 3).
  double best = 0;
  for (const Index k : {Index{2}, Index{3}}) {
    const Index n = 7 + 2 * k;
    const double wavelength = 2.0 * static_cast<double>(n) / (4 - 0.05 * static_cast<double>(k));
    const Tensor<double> f =
        gabor_filter({.wavelength = wavelength, .orientation = std::numbers::pi / 4, .sigma = 0.8 * wavelength, .aspect = 0.3, .round = true}, n);
    for (Index y = 10; y < 20; ++y)
      for (Index c = 15; c < 25; ++c) {
        double dot = 0, square = 0;
        for (Index i = 0; i < n * n; ++i) {
          const double v = x.at(0, 0, y - n / 2 + i / n, c - n / 2 + i % n);
          dot += v * f[i], square += v * v;
        }
        best = std::max(best, std::abs(dot) / std::sqrt(square));
      }
  }
  CHECK(maps[1].at(0, 1, 2, 3) == doctest::Approx(best));
  for (const auto& m : maps)
    for (const double v : m) CHECK((v >= 0 && v <= 1));
  for (const auto& m : hmax.c1_maps(Tensor<double>({1, 1, 20, 20})))
    for (const double v : m) CHECK(v == 0);  // darkness
}

TEST_CASE("HMAX: C1 prefers bars of its orientation") {
  const Hmax<float> hmax(small());
  Tensor<float> x = Tensor<float>::full({1, 1, 32, 32}, 0.2f);
  for (Index y = 0; y < 32; ++y) x.at(0, 0, y, 15) = x.at(0, 0, y, 16) = 1;  // upright
  const std::vector<Tensor<float>> maps = hmax.c1_maps(x);
  CHECK(maps[0].at(0, 0, 3, 3) > 3 * maps[0].at(0, 2, 3, 3));
  CHECK(maps[0].at(0, 0, 3, 3) > maps[0].at(0, 1, 3, 3));
}

TEST_CASE("HMAX: C2 is the best match of each patch over places and bands, 1 at its own") {
  Hmax<double> hmax(small());
  const Tensor<double> x = blobs<double>(3, 40, 40);
  CHECK(hmax.features(x).c2.shape() == Shape{3, 0});
  hmax.imprint(x.slice(1, 2), 5, 7);
  CHECK(hmax.patch_count() == 10);
  CHECK(hmax.patches(1).shape() == Shape{5, 4, 4, 4});
  const HmaxFeatures<double> f = hmax.features(x);
  REQUIRE(f.c2.shape() == Shape{3, 10});
  CHECK(f.c1.shape() == Shape{3, 4 * 9 * 9 + 4 * 7 * 7});
  const std::vector<Tensor<double>> maps = hmax.c1_maps(x);
  CHECK(f.c1.at(2, 5) == maps[0][2 * 324 + 5]);
  CHECK(f.c1.at(2, 324 + 5) == maps[1][2 * 196 + 5]);
  for (Index p = 0; p < 10; ++p) {
    CHECK(f.c2.at(1, p) == doctest::Approx(1).epsilon(1e-12));
    const Tensor<double>& patches = hmax.patches(static_cast<std::size_t>(p / 5));
    const Index n = patches.dim(2);
    double least = INFINITY;  // by the formula, for image 2
    for (const auto& m : maps)
      for (Index top = 0; top + n <= m.dim(2); ++top)
        for (Index left = 0; left + n <= m.dim(3); ++left) {
          double square = 0;
          for (Index c = 0; c < 4; ++c)
            for (Index i = 0; i < n * n; ++i) square += std::pow(m.at(2, c, top + i / n, left + i % n) - patches.at(p % 5, c, i / n, i % n), 2);
          least = std::min(least, square);
        }
    CHECK(f.c2.at(2, p) == doctest::Approx(std::exp(-least / (2.0 * static_cast<double>(n * n) / 16))));
  }
  // Float, where |x|^2 - 2 x.p + |p|^2 cancels.
  Hmax<float> narrow(small());
  const Tensor<float> xf = x.cast<float>();
  narrow.imprint(xf.slice(1, 2), 5, 7);
  const HmaxFeatures<float> ff = narrow.features(xf);
  for (Index i = 0; i < 30; ++i) CHECK(std::abs(static_cast<double>(ff.c2[i]) - f.c2[i]) < 1e-5);
}

TEST_CASE("HMAX: C2 hardly changes when the image moves; C1 does more, and C2 of another image differs") {
  Hmax<float> hmax(small());
  const Tensor<float> x = blobs(2, 56, 56);
  hmax.imprint(blobs(5, 56, 56, 1, 2), 20, 3);
  const HmaxFeatures<float> here = hmax.features(x);
  const auto distance = [](const Tensor<float>& a, Index row_a, const Tensor<float>& b, Index row_b) {
    double square = 0;
    for (Index i = 0; i < a.dim(1); ++i) square += std::pow(static_cast<double>(a.at(row_a, i)) - static_cast<double>(b.at(row_b, i)), 2);
    return std::sqrt(square);
  };
  const double other_c2 = distance(here.c2, 0, here.c2, 1), other_c1 = distance(here.c1, 0, here.c1, 1);
  // A move by 20 pixels is one of whole C1 steps of both bands: the maps move, the maxima stay.
  Hmax<float> wide(small());
  wide.imprint(blobs(2, 96, 96), 20, 3);
  CHECK(distance(wide.features(blobs(1, 96, 96, 20, 20)).c2, 0, wide.features(blobs(1, 96, 96)).c2, 0) < 0.01);
  for (const double shift : {1.0, 2.0, 3.0}) {
    const HmaxFeatures<float> moved = hmax.features(blobs(1, 56, 56, shift, -shift));
    CHECK(distance(moved.c2, 0, here.c2, 0) < 0.35 * other_c2);
    CHECK(distance(moved.c2, 0, here.c2, 0) / other_c2 < distance(moved.c1, 0, here.c1, 0) / other_c1);
  }
}

TEST_CASE("HMAX: seeds, batches, threads, no images") {
  const Tensor<float> x = blobs(10, 24, 30);
  Hmax<float> a(small()), b(small()), c(small());
  a.imprint(x, 6, 1), b.imprint(x, 6, 1), c.imprint(x, 6, 2);
  const Tensor<float> all = a.features(x).c2, again = b.features(x).c2, other = c.features(x).c2;
  double difference = 0;
  for (Index i = 0; i < all.size(); ++i) {
    CHECK(all[i] == again[i]);
    difference += std::abs(all[i] - other[i]);
  }
  CHECK(difference > 0.1);
  for (const Index n : {Index{0}, Index{9}}) {
    const HmaxFeatures<float> one = a.features(x.slice(n, n + 1));
    for (Index p = 0; p < 12; ++p) CHECK(one.c2.at(0, p) == doctest::Approx(all.at(n, p)).epsilon(1e-5));
  }
  CHECK(a.features(Tensor<float>({0, 1, 24, 30})).c2.shape() == Shape{0, 12});
  const int threads = cpu::threads();
  cpu::set_threads(1);
  const Tensor<float> single = a.features(x).c2;
  cpu::set_threads(threads);
  for (Index i = 0; i < all.size(); ++i) CHECK(single[i] == all[i]);
}

TEST_CASE("HMAX: published sizes, bad input is named") {
  Hmax<float> hmax;
  const std::vector<Tensor<float>> maps = hmax.c1_maps(Tensor<float>({1, 1, 140, 140}));
  REQUIRE(maps.size() == 8);
  CHECK(maps[0].shape() == Shape{1, 4, 34, 34});
  CHECK(maps[7].shape() == Shape{1, 4, 12, 12});
  CHECK(message<ShapeError>([&] {
          static_cast<void>(hmax.features(Tensor<float>({1, 3, 64, 64})));
        }) == "Hmax: images [1,3,64,64]; grey ones [N,1,H,W] expected");
  CHECK(message<ShapeError>([&] {
          hmax.imprint(Tensor<float>({1, 1, 36, 64}), 1, 1);
        }) == "Hmax: images [1,1,36,64] are smaller than the largest filter, 37x37; resize them, or use fewer than 8 bands");
  CHECK(message<ShapeError>([&] {
          hmax.imprint(Tensor<float>({1, 1, 40, 40}), 1, 1);
        }) == "Hmax: patches of 12x12 fit no band; the largest C1 map is 9x9");
  CHECK(message<Error>([&] {
          hmax.imprint(Tensor<float>({0, 1, 64, 64}), 1, 1);
        }) == "Hmax::imprint: 1 patches from 0 images; at least one of each is needed");
  CHECK(message<Error>([] { Hmax<float>({.bands = 0}); }) == "Hmax: 4 orientations and 0 bands; at least 1, and at most 32 bands, are needed");
  CHECK(message<Error>([] { Hmax<float>({.sigma = 0}); }) == "Hmax: sigma 0 must be positive");
  CHECK(message<ShapeError>([] { Hmax<float>({.patch_sizes = {0}}); }) == "Hmax: a patch size of 0");
}
