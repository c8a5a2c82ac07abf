//===- SplitReductions.cpp - long reductions in two phases ----------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/SplitReductions.h"

#include "dialects/Graph/Graph.h"
#include "dialects/Graph/Transforms/Fuse.h"
#include "dialects/Kernel/Transforms/Product.h"
#include "dialects/Kernel/Transforms/RowGroup.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace isthmus;

static constexpr int64_t kFewRows = 8, kLongRow = 1 << 16;
/// The least that a part should have of a row, and of a product's.
static constexpr int64_t kLeastOfRow = 4096, kLeastOfProduct = 256;

bool graph::hasFewLongRows(int64_t rows, int64_t columns) {
  return rows < kFewRows && columns >= kLongRow;
}

/// The largest number that divides `n` and is at most `most`.
static int64_t largestDivisor(int64_t n, int64_t most) {
  for (int64_t d = std::min(n, most); d > 1; --d)
    if (n % d == 0)
      return d;
  return 1;
}

namespace {

/// A reduction, and the loop that is to be cut in `parts`.
struct Split {
  linalg::GenericOp op;
  Operation *combiner;
  unsigned loop;
  int64_t parts;
};

} // namespace

/// How many workgroups a product has for its results.
static int64_t productGroups(linalg::GenericOp op, ArrayRef<int64_t> sizes) {
  AffineMap a = op.getIndexingMapsArray()[0], b = op.getIndexingMapsArray()[1];
  int64_t batch = 1, m = 1, n = 1;
  for (auto [d, kind] : llvm::enumerate(op.getIteratorTypesArray())) {
    if (kind == utils::IteratorType::reduction)
      continue;
    bool inA = a.isFunctionOfDim(d), inB = b.isFunctionOfDim(d);
    (inA && inB ? batch : inA ? m : n) *= sizes[d];
  }
  return batch * llvm::divideCeil(m, kernel::kProductTile) *
         llvm::divideCeil(n, kernel::kProductTile);
}

/// In how many parts the reduction would best be done; 1: as it is.
static int64_t partsOf(linalg::GenericOp op, ArrayRef<int64_t> sizes,
                       const TargetInfo &info) {
  int64_t rows = 1, columns = 1;
  for (auto [size, kind] : llvm::zip_equal(sizes, op.getIteratorTypesArray()))
    (kind == utils::IteratorType::reduction ? columns : rows) *= size;
  if (graph::isContraction(op)) {
    // Vectors have a plan for products that is as good for few results.
    if (info.form != kernel::Form::lanes || op.getNumDpsInputs() != 2)
      return 1;
    int64_t groups = productGroups(op, sizes);
    return groups * 2 > info.busyGroups
               ? 1
               : std::min<int64_t>(info.busyGroups / groups,
                                   columns / kLeastOfProduct);
  }
  if (!graph::hasFewLongRows(rows, columns))
    return 1;
  return std::min<int64_t>(info.busyGroups / rows, columns / kLeastOfRow);
}

static std::optional<Split> findSplit(linalg::GenericOp op,
                                      const TargetInfo &info) {
  if (!op.getNumReductionLoops() || op->getNumResults() != 1 ||
      op.hasIndexSemantics() ||
      !op.getDpsInits()[0].getDefiningOp<linalg::FillOp>() ||
      !kernel::checkReduction(op).empty())
    return std::nullopt;
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  if (llvm::any_of(sizes,
                   [](int64_t n) { return ShapedType::isDynamic(n) || !n; }))
    return std::nullopt;
  Split s{op, kernel::combinerOf(op), 0, 1};
  int64_t wanted = partsOf(op, sizes, info);
  for (auto [d, kind] : llvm::enumerate(op.getIteratorTypesArray()))
    if (kind == utils::IteratorType::reduction)
      if (int64_t parts = largestDivisor(sizes[d], wanted); parts > s.parts) {
        s.loop = d;
        s.parts = parts;
      }
  // Cut, the dim must be two dims of every operand that has it.
  for (AffineMap map : op.getIndexingMapsArray())
    for (AffineExpr e : map.getResults())
      if (e.isFunctionOfDim(s.loop) && !isa<AffineDimExpr>(e))
        return std::nullopt;
  if (s.parts < 2)
    return std::nullopt;
  return s;
}

