#pragma once
#include <string>

/// The device that benchmarks run on: its measured ceilings, clocks and versions. Written in ceilings.cu and machine.cpp; no_machine.cpp stands in for a build
/// on the emulator, which has neither.
namespace bench::device {

/// The most that kernels of our own get out of the device; 0: not measured. Tensor cores by mma.sync: libraries go beyond it where there is wgmma (9.0).
struct Ceilings {
  double copy = 0;                        ///< bytes a second, read and written, of 16-byte vectors over arrays larger than the L2 cache
  double ffma = 0, tf32 = 0, bf16 = 0;    ///< FLOP a second on registers alone
  double launch = 0;                      ///< seconds from one empty kernel to the next within a graph
};
Ceilings measure_ceilings();

/// Bytes of the L2 cache.
double l2_cache();
/// Clocks now and at most, driver and runtime, in one line; says so where they are unknown.
std::string clocks_and_versions();

}  // namespace bench::device
