//===- WeightMath.h - arithmetic on weights, done once ---------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_WEIGHTMATH_H
#define ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_WEIGHTMATH_H

#include "mlir/IR/BuiltinOps.h"

namespace isthmus::graph {

/// Takes divisions and functions of weights (the scale / sqrt(variance + eps)
/// of a batch normalization) out of the operations that do them for every
/// element: they become operations on the weights, and so work for `init`. The
/// numbers stay the same.
void separateWeightMath(mlir::ModuleOp module);

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_WEIGHTMATH_H
