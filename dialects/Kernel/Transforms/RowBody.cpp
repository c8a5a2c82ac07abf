//===- RowBody.cpp - bodies on values that may be vectors -----------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/RowBody.h"
#include "dialects/Kernel/Transforms/VectorBody.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

Value kernel::splatTo(TileBuilder &tb, Value v, int64_t width) {
  if (!width || isa<VectorType>(v.getType()))
    return v;
  return vector::BroadcastOp::create(tb.b, tb.loc, vectorOf(v.getType(), width),
                                     v);
}

Value kernel::loadPlace(TileBuilder &tb, const RowPlace &place, ValueRange ivs,
                        int64_t width, Value mask) {
  SmallVector<Value> at = tb.apply(place.map, ivs);
  Value v = width && place.varies
                ? loadVector(tb, place.memref, at, width, mask)
                : tb.load(place.memref, at);
  if (!place.isBool)
    return v;
  Type i1 = tb.b.getI1Type();
  if (auto vector = dyn_cast<VectorType>(v.getType()))
    i1 = vector.clone(i1);
  return arith::TruncIOp::create(tb.b, tb.loc, i1, v);
}

void kernel::storePlace(TileBuilder &tb, Value v, const RowPlace &place,
                        ValueRange ivs, int64_t width, Value mask) {
  SmallVector<Value> at = tb.apply(place.map, ivs);
  if (!width || !place.varies) {
    tb.store(v, place.memref, at);
    return;
  }
  v = splatTo(tb, v, width);
  if (place.isBool)
    v = arith::ExtUIOp::create(tb.b, tb.loc, vectorOf(tb.b.getI8Type(), width),
                               v);
  storeVector(tb, v, place.memref, at, mask);
}

std::string kernel::checkBody(linalg::GenericOp op,
                              std::optional<unsigned> lane, IndexKinds &kinds) {
  DenseSet<Value> same; // for all lanes
  auto isSame = [&](Value v) {
    return same.contains(v) || !op.getRegion().isAncestor(v.getParentRegion());
  };
  auto isNumber = [](Type type) { return type.isIntOrFloat(); };
  if (!llvm::all_of(op.getBody()->getArgumentTypes(), isNumber))
    return "an element is no number";
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
      if (lane && index.getDim() == *lane)
        kinds[index] = IndexLanes::next;
      else
        same.insert(index);
      continue;
    }
    if (auto look = dyn_cast<tensor::ExtractOp>(inner)) {
      ValueRange at = look.getIndices();
      if (llvm::all_of(at, isSame))
        same.insert(look);
      else if (!llvm::all_of(at.drop_back(), isSame) ||
               !kinds.contains(at.back()))
        return "an element looked up is not contiguous along the vector";
      continue;
    }
    if ((!isa<arith::ConstantOp>(inner) &&
         !OpTrait::hasElementwiseMappableTraits(&inner)) ||
        inner.getNumRegions() || inner.getNumResults() != 1)
      return ("a body holds " + inner.getName().getStringRef()).str();
    Value result = inner.getResult(0);
    if (llvm::all_of(inner.getOperands(), isSame)) {
      same.insert(result);
      continue;
    }
    if (isNumber(result.getType()) &&
        llvm::all_of(inner.getOperandTypes(), isNumber))
      continue;
    // Dims that broadcast or not, which only the sizes tell.
    auto choice = dyn_cast<arith::SelectOp>(inner);
    auto isNext = [&](Value v) {
      auto it = kinds.find(v);
      return it != kinds.end() && it->second == IndexLanes::next;
    };
    if (!choice || !isSame(choice.getCondition()) ||
        !((isSame(choice.getTrueValue()) && isNext(choice.getFalseValue())) ||
          (isNext(choice.getTrueValue()) && isSame(choice.getFalseValue()))))
      return "a body computes with indices";
    kinds[choice] = IndexLanes::either;
  }
  return "";
}

/// The elements that `look` names, for all lanes.
static Value lookUp(TileBuilder &tb, tensor::ExtractOp look,
                    ArrayRef<Value> indices, const IndexKinds &kinds,
                    const BodyPlace &at, function_ref<Value(Value)> get) {
  OpBuilder &b = tb.b;
  RowPlace place{tb.memoryOf(look.getTensor()),
                 b.getMultiDimIdentityMap(indices.size())};
  place.isBool = look.getType().isInteger(1);
  auto it = look.getIndices().empty() ? kinds.end()
                                      : kinds.find(look.getIndices().back());
  if (it == kinds.end() || !at.width)
    return loadPlace(tb, place, indices, 0, Value());
  auto load = [&](Value last, bool varies) {
    SmallVector<Value> all(indices);
    all.back() = last;
    place.varies = varies;
    return splatTo(tb, loadPlace(tb, place, all, at.width, at.mask), at.width);
  };
  if (it->second == IndexLanes::next)
    return load(indices.back(), true);
  auto choice = look.getIndices().back().getDefiningOp<arith::SelectOp>();
  auto branch = scf::IfOp::create(
      b, tb.loc, cast<VectorType>(vectorOf(look.getType(), at.width)),
      get(choice.getCondition()), /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  for (bool taken : {true, false}) {
    Value index = taken ? choice.getTrueValue() : choice.getFalseValue();
    b.setInsertionPointToStart(taken ? branch.thenBlock() : branch.elseBlock());
    Value v = load(get(index), kinds.contains(index));
    scf::YieldOp::create(b, tb.loc, v);
  }
  return branch.getResult(0);
}

Value kernel::runBody(TileBuilder &tb, linalg::GenericOp op,
                      ArrayRef<Value> args, const BodyPlace &at) {
  IRMapping map;
  Block *body = op.getBody();
  IndexKinds kinds;
  (void)checkBody(op, at.lane, kinds);
  for (auto [arg, v] : llvm::zip_equal(body->getArguments(), args))
    if (v)
      map.map(arg, v);
  auto get = [&](Value v) -> Value {
    if (Value mapped = map.lookupOrNull(v))
      return mapped;
    return tb.scalar(v);
  };
  for (Operation &inner : body->without_terminator()) {
    if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
      map.map(index.getResult(), at.loops[index.getDim()]);
      continue;
    }
    SmallVector<Value> operands;
    if (auto look = dyn_cast<tensor::ExtractOp>(inner)) {
      for (Value v : look.getIndices())
        operands.push_back(get(v));
      map.map(look.getResult(), lookUp(tb, look, operands, kinds, at, get));
      continue;
    }
    for (Value v : inner.getOperands())
      operands.push_back(get(v));
    bool vectors = llvm::any_of(
        operands, [](Value v) { return isa<VectorType>(v.getType()); });
    Type type = inner.getResult(0).getType();
    if (vectors) {
      for (Value &v : operands)
        v = splatTo(tb, v, at.width);
      type = vectorOf(type, at.width);
    }
    OperationState state(tb.loc, inner.getName(), operands, {type},
                         inner.getAttrs());
    map.map(inner.getResult(0), tb.b.create(state)->getResult(0));
  }
  return get(body->getTerminator()->getOperand(0));
}

Value kernel::applyLike(TileBuilder &tb, Operation *like, Value x, Value y) {
  OperationState state(tb.loc, like->getName(), {x, y}, {x.getType()},
                       like->getAttrs());
  return tb.b.create(state)->getResult(0);
}