/// `v` with the dims that `map` reads by `loop` as [parts, rest].
static Value cutDims(OpBuilder &b, Location loc, Value v, AffineMap map,
                     const Split &s) {
  auto type = cast<RankedTensorType>(v.getType());
  SmallVector<int64_t> shape;
  for (auto [e, size] : llvm::zip_equal(map.getResults(), type.getShape())) {
    bool cut = e.isFunctionOfDim(s.loop);
    if (cut)
      shape.push_back(s.parts);
    shape.push_back(cut ? size / s.parts : size);
  }
  if (shape.size() == type.getShape().size())
    return v;
  return graph::ReshapeOp::create(
      b, loc, RankedTensorType::get(shape, type.getElementType()), v,
      ValueRange());
}

static Value filled(OpBuilder &b, Location loc, ArrayRef<int64_t> shape,
                    Value with) {
  Value empty = tensor::EmptyOp::create(b, loc, shape, with.getType());
  return linalg::FillOp::create(b, loc, with, empty).getResult(0);
}

static void apply(const Split &s) {
  linalg::GenericOp op = s.op;
  OpBuilder b(op);
  Location loc = op.getLoc();
  MLIRContext *context = b.getContext();
  auto resultType = cast<RankedTensorType>(op->getResult(0).getType());
  AffineMap resultMap = op.getIndexingMapsArray().back();
  auto init = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();

  // The first phase has the parts as its first loop.
  unsigned loops = op.getNumLoops() + 1;
  SmallVector<AffineExpr> shifted;
  for (unsigned d = 0; d + 1 < loops; ++d)
    shifted.push_back(getAffineDimExpr(d + 1, context));
  auto cutMap = [&](AffineMap map) {
    SmallVector<AffineExpr> exprs;
    for (AffineExpr e : map.getResults()) {
      if (e.isFunctionOfDim(s.loop))
        exprs.push_back(getAffineDimExpr(0, context));
      exprs.push_back(e.replaceDims(shifted));
    }
    return AffineMap::get(loops, 0, exprs, context);
  };
  SmallVector<AffineMap> maps;
  SmallVector<Value> inputs;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    AffineMap map = op.getMatchingIndexingMap(operand);
    if (isa<RankedTensorType>(operand->get().getType()))
      inputs.push_back(cutDims(b, loc, operand->get(), map, s));
    else
      inputs.push_back(operand->get());
    maps.push_back(cutMap(map));
  }
  SmallVector<AffineExpr> partial = {getAffineDimExpr(0, context)};
  for (AffineExpr e : resultMap.getResults())
    partial.push_back(e.replaceDims(shifted));
  maps.push_back(AffineMap::get(loops, 0, partial, context));
  SmallVector<int64_t> shape = {s.parts};
  llvm::append_range(shape, resultType.getShape());
  Value neutral =
      arith::ConstantOp::create(b, loc, *arith::getNeutralElement(s.combiner));
  Value parts = filled(b, loc, shape, neutral);
  SmallVector<utils::IteratorType> kinds = {utils::IteratorType::parallel};
  llvm::append_range(kinds, op.getIteratorTypesArray());
  auto first = linalg::GenericOp::create(b, loc, parts.getType(), inputs, parts,
                                         maps, kinds);
  IRMapping map;
  op.getRegion().cloneInto(&first.getRegion(), map);

  // The second goes over the parts.
  unsigned rank = resultType.getRank();
  SmallVector<AffineExpr> in = {getAffineDimExpr(rank, context)}, out;
  for (unsigned d = 0; d < rank; ++d)
    out.push_back(getAffineDimExpr(d, context));
  llvm::append_range(in, out);
  SmallVector<utils::IteratorType> last(rank, utils::IteratorType::parallel);
  last.push_back(utils::IteratorType::reduction);
  Value start = filled(b, loc, resultType.getShape(), init.value());
  auto second = linalg::GenericOp::create(
      b, loc, resultType, first->getResult(0), start,
      {AffineMap::get(rank + 1, 0, in, context),
       AffineMap::get(rank + 1, 0, out, context)},
      last, [&](OpBuilder &b, Location loc, ValueRange args) {
        Operation *combine = b.clone(*s.combiner);
        combine->setOperands({args[1], args[0]});
        linalg::YieldOp::create(b, loc, combine->getResults());
      });
  op.replaceAllUsesWith(second);
  op.erase();
}

void graph::splitReductions(ModuleOp module, const TargetInfo &info) {
  SmallVector<Split> splits;
  module.walk([&](linalg::GenericOp op) {
    if (auto s = findSplit(op, info))
      splits.push_back(*s);
  });
  for (const Split &s : splits)
    apply(s);
}
