#include "ventral/data/image_folder.hpp"

#include "support.hpp"
#include "temporary.hpp"
#include "ventral/io/picture.hpp"

using namespace ventral;

namespace {

Tensor<std::uint8_t> flat(Shape shape, int level) { return Tensor<std::uint8_t>::full(shape, static_cast<std::uint8_t>(level)); }

}  // namespace

TEST_CASE("image folder: classes and pictures in the order of their names") {
  const test::TemporaryFolder root;
  const std::string dogs = root.folder("dogs"), cats = root.folder("cats"), hidden = root.folder(".git");
  write_png(dogs + "/b.png", flat({1, 4, 6}, 40));
  write_png(dogs + "/a.PNG", flat({1, 4, 6}, 30));
  write_png(cats + "/x.png", flat({3, 4, 6}, 20));
  write_file(cats + "/notes.txt", test::bytes_of("not a picture"));
  write_file(cats + "/.x.png", test::bytes_of("not a picture"));
  write_file(root / "README.png", test::bytes_of("not a picture"));
  const Dataset d = read_image_folder(root.path());
  d.check("folder");
  CHECK(d.names == std::vector<std::string>{"cats", "dogs"});
  CHECK(d.classes == 2);
  CHECK(d.images.shape() == Shape{3, 3, 4, 6});
  CHECK(std::vector<int>(d.labels.begin(), d.labels.end()) == std::vector<int>{0, 1, 1});
  CHECK(d.images.at(0, 2, 3, 5) == 20);
  CHECK(d.images.at(1, 1, 0, 0) == 30);
  CHECK(d.images.at(2, 0, 1, 1) == 40);
  CHECK(read_image_folder(root.path(), {.height = 8, .width = 8, .channels = Channels::grey}).images.shape() == Shape{3, 1, 8, 8});

  cpu::set_threads(2);
  CHECK(read_image_folder(root.path()).images.at(2, 0, 1, 1) == 40);
  cpu::set_threads(1);
}

TEST_CASE("image folder: errors name the file") {
  const test::TemporaryFolder root;
  CHECK(test::message_of<FileError>([&] { read_image_folder(root.path()); }) == root.path() + ": no folders, one for each class, in it");
  CHECK(test::message_of<FileError>([&] { read_image_folder(root / "none"); }) == root / "none" + ": not a folder");
  const std::string a = root.folder("a"), b = root.folder("b");
  write_png(a + "/1.png", flat({1, 4, 6}, 1));
  CHECK(test::message_of<FileError>([&] { read_image_folder(root.path()); }) == b + ": a class without pictures (png, jpg, jpeg, bmp, pgm, ppm, pnm)");
  write_png(b + "/1.png", flat({1, 5, 6}, 1));
  CHECK(test::message_of<FileError>([&] { read_image_folder(root.path()); }) ==
        b + "/1.png: 5x6 pixels; the first picture has 4x6; give a height and width to bring all to one size");
  write_file(b + "/1.png", test::bytes_of("nonsense"));
  CHECK(test::message_of<FileError>([&] { read_image_folder(root.path(), {.height = 4, .width = 4}); }).find(b + "/1.png: at byte 0: not a PNG") == 0);
  CHECK(test::message_of<Error>([&] { read_image_folder(root.path(), {.height = 4}); }) == "read_image_folder: size 4x0; both positive, or both 0, expected");
  CHECK(test::message_of<Error>([&] { read_image_folder(root.path(), {.channels = Channels::as_stored}); }).find("channels must be grey or rgb") !=
        std::string::npos);
}

TEST_CASE("image folder: crop keeps proportions, stretch does not") {
  const test::TemporaryFolder root;
  Tensor<std::uint8_t> wide({1, 4, 12});
  for (Index i = 0; i < wide.size(); ++i) wide[i] = static_cast<std::uint8_t>(i % 12 * 20);
  write_png(root.folder("a") + "/1.png", wide);
  const Dataset cropped = read_image_folder(root.path(), {.height = 4, .width = 4, .channels = Channels::grey});
  for (int i = 0; i < 4; ++i) CHECK(cropped.images[i] == (4 + i) * 20);
  const Dataset stretched = read_image_folder(root.path(), {.height = 2, .width = 4, .channels = Channels::grey, .fit = ImageFit::stretch});
  for (int i = 0; i < 4; ++i) CHECK(stretched.images[i] == (3 * i + 1) * 20);
  for (const Index h : {1, 3, 5, 9})
    for (const Index w : {1, 2, 7, 31}) CHECK(read_image_folder(root.path(), {.height = h, .width = w}).images.shape() == Shape{1, 3, h, w});
}

