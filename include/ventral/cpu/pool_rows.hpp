#pragma once
#include <cmath>
#include <cstdint>
#include <limits>

#include "ventral/cpu/lanes.hpp"

/// What pooling makes of the numbers under a window: the largest, the mean, the norm. A row knows where outputs go; its Fold<V> takes one
/// number at a time for each lane of V. For VENTRAL_ALWAYS_INLINE functions, as simd.hpp.
namespace ventral::inline v0::cpu::detail {

#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // as in simd.hpp
#endif

/// Maxima into y and, if not null, the position of the first occurrence into winners. A NaN wins, the last of several (as PyTorch).
template <class T>
struct MaxRow {
  T* y;
  std::int32_t* winners;

  template <class V>
  struct Fold {
    V best, bar;
    Whole<V> where;

    /// A NaN is never <= the bar; it raises the bar to infinity. One comparison a choice: gcc 12 takes combined masks apart lane by lane.
    VENTRAL_ALWAYS_INLINE void take(const V& v, Index offset) {
      const V level{v.v == v.v ? v.v : V::all(std::numeric_limits<T>::infinity()).v};
      where.v = v.v <= bar.v ? where.v : Whole<V>::all(offset).v;
      best.v = v.v <= bar.v ? best.v : v.v;
      bar.v = v.v <= bar.v ? bar.v : level.v;
    }
  };
  template <class V>
  VENTRAL_ALWAYS_INLINE Fold<V> start() const {
    const V lowest = V::all(-std::numeric_limits<T>::infinity());
    return {lowest, lowest, Whole<V>::all(0)};
  }
  template <class V>
  VENTRAL_ALWAYS_INLINE void store(const Fold<V>& fold, Index o, Index origin, Index stride) const {
    fold.best.store(y + o);
    if (winners) Whole<V>{fold.where.v + Whole<V>::all(origin).v + Whole<V>::count(LaneNumbers<V>()).v * Whole<V>::all(stride).v}.store(winners + o);
  }
  void count(Index) {}
};

/// Means into y: sums divided by the number of cells that count.
template <class T>
struct MeanRow {
  T* y;
  T factor;

  template <class V>
  struct Fold {
    V sum;
    VENTRAL_ALWAYS_INLINE void take(const V& v, Index) { sum.v += v.v; }
  };
  template <class V>
  VENTRAL_ALWAYS_INLINE Fold<V> start() const {
    return {V::all(T(0))};
  }
  template <class V>
  VENTRAL_ALWAYS_INLINE void store(const Fold<V>& fold, Index o, Index, Index) const {
    V{fold.sum.v * V::all(factor).v}.store(y + o);
  }
  void count(Index cells) { factor = T(1) / static_cast<T>(cells); }
};

/// Norms into y: (sum |x|^p)^(1/p); `Square` for p = 2.
template <class T, bool Square>
struct NormRow {
  T* y;
  T p;

  template <class V>
  struct Fold {
    V sum;
    T p;
    VENTRAL_ALWAYS_INLINE void take(const V& v, Index) {
      if constexpr (Square) sum.v += v.v * v.v;
      else sum.v += map<V>(v, [e = p](T x) { return std::pow(std::abs(x), e); }).v;
    }
  };
  template <class V>
  VENTRAL_ALWAYS_INLINE Fold<V> start() const {
    return {V::all(T(0)), p};
  }
  template <class V>
  VENTRAL_ALWAYS_INLINE void store(const Fold<V>& fold, Index o, Index, Index) const {
    map<V>(fold.sum, [e = p](T sum) { return Square ? std::sqrt(sum) : std::pow(sum, T(1) / e); }).store(y + o);
  }
  void count(Index) {}
};

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}  // namespace ventral::inline v0::cpu::detail
