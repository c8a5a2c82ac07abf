//===- OpHelpers.cpp - shared by some operators ------------------ ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/OpHelpers.h"

#include "dialects/Graph/Graph.h"

#include "mlir/IR/AffineExpr.h"

using namespace mlir;
using namespace isthmus;

Value FloatOps::gelu(Value x) {
  Value e = op<math::ErfOp>(mulf(x, k(0.7071067811865476)));
  return mulf(mulf(k(0.5), x), addf(k(1), e));
}

Value FloatOps::fastGelu(Value x) {
  Value cube = mulf(mulf(x, x), x);
  Value inner = mulf(k(0.7978845608028654), addf(x, mulf(k(0.044715), cube)));
  return mulf(mulf(k(0.5), x), addf(k(1), tanh(inner)));
}

Value FloatOps::toIndexClamped(Value x) {
  // NaN fails both comparisons' opposites: it takes the low end.
  Value lo = k(-1073741824.0), hi = k(1073741824.0);
  Value above = cmpf(arith::CmpFPredicate::OGT, x, lo);
  x = select(above, x, lo);
  x = select(less(x, hi), x, hi);
  return toIndex(arith::FPToSIOp::create(b, loc, b.getI64Type(), x));
}

Value FloatOps::powConst(Value x, double p) {
  if (p == 1)
    return x;
  if (p == 2)
    return mulf(x, x);
  if (p == 0.5)
    return sqrt(x);
  if (p == 0.75) {
    Value root = sqrt(x);
    return mulf(root, sqrt(root));
  }
  return op<math::PowFOp>(x, k(p));
}

SmallVector<AffineExpr> isthmus::dimExprs(NodeContext &c, int64_t rank,
                                          ArrayRef<int64_t> axes) {
  SmallVector<AffineExpr> out;
  for (int64_t i = 0; i < rank; ++i)
    if (!llvm::is_contained(axes, i))
      out.push_back(getAffineDimExpr(i, c.b.getContext()));
  return out;
}

FailureOr<Access> isthmus::broadcastAccess(NodeContext &c, ImportValue &v,
                                           ArrayRef<OpFoldResult> sizes) {
  int64_t shift = int64_t(sizes.size()) - v.rank();
  if (shift < 0)
    return failure(failed(
        c.invalid("'" + v.name + "' has a higher rank than it broadcasts to")));
  Access out{&v, {}};
  MLIRContext *context = c.b.getContext();
  for (int64_t i = 0; i < v.rank(); ++i) {
    if (v.dim(i) == 1) {
      out.at.push_back(getAffineConstantExpr(0, context));
      continue;
    }
    if (failed(c.check(c.idx.eq(v.sizes[i], sizes[i + shift]),
                       "'" + v.name + "' does not broadcast")))
      return failure();
    out.at.push_back(getAffineDimExpr(i + shift, context));
  }
  return out;
}

ImportValue *isthmus::softmaxOf(NodeContext &c, ImportValue &x,
                                ArrayRef<int64_t> axes, bool isLog, DType out) {
  DType type = x.dtype, wide = accumulatorType(type);
  SmallVector<AffineExpr> full = dimExprs(c, x.rank()),
                          row = dimExprs(c, x.rank(), axes);
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
    return generic(c, {Access{&x, full}, Access{top, row}, Access{sum, row}},
                   x.sizes, out, [&](OpBuilder &b, Location loc, ValueRange a) {
                     BodyMath m{b, loc};
                     Value y = arith::SubFOp::create(
                         b, loc, shifted(m, a[0], a[1]),
                         math::LogOp::create(b, loc, a[2]));
                     return m.cast(y, wide, out);
                   });
  return generic(c, {Access{e, full}, Access{sum, row}}, x.sizes, out,
                 [&](OpBuilder &b, Location loc, ValueRange a) {
                   BodyMath m{b, loc};
                   return m.cast(arith::DivFOp::create(b, loc, a[0], a[1]),
                                 wide, out);
                 });
}

