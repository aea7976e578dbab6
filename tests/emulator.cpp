/// The kernel emulator: CUDA's functions, the order of threads, and that mistakes are shown. Those that only a sanitizer sees: emulator/planted.cpp.
#include <set>
#include <thread>

#include "emulator/planted_kernels.hpp"
#include "support.hpp"

using namespace test;
namespace gpu = ventral::cuda::emulated;
namespace emulator = ventral::cuda::emulated::emulator;
using emulator::Options;
using emulator::Order;
using gpu::launch;
using gpu::Launch;

namespace ventral::inline v0::cuda::emulated::examples {

/// Writes each thread's indices.
VENTRAL_KERNEL void index_kernel(uint3* thread, uint3* block) {
  const unsigned in_block = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned number = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned i = number * blockDim.x * blockDim.y * blockDim.z + in_block;
  thread[i] = threadIdx;
  __syncthreads();
  block[i] = blockIdx;
}

/// The sum of x by a fixed tree, in each block.
VENTRAL_KERNEL void sum_kernel(Index n, const float* x, float* sums) {
  VENTRAL_SHARED(float, part, 32);
  float sum = 0;
  for (Index i = first_element(); i < n; i += element_step()) sum += x[i];
  for (int step = 16; step; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  sum = threadIdx.x < blockDim.x / 32 ? part[threadIdx.x] : 0.0f;
  for (int step = 16; step; step /= 2) sum += __shfl_down_sync(~0u, sum, step);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

/// out[t] = the sum of 0..t of x, by doubling steps.
VENTRAL_KERNEL void scan_kernel(const int* x, int* out) {
  VENTRAL_DYNAMIC_SHARED(int, line);
  const int t = static_cast<int>(threadIdx.x), n = static_cast<int>(blockDim.x);
  line[t] = x[t];
  for (int step = 1; step < n; step *= 2) {
    __syncthreads();
    const int before = t >= step ? line[t - step] : 0;
    __syncthreads();
    line[t] += before;
  }
  out[t] = line[t];
}

VENTRAL_KERNEL void counting_barriers_kernel(int* counts) {
  const int t = static_cast<int>(threadIdx.x);
  const int odd = __syncthreads_count(t % 2), some = __syncthreads_or(t == 3), none = __syncthreads_or(0), all = __syncthreads_and(1),
            not_all = __syncthreads_and(t != 3), again = __syncthreads_count(1);
  const int found[6] = {odd, some, none, all, not_all, again};
  for (int i = 0; i < 6; ++i) counts[6 * t + i] = found[i];
}

/// Every warp operation, in a warp of 32: 12 numbers for each lane.
VENTRAL_KERNEL void warp_kernel(int* out) {
  const int lane = static_cast<int>(threadIdx.x), value = 100 + lane;
  const int found[12] = {
      __shfl_sync(~0u, value, 5),         __shfl_sync(~0u, value, 5, 8),
      __shfl_xor_sync(~0u, value, 3),     __shfl_up_sync(~0u, value, 2u),
      __shfl_up_sync(~0u, value, 2, 8),   __shfl_down_sync(~0u, value, 2u),
      __shfl_down_sync(~0u, value, 2, 8), static_cast<int>(__ballot_sync(~0u, lane % 3 == 0)),
      __any_sync(~0u, lane == 7),         __any_sync(~0u, 0),
      __all_sync(~0u, lane < 32),         __all_sync(~0u, lane != 7),
  };
  for (int i = 0; i < 12; ++i) out[12 * lane + i] = found[i];
}

/// The halves of a warp reduce apart, in different numbers of steps, and then together; values of 8 and 16 bytes.
VENTRAL_KERNEL void halves_kernel(double* sums, double2* pairs) {
  const unsigned half = threadIdx.x / 16, mask = half ? 0xFFFF0000u : 0xFFFFu;
  double sum = threadIdx.x;
  for (int step = half ? 8 : 4; step; step /= 2) sum += __shfl_xor_sync(mask, sum, step);
  if (half == 0) sum += __shfl_xor_sync(mask, sum, 8);
  sums[threadIdx.x] = sum;
  __syncwarp();
  pairs[threadIdx.x] = __shfl_xor_sync(~0u, make_double2(sum, -sum), 16);
}

/// The values of one gather stay while the next one's are published.
VENTRAL_KERNEL void gather_twice_kernel(int* wrong) {
  struct Values {
    int lane[64];
  };
  Values mine{};
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 64; ++i) mine.lane[i] = 1000 * round + static_cast<int>(threadIdx.x % 32) + i;
    const Values* all = emulator::warp_gather(mine, ~0u);
    for (int from = 0; from < 32; ++from)
      for (int i = 0; i < 64; ++i)
        if (all[from].lane[i] != 1000 * round + from + i) atomicAdd(wrong, 1);
  }
}

VENTRAL_KERNEL void atomics_kernel(int* i, unsigned* u, unsigned long long* l, float* f, double* d) {
  const int t = static_cast<int>(threadIdx.x);
  atomicAdd(i, t);
  atomicMax(i + 1, t);
  atomicMin(i + 2, -t);
  atomicOr(i + 3, 1 << t % 8);
  atomicAnd(i + 4, ~(1 << t % 8));
  atomicAdd(u, 2);
  atomicCAS(u + 1, threadIdx.x, threadIdx.x + 1);
  atomicExch(u + 2, threadIdx.x);
  atomicAdd(l, 1ull << 33);
  atomicMax(l + 1, 5ull + threadIdx.x);
  atomicAdd(f, 0.5f);
  atomicAdd(d, 0.25);
}

/// The last block to finish adds up what the others have written.
VENTRAL_KERNEL void last_block_kernel(int* parts, unsigned* done, int* sum) {
  VENTRAL_SHARED(int, last, 1);
  if (threadIdx.x == 0) {
    parts[blockIdx.x] = static_cast<int>(blockIdx.x) + 1;
    __threadfence();
    last[0] = atomicAdd(done, 1) == gridDim.x - 1;
    __threadfence();
  }
  __syncthreads();
  if (!last[0] || threadIdx.x) return;
  for (unsigned i = 0; i < gridDim.x; ++i) sum[0] += parts[i];
}

VENTRAL_KERNEL void bits_kernel(int* out) {
  out[0] = __popc(0xF0F0u), out[1] = __clz(1), out[2] = __clz(0), out[3] = __ffs(8), out[4] = __ffs(0);
  out[5] = static_cast<int>(__umulhi(0x80000000u, 6)), out[6] = __float_as_uint(1.0f) == 0x3F800000u, out[7] = __uint_as_float(0x40000000u) == 2.0f;
  out[8] = rsqrtf(4.0f) == 0.5f && rsqrt(16.0) == 0.25, out[9] = __expf(0.0f) == 1 && __logf(1.0f) == 0 && __fdividef(6.0f, 3.0f) == 2;
  out[10] = warpSize, out[11] = __ldg(out), out[12] = make_float4(1, 2, 3, 4).w == 4 && make_int2(5, 6).y == 6;
  const long long before = clock64();
  out[13] = clock64() >= before && __saturatef(2.0f) == 1;
}

/// What fresh memory holds; shared arrays keep their place within a block and are new in the next.
VENTRAL_KERNEL void fresh_shared_kernel(int* wrong) {
  VENTRAL_SHARED(float, first, 3);
  VENTRAL_SHARED(int, second, 5);
  VENTRAL_DYNAMIC_SHARED(double, third);
  const bool fresh = first[threadIdx.x] != first[threadIdx.x] && second[threadIdx.x] == -1 && third[threadIdx.x] != third[threadIdx.x];
  const bool aligned = reinterpret_cast<std::uintptr_t>(first) % 16 == 0 && reinterpret_cast<std::uintptr_t>(second) % 16 == 0 &&
                       reinterpret_cast<std::uintptr_t>(third) % 128 == 0;
  if (!fresh || !aligned) atomicAdd(wrong, 1);
  __syncthreads();
  first[threadIdx.x] = 1, second[threadIdx.x] = 2, third[threadIdx.x] = 3;
}

/// Loads of 4, 8 and 16 bytes in two groups, the second only in part; wait for the first, then for both.
VENTRAL_KERNEL void async_groups_kernel(const float* x, float* out) {
  VENTRAL_SHARED(float, tile, 16);
  emulator::async_copy(tile, x, 16, 16);
  emulator::async_copy(tile + 4, x + 4, 8, 8);
  emulator::async_commit();
  emulator::async_copy(tile + 8, x + 8, 16, 8);
  emulator::async_copy(tile + 12, x + 12, 4, 0);
  emulator::async_commit();
  emulator::async_wait(2);
  out[0] = tile[0];
  emulator::async_wait(1);
  for (int i = 0; i < 6; ++i) out[1 + i] = tile[i];
  out[7] = tile[8];
  emulator::async_wait(0);
  for (int i = 0; i < 5; ++i) out[8 + i] = tile[8 + i];
}

VENTRAL_KERNEL void throwing_kernel(unsigned thread) {
  __syncthreads();
  if (threadIdx.x == thread) throw std::out_of_range("thrown by a kernel");
  __syncthreads();
}

VENTRAL_KERNEL void launching_kernel() { launch({}, {.kernel = "throwing_kernel", .blocks = 1}, throwing_kernel, 0); }

VENTRAL_KERNEL void large_shared_kernel(float* y) {
  VENTRAL_SHARED(float, a, 10000);
  VENTRAL_SHARED(float, b, 10000);
  a[0] = b[0] = 1;
  y[0] = a[0];
}

/// The order in which threads come by: a serial number for each.
VENTRAL_KERNEL void order_kernel(int* next, int* order) { order[first_element()] = atomicAdd(next, 1); }

}  // namespace ventral::inline v0::cuda::emulated::examples

