// What stands between two convolutions, in one pass over memory: out = relu(sum of terms), where a term
// is a constant times a feature map or times the BatchNorm of a convolution's output.
//
// BatchNorm+ReLU is one term; a ResNet's sum is the identity and a BatchNorm; merge-and-run has two maps
// times 0.5 and a BatchNorm.
#pragma once
#include <cmath>
#include "vec.h"

namespace combine {

struct Term {
  const float* x;
  float scale;
  const float *gamma, *beta, *mean, *variance;  // null for a plain map
  float *dx, *dgamma, *dbeta;                   // backward: where the gradients go
  bool normalised() const { return gamma; }
};

struct Options { long pixels, channels; float epsilon; bool relu; };

// Pixels that stay in the cache while their channels are gone through sixteen at a time; also those whose
// sums are single precision before they join a double.
constexpr long BLOCK = 256;

// Call visit(channel, from, to) for sixteen channels of a block of pixels at a time.
template <class Visit>
inline void for_blocks(long begin, long end, long channels, Visit visit) {
  for (long from = begin; from < end; from += BLOCK)
    for (long c = 0; c < channels; c += LANES) visit(c, from, std::min(end, from + BLOCK));
}

// Each term as factor * x + offset, channel by channel.
struct Affine { std::vector<float> factor, offset; };

inline std::vector<Affine> affine(const Term* terms, int count, const Options& o) {
  std::vector<Affine> result(count);
  for (int t = 0; t < count; t++) {
    const Term& term = terms[t];
    result[t] = {std::vector<float>(o.channels, term.scale), std::vector<float>(o.channels, 0.0f)};
    if (term.normalised())
      for (long c = 0; c < o.channels; c++) {
        float factor = term.gamma[c] / std::sqrt(term.variance[c] + o.epsilon);
        result[t].factor[c] = term.scale * factor;
        result[t].offset[c] = term.scale * (term.beta[c] - term.mean[c] * factor);
      }
  }
  return result;
}

template <int COUNT>
inline void forward(const Term* terms, const Options& o, float* out) {  // a NaN stays one through the ReLU
  auto scale = affine(terms, COUNT, o);
  split(o.pixels, [&](int, long begin, long end) {
    for_blocks(begin, end, o.channels, [&](long c, long from, long to) {
      vec factor[COUNT], offset{};
      for (int t = 0; t < COUNT; t++) {
        factor[t] = load(&scale[t].factor[c]);
        offset += load(&scale[t].offset[c]);
      }
      for (long p = from; p < to; p++) {
        long at = p * o.channels + c;
        vec sum = offset;
        for (int t = 0; t < COUNT; t++) sum += factor[t] * load(terms[t].x + at);
        store(out + at, o.relu ? (sum < 0.0f ? vec{} : sum) : sum);
      }
    });
  });
}

inline vec masked(const float* dout, const float* out, long at, bool relu) {
  vec g = load(dout + at);
  return relu ? (load(out + at) <= 0.0f ? vec{} : g) : g;
}

// Sums of g and of g * (x - mean) over the pixels, for each term: sums[thread][1 + COUNT][channels].
template <int COUNT>
inline void sums_for_backward(const Term* terms, const Options& o, const float* dout, const float* out, double* sums) {
  split(o.pixels, [&](int thread, long begin, long end) {
    double* mine = sums + thread * (1 + COUNT) * o.channels;
    for_blocks(begin, end, o.channels, [&](long c, long from, long to) {
      vec sum{}, product[COUNT]{}, mean[COUNT]{};
      for (int t = 0; t < COUNT; t++) if (terms[t].normalised()) mean[t] = load(terms[t].mean + c);
      for (long p = from; p < to; p++) {
        long at = p * o.channels + c;
        vec g = masked(dout, out, at, o.relu);
        sum += g;
        for (int t = 0; t < COUNT; t++)
          if (terms[t].normalised()) product[t] += g * (load(terms[t].x + at) - mean[t]);
      }
      for (int i = 0; i < LANES; i++) {
        mine[c + i] += sum[i];
        for (int t = 0; t < COUNT; t++) mine[(1 + t) * o.channels + c + i] += product[t][i];
      }
    });
  });
}

// dx = scale * g; through a BatchNorm, whose mean and variance depend on every x,
// scale * factor * (g - mean(g) - xhat * mean(g * xhat)), written as a * g + b * x + offset.
template <int COUNT>
inline void backward(Term* terms, const Options& o, const float* dout, const float* out) {
  bool any = false;
  for (int t = 0; t < COUNT; t++) any |= terms[t].normalised();
  std::vector<double> sums(threads() * (1 + COUNT) * o.channels, 0.0);
  if (any) sums_for_backward<COUNT>(terms, o, dout, out, sums.data());
  auto total = [&](int row, long c) {
    double sum = 0;
    for (int t = 0; t < threads(); t++) sum += sums[(t * (1 + COUNT) + row) * o.channels + c];
    return sum;
  };
  std::vector<float> a[COUNT], b[COUNT], offset[COUNT];
  for (int t = 0; t < COUNT; t++) {
    Term& term = terms[t];
    a[t].assign(o.channels, term.scale), b[t].assign(o.channels, 0.0f), offset[t].assign(o.channels, 0.0f);
    if (!term.normalised()) continue;
    for (long c = 0; c < o.channels; c++) {
      double inverse = 1 / std::sqrt(double(term.variance[c]) + o.epsilon), factor = term.scale * term.gamma[c] * inverse;
      double mean_g = total(0, c) / o.pixels, product = total(1 + t, c) * inverse;
      double slope = -factor * inverse * product / o.pixels;
      term.dgamma[c] = term.scale * product;
      term.dbeta[c] = term.scale * total(0, c);
      a[t][c] = factor, b[t][c] = slope, offset[t][c] = -factor * mean_g - slope * term.mean[c];
    }
  }
  split(o.pixels, [&](int, long begin, long end) {
    for_blocks(begin, end, o.channels, [&](long c, long from, long to) {
      for (long p = from; p < to; p++) {
        long at = p * o.channels + c;
        vec g = masked(dout, out, at, o.relu);
        for (int t = 0; t < COUNT; t++) {
          vec dx = load(&a[t][c]) * g;
          if (terms[t].normalised()) dx += load(&b[t][c]) * load(terms[t].x + at) + load(&offset[t][c]);
          store(terms[t].dx + at, dx);
        }
      }
    });
  });
}

// Call visit(std::integral_constant<int, count>()): the loops above want to know the count beforehand.
template <class Visit>
inline bool with_count(int count, Visit visit) {
  switch (count) {
    case 1: visit(std::integral_constant<int, 1>()); return true;
    case 2: visit(std::integral_constant<int, 2>()); return true;
    case 3: visit(std::integral_constant<int, 3>()); return true;
    case 4: visit(std::integral_constant<int, 4>()); return true;
    case 5: visit(std::integral_constant<int, 5>()); return true;
    case 6: visit(std::integral_constant<int, 6>()); return true;
  }
  return false;
}

}  // namespace combine
