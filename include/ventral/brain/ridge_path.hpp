#pragma once
#include <numeric>
#include <span>

#include "ventral/brain/cholesky.hpp"
#include "ventral/brain/decompositions.hpp"

namespace ventral::inline v0::brain {

/// How the penalised system is solved: one eigen-decomposition for all penalties, or one Cholesky factorisation for each.
enum class RidgeRoute { automatic, eigen, cholesky };

/// `count` numbers from low to high, evenly spaced in their logarithm. Throws Error unless 0 < low < high and count >= 2.
inline std::vector<double> log_spaced(double low, double high, Index count) {
  require(0 < low && low < high && count >= 2, "log_spaced: ", count, " numbers from ", low, " to ", high,
          "; needs 0 < low < high and at least 2 numbers");
  std::vector<double> values;
  const double a = std::log10(low), b = std::log10(high);
  for (Index i = 0; i < count; ++i) values.push_back(std::pow(10, a + (b - a) * static_cast<double>(i) / static_cast<double>(count - 1)));
  return values;
}

struct RidgeOptions {
  std::vector<double> penalties = log_spaced(0.1, 1e7, 33);  ///< candidates, all positive
  bool per_site = false;                                     ///< one penalty for each site instead of one for all
  Index folds = 0;                                           ///< 0: leave one stimulus out; k: k contiguous folds, the first n mod k one longer
  std::vector<Index> fold_of = {};                           ///< the fold of each training stimulus, from 0; instead of `folds`
  RidgeRoute route = RidgeRoute::automatic;  ///< automatic: eigen with LAPACK or cuSOLVER up to 6000 rows, or below 200; else Cholesky
};

namespace detail {

/// The ridge systems (A + alpha I) S = B Y for all penalties alpha: dual with A = X X', B = I, or primal with A = X'X, B = X'.
/// At one penalty (A + alpha I)^-1 = F'D F (eigenvectors, or the inverse Cholesky factor with D = 1); rows = F B.
/// Leaving stimuli out multiplies by R = base I + scale rows' D rows + shift 1 1', the matrix that makes residuals of responses.
class RidgePath {
 public:
  /// Dual from K = X X' [n,n], y [n,q] centred.
  static RidgePath dual(Tensor<double> k, const Tensor<double>& y, RidgeRoute route) {
    const Index n = y.dim(0);
    RidgePath path(std::move(k), nullptr, y, n);
    // K has the null vector 1, which would cost digits at small penalties: it gets the mean eigenvalue instead, and `shift` takes it out again.
    double trace = 0;
    for (Index i = 0; i < n; ++i) trace += path.a_[i * n + i];
    path.lifted_ = trace > 0 ? trace / static_cast<double>(n) : 1.0;
    for (double& v : path.a_) v += path.lifted_ / static_cast<double>(n);
    path.right_ = y.clone();
    path.prepare(route);
    return path;
  }
  /// Primal from X [n,p] and y [n,q], both centred.
  static RidgePath primal(const Tensor<double>& x, const Tensor<double>& y, RidgeRoute route) {
    const Index p = x.dim(1), q = y.dim(1), n = x.dim(0);
    RidgePath path(symmetric_product(x, true), &x, y, n);
    path.right_ = Tensor<double>({p, q});
    multiply(p, q, n, 1, {x.data(), p, true}, {y.data(), q}, 0, path.right_.data(), q);
    path.prepare(route);
    return path;
  }

  /// Solves for one penalty.
  void solve(double penalty) {
    penalty_ = penalty;
    solution_.resize(right_.shape());
    eigen_ ? solve_by_eigen() : solve_by_cholesky();
    residuals_.resize(y_.shape());
    if (x_) {
      residuals_.copy_from(y_);
      multiply(n_, q_, r_, -1, {x_->data(), r_}, {solution_.data(), q_}, 1, residuals_.data(), q_);
    } else {
      for (Index i = 0; i < residuals_.size(); ++i) residuals_[i] = penalty * solution_[i];
    }
  }
  /// S [r,q]: coefficients of features (primal) or of stimuli (dual).
  const Tensor<double>& solution() const { return solution_; }
  /// Errors of predicting each stimulus from the fit without its fold, [n,q]; folds of one stimulus by the diagonal alone.
  Tensor<double> left_out_errors(std::span<const std::vector<Index>> folds) const {
    Tensor<double> errors = residuals_.clone();
    if (static_cast<Index>(folds.size()) < n_) {
      for (const std::vector<Index>& fold : folds) leave_out(fold, errors);
      return errors;
    }
    const std::vector<double> r = diagonal();
    for (Index i = 0; i < n_; ++i)
      for (Index j = 0; j < q_; ++j) errors[i * q_ + j] /= r[static_cast<std::size_t>(i)];
    return errors;
  }

