//===- MatrixSlices.h - slices of A and B for a matrix unit ----*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_MATRIXSLICES_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_MATRIXSLICES_H

#include "dialects/Kernel/Transforms/Product.h"

namespace isthmus::kernel {

/// How the slices of a factor lie in workgroup memory, outer x k or k x outer,
/// rows padded so that a unit's fragments come from different banks.
///
/// Where a subgroup loads whole matrices, in either direction, slices lie as
/// memory does, and are copied without passing a register where the target can.
/// Else lanes load fragments along k, so slices lie along k: a lane brings
/// pieces, which it turns in registers.
class MatrixSlice {
public:
  MatrixSlice(const Factor &f, int64_t outer, int64_t k, int64_t lanes,
              const TargetInfo &info);

  mlir::MemRefType type;
  bool alongOuter; // rows of `type` are those of k
  bool inPieces;
  int64_t bytes() const;

  /// Where a workgroup's slices are: its batch, the first row (column), and
  /// what there is in all.
  struct Region {
    mlir::ValueRange batch;
    mlir::Value outer0, sizeOuter;
    llvm::ArrayRef<mlir::OpFoldResult> outerDims;
    mlir::Value sizeK;
    llvm::ArrayRef<mlir::OpFoldResult> kDims;
    /// Slices may begin behind the last row (column), as behind the last term.
    bool pastOuter = false;
  };
  /// Fills `tile` with the slice at `k0`; outside of the factor with zeros. In
  /// pieces, what `way` asks must hold.
  void bring(TileBuilder &tb, const Way &way, const Region &region,
             mlir::Value tile, mlir::Value k0) const;

private:
  void bringAsItLies(TileBuilder &tb, const Way &way, const Region &region,
                     mlir::Value tile, mlir::Value k0) const;
  void bringInPieces(TileBuilder &tb, const Way &way, const Region &region,
                     mlir::Value tile, mlir::Value k0) const;

  const Factor &f;
  int64_t outer, k, lanes;
};

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_MATRIXSLICES_H
