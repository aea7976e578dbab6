#include "conformance/runners.hpp"
#include "ventral/optimizer.hpp"

namespace conformance {

namespace {

using namespace ventral;

/// Variants that ventral does not have.
void refuse(const Case& c, std::initializer_list<const char*> switches) {
  for (const char* name : switches)
    if (c.attributes.boolean(name, false)) throw NotOffered(concat(c.op, " with ", name));
}

/// Feeds the recorded gradients to an optimizer and compares the parameters after every step.
template <template <class, class> class O, class T, class Space, class Options>
void check_optimizer(const Case& c, Check<T, Space>& check, const Options& options) {
  refuse(c, {"amsgrad", "maximize"});
  const Tensor<T, Space> p0 = c.array("p0").as<T, Space>(), gradients = c.array("grads").as<T, Space>(), want = c.array("p").as<T, Space>();
  if (gradients.shape() != want.shape() || gradients.rank() < 1 || gradients.size() != gradients.dim(0) * p0.size())
    throw Malformed(concat("p0 ", p0.shape(), ", grads ", gradients.shape(), " and p ", want.shape(), " do not fit together"));
  Parameter<T, Space> p(p0.shape());
  p.value.copy_from(p0);
  static_cast<void>(p.accumulated_gradient());
  O<T, Space> optimizer({{"p", &p}}, options);
  auto got = Tensor<T, Space>::uninitialized(want.shape());
  for (Index i = 0; i < got.dim(0); ++i) {
    p.gradient.copy_from(gradients.slice(i, i + 1).reshaped(p0.shape()));
    optimizer.step();
    Space::copy(got.slice(i, i + 1).data, p.value.data(), static_cast<std::size_t>(p0.size()) * sizeof(T));
  }
  check.compare("p", got, c.array("p"));
}

template <class T, class Space>
void sgd(const Case& c, Check<T, Space>& check) {
  const Attributes& a = c.attributes;
  check_optimizer<SGD>(c, check, SGDOptions{.rate = a.number("lr", 0.01), .momentum = a.number("momentum", 0), .dampening = a.number("dampening", 0), .weight_decay = a.number("weight_decay", 0),
                                            .nesterov = a.boolean("nesterov", false)});
}
template <class T, class Space>
void adam(const Case& c, Check<T, Space>& check) {
  const Attributes& a = c.attributes;
  check_optimizer<Adam>(c, check, AdamOptions{.rate = a.number("lr", 1e-3), .beta1 = a.number("beta1", 0.9), .beta2 = a.number("beta2", 0.999), .epsilon = a.number("eps", 1e-8),
                                              .weight_decay = a.number("weight_decay", 0)});
}
template <class T, class Space>
void adamw(const Case& c, Check<T, Space>& check) {
  const Attributes& a = c.attributes;
  check_optimizer<AdamW>(c, check, AdamWOptions{.rate = a.number("lr", 1e-3), .beta1 = a.number("beta1", 0.9), .beta2 = a.number("beta2", 0.999), .epsilon = a.number("eps", 1e-8),
                                                .weight_decay = a.number("weight_decay", 0.01)});
}
template <class T, class Space>
void rmsprop(const Case& c, Check<T, Space>& check) {
  const Attributes& a = c.attributes;
  check_optimizer<RMSProp>(c, check, RMSPropOptions{.rate = a.number("lr", 0.01), .alpha = a.number(a.has("decay") ? "decay" : "alpha", 0.99), .epsilon = a.number("eps", 1e-8),
                                                    .momentum = a.number("momentum", 0), .weight_decay = a.number("weight_decay", 0), .centered = a.boolean("centered", false)});
}
template <class T, class Space>
void adagrad(const Case& c, Check<T, Space>& check) {
  const Attributes& a = c.attributes;
  check_optimizer<Adagrad>(c, check, AdagradOptions{.rate = a.number("lr", 0.01), .rate_decay = a.number("lr_decay", 0), .weight_decay = a.number("weight_decay", 0),
                                                    .initial = a.number("initial_accumulator_value", 0), .epsilon = a.number("eps", 1e-10)});
}

}  // namespace

template <class T, class Space>
Runners<T, Space> grad_optimizers() {
  return {{"SGD", sgd<T, Space>},         {"Adam", adam<T, Space>},       {"AdamW", adamw<T, Space>},
          {"RMSprop", rmsprop<T, Space>}, {"RMSProp", rmsprop<T, Space>}, {"Adagrad", adagrad<T, Space>}};
}

CONFORMANCE_INSTANTIATE(grad_optimizers)

}  // namespace conformance
