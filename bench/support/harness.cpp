#include "support/harness.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "support/libtorch.hpp"
#include "support/options.hpp"
#include "support/report.hpp"
#include "support/sampling.hpp"
#include "ventral/cpu/parallel.hpp"

namespace bench {

namespace {

/// OPENBLAS_CORETYPE can force the reference onto slow kernels, and OpenBLAS reads it before main: start anew without it.
void without_openblas_coretype(char** argv) {
  if (!std::getenv("OPENBLAS_CORETYPE")) return;
  unsetenv("OPENBLAS_CORETYPE");
  execv("/proc/self/exe", argv);
  std::fprintf(stderr, "warning: OPENBLAS_CORETYPE is set; the reference may be slow\n");
}

}  // namespace

Program::Program(int argc, char** argv, std::string title) : title_(std::move(title)), options_(read_options(argc, argv, title_.c_str())) {
  without_openblas_coretype(argv);
  ventral::cpu::set_threads(options_.threads);
  libtorch::prepare(options_.threads);
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
  const Setting setting = describe(title_, options_.threads);
  print_heading(setting);
  std::vector<Result> results;
  bool all_right = true;
  for (const Case& c : cases_) {
    try {
      Contest contest = c.make();
      const std::string wrong = check(contest);
      ventral::require(wrong.empty(), wrong);
      results.push_back(measure(c.name, c.work, contest, options_));
      print_row(results.back());
    } catch (const std::exception& e) {
      print_wrong(c.name, e.what());
      all_right = false;
    }
  }
  try {
    if (!options_.json.empty()) write_json(options_.json, setting, results);
  } catch (const ventral::FileError& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  return all_right ? 0 : 1;
}

}  // namespace bench
