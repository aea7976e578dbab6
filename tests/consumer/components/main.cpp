// A program that reads compressed and picture files: the parts with a dependency.
#include <cstdio>
#include <ventral/io/gzip.hpp>
#include <ventral/io/image.hpp>
#include <ventral/ventral.hpp>

int main() {
  const ventral::Bytes text{'v', 'e', 'n', 't', 'r', 'a', 'l'};
  const bool same_text = ventral::gunzip(ventral::gzip(text), "text") == text;
  ventral::Tensor<std::uint8_t> pixels({1, 2, 3}, {0, 50, 100, 150, 200, 250});
  const auto back = ventral::parse_image(ventral::encode_png(pixels), "pixels");
  std::printf("gzip %s, png %s\n", same_text ? "right" : "wrong", to_string(back.shape()).c_str());
  return same_text && back.shape() == pixels.shape() && back[5] == 250 ? 0 : 1;
}
