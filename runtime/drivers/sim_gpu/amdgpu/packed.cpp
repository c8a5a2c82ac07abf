//===- packed.cpp - packed vector arithmetic and dot products -------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lanes.h"

using namespace isthmus::simgpu::amdgpu;

using u16 = uint16_t;
using u32 = uint32_t;
using i16 = int16_t;
using i32 = int32_t;

/// The half of source `n` that part `part` of the result takes: op_sel for the
/// low one, op_sel_hi for the high one; neg_lo and neg_hi turn the sign.
static void part16(Wave &w, const Inst &i, unsigned n, unsigned part,
                   bool isFloat, u16 *out) {
  const Operand &o = i.s[n];
  u32 temporary[kLanes];
  const u32 *p = words(w, i, n, 0, temporary);
  bool high = part ? o.halfHigh : o.half;
  u16 flip = isFloat && (part ? o.negHigh : o.neg) ? 0x8000 : 0;
  for (unsigned l = 0; l < w.size; ++l)
    out[l] = u16(high ? p[l] >> 16 : p[l]) ^ flip;
}

template <class F, class R, class... A, size_t... N>
static void packed(Wave &w, const Inst &i, std::index_sequence<N...>) {
  u32 result[kLanes] = {};
  for (unsigned part = 0; part < 2; ++part) {
    u16 a[sizeof...(A)][kLanes];
    (part16(w, i, N, part, std::is_same_v<A, Half>, a[N]), ...);
    for (unsigned l = 0; l < w.size; ++l) {
      R r = make<F>()(Lane<A>::load(a[N][l])...);
      if constexpr (std::is_same_v<R, Half>)
        if (i.clamp)
          r.v = r.v > 0 ? std::min(r.v, 1.0) : 0;
      result[l] |= (Lane<R>::store(r, i) & 0xffff) << 16 * part;
    }
  }
  store32(w, i, i.d[0], result);
}
template <class F, class R, class C, class... A> struct Packed {
  static void run(Wave &w, const Inst &i) {
    packed<F, R, A...>(w, i, std::index_sequence_for<A...>());
  }
  static constexpr unsigned sources = sizeof...(A);
  static constexpr bool isFloat = std::is_same_v<R, Half>;
};
template <class F, class R, class C, class... A>
Packed<F, R, C, A...> packedSignature(R (C::*)(A...) const);

template <class F> static Operation packedOp(F) {
  using S = decltype(packedSignature<F>(&F::operator()));
  Operation o;
  o.shape.results = 1;
  o.shape.result[0] = Type::b32;
  for (unsigned n = 0; n < S::sources; ++n)
    o.shape.source[o.shape.sources++] = S::isFloat ? Type::pkf16 : Type::pk16;
  o.run = S::run;
  return o;
}

/// Two f32 in two registers.
template <class F, unsigned Sources>
static void packed32(Wave &w, const Inst &i) {
  float d[2][kLanes];
  for (unsigned part = 0; part < 2; ++part) {
    float a[3][kLanes];
    for (unsigned n = 0; n < Sources; ++n) {
      const Operand &o = i.s[n];
      u32 temporary[kLanes];
      bool high = part ? o.halfHigh : o.half, flip = part ? o.negHigh : o.neg;
      const u32 *p = words(w, i, n, high, temporary);
      for (unsigned l = 0; l < w.size; ++l)
        a[n][l] = bitcast<float>(p[l] ^ (flip ? 0x80000000 : 0));
    }
    for (unsigned l = 0; l < w.size; ++l)
      d[part][l] = make<F>()(a[0][l], a[1][l], a[2][l]);
  }
  for (unsigned part = 0; part < 2; ++part) {
    u32 bits[kLanes];
    for (unsigned l = 0; l < w.size; ++l)
      bits[l] = bitcast<u32>(modify(d[part][l], i));
    store32(w, i, i.d[0], bits, part);
  }
}
template <unsigned Sources, class F> static Operation packed32Op(F) {
  Operation o;
  o.shape.results = 1;
  o.shape.result[0] = Type::b64;
  o.shape.sources = Sources;
  for (unsigned n = 0; n < Sources; ++n)
    o.shape.source[n] = Type::pkf32;
  o.run = packed32<F, Sources>;
  return o;
}

template <bool SignedA, bool SignedB> static i32 dot4(u32 a, u32 b) {
  i32 sum = 0;
  for (unsigned k = 0; k < 32; k += 8) {
    i32 x = SignedA ? i32(int8_t(a >> k)) : i32(a >> k & 0xff);
    i32 y = SignedB ? i32(int8_t(b >> k)) : i32(b >> k & 0xff);
    sum += x * y;
  }
  return sum;
}

/// V_DOT4_I32_IU8: neg_lo says which of the two are signed.
static void dot4Mixed(Wave &w, const Inst &i) {
  u32 a[kLanes], b[kLanes], c[kLanes], d[kLanes];
  fetch(w, i, 0, a);
  fetch(w, i, 1, b);
  fetch(w, i, 2, c);
  for (unsigned l = 0; l < w.size; ++l) {
    i32 sum = i.s[0].neg ? (i.s[1].neg ? dot4<true, true>(a[l], b[l])
                                       : dot4<true, false>(a[l], b[l]))
                         : (i.s[1].neg ? dot4<false, true>(a[l], b[l])
                                       : dot4<false, false>(a[l], b[l]));
    d[l] = Lane<Clamped<i32>>::store({int64_t(sum) + i32(c[l])}, i);
  }
  store32(w, i, i.d[0], d);
}

