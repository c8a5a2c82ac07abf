//===- vector_convert.cpp - conversions of vector operations --------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lanes.h"

using namespace isthmus::simgpu::amdgpu;

using u32 = uint32_t;
using i32 = int32_t;
using u16 = uint16_t;

/// Toward zero, as V_CVT_PKRTZ does.
static u16 halfTowardZero(float x) {
  u16 h = doubleToHalf(x);
  if (std::isfinite(x) && std::fabs(halfToFloat(h)) > std::fabs(x))
    --h;
  return h;
}

static u32 pack(u16 low, u16 high) { return u32(high) << 16 | low; }

void isthmus::simgpu::amdgpu::addVectorConvert(OperationTable &t) {
  auto op = [&](const char *name, auto f, Flow flow = Flow::any) {
    t[name] = vectorOp(f, flow);
  };
  op("v_cvt_f32_i32", [](i32 a) { return float(a); });
  op("v_cvt_f32_u32", [](u32 a) { return float(a); });
  op("v_cvt_i32_f32", [](float a) { return saturate<i32>(a); });
  op("v_cvt_u32_f32", [](float a) { return saturate<u32>(a); });
  op("v_cvt_rpi_i32_f32",
     [](float a) { return saturate<i32>(std::floor(double(a) + 0.5)); });
  op("v_cvt_flr_i32_f32", [](float a) { return saturate<i32>(std::floor(a)); });
  t["v_cvt_nearest_i32_f32"] = t["v_cvt_rpi_i32_f32"];
  t["v_cvt_floor_i32_f32"] = t["v_cvt_flr_i32_f32"];
  op("v_cvt_f64_i32", [](i32 a) { return double(a); });
  op("v_cvt_f64_u32", [](u32 a) { return double(a); });
  op("v_cvt_i32_f64", [](double a) { return saturate<i32>(a); });
  op("v_cvt_u32_f64", [](double a) { return saturate<u32>(a); });
  op("v_cvt_f64_f32", [](float a) { return double(a); });
  op("v_cvt_f32_f64", [](double a) { return float(a); });
  op("v_cvt_f16_f32", [](float a) { return Half{a}; });
  op("v_cvt_f32_f16", [](Half a) { return float(a.v); });
  op("v_cvt_f16_u16", [](u16 a) { return Half{double(a)}; });
  op("v_cvt_f16_i16", [](int16_t a) { return Half{double(a)}; });
  op("v_cvt_u16_f16", [](Half a) { return saturate<u16>(a.v); });
  op("v_cvt_i16_f16", [](Half a) { return saturate<int16_t>(a.v); });
  op("v_cvt_i32_i16", [](int16_t a) { return i32(a); });
  op("v_cvt_u32_u16", [](u16 a) { return u32(a); });
  op("v_cvt_f32_ubyte0", [](u32 a) { return float(a & 0xff); }, Flow::byte0);
  op(
      "v_cvt_f32_ubyte1", [](u32 a) { return float(a >> 8 & 0xff); },
      Flow::byte1);
  op(
      "v_cvt_f32_ubyte2", [](u32 a) { return float(a >> 16 & 0xff); },
      Flow::byte2);
  op("v_cvt_f32_ubyte3", [](u32 a) { return float(a >> 24); }, Flow::byte3);
  op("v_cvt_pkrtz_f16_f32", [](float a, float b) {
    return pack(halfTowardZero(a), halfTowardZero(b));
  });
  op("v_cvt_pk_bf16_f32",
     [](float a, float b) { return pack(floatToBfloat(a), floatToBfloat(b)); });
  op("v_cvt_pk_f16_f32",
     [](float a, float b) { return pack(doubleToHalf(a), doubleToHalf(b)); });
  op("v_cvt_pk_i16_i32", [](i32 a, i32 b) {
    auto s = [](i32 x) {
      return u16(int16_t(std::min(std::max(x, -32768), 32767)));
    };
    return pack(s(a), s(b));
  });
  op("v_cvt_pk_u16_u32", [](u32 a, u32 b) {
    auto s = [](u32 x) { return u16(std::min(x, 65535u)); };
    return pack(s(a), s(b));
  });
  // f32 with four bytes: one of them replaced.
  op("v_cvt_pk_u8_f32", [](float a, u32 b, u32 c) {
    u32 at = 8 * (b & 3), byte = u32(saturate<uint8_t>(std::nearbyint(a)));
    return (c & ~(0xffu << at)) | byte << at;
  });
  op("v_pack_b32_f16", [](u16 a, u16 b) { return pack(a, b); });
}
