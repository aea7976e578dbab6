#pragma once
#include <memory>

#include "cuda/graph.hpp"
#include "cuda/harness.hpp"

namespace bench::device {

/// One side of a contest with as many runs as fill a sample: a graph of runs and how often it is replayed, or, where there can be none, runs queued one by one.
class Runner {
 public:
  Runner(const Side& side, int sets);

  /// Seconds of a run, the mean of a sample.
  double sample();
  void take_sample() { seconds_.push_back(sample()); }
  const std::vector<double>& seconds() const { return seconds_; }
  /// `graph of 64 runs`, or why it is none.
  std::string way() const;
  /// What a single run is made of.
  const Anatomy& anatomy() const { return anatomy_; }

 private:
  void once();
  void round();

  const Side& side_;
  int sets_, next_ = 0;
  long runs_ = 1, rounds_ = 1;  ///< runs in a round, rounds in a sample
  std::unique_ptr<Graph> graph_;  ///< null: queued, and why
  std::string why_;
  Anatomy anatomy_;
  gpu::Event begin_, end_;
  std::vector<double> seconds_;
};

/// What a contest gave: times from memory (`cold`, all sets in turn) and from whatever level one set stays in (`warm`).
struct Times {
  Summary cold, warm, reference, reference_warm, ratio;
  int rounds = 0;
  Anatomy anatomy, reference_anatomy;
  std::string way;
};
Times measure(const Side& ours, const Side* reference, int sets, double seconds);

/// The fastest of some sides, by a few samples each; null when there are none.
const Side* fastest(const std::vector<const Side*>& sides, int sets);

/// What two marks in a row measure: the error of a sample.
double empty_sample();

}  // namespace bench::device
