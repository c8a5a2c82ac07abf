//===- Ops/Pool.cpp - pools and their windows ------------------------- ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Window.h"

#include "lib/Import/OpHelpers.h"

using namespace mlir;
using namespace isthmus;

FailureOr<Window> isthmus::windowOf(NodeContext &c, ImportValue &x,
                                    ArrayRef<OpFoldResult> kernel,
                                    bool ceilMode) {
  size_t n = kernel.size();
  Window w;
  w.strides = c.intsAttr("strides").value_or(SmallVector<int64_t>(n, 1));
  w.dilations = c.intsAttr("dilations").value_or(SmallVector<int64_t>(n, 1));
  w.pads = c.intsAttr("pads").value_or(SmallVector<int64_t>(2 * n, 0));
  std::string autoPad = c.stringAttr("auto_pad", "NOTSET");
  if (w.strides.empty())
    w.strides.assign(n, 1);
  if (w.dilations.empty())
    w.dilations.assign(n, 1);
  if (w.pads.empty() || autoPad != "NOTSET")
    w.pads.assign(2 * n, 0);
  if (c.failed)
    return failure();
  if (w.strides.size() != n || w.dilations.size() != n ||
      w.pads.size() != 2 * n || x.rank() != int64_t(n) + 2)
    return failure(failed(c.invalid(
        "strides, dilations, pads or the window have the wrong length")));
  for (size_t i = 0; i < n; ++i) {
    auto k = IndexMath::known(kernel[i]);
    if (w.strides[i] < 1 || w.dilations[i] < 1 || w.strides[i] > kMaxWindow ||
        w.dilations[i] > kMaxWindow || (k && (*k < 1 || *k > kMaxWindow)))
      return failure(failed(
          c.invalid("strides, dilations and windows must be at least 1")));
    if (!isPad(w.pads[i]) || !isPad(w.pads[i + n]))
      return failure(failed(c.invalid("pads are too large")));
  }
  bool same = autoPad == "SAME_UPPER" || autoPad == "SAME_LOWER";
  if (!same && autoPad != "NOTSET" && autoPad != "VALID")
    return failure(failed(c.invalid("auto_pad is '" + autoPad + "'")));
  IndexMath &m = c.idx;
  for (size_t i = 0; i < n; ++i) {
    OpFoldResult in = x.sizes[i + 2], stride = m.constant(w.strides[i]);
    // Of the window with its holes.
    OpFoldResult extent = m.add(
        m.mul(m.sub(kernel[i], m.constant(1)), m.constant(w.dilations[i])),
        m.constant(1));
    if (same) {
      OpFoldResult out = m.ceilDiv(in, stride);
      OpFoldResult total = m.max(
          m.sub(m.add(m.mul(m.sub(out, m.constant(1)), stride), extent), in),
          m.constant(0));
      // With a stride of 1 the padding depends on the window alone.
      if (w.strides[i] == 1)
        total = m.sub(extent, m.constant(1));
      auto known = IndexMath::known(total);
      if (!known)
        return failure(failed(c.unsupported(
            "auto_pad " + autoPad + " with a stride over a symbolic size",
            "give the size a fixed value with --shape")));
      int64_t less = *known / 2, more = *known - less;
      w.pads[i] = autoPad == "SAME_UPPER" ? less : more;
      w.pads[i + n] = autoPad == "SAME_UPPER" ? more : less;
      w.out.push_back(out);
      continue;
    }
    OpFoldResult padded = m.add(in, m.constant(w.pads[i] + w.pads[i + n]));
    OpFoldResult span = m.sub(padded, extent);
    OpFoldResult out =
        m.add(ceilMode ? m.ceilDiv(span, stride) : m.floorDiv(span, stride),
              m.constant(1));
    if (ceilMode) {
      // A last window that would begin in the padding at the end is dropped.
      OpFoldResult last = m.mul(m.sub(out, m.constant(1)), stride);
      OpFoldResult outside = m.cmp(arith::CmpIPredicate::sge, last,
                                   m.add(in, m.constant(w.pads[i])));
      out = m.sub(out, outside);
    }
    if (auto known = IndexMath::known(out); known && *known < 0)
      return failure(failed(c.invalid("the window is larger than the input")));
    if (!IndexMath::known(out))
      out = m.max(out, m.constant(0));
    w.out.push_back(out);
  }
  return w;
}

