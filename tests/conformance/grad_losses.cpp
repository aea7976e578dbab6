#include "conformance/runners.hpp"
#include "ventral/loss.hpp"

namespace conformance {

namespace {

using namespace ventral;

/// Compares y and dx of a loss. `make(reduction)` is the loss; without reduction, y is an array and dx the gradient of sum(y dy).
template <class T, class Space, class Target, class Make>
void check_loss(const Case& c, Check<T, Space>& check, const Tensor<Target, Space>& target, Make make) {
  const std::string reduction = c.attributes.text("reduction", "mean");
  if (reduction != "mean" && reduction != "sum" && reduction != "none") throw NotOffered(concat(c.op, " with reduction ", reduction));
  const bool each = reduction == "none";
  const Tensor<T, Space> x = c.array("x").as<T, Space>();
  auto loss = make(reduction == "mean" ? Reduction::mean : Reduction::sum);
  auto dx = Tensor<T, Space>::uninitialized(x.shape());
  const double y = loss(x, target, dx);
  if (each) {
    auto values = Tensor<T, Space>::uninitialized(target.shape());
    loss.values(x, target, values);
    check.compare("y", values, c.array("y"));
  } else {
    check.compare("y", y, c.array("y"));
    check.compare("y without gradient", loss(x, target), c.array("y"));
  }
  if (!c.has("dx")) return;
  // The loss gives the gradient for dy = 1; position i of the target is one score, or the classes on axis 1 of x.
  const Tensor<T> dy = c.has("dy") ? c.array("dy").as<T>() : Tensor<T>::full({}, T(1));
  Tensor<T> gradient = dx.template to<Cpu>();
  const bool by_class = x.size() != target.size();
  const Index inner = by_class ? x.shape().product(2, x.rank()) : 1, classes = by_class ? x.dim(1) : 1;
  for (Index i = 0; i < gradient.size(); ++i) gradient[i] *= dy[each ? i / (classes * inner) * inner + i % inner : 0];
  check.compare("dx", gradient, c.array("dx"));
}

CrossEntropyOptions cross_entropy_options(const Case& c) {
  CrossEntropyOptions o;
  o.smoothing = c.attributes.number("label_smoothing", 0);
  o.ignore = c.attributes.integer("ignore_index", -100);
  const char* weights = c.has("weight") ? "weight" : "w";
  if (c.has(weights)) o.class_weights.assign(c.array(weights).values.begin(), c.array(weights).values.end());
  return o;
}

template <template <class, class> class Loss, class T, class Space>
void label_loss(const Case& c, Check<T, Space>& check) {
  CrossEntropyOptions o = cross_entropy_options(c);
  check_loss(c, check, c.array("target").as<std::int32_t, Space>(), [&](Reduction r) {
    o.reduction = r;
    return Loss<T, Space>(o);
  });
}

template <class T, class Space>
void mse(const Case& c, Check<T, Space>& check) {
  check_loss(c, check, c.array("target").as<T, Space>(), [](Reduction r) { return MSE<T, Space>({.reduction = r}); });
}
template <class T, class Space>
void bce_with_logits(const Case& c, Check<T, Space>& check) {
  const double positive = c.attributes.number("pos_weight", 1);
  check_loss(c, check, c.array("target").as<T, Space>(),
             [&](Reduction r) { return BCEWithLogits<T, Space>({.positive_weight = positive, .reduction = r}); });
}
template <class T, class Space>
void hinge(const Case& c, Check<T, Space>& check) {
  const double margin = c.attributes.number("margin", 1);
  check_loss(c, check, c.array("target").as<std::int32_t, Space>(), [&](Reduction r) { return Hinge<T, Space>({.margin = margin, .reduction = r}); });
}

}  // namespace

template <class T, class Space>
Runners<T, Space> grad_losses() {
  return {
      {"SoftmaxCrossEntropy", label_loss<SoftmaxCrossEntropy, T, Space>},
      {"NegativeLogLikelihood", label_loss<NegativeLogLikelihood, T, Space>},
      {"MSE", mse<T, Space>},
      {"BCEWithLogits", bce_with_logits<T, Space>},
      {"Hinge", hinge<T, Space>},
  };
}

CONFORMANCE_INSTANTIATE(grad_losses)

}  // namespace conformance
