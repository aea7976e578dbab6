#pragma once
#include <memory>
#include <string_view>
#include <utility>

#include "ventral/layer.hpp"
#include "ventral/plan.hpp"
#include "ventral/small_stage.hpp"

namespace ventral::inline v0 {

namespace detail {

/// A layer's error with the layer's name: `Conv2d: input ...` becomes `Conv2d 'conv1': input ...`.
[[gnu::cold]] inline std::string named_error(std::string_view kind, std::string_view name, std::string_view what) {
  if (what.substr(0, kind.size()) == kind && what.substr(kind.size(), 2) == ": ") what.remove_prefix(kind.size() + 2);
  return concat(kind, " '", name, "': ", what);
}

[[noreturn, gnu::cold]] inline void fail_unknown_layer(std::string_view name, const std::vector<std::string>& known) {
  std::string list;
  for (const auto& k : known) list += (list.empty() ? "" : ", ") + k;
  throw Error(concat("no layer '", name, "'; the network has: ", known.empty() ? "no layers" : list));
}

/// One line of a summary, in columns.
[[gnu::cold]] inline std::string summary_row(std::string_view name, std::string_view kind, std::string_view output, std::string_view parameters, std::string_view flops, std::string_view field,
                                             std::string_view step) {
  std::string out;
  const auto left = [&](std::string_view text, std::size_t width) { out.append(text).append(text.size() < width ? width - text.size() : 1, ' '); };
  const auto right = [&](std::string_view text, std::size_t width) { out.append(text.size() < width ? width - text.size() : 1, ' ').append(text); };
  left(name, 14), left(kind, 18), left(output, 20), right(parameters, 11), right(flops, 14), right(field, 8), right(step, 6);
  return out + "\n";
}

/// A layer of any type behind one interface. Errors about shapes get the layer's name: `Conv2d 'conv1': ...`.
template <class T, class Space>
class AnyLayer {
 public:
  template <class L>
  AnyLayer(std::string name, L&& layer) : AnyLayer(std::move(name), std::unique_ptr<Concept>(new Model<L>(std::move(layer)))) {}
  AnyLayer(const AnyLayer& o) : AnyLayer(o.name_, o.model_->clone()) {}
  AnyLayer(AnyLayer&&) noexcept = default;
  AnyLayer& operator=(AnyLayer&&) noexcept = default;

  const std::string& name() const { return name_; }
  std::string_view kind() const { return model_->kind(); }
  /// Whether backward has gradients of parameters to add: any that is not frozen. Asked at every step, so it allocates nothing.
  bool trains() const {
    for (const auto& p : listed_)
      if (!p.parameter->frozen) return true;
    return model_->contents_train();
  }
  void set_frozen(bool frozen) {
    for (auto& p : parameters()) p.parameter->frozen = frozen;
  }
  Shape output_shape(const Shape& x) const {
    try {
      return model_->output_shape(x);
    } catch (const ShapeError& e) {
      throw ShapeError(named_error(kind(), name_, e.what()));
    }
  }
  LayerTraits traits(const Shape& x) const { return model_->traits(x); }
  bool join(Epilogue& e, const Shape& x) const { return model_->join(e, x); }
  bool fuses(const Epilogue& e, const Shape& x) const { return model_->fuses(e, x); }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass, const Epilogue& e = {}) { model_->forward(x, y, pass, e); }
  void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass, const Epilogue& e = {}) {
    model_->backward(x, y, dy, dx, pass, e);
  }
  Index kept_bytes(const Shape& x, Format format, const Epilogue& e, Mode mode) const { return model_->kept_bytes(x, format, e, mode); }
  std::vector<NamedParameter<T, Space>> parameters() { return model_->parameters(); }
  std::vector<NamedBuffer<T, Space>> buffers() { return model_->buffers(); }
  void initialize(Random random) { model_->initialize(random); }
  bool describe(SmallStage<T, Space>& s, const Shape& x) { return model_->describe(s, x); }
  Index flops(const Shape& x) const { return model_->flops(x); }
  ReceptiveField field_after(const ReceptiveField& field) const { return model_->field_after(field); }
  template <class L>
  L* get_if() {
    auto* model = dynamic_cast<Model<L>*>(model_.get());
    return model ? &model->layer : nullptr;
  }

 private:
  struct Concept {
    virtual ~Concept() = default;
    virtual std::unique_ptr<Concept> clone() const = 0;
    virtual std::string_view kind() const = 0;
    virtual Shape output_shape(const Shape&) const = 0;
    virtual LayerTraits traits(const Shape&) const = 0;
    virtual bool join(Epilogue&, const Shape&) const = 0;
    virtual bool fuses(const Epilogue&, const Shape&) const = 0;
    virtual void forward(In<T, Space>, Out<T, Space>, Pass<Space>&, const Epilogue&) = 0;
    virtual void backward(In<T, Space>, In<T, Space>, In<T, Space>, Out<T, Space>*, Pass<Space>&, const Epilogue&) = 0;
    virtual std::vector<NamedParameter<T, Space>> parameters() = 0;
    virtual std::vector<NamedBuffer<T, Space>> buffers() = 0;
    virtual void initialize(Random) = 0;
    virtual bool describe(SmallStage<T, Space>&, const Shape&) = 0;
    virtual Index flops(const Shape&) const = 0;
    virtual Index kept_bytes(const Shape&, Format, const Epilogue&, Mode) const = 0;
    virtual ReceptiveField field_after(const ReceptiveField&) const = 0;
    virtual bool is_container() const = 0;
    virtual bool contents_train() const = 0;
  };