TEST_CASE("resize: area averages down, bilinear up, constants kept") {
  const Tensor<std::uint8_t> x({1, 2, 4}, {0, 100, 200, 40, 20, 120, 220, 60});
  const auto half = resize(x, 1, 2);
  CHECK(half[0] == 60);
  CHECK(half[1] == 130);
  const auto third = resize(Tensor<std::uint8_t>({1, 1, 3}, {30, 60, 90}), 1, 2);  // 1.5 pixels each
  CHECK(third[0] == 40);
  CHECK(third[1] == 80);
  const auto up = resize(Tensor<std::uint8_t>({1, 1, 2}, {0, 100}), 1, 4);
  CHECK(up[0] == 0);
  CHECK(up[1] == 25);
  CHECK(up[2] == 75);
  CHECK(up[3] == 100);
  for (const Index n : {1, 2, 5, 13, 64})
    for (const std::uint8_t v : resize(flat({2, 7, 5}, 77), n, n + 1)) CHECK(v == 77);
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(resize(x, 0, 4)); }) == "resize: to 0x4; both must be positive");
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(crop(x, 0, 2, 2, 3)); }) == "crop: 2x3 at row 0, column 2 is not inside pixels [1,2,4]");
  CHECK(crop(x, 1, 1, 1, 2)[1] == 220);
}

TEST_CASE("grid: tiles, palettes, ranges") {
  const Tensor<float> x({3, 1, 2}, {-1, 0, 1, 3, NAN, INFINITY});
  const auto g = grid(x, {.columns = 2, .zoom = 2, .gap = 1, .background = 9});
  CHECK(g.shape() == Shape{1, 5, 9});
  CHECK(g.at(0, 0, 0) == 0);     // -1, the lowest
  CHECK(g.at(0, 1, 3) == 64);    // 0 of [-1, 3]
  CHECK(g.at(0, 0, 4) == 9);     // gap
  CHECK(g.at(0, 0, 8) == 255);   // 3
  CHECK(g.at(0, 4, 1) == 0);     // NaN
  CHECK(g.at(0, 4, 2) == 255);   // infinity is clipped
  CHECK(g.at(0, 4, 8) == 9);     // missing tile
  const auto d = grid(x, {.palette = Palette::diverging, .columns = 3, .gap = 0});
  CHECK(d.shape() == Shape{3, 1, 6});
  CHECK(d.at(0, 0, 1) == 255);  // 0 is white
  CHECK(d.at(2, 0, 1) == 255);
  CHECK(d.at(0, 0, 3) == 255);  // 3 is red
  CHECK(d.at(1, 0, 3) == 0);
  CHECK(d.at(0, 0, 0) == 170);  // -1 of [-3, 3] is a third of the way to blue
  CHECK(d.at(2, 0, 0) == 255);
  CHECK(d.at(1, 0, 4) == 0);  // NaN is magenta
  const auto each = grid(Tensor<double>({2, 1, 2}, {0, 1, 10, 20}), {.columns = 2, .gap = 0, .each = true});
  CHECK(each[2] == 0);
  CHECK(each[3] == 255);
  const auto fixed = grid(Tensor<double>({1, 1, 2}, {0, 1}), {.low = 0, .high = 2});
  CHECK(fixed[1] == 128);
  const auto rgb = grid(Tensor<float>({1, 3, 1, 1}, {0, 1, 2}), {});
  CHECK(rgb.shape() == Shape{3, 1, 1});
  CHECK(rgb[1] == 128);
  CHECK(rgb[2] == 255);
  CHECK(grid(Tensor<std::uint8_t>({9, 3, 3}), {}).shape() == Shape{1, 11, 11});  // 3 x 3 tiles
  CHECK(test::message_of<ShapeError>([&] { grid(Tensor<float>({2, 2}), {}); }) == "grid: tiles [2,2]; [N,H,W] or [N,3,H,W] expected, not empty");
}
