#pragma once
/// The sums of a tensor core.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "ventral/version.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

/// 2^e, |e| < 1000.
inline double power_of_two(int e) { return std::bit_cast<double>(static_cast<std::uint64_t>(1023 + e) << 52); }

/// c + a[0] b[0] + ... as an Ampere tensor core adds: products are exact; all terms are cut, toward zero, at the same place, one bit below the last one
/// that a float as large as the largest term has; the sum of what is left is cut to a float. Subnormals count. Newer GPUs keep another bit or more.
/// Source: Fasi, Higham, Mikaitis, Pranesh 2021, Numerical behavior of NVIDIA tensor cores, PeerJ Computer Science 7:e330; a model, not bits promised.
template <int n>
float tensor_core_sum(float c, const float (&a)[n], const float (&b)[n]) {
  constexpr int places = 24, least = -300;  // places after the point; below the exponents of all products
  const auto exponent = [](float x) { return static_cast<int>(std::bit_cast<std::uint64_t>(static_cast<double>(x)) >> 52 & 0x7FF) - 1023; };
  double term[n + 1] = {static_cast<double>(c)}, plain = term[0];
  int top = c == 0 ? least : exponent(c);
  for (int i = 0; i < n; ++i) {
    plain += term[i + 1] = static_cast<double>(a[i]) * static_cast<double>(b[i]);
    if (term[i + 1] != 0) top = std::max(top, exponent(a[i]) + exponent(b[i]));
  }
  if (!std::isfinite(plain)) return static_cast<float>(plain);
  const double unit = power_of_two(top - places), scale = power_of_two(places - top);
  double sum = 0;
  for (const double t : term) sum += static_cast<double>(static_cast<std::int64_t>(t * scale));
  sum *= unit;
  const float rounded = static_cast<float>(sum);
  const bool away = std::abs(static_cast<double>(rounded)) > std::abs(sum) && std::abs(sum) < 0x1p128;
  return away ? std::bit_cast<float>(std::bit_cast<std::uint32_t>(rounded) - 1) : rounded;
}

}  // namespace ventral::inline v0::cuda::emulated::emulator
