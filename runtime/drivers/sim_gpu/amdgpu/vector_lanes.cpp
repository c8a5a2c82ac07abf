//===- vector_lanes.cpp - operations between lanes, carries and selects ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lanes.h"

using namespace isthmus::simgpu::amdgpu;

using u32 = uint32_t;
using u64 = uint64_t;

/// V_ADD_CO and V_SUB_CO: sign is 1 or -1; Reverse swaps; with a carry in,
/// source 2 is its mask.
template <int Sign, bool Reverse, bool In>
static void carry(Wave &w, const Inst &i) {
  u32 a[kLanes], b[kLanes], d[kLanes];
  fetch(w, i, Reverse ? 1 : 0, a);
  fetch(w, i, Reverse ? 0 : 1, b);
  u64 in =
      In ? (i.s[2].kind == Operand::scalar ? w.mask(i.s[2].index) : i.s[2].bits)
         : 0;
  u64 out = 0;
  for (unsigned l = 0; l < w.size; ++l) {
    int64_t wide =
        int64_t(a[l]) + Sign * (int64_t(b[l]) + int64_t(in >> l & 1));
    d[l] = u32(wide);
    out |= u64(wide < 0 || wide > int64_t(~0u)) << l;
  }
  out &= w.exec() & w.dppLanes;
  store32(w, i, i.d[0], d);
  w.setMask(i.d[1].index, out);
}

template <bool Wide> static void select(Wave &w, const Inst &i) {
  u32 a[kLanes], b[kLanes], d[kLanes];
  u64 mask =
      i.s[2].kind == Operand::scalar ? w.mask(i.s[2].index) : i.s[2].bits;
  const u32 *p = words(w, i, 0, 0, a), *q = words(w, i, 1, 0, b);
  // Sign modifiers are those of f32.
  auto sign = [](const Operand &o, u32 x) {
    return (o.abs ? x & 0x7fffffff : x) ^ (o.neg ? 0x80000000 : 0);
  };
  for (unsigned l = 0; l < w.size; ++l)
    d[l] = mask >> l & 1 ? sign(i.s[1], q[l]) : sign(i.s[0], p[l]);
  if (Wide)
    store32(w, i, i.d[0], d);
  else
    store16(w, i, i.d[0], d);
}

/// Which lane a scalar operand names.
static unsigned laneOf(Wave &w, const Operand &o) {
  u64 v = o.kind == Operand::scalar ? w.s[o.index] : o.bits;
  return unsigned(v) & (w.size - 1);
}

static void readFirstLane(Wave &w, const Inst &i) {
  unsigned lane = w.exec() ? unsigned(__builtin_ctzll(w.exec())) : 0;
  const Operand &o = i.s[0];
  w.s[i.d[0].index] = o.kind == Operand::vector   ? w.row(o.index)[lane]
                      : o.kind == Operand::scalar ? w.s[o.index]
                                                  : u32(o.bits);
}
static void readLane(Wave &w, const Inst &i) {
  w.s[i.d[0].index] = w.row(i.s[0].index)[laneOf(w, i.s[1])];
}
static void writeLane(Wave &w, const Inst &i) {
  const Operand &o = i.s[0];
  w.row(i.d[0].index)[laneOf(w, i.s[1])] =
      o.kind == Operand::scalar ? w.s[o.index] : u32(o.bits);
}

/// V_PERMLANE16: within rows of 16 lanes, to the lane that 4 bits of two
/// scalars name; V_PERMLANEX16: in the other row of the two.
template <unsigned Other> static void permlane16(Wave &w, const Inst &i) {
  auto scalar = [&](const Operand &o) {
    return o.kind == Operand::scalar ? u64(w.s[o.index]) : u64(u32(o.bits));
  };
  u64 select = scalar(i.s[2]) << 32 | scalar(i.s[1]);
  const u32 *from = w.row(i.s[0].index);
  u32 d[kLanes];
  const u32 *old = w.row(i.d[0].index);
  for (unsigned l = 0; l < w.size; ++l) {
    unsigned lane =
        ((l & ~15u) ^ Other) | unsigned(select >> 4 * (l & 15) & 15);
    // op_sel[0]: also from lanes that are off; op_sel[1]: those give zero.
    bool on = w.exec() >> lane & 1 || i.s[0].half;
    d[l] = on ? from[lane] : i.s[1].half ? 0 : old[l];
  }
  store32(w, i, i.d[0], d);
}

static void permlane64(Wave &w, const Inst &i) {
  const u32 *from = w.row(i.s[0].index);
  u32 d[kLanes];
  for (unsigned l = 0; l < w.size; ++l)
    d[l] = w.size == 64 ? from[l ^ 32] : from[l];
  store32(w, i, i.d[0], d);
}

