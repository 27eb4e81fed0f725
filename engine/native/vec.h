// Vectors of sixteen floats, from which all kernels here are built.
//
// A `vec` is one AVX-512 register, two AVX registers, or four of SSE or NEON. Feature maps have
// shape (batch, height, width, channels), so the sixteen floats are adjacent channels of one pixel.
#pragma once
#include <cstring>

constexpr int LANES = 16;

// Two vectors with the arithmetic of one of twice the length. The compilers have such vectors, too,
// but GCC keeps those that are longer than a register in memory.
template <class Half>
struct Pair {
  Half low, high;
};
template <class Half>
inline Pair<Half> operator+(const Pair<Half>& a, const Pair<Half>& b) {
  return {a.low + b.low, a.high + b.high};
}
template <class Half>
inline Pair<Half> operator-(const Pair<Half>& a, const Pair<Half>& b) {
  return {a.low - b.low, a.high - b.high};
}
template <class Half>
inline Pair<Half> operator*(const Pair<Half>& a, const Pair<Half>& b) {
  return {a.low * b.low, a.high * b.high};
}
template <class Half>
inline Pair<Half> operator*(float a, const Pair<Half>& b) {
  return {a * b.low, a * b.high};
}
template <class Half>
inline Pair<Half> operator/(const Pair<Half>& a, float b) {
  return {a.low / b, a.high / b};
}
template <class Half>
inline Pair<Half>& operator+=(Pair<Half>& a, const Pair<Half>& b) {
  return a = a + b;
}

#if defined(__AVX512F__)
typedef float Register __attribute__((vector_size(64)));
typedef Register vec;
#elif defined(__AVX__)
typedef float Register __attribute__((vector_size(32)));
typedef Pair<Register> vec;
#else
typedef float Register __attribute__((vector_size(16)));
typedef Pair<Pair<Register> > vec;
#endif

// Pairs are read and written half by half, or GCC would copy them through memory.
inline void read(Register& v, const float* p) { std::memcpy(&v, p, sizeof v); }
inline void store(float* p, const Register& v) { std::memcpy(p, &v, sizeof v); }
template <class Half>
inline void read(Pair<Half>& v, const float* p) {
  read(v.low, p);
  read(v.high, p + sizeof(Half) / sizeof(float));
}
template <class Half>
inline void store(float* p, const Pair<Half>& v) {
  store(p, v.low);
  store(p + sizeof(Half) / sizeof(float), v.high);
}
inline vec load(const float* p) {
  vec v;
  read(v, p);
  return v;
}

// Add the sixteen floats of v to doubles.
inline void add(const vec& v, double* sums) {
  float lanes[LANES];
  store(lanes, v);
  for (int i = 0; i < LANES; i++) sums[i] += lanes[i];
}

// x in every lane. It is x - 0 and not 0 + x, which is another number if x is -0: the compiler
// would have to add.
inline void fill(Register& v, float x) { v = x - Register{}; }
template <class Half>
inline void fill(Pair<Half>& v, float x) {
  fill(v.low, x);
  v.high = v.low;
}
inline vec splat(float x) {
  vec v;
  fill(v, x);
  return v;
}

// v where it is not below zero, else 0. A NaN is not below zero.
inline Register relu(const Register& v) { return v < 0.0f ? Register{} : v; }
template <class Half>
inline Pair<Half> relu(const Pair<Half>& v) {
  return {relu(v.low), relu(v.high)};
}

// The larger of a and b, lane by lane, and b where one of them is a NaN.
inline Register maximum(const Register& a, const Register& b) { return a > b ? a : b; }
template <class Half>
inline Pair<Half> maximum(const Pair<Half>& a, const Pair<Half>& b) {
  return {maximum(a.low, b.low), maximum(a.high, b.high)};
}

// g, the gradient of relu's output y, where y is not 0, else 0.
inline Register relu_gradient(const Register& g, const Register& y) {
  return y <= 0.0f ? Register{} : g;
}
template <class Half>
inline Pair<Half> relu_gradient(const Pair<Half>& g, const Pair<Half>& y) {
  return {relu_gradient(g.low, y.low), relu_gradient(g.high, y.high)};
}
