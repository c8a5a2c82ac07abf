//===- Ops/Quantize.cpp - numbers as scaled integers ------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/BodyFloats.h"

using namespace mlir;
using namespace isthmus;

/// 8 and 16 bit integers.
static bool isNarrow(DType type) {
  return isInteger(type) && byteSize(type) <= 2;
}

/// The nearest integer of `type`, ends included, of `v` + `zero`.
static Value saturate(BodyFloats &f, Value v, Value zero, DType from,
                      DType type) {
  int bits = 8 * byteSize(type);
  double lo = isUnsigned(type) ? 0 : -double(1ll << (bits - 1));
  double hi = isUnsigned(type) ? double((1ll << bits) - 1)
                               : double((1ll << (bits - 1)) - 1);
  v = f.roundEven(v);
  if (zero)
    v = f.addf(v, f.cast(zero, type, from));
  // NaN fails the first comparison: it becomes the low end.
  v = f.select(f.cmpf(BodyFloats::P::OGT, v, f.k(lo)), v, f.k(lo));
  v = f.select(f.less(v, f.k(hi)), v, f.k(hi));
  // Through i32, which holds them all.
  v = arith::FPToSIOp::create(f.b, f.loc, f.b.getI32Type(), v);
  return f.cast(v, DType::i32, type);
}

/// A constant that holds one integer only, as a scalar; others as they are.
static ImportValue &uniform(NodeContext &c, ImportValue &v) {
  auto count = v.count();
  if (!isInteger(v.dtype) || count.value_or(0) < 2 || !(v.proto || v.constant))
    return v;
  DenseElementsAttr elements = c.importer.constant(v);
  if (!elements)
    return v;
  auto values = elements.getValues<APInt>();
  APInt first = *values.begin();
  if (!llvm::all_of(values, [&](const APInt &e) { return e == first; }))
    return v;
  int64_t element =
      isUnsigned(v.dtype) ? first.getZExtValue() : first.getSExtValue();
  return *c.importer.newScalars(v.dtype, {c.idx.constant(element)}, 0);
}

namespace {
/// How a scale or zero point belongs to the elements of a tensor.
struct Blocks {
  int64_t axis = 0, size = 0; // size 0: it broadcasts
};
} // namespace

/// `v` in a shape that broadcasts to x, unless it is given by blocks.
static FailureOr<ImportValue *> alongAxis(NodeContext &c, ImportValue &x,
                                          ImportValue &v, Blocks &blocks) {
  if (v.count() == 1 && (!blocks.size || v.rank() < 1))
    return reshape(c, v, {});
  int64_t block = c.opset >= 21 ? c.intAttr("block_size", 0) : 0;
  if (v.rank() == 0)
    return &v;
  auto axis = c.axis(c.intAttr("axis", 1), x.rank());
  if (failed(axis))
    return failure();
  if (block < 0)
    return c.invalid("block_size is negative");
  if (block > 0) {
    if (v.rank() != x.rank())
      return c.invalid("scales of blocks must have the input's rank");
    for (int64_t i = 0; i < x.rank(); ++i) {
      OpFoldResult want = i == *axis
                              ? c.idx.ceilDiv(x.sizes[i], c.idx.constant(block))
                              : x.sizes[i];
      if (!IndexMath::same(want, v.sizes[i]) &&
          failed(c.check(c.idx.eq(want, v.sizes[i]),
                         "the scales do not fit the blocks")))
        return failure();
    }
    blocks = {*axis, block};
    return &v;
  }
  if (v.rank() != 1)
    return c.invalid("scale and zero point must be scalars or vectors");
  if (!IndexMath::same(v.sizes[0], x.sizes[*axis]) &&
      failed(c.check(c.idx.eq(v.sizes[0], x.sizes[*axis]),
                     "there must be one scale for each index of the axis")))
    return failure();
  Sizes sizes{v.sizes[0]};
  sizes.append(x.rank() - *axis - 1, c.idx.constant(1));
  return reshape(c, v, sizes);
}

