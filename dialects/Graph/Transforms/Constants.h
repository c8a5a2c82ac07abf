//===- Constants.h - kernels that differ only in numbers --------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_CONSTANTS_H
#define ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_CONSTANTS_H

#include "mlir/IR/BuiltinOps.h"

namespace isthmus::graph {

/// Where elementwise operations and reductions are the same but for numbers in
/// their bodies (the scales and zero points of a quantized model's layers),
/// those numbers become inputs of no dims, so that one kernel serves all.
/// Products keep theirs. Before kernels are made.
void shareByConstants(mlir::ModuleOp module);

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_CONSTANTS_H
