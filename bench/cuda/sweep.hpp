#pragma once
#include "cuda/timing.hpp"

namespace bench::device {

/// Median seconds of a run, replayed from a graph on one set of arrays.
template <class Run>
double seconds_of(const Run& run) {
  const Side side{"ventral", [&](int) { run(); }};
  Runner runner(side, 1);
  for (int i = 0; i < 5; ++i) runner.take_sample();
  return summarize(runner.seconds()).median;
}

}  // namespace bench::device
