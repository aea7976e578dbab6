#pragma once
#include "ventral/cuda/gemm_hopper.cuh"
#include "ventral/cuda/gemm_simple.cuh"
#include "ventral/cuda/gemm_tuning.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// Cuts k into parts of whole slabs and finds out which rows can be read in vectors.
template <class T>
GemmTask<T> cut_gemm(const GemmProblem<T>& p, Index parts, Index slab, int column_run) {
  constexpr Index vector = 16 / sizeof(T);
  const Index depth = std::max(slab, ((p.k + parts - 1) / parts + slab - 1) / slab * slab);
  const auto readable = [](const Matrix<T>& matrix, Index run) { return vectors_fit(matrix.data, matrix.stride) && run % vector == 0; };
  const Index bytes = column_run * static_cast<Index>(sizeof(T));
  const bool a = readable(p.a, p.a.transposed ? p.m : p.k), b = readable(p.b, p.b.transposed ? p.k : p.n);
  const bool c = reinterpret_cast<std::uintptr_t>(p.c) % static_cast<std::uintptr_t>(bytes) == 0 && p.c_stride % column_run == 0;
  return {p, std::max(Index{1}, (p.k + depth - 1) / depth), depth, nullptr, a, b, c};
}

/// Runs a task by run(task), with room for partial sums and a second pass when there are several parts.
template <class T, class Run>
void run_task(Stream stream, GemmTask<T> task, Run run) {
  const GemmProblem<T>& p = task.problem;
  auto partial = Tensor<Compute<T>, Space>::uninitialized({task.parts > 1 ? task.parts * p.m * p.n : 0});
  task.partial = partial.data();
  run(task);
  if (task.parts > 1)
    launch(stream, {.kernel = "gemm_sum_parts_kernel", .blocks = blocks_for(p.m * p.n), .shape = {p.m, p.n, p.k}}, gemm_sum_parts_kernel<T>, task);
}

/// Launches a kernel that takes a task, a block for each tile and part.
template <class T>
void launch_gemm(Stream stream, const char* name, const GemmTask<T>& all, Index tiles, Extent threads, std::size_t shared, void (*kernel)(GemmTask<T>)) {
  run_task(stream, all, [&](const GemmTask<T>& task) {
    const GemmProblem<T>& p = task.problem;
    launch(stream, {.kernel = name, .blocks = tiles * task.parts, .threads = threads, .shared = shared, .shape = {p.m, p.n, p.k}}, kernel, task);
  });
}

/// The product by gemm_hopper_kernel. False, and nothing done, when the code that runs is not for Hopper.
template <class T, bool a_extent, bool b_extent>
bool run_hopper(Stream stream, const GemmProblem<T>& p, Index parts) {
  using Tile = WarpgroupTile<T, a_extent, b_extent>;
  const auto kernel = gemm_hopper_kernel<T, a_extent, b_extent>;
  if (!runs_on_hopper(kernel)) return false;
  const auto map = [](const Matrix<T>& x, Index rows, Index columns, int box) {
    return x.transposed ? tensor_map(x.data, columns, rows, x.stride, box) : tensor_map(x.data, rows, columns, x.stride, box);
  };
  const TensorMap a = map(p.a, p.m, p.k, Tile::a_box), b = map(p.b, p.k, p.n, Tile::b_box);
  const Index tiles = ((p.m + Tile::rows - 1) / Tile::rows) * ((p.n + Tile::columns - 1) / Tile::columns);
  run_task(stream, cut_gemm(p, parts, Tile::depth, Tile::column_run), [&](const GemmTask<T>& task) {
    const Index works = tiles * task.parts;
    launch(stream, {.kernel = "gemm_hopper_kernel", .blocks = std::min(works, multiprocessors()), .threads = hopper_threads, .shared = hopper_shared_bytes<Tile>,
                    .shape = {p.m, p.n, p.k}},
           kernel, HopperGemm<T, a_extent, b_extent>{a, b, task, static_cast<unsigned>(works)});
  });
  return true;
}

