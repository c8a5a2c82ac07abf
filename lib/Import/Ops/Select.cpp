//===- Ops/Select.cpp - choosing, counting and sorting ----------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/BodyFloats.h"
#include "lib/Import/RuntimeAxes.h"

using namespace mlir;
using namespace isthmus;
using CmpI = arith::CmpIPredicate;
using CmpF = arith::CmpFPredicate;

//===----------------------------------------------------------------------===//
// Results whose size depends on the data
//===----------------------------------------------------------------------===//

namespace {
/// The places where something holds: a list as long as what was searched, of
/// which the first `count` are set.
struct Places {
  ImportValue *list;
  OpFoldResult count; // read by the host
};
} // namespace

/// The indices 0 <= i < n at which `holds` is true, in order.
static FailureOr<Places>
placesWhere(NodeContext &c, ImportValue &x, OpFoldResult n, OpFoldResult most,
            function_ref<Value(ParallelBody &, Value)> holds) {
  auto r = buildParallel(
      c, (c.op() + ".Count").str(), {}, &x, {n, most},
      {ParallelOut{DType::i64, {n}}, ParallelOut{DType::i64, {}}},
      [&](ParallelBody &p) {
        Type i64 = p.b.getI64Type();
        Value total = p.loop(
            p.scalars[0], p.index(0),
            [&](Value i, ValueRange count) -> SmallVector<Value> {
              Value yes = holds(p, i);
              p.when(yes, [&] {
                p.store(arith::IndexCastOp::create(p.b, p.loc, i64, i),
                        count[0]);
              });
              return {p.select(yes, p.add(count[0], p.index(1)), count[0])};
            })[0];
        total = p.min(total, p.scalars[1]);
        p.store(arith::IndexCastOp::create(p.b, p.loc, i64, total), {}, 1);
      });
  auto count = c.hostInts(*r[1], "the number of results");
  if (failed(count))
    return failure();
  return Places{r[0], (*count)[0]};
}

static LogicalResult compress(NodeContext &c) {
  ImportValue *x = &c.in(0);
  ImportValue &condition = c.in(1);
  if (condition.dtype != DType::i1 || condition.rank() != 1)
    return c.invalid("the condition must be a vector of bools");
  int64_t axis = 0;
  if (c.hasAttr("axis")) {
    auto a = c.axis(c.intAttr("axis", 0), x->rank());
    if (failed(a))
      return failure();
    axis = *a;
  } else {
    x = reshape(c, *x, {c.idx.product(x->sizes)});
  }
  if (failed(c.check(c.idx.cmp(CmpI::sle, condition.sizes[0], x->sizes[axis]),
                     "the condition is longer than the axis")))
    return failure();
  auto places =
      placesWhere(c, condition, condition.sizes[0], condition.sizes[0],
                  [](ParallelBody &p, Value i) { return p.load(0, i); });
  if (failed(places))
    return failure();
  Sizes sizes = x->sizes;
  sizes[axis] = places->count;
  return c.result(buildParallel(c, "Compress", sizes, {x, places->list}, {},
                                ParallelOut{x->dtype, sizes},
                                [&](ParallelBody &p) {
                                  SmallVector<Value> at = p.ivs;
                                  at[axis] = p.toIndex(p.load(1, at[axis]));
                                  p.store(p.load(0, at), p.ivs);
                                })[0]);
}

static LogicalResult nonZero(NodeContext &c) {
  ImportValue &x = c.in(0);
  OpFoldResult n = c.idx.product(x.sizes);
  ImportValue *flat = reshape(c, x, {n});
  auto places = placesWhere(c, *flat, n, n, [&](ParallelBody &p, Value i) {
    return p.cast(p.load(0, i), x.dtype, DType::i1);
  });
  if (failed(places))
    return failure();
  Sizes sizes{c.idx.constant(x.rank()), places->count};
  return c.result(buildParallel(
      c, "NonZero", places->count, places->list, x.sizes,
      ParallelOut{DType::i64, sizes}, [&](ParallelBody &p) {
        Value rest = p.toIndex(p.load(0, p.ivs));
        for (int64_t d = x.rank() - 1; d >= 0; --d) {
          Value i = p.rem(rest, p.scalars[d]);
          rest = p.div(rest, p.scalars[d]);
          p.store(arith::IndexCastOp::create(p.b, p.loc, p.b.getI64Type(), i),
                  {p.index(d), p.ivs[0]});
        }
      })[0]);
}

