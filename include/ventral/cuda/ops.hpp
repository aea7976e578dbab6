#pragma once
/// Everything the GPU can do: the declarations of all launchers, twins of the functions of the same names in ventral/cpu/. What they compute is
/// documented there; how, in kernels/ventral/cuda/. A layer calls them unqualified and finds them by the type of its stream.
/// The library behind ventral::cuda has them for float and double, and those of networks for bfloat16 and half.
#include "ventral/activation_function.hpp"
#include "ventral/cpu/local_contrast_norm.hpp"
#include "ventral/cpu/loss.hpp"
#include "ventral/cpu/optimizer.hpp"
#include "ventral/cuda/small_network.hpp"
#include "ventral/cuda/space.hpp"
#include "ventral/divisive_box.hpp"
#include "ventral/epilogue.hpp"
#include "ventral/random.hpp"
#include "ventral/tensor.hpp"
#include "ventral/window.hpp"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

template <class T>
using In = ventral::In<T, Space>;
template <class T>
using Out = ventral::Out<T, Space>;

// ---- matrices
template <class T>
void linear_forward(Stream, In<T> x, In<T> w, In<T> b, Out<T> y);
template <class T>
void linear_relu_forward(Stream, In<T> x, In<T> w, In<T> b, Out<T> y);
template <class T>
void linear_backward_input(Stream, In<T> w, In<T> dy, Out<T> dx);
template <class T>
void linear_backward_weight(Stream, In<T> x, In<T> dy, Out<T> dw);
template <class T>
void linear_backward_bias(Stream, In<T> dy, Out<T> db);
template <class T>
void linear_backward(Stream, In<T> x, In<T> y, In<T> w, In<T> dy, Out<T>* gated, Out<T>* dx, Out<T>* dw, Out<T>* db);

// ---- convolution
template <class T>
void conv2d_forward(Stream, const WindowPlan& plan, Index groups, In<T> x, In<T> w, In<T> b, Out<T> y);
template <class T>
void conv2d_backward_input(Stream, const WindowPlan& plan, Index groups, In<T> w, In<T> dy, Out<T> dx);
template <class T>
void conv2d_backward_weight(Stream, const WindowPlan& plan, Index groups, In<T> x, In<T> dy, Out<T> dw);
template <class T>
void conv2d_backward_bias(Stream, In<T> dy, Out<T> db);
/// Whether 3x3 convolutions of floats may run as Winograd's F(2x2,3x3), forward and by the input; for all threads. Off before a GPU has measured it.
bool winograd();
void set_winograd(bool on);
template <class T>
void conv2d_forward_fused(Stream, const WindowPlan& plan, Index groups, In<T> x, In<T> w, In<T> b, const Epilogue& e, Out<unsigned char> takers, Out<T> y);
template <class T>
void conv2d_backward_fused(Stream, const WindowPlan& plan, Index groups, In<T> x, In<T> w, In<T> y, In<unsigned char> takers, In<T> dy, const Epilogue& e,
                           Out<T>* dx, Out<T>* dw, Out<T>* db);
template <class T>
void add_channel_bias(Stream, In<T> b, Out<T> y);
template <class T>
void locally_connected_forward(Stream, const WindowPlan& plan, In<T> x, In<T> w, In<T> b, Out<T> y);
template <class T>
void locally_connected_backward_input(Stream, const WindowPlan& plan, In<T> w, In<T> dy, Out<T> dx);
template <class T>
void locally_connected_backward_weight(Stream, const WindowPlan& plan, In<T> x, In<T> dy, Out<T> dw);
template <class T>
void locally_connected_backward_bias(Stream, In<T> dy, Out<T> db);

