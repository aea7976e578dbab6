#include "cuda/reference.hpp"

namespace bench::cudnn {

std::string version() { return {}; }

template <class T>
std::vector<Way<T>> searched(const Convolution&, Part, ventral::Math) {
  throw ventral::Error("built without cuDNN");
}
template <class T>
std::vector<Way<T>> planned(const Convolution&, Part, ventral::Math) {
  return {};
}
template std::vector<Way<float>> searched<float>(const Convolution&, Part, ventral::Math);
template std::vector<Way<ventral::bfloat16>> searched<ventral::bfloat16>(const Convolution&, Part, ventral::Math);
template std::vector<Way<float>> planned<float>(const Convolution&, Part, ventral::Math);
template std::vector<Way<ventral::bfloat16>> planned<ventral::bfloat16>(const Convolution&, Part, ventral::Math);

template <class T>
std::function<void(const T*, T*, T*)> ending(const Shape&) {
  return {};
}
template std::function<void(const float*, float*, float*)> ending<float>(const Shape&);
template std::function<void(const ventral::bfloat16*, ventral::bfloat16*, ventral::bfloat16*)> ending<ventral::bfloat16>(const Shape&);

device::Rivals<float> pooling(const Pooling&) { return {}; }
device::Rivals<float> response_norm(const ResponseNorm&) { return {}; }
device::Rivals<float> activation(const Shape&, Function) { return {}; }
device::Side softmax_pair(const device::Sets<float>&) { return {}; }

}  // namespace bench::cudnn
