#pragma once
/// What the sanitizers must be told about fibers, as functions that do nothing in plain builds.
#include <cstddef>

#if defined(__SANITIZE_THREAD__)
#define VENTRAL_EMULATOR_TSAN
#endif
#if defined(__SANITIZE_ADDRESS__)
#define VENTRAL_EMULATOR_ASAN
#endif
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) && !defined(VENTRAL_EMULATOR_TSAN)
#define VENTRAL_EMULATOR_TSAN
#endif
#if __has_feature(address_sanitizer) && !defined(VENTRAL_EMULATOR_ASAN)
#define VENTRAL_EMULATOR_ASAN
#endif
#endif

#if defined(VENTRAL_EMULATOR_TSAN)
#include <sanitizer/tsan_interface.h>
#endif
#if defined(VENTRAL_EMULATOR_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

/// The emulator's own bookkeeping is shared by all fibers of an OS thread without synchronization, and must not look like the kernel's races.
#if defined(VENTRAL_EMULATOR_TSAN)
#define VENTRAL_EMULATOR_UNSEEN __attribute__((no_sanitize("thread"), noinline))
#elif defined(VENTRAL_EMULATOR_ASAN)
#define VENTRAL_EMULATOR_UNSEEN __attribute__((no_sanitize("address"), noinline))
#else
#define VENTRAL_EMULATOR_UNSEEN
#endif

namespace ventral::inline v0::cuda::emulated::emulator {

// The sanitizers' own functions, not wrapped in others: ThreadSanitizer counts the calls and returns of each fiber, and a switch in between would confuse it.
#if defined(VENTRAL_EMULATOR_TSAN)
inline constexpr bool under_tsan = true;
/// What came before a release of a tag happened before what follows an acquire of it.
inline constexpr auto* tsan_release = &__tsan_release;
inline constexpr auto* tsan_acquire = &__tsan_acquire;
inline constexpr auto* tsan_this_fiber = &__tsan_get_current_fiber;
inline constexpr auto* tsan_make_fiber = &__tsan_create_fiber;
inline constexpr auto* tsan_name_fiber = &__tsan_set_fiber_name;
inline constexpr auto* tsan_destroy_fiber = &__tsan_destroy_fiber;
inline constexpr auto* tsan_switch = &__tsan_switch_to_fiber;
#else
inline constexpr bool under_tsan = false;
inline void tsan_release(void*) {}
inline void tsan_acquire(void*) {}
inline void* tsan_this_fiber() { return nullptr; }
inline void* tsan_make_fiber(unsigned) { return nullptr; }
inline void tsan_name_fiber(void*, const char*) {}
inline void tsan_destroy_fiber(void*) {}
inline void tsan_switch(void*, unsigned) {}
#endif
inline constexpr unsigned tsan_no_sync = 1;  // a switch is no order between fibers

#if defined(VENTRAL_EMULATOR_ASAN)
inline constexpr bool under_asan = true;
/// Before and after a switch of stacks. A null place to save to says that the stack left is done with.
inline constexpr auto* asan_start_switch = &__sanitizer_start_switch_fiber;
inline constexpr auto* asan_finish_switch = &__sanitizer_finish_switch_fiber;
/// Makes memory inaccessible, and accessible again.
inline constexpr auto* asan_poison = &__asan_poison_memory_region;
inline constexpr auto* asan_unpoison = &__asan_unpoison_memory_region;
#else
inline constexpr bool under_asan = false;
inline void asan_start_switch(void**, const void*, std::size_t) {}
inline void asan_finish_switch(void*, const void**, std::size_t*) {}
inline void asan_poison(const void*, std::size_t) {}
inline void asan_unpoison(const void*, std::size_t) {}
#endif

}  // namespace ventral::inline v0::cuda::emulated::emulator
