#pragma once
#include <algorithm>
#include <limits>

#include "ventral/cpu/block_kernels.hpp"
#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/matrix_kernels.hpp"

namespace ventral::inline v0::cpu::detail {

/// Winograd's convolution F(M x M, R x R) along one axis: y = A^T ((G g) * (B^T d)) for M outputs y, R weights g and P = M + R - 1 inputs d. A^T and G
/// evaluate polynomials at P points, the last of which is infinity: A is the Vandermonde matrix of M columns, G that of R columns, scaled; B^T depends on the
/// points alone. Method: Lavin, Gray 2016, "Fast algorithms for convolutional neural networks".
template <int P>
struct WinogradPoints;

/// 0, +-a, +-b and infinity with a = 5/8, b = 3/2: half the rounding error of the usual 1, 2, and as many operations. Points: Barabasz et al. 2020,
/// "Error analysis and improving the accuracy of Winograd convolution for deep neural networks".
template <>
struct WinogradPoints<6> {
  static constexpr float a = 0.625f, b = 1.5f, aa = a * a, bb = b * b;
  static constexpr float scale_0 = 1 / (aa * bb), scale_a = 1 / (2 * aa * (aa - bb)), scale_b = 1 / (2 * bb * (bb - aa));

  /// t = B^T d.
  template <class S>
  static VENTRAL_ALWAYS_INLINE void input(const S* d, S* t) {
    const S sum = S::all(-aa - bb), product = S::all(aa * bb), even_a = S::all(-bb), even_b = S::all(-aa);
    t[0] = multiply_add(product, d[0], multiply_add(sum, d[2], d[4]));
    const S ea = multiply_add(even_a, d[2], d[4]), oa = multiply_add(even_a, d[1], d[3]);
    t[1] = multiply_add(S::all(a), oa, ea);
    t[2] = multiply_add(S::all(-a), oa, ea);
    const S eb = multiply_add(even_b, d[2], d[4]), ob = multiply_add(even_b, d[1], d[3]);
    t[3] = multiply_add(S::all(b), ob, eb);
    t[4] = multiply_add(S::all(-b), ob, eb);
    t[5] = multiply_add(product, d[1], multiply_add(sum, d[3], d[5]));
  }
  /// t = the polynomial with the N coefficients c at each point, at infinity the last of them.
  template <int N, class S>
  static VENTRAL_ALWAYS_INLINE void evaluate(const S* c, S* t) {
    S ea = c[0], eb = c[0], oa = c[1], ob = c[1];
    if constexpr (N > 2) ea = multiply_add(S::all(aa), c[2], ea), eb = multiply_add(S::all(bb), c[2], eb);
    if constexpr (N > 3) oa = multiply_add(S::all(aa), c[3], oa), ob = multiply_add(S::all(bb), c[3], ob);
    if constexpr (N > 4) ea = multiply_add(S::all(aa * aa), c[4], ea), eb = multiply_add(S::all(bb * bb), c[4], eb);
    t[0] = c[0];
    t[1] = multiply_add(S::all(a), oa, ea);
    t[2] = multiply_add(S::all(-a), oa, ea);
    t[3] = multiply_add(S::all(b), ob, eb);
    t[4] = multiply_add(S::all(-b), ob, eb);
    t[5] = c[N - 1];
  }
  /// c = the transpose of that map.
  template <int N, class S>
  static VENTRAL_ALWAYS_INLINE void transposed(const S* t, S* c) {
    const S ea = t[1] + t[2], oa = t[1] - t[2], eb = t[3] + t[4], ob = t[3] - t[4];
    c[0] = t[0] + ea + eb;
    c[1] = sum<N == 2>(a, oa, b, ob, t[5]);
    if constexpr (N > 2) c[2] = sum<N == 3>(aa, ea, bb, eb, t[5]);
    if constexpr (N > 3) c[3] = sum<N == 4>(a * aa, oa, b * bb, ob, t[5]);
    if constexpr (N > 4) c[4] = sum<N == 5>(aa * aa, ea, bb * bb, eb, t[5]);
  }
  /// What G is scaled by.
  template <class S>
  static VENTRAL_ALWAYS_INLINE void scale(S* t) {
    t[0] = S::all(scale_0) * t[0];
    t[1] = S::all(scale_a) * t[1], t[2] = S::all(scale_a) * t[2];
    t[3] = S::all(scale_b) * t[3], t[4] = S::all(scale_b) * t[4];
  }

