//===- numbers.h - what lanes compute with ----------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_AMDGPU_NUMBERS_H
#define ISTHMUS_SIM_GPU_AMDGPU_NUMBERS_H

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace isthmus::simgpu::amdgpu {

template <class To, class From> inline To bitcast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof(to));
  return to;
}

inline float halfToFloat(uint16_t h) {
  uint32_t sign = uint32_t(h & 0x8000) << 16, rest = h & 0x7fff;
  if (rest >= 0x7c00) // infinities and NaNs
    return bitcast<float>(sign | 0x7f800000 | (rest & 0x3ff) << 13);
  if (rest >= 0x400)
    return bitcast<float>(sign | ((rest << 13) + (112u << 23)));
  float small = float(rest) * 0x1p-24f;
  return sign ? -small : small;
}

/// `bits` bits of significand, exponents down to `low` (of the smallest normal
/// number); round to nearest even, once.
inline double roundTo(double x, int bits, int low) {
  if (x == 0 || !std::isfinite(x))
    return x;
  int e;
  std::frexp(x, &e);
  int quantum = std::max(e - 1, low) - (bits - 1);
  return std::ldexp(std::nearbyint(std::ldexp(x, -quantum)), quantum);
}

inline uint16_t doubleToHalf(double x) {
  uint64_t in = bitcast<uint64_t>(x);
  uint16_t sign = uint16_t(in >> 48 & 0x8000);
  if (std::isnan(x))
    return uint16_t(sign | 0x7e00 | (in >> 42 & 0x1ff));
  double magnitude = std::fabs(roundTo(x, 11, -14));
  if (magnitude >= 65536.0)
    return sign | 0x7c00;
  if (magnitude < 0x1p-14)
    return uint16_t(sign | uint16_t(magnitude * 0x1p24));
  uint64_t bits = bitcast<uint64_t>(magnitude);
  return uint16_t(sign | (((bits >> 52) - 1023 + 15) << 10) |
                  (bits >> 42 & 0x3ff));
}

inline float bfloatToFloat(uint16_t b) {
  return bitcast<float>(uint32_t(b) << 16);
}

inline uint16_t floatToBfloat(float x) {
  uint32_t bits = bitcast<uint32_t>(x);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return uint16_t(bits >> 16 | 0x40);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// a*b+c for a product that is exact in double, so that rounding the result to
/// a type of at most 51 bits rounds once: inexact sums end in a 1 bit.
inline double fmaOdd(double a, double b, double c) {
  double p = a * b, s = p + c;
  if (!std::isfinite(s))
    return s;
  double t = s - p, error = (p - (s - t)) + (c - t);
  uint64_t bits = bitcast<uint64_t>(s);
  if (error != 0 && !(bits & 1))
    bits += (error > 0) == (s > 0) ? 1 : -1;
  return bitcast<double>(bits);
}

/// A half, and what of it is arithmetic: computed wider, rounded when written.
struct Half {
  double v;
  operator double() const { return v; }
};
/// A bfloat.
struct Bfloat {
  float v;
  operator float() const { return v; }
};
/// An integer result that `clamp` saturates to the range of T.
template <class T> struct Clamped {
  int64_t v;
};

/// T of any float, without the traps of a C cast: NaN is 0, the rest saturates.
template <class To, class From> inline To saturate(From x) {
  if (!(x == x))
    return 0;
  // Both ends are exact in double for 32 bits.
  constexpr double low = double(std::numeric_limits<To>::min());
  constexpr double high = double(std::numeric_limits<To>::max());
  double v = double(x);
  return v <= low    ? std::numeric_limits<To>::min()
         : v >= high ? std::numeric_limits<To>::max()
                     : To(v);
}

inline float flush(float x) {
  uint32_t bits = bitcast<uint32_t>(x);
  return (bits & 0x7f800000) ? x : bitcast<float>(bits & 0x80000000);
}

template <class T> inline bool isSignaling(T x) {
  if constexpr (sizeof(T) == 4) {
    uint32_t b = bitcast<uint32_t>(x);
    return (b & 0x7fffffff) > 0x7f800000 && !(b & 0x400000);
  } else {
    uint64_t b = bitcast<uint64_t>(x);
    return (b & ~(1ull << 63)) > 0x7ffull << 52 && !(b & 1ull << 51);
  }
}

/// minNum and maxNum of IEEE 754-2008, -0 below +0. A signaling NaN becomes
/// quiet, and wins where the wave's IEEE mode says so; nothing here makes one.
template <class T> inline T minNum(T a, T b) {
  if (std::isnan(a))
    return std::isnan(b) ? a + b : b;
  if (std::isnan(b))
    return a;
  if (a == b)
    return std::signbit(a) ? a : b;
  return a < b ? a : b;
}
template <class T> inline T maxNum(T a, T b) {
  if (std::isnan(a))
    return std::isnan(b) ? a + b : b;
  if (std::isnan(b))
    return a;
  if (a == b)
    return std::signbit(a) ? b : a;
  return a > b ? a : b;
}
/// IEEE 754-2019: a NaN wins.
template <class T> inline T minimum(T a, T b) {
  return std::isnan(a) || std::isnan(b) ? a + b : minNum(a, b);
}
template <class T> inline T maximum(T a, T b) {
  return std::isnan(a) || std::isnan(b) ? a + b : maxNum(a, b);
}

} // namespace isthmus::simgpu::amdgpu

#endif // ISTHMUS_SIM_GPU_AMDGPU_NUMBERS_H
