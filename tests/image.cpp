#include "ventral/io/image.hpp"

#include "support.hpp"
#include "temporary.hpp"

using namespace ventral;

namespace {

Tensor<std::uint8_t> noise(Shape shape) {
  Tensor<std::uint8_t> t(shape);
  Random random(3);
  for (auto& v : t) v = static_cast<std::uint8_t>(random.bits());
  return t;
}
bool same(const Tensor<std::uint8_t>& a, const Tensor<std::uint8_t>& b) { return a.shape() == b.shape() && std::equal(a.begin(), a.end(), b.begin()); }

std::string error(const Bytes& file, const ImageOptions& options = {}) {
  return test::message_of<FileError>([&] { parse_image(file, "x", options); });
}

/// 3x2 red pixels, the middle one of the upper row blue.
const Bytes bmp{66,  77, 78, 0, 0, 0, 0, 0, 0, 0,   54, 0, 0,   0, 40, 0, 0, 0, 3, 0, 0, 0,   2, 0,   0,   0, 1, 0, 24, 0, 0,   0, 0, 0, 24, 0, 0, 0, 0,
                0,  0,  0,  0, 0, 0, 0, 0, 0, 0,   0,  0, 0,   0, 0,  0, 0, 255, 0, 0, 255, 0, 0, 255, 0,   0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 255, 0, 0, 0};

/// 8x9 grey pixels of level 100, baseline JPEG.
const Bytes jpeg{255, 216, 255, 224, 0,  16, 74, 70, 73,  70,  0,  1,  1,   0,   0,  1,  0,  1,   0,   0,  255, 219, 0,   67, 0,   3,  2,
                 2,   3,   2,   2,   3,  3,  3,  3,  4,   3,   3,  4,  5,   8,   5,  5,  4,  4,   5,   10, 7,   7,   6,   8,  12,  10, 12,
                 12,  11,  10,  11,  11, 13, 14, 18, 16,  13,  14, 17, 14,  11,  11, 16, 22, 16,  17,  19, 20,  21,  21,  21, 12,  15, 23,
                 24,  22,  20,  24,  18, 20, 21, 20, 255, 192, 0,  11, 8,   0,   8,  0,  9,  1,   1,   17, 0,   255, 196, 0,  21,  0,  1,
                 1,   0,   0,   0,   0,  0,  0,  0,  0,   0,   0,  0,  0,   0,   0,  0,  7,  255, 196, 0,  20,  16,  1,   0,  0,   0,  0,
                 0,   0,   0,   0,   0,  0,  0,  0,  0,   0,   0,  0,  255, 218, 0,  8,  1,  1,   0,   0,  63,  0,   154, 15, 255, 217};

}  // namespace

TEST_CASE("image: PNG round trip, 1 to 4 channels") {
  const test::TemporaryFolder folder;
  for (Index c = 1; c <= 4; ++c) {
    const auto x = noise({c, 13, 17});
    CHECK(same(parse_image(encode_png(x), "x"), x));
    write_png(folder / "x.png", x);
    CHECK(same(read_image(folder / "x.png"), x));
  }
  const auto flat = noise({5, 7});
  CHECK(same(parse_image(encode_png(flat), "x"), Tensor<std::uint8_t>({1, 5, 7}, std::vector<std::uint8_t>(flat.begin(), flat.end()))));
  CHECK(list_folder(folder.path()).size() == 1);
}

TEST_CASE("image: BMP, PGM, PPM, JPEG") {
  const auto b = parse_image(bmp, "x");
  CHECK(b.shape() == Shape{3, 2, 3});
  CHECK(b.at(0, 0, 0) == 255);
  CHECK(b.at(0, 0, 1) == 0);
  CHECK(b.at(2, 0, 1) == 255);
  CHECK(b.at(2, 1, 1) == 0);
  const auto p = parse_image(test::bytes_of(std::string("P6\n# made by hand\n2 1\n255\n\x01\x02\x03\x04\x05\x06", 32)), "x");
  CHECK(p.shape() == Shape{3, 1, 2});
  CHECK(p.at(1, 0, 1) == 5);
  CHECK(parse_image(test::bytes_of("P5 1 2 255\nab"), "x").at(0, 1, 0) == 'b');
  const auto levels = parse_image(test::bytes_of(std::string("P5 #a\n#b\n3\t1 10 \x00\x05\x0B", 19)), "x");
  CHECK(levels[0] == 0);
  CHECK(levels[1] == 128);
  CHECK(levels[2] == 255);
  CHECK(parse_image(test::bytes_of(std::string("P5 1 1 65535\n\x80\x7F", 15)), "x")[0] == 128);
  const auto j = parse_image(jpeg, "x");
  CHECK(j.shape() == Shape{1, 8, 9});
  for (const int v : j) CHECK(std::abs(v - 100) <= 1);
}

