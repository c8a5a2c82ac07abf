//===- Hazards.cpp - where lanes must wait for each other -----------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// In form(tiled) memory is written and read in program order. Lanes keep that
// order among their own accesses only, so a barrier must stand between two
// statements of a workgroup of which one writes what the other touches, unless
// each lane touches only elements that are always its own.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Lanes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

static Value rootOf(Value memref) {
  while (auto view = memref.getDefiningOp<ViewLikeOpInterface>())
    memref = view.getViewSource();
  return memref;
}

/// Rings say themselves when their slots may be written and read.
static bool isOfRing(Value memref) {
  return isa_and_nonnull<RingAcquireOp, RingWaitOp>(memref.getDefiningOp());
}

bool kernel::isMultiple(Value v, int64_t n) {
  if (auto c = getConstantIntValue(v))
    return *c % n == 0;
  if (auto arg = dyn_cast<BlockArgument>(v)) {
    auto loop = dyn_cast<scf::ForOp>(arg.getOwner()->getParentOp());
    return loop && v == loop.getInductionVar() &&
           isMultiple(loop.getLowerBound(), n) && isMultiple(loop.getStep(), n);
  }
  Operation *op = v.getDefiningOp();
  if (isa<arith::MulIOp>(op))
    return isMultiple(op->getOperand(0), n) || isMultiple(op->getOperand(1), n);
  if (auto sub = dyn_cast<arith::SubIOp>(op)) {
    // x - x % m
    auto rem = sub.getRhs().getDefiningOp<arith::RemUIOp>();
    if (rem && rem.getLhs() == sub.getLhs() && isMultiple(rem.getRhs(), n))
      return true;
  }
  if (isa<arith::AddIOp, arith::SubIOp>(op))
    return isMultiple(op->getOperand(0), n) && isMultiple(op->getOperand(1), n);
  return false;
}

void Hazards::accessesOf(Operation *op, SmallVectorImpl<Access> &accesses) {
  op->walk([&](Operation *inner) {
    if (isa<ViewLikeOpInterface, memref::ExtractAlignedPointerAsIndexOp>(inner))
      return;
    bool tile = isa<vector::LoadOp, vector::StoreOp, vector::MaskedLoadOp,
                    vector::MaskedStoreOp>(inner) &&
                inner == op;
    bool reads = isa<memref::LoadOp, vector::LoadOp, vector::MaskedLoadOp,
                     vector::TransferReadOp, MmaOp>(inner);
    for (Value v : inner->getOperands()) {
      if (!isa<MemRefType>(v.getType()) || isOfRing(rootOf(v)))
        continue;
      bool own = false;
      if (tile && rootOf(v) == v) {
        // The memref's indices follow it: the last one is the tile's.
        unsigned rank = cast<MemRefType>(v.getType()).getRank();
        unsigned first = isa<vector::StoreOp>(inner) ? 2 : 1;
        own = rank && isMultiple(inner->getOperand(first + rank - 1), group);
      }
      auto run = dyn_cast<AsyncRunOp>(inner);
      bool source = run && run.getSource() == v;
      accesses.push_back({rootOf(v), !reads && !source, own});
    }
  });
}

Hazards::Hazards(FuncOp kernel, int64_t group) : kernel(kernel), group(group) {
  struct Uses {
    unsigned reads = 0, writes = 0;
    bool own = true;
  };
  DenseMap<Value, Uses> uses;
  std::function<void(Block &)> scan = [&](Block &block) {
    for (Operation &op : block) {
      if (isa<scf::ForOp, scf::IfOp>(op)) {
        for (Region &region : op.getRegions())
          for (Block &inner : region)
            scan(inner);
        continue;
      }
      SmallVector<Access> accesses;
      accessesOf(&op, accesses);
      for (Access a : accesses) {
        Uses &u = uses[a.memref];
        ++(a.write ? u.writes : u.reads);
        u.own &= a.own;
      }
    }
  };
  scan(kernel.getBody().front());
  for (auto &[memref, u] : uses)
    if (!u.own && u.writes && u.reads + u.writes > 1)
      shared.insert(memref);
}

bool Hazards::clear() {
  bindings = false;
  for (auto [memref, written] : outstanding)
    bindings |= isa<BlockArgument>(memref);
  bool any = !outstanding.empty();
  outstanding.clear();
  return any;
}

bool Hazards::before(Operation *op) {
  SmallVector<Access> accesses;
  accessesOf(op, accesses);
  bool wait = false;
  for (Access a : accesses) {
    auto it = outstanding.find(a.memref);
    if (it != outstanding.end() && (it->second || a.write))
      wait = true;
  }
  if (wait)
    clear();
  for (Access a : accesses)
    if (shared.contains(a.memref))
      outstanding[a.memref] |= a.write;
  return wait;
}

bool Hazards::atJoin() { return clear(); }
