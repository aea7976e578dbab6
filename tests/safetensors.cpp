#include "ventral/io/safetensors.hpp"

#include "support.hpp"
#include "temporary.hpp"

using namespace ventral;

namespace {

Bytes file_of(const std::string& header, std::size_t data) {
  Bytes out;
  detail::append_number(out, std::uint64_t{header.size()}, std::endian::little);
  detail::append_text(out, header);
  for (std::size_t i = 0; i < data; ++i) out.push_back(static_cast<std::uint8_t>(i));
  return out;
}
std::string error(const std::string& header, std::size_t data) {
  return test::message_of<FileError>([&] { parse_safetensors(file_of(header, data), "x"); });
}
/// The header of tensor 'a' of type U8.
std::string tensor(const std::string& shape, const std::string& offsets, const std::string& name = "a") {
  return "\"" + name + "\":{\"dtype\":\"U8\",\"shape\":[" + shape + "],\"data_offsets\":[" + offsets + "]}";
}

}  // namespace

TEST_CASE("safetensors: what is written is read back") {
  const auto a = test::random_tensor<float>({2, 3, 4});
  const auto b = test::random_tensor<double>({5}, 2);
  Tensor<std::uint8_t> c({3}, {1, 2, 3});
  Tensor<std::int64_t> s{Shape{}};
  s[0] = 42;
  const std::vector<SafetensorsItem> items{{"c", c}, {"a.weight", a}, {"b", b}, {"steps", s}, {"empty", Tensor<float>({0, 2})}};
  const Bytes file = encode_safetensors(items, {{"who", "a \"test\" \\ \n\t\x01 \xC3\xA9"}});
  const Safetensors f = parse_safetensors(file, "x");
  CHECK(test::relative_error(f.tensor<float>("a.weight"), a) == 0);
  CHECK(test::relative_error(f.tensor<double>("b"), b) == 0);
  CHECK(f.tensor<std::uint8_t>("c")[2] == 3);
  CHECK(f.tensor<std::int64_t>("steps")[0] == 42);
  CHECK(f.tensor<float>("empty").shape() == Shape{0, 2});
  CHECK(f.metadata().at("who") == "a \"test\" \\ \n\t\x01 \xC3\xA9");
  CHECK(f.entries()[0].name == "b");  // wide types first, then names
  CHECK(f.entries()[1].name == "steps");
  CHECK(f.entries().back().name == "c");
  for (const auto& e : f.entries()) CHECK(e.first % element_size(e.type) == 0);
  CHECK(detail::load_number<std::uint64_t>(file.data(), std::endian::little) % 8 == 0);
  const Bytes given = encode_safetensors(items, {}, SafetensorsOrder::given);
  CHECK(parse_safetensors(given, "x").entries()[0].name == "c");

  const test::TemporaryFolder folder;
  write_safetensors(folder / "f", items, {{"who", "a \"test\" \\ \n\t\x01 \xC3\xA9"}});
  CHECK(read_file(folder / "f") == file);
  Safetensors opened = read_safetensors(folder / "f");
  const Safetensors moved = std::move(opened);
  CHECK(test::relative_error(moved.tensor<double>("b"), b) == 0);
  CHECK(test::message_of<Error>([&] { moved.tensor<float>("bias"); }) == folder / "f" + ": no tensor 'bias'; the file has: b, steps, a.weight, empty, c");
  CHECK(test::message_of<FileError>([&] { moved.tensor<float>("b"); }).find("'b': at byte ") != std::string::npos);
  CHECK(moved.tensor<float>("b", Conversion::rounded)[0] == static_cast<float>(b[0]));
}

