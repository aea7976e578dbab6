#pragma once
#include <chrono>
#include <string_view>

#include "ventral/any_layer.hpp"
#include "ventral/cpu/convert.hpp"

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
  Sequential(const Sequential& o) : layers_(o.layers_), seed_(o.seed_), step_(o.step_) {}
  Sequential(Sequential&& o) noexcept : layers_(std::move(o.layers_)), seed_(o.seed_), step_(o.step_) {}
  Sequential& operator=(Sequential o) noexcept {
    layers_ = std::move(o.layers_);
    seed_ = o.seed_;
    step_ = o.step_;
    run_.reset();
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
    layers_[position(name)] = detail::AnyLayer<T, Space>(std::string(name), std::move(layer));
    forget_run();
    return *this;
  }
  /// Removes every layer after this one, so that the network's output is its activation.
  Sequential& truncate(std::string_view last) {
    layers_.erase(layers_.begin() + static_cast<std::ptrdiff_t>(position(last)) + 1, layers_.end());
    forget_run();
    return *this;
  }
  /// Freezes the parameters of this layer and of all before it; backward stops early. `unfreeze()` undoes it for all layers.
  Sequential& freeze(std::string_view last) {
    const std::size_t n = position(last);
    for (std::size_t i = 0; i <= n; ++i) layers_[i].set_frozen(true);
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
    for (std::size_t i = 0; i < layers_.size(); ++i) layers_[i].initialize(random.fork(i));
  }

  std::size_t size() const { return layers_.size(); }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& l : layers_) out.push_back(l.name());
    return out;
  }
  /// The layer of this name, as its type: `net.layer<Conv2d<float>>("conv1")`. Throws Error when name or type differ.
  template <class L>
  L& layer(std::string_view name) {
    auto& any = layers_[position(name)];
    L* found = any.template get_if<L>();
    require(found != nullptr, "layer '", name, "' is a ", any.kind(), ", not a ", L::kind);
    return *found;
  }

  // ---- running

  /// Runs the network on x [N,...] and returns the last activation, which lives until the next forward. In training, x must live until backward.
  In<T, Space> forward(In<T, Space> x, Mode mode = Mode::inference, Keep keep = Keep::output) {
    Run& run = this->run();
    run.pass.start(mode, seed_, step_);
    run.kept_all = mode == Mode::training || keep == Keep::activations;
    run.input = x;
    run.done = false;
    if (mode == Mode::training) ++step_;
    const In<T, Space> y = chain(x, nullptr, run.pass, run.kept_all, keep == Keep::output);
    run.done = true;
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

  /// The activation of a layer in the last forward pass, which must have kept it (training, or Keep::activations).
  In<T, Space> activation(std::string_view name) {
    const std::size_t i = position(name);
    Run& run = this->run();
    require(run.done && run.kept_all, "activation '", name, "': run forward with Keep::activations or Mode::training first");
    return output_of(static_cast<int>(i), run.input, run.pass);
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

  // ---- as a layer

  Shape output_shape(const Shape& x) const {
    Shape s = x;
    for (const auto& l : layers_) s = l.output_shape(s);
    return s;
  }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass) {
    const Shape shape = output_shape(x.shape);
    require<ShapeError>(y.shape == shape, "Sequential: y has shape ", y.shape, "; expected ", shape);
    if (const In<T, Space> last = chain(x, &y, pass, pass.training(), true); last.data != y.data) Space::copy(y.data, last.data, bytes(y));
  }
  void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) { back_chain(x, &y, dy, dx, pass); }

  /// Whatever its format, a chain plans its own.
  bool takes_blocks(const Shape& x) const {
    bool takes = !layers_.empty();
    Shape s = x;
    for (const auto& l : layers_) {
      const detail::LayerTraits t = l.traits(s);
      takes = takes && (t.takes_blocks || t.view);
      s = l.output_shape(s);
    }
    return takes;
  }
  bool prefers_blocks(const Shape& x) const {
    Shape s = x;
    for (const auto& l : layers_) {
      if (l.traits(s).prefers_blocks) return true;
      s = l.output_shape(s);
    }
    return false;
  }
  static constexpr bool mixes_formats = true;
  Index kept_bytes(const Shape& x, Format format) const {
    const detail::Plan plan = make_plan(x, format, format, true, true, true);
    return plan.bytes + kept_by_layers(plan);
  }

  /// Every parameter with its full name, `conv1.weight`. Pointers stay valid until layers are replaced or removed.
  [[gnu::cold]] std::vector<NamedParameter<T, Space>> parameters() {
    std::vector<NamedParameter<T, Space>> out;
    for (auto& l : layers_)
      for (auto& p : l.parameters()) out.push_back({l.name() + "." + p.name, p.parameter});
    return out;
  }
  [[gnu::cold]] std::vector<NamedBuffer<T, Space>> buffers() {
    std::vector<NamedBuffer<T, Space>> out;
    for (auto& l : layers_)
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
    for (auto& l : layers_)
      for (auto& p : l.parameters()) p.parameter->gradient.zero();
  }
  Index flops(const Shape& x) const {
    Index n = 0;
    Shape s = x;
    for (const auto& l : layers_) n += l.flops(s), s = l.output_shape(s);
    return n;
  }
  /// Freezes or unfreezes every layer.
  void set_frozen(bool frozen) {
    for (auto& l : layers_) l.set_frozen(frozen);
  }
  /// Whether any layer has parameters that are not frozen.
  bool trains() const {
    for (const auto& l : layers_)
      if (l.trains()) return true;
    return false;
  }
  /// The receptive field of an output unit, given that of an input unit.
  ReceptiveField field_after(ReceptiveField field) const {
    for (const auto& l : layers_) field = l.field_after(field);
    return field;
  }

  /// Seed and step of the random numbers that training forward passes draw; set when training resumes from a checkpoint.
  std::uint64_t seed() const { return seed_; }
  std::uint64_t step() const { return step_; }
  void set_random_state(std::uint64_t seed, std::uint64_t step) {
    seed_ = seed;
    step_ = step;
  }

  /// The bytes that forward and backward will hold for an input of this shape, known before the first step. Not counted: temporary memory of the kernels,
  /// one for each thread and shared by all networks, and what an optimizer keeps.
  [[gnu::cold]] NetworkMemory memory(const Shape& x, Mode mode = Mode::training) {
    const bool training = mode == Mode::training;
    const detail::Plan plan = make_plan(x, Format::rows, Format::rows, training, true, false);
    NetworkMemory m{.arena = plan.bytes, .kept = training ? kept_by_layers(plan) : 0};
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
    for (auto& l : layers_) {
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
    layers_.push_back(std::move(layer));
    forget_run();
    return *this;
  }
  void forget_run() {
    run_.reset();
    ++version_;
  }

  std::size_t position(std::string_view name) const {
    for (std::size_t i = 0; i < layers_.size(); ++i)
      if (layers_[i].name() == name) return i;
    detail::fail_unknown_layer(name, names());
  }
  [[gnu::cold]] void check_new_name(const std::string& name) const {
    require(!name.empty() && name.find('.') == std::string::npos, "layer name '", name, "' must not be empty or contain a '.'");
    for (const auto& l : layers_) require(l.name() != name, "layer name '", name, "' is taken by a ", l.kind());
  }

  using StageTimes = std::vector<double>;
  /// The plans made in a pass: one for each shape and use, of the last few.
  struct Plans {
    static constexpr std::size_t most = 6;
    detail::Plan made[most];
    std::size_t count = 0;  // made so far; the oldest gives way
    detail::Plan* current = nullptr;
    std::vector<In<T, Space>> held;  // held[i] goes into stage i
    StageTimes* times = nullptr;     // while a profile is taken: seconds of stage i forward and backward at 2 i and 2 i + 1
  };
  /// Notes the time until it goes out of scope, while a profile is taken.
  class Clock {
   public:
    Clock(StageTimes* times, std::size_t at) : times_(times), at_(at) {
      if (times_) begin_ = now();
    }
    ~Clock() {
      if (!times_) return;
      if (times_->size() <= at_) times_->resize(at_ + 2);
      (*times_)[at_] = now() - begin_;
    }
    Clock(const Clock&) = delete;
    Clock& operator=(const Clock&) = delete;

   private:
    static double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
    StageTimes* times_;
    std::size_t at_;
    double begin_ = 0;
  };

  /// Cuts the chain into stages: a layer takes over those behind it while they join and it fuses them.
  [[gnu::cold]] detail::Plan make_plan(const Shape& x, Format from, Format to, bool keep, bool fuse, bool output_given) const {
    detail::Plan plan{.x = x, .from = from, .to = to, .keep = keep, .fuse = fuse, .version = version_};
    Shape shape = x;
    for (std::size_t i = 0; i < layers_.size();) {
      detail::PlannedStage s{.first = static_cast<int>(i), .traits = layers_[i].traits(shape), .x = shape, .y = layers_[i].output_shape(shape)};
      if (s.traits.view) s.kind = detail::PlannedStage::Kind::view;
      std::size_t next = i + 1;
      for (; fuse && !s.traits.view && next < layers_.size(); ++next) {
        Epilogue e = s.epilogue;
        if (!layers_[next].join(e, s.y) || !layers_[i].fuses(e, s.x)) break;
        s.epilogue = e;
        s.y = layers_[next].output_shape(s.y);
      }
      s.last = static_cast<int>(next) - 1;
      shape = s.y;
      plan.stages.push_back(s);
      i = next;
    }
    detail::plan_formats(plan);
    detail::plan_memory(plan, static_cast<Index>(sizeof(T)), output_given);
    return plan;
  }

  /// The plan for this input. Every shape is checked before any work.
  detail::Plan& plan_for(In<T, Space> x, Out<T, Space>* y, Pass<Space>& pass, bool keep, bool fuse) {
    Plans& plans = pass.template memory_of<Plans>();
    const Format to = y ? y->format : Format::rows;
    for (std::size_t i = 0; i < std::min(plans.count, Plans::most); ++i) {
      detail::Plan& p = plans.made[i];
      if (p.x == x.shape && p.from == x.format && p.to == to && p.keep == keep && p.fuse == fuse && p.version == version_ && fits(p)) {
        plans.current = &p;
        return p;
      }
    }
    plans.current = nullptr;  // as making one may throw
    detail::Plan& fresh = plans.made[plans.count % Plans::most];
    fresh = make_plan(x.shape, x.format, to, keep, fuse, y != nullptr);
    ++plans.count;
    plans.current = &fresh;
    return fresh;
  }
  /// Whether the layers still give the shapes of a plan: containers among them may have changed.
  bool fits(const detail::Plan& plan) const {
    for (const detail::PlannedStage& s : plan.stages) {
      Shape shape = s.x;
      if (s.kind != detail::PlannedStage::Kind::conversion)
        for (int i = s.first; i <= s.last; ++i) shape = layers_[static_cast<std::size_t>(i)].output_shape(shape);
      if (shape != s.y) return false;
    }
    return true;
  }
  Index kept_by_layers(const detail::Plan& plan) const {
    Index n = 0;
    for (const detail::PlannedStage& s : plan.stages)
      if (s.kind == detail::PlannedStage::Kind::layer) n += layers_[static_cast<std::size_t>(s.first)].kept_bytes(s.x, s.to, s.epilogue);
    return n;
  }

  static Out<T, Space> place(Pass<Space>& pass, const detail::Plan& plan, Index at, const Shape& shape, Format format) {
    unsigned char* const arena = pass.template keep<unsigned char>(0, {plan.bytes}).data;
    return {static_cast<T*>(static_cast<void*>(arena + at)), shape, format};
  }
  static void convert_format(In<T, Space> x, Out<T, Space> y) {
    if constexpr (std::is_same_v<Space, Cpu>) convert(x.stream(), x, y);
    else static_cast<void>(x), static_cast<void>(y);
  }

  /// Runs all stages; the last one writes to *y if given, unless it is a view. Plans.held notes what goes into each.
  In<T, Space> chain(In<T, Space> x, Out<T, Space>* y, Pass<Space>& pass, bool keep, bool fuse) {
    const detail::Plan& plan = plan_for(x, y, pass, keep, fuse);
    Plans& plans = pass.template memory_of<Plans>();
    std::vector<In<T, Space>>& held = plans.held;
    held.resize(plan.stages.size() + 1);
    held[0] = x;
    for (std::size_t i = 0; i < plan.stages.size(); ++i) {
      const detail::PlannedStage& s = plan.stages[i];
      const Clock clock(plans.times, 2 * i);
      if (s.kind == detail::PlannedStage::Kind::view) {
        x = x.reshaped(s.y);
      } else {
        const Out<T, Space> out = y && i + 1 == plan.stages.size() ? *y : place(pass, plan, s.at, s.y, s.to);
        if (s.kind == detail::PlannedStage::Kind::conversion) convert_format(x, out);
        else layers_[static_cast<std::size_t>(s.first)].forward(x, out, pass.child(s.first), s.epilogue);
        x = out;
      }
      held[i + 1] = x;
    }
    return x;
  }

  /// The output of layer i in the last run, in rows. What a fused stage did not write is computed again, layer by layer.
  In<T, Space> output_of(int i, In<T, Space> x, Pass<Space>& pass) {
    Plans& plans = pass.template memory_of<Plans>();
    const detail::Plan& plan = *plans.current;
    std::size_t at = 0;
    while (plan.stages[at].last < i || plan.stages[at].kind == detail::PlannedStage::Kind::conversion) ++at;
    const detail::PlannedStage& s = plan.stages[at];
    if (i == s.last) return in_rows(plans.held[at + 1], i, pass);
    x = in_rows(plans.held[at], s.first, pass);  // slot first is free: that layer's own output is not kept
    for (int j = s.first; j <= i; ++j) {
      auto& layer = layers_[static_cast<std::size_t>(j)];
      const Out<T, Space> out = pass.template keep<T>(static_cast<int>(size()) + j + 1, layer.output_shape(x.shape));
      layer.forward(x, out, pass.child(j));
      x = out;
    }
    return x;
  }
  In<T, Space> in_rows(In<T, Space> x, int slot, Pass<Space>& pass) {
    if (x.format == Format::rows) return x;
    const Out<T, Space> out = pass.template keep<T>(slot + 1, x.shape);
    convert_format(x, out);
    return out;
  }

  void check_trained() {
    require(run().done && run().pass.training(), "Sequential: backward needs a forward pass with Mode::training before it");
  }
  void backward_top(In<T, Space> dy, Out<T, Space>* dx) {
    check_trained();
    Run& run = this->run();
    back_chain(run.input, nullptr, dy, dx, run.pass);
  }

  void back_chain(In<T, Space> x, const In<T, Space>* y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) {
    Plans& plans = pass.template memory_of<Plans>();
    require(plans.current && plans.current->keep && plans.current->x == x.shape, "backward needs a forward pass in Mode::training of the same input before it");
    const detail::Plan& plan = *plans.current;
    const int n = static_cast<int>(plan.stages.size());
    std::vector<In<T, Space>>& a = plans.held;  // a[i] goes into stage i, a[n] comes out
    a[0] = x;
    if (y && n > 0) a[static_cast<std::size_t>(n)] = *y;
    require<ShapeError>(dy.shape == a[static_cast<std::size_t>(n)].shape, "Sequential: dy has shape ", dy.shape, "; the output has ", a[static_cast<std::size_t>(n)].shape);
    int stop = 0;  // the first stage whose backward is needed
    while (!dx && stop < n && !trains(plan.stages[static_cast<std::size_t>(stop)])) ++stop;
    int turn = 0;
    for (int i = n - 1; i >= stop; --i) {
      const detail::PlannedStage& s = plan.stages[static_cast<std::size_t>(i)];
      const In<T, Space> in = a[static_cast<std::size_t>(i)];
      const bool last = i == stop;
      if (s.kind == detail::PlannedStage::Kind::view) {
        dy = dy.reshaped(in.shape);
        continue;
      }
      const Clock clock(plans.times, 2 * static_cast<std::size_t>(i) + 1);
      Out<T, Space> d;
      if (!last) d = place(pass, plan, plan.gradient[turn = 1 - turn], s.x, s.from);
      else if (dx) d = *dx;
      if (s.kind == detail::PlannedStage::Kind::conversion) convert_format(dy, d);
      else layers_[static_cast<std::size_t>(s.first)].backward(in, a[static_cast<std::size_t>(i) + 1], dy, last && !dx ? nullptr : &d, pass.child(s.first), s.epilogue);
      dy = d;
    }
    if (dx && dy.data != dx->data) Space::copy(dx->data, dy.data, bytes(dy));
  }
  bool trains(const detail::PlannedStage& s) const { return s.kind == detail::PlannedStage::Kind::layer && layers_[static_cast<std::size_t>(s.first)].trains(); }

  std::vector<detail::AnyLayer<T, Space>> layers_;
  std::uint64_t seed_ = 0, step_ = 0;
  unsigned version_ = 0;  // counts changes of the layers
  std::unique_ptr<Run> run_;
};

}  // namespace ventral::inline v0
