#pragma once
/// Barriers in shared memory (mbarrier): some arrive, others wait for the phase to end. Throws CudaError for what CUDA leaves undefined.
#include "ventral/cuda/emulator/waiting.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

/// An initialised mbarrier that this thread, and when it is to copy the copy engine, can see.
VENTRAL_EMULATOR_UNSEEN inline Mbarrier& Block::mbarrier(const void* place, bool for_copies, Site site) {
  Mbarrier* const b = mbarriers_.find(place);
  if (!b) fail("mbarrier that has not been initialised", site);
  if (*b->place != Mbarrier::mark) fail(concat("mbarrier whose memory was written to; it was initialised at ", b->site), site);
  if (b->by != running_ && b->syncs == syncs_)
    fail(concat("mbarrier used before a barrier of the block made its initialisation by ", name(b->by), " at ", b->site, " visible"), site);
  if (for_copies && !b->fenced) fail(concat("copy to an mbarrier without a fence after its initialisation at ", b->site), site);
  return *b;
}

VENTRAL_EMULATOR_UNSEEN inline void Block::init_mbarrier(void* place, unsigned arrivals, Site site) {
  if (reinterpret_cast<std::uintptr_t>(place) % 8 || !in_shared(place, 8)) fail("mbarrier that is not 8 aligned bytes of shared memory", site);
  if (arrivals == 0 || arrivals > Mbarrier::most) fail(concat("mbarrier for ", arrivals, " arrivals; 1 to ", Mbarrier::most, " are possible"), site);
  if (const Mbarrier* b = mbarriers_.find(place)) fail(concat("mbarrier initialised twice, before at ", b->site), site);
  if (mbarriers_.count == Mbarriers::most) fail(concat("more than ", Mbarriers::most, " mbarriers"), site);
  auto* const words = static_cast<std::uint64_t*>(place);
  *words = Mbarrier::mark;
  mbarriers_.all[mbarriers_.count++] = {words, arrivals, arrivals, 0, 0, running_, syncs_, false, site};
}

/// Ends the phase when nothing is missing any more.
VENTRAL_EMULATOR_UNSEEN inline void Block::advance(Mbarrier& b) {
  if (b.missing || b.bytes) return;
  ++b.phase;
  b.missing = b.expected;
  for (unsigned i = 0; i < count_; ++i)
    if (threads_[i].state == State::at_mbarrier && threads_[i].awaited == &b) make_ready(i);
}

VENTRAL_EMULATOR_UNSEEN inline void Block::arrive(const void* place, unsigned bytes, Site site) {
  Mbarrier& b = mbarrier(place, false, site);
  if (b.missing == 0) fail(concat("more arrivals at an mbarrier than the ", b.expected, " of a phase, in phase ", b.phase), site);
  if (bytes > Mbarrier::most || b.bytes + static_cast<int>(bytes) > Mbarrier::most)
    fail(concat("mbarrier that expects ", static_cast<long>(b.bytes) + bytes, " bytes; ", Mbarrier::most, " are possible"), site);
  tsan_release(b.place);
  b.bytes += static_cast<int>(bytes);
  --b.missing;
  advance(b);
}

/// Waits until the phase of this parity has ended: the present one, or the one before, which has.
VENTRAL_EMULATOR_UNSEEN inline void Block::await(const void* place, unsigned parity, Site site) {
  Mbarrier& b = mbarrier(place, false, site);
  Thread& me = threads_[running_];
  me.site = site;
  me.awaited = &b;
  while ((b.phase & 1) == (parity & 1)) {
    me.state = State::at_mbarrier;
    suspend();
  }
  tsan_acquire(b.place);
}

/// fence.proxy.async: what this thread has written to shared memory, and its mbarriers, can be seen by the copy engine and the tensor cores.
/// The emulator shows them all that any thread has written, since it does not see who wrote what.
VENTRAL_EMULATOR_UNSEEN inline void Block::fence_async() {
  for (unsigned i = 0; i < mbarriers_.count; ++i) mbarriers_.all[i].fenced |= mbarriers_.all[i].by == running_;
  shared_.publish();
}

/// Who waits at a barrier, and for what; empty when nobody does.
inline std::string Block::waiters(const Mbarrier& b) const {
  unsigned n = 0, first = 0;
  for (unsigned i = count_; i-- > 0;)
    if (threads_[i].state == State::at_mbarrier && threads_[i].awaited == &b) ++n, first = i;
  if (n == 0) return "";
  const SharedMemory::Array* const array = shared_.array_of(b.place);
  return concat("; ", n, " threads wait at an mbarrier, '", array->name, "' + ", reinterpret_cast<const char*>(b.place) - array->data, " bytes, initialised at ", b.site,
                ", the first is ", name(first), " at ", threads_[first].site, "; of phase ", b.phase, " ", b.missing, " of ", b.expected, " arrivals and ", b.bytes,
                " bytes are missing");
}

}  // namespace ventral::inline v0::cuda::emulated::emulator
