//===- Ops/Normalization.cpp - BatchNormalization, Softmax ----------- ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Emit.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace isthmus;

static LogicalResult batchNormalization(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (c.opset >= 14 ? c.intAttr("training_mode", 0)
                    : c.opset < 7 && !c.intAttr("is_test", 0) && c.wants(1))
    return c.unsupported("training mode", "export the model for inference");
  if (c.opset < 9 && !c.intAttr("spatial", 1))
    return c.unsupported("spatial = 0");
  if (x.rank() < 2)
    return c.invalid("input must have a channel dim");
  SmallVector<ImportValue *> ins{&x};
  for (int i = 0; i < 5; ++i) {
    if (failed(c.requireFloat(i)))
      return failure();
    if (i == 0)
      continue;
    ImportValue &v = c.in(i);
    if (v.rank() != 1)
      return c.invalid("input " + Twine(i) + " must be a vector");
    if (failed(
            c.check(c.idx.eq(v.sizes[0], x.sizes[1]),
                    "input " + Twine(i) + " has another number of channels")))
      return failure();
    ins.push_back(&v);
  }
  DType type = x.dtype, wide = accumulatorType(type);
  for (ImportValue *v : ins)
    if (v->dtype == DType::f32 && wide != DType::f64)
      wide = DType::f32;
  double epsilon = c.floatAttr("epsilon", 1e-5f);
  SmallVector<Access> reads;
  MLIRContext *context = c.b.getContext();
  for (ImportValue *v : ins) {
    Access a{v, {}};
    if (v == &x)
      for (int64_t i = 0; i < x.rank(); ++i)
        a.at.push_back(getAffineDimExpr(i, context));
    else
      a.at.push_back(getAffineDimExpr(1, context));
    reads.push_back(a);
  }
  return c.result(generic(
      c, reads, x.sizes, type,
      [&](OpBuilder &b, Location loc, ValueRange args) -> Value {
        BodyMath m{b, loc};
        SmallVector<Value> a;
        for (auto [v, in] : llvm::zip(args, ins))
          a.push_back(m.cast(v, in->dtype, wide));
        // (x - mean) / sqrt(var + epsilon) * scale + bias
        auto fast = arith::FastMathFlags::contract;
        Value var = arith::AddFOp::create(b, loc, a[4],
                                          m.constant(a[4].getType(), epsilon));
        Value factor = arith::DivFOp::create(b, loc, a[1],
                                             math::SqrtOp::create(b, loc, var));
        Value y = arith::SubFOp::create(b, loc, a[0], a[3]);
        y = arith::MulFOp::create(b, loc, y, factor, fast);
        y = arith::AddFOp::create(b, loc, y, a[2], fast);
        return m.cast(y, wide, type);
      }));
}

/// y = e^(x - max) / sum, or x - max - log(sum).
static LogicalResult softmax(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (failed(c.requireFloat(0)))
    return failure();
  bool isLog = c.op() == "LogSoftmax";
  if (x.rank() == 0 && c.intAttr("axis", -1) != -1)
    return c.invalid("axis is out of range");
  int64_t rank = x.rank();
  SmallVector<int64_t> axes;
  // Before opset 13 everything from the axis on is one row.
  int64_t given = c.intAttr("axis", c.opset >= 13 ? -1 : 1);
  if (c.opset < 13 && given == rank) {
    // Rows of one element each.
  } else if (rank > 0) {
    auto axis = c.axis(given, rank);
    if (failed(axis))
      return failure();
    int64_t end = c.opset >= 13 ? *axis + 1 : rank;
    axes = llvm::to_vector(llvm::seq<int64_t>(*axis, end));
  }
  DType type = x.dtype, wide = accumulatorType(type);
  MLIRContext *context = c.b.getContext();
  SmallVector<AffineExpr> full, row;
  for (int64_t i = 0; i < rank; ++i) {
    full.push_back(getAffineDimExpr(i, context));
    if (!llvm::is_contained(axes, i))
      row.push_back(getAffineDimExpr(i, context));
  }
  ImportValue *top = reduce(c, x, axes, maxReduction(c, type));
  auto shifted = [&](BodyMath &m, Value v, Value max) -> Value {
    return arith::SubFOp::create(m.b, m.loc, m.cast(v, type, wide),
                                 m.cast(max, type, wide));
  };
  ImportValue *e = generic(
      c, {Access{&x, full}, Access{top, row}}, x.sizes, wide,
      [&](OpBuilder &b, Location loc, ValueRange a) {
        BodyMath m{b, loc};
        return Value(math::ExpOp::create(b, loc, shifted(m, a[0], a[1])));
      });
  ImportValue *sum = reduce(c, *e, axes, sumReduction(c, wide));
  if (isLog)
    return c.result(generic(
        c, {Access{&x, full}, Access{top, row}, Access{sum, row}}, x.sizes,
        type, [&](OpBuilder &b, Location loc, ValueRange a) {
          BodyMath m{b, loc};
          Value y = arith::SubFOp::create(b, loc, shifted(m, a[0], a[1]),
                                          math::LogOp::create(b, loc, a[2]));
          return m.cast(y, wide, type);
        }));
  return c.result(generic(
      c, {Access{e, full}, Access{sum, row}}, x.sizes, type,
      [&](OpBuilder &b, Location loc, ValueRange a) {
        BodyMath m{b, loc};
        return m.cast(arith::DivFOp::create(b, loc, a[0], a[1]), wide, type);
      }));
}

namespace isthmus {
void registerNormalizationOps(Registry &r) {
  r.add("BatchNormalization", 5, batchNormalization);
  r.add("Softmax", 1, softmax);
  r.add("LogSoftmax", 1, softmax);
}
} // namespace isthmus
