// This project's own copy of stb_image, with external linkage: it must not collide with the one inside ventral::image.
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <stb_image.h>
#pragma GCC diagnostic pop
