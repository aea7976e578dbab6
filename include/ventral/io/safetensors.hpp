#pragma once
#include <algorithm>
#include <cstdlib>

#include "ventral/io/file.hpp"
#include "ventral/io/safetensors_header.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0 {

namespace detail {

/// Pointers to items in the order of `compare`. By the C library's sort, which costs a header little to compile.
template <class T, int (*compare)(const T&, const T&)>
[[gnu::cold]] std::vector<T*> sorted(std::vector<T>& items) {
  std::vector<T*> out(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) out[i] = &items[i];
  if (out.size() > 1) std::qsort(out.data(), out.size(), sizeof(T*), [](const void* a, const void* b) { return compare(**static_cast<T* const*>(a), **static_cast<T* const*>(b)); });
  return out;
}
template <class T>
int by_name(const T& a, const T& b) {
  return a.name.compare(b.name);
}
inline int by_place(const SafetensorsEntry& a, const SafetensorsEntry& b) {
  return a.first != b.first ? (a.first < b.first ? -1 : 1) : a.last != b.last ? (a.last < b.last ? -1 : 1) : by_name(a, b);
}

}  // namespace detail

/// An opened safetensors file: named arrays and metadata. Format: 8 bytes little-endian header length, a JSON header, the data.
/// Made by read_safetensors and parse_safetensors, which check the whole header; arrays are converted as they are asked for.
class Safetensors {
 public:
  /// Arrays in the order of their data.
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }
  const Metadata& metadata() const { return metadata_; }
  const std::string& path() const { return path_; }

  /// The entry of this name, or null.
  [[gnu::cold]] const SafetensorsEntry* find(std::string_view name) const {
    const auto at = std::lower_bound(by_name_.begin(), by_name_.end(), name, [&](std::size_t i, std::string_view wanted) { return entries_[i].name < wanted; });
    return at == by_name_.end() || entries_[*at].name != name ? nullptr : &entries_[*at];
  }
  /// Throws Error, listing what there is, when there is no such array.
  [[gnu::cold]] const SafetensorsEntry& entry(std::string_view name) const {
    if (const SafetensorsEntry* e = find(name)) return *e;
    std::string known;
    for (const auto& e : entries_) known.append(known.empty() ? "" : ", ").append(e.name);
    throw Error(concat(path_, ": no tensor '", name, "'; the file has: ", known.empty() ? "none" : known));
  }
  /// An array, converted to T. Throws FileError when a value does not fit.
  template <class T>
  [[gnu::cold]] Tensor<T> tensor(std::string_view name, Conversion conversion = Conversion::exact) const {
    const SafetensorsEntry& e = entry(name);
    auto out = Tensor<T>::uninitialized(e.shape);
    detail::decode_elements(bytes_.subspan(data_offset_ + e.first, e.last - e.first), e.type, std::endian::little, std::span<T>(out.begin(), out.end()),
                            conversion, concat(path_, ": '", e.name, "'"), data_offset_ + e.first);
    return out;
  }

 private:
  friend Safetensors parse_safetensors(ByteSpan bytes, std::string_view name);
  friend Safetensors read_safetensors(const std::string& path, const ReadLimits& limits);

  std::string path_;
  Bytes held_;       // empty when the caller holds the bytes
  ByteSpan bytes_;   // of the whole file
  std::size_t data_offset_ = 0;
  std::vector<SafetensorsEntry> entries_;
  std::vector<std::size_t> by_name_;  // positions in entries_
  Metadata metadata_;
};

/// Opens a safetensors file in memory, which must outlive the result. Throws FileError when the header is malformed or longer than 100 MB (the reference
/// implementation's limit), when an array's bytes do not match its type and shape, and when arrays overlap or leave gaps.
/// Source: https://huggingface.co/docs/safetensors
[[gnu::cold]] inline Safetensors parse_safetensors(ByteSpan bytes, std::string_view name) {
  constexpr std::uint64_t max_header = 100'000'000;
  Safetensors file;
  file.path_ = name;
  file.bytes_ = bytes;
  ByteReader in(bytes, name);
  const auto length = in.number<std::uint64_t>(std::endian::little, "the header length");
  if (length > max_header) detail::fail_at(name, 0, "header length ", length, " is above the limit of ", max_header);
  const std::size_t header_offset = in.offset();
  const ByteSpan header = in.take(static_cast<std::size_t>(length), "the header");
  detail::SafetensorsHeaderParser(header, name, header_offset).parse(file.entries_, file.metadata_);
  file.data_offset_ = in.offset();

  std::vector<SafetensorsEntry> in_order;
  in_order.reserve(file.entries_.size());
  for (SafetensorsEntry* e : detail::sorted<SafetensorsEntry, detail::by_place>(file.entries_)) in_order.push_back(std::move(*e));
  file.entries_ = std::move(in_order);
  const auto fail = [&](const SafetensorsEntry& e, const std::string& problem) {
    detail::fail_at(name, file.data_offset_ + e.first, "tensor '", e.name, "' ", to_string(e.type), " ", e.shape, " ", problem);
  };
  std::size_t end = 0;
  for (const SafetensorsEntry& e : file.entries_) {
    if (e.first != end) fail(e, concat("has its data at [", e.first, ",", e.last, "); ", end, " is where they should begin"));
    const std::size_t size = detail::stored_size(e.shape, e.type);
    if (e.last < e.first || e.last - e.first != size) fail(e, concat("takes ", size, " bytes; its data are [", e.first, ",", e.last, ")"));
    if (e.last > in.left()) fail(e, concat("has its data at [", e.first, ",", e.last, "); the file holds ", in.left(), " bytes of data"));
    end = e.last;
  }
  if (end != in.left()) detail::fail_at(name, file.data_offset_ + end, in.left() - end, " bytes belong to no tensor");
  for (const SafetensorsEntry* e : detail::sorted<SafetensorsEntry, detail::by_name<SafetensorsEntry>>(file.entries_)) {
    const auto i = static_cast<std::size_t>(e - file.entries_.data());
    if (!file.by_name_.empty() && file.entries_[file.by_name_.back()].name == e->name) fail(*e, "appears twice");
    file.by_name_.push_back(i);
  }
  return file;
}

