//===- Ops/Layout.cpp - Split, Pad, Tile and other moves of elements ------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/OpHelpers.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace isthmus;

using P = arith::CmpIPredicate;

/// x[.., from + i, ..], `size` of them.
static ImportValue *sliceOf(NodeContext &c, ImportValue &x, int64_t axis,
                            OpFoldResult from, OpFoldResult size) {
  Sizes sizes = x.sizes;
  sizes[axis] = size;
  if (x.scalars && x.rank() == 1) {
    auto f = IndexMath::known(from), n = IndexMath::known(size);
    if (f && n && *f >= 0 && *n >= 0 && *f + *n <= int64_t(x.scalars->size()))
      return c.importer.newScalars(
          x.dtype, Sizes(x.scalars->begin() + *f, x.scalars->begin() + *f + *n),
          1);
  }
  Value source = c.tensor(x);
  Value start = c.idx.value(from);
  bool atZero = IndexMath::known(from) == 0;
  return fromIndices(c, sizes, x.dtype,
                     [&](OpBuilder &b, Location loc, ValueRange ivs) -> Value {
                       SmallVector<Value> at(ivs);
                       if (!atZero)
                         at[axis] = BodyMath{b, loc}.add(at[axis], start);
                       return tensor::ExtractOp::create(b, loc, source, at);
                     });
}

static LogicalResult split(NodeContext &c) {
  ImportValue &x = c.in(0);
  IndexMath &m = c.idx;
  auto axis = c.axis(c.intAttr("axis", 0), x.rank());
  if (failed(axis))
    return failure();
  int64_t n = c.numOutputs();
  if (c.opset >= 18 && c.hasAttr("num_outputs")) {
    if (c.has(1))
      return c.invalid("has both split and num_outputs");
    if (c.intAttr("num_outputs", 0) != n)
      return c.invalid("num_outputs is not the number of outputs");
  }
  if (n == 0)
    return c.invalid("has no outputs");
  OpFoldResult d = x.sizes[*axis];
  Sizes parts;
  if (c.has(1)) {
    if (c.in(1).count() && *c.in(1).count() != n)
      return c.invalid("split must have a size for each output");
    auto ints = c.hostInts(1);
    if (failed(ints))
      return failure();
    parts = *ints;
  } else if (auto attr = c.intsAttr("split")) {
    for (int64_t s : *attr)
      parts.push_back(m.constant(s));
  } else {
    // Equal parts; from opset 18 on the last one may be smaller.
    OpFoldResult part = m.ceilDiv(d, m.constant(n));
    if (n == 1)
      part = d;
    OpFoldResult before = m.mul(part, m.constant(n - 1));
    OpFoldResult last = n == 1 ? d : m.sub(d, before);
    if (c.opset < 18 &&
        failed(c.check(m.eq(m.rem(d, m.constant(n)), m.constant(0)),
                       "the dim does not split into equal parts")))
      return failure();
    if (failed(c.check(m.cmp(P::sge, last, m.constant(0)),
                       "the dim is too small to split")))
      return failure();
    parts.assign(n - 1, part);
    parts.push_back(last);
  }
  if (int64_t(parts.size()) != n)
    return c.invalid("split must have a size for each output");
  OpFoldResult end = m.constant(0);
  Sizes starts;
  for (OpFoldResult &part : parts) {
    starts.push_back(end);
    end = m.add(end, part);
    if (failed(c.check(m.cmp(P::sge, part, m.constant(0)),
                       "a part has a negative size")))
      return failure();
  }
  if (c.has(1) || c.hasAttr("split"))
    if (failed(c.check(m.eq(end, d), "the parts do not add up to the dim")))
      return failure();
  for (int64_t i = 0; i < n; ++i)
    if (c.wants(i))
      (void)c.result(n == 1 ? &x : sliceOf(c, x, *axis, starts[i], parts[i]),
                     i);
  return success();
}

//===----------------------------------------------------------------------===//
// Pad
//===----------------------------------------------------------------------===//

namespace {
enum class PadMode { constant, edge, reflect, wrap };
} // namespace

