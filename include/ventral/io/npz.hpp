#pragma once
#include <map>

#include "ventral/io/gzip.hpp"
#include "ventral/io/npy.hpp"

namespace ventral::inline v0 {

/// A file inside a zip archive.
struct ZipEntry {
  std::string name;
  std::uint16_t method = 0;  ///< 0 stored, 8 deflated
  std::uint32_t crc = 0;
  std::uint64_t compressed = 0, size = 0;  ///< bytes
  std::uint64_t header = 0;                ///< where its local header begins
};

namespace detail {

constexpr std::uint32_t zip_local = 0x04034b50, zip_central = 0x02014b50, zip_end = 0x06054b50, zip64_end = 0x06064b50, zip64_locator = 0x07064b50;
constexpr std::uint16_t zip16 = 0xFFFF;
constexpr std::uint32_t zip32 = 0xFFFFFFFF;

/// Where the central directory of an archive lies.
struct ZipDirectory {
  std::uint64_t offset, size, entries;
};

inline std::uint32_t crc_of(ByteSpan bytes) {
  uLong crc = ::crc32(0, nullptr, 0);
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t n = std::min<std::size_t>(bytes.size() - at, 1 << 30);
    crc = ::crc32(crc, bytes.data() + at, static_cast<uInt>(n));
    at += n;
  }
  return static_cast<std::uint32_t>(crc);
}

inline ZipDirectory find_zip_directory(ByteSpan bytes, std::string_view name) {
  constexpr std::size_t end_size = 22, max_comment = 65535, locator_size = 20;
  const auto u16 = [&](std::size_t at) { return load_number<std::uint16_t>(bytes.data() + at, std::endian::little); };
  const auto u32 = [&](std::size_t at) { return load_number<std::uint32_t>(bytes.data() + at, std::endian::little); };
  if (bytes.size() < end_size) fail_at(name, 0, "not a zip archive: it has ", bytes.size(), " bytes, at least ", end_size, " expected");
  std::size_t end = bytes.size() - end_size;
  const std::size_t lowest = end > max_comment ? end - max_comment : 0;
  while (u32(end) != zip_end || end + end_size + u16(end + 20) != bytes.size()) {
    if (end == lowest) fail_at(name, end, "not a zip archive, or truncated: no end of central directory");
    --end;
  }
  if (u16(end + 4) != u16(end + 6) || u16(end + 8) != u16(end + 10)) fail_at(name, end, "a zip archive in several parts cannot be read");
  ZipDirectory d{u32(end + 16), u32(end + 12), u16(end + 10)};
  if (d.offset == zip32 || d.size == zip32 || d.entries == zip16) {
    if (end < locator_size || u32(end - locator_size) != zip64_locator) fail_at(name, end, "a zip64 archive without its locator");
    ByteReader in(bytes, name, end - locator_size + 8);
    const auto at = in.number<std::uint64_t>(std::endian::little, "the zip64 locator");
    if (at > bytes.size()) in.fail("the zip64 directory is said to end at byte ", at, "; the file has ", bytes.size());
    ByteReader record(bytes, name, static_cast<std::size_t>(at));
    if (record.number<std::uint32_t>(std::endian::little, "the zip64 end of central directory") != zip64_end)
      record.fail("no zip64 end of central directory here");
    static_cast<void>(record.take(28, "the zip64 end of central directory"));
    d.entries = record.number<std::uint64_t>(std::endian::little, "the number of entries");
    d.size = record.number<std::uint64_t>(std::endian::little, "the directory's size");
    d.offset = record.number<std::uint64_t>(std::endian::little, "the directory's offset");
  }
  if (d.offset > end || d.size > end - d.offset)
    fail_at(name, end, "the central directory is said to lie at [", d.offset, ", +", d.size, "); the file ends before that");
  return d;
}

/// Takes the zip64 field apart, which holds the numbers that did not fit 32 bits, in this order.
inline void read_zip64_extra(ByteReader extra, ZipEntry& e) {
  while (extra.left() >= 4) {
    const auto id = extra.number<std::uint16_t>(std::endian::little, "an extra field");
    const auto length = extra.number<std::uint16_t>(std::endian::little, "an extra field");
    const std::size_t at = extra.offset();
    const ByteSpan field = extra.take(length, "an extra field");
    if (id != 1) continue;
    ByteReader in(field, extra.name());
    for (std::uint64_t* v : {&e.size, &e.compressed, &e.header})
      if (*v == zip32) {
        if (in.left() < 8) fail_at(extra.name(), at, "the zip64 field of '", e.name, "' is too short");
        *v = in.number<std::uint64_t>(std::endian::little, "a zip64 field");
      }
    return;
  }
}

}  // namespace detail

