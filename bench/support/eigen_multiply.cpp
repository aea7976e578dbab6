#include "support/eigen_multiply.hpp"

#include <Eigen/Core>

#define VENTRAL_TEXT_OF(x) #x
#define VENTRAL_TEXT(x) VENTRAL_TEXT_OF(x)

namespace bench::eigen {

namespace {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class T>
void product(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, const T* b, bool b_transposed, T* c) {
  const Eigen::Map<const Matrix<T>> left(a, m, k);
  Eigen::Map<Matrix<T>> result(c, m, n);
  if (b_transposed) result.noalias() = left * Eigen::Map<const Matrix<T>>(b, n, k).transpose();
  else result.noalias() = left * Eigen::Map<const Matrix<T>>(b, k, n);
}

}  // namespace

void multiply(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b, bool b_transposed, float* c) { product(m, n, k, a, b, b_transposed, c); }
void multiply(std::int64_t m, std::int64_t n, std::int64_t k, const double* a, const double* b, bool b_transposed, double* c) { product(m, n, k, a, b, b_transposed, c); }

const char* eigen_version() {
#if defined(EIGEN_VECTORIZE_AVX512)
#define VENTRAL_EIGEN_LEVEL " avx512"
#elif defined(EIGEN_VECTORIZE_AVX2)
#define VENTRAL_EIGEN_LEVEL " avx2"
#else
#define VENTRAL_EIGEN_LEVEL ""
#endif
  return "Eigen " VENTRAL_TEXT(EIGEN_WORLD_VERSION) "." VENTRAL_TEXT(EIGEN_MAJOR_VERSION) "." VENTRAL_TEXT(EIGEN_MINOR_VERSION) VENTRAL_EIGEN_LEVEL;
}
void set_eigen_threads(int threads) { Eigen::setNbThreads(threads); }

}  // namespace bench::eigen
