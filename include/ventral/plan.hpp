#pragma once
#include <vector>

#include "ventral/epilogue.hpp"
#include "ventral/format.hpp"

namespace ventral::inline v0::detail {

/// What a network's plan needs to know of a layer on an input of one shape.
struct LayerTraits {
  bool view = false;            ///< y is x under another shape
  bool takes_blocks = false;    ///< x, y and their gradients may all be in Format::blocks
  bool prefers_blocks = false;  ///< and it is faster so
  bool mixes_formats = false;   ///< and x and y may differ in format: it converts on the way
  bool operator==(const LayerTraits&) const = default;
};

/// One step of a network's plan: a layer with those that became its epilogue, a view, or a change of format.
struct PlannedStage {
  enum class Kind : unsigned char { layer, view, conversion };

  Kind kind = Kind::layer;
  int first = 0, last = 0;  ///< layers; of a view and a conversion: the layer that y is the activation of
  Epilogue epilogue = {};
  LayerTraits traits = {};
  Shape x, y;
  Format from = Format::rows, to = Format::rows;
  Index at = 0;  ///< of y in the arena, in bytes
};

/// How a network runs on inputs of one shape: its stages, and where their outputs and gradients lie in one arena.
struct Plan {
  // what the plan was made for
  Shape x;
  Format from = Format::rows, to = Format::rows;
  bool keep = false, fuse = false;
  unsigned version = 0;

  std::vector<PlannedStage> stages = {};
  Index gradient[2] = {}, bytes = 0;  ///< two places for gradients, used in turn; size of the arena
};

/// Chooses the formats of the stages. A stretch of layers that take blocks runs in blocks from the first one that prefers them;
/// conversions are put where formats meet and no layer converts on the way.
[[gnu::cold]] inline void plan_formats(Plan& plan) {
  std::vector<PlannedStage>& stages = plan.stages;
  bool inside = false;
  for (PlannedStage& s : stages) {  // at first `to` is the format that the stage should run in
    inside = s.traits.takes_blocks && (inside || s.traits.prefers_blocks);
    if (inside) s.to = Format::blocks;
  }
  std::vector<PlannedStage> out;
  Format held = plan.from;
  const auto convert = [&](Format to, int layer, const Shape& shape) {
    if (held == to) return;
    const PlannedStage s{.kind = PlannedStage::Kind::conversion, .first = layer, .last = layer, .x = shape, .y = shape, .from = held, .to = to};
    out.push_back(s);
    held = to;
  };
  for (std::size_t i = 0; i < stages.size(); ++i) {
    PlannedStage s = stages[i];
    if (s.kind == PlannedStage::Kind::view) {
      if (s.y.rank() == 0 || s.y[0] != s.x[0]) convert(Format::rows, s.first - 1, s.x);  // blocks are of whole images
      s.from = s.to = held;
      out.push_back(s);
      continue;
    }
    std::size_t next = i + 1;
    while (next < stages.size() && stages[next].kind == PlannedStage::Kind::view) ++next;
    const bool mixes = s.traits.takes_blocks && s.traits.mixes_formats;
    const Format wanted = s.to;
    if (!mixes) convert(wanted, s.first - 1, s.x);
    s.from = held;
    s.to = held = mixes ? (next < stages.size() ? stages[next].to : plan.to) : wanted;
    out.push_back(s);
  }
  if (!out.empty()) convert(plan.to, out.back().last, out.back().y);
  stages = std::move(out);
}

/// Places outputs and gradients, `size` bytes a number. When all outputs are kept each has its place, else they take two places in turn.
[[gnu::cold]] inline void plan_memory(Plan& plan, Index size, bool output_given) {
  const auto bytes = [&](const Shape& shape, Format format) { return (stored_size(shape, format) * size + 255) / 256 * 256; };
  Index most[2] = {}, largest = 0;
  int turn = 0;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    PlannedStage& s = plan.stages[i];
    if (i > 0) largest = std::max(largest, bytes(s.x, s.from));
    if (s.kind == PlannedStage::Kind::view || (output_given && i + 1 == plan.stages.size())) continue;
    const Index n = bytes(s.y, s.to);
    if (plan.keep) {
      s.at = plan.bytes;
      plan.bytes += n;
    } else {
      s.at = turn;
      most[turn] = std::max(most[turn], n);
      turn = 1 - turn;
    }
  }
  if (!plan.keep) {
    for (PlannedStage& s : plan.stages) s.at = s.at == 0 ? 0 : most[0];
    plan.bytes = most[0] + most[1];
    return;
  }
  for (Index& at : plan.gradient) {
    at = plan.bytes;
    plan.bytes += largest;
  }
}

}  // namespace ventral::inline v0::detail
