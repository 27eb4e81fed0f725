// The kernels as MXNet operators, for single precision on the CPU. graphs/native_graph.py replaces
// a network's operators by them. Feature maps have shape (batch, height, width, channels).
//
// The functions of an operator are called ..._arity (the numbers of its inputs and outputs),
// ..._shapes and ..._forward; some have ..._backward, and ..._mutated (the inputs that it changes).
//
// _dfn_convolution(data, weight[, link_in]) -> output, moments[, link_out]
//   A convolution without bias, and the statistics of its output.
//   data: (batch, height, width, inputs); weight: (outputs, inputs, k, k); output: (batch, height',
//   width', outputs); moments: (2, outputs), each channel's mean and biased variance, for the
//   BatchNorm that follows.
//   Attributes: kernel, stride, outputs; moments (0: do not compute them); data_gradient (0: do not
//   compute the gradient of data); link_in and link_out (1: the link exists).
//
//   Links accumulate the gradient of a feature map that several operators read. MXNet would add up
//   the readers' gradients in an operator of its own. Instead the convolutions among the readers
//   form a chain. A link has the shape of the map and carries a gradient alone: nothing is written
//   to it or read from it in the forward pass. An operator with a link_in writes the gradient of
//   its data there instead of to data; the operator whose link_out it is adds what arrives to its
//   own gradient of data.
//
// _dfn_combine(inputs of the terms...) -> outputs...
//   An output is relu(sum of terms).
//   Attributes: terms, a comma-separated list in which S is a number: "map*S" is S times a feature
//   map (input: map), "linked*S" the same with a link (inputs: map, link_in), "bn*S" is S times the
//   BatchNorm of a convolution's output (inputs: output, moments, gamma, beta, moving_mean,
//   moving_var); outputs: their number n; if it is more than 1, each of the last n terms belongs to
//   one output, and all outputs share the terms before; relu (0: none); train (1: normalise with
//   the moments and update the moving statistics, 0: normalise with the moving statistics); eps;
//   momentum.
//
// _dfn_pool(data) -> output
//   Global average pooling. output: (batch, channels).
//
// _dfn_max_pool(data) -> output, for inference
//   Maximum pooling with a padding of half the kernel.
//   Attributes: kernel, stride.
//
// _dfn_folded_convolution(data, weight, bias, maps...) -> output, for inference
//   relu(scale * (convolution + bias) + sum of the maps, each times its factor).
//   Attributes: kernel, stride, outputs, scale, relu; maps, a comma-separated list of the factors;
//   normalised (1: scale * BatchNorm(convolution) instead, the inputs after weight being gamma,
//   beta, moving_mean and moving_var); eps of the BatchNorm.
//   The weights are (outputs, inputs, k, k), or what _dfn_prepared_weights returned.
//
// _dfn_prepared_weights(weight) -> prepared
//   The weights of a convolution as its kernel reads them, in one dimension. For inference they are
//   made once and not at each call.
//   Attributes: kernel, stride, outputs, inputs, height and width.
//
// _dfn_network(data, parameters...) -> probabilities..., for inference
//   A folded network, see network.h.
//   data: (batch, channels, height, width); probabilities, of each head: (batch, classes).
//   Attributes: plan; inputs, their number; classes, a comma-separated list with the number for
//   each output.
//
// _dfn_nesterov(weights..., gradients..., velocities...) -> a number without meaning
//   Updates weights and velocities in place, see update.h.
//   Attributes: lr, momentum, decay, rescale; tensors, the number of weights.
#include <sstream>
#include <string>
#include <type_traits>
#include "mxnet/lib_api.h"
#include "winograd.h"
#include "winograd_gradients.h"
#include "direct.h"
#include "combine.h"
#include "network.h"
#include "pool.h"
#include "update.h"
#include "peak.h"

using namespace mxnet::ext;
typedef std::unordered_map<std::string, std::string> Attributes;
typedef std::vector<std::vector<unsigned>> Shapes;

