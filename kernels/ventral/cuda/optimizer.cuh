#pragma once
#include <cmath>
#include <vector>

#include "ventral/cpu/optimizer.hpp"
#include "ventral/cuda/elementwise.cuh"
#include "ventral/cuda/reduce.cuh"
#include "ventral/cuda/update_table.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

// The methods: step(constants, gradient, value, state) of one element. See optimizer.hpp for the formulas.

struct SGDMethod {
  static constexpr const char* kernel = "update_kernel (SGD)";
  static constexpr int states = 1,
                       constants = 6;  ///< velocity; rate, weight decay, momentum, share of the gradient, whether there is momentum, nesterov
  template <class S>
  VENTRAL_DEVICE static void step(const S* c, S gradient, S& p, S* s) {
    const S g = gradient + c[1] * p;
    if (c[4] == S(0)) {
      p = p - c[0] * g;
      return;
    }
    s[0] = c[2] * s[0] + c[3] * g;
    p = p - c[0] * (c[5] != S(0) ? g + c[2] * s[0] : s[0]);
  }
};

struct AdamMethod {
  static constexpr const char* kernel = "update_kernel (Adam)";
  static constexpr int states = 2, constants = 9;
  template <class S>
  VENTRAL_DEVICE static void step(const S* c, S gradient, S& p, S* s) {
    const S g = gradient + c[1] * p;
    s[0] = c[3] * s[0] + c[4] * g;
    s[1] = c[5] * s[1] + c[6] * g * g;
    p = c[2] * p - c[0] * s[0] / (std::sqrt(s[1]) * c[8] + c[7]);
  }
};

struct RMSPropMethod {
  static constexpr const char* kernel = "update_kernel (RMSProp)";
  static constexpr int states = 3, constants = 8;  ///< square, mean, velocity; .., whether centred, whether there is momentum
  template <class S>
  VENTRAL_DEVICE static void step(const S* c, S gradient, S& p, S* s) {
    const S g = gradient + c[1] * p;
    s[0] = c[2] * s[0] + c[3] * g * g;
    S variance = s[0];
    if (c[6] != S(0)) {
      s[1] = c[2] * s[1] + c[3] * g;
      variance = variance - s[1] * s[1];
      variance = variance < S(0) ? S(0) : variance;  // rounding may take it below 0
    }
    S change = g / (std::sqrt(variance) + c[4]);
    if (c[7] != S(0)) change = s[2] = c[5] * s[2] + change;
    p = p - c[0] * change;
  }
};

struct AdagradMethod {
  static constexpr const char* kernel = "update_kernel (Adagrad)";
  static constexpr int states = 1, constants = 3;
  template <class S>
  VENTRAL_DEVICE static void step(const S* c, S gradient, S& p, S* s) {
    const S g = gradient + c[1] * p;
    s[0] = s[0] + g * g;
    p = p - c[0] * g / (std::sqrt(s[0]) + c[2]);
  }
};

template <class Method, class T>
void add_update(Stream stream, In<T> gradient, Out<T> value, Out<T> first, Out<T> second, Out<T> third, std::initializer_list<double> constants) {
  UpdateEntry e{const_cast<T*>(gradient.data), value.data, {first.data, second.data, third.data}, value.size(), 0, {}};
  std::copy(constants.begin(), constants.end(), e.constant);
  UpdateTable::of_this_thread().add<T, Method>(stream, e);
}

/// One partial sum (or largest value) of value(i) for each block, in double. Threads lie along the elements.
template <bool largest, int threads, class Value>
VENTRAL_BOUNDED_KERNEL(threads) void reduce_values_kernel(Index n, Value value, double* out) {
  double v = 0;
  for (Index i = first_element(); i < n; i += element_step()) {
    if (largest) v = larger(v, value(i));
    else v += value(i);
  }
  v = largest ? block_max<threads>(v) : block_sum<threads>(v);
  if (threadIdx.x == 0) out[blockIdx.x] = v;
}

/// The sum or largest of value(i) over [0, n): at most 256 partial results, which are copied to main memory together and joined there in order.
template <bool largest, class Value>
double reduce_values(Stream stream, const char* name, const Shape& x, const Value& value) {
  constexpr Index threads = 256, most = 256;
  const Index n = x.size(), blocks = std::min(most, (n + threads - 1) / threads);
  if (n == 0) return 0;
  Tensor<double, Space> found = Tensor<double, Space>::uninitialized({blocks});
  launch(stream, {.kernel = name, .blocks = blocks, .threads = threads, .shape = x}, reduce_values_kernel<largest, threads, Value>, n, value,
         found.data());
  double part[most], all = 0;
  Space::copy_to_host(part, found.data(), static_cast<std::size_t>(blocks) * sizeof(double));
  for (Index i = 0; i < blocks; ++i) {
    if (largest) all = all > part[i] || all != all ? all : part[i];
    else all += part[i];
  }
  return all;
}

template <class T>
struct ProductOf {
  const T *a, *b;
  VENTRAL_DEVICE double operator()(Index i) const { return static_cast<double>(load(a + i)) * static_cast<double>(load(b + i)); }
};
template <class T>
struct SizeOf {
  const T* x;
  VENTRAL_DEVICE double operator()(Index i) const { return std::abs(static_cast<double>(load(x + i))); }
};

