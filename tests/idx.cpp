#include "ventral/data/idx.hpp"

#include "support.hpp"
#include "temporary.hpp"
#include "ventral/data/mnist.hpp"

using namespace ventral;

namespace {

Bytes small_idx() { return {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 10, 20, 30, 40, 50, 60}; }

std::string error(Bytes file) {
  return test::message_of<FileError>([&] { parse_idx<std::uint8_t>(file, "images"); });
}

/// A folder with a tiny set under MNIST's names.
void write_set(const test::TemporaryFolder& folder, const std::string& set, Index n, std::int32_t first_label, bool compressed) {
  Tensor<std::uint8_t> images({n, 4, 3}), labels({n});
  for (Index i = 0; i < images.size(); ++i) images[i] = static_cast<std::uint8_t>(i);
  for (Index i = 0; i < n; ++i) labels[i] = static_cast<std::uint8_t>((first_label + i) % 10);
  const auto put = [&](const std::string& name, const Bytes& bytes) {
    write_file(folder / (name + (compressed ? ".gz" : "")), compressed ? gzip(bytes) : bytes);
  };
  put(set + "-images-idx3-ubyte", encode_idx<std::uint8_t>(images));
  put(set + "-labels-idx1-ubyte", encode_idx<std::uint8_t>(labels));
}

}  // namespace

TEST_CASE("idx: bytes to tensor and back") {
  const auto x = parse_idx<std::uint8_t>(small_idx(), "x");
  CHECK(x.shape() == Shape{2, 3});
  CHECK(x.at(1, 2) == 60);
  CHECK(encode_idx<std::uint8_t>(x) == small_idx());
  const Tensor<double> d({2, 1, 2}, {1.5, -2.25, 1e-300, 0});
  CHECK(test::relative_error(parse_idx<double>(encode_idx<double>(d), "x"), d) == 0);
  CHECK(encode_idx<float>(Tensor<float>({1}, {1.0f})) == Bytes{0, 0, 0x0D, 1, 0, 0, 0, 1, 0x3F, 0x80, 0, 0});
  CHECK(parse_idx<float>(Bytes{0, 0, 0x0B, 1, 0, 0, 0, 1, 0xFF, 0xFE}, "x")[0] == -2);
  CHECK(parse_idx<std::int64_t>(encode_idx<std::int32_t>(Tensor<std::int32_t>({1}, {-70000})), "x")[0] == -70000);
  CHECK(parse_idx<float>(Bytes{0, 0, 9, 0, 0x80}, "x")[0] == -128);  // no axes: a scalar
  CHECK(parse_idx<float>(Bytes{0, 0, 8, 1, 0, 0, 0, 0}, "x").empty());
  const test::TemporaryFolder folder;
  write_idx(folder / "x", x);
  CHECK(read_idx<std::uint8_t>(folder / "x").shape() == x.shape());
}

TEST_CASE("idx: malformed files") {
  Bytes f = small_idx();
  f[0] = 1;
  CHECK(error(f) ==
        "images: at byte 0: magic number 1 0 8 2 is not that of an IDX file; 0 0, a type of 8, 9, 11, 12, 13 or 14, and the number of axes expected");
  f = small_idx(), f[2] = 0x0A;
  CHECK(error(f).find("magic number 0 0 10 2") != std::string::npos);
  f = small_idx(), f[7] = 3;
  CHECK(error(f) == "images: at byte 12: elements uint8 [3,3] take 9 bytes; the file has 6 left");
  f = small_idx(), f.push_back(0);
  CHECK(error(f) == "images: at byte 12: elements uint8 [2,3] take 6 bytes; the file has 7 left");
  f = small_idx(), f[3] = 200;
  CHECK(error(f).find("the file ends within the extents") != std::string::npos);
  CHECK(error({0, 0, 8, 6, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 7}) ==
        "images: at byte 24: an array of more than 5 axes; at most 5 can be read");
  CHECK(error({0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}).find("too large to address") != std::string::npos);
  CHECK(error({0, 0, 14, 1, 255, 255, 255, 255, 1}) == "images: at byte 8: elements float64 [4294967295] take 34359738360 bytes; the file has 1 left");
  CHECK(error(gzip(small_idx())) == "images: at byte 0: compressed by gzip; pass it through gunzip() of ventral/io/gzip.hpp first");
  CHECK(test::message_of<FileError>([] {
          parse_idx<std::uint8_t>(Bytes{0, 0, 9, 1, 0, 0, 0, 1, 0x80}, "x");
        }) == "x: at byte 8: element 0, -128 in int8, is outside the range of uint8");
  test::check_truncations(small_idx(), [](ByteSpan b) { parse_idx<std::int32_t>(b, "x"); });
  test::check_flips(small_idx(), [](ByteSpan b) { parse_idx<std::int32_t>(b, "x"); });
}

