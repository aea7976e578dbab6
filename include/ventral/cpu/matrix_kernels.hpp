#pragma once
#include <algorithm>
#include <utility>

#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/simd.hpp"

namespace ventral::inline v0::cpu {

/// One call of a multiplying kernel: c[i][j] (+)= sum_p a[p][i] b[p][j] + bias for a tile of R rows and V vectors of columns, then ReLU if wanted.
/// Row p of b lies at b + row[p], the taps of a convolution window sliding over an image; or, with a step, at b + p * b_step, in place or packed.
template <class T>
struct Tile {
  static constexpr Index no_offset[1] = {};

  Index depth;       ///< number of terms p
  const T* a;        ///< packed: a[p * R + i]; or in place, see a_row
  const T* b;
  const Index* row;  ///< offsets of the rows of b; no_offset where b_step is given
  T* c;
  Index stride;      ///< between rows of c
  bool add;          ///< c += instead of c =
  const T* bias = nullptr;         ///< one number for each row, or null
  bool relu = false;               ///< max(0, .) of the result; NaN passes
  const T* column_bias = nullptr;  ///< one number for each column, or null
  Index a_row = 1, a_term = 0;     ///< a in place: a[i * a_row + p * a_term]; a_term = 0: packed
  Index b_step = 0;
  T* packed = nullptr;             ///< the packing kernel copies the rows of b here, one after the other
  const T* ahead = nullptr;        ///< what a later tile needs: term p fetches the cache line at ahead + p * ahead_step
  Index ahead_step = 0;
};

namespace detail {

/// Heights of tiles that kernels exist for, up to the tallest of a level.
constexpr int tile_heights[] = {1, 4, 6, 8, 10, 12, 14};
constexpr int tallest_tile = 14, widest_tile = 4 * 64, flat_tile = 6;  // rows; bytes; rows of the tile of four vectors, which avx512 has
constexpr int tallest_at(SimdLevel level) { return level == SimdLevel::avx512 ? 14 : level == SimdLevel::avx2 ? 6 : 4; }

/// Keeps R x V vector accumulators in registers; a term costs V loads of b, R broadcasts of a and R V fused multiply-adds. `Pack` copies the rows
/// of b on the way, which hides behind the arithmetic.
template <class T, int R, int V, bool Pack = false>
struct MultiplyTile {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const Tile<T>& t) {
    if constexpr (R <= tallest_at(I::level) && R * V + V < I::registers) {
      using S = Simd<T, I>;
      if (t.depth >= 64) fetch<S>(t.c, t.stride);
      S acc[R][V];
      VENTRAL_UNROLL for (int i = 0; i < R; ++i) {
        VENTRAL_UNROLL for (int j = 0; j < V; ++j) acc[i][j] = S::zero();
      }
      const Index one = t.a_row, three = 3 * one, term = t.a_term ? t.a_term : R, b_step = t.b_step, row_step = b_step ? 0 : 1;
      const T* a[(R + 3) / 4];  // four rows share a pointer, so that addresses fit the registers
      VENTRAL_UNROLL for (int i = 0; i < R; i += 4) a[i / 4] = t.a + i * one;
      const Index* row = t.row;
      const T* b = t.b;
      [[maybe_unused]] const T* ahead = t.ahead ? t.ahead : b;
      [[maybe_unused]] T* packed = t.packed;
      for (Index p = t.depth; p > 0; --p) {
        const T* const from = b + *row;
        S bv[V];
        VENTRAL_UNROLL for (int j = 0; j < V; ++j) bv[j] = S::load(from + j * S::lanes);
        if constexpr (Pack) {
          VENTRAL_UNROLL for (int j = 0; j < V; ++j) bv[j].store(packed + j * S::lanes);
          packed += V * S::lanes;
        }
        VENTRAL_UNROLL for (int i = 0; i < R; ++i) {
          const S av = S::all(a[i / 4][i % 4 == 3 ? three : i % 4 * one]);
          VENTRAL_UNROLL for (int j = 0; j < V; ++j) acc[i][j] = multiply_add(av, bv[j], acc[i][j]);
        }
        VENTRAL_UNROLL for (int i = 0; i < R; i += 4) a[i / 4] += term;
        if constexpr (R >= 6 && V > 1) __builtin_prefetch(ahead, 0, 2), ahead += t.ahead_step;  // smaller tiles have no time for it
        row += row_step, b += b_step;
      }
      finish<S>(acc, t);
    }
  }

