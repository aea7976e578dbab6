#include "ventral/schedule.hpp"

#include "support.hpp"

using namespace ventral;

TEST_CASE("schedules: values at known steps") {
  CHECK(ConstantRate{0.3}(1000) == 0.3);
  const StepRate step{.rate = 1, .every = 10, .factor = 0.5};
  CHECK(step(0) == 1);
  CHECK(step(9) == 1);
  CHECK(step(10) == 0.5);
  CHECK(step(35) == 0.125);

  const CosineRate cosine{.rate = 0.2, .steps = 100, .last = 0.1};
  CHECK(cosine(0) == doctest::Approx(0.2));
  CHECK(cosine(25) == doctest::Approx(0.15 + 0.05 * std::sqrt(0.5)));
  CHECK(cosine(50) == doctest::Approx(0.15));
  CHECK(cosine(100) == doctest::Approx(0.1));
  CHECK(cosine(1000) == doctest::Approx(0.1));

  const auto warm = warm_up(10, cosine, 0.5);
  CHECK(warm(0) == doctest::Approx(0.1));
  CHECK(warm(5) == doctest::Approx(0.15));
  CHECK(warm(10) == doctest::Approx(0.2));
  CHECK(warm(60) == doctest::Approx(0.15));
  CHECK(warm_up(0, cosine)(0) == doctest::Approx(0.2));
  CHECK(training_steps(60000, 64, 20) == 20 * 938);
}

TEST_CASE("one cycle: PyTorch's OneCycleLR") {
  const OneCycleRate rate{.rate = 0.1, .steps = 10};  // top at 0.3 * 10 - 1 = 2
  CHECK(rate(0) == doctest::Approx(0.004));
  CHECK(rate(1) == doctest::Approx(0.052));
  CHECK(rate(2) == doctest::Approx(0.1));
  CHECK(rate(3) == doctest::Approx(0.0950484664));  // 1/7 of the way down
  CHECK(rate(9) == doctest::Approx(4e-7));
  CHECK(rate(20) == doctest::Approx(4e-7));
  for (Index i = 3; i < 10; ++i) CHECK(rate(i) < rate(i - 1));
  CHECK(OneCycleRate{.rate = 1, .steps = 1}(0) == doctest::Approx(4e-6));  // no room to rise
  CHECK(OneCycleRate{.rate = 1, .steps = 2}(0) == doctest::Approx(1));
}

TEST_CASE("schedules: degenerate lengths do not divide by zero") {
  CHECK(CosineRate{.rate = 1, .steps = 0, .last = 0.5}(0) == 0.5);
  CHECK(StepRate{.rate = 1, .every = 0, .factor = 0.5}(1) == 0.5);
}
