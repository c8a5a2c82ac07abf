//===- RowBody.h - bodies on values that may be vectors --------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_ROWBODY_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_ROWBODY_H

#include "dialects/Kernel/Transforms/TileBuilder.h"

#include <optional>
#include <string>

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

/// What an index in a body is from lane to lane.
enum class IndexLanes {
  same,
  next,  // one more in each lane
  either // the same or one more, by a condition that all lanes share
};
using IndexKinds = llvm::DenseMap<mlir::Value, IndexLanes>;

/// Whether the body of `op` can run on vectors along loop `lane` (along none
/// where it is null): operations are elementwise, and elements that it looks up
/// by index are the same for all lanes or lie side by side. Returns "", or why
/// not; `kinds` gets the body's indices.
std::string checkBody(mlir::linalg::GenericOp op, std::optional<unsigned> lane,
                      IndexKinds &kinds);

/// Where a body runs.
struct BodyPlace {
  llvm::ArrayRef<mlir::Value> loops; // the index of each loop, of lane 0
  std::optional<unsigned> lane;      // the loop that vectors run along
  int64_t width = 0;                 // of vectors
  mlir::Value mask;                  // lanes that are inside, null: all
};

/// What the body of `op` yields for `args`, each a scalar that all lanes have
/// in common, a vector, or null where the body does not use it. An operation on
/// scalars alone stays one on scalars.
mlir::Value runBody(TileBuilder &tb, mlir::linalg::GenericOp op,
                    llvm::ArrayRef<mlir::Value> args, const BodyPlace &at);

/// Applies the operation that `like` is to two other values.
mlir::Value applyLike(TileBuilder &tb, mlir::Operation *like, mlir::Value x,
                      mlir::Value y);

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_ROWBODY_H
