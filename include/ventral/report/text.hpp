#pragma once
#include <charconv>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ventral/error.hpp"

namespace ventral::inline v0::report {

namespace detail {

constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

/// Length in bytes of the well-formed UTF-8 sequence that text begins with, and its code point; length 0 when it is malformed.
struct CodePoint {
  std::size_t bytes;
  std::uint32_t value;
};
inline CodePoint first_code_point(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned head = byte(0);
  if (head < 0x80) return {1, head};
  const std::size_t bytes = head >= 0xF0 && head < 0xF5 ? 4 : head >= 0xE0 && head < 0xF0 ? 3 : head >= 0xC2 && head < 0xE0 ? 2 : 0;
  std::uint32_t value = bytes == 4 ? head & 7u : bytes == 3 ? head & 15u : head & 31u;
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0u) != 0x80u) return {0, 0};
    value = value << 6 | (byte(i) & 63u);
  }
  const bool overlong = (bytes == 3 && value < 0x800) || (bytes == 4 && value < 0x10000);
  if (bytes == 0 || overlong || (value >= 0xD800 && value < 0xE000) || value > 0x10FFFF) return {0, 0};
  return {bytes, value};
}

inline std::string to_text(double v, std::chars_format format, int digits) {
  char buffer[512];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, v, format, digits);
  return std::string(buffer, end.ptr);
}

}  // namespace detail

/// Text for XML and HTML, content and attributes: <, >, &, " and ' escaped; control characters and malformed UTF-8 become U+FFFD.
inline std::string escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto [bytes, value] = detail::first_code_point(text);
    const bool control = (value < 0x20 && value != '\t' && value != '\n') || (value >= 0x7F && value < 0xA0) || value == 0xFFFE || value == 0xFFFF;
    if (bytes == 0 || control) out += detail::replacement_character;
    else if (value == '<') out += "&lt;";
    else if (value == '>') out += "&gt;";
    else if (value == '&') out += "&amp;";
    else if (value == '"') out += "&quot;";
    else if (value == '\'') out += "&#39;";
    else out += text.substr(0, bytes);
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return out;
}

/// A number for people, with that many significant digits, whatever the locale; NaN is "undefined", an infinity "infinite".
inline std::string number(double v, int digits = 3) {
  if (std::isnan(v)) return "undefined";
  if (std::isinf(v)) return v > 0 ? "infinite" : "-infinite";
  return detail::to_text(v == 0 ? 0.0 : v, std::chars_format::general, digits);
}

/// A number for programs: the shortest text that reads back as the same double; NaN, Infinity, -Infinity.
inline std::string exact_number(double v) {
  if (std::isnan(v)) return "NaN";
  if (std::isinf(v)) return v > 0 ? "Infinity" : "-Infinity";
  char buffer[64];
  return std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, v).ptr);
}

/// P = 0.012, P < 0.0001, P undefined.
inline std::string p_value(double p) { return std::isnan(p) ? "P undefined" : p < 1e-4 ? "P < 0.0001" : "P = " + number(p, 2); }

/// Marks of significance: * below 0.05, ** 0.01, *** 0.001, **** 0.0001, else n.s.; nothing for NaN.
inline std::string stars(double p) {
  if (std::isnan(p)) return "";
  return p < 1e-4 ? "****" : p < 1e-3 ? "***" : p < 0.01 ? "**" : p < 0.05 ? "*" : "n.s.";
}

/// About how wide text is in a sans-serif face of that size, in the units of the size. Every machine has another font: leave some room.
inline double text_width(std::string_view text, double size) {
  double ems = 0;
  while (!text.empty()) {
    const auto [bytes, c] = detail::first_code_point(text);
    const std::string_view narrow = "iIjltf.,:;'|!()[]/ ", wide = "mwMW@%";
    const bool ascii = c < 0x80;
    if (ascii && narrow.find(static_cast<char>(c)) != narrow.npos) ems += 0.32;
    else if (ascii && wide.find(static_cast<char>(c)) != wide.npos) ems += 0.9;
    else if (c >= 0x300 && c < 0x370) ems += 0;  // combining marks
    else if (c >= 0x1100 && !(c >= 0x1E00 && c < 0x2E80)) ems += 1;
    else ems += (c >= 'A' && c <= 'Z') ? 0.69 : 0.57;
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return ems * size;
}

/// The text, its middle left out when it is wider than that: names mostly differ at their ends.
inline std::string shortened(std::string_view text, double width, double size) {
  if (text_width(text, size) <= width) return std::string(text);
  std::vector<std::string_view> characters;
  for (std::size_t at = 0, bytes; at < text.size(); at += bytes) {
    bytes = std::max<std::size_t>(1, detail::first_code_point(text.substr(at)).bytes);
    characters.push_back(text.substr(at, bytes));
  }
  double room = width - size;
  std::string head, tail;
  for (std::size_t i = 0, j = characters.size(); i < j;) {
    const std::string_view next = head.size() <= tail.size() ? characters[i++] : characters[--j];
    room -= text_width(next, size);
    if (room < 0) break;
    if (head.size() <= tail.size()) head += next;
    else tail.insert(0, next);
  }
  return head + "\xE2\x80\xA6" + tail;
}

/// Breaks text at spaces into lines of at most that width; a longer word has a line of its own.
inline std::vector<std::string> wrapped(std::string_view text, double width, double size) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t space = text.find_first_of(" \n\t");
    const std::string word(text.substr(0, space));
    text.remove_prefix(space == text.npos ? text.size() : space + 1);
    if (word.empty()) continue;
    if (!lines.empty() && text_width(lines.back() + " " + word, size) <= width) lines.back() += " " + word;
    else lines.push_back(word);
  }
  return lines;
}

/// A field of a CSV file: quoted where it has a comma, a quote or a line end (RFC 4180).
inline std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == text.npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

inline std::string base64(std::span<const std::uint8_t> bytes) {
  constexpr char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t left = bytes.size() - i;
    const std::uint32_t v =
        std::uint32_t{bytes[i]} << 16 | (left > 1 ? std::uint32_t{bytes[i + 1]} << 8 : 0u) | (left > 2 ? std::uint32_t{bytes[i + 2]} : 0u);
    out += digit[v >> 18], out += digit[v >> 12 & 63], out += left > 1 ? digit[v >> 6 & 63] : '=', out += left > 2 ? digit[v & 63] : '=';
  }
  return out;
}

}  // namespace ventral::inline v0::report
