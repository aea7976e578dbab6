#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "ventral/brain/rdm.hpp"
#include "ventral/io/npy.hpp"

namespace brain_conformance {

using namespace ventral;
using Doubles = std::vector<double>;

/// How far a value may be off: below `absolute`, or below `relative` times the expected value, or below `of_spread` times the standard deviation of all expected ones.
struct Tolerance {
  double relative = 1e-9, absolute = 1e-11, of_spread = 0;
};

struct Count {
  int passed = 0, failed = 0, skipped = 0;
};

/// One line `pass|fail|skip NAME ...` for each expectation, and their count.
class Report {
 public:
  void compare(const std::string& name, const Doubles& got, const Doubles& expected, Tolerance tolerance);
  void fail(const std::string& name, const std::string& why);
  void skip(const std::string& name, const std::string& why);
  const Count& count() const { return count_; }

 private:
  Count count_;
};

/// The arrays of one case of a folder: <case>.<array>.npy. Arrays that are neither read nor compared are reported as skipped.
class Case {
 public:
  Case(std::string folder, std::string name, Report& report) : folder_(std::move(folder)), name_(std::move(name)), report_(report) {}
  /// `type` as in the manifest: float64, float32 or int64.
  void add(const std::string& array, const std::string& type) { types_[array] = type; }

  const std::string& name() const { return name_; }
  bool has(const std::string& array) const { return types_.contains(array); }
  std::vector<std::string> arrays() const;
  bool is_float(const std::string& array) const { return types_.at(array) == "float32"; }

  /// An input. Throws Error when the case lacks it or the file's type is not the manifest's.
  template <class T = double>
  Tensor<T> read(const std::string& array) {
    require(has(array), "array '", array, "' is missing");
    done_.insert(array);
    return read_npy<T>(path(array));
  }
  /// Compares what was computed with the array of that name, if the case has it.
  void expect(const std::string& array, const Doubles& got, Tolerance tolerance = {});
  template <class Values>
  void expect_all(const std::string& array, const Values& got, Tolerance tolerance = {}) {
    expect(array, Doubles(got.begin(), got.end()), tolerance);
  }
  /// Runs what belongs to one expectation; an exception fails that one alone.
  template <class Body>
  void attempt(const std::string& array, Body body) {
    if (!has(array)) return;
    try {
      body();
    } catch (const Error& e) {
      done_.insert(array);
      report_.fail(name_ + "." + array, e.what());
    }
  }
  void skip(const std::string& array, const std::string& why) {
    done_.insert(array);
    report_.skip(name_ + "." + array, why);
  }
  void skip_the_rest();

 private:
  std::string path(const std::string& array) const { return join_path(folder_, name_ + "." + array + ".npy"); }

  std::string folder_, name_;
  Report& report_;
  std::map<std::string, std::string> types_;
  std::set<std::string> done_;
};

inline Doubles doubles(const Tensor<double>& x) { return Doubles(x.begin(), x.end()); }
inline std::vector<Index> indices(const Tensor<std::int64_t>& x) { return std::vector<Index>(x.begin(), x.end()); }
/// "tau_a__rho_a" as {"tau_a", "rho_a"}.
std::vector<std::string> split(const std::string& text, const std::string& separator);

/// The lines of a file of tab-separated columns, empty ones left out.
std::vector<std::vector<std::string>> read_table(const std::string& path);

// What each kind of case computes, by the arrays that it has.
void run_rdm_case(Case& c);
void run_correlation_case(Case& c);
void run_ceiling_case(Case& c);
void run_resampling_case(Case& c);
void run_ridge_case(Case& c);
void run_pls_case(Case& c);
void run_reliability_case(Case& c);

/// Runs every row of the tables (quantity, statistic, value) on the real data of a folder; all rows are skipped when the folder is empty.
void run_k92_table(const std::string& table, const std::string& data, Report& report);
void run_v4_table(const std::string& table, const std::string& data, Report& report);

}  // namespace brain_conformance
