#pragma once
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "ventral/capture.hpp"
#include "ventral/data/streamed.hpp"
#include "ventral/training_log.hpp"

namespace ventral::inline v0 {

/// What to look at when choosing the best epoch: the loss, or the share of errors (labels only).
enum class Monitor { loss, error };

/// How far a training run is. With the weights, the optimizer's state and the network's random state it is all that a run needs to go on; see
/// io/checkpoint.hpp.
struct TrainingState {
  Index epoch = 0, step = 0;                              ///< epochs and steps done
  double best = std::numeric_limits<double>::infinity();  ///< smallest monitored value on the validation data
  Index best_epoch = 0, waited = 0;                       ///< the epoch of `best`, counted from 1, and epochs since
};

struct TrainingOptions {
  Index epochs = 10, batch = 64;
  std::uint64_t seed = 1;  ///< of the order and the augmentation; the network's own seed is set by initialize(seed)
  bool shuffle = true;
  bool drop_last = false;                                     ///< leaves out the last batch of an epoch when it is smaller than the others
  std::function<double(Index step)> schedule = {};            ///< learning rate, see schedule.hpp; without one the optimizer's rate stays
  double clip_norm = 0;                                       ///< of the gradient; 0: not clipped
  bool capture = false;                                       ///< on Cuda: whole batches as one CUDA graph each, see capture.hpp, on data that are all there or streamed; on Cpu nothing
  bool stream = false;                                        ///< on Cuda: the next batches come while the device works, see data/streamed.hpp; on Cpu nothing
  bool persistent = false;                                    ///< with `capture`: steps by one kernel that stays on the device, see CaptureOptions
  Index look_every = 50;                                      ///< steps between looks at the losses of captured steps
  Monitor monitor = Monitor::loss;                            ///< on the validation data
  Index patience = 0;                                         ///< stops after so many epochs in a row without a better one; 0: never
  TrainingState start = {};                                   ///< where to go on: what load_checkpoint returned
  Index checkpoint_every = 1;                                 ///< epochs; the last epoch is always saved
  std::function<void(const TrainingState&)> checkpoint = {};  ///< what saves a checkpoint: `checkpoint_to(path, net, optimizer)`
  std::function<void(const EpochReport&)> on_epoch = {};
  std::FILE* log = stdout;  ///< a progress bar where it is a terminal, else a line for each epoch; null: silent
};

struct TrainingResult {
  TrainingState state;
  std::vector<EpochReport> epochs;  ///< those of this call
  bool stopped_early = false;
};

namespace detail {

/// In place of validation data that there are none of.
struct NoValidation {};

/// One run of fit: its memory, so that steps allocate nothing.
template <class T, class Space, class Loss, class Source, class Validation>
class TrainingRun {
 public:
  [[gnu::cold]] TrainingRun(Sequential<T, Space>& net, Loss& loss, Optimizer<T, Space>& optimizer, Source& source, Validation* validation, const TrainingOptions& options)
      : net_(net), loss_(loss), optimizer_(optimizer), source_(source), validation_(validation), options_(options), log_(options.log) {
    require(options.epochs >= 0 && options.batch >= 1, "fit: ", options.epochs, " epochs with a batch of ", options.batch);
    require(options.patience == 0 || !std::is_same_v<Validation, NoValidation>, "fit: patience needs validation data");
    require(options.monitor == Monitor::loss || has_labels<Loss>, "fit: Monitor::error needs a loss on labels");
    require(options.capture || !options.persistent, "fit: persistent steps are a kind of captured ones; set `capture`, too");
    require(options.checkpoint_every >= 1, "fit: a checkpoint every ", options.checkpoint_every, " epochs");
    const Index n = source.size();
    require(n >= 1, "fit: the data set is empty");
    require(!options.drop_last || n >= options.batch, "fit: ", n, " examples make no full batch of ", options.batch, ", and drop_last leaves the others out");
    batches_ = options.drop_last ? n / options.batch : (n + options.batch - 1) / options.batch;
    order_.resize(static_cast<std::size_t>(n));
  }

