#include "conformance/runners.hpp"
#include "ventral/optimizer.hpp"

namespace conformance {

namespace {

using namespace ventral;

/// The inputs R (rate), T (steps before), then n arrays each of X (parameters), G (gradients) and of every state.
struct Step {
  double rate;
  Index before;
  std::size_t n;

  Step(const Case& c, std::size_t states) : rate(c.input(0).scalar()), before(static_cast<Index>(c.input(1).scalar())), n((c.inputs.size() - 2) / (2 + states)) {
    if (n == 0 || c.inputs.size() != 2 + n * (2 + states)) throw Malformed(concat(c.op, " with ", c.inputs.size(), " inputs"));
  }
};

/// One step from the state of the case, `count` steps after the start; compares the new parameters and states, which come in this order.
template <class O, class T, class Space, class Options>
void check_step(const Case& c, Check<T, Space>& check, const Step& step, const Options& options, Index count) {
  std::vector<Parameter<T, Space>> parameters;
  std::vector<NamedParameter<T, Space>> named;
  for (std::size_t i = 0; i < step.n; ++i) {
    parameters.emplace_back(c.input(2 + i).shape());
    set(parameters[i], c.input(2 + i));
    parameters[i].gradient = c.input(2 + step.n + i).as<T, Space>();
  }
  for (auto& p : parameters) named.push_back({concat("X", named.size()), &p});
  O optimizer(named, options);
  auto state = optimizer.state();  // those of X0, then those of X1, ...
  const std::size_t kinds = state.size() / step.n;
  for (std::size_t i = 0; i < step.n; ++i)
    for (std::size_t k = 0; k < kinds; ++k) state[i * kinds + k].value->copy_from(c.input(2 + step.n * (2 + k) + i).as<T, Space>());
  optimizer.set_counts(std::vector<Index>(step.n, count));
  optimizer.step();
  for (std::size_t i = 0; i < step.n; ++i) {
    if (const Array* want = c.output(i)) check.compare(want->name, parameters[i].value, *want);
    for (std::size_t k = 0; k < kinds; ++k)
      if (const Array* want = c.output(step.n * (1 + k) + i)) check.compare(want->name, *state[i * kinds + k].value, *want);
  }
}

/// V' = alpha V + (1 or, after the first step, beta) G'; X' = X - R V', or R (G' + alpha V') with nesterov. Dampening is 1 - beta.
template <class T, class Space>
void momentum(const Case& c, Check<T, Space>& check) {
  const Attributes& a = c.attributes;
  const Step step(c, 1);
  const std::string mode = a.text("mode", "standard");
  if (mode != "standard" && mode != "nesterov") throw Malformed(concat("mode '", mode, "'"));
  const double decay = a.number("alpha", 0), beta = a.number("beta", 1), norm = a.number("norm_coefficient", 0), dampening = step.before > 0 ? 1 - beta : 0;
  if (decay == 0) throw NotOffered("Momentum without momentum");
  if (mode == "nesterov" && dampening != 0) throw NotOffered("Momentum, nesterov with dampening");
  // PyTorch's first step overwrites V; a later one adds to it, as all of ONNX's do.
  const SGDOptions options{.rate = step.rate, .momentum = decay, .dampening = dampening, .weight_decay = norm, .nesterov = mode == "nesterov"};
  check_step<SGD<T, Space>>(c, check, step, options, 1);
}

/// X' = X - R c V' / (sqrt(H') + epsilon) with c = sqrt(1 - beta^T) / (1 - alpha^T), or 1 at T = 0. PyTorch divides sqrt(H') by sqrt(1 - beta^t) before it adds
/// its epsilon, so that takes epsilon / sqrt(1 - beta^t); at T = 0 the rate undoes its corrections for t = 1.
template <class T, class Space>
void adam(const Case& c, Check<T, Space>& check) {
  const Attributes& a = c.attributes;
  const Step step(c, 2);
  const double alpha = a.number("alpha", 0.9), beta = a.number("beta", 0.999), epsilon = a.number("epsilon", 1e-6), norm = a.number("norm_coefficient", 0);
  if (a.number("norm_coefficient_post", 0) != 0) throw NotOffered("Adam with norm_coefficient_post");
  const Index t = std::max<Index>(step.before, 1);
  const double first = 1 - std::pow(alpha, static_cast<double>(t)), second = std::sqrt(1 - std::pow(beta, static_cast<double>(t)));
  const double rate = step.before > 0 ? step.rate : step.rate * first / second;
  check_step<Adam<T, Space>>(c, check, step,
                             AdamOptions{.rate = rate, .beta1 = alpha, .beta2 = beta, .epsilon = epsilon / second, .weight_decay = norm}, t - 1);
}

/// H' = H + G'^2; X' = X - R / (1 + T decay_factor) G' / (sqrt(H') + epsilon).
template <class T, class Space>
void adagrad(const Case& c, Check<T, Space>& check) {
  const Attributes& a = c.attributes;
  const Step step(c, 1);
  const double epsilon = a.number("epsilon", 1e-6), norm = a.number("norm_coefficient", 0), decay = a.number("decay_factor", 0);
  check_step<Adagrad<T, Space>>(c, check, step, AdagradOptions{.rate = step.rate, .rate_decay = decay, .weight_decay = norm, .epsilon = epsilon},
                                step.before);
}

}  // namespace

template <class T, class Space>
Runners<T, Space> onnx_optimizers() {
  return {{"Momentum", momentum<T, Space>}, {"Adam", adam<T, Space>}, {"Adagrad", adagrad<T, Space>}};
}

CONFORMANCE_INSTANTIATE(onnx_optimizers)

}  // namespace conformance
