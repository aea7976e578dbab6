#pragma once
/// Version of the headers. The inline namespace `ventral::v0` keeps two major versions apart at link time.
#define VENTRAL_VERSION_MAJOR 0
#define VENTRAL_VERSION_MINOR 1
#define VENTRAL_VERSION_PATCH 0
#define VENTRAL_VERSION "0.1.0"
