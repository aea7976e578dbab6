// ventral_bench_brain: the ventral side of compare.py. Reads commands, one a line, and answers `ok [SECONDS]` or the error:
//   load NAME FILE.npy...   reads the arrays of a row    run   computes it once, answers the seconds    save FILE.npy   writes the last result
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ventral/brain/comparators.hpp"
#include "ventral/brain/distances.hpp"
#include "ventral/brain/inference.hpp"
#include "ventral/brain/pls.hpp"
#include "ventral/brain/ridge.hpp"
#include "ventral/io/npy.hpp"

using namespace ventral;

namespace {

using Doubles = std::vector<double>;
using Work = std::function<Doubles()>;
using Files = std::vector<std::string>;

Doubles first_rows(const Tensor<double>& y, Index rows) { return Doubles(y.begin(), y.begin() + rows * y.dim(1)); }

template <class T>
Work correlation_rdm(const Files& files) {
  return [x = std::make_shared<Tensor<T>>(read_npy<T>(files.at(0)))] {
    const brain::Rdm rdm = brain::rdm(*x, brain::Distance::correlation);
    return Doubles(rdm.values().begin(), rdm.values().end());
  };
}

Work tau(const Files& files) {
  return [x = std::make_shared<Tensor<double>>(read_npy<double>(files.at(0))), y = std::make_shared<Tensor<double>>(read_npy<double>(files.at(1)))] {
    const auto span = [](const Tensor<double>& t) { return std::span<const double>(t.data(), static_cast<std::size_t>(t.size())); };
    return Doubles{brain::kendall_tau_a(span(*x), span(*y))};
  };
}

/// The mean of every model over the samples of conditions and subjects; the whole evaluation (three bootstraps, ceilings, tests) is timed.
Work dual_bootstrap(const Files& files) {
  std::vector<brain::ModelRdm> models;
  for (brain::Rdm& rdm : brain::rdms_from_rows(read_npy<double>(files.at(0)))) models.push_back({concat("m", models.size()), std::move(rdm)});
  return [models, subjects = brain::rdms_from_rows(read_npy<double>(files.at(1)))] {
    const brain::Evaluation e = brain::evaluate_models(models, subjects, {.comparator = brain::Comparator::tau_a, .samples = 1000});
    const Tensor<double>& samples = e.samples();
    Doubles mean(models.size(), 0.0);
    Index used = 0;
    for (Index i = 0; i < samples.dim(0); ++i) {
      const double* row = samples.data() + i * samples.dim(1);
      if (row[0] != row[0]) continue;
      ++used;
      for (std::size_t m = 0; m < mean.size(); ++m) mean[m] += row[m];
    }
    for (double& v : mean) v /= static_cast<double>(used);
    return mean;
  };
}

struct Regression {
  Tensor<double> x, y;
};
std::shared_ptr<Regression> regression(const Files& files) { return std::make_shared<Regression>(Regression{read_npy<double>(files.at(0)), read_npy<double>(files.at(1))}); }

Tensor<double> head(const Tensor<double>& x, Index rows) {
  Tensor<double> out({rows, x.dim(1)});
  std::copy_n(x.data(), out.size(), out.data());
  return out;
}

Work pls(const Files& files) {
  return [data = regression(files)] { return first_rows(brain::fit_pls(data->x, data->y, {.components = 25}).predict(head(data->x, 50)), 50); };
}

Work ridge(const Files& files, brain::RidgeRoute route) {
  const Tensor<double> alphas = read_npy<double>(files.at(2));
  return [data = regression(files), penalties = Doubles(alphas.begin(), alphas.end()), route] {
    return first_rows(brain::fit_ridge(data->x, data->y, {.penalties = penalties, .route = route}).predict(head(data->x, 50)), 50);
  };
}

Work find_row(const std::string& name, const Files& files) {
  if (name == "rdm_correlation_double") return correlation_rdm<double>(files);
  if (name == "rdm_correlation_float") return correlation_rdm<float>(files);
  if (name == "tau_a") return tau(files);
  if (name == "dual_bootstrap") return dual_bootstrap(files);
  if (name == "pls25") return pls(files);
  if (name == "ridge_eigen") return ridge(files, brain::RidgeRoute::eigen);
  if (name == "ridge_cholesky") return ridge(files, brain::RidgeRoute::cholesky);
  throw Error(concat("no row '", name, "'"));
}

Files words(const char* line) {
  Files found(1);
  for (; *line && *line != '\n'; ++line) {
    if (*line == ' ') found.emplace_back();
    else found.back() += *line;
  }
  return found;
}

}  // namespace

int main() {
  Work work;
  Doubles result;
  char line[4096];
  while (std::fgets(line, sizeof line, stdin)) {
    try {
      const Files command = words(line);
      double seconds = 0;
      if (command[0] == "load") {
        work = find_row(command.at(1), Files(command.begin() + 2, command.end()));
      } else if (command[0] == "run") {
        require(static_cast<bool>(work), "run before load");
        const auto start = std::chrono::steady_clock::now();
        result = work();
        seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      } else if (command[0] == "save") {
        write_npy(command.at(1), Tensor<double>({static_cast<Index>(result.size())}, result));
      } else {
        throw Error(concat("no command '", command[0], "'"));
      }
      std::printf("ok %.9f\n", seconds);
    } catch (const std::exception& e) {
      std::printf("error %s\n", e.what());
    }
    std::fflush(stdout);
  }
  return 0;
}
