// Memory that kernels need while they run.
#pragma once
#include <cstddef>
#include <vector>

// Scratch memory of one kernel, aligned to a line of the cache (64 bytes) and kept between calls.
constexpr size_t FLOATS_OF_LINE = 16;

class Scratch {
 public:
  float* get(size_t floats) {
    if (memory_.size() < floats + FLOATS_OF_LINE) memory_.resize(floats + FLOATS_OF_LINE);
    auto address = reinterpret_cast<size_t>(memory_.data());
    return reinterpret_cast<float*>((address + 63) / 64 * 64);
  }

 private:
  std::vector<float> memory_;
};
