#include "cuda/reference.hpp"

namespace bench::cublaslt {

template <class T>
std::vector<Way<T>> ways(Index, Index, Index, Matrix<T>, Matrix<T>, float, ventral::Math) {
  return {};
}
template std::vector<Way<float>> ways(Index, Index, Index, Matrix<float>, Matrix<float>, float, ventral::Math);
template std::vector<Way<ventral::bfloat16>> ways(Index, Index, Index, Matrix<ventral::bfloat16>, Matrix<ventral::bfloat16>, float, ventral::Math);
template std::vector<Way<ventral::half>> ways(Index, Index, Index, Matrix<ventral::half>, Matrix<ventral::half>, float, ventral::Math);

}  // namespace bench::cublaslt