//===----------------------------------------------------------------------===//
// Order
//===----------------------------------------------------------------------===//

/// l < r; NaN is larger than every number.
static Value lessThan(BodyMath &m, DType type, Value l, Value r) {
  if (!isFloat(type))
    return m.cmp(isUnsigned(type) ? CmpI::ult : CmpI::slt, l, r);
  auto cmp = [&](CmpF p, Value a, Value b) -> Value {
    return arith::CmpFOp::create(m.b, m.loc, p, a, b);
  };
  Value less = cmp(CmpF::OLT, l, r);
  return m.ori(less, m.andi(cmp(CmpF::ORD, l, l), cmp(CmpF::UNO, r, r)));
}

static LogicalResult topK(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (x.dtype == DType::i1)
    return c.invalid("input must hold numbers");
  auto axis = c.axis(c.intAttr("axis", -1), x.rank());
  if (failed(axis))
    return failure();
  OpFoldResult k;
  if (c.opset < 10) {
    k = c.idx.constant(c.intAttr("k", -1));
  } else {
    if (!c.has(1) || c.in(1).rank() > 1 || c.in(1).count().value_or(1) != 1 ||
        failed(
            c.check(c.idx.eq(c.idx.product(c.in(1).sizes), c.idx.constant(1)),
                    "k has more than one element")))
      return c.failed ? failure() : c.invalid("k must be one integer");
    auto ints = c.hostInts(*reshape(c, c.in(1), {}), "k");
    if (failed(ints))
      return failure();
    k = (*ints)[0];
  }
  bool largest = c.intAttr("largest", 1);
  OpFoldResult n = x.sizes[*axis];
  if (failed(c.check(c.idx.mul(c.idx.cmp(CmpI::sle, k, n),
                               c.idx.cmp(CmpI::sge, k, c.idx.constant(0))),
                     "k is out of range")))
    return failure();
  Sizes sizes = x.sizes, space;
  sizes[*axis] = k;
  for (int64_t i = 0; i < x.rank(); ++i)
    if (i != *axis)
      space.push_back(x.sizes[i]);
  // The next one is the best of those behind the last one in the order: by
  // value, then by index.
  auto r = buildParallel(
      c, "TopK", space, &x, {n, k},
      {ParallelOut{x.dtype, sizes}, ParallelOut{DType::i64, sizes}},
      [&](ParallelBody &p) {
        auto at = [&](Value along) {
          SmallVector<Value> out(p.ivs);
          out.insert(out.begin() + *axis, along);
          return out;
        };
        auto better = [&](Value l, Value r) {
          return largest ? lessThan(p, x.dtype, r, l)
                         : lessThan(p, x.dtype, l, r);
        };
        Value none = p.index(-1), zero = p.index(0);
        Value nothing = p.constant(elementType(p.b.getContext(), x.dtype), 0);
        p.loop(p.scalars[1], {nothing, none},
               [&](Value j, ValueRange last) -> SmallVector<Value> {
                 Value isFirst = p.lt(last[1], zero);
                 auto best = p.loop(
                     p.scalars[0], {nothing, none},
                     [&](Value i, ValueRange best) -> SmallVector<Value> {
                       Value v = p.load(0, at(i));
                       Value later = p.lt(last[1], i);
                       Value worse = better(last[0], v);
                       Value equal = p.eq(p.ori(worse, better(v, last[0])),
                                          p.integer(p.b.getI1Type(), 0));
                       Value open =
                           p.ori(isFirst, p.ori(worse, p.andi(equal, later)));
                       Value wins =
                           p.ori(p.lt(best[1], zero), better(v, best[0]));
                       Value take = p.andi(open, wins);
                       return {p.select(take, v, best[0]),
                               p.select(take, i, best[1])};
                     });
                 p.store(best[0], at(j));
                 p.store(arith::IndexCastOp::create(p.b, p.loc,
                                                    p.b.getI64Type(), best[1]),
                         at(j), 1);
                 return best;
               });
      });
  (void)c.result(r[0]);
  return c.result(r[1], 1);
}

