//===- Ops/Random.cpp - random numbers -------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Draw k of a node is output k of the SplitMix64 generator (Steele, Lea and
// Flood, 2014): a hash of seed + (k + 1) * 0x9e3779b97f4a7c15, so that every
// element is drawn for itself. Without a seed the node's name is the seed.
// Every call of a program gives the same numbers.
//
//===----------------------------------------------------------------------===//
#include "lib/Import/BodyFloats.h"

#include "llvm/Support/xxhash.h"

using namespace mlir;
using namespace isthmus;

static int64_t seedOf(NodeContext &c) {
  if (!c.hasAttr("seed"))
    return int64_t(llvm::xxh3_64bits(c.name));
  float seed = c.floatAttr("seed", 0);
  uint32_t bits;
  static_assert(sizeof(bits) == sizeof(seed));
  memcpy(&bits, &seed, sizeof(bits));
  return bits;
}

/// A number in [0, 1), in f32; draw is an i64.
static Value uniform(BodyFloats &f, int64_t seed, Value draw) {
  OpBuilder &b = f.b;
  Location loc = f.loc;
  Type i64 = b.getI64Type();
  auto k = [&](uint64_t v) { return f.integer(i64, int64_t(v)); };
  auto mix = [&](Value z, int shift, uint64_t by) -> Value {
    Value high = arith::ShRUIOp::create(b, loc, z, k(shift));
    z = arith::XOrIOp::create(b, loc, z, high);
    return by ? f.mul(z, k(by)) : z;
  };
  Value z = f.add(k(seed), f.mul(f.add(draw, k(1)), k(0x9e3779b97f4a7c15)));
  z = mix(z, 30, 0xbf58476d1ce4e5b9);
  z = mix(z, 27, 0x94d049bb133111eb);
  z = mix(z, 31, 0);
  Value top = arith::ShRUIOp::create(b, loc, z, k(40));
  return f.mulf(f.fromInt(top), f.k(1.0 / (1 << 24)));
}

/// Calls body with the number of each element, an i64, in row-major order.
static ImportValue *draws(NodeContext &c, Sizes sizes, DType type,
                          ArrayRef<ImportValue *> ins,
                          function_ref<Value(ParallelBody &, Value)> body) {
  return buildParallel(
      c, c.op(), sizes, ins, sizes, ParallelOut{type, sizes},
      [&](ParallelBody &p) {
        Value k = p.index(0);
        for (auto [iv, size] : llvm::zip_equal(p.ivs, p.scalars))
          k = p.add(p.mul(k, size), iv);
        k = arith::IndexCastOp::create(p.b, p.loc, p.b.getI64Type(), k);
        p.store(body(p, k), p.ivs);
      })[0];
}

static LogicalResult random(NodeContext &c, bool normal, bool like) {
  Sizes sizes;
  DType type = DType::f32;
  if (like) {
    sizes = c.in(0).sizes;
    type = c.in(0).dtype;
  } else {
    auto shape = c.intsAttr("shape");
    if (!shape)
      return c.invalid("has no shape");
    for (int64_t d : *shape) {
      if (d < 0)
        return c.invalid("shape has a negative dim");
      sizes.push_back(c.idx.constant(d));
    }
  }
  type = DType(c.intAttr("dtype", int64_t(type)));
  if (!isFloat(type))
    return c.error("IST-I0103", "draws numbers of type " + dtypeName(type), "");
  double low = c.floatAttr("low", 0), high = c.floatAttr("high", 1),
         mean = c.floatAttr("mean", 0), scale = c.floatAttr("scale", 1);
  int64_t seed = seedOf(c);
  return c.result(draws(c, sizes, type, {}, [&](ParallelBody &p, Value k) {
    BodyFloats f(p.b, p.loc, DType::f32);
    Value v;
    if (normal) {
      // Box and Muller: two uniform numbers, the first not 0.
      Value two = p.integer(k.getType(), 2), one = p.integer(k.getType(), 1);
      Value first = p.mul(k, two);
      Value u = f.subf(f.k(1), uniform(f, seed, first));
      Value w = uniform(f, seed, p.add(first, one));
      Value radius = f.sqrt(f.mulf(f.k(-2), f.log(u)));
      v = f.mulf(radius, f.cos(f.mulf(f.k(6.283185307179586), w)));
      v = f.addf(f.mulf(v, f.k(scale)), f.k(mean));
    } else {
      v = f.addf(f.mulf(uniform(f, seed, k), f.k(high - low)), f.k(low));
    }
    return p.cast(v, DType::f32, type);
  }));
}