TEST_CASE("safetensors: a file as others write it, with 16-bit floats and free spacing") {
  const std::string header =
      "{ \"h\" : {\"shape\": [2] ,\"dtype\":\"F16\",\"data_offsets\":[0,4]},\n\"b\":{\"dtype\":\"BF16\",\"data_offsets\":[4,6],\"shape\":[]}, "
      "\"t\\u00e9\\ud83d\\ude00\":{\"dtype\":\"BOOL\",\"shape\":[1],"
      "\"data_offsets\":[6,7]},\"__metadata__\":{\"k\":\"\\/\"}}   ";
  Bytes file = file_of(header, 0);
  for (const int v : {0x00, 0x3C, 0x00, 0xC0, 0xC0, 0x3F, 1}) file.push_back(static_cast<std::uint8_t>(v));
  const Safetensors f = parse_safetensors(file, "x");
  CHECK(f.tensor<float>("h")[0] == 1);
  CHECK(f.tensor<double>("h")[1] == -2);
  CHECK(f.tensor<float>("b")[0] == 1.5f);
  CHECK(f.tensor<bool>("t\xC3\xA9\xF0\x9F\x98\x80")[0]);
  CHECK(f.metadata().at("k") == "/");
  CHECK(parse_safetensors(file_of("{}", 0), "x").entries().empty());
  CHECK(parse_safetensors(file_of("{" + tensor("2,0", "0,0") + "," + tensor("3", "0,3", "b") + "}", 3), "x").entries().size() == 2);
}