  template <class L>
  struct Model final : Concept {
    explicit Model(const L& l) : layer(l) {}
    explicit Model(L&& l) : layer(std::move(l)) {}
    [[gnu::cold]] std::unique_ptr<Concept> clone() const override { return std::unique_ptr<Concept>(new Model(layer)); }
    std::string_view kind() const override { return L::kind; }
    Shape output_shape(const Shape& x) const override { return layer.output_shape(x); }
    [[gnu::cold]] LayerTraits traits([[maybe_unused]] const Shape& x) const override {
      LayerTraits t;
      if constexpr (requires { L::is_view; }) t.view = L::is_view;
      if constexpr (requires { layer.takes_blocks(x); }) t.takes_blocks = layer.takes_blocks(x);
      if constexpr (requires { layer.prefers_blocks(x); }) t.prefers_blocks = layer.prefers_blocks(x);
      if constexpr (requires { L::mixes_formats; }) t.mixes_formats = L::mixes_formats;
      return t;
    }
    [[gnu::cold]] bool join([[maybe_unused]] Epilogue& e, [[maybe_unused]] const Shape& x) const override {
      if constexpr (requires { layer.join(e, x); }) return layer.join(e, x);
      else return false;
    }
    [[gnu::cold]] bool fuses([[maybe_unused]] const Epilogue& e, [[maybe_unused]] const Shape& x) const override {
      if constexpr (requires { layer.fuses(e, x); }) {
        static_assert(requires(L& l, In<T, Space> in, Out<T, Space> y, Out<T, Space>* dx, Pass<Space>& pass) {
          l.forward(in, y, pass, e);
          l.backward(in, in, in, dx, pass, e);
        }, "a layer that fuses needs forward and backward with an Epilogue, see layer.hpp");
        return layer.fuses(e, x);
      } else {
        return false;
      }
    }
    void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass, const Epilogue& e) override {
      if constexpr (requires { layer.forward(x, y, pass, e); }) {
        if (!e.empty()) return layer.forward(x, y, pass, e);
      }
      layer.forward(x, y, pass);
    }
    void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass, const Epilogue& e) override {
      if constexpr (requires { layer.backward(x, y, dy, dx, pass, e); }) {
        if (!e.empty()) return layer.backward(x, y, dy, dx, pass, e);
      }
      layer.backward(x, y, dy, dx, pass);
    }
    [[gnu::cold]] Index kept_bytes([[maybe_unused]] const Shape& x, [[maybe_unused]] Format format, [[maybe_unused]] const Epilogue& e, Mode mode) const override {
      if constexpr (requires { layer.kept_bytes(x, format, mode); }) return layer.kept_bytes(x, format, mode);
      if (mode == Mode::inference) return 0;
      if constexpr (requires { layer.kept_bytes(x, format, e); }) return layer.kept_bytes(x, format, e);
      else if constexpr (requires { layer.kept_bytes(x, format); }) return layer.kept_bytes(x, format);
      else return 0;
    }
    [[gnu::cold]] std::vector<NamedParameter<T, Space>> parameters() override { return parameters_of(layer); }
    [[gnu::cold]] std::vector<NamedBuffer<T, Space>> buffers() override { return buffers_of(layer); }
    [[gnu::cold]] void initialize([[maybe_unused]] Random random) override {
      if constexpr (requires { layer.initialize(random); }) layer.initialize(random);
    }
    [[gnu::cold]] bool describe([[maybe_unused]] SmallStage<T, Space>& s, [[maybe_unused]] const Shape& x) override {
      if constexpr (requires { layer.describe(s, x); }) return layer.describe(s, x);
      else return false;
    }
    [[gnu::cold]] Index flops([[maybe_unused]] const Shape& x) const override {
      if constexpr (requires { layer.flops(x); }) return layer.flops(x);
      return 0;
    }
    [[gnu::cold]] ReceptiveField field_after(const ReceptiveField& field) const override {
      if constexpr (requires { layer.field_after(field); }) return layer.field_after(field);
      else if constexpr (requires { layer.window(); }) return field.after(layer.window());
      else return field;
    }
    bool is_container() const override {
      return requires { layer.trains(); };
    }
    bool contents_train() const override {
      if constexpr (requires { layer.trains(); }) return layer.trains();
      else return false;
    }
    L layer;
  };

  /// Notes where a layer's own parameters are. Those inside a container may come and go, so it is asked.
  [[gnu::cold]] AnyLayer(std::string name, std::unique_ptr<Concept> model) : name_(std::move(name)), model_(std::move(model)) {
    if (!model_->is_container()) listed_ = model_->parameters();
  }
  std::string name_;
  std::unique_ptr<Concept> model_;
  std::vector<NamedParameter<T, Space>> listed_;
};

}  // namespace detail

}  // namespace ventral::inline v0
