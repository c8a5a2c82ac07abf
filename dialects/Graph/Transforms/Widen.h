//===- Widen.h - narrow floats stored as f32 --------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_WIDEN_H
#define ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_WIDEN_H

#include "targets/Target.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace isthmus::graph {

/// Stores as f32 what an operation computes in f16 or bf16 and a product then
/// reads element by element, many times: widening one costs as much as a
/// multiply-add of a vector. The values stay the same, rounded to the narrow
/// type; memory is twice as much. The model's inputs, outputs and weights, and
/// what anything but loops over elements reads, stay narrow.
void storeWidened(mlir::func::FuncOp func, const TargetInfo &info);

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_WIDEN_H
