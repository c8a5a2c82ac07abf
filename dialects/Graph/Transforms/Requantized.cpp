//===- Requantized.cpp - bytes that move as bytes -------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Requantized.h"
#include "dialects/Graph/Graph.h"
#include "dialects/Graph/Transforms/Outline.h"
#include "dialects/Graph/Transforms/Packing.h"
#include "dialects/Graph/Transforms/QuantizedOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::graph;

static constexpr unsigned kMostMoves = 16;

static bool isFloat(Value v) { return isa<FloatType>(v.getType()); }

static bool isFloatTensor(Value v) {
  return getElementTypeOrSelf(v.getType()).isF32();
}

/// `type` with bytes for floats.
static Type narrow(Type type) {
  Type i8 = IntegerType::get(type.getContext(), 8);
  if (auto shaped = dyn_cast<ShapedType>(type))
    return shaped.getElementType().isF32() ? Type(shaped.clone(i8)) : type;
  return type.isF32() ? i8 : type;
}

/// All that bodies do with floats is to hand on those that they were given.
static bool onlyMoves(Operation *op) {
  auto isMoved = [&](Operation *inner) {
    if (inner == op)
      return true;
    for (Value v : inner->getOperands())
      if (isFloat(v) && !op->isAncestor(v.getParentBlock()->getParentOp()))
        return false;
    bool floats = llvm::any_of(inner->getOperands(), isFloat) ||
                  llvm::any_of(inner->getResults(), isFloat);
    return !floats ||
           isa<memref::LoadOp, memref::StoreOp, scf::IfOp, scf::YieldOp,
               linalg::YieldOp, tensor::ExtractOp>(inner);
  };
  return !op->walk([&](Operation *inner) {
              return isMoved(inner) ? WalkResult::advance()
                                    : WalkResult::interrupt();
            }).wasInterrupted();
}

/// The tensors of floats that `op` moves elements of.
static SmallVector<Value> movedBy(Operation *op) {
  llvm::SetVector<Value> moved;
  auto add = [&](ValueRange values) {
    for (Value v : values)
      if (isa<TensorType>(v.getType()) && isFloatTensor(v))
        moved.insert(v);
  };
  if (auto generic = dyn_cast<linalg::GenericOp>(op)) {
    add(generic.getInputs());
    generic->walk([&](tensor::ExtractOp extract) { add(extract.getTensor()); });
  } else {
    add(op->getOperands());
  }
  return moved.takeVector();
}

static bool isMove(Operation *op) {
  if (isa_and_nonnull<graph::ReshapeOp>(op))
    return true;
  if (auto generic = dyn_cast_or_null<linalg::GenericOp>(op))
    return generic->getNumResults() == 1 && !generic.getNumReductionLoops() &&
           generic.getRegion().front().getArguments().back().use_empty() &&
           generic.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>() &&
           onlyMoves(generic);
  auto parallel = dyn_cast_or_null<graph::ParallelOp>(op);
  return parallel && parallel->getNumResults() == 1 && !parallel.getInPlace() &&
         onlyMoves(parallel);
}

/// Each element of what is moved comes out once.
static bool keepsElements(Operation *op) {
  if (auto parallel = dyn_cast<graph::ParallelOp>(op))
    return parallel.getOp() == "Concat";
  auto generic = dyn_cast<linalg::GenericOp>(op);
  return isa<graph::ReshapeOp>(op) || (generic && isPermutingCopy(generic));
}

namespace {
class Mover {
public:
  explicit Mover(Quantized &q) : q(q) {}

