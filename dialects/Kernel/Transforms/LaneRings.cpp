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
// What a target copies in no other way goes by loads to registers and stores.
// It is stored only before the slot is waited for, or where this step's slot is
// released: loads are under way while the step is computed. Where the target's
// caches can be told, lanes touch what they will load for the slot after that.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Lanes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

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
  if (auto commit = dyn_cast<RingCommitOp>(op)) {
    AsyncCommitOp::create(b, loc);
    prefetchNext(commit);
  } else if (isa<RingReleaseOp>(op)) {
    storeStaged(loc);
    ring.reading = true;
  } else {
    storeStaged(loc);
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

//===----------------------------------------------------------------------===//
// Through registers
//===----------------------------------------------------------------------===//

/// Of one loop, a lane: more registers than this are not set aside.
static constexpr int64_t kMostStagedBytes = 128, kMostStagedPoints = 16;

/// The tile of a ring that `op` fills, or null.
static Value filledTile(Operation *op) {
  Value tile;
  if (auto run = dyn_cast<AsyncRunOp>(op))
    tile = run.getTile();
  else if (auto store = dyn_cast<memref::StoreOp>(op))
    tile = store.getMemRef();
  else if (auto store = dyn_cast<vector::StoreOp>(op))
    tile = store.getBase();
  return tile && tile.getDefiningOp<RingAcquireOp>() ? tile : Value();
}

/// The bytes that `op` writes there.
static int64_t filledBytes(Operation *op) {
  if (auto run = dyn_cast<AsyncRunOp>(op))
    return int64_t(run.getCount()) *
           cast<MemRefType>(run.getTile().getType()).getElementTypeBitWidth() /
           8;
  Type type = op->getOperand(0).getType();
  int64_t count = 1;
  if (auto vector = dyn_cast<VectorType>(type))
    count = vector.getNumElements();
  return llvm::divideCeil(
      count * getElementTypeOrSelf(type).getIntOrFloatBitWidth(), 8);
}

bool LaneBuilder::isStaged(scf::ForallOp forall, int64_t &points) {
  points = 1;
  for (OpFoldResult size : forall.getMixedUpperBound()) {
    auto n = getConstantIntValue(size);
    if (!n)
      return false;
    points *= *n;
  }
  int64_t bytes = 0;
  for (Operation &op : forall.getBody()->without_terminator()) {
    Value tile = filledTile(&op);
    if (tile) {
      bytes += filledBytes(&op);
      if (tile.getDefiningOp()->getBlock() != forall->getBlock() ||
          (isa<AsyncRunOp>(op) && info.asyncCopyBytes))
        return false;
      continue;
    }
    // Nothing else is written.
    WalkResult result = op.walk([](Operation *inner) {
      return isa<memref::StoreOp, vector::StoreOp, AsyncRunOp, FailIfOp>(inner)
                 ? WalkResult::interrupt()
                 : WalkResult::advance();
    });
    if (result.wasInterrupted())
      return false;
  }
  return bytes && points <= kMostStagedPoints * group &&
         points * bytes <= kMostStagedBytes * group;
}

/// What `run` copies: zeros where it is not valid.
static Value loadOf(OpBuilder &b, AsyncRunOp run, IRMapping &map) {
  Location loc = run.getLoc();
  auto source = cast<MemRefType>(run.getSource().getType());
  auto type =
      VectorType::get({int64_t(run.getCount())}, source.getElementType());
  auto branch = scf::IfOp::create(b, loc, type,
                                  map.lookupOrDefault(run.getValid()), true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&branch.getThenRegion().front());
  SmallVector<Value> indices = llvm::map_to_vector(
      run.getIndices(), [&](Value v) { return map.lookupOrDefault(v); });
  auto load = vector::LoadOp::create(
      b, loc, type, map.lookupOrDefault(run.getSource()), indices);
  load->setAttr("alignment",
                b.getI64IntegerAttr(int64_t(run.getCount()) *
                                    source.getElementTypeBitWidth() / 8));
  scf::YieldOp::create(b, loc, load.getResult());
  b.setInsertionPointToStart(&branch.getElseRegion().front());
  Value zero =
      arith::ConstantOp::create(b, loc, cast<TypedAttr>(b.getZeroAttr(type)));
  scf::YieldOp::create(b, loc, zero);
  return branch.getResult(0);
}

/// Runs one point, but for its stores; where `guard` holds.
void LaneBuilder::stage(Block &body, Value guard) {
  SmallVector<StagedStore> made;
  auto clone = [&] {
    for (Operation &op : body.without_terminator()) {
      if (!filledTile(&op)) {
        b.clone(op, map);
        continue;
      }
      StagedStore s;
      s.guard = guard;
      s.tile = uniform(filledTile(&op));
      if (auto run = dyn_cast<AsyncRunOp>(op)) {
        s.value = loadOf(b, run, map);
        s.indices = uniform(run.getTileIndices());
        s.alignment = b.getI64IntegerAttr(
            int64_t(run.getCount()) *
            cast<MemRefType>(s.tile.getType()).getElementTypeBitWidth() / 8);
      } else if (auto one = dyn_cast<memref::StoreOp>(op)) {
        s.value = uniform(one.getValue());
        s.indices = uniform(one.getIndices());
      } else {
        auto store = cast<vector::StoreOp>(op);
        s.value = uniform(store.getValueToStore());
        s.indices = uniform(store.getIndices());
        s.alignment = store->getAttr("alignment");
      }
      made.push_back(s);
    }
  };
  if (!guard) {
    clone();
    llvm::append_range(staged, made);
    return;
  }
  // What is computed under the guard is handed out of it.
  Location loc = guard.getLoc();
  auto branch = scf::IfOp::create(b, loc, guard, /*withElseRegion=*/false);
  SmallVector<Value> values;
  {
    OpBuilder::InsertionGuard inside(b);
    b.setInsertionPoint(branch.thenBlock()->getTerminator());
    clone();
    for (StagedStore &s : made) {
      values.push_back(s.value);
      llvm::append_range(values, s.indices);
    }
  }
  SmallVector<Type> types(ValueRange(values).getTypes());
  auto with = scf::IfOp::create(b, loc, types, guard, true);
  with.getThenRegion().takeBody(branch.getThenRegion());
  with.thenBlock()->getTerminator()->erase();
  branch.erase();
  OpBuilder::InsertionGuard inside(b);
  b.setInsertionPointToEnd(with.thenBlock());
  scf::YieldOp::create(b, loc, values);
  b.setInsertionPointToStart(&with.getElseRegion().front());
  SmallVector<Value> zeros;
  for (Type type : types)
    zeros.push_back(arith::ConstantOp::create(
        b, loc, cast<TypedAttr>(b.getZeroAttr(type))));
  scf::YieldOp::create(b, loc, zeros);
  auto results = with.getResults().begin();
  for (StagedStore &s : made) {
    s.value = *results++;
    for (Value &v : s.indices)
      v = *results++;
    staged.push_back(s);
  }
}

void LaneBuilder::storeStaged(Location loc) {
  for (StagedStore &s : staged) {
    OpBuilder::InsertionGuard inside(b);
    if (s.guard) {
      auto branch =
          scf::IfOp::create(b, loc, s.guard, /*withElseRegion=*/false);
      b.setInsertionPoint(branch.thenBlock()->getTerminator());
    }
    if (!isa<VectorType>(s.value.getType())) {
      memref::StoreOp::create(b, loc, s.value, s.tile, s.indices);
      continue;
    }
    auto store = vector::StoreOp::create(b, loc, s.value, s.tile, s.indices);
    if (s.alignment)
      store->setAttr("alignment", s.alignment);
  }
  staged.clear();
}

//===----------------------------------------------------------------------===//
// Ahead of the registers
//===----------------------------------------------------------------------===//

/// Whether an address is cheap enough to be computed once more.
static bool isCheap(scf::ForallOp forall) {
  WalkResult result = forall.walk([](Operation *op) {
    return isa<arith::DivUIOp, arith::RemUIOp, arith::DivSIOp, arith::RemSIOp>(
               op)
               ? WalkResult::interrupt()
               : WalkResult::advance();
  });
  return !result.wasInterrupted();
}

/// Tells the caches what a point will read of the bindings. The loads, of
/// which only those stay that addresses need, are what runs later, guards and
/// all: nothing outside of a binding is touched.
void LaneBuilder::prefetchPoint(Block &body) {
  auto touch = [&](Operation *op) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(op);
    auto at = [&](Value memref, ValueRange indices) {
      if (!cast<MemRefType>(memref.getType()).getMemorySpace())
        memref::PrefetchOp::create(b, op->getLoc(), memref, indices,
                                   /*isWrite=*/false, /*localityHint=*/3,
                                   /*isDataCache=*/true);
    };
    if (auto load = dyn_cast<memref::LoadOp>(op))
      at(load.getMemRef(), load.getIndices());
    else if (auto load = dyn_cast<vector::LoadOp>(op))
      at(load.getBase(), load.getIndices());
  };
  for (Operation &op : body.without_terminator()) {
    if (auto run = dyn_cast<AsyncRunOp>(op)) {
      Operation *load = loadOf(b, run, map).getDefiningOp();
      load->walk(touch);
    } else if (!filledTile(&op)) {
      b.clone(op, map)->walk(touch);
    }
  }
}

