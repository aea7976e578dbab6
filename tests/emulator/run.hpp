#pragma once
/// What the emulator's tests share.
#include "emulator/planted_kernels.hpp"
#include "support.hpp"

namespace test::on_emulator {

namespace gpu = ventral::cuda::emulated;
namespace emulator = ventral::cuda::emulated::emulator;
namespace planted = ventral::cuda::emulated::planted;
using emulator::Options;
using emulator::Order;
using gpu::launch;
using gpu::Launch;

/// Calls f under each schedule, with one worker and with three.
template <class F>
void for_all_schedules(F f) {
  const Options all[] = {{}, {.order = Order::lifo}, {.order = Order::random, .seed = 1}, {.order = Order::random, .seed = 2}, {.workers = 3}};
  for (const Options& options : all) {
    CAPTURE(static_cast<int>(options.order));
    CAPTURE(options.seed);
    CAPTURE(options.workers);
    const emulator::UseOptions use(options);
    f();
  }
}

/// first, first + 1, ... on the device.
template <class T>
Tensor<T, Cuda> numbers(Index n, T first = 1) {
  Tensor<T, Cpu> x({n});
  for (Index i = 0; i < n; ++i) x[i] = static_cast<T>(first + static_cast<T>(i));
  return x.template to<Cuda>();
}
/// Memory that nothing was written to.
inline Tensor<float, Cuda> fresh(Index n) { return Tensor<float, Cuda>::uninitialized({n}); }

/// Launches one block.
template <class Kernel, class... Arguments>
void run_block(const char* name, unsigned threads, Kernel kernel, const Arguments&... arguments) {
  launch(gpu::Space::stream(), Launch{.kernel = name, .blocks = 1, .threads = threads}, kernel, arguments...);
}

/// The message of the CudaError with which a kernel with a bug ends; it has to end well without the bug.
template <class Wrong, class Right, class... Arguments>
std::string message(const char* name, unsigned threads, Wrong wrong, Right right, const Arguments&... arguments) {
  for_all_schedules([&] { CHECK_NOTHROW(run_block(name, threads, right, arguments...)); });
  std::string text;
  for_all_schedules([&] { text = message_of<CudaError>([&] { run_block(name, threads, wrong, arguments...); }); });
  CHECK_NOTHROW(run_block(name, threads, right, arguments...));
  const emulator::UseOptions fifo({});
  return message_of<CudaError>([&] { run_block(name, threads, wrong, arguments...); });
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
#define CHECK_CONTAINS(text, part)   \
  do {                               \
    INFO(text);                      \
    CHECK(contains((text), (part))); \
  } while (false)

/// Whether y[i] == f(i) everywhere.
template <class T, class F>
bool equals(const Tensor<T, Cuda>& y, F f) {
  const Tensor<T, Cpu> found = y.template to<Cpu>();
  for (Index i = 0; i < found.size(); ++i)
    if (!(found[i] == static_cast<T>(f(i)))) return false;
  return true;
}

}  // namespace test::on_emulator
