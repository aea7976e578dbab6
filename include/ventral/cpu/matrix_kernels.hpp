#pragma once
#include <algorithm>
#include <utility>

#include "ventral/cpu/simd.hpp"

namespace ventral::inline v0::cpu {

/// One call of a multiplying kernel: c[i][j] (+)= sum_p a[p][i] b[p][j] for a tile of R rows and V vectors of columns.
/// Row p of b lies at b + row[p], so that b may be a packed panel, a matrix in place, or the taps of a convolution window sliding over an image.
template <class T>
struct Tile {
  Index depth;       ///< number of terms p
  const T* a;        ///< packed: a[p * R + i]
  const T* b;
  const Index* row;  ///< offsets of the rows of b
  T* c;
  Index stride;      ///< between rows of c
  bool add;          ///< c += instead of c =
};

namespace detail {

/// Heights of tiles that kernels exist for. A level uses those whose accumulators fit its registers.
constexpr int tile_heights[] = {1, 4, 6, 8, 12};
constexpr int tallest_tile = 12, widest_tile = 2 * 64;  // rows; bytes

/// Keeps R x V vector accumulators in registers; a term costs V loads of b, R broadcasts of a and R V fused multiply-adds.
template <class T, int R, int V>
struct MultiplyTile {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const Tile<T>& t) {
    if constexpr (R * V + V + 1 <= I::registers) {
      using S = Simd<T, I>;
      S acc[R][V];
      VENTRAL_UNROLL for (int i = 0; i < R; ++i) {
        VENTRAL_UNROLL for (int j = 0; j < V; ++j) acc[i][j] = S::zero();
      }
      const T* a = t.a;
      for (Index p = 0; p < t.depth; ++p, a += R) {
        const T* b = t.b + t.row[p];
        S bv[V];
        VENTRAL_UNROLL for (int j = 0; j < V; ++j) bv[j] = S::load(b + j * S::lanes);
        VENTRAL_UNROLL for (int i = 0; i < R; ++i) {
          const S av = S::all(a[i]);
          VENTRAL_UNROLL for (int j = 0; j < V; ++j) acc[i][j] = multiply_add(av, bv[j], acc[i][j]);
        }
      }
      VENTRAL_UNROLL for (int i = 0; i < R; ++i) {
        VENTRAL_UNROLL for (int j = 0; j < V; ++j) {
          T* c = t.c + i * t.stride + j * S::lanes;
          if (t.add) acc[i][j] = acc[i][j] + S::load(c);
          acc[i][j].store(c);
        }
      }
    }
  }
};

/// y[p * width + i] = x[offset[i] + p] for i < rows, p < count, in blocks of 4 x 4; i in [rows, width) repeats the last row.
template <class T>
struct PackTransposed {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index rows, Index width, Index count, const T* x, const Index* offset, T* y) {
    typedef T Quad __attribute__((vector_size(4 * sizeof(T))));
    Index i = 0;
    for (; i + 4 <= width; i += 4) {
      const T* r[4];
      for (Index q = 0; q < 4; ++q) r[q] = x + offset[std::min(i + q, rows - 1)];
      T* out = y + i;
      Index p = 0;
      for (; p + 4 <= count; p += 4) {
        Quad a, b, c, d;
        __builtin_memcpy(&a, r[0] + p, sizeof a);
        __builtin_memcpy(&b, r[1] + p, sizeof b);
        __builtin_memcpy(&c, r[2] + p, sizeof c);
        __builtin_memcpy(&d, r[3] + p, sizeof d);
        const Quad ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
        const Quad ef = __builtin_shufflevector(a, b, 2, 6, 3, 7), gh = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        a = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
        b = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
        c = __builtin_shufflevector(ef, gh, 0, 1, 4, 5);
        d = __builtin_shufflevector(ef, gh, 2, 3, 6, 7);
        __builtin_memcpy(out + p * width, &a, sizeof a);
        __builtin_memcpy(out + (p + 1) * width, &b, sizeof b);
        __builtin_memcpy(out + (p + 2) * width, &c, sizeof c);
        __builtin_memcpy(out + (p + 3) * width, &d, sizeof d);
      }
      for (; p < count; ++p)
        for (Index q = 0; q < 4; ++q) out[p * width + q] = r[q][p];
    }
    for (; i < width; ++i) {
      const T* r = x + offset[std::min(i, rows - 1)];
      for (Index p = 0; p < count; ++p) y[p * width + i] = r[p];
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

/// y[i] += x[i].
template <class T>
struct AddRow {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index n, const T* x, T* y) {
    using S = Simd<T, I>;
    Index i = 0;
    for (; i + S::lanes <= n; i += S::lanes) (S::load(y + i) + S::load(x + i)).store(y + i);
    for (; i < n; ++i) y[i] += x[i];
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

/// The kernels of one SIMD level under matrix products and convolutions; everything around them is ordinary code.
template <class T>
struct MatrixKernels {
  using Multiply = void (*)(const Tile<T>&);

  Index lanes;                           ///< numbers in a register
  Index height;                          ///< of the tallest tile
  Multiply multiply[3][tallest_tile + 1];  ///< [vectors][rows]
  void (*pack_transposed)(Index, Index, Index, const T*, const Index*, T*);
  T (*dot)(Index, const T*, const T*);
  void (*dot_tile[4])(Index, const T*, Index, const T*, const Index*, Index, T*, Index);  ///< [rows], 1 or 3
  T (*sum)(Index, const T*);
  void (*add_row)(Index, const T*, T*);
  void (*shift_rows)(Index, Index, const T*, Index, T, T*, Index);

  explicit MatrixKernels(SimdLevel level) {
    const Index bytes = level == SimdLevel::avx512 ? 64 : level == SimdLevel::avx2 ? 32 : 16;
    lanes = bytes / static_cast<Index>(sizeof(T));
    height = level == SimdLevel::avx512 ? 12 : level == SimdLevel::avx2 ? 6 : 4;
    set_multiply<1>(level), set_multiply<4>(level), set_multiply<6>(level), set_multiply<8>(level), set_multiply<12>(level);
    pack_transposed = simd_function<PackTransposed<T>, void(Index, Index, Index, const T*, const Index*, T*)>(level);
    dot = simd_function<Dot<T>, T(Index, const T*, const T*)>(level);
    dot_tile[1] = simd_function<DotTile<T, 1>, void(Index, const T*, Index, const T*, const Index*, Index, T*, Index)>(level);
    dot_tile[3] = simd_function<DotTile<T, 3>, void(Index, const T*, Index, const T*, const Index*, Index, T*, Index)>(level);
    sum = simd_function<Sum<T>, T(Index, const T*)>(level);
    add_row = simd_function<AddRow<T>, void(Index, const T*, T*)>(level);
    shift_rows = simd_function<ShiftRows<T>, void(Index, Index, const T*, Index, T, T*, Index)>(level);
  }

  /// Columns of a panel: the widest tile.
  Index panel() const { return 2 * lanes; }
  /// Rows of the tile that takes the next of `rows` rows: the tallest, or the smallest that holds them all.
  Index tile_height(Index rows) const {
    for (const int r : tile_heights)
      if (r >= rows && r <= height) return r;
    return height;
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

}  // namespace detail

}  // namespace ventral::inline v0::cpu
