#include "helpers.hpp"
#include "ventral/brain/comparators.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "ventral/brain/partial_correlation.hpp"
#include "ventral/random.hpp"

using namespace ventral;
using namespace ventral::brain;
using test::message_of;

namespace {

using Vector = std::vector<double>;
const double nan_value = std::numeric_limits<double>::quiet_NaN();
constexpr Comparator on_vectors[] = {Comparator::tau_a, Comparator::tau_b,   Comparator::spearman,
                                     Comparator::rho_a, Comparator::pearson, Comparator::cosine};

Vector normal_vector(Random& random, Index n, double mean = 0) {
  Vector v;
  for (Index i = 0; i < n; ++i) v.push_back(random.normal(mean, 1));
  return v;
}

/// Squared distances of random patterns of p features.
Rdm random_rdm(Random& random, Index n, Index p) {
  const Vector x = normal_vector(random, n * p);
  Rdm rdm(n);
  for (Index i = 0, k = 0; i < n; ++i)
    for (Index j = i + 1; j < n; ++j, ++k)
      for (Index c = 0; c < p; ++c) {
        const double d = x[static_cast<std::size_t>(i * p + c)] - x[static_cast<std::size_t>(j * p + c)];
        rdm.values()[static_cast<std::size_t>(k)] += d * d;
      }
  return rdm;
}

bool same(double a, double b, double tolerance = 1e-12) { return (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= tolerance; }

/// x of A x = b by Gauss-Jordan.
Vector solved(std::vector<Vector> a, Vector b) {
  const std::size_t n = b.size();
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t pivot = k;
    for (std::size_t i = k; i < n; ++i)
      if (std::abs(a[i][k]) > std::abs(a[pivot][k])) pivot = i;
    std::swap(a[k], a[pivot]), std::swap(b[k], b[pivot]);
    for (std::size_t i = 0; i < n; ++i) {
      if (i == k) continue;
      const double f = a[i][k] / a[k][k];
      for (std::size_t j = k; j < n; ++j) a[i][j] -= f * a[k][j];
      b[i] -= f * b[k];
    }
  }
  for (std::size_t k = 0; k < n; ++k) b[k] /= a[k][k];
  return b;
}

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// Whitened comparison by its definition, with V of all pairs of pairs.
double whitened_by_definition(const Rdm& a, const Rdm& b, bool less_mean) {
  const Index n = a.conditions();
  std::vector<Vector> contrast;
  for (Index i = 0; i < n; ++i)
    for (Index j = i + 1; j < n; ++j) {
      contrast.push_back(Vector(static_cast<std::size_t>(n), 0.0));
      contrast.back()[static_cast<std::size_t>(i)] = 1, contrast.back()[static_cast<std::size_t>(j)] = -1;
    }
  std::vector<Vector> v(contrast.size(), Vector(contrast.size()));
  for (std::size_t k = 0; k < v.size(); ++k)
    for (std::size_t l = 0; l < v.size(); ++l) v[k][l] = dot(contrast[k], contrast[l]) * dot(contrast[k], contrast[l]);
  Vector x(a.values().begin(), a.values().end()), y(b.values().begin(), b.values().end());
  for (Vector* z : {&x, &y}) {
    double mean = 0;
    for (const double e : *z) mean += e / static_cast<double>(z->size());
    for (double& e : *z) e -= less_mean ? mean : 0;
  }
  const Vector vx = solved(v, x), vy = solved(v, y);
  return dot(x, vy) / std::sqrt(dot(x, vx) * dot(y, vy));
}

}  // namespace

