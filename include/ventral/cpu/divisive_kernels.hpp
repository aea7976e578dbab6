#pragma once
#include <cmath>
#include <limits>

#include "ventral/cpu/box_sum.hpp"
#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/vector_math.hpp"
#include "ventral/tensor.hpp"

/// What divisive normalization does to a line of numbers.
namespace ventral::inline v0::cpu::detail {

#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // as in simd.hpp: these registers never cross a real call
#endif

/// How base^-beta is found: the exponents of most models have a short way.
enum class Root { any, quarters, one };

/// k, alpha, beta of one channel, as its units use them: divisor (k + slope sum)^beta, applied where k + slope sum >= limit.
template <class T>
struct Divisor {
  T k, slope, beta, limit, least;  ///< least: (k + slope sum)^-beta where that sum is infinite
  Root root;
  T series[6];  ///< of (1 - h)^-beta by powers of h, for root quarters: least error for |h| < 1/8
};

template <class T>
Divisor<T> divisor_of(const DivisiveRule& rule, TensorRef<const T> k, TensorRef<const T> alpha, TensorRef<const T> beta, Index channel) {
  const auto value = [channel](TensorRef<const T> p, T least) {
    const T v = p.data[p.size() == 1 ? 0 : channel];
    return v < least ? least : v;  // NaN stays
  };
  const T exponent = value(beta, T(0)), smallest = FloatFormat<T>::smallest;
  Divisor<T> d{value(k, std::max(smallest, static_cast<T>(rule.smallest_k))), value(alpha, T(0)) / static_cast<T>(rule.box.size()), exponent, T(0), T(0), Root::any, {}};
  // (k + slope sum)^beta >= threshold, without the power
  if (rule.threshold > 0 && exponent > 0) d.limit = static_cast<T>(std::pow(rule.threshold, 1 / static_cast<double>(exponent)));
  else if (rule.threshold > 1) d.limit = std::numeric_limits<T>::infinity();
  if (exponent == T(1)) d.root = Root::one, d.least = smallest / 4;
  if constexpr (std::is_same_v<T, float>) {
    constexpr float half[] = {1.f, 0.50000012f, 0.3749702f, 0.3124301f, 0.27864847f, 0.25372037f};
    constexpr float three_quarters[] = {1.f, 0.75000036f, 0.65618205f, 0.60140073f, 0.5758400f, 0.5535734f};
    if (exponent == 0.5f) d.root = Root::quarters, d.least = 0x1p-64f, std::memcpy(d.series, half, sizeof half);
    if (exponent == 0.75f) d.root = Root::quarters, d.least = 0x1p-96f, std::memcpy(d.series, three_quarters, sizeof half);
  }
  return d;
}

/// Calls body(i) for pairs of registers that cover [0, count), count >= BoxTiles::least_line. The last pair overlaps the one before, so body must not
/// change what it reads. Every element takes the same operations, wherever it stands.
template <class V, class Body>
VENTRAL_ALWAYS_INLINE void for_pairs(Index count, Body body) {
  constexpr Index step = 2 * V::lanes;
  for (Index i = 0; i < count; i += step) body(i + step <= count ? i : count - step);
}

/// base^-beta, base >= the smallest normal number; beyond the largest counts as that; NaN stays.
/// beta = 1/2 and 3/4 in float: y = 2^(-bits/4), as the exponent and mantissa stand there, is base^(-1/4) to 3 %; with h = 1 - base y^4, |h| < 1/8,
/// base^-beta = y^(4 beta) (1 - h)^-beta, the latter a polynomial with an error below 6e-8. No root and no division.
template <Root root, class T, class I>
struct InversePower {
  using V = Simd<T, I>;
  typedef typename FloatFormat<T>::Int Bits __attribute__((vector_size(I::bytes)));
  V minus_beta, least, high, one, c0, c1, c2, c3, c4, c5;  // no array: gcc 12 would fill it lane by lane
  Bits third;

