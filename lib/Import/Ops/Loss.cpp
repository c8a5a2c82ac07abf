//===- Ops/Loss.cpp - ArgMax, Hardmax, Dropout, losses, Det ---------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/OpHelpers.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;
using namespace isthmus;

//===----------------------------------------------------------------------===//
// Positions
//===----------------------------------------------------------------------===//

static LogicalResult argOp(NodeContext &c, bool isMax) {
  ImportValue &x = c.in(0);
  if (x.dtype == DType::i1)
    return c.invalid("input must be a number");
  auto axis = c.axis(c.intAttr("axis", 0), x.rank());
  if (failed(axis))
    return failure();
  if (failed(c.check(c.idx.cmp(arith::CmpIPredicate::sgt, x.sizes[*axis],
                               c.idx.constant(0)),
                     "the axis is empty")))
    return failure();
  ImportValue *y =
      argBest(c, x, *axis, isMax, c.intAttr("select_last_index", 0));
  if (c.intAttr("keepdims", 1))
    y = keepDims(c, *y, *axis, x.rank());
  return c.result(y);
}

/// 1 where the first of the largest elements of a row is, else 0.
static LogicalResult hardmax(NodeContext &c) {
  ImportValue *x = &c.in(0);
  if (failed(c.requireFloat(0)))
    return failure();
  if (x->rank() == 0)
    return c.invalid("input must not be a scalar");
  int64_t given = c.intAttr("axis", c.opset >= 13 ? -1 : 1);
  int64_t axis;
  if (c.opset < 13) {
    // Everything from the axis on is one row.
    if (given < -x->rank() || given > x->rank())
      return c.invalid("axis is out of range");
    if (given < 0)
      given += x->rank();
    ArrayRef<OpFoldResult> all(x->sizes);
    x = reshape(c, *x,
                {c.idx.product(all.take_front(given)),
                 c.idx.product(all.drop_front(given))});
    axis = 1;
  } else {
    auto a = c.axis(given, x->rank());
    if (failed(a))
      return failure();
    axis = *a;
  }
  ImportValue *best = argBest(c, *x, axis, /*isMax=*/true, /*last=*/false);
  DType type = x->dtype;
  ImportValue *y =
      generic(c, {Access{best, dimExprs(c, x->rank(), axis)}}, x->sizes, type,
              [&](OpBuilder &b, Location loc, ValueRange a) -> Value {
                FloatOps f(b, loc, type);
                Value i = linalg::IndexOp::create(b, loc, axis);
                return f.select(f.eq(i, f.toIndex(a[0])), f.k(1), f.k(0));
              });
  return c.result(reshape(c, *y, c.in(0).sizes));
}

//===----------------------------------------------------------------------===//
// Dropout
//===----------------------------------------------------------------------===//

static LogicalResult dropout(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (failed(c.requireFloat(0)))
    return failure();
  // Inference: nothing is dropped. So it is in training with a ratio of 0.
  if (c.opset >= 12 && c.has(2)) {
    ImportValue &training = c.in(2);
    if (training.dtype != DType::i1 || training.count() != 1)
      return c.invalid("training_mode must be one bool");
    bool off =
        training.scalars && IndexMath::known(training.scalars->front()) == 0;
    DenseElementsAttr known = c.importer.constant(training);
    if (known && !known.getValues<APInt>()[0].getBoolValue())
      off = true;
    const char *const next = "export the model for inference";
    if (!off) {
      // Without the input the ratio is 0.5.
      ImportValue *drops =
          training.rank() ? reshape(c, training, {}) : &training;
      if (c.has(1)) {
        if (!isFloat(c.in(1).dtype) || c.in(1).count() != 1)
          return c.invalid("ratio must be one float");
        DType type = c.in(1).dtype;
        ImportValue *ins[] = {drops, c.in(1).rank() ? reshape(c, c.in(1), {})
                                                    : &c.in(1)};
        drops = elementwiseTo(
            c, ins, {}, DType::i1,
            [&](OpBuilder &b, Location loc, ValueRange a) -> Value {
              FloatOps f(b, loc, type);
              return f.andi(a[0],
                            f.cmpf(arith::CmpFPredicate::UNE, a[1], f.k(0)));
            });
      }
      OpFoldResult value = readScalar(c, *drops);
      if (IndexMath::known(value) == 1)
        return c.unsupported("training mode", next);
      if (failed(c.check(c.idx.eq(value, c.idx.constant(0)),
                         "training with a ratio above 0 is not supported")))
        return failure();
    }
  }
  if (c.wants(1))
    (void)c.result(splat(c, x.sizes, c.opset >= 10 ? DType::i1 : x.dtype, 1),
                   1);
  return c.result(&x);
}

