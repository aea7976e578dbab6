#pragma once
#include "cuda/machine.hpp"
#include "cuda/timing.hpp"

namespace bench::device {

/// What cannot be gone below, and its time: memory (work.bytes), the arithmetic (work.flop), or launches, whichever takes longest.
struct Bound {
  const char* name = "";  ///< empty where the ceilings are unknown
  double seconds = 0;
};
Bound bound_of(const Work& work, Arithmetic arithmetic, int kernels, const Ceilings& ceilings);

/// All that a row says.
struct Row {
  std::string name;
  Work work;
  Arithmetic arithmetic;
  Times times;
  const Side *ours, *reference;  ///< reference: null where there is none, and `note` may say why
  std::string note;
  double error, reference_error;  ///< the largest of |found - expected| / (|expected| + RMS)
  Bound bound;
  bool cold;  ///< whether all sets together are more than three times the L2 cache
};
void print_ceilings(const Ceilings& ceilings);
void print_row_heading();
void print_row(const Row& row);
/// The row for the file of results.
Result result_of(const Row& row);
std::vector<Fact> facts_of(const Ceilings& ceilings);
/// The last line: how many rows, and the ratios in short.
void print_end(const std::vector<Result>& results, std::size_t cases);

}  // namespace bench::device