TEST_CASE("safetensors: malformed files") {
  CHECK(test::message_of<FileError>([] {
          parse_safetensors(Bytes{1, 2}, "x");
        }) == "x: at byte 0: the file ends within the header length: 8 bytes expected, 2 left");
  CHECK(test::message_of<FileError>([] { parse_safetensors(Bytes{255, 255, 255, 255, 255, 255, 255, 255, 1}, "x"); }) ==
        "x: at byte 0: header length 18446744073709551615 is above the limit of 100000000");
  CHECK(test::message_of<FileError>([] {
          parse_safetensors(Bytes{9, 0, 0, 0, 0, 0, 0, 0, '{', '}'}, "x");
        }) == "x: at byte 8: the file ends within the header: 9 bytes expected, 2 left");
  CHECK(error(" {}", 0) == "x: at byte 8: the header should begin with '{'");
  CHECK(error("{} x", 0) == "x: at byte 11: the header goes on after its closing '}'");
  CHECK(error("{\"a\":{}}", 0) == "x: at byte 13: tensor 'a' lacks dtype");
  CHECK(error("{" + tensor("2", "0,3") + "}", 3) == "x: at byte 61: tensor 'a' uint8 [2] takes 2 bytes; its data are [0,3)");
  CHECK(error("{" + tensor("3", "1,4") + "}", 4) == "x: at byte 62: tensor 'a' uint8 [3] has its data at [1,4); 0 is where they should begin");
  CHECK(error("{" + tensor("3", "0,3") + "," + tensor("3", "2,5", "b") + "}", 5)
            .find("tensor 'b' uint8 [3] has its data at [2,5); 3 is where they should begin") != std::string::npos);
  CHECK(error("{" + tensor("3", "0,3") + "}", 2) == "x: at byte 61: tensor 'a' uint8 [3] has its data at [0,3); the file holds 2 bytes of data");
  CHECK(error("{" + tensor("3", "0,3") + "}", 5) == "x: at byte 64: 2 bytes belong to no tensor");
  CHECK(error("{" + tensor("3", "3,0") + "}", 3).find("has its data at [3,0)") != std::string::npos);
  CHECK(error("{" + tensor("1", "0,1") + "," + tensor("1", "1,2") + "}", 2).find("tensor 'a' uint8 [1] appears twice") != std::string::npos);
  CHECK(error("{" + tensor("-1", "0,1") + "}", 1).find("a whole number, not negative, expected") != std::string::npos);
  CHECK(error("{" + tensor("1.5", "0,1") + "}", 1).find("']' expected in the header") != std::string::npos);
  CHECK(error("{" + tensor("01", "0,1") + "}", 1).find("a number begins with a superfluous 0") != std::string::npos);
  CHECK(error("{" + tensor("9223372036854775808", "0,1") + "}", 1).find("a number above 2^63 - 1") != std::string::npos);
  CHECK(error("{" + tensor("9223372036854775807", "0,1") + "}", 1).find("too large to address") != std::string::npos);
  CHECK(error("{" + tensor("1,1,1,1,1,1", "0,1") + "}", 1).find("an array of more than 5 axes") != std::string::npos);
  CHECK(error("{\"a\":{\"dtype\":\"F8_E4M3\"}}", 0) ==
        "x: at byte 22: dtype 'F8_E4M3' cannot be read; known are F32, F64, F16, BF16, I64, I32, I16, I8, U8, BOOL, U16, U32, U64");
  CHECK(error("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 0).find("a key of tensor 'a' appears twice") != std::string::npos);
  CHECK(error("{\"a\":{\"strides\":[1]}}", 0) == "x: at byte 14: unknown key 'strides' of tensor 'a'; dtype, shape and data_offsets expected");
  CHECK(error("{\"__metadata__\":{\"k\":1}}", 0).find("'\"' expected in the header") != std::string::npos);
  CHECK(error("{\"__metadata__\":{\"k\":\"\",\"k\":\"\"}}", 0).find("a key of __metadata__ appears twice") != std::string::npos);
  CHECK(error("{\"__metadata__\":{},\"__metadata__\":{}}", 0).find("__metadata__ appears twice") != std::string::npos);
  CHECK(error("{\"a", 0).find("a string without its closing") != std::string::npos);
  CHECK(error("{\"\xFF\":{}}", 0) == "x: at byte 10: a string is not UTF-8");
  CHECK(error("{\"\xC0\x80\":{}}", 0).find("not UTF-8") != std::string::npos);
  CHECK(error("{\"\xED\xA0\x80\":{}}", 0).find("not UTF-8") != std::string::npos);
  CHECK(error("{\"\n\":{}}", 0).find("a control character in a string") != std::string::npos);
  CHECK(error("{\"\\x\":{}}", 0).find("unknown escape") != std::string::npos);
  CHECK(error("{\"\\ud800\":{}}", 0).find("half a surrogate pair") != std::string::npos);
  CHECK(error("{\"\\ud800\\u0041\":{}}", 0).find("half a surrogate pair") != std::string::npos);
  CHECK(error("{\"\\udc00\":{}}", 0).find("half a surrogate pair") != std::string::npos);
  CHECK(error("{\"a\":{\"shape\":[1,]}}", 0).find("a whole number") != std::string::npos);
  CHECK(error("{" + tensor("1", "0,1") + ",}", 1).find("'\"' expected") != std::string::npos);
}

TEST_CASE("safetensors: names that a file cannot hold") {
  const Tensor<float> t({1});
  CHECK(test::message_of<Error>([&] { encode_safetensors({{"a", t}, {"a", t}}); }) == "a safetensors file cannot hold two tensors named 'a'");
  CHECK(test::message_of<Error>([&] { encode_safetensors({{"__metadata__", t}}); }) == "a safetensors file cannot hold a tensor named '__metadata__'");
  CHECK(test::message_of<Error>([&] { encode_safetensors({{"\xFF", t}}); }) == "'\xFF' is not UTF-8, which a safetensors file needs");
}

TEST_CASE("safetensors: cut or changed at any byte, a file is an error or valid, never a crash") {
  const Tensor<float> a({2}, {1, 2});
  const Tensor<std::uint8_t> b({3}, {1, 2, 3});
  const Bytes file = encode_safetensors({{"a", a}, {"b", b}}, {{"k", "v\n"}});
  const auto parse = [](ByteSpan bytes) {
    const Safetensors f = parse_safetensors(bytes, "x");
    for (const auto& e : f.entries()) f.tensor<double>(e.name);
  };
  test::check_truncations(file, parse);
  test::check_flips(file, parse);
}
