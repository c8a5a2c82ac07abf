//===- WriteThrough.cpp - products write results where they shall be ------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Behind attention heads and positions change places. A product may as well
// write in that order: it is the order of its loops. What is done element by
// element in between (rounding to a narrower type, a bias) takes the same
// order.
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Packing.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace isthmus;

static bool isElementwise(linalg::GenericOp op) {
  return op->getNumResults() == 1 && !op.getNumReductionLoops() &&
         op.getNumLoops() && op.getIndexingMapsArray().back().isIdentity() &&
         op.getMatchingBlockArgument(op.getDpsInitOperand(0)).use_empty();
}

bool graph::isCopy(linalg::GenericOp op) {
  Block &block = op->getRegion(0).front();
  return isElementwise(op) && op.getNumDpsInputs() == 1 &&
         isa<RankedTensorType>(op.getInputs()[0].getType()) &&
         block.getTerminator()->getOperand(0) == block.getArgument(0);
}

bool graph::isPermutingCopy(linalg::GenericOp op) {
  return isCopy(op) && op.getIndexingMapsArray()[0].isPermutation();
}

/// `op` with its result as a reader has it that indexes it by `read`, and loops
/// in that order. Null where it cannot be so.
static linalg::GenericOp permuteResult(linalg::GenericOp op, AffineMap read) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  Value start = op.getDpsInits()[0];
  auto fill = start.getDefiningOp<linalg::FillOp>();
  auto sizes = graph::getSizes(op->getResult(0));
  if (op.hasIndexSemantics() || !maps.back().isProjectedPermutation() ||
      failed(sizes) || (!fill && !start.getDefiningOp<tensor::EmptyOp>()))
    return nullptr;
  unsigned rank = read.getNumDims();
  // Stores go along what is innermost: it stays that.
  if (read.getDimPosition(rank - 1) != rank - 1)
    return nullptr;
  SmallVector<unsigned> order(rank); // of the loops
  SmallVector<OpFoldResult> to(rank);
  for (unsigned d = 0; d < rank; ++d) {
    order[read.getDimPosition(d)] = maps.back().getDimPosition(d);
    to[read.getDimPosition(d)] = (*sizes)[d];
  }
  for (unsigned loop = 0; loop < op.getNumLoops(); ++loop)
    if (!maps.back().isFunctionOfDim(loop))
      order.push_back(loop);
  OpBuilder b(op);
  Location loc = op.getLoc();
  SmallVector<AffineExpr> dims(order.size());
  SmallVector<utils::IteratorType> kinds;
  for (auto [i, loop] : llvm::enumerate(order)) {
    dims[loop] = b.getAffineDimExpr(i);
    kinds.push_back(op.getIteratorTypesArray()[loop]);
  }
  for (AffineMap &map : maps)
    map = map.replaceDimsAndSymbols(dims, {}, dims.size(), 0);
  maps.back() = b.getMultiDimIdentityMap(order.size()).getMajorSubMap(rank);
  Value init = tensor::EmptyOp::create(b, loc, to, getElementTypeOrSelf(start));
  if (fill)
    init = linalg::FillOp::create(b, loc, fill.value(), init).result();
  auto result = linalg::GenericOp::create(b, loc, init.getType(),
                                          op.getDpsInputs(), init, maps, kinds);
  for (NamedAttribute attr : op->getDiscardableAttrs())
    result->setDiscardableAttr(attr.getName(), attr.getValue());
  result.getRegion().takeBody(op.getRegion());
  return result;
}

linalg::GenericOp graph::writeThrough(linalg::GenericOp op) {
  auto reader = op->hasOneUse() ? dyn_cast<linalg::GenericOp>(*op->user_begin())
                                : linalg::GenericOp();
  if (!reader || reader->getBlock() != op->getBlock() || !isElementwise(reader))
    return op;
  // From the last one on.
  if (!isPermutingCopy(reader))
    reader = writeThrough(reader);
  OpOperand &use = *op->use_begin();
  AffineMap read = reader.getMatchingIndexingMap(&use);
  if (reader.isDpsInit(&use) || !read.isPermutation() || read.isIdentity())
    return op;
  linalg::GenericOp result = permuteResult(op, read);
  if (!result)
    return op;
  if (isPermutingCopy(reader)) {
    result->setLoc(
        FusedLoc::get(op.getContext(), {op.getLoc(), reader.getLoc()}));
    reader->replaceAllUsesWith(result);
    reader.erase();
  } else {
    SmallVector<AffineMap> maps = reader.getIndexingMapsArray();
    maps[use.getOperandNumber()] =
        AffineMap::getMultiDimIdentityMap(read.getNumDims(), op.getContext());
    reader.setIndexingMapsAttr(Builder(op).getAffineMapArrayAttr(maps));
    use.set(result->getResult(0));
  }
  op.erase();
  return result;
}
