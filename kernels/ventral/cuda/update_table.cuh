#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

#include "ventral/cuda/elementwise.cuh"
#include "ventral/cuda/ops.hpp"
#include "ventral/cuda/reduce.cuh"

/// One launch for all parameters of a network: updates are collected in a table, which then goes to the device, and a kernel works through all of it.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// One parameter: what its update reads and writes, and the constants of the step.
struct UpdateEntry {
  static constexpr int most_states = 3, most_constants = 9;
  void* gradient;  ///< cleared by a captured step
  void* value;
  void* state[most_states];  ///< null where a method has none
  Index size, first_block;
  double constant[most_constants];
};

/// Elements that a block updates.
constexpr Index update_chunk = 2048;

/// The entry that a block of 256 threads works on, found by bisection, and the `count` elements from `begin` on that are its chunk.
struct UpdatePlace {
  const UpdateEntry& entry;
  Index begin;
  int count;

  VENTRAL_DEVICE UpdatePlace(int entries, const UpdateEntry* table) : entry(find(entries, table)) {
    begin = (blockIdx.x - entry.first_block) * update_chunk;
    count = static_cast<int>(entry.size - begin < update_chunk ? entry.size - begin : update_chunk);
  }

 private:
  VENTRAL_DEVICE static const UpdateEntry& find(int entries, const UpdateEntry* table) {
    int entry = 0;
    for (int beyond = entries; beyond - entry > 1;) {
      const int middle = (entry + beyond) / 2;
      if (table[middle].first_block <= static_cast<Index>(blockIdx.x)) entry = middle;
      else beyond = middle;
    }
    return table[entry];
  }
};

/// Method::step on elements at, at + 1, ... at + Width - 1, which are loaded and stored together, with the gradient times `factor`, which it clears if told to.
template <class Method, int Width, class T>
VENTRAL_DEVICE void update_pack(const Compute<T>* c, Compute<T> factor, bool clear, T* gradient, T* value, T* const* state, int at) {
  using S = Compute<T>;
  const Pack<T, Width> g = load_pack<Width>(gradient + at);
  Pack<T, Width> p = load_pack<Width>(value + at), s[Method::states];
  VENTRAL_DEVICE_UNROLL
  for (int k = 0; k < Method::states; ++k) s[k] = state[k] ? load_pack<Width>(state[k] + at) : Pack<T, Width>{};
  VENTRAL_DEVICE_UNROLL
  for (int l = 0; l < Width; ++l) {
    S one = load(&p.v[l]), of_state[Method::states];
    VENTRAL_DEVICE_UNROLL
    for (int k = 0; k < Method::states; ++k) of_state[k] = load(&s[k].v[l]);
    const T scaled = static_cast<T>(rounded_product(factor, load(&g.v[l])));
    Method::step(c, static_cast<S>(scaled), one, of_state);
    store(&p.v[l], one);
    VENTRAL_DEVICE_UNROLL
    for (int k = 0; k < Method::states; ++k) store(&s[k].v[l], of_state[k]);
  }
  store_pack<Width>(value + at, p);
  if (clear) store_pack<Width>(gradient + at, Pack<T, Width>{});
  VENTRAL_DEVICE_UNROLL
  for (int k = 0; k < Method::states; ++k)
    if (state[k]) store_pack<Width>(state[k] + at, s[k]);
}

/// Method::step on every element of every parameter, threads along the elements, 16 bytes each where the arrays are aligned for them.
/// Reads gradient, value and states once, writes value and states once: bound by memory. In a captured step (`step` not null) it scales the gradient by
/// step->factor, as scaled_sum would, and clears it, and does nothing once that is halted.
template <class T, class Method>
VENTRAL_BOUNDED_KERNEL(256) void update_kernel(int entries, const UpdateEntry* table, const StepState* step) {
  if (step && step->halted) return;
  using S = Compute<T>;
  constexpr int width = pack_width<T>;
  const UpdatePlace place(entries, table);
  const UpdateEntry& e = place.entry;
  const S factor = step ? static_cast<S>(step->factor) : S(1);
  S c[Method::constants];
  T* state[Method::states];
  T* const gradient = static_cast<T*>(e.gradient) + place.begin;
  T* const value = static_cast<T*>(e.value) + place.begin;
  std::uintptr_t places = reinterpret_cast<std::uintptr_t>(gradient) | reinterpret_cast<std::uintptr_t>(value);
  VENTRAL_DEVICE_UNROLL
  for (int k = 0; k < Method::constants; ++k) c[k] = static_cast<S>(e.constant[k]);
  VENTRAL_DEVICE_UNROLL
  for (int k = 0; k < Method::states; ++k) {
    state[k] = e.state[k] ? static_cast<T*>(e.state[k]) + place.begin : nullptr;
    places |= reinterpret_cast<std::uintptr_t>(state[k]);
  }
  const int packs = places % 16 ? 0 : place.count / width, thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < packs; i += 256) update_pack<Method, width>(c, factor, step != nullptr, gradient, value, state, i * width);
  for (int i = packs * width + thread; i < place.count; i += 256) update_pack<Method, 1>(c, factor, step != nullptr, gradient, value, state, i);
}

