#pragma once
#include <cstdint>

#include "ventral/cpu/simd.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // as in simd.hpp: these registers never cross a real call
#endif

/// All lanes of a register: what `for_vectors` hands its body everywhere but at the end.
template <class V>
struct AllLanes {
  template <class T>
  VENTRAL_ALWAYS_INLINE V load(const T* p) const { return V::load(p); }
  template <class T>
  VENTRAL_ALWAYS_INLINE void store(T* p, const V& v) const { v.store(p); }
};
/// The first `count` lanes; the others read as 0.
template <class V>
struct SomeLanes {
  Index count;
  template <class T>
  VENTRAL_ALWAYS_INLINE V load(const T* p) const { return V::load_part(p, count); }
  template <class T>
  VENTRAL_ALWAYS_INLINE void store(T* p, const V& v) const { v.store_part(p, count); }
};

/// Calls body(i, lanes) for registers of V::lanes elements that cover [0, n); `lanes.load(p + i)` and `lanes.store(p + i, v)` stay inside.
/// Every element takes the same operations, wherever it stands, so results do not depend on how work is cut.
template <class V, class Body>
VENTRAL_ALWAYS_INLINE void for_vectors(Index n, Body body) {
  Index i = 0;
  for (; i + V::lanes <= n; i += V::lanes) body(i, AllLanes<V>{});
  if (i < n) body(i, SomeLanes<V>{n - i});
}

/// Layout of a floating-point number, and how many terms the series below need for its precision.
template <class T>
struct FloatFormat;
template <>
struct FloatFormat<float> {
  using Int = std::int32_t;
  static constexpr int mantissa_bits = 23, log_terms = 5, exp_terms = 8;
  static constexpr Int sqrt_half = 0x3f3504f3;  ///< the bits of sqrt(1/2)
  static constexpr float smallest = 0x1p-126f, largest = 0x1.fffffep127f, round = 0x1.8p23f, lowest_power = -126, highest_power = 127;
};
template <>
struct FloatFormat<double> {
  using Int = std::int64_t;
  static constexpr int mantissa_bits = 52, log_terms = 11, exp_terms = 14;
  static constexpr Int sqrt_half = 0x3fe6a09e667f3bcd;
  static constexpr double smallest = 0x1p-1022, largest = 0x1.fffffffffffffp1023, round = 0x1.8p52, lowest_power = -1022, highest_power = 1023;
};

constexpr double natural_log_of_2 = 0.69314718055994530942;

/// Coefficient k of log2(m) = sum_k c_k s^(2k+1), s = (m - 1) / (m + 1).
constexpr double log2_coefficient(int k) { return 2 / (natural_log_of_2 * (2 * k + 1)); }
/// Coefficient k of 2^r = sum_k c_k r^k: (ln 2)^k / k!.
constexpr double exp2_coefficient(int k) { return k == 0 ? 1 : exp2_coefficient(k - 1) * natural_log_of_2 / k; }

/// c_k + c_{k+1} x + c_{k+2} x^2 + ... up to c_{terms-1}. A recursion, not a loop: the coefficients must be constants before anything is unrolled,
/// or gcc 12 builds their registers lane by lane.
template <double (*coefficient)(int), int terms, int k = 0, class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> polynomial(const Simd<T, I>& x) {
  constexpr T c = static_cast<T>(coefficient(k));
  if constexpr (k + 1 == terms) return Simd<T, I>::all(c);
  else return multiply_add(polynomial<coefficient, terms, k + 1>(x), x, Simd<T, I>::all(c));
}

}  // namespace detail

/// Logarithm to base 2 of positive, normal, finite numbers; NaN stays NaN. Absolute error within an ulp or two of the result or of 1.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> log2(const Simd<T, I>& x) {
  using V = Simd<T, I>;
  using F = detail::FloatFormat<T>;
  typedef typename F::Int Bits __attribute__((vector_size(I::bytes)));
  const V round = V::all(F::round);
  const Bits bits = (Bits)x.v, power = (bits - F::sqrt_half) >> F::mantissa_bits;
  const V m{(typename V::Register)(bits - (power << F::mantissa_bits))};  // x / 2^power, in [sqrt(1/2), sqrt(2))
  const V e = V{(typename V::Register)((Bits)round.v + power)} - round;   // power as a number
  const V s = (m - V::all(1)) / (m + V::all(1)), z = s * s;
  return s * detail::polynomial<detail::log2_coefficient, F::log_terms>(z) + e + (x - x);
}

/// 2^t; t beyond the range of normal numbers counts as its end. NaN stays NaN. Relative error within two ulp.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> exp2(const Simd<T, I>& t) {
  using V = Simd<T, I>;
  using F = detail::FloatFormat<T>;
  typedef typename F::Int Bits __attribute__((vector_size(I::bytes)));
  const V round = V::all(F::round), low = V::all(F::lowest_power), high = V::all(F::highest_power);
  V u = V::select(t < low, low, t);
  u = V::select(u > high, high, u);
  const V shifted = u + round;  // its last bits are u, rounded to an integer
  const V r = u - (shifted - round);
  const V sum = detail::polynomial<detail::exp2_coefficient, F::exp_terms>(r);
  const Bits power = (Bits)shifted.v - (Bits)round.v;
  return V{(typename V::Register)((Bits)sum.v + (power << F::mantissa_bits))} + (u - u);
}

/// x^exponent for x >= 0, as 2^(exponent log2 x): relative error about (2 + |exponent log2 x|) units in the last place.
/// x below the smallest normal number counts as that, infinity as the largest; NaN stays NaN.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> power(const Simd<T, I>& x, const Simd<T, I>& exponent) {
  using V = Simd<T, I>;
  const V low = V::all(detail::FloatFormat<T>::smallest), high = V::all(detail::FloatFormat<T>::largest);
  V u = V::select(x < low, low, x);
  u = V::select(u > high, high, u);
  return exp2(log2(u) * exponent);
}

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}  // namespace ventral::inline v0::cpu
