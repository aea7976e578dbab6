#include "support/sampling.hpp"

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <thread>

#include "support/ceiling.hpp"

namespace bench {

namespace {

constexpr double sample_seconds = 0.004;
constexpr double long_run = 0.1;  // seconds from which a run needs no other before it to be warm
constexpr int fewest_rounds = 4, most_cold_runs = 8;
constexpr double patience = 4;  // times the wanted time, while other programs disturb
constexpr Index checked_elements = 500;

double processor_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// How often another program was given one of our cores.
long times_displaced() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

/// Waits until the threads of whoever ran last have stopped spinning for more work, at most 30 ms.
void wait_until_idle() {
  for (int i = 0; i < 30; ++i) {
    const double before = processor_seconds();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (processor_seconds() - before < 2e-4) return;
  }
}

/// One contender with the number of runs that fill a sample.
struct Runner {
  Contender* contender;
  CacheSweeper* sweeper;  // null: warm caches
  long runs = 1;
  double best = std::numeric_limits<double>::infinity();
  std::vector<double> seconds = {};

  void calibrate() {
    const double start = now();
    for (int i = 0; i < 3 || (now() - start < 5 * sample_seconds && i < 1000); ++i) {
      const double t = now();
      contender->run();
      best = std::min(best, now() - t);
      if (now() - start > long_run) break;
    }
    runs = std::clamp(static_cast<long>(sample_seconds / std::max(best, 1e-9)), 1L, sweeper ? most_cold_runs : 1L << 24);
  }

  /// Mean time of a run.
  double sample() { return sweeper ? cold_sample() : warm_sample(); }

