#include "ventral/io/npz.hpp"

#include <cstdlib>

using namespace ventral;

/// Any bytes are a .npz file or a FileError, and so is each array in it. As checksums are hard to guess, the bytes are also tried as a
/// deflate stream.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan bytes(data, size);
  try {
    const Npz file = parse_npz(bytes, "fuzz", {.max_bytes = 1 << 20});
    for (const auto& name : file.names()) {
      try {
        static_cast<void>(file.tensor<float>(name, Conversion::rounded));
      } catch (const FileError&) {
      }
    }
  } catch (const FileError&) {
  }
  try {
    Bytes out;
    if (detail::inflate_stream(bytes, detail::raw_window_bits, size, 1 << 20, out, "fuzz", 0) > size || out.size() > 1 << 20) std::abort();
    const Bytes packed = detail::deflate_stream(out, detail::raw_window_bits, 1);
    Bytes again;
    detail::inflate_stream(packed, detail::raw_window_bits, 0, out.size(), again, "again", 0);
    if (again != out) std::abort();
  } catch (const FileError&) {
  }
  return 0;
}
