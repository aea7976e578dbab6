#pragma once
#include "ladder/ladder.hpp"
#include "ladder/vectors.cuh"
#include "ventral/cuda/gemm.cuh"

/// The ladder of products of matrices, c [m,n] = a [m,k] b [k,n]: k multiplications for each result. Bytes below are those that leave memory or a cache, for
/// each multiplication.
namespace bench::ladder {

/// Naive: a thread for each element of c, neighbouring threads down a column of c.
/// The 32 threads of a warp read a and write c a whole row apart: 32 sectors of 32 bytes for 32 numbers, an eighth of it used. b: one sector for all.
/// Moves 33 bytes for each multiplication. Bound by: the L1 cache, which answers 33 requests for 32 multiplications.
VENTRAL_KERNEL void gemm_down_columns_kernel(Product p) {
  for (Index e = first_element(); e < p.m * p.n; e += element_step()) {
    const Index i = e % p.m, j = e / p.m;
    float sum = 0;
    for (Index k = 0; k < p.k; ++k) sum += p.a[i * p.k + k] * p.b[k * p.n + j];
    p.c[i * p.n + j] = sum;
  }
}
inline void gemm_down_columns(Stream stream, const Product& p) {
  launch(stream, {.kernel = "gemm_down_columns_kernel", .blocks = blocks_for(p.m * p.n), .shape = {p.m, p.n, p.k}}, gemm_down_columns_kernel, p);
}

/// Coalesced: neighbouring threads along a row of c. A warp reads 128 bytes of b in a row, and the same number of a: one request each.
/// Saves: 33 bytes become 4 + 1. Bound by: the L2 cache, since nothing keeps b for the next row of c; then by two loads for each multiplication.
VENTRAL_KERNEL void gemm_along_rows_kernel(Product p) {
  for (Index e = first_element(); e < p.m * p.n; e += element_step()) {
    const Index i = e / p.n, j = e % p.n;
    float sum = 0;
    for (Index k = 0; k < p.k; ++k) sum += p.a[i * p.k + k] * p.b[k * p.n + j];
    p.c[i * p.n + j] = sum;
  }
}
inline void gemm_along_rows(Stream stream, const Product& p) {
  launch(stream, {.kernel = "gemm_along_rows_kernel", .blocks = blocks_for(p.m * p.n), .shape = {p.m, p.n, p.k}}, gemm_along_rows_kernel, p);
}

/// Where the tile of c lies that a block works on, and how many tiles there are: rows first, since a grid is long in one direction only.
template <int side>
struct TilePlace {
  Index row, column;
  VENTRAL_DEVICE explicit TilePlace(const Product& p) {
    const Index across = (p.n + side - 1) / side;
    row = blockIdx.x / across * side;
    column = blockIdx.x % across * side;
  }
  static Index count(const Product& p) { return ((p.m + side - 1) / side) * ((p.n + side - 1) / side); }
};
/// Element (i, j) of a row-major matrix; 0 outside.
VENTRAL_DEVICE float element(const float* matrix, Index rows, Index columns, Index i, Index j) {
  return i < rows && j < columns ? matrix[i * columns + j] : 0.0f;
}

/// Shared memory: a block of 32 x 32 threads takes squares of a and b into shared memory, one number each a thread, and multiplies them there.
/// Saves: a number read from memory serves 32 multiplications, 8 / 32 bytes for each. Bound by: loads still, two from shared memory for each multiplication.
VENTRAL_BOUNDED_KERNEL(1024) void gemm_shared_tile_kernel(Product p) {
  constexpr int side = 32;
  using Row = float[side];
  VENTRAL_SHARED(Row, a, side);
  VENTRAL_SHARED(Row, b, side);
  const TilePlace<side> at(p);
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  float sum = 0;
  for (Index k = 0; k < p.k; k += side) {
    a[y][x] = element(p.a, p.m, p.k, at.row + y, k + x);
    b[y][x] = element(p.b, p.k, p.n, k + y, at.column + x);
    __syncthreads();  // the squares are whole
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < side; ++i) sum += a[y][i] * b[i][x];
    __syncthreads();  // and have been read by all
  }
  if (at.row + y < p.m && at.column + x < p.n) p.c[(at.row + y) * p.n + at.column + x] = sum;
}
inline void gemm_shared_tile(Stream stream, const Product& p) {
  launch(stream, {.kernel = "gemm_shared_tile_kernel", .blocks = TilePlace<32>::count(p), .threads = {32, 32}, .shape = {p.m, p.n, p.k}},
         gemm_shared_tile_kernel, p);
}