/// V_DOT2_F32_F16 and its bf16 sibling: two products and an addend in f32.
template <bool IsBfloat> static void dot2(Wave &w, const Inst &i) {
  u16 a[2][kLanes], b[2][kLanes];
  float c[kLanes], d[kLanes];
  for (unsigned part = 0; part < 2; ++part) {
    part16(w, i, 0, part, true, a[part]);
    part16(w, i, 1, part, true, b[part]);
  }
  fetch(w, i, 2, c);
  auto wide = [](u16 x) {
    return double(IsBfloat ? bfloatToFloat(x) : halfToFloat(x));
  };
  for (unsigned l = 0; l < w.size; ++l)
    d[l] = float(wide(a[0][l]) * wide(b[0][l]) + wide(a[1][l]) * wide(b[1][l]) +
                 c[l]);
  store(w, i, i.d[0], d);
}

void isthmus::simgpu::amdgpu::addPacked(OperationTable &t) {
  auto op = [&](const char *name, auto f) { t[name] = packedOp(f); };
  op("v_pk_add_f16", [](Half a, Half b) { return Half{a.v + b.v}; });
  op("v_pk_mul_f16", [](Half a, Half b) { return Half{a.v * b.v}; });
  op("v_pk_fma_f16",
     [](Half a, Half b, Half c) { return Half{fmaOdd(a, b, c)}; });
  op("v_pk_min_f16", [](Half a, Half b) { return Half{minNum(a.v, b.v)}; });
  op("v_pk_max_f16", [](Half a, Half b) { return Half{maxNum(a.v, b.v)}; });
  op("v_pk_minimum_f16",
     [](Half a, Half b) { return Half{minimum(a.v, b.v)}; });
  op("v_pk_maximum_f16",
     [](Half a, Half b) { return Half{maximum(a.v, b.v)}; });
  op("v_pk_add_u16", [](u16 a, u16 b) { return Clamped<u16>{int64_t(a) + b}; });
  op("v_pk_sub_u16", [](u16 a, u16 b) { return Clamped<u16>{int64_t(a) - b}; });
  op("v_pk_add_i16", [](i16 a, i16 b) { return Clamped<i16>{int64_t(a) + b}; });
  op("v_pk_sub_i16", [](i16 a, i16 b) { return Clamped<i16>{int64_t(a) - b}; });
  op("v_pk_mul_lo_u16", [](u16 a, u16 b) { return u16(u32(a) * b); });
  op("v_pk_mad_u16",
     [](u16 a, u16 b, u16 c) { return Clamped<u16>{int64_t(a) * b + c}; });
  op("v_pk_mad_i16",
     [](i16 a, i16 b, i16 c) { return Clamped<i16>{int64_t(a) * b + c}; });
  op("v_pk_min_u16", [](u16 a, u16 b) { return std::min(a, b); });
  op("v_pk_max_u16", [](u16 a, u16 b) { return std::max(a, b); });
  op("v_pk_min_i16", [](i16 a, i16 b) { return std::min(a, b); });
  op("v_pk_max_i16", [](i16 a, i16 b) { return std::max(a, b); });
  op("v_pk_lshlrev_b16", [](u16 a, u16 b) { return u16(b << (a & 15)); });
  op("v_pk_lshrrev_b16", [](u16 a, u16 b) { return u16(b >> (a & 15)); });
  op("v_pk_ashrrev_i16", [](u16 a, i16 b) { return i16(b >> (a & 15)); });

  t["v_pk_add_f32"] =
      packed32Op<2>([](float a, float b, float) { return a + b; });
  t["v_pk_mul_f32"] =
      packed32Op<2>([](float a, float b, float) { return a * b; });
  t["v_pk_fma_f32"] = packed32Op<3>(
      [](float a, float b, float c) { return std::fmaf(a, b, c); });
  t["v_pk_mov_b32"] = packed32Op<2>([](float a, float, float) { return a; });
  t["v_pk_mov_b32"].flow = Flow::copy;
  // The low result is of the first operand, the high one of the second.
  t["v_pk_mov_b32"].run = [](Wave &w, const Inst &i) {
    u32 low[kLanes], high[kLanes], a[kLanes], b[kLanes];
    const u32 *p = words(w, i, 0, i.s[0].half, a),
              *q = words(w, i, 1, i.s[1].halfHigh, b);
    std::memcpy(low, p, 4 * w.size);
    std::memcpy(high, q, 4 * w.size);
    store32(w, i, i.d[0], low);
    store32(w, i, i.d[0], high, 1);
  };

  t["v_dot4_i32_i8"] = vectorOp([](u32 a, u32 b, i32 c) {
    return Clamped<i32>{int64_t(dot4<true, true>(a, b)) + c};
  });
  t["v_dot4_u32_u8"] = vectorOp([](u32 a, u32 b, u32 c) {
    return Clamped<u32>{int64_t(dot4<false, false>(a, b)) + c};
  });
  t["v_dot4c_i32_i8"] = t["v_dot4_i32_i8"];
  t["v_dot4c_i32_i8"].shape.tied = true;
  t["v_dot4_i32_iu8"] = t["v_dot4_u32_u8"];
  t["v_dot4_i32_iu8"].run = dot4Mixed;
  t["v_dot2_f32_f16"] = vectorOp([](u32, u32, float) { return 0.0f; });
  t["v_dot2_f32_f16"].shape.source[0] = t["v_dot2_f32_f16"].shape.source[1] =
      Type::pkf16;
  t["v_dot2_f32_bf16"] = t["v_dot2_f32_f16"];
  t["v_dot2_f32_f16"].run = dot2<false>;
  t["v_dot2_f32_bf16"].run = dot2<true>;
  t["v_dot2c_f32_f16"] = t["v_dot2acc_f32_f16"] = t["v_dot2_f32_f16"];
  t["v_dot2c_f32_f16"].shape.tied = t["v_dot2acc_f32_f16"].shape.tied = true;
}
