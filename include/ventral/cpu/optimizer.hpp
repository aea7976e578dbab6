#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/vector_math.hpp"
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

/// The update of one array: a rule on registers, compiled for the level in use, and what it works on.
struct ArrayUpdate {
  static constexpr Index most_constants = 9, most_states = 3;
  void (*rule)(const ArrayUpdate&, Index first, Index last);
  Index size;
  const void* gradient;
  void* value;
  void* state[most_states];
  double constant[most_constants];
  bool option;
};

/// Applies Rule::apply(gradient, value, state, constants, option) to elements [first, last) and writes value and state back. There is one copy of the
/// rule: what is left beyond the last whole register goes through memory of its own in a second round.
template <class Rule, class T>
struct ApplyRule {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const ArrayUpdate& u, Index first, Index last) {
    using V = Simd<T, I>;
    constexpr int states = Rule::states, arrays = states + 2;  // gradient, value, state
    V c[Rule::constants];
    for (int k = 0; k < Rule::constants; ++k) c[k] = spread<V>(static_cast<T>(u.constant[k]));
    const bool option = u.option;
    T* home[arrays] = {const_cast<T*>(static_cast<const T*>(u.gradient)) + first, static_cast<T*>(u.value) + first};
    for (int k = 0; k < states; ++k) home[k + 2] = static_cast<T*>(u.state[k]) + first;
    const Index whole = (last - first) / V::lanes * V::lanes;
    const std::size_t left = static_cast<std::size_t>(last - first - whole) * sizeof(T);
    T rest[arrays][V::lanes] = {};
    T* at[arrays];
    for (int k = 0; k < arrays; ++k) at[k] = home[k];
    for (Index count = whole;; count = V::lanes) {
      for (Index i = 0; i < count; i += V::lanes) {
        V x = V::load(at[1] + i), s[states + 1];
        for (int k = 0; k < states; ++k) s[k] = V::load(at[k + 2] + i);
        Rule::apply(V::load(at[0] + i), x, s, c, option);
        x.store(at[1] + i);
        if constexpr (states > 0)  // or g++ -O0 warns of a store from an empty array
          for (int k = 0; k < states; ++k) s[k].store(at[k + 2] + i);
      }
      if (left == 0) return;
      if (at[0] == rest[0]) break;
      for (int k = 0; k < arrays; ++k) std::memcpy(rest[k], home[k] + whole, left), at[k] = rest[k];
    }
    for (int k = 1; k < arrays; ++k) std::memcpy(home[k] + whole, rest[k], left);
  }
};

/// The updates of a step, from begin_updates() to finish_updates() of one thread; then they run in one parallel job.
struct CollectedUpdates {
  bool collecting = false;
  std::vector<ArrayUpdate> updates;

  static CollectedUpdates& mine() {
    static thread_local CollectedUpdates collected;
    return collected;
  }

  void run() {
    constexpr Index grain = 1 << 16, border = 64;  // arrays begin at multiples of `border` in the range that is cut
    const auto length = [](const ArrayUpdate& u) { return (u.size + border - 1) / border * border; };
    Index total = 0;
    for (const ArrayUpdate& u : updates) total += length(u);
    parallel_ranges(total, grain, [&](Index first, Index last) {
      Index begin = 0;
      for (const ArrayUpdate& u : updates) {
        const Index from = first > begin ? first - begin : 0, to = last - begin < u.size ? last - begin : u.size;
        if (from < to) u.rule(u, from, to);
        begin += length(u);
      }
    });
    updates.clear();
  }
};

/// Runs an update, or keeps it for finish_updates().
template <class Rule, class T, class... States>
void update(bool option, std::initializer_list<double> constants, In<T> gradient, Out<T> value, States... states) {
  ArrayUpdate u{simd_function<ApplyRule<Rule, T>, void(const ArrayUpdate&, Index, Index)>(simd_level()), value.size(), gradient.data, value.data, {states.data...}, {}, option};
  std::copy(constants.begin(), constants.end(), u.constant);
  CollectedUpdates& collected = CollectedUpdates::mine();
  collected.updates.push_back(u);
  if (!collected.collecting) collected.run();
}