// From here on a block of 256 threads works on 128 x 128 results and takes slabs of a and b, 128 numbers by `depth`, into shared memory. Slabs lie with k
// outermost: a[k][row], b[k][column]. Four numbers between the rows of a slab put the ones that a warp writes at once into different banks.
constexpr int side = 128, block = 256;
template <int depth, int padding>
struct Slabs {
  float a[depth][side + padding], b[depth][side + padding];
};
using NarrowSlabs = Slabs<8, 4>;

/// Register tiles: each thread keeps 8 x 8 sums, rows and columns 16 apart, so that 8 + 8 loads from shared memory serve 64 multiplications.
/// Saves: 2 loads for each multiplication become 1/4; 8 / 128 bytes from memory. Bound by: instructions, one in five a load, and waiting at the barriers.
VENTRAL_BOUNDED_KERNEL(block) void gemm_register_tile_kernel(Product p) {
  VENTRAL_SHARED(NarrowSlabs, slabs, 1);
  NarrowSlabs& s = slabs[0];
  const TilePlace<side> at(p);
  const int t = static_cast<int>(threadIdx.x), x = t % 16, y = t / 16;
  float sum[8][8] = {};
  for (Index k = 0; k < p.k; k += 8) {
    VENTRAL_DEVICE_UNROLL
    for (int i = t; i < 8 * side; i += block) {
      s.a[i % 8][i / 8] = element(p.a, p.m, p.k, at.row + i / 8, k + i % 8);
      s.b[i / side][i % side] = element(p.b, p.k, p.n, k + i / side, at.column + i % side);
    }
    __syncthreads();
    VENTRAL_DEVICE_UNROLL
    for (int d = 0; d < 8; ++d) {
      float left[8], right[8];
      VENTRAL_DEVICE_UNROLL
      for (int i = 0; i < 8; ++i) left[i] = s.a[d][y + 16 * i], right[i] = s.b[d][x + 16 * i];
      VENTRAL_DEVICE_UNROLL
      for (int i = 0; i < 8; ++i)
        VENTRAL_DEVICE_UNROLL
        for (int j = 0; j < 8; ++j) sum[i][j] += left[i] * right[j];
    }
    __syncthreads();
  }
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < 8; ++i)
    VENTRAL_DEVICE_UNROLL
    for (int j = 0; j < 8; ++j) {
      const Index row = at.row + y + 16 * i, column = at.column + x + 16 * j;
      if (row < p.m && column < p.n) p.c[row * p.n + column] = sum[i][j];
    }
}
inline void gemm_register_tile(Stream stream, const Product& p) {
  launch(stream, {.kernel = "gemm_register_tile_kernel", .blocks = TilePlace<side>::count(p), .threads = block, .shape = {p.m, p.n, p.k}},
         gemm_register_tile_kernel, p);
}

/// Which matrices have rows that can be read, or written, 16 bytes at a time: their rows begin at multiples of 16 bytes.
struct InVectors {
  bool a, b, c;
  explicit InVectors(const Product& p) : a(vectors_fit(p.a, p.k)), b(vectors_fit(p.b, p.n)), c(vectors_fit(p.c, p.n)) {}
};

/// The 8 x 8 sums of a thread, its rows and columns in runs of four: what is read and written lies in vectors.
struct ThreadSums {
  float v[8][8] = {};

