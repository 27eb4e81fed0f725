// What stands between two convolutions, in one pass over memory: out = relu(sum of terms), where a
// term is a constant times a feature map or times the BatchNorm of a convolution's output.
//
// BatchNorm+ReLU is one term; a ResNet's sum is the identity and a BatchNorm; merge-and-run has two
// outputs, which share two maps times 0.5 and have a BatchNorm each.
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

struct Output {
  float* y;
  const float* dy;
};

struct Options {
  long pixels, channels;
  float epsilon;
  bool relu;
};

// Pixels that stay in the cache while their channels are gone through sixteen at a time; also those
// whose sums are single precision before they join a double.
constexpr long BLOCK = 256;

// Call visit(channel, from, to) for sixteen channels of a block of pixels at a time.
template <class Visit>
inline void for_blocks(long begin, long end, long channels, Visit visit) {
  for (long from = begin; from < end; from += BLOCK)
    for (long c = 0; c < channels; c += LANES) visit(c, from, std::min(end, from + BLOCK));
}

// Each term as factor * x + offset, channel by channel.
struct Affine {
  std::vector<float> factor, offset;
};

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

// With one output all terms are its own; with more, each has one of the last to itself, and the
// others are shared.
constexpr int shared(int count, int outputs) { return outputs == 1 ? count : count - outputs; }

template <int COUNT, int OUTPUTS>
inline void forward(const Term* terms, const Output* outputs,
                    const Options& o) {  // a NaN stays one through the ReLU
  constexpr int SHARED = shared(COUNT, OUTPUTS);
  auto scale = affine(terms, COUNT, o);
  split(o.pixels, [&](int, long begin, long end) {
    for_blocks(begin, end, o.channels, [&](long c, long from, long to) {
      vec factor[COUNT], offset[OUTPUTS]{};
      for (int t = 0; t < COUNT; t++) {
        factor[t] = load(&scale[t].factor[c]);
        for (int i = 0; i < OUTPUTS; i++)
          if (t < SHARED || t == SHARED + i) offset[i] += load(&scale[t].offset[c]);
      }
      for (long p = from; p < to; p++) {
        long at = p * o.channels + c;
        vec common{};
        for (int t = 0; t < SHARED; t++) common += factor[t] * load(terms[t].x + at);
        for (int i = 0; i < OUTPUTS; i++) {
          vec sum = common + offset[i];
          if (OUTPUTS > 1) sum += factor[SHARED + i] * load(terms[SHARED + i].x + at);
          store(outputs[i].y + at, o.relu ? (sum < 0.0f ? vec{} : sum) : sum);
        }
      }
    });
  });
}

inline vec masked(const Output& output, long at, bool relu) {
  vec g = load(output.dy + at);
  return relu ? (load(output.y + at) <= 0.0f ? vec{} : g) : g;
}

// Each term's gradient, before its factor: its output's, or the sum of all outputs'.
template <int COUNT, int OUTPUTS>
inline void gradients(const Output* outputs, long at, bool relu, vec* g) {
  vec common{};
  for (int i = 0; i < OUTPUTS; i++) {
    vec one = masked(outputs[i], at, relu);
    common += one;
    if (OUTPUTS > 1) g[shared(COUNT, OUTPUTS) + i] = one;
  }
  for (int t = 0; t < shared(COUNT, OUTPUTS); t++) g[t] = common;
}

// Sums of g and of g * (x - mean) over the pixels, for each term: sums[thread][COUNT][2][channels].
template <int COUNT, int OUTPUTS>
inline void sums_for_backward(const Term* terms, const Output* outputs, const Options& o,
                              double* sums) {
  split(o.pixels, [&](int thread, long begin, long end) {
    double* mine = sums + thread * 2 * COUNT * o.channels;
    for_blocks(begin, end, o.channels, [&](long c, long from, long to) {
      vec sum[COUNT]{}, product[COUNT]{}, mean[COUNT]{}, g[COUNT];
      for (int t = 0; t < COUNT; t++)
        if (terms[t].normalised()) mean[t] = load(terms[t].mean + c);
      for (long p = from; p < to; p++) {
        long at = p * o.channels + c;
        gradients<COUNT, OUTPUTS>(outputs, at, o.relu, g);
        for (int t = 0; t < COUNT; t++) {
          sum[t] += g[t];
          if (terms[t].normalised()) product[t] += g[t] * (load(terms[t].x + at) - mean[t]);
        }
      }
      for (int t = 0; t < COUNT; t++)
        for (int i = 0; i < LANES; i++) {
          mine[2 * t * o.channels + c + i] += sum[t][i];
          mine[(2 * t + 1) * o.channels + c + i] += product[t][i];
        }
    });
  });
}

