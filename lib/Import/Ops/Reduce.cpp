//===- Ops/Reduce.cpp - Reduce* --------------------------------------- ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Emit.h"
#include "lib/Import/RuntimeAxes.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace isthmus;

static bool isKnown(NodeContext &c, ImportValue &v) {
  if (!v.scalars)
    return bool(c.importer.constant(v));
  return llvm::all_of(*v.scalars,
                      [](OpFoldResult s) { return IndexMath::known(s); });
}

/// The axes of a reduction: an input from `asInput` on, an attribute before.
/// Nothing means: the node is an identity.
static FailureOr<std::optional<SmallVector<int64_t>>>
reduceAxes(NodeContext &c, int64_t asInput) {
  int64_t rank = c.in(0).rank();
  auto list =
      c.opset >= asInput
          ? (c.has(1) && c.in(1).count() == 0
                 ? FailureOr<std::optional<SmallVector<int64_t>>>(
                       SmallVector<int64_t>())
                 : c.constIntsOrAttr(1, ""))
          : FailureOr<std::optional<SmallVector<int64_t>>>(c.intsAttr("axes"));
  if (failed(list))
    return failure();
  if (!*list || (*list)->empty()) {
    if (c.intAttr("noop_with_empty_axes", 0))
      return std::optional<SmallVector<int64_t>>();
    return std::optional<SmallVector<int64_t>>(
        llvm::to_vector(llvm::seq<int64_t>(0, rank)));
  }
  auto axes = c.axes(**list, rank);
  if (failed(axes))
    return failure();
  return std::optional<SmallVector<int64_t>>(*axes);
}

static Value mapBody(OpBuilder &b, Location loc, Value v, DType from, DType acc,
                     StringRef op) {
  BodyMath m{b, loc};
  if (op == "ReduceSumSquare" || op == "ReduceL2") {
    if (isFloat(acc))
      return arith::MulFOp::create(b, loc, v, v);
    return m.mul(v, v);
  }
  if (op == "ReduceL1") {
    if (isFloat(acc))
      return math::AbsFOp::create(b, loc, v);
    return isUnsigned(acc) ? v : Value(math::AbsIOp::create(b, loc, v));
  }
  return v;
}

/// Reduces by `extents`, which are the sizes of the reduced dims and 1 for the
/// others; the result has `sizes`, with 1 for the reduced dims.
static ImportValue *reduceExtents(NodeContext &c, ImportValue &x, Sizes sizes,
                                  Sizes extents, const Reduction &how) {
  auto r = buildParallel(
      c, c.op(), sizes, &x, extents, ParallelOut{how.acc, sizes},
      [&](ParallelBody &p) {
        SmallVector<Value> at = p.ivs;
        std::function<Value(int64_t, Value)> nest = [&](int64_t d,
                                                        Value acc) -> Value {
          if (d == x.rank()) {
            Value e = p.cast(p.load(0, at), x.dtype, how.acc);
            if (how.map)
              e = how.map(p.b, p.loc, e);
            return how.combine(p.b, p.loc, e, acc);
          }
          return p.loop(p.scalars[d], acc,
                        [&](Value iv, ValueRange accs) -> SmallVector<Value> {
                          at[d] = p.add(p.ivs[d], iv);
                          return {nest(d + 1, accs[0])};
                        })[0];
        };
        Value init = arith::ConstantOp::create(p.b, p.loc, how.init);
        p.store(nest(0, init), p.ivs);
      });
  return r[0];
}

