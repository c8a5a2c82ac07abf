//===- BodyFloats.h - float arithmetic inside bodies ----*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_IMPORT_BODYFLOATS_H
#define ISTHMUS_LIB_IMPORT_BODYFLOATS_H

#include "lib/Import/Emit.h"

#include "mlir/Dialect/Math/IR/Math.h"

namespace isthmus {

/// Short names for float arithmetic inside a body, in one type.
struct BodyFloats : BodyMath {
  using Value = mlir::Value;
  using P = mlir::arith::CmpFPredicate;
  mlir::Type type;
  BodyFloats(mlir::OpBuilder &b, mlir::Location loc, mlir::Type type)
      : BodyMath{b, loc}, type(type) {}
  BodyFloats(mlir::OpBuilder &b, mlir::Location loc, DType type)
      : BodyMath{b, loc}, type(elementType(b.getContext(), type)) {}

  template <typename Op> Value op(Value x) { return Op::create(b, loc, x); }
  template <typename Op> Value op(Value x, Value y) {
    return Op::create(b, loc, x, y);
  }
  Value k(double v) { return constant(type, v); }
  Value addf(Value l, Value r) { return op<mlir::arith::AddFOp>(l, r); }
  Value subf(Value l, Value r) { return op<mlir::arith::SubFOp>(l, r); }
  Value mulf(Value l, Value r) { return op<mlir::arith::MulFOp>(l, r); }
  Value divf(Value l, Value r) { return op<mlir::arith::DivFOp>(l, r); }
  Value maxf(Value l, Value r) { return op<mlir::arith::MaximumFOp>(l, r); }
  Value minf(Value l, Value r) { return op<mlir::arith::MinimumFOp>(l, r); }
  Value neg(Value x) { return op<mlir::arith::NegFOp>(x); }
  Value abs(Value x) { return op<mlir::math::AbsFOp>(x); }
  Value exp(Value x) { return op<mlir::math::ExpOp>(x); }
  Value log(Value x) { return op<mlir::math::LogOp>(x); }
  Value sqrt(Value x) { return op<mlir::math::SqrtOp>(x); }
  Value tanh(Value x) { return op<mlir::math::TanhOp>(x); }
  Value sin(Value x) { return op<mlir::math::SinOp>(x); }
  Value cos(Value x) { return op<mlir::math::CosOp>(x); }
  Value floor(Value x) { return op<mlir::math::FloorOp>(x); }
  Value ceil(Value x) { return op<mlir::math::CeilOp>(x); }
  Value roundEven(Value x) { return op<mlir::math::RoundEvenOp>(x); }
  Value sigmoid(Value x) { return divf(k(1), addf(k(1), exp(neg(x)))); }
  /// log(1 + e^x), without overflow.
  Value softplus(Value x) {
    Value small = op<mlir::math::Log1pOp>(exp(neg(abs(x))));
    return addf(maxf(x, k(0)), small);
  }
  Value cmpf(P p, Value l, Value r) {
    return mlir::arith::CmpFOp::create(b, loc, p, l, r);
  }
  Value less(Value l, Value r) { return cmpf(P::OLT, l, r); }
  Value clampf(Value x, double lo, double hi) {
    return minf(maxf(x, k(lo)), k(hi));
  }
  /// An index or a signed integer as this type.
  Value fromInt(Value i) {
    if (i.getType().isIndex())
      i = mlir::arith::IndexCastOp::create(b, loc, b.getI64Type(), i);
    return mlir::arith::SIToFPOp::create(b, loc, type, i);
  }
};

} // namespace isthmus

#endif // ISTHMUS_LIB_IMPORT_BODYFLOATS_H
