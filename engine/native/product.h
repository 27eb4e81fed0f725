// Matrix products.
#pragma once
#include <algorithm>
#include "vec.h"

// A matrix product keeps up to ROWS x COLUMNS sums in registers, or TALL x 1. AVX-512 has 32
// registers; AVX2 has 16, and a `vec` takes two of them.
#ifdef __AVX512F__
constexpr int ROWS = 8, COLUMNS = 2, TALL = 16;
#else
constexpr int ROWS = 4, COLUMNS = 1, TALL = 6;
#endif

// c[row][column] = sum over k of a(row, k) * b[k][column], added to c if `add`, for R rows and C
// registers of columns. a(row, k) is a[row * row_step + k * k_step]; k runs up to `depth`. The
// loops over r and j are unrolled, or the compiler keeps the sums in memory.
template <int R, int C>
inline void multiply_block(const float* a, long row_step, long k_step, const float* b, long b_step,
                           float* c, long c_step, long depth, bool add) {
  vec sum[R][C];
#pragma GCC unroll 16
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int j = 0; j < C; j++) sum[r][j] = add ? load(c + r * c_step + j * LANES) : vec{};
  for (long k = 0; k < depth; k++) {
    vec row[C];
    for (int j = 0; j < C; j++) row[j] = load(b + k * b_step + j * LANES);
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      vec x = splat(a[r * row_step + k * k_step]);
      for (int j = 0; j < C; j++) sum[r][j] += x * row[j];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int j = 0; j < C; j++) store(c + r * c_step + j * LANES, sum[r][j]);
}

// The same for a number of rows up to R that is known when the program runs. They are one block,
// since each block reads all of b.
template <int R, int C>
inline void multiply_rest(int rows, const float* a, long row_step, long k_step, const float* b,
                          long b_step, float* c, long c_step, long depth, bool add) {
  if constexpr (R > 0) {
    if (rows == R)
      multiply_block<R, C>(a, row_step, k_step, b, b_step, c, c_step, depth, add);
    else
      multiply_rest<R - 1, C>(rows, a, row_step, k_step, b, b_step, c, c_step, depth, add);
  }
}

// The same for any number of rows.
template <int C>
inline void multiply_rows(int rows, const float* a, long row_step, long k_step, const float* b,
                          long b_step, float* c, long c_step, long depth, bool add) {
  constexpr int R = C == 1 ? TALL : ROWS;
  for (; rows >= R; rows -= R, a += R * row_step, c += R * c_step)
    multiply_block<R, C>(a, row_step, k_step, b, b_step, c, c_step, depth, add);
  multiply_rest<R - 1, C>(rows, a, row_step, k_step, b, b_step, c, c_step, depth, add);
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

// Matrices b with many rows are packed: split into panels of PANEL columns, the last of which may
// have fewer. A panel's rows follow each other in memory, so that they do not compete for the same
// set of the cache.
constexpr long PANEL = COLUMNS * LANES;

inline long panel_width(long columns, long first) { return std::min(PANEL, columns - first); }

// Where the element (row, column) of a packed matrix is.
inline long packed_at(long row, long column, long rows, long columns) {
  long first = column / PANEL * PANEL;
  return first * rows + row * panel_width(columns, first) + column - first;
}

// c[row][column] = sum over k of a[row * row_step + k] * b[k][column], for the columns of the panel
// that begins at b. They are `width` many, and rows of c are c_step floats apart. It is done in
// parts of DEPTH, so that a part of a panel stays in the level 1 cache.
constexpr long DEPTH = 256;
inline void multiply_panel(int rows, int width, const float* a, long row_step, const float* panel,
                           float* c, long c_step, long depth) {
  for (long k = 0; k < depth; k += DEPTH)
    multiply(rows, width, a + k, row_step, 1, panel + k * width, width, c, c_step,
             std::min(DEPTH, depth - k), k > 0);
}