/// The directory of a zip archive. Throws FileError when it is malformed.
/// Source: PKWARE, "APPNOTE.TXT - .ZIP File Format Specification", version 6.3.
inline std::vector<ZipEntry> parse_zip(ByteSpan bytes, std::string_view name) {
  constexpr std::endian little = std::endian::little;
  const detail::ZipDirectory d = detail::find_zip_directory(bytes, name);
  const ByteSpan whole = bytes.subspan(0, static_cast<std::size_t>(d.offset + d.size));
  ByteReader in(whole, name, static_cast<std::size_t>(d.offset));
  std::vector<ZipEntry> entries;
  while (in.left() > 0) {
    const std::size_t at = in.offset();
    if (in.number<std::uint32_t>(little, "a directory entry") != detail::zip_central) detail::fail_at(name, at, "no directory entry here");
    static_cast<void>(in.take(4, "a directory entry"));  // versions
    const auto flags = in.number<std::uint16_t>(little, "a directory entry");
    ZipEntry e;
    e.method = in.number<std::uint16_t>(little, "a directory entry");
    static_cast<void>(in.take(4, "a directory entry"));  // time
    e.crc = in.number<std::uint32_t>(little, "a directory entry");
    e.compressed = in.number<std::uint32_t>(little, "a directory entry");
    e.size = in.number<std::uint32_t>(little, "a directory entry");
    const auto name_length = in.number<std::uint16_t>(little, "a directory entry"), extra_length = in.number<std::uint16_t>(little, "a directory entry"),
               comment_length = in.number<std::uint16_t>(little, "a directory entry");
    static_cast<void>(in.take(8, "a directory entry"));  // disk, attributes
    e.header = in.number<std::uint32_t>(little, "a directory entry");
    const ByteSpan text = in.take(name_length, "an entry's name");
    e.name.assign(text.begin(), text.end());
    const std::size_t extra_at = in.offset();
    static_cast<void>(in.take(extra_length, "an entry's extra fields"));
    detail::read_zip64_extra(ByteReader(whole.subspan(0, in.offset()), name, extra_at), e);
    static_cast<void>(in.take(comment_length, "an entry's comment"));
    if (flags & 1) detail::fail_at(name, at, "'", e.name, "' is encrypted, which cannot be read");
    if (e.method != 0 && e.method != 8) detail::fail_at(name, at, "'", e.name, "' is compressed by method ", e.method, "; 0 (stored) or 8 (deflated) expected");
    entries.push_back(std::move(e));
  }
  if (entries.size() != d.entries) in.fail("the directory has ", entries.size(), " entries; ", d.entries, " announced");
  return entries;
}

