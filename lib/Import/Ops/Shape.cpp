//===- Ops/Shape.cpp - operators on shapes ---------------------------- ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/BodyFloats.h"
#include "lib/Import/Emit.h"
#include "lib/Import/RuntimeAxes.h"

using namespace mlir;
using namespace isthmus;

static LogicalResult shape(NodeContext &c) {
  ImportValue &x = c.in(0);
  int64_t rank = x.rank();
  auto bound = [&](StringRef name, int64_t otherwise) {
    int64_t v = c.opset >= 15 ? c.intAttr(name, otherwise) : otherwise;
    if (v < 0)
      v += rank;
    return std::clamp<int64_t>(v, 0, rank);
  };
  int64_t start = bound("start", 0), end = bound("end", rank);
  Sizes elements;
  for (int64_t i = start; i < end; ++i) {
    c.importer.markSize(x.sizes[i]);
    elements.push_back(x.sizes[i]);
  }
  return c.result(c.importer.newScalars(DType::i64, elements, 1));
}

static LogicalResult size(NodeContext &c) {
  OpFoldResult count = c.idx.product(c.in(0).sizes);
  c.importer.markSize(count);
  return c.result(c.importer.newScalars(DType::i64, {count}, 0));
}

/// `x` under other sizes; keeps what the host knows of it.
static LogicalResult reshaped(NodeContext &c, ImportValue &x, Sizes sizes) {
  if (x.scalars && !x.tensor && sizes.size() <= 1)
    return c.result(c.importer.newScalars(x.dtype, *x.scalars, sizes.size()));
  return c.result(reshape(c, x, sizes));
}

static LogicalResult reshapeOp(NodeContext &c) {
  ImportValue &x = c.in(0);
  Sizes want;
  if (c.opset < 5 || !c.has(1)) {
    auto attr = c.intsAttr("shape");
    if (!attr)
      return c.invalid("has no shape");
    for (int64_t d : *attr)
      want.push_back(c.idx.constant(d));
  } else {
    auto ints = c.hostInts(1);
    if (failed(ints))
      return failure();
    want = *ints;
  }
  bool allowZero = c.intAttr("allowzero", 0);
  // Sizes read from the device may be 0 or -1 as well: only known ones are
  // told apart here.
  int64_t infer = -1;
  Sizes sizes;
  for (auto [i, w] : llvm::enumerate(want)) {
    auto known = IndexMath::known(w);
    if (known == -1) {
      if (infer >= 0)
        return c.invalid("shape has two dims of -1");
      infer = i;
      sizes.push_back(c.idx.constant(1));
    } else if (known && *known < -1) {
      return c.invalid("shape has the negative dim " + Twine(*known));
    } else if (known == 0 && !allowZero) {
      if (int64_t(i) >= x.rank())
        return c.invalid("shape copies a dim that the input does not have");
      sizes.push_back(x.sizes[i]);
    } else {
      sizes.push_back(w);
    }
  }
  // Which of them came from the device?
  SmallVector<size_t> open;
  for (auto [i, s] : llvm::enumerate(sizes))
    if (auto v = dyn_cast<Value>(s);
        v && v.getDefiningOp() &&
        v.getDefiningOp()->getName().getStringRef() == "graph.read")
      open.push_back(i);
  if (!open.empty()) {
    IndexMath &m = c.idx;
    OpFoldResult zero = m.constant(0), one = m.constant(1);
    for (size_t i : open)
      if (!allowZero && int64_t(i) < x.rank())
        sizes[i] = m.select(m.eq(sizes[i], zero), x.sizes[i], sizes[i]);
    // At most one is negative; it becomes the rest.
    OpFoldResult rest = one;
    for (OpFoldResult s : sizes)
      rest = m.mul(rest,
                   m.select(m.cmp(arith::CmpIPredicate::slt, s, zero), one, s));
    OpFoldResult inferred = m.div(m.product(x.sizes), rest);
    for (size_t i : open)
      sizes[i] = m.select(m.cmp(arith::CmpIPredicate::slt, sizes[i], zero),
                          inferred, sizes[i]);
  }
  if (infer >= 0) {
    // Equal factors cancel, so that a size stays the one it came from.
    Sizes from(x.sizes.begin(), x.sizes.end()), to = sizes;
    for (OpFoldResult &t : to)
      for (OpFoldResult &f : from)
        if (!IndexMath::known(t) && t == f) {
          t = f = c.idx.constant(1);
          break;
        }
    OpFoldResult all = c.idx.product(from), rest = c.idx.product(to);
    auto a = IndexMath::known(all), r = IndexMath::known(rest);
    if (r == 0)
      return c.invalid("shape infers a dim beside a dim of 0");
    // (s * 12) / 4 with known numbers: s * 3.
    OpFoldResult result;
    if (r && !a) {
      int64_t factor = 1;
      Sizes others;
      for (OpFoldResult f : from)
        if (auto k = IndexMath::known(f))
          factor *= *k;
        else
          others.push_back(f);
      if (factor % *r == 0)
        result = c.idx.mul(c.idx.product(others), c.idx.constant(factor / *r));
    }
    sizes[infer] = result ? result : c.idx.div(all, rest);
  }
  OpFoldResult have = c.idx.product(x.sizes), got = c.idx.product(sizes);
  if (!IndexMath::same(have, got)) {
    auto provable = [&] {
      Sizes from(x.sizes.begin(), x.sizes.end()), to = sizes;
      for (OpFoldResult &t : to)
        for (OpFoldResult &f : from)
          if (!IndexMath::known(t) && t == f) {
            t = f = c.idx.constant(1);
            break;
          }
      return IndexMath::same(c.idx.product(from), c.idx.product(to));
    };
    if (!provable() &&
        failed(c.check(c.idx.eq(have, got),
                       "the input has another number of elements")))
      return failure();
  }
  return reshaped(c, x, sizes);
}