TEST_CASE("gzip: round trip, limits, corruption") {
  Bytes plain(100000);
  for (std::size_t i = 0; i < plain.size(); ++i) plain[i] = static_cast<std::uint8_t>(i * i >> 7);
  const Bytes packed = gzip(plain, 9);
  CHECK(packed.size() < plain.size());
  CHECK(gunzip(packed, "x") == plain);
  CHECK(gunzip(gzip({}), "x").empty());
  Bytes twice = packed;  // members are joined
  twice.insert(twice.end(), packed.begin(), packed.end());
  CHECK(gunzip(twice, "x").size() == 2 * plain.size());
  CHECK(gunzip(packed, "x", {.max_bytes = plain.size()}) == plain);
  CHECK(test::message_of<FileError>([&] { gunzip(packed, "x.gz", {.max_bytes = 99999}); }).find("decompressed data exceed the limit of 99999 bytes") !=
        std::string::npos);
  CHECK(test::message_of<FileError>([&] { gunzip(twice, "x.gz", {.max_bytes = 199999}); }).find("exceed the limit of 99999 bytes") != std::string::npos);
  Bytes trailing = packed;
  trailing.push_back(7);
  CHECK(test::message_of<FileError>([&] { gunzip(trailing, "x.gz"); }) == concat("x.gz: at byte ", packed.size(), ": 1 bytes follow the compressed data"));
  Bytes wrong = packed;
  wrong[wrong.size() - 6] ^= 1;  // the checksum
  CHECK(test::message_of<FileError>([&] { gunzip(wrong, "x.gz"); }).find("corrupt compressed data: incorrect data check") != std::string::npos);
  const Bytes small = gzip(small_idx());
  test::check_truncations(small, [](ByteSpan b) { gunzip(b, "x"); });
  test::check_flips(small, [](ByteSpan b) { gunzip(b, "x"); });
}

TEST_CASE("gzip: a bomb stops at the limit, and a false length costs nothing") {
  const Bytes bomb = gzip(Bytes(50'000'000));
  CHECK(bomb.size() < 60000);
  CHECK_THROWS_AS(gunzip(bomb, "x", {.max_bytes = 1'000'000}), FileError);
  Bytes claims = gzip(small_idx());
  for (std::size_t i = claims.size() - 4; i < claims.size(); ++i) claims[i] = 255;
  CHECK(test::message_of<FileError>([&] { gunzip(claims, "x"); }).find("incorrect length check") != std::string::npos);
}

TEST_CASE("mnist: plain and compressed folders") {
  for (const bool compressed : {false, true}) {
    const test::TemporaryFolder folder;
    write_set(folder, "train", 12, 5, compressed);
    CHECK(has_mnist(folder.path()));
    CHECK_FALSE(has_mnist(folder.path(), "t10k"));
    CHECK(test::message_of<FileError>([&] {
            read_mnist(folder.path());
          }).find(": neither t10k-images-idx3-ubyte nor t10k-images-idx3-ubyte.gz; the folder has: train-images-idx3-ubyte") != std::string::npos);
    write_set(folder, "t10k", 3, 0, compressed);
    const Mnist m = read_mnist(folder.path());
    m.train.check("train");
    CHECK(m.train.images.shape() == Shape{12, 1, 4, 3});
    CHECK(m.train.labels[0] == 5);
    CHECK(m.train.classes == 10);
    CHECK(m.test.images[35] == 35);
    CHECK(m.test.size() == 3);
  }
}

