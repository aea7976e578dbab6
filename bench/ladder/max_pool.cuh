#pragma once
#include <limits>

#include "ladder/ladder.hpp"
#include "ladder/vectors.cuh"
#include "ventral/cuda/pool2d.cuh"

/// The ladder of max pooling, with the winners' places. A result costs a comparison for each cell under its window: only the memory counts. What cannot be
/// avoided is 4 bytes for each number of x and 8 for each result; for ResNet's window, 3 x 3 with stride 2, that is 4 * 4 + 8 = 24 bytes for each result.
namespace bench::ladder {

using ventral::WindowAxis;

/// The largest number so far and where it was first. A NaN is larger than any number.
struct Largest {
  float value = -std::numeric_limits<float>::infinity();
  std::int32_t where = -1;

  VENTRAL_DEVICE void take(float v, int at) {
    if (where < 0 || v > value || (v != v && value == value)) value = v, where = at;
  }
};

/// One result by the formula, cell by cell, for any window.
VENTRAL_DEVICE void pool_window(const Pooling& p, Index plane, Index row, Index column) {
  const WindowAxis &h = p.plan.h, &w = p.plan.w;
  const float* const x = p.x + plane * h.in * w.in;
  Largest largest;
  for (Index a = 0; a < h.kernel; ++a)
    for (Index b = 0; b < w.kernel; ++b) {
      const Index i = h.origin(row) + a * h.dilation, j = w.origin(column) + b * w.dilation;
      if (0 <= i && i < h.in && 0 <= j && j < w.in) largest.take(x[i * w.in + j], static_cast<int>(i * w.in + j));
    }
  const Index o = (plane * h.out + row) * w.out + column;
  p.y[o] = largest.value;
  p.winners[o] = largest.where;
}

inline Launch pool_launch(const char* kernel, const Pooling& p, Index blocks, Extent threads = 256) {
  return {.kernel = kernel, .blocks = blocks, .threads = threads, .shape = {p.planes, p.plan.h.in, p.plan.w.in}};
}

/// Naive: a thread walks along a row of results. Neighbouring threads are rows apart: a warp's load touches 32 sectors of 32 bytes for 32 numbers.
/// Reads 9 x 32 bytes for each result, an eighth of it used, and writes as wastefully. Bound by: sectors, and few threads: one for each row of results.
VENTRAL_KERNEL void max_pool_rows_kernel(Pooling p) {
  const WindowAxis& h = p.plan.h;
  for (Index line = first_element(); line < p.planes * h.out; line += element_step())
    for (Index column = 0; column < p.plan.w.out; ++column) pool_window(p, line / h.out, line % h.out, column);
}
inline void max_pool_rows(Stream stream, const Pooling& p) {
  launch(stream, pool_launch("max_pool_rows_kernel", p, (p.planes * p.plan.h.out + 255) / 256), max_pool_rows_kernel, p);
}

/// Coalesced: a thread for each result, neighbours along a row. A warp's load touches 8 sectors, a stride of 2 uses half of each, the next tap the other half.
/// Saves: 3/4 of the sectors, so the L1 cache has what windows share. Bound by: instructions: 64-bit divisions, loops, and four comparisons for each cell.
VENTRAL_KERNEL void max_pool_results_kernel(Pooling p) {
  const WindowAxis &h = p.plan.h, &w = p.plan.w;
  for (Index i = first_element(); i < p.planes * h.out * w.out; i += element_step()) pool_window(p, i / w.out / h.out, i / w.out % h.out, i % w.out);
}
inline void max_pool_results(Stream stream, const Pooling& p) {
  launch(stream, pool_launch("max_pool_results_kernel", p, (p.planes * p.plan.h.out * p.plan.w.out + 255) / 256), max_pool_results_kernel, p);
}

/// A window of constants, square and without dilation.
template <int kernel_, int stride_, int before_>
struct FixedWindow {
  static constexpr int kernel = kernel_, stride = stride_, before = before_;
};
/// Calls f with the window as constants where it is one of these and int counts everything; returns whether it did.
template <class F>
bool with_fixed_window(const Pooling& p, const F& f) {
  const auto try_one = [&](auto window) {
    const auto same = [&](const WindowAxis& a) {
      return a.kernel == window.kernel && a.stride == window.stride && a.before == window.before && a.dilation == 1;
    };
    if (!same(p.plan.h) || !same(p.plan.w)) return false;
    f(window);
    return true;
  };
  const Index inputs = p.planes * p.plan.h.in * p.plan.w.in, results = p.planes * p.plan.h.out * p.plan.w.out;
  return gpu::detail::fits_int(p.plan, inputs, results) &&
         (try_one(FixedWindow<2, 2, 0>{}) || try_one(FixedWindow<3, 2, 0>{}) || try_one(FixedWindow<3, 2, 1>{}) || try_one(FixedWindow<3, 1, 1>{}));
}
/// What the kernels of fixed windows need to know, in int.
struct PoolSizes {
  int planes, height, width, rows, columns;
  explicit PoolSizes(const Pooling& p)
      : planes(static_cast<int>(p.planes)),
        height(static_cast<int>(p.plan.h.in)),
        width(static_cast<int>(p.plan.w.in)),
        rows(static_cast<int>(p.plan.h.out)),
        columns(static_cast<int>(p.plan.w.out)) {}
};

/// Constants: the window is known when the kernel is compiled, and positions are int. The loops are gone, and a window's loads are under way together.
/// Saves: most instructions: a 64-bit division takes some 70. Bound by: memory, 24 bytes for each result. Other windows: as before.
template <class Window>
VENTRAL_KERNEL void max_pool_constants_kernel(PoolSizes s, const float* x, float* y, std::int32_t* winners) {
  const int o = static_cast<int>(first_element());
  if (o >= s.planes * s.rows * s.columns) return;
  const int line = o / s.columns, plane = line / s.rows;
  const int top = (line - plane * s.rows) * Window::stride - Window::before, left = (o - line * s.columns) * Window::stride - Window::before;
  const float* const from = x + static_cast<Index>(plane) * s.height * s.width;
  Largest largest;
  VENTRAL_DEVICE_UNROLL
  for (int a = 0; a < Window::kernel; ++a)
    VENTRAL_DEVICE_UNROLL
    for (int b = 0; b < Window::kernel; ++b) {
      const int i = top + a, j = left + b, at = i * s.width + j;
      if (0 <= i && i < s.height && 0 <= j && j < s.width) largest.take(from[at], at);
    }
  y[o] = largest.value;
  winners[o] = largest.where;
}
inline void max_pool_constants(Stream stream, const Pooling& p) {
  const Index blocks = (p.planes * p.plan.h.out * p.plan.w.out + 255) / 256;
  const auto run = [&](auto window) {
    launch(stream, pool_launch("max_pool_constants_kernel", p, blocks), max_pool_constants_kernel<decltype(window)>, PoolSizes(p), p.x, p.y, p.winners);
  };
  if (!with_fixed_window(p, run)) max_pool_results(stream, p);
}

/// Shared memory: a block brings what the windows of 8 x 32 results cover into shared memory, each number once, in whole lines.
/// Saves: 9 loads through the L1 cache become 4 and a bit, and 9 from shared memory. Bound by: the wait at the barrier. An L1 cache that already held the tile
/// has nothing to gain here: expect no more than the rung before gave, and learn that shared memory pays where caches fail.
template <class Window>
VENTRAL_BOUNDED_KERNEL(256) void max_pool_shared_kernel(PoolSizes s, const float* x, float* y, std::int32_t* winners) {
  constexpr int down = 8, across = 32, tall = (down - 1) * Window::stride + Window::kernel, wide = (across - 1) * Window::stride + Window::kernel;
  VENTRAL_SHARED(float, tile, tall* wide);
  const int tiles_across = (s.columns + across - 1) / across, tiles_down = (s.rows + down - 1) / down, number = static_cast<int>(blockIdx.x);
  const int plane = number / (tiles_across * tiles_down), row = number / tiles_across % tiles_down * down, column = number % tiles_across * across;
  const int top = row * Window::stride - Window::before, left = column * Window::stride - Window::before;
  const float* const from = x + static_cast<Index>(plane) * s.height * s.width;
  const auto inside = [&](int i, int j) { return 0 <= i && i < s.height && 0 <= j && j < s.width; };
  for (int e = thread_in_block(); e < tall * wide; e += 256) {
    const int i = top + e / wide, j = left + e % wide;
    if (inside(i, j)) tile[e] = from[i * s.width + j];
  }
  __syncthreads();
  const int my_row = static_cast<int>(threadIdx.y), my_column = static_cast<int>(threadIdx.x);
  if (row + my_row >= s.rows || column + my_column >= s.columns) return;
  Largest largest;
  VENTRAL_DEVICE_UNROLL
  for (int a = 0; a < Window::kernel; ++a)
    VENTRAL_DEVICE_UNROLL
    for (int b = 0; b < Window::kernel; ++b) {
      const int i = my_row * Window::stride + a, j = my_column * Window::stride + b;
      if (inside(top + i, left + j)) largest.take(tile[i * wide + j], (top + i) * s.width + left + j);
    }
  const int o = (plane * s.rows + row + my_row) * s.columns + column + my_column;
  y[o] = largest.value;
  winners[o] = largest.where;
}
inline void max_pool_shared(Stream stream, const Pooling& p) {
  const Index tiles = (p.plan.h.out + 7) / 8 * ((p.plan.w.out + 31) / 32);
  const auto run = [&](auto window) {
    launch(stream, pool_launch("max_pool_shared_kernel", p, p.planes * tiles, {32, 8}), max_pool_shared_kernel<decltype(window)>, PoolSizes(p), p.x, p.y,
           p.winners);
  };
  if (!with_fixed_window(p, run)) max_pool_results(stream, p);
}

/// Vectors: a thread makes four results in a row. What their windows share stays in registers, and is read and written 16 bytes at a time where rows allow it.
/// Saves: 9 loads and 2 stores for each result become 9 and 2 for four (3 x 3, stride 2, padding 1). Bound by: memory, 24 bytes for each result.
template <class Window>
VENTRAL_KERNEL void max_pool_vectors_kernel(PoolSizes s, bool x_vectors, bool y_vectors, const float* x, float* y, std::int32_t* winners) {
  constexpr int cells = 3 * Window::stride + Window::kernel, runs = (cells - Window::before) / 4;  // columns that four windows cover; whole vectors among them
  const int fours = (s.columns + 3) / 4, thread = static_cast<int>(first_element());
  if (thread >= s.planes * s.rows * fours) return;
  const int line = thread / fours, column = (thread - line * fours) * 4, plane = line / s.rows;
  const int top = (line - plane * s.rows) * Window::stride - Window::before, left = column * Window::stride - Window::before;
  Largest largest[4];
  VENTRAL_DEVICE_UNROLL
  for (int a = 0; a < Window::kernel; ++a) {
    const int i = top + a;
    if (i < 0 || i >= s.height) continue;
    const float* const row = x + (static_cast<Index>(plane) * s.height + i) * s.width;
    float cell[cells];
    VENTRAL_DEVICE_UNROLL
    for (int r = 0; r < runs; ++r) {
      const int first = Window::before + 4 * r;  // four times the stride, plus this, less the padding: a multiple of 4
      const Run<4> run = load_run(row + left + first, s.width - left - first, x_vectors);
      VENTRAL_DEVICE_UNROLL
      for (int e = 0; e < 4; ++e) cell[first + e] = run.v[e];
    }
    VENTRAL_DEVICE_UNROLL
    for (int e = 0; e < cells; ++e)
      if (e < Window::before || e >= Window::before + 4 * runs) cell[e] = 0 <= left + e && left + e < s.width ? row[left + e] : 0.0f;
    VENTRAL_DEVICE_UNROLL
    for (int o = 0; o < 4; ++o)
      VENTRAL_DEVICE_UNROLL
      for (int b = 0; b < Window::kernel; ++b) {
        const int e = o * Window::stride + b, j = left + e;
        if (0 <= j && j < s.width) largest[o].take(cell[e], i * s.width + j);
      }
  }
  const int o = line * s.columns + column;
  store_run(y + o, Run<4>{{largest[0].value, largest[1].value, largest[2].value, largest[3].value}}, s.columns - column, y_vectors);
  store_run(winners + o, Vector<std::int32_t>{{largest[0].where, largest[1].where, largest[2].where, largest[3].where}}, s.columns - column, y_vectors);
}
inline void max_pool_vectors(Stream stream, const Pooling& p) {
  const Index threads = p.planes * p.plan.h.out * ((p.plan.w.out + 3) / 4);
  const bool x_vectors = vectors_fit(p.x, p.plan.w.in), y_vectors = vectors_fit(p.y, p.plan.w.out) && vectors_fit(p.winners, p.plan.w.out);
  const auto run = [&](auto window) {
    launch(stream, pool_launch("max_pool_vectors_kernel", p, (threads + 255) / 256), max_pool_vectors_kernel<decltype(window)>, PoolSizes(p), x_vectors,
           y_vectors, p.x, p.y, p.winners);
  };
  if (!with_fixed_window(p, run)) max_pool_results(stream, p);
}

/// The product's: as vectors for the usual windows; any other window and type one result a thread.
inline void max_pool_product(Stream stream, const Pooling& p) {
  const WindowAxis &h = p.plan.h, &w = p.plan.w;
  max_pool_forward<float>(stream, p.plan, {p.x, {1, p.planes, h.in, w.in}}, {p.y, {1, p.planes, h.out, w.out}}, {p.winners, {1, p.planes, h.out, w.out}});
}

}  // namespace bench::ladder
