#include "ventral/io/npz.hpp"

#include "support.hpp"
#include "temporary.hpp"

using namespace ventral;

namespace {

/// As NumPy's savez_compressed writes it, with zip64 fields in the local header (made by Python's zipfile): a.npy = uint8 [7,8,9].
const Bytes numpy_file{80,  75,  3,  4,   45,  0,   0,   0,   8,   0,   0,   0,   33,  0,   12,  158, 57,  175, 255, 255, 255, 255, 255, 255, 255,
                       255, 5,   0,  20,  0,   97,  46,  110, 112, 121, 1,   0,   16,  0,   131, 0,   0,   0,   0,   0,   0,   0,   71,  0,   0,
                       0,   0,   0,  0,   0,   155, 236, 23,  234, 27,  16,  201, 200, 80,  198, 80,  173, 158, 146, 90,  156, 92,  164, 110, 165,
                       160, 94,  83, 106, 168, 174, 163, 160, 158, 150, 95,  84,  82,  148, 152, 23,  159, 95,  148, 146, 10,  18,  119, 75,  204,
                       41,  78,  5,  138, 23,  103, 36,  22,  164, 2,   249, 26,  198, 58,  154, 58,  10,  181, 10,  20,  0,   46,  118, 14,  78,
                       0,   80,  75, 1,   2,   45,  3,   45,  0,   0,   0,   8,   0,   0,   0,   33,  0,   12,  158, 57,  175, 71,  0,   0,   0,
                       131, 0,   0,  0,   5,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   128, 1,   0,   0,   0,   0,   97,  46,  110,
                       112, 121, 80, 75,  5,   6,   0,   0,   0,   0,   1,   0,   1,   0,   51,  0,   0,   0,   126, 0,   0,   0,   0,   0};

/// The same with a zip64 directory: sizes in the entry's extra field, its place in the zip64 end record.
Bytes zip64_file() {
  Bytes f(numpy_file.begin(), numpy_file.begin() + 126);
  const auto put = [&](std::initializer_list<int> bytes) {
    for (const int b : bytes) f.push_back(static_cast<std::uint8_t>(b));
  };
  put({80,  75,  1, 2, 45, 3, 45, 0, 0, 0, 8, 0, 0, 0, 33,  0, 12, 158, 57, 175, 255, 255, 255, 255, 255, 255,
       255, 255, 5, 0, 20, 0, 0,  0, 0, 0, 0, 0, 0, 0, 128, 1, 0,  0,   0,  0,   97,  46,  110, 112, 121});
  put({1, 0, 16, 0, 131, 0, 0, 0, 0, 0, 0, 0, 71, 0, 0, 0, 0, 0, 0, 0});
  put({80, 75, 6, 6, 44, 0, 0, 0, 0, 0, 0, 0, 45, 0, 45, 0, 0, 0, 0, 0, 0,   0, 0, 0, 1, 0, 0, 0,
       0,  0,  0, 0, 1,  0, 0, 0, 0, 0, 0, 0, 71, 0, 0,  0, 0, 0, 0, 0, 126, 0, 0, 0, 0, 0, 0, 0});
  put({80, 75, 6, 7, 0, 0, 0, 0,   197, 0,   0,   0,   0,   0,   0,   0,   1,   0,   0,   0, 80,
       75, 5,  6, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0});
  return f;
}

void read_all(ByteSpan bytes) {
  const Npz f = parse_npz(bytes, "x", {.max_bytes = 1 << 20});
  for (const auto& name : f.names()) f.tensor<double>(name);
}
std::string error(const Bytes& file) {
  return test::message_of<FileError>([&] { read_all(file); });
}

}  // namespace

TEST_CASE("npz: what is written is read back, stored and deflated") {
  const test::TemporaryFolder folder;
  const auto a = test::random_tensor<float>({20, 30});
  const Tensor<std::int32_t> b({2}, {-1, 70000});
  for (const bool compress : {false, true}) {
    write_npz(folder / "f.npz", {{"a", a}, {"b/c", b}, {"empty", Tensor<double>({0})}}, {.compress = compress});
    Npz opened = read_npz(folder / "f.npz");
    const Npz f = std::move(opened);
    CHECK(f.names() == std::vector<std::string>{"a", "b/c", "empty"});
    CHECK(f.contains("a"));
    CHECK_FALSE(f.contains("c"));
    CHECK(test::relative_error(f.tensor<float>("a"), a) == 0);
    CHECK(f.tensor<std::int64_t>("b/c")[1] == 70000);
    CHECK(f.tensor<float>("empty").shape() == Shape{0});
    CHECK(f.header("a").type == ElementType::f32);
    CHECK(test::message_of<Error>([&] { f.tensor<float>("z"); }) == folder / "f.npz" + ": no array 'z'; the file has: a, b/c, empty");
    CHECK(test::message_of<FileError>([&] { f.tensor<std::uint8_t>("b/c"); }) ==
          folder / "f.npz" + ": 'b/c': at byte 128: element 0, -1 in int32, is outside the range of uint8");
  }
  CHECK(encode_npz({{"z", Tensor<float>({10000})}}).size() < 400);
  CHECK(parse_npz(encode_npz({}), "x").names().empty());
  CHECK(test::message_of<Error>([&] { encode_npz({{"a", a}, {"a", a}}); }) == "encode_npz: name 'a' is empty, too long or repeated");
}