/// The same, by the layout of a and b. False as well for what the copy engine or tf32, which wants rows along k, cannot do.
template <class T>
bool run_hopper(Stream stream, const GemmProblem<T>& p, Index parts) {
  const auto fits = [](const Matrix<T>& x, Index rows, Index columns) {
    return tensor_map_fits(x.data, x.transposed ? columns : rows, x.transposed ? rows : columns, x.stride);
  };
  if (!fits(p.a, p.m, p.k) || !fits(p.b, p.k, p.n)) return false;
  if (!p.a.transposed && p.b.transposed) return run_hopper<T, false, false>(stream, p, parts);
  if constexpr (sizeof(T) == 2) {
    if (p.a.transposed && p.b.transposed) return run_hopper<T, true, false>(stream, p, parts);
    return p.a.transposed ? run_hopper<T, true, true>(stream, p, parts) : run_hopper<T, false, true>(stream, p, parts);
  }
  return false;
}

template <class T, Math math, GemmKernel kernel, GemmTile size, Innermost a, Innermost b>
void run_pipelined(Stream stream, const GemmProblem<T>& p, Index parts) {
  using Choice = TileOf<T, math, kernel, size, a, b>;
  using Tile = typename Choice::type;
  const Index tiles = ((p.m + Tile::rows - 1) / Tile::rows) * ((p.n + Tile::columns - 1) / Tile::columns);
  constexpr const char* name = kernel == GemmKernel::tensor ? "gemm_pipelined_kernel (tensor)" : "gemm_pipelined_kernel (register_tiled)";
  launch_gemm<T>(stream, name, cut_gemm(p, parts, Tile::depth, Tile::column_run), tiles, Tile::threads, gemm_shared_bytes<Tile, Choice::stages>,
                 gemm_pipelined_kernel<T, Tile, Choice::stages>);
}

template <class T, Math math, GemmKernel kernel, GemmTile size, bool all>
void run_pipelined(Stream stream, const GemmProblem<T>& p, Index parts) {
  constexpr auto depth = Innermost::depth, extent = Innermost::extent;
  if constexpr (all)
    if (p.a.transposed && p.b.transposed) return run_pipelined<T, math, kernel, size, extent, depth>(stream, p, parts);
  if (p.a.transposed) run_pipelined<T, math, kernel, size, extent, extent>(stream, p, parts);
  else if (p.b.transposed) run_pipelined<T, math, kernel, size, depth, depth>(stream, p, parts);
  else run_pipelined<T, math, kernel, size, depth, extent>(stream, p, parts);
}

/// `all`: also what no tuning picks and no layer asks for, the huge tile and both operands transposed.
template <class T, Math math, GemmKernel kernel, bool all>
void run_pipelined(Stream stream, const GemmProblem<T>& p, const GemmTuning& tuning) {
  if constexpr (all && std::is_same_v<T, float> && kernel == GemmKernel::register_tiled)
    if (tuning.tile == GemmTile::huge) return run_pipelined<T, math, kernel, GemmTile::huge, all>(stream, p, tuning.parts);
  if (tuning.tile == GemmTile::small) run_pipelined<T, math, kernel, GemmTile::small, all>(stream, p, tuning.parts);
  else run_pipelined<T, math, kernel, GemmTile::large, all>(stream, p, tuning.parts);
}

template <class T>
void run_tiled(Stream stream, const GemmProblem<T>& p, Index parts) {
  constexpr int side = 16;
  const Index tiles = ((p.m + side - 1) / side) * ((p.n + side - 1) / side);
  launch_gemm<T>(stream, "gemm_tiled_kernel", cut_gemm(p, parts, side, 1), tiles, {side, side}, 0, gemm_tiled_kernel<T, side>);
}

