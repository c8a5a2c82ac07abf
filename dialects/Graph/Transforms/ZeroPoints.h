//===- ZeroPoints.h - products of small integers ---------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_ZEROPOINTS_H
#define ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_ZEROPOINTS_H

#include "targets/Target.h"

#include "mlir/IR/BuiltinOps.h"

namespace isthmus::graph {

/// Gives products of 8-bit integers less their zero points the form that a unit
/// of the target multiplies: two factors of its types, read as they lie, and
/// what the zero points add in an elementwise operation after it,
///
///   sum (a - za)(b - zb) = sum a b - za sum b - zb sum (a - za)
///
/// with sums of weights for `init`. A factor of the other sign becomes one of
/// this sign by turning its top bit over, its zero point moved by 128. Where
/// the target multiplies 16-bit integers only, factors become such with their
/// zero points taken off. All of it is exact: i32 wraps as it did before.
///
/// Products stay as they are where the target has no unit for them, where a
/// zero point changes along the sum, and where a factor is made otherwise.
void separateZeroPoints(mlir::ModuleOp module, const TargetInfo &info);

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_ZEROPOINTS_H
