//===- VectorsPlan.cpp - irregular loops, a vector of points at once ------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A graph.parallel whose points along the last dim do the same on neighbouring
// elements: that dim is only the last index of loads and stores, branches and
// loops do not depend on it. Pools, padding and concatenation of blocked
// channels are of this kind. One iteration then runs on vectors.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Plans.h"
#include "dialects/Kernel/Transforms/VectorBody.h"

#include "dialects/Graph/Graph.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

namespace {
/// Which values of a body differ between the points of a vector.
class Varying {
public:
  explicit Varying(graph::ParallelOp op)
      : block(op.getBody().front()),
        lane(block.getArgument(op.getSpace().size() - 1)) {}

  /// "" or why the body cannot run on vectors.
  std::string find() {
    // Loops carry values round: until nothing is added.
    size_t before;
    do {
      before = values.size();
      why.clear();
      visit(block);
    } while (why.empty() && values.size() > before);
    return why;
  }
  bool contains(Value v) const { return values.contains(v); }
  bool isLane(Value v) const { return v == lane; }

private:
  void decline(Operation &op) {
    if (why.empty())
      why = ("the body holds " + op.getName().getStringRef()).str();
  }
  bool any(ValueRange range) const {
    return llvm::any_of(range, [&](Value v) { return contains(v); });
  }
  /// Whether an access is along the vector; declines what is neither that nor
  /// the same for all points.
  bool along(Operation &op, MemRefType type, ValueRange indices) {
    if (any(indices) || llvm::is_contained(indices.drop_back(), lane)) {
      decline(op);
      return false;
    }
    if (indices.back() != lane)
      return false;
    if (!(isSummedInF32(type.getElementType()) ||
          type.getElementType().isInteger(8)) ||
        !type.getLayout().isIdentity())
      decline(op);
    return true;
  }
  void visit(Block &inner);
  void visit(Operation &op);

  Block &block;
  Value lane;
  DenseSet<Value> values;
  std::string why;
};
} // namespace

void Varying::visit(Block &inner) {
  for (Operation &op : inner)
    visit(op);
}

void Varying::visit(Operation &op) {
  if (auto load = dyn_cast<memref::LoadOp>(op)) {
    if (load.getIndices().empty())
      return;
    if (along(op, load.getMemRefType(), load.getIndices()))
      values.insert(load.getResult());
    return;
  }
  if (auto store = dyn_cast<memref::StoreOp>(op)) {
    if (store.getIndices().empty() ||
        !along(op, store.getMemRefType(), store.getIndices()))
      decline(op); // every point of the vector would write one element
    return;
  }
  if (llvm::is_contained(op.getOperands(), lane))
    return decline(op);
  if (auto loop = dyn_cast<scf::ForOp>(op)) {
    if (contains(loop.getLowerBound()) || contains(loop.getUpperBound()) ||
        contains(loop.getStep()))
      return decline(op);
    visit(*loop.getBody());
    for (auto [init, arg, yielded, result] :
         llvm::zip_equal(loop.getInitArgs(), loop.getRegionIterArgs(),
                         loop.getYieldedValues(), loop.getResults()))
      if (contains(init) || contains(yielded)) {
        values.insert(arg);
        values.insert(result);
      }
    return;
  }
  if (auto branch = dyn_cast<scf::IfOp>(op)) {
    if (contains(branch.getCondition()))
      return decline(op);
    for (Region *region : {&branch.getThenRegion(), &branch.getElseRegion()}) {
      if (region->empty())
        continue;
      visit(region->front());
      for (auto [result, yielded] :
           llvm::zip(branch.getResults(),
                     region->front().getTerminator()->getOperands()))
        if (contains(yielded))
          values.insert(result);
    }
    return;
  }
  if (isa<scf::YieldOp, graph::YieldOp>(op))
    return;
  if (op.getNumRegions() || op.getNumResults() != 1 ||
      !(OpTrait::hasElementwiseMappableTraits(&op) ||
        isa<arith::ConstantOp>(op)))
    return decline(op);
  if (any(op.getOperands()))
    values.insert(op.getResult(0));
}

