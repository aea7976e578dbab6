#pragma once
#include <string_view>

#include "ventral/planned_chain.hpp"

namespace ventral::inline v0 {

/// The larger of two receptive fields, axis by axis: that of a unit which two paths lead to.
constexpr ReceptiveField larger(const ReceptiveField& a, const ReceptiveField& b) {
  const auto most = [](Index p, Index q) { return p < q ? q : p; };
  ReceptiveField r;
  r.size = {most(a.size.h, b.size.h), most(a.size.w, b.size.w)};
  r.jump = {most(a.jump.h, b.jump.h), most(a.jump.w, b.jump.w)};
  return r;
}

/// Bytes that a network holds for a batch, see Sequential::memory.
struct NetworkMemory {
  Index parameters = 0, gradients = 0, buffers = 0;
  Index arena = 0;  ///< activations, and in training gradients by them
  Index kept = 0;   ///< what layers note for backward: winners of pooling, statistics, masks

  Index total() const { return parameters + gradients + buffers + arena + kept; }
};

struct Profile;
struct ProfileOptions;
struct CaptureOptions;
template <class T, class Space>
class Optimizer;
template <class T, class Target, class Space>
class ResidentData;
template <class T, class Space, class Loss>
class CapturedStep;

/// A chain of named layers that owns every activation: y = f_n(... f_2(f_1(x))). Itself a layer, so chains nest.
/// Layers run in memory formats that the network plans, and take over the work of those that follow where they can (convolution + ReLU + pooling):
/// see plan.hpp. The caller sees N,C,H,W, and any activation asked for; results differ by rounding at most.
/// Not for use by several threads at once, except `forward(x, y, pass)` with one Pass per thread.
template <class T, class SpaceType = Cpu>
class Sequential {
 public:
  using Scalar = T;
  using Space = SpaceType;
  static constexpr const char* kind = "Sequential";

  Sequential() = default;
  /// A deep copy: layers and weights, not activations or gradients.
  Sequential(const Sequential& o) : chain_(o.chain_), seed_(o.seed_), step_(o.step_) {}
  Sequential(Sequential&& o) noexcept : chain_(std::move(o.chain_)), seed_(o.seed_), step_(o.step_) {}
  Sequential& operator=(Sequential o) noexcept {
    chain_.layers = std::move(o.chain_.layers);
    chain_.math = o.chain_.math;
    chain_.provider = o.chain_.provider;
    seed_ = o.seed_;
    step_ = o.step_;
    forget_run();
    return *this;
  }
  [[nodiscard]] Sequential clone() const { return *this; }

  // ---- building

  /// Appends a layer. Throws Error when the name is empty, taken, or contains a '.', which separates names in `block.conv.weight`.
  template <Layer L>
  Sequential& add(std::string name, L layer) {
    static_assert(std::is_same_v<typename L::Scalar, T> && std::is_same_v<typename L::Space, Space>, "layer and network differ in scalar type or space");
    check_new_name(name);
    return append(detail::AnyLayer<T, Space>(std::move(name), std::move(layer)));
  }
  /// Puts another layer in the place, and under the name, of an existing one.
  template <Layer L>
  Sequential& replace(std::string_view name, L layer) {
    static_assert(std::is_same_v<typename L::Scalar, T> && std::is_same_v<typename L::Space, Space>, "layer and network differ in scalar type or space");
    chain_.layers[position(name)] = detail::AnyLayer<T, Space>(std::string(name), std::move(layer));
    forget_run();
    return *this;
  }
  /// Removes every layer after this one, so that the network's output is its activation.
  Sequential& truncate(std::string_view last) {
    chain_.layers.erase(chain_.layers.begin() + static_cast<std::ptrdiff_t>(position(last)) + 1, chain_.layers.end());
    forget_run();
    return *this;
  }
  /// Freezes the parameters of this layer and of all before it; backward stops early. `unfreeze()` undoes it for all layers.
  Sequential& freeze(std::string_view last) {
    const std::size_t n = position(last);
    for (std::size_t i = 0; i <= n; ++i) chain_.layers[i].set_frozen(true);
    return *this;
  }
  Sequential& unfreeze() {
    set_frozen(false);
    return *this;
  }
  /// Draws fresh weights for every layer, an independent stream each, and restarts the random numbers of dropout.
  Sequential& initialize(std::uint64_t seed) {
    initialize(Random(seed));
    seed_ = seed;
    step_ = 0;
    return *this;
  }
  void initialize(Random random) {
    for (std::size_t i = 0; i < chain_.layers.size(); ++i) chain_.layers[i].initialize(random.fork(i));
  }

