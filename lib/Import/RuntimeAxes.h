//===- RuntimeAxes.h - axes that only the device knows ---*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_IMPORT_RUNTIMEAXES_H
#define ISTHMUS_LIB_IMPORT_RUNTIMEAXES_H

#include "lib/Import/NodeContext.h"

namespace isthmus {

/// 1 for each dim that one of the axes names, else 0. Checks that they are in
/// range and distinct.
mlir::FailureOr<Sizes>
axesMask(NodeContext &c, llvm::ArrayRef<OpFoldResult> axes, int64_t rank);

/// The `kept` sizes whose mask is 0, in order.
Sizes compactSizes(NodeContext &c, llvm::ArrayRef<OpFoldResult> sizes,
                   llvm::ArrayRef<OpFoldResult> mask, int64_t kept);

/// The sizes in the places whose mask is 0, and 1 in the others.
Sizes spreadSizes(NodeContext &c, llvm::ArrayRef<OpFoldResult> sizes,
                  llvm::ArrayRef<OpFoldResult> mask);

/// 0 <= axis < rank of a possibly negative one, checked.
mlir::FailureOr<OpFoldResult> hostAxis(NodeContext &c, OpFoldResult axis,
                                       int64_t rank);

} // namespace isthmus

#endif // ISTHMUS_LIB_IMPORT_RUNTIMEAXES_H
