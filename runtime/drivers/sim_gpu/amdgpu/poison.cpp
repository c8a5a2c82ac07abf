//===- poison.cpp - bits that nobody has written --------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lanes.h"

#include <algorithm>

using namespace isthmus::simgpu::amdgpu;

// Each register has a second one whose bits say which of its bits were never
// written. Bitwise operations carry it bit by bit; of the others a result is
// poison as a whole if any operand is. It is reported where it matters: in an
// address, a branch, exec, and what is stored to a buffer.

using u32 = uint32_t;
using u64 = uint64_t;

static std::string nameOf(const Operand &o) {
  return (o.kind == Operand::vector ? "v" : "s") + std::to_string(o.index);
}

bool isthmus::simgpu::amdgpu::poisonedScalar(Wave &w, const Inst &i, unsigned r,
                                             unsigned count, const char *use) {
  for (unsigned k = 0; k < count; ++k)
    if (w.sPoison[r + k]) {
      std::string name = r == kScc   ? "scc"
                         : r == kVcc ? "vcc"
                                     : "s" + std::to_string(r + k);
      w.fail(i, std::string(use) + " depends on " + name +
                    ", which was never written");
      return true;
    }
  return false;
}

bool isthmus::simgpu::amdgpu::poisoned(Wave &w, const Inst &i, const Operand &o,
                                       const char *use) {
  if (o.kind == Operand::scalar)
    return poisonedScalar(w, i, o.index, o.count, use);
  if (o.kind != Operand::vector)
    return false;
  for (unsigned k = 0; k < o.count; ++k)
    for (unsigned l = 0; l < w.size; ++l)
      if (w.exec() >> l & 1 && w.poisonRow(o.index + k)[l]) {
        w.fail(i,
               std::string(use) + " depends on v" +
                   std::to_string(o.index + k) + ", which was never written",
               l);
        return true;
      }
  return false;
}

