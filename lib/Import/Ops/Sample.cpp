//===- Ops/Sample.cpp - GridSample, AffineGrid, regions, DeformConv -------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/OpHelpers.h"
#include "lib/Import/Window.h"

using namespace mlir;
using namespace isthmus;

using P = arith::CmpIPredicate;

//===----------------------------------------------------------------------===//
// GridSample, AffineGrid
//===----------------------------------------------------------------------===//

namespace {
enum class Padding { zeros, border, reflection };

struct Tap {
  Value at, weight;
  Value inside; // null: always
};
} // namespace

/// Mirrors x at `lo` and `hi` until it is between them.
static Value reflect(FloatOps &f, Value x, Value lo, Value hi) {
  Value range = f.subf(hi, lo), zero = f.k(0);
  Value isEmpty = f.lessEqual(range, zero);
  Value safe = f.select(isEmpty, f.k(1), range);
  Value below = f.less(x, lo), above = f.less(hi, x);
  Value d = f.select(below, f.subf(lo, x), f.subf(x, hi));
  d = f.maxf(d, zero);
  Value n = f.floor(f.divf(d, safe));
  Value r = f.subf(d, f.mulf(n, safe));
  Value half = f.mulf(n, f.k(0.5));
  Value even = f.equal(f.floor(half), half);
  Value fromLow = f.eq(below, even);
  Value y = f.select(fromLow, f.addf(lo, r), f.subf(hi, r));
  y = f.select(isEmpty, lo, y);
  return f.select(f.ori(below, above), y, x);
}

