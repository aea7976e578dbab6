#pragma once
#include <cstdint>

/// Eigen compiled for this machine, behind functions of plain numbers: nothing of ventral is in that file, so nothing of it is compiled that way.
namespace bench::eigen {

void multiply(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b, bool b_transposed, float* c);
void multiply(std::int64_t m, std::int64_t n, std::int64_t k, const double* a, const double* b, bool b_transposed, double* c);
/// "Eigen 3.4.0", with what it was compiled for.
const char* eigen_version();
void set_eigen_threads(int threads);

}  // namespace bench::eigen