static long integer(const Attributes& attrs, const char* name) { return std::stol(attrs.at(name)); }
// Not std::stof, which throws not only for a number that is too large for a float but also for one
// that is too small.
static float number(const std::string& text) { return float(std::strtod(text.c_str(), nullptr)); }
static float real(const Attributes& attrs, const char* name) { return number(attrs.at(name)); }

static std::vector<std::string> list(const Attributes& attrs, const char* name) {
  std::vector<std::string> items;
  std::stringstream text(attrs.at(name));
  for (std::string item; std::getline(text, item, ',');) items.push_back(item);
  return items;
}

static MXReturnValue all_float(const Attributes&, std::vector<int>* in, std::vector<int>* out) {
  in->assign(in->size(), kFloat32);
  out->assign(out->size(), kFloat32);
  return MX_SUCCESS;
}

static MXReturnValue all_dense(const Attributes&, std::vector<int>* in, std::vector<int>* out) {
  in->assign(in->size(), kDefaultStorage);
  out->assign(out->size(), kDefaultStorage);
  return MX_SUCCESS;
}

static MXReturnValue refuse(const char* why) {
  MX_ERROR_MSG << why;
  return MX_FAIL;
}

// _dfn_convolution

static MXReturnValue convolution_arity(const Attributes& attrs, int* in, int* out) {
  *in = 2 + integer(attrs, "link_in");
  *out = 2 + integer(attrs, "link_out");
  return MX_SUCCESS;
}

static direct::Shape convolution_shape(const Attributes& attrs, long n, long h, long w,
                                       long inputs) {
  return {n,
          h,
          w,
          inputs,
          integer(attrs, "outputs"),
          integer(attrs, "kernel"),
          integer(attrs, "stride")};
}

static MXReturnValue convolution_shapes(const Attributes& attrs, Shapes* in, Shapes* out) {
  const auto& data = in->at(0);
  if (data.size() != 4) return refuse("the data must be (batch, height, width, channels)");
  auto s = convolution_shape(attrs, data[0], data[1], data[2], data[3]);
  if (s.outputs % LANES) return refuse("the number of output channels must be a multiple of 16");
  out->at(0) = {data[0], unsigned(s.out_height()), unsigned(s.out_width()), unsigned(s.outputs)};
  out->at(1) = {2, unsigned(s.outputs)};
  if (out->size() > 2) out->at(2) = data;
  return MX_SUCCESS;
}

static bool by_winograd(const direct::Shape& s) {
  return winograd::fits(s.kernel, s.stride, s.height, s.width, s.inputs);
}

static direct::Shape shape_of(const Attributes& attrs, const MXTensor& data) {
  return convolution_shape(attrs, data.shape[0], data.shape[1], data.shape[2], data.shape[3]);
}

// Winograd's algorithm where the shape allows it, otherwise direct convolution. sums and epilogue
// may be null.
static void convolve(const direct::Shape& s, const float* x, const float* w, float* y, double* sums,
                     const Epilogue* epilogue) {
  if (by_winograd(s))
    winograd::convolve(x, w, y, {s.batch, s.height, s.width}, s.outputs, s.inputs, sums, epilogue);
  else
    direct::convolve(x, w, y, s, sums, epilogue);
}

static MXReturnValue convolution_forward(const Attributes& attrs, std::vector<MXTensor>* in,
                                         std::vector<MXTensor>* out, const OpResource&) {
  auto s = shape_of(attrs, in->at(0));
  const float *x = in->at(0).data<float>(), *w = in->at(1).data<float>();
  float *y = out->at(0).data<float>(), *moments = out->at(1).data<float>();
  bool wanted = integer(attrs, "moments");
  std::vector<double> sums(wanted ? threads() * 2 * s.outputs : 0, 0.0);
  convolve(s, x, w, y, wanted ? sums.data() : nullptr, nullptr);
  double pixels = double(s.batch) * s.out_height() * s.out_width();
  for (long c = 0; wanted && c < s.outputs; c++) {
    double sum = 0, squares = 0;
    for (int t = 0; t < threads(); t++) {
      sum += sums[t * 2 * s.outputs + c];
      squares += sums[(t * 2 + 1) * s.outputs + c];
    }
    moments[c] = sum / pixels;
    // std::max returns its first argument if that is NaN: divergence stays visible.
    moments[s.outputs + c] = std::max(squares / pixels - sum / pixels * (sum / pixels), 0.0);
  }
  return MX_SUCCESS;
}

