// Global average pooling and, for inference, maximum pooling.
#pragma once
#include <algorithm>
#include <limits>
#include "direct.h"
#include "threads.h"
#include "vec.h"

namespace pool {

struct Map {
  long batch, pixels, channels;
};

// y (batch, channels) = the mean over the pixels of x (batch, pixels, channels).
inline void forward(const float* x, const Map& map, float* y) {
  split(map.batch, [&](int, long begin, long end) {
    for (long n = begin; n < end; n++)
      for (long c = 0; c < map.channels; c += LANES) {
        vec sum{};
        for (long p = 0; p < map.pixels; p++)
          sum += load(x + (n * map.pixels + p) * map.channels + c);
        store(y + n * map.channels + c, sum / float(map.pixels));
      }
  });
}

// dx = the gradient of x, from dy, that of y.
inline void backward(const float* dy, const Map& map, float* dx) {
  split(map.batch, [&](int, long begin, long end) {
    for (long n = begin; n < end; n++)
      for (long c = 0; c < map.channels; c += LANES) {
        vec g = load(dy + n * map.channels + c) / float(map.pixels);
        for (long p = 0; p < map.pixels; p++)
          store(dx + (n * map.pixels + p) * map.channels + c, g);
      }
  });
}

// The shape of feature maps.
struct Maps {
  long batch, height, width, channels;
};

// The windows of maximum pooling, which are those of a convolution: an output channel is made of
// one input channel.
inline direct::Shape windows(const Maps& x, long kernel, long stride) {
  return {x.batch, x.height, x.width, x.channels, x.channels, kernel, stride};
}

// y = the maximum over each window of x; what a window has outside the map does not count.
inline void maximum(const float* x, const direct::Shape& s, float* y) {
  split(s.batch * s.out_height(), [&](int, long begin, long end) {
    for (long row = begin; row < end; row++) {
      const float* image = x + row / s.out_height() * s.height * s.width * s.inputs;
      long top = row % s.out_height() * s.stride - s.pad();
      for (long column = 0; column < s.out_width(); column++)
        for (long c = 0, left = column * s.stride - s.pad(); c < s.inputs; c += LANES) {
          vec most = splat(-std::numeric_limits<float>::infinity());
          for (long i = std::max(0L, top); i < std::min(s.height, top + s.kernel); i++)
            for (long j = std::max(0L, left); j < std::min(s.width, left + s.kernel); j++)
              most = ::maximum(most, load(image + (i * s.width + j) * s.inputs + c));
          store(y + (row * s.out_width() + column) * s.inputs + c, most);
        }
    }
  });
}

}  // namespace pool
