#pragma once
#include "ventral/cpu/combine.hpp"
#include "ventral/sequential.hpp"

namespace ventral::inline v0 {

/// y = body(x) + shortcut(x); without a shortcut, y = body(x) + x. Both are Sequentials and must give the same shape.
/// Parameters bear the names `body.<layer>...` and `shortcut.<layer>...`. dx is the sum of both gradients.
/// Throws ShapeError when the shapes differ. Source: He, Zhang, Ren, Sun 2016, "Deep residual learning for image recognition", equations 1 and 2.
template <class T, class SpaceType = Cpu>
class Residual {
 public:
  using Scalar = T;
  using Space = SpaceType;
  static constexpr const char* kind = "Residual";

  Sequential<T, Space> body, shortcut;

  explicit Residual(Sequential<T, Space> body_layers, Sequential<T, Space> shortcut_layers = {})
      : body(std::move(body_layers)), shortcut(std::move(shortcut_layers)) {}

  Shape output_shape(const Shape& x) const {
    const Shape a = body.output_shape(x), b = shortcut.output_shape(x);
    require<ShapeError>(a == b, "Residual: input ", x, " gives ", a, " through the body and ", b, " through the shortcut; they must be the same");
    return a;
  }
  /// Its branches plan formats of their own, but give and take x and y alike.
  bool takes_blocks(const Shape& x) const { return body.takes_blocks(x) && (shortcut.size() == 0 || shortcut.takes_blocks(x)); }
  bool prefers_blocks(const Shape& x) const { return body.prefers_blocks(x) || shortcut.prefers_blocks(x); }
  Index kept_bytes(const Shape& x, Format format, Mode mode) const {
    const Index y = stored_size(output_shape(x), format), through = mode == Mode::training ? stored_size(x, format) : 0, branch = body.kept_bytes(x, format, mode);
    if (shortcut.size() == 0) return branch + y * static_cast<Index>(sizeof(T));
    return branch + shortcut.kept_bytes(x, format, mode) + (2 * y + through) * static_cast<Index>(sizeof(T));
  }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass) {
    const Out<T, Space> a = pass.template keep<T>(0, y.shape, y.format);
    body.forward(x, a, pass.child(0));
    if (shortcut.size() == 0) return add_tensors(x.stream(), a.stored(), x.stored(), y.stored());
    const Out<T, Space> b = pass.template keep<T>(1, y.shape, y.format);
    shortcut.forward(x, b, pass.child(1));
    add_tensors(x.stream(), a.stored(), b.stored(), y.stored());
  }
  void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) {
    body.backward(x, pass.template kept<T>(0, y.shape, y.format), dy, dx, pass.child(0));
    if (shortcut.size() == 0) {
      if (dx) add_tensors(x.stream(), dx->stored(), dy.stored(), dx->stored());
      return;
    }
    const In<T, Space> b = pass.template kept<T>(1, y.shape, y.format);
    if (!dx) return shortcut.backward(x, b, dy, nullptr, pass.child(1));
    Out<T, Space> through = pass.template keep<T>(2, x.shape, x.format);
    shortcut.backward(x, b, dy, &through, pass.child(1));
    add_tensors(x.stream(), dx->stored(), through.stored(), dx->stored());
  }
  std::vector<NamedParameter<T, Space>> parameters() {
    std::vector<NamedParameter<T, Space>> out;
    for (auto& p : body.parameters()) out.push_back({"body." + p.name, p.parameter});
    for (auto& p : shortcut.parameters()) out.push_back({"shortcut." + p.name, p.parameter});
    return out;
  }
  std::vector<NamedBuffer<T, Space>> buffers() {
    std::vector<NamedBuffer<T, Space>> out;
    for (auto& b : body.buffers()) out.push_back({"body." + b.name, b.buffer});
    for (auto& b : shortcut.buffers()) out.push_back({"shortcut." + b.name, b.buffer});
    return out;
  }
  void initialize(Random random) {
    body.initialize(random.fork(0));
    shortcut.initialize(random.fork(1));
  }
  bool trains() const { return body.trains() || shortcut.trains(); }
  Index flops(const Shape& x) const { return body.flops(x) + shortcut.flops(x) + output_shape(x).size(); }
  /// The larger of the two paths' fields.
  ReceptiveField field_after(const ReceptiveField& f) const { return larger(body.field_after(f), shortcut.field_after(f)); }
};

}  // namespace ventral::inline v0