static void swap32(Wave &w, const Inst &i) {
  u32 a[kLanes], b[kLanes];
  std::memcpy(a, w.row(i.d[0].index), sizeof(a));
  std::memcpy(b, w.row(i.s[0].index), sizeof(b));
  store32(w, i, i.d[0], b);
  store32(w, i, i.s[0], a);
}

/// How many of a mask's bits lie below this lane, plus an addend; in two
/// halves.
template <bool High> static void countBelow(Wave &w, const Inst &i) {
  u32 a[kLanes], b[kLanes], d[kLanes];
  fetch(w, i, 0, a);
  fetch(w, i, 1, b);
  for (unsigned l = 0; l < w.size; ++l) {
    u64 below = (1ull << l) - 1;
    d[l] =
        b[l] + u32(__builtin_popcount(a[l] & u32(High ? below >> 32 : below)));
  }
  store32(w, i, i.d[0], d);
}

/// Where DPP takes lane `l`'s first source from; -1: from nowhere.
static int dppSource(const Wave &w, const Inst &i, unsigned l) {
  unsigned row = l & ~15u, in = l & 15, n = i.dppValue;
  int size = int(w.size);
  switch (i.dpp) {
  case Dpp::quadPerm:
    return int((l & ~3u) | i.dppLanes[l & 3]);
  case Dpp::dpp8:
    return int((l & ~7u) | i.dppLanes[l & 7]);
  case Dpp::rowShl:
    return in + n < 16 ? int(l + n) : -1;
  case Dpp::rowShr:
    return in >= n ? int(l - n) : -1;
  case Dpp::rowRor:
    return int(row | ((in - n) & 15));
  case Dpp::rowMirror:
    return int(row | (15 - in));
  case Dpp::rowHalfMirror:
    return int((l & ~7u) | (7 - (l & 7)));
  case Dpp::rowShare:
  case Dpp::rowNewBcast:
    return int(row | n);
  case Dpp::rowXmask:
    return int(row | (in ^ n));
  case Dpp::rowBcast: // 15: each row's last lane to the next row; 31 likewise
    return n == 15 ? (l >= 16 ? int(row) - 1 : -1) : (l >= 32 ? 31 : -1);
  case Dpp::waveShl:
    return int(l) + 1 < size ? int(l) + 1 : -1;
  case Dpp::waveShr:
    return int(l) - 1;
  case Dpp::waveRol:
    return int(l + 1) % size;
  case Dpp::waveRor:
    return (int(l) + size - 1) % size;
  case Dpp::none:
    break;
  }
  return int(l);
}

/// Which lanes DPP lets write, into `w.dppLanes`; before the operation.
void isthmus::simgpu::amdgpu::prepareDpp(Wave &w, const Inst &i) {
  u64 lanes = 0, exec = w.exec();
  for (unsigned l = 0; l < w.size; ++l) {
    if (i.dpp != Dpp::dpp8 &&
        !(i.rowMask >> (l >> 4) & 1 && i.bankMask >> ((l & 15) >> 2) & 1))
      continue;
    int from = dppSource(w, i, l);
    bool valid = from >= 0 && (i.fetchInactive || exec >> from & 1);
    // What is out of a row's bounds disables the lane, or reads zero.
    if (valid || i.boundCtrl || (from >= 0 && i.dpp == Dpp::dpp8))
      lanes |= 1ull << l;
  }
  w.dppLanes = lanes;
}

const u32 *isthmus::simgpu::amdgpu::specialWords(Wave &w, const Inst &i,
                                                 unsigned n, unsigned word,
                                                 u32 *out) {
  const Operand &o = i.s[n];
  u32 row[kLanes];
  const u32 *p = row;
  if (o.kind == Operand::vector) {
    p = w.row(o.index + word);
  } else {
    u32 value = o.kind == Operand::scalar ? w.s[o.index + word]
                                          : u32(o.bits >> 32 * word);
    for (unsigned l = 0; l < w.size; ++l)
      row[l] = value;
  }
  if (i.dpp != Dpp::none && n == 0) {
    for (unsigned l = 0; l < w.size; ++l) {
      int from = dppSource(w, i, l);
      bool valid = from >= 0 && (i.fetchInactive || w.exec() >> from & 1);
      out[l] = valid ? p[from] : 0;
    }
    p = out;
  }
  bool is16 = i.sourceType[n] == Type::b16 || i.sourceType[n] == Type::f16;
  if (is16 && o.half) {
    for (unsigned l = 0; l < w.size; ++l)
      out[l] = p[l] >> 16;
    p = out;
  }
  if (i.sdwa && o.select != 6) {
    unsigned bits = o.select < 4 ? 8 : 16,
             shift = o.select < 4 ? 8 * o.select : 16 * (o.select - 4);
    for (unsigned l = 0; l < w.size; ++l) {
      u32 v = p[l] >> shift & ((1u << bits) - 1);
      out[l] = o.sext ? u32(int32_t(v << (32 - bits)) >> (32 - bits)) : v;
    }
    p = out;
  }
  return p;
}

