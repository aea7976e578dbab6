#include "ventral/cpu/gemm.hpp"

#include "support.hpp"

using namespace ventral;

namespace {

/// What a product of the given shape, with padded rows (of b only for odd k), differs by from sums in double, relative to the length of the sums; infinite
/// when anything outside the matrix was written.
template <class T>
double gemm_error(const cpu::detail::MatrixKernels<T>& kernels, Index m, Index n, Index k, bool a_transposed, bool b_transposed, T alpha, T beta,
                  bool epilogue = false) {
  const Index a_stride = (a_transposed ? m : k) + 3, b_stride = (b_transposed ? k : n) + k % 2, c_stride = n + 2;
  const auto a = test::random_tensor<T>({a_transposed ? k : m, a_stride}, 1), b = test::random_tensor<T>({b_transposed ? n : k, b_stride}, 2);
  auto c = test::random_tensor<T>({m, c_stride}, 3);
  const auto before = c.clone(), bias = test::random_tensor<T>({n}, 4);
  cpu::detail::gemm<T>(kernels, {m, n, k, alpha, {a.data(), a_stride, a_transposed}, {b.data(), b_stride, b_transposed}, beta, c.data(), c_stride,
                                {epilogue ? bias.data() : nullptr, epilogue}});
  double error = 0;
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < c_stride; ++j) {
      double sum = 0;
      for (Index p = 0; p < k && j < n; ++p)
        sum += static_cast<double>(a_transposed ? a[p * a_stride + i] : a[i * a_stride + p]) *
               static_cast<double>(b_transposed ? b[j * b_stride + p] : b[p * b_stride + j]);
      const double old = static_cast<double>(before[i * c_stride + j]), now = static_cast<double>(c[i * c_stride + j]);
      if (j >= n && now != old) return INFINITY;
      if (j >= n) continue;
      double expected = static_cast<double>(alpha) * sum + static_cast<double>(beta) * old;
      if (epilogue) expected = std::max(0.0, expected + static_cast<double>(bias[j]));
      error = std::max(error, std::abs(expected - now) / std::sqrt(static_cast<double>(k) + 1));
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
            for (const Index k : {1, 4, 7, 64, 65}) {
              CHECK(gemm_error<T>(kernels, m, n, k, a, b, 1, 1) < tolerance);
              CHECK(gemm_error<T>(kernels, m, n, k, a, b, 1, 0, true) < tolerance);
            }
    CHECK(gemm_error<T>(kernels, 300, 90, 333, true, true, 1, 0) < tolerance);  // several blocks, several slabs of the depth
    CHECK(gemm_error<T>(kernels, 40, 600, 700, false, false, 1, 1) < tolerance);
    CHECK(gemm_error<T>(kernels, 40, 600, 700, false, false, 1, 1, true) < tolerance);
    CHECK(gemm_error<T>(kernels, 70, 45, 1300, false, true, 1, 0, true) < tolerance);
    for (const T beta : {T(0), T(1)}) {  // tiles that reach back over others: over rows, over columns, beyond their block
      for (const Index m : {6, 13, 16, 29, 64})
        for (const Index n : {17, 47, 84, 200}) CHECK(gemm_error<T>(kernels, m, n, 20, false, false, 1, beta, true) < tolerance);
      CHECK(gemm_error<T>(kernels, 230, 515, 70, false, false, 1, beta, true) < tolerance);
      CHECK(gemm_error<T>(kernels, 5, 2100, 130, false, false, 1, beta) < tolerance);
    }
  }
}

TEST_CASE_TEMPLATE("gemm: alpha and beta", T, float, double) {
  const auto& kernels = cpu::detail::matrix_kernels<T>();
  for (const T alpha : {T(1), T(-2)})
    for (const T beta : {T(0), T(1), T(0.5)})
      for (const Index k : {0, 1, 9, 400}) CHECK(gemm_error<T>(kernels, 7, 37, k, false, true, alpha, beta) < (sizeof(T) == 4 ? 1e-4 : 1e-13));
  for (const Index k : {0, 9, 400}) CHECK(gemm_error<T>(kernels, 7, 37, k, false, true, -2, 0.5, true) < (sizeof(T) == 4 ? 1e-4 : 1e-13));
}

