//===- Ops/Elementwise.cpp - operators of one or more inputs of any type --===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Emit.h"
#include "lib/Import/Power.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace isthmus;

//===----------------------------------------------------------------------===//
// On the host
//===----------------------------------------------------------------------===//

using HostFn = OpFoldResult (*)(IndexMath &, OpFoldResult, OpFoldResult);

/// Integers that the host knows are computed there: ONNX's shape arithmetic.
static bool onHost(NodeContext &c, ArrayRef<ImportValue *> ins) {
  int64_t n = 1;
  for (ImportValue *in : ins) {
    if (!in->scalars)
      return false;
    int64_t size = in->scalars->size();
    if (size != 1 && n != 1 && size != n)
      return false; // the tensor path diagnoses it
    if (size != 1)
      n = size;
  }
  return true;
}

/// Calls f with one element of each input after the other.
static LogicalResult
hostElementwise(NodeContext &c, ArrayRef<ImportValue *> ins, DType out,
                function_ref<OpFoldResult(ArrayRef<OpFoldResult>)> f) {
  size_t n = 1;
  int64_t rank = 0;
  for (ImportValue *in : ins) {
    rank = std::max(rank, in->rank());
    if (in->scalars->size() != 1)
      n = in->scalars->size();
  }
  Sizes elements;
  for (size_t i = 0; i < n; ++i) {
    Sizes args;
    for (ImportValue *in : ins)
      args.push_back((*in->scalars)[in->scalars->size() == 1 ? 0 : i]);
    elements.push_back(f(args));
  }
  return c.result(c.importer.newScalars(out, elements, rank));
}

//===----------------------------------------------------------------------===//
// Binary
//===----------------------------------------------------------------------===//

/// Opsets below 7 broadcast the second input from `axis` on, when asked to.
static FailureOr<ImportValue *> legacyBroadcast(NodeContext &c) {
  ImportValue &l = c.in(0), &r = c.in(1);
  if (c.opset >= 7 || !c.intAttr("broadcast", 0) || !c.hasAttr("axis"))
    return &r;
  int64_t axis = c.intAttr("axis", 0);
  if (axis < 0)
    axis += l.rank();
  if (axis < 0 || axis + r.rank() > l.rank())
    return failure(failed(c.invalid("axis does not fit the first input")));
  Sizes sizes = r.sizes;
  sizes.append(l.rank() - axis - r.rank(), c.idx.constant(1));
  return reshape(c, r, sizes);
}

/// (math, type of the operands, l, r)
using BinaryFn = Value (*)(BodyMath &, DType, Value, Value);

static LogicalResult binary(NodeContext &c, BinaryFn f, HostFn host,
                            std::optional<DType> out = std::nullopt) {
  if (failed(c.requireSameType(0, 1)))
    return failure();
  DType type = c.in(0).dtype;
  auto right = legacyBroadcast(c);
  if (failed(right))
    return failure();
  ImportValue *ins[] = {&c.in(0), *right};
  if (host && onHost(c, ins))
    return hostElementwise(
        c, ins, out.value_or(type),
        [&](ArrayRef<OpFoldResult> a) { return host(c.idx, a[0], a[1]); });
  return c.result(elementwise(c, ins, out.value_or(type),
                              [&](OpBuilder &b, Location loc, ValueRange a) {
                                BodyMath m{b, loc};
                                return f(m, type, a[0], a[1]);
                              }));
}

template <typename FloatOp, typename IntOp>
static Value arithmetic(BodyMath &m, DType type, Value l, Value r) {
  if (isFloat(type))
    return FloatOp::create(m.b, m.loc, l, r);
  return IntOp::create(m.b, m.loc, l, r);
}

template <typename IntOp>
static Value integer(BodyMath &m, DType, Value l, Value r) {
  return IntOp::create(m.b, m.loc, l, r);
}

