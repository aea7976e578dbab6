#pragma once
#include "ventral/data/dataset.hpp"
#include "ventral/data/idx.hpp"
#include "ventral/io/gzip.hpp"

namespace ventral::inline v0 {

/// The two parts of MNIST: 60,000 and 10,000 grey images of 28x28.
struct Mnist {
  Dataset train, test;
};

namespace detail {

/// The file under one of its usual names; empty when none is there.
inline std::string mnist_file(const std::string& folder, std::string_view set, std::string_view kind) {
  for (const char separator : {'-', '.'})
    for (const char* ending : {"", ".gz"}) {
      const std::string path =
          join_path(folder, concat(set, "-", kind == "images" ? "images" : "labels", separator, kind == "images" ? "idx3-ubyte" : "idx1-ubyte", ending));
      if (is_file(path)) return path;
    }
  return "";
}

}  // namespace detail

/// Whether a folder holds a set ("train" or "t10k") of images and labels under MNIST's names, plain or `.gz`.
inline bool has_mnist(const std::string& folder, std::string_view set = "train") {
  return !detail::mnist_file(folder, set, "images").empty() && !detail::mnist_file(folder, set, "labels").empty();
}

/// Reads images [N,H,W] and labels [N] from two IDX files, plain or compressed by gzip. Throws FileError when they are malformed, do not belong together, or a
/// label is not below `classes`.
inline Dataset read_idx_pair(const std::string& images_path, const std::string& labels_path, Index classes) {
  Dataset out;
  out.classes = classes;
  {
    const Bytes raw = read_plain_or_gzip(images_path);
    const IdxHeader header = parse_idx_header(raw, images_path);
    const Shape& s = header.shape;
    require<FileError>(s.rank() == 3, images_path, ": an array ", s, "; images [N,H,W] expected");
    out.images = Tensor<std::uint8_t>::uninitialized({s[0], 1, s[1], s[2]});
    decode_idx(raw, header, images_path, std::span(out.images.begin(), out.images.end()));
  }
  const Index n = out.images.dim(0);
  const Bytes raw = read_plain_or_gzip(labels_path);
  const IdxHeader header = parse_idx_header(raw, labels_path);
  require<FileError>(header.shape.rank() == 1, labels_path, ": an array ", header.shape, "; labels [N] expected");
  require<FileError>(header.shape[0] == n, labels_path, ": ", header.shape[0], " labels; ", images_path, " has ", n, " images");
  out.labels = parse_idx<std::int32_t>(raw, labels_path);
  for (Index i = 0; i < out.labels.size(); ++i)
    if (out.labels[i] < 0 || out.labels[i] >= classes)
      detail::fail_at(labels_path, header.data_offset + static_cast<std::size_t>(i) * element_size(header.type), "label ", out.labels[i], " of image ", i,
                      "; 0 to ", classes - 1, " expected");
  return out;
}

/// Reads one set ("train" or "t10k") from a folder. Throws FileError, listing what the folder has, when a file is missing.
inline Dataset read_mnist_set(const std::string& folder, std::string_view set, Index classes = 10) {
  const std::string images = detail::mnist_file(folder, set, "images"), labels = detail::mnist_file(folder, set, "labels");
  for (const auto& [path, name] :
       {std::pair<const std::string&, const char*>(images, "-images-idx3-ubyte"), std::pair<const std::string&, const char*>(labels, "-labels-idx1-ubyte")})
    require<FileError>(!path.empty(), folder, ": neither ", set, name, " nor ", set, name, ".gz", detail::what_exists(join_path(folder, "?")));
  return read_idx_pair(images, labels, classes);
}

/// Reads MNIST, or a set of the same form such as Fashion-MNIST, from a folder with its four files, plain or `.gz`.
/// Source: LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", Proc. IEEE 86:2278.
inline Mnist read_mnist(const std::string& folder, Index classes = 10) {
  return {read_mnist_set(folder, "train", classes), read_mnist_set(folder, "t10k", classes)};
}

}  // namespace ventral::inline v0
