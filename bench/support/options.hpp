#pragma once
#include "support/harness.hpp"

namespace bench {

/// Reads the command line; `more` are usage lines of options that the program has taken out before. --help prints the usage and ends the program with 0, a wrong option with 2.
Options read_options(int argc, char** argv, const char* title, const char* more = "");

}  // namespace bench
