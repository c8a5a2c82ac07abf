//===- QuantizedOps.h - operations of quantized models ----------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_QUANTIZEDOPS_H
#define ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_QUANTIZEDOPS_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace isthmus::graph {

/// scale * (source - zero), of i8, as floats.
struct Dequantized {
  mlir::linalg::GenericOp op;
  mlir::OpOperand *source = nullptr, *zero = nullptr, *scale = nullptr;
  bool isUnsigned = false;
  int64_t constantZero = 0;      // without `zero`
  mlir::TypedAttr constantScale; // without `scale`; null is 1
  bool onlyZero(int64_t v) const { return !zero && constantZero == v; }
  bool scaled() const { return scale || constantScale; }
  mlir::AffineMap map(mlir::OpOperand *operand) {
    return op.getMatchingIndexingMap(operand);
  }
};

/// `v` as what DequantizeLinear is imported to, behind a widening or not.
std::optional<Dequantized> matchDequantized(mlir::Value v);

/// f32 to i8: round(source / scale) + zero, within the type's ends; all of one
/// scale and zero point, which are constants.
struct Quantized {
  mlir::linalg::GenericOp op;
  bool isUnsigned = false;
  int64_t zero = 0;
  float scale = 1;
};

/// `op` as what QuantizeLinear is imported to.
std::optional<Quantized> matchQuantized(mlir::linalg::GenericOp op);

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_QUANTIZEDOPS_H
