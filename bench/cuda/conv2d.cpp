// Convolutions of LeNet-5, a small MNIST network, AlexNet, VGG and ResNet, as in bench/conv2d.cpp, and of convnet-benchmarks: forward, gradient by the input, gradient by the weights; float exactly, by Winograd's kernel and in tf32, bfloat16; some with bias, ReLU and pooling in the same kernel. FLOP are those of the direct sum. The reference is cuDNN with the fastest of the
// algorithms of its search and of the plans of its graph API, strict where ours is.
#include "ventral/layers/conv2d.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "cuda/conv2d_places.hpp"
#include "cuda/data.hpp"
#include "cuda/reference.hpp"

namespace bench::device {

namespace {

using ventral::Math;

/// One pass on its arrays: forward (x, w, y), data (w, dy, dx), weights (x, dy, dw).
template <class T>
struct Convolution {
  Place p;
  Part part;
  Math math;
  bool winograd;
  ventral::WindowPlan plan;
  Tensor<T> first, second;
  Sets<T> a, b, ours, theirs;
  double set_bytes = 0;

  Convolution(const Place& place, Part pass, Math how, bool by_winograd = false)
      : p(place),
        part(pass),
        math(how),
        winograd(by_winograd),
        plan(ventral::place({p.kernel, p.stride, p.padding}, p.size, p.size, "conv2d")),
        first(random_numbers<T>(pass == Part::data ? p.w() : p.x(), 1)),
        second(random_numbers<T>(pass == Part::forward ? p.w() : p.y(), 2)) {
    const Shape result = part == Part::forward ? p.y() : part == Part::data ? p.x() : p.w();
    const int sets = sets_for(set_bytes = bytes_of<T>(first.shape()) + bytes_of<T>(second.shape()) + bytes_of<T>(result));
    a = copies(first, sets), b = copies(second, sets);
    ours = zeros<T>(result, sets), theirs = zeros<T>(result, sets);
  }

  void run(int set) {
    const typename Cuda::UseMath use(math);
    ventral::gpu::set_winograd(winograd);
    const Tensor<T, Cuda>&u = of(a, set), &v = of(b, set);
    if (part == Part::forward) conv2d_forward<T>(Cuda::stream(), plan, p.groups, u, v, {}, of(ours, set));
    if (part == Part::data) conv2d_backward_input<T>(Cuda::stream(), plan, p.groups, u, v, of(ours, set));
    if (part == Part::weights) conv2d_backward_weight<T>(Cuda::stream(), plan, p.groups, u, v, of(ours, set));
  }
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

/// The ways of cuDNN; where one of its interfaces fails, why goes to the row.
template <class T>
void add_references(Contest& c, const std::shared_ptr<Convolution<T>>& p, const Check& right) {
  const cudnn::Convolution convolution{p->p.x(), p->p.w(), p->p.y(), p->p.stride, p->p.padding, p->p.groups};
  for (const auto ways : {&cudnn::searched<T>, &cudnn::planned<T>}) try {
      for (const Way<T>& way : ways(convolution, p->part, p->math))
        c.others.push_back({"cuDNN", [p, run = way.run](int set) { run(of(p->a, set).data(), of(p->b, set).data(), of(p->theirs, set).data()); }, {right}, way.algorithm,
                            way.workspace});
    } catch (const ventral::Error& e) {
      c.reference.name += (c.reference.name.empty() ? "" : "; ") + std::string(e.what());
    }
}

template <class T>
void add(Program& program, const Place& place, Part part, bool with_cudnn, Math math = Math::exact, bool winograd = false) {
  const char* pass = part == Part::forward ? "forward" : part == Part::data ? "data" : "weights";
  const double flop = 2 * static_cast<double>(place.y().size()) * static_cast<double>(place.w().size() / place.out);
  const double bytes = bytes_of<T>(place.x()) + bytes_of<T>(place.w()) + bytes_of<T>(place.y());
  program.add(ventral::concat(place.name, "/", pass, "/", type_name<T>, suffix_of(math), winograd ? "-winograd" : ""), {.flop = flop, .bytes = bytes}, [=] {
    const auto p = std::make_shared<Convolution<T>>(place, part, math, winograd);
    const auto element = [p](Index i) { return p->element(i); };
    const double start = part == Part::weights ? 1 : NAN;
    Contest c;
    c.sets = static_cast<int>(p->a.size());
    c.arithmetic = arithmetic_of<T>(math);
    c.set_bytes = p->set_bytes;
    c.ours = {"ventral", [p](int set) { p->run(set); }, {check<T>("result", of(p->ours, 0), element, tolerance_of<T>(math), start)}};
    const double allowed = std::max(1e-2, tolerance<T>);  // Winograd's and Fourier's ways round more
    if (with_cudnn) add_references(c, p, check<T>("result", of(p->theirs, 0), element, allowed, start));
    return c;
  });
}

/// y = relu(x * w + b), or its largest of each two by two, in one kernel; theirs one operation after another.
template <class T>
struct Fused {
  Convolution<T> whole;  ///< without bias, of which y is used as theirs
  ventral::Epilogue epilogue{.relu = true};
  Tensor<T> bias;
  Shape shape;
  Sets<T> b, ours, theirs;

