#pragma once
#include <sys/mman.h>

#include "ventral/brain/features.hpp"
#include "ventral/io/npy.hpp"

namespace ventral::inline v0::brain {

/// The features of a .npy file [n,...], each condition's flattened, read by chunks of columns: one read for each row and chunk, so that a file larger
/// than memory can be worked on. Chunks are float for files of float16, float32 and integers of 8 or 16 bits, double for all others.
/// Throws FileError when the file is missing, malformed, or changes its size while it is read; ShapeError below rank 2.
class NpyFeatures {
 public:
  explicit NpyFeatures(const std::string& path, FeatureOptions options = {})
      : path_(path), options_(options), file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    require<FileError>(file_.number() >= 0, path, ": cannot be opened: ", detail_error(errno),
                       is_file(path) ? "" : ventral::detail::what_exists(path));
    read_header();
    require<ShapeError>(header_.shape.rank() >= 2, path, ": shape ", header_.shape, "; [conditions,features] is needed");
    require<FileError>(!header_.fortran || header_.shape.rank() == 2, path, ": Fortran order with ", header_.shape.rank(),
                       " axes; columns can be read from 2");
  }

  Index conditions() const { return header_.shape[0]; }
  Index features() const { return header_.shape.product(1, header_.shape.rank()); }

  template <class F>
  void for_each_chunk(F f) const {
    using enum ElementType;
    const ElementType t = header_.type;
    const bool fits_float = t == f32 || t == f16 || t == boolean || t == u8 || t == i8 || t == u16 || t == i16;
    fits_float ? for_each_chunk_of<float>(f) : for_each_chunk_of<double>(f);
  }

 private:
  static std::string detail_error(int number) { return ventral::detail::system_error(number); }

  /// The parser wants to see the whole file: mapped, of which it touches the head.
  void read_header() {
    struct ::stat s;
    require<FileError>(::fstat(file_.number(), &s) == 0 && S_ISREG(s.st_mode), path_, ": not a regular file");
    const std::size_t size = static_cast<std::size_t>(s.st_size);
    void* const map = size > 0 ? ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file_.number(), 0) : nullptr;
    require<FileError>(map != MAP_FAILED, path_, ": cannot be mapped: ", detail_error(errno));
    const auto unmap = [size](void* p) {
      if (p) ::munmap(p, size);
    };
    const std::unique_ptr<void, decltype(unmap)> mapped(map, unmap);
    header_ = parse_npy_header(ByteSpan(static_cast<const std::uint8_t*>(map), size), path_);
  }

  template <class T, class F>
  void for_each_chunk_of(F& f) const {
    const Index n = conditions(), p = features(), columns = detail::chunk_columns(n, p, sizeof(T), options_.chunk_bytes);
    Tensor<T> chunk, column;
    Bytes bytes;
    for (Index k = 0; k < p; k += columns) {
      const Index m = std::min(columns, p - k);
      chunk.resize({n, m});
      if (header_.fortran) {
        column.resize({m, n});
        read(k * n, m * n, column.data(), bytes);
        ventral::detail::from_fortran_order(column.data(), chunk.ref());
      } else if (m == p) {
        read(0, n * p, chunk.data(), bytes);
      } else {
        for (Index i = 0; i < n; ++i) read(i * p + k, m, chunk.data() + i * m, bytes);
      }
      f(TensorRef<const T>(chunk.ref()));
    }
  }

  /// Elements [first, first + count) of the file's order.
  template <class T>
  void read(Index first, Index count, T* out, Bytes& bytes) const {
    const std::size_t size = element_size(header_.type), offset = header_.data_offset + static_cast<std::size_t>(first) * size;
    bytes.resize(static_cast<std::size_t>(count) * size);
    for (std::size_t done = 0; done < bytes.size();) {
      const ::ssize_t got =
          ::pread(file_.number(), bytes.data() + done, std::min<std::size_t>(bytes.size() - done, 1 << 30), static_cast<::off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      require<FileError>(got > 0, path_, ": at byte ", offset + done,
                         ": cannot be read: ", got < 0 ? detail_error(errno) : "the file has become shorter");
      done += static_cast<std::size_t>(got);
    }
    ventral::detail::decode_elements(bytes, header_.type, header_.order, std::span<T>(out, static_cast<std::size_t>(count)), Conversion::rounded,
                                     path_, offset);
  }

  std::string path_;
  FeatureOptions options_;
  ventral::detail::Descriptor file_;
  NpyHeader header_;
};

}  // namespace ventral::inline v0::brain
