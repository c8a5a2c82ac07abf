//===- IndexMath.cpp - size arithmetic --------------------------- ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/IndexMath.h"

#include "dialects/Graph/Graph.h"

#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/Utils/InferIntRangeCommon.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace isthmus;

/// Two's complement, without the undefined overflow of int64_t.
static int64_t wrap(uint64_t value) { return int64_t(value); }

OpFoldResult IndexMath::fold(Value v) {
  if (auto c = getConstantIntValue(v))
    return constant(*c);
  return v;
}

Value IndexMath::value(OpFoldResult v) {
  if (auto value = dyn_cast<Value>(v))
    return value;
  int64_t c = *known(v);
  // Constants dominate everything: they stand at the start of the function (of
  // the body, in graph.parallel).
  Block *block = b.getInsertionBlock();
  while (block->getParentOp() &&
         !block->getParentOp()->hasTrait<OpTrait::IsIsolatedFromAbove>())
    block = block->getParentOp()->getBlock();
  Value &slot = constants[{block, c}];
  if (!slot) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(block);
    slot = arith::ConstantIndexOp::create(b, b.getUnknownLoc(), c);
  }
  return slot;
}

SmallVector<Value> IndexMath::values(ArrayRef<OpFoldResult> list) {
  SmallVector<Value> out;
  for (OpFoldResult v : list)
    out.push_back(value(v));
  return out;
}

template <typename Op>
OpFoldResult IndexMath::binary(OpFoldResult l, OpFoldResult r) {
  Value lv = value(l), rv = value(r);
  auto keyIn = [&](Block *block) {
    return Key{block,
               const_cast<void *>(TypeID::get<Op>().getAsOpaquePointer()),
               lv.getAsOpaquePointer(), rv.getAsOpaquePointer()};
  };
  // What was computed before a loop or branch is seen inside.
  for (Block *block = b.getInsertionBlock();;) {
    auto it = memo.find(keyIn(block));
    if (it != memo.end())
      return it->second;
    Operation *parent = block->getParentOp();
    if (!parent || parent->hasTrait<OpTrait::IsIsolatedFromAbove>() ||
        !parent->getBlock())
      break;
    block = parent->getBlock();
  }
  return memo[keyIn(b.getInsertionBlock())] = Op::create(b, loc, lv, rv);
}

OpFoldResult IndexMath::add(OpFoldResult l, OpFoldResult r) {
  auto cl = known(l), cr = known(r);
  if (cl && cr)
    return constant(wrap(uint64_t(*cl) + uint64_t(*cr)));
  if (cl == 0)
    return r;
  if (cr == 0)
    return l;
  return binary<arith::AddIOp>(l, r);
}

OpFoldResult IndexMath::sub(OpFoldResult l, OpFoldResult r) {
  auto cl = known(l), cr = known(r);
  if (cl && cr)
    return constant(wrap(uint64_t(*cl) - uint64_t(*cr)));
  if (cr == 0)
    return l;
  if (l == r)
    return constant(0);
  // (x + y) - y, such as the number of positions of a Range behind a past.
  if (auto sum = value(l).getDefiningOp<arith::AddIOp>()) {
    if (sum.getRhs() == value(r))
      return fold(sum.getLhs());
    if (sum.getLhs() == value(r))
      return fold(sum.getRhs());
  }
  return binary<arith::SubIOp>(l, r);
}

OpFoldResult IndexMath::mul(OpFoldResult l, OpFoldResult r) {
  auto cl = known(l), cr = known(r);
  if (cl && cr)
    return constant(wrap(uint64_t(*cl) * uint64_t(*cr)));
  if (cl == 1 || cr == 0)
    return r;
  if (cr == 1 || cl == 0)
    return l;
  return binary<arith::MulIOp>(l, r);
}

static bool divides(int64_t l, int64_t r) {
  return r != 0 && !(r == -1 && l == std::numeric_limits<int64_t>::min());
}

OpFoldResult IndexMath::div(OpFoldResult l, OpFoldResult r) {
  auto cl = known(l), cr = known(r);
  if (cr == 0)
    return constant(0);
  if (cl && cr)
    return divides(*cl, *cr) ? constant(*cl / *cr) : l;
  if (cr == 1)
    return l;
  if (!cr)
    r = select(r, r, constant(1));
  return binary<arith::DivSIOp>(l, r);
}

OpFoldResult IndexMath::floorDiv(OpFoldResult l, OpFoldResult r) {
  auto cl = known(l), cr = known(r);
  if (cr == 0)
    return constant(0);
  if (cl && cr)
    return divides(*cl, *cr) ? constant(llvm::divideFloorSigned(*cl, *cr)) : l;
  if (cr == 1)
    return l;
  if (!cr)
    r = select(r, r, constant(1));
  return binary<arith::FloorDivSIOp>(l, r);
}

