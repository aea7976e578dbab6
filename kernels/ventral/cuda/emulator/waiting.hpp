#pragma once
/// What a block's threads do together: barriers, warp operations, shared arrays; and what can be wrong with it.
#include "ventral/cuda/emulator/fibers.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

/// Waits until all threads of the block have come. Returns which of the two results belongs to this barrier.
VENTRAL_EMULATOR_UNSEEN inline int Block::barrier(Site site, int predicate) {
  Thread& me = threads_[running_];
  me.site = site;
  if (exited_) fail(concat("divergent barrier: ", name(last_exited_), " has returned without coming to it"), site);
  if (waiting_ == 0) barrier_site_ = site;
  if (!same(site, barrier_site_)) fail(concat("divergent barrier: ", name(find(State::at_barrier)), " waits at ", barrier_site_), site);
  const unsigned phase = phase_;
  BarrierResult& result = results_[phase];
  result.count += predicate != 0;
  result.all &= predicate != 0;
  me.state = State::at_barrier;
  tsan_release(&barrier_tags_[phase]);
  if (++waiting_ == count_) {
    if (shared_.damaged()) fail(concat(shared_.damage(), ", by a thread of this block before this barrier"), site);
    waiting_ = 0;
    ++syncs_;
    phase_ ^= 1;
    results_[phase_] = {};
    for (unsigned i = 0; i < count_; ++i) make_ready(i);
  }
  suspend();
  tsan_acquire(&barrier_tags_[phase]);
  return static_cast<int>(phase);
}

/// Waits until all blocks of the grid have come, and the whole of this one.
inline void Block::meet_grid(unsigned* arrivals, Site site) {
  if (!grid_) fail("grid barrier in a kernel that was not launched by launch_together", site);
  barrier(site, 0);
  if (running_ == 0)
    if (const std::string problem = grid_->meet(arrivals, site); !problem.empty()) fail(problem, site);
  barrier(site, 0);
}

/// Publishes a value of `bytes` bytes and a vote, and waits until all lanes of the mask have come. With no bytes it is __syncwarp(), which alone orders the lanes'
/// memory accesses: CUDA promises no such thing of shuffles and votes, so ThreadSanitizer is not told of any.
VENTRAL_EMULATOR_UNSEEN inline WarpBuffer& Block::warp_operation(unsigned mask, const void* mine, std::size_t bytes, bool vote, Site site) {
  Thread& me = threads_[running_];
  me.site = site;
  const unsigned lane = running_ & 31, bit = 1u << lane, first = running_ & ~31u;
  Warp& warp = warps_[running_ / 32];
  if (!(mask & bit)) fail(concat("warp operation by lane ", lane, ", which is not in its mask ", mask_text(mask)), site);
  mask &= warp.lanes;
  if (mask & warp.exited)
    fail(concat("warp operation that waits for lane ", std::countr_zero(mask & warp.exited), ", which has returned; mask ", mask_text(mask)), site);
  if (warp.held[lane]) warp.held[lane]->holders &= ~bit;
  if (const WarpOperation* other = warp.conflicting(lane, mask))
    fail(concat("mismatched masks of a warp operation: ", mask_text(mask), " here, ", mask_text(other->mask), " at ", other->site, " by ",
                name(first + static_cast<unsigned>(std::countr_zero(other->arrived)))),
         site);
  WarpOperation* operation = warp.find(mask);
  if (!operation) operation = warp.begin(mask, bytes, site);
  if (!same(operation->site, site) || operation->bytes != bytes)
    fail(concat("mismatched warp operations: ", name(first + static_cast<unsigned>(std::countr_zero(operation->arrived))), " is at ", operation->site), site);
  WarpBuffer* buffer = operation->buffer;
  copy_unseen(buffer->values + lane * bytes, mine, bytes);
  if (vote) buffer->votes |= bit;
  warp.held[lane] = buffer;
  me.state = State::in_warp;
  const bool orders = bytes == 0;
  if (orders) tsan_release(buffer);
  operation->arrived |= bit;
  if (operation->arrived == mask) {
    warp.end(operation);
    for (unsigned rest = mask; rest; rest &= rest - 1) make_ready(first + static_cast<unsigned>(std::countr_zero(rest)));
  }
  suspend();
  if (orders) tsan_acquire(buffer);
  return *buffer;
}

