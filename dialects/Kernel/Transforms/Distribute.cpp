//===- Distribute.cpp - form(tiled) to form(lanes) ------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A workgroup's program becomes the program of each of its lanes. What is
// uniform stays as it is, every lane computes it; an outermost scf.forall
// becomes a loop over the points lane, lane + group, ..., so that neighbouring
// lanes hold neighbouring points of the last dim; tiles become registers
// (LaneTiles.cpp).
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Distribute.h"
#include "dialects/Kernel/Transforms/Lanes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

LaneBuilder::LaneBuilder(FuncOp kernel, const TargetInfo &info)
    : b(kernel), kernel(kernel), info(info), group(*kernel.getGroup()),
      subgroup(info.subgroup), hazards(kernel, group) {}

Value LaneBuilder::index(Location loc, int64_t v) {
  return arith::ConstantIndexOp::create(b, loc, v);
}

SmallVector<Value> LaneBuilder::uniform(ValueRange values) {
  return llvm::map_to_vector(values, [&](Value v) { return uniform(v); });
}

void LaneBuilder::barrier(Location loc, bool bindings) {
  BarrierOp::create(b, loc, bindings);
  for (auto &[name, ring] : rings)
    ring.reading = false;
}

LogicalResult LaneBuilder::run() {
  Region tiled;
  tiled.takeBody(kernel.getBody());
  Block &from = tiled.front();
  entry = &kernel.getBody().emplaceBlock();
  for (BlockArgument arg : from.getArguments())
    map.map(arg, entry->addArgument(arg.getType(), arg.getLoc()));
  b.setInsertionPointToStart(entry);
  lane = LaneIdOp::create(b, kernel.getLoc(), b.getIndexType());
  if (failed(findAnchors(tiled)) || failed(emit(from)))
    return failure();
  ReturnOp::create(b, kernel.getLoc());
  // Memory that a point makes for itself is its lane's own.
  kernel.walk([&](memref::AllocaOp op) {
    MemRefType type = op.getType();
    op.getResult().setType(
        MemRefType::get(type.getShape(), type.getElementType(),
                        type.getLayout(), b.getI64IntegerAttr(kPrivateSpace)));
  });
  kernel.setForm(Form::lanes);
  return success();
}

LogicalResult LaneBuilder::emit(Block &block) {
  for (Operation &op : block.without_terminator())
    if (failed(emit(&op)))
      return failure();
  storeStaged(block.getTerminator()->getLoc());
  return success();
}

LogicalResult LaneBuilder::emit(Operation *op) {
  Location loc = op->getLoc();
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return emitFor(loop);
  if (auto branch = dyn_cast<scf::IfOp>(op))
    return emitIf(branch);
  if (isOfRing(op))
    return emitRing(op);
  if (hazards.before(op))
    barrier(loc, hazards.bindings);
  if (auto forall = dyn_cast<scf::ForallOp>(op))
    return deal(forall);
  if (auto mma = dyn_cast<MmaOp>(op))
    return mma.getUnit() ? emitUnitMma(mma) : emitMma(mma);
  if (auto each = dyn_cast<EachOp>(op))
    return emitEach(each);
  auto isTile = [](Type type) { return isa<VectorType>(type); };
  if (llvm::any_of(op->getOperandTypes(), isTile) ||
      llvm::any_of(op->getResultTypes(), isTile))
    return emitTile(op);
  if (isa<memref::StoreOp, FailIfOp>(op)) {
    onlyFirstLane(op);
    return success();
  }
  if (isa<memref::AllocaOp>(op))
    return op->emitError("memory of a workgroup is kernel.alloc");
  // A product reads through it.
  if (isa<memref::TransposeOp>(op) &&
      llvm::all_of(op->getUsers(), llvm::IsaPred<MmaOp>))
    return success();
  if (op->getNumRegions() || isa<AsyncCopyOp, RolesOp>(op))
    return op->emitError("has no lowering to form(lanes) yet");
  b.clone(*op, map);
  return success();
}

//===----------------------------------------------------------------------===//
// Control flow of the workgroup: tiles pass through as registers
//===----------------------------------------------------------------------===//

void LaneBuilder::flatten(ValueRange values, SmallVectorImpl<Value> &to) {
  for (Value v : values)
    if (isa<VectorType>(v.getType()))
      llvm::append_range(to, registers(v));
    else
      to.push_back(uniform(v));
}

void LaneBuilder::unflatten(ValueRange values, ValueRange from) {
  for (Value v : values) {
    auto type = dyn_cast<VectorType>(v.getType());
    if (!type) {
      map.map(v, from.front());
      from = from.drop_front();
      continue;
    }
    unsigned n = layoutOf(v)->offsets.size();
    tiles[v] = SmallVector<Value>(from.take_front(n));
    from = from.drop_front(n);
  }
}