OpFoldResult IndexMath::ceilDiv(OpFoldResult l, OpFoldResult r) {
  auto cl = known(l), cr = known(r);
  if (cr == 0)
    return constant(0);
  if (cl && cr)
    return divides(*cl, *cr) ? constant(llvm::divideCeilSigned(*cl, *cr)) : l;
  if (cr == 1)
    return l;
  if (!cr)
    r = select(r, r, constant(1));
  return binary<arith::CeilDivSIOp>(l, r);
}

OpFoldResult IndexMath::rem(OpFoldResult l, OpFoldResult r) {
  auto cl = known(l), cr = known(r);
  if (cr == 0 || cr == 1)
    return constant(0);
  if (cl && cr)
    return constant(divides(*cl, *cr) ? *cl % *cr : 0);
  return sub(l, mul(div(l, r), r));
}

OpFoldResult IndexMath::mod(OpFoldResult l, OpFoldResult r) {
  if (known(r) == 0)
    return constant(0);
  return sub(l, mul(floorDiv(l, r), r));
}

ConstantIntRanges IndexMath::range(OpFoldResult v, unsigned depth) {
  constexpr unsigned kWidth = IndexType::kInternalStorageBitWidth;
  constexpr unsigned kMaxDepth = 32; // a model may have very long chains
  if (auto c = known(v))
    return ConstantIntRanges::constant(APInt(kWidth, *c, true));
  Value value = cast<Value>(v);
  if (auto it = ranges.find(value); it != ranges.end())
    return it->second;
  unsigned width = ConstantIntRanges::getStorageBitwidth(value.getType());
  ConstantIntRanges result = ConstantIntRanges::maxRange(width);
  auto arg = dyn_cast<BlockArgument>(value);
  if (auto func =
          arg ? dyn_cast<FunctionOpInterface>(arg.getOwner()->getParentOp())
              : FunctionOpInterface()) {
    auto bound = [&](StringRef name, const APInt &otherwise) {
      auto attr = func.getArgAttrOfType<IntegerAttr>(arg.getArgNumber(), name);
      return attr ? attr.getValue() : otherwise;
    };
    if (width == kWidth)
      result =
          ConstantIntRanges::fromSigned(bound(graph::kMinAttr, result.smin()),
                                        bound(graph::kMaxAttr, result.smax()));
  } else if (auto op = value.getDefiningOp<InferIntRangeInterface>()) {
    SmallVector<ConstantIntRanges> operands;
    for (Value operand : op->getOperands()) {
      if (!operand.getType().isIntOrIndex() || depth == kMaxDepth)
        return result;
      operands.push_back(range(operand, depth + 1));
    }
    op.inferResultRanges(operands,
                         [&](Value of, const ConstantIntRanges &inferred) {
                           if (of == value)
                             result = inferred;
                         });
  }
  ranges.try_emplace(value, result);
  return result;
}

OpFoldResult IndexMath::min(OpFoldResult l, OpFoldResult r) {
  auto cl = known(l), cr = known(r);
  if (cl && cr)
    return constant(std::min(*cl, *cr));
  if (l == r || upperBound(l) <= lowerBound(r))
    return l;
  if (upperBound(r) <= lowerBound(l))
    return r;
  return binary<arith::MinSIOp>(l, r);
}

OpFoldResult IndexMath::max(OpFoldResult l, OpFoldResult r) {
  auto cl = known(l), cr = known(r);
  if (cl && cr)
    return constant(std::max(*cl, *cr));
  if (l == r || lowerBound(l) >= upperBound(r))
    return l;
  if (lowerBound(r) >= upperBound(l))
    return r;
  return binary<arith::MaxSIOp>(l, r);
}

OpFoldResult IndexMath::cmp(arith::CmpIPredicate p, OpFoldResult l,
                            OpFoldResult r) {
  using P = arith::CmpIPredicate;
  auto cl = known(l), cr = known(r);
  if (cl && cr)
    return constant(arith::applyCmpPredicate(p, llvm::APInt(64, *cl, true),
                                             llvm::APInt(64, *cr, true)));
  if (l == r)
    return constant(p == P::eq || p == P::sle || p == P::sge);
  if (auto known =
          intrange::evaluatePred(intrange::CmpPredicate(p), range(l), range(r)))
    return constant(*known);
  Value i1 = arith::CmpIOp::create(b, loc, p, value(l), value(r));
  return Value(arith::IndexCastUIOp::create(b, loc, b.getIndexType(), i1));
}

Value IndexMath::condition(OpFoldResult v) {
  if (auto value = dyn_cast<Value>(v))
    if (auto cast = value.getDefiningOp<arith::IndexCastUIOp>())
      if (cast.getIn().getType().isInteger(1))
        return cast.getIn();
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, value(v),
                               value(constant(0)));
}

OpFoldResult IndexMath::select(OpFoldResult c, OpFoldResult l, OpFoldResult r) {
  if (auto k = known(c))
    return *k ? l : r;
  if (same(l, r))
    return l;
  return Value(
      arith::SelectOp::create(b, loc, condition(c), value(l), value(r)));
}

OpFoldResult IndexMath::product(ArrayRef<OpFoldResult> values) {
  OpFoldResult result = constant(1);
  for (OpFoldResult v : values)
    result = mul(result, v);
  return result;
}
