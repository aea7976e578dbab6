#pragma once
#include "ventral/io/safetensors.hpp"
#include "ventral/layer.hpp"

namespace ventral::inline v0 {

namespace detail {

/// Version of what save() writes; a file of a later one is refused.
constexpr int state_version = 1;

/// PyTorch's BatchNorm counts batches; nothing here depends on it.
[[gnu::cold]] inline bool is_batch_count(std::string_view name) {
  constexpr std::string_view suffix = "num_batches_tracked";
  return name.size() >= suffix.size() && name.substr(name.size() - suffix.size()) == suffix;
}

/// Calls visit(name, tensor) for every parameter, then every buffer.
template <Layer Net, class Visit>
[[gnu::cold]] void visit_state(Net& net, Visit visit) {
  for (auto& p : parameters_of(net)) visit(p.name, p.parameter->value);
  for (auto& b : buffers_of(net)) visit(b.name, b.buffer->value);
}

}  // namespace detail

/// Writes parameters and buffers of a layer or network as a safetensors file under PyTorch's names (`conv1.weight`), atomically. PyTorch reads it by
/// `model.load_state_dict(safetensors.torch.load_file(path))`. Throws FileError when it cannot be written; then the old file is as it was.
template <Layer Net>
[[gnu::cold]] void save(Net& net, const std::string& path, Metadata metadata = {}) {
  using T = typename Net::Scalar;
  metadata.emplace(std::string("format"), std::string("pt"));
  metadata.emplace(std::string("ventral.state"), std::string()).first->second = std::to_string(detail::state_version);
  std::vector<Tensor<T, Cpu>> held;  // copies of what lies in another space
  std::vector<SafetensorsItem> items;
  detail::visit_state(net, [&](const std::string& name, const auto& value) {
    if constexpr (std::is_same_v<typename Net::Space, Cpu>) {
      items.emplace_back(name, value);
    } else {
      held.push_back(value.template to<Cpu>());
      items.emplace_back(name, held.back());
    }
  });
  write_safetensors(path, std::move(items), metadata);
}

/// Reads parameters and buffers from an opened safetensors file; float is widened, double rounded, as the network needs. Throws Error that
/// lists all missing, unexpected and mis-shaped names together; the network is changed only when all fits.
template <Layer Net>
[[gnu::cold]] void load(Net& net, const Safetensors& file) {
  using T = typename Net::Scalar;
  const auto version = file.metadata().find("ventral.state");
  require<FileError>(version == file.metadata().end() || version->second == std::to_string(detail::state_version), file.path(), ": state of version ",
                     version == file.metadata().end() ? "" : version->second, "; this ventral reads version ", detail::state_version);
  std::string missing, extra, shapes;
  const auto list = [](std::string& to, const std::string& what) { to.append(to.empty() ? "" : ", ").append(what); };
  std::vector<bool> wanted(file.entries().size());
  detail::visit_state(net, [&](const std::string& name, const auto& value) {
    const SafetensorsEntry* e = file.find(name);
    if (!e) return list(missing, concat(name, " ", value.shape()));
    wanted[static_cast<std::size_t>(e - file.entries().data())] = true;
    if (e->shape != value.shape()) list(shapes, concat(name, " is ", e->shape, ", the network has ", value.shape()));
  });
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (const SafetensorsEntry& e = file.entries()[i]; !wanted[i] && !detail::is_batch_count(e.name)) list(extra, concat(e.name, " ", e.shape));
  std::string problems;
  if (!missing.empty()) problems += "; missing: " + missing;
  if (!extra.empty()) problems += "; unexpected: " + extra;
  if (!shapes.empty()) problems += "; other shapes: " + shapes;
  require(problems.empty(), file.path(), ": does not fit the network", problems);

  for (const bool write : {false, true})  // first all values are read, as one may not fit
    detail::visit_state(net, [&](const std::string& name, auto& value) {
      const Tensor<T, Cpu> from = file.tensor<T>(name, Conversion::rounded);
      if (write) Net::Space::copy_from_host(value.data(), from.data(), static_cast<std::size_t>(from.size()) * sizeof(T));
    });
}

/// Reads parameters and buffers from a safetensors file, and returns its metadata; see above.
template <Layer Net>
[[gnu::cold]] Metadata load(Net& net, const std::string& path) {
  const Safetensors file = read_safetensors(path);
  load(net, file);
  return file.metadata();
}

}  // namespace ventral::inline v0