/// Towards zero. By zero: 0. The smallest number by -1: itself.
static Value divide(BodyMath &m, DType type, Value l, Value r) {
  if (isFloat(type))
    return arith::DivFOp::create(m.b, m.loc, l, r);
  Type t = l.getType();
  Value zero = m.integer(t, 0), one = m.integer(t, 1);
  Value byZero = m.eq(r, zero);
  if (isUnsigned(type))
    return m.select(
        byZero, zero,
        arith::DivUIOp::create(m.b, m.loc, l, m.select(byZero, one, r)));
  Value minus = m.eq(r, m.integer(t, -1));
  Value safe = m.select(m.ori(byZero, minus), one, r);
  Value q = m.div(l, safe);
  return m.select(byZero, zero, m.select(minus, m.sub(zero, l), q));
}

/// C's fmod, or the remainder with the sign of the divisor. By zero: 0.
template <bool fmod>
static Value modulo(BodyMath &m, DType type, Value l, Value r) {
  OpBuilder &b = m.b;
  if (isFloat(type)) {
    Value rem = arith::RemFOp::create(b, m.loc, l, r);
    if (fmod)
      return rem;
    Value zero = m.constant(l.getType(), 0);
    auto less = [&](Value v) -> Value {
      return arith::CmpFOp::create(b, m.loc, arith::CmpFPredicate::OLT, v,
                                   zero);
    };
    Value differ = arith::XOrIOp::create(b, m.loc, less(rem), less(r));
    Value nonzero =
        arith::CmpFOp::create(b, m.loc, arith::CmpFPredicate::ONE, rem, zero);
    return m.select(m.andi(differ, nonzero),
                    arith::AddFOp::create(b, m.loc, rem, r), rem);
  }
  Type t = l.getType();
  Value zero = m.integer(t, 0), one = m.integer(t, 1);
  Value bad = m.eq(r, zero);
  if (isUnsigned(type))
    return m.select(bad, zero,
                    arith::RemUIOp::create(b, m.loc, l, m.select(bad, one, r)));
  // x mod -1 is 0, and would overflow for the smallest number.
  bad = m.ori(bad, m.eq(r, m.integer(t, -1)));
  Value rem = m.rem(l, m.select(bad, one, r));
  if (fmod)
    return rem;
  Value differ =
      arith::XOrIOp::create(b, m.loc, m.lt(rem, zero), m.lt(r, zero));
  Value nonzero = m.cmp(arith::CmpIPredicate::ne, rem, zero);
  Value fixed = m.select(m.andi(differ, nonzero), m.add(rem, r), rem);
  return m.select(bad, zero, fixed);
}

static LogicalResult mod(NodeContext &c) {
  if (c.intAttr("fmod", 0))
    return binary(c, modulo<true>,
                  [](IndexMath &i, OpFoldResult l, OpFoldResult r) {
                    return i.rem(l, r);
                  });
  return binary(
      c, modulo<false>,
      [](IndexMath &i, OpFoldResult l, OpFoldResult r) { return i.mod(l, r); });
}

template <typename IntP, IntP s, IntP u, arith::CmpFPredicate f>
static Value compare(BodyMath &m, DType type, Value l, Value r) {
  if (isFloat(type))
    return arith::CmpFOp::create(m.b, m.loc, f, l, r);
  return m.cmp(isUnsigned(type) ? u : s, l, r);
}

template <arith::CmpIPredicate s, arith::CmpIPredicate u,
          arith::CmpFPredicate f>
static LogicalResult comparison(NodeContext &c) {
  // Unsigned 64-bit values do not fit the host's signed ones.
  HostFn host = [](IndexMath &i, OpFoldResult l, OpFoldResult r) {
    return i.cmp(s, l, r);
  };
  return binary(c, compare<arith::CmpIPredicate, s, u, f>,
                c.in(0).dtype == DType::u64 ? nullptr : host, DType::i1);
}