/// Opens a safetensors file; see parse_safetensors.
[[gnu::cold]] inline Safetensors read_safetensors(const std::string& path, const ReadLimits& limits = {}) {
  Bytes bytes = read_file(path, limits);
  Safetensors file = parse_safetensors(bytes, path);
  file.held_ = std::move(bytes);  // moving a vector leaves its elements where they are
  return file;
}

/// An array to be written, by name. Refers to the elements, so the tensor must outlive it.
struct SafetensorsItem {
  std::string name;
  ElementType type;
  Shape shape;
  const void* data;

  template <class T>
  SafetensorsItem(std::string item_name, TensorRef<T> x)
      : name(std::move(item_name)), type(detail::element_type<std::remove_const_t<T>>()), shape(x.shape), data(x.data) {}
  template <class T>
  SafetensorsItem(std::string item_name, const Tensor<T>& x) : SafetensorsItem(std::move(item_name), x.ref()) {}
};

enum class SafetensorsOrder {
  aligned,  ///< wide element types first, then by name, as the reference implementation: every array is aligned to its elements
  given     ///< as listed
};

namespace detail {

/// Wide types first.
inline int by_alignment(const SafetensorsItem& a, const SafetensorsItem& b) {
  const std::size_t wide_a = element_size(a.type), wide_b = element_size(b.type);
  return wide_a != wide_b ? (wide_a > wide_b ? -1 : 1) : by_name(a, b);
}

/// The first part of a file of these items, in this order: length and header, padded so that the data begin at a multiple of 8.
[[gnu::cold]] inline Bytes safetensors_head(const std::vector<SafetensorsItem*>& items, const Metadata& metadata) {
  static_assert(std::endian::native == std::endian::little, "data are written as they lie in memory");
  std::string text = "{";
  if (!metadata.empty()) {
    text += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) text += concat(text.back() == '{' ? "" : ",", json_string(key), ":", json_string(value));
    text += "}";
  }
  std::size_t end = 0;
  for (const SafetensorsItem* item : items) {
    require(item->name != "__metadata__", "a safetensors file cannot hold a tensor named '__metadata__'");
    const char* type = "";
    for (const auto& t : safetensors_types)
      if (t.type == item->type) type = t.name;
    text += concat(text.size() > 1 ? "," : "", json_string(item->name), ":{\"dtype\":\"", type, "\",\"shape\":", item->shape, ",\"data_offsets\":[", end, ",");
    end += stored_size(item->shape, item->type);
    text += concat(end, "]}");
  }
  text += "}";
  text.append((8 - text.size() % 8) % 8, ' ');
  Bytes head;
  append_number(head, std::uint64_t{text.size()}, std::endian::little);
  append_text(head, text);
  return head;
}

/// The items as they are to be written. Throws Error when a name is repeated.
[[gnu::cold]] inline std::vector<SafetensorsItem*> in_order(std::vector<SafetensorsItem>& items, SafetensorsOrder order) {
  std::vector<SafetensorsItem*> out = sorted<SafetensorsItem, by_name>(items);
  for (std::size_t i = 1; i < out.size(); ++i) require(out[i]->name != out[i - 1]->name, "a safetensors file cannot hold two tensors named '", out[i]->name, "'");
  if (order == SafetensorsOrder::aligned) return sorted<SafetensorsItem, by_alignment>(items);
  for (std::size_t i = 0; i < items.size(); ++i) out[i] = &items[i];
  return out;
}

inline ByteSpan item_bytes(const SafetensorsItem& item) { return {static_cast<const std::uint8_t*>(item.data), stored_size(item.shape, item.type)}; }

}  // namespace detail

/// Arrays as a safetensors file in memory. Throws Error when a name is repeated, or is or contains what the format forbids.
[[gnu::cold]] inline Bytes encode_safetensors(std::vector<SafetensorsItem> items, const Metadata& metadata = {}, SafetensorsOrder order = SafetensorsOrder::aligned) {
  const std::vector<SafetensorsItem*> list = detail::in_order(items, order);
  Bytes out = detail::safetensors_head(list, metadata);
  for (const SafetensorsItem* item : list) {
    const ByteSpan bytes = detail::item_bytes(*item);
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  return out;
}

/// Writes arrays as a safetensors file, atomically.
[[gnu::cold]] inline void write_safetensors(const std::string& path, std::vector<SafetensorsItem> items, const Metadata& metadata = {},
                                            SafetensorsOrder order = SafetensorsOrder::aligned) {
  const std::vector<SafetensorsItem*> list = detail::in_order(items, order);
  const Bytes head = detail::safetensors_head(list, metadata);
  AtomicFile file(path);
  file.write(head);
  for (const SafetensorsItem* item : list) file.write(detail::item_bytes(*item));
  file.commit();
}

}  // namespace ventral::inline v0
