#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "ventral/cpu/optimizer.hpp"
#include "ventral/layer.hpp"

namespace ventral::inline v0 {

enum class LineSearch { fixed, strong_wolfe };

struct LBFGSOptions {
  double rate = 1;      ///< length of the fixed step, first trial of the line search
  int iterations = 20;  ///< in a call of step()
  int evaluations = 0;  ///< of the loss in a call of step(); 0 is iterations * 5 / 4
  double gradient_tolerance = 1e-7, change_tolerance = 1e-9;
  int history = 100;
  LineSearch line_search = LineSearch::fixed;
};

/// What L-BFGS keeps from one call of step() to the next: flat arrays over all parameters, in their order.
template <class T, class Space>
struct LBFGSState {
  struct Pair {
    Tensor<T, Space> gradient_change, step;
    double inverse_product;  ///< 1 / (gradient_change . step)
  };
  std::vector<Pair> history;  ///< oldest first
  Tensor<T, Space> direction, previous_gradient;
  double length = 0, scale = 1, previous_loss = 0;
  Index iterations = 0, evaluations = 0;
};

/// Limited-memory BFGS, for few parameters and full batches: steps along d = -H g, where H, an estimate of the inverse Hessian, is built from the last
/// `history` steps. The step has a fixed length (the first one rate min(1, 1 / |g|_1)) or satisfies the strong Wolfe conditions. As in PyTorch.
/// Source: Nocedal, Wright 2006, "Numerical optimization", algorithms 7.4, 7.5, 3.5 and 3.6.
template <class T, class SpaceType = Cpu>
class LBFGS {
 public:
  using Scalar = T;
  using Space = SpaceType;
  using Parameters = std::vector<NamedParameter<T, Space>>;

  /// Frozen parameters are left out, as they are when it is made.
  explicit LBFGS(Parameters parameters, LBFGSOptions o = {}) : options_(o) {
    require(o.rate > 0 && o.iterations >= 1 && o.evaluations >= 0 && o.history >= 1, "LBFGS: rate, iterations and history must be positive");
    if (options_.evaluations == 0) options_.evaluations = o.iterations * 5 / 4;
    for (auto& p : parameters) {
      if (p.parameter->frozen) continue;
      size_ += p.parameter->value.size();
      parameters_.push_back(p);
    }
    for (Tensor<T, Space>* t : {&gradient_, &start_, &state_.direction, &state_.previous_gradient}) *t = Tensor<T, Space>(Shape{size_});
  }

  /// Minimizes for `iterations` iterations or until converged. `loss_and_gradients()` runs forward and backward and returns the loss; gradients
  /// are cleared before it. Returns the loss at the beginning.
  template <class Closure>
  double step(Closure&& loss_and_gradients) {
    const auto evaluate = [&](Tensor<T, Space>& gradient) {
      for (auto& p : parameters_) p.parameter->gradient.zero();
      const double loss = loss_and_gradients();
      ++state_.evaluations;
      gather_gradient(gradient);
      return loss;
    };
    const Index most = state_.evaluations + options_.evaluations;
    const double first = evaluate(gradient_);
    double loss = first;
    for (int i = 1; i <= options_.iterations && largest(gradient_) > options_.gradient_tolerance; ++i) {
      choose_direction();
      state_.previous_gradient.copy_from(gradient_);
      state_.previous_loss = loss;
      state_.length =
          state_.iterations > 1 ? options_.rate : options_.rate * std::min(1.0, 1 / absolute_sum(gradient_.stream(), std::as_const(gradient_).ref()));
      const double slope = product(gradient_, state_.direction);
      if (slope > -options_.change_tolerance) break;
      copy_values(start_);
      if (options_.line_search == LineSearch::strong_wolfe) {
        loss = search(evaluate, loss, slope);
        move_to(state_.length);
      } else {
        move_to(state_.length);
        if (i < options_.iterations) loss = evaluate(gradient_);
      }
      const bool still =
          state_.length * largest(state_.direction) <= options_.change_tolerance || std::abs(loss - state_.previous_loss) < options_.change_tolerance;
      if (state_.evaluations >= most || still) break;
    }
    return first;
  }

  double rate() const { return options_.rate; }
  void set_rate(double rate) { options_.rate = rate; }
  /// May be saved, and set before the next step.
  LBFGSState<T, Space>& state() { return state_; }
  const Parameters& parameters() const { return parameters_; }

 private:
  /// A length along the direction, with the loss, its slope along the direction, and the gradient there.
  struct Trial {
    double length = 0, loss = 0, slope = 0;
    Tensor<T, Space> gradient;
  };

  static double product(const Tensor<T, Space>& a, const Tensor<T, Space>& b) { return dot(a.stream(), a.ref(), b.ref()); }
  static double largest(const Tensor<T, Space>& a) { return absolute_max(a.stream(), a.ref()); }
  static void add(double a, const Tensor<T, Space>& x, Tensor<T, Space>& y) { scaled_sum(x.stream(), a, x, 1, y.ref()); }

  /// Calls visit(array, offset) for the piece of a flat array that belongs to each parameter.
  template <class Visit>
  void for_pieces(Visit visit) {
    Index offset = 0;
    for (auto& p : parameters_) {
      visit(*p.parameter, offset);
      offset += p.parameter->value.size();
    }
  }
  static std::size_t bytes(Index n) { return static_cast<std::size_t>(n) * sizeof(T); }
  void gather_gradient(Tensor<T, Space>& to) {
    for_pieces([&](Parameter<T, Space>& p, Index at) { Space::copy(to.data() + at, p.accumulated_gradient().data, bytes(p.value.size())); });
  }
  void copy_values(Tensor<T, Space>& to) {
    for_pieces([&](Parameter<T, Space>& p, Index at) { Space::copy(to.data() + at, p.value.data(), bytes(p.value.size())); });
  }
  /// values = start + length * direction.
  void move_to(double length) {
    for_pieces([&](Parameter<T, Space>& p, Index at) {
      Space::copy(p.value.data(), start_.data() + at, bytes(p.value.size()));
      scaled_sum(p.value.stream(), length, In<T, Space>(state_.direction.data() + at, p.value.shape()), 1, p.value.ref());
    });
  }

