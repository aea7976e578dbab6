#pragma once
#include <algorithm>
#include <vector>

#include "ventral/data/batches.hpp"
#include "ventral/metrics.hpp"
#include "ventral/sequential.hpp"

namespace ventral::inline v0 {

/// Loss and, for labels, confusion matrix of a network on a data set.
struct Evaluation {
  double loss = 0;  ///< mean over the batches by their size
  ConfusionMatrix confusion;
  Index examples() const { return confusion.examples(); }
  Index errors() const { return confusion.errors(); }
  double accuracy() const { return confusion.accuracy(); }
};

namespace detail {

/// A batch in main memory and, when the network is elsewhere, its copy there.
template <class T, class Target, class Space>
class Batch {
 public:
  template <class Source>
  void fill(Source& source, std::span<const Index> which, Random random) {
    source.fill(which, random, host_x, host_target);
    const Index n = static_cast<Index>(which.size());
    require<ShapeError>(host_x.rank() >= 1 && host_x.dim(0) == n && host_target.rank() >= 1 && host_target.dim(0) == n, "the data source filled x ",
                        host_x.shape(), " and target ", host_target.shape(), " for a batch of ", n);
    if constexpr (!std::is_same_v<Space, Cpu>) {
      to_device(host_x, x_);
      to_device(host_target, target_);
    }
  }
  /// The next batch of StreamedBatches, of n examples; targets also in main memory.
  template <class Streamed>
  void take(Streamed& streamed, Index n) {
    x_.resize(streamed.data().shape().with(0, n));
    target_.resize(streamed.data().target().shape.with(0, n));
    streamed.gather(x_, target_);
    streamed.done();
    host_target.resize(target_.shape());
    Space::copy_to_host(host_target.data(), target_.data(), static_cast<std::size_t>(target_.size()) * sizeof(Target));
  }
  In<T, Space> x() const {
    if constexpr (std::is_same_v<Space, Cpu>) return host_x.ref();
    else return x_.ref();
  }
  In<Target, Space> target() const {
    if constexpr (std::is_same_v<Space, Cpu>) return host_target.ref();
    else return target_.ref();
  }

  Tensor<T, Cpu> host_x;
  Tensor<Target, Cpu> host_target;

 private:
  template <class U>
  static void to_device(const Tensor<U, Cpu>& from, Tensor<U, Space>& to) {
    to.resize(from.shape());
    Space::copy_from_host(to.data(), from.data(), static_cast<std::size_t>(from.size()) * sizeof(U));
  }
  Tensor<T, Space> x_;
  Tensor<Target, Space> target_;
};

/// An array in main memory: itself, or copied into `held`.
template <class T, class Space>
In<T, Cpu> on_host(In<T, Space> x, Tensor<T, Cpu>& held) {
  if constexpr (std::is_same_v<Space, Cpu>) {
    return x;
  } else {
    held.resize(x.shape);
    Space::copy_to_host(held.data(), x.data, static_cast<std::size_t>(x.size()) * sizeof(T));
    return held.ref();
  }
}

/// Runs the network over a data set in inference: calls visit(output, batch) for each batch.
template <class T, class Space, class Target, class Source, class Visit>
[[gnu::cold]] void for_batches(Sequential<T, Space>& net, Source& source, Index size, Batch<T, Target, Space>& batch, std::vector<Index>& order, Visit visit) {
  require(size >= 1, "evaluate: a batch of ", size, " examples");
  const Index n = source.size();
  order.resize(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) order[static_cast<std::size_t>(i)] = i;
  for (Index first = 0; first < n; first += size) {
    batch.fill(source, std::span<const Index>(order).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(std::min(size, n - first))), Random(0));
    visit(net.forward(batch.x()), batch);
  }
}

/// Adds the predictions of a batch to a confusion matrix, which takes its size from the first one.
template <class T, class Space>
void count_predictions(ConfusionMatrix& confusion, In<T, Space> scores, const Tensor<std::int32_t, Cpu>& labels, Tensor<T, Cpu>& held) {
  if (scores.shape.rank() != 2) return;
  if (confusion.classes() == 0) confusion = ConfusionMatrix(scores.shape[1]);
  confusion.add(on_host<T, Space>(scores, held), labels);
}

}  // namespace detail

/// Predictions of a network on labelled data, in inference: accuracy, number of errors, confusion matrix. The output is [N,C], the largest score wins.
template <class T, class Space, class Source>
Evaluation evaluate(Sequential<T, Space>& net, Source&& source, Index batch = 256) {
  Evaluation out;
  detail::Batch<T, std::int32_t, Space> memory;
  std::vector<Index> order;
  Tensor<T, Cpu> held;
  detail::for_batches(net, source, batch, memory, order, [&](In<T, Space> y, const auto& b) {
    require<ShapeError>(y.shape.rank() == 2, "evaluate: the network gives ", y.shape, "; scores [N,C] are needed");
    detail::count_predictions<T, Space>(out.confusion, y, b.host_target, held);
  });
  return out;
}
/// The same, and the loss.
template <class T, class Space, class Loss, class Source>
requires requires { typename std::remove_reference_t<Loss>::Target; }
Evaluation evaluate(Sequential<T, Space>& net, Loss&& loss, Source&& source, Index batch = 256) {
  using Target = typename std::remove_reference_t<Loss>::Target;
  Evaluation out;
  detail::Batch<T, Target, Space> memory;
  std::vector<Index> order;
  Tensor<T, Cpu> held;
  Index seen = 0;
  detail::for_batches(net, source, batch, memory, order, [&](In<T, Space> y, const auto& b) {
    const Index n = b.host_x.dim(0);
    out.loss += loss(y, b.target()) * static_cast<double>(n);
    seen += n;
    if constexpr (std::is_same_v<Target, std::int32_t>) {
      if (y.shape.rank() == 2 && y.shape[1] >= 2) detail::count_predictions<T, Space>(out.confusion, y, b.host_target, held);
    }
  });
  if (seen) out.loss /= static_cast<double>(seen);
  return out;
}

}  // namespace ventral::inline v0
