/// Runs one kernel with a planted bug, to see what the build (plain, AddressSanitizer, ThreadSanitizer) says about it:
///
///     planted NAME [correct]
///
/// Prints `result: right`, `result: wrong` or the error's message; a sanitizer's report goes to stderr.
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>

#include "emulator/planted_kernels.hpp"

using namespace ventral;
using namespace ventral::cuda::emulated;

namespace {

constexpr unsigned threads = 64;

/// Input 1, 2, 3, ... on the device, outputs of as many elements.
struct Data {
  Tensor<float, Cuda> x, y;
  Tensor<std::int32_t, Cuda> count;
  explicit Data(Index n = threads) : x({n}), y({n}), count({1}) {
    Tensor<float, Cpu> numbers({n});
    for (Index i = 0; i < n; ++i) numbers[i] = static_cast<float>(i + 1);
    Space::copy_from_host(x.data(), numbers.data(), sizeof(float) * static_cast<std::size_t>(n));
  }
  /// Whether y[i] == f(i) everywhere.
  bool check(const std::function<double(Index)>& f) const {
    const Tensor<float, Cpu> found = y.to<Cpu>();
    for (Index i = 0; i < found.size(); ++i)
      if (!(static_cast<double>(found[i]) == f(i))) return false;
    return true;
  }
};

Launch one_block(const char* name, unsigned count = threads) { return {.kernel = name, .blocks = 1, .threads = count}; }

template <bool bug>
const std::map<std::string, std::function<bool()>>& cases() {
  using namespace planted;
  static const std::map<std::string, std::function<bool()>> list = {
      {"barrier_before_load",
       [] {
         Data d;
         launch({}, one_block("reverse_kernel"), reverse_kernel<bug>, d.x.data(), d.y.data());
         return d.check([](Index i) { return 64.0 - static_cast<double>(i); });
       }},
      {"barrier_after_load",
       [] {
         Data d;
         launch({}, one_block("rotate_kernel"), rotate_kernel<bug>, 3, d.x.data(), d.y.data());
         return d.check([](Index i) { return static_cast<double>((i + 3) % 64 + 1); });
       }},
      {"atomic",
       [] {
         Data d;
         launch({}, one_block("count_kernel"), count_kernel<bug>, d.count.data());
         return d.count.to<Cpu>()[0] == 64;
       }},
      {"atomic_between_blocks",
       [] {
         Data d;
         launch({}, {.kernel = "count_blocks_kernel", .blocks = 8, .threads = 64}, count_blocks_kernel<bug>, d.count.data());
         return d.count.to<Cpu>()[0] == 8;
       }},
      {"fence",
       [] {
         Tensor<std::int32_t, Cuda> parts({8}), sum({1});
         Tensor<std::uint32_t, Cuda> done({1});
         launch({}, {.kernel = "last_block_kernel", .blocks = 8, .threads = 64}, last_block_kernel<bug>, parts.data(), done.data(), sum.data());
         return sum.to<Cpu>()[0] == 36;
       }},
      {"warp_order",
       [] {
         Data d;
         launch({}, one_block("reverse_warp_kernel"), reverse_warp_kernel<bug>, d.x.data(), d.y.data());
         return d.check([](Index i) { return static_cast<double>((i ^ 31) + 1); });
       }},
      {"grid",
       [] {
         Tensor<std::int32_t, Cuda> parts({128}), sums({128});
         Tensor<std::uint32_t, Cuda> arrivals({1});
         launch_together({}, {.kernel = "grid_kernel", .blocks = 2, .threads = 64}, grid_kernel<bug ? GridBug::no_wait : GridBug::none>, 3, arrivals.data(), parts.data(),
                         sums.data());
         return sums.to<Cpu>()[127] == 15;
       }},
      {"async_wait",
       [] {
         Data d(256);
         launch({}, one_block("async_kernel"), async_kernel<bug>, d.x.data(), d.y.data());
         return d.check([](Index i) { return static_cast<double>(i + 1); });
       }},
      {"shared_write",
       [] {
         Data d;
         launch({}, one_block("shared_write_kernel"), shared_write_kernel<bug>, d.y.data());
         return d.check([](Index) { return 1.0; });
       }},
      {"dynamic_write",
       [] {
         Data d;
         launch({}, {.kernel = "dynamic_write_kernel", .blocks = 1, .threads = 64, .shared = 256}, dynamic_write_kernel<bug>, d.y.data());
         return d.check([](Index) { return 1.0; });
       }},
      {"shared_read",
       [] {
         Data d;
         launch({}, one_block("shared_read_kernel"), shared_read_kernel<bug>, d.y.data());
         return d.check([](Index) { return 1.0; });
       }},
      {"global_write",
       [] {
         Data d(60);
         launch({}, one_block("global_write_kernel"), global_write_kernel<bug>, 60, d.x.data(), d.y.data());
         return d.check([](Index i) { return static_cast<double>(i + 2); });
       }},
      {"global_read",
       [] {
         Data d(60);
         launch({}, one_block("global_read_kernel"), global_read_kernel<bug>, 60, d.x.data(), d.y.data());
         return d.check([](Index i) { return i < 59 ? static_cast<double>(i + 2) : 0.0; });
       }},
      {"misaligned",
       [] {
         Data d;
         launch({}, one_block("vector_load_kernel", 15), vector_load_kernel<bug>, d.x.data(), d.y.data());
         return static_cast<double>(d.y.to<Cpu>()[1]) == 26;
       }},
      {"use_after_free",
       [] {
         Data d;
         float* y = d.y.data();
         if (bug) d.y = Tensor<float, Cuda>();
         launch({}, one_block("branch_barrier_kernel"), branch_barrier_kernel<false>, y);
         return !bug;
       }},
      {"stack",
       [] {
         Data d;
         launch({}, one_block("stack_kernel"), stack_kernel<bug>, d.y.data());
         return d.check([](Index) { return 1.0; });
       }},
      {"divergent_barrier",
       [] {
         Data d;
         launch({}, one_block("branch_barrier_kernel"), branch_barrier_kernel<bug>, d.y.data());
         return d.check([](Index) { return 1.0; });
       }},
  };
  return list;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string name = count > 1 ? arguments[1] : "";
  const bool correct = count > 2 && std::strcmp(arguments[2], "correct") == 0;
  const auto& list = correct ? cases<false>() : cases<true>();
  const auto found = list.find(name);
  if (found == list.end()) {
    std::printf("planted NAME [correct], with one of these names:\n");
    for (const auto& entry : list) std::printf("  %s\n", entry.first.c_str());
    return 2;
  }
  try {
    const bool right = found->second();
    std::printf("result: %s\n", right ? "right" : "wrong");
    return right ? 0 : 1;
  } catch (const Error& e) {
    std::printf("error: %s\n", e.what());
    return 1;
  }
}
