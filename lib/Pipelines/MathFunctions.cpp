//===- MathFunctions.cpp - functions of f32 and f64 as arithmetic ---------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The textbook ways: the argument is brought into a small interval, there a
// polynomial (fit_math.py) is the function, and the result is brought back.
// Where the first steps must be exact, constants are split so that products
// with small integers are, with or without a fused multiply-add.
//
// No conversion from float to integer: an integer is added to 1.5 * 2^mantissa
// and read from the low bits, which is defined for every float, NaN too.
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/MathFunctions.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/TypeUtilities.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace isthmus;

#include "lib/Pipelines/MathTables.inc"

namespace {

using P = arith::CmpFPredicate;

/// Builds arithmetic on values of one type.
class Math {
public:
  Math(OpBuilder &b, Location loc, Type type)
      : b(b), loc(loc), type(type), f64(getElementTypeOrSelf(type).isF64()),
        mantissa(f64 ? 52 : 23), bias(f64 ? 1023 : 127) {
    integer = b.getIntegerType(f64 ? 64 : 32);
    if (auto shaped = dyn_cast<ShapedType>(type))
      integer = shaped.clone(integer);
  }

  // --- arithmetic ---
  Value k(double v) {
    return constant(type, b.getFloatAttr(getElementTypeOrSelf(type), v));
  }
  Value ki(uint64_t v) {
    return constant(integer, b.getIntegerAttr(getElementTypeOrSelf(integer),
                                              f64 ? int64_t(v) : int32_t(v)));
  }
  template <typename Op> Value op(Value x, Value y) {
    return Op::create(b, loc, x, y);
  }
  Value add(Value x, Value y) { return op<arith::AddFOp>(x, y); }
  Value sub(Value x, Value y) { return op<arith::SubFOp>(x, y); }
  Value mul(Value x, Value y) { return op<arith::MulFOp>(x, y); }
  Value div(Value x, Value y) { return op<arith::DivFOp>(x, y); }
  Value fma(Value x, Value y, Value z) {
    return math::FmaOp::create(b, loc, x, y, z);
  }
  Value neg(Value x) { return arith::NegFOp::create(b, loc, x); }
  Value abs(Value x) { return math::AbsFOp::create(b, loc, x); }
  Value sqrt(Value x) { return math::SqrtOp::create(b, loc, x); }
  Value signOf(Value sign, Value x) {
    return math::CopySignOp::create(b, loc, x, sign);
  }
  Value cmp(P p, Value x, Value y) {
    return arith::CmpFOp::create(b, loc, p, x, y);
  }
  Value select(Value c, Value x, Value y) {
    return arith::SelectOp::create(b, loc, c, x, y);
  }
  Value bits(Value x) { return arith::BitcastOp::create(b, loc, integer, x); }
  Value fromBits(Value x) { return arith::BitcastOp::create(b, loc, type, x); }
  Value iadd(Value x, Value y) { return op<arith::AddIOp>(x, y); }
  Value isub(Value x, Value y) { return op<arith::SubIOp>(x, y); }
  Value iand(Value x, uint64_t m) { return op<arith::AndIOp>(x, ki(m)); }
  Value shl(Value x, unsigned n) { return op<arith::ShLIOp>(x, ki(n)); }
  Value isSet(Value x, uint64_t bit) {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, iand(x, bit),
                                 ki(0));
  }

  /// Between low and high; NaN stays.
  Value clamp(Value x, double low, double high) {
    x = select(cmp(P::OLT, x, k(low)), k(low), x);
    return select(cmp(P::OGT, x, k(high)), k(high), x);
  }
  /// table[0] + table[1] x + ..., for this precision.
  Value polynomial(Value x, ArrayRef<double> f32, ArrayRef<double> f64Table) {
    ArrayRef<double> table = f64 ? f64Table : f32;
    Value r = k(table.back());
    for (double c : llvm::reverse(table.drop_back()))
      r = fma(r, x, k(c));
    return r;
  }
  /// 1.5 * 2^mantissa: a sum with it is rounded to an integer.
  double toInteger() const { return std::ldexp(1.5, mantissa); }
  /// 2^n for an integer n in the range of exponents.
  Value powerOfTwo(Value n) {
    return fromBits(shl(iadd(n, ki(bias)), mantissa));
  }

  // --- functions ---
  Value exp(Value x);
  Value expm1(Value x);
  Value log(Value x) { return logOf(x, Value()); }
  Value log1p(Value x);
  Value tanh(Value x);
  Value sinh(Value x);
  Value cosh(Value x);
  Value asinh(Value x);
  Value acosh(Value x);
  Value atanh(Value x);
  Value sin(Value x) { return circular(x, /*cosine=*/false); }
  Value cos(Value x) { return circular(x, /*cosine=*/true); }
  Value tan(Value x);
  Value asin(Value x);
  Value acos(Value x);
  Value atan(Value x);
  Value erf(Value x);

private:
  struct Reduced {
    Value r, n; // the rest, and the integer
  };
  struct Circle {
    Value sine, cosine, quarter;
  };
  Value constant(Type t, TypedAttr attr) {
    if (auto shaped = dyn_cast<ShapedType>(t))
      attr = DenseElementsAttr::get(shaped, Attribute(attr));
    return arith::ConstantOp::create(b, loc, attr);
  }
  /// x = n step + r, |r| <= step / 2; parts sum up to step.
  Reduced reduce(Value x, double perStep, ArrayRef<double> parts);
  Value expm1OfSmall(Value r); // |r| <= ln 2 / 2
  Value scale(Value x, Value n);
  Value logOf(Value x, Value correction);
  Circle circle(Value x);
  Value circular(Value x, bool cosine);
  Value asinOfSmall(Value s, Value z); // z = s * s <= 1/4
  Value half(Value x) { return mul(x, k(0.5)); }
  double inf() { return std::numeric_limits<double>::infinity(); }
  double nan() { return std::numeric_limits<double>::quiet_NaN(); }

  OpBuilder &b;
  Location loc;
  Type type, integer;
  bool f64;
  unsigned mantissa, bias;
};

} // namespace

//===----------------------------------------------------------------------===//
// Exponentials
//===----------------------------------------------------------------------===//

Math::Reduced Math::reduce(Value x, double perStep, ArrayRef<double> parts) {
  Value magic = k(toInteger());
  Value shifted = add(mul(x, k(perStep)), magic);
  Value n = sub(shifted, magic), r = x;
  for (double part : parts)
    r = fma(n, k(-part), r);
  return {r, isub(bits(shifted), bits(magic))};
}

Value Math::expm1OfSmall(Value r) {
  return fma(mul(r, r), polynomial(r, kExp32, kExp64), r);
}

/// x 2^n in two steps, so that the result may be subnormal or infinite.
Value Math::scale(Value x, Value n) {
  Value first = op<arith::ShRSIOp>(n, ki(1));
  return mul(mul(x, powerOfTwo(first)), powerOfTwo(isub(n, first)));
}

// pi / 2 rounded, and what rounding took.
static double halfPi(bool f64) { return f64 ? M_PI_2 : double(float(M_PI_2)); }
static double halfPiRest(bool f64) {
  return f64 ? 6.123233995736766e-17 : M_PI_2 - double(float(M_PI_2));
}

static ArrayRef<double> ln2(bool f64) {
  return f64 ? ArrayRef<double>(kLn2_64) : ArrayRef<double>(kLn2_32);
}

Value Math::exp(Value x) {
  x = f64 ? clamp(x, -746, 710) : clamp(x, -104, 89);
  auto [r, n] = reduce(x, M_LOG2E, ln2(f64));
  return scale(add(expm1OfSmall(r), k(1)), n);
}

Value Math::expm1(Value x) {
  double far = f64 ? 40 : 20; // where 1 no longer counts
  Value near = clamp(x, -far, far);
  auto [r, n] = reduce(near, M_LOG2E, ln2(f64));
  Value p = expm1OfSmall(r), power = powerOfTwo(n);
  // 2^n (1 + p) - 1
  Value result = add(mul(power, p), sub(power, k(1)));
  result = select(cmp(P::OGE, x, k(far)), exp(x), result);
  return select(cmp(P::OEQ, x, k(0)), x, result); // -0
}

Value Math::tanh(Value x) {
  Value e = expm1(mul(abs(x), k(-2)));
  return signOf(x, div(e, add(e, k(2))));
}

Value Math::sinh(Value x) {
  Value a = abs(x), e = expm1(a), root = exp(half(a));
  Value small = half(add(e, div(e, add(e, k(1)))));
  Value large = mul(half(root), root); // e^a may overflow before it is halved
  return signOf(x, select(cmp(P::OGT, a, k(20)), large, small));
}

Value Math::cosh(Value x) {
  Value a = abs(x), e = exp(a), root = exp(half(a));
  Value small = add(half(e), div(k(0.5), e));
  return select(cmp(P::OGT, a, k(20)), mul(half(root), root), small);
}

//===----------------------------------------------------------------------===//
// Logarithms
//===----------------------------------------------------------------------===//