TEST_CASE("comparators: Pearson and cosine of vectors far from 0, tiny, huge, constant, with NaN") {
  Random random(1);
  const Vector x = normal_vector(random, 300);
  Vector y = x;
  for (double& v : y) v += random.normal();
  double xy = 0, xx = 0, yy = 0, mx = 0, my = 0;
  for (std::size_t i = 0; i < x.size(); ++i) mx += x[i] / 300, my += y[i] / 300;
  for (std::size_t i = 0; i < x.size(); ++i) xy += (x[i] - mx) * (y[i] - my), xx += (x[i] - mx) * (x[i] - mx), yy += (y[i] - my) * (y[i] - my);
  const double r = xy / std::sqrt(xx * yy);
  CHECK(pearson(x, y) == doctest::Approx(r).epsilon(1e-14));
  for (const double scale : {1e300, 1e-300}) {
    Vector scaled = x;
    for (double& v : scaled) v *= scale;
    CHECK(pearson(scaled, y) == doctest::Approx(r).epsilon(1e-13));
    CHECK(cosine(scaled, x) == doctest::Approx(1).epsilon(1e-14));
  }
  Vector far = x, near = x;
  for (double& v : far) v = std::round(v * 1024) / 1024 + 1e8;
  for (double& v : near) v = std::round(v * 1024) / 1024;
  CHECK(pearson(far, y) == doctest::Approx(pearson(near, y)).epsilon(1e-13));
  const double tiny = std::numeric_limits<double>::denorm_min();
  CHECK(cosine(Vector{tiny, 0}, Vector{tiny, tiny}) == doctest::Approx(std::sqrt(0.5)).epsilon(1e-15));
  CHECK(pearson(Vector{tiny, 0, 2 * tiny}, Vector{1, 0, 2}) == doctest::Approx(1).epsilon(1e-15));
  CHECK(cosine(Vector{3, 4}, Vector{4, 3}) == doctest::Approx(0.96).epsilon(1e-15));
  CHECK(pearson(Vector{1, nan_value, 2, 3}, Vector{3, 5, 2, 1}) == -1);
  CHECK(std::isnan(pearson(Vector{0.1, 0.1, 0.1}, Vector{1, 2, 3})));
  CHECK(std::isnan(pearson(Vector{1e8 + 0.1, 1e8 + 0.1, 1e8 + 0.1}, Vector{1, 2, 3})));
  CHECK(std::isnan(cosine(Vector{0, 0}, Vector{1, 2})));
  CHECK(std::isnan(cosine(Vector{INFINITY, 0}, Vector{1, 2})));
  CHECK(std::isnan(pearson(Vector{}, Vector{})));
  CHECK(std::isnan(pearson(Vector{1}, Vector{2})));
  CHECK(cosine(Vector{2}, Vector{-3}) == -1);
  CHECK(std::isnan(cosine(Vector{nan_value, 1}, Vector{1, nan_value})));
}

TEST_CASE("comparators: with multiplicities they equal those of the expanded vectors") {
  Random random(2);
  for (Index round = 0; round < 100; ++round) {
    const Index n = 3 + random.below(40);
    Vector x = normal_vector(random, n, 3), y = normal_vector(random, n, 2), long_x, long_y;
    for (double& v : x) v = random.below(3) ? v : std::round(v);
    for (double& v : y) v = random.below(9) ? std::round(2 * v) : nan_value;
    std::vector<std::uint32_t> multiplicity;
    for (std::size_t i = 0; i < x.size(); ++i) {
      multiplicity.push_back(static_cast<std::uint32_t>(random.below(4)));
      long_x.insert(long_x.end(), multiplicity.back(), x[i]);
      long_y.insert(long_y.end(), multiplicity.back(), y[i]);
    }
    const RankedVector ranked_x(x), ranked_y(y), expanded_x(long_x), expanded_y(long_y);
    CAPTURE(round);
    for (const Comparator c : on_vectors)
      CHECK(same(weighted_compare(ranked_x, ranked_y, multiplicity, c), weighted_compare(expanded_x, expanded_y, {}, c)));
  }
}

TEST_CASE("comparators: names") {
  for (const Comparator c : all_comparators) CHECK(comparator_named(name(c)) == c);
  CHECK(std::string(name(Comparator::bures)) == "bures");
  CHECK(std::string(name(Comparator::corr_cov)) == "corr_cov");
  CHECK(message_of([] { comparator_named("kendall"); }) ==
        "no comparator 'kendall'; there are tau_a, tau_b, spearman, rho_a, pearson, cosine, corr_cov, cosine_cov, bures");
}

