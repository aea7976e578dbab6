#pragma once
/// Training steps of a small network as one kernel that stays on the device from step to step; see kernels/ventral/cuda/small_network.cuh. Included by ops.hpp.
#include <vector>

#include "ventral/cuda/space.hpp"
#include "ventral/small_stage.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

struct StepPlan;
struct StepState;
class StepUpdates;

namespace detail {

/// One axis of a window, as WindowAxis.
struct SmallAxis {
  int in = 1, out = 1, kernel = 1, stride = 1, before = 0, after = 0, dilation = 1;
};

/// A layer as the kernel sees it. Numbers of one image lie in shared memory: activations, in place where a layer is elementwise, and their gradients behind
/// them all. A trace is what an image leaves in device memory for the gradients of the parameters: of a linear layer x and dy, of a convolution its share of
/// dw and db.
template <class T>
struct SmallLayer {
  typename SmallStage<T, Space>::Kind kind;
  bool count_include_pad, gives_dx;
  int in_channels, out_channels;  ///< of a linear layer: in, out
  SmallAxis h, w;
  int x, y, winners;  ///< places of input, output and the winners of max pooling
  int trace;
  const T *weight, *bias;         ///< bias may be null
  int weight_update, bias_update;  ///< entries in the table of updates; -1: frozen
  T amplitude, gain;
};

template <class T>
struct SmallProgram {
  static constexpr int most_layers = 20;
  int layers = 0, inputs = 0, classes = 0, output = 0;       ///< numbers of an image and of its scores, and the place of those
  int activations = 0, winners = 0, trace = 0, updated = 0;  ///< numbers in all; `updated`: parameters with an update
  SmallLayer<T> layer[most_layers] = {};
};

}  // namespace detail

/// The examples: numbers x, or bytes with the levels they stand for (ResidentData); labels; the order they come in.
template <class T>
struct SmallData {
  const T* x;
  const unsigned char* bytes;
  const T* levels;
  Index share;  ///< numbers of an example that share a table of levels
  const std::int32_t* labels;
  const std::int64_t* order;
};

/// A network whose activations for one image fit into the shared memory of a block. Trained with softmax cross-entropy, averaged over the batch, and SGD.
template <class T>
class SmallNetwork {
 public:
  /// Throws Error where an image's numbers do not fit, or there are too many layers.
  SmallNetwork(const std::vector<SmallStage<T, Space>>& stages, const Shape& x, Index classes, Index batch);

  /// Queues so many steps by one launch: as captured steps do, they read *state and count it on, leave reports and halt at a loss that is not finite.
  /// Throws Error where the updates are not SGD's.
  void run(Stream stream, const SmallData<T>& data, const StepPlan& plan, Index steps, const StepUpdates& updates, StepState* state);

 private:
  void add(const SmallStage<T, Space>& stage);
  std::size_t shared_bytes() const;

  detail::SmallProgram<T> program_;
  Index batch_, blocks_ = 0;
  Tensor<T, Space> traces_;
  Tensor<double, Space> losses_;
  Tensor<std::int32_t, Space> right_;
  Tensor<std::uint32_t, Space> arrivals_;  ///< of grid_sync
};

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
