//===- Ops/Attention.cpp - Attention and its relatives -----------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Heads.h"
#include "lib/Import/OpHelpers.h"
#include "lib/Import/Subgraph.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <cmath>

using namespace mlir;
using namespace isthmus;

using P = arith::CmpIPredicate;

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

namespace {
struct AttentionPlan {
  Heads q, k, v;
  double scale = 0; // 0: 1 / sqrt(dim)
  double softcap = 0;
  bool causal = false;
  OpFoldResult past;            // positions of k before the first query
  ImportValue *mask = nullptr;  // bool or float, broadcasts
  ImportValue *valid = nullptr; // how many keys of each batch count
  double masked = -INFINITY;    // what is added for a bool mask that is false
  DType softmaxType = DType::undefined;
  bool flatOutput = false; // [batch, sequence, heads * dim]
  int outputMode = -1;     // which scores are wanted too
  // Graphs that change scores and probabilities.
  const onnx::GraphProto *scoreMod = nullptr, *probMod = nullptr;
};
} // namespace

/// [batch, heads, past + sequence, dim]
static FailureOr<ImportValue *> withPast(NodeContext &c, ImportValue &past,
                                         const Heads &now) {
  if (past.rank() != 4 || past.dtype != now.value->dtype)
    return failure(
        failed(c.invalid("the past must have rank 4 and the same type")));
  if (failed(c.check(c.idx.eq(past.sizes[0], now.batch()),
                     "the past has another batch size")) ||
      failed(c.check(c.idx.eq(past.sizes[1], now.heads()),
                     "the past has another number of heads")) ||
      failed(c.check(c.idx.eq(past.sizes[3], now.dim()),
                     "the past has another head size")))
    return failure();
  Sizes sizes{now.batch(), now.heads(),
              c.idx.add(past.sizes[2], now.sequence()), now.dim()};
  // What either of them knows.
  for (int i : {0, 1, 3})
    if (IndexMath::known(past.sizes[i]))
      sizes[i] = past.sizes[i];
  if (IndexMath::known(past.sizes[2]) == 0 && !now.sequenceFirst)
    return now.value;
  ImportValue *ins[] = {&past, now.value};
  return buildParallel(
      c, "Concat", sizes, ins, past.sizes[2], ParallelOut{past.dtype, sizes},
      [&](ParallelBody &p) {
        Value at = p.ivs[2], n = p.scalars[0];
        p.store(p.ifElse(
                    p.lt(at, n), [&] { return p.load(0, p.ivs); },
                    [&] {
                      return p.load(1,
                                    now.order<Value>(p.ivs[0], p.ivs[1],
                                                     p.sub(at, n), p.ivs[3]));
                    }),
                p.ivs);
      })[0];
}

static ImportValue *headsFirst(NodeContext &c, const Heads &x) {
  return x.sequenceFirst ? transpose(c, *x.value, {0, 2, 1, 3}) : x.value;
}

/// What a graph makes of a tensor; of its type and shape.
static FailureOr<ImportValue *> modified(NodeContext &c,
                                         const onnx::GraphProto *graph,
                                         ImportValue *x, StringRef name) {
  if (!graph)
    return x;
  auto results = importSubgraph(c, *graph, x, name);
  if (failed(results))
    return failure();
  if (results->size() != 1 || (*results)[0]->dtype != x->dtype ||
      (*results)[0]->rank() != x->rank())
    return failure(failed(
        c.invalid(name + " must give one tensor like the one it takes")));
  for (auto [l, r] : llvm::zip(x->sizes, (*results)[0]->sizes))
    if (failed(c.check(c.idx.eq(l, r), name + " changes the shape")))
      return failure();
  return (*results)[0];
}

/// `mask`, which broadcasts to [batch, heads, rows, columns], for heads that
/// are two dims. False: how its heads broadcast is not known yet.
static bool splitMaskHeads(NodeContext &c, ImportValue *&mask, int64_t kvHeads,
                           int64_t group) {
  if (mask->rank() < 3 || mask->rank() > 4)
    return true; // it has none
  int64_t at = mask->rank() - 3;
  auto heads = IndexMath::known(mask->sizes[at]);
  if (!heads || (*heads != 1 && *heads != kvHeads * group))
    return false;
  Sizes sizes = mask->sizes;
  sizes[at] = c.idx.constant(*heads == 1 ? 1 : kvHeads);
  sizes.insert(sizes.begin() + at + 1, c.idx.constant(*heads == 1 ? 1 : group));
  mask = reshape(c, *mask, sizes);
  return true;
}

