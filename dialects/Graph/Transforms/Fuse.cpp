//===- Fuse.cpp - which operations share a kernel -------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Fuse.h"

#include "dialects/Graph/Graph.h"
#include "dialects/Kernel/Transforms/Plans.h"
#include "dialects/Kernel/Transforms/VectorBody.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;
using namespace isthmus;

/// How much a body costs to run again: ops, expensive math counted ten.
static int64_t bodyCost(linalg::LinalgOp op) {
  int64_t cost = 0;
  op->getRegion(0).walk([&](Operation *inner) {
    cost +=
        isa<math::MathDialect>(inner->getDialect()) || isa<arith::DivFOp>(inner)
            ? 10
            : 1;
  });
  return cost;
}

bool graph::isContraction(Operation *op) {
  if (isa<graph::ConvOp>(op))
    return true;
  auto generic = dyn_cast<linalg::LinalgOp>(op);
  return generic &&
         (linalg::isaContractionOpInterface(generic) ||
          kernel::isMatrixProduct(generic) || kernel::isInnerProduct(generic) ||
          kernel::isBlockedConv(generic) || kernel::smallProductOf(generic));
}

/// Follows a contraction element by element, after others that do or at once.
static bool endsContraction(linalg::GenericOp op) {
  return llvm::any_of(op.getDpsInputOperands(), [&](OpOperand *operand) {
    Value v = operand->get();
    Operation *from = v.getDefiningOp();
    // What was fused before is still there, without users.
    if (!from || llvm::any_of(v.getUsers(), [&](Operation *user) {
          return user != op && !isOpTriviallyDead(user);
        }))
      return false;
    if (graph::isContraction(from))
      return true;
    auto before = dyn_cast<linalg::GenericOp>(from);
    return before && before->getNumResults() == 1 &&
           !before.getNumReductionLoops() &&
           before->getBlock() == op->getBlock() &&
           op.getMatchingIndexingMap(operand).isIdentity() &&
           endsContraction(before);
  });
}

static bool shouldFuse(OpOperand *use) {
  auto producer = use->get().getDefiningOp<linalg::GenericOp>();
  auto consumer = dyn_cast<linalg::GenericOp>(use->getOwner());
  if (!producer || !consumer || graph::isContraction(consumer))
    return false;
  // A loop's body would compute again what stands before the loop.
  if (producer->getNumResults() != 1 ||
      producer->getBlock() != consumer->getBlock())
    return false;
  // A body that reads what it writes to keeps that result in the fused
  // operation, where the consumer's loops may be others.
  for (OpOperand &init : producer.getDpsInitsMutable())
    if (producer.payloadUsesValueFromOperand(&init))
      return false;
  // One reader: nothing is computed twice, unless each element is read by many
  // points of the consumer.
  for (Operation *user : producer->getUsers())
    if (user != consumer.getOperation())
      return false;
  if (consumer.getNumLoops() > producer.getNumLoops() && bodyCost(producer) > 4)
    return false;
  // What can end a contraction stays with it, unless all that follows can.
  return consumer.getMatchingIndexingMap(use).isIdentity() ||
         !endsContraction(producer);
}

/// Upstream patterns ask tensors for their dims; here dims have names.
static LogicalResult replaceDims(func::FuncOp func) {
  SmallVector<tensor::DimOp> dims;
  func.walk([&](tensor::DimOp op) { dims.push_back(op); });
  for (tensor::DimOp dim : dims) {
    auto sizes = graph::getSizes(dim.getSource());
    std::optional<int64_t> index = dim.getConstantIndex();
    if (failed(sizes) || !index)
      return dim.emitError("is not a dim that is known");
    OpBuilder b(dim);
    OpFoldResult size = (*sizes)[*index];
    Value v = dyn_cast<Value>(size);
    if (!v)
      v = arith::ConstantIndexOp::create(
          b, dim.getLoc(), cast<IntegerAttr>(cast<Attribute>(size)).getInt());
    dim.getResult().replaceAllUsesWith(v);
    dim.erase();
  }
  return success();
}

/// Where `reshape` only adds or drops dims of one element: per dim of its
/// result, the source's dim that it is, or none.
static std::optional<SmallVector<std::optional<unsigned>>>
unitDims(graph::ReshapeOp reshape) {
  auto from = graph::getSizes(reshape.getSource()),
       to = graph::getSizes(reshape.getResult());
  if (failed(from) || failed(to))
    return std::nullopt;
  SmallVector<std::optional<unsigned>> dims(to->size());
  unsigned next = 0;
  auto skipOnes = [&] {
    while (next < from->size() && isOneInteger((*from)[next]))
      ++next;
  };
  for (auto [dim, size] : llvm::zip_equal(dims, *to)) {
    if (isOneInteger(size))
      continue;
    skipOnes();
    if (next == from->size() || !isEqualConstantIntOrValue((*from)[next], size))
      return std::nullopt;
    dim = next++;
  }
  skipOnes();
  if (next != from->size())
    return std::nullopt;
  return dims;
}