/// log(x) + correction / x.
Value Math::logOf(Value x, Value correction) {
  double smallest = std::ldexp(1, 1 - int(bias)), up = std::ldexp(1, mantissa);
  Value subnormal = cmp(P::OLT, x, k(smallest));
  Value normal = select(subnormal, mul(x, k(up)), x);
  // normal = 2^e m, sqrt(1/2) <= m < sqrt(2)
  uint64_t one = uint64_t(bias) << mantissa;
  Value root = bits(k(M_SQRT1_2));
  Value shifted = iadd(isub(bits(normal), root), ki(one));
  Value m = fromBits(iadd(iand(shifted, (uint64_t(1) << mantissa) - 1), root));
  // The exponent as a float: 2^mantissa + exponent, less 2^mantissa.
  Value exponent = op<arith::ShRUIOp>(shifted, ki(mantissa));
  double whole = std::ldexp(1, mantissa);
  Value e = sub(fromBits(op<arith::OrIOp>(exponent, bits(k(whole)))),
                k(whole + bias));
  e = sub(e, select(subnormal, k(mantissa), k(0)));

  Value f = sub(m, k(1)), s = div(f, add(f, k(2))), z = mul(s, s);
  Value rest = mul(z, polynomial(z, kLog32, kLog64));
  Value square = half(mul(f, f));
  // log(1 + f) = f - (f^2 / 2 - s (f^2 / 2 + rest))
  Value low = mul(e, k(ln2(f64)[1]));
  if (correction)
    low = add(low, div(correction, x));
  Value tail = sub(square, fma(s, add(square, rest), low));
  Value result = add(mul(e, k(ln2(f64)[0])), sub(f, tail));
  result = select(cmp(P::OEQ, x, k(0)), k(-inf()), result);
  result = select(cmp(P::OLT, x, k(0)), k(nan()), result);
  // Infinity, and NaN as it is.
  return select(cmp(P::OLT, x, k(inf())), result, x);
}

Value Math::log1p(Value x) {
  Value one = k(1), sum = add(x, one);
  Value lost = sub(x, sub(sum, one));
  Value result = logOf(sum, lost);
  return select(cmp(P::OEQ, x, k(0)), x, result); // -0
}

Value Math::asinh(Value x) {
  Value a = abs(x), square = mul(a, a), one = k(1);
  Value small = log1p(add(a, div(square, add(one, sqrt(add(square, one))))));
  Value large = add(log(a), k(M_LN2));
  Value far = cmp(P::OGE, a, k(f64 ? 0x1p28 : 0x1p13));
  return signOf(x, select(far, large, small));
}

Value Math::acosh(Value x) {
  Value t = sub(x, k(1));
  Value small = log1p(add(t, sqrt(add(add(t, t), mul(t, t)))));
  Value large = add(log(x), k(M_LN2));
  return select(cmp(P::OGE, x, k(f64 ? 0x1p28 : 0x1p13)), large, small);
}

Value Math::atanh(Value x) {
  Value a = abs(x);
  return signOf(x, half(log1p(div(add(a, a), sub(k(1), a)))));
}

//===----------------------------------------------------------------------===//
// Circular functions
//===----------------------------------------------------------------------===//

Math::Circle Math::circle(Value x) {
  auto [rest, n] =
      reduce(x, M_2_PI,
             f64 ? ArrayRef<double>(kHalfPi64) : ArrayRef<double>(kHalfPi32));
  // Beyond where products are exact the rest is wrong, but stays one.
  Value r = clamp(rest, -0.8, 0.8), z = mul(r, r);
  Value sine = fma(mul(r, z), polynomial(z, kSin32, kSin64), r);
  Value lost = half(z), head = sub(k(1), lost);
  Value cosine = add(head, fma(mul(z, z), polynomial(z, kCos32, kCos64),
                               sub(sub(k(1), head), lost)));
  return {sine, cosine, n};
}

Value Math::circular(Value x, bool cosine) {
  Circle c = circle(x);
  Value n = cosine ? iadd(c.quarter, ki(1)) : c.quarter;
  Value result = select(isSet(n, 1), c.cosine, c.sine);
  Value sign = shl(iand(n, 2), mantissa + (f64 ? 10 : 7));
  return fromBits(op<arith::XOrIOp>(bits(result), sign));
}

Value Math::tan(Value x) {
  Circle c = circle(x);
  Value odd = isSet(c.quarter, 1);
  return div(select(odd, neg(c.cosine), c.sine), select(odd, c.sine, c.cosine));
}

Value Math::asinOfSmall(Value s, Value z) {
  return fma(mul(s, z), polynomial(z, kAsin32, kAsin64), s);
}