static MXReturnValue convolution_backward(const Attributes& attrs, std::vector<MXTensor>* in,
                                          std::vector<MXTensor>* out, const OpResource&) {
  // in: the gradients of output, moments and link_out; then data, weight and link_in; then the
  // outputs. out: the gradients of data, weight and link_in. The gradient of moments is not used:
  // combine::backward has already included it in that of the output.
  bool link_out = integer(attrs, "link_out"), link_in = integer(attrs, "link_in");
  MXTensor &data = in->at(2 + link_out), &weight = in->at(3 + link_out);
  auto s = shape_of(attrs, data);
  const float *dy = in->at(0).data<float>(), *x = data.data<float>(), *w = weight.data<float>();
  const float* extra = link_out ? in->at(2).data<float>() : nullptr;
  float *dx = out->at(link_in ? 2 : 0).data<float>(), *dw = out->at(1).data<float>();
  bool wanted = integer(attrs, "data_gradient");
  if (wanted && s.inputs % LANES)
    return refuse("the gradient needs a multiple of 16 input channels");
  winograd::Maps maps{s.batch, s.height, s.width};
  if (by_winograd(s)) {
    Epilogue epilogue{scaled(s.inputs, 1.0f), false, {{extra, 1.0f}}};
    winograd::Channels channels{s.inputs, s.outputs};
    if (wanted)
      winograd::gradients(x, dy, w, dw, maps, channels, dx, extra ? &epilogue : nullptr);
    else
      winograd::weight_gradients(x, dy, dw, maps, channels, nullptr);
  } else {
    if (wanted) direct::data_gradients(dy, w, dx, s, extra);
    direct::weight_gradients(x, dy, dw, s);
  }
  return MX_SUCCESS;
}

REGISTER_OP(_dfn_convolution)
    .setForward(convolution_forward, "cpu")
    .setBackward(convolution_backward, "cpu")
    .setParseAttrs(convolution_arity)
    .setInferType(all_float)
    .setInferSType(all_dense)
    .setInferShape(convolution_shapes);

// _dfn_prepared_weights

static MXReturnValue prepared_arity(const Attributes&, int* in, int* out) {
  *in = *out = 1;
  return MX_SUCCESS;
}

static direct::Shape prepared_for(const Attributes& attrs) {
  return convolution_shape(attrs, 1, integer(attrs, "height"), integer(attrs, "width"),
                           integer(attrs, "inputs"));
}

static MXReturnValue prepared_shapes(const Attributes& attrs, Shapes*, Shapes* out) {
  auto s = prepared_for(attrs);
  out->at(0) = {unsigned(by_winograd(s) ? winograd::transformed(s.inputs, s.outputs)
                                        : direct::packed_floats(s))};
  return MX_SUCCESS;
}

static MXReturnValue prepared_forward(const Attributes& attrs, std::vector<MXTensor>* in,
                                      std::vector<MXTensor>* out, const OpResource&) {
  auto s = prepared_for(attrs);
  const float* w = in->at(0).data<float>();
  float* prepared = out->at(0).data<float>();
  std::memset(prepared, 0, out->at(0).size() * sizeof(float));
  if (by_winograd(s))
    winograd::transform_weights(w, s.outputs, s.inputs, false, prepared);
  else
    direct::pack_weights(w, s, prepared);
  return MX_SUCCESS;
}

REGISTER_OP(_dfn_prepared_weights)
    .setForward(prepared_forward, "cpu")
    .setParseAttrs(prepared_arity)
    .setInferType(all_float)
    .setInferSType(all_dense)
    .setInferShape(prepared_shapes);

// _dfn_folded_convolution

