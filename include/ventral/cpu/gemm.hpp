#pragma once
#include <optional>
#include <span>

#include "ventral/cpu/compiled.hpp"
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

/// What becomes of each row of a product before it is stored: relu(row + bias), as far as wanted. bias has one number for each column, or is null.
template <class T>
struct GemmEpilogue {
  const T* bias = nullptr;
  bool relu = false;
};

namespace detail {

/// A product C = epilogue(alpha A B + beta C); see cpu::gemm.
template <class T>
struct Product {
  Index m, n, k;
  T alpha;
  Matrix<T> a, b;
  T beta;
  T* c;
  Index c_stride;
  GemmEpilogue<T> epilogue = {};

  bool empty() const { return m <= 0 || n <= 0; }
  /// A few rows times a transposed matrix, or no terms at all.
  bool suits_dots(const MatrixKernels<T>& kernels) const { return k <= 0 || (m <= 3 && k >= 4 * kernels.lanes && !a.transposed && b.transposed); }
};

/// How a product is cut: blocks of c, one chunk each, and the depth that is packed at a time. From the shape and the SIMD level only.
struct GemmBlocks {
  Index rows, columns, depth;
};

template <class T>
GemmBlocks cut_gemm(const MatrixKernels<T>& kernels, const Product<T>& p) {
  constexpr Index enough_chunks = 8, max_depth = 640, least_depth = 16, small_work = Index{1} << 20;
  const Index max_rows = p.b.transposed ? 528 : 8 * kernels.tallest, max_columns = p.b.transposed ? 512 : 2048;  // transposing takes many rows to pay
  const auto evenly = [](Index whole, Index most, Index unit) {
    const Index parts = (whole + most - 1) / most;
    return ((whole + parts - 1) / parts + unit - 1) / unit * unit;
  };
  GemmBlocks cut{p.m, p.n, 1};
  if (p.m * p.n * std::max(p.k, least_depth) > small_work) {
    cut.rows = evenly(p.m, max_rows, 2), cut.columns = evenly(p.n, max_columns, kernels.panel());
    while (((p.m + cut.rows - 1) / cut.rows) * ((p.n + cut.columns - 1) / cut.columns) < enough_chunks && cut.rows * cut.columns * p.k > small_work) {
      const Index rows = evenly(cut.rows, (cut.rows + 1) / 2, 2), columns = evenly(cut.columns, (cut.columns + 1) / 2, kernels.panel());
      if (columns < cut.columns && (cut.columns >= cut.rows || rows >= cut.rows)) cut.columns = columns;
      else if (rows < cut.rows) cut.rows = rows;
      else break;
    }
  }
  if (p.k > 0) cut.depth = p.k <= max_depth ? p.k : evenly(p.k, max_depth, 1);
  return cut;
}

/// Where a tile lies along one axis of c: `size` numbers from `first`, of which the `valid` ones after `skip` are wanted. At the end of an axis a tile
/// reaches back over the one before it; where there is none, it is filled up.
struct Extent {
  Index first, size, valid, skip;

