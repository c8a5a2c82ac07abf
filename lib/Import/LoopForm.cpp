//===- LoopForm.cpp - loops that the program runs -------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/LoopForm.h"

#include "dialects/Graph/Graph.h"
#include "lib/Import/Emit.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace isthmus;

namespace {

/// A value that iterations hand on.
struct Carried {
  ImportValue *init = nullptr;
  bool same = false;        // every iteration has the first one
  bool changes = false;     // .. but when it was taken for that, it did not
  bool scalars = false;     // integers of the host
  SmallVector<bool> varies; // sizes that iterations change
  ImportValue *argument = nullptr;
};

/// A tensor with a row for each iteration.
struct Collected {
  DType dtype = DType::undefined;
  Sizes row; // null where only an iteration knows it
  bool grows = false;
  unsigned first = 0; // of its arguments and results
};

class LoopBuilder {
public:
  LoopBuilder(NodeContext &c, const LoopSpec &spec)
      : c(c), b(c.b), idx(c.idx), spec(spec) {}
  FailureOr<SmallVector<ImportValue *>> build();

private:
  enum class Round { settled, again };
  FailureOr<Round> attempt(Trial &trial);
  LogicalResult compare(Carried &s, ImportValue *y, int64_t i, bool &again);
  ImportValue *argument(Carried &s, Block *block);
  void handOn(Carried &s, ImportValue &y, Operation *place);
  void collect(Collected &s, ImportValue &y, Value at, Trial &trial);
  Value grow(Collected &s, ImportValue &y, Value at, Value rows, Value full);
  void yield(Trial &trial, ArrayRef<Value> values);
  void finishFor(Trial &trial, Value count);
  void finishWhile(Trial &trial, OpFoldResult goOn);
  SmallVector<ImportValue *> results();
  /// Computes it before `place` when nothing of the loop is in it; null if not.
  OpFoldResult hoist(OpFoldResult size, Operation *place);

  NodeContext &c;
  OpBuilder &b;
  IndexMath &idx;
  const LoopSpec &spec;
  SmallVector<Carried> carried;
  SmallVector<Collected> collected;
  SmallVector<ImportValue *> outputs; // of the body
  SmallVector<Value> inits, yields;   // of the block's arguments but the first
  bool counted = false;
  OpFoldResult trips;
  Value ran; // how many iterations there were
  SmallVector<Value> ended;
};

} // namespace

//===----------------------------------------------------------------------===//
// What iterations hand on
//===----------------------------------------------------------------------===//

ImportValue *LoopBuilder::argument(Carried &s, Block *block) {
  if (s.same)
    return s.init;
  auto integer = [&]() -> Value {
    return block->addArgument(b.getIndexType(), c.loc);
  };
  if (s.scalars) {
    Sizes elements;
    for (size_t i = 0; i < s.init->scalars->size(); ++i)
      elements.push_back(integer());
    return c.importer.newScalars(s.init->dtype, elements, s.init->rank());
  }
  Sizes sizes;
  for (auto [size, varies] : llvm::zip_equal(s.init->sizes, s.varies))
    sizes.push_back(varies ? OpFoldResult(integer()) : size);
  Value tensor =
      block->addArgument(c.importer.tensorType(s.init->dtype, sizes), c.loc);
  return bindSizes(c, s.init->dtype, sizes, tensor);
}

/// Whether `y` is what `s` was taken for; corrects that when not.
LogicalResult LoopBuilder::compare(Carried &s, ImportValue *y, int64_t i,
                                   bool &again) {
  if (!isTensor(y))
    return c.unsupported("carries a sequence or optional in output " +
                             Twine(i) + ", and runs as a loop",
                         "export the model with a constant trip count");
  if (y->dtype != s.init->dtype)
    return c.invalid("an iteration changes the type of output " + Twine(i));
  if (y->rank() != s.init->rank())
    return c.unsupported("an iteration changes the rank of output " + Twine(i));
  if (s.same) {
    if (y == s.argument)
      return success();
    s.same = false;
    again = s.changes = true;
    return success();
  }
  if (y == s.argument && !s.changes) {
    again = s.same = true;
    return success();
  }
  if (s.scalars) {
    if (!y->scalars || y->scalars->size() != s.init->scalars->size()) {
      s.scalars = false;
      again = true;
    }
    return success();
  }
  for (int64_t d = 0; d < y->rank(); ++d)
    if (!s.varies[d] && !IndexMath::same(y->sizes[d], s.argument->sizes[d]))
      again = s.varies[d] = true;
  return success();
}

