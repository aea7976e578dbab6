#include "ventral/models/random_hcnn.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <set>

using namespace ventral;

namespace {

template <class E, class F>
std::string thrown(F f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  return "nothing thrown";
}

}  // namespace

TEST_CASE("random_hcnn: 200 seeds give networks that run, within their bounds, and differ") {
  const Shape image{1, 1, 56, 56};
  const HcnnFamily family;
  Tensor<float> x(image);
  const Random random(5);
  for (Index i = 0; i < x.size(); ++i) x[i] = 4 * random.uniform_at(static_cast<std::uint64_t>(i)) - 2;
  std::set<std::string> seen;
  std::set<std::size_t> depths;
  std::set<int> activations, pools;
  int normalized = 0, before = 0, pooled = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const HcnnArchitecture a = draw_architecture(seed, image, family);
    CHECK(a.seed == seed);
    seen.insert(to_string(a));
    depths.insert(a.layers.size());
    Sequential<float> net = build_hcnn<float>(a, seed);
    const std::vector<std::string> names = layer_names(a);
    Index flop = 0;
    const auto captured = net.capture(x, names);
    for (std::size_t i = 0; i < names.size(); ++i) {
      CHECK(captured[i].size() <= family.features);
      double square = 0;
      for (const float v : captured[i]) {
        square += static_cast<double>(v) * static_cast<double>(v);
      }
      CHECK((std::isfinite(square) && square > 0));
      const HcnnLayerOptions& l = a.layers[i];
      CHECK((8 <= l.filter.out && l.filter.out <= 48));
      CHECK((3 <= l.filter.kernel.h && l.filter.kernel.h <= 7));
      activations.insert(static_cast<int>(l.activation)), pools.insert(static_cast<int>(l.pool.kind));
      const auto at = [&](Stage s) { return std::find(l.order.begin(), l.order.end(), s) - l.order.begin(); };
      const auto n = at(Stage::normalize), p = at(Stage::pool), end = static_cast<std::ptrdiff_t>(l.order.size());
      normalized += n < end, pooled += p < end, before += n < p && p < end;
      flop += hcnn_layer<float>(l).flops(i == 0 ? image : captured[i - 1].shape());
    }
    CHECK(static_cast<double>(flop) <= family.flop);
    CHECK(net.forward(x).shape == Shape{1, 8});
  }
  CHECK(seen.size() > 190);
  CHECK(depths == std::set<std::size_t>{1, 2, 3, 4});
  CHECK(activations.size() == 3);
  CHECK(pools.size() == 3);
  CHECK(normalized > 100);
  CHECK(pooled > 100);
  CHECK(before > 50);
}

TEST_CASE("random_hcnn: the same for a seed, whatever the size of the batch") {
  const HcnnArchitecture a = draw_architecture(7, {1, 3, 32, 32}, {.classes = 5}), b = draw_architecture(7, {64, 3, 32, 32}, {.classes = 5});
  CHECK(to_string(a) == to_string(b));
  CHECK(a.classes == 5);
  Sequential<double> first = build_hcnn<double>(a, 3), second = build_hcnn<double>(b, 3), other = build_hcnn<double>(a, 4);
  const Tensor<double> x = Tensor<double>::full({2, 3, 32, 32}, 0.5);
  const auto y = first.forward(x), z = second.forward(x), w = other.forward(x);
  CHECK(y.shape == Shape{2, 5});
  CHECK(std::equal(y.data, y.data + y.size(), z.data));
  CHECK_FALSE(std::equal(y.data, y.data + y.size(), w.data));
  CHECK(y.data[0] == y.data[5]);  // the same image twice
}

TEST_CASE("random_hcnn: one line says what a network is") {
  HcnnArchitecture a;
  using enum Stage;
  a.layers.push_back({.filter = {.in = 1, .out = 24, .kernel = 5, .stride = 2},
                      .pool = {.kernel = 3, .stride = 2},
                      .normalize = {.channels = 5, .height = 3, .width = 3}});
  a.layers.push_back({.filter = {.in = 24, .out = 16, .kernel = 3}, .activation = HcnnActivation::tanh, .order = {filter, activation}});
  CHECK(to_string(a) == "24@5x5/2 relu max3/2 norm(5,3x3) | 16@3x3 tanh");
  CHECK(layer_names(a) == std::vector<std::string>{"layer1", "layer2"});
}

TEST_CASE("random_hcnn: bad input is named") {
  CHECK(thrown<ShapeError>([] {
          draw_architecture(1, {1, 1, 8, 56});
        }) == "draw_architecture: images [1,1,8,56]; [N,C,H,W] of at least 16x16 pixels is needed");
  CHECK(thrown<Error>([] {
          draw_architecture(1, {1, 1, 56, 56}, {.deepest = 0});
        }) == "draw_architecture: 0 layers and 8 classes; at least 1 and 2 are needed");
  CHECK(thrown<Error>([] {
          draw_architecture(1, {1, 1, 56, 56}, {.flop = 1000});
        }) == "draw_architecture: no network of at most 1000 FLOP and 12544 units in a layer for images [1,1,56,56]");
  CHECK(thrown<Error>([] { build_hcnn<float>({}); }) == "build_hcnn: the architecture has no layer");
}
