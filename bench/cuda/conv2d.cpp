// Convolutions of LeNet-5, a small MNIST network, AlexNet, VGG and ResNet, as in bench/conv2d.cpp: forward, gradient by the input, gradient by the weights.
// FLOP are those of the direct sum. The reference is cuDNN, with the fastest of its algorithms.
#include "ventral/layers/conv2d.hpp"

#include <algorithm>
#include <cmath>

#include "cuda/data.hpp"
#include "cuda/reference.hpp"

namespace bench::device {

namespace {

struct Place {
  const char* name;
  Index batch, in, size, out, kernel, stride, padding, groups;
  bool in_bfloat16 = false;

  Index across() const { return (size + 2 * padding - kernel) / stride + 1; }
  Shape x() const { return {batch, in, size, size}; }
  Shape w() const { return {out, in / groups, kernel, kernel}; }
  Shape y() const { return {batch, out, across(), across()}; }
};
const Place places[] = {{"lenetC1", 64, 1, 32, 6, 5, 1, 0, 1},
                        {"lenetC3", 64, 6, 14, 16, 5, 1, 0, 1},
                        {"mnist32", 64, 32, 28, 32, 3, 1, 1, 1, true},
                        {"c64-14", 64, 64, 14, 64, 3, 1, 1, 1},
                        {"mnist-first", 64, 1, 28, 32, 3, 1, 1, 1},
                        {"alexconv1", 16, 3, 227, 96, 11, 4, 0, 1},
                        {"alexconv2", 16, 64, 27, 192, 5, 1, 2, 1, true},
                        {"vgg3", 8, 128, 56, 256, 3, 1, 1, 1, true},
                        {"res1x1", 16, 256, 56, 64, 1, 1, 0, 1, true},
                        {"stem7x7", 16, 3, 224, 64, 7, 2, 3, 1},
                        {"dw3x3", 16, 128, 56, 128, 3, 1, 1, 128}};

/// One pass on its arrays: forward (x, w, y), data (w, dy, dx), weights (x, dy, dw).
template <class T>
struct Convolution {
  Place p;
  Part part;
  ventral::WindowPlan plan;
  Tensor<T> first, second;
  Sets<T> a, b, ours, theirs;
  cudnn::Step<T> step = {};

  Convolution(const Place& place, Part pass)
      : p(place),
        part(pass),
        plan(ventral::place({p.kernel, p.stride, p.padding}, p.size, p.size, "conv2d")),
        first(random_numbers<T>(pass == Part::data ? p.w() : p.x(), 1)),
        second(random_numbers<T>(pass == Part::forward ? p.w() : p.y(), 2)) {
    const Shape result = part == Part::forward ? p.y() : part == Part::data ? p.x() : p.w();
    const int sets = sets_for(bytes_of<T>(first.shape()) + bytes_of<T>(second.shape()) + bytes_of<T>(result));
    a = copies(first, sets), b = copies(second, sets);
    ours = zeros<T>(result, sets), theirs = zeros<T>(result, sets);
  }

  void run(int set) {
    const Tensor<T, Cuda>&u = of(a, set), &v = of(b, set);
    if (part == Part::forward) conv2d_forward<T>(Cuda::stream(), plan, p.groups, u, v, {}, of(ours, set));
    if (part == Part::data) conv2d_backward_input<T>(Cuda::stream(), plan, p.groups, u, v, of(ours, set));
    if (part == Part::weights) conv2d_backward_weight<T>(Cuda::stream(), plan, p.groups, u, v, of(ours, set));
  }
  void run_reference(int set) { step(of(a, set).data(), of(b, set).data(), of(theirs, set).data()); }

  /// Element i of the result, by the plain formula; dw is added to 1.
  double element(Index i) const { return part == Part::forward ? y(i) : part == Part::data ? dx(i) : 1 + dw(i); }

