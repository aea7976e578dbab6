#pragma once
#include <cmath>
#include <cstdint>
#include <limits>

#include "ventral/cpu/lanes.hpp"

/// What pooling makes of the numbers under a window: the largest, the mean, the norm. A pooling knows where outputs go; its Fold<V> takes one number at
/// a time for each lane of V, tap after tap. For VENTRAL_ALWAYS_INLINE functions, as simd.hpp.
namespace ventral::inline v0::cpu::detail {

#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // as in simd.hpp
#endif

/// Maxima into y and, if not null, the number r kernel.w + c of the first tap that has it into winners, as a number of type T.
template <class T>
struct MaxOf {
  T *y, *winners;

  /// Right for all numbers but NaN; `sum` shows whether there may have been one.
  template <class V>
  struct Fold {
    V best, where, tap, sum;

    VENTRAL_ALWAYS_INLINE void take(const V& v) {
      where.v = v.v > best.v ? tap.v : where.v;
      best.v = v.v > best.v ? v.v : best.v;
      tap.v += V::all(T(1)).v;
      sum.v += v.v;
    }
    VENTRAL_ALWAYS_INLINE void skip(Index taps) { tap.v += splat<V>(static_cast<T>(taps)).v; }
  };
  /// A NaN wins, the last of several (as PyTorch): it is never <= the bar, and it raises the bar to infinity.
  struct OneFold {
    T best, bar;
    Index where, tap;

    void take(T v) {
      const bool wins = !(v <= bar);
      best = wins ? v : best;
      where = wins ? tap : where;
      bar = !wins ? bar : v == v ? v : std::numeric_limits<T>::infinity();
      ++tap;
    }
    void skip(Index taps) { tap += taps; }
  };

  template <class V>
  VENTRAL_ALWAYS_INLINE Fold<V> start(Index tap) const {
    const V first = splat<V>(static_cast<T>(tap));
    return {splat<V>(-std::numeric_limits<T>::infinity()), first, first, V::zero()};
  }
  OneFold start_one(Index tap) const {
    constexpr T lowest = -std::numeric_limits<T>::infinity();
    return {lowest, lowest, tap, tap};
  }
  template <class V, class Arrange>
  VENTRAL_ALWAYS_INLINE void store(const Fold<V>& fold, Index o, V& seen, const Arrange& arrange) const {
    arrange(fold.best).store(y + o);
    if (winners) arrange(fold.where).store(winners + o);
    seen.v += fold.sum.v;
  }
  void store_one(const OneFold& fold, Index o) const {
    y[o] = fold.best;
    if (winners) winners[o] = static_cast<T>(fold.where);
  }
  void count(Index) {}
};

/// What MeanOf and NormOf have in common: a sum over the taps, whatever their numbers.
template <class T, class Pooling>
struct SumOf {
  template <class V>
  struct Fold {
    V sum;
    Pooling pooling;
    VENTRAL_ALWAYS_INLINE void take(const V& v) { sum.v += pooling.term(v).v; }
    VENTRAL_ALWAYS_INLINE void skip(Index) {}
  };
  template <class V>
  VENTRAL_ALWAYS_INLINE Fold<V> start(Index) const {
    return {splat<V>(T(0)), static_cast<const Pooling&>(*this)};
  }
  Fold<OneLane<T>> start_one(Index) const { return start<OneLane<T>>(0); }
  template <class V, class Arrange>
  VENTRAL_ALWAYS_INLINE void store(const Fold<V>& fold, Index o, V&, const Arrange& arrange) const {
    const Pooling& p = static_cast<const Pooling&>(*this);
    arrange(p.result(fold.sum)).store(p.y + o);
  }
  void store_one(const Fold<OneLane<T>>& fold, Index o) const {
    const Pooling& p = static_cast<const Pooling&>(*this);
    p.result(fold.sum).store(p.y + o);
  }
};

/// Means into y: sums divided by the number of cells that count.
template <class T>
struct MeanOf : SumOf<T, MeanOf<T>> {
  T* y;
  T factor = 1;

  explicit MeanOf(T* to) : y(to) {}
  template <class V>
  VENTRAL_ALWAYS_INLINE V term(const V& v) const {
    return v;
  }
  template <class V>
  VENTRAL_ALWAYS_INLINE V result(const V& sum) const {
    return {sum.v * splat<V>(factor).v};
  }
  void count(Index cells) { factor = T(1) / static_cast<T>(cells); }
};

/// Norms into y: (sum |x|^p)^(1/p); `Square` for p = 2.
template <class T, bool Square>
struct NormOf : SumOf<T, NormOf<T, Square>> {
  T *y, p;

  NormOf(T* to, T power) : y(to), p(power) {}
  template <class V>
  VENTRAL_ALWAYS_INLINE V term(const V& v) const {
    if constexpr (Square) return {v.v * v.v};
    else return map<V>(v, [e = p](T x) { return std::pow(std::abs(x), e); });
  }
  template <class V>
  VENTRAL_ALWAYS_INLINE V result(const V& sum) const {
    return map<V>(sum, [e = p](T s) { return Square ? std::sqrt(s) : std::pow(s, T(1) / e); });
  }
  void count(Index) {}
};

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}  // namespace ventral::inline v0::cpu::detail