TEST_CASE("comparators: whitened ones equal their definition with V") {
  Random random(3);
  for (const Index n : {3, 5, 6}) {
    Rdm a = random_rdm(random, n, 4), b = random_rdm(random, n, 3);
    b.values()[0] = -0.5;  // crossvalidated distances may be negative
    CHECK(whitened_cosine(a, b) == doctest::Approx(whitened_by_definition(a, b, false)).epsilon(1e-11));
    CHECK(whitened_correlation(a, b) == doctest::Approx(whitened_by_definition(a, b, true)).epsilon(1e-11));
  }
  const Rdm a = random_rdm(random, 5, 4), ones(Vector(10, 0.1)), zero(5);
  Rdm hole = a, huge = a;
  hole.values()[3] = nan_value;
  for (double& v : huge.values()) v *= 1e305;
  CHECK(whitened_cosine(a, a) == doctest::Approx(1).epsilon(1e-15));
  CHECK(whitened_cosine(huge, a) == doctest::Approx(1).epsilon(1e-14));
  CHECK(whitened_cosine(a, ones) == doctest::Approx(whitened_by_definition(a, ones, false)).epsilon(1e-11));
  CHECK(std::isnan(whitened_correlation(a, ones)));
  CHECK(std::isnan(whitened_cosine(a, zero)));
  CHECK(std::isnan(whitened_cosine(a, hole)));
}

TEST_CASE("comparators: Bures similarity of kernels that commute, of low rank, undefined ones") {
  const Rdm line(Vector{1, 4, 1}), same_line(Vector{3, 12, 3}),
      across(Vector{0.25, 0, 0.25});  // positions 0,1,2 and 0,1/2,0: orthogonal once centred
  CHECK(bures_similarity(line, same_line) == doctest::Approx(1).epsilon(1e-14));
  CHECK(bures_similarity(line, across) == doctest::Approx(0).epsilon(1e-14));
  const Rdm both(Vector{1.25, 4, 1.25});  // both axes: kernel eigenvalues 2 and 1/6
  CHECK(bures_similarity(line, both) == doctest::Approx(2 / std::sqrt(2 * (2 + 1.0 / 6))).epsilon(1e-14));
  Random random(4);
  const Rdm a = random_rdm(random, 12, 3), b = random_rdm(random, 12, 30);
  CHECK(bures_similarity(a, a) == doctest::Approx(1).epsilon(1e-13));
  CHECK(bures_similarity(a, b) == doctest::Approx(bures_similarity(b, a)).epsilon(1e-13));
  Rdm hole = a;
  hole.values()[0] = nan_value;
  CHECK(std::isnan(bures_similarity(a, hole)));
  CHECK(std::isnan(bures_similarity(a, Rdm(12))));
}

TEST_CASE("comparators: stacks agree with single comparisons; zero, constant and NaN RDMs leave the others right") {
  Random random(5);
  const Index n = 9;
  std::vector<Rdm> a, b;
  for (int k = 0; k < 3; ++k) a.push_back(random_rdm(random, n, 5));
  b.push_back(random_rdm(random, n, 2));
  b.push_back(Rdm(n));
  b.push_back(Rdm(Vector(36, 2.5)));
  b.push_back(Rdm(Vector(36, nan_value)));
  b.push_back(random_rdm(random, n, 7));
  b.back().values()[7] = nan_value;
  b.push_back(random_rdm(random, n, 7));
  const int threads = cpu::threads();
  for (const Comparator c : all_comparators) {
    CAPTURE(name(c));
    cpu::set_threads(1);
    const Tensor<double> alone = compare(a, b, c);
    cpu::set_threads(2);
    const Tensor<double> all = compare(a, b, c);
    CHECK(all.shape() == Shape{3, 6});
    const bool whole = c == Comparator::corr_cov || c == Comparator::cosine_cov || c == Comparator::bures;
    for (Index i = 0; i < 3; ++i)
      for (Index j = 0; j < 6; ++j) {
        const double v = all.at(i, j);
        CHECK((v == alone.at(i, j) || (std::isnan(v) && std::isnan(alone.at(i, j)))));
        CHECK(same(v, compare(a[static_cast<std::size_t>(i)], b[static_cast<std::size_t>(j)], c), 0));
        const bool zero_defined = c == Comparator::tau_a || c == Comparator::rho_a;
        const bool constant_defined = zero_defined || c == Comparator::cosine || c == Comparator::cosine_cov || c == Comparator::bures;
        const bool expected[] = {true, zero_defined, constant_defined, false, !whole, true};
        CHECK(std::isnan(v) != expected[j]);
        if (zero_defined && (j == 1 || j == 2)) CHECK(v == 0);
      }
  }
  cpu::set_threads(threads);
  CHECK(compare({}, b, Comparator::tau_a).shape() == Shape{0, 6});
  for (const Comparator c : all_comparators) CHECK(std::isnan(compare(Rdm(), Rdm(), c)));
  CHECK(message_of([&] { compare(a[0], Rdm(7), Comparator::spearman); }) == "compare: RDMs of 9 and 7 conditions; they must be of the same conditions");
  CHECK(message_of([&] { whitened_cosine(a[0], Rdm(7)); }) == "whitened_cosine: RDMs of 9 and 7 conditions; they must be of the same conditions");
  CHECK(message_of([&] { bures_similarity(a[0], Rdm(7)); }) == "bures_similarity: RDMs of 9 and 7 conditions; they must be of the same conditions");
  CHECK(message_of([&] { pearson(Vector{1}, Vector{}); }) == "pearson: vectors of 1 and 0 elements; they must be equally long");
  const RankedVector x(Vector{1, 2, 3}), bare = RankedVector::without_values(Vector{1, 2, 3});
  CHECK(message_of([&] { weighted_compare(x, x, {}, Comparator::bures); }) ==
        "weighted_compare: bures is defined for whole RDMs only, not for elements with multiplicities");
  CHECK(message_of([&] { weighted_compare(x, bare, {}, Comparator::cosine); }) ==
        "weighted_compare: cosine needs values; the vectors were ranked without");
}