  /// Row (of thread row t) or column (of thread column t) number i.
  VENTRAL_DEVICE static int place(int t, int i) { return i / 4 * 64 + 4 * t + i % 4; }
  VENTRAL_DEVICE void add(const NarrowSlabs& s, int x, int y) {
    VENTRAL_DEVICE_UNROLL
    for (int d = 0; d < 8; ++d) {
      const Vector<float> left[2] = {load_vector(&s.a[d][4 * y]), load_vector(&s.a[d][64 + 4 * y])};
      const Vector<float> right[2] = {load_vector(&s.b[d][4 * x]), load_vector(&s.b[d][64 + 4 * x])};
      VENTRAL_DEVICE_UNROLL
      for (int i = 0; i < 8; ++i)
        VENTRAL_DEVICE_UNROLL
        for (int j = 0; j < 8; ++j) v[i][j] += left[i / 4].v[i % 4] * right[j / 4].v[j % 4];
    }
  }
  VENTRAL_DEVICE void write(const Product& p, const TilePlace<side>& at, int x, int y, bool vectors) const {
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < 8; ++i)
      VENTRAL_DEVICE_UNROLL
      for (int j = 0; j < 8; j += 4) {
        const Index row = at.row + place(y, i), column = at.column + place(x, j);
        if (row < p.m) store_run(p.c + row * p.n + column, Run<4>{{v[i][j], v[i][j + 1], v[i][j + 2], v[i][j + 3]}}, p.n - column, vectors);
      }
  }
};

/// Vectors: memory and shared memory are read and written 16 bytes at a time, wherever rows allow it.
/// Saves: 4 loads from shared memory for 64 multiplications, not 16; a quarter of the loads and stores of memory. Bound by: each slab's way from memory, which
/// the block waits for at a barrier, with nothing to do but for the other block on the same multiprocessor.
VENTRAL_BOUNDED_KERNEL(block) void gemm_vectors_kernel(Product p, InVectors vectors) {
  VENTRAL_SHARED(NarrowSlabs, slabs, 1);
  NarrowSlabs& s = slabs[0];
  const TilePlace<side> at(p);
  const int t = static_cast<int>(threadIdx.x), x = t % 16, y = t / 16;
  const int row = t / 2, a_depth = t % 2 * 4, b_depth = t / 32, column = t % 32 * 4;  // of the vectors this thread brings
  ThreadSums sums;
  for (Index k = 0; k < p.k; k += 8) {
    const Index i = at.row + row, j = at.column + column, ka = k + a_depth, kb = k + b_depth;
    const Vector<float> left = load_run(p.a + i * p.k + ka, i < p.m ? p.k - ka : 0, vectors.a);
    const Vector<float> right = load_run(p.b + kb * p.n + j, kb < p.k ? p.n - j : 0, vectors.b);
    VENTRAL_DEVICE_UNROLL
    for (int d = 0; d < 4; ++d) s.a[a_depth + d][row] = left.v[d];
    store_vector(&s.b[b_depth][column], right);
    __syncthreads();
    sums.add(s, x, y);
    __syncthreads();
  }
  sums.write(p, at, x, y, vectors.c);
}
inline void gemm_vectors(Stream stream, const Product& p) {
  launch(stream, {.kernel = "gemm_vectors_kernel", .blocks = TilePlace<side>::count(p), .threads = block, .shape = {p.m, p.n, p.k}}, gemm_vectors_kernel, p,
         InVectors(p));
}

