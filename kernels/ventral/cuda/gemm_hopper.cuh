#pragma once
#include "ventral/cuda/gemm_tiled.cuh"
#include "ventral/cuda/hopper_product.cuh"

/// Products of matrices on Hopper's tensor cores.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// A task's tiles times parts, for multiply_on_hopper. Maps: those of a and b as they lie.
template <class T, bool a_extent, bool b_extent>
struct HopperGemm {
  using Tile = WarpgroupTile<T, a_extent, b_extent>;
  using Place = TilePlace<Tile>;

  TensorMap a, b;
  GemmTask<T> task;
  unsigned works;

  VENTRAL_DEVICE Place place(unsigned work) const { return Place(task.problem.m, task.problem.n, work); }
  VENTRAL_DEVICE int steps(const Place& at) const { return static_cast<int>((task.last(at.part) - task.first(at.part) + Tile::depth - 1) / Tile::depth); }
  VENTRAL_DEVICE void copy(unsigned char* slabs, const Place& at, int step, Mbarrier* full) const {
    const int k = static_cast<int>(task.first(at.part)) + step * Tile::depth;
    Tile::copy_a(slabs, a, static_cast<int>(at.row), k, full);
    Tile::copy_b(slabs, b, static_cast<int>(at.column), k, full);
  }
  /// Into c, or among the partial sums. All is read before anything is written, so that a warp waits for memory once a pass.
  VENTRAL_DEVICE void write(const Tile& tile, float* stage, const Place& at) const {
    constexpr int run = Tile::column_run, bytes = run * static_cast<int>(sizeof(T)), times = Tile::times;
    const GemmProblem<T>& p = task.problem;
    for_staged(tile, stage, [&](int row, int in_tile, const auto& sums) {
      const Index first = at.row + row, column = at.column + in_tile;
      if (task.c_vectors && task.parts == 1 && column + run <= p.n) {
        Vector<T, bytes> old[times];
        Vector<float> values[times];
        T* const out = p.c + first * p.c_stride + column;
        VENTRAL_DEVICE_UNROLL
        for (int i = 0; i < times; ++i)
          if (p.beta != 0 && first + 2 * i < p.m) old[i] = load_vector<T, bytes>(out + 2 * i * p.c_stride);
        VENTRAL_DEVICE_UNROLL
        for (int i = 0; i < times; ++i) {
          values[i] = sums(i);
          if (first + 2 * i < p.m) p.finish_run(first + 2 * i, column, values[i].v, old[i].v);
        }
        VENTRAL_DEVICE_UNROLL
        for (int i = 0; i < times; ++i)
          if (first + 2 * i < p.m) store_four(out + 2 * i * p.c_stride, values[i].v);
      } else {
        for (int i = 0; i < times; ++i)
          for (int v = 0; v < run; ++v)
            if (first + 2 * i < p.m && column + v < p.n) task.write(at.part, first + 2 * i, column + v, sums(i).v[v]);
      }
    });
  }
};

}  // namespace detail

/// c = activation(alpha a b + beta c + bias) on Hopper's tensor cores.
template <class T, bool a_extent, bool b_extent>
VENTRAL_BOUNDED_KERNEL(detail::hopper_threads, 1) void gemm_hopper_kernel(const VENTRAL_GRID_CONSTANT detail::HopperGemm<T, a_extent, b_extent> job) {
  if constexpr (has_hopper) detail::multiply_on_hopper(job);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
