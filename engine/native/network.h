// A whole network for inference as a list of steps, so that MXNet calls one operator and not one
// for each layer: with a single image those calls took longer than the layers.
//
// A plan is a text that graphs/one_operator.py writes: steps, with a semicolon between two of them.
// Each step begins with its kind and OUT, the number of the buffer that it writes. Feature maps are
// (batch, height, width, channels).
//
//   layout OUT
//     The images, which come as (batch, channels, height, width).
//
//   conv OUT IN WEIGHT BIAS KERNEL STRIDE OUTPUTS SCALE RELU COUNT (BUFFER FACTOR)...
//     What _dfn_folded_convolution computes, with COUNT maps that are added.
//
//   sum OUT RELU COUNT (BUFFER FACTOR)...
//     relu(sum of COUNT feature maps, each times its factor); RELU is 0 without the relu.
//
//   maxpool OUT IN KERNEL STRIDE
//     Maximum pooling.
//
//   pool OUT IN
//     Global average pooling.
//
//   head OUT IN WEIGHT BIAS OUTPUTS RESULT
//     A fully connected layer and its softmax, which is the operator's output number RESULT.
//
// IN and BUFFER are numbers of buffers, WEIGHT and BIAS of the operator's inputs. OUT is not IN,
// but it may be a BUFFER that nothing reads after the step.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <mutex>
#include <sstream>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>
#include "direct.h"
#include "pool.h"
#include "winograd.h"