static LogicalResult unique(NodeContext &c) {
  ImportValue &x = c.in(0);
  bool sorted = c.intAttr("sorted", 1);
  IndexMath &m = c.idx;
  // As before x axis x after: slices along the axis are compared.
  Sizes view{m.constant(1), m.product(x.sizes), m.constant(1)};
  int64_t axis = 0;
  bool flat = !c.hasAttr("axis");
  if (!flat) {
    auto a = c.axis(c.intAttr("axis", 0), x.rank());
    if (failed(a))
      return failure();
    axis = *a;
    ArrayRef<OpFoldResult> all(x.sizes);
    view = {m.product(all.take_front(axis)), all[axis],
            m.product(all.drop_front(axis + 1))};
  }
  ImportValue *v = reshape(c, x, view);
  OpFoldResult n = view[1];
  Type i64 = c.b.getI64Type();
  auto toI64 = [&](ParallelBody &p, Value i) -> Value {
    return arith::IndexCastOp::create(p.b, p.loc, i64, i);
  };
  /// -1, 0 or 1 as slice i is before, equal to or behind slice j.
  auto compare = [&](ParallelBody &p, Value i, Value j) {
    Value zero = p.index(0);
    return p.loop(p.scalars[0], zero, [&](Value a, ValueRange outer) {
      return p.loop(p.scalars[2], outer[0],
                    [&](Value b, ValueRange inner) -> SmallVector<Value> {
                      Value l = p.load(0, {a, i, b}), r = p.load(0, {a, j, b});
                      Value here =
                          p.select(lessThan(p, x.dtype, l, r), p.index(-1),
                                   p.select(lessThan(p, x.dtype, r, l),
                                            p.index(1), zero));
                      return {p.select(p.eq(inner[0], zero), here, inner[0])};
                    });
    })[0];
  };
  Sizes scalars = view;
  ParallelOut perSlice{DType::i64, {n}};
  // The first slice that is equal.
  ImportValue *first = buildParallel(
      c, "Unique.First", n, v, scalars, perSlice, [&](ParallelBody &p) {
        Value i = p.ivs[0];
        Value found =
            p.loop(i, i, [&](Value j, ValueRange f) -> SmallVector<Value> {
              Value open = p.eq(f[0], i);
              Value same = p.ifElse(
                  open, [&] { return p.eq(compare(p, i, j), p.index(0)); },
                  [&] { return p.integer(p.b.getI1Type(), 0); });
              return {p.select(same, j, f[0])};
            })[0];
        p.store(toI64(p, found), i);
      })[0];
  // Where it stands among the first ones.
  ImportValue *place = buildParallel(
      c, "Unique.Place", n, {v, first}, scalars, perSlice,
      [&](ParallelBody &p) {
        Value i = p.toIndex(p.load(1, p.ivs[0])), zero = p.index(0);
        Value before = p.loop(
            p.scalars[1], zero,
            [&](Value j, ValueRange count) -> SmallVector<Value> {
              Value isFirst = p.eq(p.toIndex(p.load(1, j)), j);
              Value less = p.ifElse(
                  isFirst,
                  [&] {
                    return sorted ? p.lt(compare(p, j, i), zero) : p.lt(j, i);
                  },
                  [&] { return p.integer(p.b.getI1Type(), 0); });
              return {p.select(less, p.add(count[0], p.index(1)), count[0])};
            })[0];
        p.store(toI64(p, before), p.ivs[0]);
      })[0];
  auto firsts = placesWhere(c, *first, n, n, [](ParallelBody &p, Value i) {
    return p.eq(p.toIndex(p.load(0, i)), i);
  });
  if (failed(firsts))
    return failure();
  OpFoldResult count = firsts->count;
  ParallelOut perResult{DType::i64, {count}};
  auto found = buildParallel(
      c, "Unique.Indices", count, {first, place}, n, {perResult, perResult},
      [&](ParallelBody &p) {
        Value zero = p.index(0);
        auto r =
            p.loop(p.scalars[0], {zero, zero},
                   [&](Value j, ValueRange acc) -> SmallVector<Value> {
                     Value mine = p.eq(p.toIndex(p.load(1, j)), p.ivs[0]);
                     Value isFirst = p.eq(p.toIndex(p.load(0, j)), j);
                     return {p.select(p.andi(mine, isFirst), j, acc[0]),
                             p.select(mine, p.add(acc[1], p.index(1)), acc[1])};
                   });
        p.store(toI64(p, r[0]), p.ivs);
        p.store(toI64(p, r[1]), p.ivs, 1);
      });
  ImportValue *y = buildParallel(
      c, "Unique", {view[0], count, view[2]}, {v, found[0]}, {},
      ParallelOut{x.dtype, {view[0], count, view[2]}}, [&](ParallelBody &p) {
        Value i = p.toIndex(p.load(1, p.ivs[1]));
        p.store(p.load(0, {p.ivs[0], i, p.ivs[2]}), p.ivs);
      })[0];
  Sizes sizes{count};
  if (!flat) {
    sizes = x.sizes;
    sizes[axis] = count;
  }
  (void)c.result(reshape(c, *y, sizes));
  (void)c.result(found[0], 1);
  (void)c.result(place, 2);
  return c.result(found[1], 3);
}

