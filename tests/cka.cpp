#include "helpers.hpp"
#include "ventral/brain/cka.hpp"

#include <doctest/doctest.h>

#include <string>

#include "ventral/brain/whitened.hpp"
#include "ventral/random.hpp"

using namespace ventral;
using namespace ventral::brain;
using test::message_of;
using test::random_tensor;

namespace {

/// |X'Y|^2 / (|X'X| |Y'Y|) of centred features, product by product.
template <class T, class U>
double cka_by_features(const Tensor<T>& x, const Tensor<U>& y) {
  const auto centred = [](const auto& t) {
    Tensor<double> c(t.shape());
    for (Index k = 0; k < t.dim(1); ++k) {
      double mean = 0;
      for (Index i = 0; i < t.dim(0); ++i) mean += static_cast<double>(t.at(i, k)) / static_cast<double>(t.dim(0));
      for (Index i = 0; i < t.dim(0); ++i) c.at(i, k) = static_cast<double>(t.at(i, k)) - mean;
    }
    return c;
  };
  const auto squared_norm = [](const Tensor<double>& a, const Tensor<double>& b) {
    double sum = 0;
    for (Index k = 0; k < a.dim(1); ++k)
      for (Index l = 0; l < b.dim(1); ++l) {
        double product = 0;
        for (Index i = 0; i < a.dim(0); ++i) product += a.at(i, k) * b.at(i, l);
        sum += product * product;
      }
    return sum;
  };
  const Tensor<double> a = centred(x), b = centred(y);
  return squared_norm(a, b) / std::sqrt(squared_norm(a, a) * squared_norm(b, b));
}

}  // namespace

TEST_CASE("cka: features, Gram matrices and squared Euclidean RDMs give one number, for few and many features, float and double") {
  for (const Index p : {1, 3, 40}) {
    const Tensor<double> x = random_tensor<double>({12, p}, 1, 5);
    const Tensor<float> y = random_tensor<float>({12, 7}, 2, -3);
    const double expected = cka_by_features(x, y);
    CHECK(linear_cka(x, y) == doctest::Approx(expected).epsilon(1e-12));
    CHECK(linear_cka(y, x) == doctest::Approx(expected).epsilon(1e-12));
    CHECK(linear_cka_of_grams(gram(x).centred, gram(y).centred) == doctest::Approx(expected).epsilon(1e-12));
    CHECK(whitened_cosine(rdm(gram(x), Distance::squared_euclidean), rdm(gram(y), Distance::squared_euclidean)) ==
          doctest::Approx(expected).epsilon(1e-11));
    CHECK(linear_cka(x, x) == doctest::Approx(1).epsilon(1e-14));
  }
}

TEST_CASE("cka: undefined for constant or undefined features, precise for bad shapes") {
  const Tensor<double> x = random_tensor<double>({6, 4}, 1), five = random_tensor<double>({5, 4}, 1);
  CHECK(std::isnan(linear_cka(x, Tensor<double>::full({6, 3}, 0.1))));
  CHECK(std::isnan(linear_cka(x, Tensor<double>({6, 3}))));
  CHECK(std::isnan(linear_cka(random_tensor<double>({300, 2}, 1), Tensor<double>::full({300, 2}, 0.1))));
  Tensor<double> hole = x.clone();
  hole[3] = NAN;
  CHECK(std::isnan(linear_cka(x, hole)));
  CHECK(message_of([&] { linear_cka(x, five); }) == "linear_cka: 6 and 5 conditions; they must be of the same conditions");
  CHECK(message_of([&] { linear_cka(x.reshaped({24}), x.ref()); }) ==
        "linear_cka: features of shapes [24] and [6,4]; [conditions, features] is needed");
  CHECK(message_of([&] { linear_cka_of_grams(x, x); }) == "linear_cka: a Gram matrix of shape [6,4]; a square one is needed");
  CHECK(message_of([&] { linear_cka_of_grams(gram(x).centred, gram(five).centred); }) ==
        "linear_cka: 6 and 5 conditions; they must be of the same conditions");
}
