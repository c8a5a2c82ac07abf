//===- RowGroup.h - operations that share rows -----------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Softmax, norms and plain reductions as one thing: a space of dims, each of
// them a row's name or a column within a row; reductions over all columns, and
// elementwise operations over the whole space or over the rows alone. A row
// needs nothing of another row. Fusion grows groups while findRows and
// rowLanes say yes; the plans `rows`, `loops` and `serial` run them.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_ROWGROUP_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_ROWGROUP_H

#include "dialects/Kernel/Kernel.h"
#include "targets/Target.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

#include <string>

namespace isthmus::kernel {

/// One operation of a group.
struct RowPart {
  mlir::linalg::GenericOp op;
  /// The space's dim that each loop is, or kUnitDim for a loop of one step.
  llvm::SmallVector<unsigned> dims;
  /// Over the whole space, columns included; a reduction always is.
  bool full = false;
  bool reduces = false;
  /// A row is gone over in passes 0, 1, ..: a full part can first be computed
  /// in this pass; the result of a reduction is there from the next one on, and
  /// a part over rows alone before this one.
  unsigned pass = 0;

  mlir::Value result() const;
  /// The loop that is the space's `dim`, if one is.
  std::optional<unsigned> loopOf(unsigned dim) const;
  mlir::AffineMap mapOf(mlir::OpOperand &operand, unsigned spaceDims) const;
  mlir::AffineMap resultMap(unsigned spaceDims) const;
};
inline constexpr unsigned kUnitDim = ~0u;

struct RowGroup {
  llvm::SmallVector<RowPart> parts;                   // in the order given
  llvm::SmallVector<mlir::utils::IteratorType> kinds; // of the space's dims
  /// All that is known to be the size of a dim.
  llvm::SmallVector<llvm::SmallVector<mlir::OpFoldResult>> sizes;
  unsigned passes = 1;

  unsigned rank() const { return kinds.size(); }
  bool isColumn(unsigned dim) const {
    return kinds[dim] == mlir::utils::IteratorType::reduction;
  }
  /// The part that makes `v`, or null.
  const RowPart *partOf(mlir::Value v) const;
};

using SizesOf = llvm::function_ref<llvm::SmallVector<mlir::OpFoldResult>(
    mlir::Value tensor)>;

/// Sees `ops` (in an order in which they can run) as a row group; returns "",
/// or why they are none.
std::string findRows(llvm::ArrayRef<mlir::linalg::GenericOp> ops,
                     SizesOf sizesOf, RowGroup &group);

/// The dim along which the group's operations run on the target's vectors, in
/// `lane`; returns "", or why there is none.
std::string rowLanes(const RowGroup &group, const TargetInfo &info,
                     unsigned &lane);

/// What a reduction does with each element: the op that joins it with what is
/// there already.
mlir::Operation *combinerOf(mlir::linalg::GenericOp op);

/// Whether parts of a reduction may be reduced apart and joined at the end: "",
/// or why not.
std::string checkReduction(mlir::linalg::GenericOp op);

/// The row group that a form(tensor) kernel is; returns "", or why it is none.
std::string findRows(FuncOp kernel, RowGroup &group);

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_ROWGROUP_H