//===----------------------------------------------------------------------===//
// By index
//===----------------------------------------------------------------------===//

static LogicalResult oneHot(NodeContext &c) {
  ImportValue &indices = c.in(0), &values = c.in(2);
  for (int i : {0, 1})
    if (c.in(i).dtype == DType::i1)
      return c.invalid("indices and depth must be numbers");
  if (c.in(1).count() != 1 || values.rank() != 1 || values.count() != 2)
    return c.invalid("depth must be a scalar, values must have two elements");
  auto ints =
      c.hostInts(*castTo(c, *reshape(c, c.in(1), {}), DType::i64), "the depth");
  if (failed(ints))
    return failure();
  OpFoldResult depth = (*ints)[0];
  if (failed(c.check(c.idx.cmp(CmpI::sge, depth, c.idx.constant(1)),
                     "the depth is not positive")))
    return failure();
  auto axis = c.axis(c.intAttr("axis", -1), indices.rank() + 1);
  if (failed(axis))
    return failure();
  Sizes sizes = indices.sizes;
  sizes.insert(sizes.begin() + *axis, depth);
  return c.result(buildParallel(
      c, "OneHot", sizes, {&indices, &values}, depth,
      ParallelOut{values.dtype, sizes}, [&](ParallelBody &p) {
        SmallVector<Value> at = p.ivs;
        at.erase(at.begin() + *axis);
        Value i = p.toIndex(p.cast(p.load(0, at), indices.dtype, DType::i64));
        // From -depth on; what is outside is off everywhere.
        Value zero = p.index(0);
        i = p.select(p.lt(i, zero), p.add(i, p.scalars[0]), i);
        Value hit = p.select(p.eq(i, p.ivs[*axis]), p.index(1), zero);
        p.store(p.load(1, hit), p.ivs);
      })[0]);
}

static LogicalResult eyeLike(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (x.rank() != 2)
    return c.invalid("input must be a matrix");
  DType type = c.hasAttr("dtype") ? DType(c.intAttr("dtype", 1)) : x.dtype;
  if (!elementType(c.b.getContext(), type))
    return c.error("IST-I0103", "of type " + dtypeName(type), "");
  int64_t k = c.intAttr("k", 0);
  return c.result(
      fromIndices(c, x.sizes, type,
                  [&](OpBuilder &b, Location loc, ValueRange ivs) -> Value {
                    BodyMath m{b, loc};
                    Type t = elementType(b.getContext(), type);
                    return m.select(m.eq(ivs[1], m.add(ivs[0], m.index(k))),
                                    m.constant(t, 1), m.constant(t, 0));
                  }));
}

static LogicalResult reverseSequence(NodeContext &c) {
  ImportValue &x = c.in(0), &lengths = c.in(1);
  int64_t batch = c.intAttr("batch_axis", 1), time = c.intAttr("time_axis", 0);
  if (x.rank() < 2 || !((batch == 0 && time == 1) || (batch == 1 && time == 0)))
    return c.invalid("batch_axis and time_axis must be 0 and 1");
  if (!isInteger(lengths.dtype) || lengths.rank() != 1)
    return c.invalid("the lengths must be a vector of integers");
  if (failed(c.check(c.idx.eq(lengths.sizes[0], x.sizes[batch]),
                     "there must be one length a batch")))
    return failure();
  std::string message = c.name + " (ReverseSequence): length out of range";
  return c.result(buildParallel(
      c, "ReverseSequence", x.sizes, {&x, &lengths}, x.sizes[time],
      ParallelOut{x.dtype, x.sizes}, [&](ParallelBody &p) {
        Value n = p.toIndex(p.load(1, p.ivs[batch])), t = p.ivs[time];
        p.failIf(p.cmp(CmpI::ugt, n, p.scalars[0]), message);
        Value from = p.select(p.lt(t, n), p.sub(p.sub(n, p.index(1)), t), t);
        SmallVector<Value> at = p.ivs;
        at[time] =
            p.max(p.min(from, p.sub(p.scalars[0], p.index(1))), p.index(0));
        p.store(p.load(0, at), p.ivs);
      })[0]);
}

