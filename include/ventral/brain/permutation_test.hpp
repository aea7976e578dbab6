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

namespace detail {

/// Which pair of a stands at each pair of a'[i,j] = a[p[i],p[j]].
inline std::vector<Index> permuted_pairs(std::span<const Index> permutation) {
  const Index n = static_cast<Index>(permutation.size());
  std::vector<Index> from;
  from.reserve(static_cast<std::size_t>(pairs_of(n)));
  for (std::size_t i = 0; i < permutation.size(); ++i)
    for (std::size_t j = i + 1; j < permutation.size(); ++j) {
      const auto [first, second] = std::minmax(permutation[i], permutation[j]);
      from.push_back(pair_position(n, first, second));
    }
  return from;
}

}  // namespace detail

/// Whether two RDMs are related: the conditions of a are permuted, a'[i,j] = a[p[i],p[j]], and each a' compared with b. Pairs of an RDM are not
/// independent; its conditions can be exchanged. p = (1 + number of permutations at least as extreme) / (1 + permutations); two-sided counts by
/// magnitude. NaN if the similarity is; permutations of NaN similarity are left out.
/// Permutation i comes from Random(seed).fork(i): the same bits for any number of threads. Throws ShapeError for fewer than three or differing
/// numbers of conditions, Error for no permutations. Cost: one comparison each; a and b are sorted once, permuted ranks are those of a rearranged.
/// Source: Mantel 1967, Cancer Res 27:209; Nili et al. 2014, PLoS Comput Biol 10:e1003553.
inline PermutationTest permutation_test(const Rdm& a, const Rdm& b, Comparator comparator, const PermutationOptions& options = {}) {
  const Index n = a.conditions();
  require<ShapeError>(n == b.conditions(), "permutation_test: RDMs of ", n, " and ", b.conditions(), " conditions");
  require<ShapeError>(n >= 3, "permutation_test: ", n, " conditions; at least 3 are needed");
  require(options.permutations >= 1, "permutation_test: ", options.permutations, " permutations; at least 1 is needed");
  const PreparedRdm original(a), fixed(b);
  const Random random(options.seed);
  PermutationTest test{.statistic = compare(original, fixed, {}, comparator)};
  test.null.resize(static_cast<std::size_t>(options.permutations));
  cpu::parallel_for(options.permutations, [&](Index i) {
    std::vector<Index> order(static_cast<std::size_t>(n));
    for (Index k = 0; k < n; ++k) order[static_cast<std::size_t>(k)] = k;
    Random own = random.fork(static_cast<std::uint64_t>(i));
    own.shuffle(order.begin(), order.end());
    double& similarity = test.null[static_cast<std::size_t>(i)];
    if (!by_rank(comparator)) similarity = compare(a.selected(order), b, comparator);
    else similarity = weighted_compare(original.ranked().rearranged(detail::permuted_pairs(order)), fixed.ranked(), {}, comparator);
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
