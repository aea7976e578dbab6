#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "ventral/cpu/optimizer.hpp"
#include "ventral/layer.hpp"
#include "ventral/lbfgs.hpp"

namespace ventral::inline v0 {

/// An array of an optimizer's state with its name, `conv1.weight.momentum_buffer`.
template <class T, class Space>
struct NamedState {
  std::string name;
  Tensor<T, Space>* value;
};

/// What changes parameters p by their gradients g. Parameters that are frozen, or have had no gradient yet, are left alone; each one's steps are counted
/// on their own. Formulas, defaults and names of the state are PyTorch's. To give parameters different options, split the list over several optimizers.
/// The parameters must outlive it, and their layers not be replaced.
template <class T, class SpaceType = Cpu>
class Optimizer {
 public:
  using Scalar = T;
  using Space = SpaceType;
  using Parameters = std::vector<NamedParameter<T, Space>>;

  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  virtual const char* kind() const = 0;

  /// Changes every parameter by its gradient. Allocates state in the first step only.
  void step() {
    begin_updates(Space::stream());
    update_all();
    finish_updates(Space::stream());
  }
  void zero_gradients() {
    for (auto& p : parameters_) p.parameter->gradient.zero();
  }

  double rate() const { return rate_; }
  void set_rate(double rate) {
    require(rate >= 0 && rate * 0 == 0, kind(), ": rate ", rate, " is negative or not finite");
    rate_ = rate;
  }
  const Parameters& parameters() const { return parameters_; }

  /// Scales all gradients so that their joint Euclidean norm is at most `limit`; returns the norm before. Call it between backward and step.
  /// Source: Pascanu, Mikolov, Bengio 2013, "On the difficulty of training recurrent neural networks".
  double clip_gradient_norm(double limit) {
    std::vector<TensorRef<const T, Space>> gradients;
    for_gradients([&](Tensor<T, Space>& g) { gradients.push_back(g.ref()); });
    const double norm = std::sqrt(squared_norm(Space::stream(), gradients)), factor = limit / (norm + 1e-6);
    if (factor < 1) for_gradients([&](Tensor<T, Space>& g) { scaled_sum(g.stream(), factor, g, 0, g.ref()); });
    return norm;
  }
  /// Limits every element of the gradients to [-limit, limit].
  void clip_gradient_value(double limit) {
    for_gradients([&](Tensor<T, Space>& g) { limit_values(g.stream(), limit, g.ref()); });
  }

  /// The arrays kept from step to step, to be saved or overwritten. Together with `counts()` and `rate()` they are the whole state.
  [[gnu::cold]] std::vector<NamedState<T, Space>> state() {
    std::vector<NamedState<T, Space>> out;
    for (std::size_t i = 0; i < parameters_.size(); ++i)
      for (std::size_t k = 0; k < names_.size(); ++k) out.push_back({parameters_[i].name + "." + names_[k], state_of(i) + k});
    return out;
  }
  /// How many steps each parameter has had.
  const std::vector<Index>& counts() const { return counts_; }
  void set_counts(const std::vector<Index>& counts) {
    require(counts.size() == counts_.size(), kind(), ": ", counts.size(), " step counts for ", counts_.size(), " parameters");
    counts_ = counts;
  }

  // For captured steps, see capture.hpp.

  /// Counts a step, and leaves what it does to the parameters to `updates`.
  template <class Updates>
  void prepare(Updates& updates) {
    updates.collect(Space::stream(), [&] { update_all(); });
  }
  /// Steps counted last that changed nothing; less than none: steps done, not yet counted.
  void take_back(Index steps) {
    for (std::size_t i = 0; i < parameters_.size(); ++i)
      if (moves(*parameters_[i].parameter)) counts_[i] -= steps;
  }

 protected:
  /// `names` are the arrays of state for each parameter, which begin with every element `initial`.
  [[gnu::cold]] Optimizer(Parameters parameters, double rate, std::vector<const char*> names, double initial = 0)
      : parameters_(std::move(parameters)),
        names_(std::move(names)),
        state_(parameters_.size() * names_.size()),
        counts_(parameters_.size()),
        rate_(rate),
        initial_(initial) {
    for (const auto& p : parameters_) require(p.parameter != nullptr, "optimizer: parameter '", p.name, "' is null");
  }

 private:
  virtual void update(Parameter<T, Space>& p, Index count, Tensor<T, Space>* state) = 0;

