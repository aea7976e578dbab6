#include "helpers.hpp"
#include "temporary.hpp"
#include "ventral/brain/features.hpp"

#include <doctest/doctest.h>

#include <cstdlib>

#include "ventral/brain/layer_features.hpp"
#include "ventral/brain/npy_features.hpp"
#include "ventral/layers/activation.hpp"
#include "ventral/layers/conv2d.hpp"
#include "ventral/layers/linear.hpp"

using namespace ventral;
using namespace ventral::brain;
using test::random_tensor;

namespace {

double difference(const Rdm& a, const Rdm& b) {
  double worst = a.pairs() == b.pairs() ? 0 : INFINITY;
  for (std::size_t k = 0; k < b.values().size() && worst < INFINITY; ++k) {
    const double x = a.values()[k], y = b.values()[k];
    if (std::isnan(x) != std::isnan(y)) worst = INFINITY;
    else if (!std::isnan(x)) worst = std::max(worst, std::abs(x - y) / std::max(1.0, std::abs(y)));
  }
  return worst;
}

/// The chunks of a source, put together again.
template <class Source>
Tensor<double> collected(Source& source, std::vector<Index>& widths) {
  Tensor<double> out({source.conditions(), source.features()});
  Index column = 0;
  widths.clear();
  source.for_each_chunk([&](auto chunk) {
    for (Index i = 0; i < chunk.shape[0]; ++i)
      for (Index k = 0; k < chunk.shape[1]; ++k) out.at(i, column + k) = static_cast<double>(chunk.data[i * chunk.shape[1] + k]);
    column += chunk.shape[1];
    widths.push_back(chunk.shape[1]);
  });
  return out;
}

template <class A, class B>
bool same(const Tensor<A>& a, const Tensor<B>& b) {
  bool equal = a.size() == b.size();
  for (Index k = 0; k < a.size() && equal; ++k) equal = static_cast<double>(a[k]) == static_cast<double>(b[k]);
  return equal;
}

Sequential<float> small_net() {
  Sequential<float> net;
  net.add("conv", Conv2d<float>({.in = 1, .out = 4, .kernel = 3}));
  net.add("relu", ReLU<float>());
  net.add("conv2", Conv2d<float>({.in = 4, .out = 2, .kernel = 3}));
  net.initialize(3);
  return net;
}

}  // namespace

static_assert(FeatureSource<TensorFeatures<float>> && FeatureSource<NpyFeatures> && FeatureSource<LayerFeatures<float>>);
static_assert(!FeatureSource<Tensor<float>>);

TEST_CASE("features: moments of rows in chunks, exact at an offset, 0 for a constant row") {
  Tensor<double> x({3, 40});
  Random random(1);
  for (Index k = 0; k < 40; ++k) x.at(0, k) = 1e8 + random.normal(), x.at(1, k) = 0.1, x.at(2, k) = k == 20 ? NAN : 1;
  RowMoments m;
  TensorFeatures<double>(x, FeatureOptions{.chunk_bytes = 7 * 3 * 8}).for_each_chunk([&](auto chunk) { m.add(chunk); });
  double mean = 0, deviation = 0;
  for (Index k = 0; k < 40; ++k) mean += (x.at(0, k) - 1e8) / 40;
  for (Index k = 0; k < 40; ++k) deviation += (x.at(0, k) - 1e8 - mean) * (x.at(0, k) - 1e8 - mean);
  CHECK(m.features == 40);
  CHECK(m.deviations[0] == doctest::Approx(deviation).epsilon(1e-7));
  CHECK(m.deviations[1] == 0);
  CHECK(m.means[1] == 0.1);
  CHECK(m.square(1) == doctest::Approx(0.4));
  CHECK(!m.defined(2));
  CHECK(m.defined(1));
}

TEST_CASE("features: chunks cover every column once, views when they fit") {
  const auto x = random_tensor<float>({6, 23}, 2);
  std::vector<Index> widths;
  TensorFeatures<float> whole(x), chunks(x, FeatureOptions{.chunk_bytes = 6 * 4 * 5}), narrow(x, FeatureOptions{.chunk_bytes = 1});
  CHECK(same(collected(whole, widths), x));
  CHECK(widths == std::vector<Index>{23});
  whole.for_each_chunk([&](TensorRef<const float> chunk) { CHECK(chunk.data == x.data()); });
  CHECK(same(collected(chunks, widths), x));
  CHECK(widths == std::vector<Index>{5, 5, 5, 5, 3});
  CHECK(same(collected(narrow, widths), x));
  CHECK(widths.size() == 23);
  CHECK_THROWS_WITH_AS(collected(*std::make_unique<TensorFeatures<float>>(x, FeatureOptions{.chunk_bytes = 0}), widths),
                       "features: chunks of 0 bytes", Error);
}

