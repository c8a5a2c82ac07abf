//===- Ops/Training.cpp - steps of optimizers ------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/BodyFloats.h"

using namespace mlir;
using namespace isthmus;

/// (math, rate, step count as a float, step count > 0, tensors) -> results, one
/// for each tensor but the gradient.
using StepFn = llvm::function_ref<SmallVector<Value>(BodyFloats &, Value, Value,
                                                     Value, ArrayRef<Value>)>;

/// Inputs are the rate, the step count, then for each kind of tensor (the
/// weights, the gradients, the states) one of each weight.
static LogicalResult optimizer(NodeContext &c, int64_t kinds, StepFn step) {
  DType rate = c.in(0).dtype, count = c.in(1).dtype;
  if (!isFloat(rate) || count != DType::i64 || c.in(0).count() != 1 ||
      c.in(1).count() != 1)
    return c.invalid("R must be a float scalar and T an i64 scalar");
  int64_t n = (c.numInputs() - 2) / kinds;
  if (n < 1 || c.numInputs() != 2 + n * kinds)
    return c.invalid("has the wrong number of inputs");
  ImportValue *scalars[] = {reshape(c, c.in(0), {}), reshape(c, c.in(1), {})};
  for (int64_t i = 0; i < n; ++i) {
    SmallVector<ImportValue *> ins(std::begin(scalars), std::end(scalars));
    for (int64_t k = 0; k < kinds; ++k) {
      int at = 2 + k * n + i;
      if (!c.has(at))
        return c.invalid("input " + Twine(at) + " is missing");
      if (failed(c.requireFloat(at)) || failed(c.requireSameType(2 + i, at)))
        return failure();
      if (c.in(at).rank() != c.in(2 + i).rank())
        return c.invalid("the tensors of a weight must have one shape");
      for (auto [l, r] : llvm::zip_equal(c.in(at).sizes, c.in(2 + i).sizes))
        if (!IndexMath::same(l, r) &&
            failed(c.check(c.idx.eq(l, r),
                           "the tensors of a weight must have one shape")))
          return failure();
      ins.push_back(&c.in(at));
    }
    ImportValue &x = c.in(2 + i);
    DType type = x.dtype, acc = accumulatorType(type);
    SmallVector<ParallelOut> outs(kinds - 1, ParallelOut{type, x.sizes});
    auto r =
        buildParallel(c, c.op(), x.sizes, ins, {}, outs, [&](ParallelBody &p) {
          BodyFloats f(p.b, p.loc, acc);
          Value t = p.load(1, {});
          SmallVector<Value> tensors;
          for (int64_t k = 0; k < kinds; ++k)
            tensors.push_back(p.cast(p.load(2 + k, p.ivs), type, acc));
          auto values = step(f, p.cast(p.load(0, {}), rate, acc), f.fromInt(t),
                             p.lt(p.integer(t.getType(), 0), t), tensors);
          for (auto [k, v] : llvm::enumerate(values))
            p.store(p.cast(v, acc, type), p.ivs, k);
        });
    for (auto [k, v] : llvm::enumerate(r))
      (void)c.result(v, k * n + i);
  }
  return success();
}

static LogicalResult adagrad(NodeContext &c) {
  double decay = c.floatAttr("decay_factor", 0),
         epsilon = c.floatAttr("epsilon", 1e-6f),
         norm = c.floatAttr("norm_coefficient", 0);
  return optimizer(c, 3,
                   [&](BodyFloats &f, Value r, Value t, Value,
                       ArrayRef<Value> v) -> SmallVector<Value> {
                     r = f.divf(r, f.addf(f.k(1), f.mulf(t, f.k(decay))));
                     Value g = f.addf(f.mulf(f.k(norm), v[0]), v[1]);
                     Value h = f.addf(v[2], f.mulf(g, g));
                     Value by = f.addf(f.sqrt(h), f.k(epsilon));
                     return {f.subf(v[0], f.divf(f.mulf(r, g), by)), h};
                   });
}

static LogicalResult adam(NodeContext &c) {
  double alpha = c.floatAttr("alpha", 0.9f), beta = c.floatAttr("beta", 0.999f),
         epsilon = c.floatAttr("epsilon", 1e-6f),
         norm = c.floatAttr("norm_coefficient", 0),
         post = c.floatAttr("norm_coefficient_post", 0);
  return optimizer(
      c, 4,
      [&](BodyFloats &f, Value r, Value t, Value started,
          ArrayRef<Value> x) -> SmallVector<Value> {
        Value g = f.addf(f.mulf(f.k(norm), x[0]), x[1]);
        Value v = f.addf(f.mulf(f.k(alpha), x[2]), f.mulf(f.k(1 - alpha), g));
        Value h = f.addf(f.mulf(f.k(beta), x[3]),
                         f.mulf(f.k(1 - beta), f.mulf(g, g)));
        auto left = [&](double base) {
          return f.subf(f.k(1), f.op<math::PowFOp>(f.k(base), t));
        };
        Value adjusted = f.divf(f.mulf(r, f.sqrt(left(beta))), left(alpha));
        Value rate = f.select(started, adjusted, r);
        Value by = f.addf(f.sqrt(h), f.k(epsilon));
        Value next = f.subf(x[0], f.mulf(rate, f.divf(v, by)));
        return {f.mulf(f.k(1 - post), next), v, h};
      });
}

static LogicalResult momentum(NodeContext &c) {
  for (StringRef name : {"alpha", "beta", "norm_coefficient", "mode"})
    if (!c.hasAttr(name))
      return c.invalid("has no " + name);
  double alpha = c.floatAttr("alpha", 0), beta = c.floatAttr("beta", 0),
         norm = c.floatAttr("norm_coefficient", 0);
  std::string mode = c.stringAttr("mode", "");
  if (mode != "standard" && mode != "nesterov")
    return c.invalid("mode is '" + mode + "'");
  return optimizer(c, 3,
                   [&](BodyFloats &f, Value r, Value, Value started,
                       ArrayRef<Value> x) -> SmallVector<Value> {
                     Value g = f.addf(f.mulf(f.k(norm), x[0]), x[1]);
                     Value by = f.select(started, f.k(beta), f.k(1));
                     Value v = f.addf(f.mulf(f.k(alpha), x[2]), f.mulf(by, g));
                     Value step = mode == "standard"
                                      ? v
                                      : f.addf(g, f.mulf(f.k(alpha), v));
                     return {f.subf(x[0], f.mulf(r, step)), v};
                   });
}

namespace isthmus {
void registerTrainingOps(Registry &r) {
  const int64_t newest = std::numeric_limits<int64_t>::max();
  StringRef domain = "ai.onnx.preview.training";
  r.add("Adagrad", 5, adagrad, 1, newest, domain);
  r.add("Adam", 6, adam, 1, newest, domain);
  r.add("Momentum", 5, momentum, 1, newest, domain);
}
} // namespace isthmus