TEST_CASE("mnist: labels out of range, counts that differ, axes that are wrong") {
  const test::TemporaryFolder folder;
  write_file(folder / "i", encode_idx<std::uint8_t>(Tensor<std::uint8_t>({2, 4, 3})));
  write_file(folder / "l", encode_idx<std::uint8_t>(Tensor<std::uint8_t>({2}, {3, 10})));
  CHECK(test::message_of<FileError>([&] { read_idx_pair(folder / "i", folder / "l", 10); }) ==
        folder / "l" + ": at byte 9: label 10 of image 1; 0 to 9 expected");
  CHECK(read_idx_pair(folder / "i", folder / "l", 11).labels[1] == 10);
  write_file(folder / "l", encode_idx<std::uint8_t>(Tensor<std::uint8_t>({3})));
  CHECK(test::message_of<FileError>([&] { read_idx_pair(folder / "i", folder / "l", 10); }) ==
        concat(folder / "l", ": 3 labels; ", folder / "i", " has 2 images"));
  CHECK(test::message_of<FileError>([&] { read_idx_pair(folder / "l", folder / "l", 10); }) == folder / "l" + ": an array [3]; images [N,H,W] expected");
  CHECK(test::message_of<FileError>([&] { read_idx_pair(folder / "none", folder / "l", 10); }) ==
        folder / "none" + ": cannot be opened: No such file or directory; the folder has: i, l");
}

TEST_CASE("mnist: the real files, where VENTRAL_DATA has them") {
  const char* data = std::getenv("VENTRAL_DATA");
  if (!data || !has_mnist(join_path(data, "mnist"))) return;
  const Mnist m = read_mnist(join_path(data, "mnist"));
  CHECK(m.train.images.shape() == Shape{60000, 1, 28, 28});
  CHECK(m.test.images.shape() == Shape{10000, 1, 28, 28});
  const PixelStatistics s = pixel_statistics(m.train);
  CHECK(s.mean == doctest::Approx(33.318421).epsilon(3e-8));
  CHECK(s.deviation == doctest::Approx(78.567490).epsilon(3e-8));
  const int train[] = {5, 0, 4, 1, 9, 2, 1, 3, 1, 4}, test[] = {7, 2, 1, 0, 4, 1, 4, 9, 5, 9};
  for (int i = 0; i < 10; ++i) {
    CHECK(m.train.labels[i] == train[i]);
    CHECK(m.test.labels[i] == test[i]);
  }
}

TEST_CASE("dataset: parts, order, checks") {
  Dataset d;
  d.images = Tensor<std::uint8_t>({4, 1, 1, 2}, {0, 1, 2, 3, 4, 5, 6, 7});
  d.labels = Tensor<std::int32_t>({4}, {0, 1, 2, 1});
  d.classes = 3;
  d.check("set");
  const std::vector<Index> order{3, 0, 3};
  const Dataset s = d.subset(order);
  CHECK(s.images.at(0, 0, 0, 1) == 7);
  CHECK(s.labels[2] == 1);
  CHECK(s.classes == 3);
  const DatasetSplit parts = split_last(d, 1);
  CHECK(parts.first.size() == 3);
  CHECK(parts.last.images[0] == 6);
  CHECK(split_last(d, 4).first.size() == 0);
  CHECK(test::message_of<Error>([&] { split_last(d, 5); }) == "split_last: 5 of 4 examples");
  CHECK(test::message_of<Error>([&] { static_cast<void>(d.subset(std::vector<Index>{4})); }) == "gather: example 4 of 4");
  CHECK(pixel_statistics(d).mean == 3.5);
  CHECK(pixel_statistics(d).deviation == doctest::Approx(std::sqrt(5.25)));
  Tensor<float> x(d.images.shape());
  normalize_pixels<float>(d.images, x, {.mean = 3.5, .deviation = 2});
  CHECK(x[0] == -1.75f);
  CHECK(x[7] == 1.75f);
  d.labels[2] = 3;
  CHECK(test::message_of<Error>([&] { d.check("set"); }) == "set: label 3 of image 2 is out of range; there are 3 classes, from 0");
  d.labels = Tensor<std::int32_t>({3});
  CHECK(test::message_of<ShapeError>([&] { d.check("set"); }) == "set: labels [3] for images [4,1,1,2]");
}