  Extent() = default;
  Extent(Index at, Index tile, Index wanted) : first(at), size(tile), valid(wanted), skip(0) {
    if (tile - wanted <= at) skip = tile - wanted, first = at - skip;
  }
  bool filled_up() const { return skip + valid < size; }
};

/// Blocks of c, each one slab of the depth after the other, in bands of rows: panel after panel of b meets the tiles of a band. The first tile packs the
/// panel as it goes, unless it is good in place; tiles after it fetch the next one.
template <class T>
class GemmBlock {
 public:
  GemmBlock(const MatrixKernels<T>& kernels, const Product<T>& product) : kernels_(kernels), p_(product), cut_(cut_gemm(kernels, product)) {
    constexpr Index size = sizeof(T), page = 4096, second_level_cache = 256 * 1024, few_tiles = 3, many_columns = 1024;
    const auto clash = [&](const Matrix<T>& m, Index step) { return m.stride * size % step == 0 && cut_.depth > 64; };  // rows fall on the same cache lines
    across_ = (p_.n + cut_.columns - 1) / cut_.columns;
    const bool packs_a = p_.alpha != T(1) || (p_.a.transposed ? clash(p_.a, page) : clash(p_.a, 2 * page) && cut_.columns >= many_columns);
    limit_ = !packs_a && !p_.a.transposed && clash(p_.a, page) ? kernels.height : kernels.tallest;  // a first-level cache of 12 ways holds 12 such rows
    b_in_place_ = !p_.b.transposed && p_.n >= kernels.lanes && !clash(p_.b, page / 2) &&
                  (cut_.rows <= few_tiles * limit_ || p_.k * p_.b.stride * size <= second_level_cache);
    panel_ = cut_.rows <= flat_tile && kernels.tallest > flat_tile && kernels.even_height(cut_.rows, limit_) == flat_tile ? 4 * kernels.lanes : kernels.panel();
    a_in_place_ = !packs_a && p_.m >= kernels.even_height(p_.m, limit_);
    if (!a_in_place_ && !p_.a.transposed)
      for (Index i = 0; i < tallest_tile; ++i) a_row_[i] = i * p_.a.stride;
    if (p_.b.transposed)
      for (Index i = 0; i < panel_; ++i) b_row_[i] = i * p_.b.stride;
  }

  Index chunks() const { return across_ * ((p_.m + cut_.rows - 1) / cut_.rows); }
  Index bytes() const { return Arena::bytes<T>(a_size()) + Arena::bytes<T>(b_size()); }

  void run(Index chunk, Arena arena) const {
    const Index i = chunk / across_ * cut_.rows, j = chunk % across_ * cut_.columns, rows = std::min(cut_.rows, p_.m - i);
    const Index columns = std::min(cut_.columns, p_.n - j);
    T *const a = arena.template take<T>(a_size()), *const b = arena.template take<T>(b_size());
    if (p_.beta != T(0) && p_.beta != T(1)) scale(i, j, rows, columns);
    Tile<T> tile{0, a, b, Tile<T>::no_offset, nullptr, p_.c_stride, p_.beta != T(0)};
    if (a_in_place_) tile.a_row = p_.a.transposed ? 1 : p_.a.stride, tile.a_term = p_.a.transposed ? p_.a.stride : 1;
    for (Index p = 0; p < p_.k; p += tile.depth, tile.add = true) {
      tile.depth = std::min(cut_.depth, p_.k - p);
      const bool last = p + tile.depth == p_.k;
      tile.relu = last && p_.epilogue.relu;
      Band band;
      for (Index r = 0; r < rows;) {
        const bool first = r == 0;
        r = take_band(i, r, rows, p, tile.depth, a, band);
        const bool again = !first || r < rows;  // another band meets the panels
        for (Index q = 0, width; q < columns; q += width) {
          Index size = panel_;  // the widest tile that is not half empty and has something to reach back over
          while (size > kernels_.lanes && (columns - q <= size / 2 || j + columns < size)) size /= 2;
          width = std::min(size, columns - q);
          const Extent e(j + q, size, width);
          const T* const next = q + width < columns ? b_at(p, j + q + width) : last ? nullptr : b_at(p + tile.depth, j);
          if (p_.epilogue.bias && last) tile.column_bias = p_.epilogue.bias + e.first;
          multiply_panel(i, j, p, band, first, e, next, b + (again ? q * tile.depth : 0), tile);
        }
      }
    }
  }

 private:
  static constexpr Index band_tiles = 8;
  struct Band {
    Index tiles;
    Extent rows[band_tiles];
    const T* a[band_tiles];
  };

  Index a_size() const { return a_in_place_ ? 0 : std::min(band_tiles * kernels_.tallest, cut_.rows + kernels_.tallest) * cut_.depth; }
  Index b_size() const {  // columns packed: those of the block and what fills the last panel up
    return b_in_place_ ? 0 : cut_.depth * (cut_.rows <= band_tiles * kernels_.height ? panel_ : kernels_.packed_columns(cut_.columns));
  }

  const T* b_at(Index p, Index j) const { return p_.b.data + (p_.b.transposed ? j * p_.b.stride + p : p * p_.b.stride + j); }

