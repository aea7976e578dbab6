#include "ventral/cpu/parallel.hpp"

#include <atomic>
#include <thread>

#include "support.hpp"

using namespace ventral;

namespace {

/// Sets the number of threads for one test.
struct Threads {
  int before = cpu::threads();
  explicit Threads(int n) { cpu::set_threads(n); }
  ~Threads() { cpu::set_threads(before); }
};

/// Whether parallel_for visits each of n chunks once.
bool visits_once(Index n) {
  std::vector<std::atomic<int>> visits(static_cast<std::size_t>(n));
  cpu::parallel_for(n, [&](Index i) { visits[static_cast<std::size_t>(i)].fetch_add(1); });
  for (const auto& v : visits)
    if (v != 1) return false;
  return true;
}

}  // namespace

TEST_CASE("parallel_for: each chunk once, for any number of threads") {
  for (const int threads : {1, 2, 3, 8}) {
    const Threads hold(threads);
    CHECK(cpu::threads() == threads);
    for (const Index n : {0, 1, 2, 7, 1000}) CHECK(visits_once(n));
  }
}

TEST_CASE("parallel_for: many short jobs, and jobs after a pause") {
  const Threads hold(2);
  Index sum = 0;
  for (int job = 0; job < 2000; ++job) {
    std::atomic<Index> part{0};
    cpu::parallel_for(3, [&](Index i) { part += i; });
    sum += part;
  }
  CHECK(sum == 6000);
  std::this_thread::sleep_for(std::chrono::milliseconds(30));  // the workers are asleep by now
  CHECK(visits_once(100));
}

TEST_CASE("parallel_for: writes of a job are seen by its caller and by the next job") {
  const Threads hold(3);
  std::vector<Index> x(5000, 1), y(5000);
  for (int round = 0; round < 5; ++round) {
    cpu::parallel_ranges(5000, 64, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i) y[static_cast<std::size_t>(i)] = x[static_cast<std::size_t>(4999 - i)] * 2;
    });
    cpu::parallel_ranges(5000, 100, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i) x[static_cast<std::size_t>(i)] = y[static_cast<std::size_t>(i)];
    });
  }
  for (const Index v : x) REQUIRE(v == 32);
}

TEST_CASE("parallel_for: an exception reaches the caller, and the pool works on") {
  for (const int threads : {1, 2, 4}) {
    const Threads hold(threads);
    for (int i = 0; i < 20; ++i)
      CHECK(test::message_of<Error>([&] {
              cpu::parallel_for(64, [&](Index chunk) {
                if (chunk % 16 == 5) throw Error("chunk failed");
              });
            }) == "chunk failed");
    CHECK(visits_once(100));
  }
}

TEST_CASE("parallel_for: inside a job it runs on that thread") {
  const Threads hold(2);
  std::atomic<Index> sum{0};
  std::atomic<bool> same{true};
  cpu::parallel_for(8, [&](Index) {
    const auto self = std::this_thread::get_id();
    cpu::parallel_for(10, [&](Index i) {
      sum += i;
      if (std::this_thread::get_id() != self) same = false;
    });
  });
  CHECK(sum == 8 * 45);
  CHECK(same);
}

TEST_CASE("parallel_for: several callers at once") {
  const Threads hold(2);
  std::atomic<int> right{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t)
    callers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) right += visits_once(40);
    });
  for (auto& c : callers) c.join();
  CHECK(right == 200);
}

TEST_CASE("set_threads: between jobs of other threads, and below 1") {
  const Threads hold(2);
  std::atomic<bool> stop{false}, right{true};
  std::thread caller([&] {
    while (!stop)
      if (!visits_once(20)) right = false;
  });
  for (const int n : {1, 3, 2, 4, 1, 2}) cpu::set_threads(n);
  stop = true;
  caller.join();
  CHECK(right);
  CHECK(test::message_of<Error>([] { cpu::set_threads(0); }) == "cpu::set_threads: 0 threads; at least 1 is needed");
}

TEST_CASE("parallel: set_threads inside a job is refused, not a deadlock") {
  const int before = cpu::threads();
  cpu::set_threads(2);
  CHECK(test::message_of<Error>([] { cpu::parallel_for(4, [](Index) { cpu::set_threads(1); }); }) == "cpu::set_threads: called inside a parallel job");
  cpu::set_threads(before);
}

TEST_CASE("parallel_ranges: ranges of the grain cover everything, the last one is shorter") {
  std::vector<std::atomic<int>> visits(1003);
  cpu::parallel_ranges(1003, 100, [&](Index first, Index last) {
    CHECK(last - first == (first == 1000 ? 3 : 100));
    for (Index i = first; i < last; ++i) ++visits[static_cast<std::size_t>(i)];
  });
  for (const auto& v : visits) REQUIRE(v == 1);
}