/// The contents of an entry; its size and checksum are checked. Throws FileError when they are wrong, the data are corrupt, or exceed the limit.
inline Bytes extract_zip(ByteSpan bytes, const ZipEntry& e, std::string_view name, const ReadLimits& limits = {}) {
  const std::size_t start = static_cast<std::size_t>(std::min<std::uint64_t>(e.header, bytes.size()));
  ByteReader in(bytes, name, start);
  if (in.number<std::uint32_t>(std::endian::little, "an entry's header") != detail::zip_local) detail::fail_at(name, start, "no header of '", e.name, "' here");
  static_cast<void>(in.take(22, "an entry's header"));  // what the directory says, or less
  const auto name_length = in.number<std::uint16_t>(std::endian::little, "an entry's header"),
             extra_length = in.number<std::uint16_t>(std::endian::little, "an entry's header");
  static_cast<void>(in.take(std::size_t{name_length} + extra_length, "an entry's header"));
  if (e.compressed > in.left()) in.fail("'", e.name, "' takes ", e.compressed, " bytes; the file has ", in.left(), " left");
  if (e.size > limits.max_bytes) in.fail("'", e.name, "' is ", e.size, " bytes when decompressed; the limit is ", limits.max_bytes);
  const std::size_t data_offset = in.offset();
  const ByteSpan data = in.take(static_cast<std::size_t>(e.compressed), "an entry");
  Bytes out;
  if (e.method == 0) {
    out.assign(data.begin(), data.end());
  } else {
    if (e.size > detail::largest_inflated(data.size()))
      detail::fail_at(name, data_offset, "'", e.name, "' is said to grow from ", e.compressed, " to ", e.size, " bytes, more than deflate can");
    const std::size_t size = static_cast<std::size_t>(e.size), used = detail::inflate_stream(data, detail::raw_window_bits, size, size, out, name, data_offset);
    if (used != data.size()) detail::fail_at(name, data_offset + used, "the compressed data of '", e.name, "' end before their place does");
  }
  if (out.size() != e.size) detail::fail_at(name, data_offset, "'", e.name, "' is ", out.size(), " bytes; ", e.size, " announced");
  const std::uint32_t crc = detail::crc_of(out);
  if (crc != e.crc) detail::fail_at(name, data_offset, "'", e.name, "' has checksum ", crc, "; ", e.crc, " announced");
  return out;
}

/// An opened .npz file: a zip archive of .npy files, stored or deflated. Arrays are decompressed as they are asked for.
class Npz {
 public:
  /// Names of the arrays, without `.npy`, in the order of the archive.
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& e : entries_) out.push_back(short_name(e.name));
    return out;
  }
  bool contains(std::string_view name) const { return find(name) != nullptr; }
  /// An array, converted to T. Throws Error, listing what there is, when there is none of this name; FileError when it is corrupt or does not fit.
  template <class T>
  Tensor<T> tensor(std::string_view name, Conversion conversion = Conversion::exact) const {
    return parse_npy<T>(npy(name), concat(path_, ": '", name, "'"), conversion);
  }
  /// Type and shape of an array.
  NpyHeader header(std::string_view name) const { return parse_npy_header(npy(name), concat(path_, ": '", name, "'")); }

 private:
  friend Npz parse_npz(ByteSpan bytes, std::string_view name, const ReadLimits& limits);
  friend Npz read_npz(const std::string& path, const ReadLimits& limits);

  static std::string short_name(const std::string& name) { return name.size() > 4 && name.ends_with(".npy") ? name.substr(0, name.size() - 4) : name; }
  const ZipEntry* find(std::string_view name) const {
    for (const auto& e : entries_)
      if (short_name(e.name) == name) return &e;
    return nullptr;
  }
  Bytes npy(std::string_view name) const {
    if (const ZipEntry* e = find(name)) return extract_zip(bytes_, *e, path_, limits_);
    std::string known;
    for (const auto& n : names()) known += (known.empty() ? "" : ", ") + n;
    throw Error(concat(path_, ": no array '", name, "'; the file has: ", known.empty() ? "none" : known));
  }

  std::string path_;
  Bytes held_;  // empty when the caller holds the bytes
  ByteSpan bytes_;
  std::vector<ZipEntry> entries_;
  ReadLimits limits_;
};

/// Opens a .npz file in memory, which must outlive the result. Throws FileError when its directory is malformed.
inline Npz parse_npz(ByteSpan bytes, std::string_view name, const ReadLimits& limits = {}) {
  Npz file;
  file.path_ = name;
  file.bytes_ = bytes;
  file.limits_ = limits;
  file.entries_ = parse_zip(bytes, name);
  return file;
}

inline Npz read_npz(const std::string& path, const ReadLimits& limits = {}) {
  Bytes bytes = read_file(path, limits);
  Npz file = parse_npz(bytes, path, limits);
  file.held_ = std::move(bytes);  // moving a vector leaves its elements where they are
  return file;
}

