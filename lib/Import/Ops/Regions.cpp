//===- Ops/Regions.cpp - RoiAlign, MaxRoiPool -----------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/OpHelpers.h"

using namespace mlir;
using namespace isthmus;

using P = arith::CmpIPredicate;

/// The value between the four pixels around (y, x), from `load(row, column)`;
/// `combine` joins the four weighted ones.
static Value bilinear(ParallelBody &p, FloatOps &f, Value y, Value x, Value h,
                      Value w, function_ref<Value(Value, Value)> load,
                      function_ref<Value(Value, Value)> combine) {
  Value one = f.k(1);
  Value lastY = p.sub(h, p.index(1)), lastX = p.sub(w, p.index(1));
  y = f.maxf(y, f.k(0));
  x = f.maxf(x, f.k(0));
  auto split = [&](Value v, Value last) {
    Value low = p.max(p.min(f.toIndexClamped(f.floor(v)), last), p.index(0));
    Value high = p.max(p.min(p.add(low, p.index(1)), last), p.index(0));
    Value r = f.subf(f.minf(v, f.fromInt(last)), f.fromInt(low));
    return std::tuple(low, high, r);
  };
  auto [y0, y1, ry] = split(y, lastY);
  auto [x0, x1, rx] = split(x, lastX);
  Value sy = f.subf(one, ry), sx = f.subf(one, rx);
  Value v = f.mulf(load(y0, x0), f.mulf(sy, sx));
  v = combine(v, f.mulf(load(y0, x1), f.mulf(sy, rx)));
  v = combine(v, f.mulf(load(y1, x0), f.mulf(ry, sx)));
  return combine(v, f.mulf(load(y1, x1), f.mulf(ry, rx)));
}

static LogicalResult roiAlign(NodeContext &c) {
  ImportValue &x = c.in(0), &rois = c.in(1), &batch = c.in(2);
  if (failed(c.requireFloat(0)) || failed(c.requireSameType(0, 1)))
    return failure();
  if (x.rank() != 4 || rois.rank() != 2 || batch.rank() != 1 ||
      batch.dtype != DType::i64)
    return c.invalid("inputs must have ranks 4, 2 and 1");
  if (failed(c.check(c.idx.eq(rois.sizes[1], c.idx.constant(4)),
                     "a region must have 4 numbers")) ||
      failed(c.check(c.idx.eq(rois.sizes[0], batch.sizes[0]),
                     "the regions and batch indices differ in number")))
    return failure();
  for (OpFoldResult s : x.sizes)
    if (failed(c.check(c.idx.cmp(P::sgt, s, c.idx.constant(0)),
                       "the input is empty")))
      return failure();
  std::string mode = c.stringAttr("mode", "avg");
  std::string coordinates =
      c.stringAttr("coordinate_transformation_mode", "half_pixel");
  bool half = c.opset >= 16 && coordinates == "half_pixel";
  int64_t height = c.intAttr("output_height", 1),
          width = c.intAttr("output_width", 1),
          ratio = c.intAttr("sampling_ratio", 0);
  double scale = c.floatAttr("spatial_scale", 1);
  if ((mode != "avg" && mode != "max") || height < 1 || width < 1 || ratio < 0)
    return c.invalid("an attribute is out of range");
  bool isMax = mode == "max";
  Sizes sizes{rois.sizes[0], x.sizes[1], c.idx.constant(height),
              c.idx.constant(width)};
  OpFoldResult scalars[] = {x.sizes[0], x.sizes[2], x.sizes[3]};
  ImportValue *ins[] = {&x, &rois, &batch};
  DType type = x.dtype, wide = accumulatorType(type);
  std::string message = c.name + " (RoiAlign): a batch index is out of range";
  auto results = buildParallel(
      c, "RoiAlign", sizes, ins, scalars, ParallelOut{type, sizes},
      [&](ParallelBody &p) {
        FloatOps f(p.b, p.loc, wide);
        Value n = p.scalars[0], h = p.scalars[1], w = p.scalars[2];
        Value roi = p.ivs[0], zero = p.index(0);
        Value image = p.toIndex(p.load(2, roi));
        p.failIf(p.ori(p.lt(image, zero), p.ge(image, n)), message);
        image = p.max(p.min(image, p.sub(n, p.index(1))), zero);
        auto corner = [&](int64_t i) {
          Value v = f.cast(p.load(1, {roi, p.index(i)}), type, wide);
          return f.subf(f.mulf(v, f.k(scale)), f.k(half ? 0.5 : 0));
        };
        Value beginX = corner(0), beginY = corner(1);
        auto span = [&](Value end, Value begin) {
          Value v = f.subf(end, begin);
          return half ? v : f.maxf(v, f.k(1));
        };
        Value binW = f.divf(span(corner(2), beginX), f.k(double(width)));
        Value binH = f.divf(span(corner(3), beginY), f.k(double(height)));
        auto samples = [&](Value bin) {
          if (ratio)
            return p.index(ratio);
          // As many as the region has pixels.
          return p.max(f.toIndexClamped(f.ceil(bin)), zero);
        };
        Value gridH = samples(binH), gridW = samples(binW);
        auto position = [&](Value begin, Value bin, Value i, Value k,
                            Value grid) {
          Value part = f.divf(f.mulf(f.addf(f.fromInt(k), f.k(0.5)), bin),
                              f.fromInt(grid));
          return f.addf(f.addf(begin, f.mulf(f.fromInt(i), bin)), part);
        };
        Value init = isMax ? f.inf(true) : f.k(0);
        Value sum = p.loop(gridH, init, [&](Value i, ValueRange rows) {
          return p.loop(
              gridW, rows[0], [&](Value j, ValueRange s) -> SmallVector<Value> {
                Value y = position(beginY, binH, p.ivs[2], i, gridH);
                Value xx = position(beginX, binW, p.ivs[3], j, gridW);
                Value outside =
                    p.ori(p.ori(f.less(y, f.k(-1)), f.less(f.fromInt(h), y)),
                          p.ori(f.less(xx, f.k(-1)), f.less(f.fromInt(w), xx)));
                auto combine = [&](Value l, Value r) {
                  return isMax ? f.maxf(l, r) : f.addf(l, r);
                };
                Value v = bilinear(
                    p, f, y, xx, h, w,
                    [&](Value row, Value column) {
                      return f.cast(p.load(0, {image, p.ivs[1], row, column}),
                                    type, wide);
                    },
                    combine);
                v = p.select(outside, f.k(0), v);
                return {combine(s[0], v)};
              });
        })[0];
        Value count = p.mul(gridH, gridW);
        if (isMax)
          sum = p.select(p.eq(count, zero), f.k(0), sum);
        else
          sum = f.divf(sum, f.fromInt(p.max(count, p.index(1))));
        p.store(f.cast(sum, wide, type), p.ivs);
      });
  return c.result(results[0]);
}

