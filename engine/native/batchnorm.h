// BatchNorm with given statistics, written as factor * x + offset.
#pragma once
#include <cmath>
#include <vector>

struct BatchNorm {
  const float *gamma, *beta, *mean, *variance;
  float epsilon;
};

// One factor and one offset for each channel.
struct Affine {
  std::vector<float> factor, offset;
};

// scale * x.
inline Affine scaled(long channels, float scale) {
  return {std::vector<float>(channels, scale), std::vector<float>(channels, 0.0f)};
}

// scale * BatchNorm(x).
inline Affine normalised(const BatchNorm& bn, long channels, float scale) {
  Affine result = scaled(channels, scale);
  for (long c = 0; c < channels; c++) {
    float factor = bn.gamma[c] / std::sqrt(bn.variance[c] + bn.epsilon);
    result.factor[c] = scale * factor;
    result.offset[c] = scale * (bn.beta[c] - bn.mean[c] * factor);
  }
  return result;
}
