#pragma once
#include "ventral/cuda/gemm_tiled.cuh"
#include "ventral/cuda/hopper.cuh"

/// The product as Hopper's tensor cores want it: the copy engine brings slabs of a and b into a ring in shared memory, two warpgroups multiply them where they lie.
/// No GPU has run it yet, so no tuning picks it.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

/// 128 x 256 sums in the registers of two warpgroups, 64 rows each. `a_extent`: rows of a's slab run along m, as those of a transposed a lie in memory, not along
/// k; `b_extent`: along n, as those of b do unless it is transposed. A slab is 128 bytes of k deep where rows run along k, as many numbers elsewhere; in runs of
/// 128 bytes, as copy_box leaves them.
template <class T, bool a_extent, bool b_extent>
class WarpgroupTile {
  static constexpr unsigned run = 128, atom = 8 * run;                   // bytes of a row; of eight
  static constexpr int in_run = static_cast<int>(run / sizeof(T));       // numbers

 public:
  static constexpr int rows = 128, columns = 256, depth = in_run, column_run = 4;
  static constexpr int a_bytes = rows * static_cast<int>(run), bytes = a_bytes + columns * static_cast<int>(run);  // of a's slab, of both

  VENTRAL_DEVICE explicit WarpgroupTile(int thread) : warpgroup_(thread / 128), thread_(thread % 128) {}

  VENTRAL_DEVICE void clear() {
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < 128; ++i) sums_[i] = 0;
  }

  /// Rows of the boxes in which a slab is copied.
  static constexpr int a_box = a_extent ? depth : rows, b_box = b_extent ? depth : columns;

  /// Begins to copy the slabs from row, column and k on; by one thread.
  VENTRAL_DEVICE static void copy(unsigned char* slabs, const TensorMap& a, const TensorMap& b, int row, int column, int k, Mbarrier* full) {
    copy_slab<a_extent, rows>(slabs, a, row, k, full);
    copy_slab<b_extent, columns>(slabs + a_bytes, b, column, k, full);
  }

  /// Begins to add the product of two slabs.
  VENTRAL_DEVICE void multiply(const unsigned char* slabs) {
    constexpr unsigned steps = 4, a_step = a_extent ? 2 * atom : run / steps, b_step = b_extent ? 2 * atom : run / steps;
    const std::uint64_t a = matrix_descriptor(slabs + warpgroup_ * (a_bytes / 2), 16, atom);
    const std::uint64_t b = matrix_descriptor(slabs + a_bytes, b_extent ? depth * run : 16, atom);
    warpgroup_fence();
    VENTRAL_DEVICE_UNROLL
    for (unsigned i = 0; i < steps; ++i) warpgroup_multiply<T, a_extent, b_extent>(sums_, later(a, i * a_step), later(b, i * b_step));
    warpgroup_commit();
  }
  /// Waits until at most `slabs` slabs, the latest ones, may still be read.
  template <int slabs>
  VENTRAL_DEVICE void wait() {
    warpgroup_wait<slabs>(sums_);
  }

  // The sums leave by way of shared memory, so that neighbouring lanes write neighbouring numbers: in `passes` of 64 columns, a warp its 16 rows.
  static constexpr int passes = columns / 64, stage_size = 16 * 64;
  /// Where in a warp's stage a number lies: runs of 8 change places from row to row, which keeps banks apart.
  VENTRAL_DEVICE static int staged(int row, int column) { return 64 * row + (column ^ row % 4 * 8); }
  VENTRAL_DEVICE void stage(float* to, int pass) const {
    const int lane = thread_ % 32, line = lane / 4;
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < 32; i += 4) {
      float* const pair = to + staged(line, i / 4 * 8 + lane % 4 * 2);
      store_shared_pair(pair, sums_[32 * pass + i], sums_[32 * pass + i + 1]);
      store_shared_pair(pair + 8 * 64, sums_[32 * pass + i + 2], sums_[32 * pass + i + 3]);  // eight rows below
    }
  }
  /// The first of the warp's rows.
  VENTRAL_DEVICE int first_row() const { return 64 * warpgroup_ + thread_ / 32 * 16; }

 private:
  template <bool extent_in_rows, int extent>
  VENTRAL_DEVICE static void copy_slab(unsigned char* slab, const TensorMap& map, int first, int k, Mbarrier* full) {
    if constexpr (extent_in_rows)
      for (int i = 0; i < extent; i += in_run) copy_box(slab + i * static_cast<int>(run), map, first + i, k, full);
    else copy_box(slab, map, k, first, full);
  }

  int warpgroup_, thread_;
  float sums_[128];
};