/// sums[b] = the sum of the squared gradients of chunk b, in double. Reads every gradient once.
template <class T>
VENTRAL_BOUNDED_KERNEL(256) void gradient_squares_kernel(int entries, const UpdateEntry* table, double* sums) {
  const UpdatePlace place(entries, table);
  const T* const gradient = static_cast<const T*>(place.entry.gradient) + place.begin;
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < place.count; i += 256) {
    const double g = static_cast<double>(load(gradient + i));
    sum += g * g;
  }
  sum = block_sum<256>(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}
/// One block: the chunks' sums added up, to *total; or the factor that limits the norm to state->factor, as Optimizer::clip_gradient_norm has it.
VENTRAL_BOUNDED_KERNEL(256) void gradient_norm_kernel(Index chunks, const double* sums, double limit, double* total, StepState* state) {
  double sum = 0;
  for (Index i = threadIdx.x; i < chunks; i += 256) sum += sums[i];
  sum = block_sum<256>(sum);
  if (threadIdx.x != 0) return;
  const double factor = limit / (std::sqrt(sum) + 1e-6);
  if (total) *total = sum;
  if (state) state->factor = factor < 1 ? factor : 1;
}

template <class T>
void run_squares(Stream stream, Index blocks, Index entries, const UpdateEntry* table, double* sums) {
  launch(stream, {.kernel = "gradient_squares_kernel", .blocks = blocks, .threads = 256, .shape = {entries}}, gradient_squares_kernel<T>, entries, table, sums);
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
    append<T>(e);
  }
  /// Adds an array, for squared_norm alone.
  template <class T>
  void append(UpdateEntry e) {
    squares_ = &run_squares<T>;
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
  /// Whether the updates sent last are all of that method and type.
  template <class T, class Method>
  bool runs() const {
    return !sent_.empty() && run_ == &run_updates<T, Method>;
  }
  /// The entry sent last that changes this array, or -1.
  int find(const void* value) const {
    for (std::size_t i = 0; value && i < entries_.size(); ++i)
      if (sent_[i].value == value) return static_cast<int>(i);
    return -1;
  }
  const UpdateEntry* on_device() const { return static_cast<const UpdateEntry*>(static_cast<const void*>(memory_.data())); }
  void run(Stream stream, const StepState* step) {
    if (!entries_.empty()) run_(stream, blocks_, static_cast<Index>(entries_.size()), device(), step);
  }
  /// Queues the factor that limits the norm of all gradients, for state->factor. Allocates when there are more chunks than ever before.
  void clip(Stream stream, double limit, StepState* state) { find_norm(stream, limit, nullptr, state); }
  /// The sum of the squares of all arrays added. Waits for it.
  double squared_norm(Stream stream) {
    double sum = 0;
    if (entries_.empty()) return sum;
    send(stream);
    find_norm(stream, 0, &sum, nullptr);
    return sum;
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
  void find_norm(Stream stream, double limit, double* sum, StepState* state) {
    if (entries_.empty()) return;
    sums_.resize({blocks_ + 1});  // the last one: their total
    double* const total = sum ? sums_.data() + blocks_ : nullptr;
    squares_(stream, blocks_, static_cast<Index>(entries_.size()), device(), sums_.data());
    launch(stream, {.kernel = "gradient_norm_kernel", .blocks = 1, .threads = 256}, gradient_norm_kernel, blocks_, sums_.data(), limit, total, state);
    if (sum) Space::copy_to_host(sum, total, sizeof *sum);
  }
  UpdateEntry* device() { return static_cast<UpdateEntry*>(static_cast<void*>(memory_.data())); }

  std::vector<UpdateEntry> entries_, sent_;
  Index blocks_ = 0;
  void (*run_)(Stream, Index, Index, const UpdateEntry*, const StepState*) = nullptr;
  void (*squares_)(Stream, Index, Index, const UpdateEntry*, double*) = nullptr;
  Tensor<unsigned char, Space> memory_;
  Tensor<double, Space> sums_;  ///< of the chunks, for the norm
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
VENTRAL_CUDA_FUNCTION void StepUpdates::clip(Stream stream, double limit, StepState* state) {
  static_cast<detail::UpdateTable*>(table_)->clip(stream, limit, state);
}
VENTRAL_CUDA_FUNCTION void StepUpdates::run(Stream stream, const StepState* state) { static_cast<detail::UpdateTable*>(table_)->run(stream, state); }

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE
