#include "ladder/exercises.hpp"

#include <cmath>
#include <limits>

#include "ventral/cpu/conv2d.hpp"
#include "ventral/cpu/divisive_norm.hpp"
#include "ventral/cpu/gemm.hpp"
#include "ventral/cpu/pool2d.hpp"
#include "ventral/cpu/softmax.hpp"
#include "ventral/cuda.hpp"
#include "ventral/random.hpp"

namespace bench::ladder {

namespace {

using ventral::Cuda;
using ventral::Shape;

Tensor<float> random_numbers(const Shape& shape, std::uint64_t seed, Numbers numbers) {
  Tensor<float> t(shape);
  const int bits = numbers == Numbers::any ? 23 : 6;
  const float unit = std::ldexp(1.0f, -bits), infinity = std::numeric_limits<float>::infinity(),
              odd[] = {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity};
  for (Index i = 0; i < t.size(); ++i) {
    const std::uint64_t random = ventral::mix(seed, static_cast<std::uint64_t>(i));
    t[i] = static_cast<float>(random >> (63 - bits)) * unit - 1;
    if (numbers == Numbers::awkward && random % 16 == 0) t[i] = odd[random / 16 % 32 == 0 ? 0 : random / 16 % 32 < 8 ? 1 : 2];
  }
  return t;
}

const char* suffix(Numbers numbers) { return numbers == Numbers::any ? "" : numbers == Numbers::few_bits ? ", few bits" : ", awkward"; }
/// `64x96x55x55`.
std::string by(const Shape& shape) {
  std::string text;
  for (int i = 0; i < shape.rank(); ++i) text += ventral::concat(i > 0 ? "x" : "", shape[i]);
  return text;
}
/// `3x3s2p1`.
std::string by(const ventral::Window& w) {
  return ventral::concat(w.kernel.h, "x", w.kernel.w, "s", w.stride.h, "p", w.padding.top, w.dilation.h > 1 || w.dilation.w > 1 ? " dilated" : "");
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
  double exact, tf32 = 3e-3;
};
/// What a sum of so many floats, added one after another, may be off by: rounding grows as the square root of the length.
Tolerance of_sums(Index terms) { return {1e-6 + 5e-7 * std::sqrt(static_cast<double>(terms))}; }

/// An exercise of the rungs: `task(set)` says where a set's arrays lie, `expected()` computes what they must hold.
template <class Task, class MakeTask, class MakeExpected>
Exercise exercise(std::string ladder, std::string sizes, const std::shared_ptr<Arrays>& a, const std::vector<Rung<Task>>& rungs, MakeTask task,
                  MakeExpected expected, Tolerance tolerance) {
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

Exercise gemm_exercise(Index m, Index n, Index k, int sets, Numbers numbers) {
  const auto a = Arrays::make(sets, {m, n}, {0}, random_numbers({m, k}, 1, numbers), random_numbers({k, n}, 2, numbers));
  return exercise<Product>(
      "gemm", ventral::concat(m, "x", n, "x", k, suffix(numbers)), a, gemm_rungs(),
      [=](int set) { return Product{m, n, k, a->input(0, set), a->input(1, set), a->y(set)}; },
      [=] {
        const Tensor<double> left = a->in[0].cast<double>(), right = a->in[1].cast<double>();
        Tensor<double> c({m, n});
        ventral::cpu::gemm<double>({}, m, n, k, 1, {left.data(), k}, {right.data(), n}, 0, c.data(), n);
        return Expected{std::move(c), {}};
      },
      numbers == Numbers::any ? of_sums(k) : Tolerance{0, 0});
}

Exercise convolution_exercise(const Shape& x, Index outputs, const ventral::Window& window, int sets, Numbers numbers) {
  const ventral::WindowPlan plan = ventral::place(window, x[2], x[3], "convolution");
  const Shape w{outputs, x[1], window.kernel.h, window.kernel.w}, y{x[0], outputs, plan.h.out, plan.w.out};
  const auto a = Arrays::make(sets, y, {0}, random_numbers(x, 1, numbers), random_numbers(w, 2, numbers), random_numbers({outputs}, 3, numbers));
  return exercise<Convolution>(
      "convolution", ventral::concat(by(x), " to ", outputs, ", ", by(window), suffix(numbers)), a, convolution_rungs(),
      [=](int set) { return Convolution{plan, x[0], x[1], outputs, a->input(0, set), a->input(1, set), a->input(2, set), a->y(set)}; },
      [=] {
        Tensor<double> results(y);
        ventral::cpu::conv2d_forward<double>({}, plan, 1, a->in[0].cast<double>(), a->in[1].cast<double>(), a->in[2].cast<double>(), results.ref());
        return Expected{std::move(results), {}};
      },
      numbers == Numbers::any ? of_sums(w.product(1, 4)) : Tolerance{0, 0});
}

Exercise max_pool_exercise(const Shape& x, const ventral::Window& window, int sets, Numbers numbers) {
  const ventral::WindowPlan plan = ventral::place(window, x[2], x[3], "max_pool");
  const Shape y{x[0], x[1], plan.h.out, plan.w.out};
  const auto a = Arrays::make(sets, y, y, random_numbers(x, 1, numbers));
  return exercise<Pooling>(
      "max_pool", ventral::concat(by(x), ", ", by(window), suffix(numbers)), a, max_pool_rungs(),
      [=](int set) {
        return Pooling{plan, x[0] * x[1], a->input(0, set), a->y(set), a->of(set).winners.data()};
      },
      [=] {  // the CPU's winners are numbers of taps, those of the GPU places in the plane
        Tensor<double> largest(y), taps(y);
        ventral::cpu::max_pool_forward<double>({}, plan, a->in[0].cast<double>(), largest.ref(), taps.ref());
        Tensor<std::int32_t> winners(y);
        for (Index i = 0; i < winners.size(); ++i) {
          const Index tap = static_cast<Index>(taps[i]), row = plan.h.origin(i / plan.w.out % plan.h.out) + tap / plan.w.kernel * plan.h.dilation;
          winners[i] = static_cast<std::int32_t>(row * plan.w.in + plan.w.origin(i % plan.w.out) + tap % plan.w.kernel * plan.w.dilation);
        }
        return Expected{std::move(largest), std::move(winners)};
      },
      {0, 0});
}

Exercise divisive_norm_exercise(Index images, Index channels, Index pixels, int reach, double beta, int sets) {
  const Shape x{images, channels, pixels};
  const auto a = Arrays::make(sets, x, {0}, random_numbers(x, 1, Numbers::any), Tensor<float>({3}, {0.75f, 2.0f, static_cast<float>(beta)}));
  return exercise<Normalization>(
      "divisive_norm", ventral::concat(by(x), ", ", 2 * reach + 1, " channels, power ", static_cast<float>(beta)), a, divisive_norm_rungs(),
      [=](int set) {
        const float* const rule = a->input(1, set);
        return Normalization{images, channels, pixels, reach, rule, rule + 1, rule + 2, a->input(0, set), a->y(set)};
      },
      [=] {
        const Tensor<double> rule = a->in[1].cast<double>();
        Tensor<double> y(x);
        ventral::cpu::divisive_norm_forward<double>({}, {{{reach, reach}, 1, 1}}, rule.slice(0, 1), rule.slice(1, 2), rule.slice(2, 3), a->in[0].cast<double>(),
                                                    y.ref(), {}, y.ref());
        return Expected{std::move(y), {}};
      },
      of_sums(2 * reach + 1));
}

Exercise softmax_exercise(Index rows, Index classes, int sets, Numbers numbers) {
  const Shape x{rows, classes};
  Tensor<float> values = random_numbers(x, 1, numbers);
  for (float& v : values) v *= 10;
  const auto a = Arrays::make(sets, x, {0}, std::move(values));
  return exercise<Softmax>(
      "softmax", by(x) + suffix(numbers), a, softmax_rungs(),
      [=](int set) {
        return Softmax{rows, classes, a->input(0, set), a->y(set)};
      },
      [=] {
        Tensor<double> y(x);
        ventral::cpu::softmax_forward<double>({}, 1, a->in[0].cast<double>(), y.ref());
        return Expected{std::move(y), {}};
      },
      of_sums(classes));
}

}  // namespace bench::ladder
