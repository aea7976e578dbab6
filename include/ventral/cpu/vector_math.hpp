#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>

#include "ventral/cpu/lanes.hpp"
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

// Limits and square roots by instruction: compilers make a comparison and a blend of `a < b ? a : b`, a third more time in exp, and do not vectorise
// std::sqrt, which must set errno. They are functions of their own because a compiler wants to see the registers it may use; they are inlined into
// code of the same level.
#if defined(__x86_64__)
template <class T, class Register>
__attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma"))) inline void smaller_avx512(Register& y, const Register& a, const Register& b) {
  if constexpr (sizeof(T) == 4) asm("vminps %2, %1, %0" : "=v"(y) : "v"(a), "v"(b));
  else asm("vminpd %2, %1, %0" : "=v"(y) : "v"(a), "v"(b));
}
template <class T, class Register>
__attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma"))) inline void larger_avx512(Register& y, const Register& a, const Register& b) {
  if constexpr (sizeof(T) == 4) asm("vmaxps %2, %1, %0" : "=v"(y) : "v"(a), "v"(b));
  else asm("vmaxpd %2, %1, %0" : "=v"(y) : "v"(a), "v"(b));
}
template <class T, class Register>
__attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma"))) inline void square_root_avx512(Register& y, const Register& x) {
  if constexpr (sizeof(T) == 4) asm("vsqrtps %1, %0" : "=v"(y) : "v"(x));
  else asm("vsqrtpd %1, %0" : "=v"(y) : "v"(x));
}
template <class T, class Register>
__attribute__((target("avx2,fma"))) inline void smaller_avx2(Register& y, const Register& a, const Register& b) {
  if constexpr (sizeof(T) == 4) asm("vminps %2, %1, %0" : "=x"(y) : "x"(a), "x"(b));
  else asm("vminpd %2, %1, %0" : "=x"(y) : "x"(a), "x"(b));
}
template <class T, class Register>
__attribute__((target("avx2,fma"))) inline void larger_avx2(Register& y, const Register& a, const Register& b) {
  if constexpr (sizeof(T) == 4) asm("vmaxps %2, %1, %0" : "=x"(y) : "x"(a), "x"(b));
  else asm("vmaxpd %2, %1, %0" : "=x"(y) : "x"(a), "x"(b));
}
template <class T, class Register>
__attribute__((target("avx2,fma"))) inline void square_root_avx2(Register& y, const Register& x) {
  if constexpr (sizeof(T) == 4) asm("vsqrtps %1, %0" : "=x"(y) : "x"(x));
  else asm("vsqrtpd %1, %0" : "=x"(y) : "x"(x));
}
template <class T, class Register>
inline void square_root_baseline(Register& y, const Register& x) {
  if constexpr (sizeof(T) == 4) asm("sqrtps %1, %0" : "=x"(y) : "x"(x));
  else asm("sqrtpd %1, %0" : "=x"(y) : "x"(x));
}
#endif

/// x, but at most `limit`; NaN stays NaN.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> at_most(const Simd<T, I>& limit, const Simd<T, I>& x) {
  Simd<T, I> y;
#if defined(__x86_64__)
  if constexpr (I::level == SimdLevel::avx512) return smaller_avx512<T>(y.v, limit.v, x.v), y;
  else if constexpr (I::level == SimdLevel::avx2) return smaller_avx2<T>(y.v, limit.v, x.v), y;
#endif
  return {limit.v < x.v ? limit.v : x.v};
}
/// x, but at least `limit`; NaN stays NaN.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> at_least(const Simd<T, I>& limit, const Simd<T, I>& x) {
  Simd<T, I> y;
#if defined(__x86_64__)
  if constexpr (I::level == SimdLevel::avx512) return larger_avx512<T>(y.v, limit.v, x.v), y;
  else if constexpr (I::level == SimdLevel::avx2) return larger_avx2<T>(y.v, limit.v, x.v), y;