namespace detail {

/// Where a ring of stages stands. Each time it comes round, the parity of its barriers changes.
template <int stages>
struct Ring {
  int stage = 0;
  unsigned parity = 0;
  VENTRAL_DEVICE void next() {
    if (++stage < stages) return;
    stage = 0;
    parity ^= 1;
  }
};

inline constexpr int hopper_stages = 4, hopper_threads = 384, hopper_warps = 8;  // warps that multiply
template <class Tile>
constexpr std::size_t hopper_shared_bytes = 1024 + std::size_t{hopper_stages} * Tile::bytes + hopper_warps * Tile::stage_size * sizeof(float);

/// A warp's share of a tile into c, or among the partial sums, through its stage in shared memory. All is read before anything is written, so that a warp
/// waits for memory once a pass.
template <class Tile, class T>
VENTRAL_DEVICE void write_staged(const Tile& tile, float* stage, const GemmTask<T>& task, const TilePlace<Tile>& place) {
  constexpr int run = Tile::column_run, bytes = run * static_cast<int>(sizeof(T)), times = Tile::stage_size / (32 * run);
  const GemmProblem<T>& p = task.problem;
  const int lane = thread_in_block() % 32;
  VENTRAL_DEVICE_UNROLL
  for (int pass = 0; pass < Tile::passes; ++pass) {
    tile.stage(stage, pass);
    __syncwarp();
    const Index first = place.row + tile.first_row() + lane / 16, column = place.column + 64 * pass + lane % 16 * run;
    const auto sums = [&](int i) { return load_vector<float, 16>(stage + Tile::staged(lane / 16 + 2 * i, lane % 16 * run)); };
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
          if (first + 2 * i < p.m && column + v < p.n) task.write(place.part, first + 2 * i, column + v, sums(i).v[v]);
    }
    __syncwarp();
  }
}

}  // namespace detail

/// c = activation(alpha a b + beta c + bias) on Hopper's tensor cores. Each block takes the tiles blockIdx, + gridDim, ... of `works`, tiles times parts: a thread
/// of the third warpgroup copies slabs as soon as there is room, also while the other two, which multiply, write a tile. 32 KiB of b and 16 KiB of a a stage
/// serve 128 x 256 sums. Maps: those of a and b as they lie. Shared memory: hopper_shared_bytes.
template <class T, bool a_extent, bool b_extent>
VENTRAL_BOUNDED_KERNEL(detail::hopper_threads, 1)
void gemm_hopper_kernel(const VENTRAL_GRID_CONSTANT TensorMap a, const VENTRAL_GRID_CONSTANT TensorMap b, GemmTask<T> task, unsigned works) {
  if constexpr (has_hopper) {
    using Tile = WarpgroupTile<T, a_extent, b_extent>;
    using Ring = detail::Ring<detail::hopper_stages>;
    VENTRAL_SHARED(Mbarrier, full, detail::hopper_stages);
    VENTRAL_SHARED(Mbarrier, empty, detail::hopper_stages);
    VENTRAL_DYNAMIC_SHARED(unsigned char, shared);
    unsigned char* const slabs = shared + (1024 - reinterpret_cast<std::uintptr_t>(shared) % 1024) % 1024;
    const int thread = thread_in_block();
    if (thread == 0) {
      for (int i = 0; i < detail::hopper_stages; ++i) mbarrier_init(full + i, 1), mbarrier_init(empty + i, detail::hopper_warps);
      async_fence();
    }
    __syncthreads();
    const GemmProblem<T>& p = task.problem;
    const auto steps = [&](Index part) { return static_cast<int>((task.last(part) - task.first(part) + Tile::depth - 1) / Tile::depth); };
    Ring ring;
    if (thread >= 256) {
      leave_registers<40>();
      if (thread == 256) {
        for (unsigned work = blockIdx.x; work < works; work += gridDim.x) {
          const detail::TilePlace<Tile> place(p.m, p.n, work);
          const int first = static_cast<int>(task.first(place.part)), count = steps(place.part);
          for (int i = 0; i < count; ++i, ring.next()) {
            mbarrier_wait(empty + ring.stage, ring.parity ^ 1);
            mbarrier_expect(full + ring.stage, Tile::bytes);
            Tile::copy(slabs + ring.stage * Tile::bytes, a, b, static_cast<int>(place.row), static_cast<int>(place.column), first + i * Tile::depth, full + ring.stage);
          }
        }
      }
    } else {
      take_registers<232>();
      Tile tile(thread);
      float* const stage = reinterpret_cast<float*>(slabs + detail::hopper_stages * Tile::bytes) + thread / 32 * Tile::stage_size;
      for (unsigned work = blockIdx.x; work < works; work += gridDim.x) {
        const detail::TilePlace<Tile> place(p.m, p.n, work);
        const int count = steps(place.part);
        const auto release = [&](int stage) {
          if (thread % 32 == 0) mbarrier_arrive(empty + stage);
        };
        int before = 0;
        tile.clear();
        for (int i = 0; i < count; ++i, ring.next()) {
          mbarrier_wait(full + ring.stage, ring.parity);
          tile.multiply(slabs + ring.stage * Tile::bytes);
          tile.template wait<1>();
          if (i > 0) release(before);  // while this stage is multiplied, the one before is free
          before = ring.stage;
        }
        tile.template wait<0>();
        release(before);
        detail::write_staged(tile, stage, task, place);
      }
    }
  }
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
