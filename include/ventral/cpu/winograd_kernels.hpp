#pragma once
#include <algorithm>
#include <limits>

#include "ventral/cpu/block_kernels.hpp"
#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/matrix_kernels.hpp"

namespace ventral::inline v0::cpu::detail {

/// The four linear maps of Winograd's convolution F(M x M, 3 x 3), along one axis: y = A^T ((G g) * (B^T d)) for M outputs y, 3 weights g and
/// M + 2 inputs d. Interpolation at 0, +-a, +-b and infinity with a = 5/8, b = 3/2: half the rounding error of the usual 1, 2, and as many operations.
/// Method: Lavin, Gray 2016, "Fast algorithms for convolutional neural networks"; points: Barabasz et al. 2020, "Error analysis and improving the
/// accuracy of Winograd convolution for deep neural networks".
template <int M>
struct WinogradMaps;

template <>
struct WinogradMaps<4> {
  static constexpr float a = 0.625f, b = 1.5f, aa = a * a, bb = b * b;
  static constexpr float scale_a = 1 / (2 * aa * (aa - bb)), scale_b = 1 / (2 * bb * (bb - aa));

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
  /// y = A^T m.
  template <class S>
  static VENTRAL_ALWAYS_INLINE void output(const S* m, S* y) {
    const S ea = m[1] + m[2], oa = m[1] - m[2], eb = m[3] + m[4], ob = m[3] - m[4];
    y[0] = m[0] + ea + eb;
    y[1] = multiply_add(S::all(a), oa, S::all(b) * ob);
    y[2] = multiply_add(S::all(aa), ea, S::all(bb) * eb);
    y[3] = multiply_add(S::all(a * aa), oa, multiply_add(S::all(b * bb), ob, m[5]));
  }
  /// u = G g.
  template <class S>
  static VENTRAL_ALWAYS_INLINE void weights(const S* g, S* u) {
    u[0] = S::all(1 / (aa * bb)) * g[0];
    const S ea = S::all(scale_a) * multiply_add(S::all(aa), g[2], g[0]), eb = S::all(scale_b) * multiply_add(S::all(bb), g[2], g[0]);
    u[1] = multiply_add(S::all(a * scale_a), g[1], ea);
    u[2] = multiply_add(S::all(-a * scale_a), g[1], ea);
    u[3] = multiply_add(S::all(b * scale_b), g[1], eb);
    u[4] = multiply_add(S::all(-b * scale_b), g[1], eb);
    u[5] = g[2];
  }
  /// t = A y: the transpose of `output`, for the weight gradient.
  template <class S>
  static VENTRAL_ALWAYS_INLINE void output_transposed(const S* y, S* t) {
    t[0] = y[0];
    const S ea = multiply_add(S::all(aa), y[2], y[0]), oa = multiply_add(S::all(aa), y[3], y[1]);
    t[1] = multiply_add(S::all(a), oa, ea);
    t[2] = multiply_add(S::all(-a), oa, ea);
    const S eb = multiply_add(S::all(bb), y[2], y[0]), ob = multiply_add(S::all(bb), y[3], y[1]);
    t[3] = multiply_add(S::all(b), ob, eb);
    t[4] = multiply_add(S::all(-b), ob, eb);
    t[5] = y[3];
  }
  /// g = G^T u: the transpose of `weights`.
  template <class S>
  static VENTRAL_ALWAYS_INLINE void weights_transposed(const S* u, S* g) {
    const S ea = S::all(scale_a) * (u[1] + u[2]), oa = S::all(scale_a * a) * (u[1] - u[2]);
    const S eb = S::all(scale_b) * (u[3] + u[4]), ob = S::all(scale_b * b) * (u[3] - u[4]);
    g[0] = multiply_add(S::all(1 / (aa * bb)), u[0], ea + eb);
    g[1] = oa + ob;
    g[2] = multiply_add(S::all(aa), ea, multiply_add(S::all(bb), eb, u[5]));
  }
};

/// F(2 x 2, 3 x 3), at 0, +-1 and infinity: a rounding error like that of direct convolution.
template <>
struct WinogradMaps<2> {
  template <class S>
  static VENTRAL_ALWAYS_INLINE void input(const S* d, S* t) {
    t[0] = d[0] - d[2];
    t[1] = d[1] + d[2];
    t[2] = d[2] - d[1];
    t[3] = d[3] - d[1];
  }
  template <class S>
  static VENTRAL_ALWAYS_INLINE void output(const S* m, S* y) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] + m[3];
  }
  template <class S>
  static VENTRAL_ALWAYS_INLINE void weights(const S* g, S* u) {
    const S e = S::all(0.5f) * (g[0] + g[2]), o = S::all(0.5f) * g[1];
    u[0] = g[0];
    u[1] = e + o;
    u[2] = e - o;
    u[3] = g[2];
  }
  template <class S>
  static VENTRAL_ALWAYS_INLINE void output_transposed(const S* y, S* t) {
    t[0] = y[0];
    t[1] = y[0] + y[1];
    t[2] = y[0] - y[1];
    t[3] = y[1];
  }
  template <class S>
  static VENTRAL_ALWAYS_INLINE void weights_transposed(const S* u, S* g) {
    const S e = S::all(0.5f) * (u[1] + u[2]);
    g[0] = u[0] + e;
    g[1] = S::all(0.5f) * (u[1] - u[2]);
    g[2] = e + u[3];
  }
};

