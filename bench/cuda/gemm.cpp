// The products of a dense layer: squares of 8192 down to 256, and the thin ones of LeNet-5 and AlexNet (rows x out x in); float exactly, as three products of
// tf32, and in tf32, bfloat16, half. The reference is the fastest of cuBLAS and the algorithms that cuBLASLt recommends, strict where ours is.
#include <cmath>
#include <span>

#include "cuda/data.hpp"
#include "cuda/reference.hpp"

namespace bench::device {

namespace {

using ventral::Math;

struct Place {
  const char* name;
  Index rows, out, in;
};
const Place places[] = {{"sq4096", 4096, 4096, 4096}, {"sq2048", 2048, 2048, 2048}, {"sq8192", 8192, 8192, 8192},         {"sq1024", 1024, 1024, 1024},
                        {"sq512", 512, 512, 512},     {"sq256", 256, 256, 256},     {"lenet-64x120x400", 64, 120, 400}, {"alex-64x4096x9216", 64, 4096, 9216}};
const Place tiny_places[] = {{"17x33x40", 17, 33, 40}, {"130x70x24", 130, 70, 24}, {"1x1x1", 1, 1, 1}};

/// What is multiplied, and how.
template <class T>
struct Kind {
  Math math = Math::exact;

  std::string name() const { return type_name<T> + suffix_of(math); }
  Arithmetic arithmetic() const { return arithmetic_of<T>(math); }
  double allowed() const { return tolerance_of<T>(math); }
};

/// One pass: y = x w^T, dx = dy w, or dw += dy^T x. x [rows,in], w [out,in], dy [rows,out].
template <class T>
struct Product {
  Place p;
  Part part;
  Math math;
  Tensor<T> first, second;  // (x, w), (dy, w), (dy, x)
  Sets<T> a, b, ours, theirs;
  double set_bytes = 0;

  Product(const Place& place, Part pass, Math how)
      : p(place),
        part(pass),
        math(how),
        first(random_numbers<T>(pass == Part::forward ? Shape{p.rows, p.in} : Shape{p.rows, p.out}, 1)),
        second(random_numbers<T>(pass == Part::weights ? Shape{p.rows, p.in} : Shape{p.out, p.in}, 2)) {
    const Shape result = part == Part::forward ? Shape{p.rows, p.out} : part == Part::data ? Shape{p.rows, p.in} : Shape{p.out, p.in};
    const int sets = sets_for(set_bytes = bytes_of<T>(first.shape()) + bytes_of<T>(second.shape()) + bytes_of<T>(result));
    a = copies(first, sets), b = copies(second, sets);
    ours = zeros<T>(result, sets), theirs = zeros<T>(result, sets);
  }

  void run(int set) {
    const typename Cuda::UseMath use(math);
    const Tensor<T, Cuda>&u = of(a, set), &v = of(b, set);
    if (part == Part::forward) linear_forward<T>(Cuda::stream(), u, v, {}, of(ours, set));
    if (part == Part::data) linear_backward_input<T>(Cuda::stream(), v, u, of(ours, set));
    if (part == Part::weights) linear_backward_weight<T>(Cuda::stream(), v, u, of(ours, set));
  }
  /// The product as libraries see it: calls f(m, n, k, a, b, beta).
  template <class F>
  auto as_matrices(int set, F f) {
    const T *u = of(a, set).data(), *v = of(b, set).data();
    if (part == Part::forward) return f(p.rows, p.out, p.in, cublas::Matrix<T>{u, p.in}, cublas::Matrix<T>{v, p.in, true}, 0.0f);
    if (part == Part::data) return f(p.rows, p.in, p.out, cublas::Matrix<T>{u, p.out}, cublas::Matrix<T>{v, p.in}, 0.0f);
    return f(p.out, p.in, p.rows, cublas::Matrix<T>{u, p.out, true}, cublas::Matrix<T>{v, p.in}, 1.0f);
  }
  void run_reference(int set) {
    as_matrices(set, [&](Index m, Index n, Index k, auto u, auto v, float beta) { cublas::multiply<T>(m, n, k, u, v, beta, of(theirs, set).data(), math); });
  }
  std::vector<Way<T>> ways() {
    return as_matrices(0, [&](Index m, Index n, Index k, auto u, auto v, float beta) { return cublaslt::ways<T>(m, n, k, u, v, beta, math); });
  }
  /// Element i of the result; dw is added to 1.
  double element(Index i) const {
    const Index columns = ours[0].dim(1), row = i / columns, column = i % columns;
    double sum = part == Part::weights ? 1 : 0;
    if (part == Part::forward)
      for (Index k = 0; k < p.in; ++k) sum += at(first, row, k) * at(second, column, k);
    if (part == Part::data)
      for (Index k = 0; k < p.out; ++k) sum += at(first, row, k) * at(second, k, column);
    if (part == Part::weights)
      for (Index k = 0; k < p.rows; ++k) sum += at(first, k, row) * at(second, k, column);
    return sum;
  }

