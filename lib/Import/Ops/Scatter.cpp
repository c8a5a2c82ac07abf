//===- Ops/Scatter.cpp - gathers and scatters by many indices ---------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Emit.h"

using namespace mlir;
using namespace isthmus;

static std::string outOfRange(NodeContext &c) {
  return c.name + " (" + c.op().str() + "): index out of range";
}

static LogicalResult requireIndices(NodeContext &c, int i) {
  DType type = c.in(i).dtype;
  if (type == DType::i64 || type == DType::i32)
    return success();
  return c.invalid("indices must be i32 or i64");
}

/// No dim but `axis` of `l` may be larger than that of `r`.
static LogicalResult requireInside(NodeContext &c, ImportValue &l,
                                   ImportValue &r, int64_t axis) {
  for (int64_t i = 0; i < l.rank(); ++i)
    if (i != axis && !IndexMath::same(l.sizes[i], r.sizes[i]) &&
        failed(c.check(
            c.idx.cmp(arith::CmpIPredicate::sle, l.sizes[i], r.sizes[i]),
            "dim " + Twine(i) +
                " of the indices is larger than that of the data")))
      return failure();
  return success();
}

static LogicalResult requireEqual(NodeContext &c, OpFoldResult l,
                                  OpFoldResult r, const Twine &what) {
  if (IndexMath::same(l, r))
    return success();
  return c.check(c.idx.eq(l, r), what);
}

static Value zeroOf(ParallelBody &p, DType type) {
  return p.constant(elementType(p.b.getContext(), type), 0);
}

//===----------------------------------------------------------------------===//
// Gather
//===----------------------------------------------------------------------===//

static LogicalResult gatherElements(NodeContext &c) {
  ImportValue &x = c.in(0), &indices = c.in(1);
  if (failed(requireIndices(c, 1)))
    return failure();
  if (x.rank() != indices.rank())
    return c.invalid("data and indices must have one rank");
  auto axis = c.axis(c.intAttr("axis", 0), x.rank());
  if (failed(axis) || failed(requireInside(c, indices, x, *axis)))
    return failure();
  std::string message = outOfRange(c);
  return c.result(buildParallel(
      c, "GatherElements", indices.sizes, {&x, &indices}, x.sizes[*axis],
      ParallelOut{x.dtype, indices.sizes}, [&](ParallelBody &p) {
        auto [i, fine] = p.position(p.load(1, p.ivs), p.scalars[0], message);
        SmallVector<Value> at = p.ivs;
        at[*axis] = i;
        p.store(p.ifElse(
                    fine, [&] { return p.load(0, at); },
                    [&] { return zeroOf(p, x.dtype); }),
                p.ivs);
      })[0]);
}

static LogicalResult gatherND(NodeContext &c) {
  ImportValue &x = c.in(0), &indices = c.in(1);
  if (failed(requireIndices(c, 1)))
    return failure();
  int64_t batch = c.intAttr("batch_dims", 0), q = indices.rank();
  if (q < 1 || x.rank() < 1)
    return c.invalid("data and indices must not be scalars");
  auto depth = indices.dim(q - 1);
  if (!depth)
    return c.unsupported("the last dim of the indices is symbolic");
  if (batch < 0 || batch >= q || *depth < 0 || *depth > x.rank() ||
      batch + *depth > x.rank())
    return c.invalid("the indices are longer than the data has dims");
  for (int64_t i = 0; i < batch; ++i)
    if (failed(requireEqual(c, x.sizes[i], indices.sizes[i],
                            "the batch dims of data and indices differ")))
      return failure();
  Sizes sizes(indices.sizes.begin(), indices.sizes.end() - 1);
  sizes.append(x.sizes.begin() + batch + *depth, x.sizes.end());
  Sizes scalars(x.sizes.begin() + batch, x.sizes.begin() + batch + *depth);
  std::string message = outOfRange(c);
  return c.result(buildParallel(
      c, "GatherND", sizes, {&x, &indices}, scalars,
      ParallelOut{x.dtype, sizes}, [&](ParallelBody &p) {
        ArrayRef<Value> ivs(p.ivs);
        SmallVector<Value> from(ivs.take_front(q - 1));
        SmallVector<Value> at(ivs.take_front(batch));
        Value fine = p.integer(p.b.getI1Type(), 1);
        from.push_back({});
        for (int64_t k = 0; k < *depth; ++k) {
          from.back() = p.index(k);
          auto [i, ok] = p.position(p.load(1, from), p.scalars[k], message);
          at.push_back(i);
          fine = p.andi(fine, ok);
        }
        llvm::append_range(at, ivs.drop_front(q - 1));
        p.store(p.ifElse(
                    fine, [&] { return p.load(0, at); },
                    [&] { return zeroOf(p, x.dtype); }),
                p.ivs);
      })[0]);
}