static LogicalResult bernoulli(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (failed(c.requireFloat(0)))
    return failure();
  DType type = DType(c.intAttr("dtype", int64_t(x.dtype)));
  if (!elementType(c.b.getContext(), type))
    return c.error("IST-I0103", "draws numbers of type " + dtypeName(type), "");
  int64_t seed = seedOf(c);
  return c.result(draws(c, x.sizes, type, &x, [&](ParallelBody &p, Value k) {
    BodyFloats f(p.b, p.loc, DType::f32);
    Value chance = p.cast(p.load(0, p.ivs), x.dtype, DType::f32);
    return p.cast(f.less(uniform(f, seed, k), chance), DType::i1, type);
  }));
}

static LogicalResult multinomial(NodeContext &c) {
  ImportValue &x = c.in(0);
  if (failed(c.requireFloat(0)))
    return failure();
  DType type = DType(c.intAttr("dtype", int64_t(DType::i32)));
  int64_t samples = c.intAttr("sample_size", 1);
  if (x.rank() != 2 || samples < 1 || samples > 2147483647 ||
      (type != DType::i32 && type != DType::i64))
    return c.invalid("needs a matrix, a positive sample_size and i32 or i64");
  int64_t seed = seedOf(c);
  Sizes sizes{x.sizes[0], c.idx.constant(samples)};
  ImportValue *wide = castTo(c, x, DType::f32);
  OpFoldResult classes = x.sizes[1];
  return c.result(buildParallel(
      c, "Multinomial", sizes, wide, classes, ParallelOut{type, sizes},
      [&](ParallelBody &p) {
        BodyFloats f(p.b, p.loc, DType::f32);
        Value n = p.scalars[0], row = p.ivs[0];
        Value k = p.add(p.mul(row, p.index(samples)), p.ivs[1]);
        k = arith::IndexCastOp::create(p.b, p.loc, p.b.getI64Type(), k);
        // Log-probabilities: weights are exp(x - max).
        Value top = p.loop(n, f.k(-3.4e38),
                           [&](Value i, ValueRange m) -> SmallVector<Value> {
                             return {f.maxf(m[0], p.load(0, {row, i}))};
                           })[0];
        auto weight = [&](Value i) {
          return f.exp(f.subf(p.load(0, {row, i}), top));
        };
        Value total =
            p.loop(n, f.k(0), [&](Value i, ValueRange s) -> SmallVector<Value> {
              return {f.addf(s[0], weight(i))};
            })[0];
        Value want = f.mulf(uniform(f, seed, k), total);
        // How many classes end at or below the wanted sum.
        Value zero = p.index(0);
        Value found = p.loop(
            n, {f.k(0), zero},
            [&](Value i, ValueRange s) -> SmallVector<Value> {
              Value end = f.addf(s[0], weight(i));
              Value below = f.cmpf(arith::CmpFPredicate::OLE, end, want);
              return {end, p.select(below, p.add(s[1], p.index(1)), s[1])};
            })[1];
        found = p.max(p.min(found, p.sub(n, p.index(1))), zero);
        Type t = elementType(p.b.getContext(), type);
        p.store(arith::IndexCastOp::create(p.b, p.loc, t, found), p.ivs);
      })[0]);
}

namespace isthmus {
void registerRandomOps(Registry &r) {
  r.add("RandomUniform", 0,
        [](NodeContext &c) { return random(c, false, false); });
  r.add("RandomNormal", 0,
        [](NodeContext &c) { return random(c, true, false); });
  r.add("RandomUniformLike", 1,
        [](NodeContext &c) { return random(c, false, true); });
  r.add("RandomNormalLike", 1,
        [](NodeContext &c) { return random(c, true, true); });
  r.add("Bernoulli", 1, bernoulli, 15);
  r.add("Multinomial", 1, multinomial, 7);
}
} // namespace isthmus
