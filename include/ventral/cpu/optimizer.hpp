#pragma once
#include <cmath>
#include <cstring>

#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/simd.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0 {

// What one step of an optimizer does to a parameter; see optimizer.hpp for the formulas. `count` is the number of the step, from 1.

struct SGDStep {
  double rate, momentum, dampening, weight_decay;
  bool nesterov;
  Index count;
};
struct AdamStep {
  double rate, beta1, beta2, epsilon, weight_decay;
  bool decoupled;  ///< weight decay acts on the value (AdamW), not through the gradient
  Index count;
};
struct RMSPropStep {
  double rate, alpha, epsilon, momentum, weight_decay;
};
struct AdagradStep {
  double rate, epsilon, weight_decay;
};

}  // namespace ventral::inline v0

namespace ventral::inline v0::cpu {

namespace detail {

#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

// Square roots by instruction: std::sqrt must set errno, so compilers do not vectorise it. The wide ones are functions of their own because
// a compiler wants to see the registers it may use; they are inlined into code of the same level.
#if defined(__x86_64__)
template <class T, class Register>
__attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma"))) inline void square_root_avx512(Register& y, const Register& x) {
  if constexpr (sizeof(T) == 4) asm("vsqrtps %1, %0" : "=v"(y) : "v"(x));
  else asm("vsqrtpd %1, %0" : "=v"(y) : "v"(x));
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

/// Calls f(gradient, value, state, c) on registers, c being the constants in every lane: value and the arrays of state are written back.
/// The constants are spread out before the loop, as gcc does it lane by lane. The tail goes through a register's worth of memory.
template <class I, int states, int constants, class T, class Update>
VENTRAL_ALWAYS_INLINE void update_range(const Update& f, const T (&constant)[constants], const T* gradient, T* value, T* const* state, Index n) {
  using V = Simd<T, I>;
  V c[constants];
  for (int k = 0; k < constants; ++k) c[k] = V::all(constant[k]);
  T tail[states + 2][V::lanes] = {};  // gradient, value, state
  for (Index i = 0; i < n; i += V::lanes) {
    const Index left = n - i;
    const bool whole = left >= V::lanes;
    const std::size_t bytes = static_cast<std::size_t>(whole ? 0 : left) * sizeof(T);
    if (!whole) {
      std::memcpy(tail[0], gradient + i, bytes);
      std::memcpy(tail[1], value + i, bytes);
      for (int k = 0; k < states; ++k) std::memcpy(tail[k + 2], state[k] + i, bytes);
    }
    T* const p = whole ? value + i : tail[1];
    V x = V::load(p), s[states + 1] = {};
    for (int k = 0; k < states; ++k) s[k] = V::load(whole ? state[k] + i : tail[k + 2]);
    f(V::load(whole ? gradient + i : tail[0]), x, s, c);
    x.store(p);
    if constexpr (states > 0)
      for (int k = 0; k < states; ++k) s[k].store(whole ? state[k] + i : tail[k + 2]);
    if (!whole) {
      std::memcpy(value + i, tail[1], bytes);
      for (int k = 0; k < states; ++k) std::memcpy(state[k] + i, tail[k + 2], bytes);
    }
  }
}

template <class T, int constants, class Update, class... States>
void update(const Update& f, const T (&constant)[constants], In<T> gradient, Out<T> value, States... states) {
  parallel_ranges(value.size(), 1 << 14, [&](Index first, Index last) {
    T* const state[] = {states.data + first..., nullptr};
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      update_range<decltype(isa), static_cast<int>(sizeof...(states))>(f, constant, gradient.data + first, value.data + first, state, last - first);
    });
  });
}

/// Sum of f(i) over [0, n) in double, in an order fixed by n.
template <class Function>
double ordered_sum(Index n, Function&& f) {
  constexpr Index most = 64;
  double part[most] = {};
  Index grain = (n + most - 1) / most;
  if (grain < (1 << 13)) grain = 1 << 13;
  parallel_ranges(n, grain, [&](Index first, Index last) {
    double lane[4] = {};
    for (Index i = first; i < last; ++i) lane[i & 3] += f(i);
    part[first / grain] = (lane[0] + lane[1]) + (lane[2] + lane[3]);
  });
  double sum = 0;
  for (const double p : part) sum += p;
  return sum;
}

}  // namespace detail

// Updates read gradient and value once and write value and state once: memory-bound beyond the cache.

/// Around the updates of a step: spaces that run them together (Cuda: in one launch) start to collect them here, and run them there.
inline void begin_updates(Stream) {}
inline void finish_updates(Stream) {}

template <class T>
void sgd_update(Stream, const SGDStep& o, In<T> gradient, Out<T> value, Out<T> velocity) {
  const double entry = o.count == 1 ? 1 : 1 - o.dampening;
  const T constants[] = {static_cast<T>(o.rate), static_cast<T>(o.weight_decay), static_cast<T>(o.momentum), static_cast<T>(entry)};
  if (o.momentum == 0) {
    const auto plain = [](const auto& gradient_in, auto& p, auto*, const auto* c) VENTRAL_ALWAYS_INLINE_LAMBDA { p = p - c[0] * (gradient_in + c[1] * p); };
    return detail::update(plain, constants, gradient, value);
  }
  const bool nesterov = o.nesterov;
  const auto moving = [nesterov](const auto& gradient_in, auto& p, auto* s, const auto* c) VENTRAL_ALWAYS_INLINE_LAMBDA {
    const auto g = gradient_in + c[1] * p;
    s[0] = c[2] * s[0] + c[3] * g;
    p = p - c[0] * (nesterov ? g + c[2] * s[0] : s[0]);
  };
  detail::update(moving, constants, gradient, value, velocity);
}

