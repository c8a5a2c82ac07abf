//===- MergeDims.h - fewer, longer loops -----------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_MERGEDIMS_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_MERGEDIMS_H

#include "dialects/Kernel/Transforms/TileBuilder.h"

namespace isthmus::kernel {

/// Runs of dims of an iteration space that are one in memory for every operand:
/// neighbours of one kind that each of `maps` has side by side or not at all.
llvm::SmallVector<llvm::SmallVector<unsigned>>
mergeDims(llvm::ArrayRef<mlir::AffineMap> maps,
          llvm::ArrayRef<mlir::utils::IteratorType> kinds);

/// The operand's memref, and its map over the runs.
std::pair<mlir::Value, mlir::AffineMap>
mergeOperand(TileBuilder &tb, mlir::Value memref, mlir::AffineMap map,
             llvm::ArrayRef<llvm::SmallVector<unsigned>> runs);

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_MERGEDIMS_H
