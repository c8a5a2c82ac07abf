//===- Repeats.h - operands that some loops repeat -------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_REPEATS_H
#define ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_REPEATS_H

#include "mlir/IR/BuiltinOps.h"

namespace isthmus::graph {

/// For targets that run lanes: products read their operands where they were
/// before copies that turn or repeat them. Where heads share keys and values
/// and a model repeats these, all heads to one dim, the product gets a loop for
/// the heads that share; so do the operations between it and the next product,
/// that attention stays one kernel.
void readRepeatsOnce(mlir::ModuleOp module);

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_REPEATS_H
