#pragma once
#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ventral/data/resident.hpp"
#include "ventral/loss.hpp"
#include "ventral/non_finite.hpp"
#include "ventral/optimizer.hpp"
#include "ventral/scalar.hpp"
#include "ventral/sequential.hpp"

namespace ventral::inline v0 {

struct CaptureOptions {
  Index batch = 64;
  double clip_norm = 0;   ///< of the gradient, see Optimizer::clip_gradient_norm; 0: not clipped
  Index look_every = 50;  ///< steps after which the CPU fetches their losses, and may find one that is not finite
  bool persistent = false;  ///< steps by one kernel that stays on the device, for networks as small as LeNet-5; see CapturedStep
};

namespace detail {

template <class Loss>
constexpr bool has_labels = std::is_same_v<typename Loss::Target, std::int32_t>;

}  // namespace detail

/// A training step (gather a batch, forward, loss, backward, update) as one CUDA graph, which a run launches by one call, without waiting for it:
///
///     const auto data = ResidentData<float, std::int32_t, Cuda>::of(source);
///     auto step = net.capture_step(loss, optimizer, data, {.batch = 64});
///     step.run(1000);
///     std::printf("%g\n", step.loss());
///
/// Results are the same bits as those of the same steps uncaptured. The first run is an ordinary step, which allocates what steps need; the second captures.
/// The rate of the optimizer may be changed between runs. Gradients are 0 after a step: the update clears them. What the CPU does in a step cannot be
/// captured: layers that read results in main memory; it is an error. Augmented data, and those that do not fit, come by data/streamed.hpp.
/// At a loss that is not finite the device stops updating by itself, so parameters and the optimizer's state stay those before that step until the CPU
/// looks (buffers, such as running statistics, go on until then).
/// With CaptureOptions::persistent there is no graph: the steps between two looks of the CPU are one launch of a kernel that takes an image a block through
/// the whole network and back, in shared memory. For float and double; layers that Sequential::describe knows, SoftmaxCrossEntropy without options, SGD, no
/// clipping; anything else is an Error. Its sums have another order, so results differ from those of other steps by rounding.
/// Network, loss, optimizer and data must outlive it, and layers not be replaced. It has activations of its own, beside those of the network, which
/// net.activation() does not see.
template <class T, class SpaceType, class Loss>
class CapturedStep {
  static_assert(requires { typename SpaceType::Graph; }, "steps are captured on Cuda alone; on Cpu a step is forward, loss, backward and update as ever");

 public:
  using Space = SpaceType;
  using Target = typename Loss::Target;
  using Data = ResidentData<T, Target, Space>;

  /// Throws Error when shapes or labels do not fit, for all examples at once.
  [[gnu::cold]] CapturedStep(Sequential<T, Space>& net, Loss& loss, Optimizer<T, Space>& optimizer, const Data& data, const CaptureOptions& o)
      : net_(net), loss_(loss), optimizer_(optimizer), data_(data), batch_(o.batch), room_(o.look_every), clip_norm_(o.clip_norm) {
    require(o.batch >= 1 && o.batch <= data.size(), "capture_step: a batch of ", o.batch, " from ", data.size(), " examples");
    require(o.look_every >= 1, "capture_step: look_every is ", o.look_every);
    x_.resize(data.shape().with(0, batch_));
    target_.resize(data.target().shape.with(0, batch_));
    y_.resize(net.output_shape(x_.shape()));
    dy_.resize(y_.shape());
    all_count_ = loss.check(y_.shape(), data.target()) && data.fixed();
    order_.resize({data.size()});
    state_.resize({static_cast<Index>(sizeof(State))});
    reports_.resize({room_ * static_cast<Index>(sizeof(Report))});
    fetched_.resize(static_cast<std::size_t>(room_));
    if (o.persistent) make_persistent();
    follow();
  }

  Index batch() const { return batch_; }
  /// Kernels, copies and clearings in the graph; 0 before the second step, and without a graph.
  std::size_t size() const { return graph_.size(); }
  /// Their names, in order.
  const std::vector<const char*>& nodes() const { return graph_.nodes(); }
  /// Whether the output is scores of classes, so that it is known how many were right.
  bool classifies() const { return detail::has_labels<Loss> && y_.rank() == 2 && y_.dim(1) >= 2; }

