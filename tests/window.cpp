#include "ventral/window.hpp"

#include "support.hpp"

using namespace ventral;

namespace {

Index out(Index in, Window w) { return place(w, in, in, "Test").h.out; }

}  // namespace

TEST_CASE("window: output extents") {
  CHECK(out(28, {.kernel = 5, .padding = 2}) == 28);
  CHECK(out(7, {.kernel = 3, .stride = 2}) == 3);
  CHECK(out(8, {.kernel = 3, .stride = 2}) == 3);
  CHECK(out(8, {.kernel = 3, .stride = 2, .rounding = Rounding::ceil}) == 4);
  CHECK(out(2, {.kernel = 1, .stride = 2, .rounding = Rounding::ceil}) == 1);               // the second window would start outside
  CHECK(out(2, {.kernel = 3, .stride = 3, .padding = 1, .rounding = Rounding::ceil}) == 1);  // or in the trailing padding
  CHECK(out(5, {.kernel = 1, .stride = 7}) == 1);
  CHECK(out(9, {.kernel = 3, .dilation = 3}) == 3);
  CHECK(out(0, {.kernel = 3}) == 0);
  const WindowPlan p = place({.kernel = {1, 4}, .stride = {1, 2}, .padding = {0, 3}}, 8, 5, "Test");
  CHECK(p.h.out == 8);
  CHECK(p.w.out == 4);
}

TEST_CASE("window: same padding") {
  const WindowAxis upper = place({.kernel = 2, .padding = Padding::same()}, 32, 32, "Test").h, lower = place({.kernel = 2, .padding = Padding::same_lower()}, 32, 32, "Test").h;
  CHECK(upper.out == 32);
  CHECK(upper.before == 0);
  CHECK(upper.after == 1);
  CHECK(lower.before == 1);
  CHECK(lower.after == 0);
  CHECK(out(33, {.kernel = 3, .stride = 2, .padding = Padding::same()}) == 17);
  CHECK(out(5, {.kernel = 1, .stride = 7, .padding = Padding::same()}) == 1);
}

TEST_CASE("window: taps inside the image") {
  const WindowAxis a = place({.kernel = 3, .stride = 2, .padding = 4, .dilation = 3}, 7, 7, "Test").h;
  for (Index o = 0; o < a.out; ++o) {
    Index first = a.kernel, last = 0;
    for (Index k = 0; k < a.kernel; ++k)
      if (const Index i = a.origin(o) + k * a.dilation; 0 <= i && i < a.in) first = std::min(first, k), last = k + 1;
    if (first < last) {
      CHECK(a.first_tap(o) == first);
      CHECK(a.last_tap(o) == last);
    } else {
      CHECK(a.first_tap(o) >= a.last_tap(o));
    }
  }
}

TEST_CASE("window: errors") {
  CHECK(test::message_of<ShapeError>([] { out(3, {.kernel = 5}); }) == "Test: height 3 with padding 0+0 is smaller than the window, which spans 5");
  CHECK(test::message_of<ShapeError>([] { out(9, {.kernel = 0}); }) == "Test: kernel 0x0 must be positive");
  CHECK(test::message_of<ShapeError>([] { out(9, {.stride = {1, 0}}); }) == "Test: stride 1x0 must be positive");
  CHECK(test::message_of<ShapeError>([] { out(9, {.padding = -1}); }) == "Test: padding -1,-1,-1,-1 must not be negative");
}

TEST_CASE("receptive field: LeNet-5 has 5, 6, 14, 16, 32") {
  ReceptiveField f;
  f = f.after({.kernel = 5});
  CHECK(f.size == Pair(5));
  f = f.after({.kernel = 2, .stride = 2});
  CHECK(f.size == Pair(6));
  f = f.after({.kernel = 5});
  CHECK(f.size == Pair(14));
  f = f.after({.kernel = 2, .stride = 2});
  CHECK(f.size == Pair(16));
  CHECK(f.jump == Pair(4));
  f = f.after({.kernel = 5});
  CHECK(f.size == Pair(32));
}
