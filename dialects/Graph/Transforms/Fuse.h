//===- Fuse.h - which operations share a kernel ----------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_FUSE_H
#define ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_FUSE_H

#include "targets/Target.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/BuiltinOps.h"

namespace isthmus::graph {

/// Joins chains of elementwise operations, and elementwise producers with the
/// reductions that read them, into single linalg.generic ops.
mlir::LogicalResult fuseElementwise(mlir::ModuleOp module);

/// Whether the plans for contractions or convolutions may take `op`.
bool isContraction(mlir::Operation *op);

/// The elementwise operation that can run on `anchor`'s result before it is
/// stored (a contraction's, convolution's or reduction's epilogue), or null.
mlir::linalg::GenericOp findEpilogue(mlir::Operation *anchor,
                                     const TargetInfo &info);

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_FUSE_H
