//===- Ops/Resize.cpp - Resize, Upsample ----------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/OpHelpers.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <cmath>

using namespace mlir;
using namespace isthmus;

using P = arith::CmpIPredicate;

namespace {
enum class Mode { nearest, linear, cubic };
enum class Coordinates {
  asymmetric,
  alignCorners,
  halfPixel,
  pytorchHalfPixel,
  halfPixelSymmetric,
  cropAndResize
};
enum class Nearest { preferFloor, preferCeil, floor, ceil };

struct AxisPlan {
  int64_t axis;
  OpFoldResult in, out;
  // The scale: a number, or element `at` of a tensor, or out / in.
  std::optional<double> scale;
  int64_t at = -1;
  int64_t roi = -1; // element of the roi where the axis starts
};

struct ResizePlan {
  Mode mode = Mode::nearest;
  Coordinates coordinates = Coordinates::asymmetric;
  Nearest nearest = Nearest::floor;
  double cubicA = -0.75;
  double extrapolation = 0;
  bool excludeOutside = false, antialias = false;
  ImportValue *scales = nullptr; // floats, when an axis needs them
  ImportValue *roi = nullptr;
  int64_t roiEnds = 0; // distance of an end from its start
  SmallVector<AxisPlan> axes;
};

/// Where an output position of one axis comes from. In f64, as onnx has it:
/// what is at the middle between two pixels should stay there.
struct Origin {
  Value x, scale;
  Value outside; // an i1, for tf_crop_and_resize
};

/// One axis inside a body.
struct AxisBody {
  ParallelBody &p;
  const ResizePlan &plan;
  const AxisPlan &axis;
  Value in, out;       // sizes
  int scalesIn, roiIn; // inputs of the body
  FloatOps f;

  AxisBody(ParallelBody &p, const ResizePlan &plan, const AxisPlan &axis,
           Value in, Value out, int scalesIn, int roiIn)
      : p(p), plan(plan), axis(axis), in(in), out(out), scalesIn(scalesIn),
        roiIn(roiIn), f(p.b, p.loc, DType::f64) {}

  Value roiAt(int64_t i) {
    return f.cast(p.load(roiIn, p.index(i)), plan.roi->dtype, DType::f64);
  }

  Origin origin(Value o) {
    Origin r;
    Value n = f.fromInt(in), m = f.fromInt(out), y = f.fromInt(o);
    Value length; // of the output, before rounding down
    if (axis.scale) {
      r.scale = f.k(*axis.scale);
      length = f.mulf(r.scale, n);
    } else if (axis.at >= 0) {
      r.scale = f.cast(p.load(scalesIn, p.index(axis.at)), plan.scales->dtype,
                       DType::f64);
      length = f.mulf(r.scale, n);
    } else {
      r.scale = f.divf(m, n);
      length = m;
    }
    Value one = f.k(1), half = f.k(0.5);
    Value single = f.equal(length, one);
    Value steps = f.select(single, one, f.subf(length, one));
    auto halfPixel = [&] {
      return f.subf(f.divf(f.addf(y, half), r.scale), half);
    };
    switch (plan.coordinates) {
    case Coordinates::asymmetric:
      r.x = f.divf(y, r.scale);
      break;
    case Coordinates::alignCorners:
      r.x = f.select(single, f.k(0), f.divf(f.mulf(y, f.subf(n, one)), steps));
      break;
    case Coordinates::halfPixel:
      r.x = halfPixel();
      break;
    case Coordinates::pytorchHalfPixel:
      r.x = f.select(single, f.k(-0.5), halfPixel());
      break;
    case Coordinates::halfPixelSymmetric: {
      Value offset = f.mulf(f.mulf(n, half), f.subf(one, f.divf(m, length)));
      r.x = f.addf(offset, halfPixel());
      break;
    }
    case Coordinates::cropAndResize: {
      Value start = axis.roi < 0 ? f.k(0) : roiAt(axis.roi);
      Value end = axis.roi < 0 ? one : roiAt(axis.roi + plan.roiEnds);
      Value last = f.subf(n, one), span = f.mulf(f.subf(end, start), last);
      r.x =
          f.select(single, f.mulf(span, half), f.divf(f.mulf(y, span), steps));
      r.x = f.addf(r.x, f.mulf(start, last));
      r.outside = p.ori(f.less(r.x, f.k(0)), f.less(last, r.x));
      break;
    }
    }
    return r;
  }