 private:
  template <bool Last, class S>
  static VENTRAL_ALWAYS_INLINE S sum(float wa, const S& xa, float wb, const S& xb, const S& infinity) {
    if constexpr (Last) return multiply_add(S::all(wa), xa, multiply_add(S::all(wb), xb, infinity));
    else return multiply_add(S::all(wa), xa, S::all(wb) * xb);
  }
};

/// 0, +-1 and infinity, for F(2 x 2, 3 x 3): a rounding error like that of direct convolution.
template <>
struct WinogradPoints<4> {
  template <class S>
  static VENTRAL_ALWAYS_INLINE void input(const S* d, S* t) {
    t[0] = d[0] - d[2];
    t[1] = d[1] + d[2];
    t[2] = d[2] - d[1];
    t[3] = d[3] - d[1];
  }
  template <int N, class S>
  static VENTRAL_ALWAYS_INLINE void evaluate(const S* c, S* t) {
    S even = c[0];
    if constexpr (N > 2) even = even + c[2];
    t[0] = c[0];
    t[1] = even + c[1];
    t[2] = even - c[1];
    t[3] = c[N - 1];
  }
  template <int N, class S>
  static VENTRAL_ALWAYS_INLINE void transposed(const S* t, S* c) {
    const S even = t[1] + t[2], odd = t[1] - t[2];
    c[0] = t[0] + even;
    if constexpr (N > 2) c[1] = odd, c[2] = even + t[3];
    else c[1] = odd + t[3];
  }
  template <class S>
  static VENTRAL_ALWAYS_INLINE void scale(S* t) {
    t[1] = S::all(0.5f) * t[1], t[2] = S::all(0.5f) * t[2];
  }
};

/// A run of tiles side by side in one channel, 16 images in the lanes, and their places [frequency][tile][lane] in a matrix.
struct WinogradInput {
  const float* row[6];        ///< the rows of pixels under the tiles, from the first column inside the image; rows outside are zeros
  Index left, inside, tiles;  ///< columns before the image and in it
  Index step;                 ///< columns from tile to tile
  float* columns;             ///< room for [P][step (tiles - 1) + N][16], see below
  float* v;
  Index plane;           ///< between frequencies
  Index next;            ///< from these pixels to those of the next channel, fetched on the way
  float* sum = nullptr;  ///< of a gradient: [16], the sum of the pixels of each image is added
};

/// v = B^T d B of each tile of N = P pixels square, or, for gradients, v = A d A^T of tiles of N < P. The vertical transform of a column serves all tiles it is in.
template <int N, int P>
struct WinogradInputTransform {
  static constexpr bool gradient = N < P;
  template <class S>
  static VENTRAL_ALWAYS_INLINE void transform(const S* d, S* t) {
    if constexpr (gradient) WinogradPoints<P>::template evaluate<N>(d, t);
    else WinogradPoints<P>::input(d, t);
  }
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const WinogradInput& in) {
    using S = Simd<float, I>;
    const Index width = in.step * (in.tiles - 1) + N, pitch = width * block_images;
    for (Index q = 0; q < block_images; q += S::lanes) {
      S sum = S::zero();
      for (Index x = 0; x < width; ++x) {
        float* const out = in.columns + x * block_images + q;
        if (x < in.left || x >= in.left + in.inside) {
          for (Index i = 0; i < P; ++i) S::zero().store(out + i * pitch);
          continue;
        }
        const Index at = (x - in.left) * block_images + q;
        S d[N], t[P];
        VENTRAL_UNROLL for (int i = 0; i < N; ++i) d[i] = S::load(in.row[i] + at), __builtin_prefetch(in.row[i] + at + in.next);
        if constexpr (gradient) {
          VENTRAL_UNROLL for (int i = 0; i < N; ++i) sum = sum + d[i];
        }
        transform(d, t);
        VENTRAL_UNROLL for (int i = 0; i < P; ++i) t[i].store(out + i * pitch);
      }
      if (gradient && in.sum) (S::load(in.sum + q) + sum).store(in.sum + q);
    }
    for (Index tile = 0; tile < in.tiles; ++tile)
      for (Index i = 0; i < P; ++i)
        for (Index q = 0; q < block_images; q += S::lanes) {
          const float* const from = in.columns + i * pitch + tile * in.step * block_images + q;
          float* const out = in.v + i * P * in.plane + tile * block_images + q;
          S d[N], t[P];
          VENTRAL_UNROLL for (int j = 0; j < N; ++j) d[j] = S::load(from + j * block_images);
          transform(d, t);
          VENTRAL_UNROLL for (int j = 0; j < P; ++j) t[j].store(out + j * in.plane);
        }
  }
};

