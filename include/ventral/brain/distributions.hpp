#pragma once
#include <cmath>
#include <limits>

#include "ventral/error.hpp"

namespace ventral::inline v0::brain {

/// P(Z <= x) of a standard normal Z: erfc(-x / sqrt(2)) / 2, to rounding in both tails.
inline double normal_cdf(double x) { return 0.5 * std::erfc(-x * 0.70710678118654752440); }

namespace detail {

/// ln Gamma(x) - [(x - 1/2) ln x - x + ln(2 pi)/2], x > 0: what Stirling's formula leaves out.
/// Small arguments are raised to 10 by Gamma(x + 1) = x Gamma(x).
inline double stirling_remainder(double x) {
  constexpr double half_log_two_pi = 0.91893853320467274178;
  double product = 1, z = x;
  for (; z < 10; z += 1) product *= z;
  const double s = 1 / (z * z);
  const double series = (1.0 / 12 - s * (1.0 / 360 - s * (1.0 / 1260 - s * (1.0 / 1680 - s * (1.0 / 1188 - s * (691.0 / 360360 - s / 156)))))) / z;
  if (z == x) return series;
  const double log_gamma = (z - 0.5) * std::log(z) - z + half_log_two_pi + series - std::log(product);
  return log_gamma - ((x - 0.5) * std::log(x) - x + half_log_two_pi);
}

/// x^a y^b / B(a,b) with y = 1 - x, without the cancellation that logarithms of Gamma have at large a or b.
inline double beta_prefactor(double a, double b, double x, double y) {
  const double log_x = x < 0.5 ? std::log(x) : std::log1p(-y), log_y = y < 0.5 ? std::log(y) : std::log1p(-x);
  return std::exp(a * (log_x + std::log1p(b / a)) + b * (log_y + std::log1p(a / b)) + 0.5 * std::log(a * b / (6.283185307179586476925 * (a + b))) +
                  stirling_remainder(a + b) - stirling_remainder(a) - stirling_remainder(b));
}

/// x^a y^b / (B(a,b) I_x(a,b)) as a continued fraction, whose terms take 1 - x from y and so do not cancel.
/// By Lentz's method, for x < (a + 1)/(a + b + 2).
inline double beta_fraction(double a, double b, double x, double y) {
  const double excess = a > b ? (a + b) * y - b : a - (a + b) * x;
  double value = a / (a + 1) * (excess + 1), c = value, d = 0;
  for (double n = 1; n < 100000; n += 1) {
    const double odd = a + 2 * n - 1, numerator = (a + n - 1) / odd * (a + b + n - 1) / odd * n * (b - n) * x * x;
    const double term = n + n * (b - n) * x / odd + (a + n) / (odd + 2) * (excess + 1 + n * (1 + y));
    d = 1 / (term + numerator * d);
    c = term + numerator / c;
    value *= c * d;
    if (std::abs(c * d - 1) < 2 * std::numeric_limits<double>::epsilon()) break;
  }
  return value;
}

/// I_x(a,b) with y = 1 - x given beside x, so that neither end loses digits.
inline double beta_share(double a, double b, double x, double y) {
  if (x <= 0) return 0;
  if (y <= 0) return 1;
  if (x < (a + 1) / (a + b + 2)) return beta_prefactor(a, b, x, y) / beta_fraction(a, b, x, y);
  return 1 - beta_prefactor(b, a, y, x) / beta_fraction(b, a, y, x);
}

}  // namespace detail

/// The regularised incomplete beta function I_x(a,b) = B(x; a,b) / B(a,b), for a, b > 0 and 0 <= x <= 1: to 1e-12 relative wherever it is below 1/2.
/// Throws Error for other arguments. Cost: O(sqrt(a + b)) terms at worst. Source: DiDonato, Morris 1992, ACM TOMS 18:360 (continued fraction);
/// Lentz 1976, Appl Opt 15:668.
inline double incomplete_beta(double a, double b, double x) {
  require(a > 0 && b > 0 && 0 <= x && x <= 1, "incomplete_beta: a ", a, ", b ", b, ", x ", x, "; needs a > 0, b > 0 and x in [0, 1]");
  return detail::beta_share(a, b, x, 1 - x);
}

/// P(T > t) of Student's t with `degrees` > 0 degrees of freedom: I_{v/(v + t^2)}(v/2, 1/2) / 2 for t > 0; exact to 1e-12 relative far into the tail.
/// NaN for a NaN t. Throws Error unless degrees > 0. Source: Student 1908, Biometrika 6:1.
inline double student_t_tail(double t, double degrees) {
  require(degrees > 0, "student_t: ", degrees, " degrees of freedom; more than 0 are needed");
  if (std::isnan(t)) return t;
  if (t < 0) return 1 - student_t_tail(-t, degrees);
  if (std::isinf(t)) return 0;
  const double ratio = t / degrees * t;
  return 0.5 * detail::beta_share(degrees / 2, 0.5, 1 / (1 + ratio), ratio / (1 + ratio));
}

/// P(T <= t) of Student's t.
inline double student_t_cdf(double t, double degrees) { return student_t_tail(-t, degrees); }

/// t with P(T <= t) = p, by bisection down to neighbouring doubles; -inf and +inf for p = 0 and 1. Throws Error for p outside [0, 1].
inline double student_t_quantile(double p, double degrees) {
  require(0 <= p && p <= 1, "student_t_quantile: p is ", p, "; needs 0 <= p <= 1");
  if (p == 0.5) return 0;
  if (p > 0.5) return p == 1 ? std::numeric_limits<double>::infinity() : -student_t_quantile(1 - p, degrees);
  if (p == 0) return -std::numeric_limits<double>::infinity();
  double low = 0, high = 1;
  while (student_t_tail(high, degrees) > p) low = high, high *= 2;
  for (;;) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return -high;
    (student_t_tail(middle, degrees) > p ? low : high) = middle;
  }
}

}  // namespace ventral::inline v0::brain
