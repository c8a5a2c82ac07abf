//===- RowEmitter.cpp - a row group in form(tiled) ------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/RowEmitter.h"

#include "dialects/Kernel/Transforms/MergeDims.h"
#include "dialects/Kernel/Transforms/VectorBody.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

RowEmitter::RowEmitter(TileBuilder &tb, const RowGroup &group,
                       const TargetInfo *info, unsigned lane)
    : tb(tb), b(tb.b), loc(tb.loc), group(group), vectors(info),
      along(info && group.isColumn(lane)) {
  zero = tb.index(0);
  // What lies in memory, and how.
  unsigned rank = group.rank();
  SmallVector<AffineMap> maps;
  SmallVector<OpFoldResult> dimSizes(rank);
  bool named = false; // loops are named one by one
  for (const RowPart &part : group.parts) {
    linalg::GenericOp op = part.op;
    named |= op.hasIndexSemantics();
    for (OpOperand *operand : op.getDpsInputOperands())
      if (!group.partOf(operand->get()) &&
          isa<RankedTensorType>(operand->get().getType()))
        maps.push_back(part.mapOf(*operand, rank));
    if (tb.memoryOf(part.result()))
      maps.push_back(part.resultMap(rank));
    for (auto [dim, size] : llvm::zip_equal(part.dims, loopSizes(tb, op)))
      if (dim != kUnitDim && (!dimSizes[dim] || isa<Value>(dimSizes[dim])))
        dimSizes[dim] = size;
  }
  if (named)
    for (unsigned d = 0; d < rank; ++d)
      runs.push_back({d});
  else
    runs = mergeDims(maps, group.kinds);
  for (ArrayRef<unsigned> run : runs) {
    OpFoldResult size = b.getIndexAttr(1);
    for (unsigned d : run)
      size = tb.mul(size, dimSizes[d]);
    sizes.push_back(size);
    kinds.push_back(group.kinds[run[0]]);
    if (llvm::is_contained(run, lane))
      laneRun = sizes.size() - 1;
  }
  auto place = [&](Value tensor, Value memref, AffineMap map) {
    RowPlace place;
    std::tie(place.memref, place.map) = mergeOperand(tb, memref, map, runs);
    place.varies = place.map.isFunctionOfDim(laneRun);
    place.isBool =
        cast<RankedTensorType>(tensor.getType()).getElementType().isInteger(1);
    return place;
  };
  for (const RowPart &part : group.parts) {
    linalg::GenericOp op = part.op;
    for (OpOperand *operand : op.getDpsInputOperands())
      if (!group.partOf(operand->get()) &&
          isa<RankedTensorType>(operand->get().getType()))
        inputs[operand] = place(operand->get(), tb.memoryOf(operand->get()),
                                part.mapOf(*operand, rank));
    if (Value memref = tb.memoryOf(part.result()))
      outputs[part.result()] =
          place(part.result(), memref, part.resultMap(rank));
  }
  rows.resize(1);
  if (!info)
    return;
  chooseWidths(*info);
  chooseKept(info->workgroupBytes ? info->workgroupBytes : info->l1Bytes / 2);
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

Value RowEmitter::read(const RowPart &part, OpOperand &operand) {
  if (const RowPart *from = group.partOf(operand.get()))
    return from->full && !from->reduces ? valueOf(*from)
                                        : rows[at].known.lookup(from->result());
  if (!isa<RankedTensorType>(operand.get().getType()))
    return tb.scalar(operand.get());
  return loadPlace(tb, inputs.lookup(&operand), rows[at].ivs, width, mask);
}

/// A full part's value at the columns being emitted.
Value RowEmitter::valueOf(const RowPart &part) {
  Value v = part.result();
  if (Value made = rows[at].here.lookup(v))
    return made;
  auto it = kept.find(v);
  Value made =
      it != kept.end() && it->second.pass < pass
          ? loadPlace(tb, it->second.places[at], rows[at].ivs, width, mask)
          : apply(part, Value());
  rows[at].here[v] = made;
  return made;
}

Value RowEmitter::apply(const RowPart &part, Value acc) {
  linalg::GenericOp op = part.op;
  Values args;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    bool used = !op.getMatchingBlockArgument(operand).use_empty();
    args.push_back(used || !vectors ? read(part, *operand) : Value());
  }
  Values loops;
  for (unsigned d : part.dims) {
    Value iv = zero;
    for (auto [i, run] : llvm::enumerate(runs))
      if (d != kUnitDim && run[0] == d)
        iv = rows[at].ivs[i]; // runs are single dims if a body asks for one
    loops.push_back(iv);
  }
  if (vectors) {
    args.push_back(acc);
    std::optional<unsigned> lane;
    if (width)
      lane = part.loopOf(runs[laneRun].back());
    return runBody(tb, op, args, {loops, lane, width, mask});
  }
  if (!acc) // not used
    acc = arith::ConstantOp::create(
        b, loc, b.getZeroAttr(op.getBody()->getArguments().back().getType()));
  args.push_back(acc);
  return tb.inlineBody(op, args, loops)[0];
}

