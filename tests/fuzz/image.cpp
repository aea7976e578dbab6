#include "ventral/io/image.hpp"
// The decoder itself, so that it is instrumented too; the linker then takes nothing from ventral::image.
#include "ventral/io/image.cpp"

using namespace ventral;

/// Any bytes are a picture or a FileError; what is read can be written and read again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ImageOptions limits{.max_side = 4096, .max_pixels = 1 << 18};
  try {
    const auto x = parse_image(ByteSpan(data, size), "fuzz", limits);
    if (x.size() > 4096) return 0;
    const auto again = parse_image(encode_png(x), "again", limits);
    if (again.shape() != x.shape() || !std::equal(x.begin(), x.end(), again.begin())) std::abort();
    static_cast<void>(parse_image(ByteSpan(data, size), "fuzz", {.channels = Channels::grey, .max_side = 4096, .max_pixels = 1 << 18}));
  } catch (const FileError&) {
  }
  return 0;
}
