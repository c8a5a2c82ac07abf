//===- Blocker.h - makes operations work on blocks -------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_BLOCKER_H
#define ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_BLOCKER_H

#include "dialects/Graph/Graph.h"
#include "targets/Target.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/ADT/SetVector.h"

namespace isthmus::graph {

/// N x C x .. of floats, i8 or i32 whose sizes are known, but for their number.
bool areImages(mlir::Type type);

int64_t blockWidth(const TargetInfo &info);

/// A convolution over rows and pixels; one over pixels alone has one row.
struct Window {
  mlir::RankedTensorType filter, result;
  llvm::SmallVector<int64_t, 2> strides, dilations;
};

/// One walk over a function: each operation that can is made again beside
/// itself over [N][C / width]..[width]; `finish` lets the originals go.
class Blocker {
public:
  Blocker(int64_t width, const TargetInfo &info) : width(width), info(info) {}

  void visit(mlir::Operation *op);
  /// Copies for who needs channels first; what was replaced goes.
  void finish();

private:
  // Each makes the operation again and says so, or changes nothing.
  bool convolution(ConvOp op);
  bool elementwise(mlir::linalg::GenericOp op);
  bool reduction(mlir::linalg::GenericOp op);
  bool channelwise(ParallelOp op);
  bool concat(ParallelOp op);
  bool reshape(ReshapeOp op);

  mlir::Value find(mlir::Value v) const { return blocked.lookup(v); }
  int64_t blocksOf(int64_t channels) const {
    return llvm::divideCeil(channels, width);
  }
  bool divides(int64_t channels) const { return channels % width == 0; }
  mlir::RankedTensorType typeOf(mlir::RankedTensorType type) const;
  /// The images' number, if it is dynamic: what shapes need as operands.
  llvm::SmallVector<mlir::Value> numberOf(mlir::Value images);
  mlir::Value empty(mlir::OpBuilder &b, mlir::Location loc,
                    mlir::RankedTensorType type, mlir::Value images);
  /// Every point of a result of `type` for the images of `images`.
  llvm::SmallVector<mlir::Value> spaceOf(mlir::OpBuilder &b, mlir::Location loc,
                                         mlir::RankedTensorType type,
                                         mlir::Value images);

  mlir::Value pack(mlir::OpBuilder &b, mlir::Value v);
  mlir::Value unpack(mlir::OpBuilder &b, mlir::Location loc, mlir::Value v,
                     mlir::RankedTensorType type);
  /// To blocks of so many channels, zeros past their number.
  mlir::Value packChannels(mlir::OpBuilder &b, mlir::Value v, int64_t block);
  /// [OC][IC][KH][KW] to [OC / B]([IC][KH][KW][B] or, for an input in blocks of
  /// I channels of which T are summed at once, [IC / I][KH][KW][I / T][B * T]),
  /// zeros past the channels.
  mlir::Value packFilter(mlir::OpBuilder &b, mlir::Location loc,
                         mlir::Value filter, int64_t inputBlock, int64_t terms);
  /// [C] to [C / B][B], zeros past the channels.
  mlir::Value packVector(mlir::OpBuilder &b, mlir::Location loc,
                         mlir::Value weight);
  /// What `op` wants around its images `x`, of rank 5.
  mlir::Value pad(mlir::OpBuilder &b, mlir::Value x,
                  llvm::ArrayRef<int64_t> pads, ConvOp op);
  /// The sums `y` with the bias, if there is one, rounded to `element`.
  mlir::Value finishSums(mlir::OpBuilder &b, mlir::Location loc, mlir::Value y,
                         mlir::Value bias, mlir::Type element);
  /// The sums themselves, in f32 or i32, over unpadded images of two spatial
  /// dims in blocks of so many channels (0: channels first), of which so many
  /// are summed at once.
  mlir::Value convolve(mlir::OpBuilder &b, ConvOp op, const Window &w,
                       mlir::Value x, mlir::Value filter, int64_t inputBlock,
                       int64_t terms);

  int64_t width;
  const TargetInfo &info;
  llvm::DenseMap<mlir::Value, mlir::Value> blocked; // channels first to blocked
  /// Blocked values whose last block has more lanes than channels, and may hold
  /// anything there; in the others such lanes are finite.
  llvm::DenseSet<mlir::Value> dirty;
  llvm::SetVector<mlir::Operation *> replaced;
};

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_BLOCKER_H
