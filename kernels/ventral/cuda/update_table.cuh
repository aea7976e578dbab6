#pragma once
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "ventral/cuda/ops.hpp"
#include "ventral/cuda/runtime.cuh"

/// One launch for all parameters of a network: updates are collected in a table, which then goes to the device, and a kernel works through all of it.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// One parameter: what its update reads and writes, and the constants of the step.
struct UpdateEntry {
  static constexpr int most_states = 3, most_constants = 9;
  const void* gradient;
  void* value;
  void* state[most_states];  ///< null where a method has none
  Index size, first_block;
  double constant[most_constants];
};

/// Elements that a block updates.
constexpr Index update_chunk = 2048;

/// Method::step on every element of every parameter. A block finds the parameter of its chunk by bisection, threads lie along the elements.
/// Reads gradient, value and states once, writes value and states once: bound by memory. In a captured step (`step` not null) it does nothing once that is
/// halted.
template <class T, class Method>
VENTRAL_BOUNDED_KERNEL(256) void update_kernel(int entries, const UpdateEntry* table, const StepState* step) {
  if (step && step->halted) return;
  using S = Compute<T>;
  int entry = 0;
  for (int beyond = entries; beyond - entry > 1;) {
    const int middle = (entry + beyond) / 2;
    if (table[middle].first_block <= static_cast<Index>(blockIdx.x)) entry = middle;
    else beyond = middle;
  }
  const UpdateEntry& e = table[entry];
  S c[Method::constants];
  T* state[Method::states];
  VENTRAL_DEVICE_UNROLL
  for (int k = 0; k < Method::constants; ++k) c[k] = static_cast<S>(e.constant[k]);
  VENTRAL_DEVICE_UNROLL
  for (int k = 0; k < Method::states; ++k) state[k] = static_cast<T*>(e.state[k]);
  const T* const gradient = static_cast<const T*>(e.gradient);
  T* const value = static_cast<T*>(e.value);
  const Index begin = (blockIdx.x - e.first_block) * update_chunk, end = e.size < begin + update_chunk ? e.size : begin + update_chunk;
  for (Index i = begin + threadIdx.x; i < end; i += blockDim.x) {
    S p = load(value + i), s[Method::states];
    VENTRAL_DEVICE_UNROLL
    for (int k = 0; k < Method::states; ++k) s[k] = state[k] ? load(state[k] + i) : S(0);
    Method::step(c, load(gradient + i), p, s);
    store(value + i, p);
    VENTRAL_DEVICE_UNROLL
    for (int k = 0; k < Method::states; ++k)
      if (state[k]) store(state[k] + i, s[k]);
  }
}

template <class T, class Method>
void run_updates(Stream stream, Index blocks, Index entries, const UpdateEntry* table, const StepState* step) {
  launch(stream, {.kernel = Method::kernel, .blocks = blocks, .threads = 256, .shape = {entries}}, update_kernel<T, Method>, entries, table, step);
}

/// Some entries as a kernel's argument, so that they get to the device in the order of the stream, without waiting for it.
struct UpdatePage {
  static constexpr int size = 24;  ///< arguments may take 4 KiB
  UpdateEntry entry[size];
};

VENTRAL_KERNEL void store_updates_kernel(UpdatePage page, UpdateEntry* to) { to[threadIdx.x] = page.entry[threadIdx.x]; }

/// The updates that a thread has asked for, and its table on the device; of that, only pages that changed since the last time are sent.
class UpdateTable {
 public:
  static UpdateTable& of_this_thread() {
    static thread_local UpdateTable table;
    UpdateTable* const other = in_place();
    return other ? *other : table;
  }
  /// The table that takes the place of this thread's, or null.
  static UpdateTable*& in_place() {
    static thread_local UpdateTable* table = nullptr;
    return table;
  }

  void begin() {
    entries_.clear();
    blocks_ = 0;
  }

  /// Adds an update to those to be run together; runs those before it if they are of another method or type.
  template <class T, class Method>
  void add(Stream stream, UpdateEntry e) {
    if (e.size == 0) return;
    if (run_ != &run_updates<T, Method>) finish(stream);
    run_ = &run_updates<T, Method>;
    e.first_block = blocks_;
    blocks_ += (e.size + update_chunk - 1) / update_chunk;
    entries_.push_back(e);
  }

