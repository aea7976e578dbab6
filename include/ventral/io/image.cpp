#include "ventral/io/image.hpp"

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <memory>

namespace {

/// The largest single allocation that the picture being decoded justifies; headers may claim anything.
thread_local std::size_t allocation_limit = 0;

void* limited_allocate(std::size_t size) { return size <= allocation_limit ? std::calloc(size, 1) : nullptr; }  // zeros: stb may read what a file left out
void* limited_reallocate(void* p, std::size_t size) { return size <= allocation_limit ? std::realloc(p, size) : nullptr; }

}  // namespace

// stb is compiled here as static functions, so that a program with an stb of its own does not clash.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wuseless-cast"
#if defined(__clang__)  // corrupt pictures make stb's arithmetic wrap around, and let it copy 0 bytes to null
#pragma clang attribute push(__attribute__((no_sanitize("signed-integer-overflow", "shift", "nonnull-attribute"))), apply_to = function)
#endif
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_MALLOC(size) limited_allocate(size)
#define STBI_REALLOC(p, size) limited_reallocate(p, size)
#define STBI_FREE(p) std::free(p)
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#if __has_include(<stb/stb_image.h>)
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#else
#include <stb_image.h>
#include <stb_image_write.h>
#endif
#if defined(__clang__)
#pragma clang attribute pop
#endif
#pragma GCC diagnostic pop

