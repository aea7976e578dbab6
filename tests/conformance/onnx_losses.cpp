#include "conformance/runners.hpp"
#include "ventral/layers/softmax.hpp"
#include "ventral/loss.hpp"

namespace conformance {

namespace {

using namespace ventral;

/// Scores [N,C,d1,..] as [N,C,rest] where they have more axes than a Shape; labels [N,d1,..] then as [N,rest].
Shape folded(const Array& scores, const Array& a) {
  if (scores.rank() <= Shape::max_rank) return a.shape();
  if (&a == &scores) return {a.axes[0], a.axes[1], a.values.size() / std::max<Index>(1, a.axes[0] * a.axes[1])};
  return {a.axes[0], a.values.size() / std::max<Index>(1, a.axes[0])};
}

template <template <class, class> class Loss, class T>
void label_loss(const Case& c, Check<T>& check) {
  const Array &scores = c.input(0), &labels = c.input(1);
  if (scores.rank() < 2 || labels.rank() < 1) throw Malformed(concat(c.op, " of scores ", scores.shape(), " and labels ", labels.shape()));
  const std::string reduction = c.attributes.text("reduction", "mean");
  if (reduction != "mean" && reduction != "sum" && reduction != "none") throw Malformed(concat("reduction '", reduction, "'"));
  CrossEntropyOptions options;
  options.ignore = c.attributes.integer("ignore_index", options.ignore);
  options.reduction = reduction == "mean" ? Reduction::mean : Reduction::sum;
  if (const Array* w = c.optional_input(2)) options.class_weights.assign(w->values.begin(), w->values.end());
  Loss<T, Cpu> loss(options);

  const Tensor<T> x_values = scores.as<T>();
  const Tensor<std::int32_t> label_values = labels.as<std::int32_t>();
  const In<T> x = x_values.reshaped(folded(scores, scores));
  const In<std::int32_t> target = label_values.reshaped(folded(scores, labels));
  if (const Array* want = c.output(0)) {
    if (reduction == "none") {
      auto each = Tensor<T>::uninitialized(target.shape);
      loss.values(x, target, each);
      check.compare("loss", each.size() == want->values.size() ? each.reshaped(want->shape()) : each.ref(), *want);
    } else {
      check.compare("loss", loss(x, target), *want);
    }
  }
  if (const Array* want = c.output(1)) {
    LogSoftmax<T> log_softmax({.axis = 1});
    check.compare("log_prob", forward(log_softmax, x).reshaped(want->shape()), *want);
  }
}

}  // namespace

template <class T>
Runners<T> onnx_losses() {
  return {{"NegativeLogLikelihoodLoss", label_loss<NegativeLogLikelihood, T>}, {"SoftmaxCrossEntropyLoss", label_loss<SoftmaxCrossEntropy, T>}};
}

template Runners<float> onnx_losses();
template Runners<double> onnx_losses();

}  // namespace conformance