VENTRAL_EMULATOR_UNSEEN inline void* Block::shared_array(const void* place, std::size_t bytes, const char* name, Site site) {
  const SharedMemory::Array* array = shared_.find(place);
  if (!array) array = shared_.add(place, bytes, launch_->shared, name, site);
  if (!array)
    fail(concat("no room for shared array '", name, "' of ", bytes, " bytes: a kernel's arrays may take ", SharedMemory::static_limit,
                " bytes, with the dynamic one ", SharedMemory::limit),
         site);
  return array->data;
}

VENTRAL_EMULATOR_UNSEEN inline void* Block::dynamic_shared(Site site) {
  const SharedMemory::Array* array = shared_.find(nullptr);
  if (!array) array = shared_.add(nullptr, launch_->shared, launch_->shared, "dynamic", site);
  if (!array) fail("too many shared arrays", site);
  return array->data;
}

/// A thread has returned: nobody may wait for it, and it may leave nothing undone.
VENTRAL_EMULATOR_UNSEEN inline void Block::check_exit() {
  Thread& me = threads_[running_];
  const unsigned bit = 1u << (running_ & 31);
  AsyncCopy copy;
  if (me.copies.pop(~0u, &copy)) fail("asynchronous copy without a wait for it: the thread has returned", copy.site);
  if (me.products && me.products->count)
    fail("wgmma without a wait for it: the thread has returned", me.products->at(0).site);
  if (exited_ + 1 == count_ && in_flight_.count) fail("copy of a box that nobody waited for: the block has ended", in_flight_.copies[0].site);
  if (waiting_) fail(concat("divergent barrier: ", name(running_), " has returned, ", name(find(State::at_barrier)), " waits"), barrier_site_);
  Warp& warp = warps_[running_ / 32];
  for (int i = 0; i < warp.count; ++i)
    if (warp.operations[i].mask & bit) fail(concat("warp operation that waits for lane ", running_ & 31, ", which has returned"), warp.operations[i].site);
  warp.exited |= bit;
  last_exited_ = running_;
  if (++exited_ == count_ && shared_.damaged()) fail(concat(shared_.damage(), ", by a thread of this block, found at its end"), {});
}

/// The first thread in a state.
VENTRAL_EMULATOR_UNSEEN inline unsigned Block::find(State state) const {
  for (unsigned i = 0; i < count_; ++i)
    if (threads_[i].state == state) return i;
  return 0;
}

VENTRAL_EMULATOR_UNSEEN inline unsigned Block::count(State state) const {
  unsigned n = 0;
  for (unsigned i = 0; i < count_; ++i) n += threads_[i].state == state;
  return n;
}

inline std::string Block::name(unsigned thread) const {
  const uint3 t = threads_[thread].index;
  return concat("thread (", t.x, ",", t.y, ",", t.z, ")");
}

inline void Block::fail(const std::string& what, Site site) const {
  throw CudaError(concat("kernel ", to_string(*launch_), ": ", what, ", in ", name(running_), " of block (", blockIdx.x, ",", blockIdx.y, ",", blockIdx.z, ")",
                         site.file ? concat(" at ", site) : ""));
}

inline std::string Block::deadlock() const {
  std::string out = concat("kernel ", to_string(*launch_), ": deadlock in block (", blockIdx.x, ",", blockIdx.y, ",", blockIdx.z, ")");
  if (waiting_) out += concat("; ", waiting_, " threads wait at the barrier ", barrier_site_, ", the first is ", name(find(State::at_barrier)));
  for (unsigned i = 0; i < mbarriers_.count; ++i) out += waiters(mbarriers_.all[i]);
  if (const unsigned n = count(State::in_warpgroup)) {
    const unsigned first = find(State::in_warpgroup);
    out += concat("; ", n, " threads wait for others of their warpgroup, the first is ", name(first), " at ", threads_[first].site);
  }
  if (const unsigned in_warps = count(State::in_warp)) {
    const unsigned first = find(State::in_warp), lane = first & 31;
    const Warp& warp = warps_[first / 32];
    for (int i = 0; i < warp.count; ++i)
      if (const WarpOperation& w = warp.operations[i]; w.arrived >> lane & 1)
        out += concat("; ", in_warps, " threads wait in warp operations, the first is ", name(first), " at ", w.site, ", for lane ",
                      std::countr_zero(w.mask & ~w.arrived), " of mask ", mask_text(w.mask));
  }
  return out;
}

}  // namespace ventral::inline v0::cuda::emulated::emulator
