#pragma once
#include "ventral/cpu/packing.hpp"
#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/scratch.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::cpu {

/// A row-major matrix to read: `stride` numbers from row to row. `transposed` multiplies by its transpose.
template <class T>
struct Matrix {
  const T* data;
  Index stride;
  bool transposed = false;
};

namespace detail {

/// How a product is cut: blocks of c, one chunk each, and the depth that is packed at a time. From the shape and the SIMD level only.
struct GemmBlocks {
  Index rows, columns, depth;
};

template <class T>
GemmBlocks cut_gemm(const MatrixKernels<T>& kernels, Index m, Index n, Index k) {
  constexpr Index max_rows = 264, max_columns = 512, max_depth = 320, enough_chunks = 8, least_depth = 16, small_work = Index{1} << 20;
  const auto halved = [](Index whole, Index unit) { return ((whole + 1) / 2 + unit - 1) / unit * unit; };
  GemmBlocks cut{m, n, 1};
  for (;;) {
    const Index chunks = ((m + cut.rows - 1) / cut.rows) * ((n + cut.columns - 1) / cut.columns);
    const bool fits = cut.rows <= max_rows && cut.columns <= max_columns, small = cut.rows * cut.columns * std::max(k, least_depth) <= small_work;
    if (small || (fits && chunks >= enough_chunks)) break;
    const Index rows = halved(cut.rows, kernels.height), columns = halved(cut.columns, kernels.panel());
    if (columns < cut.columns && (cut.columns >= cut.rows || rows >= cut.rows)) cut.columns = columns;
    else if (rows < cut.rows) cut.rows = rows;
    else break;
  }
  const Index parts = std::max(Index{1}, (k + max_depth - 1) / max_depth);
  cut.depth = (k + parts - 1) / parts;
  return cut;
}

template <class T>
void scale_block(Index rows, Index columns, T beta, T* c, Index stride) {
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; ++j) c[i * stride + j] = beta == T(0) ? T(0) : beta * c[i * stride + j];
}

/// One block of c: packs a and, unless few rows use it, b, a slab of the depth at a time.
template <class T>
class GemmBlock {
 public:
  GemmBlock(const MatrixKernels<T>& kernels, Index k, T alpha, Matrix<T> a, Matrix<T> b, T beta, T* c, Index c_stride, GemmBlocks cut)
      : kernels_(kernels), k_(k), alpha_(alpha), beta_(beta), a_(a), b_(b), c_(c), c_stride_(c_stride), cut_(cut) {
    constexpr Index page = 4096;  // rows a page apart fall on the same cache lines
    const bool clash = b.stride * static_cast<Index>(sizeof(T)) % (page / 2) == 0 && cut.depth > 32;
    in_place_ = !b.transposed && cut.rows <= 2 * kernels.height && !clash;
  }

  Index shared_bytes() const { return Arena::bytes<Index>(cut_.rows) + Arena::bytes<Index>(b_rows()) + Arena::bytes<Index>(cut_.depth); }
  Index bytes() const {
    return Arena::bytes<T>(kernels_.packed_rows(cut_.rows) * cut_.depth + 4) + Arena::bytes<T>(kernels_.packed_columns(cut_.columns) * cut_.depth);
  }
  /// Tables of row offsets, for all blocks.
  void prepare(Arena shared) {
    const auto table = [&](Index count, Index stride) {
      Index* t = shared.template take<Index>(count);
      for (Index i = 0; i < count; ++i) t[i] = i * stride;
      return t;
    };
    a_row_ = table(cut_.rows, a_.stride);
    b_row_ = table(b_rows(), b_.stride);
    panel_row_ = table(cut_.depth, kernels_.panel());
  }

  void run(Index i, Index j, Index rows, Index columns, Arena arena) const {
    T* const a = arena.template take<T>(kernels_.packed_rows(cut_.rows) * cut_.depth + 4);
    T* const b = arena.template take<T>(kernels_.packed_columns(cut_.columns) * cut_.depth);
    T* const c = c_ + i * c_stride_ + j;
    if (k_ == 0 || (beta_ != T(0) && beta_ != T(1))) scale_block(rows, columns, beta_, c, c_stride_);
    for (Index p = 0; p < k_; p += cut_.depth) {
      const Index depth = std::min(cut_.depth, k_ - p);
      const bool add = p > 0 || beta_ != T(0);
      pack_a(i, p, rows, depth, a);
      const Index whole = in_place_ ? columns / kernels_.lanes * kernels_.lanes : 0;  // the rest is packed, to be readable by whole registers
      if (whole > 0) multiply_tiles<T>(kernels_, rows, whole, depth, {a, depth}, {b_.data + p * b_.stride + j, b_row_, kernels_.panel()}, c, c_stride_, add);
      if (whole < columns) {
        pack_b(p, j + whole, depth, columns - whole, b);
        multiply_tiles<T>(kernels_, rows, columns - whole, depth, {a, depth}, {b, panel_row_, kernels_.panel() * depth}, c + whole, c_stride_, add);
      }
    }
  }

