//===- Ops/Recurrent.cpp - RNN, GRU, LSTM ----------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The inputs of all steps are multiplied by W in one contraction. Then a point
// for every direction and batch walks through the sequence; what it remembers
// lies in results of the operation that nobody else reads.
//
//===----------------------------------------------------------------------===//
#include "lib/Import/BodyFloats.h"

using namespace mlir;
using namespace isthmus;

namespace {
struct Activation {
  std::string name; // in lower case
  double alpha = 0, beta = 0;
  bool operator==(const Activation &o) const {
    return name == o.name && alpha == o.alpha && beta == o.beta;
  }
};
} // namespace

static FailureOr<SmallVector<Activation>>
activations(NodeContext &c, ArrayRef<StringRef> defaults, int64_t directions) {
  struct Known {
    StringRef name;
    int params;
    double alpha, beta;
  };
  static const Known known[] = {
      {"relu", 0, 0, 0},         {"tanh", 0, 0, 0},
      {"sigmoid", 0, 0, 0},      {"softsign", 0, 0, 0},
      {"softplus", 0, 0, 0},     {"affine", 2, 1, 0},
      {"leakyrelu", 1, 0.01, 0}, {"thresholdedrelu", 1, 1, 0},
      {"scaledtanh", 2, 1, 1},   {"hardsigmoid", 2, 0.2, 0.5},
      {"elu", 1, 1, 0},
  };
  SmallVector<std::string> names;
  if (auto *attr = c.findAttr("activations"))
    for (const std::string &s : attr->strings())
      names.push_back(StringRef(s).lower());
  if (names.empty())
    for (int64_t d = 0; d < directions; ++d)
      for (StringRef s : defaults)
        names.push_back(s.str());
  if (names.size() != defaults.size() * directions)
    return c.invalid("activations has the wrong length");
  auto alphas =
      c.floatsAttr("activation_alpha").value_or(SmallVector<double>());
  auto betas = c.floatsAttr("activation_beta").value_or(SmallVector<double>());
  size_t nextAlpha = 0, nextBeta = 0;
  SmallVector<Activation> out;
  for (const std::string &name : names) {
    auto *it =
        llvm::find_if(known, [&](const Known &k) { return k.name == name; });
    if (it == std::end(known))
      return c.unsupported("activation '" + name + "'");
    Activation a{name, it->alpha, it->beta};
    if (it->params >= 1 && nextAlpha < alphas.size())
      a.alpha = alphas[nextAlpha++];
    if (it->params >= 2 && nextBeta < betas.size())
      a.beta = betas[nextBeta++];
    out.push_back(a);
  }
  return out;
}

static Value activate(BodyFloats &f, const Activation &a, Value x) {
  Value zero = f.k(0), one = f.k(1);
  if (a.name == "relu")
    return f.maxf(x, zero);
  if (a.name == "tanh")
    return f.tanh(x);
  if (a.name == "sigmoid")
    return f.sigmoid(x);
  if (a.name == "softsign")
    return f.divf(x, f.addf(one, f.abs(x)));
  if (a.name == "softplus")
    return f.softplus(x);
  if (a.name == "affine")
    return f.addf(f.mulf(f.k(a.alpha), x), f.k(a.beta));
  if (a.name == "leakyrelu")
    return f.select(f.less(x, zero), f.mulf(f.k(a.alpha), x), x);
  if (a.name == "thresholdedrelu")
    return f.select(f.less(f.k(a.alpha), x), x, zero);
  if (a.name == "scaledtanh")
    return f.mulf(f.k(a.alpha), f.tanh(f.mulf(f.k(a.beta), x)));
  if (a.name == "hardsigmoid")
    return f.clampf(f.addf(f.mulf(f.k(a.alpha), x), f.k(a.beta)), 0, 1);
  // elu
  Value e = f.mulf(f.k(a.alpha), f.subf(f.exp(x), one));
  return f.select(f.less(x, zero), e, x);
}

enum class Cell { rnn, gru, lstm };

