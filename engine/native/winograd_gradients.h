// The gradients of the convolution in winograd.h, by the same algorithm.
#pragma once
#include "winograd.h"

namespace winograd {

// One-dimensional transforms, as those of winograd.h.

inline void gradient(const vec* x, int step, vec* y, int to) {
  vec x0 = x[0], x1 = x[step], x2 = x[2 * step], x3 = x[3 * step];
  vec even = x0 + A2 * x2, odd = A1 * x1 + A3 * x3;
  vec even2 = x0 + B2 * x2, odd2 = B1 * x1 + B3 * x3;
  y[0] = x0;
  y[to] = even + odd;
  y[2 * to] = even - odd;
  y[3 * to] = even2 + odd2;
  y[4 * to] = even2 - odd2;
  y[5 * to] = x3;
}

inline void weight_gradient(const vec* x, int step, vec* y, int to) {
  vec sum = NA * (x[step] + x[2 * step]), difference = NA * (x[step] - x[2 * step]);
  vec sum2 = NB * (x[3 * step] + x[4 * step]), difference2 = NB * (x[3 * step] - x[4 * step]);
  y[0] = N0 * x[0] + sum + sum2;
  y[to] = A1 * difference + B1 * difference2;
  y[2 * to] = A2 * sum + B2 * sum2 + x[5 * step];
}

// Transform a 4x4 tile of the output's gradient to d[point][tile][channel].
inline void transform_gradient(const float* y, const Maps& maps, long tile, long channels, float* d,
                               long step) {
  Corner at = corner(maps, tile);
  const float* image = y + at.image * maps.height * maps.width * channels;
  for (long c = 0; c < channels; c += LANES) {
    vec half[SPAN * TILE], out[SPAN];
    for (int j = 0; j < TILE; j++) {
      vec in[TILE];
      const float* x = image + (at.row * maps.width + at.column + j) * channels + c;
      for (int i = 0; i < TILE; i++)
        in[i] = i < at.rows && j < at.columns ? load(x + i * maps.width * channels) : vec{};
      gradient(in, 1, half + j, TILE);
    }
    for (int i = 0; i < SPAN; i++) {
      gradient(half + i * TILE, 1, out, 1);
      for (int j = 0; j < SPAN; j++) store(d + (i * SPAN + j) * step + c, out[j]);
    }
  }
}

// Add up u[thread][point][input][output] over the threads and transform the sum to the weights'
// gradient dw (outputs, inputs, 3, 3).
inline void transform_weight_gradients(const float* u, long outputs, long inputs, float* dw) {
  long size = transformed(inputs, outputs);
  split(inputs, [&](int, long begin, long end) {
    for (long i = begin; i < end; i++)
      for (long o = 0; o < outputs; o += LANES) {
        float lanes[9][LANES];
        vec point[POINTS], half[3 * SPAN], kernel[9];
        for (int p = 0; p < POINTS; p++) {
          point[p] = vec{};
          for (int t = 0; t < threads(); t++)
            point[p] += load(u + t * size + p * point_step(inputs, outputs) + i * outputs + o);
        }
        for (int j = 0; j < SPAN; j++) weight_gradient(point + j, SPAN, half + j, SPAN);
        for (int k = 0; k < 3; k++) weight_gradient(half + k * SPAN, 1, kernel + k * 3, 1);
        for (int k = 0; k < 9; k++) store(lanes[k], kernel[k]);
        for (int lane = 0; lane < LANES; lane++)
          for (int k = 0; k < 9; k++) dw[((o + lane) * inputs + i) * 9 + k] = lanes[k][lane];
      }
  });
}

// `count` tiles from `first` on, which are transformed to memory for `most` tiles.
struct Chunk {
  long first, count, most;
};

// The numbers of channels of a convolution's input and output.
struct Channels {
  long inputs, outputs;
};

// What the gradient of the input needs besides that of the output: transformed weights (transposed,
// see transform_weights), where it is written, and an epilogue or null.
struct DataGradient {
  const float* u;
  float* dx;
  const Epilogue* epilogue;
};

// The gradient of the input for a chunk of tiles. d and m are memory for the transformed gradient
// of the output and for the products.
inline void data_gradients(const float* dy, const DataGradient& data, const Maps& maps, Chunk tiles,
                           Channels channels, float* d, float* m) {
  auto [inputs, outputs] = channels;
  long in = point_step(tiles.most, inputs), out = point_step(tiles.most, outputs);
  for (long t = 0; t < tiles.count; t++)
    transform_input(dy, maps, tiles.first + t, outputs, d + t * outputs, out);
  for (int p = 0; p < POINTS; p++) {
    prefetch<1>(data.dx, maps, tiles.first, tiles.count, inputs, p);
    for (long c = 0; c < inputs; c += PANEL)
      multiply_panel(tiles.count, panel_width(inputs, c), d + p * out, outputs,
                     data.u + p * point_step(outputs, inputs) + c * outputs, m + p * in + c, inputs,
                     outputs);
  }
  for (long t = 0; t < tiles.count; t++)
    transform_output(m + t * inputs, in, maps, tiles.first + t, inputs, {0, inputs}, data.dx,
                     nullptr, data.epilogue);
}

// dw = the gradient of the weights, from the input x and dy, the gradient of the output. With
// `data`, which may be null, the gradient of the input is computed as well while dy is in the
// cache.
inline void weight_gradients(const float* x, const float* dy, float* dw, const Maps& maps,
                             Channels channels, const DataGradient* data) {
  static thread_local Scratch weights, work;
  auto [inputs, outputs] = channels;
  const long most = chunk_of(GRADIENT_CHUNK, inputs, outputs);
  const long size = transformed(inputs, outputs), in = point_step(most, inputs),
             out = point_step(most, outputs), per_thread = POINTS * (in + out);
  float *total = weights.get(size * threads()), *memory = work.get(per_thread * threads());
  std::memset(total, 0, size * threads() * sizeof(float));
  split((maps.tiles() + most - 1) / most, [&](int thread, long begin, long end) {
    float *v = memory + thread * per_thread, *d = v + POINTS * in, *u = total + thread * size;
    for (long chunk = begin; chunk < end; chunk++) {
      Chunk tiles{chunk * most, std::min(most, maps.tiles() - chunk * most), most};
      if (data) data_gradients(dy, *data, maps, tiles, channels, d, v);
      for (long t = 0; t < tiles.count; t++) {
        transform_input(x, maps, tiles.first + t, inputs, v + t * inputs, in);
        transform_gradient(dy, maps, tiles.first + t, outputs, d + t * outputs, out);
      }
      for (int p = 0; p < POINTS; p++) {
        prefetch<0>(x, maps, tiles.first + tiles.count, most, inputs, p);
        prefetch<0>(dy, maps, tiles.first + tiles.count, most, outputs, p);
        multiply(inputs, outputs, v + p * in, 1, inputs, d + p * out, outputs,
                 u + p * point_step(inputs, outputs), outputs, tiles.count, true);
      }
    }
  });
  transform_weight_gradients(total, outputs, inputs, dw);
}

// Both gradients of a convolution with the weights w. They are computed together where the
// transformed weights and the sums of their gradients fit into a core's cache together.
inline void gradients(const float* x, const float* dy, const float* w, float* dw, const Maps& maps,
                      Channels channels, float* dx, const Epilogue* epilogue) {
  static thread_local Scratch memory;
  auto [inputs, outputs] = channels;
  float* u = memory.get(transformed(outputs, inputs));
  transform_weights(w, outputs, inputs, true, u);
  DataGradient data{u, dx, epilogue};
  bool together = 2 * transformed(inputs, outputs) * sizeof(float) <= CACHE;
  if (!together) convolve_transformed(dy, u, dx, maps, outputs, inputs, nullptr, epilogue);
  weight_gradients(x, dy, dw, maps, channels, together ? &data : nullptr);
}

}  // namespace winograd
