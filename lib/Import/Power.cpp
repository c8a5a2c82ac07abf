//===- Power.cpp - powers in a body ---------------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Power.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace isthmus;

std::optional<int64_t> isthmus::smallWhole(DenseElementsAttr k) {
  double p = 0;
  if (isa<FloatType>(k.getElementType())) {
    APFloat value = *k.value_begin<APFloat>();
    bool loses;
    value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &loses);
    p = value.convertToDouble();
  } else {
    p = double((*k.value_begin<APInt>()).getSExtValue());
  }
  if (std::abs(p) <= 32 && p == std::floor(p))
    return int64_t(p);
  return std::nullopt;
}

namespace {
struct Ops {
  OpBuilder &b;
  Location loc;
  Type type;
  explicit Ops(BodyMath &m, Type type) : b(m.b), loc(m.loc), type(type) {}
  Value k(double v) {
    return arith::ConstantOp::create(b, loc, b.getFloatAttr(type, v));
  }
  Value whole(int64_t v) {
    return arith::ConstantOp::create(b, loc, b.getIntegerAttr(type, v));
  }
  Value is(arith::CmpFPredicate how, Value l, Value r) {
    return arith::CmpFOp::create(b, loc, how, l, r);
  }
  Value is(arith::CmpIPredicate how, Value l, Value r) {
    return arith::CmpIOp::create(b, loc, how, l, r);
  }
  Value select(Value condition, Value l, Value r) {
    return arith::SelectOp::create(b, loc, condition, l, r);
  }
  template <typename OpTy> Value make(ValueRange operands) {
    return OpTy::create(b, loc, operands);
  }
};
} // namespace

Value isthmus::wholePower(BodyMath &m, Value x, int64_t p) {
  Ops o(m, x.getType());
  Value result, square = x;
  for (uint64_t rest = std::abs(p); rest; rest /= 2) {
    if (rest % 2)
      result = result ? o.make<arith::MulFOp>({result, square}) : square;
    if (rest > 1)
      square = o.make<arith::MulFOp>({square, square});
  }
  if (p > 0)
    return result;
  return p ? o.make<arith::DivFOp>({o.k(1), result}) : o.k(1);
}

/// math.powf is expanded to exp(e log x), which says nothing of negative x, nor
/// of 0^0 and 1^inf.
Value isthmus::floatPower(BodyMath &m, Value x, Value e) {
  Ops o(m, x.getType());
  using P = arith::CmpFPredicate;
  Value size = o.make<math::AbsFOp>(x);
  Value y = o.make<math::PowFOp>({size, e});
  y = o.select(o.is(P::OEQ, size, o.k(1)), o.k(1), y);
  Value half = o.make<math::FloorOp>(o.make<arith::MulFOp>({e, o.k(0.5)}));
  Value rest = o.make<arith::SubFOp>({e, o.make<arith::AddFOp>({half, half})});
  Value odd = o.is(P::OEQ, rest, o.k(1));
  y = o.select(odd, o.make<math::CopySignOp>({y, x}), y);
  Value broken = o.is(P::UNE, e, o.make<math::FloorOp>(e)),
        finite = o.is(P::OGT, x, o.k(-std::numeric_limits<double>::infinity()));
  broken = o.make<arith::AndIOp>(
      {broken, o.make<arith::AndIOp>({o.is(P::OLT, x, o.k(0)), finite})});
  y = o.select(broken, o.k(std::numeric_limits<double>::quiet_NaN()), y);
  Value one =
      o.make<arith::OrIOp>({o.is(P::OEQ, e, o.k(0)), o.is(P::OEQ, x, o.k(1))});
  return o.select(one, o.k(1), y);
}

Value isthmus::integerPower(BodyMath &m, Value x, Value e) {
  Ops o(m, x.getType());
  using P = arith::CmpIPredicate;
  Value zero = o.whole(0), one = o.whole(1), minusOne = o.whole(-1);
  Value unit =
      o.make<arith::OrIOp>({o.is(P::eq, x, one), o.is(P::eq, x, minusOne)});
  Value parity = o.make<arith::AndIOp>({e, one});
  // From 2^64 on nothing but a unit, or 0, is left of x^e.
  Value outside = o.is(P::ugt, e, o.whole(63));
  Value bits = o.select(outside, parity, e);
  Value y = one, square = x;
  for (int bit = 0; bit < 6; ++bit) {
    Value set =
        o.is(P::ne, o.make<arith::AndIOp>({bits, o.whole(1 << bit)}), zero);
    y = o.select(set, o.make<arith::MulIOp>({y, square}), y);
    if (bit < 5)
      square = o.make<arith::MulIOp>({square, square});
  }
  Value gone = o.make<arith::AndIOp>(
      {outside,
       o.make<arith::XOrIOp>({unit, arith::ConstantOp::create(
                                        o.b, o.loc, o.b.getBoolAttr(true))})});
  return o.select(gone, zero, y);
}