 private:
  RidgePath(Tensor<double> a, const Tensor<double>* x, const Tensor<double>& y, Index n)
      : a_(std::move(a)), x_(x), y_(y), n_(n), q_(y.dim(1)), r_(a_.dim(0)) {}

  void prepare(RidgeRoute route) {
    eigen_ = route == RidgeRoute::automatic ? (has_lapack() || has_cusolver() ? r_ <= 6000 : r_ < 200) : route == RidgeRoute::eigen;
    diagonal_.resize(static_cast<std::size_t>(r_));
    if (!eigen_) {
      for (Index i = 0; i < r_; ++i) diagonal_[static_cast<std::size_t>(i)] = a_[i * r_ + i];
      return;
    }
    symmetric_eigen_in_place(a_.data(), r_, diagonal_.data());
    for (double& value : diagonal_) value = std::max(value, 0.0);
    rows_right_ = Tensor<double>({r_, q_});
    multiply(r_, q_, r_, 1, {a_.data(), r_}, {right_.data(), q_}, 0, rows_right_.data(), q_);
    if (!x_) return;
    rows_ = Tensor<double>({r_, n_});
    multiply(r_, n_, r_, 1, {a_.data(), r_}, {x_->data(), r_, true}, 0, rows_.data(), n_);
  }

  void solve_by_eigen() {
    Tensor<double> scaled = rows_right_.clone();
    for (Index k = 0; k < r_; ++k)
      for (Index j = 0; j < q_; ++j) scaled[k * q_ + j] *= weight(k);
    multiply(r_, q_, r_, 1, {a_.data(), r_, true}, {scaled.data(), q_}, 0, solution_.data(), q_);
  }

  // A stays in the upper triangle while the lower one is factored: no second matrix, whatever the number of penalties.
  void solve_by_cholesky() {
    double* const a = a_.data();
    const Index r = r_;
    cpu::parallel_ranges(r, 32, [&](Index first, Index last) {
      for (Index j = 0; j < last; j += 32)
        for (Index i = first; i < last; ++i)
          for (Index k = j; k < std::min(j + 32, i); ++k) a[i * r + k] = a[k * r + i];
    });
    for (Index i = 0; i < r; ++i) a[i * r + i] = diagonal_[static_cast<std::size_t>(i)] + penalty_;
    cholesky_in_place(a, r, r);
    solution_.copy_from(right_);
    solve_triangular(TriangularSystem::left, a, r, r, solution_.data(), q_, q_);
    solve_triangular(TriangularSystem::left_transposed, a, r, r, solution_.data(), q_, q_);
    if (!x_) return invert_triangular(a, r, r);
    rows_.resize({r, n_});
    for (Index i = 0; i < n_; ++i)
      for (Index k = 0; k < r; ++k) rows_[k * n_ + i] = (*x_)[i * r + k];
    solve_triangular(TriangularSystem::left, a, r, r, rows_.data(), n_, n_);
  }

  double weight(Index k) const { return eigen_ ? 1 / (diagonal_[static_cast<std::size_t>(k)] + penalty_) : 1.0; }
  const double* row(Index k) const { return x_ ? rows_.data() + k * n_ : a_.data() + k * n_; }
  /// Columns of row k that count: the inverse Cholesky factor ends at its diagonal.
  Index row_end(Index k) const { return x_ || eigen_ ? n_ : k + 1; }
  double base() const { return x_ ? 1 : 0; }
  double scale() const { return x_ ? -1 : penalty_; }
  double shift() const { return -(x_ ? 1 : penalty_ / (lifted_ + penalty_)) / static_cast<double>(n_); }

  std::vector<double> diagonal() const {
    std::vector<double> d(static_cast<std::size_t>(n_), 0.0);
    cpu::parallel_ranges(n_, 128, [&](Index first, Index last) {
      for (Index k = 0; k < r_; ++k) {
        const double w = weight(k);
        const double* const v = row(k);
        for (Index i = first; i < std::min(last, row_end(k)); ++i) d[static_cast<std::size_t>(i)] += w * v[i] * v[i];
      }
      for (Index i = first; i < last; ++i) d[static_cast<std::size_t>(i)] = base() + scale() * d[static_cast<std::size_t>(i)] + shift();
    });
    return d;
  }

  /// errors_I = R_II^-1 residuals_I for the stimuli I of one fold.
  void leave_out(std::span<const Index> fold, Tensor<double>& errors) const {
    const Index m = static_cast<Index>(fold.size());
    Tensor<double> part({r_, m}), rhs({m, q_});
    for (Index k = 0; k < r_; ++k)
      for (Index c = 0; c < m; ++c)
        if (fold[static_cast<std::size_t>(c)] < row_end(k)) part[k * m + c] = std::sqrt(weight(k)) * row(k)[fold[static_cast<std::size_t>(c)]];
    Tensor<double> r = symmetric_product(part, true);
    for (Index i = 0; i < m * m; ++i) r[i] = scale() * r[i] + shift() + (i % (m + 1) == 0 ? base() : 0.0);
    for (Index c = 0; c < m; ++c) std::copy_n(residuals_.data() + fold[static_cast<std::size_t>(c)] * q_, q_, rhs.data() + c * q_);
    cholesky_in_place(r.data(), m, m);
    cholesky_solve(r, rhs);
    for (Index c = 0; c < m; ++c) std::copy_n(rhs.data() + c * q_, q_, errors.data() + fold[static_cast<std::size_t>(c)] * q_);
  }

