#pragma once
#include <vector>

#include "ventral/tensor.hpp"

// The functions here are compiled in decompositions.cpp, target ventral::brain: Eigen costs seconds to compile, and LAPACK is found or not.
namespace ventral::inline v0::brain {

/// Whether this build calls LAPACK (dsyevd, dsyevr) above 256 rows. Without it Eigen does the same work, several times slower from 1000 rows on.
bool has_lapack();

/// Whether matrices of more than 512 rows are decomposed by cuSOLVER: built with VENTRAL_CUSOLVER, and a GPU is there.
bool has_cusolver();

/// Eigen-decomposition of a symmetric matrix.
struct SymmetricEigen {
  std::vector<double> values;  ///< ascending
  Tensor<double> vectors;      ///< row k is the unit eigenvector of values[k]; its sign is not specified
};

/// Eigenvalues and eigenvectors of a symmetric matrix: A = sum_k values[k] v_k v_k'.
/// a is [n,n]; only its lower triangle is read. Throws ShapeError when it is not square, Error when an entry is not finite or the iteration fails.
/// About 4 n^3 operations (LAPACK's divide and conquer; 2 n^2 numbers of work space) or 9 n^3 (Eigen's QL iteration).
SymmetricEigen symmetric_eigen(Tensor<double> a);

/// The same in place: a [n,n] is replaced by the eigenvectors as rows, values [n] receives the eigenvalues.
void symmetric_eigen_in_place(double* a, Index n, double* values);

/// One eigenvalue with its unit eigenvector.
struct Eigenpair {
  double value = 0;
  std::vector<double> vector;
};

/// The largest eigenvalue of a symmetric matrix a [n,n] and its eigenvector, without the others where LAPACK is used (4/3 n^3 operations).
/// Only the lower triangle is read. Errors as symmetric_eigen, and ShapeError on an empty matrix.
Eigenpair leading_eigenpair(Tensor<double> a);

}  // namespace ventral::inline v0::brain