/// Outputs of a run of tiles side by side in one channel.
struct WinogradOutput {
  const float* m;  ///< [frequency][tile][lane]
  Index plane, tiles;
  float bias;
  bool relu;
  Index rows, columns;  ///< that exist of the outputs
  float* y;             ///< their first
  Index pitch;          ///< numbers from row to row of y
  Index next;           ///< numbers from y to the next channel's, fetched on the way; 0: none
};

/// y = A^T m A + bias of each tile, and ReLU.
template <int M, int P>
struct WinogradOutputTransform {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const WinogradOutput& o) {
    using S = Simd<float, I>;
    const S bias = S::all(o.bias), least = S::all(o.relu ? 0 : -std::numeric_limits<float>::infinity());
    const Index rows = std::min(o.rows, Index{M});
    for (Index tile = 0; tile < o.tiles; ++tile)
      for (Index q = 0; q < block_images; q += S::lanes) {
        const float* const from = o.m + tile * block_images + q;
        float* const to = o.y + tile * M * block_images + q;
        const Index columns = o.columns - tile * M;
        for (Index i = 0; o.next != 0 && i < rows; ++i) {
          VENTRAL_UNROLL for (int j = 0; j < M; ++j) __builtin_prefetch(to + o.next + i * o.pitch + j * block_images, 1);
        }
        S half[M][P];
        for (int j = 0; j < P; ++j) {
          S m[P], t[M];
          VENTRAL_UNROLL for (int i = 0; i < P; ++i) m[i] = S::load(from + (i * P + j) * o.plane);
          WinogradPoints<P>::template transposed<M>(m, t);
          VENTRAL_UNROLL for (int i = 0; i < M; ++i) half[i][j] = t[i];
        }
        for (Index i = 0; i < rows; ++i) {
          S y[M];
          WinogradPoints<P>::template transposed<M>(half[i], y);
          VENTRAL_UNROLL for (int j = 0; j < M; ++j)
            if (j < columns) max(least, y[j] + bias).store(to + i * o.pitch + j * block_images);
        }
      }
  }
};

/// Pooling of windows of 2 x 2 pixels beside each other, after ReLU if wanted.
struct WinogradPooling {
  bool relu, mean;
  Index rows, columns;  ///< of the result
  const float* x;
  Index x_pitch;  ///< numbers from row to row
  float* y;
  unsigned char* winners;  ///< as y, or null
  Index y_pitch;
};

#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // as in simd.hpp
#endif

/// The byte beside a maximum is which of the four it was, the first of equal ones and the last NaN, or 255 where ReLU blocks it; that beside a mean has
/// a bit for each of the four that ReLU lets through.
struct WinogradPool {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const WinogradPooling& o) {
    using S = Simd<float, I>;
    using W = decltype(typename S::Mask{}.m);
    typedef unsigned char Bytes __attribute__((vector_size(I::bytes / 4)));
    for (Index i = 0; i < o.rows; ++i)
      for (Index j = 0; j < o.columns * block_images; j += S::lanes) {
        const float* const x = o.x + 2 * i * o.x_pitch + j / block_images * 2 * block_images + j % block_images;
        S best = S::load(x), sum = S::zero();
        W which = W{}, open = W{} + 15, number = W{}, bit = W{} + 1;
        for (Index p = 0; p < 4; ++p) {
          const S v = S::load(x + p / 2 * o.x_pitch + p % 2 * block_images);
          const W larger = v.v > best.v, defined = v.v == v.v, passes = v.v > S::zero().v;
          best.v = larger ? v.v : best.v, which = larger ? number : which;
          best.v = defined ? best.v : v.v, which = defined ? which : number;
          open = passes ? open : open - bit;
          sum = sum + (o.relu ? max(S::zero(), v) : v);
          number = number + 1, bit = bit + bit;
        }
        W byte = which;
        if (o.mean) byte = o.relu ? open : W{} + 15;
        else if (o.relu) byte = best.v > S::zero().v ? which : W{} + 255;
        if (o.relu) best = max(S::zero(), best);
        const Index at = i * o.y_pitch + j;
        (o.mean ? S::all(0.25f) * sum : best).store(o.y + at);
        if (!o.winners) continue;
        const Bytes bytes = __builtin_convertvector(byte, Bytes);
        __builtin_memcpy(o.winners + at, &bytes, sizeof bytes);
      }
  }
};

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/// u[frequency][c][i] = G g G^T for `height` weights i side by side in taps[c][R R][i], for each c. Up to 15 numbers behind the last of a frequency are
/// overwritten. `flip` turns the windows by 180 degrees.
template <int R, int P>
struct WinogradWeightTransform {
  template <class S>
  static VENTRAL_ALWAYS_INLINE void transform(const S* g, S* t) {
    WinogradPoints<P>::template evaluate<R>(g, t);
    WinogradPoints<P>::scale(t);
  }
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index height, Index depth, const float* taps, bool flip, float* u, Index plane) {
    using S = Simd<float, I>;
    constexpr Index count = R * R;
    const Index first = flip ? count - 1 : 0, step = flip ? -1 : 1;
    for (Index c = 0; c < depth; ++c)
      for (Index q = 0; q < height; q += S::lanes) {
        S half[P][R];
        for (int j = 0; j < R; ++j) {
          S g[R], t[P];
          VENTRAL_UNROLL for (int i = 0; i < R; ++i) g[i] = S::load(taps + (c * count + first + step * (i * R + j)) * height + q);
          transform(g, t);
          VENTRAL_UNROLL for (int i = 0; i < P; ++i) half[i][j] = t[i];
        }
        for (int i = 0; i < P; ++i) {
          S t[P];
          transform(half[i], t);
          VENTRAL_UNROLL for (int j = 0; j < P; ++j) t[j].store(u + (i * P + j) * plane + c * height + q);
        }
      }
  }
};

