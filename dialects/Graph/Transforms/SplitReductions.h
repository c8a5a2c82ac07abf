//===- SplitReductions.h - long reductions in two phases --------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_SPLITREDUCTIONS_H
#define ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_SPLITREDUCTIONS_H

#include "targets/Target.h"

namespace isthmus::graph {

/// Reductions to so few results that most of the device would wait become two:
/// over parts of a dim, side by side, then over the parts. So split-K for
/// products, on targets that run lanes. The parts follow from the sizes and the
/// target's facts alone; sums are associated as their fastmath flags allow.
void splitReductions(mlir::ModuleOp module, const TargetInfo &info);

/// Rows so few and so long that a workgroup should not have a whole one.
bool hasFewLongRows(int64_t rows, int64_t columns);

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_SPLITREDUCTIONS_H