  /// The examples of the next steps, in this order; whole batches only, and then from its beginning again. Copies it to the device.
  void follow(std::span<const Index> order) {
    static_assert(sizeof(Index) == sizeof(std::int64_t));
    const Index n = static_cast<Index>(order.size());
    require(batch_ <= n && n <= data_.size(), "captured step: an order of ", n, " examples; ", batch_, " to ", data_.size(), " expected");
    for (const Index i : order) require(0 <= i && i < data_.size(), "captured step: example ", i, " of ", data_.size());
    Space::copy_from_host(order_.data(), order.data(), order.size_bytes());
    in_order_ = false;
    at_.examples = n;
    at_.position = 0;
    moved_ = true;
  }

  /// The examples in the order of the data. Waits for nothing.
  void follow() {
    if (!in_order_) restore_order();
    at_.examples = data_.size();
    at_.position = 0;
    moved_ = true;
  }
  /// Of the network, for a batch.
  const Shape& output_shape() const { return y_.shape(); }

  /// Queues so many steps. Waits only every `look_every` steps, for their losses.
  void run(Index steps = 1) {
    while (steps > 0) {
      if (pending_ == room_) collect();
      steps -= run_some(std::min(steps, room_ - pending_));
    }
  }
  /// Steps run since their losses were collected.
  Index pending() const { return pending_; }
  /// The loss of the last step run, for which it waits. Throws as collect().
  double loss() {
    collect();
    return last_;
  }
  /// Waits for the steps run since the last time and calls visit(loss, how many were right) for each, in order. At a loss that is not finite, after that call
  /// throws Error that names the first layer whose activation is not finite; network and optimizer are then as they were before that step.
  template <class Visit>
  void collect(Visit visit) {
    if (pending_ == 0) return;
    Space::copy_to_host(fetched_.data(), reports_.data(), fetched_.size() * sizeof(Report));
    for (; pending_ > 0; --pending_) {
      const Report& report = fetched_[static_cast<std::size_t>((at_.done - pending_) % room_)];
      last_ = report.loss;
      if (!std::isfinite(last_)) [[unlikely]] go_back();
      visit(last_, static_cast<Index>(report.right));
      if (!std::isfinite(last_)) [[unlikely]] throw Error(concat("captured step ", at_.done + 1, ": the loss is ", last_, "; ", explain()));
    }
  }
  void collect() {
    collect([](double, Index) {});
  }
  /// After a loss that is not finite: why, in words.
  [[gnu::cold]] std::string explain() {
    go_to();
    gather();
    net_.forward(x_, Mode::training);
    return detail::explain_non_finite<T, Space>(net_, x_);
  }

 private:
  using State = typename Space::StepState;
  using Report = typename Space::StepReport;
  static constexpr bool persists = is_one_of<T, float, double> && std::is_same_v<Loss, SoftmaxCrossEntropy<T, Space>>;

  State* state() { return static_cast<State*>(static_cast<void*>(state_.data())); }

  [[gnu::cold]] void restore_order() {
    std::vector<Index> order(static_cast<std::size_t>(data_.size()));
    std::iota(order.begin(), order.end(), Index{0});
    Space::copy_from_host(order_.data(), order.data(), order.size() * sizeof(Index));
    in_order_ = true;
  }
  /// Tells the device where training is. Gradients of other steps, or of those after a halt, are cleared.
  void go_to() {
    at_.step = net_.step();
    optimizer_.zero_gradients();
    set_step(Space::stream(), at_, state());
    moved_ = false;
  }

  [[gnu::cold]] void make_persistent() {
    if constexpr (persists) {
      require(data_.fixed(), "capture_step: a persistent kernel works on data that are all on the device, not on streamed ones");
      require(clip_norm_ == 0, "capture_step: a persistent kernel does not clip gradients");
      require(all_count_ && loss_.plain(), "capture_step: a persistent kernel knows ", Loss::kind, " without smoothing, class weights or labels to ignore, averaged over the batch");
      require(y_.rank() == 2 && y_.dim(1) >= 1, "capture_step: a persistent kernel needs scores [N,C] of at least one class; the network gives ", y_.shape());
      small_.emplace(net_.describe(x_.shape()), x_.shape(), y_.dim(1), batch_);
    } else {
      throw Error("capture_step: a persistent kernel trains float and double by SoftmaxCrossEntropy alone");
    }
  }
  /// Steps of the persistent kernel. One, where the next ones may update otherwise: the first step of momentum differs.
  Index run_persistent([[maybe_unused]] Index steps) {
    if constexpr (persists) {
      const typename Space::StepPlan plan{batch_, room_, static_cast<Report*>(static_cast<void*>(reports_.data()))};
      optimizer_.prepare(updates_);
      if (const auto& counts = optimizer_.counts(); std::find(counts.begin(), counts.end(), Index{1}) != counts.end()) steps = 1;
      const auto [x, bytes, levels, share] = data_.kept();
      small_->run(Space::stream(), {x, bytes, levels, share, data_.target().data, order_.data()}, plan, steps, updates_, state());
      optimizer_.take_back(1 - steps);
    }
    return steps;
  }