namespace ventral::inline v0 {

namespace {

void check_size(Index height, Index width, std::size_t bytes, std::string_view name, const ImageOptions& options) {
  constexpr std::size_t most_pixels_per_byte = 8 * 1032;  // one-bit pixels, deflated as far as it goes
  if (width < 1 || height < 1) detail::fail_at(name, 0, "a picture of ", height, "x", width, " pixels");
  if (width > options.max_side || height > options.max_side || width > options.max_pixels / height)
    detail::fail_at(name, 0, "a picture of ", height, "x", width, " pixels; the limits are ", options.max_side, " a side and ", options.max_pixels, " in all");
  if (static_cast<std::size_t>(width * height) / most_pixels_per_byte > bytes)
    detail::fail_at(name, 0, "claims ", height, "x", width, " pixels; a file of ", bytes, " bytes cannot hold them");
}

/// Reads the binary forms P5 (grey) and P6 (RGB) of PNM: magic, width, height and largest level, with comments between them, then the pixels, of one byte or
/// two.
Tensor<std::uint8_t> parse_pnm(ByteSpan bytes, std::string_view name, const ImageOptions& options) {
  ByteReader in(bytes, name);
  const Index channels = in.take(2, "the magic number")[1] == '6' ? 3 : 1;
  const auto byte = [&] { return in.take(1, "the header of a PGM or PPM picture")[0]; };
  const auto number = [&] {
    const auto is_space = [](std::uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
    std::uint8_t c = byte();
    for (; c == '#' || is_space(c); c = byte())
      if (c == '#')
        while (c != '\n') c = byte();
    Index v = 0;
    for (; c >= '0' && c <= '9' && v < 100'000'000; c = byte()) v = 10 * v + (c - '0');
    if (!is_space(c)) in.fail("a number expected in the header of a PGM or PPM picture");
    return v;
  };
  const Index width = number(), height = number(), top = number();
  check_size(height, width, bytes.size(), name, options);
  if (top < 1 || top > 65535) in.fail("largest level ", top, "; 1 to 65535 expected");
  const Index n = width * height, size = top > 255 ? 2 : 1;
  const ByteSpan data = in.take(static_cast<std::size_t>(n * channels * size), "the pixels");
  auto out = Tensor<std::uint8_t>::uninitialized({channels, height, width});
  for (Index c = 0; c < channels; ++c)
    for (Index i = 0; i < n; ++i) {
      const std::size_t at = static_cast<std::size_t>((i * channels + c) * size);
      const Index level = size == 2 ? data[at] * 256 + data[at + 1] : data[at];
      out[c * n + i] = static_cast<std::uint8_t>((255 * std::min(level, top) + top / 2) / top);
    }
  return out;
}

/// Refuses JPEG files whose Huffman tables hold more codes than stb's may: before 2.28 it writes past its tables above 256, and takes number 255 for
/// a mark of its own (real tables have at most 176). Walks from marker to marker as stb does.
void check_huffman_tables(ByteSpan bytes, std::string_view name) {
  constexpr int tables = 0xC4, start_of_image = 0xD8, end_of_image = 0xD9;
  constexpr std::size_t most_codes = 255;
  std::size_t at = 0;
  while (at + 1 < bytes.size()) {
    const int kind = bytes[at + 1];
    const bool marker = bytes[at] == 0xFF && kind != 0xFF && kind != 0;
    at += marker ? 2 : 1;  // between segments, and within the compressed data, anything else is passed over
    if (!marker || kind == start_of_image || (kind >= 0xD0 && kind <= 0xD7)) continue;
    if (kind == end_of_image || bytes.size() - at < 2) return;
    const std::size_t end = at + detail::load_number<std::uint16_t>(bytes.data() + at, std::endian::big);
    at += 2;
    while (kind == tables && at < end) {  // stb reads a table that its segment cuts short to the end
      std::size_t codes = 0;
      for (std::size_t i = at + 1; i < std::min(at + 17, bytes.size()); ++i) codes += bytes[i];
      if (codes > most_codes) detail::fail_at(name, at, "corrupt picture: a Huffman table of ", codes, " codes; at most ", most_codes, " can be read");
      at += 17 + codes;
    }
    at = std::max(at, end);
  }
}

/// A JPEG file with all eight Huffman tables defined at its start: stb before 2.28 would follow those that the file uses but lacks out of bounds.
Bytes with_default_tables(ByteSpan jpeg) {
  Bytes out(jpeg.begin(), jpeg.begin() + 2);
  for (const int v : {0xFF, 0xC4, 0, 2 + 8 * 18}) out.push_back(static_cast<std::uint8_t>(v));
  for (const int table : {0x00, 0x01, 0x02, 0x03, 0x10, 0x11, 0x12, 0x13}) {
    out.push_back(static_cast<std::uint8_t>(table));
    out.push_back(1);  // one code of one bit, for 0
    out.insert(out.end(), 16, 0);
  }
  out.insert(out.end(), jpeg.begin() + 2, jpeg.end());
  return out;
}

/// Feeds stb, and notes when it reads past the end: stb itself takes the missing bytes for zeros.
struct Source {
  ByteSpan bytes;
  std::size_t at = 0;
  const char* window = nullptr;  // stb's look-ahead, filled first; coming up short there is no offence
  bool past_end = false;

  static int read(void* user, char* data, int size) {
    auto& s = *static_cast<Source*>(user);
    if (!s.window) s.window = data;
    const std::size_t wanted = static_cast<std::size_t>(std::max(size, 0)), n = std::min(wanted, s.bytes.size() - s.at);
    if (n < wanted && (n == 0 || data != s.window)) s.past_end = true;
    if (n > 0) std::memcpy(data, s.bytes.data() + s.at, n);
    s.at += n;
    return static_cast<int>(n);
  }
  static void skip(void* user, int n) {
    auto& s = *static_cast<Source*>(user);
    const Index to = static_cast<Index>(s.at) + n;
    if (to > static_cast<Index>(s.bytes.size())) s.past_end = true;
    s.at = static_cast<std::size_t>(std::clamp(to, Index{0}, static_cast<Index>(s.bytes.size())));
  }
  static int eof(void* user) { return static_cast<Source*>(user)->at == static_cast<Source*>(user)->bytes.size(); }
};

struct Freed {
  void operator()(stbi_uc* p) const { stbi_image_free(p); }
};

/// Decodes PNG, JPEG and BMP by stb.
Tensor<std::uint8_t> decode(ByteSpan bytes, std::string_view name, const ImageOptions& options) {
  if (bytes.size() > static_cast<std::size_t>(INT_MAX)) detail::fail_at(name, 0, "a picture file of ", bytes.size(), " bytes; below 2^31 expected");
  const auto begins = [&](std::initializer_list<std::uint8_t> magic) {
    return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
  };
  const bool jpeg = begins({0xFF, 0xD8});
  if (!jpeg && !begins({0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'}) && !begins({'B', 'M'}))
    detail::fail_at(name, 0, "not a PNG, JPEG, BMP, PGM (P5) or PPM (P6) file");
  Bytes with_tables;
  if (jpeg) {
    check_huffman_tables(bytes, name);
    with_tables = with_default_tables(bytes);
    bytes = with_tables;
  }
  int width = 0, height = 0, channels = 0;
  allocation_limit = (std::size_t{1} << 20) + 16 * bytes.size();
  if (!stbi_info_from_memory(bytes.data(), static_cast<int>(bytes.size()), &width, &height, &channels))
    detail::fail_at(name, 0, "corrupt picture: ", stbi_failure_reason());
  check_size(height, width, bytes.size(), name, options);
  const Index pixels = Index{width} * height;
  allocation_limit += 16 * static_cast<std::size_t>(pixels);
  Source source{bytes};
  const stbi_io_callbacks callbacks{Source::read, Source::skip, Source::eof};
  const std::unique_ptr<stbi_uc, Freed> decoded(stbi_load_from_callbacks(&callbacks, &source, &width, &height, &channels, 0));
  if (source.past_end) detail::fail_at(name, bytes.size() - (with_tables.empty() ? 0 : 4 + 8 * 18), "the file ends within the picture");
  if (!decoded) detail::fail_at(name, 0, "corrupt picture: ", stbi_failure_reason());
  require<FileError>(Index{width} * height == pixels && 1 <= channels && channels <= 4, name, ": corrupt picture: its size changes while it is read");
  auto out = Tensor<std::uint8_t>::uninitialized({channels, height, width});
  for (Index c = 0; c < channels; ++c)
    for (Index i = 0; i < pixels; ++i) out[c * pixels + i] = decoded.get()[i * channels + c];
  return out;
}

/// Grey from [3,H,W] or [4,H,W] with the weights of ITU-R BT.601, rounded.
Tensor<std::uint8_t> grey(const Tensor<std::uint8_t>& rgb) {
  const Index n = rgb.dim(1) * rgb.dim(2);
  auto out = Tensor<std::uint8_t>::uninitialized({1, rgb.dim(1), rgb.dim(2)});
  for (Index i = 0; i < n; ++i) out[i] = static_cast<std::uint8_t>((299 * rgb[i] + 587 * rgb[n + i] + 114 * rgb[2 * n + i] + 500) / 1000);
  return out;
}

}  // namespace

Tensor<std::uint8_t> parse_image(ByteSpan bytes, std::string_view name, const ImageOptions& options) {
  const bool pnm = bytes.size() >= 2 && bytes[0] == 'P' && (bytes[1] == '5' || bytes[1] == '6');
  Tensor<std::uint8_t> x = pnm ? parse_pnm(bytes, name, options) : decode(bytes, name, options);
  if (options.channels == Channels::as_stored) return x;
  const Index stored = x.dim(0), h = x.dim(1), w = x.dim(2), n = h * w;
  if (options.channels == Channels::grey && stored >= 3) return grey(x);
  const Index wanted = options.channels == Channels::grey ? 1 : 3;
  if (stored == wanted) return x;
  auto out = Tensor<std::uint8_t>::uninitialized({wanted, h, w});
  for (Index c = 0; c < wanted; ++c) std::copy_n(x.data() + (stored >= 3 ? c : 0) * n, n, out.data() + c * n);  // alpha, the last, is left out
  return out;
}

Tensor<std::uint8_t> read_image(const std::string& path, const ImageOptions& options) { return parse_image(read_file(path), path, options); }

Bytes encode_png(TensorRef<const std::uint8_t> pixels) {
  const Shape& s = pixels.shape;
  const Index channels = s.rank() == 3 ? s[0] : 1;
  require<ShapeError>((s.rank() == 2 || s.rank() == 3) && 1 <= channels && channels <= 4, "encode_png: pixels ", s,
                      "; [H,W] or [C,H,W] with 1 to 4 channels expected");
  const Index height = s.dim(-2), width = s.dim(-1), n = height * width;
  require<ShapeError>(n > 0, "encode_png: pixels ", s, " are empty");
  require<ShapeError>(n * channels < Index{1} << 30 && std::max(height, width) < Index{1} << 24, "encode_png: pixels ", s, " are too many for a PNG file");
  std::vector<std::uint8_t> interleaved(static_cast<std::size_t>(n * channels));
  for (Index c = 0; c < channels; ++c)
    for (Index i = 0; i < n; ++i) interleaved[static_cast<std::size_t>(i * channels + c)] = pixels.data[c * n + i];
  Bytes out;
  const auto append = [](void* to, void* data, int size) {
    const auto* p = static_cast<const std::uint8_t*>(data);
    static_cast<Bytes*>(to)->insert(static_cast<Bytes*>(to)->end(), p, p + size);
  };
  require(stbi_write_png_to_func(append, &out, static_cast<int>(width), static_cast<int>(height), static_cast<int>(channels), interleaved.data(),
                                 static_cast<int>(width * channels)) != 0,
          "encode_png: out of memory for pixels ", s);
  return out;
}

void write_png(const std::string& path, TensorRef<const std::uint8_t> pixels) { write_file(path, encode_png(pixels)); }

}  // namespace ventral::inline v0