 private:
  /// The tile of c is on its way from memory while the terms are summed.
  template <class S>
  static VENTRAL_ALWAYS_INLINE void fetch(const T* c, Index stride) {
    VENTRAL_UNROLL for (int i = 0; i < R; ++i, c += stride) {
      VENTRAL_UNROLL for (int j = 0; j < V; ++j) __builtin_prefetch(c + j * S::lanes, 0);
    }
  }

  template <class S>
  static VENTRAL_ALWAYS_INLINE void finish(S (&acc)[R][V], const Tile<T>& t) {
    if (t.bias)
      VENTRAL_UNROLL for (int i = 0; i < R; ++i) {
        const S bias = S::all(t.bias[i]);
        VENTRAL_UNROLL for (int j = 0; j < V; ++j) acc[i][j] = acc[i][j] + bias;
      }
    if (t.column_bias) {
      VENTRAL_UNROLL for (int j = 0; j < V; ++j) {
        const S bias = S::load(t.column_bias + j * S::lanes);
        VENTRAL_UNROLL for (int i = 0; i < R; ++i) acc[i][j] = acc[i][j] + bias;
      }
    }
    const Index stride = t.stride;
    const T* old = t.c;
    if (t.add)
      VENTRAL_UNROLL for (int i = 0; i < R; ++i, old += stride) {
        VENTRAL_UNROLL for (int j = 0; j < V; ++j) acc[i][j] = acc[i][j] + S::load(old + j * S::lanes);
      }
    if (t.relu)
      VENTRAL_UNROLL for (int i = 0; i < R; ++i) {
        VENTRAL_UNROLL for (int j = 0; j < V; ++j) acc[i][j] = max(S::zero(), acc[i][j]);
      }
    T* c = t.c;
    VENTRAL_UNROLL for (int i = 0; i < R; ++i, c += stride) {
      VENTRAL_UNROLL for (int j = 0; j < V; ++j) acc[i][j].store(c + j * S::lanes);
    }
  }
};

/// Rows of the tiles that other code packs, and of the packing kernel: rather than 14, as numbers of channels are multiples of it.
constexpr int usual_tile(SimdLevel level) { return std::min(12, tallest_at(level)); }

/// The widest tile of the usual height, packing.
template <class T>
struct MultiplyAndPack {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const Tile<T>& t) {
    MultiplyTile<T, usual_tile(I::level), 2, true>::template run<I>(t);
  }
};

/// Transposes a square of registers: log2(lanes) times, rows i and i + lanes/2 are interleaved into rows 2i and 2i + 1.
template <class T, class I>
struct Transpose {
  using S = Simd<T, I>;
  static constexpr int n = S::lanes;
  static VENTRAL_ALWAYS_INLINE void run(S (&v)[n]) {
    S u[n];
    VENTRAL_UNROLL for (int s = 1; s < n; s *= 2) {
      VENTRAL_UNROLL for (int i = 0; i < n / 2; ++i) interleave(v[i], v[i + n / 2], u[2 * i], u[2 * i + 1], std::make_integer_sequence<int, n>());
      VENTRAL_UNROLL for (int i = 0; i < n; ++i) v[i] = u[i];
    }
  }
  template <int... k>
  static VENTRAL_ALWAYS_INLINE void interleave(const S& a, const S& b, S& low, S& high, std::integer_sequence<int, k...>) {
#if defined(__CUDACC__)  // nvcc loses the dots
    ((low.v[k] = k % 2 ? b.v[k / 2] : a.v[k / 2]), ...);
    ((high.v[k] = k % 2 ? b.v[n / 2 + k / 2] : a.v[n / 2 + k / 2]), ...);
#else
    low.v = __builtin_shufflevector(a.v, b.v, (k / 2 + k % 2 * n)...);
    high.v = __builtin_shufflevector(a.v, b.v, (n / 2 + k / 2 + k % 2 * n)...);
#endif
  }
};

