#pragma once
/// A grid whose blocks wait for each other: an OS thread each.
#include <condition_variable>
#include <mutex>
#include <string>

#include "ventral/cuda/emulator/guard.hpp"
#include "ventral/shape.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

/// Where the blocks of a cooperative launch meet.
class Grid {
 public:
  explicit Grid(Index blocks) : blocks_(blocks) {}

  /// Waits until all blocks have come, with one thread each. Returns what is wrong where one of them never will, else an empty text.
  std::string meet(unsigned* arrivals, Site site) {
    std::unique_lock hold(mutex_);
    if (left_) return missing();
    if (waiting_ == 0) site_ = site, arrivals_ = arrivals;
    if (!same(site, site_)) return fail(concat("divergent grid barrier: another block waits at ", site_));
    if (arrivals != arrivals_) return fail("grid barrier: blocks count their arrivals at different places");
    if (waiting_ == 0 && *arrivals % flip != 0) return fail(concat("grid barrier: *arrivals was ", *arrivals, ", not 0, before the first kernel that waits with it"));
    const Index meeting = meetings_;
    if (++waiting_ == blocks_) {
      *arrivals ^= flip;
      waiting_ = 0;
      ++meetings_;
      met_.notify_all();
      return "";
    }
    met_.wait(hold, [&] { return meetings_ != meeting || left_ || !broken_.empty(); });
    return meetings_ != meeting ? "" : left_ ? missing() : broken_;
  }
  /// A block has ended, or failed.
  void leave() {
    const std::lock_guard hold(mutex_);
    ++left_;
    met_.notify_all();
  }

 private:
  static constexpr unsigned flip = 1u << 31;

  /// Wakes those that wait: they are not met.
  std::string fail(const std::string& problem) {
    met_.notify_all();
    return broken_ = problem;
  }
  static std::string missing() { return "divergent grid barrier: a block has returned without coming to it"; }

  std::mutex mutex_;
  std::condition_variable met_;
  Index blocks_, waiting_ = 0, meetings_ = 0, left_ = 0;
  std::string broken_;  ///< what is wrong
  Site site_{};
  unsigned* arrivals_ = nullptr;
};

}  // namespace ventral::inline v0::cuda::emulated::emulator
