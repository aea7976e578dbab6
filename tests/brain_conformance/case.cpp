#include "brain_conformance/case.hpp"

#include <cmath>
#include <cstdio>

namespace brain_conformance {

void Report::compare(const std::string& name, const Doubles& got, const Doubles& expected, Tolerance tolerance) {
  if (got.size() != expected.size()) return fail(name, concat("gives ", got.size(), " values; ", expected.size(), " expected"));
  double mean = 0, spread = 0;
  for (const double v : expected) mean += v / static_cast<double>(expected.size());
  for (const double v : expected) spread += (v - mean) * (v - mean) / static_cast<double>(expected.size());
  const double floor = std::max(tolerance.absolute, std::isnan(spread) ? 0.0 : tolerance.of_spread * std::sqrt(spread));
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(got[i]) && std::isnan(expected[i])) continue;
    const double off = std::abs(got[i] - expected[i]), allowed = std::max(floor, tolerance.relative * std::abs(expected[i]));
    if (!(off <= allowed)) return fail(name, concat("value ", i, " is ", got[i], "; ", expected[i], " expected (off by ", off, ", ", allowed, " allowed)"));
    if (allowed > 0) worst = std::max(worst, off / allowed);
  }
  std::printf("pass %s [%.2g of the tolerance]\n", name.c_str(), worst);
  ++count_.passed;
}

void Report::fail(const std::string& name, const std::string& why) {
  std::printf("fail %s %s\n", name.c_str(), why.c_str());
  ++count_.failed;
}

void Report::skip(const std::string& name, const std::string& why) {
  std::printf("skip %s %s\n", name.c_str(), why.c_str());
  ++count_.skipped;
}

std::vector<std::string> Case::arrays() const {
  std::vector<std::string> names;
  for (const auto& [name, type] : types_) names.push_back(name);
  return names;
}

void Case::expect(const std::string& array, const Doubles& got, Tolerance tolerance) {
  if (!has(array)) return;
  report_.compare(name_ + "." + array, got, doubles(read<double>(array)), tolerance);
}

void Case::skip_the_rest() {
  for (const std::string& array : arrays())
    if (!done_.contains(array)) skip(array, "not offered");
}

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  for (std::size_t at = 0;;) {
    const std::size_t next = text.find(separator, at);
    parts.push_back(text.substr(at, next - at));
    if (next == std::string::npos) return parts;
    at = next + separator.size();
  }
}

std::vector<std::vector<std::string>> read_table(const std::string& path) {
  std::vector<std::vector<std::string>> rows;
  const Bytes bytes = read_file(path);
  std::string text(bytes.begin(), bytes.end());
  for (std::string line : split(text, "\n")) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) rows.push_back(split(line, "\t"));
  }
  return rows;
}

}  // namespace brain_conformance