/// Sum over [0, n) of sum(first, last), in an order fixed by n.
template <class Sum>
double ordered_sum(Index n, Sum&& sum) {
  constexpr Index most = 64;
  double part[most] = {};
  Index grain = (n + most - 1) / most;
  if (grain < (1 << 13)) grain = 1 << 13;
  parallel_ranges(n, grain, [&](Index first, Index last) { part[first / grain] = sum(first, last); });
  double total = 0;
  for (const double p : part) total += p;
  return total;
}

struct PlainStep {
  static constexpr int states = 0, constants = 2;
  template <class V>
  static VENTRAL_ALWAYS_INLINE void apply(const V& gradient, V& p, V*, const V* c, bool) { p = p - c[0] * (gradient + c[1] * p); }
};
struct MomentumStep {
  static constexpr int states = 1, constants = 4;
  template <class V>
  static VENTRAL_ALWAYS_INLINE void apply(const V& gradient, V& p, V* s, const V* c, bool nesterov) {
    const V g = gradient + c[1] * p;
    s[0] = c[2] * s[0] + c[3] * g;
    p = p - c[0] * (nesterov ? g + c[2] * s[0] : s[0]);
  }
};
struct AdaptiveMomentStep {
  static constexpr int states = 2, constants = 9;
  template <class V>
  static VENTRAL_ALWAYS_INLINE void apply(const V& gradient, V& p, V* s, const V* c, bool) {
    const V g = gradient + c[1] * p;
    s[0] = c[3] * s[0] + c[4] * g;
    s[1] = c[5] * s[1] + c[6] * g * g;
    p = c[2] * p - c[0] * s[0] / (square_root(s[1]) * c[8] + c[7]);
  }
};
template <bool centered, bool moving>
struct RootMeanSquareStep {
  static constexpr int states = 1 + centered + moving, constants = 6;
  template <class V>
  static VENTRAL_ALWAYS_INLINE void apply(const V& gradient, V& p, V* s, const V* c, bool) {
    const V g = gradient + c[1] * p;
    s[0] = c[2] * s[0] + c[3] * g * g;
    V variance = s[0];
    if constexpr (centered) {
      s[1] = c[2] * s[1] + c[3] * g;
      variance = at_least(V::zero(), variance - s[1] * s[1]);  // rounding may take it below 0
    }
    V change = g / (square_root(variance) + c[4]);
    if constexpr (moving) change = s[states - 1] = c[5] * s[states - 1] + change;
    p = p - c[0] * change;
  }
};
struct SquareSumStep {
  static constexpr int states = 1, constants = 3;
  template <class V>
  static VENTRAL_ALWAYS_INLINE void apply(const V& gradient, V& p, V* s, const V* c, bool) {
    const V g = gradient + c[1] * p;
    s[0] = s[0] + g * g;
    p = p - c[0] * g / (square_root(s[0]) + c[2]);
  }
};

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}  // namespace detail

// Updates read gradient and value once and write value and state once: memory-bound beyond the cache.

/// Around the updates of a step: spaces that run them together start to collect them here, and run them there: Cuda in one launch, the CPU in one parallel
/// job. Without begin_updates() the CPU runs each at once. What an interrupted step left is dropped.
inline void begin_updates(Stream) {
  detail::CollectedUpdates::mine().updates.clear();
  detail::CollectedUpdates::mine().collecting = true;
}
inline void finish_updates(Stream) {
  detail::CollectedUpdates::mine().collecting = false;
  detail::CollectedUpdates::mine().run();
}

template <class T>
void sgd_update(Stream, const SGDStep& o, In<T> gradient, Out<T> value, Out<T> velocity) {
  if (o.momentum == 0) return detail::update<detail::PlainStep, T>(false, {o.rate, o.weight_decay}, gradient, value);
  const double entry = o.count == 1 ? 1 : 1 - o.dampening;
  detail::update<detail::MomentumStep, T>(o.nesterov, {o.rate, o.weight_decay, o.momentum, entry}, gradient, value, velocity);
}

template <class T>
void adam_update(Stream, const AdamStep& o, In<T> gradient, Out<T> value, Out<T> mean, Out<T> square) {
  const double correction1 = 1 - std::pow(o.beta1, static_cast<double>(o.count)), correction2 = 1 - std::pow(o.beta2, static_cast<double>(o.count));
  const double decay = o.decoupled ? 0 : o.weight_decay, shrink = o.decoupled ? 1 - o.rate * o.weight_decay : 1;
  detail::update<detail::AdaptiveMomentStep, T>(
      false, {o.rate / correction1, decay, shrink, o.beta1, 1 - o.beta1, o.beta2, 1 - o.beta2, o.epsilon, 1 / std::sqrt(correction2)}, gradient, value, mean, square);
}

