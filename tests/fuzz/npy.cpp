#include "ventral/io/npy.hpp"

#include <cstdlib>

using namespace ventral;

/// Any bytes are a .npy file or a FileError; what is read can be written and read again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan bytes(data, size);
  try {
    const NpyHeader h = parse_npy_header(bytes, "fuzz");
    for (const Conversion conversion : {Conversion::exact, Conversion::rounded}) {
      try {
        static_cast<void>(parse_npy<float>(bytes, "fuzz", conversion));
        static_cast<void>(parse_npy<std::int16_t>(bytes, "fuzz", conversion));
        static_cast<void>(parse_npy<bool>(bytes, "fuzz", conversion));
        static_cast<void>(parse_npy<std::uint64_t>(bytes, "fuzz", conversion));
      } catch (const FileError&) {
      }
    }
    const auto x = parse_npy<double>(bytes, "fuzz", Conversion::rounded);
    const auto again = parse_npy<double>(encode_npy<double>(x), "again");
    if (x.shape() != h.shape || again.shape() != h.shape ||
        (x.size() > 0 && std::memcmp(x.data(), again.data(), static_cast<std::size_t>(x.size()) * sizeof(double)) != 0))
      std::abort();
  } catch (const FileError&) {
  }
  return 0;
}