LogicalResult LaneBuilder::emitFor(scf::ForOp op) {
  storeStaged(op.getLoc());
  if (hazards.atJoin())
    barrier(op.getLoc(), hazards.bindings);
  for (Value v : op.getResults())
    if (isa<VectorType>(v.getType()))
      if (!layoutOf(v))
        return op.emitError("carries a tile that cannot be dealt to lanes");
  SmallVector<Value> inits;
  flatten(op.getInitArgs(), inits);
  auto loop = scf::ForOp::create(b, op.getLoc(), uniform(op.getLowerBound()),
                                 uniform(op.getUpperBound()),
                                 uniform(op.getStep()), inits);
  map.map(op.getInductionVar(), loop.getInductionVar());
  unflatten(op.getRegionIterArgs(), loop.getRegionIterArgs());
  enterRings(op);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    if (failed(emit(*op.getBody())))
      return failure();
    if (hazards.atJoin())
      barrier(op.getLoc(), hazards.bindings);
    SmallVector<Value> next;
    flatten(op.getBody()->getTerminator()->getOperands(), next);
    if (!next.empty())
      scf::YieldOp::create(b, op.getLoc(), next);
  }
  unflatten(op.getResults(), loop.getResults());
  return success();
}

LogicalResult LaneBuilder::emitIf(scf::IfOp op) {
  storeStaged(op.getLoc());
  if (hazards.atJoin())
    barrier(op.getLoc(), hazards.bindings);
  SmallVector<Type> types;
  for (Value v : op.getResults()) {
    auto tile = dyn_cast<VectorType>(v.getType());
    if (!tile) {
      types.push_back(v.getType());
      continue;
    }
    if (!layoutOf(v))
      return op.emitError("yields a tile that cannot be dealt to lanes");
    types.append(layoutOf(v)->offsets.size(), tile.getElementType());
  }
  bool hasElse = !op.getElseRegion().empty();
  auto branch = scf::IfOp::create(b, op.getLoc(), types,
                                  uniform(op.getCondition()), hasElse);
  for (unsigned i = 0; i <= hasElse; ++i) {
    OpBuilder::InsertionGuard guard(b);
    Block &from = op->getRegion(i).front(), &to = branch->getRegion(i).front();
    if (to.empty())
      b.setInsertionPointToStart(&to);
    else
      b.setInsertionPoint(to.getTerminator());
    if (failed(emit(from)))
      return failure();
    if (hazards.atJoin())
      barrier(op.getLoc(), hazards.bindings);
    if (!types.empty()) {
      SmallVector<Value> yields;
      flatten(from.getTerminator()->getOperands(), yields);
      scf::YieldOp::create(b, op.getLoc(), yields);
    }
  }
  unflatten(op.getResults(), branch.getResults());
  return success();
}

//===----------------------------------------------------------------------===//
// Points and effects
//===----------------------------------------------------------------------===//

Value LaneBuilder::sizeOf(Location loc, OpFoldResult v) {
  if (auto attr = dyn_cast<Attribute>(v))
    return index(loc, cast<IntegerAttr>(attr).getInt());
  return uniform(cast<Value>(v));
}

/// Takes the loop's induction variables from the number of a point.
void LaneBuilder::takePoint(scf::ForallOp forall, Value point) {
  Location loc = forall.getLoc();
  SmallVector<OpFoldResult> sizes = forall.getMixedUpperBound();
  Value rest = point;
  for (int64_t i = int64_t(sizes.size()) - 1; i >= 0; --i) {
    bool last = llvm::all_of(ArrayRef(sizes).take_front(i), isOneInteger);
    Value iv = forall.getInductionVar(i);
    if (isOneInteger(sizes[i])) {
      map.map(iv, index(loc, 0));
    } else if (last) {
      map.map(iv, rest);
      rest = index(loc, 0);
    } else {
      Value size = sizeOf(loc, sizes[i]);
      map.map(iv, arith::RemUIOp::create(b, loc, rest, size));
      rest = arith::DivUIOp::create(b, loc, rest, size);
    }
  }
}

void LaneBuilder::forStagedPoints(scf::ForallOp forall, int64_t points,
                                  function_ref<void(Value)> body) {
  Location loc = forall.getLoc();
  for (int64_t first = 0; first < points; first += group) {
    Value point = lane;
    if (first)
      point = arith::AddIOp::create(b, loc, lane, index(loc, first));
    Value guard;
    if (first + group > points)
      guard = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, point,
                                    index(loc, points));
    takePoint(forall, point);
    body(guard);
  }
}