/// What changes nothing in the reduction that `part` is.
Value RowEmitter::neutralOf(const RowPart &part, int64_t width) {
  return splatTo(tb,
                 arith::ConstantOp::create(
                     b, loc, *arith::getNeutralElement(combinerOf(part.op))),
                 width);
}

/// The reduction of an accumulator's lanes.
Value RowEmitter::joinLanes(const RowPart &part, Value acc) {
  Operation *combiner = combinerOf(part.op);
  auto flags = arith::FastMathFlags::none;
  if (auto fast = dyn_cast<arith::ArithFastMathInterface>(combiner))
    flags = fast.getFastMathFlagsAttr().getValue();
  auto type = cast<VectorType>(acc.getType());
  Type element = type.getElementType();
  // Narrow floats in f32.
  bool narrow = isa<FloatType>(element) && element.getIntOrFloatBitWidth() < 32;
  if (narrow)
    acc = arith::ExtFOp::create(b, loc, type.clone(b.getF32Type()), acc);
  Value v = vector::ReductionOp::create(
      b, loc, *linalg::getCombinerOpKind(combiner), acc, flags);
  return narrow ? Value(arith::TruncFOp::create(b, loc, element, v)) : v;
}

Value RowEmitter::maskFrom(Value at) {
  Value left = arith::SubIOp::create(b, loc, tb.toValue(sizes[laneRun]), at);
  return vector::CreateMaskOp::create(b, loc, vectorOf(b.getI1Type(), lanes),
                                      left);
}

//===----------------------------------------------------------------------===//
// Passes over the rows' columns
//===----------------------------------------------------------------------===//

void RowEmitter::setIv(unsigned dim, Value iv) {
  for (Row &row : rows)
    row.ivs[dim] = iv;
}

RowEmitter::Values RowEmitter::loop(Value from, Value to, int64_t step,
                                    unsigned dim, ValueRange accs, Body body) {
  auto loop = scf::ForOp::create(b, loc, from, to, tb.index(step), accs);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  setIv(dim, loop.getInductionVar());
  Values next = body(loop.getRegionIterArgs());
  // A loop without accumulators has its yield already.
  if (!accs.empty())
    scf::YieldOp::create(b, loc, next);
  return Values(loop.getResults());
}

/// All that this pass does at one point of each row, or vector of points.
RowEmitter::Values RowEmitter::point(ValueRange accs) {
  Values next, values;
  for (at = 0; at < rows.size(); ++at) {
    rows[at].here.clear();
    for (const RowPart *part : reductions) {
      Value acc = accs[next.size()];
      Value v = splatTo(tb, apply(*part, acc), width);
      if (mask && along)
        v = arith::SelectOp::create(b, loc, mask, v, acc);
      next.push_back(v);
    }
    for (const RowPart *part : stores)
      values.push_back(valueOf(*part));
  }
  // Results may lie where something that others need is kept: stored last.
  auto value = values.begin();
  for (at = 0; at < rows.size(); ++at)
    for (const RowPart *part : stores) {
      auto it = kept.find(part->result());
      const RowPlace &place = it != kept.end()
                                  ? it->second.places[at]
                                  : outputs.find(part->result())->second;
      storePlace(tb, *value++, place, rows[at].ivs, width, mask);
    }
  at = 0;
  return next;
}

/// The columns of the innermost dim: vectors side by side, then what is left,
/// one vector at a time and masked.
RowEmitter::Values RowEmitter::sweep(ValueRange accs) {
  auto fixed = getConstantIntValue(sizes[laneRun]);
  Value end = tb.toValue(sizes[laneRun]), middle;
  int64_t wide = lanes * unroll;
  if (fixed)
    middle = tb.index(*fixed - *fixed % wide);
  else
    middle = arith::SubIOp::create(
        b, loc, end, arith::RemUIOp::create(b, loc, end, tb.index(wide)));
  Values result(accs);
  if (!fixed || *fixed >= wide) {
    Values start(accs);
    if (unroll > 1)
      for (auto [i, v] : llvm::enumerate(start))
        v = neutralOf(reductionOf(i), wide);
    width = wide;
    start = loop(tb.index(0), middle, wide, laneRun, start,
                 [&](ValueRange in) { return point(in); });
    width = lanes;
    for (auto [i, v] : llvm::enumerate(start)) {
      if (unroll == 1) {
        result[i] = v;
        continue;
      }
      for (int64_t k = 0; k < unroll; ++k)
        result[i] = applyLike(tb, combinerOf(reductionOf(i).op), result[i],
                              vector::ExtractStridedSliceOp::create(
                                  b, loc, v, {k * lanes}, {lanes}, {1}));
    }
  }
  if (fixed && *fixed % wide == 0)
    return result;
  bool masked = !fixed || *fixed % lanes;
  return loop(middle, end, lanes, laneRun, result, [&](ValueRange in) {
    mask = masked ? maskFrom(rows[0].ivs[laneRun]) : Value();
    Values next = point(in);
    mask = Value();
    return next;
  });
}

