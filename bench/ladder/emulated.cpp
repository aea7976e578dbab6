// Every rung of every ladder on the emulator, at awkward sizes, compared element by element with the CPU's functions in double. Of speed it says nothing.
//   ladder_emulated [LADDER]      e.g. ladder_emulated gemm; VENTRAL_EMULATOR_SCHEDULE=lifo or a number changes the order of threads
#include <cmath>
#include <cstdio>
#include <cstring>

#include "ladder/exercises.hpp"
#include "ventral/cuda.hpp"

namespace bench::ladder {

namespace {

std::vector<std::function<Exercise()>> exercises(const std::string& ladder) {
  std::vector<std::function<Exercise()>> all;
  const auto gemm = [&](Index m, Index n, Index k, Bits bits = Bits::all) { all.push_back([=] { return gemm_exercise(m, n, k, 1, bits); }); };
  if (ladder == "gemm") {
    gemm(1, 1, 1), gemm(3, 5, 7), gemm(130, 129, 17), gemm(64, 200, 33), gemm(128, 128, 64), gemm(1, 300, 40), gemm(257, 4, 12);
    gemm(130, 132, 36, Bits::few), gemm(5, 8, 0), gemm(0, 4, 3), gemm(4, 0, 2);
  }
  return all;
}

/// The largest |found - expected|, relative to |expected| + the RMS of the expected; infinite where one of both is not a number and the other is.
double largest_error(const Exercise& e) {
  const Expected& expected = e.expected();
  const auto host = [](auto from) {
    std::vector<std::remove_pointer_t<decltype(from.data)>> values(static_cast<std::size_t>(from.size()));
    ventral::Cuda::copy_to_host(values.data(), from.data, values.size() * sizeof(values[0]));
    return values;
  };
  const auto y = host(e.y);
  const auto winners = host(e.winners);
  double squares = 0, error = 0;
  for (const double v : expected.y) squares += v * v;
  const double rms = std::sqrt(squares / std::max(1.0, static_cast<double>(y.size())));
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double want = expected.y[static_cast<Index>(i)], difference = std::abs(static_cast<double>(y[i]) - want) / (std::abs(want) + rms);
    if (static_cast<double>(y[i]) != want) error = std::max(error, std::isfinite(difference) ? difference : INFINITY);
  }
  for (std::size_t i = 0; i < winners.size(); ++i)
    if (winners[i] != expected.winners[static_cast<Index>(i)]) error = INFINITY;
  return error;
}

/// Runs the rungs, each on outputs full of NaN; returns how many are wrong.
int climb(const Exercise& e) {
  int wrong = 0;
  for (const Exercise::Step& step : e.steps) {
    for (auto [to, bytes] : {std::pair<void*, Index>{e.y.data, e.y.size() * 4}, {e.winners.data, e.winners.size() * 4}}) {
      const std::vector<unsigned char> ones(static_cast<std::size_t>(bytes), 0xFF);
      ventral::Cuda::copy_from_host(to, ones.data(), ones.size());
    }
    step.run(0);
    const double error = largest_error(e);
    const bool right = error <= step.tolerance;
    std::printf("%-14s %-14s %-26s %9.1e%s\n", e.ladder.c_str(), step.name.c_str(), e.sizes.c_str(), error, right ? "" : "  WRONG");
    wrong += !right;
  }
  return wrong;
}

}  // namespace

}  // namespace bench::ladder

int main(int argc, char** argv) {
  const char* const all[] = {"gemm"};
  int wrong = 0, rungs = 0;
  std::printf("%-14s %-14s %-26s %9s\n", "ladder", "rung", "sizes", "error");
  try {
    for (const char* ladder : all)
      if (argc < 2 || std::strcmp(argv[1], ladder) == 0)
        for (const auto& make : bench::ladder::exercises(ladder)) {
          const auto exercise = make();
          wrong += bench::ladder::climb(exercise);
          rungs += static_cast<int>(exercise.steps.size());
        }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  std::printf("%d runs, %d wrong\n", rungs, wrong);
  return wrong > 0 || rungs == 0 ? 1 : 0;
}
