//===- Ops/Gather.cpp - Concat, Slice, Gather ------------------------- ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Emit.h"
#include "lib/Import/RuntimeAxes.h"
#include "lib/Import/Subgraph.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace isthmus;

FailureOr<ImportValue *>
isthmus::concat(NodeContext &c, ArrayRef<ImportValue *> ins, int64_t axis) {
  DType type = ins[0]->dtype;
  for (ImportValue *v : ins) {
    if (v->dtype != type)
      return c.invalid("inputs must have one type");
    if (v->rank() != ins[0]->rank())
      return c.invalid("inputs must have one rank");
  }
  if (llvm::all_of(
          ins, [](ImportValue *v) { return v->scalars && v->rank() == 1; })) {
    Sizes elements;
    for (ImportValue *v : ins)
      llvm::append_range(elements, *v->scalars);
    if (int64_t(elements.size()) <= kMaxScalars)
      return c.importer.newScalars(type, elements, 1);
  }
  Sizes sizes = ins[0]->sizes;
  Sizes ends; // where each input ends along the axis
  OpFoldResult end = c.idx.constant(0);
  for (ImportValue *v : ins) {
    end = c.idx.add(end, v->sizes[axis]);
    ends.push_back(end);
    for (int64_t i = 0; i < v->rank(); ++i) {
      if (i == axis)
        continue;
      if (!IndexMath::same(sizes[i], v->sizes[i]) &&
          failed(c.check(c.idx.eq(sizes[i], v->sizes[i]),
                         "inputs differ in dim " + Twine(i))))
        return failure();
      if (IndexMath::known(v->sizes[i]))
        sizes[i] = v->sizes[i];
    }
  }
  sizes[axis] = end;
  if (ins.size() == 1)
    return ins[0];
  return buildParallel(c, "Concat", sizes, ins, ends, ParallelOut{type, sizes},
                       [&](ParallelBody &p) {
                         // A binary search over where the inputs end.
                         std::function<Value(size_t, size_t)> pick =
                             [&](size_t lo, size_t hi) -> Value {
                           if (lo + 1 == hi) {
                             SmallVector<Value> at = p.ivs;
                             if (lo > 0)
                               at[axis] = p.sub(at[axis], p.scalars[lo - 1]);
                             return p.load(lo, at);
                           }
                           size_t middle = (lo + hi) / 2;
                           return p.ifElse(
                               p.lt(p.ivs[axis], p.scalars[middle - 1]),
                               [&] { return pick(lo, middle); },
                               [&] { return pick(middle, hi); });
                         };
                         p.store(pick(0, ins.size()), p.ivs);
                       })[0];
}

static LogicalResult concatOp(NodeContext &c) {
  SmallVector<ImportValue *> ins;
  for (int i = 0; i < c.numInputs(); ++i) {
    if (!c.has(i))
      return c.invalid("input " + Twine(i) + " is missing");
    ins.push_back(&c.in(i));
  }
  if (!c.hasAttr("axis") && c.opset >= 4)
    return c.invalid("has no axis");
  auto axis = c.axis(c.intAttr("axis", 1), c.in(0).rank());
  if (failed(axis))
    return failure();
  return c.result(concat(c, ins, *axis));
}

