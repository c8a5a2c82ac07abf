//===- Layout.cpp - how operands lie in memory, per variant ---------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Layout.h"

#include "dialects/Graph/Graph.h"
#include "dialects/Graph/Transforms/Blocked.h"
#include "dialects/Graph/Transforms/Fuse.h"
#include "dialects/Graph/Transforms/Packing.h"
#include "dialects/Graph/Transforms/Repeats.h"
#include "dialects/Graph/Transforms/Widen.h"
#include "dialects/Kernel/Transforms/Plans.h"
#include "dialects/Kernel/Transforms/Product.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace isthmus;
using graph::constant, graph::isWeight, graph::makeParallel;

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

/// [K, N] or [N, K] to [N / panel][K / group][panel * group], groups of terms
/// of one column side by side, zeros past N and K.
static Value packGroups(OpBuilder &b, Location loc, Value weight, bool nFirst,
                        int64_t panel, int64_t group) {
  auto type = cast<RankedTensorType>(weight.getType());
  int64_t k = type.getDimSize(nFirst ? 1 : 0),
          n = type.getDimSize(nFirst ? 0 : 1);
  int64_t panels = llvm::divideCeil(n, panel),
          groups = llvm::divideCeil(k, group);
  auto packed = RankedTensorType::get({panels, groups, panel * group},
                                      type.getElementType());
  auto size = [&](int64_t v) { return constant(b, loc, v); };
  auto op = makeParallel(b, loc, "Pack",
                         {size(panels), size(groups), size(panel), size(group)},
                         weight, {}, {}, packed);
  OpBuilder::InsertionGuard guard(b);
  Block &block = op.getBody().front();
  b.setInsertionPointToStart(&block);
  auto arg = [&](unsigned i) -> Value { return block.getArgument(i); };
  auto within = [&](Value outer, int64_t by, Value inner) -> Value {
    Value v = arith::MulIOp::create(b, loc, outer, size(by));
    return arith::AddIOp::create(b, loc, v, inner);
  };
  Value at[] = {within(arg(1), group, arg(3)), within(arg(0), panel, arg(2))};
  const int64_t ends[] = {k - 1, n - 1};
  Value inside;
  for (auto [index, last] : llvm::zip(at, ends)) {
    Value ok = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule, index,
                                     size(last));
    inside =
        inside ? arith::AndIOp::create(b, loc, inside, ok).getResult() : ok;
    index = arith::MinUIOp::create(b, loc, index, size(last));
  }
  if (nFirst)
    std::swap(at[0], at[1]);
  Value v = memref::LoadOp::create(b, loc, arg(4), at);
  Value zero =
      arith::ConstantOp::create(b, loc, b.getZeroAttr(type.getElementType()));
  v = arith::SelectOp::create(b, loc, inside, v, zero);
  memref::StoreOp::create(
      b, loc, v, arg(5),
      ValueRange{arg(0), arg(1), within(arg(2), group, arg(3))});
  graph::YieldOp::create(b, loc);
  return op.getResult(0);
}

/// A product of small integers by vectors' dot products.
static void packSmallProduct(linalg::GenericOp op, const MatrixUnit &unit,
                             const TargetInfo &info) {
  Value right = op.getDpsInputs()[1];
  AffineMap map = op.getIndexingMapsArray()[1];
  auto n =
      cast<AffineDimExpr>(op.getIndexingMapsArray().back().getResults().back());
  bool nFirst = map.getResult(0) == n;
  auto k = map.getResult(nFirst ? 1 : 0);
  auto type = cast<RankedTensorType>(right.getType()),
       result = cast<RankedTensorType>(op->getResult(0).getType());
  std::optional<int64_t> m;
  if (result.hasStaticShape())
    m = result.getNumElements() /
        std::max<int64_t>(result.getShape().back(), 1);
  int64_t vectors = kernel::dotsTile(m, type.getDimSize(!nFirst),
                                     type.getDimSize(nFirst), unit, info)
                        .vectors;
  OpBuilder b(op);
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  maps[1] = kernel::packedMap(map, n, k, vectors * unit.n, unit.k);
  op.getInputsMutable()[1].set(
      packGroups(b, op.getLoc(), right, nFirst, vectors * unit.n, unit.k));
  op.setIndexingMapsAttr(b.getAffineMapArrayAttr(maps));
}

bool graph::canPackSmallProduct(linalg::GenericOp op, Value right,
                                AffineMap map) {
  auto type = dyn_cast<RankedTensorType>(right.getType());
  AffineMap left = op.getIndexingMapsArray()[0],
            out = op.getIndexingMapsArray().back();
  if (!type || !type.hasStaticShape() || type.getRank() != 2 ||
      type.getNumElements() == 0 || !isWeight(right) || !out.getNumResults() ||
      !map.isProjectedPermutation())
    return false;
  auto n = dyn_cast<AffineDimExpr>(out.getResults().back());
  auto kinds = op.getIteratorTypesArray();
  if (!n || llvm::count(kinds, utils::IteratorType::reduction) != 1 ||
      left.isFunctionOfDim(n.getPosition()) ||
      !map.isFunctionOfDim(n.getPosition()))
    return false;
  auto k = getAffineDimExpr(llvm::find(kinds, utils::IteratorType::reduction) -
                                kinds.begin(),
                            op.getContext());
  return left.getNumResults() && left.getResults().back() == k &&
         map.isFunctionOfDim(cast<AffineDimExpr>(k).getPosition());
}

