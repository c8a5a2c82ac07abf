//===- RowBody.h - bodies on values that may be vectors --------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_ROWBODY_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_ROWBODY_H

#include "dialects/Kernel/Transforms/TileBuilder.h"

namespace isthmus::kernel {

/// Where a value lies in memory.
struct RowPlace {
  mlir::Value memref;
  mlir::AffineMap map; // from the space's ivs
  bool varies = false; // from lane to lane, contiguously along the last dim
  bool isBool = false; // i1 as a value, a byte in memory
};

/// `v` on `width` lanes; itself where it is a vector already.
mlir::Value splatTo(TileBuilder &tb, mlir::Value v, int64_t width);

/// An element where `width` is 0 or all lanes have the same; else a vector.
/// Bools come as i1.
mlir::Value loadPlace(TileBuilder &tb, const RowPlace &place,
                      mlir::ValueRange ivs, int64_t width, mlir::Value mask);
void storePlace(TileBuilder &tb, mlir::Value v, const RowPlace &place,
                mlir::ValueRange ivs, int64_t width, mlir::Value mask);

/// What the body of `op` yields for `args`, each a scalar that all lanes have
/// in common, a vector of `width` lanes, or null where the body does not use
/// it. An operation on scalars alone stays one on scalars.
mlir::Value runBody(TileBuilder &tb, mlir::linalg::GenericOp op,
                    llvm::ArrayRef<mlir::Value> args, int64_t width);

/// Applies the operation that `like` is to two other values.
mlir::Value applyLike(TileBuilder &tb, mlir::Operation *like, mlir::Value x,
                      mlir::Value y);

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_ROWBODY_H
