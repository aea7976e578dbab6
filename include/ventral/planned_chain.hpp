#pragma once
#include <atomic>
#include <chrono>
#include <optional>

#include "ventral/any_layer.hpp"
#include "ventral/cpu/convert.hpp"

namespace ventral::inline v0::detail {

/// Seconds of stage i forward and backward at 2 i and 2 i + 1, while a profile is taken.
using StageTimes = std::vector<double>;

/// Notes the time until it goes out of scope, while a profile is taken.
class StageClock {
 public:
  StageClock(StageTimes* times, std::size_t at) : times_(times), at_(at) {
    if (times_) begin_ = now();
  }
  ~StageClock() {
    if (!times_) return;
    if (times_->size() <= at_) times_->resize(at_ + 2);
    (*times_)[at_] = now() - begin_;
  }
  StageClock(const StageClock&) = delete;
  StageClock& operator=(const StageClock&) = delete;

 private:
  static double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
  StageTimes* times_;
  std::size_t at_;
  double begin_ = 0;
};

/// Layers that run one after another by plans: see plan.hpp for what a plan is. A plan is made for each shape and use, and kept in the pass.
template <class T, class Space>
class PlannedChain {
 public:
  std::vector<AnyLayer<T, Space>> layers;
  std::optional<Math> math;  ///< what its layers compute with, and whose kernels; the thread's own when it says nothing
  std::optional<Provider> provider;

  PlannedChain() = default;
  /// Copies the layers, not the plans made of them.
  PlannedChain(const PlannedChain& o) : layers(o.layers), math(o.math), provider(o.provider) {}
  PlannedChain(PlannedChain&& o) noexcept : layers(std::move(o.layers)), math(o.math), provider(o.provider) { o.changed(); }
  PlannedChain& operator=(const PlannedChain&) = delete;

  /// To be called when layers were added, replaced or removed: older plans are void.
  void changed() { version_ = next(); }

  /// The plans made in a pass: one for each shape and use, of the last few.
  struct Plans {
    static constexpr std::size_t most = 6;
    Plan made[most];
    std::size_t count = 0;           // made so far; the oldest gives way
    Plan* current = nullptr;         // of the last forward, if it went through
    std::vector<In<T, Space>> held;  // held[i] goes into stage i, the last one comes out
    StageTimes* times = nullptr;     // while a profile is taken
  };

  /// Cuts the chain into stages: a layer takes over those behind it while they join and it fuses them.
  [[gnu::cold]] Plan plan(const Shape& x, Format from, Format to, bool keep, bool fuse, bool output_given) const {
    const Scope scope(*this);
    fuse = fuse && fuses_epilogues(Space::stream());
    Plan plan{.x = x, .from = from, .to = to, .keep = keep, .fuse = fuse, .version = version_};
    Shape shape = x;
    for (std::size_t i = 0; i < layers.size();) {
      PlannedStage s{.first = static_cast<int>(i), .x = shape, .y = layers[i].output_shape(shape)};
      s.traits = layers[i].traits(shape);
      if (s.traits.view) s.kind = PlannedStage::Kind::view;
      std::size_t next = i + 1;
      for (; fuse && !s.traits.view && next < layers.size(); ++next) {
        Epilogue e = s.epilogue;
        const Shape y = layers[next].output_shape(s.y);  // first, as it checks the shape
        if (!layers[next].join(e, s.y) || !layers[i].fuses(e, s.x)) break;
        s.epilogue = e;
        s.y = y;
      }
      s.last = static_cast<int>(next) - 1;
      shape = s.y;
      plan.stages.push_back(s);
      i = next;
    }
    plan_formats(plan);
    plan_memory(plan, static_cast<Index>(sizeof(T)), output_given);
    return plan;
  }

  /// Bytes that the layers of a plan keep in the pass, besides its arena.
  Index kept_by_layers(const Plan& plan) const {
    Index n = 0;
    for (const PlannedStage& s : plan.stages)
      if (s.kind == PlannedStage::Kind::layer) n += layers[static_cast<std::size_t>(s.first)].kept_bytes(s.x, s.to, s.epilogue, plan.keep ? Mode::training : Mode::inference);
    return n;
  }

  /// Runs all stages; the last one writes to *y if given, unless it is a view. Plans.held notes what goes into each.
  In<T, Space> forward(In<T, Space> x, Out<T, Space>* y, Pass<Space>& pass, bool keep, bool fuse) {
    const Scope scope(*this);
    Plans& plans = pass.template memory_of<Plans>();
    plans.current = nullptr;  // until all layers ran
    Plan& plan = plan_for(x, y, plans, keep, fuse && fuses_epilogues(Space::stream()));
    std::vector<In<T, Space>>& held = plans.held;
    held.resize(plan.stages.size() + 1);
    held[0] = x;
    for (std::size_t i = 0; i < plan.stages.size(); ++i) {
      const PlannedStage& s = plan.stages[i];
      const StageClock clock(plans.times, 2 * i);
      if (s.kind == PlannedStage::Kind::view) {
        x = x.reshaped(s.y);
      } else {
        const Out<T, Space> out = y && i + 1 == plan.stages.size() ? *y : place(pass, plan, s.at, s.y, s.to);
        if (s.kind == PlannedStage::Kind::conversion) convert_format(x, out);
        else layers[static_cast<std::size_t>(s.first)].forward(x, out, pass.child(s.first), s.epilogue);
        x = out;
      }
      held[i + 1] = x;
    }
    plans.current = &plan;
    return x;
  }

  /// The output of layer i in the last run, in rows. What a fused stage did not write is computed again, layer by layer.
  [[gnu::cold]] In<T, Space> output_of(int i, Pass<Space>& pass) {
    Plans& plans = pass.template memory_of<Plans>();
    const Plan& plan = *plans.current;
    std::size_t at = 0;
    while (plan.stages[at].last < i || plan.stages[at].kind == PlannedStage::Kind::conversion) ++at;
    const PlannedStage& s = plan.stages[at];
    if (i == s.last) return in_rows(plans.held[at + 1], i, pass);
    const Scope scope(*this);
    In<T, Space> x = in_rows(plans.held[at], s.first, pass);  // slot first is free: that layer's own output is not kept
    for (int j = s.first; j <= i; ++j) {
      auto& layer = layers[static_cast<std::size_t>(j)];
      const Out<T, Space> out = pass.template keep<T>(static_cast<int>(layers.size()) + j + 1, layer.output_shape(x.shape));
      layer.forward(x, out, pass.child(j));
      x = out;
    }
    return x;
  }

  /// Walks the stages of the last forward back: overwrites *dx unless null, adds to gradients. y: the output, where forward was given one.
  void backward(In<T, Space> x, const In<T, Space>* y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) {
    const Scope scope(*this);
    Plans& plans = pass.template memory_of<Plans>();
    const Plan* const current = plans.current;
    require(current && current->keep && current->x == x.shape && current->version == version_,
            "backward needs a forward pass in Mode::training of the same input before it");
    const Plan& plan = *current;
    const int n = static_cast<int>(plan.stages.size());
    std::vector<In<T, Space>>& a = plans.held;  // a[i] goes into stage i, a[n] comes out
    a[0] = x;
    if (y && n > 0) a[static_cast<std::size_t>(n)] = *y;
    require<ShapeError>(dy.shape == a[static_cast<std::size_t>(n)].shape, "Sequential: dy has shape ", dy.shape, "; the output has ", a[static_cast<std::size_t>(n)].shape);
    int stop = 0;  // the first stage whose backward is needed
    while (!dx && stop < n && !trains(plan.stages[static_cast<std::size_t>(stop)])) ++stop;
    int turn = 0;
    for (int i = n - 1; i >= stop; --i) {
      const PlannedStage& s = plan.stages[static_cast<std::size_t>(i)];
      const In<T, Space> in = a[static_cast<std::size_t>(i)];
      const bool last = i == stop;
      if (s.kind == PlannedStage::Kind::view) {
        dy = dy.reshaped(in.shape);
        continue;
      }
      const StageClock clock(plans.times, 2 * static_cast<std::size_t>(i) + 1);
      Out<T, Space> d;
      if (!last) d = place(pass, plan, plan.gradient[turn = 1 - turn], s.x, s.from);
      else if (dx) d = *dx;
      if (s.kind == PlannedStage::Kind::conversion) convert_format(dy, d);
      else layers[static_cast<std::size_t>(s.first)].backward(in, a[static_cast<std::size_t>(i) + 1], dy, last && !dx ? nullptr : &d, pass.child(s.first), s.epilogue);
      dy = d;
    }
    if (dx && dy.data != dx->data) Space::copy(dx->data, dy.data, static_cast<std::size_t>(stored_size(dy.shape, dy.format)) * sizeof(T));
  }

