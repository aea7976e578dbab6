#pragma once
#include <cmath>

#include "ventral/shape.hpp"

#if defined(__CUDACC__)
#define VENTRAL_HOST_DEVICE __host__ __device__
#else
#define VENTRAL_HOST_DEVICE
#endif

/// The formulas of the activations, one struct each: `value(x)` is y, `slope(x, y)` is dy/dx. Shared by the CPU and the CUDA kernels.
namespace ventral::inline v0::activation {

/// y = max(0, x); slope 1 where x > 0, else 0 (at the kink 0). NaN stays NaN.
template <class T>
struct Relu {
  VENTRAL_HOST_DEVICE T value(T x) const { return x > T(0) || x != x ? x : T(0); }
  VENTRAL_HOST_DEVICE T slope(T x, T) const { return x > T(0) ? T(1) : T(0); }
};

/// y = x where x > 0, else `negative` x; slope `negative` at the kink.
template <class T>
struct LeakyRelu {
  T negative;
  VENTRAL_HOST_DEVICE T value(T x) const { return x > T(0) ? x : negative * x; }
  VENTRAL_HOST_DEVICE T slope(T x, T) const { return x > T(0) ? T(1) : negative; }
};

/// y = 1 / (1 + exp(-x)), without overflow; slope y (1 - y).
template <class T>
struct Sigmoid {
  VENTRAL_HOST_DEVICE T value(T x) const {
    const T e = std::exp(x < T(0) ? x : -x);  // in (0, 1]
    return (x < T(0) ? e : T(1)) / (T(1) + e);
  }
  VENTRAL_HOST_DEVICE T slope(T, T y) const { return y * (T(1) - y); }
};

/// y = amplitude tanh(gain x); slope amplitude gain (1 - (y / amplitude)^2). LeCun 1998 (Appendix A): amplitude 1.7159, gain 2/3.
template <class T>
struct Tanh {
  T amplitude, gain;
  VENTRAL_HOST_DEVICE T value(T x) const { return amplitude * std::tanh(gain * x); }
  VENTRAL_HOST_DEVICE T slope(T, T y) const { return gain * (amplitude - y * y / amplitude); }
};

/// y = x where x > 0, else alpha (exp(x) - 1); slope y + alpha below 0, alpha at the kink (Clevert, Unterthiner, Hochreiter 2016).
template <class T>
struct Elu {
  T alpha;
  VENTRAL_HOST_DEVICE T value(T x) const { return x > T(0) ? x : alpha * std::expm1(x); }
  VENTRAL_HOST_DEVICE T slope(T x, T y) const { return x > T(0) ? T(1) : y + alpha; }
};

/// y = log(1 + exp(x)), without overflow; slope 1 / (1 + exp(-x)).
template <class T>
struct Softplus {
  VENTRAL_HOST_DEVICE T value(T x) const { return (x > T(0) ? x : T(0)) + std::log1p(std::exp(x > T(0) ? -x : x)); }
  VENTRAL_HOST_DEVICE T slope(T x, T) const { return Sigmoid<T>{}.value(x); }
};

/// y = 1 where x >= 0, else 0: the unit of Rosenblatt 1958. Its slope is 0 wherever it exists, so nothing trains through it.
template <class T>
struct Heaviside {
  VENTRAL_HOST_DEVICE T value(T x) const { return x >= T(0) ? T(1) : T(0); }
};

}  // namespace ventral::inline v0::activation
