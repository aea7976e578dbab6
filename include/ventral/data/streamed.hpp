#pragma once
#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <functional>
#include <mutex>
#include <numeric>
#include <thread>
#include <type_traits>
#include <variant>

#include "ventral/data/resident.hpp"

namespace ventral::inline v0 {

/// Batches on their way to a device: a thread of its own asks the source for the next ones, into page-locked memory, and a stream of its own copies them,
/// while the device works on those before. They come in turn to the `slots` parts of data(), a captured step's data:
///
///     StreamedBatches<float, std::int32_t, Cuda, ImageSource<float>> batches(source, 64);
///     batches.start(order);
///     for (Index n; (n = batches.next()) > 0; batches.done()) batches.gather(x.slice(0, n), target.slice(0, n)), ...;  // or step.run()
///
/// `fit` does it with TrainingOptions::stream. Batches are the same bits as without it. The source is used by that thread alone from start() until next()
/// has returned 0, or stop(); it is asked once for its first example before, to learn the shapes. A source of bytes (ImageSource) sends bytes.
/// What the thread throws, next() throws, when it comes to that batch. Memory: 3 batches on the device and 3 page-locked ones.
template <class T, class TargetType, class SpaceType, class Source>
class StreamedBatches {
 public:
  using Space = SpaceType;
  using Target = TargetType;
  using Data = ResidentData<T, Target, Space>;
  static constexpr Index slots = 3;  // one is worked on, one copied, one filled

  /// `check` may throw at targets that do not fit, in the thread.
  [[gnu::cold]] StreamedBatches(Source& source, Index batch, std::function<void(In<Target, Cpu>)> check = {})
      : source_(source), batch_(batch), check_(std::move(check)), data_(make_room()), room_(data_.room()), pinned_(slot_bytes() * std::size_t{slots}) {
    std::vector<Index> rows(static_cast<std::size_t>(slots * batch));
    std::iota(rows.begin(), rows.end(), Index{0});
    rows_.resize({slots * batch});
    Space::copy_from_host(rows_.data(), rows.data(), rows.size() * sizeof(Index));
  }
  ~StreamedBatches() { stop(); }
  StreamedBatches(const StreamedBatches&) = delete;
  StreamedBatches& operator=(const StreamedBatches&) = delete;

  /// Begins with these examples, in batches of which the last may be smaller; batch b of them may draw from random(b).
  void start(std::span<const Index> order, std::function<Random(Index)> random = [](Index) { return Random(0); }) {
    stop();
    order_.assign(order.begin(), order.end());
    random_ = std::move(random);
    filled_ = sent_ = now_ = 0;
    stopping_ = false;
    error_ = nullptr;
    thread_ = std::thread([this] { fill_all(); });
  }
  /// Ends the thread: the source is free again. What is on the device stays.
  void stop() {
    set([&] { stopping_ = true; });
    if (thread_.joinable()) thread_.join();
  }

  /// Waits until a batch more is on its way, and lets Space::stream() wait for it: the `size` examples of data() from `first()` on. Returns size, 0 after the last.
  Index next() {
    if (now_ == count()) return stop(), 0;
    send();
    {
      std::unique_lock hold(mutex_);
      changed_.wait(hold, [&] { return filled_ > now_ || error_; });
      if (filled_ <= now_) std::rethrow_exception(error_);
    }
    send();
    arrived_[now_ % slots].hold(Space::stream());
    return size(now_);
  }
  /// Tells that all work on the batch is queued on Space::stream(), so that another may come in its place after that.
  void done() { used_[now_++ % slots].record(Space::stream()); }

  Index first() const { return now_ % slots * batch_; }
  /// Queues a copy of the batch, as numbers. Then it is done().
  void gather(Out<T, Space> x, Out<Target, Space> target) const { data_.gather(typename Space::BatchPlace{rows_.data() + first()}, x, target); }
  /// Where batches come to, the first one after start() to its beginning.
  const Data& data() const { return data_; }

 private:
  Index count() const { return (static_cast<Index>(order_.size()) + batch_ - 1) / batch_; }
  Index size(Index b) const { return std::min(batch_, static_cast<Index>(order_.size()) - b * batch_); }
  std::size_t slot_bytes() const { return static_cast<std::size_t>(batch_) * (room_.x_bytes + room_.target_bytes); }
  unsigned char* pinned_x(Index b) { return pinned_.data() + static_cast<std::size_t>(b % slots) * slot_bytes(); }
  unsigned char* pinned_target(Index b) { return pinned_x(b) + static_cast<std::size_t>(batch_) * room_.x_bytes; }

  template <class Change>
  void set(Change change) {
    {
      const std::lock_guard hold(mutex_);
      change();
    }
    changed_.notify_all();
  }

