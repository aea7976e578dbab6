#include "ventral/brain/distances.hpp"

#include <utility>

#include "support.hpp"
#include "ventral/brain/crossnobis.hpp"
#include "ventral/brain/poisson.hpp"

using namespace ventral;
using namespace ventral::brain;

namespace {

/// The definition, in long double; 1 - x.y / (|x| |y|) as half the squared distance of unit vectors, which keeps its digits.
template <class T>
double by_definition(const T* x, const T* y, Index p, Distance distance) {
  const bool unit = distance == Distance::correlation || distance == Distance::cosine;
  const auto value = [](T v) { return static_cast<long double>(v); };
  long double mean_x = 0, mean_y = 0, xx = 0, yy = 0, square = 0;
  for (Index k = 0; k < p && distance == Distance::correlation; ++k)
    mean_x += value(x[k]) / static_cast<long double>(p), mean_y += value(y[k]) / static_cast<long double>(p);
  for (Index k = 0; k < p; ++k) xx += (value(x[k]) - mean_x) * (value(x[k]) - mean_x), yy += (value(y[k]) - mean_y) * (value(y[k]) - mean_y);
  for (Index k = 0; k < p; ++k) {
    const long double a = (value(x[k]) - mean_x) / (unit ? std::sqrt(xx) : 1), b = (value(y[k]) - mean_y) / (unit ? std::sqrt(yy) : 1);
    square += (a - b) * (a - b);
  }
  switch (distance) {
    case Distance::correlation:
    case Distance::cosine: return static_cast<double>(square / 2);
    case Distance::euclidean: return static_cast<double>(std::sqrt(square));
    case Distance::squared_euclidean: return static_cast<double>(square);
    case Distance::squared_euclidean_per_feature: return static_cast<double>(square / static_cast<long double>(p));
  }
  return 0;
}

/// Largest error of an RDM against the definition, relative to the value or, with `floor`, to at least that.
template <class T>
double worst_error(const Rdm& rdm, const Tensor<T>& x, Distance distance, double floor = 1e-300) {
  const Index n = x.dim(0), p = x.dim(1);
  double worst = 0;
  for (Index i = 0; i < n; ++i)
    for (Index j = i + 1; j < n; ++j) {
      const double expected = by_definition(x.data() + i * p, x.data() + j * p, p, distance);
      const double error = std::abs(rdm(i, j) - expected) / std::max(floor, std::abs(expected));
      if (!(error <= worst)) worst = std::isnan(error) ? INFINITY : error;
    }
  return worst;
}

double difference(const Rdm& a, const Rdm& b) {
  double worst = a.pairs() == b.pairs() ? 0 : INFINITY;
  for (Index k = 0; k < a.pairs(); ++k) {
    const double x = a.values()[static_cast<std::size_t>(k)], y = b.values()[static_cast<std::size_t>(k)];
    if (std::isnan(x) != std::isnan(y)) return INFINITY;
    if (!std::isnan(x)) worst = std::max(worst, std::abs(x - y) / std::max(1.0, std::abs(y)));
  }
  return worst;
}

/// NaN for every pair of condition i, and for no other.
void check_undefined(const Rdm& rdm, std::vector<Index> undefined_conditions) {
  const auto is_in = [&](Index i) { return std::find(undefined_conditions.begin(), undefined_conditions.end(), i) != undefined_conditions.end(); };
  for (Index i = 0; i < rdm.conditions(); ++i)
    for (Index j = i + 1; j < rdm.conditions(); ++j) CHECK(std::isnan(rdm(i, j)) == (is_in(i) || is_in(j)));
}

}  // namespace

TEST_CASE_TEMPLATE("distances: every one as defined, at awkward shapes", T, double, float) {
  for (const Shape shape : {Shape{3, 1}, Shape{3, 2}, Shape{4, 7}, Shape{17, 65}, Shape{65, 257}, Shape{131, 300}, Shape{9, 1031}}) {
    CAPTURE(to_string(shape));
    const auto x = test::random_tensor<T>(shape, 3, 0.5);
    for (const Distance d : all_distances) {
      if (shape[1] == 1 && d == Distance::correlation) continue;
      const bool unit = d == Distance::correlation || d == Distance::cosine;
      CHECK(worst_error(rdm(x, d), x, d, unit ? 1 : 1e-300) < (std::is_same_v<T, double> ? 1e-13 : 2e-6));
    }
  }
}

