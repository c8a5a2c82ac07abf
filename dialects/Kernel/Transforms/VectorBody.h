//===- VectorBody.h - scalar bodies on vectors -----------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_VECTORBODY_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_VECTORBODY_H

#include "dialects/Kernel/Transforms/TileBuilder.h"

namespace isthmus::kernel {

/// "" when the body of `op` can run on vectors along loop dim `lane`: only
/// elementwise ops, and every operand is contiguous along `lane` or does not
/// depend on it. Otherwise why not. f32 operands and results only, unless
/// `anyType`.
std::string canVectorize(mlir::linalg::LinalgOp op, unsigned lane,
                         bool anyType = false);

/// The element type widened to `width` lanes.
mlir::VectorType vectorOf(mlir::Type element, int64_t width);

/// Loads `width` elements along the memref's last dim; under `mask` (may be
/// null) those outside read zero.
mlir::Value loadVector(TileBuilder &tb, mlir::Value memref,
                       mlir::ValueRange indices, int64_t width,
                       mlir::Value mask);
void storeVector(TileBuilder &tb, mlir::Value v, mlir::Value memref,
                 mlir::ValueRange indices, mlir::Value mask);

/// Floats whose sums are in f32: f32, f16, bf16.
bool isSummedInF32(mlir::Type type);
/// Such a float, or a vector of them, widened where it is narrower, and f32
/// rounded to `element`.
mlir::Value toF32(TileBuilder &tb, mlir::Value v);
mlir::Value fromF32(TileBuilder &tb, mlir::Value v, mlir::Type element);

/// Calls `tile` with where it begins and its rows for [begin, end): tiles of
/// `rows`, then what is left of `known` rows all at once, of unknown ones by
/// fours and ones.
void forRowTiles(TileBuilder &tb, mlir::Value begin, mlir::Value end,
                 std::optional<int64_t> known, int64_t rows,
                 llvm::function_ref<void(mlir::Value, int64_t)> tile);

/// A consumer of an anchor's (contraction, convolution, reduction) result that
/// runs before the store: elementwise over the anchor's parallel dims.
struct Epilogue {
  mlir::linalg::LinalgOp op;  // null: none
  unsigned anchorOperand = 0; // which operand is the anchor's result
};

/// The epilogue's value for `acc`, a vector along the last loop dim, at `ivs`.
/// Where loop dims were joined, `runs` (of mergeDims) says which, and `ivs` has
/// one value a run.
mlir::Value
applyEpilogue(TileBuilder &tb, const Epilogue &epilogue, mlir::Value acc,
              mlir::ValueRange ivs, int64_t width, mlir::Value mask,
              llvm::ArrayRef<llvm::SmallVector<unsigned>> runs = {});
/// The same for a scalar.
mlir::Value applyEpilogueScalar(TileBuilder &tb, const Epilogue &epilogue,
                                mlir::Value acc, mlir::ValueRange ivs);

/// The anchor and the epilogue of a kernel: one computing op, or two of which
/// the second is elementwise over the first one's result. Returns why not.
std::string findAnchor(FuncOp kernel, mlir::Operation *&anchor,
                       Epilogue &epilogue);

/// The same where the anchor is a sum that plans for vectors take: a linalg
/// operation that `classify` does not decline, from a constant on, and an
/// epilogue that runs on vectors along its last loop.
struct VectorAnchor {
  mlir::linalg::LinalgOp op;
  mlir::Value start; // the constant
  Epilogue epilogue;
};
std::string findVectorAnchor(
    FuncOp kernel,
    llvm::function_ref<std::string(mlir::linalg::LinalgOp)> classify,
    VectorAnchor &anchor, bool anyType = false);

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_VECTORBODY_H
