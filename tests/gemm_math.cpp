#include "ventral/cuda/gemm.cuh"

#include "gemm_product.hpp"

// The math modes of float products: their errors against double, and what they do to numbers at the ends of float's range.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {
namespace {

/// d [16,8] = a [16,k] b [k,8] by one warp, three products of tf32 for one. `leave`: sums leave the tensor core after each step of 8, as in TensorTile.
template <bool leave>
VENTRAL_BOUNDED_KERNEL(32) void split_product_kernel(Index k, const float* a, const float* b, float* d) {
  const int g = thread_in_block() / 4, t = thread_in_block() % 4;
  float sum[4] = {};
  for (Index k0 = 0; k0 < k; k0 += 8) {
    detail::TensorOperand<float, true, 4> left;
    detail::TensorOperand<float, true, 2> right;
    for (int i = 0; i < 4; ++i) left.set(i, std::bit_cast<std::uint32_t>(a[(g + i % 2 * 8) * k + k0 + t + i / 2 * 4]));
    for (int i = 0; i < 2; ++i) right.set(i, std::bit_cast<std::uint32_t>(b[(k0 + t + i * 4) * 8 + g]));
    float part[4] = {};
    float(&to)[4] = leave ? part : sum;
    mma<float>(to, left.low, right.high);
    mma<float>(to, left.high, right.low);
    mma<float>(to, left.high, right.high);
    if (leave)
      for (int e = 0; e < 4; ++e) sum[e] += part[e];
  }
  for (int e = 0; e < 4; ++e) d[(g + e / 2 * 8) * 8 + 2 * t + e % 2] = sum[e];
}

}  // namespace
}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

using namespace ventral;

namespace {

struct Factors {
  Tensor<float> a, b;  ///< [m,k] and [k,n]
  Tensor<double> c;    ///< their product

  Factors(Index m, Index n, Index k, double mean)
      : a(test::random_tensor<float>({m, k}, 1, mean)), b(test::random_tensor<float>({k, n}, 2, mean)), c({m, n}) {
    for (Index i = 0; i < m; ++i)
      for (Index q = 0; q < k; ++q)
        for (Index j = 0; j < n; ++j) c.data()[i * n + j] += static_cast<double>(a.data()[i * k + q]) * static_cast<double>(b.data()[q * n + j]);
  }
};

template <Math math>
Tensor<float> product(const Tensor<float>& a, const Tensor<float>& b, const gpu::GemmTuning& tuning) {
  const Index m = a.dim(0), k = a.dim(1), n = b.dim(1);
  const auto left = a.to<Cuda>(), right = b.to<Cuda>();
  auto c = Tensor<float, Cuda>::full({m, n}, NAN);
  gpu::run_gemm<float, math>(Cuda::stream(), {m, n, k, 1, {left.data(), k}, {right.data(), n}, 0, c.data(), n}, tuning);
  return c.to<Cpu>();
}

/// Error over result, both rms. The kernel of exact math is the register tile, which sums all of k in one float, as tensor tiles do.
template <Math math>
double error(const Factors& f) {
  constexpr auto kernel = math == Math::exact ? gpu::GemmKernel::register_tiled : gpu::GemmKernel::tensor;
  return test::relative_error(product<math>(f.a, f.b, {.kernel = kernel}), f.c);
}

template <bool leave>
double split_error(const Factors& f) {
  const auto a = f.a.to<Cuda>(), b = f.b.to<Cuda>();
  Tensor<float, Cuda> d({16, 8});
  gpu::launch(Cuda::stream(), {.kernel = "split_product_kernel", .blocks = 1, .threads = 32}, gpu::split_product_kernel<leave>, f.a.dim(1), a.data(), b.data(),
              d.data());
  return test::relative_error(d.to<Cpu>(), f.c);
}

/// Whether tensor cores compute here; before 8.0 the modes are not chosen, and these tests have nothing to show.
bool tensor_cores() { return gpu::compute_capability() >= 80; }

/// a scaled by `scale`, times the unit matrix: what is left of each number.
template <Math math>
Tensor<float> kept(const Tensor<float>& row, float scale = 1) {
  Tensor<float> unit({row.dim(1), row.dim(1)});
  for (Index i = 0; i < unit.dim(0); ++i) unit.at(i, i) = scale;
  return product<math>(row, unit, {.kernel = gpu::GemmKernel::tensor});
}

}  // namespace

TEST_CASE("gemm on cuda: error of each math against double") {
  if (!tensor_cores()) return;
  for (const Index k : {64, 1024, 8192})
    for (const double mean : {0.0, 1.0}) {
      const Factors f(64, 64, k, mean);
      const double exact = error<Math::exact>(f), split = error<Math::tf32x3>(f), rounded = error<Math::tf32>(f);
      MESSAGE("k ", k, ", mean ", mean, ": exact ", exact, ", tf32x3 ", split, ", tf32 ", rounded);
      CHECK(split < 2 * exact);
      CHECK(rounded > 20 * split);
      CHECK(rounded < 1e-3);
    }
}

