#pragma once
#include <concepts>
#include <cstring>

#include "ventral/activation_function.hpp"
#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/vector_math.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

/// Elements per chunk of an element-wise kernel: small enough to share out, large enough to hide the hand-over.
constexpr Index elementwise_grain = 1 << 14;

/// A formula of activation_function.hpp on registers, its constants spread out once: `value(x)`, and `change(x, y, dy)`, which is dy times the slope.
/// For float and double; a formula without one runs element by element.
template <class Function, class I>
struct OnRegisters;

template <std::floating_point T, class I>
struct OnRegisters<activation::Relu<T>, I> {
  using V = Simd<T, I>;
  V zero = V::zero(), lowest = V::all(-std::numeric_limits<T>::infinity());

  VENTRAL_ALWAYS_INLINE explicit OnRegisters(const activation::Relu<T>&) {}
  VENTRAL_ALWAYS_INLINE V value(const V& x) const { return V::select(x < zero, zero, x); }  // written so that NaN passes
  VENTRAL_ALWAYS_INLINE V change(const V& x, const V&, const V& dy) const {
    return V::select(x > zero, at_least(lowest, dy), zero);  // dy as it is, but loaded whole: of a masked load processors do not fetch ahead
  }
};

template <std::floating_point T, class I>
struct OnRegisters<activation::LeakyRelu<T>, I> {
  using V = Simd<T, I>;
  V negative, zero = V::zero(), one = V::all(1);

  VENTRAL_ALWAYS_INLINE explicit OnRegisters(const activation::LeakyRelu<T>& f) : negative(spread<V>(f.negative)) {}
  VENTRAL_ALWAYS_INLINE V value(const V& x) const { return V::select(x > zero, x, negative * x); }
  VENTRAL_ALWAYS_INLINE V change(const V& x, const V&, const V& dy) const { return dy * V::select(x > zero, one, negative); }
};

template <std::floating_point T, class I>
struct OnRegisters<activation::Sigmoid<T>, I> {
  using V = Simd<T, I>;

  VENTRAL_ALWAYS_INLINE explicit OnRegisters(const activation::Sigmoid<T>&) {}
  VENTRAL_ALWAYS_INLINE V value(const V& x) const { return sigmoid(x); }
  VENTRAL_ALWAYS_INLINE V change(const V&, const V& y, const V& dy) const { return dy * (y * (V::all(1) - y)); }
};

template <std::floating_point T, class I>
struct OnRegisters<activation::Tanh<T>, I> {
  using V = Simd<T, I>;
  V amplitude, gain, double_gain, steepness;

  /// The slope gain (amplitude - y^2 / amplitude) without a division.
  VENTRAL_ALWAYS_INLINE explicit OnRegisters(const activation::Tanh<T>& f)
      : amplitude(spread<V>(f.amplitude)), gain(spread<V>(f.gain)), double_gain(spread<V>(2 * f.gain)), steepness(spread<V>(T(1) / f.amplitude)) {}
  VENTRAL_ALWAYS_INLINE V value(const V& x) const { return amplitude * tanh_of_half(double_gain * x); }
  VENTRAL_ALWAYS_INLINE V change(const V&, const V& y, const V& dy) const { return dy * (gain * (amplitude - y * y * steepness)); }
};

template <std::floating_point T, class I>
struct OnRegisters<activation::Elu<T>, I> {
  using V = Simd<T, I>;
  V alpha, zero = V::zero(), one = V::all(1);

  VENTRAL_ALWAYS_INLINE explicit OnRegisters(const activation::Elu<T>& f) : alpha(spread<V>(f.alpha)) {}
  VENTRAL_ALWAYS_INLINE V value(const V& x) const { return V::select(x > zero, x, alpha * expm1(x)); }
  VENTRAL_ALWAYS_INLINE V change(const V& x, const V& y, const V& dy) const { return dy * V::select(x > zero, one, y + alpha); }
};

template <std::floating_point T, class I>
struct OnRegisters<activation::Softplus<T>, I> {
  using V = Simd<T, I>;

  VENTRAL_ALWAYS_INLINE explicit OnRegisters(const activation::Softplus<T>&) {}
  VENTRAL_ALWAYS_INLINE V value(const V& x) const { return softplus(x); }
  VENTRAL_ALWAYS_INLINE V change(const V& x, const V&, const V& dy) const { return dy * sigmoid(x); }
};

template <std::floating_point T, class I>
struct OnRegisters<activation::Heaviside<T>, I> {
  using V = Simd<T, I>;
  V zero = V::zero(), one = V::all(1);

  VENTRAL_ALWAYS_INLINE explicit OnRegisters(const activation::Heaviside<T>&) {}
  VENTRAL_ALWAYS_INLINE V value(const V& x) const { return V::select({x.v >= zero.v}, one, zero); }
};

template <class Function>
constexpr bool has_registers = requires(const Function& f) { OnRegisters<Function, Isa<SimdLevel::baseline>>(f); };

}  // namespace detail

/// y = f.value(x), element by element. Reads and writes each element once; y may be x.
template <class Function, class T>
void activation_forward(Stream, const Function& f, In<T> x, Out<T> y) {
  parallel_ranges(y.size(), detail::elementwise_grain, [&](Index first, Index last) {
    if constexpr (detail::has_registers<Function>) {
      simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
        using V = Simd<T, decltype(isa)>;
        const detail::OnRegisters<Function, decltype(isa)> g(f);
        const T* const from = x.data + first;
        detail::map_arrays<V>(last - first, from, from, from, y.data + first, [&](const V& a, const V&, const V&) VENTRAL_ALWAYS_INLINE_LAMBDA { return g.value(a); });
      });
    } else {
      for (Index i = first; i < last; ++i) y.data[i] = f.value(x.data[i]);
    }
  });
}

/// dx = dy f.slope(x, y), element by element; dx may be dy.
template <class Function, class T>
void activation_backward(Stream, const Function& f, In<T> x, In<T> y, In<T> dy, Out<T> dx) {
  parallel_ranges(dx.size(), detail::elementwise_grain, [&](Index first, Index last) {
    if constexpr (detail::has_registers<Function>) {
      simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
        using V = Simd<T, decltype(isa)>;
        const detail::OnRegisters<Function, decltype(isa)> g(f);
        detail::map_arrays<V>(last - first, x.data + first, y.data + first, dy.data + first, dx.data + first,
                              [&](const V& a, const V& b, const V& c) VENTRAL_ALWAYS_INLINE_LAMBDA { return g.change(a, b, c); });
      });
    } else {
      for (Index i = first; i < last; ++i) dx.data[i] = dy.data[i] * f.slope(x.data[i], y.data[i]);
    }
  });
}

// In the library ventral::kernels.
#define VENTRAL_ACTIVATION(F)                                                  \
  VENTRAL_COMPILED_ONE(activation_forward<activation::F<float>, float>)   \
  VENTRAL_COMPILED_ONE(activation_forward<activation::F<double>, double>) \
  VENTRAL_COMPILED_ONE(activation_backward<activation::F<float>, float>)  \
  VENTRAL_COMPILED_ONE(activation_backward<activation::F<double>, double>)
VENTRAL_ACTIVATION(Relu)
VENTRAL_ACTIVATION(LeakyRelu)
VENTRAL_ACTIVATION(Sigmoid)
VENTRAL_ACTIVATION(Tanh)
VENTRAL_ACTIVATION(Elu)
VENTRAL_ACTIVATION(Softplus)
#undef VENTRAL_ACTIVATION

}  // namespace ventral::inline v0::cpu
