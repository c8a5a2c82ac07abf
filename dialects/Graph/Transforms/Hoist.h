//===- Hoist.h - what is computed once, and when ---------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_HOIST_H
#define ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_HOIST_H

#include "mlir/IR/BuiltinOps.h"

namespace isthmus::graph {

/// Moves what every iteration of a loop would compute again out of it, and what
/// depends on weights alone out of branches too. Kernels that can stop the call
/// stay where they are.
void hoistInvariants(mlir::ModuleOp module);

/// Moves what depends on weights alone out of @main into @init: its results
/// become derived weights (hal.derived in @main).
/// Before: one function @main. After: @main, and @init when there is any.
mlir::LogicalResult hoistInit(mlir::ModuleOp module);

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_HOIST_H