//===----------------------------------------------------------------------===//
// Scatter
//===----------------------------------------------------------------------===//

using CombineFn = Value (*)(ParallelBody &, DType, Value old, Value update);

static Value overwrite(ParallelBody &, DType, Value, Value update) {
  return update;
}
template <typename FloatOp, typename IntOp, typename UnsignedOp = IntOp>
static Value combineBy(ParallelBody &p, DType type, Value old, Value update) {
  if (isFloat(type))
    return FloatOp::create(p.b, p.loc, old, update);
  if (isUnsigned(type))
    return UnsignedOp::create(p.b, p.loc, old, update);
  return IntOp::create(p.b, p.loc, old, update);
}

static FailureOr<CombineFn> combination(NodeContext &c) {
  std::string how = c.stringAttr("reduction", "none");
  if (how == "none")
    return CombineFn(overwrite);
  bool isBool = c.in(0).dtype == DType::i1;
  if (how == "add")
    return isBool ? combineBy<arith::AddFOp, arith::OrIOp>
                  : combineBy<arith::AddFOp, arith::AddIOp>;
  if (how == "mul")
    return isBool ? combineBy<arith::MulFOp, arith::AndIOp>
                  : combineBy<arith::MulFOp, arith::MulIOp>;
  if (how == "max")
    return CombineFn(
        combineBy<arith::MaximumFOp, arith::MaxSIOp, arith::MaxUIOp>);
  if (how == "min")
    return CombineFn(
        combineBy<arith::MinimumFOp, arith::MinSIOp, arith::MinUIOp>);
  return c.invalid("reduction is '" + how + "'");
}

static LogicalResult scatterElements(NodeContext &c) {
  ImportValue &x = c.in(0), &indices = c.in(1), &updates = c.in(2);
  if (failed(requireIndices(c, 1)) || failed(c.requireSameType(0, 2)))
    return failure();
  if (x.rank() < 1 || x.rank() != indices.rank() || x.rank() != updates.rank())
    return c.invalid("data, indices and updates must have one rank");
  auto axis = c.axis(c.intAttr("axis", 0), x.rank());
  auto combine = combination(c);
  if (failed(axis) || failed(combine) ||
      failed(requireInside(c, indices, x, *axis)))
    return failure();
  for (int64_t i = 0; i < x.rank(); ++i)
    if (failed(requireEqual(c, indices.sizes[i], updates.sizes[i],
                            "indices and updates differ in dim " + Twine(i))))
      return failure();
  // Points are independent when they differ in another dim than the axis;
  // updates along it come one after the other.
  Sizes space, scalars{x.sizes[*axis], indices.sizes[*axis]};
  for (int64_t i = 0; i < x.rank(); ++i)
    if (i != *axis)
      space.push_back(indices.sizes[i]);
  std::string message = outOfRange(c);
  return c.result(buildParallel(
      c, "ScatterElements", space, {&x, &indices, &updates}, scalars,
      ParallelOut{x.dtype, x.sizes},
      [&](ParallelBody &p) {
        auto at = [&](Value along) {
          SmallVector<Value> out(p.ivs);
          out.insert(out.begin() + *axis, along);
          return out;
        };
        p.repeat(p.scalars[1], [&](Value j) {
          auto [i, fine] = p.position(p.load(1, at(j)), p.scalars[0], message);
          p.when(fine, [&, i = i] {
            p.store((*combine)(p, x.dtype, p.reload(at(i)), p.load(2, at(j))),
                    at(i));
          });
        });
      },
      /*inPlace=*/true)[0]);
}

