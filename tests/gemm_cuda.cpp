#include "ventral/cuda/gemm.cuh"

#include "gemm_product.hpp"
#include "ventral/cpu/gemm.hpp"

using namespace ventral;
using namespace test::products;

namespace {

/// `count` products of awkward extents, drawn from a seed: shapes, transposes, paddings, shifts, factors. First all pairs of rows and columns.
template <class T, Math math = Math::exact>
void check_shapes(const gpu::GemmTuning& tuning, Index count) {
  constexpr Index extents[] = {0, 1, 2, 3, 7, 16, 17, 31, 33, 64, 65, 100}, paddings[] = {0, 4, 8, 1};
  constexpr float alphas[] = {1, 1, -2}, betas[] = {0, 1, 0.5f};
  Random random(static_cast<std::uint64_t>(tuning.kernel) + 10 * sizeof(T));
  for (Index i = 0; i < count; ++i) {
    const Index pair = count >= 144 ? i % 144 : random.below(144);
    Product p{.m = extents[pair / 12], .n = extents[pair % 12], .k = extents[random.below(12)]};
    p.a_transposed = random.below(2) == 1, p.b_transposed = random.below(2) == 1;
    p.padding = paddings[random.below(4)], p.shift = random.below(4) == 0 ? 1 : 0;
    p.alpha = alphas[random.below(3)], p.beta = betas[random.below(3)];
    check_product<T, math>(p, tuning);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("gemm on cuda: every kernel, awkward shapes", T, float, double, bfloat16, half) {
  using K = gpu::GemmKernel;
  const Index count = std::is_same_v<T, float> ? 288 : 72;
  check_shapes<T>({.kernel = K::naive}, count);
  check_shapes<T>({.kernel = K::tiled}, count);
  check_shapes<T>({.kernel = K::register_tiled}, count);
  if (sizeof(T) == 4) check_shapes<T>({.kernel = K::register_tiled, .tile = gpu::GemmTile::huge}, 36);
  if (sizeof(T) == 2) check_shapes<T>({.kernel = K::tensor}, count);
}

TEST_CASE("gemm on cuda: tf32 where asked, and only there") {
  constexpr auto tf32 = Math::tf32;
  check_shapes<float, tf32>({.kernel = gpu::GemmKernel::tensor}, 72);
  const Product p{.m = 33, .n = 17, .k = 40};
  CHECK(product_error<float, tf32>(p, {.kernel = gpu::GemmKernel::tensor}) > 0.01);
  CHECK(product_error<float>(p, {.kernel = gpu::GemmKernel::tensor}) < 1);  // exact: tensor cores are not used
}

TEST_CASE_TEMPLATE("gemm on cuda: large and huge tiles, all transposes, with and without vectors", T, float, double, bfloat16) {
  for (const bool a : {false, true})
    for (const bool b : {false, true})
      for (const Index shift : {0, 1}) {
        const Product p{.m = 132, .n = 136, .k = 48, .a_transposed = a, .b_transposed = b, .padding = 8, .shift = shift, .beta = 1};
        check_product<T>(p, {.kernel = gpu::GemmKernel::register_tiled, .tile = gpu::GemmTile::large});
        if (sizeof(T) == 2) check_product<T>(p, {.kernel = gpu::GemmKernel::tensor, .tile = gpu::GemmTile::large});
        for (const Index parts : {1, 3}) check_product<T>(p, {.kernel = gpu::GemmKernel::register_tiled, .tile = gpu::GemmTile::huge, .parts = parts});
      }
}

TEST_CASE("gemm on cuda: more rows of tiles than a band has") {
  for (const auto kernel : {gpu::GemmKernel::tiled, gpu::GemmKernel::register_tiled})
    for (const Index parts : {1, 2}) check_product<float>({.m = 581, .n = 130, .k = 20}, {.kernel = kernel, .parts = parts});
  check_product<float>({.m = 1100, .n = 260, .k = 9}, {.kernel = gpu::GemmKernel::register_tiled, .tile = gpu::GemmTile::huge});
}

TEST_CASE("gemm on cuda: large tiles of tf32") {
  for (const bool t : {false, true})
    check_product<float, Math::tf32>({.m = 132, .n = 136, .k = 48, .a_transposed = t, .b_transposed = t, .padding = 8},
                                               {.kernel = gpu::GemmKernel::tensor, .tile = gpu::GemmTile::large});
}

TEST_CASE_TEMPLATE("gemm on cuda: bias of columns and rows, and relu, in every kernel", T, float, double, half) {
  using K = gpu::GemmKernel;
  for (const K kernel : {K::naive, K::tiled, K::register_tiled, K::tensor})
    for (const auto bias_of : {gpu::BiasOf::column, gpu::BiasOf::row})
      for (const auto activation : {gpu::GemmActivation::none, gpu::GemmActivation::relu})
        for (const Index parts : {1, 3})
          check_product<T>({.m = 19, .n = 36, .k = 70, .beta = -1, .bias = true, .bias_of = bias_of, .activation = activation},
                           {.kernel = kernel, .parts = kernel == K::naive ? 1 : parts});
}

TEST_CASE_TEMPLATE("gemm on cuda: parts of k", T, float, double, bfloat16) {
  using K = gpu::GemmKernel;
  for (const K kernel : {K::tiled, K::register_tiled, K::tensor})
    for (const Index k : {1, 31, 64, 100, 129})
      for (const Index parts : {2, 5, 32})
        check_product<T>({.m = 9, .n = 20, .k = k, .a_transposed = k % 2 == 0, .b_transposed = true, .padding = 8, .beta = 0.5f},
                         {.kernel = kernel, .parts = parts});
}

TEST_CASE("gemm on cuda: the rule follows shape, type and generation") {
  using K = gpu::GemmKernel;
  constexpr auto tf32 = Math::tf32;
  CHECK(gpu::gemm_tuning<float>(512, 512, 512, 90).kernel == K::register_tiled);
  CHECK(gpu::gemm_tuning<float, tf32>(512, 512, 512, 90).kernel == K::tensor);
  CHECK(gpu::gemm_tuning<float, tf32>(512, 512, 512, 75).kernel == K::register_tiled);
  CHECK(gpu::gemm_tuning<double, tf32>(512, 512, 512, 90).kernel == K::register_tiled);
  CHECK(gpu::gemm_tuning<bfloat16>(512, 512, 512, 80).kernel == K::tensor);
  CHECK(gpu::gemm_tuning<half>(512, 512, 512, 75).kernel == K::tiled);
  CHECK(gpu::gemm_tuning<float>(64, 10, 84, 90).kernel == K::tiled);
  CHECK(gpu::gemm_tuning<float>(4096, 4096, 64, 90).tile == gpu::GemmTile::large);
  CHECK(gpu::gemm_tuning<float>(1 << 16, 1 << 16, 64, 90).tile == gpu::GemmTile::large);  // never huge yet
  CHECK(gpu::gemm_tuning<float>(4096, 4096, 4096, 90).parts == 1);
  CHECK(gpu::gemm_tuning<float>(64, 120, 100, 90).parts == 1);
  CHECK(gpu::gemm_tuning<float>(64, 120, 400, 90).parts == 3);
  CHECK(gpu::gemm_tuning<float>(64, 64, 1 << 20, 90).parts == 32);
  CHECK(gpu::gemm_tuning<float>(0, 64, 400, 90).parts == 1);
}

TEST_CASE_TEMPLATE("gemm on cuda: as on the CPU, in parts of k too", T, float, double) {
  for (const Index k : {40, 300}) {
    const Index m = 20, n = 50;
    const auto a = test::random_tensor<T>({m, k}, 1), b = test::random_tensor<T>({n, k}, 2);
    auto c = test::random_tensor<T>({m, n}, 3);
    const auto device_a = a.template to<Cuda>(), device_b = b.template to<Cuda>();
    auto device_c = c.template to<Cuda>();
    gemm<T>(cpu::Stream{}, m, n, k, T(2), {a.data(), k}, {b.data(), k, true}, T(1), c.data(), n);
    gemm<T>(Cuda::stream(), m, n, k, T(2), {device_a.data(), k}, {device_b.data(), k, true}, T(1), device_c.data(), n);
    CHECK(test::relative_error(device_c.template to<Cpu>(), c) < (sizeof(T) == 4 ? 1e-6 : 1e-14));
  }
}

TEST_CASE_TEMPLATE("gemm on cuda: the same bits every time", T, float, bfloat16) {
  using K = gpu::GemmKernel;
  const Index m = 70, n = 40, k = 200;
  const auto a = test::random_tensor<T, Cuda>({m, k}, 1), b = test::random_tensor<T, Cuda>({k, n}, 2);
  for (const K kernel : {K::naive, K::tiled, K::register_tiled, K::tensor}) {
    Tensor<T> c[2];
    for (Tensor<T>& result : c) {
      Tensor<T, Cuda> device_c({m, n});
      gpu::run_gemm<T>(Cuda::stream(), {m, n, k, 1, {a.data(), k}, {b.data(), n}, 0, device_c.data(), n},
                       {.kernel = kernel, .parts = kernel == K::naive ? 1 : 4});
      result = device_c.template to<Cpu>();
    }
    CHECK(std::memcmp(c[0].data(), c[1].data(), static_cast<std::size_t>(m * n) * sizeof(T)) == 0);
  }
}

TEST_CASE("gemm on cuda: NaN and infinity pass through, relu keeps NaN") {
  Tensor<float> a({2, 2}, {1, 0, 0, 1}), b({2, 3}, {NAN, 1, -1, INFINITY, 2, -3});
  const auto device_a = a.to<Cuda>(), device_b = b.to<Cuda>();
  Tensor<float, Cuda> device_c({2, 3});
  for (const auto kernel : {gpu::GemmKernel::naive, gpu::GemmKernel::tiled, gpu::GemmKernel::register_tiled}) {
    gpu::run_gemm<float>(Cuda::stream(),
                         {1, 3, 1, 1, {device_a.data(), 2}, {device_b.data(), 3}, 0, device_c.data(), 3, {.activation = gpu::GemmActivation::relu}},
                         {.kernel = kernel});
    const auto c = device_c.to<Cpu>();
    CHECK(std::isnan(c[0]));
    CHECK(c[1] == 1);
    CHECK(c[2] == 0);
  }
}
