#pragma once
#include <algorithm>
#include <cstdint>

#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/simd.hpp"
#include "ventral/epilogue.hpp"
#include "ventral/format.hpp"

/// The kernels of convolution in Format::blocks. A pixel is 16 numbers, one of each image of a block; offsets and strides count numbers.
namespace ventral::inline v0::cpu::detail {

/// Four pixels of R outputs: acc[r][p] = bias[r] + sum_t w[t][r] x[pixel[p] + offset[t]], then ReLU.
/// The taps t are `segments` runs of `taps`, with `skip` between them.
struct ConvTile {
  Index segments, taps, skip;
  const Index* offset;
  const float* w;     ///< packed [taps][R]
  const float* bias;  ///< [R]
  const float* x;
  Index pixel[4];
  Index outputs;  ///< those of the R that are written
  float* y;
  Index y_plane, y_pixel[4];  ///< from output to output; of the pixels
  bool relu;
  bool resume = false;  ///< sums go on from y instead of the bias
};

/// Four pixels of some outputs, [outputs, 4, 16], pooled to one, and what backward wants to know of them.
struct PoolTile {
  Index outputs;
  const float* x;
  float* y;
  Index y_plane;
  unsigned char* winners;  ///< or null
  Index winners_plane;
  bool relu, mean;
};

/// sums[r][q] += sum over pixels of d[r][pixel] x[offset[q] + pixel], lane by lane, for R outputs and up to Q taps.
struct ConvDots {
  Index rows, columns;
  const float* d;
  Index d_plane, d_row;
  const float* x;
  Index x_row, x_column;
  Index offset[4];
  Index outputs;  ///< those of the R that there are
  float* sums;    ///< [R][4][16]
};

/// One plane of one block of the gradient before an epilogue.
struct Expansion {
  bool relu;
  Epilogue::Pool pool;
  Index rows, columns;  ///< before pooling
  const float *dy, *y;
  const unsigned char* winners;
  float* d;
  Index d_row;
  float* sum;  ///< [16], added to; or null
};

/// Outputs of one tile: 24 accumulators of 512 bits for the tallest.
constexpr Index conv_tile_heights[] = {1, 4, 6};
constexpr Index conv_tile_height(Index outputs) { return outputs == 1 ? 1 : outputs <= 4 || outputs == 7 || outputs == 8 ? 4 : 6; }
constexpr Index conv_tile_kind(Index height) { return height / 3; }  // 1, 4, 6 -> 0, 1, 2

typedef float Quad __attribute__((vector_size(16)));

VENTRAL_ALWAYS_INLINE Quad load_quad(const float* p) {
  Quad q;
  __builtin_memcpy(&q, p, sizeof q);
  return q;
}

#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // as in simd.hpp
#endif

/// Outputs that a level's registers hold at once, of a tile of R.
template <int R, class I>
constexpr int rows_in_registers = I::registers == 32 || R == 1 ? R : 2;

template <int R>
struct ConvTileKernel {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const ConvTile& t) {
    constexpr int rows = rows_in_registers<R, I>;
    for (int o = 0; o < R; o += rows)
      for (Index lane = 0; lane < block_images; lane += Simd<float, I>::lanes) part<I, rows>(t, o, lane);
  }

 private:
  template <class I, int rows>
  static VENTRAL_ALWAYS_INLINE void part(const ConvTile& t, int o, Index lane) {
    using S = Simd<float, I>;
    S acc[rows][4];
    VENTRAL_UNROLL for (int r = 0; r < rows; ++r) {
      const S bias = S::all(t.bias[o + r]);
      VENTRAL_UNROLL for (int p = 0; p < 4; ++p) acc[r][p] = bias;
      if (t.resume && o + r < t.outputs) {
        VENTRAL_UNROLL for (int p = 0; p < 4; ++p) acc[r][p] = S::load(t.y + (o + r) * t.y_plane + lane + t.y_pixel[p]);
      }
    }
    const float* const x0 = t.x + t.pixel[0] + lane;
    const float* const x1 = t.x + t.pixel[1] + lane;
    const float* const x2 = t.x + t.pixel[2] + lane;
    const float* const x3 = t.x + t.pixel[3] + lane;
    const float* w = t.w + o;
    const Index* offset = t.offset;
    for (Index segment = 0; segment < t.segments; ++segment, offset += t.skip, w += t.skip * R)
      for (const Index* const end = offset + t.taps; offset != end; ++offset, w += R) {
        const S v[4] = {S::load(x0 + *offset), S::load(x1 + *offset), S::load(x2 + *offset), S::load(x3 + *offset)};
        VENTRAL_UNROLL for (int r = 0; r < rows; ++r) {
          const S weight = S::all(w[r]);
          VENTRAL_UNROLL for (int p = 0; p < 4; ++p) acc[r][p] = multiply_add(weight, v[p], acc[r][p]);
        }
      }
    VENTRAL_UNROLL for (int r = 0; r < rows; ++r) {
      if (o + r >= t.outputs) return;
      float* const y = t.y + (o + r) * t.y_plane + lane;
      VENTRAL_UNROLL for (int p = 0; p < 4; ++p) (t.relu ? max(S::zero(), acc[r][p]) : acc[r][p]).store(y + t.y_pixel[p]);
    }
  }
};