// ---- activations
template <class Function, class T>
void activation_forward(Stream, const Function& f, In<T> x, Out<T> y);
template <class Function, class T>
void activation_backward(Stream, const Function& f, In<T> x, In<T> y, In<T> dy, Out<T> dx);
template <class T>
void prelu_forward(Stream, In<T> w, In<T> x, Out<T> y);
template <class T>
void prelu_backward(Stream, In<T> w, In<T> x, In<T> dy, Out<T> dx);
Index prelu_partial_sums(Stream, const Shape& x, Index slopes);
template <class T>
void prelu_backward_slope(Stream, In<T> x, In<T> dy, Out<double> partial, Out<T> dw);
template <class T>
void dropout_forward(Stream, const StepRandom& random, double rate, In<T> x, Out<T> y, Out<unsigned char> mask);
template <class T>
void dropout_backward(Stream, double rate, In<unsigned char> mask, In<T> dy, Out<T> dx);
template <class T>
void softmax_forward(Stream, int axis, In<T> x, Out<T> y);
template <class T>
void softmax_backward(Stream, int axis, In<T> y, In<T> dy, Out<T> dx);
template <class T>
void log_softmax_forward(Stream, int axis, In<T> x, Out<T> y);
template <class T>
void log_softmax_backward(Stream, int axis, In<T> y, In<T> dy, Out<T> dx);

// ---- joining branches
template <class T>
void add_tensors(Stream, In<T> a, In<T> b, Out<T> y);
template <class T>
void insert_channels(Stream, In<T> part, Index channel, Out<T> whole);
template <class T>
void extract_channels(Stream, In<T> whole, Index channel, Out<T> part);

// ---- pooling
template <class T>
void max_pool_forward(Stream, const WindowPlan& plan, In<T> x, Out<T> y, Out<std::int32_t> winners);
template <class T>
void max_pool_backward(Stream, const WindowPlan& plan, In<std::int32_t> winners, In<T> dy, Out<T> dx);
template <class T>
void mean_pool_forward(Stream, const WindowPlan& plan, bool count_include_pad, In<T> x, Out<T> y);
template <class T>
void mean_pool_backward(Stream, const WindowPlan& plan, bool count_include_pad, In<T> dy, Out<T> dx);
template <class T>
void lp_pool_forward(Stream, const WindowPlan& plan, double p, In<T> x, Out<T> y);
template <class T>
void lp_pool_backward(Stream, const WindowPlan& plan, double p, In<T> x, In<T> y, In<T> dy, Out<T> dx);
template <class T>
void global_max_pool_forward(Stream, In<T> x, Out<T> y, Out<std::int32_t> winners);
template <class T>
void global_mean_pool_forward(Stream, In<T> x, Out<T> y);
template <class T>
void global_mean_pool_backward(Stream, In<T> dy, Out<T> dx);

// ---- normalization
template <class T>
void batch_norm_statistics(Stream, double eps, double momentum, In<T> x, Out<double> planes, Out<double> statistics, Out<T> running_mean, Out<T> running_variance);
template <class T>
void batch_norm_running_statistics(Stream, double eps, In<T> running_mean, In<T> running_variance, Out<double> statistics);
template <class T>
void batch_norm_forward(Stream, In<double> statistics, In<T> w, In<T> b, In<T> x, Out<T> y);
template <class T>
void batch_norm_sums(Stream, In<double> statistics, In<T> x, In<T> dy, Out<double> planes, Out<double> sums);
template <class T>
void batch_norm_add_gradients(Stream, In<double> statistics, In<double> sums, Out<T> dw, Out<T> db);
template <class T>
void batch_norm_backward(Stream, In<double> statistics, In<double> sums, In<T> w, In<T> x, In<T> dy, Out<T> dx);
Index divisive_norm_scratch(Stream, const DivisiveRule& rule, const Shape& x);
template <class T>
void divisive_norm_forward(Stream, const DivisiveRule& rule, In<T> k, In<T> alpha, In<T> beta, In<T> x, Out<T> sums, Out<T> scratch, Out<T> y);
template <class T>
void divisive_norm_backward(Stream, const DivisiveRule& rule, In<T> k, In<T> alpha, In<T> beta, In<T> x, In<T> y, In<T> dy, In<T> sums, Out<T> scratch, Out<T> dx);
template <class T>
void divisive_norm_parameter_backward(Stream, const DivisiveRule& rule, In<T> k, In<T> alpha, In<T> beta, In<T> y, In<T> dy, In<T> sums, Out<double> partial,
                                      Out<T> dk, Out<T> dalpha, Out<T> dbeta);