  /// Whether `v` can be had as bytes: it is made of them, or moved, where
  /// nobody else reads it on the way, from what can; or quantized before it is
  /// moved, if that is the same work.
  bool canMove(Value v, bool keeps = true, unsigned depth = 0) {
    if (bytesOf(v))
      return true;
    Operation *op = v.getDefiningOp();
    if (isMove(op) && v.hasOneUse() && depth < kMostMoves) {
      SmallVector<Value> moved = movedBy(op);
      bool keep = keeps && keepsElements(op);
      if (!moved.empty() && llvm::all_of(moved, [&](Value from) {
            return canMove(from, keep, depth + 1);
          }))
        return through.insert(op).second;
    }
    return depth && keeps && op && !isWeight(v) &&
           (v.hasOneUse() || matchDequantized(v)) &&
           succeeded(graph::getSizes(v));
  }

  Value move(Value v) {
    if (Value bytes = bytesOf(v))
      return bytes;
    Operation *op = v.getDefiningOp();
    if (!through.contains(op))
      return quantize(v);
    IRMapping map;
    for (Value from : movedBy(op))
      map.map(from, move(from));
    OpBuilder b(op);
    if (auto generic = dyn_cast<linalg::GenericOp>(op)) {
      auto empty = generic.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>();
      map.map(empty.getResult(),
              Value(tensor::EmptyOp::create(
                  b, op->getLoc(), empty.getMixedSizes(), b.getI8Type())));
    }
    Operation *copy = b.clone(*op, map);
    copy->walk([](Operation *inner) {
      for (Region &region : inner->getRegions())
        for (Block &block : region)
          for (BlockArgument arg : block.getArguments())
            arg.setType(narrow(arg.getType()));
      for (Value result : inner->getResults())
        result.setType(narrow(result.getType()));
    });
    return copy->getResult(0);
  }

private:
  Value bytesOf(Value v) {
    auto d = matchDequantized(v);
    if (!d || !isFloatTensor(v) || d->zero || d->scale || !d->constantScale ||
        d->isUnsigned != q.isUnsigned || d->constantZero != q.zero ||
        !d->map(d->source).isIdentity())
      return {};
    auto scale = dyn_cast<FloatAttr>(d->constantScale);
    return scale && scale.getType().isF32() &&
                   scale.getValue().convertToFloat() == q.scale
               ? d->source->get()
               : Value();
  }

  Value quantize(Value v) {
    OpBuilder b(v.getContext());
    b.setInsertionPointAfterValue(v);
    unsigned rank = cast<RankedTensorType>(v.getType()).getRank();
    Value empty = tensor::EmptyOp::create(b, v.getLoc(), *graph::getSizes(v),
                                          b.getI8Type());
    AffineMap all = b.getMultiDimIdentityMap(rank);
    auto op = linalg::GenericOp::create(
        b, q.op.getLoc(), empty.getType(), v, empty,
        ArrayRef<AffineMap>{all, all},
        SmallVector<utils::IteratorType>(rank, utils::IteratorType::parallel));
    // Constants that the body captures may stand behind `v`.
    IRMapping map;
    llvm::SetVector<Value> captured;
    getUsedValuesDefinedAbove(q.op.getRegion(), captured);
    b.setInsertionPoint(op);
    for (Value constant : captured)
      b.clone(*constant.getDefiningOp(), map);
    q.op.getRegion().cloneInto(&op.getRegion(), map);
    return op.getResult(0);
  }

  Quantized &q;
  llvm::SmallPtrSet<Operation *, 8> through;
};
} // namespace

void graph::moveBytes(ModuleOp module) {
  SmallVector<Quantized> all;
  module.walk([&](linalg::GenericOp op) {
    if (auto q = matchQuantized(op))
      all.push_back(*q);
  });
  for (Quantized &q : all) {
    float size = std::fabs(q.scale);
    if (!(size >= std::numeric_limits<float>::min()) ||
        !(size <= std::numeric_limits<float>::max() / 256))
      continue;
    Mover mover(q);
    Value from = q.op.getDpsInputs()[0];
    if (!mover.canMove(from))
      continue;
    q.op->getResult(0).replaceAllUsesWith(mover.move(from));
    q.op.erase();
  }
  for (auto func : module.getOps<func::FuncOp>())
    eraseDead(func);
}
