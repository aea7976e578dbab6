#pragma once
#include "ventral/io/element.hpp"
#include "ventral/io/file.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0 {

/// What the head of a .npy file says.
struct NpyHeader {
  ElementType type = ElementType::f64;
  std::endian order = std::endian::little;
  bool fortran = false;  ///< the first axis is contiguous
  Shape shape;
  std::size_t data_offset = 0;
};

namespace detail {

struct NpyType {
  char kind;  // b bool, i signed, u unsigned, f floating
  char size;
  ElementType type;
};
constexpr NpyType npy_types[] = {{'b', '1', ElementType::boolean}, {'u', '1', ElementType::u8},  {'i', '1', ElementType::i8},  {'u', '2', ElementType::u16},
                                 {'i', '2', ElementType::i16},     {'u', '4', ElementType::u32}, {'i', '4', ElementType::i32}, {'u', '8', ElementType::u64},
                                 {'i', '8', ElementType::i64},     {'f', '2', ElementType::f16}, {'f', '4', ElementType::f32}, {'f', '8', ElementType::f64}};

/// Reads the Python dictionary {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), } of a .npy header, and nothing else.
class NpyDictionaryParser {
 public:
  NpyDictionaryParser(ByteSpan text, std::string_view name, std::size_t offset) : text_(text), name_(name), start_(offset) {}

  void parse(NpyHeader& h) {
    bool descr = false, fortran = false, shape = false;
    const auto once = [&](bool& seen, std::string_view key) {
      if (seen) fail("'", key, "' appears twice in the header");
      seen = true;
    };
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr") once(descr, key), parse_descr(h);
      else if (key == "fortran_order") once(fortran, key), h.fortran = boolean();
      else if (key == "shape") once(shape, key), parse_shape(h);
      else fail("unknown key '", key, "' in the header; descr, fortran_order and shape expected");
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size()) fail("the header goes on after its closing '}'");
    if (!descr || !fortran || !shape) fail("the header lacks '", !descr ? "descr" : !fortran ? "fortran_order" : "shape", "'");
  }

 private:
  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    fail_at(name_, start_ + at_, parts...);
  }
  char peek() const { return at_ < text_.size() ? static_cast<char>(text_[at_]) : '\0'; }
  void skip_space() {
    while (peek() == ' ' || peek() == '\n' || peek() == '\t' || peek() == '\r') ++at_;
  }
  bool accept(char c) {
    skip_space();
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail("'", c, "' expected in the header", at_ >= text_.size() ? ", which ends" : "");
  }
  std::string string() {
    skip_space();
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail("a quoted word expected in the header");
    std::string out;
    for (++at_; peek() != quote; ++at_) {
      if (at_ >= text_.size() || peek() == '\\' || text_[at_] < 0x20 || text_[at_] > 0x7E) fail("a word without its closing quote in the header");
      out += peek();
    }
    ++at_;
    return out;
  }
  bool boolean() {
    skip_space();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      std::size_t i = 0;
      while (i < word.size() && at_ + i < text_.size() && static_cast<char>(text_[at_ + i]) == word[i]) ++i;
      if (i < word.size()) continue;
      at_ += i;
      return value;
    }
    fail("True or False expected in the header");
  }
  void parse_descr(NpyHeader& h) {
    skip_space();
    if (peek() == '[' || peek() == '(') fail("a structured dtype; only arrays of numbers can be read");
    const std::string text = string();
    if (!text.empty() && text.find('O') != std::string::npos) fail("dtype '", text, "' holds pickled Python objects, which are never read");
    const auto order = std::string_view("<>|=").find(text.empty() ? '?' : text[0]);
    if (text.size() == 3 && order != std::string_view::npos)
      for (const auto& t : npy_types)
        if (text[1] == t.kind && text[2] == t.size && (text[0] != '|' || t.size == '1')) {
          h.type = t.type;
          h.order = text[0] == '>' ? std::endian::big : text[0] == '=' ? std::endian::native : std::endian::little;
          return;
        }
    fail("dtype '", text, "' cannot be read; bool, integers of 8 to 64 bits and floats of 16 to 64 bits can");
  }
  void parse_shape(NpyHeader& h) {
    expect('(');
    while (!accept(')')) {
      skip_space();
      const std::size_t first = at_;
      std::uint64_t v = 0;
      for (; peek() >= '0' && peek() <= '9'; ++at_) {
        if (v > std::numeric_limits<std::uint64_t>::max() / 16) fail("an extent is too large");
        v = 10 * v + static_cast<std::uint64_t>(peek() - '0');
      }
      if (at_ == first) fail("an extent expected in the shape");
      if (peek() == 'L') ++at_;  // Python 2 wrote 3L
      push_extent(h.shape, v, name_, start_ + first);
      if (!accept(',')) {
        if (h.shape.rank() == 1) fail("',' expected after the only extent");  // (3) is a number in Python, not a shape
        expect(')');
        break;
      }
    }
  }

  ByteSpan text_;
  std::string_view name_;
  std::size_t start_, at_ = 0;
};

