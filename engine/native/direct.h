// Convolution with any kernel size and stride, computed as a matrix product. It serves those
// convolutions that Winograd's algorithm does not: those of stride 2, those of 1x1, and stems.
#pragma once
#include <algorithm>
#include <cstring>
#include "epilogue.h"
#include "product.h"
#include "scratch.h"
#include "threads.h"

namespace direct {

struct Shape {
  long batch, height, width, inputs, outputs, kernel, stride;
  long pad() const { return kernel / 2; }
  long out_height() const { return (height + 2 * pad() - kernel) / stride + 1; }
  long out_width() const { return (width + 2 * pad() - kernel) / stride + 1; }
  long out_pixels() const { return out_height() * out_width(); }
  long taps() const { return kernel * kernel; }
  long depth() const { return taps() * inputs; }
  long padded_width() const { return width + 2 * pad(); }
  // The number of floats in a padded image.
  long padded() const { return (height + 2 * pad()) * padded_width() * inputs; }
  // Offset, in a padded image, of the first input that an output row reads at one tap.
  long row(long out_row, long tap) const {
    return ((out_row * stride + tap / kernel) * padded_width() + tap % kernel) * inputs;
  }
};

// Write a padded image: an image in the middle of zeros.
inline void add_padding(const float* image, const Shape& s, float* padded) {
  long row = s.width * s.inputs;
  std::memset(padded, 0, s.padded() * sizeof(float));
  for (long i = 0; i < s.height; i++)
    std::memcpy(padded + ((i + s.pad()) * s.padded_width() + s.pad()) * s.inputs, image + i * row,
                row * sizeof(float));
}

// Copy the image out of its padding; extra, unless null, is added to it.
inline void remove_padding(const float* padded, const Shape& s, const float* extra, float* image) {
  long row = s.width * s.inputs;
  for (long i = 0; i < s.height; i++) {
    const float* inside = padded + ((i + s.pad()) * s.padded_width() + s.pad()) * s.inputs;
    for (long at = 0; at < row; at += LANES)
      store(image + i * row + at,
            extra ? load(inside + at) + load(extra + i * row + at) : load(inside + at));
  }
}

// The number of floats that pack_weights writes.
inline long packed_floats(const Shape& s) { return s.depth() * s.outputs; }

// Pack weights (outputs, inputs, taps) as a matrix with the rows [tap][input], see product.h.
inline void pack_weights(const float* w, const Shape& s, float* packed) {
  long blocks = (s.inputs + LANES - 1) / LANES;
  split(s.outputs / LANES * blocks, [&](int, long begin, long end) {
    for (long block = begin; block < end; block++) {
      long first = block / blocks * LANES, from = block % blocks * LANES,
           to = std::min(from + LANES, s.inputs);
      for (long o = first; o < first + LANES; o++)
        for (long i = from; i < to; i++)
          for (long tap = 0; tap < s.taps(); tap++)
            packed[packed_at(tap * s.inputs + i, o, s.depth(), s.outputs)] =
                w[(o * s.inputs + i) * s.taps() + tap];
    }
  });
}

// Copy a row of floats, by whole vectors unless they would reach beyond `end`, where the memory of
// `from` ends. Up to LANES - 1 floats after the row are overwritten.
inline void copy(const float* from, long floats, const float* end, float* to) {
  if (from + floats + LANES > end)
    std::memcpy(to, from, floats * sizeof(float));
  else
    for (long i = 0; i < floats; i += LANES) store(to + i, load(from + i));
}

// The distance in floats between two rows that gather() writes. At a power of two, as many numbers
// of channels are, they would compete for the same set of the cache.
inline long row_step(const Shape& s) { return s.depth() + LANES; }

// Copy what the output pixels begin..end read to rows of the form [tap][input], one for each pixel.
// With a kernel of 1x1 and stride 1 the products could read x itself, but its rows are at a
// distance that competes for the cache. The shape is passed by value, or the compiler would read it
// again after each store.
inline void gather(const float* x, const Shape s, long begin, long end, float* rows) {
  const float* x_end = x + s.batch * s.height * s.width * s.inputs;
  long line = s.kernel * s.inputs, n = begin / s.out_pixels(), first = begin % s.out_pixels(),
       i = first / s.out_width(), j = first % s.out_width();
  for (long pixel = begin; pixel < end; pixel++, rows += row_step(s)) {
    long top = i * s.stride - s.pad(), left = j * s.stride - s.pad();
    long skip = std::max(0L, -left), taps = std::min(s.kernel, s.width - left) - skip;
    for (long k = 0; k < s.kernel; k++) {
      long row = top + k;
      bool inside = row >= 0 && row < s.height;
      float* to = rows + k * line;
      if (!inside || taps < s.kernel) std::fill(to, to + line, 0.0f);
      if (!inside) continue;
      const float* from = x + ((n * s.height + row) * s.width + left + skip) * s.inputs;
      if (taps == s.kernel)
        copy(from, line, x_end, to);
      else
        std::memcpy(to + skip * s.inputs, from, taps * s.inputs * sizeof(float));
    }
    if (++j == s.out_width()) j = 0, i++;
    if (i == s.out_height()) i = 0, n++;
  }
}

// The number of output pixels that are computed together: as many as there is room for in the level
// 2 cache, since each such block reads all weights.
constexpr long MOST_PIXELS = 96, FEWEST_PIXELS = 16, ROOM = 1 << 18;  // ROOM in floats
inline long block_of(const Shape& s) {
  return std::clamp(ROOM / s.depth() / ROWS * ROWS, FEWEST_PIXELS, MOST_PIXELS);
}

// A part of the output: the pixels begin..end of the channels of one panel.
struct Part {
  long begin, end, channel, width;
};

// Fetch from memory what write() will read and write, while the matrix product runs.
inline void prefetch(const Part& part, const float* y, long channels, const Epilogue* epilogue) {
  for (long pixel = part.begin; pixel < part.end; pixel++)
    for (long c = 0; c < part.width; c += LANES) {
      long at = pixel * channels + part.channel + c;
      __builtin_prefetch(y + at, 1, 2);
      for (size_t i = 0; epilogue && i < epilogue->maps.size(); i++)
        __builtin_prefetch(epilogue->maps[i].first + at, 0, 2);
    }
}

// Write a part of the output, whose sums of products are in tile[pixel][width], to y, and add each
// channel's sum and sum of squares to sums[2][channels], unless that is null.
inline void write(const Part& part, const float* tile, float* y, long channels, double* sums,
                  const Epilogue* epilogue) {
  for (long c = 0; c < part.width; c += LANES) {
    vec sum{}, squares{};
    for (long pixel = part.begin; pixel < part.end; pixel++) {
      vec v = load(tile + (pixel - part.begin) * part.width + c);
      long at = pixel * channels + part.channel + c;
      store(y + at, epilogue ? (*epilogue)(v, at, part.channel + c) : v);
      sum += v;
      squares += v * v;
    }
    if (sums) {
      add(sum, sums + part.channel + c);
      add(squares, sums + channels + part.channel + c);
    }
  }
}

// y = the convolution of x with weights that pack_weights has made. For sums see
// winograd::convolve_transformed; sums and epilogue may be null. A map of the epilogue may be y.
inline void convolve_packed(const float* x, const float* packed, float* y, const Shape& s,
                            double* sums, const Epilogue* epilogue) {
  static thread_local Scratch work;
  const long block = block_of(s), per_thread = block * (row_step(s) + PANEL);
  float* memory = work.get(per_thread * threads());
  split(s.batch * s.out_pixels(), [&](int thread, long begin, long end) {
    float *rows = memory + thread * per_thread, *tile = rows + block * row_step(s);
    for (long first = begin; first < end; first += block) {
      Part part{first, std::min(first + block, end), 0, 0};
      gather(x, s, part.begin, part.end, rows);
      for (long c = 0; c < s.outputs; c += PANEL) {
        part.channel = c, part.width = panel_width(s.outputs, c);
        prefetch(part, y, s.outputs, epilogue);
        multiply_panel(part.end - part.begin, part.width, rows, row_step(s), packed + c * s.depth(),
                       tile, part.width, s.depth());
        write(part, tile, y, s.outputs, sums ? sums + thread * 2 * s.outputs : nullptr, epilogue);
      }
    }
  });
}

// The same for weights of shape (outputs, inputs, kernel, kernel).
inline void convolve(const float* x, const float* w, float* y, const Shape& s, double* sums,
                     const Epilogue* epilogue = nullptr) {
  static thread_local Scratch weights;
  float* packed = weights.get(packed_floats(s));
  pack_weights(w, s, packed);
  convolve_packed(x, packed, y, s, sums, epilogue);
}

// Copy weights from (outputs, inputs, taps) to [tap][output][input].
inline void transpose_weights(const float* w, const Shape& s, float* packed) {
  for (long o = 0; o < s.outputs; o++)
    for (long i = 0; i < s.inputs; i++)
      for (long tap = 0; tap < s.taps(); tap++)
        packed[(tap * s.outputs + o) * s.inputs + i] = w[(o * s.inputs + i) * s.taps() + tap];
}

// dx = the gradient of the input, from dy, that of the output. extra, unless null, is added to it.
inline void data_gradients(const float* dy, const float* w, float* dx, const Shape& s,
                           const float* extra) {
  static thread_local Scratch weights, work;
  float *transposed = weights.get(packed_floats(s)), *memory = work.get(s.padded() * threads());
  transpose_weights(w, s, transposed);
  long row = s.out_width() * s.outputs, image = s.out_height() * row;
  split(s.batch, [&](int thread, long begin, long end) {
    float* padded = memory + thread * s.padded();
    for (long n = begin; n < end; n++) {
      std::memset(padded, 0, s.padded() * sizeof(float));
      for (long i = 0; i < s.out_height(); i++)
        for (long tap = 0; tap < s.taps(); tap++)
          multiply(s.out_width(), s.inputs, dy + n * image + i * row, s.outputs, 1,
                   transposed + tap * s.inputs * s.outputs, s.inputs, padded + s.row(i, tap),
                   s.stride * s.inputs, s.outputs, true);
      long at = n * s.height * s.width * s.inputs;
      remove_padding(padded, s, extra ? extra + at : nullptr, dx + at);
    }
  });
}

// dw = the gradient of the weights, from the input x and dy, the gradient of the output.
inline void weight_gradients(const float* x, const float* dy, float* dw, const Shape& s) {
  static thread_local Scratch weights, work;
  long size = s.taps() * s.inputs * s.outputs;
  float *total = weights.get(size * threads()), *memory = work.get(s.padded() * threads());
  std::memset(total, 0, size * threads() * sizeof(float));
  long row = s.out_width() * s.outputs, image = s.out_height() * row;
  split(s.batch, [&](int thread, long begin, long end) {
    float* padded = memory + thread * s.padded();
    for (long n = begin; n < end; n++) {
      add_padding(x + n * s.height * s.width * s.inputs, s, padded);
      for (long tap = 0; tap < s.taps(); tap += s.kernel)
        for (long i = 0; i < s.out_height(); i++)
          multiply(s.kernel * s.inputs, s.outputs, padded + s.row(i, tap), 1, s.stride * s.inputs,
                   dy + n * image + i * row, s.outputs,
                   total + thread * size + tap * s.inputs * s.outputs, s.outputs, s.out_width(),
                   true);
    }
  });
  for (long o = 0; o < s.outputs; o++)
    for (long i = 0; i < s.inputs; i++)
      for (long tap = 0; tap < s.taps(); tap++) {
        float sum = 0;
        for (int t = 0; t < threads(); t++)
          sum += total[t * size + (tap * s.inputs + i) * s.outputs + o];
        dw[(o * s.inputs + i) * s.taps() + tap] = sum;
      }
}

}  // namespace direct
