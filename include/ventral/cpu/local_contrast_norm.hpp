#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>

#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/vector_math.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0 {

/// What local contrast normalization needs to know.
struct ContrastRule {
  Index size = 9;       ///< of the Gaussian window, odd
  double sigma = 2.25;  ///< its standard deviation in pixels
  double constant = 0;  ///< least divisor; 0: the mean of the local deviation over the image
  double smallest = 0;  ///< the divisor is never below this
};

}  // namespace ventral::inline v0

namespace ventral::inline v0::cpu {

namespace detail {

/// A Gaussian window for images of one size, and the maps that one sample needs, all in one scratch array.
template <class T>
class GaussianBlur {
 public:
  static constexpr Index most_lanes = 16;

  GaussianBlur(const ContrastRule& rule, const Shape& x, T* scratch)
      : h_(x[2]), w_(x[3]), rows_(std::min(rule.size / 2, std::max(Index{0}, h_ - 1))), columns_(std::min(rule.size / 2, std::max(Index{0}, w_ - 1))),
        pitch_(w_ + 2 * columns_), taps_(scratch), inverse_h_(scratch ? taps_ + rule.size : nullptr), inverse_w_(scratch ? inverse_h_ + h_ : nullptr),
        maps_(scratch ? inverse_w_ + w_ : nullptr), centre_(rule.size / 2), sigma_(rule.sigma), lanes_(std::min(most_lanes, x[0])) {}

  Index lanes() const { return lanes_; }
  Index scratch() const { return 2 * centre_ + 1 + h_ + w_ + lanes_ * lane(); }
  /// Map i (0 or 1) [H,W] of a lane.
  T* map(Index lane_index, int i) const { return maps_ + lane_index * lane() + 2 * padded() + i * h_ * w_; }

  /// Fills in the window: g_k = exp(-k^2 / (2 sigma^2)), and for each row and column one over the part of it that lies inside.
  void prepare() const {
    for (Index k = -centre_; k <= centre_; ++k) taps_[k + centre_] = static_cast<T>(std::exp(-0.5 * static_cast<double>(k * k) / (sigma_ * sigma_)));
    const auto cover = [&](Index length, T* inverse) {
      for (Index i = 0; i < length; ++i) {
        double sum = 0;
        for (Index k = std::max(-centre_, -i); k <= std::min(centre_, length - 1 - i); ++k) sum += static_cast<double>(taps_[k + centre_]);
        inverse[i] = static_cast<T>(1 / sum);
      }
    };
    cover(h_, inverse_h_);
    cover(w_, inverse_w_);
  }

  /// m = B m: every pixel becomes the weighted mean of those around it; m = B^T m if `transposed`.
  template <class I>
  VENTRAL_ALWAYS_INLINE void apply(Index lane_index, T* m, bool transposed) const {
    T *a = maps_ + lane_index * lane(), *b = a + padded();
    std::memset(a, 0, static_cast<std::size_t>((h_ + 2 * rows_) * pitch_) * sizeof(T));
    for (Index i = 0; i < h_; ++i)
      for (Index j = 0; j < w_; ++j) a[(i + rows_) * pitch_ + columns_ + j] = m[i * w_ + j] * (transposed ? inverse_h_[i] * inverse_w_[j] : T(1));
    convolve<I>(a, b, (h_ + 2 * rows_) * pitch_ - 2 * columns_, columns_, 1);
    convolve<I>(b, a, h_ * pitch_ - 2 * columns_, rows_, pitch_);
    for (Index i = 0; i < h_; ++i)
      for (Index j = 0; j < w_; ++j) m[i * w_ + j] = a[i * pitch_ + j] * (transposed ? T(1) : inverse_h_[i] * inverse_w_[j]);
  }

 private:
  Index padded() const { return (h_ + 2 * rows_) * pitch_; }
  Index lane() const { return 2 * padded() + 2 * h_ * w_; }

