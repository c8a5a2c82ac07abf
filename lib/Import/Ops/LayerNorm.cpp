//===- Ops/LayerNorm.cpp - normalizations by the input's own statistics ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/OpHelpers.h"

using namespace mlir;
using namespace isthmus;

/// 1 / sqrt(variance + epsilon)
static ImportValue *inverseDeviation(NodeContext &c, ImportValue &variance,
                                     double epsilon) {
  DType type = variance.dtype;
  return elementwiseTo(c, &variance, variance.sizes, type,
                       [&](OpBuilder &b, Location loc, ValueRange a) {
                         FloatOps f(b, loc, type);
                         return f.divf(f.k(1),
                                       f.sqrt(f.addf(a[0], f.k(epsilon))));
                       });
}

namespace {
/// (x - mean) * inverse * scale + bias; what is null is left out.
struct Normalized {
  ImportValue &x;
  ArrayRef<int64_t> axes; // that mean and inverse do not have
  ImportValue *mean, *inverse;
  std::optional<Access> scale, bias;

  ImportValue *build(NodeContext &c) {
    DType type = x.dtype, wide = accumulatorType(type);
    SmallVector<AffineExpr> full = dimExprs(c, x.rank()),
                            row = dimExprs(c, x.rank(), axes);
    SmallVector<Access> ins{Access{&x, full}, Access{inverse, row}};
    if (mean)
      ins.push_back(Access{mean, row});
    if (scale)
      ins.push_back(*scale);
    if (bias)
      ins.push_back(*bias);
    return generic(c, ins, x.sizes, type,
                   [&](OpBuilder &b, Location loc, ValueRange a) {
                     FloatOps f(b, loc, wide);
                     auto fast = arith::FastMathFlags::contract;
                     Value y = f.cast(a[0], type, wide);
                     int next = 2;
                     if (mean)
                       y = f.subf(y, a[next++]);
                     y = f.mulf(y, a[1]);
                     if (scale) {
                       Value s = f.cast(a[next++], scale->value->dtype, wide);
                       y = arith::MulFOp::create(b, loc, y, s, fast);
                     }
                     if (bias) {
                       Value s = f.cast(a[next++], bias->value->dtype, wide);
                       y = arith::AddFOp::create(b, loc, y, s, fast);
                     }
                     return f.cast(y, wide, type);
                   });
  }
};
} // namespace

/// Over the dims from `axis` on. Gives outputs 0 (y), `meanOut` and
/// `inverseOut` (below 0: has none).
static LogicalResult layerNorm(NodeContext &c, ImportValue &x, int64_t axis,
                               int scaleIn, int biasIn, bool center,
                               double epsilon, int meanOut, int inverseOut) {
  if (!isFloat(x.dtype))
    return c.invalid("the input must be a float tensor");
  auto first = c.axis(axis, x.rank());
  if (failed(first))
    return failure();
  SmallVector<int64_t> axes =
      llvm::to_vector(llvm::seq<int64_t>(*first, x.rank()));
  std::optional<Access> scale, bias;
  for (auto [i, slot] :
       {std::pair<int, std::optional<Access> *>{scaleIn, &scale},
        {biasIn, &bias}}) {
    if (i < 0 || !c.has(i))
      continue;
    if (failed(c.requireFloat(i)))
      return failure();
    auto access = broadcastAccess(c, c.in(i), x.sizes);
    if (failed(access))
      return failure();
    *slot = *access;
  }
  Moments m = momentsOf(c, x, axes, center);
  ImportValue *inverse = inverseDeviation(c, *m.variance, epsilon);
  (void)c.result(Normalized{x, axes, m.mean, inverse, scale, bias}.build(c));
  // stash_type is the type of the statistics.
  int64_t stash = c.intAttr("stash_type", 1);
  DType type = stash == 16   ? DType::bf16
               : stash == 11 ? DType::f64
                             : DType::f32;
  for (auto [i, v] :
       {std::pair<int, ImportValue *>{meanOut, m.mean}, {inverseOut, inverse}})
    if (v && i > 0 && c.wants(i))
      (void)c.result(keepDims(c, *castTo(c, *v, type), axes, x.rank()), i);
  return success();
}

static LogicalResult layerNormalization(NodeContext &c) {
  return layerNorm(c, c.in(0), c.intAttr("axis", -1), 1, 2, true,
                   c.floatAttr("epsilon", 1e-5f), 1, 2);
}

static LogicalResult rmsNormalization(NodeContext &c) {
  return layerNorm(c, c.in(0), c.intAttr("axis", -1), 1, -1, false,
                   c.floatAttr("epsilon", 1e-5f), -1, 1);
}