static LogicalResult flatten(NodeContext &c) {
  ImportValue &x = c.in(0);
  int64_t axis = c.intAttr("axis", 1);
  if (axis < -x.rank() || axis > x.rank())
    return c.invalid("axis is out of range");
  if (axis < 0)
    axis += x.rank();
  ArrayRef<OpFoldResult> all(x.sizes);
  return reshaped(c, x,
                  {c.idx.product(all.take_front(axis)),
                   c.idx.product(all.drop_front(axis))});
}

/// The axes of input 1 when only the device knows them.
static FailureOr<std::optional<Sizes>> runtimeAxes(NodeContext &c) {
  if (c.opset < 13 || !c.has(1) || c.importer.constant(c.in(1)))
    return std::optional<Sizes>();
  auto axes = c.hostInts(1);
  if (failed(axes))
    return failure();
  if (llvm::all_of(*axes, [](OpFoldResult a) { return IndexMath::known(a); }))
    return std::optional<Sizes>();
  return std::optional<Sizes>(*axes);
}

static LogicalResult squeeze(NodeContext &c) {
  ImportValue &x = c.in(0);
  auto open = runtimeAxes(c);
  if (failed(open))
    return failure();
  if (*open) {
    int64_t kept = x.rank() - (*open)->size();
    if (kept < 0)
      return c.invalid("has more axes than the input has dims");
    auto mask = axesMask(c, **open, x.rank());
    if (failed(mask))
      return failure();
    Sizes sizes = compactSizes(c, x.sizes, *mask, kept);
    OpFoldResult fine = c.idx.eq(c.idx.product(sizes), c.idx.product(x.sizes));
    if (failed(c.check(fine, "a squeezed dim is not 1")))
      return failure();
    return reshaped(c, x, sizes);
  }
  auto list =
      c.opset >= 13
          ? c.constIntsOrAttr(1, "")
          : FailureOr<std::optional<SmallVector<int64_t>>>(c.intsAttr("axes"));
  if (failed(list))
    return failure();
  SmallVector<int64_t> axes;
  if (*list) {
    auto normal = c.axes(**list, x.rank());
    if (failed(normal))
      return failure();
    axes = *normal;
  } else {
    // A symbolic dim stays; at run time it must not be 1.
    for (int64_t i = 0; i < x.rank(); ++i) {
      if (x.dim(i) == 1)
        axes.push_back(i);
      else if (!x.dim(i) && c.idx.lowerBound(x.sizes[i]) < 2 &&
               failed(c.check(c.idx.cmp(arith::CmpIPredicate::ne, x.sizes[i],
                                        c.idx.constant(1)),
                              "dim " + Twine(i) +
                                  " is 1, and the model does not say whether "
                                  "to squeeze it")))
        return failure();
    }
  }
  Sizes sizes;
  for (int64_t i = 0; i < x.rank(); ++i) {
    if (!llvm::is_contained(axes, i)) {
      sizes.push_back(x.sizes[i]);
      continue;
    }
    if (failed(c.check(c.idx.eq(x.sizes[i], c.idx.constant(1)),
                       "a squeezed dim is not 1")))
      return failure();
  }
  return reshaped(c, x, sizes);
}

