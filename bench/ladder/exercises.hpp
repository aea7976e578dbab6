#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ladder/ladder.hpp"

namespace bench::ladder {

using ventral::Tensor;
using ventral::TensorRef;

/// What a task must give, computed by the CPU's functions in double.
struct Expected {
  Tensor<double> y;
  Tensor<std::int32_t> winners;  ///< empty but for max pooling
};

/// A ladder on one task, with arrays of random numbers: what a program needs to run, check and time the rungs.
struct Exercise {
  struct Step {
    std::string name;
    std::function<void(int set)> run;  ///< queues the work, once, on one of the sets of arrays
    double tolerance;                  ///< of |found - expected|, relative to |expected| + the RMS of the expected
  };

  std::string ladder, sizes;
  std::vector<Step> steps;
  TensorRef<float, ventral::Cuda> y;                  ///< of set 0
  TensorRef<std::int32_t, ventral::Cuda> winners;     ///< empty but for max pooling
  std::function<const Expected&()> expected;          ///< computed at the first call
  std::function<const float*(int i, int set)> input;  ///< array i of a set, for other libraries
  std::function<float*(int set)> output;
};

/// Random numbers in [-1, 1): `any` of 23 bits; `few_bits`, so that there are ties, and products and sums are exact: every rung of a ladder of products must
/// give the same bits, tf32 or not; `awkward`, the same with a NaN and infinities among them.
enum class Numbers { any, few_bits, awkward };

Exercise gemm_exercise(Index m, Index n, Index k, int sets = 1, Numbers numbers = Numbers::any);
Exercise convolution_exercise(const ventral::Shape& x, Index outputs, const ventral::Window& window, int sets = 1, Numbers numbers = Numbers::any);
Exercise max_pool_exercise(const ventral::Shape& x, const ventral::Window& window, int sets = 1, Numbers numbers = Numbers::few_bits);
Exercise divisive_norm_exercise(Index images, Index channels, Index pixels, int reach, double beta, int sets = 1);
Exercise softmax_exercise(Index rows, Index classes, int sets = 1, Numbers numbers = Numbers::any);

}  // namespace bench::ladder