#endif
  return {limit.v > x.v ? limit.v : x.v};
}
/// Square root of each lane, correctly rounded.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> square_root(const Simd<T, I>& x) {
  Simd<T, I> y;
#if defined(__x86_64__)
  if constexpr (I::level == SimdLevel::avx512) square_root_avx512<T>(y.v, x.v);
  else if constexpr (I::level == SimdLevel::avx2) square_root_avx2<T>(y.v, x.v);
  else square_root_baseline<T>(y.v, x.v);
#else
  for (Index i = 0; i < Simd<T, I>::lanes; ++i) y.v[i] = std::sqrt(x.v[i]);
#endif
  return y;
}

/// A number known at run time in every lane. V::all(value) is for constants: of others gcc 12 builds the register lane by lane.
template <class V, class T>
VENTRAL_ALWAYS_INLINE V spread(T value) {
#if defined(__clang__)
  return V::all(value);
#else
  V v = V::zero();
  v.v[0] = value;
  return {__builtin_shuffle(v.v, decltype(typename V::Mask{}.m){})};
#endif
}

/// out[i] = f(a[i], b[i], c[i]) for i in [0, n), on registers; `out` may be an input. There is one copy of f: what is left beyond the last whole
/// register goes through memory of its own in a second round.
template <class V, class T, class F>
VENTRAL_ALWAYS_INLINE void map_arrays(Index n, const T* a, const T* b, const T* c, T* out, const F& f) {
  const Index whole = n - n % V::lanes;
  const std::size_t left = static_cast<std::size_t>(n - whole) * sizeof(T);
  T rest[4][V::lanes] = {};
  T* to = out;
  for (Index count = whole;; count = V::lanes) {
    for (Index i = 0; i < count; i += V::lanes) f(V::load(a + i), V::load(b + i), V::load(c + i)).store(to + i);
    if (left == 0) return;
    if (to == rest[3]) break;
    std::memcpy(rest[0], a + whole, left);
    std::memcpy(rest[1], b + whole, left);
    std::memcpy(rest[2], c + whole, left);
    a = rest[0], b = rest[1], c = rest[2], to = rest[3];
  }
  std::memcpy(out + whole, to, left);
}

/// Sum of a_i b_i over [0, n) in double, or of a_i where b is null.
template <class T>
struct SumOfProducts {
  template <class I>
  static VENTRAL_ALWAYS_INLINE double run(Index n, const T* a, const T* b) {
    using V = Simd<double, I>;
    constexpr int side_by_side = 4;  // an addition waits for the one before
    const auto add = [&](Index at, const V& sum) VENTRAL_ALWAYS_INLINE_LAMBDA {
      const V v = load_as_double<V>(a + at);
      return b ? multiply_add(v, load_as_double<V>(b + at), sum) : sum + v;
    };
    double total = 0;
    Index i = 0;
    if (n >= side_by_side * V::lanes) {
      V s0 = V::zero(), s1 = s0, s2 = s0, s3 = s0;
      for (; i + side_by_side * V::lanes <= n; i += side_by_side * V::lanes)
        s0 = add(i, s0), s1 = add(i + V::lanes, s1), s2 = add(i + 2 * V::lanes, s2), s3 = add(i + 3 * V::lanes, s3);
      total = ((s0 + s1) + (s2 + s3)).sum();
    }
    for (; i < n; ++i) total += static_cast<double>(a[i]) * (b ? static_cast<double>(b[i]) : 1);
    return total;
  }
};

