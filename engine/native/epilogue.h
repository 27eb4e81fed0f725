// What is computed from a convolution's output while it is still in the cache: the sums for the
// BatchNorm that follows (training), or all that follows up to the next convolution (inference).
#pragma once
#include <utility>
#include <vector>
#include "batchnorm.h"
#include "vec.h"

// The epilogue of a convolution in inference: relu(affine function of the output + sum of other
// feature maps, each times a constant), without another pass over memory.
struct Epilogue {
  Affine affine;
  bool relu;
  std::vector<std::pair<const float*, float>> maps;

  // v: sixteen numbers of the output, at: their offset in it, c: their first channel.
  vec operator()(vec v, long at, long c) const {
    v = load(&affine.factor[c]) * v + load(&affine.offset[c]);
    for (const auto& map : maps) v += map.second * load(map.first + at);
    return relu ? ::relu(v) : v;
  }
};

// scale * (x + bias).
inline Affine biased(const float* bias, long channels, float scale) {
  Affine result = scaled(channels, scale);
  for (long c = 0; c < channels; c++) result.offset[c] = scale * bias[c];
  return result;
}
