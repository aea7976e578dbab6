#pragma once
/// Products of matrices in shared memory by 128 threads (wgmma). They read and add when they are waited for, in the schedule `lifo` when they are committed, in
/// a random one at either time.
#include "ventral/cuda/emulator/bulk_copy.hpp"
#include "ventral/cuda/emulator/tensor_core.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

/// An operand as its descriptor gives it: rows of 128 bytes, swizzled, in atoms of eight rows. `extent_innermost`: a row holds numbers along m or n, and
/// the eight rows are steps of k; else the other way round. Source: PTX ISA, wgmma: matrix descriptor, strides, canonical layouts.
template <class T>
class WarpgroupOperand {
 public:
  WarpgroupOperand(Block& block, std::uint64_t descriptor, bool extent_innermost, Site site)
      : block_(block),
        start_((descriptor & 0x3FFF) << 4),
        leading_((descriptor >> 16 & 0x3FFF) << 4),
        stride_((descriptor >> 32 & 0x3FFF) << 4),
        extent_innermost_(extent_innermost),
        site_(site),
        array_(block.shared().array_of(block.shared().at(start_))) {
    if (descriptor >> 62 != 1 || (descriptor >> 49 & 7)) block.fail("wgmma with a descriptor that is not of the 128-byte swizzle with base offset 0", site);
    if (!array_) block.fail("wgmma whose operand is in no shared array", site);
  }

  /// Number k of row i of a, or of column i of b.
  float at(unsigned i, unsigned k) const {
    constexpr unsigned in_row = 128 / sizeof(T), n = sizeof(T);
    const std::size_t offset = extent_innermost_ ? i / in_row * leading_ + k / 8 * stride_ + k % 8 * 128 + i % in_row * n : i / 8 * stride_ + i % 8 * 128 + k * n;
    const std::size_t place = swizzle_128(start_ + offset);
    const char* const p = block_.shared().at(place);
    if (p < array_->data || p + n > array_->data + array_->bytes) block_.fail(concat("wgmma that reads past shared array '", array_->name, "'"), site_);
    std::uint32_t bits = 0;
    copy_unseen(&bits, block_.shared().async_view(p), n);
    if constexpr (sizeof(T) == 2) return static_cast<float>(T::from_bits(static_cast<std::uint16_t>(bits)));
    else return std::bit_cast<float>(bits & ~0x1FFFu);  // tf32: the other bits are not looked at
  }

 private:
  Block& block_;
  std::size_t start_, leading_, stride_;
  bool extent_innermost_;
  Site site_;
  const SharedMemory::Array* array_;
};

/// This thread's sums of d [64,columns] += a b, half of the depth at a time as mma: number i is that of row 16 warp + lane / 4 + 8 (i / 2 % 2) and column
/// 8 (i / 4) + 2 (lane % 4) + i % 2. Source: PTX ISA, wgmma.mma_async.m64nNk16, register fragment of d.
template <class T, int columns, bool a_extent, bool b_extent>
void add_warpgroup_product(Block& block, float* sums, std::uint64_t a, std::uint64_t b, Site site) {
  constexpr unsigned half = 16 / sizeof(T);
  const WarpgroupOperand<T> left(block, a, a_extent, site), right(block, b, b_extent, site);
  const unsigned warp = block.thread() / 32 % 4, lane = block.lane();
  for (unsigned k = 0; k < 2 * half; k += half) {
    float rows[2][half], column[half];
    for (unsigned r = 0; r < 2; ++r)
      for (unsigned i = 0; i < half; ++i) rows[r][i] = left.at(16 * warp + lane / 4 + 8 * r, k + i);
    for (unsigned j = 0; j < columns / 4; ++j) {
      for (unsigned i = 0; i < half; ++i) column[i] = right.at(j / 2 * 8 + 2 * (lane % 4) + j % 2, k + i);
      for (unsigned r = 0; r < 2; ++r) {
        float& sum = sums[j / 2 * 4 + 2 * r + j % 2];
        sum = tensor_core_sum(sum, rows[r], column);
      }
    }
  }
}

inline std::uint64_t matrix_descriptor(const void* p, unsigned leading_bytes, unsigned stride_bytes) {
  const std::uint64_t start = Block::current->shared().offset(p);
  return (start >> 4 & 0x3FFF) | std::uint64_t{leading_bytes >> 4} << 16 | std::uint64_t{stride_bytes >> 4} << 32 | std::uint64_t{1} << 62;
}