  Fused(const Place& p, bool pool, Math math) : whole(p, Part::forward, math), bias(random_numbers<T>({p.out}, 3)), shape(p.y()) {
    if (pool) {
      epilogue.pool = ventral::Epilogue::Pool::max;
      epilogue.window = ventral::place({.kernel = 2, .stride = 2}, p.across(), p.across(), "pool");
      shape = {p.batch, p.out, p.across() / 2, p.across() / 2};
    }
    const int sets = static_cast<int>(whole.a.size());
    b = copies(bias, sets), ours = zeros<T>(shape, sets), theirs = zeros<T>(shape, sets);
  }
  bool pools() const { return epilogue.pool != ventral::Epilogue::Pool::none; }
  void run(int set) {
    const typename Cuda::UseMath use(whole.math);
    ventral::gpu::set_winograd(false);
    conv2d_forward_fused<T>(Cuda::stream(), whole.plan, whole.p.groups, of(whole.a, set), of(whole.b, set), of(b, set), epilogue, {}, of(ours, set));
  }
  double element(Index i) const {
    const Index n = shape[3], column = i % n, row = i / n % n, plane = i / (n * n), across = whole.p.across(), step = pools() ? 2 : 1;
    double largest = 0;  // relu's
    for (Index r = row * step; r < (row + 1) * step; ++r)
      for (Index c = column * step; c < (column + 1) * step; ++c)
        largest = std::max(largest, whole.element((plane * across + r) * across + c) + static_cast<double>(bias[plane % whole.p.out]));
    return largest;
  }
};

template <class T>
void add_fused(Program& program, const Place& place, bool pool, bool with_cudnn, Math math = Math::exact) {
  const double flop = 2 * static_cast<double>(place.y().size()) * static_cast<double>(place.w().size() / place.out);
  const double bytes = bytes_of<T>(place.x()) + bytes_of<T>(place.w()) + bytes_of<T>(place.y()) / (pool ? 4 : 1);
  program.add(ventral::concat(place.name, pool ? "/fused-relu-pool/" : "/fused-relu/", type_name<T>, suffix_of(math)), {.flop = flop, .bytes = bytes}, [=] {
    const auto p = std::make_shared<Fused<T>>(place, pool, math);
    const auto element = [p](Index i) { return p->element(i); };
    Contest c;
    c.sets = static_cast<int>(p->ours.size());
    c.arithmetic = arithmetic_of<T>(math);
    c.set_bytes = p->whole.set_bytes;
    c.ours = {"ventral", [p](int set) { p->run(set); }, {check<T>("result", of(p->ours, 0), element, tolerance_of<T>(math))}};
    if (!with_cudnn) return c;
    const std::shared_ptr<Convolution<T>> convolution(p, &p->whole);
    add_references(c, convolution, check<T>("result", of(pool ? p->theirs : p->whole.theirs, 0), element, std::max(1e-2, tolerance<T>)));
    for (Side& side : c.others)
      side.run = [p, convolve = side.run, end = cudnn::ending<T>(place.y())](int set) {
        convolve(set);
        end(of(p->b, set).data(), of(p->whole.theirs, set).data(), p->pools() ? of(p->theirs, set).data() : nullptr);
      };
    return c;
  });
}

}  // namespace

}  // namespace bench::device

int main(int argc, char** argv) {
  using namespace bench::device;
  const std::string reference = bench::cudnn::version();
  const bool with_cudnn = !reference.empty();
  Program program(argc, argv, "cuda_conv2d", with_cudnn ? reference + ", the fastest of its search and of its graph API's plans, NCHW; float without TF32 but for rows of tf32" : "");
  const std::span<const Place> wanted = program.tiny() ? std::span<const Place>(tiny_places) : std::span<const Place>(places);
  const auto add_all = [&](auto add_one, const Place& place) {
    add_one(float(), place, Math::exact);
    if (!place.on_tensor_cores) return;
    add_one(float(), place, Math::tf32);
    add_one(bfloat16(), place, Math::exact);
  };
  for (const auto part : {bench::Part::forward, bench::Part::data, bench::Part::weights}) {
    for (const Place& place : wanted) {
      add_all([&]<class T>(T, const Place& p, Math math) { add<T>(program, p, part, with_cudnn, math); }, place);
      if (place.by_winograd() && part != bench::Part::weights) add<float>(program, place, part, with_cudnn, Math::exact, true);
      if (place.on_tensor_cores && part == bench::Part::forward) add<float>(program, place, part, with_cudnn, Math::tf32x3);
    }
    if (part != bench::Part::forward) continue;
    for (const bool pool : {true, false})
      for (const Place& place : wanted)
        if (place.fused) add_all([&]<class T>(T, const Place& p, Math math) { add_fused<T>(program, p, pool, with_cudnn, math); }, place);
  }
  return program.run();
}
