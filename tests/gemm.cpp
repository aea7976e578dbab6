#include "ventral/cpu/gemm.hpp"

#include "support.hpp"

using namespace ventral;

namespace {

/// What a product of the given shape, with padded rows everywhere, differs by from sums in double, relative to the length of the sums; infinite
/// when anything outside the matrix was written.
template <class T>
double gemm_error(const cpu::detail::MatrixKernels<T>& kernels, Index m, Index n, Index k, bool a_transposed, bool b_transposed, T alpha, T beta) {
  const Index a_stride = (a_transposed ? m : k) + 3, b_stride = (b_transposed ? k : n) + 1, c_stride = n + 2;
  const auto a = test::random_tensor<T>({a_transposed ? k : m, a_stride}, 1), b = test::random_tensor<T>({b_transposed ? n : k, b_stride}, 2);
  auto c = test::random_tensor<T>({m, c_stride}, 3);
  const auto before = c.clone();
  cpu::detail::gemm<T>(kernels, m, n, k, alpha, {a.data(), a_stride, a_transposed}, {b.data(), b_stride, b_transposed}, beta, c.data(), c_stride);
  double error = 0;
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < c_stride; ++j) {
      double sum = 0;
      for (Index p = 0; p < k && j < n; ++p)
        sum += static_cast<double>(a_transposed ? a[p * a_stride + i] : a[i * a_stride + p]) *
               static_cast<double>(b_transposed ? b[j * b_stride + p] : b[p * b_stride + j]);
      const double old = static_cast<double>(before[i * c_stride + j]), now = static_cast<double>(c[i * c_stride + j]);
      if (j >= n && now != old) return INFINITY;
      if (j < n)
        error = std::max(error, std::abs(static_cast<double>(alpha) * sum + static_cast<double>(beta) * old - now) / std::sqrt(static_cast<double>(k) + 1));
    }
  return error;
}

std::vector<cpu::SimdLevel> offered_levels() {
  std::vector<cpu::SimdLevel> levels;
  for (const auto level : {cpu::SimdLevel::baseline, cpu::SimdLevel::avx2, cpu::SimdLevel::avx512})
    if (level <= cpu::detail::best_simd_level()) levels.push_back(level);
  return levels;
}

}  // namespace

TEST_CASE_TEMPLATE("gemm: odd shapes, all transposes, every SIMD level", T, float, double) {
  const double tolerance = sizeof(T) == 4 ? 1e-5 : 1e-14;
  for (const auto level : offered_levels()) {
    CAPTURE(to_string(level));
    const cpu::detail::MatrixKernels<T> kernels(level);
    for (const bool a : {false, true})
      for (const bool b : {false, true})
        for (const Index m : {1, 3, 5, 6, 12, 25})
          for (const Index n : {1, 10, 33, 71})
            for (const Index k : {1, 4, 7, 65}) CHECK(gemm_error<T>(kernels, m, n, k, a, b, 1, 1) < tolerance);
    CHECK(gemm_error<T>(kernels, 300, 90, 333, true, true, 1, 0) < tolerance);  // several blocks, several slabs of the depth
    CHECK(gemm_error<T>(kernels, 40, 600, 700, false, false, 1, 1) < tolerance);
  }
}

TEST_CASE_TEMPLATE("gemm: alpha and beta", T, float, double) {
  const auto& kernels = cpu::detail::matrix_kernels<T>();
  for (const T alpha : {T(1), T(-2)})
    for (const T beta : {T(0), T(1), T(0.5)})
      for (const Index k : {0, 1, 9, 400}) CHECK(gemm_error<T>(kernels, 7, 37, k, false, true, alpha, beta) < (sizeof(T) == 4 ? 1e-4 : 1e-13));
}

TEST_CASE("gemm: beta = 0 does not read what was there") {
  const auto a = test::random_tensor<float>({9, 5}), b = test::random_tensor<float>({5, 40});
  for (const Index k : {0, 5}) {
    auto c = Tensor<float>::full({9, 40}, NAN);
    cpu::gemm<float>(cpu::Stream{}, 9, 40, k, 1, {a.data(), 5}, {b.data(), 40}, 0, c.data(), 40);
    bool finite = true;
    for (const float v : c) finite = finite && std::isfinite(v);
    CHECK(finite);
  }
}

TEST_CASE("gemm: empty matrices") {
  float c = 3;
  cpu::gemm<float>(cpu::Stream{}, 0, 4, 5, 1, {nullptr, 5}, {nullptr, 4}, 0, &c, 4);
  cpu::gemm<float>(cpu::Stream{}, 4, 0, 5, 1, {nullptr, 5}, {nullptr, 0}, 0, &c, 0);
  CHECK(c == 3);
}

TEST_CASE("gemm: the same bits for any number of threads") {
  const Index m = 190, n = 210, k = 350;
  const auto a = test::random_tensor<float>({m, k}, 1), b = test::random_tensor<float>({n, k}, 2);
  const int before = cpu::threads();
  Tensor<float> c[3];
  for (int t = 1; t <= 3; ++t) {
    cpu::set_threads(t);
    c[t - 1] = Tensor<float>({m, n});
    cpu::gemm<float>(cpu::Stream{}, m, n, k, 1, {a.data(), k}, {b.data(), k, true}, 0, c[t - 1].data(), n);
  }
  cpu::set_threads(before);
  CHECK(std::equal(c[0].begin(), c[0].end(), c[1].begin()));
  CHECK(std::equal(c[0].begin(), c[0].end(), c[2].begin()));
}