static LogicalResult slice(NodeContext &c) {
  ImportValue &x = c.in(0);
  int64_t rank = x.rank();
  Sizes starts, ends, steps;
  SmallVector<int64_t> axes;
  auto toSizes = [&](ArrayRef<int64_t> ints) {
    Sizes out;
    for (int64_t v : ints)
      out.push_back(c.idx.constant(v));
    return out;
  };
  std::optional<SmallVector<int64_t>> given;
  if (c.opset < 10) {
    auto s = c.intsAttr("starts"), e = c.intsAttr("ends");
    if (!s || !e)
      return c.invalid("has no starts or no ends");
    starts = toSizes(*s);
    ends = toSizes(*e);
    given = c.intsAttr("axes");
  } else {
    for (int i : {1, 2})
      if (!c.has(i))
        return c.invalid("has no starts or no ends");
    auto s = c.hostInts(1);
    auto e = c.hostInts(2);
    if (failed(s) || failed(e))
      return failure();
    starts = *s;
    ends = *e;
    if (c.has(4)) {
      auto st = c.hostInts(4);
      if (failed(st))
        return failure();
      steps = *st;
    }
    if (c.has(3)) {
      auto a = c.hostInts(3);
      if (failed(a))
        return failure();
      given.emplace();
      for (OpFoldResult v : *a)
        if (auto known = IndexMath::known(v))
          given->push_back(*known);
      if (given->size() != a->size()) {
        // Axes of the device: every dim has a start, an end and a step.
        if (a->size() != starts.size() || a->size() != ends.size() ||
            (c.has(4) && a->size() != steps.size()))
          return c.invalid("starts, ends, axes and steps differ in length");
        auto mask = axesMask(c, *a, rank);
        if (failed(mask))
          return failure();
        IndexMath &m = c.idx;
        Sizes allStarts(rank, m.constant(0)), allEnds = x.sizes,
                                              allSteps(rank, m.constant(1));
        for (auto [k, v] : llvm::enumerate(*a)) {
          auto axis = hostAxis(c, v, rank);
          if (failed(axis))
            return failure();
          for (int64_t d = 0; d < rank; ++d) {
            OpFoldResult here = m.eq(*axis, m.constant(d));
            allStarts[d] = m.select(here, starts[k], allStarts[d]);
            allEnds[d] = m.select(here, ends[k], allEnds[d]);
            if (c.has(4))
              allSteps[d] = m.select(here, steps[k], allSteps[d]);
          }
        }
        starts = allStarts;
        ends = allEnds;
        steps = allSteps;
        given.reset();
      }
    }
  }
  if (given) {
    for (int64_t a : *given) {
      auto normal = c.axis(a, rank);
      if (failed(normal))
        return failure();
      if (llvm::is_contained(axes, *normal))
        return c.invalid("axis " + Twine(a) + " is given twice");
      axes.push_back(*normal);
    }
  } else {
    axes = llvm::to_vector(llvm::seq<int64_t>(0, starts.size()));
  }
  if (steps.empty())
    steps.assign(starts.size(), c.idx.constant(1));
  if (starts.size() != ends.size() || starts.size() != axes.size() ||
      starts.size() != steps.size() || int64_t(axes.size()) > rank)
    return c.invalid("starts, ends, axes and steps differ in length");
  IndexMath &m = c.idx;
  OpFoldResult zero = m.constant(0), one = m.constant(1);
  Sizes sizes = x.sizes;
  Sizes from(rank, zero), by(rank, one);
  using P = arith::CmpIPredicate;
  for (auto [k, a] : llvm::enumerate(axes)) {
    OpFoldResult d = x.sizes[a], start = starts[k], end = ends[k],
                 step = steps[k];
    auto knownStep = IndexMath::known(step);
    if (knownStep == 0 || knownStep == std::numeric_limits<int64_t>::min())
      return c.invalid("step is out of range");
    if (!knownStep && failed(c.check(m.cmp(P::ne, step, zero), "step is 0")))
      return failure();
    // Negative ones count from the end; known ones need no arithmetic, and the
    // largest integer must not overflow.
    auto isPositive = [&](OpFoldResult v) { return c.idx.lowerBound(v) >= 0; };
    auto fromEnd = [&](OpFoldResult v) {
      if (auto known = IndexMath::known(v))
        return *known < 0 ? m.add(v, d) : v;
      if (isPositive(v))
        return v;
      return m.add(v, m.select(m.cmp(P::slt, v, zero), d, zero));
    };
    OpFoldResult s = fromEnd(start), e = fromEnd(end);
    OpFoldResult last = m.sub(d, one);
    auto knownStart = IndexMath::known(start), knownEnd = IndexMath::known(end);
    constexpr int64_t kFar = std::numeric_limits<int32_t>::max();
    auto inside = [&](OpFoldResult v) {
      return isPositive(v) ? m.min(v, d) : m.clamp(v, zero, d);
    };
    auto forward = [&]() -> std::pair<OpFoldResult, OpFoldResult> {
      OpFoldResult f = knownStart == 0 ? zero : inside(s);
      OpFoldResult t = knownEnd && *knownEnd >= kFar ? d : inside(e);
      if (IndexMath::same(e, d))
        t = d;
      return {f, m.ceilDiv(m.sub(t, f), step)};
    };
    auto backward = [&]() -> std::pair<OpFoldResult, OpFoldResult> {
      OpFoldResult f = m.clamp(s, m.constant(-1), last);
      OpFoldResult t = knownEnd && *knownEnd <= -kFar
                           ? m.constant(-1)
                           : m.clamp(e, m.constant(-1), last);
      return {f, m.ceilDiv(m.sub(f, t), m.sub(zero, step))};
    };
    std::pair<OpFoldResult, OpFoldResult> r;
    if (knownStep) {
      r = *knownStep > 0 ? forward() : backward();
    } else {
      OpFoldResult up = m.cmp(P::sgt, step, zero);
      auto f = forward(), bk = backward();
      r = {m.select(up, f.first, bk.first), m.select(up, f.second, bk.second)};
    }
    from[a] = r.first;
    by[a] = step;
    sizes[a] = IndexMath::same(r.second, d) ? d
               : isPositive(r.second)       ? r.second
                                            : m.max(r.second, zero);
  }
  if (x.scalars && rank == 1) {
    auto n = IndexMath::known(sizes[0]), f = IndexMath::known(from[0]),
         st = IndexMath::known(by[0]);
    if (n && f && st) {
      Sizes elements;
      for (int64_t i = 0; i < *n; ++i)
        elements.push_back((*x.scalars)[*f + i * *st]);
      return c.result(c.importer.newScalars(x.dtype, elements, 1));
    }
  }
  bool whole = true;
  for (int64_t i = 0; i < rank; ++i)
    whole &=
        IndexMath::same(sizes[i], x.sizes[i]) && IndexMath::known(by[i]) == 1;
  if (whole)
    return c.result(&x);
  Value source = c.tensor(x);
  return c.result(
      fromIndices(c, sizes, x.dtype,
                  [&](OpBuilder &b, Location loc, ValueRange ivs) -> Value {
                    BodyMath mm{b, loc};
                    auto inside = [&](OpFoldResult v) {
                      auto k = IndexMath::known(v);
                      return k ? mm.index(*k) : cast<Value>(v);
                    };
                    SmallVector<Value> at;
                    for (int64_t i = 0; i < rank; ++i) {
                      Value iv = ivs[i];
                      if (IndexMath::known(by[i]) != 1)
                        iv = mm.mul(iv, inside(by[i]));
                      if (IndexMath::known(from[i]) != 0)
                        iv = mm.add(iv, inside(from[i]));
                      at.push_back(iv);
                    }
                    return tensor::ExtractOp::create(b, loc, source, at);
                  }));
}

