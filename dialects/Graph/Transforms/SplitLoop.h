//===- SplitLoop.h - one loop of an operation as several -------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_SPLITLOOP_H
#define ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_SPLITLOOP_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/BuiltinOps.h"

namespace isthmus::graph {

/// `v` in row-major order under other sizes: what it was made of by reshapes,
/// if that has them.
mlir::Value reshapeTo(mlir::OpBuilder &b, mlir::Location loc, mlir::Value v,
                      llvm::ArrayRef<mlir::OpFoldResult> sizes);

/// Whether every operand is indexed by `loop` itself or not by it, and sizes
/// are known.
bool canSplitLoop(mlir::linalg::GenericOp op, unsigned loop);

/// `op` with a loop for each of `parts`, whose product is that loop's size,
/// instead of `loop`. Operands and results are reshaped, which costs nothing;
/// `op` is empty and to be erased.
mlir::linalg::GenericOp splitLoop(mlir::linalg::GenericOp op, unsigned loop,
                                  llvm::ArrayRef<int64_t> parts);

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_SPLITLOOP_H