/// Begins to copy the slabs from k on. a is turned on the way, so its copies are of 4 bytes.
template <int depth, int padding>
VENTRAL_DEVICE void copy_slabs(Slabs<depth, padding>& s, const Product& p, const TilePlace<side>& at, Index k, bool b_vectors) {
  const int t = static_cast<int>(threadIdx.x);
  VENTRAL_DEVICE_UNROLL
  for (int i = t; i < depth * side; i += block) {
    const Index row = at.row + i / depth, d = k + i % depth;
    async_copy<4>(&s.a[i % depth][i / depth], p.a + row * p.k + d, row < p.m && d < p.k);
  }
  const int run = b_vectors ? 4 : 1;
  for (int i = t; i < depth * side / run; i += block) {
    const int slab_row = i * run / side, slab_column = i * run % side;
    const Index d = k + slab_row, column = at.column + slab_column;
    const bool valid = d < p.k && column < p.n;
    if (b_vectors) async_copy<16>(&s.b[slab_row][slab_column], p.b + d * p.n + column, valid);
    else async_copy<4>(&s.b[slab_row][slab_column], p.b + d * p.n + column, valid);
  }
}

/// Calls multiply(slabs) for each of the depth's slabs; while one is multiplied, the next is on its way into the other place.
template <int depth, int padding, class Multiply>
VENTRAL_DEVICE void for_slabs(Slabs<depth, padding>* slabs, const Product& p, const TilePlace<side>& at, bool b_vectors, const Multiply& multiply) {
  if (p.k > 0) copy_slabs(slabs[0], p, at, 0, b_vectors);
  async_commit();
  int now = 0;
  for (Index k = 0; k < p.k; k += depth, now ^= 1) {
    async_wait<0>();
    __syncthreads();  // this slab is there for all; the one before has been read by all, so its place is free
    if (k + depth < p.k) copy_slabs(slabs[now ^ 1], p, at, k + depth, b_vectors);
    async_commit();
    multiply(slabs[now]);
  }
  async_wait<0>();
}

/// Asynchronous copies: cp.async brings the next slabs from memory straight into shared memory while these are multiplied.
/// Saves: the wait for memory, the registers on the way and one of two barriers. Bound by: the FP32 units, and the issue of what is not a multiplication.
VENTRAL_BOUNDED_KERNEL(block) void gemm_async_kernel(Product p, InVectors vectors) {
  VENTRAL_SHARED(NarrowSlabs, slabs, 2);
  const TilePlace<side> at(p);
  const int t = static_cast<int>(threadIdx.x), x = t % 16, y = t / 16;
  ThreadSums sums;
  for_slabs(slabs, p, at, vectors.b, [&](const NarrowSlabs& s) { sums.add(s, x, y); });
  sums.write(p, at, x, y, vectors.c);
}
inline void gemm_async(Stream stream, const Product& p) {
  launch(stream, {.kernel = "gemm_async_kernel", .blocks = TilePlace<side>::count(p), .threads = block, .shape = {p.m, p.n, p.k}}, gemm_async_kernel, p,
         InVectors(p));
}

/// Tensor cores: a warp multiplies 16 x 8 by 8 x 8 numbers in one mma.sync, rounded to tf32, with sums in float. 8 warps of 64 x 32 results each.
/// Saves: 1024 multiplications are one instruction of a warp, not 32. Bound by: the L2 cache, to which 8/128 bytes
/// are now too many; then loads, 6 from shared memory for 4 mma, each to be rounded.
VENTRAL_BOUNDED_KERNEL(block) void gemm_tensor_kernel(Product p, bool b_vectors) {
  using WideSlabs = Slabs<16, 8>;  // padding of 8: the 4 x 8 numbers of a fragment lie in different banks
  VENTRAL_SHARED(WideSlabs, slabs, 2);
  const TilePlace<side> at(p);
  const int t = static_cast<int>(threadIdx.x), warp = t / 32, group = t % 32 / 4, place = t % 4;
  const int first_row = warp / 4 * 64 + group, first_column = warp % 4 * 32;
  float sum[4][4][4] = {};
  for_slabs(slabs, p, at, b_vectors, [&](const WideSlabs& s) {
    VENTRAL_DEVICE_UNROLL
    for (int d = place; d < 16; d += 8) {
      std::uint32_t right[4][2];
      VENTRAL_DEVICE_UNROLL
      for (int j = 0; j < 4; ++j)
        for (int e = 0; e < 2; ++e) right[j][e] = to_tf32(s.b[d + 4 * e][first_column + 8 * j + group]);
      VENTRAL_DEVICE_UNROLL
      for (int i = 0; i < 4; ++i) {
        std::uint32_t left[4];
        for (int e = 0; e < 4; ++e) left[e] = to_tf32(s.a[d + e / 2 * 4][first_row + 16 * i + e % 2 * 8]);
        VENTRAL_DEVICE_UNROLL
        for (int j = 0; j < 4; ++j) mma<float>(sum[i][j], left, right[j]);
      }
    }
  });
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < 4; ++i)
    VENTRAL_DEVICE_UNROLL
    for (int j = 0; j < 4; ++j)
      VENTRAL_DEVICE_UNROLL
      for (int e = 0; e < 4; ++e) {
        const Index row = at.row + first_row + 16 * i + e / 2 * 8, column = at.column + first_column + 8 * j + 2 * place + e % 2;
        if (row < p.m && column < p.n) p.c[row * p.n + column] = sum[i][j][e];
      }
}
inline void gemm_tensor(Stream stream, const Product& p) {
  launch(stream, {.kernel = "gemm_tensor_kernel", .blocks = TilePlace<side>::count(p), .threads = block, .shape = {p.m, p.n, p.k}}, gemm_tensor_kernel, p,
         vectors_fit(p.b, p.n));
}

