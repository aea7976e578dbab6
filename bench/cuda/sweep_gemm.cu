// Times every tuning of a product, on the product's own run_gemm, and prints the best of each shape as gemm_tuning.cuh writes one, beside what the rule picks:
// `bench_sweep_gemm [TEXT]`, only types whose name contains TEXT. Runs are replayed from a graph on one set of arrays.
#include <cstdio>
#include <string>

#include "cuda/data.hpp"
#include "cuda/sweep.hpp"
#include "ventral/cuda/gemm.cuh"

namespace bench::device {

namespace {

using gpu::GemmKernel, gpu::GemmTile, gpu::GemmTuning;
using ventral::Math;

struct Sizes {
  Index m, n, k;
};
const Sizes shapes[] = {{8192, 8192, 8192}, {4096, 4096, 4096}, {2048, 2048, 2048}, {1024, 1024, 1024}, {512, 512, 512}, {256, 256, 256}, {64, 4096, 9216},
                        {64, 120, 400},     {120, 400, 64},     {16, 4096, 4096},   {1, 1000, 4096},    {96, 363, 100000}, {256, 1152, 25088}};

std::string text(const GemmTuning& t) {
  constexpr const char* kernels[] = {"naive", "tiled", "register_tiled", "tensor", "hopper"};
  return ventral::concat("{GemmKernel::", kernels[static_cast<int>(t.kernel)], ", GemmTile::", t.tile == GemmTile::large ? "large" : "small", ", ", t.parts, "}");
}

/// All that are worth a try: parts of k that are at least 64 deep; no naive one.
template <class T, Math math>
std::vector<GemmTuning> candidates(const Sizes& s) {
  std::vector<GemmTuning> all;
  constexpr auto fast = gpu::tensor_multiplies<T, math> ? GemmKernel::tensor : GemmKernel::register_tiled;
  if (gpu::tensor_multiplies<T, math> && math != Math::tf32x3) all.push_back({GemmKernel::hopper});  // on other GPUs the same as tensor
  for (Index parts = 1; parts <= 64 && (parts == 1 || s.k / parts >= 64); parts *= 2) {
    if (s.m * s.n * parts > Index{1} << 28) break;
    all.push_back({fast, GemmTile::small, parts}), all.push_back({fast, GemmTile::large, parts});
    if (s.m * s.n * s.k < Index{1} << 31) all.push_back({GemmKernel::tiled, GemmTile::small, parts});
  }
  return all;
}

template <class T, Math math>
void sweep(const char* name) {
  std::printf("%s, c = a b^T: the best tuning of each {m, n, k}, its time and that of the rule's\n", name);
  for (const Sizes& s : shapes) {
    Tensor<T, Cuda> a = random_numbers<T>({s.m, s.k}, 1).template to<Cuda>(), b = random_numbers<T>({s.n, s.k}, 2).template to<Cuda>(), c({s.m, s.n});
    const gpu::GemmProblem<T> problem{s.m, s.n, s.k, 1, {a.data(), s.k}, {b.data(), s.k, true}, 0, c.data(), s.n};
    const auto time = [&](const GemmTuning& t) { return seconds_of([&] { gpu::run_gemm<T, math>(Cuda::stream(), problem, t); }); };
    const GemmTuning ruled = gpu::gemm_tuning<T, math>(s.m, s.n, s.k);
    const Swept<GemmTuning> found(ruled, candidates<T, math>(s), time);
    std::printf("  {%lld, %lld, %lld}: %s,  // %.2f us; the rule's %s %.2f us, %.2fx\n", static_cast<long long>(s.m), static_cast<long long>(s.n),
                static_cast<long long>(s.k), text(found.best).c_str(), found.least * 1e6, text(ruled).c_str(), found.ruled * 1e6, found.ruled / found.least);
    std::fflush(stdout);
  }
}

}  // namespace

}  // namespace bench::device

int main(int argc, char** argv) {
  using namespace bench::device;
  const std::string only = argc > 1 ? argv[1] : "";
  return run_sweep("sweep_gemm", [&] {
    const auto wanted = [&](const char* name) { return std::string(name).find(only) != std::string::npos; };
    if (wanted("float")) sweep<float, Math::exact>("float");
    if (wanted("float-tf32x3")) sweep<float, Math::tf32x3>("float-tf32x3");
    if (wanted("float-tf32")) sweep<float, Math::tf32>("float-tf32");
    if (wanted("bfloat16")) sweep<bfloat16, Math::exact>("bfloat16");
  });
}