/// y[p * width + i] = x[offset[i] + p] for i < rows, p < count, in squares of registers; i in [rows, width) repeats the last row.
template <class T>
struct PackTransposed {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index rows, Index width, Index count, const T* x, const Index* offset, T* y) {
    using S = Simd<T, I>;
    constexpr Index n = S::lanes;
    for (Index i = (width - 1) / n * n; i >= 0; i -= n) {  // from the last: what a whole register writes beyond the width is overwritten
      const Index valid = std::min(n, width - i), beyond = (n - valid + width - 1) / width;
      const T* r[n];
      for (Index q = 0; q < n; ++q) r[q] = x + offset[std::min(i + q, rows - 1)];
      if (count < n || width == 1) {
        for (Index p = 0; p < count; ++p)
          for (Index q = 0; q < valid; ++q) y[p * width + i + q] = r[q][p];
        continue;
      }
      for (Index p = 0; p < count; p += n) {
        const Index first = std::min(p, count - n);  // the last square overlaps the one before
        S v[n];
        VENTRAL_UNROLL for (Index q = 0; q < n; ++q) v[q] = S::load(r[q] + first);
        Transpose<T, I>::run(v);
        T* const out = y + first * width + i;
        if (first + n + beyond <= count) {
          VENTRAL_UNROLL for (Index q = 0; q < n; ++q) v[q].store(out + q * width);
        } else {
          T square[n * n];
          VENTRAL_UNROLL for (Index q = 0; q < n; ++q) v[q].store(square + q * n);
          for (Index q = 0; q < n; ++q) std::copy_n(square + q * n, valid, out + q * width);
        }
      }
    }
  }
};

/// sum_i x[i] y[i], in four accumulators.
template <class T>
struct Dot {
  template <class I>
  static VENTRAL_ALWAYS_INLINE T run(Index n, const T* x, const T* y) {
    using S = Simd<T, I>;
    S acc[4] = {S::zero(), S::zero(), S::zero(), S::zero()};
    Index i = 0;
    for (; i + 4 * S::lanes <= n; i += 4 * S::lanes)
      VENTRAL_UNROLL for (int q = 0; q < 4; ++q) acc[q] = multiply_add(S::load(x + i + q * S::lanes), S::load(y + i + q * S::lanes), acc[q]);
    for (; i + S::lanes <= n; i += S::lanes) acc[0] = multiply_add(S::load(x + i), S::load(y + i), acc[0]);
    T sum = ((acc[0] + acc[1]) + (acc[2] + acc[3])).sum();
    for (; i < n; ++i) sum += x[i] * y[i];
    return sum;
  }
};

/// out[r * out_stride + t] += sum_{i<n} x[r * x_stride + i] y[offset[t] + i] for R rows and `taps` <= 4 taps; n is a multiple of `lanes`.
template <class T, int R>
struct DotTile {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index n, const T* x, Index x_stride, const T* y, const Index* offset, Index taps, T* out, Index out_stride) {
    using S = Simd<T, I>;
    const T* row[4];
    for (Index t = 0; t < 4; ++t) row[t] = y + offset[std::min(t, taps - 1)];
    S acc[R][4];
    VENTRAL_UNROLL for (int r = 0; r < R; ++r) {
      VENTRAL_UNROLL for (int t = 0; t < 4; ++t) acc[r][t] = S::zero();
    }
    for (Index i = 0; i < n; i += S::lanes) {
      S v[R];
      VENTRAL_UNROLL for (int r = 0; r < R; ++r) v[r] = S::load(x + r * x_stride + i);
      VENTRAL_UNROLL for (int t = 0; t < 4; ++t) {
        const S w = S::load(row[t] + i);
        VENTRAL_UNROLL for (int r = 0; r < R; ++r) acc[r][t] = multiply_add(v[r], w, acc[r][t]);
      }
    }
    for (int r = 0; r < R; ++r)
      for (Index t = 0; t < taps; ++t) out[r * out_stride + t] += acc[r][t].sum();
  }
};

