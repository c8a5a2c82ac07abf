//===- Ops/RotaryEmbedding.cpp - pairs turned by their position ----------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Heads.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace isthmus;

using P = arith::CmpIPredicate;

/// Rotates pairs of x's last dim by the angle of the position.
static LogicalResult rotate(NodeContext &c, ImportValue &x, ImportValue &cosine,
                            ImportValue &sine, ImportValue *positions,
                            bool offsetOnly) {
  IndexMath &m = c.idx;
  if (!isFloat(x.dtype) || cosine.dtype != x.dtype || sine.dtype != x.dtype)
    return c.invalid("inputs must be float tensors of one type");
  int64_t heads = c.intAttr("num_heads", 0),
          given = c.intAttr("rotary_embedding_dim", 0);
  bool interleaved = c.intAttr("interleaved", 0);
  if (cosine.rank() < 1 || sine.rank() != cosine.rank())
    return c.invalid("the caches must have one shape");
  OpFoldResult half = cosine.sizes.back();
  // onnxruntime tells the number of heads by the caches.
  if (x.rank() == 3 && heads == 0 && given == 0 && offsetOnly)
    if (auto h = IndexMath::known(half), all = x.dim(2); h && all && *h > 0)
      heads = *all / (2 * *h);
  auto split = splitHeads(c, x, heads);
  if (failed(split))
    return failure();
  OpFoldResult rotated = given ? m.constant(given) : split->dim();
  if (given < 0 || given % 2)
    return c.invalid("rotary_embedding_dim must be even");
  auto check = [&](OpFoldResult l, OpFoldResult r) {
    return c.check(m.eq(l, r), "the caches do not fit to the input");
  };
  if (failed(check(m.mul(half, m.constant(2)), rotated)) ||
      failed(c.check(m.cmp(P::sle, rotated, split->dim()),
                     "rotary_embedding_dim is larger than the head size")) ||
      failed(check(sine.sizes.back(), half)))
    return failure();
  int64_t rank = positions ? 2 : 3;
  if (cosine.rank() != rank)
    return c.invalid("the caches must have rank " + Twine(rank));
  bool isOffset = positions && offsetOnly && positions->rank() == 1;
  if (positions) {
    if (positions->dtype != DType::i64)
      return c.invalid("position_ids must be i64");
    if (failed(check(sine.sizes[0], cosine.sizes[0])))
      return failure();
    if (isOffset) {
      if (failed(check(positions->sizes[0], m.constant(1))))
        return failure();
    } else if (positions->rank() != 2 ||
               failed(check(positions->sizes[0], split->batch())) ||
               failed(check(positions->sizes[1], split->sequence()))) {
      return c.failed ? failure() : c.invalid("position_ids must have rank 2");
    }
    if (failed(c.check(m.cmp(P::sgt, cosine.sizes[0], m.constant(0)),
                       "the caches are empty")))
      return failure();
  } else {
    for (ImportValue *cache : {&cosine, &sine})
      if (failed(check(cache->sizes[0], split->batch())) ||
          failed(check(cache->sizes[1], split->sequence())))
        return failure();
  }
  DType type = x.dtype, wide = accumulatorType(type);
  Sizes sizes = split->value->sizes;
  SmallVector<ImportValue *> ins{split->value, &cosine, &sine};
  if (positions)
    ins.push_back(positions);
  OpFoldResult scalars[] = {half, cosine.sizes[0]};
  bool whole = IndexMath::same(rotated, split->dim());
  std::string message =
      c.name + " (RotaryEmbedding): a position is out of range";
  auto y = buildParallel(
      c, "RotaryEmbedding", sizes, ins, scalars, ParallelOut{type, sizes},
      [&](ParallelBody &p) {
        FloatOps f(p.b, p.loc, wide);
        Value zero = p.index(0), one = p.index(1), h = p.scalars[0];
        Value batch = p.ivs[0], at = p.ivs[split->sequenceFirst ? 1 : 2],
              d = p.ivs[3];
        Value two = p.index(2), limit = p.mul(h, two);
        // The pair's number and the place of its other element.
        Value e = whole ? d : p.min(d, p.max(p.sub(limit, one), zero));
        Value first, pair, other;
        if (interleaved) {
          pair = p.div(e, two);
          first = p.eq(p.rem(e, two), zero);
          other = p.select(first, p.add(e, one), p.sub(e, one));
        } else {
          first = p.lt(e, h);
          pair = p.select(first, e, p.sub(e, h));
          other = p.select(first, p.add(e, h), p.sub(e, h));
        }
        SmallVector<Value> cache;
        if (positions) {
          Value k;
          if (isOffset)
            k = p.add(p.toIndex(p.load(3, zero)), at);
          else
            k = p.toIndex(p.load(3, {batch, at}));
          Value n = p.scalars[1];
          p.failIf(p.ori(p.lt(k, zero), p.ge(k, n)), message);
          cache = {p.max(p.min(k, p.sub(n, one)), zero), pair};
        } else {
          cache = {batch, at, pair};
        }
        SmallVector<Value> partner = p.ivs;
        partner[3] = other;
        auto read = [&](int in, ArrayRef<Value> i) {
          return f.cast(p.load(in, i), type, wide);
        };
        Value x0 = read(0, p.ivs);
        Value s = read(2, cache);
        s = f.select(first, f.neg(s), s);
        Value r =
            f.addf(f.mulf(read(1, cache), x0), f.mulf(s, read(0, partner)));
        if (!whole)
          r = f.select(p.lt(d, limit), r, x0);
        p.store(f.cast(r, wide, type), p.ivs);
      })[0];
  return c.result(reshape(c, *y, x.sizes));
}

static LogicalResult rotaryEmbedding(NodeContext &c) {
  return rotate(c, c.in(0), c.in(1), c.in(2), c.has(3) ? &c.in(3) : nullptr,
                false);
}

/// com.microsoft: input, position_ids, cos_cache, sin_cache.
static LogicalResult rotaryEmbeddingMs(NodeContext &c) {
  if (c.floatAttr("scale", 1) != 1)
    return c.unsupported("a scale");
  return rotate(c, c.in(0), c.in(2), c.in(3), &c.in(1), true);
}

namespace isthmus {
void registerRotaryEmbeddingOps(Registry &r) {
  r.add("RotaryEmbedding", 3, rotaryEmbedding, 23);
  r.add("RotaryEmbedding", 4, rotaryEmbeddingMs, 1,
        std::numeric_limits<int64_t>::max(), "com.microsoft");
}
} // namespace isthmus