/// softmax(q k^T scale + masks) v. The result, and the scores when they are
/// wanted.
static FailureOr<std::pair<ImportValue *, ImportValue *>>
attend(NodeContext &c, AttentionPlan plan) {
  IndexMath &m = c.idx;
  DType type = plan.q.value->dtype, wide = accumulatorType(type);
  auto same = [&](OpFoldResult l, OpFoldResult r, StringRef what) {
    return c.check(m.eq(l, r), "q, k and v differ in their " + what);
  };
  auto kvHeads = IndexMath::known(plan.k.heads()),
       qHeads = IndexMath::known(plan.q.heads());
  if (!kvHeads || !qHeads || *kvHeads < 1 || *qHeads < 1)
    return failure(failed(c.unsupported("a symbolic number of heads",
                                        "give it a fixed size with --shape")));
  if (*qHeads % *kvHeads)
    return failure(
        failed(c.invalid("the heads of q are not a multiple of those of k")));
  if (failed(same(plan.q.batch(), plan.k.batch(), "batch size")) ||
      failed(same(plan.q.batch(), plan.v.batch(), "batch size")) ||
      failed(same(plan.q.dim(), plan.k.dim(), "head size")) ||
      failed(same(plan.v.heads(), plan.k.heads(), "heads")) ||
      failed(same(plan.v.sequence(), plan.k.sequence(), "sequence length")))
    return failure();
  int64_t group = *qHeads / *kvHeads;
  OpFoldResult batch = plan.q.batch(), heads = plan.q.heads(),
               rows = plan.q.sequence(), columns = plan.k.sequence(),
               dim = plan.q.dim(), dimV = plan.v.dim();
  FloatSize dimSize(c, dim);

  MLIRContext *context = c.b.getContext();
  auto d = [&](unsigned i) { return getAffineDimExpr(i, context); };
  bool grouped = group > 1;
  // With groups, the heads of q are two dims: of k, and in the group.
  Heads q = plan.q;
  ImportValue *qv = q.value;
  if (grouped) {
    Sizes sizes = qv->sizes;
    int64_t at = q.sequenceFirst ? 2 : 1;
    sizes[at] = m.constant(*kvHeads);
    sizes.insert(sizes.begin() + at + 1, m.constant(group));
    qv = reshape(c, *qv, sizes);
  }
  auto queryAt = [&](AffineExpr b, AffineExpr h, AffineExpr g, AffineExpr i,
                     AffineExpr e) {
    SmallVector<AffineExpr> out{b};
    if (q.sequenceFirst)
      out.push_back(i);
    out.push_back(h);
    if (grouped)
      out.push_back(g);
    if (!q.sequenceFirst)
      out.push_back(i);
    out.push_back(e);
    return out;
  };
  // Loops: batch, head, (in group), row, column, dim.
  unsigned s = grouped ? 1 : 0;
  Sizes loops{batch, m.constant(*kvHeads)};
  if (grouped)
    loops.push_back(m.constant(group));
  Sizes scoreLoops = loops;
  scoreLoops.append({rows, columns, dim});
  ImportValue *scores =
      contract(c, Access{qv, queryAt(d(0), d(1), d(2), d(2 + s), d(4 + s))},
               Access{plan.k.value,
                      plan.k.order<AffineExpr>(d(0), d(1), d(3 + s), d(4 + s))},
               scoreLoops, 4 + s, type == wide ? type : wide);
  // Heads stay two dims unless somebody else is to see the scores.
  bool apart =
      grouped && plan.outputMode < 0 && !plan.scoreMod && !plan.probMod;
  ImportValue *mask = plan.mask;
  if (mask && apart)
    apart = splitMaskHeads(c, mask, *kvHeads, group);
  Sizes shape{batch, heads, rows, columns};
  if (apart)
    shape = {batch, m.constant(*kvHeads), m.constant(group), rows, columns};
  else
    scores = reshape(c, *scores, shape);
  unsigned row = shape.size() - 2, column = row + 1;

  auto scaled = [&](FloatOps &f, Value v) {
    double scale = plan.scale;
    if (auto n = IndexMath::known(dim); n && scale == 0)
      scale = 1 / std::sqrt(double(std::max<int64_t>(*n, 1)));
    if (scale != 0)
      return f.mulf(v, f.k(scale));
    return f.divf(v, f.sqrt(dimSize.in(f)));
  };
  auto capped = [&](FloatOps &f, Value v) {
    if (plan.softcap > 0)
      v = f.mulf(f.tanh(f.divf(v, f.k(plan.softcap))), f.k(plan.softcap));
    return v;
  };
  ImportValue *shown = nullptr;
  if (plan.outputMode == 0 || plan.outputMode == 1)
    shown = elementwiseTo(c, scores, shape, type,
                          [&](OpBuilder &b, Location loc, ValueRange a) {
                            FloatOps f(b, loc, wide);
                            Value v = scaled(f, a[0]);
                            if (plan.outputMode == 1)
                              v = capped(f, v);
                            return f.cast(v, wide, type);
                          });

  // Scale, softcap and masks in one pass.
  SmallVector<Access> ins{Access{scores, dimExprs(c, shape.size())}};
  ImportValue *shortMask = nullptr; // read where it reaches only
  SmallVector<Value> shortSizes;
  int maskAt = -1, validAt = -1;
  if (mask) {
    if (plan.mask->rank() < 1 || plan.mask->rank() > 4 ||
        (mask->dtype != DType::i1 && !isFloat(mask->dtype)))
      return failure(failed(
          c.invalid("the mask must be bool or float, of rank 4 at most")));
    OpFoldResult last = mask->sizes.back();
    bool full = IndexMath::same(last, columns) || IndexMath::known(last) == 1;
    // A mask of one column broadcasts, unless it is short.
    if (!full) {
      if (failed(c.check(m.cmp(P::sle, last, columns),
                         "the mask is longer than the keys")))
        return failure();
      shortMask = mask;
    }
    Sizes want = shape;
    if (!full)
      want.back() = last;
    auto access = broadcastAccess(c, *mask, want);
    if (failed(access))
      return failure();
    if (full) {
      maskAt = ins.size();
      ins.push_back(*access);
    }
  }
  if (plan.valid) {
    validAt = ins.size();
    ins.push_back(Access{plan.valid, {d(0)}});
  }
  Value maskTensor, maskLast;
  if (shortMask) {
    maskTensor = c.tensor(*shortMask);
    maskLast = m.value(shortMask->sizes.back());
  }
  Value past = plan.causal ? m.value(plan.past) : Value();
  DType softmaxType =
      plan.softmaxType == DType::undefined ? wide : plan.softmaxType;
  bool roundFirst = plan.outputMode == 2;
  DType biasedType = roundFirst ? wide : softmaxType;
  ImportValue *biased =
      generic(c, ins, shape, biasedType,
              [&](OpBuilder &b, Location loc, ValueRange a) -> Value {
                FloatOps f(b, loc, wide);
                Value v = capped(f, scaled(f, a[0])), masked = f.k(0);
                if (std::isinf(plan.masked))
                  masked = f.inf(true);
                else
                  masked = f.k(plan.masked);
                auto index = [&](int64_t i) -> Value {
                  return linalg::IndexOp::create(b, loc, i);
                };
                auto apply = [&](Value e) {
                  if (mask->dtype == DType::i1)
                    return f.select(e, v, f.addf(v, masked));
                  return f.addf(v, f.cast(e, mask->dtype, wide));
                };
                if (maskAt >= 0)
                  v = apply(a[maskAt]);
                if (shortMask) {
                  Value key = index(column), inside = f.lt(key, maskLast);
                  SmallVector<Value> at;
                  int64_t rank = shortMask->rank();
                  for (int64_t i = 0; i < rank; ++i) {
                    if (i + 1 == rank)
                      at.push_back(f.max(
                          f.min(key, f.sub(maskLast, f.index(1))), f.index(0)));
                    else
                      at.push_back(shortMask->dim(i) == 1
                                       ? f.index(0)
                                       : index(shape.size() - rank + i));
                  }
                  Value e = tensor::ExtractOp::create(b, loc, maskTensor, at);
                  v = f.select(inside, apply(e), f.inf(true));
                }
                if (plan.causal) {
                  Value ahead = f.lt(f.add(index(row), past), index(column));
                  v = f.select(ahead, f.inf(true), v);
                }
                if (validAt >= 0) {
                  Value beyond = f.ge(index(column), f.toIndex(a[validAt]));
                  v = f.select(beyond, f.inf(true), v);
                }
                return f.cast(v, wide, biasedType);
              });
  if (plan.outputMode == 2)
    shown = castTo(c, *biased, type);
  if (biased->dtype != softmaxType)
    biased = castTo(c, *biased, softmaxType);
  auto changed = modified(c, plan.scoreMod, biased, "score_mod");
  if (failed(changed))
    return failure();
  biased = *changed;
  // The probabilities are rounded to the inputs' type, as the weights of v.
  ImportValue *weights =
      softmaxOf(c, *biased, column, /*isLog=*/false,
                plan.softmaxType == DType::undefined ? type : softmaxType);
  changed = modified(c, plan.probMod, weights, "prob_mod");
  if (failed(changed))
    return failure();
  weights = *changed;
  if (plan.outputMode == 3)
    shown = castTo(c, *weights, type);
  weights = castTo(c, *weights, type);

  // Loops: the result's dims, then the column.
  if (grouped && !apart)
    weights = reshape(
        c, *weights,
        {batch, m.constant(*kvHeads), m.constant(group), rows, columns});
  Sizes outLoops;
  unsigned h, g, i, e = 3 + s, j = 4 + s;
  if (plan.flatOutput) {
    outLoops = {batch, rows, m.constant(*kvHeads)};
    i = 1, h = 2, g = 3;
    if (grouped)
      outLoops.push_back(m.constant(group));
  } else {
    outLoops = loops;
    h = 1, g = 2, i = 2 + s;
    outLoops.push_back(rows);
  }
  outLoops.append({dimV, columns});
  SmallVector<AffineExpr> weightAt{d(0), d(h)};
  if (grouped)
    weightAt.push_back(d(g));
  weightAt.append({d(i), d(j)});
  ImportValue *y = contract(
      c, Access{weights, weightAt},
      Access{plan.v.value, plan.v.order<AffineExpr>(d(0), d(h), d(j), d(e))},
      outLoops, 4 + s, type);
  y = reshape(c, *y,
              plan.flatOutput ? Sizes{batch, rows, m.mul(heads, dimV)}
                              : Sizes{batch, heads, rows, dimV});
  return std::pair(y, shown);
}

static LogicalResult attention(NodeContext &c) {
  for (int i : {0, 1, 2})
    if (failed(c.requireFloat(i)))
      return failure();
  if (failed(c.requireSameType(0, 1)))
    return failure();
  int64_t rank = c.in(0).rank();
  if (c.in(1).rank() != rank || c.in(2).rank() != rank)
    return c.invalid("q, k and v must have one rank");
  int64_t qHeads = c.intAttr("q_num_heads", 0),
          kvHeads = c.intAttr("kv_num_heads", 0);
  auto q = splitHeads(c, c.in(0), qHeads), k = splitHeads(c, c.in(1), kvHeads),
       v = splitHeads(c, c.in(2), kvHeads);
  if (failed(q) || failed(k) || failed(v))
    return failure();
  AttentionPlan plan;
  plan.q = *q;
  plan.k = *k;
  plan.v = *v;
  plan.past = c.idx.constant(0);
  plan.flatOutput = rank == 3;
  plan.scale = c.floatAttr("scale", 0);
  plan.softcap = c.floatAttr("softcap", 0);
  plan.causal = c.intAttr("is_causal", 0);
  if (plan.scale < 0)
    return c.invalid("scale is negative");
  if (c.has(3))
    plan.mask = &c.in(3);
  if (int64_t type = c.intAttr("softmax_precision", 0)) {
    plan.softmaxType = DType(type);
    if (!isFloat(plan.softmaxType))
      return c.invalid("softmax_precision is not a float type");
  }
  if (c.has(4) != c.has(5))
    return c.invalid("past_key and past_value come together");
  if (c.has(4)) {
    plan.past = c.in(4).sizes.size() == 4 ? c.in(4).sizes[2] : plan.past;
    auto key = withPast(c, c.in(4), plan.k),
         value = withPast(c, c.in(5), plan.v);
    if (failed(key) || failed(value))
      return failure();
    plan.k = Heads{*key, false};
    plan.v = Heads{*value, false};
  }
  if (c.opset >= 24 && c.has(6)) {
    plan.valid = &c.in(6);
    if (plan.valid->dtype != DType::i64 || plan.valid->rank() != 1 ||
        failed(c.check(c.idx.eq(plan.valid->sizes[0], plan.q.batch()),
                       "nonpad_kv_seqlen has another batch size")))
      return c.failed ? failure()
                      : c.invalid("nonpad_kv_seqlen must be an i64 vector");
  }
  if (c.wants(1))
    (void)c.result(headsFirst(c, plan.k), 1);
  if (c.wants(2))
    (void)c.result(headsFirst(c, plan.v), 2);
  if (c.wants(3)) {
    plan.outputMode = c.intAttr("qk_matmul_output_mode", 0);
    if (plan.outputMode < 0 || plan.outputMode > 3)
      return c.invalid("qk_matmul_output_mode is out of range");
  }
  auto r = attend(c, plan);
  if (failed(r))
    return failure();
  if (r->second)
    (void)c.result(r->second, 3);
  return c.result(r->first);
}

