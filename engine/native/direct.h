// Convolution with any kernel size and stride, computed as one matrix product for each output row
// and each row of the kernel. It serves the convolutions that Winograd's algorithm does not:
// those of stride 2, those of 1x1, the stem, and maps whose height or width is no multiple of 4.
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
  long taps() const { return kernel * kernel; }
  long padded_width() const { return width + 2 * pad(); }
  // The number of floats in a padded image.
  long padded() const { return (height + 2 * pad()) * padded_width() * inputs; }
  // Offset, in a padded image, of the first input that an output row reads at one tap.
  long row(long out_row, long tap) const {
    return ((out_row * stride + tap / kernel) * padded_width() + tap % kernel) * inputs;
  }
};

// Copy weights from (outputs, inputs, taps) to [tap][input][output], or if transposed to
// [tap][output][input].
inline void transpose_weights(const float* w, const Shape& s, bool transposed, float* packed) {
  for (long o = 0; o < s.outputs; o++)
    for (long i = 0; i < s.inputs; i++)
      for (long tap = 0; tap < s.taps(); tap++)
        packed[transposed ? (tap * s.outputs + o) * s.inputs + i
                          : (tap * s.inputs + i) * s.outputs + o] =
            w[(o * s.inputs + i) * s.taps() + tap];
}

// Write the rows begin..end of the padded image: an image in the middle of zeros.
inline void add_padding(const float* image, const Shape& s, long begin, long end, float* padded) {
  long row = s.width * s.inputs, padded_row = s.padded_width() * s.inputs;
  std::memset(padded + begin * padded_row, 0, (end - begin) * padded_row * sizeof(float));
  for (long i = std::max(begin, s.pad()); i < std::min(end, s.height + s.pad()); i++)
    std::memcpy(padded + i * padded_row + s.pad() * s.inputs, image + (i - s.pad()) * row,
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

// The number of floats that transpose_weights writes.
inline long transposed(const Shape& s) { return s.taps() * s.inputs * s.outputs; }

// y = the convolution of x with weights that transpose_weights has made. For sums see
// winograd::convolve_transformed; sums and epilogue may be null.
inline void convolve_transposed(const float* x, const float* packed, float* y, const Shape& s,
                                double* sums, const Epilogue* epilogue) {
  static thread_local Scratch work;
  float* memory = work.get((s.padded() + 2 * s.outputs) * threads());
  // Where there are fewer images than threads, the threads share the rows of each.
  long row = s.out_width() * s.outputs, bands = s.batch < threads() ? threads() : 1;
  split(s.batch * bands, [&](int thread, long begin, long end) {
    float *padded = memory + thread * (s.padded() + 2 * s.outputs), *part = padded + s.padded();
    for (long unit = begin; unit < end; unit++) {
      long n = unit / bands, band = unit % bands, top = s.out_height() * band / bands,
           bottom = s.out_height() * (band + 1) / bands;
      if (top == bottom) continue;
      add_padding(x + n * s.height * s.width * s.inputs, s, top * s.stride,
                  (bottom - 1) * s.stride + s.kernel, padded);
      long first = (n * s.out_height() + top) * row;
      // One product for each row of the kernel, whose taps are adjacent in memory.
      for (long i = top; i < bottom; i++)
        for (long tap = 0; tap < s.taps(); tap += s.kernel)
          multiply(s.out_width(), s.outputs, padded + s.row(i, tap), s.stride * s.inputs, 1,
                   packed + tap * s.inputs * s.outputs, s.outputs, y + first + (i - top) * row,
                   s.outputs, s.kernel * s.inputs, tap > 0);
      for (long at = first; epilogue && at < first + (bottom - top) * row; at += LANES)
        store(y + at, (*epilogue)(load(y + at), at, at % s.outputs));
      if (sums)
        add_moments(y + first, (bottom - top) * s.out_width(), s.outputs, part,
                    sums + thread * 2 * s.outputs);
    }
  });
}

// The same for weights of shape (outputs, inputs, kernel, kernel).
inline void convolve(const float* x, const float* w, float* y, const Shape& s, double* sums,
                     const Epilogue* epilogue = nullptr) {
  static thread_local Scratch weights;
  float* packed = weights.get(transposed(s));
  transpose_weights(w, s, false, packed);
  convolve_transposed(x, packed, y, s, sums, epilogue);
}

// dx = the gradient of the input, from dy, that of the output. extra, unless null, is added to it.
inline void data_gradients(const float* dy, const float* w, float* dx, const Shape& s,
                           const float* extra) {
  static thread_local Scratch weights, work;
  float *packed = weights.get(s.taps() * s.inputs * s.outputs),
        *memory = work.get(s.padded() * threads());
  transpose_weights(w, s, true, packed);
  long row = s.out_width() * s.outputs, image = s.out_height() * row;
  split(s.batch, [&](int thread, long begin, long end) {
    float* padded = memory + thread * s.padded();
    for (long n = begin; n < end; n++) {
      std::memset(padded, 0, s.padded() * sizeof(float));
      for (long i = 0; i < s.out_height(); i++)
        for (long tap = 0; tap < s.taps(); tap++)
          multiply(s.out_width(), s.inputs, dy + n * image + i * row, s.outputs, 1,
                   packed + tap * s.inputs * s.outputs, s.inputs, padded + s.row(i, tap),
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
      add_padding(x + n * s.height * s.width * s.inputs, s, 0, s.height + 2 * s.pad(), padded);
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
