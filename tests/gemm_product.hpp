#pragma once
/// A product on the device beside one in double, for the tests of all its kernels.
#include "support.hpp"
#include "ventral/cuda/gemm.cuh"

// Compiled once, by gemm_product.cpp.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {
#define TEST_PRODUCTS(extern_or_not)                                                                    \
  extern_or_not template decltype(run_gemm<float, Math::exact>) run_gemm<float, Math::exact>;         \
  extern_or_not template decltype(run_gemm<float, Math::tf32>) run_gemm<float, Math::tf32>;           \
  extern_or_not template decltype(run_gemm<float, Math::tf32x3>) run_gemm<float, Math::tf32x3>;       \
  extern_or_not template decltype(run_gemm<double, Math::exact>) run_gemm<double, Math::exact>;       \
  extern_or_not template decltype(run_gemm<bfloat16, Math::exact>) run_gemm<bfloat16, Math::exact>;   \
  extern_or_not template decltype(run_gemm<half, Math::exact>) run_gemm<half, Math::exact>;
TEST_PRODUCTS(extern)
}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

namespace test::products {

using namespace ventral;

/// A product to check: shape, layout, what it is scaled by, and what is done at its end.
struct Product {
  Index m, n, k;
  bool a_transposed = false, b_transposed = false;
  Index padding = 0;  ///< numbers after each row of all three matrices
  Index shift = 0;    ///< numbers before the first of each: vectors do not fit when it is odd
  float alpha = 1, beta = 0;
  bool bias = false;
  gpu::BiasOf bias_of = gpu::BiasOf::column;
  gpu::GemmActivation activation = gpu::GemmActivation::none;
};

inline std::string to_string(const Product& p) {
  return concat(p.m, " x ", p.n, " x ", p.k, p.a_transposed ? ", a transposed" : "", p.b_transposed ? ", b transposed" : "", ", padding ", p.padding,
                ", shift ", p.shift, ", alpha ", p.alpha, ", beta ", p.beta);
}

template <class T>
double number(const Tensor<T>& x, Index i) {
  return static_cast<double>(static_cast<Compute<T>>(x[i]));
}

/// Runs a product and returns all of c with what lies around it. What c holds at first is NaN when beta is 0.
template <class T, Math math>
Tensor<T> run_product(const Product& p, const gpu::GemmTuning& tuning, const Tensor<T>& a, const Tensor<T>& b, const Tensor<T>& c,
                      const Tensor<T>& bias, Index a_stride, Index b_stride) {
  const auto device_a = a.template to<Cuda>(), device_b = b.template to<Cuda>(), device_bias = bias.template to<Cuda>();
  auto device_c = c.template to<Cuda>();
  const gpu::Matrix<T> left{device_a.data() + p.shift, a_stride, p.a_transposed}, right{device_b.data() + p.shift, b_stride, p.b_transposed};
  const gpu::GemmEpilogue<T> epilogue{p.bias ? device_bias.data() : nullptr, p.bias_of, p.activation};
  T* const product = device_c.data() + p.shift;
  gpu::run_gemm<T, math>(Cuda::stream(), {p.m, p.n, p.k, p.alpha, left, right, p.beta, product, p.n + p.padding, epilogue}, tuning);
  return device_c.template to<Cpu>();
}

/// The largest error of an element, in units of what its type and the rounding of the sum allow; infinite when anything outside c was written.
template <class T, Math math = Math::exact>
double product_error(const Product& p, const gpu::GemmTuning& tuning) {
  const Index a_stride = (p.a_transposed ? p.m : p.k) + p.padding, b_stride = (p.b_transposed ? p.k : p.n) + p.padding, c_stride = p.n + p.padding;
  const auto a = test::random_tensor<T>({p.shift + (p.a_transposed ? p.k : p.m) * a_stride}, 1),
             b = test::random_tensor<T>({p.shift + (p.b_transposed ? p.n : p.k) * b_stride}, 2);
  const auto bias = test::random_tensor<T>({std::max(p.m, p.n)}, 4);
  auto c = test::random_tensor<T>({p.shift + p.m * c_stride}, 3);
  if (p.beta == 0)
    for (Index i = 0; i < p.m; ++i)
      for (Index j = 0; j < p.n; ++j) c[p.shift + i * c_stride + j] = static_cast<T>(NAN);
  const auto got = run_product<T, math>(p, tuning, a, b, c, bias, a_stride, b_stride);
  const double unit = std::is_same_v<T, half> ? 0x1p-10 : std::is_same_v<T, bfloat16> ? 0x1p-7 : 0;
  const double sum_unit = std::is_same_v<T, double> ? 1e-14 : math == Math::tf32 ? 4e-3 : 1e-5;
  double error = 0;
  for (Index e = 0; e < got.size(); ++e) {
    const Index i = e < p.shift || c_stride == 0 ? -1 : (e - p.shift) / c_stride, j = i < 0 ? 0 : (e - p.shift) % c_stride;
    if (i < 0 || j >= p.n) {
      if (number(got, e) != number(c, e)) return INFINITY;
      continue;
    }
    double sum = 0;
    for (Index q = 0; q < p.k; ++q)
      sum += number(a, p.shift + (p.a_transposed ? q * a_stride + i : i * a_stride + q)) *
             number(b, p.shift + (p.b_transposed ? j * b_stride + q : q * b_stride + j));
    double expected = static_cast<double>(p.alpha) * sum;
    if (p.beta != 0) expected += static_cast<double>(p.beta) * number(c, e);
    if (p.bias) expected += number(bias, p.bias_of == gpu::BiasOf::column ? j : i);
    if (p.activation == gpu::GemmActivation::relu) expected = std::max(expected, 0.0);
    const double terms = std::sqrt(static_cast<double>(p.k) + 1) * std::max(1.0, std::abs(static_cast<double>(p.alpha)));
    const double scale = unit * std::abs(expected) + sum_unit * terms;
    const double difference = std::abs(number(got, e) - expected) / scale;
    if (!std::isfinite(difference)) return INFINITY;
    error = std::max(error, difference);
  }
  return error;
}

template <class T, Math math = Math::exact>
void check_product(const Product& p, const gpu::GemmTuning& tuning) {
  INFO(to_string(p) << "; kernel " << static_cast<int>(tuning.kernel) << ", tile " << static_cast<int>(tuning.tile) << ", parts " << tuning.parts);
  CHECK(product_error<T, math>(p, tuning) < 1);
}

}  // namespace test::products
