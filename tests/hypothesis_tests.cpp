#include "helpers.hpp"
#include "ventral/brain/hypothesis_tests.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "ventral/brain/multiple_testing.hpp"

using namespace ventral;
using namespace ventral::brain;
using test::message_of;

namespace {

bool near(double value, double expected, double relative = 1e-12) { return std::abs(value - expected) <= relative * std::abs(expected); }

const std::vector<double> first{1.83, .5, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.3};
const std::vector<double> second{.878, .647, .598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29};

}  // namespace

TEST_CASE("distributions: Student's t against mpmath with 40 digits, far into the tail") {
  CHECK(near(student_t_tail(0.5, 3), 0.32572398242407549722));
  CHECK(near(student_t_tail(2.5, 9), 0.016930913841492869605));
  CHECK(near(student_t_tail(12, 14), 4.6766653696839265283e-9));
  CHECK(near(student_t_tail(3, 1e6), 0.0013499312707108985294));
  CHECK(near(student_t_tail(40, 5), 9.2059810858864771776e-8));
  CHECK(near(student_t_tail(1e-3, 2), 0.49964644669779504073));
  CHECK(near(student_t_tail(5, 0.5), 0.14299570157942940041));
  CHECK(near(student_t_tail(200, 91), 2.0817520405253151133e-122));
  CHECK(student_t_cdf(0, 4) == doctest::Approx(0.5).epsilon(1e-15));
  CHECK(near(student_t_cdf(-2.5, 9), 0.016930913841492869605));
  CHECK(near(student_t_tail(1, 1), 0.25));  // Cauchy: 1/2 - atan(1)/pi
  CHECK(near(student_t_cdf(1.5, 2), 0.5 + 1.5 / (2 * std::sqrt(2 + 1.5 * 1.5))));
  CHECK(student_t_tail(INFINITY, 3) == 0);
  CHECK(student_t_tail(-INFINITY, 3) == 1);
  CHECK(std::isnan(student_t_tail(NAN, 3)));
  CHECK(message_of([] { static_cast<void>(student_t_tail(1, 0)); }) == "student_t: 0 degrees of freedom; more than 0 are needed");
}

TEST_CASE("distributions: incomplete beta function against mpmath; quantile inverts; normal tails") {
  CHECK(near(incomplete_beta(2, 3, 0.25), 0.26171875));
  CHECK(near(incomplete_beta(0.5, 0.5, 0.1), 0.20483276469913345754));
  CHECK(near(incomplete_beta(50, 60, 0.3), 0.00034341151876628865457));
  CHECK(near(incomplete_beta(200, 0.5, 0.9), 8.7077743989674990858e-11));
  CHECK(near(incomplete_beta(2.5, 300, 0.01), 0.69815920831128599369));
  CHECK(incomplete_beta(3, 4, 0) == 0);
  CHECK(incomplete_beta(3, 4, 1) == 1);
  CHECK(message_of([] { static_cast<void>(incomplete_beta(1, 2, 1.5)); }) == "incomplete_beta: a 1, b 2, x 1.5; needs a > 0, b > 0 and x in [0, 1]");
  // scipy.stats.t.ppf
  CHECK(near(student_t_quantile(0.975, 3), 3.1824463052837078));
  CHECK(near(student_t_quantile(0.025, 14), -2.144786687917804));
  CHECK(near(student_t_quantile(0.6, 2), 0.2886751345948128));
  CHECK(near(student_t_cdf(student_t_quantile(1e-7, 20), 20), 1e-7));
  CHECK(student_t_quantile(0.5, 3) == 0);
  CHECK(student_t_quantile(1, 3) == INFINITY);
  CHECK(message_of([] { static_cast<void>(student_t_quantile(-0.1, 3)); }) == "student_t_quantile: p is -0.1; needs 0 <= p <= 1");
  CHECK(near(normal_cdf(-10), 7.6198530241605260660e-24));
  CHECK(near(normal_cdf(-1.5), 0.066807201268858066));
  CHECK(normal_cdf(0) == 0.5);
}

TEST_CASE("t test: one sample and paired, as scipy.stats.ttest_1samp and ttest_rel") {
  const TestResult one = t_test(first, 1);
  CHECK(near(one.statistic, 3.214112317659221));
  CHECK(near(one.p, 0.012347824973349084));
  CHECK(one.degrees_of_freedom == 8);
  CHECK(one.used == 9);
  CHECK(near(t_test(first, 1, Alternative::greater).p, 0.006173912486674542));
  CHECK(near(t_test(first, second).statistic, 3.0353754156485917));
  CHECK(near(t_test(first, second).p, 0.016176627434908088));
  CHECK(near(t_test(first, second, Alternative::less).p, 0.991911686282546));
  std::vector<double> with_nan = first;
  with_nan.push_back(undefined);
  CHECK(t_test(with_nan, 1).p == one.p);
  CHECK(std::isnan(t_test(std::vector<double>{2.0}).p));
  CHECK(std::isnan(t_test(std::vector<double>{}).p));
  CHECK(std::isnan(t_test(std::vector<double>{0, 0, 0}).p));
  CHECK(t_test(std::vector<double>{2, 2, 2}).p == 0);
  CHECK(t_test(std::vector<double>{0.1, 0.1, 0.1}).p == 0);
  CHECK(std::isnan(t_test(std::vector<double>{0.1, 0.1, 0.1}, 0.1).p));  // a mean with rounding would differ from 0.1
  CHECK(t_test(std::vector<double>{2, 2, 2}, 0, Alternative::less).p == 1);
  CHECK(message_of([] { static_cast<void>(t_test(first, std::vector<double>{1, 2})); }) == "t_test: 9 and 2 paired values");
}