  bool as_bytes() const {
    if constexpr (detail::has_bytes<Source>) return source_.fixed();
    else return false;
  }
  /// Asks the source, into x_ or bytes_, and target_.
  void ask(std::span<const Index> which, const Random& random) {
    if constexpr (detail::has_bytes<Source>)
      if (as_bytes()) return source_.fill_bytes(which, bytes_, target_);
    source_.fill(which, random, x_, target_);
  }
  /// Room for all slots. Targets begin as those of the first example, so that they are some that fit.
  Data make_room() {
    require(batch_ >= 1 && source_.size() >= 1, "StreamedBatches: batches of ", batch_, " from ", source_.size(), " examples");
    const Index which[1] = {0}, n = slots * batch_;
    ask(which, Random(0));
    require<ShapeError>(target_.rank() >= 1 && target_.dim(0) == 1, "StreamedBatches: target ", target_.shape(), " for one example");
    Tensor<Target, Cpu> targets(target_.shape().with(0, n));
    for (Index i = 0; i < n; ++i) Cpu::copy(targets.data() + i * target_.size(), target_.data(), static_cast<std::size_t>(target_.size()) * sizeof(Target));
    const auto room = [&](const Shape& one) { return one.with(0, n); };
    if constexpr (detail::has_bytes<Source>)
      if (as_bytes()) return Data(Tensor<std::uint8_t, Space>(room(bytes_.shape())), source_.levels().template to<Space>(), targets.template to<Space>());
    require<ShapeError>(x_.rank() >= 1 && x_.dim(0) == 1, "StreamedBatches: x ", x_.shape(), " for one example");
    return Data(Tensor<T, Space>(room(x_.shape())), targets.template to<Space>());
  }

  // ---- in the thread

  void fill_all() {
    try {
      for (Index b = 0; b < count(); ++b) {
        {
          std::unique_lock hold(mutex_);
          changed_.wait(hold, [&] { return stopping_ || b < sent_ + slots; });
          if (stopping_) return;
        }
        arrived_[b % slots].synchronize();  // what was in this slot has been copied
        fill(b);
        set([&] { filled_ = b + 1; });
      }
    } catch (...) {
      set([&] { error_ = std::current_exception(); });
    }
  }
  void fill(Index b) {
    const Index n = size(b);
    ask(std::span<const Index>(order_).subspan(static_cast<std::size_t>(b * batch_), static_cast<std::size_t>(n)), random_(b));
    const Shape& x = as_bytes() ? bytes_.shape() : x_.shape();
    require<ShapeError>(x == data_.shape().with(0, n) && target_.shape() == data_.target().shape.with(0, n), "the data source filled x ", x, " and target ",
                        target_.shape(), " for a batch of ", n, " like ", data_.shape(), " and ", data_.target().shape);
    if (check_) check_(target_);
    copy(pinned_x(b), as_bytes() ? static_cast<const void*>(bytes_.data()) : x_.data(), static_cast<std::size_t>(n) * room_.x_bytes);
    copy(pinned_target(b), target_.data(), static_cast<std::size_t>(n) * room_.target_bytes);
  }
  static void copy(unsigned char* to, const void* from, std::size_t bytes) {
    cpu::parallel_ranges(static_cast<Index>(bytes), Index{1} << 19, [&](Index first, Index last) {
      std::memcpy(to + first, static_cast<const unsigned char*>(from) + first, static_cast<std::size_t>(last - first));
    });
  }

  // ---- in the caller's

  /// Queues the copies of all batches that are filled and have a slot on the device, after the work on what was there.
  void send() {
    Index filled = 0;
    set([&] { filled = filled_; });
    for (; sent_ < filled && sent_ < now_ + slots; set([&] { ++sent_; })) {
      const std::size_t slot = static_cast<std::size_t>(sent_ % slots), n = static_cast<std::size_t>(size(sent_)), rows = slot * static_cast<std::size_t>(batch_);
      used_[slot].hold(copies_);
      queue_copy_from_host(copies_, room_.x + rows * room_.x_bytes, pinned_x(sent_), n * room_.x_bytes);
      queue_copy_from_host(copies_, room_.target + rows * room_.target_bytes, pinned_target(sent_), n * room_.target_bytes);
      arrived_[slot].record(copies_);
    }
  }

  Source& source_;
  Index batch_;
  std::function<void(In<Target, Cpu>)> check_;
  Tensor<T, Cpu> x_;
  Tensor<std::uint8_t, Cpu> bytes_;
  Tensor<Target, Cpu> target_;
  Data data_;
  typename Data::Room room_;
  Tensor<std::int64_t, Space> rows_;  // 0, 1, 2, ...
  std::vector<Index> order_;
  std::function<Random(Index)> random_;

  std::mutex mutex_;  // of these
  std::condition_variable changed_;
  Index filled_ = 0, sent_ = 0;  // batches in page-locked memory, and queued to be copied
  bool stopping_ = false;
  std::exception_ptr error_;
  Index now_ = 0;  // batches done

  typename Space::PinnedMemory pinned_;
  typename Space::Event arrived_[slots], used_[slots];  // for each slot: its copy has ended, its work has
  typename Space::OwnStream copies_;                    // ends before what it works on goes
  std::thread thread_;
};

namespace detail {

template <class Space>
constexpr bool has_streams = requires { typename Space::OwnStream; };

template <class T, class Target, class Space, class Source>
auto streamed_on() {
  if constexpr (has_streams<Space>) return std::type_identity<StreamedBatches<T, Target, Space, Source>>();
  else return std::type_identity<std::monostate>();
}
/// StreamedBatches, or nothing on the CPU.
template <class T, class Target, class Space, class Source>
using StreamedOn = typename decltype(streamed_on<T, Target, Space, Source>())::type;

}  // namespace detail

}  // namespace ventral::inline v0
