#pragma once
#include <algorithm>
#include <chrono>

#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/simd.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::cpu {

/// What this machine does at most on the threads in use, measured: the ceilings of a roofline.
struct MachineLimits {
  double flops = 0;                             ///< float multiply-adds on registers alone, a multiply-add counts 2; operations a second
  static constexpr Index sizes[3] = {1 << 18, 1 << 22, 1 << 27};  ///< bytes read and written by the copies below
  double bandwidth[3] = {};                     ///< of a copy within buffers of those sizes, read + written; bytes a second

  /// The shortest time for this much arithmetic and this much traffic, in seconds.
  double seconds(double flop, double bytes) const { return std::max(flop / flops, bytes / copy_rate(bytes)); }
  double copy_rate(double bytes) const { return bytes <= static_cast<double>(sizes[0]) ? bandwidth[0] : bytes <= static_cast<double>(sizes[1]) ? bandwidth[1] : bandwidth[2]; }
};

namespace detail {

/// Sixteen independent chains of y = y a + b (half of them at levels with half the registers, for twice the steps); returns their sum.
template <class I>
VENTRAL_ALWAYS_INLINE float multiply_add_chains(Index steps, float a, float b) {
  using V = Simd<float, I>;
  constexpr int chains = I::registers == 32 ? 16 : 8;
  V y[chains];
  for (int c = 0; c < chains; ++c) y[c] = V::all(a + static_cast<float>(c));
  const V factor = V::all(a), term = V::all(b);
  for (Index s = 0; s < steps * 16 / chains; ++s) {
    VENTRAL_UNROLL for (int c = 0; c < chains; ++c) y[c] = multiply_add(y[c], factor, term);
  }
  V sum = y[0];
  for (int c = 1; c < chains; ++c) sum = sum + y[c];
  return sum.sum();
}

/// The shortest of the runs that fit in `seconds`.
template <class Work>
double shortest(double seconds, const Work& work) {
  const auto now = [] { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); };
  double best = 1e9;
  for (const double begin = now(); now() - begin < seconds;) {
    const double t = now();
    work();
    best = std::min(best, now() - t);
  }
  return best;
}

}  // namespace detail

/// Measures them, in about a quarter of a second. Other programs on the machine make the figures too low.
[[gnu::cold]] inline MachineLimits measure_machine() {
  constexpr Index steps = 1 << 14;
  const Index chunks = 4 * threads();
  MachineLimits m;
  Tensor<float> sums({chunks * 16});
  double lanes = 0;
  const double flop_time = detail::shortest(0.08, [&] {
    parallel_for(chunks, [&](Index c) {
      simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
        sums[c * 16] = detail::multiply_add_chains<decltype(isa)>(steps, 0.5f, 0.25f);
        if (c == 0) lanes = static_cast<double>(Simd<float, decltype(isa)>::lanes);
      });
    });
  });
  m.flops = 2 * 16 * lanes * static_cast<double>(steps * chunks) / flop_time;
  Tensor<float> from({m.sizes[2] / 8}), to({m.sizes[2] / 8});
  for (int k = 0; k < 3; ++k) {
    const Index n = m.sizes[k] / 8, part = (n + threads() - 1) / threads();
    const double time = detail::shortest(0.06, [&] { parallel_ranges(n, part, [&](Index first, Index last) { std::copy_n(from.data() + first, last - first, to.data() + first); }); });
    m.bandwidth[k] = static_cast<double>(m.sizes[k]) / time;
  }
  return m;
}

}  // namespace ventral::inline v0::cpu