 private:
  double warm_sample() {
    const double warm = now() + 0.2 * sample_seconds;  // wakes the threads and the clock
    if (best < long_run) {
      do contender->run();
      while (now() < warm && runs > 1);
    }
    const double t = now();
    for (long i = 0; i < runs; ++i) contender->run();
    return (now() - t) / static_cast<double>(runs);
  }
  double cold_sample() {
    double total = 0;
    for (long i = 0; i < runs; ++i) {
      sweeper->sweep();
      const double t = now();
      contender->run();
      total += now() - t;
    }
    return total / static_cast<double>(runs);
  }
};

void keep_only(std::vector<double>& samples, const std::vector<bool>& wanted) {
  std::vector<double> kept;
  for (std::size_t i = 0; i < samples.size(); ++i)
    if (wanted[i]) kept.push_back(samples[i]);
  samples = std::move(kept);
}

Summary ratio(const std::vector<double>& numerator, const std::vector<double>& denominator) {
  std::vector<double> r;
  for (std::size_t i = 0; i < numerator.size() && i < denominator.size(); ++i) r.push_back(numerator[i] / denominator[i]);
  return summarize(std::move(r));
}

std::string compare(const char* who, const Expectation& expectation, const Output& found) {
  for (Index i = 0; i < found.size(); ++i)
    if (!std::isfinite(found[i])) return ventral::concat(who, " left ", expectation.name, "[", i, "] = ", found[i]);
  const Index step = std::max<Index>(1, found.size() / checked_elements) | 1;  // odd, to meet every row and column
  std::vector<double> expected;
  double square = 0;
  for (Index i = 0; i < found.size(); i += step) {
    expected.push_back(expectation.value(i));
    square += expected.back() * expected.back();
  }
  const double rms = std::sqrt(square / static_cast<double>(std::max<std::size_t>(1, expected.size())));
  for (std::size_t k = 0; k < expected.size(); ++k) {
    const Index i = static_cast<Index>(k) * step;
    const double error = std::abs(found[i] - expected[k]);
    if (!(error <= expectation.tolerance * (std::abs(expected[k]) + rms)))
      return ventral::concat(who, " gave ", expectation.name, "[", i, "] = ", found[i], ", expected ", expected[k]);
  }
  return {};
}

std::string check(Contender& contender, const std::vector<Expectation>& expected) {
  contender.run();  // so that outputs exist
  contender.poison();
  contender.clear();
  contender.run();
  const std::vector<Output> found = contender.outputs();
  for (std::size_t i = 0; i < found.size() && i < expected.size(); ++i)
    if (std::string wrong = compare(contender.name(), expected[i], found[i]); !wrong.empty()) return wrong;
  return {};
}

}  // namespace

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

Summary summarize(std::vector<double> samples) {
  if (samples.empty()) return {};
  const auto at = [](std::vector<double>& v, double fraction) {
    const auto place = v.begin() + static_cast<std::ptrdiff_t>(fraction * static_cast<double>(v.size() - 1) + 0.5);
    std::nth_element(v.begin(), place, v.end());
    return *place;
  };
  Summary s{at(samples, 0.5), 0, at(samples, 0.25), at(samples, 0.75)};
  for (double& v : samples) v = std::abs(v - s.median);
  s.deviation = at(samples, 0.5);
  return s;
}

std::string check(Contest& contest) {
  std::string wrong = check(*contest.ours, contest.expected);
  for (auto& reference : contest.references)
    if (wrong.empty()) wrong = check(*reference, contest.expected);
  return wrong;
}

namespace {

/// Rounds until there are enough undisturbed ones. Returns which were undisturbed.
std::vector<bool> run_rounds(std::vector<Runner>& runners, int threads, double seconds) {
  const double start = now();
  double calm_seconds = 0;
  std::vector<bool> calm;
  const auto enough = [&] {
    const bool long_enough = static_cast<int>(calm.size()) >= fewest_rounds && now() - start > seconds;
    return long_enough && ((std::count(calm.begin(), calm.end(), true) >= fewest_rounds && calm_seconds > seconds) || now() - start > patience * seconds);
  };
  while (!enough()) {
    const double round_start = now();
    bool undisturbed = true;
    const std::size_t n = runners.size();
    for (Runner& r : runners) r.seconds.push_back(0);
    for (std::size_t k = 0; k < 2 * n; ++k) {
      Runner& r = runners[k < n ? k : 2 * n - 1 - k];
      if (threads > 1) wait_until_idle();
      const long displaced = times_displaced();
      r.seconds.back() += r.sample() / 2;
      undisturbed = undisturbed && times_displaced() == displaced;
    }
    calm.push_back(undisturbed);
    if (undisturbed) calm_seconds += now() - round_start;
  }
  return calm;
}

}  // namespace

Result measure(const std::string& name, const Work& work, Contest& contest, int threads, const Options& options) {
  const std::unique_ptr<Contender> ceiling = work.bytes > 0 ? copy_ceiling(work.bytes, threads) : work.flop > 0 ? fma_ceiling(threads) : nullptr;
  const std::unique_ptr<CacheSweeper> sweeper = options.cold ? std::make_unique<CacheSweeper>() : nullptr;
  std::vector<Runner> runners{{contest.ours.get(), sweeper.get()}};
  for (const auto& reference : contest.references) runners.push_back({reference.get(), sweeper.get()});
  if (ceiling) runners.push_back({ceiling.get(), sweeper.get()});
  for (Runner& r : runners) r.calibrate();

  const std::vector<bool> calm = run_rounds(runners, threads, options.seconds);
  Result result;
  result.name = name;
  result.threads = threads;
  result.work = work;
  result.noisy = std::count(calm.begin(), calm.end(), true) < fewest_rounds;
  if (!result.noisy)
    for (Runner& r : runners) keep_only(r.seconds, calm);

  const std::vector<double>& ours = runners[0].seconds;
  result.rounds = static_cast<int>(ours.size());
  result.seconds = summarize(ours);
  std::vector<Rival>& rivals = result.others;
  for (std::size_t i = 0; i < contest.references.size(); ++i)
    rivals.push_back({contest.references[i]->name(), summarize(runners[i + 1].seconds), ratio(runners[i + 1].seconds, ours)});
  std::stable_sort(rivals.begin(), rivals.end(), [](const Rival& a, const Rival& b) { return a.seconds.median < b.seconds.median; });
  if (!rivals.empty()) {
    result.reference = rivals[0].name, result.reference_seconds = rivals[0].seconds, result.ratio = rivals[0].ratio;
    rivals.erase(rivals.begin());
  }
  if (ceiling) {
    const double per_run = work.bytes > 0 ? 1 : (work.in_double ? 2 : 1) * work.flop / fma_ceiling_flop(threads);  // the ceiling's time for this case's work
    result.share = ratio(runners.back().seconds, ours);
    for (double* v : {&result.share.median, &result.share.deviation, &result.share.low, &result.share.high}) *v *= per_run;
  }
  return result;
}

}  // namespace bench
