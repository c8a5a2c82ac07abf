//===- Layout.cpp - how operands lie in memory, per variant ---------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Layout.h"

#include "dialects/Graph/Graph.h"
#include "dialects/Graph/Transforms/Fuse.h"
#include "dialects/Kernel/Transforms/Plans.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace isthmus;

/// Made of weights and constants alone.
static bool isWeight(Value v) {
  Operation *op = v.getDefiningOp();
  if (!op)
    return false;
  if (isa<graph::WeightOp, arith::ConstantOp, tensor::EmptyOp>(op))
    return true;
  if (!isa<graph::ReshapeOp, linalg::LinalgOp, graph::ParallelOp>(op))
    return false;
  bool all = true;
  op->walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      if (!op->isAncestor(operand.getParentRegion()->getParentOp()))
        all &= isWeight(operand);
  });
  return all;
}

static Value constant(OpBuilder &b, Location loc, int64_t v) {
  return arith::ConstantIndexOp::create(b, loc, v);
}

/// A graph.parallel with its body still empty; block arguments as the op says.
static graph::ParallelOp makeParallel(OpBuilder &b, Location loc, StringRef op,
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

/// [K, N] or [N, K] to [N / panel][K][panel], zeros past N.
static Value packPanels(OpBuilder &b, Location loc, Value weight, bool nFirst,
                        int64_t panel) {
  auto type = cast<RankedTensorType>(weight.getType());
  int64_t k = type.getDimSize(nFirst ? 1 : 0),
          n = type.getDimSize(nFirst ? 0 : 1);
  int64_t panels = llvm::divideCeil(n, panel);
  auto packed =
      RankedTensorType::get({panels, k, panel}, type.getElementType());
  Value p = constant(b, loc, panels), kSize = constant(b, loc, k),
        width = constant(b, loc, panel);
  auto op =
      makeParallel(b, loc, "Pack", {p, kSize, width}, weight, {}, {}, packed);
  OpBuilder::InsertionGuard guard(b);
  Block &block = op.getBody().front();
  b.setInsertionPointToStart(&block);
  auto arg = [&](unsigned i) -> Value { return block.getArgument(i); };
  Value column = arith::AddIOp::create(
      b, loc, arith::MulIOp::create(b, loc, arg(0), constant(b, loc, panel)),
      arg(2));
  Value last = constant(b, loc, n - 1);
  Value inside =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule, column, last);
  Value from = arith::MinUIOp::create(b, loc, column, last);
  SmallVector<Value> at = {arg(1), from};
  if (nFirst)
    std::swap(at[0], at[1]);
  Value v = memref::LoadOp::create(b, loc, arg(3), at);
  Value zero =
      arith::ConstantOp::create(b, loc, b.getZeroAttr(type.getElementType()));
  v = arith::SelectOp::create(b, loc, inside, v, zero);
  memref::StoreOp::create(b, loc, v, arg(4),
                          ValueRange{arg(0), arg(1), arg(2)});
  graph::YieldOp::create(b, loc);
  return op.getResult(0);
}

static void packContraction(linalg::GenericOp op, const TargetInfo &info) {
  if (op.getNumDpsInputs() != 2 || op->getNumResults() != 1 ||
      !linalg::isaContractionOpInterface(op))
    return;
  Value right = op.getDpsInputs()[1];
  auto type = dyn_cast<RankedTensorType>(right.getType());
  auto result = cast<RankedTensorType>(op->getResult(0).getType());
  if (!type || !type.getElementType().isF32() || !result.getRank() ||
      !result.getElementType().isF32())
    return;
  AffineMap map = op.getIndexingMapsArray()[1],
            out = op.getIndexingMapsArray()[2];
  auto n = dyn_cast<AffineDimExpr>(out.getResults().back());
  if (!n || op.getIndexingMapsArray()[0].isFunctionOfDim(n.getPosition()) ||
      !map.isFunctionOfDim(n.getPosition()) || !map.isProjectedPermutation())
    return;
  OpBuilder b(op);
  Location loc = op.getLoc();
  AffineMap newMap;
  Value newRight;
  if (type.hasStaticShape() && type.getRank() == 2 && isWeight(right) &&
      type.getNumElements() > 0) {
    bool nFirst = map.getResult(0) == n;
    auto k = map.getResult(nFirst ? 1 : 0);
    std::optional<int64_t> m;
    if (result.hasStaticShape())
      m = result.getNumElements() /
          std::max<int64_t>(result.getShape().back(), 1);
    kernel::ContractionTile tile = kernel::contractionTile(m, info);
    int64_t panel = tile.lanes * tile.vectors;
    int64_t size = type.getDimSize(nFirst ? 0 : 1);
    while (panel > 4 && panel >= 2 * size)
      panel /= 2;
    newRight = packPanels(b, loc, right, nFirst, panel);
    newMap = AffineMap::get(map.getNumDims(), 0,
                            {n.floorDiv(panel), k, n % panel}, b.getContext());
  } else if (map.getResults().back() != n) {
    // n innermost: an explicit transpose.
    SmallVector<unsigned> order;
    for (unsigned i = 0; i < map.getNumResults(); ++i)
      if (map.getResult(i) != n)
        order.push_back(i);
    for (unsigned i = 0; i < map.getNumResults(); ++i)
      if (map.getResult(i) == n)
        order.push_back(i);
    auto sizes = graph::getSizes(right);
    if (failed(sizes))
      return;
    SmallVector<OpFoldResult> to;
    SmallVector<AffineExpr> from(order.size()), exprs;
    for (auto [i, o] : llvm::enumerate(order)) {
      to.push_back((*sizes)[o]);
      from[o] = b.getAffineDimExpr(i);
      exprs.push_back(map.getResult(o));
    }
    Value empty = tensor::EmptyOp::create(b, loc, to, type.getElementType());
    auto transpose = linalg::GenericOp::create(
        b, loc, empty.getType(), right, empty,
        ArrayRef<AffineMap>{
            AffineMap::get(order.size(), 0, from, b.getContext()),
            b.getMultiDimIdentityMap(order.size())},
        SmallVector<utils::IteratorType>(order.size(),
                                         utils::IteratorType::parallel),
        [](OpBuilder &nested, Location at, ValueRange args) {
          linalg::YieldOp::create(nested, at, args[0]);
        });
    newRight = transpose.getResult(0);
    newMap = AffineMap::get(map.getNumDims(), 0, exprs, b.getContext());
  } else {
    return;
  }
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  maps[1] = newMap;
  op.getInputsMutable()[1].set(newRight);
  op.setIndexingMapsAttr(b.getAffineMapArrayAttr(maps));
}

