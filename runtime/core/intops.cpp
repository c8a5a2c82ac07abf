//===- intops.cpp - device values as integers -----------------------------===//
#include "intops.h"

#include <cstdio>

using namespace isthmus;

namespace {

float asFloat(uint32_t bits) {
  float v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

/// Subnormals become 0, which is what rounding makes of them anyway.
float halfAsFloat(uint32_t h) {
  uint32_t exponent = h >> 10 & 31, mantissa = (h & 1023) << 13;
  uint32_t sign = (h & 0x8000) << 16;
  if (exponent == 0)
    return 0;
  return asFloat(sign | mantissa |
                 (exponent == 31 ? 0x7f800000 : (exponent + 112) << 23));
}

} // namespace

bool isthmus::decodeInteger(fb::DType type, const void *p, int64_t *out,
                            char *what, size_t size) {
  // The bytes not read stay 0: this runs on little-endian machines only.
  static const uint8_t widths[] = {4, 8, 2, 2, 1, 2, 4, 8, 1, 2, 4, 8, 1};
  uint64_t raw = 0;
  std::memcpy(&raw, p, widths[static_cast<unsigned>(type)]);
  double v = 0;
  switch (type) {
  case fb::DType::i8:
    *out = static_cast<int8_t>(raw);
    return true;
  case fb::DType::i16:
    *out = static_cast<int16_t>(raw);
    return true;
  case fb::DType::i32:
    *out = static_cast<int32_t>(raw);
    return true;
  case fb::DType::i1:
    *out = raw != 0;
    return true;
  case fb::DType::i64:
  case fb::DType::u8:
  case fb::DType::u16:
  case fb::DType::u32:
    *out = static_cast<int64_t>(raw);
    return true;
  case fb::DType::u64:
    if (raw <= INT64_MAX) {
      *out = static_cast<int64_t>(raw);
      return true;
    }
    std::snprintf(what, size, "%llu, which is too large,",
                  static_cast<unsigned long long>(raw));
    return false;
  case fb::DType::f64:
    std::memcpy(&v, &raw, sizeof v);
    break;
  case fb::DType::f32:
    v = asFloat(static_cast<uint32_t>(raw));
    break;
  case fb::DType::f16:
    v = halfAsFloat(static_cast<uint32_t>(raw));
    break;
  case fb::DType::bf16:
    v = asFloat(static_cast<uint32_t>(raw) << 16);
    break;
  }
  // False for NaN too. 2^63 is the first double that does not fit.
  if (v > -9223372036854775808.0 && v < 9223372036854775808.0) {
    *out = static_cast<int64_t>(v);
    return true;
  }
  std::snprintf(what, size, "%g, which is not an integer,", v);
  return false;
}
