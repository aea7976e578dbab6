#include "support/harness.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "support/libtorch.hpp"
#include "support/options.hpp"
#include "support/peers.hpp"
#include "support/report.hpp"
#include "support/sampling.hpp"
#include "ventral/cpu/parallel.hpp"

namespace bench {

namespace {

/// These can force OpenBLAS onto slow kernels or small blocks, and it reads them before main: start anew without them.
void without_openblas_settings(char** argv) {
  bool any = false;
  for (const char* name : {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}) any = any || std::getenv(name), unsetenv(name);
  if (!any) return;
  execv("/proc/self/exe", argv);
  std::fprintf(stderr, "warning: the environment has settings of OpenBLAS; the references may be slow\n");
}

void set_threads(int threads) {
  ventral::cpu::set_threads(threads);
  libtorch::prepare(threads);
  openblas::prepare(threads);
  onednn::prepare(threads);
  eigen::prepare(threads);
}

}  // namespace

Program::Program(int argc, char** argv, std::string title) : title_(std::move(title)), options_(read_options(argc, argv, title_.c_str())) {
  without_openblas_settings(argv);
  set_threads(options_.threads);
}

void Program::add(std::string name, Work work, std::function<Contest()> make) {
  if (name.find(options_.filter) != std::string::npos) cases_.push_back({std::move(name), work, std::move(make)});
}

/// Checks and measures a case with each number of threads. Returns whether all was right.
bool Program::measure_all(const Case& c, std::vector<Result>& results) const {
  double first = 0;  // seconds x threads of the first number of threads
  for (const int threads : options_.thread_counts) try {
      set_threads(threads);
      Contest contest = c.make();
      if (contest.reference) contest.references.push_back(std::move(contest.reference));
      std::erase(contest.references, nullptr);
      const std::string wrong = check(contest);
      ventral::require(wrong.empty(), wrong);
      Result r = measure(c.name, c.work, contest, threads, options_);
      if (first > 0) r.efficiency = first / (r.seconds.median * threads);
      else first = r.seconds.median * threads;
      print_row(r);
      results.push_back(std::move(r));
    } catch (const std::exception& e) {
      print_wrong(c.name, e.what());
      return false;
    }
  return true;
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
  Setting setting = describe(title_, options_.threads);
  setting.cold = options_.cold;
  print_heading(setting);
  std::vector<Result> results;
  bool all_right = true;
  for (const Case& c : cases_) all_right = measure_all(c, results) && all_right;
  try {
    if (!options_.json.empty()) write_json(options_.json, setting, results);
  } catch (const ventral::FileError& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  return all_right ? 0 : 1;
}

}  // namespace bench
