//===- parse.cpp - an instruction's text to its record --------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "decode.h"
#include "names.h"
#include "numbers.h"

#include <cstdlib>

using namespace isthmus::simgpu::amdgpu;

namespace {
using Text = std::string_view;

bool startsWith(Text t, Text prefix) {
  return t.substr(0, prefix.size()) == prefix;
}

Text trim(Text t) {
  while (!t.empty() && (t.front() == ' ' || t.front() == '\t'))
    t.remove_prefix(1);
  while (!t.empty() &&
         (t.back() == ' ' || t.back() == '\t' || t.back() == '\n'))
    t.remove_suffix(1);
  return t;
}

/// Parts between `separator`s that stand in no bracket.
std::vector<Text> split(Text t, char separator) {
  std::vector<Text> parts;
  int depth = 0;
  size_t begin = 0;
  for (size_t n = 0; n <= t.size(); ++n) {
    char c = n < t.size() ? t[n] : separator;
    if (c == '[' || c == '(')
      ++depth;
    else if (c == ']' || c == ')')
      --depth;
    else if (c == separator && (depth <= 0 || n == t.size())) {
      Text part = trim(t.substr(begin, n - begin));
      if (!part.empty())
        parts.push_back(part);
      begin = n + 1;
    }
  }
  return parts;
}

bool integer(Text t, int64_t &v) {
  std::string s(t);
  char *end;
  bool negative = !s.empty() && s[0] == '-';
  const char *p = s.c_str() + negative;
  if (!(*p >= '0' && *p <= '9'))
    return false;
  uint64_t u = std::strtoull(p, &end, 0);
  if (*end)
    return false;
  v = int64_t(negative ? 0 - u : u);
  return true;
}

/// "[0:3]", "[4]" or "7" behind a register file's letter.
bool registerRange(Text t, unsigned &first, unsigned &count) {
  int64_t low, high;
  if (t.size() > 2 && t.front() == '[' && t.back() == ']') {
    auto ends = split(t.substr(1, t.size() - 2), ':');
    if (ends.empty() || ends.size() > 2 || !integer(ends[0], low) ||
        !integer(ends.back(), high))
      return false;
  } else if (integer(t, low)) {
    high = low;
  } else {
    return false;
  }
  if (low < 0 || high < low || high > 511)
    return false;
  first = unsigned(low);
  count = unsigned(high - low + 1);
  return true;
}

struct Special {
  const char *name;
  uint16_t index;
  uint8_t count;
};
const Special specials[] = {{"vcc", kVcc, 2},
                            {"vcc_lo", kVcc, 1},
                            {"vcc_hi", kVcc + 1, 1},
                            {"exec", kExec, 2},
                            {"exec_lo", kExec, 1},
                            {"exec_hi", kExec + 1, 1},
                            {"m0", kM0, 1},
                            {"null", kNull, 1},
                            {"scc", kScc, 1},
                            {"src_scc", kScc, 1},
                            {"src_shared_base", kSharedBase, 2},
                            {"src_shared_limit", kSharedLimit, 2},
                            {"src_private_base", kPrivateBase, 2},
                            {"src_private_limit", kPrivateLimit, 2},
                            {"flat_scratch", kFlatScratch, 2},
                            {"flat_scratch_lo", kFlatScratch, 1},
                            {"flat_scratch_hi", kFlatScratch + 1, 1},
                            {"xnack_mask", kXnackMask, 2},
                            {"xnack_mask_lo", kXnackMask, 1},
                            {"xnack_mask_hi", kXnackMask + 1, 1}};

bool parseRegister(Text t, const KernelFacts &k, Operand &o) {
  for (const Special &s : specials)
    if (t == s.name) {
      o.kind = Operand::scalar;
      o.index = s.index;
      o.count = s.count;
      return true;
    }
  if (t == "off") {
    o.kind = Operand::off;
    return true;
  }
  if (t.size() > 2 &&
      (t.substr(t.size() - 2) == ".l" || t.substr(t.size() - 2) == ".h")) {
    o.half = t.back() == 'h';
    t.remove_suffix(2);
  }
  unsigned first, count;
  if (startsWith(t, "ttmp") && registerRange(t.substr(4), first, count) &&
      first + count <= 16) {
    o.kind = Operand::scalar;
    o.index = uint16_t(kTtmp + first);
  } else if (t.size() > 1 && t[0] == 's' &&
             registerRange(t.substr(1), first, count) &&
             first + count <= kVcc) {
    o.kind = Operand::scalar;
    o.index = uint16_t(first);
  } else if (t.size() > 1 && t[0] == 'v' &&
             registerRange(t.substr(1), first, count)) {
    o.kind = Operand::vector;
    o.index = uint16_t(first);
  } else if (t.size() > 1 && t[0] == 'a' &&
             registerRange(t.substr(1), first, count)) {
    o.kind = Operand::vector;
    o.accumulator = true;
    o.index = uint16_t(k.accumulatorsAt + first);
  } else {
    return false;
  }
  o.count = uint8_t(count);
  return true;
}

bool parseOperand(Text t, const KernelFacts &k, Operand &o) {
  auto inner = [&](Text open, Text close) {
    if (!startsWith(t, open) || t.size() < open.size() + close.size() ||
        t.substr(t.size() - close.size()) != close)
      return false;
    t = t.substr(open.size(), t.size() - open.size() - close.size());
    return true;
  };
  if (inner("neg(", ")"))
    o.neg = true;
  else if (t.size() > 1 && t[0] == '-' && !(t[1] >= '0' && t[1] <= '9')) {
    o.neg = true;
    t.remove_prefix(1);
  }
  if (inner("|", "|") || inner("abs(", ")"))
    o.abs = true;
  if (inner("sext(", ")"))
    o.sext = true;
  if (parseRegister(t, k, o))
    return true;
  int64_t v;
  o.kind = Operand::constant;
  if (integer(t, v)) {
    o.bits = uint64_t(v);
    o.number = double(v);
    o.isHex = t.find('x') != Text::npos;
    return true;
  }
  std::string s(t);
  char *end;
  o.number = std::strtod(s.c_str(), &end);
  o.isFloat = true;
  return end != s.c_str() && !*end;
}

/// A constant's bits, for what takes it. See getInlineEncodingV216() in LLVM
/// for what the documents say of 16-bit operands and the hardware does not do.
void resolve(Operand &o, Type type) {
  if (o.kind != Operand::constant)
    return;
  double d = o.number;
  if (o.isFloat) {
    // 1 / (2 pi) is printed in short.
    if (std::fabs(d - 0.15915494309189535) < 1e-6)
      d = 0.15915494309189535;
    switch (type) {
    case Type::f16:
    case Type::pkf16:
      o.bits = doubleToHalf(d);
      break;
    case Type::b64:
    case Type::i64:
    case Type::f64:
      o.bits = bitcast<uint64_t>(d);
      break;
    default:
      o.bits = bitcast<uint32_t>(float(d));
    }
  } else if (type == Type::f64 && o.isHex && o.bits <= 0xffffffff) {
    o.bits <<= 32; // a literal is the high half
  } else if (type == Type::i64 && o.isHex && o.bits <= 0xffffffff) {
    o.bits = uint64_t(int64_t(int32_t(o.bits)));
  } else if (type != Type::b64 && type != Type::i64 && type != Type::f64 &&
             type != Type::mask) {
    o.bits = uint32_t(o.bits);
  }
  if (type == Type::pkf32)
    o.bits = (o.bits & 0xffffffff) | o.bits << 32;
}

bool list(Text t, std::vector<int64_t> &out) {
  if (t.size() < 2 || t.front() != '[' || t.back() != ']')
    return false;
  for (Text part : split(t.substr(1, t.size() - 2), ',')) {
    int64_t v;
    if (!integer(part, v))
      return false;
    out.push_back(v);
  }
  return true;
}

struct Modifiers {
  std::vector<int64_t> opSel, opSelHi, negLo, negHi;
  bool hasOpSelHi = false;
};

bool sdwaSelect(Text t, uint8_t &out) {
  static const char *const names[] = {"BYTE_0", "BYTE_1", "BYTE_2", "BYTE_3",
                                      "WORD_0", "WORD_1", "DWORD"};
  for (unsigned n = 0; n < 7; ++n)
    if (t == names[n]) {
      out = uint8_t(n);
      return true;
    }
  return false;
}

/// DS_SWIZZLE's pattern in words.
bool parseSwizzle(Text t, int32_t &out) {
  if (!startsWith(t, "swizzle(") || t.back() != ')')
    return false;
  auto parts = split(t.substr(8, t.size() - 9), ',');
  int64_t v[5] = {};
  if (parts.size() < 2 || parts.size() > 5)
    return false;
  if (parts[0] == "BITMASK_PERM") {
    Text mask = parts[1];
    if (mask.size() != 7)
      return false;
    unsigned andMask = 0, orMask = 0, xorMask = 0;
    for (unsigned n = 0; n < 5; ++n) {
      unsigned bit = 16 >> n;
      char c = mask[n + 1];
      if (c == 'p' || c == 'i')
        andMask |= bit;
      if (c == 'i')
        xorMask |= bit;
      if (c == '1')
        orMask |= bit;
    }
    out = int32_t(andMask | orMask << 5 | xorMask << 10);
    return true;
  }
  for (size_t n = 1; n < parts.size(); ++n)
    if (!integer(parts[n], v[n]))
      return false;
  if (parts[0] == "QUAD_PERM" && parts.size() == 5)
    out = int32_t(0x8000 | v[1] | v[2] << 2 | v[3] << 4 | v[4] << 6);
  else if (parts[0] == "SWAP")
    out = int32_t(0x1f | v[1] << 10);
  else if (parts[0] == "REVERSE")
    out = int32_t(0x1f | (v[1] - 1) << 10);
  else if (parts[0] == "BROADCAST" && parts.size() == 3)
    out = int32_t((32 - v[1]) | v[2] << 5);
  else
    return false;
  return true;
}

/// A word behind the operands. False: not known.
bool parseModifier(Text t, Inst &i, Modifiers &m) {
  static const std::pair<const char *, Dpp> dppValues[] = {
      {"row_shl:", Dpp::rowShl},           {"row_shr:", Dpp::rowShr},
      {"row_ror:", Dpp::rowRor},           {"row_share:", Dpp::rowShare},
      {"row_xmask:", Dpp::rowXmask},       {"row_bcast:", Dpp::rowBcast},
      {"row_newbcast:", Dpp::rowNewBcast}, {"wave_shl:", Dpp::waveShl},
      {"wave_shr:", Dpp::waveShr},         {"wave_rol:", Dpp::waveRol},
      {"wave_ror:", Dpp::waveRor}};
  // Caches, of which there are none here.
  static const char *const ignored[] = {"slc", "dlc", "nt", "sc1", "nv"};
  for (const char *word : ignored)
    if (t == word)
      return true;
  if (startsWith(t, "scope:"))
    return true;
  if (t == "glc" || t == "sc0" || t == "th:TH_ATOMIC_RETURN") {
    i.glc = true;
    return true;
  }
  if (startsWith(t, "th:")) {
    i.glc |= t.find("ATOMIC_RETURN") != Text::npos;
    return true;
  }
  auto flag = [&](const char *name, bool &to) {
    return t == name && (to = true);
  };
  if (flag("clamp", i.clamp) || flag("offen", i.offen) ||
      flag("idxen", i.idxen))
    return true;
  if (t == "mul:2" || t == "mul:4" || t == "div:2") {
    i.omod = t == "mul:2" ? 1 : t == "mul:4" ? 2 : 3;
    return true;
  }
  if (t == "row_mirror" || t == "row_half_mirror") {
    i.dpp = t == "row_mirror" ? Dpp::rowMirror : Dpp::rowHalfMirror;
    return true;
  }
  size_t colon = t.find(':');
  if (colon == Text::npos)
    return false;
  Text key = t.substr(0, colon), value = t.substr(colon + 1);
  for (auto [name, dpp] : dppValues)
    if (startsWith(t, name)) {
      int64_t v;
      i.dpp = dpp;
      return integer(value, v) && ((i.dppValue = uint8_t(v)), true);
    }
  if (key == "quad_perm" || key == "dpp8") {
    std::vector<int64_t> lanes;
    i.dpp = key == "dpp8" ? Dpp::dpp8 : Dpp::quadPerm;
    if (!list(value, lanes) || lanes.size() != (key == "dpp8" ? 8u : 4u))
      return false;
    for (size_t n = 0; n < lanes.size(); ++n)
      i.dppLanes[n] = uint8_t(lanes[n]);
    return true;
  }
  if (key == "op_sel")
    return list(value, m.opSel);
  if (key == "op_sel_hi")
    return m.hasOpSelHi = true, list(value, m.opSelHi);
  if (key == "neg_lo")
    return list(value, m.negLo);
  if (key == "neg_hi")
    return list(value, m.negHi);
  if (key == "dst_sel")
    return i.sdwa = true, sdwaSelect(value, i.dstSelect);
  if (key == "dst_unused") {
    i.dstPreserve = value == "UNUSED_PRESERVE";
    i.dstSext = value == "UNUSED_SEXT";
    return i.dstPreserve || i.dstSext || value == "UNUSED_PAD";
  }
  if (key == "src0_sel")
    return i.sdwa = true, sdwaSelect(value, i.s[0].select);
  if (key == "src1_sel")
    return i.sdwa = true, sdwaSelect(value, i.s[1].select);
  if (key == "offset" && startsWith(value, "swizzle"))
    return parseSwizzle(value, i.offset);
  int64_t v;
  if (!integer(value, v))
    return false;
  if (key == "offset" || key == "offset0")
    i.offset = int32_t(v);
  else if (key == "offset1")
    i.offset1 = int32_t(v);
  else if (key == "row_mask")
    i.rowMask = uint8_t(v);
  else if (key == "bank_mask")
    i.bankMask = uint8_t(v);
  else if (key == "bound_ctrl")
    i.boundCtrl = true;
  else if (key == "fi")
    i.fetchInactive = v != 0;
  else
    return (key == "cbsz" || key == "abid" || key == "blgp") && v == 0;
  return true;
}

bool parseWaits(Text name, Text rest, const KernelFacts &k, Inst &i) {
  auto set = [&](Counter c, int64_t v) {
    i.wait[c] = uint8_t(v > 254 ? 254 : v);
  };
  int64_t v;
  if (name == "s_waitcnt") {
    for (Text word : split(rest, ' ')) {
      size_t open = word.find('(');
      if (word == "&")
        continue;
      if (open == Text::npos || word.back() != ')' ||
          !integer(word.substr(open + 1, word.size() - open - 2), v))
        return false;
      Text key = word.substr(0, open);
      if (key == "vmcnt")
        set(kLoad, v);
      else if (key == "lgkmcnt")
        set(kDs, v);
      else if (key != "expcnt")
        return false;
    }
    return true;
  }
  auto operands = split(rest, ',');
  if (operands.empty() || !integer(operands.back(), v))
    return false;
  if (name == "s_waitcnt_vscnt" || name == "s_wait_storecnt")
    set(kStore, v);
  else if (name == "s_waitcnt_vmcnt" || name == "s_wait_loadcnt")
    set(kLoad, v);
  else if (name == "s_waitcnt_lgkmcnt" || name == "s_wait_dscnt")
    set(kDs, v);
  else if (name == "s_wait_kmcnt")
    set(kScalar, v);
  else if (name == "s_wait_loadcnt_dscnt" || name == "s_wait_storecnt_dscnt") {
    set(name == "s_wait_loadcnt_dscnt" ? kLoad : kStore, v >> 8 & 63);
    set(kDs, v & 63);
  } else {
    return false;
  }
  return true;
}

const OperationTable &operations() {
  static const OperationTable *const table = [] {
    auto *t = new OperationTable;
    addScalar(*t);
    addControl(*t);
    addVector32(*t);
    addVector64(*t);
    addVector16(*t);
    addVectorConvert(*t);
    addVectorCompare(*t);
    addVectorLanes(*t);
    addPacked(*t);
    addMatrix(*t);
    return t;
  }();
  return *table;
}

bool isPacked(Text name) {
  return startsWith(name, "v_pk_") || startsWith(name, "v_dot") ||
         startsWith(name, "v_wmma");
}

void applyModifiers(Text name, const KernelFacts &k, const Shape &shape,
                    const Modifiers &m, Inst &i) {
  bool mix = startsWith(name, "v_fma_mix"), packed = isPacked(name);
  for (unsigned n = 0; n < i.sources; ++n) {
    Operand &o = i.s[n];
    if (n < m.opSel.size())
      o.half |= m.opSel[n] != 0;
    if (m.hasOpSelHi)
      o.halfHigh = n < m.opSelHi.size() && m.opSelHi[n];
    else
      o.halfHigh = !mix;
    if (mix && o.halfHigh) {
      i.sourceType[n] = Type::f16;
      resolve(o, Type::f16);
    }
    if (n < m.negLo.size())
      o.neg |= m.negLo[n] != 0;
    if (n < m.negHi.size())
      o.negHigh = m.negHi[n] != 0;
  }
  if (!packed && !mix && i.results && m.opSel.size() > shape.sources)
    i.d[0].half |= m.opSel[shape.sources] != 0;
  // gfx9 clears the high half but for operations of three operands: see
  // zeroesHigh16BitsOfDest() in LLVM.
  i.keepHigh = (k.generation != Generation::gfx9 || shape.sources == 3) &&
               name.find("_legacy_") == Text::npos;
  if (startsWith(name, "v_fma_mixlo") || startsWith(name, "v_fma_mixhi")) {
    i.resultType[0] = Type::f16; // the other half stays
    i.keepHigh = true;
    i.d[0].half = startsWith(name, "v_fma_mixhi");
  }
  bool halves = false;
  for (unsigned n = 0; n < i.sources; ++n)
    halves |= i.s[n].half &&
              (i.sourceType[n] == Type::b16 || i.sourceType[n] == Type::f16);
  i.special = i.sdwa || i.dpp != Dpp::none || halves;
}

void noteUses(const KernelFacts &k, const Shape &shape, Inst &i) {
  auto note = [&](const Operand &o, bool write) {
    if ((o.kind == Operand::vector || o.kind == Operand::scalar) && o.count &&
        o.index != kNull)
      i.uses.push_back({o.kind == Operand::vector, write, o.index, o.count});
  };
  // What a load leaves of its register it does not look at.
  unsigned sources = i.sources - (i.kind == Class::memory && shape.tied);
  for (unsigned n = 0; n < sources; ++n)
    note(i.s[n], false);
  for (unsigned n = 0; n < i.results; ++n)
    note(i.d[n], true);
  if (shape.readsVcc)
    i.uses.push_back({false, false, kVcc, uint16_t(k.waveSize / 32)});
}
} // namespace

