#pragma once
/// How a block's threads take turns. A thread that returns hands its stack to the next one, so that kernels without barriers never switch.
#include "ventral/cuda/emulator/block.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

inline Block::Block() : threads_(new Thread[most_threads]), warps_(new Warp[most_threads / 32]) {}
inline Block::~Block() {
  for (unsigned i = 0; i < most_threads; ++i) {
    if (threads_[i].tsan_fiber) tsan_destroy_fiber(threads_[i].tsan_fiber);
    delete threads_[i].products;
  }
  delete[] threads_;
  delete[] warps_;
}

VENTRAL_EMULATOR_UNSEEN inline void Block::begin(const Launch& launch, void (*body)(void*), void* context, const Options& options) {
  launch_ = &launch;
  body_ = body;
  context_ = context;
  order_ = options.order;
  seed_ = options.seed;
  count_ = static_cast<unsigned>(launch.threads.size());
  const Extent n = launch.threads;
  for (unsigned i = 0; i < count_; ++i) threads_[i].index = {i % n.x, i / n.x % n.y, i / n.x / n.y};
  blockDim = {n.x, n.y, n.z};
  gridDim = {launch.blocks.x, launch.blocks.y, launch.blocks.z};
  if (under_tsan) name_fibers();
}

/// Gives each thread a fiber of ThreadSanitizer's with its name, and always the same stack, so that fibers do not race for stacks.
inline void Block::name_fibers() {
  const Extent n = launch_->threads;
  if (n.x != named_.x || n.y != named_.y) named_count_ = 0;
  named_ = n;
  for (unsigned i = named_count_; i < count_; ++i) {
    Thread& t = threads_[i];
    if (!t.tsan_fiber) t.tsan_fiber = tsan_make_fiber(0);
    if (!t.stack) t.stack = stacks_.take();
    tsan_name_fiber(t.tsan_fiber, concat(name(i), this == &of_this_thread(0) ? " of a block" : " of another block").c_str());
  }
  named_count_ = std::max(named_count_, count_);
  for (unsigned i = 0; i < count_; i += 32) warps_[i / 32].make_all_buffers();
  main_.tsan_fiber = tsan_this_fiber();
}

VENTRAL_EMULATOR_UNSEEN inline void Block::end() {
  tsan_acquire(&end_tag_);
  current = nullptr;
  grid_ = nullptr;
}

VENTRAL_EMULATOR_UNSEEN inline void Block::run(Index number) {
  shared_.clear();
  start(number);
  if (exited_ == count_ && !failed_) [[likely]]
    return;
  const std::string reason = failed_ ? "" : deadlock();
  abandon_fibers();
  if (!failed_) throw CudaError(reason);
  std::rethrow_exception(std::exchange(error_, nullptr));
}

/// Lets the threads of a block run until none of them can go on.
VENTRAL_EMULATOR_UNSEEN inline void Block::start(Index number) {
  const Index x = launch_->blocks.x, y = launch_->blocks.y;
  current = this;
  blockIdx = {static_cast<unsigned>(number % x), static_cast<unsigned>(number / x % y), static_cast<unsigned>(number / x / y)};
  random_ = (seed_ + 1) * 0x9E3779B97F4A7C15u ^ (static_cast<std::uint64_t>(number) + 1) * 0xD1B54A32D192ED03u;
  exited_ = waiting_ = ready_first_ = phase_ = syncs_ = mbarriers_.count = in_flight_.count = 0;
  for (Meeting& meeting : meetings_) meeting.arrived = 0;
  failed_ = false;
  results_[0] = results_[1] = {};
  main_stack_ = {};
  for (unsigned i = 0; i < count_; i += 32) warps_[i / 32].clear(count_ - i);
  for (unsigned i = 0; i < count_; ++i) {
    threads_[i].state = State::fresh;
    threads_[i].copies.clear();
    if (threads_[i].products) threads_[i].products->clear();
    ready_[i] = i;
  }
  ready_count_ = count_;
  tsan_release(&start_tag_);
  resume(most_threads, next());
}

/// A random number below n.
VENTRAL_EMULATOR_UNSEEN inline unsigned Block::draw(unsigned n) {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return static_cast<unsigned>((random_ >> 32) * n >> 32);
}

/// Takes the thread that goes on next from those that can.
VENTRAL_EMULATOR_UNSEEN inline unsigned Block::next() {
  const auto place = [this](unsigned i) VENTRAL_EMULATOR_UNSEEN { return (ready_first_ + i) % most_threads; };
  --ready_count_;
  if (order_ == Order::lifo) return ready_[place(ready_count_)];
  if (order_ == Order::random && ready_count_) {
    const unsigned chosen = place(draw(ready_count_ + 1)), first = ready_[ready_first_];
    ready_[ready_first_] = ready_[chosen];
    ready_[chosen] = first;
  }
  const unsigned thread = ready_[ready_first_];
  ready_first_ = place(1);
  return thread;
}

