/// The kernel emulator: CUDA's functions, the order of threads, launches. Mistakes in kernels: emulator_mistakes.cpp.
#include <set>
#include <thread>

#include "emulator/example_kernels.hpp"
#include "emulator/run.hpp"

using namespace test::on_emulator;
using namespace test;

namespace examples = ventral::cuda::emulated::examples;

TEST_CASE("emulator: threads and blocks have their indices") {
  constexpr unsigned n = 6 * 24;
  std::vector<gpu::uint3> thread(n), block(n);
  for_all_schedules([&] {
    launch({}, {.kernel = "index_kernel", .blocks = {3, 2, 1}, .threads = {4, 3, 2}}, examples::index_kernel, thread.data(), block.data());
    bool right = true;
    for (unsigned i = 0; i < n; ++i) {
      const unsigned t = i % 24, b = i / 24;
      right &= thread[i].x == t % 4 && thread[i].y == t / 4 % 3 && thread[i].z == t / 12;
      right &= block[i].x == b % 3 && block[i].y == b / 3 && block[i].z == 0;
    }
    CHECK(right);
  });
}

TEST_CASE("emulator: the order of threads and blocks is the schedule's") {
  Tensor<std::int32_t, Cuda> next({1}), order({40});
  const auto run = [&](Options options) {
    const emulator::UseOptions use(options);
    next = Tensor<std::int32_t, Cuda>({1});
    launch({}, {.kernel = "order_kernel", .blocks = 4, .threads = 10}, examples::order_kernel, next.data(), order.data());
    const Tensor<std::int32_t, Cpu> found = order.to<Cpu>();
    return std::vector<int>(found.begin(), found.end());
  };
  const std::vector<int> fifo = run({}), lifo = run({.order = Order::lifo}), first = run({.order = Order::random, .seed = 1}),
                         second = run({.order = Order::random, .seed = 2});
  for (int i = 0; i < 40; ++i) {
    CHECK(fifo[static_cast<std::size_t>(i)] == i);
    CHECK(lifo[static_cast<std::size_t>(i)] == 39 - i);
  }
  CHECK(first == run({.order = Order::random, .seed = 1}));
  CHECK(first != second);
  CHECK(std::set<int>(first.begin(), first.end()).size() == 40);
}

TEST_CASE("emulator: options are read from text") {
  Options options;
  options.read_schedule("lifo");
  CHECK(options.order == Order::lifo);
  options.read_schedule("17");
  CHECK((options.order == Order::random && options.seed == 17));
  options.read_schedule("fifo");
  CHECK(options.order == Order::fifo);
  CHECK_CONTAINS(message_of<Error>([&] { options.read_schedule("random"); }), "'random'; fifo, lifo or a number");
  CHECK_THROWS_AS(options.read_schedule("-3"), Error);
}

TEST_CASE("emulator: reductions and scans through shared memory and shuffles") {
  const auto x = numbers<float>(5000);
  for (const unsigned threads : {32u, 256u, 1024u}) {
    for_all_schedules([&] {
      auto sums = fresh(3);
      launch({}, {.kernel = "sum_kernel", .blocks = 3, .threads = threads}, examples::sum_kernel, x.size(), x.data(), sums.data());
      const auto found = sums.to<Cpu>();
      CHECK(found[0] + found[1] + found[2] == doctest::Approx(5000.0 * 5001 / 2));
    });
  }
  const auto ones = numbers<std::int32_t>(77, 1);
  for_all_schedules([&] {
    Tensor<std::int32_t, Cuda> out({77});
    launch({}, {.kernel = "scan_kernel", .blocks = 1, .threads = 77, .shared = 77 * 4}, examples::scan_kernel, ones.data(), out.data());
    CHECK(equals(out, [](Index i) { return (i + 1) * (i + 2) / 2; }));
  });
}

TEST_CASE("emulator: barriers that count") {
  for_all_schedules([] {
    Tensor<std::int32_t, Cuda> counts({6 * 50});
    run_block("counting_barriers_kernel", 50, examples::counting_barriers_kernel, counts.data());
    const int expected[6] = {25, 1, 0, 1, 0, 50};
    CHECK(equals(counts, [&](Index i) { return expected[i % 6]; }));
  });
}

TEST_CASE("emulator: warp operations") {
  for_all_schedules([] {
    Tensor<std::int32_t, Cuda> out({12 * 32});
    run_block("warp_kernel", 32, examples::warp_kernel, out.data());
    const auto found = out.to<Cpu>();
    for (int lane = 0; lane < 32; ++lane) {
      const int expected[12] = {105,
                                100 + lane / 8 * 8 + 5,
                                100 + (lane ^ 3),
                                lane >= 2 ? 98 + lane : 100 + lane,
                                lane % 8 >= 2 ? 98 + lane : 100 + lane,
                                lane < 30 ? 102 + lane : 100 + lane,
                                lane % 8 < 6 ? 102 + lane : 100 + lane,
                                0x49249249,
                                1,
                                0,
                                1,
                                0};
      for (int i = 0; i < 12; ++i) {
        CAPTURE(lane);
        CAPTURE(i);
        CHECK(found[12 * lane + i] == expected[i]);
      }
    }
  });
}

