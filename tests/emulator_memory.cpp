/// The emulator's device memory, streams and events.
#include <cstring>
#include <thread>
#include <vector>

#include "support.hpp"
#include "ventral/cuda/runtime.cuh"

using namespace test;
namespace gpu = ventral::cuda::emulated;
namespace emulator = ventral::cuda::emulated::emulator;
using gpu::Space;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// Memory that is freed at the end of a test.
struct Memory {
  std::size_t bytes;
  char* p;
  explicit Memory(std::size_t n) : bytes(n), p(static_cast<char*>(Space::allocate(n))) {}
  ~Memory() { Space::deallocate(p, bytes); }
};

std::vector<unsigned char> contents(const void* p, std::size_t bytes) {
  std::vector<unsigned char> out(bytes);
  Space::copy_to_host(out.data(), p, bytes);
  return out;
}

}  // namespace

TEST_CASE("emulator memory: fresh memory is NaN, aligned, cleared and copied") {
  const Memory a(1003), b(1003);
  CHECK(reinterpret_cast<std::uintptr_t>(a.p) % 256 == 0);
  CHECK(contents(a.p, 1003) == std::vector<unsigned char>(1003, 0xFF));
  Space::zero(a.p + 1, 1001);
  std::vector<unsigned char> expected(1003, 0);
  expected.front() = expected.back() = 0xFF;
  CHECK(contents(a.p, 1003) == expected);
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = static_cast<unsigned char>(i);
  Space::copy_from_host(a.p, expected.data(), 1003);
  Space::copy(b.p, a.p, 1003);
  CHECK(contents(b.p, 1003) == expected);
  CHECK(Space::allocate(0) == nullptr);
  CHECK_NOTHROW(Space::zero(nullptr, 0));
  CHECK_NOTHROW(Space::copy(nullptr, nullptr, 0));
  CHECK_NOTHROW(Space::copy_to_host(nullptr, nullptr, 0));
  CHECK_NOTHROW(Space::copy_from_host(nullptr, nullptr, 0));
}

TEST_CASE("emulator memory: copies stay within an array and in their space") {
  const Memory a(100), b(100);
  char host[200] = {};
  const auto message = [](auto f) { return message_of<CudaError>(f); };
  CHECK(message([&] { Space::zero(a.p, 101); }) == "zero: 101 bytes at byte 0 of an array of 100 bytes");
  CHECK(message([&] { Space::copy(a.p + 50, b.p, 51); }) == "copy, to: 51 bytes at byte 50 of an array of 100 bytes");
  CHECK(message([&] { Space::copy(a.p, b.p + 1, 100); }) == "copy, from: 100 bytes at byte 1 of an array of 100 bytes");
  CHECK(message([&] { Space::copy_from_host(a.p + 99, host, 2); }) == "copy_from_host, to: 2 bytes at byte 99 of an array of 100 bytes");
  CHECK(contains(message([&] { Space::copy_from_host(host, host + 100, 10); }), "copy_from_host, to: 0x"));
  CHECK(contains(message([&] { Space::copy_from_host(host, host + 100, 10); }), " is not in device memory"));
  CHECK(contains(message([&] { Space::copy_to_host(host, host + 100, 10); }), "is not in device memory"));
  CHECK(contains(message([&] { Space::copy_to_host(a.p, b.p, 10); }), "copy_to_host, to: 0x"));
  CHECK(contains(message([&] { Space::copy_from_host(a.p, b.p, 10); }), "is in device memory, not in main memory"));
  CHECK(contains(message([&] { Space::zero(host, 1); }), "is not in device memory"));
  CHECK(contains(message([&] { Space::zero(a.p + 100, 1); }), "is not in device memory"));
}

TEST_CASE("emulator memory: the device has an end") {
  const emulator::UseMemory limit(gpu::memory_use().tensors + (std::size_t{4} << 20));
  const gpu::MemoryUse before = gpu::memory_use();
  CHECK(before.free == std::size_t{4} << 20);
  const Memory a(std::size_t{1} << 20), b(std::size_t{1} << 20), c(std::size_t{1} << 18);  // c: larger than what earlier cases keep
  const std::string text = message_of<CudaError>([] { Space::allocate(std::size_t{3} << 20); });
  INFO(text);
  CHECK(contains(text, "out of GPU memory: 3 MiB asked, 1.75 MiB of "));
  CHECK(contains(text, " free; ventral's tensors hold "));
  CHECK(contains(text, "(the largest: 2 of 1 MiB, 1 of 262144 bytes"));
  const gpu::MemoryUse use = gpu::memory_use();
  CHECK(use.arrays == before.arrays + 3);
  CHECK(use.tensors == before.tensors + (std::size_t{9} << 18));
  CHECK(use.free == before.free - (std::size_t{9} << 18));
  CHECK(use.total == before.total);
  CHECK(use.most >= use.tensors);
  CHECK_THROWS_AS((Tensor<float, Cuda>({1 << 20})), CudaError);
  { const Memory d(std::size_t{7} << 18); }
  CHECK(gpu::memory_use().tensors == use.tensors);
  CHECK(gpu::memory_use().most >= use.tensors + (std::size_t{7} << 18));
}

TEST_CASE("emulator memory: the limit ends with its scope") {
  const std::size_t total = gpu::memory_use().total;
  {
    const emulator::UseMemory limit(12345);
    CHECK(gpu::memory_use().total == 12345);
  }
  CHECK(gpu::memory_use().total == total);
}

TEST_CASE("emulator memory: used from several threads") {
  const gpu::MemoryUse before = gpu::memory_use();
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (std::size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      for (std::size_t i = 1; i < 50; ++i) {
        const Memory a(i * 10);
        const std::vector<unsigned char> x(i * 10, static_cast<unsigned char>(t));
        Space::copy_from_host(a.p, x.data(), x.size());
        wrong[t] += contents(a.p, x.size()) != x;
      }
    });
  for (std::thread& t : threads) t.join();
  for (const int count : wrong) CHECK(count == 0);
  CHECK(gpu::memory_use().tensors == before.tensors);
  CHECK(gpu::memory_use().arrays == before.arrays);
}

TEST_CASE("emulator streams: each has a handle, and a thread's tensors use the one it says") {
  CHECK(Space::stream().handle == nullptr);
  const gpu::OwnStream first, second;
  CHECK(gpu::Stream(first).handle != gpu::Stream(second).handle);
  {
    const gpu::UseStream use(first);
    CHECK(Space::stream().handle == gpu::Stream(first).handle);
    const gpu::UseStream inner(second);
    CHECK(Space::stream().handle == gpu::Stream(second).handle);
    std::thread([] { CHECK(Space::stream().handle == nullptr); }).join();
  }
  CHECK(Space::stream().handle == nullptr);
  CHECK_NOTHROW(gpu::synchronize());
  CHECK_NOTHROW(gpu::synchronize(first));
}

TEST_CASE("emulator events: times grow, and waiting passes") {
  gpu::Event a, b, never;
  const gpu::OwnStream stream;
  a.record();
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  b.record(stream);
  CHECK(gpu::Event::milliseconds(a, b) >= 2);
  CHECK(gpu::Event::milliseconds(b, a) <= -2);
  CHECK_NOTHROW(never.synchronize());
  CHECK_NOTHROW(never.hold(stream));
  CHECK_THROWS_AS(gpu::Event::milliseconds(a, never), CudaError);
}

TEST_CASE("emulator: its status says what it is") {
  const gpu::DeviceStatus status = gpu::device_status();
  CHECK(status.usable);
  CHECK(status.text == "emulated on the CPU (tests and debugging; slow)");
}