//===----------------------------------------------------------------------===//
// Losses
//===----------------------------------------------------------------------===//

/// -logProbability[n, target, ..] * weight[target], reduced.
static LogicalResult nllLoss(NodeContext &c, ImportValue &x,
                             ImportValue &target) {
  IndexMath &m = c.idx;
  std::string reduction = c.stringAttr("reduction", "mean");
  if (reduction != "none" && reduction != "sum" && reduction != "mean")
    return c.invalid("reduction is '" + reduction + "'");
  if (target.dtype != DType::i64 && target.dtype != DType::i32)
    return c.invalid("the target must be i32 or i64");
  if (x.rank() < 2 || target.rank() != x.rank() - 1)
    return c.invalid("the target must have the input's dims but the classes");
  for (int64_t i = 0; i < target.rank(); ++i)
    if (failed(c.check(m.eq(target.sizes[i], x.sizes[i + (i > 0)]),
                       "the target has another shape than the input")))
      return failure();
  bool ignores = c.hasAttr("ignore_index");
  int64_t ignored = c.intAttr("ignore_index", 0);
  ImportValue *weight = c.has(2) ? &c.in(2) : nullptr;
  if (weight && (weight->rank() != 1 || weight->dtype != x.dtype))
    return c.invalid("the weight must be a vector of the input's type");
  if (weight && failed(c.check(m.eq(weight->sizes[0], x.sizes[1]),
                               "the weight has another number of classes")))
    return failure();
  if (failed(
          c.check(m.cmp(arith::CmpIPredicate::sgt, x.sizes[1], m.constant(0)),
                  "there are no classes")))
    return failure();
  DType type = x.dtype, wide = accumulatorType(type);
  SmallVector<ImportValue *> ins{&x, &target};
  if (weight)
    ins.push_back(weight);
  bool needsWeights = reduction == "mean";
  bool isNone = reduction == "none";
  SmallVector<ParallelOut> outs{{isNone ? type : wide, target.sizes}};
  if (needsWeights)
    outs.push_back({wide, target.sizes});
  std::string message =
      c.name + " (" + c.op().str() + "): a target is not one of the classes";
  auto results = buildParallel(
      c, "NegativeLogLikelihoodLoss", target.sizes, ins, x.sizes[1], outs,
      [&](ParallelBody &p) {
        FloatOps f(p.b, p.loc, wide);
        Value t = p.toIndex(p.load(1, p.ivs));
        Value zero = p.index(0), classes = p.scalars[0], skip;
        Value bad = p.ori(p.lt(t, zero), p.ge(t, classes));
        if (ignores) {
          skip = p.eq(t, p.index(ignored));
          bad = p.andi(bad, p.cmp(arith::CmpIPredicate::eq, skip,
                                  p.integer(p.b.getI1Type(), 0)));
        }
        p.failIf(bad, message);
        t = p.max(p.min(t, p.sub(classes, p.index(1))), zero);
        SmallVector<Value> at = p.ivs;
        at.insert(at.begin() + 1, t);
        Value w = weight ? f.cast(p.load(2, t), type, wide) : f.k(1);
        Value v = f.mulf(f.neg(f.cast(p.load(0, at), type, wide)), w);
        if (ignores) {
          w = p.select(skip, f.k(0), w);
          v = p.select(skip, f.k(0), v);
        }
        p.store(isNone ? f.cast(v, wide, type) : v, p.ivs);
        if (needsWeights)
          p.store(w, p.ivs, 1);
      });
  if (isNone)
    return c.result(results[0]);
  SmallVector<int64_t> all =
      llvm::to_vector(llvm::seq<int64_t>(0, target.rank()));
  SmallVector<ImportValue *> sums;
  for (ImportValue *v : results)
    sums.push_back(reduce(c, *v, all, sumReduction(c, wide)));
  return c.result(elementwiseTo(
      c, sums, {}, type, [&](OpBuilder &b, Location loc, ValueRange a) {
        FloatOps f(b, loc, wide);
        return f.cast(needsWeights ? f.divf(a[0], a[1]) : a[0], wide, type);
      }));
}