/// sum_i x[i], in four accumulators.
template <class T>
struct Sum {
  template <class I>
  static VENTRAL_ALWAYS_INLINE T run(Index n, const T* x) {
    using S = Simd<T, I>;
    S acc[4] = {S::zero(), S::zero(), S::zero(), S::zero()};
    Index i = 0;
    for (; i + 4 * S::lanes <= n; i += 4 * S::lanes)
      VENTRAL_UNROLL for (int q = 0; q < 4; ++q) acc[q] = acc[q] + S::load(x + i + q * S::lanes);
    for (; i + S::lanes <= n; i += S::lanes) acc[0] = acc[0] + S::load(x + i);
    T sum = ((acc[0] + acc[1]) + (acc[2] + acc[3])).sum();
    for (; i < n; ++i) sum += x[i];
    return sum;
  }
};

/// y[i] += x[i], with narrower registers for the end.
template <class T>
struct AddRow {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index n, const T* x, T* y) {
    Index i = vectors<I>(0, n, x, y);
    if constexpr (I::level == SimdLevel::avx512) i = vectors<Isa<SimdLevel::avx2>>(i, n, x, y);
    if constexpr (I::level != SimdLevel::baseline) i = vectors<Isa<SimdLevel::baseline>>(i, n, x, y);
    for (; i < n; ++i) y[i] += x[i];
  }
  template <class I>
  static VENTRAL_ALWAYS_INLINE Index vectors(Index i, Index n, const T* x, T* y) {
    using S = Simd<T, I>;
    for (; i + S::lanes <= n; i += S::lanes) (S::load(y + i) + S::load(x + i)).store(y + i);
    return i;
  }
};

/// y[r][i] = x[r][i] + shift, row by row, with narrower registers for the end of a row: rows are often shorter than one wide register.
template <class T>
struct ShiftRows {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index rows, Index columns, const T* x, Index x_stride, T shift, T* y, Index y_stride) {
    for (Index r = 0; r < rows; ++r, x += x_stride, y += y_stride) {
      Index i = vectors<I>(0, columns, x, shift, y);
      if constexpr (I::level == SimdLevel::avx512) i = vectors<Isa<SimdLevel::avx2>>(i, columns, x, shift, y);
      if constexpr (I::level != SimdLevel::baseline) i = vectors<Isa<SimdLevel::baseline>>(i, columns, x, shift, y);
      for (; i < columns; ++i) y[i] = x[i] + shift;
    }
  }
  template <class I>
  static VENTRAL_ALWAYS_INLINE Index vectors(Index i, Index columns, const T* x, T shift, T* y) {
    using S = Simd<T, I>;
    for (; i + S::lanes <= columns; i += S::lanes) (S::load(x + i) + S::all(shift)).store(y + i);
    return i;
  }
};

/// y[r][i] = x[r][i], row by row; the last register of a row overlaps the one before. x and y do not.
template <class T>
struct CopyRows {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index rows, Index columns, const T* x, Index x_stride, T* y, Index y_stride) {
    using Half = Isa<SimdLevel::avx2>;
    if (columns >= Simd<T, I>::lanes) return vectors<I>(rows, columns, x, x_stride, y, y_stride);
    if constexpr (I::level == SimdLevel::avx512)
      if (columns >= Simd<T, Half>::lanes) return vectors<Half>(rows, columns, x, x_stride, y, y_stride);
    if constexpr (I::level != SimdLevel::baseline)
      if (columns >= Simd<T, Isa<SimdLevel::baseline>>::lanes) return vectors<Isa<SimdLevel::baseline>>(rows, columns, x, x_stride, y, y_stride);
    for (Index r = 0; r < rows; ++r)
      for (Index i = 0; i < columns; ++i) y[r * y_stride + i] = x[r * x_stride + i];
  }
  template <class I>
  static VENTRAL_ALWAYS_INLINE void vectors(Index rows, Index columns, const T* x, Index x_stride, T* y, Index y_stride) {
    using S = Simd<T, I>;
    for (Index r = 0; r < rows; ++r, x += x_stride, y += y_stride) {
      for (Index i = 0; i + S::lanes < columns; i += S::lanes) S::load(x + i).store(y + i);
      S::load(x + columns - S::lanes).store(y + columns - S::lanes);
    }
  }
};

/// The kernels of one SIMD level under matrix products and convolutions; everything around them is ordinary code.
template <class T>
struct MatrixKernels {
  using Multiply = void (*)(const Tile<T>&);

