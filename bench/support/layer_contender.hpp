#pragma once
#include <memory>
#include <utility>

#include "support/harness.hpp"
#include "ventral/layer.hpp"

namespace bench {

using ventral::Shape;
using ventral::Tensor;

/// Uniform random numbers in [low, high).
inline Tensor<float> random_tensor(Shape shape, std::uint64_t seed, double low = -1, double high = 1) {
  Tensor<float> t(shape);
  ventral::Random random(seed);
  for (float& v : t) v = static_cast<float>(random.uniform(low, high));
  return t;
}

/// Bytes of so many floats.
inline double float_bytes(double count) { return 4 * count; }

enum class Part {
  forward,   ///< in training mode; output y
  data,      ///< backward by the input alone; output dx
  weights,   ///< backward by the parameters alone; outputs their gradients
  backward,  ///< both; outputs dx and the gradients
  both       ///< forward, then backward; outputs as backward
};

/// One pass of a ventral layer through its public interface, on an input and an output gradient that it borrows.
template <ventral::Layer L>
class LayerContender final : public Contender {
 public:
  LayerContender(L layer, Part part, TensorRef<const float> x, TensorRef<const float> dy)
      : layer_(std::move(layer)),
        part_(part),
        x_(x),
        dy_(dy),
        y_(layer_.output_shape(x.shape)),
        dx_(part == Part::forward || part == Part::weights ? Shape{0} : x.shape) {
    for (auto& p : ventral::parameters_of(layer_)) p.parameter->frozen = part == Part::data;
    layer_.forward(x_, y_, pass_);
  }
  void run() override {
    TensorRef<float> dx = dx_;
    switch (part_) {
      case Part::forward:
        return layer_.forward(x_, y_, pass_);
      case Part::weights:
        return layer_.backward(x_, y_, dy_, nullptr, pass_);
      case Part::both:
        layer_.forward(x_, y_, pass_);
        [[fallthrough]];
      case Part::data:
      case Part::backward:
        return layer_.backward(x_, y_, dy_, &dx, pass_);
    }
  }
  void clear() override {
    for (auto& p : ventral::parameters_of(layer_)) p.parameter->gradient.zero();
  }
  std::vector<Output> outputs() override {
    if (part_ == Part::forward) return {y_.ref()};
    std::vector<Output> out;
    if (!dx_.empty()) out.emplace_back(dx_.ref());
    if (part_ != Part::data)
      for (auto& p : ventral::parameters_of(layer_)) out.emplace_back(p.parameter->accumulated_gradient());
    return out;
  }

 private:
  L layer_;
  Part part_;
  TensorRef<const float> x_, dy_;
  Tensor<float> y_, dx_;
  ventral::Pass<ventral::Cpu> pass_{ventral::Mode::training};
};

template <ventral::Layer L>
std::unique_ptr<Contender> layer_contender(L layer, Part part, TensorRef<const float> x, TensorRef<const float> dy = {}) {
  return std::make_unique<LayerContender<L>>(std::move(layer), part, x, dy);
}

}  // namespace bench