/// Layout of a floating-point number, and the series below for its precision. `expm1` approximates (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2,
/// `atanh` (2 atanh(s) / s - 2) / s^2 by powers of s^2 <= 1/9: minimax polynomials, with relative errors of exp(r) - 1 and of the logarithm
/// below 2^-26 and 2^-27 (float), 2^-61 and 2^-59 (double).
template <class T>
struct FloatFormat;
template <>
struct FloatFormat<float> {
  using Int = std::int32_t;
  static constexpr int mantissa_bits = 23, log_terms = 5, exp_terms = 8;
  static constexpr Int sign = INT32_MIN, sqrt_half = 0x3f3504f3;  ///< the bits of -0 and of sqrt(1/2)
  static constexpr float smallest = 0x1p-126f, largest = 0x1.fffffep127f, round = 0x1.8p23f, lowest_power = -126, highest_power = 127;
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;  ///< whole numbers of this type times the former are exact
  static constexpr float exp_low = -104, exp_high = 89, tanh_high = 10;       ///< beyond them exp is 0 and infinity, and tanh 1
  static constexpr float raise = 0x1p24f;                                      ///< makes every subnormal number normal
  static constexpr float expm1[] = {0.49999997f, 0.166665435f, 0.0416672006f, 0.00836654752f, 0.00138825167f};
  static constexpr float atanh[] = {0.666664124f, 0.400216997f, 0.279991418f, 0.280244589f};
};
template <>
struct FloatFormat<double> {
  using Int = std::int64_t;
  static constexpr int mantissa_bits = 52, log_terms = 11, exp_terms = 14;
  static constexpr Int sign = INT64_MIN, sqrt_half = 0x3fe6a09e667f3bcd;
  static constexpr double smallest = 0x1p-1022, largest = 0x1.fffffffffffffp1023, round = 0x1.8p52, lowest_power = -1022, highest_power = 1023;
  static constexpr double ln2_high = 0x1.62e42fefap-1, ln2_low = 0x1.cf79abc9e3b39p-40;
  static constexpr double exp_low = -746, exp_high = 710, tanh_high = 20, raise = 0x1p54;
  static constexpr double expm1[] = {0.5,
                                     0.16666666666666677,
                                     0.041666666666666505,
                                     0.0083333333333216533,
                                     0.0013888888888962609,
                                     0.00019841269886073518,
                                     2.4801587172226438e-05,
                                     2.7557244254116785e-06,
                                     2.7557402777586934e-07,
                                     2.5109024490116793e-08,
                                     2.0875328552906238e-09};
  static constexpr double atanh[] = {0.66666666666666308, 0.40000000000157243, 0.28571428547853878, 0.22222223969732718, 0.18181743924839494,
                                     0.15386559925379814, 0.13300973551724765, 0.12106086544400012, 0.083401002007922234, 0.17018577757919337};
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
/// c[0] + c[1] x + c[2] x^2 + ...
template <const auto& c, std::size_t k = 0, class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> series(const Simd<T, I>& x) {
  if constexpr (k + 1 == std::size(c)) return Simd<T, I>::all(c[k]);
  else return multiply_add(series<c, k + 1>(x), x, Simd<T, I>::all(c[k]));
}

/// The bits of a register's numbers, as integers.
template <class T, class I>
struct BitsOf {
  typedef typename FloatFormat<T>::Int Register __attribute__((vector_size(I::bytes)));
  typedef std::make_unsigned_t<typename FloatFormat<T>::Int> Unsigned __attribute__((vector_size(I::bytes)));
};
template <class T, class I>
using Bits = typename BitsOf<T, I>::Register;
template <class T, class I>
using UnsignedBits = typename BitsOf<T, I>::Unsigned;  // for sums that may wrap around

/// x = 2^power rest with rest in [sqrt(1/2), sqrt(2)); x positive, normal and finite. Of other x something, without a trap.
template <class T, class I>
struct LogParts {
  using V = Simd<T, I>;
  using F = FloatFormat<T>;
  V rest, power;

  VENTRAL_ALWAYS_INLINE explicit LogParts(const V& x) {
    using U = UnsignedBits<T, I>;
    const V round = V::all(F::round);
    const U bits = (U)x.v;
    const Bits<T, I> n = (Bits<T, I>)(bits - (U{} + F::sqrt_half)) >> F::mantissa_bits;
    rest = {(typename V::Register)(bits - ((U)n << F::mantissa_bits))};
    power = V{(typename V::Register)((Bits<T, I>)round.v + n)} - round;
  }
};

/// x = n ln(2) + r with |r| <= ln(2) / 2: `shifted` holds the whole number n in its last bits, `rest` is exp(r) - 1. For |x| < 1100.
template <class T, class I>
struct ExpParts {
  using V = Simd<T, I>;
  using F = FloatFormat<T>;
  V shifted, rest;