static LogicalResult scatterND(NodeContext &c) {
  ImportValue &x = c.in(0), &indices = c.in(1), &updates = c.in(2);
  if (failed(requireIndices(c, 1)) || failed(c.requireSameType(0, 2)))
    return failure();
  int64_t q = indices.rank();
  if (q < 1 || x.rank() < 1)
    return c.invalid("data and indices must not be scalars");
  auto depth = indices.dim(q - 1);
  if (!depth)
    return c.unsupported("the last dim of the indices is symbolic");
  if (*depth > x.rank() || updates.rank() != q - 1 + x.rank() - *depth)
    return c.invalid("the ranks of data, indices and updates do not fit");
  auto combine = combination(c);
  if (failed(combine))
    return failure();
  Sizes expected(indices.sizes.begin(), indices.sizes.end() - 1);
  expected.append(x.sizes.begin() + *depth, x.sizes.end());
  for (auto [l, r] : llvm::zip_equal(expected, updates.sizes))
    if (failed(requireEqual(c, l, r, "the updates have another shape")))
      return failure();
  Sizes space(x.sizes.begin() + *depth, x.sizes.end());
  Sizes scalars(x.sizes.begin(), x.sizes.begin() + *depth);
  scalars.append(indices.sizes.begin(), indices.sizes.end() - 1);
  std::string message = outOfRange(c);
  return c.result(buildParallel(
      c, "ScatterND", space, {&x, &indices, &updates}, scalars,
      ParallelOut{x.dtype, x.sizes},
      [&](ParallelBody &p) {
        ArrayRef<Value> scalars(p.scalars);
        auto with = [&](ArrayRef<Value> front) {
          SmallVector<Value> at(front);
          llvm::append_range(at, p.ivs);
          return at;
        };
        p.forEach(scalars.drop_front(*depth), [&](ArrayRef<Value> j) {
          SmallVector<Value> from(j), to;
          from.push_back({});
          Value fine = p.integer(p.b.getI1Type(), 1);
          for (int64_t k = 0; k < *depth; ++k) {
            from.back() = p.index(k);
            auto [i, ok] = p.position(p.load(1, from), p.scalars[k], message);
            to.push_back(i);
            fine = p.andi(fine, ok);
          }
          p.when(fine, [&] {
            SmallVector<Value> at = with(to);
            p.store((*combine)(p, x.dtype, p.reload(at), p.load(2, with(j))),
                    at);
          });
        });
      },
      /*inPlace=*/true)[0]);
}

/// Writes new rows into a cache of keys or values.
static LogicalResult tensorScatter(NodeContext &c) {
  ImportValue &cache = c.in(0), &update = c.in(1);
  if (failed(c.requireSameType(0, 1)))
    return failure();
  if (cache.rank() < 2 || cache.rank() != update.rank())
    return c.invalid("cache and update must have one rank of 2 or more");
  auto axis = c.axis(c.intAttr("axis", -2), cache.rank());
  if (failed(axis))
    return failure();
  if (*axis == 0)
    return c.invalid("axis must not be the batch");
  std::string mode = c.stringAttr("mode", "linear");
  if (mode != "linear" && mode != "circular")
    return c.invalid("mode is '" + mode + "'");
  bool circular = mode == "circular";
  for (int64_t i = 0; i < cache.rank(); ++i)
    if (i == *axis ? failed(c.check(c.idx.cmp(arith::CmpIPredicate::sle,
                                              update.sizes[i], cache.sizes[i]),
                                    "the update is longer than the cache"))
                   : failed(requireEqual(c, cache.sizes[i], update.sizes[i],
                                         "cache and update differ in dim " +
                                             Twine(i))))
      return failure();
  SmallVector<ImportValue *> ins{&cache, &update};
  if (c.has(2)) {
    if (failed(requireIndices(c, 2)))
      return failure();
    if (c.in(2).rank() != 1 ||
        failed(requireEqual(c, c.in(2).sizes[0], cache.sizes[0],
                            "there must be one write index a batch")))
      return c.failed ? failure() : c.invalid("write_indices is no vector");
    ins.push_back(&c.in(2));
  }
  std::string message = outOfRange(c);
  return c.result(buildParallel(
      c, "TensorScatter", update.sizes, ins,
      {cache.sizes[*axis], update.sizes[*axis]},
      ParallelOut{cache.dtype, cache.sizes},
      [&](ParallelBody &p) {
        Value zero = p.index(0), size = p.scalars[0], rows = p.scalars[1];
        Value start = zero, fine = p.integer(p.b.getI1Type(), 1);
        if (c.has(2))
          start = p.toIndex(p.load(2, p.ivs[0]));
        Value row = p.add(p.ivs[*axis], start);
        if (circular) {
          row = p.rem(row, size);
          row = p.select(p.lt(row, zero), p.add(row, size), row);
        } else if (c.has(2)) {
          Value bad = p.ori(p.lt(start, zero), p.lt(p.sub(size, rows), start));
          p.failIf(bad, message);
          fine = p.select(bad, p.integer(p.b.getI1Type(), 0), fine);
        }
        SmallVector<Value> to = p.ivs;
        to[*axis] = row;
        p.when(fine, [&] { p.store(p.load(1, p.ivs), to); });
      },
      /*inPlace=*/true)[0]);
}

namespace isthmus {
void registerScatterOps(Registry &r) {
  r.add("GatherElements", 2, gatherElements);
  r.add("GatherND", 2, gatherND);
  r.add("Scatter", 3, scatterElements, 1, 10);
  r.add("ScatterElements", 3, scatterElements);
  r.add("ScatterND", 3, scatterND);
  r.add("TensorScatter", 2, tensorScatter);
}
} // namespace isthmus