namespace {
/// The loops of a pool inside a body: visits each window element that lies in
/// the input.
struct PoolBody {
  ParallelBody &p;
  const Window &w;
  ArrayRef<int64_t> kernel;
  ArrayRef<Value> in; // sizes of the input's spatial dims

  /// state = f(position, state) over the window.
  SmallVector<Value>
  visit(ArrayRef<Value> init,
        function_ref<SmallVector<Value>(ArrayRef<Value>, ValueRange)> f) {
    SmallVector<Value> at(p.ivs.begin(), p.ivs.begin() + 2);
    return visit(0, Value(), at, SmallVector<Value>(init), f);
  }

private:
  SmallVector<Value>
  visit(size_t d, Value inside, SmallVector<Value> at, SmallVector<Value> state,
        function_ref<SmallVector<Value>(ArrayRef<Value>, ValueRange)> f) {
    if (d == kernel.size()) {
      SmallVector<Type> types;
      for (Value v : state)
        types.push_back(v.getType());
      if (!inside)
        return f(at, state);
      auto op = scf::IfOp::create(p.b, p.loc, types, inside, true);
      OpBuilder::InsertionGuard guard(p.b);
      p.b.setInsertionPointToStart(op.thenBlock());
      scf::YieldOp::create(p.b, p.loc, f(at, state));
      p.b.setInsertionPointToStart(op.elseBlock());
      scf::YieldOp::create(p.b, p.loc, state);
      return SmallVector<Value>(op.getResults());
    }
    return p.loop(p.index(kernel[d]), state, [&](Value k, ValueRange values) {
      Value base = p.mul(p.ivs[d + 2], p.index(w.strides[d]));
      Value pos = p.sub(p.add(base, p.mul(k, p.index(w.dilations[d]))),
                        p.index(w.pads[d]));
      Value ok = p.andi(p.ge(pos, p.index(0)), p.lt(pos, in[d]));
      SmallVector<Value> next = at;
      next.push_back(pos);
      return visit(d + 1, inside ? p.andi(inside, ok) : ok, next,
                   SmallVector<Value>(values), f);
    });
  }
};
} // namespace

static FailureOr<Window> poolWindow(NodeContext &c,
                                    SmallVector<int64_t> &kernel) {
  ImportValue &x = c.in(0);
  auto shape = c.intsAttr("kernel_shape");
  if (!shape || x.rank() < 3 || int64_t(shape->size()) != x.rank() - 2)
    return failure(failed(c.invalid(
        "kernel_shape must have a size for each spatial dim of the input")));
  kernel = *shape;
  Sizes sizes;
  for (int64_t k : kernel)
    sizes.push_back(c.idx.constant(k));
  return windowOf(c, x, sizes, c.intAttr("ceil_mode", 0));
}

static Sizes poolSizes(ImportValue &x, const Window &w) {
  Sizes sizes{x.sizes[0], x.sizes[1]};
  llvm::append_range(sizes, w.out);
  return sizes;
}