/// Operations read through reshapes that only add or drop dims of one element
/// (keepdims), so that what is behind them can be fused.
static void readThroughUnitReshapes(func::FuncOp func) {
  SmallVector<graph::ReshapeOp> reshapes;
  func.walk([&](graph::ReshapeOp op) { reshapes.push_back(op); });
  for (graph::ReshapeOp reshape : reshapes) {
    auto dims = unitDims(reshape);
    if (!dims)
      continue;
    unsigned rank =
        cast<RankedTensorType>(reshape.getSource().getType()).getRank();
    for (OpOperand &use : llvm::make_early_inc_range(reshape->getUses())) {
      auto reader = dyn_cast<linalg::GenericOp>(use.getOwner());
      if (!reader || reader.isDpsInit(&use) || graph::isContraction(reader))
        continue;
      SmallVector<AffineMap> maps = reader.getIndexingMapsArray();
      AffineMap &map = maps[use.getOperandNumber()];
      SmallVector<AffineExpr> exprs(
          rank, getAffineConstantExpr(0, reader.getContext()));
      for (auto [i, dim] : llvm::enumerate(*dims))
        if (dim)
          exprs[*dim] = map.getResult(i);
      map = AffineMap::get(map.getNumDims(), 0, exprs, reader.getContext());
      // Every loop's extent must still be seen in some operand.
      if (!inversePermutation(concatAffineMaps(maps, reader.getContext())))
        continue;
      reader.setIndexingMapsAttr(Builder(reader).getAffineMapArrayAttr(maps));
      use.set(reshape.getSource());
    }
  }
}

LogicalResult graph::fuseElementwise(ModuleOp module) {
  for (auto func : module.getOps<func::FuncOp>()) {
    readThroughUnitReshapes(func);
    RewritePatternSet patterns(module.getContext());
    linalg::populateElementwiseOpsFusionPatterns(patterns, shouldFuse);
    GreedyRewriteConfig config;
    config.enableFolding(false);
    config.enableConstantCSE(false);
    if (failed(applyPatternsGreedily(func, std::move(patterns), config)))
      return func.emitError("fusion did not come to an end");
    if (failed(replaceDims(func)))
      return failure();
  }
  return success();
}

linalg::GenericOp graph::findEpilogue(Operation *anchor,
                                      const TargetInfo &info) {
  if (anchor->getNumResults() != 1 || !anchor->getResult(0).hasOneUse())
    return nullptr;
  OpOperand &use = *anchor->getResult(0).use_begin();
  auto consumer = dyn_cast<linalg::GenericOp>(use.getOwner());
  if (!consumer || consumer->getBlock() != anchor->getBlock() ||
      consumer->getNumResults() != 1 || consumer.isDpsInit(&use) ||
      consumer.getNumReductionLoops() || consumer.hasIndexSemantics())
    return nullptr;
  if (!consumer.getMatchingIndexingMap(&use).isIdentity() ||
      !consumer.getIndexingMapsArray().back().isIdentity())
    return nullptr;
  bool vector = isContraction(anchor);
  if (auto generic = dyn_cast<linalg::LinalgOp>(anchor)) {
    if (!generic.getNumReductionLoops())
      return nullptr;
    // The result's dims are the parallel loops, in order.
    AffineMap map = generic.getIndexingMapsArray().back();
    unsigned last = 0;
    for (auto [i, e] : llvm::enumerate(map.getResults())) {
      auto dim = dyn_cast<AffineDimExpr>(e);
      if (!dim || (i && dim.getPosition() < last))
        return nullptr;
      last = dim.getPosition();
    }
  } else if (!vector) {
    return nullptr;
  }
  unsigned loops = consumer.getNumLoops();
  // Lanes run it on scalars.
  if (vector && info.form == kernel::Form::tiled) {
    auto generic = dyn_cast<linalg::LinalgOp>(anchor);
    bool anyType = !generic || kernel::smallProductOf(generic) ||
                   kernel::isMatrixProduct(generic) ||
                   kernel::isBlockedConv(generic);
    if (!loops || !kernel::canVectorize(consumer, loops - 1, anyType).empty())
      return nullptr;
  }
  bool captures = false;
  consumer->getRegion(0).walk([&](tensor::ExtractOp) { captures = true; });
  return captures ? nullptr : consumer;
}
