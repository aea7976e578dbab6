#include "brain_conformance/case.hpp"
#include "ventral/brain/comparators.hpp"
#include "ventral/brain/hypothesis_tests.hpp"
#include "ventral/brain/multiple_testing.hpp"
#include "ventral/brain/noise_ceiling.hpp"
#include "ventral/brain/resampling.hpp"

namespace brain_conformance {

/// STATISTIC__lower_upper, where a statistic is a comparator or one of Spearman's variants.
void run_ceiling_case(Case& c) {
  const std::vector<brain::Rdm> subjects = brain::rdms_from_rows(c.read("subject_rdms"));
  const std::vector<Index> groups = c.has("group") ? indices(c.read<std::int64_t>("group")) : std::vector<Index>();
  for (const std::string& array : c.arrays()) {
    if (!array.ends_with("__lower_upper")) continue;
    c.attempt(array, [&] {
      const std::string statistic = split(array, "__")[0];
      const auto pool = statistic.ends_with("_rawmean") ? brain::CeilingPool::raw_mean : statistic.ends_with("_bound") ? brain::CeilingPool::bound : brain::CeilingPool::ranked_again;
      const std::string comparator = pool == brain::CeilingPool::ranked_again ? statistic : statistic.substr(0, statistic.rfind('_'));
      const brain::NoiseCeiling ceiling = brain::noise_ceiling(subjects, brain::comparator_named(comparator), {.pool = pool, .groups = groups});
      c.expect(array, {ceiling.lower, ceiling.upper});
    });
  }
}

/// bootstrap__NAMES and permutation__NAMES: RDMs a and b at each row of indices, by each comparator named. Statistics of tests.
void run_resampling_case(Case& c) {
  for (const std::string& array : c.arrays()) {
    const bool bootstrap = array.starts_with("bootstrap__"), permutation = array.starts_with("permutation__");
    if (!bootstrap && !permutation) continue;
    c.attempt(array, [&] {
      const brain::Rdm a{doubles(c.read("a"))}, b{doubles(c.read("b"))};
      const Tensor<std::int64_t> rows = c.read<std::int64_t>(bootstrap ? "bootstrap_index" : "permutation_of_a");
      Doubles got;
      for (Index row = 0; row < rows.dim(0); ++row) {
        const std::vector<Index> index(rows.data() + row * rows.dim(1), rows.data() + (row + 1) * rows.dim(1));
        const std::vector<std::string> parts = split(array, "__");
        for (std::size_t k = 1; k < parts.size(); ++k) got.push_back(brain::compare(a.selected(index), bootstrap ? b.selected(index) : b, brain::comparator_named(parts[k])));
      }
      c.expect(array, got);
    });
  }
  c.attempt("bh_adjusted", [&] { c.expect_all("bh_adjusted", brain::adjust_benjamini_hochberg(doubles(c.read("p")))); });
  c.attempt("wilcoxon_exact__greater__two_sided", [&] {
    const Doubles differences = doubles(c.read("paired_differences"));
    c.expect("wilcoxon_exact__greater__two_sided", {brain::wilcoxon_signed_rank(differences, brain::Alternative::greater).p, brain::wilcoxon_signed_rank(differences, brain::Alternative::two_sided).p});
  });
}

}  // namespace brain_conformance
