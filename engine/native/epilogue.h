// What is computed from a convolution's output while it is still in the cache: the sums for the
// BatchNorm that follows (training), or all that follows up to the next convolution (inference).
#pragma once
#include <utility>
#include <vector>
#include "vec.h"

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

// The epilogue of a convolution in inference: relu(scale * (output + bias) + sum of other feature
// maps, each times a constant), without another pass over memory.
struct Epilogue {
  const float* bias;
  float scale;
  std::vector<std::pair<const float*, float>> maps;
  bool relu;

  // v: sixteen numbers of the output, at: their offset in it, c: their first channel.
  vec operator()(vec v, long at, long c) const {
    v = scale * (v + load(bias + c));
    for (const auto& map : maps) v += map.second * load(map.first + at);
    return relu ? ::relu(v) : v;
  }
};
