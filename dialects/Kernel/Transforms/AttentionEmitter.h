//===- AttentionEmitter.h - attention of its operations --------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_ATTENTIONEMITTER_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_ATTENTIONEMITTER_H

#include "dialects/Kernel/Transforms/AttentionGroup.h"
#include "dialects/Kernel/Transforms/TileBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace isthmus::kernel {

/// What both ways of running attention need of its operations.
class AttentionEmitter {
public:
  AttentionEmitter(TileBuilder &tb, const AttentionGroup &g,
                   const Epilogue &epilogue)
      : tb(tb), b(tb.b), loc(tb.loc), g(g), epilogue(epilogue),
        f32(tb.b.getF32Type()) {
    scoreSizes = loopSizes(tb, g.scores);
    outputSizes = loopSizes(tb, g.output);
  }

  void onScalars(bool serial);

protected:
  llvm::SmallVector<mlir::OpFoldResult>
  sizesOf(llvm::ArrayRef<mlir::OpFoldResult> of,
          llvm::ArrayRef<unsigned> dims) {
    return llvm::map_to_vector(dims, [&](unsigned d) { return of[d]; });
  }
  mlir::Value constant(double v, mlir::Type type = {}) {
    return mlir::arith::ConstantOp::create(
        b, loc, b.getFloatAttr(type ? type : f32, v));
  }
  mlir::Value add(mlir::Value x, mlir::Value y) {
    return mlir::arith::AddIOp::create(b, loc, x, y);
  }
  mlir::Value below(mlir::Value x, mlir::Value y) {
    return mlir::arith::CmpIOp::create(b, loc, mlir::arith::CmpIPredicate::ult,
                                       x, y);
  }
  mlir::Value both(mlir::Value x, mlir::Value y) {
    return mlir::arith::AndIOp::create(b, loc, x, y);
  }
  mlir::Value load(mlir::Value memref, mlir::ValueRange at) {
    return mlir::memref::LoadOp::create(b, loc, memref, at);
  }
  void store(mlir::Value v, mlir::Value memref, mlir::ValueRange at) {
    mlir::memref::StoreOp::create(b, loc, v, memref, at);
  }
  mlir::Value as(mlir::Type type, mlir::Value v) {
    if (v.getType() == type)
      return v;
    if (v.getType().getIntOrFloatBitWidth() < type.getIntOrFloatBitWidth())
      return mlir::arith::ExtFOp::create(b, loc, type, v);
    return mlir::arith::TruncFOp::create(b, loc, type, v);
  }
  /// An element of an operand of one of the products.
  mlir::Value element(mlir::linalg::GenericOp op, unsigned i,
                      llvm::ArrayRef<mlir::Value> ivs, mlir::Type type) {
    return as(type, tb.load(tb.memoryOf(op.getDpsInputs()[i]),
                            tb.apply(op.getIndexingMapsArray()[i], ivs)));
  }
  mlir::Value ifElse(mlir::Value condition,
                     llvm::function_ref<mlir::Value()> then,
                     mlir::Value otherwise);
  mlir::Value
  loop(mlir::OpFoldResult size, mlir::Value init,
       llvm::function_ref<mlir::Value(mlir::Value, mlir::Value)> body);
  /// The score after scale and mask; `point` as the scores' dims.
  mlir::Value biased(mlir::Value score, llvm::ArrayRef<mlir::Value> point) {
    if (!g.bias)
      return score;
    return applyEpilogueScalar(tb, {g.bias, g.biasOperand}, score, point);
  }
  mlir::Value exp(mlir::Value v) {
    return mlir::math::ExpOp::create(b, loc, v);
  }
  /// exp(v - max); without scores that count (max is -inf) zero.
  mlir::Value weight(mlir::Value v, mlir::Value max);
  mlir::Value isNone(mlir::Value max) {
    return mlir::arith::CmpFOp::create(b, loc, mlir::arith::CmpFPredicate::OEQ,
                                       max, constant(-INFINITY));
  }
  mlir::Value maximum(mlir::Value x, mlir::Value y) {
    return mlir::arith::MaximumFOp::create(b, loc, x, y);
  }
  /// Points of the scores without their key; of a product's loops.
  llvm::SmallVector<mlir::Value> scoreIvs(mlir::ValueRange batch,
                                          mlir::ValueRange query,
                                          mlir::Value key,
                                          mlir::ValueRange depth);
  llvm::SmallVector<mlir::Value> outputIvs(mlir::ValueRange batch,
                                           mlir::ValueRange query,
                                           mlir::Value key,
                                           mlir::ValueRange width);
  void storeOutput(mlir::Value v, llvm::ArrayRef<mlir::Value> ivs);

  mlir::Value alloc(llvm::ArrayRef<int64_t> shape) {
    return AllocOp::create(
        b, loc,
        mlir::MemRefType::get(shape, f32, mlir::AffineMap(), kWorkgroupSpace));
  }
  /// Of what is multiplied.
  mlir::Value alloc(const AttentionTile &tile, int64_t rows, int64_t columns) {
    auto layout = mlir::StridedLayoutAttr::get(b.getContext(), 0,
                                               {tile.pitch(columns), 1});
    auto plain = mlir::MemRefType::get({rows, columns}, tile.type,
                                       mlir::AffineMap(), kWorkgroupSpace);
    return AllocOp::create(
        b, loc,
        tile.unit ? mlir::MemRefType::get({rows, columns}, tile.type, layout,
                                          plain.getMemorySpace())
                  : plain);
  }
  void forTile(llvm::ArrayRef<int64_t> shape,
               llvm::function_ref<void(mlir::ValueRange)> body);

  TileBuilder &tb;
  mlir::OpBuilder &b;
  mlir::Location loc;
  AttentionGroup g;
  const Epilogue &epilogue;
  mlir::Type f32;
  llvm::SmallVector<mlir::OpFoldResult> scoreSizes, outputSizes;
};

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_ATTENTIONEMITTER_H