  Value clamped(Value i) {
    return p.max(p.min(i, p.sub(in, p.index(1))), p.index(0));
  }

  Value nearestIndex(Value x) {
    switch (plan.nearest) {
    case Nearest::preferFloor:
      x = f.ceil(f.subf(x, f.k(0.5)));
      break;
    case Nearest::preferCeil:
      x = f.floor(f.addf(x, f.k(0.5)));
      break;
    case Nearest::floor:
      x = f.floor(x);
      break;
    case Nearest::ceil:
      x = f.ceil(x);
      break;
    }
    return clamped(f.toIndexClamped(x));
  }

  /// The filter's weight at distance `d`.
  Value kernel(Value d) {
    d = f.abs(d);
    Value one = f.k(1);
    if (plan.mode == Mode::linear)
      return f.maxf(f.subf(one, d), f.k(0));
    double a = plan.cubicA;
    auto horner = [&](std::initializer_list<double> c) {
      Value y;
      for (double k : c)
        y = y ? f.addf(f.mulf(y, d), f.k(k)) : f.k(k);
      return y;
    };
    Value near = horner({a + 2, -(a + 3), 0, 1});
    Value far = horner({a, -5 * a, 8 * a, -4 * a});
    return f.select(f.lessEqual(d, one), near,
                    f.select(f.less(d, f.k(2)), far, f.k(0)));
  }
};
} // namespace

/// A result of type `type` from its value in `wide`.
static Value finish(FloatOps &f, Value v, DType wide, DType type) {
  if (isFloat(type))
    return f.cast(v, wide, type);
  v = f.roundEven(v);
  int64_t bits = byteSize(type) * 8;
  if (bits < 32) {
    double hi = std::ldexp(1.0, isUnsigned(type) ? bits : bits - 1) - 1;
    v = f.clampf(v, isUnsigned(type) ? 0 : -hi - 1, hi);
  }
  return f.cast(v, wide, type);
}

static DType resizeAccumulator(DType type) {
  if (isFloat(type))
    return accumulatorType(type);
  return byteSize(type) < 4 ? DType::f32 : DType::f64;
}

