//===- Ops/ConvTranspose.cpp - ConvTranspose, MaxUnpool, causal conv ------===//
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

/// Every element of the result sums what reaches it: no two points of the
/// space write the same place.
static LogicalResult convTranspose(NodeContext &c) {
  ImportValue &x = c.in(0), &w = c.in(1);
  IndexMath &m = c.idx;
  if (failed(c.requireFloat(0)) || failed(c.requireSameType(0, 1)) ||
      (c.has(2) && failed(c.requireSameType(0, 2))))
    return failure();
  if (x.rank() < 3 || w.rank() != x.rank())
    return c.invalid("input and filter must have one rank of 3 or more");
  int64_t n = x.rank() - 2, group = c.intAttr("group", 1);
  if (group < 1)
    return c.invalid("group must be at least 1");
  if (failed(c.check(m.eq(x.sizes[1], w.sizes[0]),
                     "the filter takes another number of channels")) ||
      failed(c.check(m.eq(m.rem(w.sizes[0], m.constant(group)), m.constant(0)),
                     "the channels do not divide into groups")))
    return failure();
  OpFoldResult perGroup = w.sizes[1];
  OpFoldResult channels = m.mul(perGroup, m.constant(group));
  if (c.has(2) &&
      (c.in(2).rank() != 1 || failed(c.check(m.eq(c.in(2).sizes[0], channels),
                                             "the bias has another size"))))
    return c.failed ? failure() : c.invalid("the bias must be a vector");
  using Ints = SmallVector<int64_t>;
  auto ints = [&](StringRef name, Ints otherwise) {
    auto given = c.intsAttr(name);
    return given && !given->empty() ? *given : otherwise;
  };
  Ints strides = ints("strides", Ints(n, 1)),
       dilations = ints("dilations", Ints(n, 1)),
       pads = ints("pads", Ints(2 * n, 0)),
       extra = ints("output_padding", Ints(n, 0)),
       shape = ints("output_shape", {});
  std::string autoPad = c.stringAttr("auto_pad", "NOTSET");
  if (int64_t(shape.size()) == n + 2)
    shape.erase(shape.begin(), shape.begin() + 2);
  if (int64_t(strides.size()) != n || int64_t(dilations.size()) != n ||
      int64_t(pads.size()) != 2 * n || int64_t(extra.size()) != n ||
      (!shape.empty() && int64_t(shape.size()) != n))
    return c.invalid("an attribute has the wrong length");
  if (auto kernel = c.intsAttr("kernel_shape"))
    for (int64_t i = 0; i < n; ++i)
      if (int64_t(kernel->size()) != n ||
          (w.dim(i + 2) && *w.dim(i + 2) != (*kernel)[i]))
        return c.invalid("kernel_shape is not the filter's shape");
  for (int64_t i = 0; i < n; ++i)
    if (strides[i] < 1 || dilations[i] < 1 || strides[i] > kMaxWindow ||
        dilations[i] > kMaxWindow || extra[i] < 0 || extra[i] > kMaxWindow ||
        !isPad(pads[i]) || !isPad(pads[i + n]) ||
        (!shape.empty() && (shape[i] < 0 || shape[i] > kMaxWindow)))
      return c.invalid("an attribute is out of range");
  bool same = autoPad == "SAME_UPPER" || autoPad == "SAME_LOWER";
  if (!same && autoPad != "NOTSET" && autoPad != "VALID")
    return c.invalid("auto_pad is '" + autoPad + "'");
  if (autoPad == "VALID")
    pads.assign(2 * n, 0);
  Sizes sizes{x.sizes[0], channels}, begins;
  for (int64_t i = 0; i < n; ++i) {
    OpFoldResult in = x.sizes[i + 2], one = m.constant(1);
    OpFoldResult extent =
        m.add(m.mul(m.sub(w.sizes[i + 2], one), m.constant(dilations[i])), one);
    OpFoldResult stride = m.constant(strides[i]);
    OpFoldResult full = m.add(
        m.add(m.mul(m.sub(in, one), stride), m.constant(extra[i])), extent);
    OpFoldResult out, begin = m.constant(pads[i]);
    if (!shape.empty() || same) {
      OpFoldResult total;
      if (!shape.empty()) {
        out = m.constant(shape[i]);
        total = m.sub(full, out);
      } else {
        out = m.mul(in, stride);
        total = m.sub(m.add(m.constant(extra[i]), extent), stride);
      }
      total = m.max(total, m.constant(0));
      OpFoldResult less = m.div(total, m.constant(2));
      begin = autoPad == "SAME_UPPER" ? less : m.sub(total, less);
    } else {
      out = m.sub(full, m.constant(pads[i] + pads[i + n]));
      if (auto k = IndexMath::known(out); k && *k < 0)
        return c.invalid("the result has a negative size");
      if (!IndexMath::known(out))
        out = m.max(out, m.constant(0));
    }
    sizes.push_back(out);
    begins.push_back(begin);
  }
  SmallVector<ImportValue *> ins{&x, &w};
  if (c.has(2))
    ins.push_back(&c.in(2));
  // Sizes of input and filter, paddings, channels per group.
  Sizes scalars(x.sizes.begin() + 2, x.sizes.end());
  scalars.append(w.sizes.begin() + 2, w.sizes.end());
  llvm::append_range(scalars, begins);
  scalars.push_back(m.max(perGroup, m.constant(1)));
  scalars.push_back(m.div(w.sizes[0], m.constant(group)));
  DType type = x.dtype, wide = accumulatorType(type);
  auto results = buildParallel(
      c, "ConvTranspose", sizes, ins, scalars, ParallelOut{type, sizes},
      [&](ParallelBody &p) {
        FloatOps f(p.b, p.loc, wide);
        ArrayRef<Value> in = ArrayRef(p.scalars).take_front(n),
                        kernel = ArrayRef(p.scalars).slice(n, n),
                        begin = ArrayRef(p.scalars).slice(2 * n, n);
        Value outs = p.scalars[3 * n], inputs = p.scalars[3 * n + 1];
        Value oc = p.ivs[1], zero = p.index(0);
        Value first = p.mul(p.div(oc, outs), inputs);
        Value local = p.rem(oc, outs);
        SmallVector<Value> at, k;
        std::function<Value(int64_t, Value, Value)> visit =
            [&](int64_t d, Value inside, Value sum) -> Value {
          if (d == n) {
            auto add = [&] {
              return p.loop(
                  inputs, sum,
                  [&](Value i, ValueRange s) -> SmallVector<Value> {
                    Value ic = p.add(first, i);
                    SmallVector<Value> xAt{p.ivs[0], ic}, wAt{ic, local};
                    llvm::append_range(xAt, at);
                    llvm::append_range(wAt, k);
                    Value l = f.cast(p.load(0, xAt), type, wide);
                    Value r = f.cast(p.load(1, wAt), type, wide);
                    auto fast = arith::FastMathFlags::contract |
                                arith::FastMathFlags::reassoc;
                    Value v = arith::MulFOp::create(p.b, p.loc, l, r, fast);
                    return {arith::AddFOp::create(p.b, p.loc, s[0], v, fast)};
                  })[0];
            };
            return p.ifElse(inside, add, [&] { return sum; });
          }
          // i * stride - begin + k * dilation = o
          Value o = p.add(p.ivs[d + 2], begin[d]);
          Value stride = p.index(strides[d]);
          Value start = zero, count = kernel[d];
          bool direct = dilations[d] == 1 && strides[d] > 1;
          if (direct) {
            // Only every stride-th k can meet a whole i.
            Value r = p.rem(o, stride);
            start = p.select(p.lt(r, zero), p.add(r, stride), r);
            count = p.div(
                p.max(p.add(p.sub(kernel[d], start), p.index(strides[d] - 1)),
                      zero),
                stride);
          }
          return p.loop(
              count, sum, [&](Value j, ValueRange s) -> SmallVector<Value> {
                Value kk = direct ? p.add(start, p.mul(j, stride)) : j;
                Value t = p.sub(o, p.mul(kk, p.index(dilations[d])));
                Value ok = p.ge(t, zero);
                if (!direct && strides[d] > 1)
                  ok = p.andi(ok, p.eq(p.rem(t, stride), zero));
                Value i = strides[d] > 1 ? p.div(p.max(t, zero), stride) : t;
                ok = p.andi(ok, p.lt(i, in[d]));
                at.push_back(i);
                k.push_back(kk);
                Value y = visit(d + 1, inside ? p.andi(inside, ok) : ok, s[0]);
                at.pop_back();
                k.pop_back();
                return {y};
              })[0];
        };
        Value init =
            ins.size() > 2 ? f.cast(p.load(2, oc), type, wide) : f.k(0);
        p.store(f.cast(visit(0, Value(), init), wide, type), p.ivs);
      });
  return c.result(results[0]);
}

/// Every element looks for itself in the windows that cover it.
static LogicalResult maxUnpool(NodeContext &c) {
  ImportValue &x = c.in(0), &indices = c.in(1);
  IndexMath &m = c.idx;
  int64_t n = x.rank() - 2;
  auto kernel = c.intsAttr("kernel_shape");
  if (n < 1 || indices.rank() != x.rank() || indices.dtype != DType::i64 ||
      !kernel || int64_t(kernel->size()) != n)
    return c.invalid("needs indices of the input's shape and a kernel_shape");
  auto strides = c.intsAttr("strides").value_or(SmallVector<int64_t>(n, 1));
  auto pads = c.intsAttr("pads").value_or(SmallVector<int64_t>(2 * n, 0));
  if (int64_t(strides.size()) != n || int64_t(pads.size()) != 2 * n)
    return c.invalid("strides or pads have the wrong length");
  for (int64_t i = 0; i < n; ++i)
    if (strides[i] < 1 || strides[i] > kMaxWindow || (*kernel)[i] < 1 ||
        (*kernel)[i] > kMaxWindow || pads[i] < 0 || !isPad(pads[i]) ||
        pads[i + n] < 0 || !isPad(pads[i + n]))
      return c.invalid("an attribute is out of range");
  for (int64_t i = 0; i < x.rank(); ++i)
    if (failed(c.check(m.eq(x.sizes[i], indices.sizes[i]),
                       "the indices have another shape than the input")))
      return failure();
  // The indices count in the shape that the attributes give. An output_shape
  // adds zeros behind it.
  Sizes inferred{x.sizes[0], x.sizes[1]};
  for (int64_t i = 0; i < n; ++i) {
    OpFoldResult out = m.add(
        m.mul(m.sub(x.sizes[i + 2], m.constant(1)), m.constant(strides[i])),
        m.constant((*kernel)[i] - pads[i] - pads[i + n]));
    if (failed(c.check(m.cmp(P::sge, out, m.constant(0)),
                       "the result has a negative size")))
      return failure();
    inferred.push_back(out);
  }
  Sizes sizes = inferred;
  if (c.has(2)) {
    auto shape = c.hostInts(2);
    if (failed(shape))
      return failure();
    if (int64_t(shape->size()) != x.rank())
      return c.invalid("output_shape has the wrong length");
    for (int64_t i = 0; i < x.rank(); ++i) {
      OpFoldResult fine = i < 2 ? m.eq((*shape)[i], x.sizes[i])
                                : m.cmp(P::sge, (*shape)[i], inferred[i]);
      if (failed(c.check(fine, "output_shape is smaller than the result")))
        return failure();
      if (i >= 2)
        sizes[i] = (*shape)[i];
    }
  }
  Sizes scalars(x.sizes.begin() + 2, x.sizes.end());
  scalars.append(inferred.begin() + 1, inferred.end());
  ImportValue *ins[] = {&x, &indices};
  DType type = x.dtype;
  auto results = buildParallel(
      c, "MaxUnpool", sizes, ins, scalars, ParallelOut{type, sizes},
      [&](ParallelBody &p) {
        Value flat = p.ivs[0], inside = p.lt(p.ivs[1], p.scalars[n]);
        for (int64_t i = 0; i <= n; ++i) {
          flat = p.add(p.mul(flat, p.scalars[n + i]), p.ivs[i + 1]);
          inside = p.andi(inside, p.lt(p.ivs[i + 1], p.scalars[n + i]));
        }
        SmallVector<Value> at{p.ivs[0], p.ivs[1]};
        Value zero = p.index(0);
        std::function<Value(int64_t, Value)> visit = [&](int64_t d,
                                                         Value best) -> Value {
          if (d == n) {
            Value mine = p.eq(p.toIndex(p.load(1, at)), flat);
            return p.select(mine, p.load(0, at), best);
          }
          Value o = p.add(p.ivs[d + 2], p.index(pads[d]));
          Value stride = p.index(strides[d]);
          // From the first window that covers o on.
          Value before = p.sub(o, p.index((*kernel)[d] - 1));
          Value first = p.div(
              p.add(p.max(before, zero), p.index(strides[d] - 1)), stride);
          Value last = p.min(p.div(o, stride), p.sub(p.scalars[d], p.index(1)));
          Value count = p.max(p.add(p.sub(last, first), p.index(1)), zero);
          return p.loop(count, best,
                        [&](Value i, ValueRange s) -> SmallVector<Value> {
                          at.push_back(p.add(first, i));
                          Value y = visit(d + 1, s[0]);
                          at.pop_back();
                          return {y};
                        })[0];
        };
        Value none = p.constant(elementType(p.b.getContext(), type), 0);
        p.store(p.select(inside, visit(0, none), none), p.ivs);
      });
  return c.result(results[0]);
}

/// A depthwise convolution along the last dim that sees only the past, of
/// which the last part is a result.
static LogicalResult causalConv(NodeContext &c) {
  ImportValue &x = c.in(0), &w = c.in(1);
  IndexMath &m = c.idx;
  if (failed(c.requireFloat(0)))
    return failure();
  for (int i : {1, 2, 3})
    if (c.has(i) && failed(c.requireSameType(0, i)))
      return failure();
  std::string activation = c.stringAttr("activation", "none");
  bool silu = activation == "silu" || activation == "swish";
  if (!silu && activation != "none")
    return c.invalid("activation is '" + activation + "'");
  ImportValue *bias = c.has(2) ? &c.in(2) : nullptr;
  ImportValue *past = c.has(3) ? &c.in(3) : nullptr;
  if (x.rank() != 3 || w.rank() != 3 || (bias && bias->rank() != 1) ||
      (past && past->rank() != 3))
    return c.invalid("an input has the wrong rank");
  OpFoldResult keep = m.sub(w.sizes[2], m.constant(1));
  auto same = [&](OpFoldResult l, OpFoldResult r) {
    return c.check(m.eq(l, r), "the inputs' sizes do not fit together");
  };
  if (failed(same(w.sizes[0], x.sizes[1])) ||
      failed(same(w.sizes[1], m.constant(1))) ||
      failed(
          c.check(m.cmp(P::sge, keep, m.constant(0)), "the filter is empty")) ||
      (bias && failed(same(bias->sizes[0], x.sizes[1]))) ||
      (past && (failed(same(past->sizes[0], x.sizes[0])) ||
                failed(same(past->sizes[1], x.sizes[1])) ||
                failed(same(past->sizes[2], keep)))))
    return failure();
  SmallVector<ImportValue *> ins{&x, &w};
  if (past)
    ins.push_back(past);
  if (bias)
    ins.push_back(bias);
  DType type = x.dtype, wide = accumulatorType(type);
  // Position i of the past followed by the input.
  auto padded = [&](ParallelBody &p, int xIn, int pastIn, Value before,
                    Value i) {
    Value zero = p.index(0), inside = p.ge(i, before);
    return p.ifElse(
        inside,
        [&] { return p.load(xIn, {p.ivs[0], p.ivs[1], p.sub(i, before)}); },
        [&] {
          if (past)
            return p.load(pastIn, {p.ivs[0], p.ivs[1], p.max(i, zero)});
          return p.constant(elementType(p.b.getContext(), type), 0);
        });
  };
  auto y = buildParallel(
      c, "CausalConvWithState", x.sizes, ins, keep, ParallelOut{type, x.sizes},
      [&](ParallelBody &p) {
        FloatOps f(p.b, p.loc, wide);
        Value channel = p.ivs[1];
        Value init =
            bias ? f.cast(p.load(past ? 3 : 2, channel), type, wide) : f.k(0);
        Value count = p.add(p.scalars[0], p.index(1));
        Value sum = p.loop(
            count, init, [&](Value k, ValueRange s) -> SmallVector<Value> {
              Value v = padded(p, 0, 2, p.scalars[0], p.add(p.ivs[2], k));
              Value weight = p.load(1, {channel, p.index(0), k});
              return {f.addf(s[0], f.mulf(f.cast(v, type, wide),
                                          f.cast(weight, type, wide)))};
            })[0];
        if (silu)
          sum = f.mulf(sum, f.sigmoid(sum));
        p.store(f.cast(sum, wide, type), p.ivs);
      });
  (void)c.result(y[0]);
  if (c.wants(1)) {
    Sizes sizes{x.sizes[0], x.sizes[1], keep};
    SmallVector<ImportValue *> from{&x};
    if (past)
      from.push_back(past);
    OpFoldResult scalars[] = {keep, x.sizes[2]};
    auto state =
        buildParallel(c, "CausalConvWithState", sizes, from, scalars,
                      ParallelOut{type, sizes}, [&](ParallelBody &p) {
                        Value i = p.add(p.ivs[2], p.scalars[1]);
                        p.store(padded(p, 0, 1, p.scalars[0], i), p.ivs);
                      });
    (void)c.result(state[0], 1);
  }
  return success();
}

namespace isthmus {
void registerConvTransposeOps(Registry &r) {
  r.add("ConvTranspose", 2, convTranspose);
  r.add("MaxUnpool", 2, maxUnpool);
  r.add("CausalConvWithState", 2, causalConv);
}
} // namespace isthmus
