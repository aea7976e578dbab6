#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "ventral/brain/hypothesis_tests.hpp"
#include "ventral/brain/resampling.hpp"
#include "ventral/cpu/parallel.hpp"

namespace ventral::inline v0::brain {

struct PermutationOptions {
  Index permutations = 10000;
  std::uint64_t seed = 1;
  Alternative alternative = Alternative::greater;
};

/// The observed similarity, its p value, and the similarities under permutation that it rests on.
struct PermutationTest {
  double statistic = undefined, p = undefined;
  std::vector<double> null = {};
};

/// Whether two RDMs are related: the conditions of a are permuted, a'[i,j] = a[p[i],p[j]], and each a' compared with b. Pairs of an RDM are not
/// independent; its conditions can be exchanged. p = (1 + number of permutations at least as extreme) / (1 + permutations); two-sided counts by
/// magnitude. NaN if the similarity is; permutations of NaN similarity are left out.
/// Permutation i comes from Random(seed).fork(i): the same bits for any number of threads. Throws ShapeError for fewer than three or differing
/// numbers of conditions, Error for no permutations. Cost: one radix sort and one comparison each; b is sorted once.
/// Source: Mantel 1967, Cancer Res 27:209; Nili et al. 2014, PLoS Comput Biol 10:e1003553.
inline PermutationTest permutation_test(const Rdm& a, const Rdm& b, Comparator comparator, const PermutationOptions& options = {}) {
  const Index n = a.conditions();
  require<ShapeError>(n == b.conditions(), "permutation_test: RDMs of ", n, " and ", b.conditions(), " conditions");
  require<ShapeError>(n >= 3, "permutation_test: ", n, " conditions; at least 3 are needed");
  require(options.permutations >= 1, "permutation_test: ", options.permutations, " permutations; at least 1 is needed");
  const PreparedRdm fixed(b);
  const Random random(options.seed);
  PermutationTest test{.statistic = compare(PreparedRdm(a), fixed, {}, comparator)};
  test.null.resize(static_cast<std::size_t>(options.permutations));
  cpu::parallel_for(options.permutations, [&](Index i) {
    std::vector<Index> order(static_cast<std::size_t>(n));
    for (Index k = 0; k < n; ++k) order[static_cast<std::size_t>(k)] = k;
    Random own = random.fork(static_cast<std::uint64_t>(i));
    own.shuffle(order.begin(), order.end());
    test.null[static_cast<std::size_t>(i)] = compare(PreparedRdm(a.selected(order)), fixed, {}, comparator);
  });
  if (std::isnan(test.statistic)) return test;
  const auto extremeness = [&](double v) {
    return options.alternative == Alternative::greater ? v : options.alternative == Alternative::less ? -v : std::abs(v);
  };
  Index extreme = 1, count = 1;
  const double threshold = extremeness(test.statistic) - 1e-12;  // equal but for the order of summation
  for (const double v : test.null) extreme += extremeness(v) >= threshold, count += !std::isnan(v);
  test.p = static_cast<double>(extreme) / static_cast<double>(count);
  return test;
}

}  // namespace ventral::inline v0::brain