template <typename Op> static LogicalResult logical(NodeContext &c) {
  for (int i : {0, 1})
    if (c.in(i).dtype != DType::i1)
      return c.invalid("inputs must be bool");
  return binary(c, integer<Op>, nullptr);
}

template <typename Op> static LogicalResult bitwise(NodeContext &c) {
  if (!isInteger(c.in(0).dtype))
    return c.invalid("inputs must be integers");
  return binary(c, integer<Op>, nullptr);
}

template <bool left> static Value shift(BodyMath &m, DType, Value l, Value r) {
  Type t = l.getType();
  Value wide = m.cmp(arith::CmpIPredicate::uge, r,
                     m.integer(t, t.getIntOrFloatBitWidth()));
  Value by = m.select(wide, m.integer(t, 0), r);
  Value y = left ? Value(arith::ShLIOp::create(m.b, m.loc, l, by))
                 : Value(arith::ShRUIOp::create(m.b, m.loc, l, by));
  return m.select(wide, m.integer(t, 0), y);
}

static LogicalResult bitShift(NodeContext &c) {
  if (!isUnsigned(c.in(0).dtype) || c.in(0).dtype == DType::i1)
    return c.invalid("inputs must be unsigned integers");
  std::string direction = c.stringAttr("direction", "");
  if (direction == "LEFT")
    return binary(c, shift<true>, nullptr);
  if (direction == "RIGHT")
    return binary(c, shift<false>, nullptr);
  return c.invalid("direction must be LEFT or RIGHT");
}

static LogicalResult pow(NodeContext &c) {
  DType type = c.in(0).dtype, exponent = c.in(1).dtype;
  if (type == DType::i1 || exponent == DType::i1)
    return c.invalid("inputs must be numbers");
  auto right = legacyBroadcast(c);
  if (failed(right))
    return failure();
  DType wide = isFloat(type) ? accumulatorType(type) : DType::f64;
  if (exponent == DType::f64)
    wide = DType::f64;
  DenseElementsAttr k = (*right)->count() == 1 && !(*right)->tensor
                            ? c.importer.constant(**right)
                            : DenseElementsAttr();
  std::optional<int64_t> whole = k ? smallWhole(k) : std::nullopt;
  ImportValue *ins[] = {&c.in(0), *right};
  return c.result(
      elementwise(c, ins, type, [&](OpBuilder &b, Location loc, ValueRange a) {
        BodyMath m{b, loc};
        if (!isFloat(type) && !isFloat(exponent))
          return m.cast(integerPower(m, m.cast(a[0], type, DType::i64),
                                     m.cast(a[1], exponent, DType::i64)),
                        DType::i64, type);
        Value x = m.cast(a[0], type, wide);
        if (whole)
          return m.cast(wholePower(m, x, *whole), wide, type);
        return m.cast(floatPower(m, x, m.cast(a[1], exponent, wide)), wide,
                      type);
      }));
}

//===----------------------------------------------------------------------===//
// Variadic
//===----------------------------------------------------------------------===//

static LogicalResult variadic(NodeContext &c, BinaryFn f, HostFn host,
                              bool mean = false) {
  SmallVector<ImportValue *> ins;
  for (int i = 0; i < c.numInputs(); ++i) {
    if (!c.has(i))
      return c.invalid("input " + Twine(i) + " is missing");
    if (failed(c.requireSameType(0, i)))
      return failure();
    ins.push_back(&c.in(i));
  }
  DType type = c.in(0).dtype;
  if (mean && failed(c.requireFloat(0)))
    return failure();
  if (host && type != DType::u64 && onHost(c, ins))
    return hostElementwise(c, ins, type, [&](ArrayRef<OpFoldResult> a) {
      OpFoldResult r = a[0];
      for (OpFoldResult v : a.drop_front())
        r = host(c.idx, r, v);
      return r;
    });
  return c.result(
      elementwise(c, ins, type, [&](OpBuilder &b, Location loc, ValueRange a) {
        BodyMath m{b, loc};
        Value r = a[0];
        for (Value v : a.drop_front())
          r = f(m, type, r, v);
        if (mean)
          r = arith::DivFOp::create(b, loc, r,
                                    m.constant(r.getType(), a.size()));
        return r;
      }));
}