/// The product by the kernels that gemm_tuning picks, and no others: programs hold what they use. Both transposed, which no layer asks for: tiled.
template <class T, Math math>
void run_chosen(Stream stream, const GemmProblem<T>& p) {
  constexpr auto fast = tensor_multiplies<T, math> ? GemmKernel::tensor : GemmKernel::register_tiled;
  if (p.m <= 0 || p.n <= 0) return;
  const GemmTuning tuning = gemm_tuning<T, math>(p.m, p.n, p.k);
  if (tuning.kernel == GemmKernel::tiled || (p.a.transposed && p.b.transposed)) run_tiled(stream, p, tuning.parts);
  else run_pipelined<T, math, fast, false>(stream, p, tuning);
}

}  // namespace detail

/// c = activation(alpha a b + beta c + bias), computed as a tuning says, for tests and benchmarks: any kernel on any shape.
template <class T, Math math = Math::exact>
void run_gemm(Stream stream, const GemmProblem<std::type_identity_t<T>>& p, const GemmTuning& tuning) {
  constexpr auto tensor = tensor_multiplies<T, math> ? GemmKernel::tensor : GemmKernel::register_tiled;
  if (p.m <= 0 || p.n <= 0) return;
  switch (tuning.kernel) {
    case GemmKernel::naive:
      return launch(stream, {.kernel = "gemm_naive_kernel", .blocks = blocks_for(p.m * p.n), .shape = {p.m, p.n, p.k}}, gemm_naive_kernel<T>, p);
    case GemmKernel::tiled: return detail::run_tiled<T>(stream, p, tuning.parts);
    case GemmKernel::register_tiled: return detail::run_pipelined<T, Math::exact, GemmKernel::register_tiled, true>(stream, p, tuning);
    case GemmKernel::hopper:
      if constexpr (sizeof(T) == 2 || (std::is_same_v<T, float> && math == Math::tf32))
        if (detail::run_hopper(stream, p, tuning.parts)) return;
      [[fallthrough]];
    case GemmKernel::tensor:
      if (compute_capability() < 80) return detail::run_pipelined<T, Math::exact, GemmKernel::register_tiled, true>(stream, p, tuning);
      return detail::run_pipelined<T, math, tensor, true>(stream, p, tuning);
  }
}

/// The same as gemm, with an epilogue: a bias, an activation.
template <class T>
void gemm_epilogue(Stream stream, Index m, Index n, Index k, std::type_identity_t<Compute<T>> alpha, std::type_identity_t<Matrix<T>> a,
                   std::type_identity_t<Matrix<T>> b, std::type_identity_t<Compute<T>> beta, T* c, Index c_stride,
                   const std::type_identity_t<GemmEpilogue<T>>& epilogue) {
  const GemmProblem<T> problem{m, n, k, alpha, a, b, beta, c, c_stride, epilogue};
  if constexpr (std::is_same_v<T, float>) {
    const Math math = compute_capability() >= 80 ? stream.math : Math::exact;
    if (math == Math::tf32) return detail::run_chosen<T, Math::tf32>(stream, problem);
    if (math == Math::tf32x3) return detail::run_chosen<T, Math::tf32x3>(stream, problem);
  }
  detail::run_chosen<T, Math::exact>(stream, problem);
}

/// C = alpha A B + beta C, with A [m,k], B [k,n] (as multiplied: a transposed one is stored the other way round) and C [m,n], row-major; bfloat16
/// and half are multiplied exactly and summed in float, C is rounded once; float is multiplied as stream.math says. With beta = 0, C is written without
/// being read. Each element is summed in an order that follows from the shape, the math and the GPU's generation: the same bits every time.
/// 2 m n k operations; a and b are read from memory once for each tile they meet (64 or 128 rows or columns).
template <class T>
void gemm(Stream stream, Index m, Index n, Index k, std::type_identity_t<Compute<T>> alpha, std::type_identity_t<Matrix<T>> a,
          std::type_identity_t<Matrix<T>> b, std::type_identity_t<Compute<T>> beta, T* c, Index c_stride) {
  gemm_epilogue<T>(stream, m, n, k, alpha, a, b, beta, c, c_stride, {});
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