 private:
  Index b_rows() const { return std::max(cut_.depth, cut_.columns); }

  void pack_a(Index i, Index p, Index rows, Index depth, T* out) const {
    if (a_.transposed) pack_tiles_of_columns(kernels_, rows, depth, a_.data + p * a_.stride + i, a_.stride, out);
    else pack_tiles(kernels_, rows, depth, a_.data + i * a_.stride + p, a_row_, out);
    if (alpha_ != T(1)) scale_block(1, kernels_.packed_rows(rows) * depth, alpha_, out, Index{0});
  }
  void pack_b(Index p, Index j, Index depth, Index columns, T* out) const {
    if (!b_.transposed) return pack_panels(kernels_, depth, columns, b_.data + p * b_.stride + j, b_.stride, out);
    for (Index q = 0; q < columns; q += kernels_.panel())
      kernels_.pack_transposed(std::min(columns - q, kernels_.panel()), kernels_.panel(), depth, b_.data + j * b_.stride + p, b_row_ + q, out + q * depth);
  }

  const MatrixKernels<T>& kernels_;
  Index k_;
  T alpha_, beta_;
  Matrix<T> a_, b_;
  T* c_;
  Index c_stride_;
  GemmBlocks cut_;
  bool in_place_ = false;
  const Index *a_row_ = nullptr, *b_row_ = nullptr, *panel_row_ = nullptr;
};

/// A few rows times a transposed matrix: dot products of rows, nothing is packed.
template <class T>
void gemm_by_dots(const MatrixKernels<T>& kernels, Index m, Index n, Index k, T alpha, Matrix<T> a, Matrix<T> b, T beta, T* c, Index c_stride) {
  constexpr Index work = Index{1} << 17;
  parallel_ranges(n, work / (m * k) + 1, [&](Index first, Index last) {
    for (Index j = first; j < last; ++j)
      for (Index i = 0; i < m; ++i) {
        T& out = c[i * c_stride + j];
        const T product = alpha * kernels.dot(k, a.data + i * a.stride, b.data + j * b.stride);
        out = beta == T(0) ? product : product + beta * out;
      }
  });
}

template <class T>
void gemm(const MatrixKernels<T>& kernels, Index m, Index n, Index k, T alpha, Matrix<T> a, Matrix<T> b, T beta, T* c, Index c_stride) {
  if (m <= 0 || n <= 0) return;
  if (m <= 3 && k >= 4 * kernels.lanes && !a.transposed && b.transposed) return gemm_by_dots(kernels, m, n, k, alpha, a, b, beta, c, c_stride);
  const GemmBlocks cut = cut_gemm(kernels, m, n, k);
  GemmBlock<T> block(kernels, k, alpha, a, b, beta, c, c_stride, cut);
  Scratch& scratch = Scratch::mine();
  scratch.reserve(block.shared_bytes(), block.bytes());
  block.prepare(scratch.shared());
  const Index across = (n + cut.columns - 1) / cut.columns, down = (m + cut.rows - 1) / cut.rows;
  parallel_for(across * down, [&](Index chunk) {
    const Index i = chunk / across * cut.rows, j = chunk % across * cut.columns;
    Scratch::Lease lease(scratch);
    block.run(i, j, std::min(cut.rows, m - i), std::min(cut.columns, n - j), lease.arena());
  });
}

}  // namespace detail

/// C = alpha A B + beta C, with A [m,k], B [k,n] (as multiplied: a transposed one is stored the other way round) and C [m,n], row-major.
/// With beta = 0, C is written without being read. Each element is summed in one fixed order: the same bits for any number of threads.
/// 2 m n k operations; each number of A and B is read from memory once for each block of C it meets (264 x 512 at most).
/// Method: Goto, van de Geijn 2008, "Anatomy of high-performance matrix multiplication".
template <class T>
void gemm(Stream, Index m, Index n, Index k, std::type_identity_t<T> alpha, std::type_identity_t<Matrix<T>> a, std::type_identity_t<Matrix<T>> b,
          std::type_identity_t<T> beta, T* c, Index c_stride) {
  detail::gemm<T>(detail::matrix_kernels<T>(), m, n, k, alpha, a, b, beta, c, c_stride);
}

}  // namespace ventral::inline v0::cpu
