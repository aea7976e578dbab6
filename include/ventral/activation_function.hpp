#pragma once
#include <cmath>

#include "ventral/scalar.hpp"

/// The formulas of the activations, one struct each: `value(x)` is y, `slope(x, y)` is dy/dx. Shared by the CPU and the CUDA kernels.
/// T is what the numbers are stored as; formulas and their constants are Compute<T>, which is float for the 16-bit types.
namespace ventral::inline v0::activation {

/// y = max(0, x); slope 1 where x > 0, else 0 (at the kink 0). NaN stays NaN.
template <class T>
struct Relu {
  using C = Compute<T>;
  VENTRAL_HOST_DEVICE C value(C x) const { return x > C(0) || x != x ? x : C(0); }
  VENTRAL_HOST_DEVICE C slope(C x, C) const { return x > C(0) ? C(1) : C(0); }
};

/// y = x where x > 0, else `negative` x; slope `negative` at the kink.
template <class T>
struct LeakyRelu {
  using C = Compute<T>;
  C negative;
  VENTRAL_HOST_DEVICE C value(C x) const { return x > C(0) ? x : negative * x; }
  VENTRAL_HOST_DEVICE C slope(C x, C) const { return x > C(0) ? C(1) : negative; }
};

/// y = 1 / (1 + exp(-x)), without overflow; slope y (1 - y).
template <class T>
struct Sigmoid {
  using C = Compute<T>;
  VENTRAL_HOST_DEVICE C value(C x) const {
    const C e = std::exp(x < C(0) ? x : -x);  // in (0, 1]
    return (x < C(0) ? e : C(1)) / (C(1) + e);
  }
  VENTRAL_HOST_DEVICE C slope(C, C y) const { return y * (C(1) - y); }
};

/// y = amplitude tanh(gain x); slope amplitude gain (1 - (y / amplitude)^2). LeCun 1998 (Appendix A): amplitude 1.7159, gain 2/3.
template <class T>
struct Tanh {
  using C = Compute<T>;
  C amplitude, gain;
  VENTRAL_HOST_DEVICE C value(C x) const { return amplitude * std::tanh(gain * x); }
  VENTRAL_HOST_DEVICE C slope(C, C y) const { return gain * (amplitude - y * y / amplitude); }
};

/// y = x where x > 0, else alpha (exp(x) - 1); slope y + alpha below 0, alpha at the kink (Clevert, Unterthiner, Hochreiter 2016).
template <class T>
struct Elu {
  using C = Compute<T>;
  C alpha;
  VENTRAL_HOST_DEVICE C value(C x) const { return x > C(0) ? x : alpha * std::expm1(x); }
  VENTRAL_HOST_DEVICE C slope(C x, C y) const { return x > C(0) ? C(1) : y + alpha; }
};

/// y = log(1 + exp(x)), without overflow; slope 1 / (1 + exp(-x)).
template <class T>
struct Softplus {
  using C = Compute<T>;
  VENTRAL_HOST_DEVICE C value(C x) const { return (x > C(0) ? x : C(0)) + std::log1p(std::exp(x > C(0) ? -x : x)); }
  VENTRAL_HOST_DEVICE C slope(C x, C) const { return Sigmoid<T>{}.value(x); }
};

/// y = 1 where x >= 0, else 0: the unit of Rosenblatt 1958. Its slope is 0 wherever it exists, so nothing trains through it.
template <class T>
struct Heaviside {
  using C = Compute<T>;
  VENTRAL_HOST_DEVICE C value(C x) const { return x >= C(0) ? C(1) : C(0); }
};

}  // namespace ventral::inline v0::activation