/// y[i] = x[i - before], and by `mode` where that is outside of x.
static LogicalResult padBy(NodeContext &c, ImportValue &x, Sizes before,
                           Sizes after, PadMode mode, ImportValue *fill,
                           double fillConstant) {
  IndexMath &m = c.idx;
  int64_t rank = x.rank();
  Sizes sizes;
  SmallVector<bool> touched;
  bool any = false;
  for (int64_t i = 0; i < rank; ++i) {
    OpFoldResult size = m.add(m.add(x.sizes[i], before[i]), after[i]);
    if (auto k = IndexMath::known(size); k && *k < 0)
      return c.invalid("pads remove more than dim " + Twine(i) + " has");
    bool is =
        IndexMath::known(before[i]) != 0 || IndexMath::known(after[i]) != 0;
    if (is && !IndexMath::known(size)) {
      if (failed(c.check(m.cmp(P::sge, size, m.constant(0)),
                         "pads remove more than a dim has")))
        return failure();
    }
    if (is && mode != PadMode::constant) {
      // Nothing to repeat. An empty result needs nothing.
      OpFoldResult fine =
          m.select(m.cmp(P::sgt, x.sizes[i], m.constant(0)), m.constant(1),
                   m.cmp(P::sle, size, m.constant(0)));
      if (failed(c.check(fine, "pads an empty dim")))
        return failure();
    }
    touched.push_back(is);
    any |= is;
    sizes.push_back(is ? size : x.sizes[i]);
  }
  if (!any)
    return c.result(&x);
  SmallVector<ImportValue *> ins{&x};
  if (fill)
    ins.push_back(fill->rank() ? reshape(c, *fill, {}) : fill);
  Sizes scalars = x.sizes;
  llvm::append_range(scalars, before);
  DType type = x.dtype;
  auto results = buildParallel(
      c, "Pad", sizes, ins, scalars, ParallelOut{type, sizes},
      [&](ParallelBody &p) {
        ArrayRef<Value> n = ArrayRef(p.scalars).take_front(rank);
        ArrayRef<Value> lo = ArrayRef(p.scalars).drop_front(rank);
        Value zero = p.index(0), one = p.index(1), inside;
        SmallVector<Value> at = p.ivs;
        for (int64_t i = 0; i < rank; ++i) {
          if (!touched[i])
            continue;
          Value v = p.sub(p.ivs[i], lo[i]), last = p.sub(n[i], one);
          switch (mode) {
          case PadMode::constant: {
            Value ok = p.andi(p.ge(v, zero), p.lt(v, n[i]));
            inside = inside ? p.andi(inside, ok) : ok;
            break;
          }
          case PadMode::edge:
            v = p.max(p.min(v, last), zero);
            break;
          case PadMode::reflect: {
            // A triangle wave of period 2 (n - 1), as in numpy.
            Value period = p.max(p.mul(last, p.index(2)), one);
            v = p.rem(v, period);
            v = p.select(p.lt(v, zero), p.add(v, period), v);
            v = p.select(p.lt(last, v), p.sub(period, v), v);
            v = p.max(p.min(v, last), zero);
            break;
          }
          case PadMode::wrap:
            v = p.rem(v, p.max(n[i], one));
            v = p.select(p.lt(v, zero), p.add(v, n[i]), v);
            break;
          }
          at[i] = v;
        }
        auto filling = [&]() -> Value {
          if (fill)
            return p.load(1, {});
          return p.constant(elementType(p.b.getContext(), type), fillConstant);
        };
        if (inside)
          p.store(
              p.ifElse(inside, [&] { return p.load(0, at); }, filling), p.ivs);
        else
          p.store(p.load(0, at), p.ivs);
      });
  return c.result(results[0]);
}

