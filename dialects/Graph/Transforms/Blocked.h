//===- Blocked.h - channels in blocks of a vector --------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_BLOCKED_H
#define ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_BLOCKED_H

#include "dialects/Graph/Graph.h"
#include "targets/Target.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace isthmus::graph {

/// Makes convolutions of images write [N][C / B][H][W][B], B channels being
/// the target's vector, and lets what stands between them (elementwise
/// operations, pools, concatenations, means) work on that, so that nothing is
/// packed from one to the next. Packed filters are work for `init`. Who needs
/// channels first gets a copy.
void blockConvolutions(mlir::func::FuncOp func, const TargetInfo &info);

/// Whether that takes the convolution `op` if its operands become bytes, for a
/// unit of one row that adds `terms` of them.
bool canBlockBytes(ConvOp op, int64_t terms, const TargetInfo &info);

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_BLOCKED_H
