#include "ventral/io/npy.hpp"

#include "support.hpp"
#include "temporary.hpp"

using namespace ventral;

namespace {

/// A .npy file of the given version, header text and data.
Bytes npy_file(int version, std::string header, const std::vector<int>& data) {
  Bytes out;
  detail::append_text(out, "\x93NUMPY");
  out.push_back(static_cast<std::uint8_t>(version));
  out.push_back(0);
  if (version == 1) detail::append_number(out, static_cast<std::uint16_t>(header.size()), std::endian::little);
  else detail::append_number(out, static_cast<std::uint32_t>(header.size()), std::endian::little);
  detail::append_text(out, header);
  for (const int v : data) out.push_back(static_cast<std::uint8_t>(v));
  return out;
}

template <class T>
Tensor<T> parse(const std::string& header, const std::vector<int>& data, int version = 1) {
  return parse_npy<T>(npy_file(version, header, data), "x.npy");
}
std::string error(const std::string& header, const std::vector<int>& data, int version = 1) {
  return test::message_of<FileError>([&] { parse<double>(header, data, version); });
}

}  // namespace

TEST_CASE("npy: what is written is read back, and looks as NumPy writes it") {
  const Tensor<float> x({2, 3}, {1, -2, 3.5f, 0, 1e-20f, 7});
  const Bytes file = encode_npy<float>(x);
  CHECK(file.size() == 128 + 24);
  const std::string head(file.begin() + 10, file.begin() + 128);
  CHECK(head.substr(0, 61) == "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  ");
  CHECK(head.back() == '\n');
  CHECK(file[8] == 118);
  CHECK(test::relative_error(parse_npy<float>(file, "x"), x) == 0);
  CHECK(test::relative_error(parse_npy<double>(file, "x"), x) == 0);

  Tensor<std::int64_t> scalar{Shape{}};
  scalar[0] = -5;
  const auto back = parse_npy<std::int64_t>(encode_npy<std::int64_t>(scalar), "x");
  CHECK(back.rank() == 0);
  CHECK(back[0] == -5);
  CHECK(parse_npy<float>(encode_npy<float>(Tensor<float>({3, 0, 2})), "x").shape() == Shape{3, 0, 2});
  CHECK(parse_npy<float>(encode_npy<float>(Tensor<float>({4})), "x").shape() == Shape{4});

  const test::TemporaryFolder folder;
  write_npy(folder / "a.npy", x);
  CHECK(test::relative_error(read_npy<float>(folder / "a.npy"), x) == 0);
}

