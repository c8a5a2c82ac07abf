//===- VectorBody.cpp - scalar bodies on vectors --------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/VectorBody.h"
#include "dialects/Kernel/Transforms/MergeDims.h"

#include "dialects/Graph/Graph.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

VectorType kernel::vectorOf(Type element, int64_t width) {
  return VectorType::get({width}, element);
}

std::string kernel::canVectorize(linalg::LinalgOp op, unsigned lane,
                                 bool anyType) {
  for (OpOperand &operand : op->getOpOperands()) {
    auto type = dyn_cast<RankedTensorType>(operand.get().getType());
    if (!type)
      continue;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (type.getElementType().isInteger(1))
      return "an operand or the result is of bools";
    if (!anyType && !type.getElementType().isF32())
      return "an operand or the result is not f32";
    for (auto [i, e] : llvm::enumerate(map.getResults())) {
      if (!e.isFunctionOfDim(lane))
        continue;
      auto dim = dyn_cast<AffineDimExpr>(e);
      if (!dim || i + 1 != map.getNumResults())
        return "an operand is not contiguous along the vector";
    }
  }
  for (Operation &inner : op->getRegion(0).front().without_terminator()) {
    if (isa<arith::ConstantOp>(inner))
      continue;
    if (!OpTrait::hasElementwiseMappableTraits(&inner) ||
        inner.getNumRegions() || inner.getNumResults() != 1)
      return ("the body holds " + inner.getName().getStringRef()).str();
  }
  return "";
}

Value kernel::loadVector(TileBuilder &tb, Value memref, ValueRange indices,
                         int64_t width, Value mask) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  VectorType type = vectorOf(element, width);
  if (!mask)
    return vector::LoadOp::create(tb.b, tb.loc, type, memref, indices);
  Value zero = arith::ConstantOp::create(tb.b, tb.loc, tb.b.getZeroAttr(type));
  return vector::MaskedLoadOp::create(tb.b, tb.loc, type, memref, indices, mask,
                                      zero);
}

void kernel::storeVector(TileBuilder &tb, Value v, Value memref,
                         ValueRange indices, Value mask) {
  if (mask)
    vector::MaskedStoreOp::create(tb.b, tb.loc, memref, indices, mask, v);
  else
    vector::StoreOp::create(tb.b, tb.loc, v, memref, indices);
}

bool kernel::isSummedInF32(Type type) {
  return type.isF32() || type.isF16() || type.isBF16();
}

/// `type`, or a vector of that many lanes.
static Type withElement(Type type, Type element) {
  auto vector = dyn_cast<VectorType>(type);
  return vector ? Type(vector.clone(element)) : element;
}

Value kernel::toF32(TileBuilder &tb, Value v) {
  if (getElementTypeOrSelf(v.getType()).isF32())
    return v;
  return arith::ExtFOp::create(tb.b, tb.loc,
                               withElement(v.getType(), tb.b.getF32Type()), v);
}

Value kernel::fromF32(TileBuilder &tb, Value v, Type element) {
  if (element.isF32())
    return v;
  return arith::TruncFOp::create(tb.b, tb.loc,
                                 withElement(v.getType(), element), v);
}

void kernel::forRowTiles(TileBuilder &tb, Value begin, Value end,
                         std::optional<int64_t> known, int64_t rows,
                         function_ref<void(Value, int64_t)> tile) {
  OpBuilder &b = tb.b;
  Location loc = tb.loc;
  SmallVector<int64_t> steps = {rows};
  if (!known)
    steps.append({4, 1});
  else if (*known % rows)
    steps.push_back(*known % rows);
  for (int64_t step : steps) {
    if (step != steps.front() && step >= rows)
      continue;
    Value count = arith::DivUIOp::create(
        b, loc, arith::SubIOp::create(b, loc, end, begin), tb.index(step));
    Value next = arith::AddIOp::create(
        b, loc, begin, arith::MulIOp::create(b, loc, count, tb.index(step)));
    auto loop = scf::ForOp::create(b, loc, begin, next, tb.index(step));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    tile(loop.getInductionVar(), step);
    begin = next;
  }
}

