#include "ventral/data/objects.hpp"

#include <doctest/doctest.h>

#include <cmath>

using namespace ventral;

namespace {

template <class F>
std::string thrown(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing thrown";
}

/// Where the objects are, found by their difference from even grey: without contrast the background has one value.
struct Box {
  double left, right, top, bottom;
  double width() const { return right - left; }
  double height() const { return bottom - top; }
};
std::vector<Box> boxes_of(const Dataset& d) {
  const Index side = d.images.dim(2);
  std::vector<Box> out;
  for (Index i = 0; i < d.size(); ++i) {
    Box b{1e9, -1, 1e9, -1};
    for (Index y = 0; y < side; ++y)
      for (Index x = 0; x < side; ++x) {
        if (d.images[(i * side + y) * side + x] == 128) continue;
        b.left = std::min(b.left, static_cast<double>(x)), b.right = std::max(b.right, static_cast<double>(x + 1));
        b.top = std::min(b.top, static_cast<double>(y)), b.bottom = std::max(b.bottom, static_cast<double>(y + 1));
      }
    out.push_back(b);
  }
  return out;
}
template <class F>
double deviation(const std::vector<Box>& boxes, F value) {
  double sum = 0, square = 0;
  for (const Box& b : boxes) sum += value(b), square += value(b) * value(b);
  const double n = static_cast<double>(boxes.size());
  return std::sqrt(square / n - sum * sum / n / n);
}

/// Share of `trial` that is nearest to the mean image of its own class in `train`.
double nearest_mean(const Dataset& train, const Dataset& trial) {
  const Index pixels = train.images.dim(2) * train.images.dim(3);
  std::vector<double> mean(static_cast<std::size_t>(8 * pixels));
  for (Index i = 0; i < train.size(); ++i)
    for (Index p = 0; p < pixels; ++p)
      mean[static_cast<std::size_t>(train.labels[i] * pixels + p)] += train.images[i * pixels + p] * 8.0 / static_cast<double>(train.size());
  Index right = 0;
  for (Index i = 0; i < trial.size(); ++i) {
    double best = 1e300;
    Index found = -1;
    for (Index k = 0; k < 8; ++k) {
      double distance = 0;
      for (Index p = 0; p < pixels; ++p) {
        const double d = trial.images[i * pixels + p] - mean[static_cast<std::size_t>(k * pixels + p)];
        distance += d * d;
      }
      if (distance < best) best = distance, found = k;
    }
    right += found == trial.labels[i];
  }
  return static_cast<double>(right) / static_cast<double>(trial.size());
}

}  // namespace

TEST_CASE("objects: the same for a seed, whatever the parts and the number of threads") {
  const int before = cpu::threads();
  cpu::set_threads(1);
  const Dataset a = draw_objects(200, {.seed = 7});
  cpu::set_threads(2);
  const Dataset b = draw_objects(200, {.seed = 7});
  cpu::set_threads(before);
  a.check("objects");
  CHECK(a.images.shape() == Shape{200, 1, 56, 56});
  CHECK(a.names == std::vector<std::string>{"animals", "boats", "cars", "chairs", "faces", "fruits", "planes", "tables"});
  CHECK(std::equal(a.images.begin(), a.images.end(), b.images.begin()));
  const Dataset tail = draw_objects(50, {.seed = 7, .first = 150});
  CHECK(std::equal(tail.images.begin(), tail.images.end(), a.images.data() + 150 * 56 * 56));
  CHECK(std::equal(tail.labels.begin(), tail.labels.end(), a.labels.data() + 150));
  CHECK_FALSE(std::equal(a.images.begin(), a.images.end(), draw_objects(200, {.seed = 8}).images.begin()));
  CHECK(draw_objects(0).images.shape() == Shape{0, 1, 56, 56});
  CHECK(draw_objects(3, {.size = 33}).images.shape() == Shape{3, 1, 33, 33});
}

TEST_CASE("objects: categories are balanced, and objects are large enough to see") {
  const Dataset d = draw_objects(1600, {.variation = Variation::low, .contrast = 0});
  std::vector<int> count(8);
  for (const std::int32_t k : d.labels) ++count[static_cast<std::size_t>(k)];
  for (const int n : count) CHECK(n == 200);
  for (const Box& b : boxes_of(d)) CHECK((b.width() > 8 && b.height() > 8));
  const Dataset one = draw_objects(64, {.variation = Variation::low, .exemplars = 1});
  CHECK_FALSE(std::equal(one.images.begin(), one.images.end(), d.images.begin()));
}

