#include "ventral/shape.hpp"

#include "support.hpp"

using namespace ventral;

TEST_CASE("Shape: extents, size, printing") {
  const Shape s{8, 3, 32, 32};
  CHECK(s.rank() == 4);
  CHECK(s.size() == 8 * 3 * 32 * 32);
  CHECK(s.product(2, 4) == 1024);
  CHECK(s.dim(-1) == 32);
  CHECK(s.dim(1) == 3);
  CHECK(to_string(s) == "[8,3,32,32]");
  CHECK(to_string(Shape{}) == "[]");
  CHECK(Shape{}.size() == 1);
  CHECK(Shape{0, 5}.size() == 0);
  CHECK(s.with(-3, 7) == Shape{8, 7, 32, 32});
  CHECK_FALSE(Shape{2, 3} == Shape{2, 3, 1});
}

TEST_CASE("Shape: errors say what was wrong") {
  CHECK(test::message_of<ShapeError>([] { Shape{2, -1}; }) == "extent -1 on axis 1 is negative");
  CHECK(test::message_of<ShapeError>([] { Shape{1, 1, 1, 1, 1, 1}; }) == "a shape has at most 5 extents");
  CHECK(test::message_of<ShapeError>([] { static_cast<void>(Shape{2, 3}.dim(2)); }) == "axis 2 of a shape of rank 2");
  const Index big = Index{1} << 40;
  CHECK(test::message_of<ShapeError>([&] { Shape{big, big}; }) == "extent 1099511627776 on axis 1 makes the tensor too large to address");
  CHECK_THROWS_AS((Shape{0, big, big}), ShapeError);  // a product without the zero would overflow
}