/// body(x, scale, zero or null) for every element of input 0.
static LogicalResult quantized(
    NodeContext &c, DType out,
    function_ref<Value(OpBuilder &, Location, Value, Value, Value)> body) {
  ImportValue &x = c.in(0);
  Blocks blocks;
  SmallVector<ImportValue *> ins{&x};
  for (int i : {1, 2}) {
    if (!c.has(i))
      continue;
    auto v = alongAxis(c, x, c.in(i), blocks);
    if (failed(v))
      return failure();
    if (i == 2 && !blocks.size && uniform(c, c.in(i)).count() == 1)
      v = reshape(c, uniform(c, c.in(i)), {});
    ins.push_back(*v);
  }
  if (!blocks.size)
    return c.result(elementwiseTo(
        c, ins, x.sizes, out, [&](OpBuilder &b, Location loc, ValueRange a) {
          return body(b, loc, a[0], a[1], a.size() > 2 ? a[2] : Value());
        }));
  return c.result(buildParallel(
      c, c.op(), x.sizes, ins, {}, ParallelOut{out, x.sizes},
      [&](ParallelBody &p) {
        SmallVector<Value> at = p.ivs;
        at[blocks.axis] = p.div(at[blocks.axis], p.index(blocks.size));
        auto load = [&](int i) {
          return ins[i]->rank() ? p.load(i, at) : p.load(i, {});
        };
        Value zero = ins.size() > 2 ? load(2) : Value();
        p.store(body(p.b, p.loc, p.load(0, p.ivs), load(1), zero), p.ivs);
      })[0]);
}

static LogicalResult quantizeLinear(NodeContext &c) {
  DType type = c.in(0).dtype, scaleType = c.in(1).dtype;
  DType out = c.has(2) ? c.in(2).dtype : DType(c.intAttr("output_dtype", 0));
  if (out == DType::undefined)
    out = DType::u8;
  if (!isNarrow(out))
    return c.error("IST-I0103", "quantizes to " + dtypeName(out),
                   "use 8 or 16 bit integers");
  if (!isFloat(scaleType) || type == DType::i1)
    return c.invalid("input and scale must be numbers, the scale a float");
  // As numpy: in the wider of the two types.
  DType wide = type == scaleType ? type : DType::f32;
  if (DType given = DType(c.intAttr("precision", 0));
      given != DType::undefined) {
    if (!isFloat(given))
      return c.unsupported("precision is " + dtypeName(given));
    wide = given;
  } else if (!isFloat(type) || type == DType::f64 || scaleType == DType::f64) {
    wide = DType::f64;
  }
  DType acc = accumulatorType(wide);
  return quantized(
      c, out,
      [&](OpBuilder &b, Location loc, Value x, Value scale, Value zero) {
        BodyFloats f(b, loc, acc);
        Value q = f.divf(f.cast(x, type, acc), f.cast(scale, scaleType, acc));
        q = f.cast(f.cast(q, acc, wide), wide, acc); // rounds like `wide`
        return saturate(f, q, zero, acc, out);
      });
}

static LogicalResult dequantizeLinear(NodeContext &c) {
  DType type = c.in(0).dtype, scaleType = c.in(1).dtype;
  if (!isInteger(type) || !isFloat(scaleType))
    return c.invalid("input must hold integers, the scale floats");
  if (c.has(2) && failed(c.requireSameType(0, 2)))
    return failure();
  DType out = DType(c.intAttr("output_dtype", int64_t(scaleType)));
  if (!isFloat(out))
    return c.error("IST-I0103", "dequantizes to " + dtypeName(out), "");
  DType acc = scaleType == DType::f64 ? DType::f64 : DType::f32;
  return quantized(
      c, out,
      [&](OpBuilder &b, Location loc, Value x, Value scale, Value zero) {
        BodyFloats f(b, loc, acc);
        Value v = f.cast(x, type, acc);
        if (zero)
          v = f.subf(v, f.cast(zero, type, acc));
        return f.cast(f.mulf(v, f.cast(scale, scaleType, acc)), acc, out);
      });
}

