#pragma once
#include <cmath>
#include <limits>

#include "ventral/cpu/box_sum.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

/// k, alpha, beta of one channel, as its units use them: divisor (k + slope sum)^beta, applied where k + slope sum >= limit.
template <class T>
struct Divisor {
  T k, slope, beta, limit;
};

template <class T>
Divisor<T> divisor_of(const DivisiveRule& rule, TensorRef<const T> k, TensorRef<const T> alpha, TensorRef<const T> beta, Index channel) {
  const auto value = [channel](TensorRef<const T> p, T least) {
    const T v = p.data[p.size() == 1 ? 0 : channel];
    return v < least ? least : v;  // NaN stays
  };
  const T exponent = value(beta, T(0));
  Divisor<T> d{value(k, static_cast<T>(rule.smallest_k)), value(alpha, T(0)) / static_cast<T>(rule.box.size()), exponent, T(0)};
  // (k + slope sum)^beta >= threshold, without the power
  if (rule.threshold > 0 && exponent > 0) d.limit = static_cast<T>(std::pow(rule.threshold, 1 / static_cast<double>(exponent)));
  else if (rule.threshold > 1) d.limit = std::numeric_limits<T>::infinity();
  return d;
}

/// [N,C,H,W] as it is; of any other rank, everything after the channels in one row.
inline Shape as_images(const Shape& x) { return x.rank() == 4 ? x : Shape{x[0], x[1], 1, x.product(2, x.rank())}; }

/// to = |x|^exponent
template <class T>
void magnitudes(T exponent, const T* x, Index count, T* to) {
  simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
    using V = Simd<T, decltype(isa)>;
    const V zero = V::zero(), p = V::all(exponent);
    for_vectors<V>(count, [&](Index i, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
      const V v = lanes.load(x + i), size = V::select(v < zero, zero - v, v);
      if (exponent == T(2)) lanes.store(to + i, v * v);
      else if (exponent == T(1)) lanes.store(to + i, size);
      else lanes.store(to + i, V::select(size > zero, power(size, p), size));  // 0 and NaN stay
    });
  });
}

/// y = x (k + slope sum)^-beta
template <class T>
void divide(const Divisor<T>& d, const T* x, const T* sums, Index count, T* y) {
  simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
    using V = Simd<T, decltype(isa)>;
    const V k = V::all(d.k), slope = V::all(d.slope), limit = V::all(d.limit), minus_beta = V::all(-d.beta);
    for_vectors<V>(count, [&](Index i, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
      const V v = lanes.load(x + i), base = k + slope * lanes.load(sums + i);
      lanes.store(y + i, V::select(base < limit, v, v * power(base, minus_beta)));
    });
  });
}

/// to = factor dy y / (k + slope sum), 0 where nothing was divided: what each unit's divisor tells its neighbours.
template <class T>
void divisor_gradients(const Divisor<T>& d, T factor, const T* y, const T* dy, const T* sums, Index count, T* to) {
  simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
    using V = Simd<T, decltype(isa)>;
    const V k = V::all(d.k), slope = V::all(d.slope), limit = V::all(d.limit), scale = V::all(factor);
    for_vectors<V>(count, [&](Index i, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
      const V base = k + slope * lanes.load(sums + i);
      lanes.store(to + i, V::select(base < limit, V::zero(), scale * lanes.load(dy + i) * lanes.load(y + i) / base));
    });
  });
}

/// dx = dy (k + slope sum)^-beta - |x|^(exponent - 1) sign(x) pooled
template <class T>
void gather_gradients(const Divisor<T>& d, T exponent, const T* x, const T* dy, const T* sums, const T* pooled, Index count, T* dx) {
  simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
    using V = Simd<T, decltype(isa)>;
    const V k = V::all(d.k), slope = V::all(d.slope), limit = V::all(d.limit), zero = V::zero(), one = V::all(1);
    const V minus_beta = V::all(-d.beta), p = V::all(exponent - 1);
    for_vectors<V>(count, [&](Index i, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
      const V v = lanes.load(x + i), g = lanes.load(dy + i), base = k + slope * lanes.load(sums + i);
      V rise = v;
      if (exponent != T(2)) {
        rise = V::select(v < zero, zero - one, V::select(v > zero, one, v));  // sign, 0 at the kink
        if (exponent != T(1)) rise = V::select(rise > zero, power(v, p), V::select(rise < zero, zero - power(zero - v, p), rise));
      }
      lanes.store(dx + i, V::select(base < limit, g, g * power(base, minus_beta)) - rise * lanes.load(pooled + i));
    });
  });
}

/// Sums over `count` units of dy y / base, dy y sum / base and dy y ln(base), where divided; partial sums of 4096 units add in double.
template <class T>
void add_parameter_gradients(const Divisor<T>& d, const T* y, const T* dy, const T* sums, Index count, double* out) {
  constexpr Index stretch = 4096;
  simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
    using V = Simd<T, decltype(isa)>;
    const V k = V::all(d.k), slope = V::all(d.slope), limit = V::all(d.limit), least = V::all(FloatFormat<T>::smallest), zero = V::zero();
    for (Index begin = 0; begin < count; begin += stretch) {
      V by_k = zero, by_slope = zero, by_beta = zero;
      for_vectors<V>(std::min(stretch, count - begin), [&](Index i, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
        const V sum = lanes.load(sums + begin + i), found = k + slope * sum, base = max(found, least);  // 0 beyond the end if k is
        const V share = V::select(found < limit, zero, lanes.load(dy + begin + i) * lanes.load(y + begin + i));
        by_k = by_k + share / base;
        by_slope = by_slope + share * sum / base;
        by_beta = by_beta + share * log2(base);
      });
      out[0] += static_cast<double>(by_k.sum());
      out[1] += static_cast<double>(by_slope.sum());
      out[2] += static_cast<double>(by_beta.sum()) * natural_log_of_2;
    }
  });
}

}  // namespace detail

