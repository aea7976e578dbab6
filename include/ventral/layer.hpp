#pragma once
#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ventral/random.hpp"
#include "ventral/tensor.hpp"
#include "ventral/window.hpp"

namespace ventral::inline v0 {

/// What a forward pass is for. Training keeps what backward needs, draws dropout masks and uses batch statistics.
enum class Mode { inference, training };
/// What a network keeps of an inference pass: the last output alone, or every activation (for `activation(name)`).
enum class Keep { output, activations };

/// A trained array with its gradient. Backward adds to the gradient; an optimizer reads it, `zero_gradients()` clears it.
/// Copying a parameter copies its value, not its gradient: layers are copyable because their parameters are.
template <class T, class Space>
struct Parameter {
  Tensor<T, Space> value, gradient;
  bool frozen = false;  ///< backward skips its gradient, optimizers leave it alone

  Parameter() = default;
  explicit Parameter(Shape shape) : value(shape) {}
  Parameter(const Parameter& o) : value(o.value.clone()), frozen(o.frozen) {}
  Parameter(Parameter&&) noexcept = default;
  Parameter& operator=(Parameter o) noexcept {
    value = std::move(o.value);
    gradient = std::move(o.gradient);
    frozen = o.frozen;
    return *this;
  }

  /// The gradient to add to; allocated and cleared at the first call.
  [[gnu::noinline]] Out<T, Space> accumulated_gradient() {
    if (gradient.shape() != value.shape()) gradient = Tensor<T, Space>(value.shape());
    return gradient.ref();
  }
};

/// An array that is saved with a network but not trained, such as running statistics.
template <class T, class Space>
struct Buffer {
  Tensor<T, Space> value;

  Buffer() = default;
  explicit Buffer(Shape shape) : value(shape) {}
  Buffer(const Buffer& o) : value(o.value.clone()) {}
  Buffer(Buffer&&) noexcept = default;
  Buffer& operator=(Buffer o) noexcept {
    value = std::move(o.value);
    return *this;
  }
};

/// A parameter or buffer with its name, `conv1.weight` as in PyTorch's state_dict.
template <class T, class Space>
struct NamedParameter {
  std::string name;
  Parameter<T, Space>* parameter;
};
template <class T, class Space>
struct NamedBuffer {
  std::string name;
  Buffer<T, Space>* buffer;
};

/// The memory of one call of one layer, from its forward to its backward: mode, random numbers, kept arrays, scratch. Owned by the network (or by
/// the caller, one per thread), so that layers hold parameters only, can be shared and used several times. Memory is reused from step to step.
template <class Space>
class Pass {
 public:
  explicit Pass(Mode mode = Mode::inference, std::uint64_t seed = 0) : root_(this), mode_(mode), seed_(seed) {}
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  Mode mode() const { return root_->mode_; }
  bool training() const { return mode() == Mode::training; }
  /// On the outermost pass: starts a forward pass; `step` numbers training steps, so that each draws other random numbers.
  /// In a captured step the number is where `counter` points to, in device memory.
  void start(Mode mode, std::uint64_t seed, std::uint64_t step, const std::uint64_t* counter = nullptr) {
    mode_ = mode;
    seed_ = seed;
    step_ = step;
    counter_ = counter;
  }

  /// Random numbers of this layer in this step: the same again in a repeated step, others in each layer and step.
  Random random() const { return step_random(); }
  /// The same for kernels, which can draw from it in a captured step, too.
  StepRandom step_random() const { return {root_->seed_, path_, root_->step_, root_->counter_}; }

  /// An array kept until the backward of this call. Contents survive from forward to backward; unspecified at first.
  template <class T>
  Out<T, Space> keep(int slot, Shape shape, Format format = Format::rows) {
    return view<T>(at(kept_, slot), shape, format);
  }
  /// What forward kept in this slot. Throws Error when it did not: backward without a forward pass in training mode.
  template <class T>
  Out<T, Space> kept(int slot, Shape shape, Format format = Format::rows) {
    require(slot < static_cast<int>(kept_.size()) && kept_[static_cast<std::size_t>(slot)].size() >= bytes<T>(shape, format),
            "backward needs a forward pass in Mode::training of the same input before it");
    return view<T>(at(kept_, slot), shape, format);
  }
  /// Scratch shared by all layers of a network: contents last until the layer returns or calls another one.
  template <class T>
  Out<T, Space> workspace(int slot, Shape shape, Format format = Format::rows) {
    return view<T>(at(root_->workspace_, slot), shape, format);
  }

  /// Something of type S that a layer remembers of this call, made at the first use: the plans of a network.
  template <class S>
  S& memory_of() {
    if (!own_) own_ = {new S, [](void* p) { delete static_cast<S*>(p); }};
    return *static_cast<S*>(own_.get());
  }

