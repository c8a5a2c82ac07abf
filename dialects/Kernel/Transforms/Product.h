//===- Product.h - matrix products, whatever they came from ----*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_PRODUCT_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_PRODUCT_H

#include "dialects/Graph/Graph.h"
#include "dialects/Kernel/Transforms/Plan.h"
#include "dialects/Kernel/Transforms/TileBuilder.h"
#include "dialects/Kernel/Transforms/VectorBody.h"

#include <functional>

namespace isthmus::kernel {

/// Indices of one dim of a product, which may be several of the operation.
using Place = mlir::ValueRange;

/// A or B.
struct Factor {
  /// Of its elements before they are widened to the product's type; this type
  /// if they are not.
  mlir::Type narrow;
  bool isUnsigned = false;
  /// It lies contiguous along m (A) or n (B); else along k.
  bool alongOuter = false;
  /// An element; `outer` is m's or n's place. As `narrow`, or as multiplied.
  std::function<mlir::Value(Place batch, Place outer, Place k, bool narrow)>
      element;
  /// Where `narrow` elements are those in memory, and from a multiple of `run`
  /// along the contiguous dim so many lie side by side, with every run of a
  /// multiple of `run` elements from the first: where an element lies. Null if
  /// not so.
  mlir::OpFoldResult run;
  std::function<std::pair<mlir::Value, llvm::SmallVector<mlir::Value>>(
      Place batch, Place outer, Place k)>
      at;
};

/// C[m, n] = start + sum over k of A[m, k] * B[k, n], for each of `batch`.
struct Product {
  llvm::SmallVector<mlir::OpFoldResult> batch, m, n, k;
  Factor a, b;
  bool isConvolution = false;
  mlir::Type type; // that elements are multiplied in
  mlir::Type sum;  // of the accumulator
  std::function<mlir::Value()> start;
  /// Converts, runs the epilogue, and stores; along n stores are contiguous.
  std::function<void(Place batch, Place m, Place n, mlir::Value)> store;
};

/// How many elements along the last of `dims` lie side by side in an operand
/// that `map` indexes: those of its last ones that are the operand's last dims
/// as well. Null if that is none of them.
mlir::OpFoldResult runOf(TileBuilder &tb, mlir::AffineMap map,
                         llvm::ArrayRef<unsigned> dims,
                         llvm::ArrayRef<mlir::OpFoldResult> sizes);

/// How a factor's elements come from memory: `run` of them at once, always or
/// when `aligned` holds, which all lanes see alike; else one by one.
struct Way {
  int64_t run = 1;
  mlir::Value aligned;
};

/// As many bytes at once as runs and the binding's address allow, 16 at most;
/// what is not known of them is asked at run time.
Way wayOf(TileBuilder &tb, const Product &p, const Factor &f);

/// Whether m, n or k is known to be so short that tiles gain nothing.
bool isThin(TileBuilder &tb, const Product &p);

/// The rows and columns of a tile by multiply-add, at most.
constexpr int64_t kProductTile = 64;

/// No larger than the product needs.
int64_t fitTile(std::optional<int64_t> size, int64_t most, int64_t least);

mlir::OpFoldResult productOf(TileBuilder &tb,
                             llvm::ArrayRef<mlir::OpFoldResult> sizes);

/// The target's unit that multiplies elements of these types, or null.
const MatrixUnit *unitFor(const TargetInfo &info, mlir::Type a, bool unsignedA,
                          mlir::Type b, bool unsignedB, mlir::Type sum);

/// What a convolution sums in, an element of it widened to that, and what lies
/// outside of its input.
mlir::Type accumulatorOf(graph::ConvOp op);
mlir::Value widened(mlir::OpBuilder &b, mlir::Location loc, mlir::Value v,
                    mlir::Type type, bool isUnsigned = false);
mlir::Value paddingOf(mlir::OpBuilder &b, mlir::Location loc, graph::ConvOp op,
                      mlir::Type type);

/// Plans `kernel` as a product: `emit` builds it, sets the group, and returns
/// "" with the plan's name in `plan`, or builds nothing and returns why it
/// declines, as this does.
std::string
planAsProduct(FuncOp kernel, const TargetInfo &info,
              llvm::function_ref<std::string(TileBuilder &, const Product &,
                                             std::string &plan)>
                  emit);

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_PRODUCT_H