static LogicalResult maxPool(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (x.dtype == DType::i1)
    return c.invalid("input must be a number");
  SmallVector<int64_t> kernel;
  auto w = poolWindow(c, kernel);
  if (failed(w))
    return failure();
  bool indices = c.wants(1);
  bool columnMajor = c.intAttr("storage_order", 0);
  Sizes sizes = poolSizes(x, *w);
  SmallVector<ParallelOut> outs{{x.dtype, sizes}};
  if (indices)
    outs.push_back({DType::i64, sizes});
  DType type = x.dtype;
  auto results = buildParallel(
      c, "MaxPool", sizes, &x, x.sizes, outs, [&](ParallelBody &p) {
        ArrayRef<Value> in = ArrayRef(p.scalars).drop_front(2);
        SmallVector<Value> init{
            arith::ConstantOp::create(p.b, p.loc, lowest(c, type))};
        if (indices)
          init.push_back(p.index(-1));
        auto best = PoolBody{p, *w, kernel, in}.visit(
            init, [&](ArrayRef<Value> at, ValueRange state) {
              Value v = p.load(0, at);
              Value above;
              if (isFloat(type))
                // A NaN replaces what is not one.
                above = p.andi(
                    arith::CmpFOp::create(p.b, p.loc, arith::CmpFPredicate::UGT,
                                          v, state[0]),
                    arith::CmpFOp::create(p.b, p.loc, arith::CmpFPredicate::ORD,
                                          state[0], state[0]));
              else
                above = p.cmp(isUnsigned(type) ? arith::CmpIPredicate::ugt
                                               : arith::CmpIPredicate::sgt,
                              v, state[0]);
              if (!indices)
                return SmallVector<Value>{p.select(above, v, state[0])};
              // The first element counts even when it is the lowest value.
              above = p.ori(above, p.lt(state[1], p.index(0)));
              Value flat = p.index(0);
              for (size_t d = 0; d < kernel.size(); ++d) {
                size_t i = columnMajor ? kernel.size() - 1 - d : d;
                flat = p.add(p.mul(flat, in[i]), at[i + 2]);
              }
              return SmallVector<Value>{p.select(above, v, state[0]),
                                        p.select(above, flat, state[1])};
            });
        p.store(best[0], p.ivs);
        if (!indices)
          return;
        Value flat = p.add(p.mul(p.ivs[0], p.scalars[1]), p.ivs[1]);
        for (Value size : in)
          flat = p.mul(flat, size);
        flat = p.add(flat, best[1]);
        p.store(arith::IndexCastOp::create(p.b, p.loc, p.b.getI64Type(), flat),
                p.ivs, 1);
      });
  for (auto [i, r] : llvm::enumerate(results))
    (void)c.result(r, i);
  return success();
}

static LogicalResult averagePool(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (failed(c.requireFloat(0)))
    return failure();
  SmallVector<int64_t> kernel;
  auto w = poolWindow(c, kernel);
  if (failed(w))
    return failure();
  bool countPads = c.intAttr("count_include_pad", 0);
  Sizes sizes = poolSizes(x, *w);
  DType type = x.dtype, acc = accumulatorType(type);
  auto results = buildParallel(
      c, "AveragePool", sizes, &x, x.sizes, ParallelOut{type, sizes},
      [&](ParallelBody &p) {
        ArrayRef<Value> in = ArrayRef(p.scalars).drop_front(2);
        Type accType = elementType(p.b.getContext(), acc);
        Value zero = p.constant(accType, 0);
        auto sum = PoolBody{p, *w, kernel, in}.visit(
            {zero, p.index(0)}, [&](ArrayRef<Value> at, ValueRange state) {
              Value v = p.cast(p.load(0, at), type, acc);
              return SmallVector<Value>{
                  arith::AddFOp::create(p.b, p.loc, state[0], v),
                  p.add(state[1], p.index(1))};
            });
        Value count = sum[1];
        if (countPads) {
          // Padding counts, but not what ceil_mode reaches beyond it.
          count = p.index(1);
          for (size_t d = 0; d < kernel.size(); ++d) {
            int64_t step = w->dilations[d];
            Value begin = p.sub(p.mul(p.ivs[d + 2], p.index(w->strides[d])),
                                p.index(w->pads[d]));
            Value end = p.add(in[d], p.index(w->pads[d + kernel.size()]));
            // Positions begin, begin + step, .. below end.
            Value room = p.max(p.sub(end, begin), p.index(0));
            Value n = p.div(p.add(room, p.index(step - 1)), p.index(step));
            count = p.mul(count, p.min(n, p.index(kernel[d])));
          }
        }
        Value n =
            arith::IndexCastOp::create(p.b, p.loc, p.b.getI64Type(), count);
        n = arith::SIToFPOp::create(p.b, p.loc, accType, n);
        Value mean = arith::DivFOp::create(p.b, p.loc, sum[0], n);
        p.store(p.cast(mean, acc, type), p.ivs);
      });
  return c.result(results[0]);
}

/// |x|^p, and the root of a sum of them.
static Value absPower(FloatOps &f, Value x, int64_t p) {
  return f.powConst(f.abs(x), double(p));
}

static LogicalResult lpPool(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (failed(c.requireFloat(0)))
    return failure();
  int64_t power =
      c.opset < 2 ? int64_t(c.floatAttr("p", 2)) : c.intAttr("p", 2);
  if (power < 1)
    return c.invalid("p must be at least 1");
  SmallVector<int64_t> kernel;
  auto w = poolWindow(c, kernel);
  if (failed(w))
    return failure();
  Sizes sizes = poolSizes(x, *w);
  DType type = x.dtype, acc = accumulatorType(type);
  auto results = buildParallel(
      c, "LpPool", sizes, &x, x.sizes, ParallelOut{type, sizes},
      [&](ParallelBody &p) {
        ArrayRef<Value> in = ArrayRef(p.scalars).drop_front(2);
        FloatOps f(p.b, p.loc, acc);
        auto sum = PoolBody{p, *w, kernel, in}.visit(
            f.k(0), [&](ArrayRef<Value> at, ValueRange state) {
              Value v = f.cast(p.load(0, at), type, acc);
              return SmallVector<Value>{
                  f.addf(state[0], absPower(f, v, power))};
            });
        p.store(f.cast(f.powConst(sum[0], 1.0 / double(power)), acc, type),
                p.ivs);
      });
  return c.result(results[0]);
}

static LogicalResult globalLpPool(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (failed(c.requireFloat(0)))
    return failure();
  int64_t power =
      c.opset < 2 ? int64_t(c.floatAttr("p", 2)) : c.intAttr("p", 2);
  if (power < 1 || x.rank() < 2)
    return c.invalid("needs channels and a p of at least 1");
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(2, x.rank()));
  Reduction how = sumReduction(c, x.dtype);
  DType acc = how.acc;
  how.map = [power, acc](OpBuilder &b, Location loc, Value v) {
    FloatOps f(b, loc, acc);
    return absPower(f, v, power);
  };
  ImportValue *r = reduce(c, x, axes, how);
  r = elementwiseTo(
      c, r, r->sizes, x.dtype, [&](OpBuilder &b, Location loc, ValueRange a) {
        FloatOps f(b, loc, acc);
        return f.cast(f.powConst(a[0], 1.0 / double(power)), acc, x.dtype);
      });
  return c.result(keepDims(c, *r, axes, x.rank()));
}

/// Over all spatial dims; a mean when `isMean`.
static LogicalResult globalPool(NodeContext &c, bool isMean) {
  ImportValue &x = c.in(0);
  if (failed(c.requireFloat(0)))
    return failure();
  if (x.rank() < 2)
    return c.invalid("input must have a batch and a channel dim");
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(2, x.rank()));
  ImportValue *r = reduce(
      c, x, axes, isMean ? sumReduction(c, x.dtype) : maxReduction(c, x.dtype));
  if (isMean) {
    OpFoldResult count = c.idx.product(ArrayRef(x.sizes).drop_front(2));
    Value n = IndexMath::known(count) ? Value() : c.idx.value(count);
    DType acc = r->dtype;
    r = elementwiseTo(
        c, r, r->sizes, x.dtype, [&](OpBuilder &b, Location loc, ValueRange a) {
          BodyMath m{b, loc};
          Value d;
          if (n)
            d = arith::SIToFPOp::create(
                b, loc, a[0].getType(),
                arith::IndexCastOp::create(b, loc, b.getI64Type(), n));
          else
            d = m.constant(a[0].getType(), double(*IndexMath::known(count)));
          return m.cast(arith::DivFOp::create(b, loc, a[0], d), acc, x.dtype);
        });
  }
  return c.result(keepDims(c, *r, axes, x.rank()));
}

namespace isthmus {
void registerPoolOps(Registry &r) {
  r.add("MaxPool", 1, maxPool);
  r.add("AveragePool", 1, averagePool);
  r.add("LpPool", 1, lpPool);
  r.add("GlobalLpPool", 1, globalLpPool);
  r.add("GlobalAveragePool", 1,
        [](NodeContext &c) { return globalPool(c, true); });
  r.add("GlobalMaxPool", 1,
        [](NodeContext &c) { return globalPool(c, false); });
}
} // namespace isthmus
