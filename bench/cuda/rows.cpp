#include "cuda/rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace bench::device {

namespace {

std::string number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", v);
  return std::isfinite(v) ? text : "null";
}

std::string size_text(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, bytes >= 0x1p20 ? "%.1f MiB" : bytes >= 0x1p10 ? "%.1f KiB" : "%.0f B", bytes / (bytes >= 0x1p20 ? 0x1p20 : bytes >= 0x1p10 ? 0x1p10 : 1));
  return text;
}

/// A library's algorithm and kernel, as far as they are known.
std::string algorithm_of(const Row& r) {
  const std::string &named = r.reference->algorithm, &kernel = r.times.reference_anatomy.kernel;
  return named + (named.empty() || kernel.empty() ? "" : ", ") + kernel;
}

constexpr const char* arithmetic_names[] = {"ffma", "tf32", "tf32 / 3", "bf16"};
const char* name_of(Arithmetic a) { return arithmetic_names[static_cast<int>(a)]; }

}  // namespace

Bound bound_of(const Work& work, Arithmetic arithmetic, int kernels, const Ceilings& c) {
  const double of_all[] = {c.ffma, c.tf32, c.tf32 / 3, c.bf16}, flops = of_all[static_cast<int>(arithmetic)];
  Bound most;
  const auto consider = [&](const char* name, double seconds) {
    if (seconds > most.seconds) most = {name, seconds};
  };
  if (c.copy > 0) consider("memory", work.bytes / c.copy);
  if (flops > 0) consider(name_of(arithmetic), work.flop / flops);
  consider("launch", std::max(1, kernels) * c.launch);
  return most;
}

void print_ceilings(const Ceilings& c) {
  std::printf("ceilings: copy %.1f GB/s, ffma %.2f TFLOP/s, mma.sync tf32 %.1f TFLOP/s, bf16 %.1f TFLOP/s, an empty kernel in a graph %.2f us\n", c.copy * 1e-9, c.ffma * 1e-12,
              c.tf32 * 1e-12, c.bf16 * 1e-12, c.launch * 1e6);
}

void print_row_heading() {
  std::printf("%-42s %10s %6s %10s  %9s %9s  %-14s  %10s %6s %8s %15s\n", "case", "us", "+-", "warm us", "TFLOP/s", "GB/s", "share of bound", "reference", "+-", "ratio",
              "quartiles");
}

void print_row(const Row& r) {
  const Times& t = r.times;
  const double us = t.cold.median * 1e6;
  char share[32] = "-";
  if (*r.bound.name) std::snprintf(share, sizeof share, "%5.1f%% %s", 100 * r.bound.seconds / t.cold.median, r.bound.name);
  std::printf("%-42s %10.2f %5.1f%% %10.2f  %9.3f %9.1f  %-14s", r.name.c_str(), us, 100 * t.cold.deviation / t.cold.median, t.warm.median * 1e6,
              r.work.flop / t.cold.median * 1e-12, r.work.bytes / t.cold.median * 1e-9, share);
  if (r.reference)
    std::printf("  %10.2f %5.1f%% %7.3fx %6.3f - %6.3f", t.reference.median * 1e6, 100 * t.reference.deviation / t.reference.median, t.ratio.median, t.ratio.low, t.ratio.high);
  std::printf("\n    error %.1e%s; %s; %d kernels a run", r.error, r.cold ? "" : ", in L2", t.way.c_str(), t.anatomy.kernels);
  if (!t.anatomy.kernel.empty())
    std::printf(", %s: %d registers, %s shared", t.anatomy.kernel.c_str(), t.anatomy.registers, size_text(t.anatomy.shared).c_str());
  std::printf("; workspace %s", size_text(t.anatomy.workspace + r.ours->workspace).c_str());
  if (r.work.items > 0) std::printf("; %.0f img/s", r.work.items / t.cold.median);
  if (r.reference)
    std::printf(" | %s: %s, error %.1e, workspace %s", r.reference->name.c_str(), algorithm_of(r).c_str(), r.reference_error,
                size_text(t.reference_anatomy.workspace + r.reference->workspace).c_str());
  if (!r.note.empty()) std::printf(" | %s", r.note.c_str());
  std::printf("\n");
  std::fflush(stdout);
}

Result result_of(const Row& r) {
  const Times& t = r.times;
  const double s = t.cold.median;
  Result out{.name = r.name, .work = r.work, .seconds = t.cold, .reference_seconds = t.reference, .ratio = t.ratio, .share = {}, .reference = {}, .rounds = t.rounds};
  out.facts = {{"arithmetic", quoted(name_of(r.arithmetic))}, {"warm_seconds", number(t.warm.median)}, {"cold", r.cold ? "true" : "false"},
               {"tflops", number(r.work.flop / s * 1e-12)}, {"gbs", number(r.work.bytes / s * 1e-9)}, {"bound", quoted(r.bound.name)},
               {"share_of_bound", number(r.bound.seconds / s)}, {"error", number(r.error)}, {"timed_as", quoted(t.way)}, {"kernels", number(t.anatomy.kernels)},
               {"kernel", quoted(t.anatomy.kernel)}, {"registers", number(t.anatomy.registers)}, {"shared_bytes", number(t.anatomy.shared)},
               {"workspace_bytes", number(t.anatomy.workspace + r.ours->workspace)}};
  if (!r.reference) return out;
  out.reference = r.reference->name;
  out.facts.insert(out.facts.end(), {{"algorithm", quoted(algorithm_of(r))}, {"reference_warm_seconds", number(t.reference_warm.median)},
                                     {"reference_error", number(r.reference_error)},
                                     {"reference_workspace_bytes", number(t.reference_anatomy.workspace + r.reference->workspace)}});
  return out;
}

std::vector<Fact> facts_of(const Ceilings& c) {
  return {{"ceilings", ventral::concat("{\"copy_bytes_per_second\": ", number(c.copy), ", \"ffma\": ", number(c.ffma), ", \"tf32\": ", number(c.tf32), ", \"bf16\": ",
                                       number(c.bf16), ", \"launch_seconds\": ", number(c.launch), "}")}};
}

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

}  // namespace bench::device
