/// Blocks that wait for each other: cooperative launches on the emulator.
#include <algorithm>

#include "emulator/run.hpp"

using namespace test::on_emulator;
using namespace test;
using Bug = planted::GridBug;

namespace {

constexpr int rounds = 5;

Tensor<std::uint32_t, Cuda> counters(unsigned arrived = 0) { return Tensor<std::uint32_t, Cuda>::full({2}, arrived); }

template <Bug bug>
Tensor<std::int32_t, Cuda> run(Index blocks, Tensor<std::uint32_t, Cuda> arrivals = counters()) {
  const Index n = std::max(Index{1}, blocks) * 64;
  auto parts = Tensor<std::int32_t, Cuda>::uninitialized({n}), sums = Tensor<std::int32_t, Cuda>::uninitialized({n});
  gpu::launch_together({}, {.kernel = "grid_kernel", .blocks = blocks, .threads = 64}, planted::grid_kernel<bug>, rounds, arrivals.data(), parts.data(), sums.data());
  return sums;
}

/// Of a kernel with a bug, in every schedule; the next launch works.
template <Bug bug>
void check_message(const std::string& part) {
  for_all_schedules([&] {
    CHECK_CONTAINS(message_of<CudaError>([] { run<bug>(3); }), part);
    CHECK_NOTHROW(run<Bug::none>(3));
  });
}

}  // namespace

TEST_CASE("emulator grid: blocks see what the others wrote before they met") {
  const Index most = gpu::blocks_together(planted::grid_kernel<Bug::none>, 64, 0);
  CHECK(most >= 2);
  for_all_schedules([&] {
    for (Index blocks = 1; blocks <= most; ++blocks) {
      int expected = 0;
      for (int round = 0; round < rounds; ++round)
        for (int b = 0; b < blocks; ++b) expected += b + 1 + round;
      CHECK(equals(run<Bug::none>(blocks), [&](Index) { return expected; }));
    }
  });
}

TEST_CASE("emulator grid: launches that cannot be") {
  CHECK(gpu::blocks_together(planted::grid_kernel<Bug::none>, 64, 227 * 1024) >= 1);
  CHECK(gpu::blocks_together(planted::grid_kernel<Bug::none>, 64, 227 * 1024 + 1) == 0);
  for (const Index blocks : {Index{0}, gpu::blocks_together(planted::grid_kernel<Bug::none>, 64, 0) + 1})
    CHECK_CONTAINS(message_of<CudaError>([&] { run<Bug::none>(blocks); }), "could not be launched: 1 to 3 blocks run side by side");
  gpu::Graph graph;
  auto arrivals = counters();
  CHECK_CONTAINS(message_of<CudaError>([&] { graph.capture([&] { run<Bug::none>(1, std::move(arrivals)); }); }), "grid_kernel");
  auto parts = Tensor<std::int32_t, Cuda>::uninitialized({64});
  arrivals = counters();
  CHECK_CONTAINS(message_of<CudaError>([&] { run_block("grid_kernel", 64, planted::grid_kernel<Bug::none>, 1, arrivals.data(), parts.data(), parts.data()); }),
                 "grid barrier in a kernel that was not launched by launch_together, in thread (");
}

TEST_CASE("emulator shows: grid barriers that not all come to") {
  check_message<Bug::two_places>("divergent grid barrier: ");
  check_message<Bug::two_counters>("grid barrier: blocks count their arrivals at different places");
  check_message<Bug::block_returns>("divergent grid barrier: a block has returned without coming to it");
  check_message<Bug::thread_returns>("divergent barrier: thread (40,0,0) has returned, thread ");
}

TEST_CASE("emulator shows: a grid barrier's counter that was not 0") {
  CHECK_CONTAINS(message_of<CudaError>([] { run<Bug::none>(2, counters(7)); }), "grid barrier: *arrivals was 7, not 0, before the first kernel");
}
