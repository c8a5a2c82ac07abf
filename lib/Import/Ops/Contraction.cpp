//===- Ops/Contraction.cpp - MatMul, Gemm, Conv ----------------------- ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Emit.h"

#include "dialects/Graph/Graph.h"
#include "lib/Import/Window.h"

using namespace mlir;
using namespace isthmus;

FailureOr<ImportValue *> isthmus::matmul(NodeContext &c, ImportValue &left,
                                         ImportValue &right, DType type) {
  ImportValue *a = &left, *b = &right;
  bool vectorA = a->rank() == 1, vectorB = b->rank() == 1;
  if (a->rank() == 0 || b->rank() == 0)
    return c.invalid("inputs must not be scalars");
  if (vectorA)
    a = reshape(c, *a, {c.idx.constant(1), a->sizes[0]});
  if (vectorB)
    b = reshape(c, *b, {b->sizes[0], c.idx.constant(1)});
  int64_t ra = a->rank(), rb = b->rank();
  if (failed(c.check(c.idx.eq(a->sizes[ra - 1], b->sizes[rb - 2]),
                     "the inner dims of the inputs differ")))
    return failure();
  Sizes batchA(a->sizes.begin(), a->sizes.end() - 2);
  Sizes batchB(b->sizes.begin(), b->sizes.end() - 2);
  auto batch = broadcastSizes(c, {batchA, batchB});
  if (failed(batch))
    return failure();
  int64_t n = batch->size();
  // A batch dim that may or may not be 1 is made plain first.
  auto plain = [&](ImportValue *v) {
    Sizes sizes = v->sizes;
    bool expand = false;
    for (int64_t i = 0; i + 2 < v->rank(); ++i) {
      OpFoldResult want = (*batch)[n - (v->rank() - 2) + i];
      if (!IndexMath::known(sizes[i]) && !IndexMath::same(sizes[i], want)) {
        sizes[i] = want;
        expand = true;
      }
    }
    return expand ? broadcastTo(c, *v, sizes) : v;
  };
  a = plain(a);
  b = plain(b);
  MLIRContext *context = c.b.getContext();
  auto access = [&](ImportValue *v, int64_t row, int64_t column) {
    Access out{v, {}};
    for (int64_t i = 0; i + 2 < v->rank(); ++i) {
      int64_t d = n - (v->rank() - 2) + i;
      bool one = v->dim(i) == 1 && IndexMath::known((*batch)[d]) != 1;
      out.at.push_back(one ? getAffineConstantExpr(0, context)
                           : getAffineDimExpr(d, context));
    }
    out.at.push_back(getAffineDimExpr(row, context));
    out.at.push_back(getAffineDimExpr(column, context));
    return out;
  };
  Sizes loops = *batch;
  loops.push_back(a->sizes[ra - 2]);
  loops.push_back(b->sizes[rb - 1]);
  loops.push_back(a->sizes[ra - 1]);
  ImportValue *y = contract(c, access(a, n, n + 2), access(b, n + 2, n + 1),
                            loops, n + 2, type);
  if (vectorA || vectorB) {
    Sizes sizes = *batch;
    if (!vectorA)
      sizes.push_back(loops[n]);
    if (!vectorB)
      sizes.push_back(loops[n + 1]);
    y = reshape(c, *y, sizes);
  }
  return y;
}

static LogicalResult matmulOp(NodeContext &c) {
  if (failed(c.requireSameType(0, 1)))
    return failure();
  DType type = c.in(0).dtype;
  if (type == DType::i1)
    return c.invalid("inputs must be numbers");
  return c.result(matmul(c, c.in(0), c.in(1), type));
}

