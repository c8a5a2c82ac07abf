//===- Ops/Gelu.cpp - onnxruntime's activations --------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/OpHelpers.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace isthmus;

using P = arith::CmpIPredicate;

static LogicalResult biasedGelu(NodeContext &c, bool fast) {
  if (failed(c.requireFloat(0)))
    return failure();
  SmallVector<ImportValue *> ins{&c.in(0)};
  if (c.has(1)) {
    if (failed(c.requireSameType(0, 1)))
      return failure();
    ins.push_back(&c.in(1));
  }
  DType type = c.in(0).dtype, wide = accumulatorType(type);
  return c.result(
      elementwise(c, ins, type, [&](OpBuilder &b, Location loc, ValueRange a) {
        FloatOps f(b, loc, wide);
        Value x = f.cast(a[0], type, wide);
        if (a.size() > 1)
          x = f.addf(x, f.cast(a[1], type, wide));
        return f.cast(fast ? f.fastGelu(x) : f.gelu(x), wide, type);
      }));
}

static LogicalResult quickGelu(NodeContext &c) {
  if (failed(c.requireFloat(0)))
    return failure();
  double alpha = c.floatAttr("alpha", 1.702f);
  DType type = c.in(0).dtype, wide = accumulatorType(type);
  return c.result(elementwiseTo(c, &c.in(0), c.in(0).sizes, type,
                                [&](OpBuilder &b, Location loc, ValueRange a) {
                                  FloatOps f(b, loc, wide);
                                  Value x = f.cast(a[0], type, wide);
                                  Value y = f.mulf(
                                      x, f.sigmoid(f.mulf(x, f.k(alpha))));
                                  return f.cast(y, wide, type);
                                }));
}

namespace isthmus {
void registerGeluOps(Registry &r) {
  auto ms = [&](StringRef name, int inputs, OpHandler handler) {
    r.add(name, inputs, handler, 1, std::numeric_limits<int64_t>::max(),
          "com.microsoft");
  };
  ms("Gelu", 1, [](NodeContext &c) { return biasedGelu(c, false); });
  ms("BiasGelu", 2, [](NodeContext &c) { return biasedGelu(c, false); });
  ms("FastGelu", 1, [](NodeContext &c) { return biasedGelu(c, true); });
  ms("QuickGelu", 1, quickGelu);
}
} // namespace isthmus
