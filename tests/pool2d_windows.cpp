#include <cstring>

#include "agreement.hpp"
#include "ventral/cuda/pool2d.cuh"
#include "ventral/layers/pool2d.hpp"

// Pooling's kernels for windows that the compiler knows, against those for any window.
using namespace ventral;

TEST_CASE_TEMPLATE("pooling on Cuda: windows known to the compiler give the bits of any window", T, float, bfloat16) {
  Random random(8);
  const auto mixed = [&](Shape shape) {
    Tensor<T> x(shape);
    const double few[] = {1, -0.0, 0, 2, NAN, -INFINITY, INFINITY};
    for (T& v : x) v = static_cast<T>(static_cast<float>(random.uniform() < 0.3 ? few[random.below(7)] : random.normal(0, 1)));
    return x;
  };
  const auto same_bits = [](const auto& a, const auto& b) { return std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(*a.data())) == 0; };
  const auto same = [&](const Tensor<T>& a, const Tensor<T>& b) {  // one NaN is as good as another
    bool equal = true;
    for (Index i = 0; i < a.size(); ++i) equal = equal && (same_bits(Tensor<T>::full({1}, a[i]), Tensor<T>::full({1}, b[i])) || (a[i] != a[i] && b[i] != b[i]));
    return equal;
  };
  for (const Window& w : {Window{2, 2}, Window{2, 2, 1}, Window{2, 2, 0, 1, Rounding::ceil}, Window{3, 2}, Window{3, 2, 1}, Window{3, 2, {0, 1, 1, 0}}, Window{3, 2, Padding::same()},
                          Window{3, 2, 1, 1, Rounding::ceil}, Window{3, 1, 1}, Window{3, 1}, Window{3, 1, 2}, Window{3, 2, 2}})
    for (const Pair image : {Pair{1, 1}, Pair{2, 2}, Pair{3, 5}, Pair{8, 16}, Pair{9, 64}, Pair{5, 48}, Pair{7, 33}, Pair{16, 8}}) {
      WindowPlan plan;
      try {
        plan = place(w, image.h, image.w, "test");
      } catch (const ShapeError&) {
        continue;  // smaller than the window, or a window of padding alone
      }
      INFO("kernel " << w.kernel.h << ", stride " << w.stride.h << ", padding " << plan.h.before << "+" << plan.h.after << ", " << image.h << "x" << image.w);
      const Shape shape{2, 3, image.h, image.w}, pooled{2, 3, plan.h.out, plan.w.out};
      const auto x = mixed(shape), dy = mixed(pooled);
      for (const bool shifted : {false, true}) {
        test::Shifted<T> far_x(x), far_dy(dy), far_y(dy), far_dx(x);
        Tensor<T, Cuda> near_x = x.template to<Cuda>(), near_dy = dy.template to<Cuda>(), near_y(pooled), near_dx(shape), any_y(pooled), any_dx(shape);
        Tensor<std::int32_t, Cuda> winners(pooled), any_winners(pooled);
        const In<T, Cuda> from = shifted ? far_x.ref() : near_x.ref(), given = shifted ? far_dy.ref() : near_dy.ref();
        const Out<T, Cuda> y = shifted ? far_y.ref() : near_y.ref(), dx = shifted ? far_dx.ref() : near_dx.ref();
        const auto found = [&](bool forward) { return forward ? (shifted ? far_y.to_cpu() : near_y.template to<Cpu>()) : (shifted ? far_dx.to_cpu() : near_dx.template to<Cpu>()); };
        const auto stream = near_x.stream();
        max_pool_forward(stream, plan, from, y, winners.ref());
        gpu::detail::pool_any_forward<T>(stream, "any", plan, false, from, any_y.ref(), any_winners.data(), gpu::detail::MaxUnderWindow<T>{});
        CHECK(same(found(true), any_y.template to<Cpu>()));
        CHECK(same_bits(winners.template to<Cpu>(), any_winners.template to<Cpu>()));
        near_y.fill(T(0.0f));
        max_pool_forward(stream, plan, from, y, Out<std::int32_t, Cuda>{nullptr, pooled});
        CHECK(same(found(true), any_y.template to<Cpu>()));
        max_pool_backward(stream, plan, winners, given, dx);
        gpu::detail::pool_any_backward(stream, "any", plan, dy.size(), gpu::detail::ShareOfMax<T>{winners.data(), given.data}, any_dx.ref());
        CHECK(same(found(false), any_dx.template to<Cpu>()));
        for (const bool pad : {false, true}) {
          mean_pool_forward(stream, plan, pad, from, y);
          gpu::detail::pool_any_forward<T>(stream, "any", plan, pad, from, any_y.ref(), nullptr, gpu::detail::MeanUnderWindow<T>{});
          CHECK(same(found(true), any_y.template to<Cpu>()));
          mean_pool_backward(stream, plan, pad, given, dx);
          gpu::detail::pool_any_backward(stream, "any", plan, dy.size(), gpu::detail::ShareOfMean<T>{pad, given.data}, any_dx.ref());
          CHECK(same(found(false), any_dx.template to<Cpu>()));
        }
      }
    }
}

TEST_CASE("division by a fixed number is exact") {
  for (const Index d : {Index{1}, Index{2}, Index{3}, Index{7}, Index{56}, Index{641}, Index{65535}, Index{65537}, (Index{1} << 30) + 1, (Index{1} << 31) - 1})
    for (const Index q : {Index{0}, Index{1}, Index{2}, Index{1000}, ((Index{1} << 31) - 1) / d})
      for (const Index a : {q * d - 1, q * d, q * d + 1, q * d + d - 1})
        if (0 <= a && a < Index{1} << 31) CHECK(gpu::FixedDivisor(d).quotient(static_cast<int>(a)) == a / d);
}
