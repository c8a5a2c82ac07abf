//===- atomic.cpp - atom and red ------------------------------------------===//
//
// PTX ISA 9.7.12.13 and .14. Real atomic operations, since the workgroups of a
// launch run on several host threads; the lanes of a warp go one after the
// other.
//
//===----------------------------------------------------------------------===//
#include "memory.h"
#include "numbers.h"
#include "sanitize.h"

#include <algorithm>

using namespace isthmus::simgpu::ptx;

namespace {

template <typename T> T apply(AtomicOp op, T old, T b, T c) {
  switch (op) {
  case AtomicOp::add:
    return static_cast<T>(old + b);
  case AtomicOp::min:
    return std::min(old, b);
  case AtomicOp::max:
    return std::max(old, b);
  case AtomicOp::exch:
    return b;
  case AtomicOp::cas:
    return old == b ? c : old;
  default:
    return old;
  }
}
template <typename T> T applyBits(AtomicOp op, T old, T b, T c) {
  switch (op) {
  case AtomicOp::bitAnd:
    return old & b;
  case AtomicOp::bitOr:
    return old | b;
  case AtomicOp::bitXor:
    return old ^ b;
  case AtomicOp::inc: // wraps at b
    return old >= b ? 0 : old + 1;
  case AtomicOp::dec:
    return old == 0 || old > b ? b : old - 1;
  default:
    return apply(op, old, b, c);
  }
}
int32_t apply(AtomicOp op, int32_t old, int32_t b, int32_t c) {
  return op == AtomicOp::add ? static_cast<int32_t>(uint32_t(old) + uint32_t(b))
                             : apply<int32_t>(op, old, b, c);
}
int64_t apply(AtomicOp op, int64_t old, int64_t b, int64_t c) {
  return op == AtomicOp::add ? static_cast<int64_t>(uint64_t(old) + uint64_t(b))
                             : apply<int64_t>(op, old, b, c);
}
uint32_t apply(AtomicOp op, uint32_t old, uint32_t b, uint32_t c) {
  return applyBits(op, old, b, c);
}
uint64_t apply(AtomicOp op, uint64_t old, uint64_t b, uint64_t c) {
  return applyBits(op, old, b, c);
}

template <AtomicOp Op, typename T, typename Bits>
void run(Warp &w, const Inst &i, uint32_t mask) {
  uint64_t address[kLanes];
  uint8_t *host[kLanes];
  if (!addressesOf(w, i, mask, 0, sizeof(T), true, address, host))
    return;
  auto *b = w.source<Bits>(i, 1);
  auto *c = i.sources > 2 ? w.source<Bits>(i, 2) : b;
  auto *d = i.results ? w.result<Bits>(i) : nullptr;
  Sanitizer *s = w.group->sanitizer;
  for (; mask; mask &= mask - 1) {
    auto l = static_cast<uint32_t>(__builtin_ctz(mask));
    auto *p = reinterpret_cast<Bits *>(host[l]);
    if (s) {
      bool poison = s->read(w, i, l, host[l], sizeof(T), true);
      for (unsigned n = 1; n < i.sources; ++n)
        poison |= s->poison(w, i.s[n]) >> l & 1;
      if (w.group->failed ||
          !s->write(w, i, l, host[l], nullptr, sizeof(T), poison, true))
        return;
      if (d)
        s->setPoison(w, i.d[0], 1u << l, poison ? ~0u : 0);
    }
    Bits old = __atomic_load_n(p, __ATOMIC_RELAXED), fresh;
    do
      fresh = bitsAs<Bits>(
          apply(Op, bitsAs<T>(old), bitsAs<T>(b[l]), bitsAs<T>(c[l])));
    while (!__atomic_compare_exchange_n(p, &old, fresh, true, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED));
    if (d)
      d[l] = old;
  }
}

struct AtomicRow {
  AtomicOp op;
  const char *type;
  Function run;
};
using A = AtomicOp;
#define SIGNED_TOO(op)                                                         \
  {op, "u32", run<op, uint32_t, uint32_t>},                                    \
      {op, "s32", run<op, int32_t, uint32_t>},                                 \
      {op, "u64", run<op, uint64_t, uint64_t>}, {                              \
    op, "s64", run<op, int64_t, uint64_t>                                      \
  }
#define OF_BITS(op)                                                            \
  {op, "b32", run<op, uint32_t, uint32_t>}, {                                  \
    op, "b64", run<op, uint64_t, uint64_t>                                     \
  }
const AtomicRow rows[] = {
    SIGNED_TOO(A::add),
    {A::add, "f32", run<A::add, float, uint32_t>},
    {A::add, "f64", run<A::add, double, uint64_t>},
    SIGNED_TOO(A::min),
    SIGNED_TOO(A::max),
    OF_BITS(A::bitAnd),
    OF_BITS(A::bitOr),
    OF_BITS(A::bitXor),
    OF_BITS(A::exch),
    OF_BITS(A::cas),
    {A::inc, "u32", run<A::inc, uint32_t, uint32_t>},
    {A::dec, "u32", run<A::dec, uint32_t, uint32_t>},
};

} // namespace

Function isthmus::simgpu::ptx::atomicFunction(AtomicOp op,
                                              const std::string &type) {
  for (const AtomicRow &row : rows)
    if (row.op == op && type == row.type)
      return row.run;
  return nullptr;
}