Index gdn_scratch(Stream, const Shape& x);
template <class T>
void gdn_forward(Stream, double smallest_beta, In<T> beta, In<T> gamma, In<T> x, Out<T> norms, Out<T> scratch, Out<T> y);
template <class T>
void gdn_backward(Stream, double smallest_beta, In<T> beta, In<T> gamma, In<T> x, In<T> y, In<T> dy, In<T> norms, Out<T> q, Out<T> scratch, Out<T> dx,
                  Out<T> dbeta, Out<T> dgamma);
template <class T>
Index local_contrast_scratch(Stream, const ContrastRule& rule, const Shape& x);
template <class T>
void local_contrast_forward(Stream, const ContrastRule& rule, In<T> x, Out<T> sigma, Out<T> divisor, Out<T> scratch, Out<T> y);
template <class T>
void local_contrast_backward(Stream, const ContrastRule& rule, In<T> y, In<T> dy, In<T> sigma, In<T> divisor, Out<T> scratch, Out<T> dx);

// ---- losses: they return the sum over all positions, after one small copy to main memory; in a captured step they leave it in parts on the device

/// What the gradient of a loss is multiplied by: a number, or one over the weight of the labels, whose parts lie in device memory.
struct LossScale {
  double value = 1;
  const double* weights = nullptr;  ///< pairs, of which the first numbers count
  Index count = 0;
};
/// How a loss is called: with a number, to return the sum; or to leave `*left` partial sums where it has room for them.
struct LossCall {
  LossScale scale;
  Index* left = nullptr;
  LossCall(double factor) : scale{factor} {}
  LossCall(const LossScale& factor, Index* number) : scale(factor), left(number) {}
};

template <class T>
LabelSum sum_labels(Stream, Index ignore, Index classes, In<std::int32_t> labels, TensorRef<const T, Space> weights);
template <class T>
LossScale queue_label_weights(Stream, Index ignore, Index classes, In<std::int32_t> labels, TensorRef<const T, Space> weights, Out<double> room);
LabelSum sum_signs(Stream, In<std::int32_t> labels);
template <class T>
double softmax_cross_entropy(Stream, double smoothing, Index ignore, const LossCall& call, In<T> x, In<std::int32_t> labels, In<T> weights, Out<double> sums,
                             Out<T> values, Out<T> dx);
template <class T>
double negative_log_likelihood(Stream, double smoothing, Index ignore, const LossCall& call, In<T> x, In<std::int32_t> labels, In<T> weights, Out<double> sums,
                               Out<T> values, Out<T> dx);
template <class T>
double squared_error(Stream, const LossCall& call, In<T> x, In<T> target, Out<double> sums, Out<T> values, Out<T> dx);
template <class T>
double binary_cross_entropy(Stream, double positive_weight, const LossCall& call, In<T> x, In<T> target, Out<double> sums, Out<T> values, Out<T> dx);
template <class T>
double binary_hinge(Stream, double margin, bool tie_counts, const LossCall& call, In<T> x, In<std::int32_t> labels, Out<double> sums, Out<T> values, Out<T> dx);
template <class T>
double class_hinge(Stream, double margin, bool tie_counts, const LossCall& call, In<T> x, In<std::int32_t> labels, Out<double> sums, Out<T> values, Out<T> dx);