  Tensor<double> a_;         // A with its factor below the diagonal, or the eigenvectors as rows
  const Tensor<double>* x_;  // centred features (primal) or null (dual)
  const Tensor<double>& y_;
  Index n_, q_, r_;
  bool eigen_ = false;
  double lifted_ = 0, penalty_ = 0;
  std::vector<double> diagonal_;  // eigenvalues, or the diagonal of A
  Tensor<double> right_, rows_right_, rows_, solution_, residuals_;
};

/// The stimuli of each fold.
inline std::vector<std::vector<Index>> ridge_folds(const RidgeOptions& options, Index n) {
  std::vector<std::vector<Index>> folds;
  if (!options.fold_of.empty()) {
    require<ShapeError>(static_cast<Index>(options.fold_of.size()) == n, "ridge: folds of ", options.fold_of.size(), " stimuli for ", n,
                        " training stimuli");
    const Index count = *std::max_element(options.fold_of.begin(), options.fold_of.end()) + 1;
    require(count <= n, "ridge: fold ", count - 1, " of ", n, " training stimuli; folds are numbered from 0, none is empty");
    folds.resize(static_cast<std::size_t>(std::max(Index{0}, count)));
    for (Index i = 0; i < n; ++i) {
      const Index fold = options.fold_of[static_cast<std::size_t>(i)];
      require(fold >= 0, "ridge: fold ", fold, " of stimulus ", i, " is negative");
      folds[static_cast<std::size_t>(fold)].push_back(i);
    }
    require(count >= 2, "ridge: ", count, " fold; at least 2 are needed");
    for (std::size_t f = 0; f < folds.size(); ++f) require(!folds[f].empty(), "ridge: fold ", f, " has no stimuli");
    return folds;
  }
  const Index count = options.folds == 0 ? n : options.folds;
  require(2 <= count && count <= n, "ridge: ", count, " folds of ", n, " stimuli; needs 0 (leave one out) or 2 to the number of stimuli");
  for (Index f = 0, i = 0; f < count; ++f) {
    folds.emplace_back(static_cast<std::size_t>(n / count + (f < n % count ? 1 : 0)));
    for (Index& row : folds.back()) row = i++;
  }
  return folds;
}

/// The solution at the penalties with the smallest left-out error.
struct RidgeChoice {
  Tensor<double> solution;        // [r,q]
  std::vector<double> penalty;    // [q]
  Tensor<double> validation_mse;  // [penalties,q]
};

inline RidgeChoice choose_penalty(RidgePath& path, Index n, Index q, const RidgeOptions& options) {
  const Index count = static_cast<Index>(options.penalties.size());
  const auto folds = ridge_folds(options, n);
  RidgeChoice choice{{}, std::vector<double>(static_cast<std::size_t>(q), options.penalties[0]), Tensor<double>({count, q})};
  std::vector<double> best(static_cast<std::size_t>(q), INFINITY);
  for (Index a = 0; a < count; ++a) {
    path.solve(options.penalties[static_cast<std::size_t>(a)]);
    const Tensor<double> errors = path.left_out_errors(folds);
    double* const mse = choice.validation_mse.data() + a * q;
    for (Index i = 0; i < n * q; ++i) mse[i % q] += errors[i] * errors[i];
    for (Index j = 0; j < q; ++j) mse[j] /= static_cast<double>(n);
    const double mean = std::accumulate(mse, mse + q, 0.0) / static_cast<double>(q);
    if (a == 0) choice.solution = path.solution().clone();
    for (Index j = 0; j < q; ++j) {
      const double score = options.per_site ? mse[j] : mean;
      if (!(score < best[static_cast<std::size_t>(j)])) continue;
      best[static_cast<std::size_t>(j)] = score;
      choice.penalty[static_cast<std::size_t>(j)] = options.penalties[static_cast<std::size_t>(a)];
      for (Index i = 0; i < choice.solution.dim(0); ++i) choice.solution[i * q + j] = path.solution()[i * q + j];
    }
  }
  return choice;
}

inline void require_penalties(const RidgeOptions& options) {
  require(!options.penalties.empty(), "ridge: no penalties; at least 1 is needed");
  for (const double penalty : options.penalties)
    require(penalty > 0 && std::isfinite(penalty), "ridge: penalty ", penalty, "; positive ones are needed");
}

}  // namespace detail

}  // namespace ventral::inline v0::brain
