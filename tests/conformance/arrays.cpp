#include <string_view>

#include "conformance/case.hpp"
#include "ventral/io/npy.hpp"

namespace conformance {

namespace {

/// A .npy file whose shape has the last axes folded into one, so that a Shape can hold it. Version 1.0, as the format of the folders says.
ventral::Bytes with_folded_axes(const ventral::Bytes& file, const Shape& folded, const std::string& path) {
  constexpr std::size_t before = 10;
  const std::size_t length = file.size() < before ? 0 : file[8] + std::size_t{256} * file[9];
  if (file.size() < before + length) throw Malformed(path + ": the file ends within the header");
  std::string text(file.begin() + before, file.begin() + static_cast<std::ptrdiff_t>(before + length));
  const std::size_t first = text.find("'shape': ("), last = text.find(')', first);
  if (first == std::string::npos || last == std::string::npos) throw Malformed(path + ": no shape in the header");
  std::string extents;
  for (const Index extent : folded) extents += std::to_string(extent) + ", ";
  text.replace(first, last - first, "'shape': (" + extents);
  text.resize(length, ' ');
  ventral::Bytes out(file.begin(), file.begin() + before);
  out.insert(out.end(), text.begin(), text.end());
  out.insert(out.end(), file.begin() + static_cast<std::ptrdiff_t>(before + length), file.end());
  return out;
}

/// The axes as a Shape, the last ones folded where there are too many.
Shape fold(const std::vector<Index>& axes) {
  std::vector<Index> kept(axes);
  while (kept.size() > Shape::max_rank) {
    const Index last = kept.back();
    kept.pop_back();
    kept.back() *= last;
  }
  return Shape(kept.begin(), kept.end());
}

}  // namespace

Array read_array(const std::string& folder, const std::string& file, const std::string& name, const std::string& dtype, const std::vector<Index>& axes) {
  if (file.empty() || file.find('/') != std::string::npos) throw Malformed(concat("array '", name, "': '", file, "' is not a file name"));
  const std::string path = folder + "/" + file;
  try {
    ventral::Bytes bytes = ventral::read_file(path);
    const Shape shape = fold(axes);
    if (axes.size() > Shape::max_rank) bytes = with_folded_axes(bytes, shape, path);
    const ventral::NpyHeader header = ventral::parse_npy_header(bytes, path);
    if (to_string(header.type) != std::string_view(dtype)) throw Malformed(concat(path, " holds ", to_string(header.type), "; the manifest says ", dtype));
    const bool single = header.shape.size() == 1 && shape.size() == 1;  // a scalar is sometimes stored as [1]
    if (header.shape != shape && !single) throw Malformed(concat(path, " has shape ", header.shape, "; the manifest says ", shape));
    Tensor<double> values = ventral::parse_npy<double>(bytes, path);
    if (single) values = Tensor<double>(shape, {values[0]});
    return {name, dtype, axes, std::move(values)};
  } catch (const ventral::Error& e) {
    throw Malformed(concat("array '", name, "': ", e.what()));
  }
}

}  // namespace conformance