TEST_CASE_TEMPLATE("gemm: rows a page apart", T, float, double) {
  const Index stride = 8192 / static_cast<Index>(sizeof(T)), m = 30, n = 100, k = 130;
  const auto a = test::random_tensor<T>({130, stride}, 1), b = test::random_tensor<T>({130, stride}, 2);
  for (const auto level : offered_levels())
    for (const bool transposed : {false, true}) {
      Tensor<T> c({m, n});
      cpu::detail::gemm<T>(cpu::detail::MatrixKernels<T>(level), {m, n, k, 1, {a.data(), stride, transposed}, {b.data(), stride}, 0, c.data(), n});
      double error = 0;
      for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < n; ++j) {
          double sum = 0;
          for (Index p = 0; p < k; ++p) sum += static_cast<double>(transposed ? a[p * stride + i] : a[i * stride + p]) * static_cast<double>(b[p * stride + j]);
          error = std::max(error, std::abs(sum - static_cast<double>(c[i * n + j])));
        }
      CHECK(error < (sizeof(T) == 4 ? 1e-4 : 1e-13));
    }
}

TEST_CASE_TEMPLATE("gemm: tiles with a bias for each row and ReLU", T, float, double) {
  for (const auto level : offered_levels()) {
    const cpu::detail::MatrixKernels<T> kernels(level);
    for (const Index rows : {1, 5, 12, 17})
      for (const Index columns : {1, 16, 33, 70})
        for (const bool add : {false, true}) {
          constexpr Index depth = 9, stride = 75;
          const Index width = kernels.panel();
          const auto a = test::random_tensor<T>({rows, depth}, 1), b = test::random_tensor<T>({depth, columns}, 2), bias = test::random_tensor<T>({rows}, 3);
          auto c = test::random_tensor<T>({rows, stride}, 4);
          const auto before = c.clone();
          Tensor<T> left({kernels.packed_rows(rows) * depth}), right({kernels.packed_columns(columns) * depth});
          std::vector<Index> a_row, b_row;
          for (Index i = 0; i < rows; ++i) a_row.push_back(i * depth);
          for (Index p = 0; p < depth; ++p) b_row.push_back(p * width);
          pack_tiles(kernels, rows, depth, a.data(), a_row.data(), left.data());
          pack_panels(kernels, depth, columns, b.data(), columns, right.data());
          cpu::detail::multiply_tiles<T>(kernels, rows, columns, depth, {left.data(), depth}, {right.data(), b_row.data(), width * depth}, c.data(), stride, add,
                                         {bias.data(), true});
          double error = 0;
          for (Index i = 0; i < rows; ++i)
            for (Index j = 0; j < stride; ++j) {
              double expected = static_cast<double>(before[i * stride + j]);
              if (j < columns) {
                double sum = static_cast<double>(bias[i]) + (add ? expected : 0);
                for (Index p = 0; p < depth; ++p) sum += static_cast<double>(a[i * depth + p]) * static_cast<double>(b[p * columns + j]);
                expected = std::max(0.0, sum);
              }
              error = std::max(error, std::abs(expected - static_cast<double>(c[i * stride + j])));
            }
          CHECK(error < (sizeof(T) == 4 ? 1e-5 : 1e-14));
        }
  }
}

TEST_CASE_TEMPLATE("gemm: rows packed as columns, of any number and width", T, float, double) {
  for (const auto level : offered_levels()) {
    const cpu::detail::MatrixKernels<T> kernels(level);
    for (const Index rows : {1, 3, 7, 12, 16, 31, 32})
      for (const Index width : {1, 4, 6, 8, 12, 32})
        for (const Index count : {0, 1, 5, 16, 17, 40}) {
          if (rows > width) continue;
          const auto x = test::random_tensor<T>({rows, 41});
          std::vector<Index> offset;
          for (Index i = 0; i < rows; ++i) offset.push_back(i * 41);
          auto y = Tensor<T>::full({count * width + 40}, T(7));
          kernels.pack_transposed(rows, width, count, x.data(), offset.data(), y.data());
          bool right = true;
          for (Index p = 0; p < count; ++p)
            for (Index i = 0; i < width; ++i) right = right && y[p * width + i] == x[std::min(i, rows - 1) * 41 + p];
          for (Index i = count * width; i < y.size(); ++i) right = right && y[i] == T(7);
          CHECK(right);
        }
  }
}

TEST_CASE("gemm: NaN passes the ReLU of the epilogue") {
  const float a[] = {1, NAN}, b[] = {1, -1};
  float c[4] = {};
  cpu::gemm<float>(cpu::Stream{}, 2, 2, 1, 1, {a, 1}, {b, 2}, 0, c, 2, {nullptr, true});
  CHECK((c[0] == 1 && c[1] == 0 && std::isnan(c[2]) && std::isnan(c[3])));
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
