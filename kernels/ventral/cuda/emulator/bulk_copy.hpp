#pragma once
/// Copies of boxes of a matrix or of images to shared memory by the copy engine (TMA, cp.async.bulk.tensor). One ends when no thread can go on, in a random schedule also
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
  return {static_cast<const char*>(data), {pitch, 0, 0}, {columns, rows, 1, 1}, {box_columns, box_rows}, number, to_tf32, false, {}, {}, {}};
}

/// Describes images [N,H,W,pitch], of whose numbers `channels` are read, as cuTensorMapEncodeIm2col does; index 0 of windows is their column. Throws
/// CudaError for what it would refuse.
inline TensorMap pixel_map(const void* data, unsigned number, bool to_tf32, const Index (&extent)[4], Index pitch, const int (&first)[2], const int (&last)[2],
                           const int (&step)[2], int channels, int pixels) {
  const auto check = [](bool ok, const char* what) { require<CudaError>(ok, "tensor map of images: ", what); };
  const std::size_t bytes = static_cast<std::size_t>(pitch) * number;
  check(reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && bytes % 16 == 0 && pitch >= extent[0], "pixels that do not begin at multiples of 16 bytes");
  for (const Index n : extent) check(0 < n && n <= Index{1} << 32, "an extent that is not 1 to 2^32");
  for (int i = 0; i < 2; ++i) {
    check(-128 <= first[i] && first[i] <= 127 && -128 <= last[i] && last[i] <= 127, "windows that begin or end more than 127 pixels from the edge");
    check(first[i] < extent[i + 1] + last[i], "no window");
    check(1 <= step[i] && step[i] <= 8, "steps that are not 1 to 8");
  }
  check(pixels > 0 && pixels <= 1024 && channels > 0 && static_cast<unsigned>(channels) * number == 128, "a box that is not 1 to 1024 pixels of 128 bytes");
  const std::size_t line = bytes * static_cast<std::size_t>(extent[1]), image = line * static_cast<std::size_t>(extent[2]);
  Arrays::instance().check_range(data, image * static_cast<std::size_t>(extent[3]) - bytes + static_cast<std::size_t>(extent[0]) * number, "tensor map");
  return {static_cast<const char*>(data), {bytes, line, image}, {extent[0], extent[1], extent[2], extent[3]}, {channels, pixels}, number, to_tf32, true,
          {first[0], first[1]}, {last[0], last[1]}, {step[0], step[1]}};
}

VENTRAL_EMULATOR_UNSEEN inline void Block::copy_box(void* to, const TensorMap& map, const int (&at)[4], const int (&offset)[2], void* place, Site site) {
  Mbarrier& b = mbarrier(place, true, site);
  const std::size_t bytes = static_cast<std::size_t>(map.box[1]) * 128;
  if (reinterpret_cast<std::uintptr_t>(to) % 1024) fail("copy of a box to an address that is no multiple of 1024 bytes, where its swizzle repeats", site);
  const SharedMemory::Array* const array = shared_.array_of(to);
  if (!array || array->data + array->bytes < static_cast<char*>(to) + bytes) fail(concat("copy of a box of ", bytes, " bytes past a shared array"), site);
  if (in_flight_.count == BulkQueue::most) fail(concat("more than ", BulkQueue::most, " copies in flight"), site);
  fill_fresh(to, bytes);
  fill_fresh(shared_.async_view(to), bytes);
  in_flight_.copies[in_flight_.count++] = {static_cast<char*>(to), map, {at[0], at[1], at[2], at[3]}, {offset[0], offset[1]}, &b, site};
}

/// A copy of pixels: windows stand at (column, row) of an image and further on, each is read `right` and `down` of that.
VENTRAL_EMULATOR_UNSEEN inline void Block::copy_pixels(void* to, const TensorMap& map, const int (&at)[4], int right, int down, void* place, Site site) {
  if (!map.images) fail("copy of pixels by the map of a matrix", site);
  if (right < 0 || right > 255 || down < 0 || down > 255) fail("copy of pixels more than 255 from where their windows stand", site);
  for (int i = 0; i < 2; ++i)
    if (at[i + 1] < map.first[i] || at[i + 1] >= map.extent[i + 1] + map.last[i]) fail("copy of pixels from where no window stands", site);
  copy_box(to, map, at, {right, down}, place, site);
}

/// Moves on to the next row of a box, which of images is the next window.
VENTRAL_EMULATOR_UNSEEN inline void next_row(const TensorMap& map, int (&at)[4]) {
  for (int i = 0; map.images && i < 2; ++i) {
    at[i + 1] += map.step[i];
    if (at[i + 1] < map.extent[i + 1] + map.last[i]) return;
    at[i + 1] = map.first[i];
  }
  ++at[map.images ? 3 : 1];
}

/// The first number of a row, or null where the row is outside.
VENTRAL_EMULATOR_UNSEEN inline const char* row_of(const BulkCopy& copy, const int (&at)[4]) {
  const char* row = copy.map.data;
  for (int i = 0; i < 3; ++i) {
    const long long y = static_cast<long long>(at[i + 1]) + (i < 2 ? copy.offset[i] : 0);
    if (y < 0 || y >= copy.map.extent[i + 1]) return nullptr;
    row += static_cast<std::size_t>(y) * copy.map.pitch[i];
  }
  return row;
}

/// The 16 bytes of a row from number x on, zeros outside.
VENTRAL_EMULATOR_UNSEEN inline void read_piece(const TensorMap& map, const char* row, long long x, unsigned char (&piece)[16]) {
  const unsigned n = map.number;
  for (unsigned i = 0; i < 16 / n; ++i) {
    const bool inside = row && x + i < map.extent[0] && x + i >= 0;
    unsigned char number[8] = {};
    if (inside) copy_unseen(number, row + static_cast<std::size_t>(x + i) * n, n);
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
  int at[4] = {copy.at[0], copy.at[1], copy.at[2], copy.at[3]};
  for (int row = 0; row < copy.map.box[1]; ++row, next_row(copy.map, at)) {
    const char* const from = row_of(copy, at);
    for (unsigned i = 0; i < 8; ++i) {
      unsigned char piece[16];
      read_piece(copy.map, from, at[0] + static_cast<long long>(16 / copy.map.number * i), piece);
      char* const to = copy.to + swizzle_128(static_cast<std::size_t>(row) * 128 + 16 * i);
      copy_unseen(to, piece, 16);
      copy_unseen(shared_.async_view(to), piece, 16);
    }
  }
  copy.barrier->bytes -= 128 * copy.map.box[1];
  advance(*copy.barrier);
}

}  // namespace ventral::inline v0::cuda::emulated::emulator
