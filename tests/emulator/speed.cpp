/// What the emulator costs: nanoseconds for each thread, barrier and shuffle, the best of several runs.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "ventral/cuda/runtime.cuh"

namespace ventral::inline v0::cuda::emulated::speed {

VENTRAL_KERNEL void flat_kernel(float* y) {
  if (threadIdx.x > 2000) y[0] = 1;
}
VENTRAL_KERNEL void barriers_kernel(int count) {
  for (int i = 0; i < count; ++i) __syncthreads();
}
VENTRAL_KERNEL void shuffles_kernel(int count, float* y) {
  float value = static_cast<float>(threadIdx.x);
  for (int i = 0; i < count; ++i) value += __shfl_xor_sync(~0u, value, 1);
  if (value < 0) y[0] = value;
}

}  // namespace ventral::inline v0::cuda::emulated::speed

using namespace ventral;
using namespace ventral::cuda::emulated;

/// The shortest of 15 runs of f, in nanoseconds.
template <class F>
double best(F f) {
  double shortest = 1e30;
  for (int i = 0; i < 15; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    f();
    shortest = std::min(shortest, std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count());
  }
  return shortest;
}

int main() {
  Tensor<float, Cuda> y({1});
  for (const char* schedule : {"fifo", "lifo", "1"}) {
    emulator::Options options;
    options.read_schedule(schedule);
    const emulator::UseOptions use(options);
    for (const int threads : {32, 256, 1024}) {
      const Launch one{.kernel = "speed", .blocks = 1, .threads = threads}, many{.kernel = "speed", .blocks = 1000, .threads = threads};
      constexpr int count = 200;
      const double launched = best([&] { launch({}, one, speed::flat_kernel, y.data()); });
      const double flat = best([&] { launch({}, many, speed::flat_kernel, y.data()); }) / (1000.0 * threads);
      const double barrier = best([&] { launch({}, one, speed::barriers_kernel, count); }) / (1.0 * count * threads);
      const double shuffle = best([&] { launch({}, one, speed::shuffles_kernel, count, y.data()); }) / (1.0 * count * threads);
      std::printf(
          "schedule %-4s %4d threads: %5.1f ns per thread and barrier, %5.1f per shuffle, %4.1f per thread that does not wait, %6.0f per launch of a block\n",
          schedule, threads, barrier, shuffle, flat, launched);
    }
  }
}
