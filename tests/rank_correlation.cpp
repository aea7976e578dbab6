#include "helpers.hpp"
#include "ventral/brain/rank_correlation.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <string>

#include "ventral/brain/correlation.hpp"
#include "ventral/random.hpp"

using namespace ventral;
using namespace ventral::brain;
using test::message_of;

namespace {

using Vector = std::vector<double>;
const double nan_value = std::numeric_limits<double>::quiet_NaN(), denormal = std::numeric_limits<double>::denorm_min();

PairCounts counts_by_pairs(const Vector& x, const Vector& y) {
  PairCounts c;
  for (std::size_t i = 0; i < x.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      if (std::isnan(x[i]) || std::isnan(y[i]) || std::isnan(x[j]) || std::isnan(y[j])) continue;
      const int a = (x[i] > x[j]) - (x[i] < x[j]), b = (y[i] > y[j]) - (y[i] < y[j]);
      ++(a == 0 && b == 0 ? c.tie_both : a == 0 ? c.tie_x_only : b == 0 ? c.tie_y_only : a == b ? c.concordant : c.discordant);
    }
  return c;
}

/// Few different values, among them both zeros, denormals, infinities and, if wanted, NaN.
Vector hard_vector(Random& random, Index n, Index kinds, bool with_nan) {
  const double special[] = {0.0, -0.0, denormal, -denormal, 1e300, -1e300, INFINITY, -INFINITY, 1.0, -1.0};
  Vector v;
  for (Index i = 0; i < n; ++i) {
    const Index kind = random.below(kinds);
    v.push_back(kind < 10 ? special[kind] : random.normal());
    if (with_nan && random.below(5) == 0) v.back() = nan_value;
  }
  return v;
}

Vector normal_vector(Random& random, Index n) {
  Vector v;
  for (Index i = 0; i < n; ++i) v.push_back(random.normal());
  return v;
}

Vector expanded(const Vector& x, Multiplicity multiplicity) {
  Vector out;
  for (std::size_t k = 0; k < x.size(); ++k) out.insert(out.end(), multiplicity[k], x[k]);
  return out;
}

/// Inversions by merging, for sizes that all pairs are too many for.
std::int64_t inversions_by_merging(std::vector<double>& v, std::size_t first, std::size_t last) {
  if (last - first < 2) return 0;
  const std::size_t middle = (first + last) / 2;
  std::int64_t sum = inversions_by_merging(v, first, middle) + inversions_by_merging(v, middle, last);
  for (std::size_t i = first, j = middle; j < last; ++j) {
    while (i < middle && v[i] <= v[j]) ++i;
    sum += static_cast<std::int64_t>(middle - i);
  }
  std::inplace_merge(v.begin() + static_cast<Index>(first), v.begin() + static_cast<Index>(middle), v.begin() + static_cast<Index>(last));
  return sum;
}

}  // namespace

TEST_CASE("rank correlation: counts equal those over all pairs, whatever the ties") {
  Random random(1);
  for (Index round = 0; round < 400; ++round) {
    const Index n = round < 40 ? round % 8 : random.below(150), kinds = 1 + random.below(14);
    const Vector x = hard_vector(random, n, kinds, round % 3 == 0), y = hard_vector(random, n, 1 + random.below(14), round % 4 == 0);
    CAPTURE(round);
    CHECK(count_pairs(x, y) == counts_by_pairs(x, y));
  }
  const Vector one{3}, none, two{1, 2}, down{5, -5};
  CHECK(count_pairs(none, none).total() == 0);
  CHECK(std::isnan(kendall_tau_a(none, none)));
  CHECK(std::isnan(kendall_tau_a(one, one)));
  CHECK(std::isnan(kendall_tau_b(one, one)));
  CHECK(kendall_tau_a(two, two) == 1);
  CHECK(kendall_tau_a(two, down) == -1);
}

