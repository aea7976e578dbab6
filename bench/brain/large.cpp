// ventral_bench_brain_large [CONDITIONS FEATURES FOLDER]: Gram matrix, RDM, CKA, PLS and ridge of a layer too large for memory, from a .npy file by column chunks.
// Prints seconds and the most memory held so far after each step; the default, 10000 x 100000 in float, is a file of 4 GB in the current folder, deleted at the end.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "ventral/brain/cka.hpp"
#include "ventral/brain/gram.hpp"
#include "ventral/brain/npy_features.hpp"
#include "ventral/brain/pls_gram.hpp"
#include "ventral/brain/ridge_gram.hpp"
#include "ventral/brain/splits.hpp"

using namespace ventral;

namespace {

/// Rectified features with common structure, a row at a time: float32 [n,p].
void write_features(const std::string& path, Index n, Index p) {
  constexpr Index common = 16;
  std::string header = concat("\x93NUMPY\x01", std::string(1, '\0'), "??{'descr': '<f4', 'fortran_order': False, 'shape': (", n, ", ", p, "), }");
  header.append(63 - header.size() % 64, ' ') += '\n';
  const auto length = static_cast<std::uint16_t>(header.size() - 10);
  header[8] = static_cast<char>(length & 255), header[9] = static_cast<char>(length >> 8);
  std::ofstream out(path, std::ios::binary);
  out << header;
  Tensor<float> row({p});
  for (Index i = 0; i < n; ++i) {
    const Random random(7, static_cast<std::uint64_t>(i)), shared(11);
    float weight[common];
    for (Index k = 0; k < common; ++k) weight[k] = random.uniform_at(static_cast<std::uint64_t>(k)) - 0.5f;
    cpu::parallel_ranges(p, 4096, [&](Index first, Index last) {
      for (Index j = first; j < last; ++j) {
        float v = random.uniform_at(static_cast<std::uint64_t>(common + j)) - 0.5f;
        const auto block = shared.block(static_cast<std::uint64_t>(j));
        for (Index k = 0; k < common; ++k) v += weight[k] * (static_cast<float>((block[static_cast<std::size_t>(k / 4)] >> (8 * (k % 4))) & 255) / 128 - 1);
        row[j] = v > 0 ? v : 0;
      }
    });
    out.write(reinterpret_cast<const char*>(row.data()), static_cast<std::streamsize>(p * 4));
  }
  require<FileError>(out.good(), path, ": cannot be written");
}

/// Prints what a step took.
class Steps {
 public:
  void done(const char* what) {
    const auto now = std::chrono::steady_clock::now();
    rusage use{};
    getrusage(RUSAGE_SELF, &use);
    std::printf("%-58s %8.1f s   %5ld MB at most so far\n", what, std::chrono::duration<double>(now - last_).count(), use.ru_maxrss / 1024);
    std::fflush(stdout);
    last_ = std::chrono::steady_clock::now();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

int run(Index n, Index p, const std::string& folder) {
  constexpr Index sites = 168;
  const std::string path = folder + "/ventral_large.npy";
  Steps steps;
  write_features(path, n, p);
  steps.done("wrote the features");
  brain::Gram layer = brain::gram(brain::NpyFeatures(path));
  std::remove(path.c_str());
  steps.done("Gram matrix from the file");
  {
    const brain::Rdm rdm = brain::rdm(layer, brain::Distance::correlation);
    steps.done(concat("RDM (correlation), ", rdm.pairs(), " pairs").c_str());
  }
  Tensor<double> y({n, sites});  // sites: noisy copies of conditions' similarities to some of them
  Random random(3);
  for (Index i = 0; i < n; ++i)
    for (Index s = 0; s < sites; ++s) y[i * sites + s] = layer.centred[i * n + s] / layer.centred[0] + 0.1 * random.normal();
  {
    const double cka = brain::linear_cka(layer, brain::gram(y));
    steps.done(concat("linear CKA with ", sites, " sites: ", cka).c_str());
  }
  const std::vector<brain::Split> splits = brain::k_fold(n, 5);
  for (int fold = 0; fold < 2; ++fold) {
    const brain::Split& split = splits[static_cast<std::size_t>(fold)];
    Tensor<double> y_train({static_cast<Index>(split.train.size()), sites});
    for (std::size_t i = 0; i < split.train.size(); ++i) std::copy_n(y.data() + split.train[i] * sites, sites, y_train.data() + static_cast<Index>(i) * sites);
    const Tensor<double> k = centred_gram(layer, split.train);
    const Tensor<double> predicted = brain::fit_pls_gram(k, y_train, {.components = 25}).predict(cross_gram(layer, split.test, split.train));
    steps.done(concat("PLS, 25 components, split ", fold + 1, " of 5: ", predicted.dim(0), " stimuli predicted").c_str());
  }
  const brain::GramRidge ridge = brain::fit_ridge_gram(std::move(layer.centred), y, {.penalties = brain::log_spaced(1e2, 1e8, 3), .route = brain::RidgeRoute::cholesky});
  steps.done(concat("ridge by Cholesky in place, 3 penalties, leave one out: ", ridge.penalty[0]).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const Index n = argc > 1 ? std::atol(argv[1]) : 10000, p = argc > 2 ? std::atol(argv[2]) : 100000;
  try {
    return run(n, p, argc > 3 ? argv[3] : ".");
  } catch (const Error& e) {
    std::fprintf(stderr, "ventral_bench_brain_large: %s\n", e.what());
    return 1;
  }
}
