//===- Body.cpp - scalars inside bodies ----------------------------- ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Emit.h"

#include "dialects/Kernel/Kernel.h"

using namespace mlir;
using namespace isthmus;

Value BodyMath::index(int64_t v) {
  return arith::ConstantIndexOp::create(b, loc, v);
}

Value BodyMath::constant(Type type, double v) {
  if (isa<FloatType>(type))
    return arith::ConstantOp::create(b, loc, b.getFloatAttr(type, v));
  return integer(type, int64_t(v));
}

Value BodyMath::integer(Type type, int64_t v) {
  unsigned width = type.getIntOrFloatBitWidth();
  return arith::ConstantOp::create(
      b, loc, b.getIntegerAttr(type, APInt(64, uint64_t(v)).trunc(width)));
}

Value BodyMath::add(Value l, Value r) {
  return arith::AddIOp::create(b, loc, l, r);
}
Value BodyMath::sub(Value l, Value r) {
  return arith::SubIOp::create(b, loc, l, r);
}
Value BodyMath::mul(Value l, Value r) {
  return arith::MulIOp::create(b, loc, l, r);
}
Value BodyMath::div(Value l, Value r) {
  return arith::DivSIOp::create(b, loc, l, r);
}
Value BodyMath::rem(Value l, Value r) {
  return arith::RemSIOp::create(b, loc, l, r);
}
Value BodyMath::min(Value l, Value r) {
  return arith::MinSIOp::create(b, loc, l, r);
}
Value BodyMath::max(Value l, Value r) {
  return arith::MaxSIOp::create(b, loc, l, r);
}
Value BodyMath::cmp(arith::CmpIPredicate p, Value l, Value r) {
  return arith::CmpIOp::create(b, loc, p, l, r);
}
Value BodyMath::lt(Value l, Value r) {
  return cmp(arith::CmpIPredicate::slt, l, r);
}
Value BodyMath::ge(Value l, Value r) {
  return cmp(arith::CmpIPredicate::sge, l, r);
}
Value BodyMath::eq(Value l, Value r) {
  return cmp(arith::CmpIPredicate::eq, l, r);
}
Value BodyMath::andi(Value l, Value r) {
  return arith::AndIOp::create(b, loc, l, r);
}
Value BodyMath::ori(Value l, Value r) {
  return arith::OrIOp::create(b, loc, l, r);
}
Value BodyMath::select(Value c, Value l, Value r) {
  return arith::SelectOp::create(b, loc, c, l, r);
}
Value BodyMath::toIndex(Value v) {
  if (v.getType().isIndex())
    return v;
  return arith::IndexCastOp::create(b, loc, b.getIndexType(), v);
}

//===----------------------------------------------------------------------===//
// Casts
//===----------------------------------------------------------------------===//

static Value floatToFloat(BodyMath &m, Value v, Type to) {
  unsigned from = v.getType().getIntOrFloatBitWidth();
  unsigned want = to.getIntOrFloatBitWidth();
  if (from == want) // f16 and bf16
    v = arith::ExtFOp::create(m.b, m.loc, m.b.getF32Type(), v), from = 32;
  if (from < want)
    return arith::ExtFOp::create(m.b, m.loc, to, v);
  return arith::TruncFOp::create(m.b, m.loc, to, v);
}

/// Converts with the ends of the range for what lies outside, and 0 for NaN.
/// Types below 32 bits wrap from i32, as other runtimes do.
static Value floatToInt(BodyMath &m, Value v, DType to) {
  OpBuilder &b = m.b;
  Location loc = m.loc;
  if (v.getType().getIntOrFloatBitWidth() < 32)
    v = floatToFloat(m, v, b.getF32Type());
  Type f = v.getType();
  using P = arith::CmpFPredicate;
  auto cmp = [&](P p, Value l, Value r) -> Value {
    return arith::CmpFOp::create(b, loc, p, l, r);
  };
  unsigned want = elementType(b.getContext(), to).getIntOrFloatBitWidth();
  bool wide = want == 64 || to == DType::u32;
  Type type = b.getIntegerType(wide ? 64 : 32);
  double bound = wide ? 9223372036854775808.0 : 2147483648.0;
  Value hi = m.constant(f, bound), lo = m.constant(f, -bound);
  Value above = cmp(P::OGE, v, hi), below = cmp(P::OLT, v, lo);
  Value odd = m.ori(m.ori(above, below), cmp(P::UNO, v, v));
  Value safe = m.select(odd, m.constant(f, 0), v);
  Value r = arith::FPToSIOp::create(b, loc, type, safe);
  int64_t max = wide ? std::numeric_limits<int64_t>::max() : 2147483647;
  r = m.select(below, m.integer(type, -max - 1), r);
  if (to == DType::u64) {
    Value top = m.constant(f, 2 * bound);
    Value fits = m.andi(above, cmp(P::OLT, v, top));
    Value big = m.select(fits, v, m.constant(f, 0));
    Value u = arith::FPToUIOp::create(b, loc, type, big);
    r = m.select(above, m.select(fits, u, m.integer(type, -1)), r);
  } else {
    r = m.select(above, m.integer(type, max), r);
  }
  if (want < type.getIntOrFloatBitWidth())
    r = arith::TruncIOp::create(b, loc, b.getIntegerType(want), r);
  return r;
}

