#include "support/eigen_multiply.hpp"
#include "support/gemm_contender.hpp"

namespace bench::eigen {

namespace {

template <class T>
std::unique_ptr<Contender> product(In<T> a, In<T> b, bool b_transposed) {
  return std::make_unique<GemmContender<T>>(
      "Eigen", [](const Product<T>& p) { multiply(p.m, p.n, p.k, p.a, p.b, p.b_transposed, p.c); }, a, b, b_transposed);
}

}  // namespace

std::string version() { return eigen_version(); }
void prepare(int threads) { set_eigen_threads(threads); }
std::unique_ptr<Contender> gemm(In<float> a, In<float> b, bool b_transposed) { return product<float>(a, b, b_transposed); }
std::unique_ptr<Contender> gemm(In<double> a, In<double> b, bool b_transposed) { return product<double>(a, b, b_transposed); }

}  // namespace bench::eigen