  /// to[i] = sum_k g_k from[i + (k + reach) shift], |k| <= reach
  template <class I>
  VENTRAL_ALWAYS_INLINE void convolve(const T* from, T* to, Index count, Index reach, Index shift) const {
    using V = Simd<T, I>;
    const T* taps = taps_ + centre_ - reach;
    for_vectors<V>(count, [&](Index i, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
      V sum = V::zero();
      for (Index k = 0; k <= 2 * reach; ++k) sum = multiply_add(V::all(taps[k]), lanes.load(from + i + k * shift), sum);
      lanes.store(to + i, sum);
    });
  }

  Index h_, w_, rows_, columns_, pitch_;
  T *taps_, *inverse_h_, *inverse_w_, *maps_;
  Index centre_;
  double sigma_;
  Index lanes_;
};

/// The least divisor of an image: the constant or the mean of sigma.
template <class T>
T contrast_floor(const ContrastRule& rule, const T* sigma, Index positions) {
  if (rule.constant > 0) return static_cast<T>(rule.constant);
  double sum = 0;
  for (Index p = 0; p < positions; ++p) sum += static_cast<double>(sigma[p]);
  return static_cast<T>(sum / static_cast<double>(positions));
}

/// One sample: x [C,H,W] to y, with the maps sigma and divisor [H,W].
template <class I, class T>
VENTRAL_ALWAYS_INLINE void contrast_forward_sample(const ContrastRule& rule, const GaussianBlur<T>& blur, Index lane, Index channels, Index positions,
                                                   const T* x, T* sigma, T* divisor, T* y) {
  using V = Simd<T, I>;
  const V share = V::all(T(1) / static_cast<T>(channels));
  T *mean = blur.map(lane, 0), *energy = blur.map(lane, 1);
  for_vectors<V>(positions, [&](Index p, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
    V sum = V::zero();
    for (Index c = 0; c < channels; ++c) sum = sum + lanes.load(x + c * positions + p);
    lanes.store(mean + p, sum * share);
  });
  blur.template apply<I>(lane, mean, false);
  for_vectors<V>(positions, [&](Index p, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
    const V m = lanes.load(mean + p);
    V sum = V::zero();
    for (Index c = 0; c < channels; ++c) {
      const V v = lanes.load(x + c * positions + p) - m;
      lanes.store(y + c * positions + p, v);
      sum = multiply_add(v, v, sum);
    }
    lanes.store(energy + p, sum * share);
  });
  blur.template apply<I>(lane, energy, false);
  for (Index p = 0; p < positions; ++p) sigma[p] = std::sqrt(energy[p]);
  const T least = std::max(static_cast<T>(rule.smallest), contrast_floor(rule, sigma, positions));
  for (Index p = 0; p < positions; ++p) divisor[p] = sigma[p] < least ? least : sigma[p];  // NaN stays
  for (Index c = 0; c < channels; ++c)
    for_vectors<V>(positions, [&](Index p, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
      T* at = y + c * positions + p;
      lanes.store(at, lanes.load(at) / lanes.load(divisor + p));
    });
}

/// One sample's gradient.
template <class I, class T>
VENTRAL_ALWAYS_INLINE void contrast_backward_sample(const ContrastRule& rule, const GaussianBlur<T>& blur, Index lane, Index channels, Index positions,
                                                    const T* y, const T* dy, const T* sigma, const T* divisor, T* dx) {
  using V = Simd<T, I>;
  T *by_energy = blur.map(lane, 0), *total = blur.map(lane, 1);
  for_vectors<V>(positions, [&](Index p, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
    V sum = V::zero();
    for (Index c = 0; c < channels; ++c) sum = multiply_add(lanes.load(dy + c * positions + p), lanes.load(y + c * positions + p), sum);
    lanes.store(by_energy + p, V::zero() - sum);  // times 1 / divisor: the gradient by the divisor
  });
  const T c = contrast_floor(rule, sigma, positions), least = std::max(static_cast<T>(rule.smallest), c);
  double by_floor = 0;
  for (Index p = 0; p < positions; ++p) {
    by_energy[p] /= divisor[p];
    if (!(sigma[p] > least)) by_floor += static_cast<double>(by_energy[p]), by_energy[p] = 0;
  }
  const bool shared = rule.constant == 0 && c >= static_cast<T>(rule.smallest);
  const T each = shared ? static_cast<T>(by_floor / static_cast<double>(positions)) : T(0);
  for (Index p = 0; p < positions; ++p) by_energy[p] = sigma[p] > T(0) ? (by_energy[p] + each) / (2 * sigma[p]) : T(0);
  blur.template apply<I>(lane, by_energy, true);
  const V share = V::all(T(1) / static_cast<T>(channels)), two = V::all(2);
  for_vectors<V>(positions, [&](Index p, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
    const V d = lanes.load(divisor + p), e = two * share * lanes.load(by_energy + p) * d;
    V sum = V::zero();
    for (Index k = 0; k < channels; ++k) {
      const V dv = lanes.load(dy + k * positions + p) / d + e * lanes.load(y + k * positions + p);
      lanes.store(dx + k * positions + p, dv);
      sum = sum + dv;
    }
    lanes.store(total + p, sum * share);
  });
  blur.template apply<I>(lane, total, true);
  for (Index k = 0; k < channels; ++k)
    for_vectors<V>(positions, [&](Index p, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
      lanes.store(dx + k * positions + p, lanes.load(dx + k * positions + p) - lanes.load(total + p));
    });
}

}  // namespace detail

/// Elements of T that the kernels below need as scratch for x [N,C,H,W].
template <class T>
Index local_contrast_scratch(Stream, const ContrastRule& rule, const Shape& x) {
  return detail::GaussianBlur<T>(rule, x, nullptr).scratch();
}

/// v = x - B mean_c x, y = v / max(c, sigma) with sigma = sqrt(B mean_c v^2) and c its mean over the image, or the constant; B is the
/// Gaussian window, renormalized at borders. x, y [N,C,H,W]; sigma and divisor [N,H,W] are kept for backward. Samples run in parallel.
/// About 4 (size + C) multiply-adds a pixel.
template <class T>
void local_contrast_forward(Stream, const ContrastRule& rule, In<T> x, Out<T> sigma, Out<T> divisor, Out<T> scratch, Out<T> y) {
  const Index channels = x.shape[1], positions = x.shape[2] * x.shape[3];
  if (x.size() == 0) return;
  const detail::GaussianBlur<T> blur(rule, x.shape, scratch.data);
  blur.prepare();
  parallel_for(blur.lanes(), [&](Index lane) {
    for (Index n = lane; n < x.shape[0]; n += blur.lanes()) {
      const Index image = n * channels * positions, map = n * positions;
      simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
        detail::contrast_forward_sample<decltype(isa)>(rule, blur, lane, channels, positions, x.data + image, sigma.data + map, divisor.data + map,
                                                       y.data + image);
      });
    }
  });
}

