//===- Groups.h - which operations become one kernel -----------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_GROUPS_H
#define ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_GROUPS_H

#include "dialects/Kernel/Transforms/RowGroup.h"
#include "targets/Target.h"

namespace isthmus::graph {

/// A fill that is only ever the start of a computation: it is made again inside
/// each kernel that needs it.
bool isInitFill(mlir::Operation *op);

/// An operation on tensors that becomes a kernel.
bool isKernelOp(mlir::Operation *op);

using Group = llvm::SmallVector<mlir::Operation *>;

/// The kernel ops of `block` by the kernel that they will share, each group in
/// the order of the block. Kernels of several operations are contractions,
/// convolutions and reductions with their epilogue, and row groups
/// (dialects/Kernel/Transforms/RowGroup.h), grown while the plan `rows` accepts
/// them for the target. No group needs a result of another that needs one of
/// its own. Without `fuse`, every operation is alone. `sizesOf` knows what
/// kernels of other blocks have left of their operations' sizes.
llvm::SmallVector<Group> formGroups(mlir::Block &block, const TargetInfo &info,
                                    kernel::SizesOf sizesOf, bool fuse);

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_GROUPS_H