static bool parseOne(Text text, const KernelFacts &k, Inst &i,
                     std::string &error) {
  text = trim(text);
  size_t space = text.find_first_of(" \t");
  Text mnemonic = text.substr(0, space);
  Text rest = space == Text::npos ? Text() : trim(text.substr(space));
  std::string name = canonicalName(mnemonic);
  auto unknown = [&](const std::string &what) {
    error = what + " in '" + std::string(text) + "'";
    return false;
  };

  Operation operation;
  auto found = operations().end();
  if (k.generation == Generation::gfx12)
    found = operations().find(name + "@gfx12");
  if (found == operations().end())
    found = operations().find(name);
  if (found != operations().end())
    operation = found->second;
  else if (!findMemory(name, i, operation) && !findLds(name, i, operation) &&
           !findScalarMemory(name, i, operation)) {
    error = "instruction " + std::string(mnemonic) + " is not known";
    return false;
  }
  const Shape &shape = operation.shape;
  i.run = operation.run;
  i.kind = operation.kind;
  i.flow = operation.flow;
  i.valu = startsWith(name, "v_") && !startsWith(name, "v_s_");
  i.readsScc = shape.readsScc;
  i.writesScc = shape.writesScc;

  if (startsWith(name, "s_wait")) {
    if (i.run && !parseWaits(name, rest, k, i) && operations().count(name) &&
        operation.run != operations().at("s_nop").run)
      return unknown("a count that is not known");
    return true;
  }
  if (operation.kind == Class::control || operation.kind == Class::barrier) {
    if (startsWith(name, "s_cbranch") || name == "s_branch") {
      int64_t v;
      if (!integer(rest.substr(0, rest.find(' ')), v))
        return unknown("a branch to nowhere");
      i.offset = int16_t(v);
    } else if (startsWith(name, "s_barrier") && !rest.empty() && rest != "-1" &&
               rest != "0xffff") {
      return unknown("a named barrier");
    }
    if (shape.readsVcc)
      noteUses(k, shape, i);
    return true;
  }

  // Operands, and the words behind the last of them.
  Modifiers modifiers;
  std::vector<Operand> operands;
  std::vector<Text> words;
  for (Text part : split(rest, ',')) {
    auto inPart = split(part, ' ');
    if (inPart.empty())
      return unknown("an empty operand");
    size_t n = 0;
    Operand o;
    if (parseOperand(inPart[0], k, o))
      operands.push_back(o), n = 1;
    words.insert(words.end(), inPart.begin() + long(n), inPart.end());
  }
  for (Operand &o : operands)
    o.select = 6;
  for (Text word : words)
    if (!parseModifier(word, i, modifiers))
      return unknown("operand or modifier '" + std::string(word) + "'");
  uint8_t select[2] = {i.s[0].select, i.s[1].select};

  unsigned results = shape.results;
  if (startsWith(mnemonic, "v_dual_cndmask") ||
      (name == "v_cndmask_b32" && operands.size() == 3)) {
    Operand vcc;
    vcc.kind = Operand::scalar;
    vcc.index = kVcc;
    vcc.count = uint8_t(k.waveSize / 32);
    operands.push_back(vcc);
  }
  if (startsWith(name, "v_cmpx")) {
    Operand exec;
    exec.kind = Operand::scalar;
    exec.index = kExec;
    exec.count = uint8_t(k.waveSize / 32);
    // gfx9 names a mask that it writes too.
    operands.insert(operands.begin(), exec);
    results = operands.size() == 4 ? 2 : 1;
  }
  bool isAtomic = i.run && name.find("_atomic_") != std::string::npos;
  if (isAtomic) {
    bool flat = startsWith(name, "flat");
    results = operands.size() > (flat ? 2u : 3u);
    if (bool(results) != i.glc)
      return unknown("a returning atomic without a result");
  }
  if (startsWith(name, "buffer_store") && operands.size() > 1)
    std::swap(operands[0], operands[1]);
  if (operands.size() < results)
    return unknown("too few operands");
  i.results = uint8_t(results);
  for (unsigned n = 0; n < results; ++n) {
    i.d[n] = operands[n];
    i.resultType[n] = n < shape.results ? shape.result[n] : shape.result[0];
    if (i.d[n].kind != Operand::vector && i.d[n].kind != Operand::scalar)
      return unknown("a result that is no register");
  }
  unsigned sources = unsigned(operands.size()) - results;
  bool loose = i.kind == Class::memory;
  // A tied source has no text of its own; vector operations count it.
  unsigned wanted = shape.sources - (i.valu && shape.tied);
  if (sources > 5 || sources > wanted || (sources < wanted && !loose))
    return unknown("a number of operands that is not known");
  for (unsigned n = 0; n < sources; ++n) {
    i.s[n] = operands[results + n];
    i.sourceType[n] = shape.source[n];
    if (n < 2)
      i.s[n].select = select[n];
    if (startsWith(name, "s_") && name.size() > 5 &&
        name.substr(name.size() - 5) == "k_i32" && !startsWith(name, "s_cmpk"))
      i.s[n].bits = uint64_t(int64_t(int16_t(i.s[n].bits)));
    if (startsWith(name, "s_cmpk") && name.substr(name.size() - 3) == "i32" &&
        i.s[n].kind == Operand::constant)
      i.s[n].bits = uint64_t(int64_t(int16_t(i.s[n].bits)));
    resolve(i.s[n], i.sourceType[n]);
    if (i.s[n].neg && i.s[n].kind == Operand::constant && !i.valu)
      return unknown("a negated constant");
  }
  i.sources = uint8_t(sources);
  if (shape.tied) {
    i.s[sources] = i.d[0];
    i.sourceType[sources] = i.resultType[0];
    ++i.sources;
  }
  if (i.target) { // of two accesses to LDS
    i.offset *= int32_t(i.target);
    i.offset1 *= int32_t(i.target);
  }
  applyModifiers(name, k, shape, modifiers, i);
  // Register files: what the descriptor does not give is not there.
  for (unsigned n = 0; n < unsigned(i.results + i.sources); ++n) {
    const Operand &o = n < i.results ? i.d[n] : i.s[n - i.results];
    if (o.kind == Operand::vector && unsigned(o.index + o.count) > k.vectors)
      return unknown("a vector register beyond the kernel's " +
                     std::to_string(k.vectors));
    // What reads or writes a register by its type must find them all.
    Type type = n < i.results ? i.resultType[n] : i.sourceType[n - i.results];
    unsigned need = type == Type::b64 || type == Type::i64 ||
                            type == Type::f64 || type == Type::pkf32
                        ? 2
                    : type == Type::mask ? k.waveSize / 32
                                         : 1;
    if ((o.kind == Operand::vector || o.kind == Operand::scalar) &&
        o.index != kNull && o.count < need)
      return unknown("too few registers");
  }
  if (loose) {
    unsigned need = std::max(i.bytes / 4, 1) * (i.target ? 2 : 1);
    bool ok = !i.results || i.d[0].index == kNull || i.d[0].count >= need;
    if (startsWith(name, "s_"))
      ok &= i.s[0].kind == Operand::scalar &&
            i.s[0].count >= (startsWith(name, "s_buffer") ? 4 : 2);
    else if (startsWith(name, "ds_"))
      ok &= i.s[0].kind == Operand::vector;
    for (unsigned n = 1; n < i.sources && !i.results && ok; ++n)
      if (i.s[n].kind == Operand::vector)
        ok &= i.s[n].count >= std::max(i.bytes / 4, 1);
    if (!ok)
      return unknown("too few registers");
  }
  noteUses(k, shape, i);
  return true;
}

bool isthmus::simgpu::amdgpu::parseInstruction(Text text, const KernelFacts &k,
                                               Inst &i, std::string &error) {
  i.text = std::string(trim(text));
  for (char &c : i.text)
    if (c == '\t')
      c = ' ';
  return parseOne(text, k, i, error);
}
