#pragma once
#include <cmath>

#include "ventral/shape.hpp"

namespace ventral::inline v0 {

// Schedules of the learning rate: functions of the step alone, counted from 0 over all epochs, so that training resumes anywhere.
// Anything callable as rate(Index step) is one. Set it by hand, `optimizer.set_rate(rate(step))`, or give it to fit.

/// The same rate for ever.
struct ConstantRate {
  double rate = 0.01;
  double operator()(Index) const { return rate; }
};

/// rate factor^floor(step / every).
struct StepRate {
  double rate = 0.01;
  Index every = 1;
  double factor = 0.1;
  double operator()(Index step) const { return rate * std::pow(factor, static_cast<double>(step / (every < 1 ? 1 : every))); }
};

namespace detail {

/// From `first` at share 0 to `last` at share 1 along half a cosine; constant outside.
inline double cosine_between(double first, double last, double share) {
  share = share < 0 ? 0 : share > 1 ? 1 : share;
  return last + (first - last) * (1 + std::cos(3.14159265358979323846 * share)) / 2;
}

}  // namespace detail

/// From `rate` to `last` along half a cosine in `steps` steps, then `last`.
/// Source: Loshchilov, Hutter 2017, "SGDR: stochastic gradient descent with warm restarts", eq. 5.
struct CosineRate {
  double rate = 0.01;
  Index steps = 1;
  double last = 0;
  double operator()(Index step) const { return detail::cosine_between(rate, last, steps < 1 ? 1 : static_cast<double>(step) / static_cast<double>(steps)); }
};

/// One cycle: from rate / start_divisor up to `rate` in the first `rise` of all steps, then down to rate / start_divisor / end_divisor in the last step,
/// both along half a cosine, as PyTorch's OneCycleLR. Momentum stays as it is.
/// Source: Smith 2018, "A disciplined approach to neural network hyper-parameters: part 1".
struct OneCycleRate {
  double rate = 0.1;
  Index steps = 1;
  double rise = 0.3, start_divisor = 25, end_divisor = 1e4;
  double operator()(Index step) const {
    const double t = static_cast<double>(step), n = static_cast<double>(steps), top = rise * n - 1, start = rate / start_divisor;
    if (t <= top) return detail::cosine_between(start, rate, top > 0 ? t / top : 1);
    const double from = top > 0 ? top : 0;
    return detail::cosine_between(rate, start / end_divisor, n - 1 > from ? (t - from) / (n - 1 - from) : 1);
  }
};

/// For `steps` steps on a straight line from `start` times the first rate of `then` up to it, then `then`, from its step 0.
template <class Schedule>
struct WarmUp {
  Schedule then;
  Index steps = 0;
  double start = 0.1;
  double operator()(Index step) const {
    if (step >= steps) return then(step - steps);
    return then(0) * (start + (1 - start) * static_cast<double>(step) / static_cast<double>(steps));
  }
};

/// `warm_up(500, CosineRate{.rate = 0.1, .steps = 9500})`.
template <class Schedule>
WarmUp<Schedule> warm_up(Index steps, Schedule then, double start = 0.1) {
  return {then, steps, start};
}

/// Steps in `epochs` epochs of `examples` examples, where the last batch of an epoch may be smaller.
constexpr Index training_steps(Index examples, Index batch, Index epochs) { return epochs * ((examples + batch - 1) / batch); }

}  // namespace ventral::inline v0