/// The thread that goes on next, or the launch when none can. Copies in flight end when nothing else happens, by chance before.
VENTRAL_EMULATOR_UNSEEN inline unsigned Block::pick() {
  while (in_flight_.count && (ready_count_ == 0 || (order_ == Order::random && draw(4) == 0))) deliver();
  return ready_count_ ? next() : most_threads;
}

VENTRAL_EMULATOR_UNSEEN inline void Block::make_ready(unsigned thread) {
  threads_[thread].state = State::running;
  ready_[(ready_first_ + ready_count_++) % most_threads] = thread;
}

/// Leaves thread `from` for thread `to`; the number most_threads is the launch itself.
VENTRAL_EMULATOR_UNSEEN inline void Block::resume(unsigned from, unsigned to) {
  Thread& a = from == most_threads ? main_ : threads_[from];
  if (to == most_threads) return switch_fiber(a, main_);
  Thread& b = threads_[to];
  if (b.state == State::fresh) {
    if (!b.stack) b.stack = stacks_.take();
    if (!b.keeps_fiber) prepare_context(b.context, b.stack->low, b.stack->top, fiber_entry);
    b.keeps_fiber = under_tsan;
  }
  running_ = to;
  threadIdx = b.index;
  switch_fiber(a, b);
}

VENTRAL_EMULATOR_UNSEEN inline void Block::switch_fiber(Thread& from, Thread& to) {
  tsan_switch(to.tsan_fiber, tsan_no_sync);
  if constexpr (under_asan) {
    const bool ended = from.state == State::exited && &from != &main_;
    asan_start_switch(ended ? nullptr : &from.fake_stack, to.stack ? to.stack->low : nullptr, to.stack ? to.stack->bytes() : 0);
  }
  switch_context(from.context, to.context);
  if constexpr (under_asan) asan_finish_switch(from.fake_stack, nullptr, nullptr);
}

/// Lets the others go on until this thread is ready again.
VENTRAL_EMULATOR_UNSEEN inline void Block::suspend() {
  const unsigned me = running_, to = pick();
  if (to != me) resume(me, to);
}

VENTRAL_EMULATOR_UNSEEN inline void Block::fiber_entry() {
  Block& block = *current;
  block.run_fiber();
}

/// What each fiber does: runs threads that have not begun yet, one after the other, until it has to switch to one that waits.
/// Under ThreadSanitizer each runs its own thread, in all blocks.
VENTRAL_EMULATOR_UNSEEN inline void Block::run_fiber() {
  if constexpr (under_asan) {
    const void* from = nullptr;
    std::size_t bytes = 0;
    asan_finish_switch(nullptr, &from, &bytes);
    if (!main_stack_.low) {  // the first fiber comes from the launch, whose stack this tells
      main_stack_.low = const_cast<char*>(static_cast<const char*>(from));
      main_stack_.top = main_stack_.low + bytes;
      main_.stack = &main_stack_;
    }
  }
  for (;;) {
    Thread& me = threads_[running_];
    me.state = State::running;
    tsan_acquire(&start_tag_);
    call_kernel();
    tsan_release(&end_tag_);
    const unsigned number = running_, to = failed_ ? most_threads : pick();
    me.state = State::exited;
    if (under_tsan) {
      resume(number, to);  // comes back when a later block runs this thread
    } else if (to != most_threads && threads_[to].state == State::fresh) {
      threads_[to].stack = std::exchange(me.stack, nullptr);
      running_ = to;
      threadIdx = threads_[to].index;
    } else {
      stacks_.give(std::exchange(me.stack, nullptr));
      resume(number, to);
    }
  }
}

/// Runs the kernel as the present thread and keeps what it throws. Seen by the sanitizers, unlike the rest.
[[gnu::noinline]] inline void Block::call_kernel() {
  try {
    body_(context_);
    check_exit();
  } catch (...) {
    error_ = std::current_exception();  // the first: after it no thread goes on
    failed_ = true;
  }
}

/// After an error the waiting fibers are dropped where they are.
VENTRAL_EMULATOR_UNSEEN inline void Block::abandon_fibers() {
  for (unsigned i = 0; i < count_; ++i) {
    Thread& t = threads_[i];
    if (t.state == State::fresh || t.state == State::exited) continue;
    if (under_tsan) {  // what it did happened before all that follows
      tsan_switch(t.tsan_fiber, tsan_no_sync);
      tsan_release(&end_tag_);
      tsan_switch(main_.tsan_fiber, tsan_no_sync);
      t.keeps_fiber = false;
      if (++t.abandoned == 20) {  // ThreadSanitizer still holds the calls that it was in, and would show them in its reports
        tsan_destroy_fiber(t.tsan_fiber);
        t.tsan_fiber = nullptr;
        t.abandoned = 0;
        named_count_ = 0;
      }
    } else {
      asan_unpoison(t.stack->low, t.stack->bytes());
      stacks_.give(std::exchange(t.stack, nullptr));
    }
  }
  tsan_acquire(&end_tag_);
}

}  // namespace ventral::inline v0::cuda::emulated::emulator