static LogicalResult reduceOp(NodeContext &c, int64_t asInput) {
  ImportValue &x = c.in(0);
  StringRef op = c.op();
  DType type = x.dtype;
  bool isMinMax = op == "ReduceMax" || op == "ReduceMin";
  if (type == DType::i1 && !isMinMax)
    return c.invalid("input must be a number");
  bool isLogSumExp = op == "ReduceLogSumExp";
  bool needsFloat = isLogSumExp || op == "ReduceLogSum" || op == "ReduceL2";
  bool keep = c.intAttr("keepdims", 1);
  // Axes that only the device knows: the sizes of the result follow from them.
  Sizes mask, oneSizes, extents;
  int64_t numAxes = 0;
  if (c.opset >= asInput && c.has(1) && c.in(1).count() != 0 &&
      !isKnown(c, c.in(1))) {
    auto axes = c.hostInts(1);
    if (failed(axes))
      return failure();
    numAxes = axes->size();
    if (numAxes > x.rank())
      return c.invalid("has more axes than the input has dims");
    auto m = axesMask(c, *axes, x.rank());
    if (failed(m))
      return failure();
    mask = *m;
    for (int64_t i = 0; i < x.rank(); ++i) {
      OpFoldResult one = c.idx.constant(1);
      oneSizes.push_back(c.idx.select(mask[i], one, x.sizes[i]));
      extents.push_back(c.idx.select(mask[i], x.sizes[i], one));
    }
  }
  bool atRunTime = !mask.empty();
  auto axes = atRunTime ? FailureOr<std::optional<SmallVector<int64_t>>>(
                              SmallVector<int64_t>())
                        : reduceAxes(c, asInput);
  if (failed(axes))
    return failure();
  bool isNoop = !*axes;
  SmallVector<int64_t> over = isNoop ? SmallVector<int64_t>() : **axes;
  // With the reduced dims kept as 1 when the axes are run-time ones.
  auto reduceNow = [&](ImportValue &v, const Reduction &how) {
    return atRunTime ? reduceExtents(c, v, oneSizes, extents, how)
                     : reduce(c, v, over, how);
  };

  // Shape arithmetic.
  if (x.scalars && (op == "ReduceProd" || op == "ReduceSum" || isMinMax) &&
      type != DType::u64 && type != DType::i1 && !x.scalars->empty() &&
      !isNoop && !atRunTime && x.rank() == int64_t(over.size())) {
    OpFoldResult r = x.scalars->front();
    for (OpFoldResult s : ArrayRef(*x.scalars).drop_front())
      r = op == "ReduceProd"  ? c.idx.mul(r, s)
          : op == "ReduceSum" ? c.idx.add(r, s)
          : op == "ReduceMax" ? c.idx.max(r, s)
                              : c.idx.min(r, s);
    return c.result(c.importer.newScalars(type, {r}, keep ? x.rank() : 0));
  }

  // Integers that need a root or a logarithm are summed in f32.
  DType wide = needsFloat && !isFloat(type) ? DType::f32 : type;
  Reduction how;
  if (op == "ReduceMax") {
    how = maxReduction(c, type);
  } else if (op == "ReduceMin") {
    how = maxReduction(c, type);
    how.init = highest(c, type);
    how.combine = [type](OpBuilder &b, Location loc, Value e,
                         Value acc) -> Value {
      if (isFloat(type))
        return arith::MinimumFOp::create(b, loc, acc, e);
      if (isUnsigned(type))
        return arith::MinUIOp::create(b, loc, acc, e);
      return arith::MinSIOp::create(b, loc, acc, e);
    };
  } else {
    how = sumReduction(c, wide);
    DType acc = how.acc;
    std::string name = op.str();
    how.map = [=](OpBuilder &b, Location loc, Value v) {
      return mapBody(b, loc, v, type, acc, name);
    };
  }
  if (op == "ReduceProd") {
    Type t = elementType(c.b.getContext(), how.acc);
    how.init = cast<TypedAttr>(c.b.getOneAttr(t));
    how.combine = [](OpBuilder &b, Location loc, Value e, Value acc) -> Value {
      if (isa<FloatType>(e.getType()))
        return arith::MulFOp::create(b, loc, acc, e,
                                     arith::FastMathFlags::reassoc |
                                         arith::FastMathFlags::contract);
      return arith::MulIOp::create(b, loc, acc, e);
    };
  }
  ImportValue *source = &x;
  ImportValue *top = nullptr; // the maximum, kept out of the exponential
  if (isLogSumExp) {
    ImportValue *wideX = castTo(c, x, how.acc);
    top = reduceNow(*wideX, maxReduction(c, how.acc));
    if (!atRunTime)
      top = keepDims(c, *top, over, x.rank());
    // exp(inf - inf) would be NaN.
    top = elementwiseTo(c, top, top->sizes, how.acc,
                        [&](OpBuilder &b, Location loc, ValueRange a) -> Value {
                          BodyMath m{b, loc};
                          Value size = math::AbsFOp::create(b, loc, a[0]);
                          auto t = cast<FloatType>(size.getType());
                          Value inf = arith::ConstantOp::create(
                              b, loc, cast<TypedAttr>(highest(c, how.acc)));
                          Value isInf = arith::CmpFOp::create(
                              b, loc, arith::CmpFPredicate::OEQ, size, inf);
                          return m.select(isInf, m.constant(t, 0), a[0]);
                        });
    ImportValue *ins[] = {wideX, top};
    source =
        elementwiseTo(c, ins, x.sizes, how.acc,
                      [](OpBuilder &b, Location loc, ValueRange a) -> Value {
                        return math::ExpOp::create(
                            b, loc, arith::SubFOp::create(b, loc, a[0], a[1]));
                      });
  }
  ImportValue *r = nullptr;
  if (isNoop) {
    DType acc = how.acc;
    std::string name = op.str();
    r = elementwiseTo(c, source, source->sizes, acc,
                      [&](OpBuilder &b, Location loc, ValueRange a) {
                        Value v =
                            BodyMath{b, loc}.cast(a[0], source->dtype, acc);
                        return mapBody(b, loc, v, type, acc, name);
                      });
  } else {
    r = reduceNow(*source, how);
  }
  DType acc = r->dtype;
  SmallVector<ImportValue *> ins{r};
  if (top) {
    Sizes sizes = r->sizes;
    ins.push_back(reshape(c, *top, sizes));
  }
  OpFoldResult count = c.idx.constant(1);
  for (int64_t a : over)
    count = c.idx.mul(count, x.sizes[a]);
  for (OpFoldResult e : extents)
    count = c.idx.mul(count, e);
  std::string name = op.str();
  bool finish = acc != type || needsFloat || name == "ReduceMean";
  if (finish) {
    Value n = name == "ReduceMean" && !IndexMath::known(count)
                  ? c.idx.value(count)
                  : Value();
    r = elementwiseTo(
        c, ins, r->sizes, type,
        [&](OpBuilder &b, Location loc, ValueRange a) -> Value {
          BodyMath m{b, loc};
          Value v = a[0];
          if (name == "ReduceL2")
            v = math::SqrtOp::create(b, loc, v);
          if (name == "ReduceLogSum" || top)
            v = math::LogOp::create(b, loc, v);
          if (top)
            v = arith::AddFOp::create(b, loc, v, a[1]);
          if (name == "ReduceMean") {
            if (isFloat(acc)) {
              Value d;
              if (n) {
                Value i = arith::IndexCastOp::create(b, loc, b.getI64Type(), n);
                d = arith::SIToFPOp::create(b, loc, v.getType(), i);
              } else {
                d = m.constant(v.getType(), double(*IndexMath::known(count)));
              }
              v = arith::DivFOp::create(b, loc, v, d);
            } else {
              Value d =
                  n ? Value(arith::IndexCastOp::create(b, loc, v.getType(), n))
                    : m.integer(v.getType(), *IndexMath::known(count));
              // An empty reduction has no elements to divide for.
              d = m.select(m.eq(d, m.integer(v.getType(), 0)),
                           m.integer(v.getType(), 1), d);
              v = isUnsigned(acc) ? Value(arith::DivUIOp::create(b, loc, v, d))
                                  : m.div(v, d);
            }
          }
          return m.cast(v, acc, type);
        });
  }
  if (atRunTime)
    return c.result(
        keep ? r
             : reshape(c, *r,
                       compactSizes(c, x.sizes, mask, x.rank() - numAxes)));
  if (keep && !isNoop)
    r = keepDims(c, *r, over, x.rank());
  return c.result(r);
}

namespace isthmus {
void registerReduceOps(Registry &r) {
  r.add("ReduceSum", 1, [](NodeContext &c) { return reduceOp(c, 13); });
  for (StringRef op :
       {"ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1",
        "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"})
    r.add(op, 1, [](NodeContext &c) { return reduceOp(c, 18); });
}
} // namespace isthmus
