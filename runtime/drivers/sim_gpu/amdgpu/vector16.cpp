//===- vector16.cpp - 16-bit vector arithmetic ----------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lanes.h"

using namespace isthmus::simgpu::amdgpu;

using u16 = uint16_t;
using i16 = int16_t;
using i32 = int32_t;
using i64 = int64_t;

static Half med3(Half a, Half b, Half c) {
  if (std::isnan(a.v) || std::isnan(b.v) || std::isnan(c.v))
    return {minNum(minNum(a.v, b.v), c.v)};
  double high = maxNum(maxNum(a.v, b.v), c.v);
  return {high == a.v   ? maxNum(b.v, c.v)
          : high == b.v ? maxNum(a.v, c.v)
                        : maxNum(a.v, b.v)};
}
template <class T> static T med3Int(T a, T b, T c) {
  T high = std::max(std::max(a, b), c);
  return high == a   ? std::max(b, c)
         : high == b ? std::max(a, c)
                     : std::max(a, b);
}

/// Products and sums that mix halves and f32: op_sel_hi says which operand is a
/// half, op_sel which half.
static void mixOperands(Wave &w, const Inst &i, float (*x)[kLanes]) {
  for (unsigned n = 0; n < 3; ++n) {
    const Operand &o = i.s[n];
    uint32_t temporary[kLanes];
    const uint32_t *p = words(w, i, n, 0, temporary);
    for (unsigned l = 0; l < w.size; ++l) {
      float v = o.halfHigh ? halfToFloat(u16(p[l])) : bitcast<float>(p[l]);
      if (o.abs)
        v = std::fabs(v);
      x[n][l] = o.neg ? -v : v;
    }
  }
}
static void mix32(Wave &w, const Inst &i) {
  float x[3][kLanes], d[kLanes];
  mixOperands(w, i, x);
  for (unsigned l = 0; l < w.size; ++l)
    d[l] = std::fmaf(x[0][l], x[1][l], x[2][l]);
  store(w, i, i.d[0], d);
}
template <unsigned Shift> static void mix16(Wave &w, const Inst &i) {
  float x[3][kLanes];
  mixOperands(w, i, x);
  uint32_t *to = w.row(i.d[0].index);
  const uint32_t *mask = w.execMask();
  for (unsigned l = 0; l < w.size; ++l) {
    double v = fmaOdd(x[0][l], x[1][l], x[2][l]);
    if (i.clamp)
      v = v > 0 ? std::min(v, 1.0) : 0;
    uint32_t bits = (to[l] & ~(0xffffu << Shift)) | uint32_t(doubleToHalf(v))
                                                        << Shift;
    to[l] = (bits & mask[l]) | (to[l] & ~mask[l]);
  }
}

