#include "support/ceiling.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/simd.hpp"

namespace bench {

namespace {

using namespace ventral;

constexpr Index smallest_share = 1 << 14;  // floats that are worth another thread
constexpr Index fma_steps = 4096, fma_chains = 16, fma_chunks_per_thread = 4;

/// Independent chains of y = y a + b, enough to hide the latency of the units.
template <class I>
VENTRAL_ALWAYS_INLINE void fma_chains_run(float* seed) {
  using V = cpu::Simd<float, I>;
  // Half the chains where there are half the registers, for twice the steps.
  constexpr Index chains = std::min<Index>(fma_chains, I::registers - 4), steps = fma_steps * fma_chains / chains;
  const V a = V::all(seed[0]), b = V::all(seed[1]);
  V y[chains];
  VENTRAL_UNROLL for (Index c = 0; c < chains; ++c) y[c] = V::all(seed[2] + static_cast<float>(c));
  for (Index s = 0; s < steps; ++s) {
    VENTRAL_UNROLL for (Index c = 0; c < chains; ++c) y[c] = y[c] * a + b;
  }
  V total = V::zero();
  VENTRAL_UNROLL for (Index c = 0; c < chains; ++c) total = total + y[c];
  seed[3] = total.sum();
}

double simd_lanes() { return cpu::simd_level() == cpu::SimdLevel::avx512 ? 16 : cpu::simd_level() == cpu::SimdLevel::avx2 ? 8 : 4; }

class FmaCeiling final : public Contender {
 public:
  explicit FmaCeiling(int threads) : chunks_(threads * fma_chunks_per_thread), seeds_(Shape{chunks_, 16}) {
    for (Index c = 0; c < chunks_; ++c) seeds_[c * 16] = 0.5f, seeds_[c * 16 + 1] = 0.25f, seeds_[c * 16 + 2] = 1;
  }
  void run() override {
    cpu::parallel_for(
        chunks_, [&](Index c) { cpu::simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA { fma_chains_run<decltype(isa)>(seeds_.data() + c * 16); }); });
  }

 private:
  Index chunks_;
  Tensor<float> seeds_;  // a cache line for each chunk
};

template <class I>
VENTRAL_ALWAYS_INLINE void copy(const float* x, float* y, Index n) {
  using V = cpu::Simd<float, I>;
  Index i = 0;
  for (; i + 4 * V::lanes <= n; i += 4 * V::lanes) {
    const V a = V::load(x + i), b = V::load(x + i + V::lanes), c = V::load(x + i + 2 * V::lanes), d = V::load(x + i + 3 * V::lanes);
    a.store(y + i), b.store(y + i + V::lanes), c.store(y + i + 2 * V::lanes), d.store(y + i + 3 * V::lanes);
  }
  for (; i < n; ++i) y[i] = x[i];
}

class CopyCeiling final : public Contender {
 public:
  CopyCeiling(Index floats, int threads) : shares_(std::clamp<Index>(floats / smallest_share, 1, threads)), x_(Shape{floats}), y_(Shape{floats}) {}
  void run() override {
    cpu::parallel_for(shares_, [&](Index) {
      const Index share = my_number() % shares_, first = x_.size() * share / shares_, last = x_.size() * (share + 1) / shares_;
      cpu::simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA { copy<decltype(isa)>(x_.data() + first, y_.data() + first, last - first); });
    });
  }

 private:
  /// Each thread copies the same share every time, so that it finds it in its own cache.
  static Index my_number() {
    static std::atomic<Index> next{0};
    static thread_local const Index number = next++;
    return number;
  }

  Index shares_;
  Tensor<float> x_, y_;
};

Index last_level_cache() {
#if defined(_SC_LEVEL3_CACHE_SIZE)
  if (const long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE); bytes > 0) return bytes;
#endif
  return Index{32} << 20;
}

}  // namespace

CacheSweeper::CacheSweeper() : memory_(Shape{3 * last_level_cache() / static_cast<Index>(sizeof(float))}) {}
void CacheSweeper::sweep() {
  constexpr Index line = 16;
  float sum = 0;
  for (Index i = 0; i < memory_.size(); i += line) sum += memory_[i];
  memory_[0] = sum;
}

std::unique_ptr<Contender> fma_ceiling(int threads) { return std::make_unique<FmaCeiling>(threads); }
double fma_ceiling_flop(int threads) {
  return 2.0 * simd_lanes() * static_cast<double>(fma_chains * fma_steps * fma_chunks_per_thread) * static_cast<double>(threads);
}
std::unique_ptr<Contender> copy_ceiling(double bytes, int threads) {
  return std::make_unique<CopyCeiling>(std::max<Index>(1, static_cast<Index>(bytes / (2 * sizeof(float)))), threads);
}

}  // namespace bench
