#pragma once
/// Everything the GPU can do: the declarations of all launchers, twins of the functions of the same names in ventral/cpu/. What they compute is
/// documented there; how, in kernels/ventral/cuda/. A layer calls them unqualified and finds them by the type of its stream.
/// The library behind ventral::cuda has them for float and double, and those of networks for bfloat16 and half.
#include "ventral/activation_function.hpp"
#include "ventral/cpu/local_contrast_norm.hpp"
#include "ventral/cpu/loss.hpp"
#include "ventral/cpu/optimizer.hpp"
#include "ventral/cuda/space.hpp"
#include "ventral/divisive_box.hpp"
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
void linear_backward_input(Stream, In<T> w, In<T> dy, Out<T> dx);
template <class T>
void linear_backward_weight(Stream, In<T> x, In<T> dy, Out<T> dw);
template <class T>
void linear_backward_bias(Stream, In<T> dy, Out<T> db);

// ---- convolution
template <class T>
void conv2d_forward(Stream, const WindowPlan& plan, Index groups, In<T> x, In<T> w, In<T> b, Out<T> y);
template <class T>
void conv2d_backward_input(Stream, const WindowPlan& plan, Index groups, In<T> w, In<T> dy, Out<T> dx);
template <class T>
void conv2d_backward_weight(Stream, const WindowPlan& plan, Index groups, In<T> x, In<T> dy, Out<T> dw);
template <class T>
void conv2d_backward_bias(Stream, In<T> dy, Out<T> db);
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
void dropout_forward(Stream, const Random& random, double rate, In<T> x, Out<T> y, Out<unsigned char> mask);
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

// ---- losses: they return the sum over all positions, after one small copy to main memory
template <class T>
LabelSum sum_labels(Stream, Index ignore, Index classes, In<std::int32_t> labels, TensorRef<const T, Space> weights);
LabelSum sum_signs(Stream, In<std::int32_t> labels);
template <class T>
double softmax_cross_entropy(Stream, double smoothing, Index ignore, double scale, In<T> x, In<std::int32_t> labels, In<T> weights, Out<double> sums,
                             Out<T> values, Out<T> dx);
template <class T>
double negative_log_likelihood(Stream, double smoothing, Index ignore, double scale, In<T> x, In<std::int32_t> labels, In<T> weights, Out<double> sums,
                               Out<T> values, Out<T> dx);
template <class T>
double squared_error(Stream, double scale, In<T> x, In<T> target, Out<double> sums, Out<T> values, Out<T> dx);
template <class T>
double binary_cross_entropy(Stream, double positive_weight, double scale, In<T> x, In<T> target, Out<double> sums, Out<T> values, Out<T> dx);
template <class T>
double binary_hinge(Stream, double margin, bool tie_counts, double scale, In<T> x, In<std::int32_t> labels, Out<double> sums, Out<T> values, Out<T> dx);
template <class T>
double class_hinge(Stream, double margin, bool tie_counts, double scale, In<T> x, In<std::int32_t> labels, Out<double> sums, Out<T> values, Out<T> dx);

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
double absolute_sum(Stream, TensorRef<const T, Space> x);
template <class T>
double absolute_max(Stream, TensorRef<const T, Space> x);
template <class T>
void scaled_sum(Stream, double a, In<T> x, double b, Out<T> y);
template <class T>
void limit_values(Stream, double limit, Out<T> x);

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
