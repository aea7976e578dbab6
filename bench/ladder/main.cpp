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
  s.checks.push_back(check<float>("y", e->y, [e](Index i) { return e->expected().y[i]; }, step.tolerance));
  if (e->winners.data) s.checks.push_back(check<std::int32_t>("winners", e->winners, [e](Index i) { return static_cast<double>(e->expected().winners[i]); }, 0, -7));
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
/// The product's rung against a library, on the same arrays.
Contest against(const std::shared_ptr<Exercise>& e, int sets, const char* library, std::function<void(int)> run, double tolerance = 5e-5) {
  std::size_t product = 0;
  while (e->steps[product].name != "product") ++product;
  Side reference{library, std::move(run), {check<float>("y", e->y, [e](Index i) { return e->expected().y[i]; }, tolerance)}};
  return {.ours = side(e, product), .reference = std::move(reference), .sets = sets};
}

void add_gemm(Program& program) {
  const Index n = 4096;
  const double squares = static_cast<double>(n * n), flop = 2 * squares * static_cast<double>(n);
  const int sets = sets_for(12 * squares);
  const Shared exercise = shared([=] { return ladder::gemm_exercise(n, n, n, sets); });
  add(program, "gemm", {.flop = flop}, sets, names(ladder::gemm_rungs()), exercise);
  if (!cublas::version().empty())
    program.add("gemm/cublas", {.flop = flop}, [=] {
      const auto e = exercise();
      const auto run = [=](int set) { cublas::multiply<float>(n, n, n, {e->input(0, set), n}, {e->input(1, set), n}, 0, e->output(set)); };
      return against(e, sets, "cuBLAS", run);
    });
}

}  // namespace

}  // namespace bench::device

int main(int argc, char** argv) {
  using namespace bench::device;
  Program program(argc, argv, "ladder", "the rung before; cuBLAS and cuDNN without TF32 in rows of their names");
  add_gemm(program);
  return program.run();
}