TEST_CASE("objects: position, size and pose vary by level") {
  double place[3], size[3], turn[3];
  for (int level = 0; level < 3; ++level) {
    std::vector<Box> chairs;  // one exemplar of one category: all that is left is the view
    const std::vector<Box> all = boxes_of(draw_objects(1600, {.variation = static_cast<Variation>(level), .exemplars = 1, .contrast = 0}));
    for (std::size_t i = 3; i < all.size(); i += 8)
      if (all[i].right > 0) chairs.push_back(all[i]);
    place[level] = deviation(chairs, [](const Box& b) { return (b.left + b.right) / 2; });
    size[level] = deviation(chairs, [](const Box& b) { return std::log(std::max(b.width(), b.height())); });
    turn[level] = deviation(chairs, [](const Box& b) { return std::log(b.width() / b.height()); });
  }
  // uniform in +-r: deviation r / sqrt 3; objects cut by the border take some of it away at the high level
  CHECK(place[0] == doctest::Approx(0.02 * 56 / std::sqrt(3)).epsilon(0.3));
  CHECK(place[1] == doctest::Approx(0.12 * 56 / std::sqrt(3)).epsilon(0.2));
  CHECK(place[2] > 1.4 * place[1]);
  CHECK(size[0] < 0.06);
  CHECK(size[1] > 2.5 * size[0]);
  CHECK(size[2] > 1.4 * size[1]);
  CHECK(turn[1] > 1.5 * turn[0]);
  CHECK(turn[2] > turn[1]);
  CHECK(range_of(Variation::high).rotation == doctest::Approx(2 * range_of(Variation::medium).rotation));
}

TEST_CASE("objects: the background knows nothing of the category, and its spectrum falls as 1/f") {
  // the corners, which low variation leaves free: their brightness by category
  const Dataset d = draw_objects(2400, {.seed = 3, .variation = Variation::low});
  std::vector<double> sum(8), square(8);
  for (Index i = 0; i < d.size(); ++i) {
    double corner = 0;
    for (Index y = 0; y < 4; ++y)
      for (Index x = 0; x < 4; ++x) corner += d.images[(i * 56 + y) * 56 + x] / 16.0;
    sum[static_cast<std::size_t>(d.labels[i])] += corner, square[static_cast<std::size_t>(d.labels[i])] += corner * corner;
  }
  double between = 0, within = 0, total = 0;
  for (const double s : sum) total += s / 2400;
  for (std::size_t k = 0; k < 8; ++k) between += 300 * (sum[k] / 300 - total) * (sum[k] / 300 - total), within += square[k] - sum[k] * sum[k] / 300;
  CHECK(between / 7 / (within / 2392) < 3.5);  // F(7, 2392): 99.9 % lie below 3.49
  CHECK(within / 2392 > 20 * 20);
  // structure function of a row: for amplitudes 1/f in two dimensions it grows slowly with the distance
  double near = 0, far = 0;
  for (Index i = 0; i < d.size(); ++i) {
    const std::uint8_t* row = d.images.data() + i * 56 * 56;
    near += std::pow(row[0] - row[2], 2), far += std::pow(row[0] - row[32], 2);
  }
  CHECK(far > 3 * near);
}

TEST_CASE("objects: pixels tell low variation apart, but hardly high variation") {
  const auto share = [](Variation v) {
    return nearest_mean(draw_objects(1600, {.seed = 1, .size = 28, .variation = v}), draw_objects(800, {.seed = 2, .size = 28, .variation = v}));
  };
  const double low = share(Variation::low), high = share(Variation::high);
  MESSAGE("nearest class mean of pixels: low ", low, ", high ", high);
  CHECK(low > 0.25);
  CHECK(high < 0.22);
}

TEST_CASE("objects: every exemplar is a closed solid of its own") {
  using namespace detail::objects;
  for (int category = 0; category < categories; ++category)
    for (int e = 0; e < 12; ++e) {
      const Mesh mesh(sketch_object(category, e));
      double volume = 0;
      for (const auto& f : mesh.faces) {
        const auto at = [&](int i) { return mesh.vertices[static_cast<std::size_t>(f[static_cast<std::size_t>(i)])].at; };
        volume += dot(at(0), cross(at(1), at(2))) / 6.0 + dot(at(0), cross(at(2), at(3))) / 6.0;
      }
      CHECK(volume > 0.005);  // faces look outward
      double reach = 0;
      for (const auto& v : mesh.vertices) {
        CHECK(std::isfinite(v.at.x + v.at.y + v.at.z + v.normal.x + v.normal.y + v.normal.z));
        reach = std::max(reach, static_cast<double>(dot(v.at, v.at)));
      }
      CHECK(reach == doctest::Approx(1));
    }
}

TEST_CASE("objects: bad input is named") {
  CHECK(thrown([] { draw_objects(-1); }) == "draw_objects: -1 images from number 0; neither may be negative");
  CHECK(thrown([] { draw_objects(1, {.first = -2}); }) == "draw_objects: 1 images from number -2; neither may be negative");
  CHECK(thrown([] { draw_objects(1, {.size = 8}); }) == "draw_objects: images of 8 pixels; 16 to 1024 expected");
  CHECK(thrown([] { draw_objects(1, {.exemplars = 0}); }) == "draw_objects: 0 exemplars; 1 to 1000 expected");
  CHECK(thrown([] { draw_objects(1, {.contrast = 2}); }) == "draw_objects: contrast 2 is outside [0, 1]");
}
