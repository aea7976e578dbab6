// The products of a dense layer: squares of 256 to 4096, and the thin ones of LeNet-5 and AlexNet (rows x out x in). The reference is cuBLAS.
#include <cmath>

#include "cuda/data.hpp"
#include "cuda/reference.hpp"

namespace bench::device {

namespace {

struct Place {
  const char* name;
  Index rows, out, in;
};
const Place places[] = {{"sq256", 256, 256, 256},     {"sq512", 512, 512, 512},           {"sq1024", 1024, 1024, 1024},         {"sq2048", 2048, 2048, 2048},
                        {"sq4096", 4096, 4096, 4096}, {"lenet-64x120x400", 64, 120, 400}, {"alex-64x4096x9216", 64, 4096, 9216}};

/// One pass: y = x w^T, dx = dy w, or dw += dy^T x. x [rows,in], w [out,in], dy [rows,out].
template <class T>
struct Product {
  Place p;
  Part part;
  Tensor<T> first, second;  // (x, w), (dy, w), (dy, x)
  Sets<T> a, b, ours, theirs;

  Product(const Place& place, Part pass)
      : p(place),
        part(pass),
        first(random_numbers<T>(pass == Part::forward ? Shape{p.rows, p.in} : Shape{p.rows, p.out}, 1)),
        second(random_numbers<T>(pass == Part::weights ? Shape{p.rows, p.in} : Shape{p.out, p.in}, 2)) {
    const Shape result = part == Part::forward ? Shape{p.rows, p.out} : part == Part::data ? Shape{p.rows, p.in} : Shape{p.out, p.in};
    const int sets = sets_for(bytes_of<T>(first.shape()) + bytes_of<T>(second.shape()) + bytes_of<T>(result));
    a = copies(first, sets), b = copies(second, sets);
    ours = zeros<T>(result, sets), theirs = zeros<T>(result, sets);
  }

  void run(int set) {
    const Tensor<T, Cuda>&u = of(a, set), &v = of(b, set);
    if (part == Part::forward) linear_forward<T>(Cuda::stream(), u, v, {}, of(ours, set));
    if (part == Part::data) linear_backward_input<T>(Cuda::stream(), v, u, of(ours, set));
    if (part == Part::weights) linear_backward_weight<T>(Cuda::stream(), v, u, of(ours, set));
  }
  void run_reference(int set) {
    const T *u = of(a, set).data(), *v = of(b, set).data();
    T* const c = of(theirs, set).data();
    if (part == Part::forward) cublas::multiply<T>(p.rows, p.out, p.in, {u, p.in}, {v, p.in, true}, 0, c);
    if (part == Part::data) cublas::multiply<T>(p.rows, p.in, p.out, {u, p.out}, {v, p.in}, 0, c);
    if (part == Part::weights) cublas::multiply<T>(p.out, p.in, p.rows, {u, p.out, true}, {v, p.in}, 1, c);
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
void add(Program& program, const Place& place, Part part, bool with_cublas) {
  const char* pass = part == Part::forward ? "forward" : part == Part::data ? "data" : "weights";
  const double flop = 2 * static_cast<double>(place.rows) * static_cast<double>(place.out) * static_cast<double>(place.in);
  program.add(ventral::concat(place.name, "/", pass, "/", type_name<T>), {.flop = flop}, [=] {
    const auto p = std::make_shared<Product<T>>(place, part);
    const auto element = [p](Index i) { return p->element(i); };
    const double start = part == Part::weights ? 1 : NAN;
    Contest c;
    c.sets = static_cast<int>(p->a.size());
    c.ours = {"ventral", [p](int set) { p->run(set); }, {check<T>("result", of(p->ours, 0), element, tolerance<T>, start)}};
    if (with_cublas) c.reference = {"cuBLAS", [p](int set) { p->run_reference(set); }, {check<T>("result", of(p->theirs, 0), element, tolerance<T>, start)}};
    return c;
  });
}

}  // namespace

}  // namespace bench::device

int main(int argc, char** argv) {
  using namespace bench::device;
  const std::string reference = bench::cublas::version();
  Program program(argc, argv, "cuda_gemm", reference.empty() ? "" : reference + ", float without TF32, 16-bit types with sums in float");
  for (const Place& place : places)
    for (const auto part : {bench::Part::forward, bench::Part::data, bench::Part::weights}) {
      add<float>(program, place, part, !reference.empty());
      add<bfloat16>(program, place, part, !reference.empty());
      if (part == bench::Part::forward) add<half>(program, place, part, !reference.empty());
    }
  return program.run();
}
