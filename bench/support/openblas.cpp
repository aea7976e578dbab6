#include "support/gemm_contender.hpp"

extern "C" {  // OpenBLAS's own names, and BLAS's Fortran ones, declared here so that no particular header is needed
void openblas_set_num_threads(int threads);
int openblas_get_parallel();
char* openblas_get_corename();
void sgemm_(const char* trans_a, const char* trans_b, const int* m, const int* n, const int* k, const float* alpha, const float* a, const int* lda, const float* b,
            const int* ldb, const float* beta, float* c, const int* ldc);
void dgemm_(const char* trans_a, const char* trans_b, const int* m, const int* n, const int* k, const double* alpha, const double* a, const int* lda,
            const double* b, const int* ldb, const double* beta, double* c, const int* ldc);
}

namespace bench::openblas {

namespace {

/// BLAS counts by columns: c^T = b^T a^T.
template <class T, auto gemm_function>
void multiply(const Product<T>& p) {
  const int m = static_cast<int>(p.m), n = static_cast<int>(p.n), k = static_cast<int>(p.k), ldb = p.b_transposed ? k : n;
  const T one = 1, zero = 0;
  gemm_function(p.b_transposed ? "T" : "N", "N", &n, &m, &k, &one, p.b, &ldb, p.a, &k, &zero, p.c, &n);
}

}  // namespace

std::string version() {
  const int kind = openblas_get_parallel();
  return std::string("OpenBLAS ") + (kind == 2 ? "OpenMP" : kind == 1 ? "pthread" : "sequential") + " " + openblas_get_corename();
}
void prepare(int threads) { openblas_set_num_threads(threads); }

std::unique_ptr<Contender> gemm(In<float> a, In<float> b, bool b_transposed) {
  return std::make_unique<GemmContender<float>>("OpenBLAS", &multiply<float, sgemm_>, a, b, b_transposed);
}
std::unique_ptr<Contender> gemm(In<double> a, In<double> b, bool b_transposed) {
  return std::make_unique<GemmContender<double>>("OpenBLAS", &multiply<double, dgemm_>, a, b, b_transposed);
}

}  // namespace bench::openblas