  Index lanes;                           ///< numbers in a register
  Index height;                          ///< of the usual tile
  Index tallest;                         ///< tile of all
  Multiply multiply[5][tallest_tile + 1];   ///< [vectors][rows]: of one and two vectors, and the flat one of four
  Multiply multiply_and_pack;            ///< of the usual height, the widest
  void (*pack_transposed)(Index, Index, Index, const T*, const Index*, T*);
  T (*dot)(Index, const T*, const T*);
  void (*dot_tile[4])(Index, const T*, Index, const T*, const Index*, Index, T*, Index);  ///< [rows], 1 or 3
  T (*sum)(Index, const T*);
  void (*add_row)(Index, const T*, T*);
  void (*shift_rows)(Index, Index, const T*, Index, T, T*, Index);
  void (*copy_rows)(Index, Index, const T*, Index, T*, Index);

  explicit MatrixKernels(SimdLevel level) {
    const Index bytes = level == SimdLevel::avx512 ? 64 : level == SimdLevel::avx2 ? 32 : 16;
    lanes = bytes / static_cast<Index>(sizeof(T));
    tallest = tallest_at(level);
    height = usual_tile(level);
    set_multiply<1>(level), set_multiply<4>(level), set_multiply<6>(level), set_multiply<8>(level), set_multiply<10>(level), set_multiply<12>(level);
    set_multiply<14>(level);
    multiply[4][flat_tile] = simd_function<MultiplyTile<T, flat_tile, 4>, void(const Tile<T>&)>(level);
    multiply_and_pack = simd_function<MultiplyAndPack<T>, void(const Tile<T>&)>(level);
    pack_transposed = simd_function<PackTransposed<T>, void(Index, Index, Index, const T*, const Index*, T*)>(level);
    dot = simd_function<Dot<T>, T(Index, const T*, const T*)>(level);
    dot_tile[1] = simd_function<DotTile<T, 1>, void(Index, const T*, Index, const T*, const Index*, Index, T*, Index)>(level);
    dot_tile[3] = simd_function<DotTile<T, 3>, void(Index, const T*, Index, const T*, const Index*, Index, T*, Index)>(level);
    sum = simd_function<Sum<T>, T(Index, const T*)>(level);
    add_row = simd_function<AddRow<T>, void(Index, const T*, T*)>(level);
    shift_rows = simd_function<ShiftRows<T>, void(Index, Index, const T*, Index, T, T*, Index)>(level);
    copy_rows = simd_function<CopyRows<T>, void(Index, Index, const T*, Index, T*, Index)>(level);
  }

  /// Columns of a panel: the widest tile.
  Index panel() const { return 2 * lanes; }
  /// Rows of the tile that takes the next of `rows` rows: the tallest, or the smallest that holds them all.
  Index tile_height(Index rows) const {
    for (const int r : tile_heights)
      if (r >= rows && r <= height) return r;
    return height;
  }
  /// The same where heights up to `limit` may differ: as few tiles as can be, of about the same height.
  Index even_height(Index rows, Index limit) const {
    const Index tiles = (rows + limit - 1) / limit, even = (rows + tiles - 1) / tiles;
    for (const int r : tile_heights)
      if (r >= even) return r;
    return limit;
  }
  /// Rows in `rows` rows of tiles, the last one filled up.
  Index packed_rows(Index rows) const {
    const Index whole = rows / height * height;
    return whole + (rows > whole ? tile_height(rows - whole) : 0);
  }
  Index packed_columns(Index columns) const { return (columns + panel() - 1) / panel() * panel(); }

 private:
  template <int R>
  void set_multiply(SimdLevel level) {
    multiply[1][R] = simd_function<MultiplyTile<T, R, 1>, void(const Tile<T>&)>(level);
    multiply[2][R] = simd_function<MultiplyTile<T, R, 2>, void(const Tile<T>&)>(level);
  }
};

/// The kernels of a level, by default of the one in use.
template <class T>
const MatrixKernels<T>& matrix_kernels(SimdLevel level = simd_level()) {
  static const MatrixKernels<T> kernels[] = {MatrixKernels<T>(SimdLevel::baseline), MatrixKernels<T>(SimdLevel::avx2), MatrixKernels<T>(SimdLevel::avx512)};
  return kernels[static_cast<int>(level)];
}
VENTRAL_COMPILED(matrix_kernels)

}  // namespace detail

}  // namespace ventral::inline v0::cpu