struct PoolTileKernel {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const PoolTile& t) {
    using S = Simd<float, I>;
    for (Index lane = 0; lane < block_images; lane += S::lanes) {
      if (t.mean) means<S>(t, lane);
      else if (has_nan<S>(t, lane)) maxima_with_nan<S>(t, lane);
      else maxima<S>(t, lane);
    }
  }

 private:
  static constexpr Index four = 4 * block_images;

  /// Or infinities of both signs.
  template <class S>
  static VENTRAL_ALWAYS_INLINE bool has_nan(const PoolTile& t, Index lane) {
    S sum[4] = {S::zero(), S::zero(), S::zero(), S::zero()};
    for (Index o = 0; o < t.outputs; ++o)
      VENTRAL_UNROLL for (Index p = 0; p < 4; ++p) sum[p] = sum[p] + S::load(t.x + o * four + p * block_images + lane);
    const float total = ((sum[0] + sum[1]) + (sum[2] + sum[3])).sum();
    return total != total;
  }
  template <class S>
  static VENTRAL_ALWAYS_INLINE void maxima(const PoolTile& t, Index lane) {
    using W = decltype(typename S::Mask{}.m);
    for (Index o = 0; o < t.outputs; ++o) {
      const float* const x = t.x + o * four + lane;
      S best = S::load(x);
      W where = W{}, number = W{};
      VENTRAL_UNROLL for (Index p = 1; p < 4; ++p) {
        const S v = S::load(x + p * block_images);
        number = number + 1;
        where = v.v > best.v ? number : where;
        best = max(v, best);
      }
      finish(t, best, where, o, lane);
    }
  }
  template <class S>
  static VENTRAL_ALWAYS_INLINE void maxima_with_nan(const PoolTile& t, Index lane) {
    using W = decltype(typename S::Mask{}.m);
    for (Index o = 0; o < t.outputs; ++o) {
      float best[S::lanes];
      std::int32_t where[S::lanes];
      for (Index i = 0; i < S::lanes; ++i) largest_of_four(t.x + o * four + lane + i, best[i], where[i]);
      W numbers;
      __builtin_memcpy(&numbers, where, sizeof numbers);
      finish(t, S::load(best), numbers, o, lane);
    }
  }
  static void largest_of_four(const float* x, float& best, std::int32_t& where) {
    best = x[0], where = 0;
    for (std::int32_t p = 1; p < 4; ++p)
      if (const float v = x[p * block_images]; v != v || v > best) best = v, where = p;
  }
  template <class S, class W>
  static VENTRAL_ALWAYS_INLINE void finish(const PoolTile& t, const S& best, const W& where, Index o, Index lane) {
    (t.relu ? max(S::zero(), best) : best).store(t.y + o * t.y_plane + lane);
    if (t.winners) store_bytes<S>(t.relu ? (best.v > S::zero().v ? where : W{} + 255) : where, t.winners + o * t.winners_plane + lane);
  }
  /// The byte of a mean holds a bit for each of the four that ReLU lets through.
  template <class S>
  static VENTRAL_ALWAYS_INLINE void means(const PoolTile& t, Index lane) {
    using W = decltype(typename S::Mask{}.m);
    for (Index o = 0; o < t.outputs; ++o) {
      S sum = S::zero();
      W open = W{}, bit = W{} + 1;
      VENTRAL_UNROLL for (Index p = 0; p < 4; ++p) {
        S v = S::load(t.x + o * four + p * block_images + lane);
        open = v.v > S::zero().v ? open + bit : open;
        bit = bit + bit;
        sum = sum + (t.relu ? max(S::zero(), v) : v);
      }
      (sum * S::all(0.25f)).store(t.y + o * t.y_plane + lane);
      if (t.winners) store_bytes<S>(t.relu ? open : W{} + 15, t.winners + o * t.winners_plane + lane);
    }
  }
  template <class S, class W>
  static VENTRAL_ALWAYS_INLINE void store_bytes(const W& numbers, unsigned char* out) {
    typedef unsigned char Bytes __attribute__((vector_size(S::lanes)));
    const Bytes bytes = __builtin_convertvector(numbers, Bytes);
    __builtin_memcpy(out, &bytes, sizeof bytes);
  }
};