/// All the axes at once; for nearest and linear ones.
static ImportValue *resizeAtOnce(NodeContext &c, ImportValue &x,
                                 const ResizePlan &plan, Sizes sizes) {
  SmallVector<ImportValue *> ins{&x};
  int scalesIn = -1, roiIn = -1;
  if (plan.scales) {
    scalesIn = ins.size();
    ins.push_back(plan.scales);
  }
  if (plan.roi) {
    roiIn = ins.size();
    ins.push_back(plan.roi);
  }
  Sizes scalars;
  for (const AxisPlan &a : plan.axes) {
    scalars.push_back(a.in);
    scalars.push_back(a.out);
  }
  DType type = x.dtype, wide = resizeAccumulator(type);
  bool nearest = plan.mode == Mode::nearest;
  return buildParallel(
      c, "Resize", sizes, ins, scalars, ParallelOut{type, sizes},
      [&](ParallelBody &p) {
        FloatOps f(p.b, p.loc, wide);
        struct Tap {
          Value at, weight;
        };
        SmallVector<SmallVector<Tap>> taps;
        Value outside;
        for (auto [k, a] : llvm::enumerate(plan.axes)) {
          AxisBody body(p, plan, a, p.scalars[2 * k], p.scalars[2 * k + 1],
                        scalesIn, roiIn);
          Origin o = body.origin(p.ivs[a.axis]);
          if (o.outside)
            outside = outside ? p.ori(outside, o.outside) : o.outside;
          if (nearest) {
            taps.push_back({Tap{body.nearestIndex(o.x), Value()}});
            continue;
          }
          FloatOps &d = body.f;
          Value low = d.floor(o.x), r = d.subf(o.x, low);
          Value weights[] = {d.subf(d.k(1), r), r};
          Value first = d.toIndexClamped(low);
          Value positions[] = {first, p.add(first, p.index(1))};
          if (plan.excludeOutside) {
            for (int t : {0, 1}) {
              Value ok = p.andi(p.ge(positions[t], p.index(0)),
                                p.lt(positions[t], body.in));
              weights[t] = p.select(ok, weights[t], d.k(0));
            }
            Value sum = d.addf(weights[0], weights[1]);
            sum = p.select(d.equal(sum, d.k(0)), d.k(1), sum);
            for (Value &w : weights)
              w = d.divf(w, sum);
          }
          SmallVector<Tap> two;
          for (int t : {0, 1})
            two.push_back({body.clamped(positions[t]),
                           d.cast(weights[t], DType::f64, wide)});
          taps.push_back(two);
        }
        SmallVector<Value> at = p.ivs;
        std::function<Value(size_t)> sample = [&](size_t k) -> Value {
          if (k == plan.axes.size()) {
            Value v = p.load(0, at);
            return nearest ? v : f.cast(v, type, wide);
          }
          Value sum;
          for (const Tap &t : taps[k]) {
            at[plan.axes[k].axis] = t.at;
            Value v = sample(k + 1);
            if (nearest)
              return v;
            v = f.mulf(v, t.weight);
            sum = sum ? f.addf(sum, v) : v;
          }
          return sum;
        };
        Value v = sample(0);
        if (!nearest)
          v = finish(f, v, wide, type);
        if (outside)
          v = p.select(outside,
                       p.constant(elementType(p.b.getContext(), type),
                                  plan.extrapolation),
                       v);
        p.store(v, p.ivs);
      })[0];
}

/// One axis after the other; for filters with many taps.
static ImportValue *resizeAxis(NodeContext &c, ImportValue &x,
                               const ResizePlan &plan, const AxisPlan &axis,
                               DType out) {
  SmallVector<ImportValue *> ins{&x};
  int scalesIn = -1, roiIn = -1;
  if (plan.scales) {
    scalesIn = ins.size();
    ins.push_back(plan.scales);
  }
  if (plan.roi) {
    roiIn = ins.size();
    ins.push_back(plan.roi);
  }
  Sizes sizes = x.sizes;
  sizes[axis.axis] = axis.out;
  DType type = x.dtype, wide = resizeAccumulator(type);
  OpFoldResult scalars[] = {axis.in, axis.out};
  return buildParallel(
      c, "Resize", sizes, ins, scalars, ParallelOut{out, sizes},
      [&](ParallelBody &p) {
        FloatOps f(p.b, p.loc, wide);
        AxisBody body(p, plan, axis, p.scalars[0], p.scalars[1], scalesIn,
                      roiIn);
        FloatOps &d = body.f;
        Origin o = body.origin(p.ivs[axis.axis]);
        double reach = plan.mode == Mode::linear ? 1 : 2;
        // Downsampling widens the filter.
        Value squeeze = plan.antialias ? d.minf(o.scale, d.k(1)) : d.k(1);
        Value radius =
            plan.antialias
                ? d.toIndexClamped(d.ceil(d.divf(d.k(reach), squeeze)))
                : p.index(int64_t(reach));
        Value low = d.floor(o.x), first = d.toIndexClamped(low);
        first = p.add(p.sub(first, radius), p.index(1));
        auto sums =
            p.loop(p.mul(radius, p.index(2)), {f.k(0), d.k(0)},
                   [&](Value t, ValueRange state) -> SmallVector<Value> {
                     Value position = p.add(first, t);
                     Value w = body.kernel(
                         d.mulf(d.subf(d.fromInt(position), o.x), squeeze));
                     if (plan.excludeOutside) {
                       Value ok = p.andi(p.ge(position, p.index(0)),
                                         p.lt(position, body.in));
                       w = p.select(ok, w, d.k(0));
                     }
                     SmallVector<Value> at = p.ivs;
                     at[axis.axis] = body.clamped(position);
                     Value v = f.cast(p.load(0, at), type, wide);
                     v = f.mulf(v, d.cast(w, DType::f64, wide));
                     return {f.addf(state[0], v), d.addf(state[1], w)};
                   });
        Value y = sums[0];
        if (plan.antialias || plan.excludeOutside) {
          Value sum = d.cast(sums[1], DType::f64, wide);
          sum = p.select(f.equal(sum, f.k(0)), f.k(1), sum);
          y = f.divf(y, sum);
        }
        if (o.outside)
          y = p.select(o.outside, f.k(plan.extrapolation), y);
        p.store(finish(f, y, wide, out), p.ivs);
      })[0];
}

