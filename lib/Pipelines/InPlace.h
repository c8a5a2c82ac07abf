//===- InPlace.h - whose memory can be written ------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_PIPELINES_INPLACE_H
#define ISTHMUS_LIB_PIPELINES_INPLACE_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace isthmus {

/// Whether the memory of the tensor that `use` takes is the call's own, or an
/// input's whose place a result takes, and nothing reads what it holds any
/// more: its user may write its result there. Follows the tensor through
/// branches and around loops to where it was made.
bool isOwned(mlir::OpOperand &use);

/// Gives every user of a tensor.empty, or of one behind a reshape, one of its
/// own: as values they are equal, as memory they are not.
void unshareBuffers(mlir::func::FuncOp func);

} // namespace isthmus

#endif // ISTHMUS_LIB_PIPELINES_INPLACE_H
