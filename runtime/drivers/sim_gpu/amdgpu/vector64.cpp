//===- vector64.cpp - 64-bit vector arithmetic --------------------------- ===//
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

template <class T> struct Exponent;
template <> struct Exponent<float> {
  static int of(float x) { return int(bitcast<u32>(x) >> 23 & 0xff); }
  static constexpr int bias = 127, far = 96, tiny = 23, scale = 64, lost = -150;
};
template <> struct Exponent<double> {
  static int of(double x) { return int(bitcast<u64>(x) >> 52 & 0x7ff); }
  static constexpr int bias = 1023, far = 768, tiny = 53, scale = 128,
                       lost = -1075;
};

/// V_DIV_SCALE: `s0` is the numerator or the denominator, scaled so that the
/// steps of a division neither overflow nor lose bits to denormals. Sets `vcc`
/// where V_DIV_FMAS must scale the quotient back.
template <class T>
static T divScale(T s0, T denominator, T numerator, bool &vcc) {
  using E = Exponent<T>;
  auto denormal = [](T x) { return x != 0 && E::of(x) == 0; };
  vcc = false;
  if (numerator == 0 || denominator == 0)
    return std::numeric_limits<T>::quiet_NaN();
  if (E::of(numerator) - E::of(denominator) >= E::far) {
    vcc = true; // the quotient is near the largest number
    return s0 == denominator ? std::ldexp(s0, E::scale) : s0;
  }
  if (denormal(denominator))
    return std::ldexp(s0, E::scale);
  bool tinyReciprocal = denormal(T(1) / denominator);
  bool tinyQuotient =
      denormal(numerator / denominator) || (numerator / denominator == 0);
  if (tinyReciprocal && tinyQuotient) {
    // The documents scale a huge denominator up here, which makes infinity of
    // it; down is what leaves a quotient that V_DIV_FMAS can scale back.
    vcc = true;
    return s0 == denominator ? std::ldexp(s0, -E::scale) : s0;
  }
  if (tinyReciprocal)
    return std::ldexp(s0, -E::scale);
  if (tinyQuotient) {
    vcc = true;
    return s0 == numerator ? std::ldexp(s0, E::scale) : s0;
  }
  if (E::of(numerator) <= E::tiny)
    return std::ldexp(s0, E::scale);
  return s0;
}

template <class T> static void divScaleOp(Wave &w, const Inst &i) {
  T a[kLanes], b[kLanes], c[kLanes], d[kLanes];
  fetch(w, i, 0, a);
  fetch(w, i, 1, b);
  fetch(w, i, 2, c);
  uint64_t flags = 0;
  for (unsigned l = 0; l < w.size; ++l) {
    bool vcc;
    d[l] = divScale(a[l], b[l], c[l], vcc);
    flags |= uint64_t(vcc) << l;
  }
  flags &= w.exec();
  store(w, i, i.d[0], d);
  w.setMask(i.d[1].index, flags);
}

/// V_DIV_FMAS: the last step, and the scale back of V_DIV_SCALE. Numerators
/// that were scaled leave large quotients to make smaller, denominators the
/// other way round.
template <class T> static void divFmasOp(Wave &w, const Inst &i) {
  using E = Exponent<T>;
  T a[kLanes], b[kLanes], c[kLanes], d[kLanes];
  fetch(w, i, 0, a);
  fetch(w, i, 1, b);
  fetch(w, i, 2, c);
  for (unsigned l = 0; l < w.size; ++l) {
    d[l] = std::fma(a[l], b[l], c[l]);
    if (w.vcc() >> l & 1)
      d[l] = std::ldexp(d[l], E::of(c[l]) > E::bias ? E::scale : -E::scale);
  }
  store(w, i, i.d[0], d);
}

template <class T> static T divFixup(T quotient, T denominator, T numerator) {
  using E = Exponent<T>;
  constexpr T inf = std::numeric_limits<T>::infinity();
  bool sign = std::signbit(denominator) != std::signbit(numerator);
  auto with = [&](T x) { return sign ? -x : x; };
  if (std::isnan(numerator))
    return numerator + numerator;
  if (std::isnan(denominator))
    return denominator + denominator;
  if ((denominator == 0 && numerator == 0) ||
      (std::isinf(denominator) && std::isinf(numerator)))
    return -std::numeric_limits<T>::quiet_NaN();
  if (denominator == 0 || std::isinf(numerator))
    return with(inf);
  if (std::isinf(denominator) || numerator == 0)
    return with(0);
  if (E::of(numerator) - E::of(denominator) < E::lost)
    return with(0);
  // Of numbers, only a quotient that overflowed in the steps before is none.
  if (std::isnan(quotient))
    return with(inf);
  return with(std::fabs(quotient));
}

