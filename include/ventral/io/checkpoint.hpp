#pragma once
#include <cstdlib>

#include "ventral/io/state.hpp"
#include "ventral/training.hpp"

namespace ventral::inline v0 {

namespace detail {

constexpr int checkpoint_version = 1;

/// Calls visit(name, tensor) for every array of a run that is not a count: parameters, buffers, the optimizer's state.
template <class T, class Space, class Visit>
void visit_run(Sequential<T, Space>& net, Optimizer<T, Space>& optimizer, Visit visit) {
  visit_state(net, [&](const std::string& name, auto& value) { visit("network." + name, value); });
  for (auto& s : optimizer.state()) visit("optimizer." + s.name, *s.value);
}

inline std::string exact_text(double v) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", v);
  return text;
}

/// The numbers of a checkpoint's metadata, or an error that names the one missing.
class CheckpointNumbers {
 public:
  explicit CheckpointNumbers(const Safetensors& file) : file_(file) {}
  const std::string& text(const char* key) const {
    const auto at = file_.metadata().find(key);
    require<FileError>(at != file_.metadata().end(), file_.path(), ": not a checkpoint: '", key, "' is not in its metadata");
    return at->second;
  }
  template <class Parse>
  auto parse(const char* key, Parse convert) const {
    const std::string& t = text(key);
    char* end = nullptr;
    const auto v = convert(t.c_str(), &end);
    require<FileError>(!t.empty() && *end == 0, file_.path(), ": '", key, "' in its metadata is '", t, "', which is no number");
    return v;
  }
  double real(const char* key) const {
    return parse(key, [](const char* s, char** end) { return std::strtod(s, end); });
  }
  Index integer(const char* key) const {
    return parse(key, [](const char* s, char** end) { return static_cast<Index>(std::strtoll(s, end, 10)); });
  }
  std::uint64_t natural(const char* key) const {
    return parse(key, [](const char* s, char** end) { return static_cast<std::uint64_t>(std::strtoull(s, end, 10)); });
  }

 private:
  const Safetensors& file_;
};

}  // namespace detail

/// Saves all that a training run needs to go on to the same bits: weights, buffers, the optimizer's state and rate, the random state of the network, and
/// how far the run is. A safetensors file, written to a temporary file and renamed. Throws FileError when it cannot be written; then the old one stays.
template <class T, class Space>
void save_checkpoint(const std::string& path, Sequential<T, Space>& net, Optimizer<T, Space>& optimizer, const TrainingState& state) {
  std::vector<Tensor<T, Cpu>> held;  // copies of what lies in another space
  std::vector<SafetensorsItem> items;
  detail::visit_run(net, optimizer, [&](const std::string& name, Tensor<T, Space>& value) {
    if constexpr (std::is_same_v<Space, Cpu>) {
      items.emplace_back(name, value);
    } else {
      held.push_back(value.template to<Cpu>());
      items.emplace_back(name, held.back());
    }
  });
  const auto& counts = optimizer.counts();
  items.emplace_back("counts", TensorRef<const Index>(counts.data(), {static_cast<Index>(counts.size())}));
  Metadata m;
  m["ventral.checkpoint"] = std::to_string(detail::checkpoint_version);
  m["optimizer"] = optimizer.kind();
  m["rate"] = detail::exact_text(optimizer.rate());
  m["epoch"] = std::to_string(state.epoch), m["step"] = std::to_string(state.step);
  m["best"] = detail::exact_text(state.best), m["best_epoch"] = std::to_string(state.best_epoch), m["waited"] = std::to_string(state.waited);
  m["network.seed"] = std::to_string(net.seed()), m["network.step"] = std::to_string(net.step());
  write_safetensors(path, std::move(items), m);
}

/// Reads a checkpoint into a network and an optimizer of the same kinds and shapes. Throws FileError for files that are no checkpoint, and Error that
/// lists all missing, unexpected and mis-shaped names together; network and optimizer are changed only when all fits.
template <class T, class Space>
TrainingState load_checkpoint(const std::string& path, Sequential<T, Space>& net, Optimizer<T, Space>& optimizer) {
  const Safetensors file = read_safetensors(path);
  const detail::CheckpointNumbers numbers(file);
  const Index version = numbers.integer("ventral.checkpoint");
  require<FileError>(version == detail::checkpoint_version, path, ": checkpoint of version ", version, "; this ventral reads version ",
                     detail::checkpoint_version);
  require(numbers.text("optimizer") == optimizer.kind(), path, ": saved with ", numbers.text("optimizer"), "; the optimizer is ", optimizer.kind());

  std::string problems;
  std::size_t wanted = 1;  // "counts"
  detail::visit_run(net, optimizer, [&](const std::string& name, const Tensor<T, Space>& value) {
    ++wanted;
    const SafetensorsEntry* e = file.find(name);
    if (!e) problems += concat("; missing: ", name, " ", value.shape());
    else if (e->shape != value.shape()) problems += concat("; other shape: ", name, " is ", e->shape, ", expected ", value.shape());
  });
  const Index parameters = static_cast<Index>(optimizer.counts().size());
  if (const SafetensorsEntry* e = file.find("counts"); !e || e->shape != Shape{parameters}) problems += concat("; missing: counts [", parameters, "]");
  if (problems.empty() && file.entries().size() != wanted) problems = concat("; ", file.entries().size(), " arrays in the file, ", wanted, " in the run");
  require(problems.empty(), path, ": does not fit the network and optimizer", problems);

  TrainingState state;
  state.epoch = numbers.integer("epoch"), state.step = numbers.integer("step");
  state.best = numbers.real("best"), state.best_epoch = numbers.integer("best_epoch"), state.waited = numbers.integer("waited");
  const double rate = numbers.real("rate");
  const std::uint64_t seed = numbers.natural("network.seed"), step = numbers.natural("network.step");
  const Tensor<Index> counts = file.tensor<Index>("counts");
  std::vector<Tensor<T, Cpu>> values;
  detail::visit_run(net, optimizer, [&](const std::string& name, const Tensor<T, Space>&) { values.push_back(file.tensor<T>(name)); });

  std::size_t next = 0;  // nothing below can fail
  detail::visit_run(net, optimizer, [&](const std::string&, Tensor<T, Space>& to) {
    const Tensor<T, Cpu>& from = values[next++];
    Space::copy_from_host(to.data(), from.data(), static_cast<std::size_t>(from.size()) * sizeof(T));
  });
  optimizer.set_counts(std::vector<Index>(counts.begin(), counts.end()));
  optimizer.set_rate(rate);
  net.set_random_state(seed, step);
  return state;
}

/// The state to start from: that of the checkpoint if the file is there, else the beginning.
template <class T, class Space>
TrainingState resume(const std::string& path, Sequential<T, Space>& net, Optimizer<T, Space>& optimizer) {
  return is_file(path) ? load_checkpoint(path, net, optimizer) : TrainingState{};
}

/// What `TrainingOptions::checkpoint` takes: saves to this path, over the one before. Network and optimizer must outlive it.
template <class T, class Space>
auto checkpoint_to(std::string path, Sequential<T, Space>& net, Optimizer<T, Space>& optimizer) {
  return [path = std::move(path), &net, &optimizer](const TrainingState& state) { save_checkpoint(path, net, optimizer, state); };
}

}  // namespace ventral::inline v0
