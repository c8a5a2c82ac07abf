//===- Ops/Cumulative.cpp - CumSum, CumProd ------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Emit.h"
#include "lib/Import/RuntimeAxes.h"

using namespace mlir;
using namespace isthmus;

template <typename FloatOp, typename IntOp, int start>
static LogicalResult cumulative(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (x.dtype == DType::i1 || x.rank() < 1)
    return c.invalid("input must be a tensor of numbers");
  if (c.in(1).count() != 1)
    return c.invalid("axis must be a scalar");
  auto axis = c.hostInts(1);
  if (failed(axis))
    return failure();
  auto mask = axesMask(c, *axis, x.rank());
  if (failed(mask))
    return failure();
  bool exclusive = c.intAttr("exclusive", 0), reverse = c.intAttr("reverse", 0);
  // One point for every line along the axis, which may be a run-time one: the
  // axis has the extent 1 in the space, and the other dims in the loop.
  Sizes space, extents;
  OpFoldResult one = c.idx.constant(1), length = one;
  for (auto [size, along] : llvm::zip_equal(x.sizes, *mask)) {
    space.push_back(c.idx.select(along, one, size));
    length = c.idx.mul(length, c.idx.select(along, size, one));
  }
  Sizes scalars = *mask;
  scalars.push_back(length);
  DType acc = accumulatorType(x.dtype);
  return c.result(buildParallel(
      c, c.op(), space, &x, scalars, ParallelOut{x.dtype, x.sizes},
      [&](ParallelBody &p) {
        Value n = p.scalars.back();
        Value init = p.constant(elementType(p.b.getContext(), acc), start);
        p.loop(n, init, [&](Value k, ValueRange sum) -> SmallVector<Value> {
          if (reverse)
            k = p.sub(p.sub(n, p.index(1)), k);
          SmallVector<Value> at;
          for (int64_t d = 0; d < x.rank(); ++d)
            at.push_back(p.add(p.ivs[d], p.mul(k, p.scalars[d])));
          Value v = p.cast(p.load(0, at), x.dtype, acc);
          Value next = isFloat(acc)
                           ? Value(FloatOp::create(p.b, p.loc, sum[0], v))
                           : Value(IntOp::create(p.b, p.loc, sum[0], v));
          p.store(p.cast(exclusive ? sum[0] : next, acc, x.dtype), at);
          return {next};
        });
      })[0]);
}

namespace isthmus {
void registerCumulativeOps(Registry &r) {
  r.add("CumSum", 2, cumulative<arith::AddFOp, arith::AddIOp, 0>);
  r.add("CumProd", 2, cumulative<arith::MulFOp, arith::MulIOp, 1>);
}
} // namespace isthmus