namespace network {

struct Step {
  std::string kind;
  int out = 0, in = 0, weight = 0, bias = 0, result = 0;
  long kernel = 0, stride = 0, outputs = 0;
  float scale = 1;
  bool relu = false;
  std::vector<std::pair<int, float>> maps;  // buffers and their factors
};

struct Plan {
  std::vector<Step> steps;
  int buffers = 0;
};

inline float read_number(std::istream& text) {
  std::string word;
  text >> word;
  return float(std::strtod(word.c_str(), nullptr));  // see number() in ops.cc
}

inline Plan parse(const std::string& plan) {
  Plan result;
  std::istringstream lines(plan);
  for (std::string line; std::getline(lines, line, ';');) {
    std::istringstream text(line);
    Step s;
    text >> s.kind >> s.out;
    if (s.kind == "conv") {
      text >> s.in >> s.weight >> s.bias >> s.kernel >> s.stride >> s.outputs;
      s.scale = read_number(text);
    } else if (s.kind == "maxpool") {
      text >> s.in >> s.kernel >> s.stride;
    } else if (s.kind == "pool") {
      text >> s.in;
    } else if (s.kind == "head") {
      text >> s.in >> s.weight >> s.bias >> s.outputs >> s.result;
    }
    if (s.kind == "conv" || s.kind == "sum") {
      size_t count = 0;
      text >> s.relu >> count;
      while (s.maps.size() < count) {
        int buffer = 0;
        text >> buffer;
        s.maps.push_back({buffer, read_number(text)});
      }
    }
    result.buffers = std::max(result.buffers, s.out + 1);
    result.steps.push_back(s);
  }
  return result;
}

// The plan that a text describes; each text is parsed once.
inline const Plan& plan_of(const std::string& text) {
  static std::mutex turn;
  static std::unordered_map<std::string, Plan> plans;
  std::lock_guard<std::mutex> lock(turn);
  auto found = plans.find(text);
  return found != plans.end() ? found->second : plans.emplace(text, parse(text)).first->second;
}

// Memory for the feature map that a step writes, and its shape; later steps may use it again.
struct Buffer {
  Scratch memory;
  float* data;
  long height, width, channels;
  long floats(long batch) const { return batch * height * width * channels; }
};

// The images and parameters of a call, and where its results are written.
struct Call {
  const std::vector<const float*>& inputs;
  const std::vector<float*>& results;
  long batch, channels, height, width;  // of the images, which are input 0
};

// Give a buffer the shape of the feature map that is to be written to it.
inline void resize(Buffer& out, long batch, long height, long width, long channels) {
  out.height = height, out.width = width, out.channels = channels;
  out.data = out.memory.get(out.floats(batch));
}

inline void layout(const Call& call, Buffer& out) {
  long pixels = call.height * call.width;
  resize(out, call.batch, call.height, call.width, call.channels);
  split(call.batch, [&](int, long begin, long end) {
    for (long n = begin; n < end; n++)
      for (long p = 0; p < pixels; p++)
        for (long c = 0; c < call.channels; c++)
          out.data[(n * pixels + p) * call.channels + c] =
              call.inputs[0][(n * call.channels + c) * pixels + p];
  });
}

// y = the convolution of x with weights that _dfn_prepared_weights has made, and its epilogue.
inline void convolve_prepared(const direct::Shape& s, const float* x, const float* w, float* y,
                              const Epilogue& epilogue) {
  if (winograd::fits(s.kernel, s.stride, s.height, s.width, s.inputs))
    winograd::convolve_transformed(x, w, y, {s.batch, s.height, s.width}, s.inputs, s.outputs,
                                   nullptr, &epilogue);
  else
    direct::convolve_packed(x, w, y, s, nullptr, &epilogue);
}

inline void convolution(const Call& call, const Step& step, std::vector<Buffer>& buffers) {
  const Buffer& in = buffers[step.in];
  Buffer& out = buffers[step.out];
  direct::Shape s{call.batch,   in.height,   in.width,   in.channels,
                  step.outputs, step.kernel, step.stride};
  Epilogue epilogue{biased(call.inputs[step.bias], step.outputs, step.scale), step.relu, {}};
  resize(out, call.batch, s.out_height(), s.out_width(), s.outputs);
  for (const auto& map : step.maps) epilogue.maps.push_back({buffers[map.first].data, map.second});
  convolve_prepared(s, in.data, call.inputs[step.weight], out.data, epilogue);
}

inline void sum(const Call& call, const Step& step, std::vector<Buffer>& buffers) {
  const Buffer& first = buffers[step.maps[0].first];
  Buffer& out = buffers[step.out];
  resize(out, call.batch, first.height, first.width, first.channels);
  split(out.floats(call.batch) / LANES, [&](int, long begin, long end) {
    for (long at = begin * LANES; at < end * LANES; at += LANES) {
      vec total{};
      for (const auto& map : step.maps) total += map.second * load(buffers[map.first].data + at);
      store(out.data + at, step.relu ? relu(total) : total);
    }
  });
}

inline void maximum_pooling(const Call& call, const Step& step, std::vector<Buffer>& buffers) {
  const Buffer& in = buffers[step.in];
  Buffer& out = buffers[step.out];
  auto s = pool::windows({call.batch, in.height, in.width, in.channels}, step.kernel, step.stride);
  resize(out, call.batch, s.out_height(), s.out_width(), in.channels);
  pool::maximum(in.data, s, out.data);
}

inline void pooling(const Call& call, const Step& step, std::vector<Buffer>& buffers) {
  const Buffer& in = buffers[step.in];
  Buffer& out = buffers[step.out];
  resize(out, call.batch, 1, 1, in.channels);
  pool::forward(in.data, {call.batch, in.height * in.width, in.channels}, out.data);
}

inline void head(const Call& call, const Step& step, std::vector<Buffer>& buffers) {
  const Buffer& in = buffers[step.in];
  const float *w = call.inputs[step.weight], *bias = call.inputs[step.bias];
  for (long n = 0; n < call.batch; n++) {
    float* result = call.results[step.result] + n * step.outputs;
    for (long o = 0; o < step.outputs; o++) {
      vec total{};
      for (long c = 0; c < in.channels; c += LANES)
        total += load(in.data + n * in.channels + c) * load(w + o * in.channels + c);
      float lanes[LANES];
      store(lanes, total);
      result[o] = bias[o];
      for (float lane : lanes) result[o] += lane;
    }
    float most = *std::max_element(result, result + step.outputs), sum = 0;
    for (long o = 0; o < step.outputs; o++) sum += result[o] = std::exp(result[o] - most);
    for (long o = 0; o < step.outputs; o++) result[o] /= sum;
  }
}

// Carry out the steps of a plan.
inline void run(const Plan& plan, const Call& call) {
  static thread_local std::vector<Buffer> buffers;
  if (buffers.size() < size_t(plan.buffers)) buffers.resize(plan.buffers);
  for (const auto& step : plan.steps) {
    if (step.kind == "layout") layout(call, buffers[step.out]);
    if (step.kind == "conv") convolution(call, step, buffers);
    if (step.kind == "sum") sum(call, step, buffers);
    if (step.kind == "maxpool") maximum_pooling(call, step, buffers);
    if (step.kind == "pool") pooling(call, step, buffers);
    if (step.kind == "head") head(call, step, buffers);
  }
}

}  // namespace network