template <int R, int Q>
struct ConvDotsKernel {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const ConvDots& t) {
    using S = Simd<float, I>;
    constexpr int rows = rows_in_registers<R, I>;
    for (int o = 0; o < R; o += rows)
      for (Index lane = 0; lane < block_images; lane += S::lanes) part<I, rows>(t, o, lane);
  }

 private:
  template <class I, int rows>
  static VENTRAL_ALWAYS_INLINE void part(const ConvDots& t, int o, Index lane) {
    using S = Simd<float, I>;
    S acc[rows][Q];
    float* const sums = t.sums + o * 4 * block_images + lane;
    VENTRAL_UNROLL for (int r = 0; r < rows; ++r) {
      VENTRAL_UNROLL for (int q = 0; q < Q; ++q) acc[r][q] = S::load(sums + (r * 4 + q) * block_images);
    }
    const float* const d = t.d + std::min<Index>(o, t.outputs - 1) * t.d_plane + lane;
    Index plane[rows];
    VENTRAL_UNROLL for (int r = 0; r < rows; ++r) plane[r] = std::max(Index{0}, std::min<Index>(r, t.outputs - 1 - o)) * t.d_plane;
    for (Index row = 0; row < t.rows; ++row) {
      const float* slope = d + row * t.d_row;
      const float* x = t.x + row * t.x_row + lane;
      for (Index c = 0; c < t.columns; ++c, slope += block_images, x += t.x_column) {
        S g[rows];
        VENTRAL_UNROLL for (int r = 0; r < rows; ++r) g[r] = S::load(slope + plane[r]);
        VENTRAL_UNROLL for (int q = 0; q < Q; ++q) {
          const S v = S::load(x + t.offset[q]);
          VENTRAL_UNROLL for (int r = 0; r < rows; ++r) acc[r][q] = multiply_add(g[r], v, acc[r][q]);
        }
      }
    }
    VENTRAL_UNROLL for (int r = 0; r < rows; ++r) {
      VENTRAL_UNROLL for (int q = 0; q < Q; ++q) acc[r][q].store(sums + (r * 4 + q) * block_images);
    }
  }
};