TEST_CASE("rank correlation: large vectors, with and without ties, agree with a merge sort on any number of threads") {
  const int threads = cpu::threads();
  Random random(2);
  for (const int kind : {0, 1, 2, 3}) {
    const Index n = 300000;
    Vector x = normal_vector(random, n), y = x;
    for (double& v : y) v += random.normal();
    if (kind == 1) for (double& v : x) v = v > 0;
    if (kind == 1) for (double& v : y) v = std::round(10 * v);
    if (kind == 2) for (double& v : y) v = v > 1 ? 1 : v;
    if (kind == 3) for (double& v : x) v = 1 + 1e-14 * std::round(20 * v);  // alike in all but the last bits
    cpu::set_threads(1);
    const PairCounts c = count_pairs(x, y);
    cpu::set_threads(2);
    CHECK(count_pairs(x, y) == c);
    const PairCounts swapped = count_pairs(y, x);
    CHECK(swapped == PairCounts{c.concordant, c.discordant, c.tie_y_only, c.tie_x_only, c.tie_both});
    std::vector<std::pair<double, double>> both;
    for (std::size_t i = 0; i < x.size(); ++i) both.push_back({x[i], y[i]});
    std::sort(both.begin(), both.end());
    Vector ordered;
    for (const auto& p : both) ordered.push_back(p.second);
    const auto tied = [](auto first, auto last) {
      std::int64_t sum = 0;
      for (auto i = first; i != last;) {
        const auto next = std::upper_bound(i, last, *i);
        sum += (next - i) * (next - i - 1) / 2;
        i = next;
      }
      return sum;
    };
    Vector sorted_x = x;
    std::sort(sorted_x.begin(), sorted_x.end());
    const std::int64_t tied_x = tied(sorted_x.begin(), sorted_x.end()), tied_both = tied(both.begin(), both.end());
    CHECK(c.discordant == inversions_by_merging(ordered, 0, ordered.size()));
    CHECK(c.tie_both == tied_both);
    CHECK(c.tie_x_only == tied_x - tied_both);
    CHECK(c.tie_y_only == tied(ordered.begin(), ordered.end()) - tied_both);
    CHECK(c.total() == n * (n - 1) / 2);
  }
  cpu::set_threads(threads);
}

TEST_CASE("rank correlation: multiplicities count as the expanded vectors do") {
  Random random(3);
  for (Index round = 0; round < 200; ++round) {
    const Index n = 1 + random.below(60);
    const Vector x = hard_vector(random, n, 2 + random.below(13), round % 3 == 0), y = hard_vector(random, n, 2 + random.below(13), round % 5 == 0);
    std::vector<std::uint32_t> multiplicity;
    for (Index i = 0; i < n; ++i) multiplicity.push_back(static_cast<std::uint32_t>(random.below(4) * random.below(2)));
    CAPTURE(round);
    CHECK(count_pairs(RankedVector(x), RankedVector(y), multiplicity) == counts_by_pairs(expanded(x, multiplicity), expanded(y, multiplicity)));
  }
  const RankedVector x(Vector{1, 2, 3});
  const std::vector<std::uint32_t> all_out{0, 0, 0}, huge{2900000000u, 1, 0};
  CHECK(count_pairs(x, x, all_out).total() == 0);
  CHECK(count_pairs(x, x, huge) == PairCounts{2900000000, 0, 0, 0, 1450000000LL * 2899999999LL});
}

TEST_CASE("rank correlation: ranked vectors hold order, dense ranks and starts; average ranks share ties and skip NaN") {
  const RankedVector x(Vector{2, nan_value, -0.0, 5, 0.0, 2});
  CHECK(x.size() == 6);
  CHECK(x.defined() == 5);
  CHECK(x.distinct() == 3);
  CHECK(std::vector<std::uint32_t>(x.order().begin(), x.order().end()) == std::vector<std::uint32_t>{2, 4, 0, 5, 3});
  CHECK(std::vector<std::uint32_t>(x.ranks().begin(), x.ranks().end()) == std::vector<std::uint32_t>{1, RankedVector::no_rank, 0, 2, 0, 1});
  CHECK(std::vector<std::uint32_t>(x.starts().begin(), x.starts().end()) == std::vector<std::uint32_t>{0, 2, 4, 5});
  const Vector ranks = average_ranks(Vector{2, nan_value, -0.0, 5, 0.0, 2});
  CHECK(std::isnan(ranks[1]));
  CHECK(ranks[0] == 3.5);
  CHECK(ranks[2] == 1.5);
  CHECK(ranks[3] == 5);
  CHECK(average_ranks(Vector{}).empty());
  CHECK(RankedVector().distinct() == 0);
  CHECK(RankedVector().size() == 0);
}

TEST_CASE("rank correlation: sorting is right for every size and spread of keys") {
  Random random(4);
  for (const Index n : {1023, 1024, 20000, 70000})
    for (const int kind : {0, 1, 2, 3, 4}) {
      Vector x = normal_vector(random, n);
      if (kind == 1) for (double& v : x) v = static_cast<float>(v);
      if (kind == 2) for (double& v : x) v = 1 + 1e-13 * v;
      if (kind == 3) for (double& v : x) v = std::exp(200 * v);
      if (kind == 4) for (double& v : x) v = v < 0 ? 7.0 + denormal : 7.0 + 1e-15 * std::round(v);
      const RankedVector r(x);
      bool sorted = true;
      for (std::size_t k = 1; k < r.order().size(); ++k) {
        const std::uint32_t a = r.order()[k - 1], b = r.order()[k];
        sorted = sorted && (x[a] < x[b] ? r.ranks()[a] + 1 == r.ranks()[b] : x[a] == x[b] && a < b && r.ranks()[a] == r.ranks()[b]);
      }
      CHECK(sorted);
      CHECK(r.distinct() == 1 + r.ranks()[r.order().back()]);
    }
}