Value BodyMath::cast(Value v, DType from, DType to) {
  if (from == to)
    return v;
  Type type = elementType(b.getContext(), to);
  if (to == DType::i1) {
    Value zero = constant(v.getType(), 0);
    if (isFloat(from))
      return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, v, zero);
    return cmp(arith::CmpIPredicate::ne, v, zero);
  }
  if (isFloat(from))
    return isFloat(to) ? floatToFloat(*this, v, type)
                       : floatToInt(*this, v, to);
  if (isFloat(to)) {
    if (isUnsigned(from))
      return arith::UIToFPOp::create(b, loc, type, v);
    return arith::SIToFPOp::create(b, loc, type, v);
  }
  unsigned have = v.getType().getIntOrFloatBitWidth();
  unsigned want = type.getIntOrFloatBitWidth();
  if (have == want)
    return v;
  if (have > want)
    return arith::TruncIOp::create(b, loc, type, v);
  if (isUnsigned(from))
    return arith::ExtUIOp::create(b, loc, type, v);
  return arith::ExtSIOp::create(b, loc, type, v);
}

//===----------------------------------------------------------------------===//
// Bodies of graph.parallel
//===----------------------------------------------------------------------===//

Value ParallelBody::load(int in, ArrayRef<Value> at) {
  return memref::LoadOp::create(b, loc, ins[in], at);
}

void ParallelBody::store(Value v, ArrayRef<Value> at, int out) {
  memref::StoreOp::create(b, loc, v, outs[out], at);
}

Value ParallelBody::reload(ArrayRef<Value> at, int out) {
  return memref::LoadOp::create(b, loc, outs[out], at);
}

void ParallelBody::failIf(Value condition, StringRef message) {
  kernel::FailIfOp::create(b, loc, condition, b.getStringAttr(message));
}

std::pair<Value, Value> ParallelBody::position(Value integer, Value size,
                                               StringRef message) {
  Value i = toIndex(integer);
  i = select(lt(i, index(0)), add(i, size), i);
  // One unsigned comparison holds both ends.
  Value bad = cmp(arith::CmpIPredicate::uge, i, size);
  failIf(bad, message);
  return {i, cmp(arith::CmpIPredicate::ult, i, size)};
}

SmallVector<Value>
ParallelBody::loop(Value count, ArrayRef<Value> init,
                   function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto op = scf::ForOp::create(
      b, loc, index(0), count, index(1), init,
      [&](OpBuilder &nested, Location, Value iv, ValueRange values) {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPoint(nested.getInsertionBlock(),
                            nested.getInsertionPoint());
        SmallVector<Value> next = body(iv, values);
        scf::YieldOp::create(b, loc, next);
      });
  return SmallVector<Value>(op.getResults());
}

Value ParallelBody::ifElse(Value condition, function_ref<Value()> then,
                           function_ref<Value()> otherwise) {
  auto branch = [&](function_ref<Value()> f) {
    return [&, f](OpBuilder &nested, Location) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPoint(nested.getInsertionBlock(),
                          nested.getInsertionPoint());
      scf::YieldOp::create(b, loc, f());
    };
  };
  auto op =
      scf::IfOp::create(b, loc, condition, branch(then), branch(otherwise));
  return op.getResult(0);
}

void ParallelBody::when(Value condition, function_ref<void()> then) {
  scf::IfOp::create(b, loc, condition, [&](OpBuilder &nested, Location) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(nested.getInsertionBlock(), nested.getInsertionPoint());
    then();
    scf::YieldOp::create(b, loc);
  });
}

void ParallelBody::repeat(Value count, function_ref<void(Value)> body) {
  loop(count, {}, [&](Value iv, ValueRange) -> SmallVector<Value> {
    body(iv);
    return {};
  });
}

void ParallelBody::forEach(ArrayRef<Value> sizes,
                           function_ref<void(ArrayRef<Value>)> body) {
  SmallVector<Value> at;
  std::function<void()> nest = [&] {
    if (at.size() == sizes.size())
      return body(at);
    repeat(sizes[at.size()], [&](Value iv) {
      at.push_back(iv);
      nest();
      at.pop_back();
    });
  };
  nest();
}