static LogicalResult recurrent(NodeContext &c, Cell cell) {
  bool isLSTM = cell == Cell::lstm, isGRU = cell == Cell::gru;
  const int64_t gates = isLSTM ? 4 : isGRU ? 3 : 1;
  if (failed(c.requireFloat(0)))
    return failure();
  for (int i : {1, 2, 3, 5, 6, 7})
    if (c.has(i) && (i < 6 || isLSTM) && failed(c.requireSameType(0, i)))
      return failure();
  std::string direction = c.stringAttr("direction", "forward");
  if (direction != "forward" && direction != "reverse" &&
      direction != "bidirectional")
    return c.invalid("direction is '" + direction + "'");
  const int64_t directions = direction == "bidirectional" ? 2 : 1;
  const bool batchFirst = c.intAttr("layout", 0);
  const bool linearBeforeReset = c.intAttr("linear_before_reset", 0);
  const bool coupled = isLSTM && c.intAttr("input_forget", 0);
  const bool clips = c.hasAttr("clip");
  const double clip = c.floatAttr("clip", 0);
  SmallVector<StringRef> defaults{"tanh"};
  if (isGRU)
    defaults = {"sigmoid", "tanh"};
  if (isLSTM)
    defaults = {"sigmoid", "tanh", "tanh"};
  auto acts = activations(c, defaults, directions);
  if (failed(acts))
    return failure();

  ImportValue &x = c.in(0), &w = c.in(1), &r = c.in(2);
  if (x.rank() != 3 || w.rank() != 3 || r.rank() != 3)
    return c.invalid("X, W and R must have rank 3");
  OpFoldResult steps = x.sizes[batchFirst], batch = x.sizes[!batchFirst],
               inputs = x.sizes[2], hidden = r.sizes[2];
  OpFoldResult dirs = c.idx.constant(directions);
  OpFoldResult rows = c.idx.mul(hidden, c.idx.constant(gates));
  auto require = [&](ImportValue &v, ArrayRef<OpFoldResult> sizes,
                     const Twine &name) -> LogicalResult {
    if (v.rank() != int64_t(sizes.size()))
      return c.invalid(name + " has the wrong rank");
    for (auto [have, want] : llvm::zip_equal(v.sizes, sizes))
      if (!IndexMath::same(have, want) &&
          failed(c.check(c.idx.eq(have, want), name + " has the wrong shape")))
        return failure();
    return success();
  };
  Sizes state =
      batchFirst ? Sizes{batch, dirs, hidden} : Sizes{dirs, batch, hidden};
  OpFoldResult two = c.idx.constant(2), three = c.idx.constant(3);
  if (failed(require(w, {dirs, rows, inputs}, "W")) ||
      failed(require(r, {dirs, rows, hidden}, "R")) ||
      (c.has(3) &&
       failed(require(c.in(3), {dirs, c.idx.mul(two, rows)}, "B"))) ||
      (c.has(4) && failed(require(c.in(4), {batch}, "sequence_lens"))) ||
      (c.has(5) && failed(require(c.in(5), state, "initial_h"))) ||
      (isLSTM && c.has(6) && failed(require(c.in(6), state, "initial_c"))) ||
      (isLSTM && c.has(7) &&
       failed(require(c.in(7), {dirs, c.idx.mul(three, hidden)}, "P"))))
    return failure();
  if (c.has(4) && c.in(4).dtype != DType::i32)
    return c.invalid("sequence_lens must be i32");

  // All steps at once: in[d, s, b, g] = sum over i of x[s, b, i] * w[d, g, i].
  DType type = x.dtype, acc = accumulatorType(type);
  auto dim = [&](unsigned i) { return getAffineDimExpr(i, c.b.getContext()); };
  Access ax{&x, {dim(1), dim(2), dim(4)}}, aw{&w, {dim(0), dim(3), dim(4)}};
  if (batchFirst)
    ax.at = {dim(2), dim(1), dim(4)};
  ImportValue *projected =
      contract(c, ax, aw, {dirs, steps, batch, rows, inputs}, 4, acc);

  SmallVector<ImportValue *> ins{projected, &r};
  int at[8];
  for (int i = 3; i < 8; ++i) {
    at[i] = -1;
    if (c.has(i) && (i < 6 || isLSTM)) {
      at[i] = ins.size();
      ins.push_back(&c.in(i));
    }
  }
  Sizes all = batchFirst ? Sizes{batch, steps, dirs, hidden}
                         : Sizes{steps, dirs, batch, hidden};
  enum { outY, outH, outC, stateH, stateC, stateGates };
  SmallVector<ParallelOut> outs{{type, all},
                                {type, state},
                                {type, state},
                                {acc, {dirs, batch, hidden}},
                                {acc, {dirs, batch, hidden}},
                                {acc, {dirs, batch, rows}}};
  std::string message = c.name + " (" + c.op().str() +
                        "): a length in sequence_lens is out of range";
  auto results = buildParallel(
      c, c.op(), {dirs, batch}, ins, {steps, hidden}, outs,
      [&](ParallelBody &p) {
        BodyFloats f(p.b, p.loc, acc);
        Value d = p.ivs[0], b = p.ivs[1];
        Value numSteps = p.scalars[0], h = p.scalars[1];
        Value zero = p.index(0), one = p.index(1);
        auto fast =
            arith::FastMathFlags::reassoc | arith::FastMathFlags::contract;
        auto wide = [&](Value v) { return p.cast(v, type, acc); };
        auto row = [&](int64_t gate, Value j) {
          return p.add(p.mul(h, p.index(gate)), j);
        };
        auto stateAt = [&](Value j) {
          return batchFirst ? SmallVector<Value>{b, d, j}
                            : SmallVector<Value>{d, b, j};
        };
        auto yAt = [&](Value t, Value j) {
          return batchFirst ? SmallVector<Value>{b, t, d, j}
                            : SmallVector<Value>{t, d, b, j};
        };
        auto hAt = [&](Value j) { return p.reload({d, b, j}, stateH); };
        auto gate = [&](int64_t g, Value j) {
          return p.reload({d, b, row(g, j)}, stateGates);
        };
        auto act = [&](unsigned which, Value v, bool isGate = true) {
          if (clips && isGate)
            v = f.clampf(v, -clip, clip);
          const Activation &first = (*acts)[which];
          if (directions == 1 || first == (*acts)[which + defaults.size()])
            return activate(f, first, v);
          return p.ifElse(
              p.eq(d, zero), [&] { return activate(f, first, v); },
              [&] { return activate(f, (*acts)[which + defaults.size()], v); });
        };
        // The bias of a gate, of W (part 0) or of R (part 1).
        auto bias = [&](int64_t part, int64_t g, Value j) {
          if (at[3] < 0)
            return f.k(0);
          return wide(p.load(at[3], {d, row(part * gates + g, j)}));
        };
        // h . R[g, j], with h scaled by a gate when `by` is one.
        auto product = [&](int64_t g, Value j, int64_t by = -1) {
          return p.loop(
              h, f.k(0), [&](Value k, ValueRange sum) -> SmallVector<Value> {
                Value v = hAt(k);
                if (by >= 0)
                  v = f.mulf(v, gate(by, k));
                Value m = arith::MulFOp::create(
                    p.b, p.loc, v, wide(p.load(1, {d, row(g, j), k})), fast);
                return {arith::AddFOp::create(p.b, p.loc, sum[0], m, fast)};
              })[0];
        };

        p.repeat(h, [&](Value j) {
          p.store(at[5] < 0 ? f.k(0) : wide(p.load(at[5], stateAt(j))),
                  {d, b, j}, stateH);
          p.store(at[6] < 0 ? f.k(0) : wide(p.load(at[6], stateAt(j))),
                  {d, b, j}, stateC);
        });
        Value length = numSteps;
        if (at[4] >= 0) {
          length = p.toIndex(p.load(at[4], b));
          p.failIf(p.cmp(arith::CmpIPredicate::ugt, length, numSteps), message);
          length = p.max(p.min(length, numSteps), zero);
        }
        Value backwards = p.integer(p.b.getI1Type(), direction == "reverse");
        if (directions == 2)
          backwards = p.eq(d, one);
        p.repeat(length, [&](Value step) {
          Value t = p.select(backwards, p.sub(p.sub(length, one), step), step);
          auto input = [&](int64_t g, Value j) {
            return f.addf(p.load(0, {d, t, b, row(g, j)}), bias(0, g, j));
          };
          int64_t plain = isGRU ? 2 : gates; // gates that only need h
          p.repeat(h, [&](Value j) {
            for (int64_t g = 0; g < plain; ++g) {
              Value v =
                  f.addf(f.addf(input(g, j), product(g, j)), bias(1, g, j));
              if (isGRU)
                v = act(0, v);
              p.store(v, {d, b, row(g, j)}, stateGates);
            }
          });
          if (isGRU)
            p.repeat(h, [&](Value j) {
              Value v;
              if (linearBeforeReset)
                v = f.mulf(gate(1, j), f.addf(product(2, j), bias(1, 2, j)));
              else
                v = f.addf(product(2, j, /*by=*/1), bias(1, 2, j));
              p.store(act(1, f.addf(input(2, j), v)), {d, b, row(2, j)},
                      stateGates);
            });
          p.repeat(h, [&](Value j) {
            Value next;
            if (isLSTM) {
              auto peephole = [&](int64_t which, Value v, Value cell) {
                if (at[7] < 0)
                  return v;
                Value weight = wide(p.load(at[7], {d, row(which, j)}));
                return f.addf(v, f.mulf(weight, cell));
              };
              Value before = p.reload({d, b, j}, stateC);
              Value i = act(0, peephole(0, gate(0, j), before));
              Value forget = coupled ? f.subf(f.k(1), i)
                                     : act(0, peephole(2, gate(2, j), before));
              Value cell =
                  f.addf(f.mulf(forget, before), f.mulf(i, act(1, gate(3, j))));
              Value o = act(0, peephole(1, gate(1, j), cell));
              p.store(cell, {d, b, j}, stateC);
              // ONNX says that `clip` bounds what goes into activations; ONNX
              // Runtime does not bound the cell here, and models are made to
              // it.
              next = f.mulf(o, act(2, cell, /*isGate=*/false));
            } else if (isGRU) {
              Value z = gate(0, j);
              next = f.addf(f.mulf(f.subf(f.k(1), z), gate(2, j)),
                            f.mulf(z, hAt(j)));
            } else {
              next = act(0, gate(0, j));
            }
            p.store(next, {d, b, j}, stateH);
            p.store(p.cast(next, acc, type), yAt(t, j), outY);
          });
        });
        // Behind a shorter sequence there are zeros.
        p.repeat(p.sub(numSteps, length), [&](Value t) {
          p.repeat(h, [&](Value j) {
            p.store(p.cast(f.k(0), acc, type), yAt(p.add(length, t), j), outY);
          });
        });
        p.repeat(h, [&](Value j) {
          p.store(p.cast(hAt(j), acc, type), stateAt(j), outH);
          p.store(p.cast(p.reload({d, b, j}, stateC), acc, type), stateAt(j),
                  outC);
        });
      });
  (void)c.result(results[outY]);
  (void)c.result(results[outH], 1);
  return isLSTM ? c.result(results[outC], 2) : success();
}

namespace isthmus {
void registerRecurrentOps(Registry &r) {
  r.add("RNN", 3, [](NodeContext &c) { return recurrent(c, Cell::rnn); }, 7);
  r.add("GRU", 3, [](NodeContext &c) { return recurrent(c, Cell::gru); }, 7);
  r.add("LSTM", 3, [](NodeContext &c) { return recurrent(c, Cell::lstm); }, 7);
}
} // namespace isthmus