  [[gnu::cold]] TrainingResult run() {
    TrainingResult out;
    TrainingState& state = out.state = options_.start;
    if (options_.stream) stream();
    if (options_.capture) capture();
    const auto worn_out = [&] { return options_.patience > 0 && state.waited >= options_.patience; };
    while (state.epoch < options_.epochs && !worn_out()) {
      EpochReport report = train_epoch(state);
      if constexpr (!std::is_same_v<Validation, NoValidation>) validate(report, state);
      log_.epoch(report);
      if (options_.checkpoint && (state.epoch % options_.checkpoint_every == 0 || state.epoch == options_.epochs || worn_out())) options_.checkpoint(state);
      if (options_.on_epoch) options_.on_epoch(report);
      out.epochs.push_back(report);
    }
    out.stopped_early = worn_out();
    return out;
  }

 private:
  /// Whether steps can be captured: on a device, with a loss that need not be waited for.
  static constexpr bool captures = requires(Loss& loss) { typename Space::Graph; loss.check(Shape(), In<typename Loss::Target, Space>()); };

  static constexpr bool streams = has_streams<Space>;

  /// The order of the examples: a function of seed and epoch alone.
  void choose_order(Index epoch) {
    for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<Index>(i);
    if (options_.shuffle) Random(options_.seed, mix(1, static_cast<std::uint64_t>(epoch))).shuffle(order_.begin(), order_.end());
  }

  [[gnu::cold]] EpochReport train_epoch(TrainingState& state) {
    const auto begin = std::chrono::steady_clock::now();
    choose_order(state.epoch);
    EpochReport report{.epoch = state.epoch + 1, .epochs = options_.epochs};
    sums_ = {};
    if constexpr (streams)
      if (streamed_) start_streaming(state.step);
    Index b = 0;
    if (captured_) b = run_captured(report, state);
    for (; b < batches_; ++b) {
      const std::size_t first = static_cast<std::size_t>(b * options_.batch), size = std::min(static_cast<std::size_t>(options_.batch), order_.size() - first);
      const double loss = step(std::span<const Index>(order_).subspan(first, size), state.step);
      Index right = 0;
      if constexpr (has_labels<Loss>) right = hits();
      count(report, state, static_cast<Index>(size), loss, right);
    }
    ++state.epoch;
    report.steps = state.step;
    report.loss = sums_.loss / static_cast<double>(sums_.seen);
    if (counted_) report.accuracy = static_cast<double>(sums_.right) / static_cast<double>(sums_.seen);
    report.rate = optimizer_.rate();
    report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return report;
  }

  /// Adds up a step that is done.
  void count(const EpochReport& report, TrainingState& state, Index size, double loss, Index right) {
    sums_.loss += loss * static_cast<double>(size);
    sums_.seen += size;
    sums_.right += right;
    ++sums_.steps, ++state.step;
    log_.step(report, sums_.steps, batches_, sums_.loss / static_cast<double>(sums_.seen));
  }
  /// Stops at a loss that is not finite.
  template <class Why>
  [[noreturn, gnu::cold]] void fail(Index number, double loss, Why why) {
    log_.newline();
    throw Error(concat("training stopped in step ", number + 1, " (epoch ", number / batches_ + 1, "): the loss is ", loss, "; ", why()));
  }

