//===- work.cpp - what launches compute and move --------------------------===//
#include "work.h"

using namespace isthmus;

static uint64_t times(uint64_t a, uint64_t b) {
  uint64_t v;
  return __builtin_mul_overflow(a, b, &v) ? UINT64_MAX : v;
}

static uint64_t sum(uint64_t a, uint64_t b) {
  uint64_t v;
  return __builtin_add_overflow(a, b, &v) ? UINT64_MAX : v;
}

using Terms = flatbuffers::Vector<const fb::Term *>;

/// False: the artifact does not say.
static bool evaluate(const Terms *terms, const fb::Launch &l,
                     const int64_t *regs, uint64_t *out) {
  *out = 0;
  for (uint32_t i = 0; i < count(terms); ++i) {
    const fb::Term &t = *terms->Get(i);
    // A size of 0 makes it 0, also where the others overflow.
    uint64_t v = t.coefficient();
    bool none = false;
    for (uint8_t scalar : *t.scalars()) {
      if (!scalar)
        continue;
      int64_t size = regs[l.scalars()->Get(scalar - 1u)];
      none |= size <= 0;
      v = times(v, size > 0 ? static_cast<uint64_t>(size) : 0);
    }
    v = none ? 0 : v;
    *out = sum(*out, v < t.most() ? v : t.most());
  }
  return count(terms);
}

ist_work isthmus::workOf(const fb::Kernel &k, const fb::Launch &l,
                         const int64_t *regs) {
  ist_work w = {};
  const fb::Work *work = k.work();
  if (!work)
    return w;
  w.has_flops = evaluate(work->flops(), l, regs, &w.flops);
  bool reads = evaluate(work->reads(), l, regs, &w.read_bytes),
       writes = evaluate(work->writes(), l, regs, &w.written_bytes);
  w.has_bytes = reads && writes;
  if (!w.has_bytes)
    w.read_bytes = w.written_bytes = 0;
  return w;
}

ist_work isthmus::plus(const ist_work &a, const ist_work &b) {
  ist_work w = {};
  w.has_flops = a.has_flops && b.has_flops;
  w.has_bytes = a.has_bytes && b.has_bytes;
  if (w.has_flops)
    w.flops = sum(a.flops, b.flops);
  if (w.has_bytes) {
    w.read_bytes = sum(a.read_bytes, b.read_bytes);
    w.written_bytes = sum(a.written_bytes, b.written_bytes);
  }
  return w;
}

bool isthmus::isSettled(const fb::Function &f, uint32_t reg) {
  uint32_t writers = 0, depth = 0;
  for (const fb::Instr *i : *f.code()) {
    depth += i->op() == fb::Op::loop;
    if (rolesOf(i->op()).dst == Role::IntDst && i->dst() == reg &&
        (depth || ++writers > 1))
      return false;
    depth -= i->op() == fb::Op::end_loop;
  }
  return true;
}