/// `v`, which `map` indexes, with the dim that `n` indexes first or last, and
/// what indexes that; nothing where its sizes are not known.
static std::pair<Value, AffineMap> transpose(OpBuilder &b, Location loc,
                                             Value v, AffineMap map,
                                             AffineExpr n, bool last) {
  SmallVector<unsigned> order;
  for (bool ofN : {!last, last})
    for (unsigned i = 0; i < map.getNumResults(); ++i)
      if ((map.getResult(i) == n) == ofN)
        order.push_back(i);
  auto sizes = graph::getSizes(v);
  if (failed(sizes))
    return {};
  SmallVector<OpFoldResult> to;
  SmallVector<AffineExpr> from(order.size()), exprs;
  for (auto [i, o] : llvm::enumerate(order)) {
    to.push_back((*sizes)[o]);
    from[o] = b.getAffineDimExpr(i);
    exprs.push_back(map.getResult(o));
  }
  Value empty =
      tensor::EmptyOp::create(b, loc, to, getElementTypeOrSelf(v.getType()));
  auto op = linalg::GenericOp::create(
      b, loc, empty.getType(), v, empty,
      ArrayRef<AffineMap>{AffineMap::get(order.size(), 0, from, b.getContext()),
                          b.getMultiDimIdentityMap(order.size())},
      SmallVector<utils::IteratorType>(order.size(),
                                       utils::IteratorType::parallel),
      [](OpBuilder &nested, Location at, ValueRange args) {
        linalg::YieldOp::create(nested, at, args[0]);
      });
  return {op.getResult(0),
          AffineMap::get(map.getNumDims(), 0, exprs, b.getContext())};
}

static void packContraction(linalg::GenericOp op, const TargetInfo &info) {
  if (auto p = kernel::smallProductOf(op)) {
    const MatrixUnit *unit =
        kernel::unitFor(info, p->a, p->unsignedA, p->b, p->unsignedB,
                        IntegerType::get(op.getContext(), 32));
    if (unit && graph::canPackSmallProduct(op, op.getDpsInputs()[1],
                                           op.getIndexingMapsArray()[1]))
      packSmallProduct(op, *unit, info);
    return;
  }
  if (op.getNumDpsInputs() != 2 || op->getNumResults() != 1 ||
      !linalg::isaContractionOpInterface(op))
    return;
  graph::readThrough(op);
  Value right = op.getDpsInputs()[1];
  auto type = dyn_cast<RankedTensorType>(right.getType());
  auto result = cast<RankedTensorType>(op->getResult(0).getType());
  if (!type || !result.getRank() || !result.getElementType().isF32() ||
      !(type.getElementType().isF32() || type.getElementType().isF16() ||
        type.getElementType().isBF16()))
    return;
  AffineMap map = op.getIndexingMapsArray()[1],
            out = op.getIndexingMapsArray()[2];
  auto n = dyn_cast<AffineDimExpr>(out.getResults().back());
  if (!n || op.getIndexingMapsArray()[0].isFunctionOfDim(n.getPosition()) ||
      !map.isFunctionOfDim(n.getPosition()) || !map.isProjectedPermutation())
    return;
  std::optional<int64_t> m;
  if (result.hasStaticShape())
    m = result.getNumElements() /
        std::max<int64_t>(result.getShape().back(), 1);
  OpBuilder b(op);
  Location loc = op.getLoc();
  AffineMap newMap;
  Value newRight;
  bool weight = type.hasStaticShape() && type.getRank() == 2 &&
                isWeight(right) && type.getNumElements() > 0;
  bool nLast = map.getResults().back() == n;
  int64_t columns = result.getShape().back();
  // Sums along k pay from so many vectors on; more, where vectors along so many
  // columns would be half full.
  int64_t vectors = columns <= 4 ? 3 : 8;
  if (weight && columns <= kernel::fewColumns(info) &&
      kernel::isMultiplyAdd(op) &&
      type.getNumElements() >= vectors * columns * (info.vectorBytes / 4)) {
    if (nLast)
      std::tie(newRight, newMap) = transpose(b, loc, right, map, n, false);
  } else if (weight) {
    bool nFirst = map.getResult(0) == n;
    auto k = map.getResult(nFirst ? 1 : 0);
    kernel::ContractionTile tile = kernel::contractionTile(
        m, columns, type.getDimSize(nFirst ? 1 : 0), info);
    int64_t panel = tile.lanes * tile.vectors;
    newRight = packPanels(b, loc, right, nFirst, panel);
    newMap = AffineMap::get(map.getNumDims(), 0,
                            {n.floorDiv(panel), k, n % panel}, b.getContext());
  } else if (!nLast && !kernel::isInnerProduct(op)) {
    std::tie(newRight, newMap) = transpose(b, loc, right, map, n, true);
  }
  if (!newRight)
    return;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  maps[1] = newMap;
  op.getInputsMutable()[1].set(newRight);
  op.setIndexingMapsAttr(b.getAffineMapArrayAttr(maps));
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
  if (info.form == kernel::Form::tiled)
    for (auto func : module.getOps<func::FuncOp>())
      blockConvolutions(func, info);
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
      graph::padConvolution(conv);
    else
      packContraction(cast<linalg::GenericOp>(op), info);
  if (info.form == kernel::Form::tiled)
    for (auto func : module.getOps<func::FuncOp>())
      storeWidened(func, info);
  if (info.form == kernel::Form::lanes)
    readRepeatsOnce(module);
  return success();
}
