#pragma once
#include "ventral/cuda/gemm_problem.cuh"

/// All gradients of a small linear layer in one launch. Three products of some 10^6 multiplications each cost a GPU less than the starts of four kernels.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail {

/// The sum of value(r), first <= r < last, by a column of a block of across x down threads: thread y adds every down-th number from first + y on, then thread 0
/// the sums in order and returns the total. A barrier: all threads must come here, once.
template <class C, int across, int down, class Value>
VENTRAL_DEVICE C column_sum(Index first, Index last, const Value& value) {
  VENTRAL_SHARED(C, of_thread, across * down);
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  C sum = 0;
  for (Index r = first + y; r < last; r += down) sum += value(r);
  of_thread[y * across + x] = sum;
  __syncthreads();
  if (y != 0) return sum;
  VENTRAL_DEVICE_UNROLL
  for (int i = 1; i < down; ++i) sum += of_thread[i * across + x];
  return sum;
}

/// With s = dy, or where y is not null s = dy where y > 0, else 0: dx = s w, dw += s^T x, db += the sums of the columns of s, each unless null.
/// x [rows,in], y and dy [rows,out], w [out,in].
template <class T>
struct LinearGradients {
  Index rows, in, out;
  const T *x, *y, *w, *dy;
  T *dx, *dw, *db;

  static constexpr int side = 32, down = 8, depth = 64;  ///< a block: side x down threads, side x side numbers, slabs so deep
  static constexpr Index most_depth = 256, most_products = Index{1} << 24;

  static constexpr Index parts(Index n) { return (n + side - 1) / side; }
  constexpr Index dx_blocks() const { return dx ? parts(rows) * parts(in) : 0; }
  constexpr Index dw_blocks() const { return dw ? parts(out) * parts(in) : 0; }
  constexpr Index blocks() const { return dx_blocks() + dw_blocks() + (db ? parts(out) : 0); }
  /// Whether latency is all that counts: depths that a block alone gets over quickly, and few tiles.
  constexpr bool small() const { return rows <= most_depth && out <= most_depth && rows * in * out <= most_products; }

  VENTRAL_DEVICE T slope(Index row, Index column) const {
    const Index at = row * out + column;
    const T value = dy[at];
    return !y || y[at] > T(0) ? value : T(0);
  }
};

/// A block's tile of a product, sum over k of a(i, k) b(k, j) for i, j in [0, side) and k in order: each thread 4 neighbours of a column, from row(0) on.
/// In memory, neighbours of a are those along k (`along_k`) or along i, those of b along j. a and b give 0 outside; slabs of them pass through shared memory.
template <class T>
class SmallTile {
  using Sizes = LinearGradients<T>;
  static constexpr int side = Sizes::side, depth = Sizes::depth, threads = side * Sizes::down, each = side / Sizes::down, vector = 16 / sizeof(T);
  static constexpr int stride = side + vector, unrolled = 8;  // rows of a are read in vectors; the padding keeps banks apart

 public:
  static constexpr int count = each;
  static constexpr int a_size = depth * stride, b_size = depth * side;

  template <bool along_k, class A, class B>
  VENTRAL_DEVICE void multiply(T* a_slab, T* b_slab, Index k_end, const A& a, const B& b) {
    const int thread = thread_in_block();
    for (Index first = 0; first < k_end; first += depth) {
      VENTRAL_DEVICE_UNROLL
      for (int n = 0; n < depth * side; n += threads) {
        const int e = n + thread, i = along_k ? e / depth : e % side, k = along_k ? e % depth : e / side;
        a_slab[k * stride + i] = first + k < k_end ? a(i, first + k) : T(0);
        b_slab[e] = first + e / side < k_end ? b(first + e / side, e % side) : T(0);
      }
      __syncthreads();
      for (int k = 0; k < depth && first + k < k_end; k += unrolled) {
        VENTRAL_DEVICE_UNROLL
        for (int s = 0; s < unrolled; ++s) add(a_slab + (k + s) * stride + row(0), b_slab[(k + s) * side + column()]);
      }
      __syncthreads();
    }
  }

  VENTRAL_DEVICE static int row(int i) { return static_cast<int>(threadIdx.y) * each + i; }
  VENTRAL_DEVICE static int column() { return static_cast<int>(threadIdx.x); }
  VENTRAL_DEVICE T sum(int i) const { return sum_[i]; }

 private:
  VENTRAL_DEVICE void add(const T* a, T b) {
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < each; i += vector) {
      const auto left = load_vector<T>(a + i);
      VENTRAL_DEVICE_UNROLL
      for (int j = 0; j < vector; ++j) sum_[i + j] += left.v[j] * b;
    }
  }

  T sum_[each] = {};
};

/// A block for each tile of dx, then of dw, then for each 32 columns of db. Sums of dx and dw run in order over all of the depth, db's as in
/// column_sums_kernel. Reads each operand once for each tile it meets.
template <class T>
VENTRAL_BOUNDED_KERNEL(LinearGradients<T>::side* LinearGradients<T>::down) void linear_gradients_kernel(LinearGradients<T> p) {
  constexpr int side = p.side;
  VENTRAL_SHARED(T, a, SmallTile<T>::a_size);
  VENTRAL_SHARED(T, b, SmallTile<T>::b_size);
  const Index across = p.parts(p.in);
  Index block = blockIdx.x;
  if (block < p.dx_blocks()) {
    const Index row = block / across * side, column = block % across * side;
    SmallTile<T> tile;
    tile.template multiply<true>(
        a, b, p.out, [&](int i, Index k) { return row + i < p.rows ? p.slope(row + i, k) : T(0); },
        [&](Index k, int j) { return column + j < p.in ? p.w[k * p.in + column + j] : T(0); });
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < tile.count; ++i)
      if (row + tile.row(i) < p.rows && column + tile.column() < p.in) p.dx[(row + tile.row(i)) * p.in + column + tile.column()] = tile.sum(i);
    return;
  }
  block -= p.dx_blocks();
  if (block < p.dw_blocks()) {
    const Index row = block / across * side, column = block % across * side;
    SmallTile<T> tile;
    tile.template multiply<false>(
        a, b, p.rows, [&](int i, Index k) { return row + i < p.out ? p.slope(k, row + i) : T(0); },
        [&](Index k, int j) { return column + j < p.in ? p.x[k * p.in + column + j] : T(0); });
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < tile.count; ++i)
      if (row + tile.row(i) < p.out && column + tile.column() < p.in) p.dw[(row + tile.row(i)) * p.in + column + tile.column()] += tile.sum(i);
    return;
  }
  const Index column = (block - p.dw_blocks()) * side + threadIdx.x;
  const T sum = column_sum<T, side, LinearGradients<T>::down>(0, column < p.out ? p.rows : 0, [&](Index r) { return p.slope(r, column); });
  if (threadIdx.y == 0 && column < p.out) p.db[column] += sum;
}

template <class T>
void run_linear_gradients(Stream stream, const LinearGradients<T>& p) {
  const Launch l{.kernel = "linear_gradients_kernel", .blocks = p.blocks(), .threads = {p.side, p.down}, .shape = {p.rows, p.in, p.out}};
  if (p.blocks() > 0) launch(stream, l, linear_gradients_kernel<T>, p);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail
