// Convolutions, forward, gradient by the input, gradient by the weights. `rows`: plain N,C,H,W on all sides. `blocks`: 16 images innermost, against oneDNN in
// its own layout; no side converts. FLOP are those of the direct sum.
#include "ventral/cpu/conv2d.hpp"

#include <algorithm>

#include "support/conv_places.hpp"
#include "support/layer_contender.hpp"
#include "support/libtorch.hpp"
#include "support/peers.hpp"

namespace {

using namespace bench;
using ventral::Format;
using ventral::In;
using onednn::Way;

struct Data {
  ConvPlace p;
  ventral::Window window;
  ventral::WindowPlan plan;
  Tensor<float> x, w, b, dy;

  explicit Data(const ConvPlace& place)
      : p(place),
        window{{p.kernel_height, p.kernel_width}, p.stride, p.padding, 1, ventral::Rounding::floor},
        plan(ventral::place(window, p.height, p.width, "bench")),
        x(random_tensor({p.batch, p.in, p.height, p.width}, 1)),
        w(random_tensor({p.out, p.in / p.groups, p.kernel_height, p.kernel_width}, 2)),
        b(random_tensor({p.out}, 3)),
        dy(random_tensor({p.batch, p.out, plan.h.out, plan.w.out}, 4)) {}

  double y(Index i) const {
    const Index ow = i % columns(), oh = i / columns() % rows(), k = i / (rows() * columns()) % p.out, n = i / (rows() * columns() * p.out);
    double sum = static_cast<double>(b[k]);
    for (Index c = 0; c < p.in / p.groups; ++c)
      for (Index r = 0; r < p.kernel_height; ++r)
        for (Index s = 0; s < p.kernel_width; ++s) sum += weight(k, c, r, s) * input(n, channel(k, c), oh * p.stride - p.padding + r, ow * p.stride - p.padding + s);
    return sum;
  }
  double dx(Index i) const {
    const Index column = i % p.width, row = i / p.width % p.height, c = i / (p.height * p.width) % p.in, n = i / (p.height * p.width * p.in);
    const Index outs = p.out / p.groups, ins = p.in / p.groups, group = c / ins;
    double sum = 0;
    for (Index k = group * outs; k < (group + 1) * outs; ++k)
      for (Index r = 0; r < p.kernel_height; ++r)
        for (Index s = 0; s < p.kernel_width; ++s) sum += weight(k, c % ins, r, s) * output_gradient(n, k, row + p.padding - r, column + p.padding - s);
    return sum;
  }
  double dw(Index i) const {
    const Index s = i % p.kernel_width, r = i / p.kernel_width % p.kernel_height, ins = p.in / p.groups, area = p.kernel_height * p.kernel_width;
    const Index c = i / area % ins, k = i / (area * ins);
    double sum = 0;
    for (Index n = 0; n < p.batch; ++n)
      for (Index oh = 0; oh < rows(); ++oh)
        for (Index ow = 0; ow < columns(); ++ow)
          sum += static_cast<double>(dy[((n * p.out + k) * rows() + oh) * columns() + ow]) *
                 input(n, channel(k, c), oh * p.stride - p.padding + r, ow * p.stride - p.padding + s);
    return sum;
  }
  double db(Index k) const {
    double sum = 0;
    for (Index n = 0; n < p.batch; ++n)
      for (Index i = 0; i < rows() * columns(); ++i) sum += static_cast<double>(dy[(n * p.out + k) * rows() * columns() + i]);
    return sum;
  }

 private:
  Index rows() const { return plan.h.out; }
  Index columns() const { return plan.w.out; }
  Index channel(Index k, Index c) const { return k / (p.out / p.groups) * (p.in / p.groups) + c; }
  double weight(Index k, Index c, Index r, Index s) const {
    return static_cast<double>(w[((k * (p.in / p.groups) + c) * p.kernel_height + r) * p.kernel_width + s]);
  }
  double input(Index n, Index c, Index row, Index column) const {
    if (row < 0 || row >= p.height || column < 0 || column >= p.width) return 0;
    return static_cast<double>(x[((n * p.in + c) * p.height + row) * p.width + column]);
  }
  /// Gradient of the output whose window begins at (row, column), times stride; 0 between outputs and outside.
  double output_gradient(Index n, Index k, Index row, Index column) const {
    if (row < 0 || column < 0 || row % p.stride || column % p.stride || row / p.stride >= rows() || column / p.stride >= columns()) return 0;
    return static_cast<double>(dy[((n * p.out + k) * rows() + row / p.stride) * columns() + column / p.stride]);
  }
};

/// Copies images between formats, lane by lane; lanes without an image become 0.
void convert(In<float> from, TensorRef<float> to) {
  const Index images = from.shape[0], size = from.shape.product(1, from.shape.rank());
  const auto at = [&](Format format, Index n, Index i) {
    return format == Format::rows ? n * size + i : (n / ventral::block_images * size + i) * ventral::block_images + n % ventral::block_images;
  };
  std::fill_n(to.data, ventral::stored_size(to.shape, to.format), 0.0f);
  for (Index n = 0; n < images; ++n)
    for (Index i = 0; i < size; ++i) to.data[at(to.format, n, i)] = from.data[at(from.format, n, i)];
}

class Ours final : public Contender {
 public:
  Ours(const Data& data, Part part, Format format)
      : d_(data), part_(part), x_(converted(d_.x, format)), dy_(converted(d_.dy, format)), result_(Tensor<float>::uninitialized(result_shape(), format)),
        rows_(part == Part::weights ? Shape{0} : result_shape()), db_(d_.b.shape()) {
    clear();
  }
  void run() override {
    using namespace ventral::cpu;
    const ventral::cpu::Stream stream = x_.stream();
    const Index groups = d_.p.groups;
    if (part_ == Part::forward) return conv2d_forward<float>(stream, d_.plan, groups, x_, d_.w, d_.b, result_);
    if (part_ == Part::data) return conv2d_backward_input<float>(stream, d_.plan, groups, d_.w, dy_, result_);
    conv2d_backward_weight<float>(stream, d_.plan, groups, x_, dy_, result_);
    conv2d_backward_bias<float>(stream, dy_, db_);
  }
  /// Gradients of weights are added to.
  void clear() override {
    if (part_ == Part::weights) result_.zero(), db_.zero();
  }
  std::vector<Output> outputs() override {
    if (part_ == Part::weights) return {result_.ref(), db_.ref()};
    convert(result_, rows_);
    return {rows_.ref()};
  }
  void poison() override { std::fill(result_.begin(), result_.end(), std::numeric_limits<float>::quiet_NaN()); }