/// Attention with graphs that change scores and probabilities.
static LogicalResult flexAttention(NodeContext &c) {
  for (int i : {0, 1, 2})
    if (failed(c.requireFloat(i)) || failed(c.requireSameType(0, i)) ||
        c.in(i).rank() != 4)
      return c.failed ? failure() : c.invalid("inputs must have rank 4");
  AttentionPlan plan;
  plan.q.value = &c.in(0);
  plan.k.value = &c.in(1);
  plan.v.value = &c.in(2);
  plan.past = c.idx.constant(0);
  plan.scale = c.floatAttr("scale", 0);
  if (plan.scale < 0)
    return c.invalid("scale is negative");
  plan.softmaxType = DType(
      c.intAttr("softmax_precision", int64_t(accumulatorType(c.in(0).dtype))));
  if (!isFloat(plan.softmaxType))
    return c.invalid("softmax_precision is not a float type");
  plan.scoreMod = c.graphAttr("score_mod");
  plan.probMod = c.graphAttr("prob_mod");
  auto r = attend(c, plan);
  if (failed(r))
    return failure();
  return c.result(r->first);
}

/// com.microsoft: query, key, value, bias, key_padding_mask, attention_bias,
/// past_key, past_value.
static LogicalResult multiHeadAttention(NodeContext &c) {
  if (!c.has(1) || !c.has(2))
    return c.unsupported("packed queries, keys and values",
                         "export with separate ones");
  for (int i : {0, 1, 2})
    if (failed(c.requireFloat(i)) || failed(c.requireSameType(0, i)))
      return failure();
  IndexMath &m = c.idx;
  int64_t heads = c.intAttr("num_heads", 0);
  if (heads < 1 || c.in(0).rank() != 3)
    return c.invalid("needs num_heads and a query of rank 3");
  ImportValue *parts[] = {&c.in(0), &c.in(1), &c.in(2)};
  if (c.has(3)) {
    ImportValue &bias = c.in(3);
    if (bias.rank() != 1 || bias.dtype != c.in(0).dtype)
      return c.invalid("the bias must be a vector");
    OpFoldResult start = m.constant(0);
    for (ImportValue *&x : parts) {
      if (x->rank() != 3)
        return c.unsupported("a bias for keys of rank 4");
      OpFoldResult n = x->sizes[2];
      Value tensor = c.tensor(bias), at = m.value(start);
      ImportValue *part =
          fromIndices(c, {n}, bias.dtype,
                      [&](OpBuilder &b, Location loc, ValueRange ivs) -> Value {
                        Value i = BodyMath{b, loc}.add(ivs[0], at);
                        return tensor::ExtractOp::create(b, loc, tensor, i);
                      });
      start = m.add(start, n);
      ImportValue *ins[] = {x, part};
      x = elementwiseTo(c, ins, x->sizes, x->dtype,
                        [](OpBuilder &b, Location loc, ValueRange a) -> Value {
                          return arith::AddFOp::create(b, loc, a[0], a[1]);
                        });
    }
    if (failed(
            c.check(m.eq(start, bias.sizes[0]), "the bias has a wrong size")))
      return failure();
  }
  AttentionPlan plan;
  Heads *slots[] = {&plan.q, &plan.k, &plan.v};
  for (int i : {0, 1, 2}) {
    auto part = splitHeads(c, *parts[i], heads);
    if (failed(part))
      return failure();
    *slots[i] = *part;
  }
  plan.past = m.constant(0);
  plan.flatOutput = true;
  plan.scale = c.floatAttr("scale", 0);
  plan.causal = c.intAttr("unidirectional", 0);
  if (c.has(6) != c.has(7))
    return c.invalid("past_key and past_value come together");
  if (c.has(6)) {
    if (c.in(6).rank() == 4)
      plan.past = c.in(6).sizes[2];
    auto key = withPast(c, c.in(6), plan.k),
         value = withPast(c, c.in(7), plan.v);
    if (failed(key) || failed(value))
      return failure();
    plan.k = Heads{*key, false};
    plan.v = Heads{*value, false};
  }
  ImportValue *padding = c.has(4) ? &c.in(4) : nullptr;
  ImportValue *bias = c.has(5) ? &c.in(5) : nullptr;
  if (padding && !isInteger(padding->dtype))
    return c.invalid("key_padding_mask must hold integers");
  if (padding && padding->rank() == 1) {
    if (failed(c.check(m.eq(padding->sizes[0], plan.q.batch()),
                       "key_padding_mask has another batch size")))
      return c.failed ? failure() : c.unsupported("this key_padding_mask");
    plan.valid = padding;
    padding = nullptr;
  }
  if (padding) {
    if (padding->rank() > 3)
      return c.invalid("key_padding_mask has too many dims");
    // [batch, keys] or [batch, queries, keys]
    Sizes sizes = padding->sizes;
    while (sizes.size() < 4)
      sizes.insert(sizes.begin() + 1, m.constant(1));
    double low = c.floatAttr("mask_filter_value", -10000);
    DType from = padding->dtype, to = c.in(0).dtype;
    ImportValue *mask = reshape(c, *padding, sizes);
    SmallVector<ImportValue *> ins{mask};
    if (bias)
      ins.push_back(bias);
    auto all = elementwise(
        c, ins, to, [&](OpBuilder &b, Location loc, ValueRange a) -> Value {
          FloatOps f(b, loc, to);
          Value on = f.cast(a[0], from, DType::i1);
          Value v = f.select(on, f.k(0), f.k(low));
          return a.size() > 1 ? f.addf(v, a[1]) : v;
        });
    if (failed(all))
      return failure();
    bias = *all;
  }
  plan.mask = bias;
  if (c.wants(1))
    (void)c.result(headsFirst(c, plan.k), 1);
  if (c.wants(2))
    (void)c.result(headsFirst(c, plan.v), 2);
  if (c.wants(3))
    plan.outputMode = 0;
  auto r = attend(c, plan);
  if (failed(r))
    return failure();
  if (r->second)
    (void)c.result(r->second, 3);
  return c.result(r->first);
}

namespace isthmus {
void registerAttentionOps(Registry &r) {
  r.add("Attention", 3, attention, 23);
  r.add("FlexAttention", 3, flexAttention, 1,
        std::numeric_limits<int64_t>::max(), "ai.onnx.preview");
  r.add("MultiHeadAttention", 1, multiHeadAttention, 1,
        std::numeric_limits<int64_t>::max(), "com.microsoft");
}
} // namespace isthmus
