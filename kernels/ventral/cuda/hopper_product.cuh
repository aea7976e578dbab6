#pragma once
#include "ventral/cuda/hopper.cuh"

/// Products as Hopper's tensor cores want them: the copy engine brings slabs of both operands into a ring in shared memory, two warpgroups multiply them where
/// they lie. No GPU has run it yet, so no tuning picks it.
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

  /// Begin to copy a slab from its row or column, and k, on; by one thread.
  VENTRAL_DEVICE static void copy_a(unsigned char* slabs, const TensorMap& a, int row, int k, Mbarrier* full) { copy_slab<a_extent, rows>(slabs, a, row, k, full); }
  VENTRAL_DEVICE static void copy_b(unsigned char* slabs, const TensorMap& b, int column, int k, Mbarrier* full) {
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

  // The sums leave by way of shared memory, so that neighbouring lanes write neighbouring numbers: in `passes` of 64 columns, a warp its 16 rows, in `times`
  // of two.
  static constexpr int passes = columns / 64, stage_size = 16 * 64, times = 16 / 2;
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

/// Blocks that a GPU runs side by side when each takes a multiprocessor.
inline Index multiprocessors() {
#if defined(VENTRAL_CUDA_EMULATED)
  return 3;
#else
  int device = 0, count = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device), "cudaDeviceGetAttribute");
  return count;
#endif
}

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

/// Calls f(row in the tile, column in the tile, where the sums of four neighbouring columns lie) for a warp's share of a tile, by way of its stage in shared
/// memory: `times` rows, two apart, at each of `passes` places. f gets these rows as a functor, so that it can read all before it writes.
template <class Tile, class F>
VENTRAL_DEVICE void for_staged(const Tile& tile, float* stage, const F& f) {
  const int lane = thread_in_block() % 32;
  VENTRAL_DEVICE_UNROLL
  for (int pass = 0; pass < Tile::passes; ++pass) {
    tile.stage(stage, pass);
    __syncwarp();
    f(tile.first_row() + lane / 16, 64 * pass + lane % 16 * Tile::column_run,
      [&](int i) { return load_vector<float, 16>(stage + Tile::staged(lane / 16 + 2 * i, lane % 16 * Tile::column_run)); });
    __syncwarp();
  }
}

/// The kernel's body. Each block takes the tiles blockIdx, + gridDim, ... of job.works: a thread of the third warpgroup copies slabs as soon as there is room,
/// also while the other two, which multiply, write a tile. 32 KiB of b and 16 KiB of a a stage serve 128 x 256 sums. Shared memory: hopper_shared_bytes.
/// A job says where a tile lies, place(work), in how many steps its sums are added up, steps(place), copies the slabs of a step and writes the tile.
template <class Job>
VENTRAL_DEVICE void multiply_on_hopper(const Job& job) {
  using Tile = typename Job::Tile;
  VENTRAL_SHARED(Mbarrier, full, hopper_stages);
  VENTRAL_SHARED(Mbarrier, empty, hopper_stages);
  VENTRAL_DYNAMIC_SHARED(unsigned char, shared);
  unsigned char* const slabs = shared + (1024 - reinterpret_cast<std::uintptr_t>(shared) % 1024) % 1024;
  const int thread = thread_in_block();
  if (thread == 0) {
    for (int i = 0; i < hopper_stages; ++i) mbarrier_init(full + i, 1), mbarrier_init(empty + i, hopper_warps);
    async_fence();
  }
  __syncthreads();
  Ring<hopper_stages> ring;
  if (thread >= 256) {
    leave_registers<40>();
    if (thread == 256) {
      for (unsigned work = blockIdx.x; work < job.works; work += gridDim.x) {
        const auto place = job.place(work);
        const int count = job.steps(place);
        for (int i = 0; i < count; ++i, ring.next()) {
          mbarrier_wait(empty + ring.stage, ring.parity ^ 1);
          mbarrier_expect(full + ring.stage, Tile::bytes);
          job.copy(slabs + ring.stage * Tile::bytes, place, i, full + ring.stage);
        }
      }
    }
  } else {
    take_registers<232>();
    Tile tile(thread);
    float* const stage = reinterpret_cast<float*>(slabs + hopper_stages * Tile::bytes) + thread / 32 * Tile::stage_size;
    for (unsigned work = blockIdx.x; work < job.works; work += gridDim.x) {
      const auto place = job.place(work);
      const int count = job.steps(place);
      const auto release = [&](int free) {
        if (thread % 32 == 0) mbarrier_arrive(empty + free);
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
      job.write(tile, stage, place);
    }
  }
}

}  // namespace detail

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
