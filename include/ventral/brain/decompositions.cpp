#include "ventral/brain/decompositions.hpp"

#include <Eigen/Eigenvalues>
#include <cmath>

#include "ventral/brain/cusolver.hpp"

#if defined(VENTRAL_HAS_LAPACK)
extern "C" {
void dsyevd_(const char* job, const char* triangle, const int* n, double* a, const int* stride, double* values, double* work, const int* work_size,
             int* integer_work, const int* integer_work_size, int* info);
void dsyevr_(const char* job, const char* range, const char* triangle, const int* n, double* a, const int* stride, const double* low, const double* high,
             const int* first, const int* last, const double* tolerance, int* found, double* values, double* vectors, const int* vector_stride,
             int* support, double* work, const int* work_size, int* integer_work, const int* integer_work_size, int* info);
}
#endif

namespace ventral::inline v0::brain {

namespace {

[[maybe_unused]] constexpr Index small = 256;  // rows up to which Eigen is used in any case: a threaded LAPACK waits more than it works there

void check_symmetric_input(const double* a, Index n) {
  require<ShapeError>(n <= 30000, "symmetric_eigen: ", n, " rows; at most 30000 are supported");
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j <= i; ++j) require(std::isfinite(a[i * n + j]), "symmetric_eigen: entry (", i, ",", j, ") is ", a[i * n + j], "; finite numbers are needed");
}

Index side_of(const Tensor<double>& a) {
  require<ShapeError>(a.rank() == 2 && a.dim(0) == a.dim(1), "symmetric_eigen: a matrix of shape ", a.shape(), "; a square one is needed");
  return a.dim(0);
}

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> decomposed(const double* a, Index n) {
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(Eigen::Map<const RowMajor>(a, n, n));
  require(solver.info() == Eigen::Success, "symmetric_eigen: Eigen did not converge on ", n, " rows");
  return solver;
}

void solve_by_eigen(double* a, Index n, double* values) {
  const auto solver = decomposed(a, n);
  Eigen::Map<RowMajor>(a, n, n) = solver.eigenvectors().transpose();
  Eigen::Map<Eigen::VectorXd>(values, n) = solver.eigenvalues();
}

Eigenpair leading_by_eigen(const Tensor<double>& a, Index n) {
  const auto solver = decomposed(a.data(), n);
  Eigenpair pair{solver.eigenvalues()[n - 1], std::vector<double>(static_cast<std::size_t>(n))};
  Eigen::Map<Eigen::VectorXd>(pair.vector.data(), n) = solver.eigenvectors().col(n - 1);
  return pair;
}

#if defined(VENTRAL_HAS_LAPACK)

void require_converged(int info, Index n) { require(info == 0, "symmetric_eigen: LAPACK did not converge on ", n, " rows (info ", info, ")"); }

// LAPACK stores by columns: the lower triangle of our rows is its upper one, and its eigenvector columns are our rows.
void solve_by_lapack(double* a, Index n, double* values) {
  const int size = static_cast<int>(n), query = -1;
  int info = 0, integer_best = 0;
  double best = 0;
  dsyevd_("V", "U", &size, a, &size, values, &best, &query, &integer_best, &query, &info);
  require_converged(info, n);
  const int work_size = static_cast<int>(best);
  Tensor<double> work = Tensor<double>::uninitialized({work_size});
  std::vector<int> integer_work(static_cast<std::size_t>(integer_best));
  dsyevd_("V", "U", &size, a, &size, values, work.data(), &work_size, integer_work.data(), &integer_best, &info);
  require_converged(info, n);
}

Eigenpair leading_by_lapack(Tensor<double> a, Index n) {
  const int size = static_cast<int>(n), query = -1;
  const double unused = 0;
  int info = 0, integer_best = 0, found = 0, support[2];
  double best = 0;
  std::vector<double> values(static_cast<std::size_t>(n));
  Eigenpair pair{0, std::vector<double>(static_cast<std::size_t>(n))};
  const auto call = [&](double* work, const int* work_size, int* integer_work, const int* integer_work_size) {
    dsyevr_("V", "I", "U", &size, a.data(), &size, &unused, &unused, &size, &size, &unused, &found, values.data(), pair.vector.data(), &size, support,
            work, work_size, integer_work, integer_work_size, &info);
    require_converged(info, n);
  };
  call(&best, &query, &integer_best, &query);
  const int work_size = static_cast<int>(best);
  std::vector<double> work(static_cast<std::size_t>(work_size));
  std::vector<int> integer_work(static_cast<std::size_t>(integer_best));
  call(work.data(), &work_size, integer_work.data(), &integer_best);
  pair.value = values[0];
  return pair;
}

#endif

}  // namespace

bool has_lapack() {
#if defined(VENTRAL_HAS_LAPACK)
  return true;
#else
  return false;
#endif
}

bool has_cusolver() {
#if defined(VENTRAL_HAS_CUSOLVER)
  return detail::gpu_is_there();
#else
  return false;
#endif
}

void symmetric_eigen_in_place(double* a, Index n, double* values) {
  check_symmetric_input(a, n);
  if (n == 0) return;
#if defined(VENTRAL_HAS_CUSOLVER)
  if (n > 2 * small && detail::eigen_on_gpu(a, n, values)) return;
#endif
#if defined(VENTRAL_HAS_LAPACK)
  if (n > small) return solve_by_lapack(a, n, values);
#endif
  solve_by_eigen(a, n, values);
}

SymmetricEigen symmetric_eigen(Tensor<double> a) {
  const Index n = side_of(a);
  SymmetricEigen result{std::vector<double>(static_cast<std::size_t>(n)), std::move(a)};
  symmetric_eigen_in_place(result.vectors.data(), n, result.values.data());
  return result;
}

Eigenpair leading_eigenpair(Tensor<double> a) {
  const Index n = side_of(a);
  require<ShapeError>(n >= 1, "leading_eigenpair: an empty matrix");
  check_symmetric_input(a.data(), n);
#if defined(VENTRAL_HAS_LAPACK)
  if (n > small) return leading_by_lapack(std::move(a), n);
#endif
  return leading_by_eigen(a, n);
}

}  // namespace ventral::inline v0::brain
