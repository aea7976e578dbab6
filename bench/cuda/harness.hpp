#pragma once
#include <limits>

#include "support/harness.hpp"
#include "ventral/cuda.hpp"

/// The harness of GPU benchmarks. The work of a case is queued on the current stream and timed by events around many runs; ours and the reference take turns.
namespace bench::device {

namespace gpu = ventral::cuda::VENTRAL_CUDA_MODE;
using ventral::Cuda;
using ventral::Shape;
using ventral::Tensor;

/// A result of a run on set 0, and what it must hold.
struct Check {
  std::string name;
  std::function<void()> prepare;               ///< writes NaN, or the number that the run adds to
  std::function<std::vector<double>()> fetch;  ///< brings the result to main memory
  std::function<double(Index)> expected;
  double tolerance = 1e-4;  ///< of |found - expected|, relative to |expected| + the RMS of the expected
  Index samples = 500;      ///< elements compared; all must be finite
};

/// One way of doing the work.
struct Side {
  std::string name = {};
  std::function<void(int set)> run = {};  ///< queues the work once, on one of the sets of arrays; empty: there is no such way, and `name` says why
  std::vector<Check> checks = {};
};

struct Contest {
  Side ours, reference;
  int sets = 1;
};

/// Sets of arrays, of so many bytes each, that runs take in turn so as not to find their inputs in the L2 cache: 120 MB, twice an H200's, in at most 64 sets.
/// Smaller ones do stay there, as what one layer hands to the next.
int sets_for(double bytes);

/// A program of GPU benchmarks, used as bench::Program. Without a GPU, run() says so in one line and returns 0.
class Program {
 public:
  /// `reference` is what ratios are taken against, in words for the heading; empty when there is none.
  Program(int argc, char** argv, std::string title, std::string reference);

  /// Adds a case; `make` is called when it is due. A case without work shows its time alone.
  void add(std::string name, Work work, std::function<Contest()> make);
  int run();

 private:
  struct Case {
    std::string name;
    Work work;
    std::function<Contest()> make;
  };

  std::string title_, reference_;
  Options options_;
  std::vector<Case> cases_;
};

/// A check of the array y, which holds `start` before the run (by default NaN: every element must be written).
template <class T>
Check check(std::string name, TensorRef<T, Cuda> y, std::function<double(Index)> expected, double tolerance,
            double start = std::numeric_limits<double>::quiet_NaN()) {
  const auto size = static_cast<std::size_t>(y.size());
  return {.name = std::move(name),
          .prepare = [=] { Cuda::copy_from_host(y.data, std::vector<T>(size, static_cast<T>(start)).data(), size * sizeof(T)); },
          .fetch =
              [=] {
                std::vector<T> values(size);
                Cuda::copy_to_host(values.data(), y.data, size * sizeof(T));
                return std::vector<double>(values.begin(), values.end());
              },
          .expected = std::move(expected),
          .tolerance = tolerance};
}

}  // namespace bench::device
