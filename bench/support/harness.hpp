#pragma once
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "ventral/tensor.hpp"

/// The benchmark harness: cases are run side by side with references and with the machine's own ceiling, checked first, then timed in turn.
namespace bench {

using ventral::Index;
using ventral::TensorRef;

/// What the command line asks for; see `usage()` in options.cpp.
struct Options {
  double seconds = 0.5;            ///< of measuring, for each case
  int threads = 0;                 ///< for ventral and for the references; the first of thread_counts
  std::vector<int> thread_counts;  ///< each case is measured with each of them
  std::string filter;              ///< only cases whose name contains this
  std::string json;                ///< file to write the results to
  bool cold = false;               ///< every run finds its arrays in memory, not in a cache
  bool list = false;
};

/// Where a result lies.
class Output {
 public:
  Output() = default;
  Output(TensorRef<float> y) : single_(y.data), size_(y.size()) {}
  Output(TensorRef<double> y) : double_(y.data), size_(y.size()) {}

  Index size() const { return size_; }
  double operator[](Index i) const { return single_ ? static_cast<double>(single_[i]) : double_[i]; }
  void set(Index i, double v) { single_ ? static_cast<void>(single_[i] = static_cast<float>(v)) : static_cast<void>(double_[i] = v); }

 private:
  float* single_ = nullptr;
  double* double_ = nullptr;
  Index size_ = 0;
};

/// Somebody's way of doing the work: ours, or another library's.
class Contender {
 public:
  virtual ~Contender() = default;
  virtual const char* name() const { return "ventral"; }
  /// Does the work once. This is what is timed.
  virtual void run() = 0;
  /// Before a checked run: clears what run() adds to (gradients).
  virtual void clear() {}
  /// Where the results lie after run(), in the order of the case's expectations.
  virtual std::vector<Output> outputs() { return {}; }
  /// Before a checked run: sets all results to NaN. For those whose outputs() are a converted copy.
  virtual void poison() {
    for (Output y : outputs())
      for (Index i = 0; i < y.size(); ++i) y.set(i, std::numeric_limits<double>::quiet_NaN());
  }
};

/// What output i of a case must hold: element by element, in double, by the plain formula. Large outputs are checked at a sample of elements.
struct Expectation {
  std::string name;
  std::function<double(Index)> value;
  double tolerance = 1e-4;  ///< of |found - expected|, relative to |expected| + the RMS of the expected
};

/// The work of one run. With bytes (compulsory traffic) a row shows GB/s and the share of a copy of as many bytes; else with flop, GFLOP/s and the share of the
/// FMA peak. With items it shows items a second (images), and the share of what flop or bytes allow.
struct Work {
  double flop = 0, bytes = 0, items = 0;
  bool in_double = false;  ///< arithmetic in double has half the peak
};

/// The sides of a case and what all must compute.
struct Contest {
  std::shared_ptr<const void> data;  ///< keeps what the sides borrow
  std::unique_ptr<Contender> ours;
  std::unique_ptr<Contender> reference;                ///< another library's way; null when it was not found
  std::vector<std::unique_ptr<Contender>> references;  ///< more of them; null ones are left out
  std::vector<Expectation> expected;
};

/// The middle of some samples: median, median absolute deviation, quartiles.
struct Summary {
  double median = 0, deviation = 0, low = 0, high = 0;
};
Summary summarize(std::vector<double> samples);

/// A reference in the results.
struct Rival {
  std::string name;
  Summary seconds;
  Summary ratio;  ///< its time / our time: above 1, ours is faster
};

/// Something else to write to the file of results: a name, and its value as JSON.
struct Fact {
  std::string name, value;
};

/// What a case gave. Ratios are taken round by round, then summarized, so that they survive drift of the machine's speed.
struct Result {
  std::string name;
  Work work;
  Summary seconds, reference_seconds;
  Summary ratio;          ///< reference time / our time: above 1, ours is faster
  Summary share;          ///< our rate / the ceiling's rate
  std::string reference;  ///< the fastest one
  int rounds = 0;
  bool noisy = false;               ///< other programs took our cores in nearly every round; else such rounds are left out
  std::vector<Rival> others = {};   ///< the other references, the fastest first
  int threads = 1;
  double efficiency = 0;  ///< our rate for each thread / that at the first number of threads; 0 where this is the first
  std::vector<Fact> facts = {};
};

/// A benchmark program: `int main(int argc, char** argv) { bench::Program p(argc, argv, "pool2d"); p.add(...); return p.run(); }`
class Program {
 public:
  /// Reads the command line; --help ends here. Starts the program anew when the environment would slow a reference down.
  Program(int argc, char** argv, std::string title);

  /// Adds a case, `layer/pass/shape`. `make` is called when the case is due, so that only one holds memory at a time.
  void add(std::string name, Work work, std::function<Contest()> make);
  /// Checks and measures every case that passes the filter. Returns 0, 1 when a result was wrong or the file could not be written, 2 when no case fits.
  int run();

 private:
  struct Case {
    std::string name;
    Work work;
    std::function<Contest()> make;
  };

  bool measure_all(const Case& c, std::vector<Result>& results) const;

  std::string title_;
  Options options_;
  std::vector<Case> cases_;
};

}  // namespace bench