  std::size_t size() const { return chain_.layers.size(); }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& l : chain_.layers) out.push_back(l.name());
    return out;
  }
  /// The layer of this name, as its type: `net.layer<Conv2d<float>>("conv1")`. Throws Error when name or type differ.
  template <class L>
  L& layer(std::string_view name) {
    auto& any = chain_.layers[position(name)];
    L* found = any.template get_if<L>();
    require(found != nullptr, "layer '", name, "' is a ", any.kind(), ", not a ", L::kind);
    return *found;
  }

  // ---- running

  /// How this network's products of floats are computed on a GPU, forward and backward: exact unless it, or a network around it, says otherwise.
  /// Copied with the network, not saved with its weights; the CPU ignores it.
  Sequential& math(Math how) {
    chain_.math = how;
    return *this;
  }
  std::optional<Math> math() const { return chain_.math; }

  /// Whose kernels this network runs on a GPU: ventral's unless it, or a network around it, says otherwise. Copied with the network, not saved; the CPU ignores
  /// it. Throws CudaError when the program was not linked with ventral::cudnn.
  Sequential& provider(Provider whose) {
    static_cast<void>(typename Space::UseProvider(whose));
    chain_.provider = whose;
    return *this;
  }
  std::optional<Provider> provider() const { return chain_.provider; }

  /// Runs the network on x [N,...] and returns the last activation, which lives until the next forward. x must live until backward and the last activation().
  In<T, Space> forward(In<T, Space> x, Mode mode = Mode::inference, Keep keep = Keep::output) {
    Run& run = this->run();
    run.pass.start(mode, seed_, step_);
    run.kept_all = mode == Mode::training || keep == Keep::activations;
    run.input = x;
    run.done = false;
    const In<T, Space> y = chain_.forward(x, nullptr, run.pass, run.kept_all, keep == Keep::output);
    run.done = true;
    if (mode == Mode::training) ++step_;
    return y;
  }
  In<T, Space> forward(In<T, Space> x, Keep keep) { return forward(x, Mode::inference, keep); }

  /// Back-propagates dy, the gradient of the loss by the last output: adds to the gradient of every parameter that is not frozen.
  void backward(In<T, Space> dy) { backward_top(dy, nullptr); }
  /// The same, and overwrites dx with the gradient by the input.
  void backward(In<T, Space> dy, Out<T, Space> dx) {
    check_trained();
    require<ShapeError>(dx.shape == run().input.shape, "Sequential: dx has shape ", dx.shape, "; the input has ", run().input.shape);
    backward_top(dy, &dx);
  }

  /// The activation of a layer in the last forward pass, which must have kept it (training, or Keep::activations). After training, that of a layer inside a
  /// fused stage is computed again from the stage's input, with the weights as they are now.
  In<T, Space> activation(std::string_view name) {
    const std::size_t i = position(name);
    Run& run = this->run();
    require(run.done && run.kept_all, "activation '", name, "': run forward with Keep::activations or Mode::training first");
    return chain_.output_of(static_cast<int>(i), run.pass);
  }
  /// Runs the network on x in inference and returns copies of the named activations, in the order given.
  [[gnu::cold]] std::vector<Tensor<T, Space>> capture(In<T, Space> x, const std::vector<std::string>& wanted) {
    for (const auto& name : wanted) static_cast<void>(position(name));
    forward(x, Keep::activations);
    std::vector<Tensor<T, Space>> out;
    for (const auto& name : wanted) {
      const In<T, Space> a = activation(name);
      out.push_back(Tensor<T, Space>::uninitialized(a.shape));
      out.back().copy_from(a);
    }
    return out;
  }

  /// Time, arithmetic and traffic of each stage against the machine's measured limits. Needs #include <ventral/profile.hpp>.
  Profile profile(In<T, Cpu> x, const ProfileOptions& options);

  /// Every layer as what it is to a kernel that runs whole networks, on an input x. Throws Error that names the first layer that is nothing to it.
  [[gnu::cold]] std::vector<SmallStage<T, Space>> describe(const Shape& x) {
    std::vector<SmallStage<T, Space>> out;
    Shape s = x;
    for (auto& l : chain_.layers) {
      const Shape y = l.output_shape(s);
      require(l.describe(out.emplace_back(), s), "layer '", l.name(), "', a ", l.kind(), " on ", s,
              ", is none that the kernel for small networks knows: convolutions in one group, linear layers on [N,in], max and mean pooling, ReLU, Sigmoid, Tanh and Flatten");
      s = y;
    }
    return out;
  }

  /// A training step on batches of `data`, which are on the device, as one CUDA graph. All of them must outlive it. Needs #include <ventral/capture.hpp>.
  template <class Loss>
  CapturedStep<T, Space, Loss> capture_step(Loss& loss, Optimizer<T, Space>& optimizer, const ResidentData<T, typename Loss::Target, Space>& data,
                                            const CaptureOptions& options);

  // ---- as a layer

  Shape output_shape(const Shape& x) const {
    Shape s = x;
    for (const auto& l : chain_.layers) s = l.output_shape(s);
    return s;
  }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass) {
    const Shape shape = output_shape(x.shape);
    require<ShapeError>(y.shape == shape, "Sequential: y has shape ", y.shape, "; expected ", shape);
    if (const In<T, Space> last = chain_.forward(x, &y, pass, pass.training(), true); last.data != y.data) Space::copy(y.data, last.data, bytes(y));
  }
  void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) { chain_.backward(x, &y, dy, dx, pass); }

  /// Whatever its format, a chain plans its own.
  bool takes_blocks(const Shape& x) const {
    bool takes = !chain_.layers.empty();
    Shape s = x;
    for (const auto& l : chain_.layers) {
      const Shape y = l.output_shape(s);  // first, as it checks the shape
      const detail::LayerTraits t = l.traits(s);
      takes = takes && (t.takes_blocks || t.view);
      s = y;
    }
    return takes;
  }
  bool prefers_blocks(const Shape& x) const {
    Shape s = x;
    for (const auto& l : chain_.layers) {
      const Shape y = l.output_shape(s);
      if (l.traits(s).prefers_blocks) return true;
      s = y;
    }
    return false;
  }
  static constexpr bool mixes_formats = true;
  Index kept_bytes(const Shape& x, Format format, Mode mode) const {
    const detail::Plan plan = chain_.plan(x, format, format, mode == Mode::training, true, true);
    return plan.bytes + chain_.kept_by_layers(plan);
  }

  /// Every parameter with its full name, `conv1.weight`. Pointers stay valid until layers are replaced or removed.
  [[gnu::cold]] std::vector<NamedParameter<T, Space>> parameters() {
    std::vector<NamedParameter<T, Space>> out;
    for (auto& l : chain_.layers)
      for (auto& p : l.parameters()) out.push_back({l.name() + "." + p.name, p.parameter});
    return out;
  }
  [[gnu::cold]] std::vector<NamedBuffer<T, Space>> buffers() {
    std::vector<NamedBuffer<T, Space>> out;
    for (auto& l : chain_.layers)
      for (auto& b : l.buffers()) out.push_back({l.name() + "." + b.name, b.buffer});
    return out;
  }
  /// Number of trained values.
  Index parameter_count() {
    Index n = 0;
    for (const auto& p : parameters()) n += p.parameter->value.size();
    return n;
  }
  /// Clears every gradient. A training loop calls the optimizer's instead, which has the list of parameters at hand.
  void zero_gradients() {
    for (auto& l : chain_.layers)
      for (auto& p : l.parameters()) p.parameter->gradient.zero();
  }
  Index flops(const Shape& x) const {
    Index n = 0;
    Shape s = x;
    for (const auto& l : chain_.layers) n += l.flops(s), s = l.output_shape(s);
    return n;
  }
  /// Freezes or unfreezes every layer.
  void set_frozen(bool frozen) {
    for (auto& l : chain_.layers) l.set_frozen(frozen);
  }
  /// Whether any layer has parameters that are not frozen.
  bool trains() const {
    for (const auto& l : chain_.layers)
      if (l.trains()) return true;
    return false;
  }
  /// The receptive field of an output unit, given that of an input unit.
  ReceptiveField field_after(ReceptiveField field) const {
    for (const auto& l : chain_.layers) field = l.field_after(field);
    return field;
  }

  /// Seed and step of the random numbers that training forward passes draw; set when training resumes from a checkpoint.
  std::uint64_t seed() const { return seed_; }
  std::uint64_t step() const { return step_; }
  void set_random_state(std::uint64_t seed, std::uint64_t step) {
    seed_ = seed;
    step_ = step;
  }

  /// The bytes that forward and backward will hold for an input of this shape, known before the first step. Not counted: temporary memory, of the kernels
  /// (one for each thread, shared by all networks) and of layers (the largest one's), and what an optimizer keeps.
  [[gnu::cold]] NetworkMemory memory(const Shape& x, Mode mode = Mode::training) {
    const bool training = mode == Mode::training;
    const detail::Plan plan = chain_.plan(x, Format::rows, Format::rows, training, true, false);
    NetworkMemory m{.arena = plan.bytes, .kept = chain_.kept_by_layers(plan)};
    for (const auto& p : parameters()) {
      const Index n = p.parameter->value.size() * static_cast<Index>(sizeof(T));
      m.parameters += n;
      if (training && !p.parameter->frozen) m.gradients += n;
    }
    for (const auto& b : buffers()) m.buffers += b.buffer->value.size() * static_cast<Index>(sizeof(T));
    return m;
  }

  /// A table of the layers for an input of this shape: output shape, parameters, FLOPs of a forward pass (a multiply-add counts 2),
  /// and the receptive field of one unit with the distance between neighbours' fields.
  [[gnu::cold]] std::string summary(const Shape& x) {
    std::string out = detail::summary_row("layer", "kind", "output", "parameters", "FLOP", "field", "step");
    Shape s = x;
    ReceptiveField field;
    Index total_flops = 0;
    for (auto& l : chain_.layers) {
      Index count = 0;
      for (const auto& p : l.parameters()) count += p.parameter->value.size();
      const Index flops = l.flops(s);
      total_flops += flops;
      s = l.output_shape(s);
      field = l.field_after(field);
      const bool image = s.rank() == 4;
      out += detail::summary_row(l.name(), l.kind(), to_string(s), std::to_string(count), std::to_string(flops), image ? pair_text(field.size) : "", image ? pair_text(field.jump) : "");
    }
    return out + concat(parameter_count(), " parameters, ", total_flops, " FLOP for an input of ", x, "\n");
  }

 private:
  /// A run of the network: its memory and what the last forward was.
  struct Run {
    Pass<Space> pass;
    In<T, Space> input;
    bool kept_all = false, done = false;
  };

  static std::size_t bytes(In<T, Space> x) { return static_cast<std::size_t>(stored_size(x.shape, x.format)) * sizeof(T); }
  static std::string pair_text(Pair p) { return p.h == p.w ? std::to_string(p.h) : concat(p.h, "x", p.w); }

  Run& run() {
    if (!run_) run_ = std::make_unique<Run>();
    return *run_;
  }
  [[gnu::cold]] Sequential& append(detail::AnyLayer<T, Space> layer) {
    chain_.layers.push_back(std::move(layer));
    forget_run();
    return *this;
  }
  void forget_run() {
    run_.reset();
    chain_.changed();
  }

  std::size_t position(std::string_view name) const {
    for (std::size_t i = 0; i < chain_.layers.size(); ++i)
      if (chain_.layers[i].name() == name) return i;
    detail::fail_unknown_layer(name, names());
  }
  [[gnu::cold]] void check_new_name(const std::string& name) const {
    require(!name.empty() && name.find('.') == std::string::npos, "layer name '", name, "' must not be empty or contain a '.'");
    for (const auto& l : chain_.layers) require(l.name() != name, "layer name '", name, "' is taken by a ", l.kind());
  }

  void check_trained() {
    require(run().done && run().pass.training(), "Sequential: backward needs a forward pass with Mode::training before it");
  }
  void backward_top(In<T, Space> dy, Out<T, Space>* dx) {
    check_trained();
    Run& run = this->run();
    chain_.backward(run.input, nullptr, dy, dx, run.pass);
  }

  detail::PlannedChain<T, Space> chain_;
  std::uint64_t seed_ = 0, step_ = 0;
  std::unique_ptr<Run> run_;
};

}  // namespace ventral::inline v0
