#pragma once
#include <limits>

#include "support/report.hpp"
#include "ventral/cuda.hpp"

/// The harness of GPU benchmarks. The work of a case is queued on the current stream, recorded as a graph of many runs, and timed by events around replays of
/// it; ours and the reference take turns. Work that cannot be recorded, as it waits for the device, is timed as it is queued, and its row says so.
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
  std::string algorithm = {};  ///< of a library; else the name of its kernel is shown
  double workspace = 0;        ///< bytes kept beside the arrays; what a run allocates is found by the harness
};

/// The arithmetic of a case, whose ceiling its FLOP are held against: FFMA, or tensor cores by the type of what they
/// multiply; tf32x3 takes three products for one.
enum class Arithmetic { ffma, tf32, tf32x3, bf16 };

struct Contest {
  Side ours, reference;
  int sets = 1;
  Arithmetic arithmetic = Arithmetic::ffma;
  std::vector<Side> others = {};  ///< more references: the fastest of all that are right is the one that counts
  double set_bytes = 0;           ///< bytes of a set, to say whether all of them outgrow the L2 cache
};

/// Sets of arrays, of so many bytes each, that runs take in turn so as not to find their inputs in the L2 cache: more than three times as much as it holds, in
/// at most 256 sets. Smaller ones do stay there, as what one layer hands to the next.
int sets_for(double bytes);

/// A program of GPU benchmarks, used as bench::Program. Without a GPU, run() says so in one line and returns 0.
class Program {
 public:
  /// `reference` is what ratios are taken against, in words for the heading; empty when there is none.
  Program(int argc, char** argv, std::string title, std::string reference);

  /// Adds a case; `make` is called when it is due. Work may have flop and bytes (what cannot but be read and written): the later of both bounds the case. A
  /// case without work shows its time alone.
  void add(std::string name, Work work, std::function<Contest()> make);
  /// Whether the smallest shapes are wanted (--scale tiny), as for the emulator.
  bool tiny() const { return tiny_; }
  int run();

 private:
  struct Case {
    std::string name;
    Work work;
    std::function<Contest()> make;
  };

  bool check_all() const;
  std::vector<Result> measure_all(Setting& setting);

  bool check_only_ = false, tiny_ = false, all_right_ = true;
  double limit_;  ///< seconds
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
