// Times the tunings of each convolution of bench_cuda_conv2d by the product's own kernels, and prints the best as conv2d_plan.cuh writes one, beside what the
// rule picks: `bench_sweep_conv2d [TEXT]`, only rows whose name contains TEXT, as in alexconv2/forward/float-tf32. Runs are replayed from a graph on one set of
// arrays.
#include <cstdio>
#include <string>

#include "cuda/conv2d_places.hpp"
#include "cuda/data.hpp"
#include "cuda/sweep.hpp"
#include "support/layer_contender.hpp"
#include "ventral/cuda/conv2d_library.cuh"

namespace bench::device {

namespace {

using gpu::ConvKernel, gpu::ConvTile, gpu::ConvTuning;
using ventral::Math;

std::string text(const ConvTuning& t) {
  constexpr const char *kernels[] = {"automatic", "direct", "implicit_gemm", "hopper", "winograd"}, *tiles[] = {"automatic", "low_16x256", "square_64x64", "square_128x128"};
  const ConvTuning usual;
  std::string all = ventral::concat("{.kernel = ConvKernel::", kernels[static_cast<int>(t.kernel)]);
  if (t.tile != usual.tile) all += ventral::concat(", .tile = ConvTile::", tiles[static_cast<int>(t.tile)]);
  if (t.split_blocks != usual.split_blocks) all += ventral::concat(", .split_blocks = ", t.split_blocks);
  if (t.split_pixels != usual.split_pixels) all += ventral::concat(", .split_pixels = ", t.split_pixels);
  return all + "}";
}

/// All that are worth a try: a thread for each pixel only where there are few rows or weights.
std::vector<ConvTuning> candidates(const Place& p, Part part, bool exact) {
  constexpr ConvTile tiles[] = {ConvTile::low_16x256, ConvTile::square_64x64, ConvTile::square_128x128};
  std::vector<ConvTuning> all;
  if (part == Part::weights) {
    constexpr struct {
      Index blocks, pixels;
    } splits[] = {{264, 1024}, {528, 512}, {528, 1024}, {528, 4096}, {1056, 1024}};
    for (const auto [blocks, pixels] : splits) {
      if (p.w().size() / p.groups <= 8192) all.push_back({.kernel = ConvKernel::direct, .split_blocks = blocks, .split_pixels = pixels});
      for (const ConvTile tile : tiles) all.push_back({.kernel = ConvKernel::implicit_gemm, .tile = tile, .split_blocks = blocks, .split_pixels = pixels});
    }
    return all;
  }
  const Index rows = (part == Part::data ? p.in : p.out) / p.groups;
  if (rows <= 16) all.push_back({.kernel = ConvKernel::direct});
  for (const ConvTile tile : tiles) all.push_back({.kernel = ConvKernel::implicit_gemm, .tile = tile});
  if (!exact && p.groups == 1) all.push_back({.kernel = ConvKernel::hopper});  // on other GPUs the same as implicit_gemm
  if (exact && p.kernel == 3 && p.stride == 1 && p.groups == 1) all.push_back({.kernel = ConvKernel::winograd});
  return all;
}

template <class T>
void sweep(const Place& p, Part part, Math math, const std::string& only) {
  const char* const pass = part == Part::forward ? "forward" : part == Part::data ? "data" : "weights";
  const std::string name = ventral::concat(p.name, "/", pass, "/", type_name<T>, suffix_of(math));
  if (name.find(only) == std::string::npos) return;
  const typename Cuda::UseMath use(math);
  const ventral::WindowPlan plan = ventral::place({p.kernel, p.stride, p.padding}, p.size, p.size, "conv2d");
  Tensor<T, Cuda> x = random_numbers<T>(p.x(), 1).template to<Cuda>(), w = random_numbers<T>(p.w(), 2).template to<Cuda>(),
                  y = random_numbers<T>(p.y(), 3).template to<Cuda>();  // what is asked for is written over
  const auto time = [&](const ConvTuning& t) {
    return seconds_of([&] {
      if (part == Part::forward) gpu::conv2d_forward_tuned<T>(Cuda::stream(), t, plan, p.groups, x, w, {}, y, {});
      if (part == Part::data) gpu::conv2d_backward_input_tuned<T>(Cuda::stream(), t, plan, p.groups, w, y, x);
      if (part == Part::weights) gpu::conv2d_backward_weight_tuned<T>(Cuda::stream(), t, plan, p.groups, x, y, w, nullptr);
    });
  };
  const Swept<ConvTuning> found({}, candidates(p, part, sizeof(T) == 4 && math == Math::exact), time);
  std::printf("  %s: %s,  // %.2f us; the rule's %.2f us, %.2fx\n", name.c_str(), text(found.best).c_str(), found.least * 1e6, found.ruled * 1e6,
              found.ruled / found.least);
  std::fflush(stdout);
}

}  // namespace

}  // namespace bench::device

int main(int argc, char** argv) {
  using namespace bench::device;
  const std::string only = argc > 1 ? argv[1] : "";
  return run_sweep("sweep_conv2d", [&] {
    for (const auto part : {bench::Part::forward, bench::Part::data, bench::Part::weights})
      for (const Place& place : places) {
        sweep<float>(place, part, Math::exact, only);
        if (!place.on_tensor_cores) continue;
        sweep<float>(place, part, Math::tf32x3, only);
        sweep<float>(place, part, Math::tf32, only);
        sweep<bfloat16>(place, part, Math::exact, only);
      }
  });
}
