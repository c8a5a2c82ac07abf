//===- scalar.cpp - scalar arithmetic -------------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "numbers.h"
#include "wave.h"

#include <type_traits>

using namespace isthmus::simgpu::amdgpu;

using u32 = uint32_t;
using i32 = int32_t;
using u64 = uint64_t;
using i64 = int64_t;

namespace {
template <class T> T source(const Wave &w, const Operand &o) {
  u64 raw = o.kind == Operand::constant ? o.bits
            : sizeof(T) == 8            ? w.pair(o.index)
                                        : w.s[o.index];
  if constexpr (sizeof(T) == 8) {
    return bitcast<T>(raw);
  } else {
    u32 low = u32(raw);
    if constexpr (std::is_floating_point_v<T>) {
      if (o.abs)
        low &= 0x7fffffff;
      if (o.neg)
        low ^= 0x80000000;
    }
    return bitcast<T>(low);
  }
}
template <class T> void result(Wave &w, const Operand &o, T v) {
  if (o.index == kNull)
    return;
  if constexpr (sizeof(T) == 8) {
    u64 raw = bitcast<u64>(v);
    w.s[o.index] = u32(raw);
    w.s[o.index + 1] = u32(raw >> 32);
  } else {
    w.s[o.index] = bitcast<u32>(v);
  }
}
template <class T> constexpr Type typeOf() {
  if constexpr (std::is_same_v<T, float>)
    return Type::f32;
  else if constexpr (std::is_same_v<T, double>)
    return Type::f64;
  else if constexpr (std::is_same_v<T, i64>)
    return Type::i64;
  else
    return sizeof(T) == 8 ? Type::b64 : Type::b32;
}

template <class F> const F &make() {
  static const char nothing[sizeof(F)] = {};
  return *reinterpret_cast<const F *>(&nothing);
}

/// R(A..., bool &scc): scc comes in as it is and goes out as it is left.
template <class F, class R, class C, class... A> struct ScalarOp {
  template <size_t... N>
  static void call(Wave &w, const Inst &i, std::index_sequence<N...>) {
    bool scc = w.s[kScc];
    if constexpr (std::is_void_v<R>)
      make<F>()(source<A>(w, i.s[N])..., scc);
    else
      result(w, i.d[0], make<F>()(source<A>(w, i.s[N])..., scc));
    w.s[kScc] = scc;
  }
  static void run(Wave &w, const Inst &i) {
    call(w, i, std::index_sequence_for<A...>());
  }
  static Operation operation() {
    Operation o;
    if constexpr (!std::is_void_v<R>) {
      o.shape.results = 1;
      o.shape.result[0] = typeOf<R>();
    }
    (void)std::initializer_list<int>{
        0, (o.shape.source[o.shape.sources++] = typeOf<A>(), 0)...};
    o.run = run;
    return o;
  }
};
// The last parameter is scc.
template <class F, class R, class C, class A>
ScalarOp<F, R, C, A> scalarSignature(R (C::*)(A, bool &) const);
template <class F, class R, class C, class A, class B>
ScalarOp<F, R, C, A, B> scalarSignature(R (C::*)(A, B, bool &) const);
template <class F, class R, class C, class A, class B, class D>
ScalarOp<F, R, C, A, B, D> scalarSignature(R (C::*)(A, B, D, bool &) const);

enum Scc { keeps, reads, writes, both };

/// S_AND_SAVEEXEC and its family: exec to the result, then f(source, exec) to
/// exec; or exec from source alone with the old exec kept.
template <class F, bool Wrexec = false> void saveExec(Wave &w, const Inst &i) {
  u64 old = w.exec();
  u64 s = i.s[0].kind == Operand::constant ? i.s[0].bits : w.mask(i.s[0].index);
  u64 next = make<F>()(s, old) & w.lanes();
  if (Wrexec)
    w.setMask(i.d[0].index, next);
  else
    w.setMask(i.d[0].index, old);
  w.setMask(kExec, next);
  w.s[kScc] = next != 0;
}
} // namespace

