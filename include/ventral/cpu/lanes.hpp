#pragma once
#include <cstdint>
#include <type_traits>
#include <utility>

#include "ventral/cpu/simd.hpp"

/// Registers beside those of simd.hpp: of one number, of positions, and filled from every second number. As there, for VENTRAL_ALWAYS_INLINE functions.
namespace ventral::inline v0::cpu::detail {

/// Planes per chunk of a kernel that works plane by plane: as many as make the chunk worth handing over.
constexpr Index planes_per_chunk(Index cells) { return cells >= Index{1} << 14 ? 1 : (Index{1} << 14) / (cells > 0 ? cells : 1); }

/// A register of one number: the borders of an image run through the same code as its vectors.
template <class T>
struct OneLane {
  static constexpr Index lanes = 1;
  T v;

  static VENTRAL_ALWAYS_INLINE OneLane load(const T* p) { return {*p}; }
  static VENTRAL_ALWAYS_INLINE OneLane all(T value) { return {value}; }
  VENTRAL_ALWAYS_INLINE void store(T* p) const { *p = v; }
};

#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // as in simd.hpp
#endif

/// Whole numbers in lanes as wide as those of V: positions beside values.
template <class V>
struct Whole {
  using Register = decltype(typename V::Mask{}.m);
  using Lane = std::remove_reference_t<decltype(Register{}[0])>;
  Register v;

  static VENTRAL_ALWAYS_INLINE Whole all(Index value) {
    Whole s{};  // filled lane by lane: gcc 12 makes a poor broadcast of Register{} + value
    for (Index i = 0; i < V::lanes; ++i) s.v[i] = static_cast<Lane>(value);
    return s;
  }
  /// 0, 1, 2, ...
  template <std::size_t... L>
  static VENTRAL_ALWAYS_INLINE Whole count(std::index_sequence<L...>) {
    return {Register{static_cast<Lane>(L)...}};
  }
  VENTRAL_ALWAYS_INLINE void store(std::int32_t* p) const {
    typedef std::int32_t Narrow __attribute__((vector_size(sizeof(Register) / sizeof(Lane) * 4)));
    const Narrow n = __builtin_convertvector(v, Narrow);
    __builtin_memcpy(p, &n, sizeof n);
  }
};

template <class T>
struct Whole<OneLane<T>> {
  Index v;

  static VENTRAL_ALWAYS_INLINE Whole all(Index value) { return {value}; }
  static VENTRAL_ALWAYS_INLINE Whole count(std::index_sequence<0>) { return {0}; }
  VENTRAL_ALWAYS_INLINE void store(std::int32_t* p) const { *p = static_cast<std::int32_t>(v); }
};

template <class V>
using LaneNumbers = std::make_index_sequence<static_cast<std::size_t>(V::lanes)>;

template <class V, class T, std::size_t... L>
VENTRAL_ALWAYS_INLINE V load_every_second(const T* p, std::index_sequence<L...>) {
  constexpr std::size_t n = sizeof...(L);
  const V a = V::load(p), b = V::load(p + n - 1);  // nothing beyond the last number wanted is read
#if defined(__clang__)
  return {__builtin_shufflevector(a.v, b.v, (L < n / 2 ? 2 * L : 2 * L + 1)...)};
#else
  return {__builtin_shuffle(a.v, b.v, typename Whole<V>::Register{(L < n / 2 ? 2 * L : 2 * L + 1)...})};
#endif
}

/// V::lanes numbers as doubles.
template <class V, class T>
VENTRAL_ALWAYS_INLINE V load_as_double(const T* p) {
  if constexpr (V::lanes == 1) {
    return {static_cast<double>(*p)};
  } else if constexpr (std::is_same_v<T, double>) {
    return V::load(p);
  } else {
    typedef T Narrow __attribute__((vector_size(static_cast<std::size_t>(V::lanes) * sizeof(T))));
    Narrow n;
    __builtin_memcpy(&n, p, sizeof n);
    return {__builtin_convertvector(n, typename V::Register)};
  }
}

/// f of each lane, one after the other.
template <class V, class F>
VENTRAL_ALWAYS_INLINE V map(const V& v, const F& f) {
  if constexpr (V::lanes == 1) {
    return {f(v.v)};
  } else {
    V s = v;
    for (Index i = 0; i < V::lanes; ++i) s.v[i] = f(v.v[i]);
    return s;
  }
}

/// The numbers p[0], p[Stride], p[2 Stride], ...; Stride is 1 or 2.
template <class V, int Stride, class T>
VENTRAL_ALWAYS_INLINE V load_strided(const T* p) {
  static_assert(Stride == 1 || Stride == 2);
  if constexpr (Stride == 1) return V::load(p);
  else return load_every_second<V>(p, LaneNumbers<V>());
}

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}  // namespace ventral::inline v0::cpu::detail
