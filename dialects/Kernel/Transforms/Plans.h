//===- Plans.h - the plans there are ---------------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_PLANS_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_PLANS_H

#include "dialects/Kernel/Transforms/AttentionGroup.h"
#include "dialects/Kernel/Transforms/Plan.h"
#include "dialects/Kernel/Transforms/RowGroup.h"
#include "dialects/Kernel/Transforms/TileBuilder.h"

#include <string>

namespace isthmus::kernel {

// Each rewrites the kernel to form(tiled) and returns "", or changes nothing
// and returns why it declines.

std::string planContraction(FuncOp kernel, const TargetInfo &info);
std::string planDots(FuncOp kernel, const TargetInfo &info);
std::string planInner(FuncOp kernel, const TargetInfo &info);
std::string planConv(FuncOp kernel, const TargetInfo &info);
std::string planBlocked(FuncOp kernel, const TargetInfo &info);
std::string planVectors(FuncOp kernel, const TargetInfo &info);
std::string planRows(FuncOp kernel, const TargetInfo &info);
std::string planThin(FuncOp kernel, const TargetInfo &info);
std::string planMatrix(FuncOp kernel, const TargetInfo &info);
std::string planTiles(FuncOp kernel, const TargetInfo &info);
std::string planLaneRows(FuncOp kernel, const TargetInfo &info);
std::string planAttention(FuncOp kernel, const TargetInfo &info);
std::string planLoops(FuncOp kernel, const TargetInfo &info, bool serial);

/// Runs a row group one row a point, on scalars: what `loops` does with it.
void emitRowsOnScalars(TileBuilder &tb, const RowGroup &group, bool serial);

/// The same for attention, a query a point; the scores are computed again
/// wherever they are needed.
void emitAttentionOnScalars(TileBuilder &tb, const AttentionGroup &group,
                            const Epilogue &epilogue, bool serial);

/// A sum of products of two tensors of floats as planContraction takes it, its
/// right operand packed or not.
bool isMatrixProduct(mlir::linalg::LinalgOp op);

/// acc + a * b in i32 of integers that are narrower in memory.
struct SmallProduct {
  mlir::Type a, b;
  bool unsignedA = false, unsignedB = false;
};
std::optional<SmallProduct> smallProductOf(mlir::linalg::LinalgOp op);

/// How a product indexes its right operand when that is packed in panels of so
/// many columns, groups of terms side by side: what planDots takes.
mlir::AffineMap packedMap(mlir::AffineMap map, mlir::AffineExpr n,
                          mlir::AffineExpr k, int64_t panel, int64_t group);

/// A tile of sums in registers: rows by vectors.
struct RegisterTile {
  int64_t rows, vectors;
};
/// `guess`, or what a tuning says is better for `what`: tiles of any number of
/// vectors up to `mostVectors` with the rows that registers have room for.
RegisterTile tunedTile(RegisterTile guess, const std::string &what,
                       std::optional<int64_t> m, int64_t mostVectors,
                       const TargetInfo &info);
/// The rows of `tile` where a panel that is packed already has so many vectors.
int64_t rowsFor(int64_t vectors, RegisterTile tile);
/// A size in the name of what is tuned: "128", or "?" where it is not known.
std::string sizeText(std::optional<int64_t> size);

/// The register tile of planDots for m rows (unknown if dynamic), n columns and
/// k terms.
RegisterTile dotsTile(std::optional<int64_t> m, int64_t n, int64_t k,
                      const MatrixUnit &unit, const TargetInfo &info);

/// sum + a * w by a unit of one row: a its k terms, w groups of k terms for
/// each lane of the sum.
mlir::Value multiplyBy(TileBuilder &tb, const MatrixUnit &unit, mlir::Value a,
                       mlir::Value w, mlir::Value sum);

/// A product of few rows whose operands both lie along k, as planInner takes
/// it.
bool isInnerProduct(mlir::linalg::LinalgOp op);

/// A convolution as planBlocked takes it.
bool isBlockedConv(mlir::linalg::LinalgOp op);

/// The body is `acc + a * b` in f32, of the two inputs in either order; with
/// `widening` of f16 and bf16 too, widened before.
bool isMultiplyAdd(mlir::linalg::LinalgOp op, bool widening = false);

/// planInner takes products of no more rows, or columns, than these.
constexpr int64_t kFewRows = 8;
int64_t fewColumns(const TargetInfo &info);

/// The register tile of an m x n product over k (nothing where dynamic).
struct ContractionTile {
  int64_t rows, vectors, lanes;
};
ContractionTile contractionTile(std::optional<int64_t> m,
                                std::optional<int64_t> n,
                                std::optional<int64_t> k,
                                const TargetInfo &info);

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_PLANS_H