/// The index of a Gather that has one and knows it.
static std::optional<int64_t> onlyIndex(NodeContext &c) {
  ImportValue &indices = c.in(1);
  if (indices.scalars && indices.scalars->size() == 1)
    return IndexMath::known(indices.scalars->front());
  if (indices.count() != 1)
    return std::nullopt;
  DenseElementsAttr data = c.constant(1);
  return data ? std::optional((*data.value_begin<APInt>()).getSExtValue())
              : std::nullopt;
}

/// `x` at `index` of `axis`, which becomes `inserted` dims of 1: a copy like a
/// transpose's, and no index to check on the device.
static ImportValue *atIndex(NodeContext &c, ImportValue &x, int64_t axis,
                            int64_t inserted, Sizes sizes, OpFoldResult index) {
  if (auto known = IndexMath::known(index)) {
    MLIRContext *context = c.b.getContext();
    SmallVector<AffineExpr> at;
    for (int64_t i = 0; i < x.rank(); ++i)
      at.push_back(i == axis ? getAffineConstantExpr(*known, context)
                             : getAffineDimExpr(i < axis ? i : i - 1 + inserted,
                                                context));
    return generic(
        c, Access{&x, at}, sizes, x.dtype,
        [](OpBuilder &, Location, ValueRange args) { return args[0]; });
  }
  Value source = c.tensor(x);
  return fromIndices(c, sizes, x.dtype,
                     [&](OpBuilder &b, Location loc, ValueRange ivs) -> Value {
                       SmallVector<Value> at(ivs.take_front(axis));
                       at.push_back(cast<Value>(index));
                       llvm::append_range(at, ivs.drop_front(axis + inserted));
                       return tensor::ExtractOp::create(b, loc, source, at);
                     });
}