Moments isthmus::momentsOf(NodeContext &c, ImportValue &x,
                           ArrayRef<int64_t> axes, bool center) {
  DType type = x.dtype, wide = accumulatorType(type);
  OpFoldResult count = c.idx.constant(1);
  for (int64_t a : axes)
    count = c.idx.mul(count, x.sizes[a]);
  FloatSize n(c, count);
  auto divided = [&](ImportValue *sum) {
    return elementwiseTo(c, sum, sum->sizes, wide,
                         [&](OpBuilder &b, Location loc, ValueRange a) {
                           FloatOps f(b, loc, wide);
                           return f.divf(a[0], n.in(f));
                         });
  };
  Reduction squares = sumReduction(c, wide);
  squares.map = [](OpBuilder &b, Location loc, Value v) -> Value {
    return arith::MulFOp::create(b, loc, v, v);
  };
  Moments out;
  if (!center) {
    out.variance = divided(reduce(c, x, axes, squares));
    return out;
  }
  out.mean = divided(reduce(c, x, axes, sumReduction(c, type)));
  ImportValue *d =
      generic(c,
              {Access{&x, dimExprs(c, x.rank())},
               Access{out.mean, dimExprs(c, x.rank(), axes)}},
              x.sizes, wide, [&](OpBuilder &b, Location loc, ValueRange a) {
                FloatOps f(b, loc, wide);
                return f.subf(f.cast(a[0], type, wide), a[1]);
              });
  out.variance = divided(reduce(c, *d, axes, squares));
  return out;
}

ImportValue *isthmus::argBest(NodeContext &c, ImportValue &x, int64_t axis,
                              bool isMax, bool last) {
  Sizes sizes = x.sizes;
  sizes.erase(sizes.begin() + axis);
  DType type = x.dtype;
  auto results = buildParallel(
      c, isMax ? "ArgMax" : "ArgMin", sizes, &x, x.sizes[axis],
      ParallelOut{DType::i64, sizes}, [&](ParallelBody &p) {
        auto load = [&](Value i) {
          SmallVector<Value> at = p.ivs;
          at.insert(at.begin() + axis, i);
          return p.load(0, at);
        };
        Value worst = arith::ConstantOp::create(
            p.b, p.loc, isMax ? lowest(c, type) : highest(c, type));
        auto best = p.loop(
            p.scalars[0], {p.index(0), worst}, [&](Value i, ValueRange state) {
              Value v = load(i), better;
              if (isFloat(type)) {
                using P = arith::CmpFPredicate;
                // The first (last) NaN wins over every number.
                P pred =
                    isMax ? (last ? P::UGE : P::UGT) : (last ? P::ULE : P::ULT);
                better = arith::CmpFOp::create(p.b, p.loc, pred, v, state[1]);
                Value nanV = arith::CmpFOp::create(p.b, p.loc, P::UNO, v, v);
                Value okBest = arith::CmpFOp::create(p.b, p.loc, P::ORD,
                                                     state[1], state[1]);
                better = p.andi(better, last ? p.ori(okBest, nanV) : okBest);
              } else {
                using P = arith::CmpIPredicate;
                bool u = isUnsigned(type);
                P pred = isMax ? (last ? (u ? P::uge : P::sge)
                                       : (u ? P::ugt : P::sgt))
                               : (last ? (u ? P::ule : P::sle)
                                       : (u ? P::ult : P::slt));
                better = p.cmp(pred, v, state[1]);
              }
              return SmallVector<Value>{p.select(better, i, state[0]),
                                        p.select(better, v, state[1])};
            });
        p.store(
            arith::IndexCastOp::create(p.b, p.loc, p.b.getI64Type(), best[0]),
            p.ivs);
      });
  return results[0];
}

OpFoldResult isthmus::readScalar(NodeContext &c, ImportValue &x, int64_t at) {
  if (x.scalars && at < int64_t(x.scalars->size()))
    return (*x.scalars)[at];
  return Value(graph::ReadOp::create(c.b, c.loc, c.b.getIndexType(),
                                     c.tensor(x),
                                     c.idx.value(c.idx.constant(at))));
}

ImportValue *isthmus::splat(NodeContext &c, Sizes sizes, DType type,
                            double value) {
  return fromIndices(c, sizes, type,
                     [&](OpBuilder &b, Location loc, ValueRange) {
                       return BodyMath{b, loc}.constant(
                           elementType(b.getContext(), type), value);
                     });
}