// ---- optimizers: updates are collected and run by finish_updates in one launch
template <class T>
void sgd_update(Stream, const SGDStep& o, In<T> gradient, Out<T> value, Out<T> velocity);
template <class T>
void adam_update(Stream, const AdamStep& o, In<T> gradient, Out<T> value, Out<T> mean, Out<T> square);
template <class T>
void rmsprop_update(Stream, const RMSPropStep& o, In<T> gradient, Out<T> value, Out<T> square, Out<T> mean, Out<T> velocity);
template <class T>
void adagrad_update(Stream, const AdagradStep& o, In<T> gradient, Out<T> value, Out<T> sum);
void begin_updates(Stream);
void finish_updates(Stream);
template <class T>
double dot(Stream, TensorRef<const T, Space> a, TensorRef<const T, Space> b);
template <class T>
double squared_norm(Stream, const std::vector<TensorRef<const T, Space>>& arrays);
template <class T>
double absolute_sum(Stream, TensorRef<const T, Space> x);
template <class T>
double absolute_max(Stream, TensorRef<const T, Space> x);
template <class T>
void scaled_sum(Stream, double a, In<T> x, double b, Out<T> y);
template <class T>
void limit_values(Stream, double limit, Out<T> x);

// ---- captured training steps, see capture.hpp

/// What changes from step to step, in device memory: written when training begins or goes on elsewhere, counted on by finish_step.
struct StepState {
  std::uint64_t step = 0;     ///< of the network's random numbers
  std::int64_t position = 0;  ///< of the batch in the order of the examples
  std::int64_t examples = 0;  ///< in that order
  std::int64_t done = 0;      ///< steps so far: where the next report goes
  std::int64_t halted = 0;    ///< 1 from the first loss on that is not finite: nothing is updated and the step stays
  double factor = 1;          ///< of the gradients: below 1 where their norm is clipped
};
/// What the CPU gets to know of a step.
struct StepReport {
  double loss = 0, right = 0;  ///< and how many of the batch were classified right
};
/// A loss that stays on the device: partial sums and the factor of their sum.
struct QueuedLoss {
  using Call = LossCall;
  const double* sums = nullptr;
  Index parts = 0;
  LossScale scale;
};
/// The examples of a batch: those that an order names from its beginning on, or in a captured step from state->position on.
struct BatchPlace {
  const std::int64_t* order;
  const StepState* state = nullptr;
};
/// The size of a batch, and where reports go, in turn.
struct StepPlan {
  Index batch, room;
  StepReport* reports;
};

void set_step(Stream, const StepState& value, StepState* state);
template <class T, class Target>
void gather_batch(Stream, const BatchPlace& place, In<T> kept, In<Target> targets, Out<T> x, Out<Target> target);
template <class T, class Target>
void gather_batch_of_bytes(Stream, const BatchPlace& place, In<unsigned char> kept, In<T> levels, In<Target> targets, Out<T> x, Out<Target> target);
template <class T>
void finish_step(Stream, const QueuedLoss& loss, In<T> scores, In<std::int32_t> labels, const StepPlan& plan, StepState* state);

/// The updates of a captured step, in a table of their own. Their constants (rate, Adam's corrections) are computed on the CPU before each run and sent
/// when they differ from those before; the graph holds the kernel that reads them.
class StepUpdates {
 public:
  StepUpdates();
  ~StepUpdates();
  StepUpdates(const StepUpdates&) = delete;
  StepUpdates& operator=(const StepUpdates&) = delete;
  /// Sends the updates that ask() asks for. Throws Error when they work on other arrays than those of the capture.
  template <class Ask>
  void collect(Stream stream, Ask&& ask) {
    begin();
    try {
      ask();
    } catch (...) {
      end();
      throw;
    }
    end();
    send(stream);
  }
  /// Queues the norm of the gradients of what was sent last, and the factor that limits it, which run() applies.
  void clip(Stream, double limit, StepState* state);
  /// Queues what was sent last, to be run unless `state` is halted.
  void run(Stream, const StepState* state);
  /// For the launchers that work through it themselves.
  const void* table() const { return table_; }

 private:
  void begin();
  void end() noexcept;
  void send(Stream);
  void* table_;
};

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
