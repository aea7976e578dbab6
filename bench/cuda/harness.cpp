#include "cuda/harness.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "support/options.hpp"
#include "support/report.hpp"
#include "support/sampling.hpp"
#include "ventral/cpu/parallel.hpp"

namespace bench::device {

namespace {

constexpr double sample_seconds = 0.002;
constexpr int fewest_rounds = 7;

/// One side with the number of runs that fill a sample.
class Runner {
 public:
  Runner(const Side& side, int sets) : side_(side), sets_(sets) {
    for (int i = 0; i < sets; ++i) once();
    double each = sample(1);
    while (runs_ < (1L << 14) && each * static_cast<double>(runs_) < sample_seconds / 4) each = sample(runs_ *= 4);
    runs_ = std::clamp(static_cast<long>(sample_seconds / each), 1L, 1L << 14);
  }
  void sample() { seconds_.push_back(sample(runs_)); }
  const std::vector<double>& seconds() const { return seconds_; }

 private:
  void once() {
    side_.run(next_);
    next_ = (next_ + 1) % sets_;
  }
  /// Seconds of a run. One goes ahead, so that the device has work while the timed ones are being queued.
  double sample(long runs) {
    once();
    begin_.record();
    for (long i = 0; i < runs; ++i) once();
    end_.record();
    end_.synchronize();
    return std::max(1e-9, 1e-3 * gpu::Event::milliseconds(begin_, end_) / static_cast<double>(runs));
  }