//===----------------------------------------------------------------------===//
// NonMaxSuppression
//===----------------------------------------------------------------------===//

static LogicalResult nonMaxSuppression(NodeContext &c) {
  ImportValue &boxes = c.in(0), &scores = c.in(1);
  if (boxes.dtype != DType::f32 || scores.dtype != DType::f32 ||
      boxes.rank() != 3 || scores.rank() != 3)
    return c.invalid("boxes must be batches x n x 4 and scores batches x "
                     "classes x n, of f32");
  if (failed(c.check(c.idx.eq(boxes.sizes[2], c.idx.constant(4)),
                     "a box must have 4 coordinates")))
    return failure();
  for (auto [i, j] : {std::pair(0, 0), std::pair(1, 2)})
    if (failed(c.check(c.idx.eq(boxes.sizes[i], scores.sizes[j]),
                       "boxes and scores do not fit")))
      return failure();
  OpFoldResult batches = scores.sizes[0], classes = scores.sizes[1],
               n = scores.sizes[2];
  bool center = c.intAttr("center_point_box", 0);
  SmallVector<ImportValue *> ins{&boxes, &scores};
  int at[5] = {0, 1, -1, -1, -1};
  for (int i : {2, 3, 4}) {
    if (!c.has(i) || c.in(i).count() == 0)
      continue;
    if (c.in(i).count() != 1 ||
        c.in(i).dtype != (i == 2 ? DType::i64 : DType::f32))
      return c.invalid("input " + Twine(i) + " must be a scalar");
    at[i] = ins.size();
    ins.push_back(reshape(c, c.in(i), {}));
  }
  // A thread for every class of every batch; what it takes, how many those
  // are, and which boxes are out.
  Sizes lists{batches, classes, n};
  auto r = buildParallel(
      c, "NonMaxSuppression.Select", {batches, classes}, ins, n,
      {ParallelOut{DType::i64, lists},
       ParallelOut{DType::i64, {batches, classes}},
       ParallelOut{DType::i8, lists}},
      [&](ParallelBody &p) {
        Value b = p.ivs[0], k = p.ivs[1], n = p.scalars[0];
        BodyFloats f(p.b, p.loc, DType::f32);
        Type i8 = p.b.getI8Type(), i64 = p.b.getI64Type();
        Value zero = p.index(0), none = p.index(-1);
        Value in8 = p.integer(i8, 0), out8 = p.integer(i8, 1);
        Value most = at[2] < 0 ? zero : p.toIndex(p.load(at[2], {}));
        Value overlap = at[3] < 0 ? f.k(0) : p.load(at[3], {});
        struct Box {
          Value lo[2], hi[2], area;
        };
        auto box = [&](Value i) {
          Value v[4];
          for (int j = 0; j < 4; ++j)
            v[j] = p.load(0, {b, i, p.index(j)});
          Box out;
          for (int d : {0, 1}) {
            if (center) {
              Value half = f.mulf(v[2 + d], f.k(0.5));
              out.lo[d] = f.subf(v[d], half);
              out.hi[d] = f.addf(v[d], half);
            } else {
              out.lo[d] = f.minf(v[d], v[2 + d]);
              out.hi[d] = f.maxf(v[d], v[2 + d]);
            }
          }
          out.area = f.mulf(f.subf(out.hi[0], out.lo[0]),
                            f.subf(out.hi[1], out.lo[1]));
          return out;
        };
        auto positive = [&](Value v) { return f.less(f.k(0), v); };
        p.repeat(n, [&](Value i) {
          Value isOut = p.integer(p.b.getI1Type(), 0);
          if (at[4] >= 0)
            isOut = p.eq(f.less(p.load(at[4], {}), p.load(1, {b, k, i})),
                         p.integer(p.b.getI1Type(), 0));
          p.store(p.select(isOut, out8, in8), {b, k, i}, 2);
        });
        Value rounds = p.max(p.min(most, n), zero);
        Value taken = p.loop(
            rounds, zero, [&](Value, ValueRange taken) -> SmallVector<Value> {
              auto best =
                  p.loop(n, {f.k(0), none},
                         [&](Value i, ValueRange best) -> SmallVector<Value> {
                           Value s = p.load(1, {b, k, i});
                           Value open = p.eq(p.reload({b, k, i}, 2), in8);
                           Value wins =
                               p.ori(p.lt(best[1], zero), f.less(best[0], s));
                           Value take = p.andi(open, wins);
                           return {p.select(take, s, best[0]),
                                   p.select(take, i, best[1])};
                         });
              Value found = p.ge(best[1], zero);
              p.when(found, [&] {
                p.store(arith::IndexCastOp::create(p.b, p.loc, i64, best[1]),
                        {b, k, taken[0]});
                Box mine = box(best[1]);
                p.store(out8, {b, k, best[1]}, 2);
                p.repeat(n, [&](Value i) {
                  Box other = box(i);
                  Value inter;
                  Value hit = p.integer(p.b.getI1Type(), 1);
                  for (int d : {0, 1}) {
                    Value size = f.subf(f.minf(mine.hi[d], other.hi[d]),
                                        f.maxf(mine.lo[d], other.lo[d]));
                    hit = p.andi(hit, positive(size));
                    inter = inter ? f.mulf(inter, size) : size;
                  }
                  Value all = f.subf(f.addf(mine.area, other.area), inter);
                  for (Value v : {inter, mine.area, other.area, all})
                    hit = p.andi(hit, positive(v));
                  hit = p.andi(hit, f.less(overlap, f.divf(inter, all)));
                  p.when(hit, [&] { p.store(out8, {b, k, i}, 2); });
                });
              });
              return {p.select(found, p.add(taken[0], p.index(1)), taken[0])};
            })[0];
        p.store(arith::IndexCastOp::create(p.b, p.loc, i64, taken), {b, k}, 1);
      });
  // Where the list of each class begins in the result.
  auto starts = buildParallel(
      c, "NonMaxSuppression.Count", {}, r[1], {batches, classes},
      {ParallelOut{DType::i64, {batches, classes}},
       ParallelOut{DType::i64, {}}},
      [&](ParallelBody &p) {
        Value zero = p.integer(p.b.getI64Type(), 0);
        Value total = p.loop(p.scalars[0], zero, [&](Value b, ValueRange sum) {
          return p.loop(p.scalars[1], sum[0],
                        [&](Value k, ValueRange sum) -> SmallVector<Value> {
                          p.store(sum[0], {b, k});
                          return {p.add(sum[0], p.load(0, {b, k}))};
                        });
        })[0];
        p.store(total, {}, 1);
      });
  auto count = c.hostInts(*starts[1], "the number of boxes");
  if (failed(count))
    return failure();
  Sizes sizes{(*count)[0], c.idx.constant(3)};
  return c.result(buildParallel(
      c, "NonMaxSuppression", {batches, classes}, {r[0], r[1], starts[0]}, {},
      ParallelOut{DType::i64, sizes}, [&](ParallelBody &p) {
        Value start = p.toIndex(p.load(2, p.ivs));
        p.repeat(p.toIndex(p.load(1, p.ivs)), [&](Value i) {
          Value row = p.add(start, i);
          Type i64 = p.b.getI64Type();
          for (int j : {0, 1})
            p.store(arith::IndexCastOp::create(p.b, p.loc, i64, p.ivs[j]),
                    {row, p.index(j)});
          p.store(p.load(0, {p.ivs[0], p.ivs[1], i}), {row, p.index(2)});
        });
      })[0]);
}

namespace isthmus {
void registerSelectOps(Registry &r) {
  r.add("Compress", 2, compress, 9);
  r.add("NonZero", 1, nonZero, 9);
  r.add("TopK", 1, topK);
  r.add("Unique", 1, unique, 11);
  r.add("OneHot", 3, oneHot, 9);
  r.add("EyeLike", 1, eyeLike, 9);
  r.add("ReverseSequence", 2, reverseSequence, 10);
  r.add("NonMaxSuppression", 2, nonMaxSuppression, 10);
}
} // namespace isthmus
