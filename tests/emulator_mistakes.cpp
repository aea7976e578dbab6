/// The emulator shows mistakes in kernels. Those that only a sanitizer sees: emulator/planted.cpp.
#include "emulator/run.hpp"

using namespace test::on_emulator;
using namespace test;

TEST_CASE("emulator shows: a missing barrier") {
  const auto x = numbers<float>(64);
  const auto reversed = [](Index i) { return 64 - i; };
  const auto rotated = [](Index i) { return (i + 5) % 64 + 1; };
  for_all_schedules([&] {
    auto y = fresh(64);
    run_block("reverse_kernel", 64, planted::reverse_kernel<false>, x.data(), y.data());
    CHECK(equals(y, reversed));
    run_block("rotate_kernel", 64, planted::rotate_kernel<false>, 5, x.data(), y.data());
    CHECK(equals(y, rotated));
  });
  if (emulator::under_tsan) return;
  for_all_schedules([&] {
    auto y = fresh(64);
    run_block("reverse_kernel", 64, planted::reverse_kernel<true>, x.data(), y.data());
    CHECK(!equals(y, reversed));
    run_block("rotate_kernel", 64, planted::rotate_kernel<true>, 5, x.data(), y.data());
    CHECK(!equals(y, rotated));
  });
}

TEST_CASE("emulator shows: barriers that not all threads come to") {
  auto y = fresh(64);
  const auto x = numbers<float>(64);
  const std::string branch = message("branch_barrier_kernel", 64, planted::branch_barrier_kernel<true>, planted::branch_barrier_kernel<false>, y.data());
  CHECK_CONTAINS(branch, "kernel branch_barrier_kernel <<<1x1x1 blocks, 64x1x1 threads>>>: divergent barrier: thread (0,0,0) waits at ");
  CHECK_CONTAINS(branch, ", in thread (32,0,0) of block (0,0,0) at ");
  CHECK_CONTAINS(branch, "planted_kernels.hpp:");
  const std::string early = message("early_return_kernel", 64, planted::early_return_kernel<true>, planted::early_return_kernel<false>, 50, x.data(), y.data());
  CHECK_CONTAINS(early, "divergent barrier: thread (50,0,0) has returned, thread (0,0,0) waits");
  const std::string deadlock = message("half_warp_kernel", 64, planted::half_warp_kernel<true>, planted::half_warp_kernel<false>, y.data());
  CHECK_CONTAINS(deadlock, "deadlock in block (0,0,0); 48 threads wait at the barrier ");
  CHECK_CONTAINS(deadlock, "the first is thread (16,0,0); 16 threads wait in warp operations, the first is thread (0,0,0) at ");
  CHECK_CONTAINS(deadlock, "for lane 16 of mask 0xffffffff");
}

TEST_CASE("emulator shows: shared arrays that are too short or not initialised") {
  const auto x = numbers<float>(64);
  for_all_schedules([&] {
    auto y = fresh(64);
    run_block("uninitialised_kernel", 64, planted::uninitialised_kernel<false>, x.data(), y.data());
    CHECK(equals(y, [](Index) { return 2080; }));
    run_block("uninitialised_kernel", 64, planted::uninitialised_kernel<true>, x.data(), y.data());
    CHECK(std::isnan(y.to<Cpu>()[0]));
  });
  auto y = fresh(64);
  CHECK_NOTHROW(run_block("shared_read_kernel", 64, planted::shared_read_kernel<false>, y.data()));
  CHECK(equals(y, [](Index) { return 1; }));
  if (emulator::under_asan) return;
  run_block("shared_read_kernel", 64, planted::shared_read_kernel<true>, y.data());
  CHECK(std::isnan(y.to<Cpu>()[63]));
  const std::string text = message("shared_write_kernel", 64, planted::shared_write_kernel<true>, planted::shared_write_kernel<false>, y.data());
  CHECK_CONTAINS(text, "a write 0 bytes past the end of shared array 'tile' of 256 bytes (");
  CHECK_CONTAINS(text, "by a thread of this block before this barrier, in thread (63,0,0) of block (0,0,0)");
  const std::string before =
      message("shared_write_before_kernel", 64, planted::shared_write_before_kernel<true>, planted::shared_write_before_kernel<false>, y.data());
  CHECK_CONTAINS(before, "a write 4 bytes before the begin of shared array 'other' of 256 bytes (");
  CHECK_CONTAINS(before, "found at its end, in thread (63,0,0) of block (0,0,0)");
  const Launch l{.kernel = "dynamic_write_kernel", .blocks = 1, .threads = 64, .shared = 256};
  CHECK_NOTHROW(launch({}, l, planted::dynamic_write_kernel<false>, y.data()));
  CHECK_CONTAINS(message_of<CudaError>([&] { launch({}, l, planted::dynamic_write_kernel<true>, y.data()); }),
                 "a write 0 bytes past the end of shared array 'dynamic' of 256 bytes (");
}

TEST_CASE("emulator shows: writes past an array in device memory") {
  const auto x = numbers<float>(50);
  auto y = fresh(50);
  for_all_schedules([&] { CHECK_NOTHROW(run_block("global_write_kernel", 64, planted::global_write_kernel<false>, 50, x.data(), y.data())); });
  CHECK(equals(y, [](Index i) { return i + 2; }));
  CHECK_NOTHROW(run_block("global_read_kernel", 64, planted::global_read_kernel<false>, 50, x.data(), y.data()));
  if (emulator::under_asan) return;
  for_all_schedules([&] {
    const std::string text = message_of<CudaError>([&] { run_block("global_write_kernel", 64, planted::global_write_kernel<true>, 50, x.data(), y.data()); });
    CHECK_CONTAINS(text,
                   "kernel global_write_kernel <<<1x1x1 blocks, 64x1x1 threads>>>: a write 0 bytes past the end of an array of 200 bytes in device memory");
    CHECK_NOTHROW(run_block("global_write_kernel", 64, planted::global_write_kernel<false>, 50, x.data(), y.data()));
  });
  run_block("global_read_kernel", 64, planted::global_read_kernel<true>, 50, x.data(), y.data());
  CHECK(std::isnan(y.to<Cpu>()[49]));
}