static LogicalResult maxRoiPool(NodeContext &c) {
  ImportValue &x = c.in(0), &rois = c.in(1);
  if (failed(c.requireFloat(0)) || failed(c.requireSameType(0, 1)))
    return failure();
  auto shape = c.intsAttr("pooled_shape");
  double scale = c.floatAttr("spatial_scale", 1);
  if (x.rank() != 4 || rois.rank() != 2 || !shape || shape->size() != 2 ||
      (*shape)[0] < 1 || (*shape)[1] < 1)
    return c.invalid("needs an input of rank 4, regions and a pooled_shape");
  if (failed(c.check(c.idx.eq(rois.sizes[1], c.idx.constant(5)),
                     "a region must have 5 numbers")))
    return failure();
  if (failed(c.check(c.idx.cmp(P::sgt, x.sizes[0], c.idx.constant(0)),
                     "the input is empty")))
    return failure();
  Sizes sizes{rois.sizes[0], x.sizes[1], c.idx.constant((*shape)[0]),
              c.idx.constant((*shape)[1])};
  OpFoldResult scalars[] = {x.sizes[0], x.sizes[2], x.sizes[3]};
  ImportValue *ins[] = {&x, &rois};
  DType type = x.dtype, wide = accumulatorType(type);
  std::string message = c.name + " (MaxRoiPool): a batch index is out of range";
  auto results = buildParallel(
      c, "MaxRoiPool", sizes, ins, scalars, ParallelOut{type, sizes},
      [&](ParallelBody &p) {
        FloatOps f(p.b, p.loc, wide);
        Value n = p.scalars[0], zero = p.index(0), one = p.index(1);
        Value roi = p.ivs[0];
        auto number = [&](int64_t i) {
          return f.cast(p.load(1, {roi, p.index(i)}), type, wide);
        };
        Value image = f.toIndexClamped(number(0));
        p.failIf(p.ori(p.lt(image, zero), p.ge(image, n)), message);
        image = p.max(p.min(image, p.sub(n, one)), zero);
        auto rounded = [&](int64_t i) {
          // Half away from zero.
          Value v = f.mulf(number(i), f.k(scale));
          Value up = f.floor(f.addf(f.abs(v), f.k(0.5)));
          v = f.select(f.less(v, f.k(0)), f.neg(up), up);
          return f.toIndexClamped(v);
        };
        Value begin[2], end[2];
        for (int d : {0, 1}) { // height, width
          Value first = rounded(2 - d), last = rounded(4 - d);
          Value size = p.max(p.add(p.sub(last, first), one), one);
          Value bin = f.divf(f.fromInt(size), f.k(double((*shape)[d])));
          Value i = f.fromInt(p.ivs[2 + d]);
          Value lo = f.toIndexClamped(f.floor(f.mulf(i, bin)));
          Value hi = f.toIndexClamped(f.ceil(f.mulf(f.addf(i, f.k(1)), bin)));
          Value limit = p.scalars[1 + d];
          begin[d] = p.min(p.max(p.add(lo, first), zero), limit);
          end[d] = p.min(p.max(p.add(hi, first), zero), limit);
        }
        Value rows = p.max(p.sub(end[0], begin[0]), zero),
              columns = p.max(p.sub(end[1], begin[1]), zero);
        Value best = p.loop(rows, f.inf(true), [&](Value i, ValueRange r) {
          return p.loop(
              columns, r[0], [&](Value j, ValueRange s) -> SmallVector<Value> {
                Value v = p.load(0, {image, p.ivs[1], p.add(begin[0], i),
                                     p.add(begin[1], j)});
                return {f.maxf(s[0], f.cast(v, type, wide))};
              });
        })[0];
        Value empty = p.eq(p.mul(rows, columns), zero);
        p.store(f.cast(p.select(empty, f.k(0), best), wide, type), p.ivs);
      });
  return c.result(results[0]);
}

namespace isthmus {
void registerRegionOps(Registry &r) {
  r.add("RoiAlign", 3, roiAlign, 10);
  r.add("MaxRoiPool", 2, maxRoiPool);
}
} // namespace isthmus
