#pragma once
#include <cstdarg>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "ventral/version.hpp"

namespace ventral::inline v0 {

/// Base of everything ventral throws. The message says what was found, what was expected and, for names, what exists.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Shapes that do not fit together, or options that give no valid shape.
struct ShapeError : Error {
  using Error::Error;
};

/// A file that is missing, truncated, corrupt or cannot be written; names the path and, where known, the offset.
struct FileError : Error {
  using Error::Error;
};

/// A failed CUDA call or kernel.
struct CudaError : Error {
  using Error::Error;
};

namespace detail {

[[gnu::cold]] inline void append_formatted(std::string& out, const char* format, ...) {
  char text[32];
  std::va_list arguments;
  va_start(arguments, format);
  out.append(text, static_cast<std::size_t>(std::vsnprintf(text, sizeof text, format, arguments)));
  va_end(arguments);
}

/// Appends one part of a message: text, a number, or anything with a `to_string()` found by argument-dependent lookup.
template <class Part>
[[gnu::cold]] void append_part(std::string& out, const void* value) {
  const Part& part = *static_cast<const Part*>(value);
  if constexpr (std::is_convertible_v<const Part&, std::string_view>) {
    out += std::string_view(part);
  } else if constexpr (std::is_same_v<Part, char>) {
    out += part;
  } else if constexpr (std::is_same_v<Part, bool>) {
    out += part ? "true" : "false";
  } else if constexpr (std::is_floating_point_v<Part>) {
    append_formatted(out, "%g", static_cast<double>(part));
  } else if constexpr (std::is_integral_v<Part>) {
    append_formatted(out, std::is_signed_v<Part> ? "%lld" : "%llu", static_cast<long long>(part));
  } else {
    out += to_string(part);
  }
}
[[gnu::cold]] inline void append_text(std::string& out, const void* text) { out += static_cast<const char*>(text); }

/// A part of a message and how to append it. Call sites only list their parts; text is made in one place, so that checks cost little code.
struct MessagePart {
  const void* value;
  void (*append)(std::string&, const void*);

  constexpr MessagePart(const char* text) : value(text), append(append_text) {}
  template <class Part>
    requires(!std::is_convertible_v<const Part&, const char*>)
  constexpr MessagePart(const Part& part) : value(&part), append(append_part<Part>) {}
};

[[gnu::noinline, gnu::cold]] inline std::string join(const MessagePart* parts, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) parts[i].append(out, parts[i].value);
  return out;
}

template <class Exception>
[[noreturn, gnu::noinline, gnu::cold]] void fail(const MessagePart* parts, int count) {
  throw Exception(join(parts, count));
}

}  // namespace detail

/// Concatenates text, numbers and shapes into one string: `concat("input ", shape, " has ", 3, " channels")`.
template <class... Parts>
[[nodiscard]] std::string concat(const Parts&... parts) {
  const detail::MessagePart list[] = {parts...};
  return detail::join(list, sizeof...(Parts));
}

/// Throws `Exception(concat(parts...))` unless `ok`. The message is built only on failure.
template <class Exception = Error, class... Parts>
constexpr void require(bool ok, const Parts&... parts) {
  if (ok) [[likely]] return;
  const detail::MessagePart list[] = {parts...};
  detail::fail<Exception>(list, sizeof...(Parts));
}

}  // namespace ventral::inline v0
