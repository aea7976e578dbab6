#pragma once
#include "ventral/cpu/batch_norm2d.hpp"
#include "ventral/layer.hpp"

namespace ventral::inline v0 {

struct BatchNorm2dOptions {
  Index channels = 0;
  double eps = 1e-5;
  double momentum = 0.1;                ///< share of the newest batch in the running statistics, as in PyTorch (ONNX counts the other share)
  bool affine = true;                   ///< learn a weight and a bias per channel
  bool use_running_statistics = false;  ///< in training too, and leave them as they are: for fine-tuning with frozen statistics
};
/// Batch normalization: y = weight (x - mean) / sqrt(variance + eps) + bias per channel. x [N,C,H,W], or any [N,C,...].
/// Training: mean and population variance of the batch, and running = (1 - momentum) running + momentum batch with the unbiased variance;
/// inference: the running statistics. They are double inside, so a large mean costs no precision. PyTorch's num_batches_tracked is left out.
/// Gradient: dx = weight / s (dy - mean(dy) - xhat mean(dy xhat)), xhat = (x - mean) / s, s = sqrt(variance + eps); weight dy / s with
/// running statistics; dweight = sum dy xhat; dbias = sum dy. Throws ShapeError for other channels, and in training for one value a channel.
/// Source: Ioffe, Szegedy 2015.
template <class T, class SpaceType = Cpu>
class BatchNorm2d {
 public:
  using Scalar = T;
  using Space = SpaceType;
  using Options = BatchNorm2dOptions;
  static constexpr const char* kind = "BatchNorm2d";

  Parameter<T, Space> weight, bias;              ///< [C], 1 and 0 at first; empty when not affine
  Buffer<T, Space> running_mean, running_var;  ///< [C], 0 and 1 at first

  explicit BatchNorm2d(Options o) : running_mean(Shape{checked(o)}), running_var(Shape{o.channels}), options_(o) {
    if (o.affine) weight = Parameter<T, Space>(Shape{o.channels}), bias = Parameter<T, Space>(Shape{o.channels});
    initialize(Random());
  }

  Shape output_shape(const Shape& x) const {
    require<ShapeError>(x.rank() >= 2, kind, ": input ", x, " has rank ", x.rank(), "; [N,C,H,W] or [N,C] expected");
    require<ShapeError>(x[1] == options_.channels, kind, ": input ", x, " has ", x[1], " channels; ", options_.channels, " expected");
    return x;
  }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass) {
    const Index channels = options_.channels;
    const bool batch = pass.training() && !options_.use_running_statistics;
    const Out<double, Space> statistics = pass.training() ? pass.template keep<double>(0, {2, channels}) : pass.template workspace<double>(0, {2, channels});
    if (x.size() == 0) return;
    if (batch) {
      require<ShapeError>(x.size() > channels, kind, ": input ", x.shape, " has one value a channel; batch statistics need at least 2");
      if constexpr (std::is_same_v<Space, Cpu>) {
        return batch_norm_train(x.stream(), options_.eps, options_.momentum, weight.value, bias.value, x, y, statistics, running_mean.value.ref(),
                                running_var.value.ref());
      } else {
        const Out<double, Space> planes = pass.template workspace<double>(1, {2, x.shape[0] + 1, channels});
        batch_norm_statistics(x.stream(), options_.eps, options_.momentum, x, planes, statistics, running_mean.value.ref(), running_var.value.ref());
      }
    } else {
      batch_norm_running_statistics<T>(x.stream(), options_.eps, running_mean.value, running_var.value, statistics);
    }
    batch_norm_forward(x.stream(), statistics, weight.value, bias.value, x, y);
  }
  void backward(In<T, Space> x, In<T, Space>, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) {
    const Index channels = options_.channels;
    const In<double, Space> statistics = pass.template kept<double>(0, {2, channels});
    const bool batch = !options_.use_running_statistics, learns = options_.affine && !(weight.frozen && bias.frozen);
    if (x.size() == 0) return;
    Out<T, Space> dw, db;
    if (learns && !weight.frozen) dw = weight.accumulated_gradient();
    if (learns && !bias.frozen) db = bias.accumulated_gradient();
    if constexpr (std::is_same_v<Space, Cpu>) {
      if (dx || learns) batch_norm_backward(x.stream(), batch, statistics, weight.value, x, dy, dw, db, dx ? *dx : Out<T, Space>());
    } else {
      Out<double, Space> sums;
      if (batch || learns) {
        sums = pass.template workspace<double>(0, {2, channels});
        batch_norm_sums<T>(x.stream(), statistics, x, dy, pass.template workspace<double>(1, {2, x.shape[0] + 1, channels}), sums);
      }
      if (learns) batch_norm_add_gradients(x.stream(), statistics, sums, dw, db);
      if (dx) batch_norm_backward(x.stream(), statistics, batch ? sums : Out<double, Space>(), weight.value, x, dy, *dx);
    }
  }
  /// Of the statistics.
  Index kept_bytes(const Shape&, Format) const { return 2 * options_.channels * static_cast<Index>(sizeof(double)); }
  /// Whether x, y and their gradients may lie in blocks.
  bool takes_blocks(const Shape&) const { return std::is_same_v<T, float> && std::is_same_v<Space, Cpu>; }

  std::vector<NamedParameter<T, Space>> parameters() {
    if (!options_.affine) return {};
    return {{"weight", &weight}, {"bias", &bias}};
  }
  std::vector<NamedBuffer<T, Space>> buffers() { return {{"running_mean", &running_mean}, {"running_var", &running_var}}; }
  /// Weight 1, bias 0, and running statistics that change nothing.
  void initialize(Random) {
    weight.value.fill(T(1));
    bias.value.zero();
    running_mean.value.zero();
    running_var.value.fill(T(1));
  }
  /// Sets the option of that name, before fine-tuning a network that was built without it.
  void use_running_statistics(bool on) { options_.use_running_statistics = on; }
  /// A multiply and an add per element.
  Index flops(const Shape& x) const { return 2 * x.size(); }

 private:
  static Index checked(const Options& o) {
    require<ShapeError>(o.channels >= 1, kind, ": ", o.channels, " channels; at least 1 is needed");
    require(o.eps > 0, kind, ": eps is ", o.eps, "; a positive number is needed");
    require(o.momentum >= 0 && o.momentum <= 1, kind, ": momentum is ", o.momentum, "; 0 to 1 expected");
    return o.channels;
  }

  Options options_;
};

}  // namespace ventral::inline v0
