//===- work.h - what launches compute and move ----------------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_WORK_H
#define ISTHMUS_RUNTIME_CORE_WORK_H

#include "schema.h"
#include "support.h"

namespace isthmus {

/// The work of a launch whose integer registers are `regs`; the artifact was
/// verified.
ist_work workOf(const fb::Kernel &k, const fb::Launch &l, const int64_t *regs);

/// `b` behind `a`; what is known of both is known of the sum.
ist_work plus(const ist_work &a, const ist_work &b);

/// Is the value that register `reg` has at the end the one that it has whenever
/// it is used? It is written once, and not in a loop.
bool isSettled(const fb::Function &f, uint32_t reg);

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_WORK_H