 private:
  static double at(const Tensor<T>& t, Index row, Index column) { return static_cast<double>(t[row * t.shape()[1] + column]); }
};

template <class T>
void add(Program& program, const Place& place, Part part, bool with_cublas, Kind<T> kind = {}) {
  const char* pass = part == Part::forward ? "forward" : part == Part::data ? "data" : "weights";
  const double rows = static_cast<double>(place.rows), out = static_cast<double>(place.out), in = static_cast<double>(place.in);
  const double bytes = static_cast<double>(sizeof(T)) * (rows * in + out * in + rows * out);
  program.add(ventral::concat(place.name, "/", pass, "/", kind.name()), {.flop = 2 * rows * out * in, .bytes = bytes}, [=] {
    const auto p = std::make_shared<Product<T>>(place, part, kind.math);
    const auto element = [p](Index i) { return p->element(i); };
    const double start = part == Part::weights ? 1 : NAN;
    Contest c;
    c.sets = static_cast<int>(p->a.size());
    c.arithmetic = kind.arithmetic();
    c.set_bytes = p->set_bytes;
    c.ours = {"ventral", [p](int set) { p->run(set); }, {check<T>("result", of(p->ours, 0), element, kind.allowed(), start)}};
    if (!with_cublas) return c;
    const Check right = check<T>("result", of(p->theirs, 0), element, kind.allowed(), start);
    c.reference = {"cuBLAS", [p](int set) { p->run_reference(set); }, {right}};
    for (const Way<T>& way : p->ways())
      c.others.push_back({"cuBLASLt", [p, run = way.run](int set) { run(of(p->a, set).data(), of(p->b, set).data(), of(p->theirs, set).data()); }, {right}, way.algorithm,
                          way.workspace});
    return c;
  });
}

}  // namespace

}  // namespace bench::device

int main(int argc, char** argv) {
  using namespace bench::device;
  const std::string reference = bench::cublas::version();
  const bool with_cublas = !reference.empty();
  Program program(argc, argv, "cuda_gemm", with_cublas ? reference + " and cuBLASLt; float without TF32 but for rows of tf32, 16-bit types with sums in float" : "");
  const std::span<const Place> wanted = program.tiny() ? std::span<const Place>(tiny_places) : std::span<const Place>(places);
  for (const Place& place : wanted)
    for (const auto part : {bench::Part::forward, bench::Part::data, bench::Part::weights}) {
      if (part != bench::Part::forward && place.rows > 4096) continue;
      add<float>(program, place, part, with_cublas);
      add<float>(program, place, part, with_cublas, {ventral::Math::tf32x3});
      add<float>(program, place, part, with_cublas, {ventral::Math::tf32});
      add<bfloat16>(program, place, part, with_cublas);
      if (part == bench::Part::forward) add<half>(program, place, part, with_cublas);
    }
  return program.run();
}