TEST_CASE_TEMPLATE("features: distances from chunks as at once", T, double, float) {
  auto x = random_tensor<T>({40, 300}, 3, 2);
  for (Index k = 0; k < 300; ++k) x.at(3, k) = static_cast<T>(0.3), x.at(5, k) = x.at(4, k) + static_cast<T>(1e-3);
  x.at(7, 250) = static_cast<T>(NAN);
  for (const Distance d : all_distances) {
    const Rdm whole = rdm(x, d);
    for (const Index columns : {1, 7, 299})
      CHECK(difference(rdm(TensorFeatures<T>(x, FeatureOptions{.chunk_bytes = columns * 40 * Index{sizeof(T)}}), d), whole) <
            (std::is_same_v<T, double> ? 1e-12 : 3e-6));
    CHECK(difference(rdm(gram(x), d), whole) < (std::is_same_v<T, double> ? 1e-11 : 3e-6));
  }
}

TEST_CASE("features: more columns than are worked on at once") {
  const auto x = random_tensor<double>({300, 4000}, 11, 1);
  const TensorFeatures<double> chunks(x, FeatureOptions{.chunk_bytes = 300 * 8 * 700});
  CHECK(difference(rdm(x, Distance::correlation), rdm(chunks, Distance::correlation)) < 1e-12);
  CHECK(difference(rdm(x, Distance::squared_euclidean), rdm(gram(x), Distance::squared_euclidean)) < 1e-12);
}

TEST_CASE("features: from a file, by columns") {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/x.npy";
  std::vector<Index> widths;
  const auto x = random_tensor<float>({5, 4, 3}, 4);
  write_npy(path, x);
  for (const Index bytes : {Index{1} << 20, Index{5 * 4 * 5}, Index{1}}) {
    NpyFeatures source(path, {.chunk_bytes = bytes});
    CHECK(source.conditions() == 5);
    CHECK(source.features() == 12);
    CHECK(same(collected(source, widths), x));
    CHECK(same(collected(source, widths), x));  // again
    for (const Distance d : all_distances) CHECK(difference(rdm(source, d), rdm(x, d)) < 3e-6);
  }
  const auto wide = random_tensor<double>({4, 9}, 5);
  write_npy(path, wide);
  NpyFeatures source(path, {.chunk_bytes = 4 * 8 * 2});
  CHECK(same(collected(source, widths), wide));
  CHECK(widths == std::vector<Index>{2, 2, 2, 2, 1});
  for (const Distance d : all_distances) CHECK(difference(rdm(source, d), rdm(wide, d)) < 1e-12);
  write_npy(path, Tensor<std::uint8_t>({3, 2}, {1, 2, 3, 4, 5, 255}));
  NpyFeatures pixels(path);
  CHECK(same(collected(pixels, widths), Tensor<double>({3, 2}, {1, 2, 3, 4, 5, 255})));
}

