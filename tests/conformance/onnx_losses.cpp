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

template <template <class, class> class Loss, class T, class Space>
void label_loss(const Case& c, Check<T, Space>& check) {
  const Array &scores = c.input(0), &labels = c.input(1);
  if (scores.rank() < 2 || labels.rank() < 1) throw Malformed(concat(c.op, " of scores ", scores.shape(), " and labels ", labels.shape()));
  const std::string reduction = c.attributes.text("reduction", "mean");
  if (reduction != "mean" && reduction != "sum" && reduction != "none") throw Malformed(concat("reduction '", reduction, "'"));
  CrossEntropyOptions options;
  options.ignore = c.attributes.integer("ignore_index", options.ignore);
  options.reduction = reduction == "mean" ? Reduction::mean : Reduction::sum;
  if (const Array* w = c.optional_input(2)) options.class_weights.assign(w->values.begin(), w->values.end());
  Loss<T, Space> loss(options);

  const Tensor<T, Space> x_values = scores.as<T, Space>();
  const Tensor<std::int32_t, Space> label_values = labels.as<std::int32_t, Space>();
  const In<T, Space> x = x_values.reshaped(folded(scores, scores));
  const In<std::int32_t, Space> target = label_values.reshaped(folded(scores, labels));
  if (const Array* want = c.output(0)) {
    if (reduction == "none") {
      auto each = Tensor<T, Space>::uninitialized(target.shape);
      loss.values(x, target, each);
      check.compare("loss", each.size() == want->values.size() ? each.reshaped(want->shape()) : each.ref(), *want);
    } else {
      check.compare("loss", loss(x, target), *want);
    }
  }
  if (const Array* want = c.output(1)) {
    LogSoftmax<T, Space> log_softmax({.axis = 1});
    check.compare("log_prob", forward(log_softmax, x).reshaped(want->shape()), *want);
  }
}

}  // namespace

template <class T, class Space>
Runners<T, Space> onnx_losses() {
  return {{"NegativeLogLikelihoodLoss", label_loss<NegativeLogLikelihood, T, Space>},
          {"SoftmaxCrossEntropyLoss", label_loss<SoftmaxCrossEntropy, T, Space>}};
}

CONFORMANCE_INSTANTIATE(onnx_losses)

}  // namespace conformance