/// Tiles of a step of the weight gradient, and its numbers in a row of pixels.
constexpr Index winograd_step = 4, winograd_row = winograd_step * block_images;
/// Numbers in a panel of 16 channels of such a step, [pixel][channel], and a gap so that panels do not share cache sets.
constexpr Index winograd_panel = winograd_row * block_images + 16;

/// u[i][c] = sum_p d[i][p] v[p][c], or += with `add`, for 8 rows i, or 4 of narrow registers, and two registers of channels c, which lie in panels of 16.
struct WinogradProduct {
  template <class I>
  static constexpr int rows = I::registers / 4;
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index depth, const float* d, const float* v, float* u, Index stride, bool add) {
    using S = Simd<float, I>;
    constexpr int R = rows<I>;
    constexpr Index second = S::lanes == block_images ? winograd_panel : S::lanes;
    S acc[R][2];
    VENTRAL_UNROLL for (int i = 0; i < R; ++i) acc[i][0] = acc[i][1] = S::zero();
    for (Index p = 0; p < depth; ++p, v += block_images) {
      const S v0 = S::load(v), v1 = S::load(v + second);
      VENTRAL_UNROLL for (int i = 0; i < R; ++i) {
        const S di = S::all(d[i * winograd_row + p]);
        acc[i][0] = multiply_add(di, v0, acc[i][0]);
        acc[i][1] = multiply_add(di, v1, acc[i][1]);
      }
    }
    VENTRAL_UNROLL for (int i = 0; i < R; ++i) {
      float* const out = u + i * stride;
      (add ? S::load(out) + acc[i][0] : acc[i][0]).store(out);
      (add ? S::load(out + S::lanes) + acc[i][1] : acc[i][1]).store(out + S::lanes);
    }
  }
};

/// g[R R][16] = G^T u G of 16 channels side by side in each frequency; u is the sum of `parts`.
template <int R, int P>
struct WinogradWeightGradient {
  template <class S>
  static VENTRAL_ALWAYS_INLINE void transform(S* u, S* g) {
    WinogradPoints<P>::scale(u);
    WinogradPoints<P>::template transposed<R>(u, g);
  }
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const float* u, Index plane, Index parts, Index part, float* g) {
    using S = Simd<float, I>;
    for (Index q = 0; q < block_images; q += S::lanes) {
      S half[R][P];
      for (int j = 0; j < P; ++j) {
        S v[P], t[R];
        VENTRAL_UNROLL for (int i = 0; i < P; ++i) v[i] = S::load(u + (i * P + j) * plane + q);
        for (Index p = 1; p < parts; ++p)
          VENTRAL_UNROLL for (int i = 0; i < P; ++i) v[i] = v[i] + S::load(u + p * part + (i * P + j) * plane + q);
        transform(v, t);
        VENTRAL_UNROLL for (int i = 0; i < R; ++i) half[i][j] = t[i];
      }
      for (int i = 0; i < R; ++i) {
        S t[R];
        transform(half[i], t);
        VENTRAL_UNROLL for (int j = 0; j < R; ++j) t[j].store(g + (i * R + j) * block_images + q);
      }
    }
  }
};