TEST_CASE("features: from a file in Fortran order") {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/f.npy";
  Bytes bytes = encode_npy<double>(Tensor<double>({3, 2}, {1, 3, 5, 2, 4, 6}).ref());  // stored column by column
  const std::string text(bytes.begin(), bytes.end());
  const std::size_t at = text.find("False, ");
  const std::string fortran = "True,  ";
  std::copy(fortran.begin(), fortran.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
  write_file(path, bytes);
  std::vector<Index> widths;
  for (const Index chunk : {8 * 3, 1000}) {
    NpyFeatures source(path, {.chunk_bytes = chunk});
    CHECK(same(collected(source, widths), Tensor<double>({3, 2}, {1, 2, 3, 4, 5, 6})));
  }
}

TEST_CASE("features: files that cannot be used are named") {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/x.npy", missing = folder.path() + "/y.npy";
  write_npy(path, Tensor<double>(Shape{4}));
  CHECK_THROWS_WITH_AS(NpyFeatures{path}, (path + ": shape [4]; [conditions,features] is needed").c_str(), ShapeError);
  CHECK_THROWS_WITH_AS(NpyFeatures{missing}, (missing + ": cannot be opened: No such file or directory; the folder has: x.npy").c_str(), FileError);
  write_file(path, Bytes{});
  CHECK_THROWS_AS(NpyFeatures{path}, FileError);
  write_npy(path, random_tensor<double>({4, 4000}, 6));
  NpyFeatures source(path);
  CHECK(::truncate(path.c_str(), 5000) == 0);
  CHECK_THROWS_WITH_AS(source.for_each_chunk([](auto) {}), (path + ": at byte 5000: cannot be read: the file has become shorter").c_str(), FileError);
}

TEST_CASE("features: a network's layer in memory, in one forward pass") {
  Sequential<float> net = small_net();
  const auto images = random_tensor<float>({11, 1, 8, 8}, 7);
  const auto expected = std::move(net.capture(images, {"relu"}).front());
  LayerFeatures<float> layer(net, "relu", images, {.images_at_once = 4});
  CHECK(layer.conditions() == 11);
  CHECK(layer.features() == 4 * 6 * 6);
  std::vector<Index> widths;
  CHECK(same(collected(layer, widths), expected));
  CHECK(difference(rdm(layer, Distance::correlation), rdm(expected, Distance::correlation)) == 0);
  CHECK(layer.forward_passes() == 1);
}

TEST_CASE("features: a layer that does not fit is recomputed, in at most 6 forward passes") {
  Sequential<float> net = small_net();
  const auto images = random_tensor<float>({18, 1, 8, 8}, 8);
  const auto a = std::move(net.capture(images, {"relu"}).front());
  const Gram expected = gram(a.reshaped({18, 144}));
  for (const Index groups : {2, 5, 9}) {
    LayerFeatures<float> layer(net, "relu", images, {.images_at_once = 3, .max_bytes = (18 + groups - 1) / groups * 144 * 8});
    CAPTURE(groups);
    if (layer.fits()) continue;
    const Gram g = gram(layer);
    CHECK(layer.forward_passes() <= 6);
    CHECK(layer.forward_passes() > 2);
    double worst = std::abs(g.mean_square - expected.mean_square);
    for (Index k = 0; k < g.centred.size(); ++k) worst = std::max(worst, std::abs(g.centred[k] - expected.centred[k]));
    for (std::size_t i = 0; i < 18; ++i)
      worst = std::max({worst, std::abs(g.mean_product[i] - expected.mean_product[i]), std::abs(g.sums[i] - expected.sums[i])});
    CHECK(worst < 1e-12);
    for (const Distance d : all_distances) CHECK(difference(rdm(layer, d), rdm(a, d)) < 1e-5);
  }
  LayerFeatures<float> columns(net, "relu", images, {.max_bytes = 18 * 144 * 4 / 3});
  std::vector<Index> widths;
  CHECK(same(collected(columns, widths), a));
  CHECK(widths == std::vector<Index>{48, 48, 48});
  CHECK(columns.forward_passes() == 3);
}

TEST_CASE("features: layers that cannot be used are named") {
  Sequential<float> net = small_net();
  const auto images = random_tensor<float>({18, 1, 8, 8}, 9);
  CHECK_THROWS_AS(LayerFeatures<float>(net, "pool", images), Error);
  CHECK_THROWS_AS(LayerFeatures<float>(net, "relu", random_tensor<float>({3, 2, 8, 8}, 1)), ShapeError);
  LayerFeatures<float> tight(net, "relu", images, {.max_bytes = 144 * 8});
  CHECK_THROWS_WITH_AS(gram(tight), "gram: 18 images x 144 features in 18 groups with max_bytes 1152; at most 9 can be worked on in 6 forward passes",
                       Error);
  CHECK_THROWS_WITH_AS(tight.for_each_chunk([](auto) {}),
                       "LayerFeatures: columns of 'relu' take 9 forward passes with max_bytes 1152; at most 6 are made. gram() needs fewer", Error);
  const auto two = random_tensor<float>({2, 1, 8, 8}, 10);
  LayerFeatures<float> few(net, "relu", two);
  CHECK_THROWS_WITH_AS(rdm(few, Distance::cosine), "rdm: 2 conditions; at least 3 are needed", ShapeError);
}
