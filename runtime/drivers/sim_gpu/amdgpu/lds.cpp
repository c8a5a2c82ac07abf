//===- lds.cpp - workgroup memory -----------------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "memory.h"

#include "../banks.h"

#include <cstring>

using namespace isthmus::simgpu;
using namespace isthmus::simgpu::amdgpu;

namespace {
void countShared(Wave &w, const uint64_t *address, unsigned bytes, bool write) {
  Counters &c = *w.group->counters;
  for (unsigned begin = 0; begin < w.size; begin += 32)
    c.bankConflicts +=
        bankConflicts(address + begin, uint32_t(w.exec() >> begin), bytes);
  (write ? c.sharedWritten : c.sharedRead) +=
      uint64_t(__builtin_popcountll(w.exec())) * bytes;
}

bool ldsAddress(Wave &w, const Inst &i, const Operand &o) {
  return !w.poisonOn || !poisoned(w, i, o, "an address");
}

/// One access, or two at offsets in units of the element.
template <bool Two> void read(Wave &w, const Inst &i) {
  Group &g = *w.group;
  const Format f = formatOf(i);
  if (!ldsAddress(w, i, i.s[0]))
    return;
  const uint32_t *base = w.row(i.s[0].index);
  uint64_t address[2][kLanes];
  for (unsigned l = 0; l < w.size; ++l)
    for (unsigned n = 0; n <= Two; ++n)
      address[n][l] = uint64_t(base[l]) + uint32_t(n ? i.offset1 : i.offset);
  for (unsigned n = 0; n <= Two; ++n) {
    uint8_t data[kLanes][16], poison[kLanes][16];
    Operand to = i.d[0];
    to.index += n * (f.bytes / 4);
    bool words = f.bytes >= 4 && !w.poisonOn;
    for (unsigned l = 0; l < w.size; ++l) {
      if (!(w.exec() >> l & 1))
        continue;
      uint64_t a = address[n][l];
      if (!checkLds(w, i, l, a, f.bytes, false, false))
        return;
      if (words) {
        loadWords(w.row(to.index), l, g.lds.data() + a, f.bytes);
        continue;
      }
      memcpy(data[l], g.lds.data() + a, f.bytes);
      if (w.poisonOn)
        memcpy(poison[l], g.ldsPoison.data() + a, f.bytes);
    }
    if (!words)
      writeLoaded(w, i, to, f, data, w.poisonOn ? poison : nullptr);
    countShared(w, address[n], f.bytes, false);
  }
  issue(w, kDs, &i.d[0], true);
}

template <bool Two> void write(Wave &w, const Inst &i) {
  Group &g = *w.group;
  const Format f = formatOf(i);
  if (!ldsAddress(w, i, i.s[0]))
    return;
  const uint32_t *base = w.row(i.s[0].index);
  issue(w, kDs, nullptr, true);
  for (unsigned n = 0; n <= Two; ++n) {
    uint64_t address[kLanes];
    for (unsigned l = 0; l < w.size; ++l) {
      address[l] = uint64_t(base[l]) + uint32_t(n ? i.offset1 : i.offset);
      if (!(w.exec() >> l & 1))
        continue;
      if (!checkLds(w, i, l, address[l], f.bytes, true, false))
        return;
      if (f.bytes >= 4 && !w.poisonOn) {
        storeWords(w.row(i.s[1 + n].index), l, g.lds.data() + address[l],
                   f.bytes);
        continue;
      }
      uint8_t data[16], poison[16];
      readStored(w, i.s[1 + n], f, l, data, w.poisonOn ? poison : nullptr);
      memcpy(g.lds.data() + address[l], data, f.bytes);
      if (w.poisonOn) {
        memcpy(g.ldsPoison.data() + address[l], poison, f.bytes);
        w.outstanding[kDs].back().ldsWrites.push_back(
            {uint32_t(address[l]), f.bytes});
      }
    }
    countShared(w, address, f.bytes, true);
  }
}

void atomic(Wave &w, const Inst &i) {
  Group &g = *w.group;
  auto op = AtomicOp(i.atomic);
  if (!ldsAddress(w, i, i.s[0]) ||
      (w.poisonOn && poisoned(w, i, i.s[1], "an atomic's operand")))
    return;
  uint64_t address[kLanes];
  const uint32_t *base = w.row(i.s[0].index);
  // gfx9 has what to compare with first, later generations the new value.
  bool compares = op == AtomicOp::compareExchange, swapped = i.high;
  for (unsigned l = 0; l < w.size; ++l) {
    uint64_t a = address[l] = uint64_t(base[l]) + uint32_t(i.offset);
    if (!(w.exec() >> l & 1))
      continue;
    if (!checkLds(w, i, l, a, i.bytes, true, true))
      return;
    if (w.poisonOn)
      for (unsigned b = 0; b < i.bytes; ++b)
        if (g.ldsPoison[a + b])
          return w.fail(i,
                        "an atomic on LDS + " + std::to_string(a + b) +
                            ", which was never written",
                        l);
    auto value = [&](const Operand &o) {
      uint64_t v = w.row(o.index)[l];
      return i.bytes == 8 ? v | uint64_t(w.row(o.index + 1)[l]) << 32 : v;
    };
    uint64_t old = 0, first = value(i.s[1]),
             second = compares ? value(i.s[2]) : 0;
    memcpy(&old, g.lds.data() + a, i.bytes);
    uint64_t v = compares && swapped ? second : first,
             compare = swapped ? first : second;
    uint64_t next = applyAtomic(op, i.bytes, old, v, compare);
    memcpy(g.lds.data() + a, &next, i.bytes);
    if (i.results)
      for (unsigned k = 0; k < i.bytes / 4u; ++k) {
        w.row(i.d[0].index + k)[l] = uint32_t(old >> 32 * k);
        if (w.poisonOn)
          w.poisonRow(i.d[0].index + k)[l] = 0;
      }
  }
  countShared(w, address, i.bytes, true);
  issue(w, kDs, i.results ? &i.d[0] : nullptr, true);
}

/// DS_BPERMUTE takes from the lane that the address names, DS_PERMUTE gives to
/// it. Lanes that are off neither give nor take.
template <bool Backward> void permute(Wave &w, const Inst &i) {
  uint64_t exec = w.exec();
  uint32_t out[2][kLanes] = {}; // values, poison
  const uint32_t *address = w.row(i.s[0].index);
  for (unsigned l = 0; l < w.size; ++l) {
    unsigned other = (address[l] + uint32_t(i.offset)) / 4 % w.size;
    unsigned from = Backward ? other : l, to = Backward ? l : other;
    // A lane that is off gives nothing; zero arrives.
    if (!(exec >> l & 1) || !(exec >> from & 1))
      continue;
    out[0][to] = w.row(i.s[1].index)[from];
    if (w.poisonOn)
      out[1][to] =
          w.poisonRow(i.s[0].index)[l] ? ~0u : w.poisonRow(i.s[1].index)[from];
  }
  for (unsigned l = 0; l < w.size; ++l) {
    if (!(exec >> l & 1))
      continue;
    w.row(i.d[0].index)[l] = out[0][l];
    if (w.poisonOn)
      w.poisonRow(i.d[0].index)[l] = out[1][l];
  }
  issue(w, kDs, &i.d[0], true);
}

/// DS_SWIZZLE: which lane by the pattern in the offset.
void swizzle(Wave &w, const Inst &i) {
  uint64_t exec = w.exec();
  unsigned pattern = uint32_t(i.offset);
  auto from = [&](unsigned l) {
    if (pattern & 0x8000)
      return (l & ~3u) | (pattern >> 2 * (l & 3) & 3);
    unsigned in = l & 31;
    in = ((in & (pattern & 31)) | (pattern >> 5 & 31)) ^ (pattern >> 10 & 31);
    return (l & ~31u) | in;
  };
  for (unsigned which = 0; which < (w.poisonOn ? 2u : 1u); ++which) {
    uint32_t out[kLanes];
    const uint32_t *data =
        which ? w.poisonRow(i.s[0].index) : w.row(i.s[0].index);
    for (unsigned l = 0; l < w.size; ++l)
      out[l] = exec >> from(l) & 1 ? data[from(l)] : 0;
    uint32_t *to = which ? w.poisonRow(i.d[0].index) : w.row(i.d[0].index);
    for (unsigned l = 0; l < w.size; ++l)
      if (exec >> l & 1)
        to[l] = out[l];
  }
  issue(w, kDs, &i.d[0], true);
}
} // namespace

