#pragma once
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "ventral/shape.hpp"

#define VENTRAL_ALWAYS_INLINE inline __attribute__((always_inline))
#define VENTRAL_ALWAYS_INLINE_LAMBDA __attribute__((always_inline))
#if defined(__clang__)
#define VENTRAL_UNROLL _Pragma("unroll")
#else
#define VENTRAL_UNROLL _Pragma("GCC unroll 32")
#endif
#if defined(__CUDACC__)
#pragma nv_diag_suppress 1675  // nvcc does not know the pragma, and hands it on to gcc
#endif

namespace ventral::inline v0::cpu {

/// Instruction sets that CPU kernels are compiled for; the best one the processor has is chosen at run time.
enum class SimdLevel { baseline, avx2, avx512 };

constexpr const char* to_string(SimdLevel level) {
  return level == SimdLevel::avx512 ? "avx512" : level == SimdLevel::avx2 ? "avx2" : "baseline";
}

namespace detail {

inline SimdLevel best_simd_level() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")) return SimdLevel::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return SimdLevel::avx2;
#endif
  return SimdLevel::baseline;
}

inline SimdLevel choose_simd_level() {
  const SimdLevel best = best_simd_level();
  const char* text = std::getenv("VENTRAL_SIMD");
  if (!text || !*text) return best;
  for (const SimdLevel level : {SimdLevel::baseline, SimdLevel::avx2, SimdLevel::avx512})
    if (std::string_view(text) == to_string(level)) {
      require(level <= best, "VENTRAL_SIMD=", text, ": this processor offers ", to_string(best), " at most");
      return level;
    }
  throw Error(concat("VENTRAL_SIMD is '", text, "'; one of baseline, avx2, avx512 is needed"));
}

}  // namespace detail

/// The level in use: VENTRAL_SIMD (baseline, avx2, avx512) or the best this processor has. Fixed for the life of the program.
inline SimdLevel simd_level() {
  static const SimdLevel level = detail::choose_simd_level();
  return level;
}

/// A level as a type: bytes of a vector register and their number. Kernels are templates over it.
template <SimdLevel L>
struct Isa {
  static constexpr SimdLevel level = L;
  static constexpr int bytes = L == SimdLevel::avx512 ? 64 : L == SimdLevel::avx2 ? 32 : 16;
#if defined(__aarch64__)
  static constexpr int registers = 32;
#else
  static constexpr int registers = L == SimdLevel::avx512 ? 32 : 16;
#endif
};

// Registers wider than the baseline's never cross a real call, so gcc's notes on how that would be done do not apply.
#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

/// A register of `Isa::bytes` bytes holding numbers of type T; arithmetic is the compiler's (`a * b + c` becomes a fused multiply-add).
/// Use it only inside functions marked VENTRAL_ALWAYS_INLINE that are reached through `simd_dispatch`.
template <class T, class I>
struct Simd {
  static constexpr Index lanes = I::bytes / static_cast<int>(sizeof(T));
  typedef T Register __attribute__((vector_size(I::bytes)));
  /// The outcome of a comparison, lane by lane. In a struct, as the register is: bare vectors may not be returned at every level.
  struct Mask {
    decltype(Register{} < Register{}) m;
  };
  Register v;

