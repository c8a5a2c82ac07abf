//===- numbers.h - 16-bit floats ------------------------------------------===//
//
// PTX ISA 5.2.2 and 5.2.3: f16 is IEEE binary16; bf16 has 8 bits of exponent
// and 7 of mantissa. Both are rounded once from double, so what is exact in
// double (a sum, a product, a conversion) is rounded correctly.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_PTX_NUMBERS_H
#define ISTHMUS_SIM_GPU_PTX_NUMBERS_H

#include <cmath>
#include <cstdint>
#include <cstring>

namespace isthmus::simgpu::ptx {

template <typename To, typename From> inline To bitsAs(From from) {
  static_assert(sizeof(To) == sizeof(From), "");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

enum class Rounding : uint8_t { nearest, zero, down, up };

/// A float with `Mantissa` stored bits and `Exponent` bits, in 16 bits or less.
template <int Mantissa, int Exponent>
inline uint16_t narrow(double value, Rounding mode = Rounding::nearest) {
  const int bias = (1 << (Exponent - 1)) - 1;
  const uint64_t infinity = ((uint64_t(1) << Exponent) - 1) << Mantissa;
  auto bits = bitsAs<uint64_t>(value);
  auto sign = static_cast<uint16_t>(bits >> 63 << (Mantissa + Exponent));
  int e = static_cast<int>(bits >> 52 & 0x7ff);
  uint64_t f = bits & ((uint64_t(1) << 52) - 1);
  if (e == 0x7ff)
    return f ? 0x7fff : static_cast<uint16_t>(sign | infinity);
  bool away =
      (mode == Rounding::up && !sign) || (mode == Rounding::down && sign);
  if (e == 0) // far below the smallest of any such type
    return static_cast<uint16_t>(sign | (f && away));
  f |= uint64_t(1) << 52;
  int t = e - 1023 + bias, shift = 52 - Mantissa;
  if (t <= 0) {
    shift += 1 - t;
    t = 0;
  }
  if (shift > 62)
    return static_cast<uint16_t>(sign | away);
  uint64_t q = f >> shift, rest = f & ((uint64_t(1) << shift) - 1),
           half = uint64_t(1) << (shift - 1);
  if (mode == Rounding::nearest ? rest > half || (rest == half && (q & 1))
                                : rest && away)
    ++q;
  uint64_t r = t ? (static_cast<uint64_t>(t - 1) << Mantissa) + q : q;
  if (r >= infinity)
    r = mode == Rounding::nearest || away ? infinity : infinity - 1;
  return static_cast<uint16_t>(sign | r);
}

struct Half {
  uint16_t bits;
  static Half of(double v, Rounding mode = Rounding::nearest) {
    return {narrow<10, 5>(v, mode)};
  }
  float value() const {
    uint32_t s = uint32_t(bits & 0x8000) << 16, e = bits >> 10 & 31,
             m = bits & 0x3ff;
    if (e == 31)
      return bitsAs<float>(s | 0x7f800000 | m << 13);
    if (e)
      return bitsAs<float>(s | (e + 112) << 23 | m << 13);
    float f = static_cast<float>(m) * 0x1p-24f;
    return s ? -f : f;
  }
};

struct Bfloat {
  uint16_t bits;
  static Bfloat of(double v, Rounding mode = Rounding::nearest) {
    return {narrow<7, 8>(v, mode)};
  }
  float value() const { return bitsAs<float>(uint32_t(bits) << 16); }
};

/// a * b + c with one rounding to 16 bits: the product is exact in double;
/// where the sum is not, it is rounded to odd, which later rounding cannot see.
inline double fmaForNarrow(double a, double b, double c) {
  double p = a * b, s = p + c;
  if (!std::isfinite(s))
    return s;
  double t = s - p, error = (p - (s - t)) + (c - t); // Knuth's TwoSum
  if (error == 0)
    return s;
  auto bits = bitsAs<uint64_t>(s);
  if (bits & 1)
    return s;
  // Away from zero if the exact sum is larger in magnitude, else towards it.
  return bitsAs<double>((error > 0) == (s > 0) ? bits + 1 : bits - 1);
}

/// The nearest tf32, ties away from zero (cvt.rna.tf32.f32).
inline uint32_t toTf32(uint32_t f) {
  if ((f & 0x7f800000) == 0x7f800000)
    return f;
  return (f + 0x1000) & ~0x1fffu;
}

} // namespace isthmus::simgpu::ptx

#endif // ISTHMUS_SIM_GPU_PTX_NUMBERS_H
