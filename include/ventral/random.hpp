#pragma once
#include <array>
#include <cmath>
#include <cstdint>

#include "ventral/shape.hpp"

namespace ventral::inline v0 {

/// Philox 4x32-10, a counter-based generator: four 32-bit words from (counter, key), the same on every machine and space.
/// Source: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * counter[0], b = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

/// Mixes two 64-bit numbers into one (splitmix64's finalizer), to derive independent streams from a seed and a name or number.
constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t z = a + 0x9E3779B97F4A7C15u * (b + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

/// A reproducible sequence of random numbers: element i depends on (seed, stream, i) only, so it may be drawn in any order.
/// Integers and uniforms have the same bits on every space, compiler and thread count; normals use the C library's log and cos.
class Random {
 public:
  explicit constexpr Random(std::uint64_t seed = 0, std::uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  constexpr std::uint64_t seed() const { return seed_; }
  constexpr std::uint64_t stream() const { return stream_; }
  /// An independent generator of the same seed.
  constexpr Random fork(std::uint64_t stream) const { return Random(seed_, mix(stream_, stream)); }

  /// Element i of the sequence, 32 random bits; does not advance.
  constexpr std::uint32_t bits_at(std::uint64_t i) const { return block(i / 4)[i % 4]; }
  /// Element i as a uniform number in [0, 1) with 24 bits; does not advance.
  constexpr float uniform_at(std::uint64_t i) const { return to_uniform(bits_at(i)); }
  /// Four consecutive elements, 4i to 4i+3.
  constexpr std::array<std::uint32_t, 4> block(std::uint64_t i) const {
    return philox({low(i), high(i), low(stream_), high(stream_)}, {low(seed_), high(seed_)});
  }
  static constexpr float to_uniform(std::uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

  /// The next 32 random bits.
  constexpr std::uint32_t bits() {
    if (next_ % 4 == 0) cache_ = block(next_ / 4);
    return cache_[next_++ % 4];
  }
  /// Uniform in [0, 1), 53 bits.
  constexpr double uniform() {
    const std::uint64_t a = bits() >> 5, b = bits() >> 6;
    return static_cast<double>((a << 26) | b) * 0x1p-53;
  }
  /// Uniform in [low, high).
  constexpr double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Uniform integer in [0, n), n >= 1, without bias.
  constexpr Index below(Index n) {
    require(n >= 1, "Random::below: n is ", n, "; at least 1 is needed");
    const std::uint64_t bound = static_cast<std::uint64_t>(n), limit = ~std::uint64_t{0} - ~std::uint64_t{0} % bound;
    std::uint64_t v;
    do {
      const std::uint64_t hi = bits();
      v = hi << 32 | bits();
    } while (v >= limit);
    return static_cast<Index>(v % bound);
  }
  /// Normal with mean 0 and standard deviation 1 (Box and Muller 1958).
  double normal() {
    constexpr double two_pi = 6.283185307179586476925286766559;
    const double r = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return r * std::cos(two_pi * uniform());
  }
  double normal(double mean, double deviation) { return mean + deviation * normal(); }
  /// Fisher-Yates shuffle of [first, last); the same order everywhere.
  template <class Iterator>
  constexpr void shuffle(Iterator first, Iterator last) {
    for (Index n = last - first; n > 1; --n) {
      const Index j = below(n);
      auto held = first[n - 1];
      first[n - 1] = first[j];
      first[j] = held;
    }
  }

 private:
  static constexpr std::uint32_t low(std::uint64_t v) { return static_cast<std::uint32_t>(v); }
  static constexpr std::uint32_t high(std::uint64_t v) { return static_cast<std::uint32_t>(v >> 32); }

  std::uint64_t seed_, stream_, next_ = 0;
  std::array<std::uint32_t, 4> cache_{};
};

/// The random numbers of one place in a network in one step: Random(seed, mix(place, step)). In a captured step (capture.hpp) the number of the step lies
/// in device memory and counts on by itself, so that only kernels can know it.
class StepRandom {
 public:
  constexpr StepRandom(const Random& fixed) : now_(fixed) {}
  constexpr StepRandom(std::uint64_t seed, std::uint64_t place, std::uint64_t step, const std::uint64_t* counter)
      : now_(seed, mix(place, step)), place_(place), counter_(counter) {}

  /// For the CPU. Throws Error in a captured step: the numbers drawn would be the same in each run.
  constexpr operator Random() const {
    require(!counter_, "the random numbers of a captured step are known to kernels only: give them pass.step_random()");
    return now_;
  }
  /// For kernels.
  constexpr Random in_kernel() const { return counter_ ? Random(now_.seed(), mix(place_, *counter_)) : now_; }

 private:
  Random now_;
  std::uint64_t place_ = 0;
  const std::uint64_t* counter_ = nullptr;
};

}  // namespace ventral::inline v0