TEST_CASE("image: grey and rgb") {
  const auto x = noise({3, 4, 5});
  const auto g = parse_image(encode_png(x), "x", {.channels = Channels::grey});
  CHECK(g.shape() == Shape{1, 4, 5});
  CHECK(g[7] == std::lround((299 * x[7] + 587 * x[27] + 114 * x[47]) / 1000.0));
  const auto alpha = noise({2, 4, 5});
  const auto rgb = parse_image(encode_png(alpha), "x", {.channels = Channels::rgb});
  CHECK(rgb.shape() == Shape{3, 4, 5});
  CHECK(rgb.at(2, 3, 4) == alpha.at(0, 3, 4));
  const auto four = noise({4, 4, 5});
  CHECK(parse_image(encode_png(four), "x", {.channels = Channels::rgb}).at(2, 1, 1) == four.at(2, 1, 1));
  CHECK(parse_image(encode_png(alpha), "x", {.channels = Channels::grey}).at(0, 1, 1) == alpha.at(0, 1, 1));
}

TEST_CASE("image: malformed files and limits") {
  CHECK(error({}) == "x: at byte 0: not a PNG, JPEG, BMP, PGM (P5) or PPM (P6) file");
  CHECK(error(test::bytes_of("GIF89a not offered")).find("not a PNG") != std::string::npos);
  const Bytes png = encode_png(noise({1, 20, 30}));
  CHECK(error(png, {.max_side = 29}) == "x: at byte 0: a picture of 20x30 pixels; the limits are 29 a side and 67108864 in all");
  CHECK(error(png, {.max_pixels = 599}).find("a picture of 20x30 pixels") != std::string::npos);
  CHECK(parse_image(png, "x", {.max_side = 30, .max_pixels = 600}).size() == 600);
  CHECK(error(test::bytes_of("P5 30000 2000 255\nab")) == "x: at byte 0: claims 2000x30000 pixels; a file of 20 bytes cannot hold them");
  CHECK(error(test::bytes_of("P5 0 2 255\nab")) == "x: at byte 0: a picture of 2x0 pixels");
  CHECK(error(test::bytes_of("P6 2 2 70000\nab")) == "x: at byte 13: largest level 70000; 1 to 65535 expected");
  CHECK(error(test::bytes_of("P5 2 x")) == "x: at byte 6: a number expected in the header of a PGM or PPM picture");
  CHECK(error(test::bytes_of("P5 99999999999999999999 2 255 a")).find("a number expected") != std::string::npos);
  Bytes codes = jpeg;  // a Huffman table of more codes than there can be
  const std::uint8_t table[] = {0xFF, 0xC4};
  const auto at = std::search(codes.begin(), codes.end(), table, table + 2) - codes.begin() + 5;
  for (int i = 0; i < 16; ++i) codes[static_cast<std::size_t>(at + i)] = 255;
  CHECK(error(codes).find("corrupt picture: a Huffman table of 4080 codes; at most 255 can be read") != std::string::npos);
  Bytes claims = png;  // a chunk of 1 GiB
  claims[33] = 0x3F;
  CHECK(error(claims).find("corrupt picture: ") != std::string::npos);
  CHECK(test::message_of<ShapeError>([] {
          encode_png(Tensor<std::uint8_t>({5, 2, 2}));
        }) == "encode_png: pixels [5,2,2]; [H,W] or [C,H,W] with 1 to 4 channels expected");
  CHECK(test::message_of<ShapeError>([] { encode_png(Tensor<std::uint8_t>({1, 0, 2})); }) == "encode_png: pixels [1,0,2] are empty");
  CHECK(test::message_of<FileError>([] { read_image("/nowhere/x.png"); }).find("/nowhere/x.png: cannot be opened") == 0);
}

TEST_CASE("image: cut or changed at any byte, a file is an error or a picture, never a crash") {
  const ImageOptions small{.max_side = 1000, .max_pixels = 100000};
  for (const Bytes& file : {encode_png(noise({3, 3, 4})), bmp, jpeg, test::bytes_of("P5 1 2 255\nab")}) {
    test::check_truncations(file, [&](ByteSpan b) { parse_image(b, "x", small); });
    test::check_flips(file, [&](ByteSpan b) { parse_image(b, "x", small); });
  }
  CHECK(error(Bytes(bmp.begin(), bmp.begin() + 60)) == "x: at byte 60: the file ends within the picture");
  CHECK(error(test::bytes_of(std::string("P5 20 20 255\n") + std::string(399, 'a'))) ==
        "x: at byte 13: the file ends within the pixels: 400 bytes expected, 399 left");
}
