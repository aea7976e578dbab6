#include "ladder/exercises.hpp"

#include <cmath>

#include "ventral/cpu/gemm.hpp"
#include "ventral/cuda.hpp"
#include "ventral/random.hpp"

namespace bench::ladder {

namespace {

using ventral::Cuda;
using ventral::Shape;

/// Uniform random numbers in [-1, 1), multiples of 2^-bits.
Tensor<float> random_numbers(const Shape& shape, std::uint64_t seed, int bits = 23) {
  Tensor<float> t(shape);
  const float unit = std::ldexp(1.0f, -bits);
  for (Index i = 0; i < t.size(); ++i) t[i] = static_cast<float>(ventral::mix(seed, static_cast<std::uint64_t>(i)) >> (63 - bits)) * unit - 1;
  return t;
}

/// Inputs in main memory; they and the outputs in the GPU's, so many sets of them.
struct Arrays {
  std::vector<Tensor<float>> in;
  struct Set {
    std::vector<Tensor<float, Cuda>> in;
    Tensor<float, Cuda> y;
    Tensor<std::int32_t, Cuda> winners;
  };
  std::vector<Set> sets;

  template <class... Inputs>
  static std::shared_ptr<Arrays> make(int sets, const Shape& y, const Shape& winners, Inputs... inputs) {
    const auto a = std::make_shared<Arrays>();
    (a->in.push_back(std::move(inputs)), ...);
    for (int i = 0; i < sets; ++i) {
      a->sets.push_back({{}, Tensor<float, Cuda>::uninitialized(y), Tensor<std::int32_t, Cuda>::uninitialized(winners)});
      for (const Tensor<float>& host : a->in) a->sets.back().in.push_back(host.to<Cuda>());
    }
    return a;
  }
  Set& of(int set) { return sets[static_cast<std::size_t>(set)]; }
  const float* input(std::size_t i, int set) { return of(set).in[i].data(); }
  float* y(int set) { return of(set).y.data(); }
};

struct Tolerance {
  double exact = 5e-5, tf32 = 3e-3;
};

/// An exercise of the rungs: `task(set)` says where a set's arrays lie, `expected()` computes what they must hold.
template <class Task, class MakeTask, class MakeExpected>
Exercise exercise(std::string ladder, std::string sizes, const std::shared_ptr<Arrays>& a, const std::vector<Rung<Task>>& rungs, MakeTask task, MakeExpected expected,
                  Tolerance tolerance = {}) {
  Exercise e{std::move(ladder), std::move(sizes), {}, a->sets[0].y, a->sets[0].winners, {}, {}, {}};
  for (const Rung<Task>& r : rungs)
    e.steps.push_back({r.name, [run = r.run, task](int set) { run(Cuda::stream(), task(set)); }, r.tf32 ? tolerance.tf32 : tolerance.exact});
  e.expected = [made = std::make_shared<std::unique_ptr<Expected>>(), expected]() -> const Expected& {
    if (!*made) *made = std::make_unique<Expected>(expected());
    return **made;
  };
  e.input = [a](int i, int set) { return a->input(static_cast<std::size_t>(i), set); };
  e.output = [a](int set) { return a->y(set); };
  return e;
}

}  // namespace

Exercise gemm_exercise(Index m, Index n, Index k, int sets, Bits bits) {
  const bool few = bits == Bits::few;
  const auto a = Arrays::make(sets, {m, n}, {0}, random_numbers({m, k}, 1, few ? 7 : 23), random_numbers({k, n}, 2, few ? 7 : 23));
  const auto expected = [=] {
    const Tensor<double> left = a->in[0].cast<double>(), right = a->in[1].cast<double>();
    Tensor<double> c({m, n});
    ventral::cpu::gemm<double>({}, m, n, k, 1, {left.data(), k}, {right.data(), n}, 0, c.data(), n);
    return Expected{std::move(c), {}};
  };
  return exercise<Product>(
      "gemm", ventral::concat(m, "x", n, "x", k, few ? " few bits" : ""), a, gemm_rungs(),
      [=](int set) { return Product{m, n, k, a->input(0, set), a->input(1, set), a->y(set)}; }, expected, few ? Tolerance{0, 0} : Tolerance{});
}

}  // namespace bench::ladder
