//===- global_memory.cpp - global, flat, scratch and buffer accesses ------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "memory.h"

#include <cstring>

using namespace isthmus::simgpu;
using namespace isthmus::simgpu::amdgpu;

namespace {
enum class Space : uint8_t { global, flat, scratch, buffer };

/// Where each active lane's access begins. False: a fault.
bool addresses(Wave &w, const Inst &i, Space space, const Operand &vaddr,
               const Operand &saddr, uint64_t *out) {
  if (w.poisonOn && (poisoned(w, i, vaddr, "an address") ||
                     poisoned(w, i, saddr, "an address")))
    return false;
  uint64_t base = 0;
  if (saddr.kind == Operand::scalar)
    base = space == Space::scratch ? w.s[saddr.index] : w.pair(saddr.index);
  for (unsigned l = 0; l < w.size; ++l) {
    if (!(w.exec() >> l & 1))
      continue;
    uint64_t a = base + uint64_t(int64_t(i.offset));
    if (vaddr.kind == Operand::vector) {
      a += w.row(vaddr.index)[l]; // 32 bits beside a scalar base
      if (vaddr.count > 1)
        a += uint64_t(w.row(vaddr.index + 1)[l]) << 32;
    }
    out[l] = a;
  }
  return true;
}

/// Host memory of one lane's access, checked; or in `lds` where it lies there.
uint8_t *locate(Wave &w, const Inst &i, Space space, unsigned l, uint64_t a,
                unsigned bytes, bool write, bool atomic, uint8_t *&poison) {
  Group &g = *w.group;
  poison = nullptr;
  if (space == Space::flat && a >> 48 == kSharedAperture >> 48) {
    a &= 0xffffffff;
    if (!checkLds(w, i, l, a, bytes, write, atomic))
      return nullptr;
    if (w.poisonOn)
      poison = g.ldsPoison.data() + a;
    return g.lds.data() + a;
  }
  if (space == Space::scratch ||
      (space == Space::flat && a >> 48 == kPrivateAperture >> 48)) {
    a &= 0xffffffff;
    if (a > w.kernel->privateBytes || bytes > w.kernel->privateBytes - a) {
      w.fail(i,
             std::string(write ? "writes " : "reads ") + std::to_string(bytes) +
                 " bytes at " + std::to_string(a) +
                 " of a lane's own memory, which has " +
                 std::to_string(w.kernel->privateBytes) + " bytes",
             l);
      return nullptr;
    }
    if (w.poisonOn)
      poison = w.scratchPoison + size_t(l) * w.kernel->privateBytes + a;
    return w.scratch + size_t(l) * w.kernel->privateBytes + a;
  }
  // HSA turns the mode on in which only atomics must be aligned.
  if (atomic && a % bytes) {
    w.fail(i,
           std::string(write ? "writes " : "reads ") + std::to_string(bytes) +
               " bytes at " + std::to_string(a) + ", which is misaligned",
           l);
    return nullptr;
  }
  return checkGlobal(w, i, l, a, bytes, write) ? reinterpret_cast<uint8_t *>(a)
                                               : nullptr;
}

Counter loadCounter() { return kLoad; }
Counter storeCounter(const Wave &w) {
  return w.kernel->generation == Generation::gfx9 ? kLoad : kStore;
}

void countBytes(Wave &w, uint64_t bytes, bool write) {
  (write ? w.group->counters->globalWritten : w.group->counters->globalRead) +=
      bytes;
}

template <Space S> void load(Wave &w, const Inst &i) {
  const Format f = formatOf(i);
  uint64_t a[kLanes];
  if (!addresses(w, i, S, i.s[0], i.s[1], a))
    return;
  uint8_t data[kLanes][16], poison[kLanes][16];
  uint64_t exec = w.exec();
  bool words = f.bytes >= 4 && !w.poisonOn;
  uint32_t *row = w.row(i.d[0].index);
  for (unsigned l = 0; l < w.size; ++l) {
    if (!(exec >> l & 1))
      continue;
    uint8_t *p;
    const uint8_t *from = locate(w, i, S, l, a[l], f.bytes, false, false, p);
    if (!from)
      return;
    if (words) {
      loadWords(row, l, from, f.bytes);
      continue;
    }
    memcpy(data[l], from, f.bytes);
    if (p)
      memcpy(poison[l], p, f.bytes);
    else
      memset(poison[l], 0, f.bytes);
  }
  if (!words)
    writeLoaded(w, i, i.d[0], f, data, w.poisonOn ? poison : nullptr);
  countBytes(w, uint64_t(__builtin_popcountll(exec)) * f.bytes, false);
  issue(w, loadCounter(), &i.d[0], true);
  if (S == Space::flat) // may be LDS: counted there too
    issue(w, kDs, &i.d[0], w.kernel->generation != Generation::gfx9);
}

template <Space S> void store(Wave &w, const Inst &i) {
  const Format f = formatOf(i);
  uint64_t a[kLanes];
  const Operand &data = i.s[1];
  if (!addresses(w, i, S, i.s[0], i.s[2], a))
    return;
  for (unsigned l = 0; l < w.size; ++l) {
    if (!(w.exec() >> l & 1))
      continue;
    uint8_t bytes[16], poison[16], *p;
    uint8_t *to = locate(w, i, S, l, a[l], f.bytes, true, false, p);
    if (!to)
      return;
    if (f.bytes >= 4 && !w.poisonOn) {
      storeWords(w.row(data.index), l, to, f.bytes);
      continue;
    }
    readStored(w, data, f, l, bytes, w.poisonOn ? poison : nullptr);
    if (p)
      memcpy(p, poison, f.bytes);
    else if (w.poisonOn)
      for (unsigned b = 0; b < f.bytes; ++b)
        if (poison[b])
          return w.fail(i,
                        "stores a value that was never written: byte " +
                            std::to_string(b) + " of v" +
                            std::to_string(data.index),
                        l);
    memcpy(to, bytes, f.bytes);
  }
  countBytes(w, uint64_t(__builtin_popcountll(w.exec())) * f.bytes, true);
  issue(w, storeCounter(w), nullptr, true);
  if (S == Space::flat)
    issue(w, kDs, nullptr, true);
}

/// Lanes act one after another, each at once for other workgroups too.
template <Space S> void atomic(Wave &w, const Inst &i) {
  uint64_t a[kLanes];
  unsigned bytes = i.bytes;
  auto op = AtomicOp(i.atomic);
  // An atomic that returns has its result first.
  if (!addresses(w, i, S, i.s[0], i.s[2], a))
    return;
  const Operand &data = i.s[1];
  if (w.poisonOn && poisoned(w, i, data, "an atomic's operand"))
    return;
  for (unsigned l = 0; l < w.size; ++l) {
    if (!(w.exec() >> l & 1))
      continue;
    uint8_t *p;
    uint8_t *at = locate(w, i, S, l, a[l], bytes, true, true, p);
    if (!at)
      return;
    auto value = [&](unsigned n) {
      uint64_t v = w.row(data.index + n)[l];
      return bytes == 8 ? v | uint64_t(w.row(data.index + n + 1)[l]) << 32 : v;
    };
    // The new value lies first, what to compare with after it.
    uint64_t v = value(0),
             compare = op == AtomicOp::compareExchange ? value(bytes / 4) : 0,
             old;
    if (bytes == 8) {
      auto *word = reinterpret_cast<uint64_t *>(at);
      uint64_t was = __atomic_load_n(word, __ATOMIC_SEQ_CST);
      while (!__atomic_compare_exchange_n(
          word, &was, applyAtomic(op, 8, was, v, compare), false,
          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
      old = was;
    } else {
      auto *word = reinterpret_cast<uint32_t *>(at);
      uint32_t was = __atomic_load_n(word, __ATOMIC_SEQ_CST);
      while (!__atomic_compare_exchange_n(
          word, &was, uint32_t(applyAtomic(op, 4, was, v, compare)), false,
          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
      old = was;
    }
    if (i.results) {
      for (unsigned k = 0; k < bytes / 4; ++k) {
        w.row(i.d[0].index + k)[l] = uint32_t(old >> 32 * k);
        if (w.poisonOn)
          w.poisonRow(i.d[0].index + k)[l] = 0;
      }
    }
  }
  uint64_t touched = uint64_t(__builtin_popcountll(w.exec())) * bytes;
  countBytes(w, touched, false);
  countBytes(w, touched, true);
  issue(w, i.results ? loadCounter() : storeCounter(w),
        i.results ? &i.d[0] : nullptr, true);
  if (S == Space::flat)
    issue(w, kDs, i.results ? &i.d[0] : nullptr,
          w.kernel->generation != Generation::gfx9);
}

/// Raw and structured buffers: a descriptor of four scalars gives base, stride
/// and size. Outside, reads give zero and writes do nothing, as documented;
/// that is what the descriptor is for.
template <bool Write> void buffer(Wave &w, const Inst &i) {
  const Format f = formatOf(i);
  const Operand &rsrc = i.s[Write ? 2 : 1], &soffset = i.s[Write ? 3 : 2],
                &vaddr = i.s[0];
  const Operand &data = Write ? i.s[1] : i.d[0];
  if (w.poisonOn && (poisoned(w, i, vaddr, "an address") ||
                     poisoned(w, i, rsrc, "an address") ||
                     poisoned(w, i, soffset, "an address")))
    return;
  uint64_t base = w.pair(rsrc.index) & 0xffffffffffff;
  uint32_t stride = w.s[rsrc.index + 1] >> 16 & 0x3fff,
           records = w.s[rsrc.index + 2];
  uint32_t extra = soffset.kind == Operand::scalar ? w.s[soffset.index]
                                                   : uint32_t(soffset.bits);
  uint8_t loaded[kLanes][16], poison[kLanes][16];
  for (unsigned l = 0; l < w.size; ++l) {
    if (!(w.exec() >> l & 1))
      continue;
    uint64_t index = 0, offset = uint32_t(i.offset);
    unsigned n = 0;
    if (i.idxen)
      index = w.row(vaddr.index + n++)[l];
    if (i.offen)
      offset += w.row(vaddr.index + n)[l];
    bool in = stride && i.idxen ? index < records && offset + f.bytes <= stride
                                : offset + extra + f.bytes <= records;
    uint64_t a = base + extra + offset + index * stride;
    if (in && !checkGlobal(w, i, l, a, f.bytes, Write))
      return;
    if (Write && in) {
      uint8_t bytes[16];
      readStored(w, data, f, l, bytes, w.poisonOn ? poison[l] : nullptr);
      if (w.poisonOn)
        for (unsigned b = 0; b < f.bytes; ++b)
          if (poison[l][b])
            return w.fail(i,
                          "stores a value that was never written: byte " +
                              std::to_string(b) + " of v" +
                              std::to_string(data.index),
                          l);
      memcpy(reinterpret_cast<void *>(a), bytes, f.bytes);
    } else if (!Write) {
      memset(loaded[l], 0, 16);
      memset(poison[l], 0, 16);
      if (in)
        memcpy(loaded[l], reinterpret_cast<const void *>(a), f.bytes);
    }
  }
  countBytes(w, uint64_t(__builtin_popcountll(w.exec())) * f.bytes, Write);
  if (Write)
    return issue(w, storeCounter(w), nullptr, true);
  writeLoaded(w, i, data, f, loaded, w.poisonOn ? poison : nullptr);
  issue(w, loadCounter(), &data, true);
}

template <Space S>
void pick(std::string_view what, bool &known, Inst &i, Operation &o) {
  Shape &s = o.shape;
  o.kind = Class::memory;
  o.flow = Flow::none;
  Format f;
  AtomicOp atomicOp;
  unsigned bytes;
  auto set = [&] {
    i.bytes = uint8_t(f.bytes);
    i.signExtend = f.sign;
    i.d16 = f.d16;
    i.high = f.high;
    known = true;
  };
  auto any = [&](unsigned results, unsigned sources) {
    s.results = uint8_t(results);
    s.sources = uint8_t(sources);
    for (Type &t : s.source)
      t = Type::any;
    s.result[0] = Type::any;
  };
  auto starts = [&](std::string_view prefix) {
    return what.substr(0, prefix.size()) == prefix;
  };
  if (starts("load_") && parseFormat(what.substr(5), f)) {
    set();
    any(1, S == Space::buffer ? 3 : 2);
    s.tied = f.d16;
    o.run = S == Space::buffer ? buffer<false> : load<S>;
  } else if (starts("store_") && parseFormat(what.substr(6), f)) {
    set();
    any(0, S == Space::buffer ? 4 : 3);
    o.run = S == Space::buffer ? buffer<true> : store<S>;
  } else if (S != Space::buffer && S != Space::scratch && starts("atomic_") &&
             parseAtomic(what.substr(7), atomicOp, bytes)) {
    known = true;
    i.bytes = uint8_t(bytes);
    i.atomic = uint8_t(atomicOp);
    any(2, 3); // decode.cpp drops the result where there is none
    o.run = atomic<S>;
  }
}
} // namespace

bool isthmus::simgpu::amdgpu::findMemory(std::string_view name, Inst &inst,
                                         Operation &operation) {
  bool known = false;
  auto starts = [&](std::string_view prefix) {
    return name.substr(0, prefix.size()) == prefix;
  };
  if (starts("global_"))
    pick<Space::global>(name.substr(7), known, inst, operation);
  else if (starts("flat_"))
    pick<Space::flat>(name.substr(5), known, inst, operation);
  else if (starts("scratch_"))
    pick<Space::scratch>(name.substr(8), known, inst, operation);
  else if (starts("buffer_"))
    pick<Space::buffer>(name.substr(7), known, inst, operation);
  return known;
}
