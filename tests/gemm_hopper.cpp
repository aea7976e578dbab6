#include "ventral/cuda/gemm.cuh"

#include "gemm_product.hpp"

using namespace ventral;
using namespace test::products;

// Hopper's kernel, on the emulator and on a Hopper GPU; elsewhere these products are those of GemmKernel::tensor.
namespace {

template <class T>
constexpr Math hopper_math = std::is_same_v<T, float> ? Math::tf32 : Math::exact;

/// Float has rows along k only.
template <class T>
void check_hopper(Product p, Index parts = 1) {
  if (sizeof(T) == 4) p.a_transposed = false, p.b_transposed = true;
  check_product<T, hopper_math<T>>(p, {.kernel = gpu::GemmKernel::hopper, .parts = parts});
}

/// Whether the kernel takes a product of numbers that lie so.
template <class T>
bool taken(Product p) {
  const Index a_stride = (p.a_transposed ? p.m : p.k) + p.padding, b_stride = (p.b_transposed ? p.k : p.n) + p.padding;
  const Tensor<T, Cuda> a({p.shift + (p.a_transposed ? p.k : p.m) * a_stride}), b({p.shift + (p.b_transposed ? p.n : p.k) * b_stride});
  Tensor<T, Cuda> c({std::max(p.m * p.n, Index{1})});
  const gpu::GemmProblem<T> problem{p.m, p.n, p.k, 1, {a.data() + p.shift, a_stride, p.a_transposed}, {b.data() + p.shift, b_stride, p.b_transposed}, 0, c.data(), p.n};
  return gpu::detail::run_hopper(Cuda::stream(), problem, 1);
}

}  // namespace

TEST_CASE_TEMPLATE("gemm on cuda: Hopper's kernel, sizes that are no multiple of anything, all layouts", T, bfloat16, half, float) {
  for (const bool a : {false, true})
    for (const bool b : {false, true}) {
      if (sizeof(T) == 4 && (a || !b)) continue;
      if (std::is_same_v<T, half> && a) continue;
      check_hopper<T>({.m = 1, .n = 1, .k = 1, .a_transposed = a, .b_transposed = b, .padding = 7});
      check_hopper<T>({.m = 136, .n = 264, .k = 72, .a_transposed = a, .b_transposed = b});
      check_hopper<T>({.m = 64, .n = 8, .k = 200, .a_transposed = a, .b_transposed = b, .padding = 8, .beta = 1});
      check_hopper<T>({.m = 16, .n = 40, .k = 8, .a_transposed = a, .b_transposed = b, .padding = 16, .shift = 8, .alpha = -2, .beta = 0.5f});
    }
  for (const Index n : {3, 130, 257}) check_hopper<T>({.m = 131, .n = n, .k = 88, .b_transposed = true});
}

TEST_CASE_TEMPLATE("gemm on cuda: Hopper's kernel, its end and parts of k", T, bfloat16, float) {
  for (const auto bias_of : {gpu::BiasOf::column, gpu::BiasOf::row})
    for (const auto activation : {gpu::GemmActivation::none, gpu::GemmActivation::relu})
      for (const Index parts : {1, 3})
        check_hopper<T>({.m = 70, .n = 36, .k = 160, .b_transposed = true, .beta = -1, .bias = true, .bias_of = bias_of, .activation = activation}, parts);
  for (const Index parts : {2, 5, 32}) check_hopper<T>({.m = 24, .n = 72, .k = 712, .a_transposed = true, .beta = 0.5f}, parts);
}

TEST_CASE("gemm on cuda: Hopper's kernel, more tiles than blocks and a ring that goes round") {
  check_hopper<bfloat16>({.m = 520, .n = 520, .k = 392});
  check_hopper<float>({.m = 1160, .n = 24, .k = 136});
}

TEST_CASE("gemm on cuda: what Hopper's kernel leaves to the others is right, too") {
  const Product odd[] = {{.m = 40, .n = 24, .k = 33, .b_transposed = true}, {.m = 40, .n = 24, .k = 32, .b_transposed = true, .shift = 1},
                         {.m = 40, .n = 24, .k = 0, .b_transposed = true, .beta = 1}, {.m = 0, .n = 24, .k = 8, .b_transposed = true}};
  for (const Product& p : odd) {
    check_hopper<bfloat16>(p);
    check_hopper<float>(p);
    if (p.m > 0) CHECK(!taken<bfloat16>(p));
  }
  check_product<float, Math::tf32>({.m = 40, .n = 24, .k = 32}, {.kernel = gpu::GemmKernel::hopper});
  check_product<float, Math::tf32x3>({.m = 40, .n = 24, .k = 32, .b_transposed = true}, {.kernel = gpu::GemmKernel::hopper});
  check_product<float>({.m = 40, .n = 24, .k = 32, .b_transposed = true}, {.kernel = gpu::GemmKernel::hopper});
  check_product<double>({.m = 40, .n = 24, .k = 32, .b_transposed = true}, {.kernel = gpu::GemmKernel::hopper});
  CHECK(!taken<float>({.m = 40, .n = 24, .k = 32}));
  if (!gpu::runs_on_hopper(gpu::gemm_hopper_kernel<bfloat16, true, true>)) return;
  for (const bool a : {false, true})
    for (const bool b : {false, true}) CHECK(taken<bfloat16>({.m = 40, .n = 24, .k = 32, .a_transposed = a, .b_transposed = b}));
  CHECK(taken<float>({.m = 40, .n = 24, .k = 32, .b_transposed = true}));
}