  explicit VENTRAL_ALWAYS_INLINE InversePower(const Divisor<T>& d)
      : minus_beta(V::all(-d.beta)), least(V::all(d.least)), high(V::all(FloatFormat<T>::largest)), one(V::all(1)), c0(V::all(d.series[0])),
        c1(V::all(d.series[1])), c2(V::all(d.series[2])), c3(V::all(d.series[3])), c4(V::all(d.series[4])), c5(V::all(d.series[5])),
        third(Bits{} - (d.beta == T(0.75))) {}
  VENTRAL_ALWAYS_INLINE V operator()(const V& base) const {
    if constexpr (root == Root::any) return power(base, minus_beta);
    V out = one / base;
    if constexpr (root == Root::quarters) {
      const V y{(typename V::Register)(0x4f580000 - ((Bits)base.v >> 2))}, y2 = y * y;
      const V h{one.v - (base.v * y2.v) * y2.v}, h2 = h * h;
      const V sum = multiply_add(multiply_add(multiply_add(c5, h, c4), h2, multiply_add(c3, h, c2)), h2, multiply_add(c1, h, c0));
      const V last{(typename V::Register)(((Bits)y.v & third) | ((Bits)one.v & ~third))};  // y, or 1 for beta = 1/2
      out = y2 * last * sum;
    }
    return V::select(base > high, least, out);
  }
};

/// The sum of a pair of registers over lines.
template <class V, class T>
VENTRAL_ALWAYS_INLINE void sum_lines(const LineSet<T>& set, Index i, V (&sum)[2]) {
  VENTRAL_UNROLL
  for (int r = 0; r < 2; ++r) sum[r] = V::load(set.line[0] + i + r * V::lanes);
  for (Index k = 1; k < set.count; ++k) {
    VENTRAL_UNROLL
    for (int r = 0; r < 2; ++r) sum[r] = sum[r] + V::load(set.line[k] + i + r * V::lanes);
  }
}

/// to = |x|^exponent; `ahead` elements further is what comes next, which no hardware guesses.
template <class T>
struct Magnitudes {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(T exponent, const T* x, Index count, Index ahead, T* to) {
    using V = Simd<T, I>;
    const V zero = V::zero(), p = V::all(exponent);
    for_pairs<V>(count, [&](Index first) VENTRAL_ALWAYS_INLINE_LAMBDA {
      VENTRAL_UNROLL
      for (int r = 0; r < 2; ++r) {
        const Index i = first + r * V::lanes;
        const V v = V::load(x + i);
        if (ahead) __builtin_prefetch(x + i + ahead);
        if (exponent == T(2)) {
          (v * v).store(to + i);
        } else {
          const V size = V::select(v < zero, zero - v, v);
          if (exponent == T(1)) size.store(to + i);
          else V::select(size > zero, power(size, p), size).store(to + i);  // 0 and NaN stay
        }
      }
    });
  }
};

/// y = x (k + slope sum)^-beta; sums unless null.
template <class T>
struct Divide {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const Divisor<T>& d, const LineSet<T>& lines, const T* x, Index count, Index ahead, T* sums, T* y) {
    if (d.root == Root::any) return loop<Root::any, I>(d, lines, x, count, ahead, sums, y);
    if (d.root == Root::one) return loop<Root::one, I>(d, lines, x, count, ahead, sums, y);
    if constexpr (std::is_same_v<T, float>) loop<Root::quarters, I>(d, lines, x, count, ahead, sums, y);
  }
  template <Root root, class I>
  static VENTRAL_ALWAYS_INLINE void loop(const Divisor<T>& d, const LineSet<T>& lines, const T* x, Index count, Index ahead, T* sums, T* y) {
    using V = Simd<T, I>;
    const V k = V::all(d.k), slope = V::all(d.slope), limit = V::all(d.limit);
    const InversePower<root, T, I> inverse(d);
    const bool limited = d.limit > T(0);
    for_pairs<V>(count, [&](Index first) VENTRAL_ALWAYS_INLINE_LAMBDA {
      V sum[2];
      sum_lines(lines, first, sum);
      VENTRAL_UNROLL
      for (int r = 0; r < 2; ++r) {
        const Index i = first + r * V::lanes;
        const V v = V::load(x + i), base = multiply_add(slope, sum[r], k);
        V out = v * inverse(base);
        if (limited) out = V::select(base < limit, v, out);
        if (ahead) __builtin_prefetch(y + i + ahead, 1);
        if (sums) sum[r].store(sums + i);
        out.store(y + i);
      }
    });
  }
};

/// t = factor dy y / (k + slope sum), 0 where nothing was divided: what each unit's divisor tells its neighbours; g = dy (k + slope sum)^-beta unless null.
template <class T>
struct Scatter {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const Divisor<T>& d, T factor, const LineSet<T>& lines, const T* x, const T* dy, Index count, Index ahead, T* g, T* t) {
    if (d.root == Root::any) return loop<Root::any, I>(d, factor, lines, x, dy, count, ahead, g, t);
    if (d.root == Root::one) return loop<Root::one, I>(d, factor, lines, x, dy, count, ahead, g, t);
    if constexpr (std::is_same_v<T, float>) loop<Root::quarters, I>(d, factor, lines, x, dy, count, ahead, g, t);
  }
  template <Root root, class I>
  static VENTRAL_ALWAYS_INLINE void loop(const Divisor<T>& d, T factor, const LineSet<T>& lines, const T* x, const T* dy, Index count, Index ahead, T* g, T* t) {
    using V = Simd<T, I>;
    const V k = V::all(d.k), slope = V::all(d.slope), limit = V::all(d.limit), scale = V::all(factor), zero = V::zero();
    const InversePower<root, T, I> inverse(d);
    const bool limited = d.limit > T(0);
    for_pairs<V>(count, [&](Index first) VENTRAL_ALWAYS_INLINE_LAMBDA {
      V sum[2];
      sum_lines(lines, first, sum);
      VENTRAL_UNROLL
      for (int r = 0; r < 2; ++r) {
        const Index i = first + r * V::lanes;
        const V from = V::load(dy + i), base = multiply_add(slope, sum[r], k);
        if (ahead) __builtin_prefetch(dy + i + ahead);
        V through = from * inverse(base), told = scale * through * V::load(x + i) / base;
        if (limited) through = V::select(base < limit, from, through), told = V::select(base < limit, zero, told);
        through.store(g + i);
        told.store(t + i);
      }
    });
  }
};

