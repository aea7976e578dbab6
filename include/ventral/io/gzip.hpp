#pragma once
#include <zlib.h>

#include <limits>
#include <new>

#include "ventral/io/file.hpp"

namespace ventral::inline v0 {

namespace detail {

/// A zlib stream that is ended whatever happens.
struct Inflater {
  z_stream stream{};
  explicit Inflater(int window_bits) {
    if (::inflateInit2(&stream, window_bits) != Z_OK) throw std::bad_alloc();
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { ::inflateEnd(&stream); }
};

/// Deflate shrinks by a factor of at most 1032, so that a file bounds what can come out of it.
inline std::size_t largest_inflated(std::size_t compressed) {
  return compressed > std::numeric_limits<std::size_t>::max() / 2048 ? compressed : compressed * 1032 + 64;
}

constexpr int gzip_window_bits = 15 + 16, raw_window_bits = -15;

/// Decompresses one stream from the start of `in`, appends at most `limit` bytes to `out`, and returns the number of bytes used.
/// `expected` is a hint at the output's size; `offset` is where `in` begins in the file.
inline std::size_t inflate_stream(ByteSpan in, int window_bits, std::size_t expected, std::size_t limit, Bytes& out, std::string_view name,
                                  std::size_t offset) {
  Inflater z(window_bits);
  const std::size_t start = out.size();
  std::size_t used = 0, filled = start;
  limit = std::min(limit, std::numeric_limits<std::size_t>::max() / 4);
  out.resize(start + std::min({expected, limit, 32 * in.size()}) + 1);  // a wrong hint costs little, a low one is made good below
  for (;;) {
    if (filled == out.size()) {
      if (filled - start > limit) fail_at(name, offset + used, "decompressed data exceed the limit of ", limit, " bytes");
      out.resize(start + std::min(limit + 1, 2 * (filled - start) + 65536));
    }
    const std::size_t give = std::min<std::size_t>(in.size() - used, 1 << 30), room = std::min<std::size_t>(out.size() - filled, 1 << 30);
    z.stream.next_in = const_cast<Bytef*>(in.data() + used);
    z.stream.avail_in = static_cast<uInt>(give);
    z.stream.next_out = out.data() + filled;
    z.stream.avail_out = static_cast<uInt>(room);
    const int state = ::inflate(&z.stream, Z_NO_FLUSH);
    used += give - z.stream.avail_in;
    filled += room - z.stream.avail_out;
    if (state == Z_STREAM_END) break;
    if (state == Z_BUF_ERROR && used == in.size())
      fail_at(name, offset + used, "the compressed data end before their end mark, after ", filled - start, " bytes of output");
    if (state != Z_OK) fail_at(name, offset + used, "corrupt compressed data: ", z.stream.msg ? z.stream.msg : "unknown reason");
  }
  if (filled - start > limit) fail_at(name, offset + used, "decompressed data exceed the limit of ", limit, " bytes");
  out.resize(filled);
  return used;
}

/// Compresses in one stream; level 1 (fast) to 9 (small).
inline Bytes deflate_stream(ByteSpan in, int window_bits, int level) {
  require(1 <= level && level <= 9, "compression level ", level, "; 1 to 9 expected");
  struct Deflater {
    z_stream stream{};
    ~Deflater() { ::deflateEnd(&stream); }
  } z;
  if (::deflateInit2(&z.stream, level, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) != Z_OK) throw std::bad_alloc();
  Bytes out;
  std::size_t used = 0, filled = 0;
  for (int state = Z_OK; state != Z_STREAM_END;) {
    if (filled == out.size()) out.resize(filled + std::max<std::size_t>(in.size() / 2, 1024));
    const std::size_t give = std::min<std::size_t>(in.size() - used, 1 << 30), room = std::min<std::size_t>(out.size() - filled, 1 << 30);
    z.stream.next_in = const_cast<Bytef*>(in.data() + used);
    z.stream.avail_in = static_cast<uInt>(give);
    z.stream.next_out = out.data() + filled;
    z.stream.avail_out = static_cast<uInt>(room);
    state = ::deflate(&z.stream, used + give == in.size() ? Z_FINISH : Z_NO_FLUSH);
    used += give - z.stream.avail_in;
    filled += room - z.stream.avail_out;
  }
  out.resize(filled);
  return out;
}

}  // namespace detail

/// Whether these are the first bytes of a gzip file.
inline bool is_gzip(ByteSpan bytes) { return bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b; }

/// Decompresses a gzip file of one or more members; its checksums are checked. Throws FileError when it is corrupt, truncated, followed by
/// anything else, or larger than the limit when decompressed.
inline Bytes gunzip(ByteSpan bytes, std::string_view name, const ReadLimits& limits = {}) {
  if (bytes.size() < 18 || !is_gzip(bytes)) detail::fail_at(name, 0, "not a gzip file: it should begin with the bytes 31 139 and be at least 18 bytes long");
  Bytes out;
  const auto hint = detail::load_number<std::uint32_t>(bytes.data() + bytes.size() - 4, std::endian::little);  // of one member below 4 GiB
  for (std::size_t used = 0; used < bytes.size();) {
    if (!is_gzip(bytes.subspan(used))) detail::fail_at(name, used, bytes.size() - used, " bytes follow the compressed data");
    used += detail::inflate_stream(bytes.subspan(used), detail::gzip_window_bits, used == 0 ? hint : 0, limits.max_bytes - out.size(), out, name, used);
  }
  return out;
}

/// Compresses into a gzip file; level 1 (fast) to 9 (small).
inline Bytes gzip(ByteSpan bytes, int level = 6) { return detail::deflate_stream(bytes, detail::gzip_window_bits, level); }

/// The contents of a file, decompressed if it is a gzip file, whatever its name.
inline Bytes read_plain_or_gzip(const std::string& path, const ReadLimits& limits = {}) {
  Bytes bytes = read_file(path, limits);
  return is_gzip(bytes) ? gunzip(bytes, path, limits) : bytes;
}

}  // namespace ventral::inline v0
