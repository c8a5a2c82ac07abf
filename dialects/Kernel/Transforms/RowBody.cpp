//===- RowBody.cpp - bodies on values that may be vectors -----------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/RowBody.h"
#include "dialects/Kernel/Transforms/VectorBody.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
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

Value kernel::runBody(TileBuilder &tb, linalg::GenericOp op,
                      ArrayRef<Value> args, int64_t width) {
  IRMapping map;
  Block *body = op.getBody();
  for (auto [arg, v] : llvm::zip_equal(body->getArguments(), args))
    if (v)
      map.map(arg, v);
  auto get = [&](Value v) -> Value {
    if (Value mapped = map.lookupOrNull(v))
      return mapped;
    return tb.scalar(v);
  };
  for (Operation &inner : body->without_terminator()) {
    SmallVector<Value> operands;
    for (Value v : inner.getOperands())
      operands.push_back(get(v));
    bool vectors = llvm::any_of(
        operands, [](Value v) { return isa<VectorType>(v.getType()); });
    Type type = inner.getResult(0).getType();
    if (vectors) {
      for (Value &v : operands)
        v = splatTo(tb, v, width);
      type = vectorOf(type, width);
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