  /// The pass of a layer inside this one (containers).
  [[gnu::noinline]] Pass& child(int i) {
    while (static_cast<int>(children_.size()) <= i) {
      children_.push_back(std::make_unique<Pass>());
      children_.back()->root_ = root_;
      children_.back()->path_ = mix(path_, children_.size());
    }
    return *children_[static_cast<std::size_t>(i)];
  }

  /// Bytes held by this pass and those inside it; of kept arrays alone.
  Index memory() const {
    Index n = kept_memory();
    for (const auto& b : workspace_) n += b.size();
    return n;
  }
  Index kept_memory() const {
    Index n = 0;
    for (const auto& b : kept_) n += b.size();
    for (const auto& c : children_) n += c->kept_memory();
    return n;
  }

 private:
  using Bytes = Tensor<unsigned char, Space>;

  template <class T>
  static Index bytes(Shape shape, Format format) {
    return stored_size(shape, format) * static_cast<Index>(sizeof(T));
  }
  [[gnu::noinline]] static Bytes& at(std::vector<Bytes>& buffers, int slot) {
    if (static_cast<int>(buffers.size()) <= slot) buffers.resize(static_cast<std::size_t>(slot) + 1);
    return buffers[static_cast<std::size_t>(slot)];
  }
  template <class T>
  [[gnu::noinline]] static Out<T, Space> view(Bytes& buffer, Shape shape, Format format) {
    if (buffer.size() < bytes<T>(shape, format)) buffer.resize({bytes<T>(shape, format)});
    return {static_cast<T*>(static_cast<void*>(buffer.data())), shape, format};
  }

  Pass* root_;
  Mode mode_;
  std::uint64_t seed_, step_ = 0, path_ = 0;
  const std::uint64_t* counter_ = nullptr;
  std::vector<Bytes> kept_, workspace_;
  std::vector<std::unique_ptr<Pass>> children_;
  std::unique_ptr<void, void (*)(void*)> own_{nullptr, nullptr};
};

/// What a layer is: a plain struct, no base class. `kind` names it in messages and summaries; x and y are [N,...].
/// - output_shape(x) checks the shape and the options against each other and throws ShapeError("Kind: ...").
/// - forward(x, y, pass) writes all of y; in inference it writes nothing into the layer.
/// - backward(x, y, dy, dx, pass) follows a forward in training mode with the same x, y and pass: overwrites *dx unless dx is null,
///   adds to the gradients of parameters that are not frozen.
/// Optional members, found when present: parameters() and buffers() (names without the layer's own), initialize(Random) (fresh weights),
/// flops(x shape) of a forward pass, window() (for receptive fields), is_view (y is x under another shape), kept_bytes(x shape, format
/// of y): what it keeps in its pass for backward. Containers have kept_bytes(x shape, format, mode) instead, as they keep something in inference too, and add
/// trains() (any parameter inside is not frozen) and field_after(ReceptiveField).
/// Optional members that let a network run it faster; shapes are those of x:
/// - takes_blocks(shape): x, y and their gradients may all be in Format::blocks; prefers_blocks(shape): and it is faster so;
///   mixes_formats: and x and y may each have either format.
/// - join(Epilogue&, shape): adds what the layer does to the epilogue of the one before, or returns false.
/// - fuses(Epilogue, shape), forward(x, y, pass, Epilogue), backward(x, y, dy, dx, pass, Epilogue): takes over the work of those that joined.
/// - describe(SmallStage&, shape): what it is to a kernel that runs whole networks, or false; see small_stage.hpp.
template <class L>
concept Layer = std::copy_constructible<L> && requires(L& layer, const L& fixed, Shape shape, In<typename L::Scalar, typename L::Space> x,
                                                       Out<typename L::Scalar, typename L::Space> y, Out<typename L::Scalar, typename L::Space>* dx,
                                                       Pass<typename L::Space>& pass) {
  { L::kind } -> std::convertible_to<const char*>;
  { fixed.output_shape(shape) } -> std::same_as<Shape>;
  layer.forward(x, y, pass);
  layer.backward(x, In<typename L::Scalar, typename L::Space>(y), x, dx, pass);
};

/// The parameters of a layer, an empty list if it has none.
template <Layer L>
std::vector<NamedParameter<typename L::Scalar, typename L::Space>> parameters_of(L& layer) {
  if constexpr (requires { layer.parameters(); }) {
    return layer.parameters();
  } else {
    return {};
  }
}

/// The buffers of a layer, an empty list if it has none.
template <Layer L>
std::vector<NamedBuffer<typename L::Scalar, typename L::Space>> buffers_of(L& layer) {
  if constexpr (requires { layer.buffers(); }) {
    return layer.buffers();
  } else {
    return {};
  }
}

}  // namespace ventral::inline v0
