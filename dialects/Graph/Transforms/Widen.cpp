//===- Widen.cpp - narrow floats stored as f32 ----------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Widen.h"
#include "dialects/Graph/Graph.h"
#include "dialects/Graph/Transforms/Packing.h"
#include "dialects/Kernel/Transforms/Plans.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace isthmus;

static bool isNarrow(Type type) {
  Type element = getElementTypeOrSelf(type);
  return element.isF16() || element.isBF16();
}

static Type widened(Type type) {
  return cast<ShapedType>(type).clone(Float32Type::get(type.getContext()));
}

/// A product takes elements of its left operand one by one, each as often as
/// it has vectors of columns.
static bool rereads(OpOperand &use, const TargetInfo &info) {
  auto op = dyn_cast<linalg::GenericOp>(use.getOwner());
  if (!op || use.getOperandNumber() != 0 || op.getNumDpsInputs() != 2)
    return false;
  if (kernel::isBlockedConv(op))
    return true;
  if (!kernel::isMatrixProduct(op))
    return false;
  int64_t columns =
      cast<RankedTensorType>(op->getResult(0).getType()).getShape().back();
  return ShapedType::isDynamic(columns) || columns > 2 * (info.vectorBytes / 4);
}

//===----------------------------------------------------------------------===//
// Who reads and writes
//===----------------------------------------------------------------------===//

namespace {
/// A value under all its shapes, and what reads it.
struct Stored {
  SmallVector<graph::ReshapeOp> reshapes;
  SmallVector<OpOperand *> reads;
};
} // namespace

/// Memory that the body of a graph.parallel only loads from or stores to.
template <typename Access> static bool isOnly(Value memory) {
  return llvm::all_of(memory.getUses(), [&](OpOperand &use) {
    auto access = dyn_cast<Access>(use.getOwner());
    return access && access.getMemRef() == memory &&
           (!std::is_same_v<Access, memref::StoreOp> ||
            use.getOperandNumber() == 1);
  });
}

static BlockArgument memoryOfInput(graph::ParallelOp op, unsigned operand) {
  // Space, inputs: arguments of the body have the same order.
  return op.getBody().front().getArgument(operand);
}

static BlockArgument memoryOfResult(graph::ParallelOp op) {
  return op.getBody().front().getArguments().back();
}

static bool canRead(OpOperand &use) {
  Operation *op = use.getOwner();
  if (auto generic = dyn_cast<linalg::GenericOp>(op))
    return !generic.isDpsInit(&use);
  if (isa<tensor::ExtractOp>(op))
    return true;
  auto parallel = dyn_cast<graph::ParallelOp>(op);
  return parallel && !parallel.getInPlace() &&
         isOnly<memref::LoadOp>(
             memoryOfInput(parallel, use.getOperandNumber()));
}

static bool canWrite(Operation *op) {
  if (!op || op->getNumResults() != 1 || graph::isWeight(op->getResult(0)))
    return false;
  if (auto generic = dyn_cast<linalg::GenericOp>(op))
    return generic.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>() &&
           generic.getRegion().front().getArguments().back().use_empty();
  auto parallel = dyn_cast<graph::ParallelOp>(op);
  return parallel && !parallel.getInPlace() &&
         isOnly<memref::StoreOp>(memoryOfResult(parallel));
}

static bool collect(Value v, Stored &stored) {
  for (OpOperand &use : v.getUses())
    if (auto reshape = dyn_cast<graph::ReshapeOp>(use.getOwner())) {
      stored.reshapes.push_back(reshape);
      if (!collect(reshape.getResult(), stored))
        return false;
    } else if (canRead(use)) {
      stored.reads.push_back(&use);
    } else {
      return false;
    }
  return true;
}

//===----------------------------------------------------------------------===//
// Changing the type
//===----------------------------------------------------------------------===//

