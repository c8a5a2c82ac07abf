//===- Ops/Signal.cpp - DFT, STFT and windows -------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Transforms are sums by definition, in f64: quadratic in the length.
//
//===----------------------------------------------------------------------===//
#include "lib/Import/BodyFloats.h"
#include "lib/Import/RuntimeAxes.h"

using namespace mlir;
using namespace isthmus;
using CmpI = arith::CmpIPredicate;

/// cos and sin of 2 pi m / n in f64, for 0 <= m < n. `f` is of f64.
static std::pair<Value, Value> turn(BodyFloats &f, Value m, Value n) {
  // m / n = quarter / 4 + rest, with |rest| <= 1/8: there, Taylor's series.
  Value part = f.divf(f.fromInt(m), f.fromInt(n));
  Value quarter = f.roundEven(f.mulf(part, f.k(4)));
  Value a = f.mulf(f.subf(part, f.mulf(quarter, f.k(0.25))),
                   f.k(6.283185307179586476925));
  Value square = f.mulf(a, a);
  auto series = [&](int first) {
    Value sum = f.k(1);
    for (int i = 16 + first; i > first; i -= 2) // 1 - a^2/(i (i-1)) (...)
      sum =
          f.subf(f.k(1), f.mulf(f.mulf(square, f.k(1.0 / (i * (i - 1)))), sum));
    return sum;
  };
  Value c = series(0), s = f.mulf(a, series(1));
  Value q = f.toIndex(f.cast(quarter, DType::f64, DType::i64)); // 0 .. 4
  Value odd = f.eq(f.rem(q, f.index(2)), f.index(1));
  Value x = f.select(odd, s, c), y = f.select(odd, c, s);
  // (c, s) (-s, c) (-c, -s) (s, -c)
  auto isOne = [&](int a, int b) {
    return f.ori(f.eq(q, f.index(a)), f.eq(q, f.index(b)));
  };
  return {f.select(isOne(1, 2), f.neg(x), x),
          f.select(isOne(2, 3), f.neg(y), y)};
}

/// One integer from the host.
static FailureOr<OpFoldResult> scalarInt(NodeContext &c, int i,
                                         StringRef what) {
  if (c.in(i).count() != 1)
    return c.invalid(what + " must be a scalar");
  auto ints = c.hostInts(i);
  if (failed(ints))
    return failure();
  return (*ints)[0];
}

