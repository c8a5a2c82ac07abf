//===- Ops/Unary.cpp - operators of one float input ---------------- ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Emit.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace isthmus;

namespace {
/// Float arithmetic inside a body.
struct F : BodyMath {
  Type type;
  F(OpBuilder &b, Location loc, Type type) : BodyMath{b, loc}, type(type) {}
  template <typename Op> Value op(Value x) { return Op::create(b, loc, x); }
  template <typename Op> Value op(Value x, Value y) {
    return Op::create(b, loc, x, y);
  }
  Value k(double v) { return constant(type, v); }
  Value addf(Value l, Value r) { return op<arith::AddFOp>(l, r); }
  Value subf(Value l, Value r) { return op<arith::SubFOp>(l, r); }
  Value mulf(Value l, Value r) { return op<arith::MulFOp>(l, r); }
  Value divf(Value l, Value r) { return op<arith::DivFOp>(l, r); }
  Value maxf(Value l, Value r) { return op<arith::MaximumFOp>(l, r); }
  Value minf(Value l, Value r) { return op<arith::MinimumFOp>(l, r); }
  Value exp(Value x) { return op<math::ExpOp>(x); }
  Value neg(Value x) { return op<arith::NegFOp>(x); }
  Value less(Value l, Value r) {
    return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, l, r);
  }
  Value sigmoid(Value x) { return divf(k(1), addf(k(1), exp(neg(x)))); }
  /// log(1 + e^x), without overflow.
  Value softplus(Value x) {
    Value small = op<math::Log1pOp>(exp(neg(op<math::AbsFOp>(x))));
    return addf(maxf(x, k(0)), small);
  }
  Value tanh(Value x) { return op<math::TanhOp>(x); }
};

/// Attributes of one node, read before the body is built.
struct P {
  double alpha = 0, beta = 0;
};
using Formula = Value (*)(F &, Value, const P &);

/// y = formula(x), in f32 for narrower floats.
LogicalResult floatUnary(NodeContext &c, Formula formula, P p = {}) {
  if (failed(c.requireFloat(0)))
    return failure();
  DType type = c.in(0).dtype, wide = accumulatorType(type);
  return c.result(
      elementwiseTo(c, &c.in(0), c.in(0).sizes, type,
                    [&](OpBuilder &b, Location loc, ValueRange args) {
                      F f(b, loc, elementType(b.getContext(), wide));
                      Value x = f.cast(args[0], type, wide);
                      return f.cast(formula(f, x, p), wide, type);
                    }));
}

template <typename Op> Value one(F &f, Value x, const P &) {
  return f.op<Op>(x);
}
template <typename Op> LogicalResult plain(NodeContext &c) {
  return floatUnary(c, one<Op>);
}
} // namespace

static LogicalResult gelu(NodeContext &c) {
  std::string approximate = c.stringAttr("approximate", "none");
  if (approximate == "tanh")
    return floatUnary(c, [](F &f, Value x, const P &) {
      // 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
      Value cube = f.mulf(f.mulf(x, x), x);
      Value inner = f.mulf(f.k(0.7978845608028654),
                           f.addf(x, f.mulf(f.k(0.044715), cube)));
      return f.mulf(f.mulf(f.k(0.5), x), f.addf(f.k(1), f.tanh(inner)));
    });
  if (approximate != "none")
    return c.invalid("approximate is '" + approximate + "'");
  return floatUnary(c, [](F &f, Value x, const P &) {
    Value e = f.op<math::ErfOp>(f.mulf(x, f.k(0.7071067811865476)));
    return f.mulf(f.mulf(f.k(0.5), x), f.addf(f.k(1), e));
  });
}

static LogicalResult isInf(NodeContext &c) {
  if (failed(c.requireFloat(0)))
    return failure();
  bool negative = c.intAttr("detect_negative", 1);
  bool positive = c.intAttr("detect_positive", 1);
  return c.result(elementwiseTo(
      c, &c.in(0), c.in(0).sizes, DType::i1,
      [&](OpBuilder &b, Location loc, ValueRange args) -> Value {
        BodyMath m{b, loc};
        Value r = m.integer(b.getI1Type(), 0);
        for (bool minus : {false, true})
          if (minus ? negative : positive) {
            auto type = cast<FloatType>(args[0].getType());
            Value inf = arith::ConstantOp::create(
                b, loc,
                FloatAttr::get(
                    type, APFloat::getInf(type.getFloatSemantics(), minus)));
            r = m.ori(r, arith::CmpFOp::create(
                             b, loc, arith::CmpFPredicate::OEQ, args[0], inf));
          }
        return r;
      }));
}

static LogicalResult isNan(NodeContext &c) {
  if (failed(c.requireFloat(0)))
    return failure();
  return c.result(
      elementwiseTo(c, &c.in(0), c.in(0).sizes, DType::i1,
                    [](OpBuilder &b, Location loc, ValueRange args) -> Value {
                      return arith::CmpFOp::create(
                          b, loc, arith::CmpFPredicate::UNO, args[0], args[0]);
                    }));
}

static LogicalResult shrink(NodeContext &c) {
  DType type = c.in(0).dtype;
  if (!isFloat(type))
    return c.unsupported("Shrink of " + dtypeName(type));
  return floatUnary(c,
                    [](F &f, Value x, const P &p) {
                      // x < -lambd: x + bias; x > lambd: x - bias; else 0
                      Value low = f.less(x, f.k(-p.alpha)),
                            high = f.less(f.k(p.alpha), x);
                      Value y = f.select(high, f.subf(x, f.k(p.beta)), f.k(0));
                      return f.select(low, f.addf(x, f.k(p.beta)), y);
                    },
                    {c.floatAttr("lambd", 0.5), c.floatAttr("bias", 0)});
}

