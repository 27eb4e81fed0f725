// 3x3 convolution at stride 1 by Winograd's algorithm F(4x4, 3x3) (Lavin and Gray, arXiv
// 1509.09308).
//
// A 6x6 tile of the input gives a 4x4 tile of the output with 36 multiplications for each pair of
// channels; direct convolution needs 144. Only rounding differs. The interpolation points 0, +-A,
// +-B and infinity are chosen so that A * B = 1, which gives the smallest rounding errors.
#pragma once
#include <algorithm>
#include <cstring>
#include "epilogue.h"
#include "product.h"
#include "scratch.h"
#include "threads.h"

namespace winograd {

constexpr int TILE = 4, SPAN = 6, POINTS = SPAN * SPAN;
constexpr float A2 = 0.5f, B2 = 2.0f;  // squares of the points A and B
constexpr float A1 = 0.70710678118654752f, B1 = 1.41421356237309505f;
constexpr float A3 = A1 * A2, B3 = B1 * B2;
constexpr float N0 = 1 / (A2 * B2), NA = 1 / (2 * A2 * (A2 - B2)), NB = 1 / (2 * B2 * (B2 - A2));

// Each of these functions is one transform of the algorithm in one dimension, from x[0], x[step],
// ... to y[0], y[to], ...; applied to the columns and then to the rows of a tile it is the
// transform in two dimensions.

inline void input(const vec* x, int step, vec* y, int to) {
  vec x0 = x[0], x1 = x[step], x2 = x[2 * step], x3 = x[3 * step], x4 = x[4 * step],
      x5 = x[5 * step];
  vec even = x4 - B2 * x2, odd = A1 * (x3 - B2 * x1);
  vec even2 = x4 - A2 * x2, odd2 = B1 * (x3 - A2 * x1);
  y[0] = (A2 * B2) * x0 - (A2 + B2) * x2 + x4;
  y[to] = even + odd;
  y[2 * to] = even - odd;
  y[3 * to] = even2 + odd2;
  y[4 * to] = even2 - odd2;
  y[5 * to] = (A2 * B2) * x1 - (A2 + B2) * x3 + x5;
}

inline void output(const vec* x, int step, vec* y, int to) {
  vec sum = x[step] + x[2 * step], difference = x[step] - x[2 * step];
  vec sum2 = x[3 * step] + x[4 * step], difference2 = x[3 * step] - x[4 * step];
  y[0] = x[0] + sum + sum2;
  y[to] = A1 * difference + B1 * difference2;
  y[2 * to] = A2 * sum + B2 * sum2;
  y[3 * to] = A3 * difference + B3 * difference2 + x[5 * step];
}

inline void weight(const vec* x, int step, vec* y, int to) {
  vec x0 = x[0], x1 = x[step], x2 = x[2 * step];
  y[0] = N0 * x0;
  y[to] = NA * (x0 + A1 * x1 + A2 * x2);
  y[2 * to] = NA * (x0 - A1 * x1 + A2 * x2);
  y[3 * to] = NB * (x0 + B1 * x1 + B2 * x2);
  y[4 * to] = NB * (x0 - B1 * x1 + B2 * x2);
  y[5 * to] = x2;
}

// The number of tiles that cover a row or a column of a map. The last one may reach beyond it.
inline long tiles_of(long pixels) { return (pixels + TILE - 1) / TILE; }

// Whether to compute a convolution by this algorithm. Where less than half of the tiles' pixels are
// in the map, little is saved.
inline bool fits(long kernel, long stride, long height, long width, long inputs) {
  return kernel == 3 && stride == 1 && inputs % LANES == 0 &&
         2 * height * width >= TILE * TILE * tiles_of(height) * tiles_of(width);
}

// The shape of the feature maps of one call.
struct Maps {
  long batch, height, width;
  long across() const { return tiles_of(width); }
  long per_image() const { return tiles_of(height) * across(); }
  long tiles() const { return batch * per_image(); }
};

// The upper left pixel of a tile, and how many of its rows and columns are in the map.
struct Corner {
  long image, row, column, rows, columns;
};

inline Corner corner(const Maps& maps, long tile) {
  long inside = tile % maps.per_image(), row = inside / maps.across() * TILE,
       column = inside % maps.across() * TILE;
  return {tile / maps.per_image(), row, column, std::min<long>(TILE, maps.height - row),
          std::min<long>(TILE, maps.width - column)};
}

// The distance in floats between two of the 36 arrays that a transform writes. There are sixteen
// floats between them, or they would compete for the same set of the cache.
inline long point_step(long rows, long channels) { return rows * channels + LANES; }

// The number of floats that transform_weights writes: 36 packed matrices (from, to), see product.h.
inline long transformed(long from, long to) { return POINTS * point_step(from, to); }

// Numbers of tiles that are transformed together, a chunk; the fastest of those that were tried.
// Each chunk reads all transformed weights, so chunks are long if the weights have more bytes than
// fit into a core's cache.
constexpr int CHUNK = 16, GRADIENT_CHUNK = 24, LONG_CHUNK = 64;
constexpr size_t CACHE = 1 << 20;
inline long chunk_of(int usual, long from, long to) {
  return transformed(from, to) * sizeof(float) > CACHE ? LONG_CHUNK : usual;
}

// A range of the channels of a map.
struct Band {
  long begin, end;
};

// The units of work into which a convolution is divided: chunks of tiles, and bands of output
// channels. There are several bands where there are fewer chunks than threads, as with a single
// image. Weights of more than MANY_BYTES take longer to read than the input to transform, so there
// each thread has a band of its own: it reads only its part of them, and transforms all of the
// input. Fewer than 4 tiles at once would not pay, since each chunk reads all weights of its
// channels.
constexpr size_t MANY_BYTES = 1 << 24;

struct Units {
  long tiles, chunk, chunks, bands, channels;
  Units(long tiles, long inputs, long channels) : tiles(tiles), channels(channels) {
    bool by_channels = transformed(inputs, channels) * sizeof(float) > MANY_BYTES;
    long share = by_channels ? tiles : std::max<long>(4, (tiles + threads() - 1) / threads());
    chunk = std::min(chunk_of(CHUNK, inputs, channels), share);
    chunks = (tiles + chunk - 1) / chunk;
    bands = std::min(panels(), by_channels ? threads() : std::max<long>(1, threads() / chunks));
  }
  long panels() const { return (channels + PANEL - 1) / PANEL; }
  long count() const { return chunks * bands; }
  long first(long unit) const { return unit % chunks * chunk; }
  long size(long unit) const { return std::min(chunk, tiles - first(unit)); }
  Band band(long unit) const {
    long number = unit / chunks;
    return {number * panels() / bands * PANEL,
            std::min(channels, (number + 1) * panels() / bands * PANEL)};
  }
};

// Transform a 6x6 tile of the input, which is zero outside the map, to v[point][tile][channel].
inline void transform_input(const float* x, const Maps& maps, long tile, long channels, float* v,
                            long step) {
  Corner at = corner(maps, tile);
  const float* image = x + at.image * maps.height * maps.width * channels;
  for (long c = 0; c < channels; c += LANES) {
    vec half[POINTS], out[SPAN];
    for (int j = 0; j < SPAN; j++) {
      long column = at.column + j - 1;
      vec in[SPAN];
      if (column < 0 || column >= maps.width) {
        for (int i = 0; i < SPAN; i++) half[i * SPAN + j] = vec{};
        continue;
      }
      const float* x = image + (at.row * maps.width + column) * channels + c;
      long row = maps.width * channels;
      in[0] = at.row > 0 ? load(x - row) : vec{};
      for (int i = 1; i <= TILE; i++) in[i] = i <= at.rows ? load(x + (i - 1) * row) : vec{};
      in[SPAN - 1] = at.row + TILE < maps.height ? load(x + TILE * row) : vec{};
      input(in, 1, half + j, SPAN);
    }
    for (int i = 0; i < SPAN; i++) {
      input(half + i * SPAN, 1, out, 1);
      for (int j = 0; j < SPAN; j++) store(v + (i * SPAN + j) * step + c, out[j]);
    }
  }
}

// Transform m[point][tile][channel] to a 4x4 tile of the output. Its sum and its sum of squares are
// added to sums[2][channel], unless that is null.
inline void transform_output(const float* m, long step, const Maps& maps, long tile, long channels,
                             Band band, float* y, float* sums, const Epilogue* epilogue) {
  Corner at = corner(maps, tile);
  float* image = y + at.image * maps.height * maps.width * channels;
  for (long c = band.begin; c < band.end; c += LANES) {
    vec half[TILE * SPAN], out[TILE];
    for (int j = 0; j < SPAN; j++) {
      vec in[SPAN];
      for (int i = 0; i < SPAN; i++) in[i] = load(m + (i * SPAN + j) * step + c);
      output(in, 1, half + j, SPAN);
    }
    vec sum{}, squares{};
    for (int i = 0; i < at.rows; i++) {
      output(half + i * SPAN, 1, out, 1);
      for (int j = 0; j < at.columns; j++) {
        float* pixel = image + ((at.row + i) * maps.width + at.column + j) * channels + c;
        store(pixel, epilogue ? (*epilogue)(out[j], pixel - y, c) : out[j]);
        sum += out[j];
        squares += out[j] * out[j];
      }
    }
    if (sums) {
      store(sums + c, load(sums + c) + sum);
      store(sums + channels + c, load(sums + channels + c) + squares);
    }
  }
}

// Transform weights (outputs, inputs, 3, 3) to u[point], packed matrices (from, to). If
// `transposed`, they are those of the data gradient: a convolution from the outputs to the inputs
// with the kernel rotated by 180 degrees.
inline void transform_weights(const float* w, long outputs, long inputs, bool transposed,
                              float* u) {
  long from = transposed ? outputs : inputs, to = transposed ? inputs : outputs;
  split(from, [&](int, long begin, long end) {
    for (long t = 0; t < to; t += LANES)
      for (long f = begin; f < end; f++) {
        float lanes[9][LANES];
        vec kernel[9], half[3 * SPAN], point[POINTS];
        const float* source = w + (transposed ? f * inputs + t : t * inputs + f) * 9;
        long lane_step = transposed ? 9 : inputs * 9;
        for (int i = 0; i < 9; i++) {
          const float* tap = source + (transposed ? 8 - i : i);
          for (int lane = 0; lane < LANES; lane++) lanes[i][lane] = tap[lane * lane_step];
        }
        for (int i = 0; i < 9; i++) kernel[i] = load(lanes[i]);
        for (int j = 0; j < 3; j++) weight(kernel + j, 3, half + j, 3);
        for (int i = 0; i < SPAN; i++) weight(half + i * 3, 1, point + i * SPAN, 1);
        float* at = u + packed_at(f, t, from, to);
        for (int p = 0; p < POINTS; p++) store(at + p * point_step(from, to), point[p]);
      }
  });
}

// Prefetch one of POINTS equal parts of the memory of `count` tiles (rows of tiles are contiguous,
// and it does not matter where exactly a tile of a row begins).
// While the matrix products of one chunk of tiles run, the input of the next chunk and their own
// output are fetched from memory.
template <int WRITE>
inline void prefetch(const float* map, const Maps& maps, long tile, long count, long channels,
                     int part) {
  long image = maps.height * maps.width * channels, begin = tile * image / maps.per_image(),
       floats = std::min(tile + count, maps.tiles()) * image / maps.per_image() - begin;
  if (floats <= 0) return;
  const float* start = map + begin;
  for (long at = floats * part / POINTS / LANES * LANES; at < floats * (part + 1) / POINTS;
       at += LANES)
    __builtin_prefetch(start + at, WRITE, 2);
}

// y = the convolution of x with weights that transform_weights has made. Each thread adds the sum
// and the sum of squares of its part of y to sums[thread][2][channel], unless that is null.
inline void convolve_transformed(const float* x, const float* u, float* y, const Maps& maps,
                                 long from, long to, double* sums, const Epilogue* epilogue) {
  static thread_local Scratch work;
  const Units units(maps.tiles(), from, to);
  long in = point_step(units.chunk, from), out = point_step(units.chunk, to),
       per_thread = POINTS * (in + out) + 2 * to;
  float* memory = work.get(per_thread * threads());
  split(units.count(), [&](int thread, long begin, long end) {
    float *v = memory + thread * per_thread, *m = v + POINTS * in, *part = m + POINTS * out;
    for (long unit = begin; unit < end; unit++) {
      long first = units.first(unit), count = units.size(unit);
      const Band band = units.band(unit);
      for (long t = 0; t < count; t++) transform_input(x, maps, first + t, from, v + t * from, in);
      for (int p = 0; p < POINTS; p++) {
        prefetch<0>(x, maps, first + count, units.chunk, from, p);
        prefetch<1>(y, maps, first, units.chunk, to, p);
        for (long c = band.begin; c < band.end; c += PANEL)
          multiply_panel(count, panel_width(to, c), v + p * in, from,
                         u + p * point_step(from, to) + c * from, m + p * out + c, to, from);
      }
      if (sums) std::memset(part, 0, 2 * to * sizeof(float));
      for (long t = 0; t < count; t++)
        transform_output(m + t * to, out, maps, first + t, to, band, y, sums ? part : nullptr,
                         epilogue);
      if (sums)
        for (long i = 0; i < 2 * to; i++) sums[thread * 2 * to + i] += part[i];
    }
  });
}

// The same for weights of shape (outputs, inputs, 3, 3).
inline void convolve(const float* x, const float* w, float* y, const Maps& maps, long outputs,
                     long inputs, double* sums, const Epilogue* epilogue) {
  static thread_local Scratch weights;
  float* u = weights.get(transformed(inputs, outputs));
  transform_weights(w, outputs, inputs, false, u);
  convolve_transformed(x, u, y, maps, inputs, outputs, sums, epilogue);
}

}  // namespace winograd
