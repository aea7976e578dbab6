#include <cublasLt.h>

#include "cuda/reference.hpp"

namespace bench::cublaslt {

namespace {

constexpr std::size_t most_workspace = std::size_t{64} << 20;
constexpr int most_ways = 8;

void require(cublasStatus_t status, const char* call) { ventral::require(status == CUBLAS_STATUS_SUCCESS, call, ": status ", static_cast<int>(status)); }

/// The library's state, made at the first call and left to the end of the program.
cublasLtHandle_t handle() {
  static const cublasLtHandle_t made = [] {
    cublasLtHandle_t h = nullptr;
    require(cublasLtCreate(&h), "cublasLtCreate");
    return h;
  }();
  return made;
}

template <class T>
constexpr cudaDataType_t type = CUDA_R_16BF;
template <>
inline constexpr cudaDataType_t type<float> = CUDA_R_32F;
template <>
inline constexpr cudaDataType_t type<ventral::half> = CUDA_R_16F;

/// A product as the library sees it. It counts by columns, so that is c^T = b^T a^T.
struct Plan {
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t b = nullptr, a = nullptr, c = nullptr;
  Tensor<unsigned char, ventral::Cuda> workspace;
  float beta;

  template <class T>
  Plan(Index m, Index n, Index k, Matrix<T> left, Matrix<T> right, float beta_of_c, bool tf32) : beta(beta_of_c) {
    require(cublasLtMatmulDescCreate(&product, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F), "cublasLtMatmulDescCreate");
    operation(CUBLASLT_MATMUL_DESC_TRANSA, right.transposed);
    operation(CUBLASLT_MATMUL_DESC_TRANSB, left.transposed);
    const auto layout = [](cublasLtMatrixLayout_t* made, Index rows, Index columns, Index stride) {
      require(cublasLtMatrixLayoutCreate(made, type<T>, static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(columns), stride), "cublasLtMatrixLayoutCreate");
    };
    layout(&b, right.transposed ? k : n, right.transposed ? n : k, right.stride);
    layout(&a, left.transposed ? m : k, left.transposed ? k : m, left.stride);
    layout(&c, n, m, n);
  }
  ~Plan() {
    for (const cublasLtMatrixLayout_t layout : {a, b, c}) static_cast<void>(cublasLtMatrixLayoutDestroy(layout));
    static_cast<void>(cublasLtMatmulDescDestroy(product));
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

 private:
  void operation(cublasLtMatmulDescAttributes_t which, bool transposed) {
    const cublasOperation_t how = transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    require(cublasLtMatmulDescSetAttribute(product, which, &how, sizeof how), "cublasLtMatmulDescSetAttribute");
  }
};

std::vector<cublasLtMatmulHeuristicResult_t> recommended(const Plan& p) {
  cublasLtMatmulPreference_t wish = nullptr;
  require(cublasLtMatmulPreferenceCreate(&wish), "cublasLtMatmulPreferenceCreate");
  std::vector<cublasLtMatmulHeuristicResult_t> list(most_ways);
  int found = 0;
  const cublasStatus_t set = cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most_workspace, sizeof most_workspace);
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(handle(), p.product, p.b, p.a, p.c, p.c, wish, most_ways, list.data(), &found);
  static_cast<void>(cublasLtMatmulPreferenceDestroy(wish));
  require(set, "cublasLtMatmulPreferenceSetAttribute");
  list.resize(status == CUBLAS_STATUS_SUCCESS ? static_cast<std::size_t>(found) : 0);
  return list;
}

int property(const cublasLtMatmulAlgo_t& algorithm, cublasLtMatmulAlgoConfigAttributes_t which) {
  int value = -1;
  std::size_t written = 0;
  static_cast<void>(cublasLtMatmulAlgoConfigGetAttribute(&algorithm, which, &value, sizeof value, &written));
  return value;
}

}  // namespace

template <class T>
std::vector<Way<T>> ways(Index m, Index n, Index k, Matrix<T> a, Matrix<T> b, float beta, ventral::Math math) {
  const auto p = std::make_shared<Plan>(m, n, k, a, b, beta, std::is_same_v<T, float> && math == ventral::Math::tf32);
  std::vector<Way<T>> all;
  std::size_t most = 0;
  for (const auto& choice : recommended(*p)) {
    if (choice.state != CUBLAS_STATUS_SUCCESS) continue;
    most = std::max(most, choice.workspaceSize);
    all.push_back({ventral::concat("algorithm ", property(choice.algo, CUBLASLT_ALGO_CONFIG_ID), ", tile ", property(choice.algo, CUBLASLT_ALGO_CONFIG_TILE_ID)),
                   static_cast<double>(choice.workspaceSize), [p, choice](const T* first, const T* second, T* result) {
                     const float one = 1;
                     require(cublasLtMatmul(handle(), p->product, &one, second, p->b, first, p->a, &p->beta, result, p->c, result, p->c, &choice.algo, p->workspace.data(),
                                            choice.workspaceSize, static_cast<cudaStream_t>(ventral::Cuda::stream().handle)),
                             "cublasLtMatmul");
                   }});
  }
  p->workspace.resize({static_cast<Index>(most)});
  return all;
}
template std::vector<Way<float>> ways(Index, Index, Index, Matrix<float>, Matrix<float>, float, ventral::Math);
template std::vector<Way<ventral::bfloat16>> ways(Index, Index, Index, Matrix<ventral::bfloat16>, Matrix<ventral::bfloat16>, float, ventral::Math);
template std::vector<Way<ventral::half>> ways(Index, Index, Index, Matrix<ventral::half>, Matrix<ventral::half>, float, ventral::Math);

}  // namespace bench::cublaslt
