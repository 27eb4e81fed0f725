// Global average pooling.
#pragma once
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

}  // namespace pool