static LogicalResult gridSample(NodeContext &c) {
  ImportValue &x = c.in(0), &grid = c.in(1);
  if (failed(c.requireFloat(1)))
    return failure();
  int64_t n = x.rank() - 2;
  if (n < 1 || grid.rank() != x.rank() || !isFloat(x.dtype))
    return c.invalid(
        "input and grid must be float tensors of one rank above 2");
  if (failed(
          c.check(c.idx.eq(grid.sizes.back(), c.idx.constant(n)),
                  "the grid's last dim is not the number of spatial dims")) ||
      failed(c.check(c.idx.eq(grid.sizes[0], x.sizes[0]),
                     "the grid has another batch size")))
    return failure();
  std::string mode =
      c.stringAttr("mode", c.opset >= 20 ? "linear" : "bilinear");
  int taps = mode == "nearest"                        ? 1
             : mode == "linear" || mode == "bilinear" ? 2
             : mode == "cubic" || mode == "bicubic"   ? 4
                                                      : 0;
  std::string paddingName = c.stringAttr("padding_mode", "zeros");
  Padding padding = paddingName == "border"       ? Padding::border
                    : paddingName == "reflection" ? Padding::reflection
                                                  : Padding::zeros;
  if (!taps || (padding == Padding::zeros && paddingName != "zeros"))
    return c.invalid("mode or padding_mode is not known");
  if (taps == 4 && n > 3)
    return c.unsupported("cubic mode over more than 3 dims");
  bool corners = c.intAttr("align_corners", 0);
  Sizes sizes{x.sizes[0], x.sizes[1]};
  sizes.append(grid.sizes.begin() + 1, grid.sizes.end() - 1);
  for (int64_t i = 0; i < n; ++i)
    if (failed(c.check(c.idx.cmp(P::sgt, x.sizes[i + 2], c.idx.constant(0)),
                       "the input is empty")))
      return failure();
  DType type = x.dtype, wide = accumulatorType(type);
  DType coordinate = accumulatorType(grid.dtype);
  ImportValue *ins[] = {&x, &grid};
  auto results = buildParallel(
      c, "GridSample", sizes, ins, ArrayRef(x.sizes).drop_front(2),
      ParallelOut{type, sizes}, [&](ParallelBody &p) {
        FloatOps g(p.b, p.loc, coordinate), f(p.b, p.loc, wide);
        SmallVector<SmallVector<Tap>> all;
        for (int64_t i = 0; i < n; ++i) {
          SmallVector<Value> at{p.ivs[0]};
          at.append(p.ivs.begin() + 2, p.ivs.end());
          at.push_back(p.index(n - 1 - i)); // x comes first
          Value v = g.cast(p.load(1, at), grid.dtype, coordinate);
          Value size = p.scalars[i], last = p.sub(size, p.index(1));
          Value length = g.fromInt(size), one = g.k(1), half = g.k(0.5);
          v = g.addf(v, one);
          v = corners ? g.mulf(g.mulf(v, half), g.subf(length, one))
                      : g.mulf(g.subf(g.mulf(v, length), one), half);
          if (taps == 1)
            v = g.roundEven(v);
          Value lo = corners ? g.k(0) : g.k(-0.5);
          Value hi = g.subf(length, corners ? one : half);
          if (padding == Padding::border) {
            Value out = g.ori(g.less(v, lo), g.less(hi, v));
            Value clamped = g.minf(g.maxf(v, g.k(0)), g.subf(length, one));
            v = g.select(out, clamped, v);
          } else if (padding == Padding::reflection) {
            v = reflect(g, v, lo, hi);
          }
          auto pixel = [&](Value k, Value weight) {
            Tap t{k, weight, Value()};
            if (padding == Padding::zeros)
              t.inside = p.andi(p.ge(k, p.index(0)), p.lt(k, size));
            else if (padding == Padding::reflection)
              t.at = g.toIndexClamped(reflect(g, g.fromInt(k), lo, hi));
            t.at = p.max(p.min(t.at, last), p.index(0));
            return t;
          };
          SmallVector<Tap> list;
          if (taps == 1) {
            list.push_back(pixel(g.toIndexClamped(v), Value()));
          } else {
            Value low = g.floor(v), r = g.subf(v, low);
            Value first = g.toIndexClamped(low);
            auto weight = [&](Value w) { return f.cast(w, coordinate, wide); };
            if (taps == 2) {
              list.push_back(pixel(first, weight(g.subf(one, r))));
              list.push_back(pixel(p.add(first, p.index(1)), weight(r)));
            } else {
              double a = -0.75;
              auto near = [&](Value d) {
                Value y = g.subf(g.mulf(g.k(a + 2), d), g.k(a + 3));
                return g.addf(g.mulf(g.mulf(y, d), d), one);
              };
              auto far = [&](Value d) {
                Value y = g.subf(g.mulf(g.k(a), d), g.k(5 * a));
                y = g.addf(g.mulf(y, d), g.k(8 * a));
                return g.subf(g.mulf(y, d), g.k(4 * a));
              };
              Value s = g.subf(one, r);
              list.push_back(
                  pixel(p.sub(first, p.index(1)), weight(far(g.addf(r, one)))));
              list.push_back(pixel(first, weight(near(r))));
              list.push_back(pixel(p.add(first, p.index(1)), weight(near(s))));
              list.push_back(
                  pixel(p.add(first, p.index(2)), weight(far(g.addf(s, one)))));
            }
          }
          all.push_back(list);
        }
        SmallVector<Value> at{p.ivs[0], p.ivs[1]};
        std::function<Value(int64_t, Value)> sample = [&](int64_t d,
                                                          Value inside) {
          if (d == n) {
            Value v = f.cast(p.load(0, at), type, wide);
            return inside ? f.select(inside, v, f.k(0)) : v;
          }
          Value sum;
          for (const Tap &t : all[d]) {
            at.push_back(t.at);
            Value ok = !t.inside ? inside
                       : inside  ? p.andi(inside, t.inside)
                                 : t.inside;
            Value v = sample(d + 1, ok);
            at.pop_back();
            if (t.weight)
              v = f.mulf(v, t.weight);
            sum = sum ? f.addf(sum, v) : v;
          }
          return sum;
        };
        p.store(f.cast(sample(0, Value()), wide, type), p.ivs);
      });
  return c.result(results[0]);
}

static LogicalResult affineGrid(NodeContext &c) {
  ImportValue &theta = c.in(0);
  if (failed(c.requireFloat(0)))
    return failure();
  auto size = c.hostInts(1);
  if (failed(size))
    return failure();
  int64_t n = int64_t(size->size()) - 2;
  if (theta.rank() != 3 || (n != 2 && n != 3))
    return c.invalid("theta must have rank 3 and size 4 or 5 elements");
  if (failed(c.check(c.idx.eq(theta.sizes[1], c.idx.constant(n)),
                     "theta has the wrong number of rows")) ||
      failed(c.check(c.idx.eq(theta.sizes[2], c.idx.constant(n + 1)),
                     "theta has the wrong number of columns")) ||
      failed(c.check(c.idx.eq(theta.sizes[0], (*size)[0]),
                     "theta has another batch size")))
    return failure();
  Sizes sizes{theta.sizes[0]};
  for (OpFoldResult s : ArrayRef(*size).drop_front(2)) {
    if (failed(c.check(c.idx.cmp(P::sge, s, c.idx.constant(0)),
                       "size has a negative number")))
      return failure();
    sizes.push_back(s);
  }
  Sizes spatial(sizes.begin() + 1, sizes.end());
  sizes.push_back(c.idx.constant(n));
  bool corners = c.intAttr("align_corners", 0);
  DType type = theta.dtype, wide = accumulatorType(type);
  auto results = buildParallel(
      c, "AffineGrid", sizes, &theta, spatial, ParallelOut{type, sizes},
      [&](ParallelBody &p) {
        FloatOps f(p.b, p.loc, wide);
        Value row = p.ivs.back(), sum;
        for (int64_t k = 0; k <= n; ++k) {
          Value t = f.cast(p.load(0, {p.ivs[0], row, p.index(k)}), type, wide);
          if (k < n) {
            int64_t d = n - 1 - k; // x is the last dim
            Value i = f.fromInt(p.ivs[d + 1]), size = f.fromInt(p.scalars[d]);
            Value one = f.k(1), v;
            if (corners) {
              Value steps = f.maxf(f.subf(size, one), one);
              v = f.subf(f.divf(f.mulf(f.k(2), i), steps), one);
            } else {
              v = f.addf(f.mulf(f.k(2), i), one);
              v = f.subf(f.divf(v, size), one);
            }
            t = f.mulf(t, v);
          }
          sum = sum ? f.addf(sum, t) : t;
        }
        p.store(f.cast(sum, wide, type), p.ivs);
      });
  return c.result(results[0]);
}

