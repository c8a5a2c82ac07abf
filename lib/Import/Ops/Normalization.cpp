//===- Ops/Normalization.cpp - BatchNormalization, Softmax ----------- ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/OpHelpers.h"

using namespace mlir;
using namespace isthmus;

static LogicalResult batchNormalization(NodeContext &c) {
  ImportValue &x = c.in(0);
  bool isTraining = c.opset >= 14 && c.intAttr("training_mode", 0);
  if (c.opset < 7 && !c.intAttr("is_test", 0) && c.wants(1))
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
  double epsilon = c.floatAttr("epsilon", 1e-5f);
  if (isTraining) {
    // The batch's own mean and variance, and a step of the running ones.
    SmallVector<int64_t> over{0};
    for (int64_t i = 2; i < x.rank(); ++i)
      over.push_back(i);
    Moments batch = momentsOf(c, x, over);
    double momentum = c.floatAttr("momentum", 0.9f);
    ImportValue *now[] = {batch.mean, batch.variance};
    for (int k : {0, 1}) {
      ImportValue *old = ins[3 + k], *pair[] = {old, now[k]};
      if (c.wants(1 + k))
        (void)c.result(
            elementwiseTo(c, pair, old->sizes, old->dtype,
                          [&](OpBuilder &b, Location loc, ValueRange a) {
                            FloatOps f(b, loc, wide);
                            Value y =
                                f.addf(f.mulf(f.cast(a[0], old->dtype, wide),
                                              f.k(momentum)),
                                       f.mulf(a[1], f.k(1 - momentum)));
                            return f.cast(y, wide, old->dtype);
                          }),
            1 + k);
      ins[3 + k] = now[k];
    }
  }
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
  return c.result(softmaxOf(c, x, axes, isLog, x.dtype));
}

namespace isthmus {
void registerNormalizationOps(Registry &r) {
  r.add("BatchNormalization", 5, batchNormalization);
  r.add("Softmax", 1, softmax);
  r.add("LogSoftmax", 1, softmax);
}
} // namespace isthmus