// The inputs before the maps: with a bias, and with a BatchNorm.
enum { DATA, WEIGHT, BIAS, END_OF_BIASED };
enum { BN_GAMMA = WEIGHT + 1, BN_BETA, BN_MEAN, BN_VARIANCE, END_OF_NORMALISED };

static int first_map(const Attributes& attrs) {
  return integer(attrs, "normalised") ? int(END_OF_NORMALISED) : int(END_OF_BIASED);
}

static MXReturnValue folded_arity(const Attributes& attrs, int* in, int* out) {
  *in = first_map(attrs) + list(attrs, "maps").size();
  *out = 1;
  return MX_SUCCESS;
}

// The moving statistics are declared to be changed, which they are not, or MXNet would take them
// for arguments and not for auxiliary states.
static MXReturnValue folded_mutated(const Attributes& attrs, std::vector<int>* indices) {
  if (integer(attrs, "normalised")) *indices = {BN_MEAN, BN_VARIANCE};
  return MX_SUCCESS;
}

static MXReturnValue folded_shapes(const Attributes& attrs, Shapes* in, Shapes* out) {
  Shapes both(2);
  auto result = convolution_shapes(attrs, in, &both);
  for (size_t i = first_map(attrs); result && i < in->size(); i++)
    if (in->at(i) != both[0]) return refuse("the maps must have the output's shape");
  out->at(0) = both[0];
  return result;
}

static Epilogue epilogue_of(const Attributes& attrs, std::vector<MXTensor>* in, long channels) {
  auto input = [&](int which) { return in->at(which).data<float>(); };
  float scale = real(attrs, "scale");
  Affine affine = integer(attrs, "normalised")
                      ? normalised({input(BN_GAMMA), input(BN_BETA), input(BN_MEAN),
                                    input(BN_VARIANCE), real(attrs, "eps")},
                                   channels, scale)
                      : biased(input(BIAS), channels, scale);
  Epilogue result{affine, integer(attrs, "relu") != 0, {}};
  int at = first_map(attrs);
  for (const auto& factor : list(attrs, "maps"))
    result.maps.push_back({input(at++), number(factor)});
  return result;
}

static MXReturnValue folded_forward(const Attributes& attrs, std::vector<MXTensor>* in,
                                    std::vector<MXTensor>* out, const OpResource&) {
  auto s = shape_of(attrs, in->at(DATA));
  auto epilogue = epilogue_of(attrs, in, s.outputs);
  const float *x = in->at(DATA).data<float>(), *w = in->at(WEIGHT).data<float>();
  float* y = out->at(0).data<float>();
  if (in->at(WEIGHT).shape.size() > 1)
    convolve(s, x, w, y, nullptr, &epilogue);
  else
    network::convolve_prepared(s, x, w, y, epilogue);
  return MX_SUCCESS;
}

REGISTER_OP(_dfn_folded_convolution)
    .setForward(folded_forward, "cpu")
    .setParseAttrs(folded_arity)
    .setInferType(all_float)
    .setInferSType(all_dense)
    .setInferShape(folded_shapes)
    .setMutateInputs(folded_mutated);

// _dfn_combine

// The inputs of a BatchNorm's term, and of a linked term, in their order.
enum { X, MOMENTS, GAMMA, BETA, MOVING_MEAN, MOVING_VARIANCE, INPUTS_OF_BN };
enum { LINK_IN = X + 1 };

// A term as the attribute describes it. at: the number of its first input among the inputs of the
// operator.
struct TermInputs {
  bool normalised, linked;
  float scale;
  int at;
  int inputs() const { return normalised ? INPUTS_OF_BN : 1 + linked; }
};

static std::vector<TermInputs> layout(const Attributes& attrs) {
  std::vector<TermInputs> result;
  int at = 0;
  for (const auto& term : list(attrs, "terms")) {
    auto star = term.find('*');
    auto kind = term.substr(0, star);
    result.push_back({kind == "bn", kind == "linked", number(term.substr(star + 1)), at});
    at += result.back().inputs();
  }
  return result;
}