/// `mean` is empty unless the squares are centred, `velocity` unless there is momentum.
template <class T>
void rmsprop_update(Stream, const RMSPropStep& o, In<T> gradient, Out<T> value, Out<T> square, Out<T> mean, Out<T> velocity) {
  const auto run = [&]<bool centered, bool moving>(auto... more) {
    detail::update<detail::RootMeanSquareStep<centered, moving>, T>(false, {o.rate, o.weight_decay, o.alpha, 1 - o.alpha, o.epsilon, o.momentum}, gradient, value, square, more...);
  };
  if (mean.data && velocity.data) return run.template operator()<true, true>(mean, velocity);
  if (mean.data) return run.template operator()<true, false>(mean);
  if (velocity.data) return run.template operator()<false, true>(velocity);
  run.template operator()<false, false>();
}

template <class T>
void adagrad_update(Stream, const AdagradStep& o, In<T> gradient, Out<T> value, Out<T> sum) {
  detail::update<detail::SquareSumStep, T>(false, {o.rate, o.weight_decay, o.epsilon}, gradient, value, sum);
}

/// sum_i a_i b_i, in double.
template <class T>
double dot(Stream, TensorRef<const T> a, TensorRef<const T> b) {
  const auto sum = simd_function<detail::SumOfProducts<T>, double(Index, const T*, const T*)>(simd_level());
  return detail::ordered_sum(a.size(), [&](Index first, Index last) { return sum(last - first, a.data + first, b.data + first); });
}

/// The sum of the squares of all elements of all arrays, in double.
template <class T>
double squared_norm(Stream stream, const std::vector<TensorRef<const T>>& arrays) {
  double sum = 0;
  for (const auto& a : arrays) sum += dot(stream, a, a);
  return sum;
}

/// sum_i |x_i| and max_i |x_i|, in double; the latter is NaN when an x is.
template <class T>
double absolute_sum(Stream, TensorRef<const T> x) {
  return detail::ordered_sum(x.size(), [&](Index first, Index last) {
    double lane[4] = {};
    for (Index i = first; i < last; ++i) lane[i & 3] += std::abs(static_cast<double>(x.data[i]));
    return (lane[0] + lane[1]) + (lane[2] + lane[3]);
  });
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
  const T scale = static_cast<T>(a), keep = static_cast<T>(b);
  parallel_ranges(y.size(), 1 << 14, [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      using V = Simd<T, decltype(isa)>;
      const V s = detail::spread<V>(scale), k = detail::spread<V>(keep);
      const T *from = x.data + first, *old = keep == T(0) ? from : y.data + first;
      const bool fresh = keep == T(0);
      detail::map_arrays<V>(last - first, from, old, from, y.data + first,
                            [&](const V& u, const V& v, const V&) VENTRAL_ALWAYS_INLINE_LAMBDA { return fresh ? s * u : s * u + k * v; });
    });
  });
}

/// x limited to [-limit, limit]; NaN stays.
template <class T>
void limit_values(Stream, double limit, Out<T> x) {
  const T most = static_cast<T>(limit);
  parallel_ranges(x.size(), 1 << 14, [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      using V = Simd<T, decltype(isa)>;
      const V high = detail::spread<V>(most), low = detail::spread<V>(-most);
      T* const p = x.data + first;
      detail::map_arrays<V>(last - first, p, p, p, p,
                            [&](const V& v, const V&, const V&) VENTRAL_ALWAYS_INLINE_LAMBDA { return detail::at_most(high, detail::at_least(low, v)); });
    });
  });
}

// In the library ventral::kernels.
VENTRAL_COMPILED(sgd_update)
VENTRAL_COMPILED(adam_update)
VENTRAL_COMPILED(rmsprop_update)
VENTRAL_COMPILED(adagrad_update)
VENTRAL_COMPILED(dot)
VENTRAL_COMPILED(scaled_sum)
VENTRAL_COMPILED(limit_values)

}  // namespace ventral::inline v0::cpu