TEST_CASE("wilcoxon signed rank: exact p of scipy.stats.wilcoxon, and by counting every assignment of signs with ties and zeros") {
  const TestResult two = wilcoxon_signed_rank(first, second);
  CHECK(two.exact);
  CHECK(two.statistic == 40);
  CHECK(two.p == 0.0390625);
  CHECK(wilcoxon_signed_rank(first, second, Alternative::greater).p == 0.01953125);
  CHECK(wilcoxon_signed_rank(first, second, Alternative::less).p == 0.986328125);

  const std::vector<double> tied{0, 1, -1, 2, 2, -3, 1, 0, 4, 5, 3, undefined};
  const std::vector<double> ranks{2, 2, 4.5, 4.5, 6.5, 2, 8, 9, 6.5};  // of |1 -1 2 2 -3 1 4 5 3|
  int greater = 0, less = 0;
  for (int signs = 0; signs < 512; ++signs) {
    double w = 0;
    for (int i = 0; i < 9; ++i) w += signs >> i & 1 ? ranks[static_cast<std::size_t>(i)] : 0;
    greater += w >= 36.5, less += w <= 36.5;
  }
  const TestResult t = wilcoxon_signed_rank(tied, Alternative::greater);
  CHECK(t.statistic == 36.5);
  CHECK(t.used == 9);
  CHECK(t.p == greater / 512.0);
  CHECK(wilcoxon_signed_rank(tied, Alternative::less).p == less / 512.0);
  CHECK(wilcoxon_signed_rank(std::vector<double>{1, -1}).p == 1);
  CHECK(std::isnan(wilcoxon_signed_rank(std::vector<double>{0, 0}).p));
  CHECK(message_of([] {
          static_cast<void>(wilcoxon_signed_rank(first, std::vector<double>{1, 2}));
        }) == "wilcoxon_signed_rank: 9 and 2 paired values");
}

TEST_CASE("wilcoxon signed rank: normal approximation with ties above 50, as scipy.stats.wilcoxon(method='approx')") {
  std::vector<double> d;
  for (int i = 0; i < 60; ++i) d.push_back(std::nearbyint(10 * (3 * std::sin(1.7 * i) + 0.6)) / 10);
  const TestResult two = wilcoxon_signed_rank(d);
  CHECK_FALSE(two.exact);
  CHECK(two.statistic == 1204);
  CHECK(near(two.p, 0.03334121435476334));
  CHECK(near(wilcoxon_signed_rank(d, Alternative::greater).p, 0.01667060717738167));
  CHECK(near(wilcoxon_signed_rank(d, Alternative::less).p, 0.9833293928226183));
  d.resize(50);
  CHECK(wilcoxon_signed_rank(d).exact);
}

TEST_CASE("bootstrap p and quantile: counts on the other side, NaN left out") {
  const std::vector<double> samples{0.1, 0.2, -0.1, 0.3, undefined, 0.4, 0.0, 0.5, 0.6, 0.7};
  CHECK(bootstrap_p(samples, 0, Alternative::greater) == 3 / 10.0);
  CHECK(bootstrap_p(samples, 0, Alternative::less) == 9 / 10.0);
  CHECK(bootstrap_p(samples, 0) == 6 / 10.0);
  CHECK(bootstrap_p(samples, 0.3) == 1);
  CHECK(std::isnan(bootstrap_p(std::vector<double>{undefined})));
  CHECK(quantile(std::vector<double>{4, 1, undefined, 3, 2}, 0.5) == 2.5);
  CHECK(quantile(std::vector<double>{4, 1, 3, 2}, 1) == 4);
  CHECK(quantile(std::vector<double>{1, 2}, 0.25) == 1.25);
  CHECK(std::isnan(quantile(std::vector<double>{}, 0.5)));
  CHECK(message_of([] { static_cast<void>(quantile(std::vector<double>{1}, 2)); }) == "quantile: q is 2; needs 0 <= q <= 1");
}

TEST_CASE("multiple testing: Benjamini-Hochberg as scipy.stats.false_discovery_control, Bonferroni; NaN left out and kept") {
  const std::vector<double> p{.01, .04, undefined, .03, .005, .5, .2}, expected{.03, .06, undefined, .06, .03, .5, .24};
  const std::vector<double> adjusted = adjust_benjamini_hochberg(p), bonferroni = adjust_bonferroni(p);
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (i == 2) continue;
    CHECK(near(adjusted[i], expected[i]));
    CHECK(near(bonferroni[i], std::min(1.0, 6 * p[i])));
  }
  CHECK(std::isnan(adjusted[2]));
  CHECK(std::isnan(bonferroni[2]));
  CHECK(adjust_benjamini_hochberg(std::vector<double>{.5, .02, .5})[0] == 0.5);
  CHECK(adjust_benjamini_hochberg(std::vector<double>{}).empty());
  CHECK(message_of([] { static_cast<void>(adjust_benjamini_hochberg(std::vector<double>{.1, 1.2})); }) ==
        "adjust_benjamini_hochberg: p is 1.2 at [1]; needs 0 <= p <= 1");
}