//===----------------------------------------------------------------------===//
// Regions
//===----------------------------------------------------------------------===//

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

//===----------------------------------------------------------------------===//
// DeformConv
//===----------------------------------------------------------------------===//

static LogicalResult deformConv(NodeContext &c) {
  ImportValue &x = c.in(0), &w = c.in(1), &offset = c.in(2);
  if (failed(c.requireFloat(0)))
    return failure();
  for (int i = 1; i < c.numInputs(); ++i)
    if (c.has(i) && failed(c.requireSameType(0, i)))
      return failure();
  if (x.rank() != 4 || w.rank() != 4 || offset.rank() != 4)
    return c.unsupported("DeformConv over other than 2 spatial dims");
  ImportValue *bias = c.has(3) ? &c.in(3) : nullptr;
  ImportValue *mask = c.has(4) ? &c.in(4) : nullptr;
  int64_t group = c.intAttr("group", 1),
          offsetGroup = c.intAttr("offset_group", 1);
  if (group < 1 || offsetGroup < 1)
    return c.invalid("group and offset_group must be at least 1");
  if (auto shape = c.intsAttr("kernel_shape"))
    if (shape->size() != 2 || (w.dim(2) && *w.dim(2) != (*shape)[0]) ||
        (w.dim(3) && *w.dim(3) != (*shape)[1]))
      return c.invalid("kernel_shape is not the filter's shape");
  IndexMath &m = c.idx;
  auto window = windowOf(c, x, ArrayRef(w.sizes).drop_front(2), false);
  if (failed(window))
    return failure();
  OpFoldResult area = m.mul(w.sizes[2], w.sizes[3]);
  OpFoldResult points = m.mul(area, m.constant(offsetGroup));
  auto same = [&](OpFoldResult l, OpFoldResult r, const char *what) {
    return c.check(m.eq(l, r), Twine(what) + " has a wrong size");
  };
  OpFoldResult zero = m.constant(0);
  if (failed(same(x.sizes[1], m.mul(w.sizes[1], m.constant(group)),
                  "the filter")) ||
      failed(same(m.rem(w.sizes[0], m.constant(group)), zero, "the filter")) ||
      failed(same(m.rem(x.sizes[1], m.constant(offsetGroup)), zero,
                  "the offset's groups")) ||
      failed(same(offset.sizes[0], x.sizes[0], "the offset")) ||
      failed(
          same(offset.sizes[1], m.mul(points, m.constant(2)), "the offset")) ||
      failed(same(offset.sizes[2], window->out[0], "the offset")) ||
      failed(same(offset.sizes[3], window->out[1], "the offset")))
    return failure();
  if (bias && (bias->rank() != 1 ||
               failed(same(bias->sizes[0], w.sizes[0], "the bias"))))
    return c.failed ? failure() : c.invalid("the bias must be a vector");
  if (mask &&
      (mask->rank() != 4 || failed(same(mask->sizes[0], x.sizes[0], "mask")) ||
       failed(same(mask->sizes[1], points, "the mask")) ||
       failed(same(mask->sizes[2], window->out[0], "the mask")) ||
       failed(same(mask->sizes[3], window->out[1], "the mask"))))
    return c.failed ? failure() : c.invalid("the mask must have rank 4");
  for (int64_t i : {2, 3})
    if (failed(c.check(m.cmp(P::sgt, x.sizes[i], zero), "the input is empty")))
      return failure();
  Sizes sizes{x.sizes[0], w.sizes[0], window->out[0], window->out[1]};
  SmallVector<ImportValue *> ins{&x, &w, &offset};
  if (bias)
    ins.push_back(bias);
  if (mask)
    ins.push_back(mask);
  OpFoldResult scalars[] = {
      w.sizes[1],
      w.sizes[2],
      w.sizes[3],
      x.sizes[2],
      x.sizes[3],
      m.max(m.div(w.sizes[0], m.constant(group)), m.constant(1)),
      m.max(m.div(x.sizes[1], m.constant(offsetGroup)), m.constant(1))};
  DType type = x.dtype, wide = accumulatorType(type);
  auto results = buildParallel(
      c, "DeformConv", sizes, ins, scalars, ParallelOut{type, sizes},
      [&](ParallelBody &p) {
        FloatOps f(p.b, p.loc, wide);
        Value image = p.ivs[0], oc = p.ivs[1];
        Value channels = p.scalars[0], kh = p.scalars[1], kw = p.scalars[2];
        Value h = p.scalars[3], ww = p.scalars[4];
        Value first = p.mul(p.div(oc, p.scalars[5]), channels);
        auto read = [&](int in, ArrayRef<Value> at) {
          return f.cast(p.load(in, at), type, wide);
        };
        Value init = bias ? read(3, oc) : f.k(0);
        Value sum = p.loop(channels, init, [&](Value k, ValueRange s0) {
          return p.loop(kh, s0[0], [&](Value i, ValueRange s1) {
            return p.loop(
                kw, s1[0], [&](Value j, ValueRange s2) -> SmallVector<Value> {
                  Value ic = p.add(first, k);
                  Value og = p.div(ic, p.scalars[6]);
                  // The offset is [og, kh, kw, 2], the mask [og, kh, kw].
                  Value point = p.add(p.mul(p.add(p.mul(og, kh), i), kw), j);
                  Value two = p.mul(point, p.index(2));
                  Value delta[2], position[2];
                  Value kernel[] = {i, j};
                  for (int d : {0, 1}) {
                    delta[d] = read(
                        2, {image, p.add(two, p.index(d)), p.ivs[2], p.ivs[3]});
                    Value base = p.sub(
                        p.add(p.mul(p.ivs[2 + d], p.index(window->strides[d])),
                              p.mul(kernel[d], p.index(window->dilations[d]))),
                        p.index(window->pads[d]));
                    position[d] = f.addf(f.fromInt(base), delta[d]);
                  }
                  // Pixels outside of the image are zero.
                  Value low[2], rest[2], at[2];
                  for (int d : {0, 1}) {
                    low[d] = f.floor(position[d]);
                    rest[d] = f.subf(position[d], low[d]);
                    at[d] = f.toIndexClamped(low[d]);
                  }
                  Value v;
                  for (int dy : {0, 1})
                    for (int dx : {0, 1}) {
                      Value y = p.add(at[0], p.index(dy)),
                            xx = p.add(at[1], p.index(dx)), zero = p.index(0);
                      Value ok = p.andi(p.andi(p.ge(y, zero), p.lt(y, h)),
                                        p.andi(p.ge(xx, zero), p.lt(xx, ww)));
                      y = p.max(p.min(y, p.sub(h, p.index(1))), zero);
                      xx = p.max(p.min(xx, p.sub(ww, p.index(1))), zero);
                      Value one = f.k(1);
                      Value wy = dy ? rest[0] : f.subf(one, rest[0]);
                      Value wx = dx ? rest[1] : f.subf(one, rest[1]);
                      Value e =
                          f.mulf(read(0, {image, ic, y, xx}), f.mulf(wy, wx));
                      e = p.select(ok, e, f.k(0));
                      v = v ? f.addf(v, e) : e;
                    }
                  v = f.mulf(v, read(1, {oc, k, i, j}));
                  if (mask)
                    v = f.mulf(v, read(bias ? 4 : 3,
                                       {image, point, p.ivs[2], p.ivs[3]}));
                  return {f.addf(s2[0], v)};
                });
          });
        })[0];
        p.store(f.cast(sum, wide, type), p.ivs);
      });
  return c.result(results[0]);
}

namespace isthmus {
void registerSampleOps(Registry &r) {
  r.add("GridSample", 2, gridSample, 16);
  r.add("AffineGrid", 2, affineGrid, 20);
  r.add("RoiAlign", 3, roiAlign, 10);
  r.add("MaxRoiPool", 2, maxRoiPool);
  r.add("DeformConv", 3, deformConv, 19);
}
} // namespace isthmus
