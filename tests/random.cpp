#include "ventral/random.hpp"

#include <algorithm>
#include <vector>

#include "support.hpp"

using namespace ventral;

TEST_CASE("philox: the known answers of Salmon et al. 2011 (Random123's kat_vectors)") {
  using Words = std::array<std::uint32_t, 4>;
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) == Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("Random: elements depend on seed, stream and position only") {
  Random a(7, 3), b(7, 3);
  for (std::uint64_t i = 0; i < 10; ++i) CHECK(a.bits() == b.bits_at(i));
  CHECK(Random(7, 3).bits_at(0) != Random(7, 4).bits_at(0));
  CHECK(Random(7, 3).bits_at(0) != Random(8, 3).bits_at(0));
  CHECK(Random(7).fork(1).bits_at(0) != Random(7).fork(2).bits_at(0));
  CHECK(Random(7).fork(1).fork(2).bits_at(0) != Random(7).fork(2).fork(1).bits_at(0));
}

TEST_CASE("Random: moments and ranges") {
  Random r(1);
  const int n = 200000;
  double sum = 0, square = 0, usum = 0;
  for (int i = 0; i < n; ++i) {
    const double v = r.normal(), u = r.uniform();
    REQUIRE((0 <= u && u < 1));
    sum += v, square += v * v, usum += u;
  }
  CHECK(std::abs(sum / n) < 4 / std::sqrt(n));
  CHECK(std::abs(square / n - 1) < 4 * std::sqrt(2.0 / n));
  CHECK(std::abs(usum / n - 0.5) < 4 / std::sqrt(12.0 * n));
  CHECK(r.uniform_at(5) < 1.0f);
}

TEST_CASE("Random: below is unbiased, shuffle is a permutation that depends on the seed") {
  Random r(2);
  int count[7] = {};
  for (int i = 0; i < 70000; ++i) ++count[r.below(7)];
  for (const int c : count) CHECK(std::abs(c - 10000) < 5 * 93);  // 93: the standard deviation of a count
  CHECK(r.below(1) == 0);
  CHECK(test::message_of<Error>([&] { static_cast<void>(r.below(0)); }) == "Random::below: n is 0; at least 1 is needed");

  std::vector<int> a(100), b(100);
  for (int i = 0; i < 100; ++i) a[static_cast<std::size_t>(i)] = b[static_cast<std::size_t>(i)] = i;
  Random(1).shuffle(a.begin(), a.end());
  Random(2).shuffle(b.begin(), b.end());
  CHECK(a != b);
  std::sort(a.begin(), a.end());
  for (int i = 0; i < 100; ++i) CHECK(a[static_cast<std::size_t>(i)] == i);
}