/// As simd_function, but AVX2 is the best of the levels: for work that is little, since each level costs time to compile.
template <class Kernel, class Signature>
auto narrow_simd_function(SimdLevel level) {
#if defined(__x86_64__)
  if (level >= SimdLevel::avx2) return &SimdFunction<Kernel, Signature>::on_avx2;
#endif
  static_cast<void>(level);
  return &SimdFunction<Kernel, Signature>::on_baseline;
}

/// The kernels of F(tile x tile, window x window) at one SIMD level.
struct WinogradKernels {
  using Weights = void(Index, Index, const float*, bool, float*, Index);
  using Product = void(Index, const float*, const float*, float*, Index, bool);
  using WeightGradient = void(const float*, Index, Index, Index, float*);

  Index tile, window, frequencies, product_rows, product_columns;
  void (*input)(const WinogradInput&);
  void (*gradient)(const WinogradInput&);
  void (*output)(const WinogradOutput&);
  void (*pool)(const WinogradPooling&);
  Weights* weights;
  Product* product;
  WeightGradient* weight_gradient;

  WinogradKernels(Index tile, Index window, SimdLevel level);

  Index halo() const { return window - 1; }  ///< inputs that a tile shares with the next one
  Index taps() const { return window * window; }
};

#if defined(VENTRAL_KERNELS_ELSEWHERE)
const WinogradKernels& winograd_kernels(Index tile, Index window, SimdLevel level = simd_level());
#else
inline WinogradKernels::WinogradKernels(Index size, Index side, SimdLevel level)
    : tile(size), window(side), frequencies((size + side - 1) * (size + side - 1)), product_rows(level == SimdLevel::avx512 ? 8 : 4),
      product_columns(2 * matrix_kernels<float>(level).lanes), pool(narrow_simd_function<WinogradPool, void(const WinogradPooling&)>(level)),
      product(simd_function<WinogradProduct, Product>(level)) {
  if (size + side - 1 == 4) {
    input = narrow_simd_function<WinogradInputTransform<4, 4>, void(const WinogradInput&)>(level);
    gradient = narrow_simd_function<WinogradInputTransform<2, 4>, void(const WinogradInput&)>(level);
    output = narrow_simd_function<WinogradOutputTransform<2, 4>, void(const WinogradOutput&)>(level);
    weights = narrow_simd_function<WinogradWeightTransform<3, 4>, Weights>(level);
    weight_gradient = narrow_simd_function<WinogradWeightGradient<3, 4>, WeightGradient>(level);
    return;
  }
  input = simd_function<WinogradInputTransform<6, 6>, void(const WinogradInput&)>(level);
  if (side == 3) {
    gradient = simd_function<WinogradInputTransform<4, 6>, void(const WinogradInput&)>(level);
    output = simd_function<WinogradOutputTransform<4, 6>, void(const WinogradOutput&)>(level);
    weights = narrow_simd_function<WinogradWeightTransform<3, 6>, Weights>(level);
    weight_gradient = narrow_simd_function<WinogradWeightGradient<3, 6>, WeightGradient>(level);
  } else {
    gradient = simd_function<WinogradInputTransform<2, 6>, void(const WinogradInput&)>(level);
    output = simd_function<WinogradOutputTransform<2, 6>, void(const WinogradOutput&)>(level);
    weights = narrow_simd_function<WinogradWeightTransform<5, 6>, Weights>(level);
    weight_gradient = narrow_simd_function<WinogradWeightGradient<5, 6>, WeightGradient>(level);
  }
}

/// F(2x2,3x3), F(4x4,3x3) or F(2x2,5x5).
inline const WinogradKernels& winograd_kernels(Index tile, Index window, SimdLevel level = simd_level()) {
  using enum SimdLevel;
  static const WinogradKernels kernels[3][3] = {
      {{2, 3, baseline}, {2, 3, avx2}, {2, 3, avx512}}, {{4, 3, baseline}, {4, 3, avx2}, {4, 3, avx512}}, {{2, 5, baseline}, {2, 5, avx2}, {2, 5, avx512}}};
  return kernels[window == 5 ? 2 : tile == 4 ? 1 : 0][static_cast<int>(level)];
}
#endif

}  // namespace ventral::inline v0::cpu::detail
