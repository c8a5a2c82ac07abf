//===- Dequantized.h - products of dequantized integers --------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_DEQUANTIZED_H
#define ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_DEQUANTIZED_H

#include "targets/Target.h"

#include "mlir/IR/BuiltinOps.h"

namespace isthmus::graph {

/// Products and convolutions of floats that are scale * (x - zero) of 8-bit x
/// become those of the integers, with the scales in an elementwise operation
/// after them: what a unit of the target multiplies. The sum is exact, so that
/// results are rounded less often than before; it must fit i32, so there may
/// not be more than 33025 terms.
///
/// A convolution becomes one of integers for targets that run lanes, where its
/// filter's zero point is 0 and the input's a constant, which then pads it.
/// Vectors multiply floats as fast (Blocked.h).
void multiplyBeforeDequantizing(mlir::ModuleOp module, const TargetInfo &info);

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_DEQUANTIZED_H
