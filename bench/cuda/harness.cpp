#include "cuda/harness.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cuda/machine.hpp"
#include "cuda/rows.hpp"
#include "cuda/timing.hpp"
#include "support/options.hpp"
#include "support/sampling.hpp"
#include "ventral/cpu/parallel.hpp"

namespace bench::device {

namespace {

constexpr int most_sets = 256;
constexpr double fallback_cache = 60e6;  // where the L2 cache is unknown
constexpr const char* usage =
    "  --check         check every case and stop, without timing\n"
    "  --limit S       after S seconds begin no further case; the most important come first\n"
    "  --scale tiny    the smallest shapes, as for the emulator\n";

double cache() {
  static const double bytes = l2_cache();
  return bytes > 0 ? bytes : fallback_cache;
}

/// Takes an option out of the command line; with `value`, only together with it.
bool take(int& argc, char** argv, const char* option, const char* value = nullptr) {
  for (int i = 1; i < argc; ++i) {
    const int words = value ? 2 : 1;
    if (std::strcmp(argv[i], option) != 0 || (value && (i + 1 == argc || std::strcmp(argv[i + 1], value) != 0))) continue;
    std::copy(argv + i + words, argv + argc, argv + i);
    argc -= words;
    return true;
  }
  return false;
}

/// Takes an option and its number out of the command line; `otherwise` where it is not there.
double take_number(int& argc, char** argv, const char* option, double otherwise) {
  for (int i = 1; i + 1 < argc; ++i)
    if (std::strcmp(argv[i], option) == 0) {
      char* end = nullptr;
      const double v = std::strtod(argv[i + 1], &end);
      if (*end || !(v > 0)) std::fprintf(stderr, "%s: %s takes a positive number; got '%s'\n", argv[0], option, argv[i + 1]), std::exit(2);
      std::copy(argv + i + 2, argv + argc, argv + i);
      argc -= 2;
      return v;
    }
  return otherwise;
}

/// Compares one result with what it must be. Returns the largest error; throws Error where one is too large.
double compare(const Check& c) {
  const std::vector<double> found = c.fetch();
  const Index size = static_cast<Index>(found.size()), step = c.samples >= size ? 1 : size / c.samples | 1;  // odd, to meet every row and column
  for (Index i = 0; i < size; ++i)
    ventral::require(std::isfinite(found[static_cast<std::size_t>(i)]), c.name, "[", i, "] is ", found[static_cast<std::size_t>(i)]);
  std::vector<double> expected;
  double square = 0, most = 0;
  for (Index i = 0; i < size; i += step) {
    expected.push_back(c.expected(i));
    square += expected.back() * expected.back();
  }
  const double rms = std::sqrt(square / static_cast<double>(std::max<std::size_t>(1, expected.size())));
  for (std::size_t k = 0; k < expected.size(); ++k) {
    const std::size_t i = k * static_cast<std::size_t>(step);
    const double off = std::abs(found[i] - expected[k]), scale = std::abs(expected[k]) + rms;
    ventral::require(off <= c.tolerance * scale, c.name, "[", i, "] is ", found[i], ", expected ", expected[k]);
    if (scale > 0) most = std::max(most, off / scale);
  }
  return most;
}

/// Runs a side once on set 0 and compares its results. Returns the largest error; throws Error when one is wrong.
double check(const Side& side) {
  for (const Check& c : side.checks) c.prepare();
  side.run(0);
  gpu::synchronize();
  double most = 0;
  for (const Check& c : side.checks) try {
      most = std::max(most, compare(c));
    } catch (const ventral::Error& e) {
      throw ventral::Error(ventral::concat(side.name, ": ", e.what()));
    }
  return most;
}

/// The references that are right, and what is wrong with the others.
struct References {
  std::vector<const Side*> right;
  std::vector<double> errors;
  std::string wrong;