Value Math::asin(Value x) {
  // asin(a) = pi / 2 - 2 asin(sqrt((1 - a) / 2))
  Value a = abs(x), far = cmp(P::OGT, a, k(0.5));
  Value z = select(far, half(sub(k(1), a)), mul(a, a));
  Value p = asinOfSmall(select(far, sqrt(z), a), z);
  double high = halfPi(f64), low = halfPiRest(f64);
  Value turned = sub(k(high), sub(add(p, p), k(low)));
  return signOf(x, select(far, turned, p));
}

Value Math::acos(Value x) {
  Value a = abs(x), far = cmp(P::OGT, a, k(0.5));
  Value z = select(far, half(sub(k(1), a)), mul(a, a));
  Value p = asinOfSmall(select(far, sqrt(z), a), z);
  double high = halfPi(f64), low = halfPiRest(f64);
  Value twice = add(p, p), left = cmp(P::OLT, x, k(0));
  Value near = sub(k(high), sub(signOf(x, p), k(low)));
  Value beyond = select(left, sub(k(2 * high), sub(twice, k(2 * low))), twice);
  return select(far, beyond, near);
}

Value Math::atan(Value x) {
  // atan(a) = pi / 4 + atan((a - 1) / (a + 1)) = pi / 2 + atan(-1 / a)
  Value a = abs(x), one = k(1);
  Value beyond = cmp(P::OGT, a, k(1 + M_SQRT2));
  Value middle = cmp(P::OGT, a, k(M_SQRT2 - 1));
  Value numerator = select(beyond, k(-1), select(middle, sub(a, one), a));
  Value denominator = select(beyond, a, select(middle, add(a, one), one));
  Value t = div(numerator, denominator), z = mul(t, t);
  double high = halfPi(f64), low = halfPiRest(f64);
  Value base = select(beyond, k(high), select(middle, k(high / 2), k(0)));
  Value rest = select(beyond, k(low), select(middle, k(low / 2), k(0)));
  Value p = fma(mul(t, z), polynomial(z, kAtan32, kAtan64), rest);
  return signOf(x, add(base, add(t, p)));
}

//===----------------------------------------------------------------------===//
// erf
//===----------------------------------------------------------------------===//

Value Math::erf(Value x) {
  Value a = abs(x), square = mul(x, x);
  Value small = mul(x, polynomial(square, kErf32, kErf64));
  // 1 - e^(-a^2) erfcx(a); beyond 6.5 that is 1.
  Value near = clamp(a, 1, 6.5);
  Value t = div(sub(near, k(4)), add(near, k(4)));
  Value tail =
      mul(exp(neg(mul(near, near))), polynomial(t, kErfcx32, kErfcx64));
  Value large = signOf(x, sub(k(1), tail));
  return select(cmp(P::OGT, a, k(1)), large, small);
}

//===----------------------------------------------------------------------===//
// Patterns
//===----------------------------------------------------------------------===//

namespace {

struct Row {
  const char *name;
  Value (Math::*build)(Value);
  bool f32; // in f32 as well
};

struct Expand : RewritePattern {
  Expand(const Row &row, MLIRContext *ctx)
      : RewritePattern(row.name, /*benefit=*/20, ctx), row(row) {}
  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    Type type = op->getResult(0).getType();
    Type element = getElementTypeOrSelf(type);
    if (!element.isF64() && !(element.isF32() && row.f32))
      return rewriter.notifyMatchFailure(op, "another pattern's type");
    Math m(rewriter, op->getLoc(), type);
    rewriter.replaceOp(op, (m.*row.build)(op->getOperand(0)));
    return success();
  }
  const Row &row;
};

} // namespace

static const Row rows[] = {
    {"math.exp", &Math::exp, true},     {"math.expm1", &Math::expm1, true},
    {"math.log", &Math::log, false},    {"math.log1p", &Math::log1p, true},
    {"math.tanh", &Math::tanh, false},  {"math.erf", &Math::erf, false},
    {"math.sinh", &Math::sinh, true},   {"math.cosh", &Math::cosh, true},
    {"math.asinh", &Math::asinh, true}, {"math.acosh", &Math::acosh, true},
    {"math.atanh", &Math::atanh, true}, {"math.sin", &Math::sin, true},
    {"math.cos", &Math::cos, true},     {"math.tan", &Math::tan, true},
    {"math.asin", &Math::asin, true},   {"math.acos", &Math::acos, true},
    {"math.atan", &Math::atan, true}};

bool isthmus::hasMathFunction(StringRef name, bool f64) {
  return llvm::any_of(
      rows, [&](const Row &r) { return name == r.name && (f64 || r.f32); });
}

void isthmus::populateMathFunctions(RewritePatternSet &patterns) {
  for (const Row &row : rows)
    patterns.add<Expand>(row, patterns.getContext());
}