/// Elements of T that the kernels below need as scratch for x [N,C,...].
inline Index divisive_norm_scratch(Stream, const DivisiveRule& rule, const Shape& x) { return detail::BoxTiling(rule.box, detail::as_images(x)).scratch(); }

/// y = x / (k + alpha / |box| sums)^beta, where that divisor is at least the threshold, else y = x; sums = box sums of |x|^exponent.
/// x, y, sums [N,C,H,W] (or [N,C,...] with a box of channels only); k, alpha, beta [1] or [C]. `sums` is kept for backward; it may be y when there is none.
/// Reads x twice, writes y and sums once; per element about 40 operations for the power and those of `box_sums`.
template <class T>
void divisive_norm_forward(Stream, const DivisiveRule& rule, In<T> k, In<T> alpha, In<T> beta, In<T> x, Out<T> sums, Out<T> scratch, Out<T> y) {
  const T exponent = static_cast<T>(rule.exponent);
  detail::box_sums(
      rule.box, detail::as_images(x.shape), sums.data, scratch.data,
      [&](Index, Index first, Index count, T* to) { detail::magnitudes(exponent, x.data + first, count, to); },
      [&](Index channel, Index first, Index count, const T* found) {
        if (sums.data != y.data) std::memcpy(sums.data + first, found, static_cast<std::size_t>(count) * sizeof(T));
        detail::divide(detail::divisor_of(rule, k, alpha, beta, channel), x.data + first, found, count, y.data + first);
      });
}

/// The gradient by x. With D = k + alpha / |box| sums:
/// dx_i = dy_i D_i^-beta - exponent / |box| |x_i|^(exponent-1) sign(x_i) sum_{j: i in box(j)} alpha_j beta_j dy_j y_j / D_j.
/// Kinks: sign(0) = 0 for every exponent; a divisor at the threshold counts as applied. `sums` is what forward kept.
template <class T>
void divisive_norm_backward(Stream, const DivisiveRule& rule, In<T> k, In<T> alpha, In<T> beta, In<T> x, In<T> y, In<T> dy, In<T> sums, Out<T> scratch,
                            Out<T> dx) {
  const T exponent = static_cast<T>(rule.exponent);
  detail::box_sums(
      rule.box.reflected(), detail::as_images(x.shape), dx.data, scratch.data,
      [&](Index channel, Index first, Index count, T* to) {
        const detail::Divisor<T> d = detail::divisor_of(rule, k, alpha, beta, channel);
        detail::divisor_gradients(d, exponent * d.slope * d.beta, y.data + first, dy.data + first, sums.data + first, count, to);
      },
      [&](Index channel, Index first, Index count, const T* pooled) {
        const detail::Divisor<T> d = detail::divisor_of(rule, k, alpha, beta, channel);
        detail::gather_gradients(d, exponent, x.data + first, dy.data + first, sums.data + first, pooled, count, dx.data + first);
      });
}

/// Adds the gradients by k, alpha and beta to those of dk, dalpha, dbeta that are not empty, each over the units that a value serves:
/// dk = -sum beta dy y / D, dalpha = -sum beta / |box| dy y sums / D, dbeta = -sum dy y ln D. They are gradients by the values themselves;
/// at its floor (k: smallest_k, alpha and beta: 0) only a gradient that raises a value passes. `partial` [N,C,3] is scratch.
template <class T>
void divisive_norm_parameter_backward(Stream, const DivisiveRule& rule, In<T> k, In<T> alpha, In<T> beta, In<T> y, In<T> dy, In<T> sums, Out<double> partial,
                                      Out<T> dk, Out<T> dalpha, Out<T> dbeta) {
  const Index samples = y.shape[0], channels = y.shape[1], positions = y.shape.product(2, y.shape.rank());
  parallel_for(samples * channels, [&](Index plane) {
    double* out = partial.data + 3 * plane;
    out[0] = out[1] = out[2] = 0;
    const Index first = plane * positions;
    detail::add_parameter_gradients(detail::divisor_of(rule, k, alpha, beta, plane % channels), y.data + first, dy.data + first, sums.data + first, positions,
                                    out);
  });
  const double box = static_cast<double>(rule.box.size());
  const auto collect = [&](In<T> value, double floor, int which, Out<T> gradient) {
    if (!gradient.data) return;
    for (Index g = 0; g < value.size(); ++g) {
      double total = 0;
      for (Index n = 0; n < samples; ++n)
        for (Index c = value.size() == 1 ? 0 : g; c < (value.size() == 1 ? channels : g + 1); ++c) {
          const double used = static_cast<double>(detail::divisor_of(rule, k, alpha, beta, c).beta);
          total -= partial.data[3 * (n * channels + c) + which] * (which == 0 ? used : which == 1 ? used / box : 1.0);
        }
      gradient.data[g] += gradient_above(static_cast<T>(floor), value.data[g], static_cast<T>(total));
    }
  };
  collect(k, rule.smallest_k, 0, dk);
  collect(alpha, 0, 1, dalpha);
  collect(beta, 0, 2, dbeta);
}

}  // namespace ventral::inline v0::cpu