TEST_CASE("distances: by hand") {
  const Tensor<double> x({3, 2}, {3, 0, 0, 4, 3, 4});
  const auto values = [&](Distance d) {
    const Rdm r = rdm(x, d);
    return std::vector<double>(r.values().begin(), r.values().end());
  };
  CHECK(values(Distance::squared_euclidean) == std::vector<double>{25, 16, 9});
  CHECK(values(Distance::squared_euclidean_per_feature) == std::vector<double>{12.5, 8, 4.5});
  CHECK(values(Distance::euclidean) == std::vector<double>{5, 4, 3});
  CHECK(values(Distance::cosine)[0] == doctest::Approx(1));
  CHECK(values(Distance::cosine)[1] == doctest::Approx(0.4));
  CHECK(values(Distance::correlation)[0] == doctest::Approx(2));
  CHECK(rdm(Tensor<double>({3, 1, 2}, {3, 0, 0, 4, 3, 4}), Distance::euclidean)(0, 1) == 5);  // activations are flattened
}

TEST_CASE_TEMPLATE("distances: large patterns with tiny differences keep their digits", T, double, float) {
  Tensor<T> x({7, 500});
  Random random(5);
  for (T& v : x) v = static_cast<T>(1000 + 0.01 * random.normal());
  for (const Distance d : all_distances) CHECK(worst_error(rdm(x, d), x, d) < (std::is_same_v<T, double> ? 1e-9 : 1e-5));
}

TEST_CASE_TEMPLATE("distances: pairs that are close and far from the others keep their digits", T, double, float) {
  Tensor<T> x({9, 200});
  Random random(6);
  for (Index i = 0; i < 9; ++i)
    for (Index k = 0; k < 200; ++k)
      x[i * 200 + k] =
          i % 3 == 0 ? static_cast<T>(100 * random.normal()) : static_cast<T>(static_cast<double>(x[(i - 1) * 200 + k]) + 1e-4 * random.normal());
  for (const Distance d : all_distances) CHECK(worst_error(rdm(x, d), x, d) < (std::is_same_v<T, double> ? 1e-9 : 1e-5));
}

TEST_CASE_TEMPLATE("distances: huge float features do not overflow, tiny ones do not vanish", Space, Cpu, Cuda) {
  for (const float scale : {1e30F, 1e-18F, 1e-22F, 1e-26F}) {
    auto x = test::random_tensor<float>({4, 10}, 8);
    for (float& v : x) v *= scale;
    CAPTURE(scale);
    for (const Distance d : all_distances) CHECK(worst_error(rdm(x.template to<Space>(), d), x, d) < 1e-5);
  }
}