  /// direction = -H gradient, after the last step has entered H.
  void choose_direction() {
    auto& history = state_.history;
    if (++state_.iterations > 1) remember();
    scaled_sum(gradient_.stream(), -1, gradient_, 0, state_.direction.ref());
    if (state_.iterations == 1) return;
    weight_.resize(history.size());
    for (std::size_t i = history.size(); i-- > 0;) {
      weight_[i] = product(history[i].step, state_.direction) * history[i].inverse_product;
      add(-weight_[i], history[i].gradient_change, state_.direction);
    }
    scaled_sum(gradient_.stream(), state_.scale, state_.direction, 0, state_.direction.ref());
    for (std::size_t i = 0; i < history.size(); ++i)
      add(weight_[i] - product(history[i].gradient_change, state_.direction) * history[i].inverse_product, history[i].step, state_.direction);
  }
  void remember() {
    typename LBFGSState<T, Space>::Pair pair{gradient_.clone(), state_.direction.clone(), 0};
    add(-1, state_.previous_gradient, pair.gradient_change);
    scaled_sum(gradient_.stream(), state_.length, state_.direction, 0, pair.step.ref());
    const double curvature = product(pair.gradient_change, pair.step);
    if (!(curvature > 1e-10)) return;
    pair.inverse_product = 1 / curvature;
    state_.scale = curvature / product(pair.gradient_change, pair.gradient_change);
    if (static_cast<int>(state_.history.size()) == options_.history) state_.history.erase(state_.history.begin());
    state_.history.push_back(std::move(pair));
  }

  /// Minimum of the cubic through two trials, kept within [low, high].
  static double cubic_minimum(const Trial& a, const Trial& b, double low, double high) {
    const Trial &l = a.length <= b.length ? a : b, &r = a.length <= b.length ? b : a;
    const double d1 = l.slope + r.slope - 3 * (l.loss - r.loss) / (l.length - r.length), square = d1 * d1 - l.slope * r.slope;
    if (!(square >= 0)) return (low + high) / 2;
    const double d2 = std::sqrt(square);
    return std::min(std::max(r.length - (r.length - l.length) * ((r.slope + d2 - d1) / (r.slope - l.slope + 2 * d2)), low), high);
  }

  /// Finds a length that satisfies the strong Wolfe conditions: leaves it and its gradient behind, and returns its loss.
  template <class Evaluate>
  double search(const Evaluate& evaluate, double start_loss, double start_slope) {
    constexpr double decrease = 1e-4, curvature = 0.9;
    constexpr int most = 25;
    const double widest = largest(state_.direction);
    const auto try_length = [&](Trial& t, double length) {
      move_to(length);
      t.gradient.resize(gradient_.shape());
      t.length = length;
      t.loss = evaluate(t.gradient);
      t.slope = product(t.gradient, state_.direction);
    };
    const auto too_high = [&](const Trial& t) { return t.loss > start_loss + decrease * t.length * start_slope; };
    const auto flat = [&](const Trial& t) { return std::abs(t.slope) <= -curvature * start_slope; };

    Trial &low = trials_[0], &high = trials_[1], &fresh = trials_[2];
    low.length = 0, low.loss = start_loss, low.slope = start_slope;
    low.gradient.resize(gradient_.shape());
    low.gradient.copy_from(gradient_);
    try_length(high, state_.length);
    int count = 0;
    bool done = false;
    for (; count < most; ++count) {  // go out until a minimum lies between low and high
      if (too_high(high) || (count > 1 && high.loss >= low.loss)) break;
      if ((done = flat(high)) || high.slope >= 0) break;
      const double next = cubic_minimum(low, high, high.length + 0.01 * (high.length - low.length), high.length * 10);
      std::swap(low, high);
      try_length(high, next);
    }
    if (done || high.loss < low.loss) std::swap(low, high);  // `low` is the better one from here on
    bool stuck = false;
    for (; !done && count < most; ++count) {  // shrink the bracket
      const double left = std::min(low.length, high.length), right = std::max(low.length, high.length), margin = 0.1 * (right - left);
      if ((right - left) * widest < options_.change_tolerance) break;
      double next = cubic_minimum(low, high, left, right);
      if (std::min(right - next, next - left) < margin) {  // too close to an end: once is allowed
        const bool at_end = next >= right || next <= left;
        if (stuck || at_end) next = std::abs(next - right) < std::abs(next - left) ? right - margin : left + margin;
        stuck = !(stuck || at_end);
      } else {
        stuck = false;
      }
      try_length(fresh, next);
      if (too_high(fresh) || fresh.loss >= low.loss) {
        std::swap(high, fresh);
        if (high.loss < low.loss) std::swap(low, high);
        continue;
      }
      done = flat(fresh);
      if (!done && fresh.slope * (high.length - low.length) >= 0) std::swap(high, low);
      std::swap(low, fresh);
    }
    state_.length = low.length;
    gradient_.copy_from(low.gradient);
    return low.loss;
  }

  LBFGSOptions options_;
  Parameters parameters_;
  Index size_ = 0;
  Tensor<T, Space> gradient_, start_;
  LBFGSState<T, Space> state_;
  std::vector<double> weight_;
  Trial trials_[3];
};

}  // namespace ventral::inline v0
