// ventral_brain_conformance DIR [--data DATADIR]: reference values of a folder (manifest.tsv, <case>.<array>.npy, *_expected.tsv) against ventral's brain headers.
#include <cstdio>

#include "brain_conformance/case.hpp"

namespace brain_conformance {

namespace {

constexpr const char* usage =
    "usage: ventral_brain_conformance DIR [--data DATADIR]\n"
    "Compares RDMs, rank correlations, noise ceilings, resampling, ridge, PLS and reliability with the arrays that DIR/manifest.tsv lists (columns case, array,\n"
    "dtype, shape; files <case>.<array>.npy), and the rows of DIR/k92_expected.tsv and DIR/v4_expected.tsv with the data sets kriegeskorte92, cichy92 and\n"
    "cowley_v4 in DATADIR (docs/data.md); without --data those rows are skipped. Ends with `N passed, N failed, N skipped`.\n"
    "Status: 0 none failed, 1 some failed, 2 the folder does not follow the format.\n";

void run_case(Case& c) {
  const std::string kind = c.name().substr(0, c.name().find('_'));
  if (kind == "rdm") run_rdm_case(c);
  else if (kind == "corr" || kind == "cka") run_correlation_case(c);
  else if (kind == "ceiling") run_ceiling_case(c);
  else if (kind == "resample" || kind == "stats") run_resampling_case(c);
  else if (kind == "ridge") run_ridge_case(c);
  else if (kind == "pls") run_pls_case(c);
  else if (kind == "reliability") run_reliability_case(c);
  c.skip_the_rest();
}

int run(const std::string& folder, const std::string& data) {
  Report report;
  const auto manifest = read_table(join_path(folder, "manifest.tsv"));
  require(!manifest.empty() && manifest[0].size() >= 3 && manifest[0][0] == "case" && manifest[0][1] == "array" && manifest[0][2] == "dtype",
          folder, "/manifest.tsv: the first line is not `case array dtype shape`");
  std::vector<Case> cases;
  for (std::size_t i = 1; i < manifest.size(); ++i) {
    const auto& row = manifest[i];
    require(row.size() >= 3, folder, "/manifest.tsv: line ", i + 1, " has ", row.size(), " columns; 4 expected");
    if (cases.empty() || cases.back().name() != row[0]) cases.emplace_back(folder, row[0], report);
    cases.back().add(row[1], row[2]);
  }
  for (Case& c : cases) {
    try {
      run_case(c);
    } catch (const Error& e) {
      report.fail(c.name(), e.what());
    }
  }
  if (is_file(join_path(folder, "k92_expected.tsv"))) run_k92_table(join_path(folder, "k92_expected.tsv"), data, report);
  if (is_file(join_path(folder, "v4_expected.tsv"))) run_v4_table(join_path(folder, "v4_expected.tsv"), data, report);
  const Count& n = report.count();
  std::printf("%d passed, %d failed, %d skipped\n", n.passed, n.failed, n.skipped);
  return n.failed > 0 ? 1 : 0;
}

}  // namespace

}  // namespace brain_conformance

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 1 && arguments[0] == "--help") return std::fputs(brain_conformance::usage, stdout), 0;
  const bool with_data = arguments.size() == 3 && arguments[1] == "--data";
  if ((arguments.size() != 1 && !with_data) || arguments[0].starts_with("--")) return std::fputs(brain_conformance::usage, stderr), 2;
  try {
    return brain_conformance::run(arguments[0], with_data ? arguments[2] : "");
  } catch (const ventral::Error& e) {
    std::fprintf(stderr, "ventral_brain_conformance: %s\n", e.what());
    return 2;
  }
}
