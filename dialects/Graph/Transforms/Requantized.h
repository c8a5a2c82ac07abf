//===- Requantized.h - bytes that move as bytes -----------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_REQUANTIZED_H
#define ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_REQUANTIZED_H

#include "mlir/IR/BuiltinOps.h"

namespace isthmus::graph {

/// What is only moved (reshaped, transposed, sliced, concatenated) and then
/// quantized, is moved as bytes: quantized before, where each element comes out
/// once. Bytes that were dequantized by the same scale and zero point stay as
/// they are. That is exact: n * s / s is within two roundings of n for every n
/// of a byte, where n * s neither overflows nor is subnormal.
void moveBytes(mlir::ModuleOp module);

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_REQUANTIZED_H
