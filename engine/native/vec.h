// What all kernels here are built from: vectors of sixteen floats, scratch memory and matrix
// products.
//
// GCC and Clang compile `vec` to one AVX-512 register or to two AVX2 registers. Feature maps have
// shape (batch, height, width, channels), so the sixteen floats are adjacent channels of one pixel.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>
#include "threads.h"

constexpr int LANES = 16;
typedef float vec __attribute__((vector_size(4 * LANES)));

inline vec load(const float* p) {
  vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, vec v) { std::memcpy(p, &v, sizeof v); }
inline vec splat(float x) { return vec{} + x; }

// A matrix product keeps up to ROWS x COLUMNS sums in registers. AVX-512 has 32 registers; AVX2 has
// 16, and a `vec` takes two of them.
#ifdef __AVX512F__
constexpr int ROWS = 8, COLUMNS = 2;
#else
constexpr int ROWS = 4, COLUMNS = 1;
#endif

// Scratch memory of one kernel, aligned to 64 bytes and kept between calls.
class Scratch {
 public:
  float* get(size_t floats) {
    if (memory_.size() < floats + LANES) memory_.resize(floats + LANES);
    auto address = reinterpret_cast<size_t>(memory_.data());
    return reinterpret_cast<float*>((address + 63) / 64 * 64);
  }

 private:
  std::vector<float> memory_;
};

// c[row][column] = sum over k of a(row, k) * b[k][column], added to c if `add`, for R rows and C
// registers of columns. a(row, k) is a[row * row_step + k * k_step]; k runs up to `depth`.
template <int R, int C>
inline void multiply_block(const float* a, long row_step, long k_step, const float* b, long b_step,
                           float* c, long c_step, long depth, bool add) {
  vec sum[R][C];
  for (int r = 0; r < R; r++)
    for (int j = 0; j < C; j++) sum[r][j] = add ? load(c + r * c_step + j * LANES) : vec{};
  for (long k = 0; k < depth; k++) {
    vec row[C];
    for (int j = 0; j < C; j++) row[j] = load(b + k * b_step + j * LANES);
    for (int r = 0; r < R; r++) {
      vec x = splat(a[r * row_step + k * k_step]);
      for (int j = 0; j < C; j++) sum[r][j] += x * row[j];
    }
  }
  for (int r = 0; r < R; r++)
    for (int j = 0; j < C; j++) store(c + r * c_step + j * LANES, sum[r][j]);
}

// The same for any number of rows.
template <int C>
inline void multiply_rows(int rows, const float* a, long row_step, long k_step, const float* b,
                          long b_step, float* c, long c_step, long depth, bool add) {
  for (; rows >= ROWS; rows -= ROWS, a += ROWS * row_step, c += ROWS * c_step)
    multiply_block<ROWS, C>(a, row_step, k_step, b, b_step, c, c_step, depth, add);
  for (; rows > 0; rows--, a += row_step, c += c_step)
    multiply_block<1, C>(a, row_step, k_step, b, b_step, c, c_step, depth, add);
}

// The same for any number of rows and any number of columns that is a multiple of sixteen.
inline void multiply(int rows, int columns, const float* a, long row_step, long k_step,
                     const float* b, long b_step, float* c, long c_step, long depth, bool add) {
  for (; columns >= COLUMNS * LANES;
       columns -= COLUMNS * LANES, b += COLUMNS * LANES, c += COLUMNS * LANES)
    multiply_rows<COLUMNS>(rows, a, row_step, k_step, b, b_step, c, c_step, depth, add);
  if (COLUMNS > 1 && columns)
    multiply_rows<1>(rows, a, row_step, k_step, b, b_step, c, c_step, depth, add);
}

// Add the sum and the sum of squares of each channel of y to sums[2][channels]. part is scratch
// memory of the same size.
inline void add_moments(const float* y, long pixels, long channels, float* part, double* sums) {
  for (long c = 0; c < channels; c += LANES) {
    vec sum{}, squares{};
    for (long p = 0; p < pixels; p++) {
      vec v = load(y + p * channels + c);
      sum += v;
      squares += v * v;
    }
    store(part + c, sum);
    store(part + channels + c, squares);
  }
  for (long i = 0; i < 2 * channels; i++) sums[i] += part[i];
}

// The epilogue of a convolution: relu(scale * (output + bias) + sum of other feature maps, each
// times a constant). Inference computes it where the output is made, without another pass over
// memory.
struct Epilogue {
  const float* bias;
  float scale;
  std::vector<std::pair<const float*, float>> maps;
  bool relu;

  // v: sixteen numbers of the output, at: their offset in it, c: their first channel.
  vec operator()(vec v, long at, long c) const {
    v = scale * (v + load(bias + c));
    for (const auto& map : maps) v += map.second * load(map.first + at);
    return relu ? (v < 0.0f ? vec{} : v) : v;
  }
};
