#include "helpers.hpp"
#include "ventral/brain/cholesky.hpp"

#include <doctest/doctest.h>

#include <string>

#include "ventral/brain/decompositions.hpp"
#include "ventral/random.hpp"

using namespace ventral;
using test::largest_difference;
using test::message_of;
using test::random_tensor;

namespace {

Tensor<double> product(const Tensor<double>& a, const Tensor<double>& b) {
  Tensor<double> c({a.dim(0), b.dim(1)});
  for (Index i = 0; i < a.dim(0); ++i)
    for (Index k = 0; k < a.dim(1); ++k)
      for (Index j = 0; j < b.dim(1); ++j) c[i * b.dim(1) + j] += a[i * a.dim(1) + k] * b[k * b.dim(1) + j];
  return c;
}

Tensor<double> transposed(const Tensor<double>& a) {
  Tensor<double> t({a.dim(1), a.dim(0)});
  for (Index i = 0; i < a.size(); ++i) t[i % a.dim(1) * a.dim(0) + i / a.dim(1)] = a[i];
  return t;
}

/// Positive definite, condition number about 10.
Tensor<double> spd(Index n, std::uint64_t seed) {
  Tensor<double> a = brain::symmetric_product(random_tensor<double>({n, 2 * n + 3}, seed));
  for (Index i = 0; i < n; ++i) a[i * n + i] += static_cast<double>(n);
  return a;
}

}  // namespace

TEST_CASE("cholesky: symmetric_product is A A' and A'A") {
  for (const Index n : {1, 7, 100, 211}) {
    const Tensor<double> a = random_tensor<double>({n, 37}, 1);
    CHECK(largest_difference(brain::symmetric_product(a), product(a, transposed(a))) < 1e-12);
    CHECK(largest_difference(brain::symmetric_product(a, true), product(transposed(a), a)) < 1e-11);
  }
}

TEST_CASE("cholesky: L L' = A, zeros above, on both sides of the block size") {
  for (const Index n : {1, 2, 5, 95, 96, 97, 200}) {
    const Tensor<double> a = spd(n, 2), l = brain::cholesky(a.clone());
    CHECK(largest_difference(product(l, transposed(l)), a) < 1e-11 * static_cast<double>(n));
    for (Index i = 0; i < n; ++i) CHECK(l[i * n + i] > 0);
    if (n > 1) CHECK(l[1] == 0);
  }
  const Tensor<double> l = brain::cholesky(Tensor<double>({2, 2}, {4, 99, 2, 10}));  // by hand; what lies above the diagonal is not read
  CHECK(l[0] == 2);
  CHECK(l[2] == 1);
  CHECK(l[3] == 3);
}

TEST_CASE("cholesky: in place, nothing above the diagonal is touched") {
  const Index n = 150, stride = 160;
  const Tensor<double> a = spd(n, 3), expected = brain::cholesky(a.clone());
  auto m = Tensor<double>::full({n, stride}, 7);
  for (Index i = 0; i < n; ++i) std::copy_n(a.data() + i * n, i + 1, m.data() + i * stride);
  brain::cholesky_in_place(m.data(), n, stride);
  bool same = true, untouched = true;
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < stride; ++j) (j <= i ? same : untouched) &= m[i * stride + j] == (j <= i ? expected[i * n + j] : 7);
  CHECK(same);
  CHECK(untouched);
  brain::invert_triangular(m.data(), n, stride);
  for (Index i = 0; i < n; ++i)
    for (Index j = i + 1; j < stride; ++j) untouched &= m[i * stride + j] == 7;
  CHECK(untouched);
}

TEST_CASE("cholesky: the four triangular systems") {
  const Index n = 203, q = 5;
  const Tensor<double> l = brain::cholesky(spd(n, 4)), tall = random_tensor<double>({n, q}, 5), wide = random_tensor<double>({q, n}, 6), lt = transposed(l);
  using enum brain::TriangularSystem;
  for (const auto system : {left, left_transposed, right, right_transposed}) {
    const bool on_left = system == left || system == left_transposed, turned = system == left_transposed || system == right_transposed;
    const Tensor<double>&b = on_left ? tall : wide, &factor = turned ? lt : l;
    Tensor<double> x = b.clone();
    brain::solve_triangular(system, l.data(), n, n, x.data(), q, on_left ? q : n);
    CHECK(largest_difference(on_left ? product(factor, x) : product(x, factor), b) < 1e-11);
  }
}