static LogicalResult gemm(NodeContext &c) {
  if (failed(c.requireSameType(0, 1)) ||
      (c.has(2) && failed(c.requireSameType(0, 2))))
    return failure();
  DType type = c.in(0).dtype;
  if (type == DType::i1 || c.in(0).rank() != 2 || c.in(1).rank() != 2)
    return c.invalid("A and B must be matrices of numbers");
  bool ta = c.intAttr("transA", 0), tb = c.intAttr("transB", 0);
  double alpha = c.floatAttr("alpha", 1), beta = c.floatAttr("beta", 1);
  ImportValue &a = c.in(0), &b = c.in(1);
  OpFoldResult m = a.sizes[ta], k = a.sizes[!ta], n = b.sizes[!tb];
  if (failed(c.check(c.idx.eq(k, b.sizes[tb]),
                     "the inner dims of the inputs differ")))
    return failure();
  auto d = [&](unsigned i) { return getAffineDimExpr(i, c.b.getContext()); };
  Access left{&a, {d(0), d(2)}}, right{&b, {d(2), d(1)}};
  if (ta)
    std::swap(left.at[0], left.at[1]);
  if (tb)
    std::swap(right.at[0], right.at[1]);
  bool hasC = c.has(2) && beta != 0;
  bool scales = hasC || alpha != 1;
  // Scaling and adding happen before rounding to f16.
  DType wide = scales && isFloat(type) ? accumulatorType(type) : type;
  ImportValue *y;
  if (wide == type) {
    y = contract(c, left, right, {m, n, k}, 2, type);
  } else {
    ImportValue *la = castTo(c, a, wide), *rb = castTo(c, b, wide);
    left.value = la;
    right.value = rb;
    y = contract(c, left, right, {m, n, k}, 2, wide);
  }
  if (!scales)
    return c.result(y);
  SmallVector<ImportValue *> ins{y};
  if (hasC) {
    auto sizes = broadcastSizes(c, {y->sizes, c.in(2).sizes});
    if (failed(sizes))
      return failure();
    if (sizes->size() != 2)
      return c.invalid("C does not broadcast to the product");
    for (int i : {0, 1})
      if (IndexMath::known((*sizes)[i]) != IndexMath::known(y->sizes[i]))
        return c.invalid("C does not broadcast to the product");
    ins.push_back(&c.in(2));
  }
  return c.result(elementwiseTo(
      c, ins, y->sizes, type,
      [&](OpBuilder &bb, Location loc, ValueRange args) -> Value {
        BodyMath mm{bb, loc};
        auto scale = [&](Value v, double by) -> Value {
          if (by == 1)
            return v;
          if (isFloat(wide))
            return arith::MulFOp::create(bb, loc, v,
                                         mm.constant(v.getType(), by));
          // ONNX's own definition multiplies integers by a float.
          Value f = mm.cast(v, wide, DType::f64);
          f = arith::MulFOp::create(bb, loc, f, mm.constant(f.getType(), by));
          return mm.cast(f, DType::f64, wide);
        };
        Value v = scale(args[0], alpha);
        if (hasC) {
          Value add = scale(mm.cast(args[1], type, wide), beta);
          v = isFloat(wide) ? Value(arith::AddFOp::create(bb, loc, v, add))
                            : mm.add(v, add);
        }
        return mm.cast(v, wide, type);
      }));
}

FailureOr<ImportValue *> isthmus::conv(NodeContext &c, ImportValue &x,
                                       ImportValue &w, ImportValue *b) {
  if (x.rank() < 3 || w.rank() != x.rank())
    return c.invalid("input and filter must have one rank of 3 or more");
  int64_t group = c.intAttr("group", 1);
  if (group < 1)
    return c.invalid("group must be at least 1");
  auto oc = w.dim(0);
  if (oc && *oc % group)
    return c.invalid("the filter's channels do not divide into groups");
  if (failed(c.check(
          c.idx.eq(x.sizes[1], c.idx.mul(w.sizes[1], c.idx.constant(group))),
          "the filter takes another number of channels")))
    return failure();
  if (b && (b->rank() != 1 || failed(c.check(c.idx.eq(b->sizes[0], w.sizes[0]),
                                             "the bias has another size")))) {
    if (!c.failed)
      (void)c.invalid("the bias must be a vector");
    return failure();
  }
  Sizes kernel(w.sizes.begin() + 2, w.sizes.end());
  if (auto shape = c.intsAttr("kernel_shape")) {
    if (shape->size() != kernel.size())
      return c.invalid("kernel_shape has the wrong length");
    for (auto [k, s] : llvm::zip(kernel, *shape))
      if (IndexMath::known(k) && *IndexMath::known(k) != s)
        return c.invalid("kernel_shape is not the filter's shape");
  }
  auto window = windowOf(c, x, kernel, /*ceilMode=*/false);
  if (failed(window))
    return failure();
  Sizes sizes{x.sizes[0], w.sizes[0]};
  llvm::append_range(sizes, window->out);
  SmallVector<Value> dynamic;
  for (OpFoldResult s : sizes)
    if (!IndexMath::known(s))
      dynamic.push_back(cast<Value>(s));
  Value bias = b ? c.tensor(*b) : Value();
  Value y = graph::ConvOp::create(
      c.b, c.loc, c.importer.tensorType(x.dtype, sizes), c.tensor(x),
      c.tensor(w), bias, dynamic, c.b.getDenseI64ArrayAttr(window->strides),
      c.b.getDenseI64ArrayAttr(window->dilations),
      c.b.getDenseI64ArrayAttr(window->pads), c.b.getI64IntegerAttr(group),
      UnitAttr(), UnitAttr(), IntegerAttr());
  return c.importer.newValue(x.dtype, sizes, y);
}

static LogicalResult convOp(NodeContext &c) {
  if (failed(c.requireFloat(0)) || failed(c.requireSameType(0, 1)) ||
      (c.has(2) && failed(c.requireSameType(0, 2))))
    return failure();
  return c.result(conv(c, c.in(0), c.in(1), c.has(2) ? &c.in(2) : nullptr));
}

namespace isthmus {
void registerContractionOps(Registry &r) {
  r.add("MatMul", 2, matmulOp);
  r.add("Gemm", 2, gemm);
  r.add("Conv", 2, convOp);
}
} // namespace isthmus