  static bool moves(const Parameter<T, Space>& p) { return !p.frozen && p.gradient.shape() == p.value.shape(); }
  void update_all() {
    for (std::size_t i = 0; i < parameters_.size(); ++i)
      if (Parameter<T, Space>& p = *parameters_[i].parameter; moves(p)) update(p, ++counts_[i], state_of(i));
  }
  /// The state of parameter i, allocated at the first call.
  Tensor<T, Space>* state_of(std::size_t i) {
    Tensor<T, Space>* first = state_.data() + i * names_.size();
    const Shape& shape = parameters_[i].parameter->value.shape();
    for (std::size_t k = 0; k < names_.size(); ++k)
      if (first[k].shape() != shape) first[k] = Tensor<T, Space>::full(shape, static_cast<T>(initial_));
    return first;
  }
  template <class F>
  void for_gradients(F f) {
    for (auto& p : parameters_)
      if (!p.parameter->frozen) f(p.parameter->gradient);
  }

  Parameters parameters_;
  std::vector<const char*> names_;
  std::vector<Tensor<T, Space>> state_;
  std::vector<Index> counts_;
  double rate_, initial_;
};

namespace detail {

[[gnu::cold]] inline void require_in(const char* kind, const char* option, double value, double low, double high) {
  require(value >= low && value < high, kind, ": ", option, " ", value, " is not in [", low, ", ", high, ")");
}

}  // namespace detail

struct SGDOptions {
  double rate = 0.01, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
};

/// Stochastic gradient descent. g += weight_decay p; v = momentum v + (1 - dampening) g (v = g in the first step); p -= rate v,
/// with Nesterov p -= rate (g + momentum v); without momentum p -= rate g.
/// Source: Sutskever, Martens, Dahl, Hinton 2013, "On the importance of initialization and momentum in deep learning".
template <class T, class Space = Cpu>
class SGD final : public Optimizer<T, Space> {
 public:
  [[gnu::cold]] explicit SGD(typename Optimizer<T, Space>::Parameters parameters, SGDOptions o = {})
      : Optimizer<T, Space>(std::move(parameters), o.rate, o.momentum == 0 ? std::vector<const char*>{} : std::vector<const char*>{"momentum_buffer"}),
        options_(o) {
    this->set_rate(o.rate);
    detail::require_in("SGD", "momentum", o.momentum, 0, 1e9);
    detail::require_in("SGD", "weight_decay", o.weight_decay, 0, 1e9);
    require(!o.nesterov || (o.momentum > 0 && o.dampening == 0), "SGD: nesterov needs a momentum above 0 and no dampening");
  }
  const char* kind() const override { return "SGD"; }

 private:
  void update(Parameter<T, Space>& p, Index count, Tensor<T, Space>* state) override {
    const SGDStep step{this->rate(), options_.momentum, options_.dampening, options_.weight_decay, options_.nesterov, count};
    sgd_update(p.value.stream(), step, p.gradient, p.value.ref(), options_.momentum == 0 ? Out<T, Space>() : state[0].ref());
  }
  SGDOptions options_;
};

struct AdamOptions {
  double rate = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
};

namespace detail {

template <class T, class Space>
class AdamBase : public Optimizer<T, Space> {
 protected:
  [[gnu::cold]] AdamBase(const char* kind, typename Optimizer<T, Space>::Parameters parameters, const AdamOptions& o, bool decoupled)
      : Optimizer<T, Space>(std::move(parameters), o.rate, {"exp_avg", "exp_avg_sq"}), options_(o), decoupled_(decoupled) {
    require_in(kind, "rate", o.rate, 0, 1e9);
    require_in(kind, "beta1", o.beta1, 0, 1);
    require_in(kind, "beta2", o.beta2, 0, 1);
    require_in(kind, "epsilon", o.epsilon, 0, 1e9);
    require_in(kind, "weight_decay", o.weight_decay, 0, 1e9);
  }