/// y[.., i, ..] = x[.., i / n, ..], or null when the plan is not that.
static ImportValue *repeatPixels(NodeContext &c, ImportValue &x,
                                 const ResizePlan &plan, Sizes sizes) {
  if (plan.mode != Mode::nearest)
    return nullptr;
  bool floors = plan.coordinates == Coordinates::asymmetric &&
                plan.nearest == Nearest::floor;
  bool halves = (plan.coordinates == Coordinates::halfPixel ||
                 plan.coordinates == Coordinates::pytorchHalfPixel ||
                 plan.coordinates == Coordinates::halfPixelSymmetric) &&
                (plan.nearest == Nearest::preferFloor ||
                 plan.nearest == Nearest::preferCeil);
  if (!floors && !halves)
    return nullptr;
  for (const AxisPlan &a : plan.axes)
    if (!a.scale || *a.scale < 1 || *a.scale != std::floor(*a.scale) ||
        *a.scale > 1048576 ||
        !IndexMath::same(a.out,
                         c.idx.mul(a.in, c.idx.constant(int64_t(*a.scale)))))
      return nullptr;
  Value source = c.tensor(x);
  return fromIndices(c, sizes, x.dtype,
                     [&](OpBuilder &b, Location loc, ValueRange ivs) -> Value {
                       BodyMath m{b, loc};
                       SmallVector<Value> at(ivs);
                       for (const AxisPlan &a : plan.axes)
                         at[a.axis] =
                             m.div(ivs[a.axis], m.index(int64_t(*a.scale)));
                       return tensor::ExtractOp::create(b, loc, source, at);
                     });
}

/// Exactly floor(size * scale).
static OpFoldResult scaledSize(NodeContext &c, OpFoldResult size,
                               double scale) {
  int exponent;
  double mantissa = std::frexp(scale, &exponent);
  int64_t m = int64_t(std::ldexp(mantissa, 24)); // f32 has 24 bits
  exponent -= 24;
  while (exponent < 0 && m % 2 == 0) {
    m /= 2;
    ++exponent;
  }
  if (exponent >= 0)
    return c.idx.mul(size, c.idx.constant(m << std::min(exponent, 38)));
  if (exponent < -62)
    return c.idx.constant(0);
  return c.idx.div(c.idx.mul(size, c.idx.constant(m)),
                   c.idx.constant(int64_t(1) << -exponent));
}

/// Diagnoses a vector that has not one number for each of `n`.
static LogicalResult needsLength(NodeContext &c, ImportValue &v, int64_t n,
                                 StringRef what) {
  if (v.rank() == 1 && !v.count())
    return c.unsupported(what + " of a symbolic length",
                         "give it a fixed size with --shape");
  if (v.rank() != 1 || v.count() != n)
    return c.invalid(what + " has the wrong length");
  return success();
}