static LogicalResult negativeLogLikelihoodLoss(NodeContext &c) {
  if (failed(c.requireFloat(0)))
    return failure();
  return nllLoss(c, c.in(0), c.in(1));
}

static LogicalResult softmaxCrossEntropyLoss(NodeContext &c) {
  if (failed(c.requireFloat(0)))
    return failure();
  ImportValue &x = c.in(0);
  if (x.rank() < 2)
    return c.invalid("scores must have a dim of classes");
  ImportValue *logs = softmaxOf(c, x, 1, /*isLog=*/true, x.dtype);
  if (c.wants(1))
    (void)c.result(logs, 1);
  return nllLoss(c, *logs, c.in(1));
}

//===----------------------------------------------------------------------===//
// Det
//===----------------------------------------------------------------------===//

/// By elimination with pivots, one matrix after the other.
static LogicalResult det(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (failed(c.requireFloat(0)))
    return failure();
  int64_t rank = x.rank();
  if (rank < 2)
    return c.invalid("input must be a matrix or a batch of them");
  if (failed(c.check(c.idx.eq(x.sizes[rank - 2], x.sizes[rank - 1]),
                     "the matrices are not square")))
    return failure();
  DType type = x.dtype, wide = accumulatorType(type);
  Sizes batch(x.sizes.begin(), x.sizes.end() - 2);
  // The second result is where the elimination happens.
  ParallelOut outs[] = {{type, batch}, {wide, x.sizes}};
  auto results = buildParallel(
      c, "Det", batch, &x, x.sizes[rank - 1], outs, [&](ParallelBody &p) {
        FloatOps f(p.b, p.loc, wide);
        Value n = p.scalars[0], one = p.index(1);
        auto at = [&](Value i, Value j) {
          SmallVector<Value> out = p.ivs;
          out.push_back(i);
          out.push_back(j);
          return out;
        };
        p.forEach({n, n}, [&](ArrayRef<Value> ij) {
          auto here = at(ij[0], ij[1]);
          p.store(f.cast(p.load(0, here), type, wide), here, 1);
        });
        Value product = p.loop(
            n, f.k(1), [&](Value k, ValueRange state) -> SmallVector<Value> {
              Value below = p.sub(n, p.add(k, one));
              // The row with the largest element in column k.
              Value first = p.reload(at(k, k), 1);
              auto best = p.loop(
                  below, {k, f.abs(first)},
                  [&](Value i, ValueRange s) -> SmallVector<Value> {
                    Value row = p.add(p.add(k, one), i);
                    Value v = f.abs(p.reload(at(row, k), 1));
                    Value more = f.less(s[1], v);
                    return {p.select(more, row, s[0]), p.select(more, v, s[1])};
                  });
              p.repeat(n, [&](Value j) {
                Value u = p.reload(at(k, j), 1);
                Value v = p.reload(at(best[0], j), 1);
                p.store(v, at(k, j), 1);
                Value other = p.select(p.eq(best[0], k), v, u);
                p.store(other, at(best[0], j), 1);
              });
              Value pivot = p.reload(at(k, k), 1);
              Value isZero = f.equal(pivot, f.k(0));
              Value safe = p.select(isZero, f.k(1), pivot);
              p.repeat(below, [&](Value i) {
                Value row = p.add(p.add(k, one), i);
                Value factor = f.divf(p.reload(at(row, k), 1), safe);
                p.repeat(p.sub(n, k), [&](Value j) {
                  Value column = p.add(k, j);
                  Value v = f.subf(p.reload(at(row, column), 1),
                                   f.mulf(factor, p.reload(at(k, column), 1)));
                  p.store(v, at(row, column), 1);
                });
              });
              Value next = f.mulf(state[0], pivot);
              return {p.select(p.eq(best[0], k), next, f.neg(next))};
            })[0];
        p.store(f.cast(product, wide, type), p.ivs);
      });
  return c.result(results[0]);
}

namespace isthmus {
void registerLossOps(Registry &r) {
  r.add("ArgMax", 1, [](NodeContext &c) { return argOp(c, true); });
  r.add("ArgMin", 1, [](NodeContext &c) { return argOp(c, false); });
  r.add("Hardmax", 1, hardmax);
  r.add("Dropout", 1, dropout);
  r.add("NegativeLogLikelihoodLoss", 2, negativeLogLikelihoodLoss, 12);
  r.add("SoftmaxCrossEntropyLoss", 2, softmaxCrossEntropyLoss, 12);
  r.add("Det", 1, det, 11);
}
} // namespace isthmus
