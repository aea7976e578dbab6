#include "cuda/timing.hpp"

#include <algorithm>
#include <limits>

#include "support/sampling.hpp"

namespace bench::device {

namespace {

constexpr double sample_seconds = 0.002;
constexpr int fewest_rounds = 7;
constexpr long most_runs = 512;  // in a graph

Summary ratio(const std::vector<double>& numerator, const std::vector<double>& denominator) {
  std::vector<double> r;
  for (std::size_t i = 0; i < numerator.size(); ++i) r.push_back(numerator[i] / denominator[i]);
  return summarize(std::move(r));
}

}  // namespace

Runner::Runner(const Side& side, int sets) : side_(side), sets_(sets), runs_(sets) {
  for (int i = 0; i < 2 * sets; ++i) once();  // what is allocated once is allocated now, outside the graph
  gpu::synchronize();
  {
    const Graph one([&] { side_.run(0); });
    anatomy_ = one.anatomy(), why_ = one.why();
  }
  const double each = sample();
  if (each * static_cast<double>(runs_) < sample_seconds)
    runs_ *= std::clamp(static_cast<long>(sample_seconds / (each * static_cast<double>(runs_))), 1L, std::max(1L, most_runs / runs_));
  next_ = 0;
  if (why_.empty()) {
    graph_ = std::make_unique<Graph>([&] {
      for (long i = 0; i < runs_; ++i) once();
    });
    if (why_ = graph_->why(); !why_.empty()) graph_.reset();
  }
  next_ = 0;
  const double settled = sample() * static_cast<double>(runs_);
  rounds_ = std::clamp(static_cast<long>(sample_seconds / settled), 1L, 1L << 14);
}

void Runner::once() {
  side_.run(next_);
  next_ = (next_ + 1) % sets_;
}

void Runner::round() {
  if (graph_) return graph_->launch();
  for (long i = 0; i < runs_; ++i) once();
}

double Runner::sample() {
  if (graph_) round();  // ahead, so that the device has work while the timed rounds are being queued
  else once();
  begin_.record();
  for (long i = 0; i < rounds_; ++i) round();
  end_.record();
  end_.synchronize();
  return std::max(1e-9, 1e-3 * gpu::Event::milliseconds(begin_, end_) / static_cast<double>(runs_ * rounds_));
}

std::string Runner::way() const { return graph_ ? ventral::concat("graph of ", runs_, " runs") : "queued, no graph: " + why_; }

Times measure(const Side& ours, const Side* reference, int sets, double seconds) {
  struct Pair {
    std::unique_ptr<Runner> ours, reference;
  };
  const auto pair = [&](int count) { return Pair{std::make_unique<Runner>(ours, count), reference ? std::make_unique<Runner>(*reference, count) : nullptr}; };
  const Pair cold = pair(sets), other = sets > 1 ? pair(1) : Pair{};
  const Pair& warm = sets > 1 ? other : cold;
  int rounds = 0;
  for (const double start = now(); rounds < fewest_rounds || now() - start < seconds; ++rounds)
    for (const Pair* p : {&cold, sets > 1 ? &warm : nullptr}) {
      if (!p) continue;
      if (rounds % 2 == 0) p->ours->take_sample();
      if (p->reference) p->reference->take_sample();
      if (rounds % 2 == 1) p->ours->take_sample();
    }
  Times t;
  t.rounds = rounds, t.way = cold.ours->way(), t.anatomy = cold.ours->anatomy();
  t.cold = summarize(cold.ours->seconds()), t.warm = summarize(warm.ours->seconds());
  if (!reference) return t;
  t.reference_anatomy = cold.reference->anatomy();
  t.reference = summarize(cold.reference->seconds()), t.reference_warm = summarize(warm.reference->seconds());
  t.ratio = ratio(cold.reference->seconds(), cold.ours->seconds());
  return t;
}

const Side* fastest(const std::vector<const Side*>& sides, int sets) {
  const Side* best = nullptr;
  double least = std::numeric_limits<double>::infinity();
  for (const Side* side : sides) {
    if (sides.size() == 1) return side;
    Runner r(*side, sets);
    for (int i = 0; i < 5; ++i) r.take_sample();
    if (const double s = summarize(r.seconds()).median; s < least) least = s, best = side;
  }
  return best;
}

double empty_sample() {
  std::vector<double> seconds;
  for (int i = 0; i < 50; ++i) {
    gpu::Event begin, end;
    begin.record();
    end.record();
    end.synchronize();
    seconds.push_back(1e-3 * gpu::Event::milliseconds(begin, end));
  }
  return summarize(std::move(seconds)).median;
}

}  // namespace bench::device
