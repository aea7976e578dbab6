// Every rung of every ladder on the emulator, at awkward sizes, compared element by element with the CPU's functions in double. Of speed it says nothing.
//   ladder_emulated [LADDER]      e.g. ladder_emulated gemm; VENTRAL_EMULATOR_SCHEDULE=lifo or a number changes the order of threads
#include <cmath>
#include <cstdio>
#include <cstring>

#include "ladder/exercises.hpp"
#include "ventral/cuda.hpp"

namespace bench::ladder {

namespace {

using ventral::Shape;
using ventral::Window;

/// Sizes that are 1, odd, empty, no multiple of a tile and just beyond one.
std::vector<std::function<Exercise()>> exercises(const std::string& ladder) {
  std::vector<std::function<Exercise()>> all;
  const auto gemm = [&](Index m, Index n, Index k, Numbers numbers = Numbers::any) { all.push_back([=] { return gemm_exercise(m, n, k, 1, numbers); }); };
  const auto convolution = [&](Shape x, Index outputs, Window window, Numbers numbers = Numbers::any) {
    all.push_back([=] { return convolution_exercise(x, outputs, window, 1, numbers); });
  };
  const auto pool = [&](Shape x, Window window, Numbers numbers = Numbers::few_bits) {
    all.push_back([=] { return max_pool_exercise(x, window, 1, numbers); });
  };
  const auto norm = [&](Index images, Index channels, Index pixels, int reach, double beta) {
    all.push_back([=] { return divisive_norm_exercise(images, channels, pixels, reach, beta); });
  };
  const auto softmax = [&](Index rows, Index classes, Numbers numbers = Numbers::any) {
    all.push_back([=] { return softmax_exercise(rows, classes, 1, numbers); });
  };
  if (ladder == "gemm") {
    gemm(1, 1, 1), gemm(3, 5, 7), gemm(130, 129, 17), gemm(64, 200, 33), gemm(128, 128, 64), gemm(1, 300, 40), gemm(257, 4, 12), gemm(5, 8, 0), gemm(0, 4, 3),
        gemm(4, 0, 2);
    gemm(130, 132, 36, Numbers::few_bits), gemm(129, 131, 35, Numbers::few_bits);
  } else if (ladder == "convolution") {
    convolution({1, 1, 1, 1}, 1, {}), convolution({2, 3, 9, 11}, 5, {.kernel = 3, .padding = 1}), convolution({1, 6, 19, 17}, 16, {.kernel = 5, .padding = 2});
    convolution({2, 3, 21, 23}, 9, {.kernel = {3, 5}, .stride = {2, 1}, .padding = {0, 2, 1, 3}}),
        convolution({1, 2, 20, 18}, 3, {.kernel = 3, .padding = 2, .dilation = 2});
    convolution({1, 3, 40, 37}, 10, {.kernel = 11, .stride = 4, .padding = 2}), convolution({3, 70, 5, 5}, 8, {.kernel = 5}),
        convolution({2, 9, 7, 6}, 130, {});
    convolution({0, 2, 5, 5}, 3, {.kernel = 3}), convolution({2, 2, 5, 5}, 0, {.kernel = 3});
    convolution({2, 4, 13, 12}, 17, {.kernel = 3, .padding = 1}, Numbers::few_bits);
  } else if (ladder == "max_pool") {
    const Window two{.kernel = 2, .stride = 2}, alexnet{.kernel = 3, .stride = 2}, resnet{.kernel = 3, .stride = 2, .padding = 1},
        dense{.kernel = 3, .padding = 1};
    const Window odd{.kernel = {2, 5}, .stride = {1, 3}, .padding = {1, 2}}, apart{.kernel = 3, .padding = 2, .dilation = 2};
    pool({1, 1, 2, 2}, two), pool({2, 3, 16, 16}, two), pool({1, 2, 7, 5}, two), pool({1, 2, 71, 67}, two), pool({2, 3, 15, 13}, alexnet),
        pool({1, 1, 40, 72}, alexnet);
    pool({2, 2, 16, 16}, resnet), pool({1, 1, 1, 1}, resnet), pool({1, 2, 19, 34}, resnet), pool({2, 2, 9, 12}, dense), pool({1, 1, 33, 70}, dense);
    pool({2, 2, 8, 9}, odd), pool({1, 2, 11, 10}, apart), pool({0, 3, 8, 8}, two), pool({2, 0, 8, 8}, resnet);
    for (const Window& window : {two, alexnet, resnet, dense, odd}) pool({2, 3, 18, 16}, window, Numbers::awkward);
  } else if (ladder == "divisive_norm") {
    for (const int reach : {0, 1, 2, 3, 4})
      for (const double beta : {0.75, 0.5, 0.6}) norm(2, 35, 15, reach, beta);
    norm(1, 1, 1, 2, 0.75), norm(3, 2, 300, 2, 0.75), norm(2, 16, 64, 2, 0.75), norm(2, 17, 68, 2, 1), norm(1, 40, 1030, 1, 0.75), norm(0, 3, 4, 2, 0.75),
        norm(2, 0, 4, 2, 0.75);
  } else if (ladder == "softmax") {
    for (const Index classes : {1, 10, 31, 32, 33, 100, 129, 513, 1000, 1030, 2049, 8500, 33000}) softmax(classes < 200 ? 19 : 3, classes);
    for (const Index classes : {3, 40, 300, 1500, 9000}) softmax(9, classes, Numbers::awkward);
    softmax(0, 7), softmax(1, 5), softmax(300, 2), softmax(4, 0);
  }
  return all;
}

template <class T>
std::vector<T> to_host(TensorRef<T, ventral::Cuda> from) {
  std::vector<T> values(static_cast<std::size_t>(from.size()));
  ventral::Cuda::copy_to_host(values.data(), from.data, values.size() * sizeof(T));
  return values;
}

/// The largest |found - expected|, relative to |expected| + the RMS of the expected; infinite when a winner, a NaN or an infinity is in one of both alone.
double largest_error(const Exercise& e) {
  const Expected& expected = e.expected();
  const std::vector<float> y = to_host(e.y);
  const std::vector<std::int32_t> winners = to_host(e.winners);
  double squares = 0, error = 0;
  for (const double v : expected.y) squares += std::isfinite(v) ? v * v : 0;
  const double rms = std::sqrt(squares / std::max(1.0, static_cast<double>(y.size())));
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double found = static_cast<double>(y[i]), wanted = expected.y[static_cast<Index>(i)];
    if (found == wanted || (std::isnan(found) && std::isnan(wanted))) continue;
    const double difference = std::abs(found - wanted) / (std::abs(wanted) + rms);
    error = std::max(error, std::isfinite(difference) ? difference : INFINITY);
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
    std::printf("%-14s %-14s %-44s %9.1e%s\n", e.ladder.c_str(), step.name.c_str(), e.sizes.c_str(), error, right ? "" : "  WRONG");
    wrong += !right;
  }
  return wrong;
}

}  // namespace

}  // namespace bench::ladder

int main(int argc, char** argv) {
  const char* const all[] = {"gemm", "convolution", "max_pool", "divisive_norm", "softmax"};
  int wrong = 0, rungs = 0;
  std::printf("%-14s %-14s %-44s %9s\n", "ladder", "rung", "sizes", "error");
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