/// Adds the first and the next values of the arguments that `argument` made.
void LoopBuilder::handOn(Carried &s, ImportValue &y, Operation *place) {
  if (s.same)
    return;
  auto add = [&](ImportValue &v, SmallVector<Value> &to) {
    if (s.scalars) {
      llvm::append_range(to, idx.values(*v.scalars));
      return;
    }
    for (auto [size, varies] : llvm::zip_equal(v.sizes, s.varies))
      if (varies)
        to.push_back(idx.value(size));
    Sizes sizes = s.argument->sizes;
    to.push_back(
        asType(c, c.tensor(v), c.importer.tensorType(v.dtype, sizes), v.sizes));
  };
  add(y, yields);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(place);
  add(*s.init, inits);
}

//===----------------------------------------------------------------------===//
// What iterations collect
//===----------------------------------------------------------------------===//

OpFoldResult LoopBuilder::hoist(OpFoldResult size, Operation *place) {
  auto v = dyn_cast<Value>(size);
  if (!v || !place->isAncestor(v.getParentBlock()->getParentOp()))
    return size;
  Operation *op = v.getDefiningOp();
  if (!op || !isa<arith::ArithDialect>(op->getDialect()))
    return {};
  for (Value operand : op->getOperands())
    if (!hoist(operand, place))
      return {};
  op->moveBefore(place);
  return size;
}

static Value insertRows(NodeContext &c, Value rows, Value into, Value at,
                        ArrayRef<OpFoldResult> sizes) {
  // An insert_slice cannot begin in a dim of size 0.
  if (llvm::any_of(sizes, [](auto n) { return IndexMath::known(n) == 0; }))
    return into;
  Sizes offsets(sizes.size(), c.idx.constant(0)),
      strides(sizes.size(), c.idx.constant(1));
  offsets[0] = at;
  return tensor::InsertSliceOp::create(c.b, c.loc, rows, into, offsets, sizes,
                                       strides);
}

/// All rows of `rows` in a tensor with more of them, when they are full.
Value LoopBuilder::grow(Collected &s, ImportValue &y, Value at, Value rows,
                        Value full) {
  Value isFull =
      arith::CmpIOp::create(b, c.loc, arith::CmpIPredicate::eq, at, full);
  Type types[] = {rows.getType(), b.getIndexType()};
  auto branch = scf::IfOp::create(b, c.loc, types, isFull, true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    Value more =
        idx.value(idx.max(idx.mul(full, idx.constant(2)), idx.constant(4)));
    Sizes sizes = y.sizes;
    sizes.insert(sizes.begin(), OpFoldResult(more));
    Value wide = tensor::EmptyOp::create(b, c.loc, sizes,
                                         elementType(b.getContext(), s.dtype));
    sizes[0] = full;
    Value moved = insertRows(c, rows, wide, idx.value(idx.constant(0)), sizes);
    scf::YieldOp::create(b, c.loc, ValueRange{moved, more});
    b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(b, c.loc, ValueRange{rows, full});
  }
  yields.push_back(branch.getResult(1));
  Sizes sizes = y.sizes;
  sizes.insert(sizes.begin(), OpFoldResult(branch.getResult(1)));
  return bindSizes(c, s.dtype, sizes, branch.getResult(0))->tensor;
}