static MXReturnValue combine_arity(const Attributes& attrs, int* in, int* out) {
  *in = 0;
  for (const auto& term : layout(attrs)) *in += term.inputs();
  *out = integer(attrs, "outputs");
  return MX_SUCCESS;
}

// The inputs that the operator changes: the moving statistics.
static MXReturnValue combine_mutated(const Attributes& attrs, std::vector<int>* indices) {
  for (const auto& term : layout(attrs))
    if (term.normalised)
      indices->insert(indices->end(), {term.at + MOVING_MEAN, term.at + MOVING_VARIANCE});
  return MX_SUCCESS;
}

static MXReturnValue combine_shapes(const Attributes& attrs, Shapes* in, Shapes* out) {
  const auto shape = in->at(0);
  for (const auto& term : layout(attrs))
    if (in->at(term.at) != shape) return refuse("the terms must have one shape");
  if (shape.size() != 4 || shape[3] % LANES)
    return refuse("the channels must be last and a multiple of 16");
  out->assign(out->size(), shape);
  return MX_SUCCESS;
}

// The terms of a call; in[first] is the first term's first input.
static std::vector<combine::Term> terms_of(const Attributes& attrs,
                                           const std::vector<TermInputs>& layout,
                                           std::vector<MXTensor>* in, int first) {
  std::vector<combine::Term> terms;
  bool train = integer(attrs, "train");
  for (const auto& from : layout) {
    auto input = [&](int which) -> MXTensor& { return in->at(first + from.at + which); };
    combine::Term term{};
    term.x = input(X).data<float>();
    term.scale = from.scale;
    if (from.normalised) {
      const float* moments = input(MOMENTS).data<float>();
      term.gamma = input(GAMMA).data<float>();
      term.beta = input(BETA).data<float>();
      term.mean = train ? moments : input(MOVING_MEAN).data<float>();
      term.variance =
          train ? moments + input(MOMENTS).shape[1] : input(MOVING_VARIANCE).data<float>();
    }
    terms.push_back(term);
  }
  return terms;
}

static combine::Options options_of(const Attributes& attrs, const MXTensor& map) {
  return {map.shape[0] * map.shape[1] * map.shape[2], map.shape[3], real(attrs, "eps"),
          integer(attrs, "relu") != 0};
}

// Update the moving mean and variance of each BatchNorm from the moments of its batch.
static void move_statistics(float momentum, const std::vector<TermInputs>& layout,
                            std::vector<MXTensor>* in) {
  for (const auto& term : layout) {
    if (!term.normalised) continue;
    MXTensor& moments = in->at(term.at + MOMENTS);
    const float* batch = moments.data<float>();
    long channels = moments.shape[1];
    for (int which = 0; which < 2; which++) {
      float* moving = in->at(term.at + MOVING_MEAN + which).data<float>();
      for (long c = 0; c < channels; c++)
        moving[c] = momentum * moving[c] + (1 - momentum) * batch[which * channels + c];
    }
  }
}

static MXReturnValue combine_forward(const Attributes& attrs, std::vector<MXTensor>* in,
                                     std::vector<MXTensor>* out, const OpResource&) {
  auto inputs = layout(attrs);
  auto terms = terms_of(attrs, inputs, in, 0);
  auto options = options_of(attrs, in->at(0));
  std::vector<combine::Output> outputs;
  for (auto& map : *out) outputs.push_back({map.data<float>(), nullptr});
  bool done = combine::with_counts(terms.size(), outputs.size(), [&](auto count, auto of) {
    combine::forward<decltype(count)::value, decltype(of)::value>(terms.data(), outputs.data(),
                                                                  options);
  });
  if (done && integer(attrs, "train")) move_statistics(real(attrs, "momentum"), inputs, in);
  return done ? MX_SUCCESS : refuse("too many terms or outputs");
}