 private:
  static Tensor<float> converted(const Tensor<float>& rows, Format format) {
    Tensor<float> t = Tensor<float>::uninitialized(rows.shape(), format);
    convert(rows, t);
    return t;
  }
  Shape result_shape() const { return part_ == Part::forward ? d_.dy.shape() : part_ == Part::data ? d_.x.shape() : d_.w.shape(); }

  const Data& d_;
  Part part_;
  Tensor<float> x_, dy_, result_, rows_, db_;
};

std::vector<std::unique_ptr<Contender>> references(const Data& d, Part part, Format format) {
  std::vector<std::unique_ptr<Contender>> all;
  const auto add = [&](auto make_onednn, auto make_torch) {
    for (const Way way : format == Format::rows ? std::vector{Way::rows, Way::reordered} : std::vector{Way::own, Way::winograd}) all.push_back(make_onednn(way));
    if (format == Format::rows) all.push_back(make_torch());
  };
  switch (part) {
    case Part::forward:
      add([&](Way way) { return onednn::conv2d_forward(way, d.window, d.p.groups, d.x, d.w, d.b); },
          [&] { return libtorch::conv2d_forward(d.window, d.p.groups, d.x, d.w, d.b); });
      break;
    case Part::data:
      add([&](Way way) { return onednn::conv2d_backward_data(way, d.window, d.p.groups, d.x, d.w, d.dy); },
          [&] { return libtorch::conv2d_backward_data(d.window, d.p.groups, d.x, d.w, d.dy); });
      break;
    default:
      add([&](Way way) { return onednn::conv2d_backward_weights(way, d.window, d.p.groups, d.x, d.w, d.dy); },
          [&] { return libtorch::conv2d_backward_weights(d.window, d.p.groups, d.x, d.w, d.dy); });
  }
  return all;
}

std::vector<Expectation> expectations(const Data& d, Part part) {
  if (part == Part::forward) return {{"y", [&](Index i) { return d.y(i); }, 1e-4}};
  if (part == Part::data) return {{"dx", [&](Index i) { return d.dx(i); }, 1e-4}};
  return {{"dw", [&](Index i) { return d.dw(i); }, 1e-4}, {"db", [&](Index i) { return d.db(i); }, 1e-4}};
}

void add(Program& program, const ConvPlace& p) {
  const auto axis = [&](Index in, Index kernel) { return static_cast<double>((in + 2 * p.padding - kernel) / p.stride + 1); };
  const double outputs = static_cast<double>(p.batch * p.out) * axis(p.height, p.kernel_height) * axis(p.width, p.kernel_width);
  const Work work{.flop = 2 * outputs * static_cast<double>(p.in / p.groups * p.kernel_height * p.kernel_width)};
  for (const Part part : {Part::forward, Part::data, Part::weights})
    for (const Format format : {Format::rows, Format::blocks}) {
      const char* pass = part == Part::forward ? "/forward/" : part == Part::data ? "/data/" : "/weights/";
      program.add(std::string(p.name) + pass + to_string(format), work, [=] {
        const auto d = std::make_shared<const Data>(p);
        Contest c;
        c.data = d;
        c.ours = std::make_unique<Ours>(*d, part, format);
        c.references = references(*d, part, format);
        c.expected = expectations(*d, part);
        return c;
      });
    }
}

}  // namespace

int main(int argc, char** argv) {
  Program program(argc, argv, "conv2d");
  for (const ConvPlace& p : known_places) add(program, p);
  for (const ConvPlace& p : convnet_places) add(program, p);
  for (const ConvPlace& p : deepbench_places) add(program, p);
  return program.run();
}
