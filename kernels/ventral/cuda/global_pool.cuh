#pragma once
#include <cstdint>

#include "ventral/cuda/elementwise.cuh"
#include "ventral/cuda/lines.cuh"
#include "ventral/cuda/pool2d.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

inline LineTeam plane_team(Index cells) { return cells <= 4 ? LineTeam::thread : cells <= 1024 ? LineTeam::warp : LineTeam::block; }

/// The first maximum of a plane; the last NaN, if there is one. Each member of the team finds its own, then the largest value and its
/// position are agreed on one after the other.
template <class T>
struct PlaneMax {
  Index cells;
  const T* x;
  T* y;
  std::int32_t* winners;
  template <class Team>
  VENTRAL_DEVICE void operator()(const Team& team, Index plane) const {
    const T* const from = x + plane * cells;
    Compute<T> best = load(from);
    Index where = -1;
    for (Index k = team.rank(); k < cells; k += Team::size) {
      const Compute<T> v = load(from + k);
      if (where < 0 || v > best || v != v) best = v, where = k;
    }
    const Compute<T> most = team.max(best);
    const bool nan = most != most, mine = where >= 0 && (nan ? best != best : best == most);
    const Index agreed = team.max(!mine ? -cells : nan ? where : -where), winner = nan ? agreed : -agreed;
    if (team.rank() != 0) return;
    y[plane] = from[winner];
    if (winners) winners[plane] = static_cast<std::int32_t>(winner);
  }
};

template <class T>
struct PlaneMean {
  Index cells;
  const T* x;
  T* y;
  template <class Team>
  VENTRAL_DEVICE void operator()(const Team& team, Index plane) const {
    Compute<T> sum = 0;
    for (Index k = team.rank(); k < cells; k += Team::size) sum += load(x + plane * cells + k);
    sum = team.sum(sum);
    if (team.rank() == 0) store(y + plane, sum / static_cast<Compute<T>>(cells));
  }
};

template <class T>
struct ShareOfPlane {
  const T* dy;
  Compute<T> cells;
  template <class I>
  VENTRAL_DEVICE Compute<T> operator()(I plane) const {
    return load(dy + plane) / cells;
  }
};

}  // namespace detail

/// y[n,c] = the largest of the plane x[n,c]; `winners`, if its data are not null, its position h W + w. As max_pool_forward with one window
/// over the whole plane; max_pool_backward is its gradient. Planes must not be empty. Reads x once; a warp for each plane, a block for a large one.
template <class T>
void global_max_pool_forward(Stream stream, In<T> x, Out<T> y, Out<std::int32_t> winners) {
  const Index cells = x.shape[2] * x.shape[3];
  detail::for_lines(stream, "global_max_pool_forward", x.shape, detail::plane_team(cells), y.size(),
                    detail::PlaneMax<T>{cells, x.data, y.data, winners.data});
}

/// y[n,c] = the mean of the plane x[n,c]. Reads x once; a warp for each plane, a block for a large one.
template <class T>
void global_mean_pool_forward(Stream stream, In<T> x, Out<T> y) {
  const Index cells = x.shape[2] * x.shape[3];
  detail::for_lines(stream, "global_mean_pool_forward", x.shape, detail::plane_team(cells), y.size(), detail::PlaneMean<T>{cells, x.data, y.data});
}

/// dx[n,c,h,w] = dy[n,c] / (H W). Writes dx once.
template <class T>
void global_mean_pool_backward(Stream stream, In<T> dy, Out<T> dx) {
  const Index cells = dx.shape[2] * dx.shape[3];
  map_planes(stream, "global_mean_pool_backward", detail::ShareOfPlane<T>{dy.data, static_cast<Compute<T>>(cells)}, dx.shape, cells, dx.data);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
