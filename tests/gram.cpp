#include "helpers.hpp"
#include "ventral/brain/gram.hpp"

#include <doctest/doctest.h>

#include "ventral/random.hpp"

using namespace ventral;
using namespace ventral::brain;
using test::random_tensor;

namespace {

/// sum_k (x_ik - a_k)(x_jk - a_k) with a the mean of the rows `train`, or 0 without any.
double product(const Tensor<double>& x, Index i, Index j, const std::vector<Index>& train) {
  double sum = 0;
  for (Index k = 0; k < x.dim(1); ++k) {
    double mean = 0;
    for (const Index t : train) mean += x.at(t, k) / static_cast<double>(train.size());
    sum += (x.at(i, k) - mean) * (x.at(j, k) - mean);
  }
  return sum;
}

double largest_difference(const Gram& a, const Gram& b) {
  double worst = std::abs(a.mean_square - b.mean_square);
  for (Index k = 0; k < a.centred.size(); ++k) worst = std::max(worst, std::abs(a.centred[k] - b.centred[k]));
  for (std::size_t i = 0; i < a.sums.size(); ++i)
    worst = std::max({worst, std::abs(a.sums[i] - b.sums[i]), std::abs(a.squares[i] - b.squares[i]), std::abs(a.deviations[i] - b.deviations[i]),
                      std::abs(a.mean_product[i] - b.mean_product[i])});
  return worst;
}

}  // namespace

TEST_CASE("gram: centred, plain and row-centred products") {
  const auto x = random_tensor<double>({12, 35}, 1, 2);
  const Gram g = gram(x);
  std::vector<Index> all;
  for (Index i = 0; i < 12; ++i) all.push_back(i);
  CHECK(g.features == 35);
  for (Index i = 0; i < 12; ++i) {
    double sum = 0;
    for (Index k = 0; k < 35; ++k) sum += x.at(i, k);
    CHECK(g.sums[static_cast<std::size_t>(i)] == doctest::Approx(sum));
    CHECK(g.squares[static_cast<std::size_t>(i)] == doctest::Approx(product(x, i, i, {})));
    CHECK(g.deviations[static_cast<std::size_t>(i)] == doctest::Approx(product(x, i, i, {}) - sum * sum / 35));
    for (Index j = 0; j < 12; ++j) {
      CHECK(std::abs(g.centred.at(i, j) - product(x, i, j, all)) < 1e-12);
      CHECK(g.centred.at(i, j) == g.centred.at(j, i));
      CHECK(std::abs(g.product(i, j) - product(x, i, j, {})) < 1e-11);
      CHECK(std::abs(g.row_centred_product(i, j) -
                     (product(x, i, j, {}) - g.sums[static_cast<std::size_t>(i)] * g.sums[static_cast<std::size_t>(j)] / 35)) < 1e-11);
    }
  }
}

TEST_CASE("gram: in chunks as at once, float as double") {
  auto x = random_tensor<double>({9, 101}, 2, 1);
  for (double& v : x) v = static_cast<double>(static_cast<float>(v));
  const Gram whole = gram(x);
  for (const Index columns : {1, 10, 100})
    CHECK(largest_difference(gram(TensorFeatures<double>(x, FeatureOptions{.chunk_bytes = columns * 9 * 8})), whole) < 1e-12);
  const auto narrow = x.cast<float>();
  CHECK(largest_difference(gram(narrow), whole) == 0);
  CHECK(largest_difference(gram(TensorFeatures<float>(narrow, FeatureOptions{.chunk_bytes = 9 * 4 * 7})), whole) < 1e-12);
}

TEST_CASE("gram: patterns for training and testing, centred on the training patterns") {
  const auto x = random_tensor<double>({10, 23}, 3, 5);
  const Gram g = gram(x);
  const std::vector<Index> train = {7, 0, 3, 4, 9}, test = {1, 8, 3};
  const Tensor<double> k = centred_gram(g, train), c = cross_gram(g, test, train);
  CHECK(k.shape() == Shape({5, 5}));
  CHECK(c.shape() == Shape({3, 5}));
  for (Index s = 0; s < 5; ++s) {
    const Index j = train[static_cast<std::size_t>(s)];
    for (Index r = 0; r < 5; ++r) {
      CHECK(std::abs(k.at(r, s) - product(x, train[static_cast<std::size_t>(r)], j, train)) < 1e-11);
      CHECK(k.at(r, s) == k.at(s, r));
    }
    for (Index r = 0; r < 3; ++r) CHECK(std::abs(c.at(r, s) - product(x, test[static_cast<std::size_t>(r)], j, train)) < 1e-11);
  }
  double rows = 0;
  for (Index s = 0; s < 5; ++s) rows += k.at(0, s);
  CHECK(std::abs(rows) < 1e-11);
}

TEST_CASE("gram: a pattern that is not finite spoils its own row only") {
  auto x = random_tensor<double>({5, 8}, 4);
  x.at(2, 3) = NAN;
  const Gram g = gram(x);
  for (Index i = 0; i < 5; ++i)
    for (Index j = 0; j < 5; ++j) CHECK(std::isnan(g.centred.at(i, j)) == (i == 2 || j == 2));
  CHECK(std::isnan(g.squares[2]));
}

TEST_CASE("gram: correlation distances far from 0 stay in [0,2]") {
  auto x = random_tensor<double>({4, 6}, 7, 1e5);
  for (Index k = 0; k < 6; ++k) x.at(1, k) = x.at(0, k), x.at(3, k) = 2e5 - x.at(2, k);
  const Rdm r = rdm(gram(x), Distance::correlation);
  for (const double v : r.values()) CHECK((v >= 0 && v <= 2));
}

TEST_CASE("gram: the same bits for any number of threads") {
  const auto x = random_tensor<double>({130, 77}, 5);
  const int before = cpu::threads();
  cpu::set_threads(1);
  const Gram one = gram(x);
  cpu::set_threads(2);
  CHECK(largest_difference(gram(x), one) == 0);
  cpu::set_threads(before);
}

TEST_CASE("gram: bad input is named") {
  const Gram g = gram(random_tensor<double>({4, 2}, 6));
  CHECK_THROWS_WITH_AS(gram(Tensor<double>({3, 0})), "gram: conditions of 0 features; at least 1 is needed", ShapeError);
  CHECK_THROWS_WITH_AS(gram(Tensor<double>({0, 3})), "gram: 0 conditions; at least 1 are needed", ShapeError);
  CHECK_THROWS_WITH_AS(rdm(gram(Tensor<double>({2, 3})), Distance::cosine), "rdm: 2 conditions; at least 3 are needed", ShapeError);
  CHECK_THROWS_WITH_AS(centred_gram(g, {}), "gram: no training conditions; at least 1 is needed", ShapeError);
  CHECK_THROWS_WITH_AS(centred_gram(g, std::vector<Index>{0, 4}), "gram: condition 4 of 4", Error);
  CHECK_THROWS_WITH_AS(cross_gram(g, std::vector<Index>{-1}, std::vector<Index>{0}), "gram: condition -1 of 4", Error);
}
