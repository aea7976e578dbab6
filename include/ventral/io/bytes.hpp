#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "ventral/shape.hpp"

namespace ventral::inline v0 {

/// The contents of a file, and a view of them.
using Bytes = std::vector<std::uint8_t>;
using ByteSpan = std::span<const std::uint8_t>;

namespace detail {

[[noreturn, gnu::cold]] inline void fail_at_parts(std::string_view name, std::size_t offset, const MessagePart* parts, int count) {
  throw FileError(concat(name, ": at byte ", offset, ": ", join(parts, count)));
}

/// Throws FileError: `mnist/labels: at byte 4: found ...`.
template <class... Parts>
[[noreturn]] void fail_at(std::string_view name, std::size_t offset, const Parts&... parts) {
  const MessagePart list[] = {parts...};
  fail_at_parts(name, offset, list, sizeof...(Parts));
}

/// A number stored at p in the given byte order.
template <class U>
U load_number(const std::uint8_t* p, std::endian order) {
  std::uint8_t held[sizeof(U)];
  for (std::size_t i = 0; i < sizeof(U); ++i) held[i] = p[order == std::endian::native ? i : sizeof(U) - 1 - i];
  return std::bit_cast<U>(held);
}

/// Appends a number in the given byte order.
template <class U>
[[gnu::cold]] void append_number(Bytes& out, U value, std::endian order) {
  std::uint8_t held[sizeof(U)];
  std::memcpy(held, &value, sizeof(U));
  for (std::size_t i = 0; i < sizeof(U); ++i) out.push_back(held[order == std::endian::native ? i : sizeof(U) - 1 - i]);
}

[[gnu::cold]] inline void append_text(Bytes& out, std::string_view text) {
  for (const char c : text) out.push_back(static_cast<std::uint8_t>(c));  // g++ 12 warns, wrongly, of insert() at -O3
}

}  // namespace detail

/// Walks through the bytes of a file; every step is checked, and errors name the file and the offset.
class ByteReader {
 public:
  ByteReader(ByteSpan bytes, std::string_view name, std::size_t offset = 0) : bytes_(bytes), name_(name), offset_(offset) {}

  std::string_view name() const { return name_; }
  std::size_t offset() const { return offset_; }
  std::size_t left() const { return bytes_.size() - offset_; }

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    detail::fail_at(name_, offset_, parts...);
  }
  /// The next `count` bytes. Throws FileError when fewer are left; `what` says what they were to be.
  ByteSpan take(std::size_t count, std::string_view what) {
    if (count > left()) fail("the file ends within ", what, ": ", count, " bytes expected, ", left(), " left");
    const ByteSpan taken = bytes_.subspan(offset_, count);
    offset_ += count;
    return taken;
  }
  template <class U>
  U number(std::endian order, std::string_view what) {
    return detail::load_number<U>(take(sizeof(U), what).data(), order);
  }
  /// Throws FileError unless all bytes were taken.
  void expect_end() const {
    if (left() > 0) fail(left(), " bytes follow where the file should end");
  }

 private:
  ByteSpan bytes_;
  std::string_view name_;
  std::size_t offset_;
};

}  // namespace ventral::inline v0