TEST_CASE("npz: as NumPy writes it, and with zip64 records") {
  for (const Bytes& file : {numpy_file, zip64_file()}) {
    const auto a = parse_npz(file, "x").tensor<int>("a");
    CHECK(a.shape() == Shape{3});
    CHECK(a[2] == 9);
  }
  Bytes commented = numpy_file;
  commented[commented.size() - 2] = 3;
  for (const char c : {'a', 'b', 'c'}) commented.push_back(static_cast<std::uint8_t>(c));
  read_all(commented);
}

TEST_CASE("npz: malformed files") {
  CHECK(error({}) == "x: at byte 0: not a zip archive: it has 0 bytes, at least 22 expected");
  CHECK(error(Bytes(100)).find("not a zip archive, or truncated: no end of central directory") != std::string::npos);
  const auto changed = [](std::size_t at, int value, const Bytes& file = numpy_file) {
    Bytes f = file;
    f[at] = static_cast<std::uint8_t>(value);
    return f;
  };
  CHECK(error(changed(126 + 16, 1)) == "x: at byte 55: 'a.npy' has checksum 2939788812; 2939788801 announced");
  CHECK(error(changed(126 + 10, 12)) == "x: at byte 126: 'a.npy' is compressed by method 12; 0 (stored) or 8 (deflated) expected");
  CHECK(error(changed(126 + 8, 1)) == "x: at byte 126: 'a.npy' is encrypted, which cannot be read");
  CHECK(error(changed(126 + 24, 130)).find("decompressed data exceed the limit of 130 bytes") != std::string::npos);
  CHECK(error(changed(126 + 24, 132)) == "x: at byte 55: 'a.npy' is 131 bytes; 132 announced");
  CHECK(error(changed(126 + 27, 255)) == "x: at byte 55: 'a.npy' is 4278190211 bytes when decompressed; the limit is 1048576");
  CHECK(error(changed(126 + 26, 15)) == "x: at byte 55: 'a.npy' is said to grow from 71 to 983171 bytes, more than deflate can");
  CHECK(error(changed(126 + 23, 1)).find("'a.npy' takes 16777287 bytes; the file has 144 left") != std::string::npos);
  CHECK(error(changed(126 + 20, 70)).find("the compressed data end before their end mark") != std::string::npos);
  CHECK(error(changed(126 + 20, 72)).find("the compressed data of 'a.npy' end before their place does") != std::string::npos);
  CHECK(error(changed(126 + 45, 255)) == "x: at byte 199: the file ends within an entry's header: 4 bytes expected, 0 left");
  CHECK(error(changed(126 + 42, 1)) == "x: at byte 1: no header of 'a.npy' here");
  CHECK(error(changed(numpy_file.size() - 14, 2, changed(numpy_file.size() - 12, 2))) == "x: at byte 177: the directory has 1 entries; 2 announced");
  CHECK(error(changed(numpy_file.size() - 3, 1)).find("the central directory is said to lie at [16777342, +51)") != std::string::npos);
  Bytes f = zip64_file();
  f[f.size() - 22 - 20 + 8] = 255;
  CHECK(error(f).find("no zip64 end of central directory here") != std::string::npos);
  f[f.size() - 22 - 20] = 0;
  CHECK(error(f).find("a zip64 archive without its locator") != std::string::npos);
}

TEST_CASE("npz: cut or changed at any byte, a file is an error or arrays, never a crash") {
  for (const Bytes& file : {numpy_file, zip64_file(), encode_npz({{"a", Tensor<float>({2}, {1, 2})}}, {.compress = false})}) {
    test::check_truncations(file, read_all);
    test::check_flips(file, read_all);
  }
}
