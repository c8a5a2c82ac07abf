//===- BlockedShape.h - convolutions in blocks, their tiles ----*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_BLOCKEDSHAPE_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_BLOCKEDSHAPE_H

#include "targets/Target.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace isthmus::kernel {

/// Which loop dims a blocked convolution has; all extents but the outer ones'
/// are constants.
struct BlockedDims {
  unsigned block = 0, row = 0, pixel = 0, lane = 0;
  llvm::SmallVector<unsigned> outer; // the images
  llvm::SmallVector<unsigned> taps;  // what is summed, outermost loop first
  bool depthwise = false;
  /// Terms along the innermost tap that lie side by side for a lane: of bytes.
  int64_t terms = 1;
};

/// Rows, pixels of each and blocks of channels whose sums are in registers.
struct BlockedTile {
  int64_t rows = 1, pixels = 1, blocks = 1;
};

/// "" with `dims`, or why planBlocked does not take `op`.
std::string classifyBlocked(mlir::linalg::LinalgOp op, BlockedDims &dims);

/// The address of `map`'s element in a row-major tensor of `type`, of which
/// only the first dim may be dynamic.
mlir::AffineExpr addressOf(mlir::AffineMap map, mlir::RankedTensorType type);

/// By how much `e` grows with loop dim `d`, if that is a constant.
std::optional<int64_t> growth(mlir::AffineExpr e, unsigned d, unsigned numDims);

/// The largest run of neighbouring blocks that read the same of X: all when X
/// does not depend on the block, those of a group when it does by `block / n`.
int64_t sharedBlocks(mlir::AffineExpr x, unsigned block, int64_t blocks);

/// Tiles for images of `rows` x `pixels` in `blocks` blocks, by the cycles that
/// they need, the fewest first: a multiply-add counts one, a vector of the
/// filter (from the second level cache) two, an element of the input a half
/// (one where it is widened), and fewer than eight sums wait for each other.
/// Several rows only where they are short. One tile for each number of blocks
/// and of rows, the best.
llvm::SmallVector<BlockedTile> blockedTiles(int64_t rows, int64_t pixels,
                                            int64_t blocks, bool depthwise,
                                            bool widened,
                                            const TargetInfo &info);

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_BLOCKEDSHAPE_H
