//===- TileBuilder.h - what plans build form(tiled) with -------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_TILEBUILDER_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_TILEBUILDER_H

#include "dialects/Kernel/Kernel.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"

namespace isthmus::kernel {

/// Builds the form(tiled) body of a kernel beside its form(tensor) body, then
/// swaps the two. Bool bindings become bytes here: memory holds i8, values i1.
class TileBuilder {
public:
  /// With `lanes`, points are dealt to so many lanes a workgroup.
  explicit TileBuilder(FuncOp kernel, int64_t lanes = 0);

  mlir::OpBuilder b;
  mlir::Location loc;
  FuncOp source; // form(tensor)
  FuncOp result; // form(tiled), complete after finish()

  /// The memref that holds tensor `t` of the source body: the binding of a
  /// to_tensor, or the out binding that a result is materialized in. Null if
  /// there is none.
  mlir::Value memoryOf(mlir::Value t) const { return memory.lookup(t); }

  /// The source body's index or scalar value, here: sizes are mapped, scalar
  /// ops are cloned once at the top.
  mlir::Value scalar(mlir::Value v);

  mlir::Value index(int64_t v);
  mlir::Value toValue(mlir::OpFoldResult v);
  mlir::OpFoldResult mul(mlir::OpFoldResult x, mlir::OpFoldResult y);
  mlir::OpFoldResult ceilDiv(mlir::OpFoldResult x, int64_t y);

  /// An element, with bools as i1.
  mlir::Value load(mlir::Value memref, mlir::ValueRange indices);
  void store(mlir::Value v, mlir::Value memref, mlir::ValueRange indices);
  /// The values of an affine map at `dims`.
  llvm::SmallVector<mlir::Value> apply(mlir::AffineMap map,
                                       mlir::ValueRange dims);

  /// Clones the region of `op` with `args` for its block arguments and `ivs`
  /// for linalg.index; returns what it yields.
  llvm::SmallVector<mlir::Value> inlineBody(mlir::linalg::LinalgOp op,
                                            mlir::ValueRange args,
                                            mlir::ValueRange ivs);

  /// Runs `body` for every point of `space`, about `perGroup` points a
  /// workgroup, and sets the grid: the last dim is innermost. Points are
  /// independent. With lanes, one point a lane whatever `perGroup` is.
  void forEachPoint(llvm::ArrayRef<mlir::OpFoldResult> space, int64_t perGroup,
                    llvm::function_ref<void(mlir::ValueRange)> body);

  /// Runs `body` for every point of a tile, all lanes of the workgroup
  /// together.
  void forTile(llvm::ArrayRef<mlir::OpFoldResult> shape,
               llvm::function_ref<void(mlir::ValueRange)> body);

  /// Takes the grid as a product of these extents, each over the sizes, and
  /// returns the coordinates of this workgroup.
  llvm::SmallVector<mlir::Value>
  makeGrid(llvm::ArrayRef<mlir::OpFoldResult> extents);

  /// The point of `extents` with this row-major number.
  llvm::SmallVector<mlir::Value>
  coordinatesOf(mlir::Value number, llvm::ArrayRef<mlir::OpFoldResult> extents);

  /// The slot of `step`, in a loop over a ring's steps, when it has arrived.
  /// `bring` fills a step's slot: where there are several, the one that comes
  /// `ahead` steps later, once the wait's barrier has freed it (past the last
  /// step that is zeros); without `ahead` this one.
  RingWaitOp takeSlot(mlir::Value ring, mlir::Value step, mlir::Value ahead,
                      llvm::function_ref<void(mlir::Value)> bring);

  /// Ends the kernel and replaces the source by the result.
  FuncOp finish(llvm::StringRef plan);
  /// Gives up: erases the result, leaves the source.
  void abandon() { result.erase(); }

private:
  mlir::AffineExpr sizeExpr(mlir::OpFoldResult v);
  std::pair<mlir::Value, mlir::OpFoldResult>
  part(mlir::Value block, mlir::OpFoldResult size, int64_t step);
  void forEachLane(llvm::ArrayRef<mlir::OpFoldResult> space,
                   llvm::function_ref<void(mlir::ValueRange)> body);
  void fixTensorOps(mlir::Operation *root, mlir::ValueRange ivs);
  friend mlir::LogicalResult emitParallel(TileBuilder &, mlir::Operation *);

  int64_t lanes;
  llvm::DenseMap<mlir::Value, mlir::Value> memory;
  /// How a value was computed from the sizes, for the grid.
  llvm::DenseMap<mlir::Value, mlir::AffineExpr> exprs;
  mlir::IRMapping scalars;
  mlir::Operation *scalarEnd = nullptr;
};

/// The size of every loop of `op`, from its operands' sizes in the kernel.
llvm::SmallVector<mlir::OpFoldResult> loopSizes(TileBuilder &tb,
                                                mlir::linalg::LinalgOp op);

/// The sizes of a tensor in a form(tensor) body, in terms of tb.result.
llvm::SmallVector<mlir::OpFoldResult> sizesOf(TileBuilder &tb,
                                              mlir::Value tensor);

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_TILEBUILDER_H