void isthmus::simgpu::amdgpu::addVector16(OperationTable &t) {
  auto op = [&](const char *name, auto f, Flow flow = Flow::any) {
    t[name] = vectorOp(f, flow);
  };
  op("v_mov_b16", [](u16 a) { return a; }, Flow::copy);
  op("v_not_b16", [](u16 a) { return u16(~a); }, Flow::copy);
  op("v_and_b16", [](u16 a, u16 b) { return u16(a & b); }, Flow::bitAnd);
  op("v_or_b16", [](u16 a, u16 b) { return u16(a | b); }, Flow::bitOr);
  op("v_xor_b16", [](u16 a, u16 b) { return u16(a ^ b); }, Flow::bitXor);
  op(
      "v_lshlrev_b16", [](u16 a, u16 b) { return u16(b << (a & 15)); },
      Flow::shiftLeftRev);
  op(
      "v_lshrrev_b16", [](u16 a, u16 b) { return u16(b >> (a & 15)); },
      Flow::shiftRightRev);
  op("v_ashrrev_i16", [](u16 a, i16 b) { return i16(b >> (a & 15)); });
  op(
      "v_add_u16", [](u16 a, u16 b) { return Clamped<u16>{i64(a) + b}; },
      Flow::upward);
  op(
      "v_sub_u16", [](u16 a, u16 b) { return Clamped<u16>{i64(a) - b}; },
      Flow::upward);
  op("v_subrev_u16", [](u16 a, u16 b) { return Clamped<u16>{i64(b) - a}; });
  op("v_add_i16", [](i16 a, i16 b) { return Clamped<i16>{i64(a) + b}; });
  op("v_sub_i16", [](i16 a, i16 b) { return Clamped<i16>{i64(a) - b}; });
  op(
      "v_mul_lo_u16", [](u16 a, u16 b) { return u16(uint32_t(a) * b); },
      Flow::upward);
  op("v_mad_u16",
     [](u16 a, u16 b, u16 c) { return Clamped<u16>{i64(a) * b + c}; });
  op("v_mad_i16",
     [](i16 a, i16 b, i16 c) { return Clamped<i16>{i64(a) * b + c}; });
  op("v_min_u16", [](u16 a, u16 b) { return std::min(a, b); });
  op("v_max_u16", [](u16 a, u16 b) { return std::max(a, b); });
  op("v_min_i16", [](i16 a, i16 b) { return std::min(a, b); });
  op("v_max_i16", [](i16 a, i16 b) { return std::max(a, b); });
  op("v_min3_u16",
     [](u16 a, u16 b, u16 c) { return std::min(std::min(a, b), c); });
  op("v_max3_u16",
     [](u16 a, u16 b, u16 c) { return std::max(std::max(a, b), c); });
  op("v_min3_i16",
     [](i16 a, i16 b, i16 c) { return std::min(std::min(a, b), c); });
  op("v_max3_i16",
     [](i16 a, i16 b, i16 c) { return std::max(std::max(a, b), c); });
  op("v_med3_u16", [](u16 a, u16 b, u16 c) { return med3Int(a, b, c); });
  op("v_med3_i16", [](i16 a, i16 b, i16 c) { return med3Int(a, b, c); });

  op("v_add_f16", [](Half a, Half b) { return Half{a.v + b.v}; });
  op("v_sub_f16", [](Half a, Half b) { return Half{a.v - b.v}; });
  op("v_subrev_f16", [](Half a, Half b) { return Half{b.v - a.v}; });
  op("v_mul_f16", [](Half a, Half b) { return Half{a.v * b.v}; });
  op("v_fma_f16", [](Half a, Half b, Half c) { return Half{fmaOdd(a, b, c)}; });
  t["v_fmaak_f16"] = t["v_fmamk_f16"] = t["v_fmac_f16"] = t["v_fma_f16"];
  t["v_fmac_f16"].shape.tied = true;
  op("v_min_f16", [](Half a, Half b) { return Half{minNum(a.v, b.v)}; });
  op("v_max_f16", [](Half a, Half b) { return Half{maxNum(a.v, b.v)}; });
  op("v_minimum_f16", [](Half a, Half b) { return Half{minimum(a.v, b.v)}; });
  op("v_maximum_f16", [](Half a, Half b) { return Half{maximum(a.v, b.v)}; });
  op("v_min3_f16", [](Half a, Half b, Half c) {
    return Half{minNum(minNum(a.v, b.v), c.v)};
  });
  op("v_max3_f16", [](Half a, Half b, Half c) {
    return Half{maxNum(maxNum(a.v, b.v), c.v)};
  });
  op("v_med3_f16", [](Half a, Half b, Half c) { return med3(a, b, c); });
  op("v_floor_f16", [](Half a) { return Half{std::floor(a.v)}; });
  op("v_ceil_f16", [](Half a) { return Half{std::ceil(a.v)}; });
  op("v_trunc_f16", [](Half a) { return Half{std::trunc(a.v)}; });
  op("v_rndne_f16", [](Half a) { return Half{std::nearbyint(a.v)}; });
  op("v_fract_f16",
     [](Half a) { return Half{std::min(a.v - std::floor(a.v), 0x1.ffcp-1)}; });
  op("v_ldexp_f16", [](Half a, i16 b) { return Half{std::ldexp(a.v, b)}; });
  op("v_frexp_mant_f16", [](Half a) {
    int e;
    return std::isfinite(a.v) ? Half{std::frexp(a.v, &e)} : a;
  });
  op("v_frexp_exp_i16_f16", [](Half a) {
    int e = 0;
    if (std::isfinite(a.v))
      std::frexp(a.v, &e);
    return i16(e);
  });
  op("v_rcp_f16", [](Half a) { return Half{1.0 / a.v}; });
  op("v_rsq_f16", [](Half a) { return Half{1.0 / std::sqrt(a.v)}; });
  op("v_sqrt_f16", [](Half a) { return Half{std::sqrt(a.v)}; });
  op("v_exp_f16", [](Half a) { return Half{std::exp2(a.v)}; });
  op("v_log_f16", [](Half a) { return Half{std::log2(a.v)}; });
  op("v_sin_f16", [](Half a) {
    return Half{std::sin(6.283185307179586 * (a.v - std::floor(a.v)))};
  });
  op("v_cos_f16", [](Half a) {
    return Half{std::cos(6.283185307179586 * (a.v - std::floor(a.v)))};
  });
  op("v_div_fixup_f16", [](Half q, Half d, Half n) {
    if (std::isnan(n.v) || std::isnan(d.v))
      return Half{n.v + d.v};
    bool sign = std::signbit(d.v) != std::signbit(n.v);
    if ((d.v == 0 && n.v == 0) || (std::isinf(d.v) && std::isinf(n.v)))
      return Half{-std::numeric_limits<double>::quiet_NaN()};
    double r = d.v == 0 || std::isinf(n.v)   ? HUGE_VAL
               : std::isinf(d.v) || n.v == 0 ? 0.0
                                             : std::fabs(q.v);
    return Half{sign ? -r : r};
  });

  // As before gfx9: the high half is cleared.
  t["v_mad_legacy_u16"] = t["v_mad_u16"];
  t["v_mad_legacy_i16"] = t["v_mad_i16"];
  t["v_fma_legacy_f16"] = t["v_fma_f16"];
  t["v_div_fixup_legacy_f16"] = t["v_div_fixup_f16"];

  // Each operand is f32 or either half.
  op("v_fma_mix_f32", [](float, float, float) { return 0.0f; });
  t["v_fma_mixlo_f16"] = t["v_fma_mixhi_f16"] = t["v_fma_mix_f32"];
  t["v_fma_mix_f32"].run = mix32;
  t["v_fma_mixlo_f16"].run = mix16<0>;
  t["v_fma_mixhi_f16"].run = mix16<16>;
}
