#pragma once
/// How the emulator runs kernels: the order of threads, and how many blocks side by side.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "ventral/error.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

/// Which of the threads that can go on does so next.
enum class Order { fifo, lifo, random };

/// A correct kernel gives the same result for all of them.
struct Options {
  Order order = Order::fifo;
  std::uint64_t seed = 0;  ///< of Order::random
  int workers = 1;         ///< OS threads that run blocks side by side, at most cpu::threads()

  /// VENTRAL_EMULATOR_SCHEDULE (fifo, lifo or a seed) and VENTRAL_EMULATOR_WORKERS. Throws Error when they cannot be read.
  static Options from_environment() {
    Options options;
    if (const char* text = std::getenv("VENTRAL_EMULATOR_SCHEDULE"); text && *text) options.read_schedule(text);
    if (const char* text = std::getenv("VENTRAL_EMULATOR_WORKERS"); text && *text) {
      options.workers = std::atoi(text);
      require(options.workers >= 1, "VENTRAL_EMULATOR_WORKERS is '", text, "'; a number of threads of at least 1 is needed");
    }
    return options;
  }

  /// Sets order and seed from "fifo", "lifo" or a number, the seed of a random order.
  void read_schedule(const std::string& text) {
    char* end = nullptr;
    order = text == "fifo" ? Order::fifo : text == "lifo" ? Order::lifo : Order::random;
    seed = order == Order::random ? std::strtoull(text.c_str(), &end, 10) : 0;
    require(order != Order::random || (*end == '\0' && text.find_first_not_of("0123456789") == std::string::npos), "VENTRAL_EMULATOR_SCHEDULE is '", text,
            "'; fifo, lifo or a number (the seed of a random order) is needed");
  }
};

/// The options of this thread's launches: what UseOptions says, else the environment's.
inline const Options*& options_override() {
  static thread_local const Options* options = nullptr;
  return options;
}
inline const Options& options() {
  static const Options environment = Options::from_environment();
  return options_override() ? *options_override() : environment;
}

/// While it lives, this thread's launches run with the given options.
class UseOptions {
 public:
  explicit UseOptions(Options options) : options_(options), before_(options_override()) { options_override() = &options_; }
  ~UseOptions() { options_override() = before_; }
  UseOptions(const UseOptions&) = delete;
  UseOptions& operator=(const UseOptions&) = delete;

 private:
  Options options_;
  const Options* before_;
};

}  // namespace ventral::inline v0::cuda::emulated::emulator
