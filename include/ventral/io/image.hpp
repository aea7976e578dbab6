#pragma once
#include "ventral/io/file.hpp"
#include "ventral/tensor.hpp"

/// Reading and writing of picture files; link ventral::image. The decoder (stb) is seen by image.cpp alone.
namespace ventral::inline v0 {

/// What the pixels of an image mean.
enum class Channels {
  as_stored,  ///< 1 grey, 2 grey and alpha, 3 red, green, blue, 4 with alpha
  grey,       ///< 1; colours are weighted 0.299, 0.587, 0.114, alpha is dropped
  rgb         ///< 3; alpha is dropped
};

struct ImageOptions {
  Channels channels = Channels::as_stored;
  Index max_side = 1 << 15;    ///< of height and width
  Index max_pixels = 1 << 26;  ///< of height times width
};

/// Decodes a PNG, JPEG, BMP, PGM or PPM file in memory into pixels [C,H,W], 0..255; 16-bit samples keep their upper 8 bits.
/// Throws FileError when it is none of these, corrupt, above the limits of the options, or claims more pixels than its bytes can hold.
Tensor<std::uint8_t> parse_image(ByteSpan bytes, std::string_view name, const ImageOptions& options = {});

/// Reads a picture file; see parse_image.
Tensor<std::uint8_t> read_image(const std::string& path, const ImageOptions& options = {});

/// Pixels [H,W] or [C,H,W] with 1 to 4 channels as a PNG file in memory. Throws ShapeError for other shapes and for empty pictures.
Bytes encode_png(TensorRef<const std::uint8_t> pixels);

/// Writes pixels as a PNG file, atomically; see encode_png.
void write_png(const std::string& path, TensorRef<const std::uint8_t> pixels);

}  // namespace ventral::inline v0