template <class T>
void adam_update(Stream, const AdamStep& o, In<T> gradient, Out<T> value, Out<T> mean, Out<T> square) {
  const double correction1 = 1 - std::pow(o.beta1, static_cast<double>(o.count)), correction2 = 1 - std::pow(o.beta2, static_cast<double>(o.count));
  const double decay = o.decoupled ? 0 : o.weight_decay, shrink = o.decoupled ? 1 - o.rate * o.weight_decay : 1;
  const T constants[] = {static_cast<T>(o.rate / correction1),
                         static_cast<T>(decay),
                         static_cast<T>(shrink),
                         static_cast<T>(o.beta1),
                         static_cast<T>(1 - o.beta1),
                         static_cast<T>(o.beta2),
                         static_cast<T>(1 - o.beta2),
                         static_cast<T>(o.epsilon),
                         static_cast<T>(1 / std::sqrt(correction2))};
  const auto step = [](const auto& gradient_in, auto& p, auto* s, const auto* c) VENTRAL_ALWAYS_INLINE_LAMBDA {
    const auto g = gradient_in + c[1] * p;
    s[0] = c[3] * s[0] + c[4] * g;
    s[1] = c[5] * s[1] + c[6] * g * g;
    p = c[2] * p - c[0] * s[0] / (detail::square_root(s[1]) * c[8] + c[7]);
  };
  detail::update(step, constants, gradient, value, mean, square);
}

/// `mean` is empty unless the squares are centred, `velocity` unless there is momentum.
template <class T>
void rmsprop_update(Stream, const RMSPropStep& o, In<T> gradient, Out<T> value, Out<T> square, Out<T> mean, Out<T> velocity) {
  const T constants[] = {static_cast<T>(o.rate),
                         static_cast<T>(o.weight_decay),
                         static_cast<T>(o.alpha),
                         static_cast<T>(1 - o.alpha),
                         static_cast<T>(o.epsilon),
                         static_cast<T>(o.momentum),
                         T(0)};
  const bool centered = mean.data, moving = velocity.data;
  const int at_velocity = centered ? 2 : 1;
  const auto step = [=](const auto& gradient_in, auto& p, auto* s, const auto* c) VENTRAL_ALWAYS_INLINE_LAMBDA {
    const auto g = gradient_in + c[1] * p;
    s[0] = c[2] * s[0] + c[3] * g * g;
    auto variance = s[0];
    if (centered) {
      s[1] = c[2] * s[1] + c[3] * g;
      variance = variance - s[1] * s[1];
      variance = variance.select(variance < c[6], c[6], variance);  // rounding may take it below 0
    }
    auto change = g / (detail::square_root(variance) + c[4]);
    if (moving) change = s[at_velocity] = c[5] * s[at_velocity] + change;
    p = p - c[0] * change;
  };
  if (centered && moving) return detail::update(step, constants, gradient, value, square, mean, velocity);
  if (centered || moving) return detail::update(step, constants, gradient, value, square, centered ? mean : velocity);
  detail::update(step, constants, gradient, value, square);
}

template <class T>
void adagrad_update(Stream, const AdagradStep& o, In<T> gradient, Out<T> value, Out<T> sum) {
  const T constants[] = {static_cast<T>(o.rate), static_cast<T>(o.weight_decay), static_cast<T>(o.epsilon)};
  const auto step = [](const auto& gradient_in, auto& p, auto* s, const auto* c) VENTRAL_ALWAYS_INLINE_LAMBDA {
    const auto g = gradient_in + c[1] * p;
    s[0] = s[0] + g * g;
    p = p - c[0] * g / (detail::square_root(s[0]) + c[2]);
  };
  detail::update(step, constants, gradient, value, sum);
}

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/// sum_i a_i b_i, in double.
template <class T>
double dot(Stream, TensorRef<const T> a, TensorRef<const T> b) {
  return detail::ordered_sum(a.size(), [&](Index i) { return static_cast<double>(a.data[i]) * static_cast<double>(b.data[i]); });
}

/// sum_i |x_i| and max_i |x_i|, in double; the latter is NaN when an x is.
template <class T>
double absolute_sum(Stream, TensorRef<const T> x) {
  return detail::ordered_sum(x.size(), [&](Index i) { return std::abs(static_cast<double>(x.data[i])); });
}
template <class T>
double absolute_max(Stream, TensorRef<const T> x) {
  double most = 0;
  for (Index i = 0; i < x.size() && most == most; ++i)
    if (const double v = std::abs(static_cast<double>(x.data[i])); !(v <= most)) most = v;
  return most;
}

/// y = a x + b y; where b is 0, y need not be set before.
template <class T>
void scaled_sum(Stream, double a, In<T> x, double b, Out<T> y) {
  parallel_ranges(y.size(), 1 << 14, [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) y.data[i] = static_cast<T>(a) * x.data[i] + (b == 0 ? T(0) : static_cast<T>(b) * y.data[i]);
  });
}

/// x limited to [-limit, limit]; NaN stays.
template <class T>
void limit_values(Stream, double limit, Out<T> x) {
  const T most = static_cast<T>(limit);
  parallel_ranges(x.size(), 1 << 14, [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) x.data[i] = x.data[i] > most ? most : x.data[i] < -most ? -most : x.data[i];
  });
}

}  // namespace ventral::inline v0::cpu
