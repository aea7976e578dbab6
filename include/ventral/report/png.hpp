#pragma once
#include <array>

#include "ventral/io/bytes.hpp"

namespace ventral::inline v0::report {

/// A picture of [height, width] palette entries as a PNG file in memory; the last entry of the palette is transparent.
/// The pixels are stored uncompressed (one byte each): noisy matrices hardly shrink, and no library is needed.
/// Source: ISO/IEC 15948:2004, Portable Network Graphics; RFC 1950, 1951.
inline Bytes encode_palette_png(std::span<const std::uint8_t> pixels, std::uint32_t width, std::uint32_t height,
                                std::span<const std::array<std::uint8_t, 3>> palette) {
  require<ShapeError>(width > 0 && height > 0 && pixels.size() == std::size_t{width} * height && !palette.empty() && palette.size() <= 256,
                      "encode_palette_png: ", pixels.size(), " pixels for ", width, " x ", height, ", ", palette.size(), " colours (1 to 256)");
  constexpr auto table = [] {
    std::array<std::uint32_t, 256> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      t[i] = i;
      for (int bit = 0; bit < 8; ++bit) t[i] = t[i] & 1 ? 0xEDB88320u ^ t[i] >> 1 : t[i] >> 1;
    }
    return t;
  }();
  namespace io = ventral::detail;
  const auto big = [](Bytes& to, std::uint32_t v) { io::append_number(to, v, std::endian::big); };
  Bytes out = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  const auto chunk = [&](std::string_view kind, const Bytes& data) {
    big(out, static_cast<std::uint32_t>(data.size()));
    const std::size_t start = out.size();
    io::append_text(out, kind);
    out.insert(out.end(), data.begin(), data.end());
    std::uint32_t crc = 0xFFFFFFFFu;
    for (std::size_t i = start; i < out.size(); ++i) crc = table[(crc ^ out[i]) & 255] ^ crc >> 8;
    big(out, ~crc);
  };

  Bytes head;
  big(head, width), big(head, height);
  head.insert(head.end(), {8, 3, 0, 0, 0});  // 8 bits, palette
  chunk("IHDR", head);
  Bytes colours;
  for (const auto& c : palette) colours.insert(colours.end(), c.begin(), c.end());
  chunk("PLTE", colours);
  Bytes alpha(palette.size(), 255);
  alpha.back() = 0;
  chunk("tRNS", alpha);

  Bytes raw;
  for (std::size_t y = 0; y < height; ++y) {
    raw.push_back(0);  // no filter
    const auto row = pixels.subspan(y * width, width);
    raw.insert(raw.end(), row.begin(), row.end());
  }
  Bytes data = {0x78, 0x01};
  std::uint32_t a = 1, b = 0;
  for (std::size_t at = 0; at < raw.size(); at += 65535) {
    const std::size_t size = std::min<std::size_t>(65535, raw.size() - at);
    data.push_back(at + size == raw.size());
    io::append_number(data, static_cast<std::uint16_t>(size), std::endian::little);
    io::append_number(data, static_cast<std::uint16_t>(~size), std::endian::little);
    for (std::size_t i = at; i < at + size; ++i) data.push_back(raw[i]), a = (a + raw[i]) % 65521, b = (b + a) % 65521;
  }
  big(data, b << 16 | a);
  chunk("IDAT", data);
  chunk("IEND", {});
  return out;
}

}  // namespace ventral::inline v0::report
