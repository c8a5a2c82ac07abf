//===- Ops/Sample.cpp - GridSample, AffineGrid ----------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/OpHelpers.h"

using namespace mlir;
using namespace isthmus;

using P = arith::CmpIPredicate;

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

namespace isthmus {
void registerSampleOps(Registry &r) {
  r.add("GridSample", 2, gridSample, 16);
  r.add("AffineGrid", 2, affineGrid, 20);
}
} // namespace isthmus