  /// Prepares to bring batches to the device one by one.
  [[gnu::cold]] void stream() {
    if constexpr (streams) {
      const auto check = [this](In<typename Loss::Target, Cpu> target) {
        if constexpr (captures)
          if (captured_) static_cast<void>(loss_.check(captured_->output_shape(), target));
      };
      streamed_.emplace(source_, options_.batch, check);
    }
  }
  [[gnu::cold]] void start_streaming(Index step) {
    const Index examples = std::min(batches_ * options_.batch, static_cast<Index>(order_.size()));
    streamed_->start(std::span<const Index>(order_).first(static_cast<std::size_t>(examples)), [this, step](Index b) { return draws(step + b); });
  }
  /// Brings the data to the device. The graph is captured in the second step.
  [[gnu::cold]] void capture() {
    constexpr bool fixed = requires { source_.fixed(); };
    if constexpr (captures) {
      if (source_.size() < options_.batch) return;
      if (streamed_) return make_captured(streamed_->data());
    }
    if constexpr (captures && fixed) {
      using Data = ResidentData<T, typename Loss::Target, Space>;
      if constexpr (has_bytes<Source>) data_.emplace(Data::bytes_of(source_));
      else data_.emplace(Data::of(source_));
      make_captured(*data_);
    } else {
      require(std::is_same_v<Space, Cpu>, "fit: steps with this ", captures ? "source, which has no fixed(), " : "loss, which has no queue(), ", "cannot be captured");
    }
  }
  template <class Data>
  void make_captured(const Data& data) {
    captured_.emplace(net_, loss_, optimizer_, data, CaptureOptions{options_.batch, options_.clip_norm, options_.look_every, options_.persistent});
    counted_ = captured_->classifies();
  }
  /// All whole batches of an epoch; returns their number.
  [[gnu::cold]] Index run_captured(const EpochReport& report, TrainingState& state) {
    if constexpr (captures) {
      if (streamed_) captured_->follow();
      else captured_->follow(order_);
      const auto look = [&] {
        captured_->collect([&](double loss, Index right) {
          if (!std::isfinite(loss)) fail(state.step, loss, [&] { return streamed_ ? explain(state.step) : captured_->explain(); });
          count(report, state, options_.batch, loss, right);
        });
      };
      const Index whole = static_cast<Index>(order_.size()) / options_.batch;
      const bool one_by_one = options_.schedule || streamed_;
      for (Index b = 0, steps; b < whole; b += steps) {
        steps = one_by_one ? 1 : std::min(whole - b, options_.look_every - captured_->pending());
        if (options_.schedule) optimizer_.set_rate(options_.schedule(state.step + captured_->pending()));
        if (streamed_) streamed_->next();
        captured_->run(steps);
        if (streamed_) streamed_->done();
        if (captured_->pending() == options_.look_every) look();
      }
      look();
      return whole;
    } else {
      return static_cast<void>(report), static_cast<void>(state), 0;
    }
  }

  /// What the augmentation of a step draws from.
  Random draws(Index number) const { return Random(options_.seed, mix(2, static_cast<std::uint64_t>(number))); }
  /// Why the loss of a step that is the next one of this epoch was not finite. Its batch has gone from the device, and is asked for again.
  [[gnu::cold]] std::string explain(Index number) {
    if constexpr (streams) streamed_->stop();
    const std::size_t first = static_cast<std::size_t>(sums_.steps * options_.batch);
    batch_.fill(source_, std::span<const Index>(order_).subspan(first, static_cast<std::size_t>(options_.batch)), draws(number));
    net_.forward(batch_.x(), Mode::training);
    return explain_non_finite(net_, batch_.x());
  }

  void next_batch(std::span<const Index> which, Index number) {
    if constexpr (streams)
      if (streamed_) return batch_.take(*streamed_, streamed_->next());
    batch_.fill(source_, which, draws(number));
  }
  /// Forward, loss, backward, update.
  [[gnu::cold]] double step(std::span<const Index> which, Index number) {
    next_batch(which, number);
    if (options_.schedule) optimizer_.set_rate(options_.schedule(number));
    optimizer_.zero_gradients();
    output_ = net_.forward(batch_.x(), Mode::training);
    dy_.resize(output_.shape);
    const double loss = loss_(output_, batch_.target(), dy_);
    if (!std::isfinite(loss)) [[unlikely]] fail(number, loss, [&] { return explain_non_finite(net_, batch_.x()); });
    net_.backward(dy_);
    if (options_.clip_norm > 0) optimizer_.clip_gradient_norm(options_.clip_norm);
    optimizer_.step();
    return loss;
  }

