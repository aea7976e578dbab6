#pragma once
#include <memory>
#include <string>

#include "support/harness.hpp"
#include "ventral/window.hpp"

/// The references besides LibTorch. Each is seen by one file of its name only; where the library was not found no_X.cpp stands in: its version is empty and
/// every maker returns null. Inputs are borrowed, not copied: they must outlive the contender.
namespace bench {

using ventral::In;

/// c = a b, or a b^T, in the BLAS that LibTorch uses too.
namespace openblas {
/// "OpenBLAS OpenMP SkylakeX", or empty without it.
std::string version();
void prepare(int threads);
std::unique_ptr<Contender> gemm(In<float> a, In<float> b, bool b_transposed);
std::unique_ptr<Contender> gemm(In<double> a, In<double> b, bool b_transposed);
}  // namespace openblas

/// The same in Eigen, compiled for this machine.
namespace eigen {
std::string version();
void prepare(int threads);
std::unique_ptr<Contender> gemm(In<float> a, In<float> b, bool b_transposed);
std::unique_ptr<Contender> gemm(In<double> a, In<double> b, bool b_transposed);
}  // namespace eigen

namespace onednn {
std::string version();
void prepare(int threads);
std::unique_ptr<Contender> gemm(In<float> a, In<float> b, bool b_transposed);
/// oneDNN has no product in double.
inline std::unique_ptr<Contender> gemm(In<double>, In<double>, bool) { return nullptr; }

/// How the arrays of a convolution lie.
enum class Way {
  rows,       ///< N,C,H,W and O,I,H,W throughout
  reordered,  ///< the same outside; converted to oneDNN's own layout before the work, and back after it
  own,        ///< in its own layout, without conversions
  winograd    ///< likewise, by Winograd's algorithm
};
/// x [N,C,H,W], w [O,C/groups,kh,kw], b [O]. Null where oneDNN cannot.
std::unique_ptr<Contender> conv2d_forward(Way way, const ventral::Window& window, Index groups, In<float> x, In<float> w, In<float> b);
std::unique_ptr<Contender> conv2d_backward_data(Way way, const ventral::Window& window, Index groups, In<float> x, In<float> w, In<float> dy);
/// Outputs dw, db.
std::unique_ptr<Contender> conv2d_backward_weights(Way way, const ventral::Window& window, Index groups, In<float> x, In<float> w, In<float> dy);
}  // namespace onednn

}  // namespace bench
