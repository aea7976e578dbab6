#include "support/report.hpp"

#include <cstdio>
#include <cstring>

#include "support/libtorch.hpp"
#include "support/peers.hpp"
#include "ventral/cpu/simd.hpp"

namespace bench {

namespace {

std::string processor() {
  std::string name = "unknown processor";
  if (std::FILE* f = std::fopen("/proc/cpuinfo", "r")) {
    char line[512];
    while (std::fgets(line, sizeof line, f))
      if (std::strncmp(line, "model name", 10) == 0 && std::strchr(line, ':')) {
        name = std::strchr(line, ':') + 2;
        name.resize(name.find('\n'));
        break;
      }
    std::fclose(f);
  }
  return name;
}

/// The rate in the unit of the row.
struct Rate {
  double value;
  const char* unit;
};
Rate rate(const Work& work, double seconds) {
  if (work.items > 0) return {work.items / seconds, "img/s"};
  if (work.bytes > 0) return {work.bytes / seconds * 1e-9, "GB/s"};
  return {work.flop / seconds * 1e-9, "GFLOP/s"};
}

void write(std::FILE* f, const char* name, const Summary& s) {
  std::fprintf(f, ", \"%s\": {\"median\": %.6g, \"mad\": %.6g, \"q1\": %.6g, \"q3\": %.6g}", name, s.median, s.deviation, s.low, s.high);
}

void write(std::FILE* f, const Rival& r, const char* separator) {
  std::fprintf(f, "%s{\"name\": %s", separator, quoted(r.name).c_str());
  write(f, "seconds", r.seconds), write(f, "ratio", r.ratio);
  std::fprintf(f, "}");
}

void write(std::FILE* f, const std::vector<Fact>& facts) {
  for (const Fact& fact : facts) std::fprintf(f, ", %s: %s", quoted(fact.name).c_str(), fact.value.c_str());
}

}  // namespace

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out + "\"";
}

Setting describe(std::string title, int threads) {
#if defined(__clang__)
  const char* compiler = "clang " __clang_version__;
#else
  const char* compiler = "g++ " __VERSION__;
#endif
  std::string references;
  for (const std::string& version : {openblas::version(), onednn::version(), eigen::version(), libtorch::version()})
    if (!version.empty()) references += (references.empty() ? "" : ", ") + version;
  return {std::move(title), processor(), to_string(ventral::cpu::simd_level()), compiler, std::move(references), threads};
}

void print_heading(const Setting& s) {
  std::printf("%s: %s caches, %s, %s, %s\n", s.title.c_str(), s.cold ? "cold" : "warm", s.processor.c_str(), s.simd.c_str(), s.compiler.c_str());
  std::printf("references: %s\n\n", s.reference.empty() ? "none was found" : s.reference.c_str());
  std::printf("%-40s %7s %11s %6s %16s %8s %7s %14s  %s\n", "case", "threads", "time us", "+-", "rate", "of limit", "ratio", "quartiles", "to");
}

void print_row(const Result& r) {
  const Rate speed = rate(r.work, r.seconds.median);
  std::printf("%-40s %7d %11.1f %5.1f%% %8.*f %-7s", r.name.c_str(), r.threads, r.seconds.median * 1e6, 100 * r.seconds.deviation / r.seconds.median,
              speed.value < 100 ? 1 : 0, speed.value, speed.unit);
  if (r.share.median > 0) std::printf(" %7.0f%%", 100 * r.share.median);
  else std::printf(" %8s", "");
  if (!r.reference.empty()) std::printf(" %6.2fx %6.2f - %5.2f  %s", r.ratio.median, r.ratio.low, r.ratio.high, r.reference.c_str());
  for (const Rival& other : r.others) std::printf(", %s %.2fx", other.name.c_str(), other.ratio.median);
  if (r.efficiency > 0) std::printf("; efficiency %.0f%%", 100 * r.efficiency);
  std::printf("%s\n", r.noisy ? "  noisy" : "");
  std::fflush(stdout);
}

void print_wrong(const std::string& name, const std::string& what) {
  std::printf("%-40s WRONG: %s\n", name.c_str(), what.substr(0, what.find('\n')).c_str());
  std::fflush(stdout);
}

void write_json(const std::string& path, const Setting& s, const std::vector<Result>& results) {
  const std::string partial = path + ".partial";
  std::FILE* f = std::fopen(partial.c_str(), "w");
  ventral::require<ventral::FileError>(f != nullptr, "cannot write ", partial);
  std::fprintf(f, "{\n  \"title\": %s,\n  \"cold\": %s,\n  \"processor\": %s,\n  \"simd\": %s,\n  \"compiler\": %s,\n  \"reference\": %s",
               quoted(s.title).c_str(), s.cold ? "true" : "false", quoted(s.processor).c_str(), quoted(s.simd).c_str(), quoted(s.compiler).c_str(),
               quoted(s.reference).c_str());
  write(f, s.facts);
  std::fprintf(f, ",\n  \"results\": [");
  const char* separator = "\n";
  for (const Result& r : results) {
    const Rate speed = rate(r.work, r.seconds.median);
    std::fprintf(f, "%s    {\"name\": %s, \"threads\": %d, \"rounds\": %d, \"noisy\": %s, \"flop\": %.17g, \"bytes\": %.17g, \"items\": %.17g, \"rate\": %.6g, \"unit\": \"%s\"",
                 separator, quoted(r.name).c_str(), r.threads, r.rounds, r.noisy ? "true" : "false", r.work.flop, r.work.bytes, r.work.items, speed.value, speed.unit);
    write(f, "seconds", r.seconds);
    if (r.share.median > 0) write(f, "share_of_ceiling", r.share);
    if (r.efficiency > 0) std::fprintf(f, ", \"efficiency\": %.6g", r.efficiency);
    if (!r.reference.empty()) {
      std::fprintf(f, ", \"references\": [");
      write(f, {r.reference, r.reference_seconds, r.ratio}, "");
      for (const Rival& other : r.others) write(f, other, ", ");
      std::fprintf(f, "]");
    }
    write(f, r.facts);
    std::fprintf(f, "}");
    separator = ",\n";
  }
  std::fprintf(f, "\n  ]\n}\n");
  const bool written = std::ferror(f) == 0;
  ventral::require<ventral::FileError>((std::fclose(f) == 0) & written && std::rename(partial.c_str(), path.c_str()) == 0, "cannot write ", path);
}

}  // namespace bench