void LoopBuilder::collect(Collected &s, ImportValue &y, Value at,
                          Trial &trial) {
  Block *block = trial.block();
  s.dtype = y.dtype;
  s.grows = !counted;
  for (OpFoldResult size : y.sizes) {
    s.row.push_back(hoist(size, trial.place));
    s.grows |= !s.row.back();
  }
  s.first = block->getNumArguments() - 1;
  // Arguments: the rows that there is room for and the sizes that only
  // iterations know, then the tensor.
  Sizes now = s.row;
  Value full;
  if (s.grows) {
    full = block->addArgument(b.getIndexType(), c.loc);
    inits.push_back(idx.value(idx.constant(0)));
    for (auto [i, size] : llvm::enumerate(now))
      if (!size) {
        Value v = block->addArgument(b.getIndexType(), c.loc);
        inits.push_back(idx.value(idx.constant(0)));
        OpFoldResult fits = idx.select(idx.eq(at, idx.constant(0)),
                                       idx.constant(1), idx.eq(v, y.sizes[i]));
        (void)c.check(fits, "iterations collect rows of different shapes");
        size = v;
      }
  }
  now.insert(now.begin(), s.grows ? OpFoldResult(full) : trips);
  Sizes first = now;
  if (s.grows) {
    first[0] = idx.constant(0);
    for (auto [i, size] : llvm::enumerate(s.row))
      if (!size)
        first[i + 1] = idx.constant(0);
  }
  RankedTensorType type = c.importer.tensorType(s.dtype, now);
  Value rows =
      bindSizes(c, s.dtype, now, block->addArgument(type, c.loc))->tensor;
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(trial.place);
    Value empty = tensor::EmptyOp::create(b, c.loc, first,
                                          elementType(b.getContext(), s.dtype));
    inits.push_back(asType(c, empty, type, first));
  }
  Sizes one = y.sizes;
  one.insert(one.begin(), c.idx.constant(1));
  Value row = c.tensor(*reshape(c, y, one));
  if (s.grows) {
    rows = grow(s, y, at, rows, full);
    for (auto [known, size] : llvm::zip_equal(s.row, y.sizes))
      if (!known)
        yields.push_back(idx.value(size));
  }
  yields.push_back(asType(c, insertRows(c, row, rows, at, one), type, {}));
}

//===----------------------------------------------------------------------===//
// The loop
//===----------------------------------------------------------------------===//

FailureOr<LoopBuilder::Round> LoopBuilder::attempt(Trial &trial) {
  Block *block = trial.block();
  Value at = block->addArgument(b.getIndexType(), c.loc);
  SmallVector<ImportValue *> arguments;
  for (Carried &s : carried)
    arguments.push_back(s.argument = argument(s, block));
  auto r = spec.body(OpFoldResult(at), arguments);
  if (failed(r))
    return failure();
  outputs = *r;
  bool again = false;
  for (auto [i, s] : llvm::enumerate(carried))
    if (failed(compare(s, outputs[1 + i], i, again)))
      return failure();
  return again ? Round::again : Round::settled;
}

/// Ends the trial's block as a loop's body. Its arguments are still its own.
void LoopBuilder::yield(Trial &trial, ArrayRef<Value> values) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(trial.block());
  scf::YieldOp::create(b, c.loc, values);
}

void LoopBuilder::finishFor(Trial &trial, Value count) {
  yield(trial, yields);
  trial.end();
  Value zero = idx.value(idx.constant(0)), one = idx.value(idx.constant(1));
  auto loop =
      scf::ForOp::create(b, c.loc, zero, count, one, inits,
                         [](OpBuilder &, Location, Value, ValueRange) {});
  for (auto [from, to] : llvm::zip_equal(trial.block()->getArguments(),
                                         loop.getBody()->getArguments()))
    from.replaceAllUsesWith(to);
  trial.moveTo(loop.getBody());
  b.setInsertionPointAfter(loop);
  ended.assign(loop.getResults().begin(), loop.getResults().end());
  ran = count;
}

/// Arguments: the iteration, those of the block, whether to go on.
void LoopBuilder::finishWhile(Trial &trial, OpFoldResult goOn) {
  SmallVector<Value> next = {arith::AddIOp::create(
      b, c.loc, trial.block()->getArgument(0), idx.value(idx.constant(1)))};
  llvm::append_range(next, yields);
  next.push_back(idx.value(goOn));
  yield(trial, next);
  trial.end();
  SmallVector<Value> first = {idx.value(idx.constant(0))};
  llvm::append_range(first, inits);
  first.push_back(idx.value(spec.going));
  SmallVector<Type> types(ValueRange(first).getTypes());
  auto loop = scf::WhileOp::create(
      b, c.loc, types, first,
      [&](OpBuilder &, Location, ValueRange args) {
        Value zero = idx.value(idx.constant(0));
        Value going = arith::CmpIOp::create(b, c.loc, arith::CmpIPredicate::ne,
                                            args.back(), zero);
        if (trips) {
          Value more = arith::CmpIOp::create(
              b, c.loc, arith::CmpIPredicate::slt, args[0], idx.value(trips));
          going = arith::AndIOp::create(b, c.loc, going, more);
        }
        scf::ConditionOp::create(b, c.loc, going, args);
      },
      [](OpBuilder &, Location, ValueRange) {});
  Block *body = loop.getAfterBody();
  for (auto [from, to] :
       llvm::zip(trial.block()->getArguments(), body->getArguments()))
    from.replaceAllUsesWith(to);
  trial.moveTo(body);
  b.setInsertionPointAfter(loop);
  ran = loop.getResult(0);
  llvm::append_range(ended, loop.getResults().drop_front().drop_back());
}