 private:
  /// This thread computes as the chain says while it lives.
  struct Scope {
    std::optional<typename Space::UseMath> math;
    std::optional<typename Space::UseProvider> provider;
    explicit Scope(const PlannedChain& chain) {
      if (chain.math) math.emplace(*chain.math);
      if (chain.provider) provider.emplace(*chain.provider);
    }
  };

  /// The plan for this input. Every shape is checked before any work.
  Plan& plan_for(In<T, Space> x, Out<T, Space>* y, Plans& plans, bool keep, bool fuse) const {
    const Format to = y ? y->format : Format::rows;
    for (std::size_t i = 0; i < std::min(plans.count, Plans::most); ++i) {
      Plan& p = plans.made[i];
      if (p.x == x.shape && p.from == x.format && p.to == to && p.keep == keep && p.fuse == fuse && p.version == version_ && fits(p)) return p;
    }
    Plan& fresh = plans.made[plans.count % Plans::most];
    fresh = plan(x.shape, x.format, to, keep, fuse, y != nullptr);
    ++plans.count;
    return fresh;
  }
  /// Whether the layers still answer as when the plan was made: any of them may have been assigned in place.
  bool fits(const Plan& plan) const {
    for (const PlannedStage& s : plan.stages) {
      Shape shape = s.x;
      if (s.kind == PlannedStage::Kind::conversion) continue;
      Epilogue e;
      for (int i = s.first; i <= s.last; ++i) {
        const auto& layer = layers[static_cast<std::size_t>(i)];
        const Shape y = layer.output_shape(shape);
        if (i > s.first && !layer.join(e, shape)) return false;
        shape = y;
      }
      const auto& first = layers[static_cast<std::size_t>(s.first)];
      if (shape != s.y || !(first.traits(s.x) == s.traits) || !(e == s.epilogue) || (!e.empty() && !first.fuses(e, s.x))) return false;
    }
    return true;
  }

  static Out<T, Space> place(Pass<Space>& pass, const Plan& plan, Index at, const Shape& shape, Format format) {
    unsigned char* const arena = pass.template keep<unsigned char>(0, {plan.bytes}).data;
    return {static_cast<T*>(static_cast<void*>(arena + at)), shape, format};
  }
  static void convert_format(In<T, Space> x, Out<T, Space> y) {
    if constexpr (std::is_same_v<Space, Cpu>) convert(x.stream(), x, y);
    else static_cast<void>(x), static_cast<void>(y);
  }

  In<T, Space> in_rows(In<T, Space> x, int slot, Pass<Space>& pass) {
    if (x.format == Format::rows) return x;
    const Out<T, Space> out = pass.template keep<T>(slot + 1, x.shape);
    convert_format(x, out);
    return out;
  }
  bool trains(const PlannedStage& s) const { return s.kind == PlannedStage::Kind::layer && layers[static_cast<std::size_t>(s.first)].trains(); }

  static unsigned next() {
    static std::atomic<unsigned> last{0};
    return ++last;
  }
  unsigned version_ = next();  // another one for each state of the layers of any chain
};

}  // namespace ventral::inline v0::detail