static MXReturnValue combine_backward(const Attributes& attrs, std::vector<MXTensor>* in,
                                      std::vector<MXTensor>* out, const OpResource&) {
  // in: the gradients of the outputs, then the inputs of the forward pass, then the outputs. out:
  // the gradients of the inputs; nothing reads those of moments and moving statistics, so they are
  // not written.
  auto inputs = layout(attrs);
  int count = integer(attrs, "outputs");
  auto terms = terms_of(attrs, inputs, in, count);
  for (size_t i = 0; i < terms.size(); i++) {
    auto gradient = [&](int which) { return out->at(inputs[i].at + which).data<float>(); };
    terms[i].dx = gradient(inputs[i].linked ? LINK_IN : X);
    if (!inputs[i].normalised) continue;
    terms[i].dgamma = gradient(GAMMA);
    terms[i].dbeta = gradient(BETA);
  }
  std::vector<combine::Output> outputs;
  for (int i = 0; i < count; i++)
    outputs.push_back({in->at(in->size() - count + i).data<float>(), in->at(i).data<float>()});
  auto options = options_of(attrs, in->at(count));
  bool done = combine::with_counts(terms.size(), count, [&](auto count, auto of) {
    combine::backward<decltype(count)::value, decltype(of)::value>(terms.data(), outputs.data(),
                                                                   options);
  });
  return done ? MX_SUCCESS : refuse("too many terms or outputs");
}

REGISTER_OP(_dfn_combine)
    .setForward(combine_forward, "cpu")
    .setBackward(combine_backward, "cpu")
    .setParseAttrs(combine_arity)
    .setInferType(all_float)
    .setInferSType(all_dense)
    .setInferShape(combine_shapes)
    .setMutateInputs(combine_mutated);

// _dfn_pool

static MXReturnValue pool_arity(const Attributes&, int* in, int* out) {
  *in = *out = 1;
  return MX_SUCCESS;
}

static MXReturnValue pool_shapes(const Attributes&, Shapes* in, Shapes* out) {
  const auto& data = in->at(0);
  if (data.size() != 4 || data[3] % LANES)
    return refuse("the channels must be last and a multiple of 16");
  out->at(0) = {data[0], data[3]};
  return MX_SUCCESS;
}

static pool::Map pooled(const MXTensor& data) {
  return {data.shape[0], data.shape[1] * data.shape[2], data.shape[3]};
}

static MXReturnValue pool_forward(const Attributes&, std::vector<MXTensor>* in,
                                  std::vector<MXTensor>* out, const OpResource&) {
  pool::forward(in->at(0).data<float>(), pooled(in->at(0)), out->at(0).data<float>());
  return MX_SUCCESS;
}

static MXReturnValue pool_backward(const Attributes&, std::vector<MXTensor>* in,
                                   std::vector<MXTensor>* out, const OpResource&) {
  // in: the gradient of output, then data, then output.
  pool::backward(in->at(0).data<float>(), pooled(in->at(1)), out->at(0).data<float>());
  return MX_SUCCESS;
}

REGISTER_OP(_dfn_pool)
    .setForward(pool_forward, "cpu")
    .setBackward(pool_backward, "cpu")
    .setParseAttrs(pool_arity)
    .setInferType(all_float)
    .setInferSType(all_dense)
    .setInferShape(pool_shapes);

// _dfn_max_pool

template <class Size>
static direct::Shape windows_of(const Attributes& attrs, const Size& data) {
  return pool::windows({long(data[0]), long(data[1]), long(data[2]), long(data[3])},
                       integer(attrs, "kernel"), integer(attrs, "stride"));
}

static MXReturnValue max_pool_shapes(const Attributes& attrs, Shapes* in, Shapes* out) {
  const auto& data = in->at(0);
  if (data.size() != 4 || data[3] % LANES)
    return refuse("the channels must be last and a multiple of 16");
  auto s = windows_of(attrs, data);
  out->at(0) = {data[0], unsigned(s.out_height()), unsigned(s.out_width()), data[3]};
  return MX_SUCCESS;
}

