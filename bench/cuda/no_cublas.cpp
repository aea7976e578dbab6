#include "cuda/reference.hpp"

namespace bench::cublas {

std::string version() { return {}; }

template <class T>
void multiply(Index, Index, Index, Matrix<T>, Matrix<T>, float, T*, ventral::Math) {
  throw ventral::Error("built without cuBLAS");
}
template void multiply(Index, Index, Index, Matrix<float>, Matrix<float>, float, float*, ventral::Math);
template void multiply(Index, Index, Index, Matrix<ventral::bfloat16>, Matrix<ventral::bfloat16>, float, ventral::bfloat16*, ventral::Math);
template void multiply(Index, Index, Index, Matrix<ventral::half>, Matrix<ventral::half>, float, ventral::half*, ventral::Math);

}  // namespace bench::cublas