namespace {
/// Clones a body with vectors for the values that vary.
class Widen {
public:
  /// Under `mask` (may be null), accesses touch only its lanes.
  Widen(TileBuilder &tb, const Varying &varying, int64_t width, Value mask)
      : tb(tb), b(tb.b), varying(varying), width(width), mask(mask) {}

  IRMapping map;
  void block(Block &from) {
    for (Operation &op : from.without_terminator())
      operation(op);
  }

private:
  Value wide(Value v) {
    Value mapped = map.lookup(v);
    return isa<VectorType>(mapped.getType())
               ? mapped
               : Value(vector::BroadcastOp::create(
                     b, tb.loc, vectorOf(mapped.getType(), width), mapped));
  }
  Value as(Value v, Value like) {
    return varying.contains(like) ? wide(v) : map.lookup(v);
  }
  SmallVector<Value> mapped(ValueRange range) {
    SmallVector<Value> values;
    for (Value v : range)
      values.push_back(map.lookup(v));
    return values;
  }
  void operation(Operation &op);
  void loop(scf::ForOp op);
  void branch(scf::IfOp op);

  TileBuilder &tb;
  OpBuilder &b;
  const Varying &varying;
  int64_t width;
  Value mask;
};
} // namespace

void Widen::loop(scf::ForOp op) {
  SmallVector<Value> init;
  for (auto [v, arg] :
       llvm::zip_equal(op.getInitArgs(), op.getRegionIterArgs()))
    init.push_back(as(v, arg));
  auto result = scf::ForOp::create(b, tb.loc, map.lookup(op.getLowerBound()),
                                   map.lookup(op.getUpperBound()),
                                   map.lookup(op.getStep()), init);
  map.map(op.getInductionVar(), result.getInductionVar());
  map.map(op.getRegionIterArgs(), result.getRegionIterArgs());
  map.map(op.getResults(), result.getResults());
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(result.getBody());
  block(*op.getBody());
  SmallVector<Value> yielded;
  for (auto [v, arg] :
       llvm::zip_equal(op.getYieldedValues(), op.getRegionIterArgs()))
    yielded.push_back(as(v, arg));
  if (!yielded.empty())
    scf::YieldOp::create(b, tb.loc, yielded);
}

void Widen::branch(scf::IfOp op) {
  SmallVector<Type> types;
  for (Value v : op.getResults())
    types.push_back(varying.contains(v) ? Type(vectorOf(v.getType(), width))
                                        : v.getType());
  auto result =
      scf::IfOp::create(b, tb.loc, types, map.lookup(op.getCondition()),
                        !op.getElseRegion().empty());
  map.map(op.getResults(), result.getResults());
  for (auto [from, to] :
       {std::pair{&op.getThenRegion(), &result.getThenRegion()},
        std::pair{&op.getElseRegion(), &result.getElseRegion()}}) {
    if (from->empty())
      continue;
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&to->front());
    block(from->front());
    SmallVector<Value> yielded;
    for (auto [v, r] : llvm::zip(from->front().getTerminator()->getOperands(),
                                 op.getResults()))
      yielded.push_back(as(v, r));
    if (!types.empty())
      scf::YieldOp::create(b, tb.loc, yielded);
  }
}

