#pragma once
#include <map>

#include "ventral/io/element.hpp"

namespace ventral::inline v0 {

/// Free text stored with a file, by key.
using Metadata = std::map<std::string, std::string>;

/// One array of a safetensors file: elements [first, last) of its data, in bytes.
struct SafetensorsEntry {
  std::string name;
  ElementType type = ElementType::f32;
  Shape shape;
  std::size_t first = 0, last = 0;
};

namespace detail {

struct SafetensorsType {
  const char* name;
  ElementType type;
};
constexpr SafetensorsType safetensors_types[] = {
    {"F32", ElementType::f32}, {"F64", ElementType::f64}, {"F16", ElementType::f16}, {"BF16", ElementType::bf16}, {"I64", ElementType::i64},
    {"I32", ElementType::i32}, {"I16", ElementType::i16}, {"I8", ElementType::i8},   {"U8", ElementType::u8},     {"BOOL", ElementType::boolean},
    {"U16", ElementType::u16}, {"U32", ElementType::u32}, {"U64", ElementType::u64}};

/// Appends a code point as UTF-8.
[[gnu::cold]] inline void append_utf8(std::string& out, std::uint32_t c) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) out += static_cast<char>(c);
  else if (c < 0x800) out += static_cast<char>(0xC0 | (c >> 6)), tail(0);
  else if (c < 0x10000) out += static_cast<char>(0xE0 | (c >> 12)), tail(6), tail(0);
  else out += static_cast<char>(0xF0 | (c >> 18)), tail(12), tail(6), tail(0);
}

/// Bytes of the well-formed UTF-8 character that `text` begins with; 0 if there is none.
[[gnu::cold]] inline std::size_t utf8_length(ByteSpan text) {
  const std::uint8_t lead = text.empty() ? 0xFF : text[0];
  const std::size_t length = lead < 0x80 ? 1 : lead >= 0xC2 && lead < 0xE0 ? 2 : (lead & 0xF0) == 0xE0 ? 3 : lead >= 0xF0 && lead < 0xF5 ? 4 : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((text[i] & 0xC0) != 0x80) return 0;
  const bool overlong = (lead == 0xE0 && text[1] < 0xA0) || (lead == 0xF0 && text[1] < 0x90), surrogate = lead == 0xED && text[1] >= 0xA0,
             beyond = lead == 0xF4 && text[1] >= 0x90;
  return overlong || surrogate || beyond ? 0 : length;
}

/// Reads just the JSON that a safetensors header consists of: an object of tensors, {"dtype", "shape", "data_offsets"}, and of
/// "__metadata__", an object of strings. Anything else, a repeated key included, is a FileError with its offset.
class SafetensorsHeaderParser {
 public:
  /// `text` begins at byte `offset` of the file `name`.
  SafetensorsHeaderParser(ByteSpan text, std::string_view name, std::size_t offset) : text_(text), name_(name), start_(offset) {}

  [[gnu::cold]] void parse(std::vector<SafetensorsEntry>& entries, Metadata& metadata) {
    if (peek() != '{') fail("the header should begin with '{'");  // the format forbids white space here
    bool has_metadata = false;
    expect('{');
    for (bool first = true; more(first, '}');) {
      std::string name = key();
      if (name == "__metadata__") {
        if (has_metadata) fail("__metadata__ appears twice");
        has_metadata = true;
        read_metadata(metadata);
      } else {
        entries.push_back(entry(std::move(name)));
      }
    }
    skip_space();
    if (at_ != text_.size()) fail("the header goes on after its closing '}'");
  }

