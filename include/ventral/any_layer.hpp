#pragma once
#include <memory>
#include <string_view>
#include <utility>

#include "ventral/layer.hpp"

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
  AnyLayer(std::string name, L&& layer) : name_(std::move(name)), model_(new Model<L>(std::move(layer))) {
    list_parameters();
  }
  AnyLayer(const AnyLayer& o) : name_(o.name_), model_(o.model_->clone()) { list_parameters(); }
  AnyLayer(AnyLayer&&) noexcept = default;
  AnyLayer& operator=(AnyLayer&&) noexcept = default;

  const std::string& name() const { return name_; }
  std::string_view kind() const { return model_->kind(); }
  bool is_view() const { return model_->is_view(); }
  /// Whether backward has gradients of parameters to add: any that is not frozen. Asked at every step, so it allocates nothing.
  bool trains() const {
    for (const auto* p : listed_)
      if (!p->frozen) return true;
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
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass) { model_->forward(x, y, pass); }
  void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) { model_->backward(x, y, dy, dx, pass); }
  std::vector<NamedParameter<T, Space>> parameters() { return model_->parameters(); }
  std::vector<NamedBuffer<T, Space>> buffers() { return model_->buffers(); }
  void initialize(Random random) { model_->initialize(random); }
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
    virtual bool is_view() const = 0;
    virtual Shape output_shape(const Shape&) const = 0;
    virtual void forward(In<T, Space>, Out<T, Space>, Pass<Space>&) = 0;
    virtual void backward(In<T, Space>, In<T, Space>, In<T, Space>, Out<T, Space>*, Pass<Space>&) = 0;
    virtual std::vector<NamedParameter<T, Space>> parameters() = 0;
    virtual std::vector<NamedBuffer<T, Space>> buffers() = 0;
    virtual void initialize(Random) = 0;
    virtual Index flops(const Shape&) const = 0;
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
    bool is_view() const override {
      if constexpr (requires { L::is_view; }) return L::is_view;
      return false;
    }
    Shape output_shape(const Shape& x) const override { return layer.output_shape(x); }
    void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass) override { layer.forward(x, y, pass); }
    void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) override { layer.backward(x, y, dy, dx, pass); }
    [[gnu::cold]] std::vector<NamedParameter<T, Space>> parameters() override { return parameters_of(layer); }
    [[gnu::cold]] std::vector<NamedBuffer<T, Space>> buffers() override { return buffers_of(layer); }
    [[gnu::cold]] void initialize([[maybe_unused]] Random random) override {
      if constexpr (requires { layer.initialize(random); }) layer.initialize(random);
    }
    Index flops([[maybe_unused]] const Shape& x) const override {
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
  [[gnu::cold]] void list_parameters() {
    if (model_->is_container()) return;
    for (auto& p : model_->parameters()) listed_.push_back(p.parameter);
  }
  std::string name_;
  std::unique_ptr<Concept> model_;
  std::vector<Parameter<T, Space>*> listed_;
};

}  // namespace detail

}  // namespace ventral::inline v0