TEST_CASE("cholesky: solutions, inverse and its diagonal") {
  for (const Index n : {3, 130}) {
    const Tensor<double> a = spd(n, 7), l = brain::cholesky(a.clone()), inverse = brain::cholesky_inverse(l.clone());
    Tensor<double> identity({n, n});
    for (Index i = 0; i < n; ++i) identity[i * n + i] = 1;
    CHECK(largest_difference(product(a, inverse), identity) < 1e-11);
    Tensor<double> x = identity.clone();
    brain::cholesky_solve(l, x);
    CHECK(largest_difference(x, inverse) < 1e-13);
    Tensor<double> m = l.clone();
    brain::invert_triangular(m.data(), n, n);
    const std::vector<double> diagonal = brain::cholesky_inverse_diagonal(m);
    for (Index i = 0; i < n; ++i) CHECK(diagonal[static_cast<std::size_t>(i)] == doctest::Approx(inverse[i * n + i]).epsilon(1e-12));
  }
}

TEST_CASE("cholesky: the same bits for any number of threads") {
  const int before = cpu::threads();
  const Tensor<double> a = spd(260, 8);
  cpu::set_threads(1);
  const Tensor<double> one = brain::cholesky(a.clone());
  cpu::set_threads(2);
  const Tensor<double> two = brain::cholesky(a.clone());
  cpu::set_threads(before);
  CHECK(largest_difference(one, two) == 0);
}

TEST_CASE("cholesky: bad input is named") {
  Tensor<double> a = spd(250, 9);
  a[200 * 250 + 200] = -1;
  CHECK(message_of([&] { brain::cholesky(a.clone()); }).starts_with("cholesky: pivot 200 is -"));
  a[3 * 250 + 1] = NAN;
  CHECK(message_of([&] { brain::cholesky(a.clone()); }) == "cholesky: pivot 3 is nan; the matrix is not positive definite");
  CHECK(message_of([] { brain::cholesky(Tensor<double>({2, 3})); }) == "cholesky: a matrix of shape [2,3]; a square one is needed");
  CHECK(message_of([] {
          Tensor<double> b({3, 1});
          brain::cholesky_solve(Tensor<double>({2, 2}), b);
        }) == "cholesky_solve: factor [2,2] and right-hand sides [3,1]; needs [n,n] and [n,q]");
}

TEST_CASE("decompositions: A = sum of values times outer products of orthonormal vectors, ascending") {
  for (const Index n : {1, 2, 40, 260}) {  // 260: LAPACK where it is found
    Tensor<double> a = brain::symmetric_product(random_tensor<double>({n, n}, 10));
    for (Index i = 0; i < n; ++i) a[i * n + i] -= static_cast<double>(n);  // some eigenvalues negative
    const brain::SymmetricEigen e = brain::symmetric_eigen(a.clone());
    Tensor<double> scaled = e.vectors.clone();
    for (Index i = 0; i < n * n; ++i) scaled[i] *= e.values[static_cast<std::size_t>(i / n)];
    CHECK(largest_difference(product(transposed(e.vectors), scaled), a) < 1e-11 * static_cast<double>(n));
    Tensor<double> identity({n, n});
    for (Index i = 0; i < n; ++i) identity[i * n + i] = 1;
    CHECK(largest_difference(product(e.vectors, transposed(e.vectors)), identity) < 1e-12);
    CHECK(std::is_sorted(e.values.begin(), e.values.end()));
    const brain::Eigenpair top = brain::leading_eigenpair(a.clone());
    CHECK(top.value == doctest::Approx(e.values.back()).epsilon(1e-13));
    double overlap = 0;
    for (Index i = 0; i < n; ++i) overlap += top.vector[static_cast<std::size_t>(i)] * e.vectors[(n - 1) * n + i];
    CHECK(std::abs(overlap) == doctest::Approx(1).epsilon(1e-12));
  }
  const brain::SymmetricEigen e = brain::symmetric_eigen(Tensor<double>({2, 2}, {2, 99, 1, 2}));  // by hand; the lower triangle counts
  CHECK(e.values[0] == doctest::Approx(1));
  CHECK(e.values[1] == doctest::Approx(3));
  CHECK(e.vectors[2] * e.vectors[3] == doctest::Approx(0.5));
}

TEST_CASE("decompositions: bad input is named") {
  CHECK(message_of([] { brain::symmetric_eigen(Tensor<double>({2, 3})); }) == "symmetric_eigen: a matrix of shape [2,3]; a square one is needed");
  CHECK(message_of([] { brain::leading_eigenpair(Tensor<double>({0, 0})); }) == "leading_eigenpair: an empty matrix");
  CHECK(message_of([] {
          brain::symmetric_eigen(Tensor<double>({2, 2}, {1, 0, INFINITY, 1}));
        }) == "symmetric_eigen: entry (1,0) is inf; finite numbers are needed");
}