 private:
  template <class... Parts>
  [[noreturn]] void fail_from(std::size_t at, const Parts&... parts) const {
    fail_at(name_, start_ + at, parts...);
  }
  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    fail_from(at_, parts...);
  }

  char peek() const { return at_ < text_.size() ? static_cast<char>(text_[at_]) : '\0'; }
  [[gnu::cold]] void skip_space() {
    while (peek() == ' ' || peek() == '\n' || peek() == '\t' || peek() == '\r') ++at_;
  }
  [[gnu::cold]] bool accept(char c) {
    skip_space();
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  [[gnu::cold]] void expect(char c) {
    if (!accept(c)) fail("'", c, "' expected in the header", at_ >= text_.size() ? ", which ends" : "");
  }

  /// Whether another member of an object or array follows; reads the comma before it, or the bracket behind the last one.
  [[gnu::cold]] bool more(bool& first, char end) {
    if (first ? !accept(end) : accept(',')) {
      first = false;
      return true;
    }
    if (!first) expect(end);
    return false;
  }
  /// A key and its colon; notes where it begins.
  [[gnu::cold]] std::string key() {
    skip_space();
    key_at_ = at_;
    std::string text = string();
    expect(':');
    return text;
  }
  [[gnu::cold]] void read_metadata(Metadata& metadata) {
    expect('{');
    for (bool first = true; more(first, '}');) {
      std::string name = key();
      const std::size_t at = key_at_;
      if (!metadata.emplace(std::move(name), string()).second) fail_from(at, "a key of __metadata__ appears twice");
    }
  }

  [[gnu::cold]] std::uint64_t integer() {
    skip_space();
    const std::size_t at = at_;
    std::uint64_t v = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      const auto digit = static_cast<std::uint64_t>(peek() - '0');
      if (v > (static_cast<std::uint64_t>(std::numeric_limits<Index>::max()) - digit) / 10) fail_from(at, "a number above 2^63 - 1");
      v = 10 * v + digit;
    }
    if (at_ == at) fail("a whole number, not negative, expected");
    if (at_ - at > 1 && text_[at] == '0') fail_from(at, "a number begins with a superfluous 0");
    return v;
  }

  [[gnu::cold]] std::uint32_t hex4() {
    std::uint32_t v = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
      if (digit < 0) fail("four hexadecimal digits expected after \\u");
      v = v * 16 + static_cast<std::uint32_t>(digit);
    }
    return v;
  }

  [[gnu::cold]] void escape(std::string& out) {
    const char c = peek();
    ++at_;
    switch (c) {
      case '"': case '\\': case '/': out += c; return;
      case 'b': out += '\b'; return;
      case 'f': out += '\f'; return;
      case 'n': out += '\n'; return;
      case 'r': out += '\r'; return;
      case 't': out += '\t'; return;
      case 'u': break;
      default: fail_from(at_ - 1, "unknown escape after '\\' in a string");
    }
    std::uint32_t v = hex4();
    if (v >= 0xD800 && v < 0xDC00) {  // a pair of surrogates makes one character
      if (peek() != '\\') fail("half a surrogate pair");
      ++at_;
      if (peek() != 'u') fail("half a surrogate pair");
      ++at_;
      const std::uint32_t low = hex4();
      if (low < 0xDC00 || low > 0xDFFF) fail("half a surrogate pair");
      v = 0x10000 + ((v - 0xD800) << 10) + (low - 0xDC00);
    } else if (v >= 0xDC00 && v <= 0xDFFF) {
      fail("half a surrogate pair");
    }
    append_utf8(out, v);
  }

  [[gnu::cold]] std::string string() {
    expect('"');
    std::string out;
    while (at_ < text_.size()) {
      const char c = peek();
      if (c == '"') {
        ++at_;
        return out;
      }
      if (c == '\\') {
        ++at_;
        escape(out);
        continue;
      }
      if (text_[at_] < 0x20) fail("a control character in a string");
      const std::size_t length = utf8_length(text_.subspan(at_));
      if (length == 0) fail("a string is not UTF-8");
      for (std::size_t i = 0; i < length; ++i) out += peek(), ++at_;
    }
    fail("a string without its closing '\"'");
  }

  [[gnu::cold]] ElementType element_type() {
    const std::size_t at = at_;
    const std::string text = string();
    std::string known;
    for (const auto& t : safetensors_types) {
      if (text == t.name) return t.type;
      known.append(known.empty() ? "" : ", ").append(t.name);
    }
    fail_from(at, "dtype '", text, "' cannot be read; known are ", known);
  }

  [[gnu::cold]] SafetensorsEntry entry(std::string name) {
    SafetensorsEntry e;
    e.name = std::move(name);
    skip_space();
    const std::size_t start = at_;
    bool type = false, shape = false, offsets = false;
    const auto once = [&](bool& seen) {
      if (seen) fail_from(key_at_, "a key of tensor '", e.name, "' appears twice");
      seen = true;
    };
    expect('{');
    for (bool first = true; more(first, '}');) {
      const std::string what = key();
      if (what == "dtype") {
        once(type);
        skip_space();
        e.type = element_type();
      } else if (what == "shape") {
        once(shape);
        expect('[');
        for (bool outer = true; more(outer, ']');) {
          const std::uint64_t extent = integer();
          push_extent(e.shape, extent, name_, start_ + at_);
        }
      } else if (what == "data_offsets") {
        once(offsets);
        expect('[');
        e.first = static_cast<std::size_t>(integer());
        expect(',');
        e.last = static_cast<std::size_t>(integer());
        expect(']');
      } else {
        fail_from(key_at_, "unknown key '", what, "' of tensor '", e.name, "'; dtype, shape and data_offsets expected");
      }
    }
    if (!type || !shape || !offsets) fail_from(start, "tensor '", e.name, "' lacks ", !type ? "dtype" : !shape ? "shape" : "data_offsets");
    return e;
  }

  ByteSpan text_;
  std::string_view name_;
  std::size_t start_, at_ = 0, key_at_ = 0;
};

/// A string as JSON; bytes that are no UTF-8 are an Error.
[[gnu::cold]] inline std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size();) {
    const ByteSpan rest(reinterpret_cast<const std::uint8_t*>(text.data()) + i, text.size() - i);
    const std::size_t length = utf8_length(rest);
    require(length > 0, "'", text, "' is not UTF-8, which a safetensors file needs");
    const char c = text[i];
    constexpr char digits[] = "0123456789abcdef";
    if (c == '"' || c == '\\') out += '\\', out += c;
    else if (rest[0] < 0x20) out += "\\u00", out += digits[rest[0] >> 4], out += digits[rest[0] & 15];
    else out += text.substr(i, length);
    i += length;
  }
  return out + "\"";
}

}  // namespace detail
}  // namespace ventral::inline v0