TEST_CASE_TEMPLATE("distances: constant, zero and undefined patterns make their own pairs NaN and no others", T, double, float) {
  auto x = test::random_tensor<T>({6, 33}, 9);
  for (Index k = 0; k < 33; ++k) x[2 * 33 + k] = static_cast<T>(0.1), x[4 * 33 + k] = 0;
  check_undefined(rdm(x, Distance::correlation), {2, 4});
  check_undefined(rdm(x, Distance::cosine), {4});
  check_undefined(rdm(x, Distance::euclidean), {});
  check_undefined(rdm(gram(x), Distance::correlation), {2, 4});
  check_undefined(rdm(gram(x), Distance::cosine), {4});
  for (const double bad : {static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    x[1 * 33 + 5] = static_cast<T>(bad);
    check_undefined(rdm(x, Distance::correlation), {1, 2, 4});
    check_undefined(rdm(x, Distance::cosine), {1, 4});
    check_undefined(rdm(x, Distance::squared_euclidean), {1});
    check_undefined(rdm(gram(x), Distance::squared_euclidean), {1});
  }
}

TEST_CASE("distances: a scaled and shifted pattern has correlation distance 0, a copy distance 0") {
  auto x = test::random_tensor<double>({4, 21}, 10);
  for (Index k = 0; k < 21; ++k) x[21 + k] = 2.5 * x[k] + 4, x[2 * 21 + k] = x[k];
  CHECK(std::abs(rdm(x, Distance::correlation)(0, 1)) < 1e-15);
  for (const Distance d : all_distances) CHECK(rdm(x, d)(0, 2) == 0);
}

TEST_CASE("distances: the same bits for any number of threads") {
  const auto x = test::random_tensor<float>({150, 400}, 11);
  const int before = cpu::threads();
  for (const Distance d : all_distances) {
    cpu::set_threads(1);
    const Rdm one = rdm(x, d);
    cpu::set_threads(2);
    const Rdm two = rdm(x, d);
    CHECK(std::equal(one.values().begin(), one.values().end(), two.values().begin()));
  }
  cpu::set_threads(before);
}

TEST_CASE("distances: bad input is named") {
  CHECK(test::message_of<ShapeError>([] { rdm(Tensor<double>({2, 5}), Distance::cosine); }) == "rdm: 2 conditions; at least 3 are needed");
  CHECK(test::message_of<ShapeError>([] { rdm(Tensor<float>({3, 0}), Distance::cosine); }) == "rdm: conditions of 0 features; at least 1 is needed");
  CHECK(test::message_of<ShapeError>([] { rdm(Tensor<float>(Shape{3}), Distance::cosine); }) ==
        "features: shape [3]; [conditions,features] is needed");
  CHECK(test::message_of<ShapeError>([] { rdm(Tensor<float, Cuda>({2, 5}), Distance::cosine); }) == "rdm: 2 conditions; at least 3 are needed");
}

TEST_CASE_TEMPLATE("distances: on a GPU as on the CPU", T, double, float) {
  auto x = test::random_tensor<T>({9, 37}, 12, 3);
  for (Index k = 0; k < 37; ++k) {
    x[37 + k] = static_cast<T>(1.1);                                                  // constant
    x[5 * 37 + k] = x[4 * 37 + k] + static_cast<T>(k % 2) * static_cast<T>(1e-3);  // nearly the same
    x[7 * 37 + k] = 0;
  }
  x[3 * 37 + 2] = static_cast<T>(NAN);
  for (const Distance d : all_distances) {
    const Rdm here = rdm(x, d), there = rdm(x.template to<Cuda>(), d);
    CHECK(difference(there, here) < (std::is_same_v<T, double> ? 1e-12 : 3e-6));
    CHECK(there(4, 5) == doctest::Approx(here(4, 5)).epsilon(1e-9));
  }
  auto large = test::random_tensor<T>({5, 64}, 13, 1000, 0.01);
  CHECK(worst_error(rdm(large.template to<Cuda>(), Distance::squared_euclidean), large, Distance::squared_euclidean) < 1e-5);
  CHECK(worst_error(rdm(large.template to<Cuda>(), Distance::correlation), large, Distance::correlation) < 1e-4);
}

TEST_CASE_TEMPLATE("mahalanobis distances: as defined, with a precision; NaN stays with its pattern", T, double, float) {
  auto x = test::random_tensor<T>({6, 5}, 14, 20);
  const auto half = test::random_tensor<double>({5, 5}, 15);
  const Tensor<double> precision = symmetric_product(half);
  for (Index k = 0; k < 5; ++k) x[5 + k] = x[k] + static_cast<T>(1e-3) * static_cast<T>(k);
  Rdm r = mahalanobis_rdm(x, precision);
  for (Index i = 0; i < 6; ++i)
    for (Index j = i + 1; j < 6; ++j) {
      double expected = 0;
      for (Index k = 0; k < 5; ++k)
        for (Index l = 0; l < 5; ++l)
          expected += (static_cast<double>(x[i * 5 + k]) - static_cast<double>(x[j * 5 + k])) * precision[k * 5 + l] *
                      (static_cast<double>(x[i * 5 + l]) - static_cast<double>(x[j * 5 + l])) / 5;
      CHECK(r(i, j) == doctest::Approx(expected).epsilon(1e-10));
    }
  x[4 * 5 + 1] = static_cast<T>(NAN);
  check_undefined(mahalanobis_rdm(x, precision), {4});
  CHECK(test::message_of<ShapeError>([&] {
          mahalanobis_rdm(x, Tensor<double>({4, 4}));
        }) == "mahalanobis_rdm: precision [4,4] for 5 features; [5,5] is needed");
}

TEST_CASE("crossnobis distances: products of different runs only") {
  constexpr Index runs = 3, n = 4, p = 6;
  auto y = test::random_tensor<double>({runs, n, p}, 16, 10);
  const Tensor<double> precision = symmetric_product(test::random_tensor<double>({p, p}, 17));
  const auto expected = [&](Index i, Index j, const double* weights) {
    double sum = 0;
    for (Index a = 0; a < runs; ++a)
      for (Index b = 0; b < runs; ++b)
        for (Index k = 0; k < p && a != b; ++k)
          for (Index l = 0; l < p; ++l)
            sum += (y.at(a, i, k) - y.at(a, j, k)) * (weights ? weights[k * p + l] : k == l ? 1 : 0) * (y.at(b, i, l) - y.at(b, j, l));
    return sum / (runs * (runs - 1) * p);
  };
  const Rdm plain = crossnobis_rdm(y), weighted = crossnobis_rdm(y, precision), from_float = crossnobis_rdm(y.cast<float>());
  bool negative = false;
  for (Index i = 0; i < n; ++i)
    for (Index j = i + 1; j < n; ++j) {
      CHECK(std::abs(plain(i, j) - expected(i, j, nullptr)) < 1e-12);
      CHECK(std::abs(weighted(i, j) - expected(i, j, precision.data())) < 1e-11);
      CHECK(std::abs(from_float(i, j) - plain(i, j)) < 1e-5);
      negative = negative || plain(i, j) < 0;
    }
  CHECK(negative);
  y.at(1, 2, 0) = NAN;
  check_undefined(crossnobis_rdm(y), {2});
  check_undefined(crossnobis_rdm(y, precision), {2});
  CHECK(test::message_of<ShapeError>([] { crossnobis_rdm(Tensor<double>({1, 4, 3})); }) == "crossnobis_rdm: 1 runs; at least 2 are needed");
  CHECK(test::message_of<ShapeError>([] {
          crossnobis_rdm(Tensor<double>({4, 3}));
        }) == "crossnobis_rdm: responses of shape [4,3]; [runs,conditions,features] is needed");
  CHECK(test::message_of<ShapeError>([&] {
          crossnobis_rdm(y, Tensor<double>({2, 2}));
        }) == "crossnobis_rdm: precision [2,2] for 6 features; [6,6] is needed");
  CHECK(test::message_of<ShapeError>([] { crossnobis_rdm(Tensor<double>({2, 2, 3})); }) == "crossnobis_rdm: 2 conditions; at least 3 are needed");
}

TEST_CASE("poisson distances: as defined; rates that are not positive are undefined") {
  Tensor<double> x({4, 5});
  Random random(18);
  for (double& v : x) v = std::floor(10 * random.uniform());
  const auto expected = [&](Index i, Index j, double mean, double weight) {
    double sum = 0;
    for (Index k = 0; k < 5; ++k) {
      const double a = (x[i * 5 + k] + mean * weight) / (1 + weight), b = (x[j * 5 + k] + mean * weight) / (1 + weight);
      sum += (a - b) * (std::log(a) - std::log(b)) / 5;
    }
    return sum;
  };
  for (Index i = 0; i < 4; ++i)
    for (Index j = i + 1; j < 4; ++j) {
      CHECK(poisson_rdm(x)(i, j) == doctest::Approx(expected(i, j, 1, 0.1)).epsilon(1e-12));
      CHECK(poisson_rdm(x.cast<float>(), {.prior_mean = 3, .prior_weight = 0.5})(i, j) == doctest::Approx(expected(i, j, 3, 0.5)).epsilon(1e-12));
    }
  x[2 * 5 + 1] = -2;
  check_undefined(poisson_rdm(x), {2});
  CHECK(test::message_of<ShapeError>([] { poisson_rdm(Tensor<double>({2, 3})); }) == "poisson_rdm: 2 conditions; at least 3 are needed");
  CHECK(test::message_of<Error>([] {
          poisson_rdm(Tensor<double>({3, 3}), {.prior_weight = -1});
        }) == "poisson: prior_weight -1; at least 0 is needed");
}

TEST_CASE("cross-validated poisson distances: the mean over all folds, to which every run contributes") {
  constexpr Index runs = 4, n = 3, p = 5;
  Tensor<double> y({runs, n, p});
  Random random(19);
  for (double& v : y) v = std::floor(10 * random.uniform());
  const auto rate = [](double x) { return (x + 0.1) / 1.1; };
  const auto fold = [&](Index a, Index i, Index j) {
    const auto train = [&](Index c, Index k) {
      double sum = 0;
      for (Index b = 0; b < runs; ++b) sum += b == a ? 0 : y.at(b, c, k);
      return rate(sum / (runs - 1));
    };
    double sum = 0;
    for (Index k = 0; k < p; ++k) sum += (train(i, k) - train(j, k)) * (std::log(rate(y.at(a, i, k))) - std::log(rate(y.at(a, j, k)))) / p;
    return sum;
  };
  const Rdm r = crossvalidated_poisson_rdm(y);
  for (Index i = 0; i < n; ++i)
    for (Index j = i + 1; j < n; ++j)
      CHECK(r(i, j) == doctest::Approx((fold(0, i, j) + fold(1, i, j) + fold(2, i, j) + fold(3, i, j)) / 4).epsilon(1e-12));

  // Runs may come in any order, and changing the test data of any one run changes the result as its fold does.
  for (Index a = 0; a + 1 < runs; ++a) {
    auto swapped = y.clone();
    std::swap_ranges(swapped.data() + a * n * p, swapped.data() + (a + 1) * n * p, swapped.data() + (a + 1) * n * p);
    CHECK(difference(crossvalidated_poisson_rdm(swapped), r) < 1e-13);
  }
  for (Index a = 0; a < runs; ++a) {
    auto changed = y.clone();
    changed.at(a, 0, 0) += 20;
    CHECK(std::abs(crossvalidated_poisson_rdm(changed)(0, 1) - r(0, 1)) > 1e-3);
    changed.at(a, 0, 0) = NAN;
    check_undefined(crossvalidated_poisson_rdm(changed), {0});
  }
  CHECK(test::message_of<ShapeError>([] {
          crossvalidated_poisson_rdm(Tensor<double>({1, 3, 3}));
        }) == "crossvalidated_poisson_rdm: 1 runs; at least 2 are needed");
}
