//===- vector32.cpp - 32-bit vector arithmetic --------------------------- ===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lanes.h"

using namespace isthmus::simgpu::amdgpu;

using u32 = uint32_t;
using i32 = int32_t;
using u64 = uint64_t;
using i64 = int64_t;

static i32 sext24(u32 x) { return i32(x << 8) >> 8; }

static float med3(float a, float b, float c) {
  if (std::isnan(a) || std::isnan(b) || std::isnan(c))
    return minNum(minNum(a, b), c);
  float high = maxNum(maxNum(a, b), c);
  return high == a ? maxNum(b, c) : high == b ? maxNum(a, c) : maxNum(a, b);
}
template <class T> static T med3Int(T a, T b, T c) {
  T high = std::max(std::max(a, b), c);
  return high == a   ? std::max(b, c)
         : high == b ? std::max(a, c)
                     : std::max(a, b);
}

static u32 perm(u32 a, u32 b, u32 select) {
  u64 data = u64(a) << 32 | b;
  u32 out = 0;
  for (unsigned k = 0; k < 4; ++k) {
    u32 c = select >> 8 * k & 0xff, byte;
    if (c < 8)
      byte = u32(data >> 8 * c & 0xff);
    else if (c < 12) // the sign of a 16-bit part
      byte = data >> (16 * (c - 8) + 15) & 1 ? 0xff : 0;
    else
      byte = c == 12 ? 0 : 0xff;
    out |= byte << 8 * k;
  }
  return out;
}