TEST_CASE("comparators: partial correlation by the recursion formula, with redundant controls, explained vectors and NaN") {
  Random random(6);
  const Index n = 80;
  const Vector c = normal_vector(random, n), d = normal_vector(random, n);
  Vector x = normal_vector(random, n), y = x, sum = c;
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += 2 * c[i] + d[i], y[i] += random.normal() - c[i] + 3 * d[i] + 1e6, sum[i] = 2 * c[i] - 5 * d[i];
  const auto one_control = [](double xy, double xc, double yc) { return (xy - xc * yc) / std::sqrt((1 - xc * xc) * (1 - yc * yc)); };
  const double given_c = one_control(pearson(x, y), pearson(x, c), pearson(y, c));
  const double both =
      one_control(given_c, one_control(pearson(x, d), pearson(x, c), pearson(d, c)), one_control(pearson(y, d), pearson(y, c), pearson(d, c)));
  const std::vector<Vector> none, just_c{c}, c_and_d{c, d}, redundant{c, d, sum, Vector(80, 4.0), c};
  CHECK(partial_correlation(x, y, none) == doctest::Approx(pearson(x, y)).epsilon(1e-13));
  CHECK(partial_correlation(x, y, just_c) == doctest::Approx(given_c).epsilon(1e-12));
  CHECK(partial_correlation(x, y, c_and_d) == doctest::Approx(both).epsilon(1e-11));
  CHECK(partial_correlation(x, y, redundant) == doctest::Approx(both).epsilon(1e-11));
  CHECK(partial_correlation(x, y, just_c, Comparator::spearman) ==
        doctest::Approx(one_control(spearman(x, y), spearman(x, c), spearman(y, c))).epsilon(1e-12));
  CHECK(std::isnan(partial_correlation(sum, y, c_and_d)));
  CHECK(std::isnan(partial_correlation(x, Vector(80, 0.1), just_c)));
  Vector holes = x, kept_x = x, kept_y = y, kept_c = c;
  holes[5] = nan_value;
  for (Vector* v : {&kept_x, &kept_y, &kept_c}) v->erase(v->begin() + 5);
  for (const Comparator by : {Comparator::pearson, Comparator::spearman})
    CHECK(partial_correlation(holes, y, just_c, by) == partial_correlation(kept_x, kept_y, std::vector<Vector>{kept_c}, by));
  CHECK(std::isnan(partial_correlation(Vector{}, Vector{}, none)));
  holes[6] = INFINITY;
  CHECK(std::isnan(partial_correlation(holes, y, just_c)));
  Vector left_out = y;
  left_out[6] = nan_value;
  CHECK(partial_correlation(holes, left_out, none) == doctest::Approx(pearson(holes, left_out)).epsilon(1e-13));
  CHECK(message_of([&] { partial_correlation(x, y, none, Comparator::tau_a); }) == "partial_correlation: by pearson or spearman, not by tau_a");
  CHECK(message_of([&] { partial_correlation(x, Vector{1}, none); }) == "partial_correlation: vectors of 80 and 1 elements; they must be equally long");
  CHECK(message_of([&] { partial_correlation(x, y, std::vector<Vector>{c, {1, 2}}); }) == "partial_correlation: control 1 has 2 elements, x has 80");
}
