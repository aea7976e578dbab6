#pragma once
#include <chrono>
#include <cstdio>

#include "ventral/cpu/machine.hpp"
#include "ventral/sequential.hpp"

namespace ventral::inline v0 {

/// One stage of a network in a profile: a layer with those whose work it took over. Times are medians, in seconds; backward is 0 where none is needed.
struct ProfileRow {
  std::string layers;              ///< names, joined by +
  std::string kind;                ///< of the first one
  Format format = Format::rows;    ///< of the output
  double forward = 0, backward = 0;
  double flop = 0, bytes = 0;                    ///< of forward; bytes that must move: x and parameters read, y written
  double backward_flop = 0, backward_bytes = 0;  ///< likewise; a layer with parameters has two gradients to compute
  double forward_limit = 0, backward_limit = 0;  ///< the shortest times that the machine's measured limits allow
};

struct Profile {
  std::vector<ProfileRow> rows;
  cpu::MachineLimits machine;
  Index images = 0;
  int threads = 0;

  /// Seconds of a pass, all stages together.
  double forward() const { return sum(&ProfileRow::forward); }
  double backward() const { return sum(&ProfileRow::backward); }
  /// A table: time of each stage, its share of all, its rate, and what share of the machine's limit that is, the limit being arithmetic or traffic.
  std::string text() const {
    std::string out = line("stage", "kind", "format", "forward us", "of all", "of limit", "backward us", "of all", "of limit", "MFLOP", "MB", "bound by");
    const double all = forward() + backward();
    for (const ProfileRow& r : rows) {
      const bool arithmetic = r.flop / machine.flops > r.bytes / machine.copy_rate(r.bytes);
      out += line(r.layers, r.kind, to_string(r.format), number("%.1f", r.forward * 1e6), percent(r.forward, all), percent(r.forward_limit, r.forward),
                  number("%.1f", r.backward * 1e6), percent(r.backward, all), percent(r.backward_limit, r.backward), number("%.2f", (r.flop + r.backward_flop) / 1e6),
                  number("%.2f", (r.bytes + r.backward_bytes) / 1e6), r.flop + r.bytes == 0 ? "" : arithmetic ? "arithmetic" : "traffic");
    }
    char end[256];
    std::snprintf(end, sizeof end, "%lld images, %d threads: forward %.1f us, backward %.1f us; limits: %.0f GFLOP/s, copies %.0f, %.0f and %.0f GB/s (0.25, 4 and 128 MB)\n",
                  static_cast<long long>(images), threads, forward() * 1e6, backward() * 1e6, machine.flops / 1e9, machine.bandwidth[0] / 1e9, machine.bandwidth[1] / 1e9,
                  machine.bandwidth[2] / 1e9);
    return out + end;
  }

 private:
  double sum(double ProfileRow::*member) const {
    double s = 0;
    for (const ProfileRow& r : rows) s += r.*member;
    return s;
  }
  static std::string number(const char* format, double v) {
    char text[32];
    std::snprintf(text, sizeof text, format, v);
    return text;
  }
  static std::string percent(double part, double whole) { return whole > 0 ? number("%.0f %%", 100 * part / whole) : ""; }
  template <class... Cells>
  static std::string line(const std::string& name, const std::string& kind, const std::string& format, const Cells&... cells) {
    std::string out;
    const auto left = [&](const std::string& text, std::size_t width) { out.append(text).append(text.size() < width ? width - text.size() : 1, ' '); };
    const auto right = [&](const std::string& text, std::size_t width) { out.append(text.size() < width ? width - text.size() : 1, ' ').append(text); };
    left(name, 24), left(kind, 20), left(format, 7);
    (right(cells, 12), ...);
    out += '\n';
    return out;
  }
};

struct ProfileOptions {
  int steps = 20;        ///< measured ones, after two that are not
  bool backward = true;  ///< training steps; else inference
};

/// Runs the network on x and measures each stage against the machine's limits. Inference, or training steps with a random gradient by the output:
/// gradients of the parameters, running statistics and the number of the random step change, parameters do not. How to read it: docs/performance.md.
template <class T, class SpaceType>
Profile Sequential<T, SpaceType>::profile(In<T, Cpu> x, const ProfileOptions& o) {
  static_assert(std::is_same_v<SpaceType, Cpu>, "profile() measures the CPU; on a GPU use nsys");
  require(o.steps >= 1, "profile: ", o.steps, " steps; at least 1 is needed");
  Profile out;
  out.machine = cpu::measure_machine();
  out.threads = cpu::threads();
  out.images = x.shape.rank() ? x.shape[0] : 0;
  Tensor<T> dy;
  std::vector<std::vector<double>> samples;
  detail::StageTimes times;
  struct Listening {  // also when a layer throws, nobody is left writing to `times`
    detail::StageTimes*& to;
    ~Listening() { to = nullptr; }
  };
  auto& plans = run().pass.template memory_of<typename detail::PlannedChain<T, SpaceType>::Plans>();
  plans.times = &times;
  const Listening until_the_end{plans.times};
  for (int step = -2; step < o.steps; ++step) {
    times.assign(times.size(), 0);
    const In<T> y = forward(x, o.backward ? Mode::training : Mode::inference);
    if (o.backward) {
      if (dy.shape() != y.shape) {
        dy.resize(y.shape);
        const Random random(1);
        for (Index i = 0; i < dy.size(); ++i) dy[i] = static_cast<T>(random.uniform_at(static_cast<std::uint64_t>(i)) - 0.5f);
      }
      backward(dy);
    }
    if (step >= 0) samples.push_back(times);
  }
  const auto median = [&](std::size_t at) {
    std::vector<double> v;
    for (const auto& s : samples) v.push_back(s[at]);
    std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
    return v[v.size() / 2];
  };
  const auto& stages = plans.current->stages;
  for (auto& s : samples) s.resize(2 * stages.size());
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const detail::PlannedStage& s = stages[i];
    if (s.kind == detail::PlannedStage::Kind::view) continue;
    ProfileRow r;
    r.format = s.to, r.forward = median(2 * i), r.backward = median(2 * i + 1);
    Index parameters = 0;
    if (s.kind == detail::PlannedStage::Kind::conversion) {
      r.layers = "(to " + std::string(to_string(s.to)) + ")";
    } else {
      Shape shape = s.x;
      r.kind = chain_.layers[static_cast<std::size_t>(s.first)].kind();
      for (int k = s.first; k <= s.last; ++k) {
        auto& l = chain_.layers[static_cast<std::size_t>(k)];
        r.layers += (r.layers.empty() ? "" : "+") + l.name();
        r.flop += static_cast<double>(l.flops(shape));
        shape = l.output_shape(shape);
        for (const auto& p : l.parameters()) parameters += p.parameter->value.size();
      }
    }
    const double size = sizeof(T), ends = static_cast<double>(s.x.size() + s.y.size());
    r.bytes = size * (ends + static_cast<double>(parameters));
    r.forward_limit = out.machine.seconds(r.flop, r.bytes);
    if (r.backward > 0) {
      const bool wants_dx = i > 0;
      r.backward_flop = r.flop * (parameters ? (wants_dx ? 2 : 1) : 1);
      r.backward_bytes = size * (ends + static_cast<double>((wants_dx ? s.x.size() : 0) + 2 * parameters));
      r.backward_limit = out.machine.seconds(r.backward_flop, r.backward_bytes);
    }
    out.rows.push_back(r);
  }
  return out;
}

}  // namespace ventral::inline v0
