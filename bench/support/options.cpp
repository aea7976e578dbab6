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
    "  --threads N     threads of ventral and of the reference (all cores)\n"
    "  --json FILE     also write the results to FILE\n"
    "  --list          print the names of the cases and stop\n"
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

}  // namespace

Options read_options(int argc, char** argv, const char* title) {
  Options o;
  o.threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--help") {
      std::printf(usage, argv[0], title);
      std::exit(0);
    }
    if (option == "--list") {
      o.list = true;
      continue;
    }
    if (option != "--filter" && option != "--seconds" && option != "--threads" && option != "--json")
      stop(argv[0], ventral::concat("unknown option '", option, "'"));
    if (++i == argc) stop(argv[0], ventral::concat(option, " needs a value"));
    if (option == "--filter") o.filter = argv[i];
    if (option == "--json") o.json = argv[i];
    if (option == "--seconds") o.seconds = positive_number(argv[0], option, argv[i]);
    if (option == "--threads") o.threads = static_cast<int>(positive_number(argv[0], option, argv[i]));
  }
  if (o.threads < 1) stop(argv[0], "--threads takes a whole number of at least 1");
  return o;
}

}  // namespace bench
