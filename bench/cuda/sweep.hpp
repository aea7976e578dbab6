#pragma once
#include <cstdio>

#include "cuda/timing.hpp"

/// What sweeps of tunings share: times of all candidates beside that of what the product's rule picks.

namespace bench::device {

/// Median seconds of a run, replayed from a graph on one set of arrays.
template <class Run>
double seconds_of(const Run& run) {
  const Side side{"ventral", [&](int) { run(); }};
  Runner runner(side, 1);
  for (int i = 0; i < 5; ++i) runner.take_sample();
  return summarize(runner.seconds()).median;
}

/// The fastest of the tunings by time(tuning) in seconds, the rule's among them, and both times.
template <class Tuning>
struct Swept {
  Tuning best;
  double least, ruled;

  template <class Time>
  Swept(const Tuning& rule, const std::vector<Tuning>& candidates, const Time& time) : best(rule), least(time(rule)), ruled(least) {
    for (const Tuning& t : candidates)
      if (const double seconds = time(t); seconds < least) least = seconds, best = t;
  }
};

/// The main() of a sweep: sweep() on a stream of its own, or a line that says why there is none. Returns the exit status.
template <class Sweep>
int run_sweep(const char* name, const Sweep& sweep) {
  if (const auto device = gpu::device_status(); !device.usable) return std::printf("%s: skipped, %s\n", name, device.text.c_str()), 0;
  try {
    const gpu::OwnStream stream;
    const gpu::UseStream use(stream);
    sweep();
  } catch (const std::exception& e) {
    return std::fprintf(stderr, "%s\n", e.what()), 1;
  }
  return 0;
}

}  // namespace bench::device