  VENTRAL_ALWAYS_INLINE explicit ExpParts(const V& x) {
    shifted = multiply_add(x, V::all(static_cast<T>(1 / natural_log_of_2)), V::all(F::round));
    const V n = shifted - V::all(F::round), r = multiply_add(n, V::all(-F::ln2_low), multiply_add(n, V::all(-F::ln2_high), x));
    rest = multiply_add(r * r, series<F::expm1>(r), r);
  }
};

/// first 2^n, for `shifted` as above and `first` a power of two.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> times_power_of_2(const Simd<T, I>& shifted, T first) {
  using V = Simd<T, I>;
  const V one = V::all(first);
  return {(typename V::Register)(((UnsignedBits<T, I>)shifted.v << FloatFormat<T>::mantissa_bits) + (UnsignedBits<T, I>)one.v)};
}

/// log(1 + f) for f in [-1/2, 1], as 2 atanh(f / (2 + f)).
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> log_near_1(const Simd<T, I>& f) {
  using V = Simd<T, I>;
  const V s = f / (V::all(2) + f), z = s * s;
  return multiply_add(s * z, series<FloatFormat<T>::atanh>(z), s + s);
}

/// log(x), or log(1 + f) where x is 1 + f rounded; x positive, normal and finite.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> log_of_normal(const Simd<T, I>& x, const Simd<T, I>* f) {
  using V = Simd<T, I>;
  using F = FloatFormat<T>;
  const LogParts<T, I> parts(x);
  const V &e = parts.power, above_1 = parts.rest - V::all(1);
  const V rest = f ? V::select({e.v == V::zero().v}, *f, above_1) : above_1;
  return multiply_add(e, V::all(F::ln2_high), multiply_add(e, V::all(F::ln2_low), log_near_1(rest)));
}

/// What log_of_normal(x) leaves out: logarithms of 0, of negative numbers, of infinity and NaN.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> log_at_ends(const Simd<T, I>& x, const Simd<T, I>& log) {
  using V = Simd<T, I>;
  const V infinity = V::all(std::numeric_limits<T>::infinity());
  V y = log + (x - x);  // NaN
  y = V::select({x.v == V::zero().v}, V::zero() - infinity, y);
  y = V::select(x < V::zero(), infinity - infinity, y);
  return V::select({x.v == infinity.v}, infinity, y);
}

}  // namespace detail

/// Logarithm to base 2 of positive, normal, finite numbers; NaN stays NaN. Absolute error within an ulp or two of the result or of 1.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> log2(const Simd<T, I>& x) {
  using V = Simd<T, I>;
  using F = detail::FloatFormat<T>;
  const detail::LogParts<T, I> parts(x);
  const V s = (parts.rest - V::all(1)) / (parts.rest + V::all(1)), z = s * s;
  return s * detail::polynomial<detail::log2_coefficient, F::log_terms>(z) + parts.power + (x - x);
}

/// 2^t; t beyond the range of normal numbers counts as its end. NaN stays NaN. Relative error within two ulp.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> exp2(const Simd<T, I>& t) {
  using V = Simd<T, I>;
  using F = detail::FloatFormat<T>;
  using Bits = detail::UnsignedBits<T, I>;
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

/// exp(x): subnormal where the result is, 0 below, infinity above. Within 1.1 ulp.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> exp(const Simd<T, I>& x) {
  using V = Simd<T, I>;
  using F = detail::FloatFormat<T>;
  const V low = V::all(F::exp_low), high = V::all(F::exp_high), round = V::all(F::round);
  const detail::ExpParts<T, I> e(detail::at_most(high, detail::at_least(low, x)));
  const V half = multiply_add(e.shifted - round, V::all(T(0.5)), round), other = e.shifted - (half - round);  // n may be beyond the exponents, n / 2 is not
  const V scale = detail::times_power_of_2(half, T(1));
  return multiply_add(e.rest, scale, scale) * detail::times_power_of_2(other, T(1));
}

