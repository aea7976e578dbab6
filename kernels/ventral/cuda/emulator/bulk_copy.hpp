#pragma once
/// Copies of boxes of a matrix to shared memory by the copy engine (TMA, cp.async.bulk.tensor). One ends when no thread can go on, in a random schedule also
/// before: the last issued first in the schedule `lifo`. Until then its destination is NaN.
#include "ventral/cuda/emulator/arrays.hpp"
#include "ventral/cuda/emulator/mbarrier.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

/// Describes a matrix as cuTensorMapEncodeTiled does; rows of a box are 128 bytes, swizzled. Throws CudaError for what it would refuse.
inline TensorMap tensor_map(const void* data, unsigned number, bool to_tf32, Index rows, Index columns, Index stride, int box_rows, int box_columns) {
  const std::size_t pitch = static_cast<std::size_t>(stride) * number;
  const auto check = [](bool ok, const char* what) { require<CudaError>(ok, "tensor map: ", what); };
  check(reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && pitch % 16 == 0 && pitch < std::size_t{1} << 40, "rows that do not begin at multiples of 16 bytes");
  check(rows > 0 && columns > 0 && rows <= Index{1} << 32 && columns <= Index{1} << 32, "an extent that is not 1 to 2^32");
  check(box_rows > 0 && box_rows <= 256 && box_columns > 0 && static_cast<unsigned>(box_columns) * number == 128, "a box that is not 1 to 256 rows of 128 bytes");
  Arrays::instance().check_range(data, static_cast<std::size_t>(rows - 1) * pitch + static_cast<std::size_t>(columns) * number, "tensor map");
  return {static_cast<const char*>(data), pitch, {columns, rows}, {box_columns, box_rows}, number, to_tf32};
}

VENTRAL_EMULATOR_UNSEEN inline void Block::copy_box(void* to, const TensorMap& map, int x, int y, void* place, Site site) {
  Mbarrier& b = mbarrier(place, true, site);
  const std::size_t bytes = static_cast<std::size_t>(map.box[1]) * 128;
  if (reinterpret_cast<std::uintptr_t>(to) % 1024) fail("copy of a box to an address that is no multiple of 1024 bytes, where its swizzle repeats", site);
  const SharedMemory::Array* const array = shared_.array_of(to);
  if (!array || array->data + array->bytes < static_cast<char*>(to) + bytes) fail(concat("copy of a box of ", bytes, " bytes past a shared array"), site);
  if (in_flight_.count == BulkQueue::most) fail(concat("more than ", BulkQueue::most, " copies in flight"), site);
  fill_fresh(to, bytes);
  fill_fresh(shared_.async_view(to), bytes);
  in_flight_.copies[in_flight_.count++] = {static_cast<char*>(to), map, x, y, &b, site};
}

/// The 16 bytes from (x, y) on, zeros outside of the matrix.
VENTRAL_EMULATOR_UNSEEN inline void read_piece(const TensorMap& map, long long x, long long y, unsigned char (&piece)[16]) {
  const unsigned n = map.number;
  for (unsigned i = 0; i < 16 / n; ++i) {
    const bool inside = x + i < map.extent[0] && x + i >= 0 && y >= 0 && y < map.extent[1];
    unsigned char number[8] = {};
    if (inside) copy_unseen(number, map.data + static_cast<std::size_t>(y) * map.pitch + static_cast<std::size_t>(x + i) * n, n);
    if (map.to_tf32) {  // to nearest, ties away from zero; infinities and NaN as they are
      std::uint32_t bits = 0;
      copy_unseen(&bits, number, 4);
      if ((bits & 0x7F800000u) != 0x7F800000u) bits = (bits + 0x1000u) & ~0x1FFFu;
      copy_unseen(number, &bits, 4);
    }
    copy_unseen(piece + i * n, number, n);
  }
}

/// Ends one copy: the bytes are there, and its barrier is told.
VENTRAL_EMULATOR_UNSEEN inline void Block::deliver() {
  const unsigned last = in_flight_.count - 1;
  const BulkCopy copy = in_flight_.take(order_ == Order::fifo ? 0 : order_ == Order::lifo ? last : draw(last + 1));
  for (int row = 0; row < copy.map.box[1]; ++row)
    for (unsigned i = 0; i < 8; ++i) {
      unsigned char piece[16];
      read_piece(copy.map, copy.x + static_cast<long long>(16 / copy.map.number * i), static_cast<long long>(copy.y) + row, piece);
      char* const to = copy.to + swizzle_128(static_cast<std::size_t>(row) * 128 + 16 * i);
      copy_unseen(to, piece, 16);
      copy_unseen(shared_.async_view(to), piece, 16);
    }
  copy.barrier->bytes -= 128 * copy.map.box[1];
  advance(*copy.barrier);
}

}  // namespace ventral::inline v0::cuda::emulated::emulator
