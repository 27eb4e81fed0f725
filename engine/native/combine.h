// The element-wise operations between two convolutions, in one pass over memory:
// out = relu(sum of terms). A term is a constant times a feature map, or a constant times the
// BatchNorm of a convolution's output.
//
// BatchNorm+ReLU is a sum of one term. A ResNet's unit adds the identity and a BatchNorm. A
// merge-and-run unit has two outputs: they share two feature maps times 0.5, and each adds a
// BatchNorm of its own.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>
#include "batchnorm.h"
#include "threads.h"
#include "vec.h"

namespace combine {

struct Term {
  const float* x;
  float scale;
  const float *gamma, *beta, *mean, *variance;  // null where the term is a plain feature map
  float *dx, *dgamma, *dbeta;                   // written by the backward pass
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

// Number of pixels in a block. A block stays in the cache while its channels are processed sixteen
// at a time. Sums over a block are in single precision; sums over blocks are in double precision.
constexpr long BLOCK = 256;

// Call visit(channel, from, to) for each block of pixels and each sixteen channels.
template <class Visit>
inline void for_blocks(long begin, long end, long channels, Visit visit) {
  for (long from = begin; from < end; from += BLOCK)
    for (long c = 0; c < channels; c += LANES) visit(c, from, std::min(end, from + BLOCK));
}

// Each term written as factor * x + offset.
inline std::vector<Affine> affine(const Term* terms, int count, const Options& o) {
  std::vector<Affine> result;
  for (const Term* term = terms; term < terms + count; term++)
    result.push_back(term->normalised() ? normalised({term->gamma, term->beta, term->mean,
                                                      term->variance, o.epsilon},
                                                     o.channels, term->scale)
                                        : scaled(o.channels, term->scale));
  return result;
}

// Return how many of the terms all outputs share. With one output these are all terms. With n
// outputs each of the last n terms belongs to one output.
constexpr int shared(int count, int outputs) { return outputs == 1 ? count : count - outputs; }

template <int COUNT, int OUTPUTS>
inline void forward(const Term* terms, const Output* outputs, const Options& o) {
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
          store(outputs[i].y + at, o.relu ? relu(sum) : sum);
        }
      }
    });
  });
}

// The gradient of an output before its ReLU, for sixteen channels. The output tells where the ReLU
// was at zero. If it is that of a single BatchNorm, it is not read but computed again from the
// BatchNorm's input, which the backward pass reads anyway.
struct Masked {
  bool relu;
  const float* x;  // the input of the single BatchNorm, else null
  vec factor, offset;
  Masked(const Term* terms, int count, const Options& o, const std::vector<Affine>& scale, long c)
      : relu(o.relu),
        x(count == 1 && terms[0].normalised() ? terms[0].x : nullptr),
        factor(load(&scale[0].factor[c])),
        offset(load(&scale[0].offset[c])) {}
  vec operator()(const Output& output, long at) const {
    vec g = load(output.dy + at);
    if (!relu) return g;
    return relu_gradient(g, x ? factor * load(x + at) + offset : load(output.y + at));
  }
};

// The gradient with regard to each term, before its factor: that of the term's output, or the sum
// over all outputs if they share the term.
template <int COUNT, int OUTPUTS>
inline void gradients(const Masked& masked, const Output* outputs, long at, vec* g) {
  vec common{};
  for (int i = 0; i < OUTPUTS; i++) {
    vec one = masked(outputs[i], at);
    common += one;
    if (OUTPUTS > 1) g[shared(COUNT, OUTPUTS) + i] = one;
  }
  for (int t = 0; t < shared(COUNT, OUTPUTS); t++) g[t] = common;
}

// For each term, the sums over the pixels of g and of g * (x - mean), which the gradients of
// BatchNorm need: sums[thread][COUNT][2][channels].
template <int COUNT, int OUTPUTS>
inline void sums_for_backward(const Term* terms, const Output* outputs, const Options& o,
                              const std::vector<Affine>& scale, double* sums) {
  split(o.pixels, [&](int thread, long begin, long end) {
    double* mine = sums + thread * 2 * COUNT * o.channels;
    for_blocks(begin, end, o.channels, [&](long c, long from, long to) {
      const Masked masked(terms, COUNT, o, scale, c);
      vec sum[COUNT]{}, product[COUNT]{}, mean[COUNT]{}, g[COUNT];
      for (int t = 0; t < COUNT; t++)
        if (terms[t].normalised()) mean[t] = load(terms[t].mean + c);
      for (long p = from; p < to; p++) {
        long at = p * o.channels + c;
        gradients<COUNT, OUTPUTS>(masked, outputs, at, g);
        for (int t = 0; t < COUNT; t++) {
          sum[t] += g[t];
          if (terms[t].normalised()) product[t] += g[t] * (load(terms[t].x + at) - mean[t]);
        }
      }
      for (int t = 0; t < COUNT; t++) {
        add(sum[t], mine + 2 * t * o.channels + c);
        add(product[t], mine + (2 * t + 1) * o.channels + c);
      }
    });
  });
}

// The gradient of a term's input, written as a * g + b * x + offset. For a plain feature map it is
// scale * g. For a BatchNorm, whose mean and variance depend on every x, it is
// scale * factor * (g - mean(g) - xhat * mean(g * xhat)).
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
  const auto scale = affine(terms, COUNT, o);
  std::vector<double> sums(threads() * 2 * COUNT * o.channels, 0.0);
  if (std::any_of(terms, terms + COUNT, [](const Term& term) { return term.normalised(); }))
    sums_for_backward<COUNT, OUTPUTS>(terms, outputs, o, scale, sums.data());
  auto slope = slopes<COUNT>(terms, o, sums);
  split(o.pixels, [&](int, long begin, long end) {
    for_blocks(begin, end, o.channels, [&](long c, long from, long to) {
      const Masked masked(terms, COUNT, o, scale, c);
      vec g[COUNT];
      for (long p = from; p < to; p++) {
        long at = p * o.channels + c;
        gradients<COUNT, OUTPUTS>(masked, outputs, at, g);
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

// Call visit(count, outputs) with both numbers as compile-time constants, so that the compiler can
// unroll the loops above. Return false if no kernel is compiled for these numbers.
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