  static VENTRAL_ALWAYS_INLINE Simd load(const T* p) {
    Simd s;
    __builtin_memcpy(&s.v, p, sizeof s.v);
    return s;
  }
  static VENTRAL_ALWAYS_INLINE Simd all(T value) { return {value - Register{}}; }  // x - 0 is x for every x, and compilers know it
  static VENTRAL_ALWAYS_INLINE Simd zero() { return {Register{}}; }
  VENTRAL_ALWAYS_INLINE void store(T* p) const { __builtin_memcpy(p, &v, sizeof v); }
  /// The first `count` lanes from p, the others `rest`; for tails.
  static VENTRAL_ALWAYS_INLINE Simd load_part(const T* p, Index count, T rest = T{}) {
    Simd s = all(rest);
    for (Index i = 0; i < count; ++i) s.v[i] = p[i];
    return s;
  }
  VENTRAL_ALWAYS_INLINE void store_part(T* p, Index count) const {
    for (Index i = 0; i < count; ++i) p[i] = v[i];
  }
  friend VENTRAL_ALWAYS_INLINE Simd operator+(const Simd& a, const Simd& b) { return {a.v + b.v}; }
  friend VENTRAL_ALWAYS_INLINE Simd operator-(const Simd& a, const Simd& b) { return {a.v - b.v}; }
  friend VENTRAL_ALWAYS_INLINE Simd operator*(const Simd& a, const Simd& b) { return {a.v * b.v}; }
  friend VENTRAL_ALWAYS_INLINE Simd operator/(const Simd& a, const Simd& b) { return {a.v / b.v}; }
  /// a b + c, fused where the level has it: in one expression, as clang does not fuse across functions.
  friend VENTRAL_ALWAYS_INLINE Simd multiply_add(const Simd& a, const Simd& b, const Simd& c) { return {a.v * b.v + c.v}; }
  friend VENTRAL_ALWAYS_INLINE Mask operator<(const Simd& a, const Simd& b) { return {a.v < b.v}; }
  friend VENTRAL_ALWAYS_INLINE Mask operator>(const Simd& a, const Simd& b) { return {a.v > b.v}; }
  static VENTRAL_ALWAYS_INLINE Simd select(const Mask& m, const Simd& yes, const Simd& no) { return {m.m ? yes.v : no.v}; }
  /// The larger of each lane; b where a is NaN.
  friend VENTRAL_ALWAYS_INLINE Simd max(const Simd& a, const Simd& b) { return {a.v > b.v ? a.v : b.v}; }
  /// Sum of the lanes, pairwise from the halves.
  VENTRAL_ALWAYS_INLINE T sum() const {
    if constexpr (I::bytes > 16) {  // not sizeof(Register), which g++ 12 takes too early in a template argument
      using Half = Simd<T, Isa<I::bytes == 64 ? SimdLevel::avx2 : SimdLevel::baseline>>;
      T part[lanes];
      store(part);
      return (Half::load(part) + Half::load(part + lanes / 2)).sum();
    } else {
      T part[lanes];
      store(part);
      for (Index n = lanes / 2; n > 0; n /= 2)
        for (Index i = 0; i < n; ++i) part[i] += part[i + n];
      return part[0];
    }
  }
};

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

namespace detail {

template <class F>
void run_baseline(F& f) {
  f(Isa<SimdLevel::baseline>{});
}
#if defined(__x86_64__)
template <class F>
__attribute__((target("avx2,fma"))) void run_avx2(F& f) {
  f(Isa<SimdLevel::avx2>{});
}
template <class F>
__attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma"))) void run_avx512(F& f) {
  f(Isa<SimdLevel::avx512>{});
}
#endif

}  // namespace detail

/// Runs body(Isa<level>{}) compiled for the level in use. The body is a generic lambda marked VENTRAL_ALWAYS_INLINE_LAMBDA, and so is all it calls:
/// `simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA { kernel<decltype(isa)>(x, y); });`
template <class Body>
void simd_dispatch(Body&& body) {
#if defined(__x86_64__)
  switch (simd_level()) {
    case SimdLevel::avx512: return detail::run_avx512(body);
    case SimdLevel::avx2: return detail::run_avx2(body);
    case SimdLevel::baseline: break;
  }
#endif
  detail::run_baseline(body);
}

namespace detail {

template <class Kernel, class Signature>
struct SimdFunction;
template <class Kernel, class Result, class... Args>
struct SimdFunction<Kernel, Result(Args...)> {
  static Result on_baseline(Args... args) { return Kernel::template run<Isa<SimdLevel::baseline>>(args...); }
#if defined(__x86_64__)
  __attribute__((target("avx2,fma"))) static Result on_avx2(Args... args) { return Kernel::template run<Isa<SimdLevel::avx2>>(args...); }
  __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma"))) static Result on_avx512(Args... args) {
    return Kernel::template run<Isa<SimdLevel::avx512>>(args...);
  }
#endif
};

}  // namespace detail

/// The address of Kernel::run<Isa<level>> compiled for that level; `run` is a static member template marked VENTRAL_ALWAYS_INLINE.
/// For tables of kernels that many callers share, so that each is compiled once: `simd_function<Dot<T>, T(Index, const T*, const T*)>(level)`.
template <class Kernel, class Signature>
auto simd_function(SimdLevel level) {
  using Function = detail::SimdFunction<Kernel, Signature>;
#if defined(__x86_64__)
  if (level == SimdLevel::avx512) return &Function::on_avx512;
  if (level == SimdLevel::avx2) return &Function::on_avx2;
#endif
  static_cast<void>(level);
  return &Function::on_baseline;
}

}  // namespace ventral::inline v0::cpu