/// com.microsoft: (input + skip + bias), then a norm over the last dim.
static LogicalResult skipNorm(NodeContext &c, bool center) {
  // SkipLayerNormalization: gamma, beta, bias; the simplified one has no beta.
  int biasIn = center ? 4 : 3;
  SmallVector<ImportValue *> ins{&c.in(0), &c.in(1)};
  if (c.has(biasIn))
    ins.push_back(&c.in(biasIn));
  ImportValue &x = c.in(0);
  for (ImportValue *v : ins) {
    if (v->dtype != x.dtype || !isFloat(v->dtype))
      return c.invalid("inputs must be float tensors of one type");
    if (v->rank() > x.rank())
      return c.invalid("skip has a higher rank than the input");
  }
  for (ImportValue *v : ins)
    if (failed(broadcastAccess(c, *v, x.sizes)))
      return failure();
  DType type = x.dtype, wide = accumulatorType(type);
  ImportValue *sum = elementwiseTo(
      c, ins, x.sizes, type, [&](OpBuilder &b, Location loc, ValueRange a) {
        FloatOps f(b, loc, wide);
        Value y = f.cast(a[0], type, wide);
        for (Value v : a.drop_front())
          y = f.addf(y, f.cast(v, type, wide));
        return f.cast(y, wide, type);
      });
  if (c.wants(3))
    (void)c.result(sum, 3);
  return layerNorm(c, *sum, -1, 2, center ? 3 : -1, center,
                   c.floatAttr("epsilon", 1e-12f), 1, 2);
}

static LogicalResult instanceNormalization(NodeContext &c) {
  ImportValue &x = c.in(0);
  for (int i : {0, 1, 2})
    if (failed(c.requireFloat(i)))
      return failure();
  if (x.rank() < 3)
    return c.invalid("input must have a batch, a channel and a spatial dim");
  std::optional<Access> vectors[2];
  for (int i : {1, 2}) {
    if (c.in(i).rank() != 1)
      return c.invalid("input " + Twine(i) + " must be a vector");
    if (failed(
            c.check(c.idx.eq(c.in(i).sizes[0], x.sizes[1]),
                    "input " + Twine(i) + " has another number of channels")))
      return failure();
    vectors[i - 1] = Access{&c.in(i), {getAffineDimExpr(1, c.b.getContext())}};
  }
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(2, x.rank()));
  Moments m = momentsOf(c, x, axes);
  ImportValue *inverse =
      inverseDeviation(c, *m.variance, c.floatAttr("epsilon", 1e-5f));
  return c.result(
      Normalized{x, axes, m.mean, inverse, vectors[0], vectors[1]}.build(c));
}

static LogicalResult groupNormalization(NodeContext &c) {
  ImportValue &x = c.in(0);
  for (int i : {0, 1, 2})
    if (failed(c.requireFloat(i)))
      return failure();
  int64_t groups = c.intAttr("num_groups", 0);
  if (x.rank() < 2 || groups < 1)
    return c.invalid("needs channels and num_groups");
  if (failed(c.check(c.idx.eq(c.idx.rem(x.sizes[1], c.idx.constant(groups)),
                              c.idx.constant(0)),
                     "the channels do not divide into groups")))
    return failure();
  OpFoldResult perGroup = c.idx.div(x.sizes[1], c.idx.constant(groups));
  Sizes sizes{x.sizes[0], c.idx.constant(groups), perGroup};
  sizes.append(x.sizes.begin() + 2, x.sizes.end());
  // Before opset 21 there is a scale per group.
  bool perChannel = c.opset >= 21;
  std::optional<Access> vectors[2];
  MLIRContext *context = c.b.getContext();
  for (int i : {1, 2}) {
    if (c.in(i).rank() != 1)
      return c.invalid("input " + Twine(i) + " must be a vector");
    OpFoldResult want = perChannel ? x.sizes[1] : c.idx.constant(groups);
    if (failed(c.check(c.idx.eq(c.in(i).sizes[0], want),
                       "input " + Twine(i) + " has the wrong length")))
      return failure();
    if (perChannel)
      vectors[i - 1] =
          Access{reshape(c, c.in(i), {sizes[1], sizes[2]}),
                 {getAffineDimExpr(1, context), getAffineDimExpr(2, context)}};
    else
      vectors[i - 1] = Access{&c.in(i), {getAffineDimExpr(1, context)}};
  }
  ImportValue *grouped = reshape(c, x, sizes);
  SmallVector<int64_t> axes =
      llvm::to_vector(llvm::seq<int64_t>(2, grouped->rank()));
  Moments m = momentsOf(c, *grouped, axes);
  ImportValue *inverse =
      inverseDeviation(c, *m.variance, c.floatAttr("epsilon", 1e-5f));
  ImportValue *y =
      Normalized{*grouped, axes, m.mean, inverse, vectors[0], vectors[1]}.build(
          c);
  return c.result(reshape(c, *y, x.sizes));
}

