#pragma once
#include "ventral/cuda/reduce.cuh"

/// Lines of numbers, each worked on by one thread, a warp or a block: one function for lines of every length. A team says how its members share a
/// line (`for (k = team.rank(); k < n; k += Team::size)`) and how they combine what each has found, in an order fixed by the team's size.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail {

struct ThreadTeam {
  static constexpr int size = 1;
  VENTRAL_DEVICE int rank() const { return 0; }
  template <class V>
  VENTRAL_DEVICE V sum(V v) const {
    return v;
  }
  template <class V>
  VENTRAL_DEVICE V max(V v) const {
    return v;
  }
};

struct WarpTeam {
  static constexpr int size = 32;
  VENTRAL_DEVICE int rank() const { return static_cast<int>(threadIdx.x % 32); }
  template <class V>
  VENTRAL_DEVICE V sum(V v) const {
    return warp_sum(v);
  }
  template <class V>
  VENTRAL_DEVICE V max(V v) const {
    return warp_max(v);
  }
};

template <int threads>
struct BlockTeam {
  static constexpr int size = threads;
  VENTRAL_DEVICE int rank() const { return static_cast<int>(threadIdx.x); }
  template <class V>
  VENTRAL_DEVICE V sum(V v) const {
    return block_sum<threads>(v);
  }
  template <class V>
  VENTRAL_DEVICE V max(V v) const {
    return block_max<threads>(v);
  }
};

/// op(team, line) for each line: blocks of `threads` threads, in teams. All threads of a team take the same lines, so that barriers are safe.
template <int threads, class Team, class Op>
VENTRAL_BOUNDED_KERNEL(threads)
void for_lines_kernel(Index lines, Op op) {
  constexpr int teams = threads / Team::size;
  const Index step = static_cast<Index>(gridDim.x) * teams;
  for (Index l = static_cast<Index>(blockIdx.x) * teams + threadIdx.x / Team::size; l < lines; l += step) op(Team{}, l);
}

enum class LineTeam { thread, warp, block };

/// Runs op(team, line) for lines 0 to lines - 1 with a team of the given size for each.
template <class Op>
void for_lines(Stream stream, const char* kernel, const Shape& shape, LineTeam team, Index lines, const Op& op) {
  constexpr int threads = 128, many = 256;
  Launch l{.kernel = kernel, .blocks = 0, .threads = threads, .shape = shape};
  if (team == LineTeam::thread) {
    l.blocks = blocks_for(lines, threads);
    launch(stream, l, for_lines_kernel<threads, ThreadTeam, Op>, lines, op);
  } else if (team == LineTeam::warp) {
    l.blocks = blocks_for(lines, threads / WarpTeam::size);
    launch(stream, l, for_lines_kernel<threads, WarpTeam, Op>, lines, op);
  } else {
    l.blocks = blocks_for(lines, 1);
    l.threads = many;
    launch(stream, l, for_lines_kernel<many, BlockTeam<many>, Op>, lines, op);
  }
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail
