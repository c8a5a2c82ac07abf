//===- Ops/DeformConv.cpp - DeformConv ------------------------------------===//
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
void registerDeformConvOps(Registry &r) {
  r.add("DeformConv", 3, deformConv, 19);
}
} // namespace isthmus
