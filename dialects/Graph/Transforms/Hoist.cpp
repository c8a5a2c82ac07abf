//===- Hoist.cpp - what is computed once, and when ------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Hoist.h"

#include "dialects/Graph/Graph.h"
#include "dialects/Graph/Transforms/Groups.h"
#include "dialects/Graph/Transforms/Outline.h"
#include "dialects/Hal/Hal.h"
#include "dialects/Kernel/Kernel.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/LoopInvariantCodeMotionUtils.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace isthmus;

//===----------------------------------------------------------------------===//
// Out of loops and branches
//===----------------------------------------------------------------------===//

/// A kernel that can stop the call must not run where the model would not.
static bool canFail(Operation *op) {
  return op->walk([](kernel::FailIfOp) { return WalkResult::interrupt(); })
      .wasInterrupted();
}

/// A tensor that rows are inserted into, now or in a loop inside: each
/// iteration has its own.
static bool isBuffer(Operation *op) {
  return isa<tensor::EmptyOp>(op) &&
         !llvm::all_of(op->getUsers(), llvm::IsaPred<linalg::LinalgOp>);
}

/// Whether `accept` takes every value that `op` and its regions use from
/// outside.
static bool allOperands(Operation *op, function_ref<bool(Value)> accept) {
  WalkResult result = op->walk([&](Operation *inner) {
    for (Value v : inner->getOperands())
      if (!op->isAncestor(v.getParentRegion()->getParentOp()) && !accept(v))
        return WalkResult::interrupt();
    return WalkResult::advance();
  });
  return !result.wasInterrupted();
}

void graph::hoistInvariants(ModuleOp module) {
  module.walk([](LoopLikeOpInterface loop) {
    if (!isa<func::FuncOp>(loop->getParentOp()) &&
        !isa<scf::SCFDialect>(loop->getParentOp()->getDialect()))
      return;
    moveLoopInvariantCode(
        loop.getLoopRegions(),
        [&](Value v, Region *) { return loop.isDefinedOutsideOfLoop(v); },
        [&](Operation *op, Region *) {
          return isMemoryEffectFree(op) && isSpeculatable(op) && !canFail(op) &&
                 !isBuffer(op);
        },
        [&](Operation *op, Region *) { loop.moveOutOfLoop(op); });
  });
  // What depends on weights alone is work for `init`, which sees only what
  // stands outside of every region.
  for (auto func : module.getOps<func::FuncOp>()) {
    Block *body = &func.getBody().front();
    llvm::DenseSet<Operation *> moved;
    for (Block *block : hostBlocks(func)) {
      if (block == body)
        continue;
      Operation *outermost = body->findAncestorOpInBlock(*block->getParentOp());
      for (Operation &op : llvm::make_early_inc_range(*block)) {
        if (!isa<tensor::EmptyOp, linalg::LinalgOp, graph::ReshapeOp,
                 graph::ParallelOp, graph::ConvOp, arith::ConstantOp>(op) ||
            canFail(&op) || !allOperands(&op, [&](Value v) {
              Operation *def = v.getDefiningOp();
              return def && (isa<graph::WeightOp, arith::ConstantOp>(def) ||
                             moved.contains(def));
            }))
          continue;
        op.moveBefore(outermost);
        moved.insert(&op);
      }
    }
  }
}

//===----------------------------------------------------------------------===//
// init
//===----------------------------------------------------------------------===//

LogicalResult graph::hoistInit(ModuleOp module) {
  auto main = module.lookupSymbol<func::FuncOp>("main");
  if (!main)
    return module.emitError("has no function @main");
  Block &body = main.getBody().front();
  llvm::SetVector<Operation *> constant;
  bool work = false;
  auto known = [&](Value v) {
    Operation *op = v.getDefiningOp();
    return op && constant.contains(op);
  };
  for (Operation &op : body) {
    if (op.hasTrait<OpTrait::IsTerminator>() || isa<graph::ReadOp>(op) ||
        isa<scf::SCFDialect>(op.getDialect()) || !isMemoryEffectFree(&op))
      continue;
    bool all = true;
    op.walk([&](Operation *inner) {
      for (Value v : inner->getOperands())
        if (!op.isAncestor(v.getParentRegion()->getParentOp()))
          all &= known(v);
    });
    if (llvm::any_of(op.getResultTypes(), [](Type type) {
          auto tensor = dyn_cast<RankedTensorType>(type);
          return tensor && !tensor.hasStaticShape();
        }))
      all = false;
    if (all) {
      constant.insert(&op);
      work |= isKernelOp(&op);
    }
  }
  if (!work)
    return success();

  // What @main still uses of the constant ops' kernels is derived. Reshapes
  // cost nothing and stay.
  std::function<bool(Value)> usedByMain = [&](Value v) {
    return llvm::any_of(v.getUsers(), [&](Operation *user) {
      while (user->getBlock() != &body)
        user = user->getParentOp();
      if (!constant.contains(user))
        return true;
      return isa<graph::ReshapeOp>(user) && usedByMain(user->getResult(0));
    });
  };
  SmallVector<Value> derived;
  for (Operation *op : constant)
    if (isKernelOp(op))
      for (Value v : op->getResults())
        if (usedByMain(v))
          derived.push_back(v);
  if (derived.empty())
    return success();
  OpBuilder b(main);
  auto init = func::FuncOp::create(
      b, main.getLoc(), "init",
      b.getFunctionType({}, SmallVector<Type>(ValueRange(derived).getTypes())));
  b.setInsertionPointToStart(init.addEntryBlock());
  IRMapping map;
  for (Operation *op : constant)
    b.clone(*op, map);
  SmallVector<Value> returned;
  for (Value v : derived)
    returned.push_back(map.lookup(v));
  func::ReturnOp::create(b, main.getLoc(), returned);
  for (auto [i, v] : llvm::enumerate(derived)) {
    b.setInsertionPointAfterValue(v);
    v.replaceAllUsesWith(hal::DerivedOp::create(b, v.getLoc(), v.getType(), i));
  }
  eraseDead(main);
  eraseDead(init);
  return success();
}