static LogicalResult dynamicQuantizeLinear(NodeContext &c) {
  ImportValue &x = c.in(0);
  DType f32 = DType::f32;
  if (x.dtype != f32)
    return c.invalid("input must be f32");
  SmallVector<int64_t> all = llvm::to_vector(llvm::seq<int64_t>(0, x.rank()));
  Reduction most = maxReduction(c, f32), least = most;
  least.init = highest(c, f32);
  least.combine = [](OpBuilder &b, Location loc, Value e, Value acc) -> Value {
    return arith::MinimumFOp::create(b, loc, acc, e);
  };
  ImportValue *range[] = {reduce(c, x, all, least), reduce(c, x, all, most)};
  ImportValue *scale = elementwiseTo(
      c, range, {}, f32, [&](OpBuilder &b, Location loc, ValueRange a) {
        BodyFloats f(b, loc, f32);
        Value size = f.subf(f.maxf(a[1], f.k(0)), f.minf(a[0], f.k(0)));
        Value flat = f.cmpf(arith::CmpFPredicate::OEQ, size, f.k(0));
        return f.divf(f.select(flat, f.k(1), size), f.k(255));
      });
  ImportValue *forZero[] = {range[0], scale};
  ImportValue *zero = elementwiseTo(
      c, forZero, {}, DType::u8, [&](OpBuilder &b, Location loc, ValueRange a) {
        BodyFloats f(b, loc, f32);
        Value z = f.divf(f.neg(f.minf(a[0], f.k(0))), a[1]);
        return saturate(f, f.clampf(z, 0, 255), {}, f32, DType::u8);
      });
  ImportValue *ins[] = {&x, scale, zero};
  (void)c.result(elementwiseTo(c, ins, x.sizes, DType::u8,
                               [&](OpBuilder &b, Location loc, ValueRange a) {
                                 BodyFloats f(b, loc, f32);
                                 return saturate(f, f.divf(a[0], a[1]), a[2],
                                                 f32, DType::u8);
                               }));
  (void)c.result(scale, 1);
  return c.result(zero, 2);
}

//===----------------------------------------------------------------------===//
// Products of integers
//===----------------------------------------------------------------------===//

/// A scale or zero point of a matrix: a scalar, one for each row or column, or
/// anything that broadcasts.
static ImportValue *perRow(NodeContext &c, ImportValue &given, bool isLeft) {
  ImportValue &v = uniform(c, given);
  if (v.count() == 1)
    return reshape(c, v, {});
  if (v.rank() == 1 && isLeft)
    return reshape(c, v, {v.sizes[0], c.idx.constant(1)});
  return &v;
}

/// x - zero as `out`. The zero point has been shaped to broadcast.
static FailureOr<ImportValue *> centered(NodeContext &c, ImportValue &x,
                                         ImportValue *zero, DType out) {
  if (!isNarrow(x.dtype) || (zero && zero->dtype != x.dtype))
    return c.invalid("inputs must be 8 or 16 bit integers, with zero points "
                     "of the same type");
  if (!zero)
    return castTo(c, x, out);
  ImportValue *ins[] = {&x, zero};
  auto sizes = broadcastSizes(c, {x.sizes, zero->sizes});
  if (failed(sizes))
    return failure();
  if (sizes->size() != x.sizes.size())
    return c.invalid("the zero point has more dims than its tensor");
  DType type = x.dtype;
  return elementwiseTo(c, ins, *sizes, out,
                       [&](OpBuilder &b, Location loc, ValueRange a) {
                         BodyMath m{b, loc};
                         Value v = m.sub(m.cast(a[0], type, DType::i32),
                                         m.cast(a[1], type, DType::i32));
                         return m.cast(v, DType::i32, out);
                       });
}

static LogicalResult matmulInteger(NodeContext &c) {
  auto zero = [&](int i, bool isLeft) {
    return c.has(i) ? perRow(c, c.in(i), isLeft) : nullptr;
  };
  auto a = centered(c, c.in(0), zero(2, true), DType::i32);
  auto b = centered(c, c.in(1), zero(3, false), DType::i32);
  if (failed(a) || failed(b))
    return failure();
  return c.result(matmul(c, **a, **b, DType::i32));
}

