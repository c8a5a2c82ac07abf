//===- LaneRings.cpp - rings of tiles, by copies and barriers -------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every lane copies and every lane reads: a slot has arrived when each lane has
// waited for its own copies and all have met at a barrier; it is free when all
// have met after its release. Where a loop waits for a slot before it acquires
// the next one, the barrier of the wait serves both.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Lanes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

bool LaneBuilder::isOfRing(Operation *op) {
  return isa<RingOp, RingAcquireOp, RingWaitOp, RingCommitOp, RingReleaseOp>(
      op);
}

/// The tiles of a slot, in the memory of the ring.
static SmallVector<Value> tilesOf(OpBuilder &b, Location loc,
                                  const LaneRing &ring, RingType type,
                                  Value slot) {
  Value depth = arith::ConstantIndexOp::create(b, loc, ring.depth);
  Value number = arith::RemUIOp::create(b, loc, slot, depth);
  SmallVector<Value> tiles;
  for (auto [memory, tile] : llvm::zip_equal(ring.memory, type.getTiles())) {
    ArrayRef<int64_t> shape = cast<MemRefType>(tile).getShape();
    SmallVector<OpFoldResult> offsets = {number}, sizes = {b.getIndexAttr(1)};
    for (int64_t size : shape) {
      offsets.push_back(b.getIndexAttr(0));
      sizes.push_back(b.getIndexAttr(size));
    }
    SmallVector<OpFoldResult> strides(offsets.size(), b.getIndexAttr(1));
    auto viewed = memref::SubViewOp::inferRankReducedResultType(
        shape, cast<MemRefType>(memory.getType()), offsets, sizes, strides);
    tiles.push_back(memref::SubViewOp::create(b, loc, viewed, memory, offsets,
                                              sizes, strides));
  }
  return tiles;
}

/// How many batches may be under way when slot `wait` must have arrived: those
/// committed for later slots. Known where the loop commits slot `wait` + c.
static int64_t pendingAt(RingWaitOp wait) {
  for (Operation &op : *wait->getBlock()) {
    auto commit = dyn_cast<RingCommitOp>(op);
    if (!commit || commit.getRing() != wait.getRing())
      continue;
    auto ahead = commit.getSlot().getDefiningOp<arith::AddIOp>();
    if (!ahead || ahead.getLhs() != wait.getSlot())
      return 0;
    auto slots = getConstantIntValue(ahead.getRhs());
    if (!slots || *slots < 1)
      return 0;
    return wait->isBeforeInBlock(commit) ? *slots - 1 : *slots;
  }
  return 0;
}

LogicalResult LaneBuilder::emitRing(Operation *op) {
  Location loc = op->getLoc();
  if (auto make = dyn_cast<RingOp>(op)) {
    RingType type = make.getRing().getType();
    LaneRing &ring = rings[make.getRing()];
    ring.depth = type.getDepth();
    for (Type t : type.getTiles()) {
      auto tile = cast<MemRefType>(t);
      SmallVector<int64_t> shape(tile.getShape());
      auto [strides, offset] = tile.getStridesAndOffset();
      // Rows may be padded.
      unsigned rank = shape.size();
      if (rank == 2 && strides[1] == 1 && strides[0] >= shape[1])
        shape[1] = strides[0];
      else if (!tile.getLayout().isIdentity())
        return op->emitError("has a tile that is not row-major: ") << tile;
      shape.insert(shape.begin(), ring.depth);
      ring.memory.push_back(
          AllocOp::create(b, loc,
                          MemRefType::get(shape, tile.getElementType(),
                                          AffineMap(), kWorkgroupSpace)));
    }
    return success();
  }
  LaneRing &ring = rings[op->getOperand(0)];
  auto type = cast<RingType>(op->getOperand(0).getType());
  if (isa<RingCommitOp>(op)) {
    AsyncCommitOp::create(b, loc);
  } else if (isa<RingReleaseOp>(op)) {
    ring.reading = true;
  } else {
    if (auto wait = dyn_cast<RingWaitOp>(op)) {
      AsyncWaitOp::create(b, loc, pendingAt(wait));
      barrier(loc);
    } else if (ring.reading) {
      barrier(loc);
    }
    SmallVector<Value> tiles =
        tilesOf(b, loc, ring, type, uniform(op->getOperand(1)));
    for (auto [from, to] : llvm::zip_equal(op->getResults(), tiles))
      map.map(from, to);
  }
  return success();
}

/// What a loop releases at its end is still read when it begins again.
void LaneBuilder::enterRings(scf::ForOp loop) {
  loop.walk([&](RingReleaseOp op) {
    if (auto it = rings.find(op.getRing()); it != rings.end())
      it->second.reading = true;
  });
}