  /// Runs what was added.
  void finish(Stream stream) {
    if (entries_.empty()) return;
    if (stream.handle != stream_.handle) used_.hold(stream);  // another stream may still be reading the table
    send(stream);
    run(stream, nullptr);
    used_.record(stream);
    stream_ = stream;
    begin();
  }

  /// Whether what was asked for works on the arrays that the last updates sent worked on; true before the first.
  bool on_same_arrays() const {
    constexpr std::size_t arrays = offsetof(UpdateEntry, constant);
    bool same = sent_.empty() || sent_.size() == entries_.size();
    for (std::size_t i = 0; same && i < sent_.size(); ++i) same = std::memcmp(&sent_[i], &entries_[i], arrays) == 0;
    return same;
  }
  void run(Stream stream, const StepState* step) {
    if (!entries_.empty()) run_(stream, blocks_, static_cast<Index>(entries_.size()), device(), step);
  }
  /// Sends what differs from the last time.
  void send(Stream stream) {
    const std::size_t count = entries_.size();
    const Index bytes = static_cast<Index>(count * sizeof(UpdateEntry));
    if (bytes > memory_.size()) {
      memory_.resize({bytes});
      sent_.clear();
    }
    for (std::size_t first = 0; first < count; first += UpdatePage::size) {
      const std::size_t n = std::min(count - first, std::size_t{UpdatePage::size}), last = first + n;
      if (last <= sent_.size() && std::memcmp(&sent_[first], &entries_[first], n * sizeof(UpdateEntry)) == 0) continue;
      UpdatePage page{};
      std::copy_n(&entries_[first], n, page.entry);
      launch(stream, {.kernel = "store_updates_kernel", .blocks = 1, .threads = n}, store_updates_kernel, page, device() + first);
      if (sent_.size() < last) sent_.resize(last);
      std::copy_n(&entries_[first], n, &sent_[first]);
    }
  }

 private:
  UpdateEntry* device() { return static_cast<UpdateEntry*>(static_cast<void*>(memory_.data())); }

  std::vector<UpdateEntry> entries_, sent_;
  Index blocks_ = 0;
  void (*run_)(Stream, Index, Index, const UpdateEntry*, const StepState*) = nullptr;
  Tensor<unsigned char, Space> memory_;
  Stream stream_;
  Event used_;
};

}  // namespace detail

/// Forgets updates that were asked for and not run: an exception may have come between.
VENTRAL_CUDA_FUNCTION void begin_updates(Stream) { detail::UpdateTable::of_this_thread().begin(); }
/// Runs the updates asked for by this thread since then, in one launch if they are of one method. Allocates only when there are more than ever
/// before.
VENTRAL_CUDA_FUNCTION void finish_updates(Stream stream) { detail::UpdateTable::of_this_thread().finish(stream); }

VENTRAL_CUDA_FUNCTION StepUpdates::StepUpdates() : table_(new detail::UpdateTable) {}
VENTRAL_CUDA_FUNCTION StepUpdates::~StepUpdates() { delete static_cast<detail::UpdateTable*>(table_); }
VENTRAL_CUDA_FUNCTION void StepUpdates::begin() {
  detail::UpdateTable::in_place() = static_cast<detail::UpdateTable*>(table_);
  detail::UpdateTable::of_this_thread().begin();
}
VENTRAL_CUDA_FUNCTION void StepUpdates::end() noexcept { detail::UpdateTable::in_place() = nullptr; }
VENTRAL_CUDA_FUNCTION void StepUpdates::send(Stream stream) {
  detail::UpdateTable& table = *static_cast<detail::UpdateTable*>(table_);
  require(table.on_same_arrays(), "captured step: parameters were frozen, replaced or moved since the first step; capture it anew");
  table.send(stream);
}
VENTRAL_CUDA_FUNCTION void StepUpdates::run(Stream stream, const StepState* state) { static_cast<detail::UpdateTable*>(table_)->run(stream, state); }

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
