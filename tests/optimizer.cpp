#include "ventral/optimizer.hpp"

#include <memory>
#include <vector>

#include "support.hpp"

using namespace ventral;

namespace {

template <class T, class Space>
using Parameters = std::vector<NamedParameter<T, Space>>;

/// Overwrites the gradient with that of sum(x^4 / 4 - x^2 / 4 + x / 4).
template <class T, class Space>
void set_gradient(Parameter<T, Space>& p) {
  const Tensor<T, Cpu> x = p.value.template to<Cpu>();
  Tensor<T, Cpu> g(x.shape());
  for (Index i = 0; i < x.size(); ++i) g[i] = x[i] * x[i] * x[i] - x[i] / 2 + T(0.25);
  static_cast<void>(p.accumulated_gradient());
  p.gradient = g.template to<Space>();
}

/// 0.5, -1, 2 over and over: more than a register, with a tail.
template <class T, class Space>
Parameter<T, Space> start(Index n = 45) {
  Tensor<T, Cpu> x(Shape{n});
  for (Index i = 0; i < n; ++i) x[i] = static_cast<T>(i % 3 == 0 ? 0.5 : i % 3 == 1 ? -1 : 2);
  Parameter<T, Space> p;
  p.value = x.template to<Space>();
  return p;
}

/// Five steps from 0.5, -1, 2 against the formulas, written out in Python with double arithmetic.
template <template <class, class> class Method, class Space, class Options>
void check_steps(const Options& options, const std::vector<double>& expected) {
  Parameter<double, Space> p = start<double, Space>();
  Parameter<float, Space> q = start<float, Space>();
  Method<double, Space> wide({{"p", &p}}, options);
  Method<float, Space> narrow({{"q", &q}}, options);
  for (int i = 0; i < 5; ++i) {
    set_gradient(p), set_gradient(q);
    wide.step(), narrow.step();
  }
  INFO(wide.kind());
  const auto a = p.value.template to<Cpu>();
  const auto b = q.value.template to<Cpu>();
  Tensor<double> all(a.shape());
  for (Index i = 0; i < all.size(); ++i) all[i] = expected[static_cast<std::size_t>(i % 3)];
  CHECK(test::relative_error(a, all) < 1e-14);
  CHECK(test::relative_error(b, all) < 1e-5);
}

/// Parameters of many sizes after four steps, in the third of which some are frozen. Some sizes are those of a block's share, or one element away.
template <template <class, class> class Method, class Space, class T, class Options>
std::vector<Tensor<T>> after_steps(const Options& options) {
  std::vector<std::unique_ptr<Parameter<T, Space>>> owned;
  Parameters<T, Space> list;
  for (int i = 0; i < 60; ++i) {
    const Index sizes[] = {1, 2047, 31, 2048, 5, 2049, 0, 4097, 257, 12};
    owned.push_back(std::make_unique<Parameter<T, Space>>());
    owned.back()->value = test::random_tensor<T, Space>({sizes[i % 10] + i / 10}, static_cast<std::uint64_t>(i));
    list.push_back({concat("p", i), owned.back().get()});
  }
  Method<T, Space> method(list, options);
  for (int step = 0; step < 4; ++step) {
    for (std::size_t i = 0; i < owned.size(); ++i) {
      set_gradient(*owned[i]);
      owned[i]->frozen = step == 2 && i % 7 == 3;
    }
    method.step();
  }
  std::vector<Tensor<T>> out;
  for (const auto& p : owned) out.push_back(p->value.template to<Cpu>());
  return out;
}
template <template <class, class> class Method, class T, class Options>
void check_agreement(const Options& options, double tolerance) {
  const auto expected = after_steps<Method, Cpu, T>(options), found = after_steps<Method, Cuda, T>(options);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    INFO("parameter " << i);
    CHECK(test::relative_error(found[i], expected[i]) < tolerance);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("optimizers: five steps as PyTorch defines them", Space, VENTRAL_TEST_SPACES) {
  check_steps<SGD, Space>(SGDOptions{.rate = 0.1}, {0.43990776458285286, -0.92114385546884814, 0.86790113783291889});
  check_steps<SGD, Space>(SGDOptions{.rate = 0.05, .momentum = 0.9, .dampening = 0.5, .weight_decay = 0.01},
                          {0.44484568311873462, -0.90554169530842243, 0.064014470204514951});
  check_steps<SGD, Space>(SGDOptions{.rate = 0.05, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true},
                          {0.39471183689868244, -0.8646151992390384, -0.19115123485572488});
  check_steps<Adam, Space>(AdamOptions{.rate = 0.1, .beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-3, .weight_decay = 0.05},
                           {0.0028234476083532078, -0.79671584665799888, 1.5139257153779311});
  check_steps<AdamW, Space>(AdamWOptions{.rate = 0.1, .weight_decay = 0.05}, {-0.0079156687933198272, -0.82199613649971992, 1.470333124171151});
  check_steps<RMSProp, Space>(RMSPropOptions{.rate = 0.02, .alpha = 0.9, .weight_decay = 0.01}, {0.2898227608818616, -0.88432850820288322, 1.7993649525470479});
  check_steps<RMSProp, Space>(RMSPropOptions{.rate = 0.02, .alpha = 0.9, .epsilon = 1e-3, .momentum = 0.5, .centered = true},
                              {0.092213430389789811, -0.87067855995334253, 1.6298021378636716});
  check_steps<Adagrad, Space>(AdagradOptions{.rate = 0.3, .rate_decay = 0.1, .weight_decay = 0.01, .initial = 0.2},
                              {0.16803397841241116, -0.87983765746781739, 1.3535397221846506});
}

TEST_CASE_TEMPLATE("optimizers: frozen parameters and those without a gradient are left alone", Space, VENTRAL_TEST_SPACES) {
  auto trained = start<float, Space>(), frozen = start<float, Space>(), untouched = start<float, Space>();
  set_gradient(trained), set_gradient(frozen);
  frozen.frozen = true;
  Adam<float, Space> adam({{"trained", &trained}, {"frozen", &frozen}, {"untouched", &untouched}});
  adam.step();
  const auto before = start<float, Cpu>();
  CHECK(test::relative_error(trained.value.template to<Cpu>(), before.value) > 0);
  CHECK(test::relative_error(frozen.value.template to<Cpu>(), before.value) == 0);
  CHECK(test::relative_error(untouched.value.template to<Cpu>(), before.value) == 0);
  CHECK(adam.counts() == std::vector<Index>{1, 0, 0});
}

TEST_CASE_TEMPLATE("optimizers: a step from copied state continues to the same bits", Space, VENTRAL_TEST_SPACES) {
  const auto check = [](auto make) {
    auto p = start<float, Space>(), q = start<float, Space>();
    auto first = make(Parameters<float, Space>{{"p", &p}});
    for (int i = 0; i < 3; ++i) set_gradient(p), first->step();
    auto second = make(Parameters<float, Space>{{"p", &q}});
    q.value.copy_from(p.value);
    auto from = first->state(), to = second->state();
    REQUIRE(from.size() == to.size());
    for (std::size_t i = 0; i < from.size(); ++i) {
      CHECK(from[i].name == to[i].name);
      to[i].value->copy_from(*from[i].value);
    }
    second->set_counts(first->counts());
    for (int i = 0; i < 3; ++i) set_gradient(p), first->step(), set_gradient(q), second->step();
    CHECK(test::relative_error(p.value.template to<Cpu>(), q.value.template to<Cpu>()) == 0);
  };
  using List = Parameters<float, Space>;
  check([](List p) { return std::make_unique<SGD<float, Space>>(p, SGDOptions{.momentum = 0.9, .dampening = 0.1}); });
  check([](List p) { return std::make_unique<Adam<float, Space>>(p); });
  check([](List p) { return std::make_unique<RMSProp<float, Space>>(p, RMSPropOptions{.momentum = 0.9, .centered = true}); });
  check([](List p) { return std::make_unique<Adagrad<float, Space>>(p, AdagradOptions{.rate_decay = 0.1}); });

  auto p = start<float, Space>();
  Adam<float, Space> adam({{"conv1.weight", &p}});
  CHECK(adam.state()[1].name == "conv1.weight.exp_avg_sq");
  CHECK(test::message_of<Error>([&] { adam.set_counts({1, 2}); }) == "Adam: 2 step counts for 1 parameters");
}

TEST_CASE("optimizers: Cuda agrees with the CPU over steps of many parameters") {
  check_agreement<SGD, double>(SGDOptions{.rate = 0.1, .weight_decay = 0.01}, 1e-14);
  check_agreement<SGD, float>(SGDOptions{.rate = 0.05, .momentum = 0.9, .dampening = 0.5}, 1e-6);
  check_agreement<Adam, float>(AdamOptions{.rate = 0.1, .weight_decay = 0.05}, 1e-5);
  check_agreement<AdamW, double>(AdamWOptions{.rate = 0.1}, 1e-13);
  check_agreement<RMSProp, float>(RMSPropOptions{.rate = 0.02}, 1e-5);
  check_agreement<RMSProp, double>(RMSPropOptions{.rate = 0.02, .momentum = 0.5, .centered = true}, 1e-12);
  check_agreement<Adagrad, float>(AdagradOptions{.rate = 0.3, .rate_decay = 0.1}, 1e-5);
}

TEST_CASE("optimizers: on Cuda a step allocates nothing after the first") {
  namespace cuda = ventral::cuda::VENTRAL_CUDA_MODE;
  auto p = start<float, Cuda>(3000), q = start<float, Cuda>(7);
  set_gradient(p), set_gradient(q);
  Adam<float, Cuda> adam({{"p", &p}, {"q", &q}});
  adam.step();
  const auto before = cuda::memory_use();
  for (int i = 0; i < 3; ++i) adam.step();
  const auto after = cuda::memory_use();
  CHECK(after.tensors == before.tensors);
  CHECK(after.most == before.most);
}

TEST_CASE("optimizers: on the CPU an update outside a step runs at once, and what an interrupted step left is dropped") {
  auto lost = start<float, Cpu>(), direct = start<float, Cpu>(), trained = start<float, Cpu>(1000);
  set_gradient(lost), set_gradient(direct), set_gradient(trained);
  const SGDStep step{.rate = 1, .momentum = 0, .dampening = 0, .weight_decay = 0, .nesterov = false, .count = 1};
  const auto before = start<float, Cpu>();
  sgd_update(Cpu::stream(), step, direct.gradient, direct.value.ref(), Out<float>());
  CHECK(test::relative_error(direct.value, before.value) > 0.1);
  begin_updates(Cpu::stream());
  sgd_update(Cpu::stream(), step, lost.gradient, lost.value.ref(), Out<float>());
  SGD<float> sgd({{"trained", &trained}}, {.rate = 1});
  sgd.step();
  CHECK(test::relative_error(lost.value, before.value) == 0);
  CHECK(trained.value[999] != start<float, Cpu>(1000).value[999]);
}

TEST_CASE_TEMPLATE("optimizers: equal steps one after another", Space, VENTRAL_TEST_SPACES) {
  auto p = start<double, Space>(5), q = start<double, Space>(40);
  static_cast<void>(p.accumulated_gradient()), static_cast<void>(q.accumulated_gradient());
  p.gradient.fill(0.25), q.gradient.fill(-1);
  SGD<double, Space> sgd({{"p", &p}, {"q", &q}}, {.rate = 0.5});
  for (int i = 0; i < 3; ++i) sgd.step();
  CHECK(p.value.template to<Cpu>()[4] == -1 - 3 * 0.125);
  CHECK(q.value.template to<Cpu>()[38] == 2 + 3 * 0.5);
}

TEST_CASE_TEMPLATE("RMSProp: centred, a variance that rounds to below 0 counts 0", Space, VENTRAL_TEST_SPACES) {
  auto p = start<float, Space>(64);
  Tensor<float> gradient({64});
  for (Index i = 0; i < 64; ++i) gradient[i] = 0.1f * static_cast<float>(i);
  static_cast<void>(p.accumulated_gradient());
  p.gradient = gradient.to<Space>();
  RMSProp<float, Space> method({{"p", &p}}, {.alpha = 0.3, .epsilon = 1e-3, .centered = true});
  for (int i = 0; i < 40; ++i) method.step();
  for (const float v : p.value.template to<Cpu>()) CHECK(std::isfinite(v));
}

TEST_CASE("optimizers: on Cuda, updates of an interrupted step are not run by the next one") {
  auto lost = start<float, Cuda>(), trained = start<float, Cuda>();
  set_gradient(lost), set_gradient(trained);
  const SGDStep step{.rate = 1, .momentum = 0, .dampening = 0, .weight_decay = 0, .nesterov = false, .count = 1};
  sgd_update(Cuda::stream(), step, lost.gradient, lost.value.ref(), Out<float, Cuda>());
  SGD<float, Cuda> sgd({{"trained", &trained}}, {.rate = 1});
  sgd.step();
  const auto before = start<float, Cpu>();
  CHECK(test::relative_error(lost.value.to<Cpu>(), before.value) == 0);
  CHECK(test::relative_error(trained.value.to<Cpu>(), before.value) > 0.1);
}

TEST_CASE("optimizers: on Cuda, steps of several methods, types and streams one after another") {
  namespace cuda = ventral::cuda::VENTRAL_CUDA_MODE;
  const auto train = [](auto space, auto on_stream) {
    using Space = decltype(space);
    auto a = start<float, Space>(5000), b = start<float, Space>(6000);
    auto c = start<double, Space>(300);
    SGD<float, Space> first({{"a", &a}}, {.rate = 0.1, .momentum = 0.9});
    Adam<float, Space> second({{"b", &b}});
    RMSProp<double, Space> third({{"c", &c}});
    for (int i = 0; i < 4; ++i) {
      set_gradient(a), set_gradient(b), set_gradient(c);
      first.step();
      on_stream([&] { second.step(); });
      third.step();
    }
    Tensor<double> all({3});
    all[0] = dot(a.value.stream(), std::as_const(a.value).ref(), std::as_const(a.value).ref());
    all[1] = dot(b.value.stream(), std::as_const(b.value).ref(), std::as_const(b.value).ref());
    all[2] = dot(c.value.stream(), std::as_const(c.value).ref(), std::as_const(c.value).ref());
    return all;
  };
  const auto expected = train(Cpu(), [](auto step) { step(); });
  const auto found = train(Cuda(), [](auto step) {
    const cuda::OwnStream stream;
    const cuda::UseStream use(stream);
    step();
    cuda::synchronize();
  });
  CHECK(test::relative_error(found, expected) < 1e-6);
}

TEST_CASE_TEMPLATE("sums, limits and scaling of arrays, of all sizes", Space, VENTRAL_TEST_SPACES) {
  for (const Index n : {0, 1, 31, 255, 257, 4099, 70001}) {
    INFO("size " << n);
    const auto a = test::random_tensor<float>({n}, 1), b = test::random_tensor<float>({n}, 2);
    double product = 0, sum = 0, most = 0;
    Tensor<float> mixed({n}), limited({n});
    for (Index i = 0; i < n; ++i) {
      product += static_cast<double>(a[i]) * static_cast<double>(b[i]), sum += std::abs(static_cast<double>(a[i]));
      most = std::max(most, std::abs(static_cast<double>(a[i])));
      mixed[i] = 2 * a[i] - 0.5f * b[i], limited[i] = std::min(0.3f, std::max(-0.3f, a[i]));
    }
    auto x = a.to<Space>(), y = b.to<Space>();
    const auto stream = x.stream();
    const In<float, Space> xs = std::as_const(x).ref(), ys = std::as_const(y).ref();
    CHECK(dot(stream, xs, ys) == doctest::Approx(product).epsilon(1e-12));
    CHECK(absolute_sum(stream, xs) == doctest::Approx(sum).epsilon(1e-12));
    CHECK(absolute_max(stream, xs) == most);
    scaled_sum(stream, 2, xs, -0.5, y.ref());
    CHECK(test::relative_error(y.template to<Cpu>(), mixed) < 1e-6);
    auto fresh = Tensor<float, Space>::full({n}, NAN);
    scaled_sum(stream, -3, xs, 0, fresh.ref());
    if (n > 0) CHECK(fresh.template to<Cpu>()[n - 1] == -3 * a[n - 1]);
    limit_values(stream, 0.3, x.ref());
    CHECK(test::relative_error(x.template to<Cpu>(), limited) == 0);
  }
  auto bad = Tensor<double>({5}, {1, -7, NAN, 2, -3});
  auto x = bad.to<Space>();
  CHECK(std::isnan(absolute_max(x.stream(), In<double, Space>(x.ref()))));
  limit_values(x.stream(), 2.5, x.ref());
  const auto limited = x.template to<Cpu>();
  CHECK(std::isnan(limited[2]));
  CHECK(limited[1] == -2.5);
  CHECK(limited[3] == 2);
}

TEST_CASE("optimizers: the same bits for any number of threads") {
  const int before = cpu::threads();
  Tensor<float> out[2];
  double norm[2];
  for (const int threads : {1, 2}) {
    cpu::set_threads(threads);
    auto p = start<float, Cpu>(100003);
    Adam<float> adam({{"p", &p}});
    for (int i = 0; i < 3; ++i) {
      set_gradient(p);
      norm[threads - 1] = adam.clip_gradient_norm(1);
      adam.step();
    }
    out[threads - 1] = std::move(p.value);
  }
  cpu::set_threads(before);
  CHECK(norm[0] == norm[1]);
  CHECK(test::relative_error(out[0], out[1]) == 0);
}

TEST_CASE_TEMPLATE("gradient clipping", Space, VENTRAL_TEST_SPACES) {
  Parameter<double, Space> a(Shape{2}), b(Shape{1});
  a.gradient = Tensor<double, Cpu>({2}, {3, -2}).to<Space>();
  b.gradient = Tensor<double, Cpu>({1}, {6}).to<Space>();
  SGD<double, Space> sgd({{"a", &a}, {"b", &b}});
  CHECK(sgd.clip_gradient_norm(100) == doctest::Approx(7));
  CHECK(b.gradient.template to<Cpu>()[0] == 6);
  CHECK(sgd.clip_gradient_norm(3.5) == doctest::Approx(7));
  CHECK(b.gradient.template to<Cpu>()[0] == doctest::Approx(3).epsilon(1e-6));
  sgd.clip_gradient_value(1.2);
  CHECK(test::relative_error(a.gradient.template to<Cpu>(), Tensor<double>({2}, {1.2, -1})) < 1e-6);
  sgd.zero_gradients();
  CHECK(a.gradient.template to<Cpu>()[0] == 0);
}

TEST_CASE_TEMPLATE("agree: the norm of many arrays, of several chunks, of one element and of none", T, float, double) {
  std::vector<Tensor<T>> host;
  std::vector<Tensor<T, Cuda>> there;
  std::vector<TensorRef<const T, Cuda>> refs;
  double expected = 0;
  for (Index i = 0; i < 30; ++i) {
    host.push_back(test::random_tensor<T>({i == 7 ? 0 : i == 9 ? 5000 : i * i + 1}));
    there.push_back(host.back().template to<Cuda>());
    for (const T v : host.back()) expected += static_cast<double>(v) * static_cast<double>(v);
  }
  for (const auto& t : there) refs.push_back(t.ref());
  CHECK(squared_norm(Cuda::stream(), refs) == doctest::Approx(expected).epsilon(1e-13));
  refs.resize(1);
  CHECK(squared_norm(Cuda::stream(), refs) == doctest::Approx(static_cast<double>(host[0][0]) * static_cast<double>(host[0][0])));
  refs.clear();
  CHECK(squared_norm(Cuda::stream(), refs) == 0);
}

TEST_CASE_TEMPLATE("L-BFGS: a quadratic and Rosenbrock's valley", Space, VENTRAL_TEST_SPACES) {
  Parameter<double, Space> x(Shape{1}), y(Shape{2}), still(Shape{3});
  still.frozen = true;
  const auto rosenbrock = [&] {
    const double u = x.value.template to<Cpu>()[0], v = y.value.template to<Cpu>()[0], w = y.value.template to<Cpu>()[1];
    static_cast<void>(x.accumulated_gradient()), static_cast<void>(y.accumulated_gradient());
    x.gradient = Tensor<double, Cpu>({1}, {2 * (u - 1) - 400 * u * (v - u * u)}).to<Space>();
    y.gradient = Tensor<double, Cpu>({2}, {200 * (v - u * u), 6 * (w + 3)}).to<Space>();
    return (u - 1) * (u - 1) + 100 * (v - u * u) * (v - u * u) + 3 * (w + 3) * (w + 3);
  };
  for (const LineSearch search : {LineSearch::fixed, LineSearch::strong_wolfe}) {
    x.value = Tensor<double, Cpu>({1}, {-1.2}).to<Space>();
    y.value = Tensor<double, Cpu>({2}, {1, 2}).to<Space>();
    const bool wolfe = search == LineSearch::strong_wolfe;
    LBFGS<double, Space> lbfgs({{"x", &x}, {"still", &still}, {"y", &y}},
                               {.rate = wolfe ? 1 : 0.3, .iterations = wolfe ? 100 : 1000, .change_tolerance = 1e-14, .history = 10, .line_search = search});
    CHECK(lbfgs.step(rosenbrock) == doctest::Approx(4.84 + 100 * 0.44 * 0.44 + 75));
    CHECK(rosenbrock() < 1e-10);
    CHECK(x.value.template to<Cpu>()[0] == doctest::Approx(1).epsilon(1e-5));
    CHECK(y.value.template to<Cpu>()[1] == doctest::Approx(-3).epsilon(1e-5));
    CHECK(lbfgs.state().evaluations < (wolfe ? 80 : 800));
    CHECK(lbfgs.state().history.size() <= 10);
  }
}

TEST_CASE("optimizers: options out of range are named") {
  auto p = start<float, Cpu>();
  const Parameters<float, Cpu> list{{"p", &p}};
  CHECK(test::message_of<Error>([&] { SGD<float>(list, {.rate = -1}); }) == "SGD: rate -1 is negative or not finite");
  CHECK(test::message_of<Error>([&] { SGD<float>(list, {.nesterov = true}); }) == "SGD: nesterov needs a momentum above 0 and no dampening");
  CHECK(test::message_of<Error>([&] { Adam<float>(list, {.beta1 = 1}); }) == "Adam: beta1 1 is not in [0, 1)");
  CHECK(test::message_of<Error>([&] { RMSProp<float>(list, {.alpha = -0.5}); }) == "RMSProp: alpha -0.5 is not in [0, 1)");
}