template <bool isMax>
static Value extreme(BodyMath &m, DType type, Value l, Value r) {
  if (isFloat(type)) {
    if (isMax)
      return arith::MaximumFOp::create(m.b, m.loc, l, r);
    return arith::MinimumFOp::create(m.b, m.loc, l, r);
  }
  if (isUnsigned(type)) {
    if (isMax)
      return arith::MaxUIOp::create(m.b, m.loc, l, r);
    return arith::MinUIOp::create(m.b, m.loc, l, r);
  }
  return isMax ? m.max(l, r) : m.min(l, r);
}

//===----------------------------------------------------------------------===//
// One input, of any number type
//===----------------------------------------------------------------------===//

static LogicalResult unary(NodeContext &c,
                           function_ref<Value(BodyMath &, Value)> f) {
  DType type = c.in(0).dtype;
  return c.result(elementwiseTo(c, &c.in(0), c.in(0).sizes, type,
                                [&](OpBuilder &b, Location loc, ValueRange a) {
                                  BodyMath m{b, loc};
                                  return f(m, a[0]);
                                }));
}

static LogicalResult neg(NodeContext &c) {
  DType type = c.in(0).dtype;
  if (type == DType::i1)
    return c.invalid("input must be a number");
  if (onHost(c, &c.in(0)))
    return hostElementwise(c, &c.in(0), type, [&](ArrayRef<OpFoldResult> a) {
      return c.idx.sub(c.idx.constant(0), a[0]);
    });
  return unary(c, [&](BodyMath &m, Value x) -> Value {
    if (isFloat(type))
      return arith::NegFOp::create(m.b, m.loc, x);
    return m.sub(m.integer(x.getType(), 0), x);
  });
}

static LogicalResult abs(NodeContext &c) {
  DType type = c.in(0).dtype;
  if (isUnsigned(type))
    return c.result(&c.in(0));
  return unary(c, [&](BodyMath &m, Value x) -> Value {
    if (isFloat(type))
      return math::AbsFOp::create(m.b, m.loc, x);
    return math::AbsIOp::create(m.b, m.loc, x);
  });
}

static LogicalResult sign(NodeContext &c) {
  DType type = c.in(0).dtype;
  return unary(c, [&](BodyMath &m, Value x) -> Value {
    Type t = x.getType();
    Value zero = m.constant(t, 0), one = m.constant(t, 1);
    if (isUnsigned(type))
      return m.select(m.eq(x, zero), zero, one);
    Value minus = m.constant(t, -1);
    if (!isFloat(type))
      return m.select(m.lt(x, zero), minus, m.select(m.eq(x, zero), zero, one));
    auto cmp = [&](arith::CmpFPredicate p) -> Value {
      return arith::CmpFOp::create(m.b, m.loc, p, x, zero);
    };
    // NaN and zeros stay.
    Value y = m.select(cmp(arith::CmpFPredicate::OGT), one, x);
    return m.select(cmp(arith::CmpFPredicate::OLT), minus, y);
  });
}

static LogicalResult relu(NodeContext &c) {
  DType type = c.in(0).dtype;
  if (type == DType::i1)
    return c.invalid("input must be a number");
  return unary(c, [&](BodyMath &m, Value x) {
    return extreme<true>(m, type, x, m.constant(x.getType(), 0));
  });
}

