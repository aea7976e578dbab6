#pragma once
#include "ventral/cpu/combine.hpp"
#include "ventral/sequential.hpp"

namespace ventral::inline v0 {

/// How the outputs of parallel branches become one.
enum class Join {
  concatenate,  ///< one after the other along the channel axis, in the order they were added
  add
};

struct ParallelOptions {
  Join join = Join::concatenate;
};

/// Runs every branch on the same input and joins their outputs: Parallel<float> p({.join = Join::add}); p.add("small", ...).add("large", ...).
/// A branch is any layer, most often a Sequential; its parameters bear the names `<branch>.<layer>...`. dx is the sum of the branches' gradients.
/// Throws ShapeError when the outputs do not fit together.
template <class T, class SpaceType = Cpu>
class Parallel {
 public:
  using Scalar = T;
  using Space = SpaceType;
  static constexpr const char* kind = "Parallel";

  explicit Parallel(ParallelOptions o = {}) : options_(o) {}

  /// Appends a branch. Throws Error when the name is empty, taken, or contains a '.'.
  template <Layer L>
  Parallel& add(std::string name, L layer) {
    static_assert(std::is_same_v<typename L::Scalar, T> && std::is_same_v<typename L::Space, Space>, "branch and container differ in scalar type or space");
    require(!name.empty() && name.find('.') == std::string::npos, "branch name '", name, "' must not be empty or contain a '.'");
    for (const auto& b : branches_) require(b.name() != name, "branch name '", name, "' is taken by a ", b.kind());
    branches_.emplace_back(std::move(name), std::move(layer));
    return *this;
  }
  std::size_t size() const { return branches_.size(); }
  /// The branch of this name, as its type. Throws Error when name or type differ.
  template <class L>
  L& branch(std::string_view name) {
    std::string known;
    for (auto& b : branches_) {
      if (b.name() == name) {
        L* found = b.template get_if<L>();
        require(found != nullptr, "branch '", name, "' is a ", b.kind(), ", not a ", L::kind);
        return *found;
      }
      known += (known.empty() ? "" : ", ") + b.name();
    }
    throw Error(concat("no branch '", name, "'; there are: ", known.empty() ? "none" : known));
  }

  Shape output_shape(const Shape& x) const {
    require<ShapeError>(!branches_.empty(), "Parallel: no branches");
    Shape joined = branches_[0].output_shape(x);
    require<ShapeError>(options_.join == Join::add || joined.rank() >= 2, "Parallel: branch '", branches_[0].name(), "' gives ", joined,
                        ", which has no channel axis to concatenate along");
    for (std::size_t i = 1; i < branches_.size(); ++i) {
      const Shape next = branches_[i].output_shape(x);
      const bool add = options_.join == Join::add, fits = next.rank() == joined.rank() && next == (add ? joined : joined.with(1, next[1]));
      require<ShapeError>(fits, "Parallel: branch '", branches_[i].name(), "' gives ", next, ", which cannot be ", add ? "added to " : "concatenated with ",
                          joined, " of '", branches_[0].name(), "'");
      if (!add) joined = joined.with(1, joined[1] + next[1]);
    }
    return joined;
  }
  bool takes_blocks(const Shape& x) const {
    for (const auto& b : branches_)
      if (!b.traits(x).takes_blocks) return false;
    return !branches_.empty();
  }
  bool prefers_blocks(const Shape& x) const {
    for (const auto& b : branches_)
      if (b.traits(x).prefers_blocks) return true;
    return false;
  }
  Index kept_bytes(const Shape& x, Format format, Mode mode) const {
    Index numbers = 0, bytes = 0, largest = 0;
    for (const auto& b : branches_) {
      const Index part = stored_size(b.output_shape(x), format);
      numbers += part;
      largest = std::max(largest, part);
      bytes += b.kept_bytes(x, format, {}, mode);
    }
    if (mode == Mode::training && options_.join == Join::concatenate) numbers += largest;
    if (mode == Mode::training && branches_.size() > 1) numbers += stored_size(x, format);
    return bytes + numbers * static_cast<Index>(sizeof(T));
  }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass) {
    Index channel = 0;
    In<T, Space> sum;  // of the branches so far
    for (int i = 0; i < count(); ++i) {
      const Out<T, Space> part = pass.template keep<T>(i, branch_at(i).output_shape(x.shape), y.format);
      branch_at(i).forward(x, part, pass.child(i));
      if (options_.join == Join::concatenate) {
        insert_channels(x.stream(), part, channel, y);
        channel += part.shape[1];
      } else {
        if (i > 0) add_tensors(x.stream(), sum.stored(), part.stored(), y.stored());
        else if (count() == 1) Space::copy(y.data, part.data, static_cast<std::size_t>(y.stored().size()) * sizeof(T));
        sum = i > 0 ? y : part;
      }
    }
  }
  void backward(In<T, Space> x, In<T, Space>, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) {
    Index channel = 0;
    for (int i = 0; i < count(); ++i) {
      const In<T, Space> part = pass.template kept<T>(i, branch_at(i).output_shape(x.shape), dy.format);
      In<T, Space> dpart = dy;
      if (options_.join == Join::concatenate) {
        const Out<T, Space> own = pass.template keep<T>(count(), part.shape, part.format);
        extract_channels(x.stream(), dy, channel, own);
        dpart = own;
        channel += part.shape[1];
      }
      if (!dx) {
        if (branch_at(i).trains()) branch_at(i).backward(x, part, dpart, nullptr, pass.child(i));
      } else if (i == 0) {
        branch_at(i).backward(x, part, dpart, dx, pass.child(i));
      } else {
        Out<T, Space> through = pass.template keep<T>(count() + 1, x.shape, x.format);
        branch_at(i).backward(x, part, dpart, &through, pass.child(i));
        add_tensors(x.stream(), dx->stored(), through.stored(), dx->stored());
      }
    }
  }
  std::vector<NamedParameter<T, Space>> parameters() {
    std::vector<NamedParameter<T, Space>> out;
    for (auto& b : branches_)
      for (auto& p : b.parameters()) out.push_back({b.name() + "." + p.name, p.parameter});
    return out;
  }
  std::vector<NamedBuffer<T, Space>> buffers() {
    std::vector<NamedBuffer<T, Space>> out;
    for (auto& branch : branches_)
      for (auto& b : branch.buffers()) out.push_back({branch.name() + "." + b.name, b.buffer});
    return out;
  }
  void initialize(Random random) {
    for (int i = 0; i < count(); ++i) branch_at(i).initialize(random.fork(static_cast<std::uint64_t>(i)));
  }
  bool trains() const {
    for (const auto& b : branches_)
      if (b.trains()) return true;
    return false;
  }
  Index flops(const Shape& x) const {
    Index n = 0;
    for (const auto& b : branches_) n += b.flops(x);
    return n + (options_.join == Join::add && !branches_.empty() ? (static_cast<Index>(branches_.size()) - 1) * output_shape(x).size() : 0);
  }
  /// The largest of the branches' fields.
  ReceptiveField field_after(const ReceptiveField& f) const {
    ReceptiveField out = f;
    for (const auto& b : branches_) out = larger(out, b.field_after(f));
    return out;
  }

 private:
  int count() const { return static_cast<int>(branches_.size()); }
  detail::AnyLayer<T, Space>& branch_at(int i) { return branches_[static_cast<std::size_t>(i)]; }

  ParallelOptions options_;
  std::vector<detail::AnyLayer<T, Space>> branches_;
};

}  // namespace ventral::inline v0