Value kernel::applyEpilogue(TileBuilder &tb, const Epilogue &epilogue,
                            Value acc, ValueRange ivs, int64_t width,
                            Value mask, ArrayRef<SmallVector<unsigned>> runs) {
  linalg::LinalgOp op = epilogue.op;
  if (!op)
    return acc;
  OpBuilder &b = tb.b;
  unsigned lane = op.getNumLoops() - 1;
  IRMapping map;
  auto splat = [&](Value v) -> Value {
    return vector::BroadcastOp::create(b, tb.loc, vectorOf(v.getType(), width),
                                       v);
  };
  Block &block = op->getRegion(0).front();
  for (OpOperand &operand : op->getOpOperands()) {
    BlockArgument arg = block.getArgument(operand.getOperandNumber());
    if (operand.getOperandNumber() == epilogue.anchorOperand) {
      map.map(arg, acc);
      continue;
    }
    if (arg.use_empty())
      continue;
    AffineMap indexing = op.getMatchingIndexingMap(&operand);
    if (!isa<RankedTensorType>(operand.get().getType())) {
      map.map(arg, splat(tb.scalar(operand.get())));
      continue;
    }
    Value memref = tb.memoryOf(operand.get());
    bool alongLane = indexing.isFunctionOfDim(lane);
    if (!runs.empty())
      std::tie(memref, indexing) = mergeOperand(tb, memref, indexing, runs);
    SmallVector<Value> at = tb.apply(indexing, ivs);
    if (alongLane)
      map.map(arg, loadVector(tb, memref, at, width, mask));
    else
      map.map(arg, splat(tb.load(memref, at)));
  }
  auto get = [&](Value v) -> Value {
    if (Value mapped = map.lookupOrNull(v))
      return mapped;
    Value wide = splat(tb.scalar(v));
    map.map(v, wide);
    return wide;
  };
  for (Operation &inner : block.without_terminator()) {
    if (isa<arith::ConstantOp>(inner)) {
      Value c = b.clone(inner)->getResult(0);
      map.map(inner.getResult(0), splat(c));
      continue;
    }
    SmallVector<Value> operands;
    for (Value v : inner.getOperands())
      operands.push_back(get(v));
    OperationState state(tb.loc, inner.getName(), operands,
                         {vectorOf(inner.getResult(0).getType(), width)},
                         inner.getAttrs());
    map.map(inner.getResult(0), b.create(state)->getResult(0));
  }
  return get(block.getTerminator()->getOperand(0));
}

Value kernel::applyEpilogueScalar(TileBuilder &tb, const Epilogue &epilogue,
                                  Value acc, ValueRange ivs) {
  linalg::LinalgOp op = epilogue.op;
  if (!op)
    return acc;
  SmallVector<Value> args;
  Block &block = op->getRegion(0).front();
  for (OpOperand &operand : op->getOpOperands()) {
    BlockArgument arg = block.getArgument(operand.getOperandNumber());
    if (operand.getOperandNumber() == epilogue.anchorOperand)
      args.push_back(acc);
    else if (op.isDpsInit(&operand))
      args.push_back(arith::ConstantOp::create(
          tb.b, tb.loc, tb.b.getZeroAttr(arg.getType())));
    else if (!isa<RankedTensorType>(operand.get().getType()))
      args.push_back(tb.scalar(operand.get()));
    else
      args.push_back(
          tb.load(tb.memoryOf(operand.get()),
                  tb.apply(op.getMatchingIndexingMap(&operand), ivs)));
  }
  return tb.inlineBody(op, args, ivs)[0];
}

std::string kernel::findAnchor(FuncOp kernel, Operation *&anchor,
                               Epilogue &epilogue) {
  SmallVector<Operation *> ops;
  for (Operation &op : kernel.getBody().front()) {
    if (!isa<linalg::LinalgOp, graph::ParallelOp, graph::ConvOp>(op))
      continue;
    if (isa<linalg::FillOp>(op) &&
        llvm::none_of(op.getUsers(), [](Operation *user) {
          return isa<bufferization::MaterializeInDestinationOp>(user);
        }))
      continue;
    ops.push_back(&op);
  }
  if (ops.empty())
    return "no operation";
  anchor = ops[0];
  if (ops.size() == 1)
    return "";
  if (ops.size() > 2 || !isa<linalg::GenericOp>(ops[1]))
    return "more operations than an anchor and an epilogue";
  auto second = cast<linalg::GenericOp>(ops[1]);
  if (anchor->getNumResults() != 1 || !anchor->getResult(0).hasOneUse())
    return "the first operation's result has other uses than the second";
  OpOperand &use = *anchor->getResult(0).use_begin();
  if (use.getOwner() != second || second.isDpsInit(&use))
    return "the second operation does not use the first";
  if (second.getNumReductionLoops() ||
      !second.getMatchingIndexingMap(&use).isIdentity())
    return "the second operation is not elementwise over the first's result";
  epilogue.op = second;
  epilogue.anchorOperand = use.getOperandNumber();
  return "";
}

std::string
kernel::findVectorAnchor(FuncOp kernel,
                         function_ref<std::string(linalg::LinalgOp)> classify,
                         VectorAnchor &anchor, bool anyType) {
  Operation *op = nullptr;
  std::string why = findAnchor(kernel, op, anchor.epilogue);
  if (!why.empty())
    return why;
  anchor.op = dyn_cast<linalg::LinalgOp>(op);
  if (!anchor.op)
    return "not a linalg operation";
  why = classify(anchor.op);
  if (!why.empty())
    return why;
  auto fill = anchor.op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  if (!fill)
    return "does not start from a constant";
  anchor.start = fill.value();
  linalg::LinalgOp last = anchor.epilogue.op;
  if (!last || !last.getNumLoops())
    return "";
  why = canVectorize(last, last.getNumLoops() - 1, anyType);
  return why.empty() ? "" : "epilogue: " + why;
}