/// Each lane runs the points lane, lane + group, ... of the loop's space.
LogicalResult LaneBuilder::deal(scf::ForallOp forall) {
  if (forall.getNumResults() || !forall.isNormalized())
    return forall.emitError("only loops from 0 by 1 without results are dealt "
                            "to lanes");
  Location loc = forall.getLoc();
  SmallVector<OpFoldResult> sizes = forall.getMixedUpperBound();
  if (int64_t points; isStaged(forall, points)) {
    forStagedPoints(forall, points,
                    [&](Value guard) { stage(*forall.getBody(), guard); });
    return success();
  }

  Value total;
  int64_t most = 1; // -1: unknown
  for (OpFoldResult size : sizes) {
    auto n = getConstantIntValue(size);
    if (!n)
      if (auto min = cast<Value>(size).getDefiningOp<arith::MinUIOp>())
        n = getConstantIntValue(min.getRhs());
    most = n && most >= 0 ? most * *n : -1;
    if (isOneInteger(size))
      continue;
    Value count = sizeOf(loc, size);
    total = total ? arith::MulIOp::create(b, loc, total, count) : count;
  }
  if (!total)
    total = index(loc, 1);
  bool isConstant = llvm::all_of(sizes, llvm::IsaPred<Attribute>);
  auto isMine = [&](Value point) -> Value {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, point,
                                 total);
  };

  WalkResult fills = forall.walk([](Operation *op) {
    return llvm::any_of(op->getOperands(),
                        [](Value v) {
                          return isa_and_nonnull<RingAcquireOp>(
                              v.getDefiningOp());
                        })
               ? WalkResult::interrupt()
               : WalkResult::advance();
  });
  if (fills.wasInterrupted())
    storeStaged(loc);
  OpBuilder::InsertionGuard guard(b);
  Value point = lane;
  if (most >= 0 && most <= group) {
    auto branch =
        scf::IfOp::create(b, loc, isMine(lane), /*withElseRegion=*/false);
    b.setInsertionPoint(branch.thenBlock()->getTerminator());
  } else {
    // All lanes as many points: the loop's length is a constant.
    bool even = isConstant && most % group == 0;
    auto loop = scf::ForOp::create(b, loc, even ? index(loc, 0) : lane, total,
                                   index(loc, group));
    point = loop.getInductionVar();
    b.setInsertionPoint(loop.getBody()->getTerminator());
    if (even)
      point = arith::AddIOp::create(b, loc, point, lane);
  }
  takePoint(forall, point);
  for (Operation &op : forall.getBody()->without_terminator())
    b.clone(op, map);
  return success();
}

/// A workgroup does it once.
void LaneBuilder::onlyFirstLane(Operation *op) {
  Location loc = op->getLoc();
  Value first = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, lane,
                                      index(loc, 0));
  auto branch = scf::IfOp::create(b, loc, first, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  b.clone(*op, map);
}

//===----------------------------------------------------------------------===//
// As a pass, for tests
//===----------------------------------------------------------------------===//

namespace {
struct DistributePass : PassWrapper<DistributePass, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(DistributePass)
  DistributePass() = default;
  DistributePass(const DistributePass &other) : PassWrapper(other) {}
  StringRef getArgument() const override { return "ist-distribute"; }
  StringRef getDescription() const override {
    return "deal the points and tiles of kernels in form(tiled) to lanes";
  }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry
        .insert<arith::ArithDialect, math::MathDialect, memref::MemRefDialect,
                scf::SCFDialect, vector::VectorDialect>();
  }
  void runOnOperation() override {
    TargetInfo info;
    info.subgroup = subgroup;
    std::string error;
    if (!target.empty() && !findTarget(target, info, error)) {
      getOperation()->emitError(error);
      return signalPassFailure();
    }
    SmallVector<FuncOp> kernels;
    getOperation()->walk([&](FuncOp k) { kernels.push_back(k); });
    for (FuncOp k : kernels)
      if (failed(kernel::distribute(k, info)))
        return signalPassFailure();
  }
  Option<unsigned> subgroup{*this, "subgroup",
                            llvm::cl::desc("lanes that run as one"),
                            llvm::cl::init(0)};
  Option<std::string> target{*this, "target",
                             llvm::cl::desc("whose facts to go by")};
};
} // namespace

std::unique_ptr<Pass> kernel::createDistributePass() {
  return std::make_unique<DistributePass>();
}

LogicalResult kernel::distribute(FuncOp kernel, const TargetInfo &info) {
  if (kernel.getForm() != Form::tiled || !kernel.getGroup())
    return kernel.emitError(
        "only form(tiled) with a group becomes form(lanes)");
  expandBoxCopies(kernel);
  return LaneBuilder(kernel, info).run();
}
