// Decodes one PNG with ventral::image and with the program's own stb_image.
#include <cstdio>
#include <ventral/io/image.hpp>

extern "C" unsigned char* stbi_load_from_memory(const unsigned char* bytes, int size, int* width, int* height, int* channels, int wanted);
extern "C" void stbi_image_free(void* pixels);

int main() {
  const ventral::Tensor<std::uint8_t> pixels({1, 1, 2}, {7, 250});
  const ventral::Bytes png = ventral::encode_png(pixels);
  const auto ours = ventral::parse_image(png, "pixels");
  int width = 0, height = 0, channels = 0;
  unsigned char* theirs = stbi_load_from_memory(png.data(), static_cast<int>(png.size()), &width, &height, &channels, 1);
  const bool same = theirs && width == 2 && height == 1 && theirs[0] == ours[0] && theirs[1] == ours[1];
  std::printf("%dx%d, %s\n", width, height, same ? "same" : "different");
  stbi_image_free(theirs);
  return same ? 0 : 1;
}
