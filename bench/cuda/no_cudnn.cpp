#include "cuda/reference.hpp"

namespace bench::cudnn {

std::string version() { return {}; }

template <class T>
Step<T> fastest(const Convolution&, Part) {
  throw ventral::Error("built without cuDNN");
}
template Step<float> fastest<float>(const Convolution&, Part);
template Step<ventral::bfloat16> fastest<ventral::bfloat16>(const Convolution&, Part);

}  // namespace bench::cudnn