/// The innermost columns where lanes are rows: `unroll` of them at a time, each
/// with accumulators of its own, for speed and since shorter sums round less.
RowEmitter::Values RowEmitter::sideBySide(unsigned run, ValueRange accs) {
  auto fixed = getConstantIntValue(sizes[run]);
  Value end = tb.toValue(sizes[run]), middle = tb.index(0);
  Values result(accs);
  size_t each = accs.size();
  if (each && (!fixed || *fixed >= unroll)) {
    middle = fixed
                 ? tb.index(*fixed - *fixed % unroll)
                 : Value(arith::SubIOp::create(
                       b, loc, end,
                       arith::RemUIOp::create(b, loc, end, tb.index(unroll))));
    for (int64_t k = 1; k < unroll; ++k)
      for (size_t i = 0; i < each; ++i)
        result.push_back(neutralOf(reductionOf(i), lanes));
    result = loop(tb.index(0), middle, unroll, run, result, [&](ValueRange in) {
      Values next;
      Value first = rows[0].ivs[run];
      for (int64_t k = 0; k < unroll; ++k) {
        setIv(run, arith::AddIOp::create(b, loc, first, tb.index(k)));
        llvm::append_range(next, point(in.slice(k * each, each)));
      }
      return next;
    });
    for (; result.size() > each; result.resize(result.size() / 2))
      for (size_t i = 0, half = result.size() / 2; i < half; ++i)
        result[i] = applyLike(tb, combinerOf(reductionOf(i).op), result[i],
                              result[i + half]);
    if (fixed && *fixed % unroll == 0)
      return result;
  }
  return loop(middle, end, 1, run, result,
              [&](ValueRange in) { return point(in); });
}

RowEmitter::Values RowEmitter::columns(unsigned from, ValueRange accs) {
  for (unsigned i = from; i < runs.size(); ++i) {
    if (kinds[i] != utils::IteratorType::reduction)
      continue;
    if (along && i == laneRun)
      return sweep(accs);
    bool innermost = !llvm::is_contained(llvm::drop_begin(kinds, i + 1),
                                         utils::IteratorType::reduction);
    if (innermost && vectors)
      return sideBySide(i, accs);
    return loop(tb.index(0), tb.toValue(sizes[i]), 1, i, accs,
                [&](ValueRange in) { return columns(i + 1, in); });
  }
  return point(accs);
}

void RowEmitter::emitPass(unsigned number) {
  pass = number;
  reductions.clear(), stores.clear();
  for (const RowPart &part : group.parts) {
    auto it = kept.find(part.result());
    unsigned when = it != kept.end() ? it->second.pass : part.pass;
    if (when != pass)
      continue;
    if (!part.full) {
      // Over rows: on scalars, or lane by lane where lanes are rows.
      width = along ? 0 : lanes;
      for (at = 0; at < rows.size(); ++at)
        rows[at].known[part.result()] = apply(part, Value());
      at = 0;
    } else if (part.reduces) {
      reductions.push_back(&part);
    } else if (it != kept.end() || outputs.contains(part.result())) {
      stores.push_back(&part);
    }
  }
  if (reductions.empty() && stores.empty())
    return;
  width = lanes;
  Values accs, inits;
  for (const RowPart *part : reductions) {
    linalg::GenericOp op = part->op;
    Value init =
        tb.scalar(op.getDpsInits()[0].getDefiningOp<linalg::FillOp>().value());
    Attribute known;
    if (vectors && matchPattern(init, m_Constant(&known)) &&
        known == *arith::getNeutralElement(combinerOf(op)))
      init = Value();
    inits.push_back(init);
  }
  for (size_t i = 0; i < rows.size(); ++i)
    for (auto [part, init] : llvm::zip_equal(reductions, inits))
      accs.push_back(vectors ? neutralOf(*part, lanes) : init);
  Values made = columns(0, accs);
  for (auto [i, v] : llvm::enumerate(made)) {
    const RowPart &part = reductionOf(i);
    if (along)
      v = joinLanes(part, v);
    if (Value init = inits[i % inits.size()]; init && vectors)
      v = applyLike(tb, combinerOf(part.op),
                    splatTo(tb, init, along ? 0 : lanes), v);
    rows[i / reductions.size()].known[part.result()] = v;
  }
}

void RowEmitter::emitRows() {
  for (Row &row : rows)
    row.known.clear();
  for (unsigned p = 0; p < group.passes; ++p)
    emitPass(p);
  width = along ? 0 : lanes;
  for (const RowPart &part : group.parts) {
    auto it = outputs.find(part.result());
    if (it != outputs.end() && (!part.full || part.reduces))
      for (Row &row : rows)
        storePlace(tb, row.known.lookup(part.result()), it->second, row.ivs,
                   width, mask);
  }
}