/// An array to be written, by name without `.npy`.
struct NpzItem {
  std::string name;
  Bytes npy;

  template <class T>
  NpzItem(std::string item_name, TensorRef<T> x) : name(std::move(item_name)), npy(encode_npy<std::remove_const_t<T>>(x)) {}
  template <class T>
  NpzItem(std::string item_name, const Tensor<T>& x) : NpzItem(std::move(item_name), x.ref()) {}
};

struct NpzOptions {
  bool compress = true;
  int level = 6;  ///< 1 (fast) to 9 (small)
};

/// Arrays as a .npz file in memory. Throws Error when a name is repeated or empty, or the archive would need zip64 (4 GiB).
inline Bytes encode_npz(const std::vector<NpzItem>& items, const NpzOptions& options = {}) {
  constexpr std::endian little = std::endian::little;
  Bytes out, directory;
  std::map<std::string_view, int> seen;
  require(items.size() < detail::zip16, "encode_npz: ", items.size(), " arrays; below ", detail::zip16, " expected");
  for (const auto& item : items) {
    const bool first_of_name = seen[item.name]++ == 0;
    require(!item.name.empty() && item.name.size() < 1000 && first_of_name, "encode_npz: name '", item.name, "' is empty, too long or repeated");
    const Bytes packed = options.compress ? detail::deflate_stream(item.npy, detail::raw_window_bits, options.level) : Bytes();
    const ByteSpan data = options.compress ? ByteSpan(packed) : ByteSpan(item.npy);
    require(out.size() + data.size() + directory.size() < detail::zip32 / 2 && item.npy.size() < detail::zip32, "encode_npz: '", item.name,
            "' makes the archive too large; 2 GiB is the limit");
    const std::string name = item.name + ".npy";
    const std::size_t header = out.size();
    const auto common = [&](Bytes& to) {
      detail::append_number<std::uint16_t>(to, 20, little);                        // version needed: 2.0
      detail::append_number<std::uint16_t>(to, 1 << 11, little);                   // the name is UTF-8
      detail::append_number<std::uint16_t>(to, options.compress ? 8 : 0, little);  // method
      detail::append_number<std::uint32_t>(to, 0x00210000, little);                // 1 January 1980: same arrays, same bytes
      detail::append_number(to, detail::crc_of(item.npy), little);
      detail::append_number(to, static_cast<std::uint32_t>(data.size()), little);
      detail::append_number(to, static_cast<std::uint32_t>(item.npy.size()), little);
      detail::append_number(to, static_cast<std::uint16_t>(name.size()), little);
      detail::append_number<std::uint16_t>(to, 0, little);  // no extra fields
    };
    detail::append_number(out, detail::zip_local, little);
    common(out);
    detail::append_text(out, name);
    out.insert(out.end(), data.begin(), data.end());
    detail::append_number(directory, detail::zip_central, little);
    detail::append_number<std::uint16_t>(directory, 20, little);  // made by 2.0
    common(directory);
    directory.insert(directory.end(), 10, 0);  // comment length, disk, attributes
    detail::append_number(directory, static_cast<std::uint32_t>(header), little);
    detail::append_text(directory, name);
  }
  const std::size_t offset = out.size();
  out.insert(out.end(), directory.begin(), directory.end());
  detail::append_number(out, detail::zip_end, little);
  detail::append_number<std::uint32_t>(out, 0, little);  // one disk
  for (int i = 0; i < 2; ++i) detail::append_number(out, static_cast<std::uint16_t>(items.size()), little);
  detail::append_number(out, static_cast<std::uint32_t>(directory.size()), little);
  detail::append_number(out, static_cast<std::uint32_t>(offset), little);
  detail::append_number<std::uint16_t>(out, 0, little);  // no comment
  return out;
}

/// Writes arrays as a .npz file, atomically.
inline void write_npz(const std::string& path, const std::vector<NpzItem>& items, const NpzOptions& options = {}) {
  write_file(path, encode_npz(items, options));
}

}  // namespace ventral::inline v0
