//===- WeightMath.cpp - arithmetic on weights, done once ------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/WeightMath.h"

#include "dialects/Graph/Transforms/Packing.h"
#include "dialects/Kernel/Transforms/VectorBody.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::graph;

static bool isExpensive(Operation *op) {
  return isa<math::MathDialect>(op->getDialect()) || isa<arith::DivFOp>(op);
}

namespace {
/// A value of a body that weights alone decide: of tensors of one type that are
/// read at the same place.
struct Known {
  AffineMap map; // null: a constant
  RankedTensorType type;
  bool expensive = false;
};
} // namespace

static std::optional<Known> known(Operation *op,
                                  const DenseMap<Value, Known> &values) {
  if (op->getNumResults() != 1 || op->getNumRegions() ||
      !op->getResult(0).getType().isF32() ||
      !OpTrait::hasElementwiseMappableTraits(op))
    return std::nullopt;
  Known all;
  all.expensive = isExpensive(op);
  for (Value v : op->getOperands()) {
    auto it = values.find(v);
    if (it == values.end())
      return std::nullopt;
    const Known &one = it->second;
    all.expensive |= one.expensive;
    if (!one.map)
      continue;
    if (all.map && (all.map != one.map || all.type != one.type))
      return std::nullopt;
    all.map = one.map;
    all.type = one.type;
  }
  if (!all.map)
    return std::nullopt;
  return all;
}

/// An operation over the weights themselves that computes `root`.
static Value compute(linalg::GenericOp op, Operation *root, const Known &info) {
  llvm::SetVector<Operation *> slice;
  SmallVector<Operation *> work = {root};
  while (!work.empty()) {
    Operation *next = work.pop_back_val();
    if (!slice.insert(next))
      continue;
    for (Value v : next->getOperands())
      if (Operation *from = v.getDefiningOp())
        work.push_back(from);
  }
  OpBuilder b(op);
  Location loc = op.getLoc();
  Block &body = op.getRegion().front();
  SmallVector<BlockArgument> args;
  SmallVector<Value> inputs;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    BlockArgument arg = op.getMatchingBlockArgument(operand);
    if (llvm::any_of(arg.getUsers(),
                     [&](Operation *user) { return slice.contains(user); })) {
      args.push_back(arg);
      inputs.push_back(operand->get());
    }
  }
  unsigned rank = info.type.getRank();
  auto type =
      RankedTensorType::get(info.type.getShape(), root->getResult(0).getType());
  Value to =
      tensor::EmptyOp::create(b, loc, type.getShape(), type.getElementType());
  return linalg::GenericOp::create(
             b, loc, type, inputs, to,
             SmallVector<AffineMap>(inputs.size() + 1,
                                    b.getMultiDimIdentityMap(rank)),
             SmallVector<utils::IteratorType>(rank,
                                              utils::IteratorType::parallel),
             [&](OpBuilder &nested, Location at, ValueRange values) {
               IRMapping map;
               for (auto [from, value] : llvm::zip(args, values))
                 map.map(from, value);
               for (Operation &inner : body)
                 if (slice.contains(&inner))
                   nested.clone(inner, map);
               linalg::YieldOp::create(nested, at,
                                       map.lookup(root->getResult(0)));
             })
      .getResult(0);
}

static void separate(linalg::GenericOp op) {
  if (isWeight(op->getResult(0)))
    return;
  DenseMap<Value, Known> values;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    auto type = dyn_cast<RankedTensorType>(operand->get().getType());
    AffineMap map = op.getMatchingIndexingMap(operand);
    if (type && type.hasStaticShape() &&
        kernel::isSummedInF32(type.getElementType()) && map.getNumResults() &&
        isWeight(operand->get()))
      values[op.getMatchingBlockArgument(operand)] = {map, type};
  }
  if (values.empty())
    return;
  Block &body = op.getRegion().front();
  SmallVector<Operation *> roots;
  for (Operation &inner : body) {
    if (isa<arith::ConstantOp>(inner))
      values[inner.getResult(0)] = {};
    else if (auto found = known(&inner, values))
      values[inner.getResult(0)] = *found;
  }
  for (Operation &inner : body) {
    if (inner.getNumResults() != 1)
      continue;
    auto it = values.find(inner.getResult(0));
    if (it == values.end() || !it->second.map || !it->second.expensive)
      continue;
    if (llvm::any_of(inner.getUsers(), [&](Operation *user) {
          return user->getNumResults() != 1 ||
                 !values.contains(user->getResult(0));
        }))
      roots.push_back(&inner);
  }
  if (roots.empty())
    return;
  SmallVector<Value> inputs(op.getDpsInputs());
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  unsigned numInputs = inputs.size();
  for (Operation *root : roots) {
    const Known &info = values[root->getResult(0)];
    inputs.push_back(compute(op, root, info));
    maps.insert(maps.begin() + inputs.size() - 1, info.map);
  }
  OpBuilder b(op);
  auto with = linalg::GenericOp::create(b, op.getLoc(), op->getResultTypes(),
                                        inputs, op.getDpsInits(), maps,
                                        op.getIteratorTypesArray());
  with.getRegion().takeBody(op.getRegion());
  Block &block = with.getRegion().front();
  for (auto [i, root] : llvm::enumerate(roots)) {
    BlockArgument arg = block.insertArgument(
        numInputs + i, root->getResult(0).getType(), op.getLoc());
    root->getResult(0).replaceAllUsesWith(arg);
  }
  for (Operation &inner : llvm::make_early_inc_range(llvm::reverse(block)))
    if (isOpTriviallyDead(&inner))
      inner.erase();
  // What only the parts read is no operand any more.
  SmallVector<AffineMap> kept;
  SmallVector<Value> used;
  llvm::BitVector unused(block.getNumArguments());
  for (auto [i, v] : llvm::enumerate(with.getDpsInputs()))
    if (block.getArgument(i).use_empty() && i < numInputs &&
        values.contains(block.getArgument(i)))
      unused.set(i);
    else
      used.push_back(v);
  for (auto [i, map] : llvm::enumerate(maps))
    if (!unused.test(i))
      kept.push_back(map);
  Operation *result = with;
  if (unused.any() &&
      inversePermutation(concatAffineMaps(kept, op.getContext()))) {
    auto smaller = linalg::GenericOp::create(
        b, op.getLoc(), op->getResultTypes(), used, with.getDpsInits(), kept,
        with.getIteratorTypesArray());
    block.eraseArguments(unused);
    smaller.getRegion().takeBody(with.getRegion());
    with.erase();
    result = smaller;
  }
  op->replaceAllUsesWith(result);
  op.erase();
}

void graph::separateWeightMath(ModuleOp module) {
  SmallVector<linalg::GenericOp> ops;
  module.walk([&](linalg::GenericOp op) {
    if (!op.hasIndexSemantics() && op->getNumResults() == 1)
      ops.push_back(op);
  });
  for (linalg::GenericOp op : ops)
    separate(op);
}
