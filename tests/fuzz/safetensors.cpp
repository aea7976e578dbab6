#include "ventral/io/safetensors.hpp"

#include <cstdlib>

using namespace ventral;

/// Any bytes are a safetensors file or a FileError; what is read can be written and read again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const Safetensors file = parse_safetensors(ByteSpan(data, size), "fuzz");
    std::vector<Tensor<double>> held;
    std::vector<SafetensorsItem> items;
    for (const auto& e : file.entries()) {
      try {
        held.push_back(file.tensor<double>(e.name, Conversion::rounded));
      } catch (const FileError&) {  // a bool that is neither 0 nor 1
        held.push_back(Tensor<double>(e.shape));
      }
      items.emplace_back(e.name, held.back());
    }
    const Bytes written = encode_safetensors(items, file.metadata());
    const Safetensors again = parse_safetensors(written, "again");
    if (again.metadata() != file.metadata() || again.entries().size() != file.entries().size()) std::abort();
    for (std::size_t i = 0; i < items.size(); ++i) {
      const auto x = again.tensor<double>(items[i].name);
      if (x.shape() != held[i].shape() || (x.size() > 0 && std::memcmp(x.data(), held[i].data(), static_cast<std::size_t>(x.size()) * sizeof(double)) != 0))
        std::abort();
    }
  } catch (const FileError&) {
  }
  return 0;
}
