//===- InPlace.cpp - whose memory can be written --------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/InPlace.h"

#include "dialects/Graph/Graph.h"
#include "dialects/Hal/Hal.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace isthmus;

/// Whether the host comes from the start of `block` to `op` at most once: only
/// branches lie between.
static bool runsOnceIn(Block *block, Operation *op) {
  for (; op && op->getBlock() != block; op = op->getParentOp())
    if (!isa<scf::IfOp>(op->getParentOp()))
      return false;
  return op;
}

/// Whether the two stand on different sides of one branch.
static bool areExclusive(Operation *a, Operation *b) {
  for (Operation *p = a->getParentOp(); p; p = p->getParentOp())
    if (p->isProperAncestor(b))
      return isa<scf::IfOp>(p) &&
             !(p->getRegion(0).isAncestor(a->getParentRegion()) &&
               p->getRegion(0).isAncestor(b->getParentRegion())) &&
             !(p->getRegion(1).isAncestor(a->getParentRegion()) &&
               p->getRegion(1).isAncestor(b->getParentRegion()));
  return false;
}

namespace {
class Ownership {
public:
  bool check(OpOperand &use);

private:
  bool checkResult(OpResult v);
  bool checkArgument(BlockArgument v);

  llvm::SmallPtrSet<OpOperand *, 8> assumed; // around loops
};
} // namespace

bool Ownership::check(OpOperand &use) {
  if (!assumed.insert(&use).second)
    return true;
  Value v = use.get();
  if (!runsOnceIn(v.getParentBlock(), use.getOwner()))
    return false;
  for (OpOperand &other : v.getUses())
    if (&other != &use && !areExclusive(use.getOwner(), other.getOwner()))
      return false;
  if (auto argument = dyn_cast<BlockArgument>(v))
    return checkArgument(argument);
  return checkResult(cast<OpResult>(v));
}

bool Ownership::checkResult(OpResult v) {
  unsigned n = v.getResultNumber();
  Operation *op = v.getOwner();
  if (isa<tensor::EmptyOp, hal::LaunchOp, tensor::InsertSliceOp>(op))
    return true; // what cannot be done in place has made a copy
  if (auto reshape = dyn_cast<graph::ReshapeOp>(op))
    return check(reshape.getSourceMutable());
  if (auto branch = dyn_cast<scf::IfOp>(op))
    return check(branch.thenYield()->getOpOperand(n)) &&
           check(branch.elseYield()->getOpOperand(n));
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return checkArgument(loop.getRegionIterArg(n));
  if (auto loop = dyn_cast<scf::WhileOp>(op))
    return check(loop.getConditionOp().getArgsMutable()[n]);
  return false;
}

bool Ownership::checkArgument(BlockArgument v) {
  Operation *op = v.getOwner()->getParentOp();
  unsigned n = v.getArgNumber();
  if (auto func = dyn_cast<func::FuncOp>(op))
    return bool(func.getArgAttr(n, graph::kInoutAttr));
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return check(*loop.getTiedLoopInit(v)) &&
           check(*loop.getTiedLoopYieldedValue(v));
  if (auto loop = dyn_cast<scf::WhileOp>(op)) {
    if (v.getOwner() == loop.getAfterBody())
      return check(loop.getConditionOp().getArgsMutable()[n]);
    return check(loop.getInitsMutable()[n]) &&
           check(loop.getYieldOp()->getOpOperand(n));
  }
  return false;
}

void isthmus::unshareBuffers(func::FuncOp func) {
  for (Block *block : graph::hostBlocks(func))
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(*block))) {
      Operation *root = &op;
      while (auto reshape = dyn_cast_or_null<graph::ReshapeOp>(root))
        root = reshape.getSource().getDefiningOp();
      if (!isa_and_nonnull<tensor::EmptyOp>(root))
        continue;
      OpBuilder b(&op);
      for (OpOperand &use : llvm::make_early_inc_range(
               llvm::drop_begin(op.getResult(0).getUses())))
        use.set(b.clone(op)->getResult(0));
    }
}

bool isthmus::isOwned(OpOperand &use) { return Ownership().check(use); }