/// Padding as an operation of its own, where the direct plan will then apply.
static void padConvolution(graph::ConvOp op) {
  auto type = cast<RankedTensorType>(op.getInput().getType());
  auto filter = cast<RankedTensorType>(op.getFilter().getType());
  unsigned rank = op.getStrides().size();
  ArrayRef<int64_t> pads = op.getPads();
  if (rank > 2 || !type.getElementType().isF32() || !filter.hasStaticShape() ||
      op.getStrides().back() > 2 ||
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
    Value zero = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0));
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

/// The operation whose only work is to widen its input's elements, or null.
static linalg::GenericOp asWidening(Value v) {
  auto op = v.getDefiningOp<linalg::GenericOp>();
  if (!op || op.getNumDpsInputs() != 1 || op->getNumResults() != 1 ||
      op.getNumReductionLoops() ||
      !op.getIndexingMapsArray().back().isIdentity())
    return nullptr;
  Block &block = op->getRegion(0).front();
  Operation *widen = block.getTerminator()->getOperand(0).getDefiningOp();
  bool good =
      isa_and_nonnull<arith::ExtFOp, arith::ExtSIOp, arith::ExtUIOp>(widen) &&
      widen->getOperand(0) == block.getArgument(0) &&
      !widen->getOperand(0).getType().isInteger(1);
  return good ? op : nullptr;
}

/// Products read their operands as they are, and widen them on the way: less
/// memory, and what a matrix unit wants.
static void readBeforeWidening(linalg::GenericOp op) {
  for (unsigned i = 0; i < op.getNumDpsInputs(); ++i) {
    OpOperand *use = op.getDpsInputOperand(i);
    linalg::GenericOp widening = asWidening(use->get());
    if (!widening)
      continue;
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    maps[i] = widening.getIndexingMapsArray()[0].compose(maps[i]);
    // Every loop's extent must still be seen in some operand.
    if (!inversePermutation(concatAffineMaps(maps, op.getContext())))
      continue;
    BlockArgument arg = op.getRegion().front().getArgument(i);
    Value from = widening.getDpsInputs()[0];
    OpBuilder b(op.getContext());
    b.setInsertionPointToStart(arg.getOwner());
    arg.setType(getElementTypeOrSelf(from.getType()));
    Operation *widen = widening.getRegion()
                           .front()
                           .getTerminator()
                           ->getOperand(0)
                           .getDefiningOp();
    IRMapping map;
    map.map(widen->getOperand(0), arg);
    Operation *clone = b.clone(*widen, map);
    arg.replaceAllUsesExcept(clone->getResult(0), clone);
    op.setIndexingMapsAttr(b.getAffineMapArrayAttr(maps));
    use->set(from);
  }
}

LogicalResult graph::chooseLayouts(ModuleOp module, const TargetInfo &info) {
  SmallVector<Operation *> ops;
  module.walk([&](Operation *op) {
    if (isa<linalg::GenericOp, graph::ConvOp>(op))
      ops.push_back(op);
  });
  // Panels and padding are for loops over vectors.
  for (Operation *op : ops)
    if (info.form == kernel::Form::lanes) {
      if (graph::isContraction(op) && isa<linalg::GenericOp>(op))
        readBeforeWidening(cast<linalg::GenericOp>(op));
    } else if (auto conv = dyn_cast<graph::ConvOp>(op))
      padConvolution(conv);
    else
      packContraction(cast<linalg::GenericOp>(op), info);
  return success();
}
