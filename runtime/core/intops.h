//===- intops.h - the program's checked integer arithmetic ----------------===//
#ifndef ISTHMUS_RUNTIME_CORE_INTOPS_H
#define ISTHMUS_RUNTIME_CORE_INTOPS_H

#include "schema.h"

namespace isthmus {

/// Computes const_ .. select into *out. Returns what went wrong, or null.
inline const char *evaluate(const fb::Function &f, const fb::Instr &i,
                            const int64_t *r, int64_t *out) {
  auto a = [&] { return r[i.a()]; };
  auto b = [&] { return r[i.b()]; };
  // INT64_MIN / -1 overflows; so does its remainder, on x86.
  auto badDivision = [&]() -> const char * {
    if (b() == 0)
      return "division by zero";
    if (a() == INT64_MIN && b() == -1)
      return "integer overflow";
    return nullptr;
  };
  switch (i.op()) {
  case fb::Op::const_:
    *out = f.consts()->Get(i.a());
    return nullptr;
  case fb::Op::move:
    *out = a();
    return nullptr;
  case fb::Op::add:
    return __builtin_add_overflow(a(), b(), out) ? "integer overflow" : nullptr;
  case fb::Op::sub:
    return __builtin_sub_overflow(a(), b(), out) ? "integer overflow" : nullptr;
  case fb::Op::mul:
    return __builtin_mul_overflow(a(), b(), out) ? "integer overflow" : nullptr;
  case fb::Op::floordiv:
    if (const char *e = badDivision())
      return e;
    *out = a() / b() - (a() % b() != 0 && (a() < 0) != (b() < 0));
    return nullptr;
  case fb::Op::ceildiv:
    if (const char *e = badDivision())
      return e;
    *out = a() / b() + (a() % b() != 0 && (a() < 0) == (b() < 0));
    return nullptr;
  case fb::Op::mod:
    if (b() == 0)
      return "division by zero";
    *out = b() == -1 ? 0 : a() % b();
    if (*out != 0 && (*out < 0) != (b() < 0))
      *out += b();
    return nullptr;
  case fb::Op::min:
    *out = a() < b() ? a() : b();
    return nullptr;
  case fb::Op::max:
    *out = a() > b() ? a() : b();
    return nullptr;
  case fb::Op::cmp_eq:
    *out = a() == b();
    return nullptr;
  case fb::Op::cmp_ne:
    *out = a() != b();
    return nullptr;
  case fb::Op::cmp_lt:
    *out = a() < b();
    return nullptr;
  case fb::Op::cmp_le:
    *out = a() <= b();
    return nullptr;
  case fb::Op::and_:
    *out = a() & b();
    return nullptr;
  case fb::Op::or_:
    *out = a() | b();
    return nullptr;
  case fb::Op::xor_:
    *out = a() ^ b();
    return nullptr;
  case fb::Op::select:
    *out = a() ? b() : r[i.c()];
    return nullptr;
  default:
    return "not an integer operation";
  }
}

inline bool isInteger(fb::Op op) {
  return op >= fb::Op::const_ && op <= fb::Op::select;
}

/// The element of type `type` at `p` as an integer, floats rounded to zero.
/// False: there is none; `what` says which value it is.
bool decodeInteger(fb::DType type, const void *p, int64_t *out, char *what,
                   size_t size);

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_INTOPS_H