static LogicalResult meanVarianceNormalization(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (failed(c.requireFloat(0)))
    return failure();
  auto axes = c.axes(c.intsAttr("axes").value_or(SmallVector<int64_t>{0, 2, 3}),
                     x.rank());
  if (failed(axes))
    return failure();
  Moments m = momentsOf(c, x, *axes);
  DType wide = m.variance->dtype;
  ImportValue *inverse =
      elementwiseTo(c, m.variance, m.variance->sizes, wide,
                    [&](OpBuilder &b, Location loc, ValueRange a) {
                      FloatOps f(b, loc, wide);
                      return f.divf(f.k(1), f.addf(f.sqrt(a[0]), f.k(1e-9)));
                    });
  return c.result(Normalized{x, *axes, m.mean, inverse, {}, {}}.build(c));
}

static LogicalResult lpNormalization(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (failed(c.requireFloat(0)))
    return failure();
  int64_t p = c.intAttr("p", 2);
  if (p != 1 && p != 2)
    return c.invalid("p must be 1 or 2");
  auto axis = c.axis(c.intAttr("axis", -1), x.rank());
  if (failed(axis))
    return failure();
  DType type = x.dtype, wide = accumulatorType(type);
  Reduction sum = sumReduction(c, type);
  sum.map = [p](OpBuilder &b, Location loc, Value v) -> Value {
    if (p == 1)
      return math::AbsFOp::create(b, loc, v);
    return arith::MulFOp::create(b, loc, v, v);
  };
  ImportValue *norm = reduce(c, x, *axis, sum);
  if (p == 2)
    norm = elementwiseTo(c, norm, norm->sizes, wide,
                         [&](OpBuilder &b, Location loc, ValueRange a) {
                           return FloatOps(b, loc, wide).sqrt(a[0]);
                         });
  return c.result(
      generic(c,
              {Access{&x, dimExprs(c, x.rank())},
               Access{norm, dimExprs(c, x.rank(), *axis)}},
              x.sizes, type, [&](OpBuilder &b, Location loc, ValueRange a) {
                FloatOps f(b, loc, wide);
                Value zero = f.k(0);
                Value isZero = f.equal(a[1], zero);
                Value y = f.divf(f.cast(a[0], type, wide), a[1]);
                return f.cast(f.select(isZero, zero, y), wide, type);
              }));
}

/// y = x / (bias + alpha / size * sum of squares of channels near by)^beta
static LogicalResult lrn(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (failed(c.requireFloat(0)))
    return failure();
  int64_t size = c.intAttr("size", 0);
  if (x.rank() < 2 || size < 1 || size > (1 << 20))
    return c.invalid("needs channels and a size of at least 1");
  double alpha = c.floatAttr("alpha", 1e-4f), beta = c.floatAttr("beta", 0.75f),
         bias = c.floatAttr("bias", 1.0f);
  DType type = x.dtype, wide = accumulatorType(type);
  int64_t before = (size - 1) / 2;
  auto results = buildParallel(
      c, "LRN", x.sizes, &x, x.sizes[1], ParallelOut{type, x.sizes},
      [&](ParallelBody &p) {
        FloatOps f(p.b, p.loc, wide);
        Value channel = p.ivs[1];
        Value lo = p.max(p.sub(channel, p.index(before)), p.index(0));
        Value hi = p.min(p.add(channel, p.index(size - before)), p.scalars[0]);
        Value sum = p.loop(p.sub(hi, lo), f.k(0), [&](Value i, ValueRange s) {
          SmallVector<Value> at = p.ivs;
          at[1] = p.add(lo, i);
          Value v = f.cast(p.load(0, at), type, wide);
          return SmallVector<Value>{f.addf(s[0], f.mulf(v, v))};
        })[0];
        Value base = f.addf(f.k(bias), f.mulf(f.k(alpha / double(size)), sum));
        Value y = f.divf(f.cast(p.load(0, p.ivs), type, wide),
                         f.powConst(base, beta));
        p.store(f.cast(y, wide, type), p.ivs);
      });
  return c.result(results[0]);
}

namespace isthmus {
void registerLayerNormOps(Registry &r) {
  constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
  r.add("LayerNormalization", 2, layerNormalization);
  r.add("RMSNormalization", 2, rmsNormalization);
  // onnxruntime's own operators; this one lives in the default domain there.
  r.add("SimplifiedLayerNormalization", 2, rmsNormalization);
  r.add("SimplifiedLayerNormalization", 2, rmsNormalization, 1, kAny,
        "com.microsoft");
  r.add(
      "SkipLayerNormalization", 3,
      [](NodeContext &c) { return skipNorm(c, true); }, 1, kAny,
      "com.microsoft");
  r.add(
      "SkipSimplifiedLayerNormalization", 3,
      [](NodeContext &c) { return skipNorm(c, false); }, 1, kAny,
      "com.microsoft");
  r.add("InstanceNormalization", 3, instanceNormalization);
  r.add("GroupNormalization", 3, groupNormalization, 18);
  r.add("MeanVarianceNormalization", 1, meanVarianceNormalization);
  r.add("LpNormalization", 1, lpNormalization);
  r.add("LRN", 1, lrn);
}
} // namespace isthmus
