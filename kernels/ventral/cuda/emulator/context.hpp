#pragma once
/// The switch from one fiber's stack to another's: hand-written for x86-64 and aarch64, ucontext elsewhere and with VENTRAL_EMULATOR_UCONTEXT.
#include <cstddef>
#include <cstdint>

#include "ventral/cuda/emulator/sanitizers.hpp"

#if !defined(VENTRAL_EMULATOR_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define VENTRAL_EMULATOR_UCONTEXT
#endif
#if defined(VENTRAL_EMULATOR_UCONTEXT)
#include <ucontext.h>
#endif

namespace ventral::inline v0::cuda::emulated::emulator {

#if defined(VENTRAL_EMULATOR_UCONTEXT)
struct Context {
  ucontext_t context;
};
VENTRAL_EMULATOR_UNSEEN inline void switch_context(Context& from, Context& to) { swapcontext(&from.context, &to.context); }
/// Lets `entry` be what a switch to the context runs, on the given stack. It must not return.
VENTRAL_EMULATOR_UNSEEN inline void prepare_context(Context& context, char* low, char* top, void (*entry)()) {
  getcontext(&context.context);
  context.context.uc_stack.ss_sp = low;
  context.context.uc_stack.ss_size = static_cast<std::size_t>(top - low);
  context.context.uc_link = nullptr;
  makecontext(&context.context, entry, 0);
}
#else
/// Where a suspended fiber goes on. Its other registers lie on its stack: the switch names them all as overwritten, and the compiler saves those in use.
struct Context {
  void* stack = nullptr;
  void* frame = nullptr;
  void* resume = nullptr;
};

#if defined(__x86_64__)
[[gnu::noinline]] VENTRAL_EMULATOR_UNSEEN inline void switch_context(Context& from, Context& to) {
  Context *a = &from, *b = &to;
  asm volatile(
      "leaq 1f(%%rip), %%rax\n\t"
      "movq %%rsp, (%%rdi)\n\t"
      "movq %%rbp, 8(%%rdi)\n\t"
      "movq %%rax, 16(%%rdi)\n\t"
      "movq (%%rsi), %%rsp\n\t"
      "movq 8(%%rsi), %%rbp\n\t"
      "jmpq *16(%%rsi)\n"
      "1:\n\t"
      : "+D"(a), "+S"(b)
      :
      : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
        "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
#if defined(__AVX512F__)
        "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k0",
        "k1", "k2", "k3", "k4", "k5", "k6", "k7",
#endif
        "memory", "cc");
}
#else
[[gnu::noinline]] VENTRAL_EMULATOR_UNSEEN inline void switch_context(Context& from, Context& to) {
  register Context* a asm("x0") = &from;
  register Context* b asm("x1") = &to;
  asm volatile(
      "adr x16, 1f\n\t"
      "mov x17, sp\n\t"
      "stp x17, x29, [x0]\n\t"
      "str x16, [x0, #16]\n\t"
      "ldp x17, x29, [x1]\n\t"
      "ldr x16, [x1, #16]\n\t"
      "mov sp, x17\n\t"
      "mov x30, xzr\n\t"  // where a new fiber's entry would return to: the end of a debugger's backtrace
      "br x16\n"
      "1:\n\t"
      "hint #36\n\t"  // bti j: a target of br
      : "+r"(a), "+r"(b)
      :
      : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x19", "x20", "x21", "x22", "x23", "x24", "x25",
        "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18",
        "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31", "memory", "cc");
}
#endif

/// Lets `entry` be what a switch to the context runs, on the given stack. It must not return.
VENTRAL_EMULATOR_UNSEEN inline void prepare_context(Context& context, char*, char* top, void (*entry)()) {
  void** stack = reinterpret_cast<void**>(reinterpret_cast<std::uintptr_t>(top) & ~std::uintptr_t{15}) - 2;
  stack[0] = stack[1] = nullptr;
#if defined(__x86_64__)
  context.stack = stack + 1;  // as after a call, with a null return address: the end of a debugger's backtrace
#else
  context.stack = stack;
#endif
  context.frame = nullptr;
  context.resume = reinterpret_cast<void*>(entry);
}
#endif

}  // namespace ventral::inline v0::cuda::emulated::emulator