/// With d the divisor, s = sigma: g = -sum_c dy y / d, which goes to s where s > c, else to c, and from c to every s in equal parts;
/// h = B^T (g / (2 s)), 0 where s is 0; dv = dy / d + 2 / C v h; dx = dv - B^T mean_c dv. A divisor held by `smallest` has no gradient.
template <class T>
void local_contrast_backward(Stream, const ContrastRule& rule, In<T> y, In<T> dy, In<T> sigma, In<T> divisor, Out<T> scratch, Out<T> dx) {
  const Index channels = y.shape[1], positions = y.shape[2] * y.shape[3];
  if (y.size() == 0) return;
  const detail::GaussianBlur<T> blur(rule, y.shape, scratch.data);
  blur.prepare();
  parallel_for(blur.lanes(), [&](Index lane) {
    for (Index n = lane; n < y.shape[0]; n += blur.lanes()) {
      const Index image = n * channels * positions, map = n * positions;
      simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
        detail::contrast_backward_sample<decltype(isa)>(rule, blur, lane, channels, positions, y.data + image, dy.data + image, sigma.data + map,
                                                        divisor.data + map, dx.data + image);
      });
    }
  });
}

// In the library ventral::kernels.
VENTRAL_COMPILED(local_contrast_forward)
VENTRAL_COMPILED(local_contrast_backward)

}  // namespace ventral::inline v0::cpu