static void registerActivations(Registry &r) {
  r.add("Sigmoid", 1, [](NodeContext &c) {
    return floatUnary(c, [](F &f, Value x, const P &) { return f.sigmoid(x); });
  });
  r.add("LeakyRelu", 1, [](NodeContext &c) {
    return floatUnary(c,
                      [](F &f, Value x, const P &p) {
                        return f.select(f.less(x, f.k(0)),
                                        f.mulf(x, f.k(p.alpha)), x);
                      },
                      {c.floatAttr("alpha", 0.01f)});
  });
  r.add("ThresholdedRelu", 1, [](NodeContext &c) {
    return floatUnary(c,
                      [](F &f, Value x, const P &p) {
                        return f.select(f.less(f.k(p.alpha), x), x, f.k(0));
                      },
                      {c.floatAttr("alpha", 1)});
  });
  auto elu = [](F &f, Value x, const P &p) {
    // beta * (x < 0 ? alpha * (e^x - 1) : x)
    Value low = f.mulf(f.k(p.alpha), f.op<math::ExpM1Op>(x));
    return f.mulf(f.k(p.beta), f.select(f.less(x, f.k(0)), low, x));
  };
  static const Formula eluFormula = elu;
  r.add("Elu", 1, [](NodeContext &c) {
    return floatUnary(c, eluFormula, {c.floatAttr("alpha", 1), 1});
  });
  r.add("Selu", 1, [](NodeContext &c) {
    return floatUnary(c, eluFormula,
                      {c.floatAttr("alpha", 1.67326319217681884765625),
                       c.floatAttr("gamma", 1.05070102214813232421875)});
  });
  r.add("Celu", 1, [](NodeContext &c) {
    return floatUnary(c,
                      [](F &f, Value x, const P &p) {
                        Value low = f.mulf(
                            f.k(p.alpha),
                            f.op<math::ExpM1Op>(f.divf(x, f.k(p.alpha))));
                        return f.addf(f.maxf(x, f.k(0)), f.minf(low, f.k(0)));
                      },
                      {c.floatAttr("alpha", 1)});
  });
  static const Formula hardSigmoid = [](F &f, Value x, const P &p) {
    Value y = f.addf(f.mulf(f.k(p.alpha), x), f.k(p.beta));
    return f.maxf(f.minf(y, f.k(1)), f.k(0));
  };
  r.add("HardSigmoid", 1, [](NodeContext &c) {
    return floatUnary(c, hardSigmoid,
                      {c.floatAttr("alpha", 0.2f), c.floatAttr("beta", 0.5)});
  });
  r.add("HardSwish", 1, [](NodeContext &c) {
    return floatUnary(c, [](F &f, Value x, const P &) {
      return f.mulf(x, hardSigmoid(f, x, {1.0 / 6, 0.5}));
    });
  });
  r.add("Softplus", 1, [](NodeContext &c) {
    return floatUnary(c,
                      [](F &f, Value x, const P &) { return f.softplus(x); });
  });
  r.add("Softsign", 1, [](NodeContext &c) {
    return floatUnary(c, [](F &f, Value x, const P &) {
      return f.divf(x, f.addf(f.k(1), f.op<math::AbsFOp>(x)));
    });
  });
  r.add("Mish", 1, [](NodeContext &c) {
    return floatUnary(c, [](F &f, Value x, const P &) {
      return f.mulf(x, f.tanh(f.softplus(x)));
    });
  });
  r.add("Swish", 1, [](NodeContext &c) {
    return floatUnary(c,
                      [](F &f, Value x, const P &p) {
                        return f.mulf(x, f.sigmoid(f.mulf(f.k(p.alpha), x)));
                      },
                      {c.floatAttr("alpha", 1)});
  });
  r.add("Gelu", 1, gelu);
  r.add("Shrink", 1, shrink);
}

namespace isthmus {
void registerUnaryOps(Registry &r) {
  r.add("Exp", 1, plain<math::ExpOp>);
  r.add("Log", 1, plain<math::LogOp>);
  r.add("Sqrt", 1, plain<math::SqrtOp>);
  r.add("Erf", 1, plain<math::ErfOp>);
  r.add("Tanh", 1, plain<math::TanhOp>);
  r.add("Floor", 1, plain<math::FloorOp>);
  r.add("Ceil", 1, plain<math::CeilOp>);
  r.add("Round", 1, plain<math::RoundEvenOp>);
  r.add("Sin", 1, plain<math::SinOp>);
  r.add("Cos", 1, plain<math::CosOp>);
  r.add("Tan", 1, plain<math::TanOp>);
  r.add("Asin", 1, plain<math::AsinOp>);
  r.add("Acos", 1, plain<math::AcosOp>);
  r.add("Atan", 1, plain<math::AtanOp>);
  r.add("Sinh", 1, plain<math::SinhOp>);
  r.add("Cosh", 1, plain<math::CoshOp>);
  r.add("Asinh", 1, plain<math::AsinhOp>);
  r.add("Acosh", 1, plain<math::AcoshOp>);
  r.add("Atanh", 1, plain<math::AtanhOp>);
  r.add("Reciprocal", 1, [](NodeContext &c) {
    return floatUnary(
        c, [](F &f, Value x, const P &) { return f.divf(f.k(1), x); });
  });
  r.add("IsNaN", 1, isNan);
  r.add("IsInf", 1, isInf);
  registerActivations(r);
}
} // namespace isthmus