  /// At most so many steps, at least one; returns how many.
  Index run_some(Index steps) {
    if (moved_ || net_.step() != at_.step) go_to();
    if (!ran_) {
      queue();
      optimizer_.prepare(updates_);
      update();
      ran_ = true;
      steps = 1;
    } else if (small_) {
      steps = run_persistent(steps);
    } else {
      steps = 1;
      if (graph_.size() == 0 || seed_ != net_.seed()) {
        graph_.capture([&] {
          queue();
          update();
        });
        seed_ = net_.seed();
      }
      optimizer_.prepare(updates_);
      graph_.launch();
    }
    pending_ += steps, at_.done += steps, at_.step += static_cast<std::uint64_t>(steps);  // as the device does
    at_.position = (at_.position / batch_ + steps) % (at_.examples / batch_) * batch_;
    net_.set_random_state(net_.seed(), at_.step);
    return steps;
  }

  void gather() {
    data_.gather(typename Space::BatchPlace{order_.data(), state()}, x_.ref(), target_.ref());
  }
  /// A step but for the update, which clears the gradients for the next one. Everything that changes is in *state(), or in the tables of the optimizer.
  void queue() {
    gather();
    pass_.start(Mode::training, net_.seed(), at_.step, &state()->step);
    net_.forward(x_, y_.ref(), pass_);
    const auto queued = loss_.template queue<typename Space::QueuedLoss>(y_, target_, dy_, all_count_);
    In<std::int32_t, Space> labels;
    if constexpr (detail::has_labels<Loss>)
      if (classifies()) labels = target_.ref();
    const typename Space::StepPlan plan{batch_, room_, static_cast<Report*>(static_cast<void*>(reports_.data()))};
    finish_step<T>(Space::stream(), queued, y_, labels, plan, state());
    net_.backward(x_, y_, dy_, nullptr, pass_);
  }

  void update() {
    if (clip_norm_ > 0) updates_.clip(Space::stream(), clip_norm_, state());
    updates_.run(Space::stream(), state());
  }

  /// Back before the first of the pending steps, as the device has not done it nor those after it.
  [[gnu::cold]] void go_back() {
    optimizer_.take_back(pending_);
    net_.set_random_state(net_.seed(), net_.step() - static_cast<std::uint64_t>(pending_));
    const Index rounds = at_.examples / batch_, batch = at_.position / batch_ - pending_ % rounds;
    at_.position = (batch < 0 ? batch + rounds : batch) * batch_;
    at_.done -= pending_;
    pending_ = 0;
    moved_ = true;
  }

  Sequential<T, Space>& net_;
  Loss& loss_;
  Optimizer<T, Space>& optimizer_;
  const Data& data_;
  Index batch_, room_;
  double clip_norm_;
  Tensor<T, Space> x_, y_, dy_;
  Tensor<Target, Space> target_;
  Tensor<std::int64_t, Space> order_;
  Tensor<unsigned char, Space> state_, reports_;  // a State, and a ring of Report
  std::vector<Report> fetched_;
  State at_;  // where the device will be after the steps queued
  bool moved_ = true, in_order_ = false, ran_ = false, all_count_ = false;
  Index pending_ = 0;
  std::uint64_t seed_ = 0;
  double last_ = 0;
  Pass<Space> pass_;
  typename Space::StepUpdates updates_;
  typename Space::Graph graph_;
  std::optional<std::conditional_t<persists, typename Space::template SmallNetwork<T>, bool>> small_;  // in its place
};

template <class T, class Space>
template <class Loss>
CapturedStep<T, Space, Loss> Sequential<T, Space>::capture_step(Loss& loss, Optimizer<T, Space>& optimizer,
                                                                const ResidentData<T, typename Loss::Target, Space>& data, const CaptureOptions& options) {
  return {*this, loss, optimizer, data, options};
}

}  // namespace ventral::inline v0