TEST_CASE("emulator shows: misused warp operations") {
  const auto x = numbers<float>(64);
  auto y = fresh(64);
  const std::string mask = message("mask_kernel", 32, planted::mask_kernel<true>, planted::mask_kernel<false>, x.data(), y.data());
  CHECK_CONTAINS(mask, "warp operation by lane 16, which is not in its mask 0x0000ffff, in thread (16,0,0) of block (0,0,0) at ");
  const std::string inactive =
      message("inactive_lane_kernel", 32, planted::inactive_lane_kernel<true>, planted::inactive_lane_kernel<false>, x.data(), y.data());
  CHECK_CONTAINS(inactive, "shuffle by lane 0 from lane 20, which is not in the mask 0x0000ffff");
  const std::string absent = message_of<CudaError>([&] { run_block("inactive_lane_kernel", 8, planted::inactive_lane_kernel<false>, x.data(), y.data()); });
  CHECK_CONTAINS(absent, "from lane 10, which the block does not have");
  const std::string masks = message("mismatched_mask_kernel", 32, planted::mismatched_mask_kernel<true>, planted::mismatched_mask_kernel<false>, y.data());
  CHECK_CONTAINS(masks, "mismatched masks of a warp operation: 0xffffffff here, 0x0000ff01 at ");
  CHECK_CONTAINS(masks, "by thread (0,0,0)");
  const std::string lines =
      message("mismatched_line_kernel", 32, planted::mismatched_line_kernel<true>, planted::mismatched_line_kernel<false>, x.data(), y.data());
  CHECK_CONTAINS(lines, "mismatched warp operations: thread (0,0,0) is at ");
  CHECK_CONTAINS(lines, ", in thread (7,0,0) of block (0,0,0) at ");
  const std::string exited = message("exited_lane_kernel", 32, planted::exited_lane_kernel<true>, planted::exited_lane_kernel<false>, 20, x.data(), y.data());
  CHECK_CONTAINS(exited, "warp operation that waits for lane 20, which has returned");
}

TEST_CASE("emulator shows: a wrong index into an exchanged fragment") {
  const auto a = random_tensor<float>({8, 8}, 1), b = random_tensor<float>({8, 8}, 2);
  Tensor<float, Cpu> expected({8, 8});
  for (Index i = 0; i < 8; ++i)
    for (Index j = 0; j < 8; ++j) {
      float sum = 0;
      for (Index k = 0; k < 8; ++k) sum += a[8 * i + k] * b[8 * k + j];
      expected[8 * i + j] = sum;
    }
  const auto on_a = a.to<Cuda>(), on_b = b.to<Cuda>();
  for_all_schedules([&] {
    auto c = Tensor<float, Cuda>::uninitialized({8, 8});
    run_block("fragment_kernel", 32, planted::fragment_kernel<false>, on_a.data(), on_b.data(), c.data());
    CHECK(relative_error(c.to<Cpu>(), expected) < 1e-6);
    run_block("fragment_kernel", 32, planted::fragment_kernel<true>, on_a.data(), on_b.data(), c.data());
    CHECK(relative_error(c.to<Cpu>(), expected) > 0.1);
  });
}

TEST_CASE("emulator shows: misused asynchronous copies") {
  const auto x = numbers<float>(260);
  auto y = fresh(256);
  for_all_schedules([&] {
    run_block("async_kernel", 64, planted::async_kernel<false>, x.data(), y.data());
    CHECK(equals(y, [](Index i) { return i + 1; }));
  });
  const std::string left = message("async_exit_kernel", 64, planted::async_exit_kernel<true>, planted::async_exit_kernel<false>, x.data(), y.data());
  CHECK_CONTAINS(left, "asynchronous copy without a wait for it: the thread has returned, in thread (0,0,0)");
  const std::string odd =
      message("async_alignment_kernel", 64, planted::async_alignment_kernel<true>, planted::async_alignment_kernel<false>, x.data(), y.data());
  CHECK_CONTAINS(odd, "asynchronous copy with a misaligned source; it has to be aligned to 16 bytes");
  if (emulator::under_tsan) return;
  for_all_schedules([&] {
    run_block("async_kernel", 64, planted::async_kernel<true>, x.data(), y.data());
    CHECK(!equals(y, [](Index i) { return i + 1; }));
  });
}

TEST_CASE("emulator cannot show without ThreadSanitizer: races for global memory") {
  for_all_schedules([] {
    Tensor<std::int32_t, Cuda> count({2});
    launch({}, {.kernel = "count_kernel", .blocks = 3, .threads = 64}, planted::count_kernel<false>, count.data());
    launch({}, {.kernel = "count_blocks_kernel", .blocks = 8, .threads = 64}, planted::count_blocks_kernel<false>, count.data() + 1);
    CHECK(equals(count, [](Index i) { return i ? 8 : 192; }));
  });
  if (emulator::under_tsan) return;
  Tensor<std::int32_t, Cuda> count({1});
  launch({}, {.kernel = "count_kernel", .blocks = 3, .threads = 64}, planted::count_kernel<true>, count.data());
  CHECK(count.to<Cpu>()[0] == 192);
}
