#pragma once
#include <memory>

#include "support/harness.hpp"

namespace bench {

/// Fused multiply-adds on registers alone, on all threads: the most arithmetic that this machine does in float.
std::unique_ptr<Contender> fma_ceiling(int threads);
/// FLOP of one run of it.
double fma_ceiling_flop(int threads);

/// Copies within a buffer: reads and writes `bytes` in all, on all threads. As small or large as the case, so in the same level of cache.
std::unique_ptr<Contender> copy_ceiling(double bytes, int threads);

/// Empties the caches of what they hold, by reading three times as many bytes as the last level has.
class CacheSweeper {
 public:
  CacheSweeper();
  void sweep();

 private:
  ventral::Tensor<float> memory_;
};

}  // namespace bench