static LogicalResult resizeBy(NodeContext &c, ResizePlan plan,
                              ArrayRef<int64_t> axes, ImportValue *scales,
                              std::optional<SmallVector<double>> numbers,
                              ImportValue *wantedSizes, StringRef policy) {
  ImportValue &x = c.in(0);
  IndexMath &m = c.idx;
  int64_t n = axes.size();
  Sizes outs;
  std::optional<double> common; // the one scale of a policy
  ImportValue *device = nullptr;
  if (wantedSizes) {
    if (!isInteger(wantedSizes->dtype))
      return c.invalid("sizes must hold integers");
    if (failed(needsLength(c, *wantedSizes, n, "sizes")))
      return failure();
    Sizes wanted;
    bool known = true;
    for (int64_t i = 0; i < n; ++i) {
      wanted.push_back(readScalar(c, *wantedSizes, i));
      known &= IndexMath::known(wanted[i]) && x.dim(axes[i]);
      if (auto k = IndexMath::known(wanted[i]); k && *k < 0)
        return c.invalid("sizes has a negative number");
    }
    if (policy == "stretch") {
      outs = wanted;
    } else if (known) {
      for (int64_t i = 0; i < n; ++i) {
        double s = double(*IndexMath::known(wanted[i])) /
                   double(std::max<int64_t>(*x.dim(axes[i]), 1));
        if (!common)
          common = s;
        else
          common = policy == "not_larger" ? std::min(*common, s)
                                          : std::max(*common, s);
      }
      for (int64_t i = 0; i < n; ++i)
        outs.push_back(
            m.constant(int64_t(*common * double(*x.dim(axes[i])) + 0.5)));
    } else {
      // The sizes and the scale, computed on the device.
      Sizes scalars = wanted;
      for (int64_t a : axes)
        scalars.push_back(x.sizes[a]);
      Sizes vector{m.constant(n)};
      ParallelOut results[] = {{DType::i64, vector}, {DType::f64, vector}};
      auto r = buildParallel(
          c, "ResizeSizes", {}, {}, scalars, results, [&](ParallelBody &p) {
            FloatOps f(p.b, p.loc, DType::f64);
            Value best;
            for (int64_t i = 0; i < n; ++i) {
              Value d = p.max(p.scalars[n + i], p.index(1));
              Value s = f.divf(f.fromInt(p.scalars[i]), f.fromInt(d));
              best = !best                    ? s
                     : policy == "not_larger" ? f.minf(best, s)
                                              : f.maxf(best, s);
            }
            for (int64_t i = 0; i < n; ++i) {
              Value y =
                  f.addf(f.mulf(best, f.fromInt(p.scalars[n + i])), f.k(0.5));
              Value k = f.cast(y, DType::f64, DType::i64);
              p.store(k, p.index(i), 0);
              p.store(best, p.index(i), 1);
            }
          });
      for (int64_t i = 0; i < n; ++i)
        outs.push_back(readScalar(c, *r[0], i));
      device = r[1];
    }
  } else if (numbers) {
    if (int64_t(numbers->size()) != n)
      return c.invalid("scales must have a number for each axis");
    for (int64_t i = 0; i < n; ++i) {
      double s = (*numbers)[i];
      if (!(s > 0) || s > 1e6)
        return c.invalid("scales must be positive and at most 1e6");
      outs.push_back(scaledSize(c, x.sizes[axes[i]], s));
    }
  } else {
    if (scales->dtype != DType::f32)
      return c.invalid("scales must hold f32");
    if (failed(needsLength(c, *scales, n, "scales")))
      return failure();
    Sizes dims;
    for (int64_t a : axes)
      dims.push_back(x.sizes[a]);
    DType type = scales->dtype;
    auto r = buildParallel(
        c, "ResizeSizes", {}, scales, dims,
        ParallelOut{DType::i64, {m.constant(n)}}, [&](ParallelBody &p) {
          FloatOps f(p.b, p.loc, DType::f64);
          for (int64_t i = 0; i < n; ++i) {
            Value s = f.cast(p.load(0, p.index(i)), type, DType::f64);
            Value y = f.floor(f.mulf(s, f.fromInt(p.scalars[i])));
            p.store(f.cast(y, DType::f64, DType::i64), p.index(i));
          }
        });
    for (int64_t i = 0; i < n; ++i)
      outs.push_back(readScalar(c, *r[0], i));
    device = scales;
  }
  Sizes sizes = x.sizes;
  for (int64_t i = 0; i < n; ++i) {
    AxisPlan a;
    a.axis = axes[i];
    a.in = x.sizes[a.axis];
    a.out = outs[i];
    if (!IndexMath::known(a.out)) {
      OpFoldResult fine = m.select(
          m.cmp(P::sge, a.out, m.constant(0)),
          m.cmp(P::slt, a.out, m.constant(int64_t(1) << 31)), m.constant(0));
      if (failed(c.check(fine, "a size of the result is out of range")))
        return failure();
    } else if (*IndexMath::known(a.out) >= (int64_t(1) << 31)) {
      return c.invalid("a size of the result is out of range");
    }
    // Nothing to read from.
    OpFoldResult fine = m.select(m.cmp(P::sgt, a.in, m.constant(0)),
                                 m.constant(1), m.eq(a.out, m.constant(0)));
    if (failed(c.check(fine, "resizes an empty dim")))
      return failure();
    if (common)
      a.scale = *common;
    else if (numbers)
      a.scale = (*numbers)[i];
    else if (device)
      a.at = i;
    else if (x.dim(a.axis) && IndexMath::known(a.out) && *x.dim(a.axis) > 0)
      a.scale = double(*IndexMath::known(a.out)) / double(*x.dim(a.axis));
    a.roi = plan.roi ? i : -1;
    sizes[a.axis] = a.out;
    bool crops = plan.coordinates == Coordinates::cropAndResize && plan.roi;
    bool same =
        IndexMath::same(a.in, a.out) && (a.scale ? *a.scale == 1 : a.at < 0);
    if (!same || crops)
      plan.axes.push_back(a);
  }
  plan.roiEnds = n;
  bool usesScales =
      llvm::any_of(plan.axes, [](const AxisPlan &a) { return a.at >= 0; });
  plan.scales = usesScales ? device : nullptr;
  if (plan.axes.empty())
    return c.result(&x);
  if (ImportValue *y = repeatPixels(c, x, plan, sizes))
    return c.result(y);
  if (plan.mode == Mode::nearest ||
      (plan.mode == Mode::linear && !plan.antialias && plan.axes.size() <= 3))
    return c.result(resizeAtOnce(c, x, plan, sizes));
  ImportValue *y = &x;
  DType wide = resizeAccumulator(x.dtype);
  for (auto [i, a] : llvm::enumerate(plan.axes))
    y = resizeAxis(c, *y, plan, a, i + 1 == plan.axes.size() ? x.dtype : wide);
  return c.result(y);
}