  /// The next tiles of a block of rows, where their rows are or packed. Returns the row after them.
  Index take_band(Index i, Index r, Index rows, Index p, Index depth, T* packed, Band& band) const {
    band.tiles = 0;
    for (; r < rows && band.tiles < band_tiles; ++band.tiles) {
      const bool packs = r == 0 && !b_in_place_ && rows >= kernels_.height;
      const Index height = packs ? kernels_.height : kernels_.even_height(rows - r, limit_), valid = std::min(height, rows - r);
      const Extent e(i + r, height, valid);
      const T* const from = p_.a.data + (p_.a.transposed ? p * p_.a.stride + e.first : e.first * p_.a.stride + p);
      band.rows[band.tiles] = e, band.a[band.tiles] = a_in_place_ ? from : packed;
      if (!a_in_place_) pack_rows(e, depth, from, packed), packed += height * depth;
      r += valid;
    }
    return r;
  }
  void pack_rows(const Extent& e, Index depth, const T* from, T* packed) const {
    if (!p_.a.transposed) kernels_.pack_transposed(e.skip + e.valid, e.size, depth, from, a_row_, packed);
    else {
      if (e.filled_up()) std::fill_n(packed, e.size * depth, T(0));
      kernels_.copy_rows(depth, e.skip + e.valid, from, p_.a.stride, packed, e.size);
    }
    for (Index q = 0; p_.alpha != T(1) && q < e.size * depth; ++q) packed[q] *= p_.alpha;
  }

  /// The tiles of a band times one panel of b. The first ones fetch the next panel, a column of cache lines each.
  void multiply_panel(Index i, Index j, Index p, const Band& band, bool first, const Extent& columns, const T* next, T* packed, Tile<T>& tile) const {
    const T* const from = b_at(p, columns.first);
    const bool packs = first && !b_in_place_;
    const bool along = packs && !p_.b.transposed && columns.size == kernels_.panel() && band.rows[0].size == kernels_.height;
    const bool fetches = first && next && !p_.b.transposed, again = !tile.add && columns.first >= j && !columns.filled_up();
    const auto& multiply = kernels_.multiply[columns.size / kernels_.lanes];
    if (packs && !along) pack_columns(columns, tile.depth, from, packed);
    tile.ahead_step = fetches ? p_.b.stride : 0;
    for (Index u = 0; u < band.tiles; ++u) {
      const Extent& rows = band.rows[u];
      const bool in_place = b_in_place_ || (along && u == 0);
      tile.b = in_place ? from : packed, tile.b_step = in_place ? p_.b.stride : columns.size, tile.packed = packed;
      tile.a = band.a[u], tile.c = p_.c + rows.first * p_.c_stride + columns.first;
      tile.ahead = fetches && u < 3 ? next + std::min(u * kernels_.lanes, kernels_.panel() - 1) : nullptr;
      if (!tile.ahead) tile.ahead_step = 0;
      const auto kernel = along && u == 0 ? kernels_.multiply_and_pack : multiply[rows.size];
      const bool whole = rows.valid == rows.size && columns.valid == columns.size;
      if (whole || (again && rows.first >= i && !rows.filled_up())) kernel(tile);  // numbers of the tile before are written again, with the same bits
      else multiply_part(kernel, kernels_, tile, columns.size, rows.valid, columns.valid, rows.skip, columns.skip);
    }
  }
  void pack_columns(const Extent& e, Index depth, const T* from, T* packed) const {
    if (p_.b.transposed) return kernels_.pack_transposed(e.skip + e.valid, e.size, depth, from, b_row_, packed);
    if (e.filled_up()) std::fill_n(packed, e.size * depth, T(0));
    kernels_.copy_rows(depth, e.skip + e.valid, from, p_.b.stride, packed, e.size);
  }
  void scale(Index i, Index j, Index rows, Index columns) const {
    for (Index r = i; r < i + rows; ++r)
      for (Index q = j; q < j + columns; ++q) p_.c[r * p_.c_stride + q] *= p_.beta;
  }

