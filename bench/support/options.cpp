#include "support/options.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>

namespace bench {

namespace {

constexpr const char* usage =
    "usage: %s [options]      benchmarks of %s\n"
    "  --filter TEXT   only cases whose name contains TEXT\n"
    "  --seconds S     measuring time of each case (0.5)\n"
    "  --threads N,... threads of ventral and of the references (all cores); with several numbers, rows for each and the efficiency\n"
    "  --cold          every run finds its arrays in memory, not in a cache; with one thread\n"
    "  --json FILE     also write the results to FILE; bench/plot draws them\n"
    "  --list          print the names of the cases and stop\n"
    "%s"
    "  --help          print this and stop\n"
    "Columns: docs/benchmarks.md\n";

[[noreturn]] void stop(const char* program, std::string_view what) {
  std::fprintf(stderr, "%s: %.*s (see --help)\n", program, static_cast<int>(what.size()), what.data());
  std::exit(2);
}

double positive_number(const char* program, std::string_view option, const char* text) {
  char* end = nullptr;
  const double v = std::strtod(text, &end);
  if (end == text || *end || !(v > 0)) stop(program, ventral::concat(option, " takes a positive number; got '", text, "'"));
  return v;
}

std::vector<int> thread_counts(const char* program, std::string_view option, const std::string& text) {
  std::vector<int> counts;
  for (std::size_t first = 0; first <= text.size();) {
    const std::size_t comma = std::min(text.find(',', first), text.size());
    const double n = positive_number(program, option, text.substr(first, comma - first).c_str());
    if (n != static_cast<int>(n)) stop(program, ventral::concat(option, " takes whole numbers"));
    counts.push_back(static_cast<int>(n));
    first = comma + 1;
  }
  return counts;
}

}  // namespace

Options read_options(int argc, char** argv, const char* title, const char* more) {
  Options o;
  o.thread_counts = {std::max(1, static_cast<int>(std::thread::hardware_concurrency()))};
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--help") {
      std::printf(usage, argv[0], title, more);
      std::exit(0);
    }
    if (option == "--list") {
      o.list = true;
      continue;
    }
    if (option == "--cold") {
      o.cold = true;
      continue;
    }
    if (option != "--filter" && option != "--seconds" && option != "--threads" && option != "--json")
      stop(argv[0], ventral::concat("unknown option '", option, "'"));
    if (++i == argc) stop(argv[0], ventral::concat(option, " needs a value"));
    if (option == "--filter") o.filter = argv[i];
    if (option == "--json") o.json = argv[i];
    if (option == "--seconds") o.seconds = positive_number(argv[0], option, argv[i]);
    if (option == "--threads") o.thread_counts = thread_counts(argv[0], option, argv[i]);
  }
  if (o.cold && o.thread_counts != std::vector{1}) stop(argv[0], "--cold needs --threads 1: between the runs, other threads would fall asleep");
  o.threads = o.thread_counts.front();
  return o;
}

}  // namespace bench