static LogicalResult pad(NodeContext &c) {
  ImportValue &x = c.in(0);
  IndexMath &m = c.idx;
  int64_t rank = x.rank();
  std::string name = c.stringAttr("mode", "constant");
  PadMode mode;
  if (name == "constant")
    mode = PadMode::constant;
  else if (name == "edge")
    mode = PadMode::edge;
  else if (name == "reflect")
    mode = PadMode::reflect;
  else if (name == "wrap")
    mode = PadMode::wrap;
  else
    return c.invalid("mode is '" + name + "'");
  Sizes pads;
  ImportValue *fill = nullptr;
  double fillConstant = 0;
  if (c.opset < 11) {
    auto attr = c.intsAttr(c.opset < 2 ? "paddings" : "pads");
    if (!attr)
      return c.invalid("has no pads");
    for (int64_t v : *attr)
      pads.push_back(m.constant(v));
    fillConstant = c.floatAttr("value", 0);
  } else {
    if (!c.has(1))
      return c.invalid("has no pads");
    auto ints = c.hostInts(1);
    if (failed(ints))
      return failure();
    pads = *ints;
    if (c.has(2)) {
      if (failed(c.requireSameType(0, 2)))
        return failure();
      if (c.in(2).count() != 1)
        return c.invalid("the constant value must have one element");
      fill = &c.in(2);
    }
  }
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  Sizes runtimeAxes;
  if (c.opset >= 18 && c.has(3)) {
    auto given = c.hostInts(3);
    if (failed(given))
      return failure();
    if (llvm::all_of(*given,
                     [](OpFoldResult v) { return IndexMath::known(v); })) {
      axes.clear();
      SmallVector<int64_t> list;
      for (OpFoldResult v : *given)
        list.push_back(*IndexMath::known(v));
      if (failed(c.axes(list, rank)))
        return failure();
      for (int64_t a : list)
        axes.push_back(a < 0 ? a + rank : a);
    } else {
      runtimeAxes = *given;
    }
  }
  size_t n = runtimeAxes.empty() ? axes.size() : runtimeAxes.size();
  if (pads.size() != 2 * n)
    return c.invalid("pads must have two numbers for each axis");
  constexpr int64_t kLimit = int64_t(1) << 40;
  for (OpFoldResult v : pads)
    if (auto k = IndexMath::known(v); k && (*k > kLimit || *k < -kLimit))
      return c.invalid("pads are too large");
  Sizes before(rank, m.constant(0)), after(rank, m.constant(0));
  for (size_t i = 0; i < n; ++i) {
    if (runtimeAxes.empty()) {
      before[axes[i]] = pads[i];
      after[axes[i]] = pads[i + n];
      continue;
    }
    // Every dim might be the axis.
    OpFoldResult a = runtimeAxes[i];
    a = m.select(m.cmp(P::slt, a, m.constant(0)), m.add(a, m.constant(rank)),
                 a);
    OpFoldResult low = m.cmp(P::sge, a, m.constant(0));
    if (failed(c.check(
            m.select(low, m.cmp(P::slt, a, m.constant(rank)), m.constant(0)),
            "an axis is out of range")))
      return failure();
    for (int64_t d = 0; d < rank; ++d) {
      OpFoldResult is = m.eq(a, m.constant(d));
      before[d] = m.select(is, pads[i], before[d]);
      after[d] = m.select(is, pads[i + n], after[d]);
    }
  }
  return padBy(c, x, before, after, mode,
               mode == PadMode::constant ? fill : nullptr, fillConstant);
}

static LogicalResult centerCropPad(NodeContext &c) {
  ImportValue &x = c.in(0);
  IndexMath &m = c.idx;
  auto want = c.hostInts(1);
  if (failed(want))
    return failure();
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, x.rank()));
  if (auto given = c.intsAttr("axes")) {
    if (failed(c.axes(*given, x.rank())))
      return failure();
    axes = *given;
    for (int64_t &a : axes)
      a = a < 0 ? a + x.rank() : a;
  }
  if (want->size() != axes.size())
    return c.invalid("shape must have a size for each axis");
  Sizes before(x.rank(), m.constant(0)), after = before;
  for (auto [a, w] : llvm::zip(axes, *want)) {
    if (failed(c.check(m.cmp(P::sge, w, m.constant(0)),
                       "shape has a negative size")))
      return failure();
    // Positive: pads; negative: crops. An odd one is at the end when padding
    // and also when cropping.
    OpFoldResult d = m.sub(w, x.sizes[a]);
    OpFoldResult half = m.div(d, m.constant(2)); // towards zero
    before[a] = half;
    after[a] = m.sub(d, half);
  }
  return padBy(c, x, before, after, PadMode::constant, nullptr, 0);
}

//===----------------------------------------------------------------------===//
// Trilu, Tile
//===----------------------------------------------------------------------===//

static LogicalResult trilu(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (x.rank() < 2)
    return c.invalid("input must be a matrix or a batch of them");
  bool upper = c.intAttr("upper", 1);
  std::optional<int64_t> known = 0;
  SmallVector<ImportValue *> ins{&x};
  if (c.has(1)) {
    if (c.in(1).dtype != DType::i64 || c.in(1).count() != 1)
      return c.invalid("k must be one i64");
    known = std::nullopt;
    if (c.in(1).scalars)
      known = IndexMath::known(c.in(1).scalars->front());
    if (!known)
      ins.push_back(c.in(1).rank() ? reshape(c, c.in(1), {}) : &c.in(1));
  }
  SmallVector<Access> reads{Access{&x, dimExprs(c, x.rank())}};
  if (ins.size() > 1)
    reads.push_back(Access{ins[1], {}});
  return c.result(generic(
      c, reads, x.sizes, x.dtype,
      [&](OpBuilder &b, Location loc, ValueRange a) -> Value {
        BodyMath m{b, loc};
        Value row = linalg::IndexOp::create(b, loc, x.rank() - 2);
        Value column = linalg::IndexOp::create(b, loc, x.rank() - 1);
        // Far offsets must not overflow.
        Value k =
            known
                ? m.index(std::clamp<int64_t>(*known, -(1ll << 40), 1ll << 40))
                : m.max(m.min(m.toIndex(a[1]), m.index(1ll << 40)),
                        m.index(-(1ll << 40)));
        Value edge = m.add(row, k);
        // upper: column >= row + k, lower: column <= row + k.
        Value keep = upper ? m.ge(column, edge) : m.ge(edge, column);
        return m.select(keep, a[0], m.constant(a[0].getType(), 0));
      }));
}

static LogicalResult tile(NodeContext &c) {
  ImportValue &x = c.in(0);
  IndexMath &m = c.idx;
  Sizes repeats;
  if (c.opset < 6) {
    // tiles, axis
    if (!c.has(1) || !c.has(2))
      return c.invalid("has no tiles or no axis");
    auto tiles = c.hostInts(1);
    auto axis = c.constInts(2);
    if (failed(tiles) || failed(axis))
      return failure();
    if (tiles->size() != 1 || axis->size() != 1)
      return c.invalid("tiles and axis must be scalars");
    auto a = c.axis((*axis)[0], x.rank());
    if (failed(a))
      return failure();
    repeats.assign(x.rank(), m.constant(1));
    repeats[*a] = (*tiles)[0];
  } else {
    if (!c.has(1))
      return c.invalid("has no repeats");
    auto ints = c.hostInts(1);
    if (failed(ints))
      return failure();
    repeats = *ints;
  }
  if (int64_t(repeats.size()) != x.rank())
    return c.invalid("repeats must have a number for each dim");
  Sizes sizes;
  bool same = true;
  for (auto [r, s] : llvm::zip(repeats, x.sizes)) {
    if (failed(c.check(m.cmp(P::sge, r, m.constant(0)),
                       "repeats has a negative number")))
      return failure();
    sizes.push_back(m.mul(r, s));
    same &= IndexMath::known(r) == 1;
  }
  if (same)
    return c.result(&x);
  if (x.scalars && x.rank() == 1)
    if (auto r = IndexMath::known(repeats[0]);
        r && *r * int64_t(x.scalars->size()) <= kMaxScalars) {
      Sizes elements;
      for (int64_t i = 0; i < *r; ++i)
        llvm::append_range(elements, *x.scalars);
      return c.result(c.importer.newScalars(x.dtype, elements, 1));
    }
  Value source = c.tensor(x);
  SmallVector<Value> dims = m.values(x.sizes);
  return c.result(fromIndices(
      c, sizes, x.dtype,
      [&](OpBuilder &b, Location loc, ValueRange ivs) -> Value {
        BodyMath mm{b, loc};
        SmallVector<Value> at(ivs);
        for (int64_t i = 0; i < x.rank(); ++i)
          if (IndexMath::known(repeats[i]) != 1)
            at[i] = x.dim(i) == 1 ? mm.index(0) : mm.rem(ivs[i], dims[i]);
        return tensor::ExtractOp::create(b, loc, source, at);
      }));
}

//===----------------------------------------------------------------------===//
// DepthToSpace, SpaceToDepth, Col2Im
//===----------------------------------------------------------------------===//

static LogicalResult depthToSpace(NodeContext &c, bool toSpace) {
  ImportValue &x = c.in(0);
  IndexMath &m = c.idx;
  int64_t size = c.intAttr("blocksize", 0);
  if (x.rank() != 4 || size < 1 || size > (1 << 20))
    return c.invalid("needs an input of rank 4 and a blocksize");
  std::string mode = c.stringAttr("mode", "DCR");
  if (mode != "DCR" && mode != "CRD")
    return c.invalid("mode is '" + mode + "'");
  OpFoldResult b = m.constant(size), bb = m.constant(size * size);
  OpFoldResult n = x.sizes[0], ch = x.sizes[1], h = x.sizes[2], w = x.sizes[3];
  auto divides = [&](OpFoldResult v, OpFoldResult by) {
    return c.check(m.eq(m.rem(v, by), m.constant(0)),
                   "a dim does not divide by the block size");
  };
  if (!toSpace) {
    if (failed(divides(h, b)) || failed(divides(w, b)))
      return failure();
    OpFoldResult hb = m.div(h, b), wb = m.div(w, b);
    ImportValue *t = reshape(c, x, {n, ch, hb, b, wb, b});
    t = transpose(c, *t, {0, 3, 5, 1, 2, 4});
    return c.result(reshape(c, *t, {n, m.mul(ch, bb), hb, wb}));
  }
  if (failed(divides(ch, bb)))
    return failure();
  OpFoldResult depth = m.div(ch, bb);
  ImportValue *t = mode == "DCR" ? reshape(c, x, {n, b, b, depth, h, w})
                                 : reshape(c, x, {n, depth, b, b, h, w});
  t = mode == "DCR" ? transpose(c, *t, {0, 3, 4, 1, 5, 2})
                    : transpose(c, *t, {0, 1, 4, 2, 5, 3});
  return c.result(reshape(c, *t, {n, depth, m.mul(h, b), m.mul(w, b)}));
}

/// y[n, c, i..] = sum of the columns' elements that lie at i.
static LogicalResult col2Im(NodeContext &c) {
  ImportValue &x = c.in(0);
  IndexMath &m = c.idx;
  if (x.rank() != 3)
    return c.invalid("input must have rank 3");
  auto image = c.hostInts(1);
  auto block = c.hostInts(2);
  if (failed(image) || failed(block))
    return failure();
  size_t n = image->size();
  auto strides = c.intsAttr("strides").value_or(SmallVector<int64_t>(n, 1));
  auto dilations = c.intsAttr("dilations").value_or(SmallVector<int64_t>(n, 1));
  auto pads = c.intsAttr("pads").value_or(SmallVector<int64_t>(2 * n, 0));
  if (n == 0 || block->size() != n || strides.size() != n ||
      dilations.size() != n || pads.size() != 2 * n)
    return c.invalid("the shapes and attributes differ in length");
  for (size_t i = 0; i < n; ++i)
    if (strides[i] < 1 || dilations[i] < 1 || pads[i] < 0 || pads[i + n] < 0)
      return c.invalid("strides, dilations or pads are out of range");
  OpFoldResult blockSize = m.product(*block), columns = m.constant(1);
  if (failed(c.check(m.cmp(P::sgt, blockSize, m.constant(0)),
                     "block_shape has a dim of 0")) ||
      failed(c.check(m.eq(m.rem(x.sizes[1], blockSize), m.constant(0)),
                     "the input's dim 1 does not divide by the block")))
    return failure();
  Sizes counts; // blocks along each dim
  for (size_t i = 0; i < n; ++i) {
    OpFoldResult extent = m.add(
        m.mul(m.sub((*block)[i], m.constant(1)), m.constant(dilations[i])),
        m.constant(1));
    OpFoldResult span =
        m.sub(m.add((*image)[i], m.constant(pads[i] + pads[i + n])), extent);
    OpFoldResult count =
        m.add(m.floorDiv(span, m.constant(strides[i])), m.constant(1));
    counts.push_back(count);
    columns = m.mul(columns, count);
    if (failed(c.check(m.cmp(P::sge, count, m.constant(0)),
                       "the block is larger than the image")) ||
        failed(c.check(m.cmp(P::sge, (*image)[i], m.constant(0)),
                       "image_shape has a negative dim")))
      return failure();
  }
  if (failed(c.check(m.eq(columns, x.sizes[2]),
                     "the input has another number of blocks")))
    return failure();
  Sizes sizes{x.sizes[0], m.div(x.sizes[1], blockSize)};
  llvm::append_range(sizes, *image);
  Sizes scalars = *block;
  llvm::append_range(scalars, counts);
  DType type = x.dtype, acc = accumulatorType(type);
  auto results = buildParallel(
      c, "Col2Im", sizes, &x, scalars, ParallelOut{type, sizes},
      [&](ParallelBody &p) {
        ArrayRef<Value> blocks = ArrayRef(p.scalars).take_front(n);
        ArrayRef<Value> nums = ArrayRef(p.scalars).drop_front(n);
        Value zero = p.index(0);
        // row: in the block, column: which block.
        std::function<Value(size_t, Value, Value, Value, Value)> visit =
            [&](size_t d, Value ok, Value row, Value column,
                Value sum) -> Value {
          if (d == n)
            return p.ifElse(
                ok,
                [&] {
                  Value v =
                      p.cast(p.load(0, {p.ivs[0], row, column}), type, acc);
                  if (isFloat(acc))
                    return Value(arith::AddFOp::create(p.b, p.loc, sum, v));
                  return acc == DType::i1 ? p.ori(sum, v) : p.add(sum, v);
                },
                [&] { return sum; });
          return p.loop(
              blocks[d], sum, [&](Value k, ValueRange s) -> SmallVector<Value> {
                Value pos = p.sub(p.add(p.ivs[d + 2], p.index(pads[d])),
                                  p.mul(k, p.index(dilations[d])));
                Value fits =
                    p.andi(p.ge(pos, zero),
                           p.eq(p.rem(pos, p.index(strides[d])), zero));
                Value which = p.div(pos, p.index(strides[d]));
                fits = p.andi(fits, p.lt(which, nums[d]));
                return {visit(d + 1, ok ? p.andi(ok, fits) : fits,
                              p.add(p.mul(row, blocks[d]), k),
                              p.add(p.mul(column, nums[d]), which), s[0])};
              })[0];
        };
        Value sum = visit(0, Value(), p.ivs[1], zero,
                          p.constant(elementType(p.b.getContext(), acc), 0));
        p.store(p.cast(sum, acc, type), p.ivs);
      });
  return c.result(results[0]);
}

namespace isthmus {
void registerLayoutOps(Registry &r) {
  r.add("Split", 1, split);
  r.add("Pad", 1, pad);
  r.add("CenterCropPad", 2, centerCropPad, 18);
  r.add("Trilu", 1, trilu, 14);
  r.add("Tile", 1, tile);
  r.add("DepthToSpace", 1,
        [](NodeContext &c) { return depthToSpace(c, true); });
  r.add("SpaceToDepth", 1,
        [](NodeContext &c) { return depthToSpace(c, false); });
  r.add("Col2Im", 3, col2Im, 18);
}
} // namespace isthmus
