#pragma once
#include <chrono>
#include <cstdio>

#include "ventral/shape.hpp"

#if __has_include(<unistd.h>)
#include <unistd.h>
#endif

namespace ventral::inline v0 {

/// What an epoch of training brought. An accuracy is -1 where there are no labels to count.
struct EpochReport {
  Index epoch = 0, epochs = 0;  ///< number of this one, from 1, and of all
  Index steps = 0;              ///< done since the beginning
  double loss = 0;              ///< mean over the epoch, while the weights changed
  double accuracy = -1;         ///< likewise
  bool validated = false;
  double validation_loss = 0, validation_accuracy = -1;  ///< after the epoch
  double rate = 0;                                       ///< of the last step
  double seconds = 0;                                    ///< of training, without validation
};

namespace detail {

inline bool is_terminal([[maybe_unused]] std::FILE* file) {
#if __has_include(<unistd.h>)
  return file && ::isatty(::fileno(file)) != 0;
#else
  return false;
#endif
}

/// Shows training as it runs: a bar on a terminal, plain lines elsewhere.
class TrainingLog {
 public:
  explicit TrainingLog(std::FILE* file) : file_(file), terminal_(is_terminal(file)) {}

  /// `done` of `all` steps of this epoch.
  [[gnu::cold]] void step(const EpochReport& report, Index done, Index all, double loss) {
    if (!terminal_) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - shown_ < std::chrono::milliseconds(100)) return;
    shown_ = now;
    constexpr Index width = 30;
    char bar[width + 1] = {};
    for (Index i = 0; i < width; ++i) bar[i] = i < done * width / all ? '=' : i == done * width / all ? '>' : ' ';
    std::fprintf(file_, "\repoch %lld/%lld [%s] %lld/%lld  loss %.4f ", wide(report.epoch), wide(report.epochs), bar, wide(done), wide(all), loss);
    std::fflush(file_);
    open_ = true;
  }

  [[gnu::cold]] void epoch(const EpochReport& r) {
    if (!file_) return;
    if (open_) std::fprintf(file_, "\r\033[K");  // erases the bar
    open_ = false;
    std::fprintf(file_, "epoch %lld/%lld  loss %.4f", wide(r.epoch), wide(r.epochs), r.loss);
    if (r.accuracy >= 0) std::fprintf(file_, "  error %.2f %%", 100 * (1 - r.accuracy));
    if (r.validated) std::fprintf(file_, "  validation loss %.4f", r.validation_loss);
    if (r.validated && r.validation_accuracy >= 0) std::fprintf(file_, "  error %.2f %%", 100 * (1 - r.validation_accuracy));
    std::fprintf(file_, "  rate %.3g  %.1f s\n", r.rate, r.seconds);
    std::fflush(file_);
  }

  /// Ends an unfinished bar.
  void newline() {
    if (open_) std::fprintf(file_, "\n");
    open_ = false;
  }

 private:
  static long long wide(Index n) { return static_cast<long long>(n); }

  std::FILE* file_;
  bool terminal_, open_ = false;
  std::chrono::steady_clock::time_point shown_{};
};

}  // namespace detail

}  // namespace ventral::inline v0
