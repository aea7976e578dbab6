#include <optional>

#include "brain_conformance/case.hpp"
#include "ventral/brain/comparators.hpp"
#include "ventral/brain/distances.hpp"
#include "ventral/brain/noise_ceiling.hpp"

namespace brain_conformance {

namespace {

using Rdms = std::vector<brain::Rdm>;

/// The RDMs of the two data sets, read once each.
class Data92 {
 public:
  explicit Data92(std::string folder) : folder_(std::move(folder)) {}

  /// `human_IT_mean`, `monkey_IT`, `human_subjects`, `cichy_it_subject`, `model_V1`, `pixels_correlation`, ...: one RDM, or one for each subject. Nothing for a name it does not know.
  std::optional<Rdms> find(std::string name) {
    for (const char* tail : {"_mean_of_4", "_mean_of_15", "_of_4", "_of_15", "_subject_mean", "_subjects"})
      if (name.ends_with(tail) && name.find("IT_mean") == std::string::npos) name.resize(name.size() - std::string(tail).size());
    if (name == "human_IT_mean") return stack("kriegeskorte92/human_it_rdm_mean.npy");
    if (name == "monkey_IT") return stack("kriegeskorte92/monkey_it_rdm.npy");
    if (name == "human" || name == "human_subjects") return stack("kriegeskorte92/human_it_rdms.npy");
    if (name == "human_sessions") return stack("kriegeskorte92/human_it_rdms_sessions.npy");
    if (name == "behaviour") return stack("kriegeskorte92/behaviour_rdms.npy");
    if (name == "cichy_it") return stack("cichy92/fmri_it_rdms.npy");
    if (name == "cichy_evc") return stack("cichy92/fmri_evc_rdms.npy");
    if (name == "cichy_it_mean" || name == "cichy_evc_mean") return Rdms{brain::mean_rdm(*find(name.substr(0, name.size() - 5)))};
    if (name.starts_with("model_pixel")) name = name.substr(6);
    if (name.starts_with("pixel")) return pixels(name);
    if (!name.starts_with("model_")) return std::nullopt;
    const std::vector<std::string> lines = split(text("kriegeskorte92/model_rdms_names.txt"), "\n");
    const Rdms models = stack("kriegeskorte92/model_rdms.npy");
    for (std::size_t i = 0; i < models.size() && i < lines.size(); ++i)
      if (lines[i] == name.substr(6)) return Rdms{models[i]};
    return std::nullopt;
  }

 private:
  std::string text(const std::string& file) {
    const Bytes bytes = read_file(join_path(folder_, file));
    return std::string(bytes.begin(), bytes.end());
  }
  Rdms stack(const std::string& file) { return brain::rdms_from_matrices(read_npy<double>(join_path(folder_, file))); }
  /// RDM of the raw pixels, by the distance that the name ends with; correlation when it names none.
  Rdms pixels(const std::string& name) {
    const Tensor<std::uint8_t> images = read_npy<std::uint8_t>(join_path(folder_, "kriegeskorte92/stimuli_rgb_u8.npy"));
    const Tensor<double> x = images.cast<double>();
    using brain::Distance;
    const Distance distance = name.ends_with("sqeuclidean") ? Distance::squared_euclidean : name.ends_with("euclidean") ? Distance::euclidean : name.ends_with("cosine") ? Distance::cosine : Distance::correlation;
    Tensor<double> rows({images.dim(0), images.size() / images.dim(0)});
    rows.copy_from(x.reshaped(rows.shape()));
    return {brain::rdm(rows, distance)};
  }

  std::string folder_;
};

std::optional<double> value(Data92& data, const std::string& quantity, const std::string& statistic) {
  const auto pool = statistic.ends_with("_rawmean") ? brain::CeilingPool::raw_mean : statistic.ends_with("_bound") ? brain::CeilingPool::bound : brain::CeilingPool::ranked_again;
  const brain::Comparator comparator = brain::comparator_named(pool == brain::CeilingPool::ranked_again ? statistic : statistic.substr(0, statistic.rfind('_')));
  if (const std::size_t at = quantity.find("_ceiling_"); at != std::string::npos) {
    const auto subjects = data.find(quantity.substr(0, at));
    if (!subjects) return std::nullopt;
    const brain::NoiseCeiling ceiling = brain::noise_ceiling(*subjects, comparator, {.pool = pool});
    return quantity.ends_with("_lower") ? ceiling.lower : ceiling.upper;
  }
  const std::size_t at = quantity.find("_vs_");
  if (at == std::string::npos) return std::nullopt;
  const auto a = data.find(quantity.substr(0, at)), b = data.find(quantity.substr(at + 4));
  if (!a || !b) return std::nullopt;
  double sum = 0;  // several subjects: the mean over them
  for (const brain::Rdm& one : *a)
    for (const brain::Rdm& other : *b) sum += brain::compare(one, other, comparator);
  return sum / static_cast<double>(a->size() * b->size());
}

}  // namespace

void run_k92_table(const std::string& table, const std::string& data, Report& report) {
  Data92 rdms92(data);
  const auto rows = read_table(table);
  for (std::size_t i = 1; i < rows.size(); ++i) {
    require(rows[i].size() >= 3, table, ": line ", i + 1, " has ", rows[i].size(), " columns; quantity, statistic, value expected");
    const std::string name = concat("k92.", rows[i][0], ".", rows[i][1]);
    if (data.empty()) {
      report.skip(name, "needs --data DATADIR");
      continue;
    }
    try {
      const std::optional<double> got = value(rdms92, rows[i][0], rows[i][1]);
      if (got) report.compare(name, {*got}, {std::stod(rows[i][2])}, {0, 1e-6});
      else report.skip(name, "not offered: quantity of another kind");
    } catch (const Error& e) {
      report.fail(name, e.what());
    }
  }
}

}  // namespace brain_conformance