static LogicalResult gather(NodeContext &c) {
  ImportValue &x = c.in(0), &indices = c.in(1);
  if (indices.dtype != DType::i64 && indices.dtype != DType::i32)
    return c.invalid("indices must be i32 or i64");
  auto axis = c.axis(c.intAttr("axis", 0), x.rank());
  if (failed(axis))
    return failure();
  if (x.scalars && x.rank() == 1 && indices.scalars && indices.rank() <= 1) {
    Sizes elements;
    int64_t n = x.scalars->size();
    for (OpFoldResult i : *indices.scalars) {
      auto k = IndexMath::known(i);
      if (!k)
        break;
      if (*k < -n || *k >= n)
        return c.invalid("index " + Twine(*k) + " is out of range");
      elements.push_back((*x.scalars)[*k < 0 ? *k + n : *k]);
    }
    if (elements.size() == indices.scalars->size())
      return c.result(c.importer.newScalars(x.dtype, elements, indices.rank()));
  }
  Sizes sizes(x.sizes.begin(), x.sizes.begin() + *axis);
  llvm::append_range(sizes, indices.sizes);
  sizes.append(x.sizes.begin() + *axis + 1, x.sizes.end());
  OpFoldResult n = x.sizes[*axis];
  if (auto known = onlyIndex(c);
      known && c.idx.lowerBound(n) > (*known < 0 ? -(*known + 1) : *known)) {
    OpFoldResult index = *known < 0 ? c.idx.add(n, c.idx.constant(*known))
                                    : c.idx.constant(*known);
    // Of what is computed, a row is where it is: queries, keys and values that
    // one product made.
    bool isRow = *axis == 0 && !x.constant && !x.proto;
    return c.result(isRow ? reshape(c, *elementAlong(c, x, 0, index), sizes)
                          : atIndex(c, x, *axis, indices.rank(), sizes, index));
  }
  ImportValue *ins[] = {&x, &indices};
  std::string message = c.name + " (Gather): index out of range";
  auto r = buildParallel(
      c, "Gather", sizes, ins, n, ParallelOut{x.dtype, sizes},
      [&](ParallelBody &p) {
        ArrayRef<Value> ivs(p.ivs);
        Value i = p.toIndex(p.load(1, ivs.slice(*axis, indices.rank())));
        Value size = p.scalars[0], zero = p.index(0);
        i = p.select(p.lt(i, zero), p.add(i, size), i);
        p.failIf(p.ori(p.lt(i, zero), p.ge(i, size)), message);
        i = p.max(p.min(i, p.sub(size, p.index(1))), zero);
        SmallVector<Value> at(ivs.take_front(*axis));
        at.push_back(i);
        llvm::append_range(at, ivs.drop_front(*axis + indices.rank()));
        // An empty axis has nothing to clamp to.
        if (c.idx.lowerBound(n) > 0)
          p.store(p.load(0, at), p.ivs);
        else
          p.store(p.ifElse(
                      p.lt(zero, size), [&] { return p.load(0, at); },
                      [&] {
                        return p.constant(
                            elementType(p.b.getContext(), x.dtype), 0);
                      }),
                  p.ivs);
      });
  return c.result(r[0]);
}

namespace isthmus {
void registerGatherOps(Registry &r) {
  r.add("Concat", 1, concatOp);
  r.add("Slice", 1, slice);
  r.add("Gather", 2, gather);
}
} // namespace isthmus