template <class S>
struct Scaled {
  S a;
  VENTRAL_DEVICE S operator()(S x) const { return a * x; }
};
template <class S>
struct ScaledSum {
  S a, b;
  VENTRAL_DEVICE S operator()(S x, S y) const { return a * x + b * y; }
};
template <class S>
struct Limited {
  S most;
  VENTRAL_DEVICE S operator()(S x) const { return x > most ? most : x < -most ? -most : x; }
};

}  // namespace detail

// Updates are collected: `begin_updates`, then one call for each parameter, then `finish_updates`, which runs them all in one launch. Until then the
// arrays must stay where they are. They read gradient and value once and write value and state once: memory-bound beyond the cache.

template <class T>
void sgd_update(Stream stream, const SGDStep& o, In<T> gradient, Out<T> value, Out<T> velocity) {
  const double entry = o.count == 1 ? 1 : 1 - o.dampening;
  detail::add_update<detail::SGDMethod>(stream, gradient, value, velocity, Out<T>(), Out<T>(),
                                        {o.rate, o.weight_decay, o.momentum, entry, o.momentum == 0 ? 0.0 : 1.0, o.nesterov ? 1.0 : 0.0});
}

template <class T>
void adam_update(Stream stream, const AdamStep& o, In<T> gradient, Out<T> value, Out<T> mean, Out<T> square) {
  const double correction1 = 1 - std::pow(o.beta1, static_cast<double>(o.count)), correction2 = 1 - std::pow(o.beta2, static_cast<double>(o.count));
  const double decay = o.decoupled ? 0 : o.weight_decay, shrink = o.decoupled ? 1 - o.rate * o.weight_decay : 1;
  detail::add_update<detail::AdamMethod>(
      stream, gradient, value, mean, square, Out<T>(),
      {o.rate / correction1, decay, shrink, o.beta1, 1 - o.beta1, o.beta2, 1 - o.beta2, o.epsilon, 1 / std::sqrt(correction2)});
}

/// `mean` is empty unless the squares are centred, `velocity` unless there is momentum.
template <class T>
void rmsprop_update(Stream stream, const RMSPropStep& o, In<T> gradient, Out<T> value, Out<T> square, Out<T> mean, Out<T> velocity) {
  detail::add_update<detail::RMSPropMethod>(
      stream, gradient, value, square, mean, velocity,
      {o.rate, o.weight_decay, o.alpha, 1 - o.alpha, o.epsilon, o.momentum, mean.data ? 1.0 : 0.0, velocity.data ? 1.0 : 0.0});
}

template <class T>
void adagrad_update(Stream stream, const AdagradStep& o, In<T> gradient, Out<T> value, Out<T> sum) {
  detail::add_update<detail::AdagradMethod>(stream, gradient, value, sum, Out<T>(), Out<T>(), {o.rate, o.weight_decay, o.epsilon});
}

/// sum_i a_i b_i, in double.
template <class T>
double dot(Stream stream, TensorRef<const T, Space> a, TensorRef<const T, Space> b) {
  return detail::reduce_values<false>(stream, "reduce_values_kernel (dot)", a.shape, detail::ProductOf<T>{a.data, b.data});
}

/// The sum of the squares of all elements of all arrays, in double: two launches, one copy to main memory. Each array is read once.
template <class T>
double squared_norm(Stream stream, const std::vector<TensorRef<const T, Space>>& arrays) {
  static thread_local detail::UpdateTable table;
  table.begin();
  for (const auto& a : arrays)
    if (a.size() > 0) table.append<T>({const_cast<T*>(a.data), nullptr, {}, a.size(), 0, {}});
  return table.squared_norm(stream);
}

/// sum_i |x_i| and max_i |x_i|, in double; the latter is NaN when an x is.
template <class T>
double absolute_sum(Stream stream, TensorRef<const T, Space> x) {
  return detail::reduce_values<false>(stream, "reduce_values_kernel (absolute sum)", x.shape, detail::SizeOf<T>{x.data});
}
template <class T>
double absolute_max(Stream stream, TensorRef<const T, Space> x) {
  return detail::reduce_values<true>(stream, "reduce_values_kernel (absolute maximum)", x.shape, detail::SizeOf<T>{x.data});
}

/// y = a x + b y; where b is 0, y need not be set before. y may be x.
template <class T>
void scaled_sum(Stream stream, double a, In<T> x, double b, Out<T> y) {
  using S = Compute<T>;
  if (b == 0) map_elements(stream, "scaled_sum", detail::Scaled<S>{static_cast<S>(a)}, y.shape, y.data, x.data);
  else
    map_elements(stream, "scaled_sum", detail::ScaledSum<S>{static_cast<S>(a), static_cast<S>(b)}, y.shape, y.data, x.data,
                 static_cast<const T*>(y.data));
}

/// x limited to [-limit, limit]; NaN stays.
template <class T>
void limit_values(Stream stream, double limit, Out<T> x) {
  map_elements(stream, "limit_values", detail::Limited<Compute<T>>{static_cast<Compute<T>>(limit)}, x.shape, x.data, static_cast<const T*>(x.data));
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