static LogicalResult logicalNot(NodeContext &c) {
  if (c.in(0).dtype != DType::i1)
    return c.invalid("input must be bool");
  if (onHost(c, &c.in(0)))
    return hostElementwise(c, &c.in(0), DType::i1,
                           [&](ArrayRef<OpFoldResult> a) {
                             return c.idx.eq(a[0], c.idx.constant(0));
                           });
  return unary(c, [](BodyMath &m, Value x) -> Value {
    return arith::XOrIOp::create(m.b, m.loc, x, m.integer(x.getType(), 1));
  });
}

static LogicalResult bitwiseNot(NodeContext &c) {
  if (!isInteger(c.in(0).dtype))
    return c.invalid("input must be an integer");
  return unary(c, [](BodyMath &m, Value x) -> Value {
    return arith::XOrIOp::create(m.b, m.loc, x, m.integer(x.getType(), -1));
  });
}

//===----------------------------------------------------------------------===//
// Where, Clip, PRelu
//===----------------------------------------------------------------------===//

static LogicalResult where(NodeContext &c) {
  if (c.in(0).dtype != DType::i1)
    return c.invalid("the condition must be bool");
  if (failed(c.requireSameType(1, 2)))
    return failure();
  ImportValue *ins[] = {&c.in(0), &c.in(1), &c.in(2)};
  if (onHost(c, ins))
    return hostElementwise(c, ins, c.in(1).dtype,
                           [&](ArrayRef<OpFoldResult> a) {
                             return c.idx.select(a[0], a[1], a[2]);
                           });
  return c.result(elementwise(
      c, ins, c.in(1).dtype, [&](OpBuilder &b, Location loc, ValueRange a) {
        return BodyMath{b, loc}.select(a[0], a[1], a[2]);
      }));
}

static LogicalResult clip(NodeContext &c) {
  DType type = c.in(0).dtype;
  if (type == DType::i1)
    return c.invalid("input must be a number");
  SmallVector<ImportValue *> ins{&c.in(0)};
  int at[2] = {-1, -1};
  for (int i : {1, 2})
    if (c.opset >= 11 && c.has(i)) {
      if (failed(c.requireSameType(0, i)))
        return failure();
      if (c.in(i).count() != 1)
        return c.invalid("min and max must be scalars");
      at[i - 1] = ins.size();
      ins.push_back(reshape(c, c.in(i), {}));
    }
  bool attrs = c.opset < 11;
  double lo = c.floatAttr("min", 0), hi = c.floatAttr("max", 0);
  bool hasLo = attrs && c.hasAttr("min"), hasHi = attrs && c.hasAttr("max");
  return c.result(elementwiseTo(
      c, ins, c.in(0).sizes, type,
      [&](OpBuilder &b, Location loc, ValueRange a) {
        BodyMath m{b, loc};
        Value x = a[0];
        if (at[0] >= 0)
          x = extreme<true>(m, type, x, a[at[0]]);
        else if (hasLo)
          x = extreme<true>(m, type, x, m.constant(x.getType(), lo));
        if (at[1] >= 0)
          x = extreme<false>(m, type, x, a[at[1]]);
        else if (hasHi)
          x = extreme<false>(m, type, x, m.constant(x.getType(), hi));
        return x;
      }));
}

static LogicalResult prelu(NodeContext &c) {
  if (failed(c.requireSameType(0, 1)))
    return failure();
  DType type = c.in(0).dtype;
  if (type == DType::i1)
    return c.invalid("input must be a number");
  ImportValue *slope = &c.in(1);
  // Before opset 7 a vector is per channel.
  if (c.opset < 7 && slope->rank() == 1 && c.in(0).rank() > 2) {
    Sizes sizes = slope->sizes;
    sizes.append(c.in(0).rank() - 2, c.idx.constant(1));
    slope = reshape(c, *slope, sizes);
  }
  ImportValue *ins[] = {&c.in(0), slope};
  return c.result(elementwise(
      c, ins, type, [&](OpBuilder &b, Location loc, ValueRange a) -> Value {
        BodyMath m{b, loc};
        Value zero = m.constant(a[0].getType(), 0);
        if (isFloat(type)) {
          Value low = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT,
                                            a[0], zero);
          return m.select(low, arith::MulFOp::create(b, loc, a[0], a[1]), a[0]);
        }
        if (isUnsigned(type))
          return a[0];
        return m.select(m.lt(a[0], zero), m.mul(a[0], a[1]), a[0]);
      }));
}

