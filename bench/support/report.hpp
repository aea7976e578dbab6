#pragma once
#include <string>
#include <vector>

#include "support/harness.hpp"

namespace bench {

/// Where and with what the numbers were measured.
struct Setting {
  std::string title, processor, simd, compiler, reference;  ///< reference: the libraries that were found, with their versions
  int threads = 1;
  bool cold = false;
  std::vector<Fact> facts = {};
};
Setting describe(std::string title, int threads);

void print_heading(const Setting& setting);
void print_row(const Result& result);
void print_wrong(const std::string& name, const std::string& what);

/// A text as JSON.
std::string quoted(const std::string& text);
/// Writes {setting, results} to a file, whole or not at all. Throws ventral::FileError.
void write_json(const std::string& path, const Setting& setting, const std::vector<Result>& results);

}  // namespace bench