static LogicalResult dft(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (failed(c.requireFloat(0)))
    return failure();
  int64_t rank = x.rank();
  auto parts = rank < 2 ? std::nullopt : x.dim(rank - 1);
  if (!parts || *parts < 1 || *parts > 2)
    return c.invalid("the last dim of the input must be 1 or 2");
  bool inverse = c.intAttr("inverse", 0), onesided = c.intAttr("onesided", 0);
  IndexMath &m = c.idx;
  OpFoldResult one = m.constant(1), zero = m.constant(0);
  OpFoldResult axis = m.constant(c.opset < 20 ? c.intAttr("axis", 1) : -2);
  if (c.opset >= 20 && c.has(2)) {
    auto given = scalarInt(c, 2, "the axis");
    if (failed(given))
      return failure();
    axis = *given;
  }
  auto mask = axesMask(c, axis, rank);
  if (failed(mask) ||
      failed(c.check(m.eq(mask->back(), zero), "the axis is the last one")))
    return failure();
  OpFoldResult length = one;
  for (auto [size, along] : llvm::zip_equal(x.sizes, *mask))
    length = m.mul(length, m.select(along, size, one));
  OpFoldResult n = length;
  if (inverse && onesided)
    n = m.mul(m.constant(2), m.sub(length, one));
  if (c.has(1)) {
    auto given = scalarInt(c, 1, "the length");
    if (failed(given))
      return failure();
    n = *given;
  }
  if (failed(c.check(m.cmp(CmpI::sge, n, one), "the length is not positive")))
    return failure();
  OpFoldResult half = m.add(m.div(n, m.constant(2)), one);
  OpFoldResult results = onesided && !inverse ? half : n;
  // Beyond its end the input is 0.
  OpFoldResult terms = m.min(length, onesided && inverse ? half : n);
  bool realResult = onesided && inverse;
  Sizes sizes, space;
  for (int64_t i = 0; i + 1 < rank; ++i)
    sizes.push_back(m.select((*mask)[i], results, x.sizes[i]));
  space = sizes;
  sizes.push_back(m.constant(realResult ? 1 : 2));
  Sizes scalars(mask->begin(), mask->end() - 1);
  scalars.append({n, terms});
  DType type = x.dtype, f64 = DType::f64;
  return c.result(buildParallel(
      c, "DFT", space, &x, scalars, ParallelOut{type, sizes},
      [&](ParallelBody &p) {
        BodyFloats f(p.b, p.loc, f64);
        Value n = p.scalars[rank - 1], terms = p.scalars[rank];
        Value k = p.index(0);
        for (int64_t i = 0; i + 1 < rank; ++i)
          k = p.add(k, p.mul(p.scalars[i], p.ivs[i]));
        auto sums = p.loop(
            terms, {f.k(0), f.k(0)},
            [&](Value t, ValueRange sum) -> SmallVector<Value> {
              SmallVector<Value> at;
              for (int64_t i = 0; i + 1 < rank; ++i)
                at.push_back(
                    p.select(p.eq(p.scalars[i], p.index(0)), p.ivs[i], t));
              at.push_back(p.index(0));
              Value re = p.cast(p.load(0, at), type, f64), im = f.k(0);
              if (*parts == 2) {
                at.back() = p.index(1);
                im = p.cast(p.load(0, at), type, f64);
              }
              auto [cosine, sine] = turn(f, p.rem(p.mul(k, t), n), n);
              if (!inverse)
                sine = f.neg(sine);
              if (realResult) {
                // The other side is the conjugate; the ends have none.
                Value twice = p.add(t, t);
                Value end = p.ori(p.eq(t, p.index(0)), p.eq(twice, n));
                Value weight = f.select(end, f.k(1), f.k(2));
                re = f.mulf(re, weight);
                im = f.select(end, f.k(0), f.mulf(im, weight));
              }
              return {
                  f.addf(sum[0], f.subf(f.mulf(re, cosine), f.mulf(im, sine))),
                  f.addf(sum[1], f.addf(f.mulf(re, sine), f.mulf(im, cosine)))};
            });
        SmallVector<Value> at = p.ivs;
        at.push_back({});
        for (int i = 0; i < (realResult ? 1 : 2); ++i) {
          at.back() = p.index(i);
          Value v = inverse ? f.divf(sums[i], f.fromInt(n)) : sums[i];
          p.store(p.cast(v, f64, type), at);
        }
      })[0]);
}

static LogicalResult stft(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (failed(c.requireFloat(0)))
    return failure();
  auto parts = x.rank() == 3   ? x.dim(2)
               : x.rank() == 2 ? std::optional<int64_t>(1)
                               : std::nullopt;
  if (!parts || *parts < 1 || *parts > 2)
    return c.invalid("the signal must be batch x length x 1 or 2");
  IndexMath &m = c.idx;
  OpFoldResult one = m.constant(1);
  auto step = scalarInt(c, 1, "frame_step");
  if (failed(step))
    return failure();
  bool windowed = c.has(2);
  OpFoldResult n = x.sizes[1];
  if (windowed) {
    if (failed(c.requireSameType(0, 2)))
      return failure();
    if (c.in(2).rank() != 1)
      return c.invalid("the window must be a vector");
    n = c.in(2).sizes[0];
  }
  if (c.has(3)) {
    auto given = scalarInt(c, 3, "frame_length");
    if (failed(given) ||
        (windowed &&
         failed(c.check(m.eq(*given, n), "the window has another length"))))
      return failure();
    n = *given;
  }
  OpFoldResult fine =
      m.mul(m.cmp(CmpI::sge, *step, one),
            m.mul(m.cmp(CmpI::sge, n, one), m.cmp(CmpI::sle, n, x.sizes[1])));
  if (failed(c.check(fine, "the frames do not fit the signal")))
    return failure();
  bool onesided = c.intAttr("onesided", 1) && *parts == 1;
  OpFoldResult frames = m.add(m.div(m.sub(x.sizes[1], n), *step), one);
  OpFoldResult bins = onesided ? m.add(m.div(n, m.constant(2)), one) : n;
  SmallVector<ImportValue *> ins{&x};
  if (windowed)
    ins.push_back(&c.in(2));
  DType type = x.dtype, f64 = DType::f64;
  Sizes sizes{x.sizes[0], frames, bins, m.constant(2)};
  return c.result(buildParallel(
      c, "STFT", {x.sizes[0], frames, bins}, ins, {n, *step},
      ParallelOut{type, sizes}, [&](ParallelBody &p) {
        BodyFloats f(p.b, p.loc, f64);
        Value n = p.scalars[0];
        Value start = p.mul(p.ivs[1], p.scalars[1]);
        auto sums = p.loop(
            n, {f.k(0), f.k(0)},
            [&](Value t, ValueRange sum) -> SmallVector<Value> {
              auto load = [&](int64_t part) {
                SmallVector<Value> at{p.ivs[0], p.add(start, t)};
                if (x.rank() == 3)
                  at.push_back(p.index(part));
                return p.cast(p.load(0, at), type, f64);
              };
              Value re = load(0), im = *parts == 2 ? load(1) : f.k(0);
              if (windowed) {
                Value w = p.cast(p.load(1, t), type, f64);
                re = f.mulf(re, w);
                im = f.mulf(im, w);
              }
              auto [cosine, sine] = turn(f, p.rem(p.mul(p.ivs[2], t), n), n);
              return {
                  f.addf(sum[0], f.addf(f.mulf(re, cosine), f.mulf(im, sine))),
                  f.addf(sum[1], f.subf(f.mulf(im, cosine), f.mulf(re, sine)))};
            });
        for (int i : {0, 1})
          p.store(p.cast(sums[i], f64, type),
                  {p.ivs[0], p.ivs[1], p.ivs[2], p.index(i)});
      })[0]);
}

/// a0 - a1 cos(2 pi i / n) + a2 cos(4 pi i / n)
static LogicalResult window(NodeContext &c, double a0, double a1, double a2) {
  auto size = scalarInt(c, 0, "the size");
  if (failed(size))
    return failure();
  DType type = DType(c.intAttr("output_datatype", int64_t(DType::f32)));
  if (!isFloat(type))
    return c.error("IST-I0103", "of type " + dtypeName(type), "");
  IndexMath &m = c.idx;
  if (failed(c.check(m.cmp(CmpI::sge, *size, m.constant(0)),
                     "the size is negative")))
    return failure();
  OpFoldResult n = *size;
  if (!c.intAttr("periodic", 1))
    n = m.max(m.sub(n, m.constant(1)), m.constant(1));
  return c.result(
      buildParallel(c, c.op(), *size, {}, n, ParallelOut{type, {*size}},
                    [&](ParallelBody &p) {
                      BodyFloats f(p.b, p.loc, DType::f64);
                      Value i = p.ivs[0], n = p.scalars[0];
                      Value once = turn(f, p.rem(i, n), n).first;
                      Value twice = turn(f, p.rem(p.add(i, i), n), n).first;
                      Value v = f.addf(f.subf(f.k(a0), f.mulf(f.k(a1), once)),
                                       f.mulf(f.k(a2), twice));
                      p.store(p.cast(v, DType::f64, type), i);
                    })[0]);
}

namespace isthmus {
void registerSignalOps(Registry &r) {
  r.add("DFT", 1, dft, 17);
  r.add("STFT", 2, stft, 17);
  r.add(
      "HannWindow", 1, [](NodeContext &c) { return window(c, 0.5, 0.5, 0); },
      17);
  r.add(
      "HammingWindow", 1,
      [](NodeContext &c) { return window(c, 25.0 / 46.0, 1 - 25.0 / 46.0, 0); },
      17);
  r.add(
      "BlackmanWindow", 1,
      [](NodeContext &c) { return window(c, 0.42, 0.5, 0.08); }, 17);
}
} // namespace isthmus