TEST_CASE("rank correlation: a rearranged vector is the one sorted anew") {
  Random random(5);
  const auto same_spans = [](auto a, auto b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); };
  for (Index round = 0; round < 60; ++round) {
    const Index n = round < 6 ? round : random.below(200);
    const Vector x = hard_vector(random, n, 1 + random.below(14), round % 3 == 0);
    Vector expected;
    std::vector<Index> from;
    for (Index k = 0; k < n; ++k) from.push_back(k);
    random.shuffle(from.begin(), from.end());
    for (const Index k : from) expected.push_back(x[static_cast<std::size_t>(k)]);
    const RankedVector found = RankedVector(x).rearranged(from), anew(expected);
    CAPTURE(round);
    CHECK(same_spans(found.order(), anew.order()));
    CHECK(same_spans(found.ranks(), anew.ranks()));
    CHECK(same_spans(found.starts(), anew.starts()));
    CHECK(found.values().size() == expected.size());
    for (std::size_t k = 0; k < expected.size(); ++k)
      CHECK((found.values()[k] == expected[k] || (std::isnan(found.values()[k]) && std::isnan(expected[k]))));
  }
  const RankedVector x = RankedVector::without_values(Vector{4, 1, nan_value, 1});
  CHECK(x.rearranged(std::vector<Index>{2, 3, 0, 1}).values().empty());
  CHECK(message_of([&] { x.rearranged(std::vector<Index>{0, 1, 2}); }) == "RankedVector::rearranged: 3 positions for 4 elements");
  CHECK(message_of([&] { x.rearranged(std::vector<Index>{0, 1, 2, 4}); }) == "RankedVector::rearranged: position 4 of 4");
  for (const Index twice : {0, 2})
    CHECK(message_of([&] { x.rearranged(std::vector<Index>{twice, 1, twice, 3}); }) ==
          "RankedVector::rearranged: position " + std::to_string(twice) + " or one of equal value comes twice; each position is needed once");
}

TEST_CASE("rank correlation: coefficients of small vectors by hand, constants, NaN") {
  const Vector x{1, 2, 3, 4}, y{1, 3, 2, 2}, constant{7, 7, 7, 7};
  // pairs: C (0,1) (0,2) (0,3), D (1,2) (1,3), Ty (2,3)
  CHECK(count_pairs(x, y) == PairCounts{3, 2, 0, 1, 0});
  CHECK(kendall_tau_a(x, y) == doctest::Approx(1.0 / 6).epsilon(1e-15));
  CHECK(kendall_tau_b(x, y) == doctest::Approx(1 / std::sqrt(30.0)).epsilon(1e-15));
  // ranks of y: 1 4 2.5 2.5; centred products: 2.25 - 0.75 + 0 + 0 = 1.5
  CHECK(spearman(x, y) == doctest::Approx(1.5 / std::sqrt(5 * 4.5)).epsilon(1e-15));
  CHECK(rho_a(x, y) == doctest::Approx(12 * 1.5 / 60).epsilon(1e-15));
  CHECK(kendall_tau_a(x, constant) == 0);
  CHECK(rho_a(x, constant) == 0);
  CHECK(std::isnan(kendall_tau_b(x, constant)));
  CHECK(std::isnan(spearman(constant, x)));
  CHECK(std::isnan(rho_a(Vector{1}, Vector{2})));
  CHECK(spearman(y, y) == 1);
  for (Vector v; v.size() < 60; v.push_back(static_cast<double>(v.size())))
    if (v.size() > 1) CHECK(kendall_tau_b(v, v) == 1);
  const Vector holes{1, nan_value, 3, 4}, other{1, 3, 2, nan_value};
  CHECK(spearman(holes, other) == 1);
  CHECK(kendall_tau_a(holes, other) == 1);
}

TEST_CASE("rank correlation: lengths that do not fit are named") {
  const Vector two{1, 2}, three{1, 2, 3};
  const std::vector<std::uint32_t> one{1}, too_many{4000000000u, 4000000000u};
  CHECK(message_of([&] { kendall_tau_a(two, three); }) == "count_pairs: vectors of 2 and 3 elements; they must be equally long");
  CHECK(message_of([&] { count_pairs(RankedVector(two), RankedVector(three)); }) ==
        "comparison: vectors of 2 and 3 elements; they must be equally long");
  CHECK(message_of([&] { count_pairs(RankedVector(two), RankedVector(two), one); }) ==
        "comparison: 1 multiplicities for vectors of 2 elements; one for each is needed");
  CHECK(message_of([&] { count_pairs(RankedVector(two), RankedVector(two), too_many); }) ==
        "comparison: multiplicities sum to 8000000000; at most 3000000000 is supported");
}