 private:
  void update(Parameter<T, Space>& p, Index count, Tensor<T, Space>* state) final {
    const AdamStep step{this->rate(), options_.beta1, options_.beta2, options_.epsilon, options_.weight_decay, decoupled_, count};
    adam_update(p.value.stream(), step, p.gradient, p.value.ref(), state[0].ref(), state[1].ref());
  }
  AdamOptions options_;
  bool decoupled_;
};

}  // namespace detail

/// Adam. g += weight_decay p; m = beta1 m + (1 - beta1) g; s = beta2 s + (1 - beta2) g^2; in step t
/// p -= rate / (1 - beta1^t) m / (sqrt(s / (1 - beta2^t)) + epsilon).
/// Source: Kingma, Ba 2015, "Adam: a method for stochastic optimization", algorithm 1.
template <class T, class Space = Cpu>
class Adam final : public detail::AdamBase<T, Space> {
 public:
  explicit Adam(typename Optimizer<T, Space>::Parameters parameters, AdamOptions o = {})
      : detail::AdamBase<T, Space>("Adam", std::move(parameters), o, false) {}
  const char* kind() const override { return "Adam"; }
};

struct AdamWOptions {
  double rate = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0.01;
};

/// Adam with decoupled weight decay: p -= rate weight_decay p before the step, and g as it is.
/// Source: Loshchilov, Hutter 2019, "Decoupled weight decay regularization", algorithm 2.
template <class T, class Space = Cpu>
class AdamW final : public detail::AdamBase<T, Space> {
 public:
  explicit AdamW(typename Optimizer<T, Space>::Parameters parameters, AdamWOptions o = {})
      : detail::AdamBase<T, Space>("AdamW", std::move(parameters), {o.rate, o.beta1, o.beta2, o.epsilon, o.weight_decay}, true) {}
  const char* kind() const override { return "AdamW"; }
};

struct RMSPropOptions {
  double rate = 0.01, alpha = 0.99, epsilon = 1e-8, momentum = 0, weight_decay = 0;
  bool centered = false;  ///< divides by the deviation instead of the root mean square
};

/// RMSProp. g += weight_decay p; s = alpha s + (1 - alpha) g^2; centered: m = alpha m + (1 - alpha) g and s - m^2 in place of s;
/// v = momentum v + g / (sqrt(s) + epsilon); p -= rate v. Source: Tieleman, Hinton 2012, lecture 6.5.
template <class T, class Space = Cpu>
class RMSProp final : public Optimizer<T, Space> {
 public:
  [[gnu::cold]] explicit RMSProp(typename Optimizer<T, Space>::Parameters parameters, RMSPropOptions o = {})
      : Optimizer<T, Space>(std::move(parameters), o.rate, names(o)), options_(o) {
    this->set_rate(o.rate);
    detail::require_in("RMSProp", "alpha", o.alpha, 0, 1);
    detail::require_in("RMSProp", "epsilon", o.epsilon, 0, 1e9);
    detail::require_in("RMSProp", "momentum", o.momentum, 0, 1e9);
    detail::require_in("RMSProp", "weight_decay", o.weight_decay, 0, 1e9);
  }
  const char* kind() const override { return "RMSProp"; }

 private:
  static std::vector<const char*> names(const RMSPropOptions& o) {
    std::vector<const char*> out{"square_avg"};
    if (o.centered) out.push_back("grad_avg");
    if (o.momentum > 0) out.push_back("momentum_buffer");
    return out;
  }
  void update(Parameter<T, Space>& p, Index, Tensor<T, Space>* state) override {
    const RMSPropStep step{this->rate(), options_.alpha, options_.epsilon, options_.momentum, options_.weight_decay};
    const Out<T, Space> mean = options_.centered ? state[1].ref() : Out<T, Space>();
    const Out<T, Space> velocity = options_.momentum > 0 ? state[options_.centered ? 2 : 1].ref() : Out<T, Space>();
    rmsprop_update(p.value.stream(), step, p.gradient, p.value.ref(), state[0].ref(), mean, velocity);
  }
  RMSPropOptions options_;
};

struct AdagradOptions {
  double rate = 0.01, rate_decay = 0, weight_decay = 0, initial = 0, epsilon = 1e-10;
};

/// Adagrad. g += weight_decay p; s += g^2 (s begins as `initial`); in step t p -= rate / (1 + (t - 1) rate_decay) g / (sqrt(s) + epsilon).
/// Source: Duchi, Hazan, Singer 2011, "Adaptive subgradient methods for online learning and stochastic optimization", JMLR 12.
template <class T, class Space = Cpu>
class Adagrad final : public Optimizer<T, Space> {
 public:
  [[gnu::cold]] explicit Adagrad(typename Optimizer<T, Space>::Parameters parameters, AdagradOptions o = {})
      : Optimizer<T, Space>(std::move(parameters), o.rate, {"sum"}, o.initial), options_(o) {
    this->set_rate(o.rate);
    detail::require_in("Adagrad", "rate_decay", o.rate_decay, 0, 1e9);
    detail::require_in("Adagrad", "weight_decay", o.weight_decay, 0, 1e9);
    detail::require_in("Adagrad", "initial", o.initial, 0, 1e9);
    detail::require_in("Adagrad", "epsilon", o.epsilon, 0, 1e9);
  }
  const char* kind() const override { return "Adagrad"; }

 private:
  void update(Parameter<T, Space>& p, Index count, Tensor<T, Space>* state) override {
    const AdagradStep step{this->rate() / (1 + static_cast<double>(count - 1) * options_.rate_decay), options_.epsilon, options_.weight_decay};
    adagrad_update(p.value.stream(), step, p.gradient, p.value.ref(), state[0].ref());
  }
  AdagradOptions options_;
};

}  // namespace ventral::inline v0