void isthmus::simgpu::amdgpu::storeSdwa(Wave &w, const Inst &i,
                                        const Operand &o, const u32 *values) {
  unsigned bits = i.dstSelect < 4 ? 8 : i.dstSelect < 6 ? 16 : 32;
  unsigned shift = i.dstSelect < 4    ? 8 * i.dstSelect
                   : i.dstSelect == 5 ? 16
                                      : 0;
  u32 field = bits == 32 ? ~0u : ((1u << bits) - 1) << shift;
  u32 *to = w.row(o.index);
  const u32 *mask = w.execMask();
  for (unsigned l = 0; l < w.size; ++l) {
    u32 v = values[l] << shift & field, rest = 0;
    if (i.dstPreserve)
      rest = to[l] & ~field;
    else if (i.dstSext && v >> (shift + bits - 1) & 1)
      rest = bits + shift == 32 ? 0 : ~0u << (shift + bits);
    to[l] = ((v | rest) & mask[l]) | (to[l] & ~mask[l]);
  }
}

void isthmus::simgpu::amdgpu::store16(Wave &w, const Inst &i, const Operand &o,
                                      const u32 *values) {
  if (i.sdwa)
    return storeSdwa(w, i, o, values);
  u32 *to = w.row(o.index);
  const u32 *mask = w.execMask();
  for (unsigned l = 0; l < w.size; ++l) {
    u32 v = values[l] & 0xffff;
    if (o.half)
      v = v << 16 | (to[l] & 0xffff);
    else if (i.keepHigh)
      v |= to[l] & 0xffff0000;
    to[l] = (v & mask[l]) | (to[l] & ~mask[l]);
  }
}

void isthmus::simgpu::amdgpu::addVectorLanes(OperationTable &t) {
  auto custom =
      [&](const char *name, Handler run, std::initializer_list<Type> results,
          std::initializer_list<Type> sources, Flow flow = Flow::any) {
        Operation o;
        o.run = run;
        o.flow = flow;
        for (Type type : results)
          o.shape.result[o.shape.results++] = type;
        for (Type type : sources)
          o.shape.source[o.shape.sources++] = type;
        t[name] = o;
      };
  constexpr Type b32 = Type::b32, mask = Type::mask;
  custom("v_add_co_u32", carry<1, false, false>, {b32, mask}, {b32, b32});
  custom("v_sub_co_u32", carry<-1, false, false>, {b32, mask}, {b32, b32});
  custom("v_subrev_co_u32", carry<-1, true, false>, {b32, mask}, {b32, b32});
  custom("v_addc_co_u32", carry<1, false, true>, {b32, mask}, {b32, b32, mask});
  custom("v_subb_co_u32", carry<-1, false, true>, {b32, mask},
         {b32, b32, mask});
  custom("v_subbrev_co_u32", carry<-1, true, true>, {b32, mask},
         {b32, b32, mask});
  custom("v_cndmask_b32", select<true>, {b32}, {b32, b32, mask}, Flow::choose);
  custom("v_cndmask_b16", select<false>, {Type::b16},
         {Type::b16, Type::b16, mask}, Flow::choose);
  custom("v_readfirstlane_b32", readFirstLane, {b32}, {b32}, Flow::firstLane);
  custom("v_readlane_b32", readLane, {b32}, {b32, b32}, Flow::firstLane);
  custom("v_writelane_b32", writeLane, {b32}, {b32, b32}, Flow::writeLane);
  custom("v_permlane16_b32", permlane16<0>, {b32}, {b32, b32, b32});
  custom("v_permlanex16_b32", permlane16<16>, {b32}, {b32, b32, b32});
  custom("v_permlane64_b32", permlane64, {b32}, {b32});
  custom("v_swap_b32", swap32, {b32}, {b32});
  custom("v_mbcnt_lo_u32_b32", countBelow<false>, {b32}, {b32, b32});
  custom("v_mbcnt_hi_u32_b32", countBelow<true>, {b32}, {b32, b32});
}