  /// How many of the batch just trained on were classified right.
  Index hits() {
    if (output_.shape.rank() != 2 || output_.shape[1] < 2) return 0;
    counted_ = true;
    const In<T, Cpu> scores = on_host<T, Space>(output_, held_);
    const Index classes = scores.shape[1];
    Index right = 0;
    for (Index i = 0; i < scores.shape[0]; ++i) right += argmax(scores.data + i * classes, classes) == batch_.host_target[i];
    return right;
  }

  [[gnu::cold]] void validate(EpochReport& report, TrainingState& state) {
    const Evaluation found = evaluate(net_, loss_, *validation_, options_.batch);
    report.validated = true;
    report.validation_loss = found.loss;
    if (found.confusion.classes()) report.validation_accuracy = found.accuracy();
    const double value = options_.monitor == Monitor::loss ? found.loss : 1 - found.accuracy();
    ++state.waited;
    if (value < state.best) state.best = value, state.best_epoch = state.epoch, state.waited = 0;
  }

  Sequential<T, Space>& net_;
  Loss& loss_;
  Optimizer<T, Space>& optimizer_;
  Source& source_;
  Validation* validation_;
  const TrainingOptions& options_;
  TrainingLog log_;
  std::vector<Index> order_;
  Batch<T, typename Loss::Target, Space> batch_;
  In<T, Space> output_;
  Tensor<T, Space> dy_;
  Tensor<T, Cpu> held_;
  Index batches_ = 0;
  bool counted_ = false;
  struct {
    double loss = 0;  // by example
    Index seen = 0, right = 0, steps = 0;
  } sums_;  // of this epoch
  std::optional<ResidentData<T, typename Loss::Target, Space>> data_;  // where steps are captured
  std::optional<StreamedOn<T, typename Loss::Target, Space, Source>> streamed_;
  std::optional<std::conditional_t<captures, CapturedStep<T, Space, Loss>, NoValidation>> captured_;
};

}  // namespace detail

/// Trains a network: each epoch takes all examples once, in batches, in an order drawn from (seed, epoch); each step is forward, loss, backward, update.
/// After each epoch the network is measured on `validation`. The same seed gives the same weights, bit for bit, for any number of threads and
/// however often the run was interrupted and resumed. A step allocates nothing after the first of its shape.
/// Throws Error at the first loss that is not finite, before the weights change, and names the first layer whose activation is not finite.
/// Sources of data: see data/batches.hpp.
template <class T, class Space, class Loss, class Source, class Validation>
TrainingResult fit(Sequential<T, Space>& net, Loss&& loss, Optimizer<std::type_identity_t<T>, std::type_identity_t<Space>>& optimizer, Source&& source,
                   Validation&& validation, const TrainingOptions& options) {
  using Run = detail::TrainingRun<T, Space, std::remove_reference_t<Loss>, std::remove_reference_t<Source>, std::remove_reference_t<Validation>>;
  return Run(net, loss, optimizer, source, &validation, options).run();
}
/// The same without validation data.
template <class T, class Space, class Loss, class Source>
TrainingResult fit(Sequential<T, Space>& net, Loss&& loss, Optimizer<std::type_identity_t<T>, std::type_identity_t<Space>>& optimizer, Source&& source,
                   const TrainingOptions& options = {}) {
  using Run = detail::TrainingRun<T, Space, std::remove_reference_t<Loss>, std::remove_reference_t<Source>, detail::NoValidation>;
  return Run(net, loss, optimizer, source, nullptr, options).run();
}

}  // namespace ventral::inline v0
