#include "ventral/data/idx.hpp"

#include <cstdlib>

#include "ventral/io/gzip.hpp"

using namespace ventral;

/// Any bytes are an IDX file or a FileError, plain or compressed; what is read can be written and read again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan bytes(data, size);
  try {
    const Bytes plain = is_gzip(bytes) ? gunzip(bytes, "fuzz", {.max_bytes = 1 << 22}) : Bytes(data, data + size);
    static_cast<void>(parse_idx<float>(plain, "fuzz", Conversion::rounded));
    static_cast<void>(parse_idx<std::int32_t>(plain, "fuzz"));
    const auto x = parse_idx<std::uint8_t>(plain, "fuzz");
    const auto again = parse_idx<std::uint8_t>(encode_idx<std::uint8_t>(x), "again");
    if (again.shape() != x.shape() || !std::equal(x.begin(), x.end(), again.begin())) std::abort();
  } catch (const FileError&) {
  }
  return 0;
}
