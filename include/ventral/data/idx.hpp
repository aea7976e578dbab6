#pragma once
#include "ventral/io/element.hpp"
#include "ventral/io/file.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0 {

/// What the head of an IDX file says: two zero bytes, a type code, the number of axes, one big-endian extent for each.
struct IdxHeader {
  ElementType type;
  Shape shape;
  std::size_t data_offset;
};

namespace detail {

struct IdxType {
  std::uint8_t code;
  ElementType type;
};
constexpr IdxType idx_types[] = {{0x08, ElementType::u8},  {0x09, ElementType::i8},  {0x0B, ElementType::i16},
                                 {0x0C, ElementType::i32}, {0x0D, ElementType::f32}, {0x0E, ElementType::f64}};

}  // namespace detail

/// Reads the head of an IDX file and checks it against the number of bytes. `name` stands for the file in messages.
/// Throws FileError when it is no IDX file, truncated, too long, or has more than five axes.
/// Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".
inline IdxHeader parse_idx_header(ByteSpan bytes, std::string_view name) {
  ByteReader in(bytes, name);
  if (bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b) in.fail("compressed by gzip; pass it through gunzip() of ventral/io/gzip.hpp first");
  const ByteSpan magic = in.take(4, "the IDX magic number");
  IdxHeader h{ElementType::u8, {}, 0};
  bool known = false;
  for (const auto& t : detail::idx_types)
    if (t.code == magic[2]) h.type = t.type, known = true;
  if (magic[0] != 0 || magic[1] != 0 || !known)
    detail::fail_at(name, 0, "magic number ", int{magic[0]}, " ", int{magic[1]}, " ", int{magic[2]}, " ", int{magic[3]},
                    " is not that of an IDX file; 0 0, a type of 8, 9, 11, 12, 13 or 14, and the number of axes expected");
  for (int axis = 0; axis < magic[3]; ++axis) {
    const std::size_t at = in.offset();
    detail::push_extent(h.shape, in.number<std::uint32_t>(std::endian::big, "the extents"), name, at);
  }
  h.data_offset = in.offset();
  const std::size_t size = detail::stored_size(h.shape, h.type);
  if (size != in.left()) in.fail("elements ", to_string(h.type), " ", h.shape, " take ", size, " bytes; the file has ", in.left(), " left");
  return h;
}

/// The elements of an IDX file whose head was read, converted to T. Throws FileError when a value does not fit.
template <class T>
void decode_idx(ByteSpan bytes, const IdxHeader& head, std::string_view name, std::span<T> out, Conversion conversion = Conversion::exact) {
  detail::decode_elements(bytes.subspan(head.data_offset), head.type, std::endian::big, out, conversion, name, head.data_offset);
}

/// The array of an IDX file, converted to T. Throws FileError as parse_idx_header does, and when a value does not fit.
template <class T>
Tensor<T> parse_idx(ByteSpan bytes, std::string_view name, Conversion conversion = Conversion::exact) {
  const IdxHeader h = parse_idx_header(bytes, name);
  auto out = Tensor<T>::uninitialized(h.shape);
  decode_idx(bytes, h, name, std::span<T>(out.begin(), out.end()), conversion);
  return out;
}

/// Reads an uncompressed IDX file. For `.gz`: `parse_idx<T>(read_plain_or_gzip(path), path)`.
template <class T>
Tensor<T> read_idx(const std::string& path, Conversion conversion = Conversion::exact) {
  return parse_idx<T>(read_file(path), path, conversion);
}

/// An array as an IDX file. Throws ShapeError when an extent is 2^32 or more.
template <class T>
Bytes encode_idx(TensorRef<const T> x) {
  std::uint8_t code = 0;
  for (const auto& t : detail::idx_types)
    if (t.type == detail::element_type<T>()) code = t.code;
  static_assert(std::is_floating_point_v<T> || std::is_same_v<T, std::uint8_t> || std::is_same_v<T, std::int8_t> || std::is_same_v<T, std::int16_t> ||
                    std::is_same_v<T, std::int32_t>,
                "IDX files hold uint8, int8, int16, int32, float and double");
  Bytes out{0, 0, code, static_cast<std::uint8_t>(x.shape.rank())};
  for (const Index extent : x.shape) {
    require<ShapeError>(extent <= Index{0xFFFFFFFF}, "encode_idx: extent ", extent, " of ", x.shape, " does not fit the 32 bits of the format");
    detail::append_number(out, static_cast<std::uint32_t>(extent), std::endian::big);
  }
  detail::append_elements(out, std::span<const T>(x.data, static_cast<std::size_t>(x.size())), std::endian::big);
  return out;
}

/// Writes an array as an IDX file, atomically.
template <class T>
void write_idx(const std::string& path, const Tensor<T>& x) {
  write_file(path, encode_idx<T>(x));
}

}  // namespace ventral::inline v0
