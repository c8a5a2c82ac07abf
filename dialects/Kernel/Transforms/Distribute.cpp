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
// lanes hold neighbouring points of the last dim.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Distribute.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

namespace {

class Distributor {
public:
  explicit Distributor(FuncOp kernel)
      : kernel(kernel), b(kernel), group(*kernel.getGroup()) {}

  LogicalResult run() {
    b.setInsertionPointToStart(&kernel.getBody().front());
    lane = LaneIdOp::create(b, kernel.getLoc(), b.getIndexType());
    if (failed(block(kernel.getBody().front())))
      return failure();
    privatize();
    kernel.setForm(Form::lanes);
    return success();
  }

private:
  LogicalResult block(Block &block);
  void deal(scf::ForallOp forall);
  void onlyFirstLane(Operation *op);
  void privatize();
  Value index(Location loc, int64_t v) {
    return arith::ConstantIndexOp::create(b, loc, v);
  }

  FuncOp kernel;
  OpBuilder b;
  int64_t group;
  Value lane;
};

} // namespace

static bool touchesWorkgroupMemory(Operation *op) {
  return op
      ->walk([](Operation *inner) {
        for (Value v : inner->getOperands())
          if (auto type = dyn_cast<MemRefType>(v.getType()))
            if (type.getMemorySpaceAsInt() == kWorkgroupSpace)
              return WalkResult::interrupt();
        return WalkResult::advance();
      })
      .wasInterrupted();
}

/// The uniform ops of a workgroup's program, in `block`.
LogicalResult Distributor::block(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(block)) {
    if (isa<scf::ForOp, scf::IfOp>(op)) {
      for (Region &region : op.getRegions())
        for (Block &inner : region)
          if (failed(this->block(inner)))
            return failure();
      continue;
    }
    bool shared = touchesWorkgroupMemory(&op);
    bool effect = isa<memref::StoreOp, FailIfOp>(op);
    Operation *after = op.getNextNode();
    if (auto forall = dyn_cast<scf::ForallOp>(op)) {
      if (forall.getNumResults() || !forall.isNormalized())
        return op.emitError("only loops from 0 by 1 without results are dealt "
                            "to lanes");
      deal(forall);
    } else if (effect) {
      onlyFirstLane(&op);
    } else if (isa<memref::AllocaOp>(op)) {
      return op.emitError("memory of a workgroup is kernel.alloc");
    } else if (op.getNumRegions() ||
               isa<MmaOp, RelayoutOp, RingOp, RingAcquireOp, RingWaitOp,
                   RingCommitOp, RingReleaseOp, AsyncCopyOp, RolesOp>(op)) {
      return op.emitError("has no lowering to form(lanes) yet");
    }
    // What other lanes wrote there must have arrived, what they still read must
    // not be overwritten.
    if (shared && !isMemoryEffectFree(&op)) {
      b.setInsertionPoint(after);
      BarrierOp::create(b, after->getLoc());
    }
  }
  return success();
}

/// Each lane runs the points lane, lane + group, ... of the loop's space.
void Distributor::deal(scf::ForallOp forall) {
  Location loc = forall.getLoc();
  b.setInsertionPoint(forall);
  SmallVector<OpFoldResult> sizes = forall.getMixedUpperBound();
  auto value = [&](OpFoldResult v) -> Value {
    if (auto attr = dyn_cast<Attribute>(v))
      return index(loc, cast<IntegerAttr>(attr).getInt());
    return cast<Value>(v);
  };
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
    total =
        total ? arith::MulIOp::create(b, loc, total, value(size)) : value(size);
  }
  if (!total)
    total = index(loc, 1);

  Value point = lane;
  Block *body;
  if (most >= 0 && most <= group) {
    Value mine =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, lane, total);
    auto branch = scf::IfOp::create(b, loc, mine, /*withElseRegion=*/false);
    body = branch.thenBlock();
  } else {
    auto loop = scf::ForOp::create(b, loc, lane, total, index(loc, group));
    point = loop.getInductionVar();
    body = loop.getBody();
  }
  b.setInsertionPoint(body->getTerminator());
  SmallVector<Value> ivs(sizes.size());
  Value rest = point;
  for (int64_t i = int64_t(sizes.size()) - 1; i >= 0; --i) {
    bool last = llvm::all_of(ArrayRef(sizes).take_front(i), isOneInteger);
    if (isOneInteger(sizes[i])) {
      ivs[i] = index(loc, 0);
    } else if (last) {
      ivs[i] = rest;
      rest = index(loc, 0);
    } else {
      Value size = value(sizes[i]);
      ivs[i] = arith::RemUIOp::create(b, loc, rest, size);
      rest = arith::DivUIOp::create(b, loc, rest, size);
    }
  }
  for (auto [from, to] : llvm::zip_equal(forall.getInductionVars(), ivs))
    from.replaceAllUsesWith(to);
  forall.getTerminator().erase();
  body->getOperations().splice(body->getTerminator()->getIterator(),
                               forall.getBody()->getOperations());
  forall.erase();
}

/// A workgroup does it once.
void Distributor::onlyFirstLane(Operation *op) {
  Location loc = op->getLoc();
  b.setInsertionPoint(op);
  Value first = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, lane,
                                      index(loc, 0));
  auto branch = scf::IfOp::create(b, loc, first, /*withElseRegion=*/false);
  op->moveBefore(branch.thenBlock()->getTerminator());
}

/// Memory that a point makes for itself is its lane's own.
void Distributor::privatize() {
  kernel.walk([&](memref::AllocaOp op) {
    MemRefType type = op.getType();
    op.getResult().setType(
        MemRefType::get(type.getShape(), type.getElementType(),
                        type.getLayout(), b.getI64IntegerAttr(kPrivateSpace)));
  });
}

namespace {
struct DistributePass : PassWrapper<DistributePass, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(DistributePass)
  StringRef getArgument() const override { return "ist-distribute"; }
  StringRef getDescription() const override {
    return "deal the points of kernels in form(tiled) to lanes";
  }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<arith::ArithDialect, scf::SCFDialect>();
  }
  void runOnOperation() override {
    SmallVector<FuncOp> kernels;
    getOperation()->walk([&](FuncOp k) { kernels.push_back(k); });
    for (FuncOp k : kernels)
      if (failed(kernel::distribute(k)))
        return signalPassFailure();
  }
};
} // namespace

std::unique_ptr<Pass> kernel::createDistributePass() {
  return std::make_unique<DistributePass>();
}

LogicalResult kernel::distribute(FuncOp kernel) {
  if (kernel.getForm() != Form::tiled || !kernel.getGroup())
    return kernel.emitError(
        "only form(tiled) with a group becomes form(lanes)");
  return Distributor(kernel).run();
}