/// A run of tiles side by side in one channel, 16 images in the lanes, and their places [frequency][tile][lane] in a matrix.
struct WinogradInput {
  const float* row[6];        ///< the rows of pixels under the tiles, from the first column inside the image; rows outside are zeros
  Index left, inside, tiles;  ///< columns before the image and in it
  float* columns;             ///< room for [M+2][M tiles + 2][16]
  float* v;
  Index plane;           ///< between frequencies
  Index next;            ///< from these pixels to those of the next channel, fetched on the way
  float* sum = nullptr;  ///< of a gradient: [16], the sum of the pixels of each image is added
};

/// v = B^T d B of each tile, or for a Gradient v = A d A^T of tiles that do not overlap. The vertical transform of a column serves both tiles it is in.
template <int M, bool Gradient>
struct WinogradInputTransform {
  template <class S>
  static VENTRAL_ALWAYS_INLINE void transform(const S* d, S* t) {
    if constexpr (Gradient) WinogradMaps<M>::output_transposed(d, t);
    else WinogradMaps<M>::input(d, t);
  }
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const WinogradInput& in) {
    using S = Simd<float, I>;
    constexpr int A = M + 2, N = Gradient ? M : A;
    const Index width = M * in.tiles + N - M, pitch = width * block_images;
    for (Index q = 0; q < block_images; q += S::lanes) {
      S sum = S::zero();
      for (Index x = 0; x < width; ++x) {
        float* const out = in.columns + x * block_images + q;
        if (x < in.left || x >= in.left + in.inside) {
          for (Index i = 0; i < A; ++i) S::zero().store(out + i * pitch);
          continue;
        }
        const Index at = (x - in.left) * block_images + q;
        S d[N], t[A];
        VENTRAL_UNROLL for (int i = 0; i < N; ++i) d[i] = S::load(in.row[i] + at), __builtin_prefetch(in.row[i] + at + in.next);
        if constexpr (Gradient) {
          VENTRAL_UNROLL for (int i = 0; i < N; ++i) sum = sum + d[i];
        }
        transform(d, t);
        VENTRAL_UNROLL for (int i = 0; i < A; ++i) t[i].store(out + i * pitch);
      }
      if (Gradient && in.sum) (S::load(in.sum + q) + sum).store(in.sum + q);
    }
    for (Index tile = 0; tile < in.tiles; ++tile)
      for (Index i = 0; i < A; ++i)
        for (Index q = 0; q < block_images; q += S::lanes) {
          const float* const from = in.columns + i * pitch + tile * M * block_images + q;
          float* const out = in.v + i * A * in.plane + tile * block_images + q;
          S d[N], t[A];
          VENTRAL_UNROLL for (int j = 0; j < N; ++j) d[j] = S::load(from + j * block_images);
          transform(d, t);
          VENTRAL_UNROLL for (int j = 0; j < A; ++j) t[j].store(out + j * in.plane);
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
template <int M>
struct WinogradOutputTransform {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const WinogradOutput& o) {
    using S = Simd<float, I>;
    constexpr int A = M + 2;
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
        S half[M][A];
        for (int j = 0; j < A; ++j) {
          S m[A], t[M];
          VENTRAL_UNROLL for (int i = 0; i < A; ++i) m[i] = S::load(from + (i * A + j) * o.plane);
          WinogradMaps<M>::output(m, t);
          VENTRAL_UNROLL for (int i = 0; i < M; ++i) half[i][j] = t[i];
        }
        for (Index i = 0; i < rows; ++i) {
          S y[M];
          WinogradMaps<M>::output(half[i], y);
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

/// u[frequency][c][i] = G g G^T for `height` weights i side by side in taps[c][9][i], for each c. Up to 15 numbers behind the last of a frequency are
/// overwritten. `flip` turns the windows by 180 degrees.
template <int M>
struct WinogradWeightTransform {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index height, Index depth, const float* taps, bool flip, float* u, Index plane) {
    using S = Simd<float, I>;
    constexpr int A = M + 2;
    const Index first = flip ? 8 : 0, step = flip ? -1 : 1;
    for (Index c = 0; c < depth; ++c)
      for (Index q = 0; q < height; q += S::lanes) {
        S half[A][3];
        for (int j = 0; j < 3; ++j) {
          S g[3], t[A];
          VENTRAL_UNROLL for (int i = 0; i < 3; ++i) g[i] = S::load(taps + (c * 9 + first + step * (i * 3 + j)) * height + q);
          WinogradMaps<M>::weights(g, t);
          VENTRAL_UNROLL for (int i = 0; i < A; ++i) half[i][j] = t[i];
        }
        for (int i = 0; i < A; ++i) {
          S t[A];
          WinogradMaps<M>::weights(half[i], t);
          VENTRAL_UNROLL for (int j = 0; j < A; ++j) t[j].store(u + (i * A + j) * plane + c * height + q);
        }
      }
  }
};

/// Tiles of a step of the weight gradient, and its numbers in a row of pixels.
constexpr Index winograd_step = 4, winograd_row = winograd_step * block_images;
/// Numbers in a panel of 16 channels of such a step, [pixel][channel], and a gap so that panels do not share cache sets.
constexpr Index winograd_panel = winograd_row * block_images + 16;

/// u[i][c] += sum_p d[i][p] v[p][c] for 8 rows i, or 4 of narrow registers, and two registers of channels c, which lie in panels of 16.
struct WinogradProduct {
  template <class I>
  static constexpr int rows = I::registers / 4;
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index depth, const float* d, const float* v, float* u, Index stride) {
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
      (S::load(out) + acc[i][0]).store(out);
      (S::load(out + S::lanes) + acc[i][1]).store(out + S::lanes);
    }
  }
};

/// g[9][16] = G^T u G of 16 channels side by side in each frequency; u is the sum of `parts`.
template <int M>
struct WinogradWeightGradient {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const float* u, Index plane, Index parts, Index part, float* g) {
    using S = Simd<float, I>;
    constexpr int A = M + 2;
    for (Index q = 0; q < block_images; q += S::lanes) {
      S half[3][A];
      for (int j = 0; j < A; ++j) {
        S v[A], t[3];
        VENTRAL_UNROLL for (int i = 0; i < A; ++i) v[i] = S::load(u + (i * A + j) * plane + q);
        for (Index p = 1; p < parts; ++p)
          VENTRAL_UNROLL for (int i = 0; i < A; ++i) v[i] = v[i] + S::load(u + p * part + (i * A + j) * plane + q);
        WinogradMaps<M>::weights_transposed(v, t);
        VENTRAL_UNROLL for (int i = 0; i < 3; ++i) half[i][j] = t[i];
      }
      for (int i = 0; i < 3; ++i) {
        S t[3];
        WinogradMaps<M>::weights_transposed(half[i], t);
        VENTRAL_UNROLL for (int j = 0; j < 3; ++j) t[j].store(g + (i * 3 + j) * block_images + q);
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

/// The kernels of F(tile x tile, 3 x 3) at one SIMD level.
struct WinogradKernels {
  using Weights = void(Index, Index, const float*, bool, float*, Index);
  using Product = void(Index, const float*, const float*, float*, Index);
  using WeightGradient = void(const float*, Index, Index, Index, float*);

  Index tile, frequencies, product_rows, product_columns;
  void (*input)(const WinogradInput&);
  void (*gradient)(const WinogradInput&);
  void (*output)(const WinogradOutput&);
  void (*pool)(const WinogradPooling&);
  Weights* weights;
  Product* product;
  WeightGradient* weight_gradient;

  WinogradKernels(Index size, SimdLevel level);
};

#if defined(VENTRAL_KERNELS_ELSEWHERE)
const WinogradKernels& winograd_kernels(Index tile, SimdLevel level = simd_level());
#else
inline WinogradKernels::WinogradKernels(Index size, SimdLevel level)
    : tile(size), frequencies((size + 2) * (size + 2)), product_rows(level == SimdLevel::avx512 ? 8 : 4),
      product_columns(2 * matrix_kernels<float>(level).lanes), pool(narrow_simd_function<WinogradPool, void(const WinogradPooling&)>(level)),
      product(simd_function<WinogradProduct, Product>(level)) {
  if (size == 4) {
    input = simd_function<WinogradInputTransform<4, false>, void(const WinogradInput&)>(level);
    gradient = simd_function<WinogradInputTransform<4, true>, void(const WinogradInput&)>(level);
    output = simd_function<WinogradOutputTransform<4>, void(const WinogradOutput&)>(level);
    weights = narrow_simd_function<WinogradWeightTransform<4>, Weights>(level);
    weight_gradient = narrow_simd_function<WinogradWeightGradient<4>, WeightGradient>(level);
  } else {
    input = narrow_simd_function<WinogradInputTransform<2, false>, void(const WinogradInput&)>(level);
    gradient = narrow_simd_function<WinogradInputTransform<2, true>, void(const WinogradInput&)>(level);
    output = narrow_simd_function<WinogradOutputTransform<2>, void(const WinogradOutput&)>(level);
    weights = narrow_simd_function<WinogradWeightTransform<2>, Weights>(level);
    weight_gradient = narrow_simd_function<WinogradWeightGradient<2>, WeightGradient>(level);
  }
}

inline const WinogradKernels& winograd_kernels(Index tile, SimdLevel level = simd_level()) {
  using enum SimdLevel;
  static const WinogradKernels kernels[2][3] = {{{4, baseline}, {4, avx2}, {4, avx512}}, {{2, baseline}, {2, avx2}, {2, avx512}}};
  return kernels[tile == 2][static_cast<int>(level)];
}
#endif

}  // namespace ventral::inline v0::cpu::detail
