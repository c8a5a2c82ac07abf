//===- Packing.cpp - what layouts are made of -----------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Packing.h"

#include "dialects/Kernel/Transforms/VectorBody.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;
using namespace isthmus;

bool graph::isWeight(Value v) {
  // Straight up to an input where there is one: that ends it.
  DenseSet<Value> seen = {v};
  SmallVector<Value> work = {v};
  while (!work.empty()) {
    Operation *op = work.pop_back_val().getDefiningOp();
    if (!op)
      return false;
    if (isa<graph::WeightOp, arith::ConstantOp, tensor::EmptyOp>(op))
      continue;
    if (!isa<graph::ReshapeOp, linalg::LinalgOp, graph::ParallelOp>(op))
      return false;
    op->walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        if (!op->isAncestor(operand.getParentRegion()->getParentOp()))
          if (seen.insert(operand).second)
            work.push_back(operand);
    });
  }
  return true;
}

Value graph::constant(OpBuilder &b, Location loc, int64_t v) {
  return arith::ConstantIndexOp::create(b, loc, v);
}

graph::ParallelOp graph::makeParallel(OpBuilder &b, Location loc, StringRef op,
                                      ValueRange space, ValueRange inputs,
                                      ValueRange scalars, ValueRange sizes,
                                      RankedTensorType result) {
  auto parallel =
      graph::ParallelOp::create(b, loc, TypeRange(result), op, space, inputs,
                                scalars, sizes, DenseI64ArrayAttr());
  Block &block = parallel.getBody().emplaceBlock();
  auto memref = [](Type type) {
    auto tensor = cast<RankedTensorType>(type);
    return MemRefType::get(tensor.getShape(), tensor.getElementType());
  };
  for (size_t i = 0; i < space.size(); ++i)
    block.addArgument(b.getIndexType(), loc);
  for (Value v : inputs)
    block.addArgument(memref(v.getType()), loc);
  for (size_t i = 0; i < scalars.size(); ++i)
    block.addArgument(b.getIndexType(), loc);
  block.addArgument(memref(result), loc);
  return parallel;
}

void graph::padConvolution(graph::ConvOp op, int64_t largestStride) {
  auto type = cast<RankedTensorType>(op.getInput().getType());
  auto filter = cast<RankedTensorType>(op.getFilter().getType());
  unsigned rank = op.getStrides().size();
  ArrayRef<int64_t> pads = op.getPads();
  if (rank > 2 || !kernel::isSummedInF32(type.getElementType()) ||
      !filter.hasStaticShape() || op.getStrides().back() > largestStride ||
      llvm::all_of(pads, [](int64_t p) { return p == 0; }) ||
      llvm::any_of(pads, [](int64_t p) { return p < 0; }))
    return;
  auto sizes = graph::getSizes(op.getInput());
  if (failed(sizes))
    return;
  OpBuilder b(op);
  Location loc = op.getLoc();
  auto value = [&](OpFoldResult v) -> Value {
    if (auto attr = dyn_cast<Attribute>(v))
      return constant(b, loc, cast<IntegerAttr>(attr).getInt());
    return cast<Value>(v);
  };
  SmallVector<int64_t> shape(type.getShape());
  SmallVector<Value> space, dynamic, scalars;
  for (unsigned d = 0; d < shape.size(); ++d) {
    Value size = value((*sizes)[d]);
    if (d >= 2) {
      scalars.push_back(size);
      int64_t extra = pads[d - 2] + pads[d - 2 + rank];
      if (!type.isDynamicDim(d)) {
        shape[d] += extra;
        size = constant(b, loc, shape[d]);
      } else if (extra) {
        size = arith::AddIOp::create(b, loc, size, constant(b, loc, extra));
      }
    }
    if (type.isDynamicDim(d))
      dynamic.push_back(size);
    if (d + 1 < shape.size())
      space.push_back(size);
  }
  auto padded = RankedTensorType::get(shape, type.getElementType());
  auto pad = makeParallel(b, loc, "Pad", space, op.getInput(), scalars, dynamic,
                          padded);
  // One point is one row: zeros, the row or zeros, zeros.
  Block &block = pad.getBody().front();
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&block);
    unsigned points = space.size();
    Value x = block.getArgument(points);
    auto scalar = [&](unsigned i) -> Value {
      return block.getArgument(points + 1 + i);
    };
    Value y = block.getArgument(points + 1 + scalars.size());
    Value zero =
        arith::ConstantOp::create(b, loc, b.getZeroAttr(type.getElementType()));
    Value width = scalar(rank - 1);
    int64_t left = pads[rank - 1], right = pads[2 * rank - 1];
    SmallVector<Value> row(block.getArguments().take_front(points));
    Value inside;
    SmallVector<Value> source = row;
    if (rank == 2) {
      source[2] =
          arith::SubIOp::create(b, loc, row[2], constant(b, loc, pads[0]));
      inside = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult,
                                     source[2], scalar(0));
    } else {
      inside = arith::ConstantOp::create(b, loc, b.getBoolAttr(true));
    }
    auto store = [&](Value v, Value at) {
      SmallVector<Value> index = row;
      index.push_back(at);
      memref::StoreOp::create(b, loc, v, y, index);
    };
    auto loop = [&](Value from, Value to, function_ref<void(Value)> body) {
      auto op = scf::ForOp::create(b, loc, from, to, constant(b, loc, 1));
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(op.getBody());
      body(op.getInductionVar());
    };
    Value begin = constant(b, loc, left);
    Value end = arith::AddIOp::create(b, loc, width, begin);
    Value total = arith::AddIOp::create(b, loc, end, constant(b, loc, right));
    Value none = constant(b, loc, 0);
    auto branch = scf::IfOp::create(b, loc, inside, true);
    b.setInsertionPointToStart(&branch.getThenRegion().front());
    loop(none, begin, [&](Value w) { store(zero, w); });
    loop(begin, end, [&](Value w) {
      SmallVector<Value> index = source;
      index.push_back(arith::SubIOp::create(b, loc, w, begin));
      store(memref::LoadOp::create(b, loc, x, index), w);
    });
    loop(end, total, [&](Value w) { store(zero, w); });
    b.setInsertionPointToStart(&branch.getElseRegion().front());
    loop(none, total, [&](Value w) { store(zero, w); });
    b.setInsertionPointToEnd(&block);
    graph::YieldOp::create(b, loc);
  }
  op.getInputMutable().set(pad.getResult(0));
  op.setPads(SmallVector<int64_t>(2 * rank, 0));
}
