// What differs between x86-64 and ARM: the hint for waiting loops, and the switch that makes
// numbers below 1e-38 zero.
#pragma once
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

// Tell the processor that this is a loop that waits for another thread.
inline void pause_in_loop() {
#if defined(__SSE__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Let the processor round numbers below 1e-38 to zero: on some processors arithmetic with such
// numbers is many times slower.
inline void flush_denormals() {
#if defined(__SSE__)
  _mm_setcsr(_mm_getcsr() | 0x8040);  // flush to zero, and denormals are zero
#elif defined(__aarch64__)
  unsigned long control;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  asm volatile("msr fpcr, %0" : : "r"(control | 1ul << 24));  // flush to zero
#endif
}