static MXReturnValue max_pool_forward(const Attributes& attrs, std::vector<MXTensor>* in,
                                      std::vector<MXTensor>* out, const OpResource&) {
  pool::maximum(in->at(0).data<float>(), windows_of(attrs, in->at(0).shape),
                out->at(0).data<float>());
  return MX_SUCCESS;
}

REGISTER_OP(_dfn_max_pool)
    .setForward(max_pool_forward, "cpu")
    .setParseAttrs(pool_arity)
    .setInferType(all_float)
    .setInferSType(all_dense)
    .setInferShape(max_pool_shapes);

// _dfn_network

static MXReturnValue network_arity(const Attributes& attrs, int* in, int* out) {
  *in = integer(attrs, "inputs");
  *out = list(attrs, "classes").size();
  return MX_SUCCESS;
}

static MXReturnValue network_shapes(const Attributes& attrs, Shapes* in, Shapes* out) {
  if (in->at(0).size() != 4) return refuse("the images must be (batch, channels, height, width)");
  auto classes = list(attrs, "classes");
  for (size_t i = 0; i < classes.size(); i++)
    out->at(i) = {in->at(0)[0], unsigned(std::stoul(classes[i]))};
  return MX_SUCCESS;
}

static MXReturnValue network_forward(const Attributes& attrs, std::vector<MXTensor>* in,
                                     std::vector<MXTensor>* out, const OpResource&) {
  std::vector<const float*> inputs;
  std::vector<float*> results;
  for (auto& input : *in) inputs.push_back(input.data<float>());
  for (auto& output : *out) results.push_back(output.data<float>());
  const auto& images = in->at(0).shape;
  network::run(network::plan_of(attrs.at("plan")),
               {inputs, results, images[0], images[1], images[2], images[3]});
  return MX_SUCCESS;
}

REGISTER_OP(_dfn_network)
    .setForward(network_forward, "cpu")
    .setParseAttrs(network_arity)
    .setInferType(all_float)
    .setInferSType(all_dense)
    .setInferShape(network_shapes);

// _dfn_nesterov

static MXReturnValue nesterov_arity(const Attributes& attrs, int* in, int* out) {
  *in = 3 * integer(attrs, "tensors");
  *out = 1;
  return MX_SUCCESS;
}

// The inputs that the operator changes: weights and velocities.
static MXReturnValue nesterov_mutated(const Attributes& attrs, std::vector<int>* indices) {
  int tensors = integer(attrs, "tensors");
  for (int i = 0; i < tensors; i++) indices->insert(indices->end(), {i, 2 * tensors + i});
  return MX_SUCCESS;
}

static MXReturnValue nesterov_shapes(const Attributes&, Shapes*, Shapes* out) {
  out->at(0) = {1};
  return MX_SUCCESS;
}

static MXReturnValue nesterov_forward(const Attributes& attrs, std::vector<MXTensor>* in,
                                      std::vector<MXTensor>*, const OpResource&) {
  size_t count = integer(attrs, "tensors");
  std::vector<update::Tensor> tensors;
  for (size_t i = 0; i < count; i++)
    tensors.push_back({in->at(i).data<float>(), in->at(count + i).data<float>(),
                       in->at(2 * count + i).data<float>(), long(in->at(i).size())});
  update::nesterov(tensors, {real(attrs, "lr"), real(attrs, "momentum"), real(attrs, "decay"),
                             real(attrs, "rescale")});
  return MX_SUCCESS;
}

REGISTER_OP(_dfn_nesterov)
    .setForward(nesterov_forward, "cpu")
    .setParseAttrs(nesterov_arity)
    .setInferType(all_float)
    .setInferSType(all_dense)
    .setInferShape(nesterov_shapes)
    .setMutateInputs(nesterov_mutated);

// Not an operator: benchmark.py calls it, see peak.h.
extern "C" double dfn_multiply_adds(long rounds) { return peak::multiply_adds(rounds); }

// MXNet calls this when it loads the library.
MXReturnValue initialize(int version) {
  return version >= 10700 ? MX_SUCCESS : refuse("these operators need MXNet 1.7 or newer");
}
