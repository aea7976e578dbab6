#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "ventral/brain/bures.hpp"
#include "ventral/brain/rank_correlation.hpp"
#include "ventral/brain/whitened.hpp"

namespace ventral::inline v0::brain {

/// Ways to compare two RDMs. The first six take vectors of any kind; the last three need all pairs of the conditions.
enum class Comparator { tau_a, tau_b, spearman, rho_a, pearson, cosine, corr_cov, cosine_cov, bures };

constexpr Comparator all_comparators[] = {Comparator::tau_a,   Comparator::tau_b,  Comparator::spearman, Comparator::rho_a, Comparator::pearson,
                                          Comparator::cosine, Comparator::corr_cov, Comparator::cosine_cov, Comparator::bures};

/// The comparator's name as written in programs and tables: "tau_a", "corr_cov", ...
constexpr const char* name(Comparator comparator) {
  constexpr const char* names[] = {"tau_a", "tau_b", "spearman", "rho_a", "pearson", "cosine", "corr_cov", "cosine_cov", "bures"};
  return names[static_cast<int>(comparator)];
}

/// The comparator of that name. Throws Error, listing all names, when there is none.
inline Comparator comparator_named(std::string_view text) {
  std::string names;
  for (const Comparator c : all_comparators) {
    if (text == name(c)) return c;
    names += names.empty() ? name(c) : std::string(", ") + name(c);
  }
  throw Error("no comparator '" + std::string(text) + "'; there are " + names);
}

/// Whether the comparator uses ranks alone: tau_a, tau_b, spearman, rho_a.
constexpr bool by_rank(Comparator comparator) { return comparator <= Comparator::rho_a; }

/// Whether one undefined pair makes the comparison undefined: corr_cov, cosine_cov and bures, which compare whole matrices.
constexpr bool needs_every_pair(Comparator comparator) { return comparator >= Comparator::corr_cov; }

/// Compares two sorted vectors in which element k counts multiplicity[k] times (none given: each once), exactly as the expanded vectors would
/// compare. Elements that are NaN in x or y, or of multiplicity 0, are left out. Undefined as the comparator says.
/// Throws ShapeError when lengths differ, Error for corr_cov, cosine_cov and bures, which are defined for whole RDMs only.
/// Cost: nothing is sorted again; 4186 elements take about 50 us by rank, 25 us by the others.
inline double weighted_compare(const RankedVector& x, const RankedVector& y, Multiplicity multiplicity, Comparator comparator) {
  switch (comparator) {
    case Comparator::tau_a: return count_pairs(x, y, multiplicity).tau_a();
    case Comparator::tau_b: return count_pairs(x, y, multiplicity).tau_b();
    case Comparator::spearman: return detail::RankProducts(x, y, multiplicity).spearman();
    case Comparator::rho_a: return detail::RankProducts(x, y, multiplicity).rho_a();
    case Comparator::pearson:
    case Comparator::cosine: {
      const bool kept = x.values().size() == static_cast<std::size_t>(x.size()) && y.values().size() == static_cast<std::size_t>(y.size());
      require(kept, "weighted_compare: ", name(comparator), " needs values; the vectors were ranked without");
      const std::vector<std::uint32_t> effective = detail::effective_multiplicity(x, y, multiplicity);
      return detail::product_correlation(x.values(), y.values(), effective, comparator == Comparator::pearson);
    }
    default:
      throw Error(std::string("weighted_compare: ") + name(comparator) + " is defined for whole RDMs only, not for elements with multiplicities");
  }
}

namespace detail {

/// Runs task(i) for i in [0, n): side by side when each is small, else one after the other, each in parallel by itself.
template <class Task>
void for_each_rdm(Index n, Index pairs, Task task) {
  constexpr Index large = Index{1} << 17;
  if (pairs < large) return cpu::parallel_for(n, task);
  for (Index i = 0; i < n; ++i) task(i);
}

/// [a,b] of compare_two(prepare(a_i), prepare(b_j)), each RDM prepared once.
template <class Prepare, class CompareTwo>
Tensor<double> compare_prepared(std::span<const Rdm> a, std::span<const Rdm> b, Prepare prepare, CompareTwo compare_two) {
  using Prepared = decltype(prepare(a[0]));
  const Index rows = static_cast<Index>(a.size()), columns = static_cast<Index>(b.size()), pairs = a[0].pairs();
  std::vector<std::unique_ptr<Prepared>> ready(a.size() + b.size());
  for_each_rdm(rows + columns, pairs, [&](Index i) {
    ready[static_cast<std::size_t>(i)].reset(
        new Prepared(prepare(i < rows ? a[static_cast<std::size_t>(i)] : b[static_cast<std::size_t>(i - rows)])));
  });
  Tensor<double> out({rows, columns});
  for_each_rdm(rows * columns, pairs, [&](Index k) {
    out[k] = compare_two(*ready[static_cast<std::size_t>(k / columns)], *ready[static_cast<std::size_t>(rows + k % columns)]);
  });
  return out;
}

}  // namespace detail

/// Compares every RDM of a with every RDM of b.
/// Returns [a,b]. An RDM that is zero, constant or NaN makes its own row or column undefined, as the comparator says, and no other entry.
/// Throws ShapeError when the numbers of conditions differ.
/// Cost: each RDM is sorted (or centred, or decomposed) once; for the rank comparators 12 bytes a pair and RDM are held.
inline Tensor<double> compare(std::span<const Rdm> a, std::span<const Rdm> b, Comparator comparator) {
  for (const std::span<const Rdm> stack : {a, b})
    for (const Rdm& rdm : stack) detail::require_same_conditions("compare", a.empty() ? rdm.conditions() : a[0].conditions(), rdm.conditions());
  if (a.empty() || b.empty()) return Tensor<double>({static_cast<Index>(a.size()), static_cast<Index>(b.size())});
  if (by_rank(comparator))
    return detail::compare_prepared(
        a, b, [](const Rdm& r) { return RankedVector::without_values(r.values()); },
        [comparator](const RankedVector& x, const RankedVector& y) { return weighted_compare(x, y, {}, comparator); });
  if (comparator == Comparator::bures)
    return detail::compare_prepared(
        a, b, [](const Rdm& r) { return detail::KernelRoot(r); }, detail::bures_product);
  if (comparator == Comparator::pearson || comparator == Comparator::cosine)
    return detail::compare_prepared(
        a, b, [](const Rdm& r) { return r.values(); },
        [comparator](std::span<const double> x, std::span<const double> y) {
          return comparator == Comparator::pearson ? pearson(x, y) : cosine(x, y);
        });
  const bool less_mean = comparator == Comparator::corr_cov;
  return detail::compare_prepared(a, b, [less_mean](const Rdm& r) { return detail::CentredRdm(r, less_mean); }, detail::centred_cosine);
}

/// Compares two RDMs: the comparator's function of their dissimilarities. Throws ShapeError when the numbers of conditions differ.
inline double compare(const Rdm& a, const Rdm& b, Comparator comparator) { return compare(std::span(&a, 1), std::span(&b, 1), comparator)[0]; }

}  // namespace ventral::inline v0::brain