void Widen::operation(Operation &op) {
  if (auto l = dyn_cast<scf::ForOp>(op))
    return loop(l);
  if (auto i = dyn_cast<scf::IfOp>(op))
    return branch(i);
  if (auto load = dyn_cast<memref::LoadOp>(op)) {
    Value memref = map.lookup(load.getMemref());
    SmallVector<Value> at = mapped(load.getIndices());
    map.map(load.getResult(), varying.contains(load.getResult())
                                  ? loadVector(tb, memref, at, width, mask)
                                  : tb.load(memref, at));
    return;
  }
  if (auto store = dyn_cast<memref::StoreOp>(op))
    return storeVector(tb, wide(store.getValueToStore()),
                       map.lookup(store.getMemref()),
                       mapped(store.getIndices()), mask);
  if (!varying.contains(op.getResult(0))) {
    b.clone(op, map);
    return;
  }
  SmallVector<Value> operands;
  // A branch that all points take together may pick between vectors.
  bool picks = isa<arith::SelectOp>(op) && !varying.contains(op.getOperand(0));
  for (Value v : op.getOperands())
    operands.push_back(picks && operands.empty() ? map.lookup(v) : wide(v));
  OperationState state(tb.loc, op.getName(), operands,
                       {vectorOf(op.getResult(0).getType(), width)},
                       op.getAttrs());
  map.map(op.getResult(0), b.create(state)->getResult(0));
}

std::string kernel::planVectors(FuncOp kernel, const TargetInfo &info) {
  Operation *anchor = nullptr;
  Epilogue epilogue;
  std::string why = findAnchor(kernel, anchor, epilogue);
  if (!why.empty())
    return why;
  auto op = dyn_cast<graph::ParallelOp>(anchor);
  if (!op || epilogue.op)
    return "not an irregular operation alone";
  if (op.getSpace().empty())
    return "has no dims";
  auto last = getConstantIntValue(op.getSpace().back());
  if (last && *last < 4)
    return "its last dim is short";
  for (Value v : op->getOperands())
    if (getElementTypeOrSelf(v.getType()).isInteger(1))
      return "an input is of bools";
  Varying varying(op);
  why = varying.find();
  if (!why.empty())
    return why;
  TileBuilder tb(kernel);
  OpBuilder &b = tb.b;
  SmallVector<OpFoldResult> space;
  for (Value v : op.getSpace()) {
    v = tb.scalar(v);
    if (auto c = getConstantIntValue(v))
      space.push_back(b.getIndexAttr(*c));
    else
      space.push_back(v);
  }
  OpFoldResult row = space.back();
  auto length = getConstantIntValue(row);
  int64_t width = std::max<int64_t>(info.vectorBytes / 4, 4);
  while (length && width > 4 && *length < width)
    width /= 2;
  bool exact = length && *length % width == 0;
  space.back() = tb.ceilDiv(row, width);
  Block &block = op.getBody().front();
  unsigned nested = 0;
  block.walk([&](scf::ForOp) { ++nested; });
  tb.forEachPoint(space, nested ? 64 : 1024, [&](ValueRange ivs) {
    Value begin = exact && *length == width
                      ? tb.index(0)
                      : Value(arith::MulIOp::create(b, tb.loc, ivs.back(),
                                                    tb.index(width)));
    auto emit = [&](Value mask) {
      Widen widen(tb, varying, width, mask);
      unsigned next = 0;
      for (Value iv : ivs.drop_back())
        widen.map.map(block.getArgument(next++), iv);
      widen.map.map(block.getArgument(next++), begin);
      for (Value v : op.getInputs())
        widen.map.map(block.getArgument(next++), tb.memoryOf(v));
      for (Value v : op.getScalars())
        widen.map.map(block.getArgument(next++), tb.scalar(v));
      for (Value v : op.getResults())
        widen.map.map(block.getArgument(next++), tb.memoryOf(v));
      widen.block(block);
    };
    if (exact)
      return emit(Value());
    Value left = arith::SubIOp::create(b, tb.loc, tb.toValue(row), begin);
    Value full = arith::CmpIOp::create(b, tb.loc, arith::CmpIPredicate::uge,
                                       left, tb.index(width));
    auto branch = scf::IfOp::create(b, tb.loc, full, true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&branch.getThenRegion().front());
    emit(Value());
    b.setInsertionPointToStart(&branch.getElseRegion().front());
    emit(vector::CreateMaskOp::create(b, tb.loc, vectorOf(b.getI1Type(), width),
                                      left));
  });
  tb.finish("vectors");
  return "";
}
