#pragma once
#include "ventral/cuda/gemm_problem.cuh"
#include "ventral/cuda/gemm_tensor_tile.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// Where a block works, or work `number` is: a tile of c and a part of k. Tiles are taken in bands of eight tile rows, so that blocks that run together read the same
/// columns of b and few rows of a.
template <class Tile>
struct TilePlace {
  Index part, row, column;
  VENTRAL_DEVICE TilePlace(Index m, Index n, unsigned number = blockIdx.x) {
    constexpr unsigned band_rows = 8;
    const unsigned down = static_cast<unsigned>((m + Tile::rows - 1) / Tile::rows);
    const unsigned across = static_cast<unsigned>((n + Tile::columns - 1) / Tile::columns);
    const unsigned tile = number % (down * across), first = tile / (band_rows * across) * band_rows, i = tile % (band_rows * across);
    const unsigned height = down - first < band_rows ? down - first : band_rows;
    part = number / (down * across);
    row = static_cast<Index>(first + i % height) * Tile::rows;
    column = static_cast<Index>(i / height) * Tile::columns;
  }
};

/// The tile's sums into c, or among the partial sums.
template <class Tile, class T>
VENTRAL_DEVICE void write_tile(const Tile& tile, const GemmTask<T>& task, const TilePlace<Tile>& place) {
  constexpr int run = Tile::column_run;
  const GemmProblem<T>& p = task.problem;
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < Tile::thread_rows; ++i) {
    const Index row = place.row + tile.row(i);
    if (row >= p.m) continue;
    VENTRAL_DEVICE_UNROLL
    for (int j = 0; j < Tile::thread_columns; j += run) {
      const Index column = place.column + tile.column(j);
      if (run > 1 && task.c_vectors && task.parts == 1 && column + run <= p.n) {
        constexpr int bytes = run * static_cast<int>(sizeof(T));
        T* const out = p.c + row * p.c_stride + column;
        Vector<T, bytes> values{};
        if (p.beta != Compute<T>(0)) values = load_vector<T, bytes>(out);
        VENTRAL_DEVICE_UNROLL
        for (int v = 0; v < run; ++v) store(values.v + v, p.finish(row, column + v, tile.sum(i, j + v), values.v + v));
        store_vector(out, values);
      } else {
        VENTRAL_DEVICE_UNROLL
        for (int v = 0; v < run; ++v)
          if (column + v < p.n) task.write(place.part, row, column + v, tile.sum(i, j + v));
      }
    }
  }
}

}  // namespace detail

/// c = activation(alpha a b + beta c + bias), a block for each Tile of c and each part of k. `stages` slabs of each operand lie in shared memory:
/// while one is multiplied, the next ones are on their way (cp.async). Tile::A is Innermost::extent exactly when a is transposed, Tile::B when b is
/// not. Each number read from global memory serves Tile::rows, or columns, multiplications. Shared memory: gemm_shared_bytes.
template <class T, class Tile, int stages>
VENTRAL_BOUNDED_KERNEL(Tile::threads) void gemm_pipelined_kernel(GemmTask<T> task) {
  constexpr int slabs = Tile::A::size + Tile::B::size;
  VENTRAL_DYNAMIC_SHARED(T, shared);
  const GemmProblem<T>& p = task.problem;
  const detail::TilePlace<Tile> place(p.m, p.n);
  const Index first = task.first(place.part), last = task.last(place.part), steps = (last - first + Tile::depth - 1) / Tile::depth;
  const auto copy = [&](Index step) {
    if (step < steps) {
      const Index k = first + step * Tile::depth;
      T *const a = shared + static_cast<int>(step % stages) * slabs, *const b = a + Tile::A::size;
      copy_slab<typename Tile::A, Tile::threads>(a, p.a.at(place.row, k), p.a.stride, p.m - place.row, last - k, task.a_vectors);
      copy_slab<typename Tile::B, Tile::threads>(b, p.b.at(k, place.column), p.b.stride, p.n - place.column, last - k, task.b_vectors);
    }
    async_commit();
  };
  Tile tile;
  tile.clear();
  for (int step = 0; step < stages - 1; ++step) copy(step);
  for (Index step = 0; step < steps; ++step) {
    async_wait<stages - 2>();
    __syncthreads();  // this step's slabs are there for all; those of the step before have been read by all
    copy(step + stages - 1);
    const T* const a = shared + static_cast<int>(step % stages) * slabs;
    tile.multiply(a, a + Tile::A::size);
  }
  async_wait<0>();
  detail::write_tile(tile, task, place);
}

template <class Tile, int stages>
constexpr std::size_t gemm_shared_bytes = sizeof(typename Tile::Scalar) * static_cast<std::size_t>(stages) * (Tile::A::size + Tile::B::size);

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
