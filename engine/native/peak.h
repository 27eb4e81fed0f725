// The machine's peak speed: multiply-adds on registers alone, on every thread. benchmark.py states
// the speed of the operators as a share of it.
#pragma once
#include <vector>
#include "threads.h"
#include "vec.h"

namespace peak {

// The number of independent sums, as many as fit into the registers. A processor that begins two
// multiply-adds a cycle and finishes each after four to five cycles needs at least ten.
constexpr int SUMS = sizeof(Register) == 64 ? 16 : 12;

inline float run(long rounds, float factor, float addend) {
  Register sums[SUMS], x = Register{} + factor, y = Register{} + addend, all{};
  for (int i = 0; i < SUMS; i++) sums[i] = Register{} + float(i);
  for (long round = 0; round < rounds; round++)
    for (int i = 0; i < SUMS; i++) sums[i] = sums[i] * x + y;
  for (int i = 0; i < SUMS; i++) all += sums[i];
  return all[0];
}

// Compute that many rounds on each thread. Return the number of floating-point operations, two for
// each multiply-add.
inline double multiply_adds(long rounds) {
  // Volatile, so that the compiler cannot compute the sums beforehand.
  volatile float factor = 0.5f, addend = 1.0f;
  std::vector<float> results(threads());
  on_threads([&](int thread) { results[thread] = run(rounds, factor, addend); });
  volatile float used = 0;  // or the compiler would leave the sums out
  for (float result : results) used = used + result;
  return 2.0 * (sizeof(Register) / sizeof(float)) * SUMS * rounds * threads();
}

}  // namespace peak