  const Side& side_;
  int sets_, next_ = 0;
  long runs_ = 1;
  gpu::Event begin_, end_;
  std::vector<double> seconds_;
};

Summary ratio(const std::vector<double>& numerator, const std::vector<double>& denominator) {
  std::vector<double> r;
  for (std::size_t i = 0; i < numerator.size(); ++i) r.push_back(numerator[i] / denominator[i]);
  return summarize(std::move(r));
}

Result measure(const std::string& name, const Work& work, const Contest& contest, double seconds) {
  Runner ours(contest.ours, contest.sets);
  std::unique_ptr<Runner> reference;
  if (contest.reference.run) reference = std::make_unique<Runner>(contest.reference, contest.sets);
  int rounds = 0;
  for (const double start = now(); rounds < fewest_rounds || now() - start < seconds; ++rounds) {
    if (rounds % 2 == 0) ours.sample();
    if (reference) reference->sample();
    if (rounds % 2 == 1) ours.sample();
  }
  Result r{
      .name = name, .work = work, .seconds = summarize(ours.seconds()), .reference_seconds = {}, .ratio = {}, .share = {}, .reference = {}, .rounds = rounds};
  if (reference) {
    r.reference = contest.reference.name;
    r.reference_seconds = summarize(reference->seconds());
    r.ratio = ratio(reference->seconds(), ours.seconds());
  }
  return r;
}

/// What is wrong with one result, empty when nothing is.
std::string compare(const Check& c) {
  const std::vector<double> found = c.fetch();
  const Index size = static_cast<Index>(found.size()), step = c.samples >= size ? 1 : size / c.samples | 1;  // odd, to meet every row and column
  for (Index i = 0; i < size; ++i)
    if (!std::isfinite(found[static_cast<std::size_t>(i)])) return ventral::concat(c.name, "[", i, "] is ", found[static_cast<std::size_t>(i)]);
  std::vector<double> expected;
  double square = 0;
  for (Index i = 0; i < size; i += step) {
    expected.push_back(c.expected(i));
    square += expected.back() * expected.back();
  }
  const double rms = std::sqrt(square / static_cast<double>(std::max<std::size_t>(1, expected.size())));
  for (std::size_t k = 0; k < expected.size(); ++k) {
    const std::size_t i = k * static_cast<std::size_t>(step);
    if (!(std::abs(found[i] - expected[k]) <= c.tolerance * (std::abs(expected[k]) + rms)))
      return ventral::concat(c.name, "[", i, "] is ", found[i], ", expected ", expected[k]);
  }
  return {};
}

/// Runs a side once on set 0 and compares its results. Throws Error when one is wrong.
void check(const Side& side) {
  if (!side.run) return;
  for (const Check& c : side.checks) c.prepare();
  side.run(0);
  gpu::synchronize();
  for (const Check& c : side.checks) {
    const std::string wrong = compare(c);
    ventral::require(wrong.empty(), side.name, ": ", wrong);
  }
}

/// Keeps the device busy for a third of a second, so that its clocks are those of work.
void warm_up() {
  Tensor<float, Cuda> memory({Index{1} << 24});
  for (const double start = now(); now() - start < 0.3; gpu::synchronize())
    for (int i = 0; i < 20; ++i) memory.zero();
}

/// What two marks in a row measure: the error of a sample.
double empty_sample() {
  std::vector<double> seconds;
  for (int i = 0; i < 50; ++i) {
    gpu::Event begin, end;
    begin.record();
    end.record();
    end.synchronize();
    seconds.push_back(1e-3 * gpu::Event::milliseconds(begin, end));
  }
  return summarize(std::move(seconds)).median;
}

/// `note` stands in the place of the reference where there is none.
void print(const Result& r, const std::string& note) {
  const Work& w = r.work;
  const double per_second = 1 / r.seconds.median;
  std::printf("%-42s %11.2f %5.1f%%", r.name.c_str(), r.seconds.median * 1e6, 100 * r.seconds.deviation * per_second);
  if (w.items > 0) std::printf(" %9.0f img/s  ", w.items * per_second);
  else if (w.bytes > 0) std::printf(" %9.1f GB/s   ", w.bytes * per_second * 1e-9);
  else if (w.flop > 0) std::printf(" %9.3f TFLOP/s", w.flop * per_second * 1e-12);
  if (!r.reference.empty()) {
    std::printf("  %11.2f %5.1f%% %7.3fx %7.3f - %6.3f", r.reference_seconds.median * 1e6, 100 * r.reference_seconds.deviation / r.reference_seconds.median,
                r.ratio.median, r.ratio.low, r.ratio.high);
    if (w.items > 0) std::printf("  %s: %.0f img/s", r.reference.c_str(), w.items / r.reference_seconds.median);
  } else if (!note.empty()) {
    std::printf("  %s", note.c_str());
  }
  std::printf("\n");
  std::fflush(stdout);
}

/// The last line: how many rows, and the ratios in short.
void print_end(const std::vector<Result>& results, std::size_t cases) {
  double logs = 0, least = INFINITY, most = 0;
  int compared = 0;
  for (const Result& r : results)
    if (!r.reference.empty()) {
      logs += std::log(r.ratio.median);
      least = std::min(least, r.ratio.median), most = std::max(most, r.ratio.median);
      ++compared;
    }
  std::printf("\nresult: %zu of %zu rows right", results.size(), cases);
  if (compared) std::printf("; ratio to the reference %.3fx (geometric mean of %d), %.3fx to %.3fx", std::exp(logs / compared), compared, least, most);
  std::printf("\n");
}

/// Whether the device still works after an error: a fault in a kernel ends it.
bool alive() {
  try {
    gpu::synchronize();
    return true;
  } catch (const ventral::Error&) {
    return false;
  }
}

}  // namespace

int sets_for(double bytes) { return static_cast<int>(std::clamp(std::ceil(120e6 / bytes), 1.0, 64.0)); }

Program::Program(int argc, char** argv, std::string title, std::string reference)
    : title_(std::move(title)), reference_(std::move(reference)), options_(read_options(argc, argv, title_.c_str())) {
  ventral::cpu::set_threads(options_.threads);
}

void Program::add(std::string name, Work work, std::function<Contest()> make) {
  if (name.find(options_.filter) != std::string::npos) cases_.push_back({std::move(name), work, std::move(make)});
}

int Program::run() {
  if (options_.list) {
    for (const Case& c : cases_) std::printf("%s\n", c.name.c_str());
    return 0;
  }
  if (cases_.empty()) {
    std::fprintf(stderr, "no case contains '%s'; --list prints them\n", options_.filter.c_str());
    return 2;
  }
  const gpu::DeviceStatus device = gpu::device_status();
  if (!device.usable) {
    std::printf("%s: skipped, %s\n", title_.c_str(), device.text.c_str());
    return 0;
  }
  Setting setting = describe(title_, options_.threads);
  setting.processor = ventral::concat(device.text, "; ", setting.processor);
  setting.reference = reference_;
  std::vector<Result> results;
  try {
    warm_up();
    std::printf("%s: %s\nreference: %s; two marks in a row are %.2f us apart\n\n", title_.c_str(), device.text.c_str(),
                reference_.empty() ? "none" : reference_.c_str(), empty_sample() * 1e6);
    std::printf("%-42s %11s %6s %17s  %11s %6s %8s %16s\n", "case", "time us", "+-", "rate", "reference", "+-", "ratio", "quartiles");
    for (const Case& c : cases_) {
      try {
        const Contest contest = c.make();
        check(contest.ours);
        check(contest.reference);
        results.push_back(measure(c.name, c.work, contest, options_.seconds));
        print(results.back(), contest.reference.name);
      } catch (const std::exception& e) {
        print_wrong(c.name, e.what());
        ventral::require(alive(), "the device has failed; what is left is not run");
      }
    }
    if (!options_.json.empty()) write_json(options_.json, setting, results);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  print_end(results, cases_.size());
  return results.size() == cases_.size() ? 0 : 1;
}

}  // namespace bench::device