/// V_MAD_U64_U32 and its signed sibling: a carry mask beside the result.
template <class T> static void mad64(Wave &w, const Inst &i) {
  u32 a[kLanes], b[kLanes];
  u64 c[kLanes], d[kLanes];
  fetch(w, i, 0, a);
  fetch(w, i, 1, b);
  fetch(w, i, 2, c);
  u64 carry = 0;
  for (unsigned l = 0; l < w.size; ++l) {
    u64 product = std::is_signed_v<T> ? u64(i64(i32(a[l])) * i32(b[l]))
                                      : u64(a[l]) * b[l];
    d[l] = product + c[l];
    bool out = std::is_signed_v<T> ? (i64((product ^ d[l]) & (c[l] ^ d[l])) < 0)
                                   : d[l] < product;
    carry |= u64(out) << l;
  }
  carry &= w.exec();
  store(w, i, i.d[0], d);
  w.setMask(i.d[1].index, carry);
}

void isthmus::simgpu::amdgpu::addVector64(OperationTable &t) {
  auto op = [&](const char *name, auto f, Flow flow = Flow::any) {
    t[name] = vectorOp(f, flow);
  };
  op("v_mov_b64", [](u64 a) { return a; }, Flow::copy);
  op(
      "v_lshlrev_b64", [](u32 a, u64 b) { return b << (a & 63); },
      Flow::shiftLeftRev);
  op(
      "v_lshrrev_b64", [](u32 a, u64 b) { return b >> (a & 63); },
      Flow::shiftRightRev);
  op(
      "v_ashrrev_i64", [](u32 a, i64 b) { return b >> (a & 63); },
      Flow::arithmeticRightRev);
  op(
      "v_lshl_add_u64", [](u64 a, u32 b, u64 c) { return (a << (b & 7)) + c; },
      Flow::upward);
  op("v_add_f64", [](double a, double b) { return a + b; });
  op("v_mul_f64", [](double a, double b) { return a * b; });
  op("v_fma_f64",
     [](double a, double b, double c) { return std::fma(a, b, c); });
  t["v_fmac_f64"] = t["v_fma_f64"];
  t["v_fmac_f64"].shape.tied = true;
  op("v_min_f64", [](double a, double b) { return minNum(a, b); });
  op("v_max_f64", [](double a, double b) { return maxNum(a, b); });
  op("v_minimum_f64", [](double a, double b) { return minimum(a, b); });
  op("v_maximum_f64", [](double a, double b) { return maximum(a, b); });
  op("v_floor_f64", [](double a) { return std::floor(a); });
  op("v_ceil_f64", [](double a) { return std::ceil(a); });
  op("v_trunc_f64", [](double a) { return std::trunc(a); });
  op("v_rndne_f64", [](double a) { return std::nearbyint(a); });
  op("v_fract_f64", [](double a) {
    return std::min(a - std::floor(a), 0x1.fffffffffffffp-1);
  });
  op("v_ldexp_f64", [](double a, i32 b) { return std::ldexp(a, b); });
  op("v_frexp_mant_f64", [](double a) {
    int e;
    return std::isfinite(a) ? std::frexp(a, &e) : a;
  });
  op("v_frexp_exp_i32_f64", [](double a) {
    int e = 0;
    if (std::isfinite(a))
      std::frexp(a, &e);
    return i32(e);
  });
  op("v_rcp_f64", [](double a) { return 1.0 / a; });
  op("v_rsq_f64", [](double a) { return 1.0 / std::sqrt(a); });
  op("v_sqrt_f64", [](double a) { return std::sqrt(a); });

  op("v_div_fixup_f32",
     [](float a, float b, float c) { return divFixup(a, b, c); });
  op("v_div_fixup_f64",
     [](double a, double b, double c) { return divFixup(a, b, c); });
  op("v_div_fmas_f32", [](float, float, float) { return 0.0f; });
  op("v_div_fmas_f64", [](double, double, double) { return 0.0; });
  t["v_div_fmas_f32"].run = divFmasOp<float>;
  t["v_div_fmas_f64"].run = divFmasOp<double>;
  t["v_div_fmas_f32"].shape.readsVcc = t["v_div_fmas_f64"].shape.readsVcc =
      true;

  auto second = [&](const char *name, const char *like, Handler run) {
    t[name] = t[like];
    t[name].run = run;
    t[name].shape.results = 2;
    t[name].shape.result[1] = Type::mask;
  };
  second("v_div_scale_f32", "v_div_fixup_f32", divScaleOp<float>);
  second("v_div_scale_f64", "v_div_fixup_f64", divScaleOp<double>);
  op("v_mad_u64_u32", [](u32, u32, u64) { return u64(0); }, Flow::upward);
  second("v_mad_u64_u32", "v_mad_u64_u32", mad64<u64>);
  op("v_mad_i64_i32", [](i32, i32, i64) { return i64(0); }, Flow::upward);
  second("v_mad_i64_i32", "v_mad_i64_i32", mad64<i64>);
}