/// Multiplies and adds rows with the machine's own instruction where it has
/// one: a call of fma() per lane costs ten times as much.
#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void
fmaFast(const float *a, const float *b, const float *c, float *d, unsigned n) {
  for (unsigned l = 0; l < n; ++l)
    d[l] = __builtin_fmaf(a[l], b[l], c[l]);
}
#endif
static void fmaPlain(const float *a, const float *b, const float *c, float *d,
                     unsigned n) {
  for (unsigned l = 0; l < n; ++l)
    d[l] = std::fmaf(a[l], b[l], c[l]);
}
static void fma32(Wave &w, const Inst &i) {
  float a[kLanes], b[kLanes], c[kLanes], d[kLanes];
  fetch(w, i, 0, a);
  fetch(w, i, 1, b);
  fetch(w, i, 2, c);
#if defined(__x86_64__)
  static const bool fast = __builtin_cpu_supports("fma");
  fast ? fmaFast(a, b, c, d, w.size) : fmaPlain(a, b, c, d, w.size);
#else
  fmaPlain(a, b, c, d, w.size);
#endif
  store(w, i, i.d[0], d);
}
static Operation fmaOp(bool tied = false) {
  Operation o = vectorOp([](float, float, float) { return 0.0f; });
  o.run = fma32;
  o.shape.tied = tied;
  return o;
}
void isthmus::simgpu::amdgpu::addVector32(OperationTable &t) {
  auto op = [&](const char *name, auto f, Flow flow = Flow::any) {
    t[name] = vectorOp(f, flow);
  };
  op("v_mov_b32", [](u32 a) { return a; }, Flow::copy);
  t["v_accvgpr_read_b32"] = t["v_accvgpr_write_b32"] = t["v_mov_b32"];
  t["v_accvgpr_mov_b32"] = t["v_mov_b32"];
  op("v_not_b32", [](u32 a) { return ~a; }, Flow::copy);
  op("v_and_b32", [](u32 a, u32 b) { return a & b; }, Flow::bitAnd);
  op("v_or_b32", [](u32 a, u32 b) { return a | b; }, Flow::bitOr);
  op("v_xor_b32", [](u32 a, u32 b) { return a ^ b; }, Flow::bitXor);
  op("v_xnor_b32", [](u32 a, u32 b) { return ~(a ^ b); }, Flow::bitXor);
  op(
      "v_lshlrev_b32", [](u32 a, u32 b) { return b << (a & 31); },
      Flow::shiftLeftRev);
  op(
      "v_lshrrev_b32", [](u32 a, u32 b) { return b >> (a & 31); },
      Flow::shiftRightRev);
  op(
      "v_ashrrev_i32", [](u32 a, i32 b) { return b >> (a & 31); },
      Flow::arithmeticRightRev);
  op(
      "v_and_or_b32", [](u32 a, u32 b, u32 c) { return (a & b) | c; },
      Flow::andOr);
  op("v_or3_b32", [](u32 a, u32 b, u32 c) { return a | b | c; }, Flow::bitOr);
  op("v_xor3_b32", [](u32 a, u32 b, u32 c) { return a ^ b ^ c; }, Flow::bitXor);
  op(
      "v_bfi_b32", [](u32 a, u32 b, u32 c) { return (a & b) | (~a & c); },
      Flow::bitSelect);
  op(
      "v_lshl_or_b32", [](u32 a, u32 b, u32 c) { return a << (b & 31) | c; },
      Flow::shiftOr);
  op(
      "v_lshl_add_u32", [](u32 a, u32 b, u32 c) { return (a << (b & 31)) + c; },
      Flow::upward);
  op(
      "v_add_lshl_u32", [](u32 a, u32 b, u32 c) { return (a + b) << (c & 31); },
      Flow::upward);
  op("v_xad_u32", [](u32 a, u32 b, u32 c) { return (a ^ b) + c; });
  op("v_add3_u32", [](u32 a, u32 b, u32 c) { return a + b + c; }, Flow::upward);
  op(
      "v_bfe_u32",
      [](u32 a, u32 b, u32 c) {
        return a >> (b & 31) & ((1u << (c & 31)) - 1);
      },
      Flow::field);
  op(
      "v_bfe_i32",
      [](u32 a, u32 b, u32 c) {
        unsigned offset = b & 31, width = c & 31;
        if (!width)
          return i32(0);
        i32 part = i32(a) >> offset;
        return i32(u32(part) << (32 - width)) >> (32 - width);
      },
      Flow::signedField);
  op("v_bfm_b32",
     [](u32 a, u32 b) { return ((1u << (a & 31)) - 1) << (b & 31); });
  op("v_bfrev_b32", [](u32 a) { return __builtin_bitreverse32(a); });
  op("v_bcnt_u32_b32",
     [](u32 a, u32 b) { return u32(__builtin_popcount(a)) + b; });
  // The number of leading zeros, or trailing ones'; -1 where there is no one.
  op("v_ffbh_u32", [](u32 a) { return a ? u32(__builtin_clz(a)) : ~0u; });
  op("v_ffbl_b32", [](u32 a) { return a ? u32(__builtin_ctz(a)) : ~0u; });
  op("v_ffbh_i32", [](u32 a) { // bits like the sign bit
    u32 x = i32(a) < 0 ? ~a : a;
    return x ? u32(__builtin_clz(x)) : ~0u;
  });
  op(
      "v_perm_b32", [](u32 a, u32 b, u32 c) { return perm(a, b, c); },
      Flow::permute);
  op(
      "v_alignbit_b32",
      [](u32 a, u32 b, u32 c) { return u32((u64(a) << 32 | b) >> (c & 31)); },
      Flow::funnel);
  op("v_alignbyte_b32", [](u32 a, u32 b, u32 c) {
    return u32((u64(a) << 32 | b) >> 8 * (c & 3));
  });

  op(
      "v_add_u32", [](u32 a, u32 b) { return Clamped<u32>{i64(a) + i64(b)}; },
      Flow::upward);
  op(
      "v_sub_u32", [](u32 a, u32 b) { return Clamped<u32>{i64(a) - i64(b)}; },
      Flow::upward);
  op(
      "v_subrev_u32",
      [](u32 a, u32 b) { return Clamped<u32>{i64(b) - i64(a)}; }, Flow::upward);
  op("v_add_i32", [](i32 a, i32 b) { return Clamped<i32>{i64(a) + i64(b)}; });
  op("v_sub_i32", [](i32 a, i32 b) { return Clamped<i32>{i64(a) - i64(b)}; });
  op("v_mul_lo_u32", [](u32 a, u32 b) { return a * b; }, Flow::upward);
  op("v_mul_hi_u32", [](u32 a, u32 b) { return u32(u64(a) * b >> 32); });
  op("v_mul_hi_i32", [](i32 a, i32 b) { return i32(i64(a) * b >> 32); });
  op(
      "v_mul_u32_u24",
      [](u32 a, u32 b) { return (a & 0xffffff) * (b & 0xffffff); },
      Flow::upward);
  op("v_mul_hi_u32_u24", [](u32 a, u32 b) {
    return u32(u64(a & 0xffffff) * (b & 0xffffff) >> 32);
  });
  op(
      "v_mul_i32_i24",
      [](u32 a, u32 b) { return u32(sext24(a)) * u32(sext24(b)); },
      Flow::upward);
  op("v_mul_hi_i32_i24",
     [](u32 a, u32 b) { return u32(u64(i64(sext24(a)) * sext24(b)) >> 32); });
  op(
      "v_mad_u32_u24",
      [](u32 a, u32 b, u32 c) {
        return Clamped<u32>{i64(u64(a & 0xffffff) * (b & 0xffffff)) + i64(c)};
      },
      Flow::upward);
  op(
      "v_mad_i32_i24",
      [](u32 a, u32 b, i32 c) {
        return Clamped<i32>{i64(sext24(a)) * sext24(b) + c};
      },
      Flow::upward);
  op("v_mad_i32_i16",
     [](int16_t a, int16_t b, i32 c) { return Clamped<i32>{i64(a) * b + c}; });
  op("v_mad_u32_u16", [](uint16_t a, uint16_t b, u32 c) {
    return Clamped<u32>{i64(a) * b + c};
  });
  op("v_min_u32", [](u32 a, u32 b) { return std::min(a, b); });
  op("v_max_u32", [](u32 a, u32 b) { return std::max(a, b); });
  op("v_min_i32", [](i32 a, i32 b) { return std::min(a, b); });
  op("v_max_i32", [](i32 a, i32 b) { return std::max(a, b); });
  op("v_min3_u32",
     [](u32 a, u32 b, u32 c) { return std::min(std::min(a, b), c); });
  op("v_max3_u32",
     [](u32 a, u32 b, u32 c) { return std::max(std::max(a, b), c); });
  op("v_min3_i32",
     [](i32 a, i32 b, i32 c) { return std::min(std::min(a, b), c); });
  op("v_max3_i32",
     [](i32 a, i32 b, i32 c) { return std::max(std::max(a, b), c); });
  op("v_med3_u32", [](u32 a, u32 b, u32 c) { return med3Int(a, b, c); });
  op("v_med3_i32", [](i32 a, i32 b, i32 c) { return med3Int(a, b, c); });
  op("v_maxmin_u32",
     [](u32 a, u32 b, u32 c) { return std::min(std::max(a, b), c); });
  op("v_minmax_u32",
     [](u32 a, u32 b, u32 c) { return std::max(std::min(a, b), c); });
  op("v_maxmin_i32",
     [](i32 a, i32 b, i32 c) { return std::min(std::max(a, b), c); });
  op("v_minmax_i32",
     [](i32 a, i32 b, i32 c) { return std::max(std::min(a, b), c); });
  op("v_sad_u32",
     [](u32 a, u32 b, u32 c) { return (a > b ? a - b : b - a) + c; });

  op("v_add_f32", [](float a, float b) { return a + b; });
  op("v_sub_f32", [](float a, float b) { return a - b; });
  op("v_subrev_f32", [](float a, float b) { return b - a; });
  op("v_mul_f32", [](float a, float b) { return a * b; });
  // Zero times anything is zero.
  op("v_mul_legacy_f32",
     [](float a, float b) { return a == 0 || b == 0 ? 0.0f : a * b; });
  op("v_min_f32", [](float a, float b) { return minNum(a, b); });
  op("v_max_f32", [](float a, float b) { return maxNum(a, b); });
  op("v_minimum_f32", [](float a, float b) { return minimum(a, b); });
  op("v_maximum_f32", [](float a, float b) { return maximum(a, b); });
  op("v_min3_f32",
     [](float a, float b, float c) { return minNum(minNum(a, b), c); });
  op("v_max3_f32",
     [](float a, float b, float c) { return maxNum(maxNum(a, b), c); });
  op("v_minimum3_f32",
     [](float a, float b, float c) { return minimum(minimum(a, b), c); });
  op("v_maximum3_f32",
     [](float a, float b, float c) { return maximum(maximum(a, b), c); });
  op("v_med3_f32", [](float a, float b, float c) { return med3(a, b, c); });
  op("v_minmax_f32",
     [](float a, float b, float c) { return maxNum(minNum(a, b), c); });
  op("v_maxmin_f32",
     [](float a, float b, float c) { return minNum(maxNum(a, b), c); });
  op("v_minimummaximum_f32",
     [](float a, float b, float c) { return maximum(minimum(a, b), c); });
  op("v_maximumminimum_f32",
     [](float a, float b, float c) { return minimum(maximum(a, b), c); });
  t["v_fma_f32"] = t["v_fmaak_f32"] = t["v_fmamk_f32"] = fmaOp();
  t["v_fmac_f32"] = fmaOp(/*tied=*/true);
  op("v_floor_f32", [](float a) { return std::floor(a); });
  op("v_ceil_f32", [](float a) { return std::ceil(a); });
  op("v_trunc_f32", [](float a) { return std::trunc(a); });
  op("v_rndne_f32", [](float a) { return std::nearbyint(a); });
  op("v_fract_f32",
     [](float a) { return std::min(a - std::floor(a), 0x1.fffffep-1f); });
  op("v_ldexp_f32", [](float a, i32 b) { return std::ldexp(a, b); });
  op("v_frexp_mant_f32", [](float a) {
    int e;
    return std::isfinite(a) ? std::frexp(a, &e) : a;
  });
  op("v_frexp_exp_i32_f32", [](float a) {
    int e = 0;
    if (std::isfinite(a))
      std::frexp(a, &e);
    return i32(e);
  });

  // Computed wider and rounded, which is inside the documents' 1 ulp. They
  // take and give denormals as zeros, whatever the mode.
  op("v_rcp_f32", [](float a) { return flush(1.0f / flush(a)); });
  t["v_rcp_iflag_f32"] = t["v_rcp_f32"];
  op("v_rsq_f32",
     [](float a) { return flush(float(1.0 / std::sqrt(double(flush(a))))); });
  op("v_sqrt_f32", [](float a) { return std::sqrt(flush(a)); });
  op("v_exp_f32",
     [](float a) { return flush(float(std::exp2(double(flush(a))))); });
  op("v_log_f32",
     [](float a) { return flush(float(std::log2(double(flush(a))))); });
  // Of a number of turns.
  op("v_sin_f32", [](float a) {
    double x = flush(a);
    return flush(float(std::sin(6.283185307179586 * (x - std::floor(x)))));
  });
  op("v_cos_f32", [](float a) {
    double x = flush(a);
    return flush(float(std::cos(6.283185307179586 * (x - std::floor(x)))));
  });
}