void LaneBuilder::prefetchNext(RingCommitOp commit) {
  if (!info.prefetchesCaches)
    return;
  // What fills a slot stands between its acquire and its commit.
  RingAcquireOp acquire;
  for (auto op : commit->getBlock()->getOps<RingAcquireOp>())
    if (op.getRing() == commit.getRing() && op.getSlot() == commit.getSlot())
      acquire = op;
  if (!acquire)
    return;
  Location loc = commit.getLoc();
  IRMapping held = map;
  map.map(
      commit.getSlot(),
      arith::AddIOp::create(b, loc, uniform(commit.getSlot()), index(loc, 1)));
  for (Operation *op = acquire->getNextNode(); op != commit;
       op = op->getNextNode()) {
    auto forall = dyn_cast<scf::ForallOp>(op);
    int64_t points;
    if (!forall) {
      if (isPure(op))
        b.clone(*op, map);
    } else if (isStaged(forall, points) && isCheap(forall)) {
      forStagedPoints(forall, points, [&](Value guard) {
        if (!guard)
          return prefetchPoint(*forall.getBody());
        auto branch =
            scf::IfOp::create(b, loc, guard, /*withElseRegion=*/false);
        OpBuilder::InsertionGuard inside(b);
        b.setInsertionPoint(branch.thenBlock()->getTerminator());
        prefetchPoint(*forall.getBody());
      });
    }
  }
  map = held;
}