  const MatrixKernels<T>& kernels_;
  const Product<T>& p_;
  GemmBlocks cut_;
  Index across_, limit_, panel_;
  bool a_in_place_, b_in_place_;
  Index a_row_[tallest_tile], b_row_[widest_tile / sizeof(T)];
};

/// A number of the product with its sum of terms: what a kernel does to it in the end.
template <class T>
T finished(const Product<T>& p, Index j, T sum, T old) {
  T y = p.alpha * sum;
  if (p.beta != T(0)) y += p.beta * old;
  if (p.epilogue.bias) y += p.epilogue.bias[j];
  return p.epilogue.relu && y < T(0) ? T(0) : y;
}

/// A few rows times a transposed matrix: dot products of rows, nothing is packed. Also a product without terms.
template <class T>
void gemm_by_dots(const MatrixKernels<T>& kernels, const Product<T>& p) {
  constexpr Index work = Index{1} << 17;
  parallel_ranges(p.n, work / (p.m * std::max(p.k, Index{1})) + 1, [&](Index first, Index last) {
    for (Index j = first; j < last; ++j)
      for (Index i = 0; i < p.m; ++i) {
        T& c = p.c[i * p.c_stride + j];
        c = finished(p, j, p.k > 0 ? kernels.dot(p.k, p.a.data + i * p.a.stride, p.b.data + j * p.b.stride) : T(0), c);
      }
  });
}

/// Independent products in one parallel region: the chunks of the first, then those of the next.
template <class T>
void gemm_by_blocks(const MatrixKernels<T>& kernels, std::span<const Product<T>> products) {
  constexpr std::size_t most = 2;
  std::optional<GemmBlock<T>> blocks[most];
  Index each = 0, chunks = 0, first[most] = {};
  for (std::size_t q = 0; q < products.size(); ++q) {
    blocks[q].emplace(kernels, products[q]);
    each = std::max(each, blocks[q]->bytes());
    first[q] = chunks, chunks += blocks[q]->chunks();
  }
  Scratch& scratch = Scratch::mine();
  scratch.reserve(0, each);
  parallel_for(chunks, [&](Index chunk) {
    const std::size_t q = products.size() > 1 && chunk >= first[1] ? 1 : 0;
    Scratch::Lease lease(scratch);
    blocks[q]->run(chunk - first[q], lease.arena());
  });
}

template <class T>
void gemm(const MatrixKernels<T>& kernels, const Product<T>& p) {
  if (p.empty()) return;
  if (p.suits_dots(kernels)) return gemm_by_dots(kernels, p);
  gemm_by_blocks<T>(kernels, {&p, 1});
}

/// Two independent products: in one parallel region, unless both together are not worth one.
template <class T>
void gemm(const MatrixKernels<T>& kernels, const Product<T>& p, const Product<T>& q) {
  constexpr Index small_work = Index{1} << 19;
  const bool small = p.m * p.n * p.k + q.m * q.n * q.k < small_work;
  if (small || p.empty() || q.empty() || p.suits_dots(kernels) || q.suits_dots(kernels)) return gemm(kernels, p), gemm(kernels, q);
  const Product<T> both[] = {p, q};
  gemm_by_blocks<T>(kernels, both);
}

}  // namespace detail

/// C = alpha A B + beta C, with A [m,k], B [k,n] (as multiplied: a transposed one is stored the other way round) and C [m,n], row-major.
/// With beta = 0, C is written without being read. Each element is summed in one fixed order: the same bits for any number of threads.
/// 2 m n k operations; each number of A and B is read from memory once for each block of C it meets (112 x 2048 or 528 x 512 at most).
/// Method: Goto, van de Geijn 2008, "Anatomy of high-performance matrix multiplication".
template <class T>
void gemm(Stream, Index m, Index n, Index k, std::type_identity_t<T> alpha, std::type_identity_t<Matrix<T>> a, std::type_identity_t<Matrix<T>> b,
          std::type_identity_t<T> beta, T* c, Index c_stride, std::type_identity_t<GemmEpilogue<T>> epilogue = {}) {
  detail::gemm<T>(detail::matrix_kernels<T>(), {m, n, k, alpha, a, b, beta, c, c_stride, epilogue});
}

// In the library ventral::kernels.
VENTRAL_COMPILED(gemm)

}  // namespace ventral::inline v0::cpu