/// dx = g - |x|^(exponent - 1) sign(x) sum
template <class T>
struct Gather {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(T exponent, const LineSet<T>& lines, const T* x, const T* g, Index count, Index ahead, T* dx) {
    using V = Simd<T, I>;
    const V zero = V::zero(), one = V::all(1), p = V::all(exponent - 1);
    for_pairs<V>(count, [&](Index first) VENTRAL_ALWAYS_INLINE_LAMBDA {
      V sum[2];
      sum_lines(lines, first, sum);
      VENTRAL_UNROLL
      for (int r = 0; r < 2; ++r) {
        const Index i = first + r * V::lanes;
        const V v = V::load(x + i);
        if (ahead) __builtin_prefetch(dx + i + ahead, 1);
        V rise = v;
        if (exponent != T(2)) {
          rise = V::select(v < zero, zero - one, V::select(v > zero, one, v));  // sign, 0 at the kink
          if (exponent != T(1)) rise = V::select(rise > zero, power(v, p), V::select(rise < zero, zero - power(zero - v, p), rise));
        }
        (V::load(g + i) - rise * sum[r]).store(dx + i);
      }
    });
  }
};

/// Adds to out the sums over `count` units of dy y / base, dy y sum / base and dy y ln(base), where divided; partial sums of 4096 units add in double.
template <class T>
struct ParameterSums {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const Divisor<T>& d, const T* y, const T* dy, const T* sums, Index count, double* out) {
    using V = Simd<T, I>;
    constexpr Index stretch = 4096;
    const V k = V::all(d.k), slope = V::all(d.slope), limit = V::all(d.limit), least = V::all(FloatFormat<T>::smallest), zero = V::zero();
    for (Index begin = 0; begin < count; begin += stretch) {
      V by_k = zero, by_slope = zero, by_beta = zero;
      for_vectors<V>(std::min(stretch, count - begin), [&](Index i, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
        const V sum = lanes.load(sums + begin + i), found = k + slope * sum, base = max(found, least);  // 0 beyond the end if k is
        const V share = V::select(found < limit, zero, lanes.load(dy + begin + i) * lanes.load(y + begin + i)), over = share / base;
        by_k = by_k + over;
        by_slope = by_slope + over * sum;
        by_beta = by_beta + share * log2(base);
      });
      out[0] += static_cast<double>(by_k.sum());
      out[1] += static_cast<double>(by_slope.sum());
      out[2] += static_cast<double>(by_beta.sum()) * natural_log_of_2;
    }
  }
};

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

template <class T>
struct DivisiveKernels : BoxKernels<T> {
  void (*magnitudes)(T, const T*, Index, Index, T*);
  void (*divide)(const Divisor<T>&, const LineSet<T>&, const T*, Index, Index, T*, T*);
  void (*scatter)(const Divisor<T>&, T, const LineSet<T>&, const T*, const T*, Index, Index, T*, T*);
  void (*gather)(T, const LineSet<T>&, const T*, const T*, Index, Index, T*);
  void (*parameter_sums)(const Divisor<T>&, const T*, const T*, const T*, Index, double*);

  explicit DivisiveKernels(SimdLevel level)
      : BoxKernels<T>(level), magnitudes(simd_function<Magnitudes<T>, void(T, const T*, Index, Index, T*)>(level)),
        divide(simd_function<Divide<T>, void(const Divisor<T>&, const LineSet<T>&, const T*, Index, Index, T*, T*)>(level)),
        scatter(simd_function<Scatter<T>, void(const Divisor<T>&, T, const LineSet<T>&, const T*, const T*, Index, Index, T*, T*)>(level)),
        gather(simd_function<Gather<T>, void(T, const LineSet<T>&, const T*, const T*, Index, Index, T*)>(level)),
        parameter_sums(simd_function<ParameterSums<T>, void(const Divisor<T>&, const T*, const T*, const T*, Index, double*)>(level)) {}
};

/// The kernels of a level, by default of the one in use.
template <class T>
const DivisiveKernels<T>& divisive_kernels(SimdLevel level = simd_level()) {
  static const DivisiveKernels<T> kernels[] = {DivisiveKernels<T>(SimdLevel::baseline), DivisiveKernels<T>(SimdLevel::avx2), DivisiveKernels<T>(SimdLevel::avx512)};
  return kernels[static_cast<int>(level)];
}
VENTRAL_COMPILED(divisive_kernels)

}  // namespace ventral::inline v0::cpu::detail