static LogicalResult unsqueeze(NodeContext &c) {
  ImportValue &x = c.in(0);
  auto open = runtimeAxes(c);
  if (failed(open))
    return failure();
  if (*open) {
    auto mask = axesMask(c, **open, x.rank() + (*open)->size());
    if (failed(mask))
      return failure();
    return reshaped(c, x, spreadSizes(c, x.sizes, *mask));
  }
  auto list =
      c.opset >= 13
          ? c.constIntsOrAttr(1, "")
          : FailureOr<std::optional<SmallVector<int64_t>>>(c.intsAttr("axes"));
  if (failed(list))
    return failure();
  if (!*list)
    return c.invalid("has no axes");
  int64_t rank = x.rank() + (*list)->size();
  auto axes = c.axes(**list, rank);
  if (failed(axes))
    return failure();
  Sizes sizes;
  int64_t next = 0;
  for (int64_t i = 0; i < rank; ++i)
    sizes.push_back(llvm::is_contained(*axes, i) ? c.idx.constant(1)
                                                 : x.sizes[next++]);
  return reshaped(c, x, sizes);
}

static LogicalResult transposeOp(NodeContext &c) {
  ImportValue &x = c.in(0);
  SmallVector<int64_t> perm;
  for (int64_t i = 0; i < x.rank(); ++i)
    perm.push_back(x.rank() - 1 - i);
  if (auto attr = c.intsAttr("perm")) {
    if (int64_t(attr->size()) != x.rank() || failed(c.axes(*attr, x.rank())))
      return c.failed ? failure() : c.invalid("perm has the wrong length");
    perm = *attr;
    for (int64_t &p : perm)
      if (p < 0)
        p += x.rank();
  }
  bool isIdentity = llvm::is_sorted(perm);
  if (isIdentity)
    return c.result(&x);
  return c.result(transpose(c, x, perm));
}

static LogicalResult expand(NodeContext &c) {
  ImportValue &x = c.in(0);
  auto want = c.hostInts(1);
  if (failed(want))
    return failure();
  for (OpFoldResult w : *want)
    if (auto k = IndexMath::known(w); k && *k < 0)
      return c.invalid("shape has a negative dim");
  auto sizes = broadcastSizes(c, {x.sizes, *want});
  if (failed(sizes))
    return failure();
  if (x.scalars && sizes->size() <= 1) {
    auto n = IndexMath::known(c.idx.product(*sizes));
    if (n && *n <= kMaxScalars) {
      Sizes elements = *x.scalars;
      if (elements.size() == 1)
        elements.assign(*n, OpFoldResult(elements[0]));
      return c.result(c.importer.newScalars(x.dtype, elements, sizes->size()));
    }
  }
  return c.result(broadcastTo(c, x, *sizes));
}

static LogicalResult constantOfShape(NodeContext &c) {
  auto sizes = c.hostInts(0);
  if (failed(sizes))
    return failure();
  for (OpFoldResult s : *sizes)
    if (auto k = IndexMath::known(s); k && *k < 0)
      return c.invalid("shape has a negative dim");
  ImportValue *value;
  if (const onnx::TensorProto *t = c.tensorAttr("value")) {
    value = c.importer.newConstant(*t, c.name);
    if (!value) {
      c.failed = true;
      return failure();
    }
    if (value->count() != 1)
      return c.invalid("value must have one element");
  } else {
    value = c.importer.newValue(DType::f32, {});
    value->constant =
        DenseElementsAttr::get(c.importer.tensorType(DType::f32, {}), 0.0f);
  }
  auto n = IndexMath::known(c.idx.product(*sizes));
  if (value->scalars && sizes->size() <= 1 && n && *n <= kMaxScalars) {
    Sizes elements(*n, value->scalars->front());
    return c.result(
        c.importer.newScalars(value->dtype, elements, sizes->size()));
  }
  // reshape() keeps the constant, so that it becomes a constant in the body.
  ImportValue *scalar = value->rank() ? reshape(c, *value, {}) : value;
  return c.result(broadcastTo(c, *scalar, *sizes));
}

static LogicalResult range(NodeContext &c) {
  for (int i : {1, 2})
    if (failed(c.requireSameType(0, i)))
      return failure();
  DType type = c.in(0).dtype;
  for (int i : {0, 1, 2})
    if (c.in(i).count() != 1 || type == DType::i1)
      return c.invalid("inputs must be scalar numbers");
  IndexMath &m = c.idx;
  bool known = true;
  for (int i : {0, 1, 2})
    known &= bool(c.constant(i));
  if (isFloat(type) && !known) {
    // The device computes how many there are, the host reads it.
    ImportValue *ins[] = {&c.in(0), &c.in(1), &c.in(2)};
    for (ImportValue *&in : ins)
      in = castTo(c, *reshape(c, *in, {}), DType::f64);
    DType f64 = DType::f64;
    ImportValue *count = elementwiseTo(
        c, ins, {}, DType::i64, [&](OpBuilder &b, Location loc, ValueRange a) {
          BodyFloats f(b, loc, f64);
          Value n = f.ceil(f.divf(f.subf(a[1], a[0]), a[2]));
          n = f.clampf(n, 0, 2147483647.0);
          return f.cast(n, f64, DType::i64);
        });
    auto n = c.hostInts(*count, "the size of the range");
    if (failed(n))
      return failure();
    return c.result(buildParallel(
        c, "Range", *n, {ins[0], ins[2]}, {}, ParallelOut{type, *n},
        [&](ParallelBody &p) {
          BodyFloats f(p.b, p.loc, f64);
          Value y =
              f.addf(p.load(0, {}), f.mulf(f.fromInt(p.ivs[0]), p.load(1, {})));
          p.store(p.cast(y, f64, type), p.ivs);
        })[0]);
  }
  if (isFloat(type)) {
    double v[3];
    for (int i : {0, 1, 2}) {
      auto f = c.constFloats(i);
      if (failed(f))
        return failure();
      v[i] = (*f)[0];
    }
    double n = std::ceil((v[1] - v[0]) / v[2]);
    if (!(n <= 2147483647.0))
      return c.invalid("the range has no end");
    int64_t count = n > 0 ? int64_t(n) : 0;
    DType wide = accumulatorType(type);
    return c.result(fromIndices(
        c, {m.constant(count)}, type,
        [&](OpBuilder &b, Location loc, ValueRange ivs) -> Value {
          BodyMath mm{b, loc};
          Type t = elementType(b.getContext(), wide);
          Value i = arith::SIToFPOp::create(
              b, loc, t,
              arith::IndexCastOp::create(b, loc, b.getI64Type(), ivs[0]));
          Value y = arith::MulFOp::create(b, loc, i, mm.constant(t, v[2]));
          y = arith::AddFOp::create(b, loc, mm.constant(t, v[0]), y);
          return mm.cast(y, wide, type);
        }));
  }
  OpFoldResult v[3];
  for (int i : {0, 1, 2}) {
    auto s = c.hostInts(i);
    if (failed(s))
      return failure();
    v[i] = (*s)[0];
  }
  if (IndexMath::known(v[2]) == 0)
    return c.invalid("delta is 0");
  OpFoldResult count = m.ceilDiv(m.sub(v[1], v[0]), v[2]);
  if (IndexMath::known(v[0]) == 0 && IndexMath::known(v[2]) == 1)
    count = v[1];
  count = m.max(count, m.constant(0));
  if (auto n = IndexMath::known(count); n && *n <= kMaxScalars) {
    Sizes elements;
    for (int64_t i = 0; i < *n; ++i)
      elements.push_back(m.add(v[0], m.mul(m.constant(i), v[2])));
    return c.result(c.importer.newScalars(type, elements, 1));
  }
  Value start = m.value(v[0]), delta = m.value(v[2]);
  Type t = elementType(c.b.getContext(), type);
  return c.result(
      fromIndices(c, {count}, type,
                  [&](OpBuilder &b, Location loc, ValueRange ivs) -> Value {
                    BodyMath mm{b, loc};
                    Value y = mm.add(start, mm.mul(ivs[0], delta));
                    return arith::IndexCastOp::create(b, loc, t, y);
                  }));
}

namespace isthmus {
void registerShapeOps(Registry &r) {
  r.add("Shape", 1, shape);
  r.add("Size", 1, size);
  r.add("Reshape", 1, reshapeOp);
  r.add("Flatten", 1, flatten);
  r.add("Squeeze", 1, squeeze);
  r.add("Unsqueeze", 1, unsqueeze);
  r.add("Transpose", 1, transposeOp);
  r.add("Expand", 2, expand, 8);
  r.add("ConstantOfShape", 1, constantOfShape, 9);
  r.add("Range", 3, range, 11);
}
} // namespace isthmus