 private:
  double y(Index i) const {
    const Index m = p.across(), column = i % m, row = i / m % m, k = i / (m * m) % p.out, n = i / (m * m * p.out);
    double sum = 0;
    for (Index c = 0; c < p.in / p.groups; ++c)
      for (Index r = 0; r < p.kernel; ++r)
        for (Index s = 0; s < p.kernel; ++s)
          sum += weight(second, k, c, r, s) * input(n, channel(k, c), row * p.stride - p.padding + r, column * p.stride - p.padding + s);
    return sum;
  }
  double dx(Index i) const {
    const Index column = i % p.size, row = i / p.size % p.size, c = i / (p.size * p.size) % p.in, n = i / (p.size * p.size * p.in);
    const Index outs = p.out / p.groups, ins = p.in / p.groups, group = c / ins;
    double sum = 0;
    for (Index k = group * outs; k < (group + 1) * outs; ++k)
      for (Index r = 0; r < p.kernel; ++r)
        for (Index s = 0; s < p.kernel; ++s) sum += weight(first, k, c % ins, r, s) * gradient(n, k, row + p.padding - r, column + p.padding - s);
    return sum;
  }
  double dw(Index i) const {
    const Index s = i % p.kernel, r = i / p.kernel % p.kernel, ins = p.in / p.groups, c = i / (p.kernel * p.kernel) % ins, k = i / (p.kernel * p.kernel * ins);
    const Index m = p.across();
    double sum = 0;
    for (Index n = 0; n < p.batch; ++n)
      for (Index row = 0; row < m; ++row)
        for (Index column = 0; column < m; ++column)
          sum += static_cast<double>(second[((n * p.out + k) * m + row) * m + column]) *
                 input(n, channel(k, c), row * p.stride - p.padding + r, column * p.stride - p.padding + s);
    return sum;
  }
  Index channel(Index k, Index c) const { return k / (p.out / p.groups) * (p.in / p.groups) + c; }
  double weight(const Tensor<T>& w, Index k, Index c, Index r, Index s) const {
    return static_cast<double>(w[((k * (p.in / p.groups) + c) * p.kernel + r) * p.kernel + s]);
  }
  double input(Index n, Index c, Index row, Index column) const {
    if (row < 0 || row >= p.size || column < 0 || column >= p.size) return 0;
    return static_cast<double>(first[((n * p.in + c) * p.size + row) * p.size + column]);
  }
  /// Gradient of the output whose window begins at (row, column), times stride; 0 between outputs and outside.
  double gradient(Index n, Index k, Index row, Index column) const {
    const Index m = p.across();
    if (row < 0 || column < 0 || row % p.stride || column % p.stride || row / p.stride >= m || column / p.stride >= m) return 0;
    return static_cast<double>(second[((n * p.out + k) * m + row / p.stride) * m + column / p.stride]);
  }
};

template <class T>
void add(Program& program, const Place& place, Part part, bool with_cudnn) {
  const char* pass = part == Part::forward ? "forward" : part == Part::data ? "data" : "weights";
  const double flop = 2 * static_cast<double>(place.y().size()) * static_cast<double>(place.w().size() / place.out);
  program.add(ventral::concat(place.name, "/", pass, "/", type_name<T>), {.flop = flop}, [=] {
    const auto p = std::make_shared<Convolution<T>>(place, part);
    const auto element = [p](Index i) { return p->element(i); };
    const double start = part == Part::weights ? 1 : NAN;
    Contest c;
    c.sets = static_cast<int>(p->a.size());
    c.ours = {"ventral", [p](int set) { p->run(set); }, {check<T>("result", of(p->ours, 0), element, tolerance<T>, start)}};
    if (!with_cudnn) return c;
    try {
      p->step = cudnn::fastest<T>({place.x(), place.w(), place.y(), place.stride, place.padding, place.groups}, part);
      const double allowed = std::max(1e-2, tolerance<T>);  // Winograd's and Fourier's ways round more
      c.reference = {"cuDNN", [p](int set) { p->run_reference(set); }, {check<T>("result", of(p->theirs, 0), element, allowed, start)}};
    } catch (const ventral::Error& e) {
      c.reference.name = e.what();
    }
    return c;
  });
}

}  // namespace

}  // namespace bench::device

int main(int argc, char** argv) {
  using namespace bench::device;
  const std::string reference = bench::cudnn::version();
  Program program(argc, argv, "cuda_conv2d", reference.empty() ? "" : reference + ", its fastest algorithm, NCHW, float without TF32");
  for (const Place& place : places)
    for (const auto part : {bench::Part::forward, bench::Part::data, bench::Part::weights}) {
      add<float>(program, place, part, !reference.empty());
      if (place.in_bfloat16) add<bfloat16>(program, place, part, !reference.empty());
    }
  return program.run();
}