namespace planted = ventral::cuda::emulated::planted;
namespace examples = ventral::cuda::emulated::examples;

namespace {

/// Calls f under each schedule, with one worker and with three.
template <class F>
void for_all_schedules(F f) {
  const Options all[] = {{}, {.order = Order::lifo}, {.order = Order::random, .seed = 1}, {.order = Order::random, .seed = 2}, {.workers = 3}};
  for (const Options& options : all) {
    CAPTURE(static_cast<int>(options.order));
    CAPTURE(options.seed);
    CAPTURE(options.workers);
    const emulator::UseOptions use(options);
    f();
  }
}

template <class T>
Tensor<T, Cuda> numbers(Index n, T first = 1) {
  Tensor<T, Cpu> x({n});
  for (Index i = 0; i < n; ++i) x[i] = static_cast<T>(first + static_cast<T>(i));
  return x.template to<Cuda>();
}
/// n times a value, or on a memory that nothing was written to.
Tensor<float, Cuda> fresh(Index n) { return Tensor<float, Cuda>::uninitialized({n}); }

/// Launches one block, or several.
template <class Kernel, class... Arguments>
void run_block(const char* name, unsigned threads, Kernel kernel, const Arguments&... arguments) {
  launch(gpu::Space::stream(), Launch{.kernel = name, .blocks = 1, .threads = threads}, kernel, arguments...);
}

/// The message of the CudaError with which a kernel with a bug ends; it has to end well without the bug.
template <class Wrong, class Right, class... Arguments>
std::string message(const char* name, unsigned threads, Wrong wrong, Right right, const Arguments&... arguments) {
  for_all_schedules([&] { CHECK_NOTHROW(run_block(name, threads, right, arguments...)); });
  std::string text;
  for_all_schedules([&] { text = message_of<CudaError>([&] { run_block(name, threads, wrong, arguments...); }); });
  CHECK_NOTHROW(run_block(name, threads, right, arguments...));
  const emulator::UseOptions fifo({});
  return message_of<CudaError>([&] { run_block(name, threads, wrong, arguments...); });
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
#define CHECK_CONTAINS(text, part)   \
  do {                               \
    INFO(text);                      \
    CHECK(contains((text), (part))); \
  } while (false)

/// Whether y[i] == f(i) everywhere.
template <class T, class F>
bool equals(const Tensor<T, Cuda>& y, F f) {
  const Tensor<T, Cpu> found = y.template to<Cpu>();
  for (Index i = 0; i < found.size(); ++i)
    if (!(found[i] == static_cast<T>(f(i)))) return false;
  return true;
}

}  // namespace

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
    launch({}, {.kernel = "last_block_kernel", .blocks = 20, .threads = 32}, examples::last_block_kernel, parts.data(), done.data(), sum.data());
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

// ---- planted bugs

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