  explicit References(const Contest& c) {
    consider(c.reference);
    for (const Side& side : c.others) consider(side);
  }
  void consider(const Side& side) {
    if (!side.run) return note(side.name);
    try {
      const double error = check(side);
      right.push_back(&side), errors.push_back(error);
    } catch (const ventral::Error& e) {
      note(side.algorithm.empty() ? e.what() : ventral::concat(side.algorithm, ": ", e.what()));
    }
  }
  void note(const std::string& what) {
    if (!what.empty()) wrong += (wrong.empty() ? "" : "; ") + what;
  }
};

/// Keeps the device busy for a third of a second, so that its clocks are those of work.
void warm_up() {
  Tensor<float, Cuda> memory({Index{1} << 24});
  for (const double start = now(); now() - start < 0.3; gpu::synchronize())
    for (int i = 0; i < 20; ++i) memory.zero();
}

Row measure_row(const std::string& name, const Work& work, const Contest& contest, const Ceilings& ceilings, double seconds) {
  const double error = check(contest.ours);
  const References references(contest);
  const Side* const best = fastest(references.right, contest.sets);
  const auto place = std::find(references.right.begin(), references.right.end(), best) - references.right.begin();
  Row r{.name = name, .work = work, .arithmetic = contest.arithmetic, .times = measure(contest.ours, best, contest.sets, seconds), .ours = &contest.ours,
        .reference = best, .note = references.wrong, .error = error, .reference_error = best ? references.errors[static_cast<std::size_t>(place)] : 0, .bound = {},
        .cold = contest.set_bytes == 0 ? contest.sets < most_sets : contest.sets * contest.set_bytes > 3 * cache()};
  r.bound = bound_of(work, contest.arithmetic, r.times.anatomy.kernels, ceilings);
  return r;
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

int sets_for(double bytes) { return static_cast<int>(std::clamp(std::floor(3 * cache() / bytes) + 1, 1.0, 1.0 * most_sets)); }

Program::Program(int argc, char** argv, std::string title, std::string reference)
    : check_only_(take(argc, argv, "--check")),
      tiny_(take(argc, argv, "--scale", "tiny")),
      limit_(take_number(argc, argv, "--limit", INFINITY)),
      title_(std::move(title)),
      reference_(std::move(reference)),
      options_(read_options(argc, argv, title_.c_str(), usage)) {
  ventral::cpu::set_threads(options_.threads);
}

void Program::add(std::string name, Work work, std::function<Contest()> make) {
  if (name.find(options_.filter) != std::string::npos) cases_.push_back({std::move(name), work, std::move(make)});
}

/// Checks every case and says how far off it is. Returns whether all are right.
bool Program::check_all() const {
  std::size_t right = 0;
  for (const Case& c : cases_) try {
      const Contest contest = c.make();
      const double error = check(contest.ours);
      const References references(contest);
      std::printf("%-42s right, error %.1e", c.name.c_str(), error);
      for (std::size_t i = 0; i < references.right.size(); ++i)
        std::printf("; %s %s %.1e", references.right[i]->name.c_str(), references.right[i]->algorithm.c_str(), references.errors[i]);
      std::printf("%s%s\n", references.wrong.empty() ? "" : "; ", references.wrong.c_str());
      ++right;
    } catch (const std::exception& e) {
      print_wrong(c.name, e.what());
      ventral::require(alive(), "the device has failed; what is left is not run");
    }
  std::printf("\nresult: %zu of %zu rows right\n", right, cases_.size());
  return right == cases_.size();
}

std::vector<Result> Program::measure_all(Setting& setting) {
  warm_up();
  std::printf("%s; two marks in a row are %.2f us apart\n", clocks_and_versions().c_str(), empty_sample() * 1e6);
  const Ceilings ceilings = measure_ceilings();
  setting.facts = facts_of(ceilings);
  setting.facts.push_back({"machine", quoted(clocks_and_versions())});
  print_ceilings(ceilings);
  print_row_heading();
  std::vector<Result> results;
  const double start = now();
  for (const Case& c : cases_) try {
      if (now() - start > limit_) {
        std::printf("the time is over: %s and what follows is left out\n", c.name.c_str());
        break;
      }
      const Contest contest = c.make();
      const Row row = measure_row(c.name, c.work, contest, ceilings, options_.seconds);
      print_row(row);
      results.push_back(result_of(row));
    } catch (const std::exception& e) {
      all_right_ = false;
      print_wrong(c.name, e.what());
      ventral::require(alive(), "the device has failed; what is left is not run");
    }
  std::printf("at the end: %s\n", clocks_and_versions().c_str());
  return results;
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
  setting.reference = reference_, setting.cold = true;
  try {
    const gpu::OwnStream stream;  // the default one cannot be recorded
    const gpu::UseStream use(stream);
    std::printf("%s: %s\nreference: %s\n", title_.c_str(), device.text.c_str(), reference_.empty() ? "none" : reference_.c_str());
    if (check_only_) return check_all() ? 0 : 1;
    const std::vector<Result> results = measure_all(setting);
    if (!options_.json.empty()) write_json(options_.json, setting, results);
    print_end(results, cases_.size());
    return all_right_ ? 0 : 1;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}

}  // namespace bench::device
