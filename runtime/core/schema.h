//===- schema.h - the artifact's tables, for reading ----------------------===//
//
// Include this and not the generated header: FlatBuffers' own asserts must not
// abort a process over an artifact's contents; verify.cpp checks them instead.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_SCHEMA_H
#define ISTHMUS_RUNTIME_CORE_SCHEMA_H

#define FLATBUFFERS_ASSERT(x) ((void)0)
#include "program_generated.h"

namespace isthmus {

/// An absent vector is an empty one.
template <typename T> uint32_t count(const flatbuffers::Vector<T> *v) {
  return v ? v->size() : 0;
}
inline const char *text(const flatbuffers::String *s) {
  return s ? s->c_str() : "";
}

/// How an instruction uses one of its fields; verify.cpp checks fields by role,
/// plan.cpp finds what a stretch of code writes.
enum class Role : uint8_t {
  None,
  IntDst,
  IntSrc,
  BufDst,
  BufSrc,
  Const,
  String,
  Input,
  Output,
  Weight,
  Derived,
  Transient,
  Launch,
  Target,
  Dtype
};
struct OpRoles {
  Role dst, a, b, c;
};
/// `op` must be in range.
const OpRoles &rolesOf(fb::Op op);

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_SCHEMA_H
