#pragma once
#include "ventral/cpu/parallel.hpp"
#include "ventral/data/dataset.hpp"
#include "ventral/io/image.hpp"
#include "ventral/io/resize.hpp"

namespace ventral::inline v0 {

/// How a picture is brought to the common size.
enum class ImageFit {
  crop,    ///< scaled until it covers the size, then cut to its middle: proportions are kept
  stretch  ///< scaled to the size
};

struct ImageFolderOptions {
  Index height = 0, width = 0;  ///< 0: that of the first picture; then all must have it
  Channels channels = Channels::rgb;
  ImageFit fit = ImageFit::crop;
};

namespace detail {

inline bool is_picture_name(std::string_view name) {
  const std::size_t dot = name.find_last_of('.');
  if (dot == std::string_view::npos || dot == 0) return false;
  std::string ending(name.substr(dot + 1));
  for (char& c : ending)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  for (const char* known : {"png", "jpg", "jpeg", "bmp", "pgm", "ppm", "pnm"})
    if (ending == known) return true;
  return false;
}

inline Tensor<std::uint8_t> fitted(Tensor<std::uint8_t> x, Index height, Index width, ImageFit fit) {
  const Index h = x.dim(1), w = x.dim(2);
  if (h == height && w == width) return x;
  if (fit == ImageFit::stretch) return resize(x, height, width);
  const bool by_height = h * width < w * height;  // the side that must just reach
  const Index tall = by_height ? height : std::max(height, (h * width + w / 2) / w), wide = by_height ? std::max(width, (w * height + h / 2) / h) : width;
  return crop(resize(x, tall, wide), (tall - height) / 2, (wide - width) / 2, height, width);
}

}  // namespace detail

/// Reads pictures (PNG, JPEG, BMP, PGM, PPM) from a folder with one folder for each class: `cats/1.png`, `dogs/2.jpg`. Classes are numbered in the order of
/// their names (by bytes), pictures follow by class and name. Other files, and names that begin with a dot, are passed over. Needs ventral::image. Throws
/// FileError, naming the file or folder, when there are no classes, a class has no pictures, or a picture is corrupt or (without a given size) of another size.
inline Dataset read_image_folder(const std::string& path, const ImageFolderOptions& options = {}) {
  require(options.channels != Channels::as_stored, "read_image_folder: channels must be grey or rgb, the same for all");
  require((options.height > 0 && options.width > 0) || (options.height == 0 && options.width == 0), "read_image_folder: size ", options.height, "x",
          options.width, "; both positive, or both 0, expected");
  Dataset out;
  std::vector<std::string> files;
  std::vector<std::int32_t> labels;
  for (const std::string& name : list_folder(path)) {
    const std::string folder = join_path(path, name);
    if (name[0] == '.' || !is_folder(folder)) continue;
    const std::size_t before = files.size();
    for (const std::string& file : list_folder(folder))
      if (file[0] != '.' && detail::is_picture_name(file) && is_file(join_path(folder, file))) files.push_back(join_path(folder, file));
    require<FileError>(files.size() > before, folder, ": a class without pictures (png, jpg, jpeg, bmp, pgm, ppm, pnm)");
    labels.resize(files.size(), static_cast<std::int32_t>(out.names.size()));
    out.names.push_back(name);
  }
  require<FileError>(!out.names.empty(), path, ": no folders, one for each class, in it");
  out.classes = static_cast<Index>(out.names.size());

  const ImageOptions reading{.channels = options.channels};
  const Index n = static_cast<Index>(files.size()), channels = options.channels == Channels::grey ? 1 : 3;
  Index height = options.height, width = options.width;
  if (height == 0) {
    const auto first = read_image(files[0], reading);
    height = first.dim(1), width = first.dim(2);
  }
  out.images = Tensor<std::uint8_t>::uninitialized({n, channels, height, width});
  out.labels = Tensor<std::int32_t>({n}, labels);
  cpu::parallel_for(n, [&](Index i) {
    const std::string& file = files[static_cast<std::size_t>(i)];
    auto picture = read_image(file, reading);
    require<FileError>(options.height > 0 || (picture.dim(1) == height && picture.dim(2) == width), file, ": ", picture.dim(1), "x", picture.dim(2),
                       " pixels; the first picture has ", height, "x", width, "; give a height and width to bring all to one size");
    picture = detail::fitted(std::move(picture), height, width, options.fit);
    std::copy(picture.begin(), picture.end(), out.images.data() + i * picture.size());
  });
  return out;
}

}  // namespace ventral::inline v0