#define HOST(fn)                                                               \
  [](IndexMath &i, OpFoldResult l, OpFoldResult r) -> OpFoldResult {           \
    return i.fn(l, r);                                                         \
  }

template <typename FloatOp, typename IntOp, int which>
static LogicalResult addSubMul(NodeContext &c) {
  if (c.in(0).dtype == DType::i1)
    return c.invalid("inputs must be numbers");
  static const HostFn host[] = {HOST(add), HOST(sub), HOST(mul)};
  // The product of two u32 may be too large for the host's signed 64 bits.
  bool large = which == 2 && c.in(0).dtype == DType::u32;
  return binary(c, arithmetic<FloatOp, IntOp>, large ? nullptr : host[which]);
}

namespace isthmus {
void registerElementwiseOps(Registry &r) {
  r.add("Add", 2, addSubMul<arith::AddFOp, arith::AddIOp, 0>);
  r.add("Sub", 2, addSubMul<arith::SubFOp, arith::SubIOp, 1>);
  r.add("Mul", 2, addSubMul<arith::MulFOp, arith::MulIOp, 2>);
  r.add("Div", 2, [](NodeContext &c) {
    if (c.in(0).dtype == DType::i1)
      return c.invalid("inputs must be numbers");
    return binary(c, divide, c.in(0).dtype == DType::u64 ? nullptr : HOST(div));
  });
  r.add("Mod", 2, mod);
  r.add("Pow", 2, pow);
  using I = arith::CmpIPredicate;
  using Fp = arith::CmpFPredicate;
  r.add("Equal", 2, comparison<I::eq, I::eq, Fp::OEQ>);
  r.add("Less", 2, comparison<I::slt, I::ult, Fp::OLT>);
  r.add("LessOrEqual", 2, comparison<I::sle, I::ule, Fp::OLE>);
  r.add("Greater", 2, comparison<I::sgt, I::ugt, Fp::OGT>);
  r.add("GreaterOrEqual", 2, comparison<I::sge, I::uge, Fp::OGE>);
  r.add("And", 2, logical<arith::AndIOp>);
  r.add("Or", 2, logical<arith::OrIOp>);
  r.add("Xor", 2, logical<arith::XOrIOp>);
  r.add("BitwiseAnd", 2, bitwise<arith::AndIOp>);
  r.add("BitwiseOr", 2, bitwise<arith::OrIOp>);
  r.add("BitwiseXor", 2, bitwise<arith::XOrIOp>);
  r.add("BitwiseNot", 1, bitwiseNot);
  r.add("BitShift", 2, bitShift);
  r.add("Sum", 1, [](NodeContext &c) {
    return variadic(c, arithmetic<arith::AddFOp, arith::AddIOp>, HOST(add));
  });
  r.add("Mean", 1, [](NodeContext &c) {
    return variadic(c, arithmetic<arith::AddFOp, arith::AddIOp>, nullptr, true);
  });
  r.add("Max", 1,
        [](NodeContext &c) { return variadic(c, extreme<true>, HOST(max)); });
  r.add("Min", 1,
        [](NodeContext &c) { return variadic(c, extreme<false>, HOST(min)); });
  r.add("Neg", 1, neg);
  r.add("Abs", 1, abs);
  r.add("Sign", 1, sign);
  r.add("Relu", 1, relu);
  r.add("Not", 1, logicalNot);
  r.add("Where", 3, where);
  r.add("Clip", 1, clip);
  r.add("PRelu", 2, prelu);
}
} // namespace isthmus
