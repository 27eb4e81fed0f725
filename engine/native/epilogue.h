// What is computed from a convolution's output while it is still in the cache: the sums for the
// BatchNorm that follows (training), or all that follows up to the next convolution (inference).
#pragma once
#include <cmath>
#include <utility>
#include <vector>
#include "vec.h"

// The epilogue of a convolution in inference: relu(factor * output + offset + sum of other feature
// maps, each times a constant), without another pass over memory. factor and offset have a number
// for each channel.
struct Epilogue {
  std::vector<float> factor, offset;
  std::vector<std::pair<const float*, float>> maps;
  bool relu;

  // v: sixteen numbers of the output, at: their offset in it, c: their first channel.
  vec operator()(vec v, long at, long c) const {
    v = load(&factor[c]) * v + load(&offset[c]);
    for (const auto& map : maps) v += map.second * load(map.first + at);
    return relu ? ::relu(v) : v;
  }
};

// The epilogue scale * (output + bias), to which maps can be added.
inline Epilogue with_bias(const float* bias, long channels, float scale, bool relu) {
  Epilogue result{std::vector<float>(channels, scale), std::vector<float>(channels), {}, relu};
  for (long c = 0; c < channels; c++) result.offset[c] = scale * bias[c];
  return result;
}

// The parameters of a BatchNorm that is computed with its moving statistics.
struct BatchNorm {
  const float *gamma, *beta, *mean, *variance;
  float epsilon;
};

// The same for scale * BatchNorm(output).
inline Epilogue with_batchnorm(const BatchNorm& bn, long channels, float scale, bool relu) {
  Epilogue result{std::vector<float>(channels), std::vector<float>(channels), {}, relu};
  for (long c = 0; c < channels; c++) {
    float factor = bn.gamma[c] / std::sqrt(bn.variance[c] + bn.epsilon);
    result.factor[c] = scale * factor;
    result.offset[c] = scale * (bn.beta[c] - bn.mean[c] * factor);
  }
  return result;
}