/// exp(x) for x <= 40, in fewer steps. Within 1.1 ulp.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> exp_small(const Simd<T, I>& x) {
  using V = Simd<T, I>;
  using F = detail::FloatFormat<T>;
  const detail::ExpParts<T, I> e(detail::at_least(V::all(F::exp_low), x));
  const V scale = detail::times_power_of_2(e.shifted, F::raise);
  return multiply_add(e.rest, scale, scale) * V::all(1 / F::raise);
}

/// exp(x) - 1 without cancellation; infinity above. -0 becomes 0. Within 1.8 ulp.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> expm1(const Simd<T, I>& x) {
  using V = Simd<T, I>;
  const V low = V::all(T(-50)), high = V::all(detail::FloatFormat<T>::exp_high);
  const detail::ExpParts<T, I> e(detail::at_most(high, detail::at_least(low, x)));
  const V scale = detail::times_power_of_2(e.shifted, T(0.5)), y = multiply_add(e.rest, scale, scale - V::all(T(0.5)));  // a half: 2^n may be infinite
  return y + y;
}

/// tanh(x / 2) = (exp(|x|) - 1) / (exp(|x|) + 1) with the sign of x, -0 included. Within 2.7 ulp.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> tanh_of_half(const Simd<T, I>& x) {
  using V = Simd<T, I>;
  using F = detail::FloatFormat<T>;
  using Bits = detail::Bits<T, I>;
  const detail::ExpParts<T, I> e(detail::at_most(V::all(2 * F::tanh_high), V{(typename V::Register)((Bits)x.v & ~F::sign)}));
  const V scale = detail::times_power_of_2(e.shifted, T(1)), m = multiply_add(e.rest, scale, scale - V::all(1)), y = m / (m + V::all(2));
  return {(typename V::Register)((Bits)y.v | ((Bits)x.v & F::sign))};
}
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> tanh(const Simd<T, I>& x) {
  return tanh_of_half(x + x);
}

/// 1 / (1 + exp(-x)), as exp(x) / (1 + exp(x)); subnormal and 0 far below. Within 2.5 ulp.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> sigmoid(const Simd<T, I>& x) {
  using V = Simd<T, I>;
  using F = detail::FloatFormat<T>;
  const detail::ExpParts<T, I> e(detail::at_most(V::all(T(40)), detail::at_least(V::all(F::exp_low), x)));
  const V scale = detail::times_power_of_2(e.shifted, F::raise), raised = multiply_add(e.rest, scale, scale);
  return raised / (V::all(F::raise) + raised);
}

/// log(1 + exp(x)), as max(x, 0) + log(1 + exp(-|x|)). Within 3 ulp.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> softplus(const Simd<T, I>& x) {
  using V = Simd<T, I>;
  using Bits = detail::Bits<T, I>;
  const V below{(typename V::Register)((Bits)x.v | detail::FloatFormat<T>::sign)};
  return detail::at_least(V::zero(), x) + detail::log_near_1(exp_small(below));
}

/// Natural logarithm: -infinity at 0, NaN below. Subnormal numbers count as the smallest normal one. Within 2.5 ulp.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> log(const Simd<T, I>& x) {
  using V = Simd<T, I>;
  const V low = V::all(detail::FloatFormat<T>::smallest);
  return detail::log_at_ends(x, detail::log_of_normal(V::select(x < low, low, x), static_cast<const V*>(nullptr)));
}

/// log(1 + x) without cancellation: -infinity at -1, NaN below. Within 3 ulp.
template <class T, class I>
VENTRAL_ALWAYS_INLINE Simd<T, I> log1p(const Simd<T, I>& x) {
  using V = Simd<T, I>;
  const V sum = V::all(1) + x;
  return detail::log_at_ends(sum, detail::log_of_normal(sum, &x));
}

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}  // namespace ventral::inline v0::cpu