static u32 fieldMask(unsigned width) {
  return width >= 32 ? ~0u : (1u << width) - 1;
}

void isthmus::simgpu::amdgpu::addScalar(OperationTable &t) {
  auto op = [&](const char *name, Scc scc, auto f, Flow flow = Flow::any) {
    using F = decltype(f);
    Operation o = decltype(scalarSignature<F>(&F::operator()))::operation();
    o.shape.readsScc = scc == reads || scc == both;
    o.shape.writesScc = scc == writes || scc == both;
    o.flow = flow;
    t[name] = o;
  };
  using B = bool;
  op("s_mov_b32", keeps, [](u32 a, B &) { return a; }, Flow::copy);
  t["s_movk_i32"] = t["s_mov_b32"];
  op("s_mov_b64", keeps, [](u64 a, B &) { return a; }, Flow::copy);
  op("s_cmov_b32", reads, [](u32 a, u32 old, B &c) { return c ? a : old; });
  op("s_cmov_b64", reads, [](u64 a, u64 old, B &c) { return c ? a : old; });
  t["s_cmovk_i32"] = t["s_cmov_b32"];
  for (const char *name : {"s_cmov_b32", "s_cmov_b64", "s_cmovk_i32"})
    t[name].shape.sources = 1, t[name].shape.tied = true;
  op(
      "s_cselect_b32", reads, [](u32 a, u32 b, B &c) { return c ? a : b; },
      Flow::choose);
  op(
      "s_cselect_b64", reads, [](u64 a, u64 b, B &c) { return c ? a : b; },
      Flow::choose);

  op(
      "s_not_b32", writes, [](u32 a, B &c) { return c = ~a != 0, ~a; },
      Flow::copy);
  op(
      "s_not_b64", writes, [](u64 a, B &c) { return c = ~a != 0, ~a; },
      Flow::copy);
#define LOGIC(name, expression, flow)                                          \
  op(                                                                          \
      "s_" name "_b32", writes,                                                \
      [](u32 a, u32 b, B &c) {                                                 \
        u32 r = expression;                                                    \
        c = r != 0;                                                            \
        return r;                                                              \
      },                                                                       \
      flow);                                                                   \
  op(                                                                          \
      "s_" name "_b64", writes,                                                \
      [](u64 a, u64 b, B &c) {                                                 \
        u64 r = expression;                                                    \
        c = r != 0;                                                            \
        return r;                                                              \
      },                                                                       \
      flow)
  LOGIC("and", a & b, Flow::bitAnd);
  LOGIC("or", a | b, Flow::bitOr);
  LOGIC("xor", a ^ b, Flow::bitXor);
  LOGIC("andn2", a & ~b, Flow::bitAndNot);
  LOGIC("orn2", a | ~b, Flow::bitXor);
  LOGIC("nand", ~(a & b), Flow::bitAnd);
  LOGIC("nor", ~(a | b), Flow::bitOr);
  LOGIC("xnor", ~(a ^ b), Flow::bitXor);
  LOGIC("lshl", a << (b & (8 * sizeof(a) - 1)), Flow::shiftLeft);
  LOGIC("lshr", a >> (b & (8 * sizeof(a) - 1)), Flow::shiftRight);
#undef LOGIC
  // A shift's amount is one register.
  for (const char *name : {"s_lshl_b64", "s_lshr_b64"})
    t[name].shape.source[1] = Type::b32;
  op(
      "s_lshl_b64", writes,
      [](u64 a, u32 b, B &c) {
        u64 r = a << (b & 63);
        c = r != 0;
        return r;
      },
      Flow::shiftLeft);
  op(
      "s_lshr_b64", writes,
      [](u64 a, u32 b, B &c) {
        u64 r = a >> (b & 63);
        c = r != 0;
        return r;
      },
      Flow::shiftRight);
  op(
      "s_ashr_i32", writes,
      [](i32 a, u32 b, B &c) {
        i32 r = a >> (b & 31);
        c = r != 0;
        return r;
      },
      Flow::arithmeticRight);
  op(
      "s_ashr_i64", writes,
      [](i64 a, u32 b, B &c) {
        i64 r = a >> (b & 63);
        c = r != 0;
        return r;
      },
      Flow::arithmeticRight);
  op("s_bfm_b32", keeps,
     [](u32 a, u32 b, B &) { return ((1u << (a & 31)) - 1) << (b & 31); });
  op("s_bfm_b64", keeps,
     [](u32 a, u32 b, B &) { return ((1ull << (a & 63)) - 1) << (b & 63); });
  op(
      "s_bfe_u32", writes,
      [](u32 a, u32 b, B &c) {
        u32 r = a >> (b & 31) & fieldMask(b >> 16 & 0x7f);
        c = r != 0;
        return r;
      },
      Flow::scalarField);
  op("s_bfe_i32", writes, [](i32 a, u32 b, B &c) {
    unsigned width = std::min(b >> 16 & 0x7f, 32u);
    i32 r = width ? i32(u32(a >> (b & 31)) << (32 - width)) >> (32 - width) : 0;
    c = r != 0;
    return r;
  });
  op("s_bfe_u64", writes, [](u64 a, u32 b, B &c) {
    unsigned width = b >> 16 & 0x7f;
    u64 r = a >> (b & 63) & (width >= 64 ? ~0ull : (1ull << width) - 1);
    c = r != 0;
    return r;
  });
  op("s_bfe_i64", writes, [](i64 a, u32 b, B &c) {
    unsigned width = std::min(b >> 16 & 0x7f, 64u);
    i64 r = width ? i64(u64(a >> (b & 63)) << (64 - width)) >> (64 - width) : 0;
    c = r != 0;
    return r;
  });
  op("s_brev_b32", keeps, [](u32 a, B &) { return __builtin_bitreverse32(a); });
  op("s_brev_b64", keeps, [](u64 a, B &) { return __builtin_bitreverse64(a); });
  op("s_bcnt1_i32_b32", writes,
     [](u32 a, B &c) { return c = a != 0, u32(__builtin_popcount(a)); });
  op("s_bcnt1_i32_b64", writes,
     [](u64 a, B &c) { return c = a != 0, u32(__builtin_popcountll(a)); });
  op("s_ff1_i32_b32", keeps,
     [](u32 a, B &) { return a ? u32(__builtin_ctz(a)) : ~0u; });
  op("s_ff1_i32_b64", keeps,
     [](u64 a, B &) { return a ? u32(__builtin_ctzll(a)) : ~0u; });
  op("s_flbit_i32_b32", keeps,
     [](u32 a, B &) { return a ? u32(__builtin_clz(a)) : ~0u; });
  op("s_flbit_i32_b64", keeps,
     [](u64 a, B &) { return a ? u32(__builtin_clzll(a)) : ~0u; });
  op("s_flbit_i32", keeps, [](i32 a, B &) {
    u32 x = a < 0 ? ~u32(a) : u32(a);
    return x ? u32(__builtin_clz(x)) : ~0u;
  });
  op("s_bitset0_b32", keeps,
     [](u32 a, u32 old, B &) { return old & ~(1u << (a & 31)); });
  op("s_bitset1_b32", keeps,
     [](u32 a, u32 old, B &) { return old | 1u << (a & 31); });
  for (const char *name : {"s_bitset0_b32", "s_bitset1_b32"})
    t[name].shape.sources = 1, t[name].shape.tied = true;
  op("s_sext_i32_i8", keeps, [](u32 a, B &) { return i32(int8_t(a)); });
  op("s_sext_i32_i16", keeps, [](u32 a, B &) { return i32(int16_t(a)); });
  op("s_pack_ll_b32_b16", keeps,
     [](u32 a, u32 b, B &) { return (b & 0xffff) << 16 | (a & 0xffff); });
  op("s_pack_lh_b32_b16", keeps,
     [](u32 a, u32 b, B &) { return (b & 0xffff0000) | (a & 0xffff); });
  op("s_pack_hh_b32_b16", keeps,
     [](u32 a, u32 b, B &) { return (b & 0xffff0000) | a >> 16; });
  op("s_pack_hl_b32_b16", keeps,
     [](u32 a, u32 b, B &) { return b << 16 | a >> 16; });
  op("s_abs_i32", writes, [](i32 a, B &c) {
    u32 r = a < 0 ? -u32(a) : u32(a);
    c = r != 0;
    return r;
  });
  op("s_absdiff_i32", writes, [](i32 a, i32 b, B &c) {
    u32 d = u32(a) - u32(b), r = i32(d) < 0 ? -d : d;
    c = r != 0;
    return r;
  });

  op(
      "s_add_u32", writes,
      [](u32 a, u32 b, B &c) { return c = u64(a) + b >> 32, a + b; },
      Flow::upward);
  op("s_addc_u32", both, [](u32 a, u32 b, B &c) {
    u64 r = u64(a) + b + c;
    c = r >> 32;
    return u32(r);
  });
  op(
      "s_sub_u32", writes, [](u32 a, u32 b, B &c) { return c = b > a, a - b; },
      Flow::upward);
  op("s_subb_u32", both, [](u32 a, u32 b, B &c) {
    u64 take = u64(b) + c;
    u32 r = a - u32(take);
    c = take > a;
    return r;
  });
  op(
      "s_add_i32", writes,
      [](i32 a, i32 b, B &c) {
        i32 r;
        c = __builtin_add_overflow(a, b, &r);
        return r;
      },
      Flow::upward);
  op(
      "s_sub_i32", writes,
      [](i32 a, i32 b, B &c) {
        i32 r;
        c = __builtin_sub_overflow(a, b, &r);
        return r;
      },
      Flow::upward);
  op("s_addk_i32", writes, [](i32 b, i32 old, B &c) {
    i32 r;
    c = __builtin_add_overflow(old, b, &r);
    return r;
  });
  op("s_mulk_i32", keeps, [](u32 b, u32 old, B &) { return old * b; });
  for (const char *name : {"s_addk_i32", "s_mulk_i32"})
    t[name].shape.sources = 1, t[name].shape.tied = true;
  op("s_add_u64", keeps, [](u64 a, u64 b, B &) { return a + b; }, Flow::upward);
  op("s_sub_u64", keeps, [](u64 a, u64 b, B &) { return a - b; }, Flow::upward);
  op("s_mul_u64", keeps, [](u64 a, u64 b, B &) { return a * b; }, Flow::upward);
  op("s_mul_i32", keeps, [](u32 a, u32 b, B &) { return a * b; }, Flow::upward);
  op("s_mul_hi_u32", keeps,
     [](u32 a, u32 b, B &) { return u32(u64(a) * b >> 32); });
  op("s_mul_hi_i32", keeps,
     [](i32 a, i32 b, B &) { return i32(i64(a) * b >> 32); });
  op("s_min_u32", writes,
     [](u32 a, u32 b, B &c) { return c = a < b, std::min(a, b); });
  op("s_max_u32", writes,
     [](u32 a, u32 b, B &c) { return c = a >= b, std::max(a, b); });
  op("s_min_i32", writes,
     [](i32 a, i32 b, B &c) { return c = a < b, std::min(a, b); });
  op("s_max_i32", writes,
     [](i32 a, i32 b, B &c) { return c = a >= b, std::max(a, b); });
  op("s_lshl1_add_u32", writes, [](u32 a, u32 b, B &c) {
    return c = (u64(a) << 1) + b >> 32, (a << 1) + b;
  });
  op("s_lshl2_add_u32", writes, [](u32 a, u32 b, B &c) {
    return c = (u64(a) << 2) + b >> 32, (a << 2) + b;
  });
  op("s_lshl3_add_u32", writes, [](u32 a, u32 b, B &c) {
    return c = (u64(a) << 3) + b >> 32, (a << 3) + b;
  });
  op("s_lshl4_add_u32", writes, [](u32 a, u32 b, B &c) {
    return c = (u64(a) << 4) + b >> 32, (a << 4) + b;
  });

#define COMPARE(name, T, expression)                                           \
  op("s_cmp_" name, writes, [](T a, T b, B &c) { c = expression; })
  COMPARE("eq_i32", i32, a == b);
  COMPARE("lg_i32", i32, a != b);
  COMPARE("gt_i32", i32, a > b);
  COMPARE("ge_i32", i32, a >= b);
  COMPARE("lt_i32", i32, a < b);
  COMPARE("le_i32", i32, a <= b);
  COMPARE("eq_u32", u32, a == b);
  COMPARE("lg_u32", u32, a != b);
  COMPARE("gt_u32", u32, a > b);
  COMPARE("ge_u32", u32, a >= b);
  COMPARE("lt_u32", u32, a < b);
  COMPARE("le_u32", u32, a <= b);
  COMPARE("eq_u64", u64, a == b);
  COMPARE("lg_u64", u64, a != b);
  COMPARE("lt_f32", float, a < b);
  COMPARE("eq_f32", float, a == b);
  COMPARE("le_f32", float, a <= b);
  COMPARE("gt_f32", float, a > b);
  COMPARE("ge_f32", float, a >= b);
  COMPARE("lg_f32", float, (a < b || a > b));
  COMPARE("o_f32", float, (a == a && b == b));
  COMPARE("u_f32", float, !(a == a && b == b));
  COMPARE("nge_f32", float, !(a >= b));
  COMPARE("nlg_f32", float, !(a < b || a > b));
  COMPARE("ngt_f32", float, !(a > b));
  COMPARE("nle_f32", float, !(a <= b));
  COMPARE("neq_f32", float, !(a == b));
  COMPARE("nlt_f32", float, !(a < b));
#undef COMPARE
  for (const char *c : {"eq", "lg", "gt", "ge", "lt", "le"})
    for (const char *type : {"_i32", "_u32"})
      t[std::string("s_cmpk_") + c + type] =
          t[std::string("s_cmp_") + c + type];
  op(
      "s_bitcmp0_b32", writes,
      [](u32 a, u32 b, B &c) { c = !(a >> (b & 31) & 1); }, Flow::bitTest);
  op(
      "s_bitcmp1_b32", writes,
      [](u32 a, u32 b, B &c) { c = a >> (b & 31) & 1; }, Flow::bitTest);
  op(
      "s_bitcmp0_b64", writes,
      [](u64 a, u32 b, B &c) { c = !(a >> (b & 63) & 1); }, Flow::bitTest);
  op(
      "s_bitcmp1_b64", writes,
      [](u64 a, u32 b, B &c) { c = a >> (b & 63) & 1; }, Flow::bitTest);

  // RDNA3.5 and RDNA4 have floats here too.
  op("s_add_f32", keeps, [](float a, float b, B &) { return a + b; });
  op("s_sub_f32", keeps, [](float a, float b, B &) { return a - b; });
  op("s_mul_f32", keeps, [](float a, float b, B &) { return a * b; });
  op("s_min_f32", keeps, [](float a, float b, B &) { return minNum(a, b); });
  op("s_max_f32", keeps, [](float a, float b, B &) { return maxNum(a, b); });
  op("s_minimum_f32", keeps,
     [](float a, float b, B &) { return minimum(a, b); });
  op("s_maximum_f32", keeps,
     [](float a, float b, B &) { return maximum(a, b); });
  op("s_fmaak_f32", keeps,
     [](float a, float b, float k, B &) { return std::fmaf(a, b, k); });
  t["s_fmamk_f32"] = t["s_fmac_f32"] = t["s_fmaak_f32"];
  t["s_fmac_f32"].shape.sources = 2;
  t["s_fmac_f32"].shape.tied = true;
  op("s_ceil_f32", keeps, [](float a, B &) { return std::ceil(a); });
  op("s_floor_f32", keeps, [](float a, B &) { return std::floor(a); });
  op("s_trunc_f32", keeps, [](float a, B &) { return std::trunc(a); });
  op("s_rndne_f32", keeps, [](float a, B &) { return std::nearbyint(a); });
  op("s_cvt_f32_i32", keeps, [](i32 a, B &) { return float(a); });
  op("s_cvt_f32_u32", keeps, [](u32 a, B &) { return float(a); });
  op("s_cvt_i32_f32", keeps, [](float a, B &) { return saturate<i32>(a); });
  op("s_cvt_u32_f32", keeps, [](float a, B &) { return saturate<u32>(a); });
  op("s_cvt_f16_f32", keeps, [](float a, B &) { return u32(doubleToHalf(a)); });
  op("s_cvt_f32_f16", keeps,
     [](u32 a, B &) { return halfToFloat(uint16_t(a)); });
  op("s_cvt_hi_f32_f16", keeps,
     [](u32 a, B &) { return halfToFloat(uint16_t(a >> 16)); });
  op("v_s_rcp_f32", keeps, [](float a, B &) { return flush(1.0f / flush(a)); });
  op("v_s_rsq_f32", keeps, [](float a, B &) {
    return flush(float(1.0 / std::sqrt(double(flush(a)))));
  });
  op("v_s_sqrt_f32", keeps, [](float a, B &) { return std::sqrt(flush(a)); });
  op("v_s_exp_f32", keeps,
     [](float a, B &) { return flush(float(std::exp2(double(flush(a))))); });
  op("v_s_log_f32", keeps,
     [](float a, B &) { return flush(float(std::log2(double(flush(a))))); });

  auto exec = [&](const char *name, auto f, auto wrexec) {
    Operation o;
    o.shape.results = 1;
    o.shape.result[0] = Type::mask;
    o.shape.sources = 1;
    o.shape.source[0] = Type::mask;
    o.shape.writesScc = true;
    o.run = saveExec<decltype(f), decltype(wrexec)::value>;
    for (const char *width : {"_b32", "_b64"})
      t[std::string(name) + width] = o;
  };
  std::false_type save;
  std::true_type wrexec;
  exec("s_and_saveexec", [](u64 s, u64 e) { return s & e; }, save);
  exec("s_or_saveexec", [](u64 s, u64 e) { return s | e; }, save);
  exec("s_xor_saveexec", [](u64 s, u64 e) { return s ^ e; }, save);
  exec("s_nand_saveexec", [](u64 s, u64 e) { return ~(s & e); }, save);
  exec("s_nor_saveexec", [](u64 s, u64 e) { return ~(s | e); }, save);
  exec("s_xnor_saveexec", [](u64 s, u64 e) { return ~(s ^ e); }, save);
  exec("s_andn2_saveexec", [](u64 s, u64 e) { return s & ~e; }, save);
  exec("s_orn2_saveexec", [](u64 s, u64 e) { return s | ~e; }, save);
  exec("s_andn1_saveexec", [](u64 s, u64 e) { return ~s & e; }, save);
  exec("s_orn1_saveexec", [](u64 s, u64 e) { return ~s | e; }, save);
  exec("s_andn1_wrexec", [](u64 s, u64 e) { return ~s & e; }, wrexec);
  exec("s_andn2_wrexec", [](u64 s, u64 e) { return s & ~e; }, wrexec);
}