/// b the other way round, in squares of 32 x 32.
VENTRAL_BOUNDED_KERNEL(256) void gemm_turn_kernel(Index rows, Index columns, const float* from, float* to) {
  using Row = float[33];
  VENTRAL_SHARED(Row, square, 32);
  const Index across = (columns + 31) / 32, row = blockIdx.x / across * 32, column = blockIdx.x % across * 32;
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  for (int i = y; i < 32; i += 8) square[i][x] = element(from, rows, columns, row + i, column + x);
  __syncthreads();
  for (int i = y; i < 32; i += 8)
    if (column + i < columns && row + x < rows) to[(column + i) * rows + row + x] = square[x][i];
}

/// Warpgroups and the copy engine (Hopper only; elsewhere the product's tf32): a thread asks for boxes of a and b, which the engine brings into a ring of four
/// stages; two warpgroups multiply 64 x 256 results each by wgmma, which reads both operands from shared memory. b is turned first: of tf32 wgmma takes rows
/// along k only. Saves: no thread loads, rounds or waits for operands; 8/170 bytes. Bound by: the tensor cores. It is ventral's own: gemm_hopper.cuh.
inline void gemm_warpgroups(Stream stream, const Product& p) {
  auto turned = ventral::Tensor<float, gpu::Space>::uninitialized({p.k * p.n});
  float* const b = turned.data();
  const Index squares = ((p.k + 31) / 32) * ((p.n + 31) / 32);
  launch(stream, {.kernel = "gemm_turn_kernel", .blocks = squares, .threads = {32, 8}, .shape = {p.k, p.n}}, gemm_turn_kernel, p.k, p.n, p.b, b);
  if (p.m > 0 && p.n > 0 && gpu::detail::run_hopper<float>(stream, {p.m, p.n, p.k, 1.0f, {p.a, p.k}, {b, p.k, true}, 0.0f, p.c, p.n}, 1)) return;
  stream.math = ventral::Math::tf32;
  ventral::gpu::gemm<float>(stream, p.m, p.n, p.k, 1.0f, {p.a, p.k}, {b, p.k, true}, 0.0f, p.c, p.n);
}

/// The product's: more stages, tiles chosen by shape, k cut into parts where c has too few tiles, epilogues; tf32 where the caller allows it.
template <ventral::Math math>
void gemm_product(Stream stream, const Product& p) {
  stream.math = math;
  ventral::gpu::gemm<float>(stream, p.m, p.n, p.k, 1.0f, {p.a, p.k}, {p.b, p.n}, 0.0f, p.c, p.n);
}

}  // namespace bench::ladder