TEST_CASE("gemm on cuda: sums of tf32x3 that stay in the tensor core drift") {
  if (!tensor_cores()) return;
  for (const double mean : {0.0, 1.0}) {
    const Factors f(16, 8, 8192, mean);
    const double exact = error<Math::exact>(f), leaving = split_error<true>(f), staying = split_error<false>(f);
    MESSAGE("mean ", mean, ": exact ", exact, ", leaving ", leaving, ", staying ", staying);
    CHECK(leaving < 2 * exact);
    CHECK(staying > 2 * exact);
    CHECK(test::relative_error(product<Math::tf32x3>(f.a, f.b, {.kernel = gpu::GemmKernel::tensor}), f.c) < 2 * exact);
  }
}

TEST_CASE("gemm on cuda: tf32x3 in every layout, tile and cut") {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      for (const auto tile : {gpu::GemmTile::small, gpu::GemmTile::large})
        for (const Index parts : {1, 3}) {
          const Index m = 33, n = 70, k = 51;
          const Factors f(m, n, k, 0);
          Tensor<float> a({m * k}), b({k * n});
          for (Index i = 0; i < m; ++i)
            for (Index q = 0; q < k; ++q) a[ta ? q * m + i : i * k + q] = f.a.at(i, q);
          for (Index q = 0; q < k; ++q)
            for (Index j = 0; j < n; ++j) b[tb ? j * k + q : q * n + j] = f.b.at(q, j);
          const auto left = a.to<Cuda>(), right = b.to<Cuda>();
          auto c = Tensor<float, Cuda>::full({m, n}, NAN);
          gpu::run_gemm<float, Math::tf32x3>(Cuda::stream(), {m, n, k, 1, {left.data(), ta ? m : k, ta}, {right.data(), tb ? k : n, tb}, 0, c.data(), n},
                                             {.kernel = gpu::GemmKernel::tensor, .tile = tile, .parts = parts});
          CHECK(test::relative_error(c.to<Cpu>(), f.c) < 4e-7);
        }
}

TEST_CASE("gemm on cuda: large, small and special numbers in each math") {
  if (!tensor_cores()) return;
  const float limit = 0x1.FFEp127f, below = std::nextafter(limit, 0.0f);  // from `limit` on tf32 rounds to infinity
  const Tensor<float> row({1, 8}, {1, -0x1.FFFFFEp0f, 0x1p-100f, 0x1.000002p100f, below, -below, 0, 0x1.FFFFFEp-1f});
  const auto split = kept<Math::tf32x3>(row, 0.5f), rounded = kept<Math::tf32>(row, 0.5f);
  for (Index i = 0; i < 8; ++i) {
    const double x = static_cast<double>(row[i]) / 2;
    CHECK(std::abs(static_cast<double>(split[i]) - x) <= 0x1p-22 * std::abs(x));
    CHECK(std::abs(static_cast<double>(rounded[i]) - x) <= 0x1p-11 * std::abs(x));
  }
  const Tensor<float> tiny({1, 4}, {0x1p-114f * 1.2345678f, 0x1p-126f * 1.2345678f, 0x1p-130f * 1.2345678f, 0x1p-149f});
  const auto raised = kept<Math::tf32x3>(tiny, 0x1p100f);
  for (Index i = 0; i < 4; ++i) CHECK(std::abs(static_cast<double>(raised[i]) - static_cast<double>(tiny[i]) * 0x1p100) <= 0x1p-137 * 0x1p100);
  CHECK(raised[1] != 0);
  CHECK(raised[2] != 0);

  for (const float special : {NAN, INFINITY, -INFINITY, limit, -std::numeric_limits<float>::max()}) {  // a [2,2] b [2,2], with the special number in a
    INFO("special " << special);
    const Tensor<float> a({2, 2}, {special, 1, 2, 3}), b({2, 2}, {0.5f, 0.25f, 1, 1});
    const auto three = product<Math::tf32x3>(a, b, {.kernel = gpu::GemmKernel::tensor}), one = product<Math::tf32>(a, b, {.kernel = gpu::GemmKernel::tensor});
    for (Index j = 0; j < 2; ++j) {
      CHECK(std::isnan(three.at(0, j)));
      CHECK((std::isnan(special) ? std::isnan(one.at(0, j)) : one.at(0, j) == (special > 0 ? INFINITY : -INFINITY)));
      CHECK(three.at(1, j) == (j == 0 ? 4 : 3.5f));
      CHECK(one.at(1, j) == (j == 0 ? 4 : 3.5f));
    }
  }
}
