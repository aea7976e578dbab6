// The kernel ladders on a GPU: each rung is checked, then timed against the rung before it; the product's also against cuBLAS and cuDNN, where they are found.
// Traffic and FLOP are those that cannot be avoided. docs/kernel_ladder.md says what to expect.
#include "cuda/data.hpp"
#include "cuda/reference.hpp"
#include "ladder/exercises.hpp"

namespace bench::device {

namespace {

using ladder::Exercise;

/// An exercise that is made when its first rung is due, and shared by all.
using Shared = std::function<std::shared_ptr<Exercise>()>;
template <class Make>
Shared shared(Make make) {
  return [made = std::make_shared<std::shared_ptr<Exercise>>(), make] {
    if (!*made) *made = std::make_shared<Exercise>(make());
    return *made;
  };
}

Side side(const std::shared_ptr<Exercise>& e, std::size_t rung) {
  const Exercise::Step& step = e->steps[rung];
  Side s{step.name, [e, rung](int set) { e->steps[rung].run(set); }, {}};
  s.checks.push_back(check<float>(
      "y", e->y, [e](Index i) { return e->expected().y[i]; }, step.tolerance));
  if (e->winners.data)
    s.checks.push_back(check<std::int32_t>(
        "winners", e->winners, [e](Index i) { return static_cast<double>(e->expected().winners[i]); }, 0, -7));
  return s;
}

/// A row for each rung, against the one before.
void add(Program& program, const std::string& name, Work work, int sets, const std::vector<std::string>& rungs, const Shared& exercise) {
  for (std::size_t i = 0; i < rungs.size(); ++i)
    program.add(ventral::concat(name, "/", i + 1, "-", rungs[i]), work, [=] {
      const auto e = exercise();
      return Contest{.ours = side(e, i), .reference = i > 0 ? side(e, i - 1) : Side{}, .sets = sets};
    });
}
template <class Task>
std::vector<std::string> names(const std::vector<ladder::Rung<Task>>& rungs) {
  std::vector<std::string> all;
  for (const auto& r : rungs) all.push_back(r.name);
  return all;
}
void add_gemm(Program& program) {
  const Index n = 4096;
  const double numbers = static_cast<double>(n * n), flop = 2 * numbers * static_cast<double>(n);
  const int sets = sets_for(12 * numbers);
  const Shared exercise = shared([=] { return ladder::gemm_exercise(n, n, n, sets); });
  add(program, "gemm", {.flop = flop}, sets, names(ladder::gemm_rungs()), exercise);
  if (cublas::version().empty()) return;
  program.add("gemm/cublas", {.flop = flop}, [=] {
    const auto e = exercise();
    std::size_t product = 0;
    while (e->steps[product].name != "product") ++product;
    const auto run = [=](int set) { cublas::multiply<float>(n, n, n, {e->input(0, set), n}, {e->input(1, set), n}, 0, e->output(set)); };
    const auto expected = [e](Index i) { return e->expected().y[i]; };
    return Contest{.ours = side(e, product), .reference = {"cuBLAS", run, {check<float>("c", e->y, expected, e->steps[product].tolerance)}}, .sets = sets};
  });
}

/// AlexNet's second layer.
void add_convolution(Program& program) {
  const Shape x{64, 64, 27, 27}, w{192, 64, 5, 5}, y{64, 192, 27, 27};
  const double flop = 2 * static_cast<double>(y.size() * w.product(1, 4));
  const int sets = sets_for(bytes_of<float>(x) + bytes_of<float>(w) + bytes_of<float>(y));
  const Shared exercise = shared([=] { return ladder::convolution_exercise(x, w[0], {.kernel = 5, .padding = 2}, sets); });
  add(program, "convolution", {.flop = flop}, sets, names(ladder::convolution_rungs()), exercise);
  if (cudnn::version().empty()) return;
  program.add("convolution/cudnn", {.flop = flop}, [=] {
    const auto e = exercise();
    Contest c{.ours = side(e, e->steps.size() - 1), .reference = {}, .sets = sets};
    std::vector<float> bias(static_cast<std::size_t>(w[0]));  // which cuDNN leaves out
    Cuda::copy_to_host(bias.data(), e->input(2, 0), bias.size() * sizeof(float));
    const auto expected = [=](Index i) { return e->expected().y[i] - static_cast<double>(bias[static_cast<std::size_t>(i / y.product(2, 4) % w[0])]); };
    try {
      for (const Way<float>& way : cudnn::searched<float>({x, w, y, 1, 2, 1}, Part::forward))
        c.others.push_back({.name = "cuDNN",
                            .run = [=](int set) { way.run(e->input(0, set), e->input(1, set), e->output(set)); },
                            .checks = {check<float>("y", e->y, expected, 1e-2)},  // Winograd's and Fourier's ways round more
                            .algorithm = way.algorithm,
                            .workspace = way.workspace});
    } catch (const ventral::Error& error) {
      c.reference.name = error.what();
    }
    return c;
  });
}

/// ResNet's, behind its first convolution.
void add_max_pool(Program& program) {
  const Shape x{64, 64, 112, 112}, y{64, 64, 56, 56};
  const double bytes = bytes_of<float>(x) + 2 * bytes_of<float>(y);
  const Shared exercise = shared([=] { return ladder::max_pool_exercise(x, {.kernel = 3, .stride = 2, .padding = 1}, sets_for(bytes)); });
  add(program, "max_pool", {.bytes = bytes}, sets_for(bytes), names(ladder::max_pool_rungs()), exercise);
}

/// AlexNet's rule on planes of 56 x 56, whose size is a multiple of 16 bytes.
void add_divisive_norm(Program& program) {
  const double bytes = 2 * bytes_of<float>({64, 96, 56, 56});
  const Shared exercise = shared([=] { return ladder::divisive_norm_exercise(64, 96, 56 * 56, 2, 0.75, sets_for(bytes)); });
  add(program, "divisive_norm", {.bytes = bytes}, sets_for(bytes), names(ladder::divisive_norm_rungs()), exercise);
}

/// ImageNet's classes, and the words of a language model.
void add_softmax(Program& program) {
  for (const Shape& x : {Shape{16384, 1000}, Shape{1024, 32000}}) {
    const double bytes = 2 * bytes_of<float>(x);
    const Shared exercise = shared([=] { return ladder::softmax_exercise(x[0], x[1], sets_for(bytes)); });
    add(program, ventral::concat("softmax-", x[1]), {.bytes = bytes}, sets_for(bytes), names(ladder::softmax_rungs()), exercise);
  }
}

}  // namespace

}  // namespace bench::device

int main(int argc, char** argv) {
  using namespace bench::device;
  Program program(argc, argv, "ladder", "the rung before; cuBLAS and cuDNN without TF32 in the rows of their names");
  add_gemm(program), add_convolution(program), add_max_pool(program), add_divisive_norm(program), add_softmax(program);
  return program.run();
}