/// Reorders elements from first axis contiguous to last axis contiguous.
template <class T>
void from_fortran_order(const T* from, TensorRef<T> to) {
  const Shape& s = to.shape;
  Index stride[Shape::max_rank + 1] = {1}, position[Shape::max_rank] = {}, source = 0;
  for (int a = 0; a < s.rank(); ++a) stride[a + 1] = stride[a] * s[a];
  for (Index i = 0; i < to.size(); ++i) {
    to.data[i] = from[source];
    for (int a = s.rank() - 1; a >= 0; --a) {
      source += stride[a];
      if (++position[a] < s[a]) break;
      source -= stride[a + 1];
      position[a] = 0;
    }
  }
}

}  // namespace detail

/// Reads the head of a .npy file, version 1, 2 or 3, and checks it against the number of bytes. Throws FileError when it is malformed, of a type that
/// is not numbers, truncated, or followed by anything.
/// Source: NumPy Enhancement Proposal 1, "A Simple File Format for NumPy Arrays".
inline NpyHeader parse_npy_header(ByteSpan bytes, std::string_view name) {
  constexpr std::uint8_t magic[] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
  ByteReader in(bytes, name);
  const ByteSpan found = in.take(8, "the magic number and version");
  if (std::memcmp(found.data(), magic, sizeof magic) != 0) detail::fail_at(name, 0, "not a .npy file: it should begin with \\x93NUMPY");
  const int version = found[6];
  if (version < 1 || version > 3) detail::fail_at(name, 6, ".npy version ", version, ".", int{found[7]}, "; 1, 2 or 3 expected");
  const std::size_t length =
      version == 1 ? in.number<std::uint16_t>(std::endian::little, "the header length") : in.number<std::uint32_t>(std::endian::little, "the header length");
  const std::size_t header_offset = in.offset();
  NpyHeader h;
  detail::NpyDictionaryParser(in.take(length, "the header"), name, header_offset).parse(h);
  h.data_offset = in.offset();
  const std::size_t size = detail::stored_size(h.shape, h.type);
  if (size != in.left()) in.fail("elements ", to_string(h.type), " ", h.shape, " take ", size, " bytes; the file has ", in.left(), " left");
  return h;
}

/// The array of a .npy file, converted to T and to C order. Throws FileError as parse_npy_header does, and when a value does not fit.
template <class T>
Tensor<T> parse_npy(ByteSpan bytes, std::string_view name, Conversion conversion = Conversion::exact) {
  const NpyHeader h = parse_npy_header(bytes, name);
  auto out = Tensor<T>::uninitialized(h.shape);
  detail::decode_elements(bytes.subspan(h.data_offset), h.type, h.order, std::span<T>(out.begin(), out.end()), conversion, name, h.data_offset);
  if (!h.fortran || h.shape.rank() < 2) return out;
  auto ordered = Tensor<T>::uninitialized(h.shape);
  detail::from_fortran_order(out.data(), ordered.ref());
  return ordered;
}

template <class T>
Tensor<T> read_npy(const std::string& path, Conversion conversion = Conversion::exact) {
  return parse_npy<T>(read_file(path), path, conversion);
}

/// An array as a .npy file: version 1.0, little-endian, C order; the data begin at a multiple of 64.
template <class T>
Bytes encode_npy(TensorRef<const T> x) {
  std::string text = "{'descr': '";
  for (const auto& t : detail::npy_types)
    if (t.type == detail::element_type<T>()) text += t.size == '1' ? '|' : '<', text += t.kind, text += t.size;
  text += "', 'fortran_order': False, 'shape': (";
  for (int a = 0; a < x.shape.rank(); ++a) text += (a ? ", " : "") + std::to_string(x.shape[a]);
  text += x.shape.rank() == 1 ? ",), }" : "), }";
  constexpr std::size_t before = 10;
  text.append(63 - (before + text.size()) % 64, ' ');
  text += '\n';
  Bytes out;
  detail::append_text(out, "\x93NUMPY");
  out.push_back(1);
  out.push_back(0);
  detail::append_number(out, static_cast<std::uint16_t>(text.size()), std::endian::little);
  detail::append_text(out, text);
  detail::append_elements(out, std::span<const T>(x.data, static_cast<std::size_t>(x.size())), std::endian::little);
  return out;
}

/// Writes an array as a .npy file, atomically.
template <class T>
void write_npy(const std::string& path, const Tensor<T>& x) {
  write_file(path, encode_npy<T>(x));
}

}  // namespace ventral::inline v0
