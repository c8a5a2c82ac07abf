//===- Ops/LinearAttention.cpp - attention with a state instead of scores -===//
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

/// A state of [dim of k, dim of v] per head that every step decays, corrects,
/// adds to and reads. Columns of the state do not see each other.
static LogicalResult linearAttention(NodeContext &c) {
  IndexMath &m = c.idx;
  for (int i : {0, 1, 2})
    if (failed(c.requireFloat(i)) || c.in(i).rank() != 3)
      return c.failed ? failure()
                      : c.invalid("query, key and value must have rank 3");
  std::string rule = c.stringAttr("update_rule", "gated_delta");
  bool gates = rule == "gated" || rule == "gated_delta",
       corrects = rule == "delta" || rule == "gated_delta";
  if (!gates && !corrects && rule != "linear")
    return c.invalid("update_rule is '" + rule + "'");
  ImportValue *past = c.has(3) ? &c.in(3) : nullptr,
              *decay = c.has(4) ? &c.in(4) : nullptr,
              *beta = c.has(5) ? &c.in(5) : nullptr;
  if (bool(decay) != gates || bool(beta) != corrects)
    return c.invalid("decay and beta do not fit to the update_rule");
  int64_t qHeads = c.intAttr("q_num_heads", 0),
          kvHeads = c.intAttr("kv_num_heads", 0);
  if (qHeads < 1 || kvHeads < 1 || qHeads % kvHeads)
    return c.invalid("the heads of q must be a multiple of those of k");
  int64_t group = qHeads / kvHeads;
  auto q = splitHeads(c, c.in(0), qHeads), k = splitHeads(c, c.in(1), kvHeads),
       v = splitHeads(c, c.in(2), kvHeads);
  if (failed(q) || failed(k) || failed(v))
    return failure();
  OpFoldResult batch = q->batch(), steps = q->sequence(), dk = q->dim(),
               dv = v->dim(), heads = m.constant(kvHeads);
  auto same = [&](OpFoldResult l, OpFoldResult r) {
    return c.check(m.eq(l, r), "the inputs' sizes do not fit together");
  };
  if (failed(same(k->dim(), dk)) || failed(same(k->batch(), batch)) ||
      failed(same(v->batch(), batch)) || failed(same(k->sequence(), steps)) ||
      failed(same(v->sequence(), steps)))
    return failure();
  DType type = c.in(0).dtype;
  DType stateType = past ? past->dtype : type;
  Sizes stateSizes{batch, heads, dk, dv};
  if (past) {
    if (past->rank() != 4 || !isFloat(past->dtype))
      return c.invalid("past_state must have rank 4");
    for (int i : {0, 1, 2, 3})
      if (failed(same(past->sizes[i], stateSizes[i])))
        return failure();
  }
  bool decayPerHead = false;
  for (ImportValue *x : {decay, beta}) {
    if (!x)
      continue;
    if (x->rank() != 3 || !isFloat(x->dtype))
      return c.invalid("decay and beta must have rank 3");
    if (!x->dim(2))
      return c.unsupported("a symbolic last dim of decay or beta",
                           "give it a fixed size with --shape");
    if (failed(same(x->sizes[0], batch)) || failed(same(x->sizes[1], steps)))
      return failure();
  }
  if (decay) {
    decayPerHead = decay->dim(2) == kvHeads;
    if (!decayPerHead && failed(same(decay->sizes[2], m.mul(heads, dk))))
      return failure();
  }
  if (beta && beta->dim(2) != 1 && beta->dim(2) != kvHeads)
    return c.invalid("beta must have one number or one per head");
  double scale = c.floatAttr("scale", 0);
  DType wide = type == DType::f64 ? DType::f64 : DType::f32;
  SmallVector<ImportValue *> ins{q->value, k->value, v->value};
  auto add = [&](ImportValue *x) {
    if (!x)
      return -1;
    ins.push_back(x);
    return int(ins.size() - 1);
  };
  int pastIn = add(past), decayIn = add(decay), betaIn = add(beta);
  Sizes outSizes{batch, steps, m.constant(qHeads), dv};
  ParallelOut outs[] = {{type, outSizes}, {wide, stateSizes}};
  OpFoldResult space[] = {batch, heads, dv}, scalars[] = {steps, dk};
  auto results = buildParallel(
      c, "LinearAttention", space, ins, scalars, outs, [&](ParallelBody &p) {
        FloatOps f(p.b, p.loc, wide);
        Value b = p.ivs[0], h = p.ivs[1], column = p.ivs[2];
        Value count = p.scalars[0], rows = p.scalars[1];
        auto read = [&](int in, ArrayRef<Value> at) {
          return f.cast(p.load(in, at), ins[in]->dtype, wide);
        };
        auto state = [&](Value row) {
          return SmallVector<Value>{b, h, row, column};
        };
        p.repeat(rows, [&](Value row) {
          Value init = past ? read(pastIn, state(row)) : f.k(0);
          p.store(init, state(row), 1);
        });
        p.repeat(count, [&](Value t) {
          auto key = [&](Value row) { return read(1, {b, t, h, row}); };
          Value perHead =
              decayPerHead ? f.exp(read(decayIn, {b, t, h})) : Value();
          // Decay, and what the state holds for the key.
          Value held = p.loop(
              rows, f.k(0), [&](Value row, ValueRange s) -> SmallVector<Value> {
                Value e = p.reload(state(row), 1);
                if (decay) {
                  Value by = perHead;
                  if (!by)
                    by = f.exp(
                        read(decayIn, {b, t, p.add(p.mul(h, rows), row)}));
                  e = f.mulf(e, by);
                  p.store(e, state(row), 1);
                }
                if (!corrects)
                  return {s[0]};
                return {f.addf(s[0], f.mulf(e, key(row)))};
              })[0];
          Value value = read(2, {b, t, h, column});
          if (corrects) {
            Value which = beta->dim(2) == 1 ? p.index(0) : h;
            value = f.mulf(read(betaIn, {b, t, which}), f.subf(value, held));
          }
          SmallVector<Value> zeros(group, f.k(0));
          auto sums = p.loop(
              rows, zeros, [&](Value row, ValueRange s) -> SmallVector<Value> {
                Value e =
                    f.addf(p.reload(state(row), 1), f.mulf(key(row), value));
                p.store(e, state(row), 1);
                SmallVector<Value> next;
                for (int64_t g = 0; g < group; ++g) {
                  Value head = p.add(p.mul(h, p.index(group)), p.index(g));
                  next.push_back(
                      f.addf(s[g], f.mulf(read(0, {b, t, head, row}), e)));
                }
                return next;
              });
          for (int64_t g = 0; g < group; ++g) {
            Value head = p.add(p.mul(h, p.index(group)), p.index(g));
            Value factor = scale != 0 ? f.k(scale)
                                      : f.divf(f.k(1), f.sqrt(f.fromInt(rows)));
            p.store(f.cast(f.mulf(sums[g], factor), wide, type),
                    {b, t, head, column});
          }
        });
      });
  (void)c.result(castTo(c, *results[1], stateType), 1);
  return c.result(
      reshape(c, *results[0], {batch, steps, m.mul(m.constant(qHeads), dv)}));
}

namespace isthmus {
void registerLinearAttentionOps(Registry &r) {
  r.add("LinearAttention", 3, linearAttention);
}
} // namespace isthmus