/// `v`, which has become f32, for those who knew it as a `narrow`.
static void readNarrow(Value v, Type narrow) {
  OpBuilder b(v.getContext());
  b.setInsertionPointAfterValue(v);
  Operation *rounded = nullptr;
  for (OpOperand &use : llvm::make_early_inc_range(v.getUses())) {
    auto widen = dyn_cast<arith::ExtFOp>(use.getOwner());
    if (widen && widen.getType().isF32()) {
      widen.replaceAllUsesWith(v);
      widen.erase();
      continue;
    }
    if (use.getOwner() == rounded)
      continue;
    if (!rounded)
      rounded = arith::TruncFOp::create(b, v.getLoc(), narrow, v);
    use.set(rounded->getResult(0));
  }
}

static void changeRead(OpOperand &use, Type narrow) {
  if (auto generic = dyn_cast<linalg::GenericOp>(use.getOwner())) {
    BlockArgument arg = generic.getMatchingBlockArgument(&use);
    arg.setType(Float32Type::get(narrow.getContext()));
    readNarrow(arg, narrow);
  } else if (auto extract = dyn_cast<tensor::ExtractOp>(use.getOwner())) {
    extract.getResult().setType(Float32Type::get(narrow.getContext()));
    readNarrow(extract.getResult(), narrow);
  } else {
    auto parallel = cast<graph::ParallelOp>(use.getOwner());
    BlockArgument memory = memoryOfInput(parallel, use.getOperandNumber());
    memory.setType(widened(memory.getType()));
    for (Operation *user : memory.getUsers()) {
      Value v = cast<memref::LoadOp>(user).getResult();
      v.setType(Float32Type::get(narrow.getContext()));
      readNarrow(v, narrow);
    }
  }
}

static Value extend(OpBuilder &b, Value v) {
  return arith::ExtFOp::create(b, v.getLoc(), b.getF32Type(), v);
}

static void changeWrite(Operation *op) {
  OpBuilder b(op);
  op->getResult(0).setType(widened(op->getResult(0).getType()));
  if (auto generic = dyn_cast<linalg::GenericOp>(op)) {
    auto empty = generic.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>();
    generic.getDpsInitsMutable()[0].set(tensor::EmptyOp::create(
        b, op->getLoc(), empty.getMixedSizes(), b.getF32Type()));
    Block &block = generic.getRegion().front();
    block.getArguments().back().setType(b.getF32Type());
    Operation *yield = block.getTerminator();
    b.setInsertionPoint(yield);
    yield->setOperand(0, extend(b, yield->getOperand(0)));
    return;
  }
  BlockArgument memory = memoryOfResult(cast<graph::ParallelOp>(op));
  memory.setType(widened(memory.getType()));
  for (Operation *user : memory.getUsers()) {
    b.setInsertionPoint(user);
    user->setOperand(0, extend(b, user->getOperand(0)));
  }
}

void graph::storeWidened(func::FuncOp func, const TargetInfo &info) {
  SmallVector<OpOperand *> reads;
  func.walk([&](linalg::GenericOp op) {
    if (OpOperand *left =
            op.getNumDpsInputs() ? op.getDpsInputOperand(0) : nullptr;
        left && isNarrow(left->get().getType()) && rereads(*left, info))
      reads.push_back(left);
  });
  for (OpOperand *read : reads) {
    Value v = read->get();
    if (!isNarrow(v.getType()))
      continue; // done for another reader
    while (auto reshape = v.getDefiningOp<graph::ReshapeOp>())
      v = reshape.getSource();
    Stored stored;
    if (!canWrite(v.getDefiningOp()) || !collect(v, stored))
      continue;
    Type narrow = getElementTypeOrSelf(v.getType());
    for (OpOperand *use : stored.reads)
      changeRead(*use, narrow);
    for (graph::ReshapeOp reshape : stored.reshapes)
      reshape.getResult().setType(
          cast<RankedTensorType>(widened(reshape.getType())));
    changeWrite(v.getDefiningOp());
  }
}
