// One step of SGD with Nesterov's momentum, on many parameters at once.
#pragma once
#include <algorithm>
#include <vector>
#include "threads.h"

namespace update {

struct Tensor {
  float* weight;
  const float* gradient;
  float* velocity;
  long size;
};
struct Options {
  float lr, momentum, decay, rescale;
};

// For each weight w and its velocity v: d = rescale * gradient + decay * w,
// v = momentum * v - lr * d, and then w += momentum * v - lr * d.
inline void nesterov(const std::vector<Tensor>& tensors, const Options& o) {
  long total = 0;
  for (const auto& tensor : tensors) total += tensor.size;
  split(total, [&](int, long begin, long end) {
    long start = 0;
    for (const auto& t : tensors) {
      for (long i = std::max(begin - start, 0L); i < std::min(end - start, t.size); i++) {
        float step = o.lr * (o.rescale * t.gradient[i] + o.decay * t.weight[i]);
        t.velocity[i] = o.momentum * t.velocity[i] - step;
        t.weight[i] += o.momentum * t.velocity[i] - step;
      }
      start += t.size;
    }
  });
}

}  // namespace update