TEST_CASE("emulator: halves of a warp go apart and meet again") {
  for_all_schedules([] {
    Tensor<double, Cuda> sums({32}), pairs({64});
    run_block("halves_kernel", 32, examples::halves_kernel, sums.data(), reinterpret_cast<gpu::double2*>(pairs.data()));
    CHECK(equals(sums, [](Index i) { return i < 16 ? 120 : 376; }));
    CHECK(equals(pairs, [](Index i) { return (i < 32 ? 376 : 120) * (i % 2 ? -1 : 1); }));
  });
}

TEST_CASE("emulator: gathered values stay until the next operation") {
  for_all_schedules([] {
    Tensor<std::int32_t, Cuda> wrong({1});
    run_block("gather_twice_kernel", 96, examples::gather_twice_kernel, wrong.data());
    CHECK(wrong.to<Cpu>()[0] == 0);
  });
}

TEST_CASE("emulator: atomics") {
  for_all_schedules([] {
    Tensor<std::int32_t, Cpu> i({5});
    i[4] = 0xFFF;
    auto ints = i.to<Cuda>();
    Tensor<std::uint32_t, Cuda> u({3});
    Tensor<std::uint64_t, Cuda> l({2});
    Tensor<float, Cuda> f({1});
    Tensor<double, Cuda> d({1});
    launch({}, {.kernel = "atomics_kernel", .blocks = 2, .threads = 100}, examples::atomics_kernel, ints.data(), u.data(),
           reinterpret_cast<unsigned long long*>(l.data()), f.data(), d.data());
    const std::int32_t expected[5] = {9900, 99, -99, 255, 0xF00};
    CHECK(equals(ints, [&](Index k) { return expected[k]; }));
    const auto unsigned_found = u.to<Cpu>();
    CHECK(unsigned_found[0] == 400);
    CHECK((unsigned_found[1] >= 1 && unsigned_found[2] < 100));
    CHECK(equals(l, [](Index k) { return k ? 104 : Index{200} << 33; }));
    CHECK(f.to<Cpu>()[0] == 100);
    CHECK(d.to<Cpu>()[0] == 50);
  });
}

TEST_CASE("emulator: the last block sees what the others wrote") {
  for_all_schedules([] {
    Tensor<std::int32_t, Cuda> parts({20}), sum({1});
    Tensor<std::uint32_t, Cuda> done({1});
    launch({}, {.kernel = "last_block_kernel", .blocks = 20, .threads = 32}, planted::last_block_kernel<false>, parts.data(), done.data(), sum.data());
    CHECK(sum.to<Cpu>()[0] == 210);
  });
}

TEST_CASE("emulator: bits and arithmetic") {
  Tensor<std::int32_t, Cuda> out({14});
  run_block("bits_kernel", 1, examples::bits_kernel, out.data());
  const int expected[14] = {8, 31, 32, 4, 0, 3, 1, 1, 1, 1, 32, 8, 1, 1};
  CHECK(equals(out, [&](Index i) { return expected[i]; }));
}

TEST_CASE("emulator: shared memory is fresh in each block") {
  for_all_schedules([] {
    Tensor<std::int32_t, Cuda> wrong({1});
    launch({}, {.kernel = "fresh_shared_kernel", .blocks = 5, .threads = 3, .shared = 24}, examples::fresh_shared_kernel, wrong.data());
    CHECK(wrong.to<Cpu>()[0] == 0);
  });
}

TEST_CASE("emulator: asynchronous copies arrive group by group") {
  const auto x = numbers<float>(16);
  auto out = fresh(13);
  run_block("async_groups_kernel", 1, examples::async_groups_kernel, x.data(), out.data());
  const auto found = out.to<Cpu>();
  CHECK(std::isnan(found[0]));
  for (int i = 0; i < 6; ++i) CHECK(found[1 + i] == static_cast<float>(i + 1));
  CHECK(std::isnan(found[7]));
  const float expected[5] = {9, 10, 0, 0, 0};
  for (int i = 0; i < 5; ++i) CHECK(found[8 + i] == expected[i]);
}