struct ExpandKernel {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const Expansion& t) {
    for (Index lane = 0; lane < block_images; lane += Simd<float, I>::lanes) {
      if (t.pool == Epilogue::Pool::none) plain<I>(t, lane);
      else pooled<I>(t, lane);
    }
  }

 private:
  template <class I>
  static VENTRAL_ALWAYS_INLINE void plain(const Expansion& t, Index lane) {
    using S = Simd<float, I>;
    S total = S::zero();
    for (Index r = 0; r < t.rows; ++r) {
      const Index first = r * t.columns * block_images + lane;
      S sum = S::zero();
      for (Index c = 0; c < t.columns; ++c) {
        S g = S::load(t.dy + first + c * block_images);
        if (t.relu) g.v = S::load(t.y + first + c * block_images).v > S::zero().v ? g.v : S::zero().v;
        sum = sum + g;
        g.store(t.d + r * t.d_row + c * block_images + lane);
      }
      total = total + sum;
    }
    if (t.sum) (S::load(t.sum + lane) + total).store(t.sum + lane);
  }
  template <class I>
  static VENTRAL_ALWAYS_INLINE void pooled(const Expansion& t, Index lane) {
    using S = Simd<float, I>;
    using W = decltype(typename S::Mask{}.m);
    const Index down = t.rows / 2, across = t.columns / 2;
    const bool mean = t.pool == Epilogue::Pool::mean;
    S total = S::zero();
    for (Index r = 0; r < down; ++r) {
      S sum = S::zero();
      float* d = t.d + 2 * r * t.d_row + lane;
      for (Index c = 0; c < across; ++c, d += 2 * block_images) {
        const Index at = (r * across + c) * block_images + lane;
        S g = S::load(t.dy + at);
        if (mean) g = g * S::all(0.25f);
        W byte = W{} + 15;
        if (t.winners) load_bytes<S>(t.winners + at, byte);
        W bit = W{} + 1, number = W{};
        VENTRAL_UNROLL for (int i = 0; i < 4; ++i) {
          const W closed = mean ? (byte & bit) ^ bit : byte ^ number;
          bit = bit + bit;
          number = number + 1;
          const S part{closed == W{} ? g.v : S::zero().v};
          sum = sum + part;
          part.store(d + (i / 2) * t.d_row + (i % 2) * block_images);
        }
      }
      if (t.columns % 2) S::zero().store(d), S::zero().store(d + t.d_row);
      total = total + sum;
    }
    if (t.rows % 2)
      for (Index c = 0; c < t.columns; ++c) S::zero().store(t.d + (t.rows - 1) * t.d_row + c * block_images + lane);
    if (t.sum) (S::load(t.sum + lane) + total).store(t.sum + lane);
  }
  template <class S, class W>
  static VENTRAL_ALWAYS_INLINE void load_bytes(const unsigned char* p, W& numbers) {
    typedef unsigned char Bytes __attribute__((vector_size(S::lanes)));
    Bytes bytes;
    __builtin_memcpy(&bytes, p, sizeof bytes);
    numbers = __builtin_convertvector(bytes, W);
  }
};

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/// Sums of the 16 lanes of each of four rows.
// A template, like all that shuffles: nvcc's front end crashes on shuffles of a known type.
template <class Number>
inline auto lane_sums(const Number* row) {
  typedef Number Vector __attribute__((vector_size(16)));
  Vector s[4];
  for (int q = 0; q < 4; ++q, row += block_images) s[q] = (load_quad(row) + load_quad(row + 4)) + (load_quad(row + 8) + load_quad(row + 12));
  const Vector ab = __builtin_shufflevector(s[0], s[1], 0, 4, 1, 5) + __builtin_shufflevector(s[0], s[1], 2, 6, 3, 7);
  const Vector cd = __builtin_shufflevector(s[2], s[3], 0, 4, 1, 5) + __builtin_shufflevector(s[2], s[3], 2, 6, 3, 7);
  return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

/// The kernels of one SIMD level.
struct BlockKernels {
  void (*tile[3])(const ConvTile&);  ///< [conv_tile_kind(height)]
  void (*dots[3])(const ConvDots&);  ///< of up to 4 taps
  void (*dots_of_one_tap)(const ConvDots&);  ///< for height 6
  void (*pool)(const PoolTile&);
  void (*expand)(const Expansion&);

  explicit BlockKernels(SimdLevel level);

 private:
  template <int R>
  void set(SimdLevel level) {
    tile[conv_tile_kind(R)] = simd_function<ConvTileKernel<R>, void(const ConvTile&)>(level);
    dots[conv_tile_kind(R)] = simd_function<ConvDotsKernel<R, 4>, void(const ConvDots&)>(level);
  }
};

/// The kernels of a level, by default of the one in use.
#if defined(VENTRAL_KERNELS_ELSEWHERE)
const BlockKernels& block_kernels(SimdLevel level = simd_level());
#else
inline BlockKernels::BlockKernels(SimdLevel level) {
  set<1>(level), set<4>(level), set<6>(level);
  dots_of_one_tap = simd_function<ConvDotsKernel<6, 1>, void(const ConvDots&)>(level);
  pool = simd_function<PoolTileKernel, void(const PoolTile&)>(level);
  expand = simd_function<ExpandKernel, void(const Expansion&)>(level);
}

inline const BlockKernels& block_kernels(SimdLevel level = simd_level()) {
  static const BlockKernels kernels[] = {BlockKernels(SimdLevel::baseline), BlockKernels(SimdLevel::avx2), BlockKernels(SimdLevel::avx512)};
  return kernels[static_cast<int>(level)];
}
#endif

/// The gradient before an epilogue, of one plane of one block: dy, y and winners [rows', columns', 16] as after the epilogue, d [rows, columns, 16]
/// with `d_row_pitch_in_pixels` from row to row; all of it is written. y is read for ReLU without pooling, winners with pooling.
/// `sum` [16], where not null, gets the sum of d over the plane added.
inline void expand_gradient(const Epilogue& e, Index rows, Index columns, const float* dy, const float* y, const unsigned char* winners, float* d,
                            Index d_row_pitch_in_pixels, float* sum = nullptr, const BlockKernels& kernels = block_kernels()) {
  kernels.expand({e.relu, e.pool, rows, columns, dy, y, winners, d, d_row_pitch_in_pixels * block_images, sum});
}

}  // namespace ventral::inline v0::cpu::detail