// A term's dx as a * g + b * x + offset. It is scale * g; through a BatchNorm, whose mean and
// variance depend on every x, scale * factor * (g - mean(g) - xhat * mean(g * xhat)).
struct Slope {
  std::vector<float> a, b, offset;
};

template <int COUNT>
inline std::vector<Slope> slopes(Term* terms, const Options& o, const std::vector<double>& sums) {
  std::vector<Slope> result;
  auto total = [&](int row, long c) {
    double sum = 0;
    for (int t = 0; t < threads(); t++) sum += sums[(t * 2 * COUNT + row) * o.channels + c];
    return sum;
  };
  for (int t = 0; t < COUNT; t++) {
    Term& term = terms[t];
    std::vector<float> none(o.channels, 0.0f);
    result.push_back({std::vector<float>(o.channels, term.scale), none, none});
    if (!term.normalised()) continue;
    for (long c = 0; c < o.channels; c++) {
      double inverse = 1 / std::sqrt(double(term.variance[c]) + o.epsilon),
             factor = term.scale * term.gamma[c] * inverse;
      double sum = total(2 * t, c), product = total(2 * t + 1, c) * inverse;
      double slope = -factor * inverse * product / o.pixels;
      term.dgamma[c] = term.scale * product;
      term.dbeta[c] = term.scale * sum;
      result[t].a[c] = factor, result[t].b[c] = slope;
      result[t].offset[c] = -factor * sum / o.pixels - slope * term.mean[c];
    }
  }
  return result;
}

template <int COUNT, int OUTPUTS>
inline void backward(Term* terms, const Output* outputs, const Options& o) {
  std::vector<double> sums(threads() * 2 * COUNT * o.channels, 0.0);
  if (std::any_of(terms, terms + COUNT, [](const Term& term) { return term.normalised(); }))
    sums_for_backward<COUNT, OUTPUTS>(terms, outputs, o, sums.data());
  auto slope = slopes<COUNT>(terms, o, sums);
  split(o.pixels, [&](int, long begin, long end) {
    for_blocks(begin, end, o.channels, [&](long c, long from, long to) {
      vec g[COUNT];
      for (long p = from; p < to; p++) {
        long at = p * o.channels + c;
        gradients<COUNT, OUTPUTS>(outputs, at, o.relu, g);
        for (int t = 0; t < COUNT; t++) {
          vec dx = load(&slope[t].a[c]) * g[t];
          if (terms[t].normalised())
            dx += load(&slope[t].b[c]) * load(terms[t].x + at) + load(&slope[t].offset[c]);
          store(terms[t].dx + at, dx);
        }
      }
    });
  });
}

// Call visit with the numbers as integral constants: the loops above want to know them beforehand.
// Return whether there is such a case.
template <class Visit>
inline bool with_counts(int count, int outputs, Visit visit) {
  auto call = [&](auto count, auto outputs) {
    visit(count, outputs);
    return true;
  };
  std::integral_constant<int, 1> one;
  std::integral_constant<int, 2> two;
  std::integral_constant<int, 3> three;
  std::integral_constant<int, 4> four;
  std::integral_constant<int, 5> five;
  std::integral_constant<int, 6> six;
  if (outputs == 2) return count == 3 ? call(three, two) : count == 4 && call(four, two);
  if (outputs != 1) return false;
  switch (count) {
    case 1:
      return call(one, one);
    case 2:
      return call(two, one);
    case 3:
      return call(three, one);
    case 4:
      return call(four, one);
    case 5:
      return call(five, one);
    case 6:
      return call(six, one);
  }
  return false;
}

}  // namespace combine