/// The numbers of a constant input of floats.
static std::optional<SmallVector<double>> knownFloats(NodeContext &c, int i) {
  DenseElementsAttr data = c.constant(i);
  if (!data || !isa<FloatType>(data.getElementType()))
    return std::nullopt;
  auto list = c.constFloats(i);
  if (failed(list))
    return std::nullopt;
  return *list;
}

static LogicalResult resize(NodeContext &c) {
  ImportValue &x = c.in(0);
  int64_t rank = x.rank();
  if (rank == 0 || x.dtype == DType::i1)
    return c.invalid("input must be a tensor of numbers");
  ResizePlan plan;
  std::string mode = c.stringAttr("mode", "nearest");
  if (mode == "nearest")
    plan.mode = Mode::nearest;
  else if (mode == "linear" || mode == "bilinear")
    plan.mode = Mode::linear;
  else if (mode == "cubic")
    plan.mode = Mode::cubic;
  else
    return c.invalid("mode is '" + mode + "'");
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  auto hasElements = [&](int i) { return c.has(i) && c.in(i).count() != 0; };

  // Upsample and the first Resize: asymmetric, rounding down.
  if (c.op() == "Upsample" || c.opset < 11) {
    if (c.op() == "Upsample" && c.opset < 9) {
      SmallVector<double> numbers(rank, 1);
      if (c.opset < 7) {
        if (rank != 4)
          return c.invalid("input must have rank 4");
        numbers[2] = c.floatAttr("height_scale", 0);
        numbers[3] = c.floatAttr("width_scale", 0);
      } else {
        auto attr = c.floatsAttr("scales");
        if (!attr)
          return c.invalid("has no scales");
        numbers = *attr;
      }
      return resizeBy(c, plan, axes, nullptr, numbers, nullptr, "stretch");
    }
    if (!c.has(1))
      return c.invalid("has no scales");
    return resizeBy(c, plan, axes, &c.in(1), knownFloats(c, 1), nullptr,
                    "stretch");
  }

  std::string name =
      c.stringAttr("coordinate_transformation_mode", "half_pixel");
  if (name == "half_pixel")
    plan.coordinates = Coordinates::halfPixel;
  else if (name == "pytorch_half_pixel")
    plan.coordinates = Coordinates::pytorchHalfPixel;
  else if (name == "half_pixel_symmetric")
    plan.coordinates = Coordinates::halfPixelSymmetric;
  else if (name == "align_corners")
    plan.coordinates = Coordinates::alignCorners;
  else if (name == "asymmetric")
    plan.coordinates = Coordinates::asymmetric;
  else if (name == "tf_crop_and_resize")
    plan.coordinates = Coordinates::cropAndResize;
  else
    return c.unsupported("coordinate_transformation_mode '" + name + "'");
  std::string nearest = c.stringAttr("nearest_mode", "round_prefer_floor");
  if (nearest == "round_prefer_floor")
    plan.nearest = Nearest::preferFloor;
  else if (nearest == "round_prefer_ceil")
    plan.nearest = Nearest::preferCeil;
  else if (nearest == "floor")
    plan.nearest = Nearest::floor;
  else if (nearest == "ceil")
    plan.nearest = Nearest::ceil;
  else
    return c.invalid("nearest_mode is '" + nearest + "'");
  plan.cubicA = c.floatAttr("cubic_coeff_a", -0.75);
  plan.extrapolation = c.floatAttr("extrapolation_value", 0);
  plan.excludeOutside = c.intAttr("exclude_outside", 0);
  plan.antialias = c.intAttr("antialias", 0);
  if (plan.antialias && plan.mode == Mode::nearest)
    return c.invalid("antialias needs linear or cubic mode");
  std::string policy = c.stringAttr("keep_aspect_ratio_policy", "stretch");
  if (policy != "stretch" && policy != "not_larger" && policy != "not_smaller")
    return c.invalid("keep_aspect_ratio_policy is '" + policy + "'");
  if (auto given = c.intsAttr("axes")) {
    if (failed(c.axes(*given, rank)))
      return failure();
    axes = *given;
    for (int64_t &a : axes)
      a = a < 0 ? a + rank : a;
  }
  if (plan.coordinates == Coordinates::cropAndResize) {
    if (!hasElements(1) || failed(c.requireFloat(1)))
      return c.failed ? failure() : c.invalid("has no roi");
    if (failed(needsLength(c, c.in(1), 2 * int64_t(axes.size()), "roi")))
      return failure();
    plan.roi = &c.in(1);
  }
  if (hasElements(2) == hasElements(3))
    return c.invalid("needs either scales or sizes");
  if (hasElements(3))
    return resizeBy(c, plan, axes, nullptr, std::nullopt, &c.in(3), policy);
  return resizeBy(c, plan, axes, &c.in(2), knownFloats(c, 2), nullptr,
                  "stretch");
}

namespace isthmus {
void registerResizeOps(Registry &r) {
  r.add("Resize", 1, resize, 10);
  r.add("Upsample", 1, resize, 1, 9);
}
} // namespace isthmus