/// `sum` * scales[0] * scales[1] / scales[2] + zero, as the zero point's type.
static LogicalResult requantize(NodeContext &c, ImportValue &sum,
                                ArrayRef<ImportValue *> scales,
                                ImportValue &zero) {
  if (!isNarrow(zero.dtype) || zero.count() != 1)
    return c.invalid("the result's zero point must be an 8 bit scalar");
  for (ImportValue *s : scales)
    if (!isFloat(s->dtype))
      return c.invalid("scales must be floats");
  DType out = zero.dtype, f64 = DType::f64;
  // The scales' own sizes: of weights they are one operation of `init`.
  auto by = elementwise(
      c, scales, f64, [&](OpBuilder &b, Location loc, ValueRange a) {
        BodyFloats f(b, loc, f64);
        auto scale = [&](int i) { return f.cast(a[i], scales[i]->dtype, f64); };
        return f.divf(f.mulf(scale(0), scale(1)), scale(2));
      });
  if (failed(by))
    return failure();
  auto sizes = broadcastSizes(c, {sum.sizes, (*by)->sizes});
  if (failed(sizes))
    return failure();
  if (sizes->size() != sum.sizes.size())
    return c.invalid("a scale has more dims than the result");
  ImportValue *ins[] = {&sum, *by, reshape(c, zero, {})};
  return c.result(elementwiseTo(
      c, ins, *sizes, out, [&](OpBuilder &b, Location loc, ValueRange a) {
        BodyFloats f(b, loc, f64);
        Value v = f.mulf(f.cast(a[0], sum.dtype, f64), a[1]);
        return saturate(f, v, a[2], f64, out);
      }));
}

static LogicalResult qlinearMatmul(NodeContext &c) {
  auto a = centered(c, c.in(0), perRow(c, c.in(2), true), DType::i32);
  auto b = centered(c, c.in(3), perRow(c, c.in(5), false), DType::i32);
  if (failed(a) || failed(b))
    return failure();
  auto sum = matmul(c, **a, **b, DType::i32);
  if (failed(sum))
    return failure();
  ImportValue *scales[] = {perRow(c, c.in(1), true), perRow(c, c.in(4), false),
                           perRow(c, c.in(6), true)};
  return requantize(c, **sum, scales, c.in(7));
}

/// The convolution of integers, exact, as i32. graph.conv is of floats: in f32
/// where that holds every sum, else in f64.
static FailureOr<ImportValue *> convInteger(NodeContext &c, ImportValue &x,
                                            ImportValue *xZero, ImportValue &w,
                                            ImportValue *wZero) {
  if (x.rank() < 3 || w.rank() != x.rank())
    return c.invalid("input and filter must have one rank of 3 or more");
  if (xZero) {
    if (xZero->count() != 1)
      return c.invalid("the input's zero point must be a scalar");
    xZero = reshape(c, *xZero, {});
  }
  if (wZero) {
    if (wZero->count() == w.dim(0))
      wZero = &uniform(c, *wZero);
    Sizes sizes;
    if (wZero->count() != 1) {
      if (wZero->rank() != 1)
        return c.invalid("the filter's zero point must be a vector");
      sizes.assign(w.rank(), c.idx.constant(1));
      sizes[0] = wZero->sizes[0];
    }
    wZero = reshape(c, *wZero, sizes);
  }
  double products = 1;
  for (int64_t i = 1; i < w.rank(); ++i)
    products *= double(w.dim(i).value_or(1 << 16));
  bool small =
      products <= 257 && byteSize(x.dtype) == 1 && byteSize(w.dtype) == 1;
  DType wide = small ? DType::f32 : DType::f64;
  auto left = centered(c, x, xZero, wide);
  auto right = centered(c, w, wZero, wide);
  if (failed(left) || failed(right))
    return failure();
  auto y = conv(c, **left, **right, nullptr);
  if (failed(y))
    return failure();
  if (products > 33025) // may pass i32's ends
    return castTo(c, **y, DType::i32);
  return elementwiseTo(c, *y, (*y)->sizes, DType::i32,
                       [](OpBuilder &b, Location loc, ValueRange a) -> Value {
                         return arith::FPToSIOp::create(b, loc, b.getI32Type(),
                                                        a[0]);
                       });
}

static LogicalResult convIntegerOp(NodeContext &c) {
  auto input = [&](int i) { return c.has(i) ? &c.in(i) : nullptr; };
  return c.result(convInteger(c, c.in(0), input(2), c.in(1), input(3)));
}

static LogicalResult qlinearConv(NodeContext &c) {
  auto y = convInteger(c, c.in(0), &c.in(2), c.in(3), &c.in(5));
  if (failed(y))
    return failure();
  // One for each channel of the result.
  int64_t rank = (*y)->rank();
  auto perChannel = [&](ImportValue &v) {
    if (v.count() == 1)
      return reshape(c, v, {});
    Sizes sizes(rank - 1, c.idx.constant(1));
    sizes[0] = v.sizes[0];
    return reshape(c, v, sizes);
  };
  for (int i : {1, 4, 6, 8})
    if (c.has(i) && c.in(i).count() != 1 && c.in(i).rank() != 1)
      return c.invalid("scales and bias must be scalars or vectors");
  ImportValue *sum = *y;
  if (c.has(8)) {
    if (c.in(8).dtype != DType::i32)
      return c.invalid("the bias must be i32");
    ImportValue *ins[] = {sum, perChannel(c.in(8))};
    auto added = elementwise(c, ins, DType::i32,
                             [](OpBuilder &b, Location loc, ValueRange a) {
                               return BodyMath{b, loc}.add(a[0], a[1]);
                             });
    if (failed(added))
      return failure();
    sum = *added;
  }
  ImportValue *scales[] = {perChannel(c.in(1)), perChannel(c.in(4)),
                           perChannel(c.in(6))};
  return requantize(c, *sum, scales, c.in(7));
}

//===----------------------------------------------------------------------===//
// com.microsoft
//===----------------------------------------------------------------------===//

/// A x B^T, with B as blocks of 2, 4 or 8 bit integers along K.
static LogicalResult matmulNBits(NodeContext &c) {
  if (failed(c.requireFloat(0)) || failed(c.requireSameType(0, 2)))
    return failure();
  ImportValue &a = c.in(0), &blob = c.in(1), &scales = c.in(2);
  int64_t k = c.intAttr("K", 0), n = c.intAttr("N", 0),
          bits = c.intAttr("bits", 4), size = c.intAttr("block_size", 0);
  if (k < 1 || n < 1 || size < 16 || !llvm::isPowerOf2_64(size))
    return c.invalid("K, N or block_size is out of range");
  if (bits != 2 && bits != 4 && bits != 8)
    return c.unsupported(Twine(bits) + " bits");
  if (c.has(4))
    return c.unsupported("g_idx");
  if (a.rank() < 1 ||
      failed(c.check(c.idx.eq(a.sizes.back(), c.idx.constant(k)),
                     "the last dim of A is not K")))
    return c.failed ? failure() : c.invalid("A must not be a scalar");
  int64_t blocks = (k + size - 1) / size, bytes = size * bits / 8;
  int64_t zeroBytes = (blocks * bits + 7) / 8;
  if (blob.dtype != DType::u8 || blob.count() != n * blocks * bytes ||
      scales.count() != n * blocks)
    return c.invalid("B or the scales have the wrong size or type");
  IndexMath &m = c.idx;
  SmallVector<ImportValue *> ins{
      reshape(c, blob, {m.constant(n), m.constant(blocks), m.constant(bytes)}),
      reshape(c, scales, {m.constant(n), m.constant(blocks)})};
  bool packedZero = false;
  if (c.has(3)) {
    ImportValue &zero = c.in(3);
    packedZero = zero.dtype == DType::u8;
    int64_t count = packedZero ? zeroBytes : blocks;
    if ((!packedZero && zero.dtype != a.dtype) || zero.count() != n * count)
      return c.invalid("the zero points have the wrong size or type");
    ins.push_back(reshape(c, zero, {m.constant(n), m.constant(count)}));
  }
  DType type = a.dtype, acc = accumulatorType(type);
  Sizes weightSizes{m.constant(n), m.constant(k)};
  ImportValue *weights = buildParallel(
      c, "MatMulNBits.Unpack", weightSizes, ins, {},
      ParallelOut{type, weightSizes}, [&](ParallelBody &p) {
        BodyFloats f(p.b, p.loc, acc);
        Value row = p.ivs[0], block = p.div(p.ivs[1], p.index(size));
        Value within = p.rem(p.ivs[1], p.index(size));
        Type i32 = p.b.getI32Type();
        int64_t per = 8 / bits;
        // The low bits of a byte come first.
        auto field = [&](Value byte, Value i) -> Value {
          byte = p.cast(byte, DType::u8, DType::i32);
          Value by = p.mul(p.rem(i, p.index(per)), p.index(bits));
          by = arith::IndexCastOp::create(p.b, p.loc, i32, by);
          Value v = arith::ShRUIOp::create(p.b, p.loc, byte, by);
          return f.fromInt(p.andi(v, p.integer(i32, (1 << bits) - 1)));
        };
        Value q =
            field(p.load(0, {row, block, p.div(within, p.index(per))}), within);
        Value zero = f.k(double(1 << (bits - 1)));
        if (c.has(3))
          zero =
              packedZero
                  ? field(p.load(2, {row, p.div(block, p.index(per))}), block)
                  : p.cast(p.load(2, {row, block}), type, acc);
        Value s = p.cast(p.load(1, {row, block}), type, acc);
        p.store(p.cast(f.mulf(f.subf(q, zero), s), acc, type), p.ivs);
      })[0];
  Sizes loops(a.sizes.begin(), a.sizes.end() - 1);
  unsigned outer = loops.size();
  loops.append({m.constant(n), m.constant(k)});
  auto dim = [&](unsigned i) { return getAffineDimExpr(i, c.b.getContext()); };
  Access left{&a, {}}, right{weights, {dim(outer), dim(outer + 1)}};
  for (unsigned i = 0; i < outer; ++i)
    left.at.push_back(dim(i));
  left.at.push_back(dim(outer + 1));
  ImportValue *y = contract(c, left, right, loops, outer + 1, type);
  if (!c.has(5))
    return c.result(y);
  if (failed(c.requireSameType(0, 5)))
    return failure();
  ImportValue *sum[] = {y, &c.in(5)};
  return c.result(elementwise(
      c, sum, type, [](OpBuilder &b, Location loc, ValueRange v) -> Value {
        return arith::AddFOp::create(b, loc, v[0], v[1]);
      }));
}

namespace isthmus {
void registerQuantizeOps(Registry &r) {
  r.add("QuantizeLinear", 2, quantizeLinear, 10);
  r.add("DequantizeLinear", 2, dequantizeLinear, 10);
  r.add("DynamicQuantizeLinear", 1, dynamicQuantizeLinear, 11);
  r.add("MatMulInteger", 2, matmulInteger, 10);
  r.add("ConvInteger", 2, convIntegerOp, 10);
  r.add("QLinearMatMul", 8, qlinearMatmul, 10);
  r.add("QLinearConv", 8, qlinearConv, 10);
  r.add("MatMulNBits", 3, matmulNBits, 1, std::numeric_limits<int64_t>::max(),
        "com.microsoft");
  // Models of older runtimes have these there.
  r.add("QuantizeLinear", 2, quantizeLinear, 1,
        std::numeric_limits<int64_t>::max(), "com.microsoft");
  r.add("DequantizeLinear", 2, dequantizeLinear, 1,
        std::numeric_limits<int64_t>::max(), "com.microsoft");
}
} // namespace isthmus
