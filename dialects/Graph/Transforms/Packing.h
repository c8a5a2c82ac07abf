//===- Packing.h - what layouts are made of --------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_PACKING_H
#define ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_PACKING_H

#include "dialects/Graph/Graph.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Builders.h"

namespace isthmus::graph {

/// Made of weights and constants alone.
bool isWeight(mlir::Value v);

/// Whether a product of small integers may have `right`, indexed by `map`, for
/// its right operand in groups of terms: a matrix of weights, and a left
/// operand that is contiguous along the sum.
bool canPackSmallProduct(mlir::linalg::GenericOp op, mlir::Value right,
                         mlir::AffineMap map);

/// Makes an f32 product read its right operand where it was before copies and
/// reshapes, as far back as planContraction or planInner reads it.
void readThrough(mlir::linalg::GenericOp op);

/// Makes a product read both operands so, as far back as an operand's index is
/// some of the loops, as plans for lanes want it.
void readThroughForLanes(mlir::linalg::GenericOp op);

/// Whether copies made `v` of what is the same at all places along `dim`.
bool isRepeatedAlong(mlir::Value v, unsigned dim);

/// An operation that only copies elements of a tensor to other places.
bool isCopy(mlir::linalg::GenericOp op);

/// One that only has dims change places.
bool isPermutingCopy(mlir::linalg::GenericOp op);

/// Makes an operation write its result in the order in which a copy has it that
/// alone reads it, at once or behind elementwise operations, where the
/// innermost dim stays. Returns what it is then; the copy is gone.
mlir::linalg::GenericOp writeThrough(mlir::linalg::GenericOp op);

mlir::Value constant(mlir::OpBuilder &b, mlir::Location loc, int64_t v);

/// A graph.parallel with its body still empty; block arguments as the op says.
ParallelOp makeParallel(mlir::OpBuilder &b, mlir::Location loc,
                        llvm::StringRef op, mlir::ValueRange space,
                        mlir::ValueRange inputs, mlir::ValueRange scalars,
                        mlir::ValueRange sizes, mlir::RankedTensorType result);

/// Padding as an operation of its own, where a direct plan will then apply: an
/// convolution of floats of at most 32 bits and one or two spatial dims with a
/// filter of known shape and a stride along the row of at most `largestStride`.
void padConvolution(ConvOp op, int64_t largestStride = 2);

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_PACKING_H