bool isthmus::simgpu::amdgpu::findLds(std::string_view name, Inst &inst,
                                      Operation &o) {
  if (name.substr(0, 3) != "ds_")
    return false;
  std::string what(name.substr(3));
  o.kind = Class::memory;
  o.flow = Flow::none;
  o.shape.result[0] = Type::any;
  for (Type &t : o.shape.source)
    t = Type::any;
  auto shape = [&](unsigned results, unsigned sources, Handler run) {
    o.shape.results = uint8_t(results);
    o.shape.sources = uint8_t(sources);
    o.run = run;
    return true;
  };
  if (what == "bpermute_b32")
    return shape(1, 2, permute<true>);
  if (what == "permute_b32")
    return shape(1, 2, permute<false>);
  if (what == "swizzle_b32")
    return shape(1, 1, swizzle);
  auto drop = [&](const char *prefix) {
    if (what.compare(0, strlen(prefix), prefix) != 0)
      return false;
    what.erase(0, strlen(prefix));
    return true;
  };
  Format f;
  auto access = [&] {
    inst.bytes = uint8_t(f.bytes);
    inst.signExtend = f.sign;
    inst.d16 = f.d16;
    inst.high = f.high;
    o.shape.tied = f.d16 && o.shape.results;
    return true;
  };
  unsigned unit = 0; // of the two offsets
  bool reads = false;
  if (drop("read2st64_") || drop("load_2addr_stride64_"))
    unit = 64, reads = true;
  else if (drop("read2_") || drop("load_2addr_"))
    unit = 1, reads = true;
  else if (drop("write2st64_") || drop("store_2addr_stride64_"))
    unit = 64;
  else if (drop("write2_") || drop("store_2addr_"))
    unit = 1;
  if (unit) {
    if (!parseFormat(what, f) || (f.bytes != 4 && f.bytes != 8))
      return false;
    inst.target =
        unit * f.bytes; // what offset0 and offset1 count; see decode.cpp
    reads ? shape(1, 1, read<true>) : shape(0, 3, write<true>);
    return access();
  }
  if (drop("read_") || drop("load_")) {
    if (!parseFormat(what, f))
      return false;
    shape(1, 1, read<false>);
    return access();
  }
  if (drop("write_") || drop("store_")) {
    if (what.compare(0, 5, "xchg_") != 0) {
      if (!parseFormat(what, f))
        return false;
      shape(0, 2, write<false>);
      return access();
    }
  }
  // Atomics. Two spellings of what global memory calls swap and cmpswap.
  bool returns = false;
  if (size_t at = what.find("rtn_"); at != std::string::npos)
    what.erase(at, 4), returns = true;
  auto rename = [&](const char *from, const char *to) {
    if (what.compare(0, strlen(from), from) == 0)
      what = to + what.substr(strlen(from));
  };
  inst.high = what.compare(0, 6, "cmpst_") == 0;
  rename("cmpstore_", "cmpswap_");
  rename("cmpst_", "cmpswap_");
  rename("wrxchg_", "swap_");
  rename("xchg_", "swap_");
  rename("storexchg_", "swap_");
  for (const char *minmax : {"min", "max"})
    for (const char *bits : {"32", "64"}) {
      rename((std::string(minmax) + "_i" + bits).c_str(),
             (std::string("s") + minmax + "_i" + bits).c_str());
      rename((std::string(minmax) + "_u" + bits).c_str(),
             (std::string("u") + minmax + "_u" + bits).c_str());
    }
  AtomicOp op;
  unsigned bytes;
  if (!parseAtomic(what, op, bytes))
    return false;
  inst.bytes = uint8_t(bytes);
  inst.atomic = uint8_t(op);
  return shape(returns, op == AtomicOp::compareExchange ? 3 : 2, atomic);
}
