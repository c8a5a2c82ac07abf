//===- Layout.h - how operands lie in memory, per variant ------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_LAYOUT_H
#define ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_LAYOUT_H

#include "targets/Target.h"

#include "mlir/IR/BuiltinOps.h"

namespace isthmus::graph {

/// Makes operands lie as the contraction and convolution plans read them:
/// weights of matrix products in panels, padding of convolutions explicit, a
/// right operand with n innermost. Only weights, and copies that the plans
/// need, are moved: the model's inputs and outputs keep their layout. Where
/// lanes run them, products read what their operands were widened from;
/// elsewhere what they read again and again is stored widened.
mlir::LogicalResult chooseLayouts(mlir::ModuleOp module,
                                  const TargetInfo &info);

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_LAYOUT_H