SmallVector<ImportValue *> LoopBuilder::results() {
  SmallVector<ImportValue *> out;
  unsigned next = 0;
  for (Carried &s : carried) {
    if (s.same) {
      out.push_back(s.init);
      continue;
    }
    if (s.scalars) {
      Sizes elements;
      for (size_t i = 0; i < s.init->scalars->size(); ++i)
        elements.push_back(ended[next++]);
      out.push_back(
          c.importer.newScalars(s.init->dtype, elements, s.init->rank()));
      continue;
    }
    Sizes sizes;
    for (auto [size, varies] : llvm::zip_equal(s.init->sizes, s.varies))
      sizes.push_back(varies ? OpFoldResult(ended[next++]) : size);
    out.push_back(bindSizes(c, s.init->dtype, sizes, ended[next++]));
  }
  for (Collected &s : collected) {
    next = s.first;
    Sizes sizes = s.row;
    sizes.insert(sizes.begin(), s.grows ? OpFoldResult(ended[next++]) : trips);
    for (OpFoldResult &size : sizes)
      if (!size)
        size = ended[next++];
    ImportValue *all = bindSizes(c, s.dtype, sizes, ended[next]);
    out.push_back(
        s.grows ? sliceAlong(c, *all, 0, idx.constant(0), idx.fold(ran)) : all);
  }
  return out;
}

FailureOr<SmallVector<ImportValue *>> LoopBuilder::build() {
  for (ImportValue *v : spec.carried) {
    if (!isTensor(v))
      return c.unsupported("carries a sequence or optional, and runs as a loop",
                           "export the model with a constant trip count");
    Carried s;
    s.init = v;
    // Narrower ones wrap, and the host's do not.
    s.scalars = v->scalars && !v->scalars->empty() &&
                (v->dtype == DType::i64 || v->dtype == DType::i1);
    s.varies.assign(v->rank(), false);
    carried.push_back(std::move(s));
  }
  for (;;) {
    Trial trial(c);
    auto round = attempt(trial);
    if (failed(round))
      return failure();
    if (*round == Round::again) {
      trial.discard();
      continue;
    }
    // Does the body decide how often it runs?
    OpFoldResult goOn = idx.constant(1);
    if (outputs[0]) {
      auto condition = hostCondition(c, *outputs[0]);
      if (failed(condition))
        return failure();
      goOn = *condition;
    }
    trips = spec.trips;
    auto known = IndexMath::known(goOn);
    if (known && !*known)
      trips = trips ? idx.min(trips, idx.constant(1)) : idx.constant(1);
    counted = known.has_value();
    if (counted && !trips)
      return c.invalid("has no trip count, and its condition stays true");
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPoint(trial.place);
      if (trips)
        trips = idx.max(trips, idx.constant(0));
      if (counted)
        trips = idx.select(spec.going, trips, idx.constant(0));
    }
    for (auto [i, s] : llvm::enumerate(carried))
      handOn(s, *outputs[1 + i], trial.place);
    Value at = trial.block()->getArgument(0);
    for (ImportValue *v : ArrayRef(outputs).drop_front(1 + carried.size())) {
      if (!isTensor(v))
        return c.unsupported("collects a sequence or optional");
      collected.emplace_back();
      collect(collected.back(), *v, at, trial);
    }
    if (c.failed)
      return failure();
    if (counted)
      finishFor(trial, idx.value(trips));
    else
      finishWhile(trial, goOn);
    return results();
  }
}

FailureOr<SmallVector<ImportValue *>> isthmus::buildLoop(NodeContext &c,
                                                         const LoopSpec &spec) {
  return LoopBuilder(c, spec).build();
}
