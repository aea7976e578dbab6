#pragma once
#include <cstdint>
#include <type_traits>
#include <utility>

#include "ventral/cpu/simd.hpp"

/// Registers beside those of simd.hpp: of one number, of positions, and of every second number. As there, for VENTRAL_ALWAYS_INLINE functions.
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
  static VENTRAL_ALWAYS_INLINE OneLane zero() { return {T(0)}; }
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

/// Lanes of a and b in the order given, b's counted after a's.
template <class V, std::size_t... L>
VENTRAL_ALWAYS_INLINE V shuffle(const V& a, const V& b, std::index_sequence<L...>) {
#if defined(__clang__)
  return {__builtin_shufflevector(a.v, b.v, L...)};
#else
  return {__builtin_shuffle(a.v, b.v, typename Whole<V>::Register{L...})};
#endif
}

template <std::size_t... L>
constexpr std::index_sequence<(0 * L)...> first_lane(std::index_sequence<L...>) {
  return {};
}

/// `value` in all lanes, by a shuffle: gcc 12 fills the lanes of Simd::all one by one where it is the first value of a loop or in one with branches.
template <class V, class T>
VENTRAL_ALWAYS_INLINE V splat(T value) {
  if constexpr (V::lanes == 1) {
    return {value};
  } else {
    V first = V::zero();
    first.v[0] = value;
    return shuffle(first, first, first_lane(LaneNumbers<V>()));
  }
}

/// 0, 1, 2, ...
template <class V, class T, std::size_t... L>
VENTRAL_ALWAYS_INLINE V lane_numbers(std::index_sequence<L...>) {
  return {typename V::Register{static_cast<T>(L)...}};
}

/// 0, v[0], v[1], ...
template <class V, std::size_t... L>
VENTRAL_ALWAYS_INLINE V shifted_up(const V& v, std::index_sequence<L...>) {
  return shuffle(v, V::zero(), std::index_sequence<(L == 0 ? sizeof...(L) : L - 1)...>());
}
template <class V>
VENTRAL_ALWAYS_INLINE V shifted_up(const V& v) {
  return shifted_up(v, LaneNumbers<V>());
}

/// Two registers that hold p[0], p[2], ... and p[1], p[3], ... in an order of their own, which takes one instruction each; `in_order` makes it the usual one.
template <class V>
struct Pairs {
  V even, odd;

  template <class T>
  static VENTRAL_ALWAYS_INLINE Pairs load(const T* p) {
    const V a = V::load(p), b = V::load(p + V::lanes);
    return {shuffle(a, b, gathered<0>(LaneNumbers<V>())), shuffle(a, b, gathered<1>(LaneNumbers<V>()))};
  }
  static VENTRAL_ALWAYS_INLINE V in_order(const V& v) { return shuffle(v, v, sorted(LaneNumbers<V>())); }
  /// The first V::lanes numbers of even[0], odd[0], even[1], ..., and the rest, from registers in the usual order.
  VENTRAL_ALWAYS_INLINE V low() const { return shuffle(even, odd, alternating<0>(LaneNumbers<V>())); }
  VENTRAL_ALWAYS_INLINE V high() const { return shuffle(even, odd, alternating<lanes / 2>(LaneNumbers<V>())); }

 private:
  static constexpr std::size_t lanes = static_cast<std::size_t>(V::lanes), group = 16 / sizeof(typename V::Register{}[0]), half = group / 2;

  template <std::size_t First, std::size_t... L>
  static constexpr std::index_sequence<(L / group * group + L % half * 2 + First + (L % group < half ? 0 : lanes))...> gathered(std::index_sequence<L...>) {
    return {};
  }
  template <std::size_t... L>
  static constexpr std::index_sequence<(L % (lanes / 2) / half * group + L % half + (L < lanes / 2 ? 0 : half))...> sorted(std::index_sequence<L...>) {
    return {};
  }
  template <std::size_t First, std::size_t... L>
  static constexpr std::index_sequence<(L % 2 * lanes + L / 2 + First)...> alternating(std::index_sequence<L...>) {
    return {};
  }
};

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

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}  // namespace ventral::inline v0::cpu::detail