TEST_CASE("npy: versions, byte orders, Fortran order, types") {
  CHECK(parse<int32_t>("{'descr': '>i2', 'fortran_order': False, 'shape': (2,), }", {1, 2, 255, 254})[0] == 258);
  CHECK(parse<int32_t>("{'descr': '>i2', 'fortran_order': False, 'shape': (2,), }", {1, 2, 255, 254}, 2)[1] == -2);
  CHECK(parse<double>("{\"shape\":(1,),\"fortran_order\":False,\"descr\":\">f8\"}\n", {0x3F, 0xF8, 0, 0, 0, 0, 0, 0}, 3)[0] == 1.5);
  CHECK(parse<float>("{'descr': '<f2', 'fortran_order': False, 'shape': (4,)}", {0, 0x3E, 1, 0, 0xFF, 0x7B, 0, 0xFC})[0] == 1.5f);
  CHECK(parse<float>("{'descr': '<f2', 'fortran_order': False, 'shape': (4,)}", {0, 0x3E, 1, 0, 0xFF, 0x7B, 0, 0xFC})[1] == 0x1p-24f);
  CHECK(parse<float>("{'descr': '<f2', 'fortran_order': False, 'shape': (4,)}", {0, 0x3E, 1, 0, 0xFF, 0x7B, 0, 0xFC})[2] == 65504);
  CHECK(parse<float>("{'descr': '<f2', 'fortran_order': False, 'shape': (4,)}", {0, 0x3E, 1, 0, 0xFF, 0x7B, 0, 0xFC})[3] == -INFINITY);
  CHECK(parse<bool>("{'descr': '|b1', 'fortran_order': False, 'shape': (2,)}", {1, 0})[0]);
  CHECK(parse<int32_t>("{'descr': '|i1', 'fortran_order': False, 'shape': (3L, 1L)}", {255, 128, 3}).shape() == Shape{3, 1});

  const auto x = parse<int32_t>("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 2), }", {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  CHECK(x.shape() == Shape{2, 3, 2});
  CHECK(x.at(0, 0, 0) == 0);
  CHECK(x.at(1, 0, 0) == 1);
  CHECK(x.at(0, 1, 0) == 2);
  CHECK(x.at(1, 2, 1) == 11);
  CHECK(x.at(0, 0, 1) == 6);
  CHECK(parse<float>("{'descr': '|u1', 'fortran_order': True, 'shape': (0, 3)}", {}).shape() == Shape{0, 3});
}

TEST_CASE("npy: values that a type cannot hold are errors") {
  const auto wide = encode_npy<double>(Tensor<double>({2}, {1.0, 0.1}));
  CHECK(test::message_of<FileError>([&] { parse_npy<float>(wide, "x.npy"); }) ==
        "x.npy: at byte 136: element 1, 0.1 in float64, is not exact in float32; Conversion::rounded allows that");
  CHECK(parse_npy<float>(wide, "x.npy", Conversion::rounded)[1] == 0.1f);
  CHECK(test::message_of<FileError>([&] { parse_npy<int32_t>(wide, "x.npy", Conversion::rounded); }) ==
        "x.npy: at byte 136: element 1, 0.1 in float64, is not exact in int32");
  const auto out = [](double v) {
    return test::message_of<FileError>([&] { parse_npy<float>(encode_npy<double>(Tensor<double>({1}, {v})), "x.npy", Conversion::rounded); });
  };
  CHECK(out(1e300) == "x.npy: at byte 128: element 0, 1e+300 in float64, is outside the range of float32");
  const auto special = parse_npy<float>(encode_npy<double>(Tensor<double>({2}, {INFINITY, NAN})), "x");
  CHECK(special[0] == INFINITY);
  CHECK(std::isnan(special[1]));

  const auto ints = encode_npy<std::int64_t>(Tensor<std::int64_t>({1}, {(std::int64_t{1} << 53) + 1}));
  CHECK(test::message_of<FileError>([&] { parse_npy<double>(ints, "x.npy"); }).find("is not exact in float64") != std::string::npos);
  CHECK(parse_npy<double>(encode_npy<std::int64_t>(Tensor<std::int64_t>({1}, {std::numeric_limits<std::int64_t>::min()})), "x")[0] == -0x1p63);
  const auto to_byte = [](std::int64_t v) { return parse_npy<std::uint8_t>(encode_npy<std::int64_t>(Tensor<std::int64_t>({1}, {v})), "x.npy"); };
  CHECK(to_byte(255)[0] == 255);
  CHECK(test::message_of<FileError>([&] { to_byte(256); }) == "x.npy: at byte 128: element 0, 256 in int64, is outside the range of uint8");
  CHECK(test::message_of<FileError>([&] { to_byte(-1); }) == "x.npy: at byte 128: element 0, -1 in int64, is outside the range of uint8");
  CHECK(test::message_of<FileError>([&] {
          parse_npy<std::int64_t>(encode_npy<double>(Tensor<double>({1}, {0x1p63})), "x.npy");
        }).find("outside the range of int64") != std::string::npos);
  CHECK(test::message_of<FileError>([&] { parse_npy<std::int64_t>(encode_npy<double>(Tensor<double>({1}, {NAN})), "x.npy"); }).find("outside the range") !=
        std::string::npos);
  CHECK(error("{'descr': '|b1', 'fortran_order': False, 'shape': (1,)}", {2}) == "x.npy: at byte 65: a bool is 0 or 1; found 2");
}

TEST_CASE("npy: malformed files") {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }";
  CHECK(error(good, {1, 2, 3}) == "x.npy: at byte 67: elements float32 [1] take 4 bytes; the file has 3 left");
  CHECK(error(good, {1, 2, 3, 4, 5}) == "x.npy: at byte 67: elements float32 [1] take 4 bytes; the file has 5 left");
  CHECK(error(good, {}, 9) == "x.npy: at byte 6: .npy version 9.0; 1, 2 or 3 expected");
  CHECK(error("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", {}).find("dtype '|O' holds pickled Python objects, which are never read") !=
        std::string::npos);
  CHECK(error("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", {}) ==
        "x.npy: at byte 20: a structured dtype; only arrays of numbers can be read");
  CHECK(error("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", {}).find("dtype '<c8' cannot be read") != std::string::npos);
  CHECK(error("{'descr': '|f4', 'fortran_order': False, 'shape': (1,), }", {}).find("dtype '|f4' cannot be read") != std::string::npos);
  CHECK(error("{'descr': '<f4', 'shape': (1,), }", {}).find("the header lacks 'fortran_order'") != std::string::npos);
  CHECK(error("{'descr': '<f4', 'descr': '<f4', }", {}).find("'descr' appears twice") != std::string::npos);
  CHECK(error("{'descr': '<f4', 'fortran_order': 0, }", {}).find("True or False expected") != std::string::npos);
  CHECK(error("{'colour': 3}", {}).find("unknown key 'colour'") != std::string::npos);
  CHECK(error("{'descr': '<f4', 'fortran_order': False, 'shape': (3), }", {}).find("',' expected after the only extent") != std::string::npos);
  CHECK(error("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", {}).find("an extent expected") != std::string::npos);
  CHECK(error("{'descr': '<f4', 'fortran_order': False, 'shape': (1,2,3,4,5,6), }", {}).find("an array of more than 5 axes") != std::string::npos);
  CHECK(error("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,), }", {}).find("too large to address") != std::string::npos);
  CHECK(error("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,), }", {}).find("an extent is too large") != std::string::npos);
  CHECK(error("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967295, 4294967295, 4294967295), }", {}).find("too large to address") !=
        std::string::npos);
  CHECK(error("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x", {}).find("goes on after its closing") != std::string::npos);
  CHECK(test::message_of<FileError>([] { parse_npy_header(npy_file(2, "", {}), "x.npy"); }).find("'{' expected in the header, which ends") !=
        std::string::npos);
  Bytes huge = npy_file(2, good, {1, 2, 3, 4});
  for (int i = 8; i < 12; ++i) huge[static_cast<std::size_t>(i)] = 255;
  CHECK(test::message_of<FileError>([&] { parse_npy_header(huge, "x.npy"); }) ==
        "x.npy: at byte 12: the file ends within the header: 4294967295 bytes expected, 61 left");
  huge[0] = 'X';
  CHECK(test::message_of<FileError>([&] { parse_npy_header(huge, "x.npy"); }) == "x.npy: at byte 0: not a .npy file: it should begin with \\x93NUMPY");
}

TEST_CASE("npy: cut or changed at any byte, a file is an error or an array, never a crash") {
  const Bytes file = encode_npy<float>(test::random_tensor<float>({2, 3}));
  test::check_truncations(file, [](ByteSpan b) { parse_npy<double>(b, "x"); });
  test::check_flips(file, [](ByteSpan b) { parse_npy<double>(b, "x"); });
}