VENTRAL_EMULATOR_UNSEEN inline ProductQueue& Block::products() {
  ProductQueue*& queue = threads_[running_].products;
  if (!queue) queue = new ProductQueue;
  return *queue;
}

/// Waits for all threads of the warpgroup, who have to come from the same line and the same products.
VENTRAL_EMULATOR_UNSEEN inline void Block::meet_warpgroup(Site site) {
  const unsigned first = running_ / 128 * 128;
  if (first + 128 > count_) fail("wgmma by fewer than the 128 threads of a warpgroup", site);
  Meeting& m = meetings_[running_ / 128];
  Thread& me = threads_[running_];
  const std::uint64_t history = products().history;
  if (m.arrived == 0) m = {0, running_, history, site};
  if (!same(site, m.site)) fail(concat("mismatched operations of a warpgroup: ", name(m.first), " is at ", m.site), site);
  if (history != m.history) fail(concat("threads of a warpgroup have issued different wgmma: this one and ", name(m.first)), site);
  me.site = site;
  me.state = State::in_warpgroup;
  tsan_release(&m);
  if (++m.arrived == 128) {
    m.arrived = 0;
    for (unsigned i = first; i < first + 128; ++i) make_ready(i);
  }
  suspend();
  tsan_acquire(&m);
}

inline void warpgroup_fence() { Block::current->products().fenced = true; }

/// Issues d += a b. Until the wait d is NaN.
template <class T, int columns, bool a_extent, bool b_extent>
VENTRAL_EMULATOR_UNSEEN void warpgroup_product(float (&d)[columns / 2], std::uint64_t a, std::uint64_t b, Site site) {
  Block& block = *Block::current;
  ProductQueue& queue = block.products();
  WarpgroupSums* const sums = queue.find(d);
  if (queue.count == ProductQueue::most || !sums) block.fail("more wgmma in flight than the emulator keeps", site);
  if (!sums->unfinished) {
    if (!queue.fenced) block.fail("wgmma on registers that no wgmma.fence has handed over since the last wait", site);
    sums->d = d;
    sums->count = columns / 2;
    copy_unseen(sums->values, d, sizeof d);
    fill_fresh(d, sizeof d);
  }
  ++sums->unfinished;
  queue.at(queue.count++) = {static_cast<unsigned>(sums - queue.sums), a, b, add_warpgroup_product<T, columns, a_extent, b_extent>, site, queue.group, false};
  for (const std::uint64_t part : {a, b, std::uint64_t{columns}, std::uint64_t{sizeof(T)}}) queue.history = (queue.history ^ part) * 0x9E3779B97F4A7C15u + 1;
}

VENTRAL_EMULATOR_UNSEEN inline void add_now(ProductQueue& queue, WarpgroupProduct& product) {
  if (!product.done) product.add(*Block::current, queue.sums[product.sums].values, product.a, product.b, product.site);
  product.done = true;
}

VENTRAL_EMULATOR_UNSEEN inline void warpgroup_commit() {
  Block& block = *Block::current;
  ProductQueue& queue = block.products();
  ++queue.group;
  if (block.early())
    for (unsigned i = 0; i < queue.count; ++i) add_now(queue, queue.at(i));
}

/// Waits until at most the last `groups` groups are unfinished. Sums that no product goes to any more are the thread's again.
VENTRAL_EMULATOR_UNSEEN inline void warpgroup_wait(unsigned groups, Site site) {
  Block& block = *Block::current;
  ProductQueue& queue = block.products();
  block.meet_warpgroup(site);  // late: whoever may overwrite an operand has had a turn
  for (; queue.count && queue.at(0).group + groups < queue.group; queue.first = (queue.first + 1) % ProductQueue::most, --queue.count) {
    add_now(queue, queue.at(0));
    WarpgroupSums& sums = queue.sums[queue.at(0).sums];
    if (--sums.unfinished == 0) copy_unseen(sums.d, sums.values, 4 * sums.count);
  }
  queue.fenced = false;
  block.meet_warpgroup(site);
}

}  // namespace ventral::inline v0::cuda::emulated::emulator
