#pragma once
#include <string>

#include "support/harness.hpp"

namespace bench {

/// Seconds since some moment, by the steady clock.
double now();

/// Runs all sides on outputs filled with NaN and compares them with the expectations. Returns what is wrong, empty when all is right.
std::string check(Contest& contest);

/// Times ours, the references and the ceiling in turn, forwards, then backwards (A-B-C-C-B-A), for about options.seconds.
Result measure(const std::string& name, const Work& work, Contest& contest, int threads, const Options& options);

}  // namespace bench