TEST_CASE("emulator: launches that a GPU would refuse") {
  auto y = fresh(1);
  const auto refused = [&](Launch l) { return message_of<CudaError>([&] { launch({}, l, examples::throwing_kernel, 0); }); };
  CHECK_CONTAINS(refused({.kernel = "k", .blocks = 1, .threads = 1025}),
                 "kernel k <<<1x1x1 blocks, 1025x1x1 threads>>> could not be launched: a block has 1 to 1024 threads");
  CHECK_CONTAINS(refused({.kernel = "k", .blocks = 1, .threads = {2, 2, 65}}), "at most 64 along z");
  CHECK_CONTAINS(refused({.kernel = "k", .blocks = 1, .threads = 0}), "a block has 1 to 1024 threads");
  CHECK_CONTAINS(refused({.kernel = "k", .blocks = {1, 65536}}), "at most 2147483647 x 65535 x 65535 blocks");
  CHECK_CONTAINS(refused({.kernel = "k", .blocks = {1, 1, 65536}, .shape = {2, 3}}), "on [2,3] could not be launched");
  CHECK_CONTAINS(refused({.kernel = "k", .blocks = 1, .shared = 227 * 1024 + 1}), "232448 bytes of shared memory");
  CHECK_NOTHROW(launch({}, {.kernel = "k", .blocks = 0, .threads = 0}, examples::throwing_kernel, 0));
  CHECK_CONTAINS(message_of<CudaError>([] { run_block("launching_kernel", 1, examples::launching_kernel); }), "a kernel cannot launch another");
  CHECK_CONTAINS(message_of<CudaError>([&] { run_block("large_shared_kernel", 1, examples::large_shared_kernel, y.data()); }),
                 "no room for shared array 'b' of 40000 bytes: a kernel's arrays may take 49152 bytes");
}

TEST_CASE("emulator: exceptions pass on, and the next launch works") {
  for_all_schedules([] {
    for (const unsigned thread : {0u, 31u, 99u}) {
      CHECK_THROWS_WITH_AS(launch({}, {.kernel = "throwing_kernel", .blocks = 3, .threads = 100}, examples::throwing_kernel, thread), "thrown by a kernel",
                           std::out_of_range);
      CHECK_NOTHROW(launch({}, {.kernel = "throwing_kernel", .blocks = 3, .threads = 100}, examples::throwing_kernel, 100));
    }
  });
}

TEST_CASE("emulator: two workers run blocks side by side") {
  const int threads = cpu::threads();
  cpu::set_threads(2);
  {
    const emulator::UseOptions use({.workers = 2});
    Tensor<std::int32_t, Cuda> begun({1}), met({1});
    launch({}, {.kernel = "meeting_kernel", .blocks = 2, .threads = 1}, examples::meeting_kernel, begun.data(), met.data());
    CHECK(met.to<Cpu>()[0] == 2);
  }
  cpu::set_threads(threads);
}

TEST_CASE("emulator: several threads launch at once") {
  const auto x = numbers<float>(1000);
  std::vector<int> right(4);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < right.size(); ++i)
    threads.emplace_back([&, i] {
      for (int round = 0; round < 10; ++round) {
        auto sums = fresh(2);
        launch({}, {.kernel = "sum_kernel", .blocks = 2, .threads = 64}, examples::sum_kernel, x.size(), x.data(), sums.data());
        const auto found = sums.to<Cpu>();
        right[i] += found[0] + found[1] == 500500.0f;
      }
    });
  for (std::thread& t : threads) t.join();
  for (const int count : right) CHECK(count == 10);
}

TEST_CASE("emulator: a tensor core cuts terms below the largest, and their sum") {
  const auto sum = [](float c, float a0, float b0, float a1 = 0, float b1 = 0, float a2 = 0, float b2 = 0, float a3 = 0, float b3 = 0) {
    const float a[4] = {a0, a1, a2, a3}, b[4] = {b0, b1, b2, b3};
    return gpu::emulator::tensor_core_sum(c, a, b);
  };
  constexpr float inf = INFINITY, most = std::numeric_limits<float>::max(), t = 0x1.8p-13f, u = 0x1p-12f;
  CHECK(sum(1, 2, 3, 4, 5, 6, 7, 8, 9) == 1 + 6 + 20 + 42 + 72);
  CHECK(sum(1, 0x1.8p-12f, 0x1p-11f) == 1 + 0x1p-23f);    // the sum is cut, not rounded
  CHECK(sum(-1, -0x1.8p-12f, 0x1p-11f) == -1 - 0x1p-23f);  // toward zero
  CHECK(sum(1, t, u, t, u, t, u, t, u) == 1);              // each term is below what is kept, all four together are not
  CHECK(sum(0, t, u, t, u, t, u, t, u) == 4 * t * u);
  CHECK(sum(0, 1, 1, -1, 1, t, u) == 0);                   // cut although the large terms cancel
  CHECK(sum(0, 0x1p-149f, 1) == 0x1p-149f);
  CHECK(sum(0, 0x1p-75f, 0x1p-74f, 0x1p-76f, 0x1p-74f) == 0x1p-149f);
  CHECK(sum(0, 0x1p-149f, 0x1p-149f) == 0);
  CHECK(sum(most, most, 1) == inf);
  CHECK(sum(most, 0x1p100f, 0x1p3f) == most);
  CHECK(sum(1, -inf, 2) == -inf);
  CHECK(std::isnan(sum(inf, -inf, 2)));
  CHECK(std::isnan(sum(1, inf, 0)));
  CHECK(std::isnan(sum(NAN, 1, 1)));
}