namespace {
unsigned wordsOf(const Wave &w, const Operand &o, Type t) {
  switch (t) {
  case Type::b64:
  case Type::i64:
  case Type::f64:
  case Type::pkf32:
    return 2;
  case Type::mask:
    return w.size / 32;
  default:
    return 1;
  }
}
bool is16(Type t) { return t == Type::b16 || t == Type::f16; }
bool isPacked(Type t) {
  return t == Type::pk16 || t == Type::pkf16 || t == Type::pkf32;
}

/// Of two halves, each of its own operands' halves.
u64 packedPoison(const Inst &i, const u64 (*poison)[kLanes], unsigned l) {
  u64 out = 0;
  unsigned bits = i.sourceType[0] == Type::pkf32 ? 32 : 16;
  u64 whole = (1ull << bits) - 1;
  bool move = i.flow == Flow::copy; // v_pk_mov: a part of each operand
  for (unsigned part = 0; part < 2; ++part)
    for (unsigned n = 0; n < i.sources; ++n) {
      u64 p = poison[n][l];
      bool high = part ? i.s[n].halfHigh : i.s[n].half;
      if (isPacked(i.sourceType[n]))
        p = high ? p >> bits : p & whole;
      if (p && (!move || n == part))
        out |= whole << bits * part;
    }
  return out;
}

/// The lowest of some bits and all above it.
u64 upward(u64 p) { return p ? ~((p & -p) - 1) : 0; }

/// What an operation does to bits: values and poison in, poison out.
u64 flowBits(Flow flow, unsigned bits, u64 a, u64 pa, u64 b, u64 pb) {
  u64 all = bits == 64 ? ~0ull : 0xffffffffull;
  auto sign = [&](u64 x, u64 n) {
    return bits == 64 ? u64(int64_t(x) >> n) : u64(u32(int32_t(u32(x)) >> n));
  };
  u64 n = bits - 1;
  switch (flow) {
  case Flow::copy:
    return pa;
  case Flow::bitAnd:
    return (pa & pb) | (pa & b) | (pb & a);
  case Flow::bitAndNot:
    return (pa & pb) | (pa & ~b) | (pb & a);
  case Flow::bitOr:
    return (pa & pb) | (pa & ~b) | (pb & ~a);
  case Flow::bitXor:
    return pa | pb;
  case Flow::shiftLeft:
    return pb & n ? all : pa << (b & n) & all;
  case Flow::shiftLeftRev:
    return pa & n ? all : pb << (a & n) & all;
  case Flow::shiftRight:
    return pb & n ? all : pa >> (b & n);
  case Flow::shiftRightRev:
    return pa & n ? all : pb >> (a & n);
  case Flow::arithmeticRight:
    return pb & n ? all : sign(pa, b & n);
  case Flow::arithmeticRightRev:
    return pa & n ? all : sign(pb, a & n);
  case Flow::upward:
    return upward(pa | pb) & all;
  case Flow::byte0:
  case Flow::byte1:
  case Flow::byte2:
  case Flow::byte3:
    return pa >> 8 * (unsigned(flow) - unsigned(Flow::byte0)) & 0xff ? all : 0;
  default:
    return pa || pb ? all : 0;
  }
}

/// The same of three operands.
u64 flowBits3(Flow flow, u64 all, const u64 *v, const u64 *p) {
  switch (flow) {
  case Flow::upward:
    return upward(p[0] | p[1] | p[2]) & all;
  case Flow::bitOr:
    return (p[0] & (p[1] | ~v[1]) & (p[2] | ~v[2])) |
           (p[1] & (p[0] | ~v[0]) & (p[2] | ~v[2])) |
           (p[2] & (p[0] | ~v[0]) & (p[1] | ~v[1]));
  case Flow::bitXor:
    return p[0] | p[1] | p[2];
  case Flow::andOr: {
    u64 both = flowBits(Flow::bitAnd, 32, v[0], p[0], v[1], p[1]);
    return flowBits(Flow::bitOr, 32, v[0] & v[1], both, v[2], p[2]);
  }
  case Flow::shiftOr: {
    u64 moved = flowBits(Flow::shiftLeft, 32, v[0], p[0], v[1], p[1]);
    return flowBits(Flow::bitOr, 32, v[0] << (v[1] & 31), moved, v[2], p[2]);
  }
  case Flow::bitSelect:
    return p[0] ? all : (v[0] & p[1]) | (~v[0] & p[2]);
  case Flow::field:
    return p[1] || p[2] ? all
                        : p[0] >> (v[1] & 31) & ((1ull << (v[2] & 31)) - 1);
  case Flow::signedField:
    return p[1] || p[2] || (p[0] >> (v[1] & 31) & ((1ull << (v[2] & 31)) - 1))
               ? all
               : 0;
  case Flow::funnel:
    return p[2] ? all : (p[0] << 32 | p[1]) >> (v[2] & 31) & all;
  case Flow::permute: {
    if (p[2])
      return all;
    u64 data = p[0] << 32 | p[1], out = 0;
    for (unsigned k = 0; k < 4; ++k) {
      u64 c = v[2] >> 8 * k & 0xff;
      bool whole = c >= 8 && c < 12 && data >> (16 * (c - 8) + 15) & 1;
      out |= (c < 8 ? data >> 8 * c & 0xff : whole ? 0xff : 0) << 8 * k;
    }
    return out;
  }
  default:
    return p[0] || p[1] || p[2] ? all : 0;
  }
}

u64 scalarValue(const Wave &w, const Operand &o, unsigned words) {
  return o.kind == Operand::constant ? o.bits
         : words == 2                ? w.pair(o.index)
                                     : w.s[o.index];
}
u64 scalarPoison(const Wave &w, const Operand &o, unsigned words) {
  if (o.kind != Operand::scalar)
    return 0;
  return words == 2 ? u64(w.sPoison[o.index + 1]) << 32 | w.sPoison[o.index]
                    : w.sPoison[o.index];
}
void setScalarPoison(Wave &w, const Inst &i, const Operand &o, unsigned words,
                     u64 p) {
  if (o.index == kNull)
    return;
  if (o.index == kExec && p & w.lanes())
    return w.fail(i, "exec depends on what was never written");
  w.sPoison[o.index] = u32(p);
  if (words == 2)
    w.sPoison[o.index + 1] = u32(p >> 32);
}

void flowScalar(Wave &w, const Inst &i) {
  u64 v[5] = {}, p[5] = {}, any = 0;
  unsigned words = i.results ? wordsOf(w, i.d[0], i.resultType[0]) : 1;
  for (unsigned n = 0; n < i.sources; ++n) {
    unsigned count = wordsOf(w, i.s[n], i.sourceType[n]);
    v[n] = scalarValue(w, i.s[n], count);
    p[n] = scalarPoison(w, i.s[n], count);
    any |= p[n];
  }
  if (i.readsScc)
    any |= w.sPoison[kScc];
  u64 all = words == 2 ? ~0ull : 0xffffffffull, out;
  if (i.text.find("_saveexec") != std::string::npos ||
      i.text.find("_wrexec") != std::string::npos) {
    if (p[0] & w.exec())
      return w.fail(i, "exec depends on " + nameOf(i.s[0]) +
                           ", which was never written");
    any = out = 0;
  } else if (i.flow == Flow::choose) {
    out = w.sPoison[kScc] ? all : w.s[kScc] ? p[0] : p[1];
  } else if (i.flow == Flow::bitTest) {
    any = p[1] ? 1 : p[0] >> (v[1] & 63) & 1;
    out = 0;
  } else if (i.flow == Flow::scalarField) {
    unsigned width = v[1] >> 16 & 0x7f;
    u64 field = width >= 32 ? all : (1ull << width) - 1;
    out = any = p[1] ? all : p[0] >> (v[1] & 31) & field;
  } else if (i.flow == Flow::any) {
    out = any ? all : 0;
  } else {
    out = flowBits(i.flow, words * 32, v[0], p[0], v[1], p[1]);
  }
  if (i.results)
    setScalarPoison(w, i, i.d[0], words, out);
  if (!i.writesScc)
    return;
  bool scc = any != 0;
  if (scc && i.results && i.flow != Flow::any) {
    // scc says whether a bit is set: one that is known to be is enough.
    u64 known = ~0ull;
    if (i.flow == Flow::bitAnd)
      known = v[0] & v[1] & ~p[0] & ~p[1];
    else if (i.flow == Flow::bitAndNot)
      known = v[0] & ~v[1] & ~p[0] & ~p[1];
    else if (i.flow == Flow::bitOr)
      known = (v[0] & ~p[0]) | (v[1] & ~p[1]);
    else
      known = 0;
    scc = out != 0 && !(known & all);
  }
  w.sPoison[kScc] = scc;
}

/// Poison of source `n` in a lane, as the operation sees it.
void vectorPoison(Wave &w, const Inst &i, unsigned n, u64 *value, u64 *poison) {
  const Operand &o = i.s[n];
  unsigned count = wordsOf(w, o, i.sourceType[n]);
  u32 temporary[kLanes];
  for (unsigned l = 0; l < w.size; ++l)
    value[l] = poison[l] = 0;
  if (o.kind != Operand::vector && i.sourceType[n] == Type::mask) {
    u64 v = scalarValue(w, o, count), p = scalarPoison(w, o, count);
    for (unsigned l = 0; l < w.size; ++l)
      value[l] = v >> l & 1, poison[l] = p >> l & 1;
    return;
  }
  for (unsigned k = 0; k < count; ++k) {
    const u32 *v = words(w, i, n, k, temporary);
    for (unsigned l = 0; l < w.size; ++l)
      value[l] |= u64(v[l]) << 32 * k;
    if (o.kind == Operand::constant)
      continue;
    // The same way through halves, SDWA and DPP, in the other file.
    std::swap(w.v, w.vPoison);
    u32 scalar = 0;
    if (o.kind == Operand::scalar) {
      scalar = w.s[o.index + k];
      w.s[o.index + k] = w.sPoison[o.index + k];
    }
    const u32 *p = words(w, i, n, k, temporary);
    for (unsigned l = 0; l < w.size; ++l)
      poison[l] |= u64(p[l]) << 32 * k;
    std::swap(w.v, w.vPoison);
    if (o.kind == Operand::scalar)
      w.s[o.index + k] = scalar;
  }
  u64 seen = ~0ull;
  if (is16(i.sourceType[n]))
    seen = 0xffff;
  else if (i.sourceType[n] != Type::pkf32 && isPacked(i.sourceType[n]) &&
           o.half == o.halfHigh)
    seen = o.half ? 0xffff0000 : 0xffff;
  for (unsigned l = 0; l < w.size; ++l)
    poison[l] &= seen;
}

void flowVector(Wave &w, const Inst &i) {
  u64 value[5][kLanes], poison[5][kLanes];
  u64 exec = w.exec() & w.dppLanes;
  if (i.flow == Flow::firstLane) {
    unsigned lane = w.exec() ? unsigned(__builtin_ctzll(w.exec())) : 0;
    if (i.sources > 1)
      lane = unsigned(scalarValue(w, i.s[1], 1)) & (w.size - 1);
    u32 p = i.s[0].kind == Operand::vector ? w.poisonRow(i.s[0].index)[lane]
                                           : u32(scalarPoison(w, i.s[0], 1));
    return setScalarPoison(w, i, i.d[0], 1, p);
  }
  if (i.flow == Flow::writeLane) {
    unsigned lane = unsigned(scalarValue(w, i.s[1], 1)) & (w.size - 1);
    w.poisonRow(i.d[0].index)[lane] = u32(scalarPoison(w, i.s[0], 1));
    return;
  }
  for (unsigned n = 0; n < i.sources; ++n)
    vectorPoison(w, i, n, value[n], poison[n]);
  unsigned words = i.results ? wordsOf(w, i.d[0], i.resultType[0]) : 1;
  u64 lanes = 0, all = words == 2 ? ~0ull : 0xffffffffull;
  bool packed = i.sources && isPacked(i.sourceType[0]);
  bool toMask = i.results && i.resultType[0] == Type::mask;
  for (unsigned l = 0; l < w.size; ++l) {
    if (!(exec >> l & 1))
      continue;
    u64 any = 0, out;
    for (unsigned n = 0; n < i.sources; ++n)
      any |= poison[n][l];
    if (i.flow == Flow::choose)
      out = poison[2][l] ? all : value[2][l] ? poison[1][l] : poison[0][l];
    else if (packed)
      out = packedPoison(i, poison, l);
    else if (i.flow == Flow::any || i.flow == Flow::compare)
      out = any ? all : 0;
    else if (i.sources > 2) {
      u64 v[3] = {value[0][l], value[1][l], value[2][l]};
      u64 p[3] = {poison[0][l], poison[1][l], poison[2][l]};
      out = flowBits3(i.flow, all, v, p);
    } else
      out = flowBits(i.flow, words * 32, value[0][l], poison[0][l], value[1][l],
                     poison[1][l]);
    lanes |= u64(any != 0) << l;
    if (toMask || !i.results || i.d[0].kind != Operand::vector)
      continue;
    u32 &low = w.poisonRow(i.d[0].index)[l];
    if (i.sdwa && i.dstSelect != 6) {
      unsigned bits = i.dstSelect < 4 ? 8 : 16,
               shift =
                   i.dstSelect < 4 ? 8 * i.dstSelect : 16 * (i.dstSelect - 4);
      u32 field = ((1u << bits) - 1) << shift;
      low = (i.dstPreserve ? low & ~field : 0) | (u32(out) << shift & field);
    } else if (is16(i.resultType[0])) {
      u32 half = u32(out) & 0xffff;
      if (i.d[0].half)
        low = (low & 0xffff) | half << 16;
      else
        low = half | (i.keepHigh ? low & 0xffff0000 : 0);
    } else {
      low = u32(out);
      if (words == 2)
        w.poisonRow(i.d[0].index + 1)[l] = u32(out >> 32);
    }
  }
  for (unsigned n = toMask ? 0 : 1; n < i.results; ++n)
    setScalarPoison(w, i, i.d[n], w.size / 32, lanes);
}
} // namespace

void isthmus::simgpu::amdgpu::flowPoison(Wave &w, const Inst &i) {
  if (i.second) { // VOPD: both halves read before either writes
    const Inst &x = *i.second->second, &y = *i.second;
    u32 *row = w.poisonRow(x.d[0].index), before[kLanes], after[kLanes];
    std::copy_n(row, kLanes, before);
    flowVector(w, x);
    std::copy_n(row, kLanes, after);
    std::copy_n(before, kLanes, row);
    flowVector(w, y);
    std::copy_n(after, kLanes, row);
    return;
  }
  if (i.flow == Flow::none)
    return;
  i.valu ? flowVector(w, i) : flowScalar(w, i);
}
